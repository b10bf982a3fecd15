//! A version of a secret with all that serving it needs ([`Servable`]), and those that were read last ([`Servables`]).
//!
//! Nothing has to invalidate what is remembered: each entry carries the log size that it was read at, a read decided
//! on it names that size in its read set, and the log sends it back if a record since then has changed the secret
//! (invariants I5, I13). Whoever is sent back forgets the entry and reads the store.
//!
//! What is kept is what lies on disk, sealed values and public names, and never a plaintext. If the process dies it is
//! gone.

use std::sync::Arc;

use moka::sync::Cache;

use super::id::VersionId;
use super::row::{SecretRow, VersionMeta};
use super::seal::{Binding, SealedValue};
use crate::resource::SecretName;

/// Most memory for entries, in bytes, about.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// About what an entry takes besides names, versions and value.
const ENTRY_BYTES: usize = 1024;
/// About what a version takes in a row.
const VERSION_BYTES: usize = 128;

/// One version of a secret, as read on one snapshot.
pub struct Servable {
    /// The log size before that snapshot.
    pub as_of: u64,
    /// The secret.
    pub row: SecretRow,
    /// The version.
    pub version: VersionMeta,
    /// Its value.
    pub sealed: SealedValue,
    /// What the value is bound to.
    pub binding: Binding,
}

impl Servable {
    fn weight(&self) -> usize {
        let versions = self.row.versions.len().saturating_mul(VERSION_BYTES);
        ENTRY_BYTES.saturating_add(versions).saturating_add(self.sealed.bytes())
    }
}

/// The current versions that were read last, by name.
pub struct Servables(Cache<SecretName, Arc<Servable>>);

impl Default for Servables {
    fn default() -> Self {
        let weight = |_: &SecretName, kept: &Arc<Servable>| u32::try_from(kept.weight()).unwrap_or(u32::MAX);
        Self(Cache::builder().max_capacity(BYTES_MAX).weigher(weight).build())
    }
}

impl Servables {
    /// What a read of `name` would serve, as it was when it was read.
    #[must_use]
    pub fn find(&self, name: &SecretName, version: Option<&VersionId>) -> Option<Arc<Servable>> {
        let kept = self.0.get(name)?;
        version.is_none_or(|version| *version == kept.row.current).then_some(kept)
    }

    /// Remembers what was read, if it is the version that a read without VersionId serves.
    pub fn keep(&self, servable: &Arc<Servable>) {
        if servable.version.id == servable.row.current {
            self.0.insert(servable.row.name.clone(), Arc::clone(servable));
        }
    }

    /// Forgets a secret: what was read of it has changed since, or does not open.
    pub fn forget(&self, name: &SecretName) {
        self.0.invalidate(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::fixture::{created, engine, sealed_for, version};

    fn servable(as_of: u64) -> Arc<Servable> {
        let engine = engine();
        let row = created(&engine, "prod/db").row;
        let served = row.versions[0].clone();
        let sealed = sealed_for(&engine, &row, "v1").value().clone();
        Arc::new(Servable { as_of, binding: row.binding(&served), version: served, sealed, row })
    }

    #[test]
    fn the_current_version_is_remembered_with_its_log_size_until_it_is_forgotten() {
        let kept = Servables::default();
        let current = servable(7);
        let name = current.row.name.clone();
        assert!(kept.find(&name, None).is_none());
        kept.keep(&current);
        assert_eq!(kept.find(&name, None).unwrap().as_of, 7);
        assert_eq!(kept.find(&name, Some(&current.version.id)).unwrap().as_of, 7);
        assert!(kept.find(&name, Some(&version("another"))).is_none());
        kept.forget(&name);
        assert!(kept.find(&name, None).is_none());
    }

    #[test]
    fn a_version_that_is_not_current_is_not_remembered() {
        let kept = Servables::default();
        let mut old = Arc::into_inner(servable(7)).unwrap();
        old.row.current = version("v2");
        kept.keep(&Arc::new(old));
        assert!(kept.find(&crate::secret::fixture::name("prod/db"), None).is_none());
    }
}
