//! What tests of keys and secrets share: rows in memory, a root key, a keyring, a countable random source.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use keyward_audit::store::{Family, Key, Snapshot, StoreError, Write};
use keyward_audit::{Random, RandomError};

use super::material::KeyMaterial;
use super::root::{FileProvider, RootKey};
use super::row::{GenerationRow, KeyRow, generation_row, key_row};
use super::{KeyGeneration, KeyId, Keyring, RootKeyProvider as _};
use crate::clock::SystemRandom;
use crate::state::State;

/// Rows in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct MemoryRows(pub(crate) BTreeMap<(Family, Vec<u8>), Vec<u8>>);

impl MemoryRows {
    pub(crate) fn of(writes: &[Write]) -> Self {
        let mut rows = Self::default();
        rows.apply(writes);
        rows
    }

    pub(crate) fn apply(&mut self, writes: &[Write]) {
        for Write { key, value } in writes {
            let address = (key.family, key.bytes.clone());
            match value {
                Some(value) => self.0.insert(address, value.clone()),
                None => self.0.remove(&address),
            };
        }
    }

    pub(crate) fn put(&mut self, key: &Key, value: Vec<u8>) {
        self.0.insert((key.family, key.bytes.clone()), value);
    }

    pub(crate) fn row(&self, key: &Key) -> Option<Vec<u8>> {
        self.0.get(&(key.family, key.bytes.clone())).cloned()
    }
}

impl Snapshot for MemoryRows {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.get(&(family, key.to_vec())).cloned())
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: &[u8],
        reverse: bool,
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let mut rows: Vec<_> = self
            .0
            .iter()
            .filter(|((f, key), _)| *f == family && key.as_slice() >= from && key.as_slice() < to)
            .collect();
        if reverse {
            rows.reverse();
        }
        let _all = rows.into_iter().all(|((_, key), row)| each(key, row));
        Ok(())
    }
}

/// A root key, made through its file.
pub(crate) fn root_key() -> RootKey {
    let folder = tempfile::tempdir().unwrap();
    let provider = FileProvider::new(folder.path().join("root.key"));
    provider.create(&SystemRandom).unwrap();
    provider.load().unwrap()
}

/// A new keyring, its root key and its rows.
pub(crate) fn installed() -> (Keyring, RootKey, MemoryRows) {
    let root = root_key();
    let (keyring, writes) = Keyring::initial(&root, 1_767_225_600, &SystemRandom).unwrap();
    (keyring, root, MemoryRows::of(&writes))
}

/// Adds a generation of `id`, wrapped as a rotation would, and sets the key's state and newest generation.
pub(crate) fn add_generation(rows: &mut MemoryRows, root: &RootKey, id: &KeyId, number: u32, state: State) {
    let keyring = Keyring::load(rows, root).unwrap();
    let installation = keyring.installation().id();
    let generation = KeyGeneration::new(number).unwrap();
    let associated = super::keyring::associated(installation, id, generation);
    let material = KeyMaterial::random(&SystemRandom).unwrap();
    let key = root.material().wrap(&material, installation.as_bytes(), &associated, &SystemRandom).unwrap();
    let mut put = |key: Key, row| rows.put(&key, keyring.installation().row_key().authenticate(&key, row));
    put(generation_row(id, generation), GenerationRow { created_at_s: 1, key }.encode());
    put(key_row(id), KeyRow { state, created_at_s: 1, newest: generation }.encode());
}

/// The system's random source, which panics when it gives the same 12 bytes or more twice.
#[derive(Debug, Default)]
pub(crate) struct NoRepeat(Mutex<BTreeSet<Vec<u8>>>);

impl Random for NoRepeat {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        SystemRandom.fill(bytes)?;
        assert!(self.0.lock().unwrap().insert(bytes.to_vec()), "random bytes repeat");
        Ok(())
    }
}

impl NoRepeat {
    pub(crate) fn drawn(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// A source that gives nothing.
#[derive(Debug)]
pub(crate) struct NoRandom;

impl Random for NoRandom {
    fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
        Err(RandomError)
    }
}
