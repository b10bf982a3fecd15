//! PEM (RFC 7468) with one block, and the few public keys (RFC 5280 SubjectPublicKeyInfo) that a token can be
//! signed by.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::key::{PublicKey, Unfit};

/// What stands before the 32 bytes of an Ed25519 key (RFC 8410 4).
const ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// What stands before the 65 bytes of an uncompressed point on P-256 (RFC 5480 2).
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// What stands before the 97 bytes of an uncompressed point on P-384 (RFC 5480 2).
const P384: [u8; 23] = [
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
    0x22, 0x03, 0x62, 0x00,
];
/// The algorithm of an RSA key that is bound to no padding: rsaEncryption, NULL (RFC 3279 2.3.1).
const RSA: [u8; 15] = [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// The public key in a PEM file.
pub(super) fn read_public_key(pem: &[u8]) -> Result<PublicKey, Unfit> {
    let text = std::str::from_utf8(pem).map_err(|_| Unfit::NotPem)?;
    let spki = decode(text, "PUBLIC KEY").ok_or_else(|| not_a_public_key(text))?;
    if let Some(key) = spki.strip_prefix(&ED25519) {
        return PublicKey::ed25519(key);
    }
    if let Some(point) = spki.strip_prefix(&P256) {
        return PublicKey::p256(point);
    }
    if let Some(point) = spki.strip_prefix(&P384) {
        return PublicKey::p384(point);
    }
    // A tag and one to three bytes of length stand before it.
    if (2..=4).any(|at| spki.get(at..at + RSA.len()) == Some(&RSA)) {
        return PublicKey::rsa_spki(&spki);
    }
    Err(Unfit::Kind)
}

/// Says what a file without a public key seems to hold.
fn not_a_public_key(text: &str) -> Unfit {
    let holds = |word: &str| text.lines().any(|line| line.starts_with("-----BEGIN ") && line.contains(word));
    if holds("PRIVATE KEY") {
        Unfit::Private
    } else if holds("CERTIFICATE") || holds("RSA PUBLIC KEY") {
        Unfit::Container
    } else {
        Unfit::NotPem
    }
}

/// The SubjectPublicKeyInfo of an Ed25519 key, as PEM.
pub(super) fn encode_ed25519(key: &[u8; 32]) -> String {
    let mut spki = ED25519.to_vec();
    spki.extend_from_slice(key);
    encode(&spki, "PUBLIC KEY")
}

/// The content of the one block in `text`, if that block's label is `label` and nothing but space is around it.
pub(super) fn decode(text: &str, label: &str) -> Option<Vec<u8>> {
    let body = text.trim().strip_prefix(&format!("-----BEGIN {label}-----"))?;
    let body = body.strip_suffix(&format!("-----END {label}-----"))?;
    let joined: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(joined).ok()
}

/// One block, 64 characters a line.
pub(super) fn encode(content: &[u8], label: &str) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for (place, character) in STANDARD.encode(content).chars().enumerate() {
        if place > 0 && place % 64 == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text.push_str(&format!("\n-----END {label}-----\n"));
    text
}
