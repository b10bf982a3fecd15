//! The note that a store was restored from a backup, beside the mark: while it lies there, the log is not opened.
//!
//! INVARIANT I7: a restored copy is an older log that looks whole. The note is made durable before the store comes to its
//! place and goes only after the signed record of the acceptance; a copy that is put in place by hand, without a mark, is refused for want
//! of that.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::start::OpenError;
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

    /// Writes the note beside the mark, durable, in place of an older one.
    pub(super) fn write(&self, high_water_mark: &Path) -> Result<(), MarkError> {
        let path = path(high_water_mark);
        let write = || {
            let mut file = File::create(&path)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.sync_all()?;
            sync_around(&path)
        };
        write().map_err(|source| failed(&path, source))
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

/// Refuses a log that was restored and not accepted.
pub(super) fn refuse(high_water_mark: &Path) -> Result<(), OpenError> {
    match read(high_water_mark).map_err(OpenError::Mark)? {
        None => Ok(()),
        Some(Restored { size, shown, .. }) => {
            let newer = shown.map(|shown| format!("a signed head of `{}` was shown", shown.size));
            let newer = newer.unwrap_or_else(|| "the log it was taken from went on".to_owned());
            Err(OpenError::Restored { size, newer })
        }
    }
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
