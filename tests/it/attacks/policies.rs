//! D: policies through the folder and the door. The language itself is tested beside its code.

use super::{check_denied, check_done, read, shape};
use crate::gateway::{TestGateway, wait_for};
use crate::installation::{Policies, put};
use crate::token::Issuer;
use serde_json::{Value, json};
use std::fs;

#[test]
fn attack_d01_a_deny_wins_in_every_order() {
    let one = "qcs::ssm:::secret/creatorUin/*/team/db";
    let on =
        |effect: &str, resource: &str| json!({"effect": effect, "action": "ssm:GetSecretValue", "resource": resource});
    let policies = Policies::default()
        .document("a-deny", &on("deny", "*"))
        .document("b-allow", &on("allow", one))
        .document("c-deny", &on("deny", one))
        .group("team", &["user/corp/both", "user/corp/late"])
        .attach("a-deny", &["user/corp/before", "user/corp/late", "group/corp/g"])
        .attach("b-allow", &["user/corp/before", "user/corp/after", "group/local/team", "user/corp/bounded"])
        .attach("c-deny", &["user/corp/after"])
        .bound("c-deny", &["user/corp/bounded"]);
    let corp = Issuer::new("corp");
    let gateway = TestGateway::builder().issuer(&corp, "groups = \"required\"").policies(policies).start();
    gateway.create("team/db", "v");
    let of = |sub: &str, groups: &[&str]| read(&gateway, &corp.token_of(sub, groups, &[], 60), "team/db");
    let denied = [
        ("a broad deny before", of("before", &[])),
        ("a narrow deny after", of("after", &[])),
        ("an allow by a group", of("late", &[])),
        ("a deny by a token's group", of("both", &["a", "g", "z"])),
    ];
    let (bounded, allowed) = (of("bounded", &[]), of("both", &[]));
    let export = gateway.export();
    for (what, reply) in &denied {
        check_denied(&export, what, reply, "explicit_deny");
    }
    assert_eq!((bounded.status, bounded.code()), (403, "UnauthorizedOperation"));
    let boundary = export.record_of(&bounded)["policy"]["layers"].clone();
    let boundary = boundary.as_array().unwrap().iter().find(|layer| layer["layer"] == "boundary").cloned();
    assert_eq!(boundary.unwrap()["effect"], "deny");
    check_done(&export, "the allow alone", &allowed);
    assert_eq!(export.record_of(&allowed)["policy"]["layers"][0]["document"], "b-allow");
    gateway.finish();
}

#[test]
fn attack_d02_nobody_is_allowed_anything_by_no_policy() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "s3cret");
    let stranger = gateway.token("stranger", &["g"], &["r"], 60);
    let unattached = read(&gateway, &stranger, "demo/db");
    gateway.set_policies(&Policies::default().group("empty", &[]));
    let still = read(&gateway, &stranger, "demo/db");
    let export = gateway.export();
    for reply in [&unattached, &still] {
        check_denied(&export, "unattached", reply, "default_deny");
        let layers = &export.record_of(reply)["policy"]["layers"];
        assert_eq!(layers, &json!([{"effect": "deny", "layer": "identity"}]));
    }
    gateway.finish();
}

