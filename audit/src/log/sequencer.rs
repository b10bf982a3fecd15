//! The sequencer: the one owner of index, time, chain, tree and batch (audit-log.md 5.3).
//!
//! One turn: drain the queue, check read sets, assign indices and time, hash, one synced write, move the mark, wake
//! the waiters. Nothing else is on it; signer and followers read behind it. Whose turn it is: [`super::turns`].
//!
//! INVARIANT I13: a read set is checked against every record below the event's own index: those of the batch before,
//! which may still be on its way to the disk, and earlier ones of the same batch included.
//! INVARIANT I9: after any write error it refuses at once, reopens the store and reads back ([`super::reconcile`]).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::CLOCK;
use super::answers::Waiter;
use super::batch::Batch;
use super::clock::{Reading, SegmentClock};
use super::gathering::Gathering;
use super::head::Head;
use super::index::Traces;
use super::own::{self, Cause, SealFacts};
use super::queue::{Answer, Drained, Entry, Submission};
use super::recent::Recent;
use super::reconcile::Broken;
use super::settings::micros;
use super::shared::{Mode, Shared};
use super::start::Examined;
use super::write::{self, Built};
use crate::environment::RandomError;
use crate::event::{ReadSet, Refused};
use crate::record::{Draft, Outcome, Record};
use crate::store::{self, Family, StoreError};

/// How long a turn that could not make a request id waits.
const WITHOUT_RANDOM: Duration = Duration::from_secs(1);

/// A batch that may still grow.
pub(super) struct Open {
    pub(super) batch: Batch,
    /// The clock as it was before it.
    pub(super) clock_before: SegmentClock,
}

/// What the next turn is about.
pub(super) enum Next {
    /// A batch is to be written.
    Write(Box<Open>),
    /// Nothing is.
    Turn(Turn),
}

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
    /// By the monotonic clock: when the next seal is due, whatever the number of records.
    pub(super) seal_due_us: u64,
    /// Records of the log's own that go into the next batch.
    pub(super) own: Vec<Entry>,
    pub(super) broken: Option<Broken>,
    /// How many records the last batch had.
    woken: usize,
    pub(super) gathering: Gathering,
}

