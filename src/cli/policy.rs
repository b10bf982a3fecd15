//! `keyward policy ...`: on the folder and the store's files, without a token.

mod check;
mod explain;
mod uin;

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
            Self::Uin { principal } => uin::run(context, &principal),
        }
    }
}
