//! The least that was needed, from the trail: SuggestPolicies, `keyward policy suggest` behind it, and `keyward policy check --used`.

use crate::gateway::{TestGateway, wait_for};
use crate::installation::{PROGRAM, Policies};
use crate::token::Issuer;
use crate::wire::Reply;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Wide documents, and a trail of few names: `ann` reads by what is attached to her, `bob` by a group of his token.
fn trail(corp: &Issuer) -> TestGateway {
    let policies = Policies::default()
        .allow("wide", &["ssm:*"], "*")
        .attach("wide", &["user/corp/ann", "group/corp/ops"])
        .allow("idle", &["kms:*"], "*")
        .attach("idle", &["user/corp/eve"])
        .allow("team", &["ssm:DescribeSecret"], "qcs::ssm:::secret/creatorUin/*/pay/*")
        .group("team", &["user/corp/ann"])
        .attach("team", &["group/local/team"]);
    let gateway = TestGateway::builder().issuer(corp, "").policies(policies).start();
    for name in ["pay/db", "pay/key", "pay/other", "shop/db"] {
        gateway.create(name, "value");
    }
    for _ in 0..3 {
        read(&gateway, corp, "ann", &[], "pay/db").ok();
    }
    read(&gateway, corp, "ann", &[], "shop/db").ok();
    read(&gateway, corp, "bob", &["ops"], "pay/key").ok();
    assert_eq!(read(&gateway, corp, "eve", &[], "pay/db").status, 403);
    // What the tests themselves do as the admin is in the trail, too.
    assert!(!gateway.records().is_empty() && gateway.revision().is_string());
    gateway
}

fn read(gateway: &TestGateway, corp: &Issuer, sub: &str, groups: &[&str], name: &str) -> Reply {
    gateway.call(&corp.token_of(sub, groups, &[], 600), "GetSecretValue", &json!({"SecretName": name}))
}

/// The lines of an answer that are not about how far it is.
fn lines(reply: &Reply) -> Vec<Value> {
    let lines = reply.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let lines = lines.map(|line| serde_json::from_slice::<Value>(line).unwrap());
    lines.filter(|line| line.get("Read").is_none()).collect()
}

fn suggest(gateway: &TestGateway, question: &Value) -> Vec<Value> {
    lines(&gateway.call(gateway.admin(), "SuggestPolicies", question).ok())
}

fn of<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line.get(kind).is_some()).collect()
}

fn suggested<'a>(lines: &'a [Value], path: &str) -> &'a Value {
    let line = lines.iter().find(|line| line["Suggested"] == path);
    line.unwrap_or_else(|| panic!("no suggestion of {path}: {lines:#?}"))
}

/// Puts suggestions into the live folder, and waits until they are live.
fn go_live(gateway: &TestGateway, lines: &[Value]) {
    let folder = gateway.installation().path("policies");
    for one in of(lines, "Suggested") {
        let path = folder.join(one["Suggested"].as_str().unwrap());
        match one["Text"].as_str() {
            Some(text) => std::fs::write(path, text).unwrap(),
            None => std::fs::remove_file(path).unwrap(),
        }
    }
    let before = gateway.revision();
    gateway.signal("HUP");
    wait_for("the suggestions to be live", || (gateway.revision() != before).then_some(()));
}

