//! Who may issue tokens, and by which keys: read at start, changed while serving only through the log.
//!
//! INVARIANT I12: issuers come from keyward.toml; no request changes them. Keys that it says are fetched are fetched by
//! [`key_set`] and go live here.
//! INVARIANT I13: a change of issuers or keys is a `system` record that moves a generation. Every decision names the
//! generation that its caller was authenticated under, so no record after the change allows by the old state. A change
//! of which nobody can say whether it is durable is looked for in the log until that is known; nothing is allowed meanwhile
//! if it is.
//! INVARIANT I5: a configuration that is not understood keeps the issuers before it, and says so in the log, a metric and
//! `/readyz`. If the process dies half-way, the next start reads keyward.toml.

pub(super) mod key_set;

use super::gateway::Gateway;
use super::own::{self, Own};
use super::policies::ReloadError;
use super::refused_file::RefusedFile;
use super::setup::{self, SetupError};
use crate::authn::{Authenticator, FetchedSet, IssuerError, Prepared};
use crate::authz;
use crate::config::{Config, ConfigError};
use arc_swap::ArcSwap;
use key_set::KeySet;
use keyward_audit::record::{Draft, Kind, Value};
use keyward_audit::{Changes, CommitError, Generation, ReadSet, Refused};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Moved by every change of issuers and of keys that are fetched.
pub(super) const ISSUERS: Generation = Generation("issuers");
/// How long a request waits for a change that is already in the log to be swapped in.
const CATCH_UP: Duration = Duration::from_millis(250);
/// keyward at work on its issuers, in records.
const SERVICE: &str = "service/issuers";
/// Most names of a list in a record.
const NAMED_MAX: usize = 16;

/// Why a changed configuration is not live.
#[derive(Debug, thiserror::Error)]
pub enum IssuersError {
    /// keyward.toml is not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file or value that it names is not.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// An issuer is not.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// The policy folder does not load under these issuers.
    #[error(transparent)]
    Policies(#[from] ReloadError),
    /// The change cannot be recorded now.
    #[error("the change of issuers cannot be recorded now")]
    Unrecorded,
}

/// The issuers and what is known of their keys.
pub struct Issuers {
    authenticator: Authenticator,
    key_sets: ArcSwap<Vec<Arc<KeySet>>>,
    live: watch::Sender<u64>,
    changing: tokio::sync::Mutex<()>,
    pending: Mutex<Option<Pending>>,
    refused: RefusedFile,
    tables: Mutex<Tables>,
    file: PathBuf,
}

/// What of the configuration is live.
struct Tables {
    names: Vec<String>,
    /// Over the tables and the files that they name.
    digest: [u8; 32],
}

/// A change on its way into the log.
struct Pending {
    change: Change,
    request: String,
    since: u64,
}

enum Change {
    /// Another set of keys of one issuer, good until then.
    Keys(FetchedSet, u64),
    /// Other issuers.
    Issuers(Box<Loaded>),
}

/// Issuers as a configuration says, checked and not live.
pub(super) struct Loaded {
    prepared: Prepared,
    key_sets: Vec<Arc<KeySet>>,
    policy_settings: authz::Settings,
    tables: Tables,
    config_digest: String,
}

impl Loaded {
    /// Reads the issuers of a configuration, with their files.
    pub(super) fn read(config: &Config) -> Result<Self, IssuersError> {
        let mut key_sets = Vec::new();
        for table in &config.issuers {
            if let Some(remote) = setup::remote(config, table)? {
                key_sets.push(Arc::new(KeySet::new(table, remote)));
            }
        }
        let tables =
            Tables { names: config.issuers.iter().map(|issuer| issuer.name.clone()).collect(), digest: digest(config) };
        Ok(Self {
            prepared: Prepared::new(setup::issuer_settings(config)?)?,
            key_sets,
            policy_settings: setup::policy_settings(config),
            tables,
            config_digest: config.digest.clone(),
        })
    }

