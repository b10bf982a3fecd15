//! H: stored bytes that somebody changed, and root keys that are not the right one. S: what tells too much.

use super::read;
use super::rows::{self, Row, open};
use crate::gateway::TestGateway;
use crate::installation::{Installation, Ran};
use keyward_audit::store::Family;
use keyward_audit::store::rocks::RocksStore;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// Every stored value of a stopped gateway.
fn stored_values(store: &RocksStore) -> Vec<Row> {
    rows::stored(store, Family::Secrets, b"v", b"w")
}

fn write(store: &RocksStore, rows: Vec<Row>) {
    rows::write(store, Family::Secrets, rows.into_iter().map(|(key, value)| (key, Some(value))));
}

/// Reads every name; none opens, and the trail says of each read that nothing was released.
fn none_opens(installation: Installation, names: &[String]) {
    let gateway = TestGateway::of(installation);
    let app = gateway.issuer().token("app");
    let replies: Vec<_> = names.iter().map(|name| read(&gateway, &app, name)).collect();
    let whole = read(&gateway, &app, "demo/whole").ok();
    assert_eq!(whole.text("SecretString"), "untouched");
    let export = gateway.export();
    let mut outcomes = 0;
    for (name, reply) in names.iter().zip(&replies) {
        assert!(!String::from_utf8_lossy(&reply.bytes).contains("value-of"), "{name}");
        let record = export.record_of(reply);
        if reply.status == 409 {
            assert_eq!(
                (reply.code(), &record["outcome"]),
                ("FailedOperation.AccessKmsError", &json!("failed")),
                "{name}"
            );
            continue;
        }
        assert_eq!((reply.status, reply.code()), (500, "InternalError"), "{name}: {}", reply.body);
        assert_eq!((&record["outcome"], &record["reason"]), (&json!("failed"), &json!("InternalError")), "{name}");
        if record["kind"] == "outcome" {
            let read = &export.records[usize::try_from(record["answers"].as_u64().unwrap()).unwrap()];
            assert_eq!((&read["kind"], &read["outcome"]), (&json!("access"), &json!("ok")), "{name}");
            assert_eq!(read["request"], record["request"], "{name}");
            assert_eq!(record["parameters"]["cause"], "integrity", "{name}");
            outcomes += 1;
        }
    }
    assert!(outcomes * 2 > names.len(), "{outcomes} of {} reads have an outcome record", names.len());
    let alerts = gateway.log().matches("failed its integrity check").count();
    assert_eq!(alerts, outcomes, "one line in the server's log for each");
    gateway.finish();
}

#[test]
fn attack_h02_no_byte_of_a_stored_value_can_change() {
    let gateway = TestGateway::start();
    gateway.create("demo/whole", "untouched");
    let installation = gateway.stop();
    let kept = stored_values(&open(&installation));
    let length = kept[0].1.len();
    let gateway = TestGateway::of(installation);
    let names: Vec<String> = (0..length).map(|place| format!("demo/{place:03}")).collect();
    for name in &names {
        gateway.create(name, "value-of!");
    }
    let installation = gateway.stop();
    let store = open(&installation);
    let rows: Vec<_> = stored_values(&store).into_iter().filter(|row| row.0 != kept[0].0).collect();
    assert_eq!(rows.len(), length);
    // A different byte of each: which secret has which is no matter, since all must fail.
    let changed = rows.into_iter().enumerate().map(|(place, (key, mut value))| {
        value[place] ^= 0x20;
        (key, value)
    });
    write(&store, changed.collect());
    drop(store);
    none_opens(installation, &names);
}

#[test]
fn attack_h02_a_stored_value_cannot_move_or_be_cut() {
    let gateway = TestGateway::start();
    gateway.create("demo/whole", "untouched");
    let installation = gateway.stop();
    let kept = stored_values(&open(&installation))[0].0.clone();
    let gateway = TestGateway::of(installation);
    let names: Vec<String> = (0..6).map(|number| format!("demo/{number}")).collect();
    for name in &names {
        gateway.create(name, &format!("value-of {name}"));
    }
    let installation = gateway.stop();
    let store = open(&installation);
    let mut rows: Vec<_> = stored_values(&store).into_iter().filter(|row| row.0 != kept).collect();
    let (first, second) = (rows[0].1.clone(), rows[1].1.clone());
    (rows[0].1, rows[1].1) = (second, first.clone());
    rows[2].1 = first;
    let short = rows[3].1.len() - 4;
    rows[3].1.truncate(short);
    rows[4].1.push(0);
    let end = rows[5].1.len();
    rows[5].1[end - 16..].fill(0);
    write(&store, rows);
    drop(store);
    none_opens(installation, &names);
}

