//! All keys of an installation, unwrapped in memory: what `init` makes and what a start loads.
//!
//! INVARIANT I8: a key-encryption key is wrapped under the root key with associated data that names format,
//! installation, key id and generation; what a key row says in the clear is authenticated. A keyring that does not load
//! whole does not load.
//!
//! A keyring does not change: a rotation commits its rows and then loads a new one. Keys are wiped when it is
//! dropped.

use std::collections::BTreeMap;

use keyward_audit::Random;
use keyward_audit::store::{Family, Key, Snapshot, StoreError, Write};

use super::authentic::RowKey;
use super::id::{KeyGeneration, KeyId, KeyState};
use super::installation::{Installation, InstallationId};
use super::material::{KeyMaterial, SealError};
use super::replace::opened;
use super::root::RootKey;
use super::row::{
    Address, GenerationRow, KeyRow, RootRow, generation_row, installation_row, key_row, parse_address, root_row,
};
use crate::encoding::{Damaged, Writer};
use crate::principal::Principal;
use crate::resource::CreatorNumber;

const LABEL: &[u8] = b"keyward/key-encryption-key/v1";

/// Why the keys cannot be had. One line, said at start; nothing is served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The store has no installation row: it was never initialised.
    #[error("the store holds no installation; `keyward init` makes one")]
    NoInstallation,
    /// The installation row does not open under this root key.
    #[error("the root key in {place} does not open this store{needed}")]
    WrongRootKey {
        /// Where the root key came from, and its id.
        place: String,
        /// Which one the store says that it is under, if it says so.
        needed: String,
    },
    /// The installation opened, but a key did not, or does not fit the others.
    #[error("the key rows of the store are damaged: key `{key}`: {what}")]
    Key {
        /// The key.
        key: String,
        /// What does not fit.
        what: &'static str,
    },
    /// A row is not what it should be.
    #[error("the key rows of the store are damaged: {0}")]
    Damaged(#[from] Damaged),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A new key could not be made.
    #[error("a key could not be made: {0}")]
    Seal(#[from] SealError),
}

/// Why a key may not be used: `FailedOperation.AccessKmsError`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyUnusable {
    /// No such key, or no such generation of it.
    #[error("the key is unknown")]
    Unknown,
    /// The key is disabled.
    #[error("the key is disabled")]
    Disabled,
}

/// The keys of an installation. No `Debug`, `Clone` or serialisation.
///
/// ```compile_fail,E0277
/// fn shown(keyring: &keyward::keys::Keyring) -> String { format!("{keyring:?}") }
/// ```
/// ```
/// fn shown(keyring: &keyward::keys::Keyring) -> String { format!("{:?}", keyring.installation().id()) }
/// ```
pub struct Keyring {
    installation: Installation,
    keys: BTreeMap<KeyId, Entry>,
}

struct Entry {
    row: KeyRow,
    generations: BTreeMap<KeyGeneration, KeyMaterial>,
}

impl Keyring {
    /// A new installation with the key `default`, generation 1, and the writes that store it under `root`.
    ///
    /// # Errors
    /// [`KeysError::Seal`] if the system gives no random bytes.
    pub fn initial(root: &RootKey, created_at_s: u64, random: &dyn Random) -> Result<(Self, Vec<Write>), KeysError> {
        let root_id = root.id();
        let root = root.material();
        let installation = Installation::random(created_at_s, random)?;
        let (id, newest) = (KeyId::default_key(), KeyGeneration::FIRST);
        let key = KeyMaterial::random(random)?;
        let associated = associated(installation.id(), &id, newest);
        let wrapped = root.wrap(&key, installation.id().as_bytes(), &associated, random)?;
        let row = KeyRow { state: KeyState::Enabled, created_at_s, newest };
        let wrapped = GenerationRow { created_at_s, key: wrapped };
        let authentic = |key: Key, row| (installation.row_key().authenticate(&key, row), key);
        let rows = [
            (installation.wrap(root, random)?.encode(), installation_row()),
            authentic(key_row(&id), row.encode()),
            authentic(generation_row(&id, newest), wrapped.encode()),
            authentic(root_row(), RootRow { id: root_id }.encode()),
        ];
        let writes = rows.into_iter().map(|(bytes, key)| Write { key, value: Some(bytes) }).collect();
        let entry = Entry { row, generations: BTreeMap::from([(newest, key)]) };
        Ok((Self { installation, keys: BTreeMap::from([(id, entry)]) }, writes))
    }

    /// Loads all keys as of `snapshot`.
    ///
    /// # Errors
    /// [`KeysError`]; a root key that is not this store's is [`KeysError::WrongRootKey`].
    pub fn load(snapshot: &dyn Snapshot, root: &RootKey) -> Result<Self, KeysError> {
        let installation = opened(snapshot, root)?;
        let rows = Rows::read(snapshot, installation.row_key())?;
        if rows.root.as_ref().is_some_and(|row| row.id != root.id()) {
            return Err(KeysError::Damaged(Damaged("the row of the root key is of another one")));
        }
        let keys = rows.unwrap(installation.id(), root.material())?;
        Ok(Self { installation, keys })
    }

