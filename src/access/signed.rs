//! Signed requests: from what a door received to whom it speaks for, once for each request, before anything else is asked.
//!
//! INVARIANT I5: a signature that cannot be checked is none. A signature is spent by the request that shows it first; one that
//! is shown again a moment later is a request of its own and flagged, and later refused ([`super::seen`]).
//! INVARIANT I13: what the key was when it was looked up is in the read set by the generation of revocations, which every
//! change of an access key moves; on a conflict it is looked up again.
//!
//! If the process dies, the signatures that were seen are forgotten: a start takes no timestamp from before it.

use super::call::{Call, Dialect, Fault, Presented};
use super::gateway::Gateway;
use super::seen::Sight;
use super::tokens::LogRevocations;
use crate::authn::tc3::{self, AccessKeys, FoundKey, KeyRefusal, KeysUnavailable, SignedRequest, Signer};
use crate::authn::{Authenticated, KeyHolder};
use crate::error::{ApiError, Code};
use crate::keys::{AccessKeyId, AccessKeyRow, AccessKeySecret, KeysError};
use keyward_audit::Random;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A signature that was checked: the id of its key, and whether it was shown before.
#[derive(Clone, Debug)]
pub struct Checked {
    pub(super) key: String,
    pub(super) is_duplicate: bool,
}

/// A signature that speaks for nobody.
#[derive(Clone, Debug)]
pub struct Rejected {
    pub(super) key: String,
    pub(super) reason: &'static str,
    pub(super) error: ApiError,
    /// Whether the credential is to blame, and not the state of the gateway.
    pub(super) is_credential: bool,
}

impl Rejected {
    /// What it claimed, for the record.
    pub(super) fn claimed(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("claimed_access_key".to_owned(), self.key.clone())])
    }
}

/// What signs in place of a key that is not there. Made at start.
pub(super) struct DummyKey(AccessKeySecret);

impl DummyKey {
    pub(super) fn random(random: &dyn Random) -> Result<Self, KeysError> {
        Ok(Self(AccessKeySecret::random(random)?))
    }
}

impl Signer for AccessKeySecret {
    fn sign(&self, date: &str, service: &str, texts: &[Vec<u8>]) -> Vec<[u8; 32]> {
        Self::sign(self, date, service, texts)
    }
}

impl Gateway {
    /// Whether a call is signed, and its timestamp within the window: then its body is worth reading.
    #[must_use]
    pub fn may_be_signed(&self, call: &Call) -> bool {
        let Presented::Signed(request) = &call.presented else { return false };
        !matches!(call.fault, Some(Fault::Outer(_))) && request.is_in_time(self.now_us() / 1_000_000)
    }

    /// Checks the signature of a call that has one: from here on it is known who signed, or why nobody did.
    pub fn check_signature(&self, call: &mut Call) {
        if matches!(call.fault, Some(Fault::Outer(_))) {
            return;
        }
        let Presented::Signed(request) = &call.presented else { return };
        let key = request.authorization.key.clone();
        match self.signed_by(request, call.body.as_deref().map_or(&[], Vec::as_slice)) {
            Ok((who, is_duplicate)) => {
                call.known = Some(who);
                call.presented = Presented::Checked(Checked { key, is_duplicate });
            }
            Err(refused) => call.presented = Presented::Rejected(refused.of(key)),
        }
    }

    /// Who signed, and whether the signature was shown before.
    fn signed_by(&self, request: &SignedRequest, body: &[u8]) -> Result<(Arc<Authenticated>, bool), Refused> {
        let now_s = self.now_us() / 1_000_000;
        let who = tc3::authenticate(request, body, now_s, &StoredKeys(self), &LogRevocations(self.log()))?;
        match self.seen().see(request, now_s, self.monotonic_us()) {
            Sight::First => Ok((who, false)),
            Sight::Again => Ok((who, true)),
            Sight::Spent => Err(Refused {
                reason: "replayed",
                error: ApiError::new(Code::SignatureExpire, "signature already used"),
                is_credential: true,
            }),
            Sight::Full => Err(Refused {
                reason: "signatures_full",
                error: ApiError::new(Code::RequestLimitExceeded, "too many signed requests at a time; try again later"),
                is_credential: false,
            }),
        }
    }

