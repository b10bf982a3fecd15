//! `keyward policy replay`: the trail against a folder that is not live.

mod report;

use crate::authz;
use crate::cli::client::Client;
use crate::cli::instant::{self, When, when};
use crate::cli::output::{self, Column};
use crate::cli::{Context, Failure};
use crate::clock;
use anyhow::{Context as _, anyhow};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::io::Write as _;
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

/// What the gateway said.
#[derive(Default)]
struct Replayed {
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
        let replayed = ask(&Client::new(context)?, &Value::Object(parameters))?;
        let totals =
            replayed.totals.as_ref().ok_or_else(|| anyhow!("the gateway's answer broke off; nothing is known"))?;
        if let Some(path) = &self.html {
            let folder = self.policies.display().to_string();
            let page = report::page(&folder, &replayed.flips, &replayed.undecidable, totals);
            let mut file = output::new_private_file(path)?;
            file.write_all(page.as_bytes()).and_then(|()| file.sync_all())?;
        }
        show(context, &replayed, totals);
        let open = replayed.flips.iter().filter(|flip| !accepted.contains(&identity(flip))).count();
        if open == 0 {
            return Ok(());
        }
        let all = replayed.flips.len();
        let of = if accepted.is_empty() { String::new() } else { format!(" that `--accept` does not have, of {all}") };
        Err(Failure::Invalid(format!("{open} flip(s){of}")))
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

fn ask(client: &Client, parameters: &Value) -> Result<Replayed, Failure> {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("replaying {wide_bar} {human_pos}/{human_len} {eta}") {
        bar.set_style(style);
    }
    let (mut replayed, mut rest) = (Replayed::default(), Vec::new());
    let answered = client.stream("ReplayPolicies", parameters, |block| {
        rest.extend_from_slice(block);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            replayed.take(&serde_json::from_slice(&line)?, &bar);
        }
        Ok(())
    });
    bar.finish_and_clear();
    answered.map(|()| replayed)
}

impl Replayed {
    fn take(&mut self, line: &Value, bar: &ProgressBar) {
        if let (Some(read), Some(of)) = (line["Read"].as_u64(), line["Of"].as_u64()) {
            bar.set_length(of);
            bar.set_position(read);
        } else if line.get("Would").is_some() {
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
        "was": was, "would": line["Would"], "count": line["Count"], "last": line["LastTime"].as_u64().map(instant::utc),
        "last_index": line["LastIndex"], "days": line["Days"],
    })
}

/// The flips that are meant.
fn accepted(path: &Path) -> Result<BTreeSet<String>, Failure> {
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

fn show(context: &Context, replayed: &Replayed, totals: &Value) {
    let columns = [
        Column::whole("was", "/was"),
        Column::whole("would", "/would"),
        Column::name("principal", "/principal"),
        Column::whole("action", "/action"),
        Column::name("resource", "/resource"),
        Column::whole("count", "/count"),
        Column::spare("last", "/last"),
    ];
    if context.output.is_json() || !replayed.flips.is_empty() {
        context.output.rows(&columns, &replayed.flips);
    }
    if context.output.is_json() {
        context.output.rows(&columns, &replayed.undecidable);
    }
    for row in &replayed.undecidable {
        let (count, first) = (&row["count"], &row["first_index"]);
        context
            .output
            .say(&format!("{count} cannot be decided, the first at index {first}: {}", text(&row["undecidable"])));
    }
    context.output.say(&format!(
        "{} records, {} decisions ({} distinct), {} of them otherwise, in {} flip(s)",
        totals["Records"],
        totals["Decisions"],
        totals["Distinct"],
        totals["Flipped"],
        replayed.flips.len(),
    ));
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}
