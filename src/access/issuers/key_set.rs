//! Key sets that are fetched: when, how often, and for how long the last good one stands.
//!
//! A set is fetched when it is older than `keys_refresh_s`, and when a token names a `kid` that it does not have; one
//! fetch at a time for each issuer, and at most one in 30 s, however many tokens ask. What cannot be fetched or read
//! changes nothing but the metrics; after `keys_max_age_s` without a good fetch the keys are stale, which is recorded, and
//! the issuer's tokens are refused (invariant I5). A set with other keys goes live by a record ([`super`]); keys
//! that it leaves out verify nothing from that index on.
//!
//! Sets are in memory alone: a process that starts while an issuer is down has no keys of it.

use super::{SERVICE, named};
use crate::access::call::Presented;
use crate::access::gateway::{Gateway, OpenError};
use crate::access::own;
use crate::authn::remote::{FetchError, Remote};
use crate::authn::{AuthenticateError, Authenticated, Cause};
use crate::config;
use keyward_audit::record::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// Least time between the beginnings of two fetches of one set, in microseconds.
const APART_US: u64 = 30_000_000;
/// Requests that wait for one fetch at a time; others are answered by the keys that are there.
const WAITING_MAX: usize = 64;

/// The key set of one issuer.
pub(in crate::access) struct KeySet {
    name: String,
    remote: Remote,
    /// The table that it is made from, to tell whether another says the same.
    table: String,
    refresh_us: u64,
    max_age_s: u64,
    flight: tokio::sync::Mutex<()>,
    waiting: Arc<Semaphore>,
    times: Mutex<Times>,
    said_stale: AtomicBool,
}

/// By the monotonic clock, in microseconds.
#[derive(Default)]
struct Times {
    begun: Option<u64>,
    fetched: Option<u64>,
    /// Why the last fetch brought nothing, if so.
    problem: Option<String>,
}

/// Why a fetched set is not live.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("{0}")]
    Set(String),
    #[error("the change of keys cannot be recorded now")]
    Unrecorded,
}

impl Problem {
    const fn label(&self) -> &'static str {
        match self {
            Self::Fetch(error) => error.label(),
            Self::Set(_) => "set",
            Self::Unrecorded => "unrecorded",
        }
    }
}

impl KeySet {
    /// The set of an issuer's table.
    pub(super) fn new(table: &config::Issuer, remote: Remote) -> Self {
        Self {
            name: table.name.clone(),
            table: format!("{table:?}{remote:?}"),
            remote,
            refresh_us: table.keys_refresh_s.saturating_mul(1_000_000),
            max_age_s: table.keys_max_age_s,
            flight: tokio::sync::Mutex::new(()),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            times: Mutex::default(),
            said_stale: AtomicBool::new(false),
        }
    }

    /// The issuer's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is the same table, authorities included.
    pub(super) fn is_same_place(&self, other: &Self) -> bool {
        self.table == other.table
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_begin(&self, now_us: u64) -> bool {
        self.times().begun.is_none_or(|begun| now_us.saturating_sub(begun) >= APART_US)
    }

    /// Whether a fetch may begin now; from then on none may for a while.
    fn begin(&self, now_us: u64) -> bool {
        let may = self.may_begin(now_us);
        if may {
            self.times().begun = Some(now_us);
        }
        may
    }

    fn is_due(&self, now_us: u64) -> bool {
        let fetched = self.times().fetched;
        let is_old = fetched.is_none_or(|fetched| now_us.saturating_sub(fetched) >= self.refresh_us);
        is_old && self.may_begin(now_us) && self.flight.try_lock().is_ok()
    }
}

impl Gateway {
    /// Fetches every set for the first time. An issuer that does not answer is no reason not to start; one that points
    /// elsewhere is.
    ///
    /// # Errors
    /// [`OpenError::Discovery`] naming the issuer whose discovery is not to be followed.
    pub(in crate::access) async fn first_keys(self: &Arc<Self>) -> Result<(), OpenError> {
        let fetches: Vec<_> = self
            .issuers()
            .key_sets()
            .iter()
            .map(|set| (set.name.clone(), tokio::spawn(refresh(Arc::clone(self), Arc::clone(set)))))
            .collect();
        for (issuer, fetch) in fetches {
            if let Ok(Some(Problem::Fetch(cause @ FetchError::Misdirected(_)))) = fetch.await {
                return Err(OpenError::Discovery { issuer, cause });
            }
        }
        Ok(())
    }

