//! The conformance tables of `policies/README.md`, each row decided by the engine and by the naive evaluator, and
//! `policies/conformance/load.json`: what loads, and with which code the rest is refused.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::reference::Reference;
use super::{
    Caller, Context, CredentialForm, Decision, IssuerRule, PolicyFile, PolicySet, Question, Settings, Target, Verdict,
};
use crate::actions::{ConditionKey, by_name};
use crate::principal::Principal;
use crate::resource::{CreatorNumber, Place, SecretName};

fn settings() -> Settings {
    let issuer = |name: &str, groups_required| IssuerRule {
        name: name.to_owned(),
        groups_required,
    };
    Settings {
        place: Place {
            region: "ap-guangzhou".to_owned(),
            account: "1".to_owned(),
        },
        issuers: vec![issuer("corp", true), issuer("dev", false)],
        foreign_services: vec!["cos".to_owned()],
        document_characters_max: 6_144,
    }
}

fn file(path: &str, text: impl ToString) -> PolicyFile {
    PolicyFile {
        path: path.to_owned(),
        bytes: text.to_string().into_bytes(),
    }
}

fn document(statements: Value) -> Value {
    json!({"version": "2.0", "statement": statements})
}

/// One policy `p` for everyone.
fn folder(statements: Value) -> Vec<PolicyFile> {
    let attachments = json!({"version": 1, "attachments": [{"policy": "p", "to": ["everyone"]}]});
    vec![
        file("attachments.json", attachments),
        file("documents/p.json", document(statements)),
    ]
}

/// What both evaluators answer; they must agree.
fn decided(files: &[PolicyFile], question: &Question<'_>) -> Decision {
    let engine = PolicySet::load(files, &settings()).unwrap_or_else(|found| panic!("{found:?}\n{files:?}"));
    let decision = engine.decide(question);
    assert_eq!(
        decision,
        Reference::read(files, &settings()).decide(question),
        "{question:?}"
    );
    decision
}

fn allowed(files: &[PolicyFile], question: &Question<'_>) -> bool {
    decided(files, question).outcome == Verdict::Allow
}

fn principal(text: &str) -> Principal {
    Principal::parse(text).expect("a principal")
}

fn caller(principal: &Principal, creator: u64) -> Caller<'_> {
    Caller {
        principal,
        groups: &[],
        roles: &[],
        restricted: &[],
        creator: CreatorNumber::new(creator).expect("a creator"),
        form: CredentialForm::Token,
    }
}

// Conditions. A row: the condition; then contexts with their results. A context changes the usual one: an empty text
// takes a key away, `rt` lists tags.

type Changes = &'static [(&'static str, &'static str)];

const CREATED_7: Changes = &[("qcs:create_uin", "7")];
const CREATED_8: Changes = &[("qcs:create_uin", "8")];
const CREATED_9: Changes = &[("qcs:create_uin", "9")];
const NO_CREATOR: Changes = &[("qcs:create_uin", "")];
const USUAL: Changes = &[];

