//! Backups of a log that is written to meanwhile, and what a restore makes of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::threads::{commit, system};
use super::*;
use crate::backup::{Manifest, Receiver};
use crate::beside::Beside;
use crate::checkpoint::SignedCheckpoint;
use crate::log::restore::{Restoration, RestoreError, Restoring, restore};
use crate::log::{AcceptError, Acceptance, BackupError, accept};
use crate::note::VerifyingKey;
use crate::record::Value;

/// A log on disk that is open.
struct Serving {
    directory: TempDir,
    settings: Settings,
    log: Log,
}

async fn write(log: &Log, event: Happened) {
    drop(commit(log, event).await);
}

impl Serving {
    async fn with_records(count: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(&directory, limits());
        Log::create(&settings, &system()).unwrap();
        let log = Log::open(&settings, &system()).unwrap();
        for number in 0..count {
            write(&log, read_of(&number.to_string())).await;
        }
        Self { directory, settings, log }
    }

    async fn signed(&self) -> Arc<SignedCheckpoint> {
        self.log.checkpoint_now().await.unwrap()
    }

    /// Takes a backup into a directory of its own.
    async fn back_up(&self, name: &str) -> (PathBuf, Manifest) {
        let (log, signed, to) = (self.log.clone(), self.signed().await, self.directory.path().join(name));
        let target = to.clone();
        let taken = tokio::task::spawn_blocking(move || {
            let mut receiver = Receiver::new(&target).unwrap();
            log.backup(&signed).unwrap().for_each(|block| receiver.push(&block.unwrap()).unwrap());
            receiver.finish().unwrap()
        });
        (to, taken.await.unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_in_the_engines_own_log_is_written_to_tables_after_so_many_records() {
    let serving = Serving::with_records(80).await;
    let tidied = || serving.log.shared.tidied.load(Ordering::Relaxed);
    let before = tidied();
    serving.log.tidy(u64::MAX).unwrap();
    assert_eq!(tidied(), before, "it is not so many yet");
    let at = serving.log.as_of();
    serving.log.tidy(64).unwrap();
    let after = tidied();
    assert!(after >= at, "{after} of {at}");
    write(&serving.log, read_of("one more")).await;
    // On a slow machine the log may add records of its own; they are far from 64.
    serving.log.tidy(64).unwrap();
    assert_eq!(tidied(), after, "since then it was one");
}

/// An empty place for a restored log.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn settings(&self) -> Settings {
        settings(&self.0, limits())
    }

    fn restore(&self, backup: &Path, shown: Option<&[u8]>) -> Result<Restoring, RestoreError> {
        let settings = self.settings();
        let vkey: VerifyingKey = key(ORIGIN).verifying_key().clone();
        restore(&Restoration {
            backup,
            store: &settings.store,
            high_water_mark: &settings.high_water_mark,
            origin: ORIGIN,
            vkey: &vkey,
            shown,
        })
    }

    fn accept(&self) -> Result<crate::log::Accepted, AcceptError> {
        let settings = self.settings();
        let (old, new) = (key(ORIGIN), SigningKey::from_seed("audit.example.com/keyward-2", &[9; 32]).unwrap());
        let acceptance = Acceptance {
            store: &settings.store,
            high_water_mark: &settings.high_water_mark,
            origin: ORIGIN,
            old_vkey: old.verifying_key(),
            old_key: Some(&old),
            new_key: &new,
            reason: "the disk died",
        };
        accept(&acceptance, &system())
    }

    /// The settings of the log after the acceptance.
    fn accepted_settings(&self) -> Settings {
        let key = Arc::new(SigningKey::from_seed("audit.example.com/keyward-2", &[9; 32]).unwrap());
        Settings { origin: "audit.example.com/keyward-2".to_owned(), key, ..self.settings() }
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(self.0.path()).unwrap().next().is_none()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i07_backups_taken_while_records_are_written_are_each_a_whole_log_at_their_mark() {
    let serving = Serving::with_records(3).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (log, until) = (serving.log.clone(), Arc::clone(&stop));
    let writing = tokio::spawn(async move {
        let mut written = 0_u64;
        while !until.load(Ordering::SeqCst) {
            write(&log, read_of(&"x".repeat(400))).await;
            written += 1;
        }
        written
    });
    let mut sizes = Vec::new();
    for round in 0..8 {
        let before = serving.log.as_of();
        let (backup, manifest) = serving.back_up(&format!("backup-{round}")).await;
        assert!(manifest.size >= before && manifest.signed_size <= manifest.size, "{manifest:?}");
        let place = Place::new();
        let restored = place.restore(&backup, None).unwrap();
        assert_eq!((restored.size, restored.known, restored.needs_acceptance), (manifest.size, None, true));
        sizes.push(manifest.size);
    }
    stop.store(true, Ordering::SeqCst);
    assert!(writing.await.unwrap() > 0);
    assert!(sizes.is_sorted() && sizes.first() < sizes.last(), "{sizes:?}");
    serving.log.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i07_a_restored_copy_is_not_opened_before_the_signed_record_of_its_acceptance() {
    let serving = Serving::with_records(5).await;
    let (backup, manifest) = serving.back_up("backup").await;
    for number in 0..4 {
        write(&serving.log, read_of(&number.to_string())).await;
    }
    let newer = serving.signed().await;
    serving.log.stop().await;

    let place = Place::new();
    let restored = place.restore(&backup, Some(newer.note().as_bytes())).unwrap();
    assert_eq!((restored.size, restored.known, restored.needs_acceptance), (5, Some(9), true));
    for _ in 0..2 {
        let refused = Log::open(&place.settings(), &system()).unwrap_err();
        assert!(matches!(refused, OpenError::Restored { size: 5, .. }), "{refused}");
        assert!(refused.to_string().contains("`9`"), "{refused}");
    }
    let accepted = place.accept().unwrap();
    assert_eq!((accepted.index, accepted.recovered, accepted.lost), (5, 5, None));
    let log = Log::open(&place.accepted_settings(), &system()).unwrap();
    let record = Record::parse(&log.record(5).unwrap().unwrap()).unwrap();
    assert_eq!((record.kind(), record.draft().principal.as_deref()), (Kind::Loss, Some("service/operator")));
    let said = record.draft().parameters.get("restored").and_then(Value::as_object).unwrap();
    assert_eq!(said.get("backup").and_then(Value::as_text), Some(format!("sha256:{}", manifest.digest()).as_str()));
    assert_eq!(said.get("size").and_then(Value::as_integer), Some(5));
    let shown = said.get("shown").and_then(Value::as_object).unwrap();
    assert_eq!(shown.get("size").and_then(Value::as_integer), Some(9));
    assert_eq!(shown.get("root").and_then(Value::as_text), Some(hex::encode(newer.checkpoint().root).as_str()));
    write(&log, read_of("later")).await;
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_held_against_the_mark_that_is_there_and_against_another_history() {
    let serving = Serving::with_records(5).await;
    let (backup, _) = serving.back_up("backup").await;
    let marked = |place: &Place| fs::copy(&serving.settings.high_water_mark, place.settings().high_water_mark).unwrap();
    // The mark as it is now: nothing came after the backup.
    let whole = Place::new();
    // An earlier restore, without the mark, was not accepted.
    assert!(whole.restore(&backup, None).unwrap().needs_acceptance);
    fs::remove_dir_all(whole.settings().store).unwrap();
    marked(&whole);
    let restored = whole.restore(&backup, None).unwrap();
    assert_eq!((restored.size, restored.known, restored.needs_acceptance), (5, Some(5), false));
    let log = Log::open(&whole.settings(), &system()).unwrap();
    assert_eq!(log.as_of(), 5);
    // Its head from here on is another history's.
    write(&log, read_of("elsewhere")).await;
    let elsewhere = log.checkpoint_now().await.unwrap();
    log.stop().await;

    write(&serving.log, read_of("here")).await;
    let (later, _) = serving.back_up("later").await;
    serving.log.stop().await;
    let older = Place::new();
    marked(&older);
    let restored = older.restore(&backup, None).unwrap();
    assert_eq!((restored.size, restored.known, restored.needs_acceptance), (5, Some(6), true));
    let accepted = older.accept().unwrap();
    assert_eq!((accepted.recovered, accepted.lost), (5, Some(6)));

    let parted = Place::new();
    let refused = parted.restore(&later, Some(elsewhere.note().as_bytes())).unwrap_err();
    assert!(matches!(refused, RestoreError::OtherHistory { size: 6, .. }), "{refused}");
    let forged = parted.restore(&later, Some(b"nonsense\n")).unwrap_err();
    assert!(matches!(forged, RestoreError::Checkpoint { .. }), "{forged}");
    assert!(parted.is_empty());
    let again = whole.restore(&later, None).unwrap_err();
    assert!(matches!(again, RestoreError::Exists(_)), "{again}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_backup_is_refused_whatever_the_damage_and_nothing_is_in_place() {
    let serving = Serving::with_records(20).await;
    let (backup, manifest) = serving.back_up("backup").await;
    serving.log.stop().await;
    let mut files: Vec<String> = manifest.files.iter().map(|file| file.name.clone()).collect();
    files.push("manifest".to_owned());
    for (name, damage) in files.iter().flat_map(|name| ["flip", "cut", "gone", "link"].map(|damage| (name, damage))) {
        let path = backup.join(name);
        let bytes = fs::read(&path).unwrap();
        match damage {
            "flip" if !bytes.is_empty() => {
                let mut flipped = bytes.clone();
                flipped[bytes.len() / 2] ^= 4;
                fs::write(&path, flipped).unwrap();
            }
            "cut" if !bytes.is_empty() => fs::write(&path, &bytes[..bytes.len() - 1]).unwrap(),
            "gone" => fs::remove_file(&path).unwrap(),
            "link" if name != "manifest" => {
                let aside = serving.directory.path().join("aside");
                fs::rename(&path, &aside).unwrap();
                std::os::unix::fs::symlink(&aside, &path).unwrap();
            }
            _ => continue,
        }
        let place = Place::new();
        let refused = place.restore(&backup, None).expect_err(name);
        assert!(refused.is_finding(), "{name}, {damage}: {refused}");
        assert!(place.is_empty(), "{name}, {damage}");
        let _link = fs::remove_file(&path);
        fs::write(&path, bytes).unwrap();
    }
    let place = Place::new();
    let surplus = backup.join("db/000999.log");
    fs::write(&surplus, b"").unwrap();
    assert!(matches!(place.restore(&backup, None), Err(RestoreError::Damaged(_))));
    fs::remove_file(surplus).unwrap();
    assert!(place.restore(&backup, None).is_ok(), "undamaged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_backup_is_taken_at_a_time_and_what_a_crash_left_of_one_is_removed_at_start() {
    let serving = Serving::with_records(2).await;
    let beside = serving.directory.path().join(".db.keyward-backup");
    let first = serving.log.backup(&*serving.signed().await).unwrap();
    assert!(beside.exists());
    let second = serving.log.backup(&*serving.signed().await);
    assert!(matches!(second, Err(BackupError::Busy)), "{second:?}");
    drop(first);
    assert!(!beside.exists());
    drop(serving.log.backup(&*serving.signed().await).unwrap());
    serving.log.stop().await;
    let Serving { directory, settings, log } = serving;
    drop(log);
    // And of a restore, after which the store itself turned up again.
    let left = [beside, directory.path().join(".db.keyward-restoring")];
    for left in &left {
        fs::create_dir_all(left.join("db")).unwrap();
        fs::write(left.join("db/000004.sst"), b"left").unwrap();
    }
    let log = Log::open(&settings, &system()).unwrap();
    assert!(!left.iter().any(|left| left.exists()));
    log.stop().await;
    drop(directory);
}

/// What an operator may call a folder beside the store.
const OPERATORS: [&str; 4] = ["db.backup", "db.recovery", "db.torn", "db.restoring"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_of_the_operator_beside_the_store_are_left_alone() {
    let serving = Serving::with_records(3).await;
    let around = serving.directory.path().to_owned();
    for name in OPERATORS {
        fs::create_dir(around.join(name)).unwrap();
        fs::write(around.join(name).join("mine"), b"mine").unwrap();
    }
    let all_there = |after: &str| {
        for name in OPERATORS {
            assert!(around.join(name).join("mine").exists(), "`{name}` is gone after {after}");
        }
    };
    let (backup, _) = serving.back_up("taken").await;
    all_there("a backup");
    serving.log.stop().await;
    let Serving { directory, settings, log } = serving;
    drop(log);
    for _ in 0..2 {
        let log = Log::open(&settings, &system()).unwrap();
        log.stop().await;
        drop(log);
        all_there("a start");
    }
    fs::remove_dir_all(&settings.store).unwrap();
    let place = Place(directory);
    place.restore(&backup, None).unwrap();
    all_there("a restore");
    fs::remove_file(&settings.high_water_mark).unwrap();
    place.accept().unwrap();
    all_there("an acceptance");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_called_like_a_copy_of_one_is_opened_and_stays() {
    for name in OPERATORS {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings { store: directory.path().join(name), ..settings(&directory, limits()) };
        Log::create(&settings, &system()).unwrap();
        for size in 1..3 {
            let log = Log::open(&settings, &system()).unwrap();
            assert!(settings.store.join("CURRENT").exists(), "`{name}` was removed while it is open");
            write(&log, read_of("a")).await;
            assert!(log.as_of() >= size);
            log.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i07_a_whole_store_that_is_put_back_after_a_restore_has_lost_nothing_and_is_opened() {
    let serving = Serving::with_records(3).await;
    let (backup, _) = serving.back_up("taken").await;
    for number in 0..3 {
        write(&serving.log, read_of(&number.to_string())).await;
    }
    serving.log.stop().await;
    let Serving { directory, settings, log } = serving;
    drop(log);
    let original = directory.path().join("original");
    fs::rename(&settings.store, &original).unwrap();
    let place = Place(directory);
    assert!(place.restore(&backup, None).unwrap().needs_acceptance);
    let note = place.0.path().join("hwm.restored");
    assert!(note.exists());
    let restored = Log::open(&settings, &system()).unwrap_err();
    assert!(matches!(restored, OpenError::Restored { size: 3, .. }), "{restored}");

    fs::remove_dir_all(&settings.store).unwrap();
    fs::rename(&original, &settings.store).unwrap();
    let refused = place.accept().unwrap_err();
    assert!(matches!(refused, AcceptError::NothingLost(6..)), "{refused}");
    let log = Log::open(&settings, &system()).unwrap();
    assert!(log.as_of() >= 6 && !note.exists());
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i07_the_note_of_a_restore_that_never_came_into_place_does_not_speak_of_the_whole_store() {
    let serving = Serving::with_records(6).await;
    serving.log.stop().await;
    let Serving { directory, settings, log } = serving;
    drop(log);
    let note = directory.path().join("hwm.restored");
    let says = |size: u64| fs::write(&note, format!(r#"{{"backup":"00","size":{size},"time":1}}"#)).unwrap();
    says(3);
    let log = Log::open(&settings, &system()).unwrap();
    let size = log.as_of();
    assert!(!note.exists());
    log.stop().await;
    drop(log);
    // One that was as large, or larger, may be this one: it is refused, and a loss of it may be accepted.
    for more in [size + 9, size] {
        says(more);
        let refused = Log::open(&settings, &system()).unwrap_err();
        assert!(matches!(&refused, OpenError::Restored { size, .. } if *size == more), "{refused}");
    }
    fs::write(&note, format!(r#"{{"backup":"00","shown":{{"root":"00","size":{}}},"size":3,"time":1}}"#, size + 1))
        .unwrap();
    let refused = Log::open(&settings, &system()).unwrap_err();
    assert!(matches!(&refused, OpenError::Restored { size: 3, .. }), "a newer head was shown: {refused}");
    says(size + 9);
    let accepted = Place(directory).accept().unwrap();
    assert_eq!((accepted.recovered, accepted.lost), (size, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_that_cannot_be_read_is_no_lost_mark() {
    let serving = Serving::with_records(1).await;
    serving.log.stop().await;
    let Serving { directory, settings, log } = serving;
    drop(log);
    fs::remove_file(&settings.high_water_mark).unwrap();
    fs::create_dir(&settings.high_water_mark).unwrap();
    let refused = Log::open(&settings, &system()).unwrap_err().to_string();
    assert!(!refused.contains("accept-loss"), "{refused}");
    assert!(refused.contains("make it readable to the gateway's user"), "{refused}");
    drop(directory);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_folder_in_the_stores_place_is_replaced_and_a_folder_that_is_no_backup_is_told() {
    let serving = Serving::with_records(2).await;
    let (backup, _) = serving.back_up("taken").await;
    serving.log.stop().await;
    let place = Place::new();
    fs::create_dir(place.settings().store).unwrap();
    let nowhere = place.0.path().join("nowhere");
    let told = place.restore(&nowhere, None).unwrap_err();
    assert_eq!((told.to_string(), told.is_finding()), (format!("there is no folder `{}`", nowhere.display()), false));
    fs::create_dir(&nowhere).unwrap();
    let told = place.restore(&nowhere, None).unwrap_err();
    let said = format!("`{}` is no backup: it has no manifest", nowhere.display());
    assert_eq!((told.to_string(), told.is_finding()), (said, true));
    assert_eq!(place.restore(&backup, None).unwrap().size, 2);
    let again = place.restore(&backup, None).unwrap_err();
    assert!(matches!(again, RestoreError::Exists(_)), "{again}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i07_no_restore_takes_the_place_of_a_store_over_which_a_recovery_was_interrupted() {
    let serving = Serving::with_records(2).await;
    let (backup, _) = serving.back_up("taken").await;
    write(&serving.log, read_of("a")).await;
    let size = serving.log.as_of();
    serving.log.stop().await;
    let Serving { directory, settings, log } = serving;
    drop(log);
    let place = Place(directory);
    // As it is between the two renames of a recovery.
    let (torn, recovered) = (Beside::Torn.of(&settings.store), Beside::Recovery.of(&settings.store));
    fs::rename(&settings.store, &torn).unwrap();
    fs::create_dir(&recovered).unwrap();
    for entry in fs::read_dir(&torn).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), recovered.join(entry.file_name())).unwrap();
    }
    let told = place.restore(&backup, None).unwrap_err();
    assert!(matches!(told, RestoreError::Interrupted(_)), "{told}");
    fs::create_dir(&settings.store).unwrap();
    let told = place.restore(&backup, None).unwrap_err();
    assert!(told.to_string().contains("start the gateway"), "{told}");
    let log = Log::open(&settings, &system()).unwrap();
    assert!(log.as_of() >= size, "{} of {size}", log.as_of());
    log.stop().await;
    assert!(!torn.exists() && !recovered.exists());
}
