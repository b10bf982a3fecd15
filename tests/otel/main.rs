//! Traces as a collector receives them: a gateway that was built with the feature `otel` is run and asked, and what it sends
//! is read by a decoder of the test's own. `make otel` runs it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod collector;
#[expect(dead_code, reason = "what the other tests of the gateway need besides")]
#[path = "../it/gateway.rs"]
mod gateway;
#[expect(dead_code, reason = "what the other tests of the gateway need besides")]
#[path = "../it/installation.rs"]
mod installation;
#[expect(dead_code, reason = "what the other tests of the gateway need besides")]
#[path = "../it/token.rs"]
mod token;
#[expect(dead_code, reason = "what the other tests of the gateway need besides")]
#[path = "../it/wire.rs"]
mod wire;

use collector::{Collector, Span};
use gateway::TestGateway;
use installation::Policies;
use serde_json::json;
use std::collections::BTreeSet;
use wire::Reply;

/// Stands in every name, value and claim that the test uses; nothing that is sent may hold it.
const MARKER: &str = "zebra";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn gateway(collector: &Collector) -> TestGateway {
    let policies = Policies::default()
        .allow("zebra-read", &["ssm:GetSecretValue"], "*")
        .attach("zebra-read", &["group/dev/zebras"]);
    TestGateway::builder().policies(policies).set("telemetry.traces_url", collector.url()).start()
}

/// A call as a caller that is traced itself makes it.
fn traced(gateway: &TestGateway, token: &str, action: &str, body: &str) -> Reply {
    let headers = [
        ("Authorization", format!("Bearer {token}")),
        ("traceparent", format!("00-{TRACE}-{PARENT}-01")),
        ("tracestate", format!("{MARKER}={MARKER}")),
        ("baggage", format!("{MARKER}={MARKER}")),
        ("User-Agent", format!("{MARKER}/1.0")),
    ];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    gateway.call_with(&headers, action, body)
}

/// The span of a request, and those of its stages by name.
fn request<'a>(spans: &'a [Span], reply: &Reply) -> (&'a Span, Vec<&'a str>) {
    let is_it = |span: &&Span| span.text("keyward.request") == Some(reply.request());
    let [span] = spans.iter().filter(is_it).collect::<Vec<_>>()[..] else {
        panic!("not one span for {}", reply.request());
    };
    let stages: Vec<&Span> = spans.iter().filter(|stage| stage.parent.as_ref() == Some(&span.id)).collect();
    for stage in &stages {
        assert_eq!((&stage.trace, stage.kind), (&span.trace, 1));
        assert!(
            span.begin <= stage.begin && stage.begin <= stage.end && stage.end <= span.end,
            "{stage:?} in {span:?}"
        );
        assert!(stage.attributes.is_empty(), "{stage:?}");
    }
    let mut names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
    names.sort_unstable();
    (span, names)
}

fn check(spans: &[Span], reply: &Reply, name: &str, code: Option<&str>, stages: &[&str]) {
    let (span, found) = request(spans, reply);
    assert_eq!((span.name.as_str(), span.kind, found.as_slice()), (name, 2, stages));
    assert_eq!(span.number("http.response.status_code"), Some(u64::from(reply.status)));
    assert_eq!(span.number("keyward.index"), reply.index());
    assert_eq!((span.text("keyward.code"), span.text("keyward.door")), (code, Some("native")));
    assert_eq!(span.is_error, reply.status >= 500);
}

#[test]
fn i04_a_request_is_a_span_with_its_stages_and_holds_no_name_value_caller_or_token() {
    let collector = Collector::start();
    let gateway = gateway(&collector);
    gateway.create("zebra/db", "zebra-value");
    let reader = gateway.token("zebra-sub", &["zebras"], &["zebra-role"], 60);
    let stranger = gateway.token("zebra-stranger", &[], &[], 60);
    let named = json!({"SecretName": "zebra/db"}).to_string();
    let read = traced(&gateway, &reader, "GetSecretValue", &named).ok();
    let denied = traced(&gateway, &stranger, "GetSecretValue", &named);
    let missing = traced(&gateway, &reader, "GetSecretValue", &json!({"SecretName": "zebra/none"}).to_string());
    let unknown = traced(&gateway, &reader, "GetZebra", "{}");
    let refused = traced(&gateway, &format!("{reader}zebra"), "GetSecretValue", &named);
    let list = gateway.call(gateway.admin(), "ListSecrets", &json!({"SearchSecretName": "zebra"})).ok();
    let batch = json!({"Secrets": [{"SecretName": "zebra/db"}, {"SecretName": "zebra/none"}]}).to_string();
    let batch = traced(&gateway, &reader, "BatchGetSecretValue", &batch);
    let tokens = [reader.clone(), stranger.clone(), gateway.admin().to_owned()];
    gateway.finish();

    let spans = collector.spans();
    check(&spans, &read, "ssm:GetSecretValue", None, &["authenticate", "commit", "decide", "open"]);
    let (span, _) = request(&spans, &read);
    assert_eq!((span.trace.as_str(), span.parent.as_deref()), (TRACE, Some(PARENT)), "the caller's own trace goes on");
    let done = ["authenticate", "commit", "decide"];
    check(&spans, &denied, "ssm:GetSecretValue", Some("UnauthorizedOperation"), &done);
    check(&spans, &missing, "ssm:GetSecretValue", Some("ResourceNotFound.SecretNotExist"), &done);
    check(&spans, &unknown, "keyward:Unknown", Some("InvalidAction"), &done);
    check(&spans, &list, "ssm:ListSecrets", None, &done);
    let (_, stages) = request(&spans, &batch);
    assert_eq!(stages, ["authenticate", "commit", "commit", "decide", "decide", "decide", "open"], "{}", batch.body);
    assert_eq!(refused.status, 401);
    assert!(spans.iter().all(|span| span.text("keyward.request") != Some(refused.request())));

    let keys: BTreeSet<&str> = spans.iter().flat_map(|span| span.attributes.keys().map(String::as_str)).collect();
    let all = ["http.response.status_code", "keyward.code", "keyward.door", "keyward.index", "keyward.request"];
    assert!(keys.into_iter().eq(all), "the attributes that there are");
    let sent = collector.sent().to_ascii_lowercase();
    assert!(sent.contains("getsecretvalue") && !sent.contains(MARKER), "a name, a value or a claim was sent");
    for part in tokens.iter().flat_map(|token| token.split('.')) {
        assert!(!sent.contains(&part.to_ascii_lowercase()), "a part of a token was sent");
    }
}

#[test]
fn a_collector_that_is_not_there_costs_spans_and_no_request() {
    let gateway = gateway(&Collector::gone());
    gateway.create("zebra/db", "zebra-value");
    let read = traced(&gateway, gateway.admin(), "GetSecretValue", &json!({"SecretName": "zebra/db"}).to_string());
    assert_eq!(read.status, 200, "{}", read.body);
    gateway.finish();
}
