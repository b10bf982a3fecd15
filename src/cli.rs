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
mod help;
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
mod space;
mod stdout;
mod token;

use crate::access::setup;
use crate::config::{Config, ConfigError};
use crate::keys::Candidates;
use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
#[cfg(test)]
pub(crate) use init::installed;
use output::{Format, Output};
use serde_json::json;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A secrets-access gateway: it proves who asks, decides by policy, records durably, and only then releases.
///
/// A service shows its token and asks for a secret. What it may have is written in policy files; every access, allowed or
/// not, leaves a record in a log that nobody can change unseen.
#[derive(Parser)]
#[command(name = "keyward", version, arg_required_else_help = true, max_term_width = 100)]
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
        else at its address. With --ready a configuration that cannot be used is a warning, and the gateway is asked at KEYWARD_ADDR.")]
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
        Config::load(&self.config).map_err(|error| match error {
            ConfigError::Unreadable { cause, .. } if cause.kind() == ErrorKind::NotFound => anyhow::anyhow!(
                "there is no `{}`: name the configuration by --config FILE or KEYWARD_CONFIG, or make one by \
                 `keyward init --dir DIR`",
                self.config.display()
            ),
            other => other.into(),
        })
    }
}

/// Reads the arguments, does what they say, and answers the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match arguments() {
        Ok(cli) => cli,
        Err(error) => {
            let written = error.print();
            if error.use_stderr() {
                return ExitCode::from(2);
            }
            // Help and versions are no failure.
            stdout::note(written);
            return ExitCode::from(written_or(&Output::new(Format::Table), 0));
        }
    };
    let config = client::given(cli.config.as_deref(), "KEYWARD_CONFIG");
    let config = config.unwrap_or_else(|| Path::new("keyward.toml").to_owned());
    let context = Context { config, server: cli.server, output: Output::new(cli.output) };
    let code = run(cli.verb, &context).map_or_else(|failure| report(&context.output, failure), |()| 0);
    ExitCode::from(written_or(&context.output, code))
}

/// What this program was started with.
fn arguments() -> Result<Cli, clap::Error> {
    let mut command = help::flowing(Cli::command());
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// The exit code of a verb that ended with `code`, unless what it had to say could not be written.
fn written_or(output: &Output, code: u8) -> u8 {
    match stdout::failure() {
        None => code,
        Some(error) => {
            output.error(&json!({ "error": format!("cannot write the output: {error}") }), None);
            if code == 0 { 1 } else { code }
        }
    }
}

fn run(verb: Verb, context: &Context) -> Result<(), Failure> {
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
    Ok(())
}

/// The root keys that a configuration names. From here on the process leaves no core dump.
fn root_keys(config: &Config) -> anyhow::Result<Candidates> {
    core_dumps::forbid_here().context("cannot switch core dumps off")?;
    Ok(setup::root_keys(config)?)
}

fn report(output: &Output, failure: Failure) -> u8 {
    let (code, text) = match failure {
        Failure::Failed(error) => (1, format!("{error:#}")),
        Failure::Usage(text) => (2, text),
        Failure::Denied(text) => (3, text),
        Failure::Invalid(text) => (4, text),
        Failure::Refused(refused) => return report_refusal(output, &refused),
    };
    output.error(&json!({ "error": text }), None);
    code
}

fn report_refusal(output: &Output, refused: &client::Refused) -> u8 {
    output.refusal(&refused.to_string(), refused);
    if refused.is_denial() { 3 } else { 1 }
}
