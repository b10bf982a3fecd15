//! A file of the engine's log that was synced, closed and is gone: refused with both sizes, and only an accepted loss goes
//! on.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::log::{AcceptError, Acceptance, Verify, accept, begun, finish};
use crate::recovery;
use crate::store::rocks::{HeldFlushes, RocksStore};

/// Opens the log with its store in hand.
fn open(settings: &Settings, environment: &Environment) -> (Log, Arc<RocksStore>) {
    let mark = MarkFile::open(&settings.high_water_mark).unwrap();
    let newest = mark.newest().unwrap();
    let mut found = None;
    let opened = recovery::open_with_recovery(&settings.store, &mut |rows| {
        start::judge(&mut found, start::examine(rows, &settings.origin, &newest))
    });
    let store = Arc::new(opened.unwrap().store);
    let shared = Arc::clone(&store) as Arc<dyn store::Store>;
    let workers = Workers::assemble(shared, mark, found.unwrap().unwrap(), settings, environment).unwrap();
    (workers.start().unwrap(), store)
}

async fn commit(log: &Log, times: u32) {
    for _ in 0..times {
        log.commit(read_of("a"), Changes::default(), ReadSet::default()).await.unwrap().into_event();
    }
}

/// Every file of a store, open or not, that nobody commits to. The engine may be tidying up behind the last commit: a copy
/// that it changed something under is made again.
pub(super) fn copy_all(from: &Path, to: &Path) {
    while !copied_unchanged(from, to) {
        fs::remove_dir_all(to).unwrap();
    }
}

fn copied_unchanged(from: &Path, to: &Path) -> bool {
    fs::create_dir(to).unwrap();
    let before = files(from);
    let copied = before.iter().all(|(name, _)| fs::copy(from.join(name), to.join(name)).is_ok());
    copied && files(from) == before
}

/// Names and lengths.
fn files(directory: &Path) -> BTreeMap<OsString, Option<u64>> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name(), entry.metadata().ok().map(|meta| meta.len()))).collect()
}

/// A log of 4 records in tables, 6 in a closed file of the engine's log and more in the live one, and that closed file.
async fn killed(directory: &TempDir, settings: &mut Settings, environment: &Environment) -> (u64, PathBuf) {
    Log::create(settings, environment).unwrap();
    let (log, _) = open(settings, environment);
    commit(&log, 4).await;
    log.stop().await;
    drop(log);
    let (log, store) = open(settings, environment);
    let held = HeldFlushes::hold();
    commit(&log, 6).await;
    store.begin_flush();
    commit(&log, 5).await;
    log.stop().await;
    let size = log.as_of();
    let copy = directory.path().join("killed");
    copy_all(&settings.store, &copy);
    drop((held, log, store));
    settings.store.clone_from(&copy);
    let logs = fs::read_dir(&copy).unwrap().map(|entry| entry.unwrap().path());
    let mut logs: Vec<PathBuf> = logs
        .filter(|path| path.extension().is_some_and(|kind| kind == "log") && path.metadata().unwrap().len() > 0)
        .collect();
    logs.sort();
    assert_eq!(logs.len(), 2, "{logs:?}");
    (size, logs.remove(0))
}

#[tokio::test]
async fn attack_g12_a_closed_log_that_is_missing_is_refused_with_both_sizes_and_goes_on_after_an_accepted_loss() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), clock());
    let environment = environment(&clock);
    let mut settings = settings(&directory, limits());
    let (size, closed) = killed(&directory, &mut settings, &environment).await;
    let before = fs::read(&settings.high_water_mark).unwrap();
    fs::remove_file(&closed).unwrap();
    let refused = Log::open(&settings, &environment).expect_err("a refusal");
    assert!(matches!(refused, OpenError::Lost { size: 4, mark } if mark == size), "{refused}");

    // Even a mark that knows of none of the lost records does not make it whole.
    let mark = MarkFile::open(&settings.high_water_mark).unwrap().newest().unwrap();
    fs::remove_file(&settings.high_water_mark).unwrap();
    let copy = directory.path().join("read");
    copy_all(&settings.store, &copy);
    let left = recovery::open_what_is_left(&copy, &mut |_, _| Ok(())).unwrap().store;
    let left = store::read(&left, |rows| Ok(start::load(rows, ORIGIN))).unwrap().unwrap();
    let earlier = left.head.durable();
    crate::log::open::create_mark(&settings.high_water_mark, ORIGIN, &earlier).unwrap();
    let refused = Log::open(&settings, &environment).expect_err("a refusal");
    let name = closed.file_name().unwrap().to_str().unwrap();
    assert!(matches!(&refused, OpenError::Gap { file, size: 4, mark: 4 } if file == name), "{refused}");
    assert!(refused.to_string().contains("keyward audit accept-loss"), "{refused}");

    fs::write(&settings.high_water_mark, before).unwrap();
    let new_key = SigningKey::from_seed("audit.example.com/keyward-2", &[9; 32]).unwrap();
    let acceptance = Acceptance {
        store: &settings.store,
        high_water_mark: &settings.high_water_mark,
        origin: ORIGIN,
        old_vkey: settings.key.verifying_key(),
        old_key: Some(settings.key.as_ref()),
        new_key: &new_key,
        reason: "a file of the store is gone",
    };
    let accepted = accept(&acceptance, &environment).unwrap();
    assert_eq!((accepted.recovered, accepted.lost, accepted.index), (4, Some(mark.size), 4));
    settings.origin = accepted.origin;
    settings.key = Arc::new(SigningKey::from_seed("audit.example.com/keyward-2", &[9; 32]).unwrap());
    let (log, store) = open(&settings, &environment);
    commit(&log, 3).await;
    log.stop().await;
    assert_eq!(log.as_of(), 8);
    let vkey = Some(settings.key.verifying_key());
    let verify = Verify { origin: &settings.origin, mark: None, vkey, indexes: Some([7; 32]) };
    let report = verify.run(store.as_ref(), &mut |_, _| {}).unwrap();
    assert_eq!((report.size, report.findings), (8, Vec::new()));
}

