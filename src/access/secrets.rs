//! The actions on secrets, each on the row that policy was decided on: what the answer says, what rides with the
//! record, what the record names.

use super::attempt::Carried;
use super::gateway::Gateway;
use super::grant::Read;
use super::question::Asked;
use super::request::{CreateSecret, ListSecrets, PutSecretValue};
use crate::error::{ApiError, Code};
use crate::keys::KeyUnusable;
use crate::secret::change::{self, Change, NewSecret};
use crate::secret::row::{SecretRow, VersionMeta, resource_id};
use crate::secret::{
    Binding, Plaintext, SealValueError, Sealed, SecretError, SecretId, Servable, ValueId, VersionId, lookup,
};
use keyward_audit::Changes;
use keyward_audit::record::{Draft, INTEGER_MAX, Value as RecordValue};
use keyward_audit::store::{Snapshot, StoreError};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// CreateSecret
pub(super) fn create(
    gateway: &Gateway,
    asked: &mut Asked<'_>,
    snapshot: &dyn Snapshot,
    create: &CreateSecret,
    draft: &mut Draft,
) -> Result<Carried, StoreError> {
    let limits = gateway.secret_limits();
    let view = lookup::creation(snapshot, gateway.engine().row_key(), &create.name, asked.creator())?;
    asked.reads.rows = view.reads(&limits);
    let made = || {
        let new = new_secret(gateway, asked, create)?;
        let sealed = seal(gateway, new.id, create, &create.value)?;
        change::create(&view, new, &sealed, &limits).map_err(|error| error_of(&error))
    };
    if view.creator_principal.as_ref().is_some_and(|holder| *holder != asked.caller.principal) {
        draft.reason = Some("creator_collision".to_owned());
        metrics::counter!("keyward_creator_collisions_total").increment(1);
    }
    Ok(match made() {
        Ok(change) => {
            let answer = json!({
                "SecretName": create.name.as_str(),
                "VersionId": create.version.as_str(),
                "TagCode": 0,
                "TagMsg": "ok",
            });
            done(gateway, change, answer, draft)
        }
        Err(error) => Carried::Failed(error),
    })
}

fn new_secret(gateway: &Gateway, asked: &Asked<'_>, create: &CreateSecret) -> Result<NewSecret, ApiError> {
    let id = SecretId::random(gateway.random()).map_err(|_| internal("no random bytes"))?;
    Ok(NewSecret {
        id,
        creator: asked.caller.principal.clone(),
        at_s: asked.now_s(),
        description: create.description.clone(),
        tags: create.tags.clone(),
        key: create.key.clone(),
        resource_id: resource_id(&gateway.place().account, asked.creator(), gateway.now_us(), id),
    })
}

fn seal(gateway: &Gateway, id: SecretId, create: &CreateSecret, value: &Plaintext) -> Result<Sealed, ApiError> {
    let binding = Binding {
        secret: id,
        name: create.name.clone(),
        version: create.version.clone(),
        value: ValueId::random(gateway.random()).map_err(|_| internal("no random bytes"))?,
        form: value.form(),
    };
    gateway.engine().seal(value, binding, &create.key).map_err(|error| seal_error(&error))
}

/// PutSecretValue
pub(super) fn put(
    gateway: &Gateway,
    asked: &Asked<'_>,
    row: Option<SecretRow>,
    put: &PutSecretValue,
    draft: &mut Draft,
) -> Carried {
    draft.parameters.insert("stage".to_owned(), RecordValue::from(put.stage));
    let made = || {
        let row = row.ok_or_else(|| error_of(&SecretError::SecretNotFound))?;
        let binding = Binding {
            secret: row.id,
            name: row.name.clone(),
            version: put.version.clone(),
            value: ValueId::random(gateway.random()).map_err(|_| internal("no random bytes"))?,
            form: put.value.form(),
        };
        let sealed = gateway.engine().seal(&put.value, binding, &row.key).map_err(|error| seal_error(&error))?;
        let limits = gateway.secret_limits();
        change::put(row, &sealed, put.stage, asked.now_s(), &limits).map_err(|error| error_of(&error))
    };
    match made() {
        Ok(change) => {
            let answer = json!({"SecretName": put.name.as_str(), "VersionId": put.version.as_str()});
            done(gateway, change, answer, draft)
        }
        Err(error) => Carried::Failed(error),
    }
}

