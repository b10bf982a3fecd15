//! `keyward policy ...`: on the folder and the store's files, without a token.

mod check;
mod diff;
mod excerpt;
mod explain;
mod folder;
mod history;
mod lines;
mod replay;
mod rollback;
mod schema;
mod shadow;
mod suggest;
mod surroundings;
mod test;
mod uin;

use super::prompt::Sure;
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
  keyward policy check --used --since 90d                # reads the trail: wildcards that were used for a few names

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
    /// List where the policy folder in the shadow decided otherwise than the live one
    #[command(after_help = "Examples:
  keyward policy shadow
  keyward policy shadow --since 7d
  keyward --output json policy shadow                 # one JSON object a line, as `policy replay` writes them
  keyward policy shadow --accept meant.jsonl          # exit 4 if anything else came out otherwise

`shadow` in the table [policy] of keyward.toml names the folder; SIGHUP reads it again. It decides beside the live one on every
request and on every use of a key, and changes no answer. Where it decides otherwise, the record says so (cam:ListShadowDecisions).")]
    Shadow(shadow::Shadow),
    /// Suggest the least that policies need to grant for what was done, from the trail; name what nobody used
    #[command(after_help = "Examples:
  keyward policy suggest --since 90d
  keyward policy suggest --principal user/corp/alice --since 90d
  keyward policy suggest --since 90d --write next && keyward policy diff policies next
  keyward --output json policy suggest                   # one object a line, each document with its text

The running gateway reads its trail beside its requests and changes nothing (cam:SuggestPolicies). Each suggestion is a document of
the live set with fewer actions on fewer resources; it was compared with what is live, found to let nobody do anything new, and
replayed over the trail. With --principal it takes the place of all that is attached to that principal. A suggestion knows only what
was done in the time that it says it rests on: policies/README.md. --write makes a folder for policy check, test, diff and replay.")]
    Suggest(suggest::Suggest),
    /// List which policy set was live from when on: by which trigger, what changed, and whose the files were
    #[command(after_help = "Examples:
  keyward policy revisions
  keyward --output json policy revisions --limit 100      # one revision a line, newest first, with whole digests

It reads the log of the store and needs no token. A trigger is start (of the gateway), file (the folder changed) or signal (SIGHUP).
Behind each file that came or changed stands whose it was when it was read. The same without access to the host:
cam:ListPolicyRevisions.")]
    Revisions {
        /// Revisions to list at most
        #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        limit: u64,
    },
    /// Print the files of a policy set that is or was live
    #[command(after_help = "Examples:
  keyward policy show live
  keyward policy show 1f0c9a20b7d4
  keyward policy show 1f0c9a20b7d4 documents/demo-read.json | diff - policies/documents/demo-read.json

Digests are told by: keyward policy revisions. It reads the store's files and needs no token; without access to the host:
cam:ListPolicies and cam:GetPolicy.")]
    Show {
        /// live, or the digest of a revision, of which 8 hex digits are enough if no other begins so
        #[arg(value_name = "REVISION")]
        revision: String,
        /// One file alone, as it is: attachments.json, documents/..., roles/...
        #[arg(value_name = "PATH")]
        path: Option<String>,
    },
    /// Put the policy folder back to what it was in a revision that was live
    #[command(after_help = "Examples:
  keyward policy revisions
  keyward policy rollback 1f0c9a20b7d4
  keyward policy rollback sha256:1f0c9a20b7d4 --yes
  keyward policy rollback live      # edits that were refused, or are not meant, go

It says what people may do again and no longer, against what is live, and which files it writes and removes; on a terminal it asks
first. All files are put into their place or none; they keep mode and owner; tests/ and waivers.json stay as they are. A running
gateway takes the folder live within 2 s and records it, with the trigger file. It works on files alone, so also where the live
policies deny everybody everything. A revision that would not load under the present configuration is refused (exit 4).")]
    Rollback {
        /// The digest of a revision, of which 8 hex digits are enough if no other begins so; live for what is live now
        #[arg(value_name = "REVISION")]
        revision: String,
        #[command(flatten)]
        sure: Sure,
    },
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
            Self::Shadow(shadow) => shadow.run(context),
            Self::Suggest(suggest) => suggest.run(context),
            Self::Revisions { limit } => history::revisions(context, usize::try_from(limit).unwrap_or(usize::MAX)),
            Self::Show { revision, path } => history::show(context, &revision, path.as_deref()),
            Self::Rollback { revision, sure } => rollback::run(context, &revision, &sure),
            Self::Uin { principal } => uin::run(context, &principal),
        }
    }
}
