//! Key sets that are fetched from their issuer: by `jwks_url`, or by OIDC discovery from the issuer's own URL.
//!
//! SECURITY: every address comes from configuration. What discovery answers is taken only if it names this very issuer
//! and a place of keys that configuration pins; redirects are not followed; each address is checked when its name is
//! resolved, and the connection goes to the address that was checked; size and time are bounded ([`get`]).
//!
//! Nothing here holds state: who keeps sets, and for how long, is the pipeline's business. If the process dies in a
//! fetch, nothing happened.
//!
//! [`get`]: mod@get

mod address;
mod get;

use std::time::Duration;

use ipnet::IpNet;
use reqwest::Url;

use self::address::Networks;
use crate::json::{Json, parse_object};

/// Longest time for all of a fetch: names, connections, discovery and the set.
const FETCH_MAX: Duration = Duration::from_secs(5);
/// Where discovery answers, below the issuer's URL (OpenID Connect Discovery 4).
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Where an issuer's key set is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteSource {
    /// `jwks_url`.
    KeySet(String),
    /// `discovery = true`: the issuer's `iss` is the URL.
    Discovery,
}

/// What configuration says of fetching an issuer's keys.
#[derive(Clone, Debug)]
pub struct RemoteSettings {
    /// The exact `iss`.
    pub issuer: String,
    /// Where the set is.
    pub source: RemoteSource,
    /// `key_host`: host, and port unless it is the scheme's, that discovery may name for the keys; else the issuer's.
    pub key_host: Option<String>,
    /// `key_networks`: inner addresses that may be connected to.
    pub networks: Vec<IpNet>,
    /// `ca_file`: PEM certificates of the only authorities that the server's certificate may come from; else the system's.
    pub authorities: Option<Vec<u8>>,
}

/// A place of keys that was checked.
#[derive(Debug)]
pub struct Remote {
    issuer: String,
    place: Url,
    /// Host and port that discovery may name; `None` if `place` is the set itself.
    keys_at: Option<String>,
    networks: Networks,
    authorities: Option<Vec<u8>>,
}

/// A setting by which no keys can be fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{setting}`: {problem}")]
pub struct RemoteError {
    /// The setting, as keyward.toml calls it.
    pub setting: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

/// Why a fetch brought no key set. A closed list; [`FetchError::label`] is what metrics and records call it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Discovery names another issuer, or keys at a place that is not pinned: never a matter of waiting.
    #[error("discovery: {0}")]
    Misdirected(String),
    /// The name has an address that may not be connected to.
    #[error("an inner address, which `key_networks` does not list")]
    InnerAddress,
    /// A redirect; none is followed.
    #[error("a redirect, and redirects are not followed")]
    Redirect,
    /// Any other status than 200.
    #[error("status {0}")]
    Status(u16),
    /// More than 256 KiB.
    #[error("more than 256 KiB")]
    Size,
    /// Not within 5 s.
    #[error("not within 5 seconds")]
    Time,
    /// An encoded body: nothing is decompressed.
    #[error("an encoded body, which was not asked for")]
    Encoding,
    /// No name, no connection, no TLS, no HTTP.
    #[error("no connection: {0}")]
    Connection(String),
    /// Not the document that it should be.
    #[error("{0}")]
    Form(String),
}

impl FetchError {
    /// One word for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Misdirected(_) => "misdirected",
            Self::InnerAddress => "inner_address",
            Self::Redirect => "redirect",
            Self::Status(_) => "status",
            Self::Size => "size",
            Self::Time => "time",
            Self::Encoding => "encoding",
            Self::Connection(_) => "connection",
            Self::Form(_) => "form",
        }
    }
}

