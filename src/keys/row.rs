//! Rows of the family `keys`:
//!
//! | key | row |
//! |---|---|
//! | `installation` | version 1, id (16), created at (u64 s), nonce (12), wrapped creator key (48) |
//! | `key/<id>` | version 1, state (u8: 1 enabled, 2 disabled), created at (u64 s), newest generation (u32), code (32); of a key that waits for its deletion version 2, state 3, the same, when it is due (u64 s), code (32) |
//! | `generation/<id>/<be32>` | version 1, created at (u64 s), nonce (12), wrapped key (48), code (32) |
//! | `root` | version 1, id of the root key that all of them are under (8), code (32); absent in stores made before there was one |
//! | `deletion/<id>` | index (be64) of the ScheduleKeyDeletion that the key waits by |
//! | `rewrap/<id>` | a re-wrapping under way ([`super::rewrap::Rewrap`]): version 1, target generation (u32), data keys in all, remaining and failed (u64 each), name of the last secret looked at, code (32) |
//!
//! The code authenticates row and place ([`super::RowKey`]); all of the installation's row is bound into the wrapping of
//! its key. A rotation adds a generation row and rewrites the key row; a change of state rewrites the key row; a retired
//! generation's row is deleted; a new root key rewrites the installation and all generation rows. Each of these moves the
//! generation of the log's state that whoever uses a key names in its read set. A deletion's row has no code: nobody is
//! allowed anything by it.

use keyward_audit::store::{Family, Key};

use super::id::{KeyGeneration, KeyId};
use super::material::Wrapped;
use super::root::RootKeyId;
use crate::encoding::{Damaged, Reader, Writer};
use crate::state::State;

const VERSION: u8 = 1;
/// Of rows of keys that wait for their deletion.
const PENDING_VERSION: u8 = 2;
const KEY_PREFIX: &[u8] = b"key/";
const GENERATION_PREFIX: &[u8] = b"generation/";
const DELETION_PREFIX: &[u8] = b"deletion/";
const REWRAP_PREFIX: &[u8] = b"rewrap/";
const INSTALLATION: &[u8] = b"installation";
const ROOT: &[u8] = b"root";

/// The row of the installation: whoever changes the root key writes it.
pub(super) fn installation_row() -> Key {
    Key::new(Family::Keys, INSTALLATION)
}

/// The row that says which root key the others are under.
pub(super) fn root_row() -> Key {
    Key::new(Family::Keys, ROOT)
}

/// The row that holds a key's state and newest generation.
#[must_use]
pub fn key_row(id: &KeyId) -> Key {
    Key::new(Family::Keys, [KEY_PREFIX, id.as_str().as_bytes()].concat())
}

/// The row of one wrapped key-encryption key.
pub(super) fn generation_row(id: &KeyId, generation: KeyGeneration) -> Key {
    let bytes = [GENERATION_PREFIX, id.as_str().as_bytes(), b"/", &generation.get().to_be_bytes()].concat();
    Key::new(Family::Keys, bytes)
}

/// The row that says by which record a key waits for its deletion.
#[must_use]
pub fn deletion_row(id: &KeyId) -> Key {
    Key::new(Family::Keys, [DELETION_PREFIX, id.as_str().as_bytes()].concat())
}

/// The row of the re-wrapping of a key's data keys.
pub(super) fn rewrap_row(id: &KeyId) -> Key {
    Key::new(Family::Keys, [REWRAP_PREFIX, id.as_str().as_bytes()].concat())
}

/// The range `[from, to)` of all re-wrappings; `from` is what their addresses begin with.
pub(super) fn rewrap_rows() -> (Vec<u8>, Vec<u8>) {
    (REWRAP_PREFIX.to_vec(), [REWRAP_PREFIX, &[0xff]].concat())
}

/// What a key in the family addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Installation,
    Root,
    Key(KeyId),
    Generation(KeyId, KeyGeneration),
    Deletion(KeyId),
    Rewrap(KeyId),
}

