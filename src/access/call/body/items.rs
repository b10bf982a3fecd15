//! The body of an answer to a call of several items: those that were served, and those that were not, each with its place
//! in the call and in the log.

use super::{Answer, Bytes, Content, Dialect, Written, leaf_text, to_bytes};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Reply<'a> {
    secret_values: Vec<Served<'a>>,
    errors: Vec<Refused<'a>>,
    request_id: &'a str,
}

/// Where an item stands in the call, and its record in the log; an item that could not be recorded has none.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Served<'a> {
    item: usize,
    secret_name: &'a str,
    version_id: &'a str,
    secret_binary: &'a str,
    secret_string: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_leaf: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Refused<'a> {
    item: usize,
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_leaf: Option<String>,
}

/// Writes the answers in their order.
pub(super) fn body(answers: &[Answer], request: &str, dialect: Dialect) -> Bytes {
    let written: Vec<Option<Written<'_>>> = answers.iter().map(written).collect();
    let mut reply = Reply { secret_values: Vec::new(), errors: Vec::new(), request_id: request };
    for (item, (answer, value)) in answers.iter().zip(&written).enumerate() {
        let (audit_index, audit_leaf) = (answer.locator.map(|at| at.index), answer.locator.as_ref().map(leaf_text));
        match (&answer.content, value) {
            (Content::Secret { servable, .. }, Some(value)) => reply.secret_values.push(Served {
                item,
                secret_name: servable.row.name.as_str(),
                version_id: servable.version.id.as_str(),
                secret_binary: &value.binary,
                secret_string: value.text,
                audit_index,
                audit_leaf,
            }),
            (content, _) => {
                let (code, message) = match content {
                    Content::Error(error) => (error.code.as_str(), error.message.as_str()),
                    _ => ("InternalError", "the item has no answer"),
                };
                reply.errors.push(Refused { item, code, message, audit_index, audit_leaf });
            }
        }
    }
    let bytes = written.iter().flatten().map(Written::bytes).fold(0, usize::saturating_add);
    to_bytes(&reply, bytes.saturating_add(answers.len().saturating_mul(1_024)), dialect)
}

fn written(answer: &Answer) -> Option<Written<'_>> {
    match &answer.content {
        Content::Secret { value, .. } => Some(Written::of(value)),
        _ => None,
    }
}
