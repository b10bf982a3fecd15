//! What a commit costs beyond its synced write: the log with 1 and 64 callers that wait for each answer, against the same
//! records in as many batches as the log made of them, built beforehand and written synced by one thread straight to the
//! store; and, for what batching costs, against batches of one record of each caller.
//!
//! Rounds of all take turns in one run, on one disk. Trust the ratios, not the figures.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints what it measures and stops at what fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use keyward_audit::log::{Limits, Log, Settings};
use keyward_audit::note::SigningKey;
use keyward_audit::record::{Context, Decision, Draft, Effect, Kind, Layer, LayerName, Outcome, Policy};
use keyward_audit::store::rocks::RocksStore;
use keyward_audit::store::{Commit, Family, Key, Store, Write};
use keyward_audit::{Changes, Clock, Environment, Event, Random, RandomError, ReadSet};

/// The allocator of the program: rows are freed on another thread than they were made on.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rounds of each kind.
const ROUNDS: usize = 7;
/// Callers, and how many commits each of them makes in one round.
const LOADS: [(usize, usize); 2] = [(1, 3_000), (64, 600)];
/// Bytes of the rows that ride in a batch besides the records: head and frontier of a log of this size.
const STATE_BYTES: usize = 700;

fn main() {
    let batches = count_batches();
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let place = wanted.map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let directory = tempfile::tempdir_in(place).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let settings = settings(directory.path());
    Log::create(&settings, &environment()).unwrap();
    let log = Log::open(&settings, &environment()).unwrap();
    let store = RocksStore::create(&directory.path().join("straight")).unwrap();
    let mut next = 0;
    for (callers, commits) in LOADS {
        let rounds: Vec<Round> = (0..ROUNDS)
            .map(|_| {
                let before = batches.load(Ordering::Relaxed);
                let log = runtime.block_on(committed(&log, callers, commits));
                let batches = batches.load(Ordering::Relaxed) - before;
                let same = straight(&store, &mut next, callers * commits, batches);
                let fullest = straight(&store, &mut next, callers * commits, commits);
                Round { log, batches, same, fullest }
            })
            .collect();
        report(callers, callers * commits, &rounds);
    }
    runtime.block_on(log.stop());
}

struct Round {
    log: Duration,
    /// Batches that the log made.
    batches: usize,
    /// As many batches, straight.
    same: Duration,
    /// One batch of all callers after the other, straight.
    fullest: Duration,
}

fn report(callers: usize, records: usize, rounds: &[Round]) {
    let median = |of: &dyn Fn(&Round) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        *values.get(values.len() / 2).unwrap()
    };
    let rate = |time: Duration| records as f64 / time.as_secs_f64();
    println!(
        "{callers:>3} waiting: log {:>8.0}/s in batches of {:>4.1}; straight {:>8.0}/s in the same batches: ratio {:.2} (goal: at \
         least 0.8); {:>8.0}/s in batches of {callers}: ratio {:.2}",
        median(&|round| rate(round.log)),
        median(&|round| records as f64 / round.batches as f64),
        median(&|round| rate(round.same)),
        median(&|round| round.same.as_secs_f64() / round.log.as_secs_f64()),
        median(&|round| rate(round.fullest)),
        median(&|round| round.fullest.as_secs_f64() / round.log.as_secs_f64()),
    );
}

/// Counts the batches that the log writes, by the one metric that it records for each.
fn count_batches() -> Arc<AtomicUsize> {
    let batches = Arc::new(AtomicUsize::new(0));
    metrics::set_global_recorder(Batches(Arc::clone(&batches))).unwrap();
    batches
}

struct Batches(Arc<AtomicUsize>);

struct Count(Arc<AtomicUsize>);

impl metrics::HistogramFn for Count {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl metrics::Recorder for Batches {
    fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}

    fn register_counter(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        metrics::Counter::noop()
    }

    fn register_gauge(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::noop()
    }

    fn register_histogram(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
        match key.name() {
            "keyward_audit_commit_seconds" => metrics::Histogram::from_arc(Arc::new(Count(Arc::clone(&self.0)))),
            _ => metrics::Histogram::noop(),
        }
    }
}

/// Time for `callers` tasks to commit `commits` records each, one after the other.
async fn committed(log: &Log, callers: usize, commits: usize) -> Duration {
    let work: Vec<Vec<Read>> = (0..callers).map(|_| (0..commits).map(|_| Read(draft())).collect()).collect();
    let began = Instant::now();
    let mut tasks = Vec::new();
    for events in work {
        let log = log.clone();
        tasks.push(tokio::spawn(async move {
            let mut kept = Vec::with_capacity(events.len());
            for event in events {
                kept.push(log.commit(event, Changes::default(), ReadSet::default()).await.unwrap().into_event());
            }
            kept
        }));
    }
    // Freeing what another thread has built is work of this bench, not of the log: it is done after the time is taken.
    let mut kept = Vec::with_capacity(tasks.len());
    for task in tasks {
        kept.push(task.await.unwrap());
    }
    began.elapsed()
}

