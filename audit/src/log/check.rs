//! The check of a whole store: everything that follows from the records is derived again and compared.
//!
//! INVARIANT I7: form, index, epoch, time, chain, tiles, root, head, checkpoints with their signatures and mark; and the indexes
//! both ways, since they lie outside the commitment. Reads in blocks, so a log of any size fits. The independent check of an
//! export is `keyward-audit-verify`; this one sees what an export does not hold.

use std::collections::BTreeMap;
use std::fmt;

use super::followers;
use super::head::{self, Head, Sealed};
use super::index::{self, Facts};
use super::keys::{ChainId, number};
use super::proofs::read_note;
use super::row_sum::RowSum;
use super::signers::Signers;
use super::start::OpenError;
use crate::hash::{self, Digest};
use crate::mark::Mark;
use crate::note::VerifyingKey;
use crate::record::{Kind, Record};
use crate::store::{self, Family, Snapshot, Store, StoreError};
use crate::tree::{FullTile, decode_tile};

mod stated;

/// Records read in one snapshot.
const BLOCK: u64 = 1_024;
/// Rows of the indexes after which their number is told.
const TOLD_EVERY: u64 = 65_536;
/// Findings that are kept; the rest is counted.
const FINDINGS: usize = 100;

/// Something that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The first record that it is known to concern.
    pub index: Option<u64>,
    /// What does not fit.
    pub reason: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(formatter, "index {index}: {}", self.reason),
            None => formatter.write_str(&self.reason),
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The first findings, in the order in which they were made.
    pub findings: Vec<Finding>,
    /// How many there are.
    pub total: u64,
    /// Records that the head states.
    pub size: u64,
    /// Root over the records as they are.
    pub root: Digest,
}

/// What is to be checked.
#[derive(Debug)]
pub struct Verify<'a> {
    /// The origin that the log signs under.
    pub origin: &'a str,
    /// The high-water mark, if it is to be held against the store.
    pub mark: Option<Mark>,
    /// The key that the log signs with, if the signatures of its checkpoints are checked too. Keys before it are named by the
    /// records that changed them.
    pub vkey: Option<&'a VerifyingKey>,
    /// Random bytes, drawn for this check alone, if the indexes are checked too. Whoever knew them before could write rows
    /// that add up to those that are missing.
    pub indexes: Option<[u8; 32]>,
}

impl Verify<'_> {
    /// Checks the log in `store`, which nobody writes meanwhile; tells `progress` of records done and of all.
    ///
    /// # Errors
    /// [`OpenError`] if there is no log to be checked, or the store cannot be read.
    pub fn run(&self, store: &dyn Store, progress: &mut dyn FnMut(u64, u64)) -> Result<Report, OpenError> {
        let stated = store::read(store, |rows| self.stated(rows))?;
        let stated = stated.ok_or_else(|| OpenError::NoLog(self.origin.to_owned()))?;
        let head = &stated.head;
        let mut check = Check::new(store, &stated, self);
        let mut next = 0;
        while next < head.size {
            let to = next.saturating_add(BLOCK).min(head.size);
            check.block(next, to)?;
            next = to;
            progress(next, head.size);
        }
        check.end(&stated)?;
        check.signatures(head.size)?;
        check.indexes(progress)?;
        Ok(check.report)
    }

    fn stated(&self, rows: &dyn Snapshot) -> Result<Option<Stated>, StoreError> {
        let first_origin = head::first_origin(rows, self.origin)?;
        let chain_start = hash::chain_start(&first_origin);
        let stated = Head::stated(rows, ChainId::of(&chain_start))?;
        let Some((head, root)) = stated else { return Ok(None) };
        let indexed = followers::watermark(rows, ChainId::of(&chain_start))?;
        Ok(Some(Stated { first_origin, chain_start, head, root, indexed }))
    }
}

