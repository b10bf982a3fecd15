//! Signed notes, checkpoints and vkeys (C2SP signed-note v1.0.0, tlog-checkpoint v1.0.0), Ed25519 only.
//!
//! A signature counts if its pair of key name and key id is that of a known key. Signatures of unknown pairs are
//! ignored; a signature of a known pair that does not verify rejects the whole note, and so do two of one pair.

use crate::hex::{base64, unbase64, unbase64_digest};
use crate::tree::{Digest, hash};
use ed25519_dalek::{Signature, VerifyingKey};
use std::fmt;

/// Notes larger than this are refused: room for sixteen post-quantum signatures of 3.3 kB.
pub const NOTE_BYTES_MAX: usize = 65_536;
/// The largest integer of the format, 2^53 - 1.
pub(crate) const INTEGER_MAX: u64 = (1 << 53) - 1;
/// Key type 0x01: Ed25519 over the note's text.
const ED25519: u8 = 1;

/// Why a note or a vkey proves nothing. Closed: each is a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteError {
    /// Over [`NOTE_BYTES_MAX`].
    TooLarge,
    /// Not UTF-8, or a control character.
    NotText,
    /// No origin, size and root.
    NotACheckpoint,
    /// Lines after the root, which keyward never writes.
    Extension,
    /// A line below the text that is no signature.
    SignatureLine,
    /// Two signatures under one name and key id.
    Repeated,
    /// A known key's signature is wrong.
    BadSignature,
    /// No signature by a key that is known and bears the origin's name.
    NoKnownKey,
    /// Not a vkey, or its key id is not that of its key.
    Vkey,
    /// A vkey of a type other than Ed25519.
    KeyType,
}

impl fmt::Display for NoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "larger than 65,536 bytes",
            Self::NotText => "not UTF-8, or with control characters",
            Self::NotACheckpoint => "not a checkpoint",
            Self::Extension => "extension lines, which keyward never writes",
            Self::SignatureLine => "a signature line is malformed",
            Self::Repeated => "two signatures under one name and key id",
            Self::BadSignature => "the signature does not verify",
            Self::NoKnownKey => "no signature by a known key of this origin",
            Self::Vkey => "not a vkey, or its key id is wrong",
            Self::KeyType => "a key of another type than Ed25519",
        })
    }
}

/// A public key that signs notes, with its name: `name+key id+base64(type || key)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vkey {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

impl Vkey {
    /// Reads one vkey.
    ///
    /// # Errors
    /// [`NoteError::Vkey`] if it is malformed, [`NoteError::KeyType`] if it is of another type.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let (name, rest) = text.split_once('+').ok_or(NoteError::Vkey)?;
        let (id, key) = rest.split_once('+').ok_or(NoteError::Vkey)?;
        let typed = unbase64(key.as_bytes()).ok_or(NoteError::Vkey)?;
        let id = crate::hex::unhex(id).ok_or(NoteError::Vkey)?;
        let named = is_name(name) && hash(&[name.as_bytes(), b"\n", &typed]).starts_with(&id);
        let (kind, key) = typed.split_first().filter(|_| named).ok_or(NoteError::Vkey)?;
        if *kind != ED25519 {
            return Err(NoteError::KeyType);
        }
        let bytes: [u8; 32] = key.try_into().map_err(|_| NoteError::Vkey)?;
        let key = is_reduced(&bytes).then(|| VerifyingKey::from_bytes(&bytes).ok()).flatten();
        key.map(|key| Self { name: name.to_owned(), id, key }).ok_or(NoteError::Vkey)
    }

    /// The vkeys of a file, one a line; empty lines do not count.
    ///
    /// # Errors
    /// As [`Vkey::parse`]; [`NoteError::NoKnownKey`] if there is none, [`NoteError::Repeated`] if two share name and id.
    pub fn parse_file(text: &str) -> Result<Vec<Self>, NoteError> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys: Vec<Self> = lines.map(Self::parse).collect::<Result<_, _>>()?;
        let twice = keys.iter().enumerate().any(|(n, key)| keys.iter().skip(n.saturating_add(1)).any(|k| k.is(key)));
        match (keys.is_empty(), twice) {
            (true, _) => Err(NoteError::NoKnownKey),
            (_, true) => Err(NoteError::Repeated),
            _ => Ok(keys),
        }
    }

    /// The key's name, which is the origin of the log that it signs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether `signature` is this key's over `message` (RFC 8032, no key or nonce of small order).
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }

    fn is(&self, other: &Self) -> bool {
        self.name == other.name && self.id == other.id
    }

    fn made(&self, line: &SignatureLine) -> bool {
        self.name == line.name && self.id == line.id
    }
}

