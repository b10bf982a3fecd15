//! The vendor's own SDKs and command line against a real gateway: the programs of `tests/sdk` are written from their
//! documentation and know nothing of keyward but where it listens.

use super::signed::Key;
use super::with_door;
use crate::gateway::TestGateway;
use crate::installation::{Policies, shown_by, taken_by};
use crate::tls;
use crate::token::Issuer;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Where the SDKs are installed; this installs them if they are not.
fn installed() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sdk");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/sdk.sh");
    let ran = Command::new(script).arg(&dir).stdin(Stdio::null()).status().unwrap();
    assert!(ran.success(), "the SDKs are not installed: {ran}");
    dir
}

/// A program with the credential and the region that the vendor's variables name.
fn program(program: &Path, gateway: &TestGateway, key: &Key) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(installed())
        .env("TENCENTCLOUD_SECRET_ID", &key.id)
        .env("TENCENTCLOUD_SECRET_KEY", &key.secret)
        .env("TENCENTCLOUD_REGION", "local")
        .env("HOME", gateway.installation().dir())
        .env_remove("http_proxy")
        .env_remove("https_proxy")
        .stdin(Stdio::null());
    command
}

/// What it wrote, of a program that ended well.
fn done(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{status}: {out}{err}");
    out.into_owned()
}

#[test]
fn the_python_sdk_works_unchanged() {
    let gateway = with_door().start();
    let key = Key::of(&gateway, gateway.admin());
    let out = done(
        program(&installed().join("venv/bin/python"), &gateway, &key)
            .arg("program.py")
            .env("SSM_ENDPOINT", gateway.address().to_string()),
    );
    assert_eq!(out, "the SDK's program is done\n");
    let read = gateway.records().into_iter().rfind(|record| record["action"] == json!("ssm:GetSecretValue")).unwrap();
    assert_eq!(read["credential"]["access_key"], json!(key.id));
    assert!(read["user_agent"].as_str().unwrap().starts_with("SDK_PYTHON_3."), "{read}");
    gateway.finish();
}

/// What `tests/sdk/actions.py` shows, sent and signed as `settings` (of its environment) say, against a gateway with these.
fn shown(settings: &[(&str, &str)], switched_on: &[&str]) -> BTreeMap<String, Value> {
    let corp = Issuer::new("corp");
    let policies = Policies::default().role("reader", &[shown_by("corp", "ci"), taken_by("user/dev/admin")], None);
    let mut builder = with_door().issuer(&corp, "").policies(policies);
    builder = builder.set("limits.secrets", 6).set("limits.versions_per_secret", 3);
    for switch in switched_on {
        builder = builder.set(&format!("tencent.{switch}"), true);
    }
    let gateway = builder.start();
    let native = |action: &str, parameters: Value| gateway.call(gateway.admin(), action, &parameters).ok();
    native("CreateKey", json!({"KeyId": "off"}));
    native(
        "CreateSecret",
        json!({"SecretName": "sealed-off", "VersionId": "v1", "SecretString": "x", "KmsKeyId": "off"}),
    );
    native("DisableKey", json!({"KeyId": "off"}));
    let key = Key::of(&gateway, gateway.admin());
    let stranger = native("CreateAccessKey", json!({"Principal": "user/dev/stranger"})).body["AccessKey"].take();
    let out = done(
        program(&installed().join("venv/bin/python"), &gateway, &key)
            .arg("actions.py")
            .env("SSM_ENDPOINT", gateway.address().to_string())
            .env("STRANGER_SECRET_ID", stranger["AccessKeyId"].as_str().unwrap())
            .env("STRANGER_SECRET_KEY", stranger["SecretAccessKey"].as_str().unwrap())
            .env("WEB_IDENTITY_TOKEN", corp.token_of("ci", &[], &[], 600))
            .envs(settings.iter().copied()),
    );
    gateway.finish();
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}

/// The rows of the table in docs/COMPATIBILITY.md: an action, and what it takes, refuses and answers.
fn documented() -> BTreeMap<String, Value> {
    let page = include_str!("../../../docs/COMPATIBILITY.md");
    let (_, behind) = page.split_once("## Action by action\n").expect("the section of the table");
    let section = behind.split_once("\n## ").map_or(behind, |(section, _)| section);
    let list = |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 6, "{row}");
        let action = list(cells[1]).remove(0);
        (action, json!({"taken": list(cells[2]), "refused": list(cells[3]), "errors": list(cells[4])}))
    })
    .collect()
}

/// The table of docs/COMPATIBILITY.md is what the SDK showed.
#[test]
fn the_python_sdk_shows_every_action_parameter_by_parameter_and_error_by_error() {
    let (shown, documented) = (shown(&[], &[]), documented());
    let rows: Vec<String> = shown.iter().map(|(action, told)| row(action, told)).collect();
    assert!(shown == documented, "the rows of the table should be\n{}", rows.join("\n"));
}

/// How a row should read.
fn row(action: &str, told: &Value) -> String {
    let list = |field: &str| -> String {
        let names = told[field].as_array().unwrap().iter().map(|name| format!("`{}`", name.as_str().unwrap()));
        names.collect::<Vec<_>>().join(", ")
    };
    format!("| `{action}` | {} | {} | {} |", list("taken"), list("refused"), list("errors"))
}

