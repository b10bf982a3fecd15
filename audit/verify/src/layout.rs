//! Where the four blocks of a raw export begin: records, checkpoint text, signatures, leaf lines.
//!
//! The blocks are split at the **last** three empty lines, found from the end of the file backwards, so that an empty
//! line slipped in among the records is a changed record and not another layout.

use crate::source::{Source, count, read_range};
use std::io;

/// Read at a time on the way back.
const STEP: u64 = 1 << 18;

/// Places in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Records lie from 0 to here, each with its line feed.
    pub(crate) records_end: u64,
    /// Text, empty line and signatures lie from `records_end + 1` to here.
    pub(crate) note_end: u64,
    /// Leaf lines lie from `note_end + 1` to here, the end of the file.
    pub(crate) file_end: u64,
}

impl Layout {
    /// Finds the blocks; nothing if the file has fewer than three empty lines.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn find(source: &dyn Source) -> io::Result<Option<Self>> {
        let file_end = source.size()?;
        let mut found = Vec::new();
        let mut to = file_end;
        while to > 0 && found.len() < 3 {
            let from = to.saturating_sub(STEP);
            // One byte more in front: an empty line is a line feed behind another, or at the very start.
            let bytes = read_range(source, from.saturating_sub(1), to)?;
            empty_lines(&bytes, from, &mut found);
            to = from;
        }
        Ok(match found.as_slice() {
            [note_end, _, records_end, ..] => Some(Self { records_end: *records_end, note_end: *note_end, file_end }),
            _ => None,
        })
    }
}

/// Adds the places of empty lines at or above `from`, last first. `bytes` begin one before `from`, unless that is 0.
fn empty_lines(bytes: &[u8], from: u64, found: &mut Vec<u64>) {
    let pairs = bytes.windows(2).enumerate().rev().filter(|(_, pair)| pair == b"\n\n");
    let shift = u64::from(from == 0);
    found.extend(pairs.map(|(place, _)| from.saturating_add(count(place)).saturating_add(shift)));
    if from == 0 && bytes.starts_with(b"\n") {
        found.push(0);
    }
}
