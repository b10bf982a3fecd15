//! Proofs from what is stored: full tiles, and the partial ones of the head.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::Log;
use super::head::{Head, damaged};
use super::keys::ChainId;
use super::retention;
use super::shared::Shared;
use crate::checkpoint::Checkpoint;
use crate::hash::{self, Digest};
use crate::store::{Family, Snapshot, StoreError};
use crate::tree::{self, HashSource, ProofError, TILE_WIDTH, decode_tile};

/// First line of a `.tlog-proof`.
const PROOF_TITLE: &str = "c2sp.org/tlog-proof@v1";

/// Proof that a record is in the log at a signed size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// The record's index.
    pub index: u64,
    /// Its leaf.
    pub leaf: Digest,
    /// The hashes, the leaf's sibling first.
    pub hashes: Vec<Digest>,
    /// The checkpoint that it leads to.
    pub checkpoint: Checkpoint,
    /// The checkpoint's signed note.
    pub note: String,
}

impl InclusionProof {
    /// The receipt: the text of a `.tlog-proof` (audit-evidence.md 2.3).
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{PROOF_TITLE}\nindex {}\n", self.index);
        for hash in &self.hashes {
            // Writing to a string cannot fail.
            let _written = writeln!(text, "{}", BASE64.encode(hash));
        }
        text.push('\n');
        text.push_str(&self.note);
        text
    }
}

impl Log {
    /// Proof that the record at `index` is in the log of `size` records. None if `size` was never signed, or `index`
    /// is not below it.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read now, or a stored hash does not fit.
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Result<Option<InclusionProof>, StoreError> {
        let proof = self.read(|rows| prove(rows, &self.shared, index, size))?;
        if proof.is_some() {
            retention::keep(&self.shared, size);
        }
        Ok(proof)
    }
}

fn prove(rows: &dyn Snapshot, log: &Shared, index: u64, size: u64) -> Result<Option<InclusionProof>, StoreError> {
    let Some((checkpoint, note)) = signed(rows, log.id, size)? else {
        return Ok(None);
    };
    let Some(record) = rows.get(Family::Records, &log.id.record(index).bytes)? else {
        return Ok(None);
    };
    let head = Head::load(rows, log.id)?.ok_or_else(|| damaged(super::head::HEAD))?;
    if index >= size || size > head.size {
        return Ok(None);
    }
    let source = StoredHashes { snapshot: rows, id: log.id, head: &head };
    let hashes = tree::inclusion_proof(index, size, &source).map_err(|error| match error {
        ProofError::Source(error) => error,
        other => StoreError::Damaged(other.to_string()),
    })?;
    let leaf = hash::leaf(&record);
    tree::verify_inclusion(&leaf, index, size, &hashes, &checkpoint.root)
        .map_err(|_| StoreError::Damaged(format!("index `{index}` does not lead to the signed root of `{size}`")))?;
    Ok(Some(InclusionProof { index, leaf, hashes, checkpoint, note }))
}

/// The checkpoint of `size`, if it was signed.
fn signed(rows: &dyn Snapshot, id: ChainId, size: u64) -> Result<Option<(Checkpoint, String)>, StoreError> {
    let Some(note) = rows.get(Family::Checkpoints, &id.checkpoint(size).bytes)? else {
        return Ok(None);
    };
    let read = read_note(&note).filter(|(checkpoint, _)| checkpoint.size == size);
    read.map(Some).ok_or_else(|| damaged("checkpoints"))
}

/// A stored note and what it says; it was signed here, and whoever gets it checks it.
pub(super) fn read_note(note: &[u8]) -> Option<(Checkpoint, String)> {
    let note = std::str::from_utf8(note).ok()?;
    let (text, _) = note.split_once("\n\n")?;
    let checkpoint = Checkpoint::parse(&format!("{text}\n")).ok()?;
    Some((checkpoint, note.to_owned()))
}

/// The full tile `n` of `level`; none if it is not stored.
pub(super) fn stored_tile(
    rows: &dyn Snapshot,
    id: ChainId,
    level: u8,
    n: u64,
) -> Result<Option<Vec<Digest>>, StoreError> {
    let Some(bytes) = rows.get(Family::Tiles, &id.tile(level, n).bytes)? else {
        return Ok(None);
    };
    let hashes = decode_tile(&bytes).ok_or_else(|| damaged("tiles"))?;
    Ok(Some(hashes.to_vec()))
}

/// The tree's hashes as one snapshot has them.
pub(super) struct StoredHashes<'a> {
    pub(super) snapshot: &'a dyn Snapshot,
    pub(super) id: ChainId,
    /// The head in the same snapshot.
    pub(super) head: &'a Head,
}

impl HashSource for StoredHashes<'_> {
    fn hashes(&self, level: u8, first: u64, count: usize) -> Result<Vec<Digest>, StoreError> {
        let width = TILE_WIDTH as u64;
        let (n, place) = (first / width, usize::try_from(first % width).unwrap_or(usize::MAX));
        let tiles_full = self.head.size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
        let tile = if n < tiles_full {
            stored_tile(self.snapshot, self.id, level, n)?.ok_or_else(|| damaged("tiles"))?
        } else {
            self.head.tree.partial(level).to_vec()
        };
        let wanted = tile.get(place..place.saturating_add(count));
        wanted.map(<[Digest]>::to_vec).ok_or_else(|| damaged("tiles"))
    }
}
