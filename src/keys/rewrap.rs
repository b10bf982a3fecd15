//! A re-wrapping that was asked for: how far it has come. Its row, `rewrap/<key id>`, changes with the record of each part
//! that is done, so that a process that dies goes on behind the last of them.

use keyward_audit::store::{Family, Key, Snapshot, StoreError, Write};

use super::authentic::RowKey;
use super::id::{KeyGeneration, KeyId};
use super::row::{key_id, rewrap_row, rewrap_rows};
use crate::encoding::{Damaged, Reader, Writer};
use crate::resource::SecretName;

const VERSION: u8 = 1;

/// The re-wrapping of one key's data keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrap {
    /// The key.
    pub key: KeyId,
    /// The generation that it wraps them by.
    pub target: KeyGeneration,
    /// Data keys that the key wrapped when this began.
    pub total: u64,
    /// Those that are still to be wrapped anew, as counted then and since.
    pub remaining: u64,
    /// Those that did not open, and stay as they are.
    pub failed: u64,
    /// The last secret that was looked at, by the bytes of names; none at first.
    pub behind: Option<SecretName>,
}

impl Rewrap {
    /// The one that was asked for of `key`, if one was.
    ///
    /// # Errors
    /// [`StoreError`] if the row cannot be read or is damaged.
    pub fn of(snapshot: &dyn Snapshot, row_key: &RowKey, key: &KeyId) -> Result<Option<Self>, StoreError> {
        let address = rewrap_row(key).bytes;
        let stored = snapshot.get(Family::Keys, &address)?;
        stored.map(|stored| Self::read(row_key, &address, &stored)).transpose()
    }

    /// All that were asked for, by key.
    ///
    /// # Errors
    /// [`StoreError`] if a row cannot be read or is damaged.
    pub fn all(snapshot: &dyn Snapshot, row_key: &RowKey) -> Result<Vec<Self>, StoreError> {
        let (mut all, mut outcome) = (Vec::new(), Ok(()));
        let (from, to) = rewrap_rows();
        snapshot.scan(Family::Keys, &from, &to, false, &mut |address, stored| {
            match Self::read(row_key, address, stored) {
                Ok(rewrap) => all.push(rewrap),
                Err(error) => outcome = Err(error),
            }
            outcome.is_ok()
        })?;
        outcome.map(|()| all)
    }

    /// Stores it.
    #[must_use]
    pub fn write(&self, row_key: &RowKey) -> Write {
        let key = rewrap_row(&self.key);
        let value = row_key.authenticate(&key, self.encode());
        Write { key, value: Some(value) }
    }

    /// Ends it.
    #[must_use]
    pub fn end(&self) -> Write {
        Write { key: rewrap_row(&self.key), value: None }
    }

    /// Its row, for read sets.
    #[must_use]
    pub fn row(key: &KeyId) -> Key {
        rewrap_row(key)
    }

    fn read(row_key: &RowKey, address: &[u8], stored: &[u8]) -> Result<Self, StoreError> {
        let row = row_key.verified(Family::Keys, address, stored).and_then(|row| Self::decode(address, row));
        row.map_err(|what| StoreError::Damaged(format!("a re-wrapping: {what}")))
    }

    /// The row without its code.
    fn encode(&self) -> Vec<u8> {
        let row = Writer::new().u8(VERSION).u32(self.target.get()).u64(self.total).u64(self.remaining).u64(self.failed);
        row.raw(self.behind.as_ref().map_or("", SecretName::as_str).as_bytes()).finish()
    }

    fn decode(address: &[u8], row: &[u8]) -> Result<Self, Damaged> {
        let (from, _) = rewrap_rows();
        let mut reader = Reader::new(row);
        if reader.u8()? != VERSION {
            return Err(Damaged("row version"));
        }
        Ok(Self {
            key: key_id(address.strip_prefix(from.as_slice()).ok_or(Damaged("key id"))?)?,
            target: KeyGeneration::new(reader.u32()?).ok_or(Damaged("generation"))?,
            total: reader.u64()?,
            remaining: reader.u64()?,
            failed: reader.u64()?,
            behind: match std::str::from_utf8(reader.rest()).map_err(|_| Damaged("name"))? {
                "" => None,
                name => Some(SecretName::parse(name).map_err(|_| Damaged("name"))?),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture::{MemoryRows, installed};
    use super::*;

    fn rewraps() -> impl Strategy<Value = Rewrap> {
        let counts = (any::<u64>(), any::<u64>(), any::<u64>());
        ("[a-z0-9][a-z_-]{0,20}", 1_u32.., counts, prop::option::of("[a-z]{1,9}(/[a-z]{1,9})?")).prop_map(
            |(key, target, (total, remaining, failed), behind)| Rewrap {
                key: KeyId::parse(&key).unwrap(),
                target: KeyGeneration::new(target).unwrap(),
                total,
                remaining,
                failed,
                behind: behind.map(|name| SecretName::parse(&name).unwrap()),
            },
        )
    }

    proptest! {
        #[test]
        fn what_was_asked_for_is_found_again_as_it_was_left_and_is_gone_when_it_ends(one in rewraps(), other in rewraps()) {
            let (keyring, _, mut rows) = installed();
            let row_key = keyring.installation().row_key();
            rows.apply(&[one.write(row_key), other.write(row_key)]);
            let mut expected: Vec<Rewrap> = [one.clone(), other.clone()].into();
            if one.key == other.key { expected.remove(0); }
            expected.sort_by(|a, b| a.key.cmp(&b.key));
            prop_assert_eq!(Rewrap::all(&rows, row_key).unwrap(), expected);
            prop_assert_eq!(Rewrap::of(&rows, row_key, &other.key).unwrap(), Some(other.clone()));
            rows.apply(&[one.end(), other.end()]);
            prop_assert_eq!(Rewrap::all(&rows, row_key).unwrap(), Vec::<Rewrap>::new());
        }

        #[test]
        fn i10_any_bytes_are_read_or_refused_and_what_is_read_has_one_encoding(row: Vec<u8>) {
            let address = rewrap_row(&KeyId::default_key()).bytes;
            if let Ok(read) = Rewrap::decode(&address, &row) { prop_assert_eq!(read.encode(), row); }
        }
    }

    #[test]
    fn i08_a_row_that_was_altered_is_no_rewrap() {
        let (keyring, _, mut rows) = installed();
        let row_key = keyring.installation().row_key();
        let (key, target) = (KeyId::default_key(), KeyGeneration::FIRST);
        let rewrap = Rewrap { key, target, total: 1, remaining: 1, failed: 0, behind: None };
        let whole: MemoryRows = {
            rows.apply(&[rewrap.write(row_key)]);
            rows
        };
        for bit in 0..whole.row(&Rewrap::row(&rewrap.key)).unwrap().len() * 8 {
            let mut changed = whole.clone();
            let address = (Family::Keys, Rewrap::row(&rewrap.key).bytes);
            changed.0.get_mut(&address).unwrap()[bit / 8] ^= 1 << (bit % 8);
            assert!(Rewrap::all(&changed, row_key).is_err(), "bit {bit}");
        }
    }
}
