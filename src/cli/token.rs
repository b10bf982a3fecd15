//! `keyward token ...`

use super::client::Client;
use super::{Context, Failure, output};
use crate::authn::{DevIssuer, TokenRequest};
use crate::clock;
use crate::config::{Config, Issuer};
use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::Path;
use zeroize::Zeroizing;

/// The issuer of `init --dev`.
const DEV: &str = "dev";

#[derive(Subcommand)]
pub(super) enum Token {
    /// Print a token of the local dev issuer
    #[command(after_help = "Example: export KEYWARD_TOKEN=$(keyward --config try/keyward.toml token issue --sub app)")]
    Issue {
        /// Who it is for: user/dev/SUB
        #[arg(long)]
        sub: String,
        /// A group: group/dev/GROUP; may stand several times
        #[arg(long = "group")]
        groups: Vec<String>,
        /// A role: role/dev/ROLE; may stand several times
        #[arg(long = "role")]
        roles: Vec<String>,
        /// How long it holds: seconds, or a number with s, m, h
        #[arg(long, default_value = "1h")]
        ttl: String,
    },
    /// Refuse a token, or all tokens of a subject, from the next request on
    #[command(after_help = "Examples:
  keyward token revoke --issuer corp --jti 1f4ffd917d397acd --reason 'laptop lost'
  keyward token revoke --issuer corp --subject r.lee        all issued until now")]
    Revoke {
        /// The issuer's name in keyward.toml
        #[arg(long)]
        issuer: String,
        #[command(flatten)]
        which: Which,
        /// With --subject: only tokens issued at or before this time, in epoch seconds; now if absent
        #[arg(long, value_name = "SECONDS", requires = "subject")]
        issued_before: Option<u64>,
        /// Why; kept in the record
        #[arg(long, default_value = "")]
        reason: String,
    },
}

/// Which tokens.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    /// By the token's jti
    #[arg(long)]
    jti: Option<String>,
    /// By credential.hash of a record, for tokens without jti
    #[arg(long, value_name = "HEX")]
    credential_hash: Option<String>,
    /// All of a subject's
    #[arg(long, id = "subject")]
    subject: Option<String>,
}

impl Token {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Issue { sub, groups, roles, ttl } => issue(context, &sub, &groups, &roles, &ttl),
            Self::Revoke { issuer, which, issued_before, reason } => {
                let mut parameters = json!({"Issuer": issuer, "Reason": reason});
                let given = [
                    ("Jti", which.jti.map(Value::from)),
                    ("CredentialHash", which.credential_hash.map(Value::from)),
                    ("Subject", which.subject.map(Value::from)),
                    ("IssuedBefore", issued_before.map(Value::from)),
                ];
                if let Some(object) = parameters.as_object_mut() {
                    object.extend(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
                }
                context.output.object(&Client::new(context)?.call("RevokeToken", &parameters)?);
                Ok(())
            }
        }
    }
}

fn issue(context: &Context, sub: &str, groups: &[String], roles: &[String], ttl: &str) -> Result<(), Failure> {
    let ttl_s = seconds(ttl).ok_or_else(|| Failure::Usage(format!("`{ttl}` is no duration such as 90s, 15m or 1h")))?;
    let config = Config::load(&context.config)?;
    let issuer = config.issuers.iter().find(|issuer| issuer.name == DEV).ok_or_else(|| {
        anyhow!("`{}` has no issuer `dev`; tokens of other issuers come from them", context.config.display())
    })?;
    if ttl_s > issuer.max_lifetime_s {
        let text = format!("the issuer's longest lifetime is {} s", issuer.max_lifetime_s);
        return Err(Failure::Usage(text));
    }
    let key = dev_key(&config, issuer)?;
    let environment = clock::system();
    let request = TokenRequest {
        issuer: &issuer.issuer,
        audience: &issuer.audience,
        subject: sub,
        groups,
        roles,
        issued_s: environment.clock.wall_us() / 1_000_000,
        ttl_s,
    };
    let token = Zeroizing::new(key.issue(&request, &*environment.random)?);
    if context.output.is_json() {
        output::line(&json!({"token": *token}).to_string());
    } else {
        output::line(&token);
    }
    Ok(())
}

/// The private half lies beside the public key, as `init --dev` wrote it.
fn dev_key(config: &Config, issuer: &Issuer) -> anyhow::Result<DevIssuer> {
    let public = issuer.public_key_file.as_deref().unwrap_or(Path::new(""));
    let path = config.path(public).with_extension("key");
    let text = std::fs::read_to_string(&path).map(Zeroizing::new);
    let text = text.with_context(|| format!("cannot read the dev issuer's key `{}`", path.display()))?;
    DevIssuer::from_private_pem(&text).with_context(|| format!("`{}`", path.display()))
}

fn seconds(text: &str) -> Option<u64> {
    let (digits, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(digits) => (digits, text.chars().next_back()?),
        None => (text, 's'),
    };
    let number: u64 = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    number.checked_mul(match unit {
        'm' => 60,
        'h' => 3_600,
        _ => 1,
    })
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn durations_are_seconds_or_a_number_with_a_unit() {
        for (text, expected) in [("90", Some(90)), ("90s", Some(90)), ("15m", Some(900)), ("2h", Some(7_200))] {
            assert_eq!(seconds(text), expected);
        }
        for text in ["", "h", "-1h", "+1h", "1d", "1.5h", "18446744073709551615h"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