    /// Begins the fetches that are due, and says which keys are stale. To be called about once a second.
    pub async fn look_after_keys(self: &Arc<Self>) {
        {
            let _one_at_a_time = self.changing_issuers().await;
            self.settle_issuers().await;
        }
        let now_us = self.monotonic_us();
        for set in self.issuers().key_sets().iter() {
            if set.is_due(now_us) {
                tokio::spawn(refresh(Arc::clone(self), Arc::clone(set)));
            }
            let age_us = set.times().fetched.map(|fetched| now_us.saturating_sub(fetched));
            if let Some(age_us) = age_us {
                let age_s = std::time::Duration::from_micros(age_us).as_secs_f64();
                metrics::gauge!("keyward_issuer_keys_age_seconds", "issuer" => set.name.clone()).set(age_s);
            }
            self.say_if_stale(set).await;
        }
    }

    async fn say_if_stale(&self, set: &KeySet) {
        let is_stale = self.issuers().authenticator().is_stale(&set.name, self.now_us() / 1_000_000);
        metrics::gauge!("keyward_issuer_keys_stale", "issuer" => set.name.clone()).set(f64::from(u8::from(is_stale)));
        if !is_stale || set.said_stale.load(Ordering::Relaxed) {
            return;
        }
        let problem = set.times().problem.clone().unwrap_or_else(|| "not fetched yet".to_owned());
        tracing::error!(issuer = set.name, problem, "the keys of an issuer are stale; its tokens are refused");
        let said = vec![("cause", Value::from(problem)), ("issuer", Value::from(set.name.as_str()))];
        if self.say(SERVICE, "keys_stale", Some("keys_stale"), said).await {
            set.said_stale.store(true, Ordering::Relaxed);
        }
    }

    /// Whom a credential speaks for at this moment, if it is good. A token that names a `kid` which its issuer's set does not have is
    /// asked about again after one more fetch, if one may begin.
    pub async fn known(self: &Arc<Self>, presented: &Presented) -> Option<Arc<Authenticated>> {
        let (Presented::Bearer(token) | Presented::WebIdentity(token)) = presented else {
            return None;
        };
        match self.authenticate(token) {
            Ok(known) => Some(known),
            Err(AuthenticateError::Refused(refusal)) if refusal.cause == Cause::KidUnknown => {
                if self.look_for_key(token).await { self.authenticate(token).ok() } else { None }
            }
            Err(_) => None,
        }
    }