const CONDITIONS: &[(&str, &[(Changes, bool)])] = &[
    (
        r#"{"string_equal":{"qcs:create_uin":["7","8"]}}"#,
        &[(CREATED_8, true), (CREATED_9, false), (NO_CREATOR, false)],
    ),
    (
        r#"{"string_not_equal":{"qcs:create_uin":["7","8"]}}"#,
        &[(CREATED_8, false), (CREATED_9, true), (NO_CREATOR, false)],
    ),
    (
        r#"{"string_equal_if_exist":{"qcs:create_uin":"7"}}"#,
        &[(CREATED_7, true), (CREATED_9, false), (NO_CREATOR, true)],
    ),
    (
        r#"{"string_not_equal_if_exist":{"qcs:create_uin":"7"}}"#,
        &[(CREATED_7, false), (CREATED_9, true), (NO_CREATOR, true)],
    ),
    (
        r#"{"string_equal":{"qcs:create_uin":"${uin}"}}"#,
        &[(CREATED_7, true), (CREATED_9, false), (NO_CREATOR, false)],
    ),
    (
        r#"{"string_not_equal":{"qcs:create_uin":"${uin}"}}"#,
        &[(CREATED_7, false), (CREATED_9, true), (NO_CREATOR, false)],
    ),
    (
        r#"{"string_not_equal_if_exist":{"qcs:create_uin":"${uin}"}}"#,
        &[(CREATED_7, false), (CREATED_9, true), (NO_CREATOR, true)],
    ),
    (r#"{"string_like":{"qcs:uin":"*"}}"#, &[(USUAL, true)]),
    (r#"{"null_equal":{"qcs:uin":"true"}}"#, &[(USUAL, false)]),
    (
        r#"{"null_equal":{"qcs:create_uin":"true"}}"#,
        &[(NO_CREATOR, true), (CREATED_7, false)],
    ),
    (
        r#"{"null_equal":{"qcs:create_uin":"false"}}"#,
        &[(NO_CREATOR, false), (CREATED_7, true)],
    ),
    (
        r#"{"for_any_value:string_equal":{"qcs:resource_tag":["env&prod","env&dev"]}}"#,
        &[
            (&[("rt", "env&dev team&a")], true),
            (&[("rt", "team&a")], false),
            (&[("rt", "")], false),
        ],
    ),
    (
        r#"{"for_all_value:string_equal":{"qcs:resource_tag":["env&prod","env&dev"]}}"#,
        &[
            (&[("rt", "env&dev")], true),
            (&[("rt", "env&dev team&a")], false),
            (&[("rt", "")], false),
        ],
    ),
    (
        r#"{"for_all_value:string_equal_if_exist":{"qcs:resource_tag":["env&prod","env&dev"]}}"#,
        &[(&[("rt", "")], true), (&[("rt", "team&a")], false)],
    ),
    (
        r#"{"for_any_value:string_not_equal":{"qcs:resource_tag":"env&prod"}}"#,
        &[
            (&[("rt", "env&prod")], false),
            (&[("rt", "env&prod team&a")], true),
            (&[("rt", "")], false),
        ],
    ),
    (
        r#"{"for_all_value:string_not_equal":{"qcs:resource_tag":"env&prod"}}"#,
        &[
            (&[("rt", "team&a")], true),
            (&[("rt", "env&prod team&a")], false),
            (&[("rt", "")], false),
        ],
    ),
    (
        r#"{"for_any_value:string_like":{"qcs:resource_tag":"env&pr?d"}}"#,
        &[
            (&[("rt", "env&prod")], true),
            (&[("rt", "env&prood")], false),
            (&[("rt", "ENV&prod")], false),
            (&[("rt", "team&a")], false),
            (&[("rt", "")], false),
        ],
    ),
    (
        r#"{"for_any_value:string_like":{"qcs:resource_tag":"*&a"}}"#,
        &[
            (&[("rt", "env&prod")], false),
            (&[("rt", "env&prood")], false),
            (&[("rt", "ENV&prod")], false),
            (&[("rt", "team&a")], true),
            (&[("rt", "")], false),
        ],
    ),
    (
        r#"{"for_any_value:string_like":{"qcs:resource_tag":"*"}}"#,
        &[
            (&[("rt", "env&prod")], true),
            (&[("rt", "env&prood")], true),
            (&[("rt", "ENV&prod")], true),
            (&[("rt", "team&a")], true),
            (&[("rt", "")], false),
        ],
    ),
    (
        r#"{"for_any_value:string_equal_ignore_case":{"qcs:resource_tag":"ENV&prod"}}"#,
        &[(&[("rt", "env&PROD")], true), (&[("rt", "env&dev")], false)],
    ),
    (
        r#"{"ip_equal":{"qcs:ip":"10.1.2.99/24"}}"#,
        &[
            (USUAL, true),
            (&[("qcs:ip", "::ffff:10.1.2.3")], true),
            (&[("qcs:ip", "10.1.3.3")], false),
            (&[("qcs:ip", "2001:db8::1")], false),
            (&[("qcs:ip", "")], false),
        ],
    ),
    (
        r#"{"ip_not_equal":{"qcs:ip":["10.1.2.0/24","10.1.3.0/24"]}}"#,
        &[
            (&[("qcs:ip", "10.1.3.9")], false),
            (&[("qcs:ip", "10.1.4.1")], true),
            (&[("qcs:ip", "2001:db8::1")], true),
            (&[("qcs:ip", "")], false),
        ],
    ),
    (
        r#"{"ip_equal":{"qcs:ip":"2001:db8::/32"}}"#,
        &[(&[("qcs:ip", "2001:db8::1")], true), (USUAL, false)],
    ),
    (
        r#"{"date_equal":{"qcs:current_time":"2026-06-01 00:00:00"}}"#,
        &[(USUAL, true)],
    ),
    (
        r#"{"date_equal":{"qcs:current_time":"2026-06-01T 00:00:00Z"}}"#,
        &[(USUAL, true)],
    ),
    (
        r#"{"date_equal":{"qcs:current_time":"2026-06-01T08:00:00+08:00"}}"#,
        &[(USUAL, true)],
    ),
    (
        r#"{"date_less_than":{"qcs:current_time":"2026-06-01T00:00:00Z"}}"#,
        &[(USUAL, false)],
    ),
    (
        r#"{"date_less_than_equal":{"qcs:current_time":"2026-06-01T00:00:00Z"}}"#,
        &[(USUAL, true)],
    ),
    (
        r#"{"date_greater_than":{"qcs:current_time":"2026-06-01T00:00:00Z"}}"#,
        &[(USUAL, false)],
    ),
    (
        r#"{"date_not_equal":{"qcs:current_time":["2026-06-01T00:00:00Z","2027-01-01T00:00:00Z"]}}"#,
        &[(USUAL, false)],
    ),
    (
        r#"{"numeric_less_than":{"keyward:recovery_window":7}}"#,
        &[
            (&[("keyward:recovery_window", "0")], true),
            (&[("keyward:recovery_window", "7")], false),
            (&[("keyward:recovery_window", "")], false),
        ],
    ),
    (
        r#"{"bool_equal":{"keyward:secure_transport":"true"}}"#,
        &[
            (&[("keyward:secure_transport", "true")], true),
            (&[("keyward:secure_transport", "false")], false),
        ],
    ),
    (
        r#"{"bool_equal":{"keyward:secure_transport":false}}"#,
        &[
            (&[("keyward:secure_transport", "true")], false),
            (&[("keyward:secure_transport", "false")], true),
        ],
    ),
    (
        r#"{"string_equal":{"qcs:uin":"7","qcs:owner_uin":"1"},"ip_equal":{"qcs:ip":"10.0.0.0/8"}}"#,
        &[
            (USUAL, true),
            (&[("qcs:ip", "11.0.0.1")], false),
            (&[("qcs:uin", "8")], false),
        ],
    ),
];

fn context(changes: Changes) -> Context {
    let usual = [
        ("qcs:current_time", "2026-06-01T00:00:00Z"),
        ("qcs:ip", "10.1.2.3"),
        ("qcs:uin", "7"),
        ("qcs:owner_uin", "1"),
        ("qcs:create_uin", "7"),
        ("keyward:door", "native"),
        ("keyward:secure_transport", "true"),
        ("keyward:recovery_window", "0"),
    ];
    let mut values = BTreeMap::new();
    for (name, value) in usual.iter().chain(changes) {
        let key = ConditionKey::parse(if *name == "rt" { "qcs:resource_tag" } else { name }).expect("a key");
        let list: Vec<String> = value
            .split(' ')
            .filter(|one| !one.is_empty())
            .map(str::to_owned)
            .collect();
        if list.is_empty() {
            values.remove(&key);
        } else {
            values.insert(key, list);
        }
    }
    Context { values }
}

#[test]
fn conditions_hold_as_the_conformance_table_says() {
    let someone = principal("user/corp/a");
    let name = SecretName::parse("db").expect("a name");
    for (condition, results) in CONDITIONS {
        let condition: Value = serde_json::from_str(condition).expect("JSON");
        let as_allow = folder(json!([{"effect": "allow", "action": "*", "resource": "*", "condition": condition}]));
        let as_deny = folder(json!([{"effect": "allow", "action": "*", "resource": "*"},
                                    {"effect": "deny", "action": "*", "resource": "*", "condition": condition}]));
        for (changes, holds) in *results {
            let context = context(changes);
            let uin: u64 = context.values[&ConditionKey::Uin][0].parse().expect("a number");
            let creator = context
                .values
                .get(&ConditionKey::CreateUin)
                .map_or("7", |list| &list[0]);
            let question = Question {
                caller: caller(&someone, uin),
                action: by_name("DeleteSecret").expect("an action"),
                target: Target::Secret {
                    creator: CreatorNumber::new(creator.parse().expect("a number")),
                    name: &name,
                },
                context: &context,
                session_policy: None,
            };
            assert_eq!(
                allowed(&as_allow, &question),
                *holds,
                "allow if {condition} with {changes:?}"
            );
            assert_eq!(
                allowed(&as_deny, &question),
                !*holds,
                "deny if {condition} with {changes:?}"
            );
        }
    }
}

// Who, how: a credential, what a grant or a limit hangs on, and whether its allow counts. Denies and boundaries count
// in every row but those marked `Never`.

#[derive(Clone, Copy, Debug, PartialEq)]
enum Counts {
    Full,
    RestrictsOnly,
    Never,
}

const WHO: &[(&str, &str, Counts)] = &[
    ("token", "user/corp/a", Counts::Full),
    ("token", "group/corp/x", Counts::Full),
    ("token", "role/corp/p", Counts::Full),
    ("token", "issuer/corp", Counts::Full),
    ("token", "everyone", Counts::Full),
    ("token", "group/local/y", Counts::Full),
    ("token", "group/local/through-token-group", Counts::Full),
    ("token", "group/corp/other", Counts::Never),
    ("token", "issuer/dev", Counts::Never),
    ("access key", "group/corp/x", Counts::RestrictsOnly),
    ("access key", "role/corp/p", Counts::RestrictsOnly),
    ("access key", "user/corp/a", Counts::Full),
    ("access key", "group/local/y", Counts::Full),
    ("access key", "issuer/corp", Counts::Full),
    ("access key", "everyone", Counts::Full),
    ("access key", "group/local/through-token-group", Counts::RestrictsOnly),
    ("access key", "group/local/around-token-group", Counts::RestrictsOnly),
    ("session", "role/local/r", Counts::Full),
    ("session", "group/local/z", Counts::Full),
    ("session", "everyone", Counts::Full),
    ("session", "group/corp/x", Counts::RestrictsOnly),
    ("session", "issuer/corp", Counts::RestrictsOnly),
    ("session", "user/corp/a", Counts::Never),
    ("service", "service/ssm", Counts::Full),
    ("service", "everyone", Counts::Never),
];

fn who_folder(target: &str, how: &str) -> Vec<PolicyFile> {
    let groups = json!({
        "y": ["user/corp/a"], "z": ["role/local/r"],
        "through-token-group": ["group/corp/x"], "around-token-group": ["group/local/through-token-group"],
    });
    let hung = json!([{"policy": how, "to": [target]}]);
    let all = json!({"policy": "allow", "to": ["everyone", "service/ssm"]});
    let sections = match how {
        "allow" => json!({"version": 1, "groups": groups, "attachments": hung}),
        "deny" => json!({"version": 1, "groups": groups, "attachments": [hung[0], all]}),
        _ => json!({"version": 1, "groups": groups, "attachments": [all], "boundaries": hung}),
    };
    let one = |effect: &str, action: &str| document(json!([{"effect": effect, "action": action, "resource": "*"}]));
    vec![
        file("attachments.json", sections),
        file("documents/allow.json", one("allow", "*")),
        file("documents/deny.json", one("deny", "ssm:GetSecretValue")),
        file("documents/boundary.json", one("allow", "ssm:ListSecrets")),
        file(
            "roles/r.json",
            json!({"version": "2.0", "statement": [{"effect": "allow", "action": "name/sts:AssumeRole",
                   "principal": {"qcs": ["user/corp/a"]}}]}),
        ),
    ]
}

#[test]
fn grants_and_limits_count_by_credential_as_the_conformance_table_says() {
    let name = SecretName::parse("db").expect("a name");
    let context = context(USUAL);
    let (groups, roles) = (vec![principal("group/corp/x")], vec![principal("role/corp/p")]);
    let kept = [groups.clone(), roles.clone()].concat();
    let session = CredentialForm::Session {
        assumed_issuer: Some("corp"),
    };
    for (credential, target, counts) in WHO {
        let (who, groups, roles, restricted, form) = match *credential {
            "token" => ("user/corp/a", &groups[..], &roles[..], &[][..], CredentialForm::Token),
            "access key" => ("user/corp/a", &[][..], &[][..], &kept[..], CredentialForm::AccessKey),
            "session" => ("role/local/r", &[][..], &[][..], &kept[..], session),
            _ => ("service/ssm", &[][..], &[][..], &[][..], CredentialForm::Token),
        };
        let who = principal(who);
        let question = Question {
            caller: Caller {
                groups,
                roles,
                restricted,
                form,
                ..caller(&who, 7)
            },
            action: by_name("GetSecretValue").expect("an action"),
            target: Target::Secret {
                creator: CreatorNumber::new(7),
                name: &name,
            },
            context: &context,
            session_policy: None,
        };
        let row = format!("{credential}, {target}");
        assert_eq!(
            allowed(&who_folder(target, "allow"), &question),
            *counts == Counts::Full,
            "allow: {row}"
        );
        assert_eq!(
            allowed(&who_folder(target, "deny"), &question),
            *counts == Counts::Never,
            "deny: {row}"
        );
        assert_eq!(
            allowed(&who_folder(target, "boundary"), &question),
            *counts == Counts::Never,
            "boundary: {row}"
        );
    }
}

// Resources: a pattern; an action; creator (-1: the secret does not exist) and name, or nothing at operation level;
// whether an allow matches and whether a deny does. `None` where the statement does not load.

type Row = (
    &'static str,
    &'static str,
    Option<(i64, &'static str)>,
    Option<bool>,
    Option<bool>,
);

const YES: Option<bool> = Some(true);
const NO: Option<bool> = Some(false);

const RESOURCES: &[Row] = &[
    ("*", "GetSecretValue", Some((8, "a/b")), YES, YES),
    ("qcs:::::*", "GetSecretValue", Some((8, "a/b")), YES, YES),
    ("qcs:id/0:ssm:::secret/*", "GetSecretValue", Some((8, "a/b")), YES, YES),
    (
        "qcs::ssm:ap-guangzhou:uin/1:secret/creatorUin/*/prod/*",
        "GetSecretValue",
        Some((7, "prod/db")),
        YES,
        YES,
    ),
    (
        "qcs::ssm:ap-guangzhou:uin/1:secret/creatorUin/*/prod/*",
        "GetSecretValue",
        Some((7, "prod")),
        NO,
        NO,
    ),
    (
        "qcs::ssm:ap-guangzhou:uin/1:secret/creatorUin/*/prod/*",
        "GetSecretValue",
        Some((7, "dev/prod/db")),
        NO,
        NO,
    ),
    (
        "qcs::ssm:ap-guangzhou:uin/1:secret/creatorUin/*/prod/*",
        "GetSecretValue",
        Some((-1, "prod/db")),
        YES,
        YES,
    ),
    (
        "qcs::ssm:::secret/creatorUin/7/*-db",
        "GetSecretValue",
        Some((7, "a/b-db")),
        YES,
        YES,
    ),
    (
        "qcs::ssm:::secret/creatorUin/7/*-db",
        "GetSecretValue",
        Some((8, "a-db")),
        NO,
        NO,
    ),
    (
        "qcs::ssm:::secret/creatorUin/7/*-db",
        "GetSecretValue",
        Some((7, "a-DB")),
        NO,
        NO,
    ),
    (
        "qcs::ssm:::secret/creatorUin/7/*-db",
        "GetSecretValue",
        Some((-1, "a-db")),
        NO,
        YES,
    ),
    (
        "qcs::ssm:::secret/creatorUin/7/*-db",
        "GetSecretValue",
        Some((-1, "a-DB")),
        NO,
        NO,
    ),
    (
        "qcs::ssm:::secret/creatorUin/8/*",
        "CreateSecret",
        Some((7, "a")),
        NO,
        NO,
    ),
    (
        "qcs::ssm:::secret/creatorUin/*/*",
        "CreateSecret",
        Some((7, "a")),
        YES,
        YES,
    ),
    (
        "qcs::ssm:::secret/creatorUin/${uin}/*",
        "GetSecretValue",
        Some((7, "a")),
        YES,
        YES,
    ),
    (
        "qcs::ssm:::secret/creatorUin/${uin}/*",
        "GetSecretValue",
        Some((70, "a")),
        NO,
        NO,
    ),
    (
        "qcs::ssm:::secret/creatorUin/${uin}/*",
        "CreateSecret",
        Some((7, "a")),
        YES,
        YES,
    ),
    (
        "qcs::ssm:::secret/creatorUin/${uin}/*",
        "GetSecretValue",
        Some((-1, "a")),
        NO,
        YES,
    ),
    (
        "qcs::ssm:::secret/creatorUin/*",
        "GetSecretValue",
        Some((-1, "a")),
        YES,
        YES,
    ),
    ("qcs::ssm:ap-guangzhou::*", "ListSecrets", None, None, YES),
    ("qcs::ssm:ap-guangzhou::*", "GetSecretValue", Some((7, "a")), YES, YES),
    ("*", "ListSecrets", None, YES, YES),
    (
        "qcs::ssm:::secret/creatorUin/*/a",
        "SearchRecords",
        Some((7, "a")),
        YES,
        YES,
    ),
    ("qcs::ssm:::secret/creatorUin/*/a", "SearchRecords", None, NO, NO),
];

#[test]
fn resources_match_as_the_conformance_table_says() {
    let someone = principal("user/corp/a");
    for (pattern, action, secret, allow, deny) in RESOURCES {
        let name = SecretName::parse(secret.map_or("none", |(_, name)| name)).expect("a name");
        let target = match secret {
            None => Target::Operation,
            Some((number, _)) => Target::Secret {
                creator: u64::try_from(*number).ok().and_then(CreatorNumber::new),
                name: &name,
            },
        };
        let context = context(NO_CREATOR);
        let action = by_name(action).expect("an action");
        let question = Question {
            caller: caller(&someone, 7),
            action,
            target,
            context: &context,
            session_policy: None,
        };
        let statement = |effect: &str| json!({"effect": effect, "action": action.full_name(), "resource": pattern});
        let any = json!({"effect": "allow", "action": "*", "resource": "*"});
        if let Some(matches) = allow {
            let files = folder(json!([statement("allow")]));
            assert_eq!(allowed(&files, &question), *matches, "allow {pattern}: {question:?}");
        }
        if let Some(matches) = deny {
            let files = folder(json!([any, statement("deny")]));
            assert_eq!(allowed(&files, &question), !*matches, "deny {pattern}: {question:?}");
        }
    }
}

/// A deny on what no request may know of a missing secret holds in that part; an allow does not.
#[test]
fn i05_a_condition_on_a_missing_secrets_creator_or_tags_fails_in_an_allow_and_holds_in_a_deny() {
    let someone = principal("user/corp/a");
    let name = SecretName::parse("db").expect("a name");
    let context = context(NO_CREATOR);
    let question = Question {
        caller: caller(&someone, 7),
        action: by_name("GetSecretValue").expect("an action"),
        target: Target::Secret {
            creator: None,
            name: &name,
        },
        context: &context,
        session_policy: None,
    };
    for condition in [
        json!({"string_equal": {"qcs:create_uin": "7"}}),
        json!({"string_not_equal_if_exist": {"qcs:create_uin": "7"}}),
        json!({"null_equal": {"qcs:create_uin": "true"}}),
        json!({"for_any_value:string_equal": {"qcs:resource_tag": "env&prod"}}),
        json!({"for_all_value:string_not_like_if_exist": {"qcs:resource_tag": "*"}}),
        json!({"null_equal": {"qcs:resource_tag": false}}),
    ] {
        let statement =
            |effect: &str| json!({"effect": effect, "action": "*", "resource": "*", "condition": condition});
        let any = json!({"effect": "allow", "action": "*", "resource": "*"});
        assert!(
            !allowed(&folder(json!([statement("allow")])), &question),
            "allow {condition}"
        );
        assert!(
            !allowed(&folder(json!([any, statement("deny")])), &question),
            "deny {condition}"
        );
    }
    let elsewhere = json!([{"effect": "allow", "action": "*", "resource": "*"},
        {"effect": "deny", "action": "*", "resource": "*",
         "condition": {"string_equal": {"qcs:create_uin": "7"}, "ip_equal": {"qcs:ip": "11.0.0.0/8"}}}]);
    assert!(
        allowed(&folder(elsewhere), &question),
        "the deny's other part does not hold"
    );
}

// Load checks.

const LOAD: &str = include_str!("../../policies/conformance/load.json");
const PLAIN: &str =
    r#"{"version":"2.0","statement":[{"effect":"allow","action":"ssm:GetSecretValue","resource":"*"}]}"#;

fn load_files(row: &Value) -> Vec<PolicyFile> {
    let text = |name: &str| row.get(name).and_then(Value::as_str);
    let document = match text("statement") {
        Some(statement) => format!(r#"{{"version":"2.0","statement":[{statement}]}}"#),
        None => text("document").unwrap_or(PLAIN).to_owned(),
    };
    let attachments = text("attachments").unwrap_or(r#"{"version":1,"attachments":[]}"#);
    vec![
        file("attachments.json", attachments),
        file("documents/p.json", document),
    ]
}

#[test]
fn documents_load_or_are_refused_with_the_codes_of_the_conformance_table() {
    let rows: Vec<Value> = serde_json::from_str(LOAD).expect("the table is JSON");
    let mut wrong = Vec::new();
    for row in &rows {
        let found = PolicySet::load(&load_files(row), &settings()).err().unwrap_or_default();
        let codes: Vec<&str> = found.iter().map(|finding| finding.code.name()).collect();
        let as_expected = match row["code"].as_str() {
            None => codes.is_empty(),
            Some(code) => codes.contains(&code),
        };
        if !as_expected {
            wrong.push(format!(
                "{} {}: expected {}, found {found:?}",
                row["case"], row["what"], row["code"]
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} rows:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
}

#[test]
fn a_documents_size_is_counted_without_white_space() {
    let with = |resources: usize, spaces: usize| {
        let resource = |at| format!("qcs::ssm:::secret/creatorUin/*/prod/{at:04}");
        let list: Vec<String> = (0..resources).map(resource).collect();
        let text = document(json!([{"effect": "allow", "action": "ssm:GetSecretValue", "resource": list}])).to_string();
        let files = [
            file("attachments.json", r#"{"version":1}"#),
            file("documents/p.json", format!("{text}{}", " ".repeat(spaces))),
        ];
        let found = PolicySet::load(&files, &settings()).err().unwrap_or_default();
        found.iter().map(|finding| finding.code.name()).collect::<Vec<_>>()
    };
    assert!(with(1, 7_000).is_empty());
    assert!(with(130, 0).is_empty());
    assert_eq!(with(160, 0), ["PolicyDocumentLengthOverLimit"]);
}
