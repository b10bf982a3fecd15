//! How long checkpoints are kept: all for 24 hours, then one a minute, and each that a proof or an export used
//! (audit-log.md 4.3).

use std::ops::Range;

use super::keys::number;
use super::shared::Shared;
use super::sync::lock;
use crate::record::Record;
use crate::store::{self, Family, Snapshot, StoreError, Write};

const MINUTE_US: u64 = 60_000_000;
const DAY_US: u64 = 24 * 60 * MINUTE_US;
/// How many rows one pass looks at.
const ROWS: usize = 4_096;
/// Name of the row that says up to which size rows have been thinned out.
const THINNED: &str = "checkpoints_thinned";
/// Before the size in the names of rows that say that a checkpoint was used.
const USED: &str = "checkpoint_used/";

/// Has the checkpoint of `size` kept for ever: by the signer, soon, since whoever asks for a proof may hold a snapshot
/// or a thread that answers others, and a write may wait for the disk. If the process dies before, the checkpoint is
/// kept for a day like any other.
pub(super) fn keep(log: &Shared, size: u64) {
    lock(&log.kept).insert(size);
}

/// Writes which checkpoints are to be kept; on the signer's thread alone. What cannot be written waits for the next
/// time.
pub(super) fn write_kept(log: &Shared) {
    let kept = lock(&log.kept).clone();
    if kept.is_empty() {
        return;
    }
    let row = |size: &u64| Write {
        key: store::Key::new(Family::Followers, log.id.numbered(USED.as_bytes(), *size)),
        value: Some(Vec::new()),
    };
    let rows: Vec<Write> = kept.iter().map(row).collect();
    match log.write_derived(&rows) {
        Ok(()) => lock(&log.kept).retain(|size| !kept.contains(size)),
        Err(error) => tracing::debug!(%error, "checkpoints that are to be kept are not noted yet"),
    }
}

/// Thins out rows that have become a day old; a failure leaves them for the next time.
pub(super) fn thin(log: &Shared) {
    let day_ago_us = log.environment.clock.wall_us().saturating_sub(DAY_US);
    let planned = store::read(log.store.as_ref(), |rows| plan(rows, log, day_ago_us));
    let thinned = planned.and_then(|batch| if batch.is_empty() { Ok(()) } else { log.write_derived(&batch) });
    if let Err(error) = thinned {
        tracing::warn!(%error, "old checkpoints could not be thinned out");
    }
}

/// The rows to delete: of each minute before `day_ago_us` all but the last, and none that was used.
fn plan(rows: &dyn Snapshot, log: &Shared, day_ago_us: u64) -> Result<Vec<Write>, StoreError> {
    let from = rows.get(Family::Followers, &log.id.follower(THINNED).bytes)?;
    let from = from.as_deref().and_then(number).unwrap_or(0);
    let dated = dated(rows, log, from..u64::MAX, day_ago_us)?;
    let mut batch = Vec::new();
    for (earlier, later) in dated.iter().zip(dated.iter().skip(1)) {
        let same_minute = earlier.time_us / MINUTE_US == later.time_us / MINUTE_US;
        let used = rows.get(Family::Followers, &log.id.numbered(USED.as_bytes(), earlier.size))?.is_some()
            || lock(&log.kept).contains(&earlier.size);
        if same_minute && !used {
            batch.push(Write { key: log.id.checkpoint(earlier.size), value: None });
        }
    }
    if let Some(last) = dated.last().filter(|last| last.size != from) {
        batch.push(Write { key: log.id.follower(THINNED), value: Some(last.size.to_be_bytes().to_vec()) });
    }
    Ok(batch)
}

/// A checkpoint's size, and the time of the last record that it covers.
struct Dated {
    size: u64,
    time_us: u64,
}

/// The checkpoints of `sizes` up to the first one that is too young.
fn dated(rows: &dyn Snapshot, log: &Shared, sizes: Range<u64>, before_us: u64) -> Result<Vec<Dated>, StoreError> {
    let keys = log.id.records(sizes);
    let mut found = Vec::new();
    rows.scan(Family::Checkpoints, &keys.start, &keys.end, false, &mut |key, _| {
        found.extend(number(key));
        found.len() < ROWS
    })?;
    let mut dated = Vec::new();
    for size in found {
        let time_us = time_of(rows, log, size)?;
        if time_us >= before_us {
            break;
        }
        dated.push(Dated { size, time_us });
    }
    Ok(dated)
}

fn time_of(rows: &dyn Snapshot, log: &Shared, size: u64) -> Result<u64, StoreError> {
    let Some(last) = size.checked_sub(1) else { return Ok(0) };
    let record = rows.get(Family::Records, &log.id.record(last).bytes)?;
    Ok(record.and_then(|bytes| Record::parse(&bytes).ok()).map_or(0, |record| record.time_us()))
}
