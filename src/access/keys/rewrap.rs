//! `service/rewrapper`: wraps data keys anew under the newest generation of their key, in the background, part by part.
//!
//! INVARIANT I2: each part is one batch: the rows of the values that were wrapped anew, how far the work has come, and the
//! record of both. A process that dies loses the part that it was at, and the next goes on behind the last one.
//! INVARIANT I8: a value's ciphertext, nonce and associated data stay byte for byte; its row changes in the wrapped key, its
//! nonce and its generation alone.
//! INVARIANT I13: a part is decided on the keys and on the rows of its secrets, all named in its read set: a value that was
//! replaced or deleted meanwhile is not brought back, and nothing is wrapped under a key that an earlier record disabled.

use super::KEYS;
use crate::access::gateway::Gateway;
use crate::access::own::{self, Own};
use crate::keys::rewrap::Rewrap;
use crate::keys::{KeyGeneration, KeyId, Keyring};
use crate::resource::SecretName;
use crate::secret::row::SecretRow;
use crate::secret::{DataKeys, address, lookup};
use keyward_audit::record::{Draft, INTEGER_MAX, Value};
use keyward_audit::store::{Snapshot, StoreError, Write};
use keyward_audit::{Changes, CommitError, ReadSet};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Data keys that one record covers at most.
const DATA_KEYS_MAX: usize = 64;
/// Bytes of rows that ride with one record, about: whoever waits for the same write must not wait long.
const BYTES_MAX: usize = 256 * 1024;
/// Secrets that one look at the store passes over at most.
const SECRETS_MAX: usize = 2_048;
/// keyward at work on its keys, in records.
const SERVICE: &str = "service/rewrapper";

/// What one part came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Went {
    /// There is more to do.
    On,
    /// Something that it was decided on has changed.
    Back,
    /// Nothing is left, or nothing can be done now.
    Out,
}

/// The re-wrappings that ended and left data keys that do not open: by key, the generation that they came to and how many they
/// left. They are not begun again when somebody asks: they would come to the same end. In memory alone: the next start may try
/// again.
#[derive(Default)]
pub(super) struct Incomplete(Mutex<BTreeMap<KeyId, (KeyGeneration, u64)>>);

impl Incomplete {
    fn locked(&self) -> MutexGuard<'_, BTreeMap<KeyId, (KeyGeneration, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing is to be had of this re-wrapping that an earlier one did not pass over.
    pub(super) fn covers(&self, rewrap: &Rewrap) -> bool {
        let left = self.locked().get(&rewrap.key).copied();
        left.is_some_and(|(target, left)| target == rewrap.target && rewrap.remaining <= left)
    }

    /// Notes one that is about to end.
    fn note(&self, rewrap: &Rewrap) {
        self.locked().insert(rewrap.key.clone(), (rewrap.target, rewrap.failed));
    }
}

/// A part that is to be committed.
struct Part {
    rewrap: Rewrap,
    /// Whether the store says so already.
    is_begun: bool,
    writes: Vec<Write>,
    reads: ReadSet,
    bytes: usize,
    secrets: u64,
    first: Option<SecretName>,
    is_last: bool,
}

impl Gateway {
    /// Goes on with every re-wrapping that was asked for until each is done or cannot go on now.
    pub async fn rewrap(self: &Arc<Self>) {
        let row_key = self.engine().row_key();
        let all = match self.log().read(|snapshot| Rewrap::all(snapshot, row_key)) {
            Ok(all) => all,
            Err(error) => return tracing::warn!(%error, "what is to be wrapped anew cannot be looked up"),
        };
        let mut remaining = all.iter().fold(0_u64, |sum, rewrap| sum.saturating_add(rewrap.remaining));
        for rewrap in all {
            let others = remaining.saturating_sub(rewrap.remaining);
            remaining = others.saturating_add(self.rewrap_key(&rewrap, others).await);
        }
        show(remaining);
    }

