//! Backups of a running gateway and what a restored copy is told to be: by the gateway, by the trail, by the independent verifier.

use crate::gateway::{TestGateway, wait_for};
use crate::installation::{Installation, PROGRAM, Policies, Ran};
use crate::load::{Load, Values, World};
use keyward_audit_verify::{Checkpoint, Options, Vkey};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// So many secrets of 60 KB are more than Linux keeps of an answer that nobody takes (4 MiB by `tcp_wmem`).
const LARGE: usize = 120;

/// A client verb against a running gateway.
pub(crate) fn client(gateway: &TestGateway, token: &str, arguments: &[&str]) -> Ran {
    let mut command = gateway.installation().command(arguments);
    command.env("KEYWARD_ADDR", format!("http://{}", gateway.address())).env("KEYWARD_TOKEN", token);
    Ran::from(command.stdin(Stdio::null()).output().unwrap())
}

/// What was taken of a gateway, and what an operator keeps beside it.
struct Kept {
    scratch: TempDir,
    backup: PathBuf,
    said: Value,
}

impl Kept {
    fn take(gateway: &TestGateway) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let backup = scratch.path().join("backup");
        let taken = client(gateway, gateway.admin(), &["--output", "json", "backup", backup.to_str().unwrap()]);
        assert_eq!(taken.code, 0, "{taken:?}");
        let said = serde_json::from_str(&taken.out).unwrap();
        Self { scratch, backup, said }
    }

    fn size(&self) -> u64 {
        self.said["size"].as_u64().unwrap()
    }

    /// A new installation with the configuration, keys and policies of `old` and nothing else.
    fn place(&self, old: &Installation, name: &str) -> Installation {
        let dir = self.scratch.path().join(name);
        fs::create_dir(&dir).unwrap();
        for part in ["keyward.toml", "keys", "policies"] {
            let copied = Command::new("cp").arg("-a").arg(old.path(part)).arg(&dir).status().unwrap();
            assert!(copied.success());
        }
        Installation::at(&dir)
    }

    fn restore(&self, to: &Installation, more: &[&str]) -> Ran {
        let mut arguments = vec!["--output", "json", "restore", self.backup.to_str().unwrap()];
        arguments.extend(more);
        to.run(&arguments)
    }
}

fn accept(installation: &Installation) -> Value {
    let accepted = installation.run(&["--output", "json", "audit", "accept-loss", "--reason", "the disk died"]);
    assert_eq!(accepted.code, 0, "{accepted:?}");
    serde_json::from_str(&accepted.out).unwrap()
}

fn refused(installation: Installation, words: &[&str]) -> Installation {
    let Err(refused) = TestGateway::try_of(installation) else { panic!("served, but must say {words:?}") };
    assert_eq!(refused.code, 1);
    for word in words {
        assert!(refused.text.contains(word), "`{word}` is missing in: {}", refused.text);
    }
    refused.installation
}

fn value_of(gateway: &TestGateway, name: &str) -> Value {
    gateway.insist(gateway.admin(), "GetSecretValue", &json!({"SecretName": name})).body["SecretString"].clone()
}

/// What the independent verifier says of an export, held against a head that was remembered.
fn findings(export: &[u8], vkeys: &str, since: &str) -> Vec<String> {
    let keys = Vkey::parse_file(vkeys).unwrap();
    let since = [Checkpoint::open(since.as_bytes(), &keys).unwrap()];
    let options = Options { keys: &keys, since: &since, threads: 1, progress: &|_| {} };
    let report = keyward_audit_verify::verify(&export, &options).unwrap();
    report.findings.iter().map(|finding| format!("{finding:?}")).collect()
}

fn checkpoint(gateway: &TestGateway) -> String {
    let answer = gateway.insist(gateway.admin(), "ExportRecords", &json!({}));
    // An export signs all that was committed when it was asked for; what it signed is the newest head then.
    let text = String::from_utf8(answer.bytes).unwrap();
    let blocks: Vec<&str> = text.split("\n\n").collect();
    format!("{}\n\n{}\n", blocks[1], blocks[2])
}

