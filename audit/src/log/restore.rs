//! Putting a backup in place of a store that is gone.
//!
//! INVARIANT I7: a restored copy is told from the log it was taken from. It is held against the mark that is there and
//! against the head that is shown; unless these show that it is the whole log, a note is left ([`super::restored`]) with which
//! the gateway does not start until the restore is accepted by a signed record ([`mod@super::loss`]).
//! Nothing is overwritten: there must be no store, or an empty folder in its place. A damaged backup is refused before anything is in place.
//!
//! DURABILITY: copy, judgement, note, then one rename, then away with the note of an earlier restore if nothing is missing. If the process dies before it there is no store, and the same command
//! begins anew.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::restored::{self, Restored, Shown, sync_around};
use super::start::{self, Examined, OpenError};
use crate::backup::{Entry, HEAD, MANIFEST, MARK, Manifest, STORE, digest_of};
use crate::beside::Beside;
use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::mark::{Mark, MarkError, MarkFile};
use crate::note::VerifyingKey;
use crate::recovery;
use crate::store::{Snapshot, StoreError};

/// What is restored where.
#[derive(Clone, Copy, Debug)]
pub struct Restoration<'a> {
    /// The backup's directory.
    pub backup: &'a Path,
    /// Where the store is to be; must not exist, or be an empty folder.
    pub store: &'a Path,
    /// The mark of the installation; it is not changed, and may be missing.
    pub high_water_mark: &'a Path,
    /// The origin that the log signs under.
    pub origin: &'a str,
    /// The key that it signs with.
    pub vkey: &'a VerifyingKey,
    /// A signed checkpoint of the log, as it was remembered elsewhere.
    pub shown: Option<&'a [u8]>,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restoring {
    /// Records in the store.
    pub size: u64,
    /// When the backup was taken, in microseconds since 1970.
    pub time_us: u64,
    /// Records that the log is known to have had: by the mark, or by the head that was shown.
    pub known: Option<u64>,
    /// Whether the gateway starts only once the restore is accepted.
    pub needs_acceptance: bool,
}

