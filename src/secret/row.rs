//! The row of a secret: its metadata, its state, its versions in the order in which they were added, and which of
//! them is current. The values are in rows of their own ([`super::SealedValue`]).
//!
//! The row is in the clear: names, dates and tags are no secrets, and policy reads them before anything is opened. It is
//! stored with a code that authenticates it ([`crate::keys::RowKey`]); name, ids and form are bound into the seal of each
//! value as well.
//!
//! INVARIANT I10: [`SecretRow::decode`] is total and strict: it accepts exactly the rows that [`SecretRow::encode`]
//! makes, and these hold every rule on a secret that does not depend on a limit.

use super::id::{SecretId, SshKeyId, ValueId, VersionId};
use super::metadata::{Description, Tag, Tags};
use super::plaintext::Form;
use super::seal::Binding;
use crate::encoding::{Damaged, Reader, Writer};
use crate::keys::KeyId;
use crate::principal::Principal;
use crate::resource::{CreatorNumber, SecretName};
use crate::state::State;

/// Rows of custom secrets none of whose versions expires: all there was at first.
const ROW_VERSION: u8 = 1;
/// The same, then what the secret is, then when each version expires.
const WIDER_ROW_VERSION: u8 = 2;
const CUSTOM: u8 = 1;
const SSH_KEY_PAIR: u8 = 2;
/// Longest name of an SSH key pair, in bytes.
const SSH_KEY_NAME_BYTES_MAX: usize = 25;

/// What a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// A value of the caller's own.
    Custom,
    /// An SSH key pair; its value is the private key.
    SshKeyPair(SshKeyPair),
}

/// What is known of an SSH key pair besides its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshKeyPair {
    /// Unique among all pairs.
    pub id: SshKeyId,
    /// 1 to 25 of `A-Z a-z 0-9 _`, first a letter or digit; the comment of the keys.
    pub name: String,
    /// The vendor's project; a number that keyward keeps.
    pub project: u64,
}

impl SshKeyPair {
    /// Whether a name of a pair keeps the rule.
    #[must_use]
    pub fn is_name(text: &str) -> bool {
        let length = (1..=SSH_KEY_NAME_BYTES_MAX).contains(&text.len());
        let start = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        length && start && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    }
}

/// A version of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionMeta {
    /// Its id.
    pub id: VersionId,
    /// Its stored value.
    pub value: ValueId,
    /// When the id was added, in epoch seconds.
    pub created_at_s: u64,
    /// From `Stage: true` until it is first made current.
    pub staged: bool,
    /// Text or binary.
    pub form: Form,
    /// When the value should no longer be used, in epoch seconds; 0: nobody said. Told and counted, never enforced.
    pub expires_at_s: u64,
}

/// A secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRow {
    /// This life of the name.
    pub id: SecretId,
    /// The name; fixed.
    pub name: SecretName,
    /// What it is; fixed.
    pub kind: SecretKind,
    /// The creator's number: part of the resource.
    pub creator: CreatorNumber,
    /// Whose number that is.
    pub creator_principal: Principal,
    /// When it was created, in epoch seconds.
    pub created_at_s: u64,
    /// What may be done with it.
    pub state: State,
    /// Free text.
    pub description: Description,
    /// Read by policies.
    pub tags: Tags,
    /// The key for new values.
    pub key: KeyId,
    /// ResourceID: opaque, new when the name is created again.
    pub resource_id: String,
    /// The version that a read without VersionId serves; one of `versions`, not staged.
    pub current: VersionId,
    /// At least one, ids and values unique, last added last.
    pub versions: Vec<VersionMeta>,
}

impl SecretRow {
    /// The version `id`.
    #[must_use]
    pub fn version(&self, id: &VersionId) -> Option<&VersionMeta> {
        self.versions.iter().find(|version| version.id == *id)
    }

    /// The SSH key pair that it is.
    #[must_use]
    pub fn pair(&self) -> Option<&SshKeyPair> {
        match &self.kind {
            SecretKind::Custom => None,
            SecretKind::SshKeyPair(pair) => Some(pair),
        }
    }

    /// What the stored value of `version` is bound to.
    #[must_use]
    pub fn binding(&self, version: &VersionMeta) -> Binding {
        Binding {
            secret: self.id,
            name: self.name.clone(),
            version: version.id.clone(),
            value: version.value,
            form: version.form,
        }
    }

