//! Revoking tokens, and reading revocations for authentication.

use super::attempt::Carried;
use super::question::Asked;
use super::request::RevokeToken;
use crate::authn::{Revocation, Revocations, RevocationsUnavailable, Selector};
use keyward_audit::record::{Draft, Value};
use keyward_audit::store::{Family, Key, Snapshot, StoreError, Write};
use keyward_audit::{Changes, Generation, Log};
use serde_json::Map;

/// Moved by every revocation: whatever was authenticated before it is authenticated again (invariant I13).
pub(super) const REVOCATIONS: Generation = Generation("revocations");

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
    asked: &mut Asked<'_>,
    snapshot: &dyn Snapshot,
    revoke: &RevokeToken,
    draft: &mut Draft,
) -> Result<Carried, StoreError> {
    let unfit = |what: &str| StoreError::Engine(format!("a revocation cannot be made: {what}"));
    let key = revoke.selector.key(&revoke.issuer).map_err(|error| unfit(&error.to_string()))?;
    let row = Revocation::new(revoke.issued_before, asked.now_s(), &revoke.reason).ok_or_else(|| unfit("reason"))?;
    let key = Key::new(Family::Revocations, key);
    asked.reads.rows.push(key.clone());
    let row = match snapshot.get(Family::Revocations, &key.bytes)? {
        Some(standing) => {
            row.over(&Revocation::decode(&standing).map_err(|error| StoreError::Damaged(error.to_string()))?)
        }
        None => row,
    };
    let bytes = row.encode().map_err(|error| unfit(&error.to_string()))?;
    let (field, word) = match revoke.selector {
        Selector::Jti(_) => ("Jti", "jti"),
        Selector::CredentialHash(_) => ("CredentialHash", "credential_hash"),
        Selector::Subject(_) => ("Subject", "subject"),
    };
    let said = [("issuer", &revoke.issuer), (word, &revoke.selected), ("reason", &revoke.reason)];
    for (name, text) in said.into_iter().filter(|(_, text)| !text.is_empty()) {
        draft.parameters.insert(name.to_owned(), Value::from(text.as_str()));
    }
    draft.parameters.insert("issued_before".to_owned(), Value::from(row.issued_before));
    let mut answer: Map<String, serde_json::Value> = Map::new();
    answer.insert("Issuer".to_owned(), revoke.issuer.as_str().into());
    answer.insert(field.to_owned(), revoke.selected.as_str().into());
    answer.insert("IssuedBefore".to_owned(), row.issued_before.into());
    let changes =
        Changes { writes: vec![Write { key, value: Some(bytes) }], bumps: vec![REVOCATIONS], ..Changes::default() };
    Ok(Carried::Done(answer, changes))
}
