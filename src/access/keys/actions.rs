//! The actions on keys, each decided on the live keyring: what the answer says, what rides with the record, what the record
//! names.

use super::{KEYS, rewrap};
use crate::access::attempt::Carried;
use crate::access::gateway::Gateway;
use crate::access::purger;
use crate::access::question::Asked;
use crate::access::request::KeyRequest;
use crate::access::secrets::{fields_of, internal};
use crate::error::{ApiError, Code};
use crate::keys::change::{KeyError, Maker};
use crate::keys::rewrap::Rewrap;
use crate::keys::{KeyGeneration, KeyId, KeyInfo, Keyring, RootKey};
use crate::secret::DataKeys;
use keyward_audit::Changes;
use keyward_audit::record::{Draft, INTEGER_MAX, Value as RecordValue};
use keyward_audit::store::{Key, Snapshot, StoreError, Write};
use serde_json::{Value, json};

const DAY_S: u64 = 86_400;

/// Carries out an action on keys.
pub(in crate::access) fn carry_out(
    gateway: &Gateway,
    asked: &mut Asked<'_>,
    snapshot: &dyn Snapshot,
    request: &KeyRequest,
    draft: &mut Draft,
) -> Result<Carried, StoreError> {
    if let Some(id) = request.key() {
        draft.parameters.insert("key".to_owned(), RecordValue::from(id.as_str()));
    }
    let keyring = asked.keys();
    // After the keyring: no older than that.
    let root = gateway.keys().root();
    let of = OnKeys { gateway, keyring: &keyring, root: &root, snapshot, now_s: asked.now_s() };
    let made = match request {
        KeyRequest::List { offset, limit } => return of.list(*offset, *limit, draft),
        KeyRequest::Describe(id) => return of.describe(id),
        KeyRequest::Create(id) => of.create(id),
        KeyRequest::Enable(id) => of.keyring.enable(id).map(|writes| Made::new(id, writes)),
        KeyRequest::Disable(id) => of.keyring.disable(id).map(|writes| Made::new(id, writes)),
        KeyRequest::ScheduleDeletion(id, days) => of.schedule_deletion(id, *days, draft)?,
        KeyRequest::CancelDeletion(id) => of.keyring.cancel_deletion(id).map(|writes| Made::new(id, writes)),
        KeyRequest::Rotate(id) => of.rotate(id, draft),
        KeyRequest::Retire(id, generation) => of.retire(id, *generation, draft)?,
        KeyRequest::Rewrap(id) => {
            asked.reads.rows.push(Rewrap::row(id));
            return of.rewrap(id, draft);
        }
    };
    Ok(match made {
        Ok(made) => made.carried(),
        Err(error) => Carried::Failed(error_of(&error)),
    })
}

/// A change of a key, and its answer.
struct Made {
    answer: Value,
    writes: Vec<Write>,
    indexed: Option<Key>,
}

impl Made {
    /// A change that has nothing to tell.
    fn new(id: &KeyId, writes: Vec<Write>) -> Self {
        Self { answer: json!({"KeyId": id.as_str()}), writes, indexed: None }
    }

    fn carried(self) -> Carried {
        let changed = !self.writes.is_empty();
        let mut changes = purger::changes(self.writes, self.indexed);
        if changed {
            changes.bumps.push(KEYS);
        }
        Carried::Done(fields_of(self.answer), changes)
    }
}

/// What actions on keys are decided on.
struct OnKeys<'a> {
    gateway: &'a Gateway,
    keyring: &'a Keyring,
    root: &'a RootKey,
    snapshot: &'a dyn Snapshot,
    now_s: u64,
}

