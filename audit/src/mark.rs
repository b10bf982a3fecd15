//! The high-water mark: how far the log had come, remembered outside the store.
//!
//! Holds its part of I7: no engine notices every lost tail, so the store at start is compared with this file, which
//! lies outside the data directory on purpose, on another file system if possible. It is written after the store's
//! sync and so never runs ahead of it: a store that is behind its mark has lost records.
//!
//! The file is 8 KiB, with a slot of 512 bytes at 0 and one at 4096, written in turn; the valid slot with the larger
//! generation counts. A slot: magic `KWHWM001`; generation, epoch, size (be64 each); chain, root, SHA-256 of the
//! origin (32 bytes each); largest signed size (be64) and its root; time in microseconds (be64); zeros up to 508;
//! CRC-32C of the first 508 bytes (be32).
//!
//! DURABILITY: if the process or the machine dies inside a write, the slot written before it is whole.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes of the file.
const FILE_BYTES: usize = 8192;
/// Bytes of a slot.
const SLOT_BYTES: usize = 512;
/// Bytes of a slot before its checksum.
const COVERED_BYTES: usize = 508;
const MAGIC: [u8; 8] = *b"KWHWM001";

/// One of the two slots; its value is its place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    First = 0,
    Second = 4096,
}

impl Slot {
    const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// How far the log had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Counts the writes of the mark. [`MarkFile::write`] sets it; what its caller put here does not matter.
    pub generation: u64,
    /// The log's epoch.
    pub epoch: u64,
    /// How many records the log had.
    pub size: u64,
    /// The chain's value at that size.
    pub chain: [u8; 32],
    /// The tree's root at that size.
    pub root: [u8; 32],
    /// SHA-256 of the log's origin.
    pub origin_hash: [u8; 32],
    /// The largest size that a checkpoint was ever signed for.
    pub signed_size: u64,
    /// The root in that checkpoint.
    pub signed_root: [u8; 32],
    /// When it was written, in microseconds since 1970.
    pub time_us: u64,
}

impl Mark {
    fn encode(&self) -> Vec<u8> {
        let mut slot = Vec::with_capacity(SLOT_BYTES);
        slot.extend(MAGIC);
        slot.extend([self.generation, self.epoch, self.size].into_iter().flat_map(u64::to_be_bytes));
        slot.extend([self.chain, self.root, self.origin_hash].concat());
        slot.extend(self.signed_size.to_be_bytes());
        slot.extend(self.signed_root);
        slot.extend(self.time_us.to_be_bytes());
        slot.resize(COVERED_BYTES, 0);
        slot.extend(crc32c::crc32c(&slot).to_be_bytes());
        slot
    }

    /// The mark in a slot; `None` unless the slot is, to the byte, what [`Mark::encode`] makes of it.
    fn decode(slot: &[u8]) -> Option<Self> {
        let mut rest = slot;
        take::<8>(&mut rest)?;
        let mark = Self {
            generation: take_u64(&mut rest)?,
            epoch: take_u64(&mut rest)?,
            size: take_u64(&mut rest)?,
            chain: take(&mut rest)?,
            root: take(&mut rest)?,
            origin_hash: take(&mut rest)?,
            signed_size: take_u64(&mut rest)?,
            signed_root: take(&mut rest)?,
            time_us: take_u64(&mut rest)?,
        };
        (mark.encode() == slot).then_some(mark)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*taken)
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    take(rest).map(u64::from_be_bytes)
}

/// Why there is no mark to go by.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    /// There is no such file. It is made together with the log, so this is never normal.
    #[error("the high-water mark `{path}` is missing")]
    Missing {
        /// Where it should be.
        path: String,
    },
    /// The file is there, but neither slot holds a valid mark.
    #[error("the high-water mark `{path}` is unreadable: neither of its slots holds a valid mark")]
    Unreadable {
        /// Where it is.
        path: String,
    },
    /// A new mark never overwrites an old one.
    #[error("the high-water mark `{path}` exists already")]
    Exists {
        /// Where it is.
        path: String,
    },
    /// The operating system refused.
    #[error("the high-water mark `{path}`: {source}")]
    Failed {
        /// Where it is.
        path: String,
        /// What it answered.
        source: io::Error,
    },
}

/// The open file of the mark.
#[derive(Debug)]
pub struct MarkFile {
    file: File,
    newest: Option<Mark>,
    /// Where the next mark goes: never over the newest.
    next: Slot,
}

