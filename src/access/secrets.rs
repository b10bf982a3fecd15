//! The actions that make secrets and read them, each on the row that policy was decided on: what the answer says, what
//! rides with the record, what the record names. Those that change a secret: `changes`.

use super::attempt::Carried;
use super::gateway::Gateway;
use super::grant::Read;
use super::key_use;
use super::purger;
use super::question::Asked;
use super::request::CreateSecret;
use crate::error::{ApiError, Code};
use crate::keys::{KeyId, KeyUnusable, Keyring};
use crate::parameters::invalid_value;
use crate::resource::SecretName;
use crate::secret::change::{self, Change, NewSecret};
use crate::secret::password::{PasswordError, PasswordRules};
use crate::secret::row::{SecretKind, SecretRow, VersionMeta, resource_id};
use crate::secret::{
    Binding, Description, Plaintext, SealValueError, Sealed, SecretError, SecretId, Servable, Tags, ValueId, VersionId,
    lookup,
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
    let creation = Creation {
        name: &create.name,
        version: &create.version,
        description: &create.description,
        tags: &create.tags,
        key: &create.key,
        kind: SecretKind::Custom,
        expires_at_s: create.expires_at_s,
        value: &create.value,
    };
    if create.expires_at_s != 0 {
        draft.parameters.insert("expires_at".to_owned(), RecordValue::from(create.expires_at_s.min(INTEGER_MAX)));
    }
    let answer = json!({
        "SecretName": create.name.as_str(),
        "VersionId": create.version.as_str(),
        "TagCode": 0,
        "TagMsg": "ok",
    });
    creation.carry_out(gateway, asked, snapshot, answer, draft)
}

/// A secret that is to be made, whatever it is.
pub(super) struct Creation<'a> {
    pub(super) name: &'a SecretName,
    pub(super) version: &'a VersionId,
    pub(super) description: &'a Description,
    pub(super) tags: &'a Tags,
    pub(super) key: &'a KeyId,
    pub(super) kind: SecretKind,
    pub(super) expires_at_s: u64,
    pub(super) value: &'a Plaintext,
}

impl Creation<'_> {
    /// Makes the secret; in place of one that is gone, whose purge is recorded before it.
    pub(super) fn carry_out(
        self,
        gateway: &Gateway,
        asked: &mut Asked<'_>,
        snapshot: &dyn Snapshot,
        answer: Value,
        draft: &mut Draft,
    ) -> Result<Carried, StoreError> {
        let limits = gateway.secret_limits();
        let (clock, now_s) = (asked.clock, asked.now_s());
        let (row_key, target, as_of) = (gateway.engine().row_key(), (self.name, asked.creator()), asked.reads.as_of);
        let view = gateway.held().creation(snapshot, row_key, target, as_of, &limits)?;
        asked.reads.rows.extend(view.reads(&limits));
        let view = view.without_gone(|row| clock.is_gone(row, now_s, &mut asked.reads));
        let purge = view.gone.as_ref().map(|gone| purger::draft(gateway, snapshot, gone)).transpose()?;
        let keyring = asked.keys();
        if *self.key != KeyId::default_key() {
            draft.parameters.insert("key".to_owned(), RecordValue::from(self.key.as_str()));
        }
        if view.creator_principal.as_ref().is_some_and(|holder| *holder != asked.caller.principal) {
            draft.reason = Some("creator_collision".to_owned());
            metrics::counter!("keyward_creator_collisions_total").increment(1);
        }
        let asked = &*asked;
        let mut made = || {
            let new = self.new_secret(gateway, asked)?;
            let Self { name, version, key, value, .. } = self;
            let unsealed = Unsealed { secret: new.id, name, version, key, value };
            let sealed = unsealed.seal(gateway, asked, &keyring, draft)?;
            change::create(&view, new, &sealed, &limits).map_err(|error| error_of(&error))
        };
        let made = made();
        Ok(match (made, purge) {
            (Ok(change), Some(purge)) => {
                Carried::Anew(Box::new(purge), fields_of(answer), changes_of(gateway, change, draft))
            }
            (Ok(change), None) => done(gateway, change, answer, draft),
            (Err(error), _) => Carried::Failed(error),
        })
    }

    fn new_secret(&self, gateway: &Gateway, asked: &Asked<'_>) -> Result<NewSecret, ApiError> {
        let id = SecretId::random(gateway.random()).map_err(|_| internal("no random bytes"))?;
        Ok(NewSecret {
            id,
            creator: asked.caller.principal.clone(),
            at_s: asked.now_s(),
            description: self.description.clone(),
            tags: self.tags.clone(),
            key: self.key.clone(),
            resource_id: resource_id(&gateway.place().account, asked.creator(), gateway.now_us(), id),
            kind: self.kind.clone(),
            expires_at_s: self.expires_at_s,
        })
    }
}

