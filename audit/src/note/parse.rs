//! Notes: parsing, which trusts nothing, and verification, which takes the keys that are trusted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::key::{VerifyingKey, check_name};

/// What a signature line begins with: an em dash and a space.
pub(super) const SIGNATURE_PREFIX: &str = "\u{2014} ";
/// Length of a key id in a signature line, in bytes.
const ID_BYTES: usize = 4;

/// How much of a note is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest note, in bytes.
    pub bytes_max: usize,
    /// Most signature lines; at least 16 by the specification.
    pub signatures_max: usize,
}

impl Default for Limits {
    /// 64 KiB and 32 signatures: room for post-quantum cosignatures (3.3 kB each) of 16 witnesses.
    fn default() -> Self {
        Self { bytes_max: 65_536, signatures_max: 32 }
    }
}

/// Why bytes are no note, or a note proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Longer than [`Limits::bytes_max`].
    #[error("the note has `{0}` bytes, more than the limit")]
    TooLarge(usize),
    /// Not UTF-8, or a control character other than the line feed.
    #[error("the note is not UTF-8 without control characters")]
    Characters,
    /// No empty line before signatures.
    #[error("the note has no empty line before its signatures")]
    NoSignatures,
    /// The text is empty, does not end in a line feed or holds a control character.
    #[error("the note's text is empty, does not end in a line feed or holds a control character")]
    Text,
    /// A signature line out of form.
    #[error("the note's signature line `{0}` is not in form")]
    Line(usize),
    /// More signature lines than [`Limits::signatures_max`].
    #[error("the note has more than `{0}` signatures")]
    TooMany(usize),
    /// A trusted key's name and id on a signature that is not its own.
    #[error("the signature of `{0}` is not valid")]
    BadSignature(String),
    /// One trusted key signs twice.
    #[error("the note carries more than one signature of `{0}`")]
    Repeated(String),
    /// Two trusted keys share name and id.
    #[error("two trusted keys share the name and id of `{0}`")]
    Ambiguous(String),
    /// No signature by any trusted key.
    #[error("the note carries no signature of a trusted key")]
    Untrusted,
    /// Nobody to sign.
    #[error("a note needs at least one signing key")]
    Unsigned,
    /// The library could not sign.
    #[error("the note could not be signed")]
    Signing,
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The key's name.
    pub name: String,
    /// The key's id.
    pub id: [u8; 4],
    /// What the key made; its form depends on the key's type. At least 1 byte.
    pub bytes: Vec<u8>,
}

/// A note as it was read: nothing of it is trusted before [`Note::verified_by`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// Reads a note.
    ///
    /// # Errors
    /// [`NoteError`] naming what is out of form; never a panic, whatever the bytes.
    pub fn parse(bytes: &[u8], limits: Limits) -> Result<Self, NoteError> {
        if bytes.len() > limits.bytes_max {
            return Err(NoteError::TooLarge(bytes.len()));
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| NoteError::Characters)?;
        if has_control(whole) {
            return Err(NoteError::Characters);
        }
        let (first_lines, lines) = whole.rsplit_once("\n\n").ok_or(NoteError::NoSignatures)?;
        let text = format!("{first_lines}\n");
        check_text(&text)?;
        Ok(Self { text, signatures: read_lines(lines, limits.signatures_max)? })
    }

    /// What is signed, its last line feed included.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, in their order; at least one.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Checks the signatures against the keys that are trusted: those of `keys` that signed, at least one, in the
    /// order of the note. Signatures of other keys are ignored.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`], [`NoteError::Repeated`], [`NoteError::Ambiguous`] or [`NoteError::Untrusted`].
    pub fn verified_by<'k>(&self, keys: &'k [VerifyingKey]) -> Result<Vec<&'k VerifyingKey>, NoteError> {
        let mut signers: Vec<&VerifyingKey> = Vec::new();
        for signature in &self.signatures {
            let Some(key) = signature.key_among(keys)? else {
                continue;
            };
            if !key.verifies(self.text.as_bytes(), &signature.bytes) {
                return Err(NoteError::BadSignature(key.to_string()));
            }
            if signers.contains(&key) {
                return Err(NoteError::Repeated(key.to_string()));
            }
            signers.push(key);
        }
        if signers.is_empty() { Err(NoteError::Untrusted) } else { Ok(signers) }
    }
}

impl Signature {
    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(SIGNATURE_PREFIX)?.split_once(' ')?;
        check_name(name).ok()?;
        let payload = BASE64.decode(encoded).ok()?;
        let (id, bytes) = payload.split_first_chunk::<ID_BYTES>()?;
        if bytes.is_empty() { None } else { Some(Self { name: name.to_owned(), id: *id, bytes: bytes.to_vec() }) }
    }

    /// The one key with this name and id.
    fn key_among<'k>(&self, keys: &'k [VerifyingKey]) -> Result<Option<&'k VerifyingKey>, NoteError> {
        let mut same = keys.iter().filter(|key| key.name() == self.name && key.id() == self.id);
        let first = same.next();
        match first {
            Some(key) if same.any(|other| other != key) => Err(NoteError::Ambiguous(key.to_string())),
            _ => Ok(first),
        }
    }
}

fn read_lines(lines: &str, signatures_max: usize) -> Result<Vec<Signature>, NoteError> {
    let lines = lines.strip_suffix('\n').ok_or(NoteError::NoSignatures)?;
    let mut signatures = Vec::new();
    for (place, line) in lines.split('\n').enumerate() {
        if place >= signatures_max {
            return Err(NoteError::TooMany(signatures_max));
        }
        signatures.push(Signature::parse(line).ok_or(NoteError::Line(place.saturating_add(1)))?);
    }
    Ok(signatures)
}

/// A text that can be signed: not empty, ends in a line feed, no other control character below U+0020.
pub(super) fn check_text(text: &str) -> Result<(), NoteError> {
    if text.ends_with('\n') && !has_control(text) { Ok(()) } else { Err(NoteError::Text) }
}

fn has_control(text: &str) -> bool {
    text.bytes().any(|byte| byte < 0x20 && byte != b'\n')
}