impl Remote {
    /// Checks where keys are to be fetched from, without fetching.
    ///
    /// # Errors
    /// [`RemoteError`] naming the setting.
    pub fn new(settings: RemoteSettings) -> Result<Self, RemoteError> {
        let RemoteSettings { issuer, source, key_host, networks, authorities } = settings;
        let networks = Networks(networks.into());
        let (setting, text) = match &source {
            RemoteSource::KeySet(url) => ("jwks_url", url.clone()),
            RemoteSource::Discovery => ("issuer", format!("{}{DISCOVERY}", issuer.trim_end_matches('/'))),
        };
        let place = checked_url(&text, &networks).map_err(|problem| RemoteError { setting, problem })?;
        let keys_at = match source {
            RemoteSource::KeySet(_) if key_host.is_some() => {
                let problem = "goes with `discovery` only: `jwks_url` names its host itself".to_owned();
                return Err(RemoteError { setting: "key_host", problem });
            }
            RemoteSource::KeySet(_) => None,
            RemoteSource::Discovery => Some(key_host.unwrap_or_else(|| authority(&place))),
        };
        get::check_authorities(authorities.as_deref())
            .map_err(|problem| RemoteError { setting: "ca_file", problem })?;
        Ok(Self { issuer, place, keys_at, networks, authorities })
    }

    /// The bytes of the key set as it is now: at most 256 KiB, within 5 seconds.
    ///
    /// # Errors
    /// [`FetchError`]; what was fetched before is as good as it was.
    pub async fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        tokio::time::timeout(FETCH_MAX, self.fetch_slowly()).await.unwrap_or(Err(FetchError::Time))
    }

    async fn fetch_slowly(&self) -> Result<Vec<u8>, FetchError> {
        let Some(keys_at) = &self.keys_at else {
            return self.get(&self.place).await;
        };
        let document = self.get(&self.place).await?;
        self.get(&self.keys_named_by(&document, keys_at)?).await
    }

    async fn get(&self, url: &Url) -> Result<Vec<u8>, FetchError> {
        get::get(url, &self.networks, self.authorities.as_deref()).await
    }

    /// The `jwks_uri` of a discovery document of this issuer.
    fn keys_named_by(&self, document: &[u8], keys_at: &str) -> Result<Url, FetchError> {
        let document = parse_object(document, super::JSON_DEPTH_MAX)
            .ok_or_else(|| FetchError::Form("the discovery document is no strict JSON object".to_owned()))?;
        let text = |name: &str| document.get(name).and_then(Json::as_text);
        if text("issuer") != Some(&self.issuer) {
            return Err(FetchError::Misdirected("its `issuer` is not exactly this issuer".to_owned()));
        }
        let missing = || FetchError::Form("the discovery document has no `jwks_uri`".to_owned());
        let url = checked_url(text("jwks_uri").ok_or_else(missing)?, &self.networks)
            .map_err(|problem| FetchError::Misdirected(format!("`jwks_uri` {problem}")))?;
        if authority(&url) != keys_at || (url.scheme() == "http" && self.place.scheme() != "http") {
            let problem = format!("its keys are at `{}`, not at `{keys_at}` (see `key_host`)", authority(&url));
            return Err(FetchError::Misdirected(problem));
        }
        Ok(url)
    }
}

/// A URL that may be asked for keys: https, or http to a loopback address, which `key_networks` must list as any
/// other inner address. Numbers in any base are addresses by then (WHATWG URL 3.5).
fn checked_url(text: &str, networks: &Networks) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| "is no URL".to_owned())?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let address = address::literal(&host);
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() || host.is_empty() {
        return Err("must be a URL with a host, without user, password and fragment".to_owned());
    }
    match (url.scheme(), address) {
        ("https", _) => {}
        ("http", Some(address)) if address.is_loopback() => {}
        ("http", _) => return Err("is plain http off this machine; use https".to_owned()),
        _ => return Err("must be https".to_owned()),
    }
    match address {
        Some(address) if !networks.permit(address) => {
            Err(format!("is at the inner address `{address}`, which `key_networks` does not list"))
        }
        _ => Ok(url),
    }
}

/// Host, and port unless it is the scheme's.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
