//! JSON Web Key Sets (RFC 7517 5), from a file or fetched.
//!
//! A set that can be read in two ways is refused whole: bad JSON, a repeated name, a `kid` that occurs twice. A
//! single key that cannot verify is kept as unfit, with the reason, so that a token naming it is refused for that.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::algorithm::Algorithm;
use super::key::{NamedKey, PublicKey, Unfit, VerifyingKey};
use super::token::is_id;
use crate::json::{Json, Object, parse_object};

/// Largest set, in bytes.
const SET_BYTES_MAX: usize = 256 * 1024;
/// Most keys of a set: a set is searched key by key.
const SET_KEYS_MAX: usize = 256;
/// Members that only private keys have (RFC 7518 6.2.2, 6.3.2; RFC 8037 2).
const PRIVATE_MEMBERS: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];

/// Why a key set is refused whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SetError {
    #[error("a key set has at most 256 KiB")]
    Size,
    #[error("not a key set: expected a JSON object with a list `keys`, no name twice, at most 16 levels deep")]
    Form,
    #[error("a key set has at most 256 keys")]
    Count,
    #[error("the key set is empty")]
    Empty,
    #[error("a `kid` is text of 1 to 256 bytes without control characters")]
    Kid,
    #[error("the key set is ambiguous: kid `{0}` occurs twice")]
    Ambiguous(String),
}

/// Reads a key set.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<NamedKey>, SetError> {
    if bytes.len() > SET_BYTES_MAX {
        return Err(SetError::Size);
    }
    let set = parse_object(bytes, super::JSON_DEPTH_MAX).ok_or(SetError::Form)?;
    let Some(Json::List(members)) = set.get("keys") else {
        return Err(SetError::Form);
    };
    if members.is_empty() {
        return Err(SetError::Empty);
    }
    if members.len() > SET_KEYS_MAX {
        return Err(SetError::Count);
    }
    let mut keys: Vec<NamedKey> = Vec::with_capacity(members.len());
    for member in members {
        let named = named_key(member)?;
        if named.kid.is_some() && keys.iter().any(|earlier| earlier.kid == named.kid) {
            return Err(SetError::Ambiguous(named.kid.unwrap_or_default()));
        }
        keys.push(named);
    }
    Ok(keys)
}

/// What the keys of a set are, in whatever order and layout they came: equal sets have equal fingerprints.
pub(super) fn fingerprint(bytes: &[u8]) -> [u8; 32] {
    let set = parse_object(bytes, super::JSON_DEPTH_MAX).unwrap_or_default();
    let members = match set.get("keys") {
        Some(Json::List(members)) => members.as_slice(),
        _ => &[],
    };
    let mut texts: Vec<String> = members.iter().map(|member| format!("{member:?}\n")).collect();
    texts.sort();
    Sha256::digest(texts.concat()).into()
}

fn named_key(member: &Json) -> Result<NamedKey, SetError> {
    let Json::Object(jwk) = member else {
        return Err(SetError::Form);
    };
    let kid = match jwk.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_text().filter(|kid| is_id(kid)).ok_or(SetError::Kid)?.to_owned()),
    };
    Ok(NamedKey { kid, key: verifying_key(jwk) })
}

fn verifying_key(jwk: &Object) -> Result<VerifyingKey, Unfit> {
    let kty = text(jwk, "kty")?;
    if kty == "oct" || jwk.contains_key("k") {
        return Err(Unfit::Symmetric);
    }
    if PRIVATE_MEMBERS.iter().any(|name| jwk.contains_key(*name)) {
        return Err(Unfit::Private);
    }
    check_purpose(jwk)?;
    let only = match jwk.get("alg") {
        None => None,
        Some(_) => Some(Algorithm::parse(text(jwk, "alg")?).ok_or(Unfit::Algorithm)?),
    };
    public_key(kty, jwk)?.for_verifying(only)
}

/// `use` absent or `sig`; `key_ops` absent or with `verify` (RFC 7517 4.2, 4.3).
fn check_purpose(jwk: &Object) -> Result<(), Unfit> {
    if jwk.contains_key("use") && text(jwk, "use")? != "sig" {
        return Err(Unfit::Purpose);
    }
    match jwk.get("key_ops").map(Json::as_texts) {
        None => Ok(()),
        Some(Some(ops)) if ops.contains(&"verify") => Ok(()),
        Some(Some(_)) => Err(Unfit::Purpose),
        Some(None) => Err(Unfit::Members),
    }
}

fn public_key(kty: &str, jwk: &Object) -> Result<PublicKey, Unfit> {
    match kty {
        "RSA" => PublicKey::rsa(&number(jwk, "n")?, &number(jwk, "e")?),
        "OKP" if text(jwk, "crv")? == "Ed25519" => PublicKey::ed25519(&bytes(jwk, "x")?),
        "EC" => match text(jwk, "crv")? {
            "P-256" => PublicKey::p256(&point(jwk, 32)?),
            "P-384" => PublicKey::p384(&point(jwk, 48)?),
            _ => Err(Unfit::Kind),
        },
        _ => Err(Unfit::Kind),
    }
}

/// The uncompressed point of `x` and `y`, each of the curve's full length (RFC 7518 6.2.1.2).
fn point(jwk: &Object, coordinate_bytes: usize) -> Result<Vec<u8>, Unfit> {
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != coordinate_bytes || y.len() != coordinate_bytes {
        return Err(Unfit::Broken);
    }
    Ok([[0x04].as_slice(), &x, &y].concat())
}

/// A big-endian number; the leading zeros that some issuers write are dropped.
fn number(jwk: &Object, name: &str) -> Result<Vec<u8>, Unfit> {
    Ok(bytes(jwk, name)?.into_iter().skip_while(|byte| *byte == 0).collect())
}

fn bytes(jwk: &Object, name: &str) -> Result<Vec<u8>, Unfit> {
    URL_SAFE_NO_PAD.decode(text(jwk, name)?).map_err(|_| Unfit::Members)
}

fn text<'a>(jwk: &'a Object, name: &str) -> Result<&'a str, Unfit> {
    jwk.get(name).and_then(Json::as_text).ok_or(Unfit::Members)
}
