//! A client that sends what was made ready beforehand, and does with a 503 what it asks for: tries again.

use crate::figures::Tally;
use serde_json::Value;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How often a request is sent until its 503 counts as an error.
const TRIES_MAX: u32 = 40;
/// How long is waited before the second try; twice as long before each further one, up to a second.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// `POST /v1/<action>` as bytes; without a token if it is empty.
pub(crate) fn request(action: &str, token: &str, body: &str) -> Vec<u8> {
    let credential = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    let length = body.len();
    format!(
        "POST /v1/{action} HTTP/1.1\r\nHost: localhost\r\n{credential}User-Agent: load/1\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A request that was made ready, and the status that it is to be answered with.
pub(crate) struct Asking {
    /// What it is counted under.
    pub(crate) what: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expected: u16,
    /// What else says that it was done, if an earlier try was not answered.
    pub(crate) done_before: Option<u16>,
}

impl Asking {
    /// A request to be answered with 200.
    pub(crate) fn new(action: &'static str, token: &str, parameters: &Value) -> Self {
        let bytes = request(action, token, &parameters.to_string());
        Self { what: action, bytes, expected: 200, done_before: None }
    }

    /// A request to be refused.
    pub(crate) fn refused(what: &'static str, expected: u16, bytes: Vec<u8>) -> Self {
        Self { what, bytes, expected, done_before: None }
    }

    /// After a try of which nobody knows whether it was carried out, `status` says that it was.
    pub(crate) fn or_done_before(self, status: u16) -> Self {
        Self { done_before: Some(status), ..self }
    }
}

/// A keep-alive connection with at most one request under way, opened again when the server has closed it.
pub(crate) struct Client {
    server: SocketAddr,
    from: Option<Ipv4Addr>,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
    /// Of the last answer: where its body begins and ends.
    body: (usize, usize),
}

impl Client {
    pub(crate) fn new(server: SocketAddr) -> Self {
        Self { server, from: None, stream: None, buffer: vec![0; 16 * 1024], body: (0, 0) }
    }

    /// The same from an address of the loopback's own network.
    pub(crate) fn new_from(server: SocketAddr, from: Ipv4Addr) -> Self {
        Self { from: Some(from), ..Self::new(server) }
    }

    /// Sends a request and takes its answer whole; the status.
    ///
    /// # Errors
    /// If the connection fails or ends before the answer does.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(self.server, self.from)?,
        };
        stream.write_all(request)?;
        let (status, keep) = self.receive(&mut stream)?;
        self.stream = keep.then_some(stream);
        Ok(status)
    }

    /// The last answer's body, if it is JSON.
    pub(crate) fn body(&self) -> Value {
        serde_json::from_slice(&self.buffer[self.body.0..self.body.1]).unwrap_or_default()
    }

    /// Of the last answer, if it is an error.
    fn message(&self) -> String {
        self.body().pointer("/Error/Message").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn receive(&mut self, stream: &mut TcpStream) -> io::Result<(u16, bool)> {
        let mut filled = 0;
        loop {
            if filled == self.buffer.len() {
                self.buffer.resize(filled * 2, 0);
            }
            let read = stream.read(&mut self.buffer[filled..])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += read;
            if let Some(head) = Head::read(&self.buffer[..filled])
                && filled >= head.bytes + head.body
            {
                self.body = (head.bytes, head.bytes + head.body);
                return Ok((head.status, head.keep));
            }
        }
    }

    /// Sends a request until it is answered otherwise than with 503; every 503, and what is not the expected answer, is
    /// noted in `tally`. Whether it was answered as expected.
    pub(crate) fn insist(&mut self, asking: &Asking, tally: &mut Tally) -> bool {
        let mut wait = FIRST_WAIT;
        for tried in 0..TRIES_MAX {
            let done_before = asking.done_before.filter(|_| tried > 0);
            match self.exchange(&asking.bytes) {
                Ok(status) if status == asking.expected || Some(status) == done_before => {
                    tally.expected(asking.what);
                    return true;
                }
                Ok(503) => tally.retried(&format!("503 {}", self.message())),
                Ok(status) => {
                    tally.wrong(format!("{}: {status} {}", asking.what, self.message()));
                    return false;
                }
                // A keep-alive connection that the server gave up: asked again on a new one.
                Err(error) => tally.retried(&format!("connection: {}", error.kind())),
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        tally.wrong(format!("{}: not answered in {TRIES_MAX} tries", asking.what));
        false
    }
}

/// What the head of an answer says.
struct Head {
    status: u16,
    bytes: usize,
    body: usize,
    keep: bool,
}

impl Head {
    fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let text = std::str::from_utf8(&bytes[..end]).ok()?.to_ascii_lowercase();
        let status = text.get(9..12)?.parse().ok()?;
        let field = |name: &str| text.split("\r\n").find_map(|line| line.strip_prefix(name)).map(str::trim);
        let body = field("content-length:").map_or(0, |length| length.parse().expect("a length"));
        Some(Self { status, bytes: end + 4, body, keep: field("connection:") != Some("close") })
    }
}

fn connect(server: SocketAddr, from: Option<Ipv4Addr>) -> io::Result<TcpStream> {
    let stream = match from {
        None => TcpStream::connect(server)?,
        Some(from) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
            let stream = runtime.block_on(async {
                let socket = tokio::net::TcpSocket::new_v4()?;
                socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
                socket.connect(server).await?.into_std()
            })?;
            stream.set_nonblocking(false)?;
            stream
        }
    };
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(stream)
}
