//! Reading secrets from a snapshot: by name, a stored value, all of them, and what a creation is decided on.
//!
//! A row that is not authentic, does not decode, or lies under a name other than its own (I6) is [`StoreError::Damaged`]
//! and names the row, never its content. Nothing is decided on it (I8), and nothing passes over it: a list that left it out
//! would say that there is no such secret.

use keyward_audit::store::{Family, Key, Snapshot, StoreError};

use super::address;
use super::id::SshKeyId;
use super::limits::Limits;
use super::row::{SecretRow, VersionMeta};
use super::seal::SealedValue;
use crate::encoding::Damaged;
use crate::keys::RowKey;
use crate::principal::Principal;
use crate::resource::{CreatorNumber, SecretName};

/// While at least this many creations are still within the quota, one creation does not ask whether another one
/// came in between: fewer than this can be committed while one is being decided.
pub(super) const QUOTA_SLACK: u64 = 16_384;

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
    each_behind(snapshot, row_key, None, each)
}

/// As [`each_row`], behind the name `behind` if one is given.
///
/// # Errors
/// As [`each_row`].
pub fn each_behind(
    snapshot: &dyn Snapshot,
    row_key: &RowKey,
    behind: Option<&SecretName>,
    each: &mut dyn FnMut(&[u8], RowRead) -> bool,
) -> Result<(), StoreError> {
    let (first, to) = address::secrets();
    // The next key that there can be behind a name's own.
    let from = behind.map_or(first, |name| [address::secret(name).bytes.as_slice(), &[0]].concat());
    snapshot.scan(Family::Secrets, &from, &to, false, &mut |key, stored| {
        each(key.get(1..).unwrap_or_default(), named_row(row_key, key, stored))
    })
}

/// A deletion that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The secret.
    pub name: SecretName,
    /// Since when, in epoch seconds.
    pub at_s: u64,
    /// Index of the DeleteSecret that asked for it.
    pub requested: u64,
}

/// Deletions that are due at `now_s`, the oldest first, at most `most`.
///
/// # Errors
/// [`StoreError`] if a row cannot be read or is damaged.
pub fn due(snapshot: &dyn Snapshot, now_s: u64, most: usize) -> Result<Vec<Due>, StoreError> {
    let (from, to) = address::deletions(now_s);
    let mut found = Vec::new();
    let mut outcome = Ok(());
    snapshot.scan(Family::Secrets, &from, &to, false, &mut |key, row| {
        match (address::parse_deletion(key), row.try_into().map(u64::from_be_bytes)) {
            (Some((at_s, name)), Ok(requested)) => found.push(Due { name, at_s, requested }),
            _ => outcome = Err(damaged("deletion", Damaged("index"))),
        }
        outcome.is_ok() && found.len() < most
    })?;
    outcome.map(|()| found)
}

/// Index of the DeleteSecret that `row`, found on the same snapshot, waits for its deletion by.
///
/// # Errors
/// [`StoreError`] if the row cannot be read, is damaged, or is not there.
pub fn requested(snapshot: &dyn Snapshot, row: &SecretRow) -> Result<u64, StoreError> {
    let key = address::deletion(row.state.delete_at_s(), &row.name);
    let index = snapshot.get(Family::Secrets, &key.bytes)?.and_then(|bytes| bytes.try_into().ok());
    let damaged = || damaged(&format!("deletion of secret `{}`", row.name), Damaged("index"));
    index.map(u64::from_be_bytes).ok_or_else(damaged)
}

/// The name of the secret that an SSH key pair is. Whether the secret says so too is for the caller to see.
///
/// # Errors
/// [`StoreError`] if the row cannot be read or is damaged.
pub fn ssh_key(snapshot: &dyn Snapshot, id: &SshKeyId) -> Result<Option<SecretName>, StoreError> {
    let name = snapshot.get(Family::Secrets, &address::ssh_key(id).bytes)?;
    let read = |name: Vec<u8>| std::str::from_utf8(&name).ok().and_then(|name| SecretName::parse(name).ok());
    let damaged = || damaged(&format!("SSH key pair `{}`", id.as_str()), Damaged("name"));
    name.map(|name| read(name).ok_or_else(damaged)).transpose()
}