/// Reads a key of the family.
pub(super) fn parse_address(bytes: &[u8]) -> Result<Address, Damaged> {
    if bytes == INSTALLATION {
        return Ok(Address::Installation);
    }
    if bytes == ROOT {
        return Ok(Address::Root);
    }
    if let Some(id) = bytes.strip_prefix(KEY_PREFIX) {
        return key_id(id).map(Address::Key);
    }
    if let Some(id) = bytes.strip_prefix(DELETION_PREFIX) {
        return key_id(id).map(Address::Deletion);
    }
    if let Some(id) = bytes.strip_prefix(REWRAP_PREFIX) {
        return key_id(id).map(Address::Rewrap);
    }
    let rest = bytes.strip_prefix(GENERATION_PREFIX).ok_or(Damaged("unknown row"))?;
    let (rest, number) = rest.split_last_chunk::<4>().ok_or(Damaged("generation"))?;
    let id = rest.strip_suffix(b"/").ok_or(Damaged("generation"))?;
    Ok(Address::Generation(key_id(id)?, generation(u32::from_be_bytes(*number))?))
}

pub(super) fn key_id(bytes: &[u8]) -> Result<KeyId, Damaged> {
    let text = std::str::from_utf8(bytes).map_err(|_| Damaged("key id"))?;
    KeyId::parse(text).map_err(|_| Damaged("key id"))
}

fn generation(number: u32) -> Result<KeyGeneration, Damaged> {
    KeyGeneration::new(number).ok_or(Damaged("generation"))
}

fn version(reader: &mut Reader<'_>) -> Result<(), Damaged> {
    if reader.u8()? == VERSION { Ok(()) } else { Err(Damaged("row version")) }
}

fn wrapped(mut reader: Reader<'_>) -> Result<Wrapped, Damaged> {
    let wrapped = Wrapped { nonce: reader.array()?, body: reader.array()? };
    reader.finish()?;
    Ok(wrapped)
}

/// The installation, creator key still wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InstallationRow {
    pub(super) id: [u8; 16],
    pub(super) created_at_s: u64,
    pub(super) creator_key: Wrapped,
}

impl InstallationRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        let row = Writer::new().u8(VERSION).raw(&self.id).u64(self.created_at_s);
        row.raw(&self.creator_key.nonce).raw(&self.creator_key.body).finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut reader = Reader::new(bytes);
        version(&mut reader)?;
        Ok(Self { id: reader.array()?, created_at_s: reader.u64()?, creator_key: wrapped(reader)? })
    }
}

/// Which root key the installation and all generations are wrapped under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RootRow {
    pub(super) id: RootKeyId,
}

impl RootRow {
    /// The row without its code.
    pub(super) fn encode(&self) -> Vec<u8> {
        Writer::new().u8(VERSION).raw(self.id.as_bytes()).finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut reader = Reader::new(bytes);
        version(&mut reader)?;
        let row = Self { id: reader.array::<8>()?.into() };
        reader.finish()?;
        Ok(row)
    }

    /// What a stored row says, its code unchecked.
    pub(super) fn hint(stored: &[u8]) -> Option<Self> {
        Self::decode(stored.get(..9)?).ok()
    }
}

/// A key: its state, when it was made, its newest generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyRow {
    pub(super) state: State,
    pub(super) created_at_s: u64,
    pub(super) newest: KeyGeneration,
}

impl KeyRow {
    /// The row without its code.
    pub(super) fn encode(&self) -> Vec<u8> {
        let (state, delete_at_s) = self.state.code();
        let version = if delete_at_s == 0 { VERSION } else { PENDING_VERSION };
        let row = Writer::new().u8(version).u8(state).u64(self.created_at_s).u32(self.newest.get());
        if delete_at_s == 0 { row.finish() } else { row.u64(delete_at_s).finish() }
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut reader = Reader::new(bytes);
        let (version, state) = (reader.u8()?, reader.u8()?);
        let (created_at_s, newest) = (reader.u64()?, generation(reader.u32()?)?);
        let delete_at_s = match version {
            VERSION => 0,
            PENDING_VERSION => pending(reader.u64()?)?,
            _ => return Err(Damaged("row version")),
        };
        reader.finish()?;
        Ok(Self { state: State::from_code(state, delete_at_s)?, created_at_s, newest })
    }
}

