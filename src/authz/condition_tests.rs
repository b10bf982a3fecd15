use super::super::json;
use super::super::testing::{Ask, ask};
use super::*;

fn parse_all(text: &str) -> Result<Vec<Clause>, Vec<Code>> {
    let node = json::read(text.as_bytes()).unwrap();
    let mut findings = Findings::of("x");
    let clauses = parse(&node, Keys::Document, "1", &mut findings);
    if findings.is_empty() { Ok(clauses) } else { Err(findings.into_list().iter().map(|f| f.code).collect()) }
}

fn holds(condition: &str, ask: &Ask) -> bool {
    let clauses = parse_all(condition).unwrap_or_else(|codes| panic!("{condition}: {codes:?}"));
    let facts = ask.facts();
    clauses.iter().all(|c| c.outcome(&facts, StatementEffect::Allow).unwrap() == Outcome::Holds)
}

/// A condition of one operator on one key, held against several values of that key; none: absent.
fn table(operator: &str, key: ConditionKey, policy: &str, rows: &[(&[&str], bool)]) {
    let condition = format!(r#"{{"{operator}":{{"{}":{policy}}}}}"#, key.name());
    for (values, expected) in rows {
        assert_eq!(holds(&condition, &ask("user/dev/a").with(key, values)), *expected, "{condition} on {values:?}");
    }
}

use ConditionKey::{CreateUin, CurrentTime, Ip, RecoveryWindow, ResourceTag, SecureTransport, Uin};

#[test]
fn vectors_attack_d08_c17_c18_strings_with_and_without_the_key() {
    let rows = |a, b, absent| -> Vec<(&'static [&'static str], bool)> { vec![(&["8"], a), (&["9"], b), (&[], absent)] };
    table("string_equal", CreateUin, r#"["7","8"]"#, &rows(true, false, false));
    table("string_not_equal", CreateUin, r#"["7","8"]"#, &rows(false, true, false));
    let rows = |a, b, absent| -> Vec<(&'static [&'static str], bool)> { vec![(&["7"], a), (&["9"], b), (&[], absent)] };
    table("string_equal_if_exist", CreateUin, r#""7""#, &rows(true, false, true));
    table("string_not_equal_if_exist", CreateUin, r#""7""#, &rows(false, true, true));
}

#[test]
fn vectors_variables_stand_for_the_callers_number() {
    let rows = |a, b, absent| -> Vec<(&'static [&'static str], bool)> { vec![(&["7"], a), (&["9"], b), (&[], absent)] };
    table("string_equal", CreateUin, r#""${uin}""#, &rows(true, false, false));
    table("string_not_equal", CreateUin, r#""${uin}""#, &rows(false, true, false));
    table("string_not_equal_if_exist", CreateUin, r#""${uin}""#, &rows(false, true, true));
    table("string_like", CreateUin, r#""${uin}*""#, &[(&["7"], true), (&["70"], true), (&["6"], false)]);
    table(
        "string_equal",
        ConditionKey::OwnerUin,
        r#"["${owner_uin}x","${app_id}"]"#,
        &[(&["1"], true), (&["2"], false)],
    );
}

#[test]
fn vectors_c19_null_equal_tests_for_absence() {
    table("string_like", Uin, r#""*""#, &[(&["7"], true)]);
    table("null_equal", Uin, r#""true""#, &[(&["7"], false)]);
    table("null_equal", CreateUin, r#""true""#, &[(&[], true), (&["7"], false), (&[""], true)]);
    table("null_equal", CreateUin, r#""false""#, &[(&[], false), (&["7"], true), (&[""], false)]);
    table("null_equal", CreateUin, "true", &[(&[], true)]);
    table("null_equal", ResourceTag, "[false]", &[(&[], false), (&["", ""], true), (&["a&b"], true)]);
    table("null_equal", Ip, "false", &[(&[], false), (&["10.1.2.3"], true)]);
}

#[test]
fn vectors_c20_c21_c23_sets_of_tags() {
    let both = r#"["env&prod","env&dev"]"#;
    table(
        "for_any_value:string_equal",
        ResourceTag,
        both,
        &[(&["env&dev", "team&a"], true), (&["team&a"], false), (&[], false)],
    );
    table(
        "for_all_value:string_equal",
        ResourceTag,
        both,
        &[(&["env&dev"], true), (&["env&dev", "team&a"], false), (&[], false)],
    );
    table("for_all_value:string_equal_if_exist", ResourceTag, both, &[(&[], true), (&["team&a"], false)]);
    let one = r#""env&prod""#;
    table(
        "for_any_value:string_not_equal",
        ResourceTag,
        one,
        &[(&["env&prod"], false), (&["env&prod", "team&a"], true), (&[], false)],
    );
    table(
        "for_all_value:string_not_equal",
        ResourceTag,
        one,
        &[(&["team&a"], true), (&["env&prod", "team&a"], false), (&[], false)],
    );
    table(
        "for_any_value:string_not_equal",
        ResourceTag,
        both,
        &[(&["env&prod", "env&dev"], false), (&["env&dev", "x&y"], true)],
    );
    table("for_all_value:string_equal", CreateUin, r#"["7"]"#, &[(&["7"], true), (&["8"], false), (&[], false)]);
}

#[test]
fn vectors_c24_c25_c26_likeness_and_case() {
    let tags: [&[&str]; 5] = [&["env&prod"], &["env&prood"], &["ENV&prod"], &["team&a"], &[]];
    for (pattern, expected) in [
        ("env&pr?d", [true, false, false, false, false]),
        ("*&a", [false, false, false, true, false]),
        ("*", [true, true, true, true, false]),
    ] {
        let rows: Vec<(&[&str], bool)> = tags.into_iter().zip(expected).collect();
        table("for_any_value:string_like", ResourceTag, &format!("\"{pattern}\""), &rows);
    }
    table(
        "for_any_value:string_not_like",
        ResourceTag,
        r#"["env&*","team&*"]"#,
        &[(&["env&a"], false), (&["x&y"], true), (&[], false)],
    );
    table(
        "for_any_value:string_equal_ignore_case",
        ResourceTag,
        r#""ENV&prod""#,
        &[(&["env&PROD"], true), (&["env&dev"], false)],
    );
    table(
        "for_any_value:string_not_equal_ignore_case",
        ResourceTag,
        r#""ENV&prod""#,
        &[(&["env&PROD"], false), (&["env&dev"], true)],
    );
    table("string_equal", CreateUin, r#""*""#, &[(&["7"], false), (&["*"], true)]);
    table("string_equal_ignore_case", CreateUin, r#""k""#, &[(&["K"], true), (&["\u{212a}"], false)]);
}

#[test]
fn c27_text_is_compared_by_bytes_after_json_unescaping() {
    table("string_equal", CreateUin, r#""\u00e9""#, &[(&["é"], true), (&["e\u{301}"], false)]);
    table(
        "string_like",
        CreateUin,
        r#""?""#,
        &[(&["é"], true), (&["e\u{301}"], false), (&["😀"], true), (&[""], false)],
    );
}

#[test]
fn vectors_c28_c29_addresses() {
    table(
        "ip_equal",
        Ip,
        r#""10.1.2.99/24""#,
        &[
            (&["10.1.2.3"], true),
            (&["::ffff:10.1.2.3"], true),
            (&["10.1.3.3"], false),
            (&["2001:db8::1"], false),
            (&[], false),
        ],
    );
    let ranges = r#"["10.1.2.0/24","10.1.3.0/24"]"#;
    table(
        "ip_not_equal",
        Ip,
        ranges,
        &[(&["10.1.3.9"], false), (&["10.1.4.1"], true), (&["2001:db8::1"], true), (&[], false)],
    );
    table("ip_not_equal_if_exist", Ip, ranges, &[(&[], true), (&["10.1.3.9"], false)]);
    table("ip_equal", Ip, r#""2001:db8::/32""#, &[(&["2001:db8::1"], true), (&["10.1.2.3"], false)]);
    table("ip_equal", Ip, r#""::/0""#, &[(&["10.1.2.3"], false), (&["::1"], true)]);
    table("ip_equal", Ip, r#""::ffff:10.1.2.0/120""#, &[(&["10.1.2.3"], true), (&["10.1.3.3"], false)]);
}

#[test]
fn vectors_c30_dates() {
    for text in ["2026-06-01 00:00:00", "2026-06-01T 00:00:00Z", "2026-06-01T08:00:00+08:00"] {
        table(
            "date_equal",
            CurrentTime,
            &format!("\"{text}\""),
            &[(&["2026-06-01T00:00:00Z"], true), (&["2026-06-01T00:00:01Z"], false)],
        );
    }
    let edge = |operator: &str, expected: [bool; 3]| {
        let times: [&[&str]; 3] = [&["2026-05-31T23:59:59Z"], &["2026-06-01T00:00:00Z"], &["2026-06-01T00:00:01Z"]];
        let rows: Vec<(&[&str], bool)> = times.into_iter().zip(expected).collect();
        table(operator, CurrentTime, r#""2026-06-01T00:00:00Z""#, &rows);
    };
    edge("date_less_than", [true, false, false]);
    edge("date_less_than_equal", [true, true, false]);
    edge("date_greater_than", [false, false, true]);
    edge("date_greater_than_equal", [false, true, true]);
    edge("date_not_equal", [true, false, true]);
    table(
        "date_not_equal",
        CurrentTime,
        r#"["2026-06-01T00:00:00Z","2027-01-01T00:00:00Z"]"#,
        &[(&["2026-06-01T00:00:00Z"], false)],
    );
}

#[test]
fn vectors_c31_numbers_and_booleans() {
    table("numeric_less_than", RecoveryWindow, "7", &[(&["0"], true), (&["7"], false), (&[], false)]);
    table("numeric_less_than_equal", RecoveryWindow, r#""7.000000001""#, &[(&["7"], true), (&["8"], false)]);
    table("numeric_greater_than", RecoveryWindow, "[7.5, 20]", &[(&["8"], true), (&["7"], false)]);
    table("numeric_greater_than_equal", RecoveryWindow, "7", &[(&["7"], true), (&["6"], false)]);
    table("numeric_equal", RecoveryWindow, r#"["7.0", 9]"#, &[(&["7"], true), (&["9"], true), (&["8"], false)]);
    table("numeric_not_equal", RecoveryWindow, "7.0", &[(&["7"], false), (&["8"], true), (&[], false)]);
    table("bool_equal", SecureTransport, r#""true""#, &[(&["true"], true), (&["false"], false)]);
    table("bool_equal", SecureTransport, "false", &[(&["true"], false), (&["false"], true), (&[], false)]);
}

#[test]
fn vectors_keys_and_operators_are_anded() {
    let condition = r#"{"string_equal":{"qcs:uin":"7","qcs:owner_uin":"1"},"ip_equal":{"qcs:ip":"10.0.0.0/8"}}"#;
    assert!(holds(condition, &ask("user/dev/a")));
    assert!(!holds(condition, &ask("user/dev/a").with(Ip, &["11.0.0.1"])));
    assert!(!holds(condition, &ask("user/dev/a").creator(8)));
}

#[test]
fn c41_an_unknown_value_fails_in_an_allow_and_holds_in_a_deny() {
    let facts = ask("user/dev/a").missing("prod/db").facts();
    for operator in
        ["string_equal", "string_not_equal", "string_equal_if_exist", "string_not_like_if_exist", "null_equal"]
    {
        let value = if operator == "null_equal" { "true" } else { "7" };
        let clauses = parse_all(&format!(r#"{{"{operator}":{{"qcs:create_uin":"{value}"}}}}"#)).unwrap();
        assert_eq!(clauses[0].outcome(&facts, StatementEffect::Allow), Ok(Outcome::FailsUnknown), "{operator}");
        assert_eq!(clauses[0].outcome(&facts, StatementEffect::Deny), Ok(Outcome::Holds), "{operator}");
    }
    let clauses = parse_all(r#"{"for_all_value:string_equal_if_exist":{"qcs:resource_tag":"a&b"}}"#).unwrap();
    assert_eq!(clauses[0].outcome(&facts, StatementEffect::Allow), Ok(Outcome::FailsUnknown));
    assert_eq!(clauses[0].outcome(&facts, StatementEffect::Deny), Ok(Outcome::Holds));
    let clauses = parse_all(r#"{"string_equal":{"qcs:uin":"7"}}"#).unwrap();
    assert_eq!(clauses[0].outcome(&facts, StatementEffect::Allow), Ok(Outcome::Holds));
}

#[test]
fn a_fact_of_another_type_is_a_fault_and_not_a_mismatch() {
    let clauses = parse_all(r#"{"string_equal":{"qcs:uin":"7"}}"#).unwrap();
    let Clause { operator, wanted, .. } = clauses[0].clone();
    let clause = Clause { key: Ip, operator, wanted };
    assert_eq!(clause.outcome(&ask("user/dev/a").facts(), StatementEffect::Allow), Err(Fault::Context));
}

#[test]
fn c01_c06_c22_c31_c32_c40_bad_conditions_are_refused_with_their_code() {
    use Code::{ConditionContentError as Content, ConditionError as Form, ConditionTypeError as Type};
    for (condition, code) in [
        ("{}", Form),
        ("[]", Form),
        (r#""x""#, Form),
        (r#"{"string_equal":{}}"#, Form),
        (r#"{"string_equal":[]}"#, Form),
        (r#"{"string_equal":{"qcs:uin":[]}}"#, Content),
        (r#"{"string_equals":{"qcs:uin":"7"}}"#, Type),
        (r#"{"StringEqual":{"qcs:uin":"7"}}"#, Type),
        (r#"{"string_equal_if_exists":{"qcs:uin":"7"}}"#, Type),
        (r#"{" string_equal":{"qcs:uin":"7"}}"#, Type),
        (r#"{"binary_equal":{"qcs:uin":"7"}}"#, Type),
        (r#"{"null_equal_if_exist":{"qcs:uin":"true"}}"#, Type),
        (r#"{"for_any_value:null_equal":{"qcs:uin":"true"}}"#, Type),
        (r#"{"string_equal":{"qcs:ip":"10.0.0.1"}}"#, Type),
        (r#"{"ip_equal":{"qcs:uin":"10.0.0.1"}}"#, Type),
        (r#"{"string_equal":{"qcs:resource_tag":"a&b"}}"#, Type),
        (r#"{"string_like":{"qcs:request_tag":"*"}}"#, Type),
        (r#"{"string_equal":{"mfa":"1"}}"#, Content),
        (r#"{"string_equal":{"qcs:mfa":"1"}}"#, Content),
        (r#"{"string_equal":{"qcs:vpc":"1"}}"#, Content),
        (r#"{"string_equal":{"qcs:tag/env":"1"}}"#, Content),
        (r#"{"string_equal":{"cos:x":"1"}}"#, Content),
        (r#"{"string_equal":{"oidc:sub":"1"}}"#, Content),
        (r#"{"string_equal":{"qcs:Uin":"7"}}"#, Content),
        (r#"{"string_equal":{"qcs:uin ":"7"}}"#, Content),
        (r#"{"string_equal":{"qcs:uin":7}}"#, Content),
        (r#"{"string_equal":{"qcs:uin":true}}"#, Content),
        (r#"{"string_equal":{"qcs:uin":null}}"#, Content),
        (r#"{"string_equal":{"qcs:uin":["7",["8"]]}}"#, Content),
        (r#"{"string_equal":{"qcs:uin":{"a":"b"}}}"#, Content),
        (r#"{"string_equal":{"qcs:uin":"${uin"}}"#, Content),
        (r#"{"string_like":{"qcs:uin":"${user}"}}"#, Content),
        (r#"{"date_equal":{"qcs:current_time":"2026-06-01"}}"#, Content),
        (r#"{"date_equal":{"qcs:current_time":1780272000}}"#, Content),
        (r#"{"ip_equal":{"qcs:ip":"10.0.0.0/33"}}"#, Content),
        (r#"{"ip_equal":{"qcs:ip":"${uin}"}}"#, Content),
        (r#"{"numeric_equal":{"keyward:recovery_window":"1e3"}}"#, Content),
        (r#"{"numeric_equal":{"keyward:recovery_window":1e3}}"#, Content),
        (r#"{"numeric_equal":{"keyward:recovery_window":true}}"#, Content),
        (r#"{"bool_equal":{"keyward:secure_transport":"True"}}"#, Content),
        (r#"{"bool_equal":{"keyward:secure_transport":1}}"#, Content),
        (r#"{"null_equal":{"qcs:uin":["true","false"]}}"#, Content),
        (r#"{"null_equal":{"qcs:uin":"yes"}}"#, Content),
        (r#"{"for_any_value:string_equal":{"qcs:resource_tag":"env"}}"#, Content),
        (r#"{"for_any_value:string_not_equal_ignore_case":{"qcs:resource_tag":["a&b","env"]}}"#, Content),
        (r#"{"string_equal_ignore_case":{"qcs:uin":"É"}}"#, Content),
    ] {
        assert_eq!(parse_all(condition).unwrap_err(), [code], "{condition}");
    }
}

#[test]
fn every_finding_of_a_condition_is_reported_at_once() {
    let condition = r#"{"nope":{"qcs:uin":"7"},"string_equal":{"mfa":"1","qcs:uin":["7",8]},"date_equal":{}}"#;
    assert_eq!(parse_all(condition).unwrap_err().len(), 4);
}

#[test]
fn a_value_splits_at_its_first_ampersand() {
    table("for_any_value:string_equal", ResourceTag, r#""a&b&c""#, &[(&["a&b&c"], true), (&["a&b"], false)]);
}
