//! Start-up (audit-log.md 6.3): refused if and only if a record below the mark is lost. And the accepting of a loss.

use super::*;
use crate::checkpoint::SignedCheckpoint;
use crate::hash;
use crate::log::finish::{begun_on, finish_on};
use crate::log::loss::{AcceptError, Acceptance, Accepted, accept_on};
use crate::statement::SignedLoss;

/// A log of `records` records, and its disk as it was at each size.
async fn grown(records: u64) -> (Rig, Vec<Disk>) {
    let mut rig = Rig::with(Limits { seal_records: 5, ..limits() });
    let mut disks = vec![copy(&rig.disk)];
    while rig.log.as_of() < records {
        rig.commit(read_of("a")).await.into_event();
        disks.push(copy(&rig.disk));
    }
    (rig, disks)
}

/// A disk of its own with the same rows.
fn copy(disk: &Disk) -> Disk {
    let (from, copied) = (MemoryStore::on(disk), Disk::default());
    let to = MemoryStore::on(&copied);
    let mut batch = Vec::new();
    store::Store::snapshot(&from, &mut |rows| {
        for family in Family::ALL {
            rows.scan(family, &[], &[0xff; 64], false, &mut |key, value| {
                batch.push(Write { key: Key::new(family, key), value: Some(value.to_vec()) });
                true
            })?;
        }
        Ok(())
    })
    .unwrap();
    assert!(matches!(store::Store::commit(&to, &batch, &[]), store::Commit::Committed));
    copied
}

fn on(mut rig: Rig, disk: &Disk) -> Result<Rig, OpenError> {
    rig.disk = disk.clone();
    rig.die_and_open()
}

#[tokio::test]
async fn a_log_opens_where_it_was_left() {
    let (rig, _) = grown(12).await;
    let before = rig.log.shared.durable();
    let mut rig = rig.die_and_open().unwrap();
    assert_eq!(rig.log.shared.durable(), before);
    let next = rig.commit(read_of("b")).await;
    assert_eq!(next.locator().index, before.size);
    assert_eq!(rig.log.status().epoch, 1);
}

#[tokio::test]
async fn a_log_that_was_never_written_to_opens() {
    let rig = Rig::new().die_and_open().unwrap();
    assert_eq!(rig.log.as_of(), 0);
}

#[tokio::test]
async fn i07_fewer_records_than_the_mark_remembers_are_refused_with_both_sizes() {
    let (rig, disks) = grown(8).await;
    let size = rig.log.as_of();
    let error = on(rig, &disks[3]).err().expect("a refusal");
    assert!(matches!(error, OpenError::Lost { mark, .. } if mark == size), "{error}");
    let text = error.to_string();
    assert!(text.contains("`3`") && text.contains(&format!("`{size}`")) && text.contains("keyward audit accept-loss"));
}

#[tokio::test]
async fn more_records_than_the_mark_remembers_are_normal_after_a_crash() {
    let (rig, _) = grown(9).await;
    let newest = copy(&rig.disk);
    // The mark lags: it is that of the same log three records earlier.
    let mark = MarkFile::open(&rig.settings.high_water_mark).unwrap().newest().unwrap();
    let mut tree = crate::tree::Frontier::new();
    let mut chain = hash::chain_start(ORIGIN);
    for index in 0..mark.size - 3 {
        let leaf = hash::leaf(&rig.log.record(index).unwrap().unwrap());
        tree.push(leaf);
        chain = hash::chain_next(&chain, &leaf);
    }
    let earlier = crate::mark::Mark { size: tree.size(), root: tree.root(), chain, ..mark };
    MarkFile::open(&rig.settings.high_water_mark).unwrap().write(&earlier).unwrap();
    let rig = on(rig, &newest).unwrap();
    assert_eq!(rig.log.as_of(), mark.size);
    let now = MarkFile::open(&rig.settings.high_water_mark).unwrap().newest().unwrap();
    assert_eq!(now.size, mark.size, "the mark catches up");
}

