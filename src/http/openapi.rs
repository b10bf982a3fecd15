//! `GET /openapi.json`: the native door's description, made from the catalogue.

use crate::actions::{ACTIONS, Action, BUNDLES, Level, Served, row};
use actix_web::{HttpResponse, Resource, guard, web};
use serde_json::{Map, Value, json};

/// The route.
pub fn route() -> Resource {
    web::resource("/openapi.json").guard(guard::Get()).to(|| async { HttpResponse::Ok().json(document()) })
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
    let error = json!({
        "description": "The code's status; the codes are in policies/README.md and docs.",
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
    });
    json!({
        "post": {
            "operationId": name,
            "summary": summary,
            "description": description,
            "tags": [tag],
            "requestBody": { "content": { "application/json": { "schema": request_schema(name) } } },
            "responses": {
                "200": { "description": "Done and recorded.", "headers": locator_headers() },
                "400": error, "401": error, "403": error, "404": error, "409": error,
                "413": error, "429": error, "431": error, "500": error, "503": error,
            },
        },
    })
}

fn resource_text(level: Level) -> &'static str {
    match level {
        Level::Operation => "on no resource: an allow needs `*`",
        Level::Secret => "on the secret that it names",
        Level::Creation => "on the secret that it would make, with the caller as creator",
        Level::SecretOrOperation => "on the one secret that it is filtered by, else on no resource",
        Level::Key => "on the key that it names",
    }
}

/// The parameters of an action. The file is read by hand against the actions' own decoding; a test holds it against the
/// catalogue.
fn request_schema(name: &str) -> Value {
    let all: Map<String, Value> = serde_json::from_str(include_str!("openapi/parameters.json")).unwrap_or_default();
    all.get(name).cloned().unwrap_or_else(|| json!({ "type": "object" }))
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
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_has_every_served_action_with_its_parameters_and_no_other() {
        let all: Map<String, Value> = serde_json::from_str(include_str!("openapi/parameters.json")).unwrap();
        let described: Vec<&str> = all.keys().map(String::as_str).collect();
        let mut served: Vec<&str> =
            ACTIONS.iter().filter(|action| action.served == Served::Door).map(|action| action.name).collect();
        served.extend(BUNDLES.iter().map(|bundle| bundle.name));
        served.sort_unstable();
        assert_eq!(described, served);
        assert_eq!(document()["paths"].as_object().unwrap().len(), served.len());
    }
}
