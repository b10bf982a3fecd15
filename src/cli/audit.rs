//! `keyward audit ...`: the trail of a running gateway, and the log of a stopped one.

mod acceptance;
mod query;
mod verification;

pub(super) use verification::vkey;

use super::client::Client;
use super::prompt::Sure;
use super::{Context, Failure, output};
use anyhow::Context as _;
use clap::Subcommand;
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
    Query(Box<query::Query>),
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