    /// Keeps fetched keys of issuers whose tables say where they are just as before.
    fn keep_keys(&mut self, live: &Issuers) {
        let before = live.key_sets.load();
        for set in &mut self.key_sets {
            if let Some(same) = before.iter().find(|other| other.is_same_place(set)) {
                *set = Arc::clone(same);
                self.prepared.keep_keys(set.name(), &live.authenticator);
            }
        }
    }
}

/// Over everything that makes an issuer: its table, and the bytes of its files.
fn digest(config: &Config) -> [u8; 32] {
    let mut digest = Sha256::new();
    for issuer in &config.issuers {
        digest.update(format!("{issuer:?}\n"));
        for file in [&issuer.public_key_file, &issuer.secret_file, &issuer.ca_file].into_iter().flatten() {
            // A file that cannot be read is refused where it is needed.
            let bytes = zeroize::Zeroizing::new(std::fs::read(config.path(file)).unwrap_or_default());
            digest.update(Sha256::digest(&*bytes));
        }
    }
    digest.finalize().into()
}

impl Issuers {
    /// Whether the issuers of a configuration, with their files, would be live. Nothing is fetched.
    ///
    /// # Errors
    /// Why not, naming the issuer.
    pub fn check(config: &Config) -> Result<(), IssuersError> {
        Loaded::read(config).map(|_| ())
    }

    /// The issuers of the configuration, live as of what the log says.
    pub(super) fn start(config: &Config, loaded: Loaded, generation: u64) -> Self {
        Self {
            authenticator: Authenticator::new(loaded.prepared, generation),
            key_sets: ArcSwap::from_pointee(loaded.key_sets),
            live: watch::Sender::new(generation),
            changing: tokio::sync::Mutex::new(()),
            pending: Mutex::new(None),
            refused: RefusedFile::new(|value| metrics::gauge!("keyward_issuers_refused").set(value)),
            tables: Mutex::new(loaded.tables),
            file: config.file.clone(),
        }
    }

    /// Verifies tokens.
    #[must_use]
    pub fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }

    /// The sets that are fetched.
    pub(super) fn key_sets(&self) -> Arc<Vec<Arc<KeySet>>> {
        self.key_sets.load_full()
    }

    /// Why keyward.toml as it was last read is not live, if it is not.
    #[must_use]
    pub fn refused(&self) -> Option<String> {
        self.refused.cause()
    }

    /// Waits until the change that the log says is live is swapped in here.
    pub(super) async fn catch_up(&self, generation: u64) {
        let mut seen = self.live.subscribe();
        let _late = tokio::time::timeout(CATCH_UP, seen.wait_for(|now| *now >= generation)).await;
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, Option<Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// keyward.toml.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Whether the tables and their files are those that are live.
    fn is_live(&self, digest: &[u8; 32]) -> bool {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).digest == *digest
    }
}

/// At most [`NAMED_MAX`] names; what is left out is one more entry that counts it.
fn named(names: &[String]) -> Value {
    let mut list: Vec<Value> = names.iter().take(NAMED_MAX).map(|name| Value::from(name.as_str())).collect();
    let left_out = names.len().saturating_sub(NAMED_MAX);
    if left_out > 0 {
        list.push(Value::from(format!("and {left_out} more").as_str()));
    }
    Value::List(list)
}

impl Gateway {
    /// Reads the issuers of keyward.toml again and makes them live if they are valid and any other.
    ///
    /// # Errors
    /// [`IssuersError`]; the issuers before them then stand.
    pub async fn reload_issuers(&self, trigger: &'static str) -> Result<(), IssuersError> {
        let _one_at_a_time = self.issuers().changing.lock().await;
        if !self.settle_issuers().await {
            return Err(IssuersError::Unrecorded);
        }
        let result = self.load_issuers(trigger).await;
        match &result {
            Ok(()) => self.issuers().refused.clear(),
            Err(IssuersError::Unrecorded) => {}
            Err(error) => self.refuse_issuers(error.to_string()).await,
        }
        result
    }