/// When a deletion is due that a key waits for.
const fn pending(delete_at_s: u64) -> Result<u64, Damaged> {
    if delete_at_s == 0 { Err(Damaged("state")) } else { Ok(delete_at_s) }
}

/// One generation of a key, wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GenerationRow {
    pub(super) created_at_s: u64,
    pub(super) key: Wrapped,
}

impl GenerationRow {
    /// The row without its code.
    pub(super) fn encode(&self) -> Vec<u8> {
        let row = Writer::new().u8(VERSION).u64(self.created_at_s);
        row.raw(&self.key.nonce).raw(&self.key.body).finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut reader = Reader::new(bytes);
        version(&mut reader)?;
        Ok(Self { created_at_s: reader.u64()?, key: wrapped(reader)? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key_rows() -> impl Strategy<Value = KeyRow> {
        let states = prop_oneof![
            Just(State::Enabled),
            Just(State::Disabled),
            (1_u64..).prop_map(|delete_at_s| State::PendingDelete { delete_at_s }),
        ];
        (states, any::<u64>(), 1_u32..).prop_map(|(state, created_at_s, newest)| KeyRow {
            state,
            created_at_s,
            newest: KeyGeneration::new(newest).unwrap(),
        })
    }

    proptest! {
        #[test]
        fn key_rows_come_back_as_they_were(row in key_rows(), nonce: [u8; 12], id: [u8; 16]) {
            prop_assert_eq!(KeyRow::decode(&row.encode()), Ok(row.clone()));
            let key = Wrapped { nonce, body: [7; 48] };
            let generation = GenerationRow { created_at_s: row.created_at_s, key: key.clone() };
            prop_assert_eq!(GenerationRow::decode(&generation.encode()), Ok(generation));
            let installation = InstallationRow { id, created_at_s: row.created_at_s, creator_key: key };
            prop_assert_eq!(InstallationRow::decode(&installation.encode()), Ok(installation));
        }

        #[test]
        fn i10_any_bytes_are_read_or_refused_and_what_is_read_has_one_encoding(bytes: Vec<u8>) {
            if let Ok(row) = KeyRow::decode(&bytes) { prop_assert_eq!(row.encode(), bytes.clone()); }
            if let Ok(row) = GenerationRow::decode(&bytes) { prop_assert_eq!(row.encode(), bytes.clone()); }
            if let Ok(row) = RootRow::decode(&bytes) { prop_assert_eq!(row.encode(), bytes.clone()); }
            if let Ok(row) = InstallationRow::decode(&bytes) { prop_assert_eq!(row.encode(), bytes.clone()); }
            let _total = parse_address(&bytes);
        }

        #[test]
        fn a_generation_row_is_found_again_whatever_its_number(number in 1_u32..) {
            let (id, generation) = (KeyId::default_key(), KeyGeneration::new(number).unwrap());
            let address = generation_row(&id, generation);
            prop_assert_eq!(parse_address(&address.bytes), Ok(Address::Generation(id, generation)));
        }
    }

    #[test]
    fn addresses_are_told_apart() {
        let id = KeyId::parse("a-b").unwrap();
        assert_eq!(parse_address(&installation_row().bytes), Ok(Address::Installation));
        assert_eq!(parse_address(&root_row().bytes), Ok(Address::Root));
        assert_eq!(parse_address(&key_row(&id).bytes), Ok(Address::Key(id.clone())));
        assert_eq!(parse_address(&deletion_row(&id).bytes), Ok(Address::Deletion(id.clone())));
        assert_eq!(parse_address(&rewrap_row(&id).bytes), Ok(Address::Rewrap(id)));
        let bad =
            [b"".as_slice(), b"key/", b"key/a/b", b"deletion/", b"generation/a", b"generation/a\0\0\0\x01", b"roots"];
        for bad in bad {
            assert!(parse_address(bad).is_err(), "{bad:?}");
        }
        assert!(parse_address(b"generation/a/\0\0\0\0").is_err());
    }
}
