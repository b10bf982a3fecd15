//! Questions to the log (audit-evidence.md 4.2): filters, newest first, as of a size, through the best index.
//!
//! A question reads its index below the watermark and the records above it, so it never misses a durable record. Every
//! hit is held against the record itself. The work is bounded: a page says how far it came.

use std::ops::Range;

use super::Log;
use super::followers::watermark;
use super::head::{self, HEAD, Head};
use super::index::{self, Entry, Name};
use super::keys::{ChainId, number};
use crate::hash;
use crate::record::{Decision, Outcome, Record};
use crate::store::{self, Family, Snapshot, Store, StoreError};

mod segments;

/// Names of one prefix that are looked up by name; more than that, and records are read in order instead.
const PREFIX_ROWS: usize = 65_536;

/// What is asked. Filters that are set must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The principal.
    pub principal: Option<String>,
    /// The exact configured `iss` of the token.
    pub issuer: Option<String>,
    /// A qualified group of the caller.
    pub group: Option<String>,
    /// The whole resource, creator included.
    pub resource: Option<String>,
    /// What the name of a secret begins with, whoever created it.
    pub resource_prefix: Option<String>,
    /// The whole name of a secret, key or role, whoever created it.
    pub resource_name: Option<String>,
    /// The action.
    pub action: Option<String>,
    /// The policy's answer.
    pub decision: Option<Decision>,
    /// What happened.
    pub outcome: Option<Outcome>,
    /// Commit time at or after this, microseconds since 1970.
    pub start_time_us: Option<u64>,
    /// Commit time before this.
    pub end_time_us: Option<u64>,
    /// Index at or above this.
    pub start_index: Option<u64>,
    /// Index below this.
    pub end_index: Option<u64>,
    /// From the page before: only indices below this.
    pub before: Option<u64>,
    /// From the page before: the log size as of which the question is asked; none is the present one.
    pub size: Option<u64>,
    /// How many records a page has at most.
    pub limit: usize,
    /// How many rows may be looked at for a page.
    pub scan_max: usize,
    /// Ignores the indexes: what an auditor asks who does not trust them.
    pub full_scan: bool,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Index and stored bytes, newest first.
    pub records: Vec<(u64, Vec<u8>)>,
    /// Where the next page begins: [`Query::before`]. None at the end.
    pub next_before: Option<u64>,
    /// The log size as of which the question was answered.
    pub size: u64,
    /// False if the bound on rows came before the limit and the end.
    pub complete: bool,
    /// How many rows were looked at.
    pub scanned: usize,
}

impl Log {
    /// Answers a question.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read now.
    pub fn search(&self, query: &Query) -> Result<Page, StoreError> {
        store::read(self.shared.store.as_ref(), |rows| search(rows, self.shared.id, query))
    }
}

/// Answers a question to the log of `origin` in `store`, whether or not anybody serves it.
///
/// # Errors
/// [`StoreError`] if the store cannot be read, or holds no log of that origin.
pub fn search_in(store: &dyn Store, origin: &str, query: &Query) -> Result<Page, StoreError> {
    store::read(store, |rows| {
        let chain_start = hash::chain_start(&head::first_origin(rows, origin)?);
        search(rows, ChainId::of(&chain_start), query)
    })
}

fn search(rows: &dyn Snapshot, id: ChainId, query: &Query) -> Result<Page, StoreError> {
    let size = log_size(rows, id)?;
    let size = query.size.map_or(size, |asked| asked.min(size));
    let indexed = if query.full_scan { 0 } else { watermark(rows, id)?.min(size) };
    let end = [query.end_index, query.before].into_iter().flatten().fold(size, u64::min);
    let start = query.start_index.unwrap_or(0).min(end);
    let mut search = Search {
        rows,
        id,
        query,
        page: Page { records: Vec::new(), next_before: None, size, complete: true, scanned: 0 },
    };
    search.records(start.max(indexed)..end)?;
    for range in segments::ranges(rows, id, query, start..end.min(indexed))? {
        search.range(range)?;
    }
    Ok(search.page)
}

/// Where records of a time or later can be: from the first one that the indexes find, those that they do not cover yet included.
pub(super) fn since(rows: &dyn Snapshot, id: ChainId, since_us: u64) -> Result<Range<u64>, StoreError> {
    let size = log_size(rows, id)?;
    let indexed = watermark(rows, id)?.min(size);
    let query = Query { start_time_us: Some(since_us), ..Query::default() };
    let ranges = segments::ranges(rows, id, &query, 0..indexed)?;
    Ok(ranges.iter().map(|range| range.start).min().unwrap_or(indexed)..size)
}

fn log_size(rows: &dyn Snapshot, id: ChainId) -> Result<u64, StoreError> {
    let row = rows.get(Family::State, &id.state(HEAD).bytes)?;
    row.as_deref().and_then(Head::size_of).ok_or_else(|| head::damaged(HEAD))
}

struct Search<'a> {
    rows: &'a dyn Snapshot,
    id: ChainId,
    query: &'a Query,
    page: Page,
}

/// Which rows lead to the records of a range.
enum Path {
    /// The records themselves.
    Records,
    /// One entry of an index.
    Entry(Entry),
    /// All that is called so.
    Name(String),
    /// The names of a prefix.
    Prefix(String),
}

