//! Revoking tokens, and reading revocations for authentication.

use super::attempt::Carried;
use super::gateway::Gateway;
use super::question::Asked;
use super::request::{RevokeToken, Selected};
use crate::authn::{Revocation, Revocations, RevocationsUnavailable, Selector};
use crate::error::ApiError;
use crate::parameters::invalid_value;
use keyward_audit::record::{Draft, Value};
use keyward_audit::store::{Family, Key, Snapshot, StoreError, Write};
use keyward_audit::{Changes, Generation, Log};
use serde_json::Map;

/// Moved by every revocation: whatever was authenticated before it is authenticated again (invariant I13).
pub(super) const REVOCATIONS: Generation = Generation("revocations");
/// How far `IssuedBefore` may lie ahead of now, in seconds: the leeway of token times.
const AHEAD_S_MAX: u64 = 30;

/// Revocations as the log's store holds them.
pub(super) struct LogRevocations<'a>(pub(super) &'a Log);

impl Revocations for LogRevocations<'_> {
    fn generation(&self) -> u64 {
        self.0.generation(REVOCATIONS)
    }

    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, RevocationsUnavailable> {
        let row = self.0.read(|snapshot| snapshot.get(Family::Revocations, key));
        row.map_err(|error| RevocationsUnavailable(error.to_string()))
    }
}

/// RevokeToken: in force for every request that is recorded after it.
pub(super) fn revoke(
    gateway: &Gateway,
    asked: &mut Asked<'_>,
    snapshot: &dyn Snapshot,
    revoke: &RevokeToken,
    draft: &mut Draft,
) -> Result<Carried, StoreError> {
    let (selector, issued_before) = match select(gateway, asked.now_s(), revoke) {
        Ok(selected) => selected,
        Err(error) => return Ok(Carried::Failed(error)),
    };
    let (Ok(key), Some(mut row)) =
        (selector.key(&revoke.issuer), Revocation::new(issued_before, asked.now_s(), &revoke.reason))
    else {
        return Ok(Carried::Failed(invalid_value("Issuer", "no token can be selected by it")));
    };
    let key = Key::new(Family::Revocations, key);
    asked.reads.rows.push(key.clone());
    if let Some(standing) = snapshot.get(Family::Revocations, &key.bytes)? {
        let standing = Revocation::decode(&standing).map_err(|error| StoreError::Damaged(error.to_string()))?;
        row = row.over(&standing);
    }
    let bytes = row.encode().map_err(|error| StoreError::Engine(error.to_string()))?;
    let named = named(revoke);
    draft.parameters.extend(named.iter().map(|(name, text)| ((*name).to_owned(), Value::from(text.as_str()))));
    draft.parameters.insert("issued_before".to_owned(), Value::from(row.issued_before));
    let mut answer: Map<String, serde_json::Value> = Map::new();
    answer.insert("Issuer".to_owned(), revoke.issuer.as_str().into());
    answer.insert(selector_field(&revoke.selector).to_owned(), selected_text(&revoke.selector).into());
    answer.insert("IssuedBefore".to_owned(), row.issued_before.into());
    let changes = Changes { writes: vec![Write { key, value: Some(bytes) }], bumps: vec![REVOCATIONS] };
    Ok(Carried::Done(answer, changes))
}

fn select(gateway: &Gateway, now_s: u64, revoke: &RevokeToken) -> Result<(Selector, u64), ApiError> {
    if !gateway.knows_issuer(&revoke.issuer) {
        return Err(invalid_value("Issuer", "no issuer of that name is configured"));
    }
    match &revoke.selector {
        Selected::Jti(jti) => Ok((Selector::jti(jti).map_err(|error| invalid_value("Jti", error))?, 0)),
        Selected::CredentialHash(hash) => {
            Ok((Selector::credential_hash(hash).map_err(|error| invalid_value("CredentialHash", error))?, 0))
        }
        Selected::Subject(subject, before) => {
            let before = before.unwrap_or(now_s);
            if before > now_s.saturating_add(AHEAD_S_MAX) {
                return Err(invalid_value("IssuedBefore", format!("it lies ahead by more than {AHEAD_S_MAX} seconds")));
            }
            Ok((Selector::subject(subject).map_err(|error| invalid_value("Subject", error))?, before))
        }
    }
}

/// The request's own parameter that selects.
fn selector_field(selected: &Selected) -> &'static str {
    match selected {
        Selected::Jti(_) => "Jti",
        Selected::CredentialHash(_) => "CredentialHash",
        Selected::Subject(..) => "Subject",
    }
}

fn selected_text(selected: &Selected) -> &str {
    match selected {
        Selected::Jti(text) | Selected::CredentialHash(text) | Selected::Subject(text, _) => text,
    }
}

/// What the record says of a revocation.
fn named(revoke: &RevokeToken) -> Vec<(&'static str, String)> {
    let selector = match &revoke.selector {
        Selected::Jti(_) => "jti",
        Selected::CredentialHash(_) => "credential_hash",
        Selected::Subject(..) => "subject",
    };
    let mut named = vec![("issuer", revoke.issuer.clone()), (selector, selected_text(&revoke.selector).to_owned())];
    if !revoke.reason.is_empty() {
        named.push(("reason", revoke.reason.clone()));
    }
    named
}
