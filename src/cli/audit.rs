//! `keyward audit ...`: the trail of a running gateway, and the log of a stopped one.

mod acceptance;
mod verification;

use super::client::Client;
use super::{Context, Failure, output};
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
  keyward audit query --resource prod/db --limit 200 --all")]
    Query(Box<Query>),
    /// Write the whole log to a file that keyward-audit-verify checks offline
    #[command(after_help = "Example: keyward audit export --out log.export && \
        keyward-audit-verify log.export --vkey keys/log.vkey")]
    Export {
        /// Only `raw` in this build
        #[arg(long, default_value = "raw", value_parser = ["raw"])]
        format: String,
        /// The file to write; must not exist
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Print the newest signed checkpoint of a running gateway
    Checkpoint,
    /// Print the proof that a record is in the log, as a .tlog-proof
    Prove {
        /// The record's index
        index: u64,
        /// Under the checkpoint of this size; the newest if absent
        #[arg(long)]
        size: Option<u64>,
    },
    /// Check the log where it lies, without writing: chain, tree, head, every index, and the secrets and revocations of the
    /// store against what the log says of them; exit 4 with `index N: reason`
    Verify {
        /// Also decide every recorded access again under its own policy revision
        #[arg(long)]
        decisions: bool,
    },
    /// On a stopped gateway that refuses to start: accept that records are lost, under a new origin and key
    #[command(
        after_help = "Try first to bring the missing records back from a backup. This is recorded and signed, and cannot be undone."
    )]
    AcceptLoss {
        /// What happened, for the record
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// Filters, ANDed.
#[derive(Args)]
pub(super) struct Query {
    /// user/<issuer>/<sub>, ...
    #[arg(long)]
    principal: Option<String>,
    /// An issuer's exact `iss`
    #[arg(long)]
    issuer: Option<String>,
    /// A qualified group, group/<issuer>/<group>
    #[arg(long)]
    group: Option<String>,
    /// One secret, by name or as six segments
    #[arg(long, conflicts_with = "resource_prefix")]
    resource: Option<String>,
    /// Secrets whose names start so
    #[arg(long)]
    resource_prefix: Option<String>,
    /// An action, as ssm:GetSecretValue
    #[arg(long)]
    action: Option<String>,
    /// allow, deny or error
    #[arg(long, value_parser = ["allow", "deny", "error"])]
    decision: Option<String>,
    /// ok, denied, failed, pending or unknown
    #[arg(long, value_parser = ["ok", "denied", "failed", "pending", "unknown"])]
    outcome: Option<String>,
    /// From this time on, in epoch seconds
    #[arg(long, value_name = "SECONDS")]
    start_time: Option<u64>,
    /// Before this time, in epoch seconds
    #[arg(long, value_name = "SECONDS")]
    end_time: Option<u64>,
    /// From this index on
    #[arg(long)]
    start_index: Option<u64>,
    /// Before this index
    #[arg(long)]
    end_index: Option<u64>,
    /// Records of one page (1 to 200)
    #[arg(long, default_value_t = 50)]
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
            Self::AcceptLoss { reason } => acceptance::accept_loss(context, &reason),
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
        let texts = [
            ("Principal", &self.principal),
            ("Issuer", &self.issuer),
            ("Group", &self.group),
            ("Resource", &self.resource),
            ("ResourcePrefix", &self.resource_prefix),
            ("Action", &self.action),
            ("Decision", &self.decision),
            ("Outcome", &self.outcome),
        ];
        let numbers = [
            ("StartTime", self.start_time),
            ("EndTime", self.end_time),
            ("StartIndex", self.start_index),
            ("EndIndex", self.end_index),
            ("Limit", Some(self.limit)),
        ];
        let texts = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::from(text.as_deref()?))));
        let numbers = numbers.into_iter().filter_map(|(name, number)| Some((name.to_owned(), Value::from(number?))));
        texts.chain(numbers).collect()
    }
}

fn show(context: &Context, mut records: Vec<Value>) {
    if !context.output.is_json() {
        for record in &mut records {
            let time = record.get("time").and_then(Value::as_u64).map(|time| output::utc(time / 1_000_000));
            let resource = record.get("resource").and_then(Value::as_str);
            // The name alone: the five segments before it are the same for every secret of this gateway.
            let name = resource.and_then(|text| text.splitn(5, '/').nth(4)).map(str::to_owned);
            let what = record.get("reason").or_else(|| record.get("outcome")).cloned();
            if let Some(object) = record.as_object_mut() {
                object.insert("shown_time".to_owned(), Value::from(time));
                object.insert("shown_name".to_owned(), Value::from(name));
                object.insert("shown_what".to_owned(), what.unwrap_or_default());
            }
        }
    }
    let columns = [
        ("index", "/index"),
        ("time", "/shown_time"),
        ("principal", "/principal"),
        ("action", "/action"),
        ("secret", "/shown_name"),
        ("version", "/secret_version"),
        ("decision", "/decision"),
        ("what", "/shown_what"),
    ];
    context.output.rows(&columns, &records);
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