    /// The row's bytes: version, then the fields in the order of this type, lists with their number before them, but what
    /// the secret is and when versions expire, which stand at the end of rows of version 2. Where there is nothing of the
    /// kind to say a row is of version 1.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (state, delete_at_s) = self.state.code();
        let version = if self.is_wider() { WIDER_ROW_VERSION } else { ROW_VERSION };
        let row = Writer::new().u8(version).raw(self.id.as_bytes()).bytes(self.name.as_str().as_bytes());
        let row = row.u64(self.creator.get()).bytes(self.creator_principal.as_str().as_bytes());
        let row = row.u64(self.created_at_s).u8(state).u64(delete_at_s);
        let row = row.bytes(self.description.as_str().as_bytes());
        let row =
            write_list(row, self.tags.as_slice(), |row, tag| row.bytes(tag.key.as_bytes()).bytes(tag.value.as_bytes()));
        let row = row.bytes(self.key.as_str().as_bytes()).bytes(self.resource_id.as_bytes());
        let row = row.bytes(self.current.as_str().as_bytes());
        let row = write_list(row, &self.versions, write_version);
        if self.is_wider() { self.write_wider(row).finish() } else { row.finish() }
    }

    fn is_wider(&self) -> bool {
        self.kind != SecretKind::Custom || self.versions.iter().any(|version| version.expires_at_s != 0)
    }

    fn write_wider(&self, row: Writer) -> Writer {
        let row = match &self.kind {
            SecretKind::Custom => row.u8(CUSTOM),
            SecretKind::SshKeyPair(pair) => {
                let row = row.u8(SSH_KEY_PAIR).bytes(pair.id.as_str().as_bytes());
                row.bytes(pair.name.as_bytes()).u64(pair.project)
            }
        };
        self.versions.iter().fold(row, |row, version| row.u64(version.expires_at_s))
    }

    fn read_wider(&mut self, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        self.kind = match reader.u8()? {
            CUSTOM => SecretKind::Custom,
            SSH_KEY_PAIR => SecretKind::SshKeyPair(SshKeyPair {
                id: SshKeyId::parse(reader.text()?).map_err(|_| Damaged("SSH key id"))?,
                name: Some(reader.text()?)
                    .filter(|name| SshKeyPair::is_name(name))
                    .ok_or(Damaged("SSH key name"))?
                    .to_owned(),
                project: reader.u64()?,
            }),
            _ => return Err(Damaged("kind")),
        };
        for version in &mut self.versions {
            version.expires_at_s = reader.u64()?;
        }
        if self.is_wider() { Ok(()) } else { Err(Damaged("row version")) }
    }

    /// Reads a row.
    ///
    /// # Errors
    /// [`Damaged`] for anything that [`SecretRow::encode`] does not make.
    pub fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8()?;
        if !matches!(version, ROW_VERSION | WIDER_ROW_VERSION) {
            return Err(Damaged("row version"));
        }
        let mut row = Self {
            id: reader.array()?.into(),
            name: SecretName::parse(reader.text()?).map_err(|_| Damaged("name"))?,
            kind: SecretKind::Custom,
            creator: CreatorNumber::new(reader.u64()?).ok_or(Damaged("creator number"))?,
            creator_principal: Principal::parse(reader.text()?).map_err(|_| Damaged("creator"))?,
            created_at_s: reader.u64()?,
            state: State::from_code(reader.u8()?, reader.u64()?)?,
            description: Description::new(reader.text()?).map_err(|_| Damaged("description"))?,
            tags: read_tags(&mut reader)?,
            key: KeyId::parse(reader.text()?).map_err(|_| Damaged("key id"))?,
            resource_id: reader.text()?.to_owned(),
            current: read_version_id(&mut reader)?,
            versions: read_list(&mut reader, read_version)?,
        };
        if version == WIDER_ROW_VERSION {
            row.read_wider(&mut reader)?;
        }
        reader.finish()?;
        row.check()?;
        Ok(row)
    }

    /// The rules on versions.
    fn check(&self) -> Result<(), Damaged> {
        let current = self.version(&self.current).ok_or(Damaged("current version"))?;
        let repeats = self.versions.iter().enumerate().any(|(at, version)| {
            let earlier = self.versions.iter().take(at);
            earlier.clone().any(|other| other.id == version.id || other.value == version.value)
        });
        if current.staged || repeats { Err(Damaged("versions")) } else { Ok(()) }
    }
}

/// A ResourceID in the vendor's form, `<account>_<creator>_customize_<nanoseconds>_<3 characters>`: opaque, and new
/// when a name is created again.
#[must_use]
pub fn resource_id(account: &str, creator: CreatorNumber, created_at_us: u64, id: SecretId) -> String {
    let letter = |byte: &u8| char::from(b'a' + byte % 26);
    let suffix: String = id.as_bytes().iter().take(3).map(letter).collect();
    format!("{account}_{creator}_customize_{}_{suffix}", created_at_us.saturating_mul(1_000))
}

fn write_list<T>(row: Writer, items: &[T], write: impl Fn(Writer, &T) -> Writer) -> Writer {
    items.iter().fold(row.u32(u32::try_from(items.len()).unwrap_or(u32::MAX)), write)
}

/// Reads as many items as are said to follow; grows only with what is really there.
fn read_list<'a, T>(
    reader: &mut Reader<'a>,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<T, Damaged>,
) -> Result<Vec<T>, Damaged> {
    let count = reader.u32()?;
    (0..count).map(|_| read(reader)).collect()
}

fn write_version(row: Writer, version: &VersionMeta) -> Writer {
    let row = row.bytes(version.id.as_str().as_bytes()).raw(version.value.as_bytes());
    row.u64(version.created_at_s).u8(u8::from(version.staged)).u8(version.form.code())
}

fn read_version(reader: &mut Reader<'_>) -> Result<VersionMeta, Damaged> {
    Ok(VersionMeta {
        id: read_version_id(reader)?,
        value: reader.array()?.into(),
        created_at_s: reader.u64()?,
        staged: match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(Damaged("staged")),
        },
        form: Form::from_code(reader.u8()?)?,
        expires_at_s: 0,
    })
}

fn read_version_id(reader: &mut Reader<'_>) -> Result<VersionId, Damaged> {
    VersionId::parse(reader.text()?).map_err(|_| Damaged("version id"))
}

/// Reads tags, which must be in the order that [`Tags`] keeps.
fn read_tags(reader: &mut Reader<'_>) -> Result<Tags, Damaged> {
    let read =
        read_list(reader, |reader| Ok(Tag { key: reader.text()?.to_owned(), value: reader.text()?.to_owned() }))?;
    let tags = Tags::new(read.clone()).map_err(|_| Damaged("tags"))?;
    if tags.as_slice() == read { Ok(tags) } else { Err(Damaged("tags")) }
}

#[cfg(test)]
pub(super) mod tests;
