//! The actions on access keys: each on the row of one principal, which holds all of its keys.
//!
//! Whose they are is the caller itself, unless it names another; policy tells the two apart by `keyward:target_uin`.
//!
//! INVARIANT I13: a key that is switched off or deleted moves the generation of revocations: what was authenticated by it is
//! looked up again, and no later record is made in its name. Nothing else moves it: it sends back what all others have in hand.
//! INVARIANT I5: making a key never sheds a deny. The groups and roles of the caller's token stay with the key and restrict.
//! For another principal they are not known, so that where tokens must say their groups nobody else makes its keys.

use super::attempt::Carried;
use super::gateway::Gateway;
use super::question::Asked;
use super::request::{AccessKeyRequest, KeyChange};
use super::secrets::internal;
use super::sessions::of_session;
use super::tokens::REVOCATIONS;
use crate::error::{ApiError, Code};
use crate::keys::{ACCESS_KEYS_MAX, AccessKey, AccessKeyId, AccessKeyRow, AccessKeySecret, NewAccessKey};
use crate::parameters::invalid_value;
use crate::principal::Principal;
use chrono::DateTime;
use keyward_audit::Changes;
use keyward_audit::record::{Draft, Value as RecordValue};
use keyward_audit::store::{Snapshot, StoreError};
use serde_json::{Map, Value, json};

/// A key that was made, for the answer that shows its secret.
pub(super) struct Issued {
    pub(super) id: AccessKeyId,
    pub(super) secret: AccessKeySecret,
    pub(super) created: String,
}

/// Carries out an action on access keys.
pub(super) fn carry_out(
    gateway: &Gateway,
    asked: &mut Asked<'_>,
    snapshot: &dyn Snapshot,
    request: &AccessKeyRequest,
    draft: &mut Draft,
) -> Result<Carried, StoreError> {
    let holder = request.holder.as_ref().unwrap_or(&asked.caller.principal).clone();
    draft.parameters.insert("principal".to_owned(), RecordValue::from(holder.as_str()));
    if request.target_uin.is_some_and(|uin| uin != asked.creator().get()) {
        let rule = "it is the number of another principal; name that by `Principal` through the native door";
        return Ok(Carried::Failed(invalid_value("TargetUin", rule)));
    }
    asked.reads.rows.push(AccessKeyRow::address(&holder));
    let before = AccessKeyRow::of(snapshot, gateway.engine().row_key(), &holder)?;
    Ok(match &request.change {
        KeyChange::Create => create(gateway, asked, before, draft),
        KeyChange::List => list(&before),
        KeyChange::Update(id, is_active) => update(gateway, before, id, *is_active, draft),
        KeyChange::Delete(id) => delete(gateway, before, id, draft),
    })
}

/// CreateAccessKey
fn create(gateway: &Gateway, asked: &Asked<'_>, before: AccessKeyRow, draft: &mut Draft) -> Carried {
    if asked.caller.session.is_some() {
        return Carried::Failed(of_session());
    }
    if let Err(error) = check_holder(gateway, asked, &before.principal) {
        return Carried::Failed(error);
    }
    if before.keys.len() >= ACCESS_KEYS_MAX {
        let message = format!("a principal has at most {ACCESS_KEYS_MAX} access keys; delete one first");
        return Carried::Failed(ApiError::new(Code::AccessKeyOverLimit, message));
    }
    let is_own = before.principal == asked.caller.principal;
    let kept = |names: &[Principal]| if is_own { names.to_vec() } else { Vec::new() };
    let at_s = asked.now_s();
    let new = NewAccessKey {
        at_s,
        groups: kept(&asked.caller.groups),
        roles: kept(&asked.caller.roles),
        groups_proved: is_own && gateway.requires_groups(&before.principal),
    };
    let mut after = before.clone();
    match after.add(gateway.engine().installation(), new, gateway.random()) {
        Ok((id, secret)) => {
            name_key(&id, true, draft);
            let changes = changes_of(gateway, &after, &before);
            Carried::Issued(Issued { id, secret, created: time_text(at_s) }, changes)
        }
        Err(_) => Carried::Failed(internal("no random bytes")),
    }
}

