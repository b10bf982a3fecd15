//! The record lines of an export, each hashed and checked by itself, in parallel.
//!
//! The file is cut into chunks of equal size; a line belongs to the chunk that its first byte lies in. Worker `w` of
//! `n` takes the chunks `w`, `w + n`, ... and hands each on through a bounded channel, so memory does not grow with
//! the file; the caller takes them in order.

use crate::record::{RECORD_BYTES_MAX, Record, RecordFault};
use crate::source::{Source, count, read_range, read_range_into};
use crate::tree::{Digest, leaf};
use sha2::{Digest as _, Sha256};
use std::io::{self, BufRead as _};
use std::sync::mpsc::sync_channel;
use std::thread;

/// Bytes of a chunk.
const CHUNK: u64 = 1 << 18;
/// Chunks that wait behind each worker.
const WAITING: usize = 2;

/// One line of the record block.
#[derive(Debug)]
pub(crate) struct Line {
    /// Where it begins in the file.
    pub(crate) offset: u64,
    pub(crate) leaf: Digest,
    pub(crate) record: Result<Record, RecordFault>,
    /// The bytes of a record of which the rules between records read more ([`crate::record::Kind::is_ruled`]).
    pub(crate) ruled: Option<Box<[u8]>>,
}

/// Calls `each` with every line that begins before `end`, in order, and `progress` with the bytes behind it.
///
/// # Errors
/// What the system or `each` says.
pub(crate) fn for_each_line(
    source: &dyn Source,
    end: u64,
    threads: usize,
    progress: &dyn Fn(u64),
    each: &mut dyn FnMut(Line) -> io::Result<()>,
) -> io::Result<()> {
    let mut take = |lines: Vec<Line>, number: u64| {
        lines.into_iter().try_for_each(&mut *each)?;
        progress(end.min(number.saturating_add(1).saturating_mul(CHUNK)));
        io::Result::Ok(())
    };
    let chunks = end.div_ceil(CHUNK);
    if threads <= 1 {
        let mut buffer = Vec::new();
        return (0..chunks).try_for_each(|number| take(chunk(source, number, end, &mut buffer)?, number));
    }
    thread::scope(|scope| {
        let start_worker = |first: u64| {
            let (sender, receiver) = sync_channel(WAITING);
            scope.spawn(move || {
                let (mut own, mut buffer) = ((first..chunks).step_by(threads), Vec::new());
                // A closed channel means that the caller has stopped.
                own.try_for_each(|number| sender.send(chunk(source, number, end, &mut buffer)))
            });
            receiver
        };
        let receivers: Vec<_> = (0..count(threads)).map(start_worker).collect();
        let in_turn = (0..chunks).zip(receivers.iter().cycle());
        in_turn.into_iter().try_for_each(|(number, receiver)| {
            let lines = receiver.recv().map_err(|_| io::Error::other("a worker stopped"))?;
            take(lines?, number)
        })
    })
}

/// The lines that begin in a chunk, which is read into `buffer`.
fn chunk(source: &dyn Source, number: u64, end: u64, buffer: &mut Vec<u8>) -> io::Result<Vec<Line>> {
    let from = number.saturating_mul(CHUNK);
    let to = from.saturating_add(CHUNK).min(end);
    let behind = to.saturating_add(count(RECORD_BYTES_MAX)).saturating_add(1).min(end);
    read_range_into(source, from.saturating_sub(1), behind, buffer)?;
    let mut rest = buffer.as_slice();
    let mut offset = from;
    if from > 0 {
        // One byte more was read in front: the line that begins at `from` begins behind a line feed there.
        offset = from.saturating_sub(1).saturating_add(count(rest.skip_until(b'\n')?));
    }
    let mut lines = Vec::new();
    while offset < to {
        let before = rest;
        let taken = rest.skip_until(b'\n')?;
        let Some(line) = before.get(..taken).and_then(|line| line.strip_suffix(b"\n")) else {
            lines.push(long_line(source, offset, end)?);
            break;
        };
        lines.push(check_line(offset, line));
        offset = offset.saturating_add(count(taken));
    }
    Ok(lines)
}

fn check_line(offset: u64, bytes: &[u8]) -> Line {
    let record = Record::check(bytes);
    let ruled = record.as_ref().is_ok_and(|record| record.kind.is_ruled()).then(|| Box::from(bytes));
    Line { offset, leaf: leaf(bytes), record, ruled }
}

/// A line longer than any record: hashed in pieces, so that it cannot fill the memory.
fn long_line(source: &dyn Source, offset: u64, end: u64) -> io::Result<Line> {
    let mut hasher = Sha256::new_with_prefix([0]);
    let mut at = offset;
    while at < end {
        let bytes = read_range(source, at, at.saturating_add(CHUNK).min(end))?;
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        hasher.update(line);
        if bytes.is_empty() || line.len() < bytes.len() {
            break;
        }
        at = at.saturating_add(count(bytes.len()));
    }
    Ok(Line { offset, leaf: hasher.finalize().into(), record: Err(RecordFault::TooLarge), ruled: None })
}
