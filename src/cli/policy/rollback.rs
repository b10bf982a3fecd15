//! `keyward policy rollback`: the files of a revision that was live, back in the policy folder.
//!
//! It works on files alone, without a token and whether or not the gateway runs, so that a set by which nobody may do anything
//! can be taken back. Nothing goes live by it but through the folder, which the gateway watches, checks and records.

mod writing;

use super::diff;
use super::history::{named, short};
use crate::access::compared::{self, Side, Surroundings};
use crate::access::{history, setup};
use crate::authz::{self, Finding, PolicyFile, PolicySet};
use crate::cli::prompt::Sure;
use crate::cli::{Context, Failure, output, root_keys};
use crate::config::Config;
use anyhow::anyhow;
use serde_json::json;
use std::path::Path;
use writing::Plan;

pub(super) fn run(context: &Context, revision: &str, sure: &Sure) -> Result<(), Failure> {
    let config = context.load_config()?;
    let around = Surroundings::open(&config, &|| root_keys(&config));
    let revision = named(around.rows().map_err(anyhow::Error::new)?, revision)?;
    let stored = compared::load(&config, &around, &Side::Revision(&revision)).map_err(anyhow::Error::new)?;
    let wanted = PolicySet::load(stored.files(), &setup::policy_settings(&config)).map_err(|findings| {
        let count = print_findings(&findings);
        Failure::Invalid(format!(
            "`{revision}` would not load under the present configuration: {count} error(s), nothing was changed; its files \
             are shown by `keyward policy show {}`: put them right in a copy of the folder",
            short(&revision)
        ))
    })?;
    let folder = config.path(&config.policy.path);
    let present = present(&folder)?;
    let plan = Plan::new(&present, wanted.files());
    if plan.is_empty() {
        context.output.done(&plan.told(&revision), &format!("`{}` is `{revision}` already", folder.display()));
        return Ok(());
    }
    tell_meaning(context, &config, &around, &wanted);
    context.output.say(&plan.spoken());
    sure.confirm(&format!("put `{}` back to what it was in {}?", folder.display(), short(&revision)))?;
    plan.carry_out(&folder)?;
    let now = authz::read_folder(&folder).map_err(|findings| {
        print_findings(&findings);
        Failure::Invalid(format!("`{}` was changed by somebody else meanwhile", folder.display()))
    })?;
    if now != wanted.files() {
        return Err(anyhow!("`{}` was changed by somebody else meanwhile; look at it", folder.display()).into());
    }
    let sentence = format!("`{}` is `{revision}`; a running gateway takes it live within 2 s", folder.display());
    context.output.done(&plan.told(&revision), &sentence);
    Ok(())
}

/// What of the set lies in the folder. What lies there beside it, and what leads out of it, is not for this verb to put right.
fn present(folder: &Path) -> Result<Vec<PolicyFile>, Failure> {
    if !folder.is_dir() {
        return Err(anyhow!("there is no folder `{}`; make it, empty, and try again", folder.display()).into());
    }
    let (files, mut findings) = authz::survey_folder(folder);
    // The one thing that comes back by itself.
    findings.retain(|finding| finding.file != "attachments.json" || folder.join("attachments.json").exists());
    if !findings.is_empty() {
        print_findings(&findings);
        let message =
            "a gateway would refuse the folder with any revision: remove or put right what is named, and try again";
        return Err(Failure::Invalid(format!("`{}`: {message}", folder.display())));
    }
    Ok(files.into_iter().filter(|file| authz::is_of_the_set(&file.path)).collect())
}

/// What people may do again and no longer, held against what is live. The files go back also where that cannot be said.
fn tell_meaning(context: &Context, config: &Config, around: &Surroundings, wanted: &PolicySet) {
    if let Err(why) = &around.secrets {
        context.output.note(&format!("existing secrets and creator numbers are left out: {why}"));
    }
    let live = around.rows().map_err(|error| error.to_string());
    let live = live.and_then(|rows| history::named(rows, "live").map_err(|error| error.to_string()));
    let live =
        live.and_then(|live| compared::load(config, around, &Side::Revision(&live)).map_err(|error| error.to_string()));
    let told = live.and_then(|live| compared::diff(&live, wanted, around).map_err(|error| error.to_string()));
    match told {
        Ok(told) => diff::print(context, &told, around),
        Err(why) => context.output.note(&format!("what this changes cannot be told: {why}")),
    }
}

/// Findings, a line each; how many.
fn print_findings(findings: &[Finding]) -> usize {
    findings.iter().for_each(|finding| output::line(&finding.to_string()));
    findings.len()
}

impl Plan {
    fn spoken(&self) -> String {
        let one = |word: &str, paths: &mut dyn Iterator<Item = &str>| {
            paths.map(|path| format!("\n  {word} {path}")).collect::<String>()
        };
        format!("Files:{}{}", one("writes", &mut self.written()), one("removes", &mut self.removed()))
    }

    fn told(&self, revision: &str) -> serde_json::Value {
        json!({
            "revision": revision,
            "written": self.written().collect::<Vec<_>>(),
            "removed": self.removed().collect::<Vec<_>>(),
        })
    }
}
