//! A backup as it lies in a directory, and as it travels.
//!
//! A directory of plain files: `db/…`, the engine's own files as of one moment; `mark`, a high-water mark at exactly the head
//! that these hold; `head`, a signed checkpoint that this head continues; `manifest`, which names every one of them with its
//! length and SHA-256. No key is in it: without the root key no value in it can be read, without the log's key it cannot be
//! signed on.
//!
//! On its way each file is a line `file <name> <length>` and its bytes; the manifest comes last, so that what breaks off
//! is known to be incomplete. The manifest is one line of JSON and a line `sha256:<hex>` over it: damage anywhere is seen.
//! That is no signature: who may write a backup may write another one. What makes a forged one known is the signed
//! checkpoint, the codes of its rows and the check of store against log.
//!
//! INVARIANT I7: nothing here decides whether a restored copy may be served; that is [`mod@crate::log::restore`]'s.
//! If the process dies while it receives, a directory of an odd name is left that has no manifest.

mod receive;

pub use receive::{ReceiveError, Receiver};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::hash;

/// Name of the list of files; the last to travel.
pub const MANIFEST: &str = "manifest";
/// Name of the mark.
pub const MARK: &str = "mark";
/// Name of the signed checkpoint.
pub const HEAD: &str = "head";
/// The directory of the engine's files.
pub const STORE: &str = "db";
/// The form of a backup.
const VERSION: u32 = 1;
/// Longest manifest, in bytes: about half a million files.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;
/// Longest name of an engine's file.
const FILE_NAME_BYTES_MAX: usize = 64;
/// Bytes that are read at once.
pub(crate) const BLOCK_BYTES: usize = 256 * 1024;

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its path below the backup, as [`is_name`] allows.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, in hex.
    pub sha256: String,
}

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The form of the backup: 1.
    pub version: u32,
    /// The origin that the log signed under.
    pub origin: String,
    /// Records in it.
    pub size: u64,
    /// Size of the signed checkpoint in it.
    pub signed_size: u64,
    /// When it was taken, in microseconds since 1970.
    pub time: u64,
    /// Every file but the manifest.
    pub files: Vec<Entry>,
}

/// Why a manifest is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the backup's manifest is damaged or of an unknown form")]
pub struct ManifestError;

impl Manifest {
    /// A manifest of the present form.
    pub(crate) fn new(origin: String, size: u64, signed_size: u64, time: u64, files: Vec<Entry>) -> Self {
        Self { version: VERSION, origin, size, signed_size, time, files }
    }

    /// The bytes of its file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        let digest = digest_line(&bytes);
        bytes.push(b'\n');
        bytes.extend_from_slice(digest.as_bytes());
        bytes
    }

    /// Reads what [`Manifest::encode`] wrote.
    ///
    /// # Errors
    /// [`ManifestError`] for anything else.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let manifest: Self = serde_json::from_slice(line).map_err(|_| ManifestError)?;
        let sound = manifest.version == VERSION
            && manifest.encode() == bytes
            && manifest.files.iter().all(|file| is_name(&file.name) && file.name != MANIFEST);
        if sound { Ok(manifest) } else { Err(ManifestError) }
    }

    /// Reads the manifest of the backup at `directory`.
    ///
    /// # Errors
    /// What the system said, or [`ManifestError`] within it.
    pub fn load(directory: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        File::open(directory.join(MANIFEST))?.take(MANIFEST_BYTES_MAX).read_to_end(&mut bytes)?;
        Self::parse(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// SHA-256 of its file, in hex: what a record names the backup by.
    #[must_use]
    pub fn digest(&self) -> String {
        hex::encode(hash::sha256(&self.encode()))
    }
}

fn digest_line(bytes: &[u8]) -> String {
    format!("sha256:{}\n", hex::encode(hash::sha256(bytes)))
}

/// Whether `name` may be a file of a backup: `manifest`, `mark`, `head`, or `db/` and one name of an engine's file. SECURITY:
/// nothing leads out of the directory.
#[must_use]
pub fn is_name(name: &str) -> bool {
    match name.split_once('/') {
        None => [MANIFEST, MARK, HEAD].contains(&name),
        Some((STORE, file)) => {
            (1..=FILE_NAME_BYTES_MAX).contains(&file.len())
                && file.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
                && !file.starts_with('.')
        }
        Some(_) => false,
    }
}

/// The line before a file's bytes.
pub(crate) fn header(name: &str, bytes: u64) -> String {
    format!("file {name} {bytes}\n")
}

/// Reads `file` to its end in blocks, and answers its length and SHA-256.
pub(crate) fn digest_of(file: &mut File, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<(u64, String)> {
    let (mut digest, mut length) = (Sha256::new(), 0_u64);
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        let read = file.read(&mut block)?;
        let Some(part) = block.get(..read).filter(|part| !part.is_empty()) else { break };
        digest.update(part);
        length = length.saturating_add(part.len() as u64);
        each(part)?;
    }
    Ok((length, hex::encode(digest.finalize())))
}

#[cfg(test)]
mod tests;
