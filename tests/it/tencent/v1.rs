//! Requests by the older signatures, HmacSHA256 and HmacSHA1, in a form or a query.

use super::signed::Key;
use super::{SSM, named, send, unwrapped, with_door};
use crate::gateway::TestGateway;
use crate::token::now_s;
use crate::wire::Reply;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha1::Sha1;
use sha2::Sha256;
use std::collections::BTreeMap;

const HOST: &str = "localhost:8743";

/// A request as an SDK makes it.
#[derive(Clone)]
struct Ask {
    method: &'static str,
    pairs: BTreeMap<String, String>,
}

impl Ask {
    fn new(method: &'static str, hash: &str, key: &Key, action: &str, more: &[(&str, &str)]) -> Self {
        let common = [
            ("Action", action),
            ("Nonce", "12345"),
            ("RequestClient", "SDK_PYTHON_3.1.0"),
            ("SecretId", &key.id),
            ("SignatureMethod", hash),
            ("Timestamp", &now_s().to_string()),
            ("Version", SSM),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self { method, pairs: common.into_iter().chain(more).collect() }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.pairs.insert(name.to_owned(), value.to_owned());
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.pairs.remove(name);
        self
    }

    /// The naive signer.
    fn signed(self, key: &Key) -> Self {
        let joined: Vec<String> = self.pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let text = format!("{}{HOST}/?{}", self.method, joined.join("&"));
        let secret = key.secret.as_bytes();
        let signature = match self.pairs.get("SignatureMethod").map(String::as_str) {
            Some("HmacSHA256") => {
                Hmac::<Sha256>::new_from_slice(secret).unwrap().chain_update(&text).finalize().into_bytes().to_vec()
            }
            _ => Hmac::<Sha1>::new_from_slice(secret).unwrap().chain_update(&text).finalize().into_bytes().to_vec(),
        };
        self.with("Signature", &STANDARD.encode(signature))
    }

    fn form(&self) -> String {
        let encoded = |text: &str| -> String {
            let one = |byte: u8| match byte {
                b' ' => "+".to_owned(),
                byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            };
            text.bytes().map(one).collect()
        };
        let pairs = self.pairs.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        pairs.collect::<Vec<_>>().join("&")
    }

    fn send(&self, gateway: &TestGateway) -> Reply {
        self.send_form(gateway, &self.form())
    }

    fn send_form(&self, gateway: &TestGateway, form: &str) -> Reply {
        let headers = [("Host", HOST), ("Content-Type", "application/x-www-form-urlencoded")];
        let reply = match self.method {
            "GET" => send(gateway, &format!("GET /?{form}"), &headers, b""),
            _ => send(gateway, "POST /", &headers, form.as_bytes()),
        };
        unwrapped(reply)
    }
}

/// A read of `demo/db`.
fn read(method: &'static str, hash: &str, key: &Key) -> Ask {
    Ask::new(method, hash, key, "GetSecretValue", &[("SecretName", "demo/db")])
}

fn scene(switches: &[&str]) -> (TestGateway, Key) {
    let mut builder = with_door();
    for switch in switches {
        builder = builder.set(&format!("tencent.{switch}"), true);
    }
    let gateway = builder.start();
    gateway.create("demo/db", "value");
    let key = Key::of(&gateway, gateway.admin());
    (gateway, key)
}

#[test]
fn attack_l04_older_signatures_are_none_unless_their_own_switch_is_on() {
    for (switches, good) in [
        (vec![], vec![]),
        (vec!["hmac_sha256"], vec!["HmacSHA256"]),
        (vec!["hmac_sha1"], vec!["HmacSHA1"]),
        (vec!["hmac_sha1", "hmac_sha256"], vec!["HmacSHA1", "HmacSHA256"]),
    ] {
        let (gateway, key) = scene(&switches);
        for (method, hash) in [("POST", "HmacSHA256"), ("GET", "HmacSHA256"), ("POST", "HmacSHA1"), ("GET", "HmacSHA1")]
        {
            let reply = read(method, hash, &key).signed(&key).send(&gateway);
            if good.contains(&hash) {
                assert_eq!(reply.body["SecretString"], json!("value"), "{switches:?} {method} {hash}");
                let record = gateway.record_of(&reply);
                assert_eq!(record["credential"]["access_key"], json!(key.id));
                assert_eq!((&record["door"], &record["principal"]), (&json!("tencent"), &json!("user/dev/admin")));
                assert_eq!(record["user_agent"], json!("SDK_PYTHON_3.1.0"));
            } else {
                assert_eq!(reply.code(), "AuthFailure.InvalidAuthorization", "{switches:?} {method} {hash}");
            }
        }
        // Without a method it is HmacSHA1.
        let reply = read("POST", "HmacSHA1", &key).without("SignatureMethod").signed(&key).send(&gateway);
        assert_eq!(reply.code() == "ok", good.contains(&"HmacSHA1"));
        gateway.finish();
    }
}

#[test]
fn attack_l04_whatever_is_wrong_with_an_older_signature_has_its_code() {
    let (gateway, key) = scene(&["hmac_sha256"]);
    let good = read("POST", "HmacSHA256", &key);
    let code = |ask: Ask| ask.send(&gateway).code().to_owned();
    assert_eq!(code(good.clone().signed(&key)), "ok");
    for (name, value) in [
        ("SecretName", "demo/other"),
        ("Action", "DescribeSecret"),
        ("Version", "2018-08-13"),
        ("Region", "local"),
        ("Nonce", "12346"),
        ("Language", "zh-CN"),
        ("RequestClient", "x"),
    ] {
        assert_eq!(code(good.clone().signed(&key).with(name, value)), "AuthFailure.SignatureFailure", "{name}");
    }
    assert_eq!(code(good.clone().signed(&key).with("Token", "t")), "AuthFailure.TokenFailure");
    assert_eq!(code(good.clone().with("Token", "t").signed(&key)), "AuthFailure.TokenFailure", "it has none");
    let unknown = Key { id: format!("AKID{}", "x".repeat(28)), secret: key.secret.clone() };
    assert_eq!(code(read("POST", "HmacSHA256", &unknown).signed(&unknown)), "AuthFailure.SecretIdNotFound");
    let now = now_s();
    // That of 60 s ago is of before the start.
    for (stamp, expected) in
        [(now + 290, "ok"), (now - 60, "AuthFailure.SignatureExpire"), (now + 310, "AuthFailure.SignatureExpire")]
    {
        assert_eq!(code(good.clone().with("Timestamp", &stamp.to_string()).signed(&key)), expected, "{stamp}");
    }
    for name in ["SecretId", "Timestamp", "Nonce"] {
        assert_eq!(code(good.clone().without(name).signed(&key)), "AuthFailure.InvalidAuthorization", "{name}");
    }
    assert_eq!(code(good.clone()), "AuthFailure.InvalidAuthorization", "no signature");
    for (ask, expected) in [
        (good.clone().without("Action"), "MissingParameter"),
        (good.clone().without("Version"), "MissingParameter"),
        (good.clone().with("Version", "2018-08-13"), "InvalidAction"),
        (good.clone().with("Region", "elsewhere"), "UnsupportedRegion"),
        (good.clone().with("Colour", "red"), "UnknownParameter"),
        (good.clone().with("SecretName", "demo/none"), "ResourceNotFound.SecretNotExist"),
    ] {
        assert_eq!(code(ask.signed(&key)), expected);
    }
    let said = good.clone().with("Language", "zh-CN").with("SecretName", "demo/none").signed(&key).send(&gateway);
    assert!(!said.body["Error"]["Message"].as_str().unwrap().is_ascii(), "{}", said.body);
    gateway.finish();
}

#[test]
fn attack_l02_an_older_signature_that_is_shown_again_is_flagged_or_refused() {
    let (gateway, key) = scene(&["hmac_sha256"]);
    let ask = read("POST", "HmacSHA256", &key).signed(&key);
    let (first, again) = (ask.send(&gateway), ask.send(&gateway));
    assert_eq!((first.code(), again.code()), ("ok", "ok"));
    let flagged = |reply: &Reply| gateway.record_of(reply)["parameters"]["duplicate"].clone();
    assert_eq!((flagged(&first), flagged(&again)), (json!(null), json!(true)));
    gateway.finish();
    let gateway = with_door().set("tencent.hmac_sha256", true).set("tencent.repeat_window_ms", 0).start();
    gateway.create("demo/db", "value");
    let key = Key::of(&gateway, gateway.admin());
    let ask = read("POST", "HmacSHA256", &key).signed(&key);
    assert_eq!((ask.send(&gateway).code(), ask.send(&gateway).code()), ("ok", "AuthFailure.SignatureExpire"));
    gateway.finish();
}

#[test]
fn attack_l08_a_form_that_reads_two_ways_or_is_too_large_is_refused_and_recorded() {
    let (gateway, key) = scene(&["hmac_sha256"]);
    let good = read("POST", "HmacSHA256", &key).signed(&key);
    let form = good.form();
    for (form, expected) in [
        (format!("{form}&SecretName=demo%2Fother"), "InvalidParameter"),
        (format!("{form}&Action=DescribeSecret"), "InvalidParameter"),
        (format!("{form}&novalue"), "InvalidParameter"),
        (format!("{form}&a=%g0"), "InvalidParameter"),
        (format!("{form}&a=%ff"), "InvalidParameter"),
        (format!("{form}&a={}", "x".repeat(1 << 20)), "RequestSizeLimitExceeded"),
        (String::new(), "AuthFailure.InvalidAuthorization"),
    ] {
        let reply = good.send_form(&gateway, &form);
        assert_eq!(reply.code(), expected, "{:.80}", form);
    }
    let value = [("SecretName", "demo/new"), ("SecretString", "a&b=c %41 ä")];
    let create = Ask::new("GET", "HmacSHA256", &key, "CreateSecret", &value).signed(&key).send(&gateway);
    assert_eq!(create.code(), "UnsupportedOperation", "values come by POST alone");
    assert_eq!(Ask::new("POST", "HmacSHA256", &key, "CreateSecret", &value).signed(&key).send(&gateway).code(), "ok");
    let stored = gateway.call(gateway.admin(), "GetSecretValue", &named("demo/new")).ok();
    assert_eq!(stored.text("SecretString"), "a&b=c %41 ä");
    let tags = [("SecretName", "demo/db"), ("TagFilters.0.TagKey", "env")];
    let flat = Ask::new("POST", "HmacSHA256", &key, "ListSecrets", &tags[1..]).signed(&key).send(&gateway);
    assert_eq!(flat.body["TotalCount"], json!(0));
    let with_query = send(
        &gateway,
        "POST /?Action=ListSecrets",
        &[("Host", HOST), ("Content-Type", "application/x-www-form-urlencoded")],
        read("POST", "HmacSHA256", &key).with("Nonce", "7").signed(&key).form().as_bytes(),
    );
    assert_eq!(unwrapped(with_query).code(), "InvalidRequest");
    gateway.finish();
}
