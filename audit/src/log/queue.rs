//! The bounded queue before the sequencer: one lane each for known callers, the reserve and the nameless.
//!
//! INVARIANT I3, I9: a lane has room of its own, so none can starve the next one; a full or closed lane answers at
//! once. What waits here is in memory alone: if the process dies, it never was, and nobody was answered.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::answers::Waiter;
use super::index::Traces;
use super::settings::{Limits, Room};
use super::sync::lock;
use crate::disk::Level;
use crate::event::{Changes, Lane, Locator, ReadSet, Refused};
use crate::record::{Framed, Kind};

/// What became of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Its record is durable.
    Committed(Locator),
    /// What it was decided on has changed.
    Conflict,
    /// It was not taken, or nobody can say whether it is durable.
    Refused(Refused),
}

/// A framed record that waits for its index.
pub(super) struct Entry {
    pub(super) framed: Framed,
    pub(super) kind: Kind,
    /// What it will add to the indexes.
    pub(super) traces: Traces,
    /// Whether the record says that something was handed out and nothing rides with it: if the caller does not get
    /// its proof after all, an `outcome` record has to say so.
    pub(super) releases: bool,
    /// Whether it goes with the record behind it, and is never written alone.
    pub(super) precedes: bool,
}

/// An event on its way to the sequencer.
pub(super) struct Submission {
    /// Goes directly before `entry`.
    pub(super) preceding: Option<Entry>,
    pub(super) entry: Entry,
    pub(super) changes: Changes,
    pub(super) reads: ReadSet,
    /// By the monotonic clock: when it was submitted.
    pub(super) since_us: u64,
    /// By the monotonic clock; past it the submission is dropped unwritten.
    pub(super) deadline_us: u64,
    pub(super) waiter: Waiter,
}

impl Submission {
    /// What it takes of a lane's room, and of a batch's.
    fn bytes(&self) -> usize {
        let rows = self.changes.writes.iter();
        let rows: usize = rows.map(|write| write.key.bytes.len() + write.value.as_ref().map_or(0, Vec::len)).sum();
        let indexed: usize = self.changes.indexed.iter().map(|key| key.bytes.len() + size_of::<u64>()).sum();
        let records = self.preceding.iter().chain([&self.entry]).map(|entry| entry.framed.bytes_max());
        records.fold(rows.saturating_add(indexed), usize::saturating_add)
    }

    pub(super) fn refuse(self, reason: Refused) {
        self.waiter.answer(Answer::Refused(reason));
    }
}

/// What one turn of the sequencer works on.
#[derive(Default)]
pub(super) struct Drained {
    pub(super) own: Vec<Entry>,
    /// Indices of records that said `ok` and whose callers had left.
    pub(super) unheard: Vec<u64>,
    pub(super) submissions: Vec<Submission>,
}

struct Row {
    waiting: VecDeque<(usize, Submission)>,
    bytes: usize,
    room: Room,
    /// How many records it may give in one round over the lanes.
    share: usize,
}

impl Row {
    fn new(room: Room, share: usize) -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, room, share }
    }

    /// Takes one more if there is room, and the first whatever its size: the texts of a large policy revision ride in one.
    fn push(&mut self, submission: Submission) -> Result<(), Refused> {
        let bytes = submission.bytes();
        let after = self.bytes.saturating_add(bytes);
        let fits = after <= self.room.bytes || self.waiting.is_empty();
        if self.waiting.len() >= self.room.records || !fits {
            return Err(Refused::QueueFull);
        }
        self.bytes = after;
        self.waiting.push_back((bytes, submission));
        Ok(())
    }

    fn pop(&mut self) -> Option<(usize, Submission)> {
        let (bytes, submission) = self.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(bytes);
        Some((bytes, submission))
    }
}

struct State {
    caller: Row,
    reserve: Row,
    nameless: Row,
    own: VecDeque<Entry>,
    unheard: Vec<u64>,
    /// By the monotonic clock: since when the oldest of each batch that is not answered yet waits; two at most.
    taken_us: VecDeque<Option<u64>>,
    /// Why nothing is taken, if so.
    closed: Option<Refused>,
    level: Level,
    /// How many records must wait for the sequencer to be woken; none while it is awake.
    wanted: Option<usize>,
}

