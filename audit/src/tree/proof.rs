//! Proofs of RFC 6962: that a leaf is in a tree, and that a tree is the beginning of a larger one.
//!
//! SECURITY: verification is total and refuses by length before it hashes anything. Making a proof reads stored hashes
//! only: every aligned subtree is one stored hash or a fold inside one tile.

use super::tile::{TILE_HEIGHT, fold};
use crate::hash::{self, Digest};
use crate::store::StoreError;

/// No proof has more hashes: one for each level.
pub const PROOF_HASHES_MAX: usize = 64;

/// Stored hashes of a tree: full tiles, and the partial ones at its right edge.
pub trait HashSource {
    /// Hashes `first` to `first + count` of `level`: hash `i` of a level is hash `i % 256` of its tile `i / 256`. All
    /// of them lie in one tile; `count` is a power of two below 256.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read; [`StoreError::Damaged`] if they should be there and are not.
    fn hashes(&self, level: u8, first: u64, count: usize) -> Result<Vec<Digest>, StoreError>;
}

/// Why no proof could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The record is not in the tree.
    #[error("index `{index}` is not below the size `{size}`")]
    Index {
        /// The record's index.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// The first tree is the larger one.
    #[error("the old size `{old}` is above the new size `{new}`")]
    Sizes {
        /// Size of the first tree.
        old: u64,
        /// Size of the second.
        new: u64,
    },
    /// The stored hashes cannot be read.
    #[error(transparent)]
    Source(#[from] StoreError),
}

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The index is not below the size.
    #[error("the index is not below the size")]
    Index,
    /// The old size is above the new one.
    #[error("the old size is above the new size")]
    Sizes,
    /// Not as many hashes as index and sizes ask for.
    #[error("the proof has `{found}` hashes instead of `{expected}`")]
    Length {
        /// How many it has.
        found: usize,
        /// How many it would have to have.
        expected: usize,
    },
    /// It leads to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// Proof that the leaf at `index` is in the tree of `size` leaves; the leaf's sibling first (RFC 6962, 2.1.1).
///
/// # Errors
/// [`ProofError`] if the index is not below the size, or stored hashes cannot be read.
pub fn inclusion_proof(index: u64, size: u64, source: &dyn HashSource) -> Result<Vec<Digest>, ProofError> {
    if index >= size {
        return Err(ProofError::Index { index, size });
    }
    let mut largest_first = Vec::with_capacity(PROOF_HASHES_MAX);
    let mut at = Range { start: 0, size };
    while let Some((left, right)) = at.split() {
        let (here, sibling) = if index < right.start { (left, right) } else { (right, left) };
        largest_first.push(sibling.root(source)?);
        at = here;
    }
    largest_first.reverse();
    Ok(largest_first)
}

/// Proof that the tree of `old` leaves is the beginning of that of `new` leaves (RFC 6962, 2.1.2); empty from 0 and
/// between equal sizes.
///
/// # Errors
/// [`ProofError`] if `old` is above `new`, or stored hashes cannot be read.
pub fn consistency_proof(old: u64, new: u64, source: &dyn HashSource) -> Result<Vec<Digest>, ProofError> {
    if old > new {
        return Err(ProofError::Sizes { old, new });
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let mut largest_first = Vec::with_capacity(PROOF_HASHES_MAX);
    let mut at = Range { start: 0, size: new };
    while at.end() != old
        && let Some((left, right)) = at.split()
    {
        let (here, sibling) = if old <= right.start { (left, right) } else { (right, left) };
        largest_first.push(sibling.root(source)?);
        at = here;
    }
    if at.start != 0 {
        largest_first.push(at.root(source)?);
    }
    largest_first.reverse();
    Ok(largest_first)
}

/// Neighbouring leaves that form a subtree of the recursive definition.
#[derive(Clone, Copy)]
struct Range {
    start: u64,
    size: u64,
}

impl Range {
    const fn end(self) -> u64 {
        self.start.saturating_add(self.size)
    }

    /// The two halves of the definition: the largest power of two below the size, and the rest.
    fn split(self) -> Option<(Self, Self)> {
        let below = self.size.checked_sub(1)?.checked_ilog2()?;
        let left = Self { start: self.start, size: 1 << below };
        Some((left, Self { start: left.end(), size: self.size.saturating_sub(left.size) }))
    }

    /// The subtree's root: one stored hash, a fold inside one tile, or the node over its halves.
    fn root(self, source: &dyn HashSource) -> Result<Digest, StoreError> {
        if self.size.is_power_of_two() {
            let height = self.size.ilog2();
            let level = u8::try_from(height / TILE_HEIGHT).unwrap_or(u8::MAX);
            let count = 1_usize << (height % TILE_HEIGHT);
            let first = self.start >> (height - height % TILE_HEIGHT);
            let hashes = source.hashes(level, first, count)?;
            if hashes.len() != count {
                return Err(StoreError::Damaged(format!("level `{level}` lacks hashes from `{first}` on")));
            }
            return Ok(fold(&hashes));
        }
        match self.split() {
            Some((left, right)) => Ok(hash::node(&left.root(source)?, &right.root(source)?)),
            None => Ok(hash::empty_root()),
        }
    }
}

/// Checks that `leaf` is at `index` in the tree of `size` leaves with this `root`.
///
/// # Errors
/// [`VerifyError`], by length before anything is hashed.
pub fn verify_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    proof: &[Digest],
    root: &Digest,
) -> Result<(), VerifyError> {
    if index >= size {
        return Err(VerifyError::Index);
    }
    let (inner, border) = path_lengths(index, size);
    check_length(proof, inner, border)?;
    let (inner_hashes, border_hashes) = split(proof, inner);
    let mut hash = *leaf;
    for (level, sibling) in inner_hashes.iter().enumerate() {
        hash = if index >> level & 1 == 0 { hash::node(&hash, sibling) } else { hash::node(sibling, &hash) };
    }
    for sibling in border_hashes {
        hash = hash::node(sibling, &hash);
    }
    if hash == *root { Ok(()) } else { Err(VerifyError::Root) }
}

/// Checks that the tree of `old` leaves with `old_root` is the beginning of that of `new` leaves with `new_root`.
///
/// # Errors
/// [`VerifyError`], by length before anything is hashed.
pub fn verify_consistency(
    old: u64,
    new: u64,
    proof: &[Digest],
    old_root: &Digest,
    new_root: &Digest,
) -> Result<(), VerifyError> {
    if old > new {
        return Err(VerifyError::Sizes);
    }
    if old == new || old == 0 {
        check_length(proof, 0, 0)?;
        let right = if old == new { old_root == new_root } else { *old_root == hash::empty_root() };
        return if right { Ok(()) } else { Err(VerifyError::Root) };
    }
    let (inner, border) = path_lengths(old - 1, new);
    let shift = old.trailing_zeros();
    let inner = inner.saturating_sub(shift);
    let (seed, proof) = match proof.split_first() {
        _ if old.is_power_of_two() => (old_root, proof),
        Some((seed, rest)) => (seed, rest),
        None => {
            return Err(VerifyError::Length { found: 0, expected: hashes(inner, border).saturating_add(1) });
        }
    };
    check_length(proof, inner, border)?;
    let (first, second) = climb(seed, (old - 1) >> shift, split(proof, inner));
    if first == *old_root && second == *new_root { Ok(()) } else { Err(VerifyError::Root) }
}

/// From the seed to both roots: hashes on the left belong to both trees, those on the right to the larger one.
fn climb(seed: &Digest, path: u64, (inner, border): (&[Digest], &[Digest])) -> (Digest, Digest) {
    let (mut first, mut second) = (*seed, *seed);
    for (level, sibling) in inner.iter().enumerate() {
        if path >> level & 1 == 1 {
            first = hash::node(sibling, &first);
            second = hash::node(sibling, &second);
        } else {
            second = hash::node(&second, sibling);
        }
    }
    for sibling in border {
        first = hash::node(sibling, &first);
        second = hash::node(sibling, &second);
    }
    (first, second)
}

/// How many hashes of a path lie beside the tree's right edge (`inner`), and how many on it (`border`).
const fn path_lengths(index: u64, size: u64) -> (u32, u32) {
    let inner = u64::BITS - (index ^ size.saturating_sub(1)).leading_zeros();
    let above = match index.checked_shr(inner) {
        Some(above) => above,
        None => 0,
    };
    (inner, above.count_ones())
}

/// At most [`PROOF_HASHES_MAX`], as a path has one hash for each level.
fn hashes(inner: u32, border: u32) -> usize {
    usize::try_from(inner.saturating_add(border)).unwrap_or(PROOF_HASHES_MAX)
}

fn check_length(proof: &[Digest], inner: u32, border: u32) -> Result<(), VerifyError> {
    let expected = hashes(inner, border);
    if proof.len() == expected { Ok(()) } else { Err(VerifyError::Length { found: proof.len(), expected }) }
}

fn split(proof: &[Digest], inner: u32) -> (&[Digest], &[Digest]) {
    proof.split_at_checked(hashes(inner, 0)).unwrap_or((proof, &[]))
}
