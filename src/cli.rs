//! The command line: one file for each family of verbs. Client verbs are actions of a running gateway, over the same
//! HTTP as everyone else's; the others work on the files of a stopped one.
//!
//! Exit codes: 0 done, 1 failed, 2 usage, 3 denied, 4 found invalid (a policy, or the log).

mod accesskey;
mod advice;
mod audit;
mod backup;
mod client;
mod core_dumps;
mod doctor;
#[cfg(test)]
mod help_tests;
mod import;
mod init;
mod instant;
mod key;
mod manual;
mod output;
mod owner;
mod policy;
mod prompt;
mod run;
mod secret;
mod serve;
mod token;

use crate::access::setup;
use crate::config::Config;
use crate::keys::Candidates;
use anyhow::Context as _;
use clap::{Parser, Subcommand};
#[cfg(test)]
pub(crate) use init::installed;
use output::{Format, Output};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A secrets-access gateway: it proves who asks, decides by policy, records durably, and only then releases.
///
/// A service shows its token and asks for a secret. What it may have is written in policy files; every access, allowed or
/// not, leaves a record in a log that nobody can change unseen.
#[derive(Parser)]
#[command(name = "keyward", version, propagate_version = true, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "First steps:
  keyward init --dir try --dev
  export KEYWARD_CONFIG=try/keyward.toml
  keyward serve &
  export KEYWARD_TOKEN=$(keyward token issue --sub admin)
  printf s3cret | keyward secret create demo/db
  keyward secret get demo/db
  keyward audit query

Environment:
  KEYWARD_CONFIG        the configuration file
  KEYWARD_ADDR          the gateway, for verbs that ask a running one
  KEYWARD_TOKEN         the token itself, or
  KEYWARD_TOKEN_FILE    a file that holds it
  KEYWARD_CACERT        authorities to trust, KEYWARD_CLIENT_CERT and KEYWARD_CLIENT_KEY what to show
  KEYWARD_LOG           what `serve` logs: error, warn, info, debug
  VISUAL, EDITOR        the editor of `secret edit`
  NO_COLOR              no colour, on terminals neither

Exit codes:
  0 done   1 failed   2 usage   3 denied   4 found invalid (a policy, or the log)

Every verb has its own --help with examples, and a page: keyward man --dir DIR.")]
struct Cli {
    /// The configuration file [env: KEYWARD_CONFIG] [default: keyward.toml]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    config: Option<PathBuf>,
    /// Tables for people, or JSON, one object a line, for programs
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    #[arg(help_heading = "Global options")]
    output: Format,
    #[command(flatten)]
    server: client::ServerOptions,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a new installation: configuration, keys, store, policy folder
    Init(init::Init),
    /// Serve until SIGINT or SIGTERM; SIGHUP reads issuers and the policy folder again
    #[command(after_help = "Examples:
  keyward --config /etc/keyward/keyward.toml serve
  KEYWARD_LOG=debug keyward --config try/keyward.toml serve 2>serve.log &
  kill -HUP $(pidof keyward)      # reads issuers and policies at once

It stays in the foreground and logs JSON lines to standard error.")]
    Serve,
    /// Look at everything that the gateway needs, and say what to do; exit 4 if something is wrong, 1 if it could not be looked at
    #[command(after_help = "Examples:
  keyward --config /etc/keyward/keyward.toml doctor
  keyward doctor --ready      # for health checks

Changes nothing and prints no secret. A running gateway is looked at as it lies there, and asked for /readyz: by its Unix socket if it has one, \
        else at its address.")]
    Doctor {
        /// Only ask the running gateway whether it is ready
        #[arg(long)]
        ready: bool,
    },
    /// Take a backup of a running gateway: store, mark and newest signed head, no keys
    Backup(backup::Backup),
    /// Put a backup in place of a store that is gone, on a stopped gateway
    Restore(backup::Restore),
    /// Issue tokens (local dev issuer only) and revoke them
    #[command(subcommand)]
    Token(token::Token),
    /// Make, list, switch and delete access keys, for clients that sign their requests
    #[command(name = "accesskey", subcommand)]
    AccessKey(accesskey::AccessKey),
    /// Store, read, list and switch secrets
    #[command(subcommand)]
    Secret(secret::Secret),
    /// Make, rotate, switch and delete the keys that values are sealed under
    #[command(subcommand)]
    Key(key::Key),
    /// Copy the secrets of another service into this one, with all of their versions
    Import(import::Import),
    /// Run a program with secrets in its environment
    Run(run::Run),
    /// Check and test policies, explain decisions, and look up creator numbers
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Search, export, prove and verify the audit log
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Print the completions of a shell
    Completions(manual::Completions),
    /// Write the man pages, one for each verb
    Man(manual::Pages),
}

