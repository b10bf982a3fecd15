//! The check of a whole store finds each thing that was altered, and nothing on an honest log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::*;
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::hash;
use crate::log::head::continues_row;
use crate::log::index::Facts;
use crate::log::keys::ChainId;
use crate::log::open::newest_doubt;
use crate::log::own::{self, SealFacts};
use crate::log::{Report, Verify};
use crate::statement::{Head as StatedHead, Loss};

async fn grown() -> Rig {
    let mut rig = Rig::with(Limits { seal_records: 100, ..limits() });
    for number in 0..300 {
        let event = if number % 9 == 0 { denial_of("a") } else { read_of("b") };
        drop(rig.submit(event, Changes::default(), ReadSet::default()).await);
        if number == 150 {
            rig.work();
            rig.clock.pass(SECOND);
            rig.signer.step();
        }
    }
    rig.work();
    rig.index();
    rig.clock.pass(SECOND);
    rig.signer.step();
    rig
}

fn check(rig: &Rig) -> Report {
    let mark = MarkFile::open(&rig.settings.high_water_mark).unwrap().newest();
    let store = MemoryStore::on(&rig.disk);
    let vkey = Some(rig.settings.key.verifying_key());
    Verify { origin: ORIGIN, mark, vkey, indexes: Some([7; 32]) }.run(&store, &mut |_, _| {}).unwrap()
}

fn first(report: &Report) -> (Option<u64>, &str) {
    let finding = report.findings.first().expect("a finding");
    (finding.index, finding.reason.as_str())
}

#[tokio::test]
async fn an_honest_log_has_no_findings() {
    let rig = grown().await;
    let report = check(&rig);
    assert_eq!(report.findings, []);
    assert_eq!((report.size, report.root), (rig.log.as_of(), rig.log.shared.durable().root));
    assert_eq!(check(&Rig::new()).findings, []);
}

#[tokio::test]
async fn attack_a_changed_record_is_named_by_its_index() {
    let rig = grown().await;
    let mut bytes = rig.log.record(77).unwrap().unwrap();
    let place = bytes.windows(7).position(|seven| seven == b"dev/app").unwrap();
    bytes[place] = b'x';
    rig.tamper(rig.log.shared.id.record(77), Some(bytes));
    let report = check(&rig);
    let named: Vec<_> = report.findings.iter().filter_map(|finding| finding.index).collect();
    assert!(named.contains(&77), "{report:?}");
    assert!(report.findings.iter().all(|finding| finding.index.is_none_or(|index| index >= 77)));
}

#[tokio::test]
async fn i07_an_epoch_that_no_loss_raised_is_found() {
    let rig = grown().await;
    for index in [0, 40] {
        let text = String::from_utf8(rig.log.record(index).unwrap().unwrap()).unwrap();
        rig.tamper(rig.log.shared.id.record(index), Some(text.replace("\"epoch\":1,", "\"epoch\":2,").into_bytes()));
        let raised = format!("index {index}: the epoch is `2`, and from 1 on it rises by one with each loss");
        assert_eq!(check(&rig).findings.first().map(ToString::to_string), Some(raised));
        rig.tamper(rig.log.shared.id.record(index), Some(text.into_bytes()));
    }
    assert_eq!(check(&rig).findings, []);
}

#[tokio::test]
async fn i07_an_outcome_repeats_request_and_action_of_the_record_that_it_answers() {
    let mut rig = Rig::new();
    let read = rig.commit(read_of("a")).await;
    let mut answer = read_of("a");
    answer.draft.kind = Kind::Outcome;
    answer.draft.decision = None;
    answer.draft.answers = Some(read.locator().index);
    answer.draft.request = read.into_event().draft.request;
    rig.commit(answer.clone()).await.into_event();
    rig.index();
    assert_eq!(check(&rig).findings, []);
    answer.draft.action = "ssm:DescribeSecret".to_owned();
    answer.draft.parameters.insert("item".to_owned(), 1_u64.into());
    rig.commit(answer).await.into_event();
    let said = "it answers `0`, which is no earlier record of its request and action";
    assert_eq!(first(&check(&rig)), (Some(2), said));
}

/// The findings on a log whose last record is `draft`.
async fn findings_on(rig: &mut Rig, draft: Draft) -> Vec<String> {
    rig.commit(Happened { draft, lane: Lane::Caller }).await.into_event();
    rig.index();
    check(rig).findings.into_iter().map(|finding| finding.reason).collect()
}

