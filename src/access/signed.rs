//! Signed requests: from what a door received to whom it speaks for, once for each request, before anything else is asked.
//!
//! INVARIANT I5: a signature that cannot be checked is none. A signature is spent by the request that shows it first; one that
//! is shown again a moment later is a request of its own and flagged, and later refused ([`super::seen`]).
//! INVARIANT I13: what the key was when it was looked up is in the read set by the generation of revocations, which moves
//! whenever an access key is switched off or deleted; on a conflict it is looked up again.
//!
//! If the process dies, the signatures that were seen are forgotten: a start takes no timestamp from before it.

use super::call::{Call, Dialect, Fault, Presented};
use super::gateway::Gateway;
use super::seen::Sight;
use super::tokens::LogRevocations;
use crate::authn::signed::{AccessKeys, FoundKey, KeyRefusal, KeysUnavailable, Now, SignedRequest, Signer};
use crate::authn::v1::V1Hash;
use crate::authn::{self, Authenticated, HeldSession, KeyHolder, Parent};
use crate::error::{ApiError, Code};
use crate::keys::{AccessKeyId, AccessKeyRow, AccessKeySecret, KeysError, ParentCredential, Session};
use keyward_audit::Random;
use std::collections::BTreeMap;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A signature that was checked: the id of its key, and whether it was shown before.
#[derive(Clone)]
pub struct Checked {
    pub(super) key: String,
    pub(super) token: Option<Zeroizing<String>>,
    pub(super) is_duplicate: bool,
}

/// A signature that is yet to be checked, with the temporary token that came along.
#[derive(Clone)]
pub struct Signed {
    /// What was signed.
    pub request: SignedRequest,
    /// The token, which the signature does not bind.
    pub token: Option<Zeroizing<String>>,
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

    fn sign_whole(&self, hash: V1Hash, texts: &[Zeroizing<Vec<u8>>]) -> Vec<Vec<u8>> {
        let sign = |text: &Zeroizing<Vec<u8>>| match hash {
            V1Hash::Sha256 => self.sign_sha256(text).to_vec(),
            V1Hash::Sha1 => self.sign_sha1(text).to_vec(),
        };
        texts.iter().map(sign).collect()
    }
}

impl Gateway {
    /// Whether the body says who asks, so that it is read first: that of a web identity, and that of a call which is signed, with a
    /// timestamp within the window.
    #[must_use]
    pub fn is_known_by_body(&self, call: &Call) -> bool {
        let is_worth_it = match &call.presented {
            Presented::Signed(signed) => signed.request.is_in_time(self.now_us() / 1_000_000),
            Presented::InBody => true,
            _ => false,
        };
        is_worth_it && !matches!(call.fault, Some(Fault::Outer(_)))
    }

    /// Takes the token out of the parameters of a call that shows one there.
    pub fn take_web_identity(&self, call: &mut Call) {
        #[derive(serde::Deserialize)]
        struct Shown {
            #[serde(rename = "WebIdentityToken")]
            token: String,
        }
        if !matches!(call.presented, Presented::InBody) {
            return;
        }
        let shown = call.body.as_deref().and_then(|body| serde_json::from_slice::<Shown>(body).ok());
        call.presented =
            shown.map_or(Presented::Malformed, |shown| Presented::WebIdentity(Zeroizing::new(shown.token)));
    }

    /// Checks the signature of a call that has one: from here on it is known who signed, or why nobody did.
    pub fn check_signature(&self, call: &mut Call) {
        if matches!(call.fault, Some(Fault::Outer(_))) {
            return;
        }
        let Presented::Signed(signed) = &call.presented else { return };
        let key = signed.request.key().to_owned();
        match self.signed_by(signed, call.body.as_deref().map_or(&[], Vec::as_slice)) {
            Ok((who, is_duplicate)) => {
                call.known = Some(who);
                let token = signed.token.clone();
                call.presented = Presented::Checked(Checked { key, token, is_duplicate });
            }
            Err(refused) => call.presented = Presented::Rejected(refused.of(key)),
        }
    }

    /// Who signed, and whether the signature was shown before.
    fn signed_by(&self, signed: &Signed, body: &[u8]) -> Result<(Arc<Authenticated>, bool), Refused> {
        let (now_s, token) = (self.now_us() / 1_000_000, signed.token.as_ref().map(|token| token.as_str()));
        let revocations = LogRevocations(self.log());
        let stored = StoredKeys(self);
        let now = Now::of(now_s, &stored, &revocations);
        let who = self.known_keys().authenticate(&signed.request, token, body, &now)?;
        match self.seen().see(&signed.request, who.asker().as_str(), now_s, self.monotonic_us()) {
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

    /// Whom a key stands for at `now_s`, of a request whose signature was checked.
    pub(super) fn holder_again(&self, checked: &Checked, now_s: u64) -> Result<Arc<Authenticated>, Rejected> {
        let token = checked.token.as_ref().map(|token| token.as_str());
        let (stored, revocations) = (StoredKeys(self), LogRevocations(self.log()));
        let now = Now::of(now_s, &stored, &revocations);
        let again = self.known_keys().again(&checked.key, token, &now);
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

/// The access keys of the store, and those that tokens bring along.
struct StoredKeys<'a>(&'a Gateway);

impl StoredKeys<'_> {
    fn of_session(&self, id: &AccessKeyId, session: Session, secret: AccessKeySecret) -> FoundKey {
        let is_active = session.groups_proved || !self.0.requires_groups(&session.assumed_by);
        let parent = match session.parent {
            ParentCredential::Token { hash, jti, issued_s } => Parent::Token { hash, jti, issued_s },
            ParentCredential::Key(key) => Parent::Key(key.as_str().to_owned()),
        };
        let told = authn::Session { name: session.name, assumed_by: session.assumed_by, policy: session.policy };
        let holder = KeyHolder {
            principal: session.principal,
            groups: session.groups,
            roles: session.roles,
            key: id.as_str().to_owned(),
            issued_s: session.issued_s,
            session: Some(HeldSession { session: told, expires_s: session.expires_s, parent }),
        };
        FoundKey { holder, is_active, signer: Arc::new(secret) }
    }
}

impl AccessKeys for StoredKeys<'_> {
    fn find(&self, id: &str, token: Option<&str>) -> Result<Option<FoundKey>, KeysUnavailable> {
        let Some(id) = AccessKeyId::parse(id) else { return Ok(None) };
        let installation = self.0.engine().installation();
        if let Some(token) = token {
            return Ok(
                Session::open(installation, &id, token).map(|(session, secret)| self.of_session(&id, session, secret))
            );
        }
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
                session: None,
            },
            // One that was made without its holder's groups, where they must be said now, would shed what hangs on them.
            is_active: key.is_active && (key.groups_proved || !self.0.requires_groups(&row.principal)),
            signer: Arc::new(secret),
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
