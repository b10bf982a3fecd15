//! What the tests of authentication share: signers that do not use the code under test, claims, and revocations in
//! a map.

mod attacks;
mod attacks_claims;
mod issuing;
mod loading;
mod properties;
mod remembering;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    Algorithm, AuthenticateError, Authenticated, Authenticator, ClaimNames, GroupsRule, IssuerSettings, KeySource,
    Prepared, Revocation, Revocations, RevocationsUnavailable, Selector,
};

pub(super) const NOW: u64 = 1_767_225_600;
pub(super) const ISS: &str = "https://keyward.local/dev";

/// A key pair of any kind.
pub(super) enum Signer {
    Ed(Ed25519KeyPair),
    Ec(EcdsaKeyPair, &'static str, usize),
    Rsa(RsaKeyPair),
    Secret(Vec<u8>),
}

pub(super) static ED: LazyLock<Signer> =
    LazyLock::new(|| Signer::Ed(Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap()));
pub(super) static OTHER_ED: LazyLock<Signer> =
    LazyLock::new(|| Signer::Ed(Ed25519KeyPair::from_seed_unchecked(&[2; 32]).unwrap()));
pub(super) static P256: LazyLock<Signer> =
    LazyLock::new(|| Signer::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(), "P-256", 32));
pub(super) static P384: LazyLock<Signer> =
    LazyLock::new(|| Signer::Ec(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(), "P-384", 48));
pub(super) static RSA: LazyLock<Signer> =
    LazyLock::new(|| Signer::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));
pub(super) static SECRET: LazyLock<Signer> = LazyLock::new(|| Signer::Secret(vec![9; 32]));

impl Signer {
    pub(super) fn sign(&self, algorithm: &str, text: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ed(pair) => pair.sign(text).as_ref().to_vec(),
            Self::Ec(pair, _, _) => pair.sign(&random, text).unwrap().as_ref().to_vec(),
            Self::Rsa(pair) => {
                let padding: &'static dyn RsaEncoding = match algorithm {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; 256];
                pair.sign(padding, &random, text, &mut signature).unwrap();
                signature
            }
            Self::Secret(secret) => {
                let hash = match algorithm {
                    "HS384" => hmac::HMAC_SHA384,
                    "HS512" => hmac::HMAC_SHA512,
                    _ => hmac::HMAC_SHA256,
                };
                hmac::sign(&hmac::Key::new(hash, secret), text).as_ref().to_vec()
            }
        }
    }
    /// The SubjectPublicKeyInfo.
    pub(super) fn spki(&self) -> Vec<u8> {
        match self {
            Self::Ed(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Ec(pair, _, _) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Rsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Secret(_) => panic!("a secret has no public half"),
        }
    }

    pub(super) fn pem(&self) -> String {
        let lines: Vec<String> = STANDARD
            .encode(self.spki())
            .as_bytes()
            .chunks(64)
            .map(|line| String::from_utf8(line.to_vec()).unwrap())
            .collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    pub(super) fn jwk(&self, kid: &str) -> Value {
        let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(pair.public_key().as_ref())}),
            Self::Ec(pair, curve, bytes) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(*bytes);
                json!({"kty": "EC", "crv": curve, "kid": kid, "x": b64(x), "y": b64(y)})
            }
            Self::Rsa(pair) => {
                // RFC 8017 A.1.1: 2,048 bits always give this layout.
                let der = pair.public_key().as_ref();
                assert_eq!(der[..9], [0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00]);
                json!({"kty": "RSA", "kid": kid, "n": b64(&der[9..265]), "e": "AQAB"})
            }
            Self::Secret(secret) => json!({"kty": "oct", "kid": kid, "k": b64(secret)}),
        }
    }
}

