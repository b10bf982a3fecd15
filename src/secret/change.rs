//! What a call does to a secret: the row afterwards and the writes that ride with its record. Pure: no clock, no
//! store, no randomness; ids, times and sealed values come in.
//!
//! INVARIANT I2: a change is complete: all rows that it touches are in [`Change::writes`], for one batch. A call
//! that changes nothing has none and is recorded all the same.
//! INVARIANT I8: rows in the clear that something is decided on are authenticated as they become writes.

use keyward_audit::store::{Key, Write};

use super::address;
use super::id::{SecretId, VersionId};
use super::limits::Limits;
use super::lookup::CreationView;
use super::metadata::{Description, Tags};
use super::row::{SecretRow, VersionMeta};
use super::seal::Sealed;
use super::state::{SecretError, State};
use crate::keys::{KeyId, RowKey};
use crate::principal::Principal;

/// A change, decided but not yet committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The secret afterwards.
    pub row: SecretRow,
    /// The version that the call is about, as it is afterwards: the record's `secret_version` and `value`.
    pub version: Option<VersionMeta>,
    /// The current version before.
    pub previous: Option<VersionId>,
    rows: Vec<Row>,
}

/// A row as a change makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Row {
    /// In the clear, and decided on: stored with its code.
    Clear(Key, Vec<u8>),
    /// Stored as it is: a value, which its seal authenticates, or a count, by which nobody is allowed anything.
    AsItIs(Key, Vec<u8>),
}

impl Change {
    /// All that is to be written; nothing if the call changes nothing.
    #[must_use]
    pub fn writes(&self, row_key: &RowKey) -> Vec<Write> {
        let write = |row: &Row| match row {
            Row::Clear(key, row) => Write { key: key.clone(), value: Some(row_key.authenticate(key, row.clone())) },
            Row::AsItIs(key, row) => Write { key: key.clone(), value: Some(row.clone()) },
        };
        self.rows.iter().map(write).collect()
    }
}

/// A secret to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSecret {
    /// A fresh id: this life of the name.
    pub id: SecretId,
    /// The caller, whose number the view carries.
    pub creator: Principal,
    /// Now, in epoch seconds.
    pub at_s: u64,
    /// Free text.
    pub description: Description,
    /// Read by policies.
    pub tags: Tags,
    /// The key that the value is sealed under.
    pub key: KeyId,
    /// Opaque, never used before: [`super::row::resource_id`].
    pub resource_id: String,
}

/// Creates a secret with `sealed` as its first and current version.
///
/// # Errors
/// [`SecretError::SecretExists`] whatever state the holder of the name is in, [`SecretError::SecretsLimit`],
/// [`SecretError::CreatorCollision`], [`SecretError::ForeignValue`].
pub fn create(view: &CreationView, new: NewSecret, sealed: &Sealed, limits: &Limits) -> Result<Change, SecretError> {
    if view.existing.is_some() {
        return Err(SecretError::SecretExists);
    }
    if view.total >= limits.secrets_max {
        return Err(SecretError::SecretsLimit { max: limits.secrets_max });
    }
    if view.creator_principal.as_ref().is_some_and(|holder| *holder != new.creator) {
        return Err(SecretError::CreatorCollision);
    }
    let version = version_of(sealed, new.at_s, false);
    let row = SecretRow {
        id: new.id,
        name: view.name.clone(),
        creator: view.creator,
        creator_principal: new.creator,
        created_at_s: new.at_s,
        state: State::Enabled,
        description: new.description,
        tags: new.tags,
        key: new.key,
        resource_id: new.resource_id,
        current: version.id.clone(),
        versions: vec![version.clone()],
    };
    sealed_for(sealed, &row)?;
    let mut rows = rows_of(&row, Some(sealed));
    if view.creator_principal.is_none() {
        // Written once: rewriting it would make all creations of one principal wait for each other.
        rows.push(Row::Clear(address::creator(view.creator), row.creator_principal.as_str().into()));
    }
    let count = view.in_shard.saturating_add(1).to_be_bytes();
    rows.push(Row::AsItIs(address::count(address::shard(&view.name)), count.to_vec()));
    Ok(Change { row, version: Some(version), previous: None, rows })
}