    /// The installation.
    #[must_use]
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// The number under which `principal` creates: [`Installation::creator_number`].
    #[must_use]
    pub fn creator_number(&self, principal: &Principal) -> CreatorNumber {
        self.installation.creator_number(principal)
    }

    /// The ids and states of all keys, by id.
    pub fn keys(&self) -> impl Iterator<Item = (&KeyId, KeyState, KeyGeneration)> {
        self.keys.iter().map(|(id, entry)| (id, entry.row.state, entry.row.newest))
    }

    /// The generation that wraps new data keys of `id`.
    ///
    /// # Errors
    /// [`KeyUnusable`] if there is no such key or it is disabled.
    pub fn newest(&self, id: &KeyId) -> Result<KeyGeneration, KeyUnusable> {
        Ok(self.enabled(id)?.row.newest)
    }

    /// Whether this generation of `id` may be used. Asked before a read is committed.
    ///
    /// # Errors
    /// [`KeyUnusable`] if it is not there or the key is disabled.
    pub fn usable(&self, id: &KeyId, generation: KeyGeneration) -> Result<(), KeyUnusable> {
        let entry = self.enabled(id)?;
        entry.generations.get(&generation).map(|_| ()).ok_or(KeyUnusable::Unknown)
    }

    /// The key itself, whatever its state: a read that was committed while the key was enabled is carried out.
    pub(crate) fn material(&self, id: &KeyId, generation: KeyGeneration) -> Result<&KeyMaterial, KeyUnusable> {
        let entry = self.keys.get(id).ok_or(KeyUnusable::Unknown)?;
        entry.generations.get(&generation).ok_or(KeyUnusable::Unknown)
    }

    fn enabled(&self, id: &KeyId) -> Result<&Entry, KeyUnusable> {
        let entry = self.keys.get(id).ok_or(KeyUnusable::Unknown)?;
        match entry.row.state {
            KeyState::Enabled => Ok(entry),
            KeyState::Disabled => Err(KeyUnusable::Disabled),
        }
    }
}

/// The rows of all keys, still wrapped.
#[derive(Default)]
pub(super) struct Rows {
    root: Option<RootRow>,
    keys: BTreeMap<KeyId, KeyRow>,
    pub(super) generations: BTreeMap<(KeyId, KeyGeneration), GenerationRow>,
}

impl Rows {
    pub(super) fn read(snapshot: &dyn Snapshot, row_key: &RowKey) -> Result<Self, KeysError> {
        let mut rows = Self::default();
        let mut outcome = Ok(());
        // Every address of the family begins with a letter.
        snapshot.scan(Family::Keys, &[], &[0xff], false, &mut |key, row| {
            outcome = rows.add(key, row, row_key);
            outcome.is_ok()
        })?;
        outcome?;
        Ok(rows)
    }

    fn add(&mut self, key: &[u8], stored: &[u8], row_key: &RowKey) -> Result<(), KeysError> {
        let verified = |key_id: String| {
            let row = row_key.verified(Family::Keys, key, stored);
            row.map_err(|Damaged(what)| KeysError::Key { key: key_id, what })
        };
        match parse_address(key)? {
            Address::Installation => {}
            Address::Root => self.root = Some(RootRow::decode(verified("root".to_owned())?)?),
            Address::Key(id) => {
                let row = KeyRow::decode(verified(id.to_string())?)?;
                self.keys.insert(id, row);
            }
            Address::Generation(id, generation) => {
                let row = GenerationRow::decode(verified(format!("{id} generation {generation}"))?)?;
                self.generations.insert((id, generation), row);
            }
        }
        Ok(())
    }

    fn unwrap(self, installation: InstallationId, root: &KeyMaterial) -> Result<BTreeMap<KeyId, Entry>, KeysError> {
        let mut entries: BTreeMap<_, _> =
            self.keys.into_iter().map(|(id, row)| (id, Entry { row, generations: BTreeMap::new() })).collect();
        for ((id, generation), row) in self.generations {
            let damaged = |what| KeysError::Key { key: format!("{id} generation {generation}"), what };
            let associated = associated(installation, &id, generation);
            let key = root
                .unwrap(&row.key, installation.as_bytes(), &associated)
                .map_err(|_| damaged("it does not open under the root key"))?;
            let entry = entries.get_mut(&id).ok_or_else(|| damaged("it has no key row"))?;
            entry.generations.insert(generation, key);
        }
        match entries.iter().find(|(_, entry)| !entry.generations.contains_key(&entry.row.newest)) {
            Some((id, _)) => Err(KeysError::Key { key: id.to_string(), what: "its newest generation is missing" }),
            None if !entries.contains_key(&KeyId::default_key()) => {
                Err(KeysError::Key { key: KeyId::default_key().to_string(), what: "it is missing" })
            }
            None => Ok(entries),
        }
    }
}

/// Label, installation id, key id, generation.
pub(super) fn associated(installation: InstallationId, id: &KeyId, generation: KeyGeneration) -> Vec<u8> {
    let bytes = Writer::new().bytes(LABEL).raw(installation.as_bytes()).bytes(id.as_str().as_bytes());
    bytes.u32(generation.get()).finish()
}

#[cfg(test)]
mod tests;
