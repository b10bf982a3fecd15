//! `keyward audit ...`: the trail of a running gateway, and the log of a stopped one.

mod acceptance;
mod verification;

pub(super) use verification::vkey;

use super::client::Client;
use super::instant::{self, When, when};
use super::output::Column;
use super::prompt::Sure;
use super::{Context, Failure, output};
use crate::actions::{self, Action};
use crate::clock;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Subcommand)]
pub(super) enum Audit {
    /// Search the trail of a running gateway, newest first
    #[command(after_help = "Examples:
  keyward audit query --principal user/corp/alice --decision deny
  keyward audit query --resource prod/db --start-time 7d
  keyward --output json audit query --start-time 2027-01-31 --all >records.jsonl      # whole records")]
    Query(Box<Query>),
    /// Write the whole log to a file that keyward-audit-verify checks offline
    #[command(after_help = "Examples:
  keyward audit export --out log.export
  keyward-audit-verify log.export --vkey keys/log.vkey      # on any machine")]
    Export {
        /// Only `raw` in this build
        #[arg(long, value_name = "FORMAT", default_value = "raw", value_parser = ["raw"])]
        format: String,
        /// The file to write; must not exist
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Print the newest signed checkpoint of a running gateway
    #[command(after_help = "Examples:
  keyward audit checkpoint >head.txt
  keyward-audit-verify log.export --vkey keys/log.vkey --since head.txt      # later: nothing before it was lost")]
    Checkpoint,
    /// Print the proof that a record is in the log, as a .tlog-proof
    #[command(after_help = "Examples:
  keyward audit prove 4711 >record-4711.tlog-proof")]
    Prove {
        /// The record's index
        index: u64,
        /// Under the checkpoint of this size; the newest if absent
        #[arg(long, value_name = "RECORDS")]
        size: Option<u64>,
    },
    /// Check the log where it lies, without writing: chain, tree, head, every index, and the secrets and revocations of the
    /// store against what the log says of them; exit 4 with `index N: reason`
    #[command(after_help = "Examples:
  keyward audit verify
  keyward --config /etc/keyward/keyward.toml audit verify --decisions

It needs the files and no token. Of a running gateway it checks what was there when it began.")]
    Verify {
        /// Also decide every recorded access again under its own policy revision
        #[arg(long)]
        decisions: bool,
    },
    /// On a stopped gateway that refuses to start: accept that records, or the signing key, are lost, under a new origin and key
    #[command(after_help = "Examples:
  keyward --config /etc/keyward/keyward.toml audit accept-loss --reason 'disk of 2027-01-31 died, no backup'

Try first to bring the missing records back from a backup. This is recorded and signed, and cannot be undone; on a
terminal it asks first.")]
    AcceptLoss {
        /// What happened, for the record
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        sure: Sure,
    },
}

/// Filters, ANDed.
#[derive(Args)]
pub(super) struct Query {
    /// Who: user/<issuer>/<sub>, service/<name>, ...
    #[arg(long, value_name = "PRINCIPAL")]
    principal: Option<String>,
    /// An issuer's exact `iss`
    #[arg(long, value_name = "ISS")]
    issuer: Option<String>,
    /// A qualified group, group/<issuer>/<group>
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// One secret, by name or as six segments
    #[arg(long, value_name = "NAME", conflicts_with = "resource_prefix")]
    resource: Option<String>,
    /// Secrets whose names start so
    #[arg(long, value_name = "PREFIX")]
    resource_prefix: Option<String>,
    /// An action, as GetSecretValue or ssm:GetSecretValue
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// allow, deny or error
    #[arg(long, value_name = "DECISION", value_parser = ["allow", "deny", "error"])]
    decision: Option<String>,
    /// ok, denied, failed, pending or unknown
    #[arg(long, value_name = "OUTCOME", value_parser = ["ok", "denied", "failed", "pending", "unknown"])]
    outcome: Option<String>,
    /// From this time on, as 2027-01-31 or 2027-01-31T12:00:00Z, or so long ago as 2h or 7d
    #[arg(long, value_name = "TIME", value_parser = when)]
    start_time: Option<When>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = when)]
    end_time: Option<When>,
    /// From this index on
    #[arg(long, value_name = "INDEX")]
    start_index: Option<u64>,
    /// Before this index
    #[arg(long, value_name = "INDEX")]
    end_index: Option<u64>,
    /// Records of one page (1 to 200)
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    limit: u64,
    /// Follow the pages to the end
    #[arg(long)]
    all: bool,
}

impl Audit {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Query(query) => query.run(context),
            Self::Export { format, out } => export(context, &format, &out),
            Self::Checkpoint => checkpoint(context),
            Self::Prove { index, size } => prove(context, index, size),
            Self::Verify { decisions } => verification::verify(context, decisions),
            Self::AcceptLoss { reason, sure } => {
                sure.confirm("go on without the records that are missing, for good?")?;
                acceptance::accept_loss(context, &reason)
            }
        }
    }
}

