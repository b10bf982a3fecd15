//! Everything that serving a request needs, put together once at start.

use super::call::Dialect;
use super::cursor::CursorKey;
use super::issuers::{self, Issuers, IssuersError, Loaded};
use super::key_use::KeyUser;
use super::keys::{KEYS, Keys};
use super::listing::Listings;
use super::own;
use super::pair_turns::PairTurns;
use super::policies::{Policies, ReloadError};
use super::purger::Leftovers;
use super::refused_file::RefusedFile;
use super::request::Rules;
use super::request_ids::RequestIds;
use super::seen::Seen;
use super::setup;
use super::shadow::Shadow;
use super::signed::DummyKey;
use super::steady::SteadyClock;
use super::tokens::LogRevocations;
use crate::actions;
use crate::authn::remote::FetchError;
use crate::authn::signed::KnownKeys;
use crate::authn::{AuthenticateError, Authenticated};
use crate::authz::SessionPolicy;
use crate::config::{Config, Limits};
use crate::floods::{AccountRates, Budget, By, Floods, Rate, RateLimits, Rates, Summary};
use crate::keys::{KeysError, Opened, RootKeyError};
use crate::principal::Principal;
use crate::resource::{CreatorNumber, Place};
use crate::secret::{self, Engine, Held, Servables};
use keyward_audit::disk::Level;
use keyward_audit::log::{Mode, Status};
use keyward_audit::record::{Draft, Kind, Value};
use keyward_audit::store::StoreError;
use keyward_audit::{Changes, Clock, CommitError, Environment, Log, RandomError, ReadSet, Refused};
use moka::sync::Cache;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log does not open.
    #[error(transparent)]
    Log(#[from] keyward_audit::log::OpenError),
    /// A file that the configuration names cannot be used.
    #[error(transparent)]
    Setup(#[from] setup::SetupError),
    /// The root key cannot be read.
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
    /// The keys do not open.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// An issuer is not usable.
    #[error(transparent)]
    Issuers(#[from] IssuersError),
    /// An issuer's discovery points elsewhere.
    #[error("`issuer.{issuer}`: {cause}")]
    Discovery {
        /// The issuer's name.
        issuer: String,
        /// Where to.
        cause: FetchError,
    },
    /// The policy folder is not usable, or its revision could not be recorded.
    #[error(transparent)]
    Policies(#[from] ReloadError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The start could not be recorded.
    #[error("the start cannot be recorded; nothing is served")]
    Unrecorded,
}

/// How large a body may be and how long it may take.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Bytes.
    pub bytes: usize,
    /// Seconds.
    pub timeout_s: u64,
}

/// The gateway.
pub struct Gateway {
    log: Log,
    issuers: Issuers,
    policies: Policies,
    shadow: Shadow,
    engine: Engine,
    keys: Keys,
    place: Place,
    limits: Limits,
    environment: Environment,
    floods: Floods,
    rates: Rates,
    doubtful: Mutex<Vec<Doubtful>>,
    certificates_refused: RefusedFile,
    cursors: CursorKey,
    steady_clock: SteadyClock,
    leftovers: Leftovers,
    request_ids: RequestIds,
    servables: Servables,
    held: Held,
    listings: Listings,
    key_user: KeyUser,
    dummy_key: DummyKey,
    seen: Seen,
    replays: Arc<Semaphore>,
    pairs: PairTurns,
    known_keys: KnownKeys,
    session_policies: Cache<String, Arc<SessionPolicy>>,
}

/// Most session policies that are kept, parsed.
const SESSION_POLICIES_MAX: u64 = 1_000;

/// A summary that may be durable or not: the store failed under it.
struct Doubtful {
    summary: Summary,
    request: String,
    since: u64,
}

impl Gateway {
    /// Opens everything that `config` names, records the start, and is ready to serve.
    ///
    /// # Errors
    /// [`OpenError`] in one line that names the setting, file or index that is wrong.
    pub async fn open(config: &Config, environment: Environment) -> Result<Arc<Self>, OpenError> {
        let roots = setup::root_keys(config)?;
        let loaded = Loaded::read(config)?;
        let log = Log::open(&setup::log_settings(config)?, &environment)?;
        let keys_as_of = log.generation(KEYS);
        let Opened { keyring, root, is_next } = log.read(|snapshot| Ok(roots.open(snapshot)))??;
        let keyring = keyring.as_of_generation(keys_as_of);
        drop(roots);
        if is_next {
            tracing::warn!(
                "the keys of the store are under the root key of `[keys.next]`: put it in the place of `[keys]`"
            );
        }
        let folder = config.path(&config.policy.path);
        let policies = Policies::start(&log, folder, setup::policy_settings(config), environment.clone()).await?;
        let key_user = KeyUser::new(keyring.creator_number(&Principal::engine_role()));
        let gateway = Self {
            issuers: Issuers::start(config, loaded, log.generation(issuers::ISSUERS)),
            policies,
            shadow: Shadow::new(config),
            engine: Engine::new(Arc::new(keyring), Arc::clone(&environment.random)),
            keys: Keys::new(root, config.file.clone()),
            place: Place { region: config.server.region.clone(), account: config.server.account.clone() },
            limits: config.limits.clone(),
            floods: Floods::new(Budget {
                total: config.limits.unauthenticated_records,
                per_network: config.limits.unauthenticated_records_per_network,
            }),
            rates: rates(&config.limits),
            doubtful: Mutex::new(Vec::new()),
            certificates_refused: RefusedFile::new(|value| metrics::gauge!("keyward_tls_refused").set(value)),
            request_ids: RequestIds::default(),
            servables: Servables::default(),
            held: Held::default(),
            listings: Listings::default(),
            key_user,
            session_policies: Cache::new(SESSION_POLICIES_MAX),
            replays: Arc::new(Semaphore::new(1)),
            pairs: PairTurns::default(),
            known_keys: KnownKeys::default(),
            dummy_key: DummyKey::random(&*environment.random)?,
            seen: Seen::new(
                config.tencent.repeat_window_ms,
                config.tencent.signatures,
                environment.clock.wall_us() / 1_000_000,
            ),
            cursors: CursorKey::random(&*environment.random)?,
            steady_clock: SteadyClock::default(),
            leftovers: Leftovers::found(&log)?,
            environment,
            log,
        };
        gateway.record_start(config).await?;
        gateway.start_shadow().await;
        let gateway = Arc::new(gateway);
        if let Err(error) = gateway.first_keys().await {
            // The log is open: it is closed in order, whatever comes next.
            gateway.stop().await;
            return Err(error);
        }
        Ok(gateway)
    }

    async fn record_start(&self, config: &Config) -> Result<(), OpenError> {
        let mut draft = self.system("start")?;
        draft.parameters.insert("catalogue".to_owned(), Value::from(actions::CATALOGUE));
        draft.parameters.insert("config".to_owned(), Value::from(config.digest.as_str()));
        draft.parameters.insert("policy".to_owned(), Value::from(self.policies.live().set.revision()));
        draft.parameters.insert("program".to_owned(), Value::from(crate::PROGRAM));
        own::record(&self.log, draft).await.then_some(()).ok_or(OpenError::Unrecorded)
    }

    fn system(&self, event: &str) -> Result<Draft, RandomError> {
        own::draft(&self.environment, "service/gateway", event)
    }

    /// Writes the summary of what was only counted since the last one. Counts stay exact (invariant I3): a summary of
    /// which nobody can say whether it is durable is looked for in the log before it is counted again.
    pub async fn summarise(&self) {
        if !self.settle_doubtful() {
            return;
        }
        for summary in [self.floods.take(), self.rates.take()].into_iter().flatten() {
            self.write_summary(summary).await;
        }
    }

    async fn write_summary(&self, summary: Summary) {
        let Ok(request) = self.environment.request_id() else { return self.give_back(summary) };
        let since = self.log.as_of();
        let event = super::recording::summary(&summary, request.clone());
        match self.log.commit_unhurried(event, Changes::default(), ReadSet::default()).await {
            Ok(_) => {}
            Err(CommitError::Unavailable(_, Refused::Store)) => {
                self.doubtful().push(Doubtful { summary, request, since });
            }
            Err(_) => self.give_back(summary),
        }
    }

    fn give_back(&self, summary: Summary) {
        match summary.by {
            By::Network => self.floods.give_back(summary),
            By::Principal => self.rates.give_back(summary),
        }
    }

    fn doubtful(&self) -> MutexGuard<'_, Vec<Doubtful>> {
        self.doubtful.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is no doubtful summary any more.
    fn settle_doubtful(&self) -> bool {
        let all = std::mem::take(&mut *self.doubtful());
        for doubtful in all {
            match self.log.find(doubtful.since, &doubtful.request, Kind::Summary) {
                Ok(Some(_)) => {}
                Ok(None) => self.give_back(doubtful.summary),
                Err(_) => self.doubtful().push(doubtful),
            }
        }
        self.doubtful().is_empty()
    }

    /// Writes what is still only counted and the stop, signs a last checkpoint and closes the log.
    pub async fn stop(&self) {
        self.summarise().await;
        if let Ok(draft) = self.system("stop") {
            own::record(&self.log, draft).await;
        }
        self.log.stop().await;
    }

    /// Reads the policy folder again.
    ///
    /// # Errors
    /// [`ReloadError`]; the set before it serves on.
    pub async fn reload_policies(&self, trigger: &'static str) -> Result<(), ReloadError> {
        self.policies.reload(&self.log, trigger).await
    }

    /// Says that certificates of the listener are live, or once for each new cause that they are not: structured log, metric,
    /// record.
    pub async fn say_of_certificates(&self, live: Option<String>, refused: Option<String>) {
        let is_new = match &refused {
            Some(cause) => self.certificates_refused.is_new(cause),
            None => {
                self.certificates_refused.clear();
                false
            }
        };
        let (event, reason, name, said) = match (live, refused) {
            (Some(live), _) => {
                tracing::info!(certificate = live, "the certificates of the listener were read again and are live");
                ("certificates_changed", None, "certificate", Value::from(live))
            }
            (None, Some(cause)) if is_new => {
                tracing::error!(cause, "the certificates of the listener are refused; those before them serve on");
                ("certificates_refused", Some("certificates_refused"), "cause", own::cause(&cause))
            }
            (None, _) => return,
        };
        self.say("service/gateway", event, reason, vec![(name, said)]).await;
    }

    /// Why the gateway is not ready, if it is not: one text for each reason, none naming a secret or caller.
    #[must_use]
    pub fn unready(&self) -> Vec<String> {
        let mut reasons = unready(&self.log.status());
        if self.policies.refused().is_some() {
            reasons.push("policy_refused".to_owned());
        }
        if self.issuers.refused().is_some() {
            reasons.push("issuers_refused".to_owned());
        }
        if self.certificates_refused.cause().is_some() {
            reasons.push("certificates_refused".to_owned());
        }
        if self.issuers.authenticator().is_blind(self.now_us() / 1_000_000) {
            reasons.push("keys_stale".to_owned());
        }
        reasons
    }

    /// A fresh request id.
    ///
    /// # Errors
    /// [`super::Unrecorded::Random`] if the system gives no random bytes.
    pub fn request_id(&self) -> Result<String, super::Unrecorded> {
        self.request_ids.next(&*self.environment.random).map_err(|_| super::Unrecorded::Random)
    }

    /// How large a body may be and how long it may take.
    #[must_use]
    pub fn body_limits(&self) -> BodyLimits {
        BodyLimits { bytes: self.limits.body_bytes, timeout_s: self.limits.body_timeout_s }
    }

    /// The live policy set and what watches the folder.
    #[must_use]
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// The policy set in the shadow, and its folder.
    #[must_use]
    pub fn shadow(&self) -> &Shadow {
        &self.shadow
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Secrets that were read last.
    pub(super) fn servables(&self) -> &Servables {
        &self.servables
    }

    /// How many secrets there may be.
    pub(super) fn held(&self) -> &Held {
        &self.held
    }

    /// The names of secrets that pages are made of.
    pub(super) fn listings(&self) -> &Listings {
        &self.listings
    }

    /// The engine, as policy is asked about it.
    pub(super) fn key_user(&self) -> &KeyUser {
        &self.key_user
    }

    /// What signs in place of a key that is not there.
    pub(super) fn dummy_key(&self) -> &DummyKey {
        &self.dummy_key
    }

    /// Whose turn it is to make a key pair.
    pub(crate) fn pairs(&self) -> &PairTurns {
        &self.pairs
    }

    /// Whose turn it is to compare the trail with a set that is not live.
    pub(super) fn replays(&self) -> &Arc<Semaphore> {
        &self.replays
    }

    /// Access keys that signed a moment ago.
    pub(super) fn known_keys(&self) -> &KnownKeys {
        &self.known_keys
    }

    /// Session policies that were read, by digest.
    pub(super) fn session_policies(&self) -> &Cache<String, Arc<SessionPolicy>> {
        &self.session_policies
    }

    /// The signatures that were seen.
    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    pub(super) fn rates(&self) -> &Rates {
        &self.rates
    }

    pub(super) fn floods(&self) -> &Floods {
        &self.floods
    }

    pub(super) fn cursors(&self) -> &CursorKey {
        &self.cursors
    }

    pub(super) fn steady_clock(&self) -> &SteadyClock {
        &self.steady_clock
    }

    pub(super) fn leftovers(&self) -> &Leftovers {
        &self.leftovers
    }

    /// The region that it serves.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.place.region
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn random(&self) -> &dyn keyward_audit::Random {
        &*self.environment.random
    }

    /// How much a secret may hold.
    pub(super) fn secret_limits(&self) -> secret::Limits {
        secret::Limits {
            value_bytes_max: self.limits.value_bytes,
            versions_max: self.limits.versions_per_secret,
            secrets_max: self.limits.secrets,
        }
    }

    /// Requests of the whole account a second; 0: no limit.
    pub(super) fn account_requests_per_second(&self) -> u32 {
        self.limits.account_requests_per_second
    }

    /// What parameters are checked against.
    pub(super) fn rules(&self, dialect: Dialect) -> Rules<'_> {
        Rules {
            limits: self.secret_limits(),
            place: &self.place,
            authenticator: self.issuers.authenticator(),
            now_s: self.now_us() / 1_000_000,
            dialect,
        }
    }

    pub(super) fn now_us(&self) -> u64 {
        self.environment.clock.wall_us()
    }

    pub(super) fn monotonic_us(&self) -> u64 {
        self.environment.clock.monotonic_us()
    }

    /// Has what the store wrote to its own log written to tables, if it is much, and drops lists that nobody goes on with.
    pub async fn tidy(self: &Arc<Self>) {
        self.listings.tidy();
        let gateway = Arc::clone(self);
        let tidied = tokio::task::spawn_blocking(move || gateway.log().tidy(TIDIED_RECORDS)).await;
        if let Ok(Err(error)) = tidied {
            tracing::warn!(%error, "what the store's own log holds is not written to tables now");
        }
    }

    /// The clock that it goes by.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.environment.clock)
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Who may issue tokens.
    #[must_use]
    pub fn issuers(&self) -> &Issuers {
        &self.issuers
    }

    pub(super) fn creator_number(&self, principal: &Principal) -> CreatorNumber {
        self.engine.installation().creator_number(principal)
    }

    pub(super) fn authenticate(&self, token: &str) -> Result<Arc<Authenticated>, AuthenticateError> {
        self.authenticate_as_of(token, self.now_us() / 1_000_000)
    }

    /// The same by the revocations and issuers of now, as if the token had been shown at `now_s`.
    pub(super) fn authenticate_as_of(&self, token: &str, now_s: u64) -> Result<Arc<Authenticated>, AuthenticateError> {
        self.issuers.authenticator().authenticate(token, now_s, &LogRevocations(&self.log))
    }

    /// Whether whoever was known a moment ago still is, so that the token need not be looked up again.
    pub(super) fn still_knows(&self, known: &Authenticated, now_s: u64) -> bool {
        self.issuers.authenticator().still_knows(known, now_s, &LogRevocations(&self.log))
    }
}

fn rates(limits: &Limits) -> Rates {
    let each = RateLimits {
        requests: Rate { per_second: limits.requests_per_second, burst: limits.requests_burst },
        denials: Rate { per_second: limits.denials_per_second, burst: limits.denials_burst },
    };
    let account = AccountRates::new(limits.account_requests_per_second, &limits.action_requests_per_second);
    Rates::new(each, account)
}

/// Records in the store's own log that are worth tables of their own.
const TIDIED_RECORDS: u64 = 2_048;
/// Committed records that no checkpoint covers for longer than this make the gateway unready, in microseconds.
const UNCOVERED_US_MAX: u64 = 10_000_000;
/// A record that waits longer than this for the disk, in microseconds.
const WAITING_US_MAX: u64 = 1_000_000;
/// Records that the indexes may lag behind.
const FOLLOWER_LAG_MAX: u64 = 100_000;

fn unready(status: &Status) -> Vec<String> {
    let reasons = [
        (status.mode == Mode::Reopening, "store_reopening"),
        (status.mode == Mode::Lost, "records_lost"),
        (!status.writing, "log_stopped"),
        (status.waiting_us > WAITING_US_MAX, "log_stuck"),
        (status.disk == Level::Hard, "disk_hard"),
        (status.disk == Level::Critical, "disk_critical"),
        (status.uncovered_us > UNCOVERED_US_MAX, "checkpoint_late"),
        (status.follower_lag > FOLLOWER_LAG_MAX, "index_late"),
    ];
    reasons.into_iter().filter(|(holds, _)| *holds).map(|(_, reason)| reason.to_owned()).collect()
}