#[tokio::test]
async fn attack_a_seal_that_names_another_seal_or_other_counts_is_found() {
    for (previous, counts, wrong) in [
        (None, vec![(Kind::Access, 2)], None),
        (Some(0), vec![(Kind::Access, 2)], Some("the seal names another one before it")),
        (
            None,
            vec![(Kind::Access, 1)],
            Some("the counts of the seal are not those of the records since the one before"),
        ),
        (None, vec![], Some("the counts of the seal are not those of the records since the one before")),
    ] {
        let mut rig = Rig::new();
        rig.commit(read_of("a")).await.into_event();
        rig.commit(read_of("b")).await.into_event();
        let durable = rig.log.shared.durable();
        let facts = SealFacts { chain: durable.chain, root: durable.root, size: 2, previous, counts };
        let draft = own::seal(&rig.environment, &facts).unwrap();
        let found = findings_on(&mut rig, draft).await;
        assert_eq!(found, wrong.into_iter().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn i07_a_record_without_what_all_of_its_kind_have_is_found_as_in_an_export() {
    type Change = fn(&mut Draft);
    let changes: [(Change, &str); 5] = [
        (|draft| draft.action.clear(), "`action` is empty"),
        (|draft| draft.door.clear(), "`door` is empty"),
        (|draft| draft.kind = Kind::Outcome, "`answers` is in each `outcome` record, and in no other"),
        (|draft| draft.outcome = None, "`outcome` is in each record but seals"),
        (|_| {}, ""),
    ];
    for (change, wrong) in changes {
        let mut rig = Rig::new();
        let mut draft = read_of("a").draft;
        change(&mut draft);
        let found = findings_on(&mut rig, draft).await;
        assert_eq!(found, Some(wrong).filter(|wrong| !wrong.is_empty()).into_iter().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn attack_a_clock_step_that_states_another_time_than_its_own_is_found() {
    let mut rig = Rig::new();
    let step = |after_us| crate::log::clock::ClockStep { after_us, before_us: 1, source: "start" };
    let honest = own::clock_step(&rig.environment, &step(rig.environment.clock.wall_us())).unwrap();
    assert_eq!(findings_on(&mut rig, honest).await, Vec::<String>::new());
    let draft = own::clock_step(&rig.environment, &step(7)).unwrap();
    assert_eq!(findings_on(&mut rig, draft).await, ["the clock step states another time than its own"]);
}

#[tokio::test]
async fn attack_a_loss_that_states_other_records_than_those_under_it_is_found() {
    let said = "the loss does not go on from the records before it";
    for wrong in ["", "size", "root", "chain"] {
        let mut rig = Rig::new();
        rig.commit(read_of("a")).await.into_event();
        let durable = rig.log.shared.durable();
        let mut recovered = StatedHead { chain: durable.chain, root: durable.root, size: durable.size };
        match wrong {
            "size" => recovered.size = 0,
            "root" => recovered.root = [1; 32],
            "chain" => recovered.chain = [1; 32],
            _ => {}
        }
        let new = SigningKey::from_seed("audit.example.com/keyward-2", &[9; 32]).unwrap();
        let loss = Loss {
            old_origin: ORIGIN.to_owned(),
            new_origin: new.verifying_key().name().to_owned(),
            old: rig.settings.key.verifying_key().clone(),
            new: new.verifying_key().clone(),
            index: 1,
            lost: None,
            recovered,
            reason: "the disk died".to_owned(),
        };
        let mut draft = own::loss(&rig.environment).unwrap();
        draft.parameters = loss.sign(Some(rig.settings.key.as_ref()), &new).unwrap().parameters();
        let found = findings_on(&mut rig, draft).await;
        assert_eq!(found.iter().any(|reason| reason == said), !wrong.is_empty(), "{wrong}: {found:?}");
    }
}

#[tokio::test]
async fn i07_a_log_that_began_under_another_origin_needs_the_loss_that_says_so() {
    let mut rig = Rig::new();
    rig.commit(read_of("a")).await.into_event();
    rig.index();
    let other = "audit.example.com/keyward-2";
    rig.tamper(continues_row(ChainId::of(&hash::chain_start(other)), ORIGIN).key, Some(ORIGIN.into()));
    let verify = Verify { origin: other, mark: None, vkey: None, indexes: None };
    let report = verify.run(&MemoryStore::on(&rig.disk), &mut |_, _| {}).unwrap();
    let said =
        format!("the records are those of the origin `{ORIGIN}`, and none says that the log goes on under `{other}`");
    assert_eq!(report.findings.iter().map(ToString::to_string).collect::<Vec<_>>(), [said]);
}

#[tokio::test]
async fn attack_a_missing_record_and_two_that_changed_places_are_named() {
    let rig = grown().await;
    let (a, b) = (rig.log.record(10).unwrap(), rig.log.record(20).unwrap());
    rig.tamper(rig.log.shared.id.record(10), b);
    rig.tamper(rig.log.shared.id.record(20), a);
    assert_eq!(first(&check(&rig)).0, Some(10));
    rig.tamper(rig.log.shared.id.record(5), None);
    assert_eq!(first(&check(&rig)), (Some(5), "the record is missing"));
}

#[tokio::test]
async fn attack_an_altered_tile_checkpoint_or_head_is_found() {
    let rig = grown().await;
    let id = rig.log.shared.id;
    let tile = rig.log.read(|rows| rows.get(Family::Tiles, &id.tile(0, 0).bytes)).unwrap().unwrap();
    let mut altered = tile.clone();
    altered[32 * 40] ^= 1;
    rig.tamper(id.tile(0, 0), Some(altered));
    assert_eq!(first(&check(&rig)), (Some(40), "the record does not fit its stored leaf"));
    rig.tamper(id.tile(0, 0), Some(tile));
    assert_eq!(check(&rig).findings, []);

    let size = rig.log.newest_checkpoint().unwrap().checkpoint().size;
    let other = rig.log.newest_checkpoint().unwrap().note().replace(ORIGIN, "elsewhere");
    let wrong = other.replacen(&other.lines().nth(2).unwrap().to_owned(), &"A".repeat(43), 1);
    rig.tamper(id.checkpoint(size), Some(wrong.into_bytes()));
    assert!(first(&check(&rig)).1.starts_with("the checkpoint of size"));
}

#[tokio::test]
async fn attack_g14_a_signed_head_that_was_written_without_the_key_is_named_by_its_size() {
    let rig = grown().await;
    let (id, newest) = (rig.log.shared.id, rig.log.newest_checkpoint().unwrap());
    let store = MemoryStore::on(&rig.disk);
    let doubt = || {
        let examined = store::read(&store, |rows| Ok(start::load(rows, ORIGIN))).unwrap().unwrap();
        store::read(&store, |rows| newest_doubt(rows, &examined, &rig.settings)).unwrap()
    };
    let size = newest.checkpoint().size;
    assert_eq!(doubt(), None);

    // The root of other records under the old signature: what a consistent rewrite has to leave behind.
    let root = newest.note().lines().nth(2).unwrap();
    let forged = newest.note().replacen(root, &BASE64.encode([7; 32]), 1);
    rig.tamper(id.checkpoint(size), Some(forged.into_bytes()));
    let unsigned = format!("the checkpoint of size `{size}` is not one that the log signed: the signature of");
    let named = |report: &Report| report.findings.iter().any(|finding| finding.reason.starts_with(&unsigned));
    assert!(named(&check(&rig)), "{:?}", check(&rig).findings);
    assert_eq!(doubt().map(|(size, _)| size), Some(size));

    // The right root under no signature of the log's; under another origin; and in the row of another size.
    let other = SigningKey::from_seed(ORIGIN, &[8; 32]).unwrap();
    let foreign = SignedCheckpoint::sign(newest.checkpoint().clone(), &[&other]).unwrap();
    rig.tamper(id.checkpoint(size), Some(foreign.note().as_bytes().to_vec()));
    assert_eq!(check(&rig).total, 1);
    assert_eq!(doubt().map(|(size, _)| size), Some(size));
    let elsewhere = newest.note().replace(ORIGIN, "elsewhere");
    rig.tamper(id.checkpoint(size), Some(elsewhere.into_bytes()));
    assert_eq!(check(&rig).total, 1);

    // A head that the log did sign, over records that are no more.
    let of_others = Checkpoint { root: [7; 32], ..newest.checkpoint().clone() };
    let signed = SignedCheckpoint::sign(of_others, &[rig.settings.key.as_ref()]).unwrap();
    rig.tamper(id.checkpoint(size), Some(signed.note().as_bytes().to_vec()));
    assert_eq!(doubt(), Some((size, "it is not of these records".to_owned())));
}

#[tokio::test]
async fn attack_records_above_the_head_are_named() {
    let rig = grown().await;
    let size = rig.log.as_of();
    rig.tamper(rig.log.shared.id.record(size), Some(b"{}".to_vec()));
    assert_eq!(first(&check(&rig)), (Some(size), "the record lies above the head"));
}

#[tokio::test]
async fn attack_an_index_row_that_is_hidden_or_forged_is_named() {
    let rig = grown().await;
    let (key, _) = crate::log::index::rows(rig.log.shared.id, &Facts::of(&rig.record(33))).remove(0);
    rig.tamper(Key::new(Family::Indexes, key.clone()), None);
    assert_eq!(first(&check(&rig)), (Some(33), "a row of an index is missing or altered"));
    rig.tamper(Key::new(Family::Indexes, key.clone()), Some(Vec::new()));
    let mut forged = key;
    let last = forged.len() - 1;
    forged[last] ^= 1;
    if !crate::log::index::rows(rig.log.shared.id, &Facts::of(&rig.record(32))).iter().any(|(row, _)| *row == forged) {
        rig.tamper(Key::new(Family::Indexes, forged), Some(Vec::new()));
        assert_eq!(first(&check(&rig)), (Some(32), "a row of an index does not follow from its record"));
    }
    let nowhere = rig.log.shared.id.numbered(b"d", 100_000);
    rig.tamper(Key::new(Family::Indexes, nowhere), Some(Vec::new()));
    assert!(check(&rig).findings.iter().any(|finding| finding.index == Some(100_000)));
}

#[tokio::test]
async fn attack_a_signed_head_above_the_log_shows_that_its_tail_was_cut_off() {
    let rig = grown().await;
    let size = rig.log.as_of();
    let note = rig.log.newest_checkpoint().unwrap().note().as_bytes().to_vec();
    let above = Write { key: rig.log.shared.id.checkpoint(size + 7), value: Some(note) };
    store::Store::write_derived(&MemoryStore::on(&rig.disk), &[above]).unwrap();
    let lost = format!("lost: a checkpoint of size `{}` was signed", size + 7);
    assert_eq!(first(&check(&rig)), (Some(size), lost.as_str()));
}

#[tokio::test]
async fn attack_a_mark_ahead_of_the_store_is_a_finding() {
    let rig = grown().await;
    let mark = MarkFile::open(&rig.settings.high_water_mark).unwrap().newest().unwrap();
    let ahead = crate::mark::Mark { size: mark.size + 3, ..mark };
    let store = MemoryStore::on(&rig.disk);
    let verify = Verify { origin: ORIGIN, mark: Some(ahead), vkey: None, indexes: None };
    let report = verify.run(&store, &mut |_, _| {}).unwrap();
    assert_eq!(first(&report).0, Some(mark.size));
}

#[tokio::test]
async fn progress_is_told_up_to_the_end() {
    let rig = grown().await;
    let mut told = Vec::new();
    let store = MemoryStore::on(&rig.disk);
    let verify = Verify { origin: ORIGIN, mark: None, vkey: None, indexes: None };
    verify.run(&store, &mut |done, all| told.push((done, all))).unwrap();
    assert_eq!(told.last(), Some(&(rig.log.as_of(), rig.log.as_of())));
}

#[tokio::test]
async fn the_rows_of_an_honest_log_are_added_up_and_not_looked_up_one_by_one() {
    let rig = grown().await;
    let mut told = Vec::new();
    let store = MemoryStore::on(&rig.disk);
    let verify = Verify { origin: ORIGIN, mark: None, vkey: None, indexes: Some([7; 32]) };
    verify.run(&store, &mut |done, all| told.push((done, all))).unwrap();
    // The records, then the rows; records a second time would mean that the sums differed.
    let size = rig.log.as_of();
    assert_eq!(told.first(), Some(&(size, size)));
    assert!(matches!(told.get(1..), Some([(0, rows)]) if *rows >= size), "{told:?}");
}
