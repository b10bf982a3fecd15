//! Reading secrets from a snapshot: by name, a stored value, all of them, and what a creation is decided on.
//!
//! A row that is not authentic, does not decode, or lies under a name other than its own (I6) is [`StoreError::Damaged`]
//! and names the row, never its content. Nothing is decided on it (I8), and nothing passes over it: a list that left it out
//! would say that there is no such secret.

use keyward_audit::store::{Family, Key, Snapshot, StoreError};

use super::address;
use super::limits::Limits;
use super::row::{SecretRow, VersionMeta};
use super::seal::SealedValue;
use crate::encoding::Damaged;
use crate::keys::RowKey;
use crate::principal::Principal;
use crate::resource::{CreatorNumber, SecretName};

/// While at least this many creations are still within the quota, one creation does not ask whether another one
/// came in between: fewer than this can be committed while one is being decided.
const QUOTA_SLACK: u64 = 16_384;

/// The secret `name`.
///
/// # Errors
/// [`StoreError`] if the row cannot be read or is damaged.
pub fn secret(snapshot: &dyn Snapshot, row_key: &RowKey, name: &SecretName) -> Result<Option<SecretRow>, StoreError> {
    let key = address::secret(name);
    let stored = snapshot.get(Family::Secrets, &key.bytes)?;
    stored.map(|stored| named_row(row_key, &key.bytes, &stored)).transpose()
}

/// The stored value of a version that [`secret`] found on the same snapshot.
///
/// # Errors
/// [`StoreError`] if the row cannot be read, is damaged, or is not there.
pub fn value(snapshot: &dyn Snapshot, row: &SecretRow, version: &VersionMeta) -> Result<SealedValue, StoreError> {
    let damaged = |what| damaged(&format!("version `{}` of secret `{}`", version.id, row.name), what);
    let key = address::value(row.id, version.value);
    let bytes = snapshot.get(Family::Secrets, &key.bytes)?.ok_or_else(|| damaged(Damaged("missing")))?;
    SealedValue::decode(&bytes).map_err(damaged)
}

/// Calls `each` with every secret, by the bytes of their names, until it answers `false`.
///
/// # Errors
/// [`StoreError`] if a row cannot be read or is damaged; those before it were handed out.
pub fn each_secret(
    snapshot: &dyn Snapshot,
    row_key: &RowKey,
    each: &mut dyn FnMut(SecretRow) -> bool,
) -> Result<(), StoreError> {
    let mut outcome = Ok(());
    each_row(snapshot, row_key, &mut |_, row| match row {
        Ok(row) => each(row),
        Err(error) => {
            outcome = Err(error);
            false
        }
    })?;
    outcome
}

/// What a row of a secret came to.
pub type RowRead = Result<SecretRow, StoreError>;

/// Calls `each` with every name that a secret's row lies under and what the row came to, until it answers `false`.
///
/// # Errors
/// [`StoreError`] if the rows cannot be read; a damaged one is handed out.
pub fn each_row(
    snapshot: &dyn Snapshot,
    row_key: &RowKey,
    each: &mut dyn FnMut(&[u8], RowRead) -> bool,
) -> Result<(), StoreError> {
    let (from, to) = address::secrets();
    snapshot.scan(Family::Secrets, &from, &to, false, &mut |key, stored| {
        each(key.get(1..).unwrap_or_default(), named_row(row_key, key, stored))
    })
}

/// What the creation of a secret is decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreationView {
    /// The name that is asked for.
    pub name: SecretName,
    /// Who holds the name.
    pub existing: Option<SecretRow>,
    /// The caller's creator number.
    pub creator: CreatorNumber,
    /// Whose that number is, if anyone created under it before.
    pub creator_principal: Option<Principal>,
    /// Secrets counted in the shard of this name.
    pub in_shard: u64,
    /// Secrets held in all.
    pub total: u64,
}

impl CreationView {
    /// The rows that the decision rests on, for its read set. Near the limit these are all counts, so that the quota
    /// is exact; far from it only this shard's, so that creations do not wait for each other.
    #[must_use]
    pub fn reads(&self, limits: &Limits) -> Vec<Key> {
        let mut rows = vec![address::secret(&self.name), address::creator(self.creator)];
        if self.total.saturating_add(QUOTA_SLACK) < limits.secrets_max {
            rows.push(address::count(address::shard(&self.name)));
        } else {
            rows.extend((0..=u8::MAX).map(address::count));
        }
        rows
    }
}

/// Reads what the creation of `name` by the holder of `creator` is decided on.
///
/// # Errors
/// [`StoreError`] if a row cannot be read or is damaged.
pub fn creation(
    snapshot: &dyn Snapshot,
    row_key: &RowKey,
    name: &SecretName,
    creator: CreatorNumber,
) -> Result<CreationView, StoreError> {
    let (in_shard, total) = counts(snapshot, address::shard(name))?;
    Ok(CreationView {
        name: name.clone(),
        existing: secret(snapshot, row_key, name)?,
        creator,
        creator_principal: holder(snapshot, row_key, creator)?,
        in_shard,
        total,
    })
}

/// Secrets held: those waiting for deletion count.
///
/// # Errors
/// [`StoreError`] if a row cannot be read or is damaged.
pub fn secrets_held(snapshot: &dyn Snapshot) -> Result<u64, StoreError> {
    counts(snapshot, 0).map(|(_, total)| total)
}

/// The count of `shard`, and that of all.
fn counts(snapshot: &dyn Snapshot, shard: u8) -> Result<(u64, u64), StoreError> {
    let (from, to) = address::counts();
    let own = address::count(shard).bytes;
    let (mut in_shard, mut total) = (0, Some(0_u64));
    snapshot.scan(Family::Secrets, &from, &to, false, &mut |key, bytes| {
        let count = bytes.try_into().ok().map(u64::from_be_bytes);
        total = total.zip(count).and_then(|(total, count)| total.checked_add(count));
        if key == own {
            in_shard = count.unwrap_or_default();
        }
        total.is_some()
    })?;
    let total = total.ok_or_else(|| damaged("number of secrets", Damaged("count")))?;
    Ok((in_shard, total))
}

/// Whose the number `creator` is, if anyone created under it.
fn holder(snapshot: &dyn Snapshot, row_key: &RowKey, creator: CreatorNumber) -> Result<Option<Principal>, StoreError> {
    let key = address::creator(creator);
    let stored = snapshot.get(Family::Secrets, &key.bytes)?;
    let read = |stored: &[u8]| {
        let row = row_key.verified(Family::Secrets, &key.bytes, stored)?;
        let text = std::str::from_utf8(row).map_err(|_| Damaged("text"))?;
        Principal::parse(text).map_err(|_| Damaged("principal"))
    };
    let holder = stored.map(|stored| read(&stored)).transpose();
    holder.map_err(|what| damaged(&format!("creator {creator}"), what))
}

/// The row of the secret that lies at `key`, which must be its own.
fn named_row(row_key: &RowKey, key: &[u8], stored: &[u8]) -> Result<SecretRow, StoreError> {
    let name = key.get(1..).unwrap_or_default();
    let damaged = |what| damaged(&format!("secret `{}`", String::from_utf8_lossy(name).escape_debug()), what);
    let row = row_key.verified(Family::Secrets, key, stored).and_then(SecretRow::decode).map_err(damaged)?;
    if row.name.as_str().as_bytes() == name { Ok(row) } else { Err(damaged(Damaged("it is another secret's"))) }
}

fn damaged(row: &str, what: Damaged) -> StoreError {
    StoreError::Damaged(format!("{row}: {what}"))
}

#[cfg(test)]
mod tests;
