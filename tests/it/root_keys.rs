//! Root keys from a passphrase, and another root key while the gateway serves: kills at any moment leave a store that one of
//! the two opens, and no start that opens it touches the other.

use crate::gateway::{Refused, TestGateway, wait_for};
use crate::inside::Inside;
use crate::installation::{Installation, PROGRAM, Ran};
use crate::wire::Connection;
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const PASSPHRASE: &str = "correct horse battery staple";

fn next(lines: &[(&str, &str)]) -> toml::Table {
    lines.iter().map(|(key, value)| ((*key).to_owned(), toml::Value::from(*value))).collect()
}

/// An installation with this next root key.
fn with_next(lines: &[(&str, &str)]) -> Installation {
    let installation = Installation::new();
    installation.set("keys.next", next(lines));
    installation
}

/// Puts `[keys.next]` in the place of `[keys]`, as an operator does.
fn promote(installation: &Installation) {
    let keys = installation.config()["keys"].as_table().unwrap().clone();
    for (key, value) in keys["next"].as_table().unwrap() {
        installation.set(&format!("keys.{key}"), value.clone());
    }
    only(installation, "");
}

/// Takes `[keys.next]` out and, if a path is given, makes it the only root key's.
fn only(installation: &Installation, path: &str) {
    let mut config = installation.config();
    let keys = config["keys"].as_table_mut().unwrap();
    keys.remove("next");
    if !path.is_empty() {
        keys.insert("path".to_owned(), path.into());
    }
    fs::write(installation.path("keyward.toml"), toml::to_string(&config).unwrap()).unwrap();
}

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

fn read(gateway: &TestGateway) -> String {
    gateway.insist(gateway.admin(), "GetSecretValue", &json!({"SecretName": "demo/db"})).text("SecretString").to_owned()
}

fn rotate(gateway: &TestGateway) -> Value {
    gateway.insist(gateway.admin(), "RotateRootKey", &json!({})).body
}

/// `init` into a new directory, with these arguments and variables.
fn init(arguments: &[&str], variables: &[(&str, &str)]) -> (tempfile::TempDir, Ran) {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("kw");
    let mut command = Command::new(PROGRAM);
    command.args(["init", "--dev", "--dir"]).arg(&dir).args(arguments).envs(variables.iter().copied());
    (scratch, Ran::from(command.output().unwrap()))
}

/// The installation that [`init`] made.
fn made(scratch: &tempfile::TempDir) -> Installation {
    let installation = Installation::of(scratch.path().join("kw"));
    installation.set("server.listen", "127.0.0.1:0");
    installation.set("limits.requests_per_second", 0);
    installation.set("limits.denials_per_second", 0);
    installation
}

fn refused(installation: Installation) -> Refused {
    TestGateway::try_of(installation).err().expect("a refusal")
}

