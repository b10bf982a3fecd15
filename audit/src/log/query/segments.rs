//! From times to indices: `time` never falls between two clock steps, so each segment is searched by halving.

use std::ops::Range;

use super::Query;
use crate::log::index::Entry;
use crate::log::keys::{ChainId, number};
use crate::record::Record;
use crate::store::{Family, Snapshot, StoreError};

/// The parts of `range`, newest first, in which the question's times can lie. All of it is below the watermark.
pub(super) fn ranges(
    rows: &dyn Snapshot,
    id: ChainId,
    query: &Query,
    range: Range<u64>,
) -> Result<Vec<Range<u64>>, StoreError> {
    if range.is_empty() {
        return Ok(Vec::new());
    }
    if query.full_scan || (query.start_time_us.is_none() && query.end_time_us.is_none()) {
        return Ok(vec![range]);
    }
    let mut ranges = Vec::new();
    for segment in segments(rows, id, &range)? {
        let from = match query.start_time_us {
            Some(time_us) => first_at(rows, id, segment.clone(), time_us)?,
            None => segment.start,
        };
        let to = match query.end_time_us {
            Some(time_us) => first_at(rows, id, segment.clone(), time_us)?,
            None => segment.end,
        };
        if from < to {
            ranges.push(from..to);
        }
    }
    Ok(ranges)
}

/// `range`, cut at its clock steps; newest first.
fn segments(rows: &dyn Snapshot, id: ChainId, range: &Range<u64>) -> Result<Vec<Range<u64>>, StoreError> {
    let keys = Entry::segment().keys(id, range);
    let mut segments = Vec::new();
    let mut end = range.end;
    rows.scan(Family::Indexes, &keys.start, &keys.end, true, &mut |key, _| {
        if let Some(step) = number(key) {
            segments.push(step..end);
            end = step;
        }
        true
    })?;
    segments.push(range.start..end);
    Ok(segments)
}

/// The first index of `segment` whose time is at or after `time_us`; its end if there is none.
fn first_at(rows: &dyn Snapshot, id: ChainId, segment: Range<u64>, time_us: u64) -> Result<u64, StoreError> {
    let Range { mut start, mut end } = segment;
    while start < end {
        let middle = start + (end - start) / 2;
        let record = rows.get(Family::Records, &id.record(middle).bytes)?;
        // A record that cannot be read hides nothing: the search goes on as if it were too young.
        let before =
            record.and_then(|bytes| Record::parse(&bytes).ok()).is_some_and(|record| record.time_us() < time_us);
        if before {
            start = middle + 1;
        } else {
            end = middle;
        }
    }
    Ok(start)
}
