//! Log keys: names, ids and their two text forms.

use std::fmt;

use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Signature type: Ed25519 over the note's text.
const TYPE_ED25519: u8 = 0x01;
/// What a signing key's text begins with.
const PRIVATE_PREFIX: &str = "PRIVATE+KEY+";
/// Length of seed and public key, in bytes.
const KEY_BYTES: usize = 32;
/// Length of an Ed25519 signature, in bytes.
pub(super) const SIGNATURE_BYTES: usize = 64;

/// Why a text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not `name+id+base64`, or `PRIVATE+KEY+name+id+base64`.
    #[error("a key is written `name+id+base64`, a signing key with `PRIVATE+KEY+` before it")]
    Form,
    /// The name is empty, or holds a space or a plus sign.
    #[error("the key name `{0}` is empty, or holds a space, a plus sign or a control character")]
    Name(String),
    /// The id is not 8 lower-case hex digits, or not that of the key.
    #[error("the key id `{0}` is not that of the key")]
    Id(String),
    /// Of a type that this program cannot use.
    #[error("the key is of type `{0:#04x}`, usable is 0x01 (Ed25519)")]
    Type(u8),
    /// The library does not take it.
    #[error("the key is not a usable Ed25519 key")]
    Unusable,
}

/// A log's public key with its name. Its text form is the C2SP `vkey`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VerifyingKey {
    name: String,
    id: [u8; 4],
    public: [u8; KEY_BYTES],
}

impl VerifyingKey {
    fn new(name: &str, public: [u8; KEY_BYTES]) -> Result<Self, KeyError> {
        check_name(name)?;
        Ok(Self { name: name.to_owned(), id: key_id(name, &public), public })
    }

    /// Reads a vkey: `name+id+base64(type || public key)`.
    ///
    /// # Errors
    /// [`KeyError`] for anything but the one text of a usable key.
    pub fn parse(vkey: &str) -> Result<Self, KeyError> {
        let (name, id, public) = read_parts(vkey)?;
        let key = Self::new(name, *public)?;
        if hex::encode(key.id) == id { Ok(key) } else { Err(KeyError::Id(id.to_owned())) }
    }

    /// The key name, which is the origin of the log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key id: first 4 bytes of `SHA-256(name || LF || type || public key)`.
    #[must_use]
    pub const fn id(&self) -> [u8; 4] {
        self.id
    }

    /// Whether `signature` is this key's over `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public).verify(message, signature).is_ok()
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut typed = vec![TYPE_ED25519];
        typed.extend_from_slice(&self.public);
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id), BASE64.encode(typed))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A log's signing key with its name. The library wipes it when it is dropped.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    verifying: VerifyingKey,
}

impl SigningKey {
    /// The key of a 32-byte seed.
    ///
    /// # Errors
    /// [`KeyError::Name`] for a name that notes cannot carry; [`KeyError::Unusable`] if the library does not take it.
    pub fn from_seed(name: &str, seed: &[u8; KEY_BYTES]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Unusable)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Unusable)?;
        Ok(Self { verifying: VerifyingKey::new(name, public)?, pair })
    }

    /// Reads a signing key's text: `PRIVATE+KEY+name+id+base64(type || seed)`, and nothing after it but one line feed.
    ///
    /// # Errors
    /// [`KeyError`] for anything else. No error says anything of the seed.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let (name, id, seed) = read_parts(text.strip_prefix(PRIVATE_PREFIX).ok_or(KeyError::Form)?)?;
        let key = Self::from_seed(name, &seed)?;
        if hex::encode(key.verifying.id) == id { Ok(key) } else { Err(KeyError::Id(id.to_owned())) }
    }

    /// The key's text, as [`SigningKey::parse`] reads it, without a line feed.
    ///
    /// # Errors
    /// [`KeyError::Unusable`] if the library does not give the seed.
    pub fn to_text(&self) -> Result<Zeroizing<String>, KeyError> {
        let seed = self.pair.seed().map_err(|_| KeyError::Unusable)?;
        let seed = seed.as_be_bytes().map_err(|_| KeyError::Unusable)?;
        let mut typed = Zeroizing::new([0_u8; KEY_BYTES + 1]);
        for (to, from) in typed.iter_mut().zip([&TYPE_ED25519].into_iter().chain(seed.as_ref())) {
            *to = *from;
        }
        let (name, id) = (&self.verifying.name, hex::encode(self.verifying.id));
        let mut text = Zeroizing::new(String::with_capacity(PRIVATE_PREFIX.len() + name.len() + 64));
        for part in [PRIVATE_PREFIX, name, "+", &id, "+"] {
            text.push_str(part);
        }
        BASE64.encode_string(typed.as_slice(), &mut text);
        Ok(text)
    }

    /// The public half.
    #[must_use]
    pub const fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// The signature over `message`; the same message always gives the same bytes.
    ///
    /// # Errors
    /// [`KeyError::Unusable`] if the library cannot sign.
    pub fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], KeyError> {
        let signature = self.pair.try_sign(message).map_err(|_| KeyError::Unusable)?;
        signature.as_ref().try_into().map_err(|_| KeyError::Unusable)
    }
}

/// Splits `name+id+base64(type || key)`. The name ends at the first plus sign; base64 may hold more of them.
fn read_parts(text: &str) -> Result<(&str, &str, Zeroizing<[u8; KEY_BYTES]>), KeyError> {
    let (name, rest) = text.split_once('+').ok_or(KeyError::Form)?;
    let (id, encoded) = rest.split_once('+').ok_or(KeyError::Form)?;
    check_name(name)?;
    let typed = Zeroizing::new(BASE64.decode(encoded).map_err(|_| KeyError::Form)?);
    let (kind, bytes) = typed.split_first().ok_or(KeyError::Form)?;
    if *kind != TYPE_ED25519 {
        return Err(KeyError::Type(*kind));
    }
    let key = Zeroizing::new(<[u8; KEY_BYTES]>::try_from(bytes).map_err(|_| KeyError::Form)?);
    Ok((name, id, key))
}

/// A name that a note can carry: not empty, no Unicode space, no plus sign, no control character.
pub(super) fn check_name(name: &str) -> Result<(), KeyError> {
    let unfit = |c: char| c.is_whitespace() || c < ' ' || c == '+';
    if name.is_empty() || name.chars().any(unfit) { Err(KeyError::Name(name.to_owned())) } else { Ok(()) }
}

fn key_id(name: &str, public: &[u8; KEY_BYTES]) -> [u8; 4] {
    let digest = Sha256::new().chain_update(name).chain_update([b'\n', TYPE_ED25519]).chain_update(public).finalize();
    let [a, b, c, d, ..] = <[u8; 32]>::from(digest);
    [a, b, c, d]
}
