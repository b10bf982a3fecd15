//! The Merkle tree over the leaves, that of RFC 6962 2.1 unchanged (`SPEC.md` 4).
//!
//! [`Frontier`] is the least that goes on appending: the roots of the perfect subtrees. [`Tree`] keeps the partial
//! tiles besides, so that every full tile is handed out the moment it fills. Proofs: [`inclusion_proof`],
//! [`consistency_proof`] make them from stored tiles, [`verify_inclusion`], [`verify_consistency`] check them.
//!
//! INVARIANT I7: every record is in the tree before it is acknowledged; proofs are those of the RFC.
//! If the process dies, the tree is what the store's last batch says: nothing here outlives it.

mod frontier;
mod proof;
mod tile;

#[cfg(test)]
mod tests;

pub use frontier::{Frontier, StateError};
pub use proof::{
    HashSource, PROOF_HASHES_MAX, ProofError, VerifyError, consistency_proof, inclusion_proof, verify_consistency,
    verify_inclusion,
};
pub use tile::{FullTile, TILE_BYTES, TILE_WIDTH, Tree, decode_tile, tile_width};
