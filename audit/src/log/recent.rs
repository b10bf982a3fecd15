//! The table of recent writes: which record last changed a row (invariant I13).
//!
//! An event names the rows that it was decided on and the log size as of which it read them; it may go in only if
//! no record at or above that size has changed one. The table answers from memory, never from the store: rows are
//! kept as a 64-bit keyed hash (two rows on one hash only send an event back for nothing), the oldest changes fall
//! out, and an event that read below the floor, where changes may have fallen out, is sent back too.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;

use crate::store::Key;

pub(super) struct Recent {
    hasher: RandomState,
    last: HashMap<u64, u64>,
    order: VecDeque<(u64, u64)>,
    rows_max: usize,
    floor: u64,
}

impl Recent {
    /// An empty table that knows of every change at or above the log size `floor`.
    pub(super) fn new(floor: u64, rows_max: usize) -> Self {
        Self { hasher: RandomState::new(), last: HashMap::new(), order: VecDeque::new(), rows_max, floor }
    }

    /// Notes that the record at `index` changes `row`; indices never fall.
    pub(super) fn note(&mut self, row: &Key, index: u64) {
        let hash = self.hasher.hash_one(row);
        if self.last.insert(hash, index) != Some(index) {
            self.order.push_back((index, hash));
        }
        while self.order.len() > self.rows_max {
            self.forget_oldest();
        }
    }

    /// Index of the last record that changed one of `rows`, read as of the log size `as_of`, since then. Where a change
    /// may have been forgotten it is taken for the last one below the floor.
    pub(super) fn changed_since(&self, rows: &[Key], as_of: u64) -> Option<u64> {
        if rows.is_empty() {
            return None;
        }
        let forgotten = (as_of < self.floor).then(|| self.floor.saturating_sub(1));
        let changes = rows.iter().filter_map(|row| self.last_change(row));
        changes.filter(|index| *index >= as_of).chain(forgotten).max()
    }

    fn last_change(&self, row: &Key) -> Option<u64> {
        self.last.get(&self.hasher.hash_one(row)).copied()
    }

    fn forget_oldest(&mut self) {
        let Some((index, hash)) = self.order.pop_front() else {
            return;
        };
        if self.last.get(&hash) == Some(&index) {
            self.last.remove(&hash);
            self.floor = self.floor.max(index.saturating_add(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::Family;

    fn row(name: u8) -> Key {
        Key::new(Family::Secrets, [name])
    }

    #[test]
    fn a_change_at_or_above_the_size_read_is_seen() {
        let mut recent = Recent::new(10, 8);
        recent.note(&row(1), 12);
        assert_eq!(recent.changed_since(&[row(1)], 12), Some(12));
        assert_eq!(recent.changed_since(&[row(2), row(1)], 10), Some(12));
        assert_eq!(recent.changed_since(&[row(1)], 13), None);
        assert_eq!(recent.changed_since(&[row(2)], 10), None);
    }

    #[test]
    fn what_was_read_below_the_floor_is_sent_back() {
        let mut recent = Recent::new(10, 2);
        assert_eq!(recent.changed_since(&[row(1)], 9), Some(9));
        for (name, index) in [(1, 10), (2, 11), (3, 12)] {
            recent.note(&row(name), index);
        }
        assert_eq!(recent.changed_since(&[row(9)], 10), Some(10), "the change at 10 fell out");
        assert_eq!(recent.changed_since(&[row(2)], 10), Some(11));
        assert_eq!(recent.changed_since(&[row(9)], 11), None);
    }

    #[test]
    fn what_read_no_row_never_conflicts() {
        assert_eq!(Recent::new(10, 2).changed_since(&[], 0), None);
    }

    proptest! {
        /// The oracle is the whole history: whatever it calls changed, the table must too.
        #[test]
        fn i13_no_change_is_ever_missed(changes in prop::collection::vec(0_u8..20, 1..80), rows_max in 1_usize..16) {
            let mut recent = Recent::new(0, rows_max);
            for (index, name) in changes.iter().enumerate() {
                recent.note(&row(*name), index as u64);
            }
            for as_of in 0..=changes.len() {
                for name in 0..20 {
                    let changed = changes[as_of..].contains(&name);
                    let told = recent.changed_since(&[row(name)], as_of as u64).is_some();
                    prop_assert!(told || !changed);
                    prop_assert!(told == changed || (as_of as u64) < recent.floor);
                }
            }
        }
    }
}