#[test]
fn what_is_suggested_for_all_goes_live_and_all_that_was_done_still_works_and_nothing_else() {
    let corp = Issuer::new("corp");
    let gateway = trail(&corp);
    let said = suggest(&gateway, &json!({}));
    assert!(of(&said, "Withheld").is_empty(), "{said:#?}");
    let wide = suggested(&said, "documents/wide.json");
    let text: Value = serde_json::from_str(wide["Text"].as_str().unwrap()).unwrap();
    let name = |name: &str| format!("qcs::ssm:::secret/creatorUin/*/{name}");
    let expected = json!({"version": "2.0", "statement": [{
        "effect": "allow", "action": "ssm:GetSecretValue", "resource": [name("pay/db"), name("pay/key"), name("shop/db")],
    }]});
    assert_eq!(text, expected);
    assert_eq!((&wide["Accesses"], &wide["Days"], &wide["NotCompared"]), (&json!(5), &json!(1), &Value::Null));
    assert!(wide["TakesAway"].as_u64().unwrap() > 0);
    for idle in ["idle", "team", "demo-read"] {
        assert_eq!(suggested(&said, &format!("documents/{idle}.json"))["Text"], Value::Null);
    }
    let attachments = suggested(&said, "attachments.json")["Text"].as_str().unwrap();
    assert!(attachments.contains("group/corp/ops") && attachments.contains("QcloudAccessForSSMRole"));
    assert!(!attachments.contains("\"idle\""), "{attachments}");
    let unused: BTreeSet<&str> = of(&said, "Unused").iter().map(|line| line["Unused"].as_str().unwrap()).collect();
    assert_eq!(unused, BTreeSet::from(["documents/demo-read.json", "documents/idle.json", "documents/team.json"]));
    let used = |text: &str| {
        let line = of(&said, "Wildcard").into_iter();
        let mut line = line.filter(|line| line["Path"] == "documents/wide.json" && line["Wildcard"] == text);
        line.next().unwrap_or_else(|| panic!("{text}: {said:#?}"))["Used"].clone()
    };
    assert_eq!((used("ssm:*"), used("*")), (json!(["ssm:GetSecretValue"]), json!(["pay/db", "pay/key", "shop/db"])));
    let totals = said.last().unwrap();
    assert_eq!((&totals["DeniedNow"], &totals["UndecidableTotal"]), (&json!(0), &json!(0)));
    assert_eq!(totals["Revision"], gateway.revision(), "nothing went live");

    go_live(&gateway, &said);
    read(&gateway, &corp, "ann", &[], "pay/db").ok();
    read(&gateway, &corp, "ann", &[], "shop/db").ok();
    read(&gateway, &corp, "bob", &["ops"], "pay/key").ok();
    assert_eq!(read(&gateway, &corp, "ann", &[], "pay/other").status, 403);
    let ann = corp.token_of("ann", &[], &[], 600);
    assert_eq!(gateway.call(&ann, "ListSecrets", &json!({})).status, 403);
    gateway.create("pay/new", "value");
    gateway.finish();
}

#[test]
fn what_is_suggested_for_one_takes_the_place_of_its_own_and_leaves_the_others_theirs() {
    let corp = Issuer::new("corp");
    let gateway = trail(&corp);
    let said = suggest(&gateway, &json!({"Principal": "user/corp/ann"}));
    let least = suggested(&said, "documents/least-user-corp-ann.json");
    let text = least["Text"].as_str().unwrap();
    assert!(text.contains("*/pay/db") && text.contains("*/shop/db") && !text.contains("pay/key"), "{text}");
    assert_eq!((&least["Accesses"], &least["Principal"]), (&json!(4), &json!("user/corp/ann")));
    assert_eq!(least["Keeps"], json!([{"Document": "team", "To": ["group/local/team"]}]));
    assert_eq!(of(&said, "Suggested").len(), 2, "the document and its attachment: {said:#?}");
    assert!(of(&said, "Unused").is_empty(), "the group is not hers alone: {said:#?}");
    let record = gateway.records().into_iter().rfind(|record| record["action"] == "cam:SuggestPolicies").unwrap();
    assert_eq!(record["parameters"]["principal"], json!("user/corp/ann"));

    go_live(&gateway, &said);
    read(&gateway, &corp, "ann", &[], "pay/db").ok();
    read(&gateway, &corp, "ann", &[], "shop/db").ok();
    assert_eq!(read(&gateway, &corp, "ann", &[], "pay/key").status, 403);
    read(&gateway, &corp, "bob", &["ops"], "pay/other").ok();
    let ann = corp.token_of("ann", &[], &[], 600);
    gateway.call(&ann, "DescribeSecret", &json!({"SecretName": "pay/other"})).ok();
    // What was allowed by what was live then is decided again, and comes to what is live now.
    let again = suggest(&gateway, &json!({"Principal": "user/corp/ann"}));
    assert_eq!(again.last().unwrap()["DeniedNow"], json!(0));
    gateway.finish();
}

