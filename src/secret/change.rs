//! What a call does to a secret: the row afterwards and the writes that ride with its record. Pure: no clock, no
//! store, no randomness; ids, times and sealed values come in.
//!
//! INVARIANT I2: a change is complete: all rows that it touches are in [`Change::writes`], for one batch. A call
//! that changes nothing has none and is recorded all the same. How secrets and versions end: [`ending`].
//! INVARIANT I8: rows in the clear that something is decided on are authenticated as they become writes.

use keyward_audit::store::{Key, Write};

pub mod ending;

use std::collections::BTreeMap;

use super::address;
use super::id::{SecretId, VersionId};
use super::limits::Limits;
use super::lookup::CreationView;
use super::metadata::{Description, Tags};
use super::row::{SecretKind, SecretRow, VersionMeta};
use super::seal::Sealed;
use super::state::SecretError;
use crate::keys::{KeyId, RowKey};
use crate::principal::Principal;
use crate::state::State;

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
    /// The row that is to hold the index of the record.
    pub indexed: Option<Key>,
}

/// A row as a change makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Row {
    /// In the clear, and decided on: stored with its code.
    Clear(Key, Vec<u8>),
    /// Stored as it is: a value, which its seal authenticates, a count, by which nobody is allowed anything, or what points
    /// at a secret, which is asked itself.
    AsItIs(Key, Vec<u8>),
    /// Deleted.
    Gone(Key),
}

impl Change {
    /// A change of a secret and of none of its versions.
    fn of(row: SecretRow, rows: Vec<Row>) -> Self {
        Self { row, version: None, previous: None, rows, indexed: None }
    }

    /// All that is to be written; nothing if the call changes nothing.
    #[must_use]
    pub fn writes(&self, row_key: &RowKey) -> Vec<Write> {
        self.rows.iter().map(|row| row.write(row_key)).collect()
    }
}

