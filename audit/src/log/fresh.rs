//! The index keys of the newest records, on their way from the sequencer to the follower in memory, so that it need not
//! read and parse what has just been written.
//!
//! They are a shortcut and nothing more: what is not here, because the follower lags or the process is new, it reads off
//! the records (invariant I2: derived rows follow from them alone; `audit verify` compares).

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Mutex;

use super::index::Traces;
use super::sync::lock;

/// At most so many records are kept; the oldest go first.
const RECORDS_MAX: usize = 16_384;

/// What one record adds to the indexes.
pub(super) struct Indexed {
    pub(super) index: u64,
    pub(super) time_us: u64,
    pub(super) traces: Traces,
}

/// Records in a row, the newest last.
#[derive(Default)]
pub(super) struct Fresh(Mutex<VecDeque<Indexed>>);

impl Fresh {
    /// Adds the records of a batch.
    pub(super) fn add(&self, batch: impl Iterator<Item = Indexed>) {
        let mut kept = lock(&self.0);
        for record in batch {
            if kept.back().is_some_and(|last| last.index.checked_add(1) != Some(record.index)) {
                kept.clear();
            }
            kept.push_back(record);
        }
        let over = kept.len().saturating_sub(RECORDS_MAX);
        kept.drain(..over);
    }

    /// The records of `range`, as many of its first ones as are here; `None` if the first is not.
    pub(super) fn take(&self, range: &Range<u64>) -> Option<Vec<Indexed>> {
        let mut kept = lock(&self.0);
        let before = kept.partition_point(|record| record.index < range.start);
        kept.drain(..before);
        kept.front().filter(|record| record.index == range.start)?;
        let taken = kept.partition_point(|record| record.index < range.end);
        Some(kept.drain(..taken).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(range: Range<u64>) -> impl Iterator<Item = Indexed> {
        range.map(|index| Indexed { index, time_us: index, traces: Traces::default() })
    }

    fn indices(taken: Option<Vec<Indexed>>) -> Option<Vec<u64>> {
        taken.map(|taken| taken.iter().map(|record| record.index).collect())
    }

    #[test]
    fn records_are_taken_in_a_row_and_once() {
        let fresh = Fresh::default();
        fresh.add(records(3..6));
        fresh.add(records(6..8));
        assert_eq!(indices(fresh.take(&(3..5))), Some(vec![3, 4]));
        assert_eq!(indices(fresh.take(&(5..100))), Some(vec![5, 6, 7]));
        assert_eq!(indices(fresh.take(&(8..9))), None);
    }

    #[test]
    fn what_is_not_here_is_said_so() {
        let fresh = Fresh::default();
        fresh.add(records(3..6));
        assert_eq!(indices(fresh.take(&(2..5))), None, "the follower lags");
        assert_eq!(indices(fresh.take(&(4..6))), Some(vec![4, 5]), "what is below is dropped");
    }

    #[test]
    fn after_a_gap_only_what_is_behind_it_counts() {
        let fresh = Fresh::default();
        fresh.add(records(3..6));
        fresh.add(records(9..10));
        assert_eq!(indices(fresh.take(&(3..10))), None);
        assert_eq!(indices(fresh.take(&(9..10))), Some(vec![9]));
    }

    #[test]
    fn a_follower_that_does_not_come_costs_bounded_memory() {
        let fresh = Fresh::default();
        fresh.add(records(0..RECORDS_MAX as u64 + 5));
        assert_eq!(lock(&fresh.0).len(), RECORDS_MAX);
        assert_eq!(indices(fresh.take(&(5..6))), Some(vec![5]));
    }
}