/// Hands every record of the log in `store`, oldest first, to `each` with its index and the log's size, in blocks.
///
/// # Errors
/// [`StoreError`] if the store cannot be read; [`StoreError::Damaged`] if it holds no log of that origin.
pub fn each_record(store: &dyn Store, origin: &str, each: &mut dyn FnMut(u64, u64, &[u8])) -> Result<(), StoreError> {
    let verify = Verify { origin, mark: None, vkey: None, indexes: None };
    let stated = store::read(store, |rows| verify.stated(rows))?;
    let stated = stated.ok_or_else(|| StoreError::Damaged(format!("it holds no log of `{origin}`")))?;
    let (id, size) = (ChainId::of(&stated.chain_start), stated.head.size);
    let mut next = 0;
    while next < size {
        let to = next.saturating_add(BLOCK).min(size);
        let records = store::read(store, |rows| collect(rows, Family::Records, id, next, to))?;
        for (index, bytes) in records {
            each(index, size, &bytes);
        }
        next = to;
    }
    Ok(())
}

/// The bytes of the record at `index` of the log in `store`, if it has so many.
///
/// # Errors
/// As [`each_record`].
pub fn record_at(store: &dyn Store, origin: &str, index: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let verify = Verify { origin, mark: None, vkey: None, indexes: None };
    store::read(store, |rows| {
        let stated = verify.stated(rows)?;
        let stated = stated.ok_or_else(|| StoreError::Damaged(format!("it holds no log of `{origin}`")))?;
        rows.get(Family::Records, &ChainId::of(&stated.chain_start).record(index).bytes)
    })
}

/// What the state says of the log.
struct Stated {
    first_origin: String,
    chain_start: Digest,
    head: Head,
    root: Digest,
    /// How many records have their rows in the indexes.
    indexed: u64,
}

struct Check<'a> {
    store: &'a dyn Store,
    id: ChainId,
    settings: &'a Verify<'a>,
    head: Head,
    /// Index of the record that answers are looked up for.
    next: u64,
    before: Option<Record>,
    indexed: u64,
    /// Which key signed which sizes, as far as the records say.
    signers: Signers,
    /// The rows that the first `indexed` records have in the indexes, if those are checked.
    rows: Option<RowSum>,
    report: Report,
}

impl<'a> Check<'a> {
    fn new(store: &'a dyn Store, stated: &Stated, settings: &'a Verify<'a>) -> Self {
        let report = Report { findings: Vec::new(), total: 0, size: stated.head.size, root: hash::empty_root() };
        Self {
            store,
            id: ChainId::of(&stated.chain_start),
            settings,
            head: Head::empty(stated.chain_start, stated.head.sealed.time_us),
            next: 0,
            before: None,
            indexed: stated.indexed.min(stated.head.size),
            signers: Signers::new(stated.first_origin.clone()),
            rows: settings.indexes.map(RowSum::new),
            report,
        }
    }

    fn find(&mut self, index: impl Into<Option<u64>>, reason: impl Into<String>) {
        self.report.total = self.report.total.saturating_add(1);
        if self.report.findings.len() < FINDINGS {
            self.report.findings.push(Finding { index: index.into(), reason: reason.into() });
        }
    }

    fn block(&mut self, from: u64, to: u64) -> Result<(), StoreError> {
        let store = self.store;
        store.snapshot(&mut |rows| {
            let records = collect(rows, Family::Records, self.id, from, to)?;
            let checkpoints = collect(rows, Family::Checkpoints, self.id, from, to)?;
            for index in from..to {
                self.next = index;
                self.checkpoint(checkpoints.get(&index));
                self.mark();
                match records.get(&index) {
                    Some(bytes) => self.record(rows, bytes)?,
                    None => self.missing(),
                }
            }
            Ok(())
        })
    }

    /// The rest of the log cannot fit any more; an empty leaf keeps the indices.
    fn missing(&mut self) {
        self.find(self.next, "the record is missing");
        self.head.append(Kind::Access, &hash::leaf(&[]), self.head.time_us, &mut Vec::new());
        self.before = None;
    }

    fn record(&mut self, rows: &dyn Snapshot, bytes: &[u8]) -> Result<(), StoreError> {
        let parsed = Record::parse(bytes);
        let kind = parsed.as_ref().map_or(Kind::Access, Record::kind);
        match &parsed {
            Ok(record) => self.content(rows, record)?,
            Err(error) => self.find(self.next, error.to_string()),
        }
        let time_us = parsed.as_ref().map_or(self.head.time_us, Record::time_us);
        let mut full = Vec::new();
        self.head.append(kind, &hash::leaf(bytes), time_us, &mut full);
        for tile in full {
            self.tile(rows, &tile)?;
        }
        self.before = parsed.ok();
        Ok(())
    }

