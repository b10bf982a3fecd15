//! `keyward token ...`

use super::client::Client;
use super::instant::{When, duration, utc, when};
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
    #[command(after_help = "Examples:
  export KEYWARD_TOKEN=$(keyward --config try/keyward.toml token issue --sub admin)
  keyward token issue --sub r.lee --group payments --ttl 15m >r.lee.token

The token goes to standard output and nowhere else. It is good for whoever holds it: keep the file at mode 0600.")]
    Issue {
        /// Who it is for: user/dev/SUB
        #[arg(long, value_name = "SUB")]
        sub: String,
        /// A group: group/dev/GROUP; may stand several times
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        /// A role: role/dev/ROLE; may stand several times
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// How long it holds: seconds, or a number with s, m, h, d
        #[arg(long, value_name = "DURATION", default_value = "1h")]
        ttl: String,
    },
    /// Refuse a token, or all tokens of a subject, from the next request on
    #[command(after_help = "Examples:
  keyward token revoke --issuer corp --jti 1f4ffd917d397acd --reason 'laptop lost'
  keyward token revoke --issuer corp --subject r.lee      # all issued until now
  keyward token revoke --issuer corp --subject r.lee --issued-before 2h")]
    Revoke {
        /// The issuer's name in keyward.toml
        #[arg(long, value_name = "ISSUER")]
        issuer: String,
        #[command(flatten)]
        which: Which,
        /// With --subject: only tokens issued at or before this time, or so long ago as 2h; now if absent
        #[arg(long, value_name = "TIME", value_parser = when, requires = "subject")]
        issued_before: Option<When>,
        /// Why; kept in the record
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
}

/// Which tokens.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    /// By the token's jti
    #[arg(long, value_name = "JTI")]
    jti: Option<String>,
    /// By credential.hash of a record, for tokens without jti
    #[arg(long, value_name = "HEX")]
    credential_hash: Option<String>,
    /// All of a subject's
    #[arg(long, id = "subject", value_name = "SUB")]
    subject: Option<String>,
}

impl Token {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Issue { sub, groups, roles, ttl } => issue(context, &sub, &groups, &roles, &ttl),
            Self::Revoke { issuer, which, issued_before, reason } => {
                let now_s = clock::system().clock.wall_us() / 1_000_000;
                let issued_before = issued_before.map(|when| when.at_s(now_s));
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
                let answer = Client::new(context)?.call("RevokeToken", &parameters)?;
                context.output.done(&answer, &revoked(&issuer, &answer));
                Ok(())
            }
        }
    }
}

/// The answer as a sentence.
fn revoked(issuer: &str, answer: &Value) -> String {
    let text = |field: &str| answer.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    match (text("Jti").or_else(|| text("CredentialHash")), text("Subject")) {
        (Some(token), _) => format!("token `{token}` of issuer `{issuer}` is revoked"),
        (None, subject) => {
            let until = answer.get("IssuedBefore").and_then(Value::as_u64).map(utc).unwrap_or_default();
            let subject = subject.unwrap_or_default();
            format!("tokens of `{subject}` by issuer `{issuer}` that were issued until {until} are revoked")
        }
    }
}

fn issue(context: &Context, sub: &str, groups: &[String], roles: &[String], ttl: &str) -> Result<(), Failure> {
    let ttl_s =
        duration(ttl).ok_or_else(|| Failure::Usage(format!("`{ttl}` is no duration such as 90s, 15m or 1h")))?;
    let config = context.load_config()?;
    let issuer = config.issuers.iter().find(|issuer| issuer.name == DEV).ok_or_else(|| {
        anyhow!("`{}` has no issuer `dev`; tokens of other issuers come from them", context.config.display())
    })?;
    if ttl_s > issuer.max_lifetime_s {
        let longest = issuer.max_lifetime_s;
        let text = format!("`{ttl}` is too long: max_lifetime_s of issuer `dev` in keyward.toml is {longest}");
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
