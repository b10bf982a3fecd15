//! The live policy set: read at start, changed only through the log.
//!
//! INVARIANT I13: a set goes live by a `policy_change` record; its generation is that record's, and every decision
//! names the generation it was made under, so that no record after the change allows by the old set.
//! INVARIANT I2: the texts of a revision ride in the same commit as the record that makes it live.
//! INVARIANT I5: all or nothing: a folder with a finding keeps the old set, and says so in the log, a metric and
//! `/readyz`. If the process dies half-way, the next start finds either the old revision live or the new one.

pub(super) mod actions;
mod explained;

use super::key_use::KeyGrants;
use super::own::{self, Own};
use super::refused_file::RefusedFile;
use super::{history, replay};
use crate::authz::{self, Finding, Owners, PolicySet, Settings};
use arc_swap::ArcSwap;
use keyward_audit::record::{Draft, Kind, Outcome, Value};
use keyward_audit::store::{Family, Key, Write};
use keyward_audit::{Changes, CommitError, Environment, Generation, Log, ReadSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Moved by every record that makes a revision live.
pub const POLICY: Generation = Generation("policy");
/// Who makes revisions live.
const SERVICE: &str = "service/policy";
/// What is said of a folder that is not live.
const REFUSED: &str = "policy_refused";
/// The row that names the live revision.
pub(super) const LIVE: &[u8] = b"live";
/// How long a request waits for a set that is already in the log to be swapped in.
const CATCH_UP: Duration = Duration::from_millis(250);

/// A policy set and the generation under which it is live.
pub struct Live {
    /// The set.
    pub set: PolicySet,
    generation: u64,
    /// What it says of the engine's use of keys.
    pub(super) key_grants: KeyGrants,
}

impl Live {
    fn new(set: PolicySet, generation: u64) -> Self {
        let key_grants = KeyGrants::of(&set);
        Self { set, generation, key_grants }
    }

    /// What a decision by this set rests on.
    pub(super) fn seen(&self) -> [(Generation, u64); 1] {
        [(POLICY, self.generation)]
    }
}

/// Why a change of the folder did not go live.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The folder holds what is not understood; all of it, at once.
    #[error("the policy folder has {} finding(s); the first: {}", .0.len(), first(.0))]
    Invalid(Vec<Finding>),
    /// At start the folder holds what is not understood, and what the last good revision denies a token could shed now.
    #[error(
        "the policy folder has {} finding(s); the first: {}; the last good revision cannot serve in its place under \
         `[[issuer]]` as it is now: {sheddable}", .findings.len(), first(.findings)
    )]
    Sheddable {
        /// Of the folder.
        findings: Vec<Finding>,
        /// Of the last good revision; the first.
        sheddable: Finding,
    },
    /// What the live revision denies a token could shed under other issuers.
    #[error("the policies that are live cannot serve under these issuers, change them first: {0}")]
    LiveSheddable(Finding),
    /// The change cannot be recorded now.
    #[error("the policy change cannot be recorded now")]
    Unrecorded,
}

fn first(findings: &[Finding]) -> String {
    findings.first().map(ToString::to_string).unwrap_or_default()
}

/// The policy folder and what of it is live.
pub struct Policies {
    live: ArcSwap<Live>,
    generation: watch::Sender<u64>,
    reloading: tokio::sync::Mutex<()>,
    refused: RefusedFile,
    folder: PathBuf,
    settings: ArcSwap<Settings>,
    environment: Environment,
}

impl Policies {
    /// Reads the folder at start. An invalid folder serves the last good revision of the store, degraded.
    ///
    /// # Errors
    /// [`ReloadError::Invalid`] if the folder is invalid and the store holds no revision; [`ReloadError::Sheddable`] if it holds
    /// one that cannot serve under these issuers; [`ReloadError::Unrecorded`] if the revision could not be made live.
    pub async fn start(
        log: &Log,
        folder: PathBuf,
        settings: Settings,
        environment: Environment,
    ) -> Result<Self, ReloadError> {
        let stored = stored_live(log);
        let read = read(&folder, &settings);
        let (set, generation, refused) = match (read, stored) {
            (Ok(new), stored) => {
                let old = stored.as_ref().map(|(set, _)| set);
                let generation = match &stored {
                    Some((old, generation)) if old.revision() == new.set.revision() => *generation,
                    _ => go_live(log, &environment, &new, old, log.generation(POLICY), "start").await?,
                };
                (new.set, generation, None)
            }
            (Err(findings), Some((set, generation))) => {
                if let Some(sheddable) = set.sheddable_under(&settings) {
                    return Err(ReloadError::Sheddable { findings, sheddable });
                }
                let text = ReloadError::Invalid(findings).to_string();
                (set, generation, Some(text))
            }
            (Err(findings), None) => return Err(ReloadError::Invalid(findings)),
        };
        let policies = Self {
            live: ArcSwap::from_pointee(Live::new(set, generation)),
            generation: watch::Sender::new(generation),
            reloading: tokio::sync::Mutex::new(()),
            refused: RefusedFile::new(|value| metrics::gauge!("keyward_policy_refused").set(value)),
            folder,
            settings: ArcSwap::from_pointee(settings),
            environment,
        };
        if let Some(text) = refused {
            policies.refuse(log, text).await;
        }
        Ok(policies)
    }

