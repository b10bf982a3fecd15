//! Rows of the attack checklist that show at the door, by number. Each asserts status, body and record.

mod folder;
mod http;
mod issuers;
mod keys;
mod names;
mod policies;
mod rates;
mod records;
mod rows;
mod sealing;
mod slow;
mod streams;
mod tls;
mod tokens;

pub(crate) use rows::{open, stored, write};

use crate::gateway::{Export, TestGateway};
use crate::wire::Reply;
use serde_json::{Value, json};

/// The reply without what differs from call to call: status, headers (sorted) and body, with the request id blanked.
fn shape(reply: &Reply) -> (u16, Vec<(String, String)>, String) {
    let own = ["date", "keyward-request-id", "keyward-audit-index", "keyward-audit-leaf"];
    let headers = reply.headers.iter().filter(|(name, _)| !own.contains(&name.as_str())).cloned();
    let headers = std::collections::BTreeSet::from_iter(headers).into_iter().collect();
    let body = String::from_utf8_lossy(&reply.bytes).replace(reply.request(), "<request>");
    (reply.status, headers, body)
}

/// A refused token: one answer for every cause, the cause in the record alone, nobody named.
fn check_refused(export: &Export, what: &str, reply: &Reply, reason: &str) {
    assert_eq!((reply.status, reply.code()), (401, "AuthFailure.TokenFailure"), "{what}");
    assert_eq!(reply.message(), "the token is not accepted", "{what}");
    assert_eq!(reply.header("www-authenticate"), Some("Bearer"), "{what}");
    let record = export.record_of(reply);
    assert_eq!(record["reason"], json!(reason), "{what}");
    let said = (&record["kind"], &record["decision"], &record["outcome"]);
    assert_eq!(said, (&json!("unauthenticated"), &json!("deny"), &json!("denied")), "{what}");
    for absent in ["principal", "issuer", "credential", "context", "policy", "resource", "value"] {
        assert!(record[absent].is_null(), "{what}: `{absent}` in {record}");
    }
}

/// Everything of a record that a known caller's malformed request leaves.
fn check_bad(export: &Export, what: &str, reply: &Reply, status: u16, code: &str) {
    assert_eq!((reply.status, reply.code()), (status, code), "{what}: {}", reply.body);
    let record = export.record_of(reply);
    let said = (&record["kind"], &record["decision"], &record["outcome"], &record["reason"]);
    assert_eq!(said, (&json!("access"), &json!("error"), &json!("failed"), &json!(code)), "{what}");
    assert!(record["principal"].is_string() && record["resource"].is_null(), "{what}: {record}");
}

/// A refusal by policy.
fn check_denied(export: &Export, what: &str, reply: &Reply, reason: &str) {
    assert_eq!((reply.status, reply.code()), (403, "UnauthorizedOperation"), "{what}: {}", reply.body);
    let record = export.record_of(reply);
    let said = (&record["kind"], &record["decision"], &record["outcome"], &record["reason"]);
    assert_eq!(said, (&json!("access"), &json!("deny"), &json!("denied"), &json!(reason)), "{what}");
    let deciding = record["policy"]["layers"][0]["statement"].is_u64();
    assert_eq!(deciding, reason == "explicit_deny", "{what}: {record}");
}

/// An allowed request that was done.
fn check_done(export: &Export, what: &str, reply: &Reply) {
    assert_eq!(reply.status, 200, "{what}: {}", reply.body);
    let record = export.record_of(reply);
    let said = (&record["kind"], &record["decision"], &record["outcome"], &record["reason"]);
    assert_eq!(said, (&json!("access"), &json!("allow"), &json!("ok"), &Value::Null), "{what}");
}

pub(crate) fn read(gateway: &TestGateway, token: &str, name: &str) -> Reply {
    gateway.call(token, "GetSecretValue", &json!({"SecretName": name}))
}
