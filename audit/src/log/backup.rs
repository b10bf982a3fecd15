//! Taking a backup of a log that serves: the store as of one moment, a mark at its head, a signed checkpoint before it.
//!
//! The engine makes the copy beside the store, mostly of links to files that never change, while writes go on; what it
//! holds is then read from the copy itself, so that mark and store are of one moment whatever was written meanwhile. The record of
//! the backup's taking is written afterwards, so a restored copy is always an older log than the one it was taken from.
//!
//! DURABILITY: if the process dies, the copy is left beside the store and removed at the next start. Only one is made at a time:
//! it keeps files that the store itself may have given up.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::vec;

use sha2::{Digest as _, Sha256};
use std::io::Read as _;

use super::Log;
use super::open::checkpoint_mark;
use super::retention;
use super::start::{self, OpenError};
use crate::backup::{BLOCK_BYTES, Entry, HEAD, MANIFEST, MARK, Manifest, STORE, header};
use crate::beside::Beside;
use crate::checkpoint::SignedCheckpoint;
use crate::mark::MarkError;
use crate::store::rocks::RocksStore;
use crate::store::{Store as _, StoreError};

/// Why no backup is made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// Another one is under way.
    #[error("another backup is being taken")]
    Busy,
    /// The file system.
    #[error("`{path}`: {source}")]
    Failed {
        /// Where.
        path: String,
        /// What it answered.
        source: io::Error,
    },
    /// The copy is not what it must be.
    #[error(transparent)]
    Copy(#[from] OpenError),
    /// Its mark cannot be written.
    #[error(transparent)]
    Mark(#[from] MarkError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.display().to_string();
    move |source| BackupError::Failed { path, source }
}

/// The directory beside the store in which a backup is put together. Removed when dropped.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn make(store: &Path) -> Result<Self, BackupError> {
        let path = Beside::Backup.of(store);
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Self(path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(BackupError::Busy),
            Err(error) => Err(failed(&path)(error)),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::error!(%error, path = %self.0.display(), "a backup's copy cannot be removed: it keeps disk space");
        }
    }
}

/// Removes what a process that died while it took a backup, or restored one, has left beside `store`, which this process has open.
pub(super) fn clear(store: &Path) {
    for path in [Beside::Backup, Beside::Restoring].map(|copy| copy.of(store)) {
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %path.display(), "the copy of an interrupted backup or restore cannot be removed");
            }
            _ => {}
        }
    }
}

/// A backup on its way out: blocks of files, each behind a line that names it, the manifest last. After an error there are no
/// more.
#[derive(Debug)]
pub struct Backup {
    scratch: Scratch,
    manifest: Manifest,
    waiting: vec::IntoIter<String>,
    sending: Option<Sending>,
    ended: bool,
}

#[derive(Debug)]
struct Sending {
    name: String,
    file: File,
    length: u64,
    left: u64,
    digest: Sha256,
}

impl Log {
    /// Takes a backup; `signed` is a checkpoint of this log. Reads and writes files: not for a thread that others wait for.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn backup(&self, signed: &SignedCheckpoint) -> Result<Backup, BackupError> {
        retention::keep(&self.shared, signed.checkpoint().size);
        let scratch = Scratch::make(&self.shared.store_path)?;
        let copy = scratch.0.join(STORE);
        self.shared.store.copy_to(&copy)?;
        let mut names = files_of(&copy).map_err(failed(&copy))?;
        let durable = head_of(&copy, &self.shared.origin, signed)?;
        checkpoint_mark(&scratch.0.join(MARK), &durable, signed)?;
        let head = scratch.0.join(HEAD);
        File::create(&head).and_then(|mut file| file.write_all(signed.note().as_bytes())).map_err(failed(&head))?;
        names.extend([MARK.to_owned(), HEAD.to_owned()]);
        let time_us = self.shared.environment.clock.wall_us();
        let origin = self.shared.origin.clone();
        let manifest = Manifest::new(origin, durable.size, signed.checkpoint().size, time_us, Vec::new());
        Ok(Backup { scratch, manifest, waiting: names.into_iter(), sending: None, ended: false })
    }
}

/// The names of the copy's files, below the backup.
fn files_of(copy: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(copy)? {
        names.push(format!("{STORE}/{}", entry?.file_name().to_string_lossy()));
    }
    names.sort_unstable();
    Ok(names)
}

/// The head that a copy holds, which must continue `signed`.
fn head_of(copy: &Path, origin: &str, signed: &SignedCheckpoint) -> Result<super::shared::Durable, BackupError> {
    let copy = RocksStore::open_read_only(copy)?;
    let mut found = None;
    copy.snapshot(&mut |rows| {
        found = Some(start::load(rows, origin).and_then(|examined| {
            let head = signed.checkpoint();
            match start::begins_with(rows, &examined, head.size, &head.root)? {
                true => Ok(examined.head.durable()),
                false => Err(OpenError::OtherHead { size: examined.head.size, mark: head.size }),
            }
        }));
        Ok(())
    })?;
    Ok(found.unwrap_or(Err(StoreError::Closed.into()))?)
}

impl Backup {
    /// Records in it.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.manifest.size
    }

    fn block(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some(sending) = self.sending.take() {
            return self.send(sending).map(Some);
        }
        if let Some(name) = self.waiting.next() {
            let file = File::open(self.scratch.0.join(&name))?;
            let length = file.metadata()?.len();
            let line = header(&name, length);
            self.keep(Sending { name, file, length, left: length, digest: Sha256::new() });
            return Ok(Some(line.into_bytes()));
        }
        if self.ended {
            return Ok(None);
        }
        self.ended = true;
        let manifest = self.manifest.encode();
        let mut last = header(MANIFEST, manifest.len() as u64).into_bytes();
        last.extend_from_slice(&manifest);
        Ok(Some(last))
    }

    fn send(&mut self, mut sending: Sending) -> io::Result<Vec<u8>> {
        let wanted = usize::try_from(sending.left).unwrap_or(usize::MAX).min(BLOCK_BYTES);
        let mut block = vec![0; wanted];
        sending.file.read_exact(&mut block)?;
        sending.digest.update(&block);
        sending.left = sending.left.saturating_sub(block.len() as u64);
        self.keep(sending);
        Ok(block)
    }

    /// Goes on with a file, or notes it if all of it is out.
    fn keep(&mut self, sending: Sending) {
        if sending.left > 0 {
            self.sending = Some(sending);
            return;
        }
        let sha256 = hex::encode(sending.digest.finalize());
        self.manifest.files.push(Entry { name: sending.name, bytes: sending.length, sha256 });
    }
}

impl Iterator for Backup {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let block = self.block();
        if block.is_err() {
            (self.waiting, self.sending, self.ended) = (Vec::new().into_iter(), None, true);
        }
        block.transpose()
    }
}