/// What a folder may not hold: a file of it and its bytes.
fn bad_files() -> Vec<(&'static str, Vec<u8>)> {
    let document = |statement: &str| format!("{{\"version\":\"2.0\",\"statement\":[{statement}]}}").into_bytes();
    let allow = r#"{"effect":"allow","action":"ssm:GetSecretValue","resource":"*"}"#;
    let bad = "documents/bad.json";
    let mut files: Vec<(&str, Vec<u8>)> = ["Deny", "DENY", " deny", "forbid", ""]
        .map(|effect| (bad, document(&allow.replace("\"allow\"", &format!("\"{effect}\"")))))
        .into();
    files.extend([
        (bad, document(&allow.replace("\"effect\":\"allow\",", ""))),
        (bad, document(&allow.replace("GetSecretValue", "GetSecretValu"))),
        (bad, document(&allow.replace("ssm:", "smm:"))),
        (bad, document(&allow.replace('}', ",\"principal\":\"*\"}"))),
        (bad, document(&allow.replacen('{', "{\"effect\":\"deny\",", 1))),
        (bad, document(&allow.replace("\"*\"", "\"qcs::ssm:gz::secret/creatorUin/*/a\""))),
        (bad, document(&allow.replace("\"*\"", "\"qcs::ssm:::secret/creatorUin/*/../a\""))),
        (bad, document(&allow.replace('}', ",\"condition\":{\"string_matches\":{\"qcs:ip\":\"a\"}}}"))),
        (bad, document(&allow.replace('}', ",\"condition\":{\"ip_equal\":{\"qcs:ip\":\"10.0.0.0/33\"}}}"))),
        (bad, [b"\xef\xbb\xbf", document(allow).as_slice()].concat()),
        (bad, [document(allow).as_slice(), b","].concat()),
        (bad, format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)).into_bytes()),
        (bad, b"{".to_vec()),
        (bad, Vec::new()),
        ("documents/Bad name.json", document(allow)),
        ("documents/bad.txt", document(allow)),
        ("model.conf", b"[matchers]\nm = true\n".to_vec()),
        ("roles/one.json", br#"{"version":"2.0","statement":[]}"#.to_vec()),
    ]);
    let attachments = |policy: &str, to: &str| {
        json!({"version": 1, "groups": {}, "attachments": [{"policy": policy, "to": [to]}], "boundaries": []})
            .to_string()
            .into_bytes()
    };
    files.extend([
        ("attachments.json", attachments("no-such", "everyone")),
        ("attachments.json", attachments("../x", "everyone")),
        ("attachments.json", attachments("dev-admin ", "everyone")),
        ("attachments.json", attachments("Dev-admin", "everyone")),
        ("attachments.json", attachments("dev-admin", "group/local/no-such")),
        ("attachments.json", attachments("dev-admin", "user/elsewhere/x")),
        ("attachments.json", attachments("dev-admin", "issuer/elsewhere")),
        ("attachments.json", attachments("dev-admin", "Everyone")),
    ]);
    files
}

#[test]
fn attack_d03_d04_d06_d12_a_folder_that_is_not_understood_is_refused_whole_and_the_old_set_serves() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "s3cret");
    let (app, stranger) = (gateway.issuer().token("app"), gateway.issuer().token("stranger"));
    let folder = gateway.installation().path("policies");
    let attachments = gateway.installation().read("policies/attachments.json");
    let revision = gateway.revision();
    let mut replies = Vec::new();
    for (file, bytes) in bad_files() {
        let path = folder.join(file);
        put(&path, &bytes);
        gateway.signal("HUP");
        let what = format!("{file}: {}", String::from_utf8_lossy(&bytes).chars().take(120).collect::<String>());
        wait_for(&format!("to be refused: {what}"), || (gateway.get("/readyz").status == 503).then_some(()));
        assert_eq!(gateway.get("/readyz").body["reasons"], json!(["policy_refused"]));
        let checked = gateway.installation().run(&["policy", "check"]);
        assert_eq!(checked.code, 4, "{what}: {}{}", checked.out, checked.err);
        assert!(checked.out.contains(file.split('/').next_back().unwrap()), "{what}: {}", checked.out);
        replies.push((what, read(&gateway, &app, "demo/db"), read(&gateway, &stranger, "demo/db")));
        if file == "attachments.json" {
            put(&path, attachments.as_bytes());
        } else {
            fs::remove_file(&path).unwrap();
        }
        gateway.signal("HUP");
        wait_for("the folder to be good again", || (gateway.get("/readyz").status == 200).then_some(()));
    }
    let export = gateway.export();
    for (what, app, stranger) in &replies {
        check_done(&export, what, app);
        check_denied(&export, what, stranger, "default_deny");
        for reply in [app, stranger] {
            assert_eq!(export.record_of(reply)["policy"]["revision"], revision, "{what}");
        }
    }
    let refusals = |record: &&Value| record["parameters"]["event"] == "policy_refused";
    assert_eq!(export.records.iter().filter(refusals).count(), replies.len(), "each refusal is recorded once");
    gateway.finish();
}

