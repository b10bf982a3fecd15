use super::*;
use crate::authz::{PolicyFile, Settings};
use crate::resource::Place;
use keyward_audit::record::{Context as RecordContext, Kind};
use std::collections::BTreeSet;

const GRANT: &str = r#"{"effect":"allow","action":["kms:GenerateDataKey","kms:Decrypt"],"resource":"*"}"#;
const TRUST: &str = r#"{"effect":"allow","action":"name/sts:AssumeRole","principal":{"qcs":["service/ssm"]}}"#;
const ROLE: &str = "role/local/SSM_QCSRole";
const NOON: &str = "2026-06-01T12:00:00Z";

fn place() -> Place {
    Place { region: "local".to_owned(), account: "1".to_owned() }
}

fn statements(list: &str) -> Vec<u8> {
    format!(r#"{{"version":"2.0","statement":[{list}]}}"#).into_bytes()
}

/// A folder with these documents, attachments and boundaries (policy, to), and the role with these statements.
fn folder(documents: &[(&str, &str)], attached: &[(&str, &str)], bounds: &[(&str, &str)], trust: &str) -> PolicySet {
    let list = |all: &[(&str, &str)]| -> Vec<serde_json::Value> {
        all.iter().map(|(policy, to)| serde_json::json!({"policy": policy, "to": [to]})).collect()
    };
    let attachments = serde_json::json!({"version": 1, "attachments": list(attached), "boundaries": list(bounds)});
    let mut files =
        vec![PolicyFile { path: "attachments.json".to_owned(), bytes: attachments.to_string().into_bytes() }];
    if !trust.is_empty() {
        files.push(PolicyFile { path: "roles/SSM_QCSRole.json".to_owned(), bytes: statements(trust) });
    }
    for (name, text) in documents {
        files.push(PolicyFile { path: format!("documents/{name}.json"), bytes: statements(text) });
    }
    let settings = Settings {
        place: place(),
        issuers: Vec::new(),
        foreign_services: Vec::new(),
        document_characters_max: 6_144,
        catalogue: actions::CATALOGUE,
    };
    PolicySet::load(&files, &settings).unwrap()
}

fn user() -> KeyUser {
    KeyUser::new(CreatorNumber::new(9).unwrap())
}

/// Whether `set` lets both uses of `key` pass at noon, or why not: the same for both.
fn both(set: &PolicySet, key: &str) -> Option<&'static str> {
    let ask = |usage| user().ask(set, usage, key, &place(), NOON.to_owned()).refusal();
    assert_eq!(ask(Operation::Decrypt), ask(Operation::GenerateDataKey));
    ask(Operation::Decrypt)
}

