//! The budget of unauthenticated requests: up to so many single records a second, beyond it one summary a second
//! with exact counts (invariant I3), so that nameless noise can neither fill the disk nor delay known callers.
//!
//! What is counted here and not yet in a summary is lost if the process dies: at most about one second of noise
//! that nobody was named in.

mod account;
mod counts;
mod rates;

pub use account::AccountRates;
pub use counts::{By, Row, Summary};
pub use rates::{FULL_AFTER_S, Over, Rate, RateLimits, Rates};

use counts::Counts;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many single records a second are allowed.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// In all.
    pub total: u32,
    /// For one network and reason.
    pub per_network: u32,
}

/// Whether a refused request gets a record of its own.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// It does.
    Single,
    /// It is counted into the next summary.
    Counted(Counted),
}

/// Proof that a refused request stands in a count; only [`Floods::admit`], [`Rates::admit`],
/// [`Rates::admit_action`] and [`Rates::refuse`] make one.
#[derive(Debug, PartialEq, Eq)]
pub struct Counted(());

#[derive(Debug, Default)]
struct Window {
    second: u64,
    singles: u32,
    singles_by: BTreeMap<(Option<IpAddr>, &'static str), u32>,
    counts: Counts<IpAddr>,
}

/// The budget and the counts.
#[derive(Debug)]
pub struct Floods {
    budget: Budget,
    window: Mutex<Window>,
}

impl Floods {
    /// An empty count under `budget`.
    #[must_use]
    pub fn new(budget: Budget) -> Self {
        Self { budget, window: Mutex::default() }
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one refused request at `now_us`; whatever is not [`Admission::Single`] is counted.
    pub fn admit(&self, peer: Option<IpAddr>, reason: &'static str, now_us: u64) -> Admission {
        let key = (peer.map(network), reason);
        let mut window = self.window();
        let second = now_us / 1_000_000;
        if window.second != second {
            window.second = second;
            window.singles = 0;
            window.singles_by.clear();
        }
        let by = window.singles_by.get(&key).copied().unwrap_or(0);
        if window.singles < self.budget.total && by < self.budget.per_network {
            window.singles += 1;
            window.singles_by.insert(key, by + 1);
            return Admission::Single;
        }
        window.counts.count(key.0, reason, now_us);
        Admission::Counted(Counted(()))
    }

    /// What was counted since the last call; `None` if nothing was.
    #[must_use]
    pub fn take(&self) -> Option<Summary> {
        self.window().counts.take(By::Network, |network| network_text(*network))
    }

    /// Gives back a summary that could not be recorded; its rows count into `others` from now on.
    pub fn give_back(&self, summary: Summary) {
        self.window().counts.give_back(summary);
    }
}

/// The network of an address: IPv4 /24, IPv6 /64; an IPv4-mapped address is its IPv4 self.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & 0xffff_ff00)),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

fn network_text(network: IpAddr) -> String {
    match network {
        IpAddr::V4(v4) => format!("{v4}/24"),
        IpAddr::V6(v6) => format!("{v6}/64"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { total: 5, per_network: 3 };
    const SECOND: u64 = 1_000_000;

    fn peer(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn singles_stop_at_the_budget_of_a_network_and_of_all_and_start_again_each_second() {
        let floods = Floods::new(BUDGET);
        let admit = |address: &str, at: u64| floods.admit(peer(address), "malformed", at) == Admission::Single;
        assert_eq!((0..9).filter(|n| admit(&format!("203.0.113.{n}"), SECOND)).count(), 3);
        assert_eq!((0..9).filter(|n| admit(&format!("198.51.{n}.1"), SECOND)).count(), 2);
        assert!(admit("203.0.113.1", 2 * SECOND));
    }

    #[test]
    fn i03_every_counted_request_is_in_the_summary_exactly_once() {
        let floods = Floods::new(Budget { total: 0, per_network: 0 });
        for n in 0..10_000_u32 {
            let address = IpAddr::V4(Ipv4Addr::from_bits(n << 8));
            floods.admit(Some(address), if n % 3 == 0 { "expired" } else { "malformed" }, SECOND + u64::from(n));
        }
        floods.admit(None, "malformed", 3 * SECOND);
        let summary = floods.take().unwrap();
        let named: u64 = summary.rows.iter().map(|row| row.count).sum();
        assert_eq!(summary.count, 10_001);
        assert_eq!(named + summary.others.values().sum::<u64>(), 10_001);
        assert_eq!(summary.rows.len(), counts::ROWS_NAMED_MAX);
        assert_eq!((summary.first_us, summary.last_us), (SECOND, 3 * SECOND));
        assert_eq!(floods.take(), None);
        floods.give_back(summary);
        assert_eq!(floods.take().unwrap().count, 10_001);
    }

    #[test]
    fn the_largest_rows_come_first_and_networks_are_24_and_64_bits() {
        let floods = Floods::new(Budget { total: 0, per_network: 0 });
        for _ in 0..3 {
            floods.admit(peer("2001:db8:7::1"), "expired", SECOND);
            floods.admit(peer("2001:db8:7::2"), "expired", SECOND);
            floods.admit(peer("::ffff:203.0.113.9"), "malformed", SECOND);
        }
        let rows = floods.take().unwrap().rows;
        let texts: Vec<_> = rows.iter().map(|row| (row.whom.as_str(), row.count)).collect();
        assert_eq!(texts, [("2001:db8:7::/64", 6), ("203.0.113.0/24", 3)]);
    }
}
