//! The client of a running gateway that all client verbs share.

use super::{Context, Failure};
use anyhow::{Context as _, anyhow, bail};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde_json::Value;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// Where the gateway is and who asks.
#[derive(clap::Args)]
pub(super) struct ServerOptions {
    /// The gateway's address, for verbs that ask a running gateway: http or https, or unix:PATH of its socket
    #[arg(long, global = true, env = "KEYWARD_ADDR", default_value = DEFAULT_ADDR, value_name = "URL")]
    addr: String,
    /// PEM certificates of the only authorities that the gateway's certificate may come from; else the system's
    #[arg(long, global = true, env = "KEYWARD_CACERT", value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// The PEM certificate to show a gateway that asks for one
    #[arg(long, global = true, env = "KEYWARD_CLIENT_CERT", value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// That certificate's PEM key
    #[arg(long, global = true, env = "KEYWARD_CLIENT_KEY", value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// A file that holds the token; else the environment variable KEYWARD_TOKEN does
    #[arg(long, global = true, env = "KEYWARD_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Where a gateway is if nobody says otherwise.
const DEFAULT_ADDR: &str = "http://127.0.0.1:8743";
/// Longest wait for an answer of [`ServerOptions::ask`].
const ASKING_MAX: Duration = Duration::from_secs(10);

impl ServerOptions {
    /// The address, if it is not the one that everybody has.
    pub(super) fn chosen(&self) -> Option<&str> {
        (self.addr != DEFAULT_ADDR).then_some(self.addr.as_str())
    }

    /// `GET` of a path that needs no token, at `addr`: status and body.
    pub(super) fn ask(&self, addr: &str, path: &str) -> anyhow::Result<(u16, String)> {
        let (builder, base) = builder(addr)?;
        let builder =
            with_certificates(builder, self).map_err(|_| anyhow!("the certificates of the options are unusable"))?;
        let http = builder.timeout(ASKING_MAX).build()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let response = http.get(format!("{base}{path}")).send().await?;
            Ok((response.status().as_u16(), response.text().await?))
        })
    }
}

/// A client for `addr`, and what paths are put behind.
fn builder(addr: &str) -> anyhow::Result<(reqwest::ClientBuilder, String)> {
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(Duration::from_secs(5))
        .user_agent(concat!("keyward-cli/", env!("CARGO_PKG_VERSION")));
    match addr.strip_prefix("unix:") {
        Some(socket) => Ok((builder.unix_socket(Path::new(socket)), "http://localhost".to_owned())),
        None => {
            refuse_plain_text_over_a_network(addr)?;
            Ok((builder, addr.to_owned()))
        }
    }
}

/// A gateway that can be asked.
pub(super) struct Client {
    http: reqwest::Client,
    /// As it was given, for messages.
    addr: String,
    /// What paths are put behind.
    base: String,
    authorization: HeaderValue,
    runtime: tokio::runtime::Runtime,
}

/// What a gateway answered when it did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message} (request {request})")]
pub(super) struct Refused {
    status: u16,
    code: String,
    message: String,
    request: String,
}

impl Refused {
    fn into_failure(self) -> Failure {
        match self.status {
            401 | 403 => Failure::Denied(self.to_string()),
            _ => Failure::Failed(anyhow!(self)),
        }
    }
}

