//! Revocations: tokens that are refused although everything in them is right.
//!
//! A row says that one token (by `jti`, or by credential hash for tokens without), or every token of one subject
//! issued up to a time, is revoked. Rows are keyed by issuer name: one issuer's ids and subjects mean nothing to
//! another. This module owns the bytes of keys and rows; whoever commits a revocation writes them with its record,
//! in one batch, and moves the generation.
//!
//! INVARIANT I5: a row that cannot be read or decoded makes the answer unknown, and unknown is not a pass.

use serde::{Deserialize, Serialize};

use super::token::is_id;
use crate::principal::{PrincipalError, check_issuer_name, check_name};

/// Longest reason, in bytes.
const REASON_BYTES_MAX: usize = 256;
/// Version of a row's form.
const ROW_VERSION: u64 = 1;

/// The revocations as they are now; over the store in the server, over a map in tests.
pub trait Revocations {
    /// Raised by every commit that adds or changes a row, before that commit is acknowledged.
    fn generation(&self) -> u64;

    /// The row at `key` (see [`Selector::key`]).
    ///
    /// # Errors
    /// [`RevocationsUnavailable`] if it cannot be said whether there is one.
    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, RevocationsUnavailable>;
}

/// Whether a token is revoked cannot be known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the revocations cannot be read: {0}")]
pub struct RevocationsUnavailable(pub String);

/// Which tokens of an issuer a revocation is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The token of this `jti`.
    Jti(String),
    /// The token of this credential hash.
    CredentialHash([u8; 32]),
    /// Tokens of this subject issued at or before the row's time.
    Subject(String),
}

/// A text that selects nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// Not a `jti`.
    #[error("a `jti` is 1 to 256 bytes without control characters")]
    Jti,
    /// Not a credential hash.
    #[error("a credential hash is 64 of `0-9` and `a-f`")]
    CredentialHash,
    /// Not an issuer's name or a subject.
    #[error(transparent)]
    Name(#[from] PrincipalError),
}

impl Selector {
    /// The token of that `jti`.
    ///
    /// # Errors
    /// [`SelectorError::Jti`] if no token can have it.
    pub fn jti(jti: &str) -> Result<Self, SelectorError> {
        if is_id(jti) { Ok(Self::Jti(jti.to_owned())) } else { Err(SelectorError::Jti) }
    }

    /// The token of that credential hash, written as in a record's `credential.hash`.
    ///
    /// # Errors
    /// [`SelectorError::CredentialHash`] if it is not 64 lower-case hex digits.
    pub fn credential_hash(text: &str) -> Result<Self, SelectorError> {
        let mut hash = [0_u8; 32];
        hex::decode_to_slice(text, &mut hash).map_err(|_| SelectorError::CredentialHash)?;
        if hex::encode(hash) == text { Ok(Self::CredentialHash(hash)) } else { Err(SelectorError::CredentialHash) }
    }

    /// Tokens of that subject.
    ///
    /// # Errors
    /// [`SelectorError::Name`] if it is no subject.
    pub fn subject(subject: &str) -> Result<Self, SelectorError> {
        check_name(subject)?;
        Ok(Self::Subject(subject.to_owned()))
    }

    /// The row's key, within what the store keeps of revocations: issuer name, 0x00, one of `h` `j` `s`, then the
    /// hash, `jti` or subject. No two selectors share a key: an issuer's name holds no 0x00.
    ///
    /// # Errors
    /// [`SelectorError::Name`] if `issuer_name` is no issuer's name.
    pub fn key(&self, issuer_name: &str) -> Result<Vec<u8>, SelectorError> {
        check_issuer_name(issuer_name)?;
        let (kind, rest) = match self {
            Self::CredentialHash(hash) => (b'h', hash.as_slice()),
            Self::Jti(jti) => (b'j', jti.as_bytes()),
            Self::Subject(subject) => (b's', subject.as_bytes()),
        };
        Ok([issuer_name.as_bytes(), &[0, kind], rest].concat())
    }
}

