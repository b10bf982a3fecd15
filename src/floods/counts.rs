//! Exact counts between two summaries, in bounded memory: the largest rows are named, the rest is counted by reason.

use std::collections::BTreeMap;

/// Rows counted by themselves between two summaries; later ones count into `others`.
const ROWS_COUNTED_MAX: usize = 4_096;
/// Rows that a summary names; a record is at most 8 KiB.
pub(super) const ROWS_NAMED_MAX: usize = 48;
/// Bytes of all their names together, for the same reason.
const NAMES_BYTES_MAX: usize = 3_072;

/// What the rows of a summary stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Networks, IPv4 /24 or IPv6 /64, of callers that nobody knows.
    Network,
    /// Principals over their rate.
    Principal,
}

/// One row of a summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// How many.
    pub count: u64,
    /// Which network or principal.
    pub whom: String,
    /// Why refused.
    pub reason: &'static str,
}

/// What was counted since the summary before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What its rows stand for.
    pub by: By,
    /// All of it.
    pub count: u64,
    /// Time of the first, microseconds since 1970.
    pub first_us: u64,
    /// Time of the last.
    pub last_us: u64,
    /// Largest first.
    pub rows: Vec<Row>,
    /// What the rows do not name, by reason.
    pub others: BTreeMap<&'static str, u64>,
}

/// The counts since the last summary.
#[derive(Debug)]
pub(super) struct Counts<K> {
    counted: BTreeMap<(K, &'static str), u64>,
    others: BTreeMap<&'static str, u64>,
    first_us: u64,
    last_us: u64,
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self { counted: BTreeMap::new(), others: BTreeMap::new(), first_us: 0, last_us: 0 }
    }
}

impl<K: Ord> Counts<K> {
    /// Counts one; without a key, and beyond the bound, into the others.
    pub(super) fn count(&mut self, key: Option<K>, reason: &'static str, now_us: u64) {
        self.touch(now_us, now_us);
        match key.map(|key| (key, reason)) {
            Some(key) if self.counted.len() < ROWS_COUNTED_MAX || self.counted.contains_key(&key) => {
                let row = self.counted.entry(key).or_default();
                *row = row.saturating_add(1);
            }
            _ => add(&mut self.others, reason, 1),
        }
    }

    /// What was counted since the last call; `None` if nothing was.
    pub(super) fn take(&mut self, by: By, text: impl Fn(&K) -> String) -> Option<Summary> {
        let counted = std::mem::take(&mut self.counted);
        let others = std::mem::take(&mut self.others);
        let mut summary =
            Summary { by, count: 0, first_us: self.first_us, last_us: self.last_us, rows: Vec::new(), others };
        self.first_us = 0;
        let mut entries: Vec<_> = counted.into_iter().collect();
        entries.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let mut bytes = 0_usize;
        for ((key, reason), count) in entries {
            let whom = text(&key);
            bytes = bytes.saturating_add(whom.len());
            if summary.rows.len() < ROWS_NAMED_MAX && bytes <= NAMES_BYTES_MAX {
                summary.count = summary.count.saturating_add(count);
                summary.rows.push(Row { count, whom, reason });
            } else {
                add(&mut summary.others, reason, count);
            }
        }
        summary.count = summary.others.values().fold(summary.count, |sum, count| sum.saturating_add(*count));
        (summary.count > 0).then_some(summary)
    }

    /// Takes back a summary that could not be recorded; its rows count into `others` from now on.
    pub(super) fn give_back(&mut self, summary: Summary) {
        self.touch(summary.first_us, summary.last_us);
        for (reason, count) in &summary.others {
            add(&mut self.others, reason, *count);
        }
        for row in summary.rows {
            add(&mut self.others, row.reason, row.count);
        }
    }

    fn touch(&mut self, first_us: u64, last_us: u64) {
        self.first_us = if self.first_us == 0 { first_us } else { self.first_us.min(first_us) };
        self.last_us = self.last_us.max(last_us);
    }
}

fn add(counts: &mut BTreeMap<&'static str, u64>, reason: &'static str, count: u64) {
    let sum = counts.entry(reason).or_default();
    *sum = sum.saturating_add(count);
}
