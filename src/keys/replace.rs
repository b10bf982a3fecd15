//! Another root key: all keys of the store wrapped anew under it, in one batch, and at start the choice between the root
//! keys that there are.
//!
//! INVARIANT I2: the rows ride in the commit of the record that says so: the store is under one root key or under the other,
//! whenever a process dies. Neither root key's file is touched, so the one that the store is under is there.
//! INVARIANT I8: what each key is bound to stays as it was; no value, no data key and no key changes.

use std::sync::Arc;

use keyward_audit::Random;
use keyward_audit::store::{Family, Snapshot, StoreError, Write};

use super::id::{KeyGeneration, KeyId};
use super::installation::Installation;
use super::keyring::{Keyring, KeysError, Rows, associated};
use super::root::{RootKey, RootKeyError, RootKeyProvider};
use super::row::{GenerationRow, InstallationRow, RootRow, generation_row, installation_row, root_row};

/// The writes that put all keys as of `snapshot`, which are under `old`, under `new`.
///
/// # Errors
/// [`KeysError`] if a row cannot be read, is damaged or is not under `old`, or there are no random bytes.
pub fn replaced(
    snapshot: &dyn Snapshot,
    old: &RootKey,
    new: &RootKey,
    random: &dyn Random,
) -> Result<Vec<Write>, KeysError> {
    let installation = opened(snapshot, old)?;
    let rows = Rows::read(snapshot, installation.row_key())?;
    let (id, row_key) = (installation.id(), installation.row_key());
    let wrapped = installation.wrap(new.material(), random)?;
    let mut writes = vec![Write { key: installation_row(), value: Some(wrapped.encode()) }];
    for ((key, generation), row) in &rows.generations {
        let associated = associated(id, key, *generation);
        let opened = old.material().unwrap(&row.key, id.as_bytes(), &associated);
        let material = opened.map_err(|_| damaged(key, *generation))?;
        let wrapped = new.material().wrap(&material, id.as_bytes(), &associated, random)?;
        let row = GenerationRow { created_at_s: row.created_at_s, key: wrapped };
        let key = generation_row(key, *generation);
        writes.push(Write { value: Some(row_key.authenticate(&key, row.encode())), key });
    }
    let row = RootRow { id: new.id() };
    writes.push(Write { value: Some(row_key.authenticate(&root_row(), row.encode())), key: root_row() });
    Ok(writes)
}

/// Whether the store is under `root`.
///
/// # Errors
/// [`KeysError::WrongRootKey`] if not, or what keeps it from being known.
pub fn opens(snapshot: &dyn Snapshot, root: &RootKey) -> Result<(), KeysError> {
    opened(snapshot, root).map(drop)
}

/// The installation, if `root` opens it.
pub(super) fn opened(snapshot: &dyn Snapshot, root: &RootKey) -> Result<Installation, KeysError> {
    let row = snapshot.get(Family::Keys, &installation_row().bytes)?.ok_or(KeysError::NoInstallation)?;
    Installation::unwrap(&InstallationRow::decode(&row)?, root.material()).map_err(|_| {
        let needed = needed(snapshot).unwrap_or_default();
        KeysError::WrongRootKey { place: format!("`{}` (`{}`)", root.place(), root.id()), needed }
    })
}

fn damaged(key: &KeyId, generation: KeyGeneration) -> KeysError {
    KeysError::Key { key: format!("{key} generation {generation}"), what: "it does not open under the root key" }
}

/// Which root key the store says that it is under: a hint for people, which nothing rests on.
fn needed(snapshot: &dyn Snapshot) -> Result<String, StoreError> {
    let row = snapshot.get(Family::Keys, &root_row().bytes)?;
    // Its code cannot be checked without the root key.
    let row = row.and_then(|stored| RootRow::hint(&stored));
    Ok(row.map(|row| format!("; it is under the root key `{}`", row.id)).unwrap_or_default())
}

/// The root keys that a configuration names: the one, and the one that is to replace it, if any.
pub struct Candidates {
    /// Each with whether it is the next one.
    keys: Vec<(Arc<RootKey>, bool)>,
    /// Why there is but one of the two, if two are named.
    absent: String,
}

impl Candidates {
    /// Fetches them.
    ///
    /// # Errors
    /// [`RootKeyError`] if there is none at all.
    pub fn load(current: &dyn RootKeyProvider, next: Option<&dyn RootKeyProvider>) -> Result<Self, RootKeyError> {
        let (current, next) = (current.load(), next.map(RootKeyProvider::load));
        let said = |section: &str, error: &RootKeyError| format!("; that of `[{section}]` cannot be had: {error}");
        let (keys, absent) = match (current, next) {
            (Ok(current), None) => (vec![(Arc::new(current), false)], String::new()),
            (Ok(current), Some(Ok(next))) => (vec![(Arc::new(current), false), (Arc::new(next), true)], String::new()),
            (Ok(current), Some(Err(error))) => {
                // A file that is not there is made when it is needed.
                if !matches!(error, RootKeyError::Absent(_)) {
                    tracing::warn!(%error, "the root key of `[keys.next]` cannot be had");
                }
                (vec![(Arc::new(current), false)], said("keys.next", &error))
            }
            (Err(error), Some(Ok(next))) => {
                tracing::warn!(%error, "the root key of `[keys]` cannot be had");
                (vec![(Arc::new(next), true)], said("keys", &error))
            }
            (Err(current), Some(Err(next))) => {
                return Err(RootKeyError::Neither { current: Box::new(current), next: Box::new(next) });
            }
            (Err(error), None) => return Err(error),
        };
        Ok(Self { keys, absent })
    }

    /// Loads the keys as of `snapshot` with the one that opens them.
    ///
    /// # Errors
    /// [`KeysError`]; [`KeysError::WrongRootKey`] says which root key is needed, if the store says so, and why one that is named
    /// was not tried.
    pub fn open(&self, snapshot: &dyn Snapshot) -> Result<Opened, KeysError> {
        let (mut places, mut hint) = (Vec::new(), String::new());
        for (root, is_next) in &self.keys {
            match Keyring::load(snapshot, root) {
                Ok(keyring) => return Ok(Opened { keyring, root: Arc::clone(root), is_next: *is_next }),
                Err(KeysError::WrongRootKey { place, needed }) => {
                    places.push(place);
                    hint = needed;
                }
                Err(error) => return Err(error),
            }
        }
        let needed = format!("{hint}{}", self.absent);
        Err(KeysError::WrongRootKey { place: places.join(" or in "), needed })
    }
}

/// What [`Candidates::open`] found.
pub struct Opened {
    /// All keys.
    pub keyring: Keyring,
    /// The root key that they are under.
    pub root: Arc<RootKey>,
    /// Whether that is the one of `[keys.next]`.
    pub is_next: bool,
}

#[cfg(test)]
mod tests;
