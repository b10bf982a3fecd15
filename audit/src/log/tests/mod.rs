//! Tests of the log, turn by turn: no thread runs and no clock moves unless the test says so.

mod asking;
mod backing;
mod commits;
mod faults;
mod gaps;
mod proving;
mod signing;
mod starting;
mod threads;
mod turns;
mod verifying;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::followers::Follower;
use super::open::{Threads, Workers, create_on};
use super::sequencer::{Sequencer, Turn};
use super::settings::{Limits, Settings};
use super::signer::Signer;
use super::start::{self, OpenError};
use super::watch::Watcher;
use super::{Log, Query};
use crate::environment::{Clock, Environment, Random, RandomError};
use crate::event::{Changes, CommitError, Committed, Event, Generation, Lane, ReadSet};
use crate::mark::MarkFile;
use crate::note::SigningKey;
use crate::record::{Decision, Draft, Kind, Outcome, Record};
use crate::store::faulty::FaultyStore;
use crate::store::memory::{Disk, MemoryStore};
use crate::store::{self, Family, Key, Tail, Write};

pub(super) const ORIGIN: &str = "audit.example.com/keyward";
pub(super) const SECOND: u64 = 1_000_000;

#[derive(Debug)]
pub(super) struct TestClock {
    wall_us: AtomicU64,
    monotonic_us: AtomicU64,
}

impl TestClock {
    pub(super) fn pass(&self, us: u64) {
        self.wall_us.fetch_add(us, Ordering::SeqCst);
        self.monotonic_us.fetch_add(us, Ordering::SeqCst);
    }

    /// The monotonic clock of the next process, which begins with it.
    pub(super) fn begin_anew(&self) {
        self.monotonic_us.store(0, Ordering::SeqCst);
    }

    pub(super) fn set_wall(&self, us: u64) {
        self.wall_us.store(us, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn wall_us(&self) -> u64 {
        self.wall_us.load(Ordering::SeqCst)
    }

    fn monotonic_us(&self) -> u64 {
        self.monotonic_us.load(Ordering::SeqCst)
    }
}

/// Counts instead of rolling dice: every request id is another one, and each run has the same.
#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        let number = self.0.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        bytes.iter_mut().zip(number.iter().cycle()).for_each(|(byte, digit)| *byte = *digit);
        Ok(())
    }
}

pub(super) fn clock() -> Arc<TestClock> {
    Arc::new(TestClock { wall_us: AtomicU64::new(1_767_225_600 * SECOND), monotonic_us: AtomicU64::new(SECOND) })
}

pub(super) fn environment(clock: &Arc<TestClock>) -> Environment {
    Environment { clock: Arc::clone(clock) as Arc<dyn Clock>, random: Arc::new(Counting::default()) }
}

pub(super) fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(name, &[7; 32]).unwrap()
}

/// Deadlines are long, so that no test depends on how fast it runs.
pub(super) fn limits() -> Limits {
    Limits { deadline: Duration::from_secs(600), ..Limits::default() }
}

pub(super) fn settings(directory: &TempDir, limits: Limits) -> Settings {
    Settings {
        store: directory.path().join("db"),
        high_water_mark: directory.path().join("hwm"),
        origin: ORIGIN.to_owned(),
        key: Arc::new(key(ORIGIN)),
        limits,
        disk: None,
    }
}