impl OnKeys<'_> {
    fn maker(&self) -> Maker<'_> {
        Maker { root: self.root, random: self.gateway.random(), at_s: self.now_s }
    }

    /// The data keys that keys wrap: of all, or of one.
    fn data_keys(&self, only: Option<&KeyId>) -> Result<DataKeys, StoreError> {
        DataKeys::count(self.snapshot, self.gateway.engine().row_key(), self.keyring, only)
    }

    /// ListKeys
    fn list(&self, offset: u64, limit: u64, draft: &mut Draft) -> Result<Carried, StoreError> {
        draft.parameters.insert("offset".to_owned(), RecordValue::from(offset.min(INTEGER_MAX)));
        draft.parameters.insert("limit".to_owned(), RecordValue::from(limit));
        let to_usize = |number| usize::try_from(number).unwrap_or(usize::MAX);
        let page: Vec<_> = self.keyring.keys().skip(to_usize(offset)).take(to_usize(limit)).collect();
        let counted = if page.is_empty() { DataKeys::default() } else { self.data_keys(None)? };
        let shown: Vec<Value> = page.iter().map(|key| shown(key, &counted)).collect();
        let answer = json!({"TotalCount": self.keyring.keys().count(), "Keys": shown});
        Ok(Carried::Done(fields_of(answer), Changes::default()))
    }

    /// DescribeKey
    fn describe(&self, id: &KeyId) -> Result<Carried, StoreError> {
        let Some(key) = self.keyring.key(id) else {
            return Ok(Carried::Failed(error_of(&KeyError::NotFound)));
        };
        let counted = self.data_keys(Some(id))?;
        Ok(Carried::Done(fields_of(shown(&key, &counted)), Changes::default()))
    }

    /// CreateKey
    fn create(&self, id: &KeyId) -> Result<Made, KeyError> {
        let writes = self.keyring.create(id, self.maker())?;
        let answer = json!({"KeyId": id.as_str(), "Status": "Enabled", "CreateTime": self.now_s, "Generation": 1});
        Ok(Made { answer, writes, indexed: None })
    }

    /// RotateKey
    fn rotate(&self, id: &KeyId, draft: &mut Draft) -> Result<Made, KeyError> {
        let (newest, writes) = self.keyring.rotate(id, self.maker())?;
        draft.parameters.insert("generation".to_owned(), RecordValue::from(u64::from(newest.get())));
        let answer = json!({"KeyId": id.as_str(), "Generation": newest.get()});
        Ok(Made { answer, writes, indexed: None })
    }

    /// RetireKeyGeneration
    fn retire(
        &self,
        id: &KeyId,
        generation: KeyGeneration,
        draft: &mut Draft,
    ) -> Result<Result<Made, KeyError>, StoreError> {
        draft.parameters.insert("generation".to_owned(), RecordValue::from(u64::from(generation.get())));
        let used = self.data_keys(Some(id))?.may_need(id, generation);
        let answer = json!({"KeyId": id.as_str(), "Generation": generation.get()});
        let retired = self.keyring.retire(id, generation, used);
        Ok(retired.map(|writes| Made { answer, writes, indexed: None }))
    }

    /// RewrapKeys: starts what runs behind the log, or says how far it is. What did not open in an earlier one remains, and is
    /// no reason to start another.
    fn rewrap(&self, id: &KeyId, draft: &mut Draft) -> Result<Carried, StoreError> {
        let newest = match self.keyring.rewrapping(id) {
            Ok(newest) => newest,
            Err(error) => return Ok(Carried::Failed(error_of(&error))),
        };
        draft.parameters.insert("generation".to_owned(), RecordValue::from(u64::from(newest.get())));
        let row_key = self.gateway.engine().row_key();
        let mut changes = Changes::default();
        let (rewrap, is_running) = match Rewrap::of(self.snapshot, row_key, id)? {
            Some(rewrap) => (rewrap, true),
            None => {
                let rewrap = rewrap::begin(self.snapshot, self.gateway, self.keyring, (id, newest))?;
                let is_needed = rewrap.remaining > 0 && !self.gateway.keys().incomplete().covers(&rewrap);
                changes.writes.extend(is_needed.then(|| rewrap.write(row_key)));
                (rewrap, is_needed)
            }
        };
        let answer = json!({
            "KeyId": id.as_str(),
            "Generation": newest.get(),
            "Total": rewrap.total,
            "Remaining": rewrap.remaining,
            "Running": is_running,
        });
        Ok(Carried::Done(fields_of(answer), changes))
    }

    /// ScheduleKeyDeletion: the record says when the key is gone.
    fn schedule_deletion(
        &self,
        id: &KeyId,
        days: u64,
        draft: &mut Draft,
    ) -> Result<Result<Made, KeyError>, StoreError> {
        let delete_at_s = self.now_s.saturating_add(days.saturating_mul(DAY_S));
        draft.parameters.insert("delete_time".to_owned(), RecordValue::from(delete_at_s));
        let used = self.data_keys(Some(id))?.of_key(id);
        let scheduled = self.keyring.schedule_deletion(id, delete_at_s, used);
        Ok(scheduled.map(|(writes, indexed)| Made {
            answer: json!({"KeyId": id.as_str(), "DeletionDate": delete_at_s}),
            writes,
            indexed: Some(indexed),
        }))
    }
}

/// KeyInfo
fn shown(key: &KeyInfo<'_>, counted: &DataKeys) -> Value {
    let generations = key.generations.iter().map(|(generation, created_at_s)| {
        json!({
            "Generation": generation.get(),
            "CreateTime": created_at_s,
            "DataKeys": counted.of(key.id, *generation),
        })
    });
    json!({
        "KeyId": key.id.as_str(),
        "Status": key.state.name(),
        "CreateTime": key.created_at_s,
        "DeletionDate": key.state.delete_at_s(),
        "Generation": key.newest.get(),
        "Generations": generations.collect::<Vec<Value>>(),
    })
}

/// The one table from what a key refuses to error codes.
fn error_of(error: &KeyError) -> ApiError {
    let code = match error {
        KeyError::NotFound | KeyError::GenerationNotFound(_) => Code::ResourceNotFound,
        KeyError::KeysLimit | KeyError::GenerationsLimit => Code::LimitExceeded,
        KeyError::Exists
        | KeyError::WrongState { .. }
        | KeyError::Default
        | KeyError::Newest
        | KeyError::Used(_)
        | KeyError::GenerationUsed(_) => Code::FailedOperation,
        KeyError::Seal(_) => return internal("a key could not be made"),
    };
    ApiError::new(code, error.to_string())
}