/// How many versions expire at or before each of `times_s`, which rise.
///
/// # Errors
/// [`StoreError`] if the rows cannot be read.
pub fn expiring<const N: usize>(snapshot: &dyn Snapshot, times_s: [u64; N]) -> Result<[u64; N], StoreError> {
    let mut counts = [0_u64; N];
    let (from, to) = address::expiries(times_s.last().copied().unwrap_or_default());
    snapshot.scan(Family::Secrets, &from, &to, false, &mut |key, _| {
        let at_s = address::expires_at_s(key).unwrap_or_default();
        for (count, time_s) in counts.iter_mut().zip(times_s) {
            *count = count.saturating_add(u64::from(at_s <= time_s));
        }
        true
    })?;
    Ok(counts)
}

/// Secrets counted in the shard of `name`.
///
/// # Errors
/// [`StoreError`] if the row cannot be read or is damaged.
pub fn in_shard(snapshot: &dyn Snapshot, name: &SecretName) -> Result<u64, StoreError> {
    let count = snapshot.get(Family::Secrets, &address::count(address::shard(name)).bytes)?;
    let count = count.map(|bytes| bytes.try_into().map(u64::from_be_bytes)).transpose();
    count.map(Option::unwrap_or_default).map_err(|_| damaged("number of secrets", Damaged("count")))
}

/// What the creation of a secret is decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreationView {
    /// The name that is asked for.
    pub name: SecretName,
    /// Who holds the name.
    pub existing: Option<SecretRow>,
    /// Who held it, and is gone: a due deletion that is carried out with the creation.
    pub gone: Option<SecretRow>,
    /// The caller's creator number.
    pub creator: CreatorNumber,
    /// Whose that number is, if anyone created under it before.
    pub creator_principal: Option<Principal>,
    /// Secrets counted in the shard of this name.
    pub in_shard: u64,
    /// Secrets held in all; far from the limit, at most.
    pub total: u64,
}

impl CreationView {
    /// Lets the name be taken from a secret that is gone.
    #[must_use]
    pub fn without_gone(mut self, is_gone: impl FnOnce(&SecretRow) -> bool) -> Self {
        if self.existing.as_ref().is_some_and(is_gone) {
            self.gone = self.existing.take();
        }
        self
    }

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
    creation_among(snapshot, row_key, name, creator, secrets_held(snapshot)?)
}

/// The same among `total` secrets.
///
/// # Errors
/// As [`creation`].
pub fn creation_among(
    snapshot: &dyn Snapshot,
    row_key: &RowKey,
    name: &SecretName,
    creator: CreatorNumber,
    total: u64,
) -> Result<CreationView, StoreError> {
    Ok(CreationView {
        name: name.clone(),
        existing: secret(snapshot, row_key, name)?,
        gone: None,
        creator,
        creator_principal: holder(snapshot, row_key, creator)?,
        in_shard: in_shard(snapshot, name)?,
        total,
    })
}

/// Secrets held: those waiting for deletion count.
///
/// # Errors
/// [`StoreError`] if a row cannot be read or is damaged.
pub fn secrets_held(snapshot: &dyn Snapshot) -> Result<u64, StoreError> {
    let (from, to) = address::counts();
    let mut total = Some(0_u64);
    snapshot.scan(Family::Secrets, &from, &to, false, &mut |_, bytes| {
        let count = bytes.try_into().ok().map(u64::from_be_bytes);
        total = total.zip(count).and_then(|(total, count)| total.checked_add(count));
        total.is_some()
    })?;
    total.ok_or_else(|| damaged("number of secrets", Damaged("count")))
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
