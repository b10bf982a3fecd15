//! Two threads at one sequencer: what one builds while the other writes.

use std::thread::JoinHandle;

use super::*;
use crate::disk::Level;
use crate::event::Refused;
use crate::log::{Mode, Verify, turns};
use crate::store::faulty::Fault;

/// So many callers that two threads take turns.
const CROWD: usize = 16;

/// A log in memory with both of its writing threads.
struct Writing {
    directory: TempDir,
    log: Log,
    store: Arc<FaultyStore<MemoryStore>>,
    disk: Disk,
    watcher: Watcher,
    settings: Settings,
    clock: Arc<TestClock>,
    threads: JoinHandle<()>,
}

impl Writing {
    fn new() -> Self {
        let Rig { directory, clock, settings, disk, store, log, sequencer, watcher, .. } = Rig::new();
        let threads = std::thread::spawn(move || turns::run(sequencer, "log"));
        Self { directory, log, store, disk, watcher, settings, clock, threads }
    }

    /// Submits an event; it is in the queue, or further, when this returns.
    async fn submit(&self, event: Happened, changes: Changes, reads: ReadSet) -> Pending {
        let log = self.log.clone();
        let task = tokio::spawn(async move { log.commit(event, changes, reads).await });
        tokio::task::yield_now().await;
        task
    }

    async fn submit_reads(&self, callers: usize) -> Vec<Pending> {
        let mut pending = Vec::new();
        for _ in 0..callers {
            pending.push(self.submit(read_of("a"), Changes::default(), ReadSet::default()).await);
        }
        pending
    }

    /// A crowd, all of which are answered: from now on there are two at it. They wait behind a write that hangs, so that
    /// they are seen together however slowly they come.
    async fn warm_up(&self) {
        let first = self.hang(read_of("a"), Changes::default()).await;
        let behind = self.submit_reads(CROWD - 1).await;
        self.store.go_on();
        for pending in behind.into_iter().chain([first]) {
            pending.await.unwrap().expect("a committed event").into_event();
        }
        assert_eq!(self.log.as_of(), CROWD as u64);
    }

    /// The write of `event` hangs when this returns.
    async fn hang(&self, event: Happened, changes: Changes) -> Pending {
        self.store.hang();
        let pending = self.submit(event, changes, ReadSet::default()).await;
        self.store.wait_until_it_hangs();
        pending
    }

    /// Some of `submitted`, which wait behind a write that hangs, are in a batch when this returns.
    async fn wait_until_built(&self, submitted: usize) {
        while self.log.status().queued >= submitted {
            tokio::task::yield_now().await;
        }
    }

    fn kinds(&self) -> Vec<Kind> {
        let kind = |index| Record::parse(&self.log.record(index).unwrap().expect("a record")).unwrap().kind();
        (0..self.log.as_of()).map(kind).collect()
    }

    /// Stops the log and checks every byte of it.
    fn stop(self) {
        self.log.shared.lanes.close(Refused::Stopping);
        self.threads.join().unwrap();
        let mark = MarkFile::open(&self.settings.high_water_mark).unwrap().newest();
        let verify = Verify { origin: ORIGIN, mark, vkey: None, indexes: None };
        let report = verify.run(&MemoryStore::on(&self.disk), &mut |_, _| {}).unwrap();
        assert_eq!((report.findings, report.size), (Vec::new(), self.log.as_of()));
        drop(self.directory);
    }
}

#[tokio::test]
async fn a_batch_is_built_while_the_one_before_it_is_written_and_both_are_in_order() {
    let log = Writing::new();
    log.warm_up().await;
    let first = log.hang(read_of("a"), Changes::default()).await;
    let behind = log.submit_reads(CROWD).await;
    log.wait_until_built(CROWD).await;
    assert_eq!(log.log.as_of(), CROWD as u64, "nothing of either is shown");
    assert!(!first.is_finished() && behind.iter().all(|pending| !pending.is_finished()));
    log.store.go_on();
    let first = first.await.unwrap().expect("a committed event").locator().index;
    assert_eq!(first, CROWD as u64);
    let mut places = Vec::new();
    for pending in behind {
        places.push(pending.await.unwrap().expect("a committed event").locator().index);
    }
    assert_eq!(places, (first + 1..=first + CROWD as u64).collect::<Vec<_>>());
    log.stop();
}

