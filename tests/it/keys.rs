//! Named keys: what a disabled one cuts off, what a rotation leaves as it is, and that nothing ends a key that a value
//! still needs.

use crate::gateway::TestGateway;
use crate::inside::Inside;
use crate::installation::{Installation, Policies, Ran};
use crate::wire::Connection;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const DAY_S: u64 = 86_400;

fn key(id: &str) -> Value {
    json!({"KeyId": id})
}

fn name(name: &str) -> Value {
    json!({"SecretName": name})
}

/// A gateway with the key `team`, a secret under it and one under the default key.
async fn with_team() -> Inside {
    let inside = Inside::open(Installation::new()).await;
    inside.admin("CreateKey", key("team")).await.ok();
    let secret = json!({"SecretName": "demo/team", "SecretString": "of the team", "KmsKeyId": "team"});
    inside.admin("CreateSecret", secret).await.ok();
    inside.admin("CreateSecret", json!({"SecretName": "demo/other", "SecretString": "x"})).await.ok();
    inside
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_under_the_key_that_it_names_and_says_so() {
    let inside = with_team().await;
    let described = inside.admin("DescribeSecret", name("demo/team")).await.ok();
    assert_eq!(described.body["KmsKeyId"], "team");
    let listed = inside.admin("ListSecrets", json!({"OrderType": 1})).await.ok();
    let kinds: Vec<&Value> =
        listed.body["SecretMetadatas"].as_array().unwrap().iter().map(|s| &s["KmsKeyType"]).collect();
    assert_eq!(kinds, ["DEFAULT", "CUSTOMER"]);
    let shown = inside.admin("DescribeKey", key("team")).await.ok().body;
    let generation = &shown["Generations"][0];
    assert_eq!(
        (&shown["Status"], &shown["Generation"], &generation["DataKeys"]),
        (&json!("Enabled"), &json!(1), &json!(1))
    );
    let keys = inside.admin("ListKeys", json!({})).await.ok().body;
    let ids: Vec<&Value> = keys["Keys"].as_array().unwrap().iter().map(|key| &key["KeyId"]).collect();
    assert_eq!((ids, &keys["TotalCount"]), (vec![&json!("default"), &json!("team")], &json!(2)));
    let page = inside.admin("ListKeys", json!({"Offset": 1, "Limit": 1})).await.ok().body;
    let mut same = shown.clone();
    same.as_object_mut().unwrap().remove("RequestId");
    assert_eq!(page["Keys"], json!([same]));
    let made = inside.records().into_iter().find(|record| record["action"] == "kms:CreateKey").unwrap();
    assert_eq!(made["resource"], "qcs::kms:local:uin/100000000001:key/team");
    for (parameters, code) in
        [(json!({}), "MissingParameter"), (key("a/b"), "InvalidParameterValue"), (key("team"), "FailedOperation")]
    {
        assert_eq!(inside.admin("CreateKey", parameters).await.code, code);
    }
    assert_eq!(inside.admin("DescribeKey", key("nobody")).await.code, "ResourceNotFound");
    let unknown = json!({"SecretName": "demo/new", "SecretString": "x", "KmsKeyId": "nobody"});
    assert_eq!(inside.admin("CreateSecret", unknown).await.code, "FailedOperation.AccessKmsError");
    inside.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_key_makes_its_values_unreadable_and_unwritable_and_enabling_gives_them_back() {
    let inside = with_team().await;
    let pair = json!({"SecretName": "demo/pair", "ProjectId": 0, "KmsKeyId": "team"});
    inside.admin("CreateSSHKeyPairSecret", pair).await.ok();
    // Remembered in memory, too.
    assert_eq!(inside.call("app", "GetSecretValue", name("demo/team")).await.ok().body["SecretString"], "of the team");
    inside.admin("DisableKey", key("team")).await.ok();
    let value = |action: &str| match action {
        "PutSecretValue" => json!({"SecretName": "demo/team", "VersionId": "v2", "SecretString": "y"}),
        "UpdateSecret" => json!({"SecretName": "demo/team", "VersionId": "SSM_Current", "SecretString": "y"}),
        "CreateSecret" => json!({"SecretName": "demo/new", "SecretString": "y", "KmsKeyId": "team"}),
        "GetSSHKeyPairValue" => name("demo/pair"),
        _ => name("demo/team"),
    };
    for action in ["GetSecretValue", "PutSecretValue", "UpdateSecret", "CreateSecret", "GetSSHKeyPairValue"] {
        let told = inside.admin(action, value(action)).await;
        assert_eq!(told.code, "FailedOperation.AccessKmsError", "{action}");
        assert_eq!(told.body["Error"]["Message"], "the key is disabled", "{action}");
        let record = inside.record_of(&told);
        let said = (&record["decision"], &record["outcome"], &record["reason"], &record["value"]);
        assert_eq!(said, (&json!("allow"), &json!("failed"), &json!("FailedOperation.AccessKmsError"), &Value::Null));
    }
    // Who may not read does not learn it; and nothing else is cut off.
    assert_eq!(inside.call("nobody", "GetSecretValue", name("demo/team")).await.code, "UnauthorizedOperation");
    inside.admin("DescribeSecret", name("demo/team")).await.ok();
    inside.admin("GetSecretValue", name("demo/other")).await.ok();
    let inside = inside.restart().await;
    assert_eq!(inside.admin("GetSecretValue", name("demo/team")).await.code, "FailedOperation.AccessKmsError");
    inside.admin("EnableKey", key("team")).await.ok();
    assert_eq!(inside.call("app", "GetSecretValue", name("demo/team")).await.ok().body["SecretString"], "of the team");
    inside.admin("GetSSHKeyPairValue", name("demo/pair")).await.ok();
    inside.admin("PutSecretValue", value("PutSecretValue")).await.ok();
    inside.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_h04_a_key_is_deleted_after_its_window_and_only_if_it_wraps_nothing() {
    let inside = with_team().await;
    let schedule = |days: u64| json!({"KeyId": "team", "PendingWindowInDays": days});
    assert_eq!(inside.admin("ScheduleKeyDeletion", key("team")).await.code, "MissingParameter");
    for days in [0, 6, 31] {
        assert_eq!(inside.admin("ScheduleKeyDeletion", schedule(days)).await.code, "InvalidParameterValue");
    }
    let refused = |message: &str| json!({"Code": "FailedOperation", "Message": message});
    let told = inside.admin("ScheduleKeyDeletion", schedule(7)).await;
    assert_eq!(told.body["Error"], refused("the key is in state Enabled; call DisableKey first"));
    inside.admin("DisableKey", key("team")).await.ok();
    // The secret waits for its own deletion, and could be restored.
    inside.admin("DisableSecret", name("demo/team")).await.ok();
    inside.admin("DeleteSecret", json!({"SecretName": "demo/team", "RecoveryWindowInDays": 1})).await.ok();
    let told = inside.admin("ScheduleKeyDeletion", schedule(7)).await;
    let used = "1 data keys are still wrapped by it, and their values would be lost; delete their secrets first";
    assert_eq!(told.body["Error"], refused(used));
    inside.clock.pass(DAY_S);
    assert_eq!(inside.gateway.purge().await, 1);
    let scheduled = inside.admin("ScheduleKeyDeletion", schedule(7)).await.ok();
    let due_s = inside.clock.now_s() + 7 * DAY_S;
    assert_eq!(scheduled.body["DeletionDate"], due_s);
    assert_eq!(inside.record_of(&scheduled)["parameters"], json!({"delete_time": due_s, "key": "team"}));
    let told = inside.admin("EnableKey", key("team")).await;
    assert_eq!(told.body["Error"], refused("the key is in state PendingDelete; call CancelKeyDeletion first"));
    inside.admin("CancelKeyDeletion", key("team")).await.ok();
    inside.clock.pass(8 * DAY_S);
    assert_eq!(inside.gateway.purge().await, 0, "it was taken back");
    assert_eq!(inside.admin("DescribeKey", key("team")).await.ok().body["Status"], "Disabled");
    let scheduled = inside.admin("ScheduleKeyDeletion", schedule(30)).await.ok();
    inside.clock.pass(30 * DAY_S - 1);
    assert_eq!(inside.gateway.purge().await, 0, "not yet");
    let inside = inside.restart().await;
    inside.clock.pass(1);
    assert_eq!(inside.gateway.purge().await, 1);
    inside.gateway.compact().await;
    let purge = inside.records().into_iter().rfind(|record| record["kind"] == "purge").unwrap();
    assert_eq!(purge["principal"], "service/purger");
    assert_eq!(purge["resource"], "qcs::kms:local:uin/100000000001:key/team");
    assert_eq!(purge["parameters"]["requested"].as_u64(), scheduled.index);
    assert_eq!(inside.admin("DescribeKey", key("team")).await.code, "ResourceNotFound");
    let told = inside.admin("DisableKey", key("default")).await;
    assert_eq!(told.ok().code, "ok");
    let told = inside.admin("ScheduleKeyDeletion", json!({"KeyId": "default", "PendingWindowInDays": 7})).await;
    assert_eq!(told.code, "FailedOperation");
    // The id is free, for a key of its own.
    inside.admin("CreateKey", key("team")).await.ok();
    inside.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_g08_no_key_is_deleted_until_the_clock_was_steady_for_an_hour() {
    let inside = Inside::open(Installation::new()).await;
    inside.admin("CreateKey", key("team")).await.ok();
    inside.admin("DisableKey", key("team")).await.ok();
    inside.admin("ScheduleKeyDeletion", json!({"KeyId": "team", "PendingWindowInDays": 7})).await.ok();
    inside.clock.step(i64::try_from(8 * DAY_S).unwrap());
    // Whatever comes first meets the step, and its record.
    assert_eq!(inside.gateway.purge().await, 0);
    inside.admin("ListKeys", json!({})).await.ok();
    inside.clock.pass(3_599);
    assert_eq!(inside.gateway.purge().await, 0);
    inside.clock.pass(2);
    assert_eq!(inside.gateway.purge().await, 1);
    inside.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i08_a_rotation_changes_no_value_and_what_is_stored_from_then_on_is_under_the_new_generation() {
    let inside = with_team().await;
    let rotated = inside.admin("RotateKey", key("team")).await.ok();
    assert_eq!(rotated.body["Generation"], 2);
    assert_eq!(inside.record_of(&rotated)["parameters"], json!({"generation": 2, "key": "team"}));
    assert_eq!(inside.admin("RotateKey", json!({})).await.ok().body["KeyId"], "default");
    assert_eq!(inside.admin("RotateKey", key("nobody")).await.code, "ResourceNotFound");
    let put = json!({"SecretName": "demo/team", "VersionId": "v2", "SecretString": "newer"});
    inside.admin("PutSecretValue", put).await.ok();
    let inside = inside.restart().await;
    let shown = inside.admin("DescribeKey", key("team")).await.ok().body;
    let counts: Vec<Value> =
        shown["Generations"].as_array().unwrap().iter().map(|one| one["DataKeys"].clone()).collect();
    assert_eq!(counts, [1, 1]);
    for (version, value) in [("SSM_Current", "of the team"), ("v2", "newer")] {
        let read = json!({"SecretName": "demo/team", "VersionId": version});
        assert_eq!(inside.admin("GetSecretValue", read).await.ok().body["SecretString"], value);
    }
    inside.finish().await;
}

#[test]
fn keys_are_decided_by_their_own_resource_and_told_to_nobody_else() {
    let policies = Policies::default()
        .allow("team-keys", &["kms:CreateKey", "kms:DescribeKey", "kms:DisableKey"], "qcs::kms:::key/team-*")
        .attach("team-keys", &["user/dev/lead"]);
    let gateway = TestGateway::builder().policies(policies).start();
    let lead = gateway.issuer().token("lead");
    let call = |action: &str, id: &str| gateway.call(&lead, action, &key(id));
    call("CreateKey", "team-a").ok();
    call("DisableKey", "team-a").ok();
    let there = call("DescribeKey", "default");
    let absent = call("DescribeKey", "defaulu");
    let text = |id: &str, reply: &crate::wire::Reply| reply.message().replace(reply.request(), "").replace(id, "");
    assert_eq!((there.status, absent.status), (403, 403));
    assert_eq!(text("key/default", &there), text("key/defaulu", &absent));
    assert!(there.message().contains("resource (qcs::kms:local:uin/100000000001:key/default)"), "{}", there.message());
    assert_eq!(call("EnableKey", "team-a").status, 403);
    assert_eq!(gateway.call(&lead, "ListKeys", &json!({})).status, 403);
    assert_eq!(gateway.call(&lead, "RotateKey", &json!({"KeyId": "team-a"})).status, 403);
    gateway.finish();
}

#[test]
fn keys_are_run_from_the_command_line() {
    let gateway = TestGateway::start();
    let run = |arguments: &[&str]| {
        let mut command = gateway.installation().command(arguments);
        command.env("KEYWARD_ADDR", format!("http://{}", gateway.address())).env("KEYWARD_TOKEN", gateway.admin());
        Ran::from(command.output().unwrap())
    };
    let ok = |arguments: &[&str]| {
        let ran = run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}{}", ran.out, ran.err);
        ran.out
    };
    ok(&["key", "create", "team"]);
    ok(&["secret", "create", "demo/team", "--generate", "--key", "team"]);
    ok(&["secret", "create-ssh", "demo/pair", "--key", "team"]);
    ok(&["key", "rotate", "team"]);
    let shown = ok(&["key", "describe", "team"]);
    assert!(shown.contains("GENERATION") && shown.contains("Enabled"), "{shown}");
    let listed = ok(&["key", "list"]);
    assert!(listed.contains("default") && listed.contains("2 in all"), "{listed}");
    ok(&["key", "disable", "team"]);
    let refused = run(&["secret", "get", "demo/team"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("FailedOperation.AccessKmsError: the key is disabled"), "{}", refused.err);
    let refused = run(&["key", "schedule-deletion", "team", "--window", "7"]);
    assert!(refused.err.contains("2 data keys are still wrapped by it"), "{}", refused.err);
    ok(&["key", "enable", "team"]);
    ok(&["secret", "get", "demo/team"]);
    ok(&["key", "create", "spare"]);
    ok(&["key", "disable", "spare"]);
    let scheduled = ok(&["key", "schedule-deletion", "spare", "--window", "7"]);
    assert!(scheduled.starts_with("`spare` is deleted at 2") && scheduled.contains("Z; "), "{scheduled}");
    let sentences = [
        (["key", "cancel-deletion", "spare"], "`spare` is kept; it is disabled\n"),
        (["key", "rotate", "team"], "`team` has generation 3, for values that are stored from now on\n"),
        (["key", "enable", "spare"], "`spare` is enabled\n"),
        (["key", "disable", "spare"], "`spare` is disabled: no value under it is read or written\n"),
    ];
    for (verb, sentence) in sentences {
        assert_eq!(ok(&verb), sentence);
    }
    assert_eq!(ok(&["key", "rewrap", "team", "--wait"]), "all data keys of `team` are wrapped by generation 3\n");
    assert_eq!(ok(&["key", "retire", "team", "1"]), "generation 1 of `team` is ended\n");
    let json: Value = serde_json::from_str(&ok(&["--output", "json", "key", "describe", "spare"])).unwrap();
    assert_eq!((&json["Status"], &json["DeletionDate"]), (&json!("Disabled"), &json!(0)));
    gateway.finish();
}

const READERS: usize = 6;
const SWITCHES: usize = 40;

/// Reads and writes under the key until told to stop; answers the requests that got the value, and the versions written.
fn use_on(gateway: &TestGateway, reader: usize, stop: &AtomicBool, reads: &AtomicUsize) -> BTreeSet<String> {
    let mut connection = Connection::open(gateway.address());
    let bearer = format!("Bearer {}", gateway.admin());
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let mut served = BTreeSet::new();
    while !stop.load(Ordering::Acquire) {
        let (action, body) = match (reader, reads.load(Ordering::Acquire) % 3) {
            (0, 0) => {
                ("UpdateSecret", json!({"SecretName": "race/team", "VersionId": "SSM_Current", "SecretString": "v"}))
            }
            _ => ("GetSecretValue", name("race/team")),
        };
        let reply = connection.request(&format!("POST /v1/{action}"), &headers, body.to_string().as_bytes());
        let reply = reply.expect("a reply");
        reads.fetch_add(1, Ordering::AcqRel);
        if reply.status == 200 {
            served.insert(reply.request().to_owned());
        }
    }
    served
}

#[test]
fn i13_attack_g17_no_record_uses_a_key_that_an_earlier_record_disabled_nor_refuses_one_that_is_enabled() {
    let gateway = TestGateway::start();
    let admin = |action: &str, parameters: Value| gateway.insist(gateway.admin(), action, &parameters);
    admin("CreateKey", key("team")).ok();
    admin("CreateSecret", json!({"SecretName": "race/team", "SecretString": "v", "KmsKeyId": "team"})).ok();
    let (stop, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
    let served: BTreeSet<String> = std::thread::scope(|scope| {
        let (gateway, stop, reads) = (&gateway, &stop, &reads);
        let users: Vec<_> =
            (0..READERS).map(|reader| scope.spawn(move || use_on(gateway, reader, stop, reads))).collect();
        for number in 0..SWITCHES {
            let (until, given_up) = (reads.load(Ordering::Acquire) + READERS, Instant::now() + Duration::from_secs(10));
            while reads.load(Ordering::Acquire) < until && Instant::now() < given_up {
                std::thread::yield_now();
            }
            admin(["DisableKey", "EnableKey"][number % 2], key("team"));
            if number % 8 == 1 {
                admin("RotateKey", key("team"));
            }
        }
        stop.store(true, Ordering::Release);
        users.into_iter().flat_map(|user| user.join().unwrap()).collect()
    });
    let (mut disabled, mut done, mut refused) = (false, BTreeSet::new(), 0);
    for record in &gateway.export().records {
        let (action, index) = (record["action"].as_str().unwrap(), &record["index"]);
        let ok = record["outcome"] == "ok";
        match action {
            "kms:DisableKey" if ok => disabled = true,
            "kms:EnableKey" if ok => disabled = false,
            "ssm:GetSecretValue" | "ssm:UpdateSecret" if record["decision"] == "allow" => {
                let reason = record["reason"].as_str().unwrap_or("ok");
                let expected = if disabled { "FailedOperation.AccessKmsError" } else { "ok" };
                assert_eq!(reason, expected, "index {index}");
                let fresh = disabled || done.insert(record["request"].as_str().unwrap().to_owned());
                assert!(fresh, "index {index}: a request twice");
                refused += usize::from(disabled);
            }
            "ssm:GetSecretValue" | "ssm:UpdateSecret" => assert_eq!(record["reason"], "contention", "index {index}"),
            _ => {}
        }
    }
    assert_eq!(done, served, "values served and written are the records that say so");
    assert!(done.len() > 20 && refused > 20, "too little happened: {} and {refused}", done.len());
    gateway.finish();
}
