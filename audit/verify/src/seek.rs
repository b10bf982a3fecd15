//! Finds a record far behind the walk without keeping where each record lies: bisects the file, as every record
//! tells its index. Only used below a place where every record has been found to tell the right one.

use crate::canonical::member;
use crate::record::{RECORD_BYTES_MAX, Record};
use crate::source::{Source, count, read_range};
use std::io;

/// What an outcome repeats of the record that it answers.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) request: u128,
    /// As it stands, with its quotes.
    pub(crate) action: Box<[u8]>,
    index: u64,
}

impl Answered {
    fn of(line: &[u8]) -> Option<Self> {
        let record = Record::check(line).ok()?;
        Some(Self { request: record.request, action: member(line, "action")?.into(), index: record.index })
    }
}

/// Record `index`, which begins before `end`; nothing if it is not found.
///
/// # Errors
/// What the system says.
pub(crate) fn answered(source: &dyn Source, index: u64, end: u64) -> io::Result<Option<Answered>> {
    let (mut low, mut high) = (0, end);
    while low < high {
        let middle = low.midpoint(high);
        let Some((start, next, record)) = record_from(source, middle, end)? else {
            high = middle;
            continue;
        };
        match record {
            Some(record) if record.index == index => return Ok(Some(record)),
            Some(record) if record.index < index => low = next,
            Some(_) => high = middle.min(start),
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// The record that begins at `offset`, before `end`.
///
/// # Errors
/// What the system says.
pub(crate) fn answered_at(source: &dyn Source, offset: u64, end: u64) -> io::Result<Option<Answered>> {
    Ok(record_from(source, offset, end)?.and_then(|(_, _, record)| record))
}

type Found = (u64, u64, Option<Answered>);

/// The first record that begins at or behind `from`: its place, the place behind it, and what it says.
fn record_from(source: &dyn Source, from: u64, end: u64) -> io::Result<Option<Found>> {
    // A line that began before `from` and the next one, with a byte in front to see whether a line begins at `from`.
    let room = count(RECORD_BYTES_MAX).saturating_mul(2).saturating_add(3);
    let first = from.saturating_sub(1);
    let bytes = read_range(source, first, first.saturating_add(room).min(end))?;
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let skipped = if from == 0 { 0 } else { lines.next().map_or(0, <[u8]>::len) };
    let start = first.saturating_add(count(skipped));
    let Some(line) = lines.next() else { return Ok(None) };
    let record = line.strip_suffix(b"\n").and_then(Answered::of);
    Ok(Some((start, start.saturating_add(count(line.len())), record)))
}