/// A value that is to be sealed, and as what.
pub(super) struct Unsealed<'a> {
    pub(super) secret: SecretId,
    pub(super) name: &'a SecretName,
    pub(super) version: &'a VersionId,
    pub(super) key: &'a KeyId,
    pub(super) value: &'a Plaintext,
}

impl Unsealed<'_> {
    /// Seals it, if the engine may use the key.
    pub(super) fn seal(
        self,
        gateway: &Gateway,
        asked: &Asked<'_>,
        keyring: &Keyring,
        draft: &mut Draft,
    ) -> Result<Sealed, ApiError> {
        key_use::allow(gateway, asked, self.key, draft)?;
        let binding = Binding {
            secret: self.secret,
            name: self.name.clone(),
            version: self.version.clone(),
            value: ValueId::random(gateway.random()).map_err(|_| internal("no random bytes"))?,
            form: self.value.form(),
        };
        gateway.engine().seal(keyring, self.value, binding, self.key).map_err(|error| seal_error(&error))
    }
}

/// GetSecretValue: reads the sealed row on the snapshot; it is opened once the read is recorded.
pub(super) fn get(
    gateway: &Gateway,
    asked: &mut Asked<'_>,
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
    let servable = match servable(asked, snapshot, row, version)? {
        Ok(servable) => servable,
        Err(error) => return Ok(Carried::Failed(error)),
    };
    gateway.servables().keep(&servable);
    Ok(serve(gateway, asked, servable, draft))
}

/// A version with its sealed value, unless that does not even read.
pub(super) fn servable(
    asked: &Asked<'_>,
    snapshot: &dyn Snapshot,
    row: SecretRow,
    version: VersionMeta,
) -> Result<Result<Arc<Servable>, ApiError>, StoreError> {
    let sealed = match lookup::value(snapshot, &row, &version) {
        Ok(sealed) => sealed,
        Err(StoreError::Damaged(what)) => {
            tracing::error!(what, "a stored value does not read; nothing is released");
            metrics::counter!("keyward_integrity_failures_total").increment(1);
            return Ok(Err(internal("the value failed its integrity check and was not released")));
        }
        Err(error) => return Err(error),
    };
    let binding = row.binding(&version);
    Ok(Ok(Arc::new(Servable { as_of: asked.reads.as_of, row, version, sealed, binding })))
}

/// GetSecretValue of what was read, now or before.
pub(super) fn serve(gateway: &Gateway, asked: &mut Asked<'_>, servable: Arc<Servable>, draft: &mut Draft) -> Carried {
    if let Err(error) = key_use::allow(gateway, asked, servable.sealed.key(), draft) {
        return Carried::Failed(error);
    }
    let keyring = asked.keys();
    if let Err(error) = keyring.usable(servable.sealed.key(), servable.sealed.generation()) {
        return Carried::Failed(key_error(&error));
    }
    name_version(&servable.version, draft);
    Carried::Value(Read { servable, keyring })
}

/// GetRandomPassword: the record says that one was handed out, and nothing of it.
pub(super) fn password(gateway: &Gateway, rules: &PasswordRules) -> Carried {
    match rules.generate(gateway.random()) {
        Ok(password) => Carried::Generated(password),
        Err(PasswordError::Random) => Carried::Failed(internal("no random bytes")),
        Err(error) => Carried::Failed(invalid_value("PasswordLength", error)),
    }
}