/// The lanes and the door before them.
pub(super) struct Lanes {
    state: Mutex<State>,
    wake: Condvar,
    /// Set by whoever submits, unset when what waits is taken.
    pushed: AtomicBool,
    batch: Room,
}

impl Lanes {
    pub(super) fn new(limits: &Limits) -> Self {
        let state = State {
            caller: Row::new(limits.caller, 8),
            reserve: Row::new(limits.reserve, 4),
            nameless: Row::new(limits.nameless, 1),
            own: VecDeque::new(),
            unheard: Vec::new(),
            taken_us: VecDeque::new(),
            closed: None,
            level: Level::Ample,
            wanted: None,
        };
        Self { state: Mutex::new(state), wake: Condvar::new(), pushed: AtomicBool::new(false), batch: limits.batch }
    }

    /// Queues `submission`, or says at once why not.
    pub(super) fn push(&self, lane: Lane, submission: Submission) -> Result<(), Refused> {
        let mut state = lock(&self.state);
        state.admits(lane)?;
        state.row(lane).push(submission)?;
        self.wake(&mut state);
        Ok(())
    }

    /// Queues a record of keyward's own; there are few, and they are never refused.
    pub(super) fn push_own(&self, entry: Entry) {
        let mut state = lock(&self.state);
        state.own.push_back(entry);
        self.wake(&mut state);
    }

    /// Has an `outcome` written for the record at `index`: it said `ok`, and its caller had left.
    pub(super) fn unheard(&self, index: u64) {
        let mut state = lock(&self.state);
        state.unheard.push(index);
        self.wake(&mut state);
    }

    /// Takes what the next batch has room for, at most `records_max` submissions, oldest first in each lane, in fair
    /// shares over the lanes. They count as waiting until [`Self::answered`] is called.
    pub(super) fn drain(&self, records_max: usize) -> Drained {
        lock(&self.state).taken_us.push_back(None);
        self.drain_more(records_max)
    }

    /// As [`Self::drain`], for the batch that was drained for last.
    pub(super) fn drain_more(&self, records_max: usize) -> Drained {
        let mut state = lock(&self.state);
        self.pushed.store(false, Ordering::Release);
        state.note_taken();
        let own: Vec<Entry> = state.own.drain(..).collect();
        let records = self.batch.records.saturating_sub(own.len()).min(records_max);
        let mut room = Room { records, bytes: self.batch.bytes };
        let mut submissions = Vec::new();
        while state.round(&mut room, &mut submissions) {}
        Drained { own, unheard: std::mem::take(&mut state.unheard), submissions }
    }

    /// All of the oldest batch that was not answered yet have been.
    pub(super) fn answered(&self) {
        lock(&self.state).taken_us.pop_front();
    }

    /// The batch that was drained for last came to nothing: all of it have been answered, and nobody waits for a write. An
    /// older one may still be written by another thread.
    pub(super) fn came_to_nothing(&self) {
        lock(&self.state).taken_us.pop_back();
    }

