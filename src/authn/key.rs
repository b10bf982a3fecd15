//! The keys that an issuer's tokens are verified by, and whether a key is fit for that.
//!
//! SECURITY: a key is bound to one family of algorithms when it is read, and to one curve; a token's `alg` only picks
//! among what its issuer is set to and what its key is bound to. A public key can never serve as an HMAC secret.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, EcdsaVerificationAlgorithm, ParsedPublicKey,
    RsaPublicKeyComponents,
};
use jsonwebtoken::DecodingKey;

use super::algorithm::{Algorithm, Family};
use super::refusal::Cause;
use super::signature;

/// Shortest shared secret, in bytes (RFC 7518 3.2 for HS256).
pub(super) const SECRET_BYTES_MIN: usize = 32;

/// Why a key cannot verify tokens. A closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Not a PEM file with one public key.
    #[error("not a PEM file with one `PUBLIC KEY` block")]
    NotPem,
    /// A certificate, or the older form of RSA keys.
    #[error(
        "expected a `PUBLIC KEY` block; take the key out of a certificate with `openssl x509 -pubkey`, convert the older RSA form with `openssl rsa -RSAPublicKey_in`"
    )]
    Container,
    /// A private key where a public one belongs.
    #[error("holds a private key; keyward needs, and should have, the public one only")]
    Private,
    /// A kind of key or curve that no offered algorithm uses.
    #[error("not an Ed25519, P-256, P-384 or RSA public key")]
    Kind,
    /// The bytes are no such key: wrong length, point off the curve, unusable exponent.
    #[error("the key's bytes are no key of its kind")]
    Broken,
    /// An RSA key outside 2,048 to 8,192 bits.
    #[error("an RSA key has 2,048 to 8,192 bits")]
    RsaSize,
    /// A symmetric key in a set of public keys.
    #[error("a symmetric key has no place in a key set")]
    Symmetric,
    /// A member of the JSON key is missing or of a wrong type.
    #[error("a member is missing or of a wrong type")]
    Members,
    /// `use` or `key_ops` say that it is not for verifying.
    #[error("`use` or `key_ops` do not allow verifying")]
    Purpose,
    /// `alg` names an algorithm that keyward does not offer, or one of another kind of key.
    #[error("`alg` is not an algorithm for this kind of key")]
    Algorithm,
    /// A shared secret below 32 bytes.
    #[error("a shared secret has at least 32 bytes")]
    SecretLength,
    /// A shared secret that is the text of a key.
    #[error("a key file is no shared secret")]
    SecretIsKey,
}

/// A public key, checked to be one.
pub(super) struct PublicKey {
    family: Family,
    key: DecodingKey,
}

impl PublicKey {
    /// An Ed25519 key (RFC 8032 5.1.5).
    pub(super) fn ed25519(bytes: &[u8]) -> Result<Self, Unfit> {
        ParsedPublicKey::new(&ED25519, bytes).map_err(|_| Unfit::Broken)?;
        exactly(bytes, 32)?;
        Ok(Self { family: Family::Ed25519, key: DecodingKey::from_ed_der(bytes) })
    }

    /// A point on P-256, uncompressed (SEC 1 2.3.3).
    pub(super) fn p256(point: &[u8]) -> Result<Self, Unfit> {
        Self::point(Family::P256, &ECDSA_P256_SHA256_FIXED, point, 65)
    }

    /// A point on P-384, uncompressed (SEC 1 2.3.3).
    pub(super) fn p384(point: &[u8]) -> Result<Self, Unfit> {
        Self::point(Family::P384, &ECDSA_P384_SHA384_FIXED, point, 97)
    }

    fn point(
        family: Family,
        curve: &'static EcdsaVerificationAlgorithm,
        point: &[u8],
        bytes: usize,
    ) -> Result<Self, Unfit> {
        exactly(point, bytes)?;
        ParsedPublicKey::new(curve, point).map_err(|_| Unfit::Broken)?;
        Ok(Self { family, key: DecodingKey::from_ec_der(point) })
    }

    /// An RSA key from modulus and exponent, big-endian without leading zeros.
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Result<Self, Unfit> {
        let spki = RsaPublicKeyComponents { n, e }.as_der().map_err(|_| Unfit::Broken)?;
        Self::rsa_spki(spki.as_ref())
    }

    /// An RSA key from its SubjectPublicKeyInfo.
    pub(super) fn rsa_spki(spki: &[u8]) -> Result<Self, Unfit> {
        let key = rsa::PublicKey::from_der(spki).map_err(|_| Unfit::Broken)?;
        rsa::PublicEncryptingKey::from_der(spki).map_err(|_| Unfit::RsaSize)?;
        Ok(Self { family: Family::Rsa, key: DecodingKey::from_rsa_der(key.as_ref()) })
    }