impl Sequencer {
    /// Goes on at the head that was examined.
    pub(super) fn new(log: Arc<Shared>, examined: Examined) -> Self {
        Self {
            head_row: examined.head.encode(),
            recent: Recent::new(examined.head.size, log.limits.recent_rows),
            generations: examined.generations.into_iter().collect(),
            clock: SegmentClock::new(examined.head.time_us),
            seal_due_us: seal_due_us(&log, &examined.head),
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
                Turn::Stopped => return,
                turn => self.pause(turn),
            }
        }
    }

    /// Waits as long as a turn that came to `turn` calls for.
    pub(super) fn pause(&mut self, turn: Turn) {
        match turn {
            Turn::Worked => self.gather(),
            Turn::Idle => self.gathering.idle(&self.log.lanes, &*self.log.environment.clock),
            Turn::Broken(pause) => self.log.lanes.pause(pause),
            Turn::Stopped => {}
        }
    }

    /// One turn by this thread alone, while nothing else is being written.
    pub(super) fn step(&mut self) -> Turn {
        if let Some(broken) = self.broken.take() {
            return self.reconcile(broken);
        }
        if self.log.suspect.swap(false, Ordering::AcqRel) {
            self.break_off(None, self.clock, &StoreError::Closed);
            return Turn::Worked;
        }
        match self.next() {
            Next::Write(open) => {
                let built = self.close(*open);
                self.write(built)
            }
            Next::Turn(turn) => turn,
        }
    }

    /// Whether something went wrong that a turn alone has to put right.
    pub(super) fn is_troubled(&self) -> bool {
        self.broken.is_some() || self.log.suspect.load(Ordering::Acquire)
    }

    /// Waits for others to come.
    pub(super) fn gather(&mut self) {
        self.gathering.wait(&self.log.lanes, std::mem::take(&mut self.woken));
    }

    /// Builds the next batch of what waits.
    pub(super) fn next(&mut self) -> Next {
        let drained = self.log.lanes.drain(self.gathering.share(self.log.lanes.depth()));
        let answered = !drained.submissions.is_empty();
        let clock_before = self.clock;
        match self.build(drained) {
            Ok(batch) if batch.is_idle() => {
                self.log.lanes.came_to_nothing();
                Next::Turn(if answered { Turn::Worked } else { self.rest() })
            }
            Ok(batch) => Next::Write(Box::new(Open { batch, clock_before })),
            Err(error) => {
                tracing::error!(%error, "no request id can be made: nothing is recorded");
                self.log.lanes.came_to_nothing();
                self.clock = clock_before;
                Next::Turn(if self.log.lanes.is_stopping() { Turn::Stopped } else { Turn::Broken(WITHOUT_RANDOM) })
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
        let mut batch = Batch::new(self.log.id, reading.time_us);
        let submissions = self.take_own(drained);
        if let Err(error) = self.step_clock(&reading, &mut batch) {
            submissions.into_iter().for_each(|submission| submission.refuse(Refused::Store));
            return Err(error);
        }
        self.take_in(&mut batch, submissions, now_us);
        if now_us >= self.seal_due_us {
            self.seal(&mut batch);
        }
        Ok(batch)
    }

    /// Adds to a batch what has come since it was built, as far as it has room.
    pub(super) fn extend(&mut self, batch: &mut Batch) {
        let room = self.log.limits.batch.records.saturating_sub(batch.placed.len());
        if room == 0 || !self.log.lanes.is_waited_in() {
            return;
        }
        let drained = self.log.lanes.drain_more(room);
        let submissions = self.take_own(drained);
        self.take_in(batch, submissions, self.log.environment.clock.monotonic_us());
    }

    /// Keeps what the log itself has to say for the next batch that can be made; what callers submitted is left.
    fn take_own(&mut self, drained: Drained) -> Vec<Submission> {
        self.own.extend(drained.own);
        self.own_unheard(drained.unheard);
        drained.submissions
    }

    fn take_in(&mut self, batch: &mut Batch, submissions: Vec<Submission>, now_us: u64) {
        for entry in std::mem::take(&mut self.own) {
            self.place(batch, entry, None);
        }
        for submission in submissions {
            self.admit(batch, submission, now_us);
        }
    }

    /// A segment begins with the record of its step, whose time may lie below the one before.
    fn step_clock(&mut self, reading: &Reading, batch: &mut Batch) -> Result<(), RandomError> {
        let Some(step) = reading.step else { return Ok(()) };
        tracing::warn!(before_us = step.before_us, after_us = step.after_us, source = step.source, "the clock stepped");
        let draft = own::clock_step(&self.log.environment, &step)?;
        if let Some(entry) = frame_own(&draft) {
            let moved = batch.place(&mut self.head, entry, None).saturating_add(1);
            self.generations.insert(CLOCK.0.to_owned(), moved);
            batch.bumps.push((CLOCK.0.to_owned(), moved));
        }
        Ok(())
    }

    fn admit(&mut self, batch: &mut Batch, submission: Submission, now_us: u64) {
        if submission.deadline_us < now_us {
            return submission.refuse(Refused::Deadline);
        }
        if let Some(index) = self.conflict(&submission.reads) {
            return self.send_back(batch, index, submission.waiter);
        }
        if let Some(preceding) = submission.preceding {
            self.place(batch, preceding, None);
        }
        let index = self.place(batch, submission.entry, Some(submission.waiter));
        for key in submission.changes.keys() {
            self.recent.note(key, index);
        }
        for generation in &submission.changes.bumps {
            self.generations.insert(generation.0.to_owned(), index.saturating_add(1));
        }
        batch.ride(index, submission.changes);
    }

    /// Sends a caller back over the change that the record at `index` made: at once if it can see it.
    fn send_back(&self, batch: &mut Batch, index: u64, waiter: Waiter) {
        if index < self.log.as_of() {
            waiter.answer(Answer::Conflict);
        } else {
            batch.send_back(waiter);
        }
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
            let now_us = self.log.environment.clock.monotonic_us();
            self.seal_due_us = now_us.saturating_add(micros(self.log.limits.seal_every));
        }
    }

    /// Completes the batch, to go on top of the head that is believed to be in the store by then.
    pub(super) fn close(&mut self, open: Open) -> Built {
        let Open { mut batch, clock_before } = open;
        let mut below = Vec::new();
        if !batch.is_empty() {
            self.head.batch = self.head.batch.saturating_add(1);
            let head_row = self.head.encode();
            batch.close(&self.head, &head_row);
            below = std::mem::replace(&mut self.head_row, head_row);
        }
        self.woken = batch.placed.len();
        Built { batch, below, durable: self.head.durable(), clock_before }
    }

    /// Writes the batch and wakes those who wait for it.
    pub(super) fn write(&mut self, built: Built) -> Turn {
        let written = write::write(&self.log, built);
        self.log.lanes.answered();
        match written {
            Ok(batch) => {
                write::wake(&self.log, batch);
                Turn::Worked
            }
            Err(failed) => {
                self.break_off_at(*failed);
                Turn::Worked
            }
        }
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
                    self.log.suspect.store(true, Ordering::Release);
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
        self.log.writing.store(false, Ordering::Release);
        self.log.lanes.close(Refused::Stopping);
        self.log.lanes.refuse_all(Refused::Stopping);
        if self.log.mode() == Mode::Serving {
            self.log.set_mode(Mode::Stopped);
        }
    }
}

/// By the monotonic clock: when the seal behind the last one of `head` is due; at most one interval from now. The monotonic
/// clock begins with the process, so it cannot say when the last one was written.
pub(super) fn seal_due_us(log: &Shared, head: &Head) -> u64 {
    let clock = &log.environment.clock;
    let since_us = clock.wall_us().saturating_sub(head.sealed.time_us);
    clock.monotonic_us().saturating_add(micros(log.limits.seal_every).saturating_sub(since_us))
}

/// Frames a record of the log's own. They are small and well formed; one that is not is told and left out.
pub(super) fn frame_own(draft: &Draft) -> Option<Entry> {
    match draft.frame() {
        Ok(framed) => {
            let traces = Traces::of_draft(draft);
            Some(Entry { framed, kind: draft.kind, traces, releases: false, precedes: false })
        }
        Err(error) => {
            tracing::error!(%error, action = draft.action, "a record of the log's own cannot be written");
            None
        }
    }
}

/// Whether `draft` says that something was handed out; with changes that ride along it stays true whoever was told.
pub(super) fn releases(draft: &Draft, changes: &crate::event::Changes) -> bool {
    draft.outcome == Some(Outcome::Ok) && changes.is_empty()
}