/// An access of before an edit counts for the statement that allows it now, and one that is denied now for none.
#[test]
fn what_was_allowed_by_an_earlier_set_is_counted_by_what_is_live() {
    let corp = Issuer::new("corp");
    let gateway = trail(&corp);
    let shop = Policies::default()
        .allow("wide", &["ssm:Get*"], "qcs::ssm:::secret/creatorUin/*/shop/*")
        .attach("wide", &["user/corp/ann"]);
    gateway.set_policies(&shop);
    let said = suggest(&gateway, &json!({"Principal": "user/corp/ann"}));
    let text = suggested(&said, "documents/least-user-corp-ann.json")["Text"].as_str().unwrap().to_owned();
    assert!(text.contains("*/shop/db") && !text.contains("pay/"), "{text}");
    let totals = said.last().unwrap();
    assert_eq!((&totals["Accesses"], &totals["DeniedNow"]), (&json!(1), &json!(3)));
    gateway.finish();
}

/// A document that would be too long when it is divided: it is named with the reason, and the others are suggested all the same.
#[test]
fn many_suggestions_are_compared_all_together() {
    let corp = Issuer::new("corp");
    let names: Vec<String> = (0..101).map(|number| format!("idle-{number}")).collect();
    let wide = Policies::default().allow("wide", &["ssm:*"], "*").attach("wide", &["user/corp/ann"]);
    let policies = names
        .iter()
        .fold(wide, |policies, name| policies.allow(name, &["ssm:*"], "*").attach(name, &["user/corp/eve"]));
    let gateway = TestGateway::builder().issuer(&corp, "").policies(policies).start();
    gateway.create("pay/db", "value");
    read(&gateway, &corp, "ann", &[], "pay/db").ok();
    // What the test itself does as the admin is in the trail, too.
    assert!(!gateway.records().is_empty() && gateway.revision().is_string());
    let said = suggest(&gateway, &json!({}));
    let (suggested, withheld) = (of(&said, "Suggested"), of(&said, "Withheld"));
    let documents: Vec<_> = suggested.iter().filter(|line| line["Suggested"] != "attachments.json").collect();
    assert!(documents.len() > 100 && withheld.is_empty(), "{}, {withheld:#?}", documents.len());
    for document in documents {
        let why = document["NotCompared"].as_str().unwrap_or_default();
        assert!(document["TakesAway"].is_null() && why.ends_with("only all together are compared"), "{document}");
    }
    go_live(&gateway, &said);
    read(&gateway, &corp, "ann", &[], "pay/db").ok();
    gateway.finish();
}

#[test]
fn what_would_not_load_is_withheld_with_the_reason() {
    let corp = Issuer::new("corp");
    let elsewhere = (0..250).map(|number| format!("10.0.{number}.0/24"));
    let ranges: Vec<String> = elsewhere.chain(["127.0.0.0/8".to_owned()]).collect();
    let long = json!({"effect": "allow", "action": ["ssm:GetSecretValue", "ssm:DescribeSecret"], "resource": "*",
        "condition": {"ip_equal": {"qcs:ip": ranges}}});
    let policies = Policies::default().document("long", &long).attach("long", &["user/corp/ann"]);
    let gateway = TestGateway::builder().issuer(&corp, "").policies(policies).start();
    gateway.create("pay/db", "value");
    gateway.create("pay/key", "value");
    read(&gateway, &corp, "ann", &[], "pay/db").ok();
    let ann = corp.token_of("ann", &[], &[], 600);
    gateway.call(&ann, "DescribeSecret", &json!({"SecretName": "pay/key"})).ok();
    let said = suggest(&gateway, &json!({}));
    let withheld = of(&said, "Withheld");
    assert_eq!(withheld.len(), 1, "{said:#?}");
    assert_eq!(withheld[0]["Withheld"], json!("documents/long.json"));
    assert!(withheld[0]["Reason"].as_str().unwrap().contains("PolicyDocumentLengthOverLimit"), "{withheld:?}");
    assert_eq!(suggested(&said, "documents/demo-read.json")["Text"], Value::Null);
    gateway.finish();
}

