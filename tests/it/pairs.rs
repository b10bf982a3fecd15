//! SSH key pairs as secrets: made in the gateway, read by OpenSSH's own program.

use crate::gateway::TestGateway;
use crate::installation::Policies;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

/// The public line that `ssh-keygen` derives from a private key.
fn derived(private: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    fs::write(&path, private).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let ran = Command::new("ssh-keygen").args(["-y", "-P", "", "-f"]).arg(&path).output().expect("ssh-keygen is there");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap().trim_end().to_owned()
}

fn create(gateway: &TestGateway, name: &str, more: Value) -> Value {
    let mut parameters = json!({"SecretName": name, "ProjectId": 7});
    parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    gateway.call(gateway.admin(), "CreateSSHKeyPairSecret", &parameters).ok().body
}

#[test]
fn key_pairs_are_made_sealed_and_read_by_openssh() {
    let gateway = TestGateway::start();
    let admin = gateway.admin();
    let read = |parameters: Value| gateway.call(admin, "GetSSHKeyPairValue", &parameters);
    for (name, kind, start) in [
        ("ssh/ed", "ed25519", "ssh-ed25519 "),
        ("ssh/rsa", "rsa-3072", "ssh-rsa "),
        ("ssh/big", "rsa-4096", "ssh-rsa "),
    ] {
        let made =
            create(&gateway, name, json!({"KeyType": kind, "SSHKeyName": "deploy_1", "Description": "of tests"}));
        assert_eq!(
            (&made["SecretName"], &made["SSHKeyName"], &made["TagCode"]),
            (&json!(name), &json!("deploy_1"), &json!(0))
        );
        let id = made["SSHKeyID"].as_str().unwrap();
        assert!(id.starts_with("skey-") && id.len() == 13, "{id}");
        let by_name = read(json!({"SecretName": name})).ok();
        let private = by_name.text("PrivateKey");
        assert!(private.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"), "{start}");
        let public = by_name.text("PublicKey");
        assert!(public.starts_with(start) && public.ends_with(" deploy_1"), "{public}");
        assert_eq!((derived(private).as_str(), made["PublicKey"].as_str()), (public, Some(public)));
        let shown =
            ["SSHKeyID", "ProjectID", "SSHKeyDescription", "SSHKeyName"].map(|field| by_name.body[field].clone());
        assert_eq!(json!(shown), json!([id, 7, "of tests", "deploy_1"]));
        let by_id = read(json!({"SSHKeyId": id})).ok();
        assert_eq!(by_id.text("PrivateKey"), private);
        assert_eq!(read(json!({"SSHKeyId": id, "SecretName": name})).ok().text("PrivateKey"), private);
        let record = gateway.record_of(&by_id);
        assert_eq!(record["action"], "ssm:GetSSHKeyPairValue");
        assert!(record["resource"].as_str().unwrap().ends_with(&format!("/{name}")), "{record}");
        assert!(record["value"].is_string() && record["secret_version"].is_string(), "{record}");
    }
    let export = gateway.export();
    let text = String::from_utf8(export.bytes).unwrap();
    assert!(!text.contains("OPENSSH PRIVATE KEY") && text.contains("ssm:CreateSSHKeyPairSecret"));
    let described = gateway.call(admin, "DescribeSecret", &json!({"SecretName": "ssh/ed"})).ok();
    assert_eq!((&described.body["SecretType"], &described.body["ProductName"]), (&json!(2), &json!("Cvm")));
    let listed =
        |kind: u64| gateway.call(admin, "ListSecrets", &json!({"SecretType": kind})).ok().body["TotalCount"].clone();
    assert_eq!((listed(0), listed(2), listed(1)), (json!(0), json!(3), json!(0)));
    gateway.finish();
}

#[test]
fn a_key_pair_is_no_custom_secret_and_the_other_way_round() {
    let gateway = TestGateway::start();
    let admin = gateway.admin();
    let code = |action: &str, parameters: Value| gateway.call(admin, action, &parameters).code().to_owned();
    let id = create(&gateway, "ssh/one", json!({}))["SSHKeyID"].as_str().unwrap().to_owned();
    let other = create(&gateway, "ssh/two", json!({}));
    assert_eq!(other["SSHKeyName"], json!(other["SSHKeyID"].as_str().unwrap().replace('-', "_")));
    gateway.create("demo/db", "s");
    let name = json!({"SecretName": "ssh/one"});
    for (action, more) in [
        ("GetSecretValue", json!({})),
        ("PutSecretValue", json!({"VersionId": "v2", "SecretString": "x"})),
        ("UpdateSecret", json!({"VersionId": "SSM_Current", "SecretString": "x"})),
        ("SetCurrentVersion", json!({"VersionId": "SSM_Current"})),
        ("DeleteSecretVersion", json!({"VersionId": "SSM_Current"})),
    ] {
        let mut parameters = name.clone();
        parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(code(action, parameters), "UnsupportedOperation", "{action}");
    }
    let pair = "GetSSHKeyPairValue";
    assert_eq!(code(pair, json!({"SecretName": "demo/db"})), "UnsupportedOperation");
    assert_eq!(code(pair, json!({"SecretName": "ssh/none"})), "ResourceNotFound");
    assert_eq!(code(pair, json!({"SSHKeyId": "skey-zzzzzzz9"})), "ResourceNotFound");
    assert_eq!(code(pair, json!({"SSHKeyId": "key-1"})), "InvalidParameterValue");
    assert_eq!(code(pair, json!({})), "MissingParameter");
    assert_eq!(code(pair, json!({"SecretName": "ssh/two", "SSHKeyId": id})), "InvalidParameterValue");
    assert_eq!(code("CreateSSHKeyPairSecret", json!({"SecretName": "ssh/three"})), "MissingParameter");
    let with = |more: Value| {
        let mut parameters = json!({"SecretName": "ssh/three", "ProjectId": 0});
        parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        parameters
    };
    assert_eq!(code("CreateSSHKeyPairSecret", with(json!({"KeyType": "dsa"}))), "InvalidParameterValue");
    assert_eq!(code("CreateSSHKeyPairSecret", with(json!({"SSHKeyName": "_x"}))), "InvalidParameterValue");
    assert_eq!(code("CreateSSHKeyPairSecret", with(json!({"EncryptType": 1}))), "UnsupportedOperation");
    assert_eq!(
        code("CreateSSHKeyPairSecret", json!({"SecretName": "ssh/one", "ProjectId": 0})),
        "ResourceInUse.SecretExists"
    );

    gateway.call(admin, "DisableSecret", &name).ok();
    assert_eq!(code(pair, name.clone()), "FailedOperation", "it has no code of its own for states");
    assert_eq!(
        code("DeleteSecret", json!({"SecretName": "ssh/one", "RecoveryWindowInDays": 1})),
        "InvalidParameterValue"
    );
    gateway.call(admin, "DeleteSecret", &name).ok();
    assert_eq!(code(pair, json!({"SSHKeyId": id})), "ResourceNotFound");
    gateway.finish();
}

#[test]
fn attack_c09_a_pairs_id_tells_nobody_which_secret_it_is_who_may_not_read_it() {
    let policies = Policies::default()
        .allow("team", &["ssm:GetSSHKeyPairValue"], "qcs::ssm:::secret/creatorUin/*/team/*")
        .attach("team", &["user/dev/app"]);
    let gateway = TestGateway::builder().policies(policies).start();
    let ids: Vec<String> = ["team/key", "ops/key"]
        .iter()
        .map(|name| create(&gateway, name, json!({}))["SSHKeyID"].as_str().unwrap().to_owned())
        .collect();
    let app = gateway.issuer().token("app");
    let ask = |id: &str| gateway.call(&app, "GetSSHKeyPairValue", &json!({"SSHKeyId": id}));
    ask(&ids[0]).ok();
    let masked = |id: &str| {
        let reply = ask(id);
        assert_eq!((reply.status, reply.code()), (403, "UnauthorizedOperation"));
        reply.body.to_string().replace(reply.request(), "").replace(id, "")
    };
    assert_eq!(masked(&ids[1]), masked("skey-zzzzzzz9"));
    gateway.finish();
}
