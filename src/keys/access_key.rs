//! Access keys: an id, and a secret that its holder signs requests with. Where they lie in the family `secrets`:
//!
//! | key | row |
//! |---|---|
//! | `p` principal | the principal's access keys, at most [`KEYS_MAX`], code (32) |
//! | `a` access key id | the principal whose row has it |
//!
//! The row of `a` only points, and has no code: whoever follows it asks the principal's row.
//!
//! INVARIANT I8: the secret is wrapped under a key of the installation for this purpose alone, derived as the row key is from
//! the creator key, which the root key wraps; salt and associated data name installation, id, principal and time, so that it
//! opens nowhere else. It stays usable through rotations of key-encryption keys and of the root key.
//! INVARIANT I10: a row is read whole or refused.
//!
//! Rows change only in a commit together with their record (I2); a process that dies leaves them as they were.

use keyward_audit::Random;
use keyward_audit::store::{Family, Key, Snapshot, StoreError, Write};
use zeroize::Zeroizing;

use super::authentic::RowKey;
use super::installation::{Installation, InstallationId};
use super::material::{KEY_BYTES, KeyMaterial, SealError, Tampered, Wrapped, hmac, hmac_sha1};
use crate::encoding::{Damaged, Reader, Writer};
use crate::principal::Principal;

/// Access keys of one principal at most.
pub const KEYS_MAX: usize = 2;
const ID_START: &str = "AKID";
const ID_RANDOM: usize = 28;
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const LABEL: &[u8] = b"keyward/access-key/v1";
const VERSION: u8 = 1;
const POINTER: u8 = b'a';
const HOLDER: u8 = b'p';

/// The id of an access key: `AKID` and 28 letters and digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccessKeyId(String);

impl AccessKeyId {
    /// A new id.
    ///
    /// # Errors
    /// [`SealError::Random`] if the system gives no random bytes.
    pub fn random(random: &dyn Random) -> Result<Self, SealError> {
        let drawn = letters::<ID_RANDOM>(random)?;
        Ok(Self(format!("{ID_START}{}", String::from_utf8_lossy(drawn.as_slice()))))
    }

    /// The id of that text; `None` if it is of another form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(ID_START)?;
        let fits = rest.len() == ID_RANDOM && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
        fits.then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Letters and digits, each as likely as the others.
fn letters<const N: usize>(random: &dyn Random) -> Result<Zeroizing<[u8; N]>, SealError> {
    let (mut drawn, mut filled) = (Zeroizing::new([0; N]), 0);
    let mut block = Zeroizing::new([0_u8; 64]);
    while filled < N {
        random.fill(block.as_mut())?;
        // 248 is the largest multiple of 62 that a byte can be below.
        for byte in block.iter().filter(|byte| **byte < 248) {
            let letter = ALPHABET.get(usize::from(*byte) % ALPHABET.len());
            if let (Some(place), Some(letter)) = (drawn.get_mut(filled), letter) {
                *place = *letter;
                filled += 1;
            }
        }
    }
    Ok(drawn)
}

/// The secret half: 32 letters and digits. No `Debug`, `Clone` or serialisation; wiped when dropped.
///
/// ```compile_fail,E0277
/// fn shown(secret: &keyward::keys::AccessKeySecret) -> String { format!("{secret:?}") }
/// ```
/// ```
/// fn shown(secret: &keyward::keys::AccessKeySecret) -> String { format!("{}", size_of_val(secret)) }
/// ```
pub struct AccessKeySecret(KeyMaterial);

impl AccessKeySecret {
    /// A new secret.
    ///
    /// # Errors
    /// [`SealError::Random`] if the system gives no random bytes.
    pub fn random(random: &dyn Random) -> Result<Self, SealError> {
        letters::<KEY_BYTES>(random).map(KeyMaterial::from_bytes).map(Self)
    }

    /// A secret as it was kept elsewhere.
    pub(super) fn from_bytes(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self(KeyMaterial::from_bytes(bytes))
    }

    /// Its bytes, to be sealed.
    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        self.0.expose()
    }

    /// The text, to be shown once.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(String::from_utf8_lossy(self.0.expose()).into_owned())
    }

    /// TC3-HMAC-SHA256: the signature of each of `texts` in the scope of `date` and `service`.
    #[must_use]
    pub fn sign(&self, date: &str, service: &str, texts: &[Vec<u8>]) -> Vec<[u8; 32]> {
        let mut first = Zeroizing::new([0; 3 + KEY_BYTES]);
        let bytes = b"TC3".iter().chain(self.0.expose());
        first.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        let date = Zeroizing::new(hmac(first.as_slice(), &[date.as_bytes()]));
        let service = Zeroizing::new(hmac(date.as_slice(), &[service.as_bytes()]));
        let signing = Zeroizing::new(hmac(service.as_slice(), &[b"tc3_request"]));
        texts.iter().map(|text| hmac(signing.as_slice(), &[text])).collect()
    }

    /// HmacSHA256: the HMAC of `text` under the secret itself.
    #[must_use]
    pub fn sign_sha256(&self, text: &[u8]) -> [u8; 32] {
        hmac(self.0.expose(), &[text])
    }

    /// HmacSHA1: the HMAC of `text` under the secret itself.
    #[must_use]
    pub fn sign_sha1(&self, text: &[u8]) -> [u8; 20] {
        hmac_sha1(self.0.expose(), text)
    }
}

