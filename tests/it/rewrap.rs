//! Wrapping data keys anew: what it changes, what it leaves, what may happen meanwhile.

use crate::attacks::{open, stored, write};
use crate::gateway::{TestGateway, wait_for};
use crate::inside::Inside;
use crate::installation::{Installation, Ran};
use keyward_audit::store::Family;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What of a value's row is its own: all behind key, generation, nonce and wrapped data key, of the default key.
fn ciphertexts(installation: &Installation) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let head = 1 + 4 + "default".len() + 4 + 12 + 48;
    let rows = stored(&open(installation), Family::Secrets, b"v", b"w");
    rows.into_iter().map(|(key, row)| (key, row[head..].to_vec())).collect()
}

async fn create(inside: &Inside, name: &str) {
    inside.admin("CreateSecret", json!({"SecretName": name, "SecretString": format!("value of {name}")})).await.ok();
}

async fn reads(inside: &Inside, name: &str) {
    let read = inside.admin("GetSecretValue", json!({"SecretName": name})).await.ok();
    assert_eq!(read.body["SecretString"], format!("value of {name}"));
}

/// Data keys of the default key, by generation.
async fn data_keys(inside: &Inside) -> Vec<(u64, u64)> {
    let shown = inside.admin("DescribeKey", json!({"KeyId": "default"})).await.ok().body;
    let number = |one: &Value, name: &str| one[name].as_u64().unwrap();
    let generations = shown["Generations"].as_array().unwrap();
    generations.iter().map(|one| (number(one, "Generation"), number(one, "DataKeys"))).collect()
}

fn retire(generation: u64) -> Value {
    json!({"KeyId": "default", "Generation": generation})
}

