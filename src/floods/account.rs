//! How fast the whole account may ask, whoever asks: in all, and for single actions. Off unless it is set.
//!
//! Each is an allowance like a principal's: so many a second, and as many at once after a rest. Requests that are over their
//! principal's own rate take nothing from it, so that nobody's haste is charged to the others.

use super::rates::Rate;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

/// A rate, and when its allowance will be full again, in nanoseconds of the monotonic clock.
#[derive(Debug)]
struct Metered {
    rate: Rate,
    full_at_ns: AtomicU64,
}

/// The rates of the account.
#[derive(Debug)]
pub struct AccountRates {
    total: Metered,
    actions: BTreeMap<String, Metered>,
}

impl Metered {
    fn of(per_second: u32) -> Self {
        Self { rate: Rate { per_second, burst: per_second }, full_at_ns: AtomicU64::new(0) }
    }

    fn take(&self, now_us: u64) -> bool {
        self.rate.take(&self.full_at_ns, now_us)
    }
}

impl AccountRates {
    /// Requests a second in all and by action; 0, and an action that is not named: no limit.
    #[must_use]
    pub fn new(total: u32, actions: &BTreeMap<String, u32>) -> Self {
        let actions = actions.iter().map(|(name, per_second)| (name.clone(), Metered::of(*per_second)));
        Self { total: Metered::of(total), actions: actions.collect() }
    }

    /// Takes one request; whether there was one.
    pub(super) fn take(&self, now_us: u64) -> bool {
        self.total.take(now_us)
    }

    /// Takes one request for an action; whether there was one.
    pub(super) fn take_action(&self, name: &str, now_us: u64) -> bool {
        self.actions.get(name).is_none_or(|metered| metered.take(now_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(count: usize, take: impl Fn() -> bool) -> usize {
        (0..count).filter(|_| take()).count()
    }

    #[test]
    fn exactly_the_rate_is_taken_at_once_and_then_steadily() {
        let rates = AccountRates::new(10, &BTreeMap::from([("GetSecretValue".to_owned(), 3)]));
        assert_eq!(taken(50, || rates.take(1_000_000)), 10);
        assert!(!rates.take(1_099_999));
        assert!(rates.take(1_100_000));
        assert_eq!(taken(50, || rates.take(1_600_000)), 5);
        assert_eq!(taken(50, || rates.take_action("GetSecretValue", 1_000_000)), 3);
        assert_eq!(taken(50, || rates.take_action("DescribeSecret", 1_000_000)), 50);
    }

    #[test]
    fn without_a_rate_there_is_no_limit() {
        let rates = AccountRates::new(0, &BTreeMap::new());
        assert_eq!(taken(100_000, || rates.take(1) && rates.take_action("GetSecretValue", 1)), 100_000);
    }
}