/// An access key as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// Its id.
    pub id: AccessKeyId,
    /// When it was made, in epoch seconds.
    pub created_at_s: u64,
    /// Whether it may be used.
    pub is_active: bool,
    /// The groups that its holder's token said when it was made.
    pub groups: Vec<Principal>,
    /// The roles that it said.
    pub roles: Vec<Principal>,
    /// Whether its holder proved all of its groups then.
    pub groups_proved: bool,
    secret: Wrapped,
}

/// The access keys of one principal, in the order in which they were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKeyRow {
    /// Whose they are.
    pub principal: Principal,
    /// The keys.
    pub keys: Vec<AccessKey>,
}

/// What an access key is made for.
pub struct NewAccessKey {
    /// When, in epoch seconds.
    pub at_s: u64,
    /// The groups that its holder's token says.
    pub groups: Vec<Principal>,
    /// The roles that it says.
    pub roles: Vec<Principal>,
    /// Whether its holder proved all of its groups.
    pub groups_proved: bool,
}

impl AccessKeyRow {
    /// The row of a principal's keys.
    #[must_use]
    pub fn address(principal: &Principal) -> Key {
        address(HOLDER, principal.as_str())
    }

    /// The keys of `principal`: a row without any, if there is none.
    ///
    /// # Errors
    /// [`StoreError`] if the row cannot be read or is damaged.
    pub fn of(snapshot: &dyn Snapshot, row_key: &RowKey, principal: &Principal) -> Result<Self, StoreError> {
        let key = Self::address(principal);
        match snapshot.get(Family::Secrets, &key.bytes)? {
            Some(stored) => Self::read(row_key, &key.bytes, &stored),
            None => Ok(Self { principal: principal.clone(), keys: Vec::new() }),
        }
    }

    /// The row that has the key of that id, if one has.
    ///
    /// # Errors
    /// As [`AccessKeyRow::of`].
    pub fn with(snapshot: &dyn Snapshot, row_key: &RowKey, id: &AccessKeyId) -> Result<Option<Self>, StoreError> {
        let Some(pointer) = snapshot.get(Family::Secrets, &address(POINTER, id.as_str()).bytes)? else {
            return Ok(None);
        };
        let principal = std::str::from_utf8(&pointer).ok().and_then(|text| Principal::parse(text).ok());
        let principal = principal.ok_or_else(|| StoreError::Damaged("an access key: principal".to_owned()))?;
        let row = Self::of(snapshot, row_key, &principal)?;
        Ok(row.key(id).is_some().then_some(row))
    }

    /// Calls `each` with every row, by the bytes of principals, or with what is wrong with it.
    ///
    /// # Errors
    /// [`StoreError`] if the rows cannot be read.
    pub fn each(
        snapshot: &dyn Snapshot,
        row_key: &RowKey,
        each: &mut dyn FnMut(Result<Self, StoreError>),
    ) -> Result<(), StoreError> {
        snapshot.scan(Family::Secrets, &[HOLDER], &[HOLDER + 1], false, &mut |key, stored| {
            each(Self::read(row_key, key, stored));
            true
        })
    }

    /// The key of that id.
    #[must_use]
    pub fn key(&self, id: &AccessKeyId) -> Option<&AccessKey> {
        self.keys.iter().find(|key| key.id == *id)
    }

    /// Adds a key, sealed for this row.
    ///
    /// # Errors
    /// [`SealError`] if the system gives no random bytes.
    pub fn add(
        &mut self,
        installation: &Installation,
        new: NewAccessKey,
        random: &dyn Random,
    ) -> Result<(AccessKeyId, AccessKeySecret), SealError> {
        let (id, secret) = (AccessKeyId::random(random)?, AccessKeySecret::random(random)?);
        let associated = associated(installation.id(), &id, &self.principal, new.at_s);
        let under = installation.access_key_key();
        let wrapped = under.wrap(&secret.0, id.as_str().as_bytes(), &associated, random)?;
        self.keys.push(AccessKey {
            id: id.clone(),
            created_at_s: new.at_s,
            is_active: true,
            groups: new.groups,
            roles: new.roles,
            groups_proved: new.groups_proved,
            secret: wrapped,
        });
        Ok((id, secret))
    }

