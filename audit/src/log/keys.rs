//! Keys of the log's own rows. Every key begins with the chain id, so that several logs can share a store.

use std::ops::Range;

use crate::hash::{self, Digest};
use crate::store::{Family, Key};

/// Length of a chain id, in bytes.
const CHAIN: usize = 8;

/// The chain id of a log: the first 8 bytes of its chain's start value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChainId(pub(super) [u8; CHAIN]);

impl ChainId {
    /// The id of the chain that begins with `start`.
    pub(super) fn of(start: &Digest) -> Self {
        Self(hash::chain_id(start))
    }

    pub(super) fn record(self, index: u64) -> Key {
        Key::new(Family::Records, self.numbered(&[], index))
    }

    pub(super) fn records(self, range: Range<u64>) -> Range<Vec<u8>> {
        self.numbered(&[], range.start)..self.numbered(&[], range.end)
    }

    pub(super) fn tile(self, level: u8, n: u64) -> Key {
        Key::new(Family::Tiles, self.numbered(&[level], n))
    }

    pub(super) fn state(self, name: &str) -> Key {
        Key::new(Family::State, self.named(name.as_bytes()))
    }

    pub(super) fn checkpoint(self, size: u64) -> Key {
        Key::new(Family::Checkpoints, self.numbered(&[], size))
    }

    pub(super) fn follower(self, name: &str) -> Key {
        Key::new(Family::Followers, self.named(name.as_bytes()))
    }

    /// `chain id || name || be64 number`.
    pub(super) fn numbered(self, name: &[u8], number: u64) -> Vec<u8> {
        let mut key = Vec::with_capacity(CHAIN + name.len() + CHAIN);
        key.extend_from_slice(&self.0);
        key.extend_from_slice(name);
        key.extend_from_slice(&number.to_be_bytes());
        key
    }

    /// `chain id || name`.
    pub(super) fn named(self, name: &[u8]) -> Vec<u8> {
        let mut key = Vec::with_capacity(CHAIN + name.len());
        key.extend_from_slice(&self.0);
        key.extend_from_slice(name);
        key
    }

    /// All keys that begin with `chain id || name`.
    pub(super) fn all(self, name: &[u8]) -> Range<Vec<u8>> {
        let from = self.named(name);
        let to = successor(&from);
        from..to
    }
}

/// The number at a key's end.
pub(super) fn number(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// What stands behind the chain id.
pub(super) fn behind_chain(key: &[u8]) -> &[u8] {
    key.get(CHAIN..).unwrap_or_default()
}

/// The smallest key above every key that begins with `prefix`, which is not all 0xff.
pub(super) fn successor(prefix: &[u8]) -> Vec<u8> {
    let mut key = prefix.to_vec();
    while let Some(last) = key.pop() {
        if let Some(next) = last.checked_add(1) {
            key.push(next);
            break;
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successors_lie_above_all_that_begins_alike() {
        assert_eq!(successor(&[1, 2]), [1, 3]);
        assert_eq!(successor(&[1, 0xff, 0xff]), [2]);
    }

    #[test]
    fn keys_begin_with_the_chain_and_end_with_the_number() {
        let key = ChainId([7; 8]).tile(2, 0x0102);
        assert_eq!(key.bytes, [7, 7, 7, 7, 7, 7, 7, 7, 2, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(number(&key.bytes), Some(0x0102));
        assert_eq!(behind_chain(&key.bytes).first(), Some(&2));
    }
}