impl Query {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let client = Client::new(context)?;
        let mut parameters = self.parameters();
        let mut shown = 0_usize;
        loop {
            let page = client.call("SearchRecords", &Value::Object(parameters.clone()))?;
            let records = page.get("Records").and_then(Value::as_array).cloned().unwrap_or_default();
            shown = shown.saturating_add(records.len());
            show(context, records);
            let next = page.get("NextCursor").and_then(Value::as_str).unwrap_or_default().to_owned();
            if next.is_empty() || !self.all {
                let more = if next.is_empty() { "" } else { "; more with --all or a larger --limit" };
                context.output.say(&format!("{shown} records{more}"));
                return Ok(());
            }
            parameters.insert("Cursor".to_owned(), Value::from(next));
        }
    }

    fn parameters(&self) -> Map<String, Value> {
        let full_name = |action: &String| actions::by_name(action).map_or_else(|| action.clone(), Action::full_name);
        let action = self.action.as_ref().map(full_name);
        let texts = [
            ("Principal", &self.principal),
            ("Issuer", &self.issuer),
            ("Group", &self.group),
            ("Resource", &self.resource),
            ("ResourcePrefix", &self.resource_prefix),
            ("Action", &action),
            ("Decision", &self.decision),
            ("Outcome", &self.outcome),
        ];
        let now_s = clock::system().clock.wall_us() / 1_000_000;
        let time = |when: Option<When>| when.map(|when| when.at_s(now_s));
        let numbers = [
            ("StartTime", time(self.start_time)),
            ("EndTime", time(self.end_time)),
            ("StartIndex", self.start_index),
            ("EndIndex", self.end_index),
            ("Limit", Some(self.limit)),
        ];
        let texts = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::from(text.as_deref()?))));
        let numbers = numbers.into_iter().filter_map(|(name, number)| Some((name.to_owned(), Value::from(number?))));
        texts.chain(numbers).collect()
    }
}

/// Whole records for programs; for people what happened, in a line each.
fn show(context: &Context, mut records: Vec<Value>) {
    if !context.output.is_json() {
        records.iter_mut().for_each(make_readable);
    }
    let columns = [
        Column::whole("index", "/index"),
        Column::whole("time", "/shown_time"),
        Column::name("principal", "/principal"),
        Column::name("action", "/shown_action"),
        Column::name("secret", "/shown_name"),
        Column::spare("version", "/secret_version"),
        ("result", "/shown_result").into(),
    ];
    context.output.rows(&columns, &records);
}

fn make_readable(record: &mut Value) {
    let time = record.get("time").and_then(Value::as_u64).map(|time| instant::utc(time / 1_000_000));
    let word = |field: &str| record.get(field).and_then(Value::as_str).unwrap_or_default();
    // Operations have one name across services.
    let action = word("action").rsplit(':').next().map(str::to_owned);
    // The name alone: the five segments before it are the same for every secret of this gateway.
    let name = word("resource").splitn(5, '/').nth(4).map(str::to_owned);
    let result = match (word("decision"), word("outcome"), word("reason")) {
        ("allow", "ok", "") => "allow".to_owned(),
        ("", outcome, "") => outcome.to_owned(),
        ("", outcome, reason) => format!("{outcome} ({reason})"),
        (decision, outcome, "") => format!("{decision} ({outcome})"),
        (decision, _, reason) => format!("{decision} ({reason})"),
    };
    if let Some(object) = record.as_object_mut() {
        object.insert("shown_time".to_owned(), Value::from(time));
        object.insert("shown_action".to_owned(), Value::from(action));
        object.insert("shown_name".to_owned(), Value::from(name));
        object.insert("shown_result".to_owned(), Value::from(result));
    }
}

pub(super) fn bar(message: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {bytes} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(message);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn export(context: &Context, format: &str, out: &Path) -> Result<(), Failure> {
    let client = Client::new(context)?;
    let mut file = output::new_private_file(out)?;
    let progress = bar("exporting");
    let written = client.stream("ExportRecords", &json!({"Format": format}), |block| {
        progress.inc(u64::try_from(block.len()).unwrap_or(0));
        Ok(file.write_all(block)?)
    });
    progress.finish_and_clear();
    if written.is_err() {
        drop(file);
        std::fs::remove_file(out).with_context(|| format!("cannot remove the incomplete `{}`", out.display()))?;
    } else {
        file.sync_all()?;
        context.output.say(&format!("wrote {}", out.display()));
    }
    written
}

fn checkpoint(context: &Context) -> Result<(), Failure> {
    let answer = Client::new(context)?.call("GetCheckpoint", &json!({}))?;
    print_text(context, &answer, "/Checkpoint");
    Ok(())
}

fn prove(context: &Context, index: u64, size: Option<u64>) -> Result<(), Failure> {
    let mut parameters = Map::from_iter([("Index".to_owned(), Value::from(index))]);
    if let Some(size) = size {
        parameters.insert("Size".to_owned(), Value::from(size));
    }
    let answer = Client::new(context)?.call("GetInclusionProof", &Value::Object(parameters))?;
    print_text(context, &answer, "/Proof");
    Ok(())
}

fn print_text(context: &Context, answer: &Value, pointer: &str) {
    if context.output.is_json() {
        output::line(&answer.to_string());
    } else {
        output::line(answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default().trim_end());
    }
}
