//! The installation: a random id that every sealed byte is bound to, the key behind creator numbers, and derived from
//! it the key by which rows are authenticated and the key that access keys are wrapped under.

use std::fmt;

use keyward_audit::Random;

use super::authentic::RowKey;
use super::material::{KeyMaterial, SealError, Tampered};
use super::row::InstallationRow;
use crate::encoding::Writer;
use crate::principal::Principal;
use crate::resource::CreatorNumber;

const LABEL: &[u8] = b"keyward/installation/v1";
const ACCESS_KEYS_LABEL: &[u8] = b"keyward/access-keys/v1";

/// The id of one installation; made by `init`, never changed. A store copied elsewhere keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstallationId([u8; 16]);

impl InstallationId {
    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for InstallationId {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for InstallationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// One installation of keyward. The creator key never changes: numbers that policies name would change with it.
pub struct Installation {
    id: InstallationId,
    created_at_s: u64,
    creator_key: KeyMaterial,
    row_key: RowKey,
    access_key_key: KeyMaterial,
}

impl Installation {
    /// A new installation.
    pub(super) fn random(created_at_s: u64, random: &dyn Random) -> Result<Self, SealError> {
        let mut id = [0; 16];
        random.fill(&mut id)?;
        Self::of(InstallationId(id), created_at_s, KeyMaterial::random(random)?)
    }

    fn of(id: InstallationId, created_at_s: u64, creator_key: KeyMaterial) -> Result<Self, SealError> {
        let row_key = RowKey::derive(&creator_key, id)?;
        let access_key_key = creator_key.derive(id.as_bytes(), ACCESS_KEYS_LABEL)?;
        Ok(Self { id, created_at_s, creator_key, row_key, access_key_key })
    }

    /// Its row, wrapped under the root key.
    pub(super) fn wrap(&self, root: &KeyMaterial, random: &dyn Random) -> Result<InstallationRow, SealError> {
        let associated = associated(self.id, self.created_at_s);
        let creator_key = root.wrap(&self.creator_key, self.id.as_bytes(), &associated, random)?;
        Ok(InstallationRow { id: *self.id.as_bytes(), created_at_s: self.created_at_s, creator_key })
    }

    /// Opens its row; fails on another root key and on an altered row alike.
    pub(super) fn unwrap(row: &InstallationRow, root: &KeyMaterial) -> Result<Self, Tampered> {
        let associated = associated(row.id.into(), row.created_at_s);
        let creator_key = root.unwrap(&row.creator_key, &row.id, &associated)?;
        Self::of(row.id.into(), row.created_at_s, creator_key).map_err(|_| Tampered)
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> InstallationId {
        self.id
    }

    /// When `init` made it, in epoch seconds.
    #[must_use]
    pub fn created_at_s(&self) -> u64 {
        self.created_at_s
    }

    /// The key by which its rows are authenticated.
    #[must_use]
    pub fn row_key(&self) -> &RowKey {
        &self.row_key
    }

    /// The key that wraps the secrets of access keys.
    pub(super) fn access_key_key(&self) -> &KeyMaterial {
        &self.access_key_key
    }

    /// The number under which `principal` creates: the top 52 bits of the first 8 bytes, big-endian, of
    /// HMAC-SHA-256(installation key, principal). The same as long as the installation lives.
    #[must_use]
    pub fn creator_number(&self, principal: &Principal) -> CreatorNumber {
        let [a, b, c, d, e, f, g, h, ..] = self.creator_key.mac(&[principal.as_str().as_bytes()]);
        CreatorNumber::from_mac([a, b, c, d, e, f, g, h])
    }
}

/// Label, installation id, creation time.
fn associated(id: InstallationId, created_at_s: u64) -> Vec<u8> {
    Writer::new().bytes(LABEL).raw(id.as_bytes()).u64(created_at_s).finish()
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    /// Numbers computed with another program (Python's `hmac`), key bytes 0x00 to 0x1f.
    #[test]
    fn creator_numbers_are_the_top_52_bits_of_an_hmac() {
        let key = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let creator_key = KeyMaterial::from_bytes(Zeroizing::new(key));
        let installation = Installation::of([1; 16].into(), 0, creator_key).unwrap();
        for (principal, number) in [
            ("user/dev/alice", 1_842_439_018_310_086),
            ("user/corp/r.lee", 4_147_236_299_673_365),
            ("service/purger", 150_286_790_677_778),
            ("user/dev/zoë", 2_582_083_675_913_620),
        ] {
            let principal = Principal::parse(principal).unwrap();
            assert_eq!(installation.creator_number(&principal).get(), number, "{principal}");
        }
    }
}
