//! The trail against a folder that is not live: `keyward policy replay`, and ReplayPolicies behind it.

use crate::gateway::TestGateway;
use crate::installation::{PROGRAM, Policies};
use crate::token::Issuer;
use crate::wire::Reply;
use crate::within::{Within, code};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Who reads what in the trail.
fn trail(corp: &Issuer) -> (TestGateway, Policies) {
    let policies = Policies::default()
        .allow("read", &["ssm:GetSecretValue", "ssm:DescribeSecret"], "*")
        .attach("read", &["user/corp/ann", "group/corp/ops"]);
    let gateway = TestGateway::builder().issuer(corp, "").policies(policies.clone()).start();
    for name in ["pay/db", "pay/key", "shop/db"] {
        gateway.create(name, "value");
    }
    let read = |sub: &str, groups: &[&str], name: &str| {
        gateway.call(&corp.token_of(sub, groups, &[], 600), "GetSecretValue", &json!({"SecretName": name}))
    };
    for _ in 0..3 {
        read("ann", &[], "pay/db").ok();
    }
    read("ann", &[], "shop/db").ok();
    read("bob", &["ops"], "pay/key").ok();
    for _ in 0..2 {
        assert_eq!(read("eve", &[], "pay/db").status, 403);
    }
    (gateway, policies)
}

/// The lines of an answer that are not about how far it is.
fn lines(reply: &Reply) -> Vec<Value> {
    let lines = reply.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let lines = lines.map(|line| serde_json::from_slice::<Value>(line).unwrap());
    lines.filter(|line| line.get("Read").is_none()).collect()
}

