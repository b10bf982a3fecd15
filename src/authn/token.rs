//! The form of a compact JWS (RFC 7515 3.1, 7.1), checked before anything in it is believed.
//!
//! SECURITY: what is not known here is refused rather than ignored. The header is a whitelist, so `crit`, `jku`,
//! `x5u`, `x5c`, `jwk`, `zip`, `b64`, `cty` and `enc` need no list of their own, and no key can come with a token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::algorithm::Algorithm;
use super::refusal::{Cause, Refusal};
use crate::json::{Json, Object, parse_object};

/// Longest token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Longest `kid` and `jti`, in bytes: they go into the record as they are.
const ID_BYTES_MAX: usize = 256;
/// Header members that a token may have. Digests of certificates (`x5t`) are common, and mean nothing here.
const HEADER_MEMBERS: [&str; 5] = ["alg", "kid", "typ", "x5t", "x5t#S256"];

/// A token of the right form. Nothing in it is verified.
pub(super) struct Unverified<'a> {
    /// The first two parts with the dot between them.
    pub(super) signing_input: &'a str,
    /// The third part.
    pub(super) signature: &'a str,
    /// The header's `alg`.
    pub(super) algorithm: Algorithm,
    /// The header's `kid`: 1 to 256 bytes without control characters.
    pub(super) kid: Option<String>,
    /// The header.
    pub(super) header: Object,
    /// The claims.
    pub(super) claims: Object,
}

impl<'a> Unverified<'a> {
    /// Reads a token.
    pub(super) fn read(token: &'a str) -> Result<Self, Refusal> {
        let (signing_input, signature) = split(token).map_err(Refusal::unread)?;
        let [header, payload] = decode(signing_input, signature).ok_or_else(|| Refusal::unread(Cause::Malformed))?;
        let header = parse_object(&header, super::JSON_DEPTH_MAX).ok_or_else(|| Refusal::unread(Cause::Malformed))?;
        let claims = parse_object(&payload, super::JSON_DEPTH_MAX);
        let said = |cause| Refusal::new(cause, &header, claims.as_ref().unwrap_or(&Object::new()));
        let (algorithm, kid) = check_header(&header).map_err(said)?;
        if signature.is_empty() {
            // An unsecured token (RFC 7515 appendix A.5), whatever algorithm it names.
            return Err(said(Cause::AlgRefused));
        }
        match claims {
            Some(claims) => Ok(Self { signing_input, signature, algorithm, kid, header, claims }),
            None => Err(said(Cause::Malformed)),
        }
    }

    /// A refusal of this token.
    pub(super) fn refused(&self, cause: Cause) -> Refusal {
        Refusal::new(cause, &self.header, &self.claims)
    }
}

/// Divides a token into signing input and signature.
fn split(token: &str) -> Result<(&str, &str), Cause> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Cause::Malformed);
    }
    match token.bytes().filter(|byte| *byte == b'.').count() {
        2 => token.rsplit_once('.').ok_or(Cause::Malformed),
        // The five parts of an encrypted token (RFC 7516 3.1).
        4 => Err(Cause::Header),
        _ => Err(Cause::Malformed),
    }
}

/// Header and payload. The signature's text is checked as theirs is: each byte string has exactly one spelling.
fn decode(signing_input: &str, signature: &str) -> Option<[Vec<u8>; 2]> {
    let (header, payload) = signing_input.split_once('.')?;
    let read = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    read(signature)?;
    Some([read(header)?, read(payload)?])
}

/// Checks the header and gives `alg` and `kid`.
fn check_header(header: &Object) -> Result<(Algorithm, Option<String>), Cause> {
    if header.keys().any(|name| !HEADER_MEMBERS.contains(&name.as_str())) {
        return Err(Cause::Header);
    }
    if !matches!(header.get("typ").map(Json::as_text), None | Some(Some("JWT" | "at+jwt"))) {
        return Err(Cause::Header);
    }
    let name = header.get("alg").and_then(Json::as_text).ok_or(Cause::AlgRefused)?;
    let algorithm = Algorithm::parse(name).ok_or(Cause::AlgRefused)?;
    let kid = match header.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_text().ok_or(Cause::Header)?.to_owned()),
    };
    if kid.as_deref().is_some_and(|kid| !is_id(kid)) {
        return Err(Cause::KidUnknown);
    }
    Ok((algorithm, kid))
}

/// Whether a `kid` or `jti` may be one: 1 to 256 bytes without control characters.
pub(super) fn is_id(text: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}
