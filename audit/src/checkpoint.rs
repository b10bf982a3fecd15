//! Checkpoints: the signed head of a log, as a note (C2SP tlog-checkpoint v1.0.0; `SPEC.md` 5).
//!
//! INVARIANT I7: whoever remembers a signed checkpoint can tell a shortened or rewritten log from the true one.
//! Signing is computation only; that a head is durable before it is signed, and that no two heads contradict each
//! other, is the log's to see to.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::hash::Digest;
use crate::note::{self, Limits, Note, NoteError, SigningKey, VerifyingKey};

#[cfg(test)]
mod tests;

/// The head of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's origin, which is its key's name.
    pub origin: String,
    /// How many records it covers.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Digest,
}

/// Why something is no checkpoint of the log in question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Not a note, or not a trusted one.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Fewer than three lines, or an empty one.
    #[error("a checkpoint has three lines: origin, size and root")]
    Lines,
    /// A size that is no decimal number without leading zeros.
    #[error("the checkpoint's size `{0}` is not a decimal number")]
    Size(String),
    /// A root that is not the base64 of 32 bytes.
    #[error("the checkpoint's root `{0}` is not the base64 of 32 bytes")]
    Root(String),
    /// Lines after the root: legal elsewhere, never written by keyward.
    #[error("the checkpoint has an extension line `{0}`, which keyward never writes")]
    Extension(String),
    /// Signed by a trusted key, but not by one of the origin's name.
    #[error("the checkpoint's origin `{0}` is not the name of the key that signed it")]
    Origin(String),
}

impl Checkpoint {
    /// The text that is signed: three lines.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(self.root))
    }

    /// Reads a checkpoint's text.
    ///
    /// # Errors
    /// [`CheckpointError`] for anything but [`Checkpoint::text`] of a checkpoint.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::Lines);
        };
        if origin.is_empty() {
            return Err(CheckpointError::Lines);
        }
        if let Some(extension) = lines.next() {
            return Err(CheckpointError::Extension(extension.to_owned()));
        }
        Ok(Self { origin: origin.to_owned(), size: read_size(size)?, root: read_root(root)? })
    }
}

fn read_size(text: &str) -> Result<u64, CheckpointError> {
    let canonical = |size: &u64| size.to_string() == text;
    text.parse().ok().filter(canonical).ok_or_else(|| CheckpointError::Size(text.to_owned()))
}

fn read_root(text: &str) -> Result<Digest, CheckpointError> {
    let unreadable = || CheckpointError::Root(text.to_owned());
    BASE64.decode(text).map_err(|_| unreadable())?.try_into().map_err(|_| unreadable())
}

/// A checkpoint with the note that proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: String,
}

impl SignedCheckpoint {
    /// Signs a checkpoint: with the log's key; at the border of a key rotation with the old one and the new one.
    ///
    /// # Errors
    /// [`CheckpointError::Origin`] if a key is not named by the origin; [`CheckpointError::Note`] if it cannot be
    /// signed.
    pub fn sign(checkpoint: Checkpoint, keys: &[&SigningKey]) -> Result<Self, CheckpointError> {
        if keys.iter().any(|key| key.verifying_key().name() != checkpoint.origin) {
            return Err(CheckpointError::Origin(checkpoint.origin));
        }
        let note = note::sign(&checkpoint.text(), keys)?;
        Ok(Self { checkpoint, note })
    }

    /// Reads a note and checks it: signed by at least one of `keys`, by none of them badly, and each of those that
    /// signed is named by the checkpoint's origin.
    ///
    /// # Errors
    /// [`CheckpointError`] naming what does not hold.
    pub fn parse_and_verify(bytes: &[u8], keys: &[VerifyingKey]) -> Result<Self, CheckpointError> {
        let note = Note::parse(bytes, Limits::default())?;
        let signers = note.verified_by(keys)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        if signers.iter().any(|key| key.name() != checkpoint.origin) {
            return Err(CheckpointError::Origin(checkpoint.origin));
        }
        let note = String::from_utf8(bytes.to_vec()).map_err(|_| NoteError::Characters)?;
        Ok(Self { checkpoint, note })
    }

    /// The head.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note: text, empty line, signature lines.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }
}
