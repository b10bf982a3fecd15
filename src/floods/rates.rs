//! How fast each known caller may ask, and how fast it may be denied: so that one of them, broken or stolen, takes
//! neither the service from the others nor the disk from the log.
//!
//! Each principal has two allowances that fill up steadily (the generic cell rate algorithm, ITU-T I.371): one is taken
//! from by every request, one by every denial, malformed request, and change that sends others' requests back. While either is used up its requests are answered 429 before anything is
//! decided, and counted exactly (invariant I3). Memory is bounded: allowances that were not touched for a while are full
//! again and are forgotten. Above them stand the rates of the whole account ([`AccountRates`]), if it has any.
//!
//! In memory alone: a process that starts knows of nobody's haste.

use super::Counted;
use super::account::AccountRates;
use super::counts::{By, Counts, Summary};
use moka::sync::Cache;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Principals that are remembered at a time.
const PRINCIPALS_MAX: u64 = 65_536;
/// An allowance that nobody touched for so long is full: no burst may take longer to fill.
pub const FULL_AFTER_S: u32 = 60;

/// A steady rate and what may be taken at once.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// How many a second; 0: no limit.
    pub per_second: u32,
    /// How many at once after a rest; at least 1.
    pub burst: u32,
}

/// The rates of each principal.
#[derive(Clone, Copy, Debug)]
pub struct RateLimits {
    /// Of requests.
    pub requests: Rate,
    /// Of denials.
    pub denials: Rate,
}

/// When a principal's allowances will be full again, in nanoseconds of the monotonic clock.
#[derive(Default)]
struct Allowances {
    requests_ns: AtomicU64,
    denials_ns: AtomicU64,
}

/// Which rate a request is over; it stands in a count.
#[derive(Debug, PartialEq, Eq)]
pub enum Over {
    /// Its principal's.
    Principal(Counted),
    /// That of the whole account.
    Account(Counted),
}

/// The allowances of all principals and of the account, and the counts of what was refused.
pub struct Rates {
    limits: RateLimits,
    account: AccountRates,
    principals: Cache<u64, Arc<Allowances>>,
    /// Keyed at random, so that nobody can choose whose allowance to share.
    hasher: RandomState,
    counts: Mutex<Counts<String>>,
}

impl Rate {
    /// How long one takes to come back, and how far ahead of now an allowance may be, in nanoseconds; `None`: no limit.
    fn spans_ns(self) -> Option<(u64, u64)> {
        let each = 1_000_000_000_u64.checked_div(u64::from(self.per_second))?;
        Some((each, each.saturating_mul(u64::from(self.burst.max(1)))))
    }

    /// Takes one from an allowance; whether there was one.
    pub(super) fn take(self, full_at: &AtomicU64, now_us: u64) -> bool {
        let Some((each, most)) = self.spans_ns() else {
            return true;
        };
        let now = now_us.saturating_mul(1_000);
        let taken = full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            let next = full_at.max(now).saturating_add(each);
            (next.saturating_sub(now) <= most).then_some(next)
        });
        taken.is_ok()
    }

    /// Takes one from an allowance even if there is none: what was served is paid for later, up to [`FULL_AFTER_S`].
    fn charge(self, full_at: &AtomicU64, now_us: u64) {
        let Some((each, most)) = self.spans_ns() else { return };
        let now = now_us.saturating_mul(1_000);
        let latest = now.saturating_add(most).saturating_add(u64::from(FULL_AFTER_S).saturating_mul(1_000_000_000));
        let next = |full_at: u64| full_at.max(now).saturating_add(each).min(latest);
        let _before = full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| Some(next(full_at)));
    }

    /// Whether an allowance is used up, without taking from it.
    fn is_used_up(self, full_at: &AtomicU64, now_us: u64) -> bool {
        self.spans_ns().is_some_and(|(each, most)| {
            let ahead = full_at.load(Ordering::Relaxed).saturating_sub(now_us.saturating_mul(1_000));
            ahead.saturating_add(each) > most
        })
    }
}

impl Rates {
    /// Full allowances for everybody.
    #[must_use]
    pub fn new(limits: RateLimits, account: AccountRates) -> Self {
        let principals = Cache::builder()
            .max_capacity(PRINCIPALS_MAX)
            .time_to_idle(Duration::from_secs(FULL_AFTER_S.into()))
            .build();
        Self { limits, account, principals, hasher: RandomState::new(), counts: Mutex::default() }
    }