/// DescribeSecret
pub(super) fn describe(gateway: &Gateway, asked: &Asked<'_>, row: Option<SecretRow>) -> Carried {
    let Some(row) = row else {
        return Carried::Failed(error_of(&SecretError::SecretNotFound));
    };
    if let Err(error) = key_use::check_role(gateway, asked) {
        return Carried::Failed(error);
    }
    let mut fields = metadata(&row);
    let product = json!({
        "RotationStatus": false,
        "NextRotationTime": "",
        "AdditionalConfig": "",
        "AccountInfoList": [],
        "CurrentVersionId": row.current.as_str(),
        "Tags": row.tags.as_slice().iter().map(|tag| json!({"TagKey": tag.key, "TagValue": tag.value})).collect::<Vec<_>>(),
    });
    extend(&mut fields, product);
    Carried::Done(fields, Changes::default())
}

/// What DescribeSecret and ListSecrets say alike of a custom secret.
pub(super) fn metadata(row: &SecretRow) -> Map<String, Value> {
    let pair = row.pair();
    fields_of(json!({
        "SecretName": row.name.as_str(),
        "Description": row.description.as_str(),
        "KmsKeyId": row.key.as_str(),
        "CreateUin": row.creator.get(),
        "CreateUinString": row.creator.to_string(),
        "Status": row.state.name(),
        "DeleteTime": row.state.delete_at_s(),
        "CreateTime": row.created_at_s,
        "SecretType": kind_code(row),
        "ProductName": if pair.is_some() { "Cvm" } else { "default" },
        "ResourceID": row.resource_id,
        "EncryptType": 0,
        "EncryptSwitching": false,
        "ExpiresAt": row.version(&row.current).map_or(0, |version| version.expires_at_s),
        "RotationFrequency": 0,
        "ResourceName": pair.map_or("", |pair| pair.id.as_str()),
        "ProjectID": pair.map_or(0, |pair| pair.project),
        "AssociatedInstanceIDs": [],
        "TargetUin": 0,
        "TargetUinString": "0",
    }))
}

/// SecretType
pub(super) fn kind_code(row: &SecretRow) -> u64 {
    if row.pair().is_some() { 2 } else { 0 }
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
            "ExpiresAt": version.expires_at_s,
        })
    });
    let shown: Vec<Value> = shown.collect();
    Carried::Done(fields_of(json!({"SecretName": row.name.as_str(), "Versions": shown})), Changes::default())
}

/// A change and its answer; the record names the version and value that it is about.
pub(super) fn done(gateway: &Gateway, change: Change, answer: Value, draft: &mut Draft) -> Carried {
    Carried::Done(fields_of(answer), changes_of(gateway, change, draft))
}

/// What rides with the record. Deleted values are counted for the purger, which has their bytes leave the files.
fn changes_of(gateway: &Gateway, change: Change, draft: &mut Draft) -> Changes {
    if let Some(version) = &change.version {
        name_version(version, draft);
    }
    let writes = change.writes(gateway.engine().row_key());
    purger::changes(writes, change.indexed)
}

fn name_version(version: &VersionMeta, draft: &mut Draft) {
    draft.secret_version = Some(version.id.as_str().to_owned());
    draft.value = Some(version.value.to_string());
}

/// The fields of an object.
pub(super) fn fields_of(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

pub(super) fn extend(fields: &mut Map<String, Value>, more: Value) {
    fields.extend(fields_of(more));
}

/// The one table from what a secret refuses to error codes.
pub(super) fn error_of(error: &SecretError) -> ApiError {
    let code = match error {
        SecretError::SecretNotFound | SecretError::VersionNotFound(_) => Code::ResourceNotFound,
        SecretError::SecretExists => Code::SecretExists,
        SecretError::VersionIdExists(_) => Code::VersionIdExists,
        SecretError::SecretsLimit { .. } | SecretError::VersionsLimit { .. } | SecretError::TagsLimit(_) => {
            Code::LimitExceeded
        }
        SecretError::Disabled => Code::ResourceDisabled,
        SecretError::PendingDeleted => Code::ResourcePendingDeleted,
        SecretError::NotCustom | SecretError::NoPair => Code::UnsupportedOperation,
        SecretError::WindowOfPair => Code::InvalidParameterValue,
        SecretError::WrongState { .. }
        | SecretError::NotCurrent(_)
        | SecretError::LastVersion
        | SecretError::OnlyStaged => Code::FailedOperation,
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

pub(super) fn internal(message: &str) -> ApiError {
    ApiError::new(Code::InternalError, message)
}
