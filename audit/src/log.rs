//! The log: what goes in ([`Log::commit`]), what comes out (reads, proofs, questions, exports), and its threads.
//!
//! Two threads write in turns ([`turns`], [`sequencer`]); a signer, a follower and a watch run behind it and can neither block nor satisfy
//! a commit. A [`Log`] is a cheap handle on all of it.
//!
//! INVARIANT I1, I2: [`Log::commit`] answers [`Committed`] only after the synced write of record and changes.
//! INVARIANT I9: whatever the store does, a commit answers within its deadline; refused means not released.
//! If the process dies, the store and the mark say at the next start what there was ([`start`]).

mod answers;
mod backup;
mod batch;
mod behind;
mod check;
mod clock;
mod export;
mod find;
mod finish;
mod followers;
mod fresh;
mod gathering;
mod head;
mod index;
mod keys;
mod look;
mod loss;
mod marked;
mod measure;
mod open;
mod own;
mod proofs;
mod query;
mod queue;
mod recent;
mod reconcile;
mod records;
pub mod restore;
mod restored;
mod retention;
mod row_sum;
mod sequencer;
mod settings;
mod shared;
mod signer;
mod signers;
mod start;
mod sync;
mod turns;
mod watch;
mod write;

#[cfg(test)]
mod tests;

pub use backup::{Backup, BackupError};
pub use check::{Finding, Report, Verify, each_record, record_at};
pub use export::{Export, ExportError};
pub use finish::{begun, finish};
pub use look::look;
pub use loss::{AcceptError, Acceptance, Accepted, accept};
pub use marked::SignError;
pub use proofs::InclusionProof;
pub use query::{Page, Query, search_in};
pub use records::Records;
pub use settings::{Limits, Room, Settings};
pub use shared::Mode;
pub use start::OpenError;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;

use self::answers::Waiting;
use self::index::Traces;
use self::open::Threads;
use self::queue::{Answer, Entry, Submission};
use self::settings::micros;
use self::shared::{CheckpointRequest, Shared};
use self::sync::lock;
use crate::checkpoint::SignedCheckpoint;
use crate::disk::Level;
use crate::event::{Changes, CommitError, Committed, Event, Generation, ReadSet, Refused};
use crate::record::{Draft, FrameError, Framed};
use crate::store::{self, Family, Snapshot, StoreError};

/// Moved by every recorded step of the wall clock: what is decided on how late it is names it.
pub const CLOCK: Generation = Generation("clock");
/// How long [`Log::checkpoint_now`] waits for its signature.
const CHECKPOINT_WAIT: Duration = Duration::from_secs(5);

/// A handle on an open log. When the last one is dropped the threads end; [`Log::stop`] waits for them.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
    threads: Arc<Threads>,
}

/// How a log is at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Durable records.
    pub size: u64,
    /// Raised by every accepted loss.
    pub epoch: u32,
    /// Whether records are taken.
    pub mode: Mode,
    /// How full the disk is.
    pub disk: Level,
    /// Size of the newest published checkpoint.
    pub checkpoint: Option<u64>,
    /// For how long there have been records that it does not cover, in microseconds.
    pub uncovered_us: u64,
    /// For how long the synced mark has lagged behind the log, in microseconds.
    pub mark_age_us: u64,
    /// Records that the indexes do not cover yet.
    pub follower_lag: u64,
    /// Records that wait to be written.
    pub queued: usize,
    /// Whether the thread that writes records lives; without it none is taken any more.
    pub writing: bool,
    /// For how long the oldest submission has waited for its answer, in the queue or in a write, in microseconds; 0 if
    /// none waits.
    pub waiting_us: u64,
}

/// The sequencer's thread ended in a panic with the submission in its hands.
const UNANSWERED: Answer = Answer::Refused(Refused::Store);

/// Why an event did not even get into the queue.
enum Unqueued {
    TooLarge,
    Refused(Refused),
}

impl Unqueued {
    fn refuse<E>(self, event: E) -> CommitError<E> {
        match self {
            Self::TooLarge => CommitError::TooLarge(event),
            Self::Refused(reason) => unavailable(event, reason),
        }
    }
}

/// What the sequencer's answer means to whoever submitted `event`.
fn conclude<E>(event: E, answer: Answer) -> Result<Committed<E>, CommitError<E>> {
    match answer {
        Answer::Committed(locator) => Ok(Committed::new(event, locator)),
        Answer::Conflict => Err(CommitError::Conflict(event)),
        Answer::Refused(reason) => Err(unavailable(event, reason)),
    }
}

