//! `keyward audit verify`: the log where it lies, and the store against it. Changes no file: they may be evidence.

use super::super::{Context, Failure, output, root_keys};
use crate::access::{holdings, replay, setup};
use crate::clock;
use crate::config::Config;
use crate::keys::{KeysError, Opened};
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use indicatif::{ProgressBar, ProgressStyle};
use keyward_audit::log::{Finding, Report, Verify};
use keyward_audit::mark::{Mark, MarkError, MarkFile};
use keyward_audit::note::VerifyingKey;
use keyward_audit::store;
use keyward_audit::store::rocks::RocksStore;
use serde_json::{Value, json};

/// What was checked, and what does not fit.
struct Verdict {
    report: Report,
    findings: Vec<Finding>,
    total: u64,
    /// The key that signatures were held against, or why they were not.
    vkey: anyhow::Result<VerifyingKey>,
    /// Secrets held against the log, or why they were not.
    secrets: anyhow::Result<u64>,
    /// Decisions made again.
    decided: Option<u64>,
}

/// Checks the log. Of a running gateway it sees what was there when it began; the mark is read first, so that it cannot be
/// ahead of that.
pub(super) fn verify(context: &Context, decisions: bool) -> Result<(), Failure> {
    let config = context.load_config()?;
    let (mark, no_mark) = mark(&config)?;
    let store = RocksStore::open_read_only(&config.path(&config.storage.path))?;
    let origin = &config.audit.origin;
    let mut random = [0; 32];
    clock::system().random.fill(&mut random).context("the indexes cannot be checked")?;
    let vkey = vkey(&config);
    let verify = Verify { origin, mark, vkey: vkey.as_ref().ok(), indexes: Some(random) };
    let report = with_bar("verifying", |bar| verify.run(&store, bar))?;
    let (findings, total) = (report.findings.clone(), report.total);
    let mut verdict = Verdict { findings, total, report, vkey, secrets: Ok(0), decided: None };
    verdict.add(no_mark.map(|reason| Finding { index: None, reason }));
    verdict.hold(&config, &store)?;
    if decisions {
        let replayed = with_bar("deciding again", |bar| replay::whole_trail(&store, origin, bar))?;
        let differences = replayed.differences.into_iter();
        verdict.add(differences.map(|(index, reason)| Finding { index: Some(index), reason }));
        verdict.decided = Some(replayed.decided);
    }
    verdict.print(context)
}

/// The mark, or why there is none.
fn mark(config: &Config) -> Result<(Option<Mark>, Option<String>), MarkError> {
    match MarkFile::peek(&config.path(&config.audit.high_water_mark)) {
        Ok(mark) => Ok((Some(mark), None)),
        Err(error @ (MarkError::Missing { .. } | MarkError::Unreadable { .. })) => Ok((None, Some(error.to_string()))),
        Err(error) => Err(error),
    }
}

/// The key that the log signs with: of the signing key, or, if that cannot be read, of the file beside it.
pub(in crate::cli) fn vkey(config: &Config) -> anyhow::Result<VerifyingKey> {
    match setup::signing_key(config) {
        Ok(key) => Ok(key.verifying_key().clone()),
        Err(error) => {
            let file = config.path(&config.audit.signing_key).with_extension("vkey");
            let text = std::fs::read_to_string(&file).ok();
            let key = text.and_then(|text| VerifyingKey::parse(text.trim()).ok());
            key.filter(|key| key.name() == config.audit.origin)
                .with_context(|| format!("{error}; nor is there a public half in `{}`", file.display()))
        }
    }
}

impl Verdict {
    fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        let before = self.findings.len();
        self.findings.extend(findings);
        self.total = self.total.saturating_add((self.findings.len() - before) as u64);
    }

    /// Holds secrets, keys and revocations against the log. That takes the root key: without it nothing shows that their rows are
    /// keyward's own. Rows of keys that are damaged are a finding.
    fn hold(&mut self, config: &Config, rows: &RocksStore) -> Result<(), Failure> {
        let roots = match root_keys(config) {
            Ok(roots) => roots,
            Err(error) => {
                self.secrets = Err(error);
                return Ok(());
            }
        };
        match store::read(rows, |snapshot| Ok(roots.open(snapshot)))? {
            Ok(Opened { keyring, .. }) => {
                let found = with_bar("holding the store against the log", |bar| {
                    holdings::against_log(rows, &config.audit.origin, &keyring, bar)
                })?;
                self.findings.extend(found.findings);
                self.total = self.total.saturating_add(found.total);
                self.secrets = Ok(found.secrets);
            }
            Err(error @ (KeysError::Key { .. } | KeysError::Damaged(_))) => {
                self.add([Finding { index: None, reason: error.to_string() }]);
                self.secrets = Err(error.into());
            }
            Err(error) => self.secrets = Err(error.into()),
        }
        Ok(())
    }

    fn print(self, context: &Context) -> Result<(), Failure> {
        // As `keyward-audit-verify` and checkpoints write it.
        let root = STANDARD.encode(self.report.root);
        if context.output.is_json() {
            let finding = |finding: &Finding| json!({"index": finding.index, "reason": finding.reason});
            let verdict = json!({
                "valid": self.total == 0, "size": self.report.size, "root": root,
                "secrets": self.secrets.as_ref().ok(), "decided": self.decided,
                "findings": self.findings.iter().map(finding).collect::<Vec<Value>>(), "findings_total": self.total,
            });
            output::line(&verdict.to_string());
        } else {
            self.findings.iter().for_each(|finding| output::line(&finding.to_string()));
        }
        if self.total > 0 {
            let total = self.total;
            return Err(Failure::Invalid(format!(
                "the log, or what the store holds by it, is not valid: {total} finding(s)"
            )));
        }
        context.output.say(&format!("valid, {} records, root {root}", self.report.size));
        if let Some(decided) = self.decided {
            context.output.say(&format!("{decided} decisions made again under their own revisions: no difference"));
        }
        self.vkey
            .context("the records fit each other, but the signatures of their checkpoints could not be checked")?;
        let secrets =
            self.secrets.context("the log is valid, but the secrets of the store could not be held against it")?;
        context.output.say(&format!("{secrets} secret(s) in the store, each as the log left it"));
        Ok(())
    }
}

fn with_bar<R>(message: &'static str, work: impl FnOnce(&mut dyn FnMut(u64, u64)) -> R) -> R {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar.set_message(message);
    let done = work(&mut |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    done
}
