//! The actions that change a secret, each on the row that policy was decided on: what the answer says, what rides with the
//! record, what the record names.

use super::attempt::Carried;
use super::gateway::Gateway;
use super::question::Asked;
use super::request::{DeleteSecret, PutSecretValue, UpdateSecret};
use super::secrets::{Unsealed, done, error_of};
use crate::error::ApiError;
use crate::secret::change::{self, Change, NewVersion, ending};
use crate::secret::row::SecretRow;
use crate::secret::{Description, SecretError, Tags, VersionId, address, lookup};
use keyward_audit::record::{Draft, INTEGER_MAX, Value as RecordValue};
use keyward_audit::store::{Snapshot, StoreError};
use serde_json::{Value, json};

/// What a change came to.
type Made = Result<Change, ApiError>;

/// A change and its answer, or why there is none.
fn carried(gateway: &Gateway, made: Made, draft: &mut Draft, answer: impl FnOnce(&Change) -> Value) -> Carried {
    match made {
        Ok(change) => {
            let answer = answer(&change);
            done(gateway, change, answer, draft)
        }
        Err(error) => Carried::Failed(error),
    }
}

/// Changes a secret that must be there.
fn change(row: Option<SecretRow>, change: impl FnOnce(SecretRow) -> Result<Change, SecretError>) -> Made {
    row.ok_or(SecretError::SecretNotFound).and_then(change).map_err(|error| error_of(&error))
}

/// The answer of changes that have nothing to tell.
fn name_of(change: &Change) -> Value {
    json!({"SecretName": change.row.name.as_str()})
}

/// The answer of changes of a version.
fn version_of(change: &Change) -> Value {
    let version = change.version.as_ref().map_or("", |version| version.id.as_str());
    json!({"SecretName": change.row.name.as_str(), "VersionId": version})
}

/// When a version is said to expire stands in the record of who says so.
fn name_expiry(expires_at_s: Option<u64>, draft: &mut Draft) {
    if let Some(at_s) = expires_at_s {
        draft.parameters.insert("expires_at".to_owned(), RecordValue::from(at_s.min(INTEGER_MAX)));
    }
}

/// PutSecretValue
pub(super) fn put(
    gateway: &Gateway,
    asked: &mut Asked<'_>,
    row: Option<SecretRow>,
    put: &PutSecretValue,
    draft: &mut Draft,
) -> Carried {
    draft.parameters.insert("stage".to_owned(), RecordValue::from(put.stage));
    name_expiry(Some(put.expires_at_s).filter(|at_s| *at_s != 0), draft);
    if let Some(expected) = &put.expected_current {
        draft.parameters.insert("expected_current".to_owned(), RecordValue::from(expected.as_str()));
    }
    let keyring = asked.keys();
    let made = |draft: &mut Draft| {
        let row = row.ok_or_else(|| error_of(&SecretError::SecretNotFound))?;
        if let Some(expected) = &put.expected_current {
            change::expect_current(&row, expected).map_err(|error| error_of(&error))?;
        }
        let unsealed =
            Unsealed { secret: row.id, name: &row.name, version: &put.version, key: &row.key, value: &put.value };
        let sealed = unsealed.seal(gateway, asked, &keyring, draft)?;
        let limits = gateway.secret_limits();
        let new = NewVersion { stage: put.stage, at_s: asked.now_s(), expires_at_s: put.expires_at_s };
        change::put(row, &sealed, new, &limits).map_err(|error| error_of(&error))
    };
    let made = made(draft);
    carried(gateway, made, draft, version_of)
}

/// UpdateSecret
pub(super) fn update(
    gateway: &Gateway,
    asked: &mut Asked<'_>,
    row: Option<SecretRow>,
    update: &UpdateSecret,
    draft: &mut Draft,
) -> Carried {
    let keyring = asked.keys();
    let made = |draft: &mut Draft| {
        let row = row.ok_or_else(|| error_of(&SecretError::SecretNotFound))?;
        change::updatable(&row, &update.version).map_err(|error| error_of(&error))?;
        let unsealed =
            Unsealed { secret: row.id, name: &row.name, version: &update.version, key: &row.key, value: &update.value };
        let sealed = unsealed.seal(gateway, asked, &keyring, draft)?;
        change::update(row, &sealed, update.expires_at_s).map_err(|error| error_of(&error))
    };
    name_expiry(update.expires_at_s, draft);
    let made = made(draft);
    carried(gateway, made, draft, version_of)
}