    /// Whom a key stands for now, of a request whose signature was checked.
    pub(super) fn holder_again(&self, checked: &Checked) -> Result<Arc<Authenticated>, Rejected> {
        let again = tc3::again(&checked.key, &StoredKeys(self), &LogRevocations(self.log()));
        again.map_err(|refusal| Refused::from(refusal).of(checked.key.clone()))
    }
}

/// Why a signature speaks for nobody, whichever key it names.
struct Refused {
    reason: &'static str,
    error: ApiError,
    is_credential: bool,
}

impl Refused {
    fn of(self, key: String) -> Rejected {
        let Self { reason, error, is_credential } = self;
        Rejected { key, reason, error, is_credential }
    }
}

impl From<KeyRefusal> for Refused {
    fn from(refusal: KeyRefusal) -> Self {
        let (code, reason) = match &refusal {
            KeyRefusal::Expired => (Code::SignatureExpire, "expired"),
            KeyRefusal::Unknown => (Code::SecretIdNotFound, "access_key"),
            KeyRefusal::Signature => (Code::SignatureFailure, "signature"),
            KeyRefusal::Token => (Code::TokenFailure, "access_key_token"),
            KeyRefusal::Unavailable(cause) => {
                tracing::error!(%cause, "access keys cannot be read; refused");
                metrics::counter!("keyward_revocations_unreadable_total").increment(1);
                let error = ApiError::new(Code::ServiceUnavailable, "access keys cannot be checked now; try again");
                return Self { reason: "access_keys_unreadable", error, is_credential: false };
            }
        };
        Self { reason, error: ApiError::new(code, refusal.to_string()), is_credential: true }
    }
}

/// The message for a credential that is absent or malformed, as the callers of a door know credentials.
pub(super) const fn no_credential(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Native => "send one header `Authorization: Bearer <token>`",
        Dialect::Tencent => {
            "send one header `Authorization: TC3-HMAC-SHA256 Credential=..., SignedHeaders=content-type;host, Signature=...`, \
             its date that of X-TC-Timestamp, or `Authorization: Bearer <token>`"
        }
    }
}

/// The access keys of the store.
struct StoredKeys<'a>(&'a Gateway);

impl AccessKeys for StoredKeys<'_> {
    fn find(&self, id: &str) -> Result<Option<FoundKey>, KeysUnavailable> {
        let Some(id) = AccessKeyId::parse(id) else { return Ok(None) };
        let installation = self.0.engine().installation();
        let row = self.0.log().read(|snapshot| AccessKeyRow::with(snapshot, installation.row_key(), &id));
        let Some(row) = row.map_err(|error| KeysUnavailable(error.to_string()))? else { return Ok(None) };
        let Some(key) = row.key(&id) else { return Ok(None) };
        let secret = row.secret(installation, key).map_err(|error| KeysUnavailable(error.to_string()))?;
        Ok(Some(FoundKey {
            holder: KeyHolder {
                principal: row.principal.clone(),
                groups: key.groups.clone(),
                roles: key.roles.clone(),
                key: id.as_str().to_owned(),
                issued_s: key.created_at_s,
            },
            // One that was made without its holder's groups, where they must be said now, would shed what hangs on them.
            is_active: key.is_active && (key.groups_proved || !self.0.requires_groups(&row.principal)),
            signer: Box::new(secret),
        }))
    }

    fn dummy(&self) -> &dyn Signer {
        &self.0.dummy_key().0
    }

    fn knows_issuer(&self, name: &str) -> bool {
        self.0.issuers().authenticator().issuer_limits(name).is_some()
    }

    fn issuers_generation(&self) -> u64 {
        self.0.issuers().authenticator().generation()
    }
}
