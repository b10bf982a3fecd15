//! What the handles and the threads of one open log have in common.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::time::Duration;

use tokio::sync::oneshot;

use super::fresh::Fresh;
use super::keys::ChainId;
use super::marked::Marked;
use super::queue::Lanes;
use super::settings::Limits;
use super::sync::{exclusive, lock, shared};
use crate::checkpoint::SignedCheckpoint;
use crate::environment::Environment;
use crate::event::Refused;
use crate::hash::Digest;
use crate::store::{Guard, Store, StoreError, Write};

/// The newest head that is durable and under the mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Durable {
    pub(super) epoch: u32,
    pub(super) size: u64,
    pub(super) time_us: u64,
    pub(super) chain: Digest,
    pub(super) root: Digest,
}

/// How the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Records are taken.
    Serving,
    /// A write failed; the store is being reopened.
    Reopening,
    /// A record below the mark is lost; nothing is taken until an operator has acted.
    Lost,
    /// The sequencer has ended: nothing more is taken.
    Stopped,
}

struct Covered {
    mode: Mode,
    durable: Durable,
    /// Size of the published checkpoint.
    signed: u64,
    /// By the monotonic clock: since when there have been records that no published checkpoint covers.
    uncovered_since_us: Option<u64>,
}

/// Someone who waits for a checkpoint of at least this size.
pub(super) struct CheckpointRequest {
    pub(super) size: u64,
    pub(super) waiter: oneshot::Sender<Result<Arc<SignedCheckpoint>, Refused>>,
}

/// One open log.
pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) environment: Environment,
    pub(super) limits: Limits,
    /// The origin that is signed under now.
    pub(super) origin: String,
    /// Where the store lies, and copies of it beside it.
    pub(super) store_path: PathBuf,
    pub(super) id: ChainId,
    pub(super) lanes: Lanes,
    pub(super) marked: Marked,
    /// For the follower.
    pub(super) fresh: Fresh,
    pub(super) requests: Mutex<Vec<CheckpointRequest>>,
    pub(super) requested: Condvar,
    /// Sizes of checkpoints that were used and are to be kept; the signer notes them in the store.
    pub(super) kept: Mutex<BTreeSet<u64>>,
    /// Set by whoever saw a write fail off the sequencer's thread; the sequencer then reopens the store.
    pub(super) suspect: AtomicBool,
    /// Whether the sequencer lives.
    pub(super) writing: AtomicBool,
    /// How far the indexes reach.
    pub(super) indexed_to: AtomicU64,
    /// The log size up to which the engine's own log was written to tables on purpose.
    pub(super) tidied: AtomicU64,
    stopping: AtomicBool,
    /// Where followers and watch sleep until the log is stopped.
    sleeping: (Mutex<()>, Condvar),
    as_of: AtomicU64,
    generations: RwLock<HashMap<String, u64>>,
    covered: Mutex<Covered>,
    published: RwLock<Option<Arc<SignedCheckpoint>>>,
}

/// What [`Shared`] is made of.
pub(super) struct Parts {
    pub(super) store: Arc<dyn Store>,
    pub(super) environment: Environment,
    pub(super) limits: Limits,
    pub(super) origin: String,
    pub(super) store_path: PathBuf,
    pub(super) chain_start: Digest,
    pub(super) marked: Marked,
    pub(super) durable: Durable,
    pub(super) generations: HashMap<String, u64>,
}

impl Shared {
    pub(super) fn new(parts: Parts) -> Self {
        let covered = Covered { mode: Mode::Serving, durable: parts.durable, signed: 0, uncovered_since_us: None };
        Self {
            lanes: Lanes::new(&parts.limits),
            id: ChainId::of(&parts.chain_start),
            store: parts.store,
            environment: parts.environment,
            limits: parts.limits,
            origin: parts.origin,
            store_path: parts.store_path,
            marked: parts.marked,
            fresh: Fresh::default(),
            requests: Mutex::new(Vec::new()),
            requested: Condvar::new(),
            kept: Mutex::default(),
            suspect: AtomicBool::new(false),
            writing: AtomicBool::new(true),
            indexed_to: AtomicU64::new(0),
            tidied: AtomicU64::new(parts.durable.size),
            stopping: AtomicBool::new(false),
            sleeping: (Mutex::new(()), Condvar::new()),
            as_of: AtomicU64::new(parts.durable.size),
            generations: RwLock::new(parts.generations),
            covered: Mutex::new(covered),
            published: RwLock::new(None),
        }
    }

