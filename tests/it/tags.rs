//! Tags: kept with the secret, asked for with the request, and both of them what policy decides on and the record holds.

use crate::gateway::TestGateway;
use crate::installation::Policies;
use serde_json::{Value, json};

fn tags(pairs: &[(&str, &str)]) -> Value {
    pairs.iter().map(|(key, value)| json!({"TagKey": key, "TagValue": value})).collect()
}

fn tag(name: &str, pairs: &[(&str, &str)]) -> Value {
    json!({"SecretName": name, "Tags": tags(pairs)})
}

fn untag(name: &str, keys: &[&str]) -> Value {
    json!({"SecretName": name, "TagKeys": keys})
}

#[test]
fn tags_are_added_replaced_taken_off_and_found() {
    let gateway = TestGateway::start();
    let admin = gateway.admin();
    let described =
        || gateway.call(admin, "DescribeSecret", &json!({"SecretName": "demo/db"})).ok().body["Tags"].clone();
    let created = json!({"SecretName": "demo/db", "SecretString": "s", "Tags": tags(&[("env", "dev")])});
    gateway.call(admin, "CreateSecret", &created).ok();
    gateway.create("demo/other", "s");
    let added = gateway.call(admin, "TagResource", &tag("demo/db", &[("team", "pay"), ("env", "prod")])).ok();
    assert_eq!(added.body["SecretName"], "demo/db");
    assert_eq!(described(), tags(&[("env", "prod"), ("team", "pay")]));
    let found = |filters: Value| -> Value {
        let list = gateway.call(admin, "ListSecrets", &json!({"TagFilters": filters})).ok();
        list.body["SecretMetadatas"].as_array().unwrap().iter().map(|row| row["SecretName"].clone()).collect()
    };
    assert_eq!(found(json!([{"TagKey": "env", "TagValue": ["prod", "dev"]}, {"TagKey": "team"}])), json!(["demo/db"]));
    assert_eq!(found(json!([{"TagKey": "env", "TagValue": ["dev"]}])), json!([]));
    gateway.call(admin, "UntagResource", &untag("demo/db", &["team", "none"])).ok();
    assert_eq!(described(), tags(&[("env", "prod")]));
    gateway.finish();
}

