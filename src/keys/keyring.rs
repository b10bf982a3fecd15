//! All keys of an installation, unwrapped in memory: what `init` makes and what a start loads.
//!
//! INVARIANT I8: a key-encryption key is wrapped under the root key with associated data that names format,
//! installation, key id and generation; what a key row says in the clear is authenticated. A keyring that does not load
//! whole does not load.
//!
//! A keyring does not change: what changes keys ([`super::change`]) commits its rows, and then a new one is loaded. Keys
//! are wiped when the last of those who decided on it drops it.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyward_audit::Random;
use keyward_audit::store::{Family, Key, Snapshot, StoreError, Write};

use super::authentic::RowKey;
use super::id::{KeyGeneration, KeyId};
use super::installation::{Installation, InstallationId};
use super::material::{KeyMaterial, SealError};
use super::replace::opened;
use super::root::{RootKey, RootKeyId};
use super::row::{
    Address, GenerationRow, KeyRow, RootRow, generation_row, installation_row, key_row, parse_address, root_row,
};
use crate::encoding::{Damaged, Writer};
use crate::principal::Principal;
use crate::resource::CreatorNumber;
use crate::state::State;

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
        /// Which one the store says that it is under, if it says so, and which one could not be tried.
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
    /// The key waits for its deletion.
    #[error("the key is waiting for deletion")]
    PendingDelete,
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
    installation: Arc<Installation>,
    root: RootKeyId,
    pub(super) keys: BTreeMap<KeyId, Entry>,
    as_of: u64,
}

/// A key with all its generations.
pub(super) struct Entry {
    pub(super) row: KeyRow,
    pub(super) generations: BTreeMap<KeyGeneration, Made>,
}

/// One generation of a key.
pub(super) struct Made {
    created_at_s: u64,
    key: KeyMaterial,
}

/// What can be told of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo<'a> {
    /// Its id.
    pub id: &'a KeyId,
    /// Whether it may be used.
    pub state: State,
    /// When it was made, in epoch seconds.
    pub created_at_s: u64,
    /// The generation that wraps new data keys.
    pub newest: KeyGeneration,
    /// Its generations that are not retired, and when each was made, in epoch seconds.
    pub generations: Vec<(KeyGeneration, u64)>,
}

impl Keyring {
    /// A new installation with the key `default`, generation 1, and the writes that store it under `root`.
    ///
    /// # Errors
    /// [`KeysError::Seal`] if the system gives no random bytes.
    pub fn initial(root: &RootKey, created_at_s: u64, random: &dyn Random) -> Result<(Self, Vec<Write>), KeysError> {
        let installation = Installation::random(created_at_s, random)?;
        let (id, newest) = (KeyId::default_key(), KeyGeneration::FIRST);
        let key = KeyMaterial::random(random)?;
        let row = KeyRow { state: State::Enabled, created_at_s, newest };
        let wrapped = wrapped(&installation, (&id, newest), &key, created_at_s, root, random)?;
        let authentic = |key: Key, row| (installation.row_key().authenticate(&key, row), key);
        let rows = [
            (installation.wrap(root.material(), random)?.encode(), installation_row()),
            authentic(key_row(&id), row.encode()),
            authentic(generation_row(&id, newest), wrapped.encode()),
            authentic(root_row(), RootRow { id: root.id() }.encode()),
        ];
        let writes = rows.into_iter().map(|(bytes, key)| Write { key, value: Some(bytes) }).collect();
        let entry = Entry { row, generations: BTreeMap::from([(newest, Made { created_at_s, key })]) };
        let keys = BTreeMap::from([(id, entry)]);
        Ok((Self { installation: Arc::new(installation), root: root.id(), keys, as_of: 0 }, writes))
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
        Ok(Self { installation: Arc::new(installation), root: root.id(), keys, as_of: 0 })
    }

    /// The same, known to be all keys under this generation of the log's state, which was read before the snapshot.
    #[must_use]
    pub fn as_of_generation(self, as_of: u64) -> Self {
        Self { as_of, ..self }
    }