    /// Goes on with one of them; answers what remains of it. `others` remain besides.
    async fn rewrap_key(self: &Arc<Self>, Rewrap { key, remaining, .. }: &Rewrap, others: u64) -> u64 {
        let (mut most, mut behind, mut remaining) = (DATA_KEYS_MAX, None, *remaining);
        loop {
            self.catch_up_keys();
            let (gateway, id, from) = (Arc::clone(self), key.clone(), behind.clone());
            let prepared = tokio::task::spawn_blocking(move || gateway.prepare_rewrap(&id, from, most)).await;
            let went = match prepared {
                Ok(Ok(Some(part))) => {
                    (behind, remaining) = (part.rewrap.behind.clone(), part.rewrap.remaining);
                    self.commit_rewrap(part).await
                }
                Ok(Ok(None)) => Went::Out,
                Ok(Err(error)) => {
                    tracing::error!(%error, key = key.as_str(), "data keys cannot be wrapped anew now");
                    Went::Out
                }
                Err(error) => {
                    tracing::error!(%error, "wrapping data keys anew panicked");
                    Went::Out
                }
            };
            match went {
                Went::On => most = most.saturating_mul(2).min(DATA_KEYS_MAX),
                // Somebody writes these secrets: in smaller parts one of them is met between two writes.
                Went::Back => (most, behind) = ((most / 2).max(1), None),
                Went::Out => return remaining,
            }
            show(others.saturating_add(remaining));
        }
    }

    /// The next part of a re-wrapping, looked for behind `behind` if an earlier look that found nothing came so far; none if
    /// it is done, or the key may not be used now.
    fn prepare_rewrap(&self, key: &KeyId, behind: Option<SecretName>, most: usize) -> Result<Option<Part>, StoreError> {
        let (keyring, row_key) = (self.engine().keyring(), self.engine().row_key());
        let reads = ReadSet {
            as_of: self.log().as_of(),
            rows: vec![Rewrap::row(key)],
            generations: vec![(KEYS, keyring.as_of())],
        };
        let Ok(newest) = keyring.newest(key) else { return Ok(None) };
        self.log().read(|snapshot| {
            let Some(mut rewrap) = Rewrap::of(snapshot, row_key, key)? else { return Ok(None) };
            let is_begun = rewrap.target == newest;
            if is_begun {
                rewrap.behind = rewrap.behind.max(behind.clone());
            } else {
                // Rotated since: all over again.
                rewrap = begin(snapshot, self, &keyring, (key, newest))?;
            }
            let (writes, bytes, secrets, first, is_last) = (Vec::new(), 0, 0, None, false);
            let mut part = Part { rewrap, is_begun, writes, reads: reads.clone(), bytes, secrets, first, is_last };
            part.fill(self, snapshot, &keyring, most)?;
            Ok(Some(part))
        })
    }

    async fn commit_rewrap(&self, part: Part) -> Went {
        if part.is_begun && part.writes.is_empty() && part.rewrap.failed == 0 && !part.is_last {
            return Went::On;
        }
        let Some(draft) = part.draft(self) else { return Went::Out };
        let (done, is_last) = (part.writes.len(), part.is_last);
        let mut changes = Changes { writes: part.writes, ..Changes::default() };
        let row = if is_last { part.rewrap.end() } else { part.rewrap.write(self.engine().row_key()) };
        changes.writes.push(row);
        if is_last {
            // Before its row is gone: nobody finds neither.
            self.keys().incomplete().note(&part.rewrap);
        }
        match self.log().commit_unhurried(Own::new(draft), changes, part.reads).await {
            Ok(_) => {
                metrics::counter!("keyward_rewrapped_total").increment(done as u64);
                if is_last { Went::Out } else { Went::On }
            }
            Err(CommitError::Conflict(_)) => Went::Back,
            Err(CommitError::TooLarge(_) | CommitError::Unavailable(..)) => Went::Out,
        }
    }
}

fn show(remaining: u64) {
    // Exact up to 2^53.
    metrics::gauge!("keyward_rewrap_remaining").set(remaining as f64);
}

/// A re-wrapping of all that `key` wraps by older generations than `target`.
pub(super) fn begin(
    snapshot: &dyn Snapshot,
    gateway: &Gateway,
    keyring: &Keyring,
    (key, target): (&KeyId, KeyGeneration),
) -> Result<Rewrap, StoreError> {
    let counted = DataKeys::count(snapshot, gateway.engine().row_key(), keyring, Some(key))?;
    let total = counted.of_key(key);
    let remaining = total.saturating_sub(counted.of(key, target));
    Ok(Rewrap { key: key.clone(), target, total, remaining, failed: 0, behind: None })
}

