//! Versions that expire: said when they are written, shown, filtered by, counted; and never enforced.

use crate::gateway::{TestGateway, wait_for};
use crate::token::now_s;
use serde_json::{Value, json};

const DAY: u64 = 86_400;

fn create(gateway: &TestGateway, name: &str, expires_at: u64) {
    let parameters = json!({"SecretName": name, "VersionId": "v1", "SecretString": "s", "ExpiresAt": expires_at});
    gateway.call(gateway.admin(), "CreateSecret", &parameters).ok();
}

fn before(gateway: &TestGateway, at: u64) -> Vec<String> {
    let listed = gateway.call(gateway.admin(), "ListSecrets", &json!({"ExpiresBefore": at})).ok();
    let rows = listed.body["SecretMetadatas"].as_array().unwrap().clone();
    let mut names: Vec<String> = rows.iter().map(|row| row["SecretName"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_version_says_when_it_expires_until_it_is_said_otherwise() {
    let gateway = TestGateway::start();
    let admin = gateway.admin();
    let now = now_s();
    create(&gateway, "cert/soon", now + 3 * DAY);
    create(&gateway, "cert/later", now + 90 * DAY);
    create(&gateway, "cert/never", 0);
    assert_eq!(before(&gateway, now + 4 * DAY), ["cert/soon"]);
    assert_eq!(before(&gateway, now + 3 * DAY), Vec::<String>::new(), "before, and not at");
    assert_eq!(before(&gateway, u64::from(u32::MAX)), ["cert/later", "cert/soon"]);
    let call = |action: &str, more: Value| {
        let mut parameters = json!({"SecretName": "cert/soon"});
        parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        gateway.call(admin, action, &parameters).ok()
    };
    let expiries = || -> Value {
        let rows = call("ListSecretVersionIds", json!({})).body["Versions"].as_array().unwrap().clone();
        rows.iter().map(|row| json!([row["VersionId"], row["ExpiresAt"]])).collect()
    };
    let put = call("PutSecretValue", json!({"VersionId": "v2", "SecretString": "t", "ExpiresAt": now + 60 * DAY}));
    assert_eq!(expiries(), json!([["v2", now + 60 * DAY], ["v1", now + 3 * DAY]]));
    assert_eq!(before(&gateway, now + 4 * DAY), Vec::<String>::new(), "of a secret its current version counts");
    call("UpdateSecret", json!({"VersionId": "v1", "SecretString": "u"}));
    assert_eq!(expiries()[1], json!(["v1", now + 3 * DAY]), "it stays if nobody says otherwise");
    call("UpdateSecret", json!({"VersionId": "v1", "SecretString": "u", "ExpiresAt": 0}));
    assert_eq!(expiries()[1], json!(["v1", 0]));
    assert_eq!(call("DescribeSecret", json!({})).body["ExpiresAt"], json!(now + 60 * DAY));
    let parameters = gateway.record_of(&put)["parameters"].clone();
    assert_eq!((&parameters["expires_at"], &parameters["stage"]), (&json!(now + 60 * DAY), &json!(false)));
    let wrong = gateway.call(admin, "CreateSecret", &json!({"SecretName": "x", "SecretString": "s", "ExpiresAt": -1}));
    assert_eq!(wrong.code(), "InvalidParameter");
    gateway.finish();
}

#[test]
fn versions_that_expire_are_counted_and_served_all_the_same() {
    let gateway = TestGateway::start();
    let now = now_s();
    for (name, expires_at) in
        [("a", now - DAY), ("b", now + 3 * DAY), ("c", now + 20 * DAY), ("d", now + 90 * DAY), ("e", 0)]
    {
        create(&gateway, &format!("cert/{name}"), expires_at);
    }
    let read = gateway.call(gateway.admin(), "GetSecretValue", &json!({"SecretName": "cert/a"})).ok();
    assert_eq!(read.body["SecretString"], "s");
    gateway.call(gateway.admin(), "DisableSecret", &json!({"SecretName": "cert/c"})).ok();
    gateway.call(gateway.admin(), "DeleteSecret", &json!({"SecretName": "cert/c"})).ok();
    // Counted at start, and once a minute.
    let gateway = gateway.restart();
    let metric = |within: &str| format!("keyward_expiring_versions{{within=\"{within}\"}}");
    let expected = [("past", 1), ("7d", 2), ("30d", 2)].map(|(within, count)| format!("{} {count}", metric(within)));
    wait_for("the versions to be counted", || {
        let text = String::from_utf8(gateway.get("/metrics").bytes).unwrap();
        expected.iter().all(|line| text.contains(line)).then_some(())
    });
    gateway.finish();
}