    /// What a record says of itself and of those before it.
    fn content(&mut self, rows: &dyn Snapshot, record: &Record) -> Result<(), StoreError> {
        if record.index() != self.next {
            self.find(self.next, format!("the record states the index `{}`", record.index()));
        }
        self.form(record);
        self.order(record);
        self.stated(record);
        if let Err(reason) = self.signers.note(record) {
            self.find(self.next, reason);
        }
        if let Some(answered) = record.draft().answers {
            self.answer(rows, record, answered)?;
        }
        if let Some(sum) = self.rows.as_mut().filter(|_| self.next < self.indexed) {
            index::rows(self.id, &Facts::of(record)).iter().for_each(|(key, value)| sum.add(key, value));
        }
        Ok(())
    }

    /// What SPEC asks of every record, and of each kind, beyond what a reader of records needs.
    fn form(&mut self, record: &Record) {
        let (draft, kind) = (record.draft(), record.kind());
        let wrong = [
            (record.action().is_empty(), "`action` is empty"),
            (draft.door.is_empty(), "`door` is empty"),
            (
                draft.answers.is_some() != (kind == Kind::Outcome),
                "`answers` is in each `outcome` record, and in no other",
            ),
            (draft.outcome.is_none() != (kind == Kind::Seal), "`outcome` is in each record but seals"),
        ];
        wrong.into_iter().filter(|(is_wrong, _)| *is_wrong).for_each(|(_, what)| self.find(self.next, what));
    }

    fn order(&mut self, record: &Record) {
        let (epoch, time_us) = match &self.before {
            Some(before) => (before.epoch(), before.time_us()),
            None if self.next == 0 => (1, 0),
            None => return,
        };
        let risen = epoch.saturating_add(u32::from(record.kind() == Kind::Loss));
        let time_fell = record.time_us() < time_us && record.kind() != Kind::ClockStep;
        if record.epoch() < epoch {
            self.find(self.next, "the epoch is below that of the record before");
        } else if record.epoch() != risen {
            self.find(
                self.next,
                format!("the epoch is `{}`, and from 1 on it rises by one with each loss", record.epoch()),
            );
        }
        if time_fell {
            self.find(self.next, "the time is below that of the record before, and no clock step says so");
        }
    }

    fn answer(&mut self, rows: &dyn Snapshot, record: &Record, answered: u64) -> Result<(), StoreError> {
        let before = rows.get(Family::Records, &self.id.record(answered).bytes)?;
        let before = before.and_then(|bytes| Record::parse(&bytes).ok());
        let same = |before: &Record| before.request() == record.request() && before.action() == record.action();
        if answered >= self.next || !before.as_ref().is_some_and(same) {
            self.find(
                self.next,
                format!("it answers `{answered}`, which is no earlier record of its request and action"),
            );
        }
        Ok(())
    }

    /// A full tile must be stored as the records make it; a leaf that differs names its record.
    fn tile(&mut self, rows: &dyn Snapshot, tile: &FullTile) -> Result<(), StoreError> {
        let stored = rows.get(Family::Tiles, &self.id.tile(tile.level, tile.n).bytes)?;
        if stored.as_deref() == Some(&tile.bytes) {
            return Ok(());
        }
        let first = tile.n.saturating_mul(256);
        let stored = stored.as_deref().and_then(decode_tile);
        let differs = stored.zip(decode_tile(&tile.bytes)).and_then(|(a, b)| a.iter().zip(b).position(|(a, b)| a != b));
        match (tile.level, differs) {
            (0, Some(place)) => {
                self.find(first.saturating_add(place as u64), "the record does not fit its stored leaf")
            }
            (level, _) => self.find(None, format!("tile `{}` of level `{level}` is missing or altered", tile.n)),
        }
        Ok(())
    }