#[test]
fn a_backup_under_load_is_restored_accepted_served_and_verified() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "before the backup");
    let world =
        World::new(gateway.admin().to_owned(), tempfile::tempdir().unwrap().keep().join("clients"), Values::Mixed);
    let load = Load::start(&world, gateway.address(), 5);
    load.wait_for(200);
    let kept = Kept::take(&gateway);
    load.wait_for(200);
    load.stop().unwrap();
    let newer = checkpoint(&gateway);
    let old = gateway.stop();
    assert!(kept.size() > 200, "{}", kept.said);
    assert!(kept.backup.join("manifest").is_file());
    assert!(!old.path("data/.db.keyward-backup").exists());

    let place = kept.place(&old, "restored");
    fs::write(place.path("newer.head"), &newer).unwrap();
    let restored = kept.restore(&place, &["--head", place.path("newer.head").to_str().unwrap()]);
    assert_eq!(restored.code, 0, "{restored:?}");
    let said: Value = serde_json::from_str(&restored.out).unwrap();
    assert_eq!((&said["size"], &said["needs_acceptance"]), (&json!(kept.size()), &json!(true)));
    assert!(said["missing"].as_u64().unwrap() > 200, "{said}");
    assert!(said["taken"].as_u64().unwrap() > 1_750_000_000, "epoch seconds: {said}");
    let again = kept.restore(&place, &[]);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.err.contains("never overwrites"), "{again:?}");

    let place = refused(place, &["restored from a backup", "accept-loss", &format!("`{}`", kept.size())]);
    let old_vkey = place.read("keys/log.vkey");
    let accepted = accept(&place);
    assert_eq!((&accepted["index"], &accepted["recovered"]), (&json!(kept.size()), &json!(kept.size())));
    let gateway = TestGateway::of(place);
    assert_eq!(value_of(&gateway, "demo/db"), "before the backup");
    gateway.create("demo/after", "after the restore");
    let found = gateway.insist(gateway.admin(), "SearchRecords", &json!({"Action": "keyward:Loss"}));
    let record = &found.body["Records"][0];
    assert_eq!(record["parameters"]["restored"]["size"], json!(kept.size()));
    assert_eq!(record["parameters"]["restored"]["backup"], kept.said["manifest"]);
    assert_eq!(record["parameters"]["reason"], "the disk died");

    let export = gateway.insist(gateway.admin(), "ExportRecords", &json!({})).bytes;
    let vkeys = format!("{old_vkey}{}\n", accepted["vkey"].as_str().unwrap());
    let rollback = findings(&export, &vkeys, &newer);
    assert!(!rollback.is_empty(), "a newer head is remembered, and the rollback is not found");
    gateway.finish();
}

#[test]
fn attack_h04_an_older_backup_that_is_restored_is_seen_as_rollback_and_brings_nothing_back_unseen() {
    let gateway = TestGateway::start();
    gateway.create("demo/ended", "to be deleted");
    gateway.create("demo/changed", "old value");
    let stolen = gateway.token("app", &[], &[], 600);
    let kept = Kept::take(&gateway);
    let admin = gateway.admin().to_owned();
    gateway.call(&admin, "DisableSecret", &json!({"SecretName": "demo/ended"})).ok();
    gateway.call(&admin, "DeleteSecret", &json!({"SecretName": "demo/ended", "RecoveryWindowInDays": 0})).ok();
    gateway
        .call(
            &admin,
            "PutSecretValue",
            &json!({"SecretName": "demo/changed", "VersionId": "v2", "SecretString": "new"}),
        )
        .ok();
    gateway.call(&admin, "RevokeToken", &json!({"Issuer": "dev", "Subject": "app"})).ok();
    assert_eq!(gateway.call(&stolen, "GetSecretValue", &json!({"SecretName": "demo/changed"})).status, 401);
    let newer = checkpoint(&gateway);
    let old = gateway.stop();

    // By hand, over the store that was there: the mark tells.
    let by_hand = old.copy();
    fs::remove_dir_all(by_hand.path("data/db")).unwrap();
    copy_dir(&kept.backup.join("db"), &by_hand.path("data/db"));
    refused(by_hand, &["records are lost", "accept-loss"]);
    // By hand, without the mark: nothing shows that it is whole.
    let by_hand = old.copy();
    fs::remove_dir_all(by_hand.path("data/db")).unwrap();
    fs::remove_file(by_hand.path("hwm")).unwrap();
    copy_dir(&kept.backup.join("db"), &by_hand.path("data/db"));
    refused(by_hand, &["is missing", "accept-loss"]);
    // By the verb, with the mark that is there.
    let beside = old.copy();
    fs::remove_dir_all(beside.path("data/db")).unwrap();
    let restored = kept.restore(&beside, &[]);
    assert_eq!(restored.code, 0, "{restored:?}");
    let beside = refused(beside, &["restored from a backup"]);
    let old_vkey = beside.read("keys/log.vkey");
    let accepted = accept(&beside);
    assert_eq!(accepted["recovered"], json!(kept.size()));
    assert!(accepted["lost"].as_u64().unwrap() > kept.size());

    // What was deleted, replaced and revoked since is back, and the trail says from where on.
    let gateway = TestGateway::of(beside);
    assert_eq!(value_of(&gateway, "demo/ended"), "to be deleted");
    assert_eq!(value_of(&gateway, "demo/changed"), "old value");
    assert_eq!(gateway.call(&stolen, "GetSecretValue", &json!({"SecretName": "demo/changed"})).status, 200);
    let put = gateway
        .call(
            &admin,
            "PutSecretValue",
            &json!({"SecretName": "demo/changed", "VersionId": "v2", "SecretString": "newer"}),
        )
        .ok();
    let export = gateway.insist(&admin, "ExportRecords", &json!({})).bytes;
    let vkeys = format!("{old_vkey}{}\n", accepted["vkey"].as_str().unwrap());
    assert!(!findings(&export, &vkeys, &newer).is_empty());
    let index = usize::try_from(put.index().unwrap()).unwrap();
    let record: Value = serde_json::from_slice(export.split(|byte| *byte == b'\n').nth(index).unwrap()).unwrap();
    let before = fs::read(old.path("serve-0.log")).unwrap();
    let value = record["value"].as_str().unwrap();
    assert!(!before.windows(value.len()).any(|part| part == value.as_bytes()), "a value id that was there before");
    gateway.finish();
}