    fn allowances(&self, principal: &str) -> Arc<Allowances> {
        self.principals.get_with(self.hasher.hash_one(principal), Arc::default)
    }

    fn counts(&self) -> MutexGuard<'_, Counts<String>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one request of `principal` at `now_us` of the monotonic clock; what is over a rate is counted, as of `wall_us`.
    ///
    /// # Errors
    /// [`Over`] if it is to be answered 429.
    pub fn admit(&self, principal: &str, now_us: u64, wall_us: u64) -> Result<(), Over> {
        let allowances = self.allowances(principal);
        if self.limits.denials.is_used_up(&allowances.denials_ns, now_us) {
            return Err(Over::Principal(self.count(principal, "denial_rate", wall_us)));
        }
        if !self.limits.requests.take(&allowances.requests_ns, now_us) {
            return Err(Over::Principal(self.count(principal, "request_rate", wall_us)));
        }
        if !self.account.take(now_us) {
            return Err(Over::Account(self.count(principal, "account_rate", wall_us)));
        }
        Ok(())
    }

    /// Takes one request of `principal` for an action from the account's rate of that action, if it has one.
    ///
    /// # Errors
    /// [`Counted`] if it is to be answered 429.
    pub fn admit_action(&self, principal: &str, action: &str, now_us: u64, wall_us: u64) -> Result<(), Counted> {
        if self.account.take_action(action, now_us) {
            return Ok(());
        }
        Err(self.count(principal, "action_rate", wall_us))
    }

    /// Counts a request of `principal` that is refused for its haste by anybody else.
    pub fn refuse(&self, principal: &str, reason: &'static str, wall_us: u64) -> Counted {
        self.count(principal, reason, wall_us)
    }

    fn count(&self, principal: &str, reason: &'static str, wall_us: u64) -> Counted {
        metrics::counter!("keyward_rate_limited_total", "reason" => reason).increment(1);
        self.counts().count(Some(principal.to_owned()), reason, wall_us);
        Counted(())
    }

    /// Notes that a request of `principal` was denied, or counts as one that was.
    pub fn denied(&self, principal: &str, now_us: u64) {
        self.limits.denials.charge(&self.allowances(principal).denials_ns, now_us);
    }

    /// What was refused since the last call; `None` if nothing was.
    #[must_use]
    pub fn take(&self) -> Option<Summary> {
        self.counts().take(By::Principal, Clone::clone)
    }

