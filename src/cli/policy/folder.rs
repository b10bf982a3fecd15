//! The folder that a verb looks at, and what it is held against.
//!
//! The configuration is the one of every verb. If none was named and there is no `keyward.toml` here, a folder that was
//! named is held against the `keyward.toml` beside it; and if there is none either, as in a repository of policies alone,
//! against the defaults and the issuers that the folder itself names. Then a misspelt issuer is not found, nor a deny on
//! a group that a token may leave out: a note says so.

use crate::access::setup;
use crate::authz::{self, Finding, PolicyFile, PolicySet, Settings};
use crate::cli::{Context, Failure};
use crate::config::Config;
use std::path::{Path, PathBuf};

/// A policy folder as its authors see it.
pub(super) struct Folder {
    /// Where it is.
    pub(super) dir: PathBuf,
    /// What it is held against.
    pub(super) settings: Settings,
    /// The configuration, if there is one.
    pub(super) config: Option<Config>,
    /// What can be read of it, tests and waivers included.
    pub(super) files: Vec<PolicyFile>,
    /// What is wrong with the others.
    unreadable: Vec<Finding>,
}

impl Folder {
    /// Finds and reads the folder: the one that is named, else the configured one.
    ///
    /// # Errors
    /// There is no such folder, or a configuration that was named is not there or not understood.
    pub(super) fn find(context: &Context, named: Option<&Path>) -> Result<Self, Failure> {
        let config = configuration(context, named)?;
        let dir = match (named, &config) {
            (Some(dir), _) => dir.to_owned(),
            (None, Some(config)) => config.path(&config.policy.path),
            // Without a folder the configuration was asked for, and its absence is an error already.
            (None, None) => return Err(Failure::Usage("name a policy folder".to_owned())),
        };
        if !dir.is_dir() {
            return Err(Failure::Failed(anyhow::anyhow!("there is no folder `{}`", dir.display())));
        }
        let (files, unreadable) = authz::survey_folder(&dir);
        let settings = match &config {
            Some(config) => setup::policy_settings(config),
            None => assumed(context, &files),
        };
        Ok(Self { dir, settings, config, files, unreadable })
    }

    /// The set as it would go live.
    ///
    /// # Errors
    /// Every finding about the folder and its files, sorted.
    pub(super) fn load(&self) -> Result<PolicySet, Vec<Finding>> {
        let loaded = PolicySet::load(&self.files, &self.settings);
        if self.unreadable.is_empty() {
            return loaded;
        }
        let mut findings = loaded.err().unwrap_or_default();
        findings.extend(self.unreadable.iter().cloned());
        findings.sort();
        Err(findings)
    }

    /// The text of a file, if it is one.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        let file = self.files.iter().find(|file| file.path == path)?;
        std::str::from_utf8(&file.bytes).ok()
    }

    /// How people open a file of it.
    pub(super) fn shown(&self, path: &str) -> String {
        self.dir.join(path).display().to_string()
    }
}

fn configuration(context: &Context, named: Option<&Path>) -> Result<Option<Config>, Failure> {
    let usual = Path::new("keyward.toml");
    let Some(dir) = named.filter(|_| context.config == usual && !context.config.exists()) else {
        return Ok(Some(context.load_config()?));
    };
    let beside = dir.join("..").join(usual);
    if beside.exists() { Ok(Some(Config::load(&beside)?)) } else { Ok(None) }
}

/// The defaults, and the issuers that the folder names.
fn assumed(context: &Context, files: &[PolicyFile]) -> Settings {
    let settings = setup::assumed_policy_settings(files);
    let issuers: Vec<&str> = settings.issuers.iter().map(|issuer| issuer.name.as_str()).collect();
    context.output.note(&format!(
        "there is no keyward.toml here or beside the folder: taken are region `{}`, account `{}` and the issuers that the \
         folder names (`{}`), all with `groups = \"required\"`; name the configuration by --config FILE to be held against it",
        settings.place.region,
        settings.place.account,
        issuers.join("`, `")
    ));
    settings
}
