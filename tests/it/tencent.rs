//! The door of Tencent Cloud's wire, as its SDKs see it.

mod bearer;
mod events;
mod sdk;
mod service;
mod sessions;
mod signed;
mod twins;
mod v1;

use crate::gateway::{Builder, TestGateway};
use crate::wire::{Connection, Reply};
use serde_json::{Value, json};

/// The version of ssm.
const SSM: &str = "2019-09-23";

/// A gateway with the door.
fn with_door() -> Builder {
    TestGateway::builder().set("tencent.enabled", true)
}

/// An answer of this door: always 200, exactly `application/json`, never stored, with a request id that is the record's.
fn unwrapped(mut reply: Reply) -> Reply {
    assert_eq!(reply.status, 200, "{reply:?}");
    let types: Vec<&str> = reply.headers.iter().filter(|(n, _)| n == "content-type").map(|(_, v)| v.as_str()).collect();
    assert_eq!(types, ["application/json"]);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("location"), None);
    assert_eq!(reply.body.as_object().map(serde_json::Map::len), Some(1), "{}", reply.body);
    reply.body = reply.body["Response"].take();
    assert_eq!(reply.text("RequestId"), reply.request());
    if let Some(error) = reply.body.get("Error") {
        assert!(error["Code"].is_string() && error["Message"].is_string(), "{error}");
    }
    reply
}

/// A request as a list of headers, none of them added.
fn send(gateway: &TestGateway, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let mut text = format!("{line} HTTP/1.1\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut connection = Connection::open(gateway.address());
    connection.send(&[text.as_bytes(), b"\r\n", body].concat());
    connection.reply().expect("a reply")
}

/// Headers as the SDKs send them, with a bearer token.
fn headers<'a>(action: &'a str, authorization: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("Host", "localhost"),
        ("Content-Type", "application/json"),
        ("Authorization", authorization),
        ("X-TC-Action", action),
        ("X-TC-Version", SSM),
        ("X-TC-Timestamp", "1800000000"),
        ("X-TC-RequestClient", "SDK_PYTHON_3.1.0"),
    ]
}

/// An action with a bearer token.
fn ask(gateway: &TestGateway, token: &str, action: &str, parameters: &Value) -> Reply {
    let authorization = format!("Bearer {token}");
    unwrapped(send(gateway, "POST /", &headers(action, &authorization), parameters.to_string().as_bytes()))
}

/// The same by the administrator.
fn admin(gateway: &TestGateway, action: &str, parameters: &Value) -> Reply {
    ask(gateway, gateway.admin(), action, parameters)
}

/// A secret's name as parameters.
fn named(name: &str) -> Value {
    json!({"SecretName": name})
}
