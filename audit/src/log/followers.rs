//! The follower: one thread behind the log that builds the rows of the indexes, with a watermark in the same batch.
//!
//! INVARIANT I2: derived rows are never in a record's batch; a follower that lags, or starts over, slows no commit, and
//! queries scan the records above its watermark. If the process dies, rows that were not synced are built again,
//! because their watermark is gone with them. The same if the store is reopened between the reading and the writing: a batch is
//! written only on top of the watermark that it was made on.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::fresh::Indexed;
use super::index::{self, Facts};
use super::keys::{ChainId, number};
use super::shared::{Mode, Shared};
use crate::store::{self, Family, Guard, Key, Snapshot, StoreError, Write};

/// How often the follower looks for new records.
const EVERY: Duration = Duration::from_millis(50);
/// How many records one derived batch covers: a commit waits while one is written.
const RECORDS: u64 = 64;
/// How many rows are dropped at a time.
pub(super) const ROWS: usize = 8_192;
/// Name of the row that is there while rows are dropped.
const CLEARING: &str = "indexes_clearing";
/// Name of the watermark.
const INDEXES: &str = "indexes";

/// The next rows.
pub(super) struct Plan {
    batch: Vec<Write>,
    /// How far the indexes reach with them.
    reached: u64,
    /// The watermark that they go on top of.
    guard: Guard,
}

pub(super) struct Follower {
    log: Arc<Shared>,
}

impl Follower {
    pub(super) fn new(log: Arc<Shared>) -> Self {
        Self { log }
    }

    /// Follows until the log is stopped.
    pub(super) fn run(self) {
        while !self.log.is_stopping() {
            match self.step() {
                Ok(true) => {}
                Ok(false) => self.log.doze(EVERY),
                Err(error) => {
                    // While the store is being reopened this is expected; the sequencer tells of it.
                    tracing::debug!(%error, "the indexes do not move");
                    self.log.doze(EVERY.saturating_mul(20));
                }
            }
        }
    }

    /// Builds the rows of the next records. False if there are none.
    pub(super) fn step(&self) -> Result<bool, StoreError> {
        if self.log.mode() != Mode::Serving {
            return Ok(false);
        }
        self.write(&self.plan()?)
    }

    /// Writes the rows, unless the store was reopened since and lost some below them: then the next plan begins there.
    pub(super) fn write(&self, plan: &Plan) -> Result<bool, StoreError> {
        let moved = !plan.batch.is_empty();
        if !moved || self.log.write_followed(&plan.batch, &plan.guard)? {
            self.log.indexed_to.store(plan.reached, Ordering::Release);
        }
        Ok(moved)
    }

    /// The rows of the next records.
    pub(super) fn plan(&self) -> Result<Plan, StoreError> {
        let to = self.log.as_of();
        store::read(self.log.store.as_ref(), |rows| {
            let key = self.log.id.follower(INDEXES);
            let guard = Guard { expected: rows.get(Family::Followers, &key.bytes)?, key };
            let (batch, reached) = self.plan_on(rows, to)?;
            Ok(Plan { batch, reached, guard })
        })
    }

    fn plan_on(&self, rows: &dyn Snapshot, to: u64) -> Result<(Vec<Write>, u64), StoreError> {
        if is_clearing(rows, self.log.id)? {
            return Ok((clear(rows, self.log.id)?, 0));
        }
        let from = watermark(rows, self.log.id)?;
        if from > to {
            return Ok((start_over(self.log.id).to_vec(), 0));
        }
        let range = from..to.min(from.saturating_add(RECORDS));
        let (mut batch, reached) = match self.log.fresh.take(&range) {
            Some(fresh) => self.plan_fresh(&fresh, from),
            None => self.plan_stored(rows, range)?,
        };
        if reached > from {
            batch.push(Write { key: self.log.id.follower(INDEXES), value: Some(reached.to_be_bytes().to_vec()) });
        }
        Ok((batch, reached))
    }

    fn plan_fresh(&self, fresh: &[Indexed], from: u64) -> (Vec<Write>, u64) {
        let rows = fresh.iter().flat_map(|record| record.traces.rows(self.log.id, record.index, record.time_us));
        (rows.map(row).collect(), fresh.last().map_or(from, |last| last.index.saturating_add(1)))
    }

    fn plan_stored(&self, rows: &dyn Snapshot, range: Range<u64>) -> Result<(Vec<Write>, u64), StoreError> {
        let mut batch = Vec::new();
        let mut reached = range.start;
        let keys = self.log.id.records(range);
        rows.scan(Family::Records, &keys.start, &keys.end, false, &mut |key, bytes| {
            // A record that cannot be read has no rows; `audit verify` names it.
            if let Some(record) = Facts::read(bytes) {
                batch.extend(index::rows(self.log.id, &record).into_iter().map(row));
            }
            reached = number(key).map_or(reached, |index| index.saturating_add(1));
            true
        })?;
        Ok((batch, reached))
    }
}

fn row((key, value): index::Row) -> Write {
    Write { key: Key::new(Family::Indexes, key), value: Some(value) }
}

/// How far the indexes reach in this snapshot.
pub(super) fn watermark(rows: &dyn Snapshot, id: ChainId) -> Result<u64, StoreError> {
    let row = rows.get(Family::Followers, &id.follower(INDEXES).bytes)?;
    Ok(row.as_deref().and_then(number).unwrap_or(0))
}

/// Begins to drop every row: the indexes are of a log that was longer than this one. From here on none of them counts,
/// and [`clear`] drops them in blocks, however many there are.
pub(super) fn start_over(id: ChainId) -> [Write; 2] {
    [Write { key: id.follower(INDEXES), value: None }, Write { key: id.follower(CLEARING), value: Some(Vec::new()) }]
}

/// Whether rows are still being dropped: those that are there need not follow from any record.
pub(super) fn is_clearing(rows: &dyn Snapshot, id: ChainId) -> Result<bool, StoreError> {
    Ok(rows.get(Family::Followers, &id.follower(CLEARING).bytes)?.is_some())
}

/// Drops the next block of rows; with the last one it says that it is done.
pub(super) fn clear(rows: &dyn Snapshot, id: ChainId) -> Result<Vec<Write>, StoreError> {
    let keys = index::all(id);
    let mut batch = Vec::new();
    rows.scan(Family::Indexes, &keys.start, &keys.end, false, &mut |key, _| {
        batch.push(Write { key: Key::new(Family::Indexes, key), value: None });
        batch.len() < ROWS
    })?;
    if batch.len() < ROWS {
        batch.push(Write { key: id.follower(CLEARING), value: None });
    }
    Ok(batch)
}
