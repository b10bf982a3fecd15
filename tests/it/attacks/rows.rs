//! H: rows in the clear that somebody changed, and rows that were put back from an older copy.

use super::read;
use super::sealing::refused;
use crate::gateway::TestGateway;
use crate::installation::{Installation, Ran};
use crate::wire::Reply;
use keyward_audit::store::rocks::{Recovery, RocksStore};
use keyward_audit::store::{Commit, Family, Key, Store, Write, read as read_store};
use serde_json::{Value, json};

/// A row: its key and what is stored there.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

pub(crate) fn open(installation: &Installation) -> RocksStore {
    RocksStore::open(&installation.path("data/db"), Recovery::Absolute).unwrap()
}

/// The rows of a stopped gateway in `[from, to)`.
pub(crate) fn stored(store: &RocksStore, family: Family, from: &[u8], to: &[u8]) -> Vec<Row> {
    read_store(store, |snapshot| {
        let mut rows = Vec::new();
        snapshot.scan(family, from, to, false, &mut |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            true
        })?;
        Ok(rows)
    })
    .unwrap()
}

/// Writes rows past keyward, or deletes them.
pub(crate) fn write(store: &RocksStore, family: Family, rows: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>) {
    let batch: Vec<Write> = rows.into_iter().map(|(key, value)| Write { key: Key::new(family, key), value }).collect();
    assert!(matches!(store.commit(&batch, &[]), Commit::Committed));
}

/// The rows of all secrets, or of those whose names begin so.
fn secret_rows(installation: &Installation, begins: &str) -> Vec<Row> {
    let prefix = format!("s{begins}").into_bytes();
    let rows = stored(&open(installation), Family::Secrets, b"s", b"t");
    rows.into_iter().filter(|(key, _)| key.starts_with(&prefix)).collect()
}

fn put_back(installation: &Installation, rows: &[Row]) {
    write(&open(installation), Family::Secrets, rows.iter().cloned().map(|(key, value)| (key, Some(value))));
}

/// What `keyward audit verify` finds, by index.
fn found(installation: &Installation) -> Vec<(Option<u64>, String)> {
    let Ran { code, out, err } = installation.run(&["--output", "json", "audit", "verify", "--decisions"]);
    assert_eq!(code, 4, "{out}{err}");
    let verdict: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(verdict["valid"], json!(false));
    let findings = verdict["findings"].as_array().unwrap();
    findings.iter().map(|found| (found["index"].as_u64(), found["reason"].as_str().unwrap().to_owned())).collect()
}

/// 500 without a word of the row, and the record of a request that was never decided, for whoever asked.
fn undecided(gateway: &TestGateway, calls: &[(&str, Reply)]) {
    let export = gateway.export();
    for (what, reply) in calls {
        assert_eq!((reply.status, reply.code()), (500, "InternalError"), "{what}: {}", reply.body);
        assert_eq!(reply.message(), "what the request is about cannot be read", "{what}");
        let record = export.record_of(reply);
        let said = (&record["kind"], &record["decision"], &record["outcome"], &record["reason"]);
        assert_eq!(said, (&json!("access"), &json!("error"), &json!("failed"), &json!("InternalError")), "{what}");
        for absent in ["context", "policy", "value", "secret_version"] {
            assert!(record[absent].is_null(), "{what}: `{absent}` in {record}");
        }
        assert!(record["principal"].is_string(), "{what}");
        let resource = record["resource"].as_str().unwrap_or("*/demo/");
        assert!(resource.contains("/*/demo/") || *what == "ListSecrets", "{what}: {record}");
    }
}

