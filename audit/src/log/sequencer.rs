//! The sequencer: the one thread that owns index, time, chain, tree and batch (audit-log.md 5.3).
//!
//! One turn: drain the queue, check read sets, assign indices and time, hash, one synced write, move the mark, wake
//! the waiters. Nothing else is on it; signer and followers read behind it.
//!
//! INVARIANT I1, I2: a waiter is woken only after the synced write of its record, with all that rides with it.
//! INVARIANT I13: a read set is checked against every record below the event's own index, earlier ones of the same
//! batch included.
//! INVARIANT I9: after any write error it refuses at once, reopens the store and reads back ([`super::reconcile`]).
//! If the process dies before the write, the batch never was and nobody was answered; after it, the records are there
//! and their callers got no answer: the log over-reports, which is safe.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::answers::{self, Waiter};
use super::batch::Batch;
use super::clock::{Reading, SegmentClock};
use super::gathering::Gathering;
use super::head::Head;
use super::index::Traces;
use super::measure;
use super::own::{self, Cause, SealFacts};
use super::queue::{Drained, Entry, Submission};
use super::recent::Recent;
use super::reconcile::Broken;
use super::settings::micros;
use super::shared::{Mode, Shared};
use super::start::Examined;
use crate::environment::RandomError;
use crate::event::{ReadSet, Refused};
use crate::record::{Draft, Outcome, Record};
use crate::store::{self, Commit, Family, Guard, StoreError};

/// How long a turn that could not make a request id waits.
const WITHOUT_RANDOM: Duration = Duration::from_secs(1);

/// What a turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It wrote or answered something: go on at once.
    Worked,
    /// There was nothing to do.
    Idle,
    /// The store is broken: try again after this long.
    Broken(Duration),
    /// Everything is written and the log is stopping.
    Stopped,
}

pub(super) struct Sequencer {
    pub(super) log: Arc<Shared>,
    pub(super) head: Head,
    /// The head's row as the store must hold it.
    pub(super) head_row: Vec<u8>,
    pub(super) recent: Recent,
    /// INVARIANT: kept for ever, never evicted: a generation in a read set is always decidable.
    pub(super) generations: HashMap<String, u64>,
    pub(super) clock: SegmentClock,
    /// By the monotonic clock: when the last seal was written, or the time before this process that comes to the same.
    pub(super) sealed_at_us: u64,
    /// Records of the log's own that go into the next batch.
    pub(super) own: Vec<Entry>,
    pub(super) broken: Option<Broken>,
    /// How many records the last batch had.
    woken: usize,
    gathering: Gathering,
}

impl Sequencer {
    /// Goes on at the head that was examined.
    pub(super) fn new(log: Arc<Shared>, examined: Examined) -> Self {
        Self {
            head_row: examined.head.encode(),
            recent: Recent::new(examined.head.size, log.limits.recent_rows),
            generations: examined.generations.into_iter().collect(),
            clock: SegmentClock::new(examined.head.time_us),
            sealed_at_us: sealed_at_us(&log, &examined.head),
            own: Vec::new(),
            broken: None,
            woken: 0,
            gathering: Gathering::default(),
            head: examined.head,
            log,
        }
    }

    /// Turns until the log is stopped and the queue is empty.
    pub(super) fn run(mut self) {
        loop {
            match self.step() {
                Turn::Worked => self.gathering.wait(&self.log.lanes, std::mem::take(&mut self.woken)),
                Turn::Idle => self.gathering.idle(&self.log.lanes, &*self.log.environment.clock),
                Turn::Broken(pause) => self.log.lanes.pause(pause),
                Turn::Stopped => return,
            }
        }
    }

    /// One turn.
    pub(super) fn step(&mut self) -> Turn {
        if let Some(broken) = self.broken.take() {
            return self.reconcile(broken);
        }
        if self.log.suspect.swap(false, std::sync::atomic::Ordering::AcqRel) {
            return self.break_off(None, self.clock, &StoreError::Closed);
        }
        let drained = self.log.lanes.drain(self.gathering.share(self.log.lanes.depth()));
        let answered = !drained.submissions.is_empty();
        let clock_before = self.clock;
        match self.build(drained) {
            Ok(batch) if batch.is_empty() && answered => Turn::Worked,
            Ok(batch) if batch.is_empty() => self.rest(),
            Ok(batch) => self.write(batch, clock_before),
            Err(error) => {
                tracing::error!(%error, "no request id can be made: nothing is recorded");
                self.clock = clock_before;
                if self.log.lanes.is_stopping() { Turn::Stopped } else { Turn::Broken(WITHOUT_RANDOM) }
            }
        }
    }