impl Gateway {
    /// Whether tokens of a principal must say their groups.
    pub(super) fn requires_groups(&self, principal: &Principal) -> bool {
        let limits = principal.issuer().and_then(|name| self.issuers().authenticator().issuer_limits(name));
        limits.is_some_and(|limits| limits.groups_required)
    }
}

/// Whether a principal can have access keys, made by this caller.
fn check_holder(gateway: &Gateway, asked: &Asked<'_>, holder: &Principal) -> Result<(), ApiError> {
    if *holder == asked.caller.principal {
        return Ok(());
    }
    let issuer = holder.issuer().unwrap_or_default();
    let Some(limits) = gateway.issuers().authenticator().issuer_limits(issuer) else {
        return Err(invalid_value("Principal", "its issuer is not configured"));
    };
    if limits.groups_required {
        let message =
            "tokens of its issuer must say their groups, which only its own token proves: it makes its keys itself";
        return Err(ApiError::new(Code::UnsupportedOperation, message));
    }
    Ok(())
}

/// ListAccessKeys
fn list(row: &AccessKeyRow) -> Carried {
    let keys: Vec<Value> = row.keys.iter().map(listed).collect();
    Carried::Done(Map::from_iter([("AccessKeys".to_owned(), Value::Array(keys))]), Changes::default())
}

fn listed(key: &AccessKey) -> Value {
    json!({
        "AccessKeyId": key.id.as_str(),
        "Status": status(key.is_active),
        "CreateTime": time_text(key.created_at_s),
    })
}

/// UpdateAccessKey
fn update(gateway: &Gateway, before: AccessKeyRow, id: &AccessKeyId, is_active: bool, draft: &mut Draft) -> Carried {
    let mut after = before.clone();
    let Some(key) = after.keys.iter_mut().find(|key| key.id == *id) else { return not_found() };
    let was_active = std::mem::replace(&mut key.is_active, is_active);
    name_key(id, is_active, draft);
    let changes = match (was_active, is_active) {
        (true, false) => revoking(changes_of(gateway, &after, &before)),
        (false, true) => changes_of(gateway, &after, &before),
        (true, true) | (false, false) => Changes::default(),
    };
    Carried::Done(Map::new(), changes)
}

/// DeleteAccessKey
fn delete(gateway: &Gateway, before: AccessKeyRow, id: &AccessKeyId, draft: &mut Draft) -> Carried {
    let mut after = before.clone();
    after.keys.retain(|key| key.id != *id);
    if after.keys.len() == before.keys.len() {
        return not_found();
    }
    draft.parameters.insert("access_key".to_owned(), RecordValue::from(id.as_str()));
    Carried::Done(Map::new(), revoking(changes_of(gateway, &after, &before)))
}

fn not_found() -> Carried {
    Carried::Failed(ApiError::new(Code::ResourceNotFound, "the principal has no such access key"))
}

fn changes_of(gateway: &Gateway, after: &AccessKeyRow, before: &AccessKeyRow) -> Changes {
    Changes { writes: after.writes(gateway.engine().row_key(), before), ..Changes::default() }
}

fn revoking(mut changes: Changes) -> Changes {
    changes.bumps.push(REVOCATIONS);
    changes
}

fn name_key(id: &AccessKeyId, is_active: bool, draft: &mut Draft) {
    draft.parameters.insert("access_key".to_owned(), RecordValue::from(id.as_str()));
    draft.parameters.insert("status".to_owned(), RecordValue::from(status(is_active)));
}

/// A key's status, in answers and records.
pub(super) const fn status(is_active: bool) -> &'static str {
    if is_active { "Active" } else { "Inactive" }
}

/// `YYYY-MM-DD HH:MM:SS`, UTC, as CAM writes times.
fn time_text(at_s: u64) -> String {
    let at = i64::try_from(at_s).ok().and_then(|at_s| DateTime::from_timestamp(at_s, 0)).unwrap_or_default();
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}
