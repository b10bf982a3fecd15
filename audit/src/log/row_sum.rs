//! Sets of rows compared without looking one up: each row is hashed under a key that nobody knew when it was written, and
//! the hashes are added. Two sets that differ have equal sums with a chance of 2^-128.
//!
//! The order does not matter, so one side can come record by record and the other as the store holds it.

use crate::hash;

/// A set of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowSum {
    key: [u8; 32],
    sum: u128,
    count: u64,
}

impl RowSum {
    /// The empty set, under a key that is random.
    pub(super) const fn new(key: [u8; 32]) -> Self {
        Self { key, sum: 0, count: 0 }
    }

    /// An empty set that may be compared with this one.
    pub(super) const fn empty(&self) -> Self {
        Self::new(self.key)
    }

    /// How many rows it has.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Adds a row that it does not have yet.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        let mut bytes = Vec::with_capacity(self.key.len() + 8 + key.len() + value.len());
        bytes.extend_from_slice(&self.key);
        bytes.extend_from_slice(&(key.len() as u64).to_be_bytes());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = hash::sha256(&bytes);
        let hashed = u128::from_be_bytes([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]);
        self.sum = self.sum.wrapping_add(hashed);
        self.count = self.count.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(key: u8, rows: &[(&[u8], &[u8])]) -> RowSum {
        let mut sum = RowSum::new([key; 32]);
        rows.iter().for_each(|(key, value)| sum.add(key, value));
        sum
    }

    #[test]
    fn sets_are_equal_in_any_order_and_differ_by_any_row() {
        let rows: [(&[u8], &[u8]); 4] = [(b"a", b"1"), (b"b", b""), (b"", b"b"), (b"ab", b"c")];
        let all = sum(1, &rows);
        let mut turned = rows;
        turned.reverse();
        assert_eq!(all, sum(1, &turned));
        for left_out in 0..rows.len() {
            let fewer: Vec<_> =
                rows.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, row)| *row).collect();
            assert_ne!(all.sum, sum(1, &fewer).sum);
        }
        assert_ne!(sum(1, &[(b"a", b"bc")]), sum(1, &[(b"ab", b"c")]), "where a key ends is part of it");
        assert_ne!(sum(1, &[(b"a", b"1")]).sum, sum(2, &[(b"a", b"1")]).sum, "nobody can say without the key");
    }
}