/// GetSecretValue: reads the sealed row on the snapshot; it is opened once the read is recorded.
pub(super) fn get(
    gateway: &Gateway,
    asked: &Asked<'_>,
    snapshot: &dyn Snapshot,
    row: Option<SecretRow>,
    asked_for: Option<&VersionId>,
    draft: &mut Draft,
) -> Result<Carried, StoreError> {
    let Some(row) = row else {
        return Ok(Carried::Failed(ApiError::new(Code::SecretNotExist, SecretError::SecretNotFound.to_string())));
    };
    let version = match row.serve(asked_for) {
        Ok(version) => version.clone(),
        Err(error) => return Ok(Carried::Failed(error_of(&error))),
    };
    let sealed = match lookup::value(snapshot, &row, &version) {
        Ok(sealed) => sealed,
        Err(StoreError::Damaged(what)) => {
            tracing::error!(what, "a stored value does not read; nothing is released");
            metrics::counter!("keyward_integrity_failures_total").increment(1);
            return Ok(Carried::Failed(internal("the value failed its integrity check and was not released")));
        }
        Err(error) => return Err(error),
    };
    let binding = row.binding(&version);
    let servable = Arc::new(Servable { as_of: asked.reads.as_of, row, version, sealed, binding });
    gateway.servables().keep(&servable);
    Ok(serve(gateway, servable, draft))
}

/// GetSecretValue of what was read, now or before.
pub(super) fn serve(gateway: &Gateway, servable: Arc<Servable>, draft: &mut Draft) -> Carried {
    if let Err(error) = gateway.engine().wrapping_key_usable(servable.sealed.key(), servable.sealed.generation()) {
        return Carried::Failed(key_error(&error));
    }
    name_version(&servable.version, draft);
    Carried::Value(Read(servable))
}

/// DescribeSecret
pub(super) fn describe(row: Option<SecretRow>) -> Carried {
    let Some(row) = row else {
        return Carried::Failed(error_of(&SecretError::SecretNotFound));
    };
    let mut fields = metadata(&row);
    let product = json!({
        "RotationStatus": false,
        "NextRotationTime": "",
        "AdditionalConfig": "",
        "AccountInfoList": [],
        "CurrentVersionId": row.current.as_str(),
    });
    extend(&mut fields, product);
    Carried::Done(fields, Changes::default())
}

/// What DescribeSecret and ListSecrets say alike of a custom secret.
fn metadata(row: &SecretRow) -> Map<String, Value> {
    object(json!({
        "SecretName": row.name.as_str(),
        "Description": row.description.as_str(),
        "KmsKeyId": row.key.as_str(),
        "CreateUin": row.creator.get(),
        "CreateUinString": row.creator.to_string(),
        "Status": row.state.name(),
        "DeleteTime": row.state.delete_at_s(),
        "CreateTime": row.created_at_s,
        "SecretType": 0,
        "ProductName": "default",
        "ResourceID": row.resource_id,
        "EncryptType": 0,
        "EncryptSwitching": false,
        "RotationFrequency": 0,
        "ResourceName": "",
        "ProjectID": 0,
        "AssociatedInstanceIDs": [],
        "TargetUin": 0,
        "TargetUinString": "0",
    }))
}

