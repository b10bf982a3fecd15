//! What is committed and what proves that it was: [`Event`], [`Changes`], [`ReadSet`], [`Committed`].
//!
//! INVARIANT I1, I2, I13: an event goes into the log by value, with the state changes that ride in its batch and
//! with what it was decided on; what comes back, after the synced write, is the same event wrapped in
//! [`Committed`], which nothing outside this crate can make.

use crate::record::Draft;
use crate::store::{Key, Write};

/// Something that happened and is to be recorded.
pub trait Event: Send + 'static {
    /// Its record, all but `index`, `time` and `epoch`, which the sequencer gives it.
    fn draft(&self) -> &Draft;
    /// Which lane of the queue it takes.
    fn lane(&self) -> Lane {
        Lane::Caller
    }
    /// A record that goes directly before its own, in the same batch: both are durable, or neither is.
    fn preceding(&self) -> Option<&Draft> {
        None
    }
}

/// The lanes of the queue: none can starve the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Requests of known callers.
    Caller,
    /// Denials, administration and keyward's own records: a reserve that callers cannot fill.
    Reserve,
    /// Requests without a good credential, and their summaries.
    Nameless,
}

/// A named counter in the log's state: the index of the last record that changed what it stands for, plus one;
/// 0 if none ever did. It survives a restart. Names are the caller's (`policy`, `revocations`, `keys`, ...).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(pub &'static str);

/// State changes that become durable in the same batch as the record, or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Rows of authoritative families outside the log's own (`texts`, `secrets`, `keys`, `revocations`).
    pub writes: Vec<Write>,
    /// Generations that this event moves.
    pub bumps: Vec<Generation>,
    /// Rows of the same families that hold where this record is: its index, be64, which nobody knows before.
    pub indexed: Vec<Key>,
}

impl Changes {
    /// Every row that is written.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.writes.iter().map(|write| &write.key).chain(&self.indexed)
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.bumps.is_empty() && self.indexed.is_empty()
    }
}

/// What an event was decided on. It is accepted only if none of it has changed since: in the store, or by an
/// earlier event of the same batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadSet {
    /// The log size read (see `Log::as_of`) *before* the snapshot on which `rows` were read.
    pub as_of: u64,
    /// Rows read, present or absent.
    pub rows: Vec<Key>,
    /// Generations, with the value seen *before* what they stand for was read.
    pub generations: Vec<(Generation, u64)>,
}

/// Where a record is: its index, its leaf and the chain that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locator {
    /// The chain id: first 8 bytes of the chain's start value.
    pub chain: [u8; 8],
    /// The record's index.
    pub index: u64,
    /// `SHA-256(0x00 || record)`.
    pub leaf: [u8; 32],
}

/// Proof that an event's record, and the changes that rode with it, are durable.
///
/// Only the log makes one, after the synced write; it is neither `Clone`, `Default` nor `From`.
///
/// ```compile_fail,E0451
/// use keyward_audit::{Committed, Locator};
/// let forged = Committed { event: (), locator: Locator { chain: [0; 8], index: 0, leaf: [0; 32] } };
/// ```
#[derive(Debug)]
#[must_use = "a committed event is what an answer is built from"]
pub struct Committed<E> {
    event: E,
    locator: Locator,
}

impl<E> Committed<E> {
    /// INVARIANT: called by the log alone, after the synced write of exactly this event.
    pub(crate) fn new(event: E, locator: Locator) -> Self {
        Self { event, locator }
    }

    /// The event.
    pub fn event(&self) -> &E {
        &self.event
    }

    /// Where its record is.
    pub fn locator(&self) -> Locator {
        self.locator
    }

    /// Spends the proof.
    pub fn into_event(self) -> E {
        self.event
    }
}

/// Why an event was not committed; the event comes back.
#[derive(Debug, thiserror::Error)]
pub enum CommitError<E> {
    /// Something it was decided on has changed: decide again on a new snapshot.
    #[error("what this was decided on has changed")]
    Conflict(E),
    /// Its record would pass 8 KiB.
    #[error("the record would be too large")]
    TooLarge(E),
    /// It cannot be recorded now; nothing may be released.
    #[error("the record cannot be made durable: {1}")]
    Unavailable(E, Refused),
}

/// Why the log takes no record now. The text is the `reason` label of `keyward_audit_refused_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The lane is full.
    #[error("queue_full")]
    QueueFull,
    /// Not durable within the deadline; it may become so later (then an `outcome` record says it was not released).
    #[error("deadline")]
    Deadline,
    /// The store failed and is being reopened.
    #[error("store")]
    Store,
    /// The disk is too full.
    #[error("disk")]
    Disk,
    /// The log is stopping.
    #[error("stopping")]
    Stopping,
}
