//! The oracle of the tree's tests, and a store for the tiles that a tree hands out.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::hash::{self, Digest};
use crate::store::StoreError;
use crate::tree::{FullTile, HashSource, TILE_WIDTH, Tree, decode_tile};

/// The definitions of RFC 6962 2.1, word for word: the naive oracle. It remembers the ranges that it has hashed.
pub(super) struct Definition {
    pub(super) leaves: Vec<Digest>,
    known: RefCell<HashMap<(u64, u64), Digest>>,
}

impl Definition {
    pub(super) fn new(leaves: Vec<Digest>) -> Self {
        Self { leaves, known: RefCell::default() }
    }

    pub(super) fn counting(size: u64) -> Self {
        Self::new((0..size).map(|index| hash::leaf(&index.to_be_bytes())).collect())
    }

    pub(super) fn mth(&self, from: u64, to: u64) -> Digest {
        match to - from {
            0 => hash::sha256(b""),
            1 => self.leaves[from as usize],
            n => {
                if let Some(known) = self.known.borrow().get(&(from, to)) {
                    return *known;
                }
                let middle = from + largest_power_of_two_below(n);
                let root = hash::node(&self.mth(from, middle), &self.mth(middle, to));
                self.known.borrow_mut().insert((from, to), root);
                root
            }
        }
    }

    pub(super) fn path(&self, m: u64, from: u64, to: u64) -> Vec<Digest> {
        if to - from == 1 {
            return Vec::new();
        }
        let k = largest_power_of_two_below(to - from);
        let (mut path, other) = if m < k {
            (self.path(m, from, from + k), self.mth(from + k, to))
        } else {
            (self.path(m - k, from + k, to), self.mth(from, from + k))
        };
        path.push(other);
        path
    }

    pub(super) fn subproof(&self, m: u64, from: u64, to: u64, whole: bool) -> Vec<Digest> {
        let n = to - from;
        if m == n {
            return if whole { Vec::new() } else { vec![self.mth(from, to)] };
        }
        let k = largest_power_of_two_below(n);
        let (mut proof, other) = if m <= k {
            (self.subproof(m, from, from + k, whole), self.mth(from + k, to))
        } else {
            (self.subproof(m - k, from + k, to, false), self.mth(from, from + k))
        };
        proof.push(other);
        proof
    }
}

fn largest_power_of_two_below(n: u64) -> u64 {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}

/// A tree with the full tiles that it handed out.
#[derive(Default)]
pub(super) struct Stored {
    pub(super) tree: Tree,
    pub(super) full: Vec<FullTile>,
}

impl Stored {
    pub(super) fn of(leaves: &[Digest]) -> Self {
        let mut stored = Self::default();
        for leaf in leaves {
            stored.tree.push(*leaf, &mut stored.full);
        }
        stored
    }

    fn tile(&self, level: u8, n: u64) -> &[Digest] {
        match self.full.iter().find(|tile| tile.level == level && tile.n == n) {
            Some(tile) => decode_tile(&tile.bytes).unwrap(),
            None => self.tree.partial(level),
        }
    }
}

impl HashSource for Stored {
    fn hashes(&self, level: u8, first: u64, count: usize) -> Result<Vec<Digest>, StoreError> {
        assert!(count.is_power_of_two() && count < TILE_WIDTH, "a range of {count}");
        let within = (first % 256) as usize;
        assert!(within + count <= TILE_WIDTH, "a range over a tile's edge");
        Ok(self.tile(level, first / 256).iter().skip(within).take(count).copied().collect())
    }
}