/// ListSecrets: filters, orders, and cuts out the page; the count is that of all filters. Of what matches only names
/// and times are kept: the rows of the page are read again on the same snapshot. A row that is damaged fails the whole call:
/// a list without it would say that there is no such secret, and one with it would repeat what somebody else wrote.
pub(super) fn list(
    gateway: &Gateway,
    snapshot: &dyn Snapshot,
    list: &ListSecrets,
    draft: &mut Draft,
) -> Result<Carried, StoreError> {
    let row_key = gateway.engine().row_key();
    draft.parameters.insert("offset".to_owned(), RecordValue::from(list.offset.min(INTEGER_MAX)));
    draft.parameters.insert("limit".to_owned(), RecordValue::from(list.limit));
    let mut found = Vec::new();
    if list.possible {
        lookup::each_secret(snapshot, row_key, &mut |row| {
            if list.matches(&row) {
                found.push((row.created_at_s, row.name));
            }
            true
        })?;
    }
    found.sort_by(|(at_a, a), (at_b, b)| {
        let by_time = at_a.cmp(at_b);
        (if list.oldest_first { by_time } else { by_time.reverse() }).then_with(|| a.cmp(b))
    });
    let mut page = Vec::new();
    for (_, name) in found.iter().skip(to_usize(list.offset)).take(to_usize(list.limit)) {
        page.extend(lookup::secret(snapshot, row_key, name)?.as_ref().map(listed));
    }
    Ok(Carried::Done(object(json!({"TotalCount": found.len(), "SecretMetadatas": page})), Changes::default()))
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn listed(row: &SecretRow) -> Value {
    let mut fields = metadata(row);
    let kind = if row.key == crate::keys::KeyId::default_key() { "DEFAULT" } else { "CUSTOMER" };
    extend(
        &mut fields,
        json!({"KmsKeyType": kind, "RotationStatus": 0, "NextRotationTime": 0, "RotationBeginTime": ""}),
    );
    Value::Object(fields)
}

impl ListSecrets {
    fn matches(&self, row: &SecretRow) -> bool {
        let state = match self.state {
            0 => true,
            1 => row.state.name() == "Enabled",
            2 => row.state.name() == "Disabled",
            3 => row.state.name() == "PendingDelete",
            _ => false,
        };
        let tagged = |(key, values): &(String, Vec<String>)| {
            let mut tags = row.tags.as_slice().iter();
            tags.any(|tag| tag.key == *key && (values.is_empty() || values.contains(&tag.value)))
        };
        state && row.name.as_str().contains(&self.search) && self.tags.iter().all(tagged)
    }
}

/// ListSecretVersionIds: newest first, ties by who was added later.
pub(super) fn list_versions(row: Option<SecretRow>) -> Carried {
    let Some(row) = row else {
        return Carried::Failed(error_of(&SecretError::SecretNotFound));
    };
    let mut versions: Vec<&VersionMeta> = row.versions.iter().rev().collect();
    versions.sort_by_key(|version| std::cmp::Reverse(version.created_at_s));
    let shown = versions.into_iter().map(|version| {
        json!({
            "VersionId": version.id.as_str(),
            "CreateTime": version.created_at_s,
            "Current": version.id == row.current,
            "Staged": version.staged,
        })
    });
    let shown: Vec<Value> = shown.collect();
    Carried::Done(object(json!({"SecretName": row.name.as_str(), "Versions": shown})), Changes::default())
}

/// SetCurrentVersion
pub(super) fn set_current(
    gateway: &Gateway,
    row: Option<SecretRow>,
    version: &VersionId,
    draft: &mut Draft,
) -> Carried {
    let made = row.ok_or(SecretError::SecretNotFound).and_then(|row| change::set_current(row, version));
    match made {
        Ok(change) => {
            let previous = change.previous.as_ref().map_or("", VersionId::as_str).to_owned();
            draft.parameters.insert("previous".to_owned(), RecordValue::from(previous.as_str()));
            let answer = json!({
                "SecretName": change.row.name.as_str(),
                "VersionId": version.as_str(),
                "PreviousVersionId": previous,
            });
            done(gateway, change, answer, draft)
        }
        Err(error) => Carried::Failed(error_of(&error)),
    }
}

/// EnableSecret
pub(super) fn enable(gateway: &Gateway, row: Option<SecretRow>, draft: &mut Draft) -> Carried {
    set_state(gateway, row, change::enable, draft)
}

/// DisableSecret
pub(super) fn disable(gateway: &Gateway, row: Option<SecretRow>, draft: &mut Draft) -> Carried {
    set_state(gateway, row, change::disable, draft)
}

fn set_state(
    gateway: &Gateway,
    row: Option<SecretRow>,
    change: fn(SecretRow) -> Result<Change, SecretError>,
    draft: &mut Draft,
) -> Carried {
    match row.ok_or(SecretError::SecretNotFound).and_then(change) {
        Ok(change) => {
            let answer = json!({"SecretName": change.row.name.as_str()});
            done(gateway, change, answer, draft)
        }
        Err(error) => Carried::Failed(error_of(&error)),
    }
}

/// A change, its rows authenticated, and its answer; the record names the version and value that it is about.
fn done(gateway: &Gateway, change: Change, answer: Value, draft: &mut Draft) -> Carried {
    if let Some(version) = &change.version {
        name_version(version, draft);
    }
    Carried::Done(object(answer), Changes { writes: change.writes(gateway.engine().row_key()), bumps: Vec::new() })
}

fn name_version(version: &VersionMeta, draft: &mut Draft) {
    draft.secret_version = Some(version.id.as_str().to_owned());
    draft.value = Some(version.value.to_string());
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn extend(fields: &mut Map<String, Value>, more: Value) {
    fields.extend(object(more));
}

/// The one table from what a secret refuses to error codes.
fn error_of(error: &SecretError) -> ApiError {
    let code = match error {
        SecretError::SecretNotFound | SecretError::VersionNotFound(_) => Code::ResourceNotFound,
        SecretError::SecretExists => Code::SecretExists,
        SecretError::VersionIdExists(_) => Code::VersionIdExists,
        SecretError::SecretsLimit { .. } | SecretError::VersionsLimit { .. } => Code::LimitExceeded,
        SecretError::Disabled => Code::ResourceDisabled,
        SecretError::PendingDeleted => Code::ResourcePendingDeleted,
        SecretError::WrongState { .. } => Code::FailedOperation,
        SecretError::CreatorCollision | SecretError::ForeignValue => {
            tracing::error!(%error, "a change of a secret was refused by an invariant");
            Code::InternalError
        }
    };
    ApiError::new(code, error.to_string())
}

fn seal_error(error: &SealValueError) -> ApiError {
    match error {
        SealValueError::Key(error) => key_error(error),
        SealValueError::Seal(_) => internal("the value could not be sealed"),
    }
}

fn key_error(error: &KeyUnusable) -> ApiError {
    ApiError::new(Code::AccessKmsError, error.to_string())
}

fn internal(message: &str) -> ApiError {
    ApiError::new(Code::InternalError, message)
}
