//! A policy set in the shadow: it decides beside the live one, records say where it differs, and no answer changes.

use crate::gateway::{TestGateway, wait_for};
use crate::installation::{Installation, PROGRAM, Policies};
use crate::token::Issuer;
use crate::wire::Reply;
use serde_json::{Value, json};
use std::process::{Command, Output};

/// Ann and the ops read everything; eve nothing.
fn live() -> Policies {
    Policies::default()
        .allow("read", &["ssm:GetSecretValue", "ssm:DescribeSecret"], "*")
        .attach("read", &["user/corp/ann", "group/corp/ops"])
}

/// Ann and eve read what is below `pay/`, and nobody else anything.
fn candidate() -> Policies {
    Policies::default()
        .allow("read", &["ssm:GetSecretValue", "ssm:DescribeSecret"], "qcs::ssm:::secret/creatorUin/*/pay/*")
        .attach("read", &["user/corp/ann", "user/corp/eve"])
}

/// A folder like the one that `init` wrote, with these policies.
fn write(installation: &Installation, name: &str, policies: &Policies) {
    let (from, to) = (installation.path("policies"), installation.path(name));
    let copied = Command::new("cp").arg("-rT").args([&from, &to]).status().unwrap();
    assert!(copied.success());
    policies.write(&to);
}

fn start(corp: &Issuer, shadow: &Policies) -> TestGateway {
    let installation = TestGateway::builder().issuer(corp, "").policies(live()).set("policy.shadow", "next").install();
    write(&installation, "next", shadow);
    let gateway = TestGateway::of(installation);
    for name in ["pay/db", "shop/db"] {
        gateway.create(name, "value");
    }
    gateway
}

fn read(gateway: &TestGateway, corp: &Issuer, sub: &str, name: &str) -> (u16, Value) {
    let groups: &[&str] = if sub == "bob" { &["ops"] } else { &[] };
    let token = corp.token_of(sub, groups, &[], 600);
    let reply = asked(gateway, &token, name);
    (reply.status, gateway.record_of(&reply))
}

/// The answer to a read; a machine that is busy with other tests may need more than the 250 ms that a record gets.
fn asked(gateway: &TestGateway, token: &str, name: &str) -> Reply {
    wait_for(name, || {
        let reply = gateway.call(token, "GetSecretValue", &json!({"SecretName": name}));
        (reply.status != 503).then_some(reply)
    })
}

fn events<'a>(records: &'a [Value], event: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["parameters"]["event"] == event).collect()
}

/// The lines of ListShadowDecisions that are not about how far it is.
fn list(gateway: &TestGateway, question: &Value) -> Vec<Value> {
    let reply = gateway.call(gateway.admin(), "ListShadowDecisions", question).ok();
    let lines = reply.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let lines = lines.map(|line| serde_json::from_slice::<Value>(line).unwrap());
    lines.filter(|line| line.get("Read").is_none()).collect()
}

#[test]
fn i05_a_set_in_the_shadow_changes_no_answer_and_the_record_says_where_it_differs() {
    let corp = Issuer::new("corp");
    let gateway = start(&corp, &candidate());
    let expected = [
        ("ann", "pay/db", 200, Value::Null),
        ("ann", "shop/db", 200, json!("deny")),
        ("bob", "pay/db", 200, json!("deny")),
        ("eve", "pay/db", 403, json!("allow")),
        ("eve", "shop/db", 403, Value::Null),
    ];
    let records = gateway.records();
    let began = events(&records, "shadow_began");
    assert_eq!(began.len(), 1);
    let revision = &began[0]["parameters"]["shadow"];
    assert_eq!(began[0]["parameters"]["policy"], gateway.revision());
    for (sub, name, status, would) in &expected {
        let (answered, record) = read(&gateway, &corp, sub, name);
        assert_eq!(answered, *status, "{sub} {name}");
        let shadow = &record["policy"]["shadow"];
        assert_eq!(shadow["decision"], *would, "{sub} {name}");
        assert!(shadow.is_null() || shadow["revision"] == *revision);
    }
    // A call of several is several requests.
    let items = json!({"Secrets": [{"SecretName": "pay/db"}, {"SecretName": "shop/db"}]});
    let both = gateway.call(&corp.token_of("ann", &[], &[], 600), "BatchGetSecretValue", &items).ok();
    let request = &both.body["RequestId"];
    let records = gateway.records();
    let of_items = records.iter().filter(|record| record["request"] == *request);
    let shadows: Vec<&Value> = of_items.map(|record| &record["policy"]["shadow"]["decision"]).collect();
    assert_eq!(shadows.len(), 2);
    assert!(shadows.contains(&&Value::Null) && shadows.contains(&&json!("deny")));

    let metrics = String::from_utf8(gateway.get("/metrics").bytes.to_vec()).unwrap();
    let counted = |would: &str, count: u32| {
        let line = format!("keyward_policy_shadow_differs_total{{of=\"request\",would=\"{would}\"}} {count}");
        assert!(metrics.contains(&line), "{line}\n{metrics}");
    };
    counted("deny", 3);
    counted("allow", 1);

    // The trail says the same again, grouped; and is verified with what the shadow decided.
    let lines = list(&gateway, &json!({}));
    let (totals, flips) = lines.split_last().unwrap();
    assert_eq!((&totals["Flipped"], &totals["Shadow"], &totals["UndecidableTotal"]), (&json!(4), revision, &json!(0)));
    let told: Vec<_> = flips.iter().map(|flip| (&flip["Would"], &flip["Principal"], &flip["Count"])).collect();
    let (allow, deny) = (json!("allow"), json!("deny"));
    let [ann, bob, eve] = ["ann", "bob", "eve"].map(|sub| json!(format!("user/corp/{sub}")));
    assert_eq!(told, [(&allow, &eve, &json!(1)), (&deny, &ann, &json!(2)), (&deny, &bob, &json!(1))]);
    let other = list(&gateway, &json!({"Revision": gateway.revision()}));
    assert_eq!((other.len(), &other[0]["Flipped"]), (1, &json!(0)));
    let later = list(&gateway, &json!({"StartTime": 4_000_000_000_u64}));
    assert_eq!((later.len(), &later[0]["Records"]), (1, &json!(0)));
    let installation = gateway.stop();
    assert_eq!(installation.run(&["audit", "verify", "--decisions"]).code, 0);
}