    pub(super) fn as_of(&self) -> u64 {
        self.as_of.load(Ordering::Acquire)
    }

    pub(super) fn generation(&self, name: &str) -> u64 {
        shared(&self.generations).get(name).copied().unwrap_or(0)
    }

    /// Shows a batch that is durable and under the mark: generations first, then the size, so that nobody sees the
    /// size of a change without its generation.
    pub(super) fn show(&self, durable: Durable, bumps: &[(String, u64)]) {
        if !bumps.is_empty() {
            exclusive(&self.generations).extend(bumps.iter().cloned());
        }
        let now_us = self.environment.clock.monotonic_us();
        let mut covered = lock(&self.covered);
        covered.durable = durable;
        // A store that was reopened may show what is signed already.
        if durable.size > covered.signed {
            covered.uncovered_since_us.get_or_insert(now_us);
        }
        drop(covered);
        self.as_of.store(durable.size, Ordering::Release);
    }

    pub(super) fn durable(&self) -> Durable {
        lock(&self.covered).durable
    }

    pub(super) fn mode(&self) -> Mode {
        lock(&self.covered).mode
    }

    pub(super) fn set_mode(&self, mode: Mode) {
        lock(&self.covered).mode = mode;
    }

    /// A write has failed: whoever comes, or waits in the queue, is refused at once.
    pub(super) fn stop_serving(&self) {
        self.set_mode(Mode::Reopening);
        self.lanes.close(Refused::Store);
        self.lanes.refuse_all(Refused::Store);
    }

    pub(super) fn published(&self) -> Option<Arc<SignedCheckpoint>> {
        shared(&self.published).clone()
    }

    /// Shows a checkpoint, whose signing began at `began_us`; records that came since count as uncovered from then.
    pub(super) fn publish(&self, checkpoint: Arc<SignedCheckpoint>, began_us: u64) {
        let size = checkpoint.checkpoint().size;
        *exclusive(&self.published) = Some(checkpoint);
        let mut covered = lock(&self.covered);
        covered.signed = size;
        covered.uncovered_since_us = (covered.durable.size > size).then_some(began_us);
    }

    /// For how long, in microseconds, there have been records that no published checkpoint covers.
    pub(super) fn uncovered_age_us(&self) -> u64 {
        let since_us = lock(&self.covered).uncovered_since_us;
        since_us.map_or(0, |since| self.environment.clock.monotonic_us().saturating_sub(since))
    }

    /// Writes derived rows. If that fails the store's handle is spent, and the sequencer is told to reopen it.
    pub(super) fn write_derived(&self, batch: &[Write]) -> Result<(), StoreError> {
        self.watched(self.store.write_derived(batch))
    }

    /// The same for rows whose watermark is among them, if `guard` holds; else the answer is false.
    pub(super) fn write_followed(&self, batch: &[Write], guard: &Guard) -> Result<bool, StoreError> {
        self.watched(self.store.write_followed(batch, guard))
    }

    fn watched<R>(&self, written: Result<R, StoreError>) -> Result<R, StoreError> {
        if written.is_err() && self.mode() == Mode::Serving {
            self.suspect.store(true, Ordering::Release);
        }
        written
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Has every thread but the sequencer end soon.
    pub(super) fn stop_followers(&self) {
        self.stopping.store(true, Ordering::Release);
        drop(lock(&self.sleeping.0));
        self.sleeping.1.notify_all();
        drop(lock(&self.requests));
        self.requested.notify_all();
    }

    /// Sleeps `pause`, or until the log is stopped.
    pub(super) fn doze(&self, pause: Duration) {
        let sleeping = lock(&self.sleeping.0);
        if !self.is_stopping() {
            // Waking early does no harm.
            drop(self.sleeping.1.wait_timeout(sleeping, pause));
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Shared")
            .field("origin", &self.origin)
            .field("as_of", &self.as_of)
            .finish_non_exhaustive()
    }
}