fn unavailable<E>(event: E, reason: Refused) -> CommitError<E> {
    measure::refused(reason);
    CommitError::Unavailable(event, reason)
}

impl Log {
    /// Makes the record of `event` durable, together with `changes`, if nothing in `reads` has changed. A caller that
    /// stops waiting cancels nothing: the record is written all the same.
    ///
    /// # Errors
    /// [`CommitError`], with the event: nothing may be released on it. [`CommitError::Conflict`] and
    /// [`CommitError::TooLarge`] certainly left nothing in the log. After [`CommitError::Unavailable`] the record may
    /// still become durable; if it says `ok` and changes nothing, an `outcome` record then says that nothing was
    /// released.
    pub async fn commit<E: Event>(
        &self,
        event: E,
        changes: Changes,
        reads: ReadSet,
    ) -> Result<Committed<E>, CommitError<E>> {
        match self.submit(&event, changes, reads, Some(self.deadline())) {
            Ok(waiting) => conclude(event, self.answer(waiting).await),
            Err(unqueued) => Err(unqueued.refuse(event)),
        }
    }

    /// As [`Log::commit`], but without a deadline: waits until the sequencer answers, for as long as the disk takes. For
    /// keyward's own records, whose loss or doubling would be worse than the wait.
    ///
    /// # Errors
    /// As [`Log::commit`], but never [`Refused::Deadline`]. After [`Refused::Store`] the record may be durable or not:
    /// [`Log::find`] tells, once the store is served from again. Every other refusal certainly left nothing in the log.
    pub async fn commit_unhurried<E: Event>(
        &self,
        event: E,
        changes: Changes,
        reads: ReadSet,
    ) -> Result<Committed<E>, CommitError<E>> {
        match self.submit(&event, changes, reads, None) {
            Ok(mut waiting) => conclude(event, waiting.answer().await.unwrap_or(UNANSWERED)),
            Err(unqueued) => Err(unqueued.refuse(event)),
        }
    }

    /// Frames the record, here and not on the sequencer's thread, and queues it; if it still waits after `deadline` it
    /// is dropped unwritten.
    fn submit<E: Event>(
        &self,
        event: &E,
        changes: Changes,
        reads: ReadSet,
        deadline: Option<Duration>,
    ) -> Result<Waiting, Unqueued> {
        let draft = event.draft();
        let framed = frame(draft)?;
        let preceding = event.preceding().map(|before| {
            Ok(Entry {
                framed: frame(before)?,
                kind: before.kind,
                traces: Traces::of_draft(before),
                releases: false,
                precedes: true,
            })
        });
        if let Some(family) = changes.keys().map(|key| key.family).find(|family| !is_business(*family)) {
            return Err(refuse_malformed(&draft.action, &format!("changes of the family `{}`", family.name())));
        }
        let (waiter, waiting) = answers::channel();
        let releases = sequencer::releases(draft, &changes);
        let now_us = self.shared.environment.clock.monotonic_us();
        let deadline_us = deadline.map_or(u64::MAX, |deadline| now_us.saturating_add(micros(deadline)));
        let entry = Entry { framed, kind: draft.kind, traces: Traces::of_draft(draft), releases, precedes: false };
        let submission = Submission {
            preceding: preceding.transpose()?,
            entry,
            changes,
            reads,
            since_us: now_us,
            deadline_us,
            waiter,
        };
        self.shared.lanes.push(event.lane(), submission).map_err(Unqueued::Refused)?;
        Ok(waiting)
    }

    /// Waits for the sequencer's answer, at most until the deadline.
    async fn answer(&self, mut waiting: Waiting) -> Answer {
        match tokio::time::timeout(self.deadline(), waiting.answer()).await {
            Ok(answer) => answer.unwrap_or(UNANSWERED),
            Err(_) => waiting.leave().unwrap_or(Answer::Refused(Refused::Deadline)),
        }
    }