impl Client {
    /// A client with the token and address of the options.
    pub(super) fn new(context: &Context) -> Result<Self, Failure> {
        let options = &context.server;
        let token = token(options)?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            .map_err(|_| Failure::Usage("the token holds characters that no token has".to_owned()))?;
        authorization.set_sensitive(true);
        let addr = options.addr.trim_end_matches('/').to_owned();
        let (builder, base) = builder(&addr).map_err(|error| Failure::Usage(error.to_string()))?;
        let http = with_certificates(builder, options)?.build()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { http, addr, base, authorization, runtime })
    }

    fn request(&self, action: &str, parameters: &Value) -> Result<reqwest::RequestBuilder, Failure> {
        // The body may hold a value; serde_json writes it once, into a buffer that is wiped with the request's drop at
        // the latest when the process ends.
        let body = serde_json::to_vec(parameters)?;
        let request = self.http.post(format!("{}/v1/{action}", self.base));
        let request = request.header(AUTHORIZATION, self.authorization.clone());
        Ok(request.header(reqwest::header::CONTENT_TYPE, "application/json").body(body))
    }

    /// Calls an action and answers its result.
    pub(super) fn call(&self, action: &str, parameters: &Value) -> Result<Value, Failure> {
        let request = self.request(action, parameters)?;
        self.runtime.block_on(async {
            let response = request.send().await.map_err(|error| self.unreachable(&error))?;
            let response = accepted(response).await?;
            let body = Zeroizing::new(response.bytes().await?.to_vec());
            Ok(serde_json::from_slice(&body)?)
        })
    }

    /// Calls an action that answers a file, and hands its blocks to `each`.
    pub(super) fn stream(
        &self,
        action: &str,
        parameters: &Value,
        mut each: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> Result<(), Failure> {
        let request = self.request(action, parameters)?;
        self.runtime.block_on(async {
            let response = request.send().await.map_err(|error| self.unreachable(&error))?;
            let mut response = accepted(response).await?;
            while let Some(block) = response.chunk().await? {
                each(&block)?;
            }
            Ok(())
        })
    }

    fn unreachable(&self, error: &reqwest::Error) -> anyhow::Error {
        if error.is_connect() {
            anyhow!("no gateway answers at {} (is `keyward serve` running? is KEYWARD_ADDR right?)", self.addr)
        } else {
            anyhow!("the gateway at {} did not answer: {error}", self.addr)
        }
    }
}

async fn accepted(response: reqwest::Response) -> Result<reqwest::Response, Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body: Value = serde_json::from_slice(&response.bytes().await?).unwrap_or_default();
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or("?").to_owned();
    Err(Refused {
        status: status.as_u16(),
        code: text("/Error/Code"),
        message: text("/Error/Message"),
        request: text("/RequestId"),
    }
    .into_failure())
}

fn token(options: &ServerOptions) -> Result<Zeroizing<String>, Failure> {
    if let Some(file) = &options.token_file {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("cannot read the token in `{}`", file.display()))?;
        return Ok(Zeroizing::new(text));
    }
    match std::env::var("KEYWARD_TOKEN") {
        Ok(token) if !token.trim().is_empty() => Ok(Zeroizing::new(token)),
        _ => Err(Failure::Usage(
            "no token: set KEYWARD_TOKEN, or KEYWARD_TOKEN_FILE or --token-file to a file that holds one".to_owned(),
        )),
    }
}

/// Whom to trust, and what to show.
fn with_certificates(
    mut builder: reqwest::ClientBuilder,
    options: &ServerOptions,
) -> Result<reqwest::ClientBuilder, Failure> {
    let read = |file: &PathBuf| {
        std::fs::read(file).map(Zeroizing::new).with_context(|| format!("cannot read `{}`", file.display()))
    };
    let unfit = |file: &PathBuf| Failure::Usage(format!("`{}` is not the PEM file that it should be", file.display()));
    if let Some(file) = &options.cacert {
        let authorities = reqwest::Certificate::from_pem_bundle(&read(file)?).map_err(|_| unfit(file))?;
        if authorities.is_empty() {
            return Err(unfit(file));
        }
        builder = builder.tls_certs_only(authorities);
    }
    if let (Some(certificate), Some(key)) = (&options.client_cert, &options.client_key) {
        let both = Zeroizing::new([read(certificate)?.as_slice(), b"\n", read(key)?.as_slice()].concat());
        builder = builder.identity(reqwest::Identity::from_pem(&both).map_err(|_| unfit(key))?);
    }
    Ok(builder)
}

/// SECURITY: a token and values go in clear text over plain HTTP; only this machine may see that.
fn refuse_plain_text_over_a_network(addr: &str) -> anyhow::Result<()> {
    let url = reqwest::Url::parse(addr).with_context(|| format!("`{addr}` is no address"))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => Ok(()),
        "http" if local => Ok(()),
        "http" => bail!("`{addr}` is plain HTTP off this machine: token and values would travel in clear text"),
        _ => bail!("`{addr}` is neither http nor https"),
    }
}
