//! `keyward run`: a program with secrets in its environment. The program takes this one's place, so signals and the
//! exit code are its own.

use super::client::Client;
use super::secret::answered_value;
use super::{Context, Failure};
use crate::config::Config;
use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::json;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Run a program with secrets in its environment
#[derive(Args)]
#[command(after_help = "Example: keyward run --secret prod/db=DB_PASSWORD -- psql

The token (KEYWARD_TOKEN, KEYWARD_TOKEN_FILE) is not passed on, nor a root key's passphrase (KEYWARD_PASSPHRASE, and
the variables that the configuration names).")]
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
        let mut command = Command::new(program);
        command.args(arguments).env_remove("KEYWARD_TOKEN").env_remove("KEYWARD_TOKEN_FILE");
        // Whoever started this may have the gateway's passphrase in its environment, too.
        for variable in passphrase_variables(context) {
            command.env_remove(variable);
        }
        for secret in &self.secrets {
            // A secret's name may hold `=`, a variable's may not.
            let (name, variable) = secret
                .rsplit_once('=')
                .filter(|(name, variable)| !name.is_empty() && is_variable(variable))
                .ok_or_else(|| Failure::Usage(format!("`{secret}` is not NAME=ENV")))?;
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
}

/// The variables that hold a root key's passphrase, as far as a configuration can be read here.
fn passphrase_variables(context: &Context) -> Vec<String> {
    let mut variables = vec!["KEYWARD_PASSPHRASE".to_owned()];
    if let Ok(config) = Config::load(&context.config) {
        let all = [Some(&config.keys), config.keys.next.as_deref()].into_iter().flatten();
        variables.extend(all.map(|keys| keys.passphrase_env.clone()).filter(|name| !name.is_empty()));
    }
    variables
}

fn is_variable(text: &str) -> bool {
    let start = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    start && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
