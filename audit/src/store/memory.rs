//! A naive engine for tests: maps in memory. The oracle for the real one, and a fast store for tests of the log.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Commit, Family, Guard, Judge, Key, Snapshot, Store, StoreError, Tail, Verdict, Write};

type Rows = BTreeMap<Key, Vec<u8>>;

/// What outlives a [`MemoryStore`], as a disk does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<Rows>>);

/// Rows in memory; every snapshot is a copy of all of them.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    disk: Disk,
}

impl MemoryStore {
    /// A store over what `disk` holds.
    pub(crate) fn on(disk: &Disk) -> Self {
        Self { disk: disk.clone() }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.disk.0.lock().unwrap()
    }
}

fn apply(rows: &mut Rows, batch: &[Write]) {
    for write in batch {
        match &write.value {
            Some(value) => rows.insert(write.key.clone(), value.clone()),
            None => rows.remove(&write.key),
        };
    }
}

impl Store for MemoryStore {
    fn snapshot(&self, read: &mut dyn FnMut(&dyn Snapshot) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let rows = self.rows().clone();
        read(&MemorySnapshot(rows))
    }

    fn commit(&self, batch: &[Write], guards: &[Guard]) -> Commit {
        let mut rows = self.rows();
        if let Some(place) = guards.iter().position(|guard| rows.get(&guard.key) != guard.expected.as_ref()) {
            return Commit::Conflict(place);
        }
        apply(&mut rows, batch);
        Commit::Committed
    }

    fn write_derived(&self, batch: &[Write]) -> Result<(), StoreError> {
        super::refuse_authoritative(batch)?;
        apply(&mut self.rows(), batch);
        Ok(())
    }

    fn write_followed(&self, batch: &[Write], guard: &Guard) -> Result<bool, StoreError> {
        super::refuse_authoritative(batch)?;
        let mut rows = self.rows();
        let holds = rows.get(&guard.key) == guard.expected.as_ref();
        if holds {
            apply(&mut rows, batch);
        }
        Ok(holds)
    }

    fn compact(&self, _: Family, _: &[u8], _: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }

    fn copy_to(&self, _: &Path) -> Result<(), StoreError> {
        Err(StoreError::Engine("what is in memory has no files".to_owned()))
    }

    fn reopen(&self, judge: &mut Judge<'_>) -> Result<Tail, StoreError> {
        let rows = self.rows().clone();
        match judge(&MemorySnapshot(rows))? {
            Verdict::Accept => Ok(Tail::Whole),
            Verdict::Refuse(why) => Err(StoreError::Refused(why)),
        }
    }
}

struct MemorySnapshot(Rows);

impl Snapshot for MemorySnapshot {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.get(&Key::new(family, key)).cloned())
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: &[u8],
        reverse: bool,
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let inside = |key: &Key| key.family == family && key.bytes.as_slice() >= from && key.bytes.as_slice() < to;
        let mut found: Vec<_> = self.0.iter().filter(|(key, _)| inside(key)).collect();
        if reverse {
            found.reverse();
        }
        found.into_iter().all(|(key, value)| each(&key.bytes, value));
        Ok(())
    }
}
