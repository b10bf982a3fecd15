//! The high-water mark of an open log, written by two threads: the sequencer moves its size, the signer what was
//! signed.
//!
//! DURABILITY: a waiter is woken after the mark was written, so after a kill the mark covers every acknowledged
//! record; a checkpoint leaves the process after the mark that names it was synced, so the log never signs a second
//! head of one size.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::shared::Durable;
use super::sync::lock;
use crate::hash::Digest;
use crate::mark::{Mark, MarkError, MarkFile};

/// Why a head may not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// A larger head was signed before.
    #[error("size `{size}` is below the largest ever signed, `{signed}`")]
    Smaller {
        /// The size to be signed.
        size: u64,
        /// The largest signed.
        signed: u64,
    },
    /// This size was signed with another root.
    #[error("size `{size}` was signed before with another root")]
    OtherRoot {
        /// The size to be signed.
        size: u64,
    },
    /// The mark could not be written or synced.
    #[error("the high-water mark cannot be written: {0}")]
    Mark(#[from] io::Error),
}

/// The mark and its file.
#[derive(Debug)]
pub(super) struct Marked {
    pub(super) file: Mutex<MarkFile>,
    /// A second handle on the same file: a sync through it does not hold up the sequencer's next write.
    syncing: File,
    synced_size: AtomicU64,
    synced_us: AtomicU64,
}

impl Marked {
    /// Goes on with `file`, which lies at `path` and holds a mark.
    pub(super) fn new(file: MarkFile, path: &Path) -> Result<Self, MarkError> {
        let failed = |source| MarkError::Failed { path: path.display().to_string(), source };
        let syncing = File::open(path).map_err(failed)?;
        Ok(Self { file: Mutex::new(file), syncing, synced_size: AtomicU64::new(0), synced_us: AtomicU64::new(0) })
    }

    pub(super) fn newest(&self) -> Option<Mark> {
        lock(&self.file).newest()
    }

    /// Moves the mark to a durable head; not synced.
    pub(super) fn advance(&self, durable: &Durable) -> io::Result<()> {
        let mut file = lock(&self.file);
        let before = file.newest().ok_or_else(missing)?;
        file.write(&Mark {
            epoch: u64::from(durable.epoch),
            size: durable.size,
            chain: durable.chain,
            root: durable.root,
            time_us: durable.time_us,
            ..before
        })
    }

    /// Notes that a head is about to be signed, and syncs that.
    pub(super) fn sign(&self, size: u64, root: Digest, now_us: u64) -> Result<(), SignError> {
        let mut file = lock(&self.file);
        let before = file.newest().ok_or_else(missing)?;
        if size < before.signed_size {
            return Err(SignError::Smaller { size, signed: before.signed_size });
        }
        if size == before.signed_size && root != before.signed_root {
            return Err(SignError::OtherRoot { size });
        }
        file.write(&Mark { signed_size: size, signed_root: root, ..before })?;
        drop(file);
        self.syncing.sync_data()?;
        self.synced_size.store(before.size, Ordering::Release);
        self.synced_us.store(now_us, Ordering::Release);
        Ok(())
    }

    /// For how long, in microseconds, the synced mark has lagged behind a log of `size` records.
    pub(super) fn age_us(&self, size: u64, now_us: u64) -> u64 {
        if self.synced_size.load(Ordering::Acquire) >= size {
            return 0;
        }
        now_us.saturating_sub(self.synced_us.load(Ordering::Acquire))
    }
}

fn missing() -> io::Error {
    io::Error::other("it holds no mark")
}