fn copy_dir(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
}

#[test]
fn a_damaged_backup_is_refused_with_exit_4_and_nothing_is_in_place() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "value");
    let kept = Kept::take(&gateway);
    let old = gateway.stop();
    let table = fs::read_dir(kept.backup.join("db")).unwrap().map(|entry| entry.unwrap().path());
    let table = table.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "sst")).unwrap();
    let mut bytes = fs::read(&table).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&table, bytes).unwrap();
    let place = kept.place(&old, "damaged");
    let damaged = kept.restore(&place, &[]);
    assert_eq!(damaged.code, 4, "{damaged:?}");
    assert!(damaged.err.contains("is not what its manifest says"), "{damaged:?}");
    for made in ["data/db", "hwm", "hwm.restored"] {
        assert!(!place.path(made).exists(), "{made}");
    }
    let nowhere = kept.scratch.path().join("nowhere");
    let nothing = place.run(&["restore", nowhere.to_str().unwrap()]);
    assert_eq!((nothing.code, nothing.err.contains("there is no folder")), (1, true), "{nothing:?}");
    fs::create_dir(&nowhere).unwrap();
    let nothing = place.run(&["restore", nowhere.to_str().unwrap()]);
    assert_eq!((nothing.code, nothing.err.contains("is no backup")), (4, true), "{nothing:?}");
    let other = Installation::new();
    fs::remove_dir_all(other.path("data/db")).unwrap();
    let other_log = kept.restore(&other, &[]);
    assert_eq!(other_log.code, 4, "{other_log:?}");
    assert!(other_log.err.contains("is that of the origin"), "{other_log:?}");
}

#[test]
fn a_store_that_is_gone_with_the_logs_key_is_restored_accepted_served_and_verified() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "value");
    let kept = Kept::take(&gateway);
    let old = gateway.stop();
    fs::remove_dir_all(old.path("data/db")).unwrap();
    fs::remove_file(old.path("keys/log.key")).unwrap();
    let restored = kept.restore(&old, &[]);
    assert_eq!(restored.code, 0, "{restored:?}");
    let accepted = accept(&old);
    assert_eq!(accepted["recovered"], json!(kept.size()));
    let gateway = TestGateway::of(old);
    assert_eq!(value_of(&gateway, "demo/db"), "value");
    gateway.stop().verify();
}

#[test]
fn what_only_looks_makes_no_store_and_a_restore_finds_its_place_free() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "value");
    let kept = Kept::take(&gateway);
    let old = gateway.stop();
    fs::remove_dir_all(old.path("data/db")).unwrap();
    let looks: [&[&str]; 3] = [&["doctor"], &["audit", "verify"], &["policy", "check", "--store"]];
    for look in looks {
        let ran = old.run(look);
        assert!(ran.code != 0, "{look:?}: {ran:?}");
        assert!(!old.path("data/db").exists(), "{look:?} made a store: {ran:?}");
    }
    fs::create_dir(old.path("data/db")).unwrap();
    let restored = kept.restore(&old, &[]);
    assert_eq!(restored.code, 0, "{restored:?}");
}

