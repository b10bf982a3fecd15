//! A secret's life after its creation: values replaced, versions and secrets deleted, restored and purged. Days pass on a
//! clock that the test turns.

use crate::gateway::{TestGateway, wait_for};
use crate::inside::{Inside, Told};
use crate::installation::Installation;
use keyward_audit::store::rocks::{Recovery, RocksStore};
use keyward_audit::store::{Family, read as read_store};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const DAY: u64 = 86_400;
const HOUR: u64 = 3_600;

fn named(name: &str) -> Value {
    json!({"SecretName": name})
}

fn version(name: &str, id: &str) -> Value {
    json!({"SecretName": name, "VersionId": id})
}

fn valued(name: &str, id: &str, value: &str) -> Value {
    json!({"SecretName": name, "VersionId": id, "SecretString": value})
}

#[test]
fn an_update_replaces_the_value_in_place_under_a_new_value_id() {
    let gateway = TestGateway::start();
    let admin = gateway.admin();
    let created = gateway.call(admin, "CreateSecret", &valued("demo/db", "v1", "one")).ok();
    gateway.call(admin, "PutSecretValue", &valued("demo/db", "v2", "two")).ok();
    let updated = gateway.call(admin, "UpdateSecret", &valued("demo/db", "v1", "uno")).ok();
    assert_eq!((&updated.body["SecretName"], &updated.body["VersionId"]), (&json!("demo/db"), &json!("v1")));
    let binary = json!({"SecretName": "demo/db", "VersionId": "v2", "SecretBinary": "AAH/"});
    gateway.call(admin, "UpdateSecret", &binary).ok();
    let first = gateway.call(admin, "GetSecretValue", &version("demo/db", "v1")).ok();
    assert_eq!((&first.body["SecretString"], &first.body["SecretBinary"]), (&json!("uno"), &json!("")));
    let current = gateway.call(admin, "GetSecretValue", &named("demo/db")).ok();
    assert_eq!((&current.body["VersionId"], &current.body["SecretBinary"]), (&json!("v2"), &json!("AAH/")));
    let missing = gateway.call(admin, "UpdateSecret", &valued("demo/db", "v3", "x"));
    assert_eq!((missing.status, missing.code()), (404, "ResourceNotFound"));

    let export = gateway.export();
    let (made, changed, read) = (export.record_of(&created), export.record_of(&updated), export.record_of(&first));
    assert_eq!(changed["secret_version"], "v1");
    assert_ne!(changed["value"], made["value"]);
    assert_eq!(read["value"], changed["value"]);
    assert_eq!(export.record_of(&missing)["reason"], "ResourceNotFound");
    let versions = gateway.call(admin, "ListSecretVersionIds", &named("demo/db")).ok();
    let ids: Vec<&str> =
        versions.body["Versions"].as_array().unwrap().iter().map(|row| row["VersionId"].as_str().unwrap()).collect();
    assert_eq!(ids, ["v2", "v1"], "an update moves no version");
    gateway.finish();
}

#[test]
fn a_deleted_current_version_hands_over_to_the_one_added_last_that_is_not_staged() {
    let gateway = TestGateway::start();
    let admin = gateway.admin();
    let delete = |id: &str| gateway.call(admin, "DeleteSecretVersion", &version("demo/db", id));
    gateway.call(admin, "CreateSecret", &valued("demo/db", "v1", "one")).ok();
    assert_eq!(delete("v1").code(), "FailedOperation", "the last version stays");
    gateway.call(admin, "PutSecretValue", &valued("demo/db", "v2", "two")).ok();
    let mut staged = valued("demo/db", "v3", "three");
    staged["Stage"] = json!(true);
    gateway.call(admin, "PutSecretValue", &staged).ok();
    gateway.call(admin, "PutSecretValue", &valued("demo/db", "v4", "four")).ok();
    let of_current = delete("v4").ok();
    let current = gateway.call(admin, "GetSecretValue", &named("demo/db")).ok();
    assert_eq!(current.body["VersionId"], "v2");
    let of_another = delete("v1").ok();
    let only_staged = delete("v2");
    assert_eq!((only_staged.status, only_staged.code()), (409, "FailedOperation"));
    assert!(only_staged.message().contains("SetCurrentVersion"), "{}", only_staged.message());
    gateway.call(admin, "SetCurrentVersion", &version("demo/db", "v3")).ok();
    delete("v2").ok();
    assert_eq!(delete("v2").code(), "ResourceNotFound");
    // The id may be used again, as a new version.
    gateway.call(admin, "PutSecretValue", &valued("demo/db", "v1", "new")).ok();

    let export = gateway.export();
    let record = export.record_of(&of_current);
    assert_eq!((&record["secret_version"], &record["parameters"]["current"]), (&json!("v4"), &json!("v2")));
    assert_eq!(export.record_of(&of_another)["parameters"], Value::Null);
    assert_eq!(export.record_of(&only_staged)["reason"], "FailedOperation");
    gateway.finish();
}

