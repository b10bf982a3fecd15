//! `keyward policy ...`: on the folder and the store's files, without a token.

mod check;
mod diff;
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
    /// Say what another policy set lets people do and what it no longer does: by meaning, not by text
    #[command(after_help = "Examples:
  keyward policy diff policies ~/src/policies
  keyward policy diff --no-new-access sha256:1f0c... policies      # a gate for CI: exit 4 if anyone gains anything
  keyward --output json policy diff policies ~/src/policies      # one change a line, each with a request that shows it

OLD and NEW are folders, or digests of revisions that were live. Every request that there can be is compared; where that is too
much, nothing is said but that (exit 1). With the store and the root key at hand, existing secrets are named and creator numbers
are those of this installation. It changes nothing: policies/README.md.")]
    Diff {
        /// A folder, or the digest of a revision
        #[arg(value_name = "OLD")]
        old: String,
        /// A folder, or the digest of a revision
        #[arg(value_name = "NEW")]
        new: String,
        /// Exit 4 if anyone gains anything
        #[arg(long)]
        no_new_access: bool,
    },
    /// Say why an access was or would be allowed or denied, who may do something, and what somebody may do
    #[command(after_help = "Examples:
  keyward audit query --decision deny --limit 10      # finds indexes
  keyward policy explain 4711
  keyward policy explain --principal user/corp/alice --group group/corp/payments --action ssm:GetSecretValue --resource prod/db
  keyward policy explain --principal user/corp/alice --action ssm:GetSecretValue --resource prod/db --context qcs:ip=10.1.2.3
  keyward policy explain --who-can ssm:GetSecretValue prod/db
  keyward policy explain --what-can user/corp/alice

Exit 0 whatever the decision. It reads the policy folder and the store's files and needs no token. Statements of
role/local/SSM_QCSRole in a recorded access are those by which the gateway itself used the key of the value. Keys of which nothing
is said have ordinary values; `--context qcs:ip=` takes one away. What --who-can and --what-can tell holds for callers that are what
is named and nothing else.")]
    Explain(Box<explain::Explain>),
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
            Self::Diff { old, new, no_new_access } => diff::run(context, &old, &new, no_new_access),
            Self::Explain(explain) => explain.run(context),
            Self::Uin { principal } => uin::run(context, &principal),
        }
    }
}
