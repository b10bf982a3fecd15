//! The limits that the service reports are the ones that hold, to the last one, and what is deleted makes room.

use crate::inside::{Inside, Told};
use crate::installation::Installation;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::sync::Arc;

/// A gateway with these limits.
async fn limited(limits: &[(&str, toml::Value)]) -> Inside {
    let installation = Installation::new();
    for (limit, value) in limits {
        installation.set(&format!("limits.{limit}"), value.clone());
    }
    Inside::open(installation).await
}

fn named(name: &str) -> Value {
    json!({"SecretName": name})
}

async fn create(inside: &Inside, name: &str) -> Told {
    inside.admin("CreateSecret", json!({"SecretName": name, "SecretString": "v"})).await
}

async fn put(inside: &Inside, version: &str) -> Told {
    let value = json!({"SecretName": "demo/db", "VersionId": version, "SecretString": "v"});
    inside.admin("PutSecretValue", value).await
}

async fn status(inside: &Inside) -> Value {
    inside.admin("GetServiceStatus", json!({})).await.ok().body
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_says_what_it_holds_and_may_hold() {
    let inside = limited(&[("secrets", 7.into()), ("account_requests_per_second", 1_000.into())]).await;
    for number in 0..3 {
        create(&inside, &format!("demo/{number}")).await.ok();
    }
    let said = inside.admin("GetServiceStatus", json!({})).await.ok();
    let mut body = said.body.clone();
    body.as_object_mut().unwrap().remove("RequestId");
    let expected = json!({
        "ServiceEnabled": true, "InvalidType": 1, "AccessKeyEscrowEnabled": false, "ExpireTime": "", "QPSLimit": 1_000,
        "SecretLimit": 7, "PayModel": "Postpaid_SSM", "RenewFlag": 0, "ResourceId": "ssm_100000000001", "TotalCount": 3,
        "ResourceRegion": 0,
    });
    assert_eq!(body, expected);
    let record = inside.record_of(&said);
    assert_eq!((&record["action"], &record["outcome"]), (&json!("ssm:GetServiceStatus"), &json!("ok")));
    let regions = inside.admin("GetRegions", json!({})).await.ok();
    assert_eq!(regions.body["Regions"], json!(["local"]));
    let products = inside.admin("DescribeSupportedProducts", json!({})).await.ok();
    assert_eq!((&products.body["Products"], &products.body["TotalCount"]), (&json!([]), &json!(0)));
    inside.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_limit_of_secrets_is_held_and_one_deleted_makes_room_for_one() {
    let inside = limited(&[("secrets", 3.into())]).await;
    for name in ["demo/a", "demo/b"] {
        create(&inside, name).await.ok();
    }
    inside.admin("CreateSSHKeyPairSecret", json!({"SecretName": "demo/pair", "ProjectId": 0})).await.ok();
    let refused = create(&inside, "demo/d").await;
    assert_eq!(refused.code, "LimitExceeded");
    let record = inside.record_of(&refused);
    let said = (&record["decision"], &record["outcome"], &record["reason"]);
    assert_eq!(said, (&json!("allow"), &json!("failed"), &json!("LimitExceeded")));
    let pair = inside.admin("CreateSSHKeyPairSecret", json!({"SecretName": "demo/more", "ProjectId": 0})).await;
    assert_eq!(pair.code, "LimitExceeded");
    assert_eq!(create(&inside, "demo/a").await.code, "ResourceInUse.SecretExists", "told before the limit");
    // One that waits for its deletion is held all the while.
    inside.admin("DisableSecret", named("demo/a")).await.ok();
    inside.admin("DeleteSecret", json!({"SecretName": "demo/a", "RecoveryWindowInDays": 7})).await.ok();
    assert_eq!(create(&inside, "demo/d").await.code, "LimitExceeded");
    assert_eq!(status(&inside).await["TotalCount"], 3);
    inside.admin("DisableSecret", named("demo/b")).await.ok();
    inside.admin("DeleteSecret", named("demo/b")).await.ok();
    assert_eq!(status(&inside).await["TotalCount"], 2);
    create(&inside, "demo/d").await.ok();
    assert_eq!(create(&inside, "demo/e").await.code, "LimitExceeded");
    assert_eq!(status(&inside).await["TotalCount"], 3);
    inside.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_h05_of_many_creations_at_once_exactly_as_many_as_there_is_room_for_are_done() {
    let inside = Arc::new(limited(&[("secrets", 12.into())]).await);
    let create_one = |number: usize| {
        let inside = Arc::clone(&inside);
        tokio::spawn(async move { create(&inside, &format!("many/{number}")).await.code })
    };
    let tasks: Vec<_> = (0..40).map(create_one).collect();
    let mut codes = Vec::new();
    for task in tasks {
        codes.push(task.await.unwrap());
    }
    let of = |code: &str| codes.iter().filter(|found| *found == code).count();
    // None was sent back until it was given up, either.
    assert_eq!((of("ok"), of("LimitExceeded")), (12, 28), "{codes:?}");
    let inside = Arc::into_inner(inside).unwrap();
    assert_eq!(status(&inside).await["TotalCount"], 12);
    inside.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_limit_of_versions_is_held_and_one_deleted_makes_room_for_one() {
    let inside = limited(&[("versions_per_secret", 3.into())]).await;
    create(&inside, "demo/db").await.ok();
    for version in ["v2", "v3"] {
        put(&inside, version).await.ok();
    }
    let refused = put(&inside, "v4").await;
    assert_eq!(refused.code, "LimitExceeded");
    assert_eq!(inside.record_of(&refused)["reason"], "LimitExceeded");
    assert_eq!(put(&inside, "v3").await.code, "ResourceInUse.VersionIdExists", "told before the limit");
    let version = json!({"SecretName": "demo/db", "VersionId": "v2"});
    inside.admin("DeleteSecretVersion", version).await.ok();
    put(&inside, "v2").await.ok();
    assert_eq!(put(&inside, "v4").await.code, "LimitExceeded");
    let versions = inside.admin("ListSecretVersionIds", named("demo/db")).await.ok();
    assert_eq!(versions.body["Versions"].as_array().unwrap().len(), 3);
    inside.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_exactly_the_limit_is_taken_and_one_byte_more_is_not() {
    let inside = limited(&[("value_bytes", 16.into())]).await;
    let text = |bytes: usize| json!({"SecretString": "x".repeat(bytes)});
    let wide = |characters: usize| json!({"SecretString": "\u{20ac}".repeat(characters)});
    let binary = |bytes: usize| json!({"SecretBinary": STANDARD.encode(vec![0; bytes])});
    let cases = [
        (text(16), "ok"),
        (text(17), "InvalidParameterValue"),
        (wide(5), "ok"),
        (wide(6), "InvalidParameterValue"),
        (binary(16), "ok"),
        (binary(17), "InvalidParameterValue"),
    ];
    for (number, (mut value, code)) in cases.into_iter().enumerate() {
        value["SecretName"] = json!(format!("demo/{number}"));
        assert_eq!(inside.admin("CreateSecret", value.clone()).await.code, code, "{value}");
    }
    inside.finish().await;
}

/// How many of `count` requests were not over a rate, and the codes of those that were.
async fn paced(inside: &Inside, sub: &str, action: &str, parameters: &Value, count: usize) -> (usize, Vec<Told>) {
    let mut over = Vec::new();
    for _ in 0..count {
        let (_, told) = inside.call_once(sub, action, parameters).await;
        if told.code.starts_with("RequestLimitExceeded") {
            over.push(told);
        }
    }
    (count - over.len(), over)
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_f05_exactly_the_accounts_rate_is_served_whoever_asks() {
    let inside = limited(&[("account_requests_per_second", 5.into())]).await;
    let none = json!({});
    let (served, over) = paced(&inside, "admin", "GetRegions", &none, 8).await;
    assert_eq!(served, 5);
    for told in &over {
        assert_eq!((told.code.as_str(), told.index), ("RequestLimitExceeded.UinLimitExceeded", None));
    }
    // One account: another caller, who would be denied, is over its rate as well.
    assert_eq!(paced(&inside, "stranger", "GetRegions", &none, 1).await.0, 0);
    inside.clock.pass(1);
    assert_eq!(paced(&inside, "admin", "GetRegions", &none, 8).await.0, 5);
    inside.gateway.summarise().await;
    let records = inside.records();
    let summary = records.iter().find(|record| record["kind"] == "summary").unwrap();
    assert_eq!(summary["reason"], "rate_limited");
    let rows = json!([
        {"count": 6, "principal": "user/dev/admin", "reason": "account_rate"},
        {"count": 1, "principal": "user/dev/stranger", "reason": "account_rate"},
    ]);
    assert_eq!(summary["parameters"]["rows"], rows);
    inside.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_f05_an_actions_rate_is_its_own_and_the_items_of_a_call_count_one_by_one() {
    let rates = toml::Table::from_iter([("GetSecretValue".to_owned(), 3.into())]);
    let inside = limited(&[("action_requests_per_second", rates.into())]).await;
    create(&inside, "demo/db").await.ok();
    let name = named("demo/db");
    let (served, over) = paced(&inside, "admin", "GetSecretValue", &name, 5).await;
    assert_eq!(served, 3);
    assert!(over.iter().all(|told| told.code == "RequestLimitExceeded" && told.index.is_none()), "{over:?}");
    assert_eq!(paced(&inside, "admin", "DescribeSecret", &name, 5).await.0, 5);
    let items = json!({"Secrets": [&name, &name, &name, &name, &name]});
    let told = loop {
        inside.clock.pass(1);
        let told = inside.call_once("admin", "BatchGetSecretValue", &items).await.1;
        // A machine too busy to record any item in time answers as to one.
        if told.body["Errors"].is_array() {
            break told;
        }
    };
    let errors = told.body["Errors"].as_array().unwrap();
    let over = errors.iter().filter(|error| error["Code"] == "RequestLimitExceeded");
    assert_eq!(over.count(), 2, "{}", told.body);
    inside.finish().await;
}

#[tokio::test]
async fn attack_f05_the_items_of_a_call_are_denied_no_faster_than_calls() {
    let inside = limited(&[("denials_per_second", 1.into()), ("denials_burst", 3.into())]).await;
    create(&inside, "demo/db").await.ok();
    let items = json!({"Secrets": vec![named("demo/db"); 20]});
    let told = inside.call_once("stranger", "BatchGetSecretValue", &items).await.1;
    let over = |told: &Told| {
        let errors = told.body["Errors"].as_array().unwrap();
        errors.iter().filter(|error| error["Code"] == "RequestLimitExceeded").count()
    };
    assert_eq!(over(&told), 17, "{}", told.body);
    assert_eq!(inside.call_once("stranger", "BatchGetSecretValue", &items).await.1.code, "RequestLimitExceeded");
    inside.clock.pass(1);
    let told = inside.call_once("stranger", "BatchGetSecretValue", &items).await.1;
    assert_eq!(over(&told), 19, "one comes back in a second: {}", told.body);
    inside.finish().await;
}
