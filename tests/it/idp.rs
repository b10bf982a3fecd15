//! An identity provider as far as the gateway sees one: a small server that answers what it is told to, and keys that
//! sign the tokens of the kinds met outside.

use crate::certificates::Identity;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What the server answers on a path.
#[derive(Clone)]
pub(crate) enum Answer {
    /// 200 with this body.
    Body(Vec<u8>),
    /// These bytes, whatever they are.
    Raw(Vec<u8>),
    /// A head, and then one byte now and then, until the client has had enough.
    Drip,
}

impl Answer {
    pub(crate) fn json(value: &Value) -> Self {
        Self::Body(value.to_string().into_bytes())
    }

    pub(crate) fn status(line: &str, headers: &str) -> Self {
        Self::Raw(format!("HTTP/1.1 {line}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n").into_bytes())
    }
}

#[derive(Default)]
struct State {
    answers: Mutex<BTreeMap<String, Answer>>,
    calls: AtomicUsize,
}

/// A server on a loopback port; it lives as long as the process.
#[derive(Clone)]
pub(crate) struct Idp {
    address: SocketAddr,
    scheme: &'static str,
    state: Arc<State>,
}

impl Idp {
    /// Plain HTTP.
    pub(crate) fn start() -> Self {
        Self::serve("http", |stream, state| answer(stream, &state))
    }

    /// HTTPS with this certificate.
    pub(crate) fn start_tls(identity: &Identity) -> Self {
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let config =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate], key)
                .unwrap();
        let config = Arc::new(config);
        Self::serve("https", move |stream, state| {
            let tls = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            answer(rustls::StreamOwned::new(tls, stream), &state);
        })
    }

    fn serve(scheme: &'static str, each: impl Fn(TcpStream, Arc<State>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (state, each) = (Arc::new(State::default()), Arc::new(each));
        let seen = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (each, state) = (Arc::clone(&each), Arc::clone(&seen));
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                std::thread::spawn(move || each(stream, state));
            }
        });
        Self { address, scheme, state }
    }

    /// Its URL by address or, over TLS, by the name `localhost`; without a slash at the end.
    pub(crate) fn url(&self) -> String {
        let host = if self.scheme == "https" { "localhost" } else { "127.0.0.1" };
        format!("{}://{host}:{}", self.scheme, self.address.port())
    }

    /// What it answers from now on.
    pub(crate) fn answer(&self, path: &str, answer: Answer) {
        self.state.answers.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), answer);
    }

    /// Serves these keys at `/keys`.
    pub(crate) fn keys(&self, keys: &[Value]) {
        self.answer("/keys", Answer::json(&json!({"keys": keys})));
    }

    /// Serves a discovery document of itself that says where the keys are.
    pub(crate) fn discovery(&self, jwks_uri: &str) {
        let document = json!({"issuer": self.url(), "jwks_uri": jwks_uri, "response_types_supported": ["code"]});
        self.answer("/.well-known/openid-configuration", Answer::json(&document));
    }

    /// How many requests it has had.
    pub(crate) fn calls(&self) -> usize {
        self.state.calls.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: impl Read + Write, state: &State) {
    let (mut head, mut byte) = (Vec::new(), [0; 1]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    state.calls.fetch_add(1, Ordering::SeqCst);
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let answers = state.answers.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
    // The gateway may have had enough and be gone.
    let _gone = match answers.get(path) {
        Some(Answer::Body(body)) => stream
            .write_all(format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes())
            .and_then(|()| stream.write_all(body)),
        Some(Answer::Raw(bytes)) => stream.write_all(bytes),
        Some(Answer::Drip) => drip(&mut stream, head),
        None => stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    };
    let _gone = stream.flush();
}

fn drip(stream: &mut (impl Read + Write), head: &str) -> std::io::Result<()> {
    stream.write_all(format!("{head}Content-Length: 100000\r\n\r\n").as_bytes())?;
    loop {
        stream.write_all(b" ")?;
        stream.flush()?;
        std::thread::park_timeout(Duration::from_millis(200));
    }
}

/// An RSA key with a `kid`, as most providers have.
pub(crate) struct RsaKey {
    pub(crate) kid: String,
    pair: KeyPair,
}

impl RsaKey {
    pub(crate) fn new(kid: &str) -> Self {
        Self { kid: kid.to_owned(), pair: KeyPair::generate(KeySize::Rsa2048).unwrap() }
    }

    /// The public key as a member of a key set.
    pub(crate) fn jwk(&self) -> Value {
        // RFC 8017 A.1.1: 2,048 bits always give this layout.
        let der = self.pair.public_key().as_ref();
        assert_eq!(der[..9], [0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00]);
        let n = URL_SAFE_NO_PAD.encode(&der[9..265]);
        json!({"kty": "RSA", "alg": "RS256", "use": "sig", "kid": self.kid, "n": n, "e": "AQAB"})
    }

    /// A token of this header, completed by `alg` and `kid`, and these claims.
    pub(crate) fn sign(&self, mut header: Value, claims: &Value) -> String {
        header["alg"] = json!("RS256");
        header["kid"] = json!(self.kid);
        let text = [header.to_string(), claims.to_string()].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        let mut signature = vec![0; 256];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
