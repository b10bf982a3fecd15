//! An operator accepts that records are lost, with the server stopped (audit-log.md 6.4).
//!
//! INVARIANT I7: any head that was ever signed above what is left would contradict every later one, so the log goes on
//! under a new origin and a new key, and the first record of the new epoch says what was lost, signed by the new key
//! and by the old one if it is still there. Tree and chain go on.
//! DURABILITY: the record first, then the new mark. If the process dies in between, the old mark still refuses the log,
//! and the operator accepts again.

use std::fs;
use std::path::{Path, PathBuf};

use super::batch::Batch;
use super::followers;
use super::head::{self, HEAD};
use super::keys::{ChainId, number};
use super::open::create_mark;
use super::own;
use super::sequencer::frame_own;
use super::shared::Durable;
use super::start::{self, Examined, OpenError};
use crate::environment::{Environment, RandomError};
use crate::hash;
use crate::mark::{Mark, MarkError, MarkFile};
use crate::note::{SigningKey, VerifyingKey};
use crate::recovery;
use crate::statement::{Head, Loss, StatementError};
use crate::store::{self, Commit, Family, Guard, Key, Snapshot, Store, StoreError, Write};

/// What an operator accepts, and how the log goes on.
pub struct Acceptance<'a> {
    /// The directory of the store.
    pub store: &'a Path,
    /// The file of the mark; it is kept beside the new one.
    pub high_water_mark: &'a Path,
    /// The origin so far.
    pub origin: &'a str,
    /// The key so far.
    pub old_vkey: &'a VerifyingKey,
    /// The same with its secret, if it is still there.
    pub old_key: Option<&'a SigningKey>,
    /// The key from now on; its name is the new origin.
    pub new_key: &'a SigningKey,
    /// The operator's words.
    pub reason: &'a str,
}

/// What was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Index of the `loss` record.
    pub index: u64,
    /// How many records there were, as far as the mark knows.
    pub lost: Option<u64>,
    /// How many are left.
    pub recovered: u64,
    /// The origin from now on.
    pub origin: String,
    /// The key from now on.
    pub vkey: String,
    /// Where the old mark was moved; none if there was none.
    pub old_mark: Option<PathBuf>,
}