#[test]
fn i08_attack_h02_no_byte_of_a_secrets_row_can_change_and_nothing_is_decided_on_one_that_did() {
    let gateway = TestGateway::start();
    gateway.create("demo/whole", "untouched");
    gateway.create("demo/000", "value-of!");
    let installation = gateway.stop();
    let length = secret_rows(&installation, "demo/0")[0].1.len();
    let gateway = TestGateway::of(installation);
    let names: Vec<String> = (1..length).map(|place| format!("demo/{place:03}")).collect();
    for name in &names {
        gateway.create(name, "value-of!");
    }
    let installation = gateway.stop();
    let whole: Vec<Row> = secret_rows(&installation, "demo/").into_iter().filter(|row| row.1.len() == length).collect();
    assert_eq!(whole.len(), length);
    let mut changed = whole.clone();
    changed.iter_mut().enumerate().for_each(|(place, (_, row))| row[place] ^= 0x01);
    put_back(&installation, &changed);

    let gateway = TestGateway::of(installation);
    let (app, nobody) = (gateway.issuer().token("app"), gateway.issuer().token("nobody"));
    let mut calls: Vec<(&str, Reply)> = names.iter().map(|name| (name.as_str(), read(&gateway, &app, name))).collect();
    let of_admin = |action: &str, more: Value| {
        let mut parameters = json!({"SecretName": "demo/007"});
        parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        gateway.call(gateway.admin(), action, &parameters)
    };
    calls.push(("nobody", read(&gateway, &nobody, "demo/007")));
    calls.push(("DescribeSecret", of_admin("DescribeSecret", json!({}))));
    calls.push(("ListSecretVersionIds", of_admin("ListSecretVersionIds", json!({}))));
    calls.push(("PutSecretValue", of_admin("PutSecretValue", json!({"VersionId": "v2", "SecretString": "x"}))));
    calls.push(("SetCurrentVersion", of_admin("SetCurrentVersion", json!({"VersionId": "v1"}))));
    calls.push(("DisableSecret", of_admin("DisableSecret", json!({}))));
    calls.push(("EnableSecret", of_admin("EnableSecret", json!({}))));
    calls.push(("CreateSecret", of_admin("CreateSecret", json!({"SecretString": "x"}))));
    // A list without them would be a lie, and so would be one with them.
    calls.push(("ListSecrets", gateway.call(gateway.admin(), "ListSecrets", &json!({}))));
    undecided(&gateway, &calls);
    assert_eq!(read(&gateway, &app, "demo/whole").ok().text("SecretString"), "untouched");
    let alerts = gateway.log().matches("it is not authentic: altered or moved").count();
    assert_eq!(alerts, calls.len(), "one line in the server's log for each");
    let metrics = String::from_utf8(gateway.get("/metrics").bytes).unwrap();
    assert!(metrics.contains(&format!("keyward_integrity_failures_total {}", calls.len())), "{metrics}");

    let installation = gateway.stop();
    let named = found(&installation);
    assert_eq!(named.len(), 100.min(length), "{named:?}");
    assert!(named.iter().all(|(index, reason)| index.is_some() && reason.contains("it is not authentic")), "{named:?}");
    put_back(&installation, &whole);
    let gateway = TestGateway::of(installation);
    assert_eq!(read(&gateway, &app, "demo/007").ok().text("SecretString"), "value-of!");
    gateway.finish();
}

#[test]
fn i08_a_key_row_that_was_changed_starts_nothing() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "s3cret");
    let installation = gateway.stop();
    let keys = stored(&open(&installation), Family::Keys, b"", &[0xff]);
    assert_eq!(keys.len(), 4);
    // State, time, newest generation, code of the key; time, nonce, key, code of its generation; id of the root key, code.
    let places =
        [(&keys[2], vec![1, 5, 13, 20, 45]), (&keys[0], vec![1, 8, 12, 40, 100]), (&keys[3], vec![1, 8, 9, 40])];
    for (row, places) in places {
        for place in places {
            let mut changed = row.1.clone();
            changed[place] ^= 0x01;
            write(&open(&installation), Family::Keys, [(row.0.clone(), Some(changed))]);
            refused(&installation, "it is not authentic: altered or moved");
            write(&open(&installation), Family::Keys, [(row.0.clone(), Some(row.1.clone()))]);
        }
    }
    let gateway = TestGateway::of(installation);
    assert_eq!(read(&gateway, &gateway.issuer().token("app"), "demo/db").ok().text("SecretString"), "s3cret");
    gateway.finish();
}