    /// Fetches the set of the issuer that a token claims, or waits for the fetch that is under way; whether there was any.
    async fn look_for_key(self: &Arc<Self>, token: &str) -> bool {
        let key_sets = self.issuers().key_sets();
        if key_sets.is_empty() {
            return false;
        }
        let claimed = self.issuers().authenticator().claimed_issuer(token);
        let Some(set) = key_sets.iter().find(|set| Some(&set.name) == claimed.as_ref()) else {
            return false;
        };
        if !set.may_begin(self.monotonic_us()) && set.flight.try_lock().is_ok() {
            return false;
        }
        let Ok(seat) = Arc::clone(&set.waiting).try_acquire_owned() else {
            return false;
        };
        let (gateway, set) = (Arc::clone(self), Arc::clone(set));
        // In a task of its own: a client that leaves cancels no fetch, and its seat stays taken until the fetch ends.
        let fetch = tokio::spawn(async move {
            refresh(gateway, set).await;
            drop(seat);
        });
        fetch.await.is_ok()
    }
}

/// Fetches a set if a fetch may begin, and makes it live if it is good and new. What went wrong, if anything did.
async fn refresh(gateway: Arc<Gateway>, set: Arc<KeySet>) -> Option<Problem> {
    let _single_flight = set.flight.lock().await;
    if !set.begin(gateway.monotonic_us()) {
        return None;
    }
    let fetched = match set.remote.fetch().await {
        Ok(bytes) => take(&gateway, &set, &bytes).await,
        Err(error) => Err(error.into()),
    };
    let label = fetched.as_ref().map_or_else(Problem::label, |()| "ok");
    metrics::counter!("keyward_issuer_fetches_total", "issuer" => set.name.clone(), "outcome" => label).increment(1);
    let mut times = set.times();
    match fetched {
        Ok(()) => {
            times.fetched = Some(gateway.monotonic_us());
            times.problem = None;
            None
        }
        Err(problem) => {
            let text = problem.to_string();
            if times.problem.as_ref() != Some(&text) {
                tracing::warn!(issuer = set.name, problem = text, "the keys of an issuer were not fetched");
            }
            times.problem = Some(text);
            Some(problem)
        }
    }
}

/// Makes a fetched set live.
async fn take(gateway: &Gateway, set: &KeySet, bytes: &[u8]) -> Result<(), Problem> {
    let _one_at_a_time = gateway.changing_issuers().await;
    let issuers = gateway.issuers();
    if !gateway.settle_issuers().await {
        return Err(Problem::Unrecorded);
    }
    if !issuers.key_sets().iter().any(|live| live.is_same_place(set)) {
        return Err(Problem::Set("the issuer was changed meanwhile".to_owned()));
    }
    let authenticator = issuers.authenticator();
    let fetched = authenticator.read_set(&set.name, bytes).map_err(|error| Problem::Set(error.to_string()))?;
    let now_s = gateway.now_us() / 1_000_000;
    let until_s = now_s.saturating_add(set.max_age_s);
    if authenticator.fingerprint(&set.name) == fetched.fingerprint() && !authenticator.is_stale(&set.name, now_s) {
        authenticator.extend_keys(&set.name, until_s);
        return Ok(());
    }
    let (before, after) = (authenticator.kids(&set.name), fetched.kids());
    let only = |in_these: &[String], not_in: &[String]| -> Vec<String> {
        in_these.iter().filter(|kid| !not_in.contains(kid)).cloned().collect()
    };
    let mut draft = own::draft(gateway.environment(), SERVICE, "issuer_keys").map_err(|_| Problem::Unrecorded)?;
    let digest = format!("sha256:{}", hex::encode(fetched.fingerprint().unwrap_or_default()));
    let said = [
        ("added", named(&only(&after, &before))),
        ("issuer", Value::from(set.name.as_str())),
        ("set", Value::from(digest)),
        ("withdrawn", named(&only(&before, &after))),
    ];
    draft.parameters.extend(said.map(|(name, value)| (name.to_owned(), value)));
    tracing::info!(issuer = set.name, kids = ?after, "fetched keys of an issuer go live");
    if !gateway.change_keys(draft, fetched, until_s).await {
        return Err(Problem::Unrecorded);
    }
    set.said_stale.store(false, Ordering::Relaxed);
    say_unfit(gateway, set);
    Ok(())
}

/// Keys of the set by which nothing can be verified: worth a look, since their owner means them to.
fn say_unfit(gateway: &Gateway, set: &KeySet) {
    let unfit = gateway.issuers().authenticator().unfit_keys();
    let mut count = 0_u32;
    for key in unfit.iter().filter(|key| key.issuer_name == set.name) {
        count = count.saturating_add(1);
        tracing::warn!(issuer = set.name, kid = key.kid, why = %key.why, "a fetched key is left out");
    }
    metrics::gauge!("keyward_issuer_keys_unfit", "issuer" => set.name.clone()).set(f64::from(count));
}
