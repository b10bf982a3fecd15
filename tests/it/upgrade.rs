//! Installations that earlier versions made and used (tests/fixtures): this one opens them, serves what is in them, verifies them, writes to
//! them and verifies them again.

use crate::gateway::TestGateway;
use crate::installation::Installation;
use crate::trail::Trail;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The archives that are committed.
fn archives() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut archives: Vec<PathBuf> = all.filter(|path| path.extension().is_some_and(|kind| kind == "gz")).collect();
    archives.sort();
    archives
}

/// A copy of an archive's installation, and its directory, which goes with the first.
fn unpacked(archive: &Path) -> (TempDir, Installation) {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("kw");
    fs::create_dir(&dir).unwrap();
    let ran = Command::new("tar").arg("xzpf").arg(archive).arg("-C").arg(&dir).status().unwrap();
    assert!(ran.success());
    let installation = Installation::at(&dir);
    (scratch, installation)
}

fn get(gateway: &TestGateway, name: &str, version: Option<&str>) -> Value {
    let mut asked = json!({"SecretName": name});
    if let Some(version) = version {
        asked["VersionId"] = json!(version);
    }
    gateway.insist(gateway.admin(), "GetSecretValue", &asked).body
}

/// What scripts/upgrade-fixture.sh put into every archive.
fn holds_what_was_stored(gateway: &TestGateway) {
    for (name, version, value) in [
        ("up/text", None, "the second value"),
        ("up/text", Some("SSM_Current"), "the first value"),
        ("up/text", Some("v3"), "a staged value"),
        ("up/replaced", None, "after"),
        ("up/dated", None, "dated"),
    ] {
        assert_eq!(get(gateway, name, version)["SecretString"], value, "{name} {version:?}");
    }
    assert_eq!(get(gateway, "up/binary", None)["SecretBinary"], "AAH+/w==");
    assert_eq!(get(gateway, "up/generated", None)["SecretString"].as_str().unwrap().len(), 32);
    let pair = gateway.insist(gateway.admin(), "GetSSHKeyPairValue", &json!({"SecretName": "up/pair"})).body;
    assert!(pair["PublicKey"].as_str().unwrap().starts_with("ssh-ed25519 "), "{pair}");
    let described = gateway.insist(gateway.admin(), "DescribeSecret", &json!({"SecretName": "up/text"})).body;
    assert_eq!(described["Description"], "a text");
    let status = |name| gateway.call(gateway.admin(), "GetSecretValue", &json!({"SecretName": name})).code().to_owned();
    assert_eq!(status("up/disabled"), "ResourceUnavailable.ResourceDisabled");
    assert_eq!(status("up/deleted"), "ResourceNotFound.SecretNotExist");
    // The policy folder of that time decides: the application reads its own and nothing else.
    let app = gateway.issuer().token("app");
    assert_eq!(gateway.call(&app, "GetSecretValue", &json!({"SecretName": "up/text"})).status, 403);
    assert_eq!(gateway.call(&app, "GetSecretValue", &json!({"SecretName": "demo/none"})).status, 404);
}

#[test]
fn what_earlier_versions_wrote_is_opened_served_verified_and_written_to() {
    let archives = archives();
    assert!(!archives.is_empty());
    for archive in archives {
        let (_scratch, installation) = unpacked(&archive);
        let made: Value = serde_json::from_str(&installation.read("fixture.json")).unwrap();
        let (vkeys, remembered) = (installation.read("keys/log.vkey"), installation.read("checkpoint"));
        let before = installation.run(&["audit", "verify", "--decisions"]);
        assert_eq!(before.code, 0, "{}: {before:?}", archive.display());

        let gateway = TestGateway::of(installation);
        holds_what_was_stored(&gateway);
        gateway.create("up/new", "a new value");
        let put = json!({"SecretName": "up/text", "VersionId": "v4", "SecretString": "a later value"});
        gateway.insist(gateway.admin(), "PutSecretValue", &put);
        assert_eq!(get(&gateway, "up/text", None)["SecretString"], "a later value");
        let export = gateway.insist(gateway.admin(), "ExportRecords", &json!({})).bytes;
        // The head that was signed then is still one of this log.
        let trail = Trail::verified(&export, &vkeys, &[format!("{}\n", remembered.trim_end())]);
        assert!(trail.records.len() as u64 > made["at_least_records"].as_u64().unwrap(), "{made}");
        assert!(trail.records.iter().any(|record| record.kind == "policy_change"));
        gateway.finish();
    }
}