/// A start that must be refused: exit 1 and one clear line.
pub(super) fn refused(installation: &Installation, words: &str) {
    let Ran { code, out, err } = installation.run(&["serve"]);
    assert_eq!(code, 1, "{words}: {err}");
    let lines: Vec<&str> = err.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(lines.len(), 1, "{err}");
    assert!(lines[0].contains(words) && out.is_empty(), "{words}: {err}");
}

#[test]
fn attack_h03_a_root_key_that_is_not_the_right_one_starts_nothing() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "s3cret");
    let installation = gateway.stop();
    let path = installation.path("keys/root.key");
    let right = fs::read(&path).unwrap();
    let other = Installation::new();
    let mode = |bits: u32| fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
    fs::write(&path, fs::read(other.path("keys/root.key")).unwrap()).unwrap();
    refused(&installation, "keys/root.key");
    fs::write(&path, format!("keyward-root-key/v1\n{}\n{}\n", "0".repeat(64), "0".repeat(16))).unwrap();
    refused(&installation, "all zero");
    let mut flipped = right.clone();
    flipped[25] = if flipped[25] == b'a' { b'b' } else { b'a' };
    fs::write(&path, flipped).unwrap();
    refused(&installation, "the check does not fit the key");
    fs::write(&path, b"").unwrap();
    refused(&installation, "is not a root key");
    fs::remove_file(&path).unwrap();
    refused(&installation, "does not exist");
    fs::write(&path, &right).unwrap();
    for bits in [0o644, 0o640, 0o604, 0o660] {
        mode(bits);
        refused(&installation, "make it 0600");
    }
    mode(0o600);
    let gateway = TestGateway::of(installation);
    assert_eq!(read(&gateway, &gateway.issuer().token("app"), "demo/db").ok().text("SecretString"), "s3cret");
    gateway.finish();
}

/// What RocksDB wrote down last is what is in force. Each opening is refused if that is weaker (a test beside the store weakens
/// each); from outside nothing weakens it: what somebody lays into the folder is not what the gateway opens the store by.
#[test]
fn attack_h03_a_store_is_served_with_the_strict_options_whatever_lies_in_its_folder() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "s3cret");
    let newest = |installation: &Installation| {
        let files = fs::read_dir(installation.path("data/db")).unwrap().map(|entry| entry.unwrap().path());
        let number = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix("OPTIONS-")?.parse::<u64>().ok();
        let newest = files.filter_map(|path| Some((number(&path)?, path))).max().unwrap();
        (newest.0, fs::read_to_string(newest.1).unwrap())
    };
    let strict = [
        ("ttl", "0", "60"),
        ("periodic_compaction_seconds", "0", "3600"),
        ("compaction_style", "kCompactionStyleLevel", "kCompactionStyleFIFO"),
        ("compaction_filter", "nullptr", "DropAll"),
        ("unordered_write", "false", "true"),
        ("enable_pipelined_write", "false", "true"),
        ("manual_wal_flush", "false", "true"),
        ("recycle_log_file_num", "0", "4"),
        ("allow_mmap_writes", "false", "true"),
        ("paranoid_checks", "true", "false"),
        ("best_efforts_recovery", "false", "true"),
        ("wal_recovery_mode", "kAbsoluteConsistency", "kSkipAnyCorruptedRecords"),
        ("track_and_verify_wals_in_manifest", "true", "false"),
    ];
    let (number, mut planted) = newest(gateway.installation());
    for (option, held, weak) in strict {
        let line = format!("  {option}={held}\n");
        assert!(planted.contains(&line), "the gateway serves with another `{option}`");
        planted = planted.replace(&line, &format!("  {option}={weak}\n"));
    }
    let installation = gateway.stop();
    fs::write(installation.path(&format!("data/db/OPTIONS-{:06}", number + 100_000)), &planted).unwrap();
    let gateway = TestGateway::of(installation);
    assert_eq!(read(&gateway, &gateway.issuer().token("app"), "demo/db").ok().text("SecretString"), "s3cret");
    let (later, in_force) = newest(gateway.installation());
    assert!(later > number + 100_000, "RocksDB wrote down what is in force behind what was laid there");
    for (option, held, weak) in strict {
        assert!(in_force.contains(&format!("  {option}={held}\n")), "`{option}` is not `{held}`");
        assert!(!in_force.contains(&format!("  {option}={weak}\n")), "`{option}` is `{weak}`");
    }
    gateway.finish();
}

