//! The proof that a request speaks for someone: [`Authenticated`].

use sha2::{Digest, Sha256};

use super::claims::{Claims, Window};
use super::issuer::Issuer;
use super::revocation::{Issued, Traces};
use super::token::Unverified;
use crate::principal::Principal;

/// Whom a request speaks for, and by which credential.
///
/// INVARIANT: made by [`super::Authenticator`] from a token, or by [`super::tc3`] from a signature, that passed every check at
/// the time asked. It says
/// nothing about later: whoever keeps one past a request asks again.
///
/// It can be read, but neither built nor changed outside: it is not `Clone`, and comes behind an `Arc`.
///
/// ```
/// fn read(real: &keyward::authn::Authenticated) -> String {
///     real.principal.to_string()
/// }
/// ```
/// ```compile_fail,E0451
/// fn forge(real: &keyward::authn::Authenticated) -> keyward::authn::Authenticated {
///     keyward::authn::Authenticated { principal: real.principal.clone(), hash: [0; 32], ..panic!() }
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Authenticated {
    /// Whom it speaks for: `user/<issuer name>/<subject>`.
    pub principal: Principal,
    /// The issuer's name in keyward.toml.
    pub issuer_name: String,
    /// The exact `iss`; empty if the credential is no token.
    pub issuer: String,
    /// The groups that the token lists, or an access key kept, qualified, sorted by bytes, each once.
    pub groups: Vec<Principal>,
    /// The roles that it lists or kept, qualified, sorted by bytes, each once.
    pub roles: Vec<Principal>,
    /// The audiences of the token that are the gateway's; empty if the credential is no token.
    pub audience: Vec<String>,
    /// The credential, for the record.
    pub credential: Credential,
    /// The session, if the credential is a temporary key.
    pub session: Option<Session>,
    /// The generation of the revocations, read before they were checked: for the read set of what is decided for it.
    pub revocations_seen: u64,
    /// The generation of the issuers and keys that it was verified by: for the same read set.
    pub issuers_seen: u64,
    /// The credential hash, also of a token with `jti`.
    hash: [u8; 32],
    validity: Validity,
}

/// Until when, and under what, a token that verified is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) window: Window,
    pub(super) leeway_s: u64,
}

impl Validity {
    /// Whether it is good at `now_s` seconds since 1970.
    pub(super) fn holds(&self, now_s: u64) -> bool {
        self.window.check(now_s, self.leeway_s).is_ok()
    }
}

/// The credential as a record holds it; never the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The id, if it is an access key: then it has no other field but its times.
    pub access_key: Option<String>,
    /// `exp`, in seconds since 1970; of an access key that is not temporary the end of all time.
    pub expires: u64,
    /// The credential hash in hex, for a token without `jti`.
    pub hash: Option<String>,
    /// `iat`, or when the access key was made, in seconds since 1970.
    pub issued: u64,
    /// `jti`.
    pub jti: Option<String>,
    /// `kid`, if the token names one.
    pub kid: Option<String>,
}

/// Whose an access key is, and what it kept of its holder's token when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHolder {
    /// `user/<issuer name>/<subject>`.
    pub principal: Principal,
    /// The groups that the token listed: they restrict only.
    pub groups: Vec<Principal>,
    /// The roles that the token listed: they restrict only.
    pub roles: Vec<Principal>,
    /// The key's id.
    pub key: String,
    /// When it was made, in seconds since 1970.
    pub issued_s: u64,
    /// The session, if it is a temporary key.
    pub session: Option<HeldSession>,
}

/// A session: a temporary key of a role, or of a user that narrowed itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its name, which whoever began it gave.
    pub name: String,
    /// Who began it; not the role.
    pub assumed_by: Principal,
    /// The digest of the policy that narrows it, as records name it.
    pub policy: Option<String>,
}

/// A session as its token holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldSession {
    /// What is told of it.
    pub session: Session,
    /// When it ends: the first second in which it is not good, since 1970.
    pub expires_s: u64,
    /// The credential that it was begun by, with which it is revoked.
    pub parent: Parent,
}

/// The credential that a session was begun by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parent {
    /// A token.
    Token {
        /// Its credential hash.
        hash: [u8; 32],
        /// Its `jti`, if it had one.
        jti: Option<String>,
        /// Its `iat`; `None` if the session began before sessions kept it.
        issued_s: Option<u64>,
    },
    /// An access key, by its id.
    Key(String),
}

impl KeyHolder {
    /// Whoever answers for the key: its principal, or who began the session.
    pub(super) fn assumed_by(&self) -> &Principal {
        self.session.as_ref().map_or(&self.principal, |held| &held.session.assumed_by)
    }

    /// By what the token that it was begun by can be revoked, if it is a session that a token began.
    pub(super) fn parent_traces(&self) -> Option<Traces<'_>> {
        let Parent::Token { hash, jti, issued_s } = &self.session.as_ref()?.parent else { return None };
        let by = self.assumed_by();
        let (jti, issuer_name) = (jti.as_deref(), by.issuer().unwrap_or_default());
        // It was good when the session began.
        let issued = issued_s.map_or(Issued::GoodAt(self.issued_s), Issued::At);
        Some(Traces { issuer_name, jti, hash, subject: by.name(), issued })
    }
}