/// The records of `service/rewrapper`: event and parameters.
fn parts(inside: &Inside) -> Vec<Value> {
    let records = inside.records().into_iter().filter(|record| record["principal"] == "service/rewrapper");
    records.map(|record| record["parameters"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i08_attack_h04_data_keys_are_wrapped_anew_values_stay_and_then_the_old_generation_can_end() {
    let inside = Inside::open(Installation::new()).await;
    for number in 0..70 {
        create(&inside, &format!("s/{number:02}")).await;
    }
    inside
        .admin("PutSecretValue", json!({"SecretName": "s/00", "VersionId": "v2", "SecretString": "second"}))
        .await
        .ok();
    // Remembered in memory from here on, under the old generation.
    reads(&inside, "s/33").await;
    let installation = inside.close().await;
    let before = ciphertexts(&installation);
    let inside = Inside::open(installation).await;
    reads(&inside, "s/33").await;
    let nothing = inside.admin("RewrapKeys", json!({})).await.ok().body;
    assert_eq!((&nothing["Total"], &nothing["Remaining"], &nothing["Running"]), (&json!(71), &json!(0), &json!(false)));
    inside.admin("RotateKey", json!({})).await.ok();
    create(&inside, "s/new").await;
    assert_eq!(data_keys(&inside).await, [(1, 71), (2, 1)]);
    let told = inside.admin("RetireKeyGeneration", retire(1)).await;
    assert_eq!(told.code, "FailedOperation");
    assert_eq!(told.body["Error"]["Message"], "71 data keys are still wrapped by it; call RewrapKeys first");
    assert_eq!(inside.admin("RetireKeyGeneration", retire(2)).await.code, "FailedOperation");
    let begun = inside.admin("RewrapKeys", json!({"KeyId": "default"})).await.ok().body;
    let expected = json!({"KeyId": "default", "Generation": 2, "Total": 72, "Remaining": 71, "Running": true});
    assert_eq!(without_request(begun), expected);
    let again = inside.admin("RewrapKeys", json!({"KeyId": "default"})).await.ok().body;
    assert_eq!(without_request(again), expected, "asking again changes nothing");
    inside.gateway.rewrap().await;
    let parts = parts(&inside);
    let said = |part: &Value, name: &str| part[name].as_u64().unwrap();
    let covered: Vec<(u64, u64, u64)> =
        parts.iter().map(|part| (said(part, "data_keys"), said(part, "secrets"), said(part, "remaining"))).collect();
    assert_eq!(covered, [(64, 63, 7), (7, 7, 0)]);
    assert_eq!(
        (&parts[0]["event"], &parts[0]["first"], &parts[0]["last"]),
        (&json!("rewrapped"), &json!("s/00"), &json!("s/62"))
    );
    assert_eq!(parts[1]["event"], "rewrap_done");
    let done = inside.admin("RewrapKeys", json!({})).await.ok().body;
    assert_eq!((&done["Remaining"], &done["Running"]), (&json!(0), &json!(false)));
    assert_eq!(data_keys(&inside).await, [(1, 0), (2, 72)]);
    inside.admin("RetireKeyGeneration", retire(1)).await.ok();
    inside.gateway.compact().await;
    assert_eq!(inside.admin("RetireKeyGeneration", retire(1)).await.code, "ResourceNotFound");
    // What was remembered is wrapped by what is gone: it is read again.
    reads(&inside, "s/33").await;
    let installation = inside.close().await;
    let after = ciphertexts(&installation);
    assert!(before.iter().all(|(key, value)| after.get(key) == Some(value)), "a value was touched");
    let inside = Inside::open(installation).await;
    for number in 1..70 {
        reads(&inside, &format!("s/{number:02}")).await;
    }
    inside.finish().await;
}

fn without_request(mut body: Value) -> Value {
    body.as_object_mut().unwrap().remove("RequestId");
    body
}

/// An installation with five secrets under the older of two generations: of one the wrapped data key is altered, of one the value
/// does not decode, of one it is missing.
async fn damaged() -> Installation {
    let inside = Inside::open(Installation::new()).await;
    for number in 0..5 {
        create(&inside, &format!("s/{number}")).await;
    }
    inside.admin("RotateKey", json!({})).await.ok();
    let installation = inside.close().await;
    let store = open(&installation);
    let mut rows = stored(&store, Family::Secrets, b"v", b"w").into_iter();
    let mut row = || rows.next().unwrap();
    let (mut altered, cut, missing) = (row(), row(), row());
    altered.1[1 + 4 + "default".len() + 4 + 12] ^= 1;
    write(
        &store,
        Family::Secrets,
        [(altered.0, Some(altered.1)), (cut.0, Some(cut.1[..9].to_vec())), (missing.0, None)],
    );
    drop(store);
    installation
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_open_is_left_counted_and_not_tried_again_until_there_is_a_reason() {
    let inside = Inside::open(damaged().await).await;
    let ask = async |inside: &Inside| {
        let told = inside.admin("RewrapKeys", json!({})).await.ok().body;
        (told["Total"].as_u64().unwrap(), told["Remaining"].as_u64().unwrap(), told["Running"].as_bool().unwrap())
    };
    let ended = |inside: &Inside| parts(inside).iter().filter(|part| part["event"] == "rewrap_done").count();
    assert_eq!(data_keys(&inside).await, [(1, 3), (2, 0)], "what does not decode is nobody's");
    inside.admin("ListKeys", json!({})).await.ok();
    assert_eq!(ask(&inside).await, (5, 5, true));
    inside.gateway.rewrap().await;
    let last = parts(&inside).pop().unwrap();
    assert_eq!((&last["event"], &last["failed"], &last["remaining"]), (&json!("rewrap_done"), &json!(3), &json!(3)));
    for _ in 0..3 {
        assert_eq!(ask(&inside).await, (5, 3, false));
        inside.gateway.rewrap().await;
    }
    assert_eq!((ended(&inside), data_keys(&inside).await), (1, vec![(1, 1), (2, 2)]));
    let told = inside.admin("RetireKeyGeneration", retire(1)).await;
    assert_eq!(told.body["Error"]["Message"], "3 data keys are still wrapped by it; call RewrapKeys first");

    // Another generation, or another start, is a reason.
    inside.admin("RotateKey", json!({})).await.ok();
    assert_eq!(ask(&inside).await, (5, 5, true));
    inside.gateway.rewrap().await;
    assert_eq!((ask(&inside).await, ended(&inside)), ((5, 3, false), 2));
    let inside = inside.restart().await;
    assert_eq!(ask(&inside).await, (5, 3, true));
    inside.gateway.rewrap().await;
    assert_eq!((ask(&inside).await, ended(&inside)), ((5, 3, false), 3));

    // Stored anew, they are wrapped by the newest.
    for number in 0..5 {
        let value = json!({"SecretName": format!("s/{number}"), "VersionId": "SSM_Current", "SecretString": "anew"});
        inside.admin("UpdateSecret", value).await.ok();
    }
    assert_eq!(ask(&inside).await, (5, 0, false));
    assert_eq!(data_keys(&inside).await, [(1, 0), (2, 0), (3, 5)]);
    for generation in [1, 2] {
        inside.admin("RetireKeyGeneration", retire(generation)).await.ok();
    }
    inside.finish().await;
}

#[test]
fn waiting_for_a_rewrap_ends_with_what_does_not_open() {
    let installation = tokio::runtime::Runtime::new().unwrap().block_on(damaged());
    let gateway = TestGateway::of(installation);
    let rewrap = |format: &str| {
        let mut command = gateway.installation().command(&["--output", format, "key", "rewrap", "--wait"]);
        command.env("KEYWARD_ADDR", format!("http://{}", gateway.address())).env("KEYWARD_TOKEN", gateway.admin());
        Ran::from(command.output().unwrap())
    };
    let failed = rewrap("table");
    assert!(failed.code == 1 && failed.err.contains("3 of 5 data keys of `default` do not open"), "{failed:?}");
    let failed = rewrap("json");
    let answer: Value = serde_json::from_str(&failed.out).unwrap();
    assert_eq!((failed.code, &answer["Remaining"], &answer["Running"]), (1, &json!(3), &json!(false)), "{failed:?}");
    let records = gateway.records();
    let ended = records.iter().filter(|record| record["parameters"]["event"] == "rewrap_done").count();
    assert_eq!(ended, 1);
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewrap_waits_while_its_key_is_disabled_and_begins_anew_when_it_is_rotated() {
    let inside = Inside::open(Installation::new()).await;
    for name in ["a", "b", "c"] {
        create(&inside, name).await;
    }
    inside.admin("RotateKey", json!({})).await.ok();
    inside.admin("RewrapKeys", json!({})).await.ok();
    inside.admin("DisableKey", json!({"KeyId": "default"})).await.ok();
    assert_eq!(inside.admin("RewrapKeys", json!({})).await.code, "FailedOperation");
    inside.gateway.rewrap().await;
    assert_eq!(data_keys(&inside).await, [(1, 3), (2, 0)]);
    inside.admin("EnableKey", json!({"KeyId": "default"})).await.ok();
    let inside = inside.restart().await;
    inside.admin("RotateKey", json!({})).await.ok();
    inside.gateway.rewrap().await;
    assert_eq!(data_keys(&inside).await, [(1, 0), (2, 0), (3, 3)]);
    assert_eq!(parts(&inside).last().unwrap()["generation"], 3);
    for name in ["a", "b", "c"] {
        reads(&inside, name).await;
    }
    inside.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i13_a_value_that_is_replaced_or_deleted_while_it_is_wrapped_anew_is_not_brought_back() {
    const SECRETS: usize = 40;
    let inside = std::sync::Arc::new(Inside::open(Installation::new()).await);
    for number in 0..SECRETS {
        create(&inside, &format!("s/{number:02}")).await;
    }
    for round in 0..3 {
        inside.admin("RotateKey", json!({})).await.ok();
        inside.admin("RewrapKeys", json!({})).await.ok();
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let inside = std::sync::Arc::clone(&inside);
                tokio::spawn(async move {
                    for number in (writer..SECRETS).step_by(3) {
                        let value = format!("round {round} of {number}");
                        let name = format!("s/{number:02}");
                        let update = json!({"SecretName": name, "VersionId": "SSM_Current", "SecretString": value});
                        while inside.admin("UpdateSecret", update.clone()).await.code != "ok" {}
                    }
                })
            })
            .collect();
        inside.gateway.rewrap().await;
        for writer in writers {
            writer.await.unwrap();
        }
        inside.gateway.rewrap().await;
        for number in 0..SECRETS {
            let read = inside.admin("GetSecretValue", json!({"SecretName": format!("s/{number:02}")})).await.ok();
            assert_eq!(read.body["SecretString"], format!("round {round} of {number}"));
        }
    }
    let counted = data_keys(&inside).await;
    assert_eq!(counted.last(), Some(&(4, SECRETS as u64)));
    assert!(counted.iter().rev().skip(1).all(|(_, count)| *count == 0), "{counted:?}");
    let inside = std::sync::Arc::into_inner(inside).unwrap();
    let installation = inside.close().await;
    let rows = stored(&open(&installation), Family::Secrets, b"v", b"w").len();
    assert_eq!(rows, SECRETS, "a replaced value is back");
    installation.verify();
}

/// Large values make many parts, so that there is a middle to be killed in.
#[test]
fn attack_h04_a_rewrap_that_is_killed_goes_on_where_it_was_and_every_secret_opens() {
    const SECRETS: usize = 120;
    let mut gateway = TestGateway::start();
    let admin = gateway.admin().to_owned();
    let value = |number: usize| format!("{number} ").repeat(15_000);
    for number in 0..SECRETS {
        gateway.create(&format!("big/{number:03}"), &value(number)).ok();
    }
    gateway.insist(&admin, "RotateKey", &json!({})).ok();
    gateway.insist(&admin, "RewrapKeys", &json!({})).ok();
    let remaining = |gateway: &TestGateway| {
        let told = gateway.insist(&admin, "RewrapKeys", &json!({})).ok();
        (told.body["Remaining"].as_u64().unwrap(), told.body["Running"].as_bool().unwrap())
    };
    let (mut left, mut kills) = (SECRETS as u64, 0);
    while left > 0 {
        let begun_at = left;
        left = wait_for("the work goes on", || {
            let (now, running) = remaining(&gateway);
            assert!(now <= begun_at, "{now} of {begun_at}: it went back");
            (now < begun_at || !running).then_some(now)
        });
        if left > 0 {
            gateway = TestGateway::of(gateway.kill());
            kills += 1;
            left = remaining(&gateway).0.min(left);
        }
    }
    assert!(kills > 0, "it was over before it could be killed");
    println!("killed {kills} times");
    wait_for("the end", || (!remaining(&gateway).1).then_some(()));
    for number in 0..SECRETS {
        let read = gateway.insist(&admin, "GetSecretValue", &json!({"SecretName": format!("big/{number:03}")})).ok();
        assert!(read.text("SecretString") == value(number), "{number}");
    }
    gateway.insist(&admin, "RetireKeyGeneration", &retire(1)).ok();
    let records = gateway.records();
    let parts = records.iter().filter(|record| record["principal"] == "service/rewrapper");
    let covered: u64 = parts.filter_map(|record| record["parameters"]["data_keys"].as_u64()).sum();
    assert_eq!(covered, SECRETS as u64, "each data key stands in one record");
    gateway.finish();
}
