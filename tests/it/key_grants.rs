//! The service's own grant: keyward uses keys only by `QcloudAccessForSSMRole` on its role. What a security team does is
//! done here to the files of the policy folder; what came of it is read from answers and from the verified log.

use crate::gateway::TestGateway;
use crate::inside::Inside;
use crate::installation::{Installation, Policies, put};
use crate::wire::{Connection, Reply};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const KMS_ERROR: (u16, &str) = (409, "FailedOperation.AccessKmsError");

/// Every action that uses a value, with parameters that are good as long as the key may be used.
fn uses(round: usize) -> Vec<(&'static str, Value)> {
    vec![
        ("GetSecretValue", json!({"SecretName": "demo/db"})),
        ("GetSecretValue", json!({"SecretName": "demo/db", "VersionId": "SSM_Current"})),
        (
            "PutSecretValue",
            json!({"SecretName": "demo/db", "VersionId": format!("v{round}"), "SecretString": "n", "Stage": true}),
        ),
        ("UpdateSecret", json!({"SecretName": "demo/db", "VersionId": "SSM_Current", "SecretString": "m"})),
        ("CreateSecret", json!({"SecretName": format!("demo/new-{round}"), "SecretString": "o"})),
        ("CreateSSHKeyPairSecret", json!({"SecretName": format!("demo/key-{round}"), "ProjectId": 0})),
        ("GetSSHKeyPairValue", json!({"SecretName": "demo/pair"})),
    ]
}

fn ask_all(gateway: &TestGateway, round: usize) -> Vec<(&'static str, Reply)> {
    let uses = uses(round).into_iter();
    uses.map(|(action, body)| (action, gateway.call(gateway.admin(), action, &body))).collect()
}

fn batch(gateway: &TestGateway) -> Reply {
    let body = json!({"Secrets": [{"SecretName": "demo/db"}, {"SecretName": "demo/none"}]});
    gateway.call(gateway.admin(), "BatchGetSecretValue", &body).ok()
}

fn prepared(policies: Policies) -> TestGateway {
    let gateway = TestGateway::builder().policies(policies).start();
    gateway.create("demo/db", "s3cret");
    gateway.call(gateway.admin(), "CreateSSHKeyPairSecret", &json!({"SecretName": "demo/pair", "ProjectId": 0})).ok();
    gateway
}

#[test]
fn i05_i13_without_its_grant_the_gateway_uses_no_key_and_with_it_again() {
    let gateway = prepared(Policies::default());
    gateway.set_policies(&Policies::default().without_service_grant());
    let refused = ask_all(&gateway, 1);
    let items = batch(&gateway);
    let no_values = [
        ("DescribeSecret", json!({"SecretName": "demo/db"})),
        ("ListSecretVersionIds", json!({"SecretName": "demo/db"})),
        ("ListSecrets", json!({})),
        ("UpdateDescription", json!({"SecretName": "demo/db", "Description": "still"})),
        ("GetRandomPassword", json!({})),
    ];
    for (action, body) in &no_values {
        gateway.call(gateway.admin(), action, body).ok();
    }
    let stranger =
        gateway.call(&gateway.issuer().token("stranger"), "GetSecretValue", &json!({"SecretName": "demo/db"}));
    assert_eq!(stranger.status, 403, "whoever is denied learns nothing of it");
    gateway.set_policies(&Policies::default());
    let again = ask_all(&gateway, 2);

    let export = gateway.export();
    for (action, reply) in &refused {
        assert_eq!((reply.status, reply.code()), KMS_ERROR, "{action}: {}", reply.body);
        assert!(!String::from_utf8_lossy(&reply.bytes).contains("s3cret"));
        let record = export.record_of(reply);
        let said = (&record["decision"], &record["outcome"], &record["reason"]);
        assert_eq!(said, (&json!("allow"), &json!("failed"), &json!(KMS_ERROR.1)), "{action}");
        let kms = &record["parameters"]["kms"];
        assert_eq!((&kms["key"], &kms["reason"]), (&json!("default"), &json!("default_deny")), "{action}: {kms}");
        assert_eq!(kms["layers"], json!([{"effect": "deny", "layer": "identity"}]), "{action}");
        assert!(record["value"].is_null(), "{action}");
    }
    let errors: Vec<&str> =
        items.body["Errors"].as_array().unwrap().iter().map(|e| e["Code"].as_str().unwrap()).collect();
    assert_eq!(errors, [KMS_ERROR.1, "ResourceNotFound.SecretNotExist"], "{}", items.body);
    for (action, reply) in &again {
        assert_eq!(reply.status, 200, "{action}: {}", reply.body);
        let kms = export.record_of(reply)["parameters"]["kms"].clone();
        assert_eq!(kms["key"], "default", "{action}");
        assert!(kms["reason"].is_null() && kms["uin"].is_string(), "{action}: {kms}");
    }
    let metrics = String::from_utf8_lossy(&gateway.get("/metrics").bytes).into_owned();
    assert!(metrics.contains("keyward_key_uses_refused_total{reason=\"default_deny\"}"), "{metrics}");
    gateway.finish();
}