#[test]
fn i05_a_set_in_the_shadow_that_cuts_the_gateway_from_its_keys_cuts_nothing() {
    let corp = Issuer::new("corp");
    let gateway = start(&corp, &live().without_service_grant());
    let (status, record) = read(&gateway, &corp, "ann", "pay/db");
    assert_eq!((status, &record["policy"]["shadow"]), (200, &Value::Null));
    let kms = &record["parameters"]["kms"];
    assert_eq!((&kms["shadow"]["decision"], &kms["reason"]), (&json!("deny"), &Value::Null));
    let lines = list(&gateway, &json!({}));
    let told: Vec<_> = lines.iter().filter(|line| line.get("Would").is_some()).collect();
    // The values were written under it, too.
    let uses = [("kms:Decrypt", 1), ("kms:GenerateDataKey", 2)];
    assert_eq!(told.len(), uses.len());
    for (line, (action, count)) in told.iter().zip(uses) {
        assert_eq!((&line["Principal"], &line["Action"]), (&json!("role/local/SSM_QCSRole"), &json!(action)));
        assert_eq!((&line["Would"], &line["Count"]), (&json!("deny"), &json!(count)));
    }
    let installation = gateway.stop();
    assert_eq!(installation.run(&["audit", "verify", "--decisions"]).code, 0);
}

#[test]
fn i05_what_the_record_has_no_room_for_is_left_out_before_an_answer_changes() {
    const CALLERS: usize = 40;
    let corp = Issuer::new("corp");
    let subs: Vec<String> = (0..CALLERS).map(|number| format!("user/corp/c{number}")).collect();
    let all: Vec<&str> = subs.iter().map(String::as_str).collect();
    let mut policies = live().attach("read", &all);
    for number in 0..50 {
        policies = policies.group(&format!("{number:0>102}"), &all);
    }
    // Each caller is in one group more than the one before, which makes its record some 40 bytes longer.
    for number in 0..CALLERS {
        policies = policies.group(&format!("more-{number:0>22}"), &all[number..]);
    }
    let builder = TestGateway::builder().issuer(&corp, "").policies(policies).set("policy.shadow", "next");
    let installation = builder.install();
    write(&installation, "next", &candidate());
    let gateway = TestGateway::of(installation);
    gateway.create("pay/db", "value");
    let mut seen = Vec::new();
    for number in 0..CALLERS {
        let token = corp.token_of(&format!("c{number}"), &[], &[], 600);
        let reply = asked(&gateway, &token, "pay/db");
        let record = gateway.record_of(&reply);
        seen.push((reply.status, record["policy"]["shadow"].is_object()));
        if reply.status != 200 {
            assert_eq!((reply.code(), &record["reason"]), ("RequestSizeLimitExceeded", &json!("record_too_large")));
        }
    }
    // With it, then without, and only then not at all: 122 bytes are two or three callers.
    let left_out = seen.iter().filter(|said| **said == (200, false)).count();
    assert!((2..=4).contains(&left_out), "{seen:?}");
    seen.dedup();
    assert_eq!(seen, [(200, true), (200, false), (413, false)]);
    gateway.finish();
}