    /// The live set.
    #[must_use]
    pub fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// Why the folder as it is now is not live, if it is not.
    #[must_use]
    pub fn refused(&self) -> Option<String> {
        self.refused.cause()
    }

    /// The folder that is watched.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Waits until the set that the log says is live is swapped in here.
    pub(super) async fn catch_up(&self, generation: u64) {
        let mut seen = self.generation.subscribe();
        let _late = tokio::time::timeout(CATCH_UP, seen.wait_for(|now| *now >= generation)).await;
    }

    /// The settings that the folder is read with.
    pub(super) fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Whether the folder as it is now would load with other settings.
    ///
    /// # Errors
    /// [`ReloadError::Invalid`] if not.
    pub(super) async fn check(&self, settings: Settings) -> Result<(), ReloadError> {
        let folder = self.folder.clone();
        let read = tokio::task::spawn_blocking(move || read(&folder, &settings).map(drop)).await;
        read.unwrap_or_else(|_| Err(Vec::new())).map_err(ReloadError::Invalid)
    }

    /// Whether the live set may serve with other settings, should the folder be refused by the time that they are live.
    ///
    /// # Errors
    /// [`ReloadError::LiveSheddable`] if not.
    pub(super) fn serves_under(&self, settings: &Settings) -> Result<(), ReloadError> {
        self.live().set.sheddable_under(settings).map_or(Ok(()), |finding| Err(ReloadError::LiveSheddable(finding)))
    }