impl MarkFile {
    /// Makes the file (8 KiB, mode 0600), durable, without a mark in it: [`MarkFile::open`] refuses it until one is
    /// written.
    ///
    /// # Errors
    /// [`MarkError::Exists`] if there is one, else [`MarkError::Failed`].
    pub fn create(path: &Path) -> Result<Self, MarkError> {
        let opened = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
        let file = opened.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => MarkError::Exists { path: path.display().to_string() },
            _ => failed(path, source),
        })?;
        fill(&file, path).map_err(|source| failed(path, source))?;
        Ok(Self { file, newest: None, next: Slot::First })
    }

    /// Opens the file and reads its newest mark.
    ///
    /// # Errors
    /// [`MarkError::Missing`] and [`MarkError::Unreadable`] apart, since they have different causes; else
    /// [`MarkError::Failed`].
    pub fn open(path: &Path) -> Result<Self, MarkError> {
        let (file, (slot, mark)) = open(path, OpenOptions::new().read(true).write(true))?;
        Ok(Self { file, newest: Some(mark), next: slot.other() })
    }

    /// Reads the newest mark without opening the file for writing.
    ///
    /// # Errors
    /// As [`MarkFile::open`].
    pub fn peek(path: &Path) -> Result<Mark, MarkError> {
        let (_, (_, mark)) = open(path, OpenOptions::new().read(true))?;
        Ok(mark)
    }

    /// Whether the file at `path` was made and nothing was ever written to it.
    ///
    /// # Errors
    /// What the operating system answered.
    pub(crate) fn is_blank(path: &Path) -> io::Result<bool> {
        let bytes = std::fs::read(path)?;
        Ok(bytes.iter().all(|byte| *byte == 0))
    }

    /// The mark that counts; `None` only in a file that was just made.
    #[must_use]
    pub const fn newest(&self) -> Option<Mark> {
        self.newest
    }

    /// Writes `mark` with the next generation over the older slot, not synced. It then survives the process, but not
    /// yet the machine.
    ///
    /// # Errors
    /// What the operating system answered; the newest mark is then the one before, in the file as here.
    pub fn write(&mut self, mark: &Mark) -> io::Result<()> {
        let before = self.newest.map_or(0, |mark| mark.generation);
        let generation = before.checked_add(1).ok_or_else(|| io::Error::other("the mark's generations are used up"))?;
        let mark = Mark { generation, ..*mark };
        self.file.write_all_at(&mark.encode(), self.next as u64)?;
        self.newest = Some(mark);
        self.next = self.next.other();
        Ok(())
    }

    /// Makes what was written survive the machine (fdatasync).
    ///
    /// # Errors
    /// What the operating system answered; the mark must then be taken as not on disk.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Opens the file as `options` say; answers the slot that counts, too.
fn open(path: &Path, options: &OpenOptions) -> Result<(File, (Slot, Mark)), MarkError> {
    let file = options.open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => MarkError::Missing { path: path.display().to_string() },
        _ => failed(path, source),
    })?;
    let marks = [read(&file, Slot::First), read(&file, Slot::Second)];
    let [first, second] = marks.map(|mark| mark.map_err(|source| failed(path, source)));
    let newest = newer(first?, second?).ok_or_else(|| MarkError::Unreadable { path: path.display().to_string() })?;
    Ok((file, newest))
}

fn failed(path: &Path, source: io::Error) -> MarkError {
    MarkError::Failed { path: path.display().to_string(), source }
}

fn fill(file: &File, path: &Path) -> io::Result<()> {
    file.write_all_at(&[0; FILE_BYTES], 0)?;
    file.sync_all()?;
    let parent: PathBuf = path.canonicalize()?.parent().map(Path::to_owned).unwrap_or_default();
    File::open(parent)?.sync_all()
}

/// The mark in `slot`, if it is whole. A file that ends before the slot holds none there.
fn read(file: &File, slot: Slot) -> io::Result<Option<(Slot, Mark)>> {
    let mut bytes = [0; SLOT_BYTES];
    match file.read_exact_at(&mut bytes, slot as u64) {
        Ok(()) => Ok(Mark::decode(&bytes).map(|mark| (slot, mark))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn newer(first: Option<(Slot, Mark)>, second: Option<(Slot, Mark)>) -> Option<(Slot, Mark)> {
    [first, second].into_iter().flatten().max_by_key(|(_, mark)| mark.generation)
}

#[cfg(test)]
mod tests;
