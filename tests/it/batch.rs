//! BatchGetSecretValue: each item is decided, recorded and answered by itself, under the action that it is. GetRandomPassword.

use crate::gateway::{Export, TestGateway};
use crate::installation::Policies;
use crate::wire::Reply;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

fn batch(gateway: &TestGateway, token: &str, secrets: Value) -> Reply {
    gateway.call(token, "BatchGetSecretValue", &json!({"Secrets": secrets}))
}

/// The record of one item, which the item itself names by index and leaf.
fn record_of<'a>(export: &'a Export, item: &Value) -> &'a Value {
    let place = usize::try_from(item["AuditIndex"].as_u64().unwrap()).unwrap();
    let line = export.bytes.split(|byte| *byte == b'\n').nth(place).unwrap();
    let leaf = URL_SAFE_NO_PAD.encode(Sha256::digest([&[0], line].concat()));
    assert_eq!(item["AuditLeaf"], json!(leaf));
    &export.records[place]
}

#[test]
fn i03_each_item_of_a_batch_is_decided_and_recorded_by_itself() {
    let deny = json!({"effect": "deny", "action": "ssm:GetSecretValue", "resource": "qcs::ssm:::secret/creatorUin/*/demo/locked"});
    let policies = Policies::default().document("locked", &deny).attach("locked", &["everyone"]);
    let gateway = TestGateway::builder().policies(policies).start();
    for (name, value) in [("demo/a", "one"), ("demo/b", "two"), ("demo/locked", "x"), ("demo/off", "y")] {
        gateway.create(name, value);
    }
    gateway.call(gateway.admin(), "DisableSecret", &json!({"SecretName": "demo/off"})).ok();
    let binary = json!({"SecretName": "demo/b", "VersionId": "v2", "SecretBinary": "AAH/"});
    gateway.call(gateway.admin(), "PutSecretValue", &binary).ok();
    let app = gateway.issuer().token("app");
    let asked = json!([
        {"SecretName": "demo/a"},
        {"SecretName": "demo/locked"},
        {"SecretName": "demo/b", "VersionId": "SSM_Current"},
        {"SecretName": "demo/none"},
        {"SecretName": "demo/b"},
        {"SecretName": "demo/off"},
        {"SecretName": "prod/db"},
        {"SecretName": "demo/a", "VersionId": "v9"},
        {"SecretName": "demo/a"},
    ]);
    let reply = batch(&gateway, &app, asked.clone()).ok();
    let served = reply.body["SecretValues"].as_array().unwrap();
    let values: Vec<Value> = served
        .iter()
        .map(|item| {
            json!([item["Item"], item["SecretName"], item["VersionId"], item["SecretString"], item["SecretBinary"]])
        })
        .collect();
    assert_eq!(
        json!(values),
        json!([
            [0, "demo/a", "SSM_Current", "one", ""],
            [2, "demo/b", "SSM_Current", "two", ""],
            [4, "demo/b", "v2", "", "AAH/"],
            [8, "demo/a", "SSM_Current", "one", ""],
        ])
    );
    let refused = reply.body["Errors"].as_array().unwrap();
    let codes: Vec<Value> = refused.iter().map(|item| json!([item["Item"], item["Code"]])).collect();
    assert_eq!(
        json!(codes),
        json!([
            [1, "UnauthorizedOperation"],
            [3, "ResourceNotFound.SecretNotExist"],
            [5, "ResourceUnavailable.ResourceDisabled"],
            [6, "UnauthorizedOperation"],
            [7, "ResourceNotFound"],
        ])
    );

    let export = gateway.export();
    let own: Vec<&Value> = export.records.iter().filter(|record| record["request"] == json!(reply.request())).collect();
    let items: BTreeSet<u64> = own.iter().map(|record| record["parameters"]["item"].as_u64().unwrap()).collect();
    assert_eq!((own.len(), items), (9, (0..9).collect()), "one record for each item");
    for item in served.iter().chain(refused) {
        let record = record_of(&export, item);
        assert_eq!(record["action"], "ssm:GetSecretValue");
        assert_eq!((&record["principal"], &record["parameters"]["item"]), (&json!("user/dev/app"), &item["Item"]));
        let name = asked[usize::try_from(item["Item"].as_u64().unwrap()).unwrap()]["SecretName"].as_str().unwrap();
        assert!(record["resource"].as_str().unwrap().ends_with(&format!("/{name}")), "{record}");
        let is_served = item.get("SecretName").is_some();
        assert_eq!(record["outcome"] == "ok", is_served, "{record}");
        assert_eq!(record["value"].is_string(), is_served, "{record}");
        if is_served {
            assert_eq!(record["secret_version"], item["VersionId"]);
        } else {
            let reason = &record["reason"];
            assert!(*reason == item["Code"] || reason == "explicit_deny" || reason == "default_deny", "{record}");
        }
    }
    let last = export.record_of(&reply);
    assert_eq!(last["parameters"]["item"], 8, "the call's own place in the log is that of its last item");
    gateway.finish();
}

