//! Proofs from what is stored: full tiles, and the partial ones of the head.

use super::head::{Head, damaged};
use super::keys::ChainId;
use crate::hash::Digest;
use crate::store::{Family, Snapshot, StoreError};
use crate::tree::{HashSource, TILE_WIDTH, decode_tile};

/// The tree's hashes as one snapshot has them.
pub(super) struct StoredHashes<'a> {
    pub(super) snapshot: &'a dyn Snapshot,
    pub(super) id: ChainId,
    /// The head in the same snapshot.
    pub(super) head: &'a Head,
}

impl StoredHashes<'_> {
    /// The full tile `n` of `level`; none if it is not stored.
    pub(super) fn tile(&self, level: u8, n: u64) -> Result<Option<Vec<Digest>>, StoreError> {
        let Some(bytes) = self.snapshot.get(Family::Tiles, &self.id.tile(level, n).bytes)? else { return Ok(None) };
        let hashes = decode_tile(&bytes).ok_or_else(|| damaged("tiles"))?;
        Ok(Some(hashes.to_vec()))
    }
}

impl HashSource for StoredHashes<'_> {
    fn hashes(&self, level: u8, first: u64, count: usize) -> Result<Vec<Digest>, StoreError> {
        let width = TILE_WIDTH as u64;
        let (n, place) = (first / width, usize::try_from(first % width).unwrap_or(usize::MAX));
        let tiles_full = self.head.size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
        let tile = if n < tiles_full {
            self.tile(level, n)?.ok_or_else(|| damaged("tiles"))?
        } else {
            self.head.tree.partial(level).to_vec()
        };
        let wanted = tile.get(place..place.saturating_add(count));
        wanted.map(<[Digest]>::to_vec).ok_or_else(|| damaged("tiles"))
    }
}