#[test]
fn a_gateway_lives_on_a_passphrase_in_a_file() {
    let passphrases = tempfile::tempdir().unwrap();
    let file = passphrases.path().join("passphrase");
    private(&file, &format!("{PASSPHRASE}\n"));
    let (scratch, ran) = init(&["--passphrase-file", file.to_str().unwrap()], &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let installation = made(&scratch);
    assert!(installation.read("keys/root.key").starts_with("keyward-root-passphrase/v1\nargon2id m=65536 t=3 p=4\n"));
    let gateway = TestGateway::of(installation);
    gateway.create("demo/db", "s3cret");
    let gateway = gateway.restart();
    assert_eq!(read(&gateway), "s3cret");
    let installation = gateway.stop();
    // Another one: one clear line, exit 1, and nothing is touched.
    let files = || -> Vec<(PathBuf, Vec<u8>)> {
        let folder = |below: &str| fs::read_dir(installation.path(below)).unwrap().map(|entry| entry.unwrap().path());
        let all = folder("data/db").chain(folder("keys")).chain([installation.path("hwm")]);
        let mut all: Vec<_> =
            all.filter(|path| path.is_file()).map(|path| (path.clone(), fs::read(&path).unwrap())).collect();
        all.sort();
        all
    };
    let before = files();
    private(&file, "incorrect horse battery staple");
    let ran = installation.run(&["serve"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("is not the one of the root key in") && !ran.err.contains("horse"), "{}", ran.err);
    assert!(files() == before, "something was written");
    private(&file, PASSPHRASE);
    installation.verify();
    let log = (0..3).map(|number| installation.path(&format!("serve-{number}.log")));
    let logs: String = log.filter_map(|path| fs::read_to_string(path).ok()).collect();
    assert!(!logs.contains("horse"), "it is in a log");
}

#[test]
fn a_passphrase_comes_from_a_variable_or_a_credential_and_goes_to_nobody() {
    let (scratch, ran) = init(&["--passphrase-env", "KEYWARD_PASSPHRASE"], &[("KEYWARD_PASSPHRASE", PASSPHRASE)]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let installation = made(&scratch);
    let absent = installation.run(&["serve"]);
    assert_eq!(absent.code, 1);
    assert!(absent.err.contains("`$KEYWARD_PASSPHRASE` cannot be used: the variable is not set"), "{}", absent.err);
    let gateway = TestGateway::of_with(installation, &[("KEYWARD_PASSPHRASE", PASSPHRASE)]);
    gateway.create("demo/db", "s3cret");
    assert_eq!(read(&gateway), "s3cret");
    let mut run = gateway.installation().command(&["run", "--secret", "demo/db=DB", "--", "env"]);
    run.env("KEYWARD_PASSPHRASE", PASSPHRASE).env("KEYWARD_TOKEN", gateway.admin());
    run.env("KEYWARD_ADDR", format!("http://{}", gateway.address()));
    let ran = Ran::from(run.output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("DB=s3cret") && !ran.out.contains("horse"), "{}", ran.out);
    let installation = gateway.stop();
    // The same root key, its passphrase handed over by systemd.
    let credentials = tempfile::tempdir().unwrap();
    private(&credentials.path().join("keyward"), PASSPHRASE);
    installation.set("keys.passphrase_env", "");
    installation.set("keys.passphrase_credential", "keyward");
    readable_by_its_group(&credentials.path().join("keyward"));
    let directory = credentials.path().to_str().unwrap();
    let gateway = TestGateway::of_with(installation, &[("CREDENTIALS_DIRECTORY", directory)]);
    assert_eq!(read(&gateway), "s3cret");
    gateway.stop();
    let (none, short): (&[_], &[_]) = (&[], &[("KEYWARD_PASSPHRASE", "short")]);
    let cases: [(&[&str], _, &str); 3] = [
        (&["--passphrase-env", "KEYWARD_PASSPHRASE"], short, "at least 12 bytes"),
        (&["--passphrase-credential", "keyward"], none, "no credentials were handed over"),
        (&["--passphrase-env", "A", "--passphrase-file", "b"], none, "cannot be used with"),
    ];
    for (arguments, variables, said) in cases {
        let (scratch, ran) = init(arguments, variables);
        assert!(ran.code != 0 && ran.err.contains(said), "{}", ran.err);
        assert!(fs::read_dir(scratch.path()).unwrap().next().is_none(), "something was left behind");
    }
}

/// As systemd hands a credential to a service: its access list shows as its group's bits.
fn readable_by_its_group(credential: &Path) {
    fs::set_permissions(credential, Permissions::from_mode(0o440)).unwrap();
}

#[test]
fn a_root_key_may_be_a_credential_of_systemd() {
    let installation = Installation::new();
    let credentials = tempfile::tempdir().unwrap();
    let credential = credentials.path().join("keyward.root-key");
    fs::rename(installation.path("keys/root.key"), &credential).unwrap();
    readable_by_its_group(&credential);
    installation.set("keys.path", credential.to_str().unwrap());
    let refused = installation.run(&["serve"]);
    assert_eq!(refused.code, 1, "it is a credential for whom systemd says so, and for nobody else");
    assert!(refused.err.contains("is open to others (mode 0440)"), "{}", refused.err);
    let handed_over = [("CREDENTIALS_DIRECTORY", credentials.path().to_str().unwrap())];
    let gateway = TestGateway::of_with(installation, &handed_over);
    gateway.create("demo/db", "s3cret");
    assert_eq!(read(&gateway), "s3cret");
    let doctor = |variables: &[(&str, &str)]| {
        let mut command = gateway.installation().command(&["doctor"]);
        command.envs(variables.iter().copied());
        Ran::from(command.output().unwrap())
    };
    let (within, outside) = (doctor(&handed_over), doctor(&[]));
    assert!(!within.out.contains("its group may"), "{}", within.out);
    assert!(outside.out.contains("its group may use it"), "{}", outside.out);
}

#[test]
fn i02_i12_another_root_key_while_serving_is_one_record_and_the_file_says_which() {
    let gateway = TestGateway::of(Installation::new());
    gateway.create("demo/db", "s3cret");
    let none = gateway.call(gateway.admin(), "RotateRootKey", &json!({}));
    assert_eq!((none.status, none.code()), (409, "FailedOperation"));
    assert!(none.message().contains("[keys.next]"), "{}", none.message());
    let stranger = gateway.call(&gateway.issuer().token("stranger"), "RotateRootKey", &json!({}));
    assert_eq!(stranger.status, 403);
    let named = gateway.call(gateway.admin(), "RotateRootKey", &json!({"Path": "keys/mine"}));
    assert_eq!((named.status, named.code()), (400, "UnknownParameter"), "no request says where");
    // keyward.toml is read when it is asked.
    gateway.installation().set("keys.next", next(&[("path", "keys/root-2.key")]));
    let first = fs::read(gateway.installation().path("keys/root.key")).unwrap();
    let rotated = gateway.insist(gateway.admin(), "RotateRootKey", &json!({}));
    let again = gateway.call(gateway.admin(), "RotateRootKey", &json!({}));
    assert_eq!((again.status, again.code()), (409, "FailedOperation"), "{}", again.body);
    assert_eq!(read(&gateway), "s3cret");
    gateway.create("demo/more", "m0re");
    assert_eq!(fs::read(gateway.installation().path("keys/root.key")).unwrap(), first, "the old one is left alone");
    let record = gateway.record_of(&rotated);
    let said = (&record["action"], &record["outcome"], &record["parameters"]["provider"]);
    assert_eq!(said, (&json!("kms:RotateRootKey"), &json!("ok"), &json!("file")));
    assert_eq!(record["parameters"]["new"], rotated.body["RootKey"]);
    assert_eq!(record["parameters"]["old"], rotated.body["PreviousRootKey"]);
    // Both are named: the one that opens it is taken.
    let gateway = gateway.restart();
    assert_eq!(read(&gateway), "s3cret");
    assert!(gateway.log().contains("the root key of `[keys.next]`"), "{}", gateway.log());
    let installation = gateway.stop();
    // The old one alone: told which one it takes.
    let alone = installation.copy();
    only(&alone, "");
    let refused = refused(alone);
    let needed = rotated.text("RootKey");
    assert_eq!(refused.code, 1);
    assert!(refused.text.contains(&format!("it is under the root key `{needed}`")), "{}", refused.text);
    promote(&installation);
    fs::remove_file(installation.path("keys/root.key")).unwrap();
    let gateway = TestGateway::of(installation);
    assert_eq!(read(&gateway), "s3cret");
    // And once more, now from the second to a third.
    gateway.installation().set("keys.next", next(&[("path", "keys/root-3.key")]));
    assert_eq!(rotate(&gateway)["PreviousRootKey"], rotated.body["RootKey"]);
    gateway.installation().set("keys.next", next(&[("path", "keys/root-4.key")]));
    let fourth = rotate(&gateway);
    promote(gateway.installation());
    let gateway = gateway.restart();
    assert_eq!(read(&gateway), "s3cret");
    assert!(fourth["RootKey"].is_string());
    gateway.finish();
}

#[test]
fn a_root_key_in_a_file_gives_way_to_a_passphrase_and_the_other_way_round() {
    let installation = Installation::new();
    private(&installation.path("passphrase"), PASSPHRASE);
    let lines = [("provider", "passphrase"), ("path", "keys/root.pass"), ("passphrase_file", "passphrase")];
    installation.set("keys.next", next(&lines));
    let gateway = TestGateway::of(installation);
    gateway.create("demo/db", "s3cret");
    assert_eq!(rotate(&gateway)["Provider"], "passphrase");
    promote(gateway.installation());
    let gateway = gateway.restart();
    assert_eq!(read(&gateway), "s3cret");
    gateway.installation().set("keys.next", next(&[("path", "keys/root-2.key")]));
    assert_eq!(rotate(&gateway)["Provider"], "file");
    let installation = gateway.stop();
    installation.set("keys.passphrase_file", "");
    installation.set("keys.provider", "file");
    promote(&installation);
    let gateway = TestGateway::of(installation);
    assert_eq!(read(&gateway), "s3cret");
    gateway.finish();
}

#[test]
fn a_next_root_key_that_cannot_be_had_changes_nothing() {
    let installation = with_next(&[("path", "keys/root-2.key")]);
    let gateway = TestGateway::of(installation);
    gateway.create("demo/db", "s3cret");
    private(&gateway.installation().path("keys/root-2.key"), "keyward-root-key/v1\nnot a key\n");
    let bad = gateway.call(gateway.admin(), "RotateRootKey", &json!({}));
    assert_eq!((bad.status, bad.code()), (409, "FailedOperation"));
    assert!(bad.message().contains("is not a root key"), "{}", bad.message());
    assert_eq!(gateway.record_of(&bad)["outcome"], "failed");
    let gateway = gateway.restart();
    assert_eq!(read(&gateway), "s3cret", "a start does not need the next one");
    gateway.finish();
}

fn key(id: &str) -> Value {
    json!({"KeyId": id})
}

async fn current(inside: &Inside, name: &str) -> Value {
    inside.admin("GetSecretValue", json!({"SecretName": name})).await.ok().body["SecretString"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i08_all_keys_and_generations_go_under_another_root_key_and_new_ones_are_made_under_it() {
    let inside = Inside::open(with_next(&[("path", "keys/root-2.key")])).await;
    inside.admin("CreateKey", key("team")).await.ok();
    inside.admin("CreateKey", key("parked")).await.ok();
    let create = |name: &str, key: &str| json!({"SecretName": name, "SecretString": name, "KmsKeyId": key});
    inside.admin("CreateSecret", create("demo/team", "team")).await.ok();
    inside.admin("CreateSecret", create("demo/parked", "parked")).await.ok();
    inside.admin("RotateKey", key("team")).await.ok();
    let put = json!({"SecretName": "demo/team", "VersionId": "v2", "SecretString": "newer"});
    inside.admin("PutSecretValue", put).await.ok();
    inside.admin("DisableKey", key("parked")).await.ok();
    let before = inside.admin("ListKeys", json!({})).await.ok().body["Keys"].clone();
    inside.admin("RotateRootKey", json!({})).await.ok();
    assert_eq!(inside.admin("ListKeys", json!({})).await.ok().body["Keys"], before, "what is said of keys stays");
    // At once, without a restart: a new key, a new generation, a key that was disabled.
    inside.admin("CreateKey", key("late")).await.ok();
    inside.admin("CreateSecret", create("demo/late", "late")).await.ok();
    inside.admin("RotateKey", json!({})).await.ok();
    inside.admin("CreateSecret", create("demo/default", "default")).await.ok();
    inside.admin("EnableKey", key("parked")).await.ok();
    let installation = inside.close().await;
    promote(&installation);
    fs::remove_file(installation.path("keys/root.key")).unwrap();
    let inside = Inside::open(installation).await;
    for (name, value) in [
        ("demo/team", "newer"),
        ("demo/parked", "demo/parked"),
        ("demo/late", "demo/late"),
        ("demo/default", "demo/default"),
    ] {
        assert_eq!(current(&inside, name).await, value);
    }
    let first = json!({"SecretName": "demo/team", "VersionId": "SSM_Current"});
    inside.admin("GetSecretValue", first).await.ok();
    // And what is wrapped anew afterwards, generation by generation.
    inside.admin("RewrapKeys", key("team")).await.ok();
    inside.gateway.rewrap().await;
    inside.admin("RetireKeyGeneration", json!({"KeyId": "team", "Generation": 1})).await.ok();
    inside.installation.set("keys.next", next(&[("path", "keys/root-3.key")]));
    inside.admin("RotateRootKey", json!({})).await.ok();
    assert_eq!(current(&inside, "demo/team").await, "newer");
    let inside = inside.restart().await;
    assert_eq!(current(&inside, "demo/team").await, "newer");
    inside.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i13_no_key_is_made_under_the_root_key_that_an_earlier_record_replaced() {
    const KEYS: usize = 24;
    let mut inside = Inside::open(with_next(&[("path", "keys/root-2.key")])).await;
    for round in 2..6 {
        inside.installation.set("keys.next", next(&[("path", &format!("keys/root-{round}.key"))]));
        let made = async {
            let one = |number: usize| inside.admin("CreateKey", key(&format!("key-{round}-{number}")));
            futures_util::future::join_all((0..KEYS).map(one)).await
        };
        let replaced = async { inside.admin("RotateRootKey", json!({})).await.code };
        let (made, replaced) = tokio::join!(made, replaced);
        // Whoever was sent back too often says so, and has changed nothing.
        assert!(made.iter().all(|told| ["ok", "ServiceUnavailable"].contains(&told.code.as_str())), "{made:?}");
        assert!(["ok", "ServiceUnavailable"].contains(&replaced.as_str()), "{replaced}");
        // A key under a root key that the store is not under would keep all keys from being read.
        let done = made.iter().filter(|told| told.code == "ok").count();
        inside = inside.restart().await;
        let ids = inside.admin("ListKeys", json!({"Limit": 200})).await.ok().body;
        let ids = ids["Keys"].as_array().unwrap().iter().map(|key| key["KeyId"].as_str().unwrap().to_owned());
        assert_eq!(ids.filter(|id| id.starts_with(&format!("key-{round}-"))).count(), done);
        promote_if_next(&inside.installation, &replaced);
    }
    inside.finish().await;
}

/// Promotes the next root key, if the store was put under it.
fn promote_if_next(installation: &Installation, replaced: &str) {
    if replaced == "ok" {
        promote(installation);
    }
}

/// Which of the two root keys alone opens a copy of the store.
fn openers(installation: &Installation) -> Vec<&'static str> {
    ["keys/root.key", "keys/root-2.key"]
        .into_iter()
        .filter(|path| {
            let copy = installation.copy();
            only(&copy, path);
            copy.run(&["policy", "uin", "user/dev/admin"]).code == 0
        })
        .collect()
}

#[test]
fn attack_h04_killed_at_any_moment_of_a_root_key_replacement_exactly_one_root_key_opens_the_store() {
    let mut seen = std::collections::BTreeSet::new();
    // From before the request has come to after it was answered.
    for delay_us in
        [Some(0), Some(500), Some(1_000), Some(2_000), Some(3_000), Some(5_000), Some(8_000), Some(15_000), None]
    {
        let gateway = TestGateway::of(with_next(&[("path", "keys/root-2.key")]));
        gateway.create("demo/db", "s3cret");
        let (bearer, address) = (format!("Bearer {}", gateway.admin()), gateway.address());
        let asking = std::thread::spawn(move || {
            let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
            Connection::open(address).request("POST /v1/RotateRootKey", &headers, b"{}").map(|reply| reply.status)
        });
        let until = Instant::now() + Duration::from_micros(delay_us.unwrap_or(30_000_000));
        while Instant::now() < until && !(delay_us.is_none() && asking.is_finished()) {
            std::hint::spin_loop();
        }
        let installation = gateway.kill();
        let answered = asking.join().ok().flatten();
        let openers = openers(&installation);
        assert_eq!(openers.len(), 1, "after {delay_us:?} µs: {openers:?}");
        if answered == Some(200) {
            assert_eq!(openers, ["keys/root-2.key"], "what was answered holds");
        }
        seen.insert(openers[0]);
        let gateway = TestGateway::of(installation);
        assert_eq!(read(&gateway), "s3cret", "after {delay_us:?} µs");
        // Whatever it was, it can be brought to its end.
        let reply = wait_for("an answer", || {
            Some(gateway.call(gateway.admin(), "RotateRootKey", &json!({}))).filter(|reply| reply.status != 503)
        });
        assert_eq!(reply.status == 200, openers == ["keys/root.key"], "{}", reply.body);
        promote(gateway.installation());
        let gateway = gateway.restart();
        assert_eq!(read(&gateway), "s3cret");
        gateway.finish();
    }
    assert_eq!(seen.len(), 2, "both sides of the commit were met: {seen:?}");
}