    /// A checkpoint of the size before the next record states the root of the records below it.
    fn checkpoint(&mut self, note: Option<&Vec<u8>>) {
        let Some(note) = note else { return };
        let root = read_note(note).map(|(checkpoint, _)| checkpoint.root);
        if root != Some(self.head.root()) {
            let size = self.head.size;
            self.find(None, format!("the checkpoint of size `{size}` is not of these records"));
        }
    }

    fn mark(&mut self) {
        let Some(mark) = self.settings.mark.filter(|mark| mark.size == self.head.size) else {
            return;
        };
        if mark.root != self.head.root() || mark.chain != self.head.chain {
            self.find(None, format!("the high-water mark of size `{}` is not of these records", mark.size));
        }
    }

    /// What is left once all records are read: the head itself, and what lies above it.
    fn end(&mut self, stated: &Stated) -> Result<(), StoreError> {
        let (store, head) = (self.store, &stated.head);
        self.report.root = self.head.root();
        store.snapshot(&mut |rows| {
            let above = collect(rows, Family::Checkpoints, self.id, head.size, head.size.saturating_add(1))?;
            self.checkpoint(above.get(&head.size));
            self.mark();
            self.surplus(rows, head.size)
        })?;
        if let Some(mark) = self.settings.mark.filter(|mark| mark.size > head.size) {
            self.find(head.size, format!("lost: the high-water mark remembers `{}` records", mark.size));
        }
        if let Err(reason) = self.signers.reaches(self.settings.origin) {
            self.find(None, reason);
        }
        if self.head.chain != head.chain {
            self.find(None, "the chain over the records is not that of the head");
        }
        if self.head.root() != stated.root {
            self.find(None, "the root over the records is not that of the head");
        }
        let rows_fit = store::read(store, |rows| Head::load(rows, self.id).map(|_| ()));
        if let Err(error) = rows_fit {
            self.find(None, error.to_string());
        }
        if !same_seal(&self.head.sealed, &head.sealed) || self.head.time_us != head.time_us {
            self.find(None, "time, last seal or counts of the head are not those of the records");
        }
        Ok(())
    }

    /// Records and signed heads above the head, and more tiles than there are full ones.
    fn surplus(&mut self, rows: &dyn Snapshot, size: u64) -> Result<(), StoreError> {
        let keys = self.id.records(size..u64::MAX);
        let mut above = Vec::new();
        rows.scan(Family::Records, &keys.start, &keys.end, false, &mut |key, _| {
            above.extend(number(key));
            above.len() < FINDINGS
        })?;
        for index in above {
            self.find(index, "the record lies above the head");
        }
        self.lost_heads(rows, size)?;
        let keys = self.id.all(&[]);
        let mut tiles = 0_u64;
        rows.scan(Family::Tiles, &keys.start, &keys.end, false, &mut |_, _| {
            tiles += 1;
            true
        })?;
        let full: u64 = (1..8_u32).map(|level| size >> (8 * level)).sum();
        if tiles > full {
            self.find(None, format!("`{tiles}` tiles are stored, `{full}` are full"));
        }
        Ok(())
    }

    /// What was signed above the head was there: a tail is cut off, whatever the mark says.
    fn lost_heads(&mut self, rows: &dyn Snapshot, size: u64) -> Result<(), StoreError> {
        let keys = self.id.records(size.saturating_add(1)..u64::MAX);
        let mut newest = None;
        rows.scan(Family::Checkpoints, &keys.start, &keys.end, true, &mut |key, _| {
            newest = number(key);
            false
        })?;
        if let Some(newest) = newest {
            self.find(size, format!("lost: a checkpoint of size `{newest}` was signed"));
        }
        Ok(())
    }

    /// Each checkpoint must bear the signature of the key that signed its size: whoever writes the rows without the key cannot make one.
    fn signatures(&mut self, size: u64) -> Result<(), StoreError> {
        let Some(newest) = self.settings.vkey else { return Ok(()) };
        if let Err(reason) = self.signers.end(newest) {
            self.find(None, reason);
        }
        let (store, mut next) = (self.store, 0);
        while next <= size {
            let to = next.saturating_add(BLOCK);
            let notes = store::read(store, |rows| collect(rows, Family::Checkpoints, self.id, next, to))?;
            for (size, note) in notes {
                if let Err(error) = self.signers.check(size, &note, newest) {
                    self.find(None, format!("the checkpoint of size `{size}` is not one that the log signed: {error}"));
                }
            }
            next = to;
        }
        Ok(())
    }

