//! The main job once, from a fresh installation to a verified trail.

use crate::gateway::TestGateway;
use serde_json::json;

#[test]
fn a_service_gets_its_secret_and_the_trail_says_so() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "s3cret");
    let app = gateway.token("app", &[], &[], 60);
    let read = gateway.call(&app, "GetSecretValue", &json!({"SecretName": "demo/db"})).ok();
    assert_eq!(read.text("SecretString"), "s3cret");
    let record = gateway.record_of(&read);
    assert_eq!(record["principal"], "user/dev/app");
    assert_eq!((&record["decision"], &record["outcome"]), (&json!("allow"), &json!("ok")));
    let gateway = gateway.restart();
    let again = gateway.call(&app, "GetSecretValue", &json!({"SecretName": "demo/db"})).ok();
    assert_eq!(again.text("SecretString"), "s3cret");
    gateway.finish();
}
