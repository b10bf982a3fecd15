//! The client of a running gateway that all client verbs share.

use super::{Context, Failure};
use crate::error::Code;
use crate::http::problem;
use anyhow::{Context as _, anyhow, bail};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde_json::Value;
use std::error::Error;
use std::io::{self, ErrorKind};
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
/// How often a gateway of this machine that refuses connections is asked again, and after which pause: it may be starting.
const STARTING_TRIES: u32 = 20;
const STARTING_PAUSE: Duration = Duration::from_millis(100);

/// How long an answer is waited for.
#[derive(Clone, Copy)]
struct Patience {
    /// For one that comes whole, from the request to its last byte.
    answer: Duration,
    /// For the next part of one that comes in parts.
    part: Duration,
}

impl Patience {
    /// No gateway takes so long: it makes the slowest key pair within seconds, and says how far it is where it reads a long trail.
    const ORDINARY: Self = Self { answer: Duration::from_secs(60), part: Duration::from_secs(300) };
}

impl ServerOptions {
    /// The address that was chosen by option or variable.
    pub(super) fn chosen(&self) -> Option<String> {
        let of_variable = || std::env::var(ADDR).ok().filter(|addr| !addr.is_empty());
        self.addr.clone().or_else(of_variable)
    }

    /// The same, or where a gateway is if nobody says.
    pub(super) fn addr(&self) -> String {
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
    patience: Patience,
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
    /// The key that was named in the request.
    pub(super) key: Option<String>,
}

impl Refused {
    /// Whether it is for want of a right, or of a token that is accepted.
    pub(super) fn is_denial(&self) -> bool {
        matches!(self.status, 401 | 403)
    }

    /// What is said of one item of a call, in an answer.
    pub(super) fn of_item(action: &str, request: &str, item: &Value) -> Self {
        let text = |field: &str| item.get(field).and_then(Value::as_str).unwrap_or("?").to_owned();
        let code = text("Code");
        let known = Code::ALL.iter().find(|known| known.as_str() == code);
        let status = known.map_or(0, |code| problem::status(*code).as_u16());
        let message = without_request(&text("Message"), request);
        Self { action: action.to_owned(), status, code, message, request: request.to_owned(), key: None }
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
        Self::of(options, authorization, Patience::ORDINARY)
    }

    fn of(options: &ServerOptions, authorization: HeaderValue, patience: Patience) -> Result<Self, Failure> {
        let addr = options.addr().trim_end_matches('/').to_owned();
        let (builder, base) = builder(&addr).map_err(|error| Failure::Usage(error.to_string()))?;
        let http = with_certificates(builder.read_timeout(patience.part), options)?.build()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { http, addr, base, authorization, patience, runtime })
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
        let request = self.request(action, parameters)?.timeout(self.patience.answer);
        self.runtime.block_on(async {
            let response = self.accepted(action, parameters, self.send(request).await?).await?;
            let status = response.status().as_u16();
            let body = Zeroizing::new(response.bytes().await.map_err(|error| self.unreachable(&error))?.to_vec());
            Ok(serde_json::from_slice(&body).map_err(|_| self.no_gateway(status))?)
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
            let mut response = self.accepted(action, parameters, self.send(request).await?).await?;
            while let Some(block) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
                each(&block)?;
            }
            Ok(())
        })
    }

    /// Sends a request.
    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<reqwest::Response> {
        let tries = if is_of_this_machine(&self.addr) { STARTING_TRIES } else { 0 };
        let sent = once_it_listens(tries, || request.try_clone().map(reqwest::RequestBuilder::send)).await;
        let Some(sent) = sent else { bail!("the request cannot be sent") };
        sent.map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &reqwest::Error) -> anyhow::Error {
        let (addr, why) = (&self.addr, innermost(error));
        match (error.is_connect(), error.is_timeout()) {
            // A Unix socket that is not there is not found.
            (true, _) if failed_by(error, &[ErrorKind::ConnectionRefused, ErrorKind::NotFound]) => {
                anyhow!("no gateway answers at {addr} (is `keyward serve` running? is KEYWARD_ADDR right?)")
            }
            (true, _) => anyhow!("cannot connect to a gateway at {addr}: {why}"),
            (false, true) => anyhow!(
                "the gateway at {addr} did not answer in time; a change may have been made: look before you try again"
            ),
            (false, false) => anyhow!("the gateway at {addr} did not answer: {why}"),
        }
    }

    fn no_gateway(&self, status: u16) -> anyhow::Error {
        anyhow!("what answers at {} is no keyward gateway (HTTP {status})", self.addr)
    }

    /// The answer, if the gateway did what was asked.
    async fn accepted(
        &self,
        action: &str,
        parameters: &Value,
        response: reqwest::Response,
    ) -> Result<reqwest::Response, Failure> {
        let status = response.status().as_u16();
        if response.status().is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
        let (Some(code), Some(message)) = (text("/Error/Code"), text("/Error/Message")) else {
            return Err(self.no_gateway(status).into());
        };
        let request = text("/RequestId").unwrap_or("?").to_owned();
        let message = without_request(message, &request);
        let key = ["KmsKeyId", "KeyId"].into_iter().find_map(|name| parameters.get(name)?.as_str()).map(str::to_owned);
        let refused = Refused { action: action.to_owned(), status, code: code.to_owned(), message, request, key };
        Err(Failure::Refused(Box::new(refused)))
    }
}