    fn rest(&self) -> Turn {
        if self.log.lanes.is_stopping() { Turn::Stopped } else { Turn::Idle }
    }

    /// Makes a batch of what was drained; what cannot go in is answered at once, unless it waits for a change in it.
    pub(super) fn build(&mut self, drained: Drained) -> Result<Batch, RandomError> {
        let clock = &self.log.environment.clock;
        let now_us = clock.monotonic_us();
        let reading = self.clock.read(clock.wall_us(), now_us);
        self.own.extend(drained.own);
        self.own_unheard(drained.unheard);
        let mut batch = Batch::new(self.log.id, reading.time_us);
        if let Err(error) = self.step_clock(&reading, &mut batch) {
            drained.submissions.into_iter().for_each(|submission| submission.refuse(Refused::Store));
            return Err(error);
        }
        for entry in std::mem::take(&mut self.own) {
            self.place(&mut batch, entry, None);
        }
        for submission in drained.submissions {
            self.admit(&mut batch, submission, now_us);
        }
        if now_us.saturating_sub(self.sealed_at_us) >= micros(self.log.limits.seal_every) {
            self.seal(&mut batch);
        }
        Ok(batch)
    }

    /// A segment begins with the record of its step, whose time may lie below the one before.
    fn step_clock(&mut self, reading: &Reading, batch: &mut Batch) -> Result<(), RandomError> {
        let Some(step) = reading.step else { return Ok(()) };
        tracing::warn!(before_us = step.before_us, after_us = step.after_us, source = step.source, "the clock stepped");
        let draft = own::clock_step(&self.log.environment, &step)?;
        if let Some(entry) = frame_own(&draft) {
            batch.place(&mut self.head, entry, None);
        }
        Ok(())
    }

    fn admit(&mut self, batch: &mut Batch, submission: Submission, now_us: u64) {
        if submission.deadline_us < now_us {
            return submission.refuse(Refused::Deadline);
        }
        if let Some(index) = self.conflict(&submission.reads) {
            return batch.send_back(index, submission.waiter);
        }
        let index = self.place(batch, submission.entry, Some(submission.waiter));
        for write in &submission.changes.writes {
            self.recent.note(&write.key, index);
        }
        for generation in &submission.changes.bumps {
            self.generations.insert(generation.0.to_owned(), index.saturating_add(1));
        }
        batch.ride(index, submission.changes);
    }

    /// Index of the last record that changed something that an event was decided on, if one did.
    fn conflict(&self, reads: &ReadSet) -> Option<u64> {
        let value = |name: &str| self.generations.get(name).copied().unwrap_or(0);
        let generations = reads.generations.iter().map(|(name, seen)| (value(name.0), *seen));
        let moved = generations.filter(|(value, seen)| value != seen);
        moved.map(|(value, _)| value.saturating_sub(1)).chain(self.recent.changed_since(&reads.rows, reads.as_of)).max()
    }

    fn place(&mut self, batch: &mut Batch, entry: Entry, waiter: Option<Waiter>) -> u64 {
        let since_seal = self.head.size.saturating_sub(self.head.sealed.index.map_or(0, |index| index + 1));
        if since_seal >= self.log.limits.seal_records {
            self.seal(batch);
        }
        batch.place(&mut self.head, entry, waiter)
    }

    /// Writes a seal over all that is before it. If it cannot be made, the next record tries again.
    fn seal(&mut self, batch: &mut Batch) {
        let head = &self.head;
        let facts = SealFacts {
            chain: head.chain,
            root: head.root(),
            size: head.size,
            previous: head.sealed.index,
            counts: head.sealed.counts.clone(),
        };
        let Ok(draft) = own::seal(&self.log.environment, &facts) else {
            return;
        };
        if let Some(entry) = frame_own(&draft) {
            batch.place(&mut self.head, entry, None);
            self.sealed_at_us = self.log.environment.clock.monotonic_us();
        }
    }

