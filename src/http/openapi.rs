//! `GET /openapi.json`: the native door's description, made from the catalogue. Beside the catalogue stand three files that are
//! read by hand: what an action takes, what it answers, and an example of each with a refusal. The examples are one story, which
//! a test plays against a gateway.

use crate::actions::{ACTIONS, Action, BUNDLES, Level, Served, row};
use actix_web::{HttpResponse, Resource, guard, web};
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

/// What each action takes, as a JSON schema.
const PARAMETERS: &str = include_str!("openapi/parameters.json");
/// What each answers.
const ANSWERS: &str = include_str!("openapi/answers.json");
/// A request, its answer, and a refusal of each.
const EXAMPLES: &str = include_str!("openapi/examples.json");
/// Each status of a refusal with a code that has it: what stands where an action has no example of its own.
const REFUSALS: [(u16, &str, &str); 10] = [
    (400, "InvalidParameter", "the body is not a JSON object"),
    (401, "AuthFailure.TokenFailure", "the token is not accepted"),
    (
        403,
        "UnauthorizedOperation",
        "you are not authorized to perform operation (...) resource (...) has no permission",
    ),
    (404, "ResourceNotFound", "the secret does not exist"),
    (409, "FailedOperation", "the secret is in state PendingDelete; call RestoreSecret first"),
    (413, "RequestSizeLimitExceeded", "the body is too large"),
    (429, "RequestLimitExceeded", "too many requests"),
    (431, "RequestSizeLimitExceeded.HeaderTooLarge", "the headers are too large"),
    (500, "InternalError", "an internal error"),
    (503, "AuditUnavailable", "the record cannot be made durable: nothing was done"),
];

/// The route.
pub fn route() -> Resource {
    let answer = || async { HttpResponse::Ok().content_type("application/json").body(bytes()) };
    web::resource("/openapi.json").guard(guard::Get()).to(answer)
}

/// The description as it is sent. SECURITY: it is made once, since anybody may ask for it and to make it takes long.
fn bytes() -> web::Bytes {
    static MADE: OnceLock<web::Bytes> = OnceLock::new();
    MADE.get_or_init(|| web::Bytes::from(document().to_string())).clone()
}

/// The description: one path for each action that this build serves.
#[must_use]
pub fn document() -> Value {
    let served = ACTIONS.iter().filter(|action| action.served == Served::Door);
    let actions = served.map(|action| {
        let text = format!("Policy action `{}`, {}.", action.full_name(), resource_text(action.level));
        (format!("/v1/{}", action.name), path(action.name, action.summary, &text, action.service.name()))
    });
    let bundles = BUNDLES.iter().map(|bundle| {
        let of = row(bundle.of).map(Action::full_name).unwrap_or_default();
        let text = format!("Each item is decided, recorded and answered by itself, as `{of}`.");
        (format!("/v1/{}", bundle.name), path(bundle.name, bundle.summary, &text, "ssm"))
    });
    let paths: Map<String, Value> = actions.chain(bundles).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "keyward, native door",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Every call is decided by policy and recorded before it is answered.",
        },
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } },
            "schemas": { "Error": error_schema() },
        },
    })
}

fn path(name: &str, summary: &str, description: &str, tag: &str) -> Value {
    let example = entry(EXAMPLES, name);
    let part = |field: &str| example.get(field).cloned().unwrap_or_default();
    json!({
        "post": {
            "operationId": name,
            "summary": summary,
            "description": description,
            "tags": [tag],
            "requestBody": { "content": { "application/json": {
                "schema": entry(PARAMETERS, name), "example": part("request"),
            } } },
            "responses": responses(entry(ANSWERS, name), part("answer"), &part("refused")),
        },
    })
}

/// The answer, then a refusal for each status that there is; one of them with the action's own example.
fn responses(schema: Value, answer: Value, refused: &Value) -> Value {
    let form = if answer.is_string() { "application/octet-stream" } else { "application/json" };
    let mut responses = Map::new();
    let content = json!({ form: { "schema": schema, "example": answer } });
    responses.insert(
        "200".to_owned(),
        json!({ "description": "Done and recorded.", "headers": locator_headers(), "content": content }),
    );
    let own = refused.get("status").and_then(Value::as_u64);
    for (status, code, message) in REFUSALS {
        let example = match own {
            Some(own) if own == u64::from(status) => error(refused.get("Code"), refused.get("Message")),
            _ => error(Some(&Value::from(code)), Some(&Value::from(message))),
        };
        let schema = json!({ "$ref": "#/components/schemas/Error" });
        let content = json!({ "application/json": { "schema": schema, "example": example } });
        responses.insert(status.to_string(), json!({ "description": code, "content": content }));
    }
    if let (Some(own), Some(request)) = (own, refused.get("request")) {
        let text = format!("{} for the request {request}", refused.get("Code").and_then(Value::as_str).unwrap_or("?"));
        if let Some(response) = responses.get_mut(&own.to_string()) {
            response["description"] = Value::from(text);
        }
    }
    Value::Object(responses)
}