/// Changes the folder, reads, and answers code and record.
fn read_under(gateway: &TestGateway, policies: &Policies) -> (String, Value) {
    gateway.set_policies(policies);
    let reply = gateway.call(gateway.admin(), "GetSecretValue", &json!({"SecretName": "demo/db"}));
    (reply.code().to_owned(), gateway.record_of(&reply))
}

#[test]
fn i05_a_deny_or_a_boundary_on_the_service_and_a_role_that_it_may_not_take_cut_it_off() {
    let gateway = prepared(Policies::default());
    let deny = json!({"effect": "deny", "action": "kms:*", "resource": "*"});
    let narrow = json!({"effect": "allow", "action": "ssm:*", "resource": "*"});
    let denied = Policies::default().document("no-keys", &deny).attach("no-keys", &["service/ssm"]);
    let bounded = Policies::default().document("narrow", &narrow).bound("narrow", &["role/local/SSM_QCSRole"]);
    let everyone = Policies::default().document("no-keys", &deny).attach("no-keys", &["everyone"]);
    let (code, record) = read_under(&gateway, &denied);
    assert_eq!((code.as_str(), &record["parameters"]["kms"]["reason"]), (KMS_ERROR.1, &json!("explicit_deny")));
    let deciding = json!([{"document": "no-keys", "effect": "deny", "layer": "identity", "statement": 0}]);
    assert_eq!(record["parameters"]["kms"]["layers"], deciding);
    let (code, record) = read_under(&gateway, &bounded);
    assert_eq!((code.as_str(), &record["parameters"]["kms"]["reason"]), (KMS_ERROR.1, &json!("default_deny")));
    assert_eq!(record["parameters"]["kms"]["layers"], json!([{"effect": "deny", "layer": "boundary"}]));
    assert_eq!(read_under(&gateway, &everyone).0, "ok", "everyone is whoever shows a credential");

    let role = gateway.installation().path("policies/roles/SSM_QCSRole.json");
    let trust = gateway.installation().read("policies/roles/SSM_QCSRole.json");
    put(&role, trust.replace("service/ssm", "service/policy").as_bytes());
    let (code, record) = read_under(&gateway, &Policies::default());
    assert_eq!((code.as_str(), &record["parameters"]["kms"]["reason"]), (KMS_ERROR.1, &json!("role_not_trusted")));
    std::fs::remove_file(&role).unwrap();
    let (code, record) = read_under(&gateway, &Policies::default().without_service_grant());
    assert_eq!(code, "OperationDenied.RoleNotExist");
    assert_eq!(
        (&record["outcome"], &record["parameters"]["kms"]["reason"]),
        (&json!("failed"), &json!("role_missing"))
    );
    let describe = gateway.call(gateway.admin(), "DescribeSecret", &json!({"SecretName": "demo/db"}));
    assert_eq!((describe.status, describe.code()), (409, "OperationDenied.RoleNotExist"));
    let write = json!({"SecretName": "demo/other", "SecretString": "v"});
    let write = gateway.call(gateway.admin(), "CreateSecret", &write);
    assert_eq!((write.status, write.code()), KMS_ERROR, "the other is no error of CreateSecret");
    put(&role, trust.as_bytes());
    assert_eq!(read_under(&gateway, &Policies::default()).0, "ok");
    gateway.finish();
}