#[test]
fn attack_s03_errors_never_say_back_what_was_sent() {
    let gateway = TestGateway::builder().record_every_refusal().start();
    gateway.create("demo/db", "s3cret");
    let marker = "hunter2-marker";
    let bearer = format!("Bearer {}", gateway.admin());
    let authorized = [("Authorization", bearer.as_str()), ("Cookie", "c=hunter2-marker"), ("X-Secret", marker)];
    let bodies = [
        r#"{"SecretName":"demo/x","SecretString":"hunter2-marker""#.to_owned(),
        r#"{"SecretName":"demo/x","SecretString":"hunter2-marker","SecretString":"hunter2-marker"}"#.to_owned(),
        r#"{"SecretName":"demo/x","SecretString":["hunter2-marker"]}"#.to_owned(),
        r#"{"SecretName":"demo/x","SecretBinary":"hunter2-marker"}"#.to_owned(),
        r#"{"SecretName":"demo/x","SecretString":"hunter2-marker","SecretBinary":"AAAA"}"#.to_owned(),
        r#"{"SecretName":"demo/db","SecretString":"hunter2-marker"}"#.to_owned(),
        r#""hunter2-marker""#.to_owned(),
        marker.to_owned(),
        json!({"SecretName": "hunter2-marker!", "SecretString": "hunter2-marker"}).to_string(),
        json!({"SecretName": "demo/x", "SecretString": "hunter2-marker".repeat(6_000)}).to_string(),
    ];
    let replies: Vec<_> = bodies.iter().map(|body| gateway.call_with(&authorized, "CreateSecret", body)).collect();
    let token = gateway.call(marker, "GetSecretValue", &json!({"SecretName": "demo/db"}));
    let scheme = gateway.call_with(&[("Authorization", marker)], "GetSecretValue", "{}");
    let query = gateway.request("POST /v1/CreateSecret?SecretString=hunter2-marker", &authorized, b"{}");
    let path = gateway.request("POST /v9/hunter2-marker", &authorized, b"{}");
    let operation = gateway.call_with(&authorized, "hunter2-marker", "{}");
    for reply in replies.iter().chain([&token, &scheme, &query, &path, &operation]) {
        assert!((400..500).contains(&reply.status), "{}", reply.body);
        let wire = format!("{:?} {}", reply.headers, String::from_utf8_lossy(&reply.bytes));
        assert!(!wire.contains("hunter2"), "{wire}");
        assert!(!reply.request().is_empty() && reply.text("RequestId") == reply.request());
    }
    let export = gateway.export();
    assert!(!String::from_utf8_lossy(&export.bytes).contains("hunter2"), "it was recorded");
    assert!(!gateway.log().contains("hunter2"), "it was logged");
    let metrics = gateway.get("/metrics");
    assert!(!String::from_utf8_lossy(&metrics.bytes).contains("hunter2"));
    gateway.finish();
}

#[test]
fn i03_items_of_one_call_that_do_not_open_have_an_outcome_record_each() {
    let gateway = TestGateway::start();
    gateway.create("demo/one", "value-of!");
    let installation = gateway.stop();
    let mut kept = stored_values(&open(&installation));
    // The last byte belongs to what was sealed.
    *kept[0].1.last_mut().unwrap() ^= 0x01;
    write(&open(&installation), kept);
    let gateway = TestGateway::of(installation);
    let app = gateway.issuer().token("app");
    let asked = json!({"Secrets": [{"SecretName": "demo/one"}, {"SecretName": "demo/one"}]});
    let reply = gateway.call(&app, "BatchGetSecretValue", &asked).ok();
    assert_eq!(reply.body["Errors"].as_array().unwrap().len(), 2, "{}", reply.body);
    // The export is verified: no two records of a log are one event.
    let export = gateway.export();
    let outcomes: Vec<_> = export.records.iter().filter(|record| record["kind"] == "outcome").collect();
    let of = |record: &serde_json::Value| export.records[record["answers"].as_u64().unwrap() as usize].clone();
    assert_eq!(outcomes.len(), 2);
    for outcome in outcomes {
        assert_eq!(outcome["parameters"]["item"], of(outcome)["parameters"]["item"]);
        assert_eq!(outcome["request"], of(outcome)["request"]);
    }
    gateway.finish();
}
