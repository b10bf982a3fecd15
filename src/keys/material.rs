//! Key bytes and the one way in which they are derived, wrapped and used: AES-256-GCM (NIST SP 800-38D, 96-bit
//! nonces, 128-bit tags), HKDF-SHA-256 (RFC 5869), HMAC-SHA-256 (RFC 2104). The only file that imports them.
//!
//! INVARIANT I8: [`wrap`](KeyMaterial::wrap) never uses the parent key with GCM itself: it derives a key for
//! exactly this associated data and salt. So a random 96-bit nonce is drawn under a key that sees a handful of
//! messages in its life, and no bound on the number of keys wrapped by one parent arises from the nonce's length.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut as _, Aes256Gcm, KeyInit as _};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use keyward_audit::{Random, RandomError};
use sha1::Sha1;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Length of every key, in bytes.
pub const KEY_BYTES: usize = 32;
/// Length of a GCM nonce, in bytes.
pub const NONCE_BYTES: usize = 12;
/// Length of a GCM tag, in bytes.
pub const TAG_BYTES: usize = 16;
/// Length of a wrapped key without its nonce, in bytes.
pub const WRAPPED_BYTES: usize = KEY_BYTES + TAG_BYTES;

/// Sealed bytes did not open: they, their nonce, their associated data or the key are not what was sealed. GCM
/// cannot say which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sealed bytes do not open: altered, moved, or sealed under another key")]
pub struct Tampered;

/// Nothing was sealed. Never seen in practice unless the system has no random bytes; what was to be sealed must
/// then not be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// No nonce or key could be drawn.
    #[error("no random bytes could be had from the system")]
    Random,
    /// The cipher or the key derivation refused the lengths that it was given.
    #[error("the cipher refused")]
    Refused,
}

impl From<RandomError> for SealError {
    fn from(_: RandomError) -> Self {
        Self::Random
    }
}

/// 32 secret bytes, wiped when dropped. No `Debug`, `Clone` or serialisation.
///
/// ```compile_fail,E0277
/// fn shown(key: &keyward::keys::KeyMaterial) -> String { format!("{key:?}") }
/// ```
/// ```
/// fn shown(key: &keyward::keys::KeyMaterial) -> String { format!("{}", size_of_val(key)) }
/// ```
pub struct KeyMaterial(Zeroizing<[u8; KEY_BYTES]>);

/// A key under another key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// GCM nonce.
    pub nonce: [u8; NONCE_BYTES],
    /// Key and tag.
    pub body: [u8; WRAPPED_BYTES],
}

impl KeyMaterial {
    /// A new key.
    ///
    /// # Errors
    /// [`SealError::Random`] if the system gives no random bytes.
    pub fn random(random: &dyn Random) -> Result<Self, SealError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        random.fill(bytes.as_mut())?;
        Ok(Self(bytes))
    }

    /// These bytes as a key.
    pub(super) fn from_bytes(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self(bytes)
    }

    /// The bytes, for the root key's file and for HMAC.
    pub(super) fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// HMAC-SHA-256 (RFC 2104) of the message that `parts` are, one behind the other.
    pub(super) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        hmac(self.expose(), parts)
    }

    /// HKDF-SHA-256 with this key as input key material: a key for one purpose, which `info` names.
    pub(super) fn derive(&self, salt: &[u8], info: &[u8]) -> Result<Self, SealError> {
        let mut derived = Zeroizing::new([0; KEY_BYTES]);
        Hkdf::<Sha256>::new(Some(salt), self.0.as_slice())
            .expand(info, derived.as_mut_slice())
            .map_err(|_| SealError::Refused)?;
        Ok(Self(derived))
    }

    /// Wraps `key` under a key derived from this one for `salt` and `associated`, which must begin with a label of
    /// its purpose and name all that the wrapped key belongs to.
    ///
    /// # Errors
    /// [`SealError`] if the system gives no random bytes.
    pub fn wrap(&self, key: &Self, salt: &[u8], associated: &[u8], random: &dyn Random) -> Result<Wrapped, SealError> {
        let mut nonce = [0; NONCE_BYTES];
        random.fill(&mut nonce)?;
        let mut sealed = Zeroizing::new(*key.expose());
        let tag = seal_in_place(&self.derive(salt, associated)?, &nonce, associated, sealed.as_mut_slice())?;
        let mut body = [0; WRAPPED_BYTES];
        let (head, tail) = body.split_at_mut(KEY_BYTES);
        head.copy_from_slice(sealed.as_slice());
        tail.copy_from_slice(&tag);
        Ok(Wrapped { nonce, body })
    }

    /// Opens what [`KeyMaterial::wrap`] made with the same key, salt and associated data.
    ///
    /// # Errors
    /// [`Tampered`] if anything differs.
    pub fn unwrap(&self, wrapped: &Wrapped, salt: &[u8], associated: &[u8]) -> Result<Self, Tampered> {
        let (sealed, tag) = wrapped.body.split_first_chunk::<KEY_BYTES>().ok_or(Tampered)?;
        let tag = tag.try_into().map_err(|_| Tampered)?;
        let mut key = Zeroizing::new(*sealed);
        let wrapping = self.derive(salt, associated).map_err(|_| Tampered)?;
        open_in_place(&wrapping, &wrapped.nonce, associated, key.as_mut_slice(), tag)?;
        Ok(Self(key))
    }
}

/// HMAC-SHA-256 (RFC 2104) under a key of at most a block, 64 bytes; what is longer is cut.
pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // A key shorter than a block is padded with zeros to 64 bytes; done here, it cannot fail.
    let mut block = Zeroizing::new([0; 64]);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut hmac = Hmac::<Sha256>::new((&*block).into());
    parts.iter().for_each(|part| hmac.update(part));
    hmac.finalize().into_bytes().into()
}

/// HMAC-SHA-1, as [`hmac()`]: for signatures that are made so elsewhere.
pub(super) fn hmac_sha1(key: &[u8], text: &[u8]) -> [u8; 20] {
    let mut block = Zeroizing::new([0; 64]);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    Hmac::<Sha1>::new((&*block).into()).chain_update(text).finalize().into_bytes().into()
}

/// AES-256-GCM: turns `bytes` into ciphertext and answers the tag.
///
/// # Errors
/// [`SealError::Refused`] for messages of 64 GiB and more; `bytes` may then still hold the plaintext.
pub fn seal_in_place(
    key: &KeyMaterial,
    nonce: &[u8; NONCE_BYTES],
    associated: &[u8],
    bytes: &mut [u8],
) -> Result<[u8; TAG_BYTES], SealError> {
    Aes256Gcm::new(key.expose().into())
        .encrypt_inout_detached(nonce.into(), associated, InOutBuf::from(bytes))
        .map(Into::into)
        .map_err(|_| SealError::Refused)
}

/// AES-256-GCM: turns ciphertext into plaintext if the tag fits.
///
/// # Errors
/// [`Tampered`] if it does not; `bytes` then still holds the ciphertext, no part of a plaintext.
pub fn open_in_place(
    key: &KeyMaterial,
    nonce: &[u8; NONCE_BYTES],
    associated: &[u8],
    bytes: &mut [u8],
    tag: &[u8; TAG_BYTES],
) -> Result<(), Tampered> {
    Aes256Gcm::new(key.expose().into())
        .decrypt_inout_detached(nonce.into(), associated, InOutBuf::from(bytes), tag.into())
        .map_err(|_| Tampered)
}

#[cfg(test)]
mod tests;
