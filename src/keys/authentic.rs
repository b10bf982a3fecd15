//! Rows that are in the clear and must not be changed unseen: each is stored with a message authentication code behind
//! it, HMAC-SHA-256 (RFC 2104) under a key of this installation alone.
//!
//! ```text
//! stored = row ‖ HMAC(row key, label ‖ family ‖ key of the row ‖ row)        label, family and key length-prefixed
//! row key = HKDF(creator key, salt = installation id, info = another label)
//! ```
//!
//! INVARIANT I8: a row that was altered, or moved to another place, is not read as a row: nothing is decided on it. The
//! creator key is wrapped by the root key and stays for the installation's life, so that neither a rotation, nor a
//! re-wrap, nor a new root key makes these codes anew: who writes a row authenticates it.
//!
//! What a code cannot tell: a row that was here before, put back whole. The log can, which names the value of each
//! write (`crate::access::holdings`).

use keyward_audit::store::{Family, Key};
use subtle::ConstantTimeEq as _;

use super::installation::InstallationId;
use super::material::{KeyMaterial, SealError};
use crate::encoding::{Damaged, Writer};

const KEY_LABEL: &[u8] = b"keyward/row-key/v1";
const ROW_LABEL: &[u8] = b"keyward/row/v1";
/// Length of the code, in bytes.
const CODE_BYTES: usize = 32;

/// The key that rows of an installation are authenticated by. No `Debug`, `Clone` or serialisation; wiped when dropped.
///
/// ```compile_fail,E0277
/// fn shown(key: &keyward::keys::RowKey) -> String { format!("{key:?}") }
/// ```
/// ```
/// fn shown(key: &keyward::keys::RowKey) -> String { format!("{}", size_of_val(key)) }
/// ```
pub struct RowKey(KeyMaterial);

impl RowKey {
    /// The row key of `installation`.
    pub(super) fn derive(creator_key: &KeyMaterial, installation: InstallationId) -> Result<Self, SealError> {
        Ok(Self(creator_key.derive(installation.as_bytes(), KEY_LABEL)?))
    }

    /// What is stored at `key` for `row`: the row, and its code behind it.
    #[must_use]
    pub fn authenticate(&self, key: &Key, mut row: Vec<u8>) -> Vec<u8> {
        let code = self.code(key.family, &key.bytes, &row);
        row.extend_from_slice(&code);
        row
    }

    /// The row in what lies at `key` of `family`.
    ///
    /// # Errors
    /// [`Damaged`] if it is not what [`RowKey::authenticate`] made for that place.
    pub fn verified<'a>(&self, family: Family, key: &[u8], stored: &'a [u8]) -> Result<&'a [u8], Damaged> {
        let (row, code) = stored.split_last_chunk::<CODE_BYTES>().ok_or(Damaged("cut short"))?;
        let expected = self.code(family, key, row);
        if bool::from(expected.ct_eq(code)) { Ok(row) } else { Err(Damaged("it is not authentic: altered or moved")) }
    }

    fn code(&self, family: Family, key: &[u8], row: &[u8]) -> [u8; CODE_BYTES] {
        let place = Writer::new().bytes(ROW_LABEL).bytes(family.name().as_bytes()).bytes(key).finish();
        self.0.mac(&[&place, row])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    use super::*;

    fn row_key(byte: u8) -> RowKey {
        RowKey::derive(&KeyMaterial::from_bytes(Zeroizing::new([byte; 32])), [1; 16].into()).unwrap()
    }

    /// The bytes are for ever; computed with another program (Python's `hmac`).
    #[test]
    fn i08_the_code_of_a_row_is_fixed_to_the_byte() {
        let stored = row_key(7).authenticate(&Key::new(Family::Secrets, b"sdemo/db"), b"row".to_vec());
        assert_eq!(hex::encode(stored), "726f776166c3f3b36fecd43b90229b8efb79b92529b56d09fdabc4effd3562fa12ceab");
    }

    proptest! {
        #[test]
        fn i08_a_row_is_authentic_at_its_own_place_under_its_own_key_alone(
            key in prop::collection::vec(any::<u8>(), 0..20),
            row in prop::collection::vec(any::<u8>(), 0..60),
            other in prop::collection::vec(any::<u8>(), 0..20),
            bit in any::<prop::sample::Index>(),
        ) {
            let place = Key::new(Family::Secrets, key.clone());
            let stored = row_key(7).authenticate(&place, row.clone());
            let read = |from: &RowKey, family, key: &[u8], stored: &[u8]| from.verified(family, key, stored).map(<[u8]>::to_vec);
            prop_assert_eq!(read(&row_key(7), Family::Secrets, &key, &stored), Ok(row));
            prop_assert!(read(&row_key(8), Family::Secrets, &key, &stored).is_err());
            prop_assert!(read(&row_key(7), Family::Keys, &key, &stored).is_err());
            prop_assert!(other == key || read(&row_key(7), Family::Secrets, &other, &stored).is_err());
            let mut changed = stored.clone();
            let bit = bit.index(stored.len() * 8);
            changed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(read(&row_key(7), Family::Secrets, &key, &changed).is_err());
            prop_assert!(read(&row_key(7), Family::Secrets, &key, &stored[1..]).is_err());
            prop_assert!(read(&row_key(7), Family::Secrets, &key, &stored[..stored.len() - 1]).is_err());
        }

        #[test]
        fn i08_bytes_cannot_be_moved_between_the_key_and_the_row(bytes in prop::collection::vec(any::<u8>(), 1..40)) {
            let codes: std::collections::BTreeSet<_> = (0..=bytes.len())
                .map(|at| row_key(7).code(Family::Keys, &bytes[..at], &bytes[at..]))
                .collect();
            prop_assert_eq!(codes.len(), bytes.len() + 1);
        }

        #[test]
        fn i10_any_bytes_are_a_row_or_refused(stored: Vec<u8>) {
            let _total = row_key(7).verified(Family::Keys, b"key/default", &stored);
        }
    }
}
