//! Opening a store that may have been torn, without touching it before what is left has been judged.
//!
//! Holds its part of I7: no engine notices every lost tail, so a judge compares what opened with the high-water mark
//! before anything is served. A log that ends in half a record is normal after a crash; RocksDB's strict mode refuses
//! it. Then a copy is made beside the store ([`Beside::Recovery`]: hard links to the table files, which are never
//! changed in place, and true copies of the log, manifest and the small files), the copy is opened up to the damage,
//! and only if the judge accepts it, it takes the store's place. If not, the store is left exactly as it was found.
//!
//! A file of the log that was synced and closed is another matter: a crash does not take it away. If one is missing or
//! short, the copy is opened without it and without the files behind it, and the judge may say what is left; but it takes the
//! store's place only for whoever accepts the loss ([`open_what_is_left`]). The record of that is written to the copy first:
//! a store without the gap, and without a word of it, would look whole.
//!
//! DURABILITY: the swap is two renames, each synced: the store to [`Beside::Torn`], then the copy to the store's place; then
//! the torn one is removed. If the process dies
//! - before the first rename: the copy was not yet judged, or is made and judged again; it is removed at the next start;
//! - between the two: the store is missing and both others are there; the next start does the second rename, and no restore
//!   takes the place before ([`interrupted`]);
//! - after the second: the next start removes the torn one.
//!
//! While this runs, the directory around the store is locked, so that two processes never recover at once.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::beside::Beside;
use crate::store::rocks::{Recovery, RocksStore};
use crate::store::{Judge, Store, StoreError, Tail, Verdict};

/// A store that a judge has accepted.
#[derive(Debug)]
pub struct Opened {
    /// The store, open.
    pub store: RocksStore,
    /// Whether its tail had to be cut off.
    pub tail: Tail,
}

/// What is to happen to a store that has just been opened, before it is served or takes the place of another. It is told the
/// file of the log that is gone, if what follows that was cut off. If it fails, the store is as it was found, but for what it
/// did itself to one that opened whole.
pub type Work<'a> = dyn FnMut(&RocksStore, Option<&str>) -> Result<(), StoreError> + 'a;

/// Opens the store at `path` if `judge` accepts what it holds: as it is, or else its copy cut off at the damage.
///
/// # Errors
/// [`StoreError::Refused`] with the judge's words; [`StoreError::Damaged`] if not even the cut-off copy opens;
/// [`StoreError::Gap`] if a synced file of its log is gone, even if the judge accepts what is left without it;
/// [`StoreError::InUse`] if another process has it open or recovers it; else as [`RocksStore::open`]. After each of
/// them the files of the store are as they were.
pub fn open_with_recovery(path: &Path, judge: &mut Judge<'_>) -> Result<Opened, StoreError> {
    open(path, &mut |store, gap| {
        ask(store, judge)?;
        gap.map_or(Ok(()), |file| Err(StoreError::Gap(file.to_owned())))
    })
}

/// The same with `work` in place of a judge, and what lies before a gap in its log will do: for an operator who accepts that
/// what follows is lost.
///
/// # Errors
/// As [`open_with_recovery`], but for the gap; or that of `work`.
pub fn open_what_is_left(path: &Path, work: &mut Work<'_>) -> Result<Opened, StoreError> {
    open(path, work)
}

/// Shows `look` what [`open_what_is_left`] would open. A copy is thrown away: the store is as it was found.
///
/// # Errors
/// As [`open_what_is_left`].
pub fn look_at_what_is_left(path: &Path, look: &mut dyn FnMut(&RocksStore)) -> Result<(), StoreError> {
    let mut looked = false;
    let opened = open(path, &mut |store, _| {
        look(store);
        looked = true;
        Err(StoreError::Closed)
    });
    match opened {
        Err(StoreError::Closed) if looked => Ok(()),
        other => other.map(|_| ()),
    }
}

/// The torn store that a recovery which was interrupted has left beside `path`. While it is there, nothing else takes the store's
/// place: it may hold all that there is.
///
/// # Errors
/// `path` is no name of a directory.
pub fn interrupted(path: &Path) -> Result<Option<PathBuf>, StoreError> {
    let place = Place::of(path)?;
    Ok(Some(place.torn).filter(|torn| torn.exists()))
}

fn open(path: &Path, work: &mut Work<'_>) -> Result<Opened, StoreError> {
    let place = Place::of(path)?;
    let _alone = place.lock()?;
    place.settle().map_err(|error| place.failed("clean up beside", &error))?;
    match RocksStore::open(path, Recovery::Absolute) {
        Ok(store) => {
            work(&store, None)?;
            Ok(Opened { store, tail: Tail::Whole })
        }
        Err(StoreError::Damaged(_) | StoreError::Gap(_)) => recover(&place, work),
        Err(error) => Err(error),
    }
}

fn recover(place: &Place, work: &mut Work<'_>) -> Result<Opened, StoreError> {
    let worked = place.copy().map_err(|error| place.failed("copy", &error)).and_then(|()| {
        match RocksStore::open(&place.recovery, Recovery::PointInTime) {
            Ok(copy) => work(&copy, None),
            Err(StoreError::Gap(file)) => {
                place.cut_copy_at(&file).map_err(|error| place.failed("cut the copy of", &error))?;
                work(&RocksStore::open(&place.recovery, Recovery::BeforeGap)?, Some(&file))
            }
            Err(error) => Err(error),
        }
    });
    if let Err(error) = worked {
        place.remove_copy().map_err(|error| place.failed("clean up beside", &error))?;
        return Err(error);
    }
    place.swap().map_err(|error| place.failed("replace", &error))?;
    let store = RocksStore::open(&place.store, Recovery::Absolute)?;
    Ok(Opened { store, tail: Tail::Torn })
}

