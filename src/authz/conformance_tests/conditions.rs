//! Conditions. A row: the condition; then contexts with their results. A context changes the usual one: an empty text
//! takes a key away, `rt` lists tags.

use serde_json::{Value, json};

use super::{Changes, NO_CREATOR, USUAL, allowed, caller, context, folder, principal};
use crate::actions::{ConditionKey, by_name};
use crate::authz::{Question, Target};
use crate::resource::{CreatorNumber, SecretName};

const CREATED_7: Changes = &[("qcs:create_uin", "7")];
const CREATED_8: Changes = &[("qcs:create_uin", "8")];
const CREATED_9: Changes = &[("qcs:create_uin", "9")];
const CONDITIONS: &[(&str, &[(Changes, bool)])] = &[
    (r#"{"string_equal":{"qcs:create_uin":["7","8"]}}"#, &[(CREATED_8, true), (CREATED_9, false), (NO_CREATOR, false)]),
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
    (r#"{"string_equal":{"qcs:create_uin":"${uin}"}}"#, &[(CREATED_7, true), (CREATED_9, false), (NO_CREATOR, false)]),
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
    (r#"{"null_equal":{"qcs:create_uin":"true"}}"#, &[(NO_CREATOR, true), (CREATED_7, false)]),
    (r#"{"null_equal":{"qcs:create_uin":"false"}}"#, &[(NO_CREATOR, false), (CREATED_7, true)]),
    (
        r#"{"for_any_value:string_equal":{"qcs:resource_tag":["env&prod","env&dev"]}}"#,
        &[(&[("rt", "env&dev team&a")], true), (&[("rt", "team&a")], false), (&[("rt", "")], false)],
    ),
    (
        r#"{"for_all_value:string_equal":{"qcs:resource_tag":["env&prod","env&dev"]}}"#,
        &[(&[("rt", "env&dev")], true), (&[("rt", "env&dev team&a")], false), (&[("rt", "")], false)],
    ),
    (
        r#"{"for_all_value:string_equal_if_exist":{"qcs:resource_tag":["env&prod","env&dev"]}}"#,
        &[(&[("rt", "")], true), (&[("rt", "team&a")], false)],
    ),
    (
        r#"{"for_any_value:string_not_equal":{"qcs:resource_tag":"env&prod"}}"#,
        &[(&[("rt", "env&prod")], false), (&[("rt", "env&prod team&a")], true), (&[("rt", "")], false)],
    ),
    (
        r#"{"for_all_value:string_not_equal":{"qcs:resource_tag":"env&prod"}}"#,
        &[(&[("rt", "team&a")], true), (&[("rt", "env&prod team&a")], false), (&[("rt", "")], false)],
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
    (r#"{"ip_equal":{"qcs:ip":"2001:db8::/32"}}"#, &[(&[("qcs:ip", "2001:db8::1")], true), (USUAL, false)]),
    (r#"{"date_equal":{"qcs:current_time":"2026-06-01 00:00:00"}}"#, &[(USUAL, true)]),
    (r#"{"date_equal":{"qcs:current_time":"2026-06-01T 00:00:00Z"}}"#, &[(USUAL, true)]),
    (r#"{"date_equal":{"qcs:current_time":"2026-06-01T08:00:00+08:00"}}"#, &[(USUAL, true)]),
    (r#"{"date_less_than":{"qcs:current_time":"2026-06-01T00:00:00Z"}}"#, &[(USUAL, false)]),
    (r#"{"date_less_than_equal":{"qcs:current_time":"2026-06-01T00:00:00Z"}}"#, &[(USUAL, true)]),
    (r#"{"date_greater_than":{"qcs:current_time":"2026-06-01T00:00:00Z"}}"#, &[(USUAL, false)]),
    (r#"{"date_not_equal":{"qcs:current_time":["2026-06-01T00:00:00Z","2027-01-01T00:00:00Z"]}}"#, &[(USUAL, false)]),
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
        &[(&[("keyward:secure_transport", "true")], true), (&[("keyward:secure_transport", "false")], false)],
    ),
    (
        r#"{"bool_equal":{"keyward:secure_transport":false}}"#,
        &[(&[("keyward:secure_transport", "true")], false), (&[("keyward:secure_transport", "false")], true)],
    ),
    (
        r#"{"string_equal":{"qcs:uin":"7","qcs:owner_uin":"1"},"ip_equal":{"qcs:ip":"10.0.0.0/8"}}"#,
        &[(USUAL, true), (&[("qcs:ip", "11.0.0.1")], false), (&[("qcs:uin", "8")], false)],
    ),
];

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
            let creator = context.values.get(&ConditionKey::CreateUin).map_or("7", |list| &list[0]);
            let question = Question {
                caller: caller(&someone, uin),
                action: by_name("DeleteSecret").expect("an action"),
                target: Target::Secret { creator: CreatorNumber::new(creator.parse().expect("a number")), name: &name },
                context: &context,
                session_policy: None,
            };
            assert_eq!(allowed(&as_allow, &question), *holds, "allow if {condition} with {changes:?}");
            assert_eq!(allowed(&as_deny, &question), !*holds, "deny if {condition} with {changes:?}");
        }
    }
}
