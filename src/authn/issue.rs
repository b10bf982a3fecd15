//! The local token issuer for trying things out (`init --dev`, `token issue`): Ed25519 tokens of the same form that
//! any issuer's must have.
//!
//! It is an issuer like any other: the server knows only its public key, and nothing here runs in the server.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use keyward_audit::{Random, RandomError};
use serde::Serialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::algorithm::Algorithm;
use super::pem;
use super::signature;
use super::token::TOKEN_BYTES_MAX;
use crate::principal::{PrincipalError, check_name};

/// A key that signs tokens. Wiped when dropped; it cannot be printed, cloned or serialised.
pub struct DevIssuer {
    key: EncodingKey,
    public: [u8; 32],
}

/// What a token is to say.
#[derive(Clone, Debug)]
pub struct TokenRequest<'a> {
    /// `iss`.
    pub issuer: &'a str,
    /// `aud`.
    pub audience: &'a [String],
    /// `sub`.
    pub subject: &'a str,
    /// `groups`; left out if there are none.
    pub groups: &'a [String],
    /// `roles`; left out if there are none.
    pub roles: &'a [String],
    /// `iat`, in seconds since 1970.
    pub issued_s: u64,
    /// How long it lives, in seconds.
    pub ttl_s: u64,
}

/// Why there is no key or token.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The key file holds no Ed25519 key.
    #[error("not a PEM file with one Ed25519 `PRIVATE KEY` block (PKCS#8)")]
    Key,
    /// A subject, group or role that no principal can have.
    #[error("`{0}`: {1}")]
    Name(String, PrincipalError),
    /// More than a token can carry.
    #[error("the token would be longer than 8 KiB")]
    TooLong,
    /// No randomness for a key or a `jti`.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The signature backend failed.
    #[error("the token cannot be signed")]
    Signature,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    kid: &'a str,
    typ: &'static str,
}

impl DevIssuer {
    /// A new key.
    ///
    /// # Errors
    /// [`IssueError::Random`] if there is no randomness.
    pub fn generate(random: &dyn Random) -> Result<Self, IssueError> {
        let mut seed = Zeroizing::new([0_u8; 32]);
        random.fill(seed.as_mut_slice())?;
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| IssueError::Key)?;
        Self::from_pair(&pair)
    }

    /// The key of a private key file.
    ///
    /// # Errors
    /// [`IssueError::Key`] if it holds no Ed25519 key.
    pub fn from_private_pem(text: &str) -> Result<Self, IssueError> {
        let pkcs8 = Zeroizing::new(pem::decode(text, "PRIVATE KEY").ok_or(IssueError::Key)?);
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| IssueError::Key)?;
        Self::from_pair(&pair)
    }

    fn from_pair(pair: &Ed25519KeyPair) -> Result<Self, IssueError> {
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| IssueError::Key)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| IssueError::Key)?;
        Ok(Self { key: EncodingKey::from_ed_der(pkcs8.as_ref()), public })
    }

    /// The private key file: PKCS#8 as PEM, readable by `openssl`. To be written with mode 0600.
    #[must_use]
    pub fn private_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(pem::encode(self.key.as_bytes(), "PRIVATE KEY"))
    }

    /// The public key file: SubjectPublicKeyInfo as PEM, for `public_key_file`.
    #[must_use]
    pub fn public_pem(&self) -> String {
        pem::encode_ed25519(&self.public)
    }

    /// The key's name: `dev-` and the first 8 hex digits of the public key's SHA-256.
    #[must_use]
    pub fn kid(&self) -> String {
        hex::encode(Sha256::digest(self.public)).chars().take(8).fold("dev-".to_owned(), |mut kid, digit| {
            kid.push(digit);
            kid
        })
    }

    /// A signed token with a random `jti`.
    ///
    /// # Errors
    /// [`IssueError`] if a name is outside its rule, the token would be too long, or there is no randomness.
    pub fn issue(&self, request: &TokenRequest<'_>, random: &dyn Random) -> Result<String, IssueError> {
        let names = [request.subject].into_iter().chain(request.groups.iter().chain(request.roles).map(String::as_str));
        for name in names {
            check_name(name).map_err(|error| IssueError::Name(name.to_owned(), error))?;
        }
        let mut jti = [0_u8; 16];
        random.fill(&mut jti)?;
        let header = Header { alg: Algorithm::EdDsa.name(), kid: &self.kid(), typ: "JWT" };
        let signing_input = format!("{}.{}", part(&header)?, part(&claims(request, &hex::encode(jti)))?);
        let signature = signature::sign(&self.key, Algorithm::EdDsa, signing_input.as_bytes());
        let token = format!("{signing_input}.{}", signature.ok_or(IssueError::Signature)?);
        if token.len() > TOKEN_BYTES_MAX { Err(IssueError::TooLong) } else { Ok(token) }
    }
}

fn claims<'a>(request: &'a TokenRequest<'_>, jti: &str) -> BTreeMap<&'a str, serde_json::Value> {
    let mut claims = BTreeMap::from([
        ("aud", request.audience.into()),
        ("exp", request.issued_s.saturating_add(request.ttl_s).into()),
        ("iat", request.issued_s.into()),
        ("iss", request.issuer.into()),
        ("jti", jti.into()),
        ("sub", request.subject.into()),
    ]);
    for (name, list) in [("groups", request.groups), ("roles", request.roles)] {
        if !list.is_empty() {
            claims.insert(name, list.into());
        }
    }
    claims
}

fn part(value: &impl Serialize) -> Result<String, IssueError> {
    serde_json::to_vec(value).map(|json| URL_SAFE_NO_PAD.encode(json)).map_err(|_| IssueError::Signature)
}