#[tokio::test]
async fn i09_what_was_built_on_a_write_that_failed_is_refused_and_never_written() {
    for (fault, kept) in
        [(Fault::NotWritten, vec![]), (Fault::UnknownAbsent, vec![]), (Fault::UnknownPresent, vec![Kind::Access])]
    {
        let log = Writing::new();
        log.warm_up().await;
        log.store.plan([fault]);
        let first = log.hang(read_of("a"), Changes::default()).await;
        let behind = log.submit_reads(CROWD).await;
        log.wait_until_built(CROWD).await;
        log.store.go_on();
        for pending in behind.into_iter().chain([first]) {
            assert!(matches!(pending.await.unwrap(), Err(CommitError::Unavailable(_, Refused::Store))));
        }
        let later = served_again(&log).await;
        // What was found is told of.
        let told = kept.iter().map(|_| Kind::Outcome);
        let expected: Vec<_> = kept.iter().copied().chain(told).chain([Kind::Access]).collect();
        assert_eq!(log.kinds()[CROWD..], expected, "{fault:?}");
        assert_eq!(later, log.log.as_of() - 1);
        log.stop();
    }
}

#[tokio::test]
async fn what_the_log_itself_had_to_say_in_a_batch_that_was_taken_apart_is_said_once() {
    let log = Writing::new();
    log.warm_up().await;
    log.store.plan([Fault::UnknownAbsent]);
    let first = log.hang(read_of("a"), Changes::default()).await;
    log.watcher.set_level(Level::Soft);
    log.wait_until_built(1).await;
    log.store.go_on();
    assert!(first.await.unwrap().is_err());
    served_again(&log).await;
    assert_eq!(log.kinds()[CROWD..], [Kind::System, Kind::Access]);
    log.stop();
}

/// Waits until the store serves; the index of a read that was then committed.
async fn served_again(log: &Writing) -> u64 {
    loop {
        let pending = log.submit(read_of("b"), Changes::default(), ReadSet::default()).await;
        match pending.await.unwrap() {
            Ok(committed) => return committed.locator().index,
            Err(CommitError::Unavailable(_, Refused::Store)) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn i13_who_is_sent_back_by_a_change_in_the_batch_before_hears_of_it_when_it_can_see_it() {
    let log = Writing::new();
    log.warm_up().await;
    let stale = reads(&log.log, &["x"]);
    let change = log.hang(read_of("a"), change("x")).await;
    let sent_back = log.submit(read_of("b"), Changes::default(), stale).await;
    log.wait_until_built(1).await;
    tokio::task::yield_now().await;
    assert!(!sent_back.is_finished(), "it would see what it saw before");
    log.store.go_on();
    assert!(matches!(sent_back.await.unwrap(), Err(CommitError::Conflict(_))));
    assert_eq!(log.log.as_of(), CROWD as u64 + 1, "the change is shown by then");
    change.await.unwrap().expect("a committed event").into_event();
    log.stop();
}

#[tokio::test]
async fn a_clock_step_in_a_batch_that_was_taken_apart_is_recorded_all_the_same() {
    let log = Writing::new();
    log.warm_up().await;
    log.store.plan([Fault::UnknownPresent]);
    let first = log.hang(read_of("a"), Changes::default()).await;
    log.clock.set_wall(1_000_000_000 * SECOND);
    let behind = log.submit_reads(1).await;
    log.wait_until_built(1).await;
    log.store.go_on();
    for pending in behind.into_iter().chain([first]) {
        assert!(pending.await.unwrap().is_err());
    }
    served_again(&log).await;
    let steps = log.kinds().into_iter().filter(|kind| *kind == Kind::ClockStep).count();
    assert_eq!(steps, 1);
    log.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_faults_each_acknowledged_record_is_in_its_place_and_the_log_is_whole() {
    let writing = Writing::new();
    let callers = (0..2 * CROWD).map(|caller| {
        let (log, store) = (writing.log.clone(), Arc::clone(&writing.store));
        tokio::spawn(async move {
            let mut places = Vec::new();
            for turn in 0..12 {
                if caller == 0 && turn % 3 == 0 {
                    store.plan([Fault::None, [Fault::UnknownAbsent, Fault::UnknownPresent][turn / 3 % 2]]);
                }
                let event = read_of("a");
                let request = event.draft.request.clone();
                if let Ok(committed) = log.commit(event, Changes::default(), ReadSet::default()).await {
                    places.push((committed.locator().index, request));
                }
            }
            places
        })
    });
    let mut places = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        places.extend(caller.await.unwrap());
    }
    served_again(&writing).await;
    assert!(writing.store.reopened() > 0, "faults came");
    for (index, request) in &places {
        let record = Record::parse(&writing.log.record(*index).unwrap().unwrap()).unwrap();
        assert_eq!(record.request(), request);
    }
    assert_eq!(writing.log.status().mode, Mode::Serving);
    writing.stop();
}