/// Sends, again up to `tries` times where the connection is refused: nothing was sent then. `None` if there is nothing to send.
async fn once_it_listens<F: Future<Output = reqwest::Result<reqwest::Response>>>(
    tries: u32,
    mut send: impl FnMut() -> Option<F>,
) -> Option<reqwest::Result<reqwest::Response>> {
    let mut sent = send()?.await;
    for _ in 0..tries {
        match &sent {
            Err(error) if failed_by(error, &[ErrorKind::ConnectionRefused]) => {
                tokio::time::sleep(STARTING_PAUSE).await;
                sent = send()?.await;
            }
            Ok(_) | Err(_) => break,
        }
    }
    Some(sent)
}

/// A message without the request's id, which is told by itself.
fn without_request(message: &str, request: &str) -> String {
    message.replace(&format!("[request id:{request}]"), "")
}

/// An error and what brought it about, the innermost last.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(Some(error as &(dyn Error + 'static)), |&error| error.source())
}

fn innermost(error: &reqwest::Error) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

/// Whether the system says one of these.
fn failed_by(error: &reqwest::Error, kinds: &[ErrorKind]) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|error| kinds.contains(&error.kind()))
}

fn token(options: &ServerOptions) -> Result<Zeroizing<String>, Failure> {
    if let Some(file) = given(options.token_file.as_deref(), TOKEN_FILE) {
        let text = std::fs::read_to_string(&file).map(Zeroizing::new);
        let text = text.with_context(|| format!("cannot read the token in `{}`", file.display()))?;
        if text.trim().is_empty() {
            return Err(Failure::Usage(format!("`{}` holds no token", file.display())));
        }
        return Ok(text);
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
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(&url) => Ok(()),
        "http" => bail!("`{addr}` is plain HTTP off this machine: token and values would travel in clear text"),
        _ => bail!("`{addr}` is neither http nor https"),
    }
}

fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether an address is reached over the loopback.
fn is_of_this_machine(addr: &str) -> bool {
    reqwest::Url::parse(addr).is_ok_and(|url| is_loopback(&url))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    /// A client of a peer that takes connections, sends `begun` on the first and says no more.
    fn of_silent_peer(begun: &'static [u8]) -> (Client, std::thread::JoinHandle<std::net::TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = Some(format!("http://{}", listener.local_addr().unwrap()));
        let options = ServerOptions { addr, token_file: None, cacert: None, client_cert: None, client_key: None };
        let patience = Patience { answer: Duration::from_millis(200), part: Duration::from_millis(200) };
        let peer = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _asked = stream.read(&mut [0; 4096]).unwrap();
            stream.write_all(begun).unwrap();
            stream
        });
        (Client::of(&options, HeaderValue::from_static("Bearer x"), patience).unwrap(), peer)
    }

    fn said<T>(ended: Result<T, Failure>) -> String {
        match ended {
            Err(Failure::Failed(error)) => error.to_string(),
            Err(_) | Ok(_) => panic!("it did not fail by itself"),
        }
    }

    #[test]
    fn a_peer_that_says_nothing_is_not_waited_for_for_ever() {
        let begun: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{";
        for begun in [b"", begun] {
            let (client, peer) = of_silent_peer(begun);
            let error = said(client.call("ListSecrets", &json!({})));
            assert!(error.contains("did not answer in time"), "{error}");
            drop(peer.join());
            let (client, peer) = of_silent_peer(begun);
            let error = said(client.stream("ExportRecords", &json!({}), |_| Ok(())));
            assert!(error.contains("did not answer in time"), "{error}");
            drop(peer.join());
        }
    }

    #[test]
    fn who_starts_listening_meanwhile_is_reached() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let http = careful().build().unwrap();
        let (mut tries, mut answering) = (0, None);
        let mut send = || {
            tries += 1;
            if tries == 3 {
                let listener = TcpListener::bind(address).unwrap();
                answering = Some(std::thread::spawn(move || {
                    let (mut stream, _) = listener.accept().unwrap();
                    let _asked = stream.read(&mut [0; 4096]).unwrap();
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
                    stream
                }));
            }
            Some(http.get(format!("http://{address}")).send())
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let refused = runtime.block_on(once_it_listens(1, &mut send)).unwrap().unwrap_err();
        assert!(failed_by(&refused, &[ErrorKind::ConnectionRefused]), "{refused:?}");
        assert_eq!(runtime.block_on(once_it_listens(1, &mut send)).unwrap().unwrap().status(), 200);
        assert_eq!(tries, 3);
        drop(answering.unwrap().join());
    }
}
