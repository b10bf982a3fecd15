//! The command line: one file for each family of verbs. Client verbs are actions of a running gateway, over the same
//! HTTP as everyone else's; the others work on the files of a stopped one.
//!
//! Exit codes: 0 done, 1 failed, 2 usage, 3 denied, 4 found invalid (a policy, or the log).

mod audit;
mod client;
mod init;
mod key;
mod output;
mod policy;
mod run;
mod secret;
mod serve;
mod token;

use clap::{Parser, Subcommand};
#[cfg(test)]
pub(crate) use init::installed;
use output::{Format, Output};
use std::path::PathBuf;
use std::process::ExitCode;

/// A secrets-access gateway: it proves who asks, decides by policy, records durably, and only then releases.
///
/// Start with `keyward init --dir try --dev`, then `keyward --config try/keyward.toml serve`.
#[derive(Parser)]
#[command(name = "keyward", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 denied, 4 found invalid (a policy, or the log).")]
struct Cli {
    /// The configuration file
    #[arg(long, global = true, env = "KEYWARD_CONFIG", default_value = "keyward.toml", value_name = "FILE")]
    config: PathBuf,
    /// Tables for people, or JSON, one object a line, for programs
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
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
    /// Serve until SIGINT or SIGTERM; SIGHUP reads the policy folder again
    Serve,
    /// Issue tokens (local dev issuer only) and revoke them
    #[command(subcommand)]
    Token(token::Token),
    /// Store, read, list and switch secrets
    #[command(subcommand)]
    Secret(secret::Secret),
    /// Make, rotate, switch and delete the keys that values are sealed under
    #[command(subcommand)]
    Key(key::Key),
    /// Run a program with secrets in its environment
    Run(run::Run),
    /// Check policies, and look up creator numbers
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Search, export, prove and verify the audit log
    #[command(subcommand)]
    Audit(audit::Audit),
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
    let context = Context { config: cli.config, server: cli.server, output: Output::new(cli.output) };
    match run(cli.verb, &context) {
        Ok(code) => code,
        Err(failure) => report(&context.output, failure),
    }
}

fn run(verb: Verb, context: &Context) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Init(init) => init.run(context)?,
        Verb::Serve => serve::run(context)?,
        Verb::Token(token) => token.run(context)?,
        Verb::Secret(secret) => secret.run(context)?,
        Verb::Key(key) => key.run(context)?,
        Verb::Run(run) => run.run(context)?,
        Verb::Policy(policy) => policy.run(context)?,
        Verb::Audit(audit) => audit.run(context)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn report(output: &Output, failure: Failure) -> ExitCode {
    let (code, text) = match failure {
        Failure::Failed(error) => (1, format!("{error:#}")),
        Failure::Usage(text) => (2, text),
        Failure::Denied(text) => (3, text),
        Failure::Invalid(text) => (4, text),
    };
    output.error(&text);
    ExitCode::from(code)
}