/// However the SDK signs and sends, the actions do the same; the web identity is sent in one way alone.
#[test]
fn the_python_sdks_other_methods_and_signatures_do_the_same() {
    let mut expected = documented();
    expected.remove("AssumeRoleWithWebIdentity");
    for (settings, switched_on) in [
        (vec![("REQUEST_METHOD", "GET")], vec!["values_over_get"]),
        (vec![("SIGN_METHOD", "HmacSHA256")], vec!["hmac_sha256"]),
        (vec![("SIGN_METHOD", "HmacSHA1"), ("REQUEST_METHOD", "GET")], vec!["hmac_sha1", "values_over_get"]),
    ] {
        assert_eq!(shown(&settings, &switched_on), expected, "{settings:?}");
    }
    expected = documented();
    assert_eq!(shown(&[("UNSIGNED_PAYLOAD", "yes")], &["unsigned_payload"]), expected);
}

#[test]
fn the_python_sdks_credential_classes_take_roles_unchanged() {
    let corp = Issuer::new("corp");
    let policies = Policies::default()
        .role("reader", &[shown_by("corp", "ci"), taken_by("user/dev/admin")], None)
        .allow("read", &["ssm:GetSecretValue"], "*")
        .attach("read", &["role/local/reader"]);
    // The one that STSAssumeRoleCredential sends, whatever its client is told.
    let region = "ap-guangzhou";
    let gateway = with_door().set("server.region", region).issuer(&corp, "").policies(policies).start();
    gateway.create("demo-db", "value");
    let key = Key::of(&gateway, gateway.admin());
    let token = gateway.installation().path("token");
    std::fs::write(&token, corp.token_of("ci", &[], &[], 600)).unwrap();
    let out = done(
        program(&installed().join("venv/bin/python"), &gateway, &key)
            .arg("sessions.py")
            .env("SSM_ENDPOINT", gateway.address().to_string())
            .env("TENCENTCLOUD_REGION", region)
            .env("TKE_REGION", region)
            .env("TKE_PROVIDER_ID", "corp")
            .env("TKE_WEB_IDENTITY_TOKEN_FILE", token)
            .env("TKE_ROLE_ARN", "qcs::cam::uin/100000000001:roleName/reader"),
    );
    assert_eq!(out, "the roles were taken\n");
    let records = gateway.records();
    let by = |who: &str| records.iter().filter(|record| record["assumed_by"] == json!(who)).count();
    assert_eq!((by("user/corp/ci"), by("user/dev/admin")), (3, 1));
    gateway.finish();
}

#[test]
fn the_python_sdk_of_cloudaudit_works_unchanged() {
    let gateway = with_door().start();
    let key = Key::of(&gateway, gateway.admin());
    let out = done(
        program(&installed().join("venv/bin/python"), &gateway, &key)
            .arg("cloudaudit.py")
            .env("SSM_ENDPOINT", gateway.address().to_string()),
    );
    assert_eq!(out, "the SDK's program is done\n");
    let records = gateway.records();
    let searched = records.iter().filter(|record| record["action"] == json!("cloudaudit:LookUpEvents"));
    assert!(searched.count() > 2, "a search of the trail left no record");
    gateway.finish();
}

#[test]
fn tccli_works_unchanged() {
    let gateway = with_door().start();
    gateway.create("demo-db", "value");
    let key = Key::of(&gateway, gateway.admin());
    let endpoint = format!("http://{}", gateway.address());
    let tccli = |arguments: &[&str]| {
        let mut command = program(&installed().join("venv/bin/tccli"), &gateway, &key);
        command.arg("ssm").args(arguments).args(["--region", "local", "--endpoint", &endpoint]);
        command
    };
    let said: Value = serde_json::from_str(&done(&mut tccli(&[
        "GetSecretValue",
        "--SecretName",
        "demo-db",
        "--VersionId",
        "SSM_Current",
    ])))
    .unwrap();
    assert_eq!(said["SecretString"], json!("value"));
    let put = ["PutSecretValue", "--SecretName", "demo-db", "--VersionId", "v2", "--SecretString", "second"];
    done(&mut tccli(&put));
    let listed = ["ListSecretVersionIds", "--SecretName", "demo-db"];
    let listed: Value = serde_json::from_str(&done(&mut tccli(&listed))).unwrap();
    assert_eq!(listed["Versions"][0]["VersionId"], json!("v2"));
    // An error is loud: it would print nulls and end well, if the answer had another form.
    let refused = tccli(&["GetSecretValue", "--SecretName", "none", "--VersionId", "v1"]).output().unwrap();
    let text = String::from_utf8_lossy(&[refused.stderr, refused.stdout].concat()).into_owned();
    assert!(!refused.status.success() && text.contains("ResourceNotFound.SecretNotExist"), "{text}");
    gateway.finish();
}

#[test]
fn the_node_sdk_works_unchanged_over_tls() {
    let gateway = with_door().start();
    let key = Key::of(&gateway, gateway.admin());
    let installation = gateway.stop();
    tls::serve_as(&installation, "ssm.localhost");
    let gateway = TestGateway::of(installation);
    let out = done(
        program(Path::new("node"), &gateway, &key)
            .arg("program.mjs")
            .env("NODE_EXTRA_CA_CERTS", gateway.installation().path("ca.pem"))
            .env("SSM_ENDPOINT", format!("ssm.localhost:{}", gateway.address().port())),
    );
    assert_eq!(out, "the SDK's program is done\n");
    gateway.finish();
}