/// Time to write `records` in so many batches, as even as they come.
fn straight(store: &RocksStore, next: &mut u64, records: usize, batches: usize) -> Duration {
    let size = |place: usize| records * (place + 1) / batches - records * place / batches;
    let batches: Vec<Vec<Write>> = (0..batches).map(|place| batch(next, size(place))).collect();
    let began = Instant::now();
    for batch in &batches {
        assert!(matches!(store.commit(batch, &[]), Commit::Committed));
    }
    began.elapsed()
}

fn batch(next: &mut u64, records: usize) -> Vec<Write> {
    let mut batch = Vec::with_capacity(records + 1);
    for _ in 0..records {
        let key = [[1; 8], next.to_be_bytes()].concat();
        let bytes = draft().frame().unwrap().finish(1, *next, now_us());
        batch.push(Write { key: Key::new(Family::Records, key), value: Some(bytes) });
        *next += 1;
    }
    batch.push(Write { key: Key::new(Family::State, "head"), value: Some(vec![7; STATE_BYTES]) });
    batch
}

#[derive(Debug)]
struct Read(Draft);

impl Event for Read {
    fn draft(&self) -> &Draft {
        &self.0
    }
}

/// The record of an allowed read, about as long as the sample of the specification.
fn draft() -> Draft {
    static REQUESTS: AtomicU64 = AtomicU64::new(0);
    let request = format!("2244a341-e0fd-4058-aa83-{:012x}", REQUESTS.fetch_add(1, Ordering::Relaxed));
    let mut draft = Draft::new(Kind::Access, "ssm:GetSecretValue", "native", request);
    draft.context = Some(context());
    draft.decision = Some(Decision::Allow);
    draft.issuer = Some("https://keyward.local/dev".to_owned());
    draft.outcome = Some(Outcome::Ok);
    draft.policy = Some(policy());
    draft.principal = Some("user/dev/svc-billing".to_owned());
    draft.resource =
        Some("qcs::ssm:local:uin/100000000001:secret/creatorUin/3067215483350917/prod/pay/db-password".to_owned());
    draft.secret_version = Some("v2".to_owned());
    draft.source_ip = Some([10, 3, 155, 69].into());
    draft.value = Some("3708c5d597edaa5598672ba066709c59".to_owned());
    draft
}

fn context() -> Context {
    let conditions = [
        ("keyward:door", "native"),
        ("keyward:secure_transport", "true"),
        ("qcs:create_uin", "3067215483350917"),
        ("qcs:current_time", "2026-01-01T00:01:41Z"),
        ("qcs:ip", "10.3.155.69"),
        ("qcs:owner_uin", "100000000001"),
        ("qcs:resource_tag", "env&prod"),
        ("qcs:uin", "1204883671942260"),
    ];
    let conditions: BTreeMap<_, _> =
        conditions.into_iter().map(|(key, value)| (key.to_owned(), BTreeSet::from([value.to_owned()]))).collect();
    let groups = BTreeSet::from(["group/dev/billing".to_owned(), "group/local/payments".to_owned()]);
    Context { conditions, groups, ..Context::default() }
}

fn policy() -> Policy {
    let layer = Layer {
        document: Some("payments-read".to_owned()),
        effect: Effect::Allow,
        layer: LayerName::Identity,
        statement: Some(1),
    };
    let revision = "sha256:f69fb5b4f95a9052c6a5bbae0524f025122d765928d83fb4f2982096e27fde1d".to_owned();
    Policy { layers: vec![layer], revision, semantics: 1, shadow: None }
}

fn settings(directory: &Path) -> Settings {
    let origin = "localhost/keyward-bench".to_owned();
    Settings {
        store: directory.join("db"),
        high_water_mark: directory.join("hwm"),
        key: Arc::new(SigningKey::from_seed(&origin, &[7; 32]).unwrap()),
        origin,
        limits: Limits { deadline: Duration::from_secs(60), ..Limits::default() },
        disk: None,
    }
}

#[derive(Debug)]
struct SystemClock(Instant);

impl Clock for SystemClock {
    fn wall_us(&self) -> u64 {
        now_us()
    }

    fn monotonic_us(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap()
    }
}

/// Request ids of the log's own records; nothing here is a secret.
#[derive(Debug)]
struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        let number = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        bytes.iter_mut().zip(number.iter().cycle()).for_each(|(byte, digit)| *byte = *digit);
        Ok(())
    }
}

fn environment() -> Environment {
    Environment { clock: Arc::new(SystemClock(Instant::now())), random: Arc::new(Counting(AtomicU64::new(0))) }
}

fn now_us() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}
