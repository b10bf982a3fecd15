//! The form of requests and answers, for callers with a bearer token.

use super::{admin, headers, named, send, unwrapped, with_door};
use crate::gateway::TestGateway;
use crate::wire::Reply;
use serde_json::{Value, json};

/// A request line, headers, a body, and the code that they come to.
type Case = (&'static str, Vec<(String, String)>, Vec<u8>, &'static str);

/// A GET with a bearer token.
fn get(gateway: &TestGateway, action: &str, query: &str) -> Reply {
    let authorization = format!("Bearer {}", gateway.admin());
    let mut sent = headers(action, &authorization);
    sent[1].1 = "application/x-www-form-urlencoded";
    let line = if query.is_empty() { "GET /".to_owned() } else { format!("GET /?{query}") };
    unwrapped(send(gateway, &line, &sent, b""))
}

#[test]
fn attack_l08_every_answer_is_200_and_json_with_a_request_id() {
    let gateway = with_door().record_every_refusal().start();
    let good = format!("Bearer {}", gateway.admin());
    let large = "x".repeat(40_000);
    let body = |bytes: usize| format!("{{\"SecretName\":\"{}\"}}", "x".repeat(bytes)).into_bytes();
    let plain = headers("GetSecretValue", &good);
    let with = |name: &'static str, value: &str| {
        let mut headers: Vec<(String, String)> =
            plain.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        headers.push((name.to_owned(), value.to_owned()));
        headers
    };
    let cases: Vec<Case> = vec![
        ("POST /", with("X-Other", "1"), b"{}".to_vec(), "MissingParameter"),
        ("POST /", with("X-Other", "1"), b"{".to_vec(), "InvalidParameter"),
        ("POST /", with("X-Other", "1"), body(1 << 20), "RequestSizeLimitExceeded"),
        ("POST /", with("X-Other", &large), b"{}".to_vec(), "RequestSizeLimitExceeded"),
        ("POST /", with("X-TC-Action", "GetSecretValue"), b"{}".to_vec(), "InvalidParameter"),
        ("POST /", with("X-TC-Language", "zh-CN"), b"{}".to_vec(), "MissingParameter"),
        ("POST /", with("Content-Encoding", "gzip"), b"{}".to_vec(), "InvalidRequest"),
        ("POST /", with("Authorization", &good), b"{}".to_vec(), "AuthFailure.InvalidAuthorization"),
        ("POST /", with("Content-Type", "application/json"), b"{}".to_vec(), "AuthFailure.InvalidAuthorization"),
        ("DELETE /", with("X-Other", "1"), b"{}".to_vec(), "UnsupportedProtocol"),
    ];
    for (line, headers, body, code) in cases {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let reply = unwrapped(send(&gateway, line, &headers, &body));
        assert_eq!(reply.code(), code, "{line} {:?}", headers.last().map(|(name, _)| name));
        assert!(!reply.message().is_empty());
    }
    gateway.finish();
}

#[test]
fn attack_l06_skip_and_other_schemes_are_no_credential() {
    let gateway = with_door().record_every_refusal().start();
    for authorization in ["SKIP", "Basic YTpi", "Bearer", "Bearer ", "TC3-HMAC-SHA256", "HmacSHA256 a"] {
        for action in ["GetSecretValue", "AssumeRoleWithWebIdentity"] {
            let reply = unwrapped(send(&gateway, "POST /", &headers(action, authorization), b"{}"));
            assert_eq!(reply.code(), "AuthFailure.InvalidAuthorization", "{authorization}");
            assert_eq!(gateway.record_of(&reply)["principal"], Value::Null);
        }
    }
    gateway.finish();
}

#[test]
fn attack_l07_version_region_and_language_are_never_a_ground_to_allow() {
    let gateway = with_door().start();
    gateway.create("demo/db", "value");
    let stranger = format!("Bearer {}", gateway.token("stranger", &[], &[], 600));
    let body = named("demo/db").to_string();
    for (name, value, code) in [
        ("X-TC-Language", "zh-CN", "UnauthorizedOperation"),
        ("X-TC-Language", "en-US", "UnauthorizedOperation"),
        ("X-TC-Language", "fr-FR", "UnauthorizedOperation"),
        ("X-TC-Region", "local", "UnauthorizedOperation"),
        ("X-TC-Region", "", "UnauthorizedOperation"),
        ("X-TC-Region", "LOCAL", "UnsupportedRegion"),
        ("X-TC-Version", "2018-08-13", "InvalidAction"),
        ("X-TC-Version", "1999-01-01", "NoSuchVersion"),
    ] {
        let mut sent = headers("GetSecretValue", &stranger);
        sent.retain(|(known, _)| *known != name);
        sent.push((name, value));
        let reply = unwrapped(send(&gateway, "POST /", &sent, body.as_bytes()));
        assert_eq!(reply.code(), code, "{name}: {value}");
        let is_chinese = value == "zh-CN";
        assert_eq!(reply.message().starts_with("未授权操作"), is_chinese);
        assert_eq!(reply.message().is_ascii(), !is_chinese);
    }
    gateway.finish();
}

/// Field names of an answer with the kind of each, as the vendor's types are.
pub(super) fn kinds(object: &Value) -> Vec<String> {
    let kind = |value: &Value| match value {
        Value::String(_) => 's',
        Value::Number(_) => 'n',
        Value::Bool(_) => 'b',
        Value::Array(_) => 'l',
        _ => '?',
    };
    object.as_object().unwrap().iter().map(|(name, value)| format!("{name}:{}", kind(value))).collect()
}

