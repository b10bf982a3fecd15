//! Where rows lie in the family `secrets`:
//!
//! | key | row |
//! |---|---|
//! | `s` name | the secret of that name ([`super::row::SecretRow`]), code (32) |
//! | `v` secret id (16) value id (16) | a sealed value ([`super::SealedValue`]); never rewritten but by a re-wrap |
//! | `n` shard (u8) | secrets held whose name falls into that shard (be64) |
//! | `e` expiry (be64 s) secret id (16) version id | nothing: a version that expires |
//! | `k` SSH key id | the name of the secret that is this key pair |
//! | `d` due time (be64 s) name | index (be64) of the DeleteSecret that a secret in PendingDelete waits by |
//! | `c` creator number (be64) | the principal that the number stands for, code (32) |
//!
//! The code authenticates row and place ([`crate::keys::RowKey`]). Rows that only point at others have none: whoever
//! follows one asks the secret itself.
//!
//! INVARIANT I6: the name's own bytes are the key; no two names share a row, and no name is transformed.
//!
//! The number of secrets is spread over [`SHARDS`] rows: one row would make every creation conflict with every other
//! one of its batch.

use keyward_audit::store::{Family, Key};
use sha2::{Digest as _, Sha256};

use super::id::{SecretId, SshKeyId, ValueId, VersionId};
use crate::resource::{CreatorNumber, SecretName};

const SECRET: u8 = b's';
const VALUE: u8 = b'v';
const COUNT: u8 = b'n';
const CREATOR: u8 = b'c';
const DELETION: u8 = b'd';
const EXPIRY: u8 = b'e';
const SSH_KEY: u8 = b'k';

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

/// Whether a row counts secrets.
#[must_use]
pub fn is_count(address: &[u8]) -> bool {
    address.first() == Some(&COUNT)
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

/// The row that says by which record a deletion is due at `due_at_s`.
#[must_use]
pub fn deletion(due_at_s: u64, name: &SecretName) -> Key {
    key(DELETION, &[&due_at_s.to_be_bytes(), name.as_str().as_bytes()])
}

/// The range `[from, to)` of deletions that are due at `now_s`.
#[must_use]
pub fn deletions(now_s: u64) -> (Vec<u8>, Vec<u8>) {
    let behind = now_s.checked_add(1).map(|next| key(DELETION, &[&next.to_be_bytes()]).bytes);
    (vec![DELETION], behind.unwrap_or_else(|| vec![DELETION + 1]))
}

/// Due time and name of a deletion's address.
#[must_use]
pub fn parse_deletion(address: &[u8]) -> Option<(u64, SecretName)> {
    let (due_at_s, name) = address.strip_prefix(&[DELETION])?.split_first_chunk()?;
    let name = std::str::from_utf8(name).ok().and_then(|name| SecretName::parse(name).ok())?;
    Some((u64::from_be_bytes(*due_at_s), name))
}

/// The row that says that a version expires at `expires_at_s`.
#[must_use]
pub fn expiry(expires_at_s: u64, secret: SecretId, version: &VersionId) -> Key {
    key(EXPIRY, &[&expires_at_s.to_be_bytes(), secret.as_bytes(), version.as_str().as_bytes()])
}

/// The range `[from, to)` of versions that expire at or before `at_s`.
#[must_use]
pub fn expiries(at_s: u64) -> (Vec<u8>, Vec<u8>) {
    let behind = at_s.checked_add(1).map(|next| key(EXPIRY, &[&next.to_be_bytes()]).bytes);
    (vec![EXPIRY], behind.unwrap_or_else(|| vec![EXPIRY + 1]))
}

/// When the version of an expiry's address expires, in epoch seconds.
#[must_use]
pub fn expires_at_s(address: &[u8]) -> Option<u64> {
    address.strip_prefix(&[EXPIRY])?.first_chunk().map(|at_s| u64::from_be_bytes(*at_s))
}

/// The row that says which secret an SSH key pair is.
#[must_use]
pub fn ssh_key(id: &SshKeyId) -> Key {
    key(SSH_KEY, &[id.as_str().as_bytes()])
}

/// The range `[from, to)` of all stored values.
#[must_use]
pub fn all_values() -> (Vec<u8>, Vec<u8>) {
    (vec![VALUE], vec![VALUE + 1])
}

/// The secret that a stored value's address belongs to.
#[must_use]
pub fn secret_of_value(address: &[u8]) -> Option<SecretId> {
    let (secret, _) = address.strip_prefix(&[VALUE])?.split_first_chunk::<16>()?;
    Some((*secret).into())
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

    #[test]
    fn deletions_lie_in_the_order_in_which_they_are_due() {
        let (from, to) = deletions(7);
        for (due_at_s, within) in [(1, true), (7, true), (8, false), (u64::MAX, false)] {
            let address = deletion(due_at_s, &name("prod/db")).bytes;
            assert_eq!(address >= from && address < to, within, "{due_at_s}");
            assert_eq!(parse_deletion(&address), Some((due_at_s, name("prod/db"))));
        }
        let (from, to) = deletions(u64::MAX);
        let last = deletion(u64::MAX, &name("z")).bytes;
        assert!(last >= from && last < to);
        for bad in [&b"d"[..], b"d1234567", b"d12345678", b"d12345678/x", b"s12345678x"] {
            assert_eq!(parse_deletion(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_values_address_names_its_secret() {
        let secret = SecretId::from([7; 16]);
        let address = value(secret, [9; 16].into());
        let (from, to) = all_values();
        assert!(address.bytes >= from && address.bytes < to);
        assert_eq!(secret_of_value(&address.bytes), Some(secret));
        assert_eq!(secret_of_value(&count(7).bytes), None);
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