/// How a verb ended, if not well.
#[derive(Debug)]
enum Failure {
    /// Exit 1.
    Failed(anyhow::Error),
    /// Exit 2.
    Usage(String),
    /// Exit 3.
    Denied(String),
    /// Exit 4; what was found is printed already.
    Invalid(String),
    /// A gateway refused: exit 3 if it denied, else 1.
    Refused(Box<client::Refused>),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Everything that verbs share.
struct Context {
    config: PathBuf,
    server: client::ServerOptions,
    output: Output,
}

impl Context {
    /// The configuration, for verbs that work on the installation itself.
    ///
    /// # Errors
    /// There is none where it was sought, or it is not understood.
    fn load_config(&self) -> anyhow::Result<Config> {
        if !self.config.exists() {
            anyhow::bail!(
                "there is no `{}`: name the configuration by --config FILE or KEYWARD_CONFIG, or make one by \
                 `keyward init --dir DIR`",
                self.config.display()
            );
        }
        Ok(Config::load(&self.config)?)
    }
}

/// Reads the arguments, does what they say, and answers the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and versions go to standard output and are no failure.
            let code = if error.use_stderr() { 2 } else { 0 };
            let _closed_pipe = error.print();
            return ExitCode::from(code);
        }
    };
    let config = client::given(cli.config.as_deref(), "KEYWARD_CONFIG");
    let config = config.unwrap_or_else(|| Path::new("keyward.toml").to_owned());
    let context = Context { config, server: cli.server, output: Output::new(cli.output) };
    match run(cli.verb, &context) {
        Ok(code) => code,
        Err(failure) => report(&context.output, failure),
    }
}

fn run(verb: Verb, context: &Context) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Init(init) => init.run(context)?,
        Verb::Serve => serve::run(context)?,
        Verb::Doctor { ready } => doctor::run(context, ready)?,
        Verb::Backup(backup) => backup.run(context)?,
        Verb::Restore(restore) => restore.run(context)?,
        Verb::Token(token) => token.run(context)?,
        Verb::AccessKey(access_key) => access_key.run(context)?,
        Verb::Secret(secret) => secret.run(context)?,
        Verb::Key(key) => key.run(context)?,
        Verb::Import(import) => import.run(context)?,
        Verb::Run(run) => run.run(context)?,
        Verb::Policy(policy) => policy.run(context)?,
        Verb::Audit(audit) => audit.run(context)?,
        Verb::Completions(completions) => completions.run()?,
        Verb::Man(pages) => pages.run(&context.output)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The root keys that a configuration names. From here on the process leaves no core dump.
fn root_keys(config: &Config) -> anyhow::Result<Candidates> {
    core_dumps::forbid_here().context("cannot switch core dumps off")?;
    Ok(setup::root_keys(config)?)
}

fn report(output: &Output, failure: Failure) -> ExitCode {
    let (code, text) = match failure {
        Failure::Failed(error) => (1, format!("{error:#}")),
        Failure::Usage(text) => (2, text),
        Failure::Denied(text) => (3, text),
        Failure::Invalid(text) => (4, text),
        Failure::Refused(refused) => return report_refusal(output, &refused),
    };
    output.error(&json!({ "error": text }), None);
    ExitCode::from(code)
}

fn report_refusal(output: &Output, refused: &client::Refused) -> ExitCode {
    let hint = advice::on(refused);
    let error = json!({
        "error": refused.to_string(), "code": refused.code, "message": refused.message,
        "status": refused.status, "request": refused.request, "hint": hint,
    });
    output.error(&error, hint.as_deref());
    ExitCode::from(if matches!(refused.status, 401 | 403) { 3 } else { 1 })
}
