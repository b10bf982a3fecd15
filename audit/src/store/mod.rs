//! The store contract: what keyward asks of the engine under it.
//!
//! Authoritative families change only through [`Store::commit`], together with a record (invariant I2);
//! derived families follow behind the log through [`Store::write_derived`] and can be built again from it.
//! `rocks` is the embedded default; every engine passes the same conformance suite
//! (`conformance`), and so does the naive in-memory one of the tests.

pub mod rocks;

#[cfg(test)]
pub(crate) mod conformance;
#[cfg(test)]
pub(crate) mod faulty;
#[cfg(test)]
pub(crate) mod memory;

use std::fmt;
use std::path::Path;

/// A family of rows (a column family in RocksDB). The order of this list is no part of the format; the names are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Records: chain id, be64 index -> record bytes. Authoritative.
    Records,
    /// Full tiles of the tree: chain id, u8 level, be64 n -> 8,192 bytes. Authoritative.
    Tiles,
    /// The log's head and the generations: chain id, name -> bytes. Authoritative.
    State,
    /// Texts by digest: policy documents, attachments, roles, session policies. Authoritative.
    Texts,
    /// Secrets and their sealed values. Authoritative.
    Secrets,
    /// Wrapped key-encryption keys. Authoritative.
    Keys,
    /// Revocations. Authoritative.
    Revocations,
    /// Every index, told apart by a tag behind the chain id. Derived.
    Indexes,
    /// Signed checkpoints: chain id, be64 size -> note. Derived.
    Checkpoints,
    /// Watermarks of the followers: chain id, name -> be64. Derived.
    Followers,
}

impl Family {
    /// Every family, authoritative ones first.
    pub const ALL: [Self; 10] = [
        Self::Records,
        Self::Tiles,
        Self::State,
        Self::Texts,
        Self::Secrets,
        Self::Keys,
        Self::Revocations,
        Self::Indexes,
        Self::Checkpoints,
        Self::Followers,
    ];

    /// The family's name in the store; never changes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Tiles => "tiles",
            Self::State => "state",
            Self::Texts => "texts",
            Self::Secrets => "secrets",
            Self::Keys => "keys",
            Self::Revocations => "revocations",
            Self::Indexes => "indexes",
            Self::Checkpoints => "checkpoints",
            Self::Followers => "followers",
        }
    }

    /// Whether rows of this family are written only together with a record.
    #[must_use]
    pub const fn is_authoritative(self) -> bool {
        !matches!(self, Self::Indexes | Self::Checkpoints | Self::Followers)
    }
}

/// One row's address: a family and a key within it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The family.
    pub family: Family,
    /// The key's bytes within the family.
    pub bytes: Vec<u8>,
}

impl Key {
    /// The row at `bytes` in `family`.
    #[must_use]
    pub fn new(family: Family, bytes: impl Into<Vec<u8>>) -> Self {
        Self { family, bytes: bytes.into() }
    }
}

/// One write: a value to put, or `None` to delete the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The row.
    pub key: Key,
    /// Its new value; `None` deletes it.
    pub value: Option<Vec<u8>>,
}

/// A condition that the engine itself checks at commit: the row is absent (`None`) or holds exactly these bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The row.
    pub key: Key,
    /// What it must hold.
    pub expected: Option<Vec<u8>>,
}

/// What became of a commit.
#[derive(Debug)]
pub enum Commit {
    /// Durable: synced to disk.
    Committed,
    /// A guard did not hold; nothing was written. The number is the guard's place in the list.
    Conflict(usize),
    /// Certainly not written (the engine was closed, or refused before touching the disk).
    NotCommitted(StoreError),
    /// The engine cannot say: the batch may be on disk or not. The handle is spent: [`Store::reopen`], then read back.
    Unknown(StoreError),
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Closed, or being reopened after a write error.
    #[error("the store is closed")]
    Closed,
    /// Another process has the store open.
    #[error("the store at `{path}` is in use by another process")]
    InUse {
        /// Where it is.
        path: String,
    },
    /// The engine reports damage: a checksum or a structure does not fit.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// A file of the engine's own log is gone, or shorter than it was synced: the file. Batches behind it cannot follow
    /// those before it.
    #[error("the store lacks `{0}`, which was synced")]
    Gap(String),
    /// It opened, but what it holds or how it is set is not acceptable: a judge's words, or the option at fault.
    #[error("the store was refused: {0}")]
    Refused(String),
    /// Anything else that the engine or the file system answered.
    #[error("the store failed: {0}")]
    Engine(String),
}

/// What a [`Judge`] says of a store that has just been opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be served.
    Accept,
    /// It may not, and why.
    Refuse(String),
}

/// Compares what a store holds with what is remembered outside it (the high-water mark), before anything is served
/// from it. No engine notices every lost tail by itself; a judge does.
pub type Judge<'a> = dyn FnMut(&dyn Snapshot) -> Result<Verdict, StoreError> + 'a;

