//! Looking for one event: whether a record that nobody could vouch for is in the log after all.
//!
//! INVARIANT I9: a write that failed may be on disk or not. Once the store is served from again the log holds the
//! record or never will, so none is an answer; before that there is none.

use std::ops::Range;

use super::Log;
use super::head::damaged;
use super::keys::ChainId;
use super::shared::Mode;
use crate::record::{Kind, Record};
use crate::store::{Family, Snapshot, StoreError};

/// Records looked at in one snapshot.
const BLOCK: u64 = 1_024;

impl Log {
    /// Index of the record of `kind` that answers `request`, from index `from` on up to the present end. So an event
    /// whose commit ended in [`Refused::Store`](crate::Refused::Store) is looked for; `from` is [`Log::as_of`] before
    /// that commit.
    ///
    /// # Errors
    /// [`StoreError::Closed`] until the store is served from again; [`StoreError::Damaged`] if a record in between is
    /// missing or cannot be read; else as [`Log::read`].
    pub fn find(&self, from: u64, request: &str, kind: Kind) -> Result<Option<u64>, StoreError> {
        if self.shared.mode() != Mode::Serving {
            return Err(StoreError::Closed);
        }
        let end = self.as_of();
        let mut next = from;
        while next < end {
            let to = next.saturating_add(BLOCK).min(end);
            let found = self.read(|rows| find(rows, self.shared.id, next..to, request, kind))?;
            if found.is_some() {
                return Ok(found);
            }
            next = to;
        }
        Ok(None)
    }
}

fn find(
    rows: &dyn Snapshot,
    id: ChainId,
    range: Range<u64>,
    request: &str,
    kind: Kind,
) -> Result<Option<u64>, StoreError> {
    let keys = id.records(range.clone());
    let (mut next, mut found) = (range.start, None);
    rows.scan(Family::Records, &keys.start, &keys.end, false, &mut |_, bytes| {
        let record = Record::parse(bytes).ok().filter(|record| record.index() == next);
        let sound = record.is_some();
        let wanted = |record: &Record| record.kind() == kind && record.request() == request;
        found = record.filter(wanted).map(|record| record.index());
        next = next.saturating_add(u64::from(sound));
        sound && found.is_none()
    })?;
    if found.is_some() || next == range.end {
        Ok(found)
    } else {
        Err(damaged(&format!("record at index {next}")))
    }
}
