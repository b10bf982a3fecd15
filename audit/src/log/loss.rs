//! An operator accepts that records are lost, or the key that signs them, with the server stopped (audit-log.md 6.4).
//!
//! INVARIANT I7: any head that was ever signed above what is left would contradict every later one, so the log goes on
//! under a new origin and a new key, and the first record of the new epoch says what was lost, signed by the new key
//! and by the old one if it is still there. Tree and chain go on.
//! DURABILITY: the record first, then the new mark ([`mod@super::finish`]). If the process dies in between, the log is still
//! refused, and the operator finishes what was begun. Where a copy that was cut off takes the store's place, the record is in
//! it before it does. INVARIANT: whoever made the new key keeps it unless the error says
//! that nothing was appended ([`AcceptError::is_before_the_record`]).

use std::path::{Path, PathBuf};

use super::batch::Batch;
use super::finish::{begun_on, finish_on};
use super::head::{self, HEAD};
use super::keys::ChainId;
use super::own;
use super::restored::{self, Restored};
use super::sequencer::frame_own;
use super::start::{self, Examined, OpenError};
use crate::environment::{Environment, RandomError};
use crate::hash;
use crate::mark::{Mark, MarkError, MarkFile};
use crate::note::{SigningKey, VerifyingKey};
use crate::recovery;
use crate::statement::{Head, Loss, StatementError};
use crate::store::rocks::RocksStore;
use crate::store::{self, Commit, Guard, Store, StoreError};

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
    /// The same with its secret; none only if it is gone for good, which is a loss although every record is there.
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
    /// An earlier acceptance is in the log and was not finished.
    #[error("the loss is accepted already, under the origin `{0}`: finish that")]
    Begun(String),
    /// There is no such acceptance.
    #[error("no accepted loss is waiting to be finished")]
    NotBegun,
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
    /// The note of a restore cannot be read.
    #[error("the note of the restore cannot be read: {0}")]
    Restored(MarkError),
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

impl AcceptError {
    /// Whether it certainly came before the record of the loss was appended, so that nothing names the new key. A store
    /// or a mark that failed may have done so behind it.
    #[must_use]
    pub const fn is_before_the_record(&self) -> bool {
        !matches!(self, Self::Mark(_) | Self::Store(_))
    }
}

/// Accepts the loss of records: appends the signed `loss` record and makes a new mark under the new origin.
///
/// # Errors
/// [`AcceptError`]; before the record is appended nothing has changed, behind it [`mod@super::finish`] goes on.
pub fn accept(acceptance: &Acceptance<'_>, environment: &Environment) -> Result<Accepted, AcceptError> {
    let mark = read_mark(acceptance.high_water_mark)?;
    let (store, (examined, loss)) =
        open_left(acceptance.store, |store, is_cut| accept_on(store, is_cut, mark.as_ref(), acceptance, environment))?;
    finish_on(&store, &examined, &loss, acceptance.high_water_mark)
}

/// Opens what is left of a log, with `work` done on it before it takes the store's place: if that fails, it does not. `work`
/// is told whether what lay behind a gap is cut off.
pub(super) fn open_left<R>(
    path: &Path,
    mut work: impl FnMut(&dyn Store, bool) -> Result<R, AcceptError>,
) -> Result<(RocksStore, R), AcceptError> {
    let mut done = None;
    let opened = recovery::open_what_is_left(path, &mut |store, gap| {
        let worked = work(store, gap.is_some());
        let refusal = worked.as_ref().err().map(|error| StoreError::Refused(error.to_string()));
        done = Some(worked);
        refusal.map_or(Ok(()), Err)
    });
    match (opened, done) {
        (_, Some(Err(error))) => Err(error),
        (Ok(opened), Some(Ok(done))) => Ok((opened.store, done)),
        (Err(error), Some(Ok(_))) => Err(error.into()),
        (opened, None) => Err(OpenError::Store(opened.err().unwrap_or(StoreError::Closed)).into()),
    }
}