#[tokio::test]
async fn i07_another_head_at_the_size_of_the_mark_is_refused() {
    let (rig, _) = grown(6).await;
    let mark = MarkFile::open(&rig.settings.high_water_mark).unwrap().newest().unwrap();
    for other in [crate::mark::Mark { root: [1; 32], ..mark }, crate::mark::Mark { chain: [1; 32], ..mark }] {
        MarkFile::open(&rig.settings.high_water_mark).unwrap().write(&other).unwrap();
        let newest = MarkFile::open(&rig.settings.high_water_mark).unwrap().newest().unwrap();
        let examined = rig.log.read(|rows| Ok(start::examine(rows, ORIGIN, &newest))).unwrap();
        assert!(matches!(examined, Err(OpenError::OtherHead { .. })), "{examined:?}");
    }
}

#[tokio::test]
async fn a_changed_record_is_named_by_its_index() {
    let (rig, _) = grown(7).await;
    let mut bytes = rig.log.record(2).unwrap().unwrap();
    let place = bytes.windows(3).position(|three| three == b"app").unwrap();
    bytes[place] = b'x';
    rig.tamper(rig.log.shared.id.record(2), Some(bytes));
    let error = rig.die_and_open().err().expect("a refusal");
    assert!(matches!(error, OpenError::Altered { .. } | OpenError::Store(_) | OpenError::OtherHead { .. }), "{error}");
}

#[tokio::test]
async fn a_record_that_does_not_fit_its_tile_is_refused_and_is_no_loss_that_could_be_accepted() {
    let mut rig = Rig::new();
    for _ in 0..257 {
        rig.commit(read_of("a")).await.into_event();
    }
    let bytes = rig.log.record(2).unwrap().unwrap();
    let altered = String::from_utf8(bytes).unwrap().replace("user/dev/app", "user/dev/xpp");
    rig.tamper(rig.log.shared.id.record(2), Some(altered.into_bytes()));
    let disk = rig.disk.clone();
    let refused = accept(&rig, &disk, "audit.example.com/keyward-2", true);
    assert!(matches!(refused, Err(AcceptError::Open(OpenError::Altered { index: 2, .. }))), "{refused:?}");
    let error = rig.die_and_open().err().expect("a refusal");
    assert!(matches!(error, OpenError::Altered { index: 2, .. }), "{error}");
    assert!(!error.to_string().contains("accept-loss"), "{error}");
}

#[tokio::test]
async fn a_missing_record_is_refused() {
    let (rig, _) = grown(7).await;
    rig.tamper(rig.log.shared.id.record(4), None);
    assert!(rig.die_and_open().is_err());
}

#[tokio::test]
async fn the_mark_of_another_origin_is_refused() {
    let (mut rig, _) = grown(2).await;
    let mark = MarkFile::open(&rig.settings.high_water_mark).unwrap().newest().unwrap();
    let other = crate::mark::Mark { origin_hash: [3; 32], ..mark };
    MarkFile::open(&rig.settings.high_water_mark).unwrap().write(&other).unwrap();
    let (disk, _) = (rig.disk.clone(), rig.sequencer.step());
    assert!(matches!(on(rig, &disk).err(), Some(OpenError::OtherOrigin(_))));
}

fn accept(rig: &Rig, disk: &Disk, name: &str, old: bool) -> Result<Accepted, AcceptError> {
    let store = MemoryStore::on(disk);
    let new_key = SigningKey::from_seed(name, &[9; 32]).unwrap();
    let acceptance = Acceptance {
        store: &rig.settings.store,
        high_water_mark: &rig.settings.high_water_mark,
        origin: ORIGIN,
        old_vkey: rig.settings.key.verifying_key(),
        old_key: old.then_some(rig.settings.key.as_ref()),
        new_key: &new_key,
        reason: "the disk was replaced",
    };
    let mark = MarkFile::open(&rig.settings.high_water_mark).ok().and_then(|file| file.newest());
    let (examined, loss) = accept_on(&store, false, mark.as_ref(), &acceptance, &rig.environment)?;
    finish_on(&store, &examined, &loss, &rig.settings.high_water_mark)
}