/// SetCurrentVersion
pub(super) fn set_current(
    gateway: &Gateway,
    row: Option<SecretRow>,
    version: &VersionId,
    draft: &mut Draft,
) -> Carried {
    let made = change(row, |row| change::set_current(row, version));
    let previous = |change: &Change| change.previous.as_ref().map_or("", VersionId::as_str).to_owned();
    if let Ok(change) = &made {
        draft.parameters.insert("previous".to_owned(), RecordValue::from(previous(change)));
    }
    carried(gateway, made, draft, |change| {
        json!({
            "SecretName": change.row.name.as_str(),
            "VersionId": version.as_str(),
            "PreviousVersionId": previous(change),
        })
    })
}

/// EnableSecret
pub(super) fn enable(gateway: &Gateway, row: Option<SecretRow>, draft: &mut Draft) -> Carried {
    carried(gateway, change(row, change::enable), draft, name_of)
}

/// DisableSecret
pub(super) fn disable(gateway: &Gateway, row: Option<SecretRow>, draft: &mut Draft) -> Carried {
    carried(gateway, change(row, change::disable), draft, name_of)
}

/// UpdateDescription
pub(super) fn set_description(
    gateway: &Gateway,
    row: Option<SecretRow>,
    description: &Description,
    draft: &mut Draft,
) -> Carried {
    carried(gateway, change(row, |row| change::set_description(row, description.clone())), draft, name_of)
}

/// TagResource
pub(super) fn tag(gateway: &Gateway, row: Option<SecretRow>, tags: &Tags, draft: &mut Draft) -> Carried {
    carried(gateway, change(row, |row| change::tag(row, tags)), draft, name_of)
}

/// UntagResource
pub(super) fn untag(gateway: &Gateway, row: Option<SecretRow>, tags: &Tags, draft: &mut Draft) -> Carried {
    carried(gateway, change(row, |row| change::untag(row, &tags.keys())), draft, name_of)
}

/// DeleteSecret: the record says when the secret is gone.
pub(super) fn delete(
    gateway: &Gateway,
    asked: &mut Asked<'_>,
    snapshot: &dyn Snapshot,
    row: Option<SecretRow>,
    delete: &DeleteSecret,
    draft: &mut Draft,
) -> Result<Carried, StoreError> {
    asked.reads.rows.push(address::count(address::shard(&delete.name)));
    let in_shard = lookup::in_shard(snapshot, &delete.name)?;
    let now_s = asked.now_s();
    let made = change(row, |row| ending::delete(row, delete.window_days, now_s, in_shard));
    let at_s = |change: &Change| if delete.window_days == 0 { now_s } else { change.row.state.delete_at_s() };
    if let Ok(change) = &made {
        draft.parameters.insert("delete_time".to_owned(), RecordValue::from(at_s(change)));
    }
    Ok(carried(
        gateway,
        made,
        draft,
        |change: &Change| json!({"SecretName": change.row.name.as_str(), "DeleteTime": at_s(change), "FlowID": 0}),
    ))
}

/// RestoreSecret
pub(super) fn restore(gateway: &Gateway, row: Option<SecretRow>, draft: &mut Draft) -> Carried {
    carried(gateway, change(row, ending::restore), draft, name_of)
}

/// DeleteSecretVersion: the record names the version that is current from then on, if it is another one.
pub(super) fn delete_version(
    gateway: &Gateway,
    row: Option<SecretRow>,
    version: &VersionId,
    draft: &mut Draft,
) -> Carried {
    let made = change(row, |row| ending::delete_version(row, version));
    if let Ok(change) = &made
        && change.previous.as_ref() != Some(&change.row.current)
    {
        draft.parameters.insert("current".to_owned(), RecordValue::from(change.row.current.as_str()));
    }
    carried(gateway, made, draft, version_of)
}