    /// How long a commit may wait for the disk ([`Settings`]).
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.shared.limits.deadline
    }

    /// How many records are durable: what was read on a snapshot taken after this call holds all their changes.
    #[must_use]
    pub fn as_of(&self) -> u64 {
        self.shared.as_of()
    }

    /// The generation's value: index of the last record that moved it, plus one; 0 if none did.
    #[must_use]
    pub fn generation(&self, generation: Generation) -> u64 {
        self.shared.generation(generation.0)
    }

    /// The same as of a snapshot that [`Self::read`] is running on.
    ///
    /// # Errors
    /// [`StoreError`] if the row cannot be read or is damaged.
    pub fn generation_in(&self, snapshot: &dyn Snapshot, generation: Generation) -> Result<u64, StoreError> {
        head::generation_in(snapshot, self.shared.id, generation.0)
    }

    /// The chain id, part of locators and cursors.
    #[must_use]
    pub fn chain_id(&self) -> [u8; 8] {
        self.shared.id.0
    }

    /// The origin that the log signs under.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.shared.origin
    }

    /// Runs `read` on a snapshot. It must be short, and it must not call the log again: a reopen waits for it, and what
    /// it calls may wait for that reopen.
    ///
    /// # Errors
    /// [`StoreError::Closed`] while the store is being reopened; else what `read` answers.
    pub fn read<R>(&self, read: impl FnMut(&dyn Snapshot) -> Result<R, StoreError>) -> Result<R, StoreError> {
        store::read(self.shared.store.as_ref(), read)
    }

    /// The stored bytes of a record; none at or above the size.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub fn record(&self, index: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|rows| rows.get(Family::Records, &self.shared.id.record(index).bytes))
    }

    /// The newest signed checkpoint.
    #[must_use]
    pub fn newest_checkpoint(&self) -> Option<Arc<SignedCheckpoint>> {
        self.shared.published()
    }

    /// A signed checkpoint over all that is committed at this moment, or more.
    ///
    /// # Errors
    /// [`Refused::Store`] if it cannot be signed now, [`Refused::Stopping`] if the log stops.
    pub async fn checkpoint_now(&self) -> Result<Arc<SignedCheckpoint>, Refused> {
        let size = self.as_of();
        if let Some(published) = self.newest_checkpoint().filter(|published| published.checkpoint().size >= size) {
            return Ok(published);
        }
        let (waiter, waiting) = oneshot::channel();
        lock(&self.shared.requests).push(CheckpointRequest { size, waiter });
        self.shared.requested.notify_all();
        match tokio::time::timeout(CHECKPOINT_WAIT, waiting).await {
            Ok(answer) => answer.unwrap_or(Err(Refused::Stopping)),
            Err(_) => Err(Refused::Store),
        }
    }

    /// How full the disk is.
    #[must_use]
    pub fn disk_level(&self) -> Level {
        self.shared.lanes.level()
    }

    /// How the log is.
    #[must_use]
    pub fn status(&self) -> Status {
        let shared = &self.shared;
        let durable = shared.durable();
        let now_us = shared.environment.clock.monotonic_us();
        Status {
            size: durable.size,
            epoch: durable.epoch,
            mode: shared.mode(),
            disk: shared.lanes.level(),
            checkpoint: shared.published().map(|published| published.checkpoint().size),
            uncovered_us: shared.uncovered_age_us(),
            mark_age_us: shared.marked.age_us(durable.size, now_us),
            follower_lag: durable.size.saturating_sub(shared.indexed_to.load(Ordering::Acquire)),
            queued: shared.lanes.depth(),
            writing: shared.writing.load(Ordering::Acquire),
            waiting_us: shared.lanes.waiting_us(now_us),
        }
    }

    /// Takes nothing more, writes what waits, signs and tells the last head, and ends the threads.
    pub async fn stop(&self) {
        let threads = Arc::clone(&self.threads);
        let stopped = tokio::task::spawn_blocking(move || threads.stop()).await;
        if let Err(error) = stopped {
            tracing::error!(%error, "the log did not stop in order");
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Log").field("origin", &self.shared.origin).finish_non_exhaustive()
    }
}

fn frame(draft: &Draft) -> Result<Framed, Unqueued> {
    draft.frame().map_err(|error| match error {
        FrameError::TooLarge(_) => Unqueued::TooLarge,
        FrameError::Malformed(reason) => refuse_malformed(&draft.action, &reason),
    })
}

/// Families whose rows ride with a record: all authoritative ones but the log's own.
const fn is_business(family: Family) -> bool {
    matches!(family, Family::Texts | Family::Secrets | Family::Keys | Family::Revocations)
}

/// An event that its code made wrong. Nothing is recorded, so nothing may be released.
fn refuse_malformed(action: &str, reason: &str) -> Unqueued {
    tracing::error!(action, reason, "an event cannot be recorded");
    Unqueued::Refused(Refused::Store)
}
