//! TC3-HMAC-SHA256, the vendor's signature over a request: from the received bytes to whether a key signed them.
//!
//! ```text
//! CanonicalRequest = METHOD \n / \n query \n (name:value \n)... \n signed names \n hex(sha256(payload))
//! StringToSign     = TC3-HMAC-SHA256 \n timestamp \n date/service/tc3_request \n hex(sha256(CanonicalRequest))
//! Signature        = HMAC(HMAC(HMAC(HMAC("TC3" secret, date), service), "tc3_request"), StringToSign)
//! ```
//!
//! The bytes are those that were received: nothing is parsed, sorted or encoded anew. Clients disagree on header values, so a
//! few forms are tried, and no others: as received, then lower-cased; the Host also without its port (the Node SDK signs it so).
//!
//! INVARIANT I5: what cannot be read or checked is refused. What a signature does not bind (action, version, region, token) is
//! for others to check.
//!
//! Pure computation over what it is given; if the process dies here, nothing is lost.

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::signed::{Signer, is_key_id};

/// The method's name, as it begins the header and the text that is signed.
pub const METHOD: &str = "TC3-HMAC-SHA256";
/// What ends the scope.
const TERMINATOR: &str = "tc3_request";
/// What stands in place of the payload if the client leaves it unsigned.
const UNSIGNED_PAYLOAD: &[u8] = b"UNSIGNED-PAYLOAD";
/// Most names of signed headers.
const SIGNED_MAX: usize = 16;

/// An Authorization header of this method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The id of the access key.
    pub key: String,
    /// The date of the scope, `YYYY-MM-DD`.
    pub date: String,
    /// The service of the scope.
    pub service: String,
    /// Names of signed headers, lower-case, ascending.
    pub signed: Vec<String>,
    /// The signature.
    pub signature: [u8; 32],
}

impl Authorization {
    /// Reads a header's value; `None` if it is not of this form, or signs neither `content-type` nor `host`.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let mut parts = value.strip_prefix(METHOD)?.strip_prefix(' ')?.split(',').map(str::trim);
        let mut part = |name: &str| parts.next()?.strip_prefix(name)?.strip_prefix('=');
        let (credential, signed, hex) = (part("Credential")?, part("SignedHeaders")?, part("Signature")?);
        if parts.next().is_some() {
            return None;
        }
        let mut scope = credential.split('/');
        let (key, date, service) = (scope.next()?, scope.next()?, scope.next()?);
        if scope.next() != Some(TERMINATOR) || scope.next().is_some() || !is_key_id(key) {
            return None;
        }
        let signed: Vec<String> = signed.split(';').map(str::to_owned).collect();
        let has = |name: &str| signed.iter().any(|signed| signed == name);
        let ascending = signed.windows(2).all(|pair| matches!(pair, [one, next] if one < next));
        if signed.len() > SIGNED_MAX || !ascending || !signed.iter().all(|name| is_name(name)) {
            return None;
        }
        if !has("content-type") || !has("host") {
            return None;
        }
        let mut signature = [0; 32];
        let is_lower = !hex.bytes().any(|byte| byte.is_ascii_uppercase());
        hex::decode_to_slice(hex, &mut signature).ok().filter(|()| is_lower)?;
        Some(Self { key: key.to_owned(), date: date.to_owned(), service: service.to_owned(), signed, signature })
    }
}

/// A header's name in lower case.
fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    !text.is_empty() && text.bytes().all(fits)
}

/// What is hashed as payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The body.
    Body,
    /// Nothing: of a GET.
    Empty,
    /// A fixed text; the body is not signed.
    Unsigned,
}

/// A signed request as it was received, but for its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tc3Request {
    /// The Authorization header.
    pub authorization: Authorization,
    /// The timestamp, as it was written: decimal seconds since 1970.
    pub timestamp: String,
    /// The method, upper-case.
    pub method: String,
    /// The bytes behind `?`; empty for a POST.
    pub query: Vec<u8>,
    /// The values of the signed headers, in their order.
    pub values: Vec<Vec<u8>>,
    /// What is hashed as payload.
    pub payload: Payload,
}

impl Tc3Request {
    /// The texts that the client may have signed, each once.
    pub(super) fn texts(&self, body: &[u8]) -> Vec<Vec<u8>> {
        let payload = hex::encode(match self.payload {
            Payload::Body => Sha256::digest(body),
            Payload::Empty => Sha256::digest(b""),
            Payload::Unsigned => Sha256::digest(UNSIGNED_PAYLOAD),
        });
        let named = || self.authorization.signed.iter().zip(&self.values);
        let has_port = named().any(|(name, value)| name == "host" && without_port(value).len() < value.len());
        let has_upper = self.values.iter().any(|value| value.iter().any(u8::is_ascii_uppercase));
        let forms = [(false, true), (false, false), (true, true), (true, false)].into_iter();
        let differing = forms.filter(|(is_lower, keeps_port)| (!is_lower || has_upper) && (*keeps_port || has_port));
        differing.map(|(is_lower, keeps_port)| self.text(&payload, is_lower, keeps_port)).collect()
    }

    fn text(&self, payload: &str, is_lower: bool, has_port: bool) -> Vec<u8> {
        let mut canonical = Sha256::new();
        canonical.update(self.method.as_bytes());
        canonical.update(b"\n/\n");
        canonical.update(&self.query);
        canonical.update(b"\n");
        for (name, value) in self.authorization.signed.iter().zip(&self.values) {
            let value = if name == "host" && !has_port { without_port(value) } else { value };
            canonical.update(name.as_bytes());
            canonical.update(b":");
            if is_lower {
                canonical.update(value.to_ascii_lowercase());
            } else {
                canonical.update(value);
            }
            canonical.update(b"\n");
        }
        canonical.update(b"\n");
        canonical.update(self.authorization.signed.join(";").as_bytes());
        canonical.update(b"\n");
        canonical.update(payload.as_bytes());
        let Authorization { date, service, .. } = &self.authorization;
        let digest = hex::encode(canonical.finalize());
        format!("{METHOD}\n{}\n{date}/{service}/{TERMINATOR}\n{digest}", self.timestamp).into_bytes()
    }

    /// Whether `signer` signed it, with this body. Every form is computed and compared, whichever fits.
    pub(super) fn is_signed_by(&self, signer: &dyn Signer, body: &[u8]) -> bool {
        let Authorization { date, service, signature, .. } = &self.authorization;
        let computed = signer.sign(date, service, &self.texts(body));
        computed.iter().fold(Choice::from(0), |found, one| found | one.ct_eq(signature)).into()
    }
}

/// A Host without one `:digits` at its end.
pub(super) fn without_port(host: &[u8]) -> &[u8] {
    let digits = host.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let head = host.len().saturating_sub(digits);
    match host.get(..head).and_then(|head| head.split_last()) {
        Some((b':', name)) if digits > 0 => name,
        _ => host,
    }
}
