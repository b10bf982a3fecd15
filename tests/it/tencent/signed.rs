//! Requests signed by access keys (TC3-HMAC-SHA256), as the SDKs and tccli send them.

use super::{SSM, named, send, unwrapped, with_door};
use crate::gateway::TestGateway;
use crate::installation::Policies;
use crate::token::{Issuer, now_s};
use crate::wire::Reply;
use chrono::DateTime;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// An access key with its secret.
pub(super) struct Key {
    pub(super) id: String,
    pub(super) secret: String,
}

impl Key {
    /// A new one of whoever the token is of.
    pub(super) fn of(gateway: &TestGateway, token: &str) -> Self {
        let made = gateway.call(token, "CreateAccessKey", &json!({})).ok();
        let text = |field: &str| made.body["AccessKey"][field].as_str().unwrap().to_owned();
        Self { id: text("AccessKeyId"), secret: text("SecretAccessKey") }
    }
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    hmac.update(text);
    hmac.finalize().into_bytes().to_vec()
}

/// A request as an SDK makes it; each field can be made wrong.
#[derive(Clone)]
struct Ask {
    action: String,
    service: String,
    host: String,
    timestamp: String,
    date: Option<String>,
    body: String,
    signed: Vec<(String, String)>,
    more: Vec<(String, String)>,
}

impl Ask {
    fn new(action: &str, parameters: &Value) -> Self {
        Self {
            action: action.to_owned(),
            service: "ssm".to_owned(),
            host: "localhost:8743".to_owned(),
            timestamp: now_s().to_string(),
            date: None,
            body: parameters.to_string(),
            signed: Vec::new(),
            more: Vec::new(),
        }
    }

    fn at(mut self, timestamp: u64) -> Self {
        self.timestamp = timestamp.to_string();
        self
    }

    /// The headers that are signed, in their order.
    fn covered(&self) -> Vec<(String, String)> {
        let mut covered =
            vec![("content-type".to_owned(), "application/json".to_owned()), ("host".to_owned(), self.host.clone())];
        covered.extend(self.signed.clone());
        covered.sort();
        covered
    }

    fn authorization(&self, key: &Key) -> String {
        let date = self.date.clone().unwrap_or_else(|| {
            let at = DateTime::from_timestamp(self.timestamp.parse().unwrap_or_default(), 0).unwrap();
            at.format("%Y-%m-%d").to_string()
        });
        let covered = self.covered();
        let lines: String = covered.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let names = covered.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
        let payload = hex::encode(Sha256::digest(&self.body));
        let canonical = hex::encode(Sha256::digest(format!("POST\n/\n\n{lines}\n{names}\n{payload}")));
        let scope = format!("{date}/{}/tc3_request", self.service);
        let text = format!("TC3-HMAC-SHA256\n{}\n{scope}\n{canonical}", self.timestamp);
        let date = hmac(format!("TC3{}", key.secret).as_bytes(), date.as_bytes());
        let signing = hmac(&hmac(&date, self.service.as_bytes()), b"tc3_request");
        let signature = hex::encode(hmac(&signing, text.as_bytes()));
        format!("TC3-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", key.id)
    }

    fn send(&self, gateway: &TestGateway, key: &Key) -> Reply {
        self.send_with(gateway, &self.authorization(key))
    }

