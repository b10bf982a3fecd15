//! `keyward run`: a program with secrets in its environment. The program takes this one's place (`exec`), so process id,
//! signals and exit code are its own, and nothing of this process's memory is left.

use super::client::Client;
use super::secret::answered_value;
use super::{Context, Failure, core_dumps};
use crate::config::Config;
use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::json;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Run a program with secrets in its environment
#[derive(Args)]
#[command(after_help = "Examples:
  keyward run --secret prod/db=PGPASSWORD -- psql -h db.example.com
  keyward run --secret demo/db=DB --secret demo/api=API_KEY -- sh -c 'exec ./service --db \"$DB\"'

The program takes keyward's place: it has its process id, gets all signals, and its exit code is the exit code (128+n
in a shell if signal n ended it). It gets the environment, except every variable that begins with KEYWARD_ and those that
the configuration names for a root key's passphrase, and the secrets that were asked for. If one of them cannot be had,
nothing is started. Whoever may read the program's environment (root, the same user) can read the secrets.")]
pub(super) struct Run {
    /// A secret and the variable that is to hold its current value; may stand several times
    #[arg(long = "secret", value_name = "NAME=ENV", required = true)]
    secrets: Vec<String>,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl Run {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let client = Client::new(context)?;
        let (program, arguments) =
            self.command.split_first().ok_or_else(|| Failure::Usage("no program to run".to_owned()))?;
        let asked = self.asked()?;
        core_dumps::forbid_here().context("cannot switch core dumps off")?;
        let mut command = Command::new(program);
        command.args(arguments);
        keep_settings_from(context, &mut command);
        for (name, variable) in asked {
            let answer = client.call("GetSecretValue", &json!({"SecretName": name}))?;
            let value = answered_value(&answer)?;
            if value.contains(&0) {
                return Err(anyhow!("the value of `{name}` holds a zero byte, which no variable can").into());
            }
            command.env(variable, OsString::from_vec(value.to_vec()));
        }
        let error = command.exec();
        Err(error).with_context(|| format!("cannot run `{}`", program.to_string_lossy()))?
    }

    /// Secrets and the variables that are to hold them, before any is read.
    fn asked(&self) -> Result<Vec<(&str, &str)>, Failure> {
        let mut asked: Vec<(&str, &str)> = Vec::with_capacity(self.secrets.len());
        for secret in &self.secrets {
            // A secret's name may hold `=`, a variable's may not.
            let (name, variable) = secret
                .rsplit_once('=')
                .filter(|(name, variable)| !name.is_empty() && is_variable(variable))
                .ok_or_else(|| Failure::Usage(format!("`{secret}` is not NAME=ENV")))?;
            if asked.iter().any(|(_, before)| *before == variable) {
                return Err(Failure::Usage(format!("`{variable}` is to hold two secrets")));
            }
            asked.push((name, variable));
        }
        Ok(asked)
    }
}

/// SECURITY: tokens, paths of keys, and the gateway's passphrase, which whoever started this may have in its environment, too,
/// are for keyward alone.
pub(super) fn keep_settings_from(context: &Context, command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.as_bytes().starts_with(b"KEYWARD_") {
            command.env_remove(name);
        }
    }
    for variable in passphrase_variables(context) {
        command.env_remove(variable);
    }
}

/// The variables that hold a root key's passphrase, as far as a configuration can be read here.
fn passphrase_variables(context: &Context) -> Vec<String> {
    let Ok(config) = Config::load(&context.config) else { return Vec::new() };
    let all = [Some(&config.keys), config.keys.next.as_deref()].into_iter().flatten();
    all.map(|keys| keys.passphrase_env.clone()).filter(|name| !name.is_empty()).collect()
}

fn is_variable(text: &str) -> bool {
    let start = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    start && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
