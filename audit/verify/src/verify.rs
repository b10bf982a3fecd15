//! The order of checks over a whole file (specification, section 3).
//!
//! One pass reads records and leaf lines side by side. As long as each record has the leaf of its line, one tree
//! serves for both; from the first difference on there are two, and the walk over the records has ended, because
//! nothing says any more that what follows are the log's records.

use crate::layout::Layout;
use crate::leaves::LeafLines;
use crate::lines::{Line, for_each_line};
use crate::note::{Checkpoint, NOTE_BYTES_MAX, NoteError, Vkey};
use crate::report::{Place, Report};
use crate::source::{Source, count, read_range};
use crate::tree::{Digest, Frontier};
use crate::walk::Walk;
use std::fmt;
use std::io;

/// Why a file could not be checked at all.
#[derive(Debug)]
pub enum CheckError {
    /// It could not be read.
    Unreadable(io::Error),
    /// It is no raw export.
    NotAnExport,
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Self::NotAnExport => f.write_str("is not a raw export"),
        }
    }
}

impl std::error::Error for CheckError {}

impl From<io::Error> for CheckError {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// How to verify.
pub struct Options<'a> {
    /// The keys that are trusted.
    pub keys: &'a [Vkey],
    /// Checkpoints remembered from outside the file, opened with the same keys.
    pub since: &'a [Checkpoint],
    /// Threads that hash and check records; with 1 all is done on the caller's.
    pub threads: usize,
    /// Told how many bytes of records are done.
    pub progress: &'a dyn Fn(u64),
}

/// Verifies an export.
///
/// # Errors
/// [`CheckError`] if there is no verdict; a finding is none.
pub fn verify(source: &dyn Source, options: &Options<'_>) -> Result<Report, CheckError> {
    let mut report = Report::default();
    let Some(layout) = Layout::find(source)? else {
        // A file that begins as an export does was one, and has been cut.
        if !matches!(read_range(source, 0, 1)?.first(), Some(b'{' | b'\n')) {
            return Err(CheckError::NotAnExport);
        }
        report.add(Place::File, "fewer than three empty lines");
        return Ok(report);
    };
    match open_note(source, layout, options.keys)? {
        Err(error) => report.add(Place::Note, error.to_string()),
        Ok(note) => {
            report.head = Some((note.size(), note.root_text()));
            Comparison::run(source, layout, &note, options)?.judge(&mut report)?;
        }
    }
    Ok(report)
}

fn open_note(source: &dyn Source, layout: Layout, keys: &[Vkey]) -> io::Result<Result<Checkpoint, NoteError>> {
    let start = layout.records_end.saturating_add(1);
    if layout.note_end.saturating_sub(start) > count(NOTE_BYTES_MAX) {
        return Ok(Err(NoteError::TooLarge));
    }
    Ok(Checkpoint::open(&read_range(source, start, layout.note_end)?, keys))
}

/// The first place where records and leaf lines part.
#[derive(Debug)]
struct Difference {
    place: u64,
    /// Leaf of the record there, if there is one.
    record: Option<Digest>,
    /// Leaf of the line there, if there is one.
    line: Option<Digest>,
    /// Whether a later record has the line's leaf.
    displaced: bool,
    /// The tree of the records alone.
    records: Frontier,
}

/// Records, leaf lines and checkpoints side by side.
struct Comparison<'a> {
    note: &'a Checkpoint,
    since: &'a [Checkpoint],
    leaves: LeafLines<'a>,
    /// The tree of the leaf lines.
    tree: Frontier,
    /// For each of `since` the root of as many leaf lines, once there are as many.
    roots: Vec<Option<Digest>>,
    difference: Option<Difference>,
    walk: Walk<'a>,
}

impl<'a> Comparison<'a> {
    fn run(source: &'a dyn Source, layout: Layout, note: &'a Checkpoint, options: &Options<'a>) -> io::Result<Self> {
        let mut walk = Walk::new(source, note.origin());
        walk.keys.watch(note);
        options.since.iter().for_each(|since| walk.keys.watch(since));
        let mut comparison = Self {
            note,
            since: options.since,
            leaves: LeafLines::new(source, layout.note_end.saturating_add(1), layout.file_end),
            tree: Frontier::default(),
            roots: vec![None; options.since.len()],
            difference: None,
            walk,
        };
        comparison.note_roots();
        let mut each = |line: Line| comparison.take(&line);
        for_each_line(source, layout.records_end, options.threads, options.progress, &mut each)?;
        comparison.take_rest()?;
        Ok(comparison)
    }

    fn take(&mut self, record: &Line) -> io::Result<()> {
        let leaf = self.leaves.next()?;
        match &mut self.difference {
            None if leaf == Some(record.leaf) => self.walk.step(record, &self.tree, &self.leaves)?,
            None => self.part(Some(record.leaf), leaf),
            Some(difference) => {
                difference.records.push(record.leaf);
                difference.displaced |= difference.line == Some(record.leaf);
            }
        }
        self.take_leaf(leaf);
        Ok(())
    }