#[test]
fn i11_i12_a_backup_is_authorised_recorded_and_goes_nowhere_that_a_request_names() {
    let policies = Policies::default()
        .allow("backup-only", &["cloudaudit:CreateBackup"], "*")
        .attach("backup-only", &["user/dev/keeper"]);
    let gateway = TestGateway::builder().policies(policies).start();
    gateway.create("demo/db", "a value that is planted");
    let scratch = tempfile::tempdir().unwrap();
    let to = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    let denied = client(&gateway, &gateway.issuer().token("app"), &["backup", &to("denied")]);
    assert_eq!(denied.code, 3, "{denied:?}");
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "what was denied left something");
    let keeper = gateway.issuer().token("keeper");
    let taken = client(&gateway, &keeper, &["backup", &to("taken")]);
    assert_eq!(taken.code, 0, "{taken:?}");
    assert!(taken.out.contains("no keys are in it"), "{taken:?}");
    let twice = client(&gateway, &keeper, &["backup", &to("taken")]);
    assert_eq!((twice.code, twice.err.contains("never overwrites")), (1, true), "{twice:?}");
    for body in [json!({"Path": "/tmp/x"}), json!({"Directory": "x"}), json!({"Name": "../x"})] {
        let reply = gateway.call(&keeper, "CreateBackup", &body);
        assert_eq!((reply.status, reply.code()), (400, "UnknownParameter"), "{body}");
    }
    let records = gateway.records();
    let backups: Vec<&Value> = records.iter().filter(|record| record["action"] == "cloudaudit:CreateBackup").collect();
    let decisions: Vec<&str> = backups.iter().map(|record| record["decision"].as_str().unwrap()).collect();
    assert_eq!(decisions, ["deny", "allow", "error", "error", "error"]);
    assert!(backups[1]["parameters"]["size"].as_u64().unwrap() <= backups[1]["index"].as_u64().unwrap());

    // No key and no value, in clear, is in it; and only its owner may read it.
    let keys: Vec<Vec<u8>> = ["keys/root.key", "keys/log.key", "keys/dev-issuer.key"]
        .map(|key| fs::read(gateway.installation().path(key)).unwrap())
        .to_vec();
    let mut sought: Vec<Vec<u8>> = keys.iter().map(|key| key.trim_ascii().to_vec()).collect();
    sought.push(b"a value that is planted".to_vec());
    for file in files_below(Path::new(&to("taken"))) {
        let bytes = fs::read(&file).unwrap();
        for needle in &sought {
            assert!(!bytes.windows(needle.len()).any(|part| part == needle), "{}", file.display());
        }
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions()) & 0o777, 0o600);
    }
    gateway.finish();
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

/// A backup of more than sockets hold, of which its client reads the beginning and no more. Its copy is there for as long as
/// the gateway has not given it up.
pub(crate) fn stalled(gateway: &TestGateway) -> TcpStream {
    for number in 0..LARGE {
        gateway.create(&format!("large/{number}"), &"x".repeat(60_000));
    }
    let request = format!(
        "POST /v1/CreateBackup HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}",
        gateway.admin()
    );
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    set_socket_recv_buffer_size(&stream, 16 * 1024).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut begin = [0; 1024];
    stream.read_exact(&mut begin).unwrap();
    assert!(begin.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&begin));
    stream
}

/// Where a gateway keeps what a backup is sent from.
pub(crate) fn copy_of(gateway: &TestGateway) -> PathBuf {
    gateway.installation().path("data/.db.keyward-backup")
}

#[test]
fn a_backup_that_breaks_off_leaves_nothing_at_either_end() {
    let gateway = TestGateway::start();
    let (stream, copy) = (stalled(&gateway), copy_of(&gateway));
    // While it lies there unread, another one is refused and everything else is served.
    let second = gateway.call(gateway.admin(), "CreateBackup", &json!({}));
    assert_eq!((second.status, second.code()), (409, "FailedOperation"), "{}", second.body);
    assert_eq!(value_of(&gateway, "large/7"), "x".repeat(60_000));
    assert!(copy.exists(), "the first one was not sent yet");
    drop(stream);
    wait_for("the copy to be removed", || (!copy.exists()).then_some(()));
    // A gateway that dies in the middle: the client leaves no directory that looks like a backup.
    let scratch = tempfile::tempdir().unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["backup", scratch.path().join("b").to_str().unwrap()]);
    command.env("KEYWARD_ADDR", format!("http://{}", gateway.address())).env("KEYWARD_TOKEN", gateway.admin());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let installation = gateway.kill();
    let status = child.wait().unwrap();
    assert_eq!(status.success(), scratch.path().join("b/manifest").exists());
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), usize::from(status.success()));
    TestGateway::of(installation).finish();
}