    /// This key for verifying tokens, by `only` if given.
    pub(super) fn for_verifying(self, only: Option<Algorithm>) -> Result<VerifyingKey, Unfit> {
        if only.is_some_and(|algorithm| algorithm.family() != self.family) {
            return Err(Unfit::Algorithm);
        }
        Ok(VerifyingKey { family: self.family, only, key: self.key })
    }
}

fn exactly(bytes: &[u8], length: usize) -> Result<(), Unfit> {
    if bytes.len() == length { Ok(()) } else { Err(Unfit::Broken) }
}

/// A key that is fit to verify tokens. Wiped when dropped.
pub(super) struct VerifyingKey {
    family: Family,
    /// The one algorithm that the key's owner has bound it to.
    only: Option<Algorithm>,
    key: DecodingKey,
}

impl VerifyingKey {
    /// A shared secret.
    pub(super) fn secret(bytes: &[u8]) -> Result<Self, Unfit> {
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(Unfit::SecretLength);
        }
        // The classic confusion (CVE-2016-10555) made by hand: everyone knows a public key.
        let start = bytes.trim_ascii_start();
        if start.starts_with(b"-----BEGIN ") || start.starts_with(b"{") {
            return Err(Unfit::SecretIsKey);
        }
        Ok(Self { family: Family::Hmac, only: None, key: DecodingKey::from_secret(bytes) })
    }

    /// Whether it may verify tokens of this algorithm.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        algorithm.family() == self.family && self.only.is_none_or(|only| only == algorithm)
    }

    /// Checks a signature.
    pub(super) fn verify(&self, algorithm: Algorithm, signing_input: &str, text: &str) -> Result<(), Cause> {
        if !self.fits(algorithm) {
            return Err(Cause::KeyUnfit);
        }
        if signature::verify(&self.key, algorithm, signing_input.as_bytes(), text) {
            Ok(())
        } else {
            Err(Cause::Signature)
        }
    }
}

/// A key of a set, fit or not: a token that names an unfit one is told apart from one that names none.
pub(super) struct NamedKey {
    pub(super) kid: Option<String>,
    pub(super) key: Result<VerifyingKey, Unfit>,
}

/// All keys of an issuer.
pub(super) enum Keys {
    /// A PEM key or a shared secret: there is but one, so `kid` is not looked at.
    One(VerifyingKey),
    /// A key set, each `kid` at most once.
    Set(Vec<NamedKey>),
}

impl Keys {
    /// The key that a token of this `kid` and algorithm is to be verified by.
    pub(super) fn select(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&VerifyingKey, Cause> {
        match (self, kid) {
            (Self::One(key), _) => Some(key).filter(|key| key.fits(algorithm)).ok_or(Cause::KeyUnfit),
            (Self::Set(keys), Some(kid)) => {
                let named = keys.iter().find(|named| named.kid.as_deref() == Some(kid)).ok_or(Cause::KidUnknown)?;
                named.key.as_ref().ok().filter(|key| key.fits(algorithm)).ok_or(Cause::KeyUnfit)
            }
            (Self::Set(_), None) => {
                let mut fitting = self.fit().filter(|key| key.fits(algorithm));
                match (fitting.next(), fitting.next()) {
                    (Some(key), None) => Ok(key),
                    (None, _) => Err(Cause::KeyUnfit),
                    (Some(_), Some(_)) => Err(Cause::KidUnknown),
                }
            }
        }
    }

    /// The keys that can verify anything.
    pub(super) fn fit(&self) -> impl Iterator<Item = &VerifyingKey> {
        let (one, set) = match self {
            Self::One(key) => (Some(key), [].as_slice()),
            Self::Set(keys) => (None, keys.as_slice()),
        };
        one.into_iter().chain(set.iter().filter_map(|named| named.key.as_ref().ok()))
    }

    /// Every `kid` of a set, sorted.
    pub(super) fn kids(&self) -> Vec<String> {
        let set = match self {
            Self::One(_) => [].as_slice(),
            Self::Set(keys) => keys.as_slice(),
        };
        let mut kids: Vec<String> = set.iter().filter_map(|named| named.kid.clone()).collect();
        kids.sort();
        kids
    }

    /// The keys that cannot, and why.
    pub(super) fn unfit(&self) -> impl Iterator<Item = (Option<&str>, Unfit)> {
        let set = match self {
            Self::One(_) => [].as_slice(),
            Self::Set(keys) => keys.as_slice(),
        };
        set.iter().filter_map(|named| Some((named.kid.as_deref(), named.key.as_ref().err().copied()?)))
    }
}
