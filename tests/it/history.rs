//! Policy sets as they are and were: ListPolicies, GetPolicy, ListPolicyRevisions, SimulatePolicy, ExplainDecision; and
//! `keyward policy revisions`, `show`, `rollback`.

use crate::gateway::{TestGateway, wait_for};
use crate::installation::{Installation, Policies, Ran, put};
use crate::token::Issuer;
use crate::wire::Reply;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

const ACTIONS: [&str; 5] = ["ExplainDecision", "GetPolicy", "ListPolicies", "ListPolicyRevisions", "SimulatePolicy"];
const FILES: [&str; 3] = ["attachments.json", "documents/demo-read.json", "roles/SSM_QCSRole.json"];

/// Good parameters of each action.
fn good(action: &str, index: u64) -> Value {
    match action {
        "ExplainDecision" => json!({"Index": index}),
        "GetPolicy" => json!({"Path": "attachments.json"}),
        "SimulatePolicy" => {
            json!({"Principal": "user/corp/ann", "Action": "ssm:GetSecretValue", "Resource": "pay/db"})
        }
        _ => json!({}),
    }
}

fn token(corp: &Issuer, sub: &str) -> String {
    corp.token_of(sub, &[], &[], 600)
}

/// Whoever this runs as, by name.
fn me() -> String {
    let said = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

/// What of the set lies in a folder, by path.
fn folder(path: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::from([("attachments.json".to_owned(), read(&path.join("attachments.json")))]);
    for kind in ["documents", "roles"] {
        for entry in fs::read_dir(path.join(kind)).unwrap().map(Result::unwrap) {
            found.insert(format!("{kind}/{}", entry.file_name().to_str().unwrap()), read(&entry.path()));
        }
    }
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// The lines of a verb that programs read.
fn lines(ran: &Ran) -> Vec<Value> {
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn revisions(installation: &Installation) -> Vec<Value> {
    lines(&installation.run(&["--output", "json", "policy", "revisions"]))
}

#[test]
fn i11_attack_d10_each_look_at_policies_takes_an_action_of_its_own_and_whoever_lacks_it_learns_nothing() {
    let corp = Issuer::new("corp");
    let mut policies = Policies::default();
    for action in ACTIONS {
        let others: Vec<String> =
            ACTIONS.into_iter().filter(|other| *other != action).map(|other| format!("cam:{other}")).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).chain(["cam:ReplayPolicies"]).collect();
        policies = policies
            .allow(&format!("only-{action}"), &[&format!("cam:{action}")], "*")
            .allow(&format!("but-{action}"), &others, "*")
            .attach(&format!("only-{action}"), &[&format!("user/corp/only-{action}")])
            .attach(&format!("but-{action}"), &[&format!("user/corp/but-{action}")]);
    }
    let gateway = TestGateway::builder().issuer(&corp, "").policies(policies).start();
    let index = gateway.create("pay/db", "s3cret").index().unwrap();
    let mut asked: Vec<(&str, Reply, Reply)> = Vec::new();
    for action in ACTIONS {
        let ask = |who: &str| gateway.call(&token(&corp, &format!("{who}-{action}")), action, &good(action, index));
        asked.push((action, ask("only").ok(), ask("but")));
    }
    let export = gateway.export();
    for (action, allowed, denied) in asked {
        let record = export.record_of(&allowed);
        assert_eq!((&record["action"], &record["decision"]), (&json!(format!("cam:{action}")), &json!("allow")));
        assert!(!allowed.body.to_string().contains("s3cret"), "{action}");
        assert_eq!((denied.status, denied.code()), (403, "UnauthorizedOperation"), "{action}");
        let message = format!(
            "[request id:{}]you are not authorized to perform operation (cam:{action}) resource (*) has no permission",
            denied.request()
        );
        assert_eq!(denied.message(), message, "a request id and nothing of any policy");
        let record = export.record_of(&denied);
        assert_eq!((&record["decision"], &record["reason"]), (&json!("deny"), &json!("default_deny")), "{action}");
        assert!(record.get("parameters").is_none(), "{action}: {record}");
    }
    let of = |action: &str| -> Value {
        let is_it = |record: &&Value| record["action"] == format!("cam:{action}") && record["decision"] == "allow";
        export.records.iter().find(is_it).unwrap()["parameters"].clone()
    };
    assert_eq!(of("ExplainDecision"), json!({"index": index}));
    assert_eq!(of("GetPolicy"), json!({"path": "attachments.json"}));
    assert_eq!(of("ListPolicies"), json!({"limit": 50, "offset": 0}));
    assert_eq!(of("ListPolicyRevisions"), json!({"limit": 50}));
    let simulated = json!({"action": "ssm:GetSecretValue", "principal": "user/corp/ann", "resource": "pay/db"});
    assert_eq!(of("SimulatePolicy"), simulated);
    gateway.finish();
}

#[test]
fn what_is_asked_wrongly_is_named() {
    let gateway = TestGateway::start();
    let unknown = format!("sha256:{}", "0".repeat(64));
    let simulate = |more: &Value| {
        let mut asked = good("SimulatePolicy", 0);
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        asked
    };
    let bad = json!([{"Path": "documents/a.json", "Text": "{\"version\":\"1.0\"}"}]);
    let cases = [
        ("ListPolicies", json!({"Revision": "sha256:12"}), "InvalidParameterValue", "64 hex digits"),
        ("ListPolicies", json!({"Limit": 201}), "InvalidParameterValue", "`Limit`"),
        ("ListPolicies", json!({"Revision": unknown}), "ResourceNotFound", "no complete policy revision"),
        ("GetPolicy", json!({}), "MissingParameter", "`Path`"),
        ("GetPolicy", json!({"Path": "../keyward.toml"}), "ResourceNotFound", "no file of that path"),
        ("GetPolicy", json!({"Path": "x".repeat(257)}), "InvalidParameterValue", "`Path`"),
        ("GetPolicy", json!({"Path": "attachments.json", "Revision": unknown}), "ResourceNotFound", "no complete"),
        ("ListPolicyRevisions", json!({"Cursor": "forged"}), "InvalidParameterValue", "`Cursor`"),
        ("SimulatePolicy", json!({"Action": "ssm:GetSecretValue"}), "MissingParameter", "`Principal`"),
        ("SimulatePolicy", simulate(&json!({"Principal": "ann"})), "InvalidParameterValue", "`ann`"),
        ("SimulatePolicy", simulate(&json!({"Action": "ssm:Read"})), "InvalidParameterValue", "`ssm:Read`"),
        ("SimulatePolicy", simulate(&json!({"Resource": "/"})), "InvalidParameterValue", "`/`"),
        ("SimulatePolicy", simulate(&json!({"Resource": null})), "InvalidParameterValue", "needs a resource"),
        ("SimulatePolicy", simulate(&json!({"Context": [{"Key": "qcs:x"}]})), "InvalidParameterValue", "`Key`"),
        ("SimulatePolicy", simulate(&json!({"Files": bad})), "InvalidParameterValue", "VersionError"),
        ("SimulatePolicy", simulate(&json!({"Files": bad, "Revision": unknown})), "InvalidParameterValue", "not both"),
        ("SimulatePolicy", simulate(&json!({"Roles": vec!["x"; 1_001]})), "InvalidParameterValue", "`Roles`"),
        ("ExplainDecision", json!({}), "MissingParameter", "`Index`"),
        ("ExplainDecision", json!({"Index": 1_000_000}), "ResourceNotFound", "no record of that index"),
        ("ExplainDecision", json!({"Index": 0}), "FailedOperation", "a decision by policy"),
    ];
    for (action, asked, code, says) in cases {
        let refused = gateway.call(gateway.admin(), action, &asked);
        assert_eq!(refused.code(), code, "{action} {asked}: {}", refused.body);
        assert!(refused.message().contains(says), "{action} {asked}: {}", refused.message());
    }
    gateway.finish();
}

/// Callers, groups, a boundary, a tag and an address: what decisions can hang on.
fn varied() -> Policies {
    let read = ["ssm:GetSecretValue", "ssm:DescribeSecret"];
    let tagged = json!({"effect": "deny", "action": "ssm:GetSecretValue", "resource": "*",
        "condition": {"for_any_value:string_equal": {"qcs:resource_tag": "env&prod"}}});
    let here = json!({"effect": "allow", "action": "ssm:*", "resource": "*",
        "condition": {"ip_equal": {"qcs:ip": "127.0.0.0/8"}}});
    let afar = json!({"effect": "allow", "action": "ssm:*", "resource": "*",
        "condition": {"ip_equal": {"qcs:ip": "10.0.0.0/8"}}});
    let own = json!({"effect": "allow", "action": ["ssm:CreateSecret", "ssm:GetSecretValue"],
        "resource": "qcs::ssm:::secret/creatorUin/${uin}/own/*"});
    Policies::default()
        .allow("pay", &read, "qcs::ssm:::secret/creatorUin/*/pay/*")
        .allow("lists", &["ssm:ListSecrets"], "*")
        .document("no-prod", &tagged)
        .document("here", &here)
        .document("afar", &afar)
        .document("own", &own)
        .group("team", &["user/corp/ann", "group/corp/ops"])
        .attach("pay", &["group/local/team"])
        .attach("no-prod", &["user/corp/ann"])
        .attach("here", &["user/corp/bob"])
        .attach("afar", &["user/corp/eve"])
        .attach("own", &["user/corp/own"])
        .attach("lists", &["user/corp/ann", "user/corp/eve"])
        .bound("pay", &["user/corp/bob"])
}

#[test]
fn a_simulated_request_is_decided_as_the_real_one_was_and_both_are_explained_alike() {
    let corp = Issuer::new("corp");
    let gateway = TestGateway::builder().issuer(&corp, "groups = \"required\"").policies(varied()).start();
    for name in ["pay/db", "pay/prod", "shop/db"] {
        gateway.create(name, "value");
    }
    let tags = json!({"SecretName": "pay/prod", "Tags": [{"TagKey": "env", "TagValue": "prod"}]});
    gateway.call(gateway.admin(), "TagResource", &tags).ok();
    let callers: [(&str, &[&str]); 5] = [("ann", &[]), ("bob", &[]), ("eve", &[]), ("own", &[]), ("new", &["ops"])];
    let mut asked = Vec::new();
    for (sub, groups) in callers {
        let token = corp.token_of(sub, groups, &[], 600);
        let mut ask = |action: &str, parameters: &Value| asked.push(gateway.call(&token, action, parameters));
        for name in ["pay/db", "pay/prod", "shop/db", "pay/none"] {
            ask("GetSecretValue", &json!({"SecretName": name}));
            ask("DescribeSecret", &json!({"SecretName": name}));
        }
        ask("ListSecrets", &json!({}));
        ask("CreateSecret", &json!({"SecretName": format!("own/{sub}"), "SecretString": "v"}));
        ask("GetSecretValue", &json!({"SecretName": format!("own/{sub}")}));
    }
    let export = gateway.export();
    let mut decisions = BTreeSet::new();
    for reply in &asked {
        let record = export.record_of(reply);
        let simulated = gateway.call(gateway.admin(), "SimulatePolicy", &written(&record)).ok().body;
        assert_eq!(simulated["Decision"], record["decision"], "{record}\n{simulated}");
        assert_eq!(layers(&simulated), record["policy"]["layers"], "{record}\n{simulated}");
        assert_eq!(simulated["Context"], record["context"]["conditions"], "what is not given is as it was");
        let index = json!({"Index": record["index"]});
        let explained = gateway.call(gateway.admin(), "ExplainDecision", &index).ok().body;
        assert_eq!((&explained["Decision"], &explained["Principal"]), (&record["decision"], &record["principal"]));
        let own = |body: &Value| -> Vec<Value> {
            let all = body["Statements"].as_array().unwrap().clone().into_iter();
            all.filter(|one| one["Of"] == record["principal"]).collect()
        };
        assert_eq!(own(&explained), own(&simulated), "{record}");
        assert_eq!(explained["Remedies"], simulated["Remedies"], "{record}");
        for layer in record["policy"]["layers"].as_array().unwrap().iter().filter(|layer| layer["document"].is_string())
        {
            let decided = |one: &Value| {
                (&one["Layer"], &one["Document"], &one["Statement"])
                    == (&layer["layer"], &layer["document"], &layer["statement"])
            };
            assert!(own(&explained).iter().any(|one| decided(one) && one["Applied"] == true), "{record}\n{explained}");
        }
        decisions
            .insert(if record["decision"] == "allow" { Value::Null } else { record["reason"].clone() }.to_string());
    }
    assert_eq!(decisions.len(), 3, "allows, and denials of both kinds: {decisions:?}");
    check_command(&gateway, &asked);
    gateway.finish();
}

/// A recorded request, written down.
fn written(record: &Value) -> Value {
    let conditions = record["context"]["conditions"].as_object().unwrap();
    // These follow from who asks and on what.
    let given =
        conditions.iter().filter(|(key, _)| !["qcs:create_uin", "qcs:resource_tag", "qcs:uin"].contains(&key.as_str()));
    let context: Vec<Value> = given.map(|(key, values)| json!({"Key": key, "Values": values})).collect();
    let resource = record["resource"].as_str().and_then(|text| text.splitn(5, '/').nth(4));
    json!({
        "Principal": record["principal"], "Action": record["action"], "Resource": resource, "Context": context,
        "Groups": local_aside(&record["context"]["groups"]), "Roles": local_aside(&record["context"]["roles"]),
    })
}

/// What a token proved, without what the folder made of it.
fn local_aside(names: &Value) -> Vec<Value> {
    let names = names.as_array().cloned().unwrap_or_default().into_iter();
    names.filter(|name| !name.as_str().unwrap().contains("/local/")).collect()
}

/// The deciding statements in the words of records.
fn layers(body: &Value) -> Value {
    let small = |one: &Value| {
        let fields = one.as_object().unwrap().iter().map(|(name, value)| (name.to_lowercase(), value.clone()));
        Value::Object(fields.collect())
    };
    body["Deciding"].as_array().unwrap().iter().map(small).collect()
}

/// The command, which reads the store's files, says the same as the action.
fn check_command(gateway: &TestGateway, asked: &[Reply]) {
    for reply in asked.iter().step_by(9) {
        let index = reply.index().unwrap();
        let explained = gateway.call(gateway.admin(), "ExplainDecision", &json!({"Index": index})).ok().body;
        let said = gateway.installation().run(&["--output", "json", "policy", "explain", &index.to_string()]);
        let key = |value: &Value| value.to_string();
        let told: BTreeSet<(String, String, String)> = lines(&said)
            .iter()
            .map(|line| (key(&line["document"]), key(&line["statement"]), key(&line["applied"])))
            .collect();
        let answered = explained["Statements"].as_array().unwrap().iter();
        let answered =
            answered.map(|one| (key(&one["Document"]), key(&one["Statement"]), key(&one["Applied"]))).collect();
        assert_eq!(told, answered, "index {index}");
    }
}

#[test]
fn a_request_is_simulated_by_a_revision_that_was_live_and_by_files_that_are_sent_along() {
    let corp = Issuer::new("corp");
    let gateway = TestGateway::builder().issuer(&corp, "groups = \"required\"").policies(varied()).start();
    gateway.create("pay/db", "value");
    let before = gateway.revision();
    gateway.set_policies(&Policies::default());
    let ask = |more: Value| {
        let mut asked = good("SimulatePolicy", 0);
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        gateway.call(gateway.admin(), "SimulatePolicy", &asked).ok().body
    };
    let live = ask(json!({}));
    assert_eq!((&live["Decision"], &live["Revision"]), (&json!("deny"), &gateway.revision()));
    assert_eq!(
        (&live["Statements"], &live["Deciding"]),
        (&json!([]), &json!([{"Layer": "identity", "Effect": "deny"}]))
    );
    let old = ask(json!({"Revision": before}));
    assert_eq!((&old["Decision"], &old["Revision"]), (&json!("allow"), &before));
    let attached = json!({"version": 1, "groups": {}, "boundaries": [],
        "attachments": [{"policy": "all", "to": ["everyone"]}]});
    let all = json!({"version": "2.0", "statement": [{"effect": "allow", "action": "*", "resource": "*"}]});
    let files = json!([{"Path": "attachments.json", "Text": attached.to_string()},
        {"Path": "documents/all.json", "Text": all.to_string()}]);
    let sent = ask(json!({"Files": files}));
    assert_eq!((&sent["Decision"], &sent["Deciding"][0]["Document"]), (&json!("allow"), &json!("all")));
    let records = gateway.records();
    let simulated: Vec<&Value> = records.iter().filter(|record| record["action"] == "cam:SimulatePolicy").collect();
    assert_eq!(simulated[1]["parameters"]["revision"], before);
    assert_eq!(
        simulated[2]["parameters"]["proposed"], sent["Revision"],
        "files are named by the revision that they make"
    );
    gateway.finish();
}

#[test]
fn each_revision_is_listed_with_what_changed_and_whose_it_was_and_its_files_are_there_for_good() {
    let corp = Issuer::new("corp");
    let gateway = TestGateway::builder().issuer(&corp, "groups = \"required\"").start();
    let path = gateway.installation().path("policies");
    let mut sets = vec![(gateway.revision(), folder(&path))];
    gateway.set_policies(&varied());
    sets.push((gateway.revision(), folder(&path)));
    fs::remove_file(path.join("documents/afar.json")).unwrap();
    gateway.set_policies(&Policies::default().allow("pay", &["ssm:*"], "*").attach("pay", &["user/corp/ann"]));
    sets.push((gateway.revision(), folder(&path)));
    let (mut pages, mut cursor) = (Vec::new(), Value::Null);
    while cursor != "" {
        let page =
            gateway.call(gateway.admin(), "ListPolicyRevisions", &json!({"Limit": 1, "Cursor": cursor})).ok().body;
        pages.extend(page["Revisions"].as_array().unwrap().clone());
        cursor = page["NextCursor"].clone();
    }
    let named: Vec<&Value> = pages.iter().map(|one| &one["Revision"]).collect();
    assert_eq!(named, sets.iter().rev().map(|(revision, _)| revision).collect::<Vec<_>>(), "newest first");
    assert_eq!(pages[0]["Old"], pages[1]["Revision"]);
    assert_eq!((&pages[0]["Trigger"], &pages[2]["Trigger"]), (&json!("signal"), &json!("start")));
    let newest = |index: usize| pages[index]["Changes"].as_array().unwrap();
    let expected = [
        json!({"Change": "changed", "Owner": me(), "Path": "attachments.json"}),
        json!({"Change": "deleted", "Path": "documents/afar.json"}),
        json!({"Change": "changed", "Owner": me(), "Path": "documents/pay.json"}),
    ];
    assert_eq!(*newest(0), expected);
    assert!(newest(2).iter().all(|one| one["Change"] == "created" && one["Owner"] == me()));
    let told = revisions(gateway.installation());
    let small = |page: &Value| json!([page["Index"], page["Time"], page["Revision"], page["Trigger"]]);
    let line = |line: &Value| json!([line["index"], line["time"], line["revision"], line["trigger"]]);
    assert_eq!(told.iter().map(line).collect::<Vec<_>>(), pages.iter().map(small).collect::<Vec<_>>());
    assert_eq!(told[0]["changes"][1], json!({"change": "deleted", "owner": null, "path": "documents/afar.json"}));
    for (revision, files) in &sets {
        check_files(&gateway, revision.as_str().unwrap(), files);
    }
    gateway.finish();
}

/// By the actions and by the command the files are what they were, byte for byte.
fn check_files(gateway: &TestGateway, revision: &str, files: &BTreeMap<String, String>) {
    let installation = gateway.installation();
    let mut listed = Vec::new();
    for offset in (0..files.len()).step_by(3) {
        let asked = json!({"Revision": revision, "Offset": offset, "Limit": 3});
        let page = gateway.call(gateway.admin(), "ListPolicies", &asked).ok().body;
        assert_eq!((&page["Revision"], &page["TotalCount"]), (&json!(revision), &json!(files.len())));
        listed.extend(page["Policies"].as_array().unwrap().clone());
    }
    assert_eq!(
        listed.iter().map(|row| row["Path"].as_str().unwrap()).collect::<Vec<_>>(),
        files.keys().collect::<Vec<_>>()
    );
    for row in &listed {
        let path = row["Path"].as_str().unwrap();
        let got = gateway.call(gateway.admin(), "GetPolicy", &json!({"Revision": revision, "Path": path})).ok().body;
        assert_eq!(got["Text"], json!(files[path]), "{path}");
        assert_eq!((&got["Digest"], &got["Size"]), (&row["Digest"], &row["Size"]), "{path}");
        assert_eq!(row["Size"], files[path].len());
        assert_eq!(row["Statements"].is_u64(), path.starts_with("documents/"));
    }
    let find = |path: &str| listed.iter().find(|row| row["Path"] == path).unwrap();
    assert_eq!(find("documents/demo-read.json")["AttachedTo"], json!(["user/dev/app"]));
    if files.contains_key("documents/here.json") {
        let pay = find("documents/pay.json");
        let said = (&pay["AttachedTo"], &pay["AttachedCount"], &pay["Bounds"], &pay["BoundCount"]);
        let bounds = json!(if files.contains_key("documents/afar.json") { vec!["user/corp/bob"] } else { vec![] });
        assert_eq!(said.2, &bounds, "{pay}");
    }
    let shown = lines(&installation.run(&["--output", "json", "policy", "show", revision]));
    let shown: BTreeMap<String, String> = shown
        .iter()
        .map(|line| (line["path"].as_str().unwrap().to_owned(), line["text"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(&shown, files);
    let beginning = &revision["sha256:".len()..][..10];
    for path in FILES {
        let raw = installation.run(&["policy", "show", beginning, path]);
        assert_eq!((raw.code, &raw.out), (0, &files[path]), "{path}");
    }
}

#[test]
fn a_set_that_denies_everybody_is_rolled_back_byte_for_byte_by_whoever_has_the_files() {
    let corp = Issuer::new("corp");
    let gateway = TestGateway::builder().issuer(&corp, "groups = \"required\"").policies(varied()).start();
    let path = gateway.installation().path("policies");
    let (before, tests) = (folder(&path), read(&path.join("tests/dev.json")));
    let revision = gateway.revision();
    put(&path.join("documents/extra.json"), before["documents/pay.json"].as_bytes());
    fs::remove_file(path.join("documents/here.json")).unwrap();
    let nobody = json!({"version": 1, "groups": {}, "attachments": [], "boundaries": []});
    put(&path.join("attachments.json"), nobody.to_string().as_bytes());
    let list = || gateway.call(gateway.admin(), "ListPolicies", &json!({}));
    wait_for("everybody to be denied", || (list().status == 403).then_some(()));
    let went_live = revisions(gateway.installation());
    assert_eq!(went_live[1]["revision"], revision);
    let rolled = gateway.installation().run(&["policy", "rollback", revision.as_str().unwrap(), "--yes"]);
    assert_eq!(rolled.code, 0, "{rolled:?}");
    for said in ["gains", "user/corp/bob", "writes documents/here.json", "removes documents/extra.json", "within 2 s"] {
        assert!(rolled.out.contains(said), "{said}: {}", rolled.out);
    }
    assert_eq!((folder(&path), read(&path.join("tests/dev.json"))), (before, tests));
    wait_for("the admin to be served", || (list().status == 200).then_some(()));
    let newest = &revisions(gateway.installation())[0];
    assert_eq!((&newest["revision"], &newest["trigger"]), (&revision, &json!("file")));
    let beside = fs::read_dir(gateway.installation().dir()).unwrap();
    let names: Vec<String> = beside.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().all(|name| !name.starts_with(".keyward-rollback")), "{names:?}");
    let again = gateway.installation().run(&["--output", "json", "policy", "rollback", revision.as_str().unwrap()]);
    assert_eq!(lines(&again), [json!({"revision": revision, "written": [], "removed": []})]);
    gateway.finish();
}

#[test]
fn a_rollback_that_would_not_go_live_changes_nothing_and_says_what_to_do() {
    let corp = Issuer::new("corp");
    let gateway = TestGateway::builder().issuer(&corp, "groups = \"required\"").policies(varied()).start();
    let of_corp = gateway.revision();
    gateway.set_policies(&Policies::default());
    let plain = gateway.revision();
    let installation = gateway.stop();
    let path = installation.path("policies");
    let roll = |revision: &Value| installation.run(&["policy", "rollback", revision.as_str().unwrap(), "--yes"]);
    let before = folder(&path);
    let fails = |ran: &Ran, code: i32, says: &str| {
        assert!(ran.code == code && format!("{}{}", ran.out, ran.err).contains(says), "{says}: {ran:?}");
    };
    fails(&roll(&json!("sha256:00000000")), 1, "the store holds no policy revision");
    fails(&roll(&json!("yesterday")), 2, "give `live`, or its digest");
    fails(&roll(&json!("sha256:12")), 2, "at least 8 hex digits");
    put(&path.join("documents/notes.txt"), b"");
    fails(&roll(&of_corp), 4, "notes.txt");
    fs::remove_file(path.join("documents/notes.txt")).unwrap();
    let outside = installation.path("outside.json");
    fs::write(&outside, "outside").unwrap();
    fs::remove_file(path.join("documents/demo-read.json")).unwrap();
    std::os::unix::fs::symlink(&outside, path.join("documents/demo-read.json")).unwrap();
    fails(&roll(&of_corp), 4, "leads out of the policy folder");
    assert_eq!(read(&outside), "outside");
    fs::remove_file(path.join("documents/demo-read.json")).unwrap();
    put(&path.join("documents/demo-read.json"), before["documents/demo-read.json"].as_bytes());
    // Of an issuer that is no longer configured nothing can be said.
    let mut config = installation.config();
    config["issuer"].as_array_mut().unwrap().retain(|issuer| issuer["name"].as_str() != Some("corp"));
    fs::write(installation.path("keyward.toml"), toml::to_string(&config).unwrap()).unwrap();
    fails(&roll(&of_corp), 4, "would not load under the present configuration");
    assert_eq!(folder(&path), before, "nothing was changed");
    fs::rename(&path, installation.path("gone")).unwrap();
    fails(&roll(&plain), 1, "there is no folder");
    // An empty one is filled.
    fs::create_dir(&path).unwrap();
    let filled = roll(&plain);
    assert_eq!(filled.code, 0, "{filled:?}");
    assert_eq!(folder(&path), before);
    TestGateway::of(installation).finish();
}