    fn send_with(&self, gateway: &TestGateway, authorization: &str) -> Reply {
        let version = if self.service == "cam" { "2019-01-16" } else { SSM };
        let mut headers = vec![
            ("Host", self.host.as_str()),
            ("Content-Type", "application/json"),
            ("Authorization", authorization),
            ("X-TC-Action", &self.action),
            ("X-TC-Version", version),
            ("X-TC-Timestamp", &self.timestamp),
        ];
        headers.extend(self.more.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        unwrapped(send(gateway, "POST /", &headers, self.body.as_bytes()))
    }
}

/// A gateway with `demo/db`, and a key of its administrator.
fn scene(gateway: &TestGateway) -> Key {
    gateway.create("demo/db", "value");
    Key::of(gateway, gateway.admin())
}

#[test]
fn a_signed_request_has_the_rights_of_the_keys_principal_and_says_so_in_its_record() {
    let gateway = with_door().start();
    let key = scene(&gateway);
    for host in ["localhost:8743", "localhost", "http://127.0.0.1:8743"] {
        let mut ask = Ask::new("GetSecretValue", &named("demo/db"));
        ask.host = host.to_owned();
        let reply = ask.send(&gateway, &key);
        assert_eq!(reply.body["SecretString"], "value", "{host}: {}", reply.body);
        let record = gateway.record_of(&reply);
        assert_eq!((&record["principal"], &record["door"]), (&json!("user/dev/admin"), &json!("tencent")));
        assert_eq!(record["credential"]["access_key"], json!(key.id));
        assert_eq!(record["issuer"], Value::Null);
    }
    let stored = gateway.stop();
    let verified = stored.run(&["audit", "verify", "--decisions"]);
    assert_eq!(verified.code, 0, "{}{}", verified.out, verified.err);
    let written =
        std::fs::read_dir(stored.path("data/db")).unwrap().filter_map(|file| std::fs::read(file.unwrap().path()).ok());
    for bytes in written {
        assert!(!bytes.windows(key.secret.len()).any(|window| window == key.secret.as_bytes()), "a secret lies open");
    }
}

#[test]
fn attack_l01_the_action_asked_for_is_decided_whatever_the_signature_was_made_for() {
    let policies = Policies::default()
        .allow("describe", &["ssm:DescribeSecret", "cam:CreateAccessKey"], "*")
        .attach("describe", &["user/dev/reader"]);
    let gateway = with_door().policies(policies.clone()).set("tencent.repeat_window_ms", 300_000).start();
    gateway.create("demo/db", "value");
    let key = Key::of(&gateway, &gateway.token("reader", &[], &[], 600));
    let honest = Ask::new("DescribeSecret", &named("demo/db"));
    let authorization = honest.authorization(&key);
    assert_eq!(honest.send_with(&gateway, &authorization).code(), "ok");
    for other in ["GetSecretValue", "DeleteSecret", "DisableSecret"] {
        let swapped = Ask { action: other.to_owned(), ..honest.clone() };
        let reply = swapped.send_with(&gateway, &authorization);
        assert_eq!(reply.code(), "UnauthorizedOperation", "{other}");
        let record = gateway.record_of(&reply);
        assert_eq!(
            (&record["action"], &record["parameters"]["duplicate"]),
            (&json!(format!("ssm:{other}")), &json!(true))
        );
    }
    gateway.finish();
    let gateway = with_door().policies(policies).set("tencent.require_signed_action", true).start();
    gateway.create("demo/db", "value");
    let key = Key::of(&gateway, &gateway.token("reader", &[], &[], 600));
    let unsigned = Ask::new("DescribeSecret", &named("demo/db"));
    assert_eq!(unsigned.send(&gateway, &key).code(), "AuthFailure.InvalidAuthorization");
    let mut covering = unsigned;
    covering.signed = [("x-tc-action", "DescribeSecret"), ("x-tc-region", "local"), ("x-tc-version", SSM)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    covering.more = vec![("X-TC-Region".to_owned(), "local".to_owned())];
    assert_eq!(covering.send(&gateway, &key).code(), "ok");
    let authorization = covering.authorization(&key);
    let swapped = Ask { action: "GetSecretValue".to_owned(), ..covering };
    assert_eq!(swapped.send_with(&gateway, &authorization).code(), "AuthFailure.SignatureFailure");
    gateway.finish();
}

#[test]
fn attack_l02_a_signature_shown_again_is_flagged_within_the_window_and_refused_without_one() {
    let gateway = with_door().set("tencent.repeat_window_ms", 300_000).start();
    let key = scene(&gateway);
    let ask = Ask::new("DescribeSecret", &named("demo/db"));
    let flags: Vec<Value> =
        (0..3).map(|_| gateway.record_of(&ask.send(&gateway, &key))["parameters"]["duplicate"].clone()).collect();
    assert_eq!(flags, [Value::Null, json!(true), json!(true)]);
    gateway.finish();
    let gateway = with_door().set("tencent.repeat_window_ms", 0).record_every_refusal().start();
    let key = scene(&gateway);
    let ask = Ask::new("DescribeSecret", &named("demo/db"));
    assert_eq!(ask.send(&gateway, &key).code(), "ok");
    let again = ask.send(&gateway, &key);
    assert_eq!((again.code(), again.message()), ("AuthFailure.SignatureExpire", "signature already used"));
    let record = gateway.record_of(&again);
    assert_eq!((&record["kind"], &record["reason"]), (&json!("unauthenticated"), &json!("replayed")));
    assert_eq!(record["parameters"]["claimed_access_key"], json!(key.id));
    let gateway = gateway.restart();
    assert_eq!(ask.at(now_s() - 60).send(&gateway, &key).code(), "AuthFailure.SignatureExpire", "older than the start");
    gateway.finish();
}

#[test]
fn attack_l02_when_no_more_signatures_can_be_remembered_new_ones_are_refused() {
    let gateway = with_door().set("tencent.signatures", 2).start();
    let key = scene(&gateway);
    let ask = |name: &str| Ask::new("DescribeSecret", &named(name)).send(&gateway, &key).code().to_owned();
    assert_eq!(ask("demo/db"), "ok");
    assert_eq!(ask("demo/none"), "ResourceNotFound");
    for other in ["demo/a", "demo/b"] {
        assert_eq!(ask(other), "RequestLimitExceeded");
    }
    let reply = gateway.call(gateway.admin(), "DescribeSecret", &named("demo/db"));
    assert_eq!(reply.code(), "ok", "tokens are not held up");
    gateway.finish();
}

#[test]
fn attack_l03_a_stamp_that_is_off_and_a_date_that_is_not_its_own_are_told_apart() {
    let gateway = with_door().start();
    let key = scene(&gateway);
    let ask = || Ask::new("DescribeSecret", &named("demo/db"));
    for stamp in [now_s() - 330, now_s() + 330] {
        assert_eq!(ask().at(stamp).send(&gateway, &key).code(), "AuthFailure.SignatureExpire");
    }
    assert_eq!(ask().at(now_s() + 200).send(&gateway, &key).code(), "ok");
    for stamp in ["1.5", "-1", "now", "1800000000s"] {
        let ask = Ask { timestamp: stamp.to_owned(), ..ask() };
        assert_eq!(ask.send(&gateway, &key).code(), "InvalidParameter", "{stamp}");
    }
    assert_eq!(Ask { timestamp: String::new(), ..ask() }.send(&gateway, &key).code(), "MissingParameter");
    let ask = Ask { date: Some("2019-02-25".to_owned()), ..ask() };
    assert_eq!(ask.send(&gateway, &key).code(), "AuthFailure.InvalidAuthorization");
    gateway.finish();
}

#[test]
fn attack_l04_whatever_is_wrong_with_a_signature_has_its_code_and_leaves_a_record() {
    let gateway = with_door().record_every_refusal().start();
    let key = scene(&gateway);
    let ask = Ask::new("GetSecretValue", &named("demo/db"));
    let good = ask.authorization(&key);
    let unknown = Key { id: "AKIDexample000000000000000000009".to_owned(), secret: key.secret.clone() };
    let other = Key { id: key.id.clone(), secret: "another".to_owned() };
    let service = |service: &str| Ask { service: service.to_owned(), ..ask.clone() };
    let cases = [
        (ask.send(&gateway, &unknown), "AuthFailure.SecretIdNotFound", "access_key"),
        (ask.send(&gateway, &other), "AuthFailure.SignatureFailure", "signature"),
        (service("cvm").send(&gateway, &key), "AuthFailure.InvalidAuthorization", "malformed"),
        (
            ask.send_with(&gateway, &good.replace("content-type;host", "host")),
            "AuthFailure.InvalidAuthorization",
            "malformed",
        ),
        (
            ask.send_with(&gateway, &good.replace("content-type;host", "content-type;host;x-none")),
            "AuthFailure.InvalidAuthorization",
            "malformed",
        ),
        (
            Ask { body: named("demo/dc").to_string(), ..ask.clone() }.send_with(&gateway, &good),
            "AuthFailure.SignatureFailure",
            "signature",
        ),
        (
            Ask { host: "localhost:8744".to_owned(), ..ask.clone() }.send_with(&gateway, &good),
            "AuthFailure.SignatureFailure",
            "signature",
        ),
        (
            Ask { more: vec![("X-TC-Content-SHA256".to_owned(), "UNSIGNED-PAYLOAD".to_owned())], ..ask.clone() }
                .send_with(&gateway, &good),
            "AuthFailure.InvalidAuthorization",
            "malformed",
        ),
    ];
    for (reply, code, reason) in &cases {
        assert_eq!(reply.code(), *code);
        let record = gateway.record_of(reply);
        assert_eq!((&record["kind"], &record["reason"]), (&json!("unauthenticated"), &json!(reason)), "{code}");
        assert_eq!(record["principal"], Value::Null);
    }
    // Of the service in its scope, and of no other.
    let cam = service("sts").send(&gateway, &key);
    assert_eq!(cam.code(), "NoSuchVersion");
    assert_eq!(ask.send_with(&gateway, &good).code(), "ok");
    gateway.finish();
}

#[test]
fn attack_l05_a_key_that_has_no_token_takes_none() {
    let gateway = with_door().start();
    let key = scene(&gateway);
    let mut ask = Ask::new("GetSecretValue", &named("demo/db"));
    ask.more = vec![("X-TC-Token".to_owned(), "token".to_owned())];
    assert_eq!(ask.send(&gateway, &key).code(), "AuthFailure.TokenFailure");
    let unknown = Key { id: "AKIDexample000000000000000000009".to_owned(), secret: key.secret };
    assert_eq!(ask.send(&gateway, &unknown).code(), "AuthFailure.TokenFailure");
    gateway.finish();
}

#[test]
fn attack_a21_the_groups_of_a_key_restrict_and_never_allow() {
    let policies = Policies::default()
        .allow("read", &["ssm:GetSecretValue", "cam:*"], "*")
        .attach("read", &["group/corp/payments", "user/corp/b"])
        .document("stop", &json!({"effect": "deny", "action": "ssm:GetSecretValue", "resource": "*"}))
        .attach("stop", &["group/corp/contractors"]);
    let corp = Issuer::new("corp");
    let gateway = with_door().issuer(&corp, "groups = \"required\"").policies(policies).start();
    gateway.create("demo/db", "value");
    let token = |sub: &str, groups: &[&str]| corp.token_of(sub, groups, &[], 600);
    let read = |key: &Key| Ask::new("GetSecretValue", &named("demo/db")).send(&gateway, key).code().to_owned();
    // Allowed through a token group: a key of the same moment is not.
    assert_eq!(gateway.call(&token("a", &["payments"]), "GetSecretValue", &named("demo/db")).code(), "ok");
    assert_eq!(read(&Key::of(&gateway, &token("a", &["payments"]))), "UnauthorizedOperation");
    // Allowed by its own name; denied through a group that its token had when the key was made, and no longer has.
    assert_eq!(read(&Key::of(&gateway, &token("b", &[]))), "ok");
    assert_eq!(read(&Key::of(&gateway, &token("b", &["contractors"]))), "UnauthorizedOperation");
    assert_eq!(gateway.call(&token("b", &[]), "GetSecretValue", &named("demo/db")).code(), "ok");
    // Nobody else makes a key whose groups are not known.
    let other = json!({"Principal": "user/corp/c"});
    assert_eq!(gateway.call(gateway.admin(), "CreateAccessKey", &other).code(), "UnsupportedOperation");
    gateway.finish();
}

#[test]
fn i13_a_key_that_is_switched_off_or_deleted_signs_nothing_from_then_on() {
    let gateway = with_door().start();
    let key = scene(&gateway);
    let read = || Ask::new("GetSecretValue", &named("demo/db")).send(&gateway, &key).code().to_owned();
    let set = |status: &str| {
        let asked = json!({"AccessKeyId": key.id, "Status": status});
        gateway.insist(gateway.admin(), "UpdateAccessKey", &asked);
    };
    assert_eq!(read(), "ok");
    set("Inactive");
    assert_eq!(read(), "AuthFailure.SecretIdNotFound");
    set("Active");
    assert_eq!(read(), "ok");
    gateway.insist(gateway.admin(), "DeleteAccessKey", &json!({"AccessKeyId": key.id}));
    assert_eq!(read(), "AuthFailure.SecretIdNotFound");
    let key = Key::of(&gateway, gateway.admin());
    let read = || Ask::new("GetSecretValue", &named("demo/db")).send(&gateway, &key).code().to_owned();
    assert_eq!(read(), "ok");
    let app = gateway.token("app", &[], &[], 600);
    gateway.insist(gateway.admin(), "RevokeToken", &json!({"Issuer": "dev", "Subject": "app"}));
    assert_eq!(read(), "ok", "another subject's");
    assert_eq!(gateway.call(&app, "GetSecretValue", &named("demo/db")).status, 401);
    gateway.finish();
}

#[test]
fn a_principal_has_two_keys_at_most_and_its_own_alone_unless_policy_says_more() {
    let own = json!({"effect": "allow", "action": "cam:*AccessKey*", "resource": "*",
        "condition": {"string_equal": {"keyward:target_uin": "${uin}"}}});
    let policies = Policies::default().document("own-keys", &own).attach("own-keys", &["everyone"]);
    let gateway = with_door().policies(policies).start();
    let app = gateway.token("app", &[], &[], 600);
    let call = |token: &str, action: &str, parameters: Value| gateway.call(token, action, &parameters);
    let (one, two) = (Key::of(&gateway, &app), Key::of(&gateway, &app));
    let third = call(&app, "CreateAccessKey", json!({}));
    assert_eq!((third.status, third.code()), (409, "OperationDenied.AccessKeyOverLimit"));
    let listed = call(&app, "ListAccessKeys", json!({}));
    let ids: Vec<&Value> =
        listed.body["AccessKeys"].as_array().unwrap().iter().map(|key| &key["AccessKeyId"]).collect();
    assert_eq!(ids, [&json!(one.id), &json!(two.id)]);
    assert!(!listed.body.to_string().contains(&one.secret));
    for (action, parameters) in [
        ("CreateAccessKey", json!({"Principal": "user/dev/admin"})),
        ("ListAccessKeys", json!({"Principal": "user/dev/admin"})),
        ("UpdateAccessKey", json!({"Principal": "user/dev/admin", "AccessKeyId": one.id, "Status": "Inactive"})),
        ("DeleteAccessKey", json!({"Principal": "user/dev/admin", "AccessKeyId": one.id})),
    ] {
        assert_eq!(call(&app, action, parameters).code(), "UnauthorizedOperation", "{action}");
    }
    // An administrator names whose; a key belongs to one principal.
    let admin = gateway.admin();
    assert_eq!(call(admin, "DeleteAccessKey", json!({"AccessKeyId": one.id})).code(), "ResourceNotFound");
    let of_app = json!({"Principal": "user/dev/app", "AccessKeyId": one.id});
    assert_eq!(call(admin, "DeleteAccessKey", of_app).code(), "ok");
    assert_eq!(call(admin, "CreateAccessKey", json!({"Principal": "user/dev/app"})).code(), "ok");
    // The same through this door, signed, in the vendor's own fields.
    let mut ask = Ask::new("ListAccessKeys", &json!({"TargetUin": 0}));
    ask.service = "cam".to_owned();
    assert_eq!(ask.send(&gateway, &two).body["AccessKeys"].as_array().map(Vec::len), Some(2));
    let named = Ask { body: json!({"Principal": "user/dev/app"}).to_string(), ..ask };
    assert_eq!(named.send(&gateway, &two).code(), "UnknownParameter");
    gateway.finish();
}
