//! Tokens, good and bad: signed here with the issuer's key, not by the program under test.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// DER before the 32 bytes of an Ed25519 public key (RFC 8410).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Somebody who signs tokens.
pub(crate) struct Issuer {
    name: String,
    iss: String,
    key: Ed25519KeyPair,
}

/// What an installation is told of an issuer: a table of keyward.toml and the public key that it names.
pub(crate) struct Introduction {
    pub(crate) table: String,
    pub(crate) key_file: String,
    pub(crate) pem: String,
}

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

impl Issuer {
    /// An issuer with a new key.
    pub(crate) fn new(name: &str) -> Self {
        let key = Ed25519KeyPair::generate().unwrap();
        Self { name: name.to_owned(), iss: format!("https://{name}.example"), key }
    }

    /// An issuer with the key of a PKCS#8 PEM file.
    pub(crate) fn of_pem(name: &str, iss: &str, pem: &str) -> Self {
        let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let key = Ed25519KeyPair::from_pkcs8(&STANDARD.decode(text).unwrap()).unwrap();
        Self { name: name.to_owned(), iss: iss.to_owned(), key }
    }

    /// The same name and `iss` with another key.
    pub(crate) fn impostor(&self) -> Self {
        Self { name: self.name.clone(), iss: self.iss.clone(), key: Ed25519KeyPair::generate().unwrap() }
    }

    /// Its `[[issuer]]` table, with further lines, and its key.
    pub(crate) fn introduction(&self, more: &str) -> Introduction {
        let (name, iss, key_file) = (&self.name, &self.iss, format!("keys/{}.pem", self.name));
        let table = format!(
            "name = \"{name}\"\nissuer = \"{iss}\"\naudience = [\"keyward\"]\nalgorithms = [\"EdDSA\"]\n\
             public_key_file = \"{key_file}\"\n{more}\n"
        );
        Introduction { table, key_file, pem: self.public_pem() }
    }

    /// Its public key, base64url: the `x` of a JWK.
    pub(crate) fn public_key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.key.public_key().as_ref())
    }

    /// SubjectPublicKeyInfo as PEM.
    fn public_pem(&self) -> String {
        let der = [&SPKI, self.key.public_key().as_ref()].concat();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }

    /// The claims of a good token for `sub`, living an hour.
    pub(crate) fn claims(&self, sub: &str) -> Value {
        let (now, jti) = (now_s(), format!("jti-{}", uuid::Uuid::from_u128(rand::random())));
        json!({"iss": self.iss, "aud": "keyward", "sub": sub, "iat": now, "exp": now + 3600, "jti": jti})
    }

    /// Signs any claims.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_text(&json!({"alg": "EdDSA", "typ": "JWT"}).to_string(), &claims.to_string())
    }

    /// Signs any header and claims, byte for byte.
    pub(crate) fn sign_text(&self, header: &str, claims: &str) -> String {
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(self.key.sign(text.as_bytes())))
    }

    /// A good token of `sub`.
    pub(crate) fn token(&self, sub: &str) -> String {
        self.sign(&self.claims(sub))
    }

    /// A good token with groups and roles, living `ttl_s`.
    pub(crate) fn token_of(&self, sub: &str, groups: &[&str], roles: &[&str], ttl_s: u64) -> String {
        let mut claims = self.claims(sub);
        claims["groups"] = json!(groups);
        claims["roles"] = json!(roles);
        claims["exp"] = json!(now_s() + ttl_s);
        self.sign(&claims)
    }
}
