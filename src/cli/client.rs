//! The client of a running gateway that all client verbs share.

use super::{Context, Failure};
use anyhow::{Context as _, anyhow, bail};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde_json::Value;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// Where the gateway is if nobody says.
const DEFAULT_ADDR: &str = "http://127.0.0.1:8743";
/// Variables of the environment that stand in for options.
const ADDR: &str = "KEYWARD_ADDR";
const TOKEN: &str = "KEYWARD_TOKEN";
const TOKEN_FILE: &str = "KEYWARD_TOKEN_FILE";
const CACERT: &str = "KEYWARD_CACERT";
const CLIENT_CERT: &str = "KEYWARD_CLIENT_CERT";
const CLIENT_KEY: &str = "KEYWARD_CLIENT_KEY";

/// Where the gateway is and who asks.
#[derive(clap::Args)]
pub(super) struct ServerOptions {
    /// The gateway: http://, https:// or unix:PATH of its socket [env: KEYWARD_ADDR] [default: http://127.0.0.1:8743]
    #[arg(long, global = true, value_name = "URL", help_heading = "Connection")]
    addr: Option<String>,
    /// A file that holds the token; else KEYWARD_TOKEN holds the token itself [env: KEYWARD_TOKEN_FILE]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    token_file: Option<PathBuf>,
    /// PEM certificates of the only authorities to trust, instead of the system's [env: KEYWARD_CACERT]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    cacert: Option<PathBuf>,
    /// The PEM certificate to show a gateway that asks for one [env: KEYWARD_CLIENT_CERT]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    client_cert: Option<PathBuf>,
    /// That certificate's PEM key [env: KEYWARD_CLIENT_KEY]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    client_key: Option<PathBuf>,
}

/// An option, or the variable that stands in for it. A variable that is empty is none.
pub(super) fn given(option: Option<&Path>, variable: &str) -> Option<PathBuf> {
    let of_variable = || std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    option.map(Path::to_owned).or_else(of_variable)
}

/// Longest wait for an answer of [`ServerOptions::ask`].
const ASKING_MAX: Duration = Duration::from_secs(10);

impl ServerOptions {
    /// The address that was chosen by option or variable.
    pub(super) fn chosen(&self) -> Option<String> {
        let of_variable = || std::env::var(ADDR).ok().filter(|addr| !addr.is_empty());
        self.addr.clone().or_else(of_variable)
    }

    fn addr(&self) -> String {
        self.chosen().unwrap_or_else(|| DEFAULT_ADDR.to_owned())
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
    match addr.strip_prefix("unix:") {
        Some(socket) => Ok((careful().unix_socket(Path::new(socket)), "http://localhost".to_owned())),
        None => Ok((over_network(addr)?, addr.to_owned())),
    }
}

/// A client for an http or https address, which is no plain HTTP off this machine.
pub(super) fn over_network(addr: &str) -> anyhow::Result<reqwest::ClientBuilder> {
    refuse_plain_text_over_a_network(addr)?;
    Ok(careful())
}

/// A client that goes where it is told to and nowhere else.
fn careful() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(Duration::from_secs(5))
        .user_agent(concat!("keyward-cli/", env!("CARGO_PKG_VERSION")))
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
    pub(super) action: String,
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
    /// The request id, which stands in the record as well.
    pub(super) request: String,
}

impl Client {
    /// A client with the token and address of the options.
    pub(super) fn new(context: &Context) -> Result<Self, Failure> {
        let options = &context.server;
        let token = token(options)?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            .map_err(|_| Failure::Usage("the token holds characters that no token has".to_owned()))?;
        authorization.set_sensitive(true);
        let addr = options.addr().trim_end_matches('/').to_owned();
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
            let response = accepted(action, response).await?;
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
            let mut response = accepted(action, response).await?;
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

async fn accepted(action: &str, response: reqwest::Response) -> Result<reqwest::Response, Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body: Value = serde_json::from_slice(&response.bytes().await?).unwrap_or_default();
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or("?").to_owned();
    let request = text("/RequestId");
    // The answer names the request by itself.
    let message = text("/Error/Message").replace(&format!("[request id:{request}]"), "");
    let refused =
        Refused { action: action.to_owned(), status: status.as_u16(), code: text("/Error/Code"), message, request };
    Err(Failure::Refused(Box::new(refused)))
}

fn token(options: &ServerOptions) -> Result<Zeroizing<String>, Failure> {
    if let Some(file) = given(options.token_file.as_deref(), TOKEN_FILE) {
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("cannot read the token in `{}`", file.display()))?;
        return Ok(Zeroizing::new(text));
    }
    match std::env::var(TOKEN) {
        Ok(token) if !token.trim().is_empty() => Ok(Zeroizing::new(token)),
        _ => Err(Failure::Usage(
            "no token: set KEYWARD_TOKEN, or KEYWARD_TOKEN_FILE or --token-file to a file that holds one (with the dev \
             issuer: export KEYWARD_TOKEN=$(keyward token issue --sub admin))"
                .to_owned(),
        )),
    }
}

/// Whom to trust, and what to show.
fn with_certificates(
    mut builder: reqwest::ClientBuilder,
    options: &ServerOptions,
) -> Result<reqwest::ClientBuilder, Failure> {
    if let Some(file) = given(options.cacert.as_deref(), CACERT) {
        builder = only_trusting(builder, &file)?;
    }
    let certificate = given(options.client_cert.as_deref(), CLIENT_CERT);
    match (certificate, given(options.client_key.as_deref(), CLIENT_KEY)) {
        (None, None) => Ok(builder),
        (Some(certificate), Some(key)) => {
            let both = Zeroizing::new([read(&certificate)?.as_slice(), b"\n", read(&key)?.as_slice()].concat());
            Ok(builder.identity(reqwest::Identity::from_pem(&both).map_err(|_| unfit(&key))?))
        }
        _ => Err(Failure::Usage("--client-cert and --client-key go together: give both or neither".to_owned())),
    }
}

/// The authorities of a PEM file, and no others.
pub(super) fn only_trusting(builder: reqwest::ClientBuilder, file: &Path) -> Result<reqwest::ClientBuilder, Failure> {
    let authorities = reqwest::Certificate::from_pem_bundle(&read(file)?).map_err(|_| unfit(file))?;
    if authorities.is_empty() { Err(unfit(file)) } else { Ok(builder.tls_certs_only(authorities)) }
}

fn read(file: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    std::fs::read(file).map(Zeroizing::new).with_context(|| format!("cannot read `{}`", file.display()))
}

fn unfit(file: &Path) -> Failure {
    Failure::Usage(format!("`{}` is not the PEM file that it should be", file.display()))
}

/// SECURITY: a token and values go in clear text over plain HTTP; only this machine may see that.
fn refuse_plain_text_over_a_network(addr: &str) -> anyhow::Result<()> {
    let url = reqwest::Url::parse(addr)
        .with_context(|| format!("`{addr}` is no address such as {DEFAULT_ADDR} or unix:PATH"))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => Ok(()),
        "http" if local => Ok(()),
        "http" => bail!("`{addr}` is plain HTTP off this machine: token and values would travel in clear text"),
        _ => bail!("`{addr}` is neither http nor https"),
    }
}
