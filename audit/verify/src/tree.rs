//! Leaf, node and chain hashes, and the frontier of an RFC 6962 tree (`audit-log` specification, 2.1).

use sha2::{Digest as _, Sha256};

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// SHA-256 over the parts, joined.
pub(crate) fn hash(parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// `H(0x00 || record)`.
#[must_use]
pub fn leaf(record: &[u8]) -> Digest {
    hash(&[&[0], record])
}

fn node(left: &Digest, right: &Digest) -> Digest {
    hash(&[&[1], left, right])
}

/// The chain's value before record 0.
pub(crate) fn chain_start(origin: &str) -> Digest {
    hash(&[b"keyward-audit-chain/v1\n", origin.as_bytes(), b"\n"])
}

/// The chain's value after the record of this leaf.
pub(crate) fn chain_next(before: &Digest, leaf: &Digest) -> Digest {
    hash(&[&[2], before, leaf])
}

/// The roots of the perfect subtrees of a tree, one for each set bit of its size, largest first.
#[derive(Clone, Debug, Default)]
pub struct Frontier {
    size: u64,
    roots: Vec<Digest>,
}

impl Frontier {
    /// Leaves so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf: merges the last two subtrees once for each trailing 1 bit of the old size.
    pub fn push(&mut self, leaf: Digest) {
        let mut merged = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                merged = node(&left, &merged);
            }
        }
        self.roots.push(merged);
        self.size = self.size.saturating_add(1);
    }

    /// The root of the tree: the subtrees folded from the right; `H("")` of none.
    #[must_use]
    pub fn root(&self) -> Digest {
        let folded = self.roots.iter().rev().copied().reduce(|right, left| node(&left, &right));
        folded.unwrap_or_else(|| hash(&[]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::hex;

    const CT: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];

    /// MTH as RFC 6962 section 2.1 defines it.
    fn mth(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => hash(&[]),
            [one] => *one,
            many => {
                let half = many.len().next_power_of_two() / 2;
                node(&mth(&many[..half]), &mth(&many[half..]))
            }
        }
    }

    #[test]
    fn the_customary_vectors_give_their_roots_and_chain() {
        let mut tree = Frontier::default();
        let mut chain = chain_start("audit.example.com/keyward");
        let mut seen = vec![hex(&tree.root())];
        for entry in CT {
            tree.push(leaf(entry));
            chain = chain_next(&chain, &leaf(entry));
            seen.push(hex(&tree.root()));
        }
        assert_eq!(seen[0], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(seen[1], "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        assert_eq!(seen[3], "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77");
        assert_eq!(seen[7], "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c");
        assert_eq!(seen[8], "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
        assert_eq!(hex(&chain), "83d1be0a6f3b06c91a013db7886c349a79181d1c3bec69366c38f19ae9a686d2");
    }

    #[test]
    fn the_frontier_agrees_with_the_recursive_definition_at_every_size_to_1025() {
        let leaves: Vec<Digest> = (0..1025_u32).map(|n| leaf(&n.to_be_bytes())).collect();
        let mut tree = Frontier::default();
        for size in 0..=leaves.len() {
            assert_eq!(tree.root(), mth(&leaves[..size]), "size {size}");
            if let Some(next) = leaves.get(size) {
                tree.push(*next);
            }
        }
    }
}