/// Adds a version and, unless it is staged, makes it current.
///
/// # Errors
/// [`SecretError::WrongState`], [`SecretError::VersionIdExists`] even for an equal value,
/// [`SecretError::VersionsLimit`], [`SecretError::ForeignValue`].
pub fn put(
    mut row: SecretRow,
    sealed: &Sealed,
    stage: bool,
    at_s: u64,
    limits: &Limits,
) -> Result<Change, SecretError> {
    row.changeable()?;
    let version = version_of(sealed, at_s, stage);
    if row.version(&version.id).is_some() {
        return Err(SecretError::VersionIdExists(version.id));
    }
    if row.versions.len() >= limits.versions_max {
        return Err(SecretError::VersionsLimit { max: limits.versions_max });
    }
    sealed_for(sealed, &row)?;
    let previous = Some(row.current.clone());
    if !stage {
        row.current = version.id.clone();
    }
    row.versions.push(version.clone());
    let rows = rows_of(&row, Some(sealed));
    Ok(Change { row, version: Some(version), previous, rows })
}

/// Makes an existing version current, newer or older; it is not staged from then on.
///
/// # Errors
/// [`SecretError::VersionNotFound`], then [`SecretError::WrongState`].
pub fn set_current(mut row: SecretRow, id: &VersionId) -> Result<Change, SecretError> {
    let found = row.versions.iter_mut().find(|version| version.id == *id);
    let version = found.ok_or_else(|| SecretError::VersionNotFound(id.clone()))?;
    // The current version is never staged: this changes something only together with the pointer.
    version.staged = false;
    let version = version.clone();
    row.changeable()?;
    let previous = std::mem::replace(&mut row.current, id.clone());
    let rows = if previous == *id { Vec::new() } else { rows_of(&row, None) };
    Ok(Change { row, version: Some(version), previous: Some(previous), rows })
}

/// Makes a disabled secret readable; an enabled one stays as it is.
///
/// # Errors
/// [`SecretError::WrongState`].
pub fn enable(row: SecretRow) -> Result<Change, SecretError> {
    set_state(row, State::Enabled)
}

/// Makes a secret unreadable; a disabled one stays as it is.
///
/// # Errors
/// [`SecretError::WrongState`].
pub fn disable(row: SecretRow) -> Result<Change, SecretError> {
    set_state(row, State::Disabled)
}

fn set_state(mut row: SecretRow, state: State) -> Result<Change, SecretError> {
    row.changeable()?;
    let before = std::mem::replace(&mut row.state, state);
    let rows = if before == state { Vec::new() } else { rows_of(&row, None) };
    Ok(Change { row, version: None, previous: None, rows })
}

fn version_of(sealed: &Sealed, created_at_s: u64, staged: bool) -> VersionMeta {
    let binding = sealed.binding();
    VersionMeta { id: binding.version.clone(), value: binding.value, created_at_s, staged, form: binding.form }
}

/// Refuses a value sealed for another secret or under another key, and a value id used before: none of them could
/// be read again.
fn sealed_for(sealed: &Sealed, row: &SecretRow) -> Result<(), SecretError> {
    let binding = sealed.binding();
    let other = row.versions.iter().any(|version| version.value == binding.value && version.id != binding.version);
    let fits = binding.secret == row.id && binding.name == row.name && *sealed.value().key() == row.key;
    if fits && !other { Ok(()) } else { Err(SecretError::ForeignValue) }
}

fn rows_of(row: &SecretRow, sealed: Option<&Sealed>) -> Vec<Row> {
    let value =
        sealed.map(|sealed| Row::AsItIs(address::value(row.id, sealed.binding().value), sealed.value().encode()));
    std::iter::once(Row::Clear(address::secret(&row.name), row.encode())).chain(value).collect()
}

#[cfg(test)]
mod tests;