/// Why a backup is not restored. Nothing is in place then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// There is a store.
    #[error("`{0}` exists; a restore never overwrites")]
    Exists(String),
    /// A recovery has left the store beside its place.
    #[error(
        "`{0}` is the store that a recovery was interrupted over: start the gateway, which finishes that, or move it away if it is not wanted"
    )]
    Interrupted(String),
    /// There is no such folder.
    #[error("there is no folder `{0}`")]
    NoFolder(String),
    /// The folder is something else.
    #[error("`{0}` is no backup: it has no manifest")]
    NoBackup(String),
    /// A file of the backup is missing or is not what the manifest says.
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    /// It is that of another log.
    #[error(
        "the backup is that of the origin `{found}`, the configuration's is `{expected}`: take keyward.toml and keys of that time"
    )]
    OtherOrigin {
        /// The backup's.
        found: String,
        /// The configuration's.
        expected: String,
    },
    /// The signed checkpoint in it, or the one that was shown.
    #[error("the {which} is no checkpoint of this log: {source}")]
    Checkpoint {
        /// Which one.
        which: &'static str,
        /// Why not.
        source: CheckpointError,
    },
    /// It and what is remembered are two histories.
    #[error("the backup is of another history: its head at `{size}` is not that of the {which}")]
    OtherHistory {
        /// Which memory.
        which: &'static str,
        /// Its size.
        size: u64,
    },
    /// The mark.
    #[error(transparent)]
    Mark(#[from] MarkError),
    /// What the backup holds is no log that could be served.
    #[error("what the backup holds is refused: {0}")]
    Open(#[from] OpenError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file system.
    #[error("`{path}`: {source}")]
    Failed {
        /// Where.
        path: String,
        /// What it answered.
        source: io::Error,
    },
}

impl RestoreError {
    /// Whether it is the backup, or what is remembered of the log, that is found wrong, and not the machine.
    #[must_use]
    pub const fn is_finding(&self) -> bool {
        matches!(
            self,
            Self::NoBackup(_)
                | Self::Damaged(_)
                | Self::OtherOrigin { .. }
                | Self::Checkpoint { .. }
                | Self::OtherHistory { .. }
                | Self::Open(_)
        )
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> RestoreError {
    let path = path.display().to_string();
    move |source| RestoreError::Failed { path, source }
}

/// Checks a backup and puts it in place.
///
/// # Errors
/// [`RestoreError`].
pub fn restore(wanted: &Restoration<'_>) -> Result<Restoring, RestoreError> {
    if !recovery::is_free(wanted.store) {
        return Err(RestoreError::Exists(wanted.store.display().to_string()));
    }
    if let Some(torn) = recovery::interrupted(wanted.store)? {
        return Err(RestoreError::Interrupted(torn.display().to_string()));
    }
    let manifest = read_manifest(wanted)?;
    let shown = wanted.shown.map(|note| parse(note, wanted.vkey, "head that is shown")).transpose()?;
    let place = place(wanted.store)?;
    let restored = copy(wanted, &manifest, &place).and_then(|()| {
        let head = fs::read(wanted.backup.join(HEAD)).map_err(failed(wanted.backup))?;
        let head = parse(&head, wanted.vkey, "signed head in the backup")?;
        let found = judge(wanted, &place, &head, shown.as_ref())?;
        settle(wanted, &manifest, &found, shown.as_ref())
    });
    let moved = restored.and_then(|restored| {
        fs::rename(&place, wanted.store).and_then(|()| sync_around(wanted.store)).map_err(failed(wanted.store))?;
        if !restored.needs_acceptance {
            restored::remove(wanted.high_water_mark)?;
        }
        Ok(restored)
    });
    if moved.is_err() {
        // What is left of it is removed by the next restore.
        let _left = fs::remove_dir_all(&place);
    }
    moved
}

fn read_manifest(wanted: &Restoration<'_>) -> Result<Manifest, RestoreError> {
    let manifest = Manifest::load(wanted.backup).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => RestoreError::Damaged(error.to_string()),
        io::ErrorKind::NotFound if wanted.backup.is_dir() => {
            RestoreError::NoBackup(wanted.backup.display().to_string())
        }
        io::ErrorKind::NotFound => RestoreError::NoFolder(wanted.backup.display().to_string()),
        _ => failed(wanted.backup)(error),
    })?;
    if manifest.origin != wanted.origin {
        return Err(RestoreError::OtherOrigin { found: manifest.origin, expected: wanted.origin.to_owned() });
    }
    Ok(manifest)
}

fn parse(note: &[u8], vkey: &VerifyingKey, which: &'static str) -> Result<SignedCheckpoint, RestoreError> {
    let keys = std::slice::from_ref(vkey);
    SignedCheckpoint::parse_and_verify(note, keys).map_err(|source| RestoreError::Checkpoint { which, source })
}

/// An empty directory beside the store's place, in which the copy is judged.
fn place(store: &Path) -> Result<PathBuf, RestoreError> {
    let place = Beside::Restoring.of(store);
    let around = store.parent().unwrap_or(Path::new(""));
    let make = || {
        if !around.as_os_str().is_empty() {
            DirBuilder::new().mode(0o700).recursive(true).create(around)?;
        }
        match fs::remove_dir_all(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        DirBuilder::new().mode(0o700).create(&place)
    };
    make().map_err(failed(&place))?;
    Ok(place)
}

/// Copies the engine's files, each as the manifest says; nothing may be missing and nothing may be added.
fn copy(wanted: &Restoration<'_>, manifest: &Manifest, place: &Path) -> Result<(), RestoreError> {
    let named: BTreeSet<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
    for required in [MARK, HEAD] {
        if !named.contains(required) {
            return Err(RestoreError::Damaged(format!("its manifest does not name `{required}`")));
        }
    }
    let lying = lying(wanted.backup).map_err(failed(wanted.backup))?;
    if let Some(surplus) = lying.iter().find(|name| !named.contains(name.as_str()) && *name != MANIFEST) {
        return Err(RestoreError::Damaged(format!("`{surplus}` is not named by its manifest")));
    }
    manifest.files.iter().try_for_each(|file| copy_file(wanted.backup, place, file))?;
    File::open(place).and_then(|place| place.sync_all()).map_err(failed(place))
}

/// The names of the files that lie in a backup.
fn lying(backup: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for (directory, before) in [(backup.to_owned(), String::new()), (backup.join(STORE), format!("{STORE}/"))] {
        for entry in fs::read_dir(directory)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !(before.is_empty() && name == STORE) {
                names.push(format!("{before}{name}"));
            }
        }
    }
    Ok(names)
}

fn copy_file(backup: &Path, place: &Path, entry: &Entry) -> Result<(), RestoreError> {
    let from = backup.join(&entry.name);
    let damaged = |what: &str| RestoreError::Damaged(format!("`{}` {what}", entry.name));
    // What a link leads to is not followed, and nothing but a file is opened.
    match from.symlink_metadata() {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err(damaged("is no file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damaged("is missing")),
        Err(error) => return Err(failed(&from)(error)),
    }
    let mut file = File::open(&from).map_err(failed(&from))?;
    let target = entry.name.strip_prefix("db/").map(|name| place.join(name));
    let mut made = match &target {
        Some(to) => {
            let options = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
            Some(options.map_err(failed(to))?)
        }
        None => None,
    };
    let found = digest_of(&mut file, |part| made.as_mut().map_or(Ok(()), |made| made.write_all(part)));
    let found = found.map_err(failed(&from))?;
    if let Some(made) = made {
        made.sync_all().map_err(failed(place))?;
    }
    if found == (entry.bytes, entry.sha256.clone()) { Ok(()) } else { Err(damaged("is not what its manifest says")) }
}

/// How far the log is known to have come.
struct Found {
    size: u64,
    /// By the mark that is there.
    marked: Option<Mark>,
}

/// Opens the copy as it would be served; it must be a whole log, exactly as the backup's mark says, and one history with all that is
/// remembered.
fn judge(
    wanted: &Restoration<'_>,
    place: &Path,
    head: &SignedCheckpoint,
    shown: Option<&SignedCheckpoint>,
) -> Result<Found, RestoreError> {
    let mark = MarkFile::peek(&wanted.backup.join(MARK))?;
    let marked = match MarkFile::peek(wanted.high_water_mark) {
        Ok(marked) => Some(marked),
        Err(MarkError::Missing { .. } | MarkError::Unreadable { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let mut memories = vec![("signed head in the backup", head.checkpoint().size, head.checkpoint().root)];
    memories.extend(marked.map(|marked| ("high-water mark", marked.size, marked.root)));
    memories.extend(shown.map(|shown| ("head that is shown", shown.checkpoint().size, shown.checkpoint().root)));
    let (mut found, mut parted) = (None, None);
    let opened = recovery::open_with_recovery(place, &mut |rows| {
        let examined = start::examine(rows, wanted.origin, &mark);
        if let Ok(examined) = &examined {
            parted = first_parted(rows, examined, &memories)?;
        }
        start::judge(&mut found, examined)
    });
    let size = match (opened, found) {
        (Ok(_), Some(Ok(examined))) => examined.head.size,
        (_, Some(Err(refusal))) => return Err(refusal.into()),
        (Err(error), _) => return Err(RestoreError::Damaged(error.to_string())),
        (Ok(_), None) => return Err(StoreError::Closed.into()),
    };
    match parted {
        Some((which, size)) => Err(RestoreError::OtherHistory { which, size }),
        None => Ok(Found { size, marked }),
    }
}

/// The first memory that lies within the log and is not of its history.
fn first_parted(
    rows: &dyn Snapshot,
    examined: &Examined,
    memories: &[(&'static str, u64, [u8; 32])],
) -> Result<Option<(&'static str, u64)>, StoreError> {
    for (which, size, root) in memories {
        if *size <= examined.head.size && !start::begins_with(rows, examined, *size, root)? {
            return Ok(Some((which, *size)));
        }
    }
    Ok(None)
}

/// Leaves the note, unless the mark that is there and the head that is shown say that nothing is missing.
fn settle(
    wanted: &Restoration<'_>,
    manifest: &Manifest,
    found: &Found,
    shown: Option<&SignedCheckpoint>,
) -> Result<Restoring, RestoreError> {
    let shown = shown.map(SignedCheckpoint::checkpoint);
    let known = found.marked.map(|marked| marked.size).max(shown.map(|shown| shown.size));
    let is_whole = found.marked.is_some() && known == Some(found.size);
    if !is_whole {
        let shown = shown.map(|shown| Shown { size: shown.size, root: hex::encode(shown.root) });
        let note = Restored { backup: manifest.digest(), size: found.size, time: manifest.time, shown };
        note.write(wanted.high_water_mark)?;
    }
    Ok(Restoring { size: found.size, time_us: manifest.time, known, needs_acceptance: !is_whole })
}