/// What each change answers in each state, but for the present one of `state`.
async fn answers(inside: &Inside, state: &str) -> Vec<(&'static str, String)> {
    let mut answers = Vec::new();
    for (number, (action, parameters)) in [
        ("GetSecretValue", json!({})),
        ("PutSecretValue", json!({"VersionId": "v3", "SecretString": "x"})),
        ("UpdateSecret", json!({"VersionId": "v1", "SecretString": "x"})),
        ("UpdateDescription", json!({"Description": "x"})),
        ("SetCurrentVersion", json!({"VersionId": "v2"})),
        ("TagResource", json!({"Tags": [{"TagKey": "a", "TagValue": ""}]})),
        ("UntagResource", json!({"TagKeys": ["a"]})),
        ("EnableSecret", json!({})),
        ("DisableSecret", json!({})),
        ("DeleteSecret", json!({})),
        ("RestoreSecret", json!({})),
        ("DeleteSecretVersion", json!({"VersionId": "v2"})),
        ("DescribeSecret", json!({})),
        ("ListSecretVersionIds", json!({})),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("state/{state}/{number}");
        inside.admin("CreateSecret", valued(&name, "v1", "one")).await.ok();
        inside.admin("PutSecretValue", valued(&name, "v2", "two")).await.ok();
        if state != "Enabled" {
            inside.admin("DisableSecret", named(&name)).await.ok();
        }
        if state == "PendingDelete" {
            inside.admin("DeleteSecret", json!({"SecretName": name, "RecoveryWindowInDays": 1})).await.ok();
        }
        let mut parameters = parameters;
        parameters["SecretName"] = json!(name);
        let told = inside.admin(action, parameters).await;
        let record = inside.record_of(&told);
        assert_eq!(record["decision"], "allow", "{record}");
        let reason = if told.code == "ok" { Value::Null } else { json!(told.code) };
        assert_eq!(record["reason"], reason);
        answers.push((action, told.code));
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_answers_by_state_as_published() {
    let inside = Inside::open(Installation::new()).await;
    let failing = |actions: &'static [&'static str], code: &'static str| {
        move |action: &str| if actions.contains(&action) { code } else { "ok" }
    };
    let enabled = failing(&["DeleteSecret", "RestoreSecret"], "FailedOperation");
    for (action, code) in answers(&inside, "Enabled").await {
        assert_eq!(code, enabled(action), "{action} of an enabled secret");
    }
    for (action, code) in answers(&inside, "Disabled").await {
        let expected = match action {
            "GetSecretValue" => "ResourceUnavailable.ResourceDisabled",
            "RestoreSecret" => "FailedOperation",
            _ => "ok",
        };
        assert_eq!(code, expected, "{action} of a disabled secret");
    }
    for (action, code) in answers(&inside, "PendingDelete").await {
        let expected = match action {
            "GetSecretValue" => "ResourceUnavailable.ResourcePendingDeleted",
            "RestoreSecret" | "DeleteSecretVersion" | "DescribeSecret" | "ListSecretVersionIds" => "ok",
            _ => "FailedOperation",
        };
        assert_eq!(code, expected, "{action} of a secret that waits for its deletion");
    }
    inside.finish().await;
}

/// A secret that waits for its deletion; answers the DeleteSecret.
async fn pending(inside: &Inside, name: &str, days: u64) -> Told {
    inside.admin("CreateSecret", valued(name, "v1", "one")).await.ok();
    inside.admin("PutSecretValue", valued(name, "v2", "two")).await.ok();
    inside.admin("DisableSecret", named(name)).await.ok();
    inside.admin("DeleteSecret", json!({"SecretName": name, "RecoveryWindowInDays": days})).await.ok()
}

