//! The raw export (audit-log.md 3): records, the note that covers exactly them, their leaves.
//!
//! A checkpoint is signed over all that was committed when it was asked for; the file is read in blocks, each on a
//! snapshot of its own (records never change), and never held as a whole.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::Log;
use super::head::{TILE, damaged};
use super::keys::number;
use super::proofs::stored_tile;
use super::retention;
use super::shared::Shared;
use crate::checkpoint::SignedCheckpoint;
use crate::event::Refused;
use crate::hash::{self, Digest};
use crate::store::{self, Family, StoreError};

/// Records in one chunk: two tiles, so that chunks of leaves begin where tiles do.
const BLOCK: u64 = 2 * TILE;
/// Leaves in one chunk.
const LEAVES: u64 = 32 * TILE;

/// Why an export cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// No checkpoint could be signed.
    #[error("no checkpoint can be signed now: {0}")]
    Checkpoint(Refused),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The chunks of an export file, in order. After an error there are no more: the file is then worthless.
#[derive(Debug)]
pub struct Export {
    log: Arc<Shared>,
    checkpoint: Arc<SignedCheckpoint>,
    next: Part,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Records(u64),
    Note,
    Leaves(u64),
    End,
}

impl Log {
    /// Begins an export of all that is committed at this moment.
    ///
    /// # Errors
    /// [`ExportError`] if no checkpoint can be signed.
    pub async fn export(&self) -> Result<Export, ExportError> {
        let checkpoint = self.checkpoint_now().await.map_err(ExportError::Checkpoint)?;
        retention::keep(&self.shared, checkpoint.checkpoint().size);
        Ok(Export { log: Arc::clone(&self.shared), checkpoint, next: Part::Records(0) })
    }
}

impl Export {
    /// The checkpoint over exactly the exported records.
    #[must_use]
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    fn size(&self) -> u64 {
        self.checkpoint.checkpoint().size
    }

    fn chunk(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        loop {
            match self.next {
                Part::Records(from) if from < self.size() => {
                    let to = from.saturating_add(BLOCK).min(self.size());
                    self.next = Part::Records(to);
                    return self.records(from, to).map(Some);
                }
                Part::Records(_) => self.next = Part::Note,
                Part::Note => {
                    self.next = Part::Leaves(0);
                    return Ok(Some(format!("\n{}\n", self.checkpoint.note()).into_bytes()));
                }
                Part::Leaves(from) if from < self.size() => {
                    let to = from.saturating_add(LEAVES).min(self.size());
                    self.next = Part::Leaves(to);
                    return self.leaves(from, to).map(Some);
                }
                Part::Leaves(_) | Part::End => {
                    self.next = Part::End;
                    return Ok(None);
                }
            }
        }
    }

    fn records(&self, from: u64, to: u64) -> Result<Vec<u8>, StoreError> {
        let mut lines = Vec::new();
        each_record(&self.log, from, to, |record| {
            lines.extend_from_slice(record);
            lines.push(b'\n');
        })?;
        Ok(lines)
    }

    /// Leaf lines, from full tiles, and for the rest from the records themselves.
    fn leaves(&self, from: u64, to: u64) -> Result<Vec<u8>, StoreError> {
        let full = to - to % TILE;
        let mut leaves = Vec::new();
        for n in from / TILE..full / TILE {
            leaves.extend(self.tile(n)?);
        }
        each_record(&self.log, full.max(from), to, |record| leaves.push(hash::leaf(record)))?;
        let mut lines = String::with_capacity(leaves.len().saturating_mul(45));
        for leaf in leaves {
            BASE64.encode_string(leaf, &mut lines);
            lines.push('\n');
        }
        Ok(lines.into_bytes())
    }

    fn tile(&self, n: u64) -> Result<Vec<Digest>, StoreError> {
        let tile = store::read(self.log.store.as_ref(), |rows| stored_tile(rows, self.log.id, 0, n))?;
        tile.ok_or_else(|| damaged("tiles"))
    }
}

/// Hands out the records `[from, to)`; all of them must be there.
pub(super) fn each_record(log: &Shared, from: u64, to: u64, mut each: impl FnMut(&[u8])) -> Result<(), StoreError> {
    let keys = log.id.records(from..to);
    let mut next = from;
    log.store.snapshot(&mut |rows| {
        rows.scan(Family::Records, &keys.start, &keys.end, false, &mut |key, record| {
            let expected = number(key) == Some(next);
            if expected {
                each(record);
                next = next.saturating_add(1);
            }
            expected
        })
    })?;
    if next == to { Ok(()) } else { Err(StoreError::Damaged(format!("the record at index `{next}` is missing"))) }
}

impl Iterator for Export {
    type Item = Result<Vec<u8>, ExportError>;

    fn next(&mut self) -> Option<Self::Item> {
        let chunk = self.chunk();
        if chunk.is_err() {
            self.next = Part::End;
        }
        chunk.map_err(ExportError::Store).transpose()
    }
}
