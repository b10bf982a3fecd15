//! How many data keys each generation of each key wraps: one for each stored value.
//!
//! A count of a generation that is not the newest can only fall: nothing is sealed under it any more. So none, counted on a
//! snapshot not older than the keyring, stays none as long as the keys stay as they are.

use std::collections::BTreeMap;

use keyward_audit::store::{Snapshot, StoreError};

use super::lookup;
use super::row::{SecretRow, VersionMeta};
use crate::keys::{KeyGeneration, KeyId, Keyring, RowKey};

/// Counts, by key and generation. A value that is missing or does not decode counts for its key alone, and a secret whose row
/// does not decode as one of every key: it cannot be told what wraps it, and nothing that may is to end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataKeys {
    told: BTreeMap<(KeyId, KeyGeneration), u64>,
    untold: BTreeMap<KeyId, u64>,
    /// Secrets of which not even the key can be told.
    secrets: u64,
}

impl DataKeys {
    /// Counts the data keys of the key `only`, or of all keys. Where a key has one generation, its secrets' rows say how
    /// many; else each value is looked at.
    ///
    /// # Errors
    /// [`StoreError`] if rows cannot be read: nothing is then said of any key.
    pub fn count(
        snapshot: &dyn Snapshot,
        row_key: &RowKey,
        keyring: &Keyring,
        only: Option<&KeyId>,
    ) -> Result<Self, StoreError> {
        let single = keyring.keys().filter(|key| key.generations.len() == 1);
        let single: BTreeMap<KeyId, KeyGeneration> = single.map(|key| (key.id.clone(), key.newest)).collect();
        let (mut counted, mut outcome) = (Self::default(), Ok(()));
        lookup::each_row(snapshot, row_key, &mut |_, row| {
            match row {
                Ok(row) if only.is_none_or(|only| *only == row.key) => {
                    outcome = counted.add(snapshot, &row, single.get(&row.key).copied());
                }
                Ok(_) => {}
                Err(StoreError::Damaged(_)) => counted.secrets = counted.secrets.saturating_add(1),
                Err(error) => outcome = Err(error),
            }
            outcome.is_ok()
        })?;
        outcome.map(|()| counted)
    }

    /// Data keys of a generation.
    #[must_use]
    pub fn of(&self, id: &KeyId, generation: KeyGeneration) -> u64 {
        self.told.get(&(id.clone(), generation)).copied().unwrap_or_default()
    }

    /// Data keys that end with a generation, at most: its own, and those of which it cannot be told.
    #[must_use]
    pub fn may_need(&self, id: &KeyId, generation: KeyGeneration) -> u64 {
        self.of(id, generation).saturating_add(self.untold(id))
    }

    /// Data keys of all generations of a key.
    #[must_use]
    pub fn of_key(&self, id: &KeyId) -> u64 {
        let told = self.told.iter().filter(|((key, _), _)| key == id);
        told.fold(self.untold(id), |sum, (_, count)| sum.saturating_add(*count))
    }

    fn untold(&self, id: &KeyId) -> u64 {
        self.untold.get(id).copied().unwrap_or_default().saturating_add(self.secrets)
    }

    fn add(&mut self, snapshot: &dyn Snapshot, row: &SecretRow, only: Option<KeyGeneration>) -> Result<(), StoreError> {
        for version in &row.versions {
            let generation = match only.map_or_else(|| generation(snapshot, row, version), Ok) {
                Ok(generation) => Some(generation),
                Err(StoreError::Damaged(_)) => None,
                Err(error) => return Err(error),
            };
            let count = match generation {
                Some(generation) => self.told.entry((row.key.clone(), generation)).or_default(),
                None => self.untold.entry(row.key.clone()).or_default(),
            };
            *count = count.saturating_add(1);
        }
        Ok(())
    }
}

/// The generation that wraps a version's data key.
fn generation(snapshot: &dyn Snapshot, row: &SecretRow, version: &VersionMeta) -> Result<KeyGeneration, StoreError> {
    Ok(lookup::value(snapshot, row, version)?.generation())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Keyring;
    use crate::keys::fixture::{MemoryRows, add_generation, installed};
    use crate::secret::fixture::{at, created, engine_over, sealed_for};
    use crate::secret::{Limits, address, change};
    use crate::state::State;
    use keyward_audit::store::Family;

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

    #[test]
    fn what_does_not_decode_counts_for_every_generation_that_may_wrap_it() {
        let (_, root, mut rows) = installed();
        let (id, first, second) = (KeyId::default_key(), KeyGeneration::FIRST, KeyGeneration::new(2).unwrap());
        let before = engine_over(Keyring::load(&rows, &root).unwrap());
        let made = ["a", "b", "c", "d"].map(|name| created(&before, name));
        made.iter().for_each(|made| rows.apply(&made.writes(before.row_key())));
        add_generation(&mut rows, &root, &id, 2, State::Enabled);
        // A value that is missing, one whose head does not decode, one that is whole, and a secret whose row was altered.
        let value = |made: &change::Change| address::value(made.row.id, made.row.versions[0].value).bytes;
        rows.0.remove(&(Family::Secrets, value(&made[0])));
        rows.0.insert((Family::Secrets, value(&made[1])), vec![0xff]);
        rows.0.get_mut(&(Family::Secrets, address::secret(&made[3].row.name).bytes)).unwrap()[9] ^= 1;
        let keyring = Keyring::load(&rows, &root).unwrap();
        let counted = DataKeys::count(&rows, keyring.installation().row_key(), &keyring, None).unwrap();
        assert_eq!((counted.of(&id, first), counted.of(&id, second), counted.of_key(&id)), (1, 0, 4));
        assert_eq!((counted.may_need(&id, first), counted.may_need(&id, second)), (4, 3));
        assert_eq!(counted.of_key(&KeyId::parse("other").unwrap()), 1, "the altered one may be under any key");
    }
}
