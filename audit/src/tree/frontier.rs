//! The frontier: the roots of the perfect subtrees that a tree of some size consists of, largest first.

use crate::hash::{self, DIGEST_BYTES, Digest};

/// Most roots a frontier can have: one for each bit of the size.
const ROOTS_MAX: usize = 64;
/// Bytes of an encoded size.
const SIZE_BYTES: usize = 8;

/// Why stored bytes are no state of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Shorter than a size.
    #[error("the tree's state has `{0}` bytes, too few for a size")]
    NoSize(usize),
    /// Not as long as its size asks for.
    #[error("the tree's state of size `{size}` has `{found}` bytes instead of `{expected}`")]
    Length {
        /// The size it states.
        size: u64,
        /// How long it is.
        found: usize,
        /// How long it would have to be.
        expected: usize,
    },
}

/// The perfect subtrees of a tree, one for each bit of its size that is set.
#[derive(Debug, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// INVARIANT: as many as `size` has bits set; capacity [`ROOTS_MAX`], so that a push allocates nothing.
    roots: Vec<Digest>,
}

impl Frontier {
    /// The frontier of the empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self { size: 0, roots: Vec::with_capacity(ROOTS_MAX) }
    }

    /// How many leaves the tree has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the perfect subtrees, largest first.
    #[must_use]
    pub fn roots(&self) -> &[Digest] {
        &self.roots
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: Digest) {
        self.push_noting(leaf, |_, _| {});
    }

    /// Appends a leaf and tells `note` of every perfect subtree that it completes, the leaf itself (height 0) first.
    pub(super) fn push_noting(&mut self, leaf: Digest, mut note: impl FnMut(u32, &Digest)) {
        note(0, &leaf);
        let mut hash = leaf;
        for height in 1..=self.size.trailing_ones() {
            let Some(left) = self.roots.pop() else { break };
            hash = hash::node(&left, &hash);
            note(height, &hash);
        }
        self.roots.push(hash);
        self.size = self.size.saturating_add(1);
    }

    /// The tree's root; `SHA-256("")` when it is empty.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut smallest_first = self.roots.iter().rev();
        let Some(smallest) = smallest_first.next() else {
            return hash::empty_root();
        };
        smallest_first.fold(*smallest, |right, left| hash::node(left, &right))
    }

    /// `be64(size)`, then the roots, largest first.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SIZE_BYTES + self.roots.len() * DIGEST_BYTES);
        bytes.extend_from_slice(&self.size.to_be_bytes());
        bytes.extend_from_slice(self.roots.as_flattened());
        bytes
    }

    /// Reads what [`Frontier::encode`] wrote.
    ///
    /// # Errors
    /// [`StateError`] if the length does not fit the size.
    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let (size, hashes) = split_size(bytes)?;
        let hashes = read_hashes(size, hashes, u64::from(size.count_ones()))?;
        let mut frontier = Self { size, roots: Vec::with_capacity(ROOTS_MAX) };
        frontier.roots.extend_from_slice(hashes);
        Ok(frontier)
    }

    /// The frontier whose perfect subtrees are already known.
    pub(super) fn from_roots(size: u64, largest_first: impl Iterator<Item = Digest>) -> Self {
        let mut roots = Vec::with_capacity(ROOTS_MAX);
        roots.extend(largest_first);
        Self { size, roots }
    }
}

impl Default for Frontier {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Frontier {
    fn clone(&self) -> Self {
        Self::from_roots(self.size, self.roots.iter().copied())
    }
}

/// Takes the size off the front of a state's bytes.
pub(super) fn split_size(bytes: &[u8]) -> Result<(u64, &[u8]), StateError> {
    let (size, rest) = bytes.split_first_chunk::<SIZE_BYTES>().ok_or(StateError::NoSize(bytes.len()))?;
    Ok((u64::from_be_bytes(*size), rest))
}

/// The hashes behind the size: exactly `count` of them.
pub(super) fn read_hashes(size: u64, bytes: &[u8], count: u64) -> Result<&[Digest], StateError> {
    let (hashes, rest) = bytes.as_chunks::<DIGEST_BYTES>();
    if rest.is_empty() && u64::try_from(hashes.len()) == Ok(count) {
        return Ok(hashes);
    }
    let expected = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(DIGEST_BYTES).saturating_add(SIZE_BYTES);
    Err(StateError::Length { size, found: bytes.len().saturating_add(SIZE_BYTES), expected })
}
