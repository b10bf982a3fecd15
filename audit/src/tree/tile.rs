//! Tiles: the tree's hashes in the blocks in which they are stored (tlog-tiles v0.1.0).
//!
//! Hash `i` of tile `n` at level `l` is the root over the records `[(n*256+i)*256^l, (n*256+i+1)*256^l)`. A full tile
//! is 256 hashes; only full ones are stored by themselves, the partial ones are part of the tree's state.

use super::frontier::{Frontier, StateError, read_hashes, split_size};
use crate::hash::{self, DIGEST_BYTES, Digest};

/// Hashes in a full tile.
pub const TILE_WIDTH: usize = 256;
/// Bytes of a full tile.
pub const TILE_BYTES: usize = TILE_WIDTH * DIGEST_BYTES;
/// Levels of a tree of any size below 2^64.
pub(super) const LEVELS: u8 = 8;
/// Tree levels that one tile spans: 256 = 2^8.
pub(super) const TILE_HEIGHT: u32 = 8;

/// A tile that has just become full and is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullTile {
    /// Its level, from 0.
    pub level: u8,
    /// Its place in the level, from 0.
    pub n: u64,
    /// Its 256 hashes: [`TILE_BYTES`] bytes.
    pub bytes: Vec<u8>,
}

/// How many hashes the partial tile at `level` has in a tree of `size` leaves: 0 to 255.
#[must_use]
pub const fn tile_width(size: u64, level: u8) -> usize {
    if level >= LEVELS {
        return 0;
    }
    let [width, ..] = (size >> (level as u32 * TILE_HEIGHT)).to_le_bytes();
    width as usize
}

/// Reads a full tile's bytes.
#[must_use]
pub fn decode_tile(bytes: &[u8]) -> Option<&[Digest; TILE_WIDTH]> {
    let (hashes, rest) = bytes.as_chunks::<DIGEST_BYTES>();
    if rest.is_empty() { hashes.try_into().ok() } else { None }
}

/// A tree that is being appended to: frontier and partial tiles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    frontier: Frontier,
    /// INVARIANT: level `l` has `tile_width(size, l)` hashes.
    partial: [Vec<Digest>; LEVELS as usize],
}

impl Tree {
    /// The empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many leaves it has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Its root.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.frontier.root()
    }

    /// Its frontier.
    #[must_use]
    pub const fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// The partial tile at `level`: at most 255 hashes, none from level 8 on.
    #[must_use]
    pub fn partial(&self, level: u8) -> &[Digest] {
        self.partial.get(usize::from(level)).map_or(&[], Vec::as_slice)
    }

    /// Appends a leaf; the tiles that it fills go to the end of `full`, lowest level first.
    pub fn push(&mut self, leaf: Digest, full: &mut Vec<FullTile>) {
        let size = self.size().saturating_add(1);
        let partial = &mut self.partial;
        self.frontier.push_noting(leaf, |height, hash| {
            if height % TILE_HEIGHT == 0
                && let Ok(level) = u8::try_from(height / TILE_HEIGHT)
                && let Some(hashes) = partial.get_mut(usize::from(level))
            {
                append(hashes, *hash, size, level, full);
            }
        });
    }

    /// `be64(size)`, then the hashes of the partial tiles, level 0 first: how many each level has follows from the
    /// size.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.size().to_be_bytes().to_vec();
        for hashes in &self.partial {
            bytes.extend_from_slice(hashes.as_flattened());
        }
        bytes
    }

    /// Reads what [`Tree::encode`] wrote. The frontier is folded from the partial tiles.
    ///
    /// # Errors
    /// [`StateError`] if the length does not fit the size.
    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let (size, hashes) = split_size(bytes)?;
        let widths = (0..LEVELS).map(|level| tile_width(size, level));
        let mut hashes = read_hashes(size, hashes, widths.sum::<usize>().try_into().unwrap_or(u64::MAX))?.iter();
        let partial = std::array::from_fn(|level| {
            let width = u8::try_from(level).map_or(0, |level| tile_width(size, level));
            let mut tile = Vec::with_capacity(TILE_WIDTH);
            tile.extend(hashes.by_ref().take(width));
            tile
        });
        Ok(Self { frontier: fold_frontier(size, &partial), partial })
    }
}

/// Puts one more hash into a level; hands the tile out when it is full. `size` is that of the tree after the push.
fn append(hashes: &mut Vec<Digest>, hash: Digest, size: u64, level: u8, full: &mut Vec<FullTile>) {
    if hashes.capacity() < TILE_WIDTH {
        hashes.reserve_exact(TILE_WIDTH.saturating_sub(hashes.len()));
    }
    hashes.push(hash);
    if hashes.len() == TILE_WIDTH {
        let tiles = size >> (u32::from(level) * TILE_HEIGHT) >> TILE_HEIGHT;
        full.push(FullTile { level, n: tiles.saturating_sub(1), bytes: hashes.as_flattened().to_vec() });
        hashes.clear();
    }
}

/// The perfect subtrees of a tree, from its partial tiles: each bit of a level's width is one subtree in that tile.
fn fold_frontier(size: u64, partial: &[Vec<Digest>]) -> Frontier {
    let mut largest_first = Vec::new();
    for hashes in partial.iter().rev() {
        let mut rest = hashes.as_slice();
        for height in (0..TILE_HEIGHT).rev() {
            if rest.len() & (1 << height) != 0
                && let Some((subtree, behind)) = rest.split_at_checked(1 << height)
            {
                largest_first.push(fold(subtree));
                rest = behind;
            }
        }
    }
    Frontier::from_roots(size, largest_first.into_iter())
}

/// The root over neighbouring hashes, whose number is a power of two.
pub(super) fn fold(hashes: &[Digest]) -> Digest {
    let mut layer = hashes.to_vec();
    while layer.len() > 1 {
        let (pairs, _) = layer.as_chunks::<2>();
        layer = pairs.iter().map(|[left, right]| hash::node(left, right)).collect();
    }
    layer.first().copied().unwrap_or_else(hash::empty_root)
}