/// The generations that a token was checked against.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) revocations: u64,
    pub(super) issuers: u64,
}

impl Authenticated {
    /// Who asks: in a session whoever began it, else the principal itself.
    #[must_use]
    pub fn asker(&self) -> &Principal {
        self.session.as_ref().map_or(&self.principal, |session| &session.assumed_by)
    }

    /// From a token whose signature and claims are good; revocations are yet to be checked.
    pub(super) fn new(issuer: &Issuer, token: &Unverified<'_>, claims: Claims, validity: Validity, seen: Seen) -> Self {
        let hash = credential_hash(token.signing_input);
        let credential = Credential {
            access_key: None,
            expires: claims.window.expires_s,
            hash: claims.jti.is_none().then(|| hex::encode(hash)),
            issued: claims.window.issued_s,
            jti: claims.jti,
            kid: token.kid.clone(),
        };
        Self {
            principal: claims.principal,
            issuer_name: issuer.name.clone(),
            issuer: issuer.issuer.clone(),
            groups: claims.groups,
            roles: claims.roles,
            audience: claims.audience,
            credential,
            session: None,
            revocations_seen: seen.revocations,
            issuers_seen: seen.issuers,
            hash,
            validity,
        }
    }

    /// Whoever signed by an access key that stands; nobody else makes one of these.
    pub(super) fn of_key(holder: KeyHolder, seen: Seen) -> Self {
        let hash = credential_hash(&holder.key);
        let expires_s = holder.session.as_ref().map_or(u64::MAX, |held| held.expires_s);
        let issuer_name = holder.assumed_by().issuer().unwrap_or_default().to_owned();
        let credential = Credential {
            access_key: Some(holder.key),
            expires: expires_s,
            hash: None,
            issued: holder.issued_s,
            jti: None,
            kid: None,
        };
        let window = Window { issued_s: 0, not_before_s: None, expires_s };
        Self {
            issuer_name,
            audience: Vec::new(),
            session: holder.session.map(|held| held.session),
            principal: holder.principal,
            issuer: String::new(),
            groups: holder.groups,
            roles: holder.roles,
            credential,
            revocations_seen: seen.revocations,
            issuers_seen: seen.issuers,
            hash,
            validity: Validity { window, leeway_s: 0 },
        }
    }

    /// What it was checked against.
    pub(super) fn seen(&self) -> Seen {
        Seen { revocations: self.revocations_seen, issuers: self.issuers_seen }
    }

    /// The same, checked again against later generations.
    pub(super) fn seen_at(&self, seen: Seen) -> Self {
        Self {
            principal: self.principal.clone(),
            issuer_name: self.issuer_name.clone(),
            issuer: self.issuer.clone(),
            groups: self.groups.clone(),
            roles: self.roles.clone(),
            audience: self.audience.clone(),
            credential: self.credential.clone(),
            session: self.session.clone(),
            revocations_seen: seen.revocations,
            issuers_seen: seen.issuers,
            hash: self.hash,
            validity: self.validity,
        }
    }

    pub(super) fn validity(&self) -> &Validity {
        &self.validity
    }

    /// By what it can be revoked: a session as its beginner's, and by the id of its key in the place of a `jti`.
    pub(super) fn traces(&self) -> Traces<'_> {
        let session = self.session.as_ref();
        Traces {
            issuer_name: &self.issuer_name,
            jti: self.credential.jti.as_deref().or(self.credential.access_key.as_deref().filter(|_| session.is_some())),
            hash: &self.hash,
            subject: self.asker().name(),
            issued: Issued::At(self.credential.issued),
        }
    }

    /// The credential, as a session that is begun by it remembers it.
    #[must_use]
    pub fn as_parent(&self) -> Parent {
        match &self.credential.access_key {
            Some(key) => Parent::Key(key.clone()),
            None => Parent::Token {
                hash: self.hash,
                jti: self.credential.jti.clone(),
                issued_s: Some(self.credential.issued),
            },
        }
    }

    /// About how many bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        let names: usize = self.groups.iter().chain(&self.roles).map(|name| name.as_str().len() + 32).sum();
        512 + self.issuer.len() + self.principal.as_str().len() + names
    }
}

/// `SHA-256("keyward-credential/1" || signing input)`: names a token without `jti`, in records and revocations.
///
/// It covers no signature, so a second signature over the same content (ECDSA allows one) is the same credential.
fn credential_hash(signing_input: &str) -> [u8; 32] {
    Sha256::new().chain_update(b"keyward-credential/1").chain_update(signing_input).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credential_hash_is_that_of_the_published_vector() {
        let signing_input = "eyJhbGciOiJFZERTQSIsImtpZCI6ImNvcnAtNyJ9.eyJhdWQiOiJrZXl3YXJkIiwiZXhwIjoxNzY3MjI5MjAwLCJncm91cHMiOlsicGF5bWVudHMtb3BzIl0sImlhdCI6MTc2NzIyNTYwMCwiaXNzIjoiaHR0cHM6Ly9pZHAuY29ycC5leGFtcGxlIiwic3ViIjoici5sZWUifQ";
        let expected = "e0fb9714ac234799a12987a50058c462be54dde1bcce3a712f11dcbfe617f8a1";
        assert_eq!(hex::encode(credential_hash(signing_input)), expected);
    }
}
