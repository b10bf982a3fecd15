//! How long the sequencer lets a batch grow before it takes it.
//!
//! Callers that were woken together tend to come back together. Were all of them gathered into one batch, the
//! processors would stand still while it is synced, and the disk while they come back; were the first of them taken at
//! once, each write would carry a few. So a batch waits for about half of the callers there are: one half is synced
//! while the other half is on its way.
//!
//! Waiting costs latency alone, never safety: it ends as soon as nobody comes any more, and after at most
//! `ROUNDS * GAP`. A caller that is alone is waited for awake if it came back quickly the last time: to put this thread
//! to sleep and wake it again takes about as long as to write a record.

use std::time::Duration;

use super::queue::Lanes;
use crate::environment::Clock;

/// For so long nobody need come for the batch to be taken as it is.
const GAP: Duration = Duration::from_micros(150);
/// At most so many times a gap is waited out.
const ROUNDS: usize = 4;
/// While idle, the clocks and the next seal are looked at this often.
const IDLE: Duration = Duration::from_secs(1);
/// A caller that comes back within this time, in microseconds, is waited for awake the next time.
const QUICK_US: u64 = 150;
/// How often the processor is offered to others in such a wait: about as long as `QUICK_US` if nobody takes it.
const SPINS: usize = 300;
/// The number of callers is forgotten by one part in so many with each batch.
const FORGOTTEN: usize = 16;

/// From so many callers on a batch is built while the one before it is written.
const CROWD: usize = 8;

/// What is known of those who submit.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// About how many there are: as many as the last batches woke, and as waited behind them.
    callers: usize,
    /// Whether one that is alone comes back quickly.
    quick: bool,
}

impl Gathering {
    /// Waits before the next batch is taken; `woken` callers have just been answered.
    pub(super) fn wait(&mut self, lanes: &Lanes, woken: usize) {
        let waiting = lanes.depth();
        let wanted = self.wanted(woken, waiting);
        match wanted {
            0 => {}
            1 => self.wait_awake(lanes, waiting),
            _ => grow(lanes, waiting, wanted),
        }
    }

    /// How many records the next batch should have.
    fn wanted(&mut self, woken: usize, waiting: usize) -> usize {
        let forgotten = self.callers.div_ceil(FORGOTTEN);
        self.callers = self.callers.saturating_sub(forgotten).max(woken.saturating_add(waiting));
        self.callers.div_ceil(2)
    }

    /// How many of the `waiting` records the next batch takes. Half of the callers, the others being on their way; all
    /// of them where more came than there were.
    pub(super) fn share(&self, waiting: usize) -> usize {
        if waiting > self.callers { waiting } else { self.callers.div_ceil(2) }
    }

    /// Whether there are so many callers that two threads do better than one.
    pub(super) fn is_crowd(&self) -> bool {
        self.callers >= CROWD
    }

    fn wait_awake(&mut self, lanes: &Lanes, waiting: usize) {
        let came = waiting > 0
            || self.quick
                && (0..SPINS).any(|_| {
                    std::thread::yield_now();
                    lanes.is_waited_in()
                });
        self.quick = came;
    }

    /// Waits until there is something to do.
    pub(super) fn idle(&mut self, lanes: &Lanes, clock: &dyn Clock) {
        let began_us = clock.monotonic_us();
        lanes.wait(1, IDLE);
        let waited_us = clock.monotonic_us().saturating_sub(began_us);
        self.quick = waited_us < QUICK_US;
    }
}

fn grow(lanes: &Lanes, waiting: usize, wanted: usize) {
    let mut before = waiting;
    for _ in 0..ROUNDS {
        if before >= wanted {
            return;
        }
        lanes.wait(wanted, GAP);
        let now = lanes.depth();
        if now == before {
            return;
        }
        before = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_callers_are_waited_for_however_they_were_split() {
        let mut gathering = Gathering::default();
        assert_eq!(gathering.wanted(64, 0), 32);
        assert_eq!(gathering.wanted(32, 32), 32);
        assert_eq!(gathering.wanted(40, 24), 32);
    }

    #[test]
    fn callers_that_stay_away_are_forgotten() {
        let mut gathering = Gathering::default();
        gathering.wanted(64, 0);
        let last = (0..100).map(|_| gathering.wanted(1, 0)).last();
        assert_eq!(last, Some(1), "one caller is not kept waiting for others");
    }

    #[test]
    fn nobody_is_waited_for_where_nobody_was() {
        assert_eq!(Gathering::default().wanted(0, 0), 0);
    }
}
