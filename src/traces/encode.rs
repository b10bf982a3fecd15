//! Spans in the bytes that a collector takes: `ExportTraceServiceRequest` of opentelemetry-proto 1.x, as Protocol Buffers write it.
//!
//! By hand, since the crates that do it bring code generators into the build that RocksDB's bindings are made with, and
//! would compile its C++ again.

use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;
use std::time::{SystemTime, UNIX_EPOCH};

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
/// `STATUS_CODE_ERROR`
const STATUS_ERROR: u64 = 2;

/// The body of one export.
pub(super) fn request(spans: &[SpanData]) -> Vec<u8> {
    let mut resource = Message::default();
    resource.message(1, &text("service.name", "keyward"));
    resource.message(1, &text("service.version", env!("CARGO_PKG_VERSION")));
    let mut scope = Message::default();
    scope.bytes(1, b"keyward");
    let mut scope_spans = Message::default();
    scope_spans.message(1, &scope);
    for data in spans {
        scope_spans.message(2, &span(data));
    }
    let mut resource_spans = Message::default();
    resource_spans.message(1, &resource);
    resource_spans.message(2, &scope_spans);
    let mut request = Message::default();
    request.message(1, &resource_spans);
    request.0
}

fn span(data: &SpanData) -> Message {
    let mut span = Message::default();
    span.bytes(1, &data.span_context.trace_id().to_bytes());
    span.bytes(2, &data.span_context.span_id().to_bytes());
    if data.parent_span_id != SpanId::INVALID {
        span.bytes(4, &data.parent_span_id.to_bytes());
    }
    span.bytes(5, data.name.as_bytes());
    // `SPAN_KIND_SERVER` and `SPAN_KIND_INTERNAL`: there are no others here.
    span.varint(6, if data.span_kind == SpanKind::Server { 2 } else { 1 });
    span.fixed64(7, nanoseconds(data.start_time));
    span.fixed64(8, nanoseconds(data.end_time));
    for attribute in &data.attributes {
        span.message(9, &key_value(attribute));
    }
    if matches!(data.status, Status::Error { .. }) {
        let mut status = Message::default();
        status.varint(3, STATUS_ERROR);
        span.message(15, &status);
    }
    span
}

fn key_value(attribute: &KeyValue) -> Message {
    let key = attribute.key.as_str();
    match &attribute.value {
        Value::I64(number) => {
            let mut value = Message::default();
            value.varint(3, number.cast_unsigned());
            pair(key, &value)
        }
        other => text(key, &other.as_str()),
    }
}

fn text(key: &str, text: &str) -> Message {
    let mut value = Message::default();
    value.bytes(1, text.as_bytes());
    pair(key, &value)
}

fn pair(key: &str, value: &Message) -> Message {
    let mut pair = Message::default();
    pair.bytes(1, key.as_bytes());
    pair.message(2, value);
    pair
}

/// Since 1970.
fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// A message under construction; its fields are written in the order of the calls.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(&mut self, mut number: u64) {
        while number > 0x7f {
            let [low, ..] = number.to_le_bytes();
            self.0.push(low | 0x80);
            number >>= 7;
        }
        let [low, ..] = number.to_le_bytes();
        self.0.push(low);
    }

    fn tag(&mut self, field: u64, kind: u64) {
        self.number(field << 3 | kind);
    }

    fn varint(&mut self, field: u64, number: u64) {
        self.tag(field, VARINT);
        self.number(number);
    }

    fn fixed64(&mut self, field: u64, number: u64) {
        self.tag(field, FIXED64);
        self.0.extend(number.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.tag(field, BYTES);
        self.number(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, field: u64, message: &Self) {
        self.bytes(field, &message.0);
    }
}