    /// The rows of the indexes must be those that follow from the records. They are added up, which takes no look-up, and
    /// looked at one by one if the sums differ.
    fn indexes(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), StoreError> {
        let Some(expected) = self.rows.take() else { return Ok(()) };
        let (store, id, indexed) = (self.store, self.id, self.indexed);
        if store::read(store, |rows| followers::is_clearing(rows, id))? {
            return Ok(());
        }
        let mut found = expected.empty();
        self.strays(|rows, key, value| {
            if found.count().is_multiple_of(TOLD_EVERY) {
                progress(found.count(), expected.count());
            }
            let is_indexed = index::record_of(key).is_some_and(|index| index < indexed);
            if is_indexed {
                found.add(key, value);
            }
            is_indexed || follows(rows, id, key, value)
        })?;
        if found == expected {
            return Ok(());
        }
        let mut next = 0;
        while next < indexed {
            let to = next.saturating_add(BLOCK).min(indexed);
            store.snapshot(&mut |rows| self.missing_index_rows(rows, next, to))?;
            next = to;
            progress(next, indexed);
        }
        self.strays(|rows, key, value| {
            index::record_of(key).is_none_or(|index| index >= indexed) || follows(rows, id, key, value)
        })
    }

    /// Every row that a record has in the indexes must be there.
    fn missing_index_rows(&mut self, rows: &dyn Snapshot, from: u64, to: u64) -> Result<(), StoreError> {
        for (index, bytes) in collect(rows, Family::Records, self.id, from, to)? {
            let Ok(record) = Record::parse(&bytes) else { continue };
            for (key, value) in index::rows(self.id, &Facts::of(&record)) {
                if rows.get(Family::Indexes, &key)? != Some(value) {
                    self.find(index, "a row of an index is missing or altered");
                }
            }
        }
        Ok(())
    }

    /// Finds the rows of the indexes that are not `good`.
    fn strays(&mut self, mut good: impl FnMut(&dyn Snapshot, &[u8], &[u8]) -> bool) -> Result<(), StoreError> {
        let keys = index::all(self.id);
        let mut strays = Vec::new();
        self.store.snapshot(&mut |rows| {
            rows.scan(Family::Indexes, &keys.start, &keys.end, false, &mut |key, value| {
                if !good(rows, key, value) {
                    strays.push(index::record_of(key));
                }
                strays.len() < FINDINGS
            })
        })?;
        for index in strays {
            self.find(index, "a row of an index does not follow from its record");
        }
        Ok(())
    }
}

/// Whether an index row follows from the record that it names.
fn follows(rows: &dyn Snapshot, id: ChainId, key: &[u8], value: &[u8]) -> bool {
    let Some(index) = index::record_of(key) else {
        return false;
    };
    let record = rows.get(Family::Records, &id.record(index).bytes);
    let record = record.ok().flatten().and_then(|bytes| Record::parse(&bytes).ok());
    record.is_some_and(|record| {
        record.index() == index && index::rows(id, &Facts::of(&record)).iter().any(|(k, v)| k == key && v == value)
    })
}

/// Counts of a seal are kept in the order in which kinds came.
fn same_seal(a: &Sealed, b: &Sealed) -> bool {
    let sorted = |sealed: &Sealed| {
        let mut counts = sealed.counts.clone();
        counts.sort_unstable();
        counts
    };
    a.index == b.index && a.time_us == b.time_us && sorted(a) == sorted(b)
}

/// The rows of `[from, to)` by their number.
fn collect(
    rows: &dyn Snapshot,
    family: Family,
    id: ChainId,
    from: u64,
    to: u64,
) -> Result<BTreeMap<u64, Vec<u8>>, StoreError> {
    let keys = id.records(from..to);
    let mut collected = BTreeMap::new();
    rows.scan(family, &keys.start, &keys.end, false, &mut |key, value| {
        collected.extend(number(key).map(|number| (number, value.to_vec())));
        true
    })?;
    Ok(collected)
}
