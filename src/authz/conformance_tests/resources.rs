//! Resources: a pattern; an action; creator (-1: the secret does not exist) and name, or nothing at operation level;
//! whether an allow matches and whether a deny does. `None` where the statement does not load.

use serde_json::json;

use super::{NO_CREATOR, allowed, caller, context, folder, principal};
use crate::actions::by_name;
use crate::authz::{Question, Target};
use crate::resource::{CreatorNumber, SecretName};

type Row = (&'static str, &'static str, Option<(i64, &'static str)>, Option<bool>, Option<bool>);

const YES: Option<bool> = Some(true);
const NO: Option<bool> = Some(false);

const RESOURCES: &[Row] = &[
    ("*", "GetSecretValue", Some((8, "a/b")), YES, YES),
    ("qcs:::::*", "GetSecretValue", Some((8, "a/b")), YES, YES),
    ("qcs:id/0:ssm:::secret/*", "GetSecretValue", Some((8, "a/b")), YES, YES),
    ("qcs::ssm:ap-guangzhou:uin/1:secret/creatorUin/*/prod/*", "GetSecretValue", Some((7, "prod/db")), YES, YES),
    ("qcs::ssm:ap-guangzhou:uin/1:secret/creatorUin/*/prod/*", "GetSecretValue", Some((7, "prod")), NO, NO),
    ("qcs::ssm:ap-guangzhou:uin/1:secret/creatorUin/*/prod/*", "GetSecretValue", Some((7, "dev/prod/db")), NO, NO),
    ("qcs::ssm:ap-guangzhou:uin/1:secret/creatorUin/*/prod/*", "GetSecretValue", Some((-1, "prod/db")), YES, YES),
    ("qcs::ssm:::secret/creatorUin/7/*-db", "GetSecretValue", Some((7, "a/b-db")), YES, YES),
    ("qcs::ssm:::secret/creatorUin/7/*-db", "GetSecretValue", Some((8, "a-db")), NO, NO),
    ("qcs::ssm:::secret/creatorUin/7/*-db", "GetSecretValue", Some((7, "a-DB")), NO, NO),
    ("qcs::ssm:::secret/creatorUin/7/*-db", "GetSecretValue", Some((-1, "a-db")), NO, YES),
    ("qcs::ssm:::secret/creatorUin/7/*-db", "GetSecretValue", Some((-1, "a-DB")), NO, NO),
    ("qcs::ssm:::secret/creatorUin/8/*", "CreateSecret", Some((7, "a")), NO, NO),
    ("qcs::ssm:::secret/creatorUin/*/*", "CreateSecret", Some((7, "a")), YES, YES),
    ("qcs::ssm:::secret/creatorUin/${uin}/*", "GetSecretValue", Some((7, "a")), YES, YES),
    ("qcs::ssm:::secret/creatorUin/${uin}/*", "GetSecretValue", Some((70, "a")), NO, NO),
    ("qcs::ssm:::secret/creatorUin/${uin}/*", "CreateSecret", Some((7, "a")), YES, YES),
    ("qcs::ssm:::secret/creatorUin/${uin}/*", "GetSecretValue", Some((-1, "a")), NO, YES),
    ("qcs::ssm:::secret/creatorUin/*", "GetSecretValue", Some((-1, "a")), YES, YES),
    ("qcs::ssm:ap-guangzhou::*", "ListSecrets", None, None, YES),
    ("qcs::ssm:ap-guangzhou::*", "GetSecretValue", Some((7, "a")), YES, YES),
    ("*", "ListSecrets", None, YES, YES),
    ("qcs::ssm:::secret/creatorUin/*/a", "SearchRecords", Some((7, "a")), YES, YES),
    ("qcs::ssm:::secret/creatorUin/*/a", "SearchRecords", None, NO, NO),
];

#[test]
fn resources_match_as_the_conformance_table_says() {
    let someone = principal("user/corp/a");
    for (pattern, action, secret, allow, deny) in RESOURCES {
        let name = SecretName::parse(secret.map_or("none", |(_, name)| name)).expect("a name");
        let target = match secret {
            None => Target::Operation,
            Some((number, _)) => {
                Target::Secret { creator: u64::try_from(*number).ok().and_then(CreatorNumber::new), name: &name }
            }
        };
        let context = context(NO_CREATOR);
        let action = by_name(action).expect("an action");
        let question =
            Question { caller: caller(&someone, 7), action, target, context: &context, session_policy: None };
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
        target: Target::Secret { creator: None, name: &name },
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
        assert!(!allowed(&folder(json!([statement("allow")])), &question), "allow {condition}");
        assert!(!allowed(&folder(json!([any, statement("deny")])), &question), "deny {condition}");
    }
    let elsewhere = json!([{"effect": "allow", "action": "*", "resource": "*"},
        {"effect": "deny", "action": "*", "resource": "*",
         "condition": {"string_equal": {"qcs:create_uin": "7"}, "ip_equal": {"qcs:ip": "11.0.0.0/8"}}}]);
    assert!(allowed(&folder(elsewhere), &question), "the deny's other part does not hold");
}
