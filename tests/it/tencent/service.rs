//! What the service says of itself, and how it refuses what it does not have, in the vendor's form.

use super::bearer::kinds;
use super::{admin, ask, with_door};
use crate::coverage::product;
use crate::gateway::wait_for;
use serde_json::json;

#[test]
fn the_service_answers_in_the_vendors_fields_and_types() {
    let gateway = with_door().set("limits.secrets", 5).set("limits.account_requests_per_second", 100_000).start();
    let regions = admin(&gateway, "GetRegions", &json!({})).ok();
    assert_eq!(kinds(&regions.body), ["Regions:l", "RequestId:s"]);
    let status = admin(&gateway, "GetServiceStatus", &json!({})).ok();
    let fields = [
        "AccessKeyEscrowEnabled:b",
        "ExpireTime:s",
        "InvalidType:n",
        "PayModel:s",
        "QPSLimit:n",
        "RenewFlag:n",
        "RequestId:s",
        "ResourceId:s",
        "ResourceRegion:n",
        "SecretLimit:n",
        "ServiceEnabled:b",
        "TotalCount:n",
    ];
    assert_eq!(kinds(&status.body), fields);
    assert_eq!((&status.body["SecretLimit"], &status.body["QPSLimit"]), (&json!(5), &json!(100_000)));
    let products = admin(&gateway, "DescribeSupportedProducts", &json!({})).ok();
    assert_eq!(kinds(&products.body), ["Products:l", "RequestId:s", "TotalCount:n"]);
    let create = json!({"PayMode": "PostPay", "ClientToken": "ssm-1"});
    for _ in 0..2 {
        let refused = admin(&gateway, "CreateService", &create);
        assert_eq!(refused.code(), "ResourceInUse.ServiceAlreadyEnabled");
        let record = gateway.record_of(&refused);
        assert_eq!((&record["decision"], &record["outcome"]), (&json!("allow"), &json!("failed")));
        assert!(!record.to_string().contains("ssm-1"), "{record}");
    }
    let stranger = gateway.token("stranger", &[], &[], 600);
    for action in ["GetRegions", "GetServiceStatus", "DescribeSupportedProducts"] {
        assert_eq!(ask(&gateway, &stranger, action, &json!({})).code(), "UnauthorizedOperation", "{action}");
    }
    assert_eq!(ask(&gateway, &stranger, "CreateService", &create).code(), "UnauthorizedOperation");
    gateway.finish();
}

#[test]
fn product_secrets_are_refused_once_they_are_allowed_and_recorded_and_nothing_pretends() {
    let gateway = with_door().start();
    gateway.create("demo/db", "value");
    let stranger = gateway.token("stranger", &[], &[], 600);
    let name = json!({"SecretName": "demo/db"});
    let cases = [
        ("CreateProductSecret", product("demo/product"), "demo/product"),
        ("RotateProductSecret", name.clone(), "demo/db"),
        ("UpdateRotationStatus", json!({"SecretName": "demo/db", "EnableRotation": true}), "demo/db"),
        ("DescribeRotationDetail", name.clone(), "demo/db"),
        ("DescribeRotationHistory", json!({"SecretName": "demo/none"}), "demo/none"),
        ("DescribeAsyncRequestInfo", json!({"FlowID": 1}), ""),
    ];
    for (action, parameters, about) in cases {
        let refused = admin(&gateway, action, &parameters);
        assert_eq!(refused.code(), "UnsupportedOperation", "{action}");
        assert!(refused.message().contains("product secrets"), "{}", refused.message());
        let record = gateway.record_of(&refused);
        assert_eq!((&record["decision"], &record["outcome"]), (&json!("allow"), &json!("failed")), "{action}");
        assert!(record["resource"].as_str().unwrap_or_default().ends_with(about), "{record}");
        assert_eq!(ask(&gateway, &stranger, action, &parameters).code(), "UnauthorizedOperation", "{action}");
        assert_eq!(admin(&gateway, action, &json!({})).code(), "MissingParameter", "{action}");
    }
    let listed = admin(&gateway, "ListSecrets", &json!({})).ok();
    assert_eq!(listed.body["TotalCount"], 1);
    gateway.finish();
}

#[test]
fn an_account_that_asks_too_fast_is_told_so_through_either_door() {
    let gateway = with_door().set("limits.account_requests_per_second", 1).start();
    let over = wait_for("a refusal", || {
        let reply = admin(&gateway, "GetRegions", &json!({}));
        (reply.code() != "ok").then_some(reply)
    });
    assert_eq!((over.code(), over.index()), ("RequestLimitExceeded.UinLimitExceeded", None));
    let native = wait_for("a refusal", || {
        let reply = gateway.call(gateway.admin(), "GetRegions", &json!({}));
        (reply.status != 200).then_some(reply)
    });
    assert_eq!((native.status, native.code()), (429, "RequestLimitExceeded.UinLimitExceeded"));
    assert_eq!(native.header("retry-after"), Some("1"));
    gateway.finish();
}
