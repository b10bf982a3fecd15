//! A policy set in the shadow: it decides beside the live one, and nothing comes of it but what the record says where it differs.
//!
//! `[policy] shadow` names its folder, which is watched as the live one is. A set goes in the shadow by a `system` record; if its folder
//! is not valid any more, the set before it goes on.
//!
//! INVARIANT I5: no answer depends on it. A panic of it is an answer of its own, and a record that has no room for what it says is written
//! without; it costs at most one decision more for each decision.
//! INVARIANT I2, I4: its texts are in the store before it decides, in the commit of the record that names it, so that what it decided
//! can be decided again.

mod decisions;

pub(super) use decisions::list;

use super::gateway::Gateway;
use super::key_use::{self, KeyGrants};
use super::own::{self, Own};
use super::policies::{self, ReloadError, Trace};
use super::refused_file::RefusedFile;
use super::replay;
use crate::authz::{self, Decision, Fault, PolicySet, Question, Settings, Verdict};
use crate::config::Config;
use arc_swap::ArcSwapOption;
use keyward_audit::record::{self, Draft, Parameters, Value};
use keyward_audit::{Changes, ReadSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// keyward at work on the set in the shadow, in records.
const SERVICE: &str = "service/policy";
/// How long a start waits for the folder.
const START_WAIT: Duration = Duration::from_secs(5);

/// A set that decides in the shadow.
pub struct Candidate {
    pub(super) set: PolicySet,
    pub(super) key_grants: KeyGrants,
}

impl Candidate {
    /// A set that is checked.
    #[must_use]
    pub fn new(set: PolicySet) -> Self {
        let key_grants = KeyGrants::of(&set);
        Self { set, key_grants }
    }

    /// What it decides, if that is not what was decided.
    #[must_use]
    pub fn differs(&self, question: &Question<'_>, decided: &Decision) -> Option<record::Shadow> {
        let asked = catch_unwind(AssertUnwindSafe(|| self.set.decide(question).outcome));
        let outcome = asked.unwrap_or(Verdict::Error(Fault::Panic));
        (outcome.name() != decided.outcome.name()).then(|| self.says(word(outcome)))
    }

    /// Its answer as records hold it.
    pub(super) fn says(&self, decision: record::Decision) -> record::Shadow {
        record::Shadow { decision, revision: self.set.revision().to_owned() }
    }
}

/// A verdict as records hold it.
pub(super) const fn word(verdict: Verdict) -> record::Decision {
    match verdict {
        Verdict::Allow => record::Decision::Allow,
        Verdict::Deny(_) => record::Decision::Deny,
        Verdict::Error(_) => record::Decision::Error,
    }
}

/// What a record says of the shadow: of the request itself, and of the use of its key. None where they agree.
pub(super) fn said(draft: &Draft) -> impl Iterator<Item = (&'static str, record::Decision)> {
    let request = draft.policy.as_ref().and_then(|policy| policy.shadow.as_ref()).map(|shadow| shadow.decision);
    let key = key_use::shadow_said(draft).map(|shadow| shadow.decision);
    [("request", request), ("key_use", key)].into_iter().filter_map(|(of, decision)| Some((of, decision?)))
}

/// Counts what a record that is durable says of the shadow.
pub(super) fn count(said: &[(&'static str, record::Decision)]) {
    for (of, decision) in said {
        metrics::counter!("keyward_policy_shadow_differs_total", "of" => *of, "would" => decision.word()).increment(1);
    }
}

/// The folder in the shadow, and the set of it that decides.
pub struct Shadow {
    folder: Mutex<Option<PathBuf>>,
    candidate: ArcSwapOption<Candidate>,
    refused: RefusedFile,
    reloading: tokio::sync::Mutex<()>,
}

impl Shadow {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            folder: Mutex::new(folder_of(config)),
            candidate: ArcSwapOption::empty(),
            refused: RefusedFile::new(|value| metrics::gauge!("keyward_policy_shadow_refused").set(value)),
            reloading: tokio::sync::Mutex::new(()),
        }
    }

    /// The folder that is watched, if there is one.
    #[must_use]
    pub fn folder(&self) -> Option<PathBuf> {
        self.folder.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The set that decides in the shadow, if there is one.
    #[must_use]
    pub fn candidate(&self) -> Option<Arc<Candidate>> {
        self.candidate.load_full()
    }

    fn is_live(&self, revision: &str) -> bool {
        self.candidate.load().as_ref().is_some_and(|candidate| candidate.set.revision() == revision)
    }
}

fn folder_of(config: &Config) -> Option<PathBuf> {
    let path = &config.policy.shadow;
    (!path.as_os_str().is_empty()).then(|| config.path(path))
}

/// The folder in the shadow as it was seen.
#[derive(Clone)]
pub struct Look {
    folder: Option<PathBuf>,
    settings: Arc<Settings>,
    files: Vec<Trace>,
}

impl PartialEq for Look {
    fn eq(&self, other: &Self) -> bool {
        let is_same = Arc::ptr_eq(&self.settings, &other.settings);
        is_same && self.folder == other.folder && self.files == other.files
    }
}

impl Gateway {
    /// Takes the folder that keyward.toml names now; nothing if keyward.toml is refused, which is said where issuers are read.
    pub async fn reload_shadow_setting(&self) {
        let file = self.issuers().file().to_owned();
        let Ok(Ok(config)) = tokio::task::spawn_blocking(move || Config::load(&file)).await else { return };
        *self.shadow().folder.lock().unwrap_or_else(PoisonError::into_inner) = folder_of(&config);
    }

    /// Reads the folder in the shadow before anything is served; what was refused is said there, and one that hangs is waited for a while.
    pub(super) async fn start_shadow(&self) {
        let _refused = tokio::time::timeout(START_WAIT, self.reload_shadow("start")).await;
    }

    /// What tells whether the folder in the shadow, or what it is read with, may have changed; none if that cannot be known now.
    pub async fn look_at_shadow(&self) -> Option<Look> {
        let folder = self.shadow().folder();
        let settings = self.policies().settings();
        let files = match folder.clone() {
            None => Vec::new(),
            Some(folder) => tokio::task::spawn_blocking(move || policies::fingerprint(&folder)).await.ok()?,
        };
        Some(Look { folder, settings, files })
    }

    /// Reads the folder in the shadow again; if it is valid and says anything new, it decides from now on.
    ///
    /// # Errors
    /// [`ReloadError`]; what was in the shadow before stays there. It never hinders anything else.
    pub async fn reload_shadow(&self, trigger: &'static str) -> Result<(), ReloadError> {
        let shadow = self.shadow();
        let _one_at_a_time = shadow.reloading.lock().await;
        let Some(folder) = shadow.folder() else { return self.end_shadow(trigger).await };
        let settings = self.policies().settings();
        let read = move || PolicySet::load(&authz::read_folder(&folder)?, &settings);
        let read = tokio::task::spawn_blocking(read).await;
        match read.unwrap_or_else(|_| Err(Vec::new())) {
            Ok(set) => {
                if !shadow.is_live(set.revision()) {
                    self.begin_shadow(set, trigger).await?;
                }
                shadow.refused.clear();
                Ok(())
            }
            Err(findings) => {
                let error = ReloadError::Invalid(findings);
                self.refuse_shadow(error.to_string()).await;
                Err(error)
            }
        }
    }

    async fn begin_shadow(&self, set: PolicySet, trigger: &'static str) -> Result<(), ReloadError> {
        let said = [("shadow", Value::from(set.revision())), ("trigger", Value::from(trigger))];
        let live = self.policies().live();
        let writes = replay::revision_rows(&set, Some(&live.set));
        let changes = Changes { writes, ..Changes::default() };
        self.record_shadow("shadow_began", said.into(), changes).await?;
        tracing::info!(revision = set.revision(), trigger, "a policy set is in the shadow");
        self.shadow().candidate.store(Some(Arc::new(Candidate::new(set))));
        Ok(())
    }

    async fn end_shadow(&self, trigger: &'static str) -> Result<(), ReloadError> {
        let shadow = self.shadow();
        shadow.refused.clear();
        let Some(before) = shadow.candidate() else { return Ok(()) };
        let said = [("shadow", Value::from(before.set.revision())), ("trigger", Value::from(trigger))];
        self.record_shadow("shadow_ended", said.into(), Changes::default()).await?;
        tracing::info!(revision = before.set.revision(), trigger, "no policy set is in the shadow any more");
        shadow.candidate.store(None);
        Ok(())
    }

    /// Says once for each new cause that the folder in the shadow is refused: structured log, metric, record.
    async fn refuse_shadow(&self, text: String) {
        if !self.shadow().refused.is_new(&text) {
            return;
        }
        tracing::error!(cause = text, "the policy folder in the shadow is refused; what was there before stays");
        let said = vec![("cause", own::cause(&text))];
        if self.record_shadow("shadow_refused", said, Changes::default()).await.is_err() {
            tracing::error!("that the policy folder in the shadow is refused could not be recorded");
        }
    }

    async fn record_shadow(
        &self,
        event: &'static str,
        said: Vec<(&str, Value)>,
        changes: Changes,
    ) -> Result<(), ReloadError> {
        let mut draft = own::draft(self.environment(), SERVICE, event).map_err(|_| ReloadError::Unrecorded)?;
        if event == "shadow_refused" {
            draft = own::failed(draft, event);
        }
        let said = said.into_iter().map(|(name, value)| (name.to_owned(), value));
        draft.parameters.extend(said.collect::<Parameters>());
        draft.parameters.insert("policy".to_owned(), Value::from(self.policies().live().set.revision()));
        let committed = self.log().commit_unhurried(Own::new(draft), changes, ReadSet::default()).await;
        committed.map(drop).map_err(|_| ReloadError::Unrecorded)
    }
}