    /// The generation of the log's state under which these are all keys: what is decided on them names it.
    #[must_use]
    pub fn as_of(&self) -> u64 {
        self.as_of
    }

    /// The installation.
    #[must_use]
    pub fn installation(&self) -> &Arc<Installation> {
        &self.installation
    }

    /// The root key that all of them were loaded under.
    #[must_use]
    pub fn root(&self) -> RootKeyId {
        self.root
    }

    /// The number under which `principal` creates: [`Installation::creator_number`].
    #[must_use]
    pub fn creator_number(&self, principal: &Principal) -> CreatorNumber {
        self.installation.creator_number(principal)
    }

    /// All keys, by id.
    pub fn keys(&self) -> impl Iterator<Item = KeyInfo<'_>> {
        self.keys.iter().map(|(id, entry)| entry.info(id))
    }

    /// One key.
    #[must_use]
    pub fn key(&self, id: &KeyId) -> Option<KeyInfo<'_>> {
        self.keys.get_key_value(id).map(|(id, entry)| entry.info(id))
    }

    /// The generation that wraps new data keys of `id`.
    ///
    /// # Errors
    /// [`KeyUnusable`] if there is no such key or it may not be used.
    pub fn newest(&self, id: &KeyId) -> Result<KeyGeneration, KeyUnusable> {
        Ok(self.enabled(id)?.row.newest)
    }

    /// Whether this generation of `id` may be used. Asked before a read is committed.
    ///
    /// # Errors
    /// [`KeyUnusable`] if it is not there or the key may not be used.
    pub fn usable(&self, id: &KeyId, generation: KeyGeneration) -> Result<(), KeyUnusable> {
        let entry = self.enabled(id)?;
        entry.generations.get(&generation).map(|_| ()).ok_or(KeyUnusable::Unknown)
    }

    /// Whether this generation of `id` is there, whatever the key's state.
    #[must_use]
    pub fn holds(&self, id: &KeyId, generation: KeyGeneration) -> bool {
        self.material(id, generation).is_ok()
    }

    /// The key itself, whatever its state: a read that was committed while the key was enabled is carried out.
    pub(crate) fn material(&self, id: &KeyId, generation: KeyGeneration) -> Result<&KeyMaterial, KeyUnusable> {
        let entry = self.keys.get(id).ok_or(KeyUnusable::Unknown)?;
        entry.generations.get(&generation).map(|made| &made.key).ok_or(KeyUnusable::Unknown)
    }

    fn enabled(&self, id: &KeyId) -> Result<&Entry, KeyUnusable> {
        let entry = self.keys.get(id).ok_or(KeyUnusable::Unknown)?;
        match entry.row.state {
            State::Enabled => Ok(entry),
            State::Disabled => Err(KeyUnusable::Disabled),
            State::PendingDelete { .. } => Err(KeyUnusable::PendingDelete),
        }
    }
}

impl Entry {
    fn info<'a>(&self, id: &'a KeyId) -> KeyInfo<'a> {
        KeyInfo {
            id,
            state: self.row.state,
            created_at_s: self.row.created_at_s,
            newest: self.row.newest,
            generations: self.generations.iter().map(|(generation, made)| (*generation, made.created_at_s)).collect(),
        }
    }
}

/// The row of a new generation, its key wrapped under the root key.
pub(super) fn wrapped(
    installation: &Installation,
    (id, generation): (&KeyId, KeyGeneration),
    key: &KeyMaterial,
    created_at_s: u64,
    root: &RootKey,
    random: &dyn Random,
) -> Result<GenerationRow, SealError> {
    let associated = associated(installation.id(), id, generation);
    let key = root.material().wrap(key, installation.id().as_bytes(), &associated, random)?;
    Ok(GenerationRow { created_at_s, key })
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
            Address::Root => self.root = Some(RootRow::decode(verified("root".to_owned())?)?),
            // What points at a record has no code: the key's own row says whether it waits. A re-wrapping is read where it
            // goes on.
            Address::Installation | Address::Deletion(_) | Address::Rewrap(_) => {}
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
            entry.generations.insert(generation, Made { created_at_s: row.created_at_s, key });
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
