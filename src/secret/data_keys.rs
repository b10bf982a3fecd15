//! How many data keys each generation of each key wraps: one for each stored value.
//!
//! A count of a generation that is not the newest can only fall: nothing is sealed under it any more. So none, counted on a
//! snapshot not older than the keyring, stays none as long as the keys stay as they are.

use std::collections::BTreeMap;

use keyward_audit::store::{Snapshot, StoreError};

use super::lookup;
use super::row::SecretRow;
use crate::keys::{KeyGeneration, KeyId, Keyring, RowKey};

/// Counts, by key and generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataKeys(BTreeMap<(KeyId, KeyGeneration), u64>);

impl DataKeys {
    /// Counts the data keys of the key `only`, or of all keys. Where a key has one generation, its secrets' rows say how
    /// many; else each value is looked at.
    ///
    /// # Errors
    /// [`StoreError`] if a row cannot be read or is damaged: nothing is then said of any key.
    pub fn count(
        snapshot: &dyn Snapshot,
        row_key: &RowKey,
        keyring: &Keyring,
        only: Option<&KeyId>,
    ) -> Result<Self, StoreError> {
        let single = keyring.keys().filter(|key| key.generations.len() == 1);
        let single: BTreeMap<KeyId, KeyGeneration> = single.map(|key| (key.id.clone(), key.newest)).collect();
        let (mut counted, mut outcome) = (Self::default(), Ok(()));
        lookup::each_secret(snapshot, row_key, &mut |row| {
            if only.is_none_or(|only| *only == row.key) {
                outcome = counted.add(snapshot, &row, single.get(&row.key).copied());
            }
            outcome.is_ok()
        })?;
        outcome.map(|()| counted)
    }

    /// Data keys of a generation.
    #[must_use]
    pub fn of(&self, id: &KeyId, generation: KeyGeneration) -> u64 {
        self.0.get(&(id.clone(), generation)).copied().unwrap_or_default()
    }

    /// Data keys of all generations of a key.
    #[must_use]
    pub fn of_key(&self, id: &KeyId) -> u64 {
        self.0.iter().filter(|((key, _), _)| key == id).fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    fn add(&mut self, snapshot: &dyn Snapshot, row: &SecretRow, only: Option<KeyGeneration>) -> Result<(), StoreError> {
        for version in &row.versions {
            let generation = match only {
                Some(generation) => generation,
                None => lookup::value(snapshot, row, version)?.generation(),
            };
            let count = self.0.entry((row.key.clone(), generation)).or_default();
            *count = count.saturating_add(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Keyring;
    use crate::keys::fixture::{MemoryRows, add_generation, installed};
    use crate::secret::fixture::{at, created, engine_over, sealed_for};
    use crate::secret::{Limits, change};
    use crate::state::State;

    #[test]
    fn each_stored_value_is_counted_under_the_generation_that_wraps_it() {
        let (_, root, mut rows) = installed();
        let (id, first) = (KeyId::default_key(), KeyGeneration::FIRST);
        let load = |rows: &MemoryRows| Keyring::load(rows, &root).unwrap();
        let count = |rows: &MemoryRows, only: Option<&KeyId>| {
            let keyring = load(rows);
            DataKeys::count(rows, keyring.installation().row_key(), &keyring, only).unwrap()
        };
        assert_eq!(count(&rows, None), DataKeys::default());
        let before = engine_over(load(&rows));
        let made = created(&before, "a");
        rows.apply(&made.writes(before.row_key()));
        assert_eq!((count(&rows, None).of(&id, first), count(&rows, None).of_key(&id)), (1, 1));
        add_generation(&mut rows, &root, &id, 2, State::Enabled);
        let after = engine_over(load(&rows));
        let put = change::put(made.row.clone(), &sealed_for(&after, &made.row, "v2"), at(false, 2), &Limits::default());
        rows.apply(&put.unwrap().writes(after.row_key()));
        let counted = count(&rows, Some(&id));
        assert_eq!((counted.of(&id, first), counted.of(&id, KeyGeneration::new(2).unwrap())), (1, 1));
        assert_eq!(counted.of_key(&id), 2);
        assert_eq!(count(&rows, Some(&KeyId::parse("other").unwrap())), DataKeys::default());
    }
}