/// What is left of the log that signs under `origin`: it must fit itself.
pub(super) fn left(store: &dyn Store, origin: &str) -> Result<Examined, AcceptError> {
    let examined = store::read(store, |rows| {
        let examined = start::load(rows, origin);
        Ok(examined.and_then(|examined| start::recheck(rows, &examined, None).map(|()| examined)))
    });
    Ok(examined??)
}

fn read_mark(path: &Path) -> Result<Option<Mark>, MarkError> {
    match MarkFile::open(path) {
        Ok(file) => Ok(file.newest()),
        Err(MarkError::Missing { .. } | MarkError::Unreadable { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Appends the record of the loss to what is left in `store`, if there is one to be accepted. A store that `is_cut` has lost
/// what lay behind its gap, even if the mark knows of none of it.
pub(super) fn accept_on(
    store: &dyn Store,
    is_cut: bool,
    mark: Option<&Mark>,
    acceptance: &Acceptance<'_>,
    environment: &Environment,
) -> Result<(Examined, Loss), AcceptError> {
    let origin = acceptance.new_key.verifying_key().name();
    if origin == acceptance.origin {
        return Err(AcceptError::SameOrigin(origin.to_owned()));
    }
    let restored = restored::read(acceptance.high_water_mark).map_err(AcceptError::Restored)?;
    let mut examined = left(store, acceptance.origin)?;
    // It says nothing of a store that has more.
    let restored = restored.filter(|note| note.covers(examined.head.size));
    if let (Some(mark), None, false) = (mark, &restored, is_cut) {
        match refuse_whole(store, acceptance.origin, mark) {
            // Every record is there, but nobody can sign them any more under this origin.
            Err(AcceptError::NothingLost(_)) if acceptance.old_key.is_none() => {}
            refused_or_not => refused_or_not?,
        }
    }
    if let Some(loss) = begun_on(store, &examined, acceptance.origin)? {
        return Err(AcceptError::Begun(loss.new_origin));
    }
    // A mark that a restored copy contains has lost nothing by it.
    let lost = mark.filter(|mark| restored.is_none() || mark.size > examined.head.size);
    let loss = statement(&examined, lost, acceptance);
    let restored = restored.filter(|note| note.size == examined.head.size);
    examined.head = append(store, &examined, &loss, restored.as_ref(), acceptance, environment)?;
    Ok((examined, loss))
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

/// Appends the `loss` record: one batch on top of the head that was found; answers the head behind it.
fn append(
    store: &dyn Store,
    examined: &Examined,
    loss: &Loss,
    restored: Option<&Restored>,
    acceptance: &Acceptance<'_>,
    environment: &Environment,
) -> Result<head::Head, AcceptError> {
    let mut after = examined.head.clone();
    let guard = Guard { key: examined.id().state(HEAD), expected: Some(after.encode()) };
    let mut draft = own::loss(environment)?;
    draft.parameters = loss.clone().sign(acceptance.old_key, acceptance.new_key)?.parameters();
    if let Some(restored) = restored {
        draft.parameters.insert("restored".to_owned(), restored.parameter());
    }
    let entry = frame_own(&draft).ok_or(AcceptError::Reason)?;
    let mut batch = Batch::new(examined.id(), environment.clock.wall_us().max(after.time_us));
    after.epoch = after.epoch.saturating_add(1);
    after.batch = after.batch.saturating_add(1);
    batch.place(&mut after, entry, None);
    batch.close(&after, &after.encode());
    let first = store::read(store, |rows| head::first_origin(rows, acceptance.origin))?;
    let later = ChainId::of(&hash::chain_start(acceptance.new_key.verifying_key().name()));
    batch.writes.push(head::continues_row(later, &first));
    match store.commit(&batch.writes, &[guard]) {
        Commit::Committed => Ok(after),
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
