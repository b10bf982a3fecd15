//! What a call does to a key: the rows that ride with its record. Decided on a keyring, whose generation of the log's state
//! the record's read set names, so that what is in memory is what is stored.
//!
//! INVARIANT I2: a change is complete: all rows that it touches are in its writes, for one batch.
//! INVARIANT I8: new keys are wrapped under the root key, and rows in the clear authenticated, as they become writes.
//! Nothing here ends a key, or a generation of it, that still wraps a data key: whoever asks says how many there are, as
//! counted on a snapshot no older than the keyring.

use keyward_audit::Random;
use keyward_audit::store::{Key, Write};

use super::id::{KeyGeneration, KeyId};
use super::keyring::{Entry, Keyring, wrapped};
use super::material::{KeyMaterial, SealError};
use super::root::RootKey;
use super::row::{KeyRow, deletion_row, generation_row, key_row};
use crate::state::State;

/// Keys that an installation can have: all of them are unwrapped whenever one changes.
pub const KEYS_MAX: usize = 1_000;
/// Generations that a key can have at a time.
pub const GENERATIONS_MAX: usize = 100;

/// Why a key is not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// `ResourceNotFound`.
    #[error("the key does not exist")]
    NotFound,
    /// `ResourceNotFound`.
    #[error("the key has no generation {0}")]
    GenerationNotFound(KeyGeneration),
    /// `FailedOperation`.
    #[error("the key exists already")]
    Exists,
    /// `FailedOperation`.
    #[error("the key is in state {state}; call {first} first")]
    WrongState {
        /// Its state.
        state: &'static str,
        /// The call to make first.
        first: &'static str,
    },
    /// `FailedOperation`.
    #[error("the default key is never deleted: secrets that name no key use it")]
    Default,
    /// `FailedOperation`.
    #[error("it is the newest generation, which wraps new data keys; call RotateKey first")]
    Newest,
    /// `FailedOperation`: of a whole key.
    #[error("{0} data keys are still wrapped by it, and their values would be lost; delete their secrets first")]
    Used(u64),
    /// `FailedOperation`: of a generation.
    #[error("{0} data keys are still wrapped by it; call RewrapKeys first")]
    GenerationUsed(u64),
    /// `LimitExceeded`.
    #[error("there can be no more than {KEYS_MAX} keys")]
    KeysLimit,
    /// `LimitExceeded`.
    #[error("a key can have no more than {GENERATIONS_MAX} generations; call RewrapKeys and RetireKeyGeneration first")]
    GenerationsLimit,
    /// `InternalError`.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Where new keys come from: the root key that wraps them, and randomness.
#[derive(Clone, Copy)]
pub struct Maker<'a> {
    /// Wraps them.
    pub root: &'a RootKey,
    /// Draws them.
    pub random: &'a dyn Random,
    /// Now, in epoch seconds.
    pub at_s: u64,
}

impl Keyring {
    /// Makes the key `id`, enabled, generation 1.
    ///
    /// # Errors
    /// [`KeyError::Exists`], [`KeyError::KeysLimit`], [`KeyError::Seal`].
    pub fn create(&self, id: &KeyId, maker: Maker<'_>) -> Result<Vec<Write>, KeyError> {
        if self.keys.contains_key(id) {
            return Err(KeyError::Exists);
        }
        if self.keys.len() >= KEYS_MAX {
            return Err(KeyError::KeysLimit);
        }
        let row = KeyRow { state: State::Enabled, created_at_s: maker.at_s, newest: KeyGeneration::FIRST };
        Ok(vec![self.new_generation(id, row.newest, maker)?, self.key_write(id, &row)])
    }

    /// Makes a new generation of an enabled key; answers its number. Data keys stay as they are.
    ///
    /// # Errors
    /// [`KeyError::NotFound`], [`KeyError::WrongState`], [`KeyError::GenerationsLimit`], [`KeyError::Seal`].
    pub fn rotate(&self, id: &KeyId, maker: Maker<'_>) -> Result<(KeyGeneration, Vec<Write>), KeyError> {
        let entry = self.in_use(id)?;
        let next = entry.row.newest.next().filter(|_| entry.generations.len() < GENERATIONS_MAX);
        let newest = next.ok_or(KeyError::GenerationsLimit)?;
        let row = KeyRow { newest, ..entry.row.clone() };
        Ok((newest, vec![self.new_generation(id, newest, maker)?, self.key_write(id, &row)]))
    }

    /// Makes a disabled key usable; an enabled one stays as it is.
    ///
    /// # Errors
    /// [`KeyError::NotFound`], [`KeyError::WrongState`].
    pub fn enable(&self, id: &KeyId) -> Result<Vec<Write>, KeyError> {
        self.switch(id, State::Enabled)
    }

    /// Makes a key unusable; a disabled one stays as it is.
    ///
    /// # Errors
    /// [`KeyError::NotFound`], [`KeyError::WrongState`].
    pub fn disable(&self, id: &KeyId) -> Result<Vec<Write>, KeyError> {
        self.switch(id, State::Disabled)
    }