fn ask(store: &RocksStore, judge: &mut Judge<'_>) -> Result<(), StoreError> {
    let mut verdict = None;
    store.snapshot(&mut |rows| {
        verdict = Some(judge(rows)?);
        Ok(())
    })?;
    match verdict {
        Some(Verdict::Accept) => Ok(()),
        Some(Verdict::Refuse(why)) => Err(StoreError::Refused(why)),
        None => Err(StoreError::Closed),
    }
}

/// The store's directory and those beside it.
struct Place {
    store: PathBuf,
    recovery: PathBuf,
    torn: PathBuf,
    around: PathBuf,
}

impl Place {
    fn of(path: &Path) -> Result<Self, StoreError> {
        // A link to a directory elsewhere: the copy must lie beside the directory itself.
        let store = fs::read_link(path).map_or_else(|_| path.to_owned(), |target| around(path).join(target));
        if store.file_name().is_none() {
            return Err(StoreError::Engine(format!("`{}` is no name of a directory", path.display())));
        }
        let (recovery, torn) = (Beside::Recovery.of(&store), Beside::Torn.of(&store));
        Ok(Self { recovery, torn, around: around(&store), store })
    }

    fn failed(&self, what: &str, error: &io::Error) -> StoreError {
        StoreError::Engine(format!("cannot {what} `{}`: {error}", self.store.display()))
    }

    /// Held until it is dropped.
    fn lock(&self) -> Result<File, StoreError> {
        let around = File::open(&self.around).map_err(|error| self.failed("open the directory around", &error))?;
        match around.try_lock() {
            Ok(()) => Ok(around),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: self.store.display().to_string() }),
            Err(TryLockError::Error(error)) => Err(self.failed("lock the directory around", &error)),
        }
    }

    /// Ends what a process that died has begun. What is beside goes only where a store lies that the engine knows as one: anything
    /// else there may be half of a copy that somebody made by hand.
    fn settle(&self) -> io::Result<()> {
        if is_free(&self.store) && self.torn.exists() && self.recovery.exists() {
            self.rename(&self.recovery, &self.store)?;
        }
        if self.store.join("CURRENT").exists() {
            self.remove_copy()?;
            remove(&self.torn)?;
        }
        Ok(())
    }

    fn remove_copy(&self) -> io::Result<()> {
        remove(&self.recovery)
    }

    /// Makes the copy, durable.
    fn copy(&self) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(&self.recovery)?;
        for entry in fs::read_dir(&self.store)? {
            let entry = entry?;
            let to = self.recovery.join(entry.file_name());
            match Part::of(&entry.file_name()) {
                Part::Table => fs::hard_link(entry.path(), to)?,
                Part::Changing => {
                    fs::copy(entry.path(), &to)?;
                    File::open(&to)?.sync_all()?;
                }
                Part::NotCopied => {}
            }
        }
        File::open(&self.recovery)?.sync_all()
    }

    /// Takes the files of the log behind `file` out of the copy: what they hold follows what is gone.
    fn cut_copy_at(&self, file: &str) -> io::Result<()> {
        for entry in fs::read_dir(&self.recovery)? {
            let entry = entry?;
            // Numbers of the same width, as RocksDB writes them, or longer ones.
            let name = entry.file_name();
            let behind = name.to_str().filter(|name| name.ends_with(".log"));
            if behind.is_some_and(|name| (name.len(), name) > (file.len(), file)) {
                fs::remove_file(entry.path())?;
            }
        }
        File::open(&self.recovery)?.sync_all()
    }

    /// Puts the copy, which nobody has open, in the store's place.
    fn swap(&self) -> io::Result<()> {
        File::open(&self.recovery)?.sync_all()?;
        self.rename(&self.store, &self.torn)?;
        self.rename(&self.recovery, &self.store)?;
        remove(&self.torn)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        File::open(&self.around)?.sync_all()
    }
}

/// Whether nothing lies at `store` but, at most, an empty directory: another one can be renamed to it.
pub(crate) fn is_free(store: &Path) -> bool {
    match store.symlink_metadata() {
        Ok(found) => found.is_dir() && fs::read_dir(store).is_ok_and(|mut entries| entries.next().is_none()),
        Err(_) => true,
    }
}

/// The directory that `path` lies in.
fn around(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// What a file of a RocksDB directory is to a recovery.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// Never changed once written: linked.
    Table,
    /// Appended to or replaced: copied.
    Changing,
    /// Text log, lock, temporary files.
    NotCopied,
}

impl Part {
    fn of(name: &OsStr) -> Self {
        let Some(name) = name.to_str() else {
            return Self::NotCopied;
        };
        let changing = ["MANIFEST-", "OPTIONS-"].iter().any(|prefix| name.starts_with(prefix));
        match Path::new(name).extension().and_then(OsStr::to_str) {
            Some("sst") => Self::Table,
            Some("log") => Self::Changing,
            Some(_) => Self::NotCopied,
            None if changing || name == "CURRENT" || name == "IDENTITY" => Self::Changing,
            None => Self::NotCopied,
        }
    }
}

#[cfg(test)]
mod tests;