#[test]
fn whoever_may_not_is_denied_and_what_is_no_question_is_refused_and_of_no_records_nothing_is_said() {
    let corp = Issuer::new("corp");
    let gateway = trail(&corp);
    let denied = gateway.call(&corp.token_of("ann", &[], &[], 600), "SuggestPolicies", &json!({}));
    assert_eq!((denied.status, denied.code()), (403, "UnauthorizedOperation"));
    assert_eq!(gateway.record_of(&denied)["action"], json!("cam:SuggestPolicies"));
    for bad in ["ann", "group/corp/ops", "role/corp/lead", "service/ssm", "role/local/SSM_QCSRole", "everyone"] {
        let refused = gateway.call(gateway.admin(), "SuggestPolicies", &json!({"Principal": bad}));
        assert_eq!((refused.status, refused.code()), (400, "InvalidParameterValue"), "{bad}: {refused:?}");
    }
    let none = suggest(&gateway, &json!({"StartTime": 4_000_000_000_u64}));
    assert_eq!(none.len(), 1, "{none:#?}");
    assert_eq!((&none[0]["Records"], &none[0]["Days"], &none[0]["Suggestions"]), (&json!(0), &json!(0), &json!(0)));
    // Of whoever did nothing, what is attached is not needed.
    let idle = suggest(&gateway, &json!({"Principal": "user/corp/eve"}));
    assert_eq!(suggested(&idle, "documents/least-user-corp-eve.json")["Text"], Value::Null);
    let stranger = suggest(&gateway, &json!({"Principal": "user/corp/nobody"}));
    assert!(of(&stranger, "Suggested").is_empty(), "{stranger:#?}");
    gateway.finish();
}

#[test]
fn the_command_shows_and_writes_a_folder_that_the_other_verbs_take() {
    let corp = Issuer::new("corp");
    let gateway = trail(&corp);
    let dir = gateway.installation().dir().to_owned();
    let keyward = |arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).current_dir(&dir).stdin(Stdio::null());
        command.env("KEYWARD_ADDR", format!("http://{}", gateway.address())).env("KEYWARD_TOKEN", gateway.admin());
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    };
    let (code, shown, said) = keyward(&["policy", "suggest", "--since", "1d", "--write", "next"]);
    assert_eq!(code, 0, "{shown}{said}");
    for part in
        ["documents/wide.json: takes", "Nobody used:", "ssm:GetSecretValue", "wrote `next`", "1 day(s)", "year's end"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(dir.join("next/waivers.json").exists() && !dir.join("next/documents/idle.json").exists());
    let (code, checked, said) = keyward(&["policy", "check", "next"]);
    assert_eq!(code, 0, "{checked}{said}");
    let (code, changes, said) = keyward(&["policy", "diff", "--no-new-access", "policies", "next"]);
    assert_eq!(code, 0, "{changes}{said}");
    assert!(changes.contains("loses") && !changes.contains("gains"), "{changes}");
    let (code, replayed, said) = keyward(&["--output", "json", "policy", "replay", "--policies", "next"]);
    // What was asked for the suggestions was not in the trail that they were made of, so nothing of them allows it.
    assert_eq!(code, 4, "{replayed}{said}");
    let flips: Vec<Value> = replayed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let flipped: Vec<&Value> = flips.iter().map(|flip| &flip["action"]).collect();
    assert_eq!(flipped, ["cam:SuggestPolicies"], "{replayed}");
    let (code, _, said) = keyward(&["policy", "suggest", "--write", "next"]);
    assert!(code == 2 && said.contains("`next` is there already"), "{said}");
    let (code, _, said) = keyward(&["policy", "suggest", "--write", "again", "--policies", "next"]);
    assert!(code == 1 && said.contains("is not what is live"), "{said}");
    assert!(!Path::new(&dir).join("again").exists());
    let (code, rows, _) = keyward(&["--output", "json", "policy", "suggest", "--principal", "user/corp/ann"]);
    assert_eq!(code, 0);
    assert!(rows.lines().all(|line| serde_json::from_str::<Value>(line).unwrap().get("Read").is_none()), "{rows}");
    assert!(rows.lines().next().unwrap().contains("documents/least-user-corp-ann.json"), "{rows}");
    let (code, _, said) = keyward(&["policy", "suggest", "--principal", "group/corp/ops"]);
    assert!(code == 1 && said.contains("it is a user"), "{code} {said}");

    let (code, warned, said) = keyward(&["policy", "check", "--used"]);
    assert_eq!(code, 0, "{warned}{said}");
    assert!(warned.contains("W21 WiderThanUsed: `ssm:*`: it was used for `ssm:GetSecretValue`"), "{warned}");
    let (code, silent, _) = keyward(&["policy", "check", "--used", "--since", "2090-01-01"]);
    assert!(code == 0 && !silent.contains("W21"), "{silent}");
    gateway.finish();
}