/// A token of exactly these texts.
pub(super) fn token_of(signer: &Signer, algorithm: &str, header: &str, claims: &str) -> String {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = signer.sign(algorithm, input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A token by the usual key with these claims.
pub(super) fn token(claims: &Value) -> String {
    token_of(&ED, "EdDSA", r#"{"alg":"EdDSA"}"#, &claims.to_string())
}

/// Claims that are good at [`NOW`].
pub(super) fn good() -> Value {
    json!({"iss": ISS, "aud": "keyward", "sub": "svc-billing", "iat": NOW, "exp": NOW + 900, "jti": "t-1",
        "groups": ["billing", "all"], "roles": ["batch"]})
}

/// Good claims but for one: set to `value`, or left out.
pub(super) fn but(name: &str, value: Option<Value>) -> Value {
    let mut claims = good();
    let object = claims.as_object_mut().unwrap();
    match value {
        Some(value) => object.insert(name.to_owned(), value),
        None => object.remove(name),
    };
    claims
}

/// The usual issuer: an Ed25519 key as PEM.
pub(super) fn settings() -> IssuerSettings {
    IssuerSettings {
        name: "dev".to_owned(),
        issuer: ISS.to_owned(),
        audience: vec!["keyward".to_owned()],
        algorithms: vec![Algorithm::EdDsa],
        key: KeySource::PublicKeyPem(ED.pem().into_bytes()),
        leeway_s: 30,
        max_lifetime_s: 86_400,
        groups: GroupsRule::Optional,
        claims: ClaimNames::default(),
    }
}

/// The usual issuer with a key set and every algorithm of public keys.
pub(super) fn set_settings(keys: &[Value]) -> IssuerSettings {
    let algorithms = Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.name().starts_with("HS")).collect();
    let set = json!({"keys": keys}).to_string().into_bytes();
    IssuerSettings { algorithms, key: KeySource::public(set), ..settings() }
}

pub(super) fn secret_settings(secret: &[u8]) -> IssuerSettings {
    let algorithms = vec![Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512];
    IssuerSettings { algorithms, key: KeySource::Secret(Zeroizing::new(secret.to_vec())), ..settings() }
}

pub(super) fn authenticator(settings: IssuerSettings) -> Authenticator {
    Authenticator::new(Prepared::new(vec![settings]).unwrap(), 1)
}

/// Revocations in a map. Counts how often a row is looked up.
#[derive(Default)]
pub(super) struct Rows {
    rows: RefCell<BTreeMap<Vec<u8>, Vec<u8>>>,
    generation: Cell<u64>,
    pub(super) lookups: Cell<u64>,
    pub(super) broken: Cell<bool>,
}

impl Rows {
    pub(super) fn revoke(&self, selector: &Selector, issued_before: u64) {
        let row = Revocation::new(issued_before, NOW, "stolen").unwrap().encode().unwrap();
        self.put(selector.key("dev").unwrap(), row);
    }

    pub(super) fn put(&self, key: Vec<u8>, row: Vec<u8>) {
        self.rows.borrow_mut().insert(key, row);
        self.generation.set(self.generation.get() + 1);
    }
}

impl Revocations for Rows {
    fn generation(&self) -> u64 {
        self.generation.get()
    }

    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, RevocationsUnavailable> {
        self.lookups.set(self.lookups.get() + 1);
        if self.broken.get() {
            return Err(RevocationsUnavailable("disk".to_owned()));
        }
        Ok(self.rows.borrow().get(key).cloned())
    }
}

/// The answer in one word: `ok`, `unavailable`, or the cause.
pub(super) fn word(answer: &Result<std::sync::Arc<Authenticated>, AuthenticateError>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(AuthenticateError::Unavailable(_)) => "unavailable",
        Err(AuthenticateError::Refused(refusal)) => refusal.cause.as_str(),
    }
}

/// The answer to a token at [`NOW`] with nothing revoked.
pub(super) fn ask(authenticator: &Authenticator, token: &str) -> &'static str {
    word(&authenticator.authenticate(token, NOW, &Rows::default()))
}