#[test]
fn answers_have_the_vendors_fields_and_types_and_none_of_keywards_own() {
    let gateway = with_door().start();
    let name = named("demo/types");
    let made = admin(&gateway, "CreateSecret", &json!({"SecretName": "demo/types", "SecretString": "v"})).ok();
    assert_eq!(kinds(&made.body), ["RequestId:s", "SecretName:s", "TagCode:n", "TagMsg:s", "VersionId:s"]);
    let value = admin(&gateway, "GetSecretValue", &name);
    assert_eq!(kinds(&value.body), ["RequestId:s", "SecretBinary:s", "SecretName:s", "SecretString:s", "VersionId:s"]);
    let shared = "CreateTime:n CreateUin:n CreateUinString:s DeleteTime:n Description:s EncryptSwitching:b EncryptType:n KmsKeyId:s \
                  NextRotationTime:{} ProductName:s ProjectID:n ResourceID:s ResourceName:s RotationFrequency:n RotationStatus:{} \
                  SecretName:s SecretType:n Status:s TargetUin:n TargetUinString:s AssociatedInstanceIDs:l";
    let of = |rotation: [&str; 2], own: &str| {
        let shared = shared.replacen("{}", rotation[0], 1).replacen("{}", rotation[1], 1);
        let mut names: Vec<String> = format!("{shared} {own}").split_whitespace().map(str::to_owned).collect();
        names.sort();
        names
    };
    let described = admin(&gateway, "DescribeSecret", &name);
    let own = "AccountInfoList:l AdditionalConfig:s RequestId:s";
    assert_eq!(kinds(&described.body), of(["s", "b"], own));
    let listed = admin(&gateway, "ListSecrets", &json!({}));
    assert_eq!(kinds(&listed.body), ["RequestId:s", "SecretMetadatas:l", "TotalCount:n"]);
    assert_eq!(kinds(&listed.body["SecretMetadatas"][0]), of(["n", "n"], "KmsKeyType:s RotationBeginTime:s"));
    let versions = admin(&gateway, "ListSecretVersionIds", &name);
    assert_eq!(kinds(&versions.body["Versions"][0]), ["CreateTime:n", "VersionId:s"]);
    for (action, own) in [
        ("PutSecretValue", "Stage"),
        ("PutSecretValue", "ExpectedCurrent"),
        ("CreateSecret", "ExpiresAt"),
        ("ListSecrets", "ExpiresBefore"),
    ] {
        let mut body = json!({"SecretName": "demo/types", "VersionId": "v2", "SecretString": "v"});
        if action == "ListSecrets" {
            body = json!({});
        }
        body[own] = json!(1);
        let reply = admin(&gateway, action, &body);
        assert_eq!(reply.code(), "UnknownParameter", "{action} {own}");
        assert!(reply.message().contains(own), "{}", reply.message());
    }
    gateway.finish();
}

#[test]
fn parameters_of_a_get_are_those_of_a_post_and_values_come_by_post_alone() {
    let gateway = with_door().start();
    let tagged = json!({"SecretName": "demo/tag", "SecretString": "v", "Tags": [{"TagKey": "env", "TagValue": "a b"}]});
    admin(&gateway, "CreateSecret", &tagged);
    assert_eq!(get(&gateway, "GetSecretValue", "SecretName=demo%2Ftag").body["SecretString"], "v");
    for value in ["a+b", "a%20b"] {
        let query = format!("Limit=2&TagFilters.0.TagKey=env&TagFilters.0.TagValue.0={value}");
        assert_eq!(get(&gateway, "ListSecrets", &query).body["TotalCount"], 1, "{value}");
    }
    assert_eq!(get(&gateway, "ListSecrets", "TagFilters.0.TagKey=env&TagFilters.0.TagValue.0=b").body["TotalCount"], 0);
    assert_eq!(get(&gateway, "ListSecrets", "").body["TotalCount"], 1);
    assert_eq!(get(&gateway, "DeleteSecret", "SecretName=demo%2Ftag&CleanSSHKey=True").code(), "UnsupportedOperation");
    assert_eq!(get(&gateway, "DeleteSecret", "SecretName=demo%2Ftag&CleanSSHKey=False").code(), "FailedOperation");
    assert_eq!(get(&gateway, "GetSecretValue", "SecretName=a&SecretName=a").code(), "InvalidParameter");
    let query = "SecretName=demo%2Fget&VersionId=v1&SecretString=value";
    for action in ["CreateSecret", "PutSecretValue", "UpdateSecret"] {
        assert_eq!(get(&gateway, action, query).code(), "UnsupportedOperation", "{action}");
    }
    gateway.finish();
    let gateway = with_door().set("tencent.values_over_get", true).start();
    assert_eq!(get(&gateway, "CreateSecret", query).code(), "ok");
    gateway.finish();
}

#[test]
fn a_client_and_its_trace_stand_in_the_record_as_what_they_claim() {
    let gateway = with_door().start();
    let authorization = format!("Bearer {}", gateway.admin());
    let mut sent = headers("ListSecrets", &authorization);
    sent.push(("X-TC-TraceId", "00000000-0000-4000-8000-000000000001"));
    let reply = unwrapped(send(&gateway, "POST /", &sent, b"{}"));
    let record = gateway.record_of(&reply);
    assert_eq!(record["user_agent"], "SDK_PYTHON_3.1.0");
    assert_eq!(record["parameters"]["claimed_trace"], "00000000-0000-4000-8000-000000000001");
    assert_ne!(record["request"], "00000000-0000-4000-8000-000000000001");
    gateway.finish();
}