/// Why a loss is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The mark shows that every record is there.
    #[error("no record is lost: the store holds all `{0}` records that the high-water mark remembers")]
    NothingLost(u64),
    /// The new origin is the old one.
    #[error("the origin `{0}` can never sign again: the new key must have another name")]
    SameOrigin(String),
    /// The record of the loss would be too large: the reason is too long.
    #[error("the reason is too long for a record")]
    Reason,
    /// The statement cannot be signed.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// No request id can be made.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The mark cannot be read or made.
    #[error(transparent)]
    Mark(#[from] MarkError),
    /// What is left does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Accepts the loss of records: appends the signed `loss` record and makes a new mark under the new origin.
///
/// # Errors
/// [`AcceptError`]; before the record is appended nothing has changed.
pub fn accept(acceptance: &Acceptance<'_>, environment: &Environment) -> Result<Accepted, AcceptError> {
    let mark = read_mark(acceptance.high_water_mark)?;
    let mut found = None;
    let opened = recovery::open_with_recovery(acceptance.store, &mut |rows| {
        start::judge(&mut found, left(rows, acceptance.origin))
    });
    let examined = match (found, &opened) {
        (Some(examined), _) => examined?,
        (None, _) => return Err(opened.err().unwrap_or(StoreError::Closed).into()),
    };
    accept_on(&opened?.store, &examined, mark.as_ref(), acceptance, environment)
}

/// What is left of the log must fit itself.
fn left(rows: &dyn Snapshot, origin: &str) -> Result<Examined, OpenError> {
    let examined = start::load(rows, origin)?;
    start::recheck(rows, &examined, None)?;
    Ok(examined)
}

fn read_mark(path: &Path) -> Result<Option<Mark>, MarkError> {
    match MarkFile::open(path) {
        Ok(file) => Ok(file.newest()),
        Err(MarkError::Missing { .. } | MarkError::Unreadable { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn accept_on(
    store: &dyn Store,
    examined: &Examined,
    mark: Option<&Mark>,
    acceptance: &Acceptance<'_>,
    environment: &Environment,
) -> Result<Accepted, AcceptError> {
    let origin = acceptance.new_key.verifying_key().name();
    if origin == acceptance.origin {
        return Err(AcceptError::SameOrigin(origin.to_owned()));
    }
    if let Some(mark) = mark {
        refuse_whole(store, acceptance.origin, mark)?;
    }
    let durable = append(store, examined, mark, acceptance, environment)?;
    forget_derived(store, examined)?;
    let old_mark = set_mark_aside(acceptance.high_water_mark, examined.head.epoch)?;
    create_mark(acceptance.high_water_mark, origin, &durable)?;
    Ok(Accepted {
        index: examined.head.size,
        lost: mark.map(|mark| mark.size),
        recovered: examined.head.size,
        origin: origin.to_owned(),
        vkey: acceptance.new_key.verifying_key().to_string(),
        old_mark,
    })
}

/// A log that its mark shows to be whole has lost nothing.
fn refuse_whole(store: &dyn Store, origin: &str, mark: &Mark) -> Result<(), AcceptError> {
    let mut examined = None;
    store.snapshot(&mut |rows| {
        examined = Some(start::examine(rows, origin, mark));
        Ok(())
    })?;
    match examined {
        Some(Ok(examined)) => Err(AcceptError::NothingLost(examined.head.size)),
        Some(Err(OpenError::Store(error))) => Err(error.into()),
        Some(Err(OpenError::OtherOrigin(origin))) => Err(OpenError::OtherOrigin(origin).into()),
        _ => Ok(()),
    }
}

/// Appends the `loss` record: one batch on top of the head that was found.
fn append(
    store: &dyn Store,
    examined: &Examined,
    mark: Option<&Mark>,
    acceptance: &Acceptance<'_>,
    environment: &Environment,
) -> Result<Durable, AcceptError> {
    let mut after = examined.head.clone();
    let guard = Guard { key: examined.id().state(HEAD), expected: Some(after.encode()) };
    let mut draft = own::loss(environment)?;
    draft.parameters = statement(examined, mark, acceptance).sign(acceptance.old_key, acceptance.new_key)?.parameters();
    let entry = frame_own(&draft).ok_or(AcceptError::Reason)?;
    let mut batch = Batch::new(examined.id(), environment.clock.wall_us().max(after.time_us));
    after.epoch = after.epoch.saturating_add(1);
    after.batch = after.batch.saturating_add(1);
    batch.place(&mut after, entry, None);
    batch.close(&after);
    let first = store::read(store, |rows| head::first_origin(rows, acceptance.origin))?;
    let later = ChainId::of(&hash::chain_start(acceptance.new_key.verifying_key().name()));
    batch.writes.push(head::continues_row(later, &first));
    match store.commit(&batch.writes, &[guard]) {
        Commit::Committed => Ok(after.durable()),
        Commit::Conflict(_) => Err(StoreError::Engine("another process has moved the head".to_owned()).into()),
        Commit::NotCommitted(error) | Commit::Unknown(error) => Err(error.into()),
    }
}

fn statement(examined: &Examined, mark: Option<&Mark>, acceptance: &Acceptance<'_>) -> Loss {
    let left = &examined.head;
    Loss {
        old_origin: acceptance.origin.to_owned(),
        new_origin: acceptance.new_key.verifying_key().name().to_owned(),
        old: acceptance.old_vkey.clone(),
        new: acceptance.new_key.verifying_key().clone(),
        index: left.size,
        lost: mark.map(|mark| Head { chain: mark.chain, root: mark.root, size: mark.size }),
        recovered: Head { chain: left.chain, root: left.root(), size: left.size },
        reason: acceptance.reason.to_owned(),
    }
}

/// Drops what followed behind the lost records: the indexes, and checkpoints of heads that no longer are.
fn forget_derived(store: &dyn Store, examined: &Examined) -> Result<(), StoreError> {
    let id = examined.id();
    let mut batch = store::read(store, |rows| followers::start_over(rows, id))?;
    let keys = id.records(examined.head.size.saturating_add(1)..u64::MAX);
    store.snapshot(&mut |rows| {
        rows.scan(Family::Checkpoints, &keys.start, &keys.end, false, &mut |key, note| {
            tracing::warn!(size = number(key), note = %String::from_utf8_lossy(note), "a signed head was lost");
            batch.push(Write { key: Key::new(Family::Checkpoints, key), value: None });
            true
        })
    })?;
    store.write_derived(&batch)
}

/// Keeps the old mark, which remembers what was lost, under the number of its epoch.
fn set_mark_aside(path: &Path, epoch: u32) -> Result<Option<PathBuf>, MarkError> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".epoch-{epoch}"));
    let aside = PathBuf::from(aside);
    match fs::rename(path, &aside) {
        Ok(()) => Ok(Some(aside)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(MarkError::Failed { path: path.display().to_string(), source }),
    }
}