#[test]
fn attack_h10_an_older_row_put_back_whole_is_found_and_so_is_what_was_read_from_it() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "first");
    let installation = gateway.stop();
    let older = secret_rows(&installation, "demo/db");
    let gateway = TestGateway::of(installation);
    let admin = gateway.admin().to_owned();
    let put = gateway.call(
        &admin,
        "PutSecretValue",
        &json!({"SecretName": "demo/db", "VersionId": "v2", "SecretString": "second"}),
    );
    let put = put.ok().index().unwrap();
    let disabled = gateway.call(&admin, "DisableSecret", &json!({"SecretName": "demo/db"})).ok().index().unwrap();
    let installation = gateway.stop();
    installation.verify();
    let newest = secret_rows(&installation, "demo/db");
    put_back(&installation, &older);
    let named = found(&installation);
    let has = |named: &[(Option<u64>, String)], index: u64, words: &str| {
        let hit = named.iter().any(|(at, reason)| *at == Some(index) && reason.contains(words));
        assert!(hit, "index {index}: {words}: {named:?}");
    };
    has(&named, disabled, "secret `demo/db`: it is Enabled in the store and Disabled by this record");
    has(&named, put, "secret `demo/db`: version `SSM_Current` is current in the store and `v2` by this record");
    has(&named, put, "secret `demo/db`: version `v2` is not in the store as this record left it");
    assert_eq!(named.len(), 3, "{named:?}");
    let text = installation.run(&["audit", "verify"]);
    assert_eq!(text.code, 4);
    assert!(
        text.out.lines().any(|line| line.starts_with(&format!("index {disabled}: secret `demo/db`"))),
        "{}",
        text.out
    );

    // It is intact, so it serves; the record of the read tells all the same, for ever.
    let gateway = TestGateway::of(installation);
    let reply = read(&gateway, &gateway.issuer().token("app"), "demo/db").ok();
    assert_eq!(reply.text("SecretString"), "first");
    let read = reply.index().unwrap();
    let installation = gateway.stop();
    put_back(&installation, &newest);
    let named = found(&installation);
    has(&named, read, &format!("secret `demo/db`: a value was read although index {disabled} disabled it"));
    assert_eq!(named.len(), 1, "{named:?}");
}

/// Until values can be replaced in place, a version id gets a second value only by way of a row that was deleted.
#[test]
fn attack_h10_a_value_of_an_earlier_write_is_found_at_the_read_that_served_it() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "first");
    let installation = gateway.stop();
    let older = secret_rows(&installation, "demo/db");
    write(&open(&installation), Family::Secrets, [(older[0].0.clone(), None)]);
    assert!(found(&installation)[0].1.contains("secret `demo/db` is not in the store, where this record left it"));
    let gateway = TestGateway::of(installation);
    let created = gateway.create("demo/db", "second").index().unwrap();
    let installation = gateway.stop();
    put_back(&installation, &older);
    let gateway = TestGateway::of(installation);
    let reply = read(&gateway, &gateway.issuer().token("app"), "demo/db").ok();
    assert_eq!(reply.text("SecretString"), "first");
    let old = gateway.record_of(&reply)["value"].as_str().unwrap().to_owned();
    let installation = gateway.stop();
    let named = found(&installation);
    let words = format!("value `{old}` was read as version `SSM_Current`, whose last write is");
    let at = named.iter().find(|(_, reason)| reason.contains(&words)).unwrap_or_else(|| panic!("{named:?}"));
    assert_eq!(at.0, reply.index());
    assert!(at.1.ends_with(&format!("at index {created}")), "{at:?}");
}

#[test]
fn attack_h10_a_revocation_that_was_taken_out_of_the_store_is_found() {
    let gateway = TestGateway::start();
    let revoked = gateway.call(gateway.admin(), "RevokeToken", &json!({"Issuer": "dev", "Subject": "app"})).ok();
    let installation = gateway.stop();
    installation.verify();
    let rows = stored(&open(&installation), Family::Revocations, b"", &[0xff]);
    assert_eq!(rows.len(), 1);
    write(&open(&installation), Family::Revocations, [(rows[0].0.clone(), None)]);
    let expected = "the revocation is not in the store as this record left it".to_owned();
    assert_eq!(found(&installation), [(revoked.index(), expected)]);
}

#[test]
fn without_the_root_key_the_log_is_verified_and_it_is_said_that_the_secrets_were_not() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "s3cret");
    let newest = gateway.call(gateway.admin(), "GetCheckpoint", &json!({})).ok();
    let installation = gateway.stop();
    std::fs::remove_file(installation.path("keys/root.key")).unwrap();
    let ran = installation.run(&["--output", "json", "audit", "verify"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let verdict: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&verdict["valid"], &verdict["secrets"]), (&json!(true), &Value::Null), "{verdict}");
    assert_eq!(verdict["root"].as_str().unwrap().len(), newest.text("Root").len(), "base64, as checkpoints have it");
    assert!(ran.err.contains("could not be held against it") && ran.err.contains("root.key"), "{}", ran.err);
}
