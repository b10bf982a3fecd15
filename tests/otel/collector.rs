//! A collector: takes what is sent to it over HTTP, and reads it as opentelemetry-proto's `trace.proto` says.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

type Bodies = Arc<Mutex<Vec<Vec<u8>>>>;

/// It lives as long as the process.
pub(crate) struct Collector {
    address: SocketAddr,
    bodies: Bodies,
}

/// A span as it was received.
#[derive(Debug, Default)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: Option<String>,
    pub(crate) name: String,
    pub(crate) kind: u64,
    pub(crate) begin: u64,
    pub(crate) end: u64,
    pub(crate) attributes: BTreeMap<String, Attribute>,
    pub(crate) is_error: bool,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Attribute {
    Text(String),
    Number(u64),
}

impl Span {
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.attributes.get(key) {
            Some(Attribute::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        match self.attributes.get(key) {
            Some(Attribute::Number(number)) => Some(*number),
            _ => None,
        }
    }
}

impl Collector {
    /// Starts one on a loopback port.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, bodies) = (listener.local_addr().unwrap(), Bodies::default());
        let taken = Arc::clone(&bodies);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                take(&stream, &taken);
            }
        });
        Self { address, bodies }
    }

    /// One that nobody answers for.
    pub(crate) fn gone() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { address: listener.local_addr().unwrap(), bodies: Bodies::default() }
    }

    /// Where traces are to be sent.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1/traces", self.address)
    }

    /// Every byte that was sent, as text.
    pub(crate) fn sent(&self) -> String {
        String::from_utf8_lossy(&self.bodies.lock().unwrap().concat()).into_owned()
    }

    /// Every span that was sent.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let bodies = self.bodies.lock().unwrap();
        let resources = bodies.iter().flat_map(|body| messages(body, 1));
        let scopes = resources.flat_map(|resource| messages(resource, 2));
        scopes.flat_map(|scope| messages(scope, 2)).map(span).collect()
    }
}

/// Takes one request.
fn take(stream: &TcpStream, bodies: &Bodies) {
    let mut reader = BufReader::new(stream);
    let (mut head, mut line) = (String::new(), String::new());
    while reader.read_line(&mut line).unwrap() > 2 {
        head.push_str(&line.to_ascii_lowercase());
        line.clear();
    }
    assert!(
        head.starts_with("post /v1/traces ") && head.contains("content-type: application/x-protobuf\r\n"),
        "{head}"
    );
    let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    bodies.lock().unwrap().push(body);
    let mut stream = stream;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
}

/// A field of a message.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message with their numbers (Protocol Buffers, "Encoding").
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = number(&mut bytes);
        let field = match tag & 7 {
            0 => Field::Number(number(&mut bytes)),
            1 => Field::Number(u64::from_le_bytes(bytes.split_off(..8).unwrap().try_into().unwrap())),
            2 => {
                let length = usize::try_from(number(&mut bytes)).unwrap();
                Field::Bytes(bytes.split_off(..length).unwrap())
            }
            kind => panic!("no field of kind {kind} is sent"),
        };
        fields.push((tag >> 3, field));
    }
    fields
}

fn number(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = bytes.split_off_first().unwrap();
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return number;
        }
        shift += 7;
    }
}

/// The messages at a field.
fn messages(bytes: &[u8], field: u64) -> Vec<&[u8]> {
    let all = fields(bytes).into_iter().filter(|(number, _)| *number == field);
    all.filter_map(|(_, field)| if let Field::Bytes(bytes) = field { Some(bytes) } else { None }).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn span(bytes: &[u8]) -> Span {
    let mut span = Span::default();
    for (number, field) in fields(bytes) {
        match (number, field) {
            (1, Field::Bytes(bytes)) => span.trace = hex::encode(bytes),
            (2, Field::Bytes(bytes)) => span.id = hex::encode(bytes),
            (4, Field::Bytes(bytes)) => span.parent = Some(hex::encode(bytes)),
            (5, Field::Bytes(bytes)) => span.name = text(bytes),
            (6, Field::Number(kind)) => span.kind = kind,
            (7, Field::Number(time)) => span.begin = time,
            (8, Field::Number(time)) => span.end = time,
            (9, Field::Bytes(bytes)) => span.attributes.extend([attribute(bytes)]),
            (15, Field::Bytes(bytes)) => span.is_error = matches!(fields(bytes)[..], [(3, Field::Number(2))]),
            (number, _) => panic!("field {number} of a span is not sent"),
        }
    }
    span
}

fn attribute(bytes: &[u8]) -> (String, Attribute) {
    let (key, value) = (text(messages(bytes, 1)[0]), messages(bytes, 2)[0]);
    let value = match fields(value)[..] {
        [(1, Field::Bytes(bytes))] => Attribute::Text(text(bytes)),
        [(3, Field::Number(number))] => Attribute::Number(number),
        _ => panic!("`{key}` is neither text nor number"),
    };
    (key, value)
}
