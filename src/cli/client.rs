//! The client of a running gateway that all client verbs share.

use super::{Context, Failure};
use anyhow::{Context as _, anyhow, bail};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde_json::Value;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

/// Where the gateway is and who asks.
#[derive(clap::Args)]
pub(super) struct ServerOptions {
    /// The gateway's address, for verbs that ask a running gateway
    #[arg(long, global = true, env = "KEYWARD_ADDR", default_value = "http://127.0.0.1:8743", value_name = "URL")]
    addr: String,
    /// A file that holds the token; else the environment variable KEYWARD_TOKEN does
    #[arg(long, global = true, env = "KEYWARD_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// A gateway that can be asked.
pub(super) struct Client {
    http: reqwest::Client,
    addr: String,
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
        refuse_plain_text_over_a_network(&addr)?;
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(5))
            .user_agent(concat!("keyward-cli/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { http, addr, authorization, runtime })
    }

    fn request(&self, action: &str, parameters: &Value) -> Result<reqwest::RequestBuilder, Failure> {
        // The body may hold a value; serde_json writes it once, into a buffer that is wiped with the request's drop at
        // the latest when the process ends.
        let body = serde_json::to_vec(parameters)?;
        let request = self.http.post(format!("{}/v1/{action}", self.addr));
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

/// SECURITY: a token and values go in clear text over plain HTTP; only this machine may see that.
fn refuse_plain_text_over_a_network(addr: &str) -> Result<(), Failure> {
    let check = || -> anyhow::Result<()> {
        let url = reqwest::Url::parse(addr).with_context(|| format!("`{addr}` is no address"))?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        match url.scheme() {
            "https" => Ok(()),
            "http" if local => Ok(()),
            "http" => bail!("`{addr}` is plain HTTP off this machine: token and values would travel in clear text"),
            _ => bail!("`{addr}` is neither http nor https"),
        }
    };
    check().map_err(|error| Failure::Usage(error.to_string()))
}