#[test]
fn tags_over_their_rules_are_refused_when_they_are_set() {
    let gateway = TestGateway::start();
    let admin = gateway.admin();
    let code = |action: &str, parameters: Value| gateway.call(admin, action, &parameters).code().to_owned();
    gateway.create("demo/db", "s");
    assert_eq!(code("TagResource", json!({"SecretName": "demo/db"})), "MissingParameter");
    assert_eq!(code("TagResource", tag("demo/db", &[("a&b", "")])), "InvalidParameterValue");
    let twice = tag("demo/db", &[("a", "1"), ("a", "2")]);
    assert_eq!(code("TagResource", twice), "InvalidParameterValue.TagKeysDuplicated");
    assert_eq!(code("UntagResource", untag("demo/db", &["a", "a"])), "InvalidParameterValue.TagKeysDuplicated");
    assert_eq!(code("UntagResource", untag("demo/db", &[])), "MissingParameter");
    assert_eq!(code("UntagResource", json!({"SecretName": "demo/db", "TagKeys": "a"})), "InvalidParameter");
    assert_eq!(code("TagResource", tag("demo/none", &[("a", "1")])), "ResourceNotFound");
    let many: Vec<(String, &str)> = (0..49).map(|number| (format!("k{number}"), "")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    assert_eq!(code("TagResource", tag("demo/db", &many)), "ok");
    let two_more = gateway.call(admin, "TagResource", &tag("demo/db", &[("x", ""), ("y", "")]));
    assert_eq!((two_more.status, two_more.code()), (409, "LimitExceeded"));
    let record = gateway.record_of(&two_more);
    assert_eq!((&record["decision"], &record["reason"]), (&json!("allow"), &json!("LimitExceeded")));
    assert_eq!(code("TagResource", tag("demo/db", &[("x", "")])), "ok");
    let long = "v".repeat(255);
    let long: Vec<(&str, &str)> = ["a", "b", "c", "d", "e", "f"].iter().map(|key| (*key, long.as_str())).collect();
    assert_eq!(code("TagResource", tag("demo/db", &long)), "InvalidParameterValue", "over 1536 bytes by themselves");
    gateway.finish();
}

#[test]
fn i04_policy_decides_by_the_tags_of_secret_and_request_and_the_record_holds_both() {
    let deny = |key: &str, value: &str, actions: &[&str]| {
        json!({"effect": "deny", "action": actions, "resource": "*",
            "condition": {"for_any_value:string_like": {key: value}}})
    };
    let policies = Policies::default()
        .document("locked", &deny("qcs:resource_tag", "lock&*", &["ssm:GetSecretValue", "ssm:TagResource"]))
        .document("no-prod", &deny("qcs:request_tag", "env&prod", &["ssm:CreateSecret", "ssm:TagResource"]))
        .document("keep-owner", &deny("qcs:request_tag", "owner&*", &["ssm:UntagResource"]))
        .attach("locked", &["everyone"])
        .attach("no-prod", &["everyone"])
        .attach("keep-owner", &["everyone"]);
    let gateway = TestGateway::builder().policies(policies).start();
    let admin = gateway.admin();
    let create = |value: &str| json!({"SecretName": "demo/db", "SecretString": "s", "Tags": tags(&[("env", value)])});
    let denied = gateway.call(admin, "CreateSecret", &create("prod"));
    assert_eq!(denied.code(), "UnauthorizedOperation");
    gateway.call(admin, "CreateSecret", &create("dev")).ok();
    let tagging = gateway.call(admin, "TagResource", &tag("demo/db", &[("env", "prod"), ("a", "1")]));
    assert_eq!(tagging.code(), "UnauthorizedOperation");
    let owned = gateway.call(admin, "TagResource", &tag("demo/db", &[("owner", "pay"), ("a", "1")])).ok();
    let untagging = gateway.call(admin, "UntagResource", &untag("demo/db", &["a", "owner"]));
    assert_eq!(untagging.code(), "UnauthorizedOperation");
    // Of a secret that is not there the same request tags are decided on: nothing is told.
    let missing = gateway.call(admin, "UntagResource", &untag("demo/none", &["owner"]));
    assert_eq!(missing.code(), "UnauthorizedOperation");
    gateway.call(admin, "UntagResource", &untag("demo/db", &["a"])).ok();
    let read = |token: &str| gateway.call(token, "GetSecretValue", &json!({"SecretName": "demo/db"}));
    let app = gateway.issuer().token("app");
    read(&app).ok();
    gateway.call(admin, "TagResource", &tag("demo/db", &[("lock", "")])).ok();
    let locked = read(&app);
    assert_eq!(locked.code(), "UnauthorizedOperation");

    let export = gateway.export();
    let conditions = |reply| export.record_of(reply)["context"]["conditions"].clone();
    assert_eq!(conditions(&denied)["qcs:request_tag"], json!(["env&prod"]));
    assert_eq!(conditions(&owned)["qcs:request_tag"], json!(["a&1", "owner&pay"]));
    assert_eq!(conditions(&owned)["qcs:resource_tag"], json!(["env&dev"]), "as they were when it was decided");
    assert_eq!(conditions(&untagging)["qcs:request_tag"], json!(["a&", "owner&"]));
    assert_eq!(conditions(&untagging)["qcs:resource_tag"], json!(["a&1", "env&dev", "owner&pay"]));
    assert_eq!(conditions(&locked)["qcs:resource_tag"], json!(["env&dev", "lock&", "owner&pay"]));
    assert_eq!(export.record_of(&locked)["reason"], "explicit_deny");
    gateway.finish();
}
