//! Values on their way in: from a file, from standard input, or made here; never from an argument.

use super::set;
use crate::cli::Failure;
use crate::clock;
use crate::secret::Plaintext;
use crate::secret::password::{PASSWORD_CHARACTERS, PasswordRules};
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::Value;
use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Largest value that the command line reads; the gateway's own limit may be lower.
pub(super) const VALUE_BYTES_MAX: u64 = 65_536;

/// Where a value comes from: never an argument, which every user of the machine can see.
#[derive(Args)]
pub(in crate::cli) struct ValueFrom {
    /// A file that holds the value; standard input if absent
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Store the bytes as they are, even if they are text
    #[arg(long)]
    binary: bool,
}

impl ValueFrom {
    pub(super) fn put_into(&self, parameters: &mut Value) -> Result<(), Failure> {
        let bytes = self.read()?;
        if bytes.is_empty() {
            return Err(Failure::Usage("the value is empty".to_owned()));
        }
        put_value(parameters, &bytes, self.binary);
        Ok(())
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(8_192));
        match &self.from {
            Some(file) => {
                let opened = std::fs::File::open(file).with_context(|| format!("cannot read `{}`", file.display()))?;
                opened.take(VALUE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
            }
            None if std::io::stdin().is_terminal() => {
                let text = "give the value on standard input (printf %s \"$VALUE\" | keyward ...) or with --from FILE; it is \
                            never taken from an argument";
                return Err(Failure::Usage(text.to_owned()));
            }
            None => {
                std::io::stdin().lock().take(VALUE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
            }
        }
        Ok(bytes)
    }
}

/// Adds a value: as text if it is some and may be.
pub(super) fn put_value(parameters: &mut Value, bytes: &[u8], binary: bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) if !binary => set(parameters, "SecretString", Some(Value::from(text))),
        _ => set(parameters, "SecretBinary", Some(Value::from(STANDARD.encode(bytes)))),
    }
}

/// What a random password is made of: letters, digits and signs, at least one of each kind.
#[derive(Args)]
pub(in crate::cli) struct Password {
    /// How many characters (1 to 4096)
    #[arg(long, value_name = "CHARACTERS", default_value_t = PASSWORD_CHARACTERS)]
    pub(super) length: usize,
    /// Characters that it must not hold
    #[arg(long, value_name = "CHARACTERS", default_value = "")]
    pub(super) exclude: String,
    /// Letters and digits alone
    #[arg(long)]
    pub(super) no_punctuation: bool,
}

impl Password {
    /// Made here, of this machine's random bytes.
    pub(super) fn generate(&self) -> Result<Plaintext, Failure> {
        let rules = PasswordRules {
            length: self.length,
            exclude: self.exclude.clone(),
            exclude_punctuation: self.no_punctuation,
            ..PasswordRules::default()
        };
        rules.generate(&*clock::system().random).map_err(|error| Failure::Usage(error.to_string()))
    }
}