    /// Reads the folder with these settings from now on.
    pub(super) fn set_settings(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// Reads the folder again and makes it live if it is valid and says anything new.
    ///
    /// # Errors
    /// [`ReloadError`]; the old set then serves on.
    pub async fn reload(&self, log: &Log, trigger: &'static str) -> Result<(), ReloadError> {
        let _one_at_a_time = self.reloading.lock().await;
        self.follow(log).await;
        let folder = self.folder.clone();
        let settings = self.settings.load_full();
        let read = tokio::task::spawn_blocking(move || read(&folder, &settings)).await;
        let new = match read.unwrap_or_else(|_| Err(Vec::new())) {
            Ok(new) => new,
            Err(findings) => {
                let error = ReloadError::Invalid(findings);
                self.refuse(log, error.to_string()).await;
                return Err(error);
            }
        };
        let live = self.live();
        if live.set.revision() != new.set.revision() {
            let generation = go_live(log, &self.environment, &new, Some(&live.set), live.generation, trigger).await?;
            tracing::info!(revision = new.set.revision(), trigger, "a policy revision went live");
            self.swap_in(new.set, generation);
        }
        self.refused.clear();
        Ok(())
    }

    /// Swaps in the revision that the log says is live, if it is another one: a `policy_change` that was answered late
    /// or not at all may be durable all the same (invariant I13).
    pub async fn catch_up_with(&self, log: &Log) {
        if log.generation(POLICY) != self.live().generation {
            let _one_at_a_time = self.reloading.lock().await;
            self.follow(log).await;
        }
    }

    async fn follow(&self, log: &Log) {
        if log.generation(POLICY) == self.live().generation {
            return;
        }
        let log = log.clone();
        if let Ok(Some((set, generation))) = tokio::task::spawn_blocking(move || stored_live(&log)).await {
            tracing::warn!(revision = set.revision(), "a policy revision is live in the log and is swapped in late");
            self.swap_in(set, generation);
        }
    }

    fn swap_in(&self, set: PolicySet, generation: u64) {
        self.live.store(Arc::new(Live::new(set, generation)));
        self.generation.send_replace(generation);
    }

    /// Says once for each new cause that the folder is not live: structured log, metric, record.
    async fn refuse(&self, log: &Log, text: String) {
        if !self.refused.is_new(&text) {
            return;
        }
        tracing::error!(cause = text, "the policy folder is refused; the set before it serves on");
        let Ok(draft) = own::draft(&self.environment, SERVICE, REFUSED) else {
            return;
        };
        let mut draft = own::failed(draft, REFUSED);
        draft.parameters.insert("cause".to_owned(), own::cause(&text));
        draft.parameters.insert("policy".to_owned(), Value::from(self.live().set.revision()));
        if !own::record(log, draft).await {
            tracing::error!("that the policy folder is refused could not be recorded");
        }
    }
}

/// A set as it was read from the folder.
struct FromFolder {
    set: PolicySet,
    owners: Owners,
}

fn read(folder: &Path, settings: &Settings) -> Result<FromFolder, Vec<Finding>> {
    let (files, owners) = authz::read_owned_folder(folder)?;
    Ok(FromFolder { set: PolicySet::load(&files, settings)?, owners })
}

/// The revision that the store says is live, and its generation.
fn stored_live(log: &Log) -> Option<(PolicySet, u64)> {
    let generation = log.generation(POLICY);
    let row = log.read(|snapshot| snapshot.get(Family::Texts, LIVE)).ok()??;
    let revision = String::from_utf8(row).ok()?;
    match replay::stored_revision(&revision, &mut |key| log.read(|snapshot| snapshot.get(Family::Texts, key))) {
        Ok(set) => Some((set, generation)),
        Err(error) => {
            tracing::error!(revision, %error, "the live policy revision cannot be read back from the store");
            None
        }
    }
}

/// Commits a revision as live, its texts in the same batch; answers its generation.
async fn go_live(
    log: &Log,
    environment: &Environment,
    new: &FromFolder,
    old: Option<&PolicySet>,
    generation: u64,
    trigger: &'static str,
) -> Result<u64, ReloadError> {
    let set = &new.set;
    let request = environment.request_id().map_err(|_| ReloadError::Unrecorded)?;
    let mut draft = Draft::new(Kind::PolicyChange, history::ACTION, "internal", request);
    draft.outcome = Some(Outcome::Ok);
    draft.principal = Some(SERVICE.to_owned());
    let changes = history::changes(old.map_or(&[], PolicySet::files), set.files(), &new.owners);
    draft.parameters.insert("changes".to_owned(), changes);
    draft.parameters.insert("new".to_owned(), Value::from(set.revision()));
    if let Some(old) = old {
        draft.parameters.insert("old".to_owned(), Value::from(old.revision()));
    }
    draft.parameters.insert("trigger".to_owned(), Value::from(trigger));
    let mut writes = replay::revision_rows(set, old);
    writes.push(Write { key: Key::new(Family::Texts, LIVE), value: Some(set.revision().as_bytes().to_vec()) });
    let reads = ReadSet { as_of: log.as_of(), rows: Vec::new(), generations: vec![(POLICY, generation)] };
    let changes = Changes { writes, bumps: vec![POLICY], ..Changes::default() };
    match log.commit_unhurried(Own::new(draft), changes, reads).await {
        Ok(committed) => Ok(committed.locator().index.saturating_add(1)),
        Err(CommitError::Conflict(_) | CommitError::TooLarge(_) | CommitError::Unavailable(..)) => {
            Err(ReloadError::Unrecorded)
        }
    }
}

/// What tells whether a file may have changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trace {
    path: PathBuf,
    size: u64,
    inode: u64,
    at: (i64, i64, i64, i64),
}

/// A trace of every file of a policy folder, sorted.
#[must_use]
pub fn fingerprint(folder: &Path) -> Vec<Trace> {
    use std::os::unix::fs::MetadataExt as _;
    let mut seen = Vec::new();
    let mut folders = vec![folder.to_owned()];
    folders.extend(["documents", "roles"].map(|name| folder.join(name)));
    for folder in folders {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten().take(authz::FOLDER_ENTRIES_MAX.saturating_add(1)) {
            let Ok(meta) = std::fs::metadata(entry.path()) else {
                continue;
            };
            let at = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
            seen.push(Trace { path: entry.path(), size: meta.size(), inode: meta.ino(), at });
        }
    }
    seen.sort();
    seen
}

#[cfg(test)]
impl Policies {
    /// Puts a set in the place of the live one, under its generation.
    pub(crate) fn put_live(&self, set: PolicySet) {
        self.swap_in(set, self.live().generation);
    }
}
