//! After a write error: refuse, reopen, read back, and only then serve again (audit-log.md 7).
//!
//! INVARIANT I9: a write that failed may be on disk or not. It is never tried again; its indices are read back. What
//! is found stays, with an `outcome` that says that nothing was released on it; what is not found never was. Until
//! that is known nobody is served, and everybody is told so at once.

use std::time::Duration;

use super::batch::{Batch, InFlight};
use super::clock::SegmentClock;
use super::head::damaged;
use super::own::{self, Cause};
use super::recent::Recent;
use super::sequencer::{Open, Sequencer, Turn, frame_own, seal_due_us};
use super::shared::Mode;
use super::start::{self, Examined, OpenError};
use super::write::Failed;
use crate::event::Refused;
use crate::record::{Kind, Record};
use crate::store::{self, Family, Snapshot, StoreError, Tail};

/// The first and the longest pause between two attempts.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What is to be found out before anybody is served again.
pub(super) struct Broken {
    in_flight: Vec<InFlight>,
    /// The clock as it was before the batch in flight.
    clock_before: SegmentClock,
    pause: Duration,
}

impl Sequencer {
    /// Stops serving, and only then fails those who wait for `batch`: whoever is answered finds the log reopening, or
    /// reopened. The next turn reopens the store.
    pub(super) fn break_off(&mut self, batch: Option<Batch>, clock_before: SegmentClock, error: &StoreError) {
        self.log.stop_serving();
        let in_flight = batch.map_or_else(Vec::new, |batch| batch.into_in_flight(Refused::Store));
        tracing::error!(%error, records = in_flight.len(), "a write failed: nothing is served until it is read back");
        self.broken = Some(Broken { in_flight, clock_before, pause: PAUSE });
    }

    /// The same for a write that failed.
    pub(super) fn break_off_at(&mut self, failed: Failed) {
        self.break_off(Some(failed.batch), failed.clock_before, &failed.error);
    }

    /// The same where `open` waits on top of the one that failed. It is taken apart: the clock goes back to where it was
    /// after the one that failed, records of the log's own are kept for a later batch.
    pub(super) fn break_off_below(&mut self, failed: Failed, open: Open) {
        self.break_off_at(failed);
        self.clock = open.clock_before;
        for record in open.batch.into_in_flight(Refused::Store) {
            self.settle(record, false);
        }
        self.log.lanes.answered();
    }

    /// One attempt to reopen the store and to serve again.
    pub(super) fn reconcile(&mut self, broken: Broken) -> Turn {
        match self.reopen(&broken.in_flight) {
            Ok((examined, tail, found)) => match self.resume(examined, tail, found, broken) {
                Ok(()) => Turn::Worked,
                Err(broken) => self.retry(broken),
            },
            Err(error) => {
                let lost = !matches!(error, OpenError::Store(_));
                tracing::error!(%error, lost, "the store cannot be served from");
                self.log.set_mode(if lost { Mode::Lost } else { Mode::Reopening });
                self.retry(broken)
            }
        }
    }

    fn retry(&mut self, broken: Broken) -> Turn {
        if self.log.lanes.is_stopping() {
            return Turn::Stopped;
        }
        let pause = broken.pause;
        self.broken = Some(Broken { pause: pause.saturating_mul(2).min(PAUSE_MAX), ..broken });
        Turn::Broken(pause)
    }

    /// Reopens the store, judged as at start, and looks for the batch in flight.
    fn reopen(&self, in_flight: &[InFlight]) -> Result<(Examined, Tail, bool), OpenError> {
        let log = &self.log;
        let mark = log.marked.newest().ok_or_else(|| damaged("high-water mark"))?;
        let mut found = None;
        let tail = log.store.reopen(&mut |rows| start::judge(&mut found, start::examine(rows, &log.origin, &mark)));
        let (examined, tail) = match (tail, found) {
            (Err(error), found) => return Err(start::refusal(error, found, Some(&mark))),
            (_, Some(Err(refusal))) => return Err(refusal),
            (Ok(_), None) => return Err(damaged(super::head::HEAD).into()),
            (Ok(tail), Some(Ok(examined))) => (examined, tail),
        };
        let present = store::read(log.store.as_ref(), |rows| self.is_written(rows, in_flight, &examined))?;
        Ok((examined, tail, present))
    }

    /// Whether the batch in flight is in the store: all of it or nothing.
    fn is_written(&self, rows: &dyn Snapshot, in_flight: &[InFlight], examined: &Examined) -> Result<bool, StoreError> {
        let Some(first) = in_flight.first() else {
            return Ok(false);
        };
        let size = examined.head.size;
        if size == first.locator.index {
            return Ok(false);
        }
        for record in in_flight {
            let stored = rows.get(Family::Records, &self.log.id.record(record.locator.index).bytes)?;
            if !is_record(stored.as_deref(), record) {
                return Err(damaged("batch that was in flight"));
            }
        }
        let end = first.locator.index.saturating_add(in_flight.len() as u64);
        if size == end { Ok(true) } else { Err(damaged("batch that was in flight")) }
    }

    /// Serves again from what the store holds.
    fn resume(&mut self, examined: Examined, tail: Tail, found: bool, broken: Broken) -> Result<(), Broken> {
        self.head_row = examined.head.encode();
        self.recent = Recent::new(examined.head.size, self.log.limits.recent_rows);
        self.generations = examined.generations.iter().cloned().collect();
        self.head = examined.head;
        let durable = self.head.durable();
        if let Err(error) = self.log.marked.advance(&durable) {
            tracing::error!(%error, "the high-water mark cannot be written");
            return Err(broken);
        }
        tracing::warn!(found, records = broken.in_flight.len(), size = durable.size, "the store serves again");
        if !found {
            self.clock = broken.clock_before;
        }
        self.seal_due_us = seal_due_us(&self.log, &self.head);
        for record in broken.in_flight {
            self.settle(record, found);
        }
        if tail == Tail::Torn {
            let draft = own::torn_tail_recovered(&self.log.environment, durable.size);
            self.own.extend(draft.ok().as_ref().and_then(frame_own));
        }
        self.log.show(durable, &examined.generations);
        self.log.set_mode(Mode::Serving);
        self.log.lanes.reopen();
        Ok(())
    }

    /// One record of the batch that was in flight: found, nothing was released on it; not found, a record of the
    /// log's own is written anew. Seals and clock steps follow from the state and come back by themselves; what precedes
    /// another record comes back with it, if its caller tries again.
    fn settle(&mut self, record: InFlight, found: bool) {
        if found && record.called && record.entry.releases {
            self.own_not_released(&record.bytes, Cause::UnknownCommit);
        }
        let follows = matches!(record.entry.kind, Kind::Seal | Kind::ClockStep) || record.entry.precedes;
        if !found && !record.called && !follows {
            self.own.push(record.entry);
        }
    }
}

/// Whether `stored` is the record that was to be written: by event id, then by bytes.
fn is_record(stored: Option<&[u8]>, wanted: &InFlight) -> bool {
    let Some(stored) = stored else { return false };
    let id = Record::parse(stored).map(|record| record.event_id());
    id.is_ok_and(|id| id == *wanted.entry.framed.event_id()) && stored == wanted.bytes
}