    /// Gives back a summary that could not be recorded.
    pub fn give_back(&self, summary: Summary) {
        self.counts().give_back(summary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const LIMITS: RateLimits =
        RateLimits { requests: Rate { per_second: 10, burst: 20 }, denials: Rate { per_second: 2, burst: 3 } };

    fn each_with(limits: RateLimits) -> Rates {
        Rates::new(limits, AccountRates::new(0, &BTreeMap::new()))
    }

    fn admitted(rates: &Rates, principal: &str, now_us: u64, count: usize) -> usize {
        (0..count).filter(|_| rates.admit(principal, now_us, now_us).is_ok()).count()
    }

    #[test]
    fn attack_f05_a_burst_and_then_the_rate_for_each_by_itself() {
        let rates = each_with(LIMITS);
        assert_eq!(admitted(&rates, "user/dev/a", 1_000_000, 100), 20);
        assert_eq!(admitted(&rates, "user/dev/a", 1_500_000, 100), 5);
        assert_eq!(admitted(&rates, "user/dev/b", 1_500_000, 100), 20, "another's allowance is its own");
        assert_eq!(admitted(&rates, "user/dev/a", 60_000_000, 100), 20, "full again");
        let summary = rates.take().unwrap();
        assert_eq!((summary.by, summary.count), (By::Principal, 80 + 95 + 80 + 80));
        let rows: Vec<_> = summary.rows.iter().map(|row| (row.whom.as_str(), row.count, row.reason)).collect();
        assert_eq!(rows, [("user/dev/a", 255, "request_rate"), ("user/dev/b", 80, "request_rate")]);
        assert_eq!(rates.take(), None);
    }

    #[test]
    fn attack_f05_denials_use_up_an_allowance_of_their_own() {
        let rates = each_with(LIMITS);
        for round in 0..3 {
            assert!(rates.admit("user/dev/a", 1_000_000, 1).is_ok(), "{round}");
            rates.denied("user/dev/a", 1_000_000);
        }
        assert!(rates.admit("user/dev/a", 1_000_000, 1).is_err());
        assert_eq!(rates.take().unwrap().rows[0].reason, "denial_rate");
        assert!(rates.admit("user/dev/a", 1_500_000, 1).is_ok(), "one more after half a second");
        rates.denied("user/dev/a", 1_500_000);
        assert!(rates.admit("user/dev/a", 1_500_000, 1).is_err());
    }

    #[test]
    fn attack_f05_denials_beyond_the_allowance_are_paid_back() {
        let rates = each_with(LIMITS);
        assert!(rates.admit("user/dev/a", 1_000_000, 1).is_ok());
        // All were under way before the first was denied.
        (0..9).for_each(|_| rates.denied("user/dev/a", 1_000_000));
        assert!(rates.admit("user/dev/a", 4_499_999, 1).is_err(), "six too many, and one to come back: 3.5 s");
        assert!(rates.admit("user/dev/a", 4_500_000, 1).is_ok());
        (0..100_000).for_each(|_| rates.denied("user/dev/a", 5_000_000));
        assert!(rates.admit("user/dev/a", 70_000_000, 1).is_ok(), "never for longer than a minute");
    }

    #[test]
    fn the_accounts_rate_is_over_all_and_a_principal_over_its_own_takes_nothing_from_it() {
        let none = Rate { per_second: 0, burst: 0 };
        let own = Rate { per_second: 10, burst: 20 };
        let actions = BTreeMap::from([("ListSecrets".to_owned(), 1)]);
        let rates = Rates::new(RateLimits { requests: own, denials: none }, AccountRates::new(25, &actions));
        assert_eq!(admitted(&rates, "user/dev/a", 1_000_000, 100), 20, "its own");
        assert_eq!(admitted(&rates, "user/dev/b", 1_000_000, 10), 5, "what is left of the account's");
        assert!(matches!(rates.admit("user/dev/c", 1_000_000, 1), Err(Over::Account(_))));
        assert!(matches!(rates.admit("user/dev/a", 1_000_000, 1), Err(Over::Principal(_))));
        assert_eq!(admitted(&rates, "user/dev/c", 2_000_000, 100), 20);
        let list = |now_us| rates.admit_action("user/dev/c", "ListSecrets", now_us, 1).is_ok();
        assert_eq!((list(1_000_000), list(1_500_000), list(2_000_000)), (true, false, true));
        let summary = rates.take().unwrap();
        let mut reasons: Vec<_> = summary.rows.iter().map(|row| (row.reason, row.count)).collect();
        reasons.sort_unstable();
        let counted =
            [("account_rate", 1), ("account_rate", 5), ("action_rate", 1), ("request_rate", 80), ("request_rate", 81)];
        assert_eq!(reasons, counted);
    }

    #[test]
    fn a_rate_of_0_is_no_limit() {
        let none = Rate { per_second: 0, burst: 0 };
        let rates = each_with(RateLimits { requests: none, denials: none });
        rates.denied("user/dev/a", 0);
        assert_eq!(admitted(&rates, "user/dev/a", 0, 10_000), 10_000);
    }

    #[test]
    fn attack_f05_a_million_principals_take_no_more_memory_than_those_remembered() {
        let rates = each_with(LIMITS);
        for n in 0..1_000_000 {
            rates.denied(&format!("user/dev/{n}"), 1);
            assert!(rates.admit(&format!("user/dev/{n}"), 1, 1).is_ok());
        }
        rates.principals.run_pending_tasks();
        assert!(rates.principals.entry_count() <= PRINCIPALS_MAX);
        let rates = each_with(LIMITS);
        for n in 0..20_000 {
            let name = format!("user/dev/{}/{n}", "x".repeat(240));
            for _ in 0..21 {
                let _counted = rates.admit(&name, 1, 1);
            }
        }
        let summary = rates.take().unwrap();
        assert_eq!(summary.count, 20_000, "exact, however many");
        let bytes: usize = summary.rows.iter().map(|row| row.whom.len() + 64).sum();
        assert!(bytes < 7_000, "{bytes} bytes of rows do not fit a record");
    }
}
