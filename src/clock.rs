//! The real clock and the real source of randomness, as the log wants them injected. The only file that reads
//! either from the operating system; everything else takes [`Clock`] and [`Random`].

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use std::sync::Arc;

use keyward_audit::{Clock, Environment, Random, RandomError};
use rand::TryRng as _;
use rand::rngs::SysRng;

/// The operating system's clocks.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic reading starts at 0 now.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    /// 0 while the wall clock stands before 1970.
    fn wall_us(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, whole_us)
    }

    fn monotonic_us(&self) -> u64 {
        whole_us(self.started.elapsed())
    }
}

/// Microseconds; the 584,000 years that fit are enough.
fn whole_us(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The operating system's random source (`getrandom`), asked each time: nothing is kept that a fork or a cloned
/// machine could repeat.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        SysRng.try_fill_bytes(bytes).map_err(|_| RandomError)
    }
}

/// Time and randomness of the operating system.
#[must_use]
pub fn system() -> Environment {
    Environment { clock: Arc::new(SystemClock::start()), random: Arc::new(SystemRandom) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_stands_after_this_was_written_and_the_monotonic_one_never_goes_back() {
        let clock = SystemClock::start();
        assert!(clock.wall_us() > 1_763_000_000_000_000);
        let before = clock.monotonic_us();
        assert!(clock.monotonic_us() >= before);
    }

    #[test]
    fn random_bytes_fill_the_whole_buffer_and_differ() {
        let (mut first, mut second) = ([0_u8; 64], [0_u8; 64]);
        SystemRandom.fill(&mut first).unwrap();
        SystemRandom.fill(&mut second).unwrap();
        assert_ne!(first, second);
        assert_ne!(first[56..], [0; 8]);
    }
}