    async fn load_issuers(&self, trigger: &'static str) -> Result<(), IssuersError> {
        let issuers = self.issuers();
        let config = Config::load(&issuers.file)?;
        let mut loaded = Loaded::read(&config)?;
        if issuers.is_live(&loaded.tables.digest) {
            return Ok(());
        }
        self.policies().check(loaded.policy_settings.clone()).await?;
        if self.policies().serves_under(&loaded.policy_settings).is_err() {
            // The folder may say by now what can serve under both.
            let _refused = self.reload_policies(trigger).await;
            self.policies().serves_under(&loaded.policy_settings)?;
        }
        loaded.keep_keys(issuers);
        let mut draft =
            own::draft(self.environment(), SERVICE, "issuers_changed").map_err(|_| IssuersError::Unrecorded)?;
        let before = issuers.tables.lock().unwrap_or_else(PoisonError::into_inner).names.clone();
        let said = [
            ("config", Value::from(loaded.config_digest.as_str())),
            ("issuers", named(&loaded.tables.names)),
            ("issuers_before", named(&before)),
            ("trigger", Value::from(trigger)),
        ];
        draft.parameters.extend(said.map(|(name, value)| (name.to_owned(), value)));
        tracing::info!(issuers = ?loaded.tables.names, trigger, "the issuers of keyward.toml go live");
        if self.change_issuers(draft, Change::Issuers(Box::new(loaded))).await {
            Ok(())
        } else {
            Err(IssuersError::Unrecorded)
        }
    }

    /// Other keys of one issuer, by a record.
    pub(super) async fn change_keys(&self, draft: Draft, set: FetchedSet, until_s: u64) -> bool {
        self.change_issuers(draft, Change::Keys(set, until_s)).await
    }

    /// One change of issuers or keys at a time.
    pub(super) async fn changing_issuers(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.issuers().changing.lock().await
    }

    /// Records a change and makes it live; whether it is. The caller holds `changing`, and nothing is pending.
    async fn change_issuers(&self, draft: Draft, change: Change) -> bool {
        let (request, since) = (draft.request.clone(), self.log().as_of());
        let changes = Changes { bumps: vec![ISSUERS], ..Changes::default() };
        let event = Own::new(draft);
        match self.log().commit_unhurried(event, changes, ReadSet::default()).await {
            Ok(committed) => {
                self.apply(change, committed.locator().index.saturating_add(1)).await;
                true
            }
            Err(CommitError::Unavailable(_, Refused::Store)) => {
                *self.issuers().pending() = Some(Pending { change, request, since });
                false
            }
            Err(_) => false,
        }
    }

    /// Finds out what became of a change that may be durable or not; whether none is left.
    pub(super) async fn settle_issuers(&self) -> bool {
        let Some(pending) = self.issuers().pending().take() else {
            return true;
        };
        match self.log().find(pending.since, &pending.request, Kind::System) {
            Ok(Some(index)) => self.apply(pending.change, index.saturating_add(1)).await,
            Ok(None) => {}
            Err(_) => {
                *self.issuers().pending() = Some(pending);
                return false;
            }
        }
        true
    }

    /// Makes a recorded change live. Other issuers take their policies with them: until both are swapped in, nothing is
    /// decided that the log would take.
    async fn apply(&self, change: Change, generation: u64) {
        let issuers = self.issuers();
        match change {
            Change::Keys(set, until_s) => issuers.authenticator.replace_keys(set, until_s, generation),
            Change::Issuers(loaded) => {
                let Loaded { prepared, key_sets, policy_settings, tables, .. } = *loaded;
                self.policies().set_settings(policy_settings);
                if let Err(error) = self.reload_policies("issuers").await {
                    tracing::error!(%error, "the policies under the new issuers are not live yet");
                }
                issuers.key_sets.store(Arc::new(key_sets));
                *issuers.tables.lock().unwrap_or_else(PoisonError::into_inner) = tables;
                issuers.authenticator.replace(prepared, generation);
            }
        }
        issuers.live.send_replace(generation);
    }

    /// Says once for each new cause that keyward.toml is not live: structured log, metric, record.
    async fn refuse_issuers(&self, text: String) {
        if !self.issuers().refused.is_new(&text) {
            return;
        }
        tracing::error!(cause = text, "the issuers of keyward.toml are refused; those before them stand");
        let said = vec![("cause", own::cause(&text))];
        self.say(SERVICE, "issuers_refused", Some("issuers_refused"), said).await;
    }
}
