//! The store held against the log: what the records say that secrets, keys, access keys and revocations are, against the rows that are there.
//!
//! The code of a row shows that keyward wrote it at some time; only the log shows that nothing came after it. So a row
//! that was put back whole from an older copy is found here (attack H10), and so are rows that are gone, rows that no
//! record made, and reads that served what another record had already replaced.
//!
//! INVARIANT I7: a difference is named by the index of the record that the store contradicts. Opens no value and writes
//! nothing; a process that dies leaves nothing behind. Memory grows with the number of secrets, not of records.

mod access_keys;
mod keys;
mod said;

use crate::authn::Revocation;
use crate::keys::{Keyring, RowKey};
use crate::secret::row::SecretRow;
use crate::secret::{address, lookup};
use keyward_audit::log::{Finding, each_record};
use keyward_audit::record::Record;
use keyward_audit::store::{Family, Snapshot, Store, StoreError};
use said::Said;

/// Findings that are kept; the rest is counted.
const FINDINGS: usize = 100;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The first findings.
    pub findings: Vec<Finding>,
    /// How many there are.
    pub total: u64,
    /// Secrets whose rows were read.
    pub secrets: u64,
}

impl Found {
    fn add(&mut self, index: impl Into<Option<u64>>, reason: impl Into<String>) {
        self.total = self.total.saturating_add(1);
        if self.findings.len() < FINDINGS {
            self.findings.push(Finding { index: index.into(), reason: reason.into() });
        }
    }
}

/// Holds the store, whose keys are `keyring`, against its log, which nobody writes meanwhile and which was verified before; tells `progress` of records
/// done and of all.
///
/// # Errors
/// [`StoreError`] if the store cannot be read; what does not fit is no error.
pub fn against_log(
    store: &dyn Store,
    origin: &str,
    keyring: &Keyring,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Found, StoreError> {
    let (mut said, mut found) = (Said::default(), Found::default());
    each_record(store, origin, &mut |index, size, bytes| {
        progress(index.saturating_add(1), size);
        // One that does not parse was named when the log was verified.
        if let Ok(record) = Record::parse(bytes) {
            said.hear(index, record.draft(), &mut found);
        }
    })?;
    store.snapshot(&mut |snapshot| {
        secrets(snapshot, keyring.installation().row_key(), &mut said, &mut found)?;
        said.keys().meet(keyring, &mut found);
        said.access_keys().meet(snapshot, keyring.installation().row_key(), &mut found)?;
        revocations(snapshot, &said, &mut found)
    })?;
    Ok(found)
}

fn secrets(snapshot: &dyn Snapshot, row_key: &RowKey, said: &mut Said, found: &mut Found) -> Result<(), StoreError> {
    let mut valueless = Ok(());
    lookup::each_row(snapshot, row_key, &mut |name, row| {
        found.secrets = found.secrets.saturating_add(1);
        match row {
            Ok(row) => {
                said.meet(&row, found);
                valueless = values(snapshot, &row, found);
            }
            Err(error) => found.add(said.pass_over(&String::from_utf8_lossy(name)), error.to_string()),
        }
        valueless.is_ok()
    })?;
    valueless?;
    for (name, index) in said.missing() {
        found.add(index, format!("secret `{name}` is not in the store, where this record left it"));
    }
    match lookup::secrets_held(snapshot) {
        Ok(counted) if counted == found.secrets => {}
        Ok(counted) => found.add(None, format!("the store counts `{counted}` secrets and holds `{}`", found.secrets)),
        Err(error) => found.add(None, error.to_string()),
    }
    Ok(())
}

/// The value of each version is there; whether it opens, only a read can tell.
fn values(snapshot: &dyn Snapshot, row: &SecretRow, found: &mut Found) -> Result<(), StoreError> {
    for version in &row.versions {
        let key = address::value(row.id, version.value);
        if snapshot.get(Family::Secrets, &key.bytes)?.is_none() {
            found.add(None, format!("secret `{}`: the value of version `{}` is missing", row.name, version.id));
        }
    }
    Ok(())
}

fn revocations(snapshot: &dyn Snapshot, said: &Said, found: &mut Found) -> Result<(), StoreError> {
    for (key, issued_before, index) in said.revocations() {
        let row = snapshot.get(Family::Revocations, key)?.and_then(|row| Revocation::decode(&row).ok());
        if row.is_none_or(|row| row.issued_before < issued_before) {
            found.add(index, "the revocation is not in the store as this record left it");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
