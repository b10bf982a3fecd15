//! The note that a store was restored from a backup, beside the mark: while it lies there, the log is not opened.
//!
//! INVARIANT I7: a restored copy is an older log that looks whole. The note is made durable before the store comes to its
//! place and goes only after the signed record of the acceptance; a copy that is put in place by hand, without a mark, is refused for want
//! of that. The note speaks of a store of exactly so many records. One that has more, and all that the mark and the head
//! that was shown remember, is not the restored copy: whoever put it back has brought back what was missing, and the note goes.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::start::{Examined, OpenError};
use crate::mark::MarkError;
use crate::record::{Parameters, Value};

/// What is known of a restored store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Restored {
    /// SHA-256 of the backup's manifest, in hex.
    pub(super) backup: String,
    /// Records in the backup.
    pub(super) size: u64,
    /// When it was taken, in microseconds since 1970.
    pub(super) time: u64,
    /// The head that was shown, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) shown: Option<Shown>,
}

/// A signed head of the log that was shown at the restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shown {
    pub(super) size: u64,
    /// In hex.
    pub(super) root: String,
}

fn path(high_water_mark: &Path) -> PathBuf {
    let mut path = high_water_mark.as_os_str().to_owned();
    path.push(".restored");
    PathBuf::from(path)
}

fn failed(path: &Path, source: io::Error) -> MarkError {
    MarkError::Failed { path: path.display().to_string(), source }
}

impl Restored {
    /// What a record says of it.
    pub(super) fn parameter(&self) -> Value {
        let mut said = Parameters::from([
            ("backup".to_owned(), format!("sha256:{}", self.backup).into()),
            ("size".to_owned(), self.size.into()),
            ("time".to_owned(), self.time.into()),
        ]);
        if let Some(shown) = &self.shown {
            let head = [("root".to_owned(), shown.root.as_str().into()), ("size".to_owned(), shown.size.into())];
            said.insert("shown".to_owned(), Value::Object(Parameters::from(head)));
        }
        Value::Object(said)
    }

    /// Whether a store of `size` records may be the restored one, or is less than what is known to have been.
    pub(super) fn covers(&self, size: u64) -> bool {
        size <= self.size || self.shown.as_ref().is_some_and(|shown| size < shown.size)
    }

    /// Writes the note beside the mark, durable, in place of an older one: all of it, or nothing.
    pub(super) fn write(&self, high_water_mark: &Path) -> Result<(), MarkError> {
        let path = path(high_water_mark);
        let new = path.with_extension("restored.new");
        let write = || {
            let mut file = File::create(&new)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            sync_around(&path)
        };
        write().map_err(|source| failed(&path, source))
    }

    fn refusal(&self) -> OpenError {
        let newer = self.shown.as_ref().map(|shown| format!("a signed head of `{}` was shown", shown.size));
        let newer = newer.unwrap_or_else(|| "the log it was taken from went on".to_owned());
        OpenError::Restored { size: self.size, newer }
    }
}

/// The note beside the mark, if there is one.
pub(super) fn read(high_water_mark: &Path) -> Result<Option<Restored>, MarkError> {
    let path = path(high_water_mark);
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| failed(&path, error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(&path, error)),
    }
}

/// Refuses a log that was restored and not accepted, whatever its mark says. `examined` is what the store showed; what is wrong
/// with the records themselves stays its answer.
pub(super) fn refuse(note: Option<&Restored>, examined: Result<Examined, OpenError>) -> Result<Examined, OpenError> {
    let size = match &examined {
        Ok(examined) => examined.head.size,
        Err(OpenError::Lost { size, .. } | OpenError::OtherHead { size, .. } | OpenError::NoMark { size, .. }) => *size,
        Err(_) => return examined,
    };
    match note.filter(|note| note.covers(size)) {
        Some(note) => Err(note.refusal()),
        None => examined,
    }
}

/// Removes a note that does not speak of the store, which its mark has just accepted.
pub(super) fn drop_stale(note: Option<&Restored>, size: u64, high_water_mark: &Path) -> Result<(), OpenError> {
    let Some(stale) = note else { return Ok(()) };
    tracing::warn!(restored = stale.size, size, "the whole store is back: the note of a restore is removed");
    remove(high_water_mark).map_err(OpenError::Mark)
}

/// Removes the note: the restore is accepted.
pub(super) fn remove(high_water_mark: &Path) -> Result<(), MarkError> {
    let path = path(high_water_mark);
    match fs::remove_file(&path) {
        Ok(()) => sync_around(&path).map_err(|source| failed(&path, source)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(&path, error)),
    }
}

/// Makes the entry of `path` in its directory durable.
pub(super) fn sync_around(path: &Path) -> io::Result<()> {
    let around = path.parent().filter(|around| !around.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(around)?.sync_all()
}
