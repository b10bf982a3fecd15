//! Hashes of the commitment: leaf, node and chain (`SPEC.md` 3).
//!
//! INVARIANT I7: three prefixes keep the three uses of SHA-256 apart (0x00 leaf, 0x01 node, 0x02 chain), so that no
//! inner node can be offered as a leaf. Pure computation: nothing here is lost when the process dies.

use sha2::{Digest as _, Sha256};

/// A SHA-256 digest.
pub type Digest = [u8; DIGEST_BYTES];

/// Length of a digest, in bytes.
pub const DIGEST_BYTES: usize = 32;

/// What the chain's start value binds besides the log's first origin.
const CHAIN_DOMAIN: &[u8] = b"keyward-audit-chain/v1\n";

/// A record's leaf: `SHA-256(0x00 || record)` (RFC 6962, 2.1).
#[must_use]
pub fn leaf(record: &[u8]) -> Digest {
    Sha256::new().chain_update([0x00]).chain_update(record).finalize().into()
}

/// An inner node: `SHA-256(0x01 || left || right)` (RFC 6962, 2.1).
#[must_use]
pub fn node(left: &Digest, right: &Digest) -> Digest {
    Sha256::new().chain_update([0x01]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of the tree without records: `SHA-256("")`.
#[must_use]
pub fn empty_root() -> Digest {
    Sha256::digest(b"").into()
}

/// The chain before record 0. `origin` is the *first* origin of the log; a later one never changes it.
#[must_use]
pub fn chain_start(origin: &str) -> Digest {
    Sha256::new().chain_update(CHAIN_DOMAIN).chain_update(origin).chain_update(b"\n").finalize().into()
}

/// The chain after a record: `SHA-256(0x02 || chain before || leaf)`.
#[must_use]
pub fn chain_next(before: &Digest, leaf: &Digest) -> Digest {
    Sha256::new().chain_update([0x02]).chain_update(before).chain_update(leaf).finalize().into()
}

/// The chain id: the first 8 bytes of the chain's start value.
#[must_use]
pub fn chain_id(start: &Digest) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = *start;
    [a, b, c, d, e, f, g, h]
}

/// SHA-256 of any bytes: `H` of the specification.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests;