#[test]
fn attack_d09_an_issuers_names_are_its_own() {
    let other = Issuer::new("other");
    let policies = Policies::default()
        .allow("reads", &["ssm:GetSecretValue"], "*")
        .attach("reads", &["user/corp/alice", "group/corp/team", "role/corp/batch", "group/local/team"])
        .group("team", &["user/corp/bob"]);
    let builder = TestGateway::builder().issuer(&Issuer::new("corp"), "").issuer(&other, "");
    let gateway = builder.policies(policies).start();
    gateway.create("demo/db", "s3cret");
    let spelt = [
        other.token_of("alice", &[], &[], 60),
        other.token_of("user/corp/alice", &[], &[], 60),
        other.token_of("x", &["team", "group/corp/team", "corp/team"], &[], 60),
        other.token_of("x", &["local/team", "group/local/team"], &["batch", "role/corp/batch"], 60),
        other.token_of("bob", &["admin"], &["user/dev/admin"], 60),
    ];
    let replies = spelt.map(|token| read(&gateway, &token, "demo/db"));
    let export = gateway.export();
    for reply in &replies {
        check_denied(&export, "a name of another issuer", reply, "default_deny");
        let record = export.record_of(reply);
        assert!(record["principal"].as_str().unwrap().starts_with("user/other/"), "{record}");
    }
    gateway.finish();
}

#[test]
fn attack_d12_a_deny_on_groups_that_a_token_may_leave_out_is_refused() {
    let installation = TestGateway::builder().issuer(&Issuer::new("corp"), "").install();
    let deny = json!({"effect": "deny", "action": "*", "resource": "*"});
    let on = |target: &str| Policies::default().document("no", &deny).attach("no", &[target]);
    for policies in
        [on("group/corp/contractors"), Policies::default().document("no", &deny).bound("no", &["group/corp/c"])]
    {
        policies.write(&installation.path("policies"));
        let ran = installation.run(&["policy", "check"]);
        assert_eq!(ran.code, 4, "{}", ran.out);
        assert!(ran.out.contains("attachments.json:"), "{}", ran.out);
    }
    // With nothing good stored yet there is nothing to serve: it does not start.
    let ran = installation.run(&["serve"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("attachments.json"), "{}", ran.err);
    // On the caller itself it is fine; a token group that nobody knows is simply nobody.
    on("user/corp/mallory").attach("dev-admin", &["group/corp/unheard-of"]).write(&installation.path("policies"));
    let gateway = TestGateway::of(installation);
    gateway.finish();
}

#[test]
fn attack_d13_a_missing_secret_is_denied_as_one_of_another_creator() {
    let statement = |effect: &str, condition: Value| json!({"effect": effect, "action": "ssm:*", "resource": "*", "condition": condition});
    let own = json!({"string_equal": {"qcs:create_uin": "${uin}"}});
    let tagged = json!({"for_any_value:string_equal": {"qcs:resource_tag": "team&pay"}});
    let policies = Policies::default()
        .document("own", &statement("allow", own.clone()))
        .document("tagged", &statement("allow", tagged.clone()))
        .allow("all", &["ssm:*"], "*")
        .document("not-own", &statement("deny", json!({"string_not_equal": {"qcs:create_uin": "1"}})))
        .document("not-tagged", &statement("deny", tagged))
        .attach("own", &["user/dev/allow-own"])
        .attach("tagged", &["user/dev/allow-tagged"])
        .attach("all", &["user/dev/deny-creator", "user/dev/deny-tagged"])
        .attach("not-own", &["user/dev/deny-creator"])
        .attach("not-tagged", &["user/dev/deny-tagged"]);
    let gateway = TestGateway::builder().policies(policies).start();
    let callers = ["allow-own", "allow-tagged", "deny-creator", "deny-tagged"];
    let tokens = callers.map(|sub| gateway.issuer().token(sub));
    let ask = || tokens.each_ref().map(|token| read(&gateway, token, "team/db"));
    let absent = ask();
    let tags = json!([{"TagKey": "team", "TagValue": "other"}]);
    let create = json!({"SecretName": "team/db", "SecretString": "v", "Tags": tags});
    gateway.call(gateway.admin(), "CreateSecret", &create).ok();
    let present = ask();
    let export = gateway.export();
    for ((caller, absent), present) in callers.iter().zip(&absent).zip(&present) {
        let record = export.record_of(absent);
        assert_eq!(absent.status, 403, "{caller}: {}", absent.body);
        assert!(record["resource"].as_str().unwrap().contains("/creatorUin/*/team/db"), "{caller}");
        assert_eq!(record["context"]["unknown"], json!(["creator", "tags"]), "{caller}");
        if *caller != "deny-tagged" {
            assert_eq!(shape(absent), shape(present), "{caller}");
        }
    }
    assert_eq!(present[3].status, 200, "a secret without the denied tag: {}", present[3].body);
    gateway.finish();
}