/// Whether the y coordinate lies below the field's prime, as RFC 8032 demands.
fn is_reduced(key: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = key;
    !(*low >= 0xed && middle.iter().all(|byte| *byte == 0xff) && high & 0x7f == 0x7f)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c == '+' || c.is_whitespace())
}

#[derive(Clone, Debug)]
struct SignatureLine {
    name: String,
    id: [u8; 4],
    signature: Vec<u8>,
}

/// A checkpoint whose note carries a good signature of a known key of its origin, and no bad one.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Digest,
    text: String,
    signatures: Vec<SignatureLine>,
}

impl Checkpoint {
    /// Opens a note: text, empty line, signature lines.
    ///
    /// # Errors
    /// [`NoteError`] if it is not a checkpoint or does not verify.
    pub fn open(note: &[u8], keys: &[Vkey]) -> Result<Self, NoteError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLarge);
        }
        let note = std::str::from_utf8(note).map_err(|_| NoteError::NotText)?;
        if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
            return Err(NoteError::NotText);
        }
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(NoteError::NotACheckpoint)?;
        let [origin, size, root] = head_lines(text)?;
        let checkpoint = Self {
            origin: Some(origin).filter(|name| is_name(name)).ok_or(NoteError::NotACheckpoint)?.to_owned(),
            size: parse_size(size).ok_or(NoteError::NotACheckpoint)?,
            root: unbase64_digest(root.as_bytes()).ok_or(NoteError::NotACheckpoint)?,
            text: format!("{text}\n"),
            signatures: signature_lines(signatures)?,
        };
        checkpoint.verified(keys)
    }

    fn verified(self, keys: &[Vkey]) -> Result<Self, NoteError> {
        let mut of_origin = false;
        for (n, line) in self.signatures.iter().enumerate() {
            let Some(key) = keys.iter().find(|key| key.made(line)) else {
                continue;
            };
            if self.signatures.iter().take(n).any(|earlier| key.made(earlier)) {
                return Err(NoteError::Repeated);
            }
            if !key.verifies(self.text.as_bytes(), &line.signature) {
                return Err(NoteError::BadSignature);
            }
            of_origin |= key.name == self.origin;
        }
        if of_origin { Ok(self) } else { Err(NoteError::NoKnownKey) }
    }

    /// Whether the note carries a good signature of `key`, and `key` bears the origin's name.
    pub(crate) fn signed_by(&self, key: &Vkey) -> bool {
        let by_key = |line: &SignatureLine| key.made(line) && key.verifies(self.text.as_bytes(), &line.signature);
        key.name == self.origin && self.signatures.iter().any(by_key)
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Records that it covers.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree over them.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.root
    }

    /// The root as base64, as the checkpoint writes it.
    #[must_use]
    pub fn root_text(&self) -> String {
        base64(&self.root)
    }
}

/// Origin, size and root lines of a checkpoint's text, given without its last line feed.
fn head_lines(text: &str) -> Result<[&str; 3], NoteError> {
    let mut lines = text.split('\n');
    match (lines.next(), lines.next(), lines.next(), lines.next()) {
        (Some(origin), Some(size), Some(root), None) => Ok([origin, size, root]),
        (.., Some(_)) => Err(NoteError::Extension),
        _ => Err(NoteError::NotACheckpoint),
    }
}

/// A size in decimal without leading zeros, at most 2^53 - 1.
fn parse_size(text: &str) -> Option<u64> {
    let plain = text == "0" || (!text.starts_with('0') && text.len() <= 16 && text.bytes().all(|c| c.is_ascii_digit()));
    text.parse().ok().filter(|size| plain && *size <= INTEGER_MAX)
}

fn signature_lines(text: &str) -> Result<Vec<SignatureLine>, NoteError> {
    let lines = text.strip_suffix('\n').ok_or(NoteError::SignatureLine)?;
    lines.split('\n').map(|line| signature_line(line).ok_or(NoteError::SignatureLine)).collect()
}

fn signature_line(line: &str) -> Option<SignatureLine> {
    let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let bytes = unbase64(encoded.as_bytes())?;
    let (id, signature) = bytes.split_first_chunk::<4>()?;
    let whole = is_name(name) && !signature.is_empty();
    whole.then(|| SignatureLine { name: name.to_owned(), id: *id, signature: signature.to_vec() })
}