    /// The secret half of one of its keys.
    ///
    /// # Errors
    /// [`Tampered`] if it was altered or moved.
    pub fn secret(&self, installation: &Installation, key: &AccessKey) -> Result<AccessKeySecret, Tampered> {
        let associated = associated(installation.id(), &key.id, &self.principal, key.created_at_s);
        let under = installation.access_key_key();
        under.unwrap(&key.secret, key.id.as_str().as_bytes(), &associated).map(AccessKeySecret)
    }

    /// Stores the row as it is now, which was as `before`: keys that are gone leave no pointer behind.
    #[must_use]
    pub fn writes(&self, row_key: &RowKey, before: &Self) -> Vec<Write> {
        let key = Self::address(&self.principal);
        let value = (!self.keys.is_empty()).then(|| row_key.authenticate(&key, self.encode()));
        let mut writes = vec![Write { key, value }];
        for added in self.keys.iter().filter(|key| before.key(&key.id).is_none()) {
            let value = Some(self.principal.as_str().as_bytes().to_vec());
            writes.push(Write { key: address(POINTER, added.id.as_str()), value });
        }
        for gone in before.keys.iter().filter(|key| self.key(&key.id).is_none()) {
            writes.push(Write { key: address(POINTER, gone.id.as_str()), value: None });
        }
        writes
    }

    fn read(row_key: &RowKey, address: &[u8], stored: &[u8]) -> Result<Self, StoreError> {
        let row = row_key.verified(Family::Secrets, address, stored).and_then(|row| Self::decode(address, row));
        row.map_err(|what| StoreError::Damaged(format!("the access keys of a principal: {what}")))
    }

    /// The row without its code.
    fn encode(&self) -> Vec<u8> {
        let count = u8::try_from(self.keys.len()).unwrap_or(u8::MAX);
        self.keys
            .iter()
            .fold(Writer::new().u8(VERSION).u8(count), |row, key| {
                let row = row.bytes(key.id.as_str().as_bytes()).u64(key.created_at_s).u8(key.flags());
                let row = row.raw(&key.secret.nonce).raw(&key.secret.body);
                names(names(row, &key.groups), &key.roles)
            })
            .finish()
    }

    fn decode(address: &[u8], row: &[u8]) -> Result<Self, Damaged> {
        let principal = address.strip_prefix(&[HOLDER]).and_then(|name| std::str::from_utf8(name).ok());
        let principal = principal.and_then(|name| Principal::parse(name).ok()).ok_or(Damaged("principal"))?;
        let mut reader = Reader::new(row);
        if reader.u8()? != VERSION {
            return Err(Damaged("row version"));
        }
        let count = reader.u8()?;
        let keys = (0..count).map(|_| AccessKey::decode(&mut reader)).collect::<Result<Vec<_>, _>>()?;
        reader.finish()?;
        if keys.is_empty() || keys.len() > KEYS_MAX {
            return Err(Damaged("number of access keys"));
        }
        Ok(Self { principal, keys })
    }
}

impl AccessKey {
    /// Bit 0: it may be used. Bit 1: all groups were proved.
    fn flags(&self) -> u8 {
        u8::from(self.is_active) | (u8::from(self.groups_proved) << 1)
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Damaged> {
        let (id, created_at_s, flags) = (reader.text()?, reader.u64()?, reader.u8()?);
        if flags > 3 {
            return Err(Damaged("flags"));
        }
        Ok(Self {
            id: AccessKeyId::parse(id).ok_or(Damaged("access key id"))?,
            created_at_s,
            is_active: flags & 1 == 1,
            groups_proved: flags & 2 == 2,
            secret: Wrapped { nonce: reader.array()?, body: reader.array()? },
            groups: read_names(reader)?,
            roles: read_names(reader)?,
        })
    }
}

pub(super) fn names(row: Writer, names: &[Principal]) -> Writer {
    let row = row.u32(u32::try_from(names.len()).unwrap_or(u32::MAX));
    names.iter().fold(row, |row, name| row.bytes(name.as_str().as_bytes()))
}

pub(super) fn read_names(reader: &mut Reader<'_>) -> Result<Vec<Principal>, Damaged> {
    let count = reader.u32()?;
    (0..count).map(|_| Principal::parse(reader.text()?).map_err(|_| Damaged("group or role"))).collect()
}

fn address(tag: u8, text: &str) -> Key {
    Key::new(Family::Secrets, [&[tag], text.as_bytes()].concat())
}

/// Label, installation id, access key id, principal, time of making.
fn associated(installation: InstallationId, id: &AccessKeyId, principal: &Principal, at_s: u64) -> Vec<u8> {
    let ids = Writer::new().bytes(LABEL).raw(installation.as_bytes()).bytes(id.as_str().as_bytes());
    ids.bytes(principal.as_str().as_bytes()).u64(at_s).finish()
}

#[cfg(test)]
mod tests;
