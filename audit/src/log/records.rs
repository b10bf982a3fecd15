//! The records of a span of time, for whoever goes over many of them: read in blocks, each on a snapshot of its own (records never
//! change), so that nothing is held up or held whole.

use std::ops::Range;
use std::sync::Arc;

use super::Log;
use super::export::each_record;
use super::head::TILE;
use super::query;
use super::shared::Shared;
use crate::store::{self, Snapshot, StoreError};

/// Records in one block.
const BLOCK: u64 = 4 * TILE;

/// Records that are yet to be read, oldest first.
#[derive(Debug)]
pub struct Records {
    log: Arc<Shared>,
    range: Range<u64>,
}

impl Log {
    /// The records that are committed at this moment, from the first that can be of `since_us` (microseconds since 1970) or later.
    /// Where the clock stepped back, some of them may be older.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read now.
    pub fn records_since(&self, since_us: u64) -> Result<Records, StoreError> {
        let range = store::read(self.shared.store.as_ref(), |rows| query::since(rows, self.shared.id, since_us))?;
        Ok(Records { log: Arc::clone(&self.shared), range })
    }
}

impl Records {
    /// How many are left.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }

    /// Hands the next block to `each`, with the indexes.
    ///
    /// # Errors
    /// [`StoreError`] if a record cannot be read; the block is then asked for anew.
    pub fn block(&mut self, each: &mut dyn FnMut(u64, &[u8])) -> Result<(), StoreError> {
        let Range { start, end } = self.range;
        let to = start.saturating_add(BLOCK).min(end);
        let mut index = start;
        each_record(&self.log, start, to, |record| {
            each(index, record);
            index = index.saturating_add(1);
        })?;
        self.range.start = to;
        Ok(())
    }

    /// Runs `read` on a snapshot of the store that they are in, as [`Log::read`] does.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub fn read<R>(&self, read: impl FnMut(&dyn Snapshot) -> Result<R, StoreError>) -> Result<R, StoreError> {
        store::read(self.log.store.as_ref(), read)
    }
}