#[test]
fn i05_a_key_is_used_by_the_grant_of_the_role_alone() {
    let granted = [("p", ROLE)];
    let deny = GRANT.replace("allow", "deny");
    let cases: [(&str, PolicySet, Option<&str>); 10] = [
        ("granted", folder(&[("p", GRANT)], &granted, &[], TRUST), None),
        ("no attachment", folder(&[("p", GRANT)], &[], &[], TRUST), Some("default_deny")),
        ("on the service", folder(&[("p", GRANT)], &[("p", "service/ssm")], &[], TRUST), Some("default_deny")),
        ("on everyone", folder(&[("p", GRANT)], &[("p", "everyone")], &[], TRUST), Some("default_deny")),
        (
            "a deny on the service",
            folder(&[("p", GRANT), ("d", &deny)], &[("p", ROLE), ("d", "service/ssm")], &[], TRUST),
            Some("explicit_deny"),
        ),
        (
            "a deny on the role",
            folder(&[("p", GRANT), ("d", &deny)], &[("p", ROLE), ("d", ROLE)], &[], TRUST),
            Some("explicit_deny"),
        ),
        (
            "a deny on everyone, who is somebody else",
            folder(&[("p", GRANT), ("d", &deny)], &[("p", ROLE), ("d", "everyone")], &[], TRUST),
            None,
        ),
        (
            "a boundary on the service that does not allow it",
            folder(
                &[("p", GRANT), ("b", r#"{"effect":"allow","action":"ssm:*","resource":"*"}"#)],
                &granted,
                &[("b", "service/ssm")],
                TRUST,
            ),
            Some("default_deny"),
        ),
        ("no role", folder(&[("p", GRANT)], &[], &[], ""), Some("role_missing")),
        (
            "nobody may take the role",
            folder(&[("p", GRANT)], &granted, &[], &TRUST.replace("ssm", "policy")),
            Some("role_not_trusted"),
        ),
    ];
    for (what, set, expected) in &cases {
        assert_eq!(both(set, "default"), *expected, "{what}");
    }
}

#[test]
fn i05_a_service_takes_its_role_by_a_statement_without_condition_that_no_deny_names_it_in() {
    let condition = r#","condition":{"date_less_than":{"qcs:current_time":"2030-01-01T00:00:00Z"}}}"#;
    let conditional = format!("{}{condition}", TRUST.strip_suffix('}').unwrap());
    let deny = conditional.replace("\"allow\"", "\"deny\"");
    let web = TRUST.replace("AssumeRole\"", "AssumeRoleWithWebIdentity\"");
    let refused = Some("role_not_trusted");
    for (trust, expected) in [
        (conditional.clone(), refused),
        (format!("{conditional},{TRUST}"), None),
        (format!("{TRUST},{deny}"), refused),
        (web, refused),
    ] {
        assert_eq!(both(&folder(&[("p", GRANT)], &[("p", ROLE)], &[], &trust), "default"), expected, "{trust}");
    }
}

#[test]
fn a_grant_may_name_its_keys() {
    let one = GRANT.replace("\"*\"}", "\"qcs::kms:::key/pay\"}");
    let set = folder(&[("p", &one)], &[("p", ROLE)], &[], TRUST);
    assert_eq!((both(&set, "pay"), both(&set, "default")), (None, Some("default_deny")));
}

fn window(before: &str) -> PolicySet {
    let condition = format!(r#","condition":{{"date_less_than":{{"qcs:current_time":"{before}"}}}}}}"#);
    let grant = format!("{}{condition}", GRANT.strip_suffix('}').unwrap());
    folder(&[("p", &grant)], &[("p", ROLE)], &[], TRUST)
}

#[test]
fn what_depends_on_no_condition_is_decided_once_for_each_key_and_anything_else_each_time() {
    let count = |set: &PolicySet| {
        let grants = KeyGrants::of(set);
        let mut asked = 0;
        for key in ["a", "a", "b", "a", "b"] {
            for usage in [Operation::Decrypt, Operation::GenerateDataKey] {
                let ruling = grants.ruling(usage, key, || {
                    asked += 1;
                    user().ask(set, usage, key, &place(), NOON.to_owned())
                });
                assert_eq!(*ruling, user().ask(set, usage, key, &place(), NOON.to_owned()));
            }
        }
        asked
    };
    assert_eq!(count(&folder(&[("p", GRANT)], &[("p", ROLE)], &[], TRUST)), 4);
    assert_eq!(count(&folder(&[("p", GRANT)], &[], &[], TRUST)), 4);
    assert_eq!(count(&window("2026-06-01T13:00:00Z")), 10);
    let elsewhere =
        r#"{"effect":"allow","action":"ssm:*","resource":"*","condition":{"ip_equal":{"qcs:ip":"10.0.0.0/8"}}}"#;
    let mixed = folder(&[("p", &format!("{GRANT},{elsewhere}"))], &[("p", ROLE)], &[], TRUST);
    assert_eq!(count(&mixed), 4, "a condition on other actions is none of this one");
    let bound = GRANT.replace("}", r#","condition":{"bool_equal":{"keyward:secure_transport":"true"}}}"#);
    let bounded = folder(&[("p", GRANT), ("b", &bound)], &[("p", ROLE)], &[("b", "service/ssm")], TRUST);
    assert_eq!(count(&bounded), 10, "a condition of a boundary is one");
}

#[test]
fn what_could_not_be_decided_is_asked_again() {
    let set = folder(&[("p", GRANT)], &[("p", ROLE)], &[], TRUST);
    let grants = KeyGrants::of(&set);
    let set = set.panicking();
    let ask = || user().ask(&set, Operation::Decrypt, "default", &place(), NOON.to_owned());
    assert_eq!(grants.ruling(Operation::Decrypt, "default", ask).refusal(), Some("policy_error"));
    let mut again = false;
    grants.ruling(Operation::Decrypt, "default", || {
        again = true;
        ask()
    });
    assert!(again);
}

/// A record of a read at noon with this `kms`.
fn record(action: &str, kms: Option<Value>) -> Draft {
    let mut draft = Draft::new(Kind::Access, action, "native", "r");
    draft.context = Some(RecordContext::default());
    if let Some(context) = &mut draft.context {
        context.conditions.insert("qcs:current_time".to_owned(), BTreeSet::from([NOON.to_owned()]));
    }
    draft.parameters.extend(kms.map(|kms| (PARAMETER.to_owned(), kms)));
    draft
}

#[test]
fn i04_the_use_of_a_key_is_decided_again_from_its_record() {
    let uin = CreatorNumber::new(9).unwrap();
    let open = window("2026-06-01T13:00:00Z");
    let closed = window("2026-06-01T11:00:00Z");
    let of = |set: &PolicySet| user().ask(set, Operation::Decrypt, "default", &place(), NOON.to_owned());
    for (set, other) in [(&open, &closed), (&closed, &open)] {
        let draft = record("ssm:GetSecretValue", Some(Value::Object(of(set).written("default", uin))));
        assert_eq!(differs(&draft, set, &place()).unwrap(), None);
        assert!(differs(&draft, other, &place()).unwrap().is_some());
    }
    assert_eq!(differs(&record("ssm:GetSecretValue", None), &closed, &place()).unwrap(), None);
    // Which use it was follows from the action.
    let seal_only = GRANT.replace(",\"kms:Decrypt\"", "");
    let seal_only = folder(&[("p", &seal_only)], &[("p", ROLE)], &[], TRUST);
    let granted = Ruling::Decided(Decision { outcome: Verdict::Allow, layers: Vec::new() }).written("default", uin);
    let granted = Value::Object(granted);
    let differs_in = |action| differs(&record(action, Some(granted.clone())), &seal_only, &place()).unwrap().is_some();
    assert_eq!((differs_in("ssm:PutSecretValue"), differs_in("ssm:GetSecretValue")), (false, true));
    // What lacks a part is not passed over.
    for kms in [Value::from("default"), Value::Object(Parameters::new())] {
        assert!(differs(&record("ssm:GetSecretValue", Some(kms)), &open, &place()).is_err());
    }
}
