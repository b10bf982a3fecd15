//! The second half of accepting a loss: what follows its record.
//!
//! INVARIANT I7: an accepted loss is in the log once. If the process died behind the record, the next acceptance finds
//! it there and finishes it, under the key that the record names: a second record would name an old key that is the
//! log's no more, and no verifier would accept the log again.
//! DURABILITY: rows that followed the lost records, then the old mark aside, then the new mark, then
//! the note of a restore away. Each step may be done
//! again; if the process dies in between, the log is still refused and [`begun`] still finds the record.

use std::fs;
use std::io::ErrorKind;
use std::iter;
use std::path::{Path, PathBuf};

use super::followers;
use super::keys::{ChainId, number};
use super::loss::{AcceptError, Accepted, left, open_left};
use super::open::create_mark;
use super::restored;
use super::start::{self, Examined, OpenError};
use crate::hash;
use crate::mark::{MarkError, MarkFile};
use crate::recovery;
use crate::statement::{Loss, SignedLoss};
use crate::store::{self, Family, Key, Snapshot, Store, StoreError, Write};

/// The loss that was accepted under `origin`, if its record is the last one of the log in `store`: then nothing was
/// served since, and all that is left to do is to [`finish`] it. Nothing is changed.
///
/// # Errors
/// [`AcceptError`] if what is left of the log does not open.
pub fn begun(store: &Path, origin: &str) -> Result<Option<Loss>, AcceptError> {
    let mut found = Ok(None);
    recovery::look_at_what_is_left(store, &mut |store| {
        found = left(store, origin).and_then(|examined| begun_on(store, &examined, origin));
    })
    .map_err(OpenError::from)?;
    found
}

pub(super) fn begun_on(store: &dyn Store, examined: &Examined, origin: &str) -> Result<Option<Loss>, AcceptError> {
    let record = store::read(store, |rows| start::last_loss(rows, examined, origin))?;
    Ok(record.map(|record| SignedLoss::from_record(&record)).transpose()?.map(|signed| signed.loss().clone()))
}

/// Finishes the loss that was accepted under `origin` and that [`begun`] has found.
///
/// # Errors
/// [`AcceptError`]; what was done stays done, and it may be finished again.
pub fn finish(store: &Path, high_water_mark: &Path, origin: &str) -> Result<Accepted, AcceptError> {
    let (store, (examined, loss)) = open_left(store, |store, _| {
        let examined = left(store, origin)?;
        let loss = begun_on(store, &examined, origin)?.ok_or(AcceptError::NotBegun)?;
        Ok((examined, loss))
    })?;
    finish_on(&store, &examined, &loss, high_water_mark)
}

/// Does what is left to do once the record of `loss` is the last one of `examined`.
pub(super) fn finish_on(
    store: &dyn Store,
    examined: &Examined,
    loss: &Loss,
    high_water_mark: &Path,
) -> Result<Accepted, AcceptError> {
    let epoch = examined.head.epoch.saturating_sub(1);
    if !is_renewed(high_water_mark, &loss.new_origin)? {
        forget_derived(store, examined, loss.index)?;
        set_aside(high_water_mark, epoch)?;
        create_mark(high_water_mark, &loss.new_origin, &examined.head.durable())?;
    }
    restored::remove(high_water_mark)?;
    Ok(Accepted {
        index: loss.index,
        lost: loss.lost.map(|lost| lost.size),
        recovered: loss.recovered.size,
        origin: loss.new_origin.clone(),
        vkey: loss.new.to_string(),
        old_mark: asides(high_water_mark, epoch).take_while(|aside| aside.exists()).last(),
    })
}

/// Whether the mark is that of the new origin already.
fn is_renewed(path: &Path, origin: &str) -> Result<bool, MarkError> {
    let mark = match MarkFile::open(path) {
        Ok(file) => file.newest(),
        Err(MarkError::Missing { .. } | MarkError::Unreadable { .. }) => None,
        Err(error) => return Err(error),
    };
    Ok(mark.is_some_and(|mark| mark.origin_hash == hash::sha256(origin.as_bytes())))
}

/// Drops what followed behind the lost records, in blocks: the indexes, and checkpoints of heads above `left` that no
/// longer are.
fn forget_derived(store: &dyn Store, examined: &Examined, left: u64) -> Result<(), StoreError> {
    let id = examined.id();
    store.write_derived(&followers::start_over(id))?;
    while store::read(store, |rows| followers::is_clearing(rows, id))? {
        store.write_derived(&store::read(store, |rows| followers::clear(rows, id))?)?;
    }
    loop {
        let lost = store::read(store, |rows| lost_checkpoints(rows, id, left))?;
        if lost.is_empty() {
            return Ok(());
        }
        store.write_derived(&lost)?;
    }
}

/// Deletes the next checkpoints above `left`; each is told, since it was signed.
fn lost_checkpoints(rows: &dyn Snapshot, id: ChainId, left: u64) -> Result<Vec<Write>, StoreError> {
    let keys = id.records(left.saturating_add(1)..u64::MAX);
    let mut batch = Vec::new();
    rows.scan(Family::Checkpoints, &keys.start, &keys.end, false, &mut |key, note| {
        tracing::warn!(size = number(key), note = %String::from_utf8_lossy(note), "a signed head was lost");
        batch.push(Write { key: Key::new(Family::Checkpoints, key), value: None });
        batch.len() < followers::ROWS
    })?;
    Ok(batch)
}

/// Where old marks, which remember what was lost, are kept, in the order in which they are used: under the number of their
/// epoch, which more than one has if a log is put back as it was before a loss.
fn asides(path: &Path, epoch: u32) -> impl Iterator<Item = PathBuf> {
    let first = format!(".epoch-{epoch}");
    let later = (2..=u32::MAX).map(move |number| format!(".epoch-{epoch}-{number}"));
    iter::once(first).chain(later).map(move |end| {
        let mut aside = path.as_os_str().to_owned();
        aside.push(end);
        PathBuf::from(aside)
    })
}

/// Moves the old mark aside, over no other. A new one that was begun but never written remembers nothing.
fn set_aside(path: &Path, epoch: u32) -> Result<(), MarkError> {
    let moved = match MarkFile::is_blank(path) {
        Ok(true) => fs::remove_file(path),
        _ => asides(path, epoch).find(|aside| !aside.is_file()).map_or(Ok(()), |aside| fs::rename(path, aside)),
    };
    match moved {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(MarkError::Failed { path: path.display().to_string(), source })
        }
        _ => Ok(()),
    }
}
