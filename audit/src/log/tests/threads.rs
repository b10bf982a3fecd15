//! A whole log on RocksDB, with its threads and the system's clock.

use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::*;
use crate::event::Refused;
use crate::mark::MarkError;
use crate::record::Value;

#[derive(Debug)]
struct SystemClock(Instant);

impl Clock for SystemClock {
    fn wall_us(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
    }

    fn monotonic_us(&self) -> u64 {
        self.0.elapsed().as_micros() as u64
    }
}

pub(super) fn system() -> Environment {
    Environment { clock: Arc::new(SystemClock(Instant::now())), random: Arc::new(Counting::default()) }
}

pub(super) async fn commit(log: &Log, event: Happened) -> Committed<Happened> {
    log.commit(event, Changes::default(), ReadSet::default()).await.expect("a committed event")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_get_each_their_own_place_and_all_of_it_survives() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory, limits());
    Log::create(&settings, &system()).unwrap();
    let log = Log::open(&settings, &system()).unwrap();
    let mut tasks = Vec::new();
    for _ in 0..16 {
        let log = log.clone();
        tasks.push(tokio::spawn(async move {
            let mut places = Vec::new();
            for _ in 0..25 {
                let committed = commit(&log, read_of("a")).await;
                places.push((committed.locator().index, committed.event().draft.request.clone()));
            }
            places
        }));
    }
    let mut places = Vec::new();
    for task in tasks {
        places.extend(task.await.unwrap());
    }
    places.sort();
    let indices: Vec<u64> = places.iter().map(|(index, _)| *index).collect();
    assert_eq!(indices, (0..400).collect::<Vec<_>>());
    assert_eq!(log.checkpoint_now().await.unwrap().checkpoint().size, 400);
    log.stop().await;
    let refused = log.commit(read_of("a"), Changes::default(), ReadSet::default()).await;
    assert!(matches!(refused, Err(CommitError::Unavailable(_, Refused::Stopping))));
    drop(log);

    let log = Log::open(&settings, &system()).unwrap();
    for (index, request) in &places {
        let record = Record::parse(&log.record(*index).unwrap().unwrap()).unwrap();
        assert_eq!(record.request(), request);
    }
    assert_eq!(log.newest_checkpoint().unwrap().checkpoint().size, 400);
    log.stop().await;
}

#[tokio::test]
async fn stop_writes_what_waits_and_signs_it() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory, limits());
    Log::create(&settings, &system()).unwrap();
    let log = Log::open(&settings, &system()).unwrap();
    let mut waiting = Vec::new();
    for _ in 0..50 {
        let log = log.clone();
        waiting
            .push(tokio::spawn(async move { log.commit(read_of("a"), Changes::default(), ReadSet::default()).await }));
    }
    tokio::task::yield_now().await;
    log.stop().await;
    let mut committed = 0;
    for waiting in waiting {
        committed += u64::from(waiting.await.unwrap().is_ok());
    }
    assert_eq!(log.as_of(), committed);
    assert_eq!(log.newest_checkpoint().unwrap().checkpoint().size, committed);
}

#[tokio::test]
async fn a_log_is_made_once_and_opened_only_with_its_mark_and_key() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory, limits());
    Log::create(&settings, &system()).unwrap();
    assert!(Log::create(&settings, &system()).is_err());

    let other = Settings { origin: "audit.example.com/other".to_owned(), ..settings.clone() };
    assert!(matches!(Log::open(&other, &system()), Err(OpenError::OtherKey { .. })));

    let aside = directory.path().join("aside");
    std::fs::rename(&settings.high_water_mark, &aside).unwrap();
    let refused = Log::open(&settings, &system()).expect_err("a refusal");
    assert!(matches!(refused, OpenError::NoMark { size: 0, mark: MarkError::Missing { .. } }), "{refused}");
    std::fs::write(&settings.high_water_mark, [7; 8192]).unwrap();
    let refused = Log::open(&settings, &system()).expect_err("a refusal");
    assert!(matches!(refused, OpenError::NoMark { size: 0, mark: MarkError::Unreadable { .. } }), "{refused}");
    std::fs::rename(&aside, &settings.high_water_mark).unwrap();
    Log::open(&settings, &system()).unwrap().stop().await;
}

/// The newest write-ahead log of the store, cut off inside its first batch.
fn tear(store: &Path) {
    let logs = std::fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path());
    let newest = logs.filter(|path| path.extension().is_some_and(|kind| kind == "log")).max().unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(newest).unwrap();
    assert!(file.metadata().unwrap().len() > 100);
    file.set_len(100).unwrap();
}

#[tokio::test]
async fn a_tail_torn_above_the_mark_is_cut_off_and_recorded_and_one_below_it_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory, limits());
    Log::create(&settings, &system()).unwrap();
    let log = Log::open(&settings, &system()).unwrap();
    commit(&log, read_of("a")).await.into_event();
    log.stop().await;
    drop(log);
    let before = std::fs::read(&settings.high_water_mark).unwrap();

    let log = Log::open(&settings, &system()).unwrap();
    commit(&log, read_of("torn")).await.into_event();
    log.stop().await;
    // As a killed process leaves it: closing it in order writes out what its log holds.
    let killed = directory.path().join("killed");
    gaps::copy_all(&settings.store, &killed);
    drop(log);
    std::fs::remove_dir_all(&settings.store).unwrap();
    std::fs::rename(&killed, &settings.store).unwrap();
    tear(&settings.store);
    let refused = Log::open(&settings, &system()).expect_err("a refusal");
    assert!(matches!(refused, OpenError::Lost { size: 1, mark: 2 }), "{refused}");

    std::fs::write(&settings.high_water_mark, before).unwrap();
    let log = Log::open(&settings, &system()).unwrap();
    commit(&log, read_of("b")).await.into_event();
    let record = Record::parse(&log.record(1).unwrap().unwrap()).unwrap();
    assert_eq!(record.draft().parameters.get("event"), Some(&Value::from("torn_tail_recovered")));
    assert_eq!(log.as_of(), 3);
    log.stop().await;
}
