//! `keyward policy ...`: on the folder and the store's files, without a token.

mod check;
mod explain;
mod replay;
mod uin;

use super::instant::{When, when};
use super::{Context, Failure};
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(super) enum Policy {
    /// Check a policy folder as the gateway would load it; exit 4 with every error at once
    #[command(after_help = "Examples:
  keyward policy check
  keyward --output json policy check ~/src/policies      # one finding a line, with file, line and column

Without a folder it checks the configured one. Nothing goes live by it; the language: policies/README.md.")]
    Check {
        /// The folder; the configured one if absent
        #[arg(value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Say of a recorded access which statements were attached to its caller and why each did or did not apply
    #[command(after_help = "Examples:
  keyward audit query --decision deny --limit 10      # finds indexes
  keyward policy explain 4711

It reads the store's files and needs no token. Statements of role/local/SSM_QCSRole are those by which the gateway
itself used the key of the value.")]
    Explain {
        /// The record's index
        index: u64,
    },
    /// Decide what was recorded again by a folder that is not live; exit 4 if anything comes out otherwise
    #[command(after_help = "Examples:
  keyward policy replay --policies ~/src/policies --since 30d
  keyward --output json policy replay --policies ~/src/policies            # who is hit, one JSON object a line
  keyward policy replay --policies ~/src/policies --accept flips.jsonl     # exit 0 if those lines are all
  keyward policy replay --policies ~/src/policies --html report.html

The folder is sent to the running gateway, which decides beside its requests and changes nothing (cam:ReplayPolicies). A flip is
who, what and on what, with how often and when last; what is won stands before what is lost. Uses of keys by the gateway
itself are among them, as role/local/SSM_QCSRole. Records that lack what the folder reads are counted, never guessed.")]
    Replay {
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
    },
    /// Print the creator number of a principal: what `qcs:uin`, `${uin}` and resources name it by
    #[command(after_help = "Examples:
  keyward policy uin user/corp/alice

It reads the root key and the store's files and needs no token.")]
    Uin {
        /// user/<issuer>/<sub>, role/local/<role>, service/<name>, ...
        principal: String,
    },
}

impl Policy {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Check { dir } => check::run(context, dir),
            Self::Explain { index } => explain::run(context, index),
            Self::Replay { policies, since, accept, html } => {
                replay::run(context, &replay::Wanted { policies, since, accept, html })
            }
            Self::Uin { principal } => uin::run(context, &principal),
        }
    }
}