    /// Has a disabled key that wraps none of `data_keys` wait for its deletion; answers the writes and the row that is to
    /// hold the index of the record.
    ///
    /// # Errors
    /// [`KeyError::NotFound`], [`KeyError::Default`], [`KeyError::WrongState`], [`KeyError::Used`].
    pub fn schedule_deletion(
        &self,
        id: &KeyId,
        delete_at_s: u64,
        data_keys: u64,
    ) -> Result<(Vec<Write>, Key), KeyError> {
        let entry = self.entry(id)?;
        if *id == KeyId::default_key() {
            return Err(KeyError::Default);
        }
        match entry.row.state {
            State::Enabled => Err(wrong_state(entry, "DisableKey")),
            State::PendingDelete { .. } => Err(wrong_state(entry, "CancelKeyDeletion")),
            State::Disabled if data_keys > 0 => Err(KeyError::Used(data_keys)),
            State::Disabled => {
                let row = KeyRow { state: State::PendingDelete { delete_at_s }, ..entry.row.clone() };
                Ok((vec![self.key_write(id, &row)], deletion_row(id)))
            }
        }
    }

    /// Takes a deletion back: the key is disabled then, so that it takes a second act until it can be used.
    ///
    /// # Errors
    /// [`KeyError::NotFound`], [`KeyError::WrongState`].
    pub fn cancel_deletion(&self, id: &KeyId) -> Result<Vec<Write>, KeyError> {
        let entry = self.entry(id)?;
        let State::PendingDelete { .. } = entry.row.state else {
            return Err(wrong_state(entry, "ScheduleKeyDeletion"));
        };
        let row = KeyRow { state: State::Disabled, ..entry.row.clone() };
        Ok(vec![self.key_write(id, &row), gone(deletion_row(id))])
    }

    /// Deletes a key that waits for it with all its generations, unless it still wraps one of `data_keys`.
    ///
    /// # Errors
    /// [`KeyError::NotFound`], [`KeyError::WrongState`], [`KeyError::Used`].
    pub fn purge(&self, id: &KeyId, data_keys: u64) -> Result<Vec<Write>, KeyError> {
        let entry = self.entry(id)?;
        let State::PendingDelete { .. } = entry.row.state else {
            return Err(wrong_state(entry, "ScheduleKeyDeletion"));
        };
        if data_keys > 0 {
            return Err(KeyError::Used(data_keys));
        }
        let generations = entry.generations.keys().map(|generation| generation_row(id, *generation));
        Ok(generations.chain([key_row(id), deletion_row(id)]).map(gone).collect())
    }

    /// Deletes a generation that is not the newest and wraps none of `data_keys`: what it once wrapped never opens again.
    ///
    /// # Errors
    /// [`KeyError::NotFound`], [`KeyError::GenerationNotFound`], [`KeyError::Newest`], [`KeyError::GenerationUsed`].
    pub fn retire(&self, id: &KeyId, generation: KeyGeneration, data_keys: u64) -> Result<Vec<Write>, KeyError> {
        let entry = self.entry(id)?;
        if !entry.generations.contains_key(&generation) {
            return Err(KeyError::GenerationNotFound(generation));
        }
        if generation == entry.row.newest {
            return Err(KeyError::Newest);
        }
        if data_keys > 0 {
            return Err(KeyError::GenerationUsed(data_keys));
        }
        Ok(vec![gone(generation_row(id, generation))])
    }

    /// The generation that a re-wrapping of an enabled key's data keys comes to.
    ///
    /// # Errors
    /// [`KeyError::NotFound`], [`KeyError::WrongState`].
    pub fn rewrapping(&self, id: &KeyId) -> Result<KeyGeneration, KeyError> {
        Ok(self.in_use(id)?.row.newest)
    }

    /// A key that may be used.
    fn in_use(&self, id: &KeyId) -> Result<&Entry, KeyError> {
        let entry = self.entry(id)?;
        match entry.row.state {
            State::Enabled => Ok(entry),
            State::Disabled => Err(wrong_state(entry, "EnableKey")),
            State::PendingDelete { .. } => Err(wrong_state(entry, "CancelKeyDeletion")),
        }
    }

    fn entry(&self, id: &KeyId) -> Result<&Entry, KeyError> {
        self.keys.get(id).ok_or(KeyError::NotFound)
    }

    fn switch(&self, id: &KeyId, state: State) -> Result<Vec<Write>, KeyError> {
        let entry = self.entry(id)?;
        match entry.row.state {
            State::PendingDelete { .. } => Err(wrong_state(entry, "CancelKeyDeletion")),
            before if before == state => Ok(Vec::new()),
            _ => Ok(vec![self.key_write(id, &KeyRow { state, ..entry.row.clone() })]),
        }
    }

    fn new_generation(&self, id: &KeyId, number: KeyGeneration, maker: Maker<'_>) -> Result<Write, KeyError> {
        let material = KeyMaterial::random(maker.random)?;
        let row = wrapped(self.installation(), (id, number), &material, maker.at_s, maker.root, maker.random)?;
        Ok(self.authentic(generation_row(id, number), row.encode()))
    }

    fn key_write(&self, id: &KeyId, row: &KeyRow) -> Write {
        self.authentic(key_row(id), row.encode())
    }

    fn authentic(&self, key: Key, row: Vec<u8>) -> Write {
        let value = self.installation().row_key().authenticate(&key, row);
        Write { key, value: Some(value) }
    }
}

fn wrong_state(entry: &Entry, first: &'static str) -> KeyError {
    KeyError::WrongState { state: entry.row.state.name(), first }
}

fn gone(key: Key) -> Write {
    Write { key, value: None }
}

#[cfg(test)]
mod tests;