impl Part {
    /// Looks at secrets behind the last one until there is enough for one record.
    fn fill(
        &mut self,
        gateway: &Gateway,
        snapshot: &dyn Snapshot,
        keyring: &Keyring,
        most: usize,
    ) -> Result<(), StoreError> {
        let (from, mut looked) = (self.rewrap.behind.clone(), 0);
        let (mut outcome, mut is_full) = (Ok(()), false);
        lookup::each_behind(snapshot, gateway.engine().row_key(), from.as_ref(), &mut |name, row| {
            match row {
                Ok(row) if row.key == self.rewrap.key => outcome = self.add(gateway, snapshot, keyring, &row),
                Ok(_) => {}
                Err(error) => self.pass_over(&error),
            }
            // A row under what is no name is damage, which is passed over by the one after it.
            let name = std::str::from_utf8(name).ok().and_then(|name| SecretName::parse(name).ok());
            self.rewrap.behind = name.or(self.rewrap.behind.take());
            looked += 1;
            is_full = self.writes.len() >= most || self.bytes >= BYTES_MAX || looked >= SECRETS_MAX;
            outcome.is_ok() && !is_full
        })?;
        outcome?;
        self.is_last = !is_full;
        if self.is_last {
            // What was deleted meanwhile needs no wrapping.
            self.rewrap.remaining = self.rewrap.failed;
        }
        Ok(())
    }

    /// Wraps the data keys of a secret anew that an older generation wraps.
    fn add(
        &mut self,
        gateway: &Gateway,
        snapshot: &dyn Snapshot,
        keyring: &Keyring,
        row: &SecretRow,
    ) -> Result<(), StoreError> {
        let before = self.writes.len();
        for version in &row.versions {
            let sealed = match lookup::value(snapshot, row, version) {
                Ok(sealed) if sealed.generation() == self.rewrap.target => continue,
                Ok(sealed) => sealed,
                Err(error @ StoreError::Damaged(_)) => {
                    self.pass_over(&error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            match gateway.engine().rewrap(keyring, &sealed, &row.binding(version)) {
                Ok(sealed) => {
                    let bytes = sealed.encode();
                    self.bytes = self.bytes.saturating_add(bytes.len());
                    self.writes.push(Write { key: address::value(row.id, version.value), value: Some(bytes) });
                }
                Err(error) => {
                    let what = format!("version `{}` of secret `{}`: {error}", version.id, row.name);
                    self.pass_over(&StoreError::Damaged(what));
                }
            }
        }
        if self.writes.len() > before {
            self.reads.rows.push(address::secret(&row.name));
            self.secrets = self.secrets.saturating_add(1);
            self.first.get_or_insert_with(|| row.name.clone());
            let done = (self.writes.len() - before) as u64;
            self.rewrap.remaining = self.rewrap.remaining.saturating_sub(done);
        }
        Ok(())
    }

    /// What does not open stays as it is; the end of the work says how many there were.
    fn pass_over(&mut self, error: &StoreError) {
        tracing::error!(%error, key = self.rewrap.key.as_str(), "a data key cannot be wrapped anew");
        metrics::counter!("keyward_integrity_failures_total").increment(1);
        self.rewrap.failed = self.rewrap.failed.saturating_add(1);
    }

    /// The record: how many data keys of how many secrets it covers, from which to which, and what remains.
    fn draft(&self, gateway: &Gateway) -> Option<Draft> {
        let event = if self.is_last { "rewrap_done" } else { "rewrapped" };
        let mut draft = own::draft(gateway.environment(), SERVICE, event).ok()?;
        let number = |number: u64| Value::from(number.min(INTEGER_MAX));
        let rewrap = &self.rewrap;
        let said = [
            ("key", Some(Value::from(rewrap.key.as_str()))),
            ("generation", Some(number(u64::from(rewrap.target.get())))),
            ("data_keys", Some(number(self.writes.len() as u64))),
            ("secrets", Some(number(self.secrets))),
            ("remaining", Some(number(rewrap.remaining))),
            ("failed", (rewrap.failed > 0).then(|| number(rewrap.failed))),
            ("first", self.first.as_ref().map(|name| Value::from(name.as_str()))),
            ("last", rewrap.behind.as_ref().filter(|_| self.first.is_some()).map(|name| Value::from(name.as_str()))),
        ];
        let said = said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        draft.parameters.extend(said);
        if self.is_last && rewrap.failed > 0 {
            draft = own::failed(draft, "rewrap_incomplete");
        }
        Some(draft)
    }
}
