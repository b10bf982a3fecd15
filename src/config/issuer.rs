//! `[[issuer]]` of keyward.toml: whose tokens are taken, and where the keys come from that they are signed with.

use super::DEV_ISS;
use serde::Deserialize;
use std::path::PathBuf;

/// One `[[issuer]]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// The name that qualifies its principals.
    pub name: String,
    /// The exact `iss`.
    pub issuer: String,
    /// What `aud` must hold one of.
    pub audience: Vec<String>,
    /// The algorithms it may sign with.
    pub algorithms: Vec<String>,
    /// Public keys: PEM or a JWKS.
    pub public_key_file: Option<PathBuf>,
    /// A shared secret (HS256, HS384, HS512).
    pub secret_file: Option<PathBuf>,
    /// Where the public keys are fetched from, as a JWKS.
    pub jwks_url: Option<String>,
    /// Whether `issuer` is a URL below which OIDC discovery says where the keys are.
    #[serde(default)]
    pub discovery: bool,
    /// The host, and port unless it is the scheme's, at which discovery may place the keys; else that of `issuer`.
    pub key_host: Option<String>,
    /// Inner networks that the keys may be fetched from.
    #[serde(default)]
    pub key_networks: Vec<String>,
    /// The only certificate authorities of the server that the keys are fetched from; else the system's.
    pub ca_file: Option<PathBuf>,
    /// Seconds after which fetched keys are fetched again.
    #[serde(default = "keys_refresh_s")]
    pub keys_refresh_s: u64,
    /// Seconds for which fetched keys are good if they cannot be fetched again.
    #[serde(default = "keys_max_age_s")]
    pub keys_max_age_s: u64,
    /// Seconds by which clocks may differ.
    #[serde(default = "leeway_s")]
    pub leeway_s: u64,
    /// Longest `exp - iat`, in seconds.
    #[serde(default = "max_lifetime_s")]
    pub max_lifetime_s: u64,
    /// Whether a token must say its groups.
    #[serde(default)]
    pub groups: Groups,
    /// The names of the claims.
    #[serde(default)]
    pub claims: Claims,
}

const fn leeway_s() -> u64 {
    30
}

const fn max_lifetime_s() -> u64 {
    86_400
}

const fn keys_refresh_s() -> u64 {
    300
}

const fn keys_max_age_s() -> u64 {
    86_400
}

impl Issuer {
    /// Whether its keys are fetched.
    #[must_use]
    pub fn is_fetched(&self) -> bool {
        self.jwks_url.is_some() || self.discovery
    }

    /// Whether nobody should trust it but its own machine: the issuer of `init --dev`, or keys over plain HTTP.
    pub(super) fn is_for_trying_out(&self) -> bool {
        let is_plain = |url: &str| url.starts_with("http://");
        self.issuer == DEV_ISS
            || self.jwks_url.as_deref().is_some_and(is_plain)
            || (self.discovery && is_plain(&self.issuer))
    }

    /// What is wrong with where its keys come from, if anything.
    pub(super) fn check_keys(&self) -> Result<(), &'static str> {
        let sources =
            [self.public_key_file.is_some(), self.secret_file.is_some(), self.jwks_url.is_some(), self.discovery];
        let only_fetched = self.key_host.is_some() || !self.key_networks.is_empty() || self.ca_file.is_some();
        let rules = [
            (
                sources.iter().filter(|has| **has).count() == 1,
                "needs exactly one of `public_key_file`, `secret_file`, `jwks_url` and `discovery = true`",
            ),
            (
                self.is_fetched() || !only_fetched,
                "has `key_host`, `key_networks` or `ca_file`, which go with `jwks_url` and `discovery` only",
            ),
            (
                (30..=86_400).contains(&self.keys_refresh_s)
                    && (self.keys_refresh_s..=604_800).contains(&self.keys_max_age_s),
                "needs `keys_refresh_s` of 30 to 86400, and `keys_max_age_s` of at least that and at most 604800",
            ),
        ];
        rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, rule)| Err(rule))
    }
}

/// `groups` of an issuer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Groups {
    /// A token without the claim has no groups.
    #[default]
    Optional,
    /// A token without the claim is refused.
    Required,
}

section! {
    /// `claims` of an issuer.
    Claims {
        /// Who the token is about.
        subject: String = "sub".to_owned(),
        /// Its groups.
        groups: String = "groups".to_owned(),
        /// Its roles.
        roles: String = "roles".to_owned(),
    }
}
