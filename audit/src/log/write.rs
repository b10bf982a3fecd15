//! A batch that is built: written, synced, under the mark, shown; then all who wait are woken.
//!
//! INVARIANT I1, I2: a waiter is woken only after the synced write of its record, with all that rides with it.
//! If the process dies before the write, the batch never was and nobody was answered; after it, the records are there
//! and their callers got no answer: the log over-reports, which is safe.

use std::sync::Arc;

use super::answers;
use super::batch::Batch;
use super::clock::SegmentClock;
use super::head;
use super::measure;
use super::shared::{Durable, Shared};
use crate::store::{Commit, Guard, StoreError};

/// A batch with all its rows, to be written on top of the one built before it and nowhere else.
pub(super) struct Built {
    pub(super) batch: Batch,
    /// The head's row as the store must hold it.
    pub(super) below: Vec<u8>,
    /// The head that it makes.
    pub(super) durable: Durable,
    /// The clock as it was before it.
    pub(super) clock_before: SegmentClock,
}

/// A batch whose write failed, or of which nobody can say.
pub(super) struct Failed {
    pub(super) batch: Batch,
    pub(super) clock_before: SegmentClock,
    pub(super) error: StoreError,
}

/// Writes the batch, synced, then shows what is durable. Batches must come here in the order in which they were built.
pub(super) fn write(log: &Shared, built: Built) -> Result<Batch, Box<Failed>> {
    let Built { mut batch, below, durable, clock_before } = built;
    if batch.is_empty() {
        return Ok(batch);
    }
    let guard = Guard { key: log.id.state(head::HEAD), expected: Some(below) };
    let timer = measure::Timer::start(&log.environment);
    let committed = log.store.commit(&batch.writes, &[guard]);
    timer.commit();
    let error = match committed {
        Commit::Committed => match log.marked.advance(&durable) {
            Ok(()) => {
                log.show(durable, &batch.bumps);
                log.fresh.add(batch.indexed());
                return Ok(batch);
            }
            Err(error) => StoreError::Engine(format!("the high-water mark cannot be written: {error}")),
        },
        Commit::Conflict(_) => StoreError::Engine("another writer has moved the head".to_owned()),
        Commit::NotCommitted(error) | Commit::Unknown(error) => error,
    };
    Err(Box::new(Failed { batch, clock_before, error }))
}

/// Wakes all who wait for a batch that was written.
pub(super) fn wake(log: &Arc<Shared>, mut batch: Batch) {
    batch.wake_sent_back();
    answers::deliver(log, batch.heard(), log.lanes.is_stopping());
}