    /// Waits until `wanted` records are queued or nothing is taken any more, at most `timeout`.
    pub(super) fn wait(&self, wanted: usize, timeout: Duration) {
        let mut state = lock(&self.state);
        if state.waiting() < wanted && state.closed.is_none() {
            state.wanted = Some(wanted);
            let woken = self.wake.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner);
            state = woken.0;
        }
        state.wanted = None;
    }

    /// Waits out `timeout` whatever is queued, unless the log is stopped meanwhile.
    pub(super) fn pause(&self, timeout: Duration) {
        let state = lock(&self.state);
        if state.closed != Some(Refused::Stopping) {
            let _woken = self.wake.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes nothing more, for `reason`. A log that is stopping stays so.
    pub(super) fn close(&self, reason: Refused) {
        let mut state = lock(&self.state);
        if state.closed != Some(Refused::Stopping) {
            state.closed = Some(reason);
        }
        self.wake.notify_all();
    }

    /// Takes submissions again, unless the log is stopping.
    pub(super) fn reopen(&self) {
        let mut state = lock(&self.state);
        if state.closed == Some(Refused::Store) {
            state.closed = None;
        }
    }

    /// Fails all that waits: none of it was written.
    pub(super) fn refuse_all(&self, reason: Refused) {
        let mut state = lock(&self.state);
        for lane in [Lane::Caller, Lane::Reserve, Lane::Nameless] {
            while let Some((_, submission)) = state.row(lane).pop() {
                submission.refuse(reason);
            }
        }
    }

    /// For how long the oldest submission has waited, in the queue or in the sequencer's hands.
    pub(super) fn waiting_us(&self, now_us: u64) -> u64 {
        let state = lock(&self.state);
        let oldest_us = state.taken_us.iter().copied().flatten().chain(state.oldest_us()).min();
        oldest_us.map_or(0, |oldest_us| now_us.saturating_sub(oldest_us))
    }

    /// Whether the log is stopping: what waits is still written, nothing more is taken.
    pub(super) fn is_stopping(&self) -> bool {
        lock(&self.state).closed == Some(Refused::Stopping)
    }

    /// Whether a record waits, without taking the lock of those who submit.
    pub(super) fn is_waited_in(&self) -> bool {
        self.pushed.load(Ordering::Acquire)
    }

    /// How many records wait.
    pub(super) fn depth(&self) -> usize {
        lock(&self.state).waiting()
    }

    pub(super) fn level(&self) -> Level {
        lock(&self.state).level
    }

    /// Sets the level of the disk, which rules who is let in.
    pub(super) fn set_level(&self, level: Level) {
        lock(&self.state).level = level;
    }

    fn wake(&self, state: &mut State) {
        self.pushed.store(true, Ordering::Release);
        if state.wanted.is_some_and(|wanted| state.waiting() >= wanted) {
            state.wanted = None;
            self.wake.notify_one();
        }
    }
}

impl State {
    fn row(&mut self, lane: Lane) -> &mut Row {
        match lane {
            Lane::Caller => &mut self.caller,
            Lane::Reserve => &mut self.reserve,
            Lane::Nameless => &mut self.nameless,
        }
    }

    /// The disk levels of audit-log.md 8: at `Hard` only denials and administration, at `Critical` nobody.
    fn admits(&self, lane: Lane) -> Result<(), Refused> {
        if let Some(reason) = self.closed {
            return Err(reason);
        }
        match (self.level, lane) {
            (Level::Critical, _) | (Level::Hard, Lane::Caller) => Err(Refused::Disk),
            _ => Ok(()),
        }
    }

    fn waiting(&self) -> usize {
        self.own.len()
            + self.unheard.len()
            + self.caller.waiting.len()
            + self.reserve.waiting.len()
            + self.nameless.waiting.len()
    }

    /// When the oldest of those that wait was submitted.
    fn oldest_us(&self) -> Option<u64> {
        let rows = [&self.reserve, &self.caller, &self.nameless];
        let first = rows.into_iter().filter_map(|row| row.waiting.front());
        first.map(|(_, submission)| submission.since_us).min()
    }

    /// What waits is about to be in the hands of the sequencer.
    fn note_taken(&mut self) {
        let oldest_us = self.oldest_us();
        if let Some(taken_us) = self.taken_us.back_mut() {
            *taken_us = taken_us.iter().copied().chain(oldest_us).min();
        }
    }

    /// One round: each lane gives up to its share. False once the room or the lanes are exhausted.
    fn round(&mut self, room: &mut Room, into: &mut Vec<Submission>) -> bool {
        let before = into.len();
        for row in [&mut self.reserve, &mut self.caller, &mut self.nameless] {
            for _ in 0..row.share {
                if room.records == 0 || room.bytes == 0 {
                    return false;
                }
                let Some((bytes, submission)) = row.pop() else { break };
                room.records -= 1;
                room.bytes = room.bytes.saturating_sub(bytes);
                into.push(submission);
            }
        }
        into.len() > before
    }
}
