//! Commit time: never falls within a segment; a step of the wall clock starts a new one (audit-log.md 5.4).

/// Backward by more than this is a step.
const BACK_US: u64 = 1_000_000;
/// Forward by more than this, against the monotonic clock, is a step.
const FORWARD_US: u64 = 60_000_000;

/// What one reading of both clocks means for the next batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// Commit time.
    pub(super) time_us: u64,
    /// The step that the reading shows.
    pub(super) step: Option<ClockStep>,
}

/// A step of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClockStep {
    /// What the clock would say had it not stepped.
    pub(super) before_us: u64,
    /// What it says.
    pub(super) after_us: u64,
    /// What showed it: `monotonic`, or `start` for a step while nothing ran.
    pub(super) source: &'static str,
}

/// The running segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentClock {
    last_us: u64,
    /// Wall and monotonic clock at the last reading; none before the first one.
    seen: Option<(u64, u64)>,
}

impl SegmentClock {
    /// Goes on after a record of time `last_us` (0 for an empty log).
    pub(super) fn new(last_us: u64) -> Self {
        Self { last_us, seen: None }
    }

    /// Takes a reading. Each step is told once.
    pub(super) fn read(&mut self, wall_us: u64, monotonic_us: u64) -> Reading {
        let step = self.step(wall_us, monotonic_us);
        self.seen = Some((wall_us, monotonic_us));
        self.last_us = if step.is_some() { wall_us } else { wall_us.max(self.last_us) };
        Reading { time_us: self.last_us, step }
    }

    fn step(&self, wall_us: u64, monotonic_us: u64) -> Option<ClockStep> {
        let expected_us =
            self.seen.map(|(wall, monotonic)| wall.saturating_add(monotonic_us.saturating_sub(monotonic)));
        let source = if expected_us.is_some() { "monotonic" } else { "start" };
        let forward = expected_us.is_some_and(|expected| wall_us > expected.saturating_add(FORWARD_US));
        let before_us = match expected_us {
            Some(expected) if forward => expected,
            expected => expected.unwrap_or(0).max(self.last_us),
        };
        let back = wall_us.saturating_add(BACK_US) < before_us;
        (forward || back).then_some(ClockStep { before_us, after_us: wall_us, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn running() -> SegmentClock {
        let mut clock = SegmentClock::new(0);
        assert_eq!(clock.read(1000 * SECOND, 5 * SECOND), Reading { time_us: 1000 * SECOND, step: None });
        clock
    }

    #[test]
    fn small_steps_back_are_clamped() {
        let reading = running().read(999 * SECOND, 5 * SECOND);
        assert_eq!(reading, Reading { time_us: 1000 * SECOND, step: None });
    }

    #[test]
    fn more_than_a_second_back_is_a_step_and_its_time_falls() {
        let reading = running().read(998 * SECOND, 6 * SECOND);
        let step = ClockStep { before_us: 1001 * SECOND, after_us: 998 * SECOND, source: "monotonic" };
        assert_eq!(reading, Reading { time_us: 998 * SECOND, step: Some(step) });
    }

    #[test]
    fn many_small_steps_back_become_one_that_is_told() {
        let mut clock = running();
        assert_eq!(clock.read(1000 * SECOND - 900_000, 5 * SECOND).step, None);
        let step = clock.read(1000 * SECOND - 1_800_000, 5 * SECOND).step.expect("a step");
        assert_eq!((step.before_us, step.after_us), (1000 * SECOND, 1000 * SECOND - 1_800_000));
    }

    #[test]
    fn forward_counts_only_against_the_monotonic_clock() {
        assert_eq!(running().read(1060 * SECOND, 5 * SECOND).step, None);
        assert_eq!(running().read(4600 * SECOND, 3605 * SECOND).step, None);
        let step = running().read(1062 * SECOND, 6 * SECOND).step.expect("a step");
        assert_eq!((step.before_us, step.after_us), (1001 * SECOND, 1062 * SECOND));
    }

    #[test]
    fn across_a_restart_only_a_step_back_counts() {
        assert_eq!(SegmentClock::new(1000 * SECOND).read(90_000 * SECOND, 0).step, None);
        assert_eq!(SegmentClock::new(1000 * SECOND).read(999 * SECOND, 0).step, None);
        let step = SegmentClock::new(1000 * SECOND).read(900 * SECOND, 0).step.expect("a step");
        assert_eq!(step, ClockStep { before_us: 1000 * SECOND, after_us: 900 * SECOND, source: "start" });
    }

    #[test]
    fn a_step_is_told_once() {
        let mut clock = running();
        assert!(clock.read(500 * SECOND, 5 * SECOND).step.is_some());
        assert_eq!(clock.read(501 * SECOND, 6 * SECOND), Reading { time_us: 501 * SECOND, step: None });
    }
}
