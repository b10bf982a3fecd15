//! How versions and secrets end: deleted at once, deleted after a window in which they can be restored, purged.
//!
//! INVARIANT I2: with a secret go all its rows: its own, its values, its place in the count, the address of its deletion.
//! The bytes leave the files of the store when these are rewritten, which is not part of a change.

use super::{Change, Row, pointers, rows_of};
use crate::secret::address;
use crate::secret::id::VersionId;
use crate::secret::row::{SecretKind, SecretRow};
use crate::secret::state::SecretError;
use crate::state::State;

/// Longest recovery window, in days.
pub const WINDOW_DAYS_MAX: u64 = 30;
const DAY_S: u64 = 86_400;

/// Deletes one version. If it is the current one, the version that was added last of those not staged becomes current.
/// The change names the version as it was.
///
/// # Errors
/// [`SecretError::VersionNotFound`], [`SecretError::LastVersion`], [`SecretError::OnlyStaged`].
pub fn delete_version(mut row: SecretRow, id: &VersionId) -> Result<Change, SecretError> {
    row.custom()?;
    let before = row.clone();
    let place = row.versions.iter().position(|version| version.id == *id);
    let place = place.ok_or_else(|| SecretError::VersionNotFound(id.clone()))?;
    if row.versions.len() == 1 {
        return Err(SecretError::LastVersion);
    }
    let previous = row.current.clone();
    let version = row.versions.remove(place);
    if version.id == previous {
        let last = row.versions.iter().rev().find(|version| !version.staged);
        row.current = last.ok_or(SecretError::OnlyStaged)?.id.clone();
    }
    let mut rows = rows_of(&row, None);
    rows.push(Row::Gone(address::value(row.id, version.value)));
    rows.extend(pointers(Some(&before), Some(&row)));
    Ok(Change { version: Some(version), previous: Some(previous), ..Change::of(row, rows) })
}

/// Deletes a disabled secret: at once (the row of the change is then the one that was), or after `window_days` (at most
/// [`WINDOW_DAYS_MAX`]). `in_shard` secrets are counted in the shard of its name.
///
/// # Errors
/// [`SecretError::WrongState`] of a secret that is enabled, or waits for its deletion already;
/// [`SecretError::WindowOfPair`].
pub fn delete(mut row: SecretRow, window_days: u64, at_s: u64, in_shard: u64) -> Result<Change, SecretError> {
    if window_days > 0 && matches!(row.kind, SecretKind::SshKeyPair(_)) {
        return Err(SecretError::WindowOfPair);
    }
    let first = match row.state {
        State::Enabled => "DisableSecret",
        State::PendingDelete { .. } => "RestoreSecret",
        State::Disabled if window_days == 0 => {
            let rows = purged(&row, in_shard);
            return Ok(Change::of(row, rows));
        }
        State::Disabled => {
            let delete_at_s = at_s.saturating_add(window_days.saturating_mul(DAY_S));
            row.state = State::PendingDelete { delete_at_s };
            let indexed = Some(address::deletion(delete_at_s, &row.name));
            let rows = rows_of(&row, None);
            return Ok(Change { indexed, ..Change::of(row, rows) });
        }
    };
    Err(SecretError::WrongState { state: row.state.name(), first })
}

/// Takes a deletion back: the secret is disabled then, so that it takes a second act until it can be read.
///
/// # Errors
/// [`SecretError::WrongState`] of a secret that does not wait for its deletion.
pub fn restore(mut row: SecretRow) -> Result<Change, SecretError> {
    let State::PendingDelete { delete_at_s } = row.state else {
        return Err(SecretError::WrongState { state: row.state.name(), first: "DeleteSecret" });
    };
    row.state = State::Disabled;
    let mut rows = rows_of(&row, None);
    rows.push(Row::Gone(address::deletion(delete_at_s, &row.name)));
    Ok(Change::of(row, rows))
}

/// Deletes a secret with all that it has; `in_shard` secrets are counted in the shard of its name.
#[must_use]
pub fn purge(row: SecretRow, in_shard: u64) -> Change {
    let rows = purged(&row, in_shard);
    Change::of(row, rows)
}

fn purged(row: &SecretRow, in_shard: u64) -> Vec<Row> {
    let mut rows = leftovers(row);
    rows.push(Row::Gone(address::secret(&row.name)));
    let count = in_shard.saturating_sub(1).to_be_bytes();
    rows.push(Row::AsItIs(address::count(address::shard(&row.name)), count.to_vec()));
    rows
}

/// Deletes what a secret has besides its row and its place in the count, both of which the next secret of its name takes.
pub(super) fn leftovers(row: &SecretRow) -> Vec<Row> {
    let values = row.versions.iter().map(|version| address::value(row.id, version.value));
    let deletion = match row.state {
        State::PendingDelete { delete_at_s } => Some(address::deletion(delete_at_s, &row.name)),
        State::Enabled | State::Disabled => None,
    };
    values.chain(deletion).map(Row::Gone).chain(pointers(Some(row), None)).collect()
}

#[cfg(test)]
mod tests;