/// An installation whose service's grant holds until `until` (RFC 3339).
fn granted_until(until: &str) -> Installation {
    let installation = Installation::new();
    let condition = json!({"date_less_than": {"qcs:current_time": until}});
    let grant = json!({"effect": "allow", "action": "kms:*", "resource": "*", "condition": condition});
    let policies = Policies::default().without_service_grant().document("for-a-while", &grant);
    policies.attach("for-a-while", &["role/local/SSM_QCSRole"]).write(&installation.path("policies"));
    installation
}

#[tokio::test]
async fn a_grant_with_a_condition_is_decided_with_each_request() {
    let until = chrono::DateTime::from_timestamp(i64::try_from(crate::token::now_s()).unwrap() + 3_600, 0).unwrap();
    let inside = Inside::open(granted_until(&until.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))).await;
    inside.admin("CreateSecret", json!({"SecretName": "demo/db", "SecretString": "s3cret"})).await.ok();
    let read = || inside.admin("GetSecretValue", json!({"SecretName": "demo/db"}));
    let first = read().await.ok();
    inside.clock.pass(3_000);
    read().await.ok();
    inside.clock.pass(700);
    let refused = read().await;
    assert_eq!(refused.code, KMS_ERROR.1, "also of what is remembered in memory");
    let (allowed, refused) = (inside.record_of(&first), inside.record_of(&refused));
    assert_eq!(allowed["policy"]["revision"], refused["policy"]["revision"]);
    assert_eq!(refused["parameters"]["kms"]["reason"], "default_deny");
    inside.finish().await;
}

#[test]
fn i13_no_record_releases_on_a_revision_whose_service_grant_is_gone() {
    let gateway = prepared(Policies::default());
    let done = AtomicBool::new(false);
    let read_on = || {
        let mut connection = Connection::open(gateway.address());
        let bearer = format!("Bearer {}", gateway.admin());
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let mut codes = (0_usize, 0_usize);
        while !done.load(Ordering::Acquire) {
            let reply =
                connection.request("POST /v1/GetSecretValue", &headers, br#"{"SecretName":"demo/db"}"#).unwrap();
            match reply.status {
                200 => codes.0 += 1,
                409 => codes.1 += 1,
                _ => assert_eq!(reply.status, 503, "{}", reply.body),
            }
        }
        codes
    };
    let read = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4).map(|_| scope.spawn(read_on)).collect();
        for round in 0..8 {
            let (cut, given) = (Policies::default().without_service_grant(), Policies::default());
            gateway.set_policies(if round % 2 == 0 { &cut } else { &given });
            let until = Instant::now() + Duration::from_millis(50);
            while Instant::now() < until {
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::Release);
        readers.into_iter().map(|reader| reader.join().unwrap()).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
    });
    assert!(read.0 > 10 && read.1 > 10, "too little happened to prove anything: {read:?}");
    let (mut live, mut granting) = (Value::Null, Value::Null);
    for record in &gateway.export().records {
        if record["kind"] == "policy_change" {
            live = record["parameters"]["new"].clone();
            if granting.is_null() {
                granting = live.clone();
            }
        } else if record["action"] == "ssm:GetSecretValue" && record["decision"] == "allow" {
            assert_eq!(record["outcome"] == "ok", live == granting, "index {}: {record}", record["index"]);
        }
    }
    gateway.finish();
}
