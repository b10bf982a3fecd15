//! `service/purger`: carries out deletions that are due (those of keys: `keys::ending`), and has the bytes of what was deleted
//! leave the files of the store.
//!
//! INVARIANT I2: a purge is one batch: its record and the deletion of all that the secret had.
//! INVARIANT I13: it is decided on the secret's row and on the clock, both named in its read set: a secret that was restored
//! meanwhile stays, and so does every one if the clock stepped.
//!
//! If the process dies after a deletion was committed, the next one finds by a watermark that its bytes may still be there,
//! and rewrites all values.

use super::gateway::Gateway;
use super::listing;
use super::own::Own;
use crate::secret::change::ending;
use crate::secret::lookup::{self, Due};
use crate::secret::row::SecretRow;
use crate::secret::{SecretId, address};
use keyward_audit::record::{Draft, Kind, Outcome, Value};
use keyward_audit::store::{Family, Key, Snapshot, StoreError, Write};
use keyward_audit::{Changes, CommitError, Generation, Log, ReadSet};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Moved by every record that deletes stored values.
const DELETED: Generation = Generation("deleted");
/// Name of the watermark: up to here the bytes of deleted values have left the files.
const COMPACTED: &str = "deleted_values";
/// Deletions that one look at the store finds at most.
const DUE_MAX: usize = 64;
/// More secrets than these, and all values are rewritten at once.
const RANGES_MAX: usize = 64;

/// Whose deleted values may still be in the files.
#[derive(Debug, Default)]
struct Deleted {
    secrets: BTreeSet<SecretId>,
    /// Keys were deleted, or generations of them.
    keys: bool,
    /// Nobody knows whose: they were deleted by a process that is gone.
    unknown: bool,
    /// Deletions that may be committed already and are not noted here yet.
    under_way: usize,
}

/// What was deleted and is not rewritten yet.
#[derive(Debug)]
pub(super) struct Leftovers(Mutex<Deleted>);

impl Leftovers {
    /// What the process before left.
    ///
    /// # Errors
    /// [`StoreError`] if the watermark cannot be read.
    pub(super) fn found(log: &Log) -> Result<Self, StoreError> {
        let unknown = log.generation(DELETED) > log.watermark(COMPACTED)?;
        Ok(Self(Mutex::new(Deleted { unknown, ..Deleted::default() })))
    }

    fn locked(&self) -> MutexGuard<'_, Deleted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be held over the commit of a deletion, and dropped once it is noted.
    pub(super) fn under_way(&self) -> UnderWay<'_> {
        let mut deleted = self.locked();
        deleted.under_way = deleted.under_way.saturating_add(1);
        UnderWay(self)
    }

    /// Takes all that was noted; with it whether nothing that was committed before is still to be noted.
    fn take(&self) -> (Deleted, bool) {
        let mut deleted = self.locked();
        let under_way = deleted.under_way;
        (std::mem::replace(&mut *deleted, Deleted { under_way, ..Deleted::default() }), under_way == 0)
    }

    /// Notes what was deleted.
    pub(super) fn add(&self, deletes: Deletes) {
        let mut deleted = self.locked();
        deleted.secrets.extend(deletes.secrets);
        deleted.keys |= deletes.keys;
    }
}

/// A deletion from before its commit until it is noted: while there is one, the watermark stays where it is, since the deletion
/// may lie below it and would be forgotten if the process ended.
pub(super) struct UnderWay<'a>(&'a Leftovers);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut deleted = self.0.locked();
        deleted.under_way = deleted.under_way.saturating_sub(1);
    }
}

/// What a change deletes whose bytes are to leave the files.
pub(super) struct Deletes {
    /// Of which secrets values.
    secrets: Vec<SecretId>,
    /// Whether keys, or generations of them.
    keys: bool,
}

impl Deletes {
    pub(super) fn of(changes: &Changes) -> Self {
        let gone =
            |family| changes.writes.iter().filter(move |write| write.value.is_none() && write.key.family == family);
        let secrets = gone(Family::Secrets).filter_map(|write| address::secret_of_value(&write.key.bytes)).collect();
        Self { secrets, keys: gone(Family::Keys).next().is_some() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.secrets.is_empty() && !self.keys
    }
}

/// Writes on secrets and keys as they ride with a record.
pub(super) fn changes(writes: Vec<Write>, indexed: Option<Key>) -> Changes {
    let mut changes = Changes { writes, bumps: Vec::new(), indexed: indexed.into_iter().collect() };
    if !Deletes::of(&changes).is_empty() {
        changes.bumps.push(DELETED);
    }
    if listing::moves_names(&changes) {
        changes.bumps.push(listing::NAMES);
    }
    changes
}

/// The record of the purge of `row`, which waits for its deletion.
pub(super) fn draft(gateway: &Gateway, snapshot: &dyn Snapshot, row: &SecretRow) -> Result<Draft, StoreError> {
    let requested = lookup::requested(snapshot, row)?;
    let request = gateway.request_id().map_err(|_| StoreError::Engine("no random bytes".to_owned()))?;
    let mut draft = Draft::new(Kind::Purge, "keyward:Purge", "internal", request);
    draft.outcome = Some(Outcome::Ok);
    draft.principal = Some("service/purger".to_owned());
    draft.resource = Some(gateway.place().secret(Some(row.creator), &row.name));
    draft.parameters.insert("due".to_owned(), Value::from(row.state.delete_at_s()));
    draft.parameters.insert("requested".to_owned(), Value::from(requested));
    Ok(draft)
}

/// A purge that is to be committed.
pub(super) struct Purge {
    pub(super) draft: Draft,
    pub(super) changes: Changes,
    pub(super) reads: ReadSet,
}

impl Gateway {
    /// Carries out all deletions that are due, of secrets and of keys, each as a record of its own; answers how many. What
    /// cannot be done now is left for the next time.
    pub async fn purge(&self) -> usize {
        self.purge_secrets().await + self.purge_keys().await
    }

