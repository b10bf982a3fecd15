//! The door only translates: what is asked through it leaves the record that the native door would have left.

use super::{admin, ask, headers, send, unwrapped, with_door};
use crate::coverage::product;
use crate::gateway::TestGateway;
use crate::wire::Reply;
use serde_json::{Value, json};

/// Everything that the vendor's API has and this build serves, once done and refused in every way that there is; `%` is the name.
fn story() -> Vec<(&'static str, Value)> {
    let name = json!({"SecretName": "%"});
    vec![
        ("CreateSecret", json!({"SecretName": "%", "SecretString": "v", "Tags": [{"TagKey": "env", "TagValue": "a"}]})),
        ("CreateSecret", json!({"SecretName": "%", "SecretString": "again"})),
        ("CreateSecret", json!({"SecretName": "%", "SecretString": "v", "SecretType": 4})),
        ("PutSecretValue", json!({"SecretName": "%", "VersionId": "v2", "SecretBinary": "AAEC"})),
        ("PutSecretValue", json!({"SecretName": "%", "VersionId": "v2", "SecretString": "w"})),
        ("UpdateSecret", json!({"SecretName": "%", "VersionId": "v2", "SecretString": "x"})),
        ("UpdateSecret", json!({"SecretName": "%", "VersionId": "v9", "SecretString": "x"})),
        ("GetSecretValue", name.clone()),
        ("GetSecretValue", json!({"SecretName": "%", "VersionId": "SSM_Current"})),
        ("GetSecretValue", json!({"SecretName": "%", "VersionId": "v9"})),
        ("GetSecretValue", json!({"SecretName": "%", "EncryptionAlgorithm": "RSA"})),
        ("GetSecretValue", json!({"SecretName": 5})),
        ("GetSecretValue", json!({})),
        ("DescribeSecret", name.clone()),
        ("DescribeSecret", json!({"SecretName": "%", "Nothing": 1})),
        ("ListSecretVersionIds", name.clone()),
        ("ListSecrets", json!({"SearchSecretName": "%", "Limit": "5"})),
        ("ListSecrets", json!({"Limit": 201})),
        ("UpdateDescription", json!({"SecretName": "%", "Description": "text"})),
        ("DeleteSecretVersion", json!({"SecretName": "%", "VersionId": "SSM_Current"})),
        ("DeleteSecret", name.clone()),
        ("DisableSecret", name.clone()),
        ("GetSecretValue", name.clone()),
        ("DeleteSecret", json!({"SecretName": "%", "RecoveryWindowInDays": 7})),
        ("GetSecretValue", name.clone()),
        ("RestoreSecret", name.clone()),
        ("EnableSecret", name.clone()),
        ("DisableSecret", name.clone()),
        ("DeleteSecret", name.clone()),
        ("GetSecretValue", name.clone()),
        ("CreateSSHKeyPairSecret", json!({"SecretName": "%", "ProjectId": 0})),
        ("GetSSHKeyPairValue", name.clone()),
        ("DescribeSecret", name),
        ("GetRegions", json!({})),
        ("GetServiceStatus", json!({})),
        ("CreateService", json!({"PayMode": "PostPay", "ClientToken": "t"})),
        ("DescribeSupportedProducts", json!({})),
        ("CreateService", json!({"PayMode": "PrePay", "ClientToken": "t"})),
        ("CreateProductSecret", product("%")),
        ("CreateProductSecret", json!({"SecretName": "%"})),
        ("RotateProductSecret", json!({"SecretName": "%"})),
        ("UpdateRotationStatus", json!({"SecretName": "%", "EnableRotation": true, "Frequency": 30})),
        ("DescribeRotationDetail", json!({"SecretName": "%"})),
        ("DescribeRotationHistory", json!({"SecretName": "%"})),
        ("DescribeAsyncRequestInfo", json!({"FlowID": 1})),
    ]
}

/// What a record says but for who carried the request to the gateway, when, and what was made at random.
fn told(mut record: Value, name: &str) -> Value {
    let fields = record.as_object_mut().unwrap();
    for own in ["index", "time", "request", "door", "user_agent", "value"] {
        fields.remove(own);
    }
    if let Some(conditions) = record.pointer_mut("/context/conditions").and_then(Value::as_object_mut) {
        conditions.remove("keyward:door").unwrap();
        conditions.remove("qcs:current_time").unwrap();
    }
    if let Some(parameters) = record["parameters"].as_object_mut() {
        for own in ["claimed_trace", "delete_time", "ssh_key"] {
            parameters.remove(own);
        }
    }
    if record["parameters"] == json!({}) {
        record.as_object_mut().unwrap().remove("parameters");
    }
    serde_json::from_str(&record.to_string().replace(name, "%")).unwrap()
}