impl Row {
    fn write(&self, row_key: &RowKey) -> Write {
        let (key, value) = match self {
            Self::Clear(key, row) => (key, Some(row_key.authenticate(key, row.clone()))),
            Self::AsItIs(key, row) => (key, Some(row.clone())),
            Self::Gone(key) => (key, None),
        };
        Write { key: key.clone(), value }
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
    /// What it is.
    pub kind: SecretKind,
    /// When its first version expires, in epoch seconds; 0: nobody said.
    pub expires_at_s: u64,
}

/// A version to be added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewVersion {
    /// Leave the current version as it is.
    pub stage: bool,
    /// Now, in epoch seconds.
    pub at_s: u64,
    /// When it expires, in epoch seconds; 0: nobody said.
    pub expires_at_s: u64,
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
    let freed = u64::from(view.gone.is_some());
    if view.total.saturating_sub(freed) >= limits.secrets_max {
        return Err(SecretError::SecretsLimit { max: limits.secrets_max });
    }
    if view.creator_principal.as_ref().is_some_and(|holder| *holder != new.creator) {
        return Err(SecretError::CreatorCollision);
    }
    let version = version_of(sealed, NewVersion { stage: false, at_s: new.at_s, expires_at_s: new.expires_at_s });
    let row = SecretRow {
        id: new.id,
        name: view.name.clone(),
        kind: new.kind,
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
    let mut rows: Vec<Row> = view.gone.as_ref().map(ending::leftovers).unwrap_or_default();
    rows.extend(rows_of(&row, Some(sealed)));
    rows.extend(pointers(None, Some(&row)));
    if view.creator_principal.is_none() {
        // Written once: rewriting it would make all creations of one principal wait for each other.
        rows.push(Row::Clear(address::creator(view.creator), row.creator_principal.as_str().into()));
    }
    let count = view.in_shard.saturating_add(1).saturating_sub(freed).to_be_bytes();
    rows.push(Row::AsItIs(address::count(address::shard(&view.name)), count.to_vec()));
    Ok(Change { version: Some(version), ..Change::of(row, rows) })
}

/// Adds a version and, unless it is staged, makes it current.
///
/// # Errors
/// [`SecretError::WrongState`], [`SecretError::VersionIdExists`] even for an equal value,
/// [`SecretError::VersionsLimit`], [`SecretError::ForeignValue`].
pub fn put(mut row: SecretRow, sealed: &Sealed, new: NewVersion, limits: &Limits) -> Result<Change, SecretError> {
    row.custom()?;
    row.changeable()?;
    let version = version_of(sealed, new);
    if row.version(&version.id).is_some() {
        return Err(SecretError::VersionIdExists(version.id));
    }
    if row.versions.len() >= limits.versions_max {
        return Err(SecretError::VersionsLimit { max: limits.versions_max });
    }
    sealed_for(sealed, &row)?;
    let previous = Some(row.current.clone());
    if !new.stage {
        row.current = version.id.clone();
    }
    let before = row.clone();
    row.versions.push(version.clone());
    let mut rows = rows_of(&row, Some(sealed));
    rows.extend(pointers(Some(&before), Some(&row)));
    Ok(Change { version: Some(version), previous, ..Change::of(row, rows) })
}

/// Whether `expected` is still the version that a read serves: what a change asks first that was made up over it.
///
/// # Errors
/// [`SecretError::NotCurrent`].
pub fn expect_current(row: &SecretRow, expected: &VersionId) -> Result<(), SecretError> {
    if row.current == *expected { Ok(()) } else { Err(SecretError::NotCurrent(expected.clone())) }
}

/// Whether the value of version `id` may be replaced: what [`update`] asks first, before anything is sealed.
///
/// # Errors
/// [`SecretError::VersionNotFound`], then [`SecretError::WrongState`].
pub fn updatable(row: &SecretRow, id: &VersionId) -> Result<(), SecretError> {
    row.custom()?;
    row.version(id).ok_or_else(|| SecretError::VersionNotFound(id.clone()))?;
    row.changeable()
}

/// Replaces the value of an existing version, without history: the version keeps its id, its place and its time, and gets
/// the new value's id and form, and `expires_at_s` if that is given. The current pointer stays.
///
/// # Errors
/// As [`updatable`]; [`SecretError::ForeignValue`].
pub fn update(mut row: SecretRow, sealed: &Sealed, expires_at_s: Option<u64>) -> Result<Change, SecretError> {
    let binding = sealed.binding();
    updatable(&row, &binding.version)?;
    sealed_for(sealed, &row)?;
    let before = row.clone();
    let found = row.versions.iter_mut().find(|version| version.id == binding.version);
    let version = found.filter(|version| version.value != binding.value).ok_or(SecretError::ForeignValue)?;
    let value = std::mem::replace(&mut version.value, binding.value);
    version.form = binding.form;
    version.expires_at_s = expires_at_s.unwrap_or(version.expires_at_s);
    let version = version.clone();
    let mut rows = rows_of(&row, Some(sealed));
    rows.push(Row::Gone(address::value(row.id, value)));
    rows.extend(pointers(Some(&before), Some(&row)));
    Ok(Change { version: Some(version), ..Change::of(row, rows) })
}

/// Replaces the description.
///
/// # Errors
/// [`SecretError::WrongState`].
pub fn set_description(mut row: SecretRow, description: Description) -> Result<Change, SecretError> {
    row.changeable()?;
    let before = std::mem::replace(&mut row.description, description);
    let rows = if before == row.description { Vec::new() } else { rows_of(&row, None) };
    Ok(Change::of(row, rows))
}

/// Adds tags; a value takes the place of that of an equal key.
///
/// # Errors
/// [`SecretError::WrongState`], [`SecretError::TagsLimit`].
pub fn tag(row: SecretRow, more: &Tags) -> Result<Change, SecretError> {
    row.changeable()?;
    let tags = row.tags.with(more).map_err(SecretError::TagsLimit)?;
    Ok(set_tags(row, tags))
}

/// Takes tags off; a key that the secret does not have changes nothing.
///
/// # Errors
/// [`SecretError::WrongState`].
pub fn untag(row: SecretRow, keys: &[&str]) -> Result<Change, SecretError> {
    row.changeable()?;
    let tags = row.tags.without(keys);
    Ok(set_tags(row, tags))
}

fn set_tags(mut row: SecretRow, tags: Tags) -> Change {
    let before = std::mem::replace(&mut row.tags, tags);
    let rows = if before == row.tags { Vec::new() } else { rows_of(&row, None) };
    Change::of(row, rows)
}

/// Makes an existing version current, newer or older; it is not staged from then on.
///
/// # Errors
/// [`SecretError::VersionNotFound`], then [`SecretError::WrongState`].
pub fn set_current(mut row: SecretRow, id: &VersionId) -> Result<Change, SecretError> {
    row.custom()?;
    let found = row.versions.iter_mut().find(|version| version.id == *id);
    let version = found.ok_or_else(|| SecretError::VersionNotFound(id.clone()))?;
    // The current version is never staged: this changes something only together with the pointer.
    version.staged = false;
    let version = version.clone();
    row.changeable()?;
    let previous = std::mem::replace(&mut row.current, id.clone());
    let rows = if previous == *id { Vec::new() } else { rows_of(&row, None) };
    Ok(Change { version: Some(version), previous: Some(previous), ..Change::of(row, rows) })
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
    Ok(Change::of(row, rows))
}

fn version_of(sealed: &Sealed, new: NewVersion) -> VersionMeta {
    let binding = sealed.binding();
    VersionMeta {
        id: binding.version.clone(),
        value: binding.value,
        created_at_s: new.at_s,
        staged: new.stage,
        form: binding.form,
        expires_at_s: new.expires_at_s,
    }
}

/// What brings the rows by which a secret is found, besides its name, from what they were to what they are to be: one for
/// the SSH key pair that it is, one for each version that expires.
fn pointers(before: Option<&SecretRow>, after: Option<&SecretRow>) -> Vec<Row> {
    let (before, after) = (before.map(pointed).unwrap_or_default(), after.map(pointed).unwrap_or_default());
    let gone = before.keys().filter(|key| !after.contains_key(key)).cloned().map(Row::Gone);
    let new = after.iter().filter(|(key, _)| !before.contains_key(key));
    gone.chain(new.map(|(key, row)| Row::AsItIs(key.clone(), row.clone()))).collect()
}

fn pointed(row: &SecretRow) -> BTreeMap<Key, Vec<u8>> {
    let pair = match &row.kind {
        SecretKind::SshKeyPair(pair) => Some((address::ssh_key(&pair.id), row.name.as_str().as_bytes().to_vec())),
        SecretKind::Custom => None,
    };
    let dated = row.versions.iter().filter(|version| version.expires_at_s != 0);
    let dated = dated.map(|version| (address::expiry(version.expires_at_s, row.id, &version.id), Vec::new()));
    dated.chain(pair).collect()
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