#[test]
fn the_folder_in_the_shadow_is_watched_and_a_refused_one_leaves_everything_as_it_was() {
    let corp = Issuer::new("corp");
    let gateway = start(&corp, &candidate());
    let folder = gateway.installation().path("next");
    let first = read(&gateway, &corp, "eve", "pay/db").1["policy"]["shadow"]["revision"].clone();
    let attachments = std::fs::read(folder.join("attachments.json")).unwrap();
    std::fs::write(folder.join("attachments.json"), b"{").unwrap();
    let refused = wait_for("the refusal", || {
        let records = gateway.records();
        events(&records, "shadow_refused").first().map(|record| (*record).clone())
    });
    assert_eq!((&refused["outcome"], &refused["reason"]), (&json!("failed"), &json!("shadow_refused")));
    assert!(refused["parameters"]["cause"].as_str().unwrap().contains("attachments.json:1:"), "{refused}");
    // The gateway is as ready as before, and the set before it goes on.
    assert_eq!(gateway.get("/readyz").status, 200);
    let (status, record) = read(&gateway, &corp, "eve", "pay/db");
    assert_eq!((status, &record["policy"]["shadow"]["revision"]), (403, &first));
    // The live set in the shadow says nothing; its folder is said to be good.
    std::fs::write(folder.join("attachments.json"), attachments).unwrap();
    write(gateway.installation(), "next", &live());
    wait_for("another set", || {
        let shadow = read(&gateway, &corp, "eve", "pay/db").1["policy"]["shadow"].clone();
        shadow.is_null().then_some(())
    });
    // keyward.toml names another folder, then none.
    write(gateway.installation(), "other", &candidate());
    gateway.installation().set("policy.shadow", "other");
    gateway.signal("HUP");
    wait_for("the other folder", || {
        (read(&gateway, &corp, "eve", "pay/db").1["policy"]["shadow"]["revision"] == first).then_some(())
    });
    gateway.installation().set("policy.shadow", "");
    gateway.signal("HUP");
    wait_for("no folder", || {
        let records = gateway.records();
        (events(&records, "shadow_ended").len() == 1).then_some(())
    });
    assert_eq!(read(&gateway, &corp, "eve", "pay/db").1["policy"]["shadow"], Value::Null);
    // Without one there is nothing to list, unless a set is named.
    let reply = gateway.call(gateway.admin(), "ListShadowDecisions", &json!({}));
    assert_eq!((reply.status, reply.code()), (409, "FailedOperation"));
    assert!(list(&gateway, &json!({"Revision": first})).len() > 1);
    let records = gateway.records();
    let policies: Vec<&Value> = records.iter().filter(|record| record["kind"] == "policy_change").collect();
    assert_eq!(policies.len(), 1, "the live set never changed");
    gateway.finish();
}

#[test]
fn i11_what_the_shadow_decided_is_told_to_whoever_may_ask_and_that_is_recorded() {
    let corp = Issuer::new("corp");
    let gateway = start(&corp, &candidate());
    let denied = gateway.call(&corp.token_of("ann", &[], &[], 600), "ListShadowDecisions", &json!({}));
    assert_eq!((denied.status, denied.code()), (403, "UnauthorizedOperation"));
    assert_eq!(gateway.record_of(&denied)["action"], "cam:ListShadowDecisions");
    for wrong in [json!({"Revision": "live"}), json!({"Revision": 7}), json!({"StartTime": "x"}), json!({"Since": 1})] {
        assert_eq!(gateway.call(gateway.admin(), "ListShadowDecisions", &wrong).status, 400, "{wrong}");
    }
    list(&gateway, &json!({"StartTime": 5}));
    let records = gateway.records();
    let own = records.iter().rfind(|record| record["action"] == "cam:ListShadowDecisions").unwrap();
    let began = events(&records, "shadow_began");
    assert_eq!(own["parameters"]["shadow"], began[0]["parameters"]["shadow"]);
    assert_eq!(own["parameters"]["start_time"], json!(5));
    gateway.finish();
}

fn shadow(gateway: &TestGateway, arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command
        .env_clear()
        .env("KEYWARD_TOKEN", gateway.admin())
        .env("KEYWARD_ADDR", format!("http://{}", gateway.address()));
    command.args(["--output", "json", "policy", "shadow"]).args(arguments);
    command.current_dir(gateway.installation().dir()).output().unwrap()
}

#[test]
fn policy_shadow_lists_and_holds_what_is_meant() {
    let corp = Issuer::new("corp");
    let gateway = start(&corp, &candidate());
    read(&gateway, &corp, "eve", "pay/db");
    read(&gateway, &corp, "bob", "pay/db");
    let all = shadow(&gateway, &[]);
    assert_eq!(all.status.code(), Some(0), "{}", String::from_utf8_lossy(&all.stderr));
    let lines: Vec<&[u8]> = all.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 2);
    let meant = gateway.installation().dir().join("meant.jsonl");
    std::fs::write(&meant, lines[0]).unwrap();
    let held = shadow(&gateway, &["--accept", meant.to_str().unwrap()]);
    assert_eq!(held.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&held.stderr).contains("1 flip(s) that `--accept` does not have, of 2"));
    std::fs::write(&meant, &all.stdout).unwrap();
    assert_eq!(shadow(&gateway, &["--accept", meant.to_str().unwrap()]).status.code(), Some(0));
    gateway.finish();
}
