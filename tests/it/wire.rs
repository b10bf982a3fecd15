//! HTTP/1.1 by hand over one TCP connection: replies as they are on the wire, and requests that no client would send.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A reply.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Names in lower case, in the order of the wire.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) bytes: Vec<u8>,
    /// The body if it is JSON, else null.
    pub(crate) body: Value,
}

impl Reply {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The error's code, or `ok`.
    pub(crate) fn code(&self) -> &str {
        self.body.pointer("/Error/Code").and_then(Value::as_str).unwrap_or("ok")
    }

    /// The error's message.
    pub(crate) fn message(&self) -> &str {
        self.body.pointer("/Error/Message").and_then(Value::as_str).unwrap_or_default()
    }

    /// The index of its record, if it has one.
    pub(crate) fn index(&self) -> Option<u64> {
        self.header("keyward-audit-index").map(|text| text.parse().unwrap())
    }

    /// The leaf of its record, base64url.
    pub(crate) fn leaf(&self) -> Option<&str> {
        self.header("keyward-audit-leaf")
    }

    /// The request id of the header.
    pub(crate) fn request(&self) -> &str {
        self.header("keyward-request-id").unwrap_or_default()
    }

    /// A text field of the body.
    pub(crate) fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_else(|| panic!("no text `{field}` in {}", self.body))
    }

    /// Itself, if the call was done.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.body);
        self
    }
}

/// What a connection goes over.
trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// One connection.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    read: Vec<u8>,
}

/// What a connection gave back to bytes that may not be HTTP.
#[derive(Debug)]
pub(crate) struct Raw {
    /// Every reply until the server closed or fell silent.
    pub(crate) replies: Vec<Reply>,
    /// Whether the server closed the connection.
    pub(crate) closed: bool,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the gateway accepts connections");
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self::over(stream)
    }

    /// A connection over anything.
    pub(crate) fn over(stream: impl Read + Write + Send + 'static) -> Self {
        Self { stream: Box::new(stream), read: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        // The server may have answered and closed before it took all: what it said is what matters.
        let _closed_early = self.stream.write_all(bytes);
    }

    /// One request with a body, and its reply. `None` if the server closed the connection instead.
    pub(crate) fn request(&mut self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Reply> {
        let mut text = format!("{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        self.send(&[text.as_bytes(), body].concat());
        self.reply()
    }

    /// Reads one reply.
    pub(crate) fn reply(&mut self) -> Option<Reply> {
        let head_end = loop {
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                break end;
            }
            if !self.fill() {
                return None;
            }
        };
        let head = String::from_utf8(self.read.drain(..head_end + 4).collect()).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let mut reply = Reply { status, headers, ..Reply::default() };
        reply.bytes = match (reply.header("content-length"), reply.header("transfer-encoding")) {
            (Some(length), _) => self.take(length.parse().unwrap())?,
            (None, Some("chunked")) => self.chunks()?,
            _ => Vec::new(),
        };
        reply.body = serde_json::from_slice(&reply.bytes).unwrap_or_default();
        Some(reply)
    }

    fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line_end = loop {
                if let Some(end) = find(&self.read, b"\r\n") {
                    break end;
                }
                if !self.fill() {
                    return None;
                }
            };
            let line = String::from_utf8(self.read.drain(..line_end + 2).collect()).unwrap();
            let length = usize::from_str_radix(line.trim(), 16).unwrap();
            body.extend(self.take(length)?);
            self.take(2)?;
            if length == 0 {
                return Some(body);
            }
        }
    }

    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.read.len() < length {
            if !self.fill() {
                return None;
            }
        }
        Some(self.read.drain(..length).collect())
    }

    fn fill(&mut self) -> bool {
        let mut block = [0; 65_536];
        match self.stream.read(&mut block) {
            Ok(length) => {
                self.read.extend(&block[..length]);
                length > 0
            }
            Err(_) => false,
        }
    }

    /// Sends bytes as they are and collects what comes back, for at most `patience` of silence.
    pub(crate) fn raw(address: SocketAddr, bytes: &[u8], patience: Duration) -> Raw {
        let mut stream = TcpStream::connect(address).expect("the gateway accepts connections");
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(patience)).unwrap();
        let mut connection = Self::over(stream.try_clone().unwrap());
        connection.send(bytes);
        let mut replies = Vec::new();
        while let Some(reply) = connection.reply() {
            replies.push(reply);
        }
        let closed = matches!(stream.read(&mut [0; 1]), Ok(0))
            || stream.peer_addr().is_err()
            || matches!(stream.read(&mut [0; 1]), Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset);
        Raw { replies, closed }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