impl Search<'_> {
    /// A range below the watermark.
    fn range(&mut self, range: Range<u64>) -> Result<(), StoreError> {
        match self.path() {
            Path::Records => self.records(range),
            Path::Entry(entry) => {
                let keys = entry.keys(self.id, &range);
                self.entries(&keys)
            }
            Path::Name(name) => self.named(&name, range),
            Path::Prefix(prefix) => match self.names(&prefix, &range)? {
                Some(indices) => self.indices(indices),
                None => self.records(range),
            },
        }
    }

    /// What is called `name`: there is mostly one thing that is, which has an entry of its own.
    fn named(&mut self, name: &str, range: Range<u64>) -> Result<(), StoreError> {
        let mut found = Vec::new();
        for kind in index::TYPES {
            let keys = Entry::resource(&Name { kind, name }).keys(self.id, &range);
            let mut is_there = false;
            self.rows.scan(Family::Indexes, &keys.start, &keys.end, false, &mut |_, _| {
                is_there = true;
                false
            })?;
            found.extend(is_there.then_some(keys));
        }
        match found.as_slice() {
            [] => Ok(()),
            [keys] => self.entries(keys),
            _ => self.records(range),
        }
    }

    /// The most selective index that the question allows.
    fn path(&self) -> Path {
        let query = self.query;
        if query.full_scan {
            return Path::Records;
        }
        if let Some(name) = query.resource.as_deref().and_then(Name::of) {
            return Path::Entry(Entry::resource(&name));
        }
        if let Some(name) = &query.resource_name {
            return Path::Name(name.clone());
        }
        if let Some(principal) = &query.principal {
            return Path::Entry(Entry::principal(principal));
        }
        if matches!(query.decision, Some(Decision::Deny | Decision::Error)) {
            return Path::Entry(Entry::refused());
        }
        if let Some(prefix) = &query.resource_prefix {
            return Path::Prefix(prefix.clone());
        }
        query.action.as_ref().map_or(Path::Records, |action| Path::Entry(Entry::action(action)))
    }

    /// Whether nothing more may be looked at: the page is full, or the bound was reached.
    fn is_over(&self) -> bool {
        self.page.next_before.is_some()
    }

    /// The records of `range` themselves: those above the watermark, or all if no index helps.
    fn records(&mut self, range: Range<u64>) -> Result<(), StoreError> {
        if self.is_over() || range.is_empty() {
            return Ok(());
        }
        let keys = self.id.records(range);
        let rows = self.rows;
        rows.scan(Family::Records, &keys.start, &keys.end, true, &mut |key, bytes| match number(key) {
            Some(index) => self.take(index, bytes),
            None => true,
        })
    }

    fn entries(&mut self, keys: &Range<Vec<u8>>) -> Result<(), StoreError> {
        if self.is_over() || keys.is_empty() {
            return Ok(());
        }
        let rows = self.rows;
        let mut failed = None;
        rows.scan(Family::Indexes, &keys.start, &keys.end, true, &mut |key, _| match self.hit(number(key)) {
            Ok(more) => more,
            Err(error) => {
                failed = Some(error);
                false
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// The indices of records whose secret's name begins with `prefix`, newest first; none if there are too many.
    fn names(&self, prefix: &str, range: &Range<u64>) -> Result<Option<Vec<u64>>, StoreError> {
        let keys = index::secrets_by_prefix(self.id, prefix);
        let mut indices = Vec::new();
        let mut seen = 0_usize;
        self.rows.scan(Family::Indexes, &keys.start, &keys.end, false, &mut |key, _| {
            seen += 1;
            indices.extend(number(key).filter(|index| range.contains(index)));
            seen <= PREFIX_ROWS
        })?;
        indices.sort_unstable_by(|a, b| b.cmp(a));
        Ok((seen <= PREFIX_ROWS).then_some(indices))
    }

    fn indices(&mut self, indices: Vec<u64>) -> Result<(), StoreError> {
        for index in indices {
            if self.is_over() || !self.hit(Some(index))? {
                break;
            }
        }
        Ok(())
    }

    /// Looks at the record that an index row points to.
    fn hit(&mut self, index: Option<u64>) -> Result<bool, StoreError> {
        let Some(index) = index else { return Ok(true) };
        match self.rows.get(Family::Records, &self.id.record(index).bytes)? {
            Some(bytes) => Ok(self.take(index, &bytes)),
            None => Ok(true),
        }
    }

    /// Looks at one record; answers whether to go on.
    fn take(&mut self, index: u64, bytes: &[u8]) -> bool {
        let full = self.page.records.len() >= self.query.limit;
        if full || self.page.scanned >= self.query.scan_max {
            self.page.complete = full;
            self.page.next_before = Some(index.saturating_add(1));
            return false;
        }
        self.page.scanned += 1;
        if Record::parse(bytes).is_ok_and(|record| matches(self.query, &record)) {
            self.page.records.push((index, bytes.to_vec()));
        }
        true
    }
}

/// Whether `record` is one of those that `query` asks for, its bounds on indices aside.
fn matches(query: &Query, record: &Record) -> bool {
    let is =
        |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|wanted| found == Some(wanted));
    let prefixed = |prefix: &str| {
        let name = record.resource().and_then(Name::of);
        name.is_some_and(|name| name.kind == index::SECRET && name.name.starts_with(prefix))
    };
    let named = |name: &str| record.resource().and_then(Name::of).is_some_and(|found| found.name == name);
    is(&query.principal, record.principal())
        && is(&query.issuer, record.issuer())
        && is(&query.resource, record.resource())
        && is(&query.action, Some(record.action()))
        && query.group.as_deref().is_none_or(|group| record.groups().any(|found| found == group))
        && query.resource_prefix.as_deref().is_none_or(prefixed)
        && query.resource_name.as_deref().is_none_or(named)
        && query.decision.is_none_or(|decision| record.decision() == Some(decision))
        && query.outcome.is_none_or(|outcome| record.outcome() == Some(outcome))
        && query.start_time_us.is_none_or(|start| record.time_us() >= start)
        && query.end_time_us.is_none_or(|end| record.time_us() < end)
}