#[tokio::test]
async fn an_accepted_loss_goes_on_under_a_new_origin_and_epoch() {
    let (mut rig, disks) = grown(8).await;
    rig.index();
    rig.signer.step();
    let lost = rig.log.as_of();
    let chain = rig.log.chain_id();
    let disk = disks[3].clone();
    let accepted = accept(&rig, &disk, "audit.example.com/keyward-2", true).unwrap();
    assert_eq!((accepted.index, accepted.recovered, accepted.lost), (3, 3, Some(lost)));
    assert!(accepted.old_mark.is_some_and(|path| path.exists()));
    rig.settings.origin = accepted.origin;
    rig.settings.key = Arc::new(SigningKey::from_seed("audit.example.com/keyward-2", &[9; 32]).unwrap());
    let mut rig = on(rig, &disk).unwrap();
    assert_eq!((rig.log.as_of(), rig.log.chain_id()), (4, chain), "tree and chain go on");
    let record = rig.record(3);
    assert_eq!((record.epoch(), record.kind(), rig.log.status().epoch), (2, Kind::Loss, 2));
    let loss = SignedLoss::from_record(&record).unwrap();
    assert!(loss.has_old_signature());
    assert_eq!(loss.loss().lost.map(|head| head.size), Some(lost));
    rig.commit(read_of("b")).await.into_event();
    rig.signer.step();
    let keys = [rig.settings.key.verifying_key().clone()];
    let newest = rig.log.newest_checkpoint().unwrap();
    assert!(SignedCheckpoint::parse_and_verify(newest.note().as_bytes(), &keys).is_ok());
    let rig = rig.die_and_open().unwrap();
    assert_eq!(rig.record(4).epoch(), 2);
}

/// Finishes what an acceptance has begun on `disk`.
fn finish(rig: &Rig, disk: &Disk) -> Result<Accepted, AcceptError> {
    let store = MemoryStore::on(disk);
    let examined = store::read(&store, |rows| Ok(start::load(rows, ORIGIN))).unwrap().unwrap();
    let loss = begun_on(&store, &examined, ORIGIN)?.ok_or(AcceptError::NotBegun)?;
    finish_on(&store, &examined, &loss, &rig.settings.high_water_mark)
}

/// Where the mark of the first epoch is put.
fn aside(rig: &Rig) -> std::path::PathBuf {
    rig.settings.high_water_mark.with_file_name("hwm.epoch-1")
}

#[tokio::test]
async fn i07_an_acceptance_that_was_interrupted_is_finished_and_never_recorded_twice() {
    let (mut rig, disks) = grown(8).await;
    let lost = rig.log.as_of();
    let disk = disks[3].clone();
    assert!(matches!(finish(&rig, &disk), Err(AcceptError::NotBegun)));
    // The old mark cannot be moved: the record is in the log, and that is where it ends.
    std::fs::create_dir_all(aside(&rig).join("in the way")).unwrap();
    let error = accept(&rig, &disk, "audit.example.com/keyward-2", true).unwrap_err();
    assert!(matches!(error, AcceptError::Mark(_)) && !error.is_before_the_record(), "{error}");
    std::fs::remove_dir_all(aside(&rig)).unwrap();
    let again = accept(&rig, &disk, "audit.example.com/keyward-3", true).unwrap_err();
    assert!(matches!(&again, AcceptError::Begun(origin) if origin == "audit.example.com/keyward-2"), "{again}");
    assert!(again.is_before_the_record());
    let accepted = finish(&rig, &disk).unwrap();
    assert_eq!((accepted.index, accepted.recovered, accepted.lost), (3, 3, Some(lost)));
    assert_eq!(accepted.old_mark, Some(aside(&rig)));
    assert_eq!(finish(&rig, &disk).unwrap(), accepted, "it may be finished again");
    rig.settings.origin = accepted.origin;
    rig.settings.key = Arc::new(SigningKey::from_seed("audit.example.com/keyward-2", &[9; 32]).unwrap());
    let mut rig = on(rig, &disk).unwrap();
    assert_eq!(rig.log.as_of(), 4);
    rig.commit(read_of("b")).await.into_event();
    assert_eq!(rig.record(4).epoch(), 2);
    let remembered = MarkFile::open(&aside(&rig)).unwrap().newest().unwrap();
    assert_eq!(remembered.size, lost, "the old mark remembers what was lost");
}

