//! The receiving side: writes a backup that comes in blocks to a directory, and knows when it is whole.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{Entry, FILE_NAME_BYTES_MAX, MANIFEST, MANIFEST_BYTES_MAX, Manifest, ManifestError, STORE, is_name};

/// Longest line before a file, in bytes.
const HEADER_BYTES_MAX: usize = FILE_NAME_BYTES_MAX + 40;

/// Bytes that are written before they are brought to the disk: whoever else syncs there, the gateway itself perhaps, waits for
/// no more than these.
const UNSYNCED_BYTES_MAX: u64 = 4 << 20;

/// Why a backup was not received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// What came is no backup.
    #[error("what the gateway sent is no backup: {0}")]
    Form(&'static str),
    /// It ended before it was whole.
    #[error("the backup broke off before it was whole")]
    Incomplete,
    /// What came is not what the manifest says.
    #[error("the backup's file `{0}` is not what its manifest says")]
    Differs(String),
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The file system.
    #[error("cannot write the backup: {0}")]
    Write(#[from] io::Error),
}

/// A backup on its way in.
#[derive(Debug)]
pub struct Receiver {
    directory: PathBuf,
    /// The line before the next file, as far as it has come.
    line: Vec<u8>,
    arriving: Option<Arriving>,
    received: Vec<Entry>,
    names: BTreeSet<String>,
    manifest: Vec<u8>,
}

#[derive(Debug)]
struct Arriving {
    name: String,
    length: u64,
    left: u64,
    unsynced: u64,
    digest: Sha256,
    file: File,
}

impl Receiver {
    /// Makes `directory` (mode 0700), which must not exist, and receives into it.
    ///
    /// # Errors
    /// [`ReceiveError::Write`].
    pub fn new(directory: &Path) -> Result<Self, ReceiveError> {
        for made in [directory.to_owned(), directory.join(STORE)] {
            DirBuilder::new().mode(0o700).create(made)?;
        }
        Ok(Self {
            directory: directory.to_owned(),
            line: Vec::new(),
            arriving: None,
            received: Vec::new(),
            names: BTreeSet::new(),
            manifest: Vec::new(),
        })
    }

    /// Takes in the next bytes.
    ///
    /// # Errors
    /// [`ReceiveError`]; nothing more may follow then.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), ReceiveError> {
        while !bytes.is_empty() {
            bytes = match self.arriving.take() {
                Some(arriving) => self.fill(arriving, bytes)?,
                None => self.head(bytes)?,
            };
        }
        Ok(())
    }

    /// Takes in bytes of the line before a file.
    fn head<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], ReceiveError> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (part, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end.saturating_add(1)));
        self.line.extend_from_slice(part);
        if self.line.len() > HEADER_BYTES_MAX {
            return Err(ReceiveError::Form("a line before a file is too long"));
        }
        if end.is_some() {
            let line = std::mem::take(&mut self.line);
            let (name, length) = read_header(&line).ok_or(ReceiveError::Form("a line before a file does not read"))?;
            let arriving = self.begin(name, length)?;
            self.settle(arriving)?;
        }
        Ok(rest)
    }

    fn begin(&mut self, name: String, length: u64) -> Result<Arriving, ReceiveError> {
        if self.names.contains(MANIFEST) {
            return Err(ReceiveError::Form("something follows its manifest"));
        }
        if !self.names.insert(name.clone()) {
            return Err(ReceiveError::Form("a file comes twice"));
        }
        if name == MANIFEST && length > MANIFEST_BYTES_MAX {
            return Err(ReceiveError::Form("its manifest is too long"));
        }
        let path = self.directory.join(&name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Arriving { name, length, left: length, unsynced: 0, digest: Sha256::new(), file })
    }

    fn fill<'a>(&mut self, mut arriving: Arriving, bytes: &'a [u8]) -> Result<&'a [u8], ReceiveError> {
        let here = usize::try_from(arriving.left).unwrap_or(usize::MAX).min(bytes.len());
        let (part, rest) = bytes.split_at(here);
        arriving.file.write_all(part)?;
        arriving.digest.update(part);
        arriving.left = arriving.left.saturating_sub(part.len() as u64);
        arriving.unsynced = arriving.unsynced.saturating_add(part.len() as u64);
        if arriving.unsynced >= UNSYNCED_BYTES_MAX {
            arriving.file.sync_data()?;
            arriving.unsynced = 0;
        }
        if arriving.name == MANIFEST {
            self.manifest.extend_from_slice(part);
        }
        self.settle(arriving)?;
        Ok(rest)
    }

    /// A file that is whole is made durable; another goes on.
    fn settle(&mut self, arriving: Arriving) -> Result<(), ReceiveError> {
        if arriving.left > 0 {
            self.arriving = Some(arriving);
            return Ok(());
        }
        arriving.file.sync_all()?;
        if arriving.name != MANIFEST {
            let sha256 = hex::encode(arriving.digest.finalize());
            self.received.push(Entry { name: arriving.name, bytes: arriving.length, sha256 });
        }
        Ok(())
    }

    /// Ends: the backup is whole, durable, and what its manifest says.
    ///
    /// # Errors
    /// [`ReceiveError`].
    pub fn finish(self) -> Result<Manifest, ReceiveError> {
        if self.arriving.is_some() || !self.line.is_empty() || !self.names.contains(MANIFEST) {
            return Err(ReceiveError::Incomplete);
        }
        let manifest = Manifest::parse(&self.manifest)?;
        let differing = manifest.files.iter().find(|file| !self.received.contains(file));
        if let Some(file) = differing {
            return Err(ReceiveError::Differs(file.name.clone()));
        }
        if manifest.files.len() != self.received.len() {
            return Err(ReceiveError::Form("it holds files that its manifest does not name"));
        }
        for made in [self.directory.join(STORE), self.directory] {
            File::open(made)?.sync_all()?;
        }
        Ok(manifest)
    }
}

/// Name and length of the file that follows; the name is one that a backup may hold.
fn read_header(line: &[u8]) -> Option<(String, u64)> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix('\n')?.strip_prefix("file ")?;
    let (name, length) = text.split_once(' ')?;
    let length: u64 = length.parse().ok().filter(|number: &u64| number.to_string() == length)?;
    is_name(name).then(|| (name.to_owned(), length))
}
