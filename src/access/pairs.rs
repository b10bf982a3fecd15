//! SSH key pairs: made and sealed in one step, so that the private key is never anywhere but here and with those who read it.

use super::attempt::Carried;
use super::gateway::Gateway;
use super::question::Asked;
use super::request::{CreateSshKeyPair, PairName};
use super::secrets::{Creation, error_of, internal, servable, serve};
use crate::error::{ApiError, Code};
use crate::parameters::invalid_value;
use crate::secret::row::{SecretKind, SecretRow, SshKeyPair};
use crate::secret::{SecretError, SshKeyId, VersionId, address, lookup, ssh_key};
use keyward_audit::record::{Draft, Value as RecordValue};
use keyward_audit::store::{Snapshot, StoreError};
use serde_json::json;

/// Ids that are drawn until one is free.
const DRAWS_MAX: usize = 16;

/// CreateSSHKeyPairSecret
pub(super) fn create(
    gateway: &Gateway,
    asked: &mut Asked<'_>,
    snapshot: &dyn Snapshot,
    row: Option<SecretRow>,
    create: &CreateSshKeyPair,
    draft: &mut Draft,
) -> Result<Carried, StoreError> {
    // Known before a pair is made for it, which takes a processor for up to some seconds.
    let (clock, now_s) = (asked.clock, asked.now_s());
    if row.is_some_and(|row| !clock.is_gone(&row, now_s, &mut asked.reads)) {
        return Ok(Carried::Failed(error_of(&SecretError::SecretExists)));
    }
    let Some(id) = free_id(gateway, asked, snapshot)? else {
        return Ok(Carried::Failed(internal("no id for a key pair could be had")));
    };
    let name = create.pair_name.clone().unwrap_or_else(|| id.as_str().replace('-', "_"));
    let pair = SshKeyPair { id, name, project: create.project };
    let private = match ssh_key::generate(create.key_type, &pair.name, gateway.random()) {
        Ok(private) => private,
        Err(error) => return Ok(Carried::Failed(internal(&error.to_string()))),
    };
    let Some(public_key) = ssh_key::public_line(&private, &pair.name) else {
        return Ok(Carried::Failed(internal("the public key of the pair cannot be read out of the private one")));
    };
    draft.parameters.insert("ssh_key".to_owned(), RecordValue::from(pair.id.as_str()));
    let answer = json!({
        "SecretName": create.name.as_str(),
        "SSHKeyID": pair.id.as_str(),
        "SSHKeyName": pair.name,
        "PublicKey": public_key,
        "TagCode": 0,
        "TagMsg": "ok",
    });
    let creation = Creation {
        name: &create.name,
        version: &VersionId::unnamed(),
        description: &create.description,
        tags: &create.tags,
        key: &create.key,
        kind: SecretKind::SshKeyPair(pair),
        expires_at_s: 0,
        value: &private,
    };
    creation.carry_out(gateway, asked, snapshot, answer, draft)
}

/// An id that no pair has, named in what the creation is decided on.
fn free_id(gateway: &Gateway, asked: &mut Asked<'_>, snapshot: &dyn Snapshot) -> Result<Option<SshKeyId>, StoreError> {
    for _ in 0..DRAWS_MAX {
        let Ok(id) = SshKeyId::random(gateway.random()) else { return Ok(None) };
        if lookup::ssh_key(snapshot, &id)?.is_none() {
            asked.reads.rows.push(address::ssh_key(&id));
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// GetSSHKeyPairValue: reads the sealed row on the snapshot; it is opened once the read is recorded.
pub(super) fn get(
    gateway: &Gateway,
    asked: &mut Asked<'_>,
    snapshot: &dyn Snapshot,
    row: Option<SecretRow>,
    pair: &PairName,
    draft: &mut Draft,
) -> Result<Carried, StoreError> {
    let Some(row) = row else {
        return Ok(Carried::Failed(error_of(&SecretError::SecretNotFound)));
    };
    let version = match row.serve_pair() {
        Ok(version) => version.clone(),
        Err(error) => return Ok(Carried::Failed(pair_error(&error))),
    };
    let own = row.pair().map(|pair| pair.id.clone());
    if pair.id.as_ref().is_some_and(|id| Some(id) != own.as_ref()) {
        return Ok(Carried::Failed(invalid_value("SSHKeyId", "it is not the id of that secret's pair")));
    }
    Ok(match servable(asked, snapshot, row, version)? {
        Ok(servable) => serve(gateway, asked, servable, draft),
        Err(error) => Carried::Failed(error),
    })
}

/// Codes of GetSSHKeyPairValue: it has none of its own for states.
fn pair_error(error: &SecretError) -> ApiError {
    match error {
        SecretError::Disabled | SecretError::PendingDeleted => ApiError::new(Code::FailedOperation, error.to_string()),
        _ => error_of(error),
    }
}