/// Every action on a secret says that it is not there; so do the lists.
async fn is_gone(inside: &Inside, name: &str) {
    let read = inside.admin("GetSecretValue", named(name)).await;
    assert_eq!(read.code, "ResourceNotFound.SecretNotExist");
    assert_eq!(inside.record_of(&read)["context"]["unknown"], json!(["creator", "tags"]));
    for action in ["DescribeSecret", "RestoreSecret", "EnableSecret", "ListSecretVersionIds"] {
        assert_eq!(inside.admin(action, named(name)).await.code, "ResourceNotFound", "{action}");
    }
    let listed = inside.admin("ListSecrets", json!({"SearchSecretName": name})).await.ok();
    assert_eq!(listed.body["TotalCount"], 0);
}

async fn status(inside: &Inside, name: &str) -> Value {
    inside.admin("DescribeSecret", named(name)).await.ok().body["Status"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn i02_a_deletion_waits_for_its_window_and_the_purge_is_a_record_of_its_own() {
    let inside = Inside::open(Installation::new()).await;
    let deleted = pending(&inside, "demo/db", 7).await;
    let due = inside.clock.now_s() + 7 * DAY;
    assert_eq!((&deleted.body["DeleteTime"], &deleted.body["FlowID"]), (&json!(due), &json!(0)));
    let record = inside.record_of(&deleted);
    assert_eq!(record["parameters"]["delete_time"], json!(due));
    assert_eq!(record["context"]["conditions"]["keyward:recovery_window"], json!(["7"]));
    assert_eq!(inside.admin("CreateSecret", valued("demo/db", "v1", "x")).await.code, "ResourceInUse.SecretExists");

    inside.clock.pass(7 * DAY - 1);
    assert_eq!(inside.gateway.purge().await, 0);
    assert_eq!(status(&inside, "demo/db").await, "PendingDelete");
    let listed = inside.admin("ListSecrets", json!({"SearchSecretName": "demo/db"})).await.ok();
    assert_eq!(listed.body["TotalCount"], 1, "and remembered from here on");
    inside.clock.pass(1);
    is_gone(&inside, "demo/db").await;
    assert_eq!(inside.gateway.purge().await, 1);
    assert_eq!(inside.gateway.purge().await, 0);
    is_gone(&inside, "demo/db").await;

    let purges: Vec<Value> = inside.records().into_iter().filter(|record| record["kind"] == "purge").collect();
    let [purge] = purges.as_slice() else { panic!("{purges:?}") };
    assert_eq!((&purge["principal"], &purge["action"]), (&json!("service/purger"), &json!("keyward:Purge")));
    assert_eq!(purge["resource"], record["resource"]);
    assert_eq!(purge["parameters"], json!({"due": due, "requested": deleted.index}));
    // The name is free, and nothing of its earlier life is left.
    inside.admin("CreateSecret", valued("demo/db", "v2", "again")).await.ok();
    let read = inside.admin("GetSecretValue", named("demo/db")).await.ok();
    assert_eq!(read.body["SecretString"], "again");
    inside.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_taken_back_while_its_window_lasts_and_then_no_more() {
    let inside = Inside::open(Installation::new()).await;
    pending(&inside, "demo/db", 1).await;
    inside.clock.pass(DAY - 1);
    inside.admin("RestoreSecret", named("demo/db")).await.ok();
    assert_eq!(status(&inside, "demo/db").await, "Disabled");
    inside.clock.pass(30 * DAY);
    assert_eq!(inside.gateway.purge().await, 0, "a deletion that was taken back is not carried out");
    inside.admin("EnableSecret", named("demo/db")).await.ok();
    assert_eq!(inside.admin("GetSecretValue", named("demo/db")).await.ok().body["SecretString"], "two");

    pending(&inside, "demo/other", 1).await;
    inside.clock.pass(DAY);
    assert_eq!(inside.admin("RestoreSecret", named("demo/other")).await.code, "ResourceNotFound");
    inside.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i02_a_creation_on_a_name_that_is_due_carries_the_purge_in_its_own_batch() {
    let installation = Installation::new();
    installation.set("limits.secrets", 2);
    let inside = Inside::open(installation).await;
    let deleted = pending(&inside, "demo/db", 1).await;
    inside.admin("CreateSecret", valued("demo/other", "v1", "x")).await.ok();
    assert_eq!(inside.admin("CreateSecret", valued("demo/third", "v1", "x")).await.code, "LimitExceeded");
    inside.clock.pass(DAY);
    let created = inside.admin("CreateSecret", valued("demo/db", "v1", "new life")).await.ok();
    let index = created.index.unwrap();
    let purge = inside.record(index - 1);
    assert_eq!((&purge["kind"], &purge["parameters"]["requested"]), (&json!("purge"), &json!(deleted.index)));
    assert_ne!(purge["request"], inside.record(index)["request"]);
    assert_eq!(inside.gateway.purge().await, 0, "it is purged already");
    assert_eq!(inside.admin("GetSecretValue", named("demo/db")).await.ok().body["SecretString"], "new life");
    // The count is exact: still no third secret, and one again once another is deleted.
    assert_eq!(inside.admin("CreateSecret", valued("demo/third", "v1", "x")).await.code, "LimitExceeded");
    inside.admin("DisableSecret", named("demo/other")).await.ok();
    inside.admin("DeleteSecret", named("demo/other")).await.ok();
    inside.admin("CreateSecret", valued("demo/third", "v1", "x")).await.ok();
    inside.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_g08_no_step_of_the_clock_pulls_a_deletion_forward() {
    let inside = Inside::open(Installation::new()).await;
    pending(&inside, "demo/db", 7).await;
    // Forward by the whole window: nobody has seen it when this is asked.
    inside.clock.step(i64::try_from(8 * DAY).unwrap());
    assert_eq!(inside.gateway.purge().await, 0);
    assert_eq!(status(&inside, "demo/db").await, "PendingDelete");
    assert!(inside.records().iter().any(|record| record["kind"] == "clock_step"));
    assert_eq!(inside.admin("CreateSecret", valued("demo/db", "v1", "x")).await.code, "ResourceInUse.SecretExists");
    inside.clock.pass(HOUR - 1);
    assert_eq!(inside.gateway.purge().await, 0);
    // A restart forgets neither the step nor how long ago it was.
    let inside = inside.restart().await;
    assert_eq!(inside.gateway.purge().await, 0);
    assert_eq!(status(&inside, "demo/db").await, "PendingDelete");
    // Another step begins another hour.
    inside.clock.step(-10);
    assert_eq!(status(&inside, "demo/db").await, "PendingDelete");
    inside.clock.pass(HOUR - 1);
    assert_eq!(inside.gateway.purge().await, 0);
    assert_eq!(status(&inside, "demo/db").await, "PendingDelete");
    inside.clock.pass(1);
    is_gone(&inside, "demo/db").await;
    assert_eq!(inside.gateway.purge().await, 1);
    inside.finish().await;
}

/// The stored bytes of all values, in the store of a closed gateway.
fn sealed_values(installation: &Installation) -> Vec<Vec<u8>> {
    let store = RocksStore::open(&installation.path("data/db"), Recovery::Absolute).unwrap();
    let mut values = Vec::new();
    read_store(&store, |snapshot| {
        snapshot.scan(Family::Secrets, b"v", b"w", false, &mut |_, row| {
            values.push(row.to_vec());
            true
        })
    })
    .unwrap();
    values
}

/// How many files of the store hold `bytes`.
fn holding(folder: &Path, bytes: &[u8]) -> usize {
    // The store deletes files while this looks: what is gone holds nothing.
    let files = fs::read_dir(folder).unwrap().filter_map(|entry| fs::read(entry.unwrap().path()).ok());
    files.filter(|file| file.windows(bytes.len()).any(|window| window == bytes)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_purged_or_deleted_leaves_the_files_of_the_store() {
    let inside = Inside::open(Installation::new()).await;
    pending(&inside, "demo/db", 1).await;
    inside.admin("CreateSecret", valued("demo/now", "v1", "one")).await.ok();
    inside.admin("DisableSecret", named("demo/now")).await.ok();
    inside.admin("CreateSecret", valued("demo/stays", "v1", "stays")).await.ok();
    let installation = inside.close().await;
    let all = sealed_values(&installation);
    assert_eq!(all.len(), 4);
    let db = installation.path("data/db");
    // Behind version, key id and generation: nonces and ciphertext alone.
    let needle = |row: &[u8]| row[row.len() - 60..].to_vec();
    assert!(all.iter().all(|row| holding(&db, &needle(row)) > 0), "they are found as long as they are there");

    let inside = Inside::open(installation).await;
    inside.clock.pass(DAY);
    inside.admin("DeleteSecret", named("demo/now")).await.ok();
    assert_eq!(inside.gateway.purge().await, 1);
    inside.gateway.compact().await;
    // Files that were rewritten are deleted behind it.
    let left = || all.iter().filter(|row| holding(&db, &needle(row)) > 0).count();
    wait_for("deleted values to leave the files", || (left() <= 1).then_some(()));
    assert_eq!(left(), 1);
    assert_eq!(inside.admin("GetSecretValue", named("demo/stays")).await.ok().body["SecretString"], "stays");
    inside.finish().await;
}

/// A gateway started again after a value was replaced and nobody rewrote the files, as if the process had died there, and
/// the bytes of that value. `None` if the store, which may compact whenever it likes, had rewritten them by itself.
async fn died_behind_an_update() -> Option<(Inside, Vec<u8>)> {
    let inside = Inside::open(Installation::new()).await;
    inside.admin("CreateSecret", valued("demo/db", "v1", "one")).await.ok();
    let installation = inside.close().await;
    let value = sealed_values(&installation).remove(0);
    let needle = value[value.len() - 60..].to_vec();
    let inside = Inside::open(installation).await;
    inside.admin("UpdateSecret", valued("demo/db", "v1", "two")).await.ok();
    let inside = inside.restart().await;
    let holds = holding(&inside.installation.path("data/db"), &needle) > 0;
    holds.then_some((inside, needle))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_that_died_had_deleted_leaves_the_files_after_the_next_start() {
    let mut died = None;
    for _ in 0..20 {
        died = died_behind_an_update().await;
        if died.is_some() {
            break;
        }
    }
    let (inside, needle) = died.expect("once in 20 times the store rewrites nothing by itself");
    let db = inside.installation.path("data/db");
    inside.gateway.compact().await;
    wait_for("the old value to leave the files", || (holding(&db, &needle) == 0).then_some(()));
    assert_eq!(inside.admin("GetSecretValue", named("demo/db")).await.ok().body["SecretString"], "two");
    inside.finish().await;
}

#[test]
fn a_deletion_is_refused_for_what_it_cannot_do() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "s");
    let delete = |more: Value| {
        let mut parameters = named("demo/db");
        parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        gateway.call(gateway.admin(), "DeleteSecret", &parameters).code().to_owned()
    };
    assert_eq!(delete(json!({"RecoveryWindowInDays": 31})), "InvalidParameterValue");
    assert_eq!(delete(json!({"RecoveryWindowInDays": -1})), "InvalidParameter");
    assert_eq!(delete(json!({"CleanSSHKey": true})), "UnsupportedOperation");
    assert_eq!(delete(json!({"DeleteMode": 1})), "UnsupportedOperation");
    assert_eq!(delete(json!({"DeleteMode": 2})), "InvalidParameterValue");
    assert_eq!(delete(json!({"CleanSSHKey": false, "DeleteMode": 0})), "FailedOperation");
    let call = |action: &str, parameters: Value| gateway.call(gateway.admin(), action, &parameters).code().to_owned();
    assert_eq!(call("UpdateDescription", named("demo/db")), "MissingParameter");
    assert_eq!(call("UpdateDescription", json!({"SecretName": "demo/db", "Description": ""})), "ok");
    assert_eq!(call("UpdateSecret", version("demo/db", "SSM_Current")), "MissingParameter");
    gateway.finish();
}

#[test]
fn policy_sees_the_recovery_window_that_is_asked_for() {
    let forbid = json!({"effect": "deny", "action": "ssm:DeleteSecret", "resource": "*",
        "condition": {"numeric_less_than": {"keyward:recovery_window": 7}}});
    let policies = crate::installation::Policies::default().document("keep", &forbid).attach("keep", &["everyone"]);
    let gateway = TestGateway::builder().policies(policies).start();
    gateway.create("demo/db", "s");
    gateway.call(gateway.admin(), "DisableSecret", &named("demo/db")).ok();
    for parameters in [named("demo/db"), json!({"SecretName": "demo/db", "RecoveryWindowInDays": 6})] {
        let denied = gateway.call(gateway.admin(), "DeleteSecret", &parameters);
        assert_eq!((denied.status, denied.code()), (403, "UnauthorizedOperation"));
        assert_eq!(gateway.record_of(&denied)["reason"], "explicit_deny");
    }
    gateway.call(gateway.admin(), "DeleteSecret", &json!({"SecretName": "demo/db", "RecoveryWindowInDays": 7})).ok();
    gateway.finish();
}
