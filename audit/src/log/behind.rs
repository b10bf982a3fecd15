//! What those need who work behind the log, outside this crate: when the clock stepped, rewriting what was deleted, and how
//! far they came.

use std::sync::atomic::Ordering;

use super::Log;
use crate::record::Record;
use crate::store::{Family, StoreError, Write};

impl Log {
    /// When the wall clock stepped last, in microseconds since 1970 by the clock that it became; none if it never did.
    /// `seen` is the value of [`super::CLOCK`] for which this is asked.
    ///
    /// # Errors
    /// As [`Log::read`]; [`StoreError::Damaged`] if the record of the step does not read.
    pub fn stepped_at_us(&self, seen: u64) -> Result<Option<u64>, StoreError> {
        let Some(index) = seen.checked_sub(1) else { return Ok(None) };
        let record = self.record(index)?.and_then(|bytes| Record::parse(&bytes).ok());
        record.map(|record| Some(record.time_us())).ok_or_else(|| StoreError::Damaged(format!("record `{index}`")))
    }

    /// Has the engine rewrite what it holds of rows whose keys lie in `ranges` (`[from, to)`), so that the bytes of
    /// deleted rows leave its files. It may take long and must not run on a thread that serves.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub fn compact(&self, family: Family, ranges: &[(Vec<u8>, Vec<u8>)]) -> Result<(), StoreError> {
        ranges.iter().try_for_each(|(from, to)| self.shared.store.compact(family, from, to))
    }

    /// Has the engine write its own log to tables once `records` or more were added since the last time: there they take a third of the
    /// room. It may take long and must not run on a thread that serves.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub fn tidy(&self, records: u64) -> Result<(), StoreError> {
        let size = self.shared.as_of();
        if size.saturating_sub(self.shared.tidied.load(Ordering::Relaxed)) >= records {
            self.shared.store.flush()?;
            self.shared.tidied.store(size, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Up to which log size somebody has come who works behind the log under `name`; 0 at first.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub fn watermark(&self, name: &str) -> Result<u64, StoreError> {
        let key = self.shared.id.follower(name);
        let bytes = self.read(|rows| rows.get(key.family, &key.bytes))?;
        Ok(bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes))
    }

    /// Notes it. It may be lost with the process: then the work is done again.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub fn set_watermark(&self, name: &str, size: u64) -> Result<(), StoreError> {
        let key = self.shared.id.follower(name);
        self.shared.write_derived(&[Write { key, value: Some(size.to_be_bytes().to_vec()) }])
    }
}