/// A log in memory whose turns the test takes.
pub(super) struct Rig {
    pub(super) directory: TempDir,
    pub(super) clock: Arc<TestClock>,
    pub(super) environment: Environment,
    pub(super) settings: Settings,
    pub(super) disk: Disk,
    pub(super) store: Arc<FaultyStore<MemoryStore>>,
    pub(super) log: Log,
    pub(super) sequencer: Sequencer,
    pub(super) signer: Signer,
    pub(super) follower: Follower,
    pub(super) watcher: Watcher,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(limits())
    }

    pub(super) fn with(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = clock();
        let environment = environment(&clock);
        let settings = settings(&directory, limits);
        let disk = Disk::default();
        create_on(&MemoryStore::on(&disk), &settings, &environment).unwrap();
        Self::open(directory, clock, environment, settings, disk).unwrap()
    }

    pub(super) fn open(
        directory: TempDir,
        clock: Arc<TestClock>,
        environment: Environment,
        settings: Settings,
        disk: Disk,
    ) -> Result<Self, OpenError> {
        let store = Arc::new(FaultyStore::new(MemoryStore::on(&disk)));
        let mark = MarkFile::open(&settings.high_water_mark).map_err(OpenError::Mark)?;
        let newest = mark.newest().unwrap();
        let mut examined = None;
        store::Store::snapshot(store.as_ref(), &mut |rows| {
            examined = Some(start::examine(rows, &settings.origin, &newest));
            Ok(())
        })?;
        let shared_store: Arc<dyn store::Store> = Arc::clone(&store) as Arc<dyn store::Store>;
        let workers = Workers::assemble(shared_store, mark, examined.unwrap()?, &settings, &environment)?;
        workers.note_tail(Tail::Whole);
        let Workers { log, sequencer, signer, follower, watcher } = workers;
        let log = Log { threads: Arc::new(Threads::new(Arc::clone(&log))), shared: log };
        Ok(Self { directory, clock, environment, settings, disk, store, log, sequencer, signer, follower, watcher })
    }

    /// The process dies; what is on disk is opened again.
    pub(super) fn die_and_open(self) -> Result<Self, OpenError> {
        let Self { directory, clock, environment, settings, disk, .. } = self;
        Self::open(directory, clock, environment, settings, disk)
    }

    /// Submits an event; it waits in the queue when this returns.
    pub(super) async fn submit(&self, event: Happened, changes: Changes, reads: ReadSet) -> Pending {
        let log = self.log.clone();
        let task = tokio::spawn(async move { log.commit(event, changes, reads).await });
        tokio::task::yield_now().await;
        task
    }

    /// Submits an event that waits for its answer without a deadline.
    pub(super) async fn submit_unhurried(&self, event: Happened) -> Pending {
        let log = self.log.clone();
        let commit = async move { log.commit_unhurried(event, Changes::default(), ReadSet::default()).await };
        let task = tokio::spawn(commit);
        tokio::task::yield_now().await;
        task
    }

    /// Submits `event` and takes turns until it is answered.
    pub(super) async fn commit(&mut self, event: Happened) -> Committed<Happened> {
        let pending = self.submit(event, Changes::default(), ReadSet::default()).await;
        self.work();
        pending.await.unwrap().expect("a committed event")
    }

    /// Takes turns until there is nothing to do.
    pub(super) fn work(&mut self) {
        for _ in 0..64 {
            if self.sequencer.step() != Turn::Worked {
                return;
            }
        }
        panic!("the sequencer does not come to rest");
    }

    /// Has the indexes built up to the end.
    pub(super) fn index(&self) {
        while self.follower.step().unwrap() {}
    }

    pub(super) fn record(&self, index: u64) -> Record {
        Record::parse(&self.log.record(index).unwrap().expect("a record")).unwrap()
    }

    pub(super) fn kinds(&self) -> Vec<Kind> {
        (0..self.log.as_of()).map(|index| self.record(index).kind()).collect()
    }

    /// From now on the mark can be neither read nor written.
    pub(super) fn break_mark(&self) {
        let elsewhere = MarkFile::create(&self.directory.path().join("without a mark")).unwrap();
        *super::sync::lock(&self.log.shared.marked.file) = elsewhere;
    }

    /// Changes a row behind the log's back.
    pub(super) fn tamper(&self, key: Key, value: Option<Vec<u8>>) {
        let store = MemoryStore::on(&self.disk);
        let committed = store::Store::commit(&store, &[Write { key, value }], &[]);
        assert!(matches!(committed, store::Commit::Committed));
    }
}

pub(super) type Pending = JoinHandle<Result<Committed<Happened>, CommitError<Happened>>>;

/// An event that says what its test wants.
#[derive(Clone, Debug)]
pub(super) struct Happened {
    pub(super) draft: Draft,
    pub(super) lane: Lane,
}

impl Event for Happened {
    fn draft(&self) -> &Draft {
        &self.draft
    }

    fn lane(&self) -> Lane {
        self.lane
    }
}

pub(super) fn secret(name: &str) -> String {
    format!("qcs::ssm:local:uin/100000000001:secret/creatorUin/42/{name}")
}

/// A read of the secret `name` that was allowed.
pub(super) fn read_of(name: &str) -> Happened {
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    let request = format!("00000000-0000-4000-8000-{:012x}", REQUESTS.fetch_add(1, Ordering::SeqCst));
    let mut draft = Draft::new(Kind::Access, "ssm:GetSecretValue", "native", request);
    draft.decision = Some(Decision::Allow);
    draft.outcome = Some(Outcome::Ok);
    draft.principal = Some("user/dev/app".to_owned());
    draft.resource = Some(secret(name));
    Happened { draft, lane: Lane::Caller }
}

/// A denied read of the secret `name`.
pub(super) fn denial_of(name: &str) -> Happened {
    let mut event = read_of(name);
    event.draft.decision = Some(Decision::Deny);
    event.draft.outcome = Some(Outcome::Denied);
    event.draft.reason = Some("default_deny".to_owned());
    event.lane = Lane::Reserve;
    event
}

pub(super) fn row(name: &str) -> Key {
    Key::new(Family::Secrets, name)
}

/// Changes the row `name` and moves the generation `keys`.
pub(super) fn change(name: &str) -> Changes {
    Changes {
        writes: vec![Write { key: row(name), value: Some(b"changed".to_vec()) }],
        bumps: vec![Generation("keys")],
        indexed: Vec::new(),
    }
}

pub(super) fn reads(log: &Log, rows: &[&str]) -> ReadSet {
    ReadSet { as_of: log.as_of(), rows: rows.iter().map(|name| row(name)).collect(), generations: Vec::new() }
}

pub(super) fn everything() -> Query {
    Query { limit: 10_000, scan_max: 100_000, ..Query::default() }
}