fn filled(parameters: &Value, name: &str) -> Value {
    serde_json::from_str(&parameters.to_string().replace('%', name)).unwrap()
}

#[test]
fn i03_each_action_leaves_the_same_record_through_both_doors() {
    let gateway = with_door().record_every_refusal().start();
    let stranger = gateway.token("stranger", &["readers"], &["r"], 600);
    let mut asked: Vec<(String, Reply, Reply)> = Vec::new();
    for (action, parameters) in story() {
        for token in [gateway.admin(), &stranger, "no.such.token"] {
            let native = gateway.call(token, action, &filled(&parameters, "twin/a"));
            let tencent = ask(&gateway, token, action, &filled(&parameters, "twin/b"));
            assert_eq!(native.code(), tencent.code(), "{action} {parameters}: {} {}", native.body, tencent.body);
            asked.push((format!("{action} {parameters}"), native, tencent));
        }
    }
    let export = gateway.export();
    for (what, native, tencent) in &asked {
        let (one, other) = (export.record_of(native), export.record_of(tencent));
        assert_eq!((&one["door"], &other["door"]), (&json!("native"), &json!("tencent")), "{what}");
        assert_eq!(told(one, "twin/a"), told(other, "twin/b"), "{what}");
    }
    let done = asked.iter().filter(|(_, native, _)| native.code() == "ok").count();
    assert!(done > 18, "{done} of the story's actions were done");
    gateway.finish();
}

#[test]
fn i03_what_is_no_action_leaves_one_record_too() {
    let gateway = with_door().record_every_refusal().start();
    let good = format!("Bearer {}", gateway.admin());
    for (authorization, kind) in
        [(good.as_str(), "access"), ("Bearer no.such.token", "unauthenticated"), ("", "unauthenticated")]
    {
        for (line, change, code) in [
            ("PUT /", None, "UnsupportedProtocol"),
            ("POST /", Some(("X-TC-Action", "SetCurrentVersion")), "InvalidAction"),
            ("POST /", Some(("X-TC-Action", "")), "MissingParameter"),
            ("POST /", Some(("X-TC-Version", "2019-09-24")), "NoSuchVersion"),
            ("POST /", Some(("X-TC-Region", "ap-elsewhere")), "UnsupportedRegion"),
            ("POST /", Some(("Content-Type", "application/x-www-form-urlencoded")), "InvalidRequest"),
            ("POST /?SecretName=a", None, "InvalidRequest"),
        ] {
            let mut sent: Vec<(&str, &str)> = headers("DescribeSecret", authorization);
            if let Some((name, value)) = change {
                sent.retain(|(known, _)| *known != name);
                sent.push((name, value));
            }
            sent.retain(|(_, value)| !value.is_empty());
            let reply = unwrapped(send(&gateway, line, &sent, b"{}"));
            let expected = match (kind, code, authorization) {
                ("access", _, _) | (_, "UnsupportedProtocol", _) => code,
                (_, _, "") => "AuthFailure.InvalidAuthorization",
                _ => "AuthFailure.TokenFailure",
            };
            assert_eq!(reply.code(), expected, "{line} {change:?} {authorization}");
            let record = gateway.record_of(&reply);
            assert_eq!((&record["kind"], &record["door"]), (&json!(kind), &json!("tencent")), "{line} {change:?}");
            let known = change.is_none_or(|(name, _)| name != "X-TC-Action");
            assert_eq!(
                record["action"],
                if known { "ssm:DescribeSecret" } else { "keyward:Unknown" },
                "{line} {change:?}"
            );
        }
    }
    assert_eq!(
        admin(&gateway, "GetSecretValue", &json!({"SecretName": "none"})).code(),
        "ResourceNotFound.SecretNotExist"
    );
    gateway.finish();
}

#[test]
fn without_its_setting_the_door_is_not_there() {
    let gateway = TestGateway::start();
    let authorization = format!("Bearer {}", gateway.admin());
    let reply = send(&gateway, "POST /", &headers("ListSecrets", &authorization), b"{}");
    assert_eq!((reply.status, reply.code()), (404, "ResourceNotFound"));
    gateway.finish();
}
