//! Signatures: the one file that calls the JWT crate.
//!
//! Of that crate only signing and verifying are used. Its checks of header and claims are not: it skips claims of a
//! wrong type, rounds fractional times, parses `crit` without obeying it, and reads the system clock.
//!
//! It chooses its backend by features and panics at first use if there is none, or more than one: the self-test at
//! start finds that ([`mod@super::self_test`]).

use jsonwebtoken::{DecodingKey, EncodingKey, crypto};

use super::algorithm::Algorithm;

/// Whether `signature` (base64url) over `signing_input` is by `key`.
///
/// A key of another family than the algorithm's, and whatever else the backend finds wrong, is a no.
pub(super) fn verify(key: &DecodingKey, algorithm: Algorithm, signing_input: &[u8], signature: &str) -> bool {
    crypto::verify(signature, signing_input, key, of(algorithm)).unwrap_or(false)
}

/// Signs; `None` if the key does not fit the algorithm or the backend fails. The result is base64url.
pub(super) fn sign(key: &EncodingKey, algorithm: Algorithm, signing_input: &[u8]) -> Option<String> {
    crypto::sign(signing_input, key, of(algorithm)).ok()
}

const fn of(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    use jsonwebtoken::Algorithm as Jws;
    match algorithm {
        Algorithm::EdDsa => Jws::EdDSA,
        Algorithm::Es256 => Jws::ES256,
        Algorithm::Es384 => Jws::ES384,
        Algorithm::Rs256 => Jws::RS256,
        Algorithm::Rs384 => Jws::RS384,
        Algorithm::Rs512 => Jws::RS512,
        Algorithm::Ps256 => Jws::PS256,
        Algorithm::Ps384 => Jws::PS384,
        Algorithm::Ps512 => Jws::PS512,
        Algorithm::Hs256 => Jws::HS256,
        Algorithm::Hs384 => Jws::HS384,
        Algorithm::Hs512 => Jws::HS512,
    }
}