fn copied(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copied(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A folder as parameters.
fn asked(folder: &Path) -> Value {
    let mut files = Vec::new();
    for kind in ["documents", "roles"] {
        for entry in std::fs::read_dir(folder.join(kind)).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = format!("{kind}/{}", path.file_name().unwrap().to_str().unwrap());
            files.push(json!({"Path": name, "Text": std::fs::read_to_string(&path).unwrap()}));
        }
    }
    let attachments = std::fs::read_to_string(folder.join("attachments.json")).unwrap();
    files.push(json!({"Path": "attachments.json", "Text": attachments}));
    json!({"Files": files})
}

fn replay(gateway: &TestGateway, question: &Value) -> Vec<Value> {
    lines(&gateway.call(gateway.admin(), "ReplayPolicies", question).ok())
}

/// Flips as (would, principal, action, name) with their count.
fn flips(lines: &[Value]) -> BTreeMap<(String, String, String, String), u64> {
    let text = |line: &Value, field: &str| line[field].as_str().unwrap_or("").to_owned();
    let flips = lines.iter().filter(|line| line.get("Would").is_some());
    flips
        .map(|line| {
            let name = text(line, "Resource")
                .rsplit_once("creatorUin/")
                .map_or(String::new(), |(_, rest)| rest.split_once('/').map_or("", |(_, name)| name).to_owned());
            (
                (text(line, "Would"), text(line, "Principal"), text(line, "Action"), name),
                line["Count"].as_u64().unwrap(),
            )
        })
        .collect()
}

#[test]
fn i04_a_replay_under_the_live_folder_flips_nothing() {
    let corp = Issuer::new("corp");
    let (gateway, _) = trail(&corp);
    let folder = gateway.installation().path("policies");
    let said = replay(&gateway, &asked(&folder));
    assert_eq!(flips(&said).len(), 0, "{said:?}");
    let totals = said.last().unwrap();
    assert_eq!((&totals["Flipped"], &totals["UndecidableTotal"]), (&json!(0), &json!(0)));
    let records = gateway.records();
    let decided = records.iter().filter(|record| record["decision"] != Value::Null && record["policy"] != Value::Null);
    let used = records.iter().filter(|record| record["parameters"]["kms"] != Value::Null);
    // The replay's own record came after what it looked at.
    let expected = decided.count() + used.count() - 1;
    assert_eq!(totals["Decisions"].as_u64().unwrap(), expected as u64);
    assert!(totals["Distinct"].as_u64().unwrap() < expected as u64, "what is alike is decided once");
    let own = records.iter().rfind(|record| record["action"] == "cam:ReplayPolicies").unwrap();
    assert_eq!(own["parameters"]["proposed"], own["policy"]["revision"], "the same folder is the same revision");
    gateway.finish();
}

#[test]
fn each_decision_that_comes_out_otherwise_is_told_and_nothing_else() {
    let corp = Issuer::new("corp");
    let (gateway, _) = trail(&corp);
    let proposed = Policies::default()
        .allow("read", &["ssm:GetSecretValue"], "qcs::ssm:::secret/creatorUin/*/pay/*")
        .attach("read", &["user/corp/ann", "user/corp/eve"]);
    let folder = gateway.installation().dir().join("proposed");
    copied(&gateway.installation().path("policies"), &folder);
    proposed.write(&folder);
    let before = gateway.revision();
    let said = replay(&gateway, &asked(&folder));
    let flip = |would: &str, who: &str, name: &str| {
        (would.to_owned(), format!("user/corp/{who}"), "ssm:GetSecretValue".to_owned(), name.to_owned())
    };
    let expected = BTreeMap::from([
        (flip("allow", "eve", "pay/db"), 2),
        (flip("deny", "ann", "shop/db"), 1),
        (flip("deny", "bob", "pay/key"), 1),
    ]);
    assert_eq!(flips(&said), expected);
    assert_eq!(said[0]["Would"], json!("allow"), "what is won stands first");
    assert_eq!(gateway.revision(), before, "nothing went live");
    // Of nothing at all, nothing is undecidable; from a time that is yet to come there is nothing.
    let mut later = asked(&folder);
    later["StartTime"] = json!(4_000_000_000_u64);
    let none = replay(&gateway, &later);
    assert_eq!((none.len(), &none[0]["Records"]), (1, &json!(0)));
    gateway.finish();
}

/// Alike but for what the folder reads: the tags that the secret had at the time.
#[test]
fn requests_that_differ_in_what_the_folder_reads_are_decided_apart() {
    let corp = Issuer::new("corp");
    let (gateway, policies) = trail(&corp);
    let ann = corp.token_of("ann", &[], &[], 600);
    let read = || gateway.call(&ann, "GetSecretValue", &json!({"SecretName": "pay/db"})).ok();
    gateway
        .call(
            gateway.admin(),
            "TagResource",
            &json!({"SecretName": "pay/db", "Tags": [{"TagKey": "env", "TagValue": "prod"}]}),
        )
        .ok();
    let tagged = [read(), read()];
    gateway.call(gateway.admin(), "UntagResource", &json!({"SecretName": "pay/db", "TagKeys": ["env"]})).ok();
    read();
    let deny = json!({"effect": "deny", "action": "ssm:GetSecretValue", "resource": "*",
        "condition": {"for_any_value:string_equal": {"qcs:resource_tag": "env&prod"}}});
    let folder = gateway.installation().dir().join("proposed");
    copied(&gateway.installation().path("policies"), &folder);
    policies.document("no-prod", &deny).attach("no-prod", &["user/corp/ann"]).write(&folder);
    let said = replay(&gateway, &asked(&folder));
    let told: Vec<(&Value, &Value)> = said
        .iter()
        .filter(|line| line.get("Would").is_some())
        .map(|line| (&line["Count"], &line["LastIndex"]))
        .collect();
    let last: u64 = tagged[1].header("keyward-audit-index").unwrap().parse().unwrap();
    assert_eq!(told, [(&json!(2), &json!(last))]);
    gateway.finish();
}

#[test]
fn the_gateways_own_use_of_keys_is_among_the_flips() {
    let corp = Issuer::new("corp");
    let (gateway, _) = trail(&corp);
    let mut question = asked(&gateway.installation().path("policies"));
    let attachments = question["Files"].as_array_mut().unwrap().last_mut().unwrap();
    let mut cut: Value = serde_json::from_str(attachments["Text"].as_str().unwrap()).unwrap();
    cut["attachments"].as_array_mut().unwrap().retain(|one| one["policy"] != "QcloudAccessForSSMRole");
    attachments["Text"] = json!(cut.to_string());
    let said = replay(&gateway, &question);
    let engine: Vec<&Value> = said.iter().filter(|line| line["Principal"] == "role/local/SSM_QCSRole").collect();
    let count = |action: &str| {
        engine.iter().filter(|line| line["Action"] == action).map(|line| line["Count"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((count("kms:Decrypt"), count("kms:GenerateDataKey")), (5, 3));
    assert!(engine.iter().all(|line| line["Would"] == "deny"));
    gateway.finish();
}

#[test]
fn a_folder_that_does_not_load_is_refused_by_its_findings_and_whoever_may_not_is_denied() {
    let corp = Issuer::new("corp");
    let (gateway, _) = trail(&corp);
    let bad = json!({"Files": [{"Path": "documents/a.json", "Text": "{\"version\":\"1.0\"}"}]});
    let refused = gateway.call(gateway.admin(), "ReplayPolicies", &bad);
    assert_eq!((refused.status, refused.code()), (400, "InvalidParameterValue"));
    assert!(
        refused.message().contains("documents/a.json:1:") && refused.message().contains("VersionError"),
        "{refused:?}"
    );
    let denied = gateway.call(&corp.token_of("ann", &[], &[], 600), "ReplayPolicies", &json!({"Files": []}));
    assert_eq!((denied.status, denied.code()), (403, "UnauthorizedOperation"));
    assert_eq!(gateway.record_of(&denied)["action"], json!("cam:ReplayPolicies"));
    gateway.finish();
}

#[test]
fn the_trail_is_gone_over_for_one_at_a_time_and_whoever_comes_meanwhile_is_told_and_recorded() {
    let corp = Issuer::new("corp");
    let (gateway, _) = trail(&corp);
    let admin = gateway.admin().to_owned();
    let question = asked(&gateway.installation().path("policies"));
    let within = Within::open(gateway.stop()).unwrap();
    let live = json!({"Revision": within.gateway.policies().live().set.revision()});
    let all = [("ReplayPolicies", &question), ("SuggestPolicies", &json!({})), ("ListShadowDecisions", &live)];
    for (first, parameters) in all {
        let under_way = within.ask(&admin, first, parameters);
        assert_eq!(code(&under_way), "ok", "{first}");
        for (second, parameters) in all {
            assert_eq!(code(&within.ask(&admin, second, parameters)), "FailedOperation", "{second} beside {first}");
        }
    }
    let records = within.records();
    let of = |record: &&Value| all.iter().any(|(action, _)| record["action"] == json!(format!("cam:{action}")));
    let said: Vec<_> = records.iter().filter(of).map(|record| [&record["outcome"], &record["reason"]]).collect();
    let (ok, refused) = ([&json!("ok"), &Value::Null], [&json!("failed"), &json!("FailedOperation")]);
    assert_eq!(said, [ok, refused, refused, refused].repeat(all.len()));
}

#[test]
fn the_command_shows_flips_takes_those_that_are_meant_and_writes_a_report() {
    let corp = Issuer::new("corp");
    let (gateway, _) = trail(&corp);
    let folder = gateway.installation().dir().join("proposed");
    copied(&gateway.installation().path("policies"), &folder);
    Policies::default().write(&folder);
    let keyward = |arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).args(["policy", "replay", "--policies"]).arg(&folder);
        command.env("KEYWARD_ADDR", format!("http://{}", gateway.address())).env("KEYWARD_TOKEN", gateway.admin());
        command.current_dir(gateway.installation().dir()).stdin(Stdio::null());
        command
    };
    let ran = |command: &mut Command| {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    };
    let (code, table, said) = ran(&mut keyward(&[]));
    assert_eq!(code, 4, "{table}{said}");
    assert!(
        table.contains("user/corp/ann") && table.contains("in 3 flip(s)") && said.contains("3 flip(s)"),
        "{table}{said}"
    );
    let (code, flips, _) = ran(&mut keyward(&["--output", "json"]));
    assert_eq!((code, flips.lines().count()), (4, 3));
    let first: Value = serde_json::from_str(flips.lines().next().unwrap()).unwrap();
    for field in ["principal", "action", "resource", "was", "would", "count", "last"] {
        assert!(first.get(field).is_some(), "{field}: {first}");
    }
    assert!(first["last"].is_u64(), "epoch seconds, as everywhere: {first}");
    assert!(table.contains("Z"), "{table}");
    let file = gateway.installation().path("flips.jsonl");
    std::fs::write(&file, &flips).unwrap();
    let page = gateway.installation().path("report.html");
    let (code, _, said) = ran(keyward(&[]).arg("--accept").arg(&file).arg("--html").arg(&page).args(["--since", "1d"]));
    assert_eq!(code, 0, "{said}");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("user/corp/bob") && page.contains("<svg"));
    std::fs::write(&file, flips.lines().next().unwrap()).unwrap();
    let (code, _, said) = ran(keyward(&[]).arg("--accept").arg(&file));
    assert_eq!(code, 4);
    assert!(said.contains("2 flip(s) that `--accept` does not have, of 3"), "{said}");
    std::fs::write(&file, "{}").unwrap();
    assert_eq!(ran(keyward(&[]).arg("--accept").arg(&file)).0, 2);
    gateway.finish();
}
