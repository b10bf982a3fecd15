//! `keyward policy replay`: the trail against a folder that is not live.

mod report;

use super::lines;
use crate::authz;
use crate::cli::client::Client;
use crate::cli::instant::{When, when};
use crate::cli::output::{self, Column};
use crate::cli::{Context, Failure};
use crate::clock;
use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(in crate::cli) struct Replay {
    /// The folder that is not live
    #[arg(long, value_name = "DIR")]
    policies: PathBuf,
    /// From when on: a time, or how long ago; all of the trail if absent
    #[arg(long, value_name = "TIME", value_parser = when)]
    since: Option<When>,
    /// Flips that are meant, one JSON object a line as `--output json` writes them; all others exit 4
    #[arg(long, value_name = "FILE")]
    accept: Option<PathBuf>,
    /// Also write a report that a browser shows by itself
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// What makes two flips the same.
const FLIP: [&str; 5] = ["principal", "action", "resource", "was", "would"];

/// What the gateway said: of a replay, or of the set in the shadow.
#[derive(Default)]
pub(super) struct Replayed {
    flips: Vec<Value>,
    undecidable: Vec<Value>,
    totals: Option<Value>,
}

impl Replay {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let accepted = self.accept.as_deref().map(accepted).transpose()?.unwrap_or_default();
        let mut parameters = Map::from_iter([("Files".to_owned(), files(&self.policies)?)]);
        if let Some(since) = self.since {
            let now_s = clock::system().clock.wall_us() / 1_000_000;
            parameters.insert("StartTime".to_owned(), Value::from(since.at_s(now_s)));
        }
        let replayed = Replayed::ask(&Client::new(context)?, "ReplayPolicies", &Value::Object(parameters))?;
        let totals = replayed.totals().ok_or_else(|| anyhow!("the gateway's answer broke off; nothing is known"))?;
        if let Some(path) = &self.html {
            let folder = self.policies.display().to_string();
            let page = report::page(&folder, &replayed.flips, &replayed.undecidable, totals);
            output::write_private_file(path, page.as_bytes())?;
        }
        replayed.show(context);
        context.output.say(&format!(
            "{} records, {} decisions ({} distinct), {} of them otherwise, in {} flip(s)",
            totals["Records"],
            totals["Decisions"],
            totals["Distinct"],
            totals["Flipped"],
            replayed.flips.len(),
        ));
        replayed.all_accepted(&accepted)
    }
}

/// The folder as parameters.
fn files(folder: &Path) -> Result<Value, Failure> {
    if !folder.is_dir() {
        return Err(Failure::Failed(anyhow!("there is no folder `{}`", folder.display())));
    }
    let files = authz::read_folder(folder).map_err(|findings| {
        findings.iter().for_each(|finding| output::line(&finding.to_string()));
        Failure::Invalid(format!("`{}` cannot be read", folder.display()))
    })?;
    // What is part of no revision, tests and waivers, is of no use there.
    let is_part =
        |path: &str| path == "attachments.json" || path.starts_with("documents/") || path.starts_with("roles/");
    let live = files.into_iter().filter(|file| is_part(&file.path));
    let files = live.map(|file| {
        let text = String::from_utf8(file.bytes).map_err(|_| anyhow!("`{}` is not UTF-8", file.path))?;
        Ok(json!({"Path": file.path, "Text": text}))
    });
    Ok(Value::Array(files.collect::<Result<Vec<_>, Failure>>()?))
}

impl Replayed {
    /// Asks the gateway, and shows how far it is.
    pub(super) fn ask(client: &Client, action: &str, parameters: &Value) -> Result<Self, Failure> {
        let mut replayed = Self::default();
        lines::ask(client, action, parameters, "reading the trail", |line| replayed.take(&line))?;
        Ok(replayed)
    }

    /// The last line, without which the answer broke off.
    pub(super) fn totals(&self) -> Option<&Value> {
        self.totals.as_ref()
    }

    pub(super) fn flips(&self) -> &[Value] {
        &self.flips
    }

    /// Exit 4 unless each flip was told, and is meant.
    pub(super) fn all_accepted(&self, accepted: &BTreeSet<String>) -> Result<(), Failure> {
        let untold = self.totals.as_ref().and_then(|totals| totals["FlippedUntold"].as_u64()).unwrap_or(0);
        let open = self.flips.iter().filter(|flip| !accepted.contains(&identity(flip))).count();
        if open == 0 && untold == 0 {
            return Ok(());
        }
        let all = self.flips.len();
        let of = if accepted.is_empty() { String::new() } else { format!(" that `--accept` does not have, of {all}") };
        let more = if untold == 0 { String::new() } else { format!(", and {untold} decision(s) more than are told") };
        Err(Failure::Invalid(format!("{open} flip(s){of}{more}")))
    }

    /// The flips and what could not be decided.
    pub(super) fn show(&self, context: &Context) {
        let columns = [
            Column::whole("was", "/was"),
            Column::whole("would", "/would"),
            Column::name("principal", "/principal"),
            Column::whole("action", "/action"),
            Column::name("resource", "/resource"),
            Column::whole("count", "/count"),
            Column::spare("last", "/last"),
        ];
        if context.output.is_json() || !self.flips.is_empty() {
            context.output.rows(&columns, &self.flips);
        }
        if context.output.is_json() {
            context.output.rows(&columns, &self.undecidable);
        }
        for row in &self.undecidable {
            let (count, first, why) = (&row["count"], &row["first_index"], text(&row["undecidable"]));
            context.output.say(&format!("{count} cannot be decided, the first at index {first}: {why}"));
        }
    }

    fn take(&mut self, line: &Value) {
        if line.get("Would").is_some() {
            self.flips.push(flip(line));
        } else if line.get("Undecidable").is_some() {
            self.undecidable.push(json!({
                "undecidable": line["Undecidable"], "count": line["Count"], "first_index": line["FirstIndex"],
            }));
        } else {
            self.totals = Some(line.clone());
        }
    }
}

fn flip(line: &Value) -> Value {
    let was = if line["Would"] == "allow" { "deny" } else { "allow" };
    json!({
        "principal": line["Principal"], "action": line["Action"], "resource": line["Resource"],
        "was": was, "would": line["Would"], "count": line["Count"], "last": line["LastTime"],
        "last_index": line["LastIndex"], "days": line["Days"],
    })
}

/// The flips that are meant.
pub(super) fn accepted(path: &Path) -> Result<BTreeSet<String>, Failure> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let read = lines.map(|(number, line)| {
        let flip: Value = serde_json::from_str(line).unwrap_or_default();
        let is_flip = FLIP.iter().all(|field| flip.get(field).is_some()) || flip.get("undecidable").is_some();
        let wrong =
            || Failure::Usage(format!("line {number} of `{}` is no flip as `--output json` writes it", path.display()));
        if is_flip { Ok(identity(&flip)) } else { Err(wrong()) }
    });
    read.collect()
}

fn identity(flip: &Value) -> String {
    Value::Array(FLIP.iter().map(|field| flip[*field].clone()).collect()).to_string()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}