/// The files that hold data, as opposed to the engine's text log and lock.
fn data(directory: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let holds = |name: &str| [".sst", ".log"].iter().any(|end| name.ends_with(end)) || name.starts_with("MANIFEST-");
    let names =
        files(directory).into_keys().filter(|name| name.to_str().is_some_and(|name| holds(name) || name == "CURRENT"));
    names.map(|name| (name.clone(), fs::read(directory.join(name)).unwrap())).collect()
}

#[tokio::test]
async fn attack_g12_a_gap_that_the_mark_does_not_know_of_is_closed_only_with_the_record_of_its_loss() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), clock());
    let environment = environment(&clock);
    let mut settings = settings(&directory, limits());
    let (_, closed) = killed(&directory, &mut settings, &environment).await;
    fs::remove_file(&closed).unwrap();
    let mut left = None;
    recovery::look_at_what_is_left(&settings.store, &mut |store| {
        left = Some(store::read(store, |rows| Ok(start::load(rows, ORIGIN))).unwrap().unwrap().head.durable());
    })
    .unwrap();
    fs::remove_file(&settings.high_water_mark).unwrap();
    crate::log::open::create_mark(&settings.high_water_mark, ORIGIN, &left.unwrap()).unwrap();
    assert!(matches!(Log::open(&settings, &environment), Err(OpenError::Gap { size: 4, mark: 4, .. })));

    // Whoever looks, and whoever is refused, leaves the gap where it is.
    let before = data(&settings.store);
    let (same, new_key) = (key(ORIGIN), SigningKey::from_seed("audit.example.com/keyward-2", &[9; 32]).unwrap());
    let acceptance = |new_key| Acceptance {
        store: &settings.store,
        high_water_mark: &settings.high_water_mark,
        origin: ORIGIN,
        old_vkey: settings.key.verifying_key(),
        old_key: Some(settings.key.as_ref()),
        new_key,
        reason: "a file of the store is gone",
    };
    assert_eq!(begun(&settings.store, ORIGIN).unwrap(), None);
    assert!(matches!(accept(&acceptance(&same), &environment), Err(AcceptError::SameOrigin(_))));
    assert!(matches!(finish(&settings.store, &settings.high_water_mark, ORIGIN), Err(AcceptError::NotBegun)));
    assert!(data(&settings.store) == before, "a refused store was touched");
    assert!(matches!(Log::open(&settings, &environment), Err(OpenError::Gap { size: 4, mark: 4, .. })));

    // The old mark cannot be moved, and the store looks whole to it: the record of the loss alone keeps it closed.
    let aside = settings.high_water_mark.with_file_name("hwm.epoch-1");
    fs::create_dir_all(aside.join("in the way")).unwrap();
    assert!(matches!(accept(&acceptance(&new_key), &environment), Err(AcceptError::Mark(_))));
    fs::remove_dir_all(&aside).unwrap();
    let refused = Log::open(&settings, &environment).expect_err("a refusal");
    assert!(matches!(&refused, OpenError::Unfinished(origin) if origin == "audit.example.com/keyward-2"), "{refused}");
    assert!(matches!(accept(&acceptance(&new_key), &environment), Err(AcceptError::Begun(_))));
    assert_eq!(begun(&settings.store, ORIGIN).unwrap().map(|loss| loss.index), Some(4));
    let accepted = finish(&settings.store, &settings.high_water_mark, ORIGIN).unwrap();
    assert_eq!((accepted.recovered, accepted.index), (4, 4));

    settings.origin = accepted.origin;
    settings.key = Arc::new(new_key);
    let (log, store) = open(&settings, &environment);
    commit(&log, 3).await;
    log.stop().await;
    assert_eq!((log.as_of(), log.status().epoch), (8, 2));
    let verify = Verify { origin: &settings.origin, mark: None, vkey: None, indexes: Some([7; 32]) };
    let report = verify.run(store.as_ref(), &mut |_, _| {}).unwrap();
    assert_eq!((report.size, report.findings), (8, Vec::new()));
}