fn error(code: Option<&Value>, message: Option<&Value>) -> Value {
    json!({ "Error": { "Code": code, "Message": message }, "RequestId": "5f0c2a7e-91d4-4b7c-8a36-000000d0e100" })
}

fn resource_text(level: Level) -> &'static str {
    match level {
        Level::Operation => "on no resource: an allow needs `*`",
        Level::Secret => "on the secret that it names",
        Level::Creation => "on the secret that it would make, with the caller as creator",
        Level::SecretOrOperation => "on the one secret that it is filtered by, else on no resource",
        Level::Key => "on the key that it names",
        Level::Role => {
            "on the role that it names, whose trust policy decides; AssumeRole needs an allow on `*` besides"
        }
    }
}

/// What a file says of an action; tests hold the files against the catalogue.
fn entry(file: &str, name: &str) -> Value {
    let all: Map<String, Value> = serde_json::from_str(file).unwrap_or_default();
    all.get(name).cloned().unwrap_or_default()
}

fn error_schema() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "properties": {
            "Error": { "type": "object", "properties": { "Code": text, "Message": text } },
            "RequestId": { "type": "string", "format": "uuid" },
        },
    })
}

fn locator_headers() -> Value {
    let header = |text: &str| json!({ "description": text, "schema": { "type": "string" } });
    json!({
        "Keyward-Request-Id": header("the same UUID as in the record"),
        "Keyward-Audit-Index": header("the record's index"),
        "Keyward-Audit-Leaf": header("the record's leaf hash, base64url"),
        "Keyward-Audit-Checkpoint": header(
            "if the request had `Prefer: audit-checkpoint`: the newest signed checkpoint, a note in base64url without padding"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::http::problem::status;

    #[test]
    fn attack_f06_the_description_is_made_once() {
        let sent = bytes();
        assert_eq!(sent.as_ptr(), bytes().as_ptr(), "the same bytes");
        assert_eq!(serde_json::from_slice::<Value>(&sent).unwrap(), document());
    }

    #[test]
    fn the_description_has_every_served_action_with_its_parameters_answer_and_examples_and_no_other() {
        let mut served: Vec<&str> =
            ACTIONS.iter().filter(|action| action.served == Served::Door).map(|action| action.name).collect();
        served.extend(BUNDLES.iter().map(|bundle| bundle.name));
        served.sort_unstable();
        for (file, text) in [("parameters", PARAMETERS), ("answers", ANSWERS), ("examples", EXAMPLES)] {
            let all: Map<String, Value> = serde_json::from_str(text).unwrap();
            let described: Vec<&str> = all.keys().map(String::as_str).collect();
            assert_eq!(described, served, "openapi/{file}.json");
        }
        assert_eq!(document()["paths"].as_object().unwrap().len(), served.len());
        for name in served {
            let example = entry(EXAMPLES, name);
            let fields: Vec<&str> = example.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(fields, ["answer", "refused", "request"], "{name}");
        }
    }

    #[test]
    fn refusals_have_codes_that_there_are_with_the_status_that_they_have() {
        let status_of = |text: &str| {
            let code = Code::ALL.iter().find(|code| code.as_str() == text);
            code.map(|code| status(*code).as_u16()).unwrap_or_else(|| panic!("`{text}` is no code"))
        };
        for (status, code, _) in REFUSALS {
            assert_eq!(status_of(code), status);
        }
        let all: Map<String, Value> = serde_json::from_str(EXAMPLES).unwrap();
        for (name, example) in all {
            let refused = &example["refused"];
            assert_eq!(
                Some(u64::from(status_of(refused["Code"].as_str().unwrap()))),
                refused["status"].as_u64(),
                "{name}"
            );
        }
    }
}
