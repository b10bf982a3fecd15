//! What the records of a log say of access keys, held against those that the store has: whose there are, and whether they may
//! be used. A key that was switched off or deleted and put back from an older copy is found here, and so is what was asked in
//! its name meanwhile.

use super::Found;
use super::said::At;
use crate::access::access_keys::status;
use crate::actions::Operation;
use crate::keys::{AccessKeyRow, RowKey};
use keyward_audit::record::{Credential, Draft, Value};
use keyward_audit::store::{Snapshot, StoreError};
use std::collections::BTreeMap;

/// A key, as the records left it.
struct Life {
    principal: String,
    status: At<String>,
}

/// All that the records said of access keys so far.
#[derive(Default)]
pub(super) struct AccessKeysSaid {
    keys: BTreeMap<String, Life>,
}

impl AccessKeysSaid {
    /// A request that was made in the name of a key: one that the records before it made and left active.
    pub(super) fn use_of(&self, index: u64, draft: &Draft, found: &mut Found) {
        let Some(Credential::AccessKey { access_key, .. }) = &draft.credential else { return };
        let is_active = |life: &&Life| {
            life.status.what == status(true) && Some(life.principal.as_str()) == draft.principal.as_deref()
        };
        if self.keys.get(access_key).filter(is_active).is_none() {
            found.add(index, format!("access key `{access_key}` was used and by the records before it was not active"));
        }
    }

    /// Takes in a call that was carried out.
    pub(super) fn carry_out(&mut self, index: u64, operation: Operation, draft: &Draft) {
        let text = |name: &str| draft.parameters.get(name).and_then(Value::as_text).unwrap_or_default().to_owned();
        let (id, status) = (text("access_key"), At { what: text("status"), index });
        match operation {
            Operation::CreateAccessKey => {
                self.keys.insert(id, Life { principal: text("principal"), status });
            }
            Operation::UpdateAccessKey => {
                if let Some(life) = self.keys.get_mut(&id) {
                    life.status = status;
                }
            }
            Operation::DeleteAccessKey => {
                self.keys.remove(&id);
            }
            // What changes no access key.
            _ => {}
        }
    }

    /// Says how the keys of the store differ from what was said of them.
    pub(super) fn meet(&self, snapshot: &dyn Snapshot, row_key: &RowKey, found: &mut Found) -> Result<(), StoreError> {
        let mut stored = BTreeMap::new();
        AccessKeyRow::each(snapshot, row_key, &mut |row| match row {
            Ok(row) => stored.extend(row.keys.iter().map(|key| {
                let what = (row.principal.as_str().to_owned(), status(key.is_active));
                (key.id.as_str().to_owned(), what)
            })),
            Err(error) => found.add(None, error.to_string()),
        })?;
        for (id, life) in &self.keys {
            match stored.remove(id) {
                Some((principal, status)) if principal == life.principal && status == life.status.what => {}
                Some((_, status)) => found.add(
                    life.status.index,
                    format!("access key `{id}`: it is {status} in the store and {} by this record", life.status.what),
                ),
                None => found.add(
                    life.status.index,
                    format!("access key `{id}` is not in the store, where this record left it"),
                ),
            }
        }
        for id in stored.keys() {
            found.add(None, format!("access key `{id}` is in the store and no record left it there"));
        }
        Ok(())
    }
}
