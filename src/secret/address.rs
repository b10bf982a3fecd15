//! Where rows lie in the family `secrets`:
//!
//! | key | row |
//! |---|---|
//! | `s` name | the secret of that name ([`super::row::SecretRow`]), code (32) |
//! | `v` secret id (16) value id (16) | a sealed value ([`super::SealedValue`]); never rewritten but by a re-wrap |
//! | `n` shard (u8) | secrets held whose name falls into that shard (be64) |
//! | `c` creator number (be64) | the principal that the number stands for, code (32) |
//!
//! The code authenticates row and place ([`crate::keys::RowKey`]).
//!
//! INVARIANT I6: the name's own bytes are the key; no two names share a row, and no name is transformed.
//!
//! The number of secrets is spread over [`SHARDS`] rows: one row would make every creation conflict with every other
//! one of its batch.

use keyward_audit::store::{Family, Key};
use sha2::{Digest as _, Sha256};

use super::id::{SecretId, ValueId};
use crate::resource::{CreatorNumber, SecretName};

const SECRET: u8 = b's';
const VALUE: u8 = b'v';
const COUNT: u8 = b'n';
const CREATOR: u8 = b'c';

/// Rows over which the number of secrets is spread.
pub const SHARDS: usize = 256;

fn key(tag: u8, parts: &[&[u8]]) -> Key {
    let mut bytes = vec![tag];
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    Key::new(Family::Secrets, bytes)
}

/// The row of the secret `name`.
#[must_use]
pub fn secret(name: &SecretName) -> Key {
    key(SECRET, &[name.as_str().as_bytes()])
}

/// The range `[from, to)` of all secrets, by the bytes of their names.
#[must_use]
pub fn secrets() -> (Vec<u8>, Vec<u8>) {
    (vec![SECRET], vec![SECRET + 1])
}

/// The row of one stored value.
#[must_use]
pub fn value(secret: SecretId, value: ValueId) -> Key {
    key(VALUE, &[secret.as_bytes(), value.as_bytes()])
}

/// The range `[from, to)` of all stored values of a secret.
#[must_use]
pub fn values(secret: SecretId) -> (Vec<u8>, Vec<u8>) {
    // Behind every value id of this secret and before the next secret id: its key with one byte more than any has.
    let last = key(VALUE, &[secret.as_bytes(), &[0xff; 17]]).bytes;
    (key(VALUE, &[secret.as_bytes()]).bytes, last)
}

/// The row that counts the secrets of a shard.
#[must_use]
pub fn count(shard: u8) -> Key {
    key(COUNT, &[&[shard]])
}

/// The range `[from, to)` of all counts.
#[must_use]
pub fn counts() -> (Vec<u8>, Vec<u8>) {
    (vec![COUNT], vec![COUNT + 1])
}

/// The shard that `name` is counted in: the first byte of its SHA-256.
#[must_use]
pub fn shard(name: &SecretName) -> u8 {
    let [first, ..] = <[u8; 32]>::from(Sha256::digest(name.as_str()));
    first
}

/// The row that says whose a creator number is.
#[must_use]
pub fn creator(number: CreatorNumber) -> Key {
    key(CREATOR, &[&number.get().to_be_bytes()])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> SecretName {
        SecretName::parse(text).unwrap()
    }

    #[test]
    fn i06_a_secret_is_keyed_by_its_own_bytes() {
        assert_eq!(secret(&name("prod/pay/db")).bytes, b"sprod/pay/db");
        for (one, other) in [("a", "A"), ("a/b", "a.b"), ("a", "aa"), ("prod/x", "prod/X")] {
            assert_ne!(secret(&name(one)), secret(&name(other)));
        }
    }

    #[test]
    fn rows_lie_in_the_ranges_that_are_scanned_for_them() {
        let (id, other) = (SecretId::from([0xff; 16]), SecretId::from([0; 16]));
        let within = |key: &Key, (from, to): (Vec<u8>, Vec<u8>)| key.bytes >= from && key.bytes < to;
        for bytes in [[0; 16], [0x80; 16], [0xff; 16]] {
            assert!(within(&value(id, bytes.into()), values(id)));
            assert!(within(&value(other, bytes.into()), values(other)));
            assert!(!within(&value(other, bytes.into()), values(id)));
            assert!(!within(&value(id, bytes.into()), values(other)));
            assert!(!within(&value(id, bytes.into()), secrets()));
        }
        assert!(within(&count(0), counts()) && within(&count(255), counts()));
        assert!(within(&secret(&name("z")), secrets()));
        assert!(!within(&creator(CreatorNumber::new(1).unwrap()), secrets()));
    }

    proptest! {
        #[test]
        fn i06_different_names_have_different_rows(
            one in "[A-Za-z0-9][A-Za-z0-9_+=@-]{0,20}(/[a-z]{1,5}){0,3}",
            other in "[A-Za-z0-9][A-Za-z0-9_+=@-]{0,20}(/[a-z]{1,5}){0,3}",
        ) {
            prop_assert_eq!(secret(&name(&one)) == secret(&name(&other)), one == other);
        }
    }
}