    async fn purge_secrets(&self) -> usize {
        let mut purged = 0;
        loop {
            let due_by_s = self.steadiness().due_by_s(self.now_us() / 1_000_000);
            let due = match self.log().read(|snapshot| lookup::due(snapshot, due_by_s, DUE_MAX)) {
                Ok(due) => due,
                Err(error) => {
                    tracing::warn!(%error, "deletions that are due cannot be looked up");
                    return purged;
                }
            };
            let before = purged;
            for due in &due {
                purged += usize::from(self.carry_out(self.prepare(due)).await);
            }
            if due.len() < DUE_MAX || purged == before {
                return purged;
            }
        }
    }

    /// Commits what a purge came to; whether it is done.
    pub(super) async fn carry_out(&self, prepared: Result<Option<Purge>, StoreError>) -> bool {
        let purge = match prepared {
            Ok(Some(purge)) => purge,
            Ok(None) => return false,
            Err(error) => {
                tracing::error!(%error, "a deletion that is due cannot be carried out");
                metrics::counter!("keyward_store_errors_total").increment(1);
                return false;
            }
        };
        let deleted = Deletes::of(&purge.changes);
        let _under_way = self.leftovers().under_way();
        let committed = self.log().commit_unhurried(Own::new(purge.draft), purge.changes, purge.reads).await;
        if !matches!(committed, Err(CommitError::Conflict(_) | CommitError::TooLarge(_))) {
            self.leftovers().add(deleted);
        }
        if committed.is_ok() {
            metrics::counter!("keyward_purged_total").increment(1);
        }
        committed.is_ok()
    }

    /// What a purge comes to on a snapshot; none if the secret does not wait for this deletion any more, or the clock is not
    /// trusted any more.
    fn prepare(&self, due: &Due) -> Result<Option<Purge>, StoreError> {
        let mut reads = ReadSet { as_of: self.log().as_of(), ..ReadSet::default() };
        let clock = self.steadiness();
        let now_s = self.now_us() / 1_000_000;
        reads.rows = vec![address::secret(&due.name), address::count(address::shard(&due.name))];
        self.log().read(|snapshot| {
            let row = lookup::secret(snapshot, self.engine().row_key(), &due.name)?;
            let row = row.filter(|row| row.state.delete_at_s() == due.at_s && clock.is_gone(row, now_s, &mut reads));
            let Some(row) = row else { return Ok(None) };
            let draft = draft(self, snapshot, &row)?;
            let change = ending::purge(row, lookup::in_shard(snapshot, &due.name)?);
            let writes = change.writes(self.engine().row_key());
            Ok(Some(Purge { draft, changes: changes(writes, None), reads: reads.clone() }))
        })
    }

    /// Counts the versions that expire, in a gauge.
    pub async fn count_expiring(self: &Arc<Self>) {
        let gateway = Arc::clone(self);
        let now_s = self.now_us() / 1_000_000;
        let after = |days: u64| now_s.saturating_add(days.saturating_mul(86_400));
        let times_s = [now_s, after(7), after(30)];
        let count = move || gateway.log().read(|snapshot| lookup::expiring(snapshot, times_s));
        let Ok(Ok(counts)) = tokio::task::spawn_blocking(count).await else { return };
        for (within, count) in ["past", "7d", "30d"].into_iter().zip(counts) {
            // Exact up to 2^53.
            metrics::gauge!("keyward_expiring_versions", "within" => within).set(count as f64);
        }
    }

    /// Has the bytes of deleted values leave the files of the store. It may take long.
    pub async fn compact(self: &Arc<Self>) {
        let gateway = Arc::clone(self);
        let compacted = tokio::task::spawn_blocking(move || gateway.compact_now()).await;
        match compacted {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "deleted values are not rewritten now"),
            Err(error) => tracing::error!(%error, "rewriting deleted values panicked"),
        }
    }

    fn compact_now(&self) -> Result<(), StoreError> {
        let log = self.log();
        let up_to = log.generation(DELETED);
        let (Deleted { secrets, keys, unknown, .. }, is_all) = self.leftovers().take();
        let ranges = match (unknown, secrets.len()) {
            (false, 0) if !keys => return Ok(()),
            (false, 0..=RANGES_MAX) => secrets.into_iter().map(address::values).collect(),
            _ => vec![address::all_values()],
        };
        // Every address of the family begins with a letter.
        let of_keys = if keys || unknown { vec![(Vec::new(), vec![0xff])] } else { Vec::new() };
        let compacted = log.compact(Family::Secrets, &ranges).and_then(|()| log.compact(Family::Keys, &of_keys));
        if compacted.is_err() {
            self.leftovers().locked().unknown = true;
        }
        compacted?;
        if is_all { log.set_watermark(COMPACTED, up_to) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deleted_and_not_noted_yet_holds_the_watermark_back() {
        let leftovers = Leftovers(Mutex::default());
        let under_way = leftovers.under_way();
        let another = leftovers.under_way();
        leftovers.add(Deletes { secrets: Vec::new(), keys: true });
        drop(another);
        let (deleted, is_all) = leftovers.take();
        assert!(deleted.keys && !is_all, "one was committed perhaps and is not among these");
        leftovers.add(Deletes { secrets: Vec::new(), keys: true });
        drop(under_way);
        let (deleted, is_all) = leftovers.take();
        assert!(deleted.keys && is_all);
        assert!(!leftovers.take().0.keys, "nothing is taken twice");
    }
}