    /// Leaf lines behind those of the last record.
    fn take_rest(&mut self) -> io::Result<()> {
        while let Some(leaf) = self.leaves.next()? {
            if self.difference.is_none() {
                self.part(None, Some(leaf));
            }
            self.take_leaf(Some(leaf));
        }
        Ok(())
    }

    fn part(&mut self, record: Option<Digest>, line: Option<Digest>) {
        let place = self.tree.size();
        let mut records = self.tree.clone();
        record.into_iter().for_each(|leaf| records.push(leaf));
        self.difference = Some(Difference { place, record, line, displaced: false, records });
    }

    fn take_leaf(&mut self, leaf: Option<Digest>) {
        if let Some(leaf) = leaf {
            self.tree.push(leaf);
            self.note_roots();
        }
    }

    fn note_roots(&mut self) {
        for (since, root) in self.since.iter().zip(&mut self.roots) {
            if since.size() == self.tree.size() {
                *root = Some(self.tree.root());
            }
        }
    }

    fn judge(mut self, report: &mut Report) -> io::Result<()> {
        let (size, root) = (self.note.size(), self.note.root());
        let folds = self.leaves.is_whole() && self.tree.size() == size && self.tree.root() == root;
        let records_fold =
            self.difference.as_ref().is_some_and(|d| d.records.size() == size && d.records.root() == root);
        if folds {
            if let Some(difference) = &self.difference {
                report.add(Place::Index(difference.place), self.changed(difference)?);
            }
        } else if records_fold {
            let place = self.difference.as_ref().map_or(0, |difference| difference.place);
            report.add(
                Place::Leaves,
                format!("they do not fold to the signed root, the records do: line {place} is wrong"),
            );
        } else {
            report.add(Place::Leaves, format!("they do not fold to the signed root: {}", self.interval()));
        }
        let since_hold = self.judge_since(folds, report);
        if let Some((index, reason)) = self.walk.finish() {
            report.add(Place::Index(index), reason);
        } else if let Some(difference) = &self.difference {
            if !folds && !records_fold {
                report.add(Place::Index(difference.place), "record and leaf line differ");
            }
        } else if folds {
            self.judge_keys(&since_hold, report);
        }
        Ok(())
    }

    /// What happened to the first record that is not the signed one.
    fn changed(&self, difference: &Difference) -> io::Result<&'static str> {
        let (records, size) = (difference.records.size(), self.tree.size());
        let missing = size.saturating_sub(records);
        let shifted = difference.place.saturating_add(missing);
        Ok(if difference.record.is_none() {
            "the record is missing"
        } else if difference.line.is_none() {
            "a surplus record"
        } else if missing > 0 && self.leaves.at(shifted)? == difference.record {
            "the record is missing"
        } else if records > size && difference.displaced {
            "a surplus record"
        } else {
            "the record's leaf is not the signed one"
        })
    }

    /// The indices between which the first change lies, as far as remembered checkpoints bound it.
    fn interval(&self) -> String {
        let (mut low, mut high) = (0, self.note.size().max(self.tree.size()));
        for (since, root) in self.since.iter().zip(&self.roots) {
            if *root == Some(since.root()) {
                low = low.max(since.size());
            } else {
                high = high.min(since.size());
            }
        }
        match high.checked_sub(1) {
            Some(last) if low <= last => format!("the first change lies in indices {low} to {last}"),
            _ => format!("the first {low} leaf lines hold"),
        }
    }

    /// Which remembered checkpoints the file goes on from.
    fn judge_since(&self, folds: bool, report: &mut Report) -> Vec<bool> {
        let judged = self.since.iter().zip(&self.roots).map(|(since, root)| {
            let (size, same) = (since.size(), *root == Some(since.root()));
            if size > self.note.size() {
                report.add(Place::Since(size), "larger than the file, which is an older or another history");
            } else if size == self.note.size() && since.root() != self.note.root() {
                report.add(Place::Since(size), "of the file's size with another root: another history");
            } else if folds && !same {
                report.add(Place::Since(size), "not a root of the file's history: another history");
            } else {
                return true;
            }
            false
        });
        judged.collect()
    }

    /// Signatures against the ranges that rotations and losses give the keys.
    fn judge_keys(&self, since_hold: &[bool], report: &mut Report) {
        if !self.walk.keys.holds(0) {
            report.add(Place::Note, "not signed by the key that the log names for its size");
        }
        for (number, (since, _)) in self.since.iter().zip(since_hold).enumerate().filter(|(_, (_, held))| **held) {
            if self.walk.keys.current().is_none() && since.origin() != self.note.origin() {
                report.add(Place::Since(since.size()), "of another origin");
            } else if !self.walk.keys.holds(number.saturating_add(1)) {
                report.add(Place::Since(since.size()), "not signed by the key that the log names for its size");
            }
        }
    }
}
