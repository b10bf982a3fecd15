//! `keyward policy ...`: on the folder and the store's files, without a token.

mod check;
mod diff;
mod excerpt;
mod explain;
mod folder;
mod replay;
mod schema;
mod surroundings;
mod test;
mod uin;

use super::{Context, Failure};
use clap::Subcommand;

#[derive(Subcommand)]
pub(super) enum Policy {
    /// Check a policy folder: every error that would refuse it at once (exit 4), and what is hardly meant as it stands
    #[command(after_help = "Examples:
  keyward policy check
  keyward policy check ~/src/policies --deny-warnings    # for CI: exit 4 on warnings, too
  keyward --output json policy check ~/src/policies      # one finding a line, for editors
  keyward policy check --store                           # knows existing secrets, and whose number a creator is

It works offline, without a token, and nothing goes live by it. Rules, codes and waivers (waivers.json): policies/README.md.
A line of JSON has severity (error, warning, waived), code, rule, file, line, column, end_column, statement, text, message;
the last one has valid, revision, documents, warnings, waived.

Without a folder it checks the configured one. A folder that is named is held against the configuration as for every verb; if
there is no keyward.toml here, against the one beside the folder; without that, against defaults and the issuers that it names.")]
    Check(check::Check),
    /// Run the tests of a policy folder and say which statements none of them exercised; exit 4 if one fails
    #[command(after_help = "Examples:
  keyward policy test
  keyward policy test ~/src/policies --min-coverage 90    # for CI: exit 4 if fewer statements are exercised
  keyward policy test --write-snapshot                    # the grid of all answers, to be reviewed

It works offline, without a token. Tests are tests/*.json of the folder; their form: policies/README.md. The grid is every
caller of the tests with every action on every resource. If tests/decisions.snap is there, it is held against it: a
difference is shown and fails, until the file is written anew and reviewed.

A line of JSON is a test (test, file, line, column, expected, expected_by, decision, by, passed), a statement that none
exercised (unexercised: file, line, column, statement), or the last one: tests, failed, statements, exercised, coverage,
snapshot (none, same, different, written).")]
    Test(test::Test),
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
    /// Decide what was recorded again by a folder that is not live; exit 4 if anything comes out otherwise
    #[command(after_help = "Examples:
  keyward policy replay --policies ~/src/policies --since 30d
  keyward --output json policy replay --policies ~/src/policies            # who is hit, one JSON object a line
  keyward policy replay --policies ~/src/policies --accept flips.jsonl     # exit 0 if those lines are all
  keyward policy replay --policies ~/src/policies --html report.html

The folder is sent to the running gateway, which decides beside its requests and changes nothing (cam:ReplayPolicies). A flip is
who, what and on what, with how often and when last; what is won stands before what is lost. Uses of keys by the gateway
itself are among them, as role/local/SSM_QCSRole. Records that lack what the folder reads are counted, never guessed.")]
    Replay(replay::Replay),
    /// Print a JSON Schema of the files of a policy folder, by which editors complete and check while typing
    #[command(after_help = "Examples:
  keyward policy schema document
  keyward policy schema --dir .vscode/keyward    # one file for each kind

Which schema is for which files: keyward policy schema --dir says so; how an editor is told: policies/README.md.")]
    Schema(schema::Schema),
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
            Self::Check(check) => check.run(context),
            Self::Test(test) => test.run(context),
            Self::Schema(schema) => schema.run(context),
            Self::Diff { old, new, no_new_access } => diff::run(context, &old, &new, no_new_access),
            Self::Explain(explain) => explain.run(context),
            Self::Replay(replay) => replay.run(context),
            Self::Uin { principal } => uin::run(context, &principal),
        }
    }
}
