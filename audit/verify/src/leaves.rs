//! The leaf lines at the end of a raw export: base64 of one leaf each, 45 bytes with the line feed.

use crate::hex::unbase64_digest;
use crate::source::{Source, count, read_range};
use crate::tree::{Digest, chain_next, chain_start};
use std::io;

const LINE: usize = 45;
/// Lines read at a time.
const BATCH: u64 = 4096;

/// Reads leaf lines in order, up to the first that is malformed.
pub(crate) struct LeafLines<'a> {
    source: &'a dyn Source,
    start: u64,
    end: u64,
    /// Number of the next line.
    next: u64,
    /// Bytes read and not yet used, from `used` on.
    buffer: Vec<u8>,
    used: usize,
}

impl<'a> LeafLines<'a> {
    /// Lines between two places of the file.
    pub(crate) fn new(source: &'a dyn Source, start: u64, end: u64) -> Self {
        Self { source, start, end, next: 0, buffer: Vec::new(), used: 0 }
    }

    /// The next leaf; nothing behind the last, or from a malformed line on.
    pub(crate) fn next(&mut self) -> io::Result<Option<Digest>> {
        if self.used >= self.buffer.len() {
            let from = self.place(self.next);
            let to = self.place(self.next.saturating_add(BATCH)).min(self.end);
            self.buffer = read_range(self.source, from.min(to), to)?;
            self.used = 0;
        }
        let line = self.buffer.get(self.used..self.used.saturating_add(LINE));
        let leaf = line.and_then(|line| unbase64_digest(line.strip_suffix(b"\n")?));
        if leaf.is_some() {
            self.next = self.next.saturating_add(1);
            self.used = self.used.saturating_add(LINE);
        }
        Ok(leaf)
    }

    /// Well-formed lines read.
    pub(crate) fn read(&self) -> u64 {
        self.next
    }

    /// Whether the lines read are all that the block holds.
    pub(crate) fn is_whole(&self) -> bool {
        self.place(self.next) == self.end
    }

    /// The leaf of line `number`, if it is there.
    pub(crate) fn at(&self, number: u64) -> io::Result<Option<Digest>> {
        let mut one = Self { next: number, ..Self::new(self.source, self.start, self.end) };
        one.next()
    }

    /// The chain's value before record `size` if the log began under `origin`, by the leaf lines.
    pub(crate) fn chain(&self, origin: &str, size: u64) -> io::Result<Digest> {
        let mut lines = Self::new(self.source, self.start, self.end);
        let mut chain = chain_start(origin);
        while lines.read() < size {
            let Some(leaf) = lines.next()? else { break };
            chain = chain_next(&chain, &leaf);
        }
        Ok(chain)
    }

    fn place(&self, number: u64) -> u64 {
        self.start.saturating_add(number.saturating_mul(count(LINE)))
    }
}