/// How the end of the engine's own log was found at opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// As it was written.
    Whole,
    /// Damaged: what lies behind the damage was cut off, and the judge accepted the rest.
    Torn,
}

/// What an engine holds in memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Blocks of its files, in a cache of a fixed size.
    pub cache: u64,
    /// What it holds of each open file beside that cache.
    pub files: u64,
    /// Rows that are not in files yet.
    pub unwritten: u64,
}

/// Rows as of one moment.
pub trait Snapshot {
    /// The value of one row.
    ///
    /// # Errors
    /// [`StoreError`] if the engine could not read; never for an absent row, which is `None`.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Calls `each` with the rows of `family` whose key lies in `[from, to)`, ascending, or descending if
    /// `reverse`; stops early when `each` answers `false`.
    ///
    /// # Errors
    /// [`StoreError`] if the engine could not read.
    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: &[u8],
        reverse: bool,
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError>;
}

/// An engine. All methods may be called from any thread; commits come from one thread, the sequencer's.
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// Runs `read` on a snapshot: what it sees does not change under it. A reopen waits until `read` returns, so
    /// `read` must be short and must not call the store again.
    ///
    /// # Errors
    /// [`StoreError::Closed`] from a write error until a reopen that worked; else what `read` answers.
    fn snapshot(&self, read: &mut dyn FnMut(&dyn Snapshot) -> Result<(), StoreError>) -> Result<(), StoreError>;

    /// Writes all of `batch` or nothing, synced to disk, if all of `guards` hold.
    fn commit(&self, batch: &[Write], guards: &[Guard]) -> Commit;

    /// Writes derived rows, all or nothing, not synced: they can be built again.
    ///
    /// # Errors
    /// [`StoreError::Engine`] for a row of an authoritative family (nothing is written), or if the engine could not
    /// write: the handle is then spent, as after [`Commit::Unknown`].
    fn write_derived(&self, batch: &[Write]) -> Result<(), StoreError>;

    /// As [`Store::write_derived`], and a crash or a reopen may take the newest of these batches: whole ones, the last first.
    /// For rows whose watermark is in the same batch, so that their writer goes on where the store really is: `guard` is the
    /// watermark that the batch was made on top of. If it does not hold, nothing is written, and the answer is false.
    ///
    /// # Errors
    /// As [`Store::write_derived`].
    fn write_followed(&self, batch: &[Write], guard: &Guard) -> Result<bool, StoreError>;

    /// Rewrites the files that hold rows of `family` with keys in `[from, to)`, so that nothing is left in them of rows
    /// that were deleted. Reads and writes go on meanwhile; a reopen waits for it.
    ///
    /// # Errors
    /// [`StoreError::Closed`] while the store is closed.
    fn compact(&self, family: Family, from: &[u8], to: &[u8]) -> Result<(), StoreError>;

    /// Has what is in memory and in the engine's own log written to its files, so that it gives up the log up to there. Reads
    /// and writes go on meanwhile; a reopen waits for it.
    ///
    /// # Errors
    /// [`StoreError::Closed`] while the store is closed; else what the engine answered.
    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Makes a copy of the store as of one moment in `directory`, which must not exist: all that was committed before this
    /// call, whole batches, perhaps some that came after. Writes go on meanwhile; a reopen waits for it.
    ///
    /// # Errors
    /// [`StoreError::Closed`] while the store is closed; else what the engine answered. Nothing of use is in `directory`
    /// then.
    fn copy_to(&self, directory: &Path) -> Result<(), StoreError>;

    /// What the engine holds in memory, if it tells.
    fn memory(&self) -> Option<Memory> {
        None
    }

    /// Closes the engine and opens it again, if `judge` accepts what it then holds; afterwards reads show what is
    /// really on disk. A tail torn by the write that failed is cut off on a copy, which takes the place of the
    /// original only once `judge` has accepted it.
    ///
    /// # Errors
    /// [`StoreError`] if it does not open or is refused; the store then stays closed and may be reopened again.
    fn reopen(&self, judge: &mut Judge<'_>) -> Result<Tail, StoreError>;
}

/// Refuses a derived batch that holds a row of an authoritative family (I2).
fn refuse_authoritative(batch: &[Write]) -> Result<(), StoreError> {
    match batch.iter().map(|write| write.key.family).find(|family| family.is_authoritative()) {
        Some(family) => Err(StoreError::Engine(format!("rows of `{}` change only with a record", family.name()))),
        None => Ok(()),
    }
}

/// Runs `read` on a snapshot and hands its result through.
///
/// # Errors
/// As [`Store::snapshot`].
pub fn read<R>(
    store: &dyn Store,
    mut read: impl FnMut(&dyn Snapshot) -> Result<R, StoreError>,
) -> Result<R, StoreError> {
    let mut result = None;
    store.snapshot(&mut |snapshot| {
        result = Some(read(snapshot)?);
        Ok(())
    })?;
    result.ok_or(StoreError::Closed)
}