#[tokio::test]
async fn a_new_mark_that_was_never_written_does_not_replace_the_old_one() {
    let (rig, disks) = grown(8).await;
    let lost = rig.log.as_of();
    let disk = disks[3].clone();
    std::fs::create_dir_all(aside(&rig).join("in the way")).unwrap();
    assert!(accept(&rig, &disk, "audit.example.com/keyward-2", true).is_err());
    std::fs::remove_dir_all(aside(&rig)).unwrap();
    // It died after the old mark was moved and before the new one was written.
    std::fs::rename(&rig.settings.high_water_mark, aside(&rig)).unwrap();
    drop(MarkFile::create(&rig.settings.high_water_mark).unwrap());
    assert_eq!(finish(&rig, &disk).unwrap().old_mark, Some(aside(&rig)));
    assert_eq!(MarkFile::open(&aside(&rig)).unwrap().newest().unwrap().size, lost);
    assert_eq!(MarkFile::open(&rig.settings.high_water_mark).unwrap().newest().unwrap().size, 4);
}

#[tokio::test]
async fn i07_a_second_acceptance_of_the_same_epoch_keeps_what_the_first_one_remembers() {
    let (rig, disks) = grown(8).await;
    let mark = std::fs::read(&rig.settings.high_water_mark).unwrap();
    let first = accept(&rig, &copy(&disks[3]), "audit.example.com/keyward-2", true).unwrap();
    // All of it is put back as it was before, and turns out to be worse than thought.
    std::fs::write(&rig.settings.high_water_mark, &mark).unwrap();
    let second = accept(&rig, &copy(&disks[2]), "audit.example.com/keyward-3", true).unwrap();
    assert_eq!(first.old_mark, Some(aside(&rig)));
    assert_ne!(second.old_mark, first.old_mark);
    for kept in [first.old_mark, second.old_mark] {
        assert_eq!(MarkFile::open(&kept.unwrap()).unwrap().newest().unwrap().size, first.lost.unwrap());
    }
    // One that cannot be read is kept too.
    std::fs::write(&rig.settings.high_water_mark, b"torn").unwrap();
    let third = accept(&rig, &copy(&disks[1]), "audit.example.com/keyward-4", true).unwrap();
    assert_eq!(std::fs::read(third.old_mark.unwrap()).unwrap(), b"torn");
}

#[tokio::test]
async fn a_lost_mark_is_accepted_without_naming_what_was_lost() {
    let (rig, _) = grown(4).await;
    std::fs::remove_file(&rig.settings.high_water_mark).unwrap();
    let disk = rig.disk.clone();
    let accepted = accept(&rig, &disk, "audit.example.com/keyward-2", false).unwrap();
    assert_eq!((accepted.lost, accepted.old_mark), (None, None));
    let loss = SignedLoss::from_record(&rig.record(accepted.index)).unwrap();
    assert_eq!((loss.loss().lost, loss.has_old_signature()), (None, false));
}

#[tokio::test]
async fn a_whole_log_has_no_loss_to_accept() {
    let (rig, _) = grown(4).await;
    let disk = rig.disk.clone();
    let refused = accept(&rig, &disk, "audit.example.com/keyward-2", true);
    assert!(matches!(refused, Err(AcceptError::NothingLost(4..))), "{refused:?}");
}

#[tokio::test]
async fn the_old_origin_never_signs_again() {
    let (rig, disks) = grown(4).await;
    assert!(matches!(accept(&rig, &disks[1], ORIGIN, true), Err(AcceptError::SameOrigin(_))));
}