/// A row: why, when, and for a subject up to which time of issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Tokens with `iat` up to and including this second; 0 but for a subject.
    pub issued_before: u64,
    /// The reason given: at most 256 bytes.
    pub reason: String,
    /// When it was revoked, in seconds since 1970. With the issuer's limits it says when the row may go.
    pub revoked_at: u64,
    /// The form of the row.
    version: u64,
}

impl Revocation {
    /// A revocation; `issued_before` is 0 but for a subject. `None` if the reason is longer than 256 bytes.
    #[must_use]
    pub fn new(issued_before: u64, revoked_at: u64, reason: &str) -> Option<Self> {
        let fits = reason.len() <= REASON_BYTES_MAX;
        fits.then(|| Self { issued_before, reason: reason.to_owned(), revoked_at, version: ROW_VERSION })
    }

    /// This revocation over one that stands already: it never gives back what that one took.
    #[must_use]
    pub fn over(mut self, standing: &Self) -> Self {
        self.issued_before = self.issued_before.max(standing.issued_before);
        self
    }

    /// The row's bytes: canonical JSON.
    ///
    /// # Errors
    /// None in practice: plain text and integers always serialise.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads a row.
    ///
    /// # Errors
    /// [`RevocationsUnavailable`] if these are not the bytes of a row of this version.
    pub fn decode(row: &[u8]) -> Result<Self, RevocationsUnavailable> {
        let unreadable = || RevocationsUnavailable("a row is not in the form of version 1".to_owned());
        let read: Self = serde_json::from_slice(row).map_err(|_| unreadable())?;
        if read.version == ROW_VERSION && read.reason.len() <= REASON_BYTES_MAX { Ok(read) } else { Err(unreadable()) }
    }
}

/// By what a token can be revoked.
pub(super) struct Traces<'a> {
    pub(super) issuer_name: &'a str,
    pub(super) jti: Option<&'a str>,
    pub(super) hash: &'a [u8; 32],
    pub(super) subject: &'a str,
    pub(super) issued: Issued,
}

/// When a token was issued, as far as that is known.
#[derive(Clone, Copy)]
pub(super) enum Issued {
    /// In this second since 1970.
    At(u64),
    /// Nobody knows; but in this second it was good.
    GoodAt(u64),
}

impl Issued {
    /// Whether a row about its subject takes the token.
    fn is_taken_by(self, revocation: &Revocation) -> bool {
        match self {
            // The whole second counts as before: a token of the same second is taken too.
            Self::At(issued_s) => issued_s <= revocation.issued_before,
            // SECURITY: a row that stood while it was good did not take it. Of a later one nobody can say, so it does.
            Self::GoodAt(good_s) => good_s <= revocation.revoked_at.max(revocation.issued_before),
        }
    }
}

impl Traces<'_> {
    /// Whether a row takes the token.
    pub(super) fn are_revoked(&self, revocations: &dyn Revocations) -> Result<bool, RevocationsUnavailable> {
        if let Some(jti) = self.jti
            && self.row(revocations, &Selector::Jti(jti.to_owned()))?.is_some()
        {
            return Ok(true);
        }
        if self.row(revocations, &Selector::CredentialHash(*self.hash))?.is_some() {
            return Ok(true);
        }
        let subject = self.row(revocations, &Selector::Subject(self.subject.to_owned()))?;
        Ok(subject.is_some_and(|revocation| self.issued.is_taken_by(&revocation)))
    }

    fn row(&self, revocations: &dyn Revocations, of: &Selector) -> Result<Option<Revocation>, RevocationsUnavailable> {
        let key = of.key(self.issuer_name).map_err(|error| RevocationsUnavailable(error.to_string()))?;
        revocations.row(&key)?.map(|row| Revocation::decode(&row)).transpose()
    }
}