#[test]
fn a_batch_that_is_wrong_as_such_is_refused_whole_in_one_record() {
    let gateway = TestGateway::builder().record_every_refusal().start();
    gateway.create("demo/a", "one");
    let many = |count: usize| Value::from(vec![json!({"SecretName": "demo/a"}); count]);
    let app = gateway.issuer().token("app");
    let mut asked = Vec::new();
    for (secrets, code) in [
        (json!([]), "MissingParameter"),
        (Value::Null, "MissingParameter"),
        (many(21), "InvalidParameterValue"),
        (json!([{"SecretName": "../x"}]), "InvalidParameterValue"),
        (json!([{"SecretName": "demo/a", "VersionId": "-"}]), "InvalidParameterValue"),
        (json!([{"SecretName": "demo/a", "Version": "v1"}]), "UnknownParameter"),
        (json!([{"VersionId": "v1"}]), "MissingParameter"),
        (json!(["demo/a"]), "InvalidParameter"),
    ] {
        let reply = batch(&gateway, &app, secrets.clone());
        assert_eq!((reply.status, reply.code()), (400, code), "{secrets}");
        asked.push((reply, code));
    }
    let stranger = batch(&gateway, "nonsense", many(3));
    assert_eq!((stranger.status, stranger.code()), (401, "AuthFailure.TokenFailure"));
    let full = batch(&gateway, &app, many(20)).ok();
    assert_eq!(full.body["SecretValues"].as_array().unwrap().len(), 20);
    let export = gateway.export();
    let count =
        |reply: &Reply| export.records.iter().filter(|record| record["request"] == json!(reply.request())).count();
    for (reply, code) in &asked {
        let record = export.record_of(reply);
        assert_eq!((count(reply), &record["reason"]), (1, &json!(code)));
    }
    assert_eq!((count(&stranger), count(&full)), (1, 20));
    gateway.finish();
}

#[test]
fn policies_name_what_the_items_of_a_batch_are_and_not_the_batch() {
    let gateway = TestGateway::start();
    let folder = gateway.installation().path("policies");
    let document = json!({"version": "2.0", "statement": [
        {"effect": "deny", "action": "ssm:BatchGetSecretValue", "resource": "*"}]});
    std::fs::write(folder.join("documents/no-batch.json"), document.to_string()).unwrap();
    let ran = gateway.installation().run(&["policy", "check"]);
    assert_eq!(ran.code, 4, "{}", ran.out);
    assert!(ran.out.contains("matches no action") && ran.out.contains("`ssm:GetSecretValue`"), "{}", ran.out);
}

#[test]
fn random_passwords_are_made_as_asked_and_leave_a_record_that_says_nothing_of_them() {
    let gateway = TestGateway::start();
    let make = |parameters: Value| gateway.call(gateway.admin(), "GetRandomPassword", &parameters);
    let password = |reply: &Reply| reply.text("RandomPassword").to_owned();
    let first = make(json!({})).ok();
    assert_eq!(password(&first).len(), 32);
    assert_ne!(password(&first), password(&make(json!({})).ok()));
    let digits = make(json!({"PasswordLength": 12, "ExcludeLowercase": true, "ExcludeUppercase": true,
        "ExcludePunctuation": true, "ExcludeCharacters": "0"}))
    .ok();
    assert!(password(&digits).len() == 12 && password(&digits).bytes().all(|byte| (b'1'..=b'9').contains(&byte)));
    assert_eq!(password(&make(json!({"PasswordLength": 4096})).ok()).len(), 4_096);
    for (parameters, code) in [
        (json!({"PasswordLength": 0}), "InvalidParameterValue"),
        (json!({"PasswordLength": 4097}), "InvalidParameterValue"),
        (json!({"PasswordLength": 3}), "InvalidParameterValue"),
        (json!({"PasswordLength": "x"}), "InvalidParameter"),
        (json!({"IncludeSpace": 1}), "InvalidParameter"),
        (json!({"Length": 3}), "UnknownParameter"),
    ] {
        assert_eq!(make(parameters.clone()).code(), code, "{parameters}");
    }
    let record = gateway.record_of(&first);
    assert_eq!((&record["action"], &record["outcome"]), (&json!("ssm:GetRandomPassword"), &json!("ok")));
    assert_eq!(
        (&record["parameters"], &record["value"], &record["resource"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let export = gateway.export();
    assert!(!String::from_utf8(export.bytes).unwrap().contains(&password(&first)));
    gateway.finish();
}