    /// Writes the batch, synced, on top of the head that is believed to be in the store.
    pub(super) fn write(&mut self, mut batch: Batch, clock_before: SegmentClock) -> Turn {
        self.head.batch = self.head.batch.saturating_add(1);
        batch.close(&self.head);
        let head_row = self.head.encode();
        let expected = std::mem::replace(&mut self.head_row, head_row);
        let guard = Guard { key: self.log.id.state(super::head::HEAD), expected: Some(expected) };
        let timer = measure::Timer::start(&self.log.environment);
        let committed = self.log.store.commit(&batch.writes, &[guard]);
        timer.commit();
        let error = match committed {
            Commit::Committed => match self.show(&batch) {
                Ok(()) => return self.wake(batch),
                Err(error) => StoreError::Engine(format!("the high-water mark cannot be written: {error}")),
            },
            Commit::Conflict(_) => StoreError::Engine("another writer has moved the head".to_owned()),
            Commit::NotCommitted(error) | Commit::Unknown(error) => error,
        };
        self.break_off(Some(batch), clock_before, &error)
    }

    /// Moves the mark, then shows what is durable.
    fn show(&self, batch: &Batch) -> std::io::Result<()> {
        let durable = self.head.durable();
        self.log.marked.advance(&durable)?;
        self.log.show(durable, &batch.bumps);
        Ok(())
    }

    /// Wakes all who wait.
    fn wake(&mut self, mut batch: Batch) -> Turn {
        batch.wake_sent_back();
        let placed = std::mem::take(&mut batch.placed);
        self.woken = placed.len();
        let time_us = batch.time_us;
        let (heard, indexed): (Vec<_>, Vec<_>) = placed.into_iter().map(|record| record.part(time_us)).unzip();
        answers::deliver(&self.log, heard.into_iter().flatten(), self.log.lanes.is_stopping());
        self.log.fresh.add(indexed.into_iter());
        Turn::Worked
    }

    /// Has an `outcome` written for each record whose caller had left; one that cannot be read now is tried
    /// again once the store was reopened.
    fn own_unheard(&mut self, indices: Vec<u64>) {
        for index in indices {
            let key = self.log.id.record(index);
            match store::read(self.log.store.as_ref(), |rows| rows.get(Family::Records, &key.bytes)) {
                Ok(bytes) => self.own_not_released(&bytes.unwrap_or_default(), Cause::Deadline),
                Err(_) => {
                    self.log.lanes.unheard(index);
                    self.log.suspect.store(true, std::sync::atomic::Ordering::Release);
                }
            }
        }
    }

    /// Has an `outcome` written that says that nothing was released on the record in `bytes`.
    pub(super) fn own_not_released(&mut self, bytes: &[u8], cause: Cause) {
        match Record::parse(bytes) {
            Ok(record) => self.own.extend(frame_own(&own::not_released(&record, cause))),
            Err(error) => tracing::error!(%error, "a record that was written cannot be read"),
        }
    }
}

impl Drop for Sequencer {
    /// Whatever ends the thread: nobody may go on waiting for it.
    fn drop(&mut self) {
        self.log.writing.store(false, std::sync::atomic::Ordering::Release);
        self.log.lanes.close(Refused::Stopping);
        self.log.lanes.refuse_all(Refused::Stopping);
        if self.log.mode() == Mode::Serving {
            self.log.set_mode(Mode::Stopped);
        }
    }
}

/// By the monotonic clock: when the last seal of `head` was written; at most one interval ago.
pub(super) fn sealed_at_us(log: &Shared, head: &Head) -> u64 {
    let clock = &log.environment.clock;
    let since_us = clock.wall_us().saturating_sub(head.sealed.time_us);
    clock.monotonic_us().saturating_sub(since_us.min(micros(log.limits.seal_every)))
}

/// Frames a record of the log's own. They are small and well formed; one that is not is told and left out.
pub(super) fn frame_own(draft: &Draft) -> Option<Entry> {
    match draft.frame() {
        Ok(framed) => Some(Entry { framed, kind: draft.kind, traces: Traces::of_draft(draft), releases: false }),
        Err(error) => {
            tracing::error!(%error, action = draft.action, "a record of the log's own cannot be written");
            None
        }
    }
}

/// Whether `draft` says that something was handed out; with changes that ride along it stays true whoever was told.
pub(super) fn releases(draft: &Draft, changes: &crate::event::Changes) -> bool {
    draft.outcome == Some(Outcome::Ok) && changes.writes.is_empty() && changes.bumps.is_empty()
}
