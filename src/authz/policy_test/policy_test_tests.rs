//! Tests of tests: what passes, what fails, what counts as exercised.

use super::{Coverage, PolicyTests};
use crate::authz::testing::{attached, document, file, settings, statement};
use crate::authz::{PolicyFile, PolicySet};

const SECRET: &str = r#""action":"ssm:GetSecretValue","resource":"secret/creatorUin/7/pay/db""#;

/// Two policies of which one is attached, a role, and these tests.
fn folder(tests: &str) -> Vec<PolicyFile> {
    let p = [
        r#"{"effect":"allow","action":"ssm:*","resource":"qcs::ssm:::secret/creatorUin/*/pay/*"}"#,
        r#"{"effect":"deny","action":"ssm:*","resource":"*","condition":{"ip_not_equal_if_exist":{"qcs:ip":"10.0.0.0/8"}}}"#,
        r#"{"effect":"allow","action":"cos:GetObject","resource":"*"}"#,
    ];
    let trust = r#"{"effect":"allow","action":"name/sts:AssumeRole","principal":{"qcs":["user/corp/a"]}}"#;
    let r = r#"{"effect":"allow","action":"sts:AssumeRole","resource":"*"}"#;
    vec![
        file("documents/p.json", &document(&p.join(","))),
        file("documents/r.json", &document(r)),
        file("documents/unattached.json", &document(&statement("allow", "*"))),
        file("roles/r.json", &document(trust)),
        file("attachments.json", &attached(&[("p", "user/corp/a"), ("r", "user/corp/a")], &[])),
        file("tests/t.json", &format!(r#"{{"version":1,"tests":[{tests}]}}"#)),
    ]
}

fn test(rest: &str) -> String {
    format!(r#"{{"name":"t","principal":"user/corp/a",{rest}}}"#)
}

/// A test of the role.
fn by_role(rest: &str) -> String {
    format!(r#"{{"name":"t","principal":"role/local/r",{SECRET},{rest}}}"#)
}

const WEB: &str = r#""action":"sts:AssumeRoleWithWebIdentity","resource":"role/local/r""#;

/// Whether tests of a folder whose one policy, for everyone, and whose role say this pass.
fn all_pass(policy: &str, trust: &str, tests: &[&str]) -> Vec<bool> {
    let files = [
        file("documents/p.json", &document(policy)),
        file("roles/r.json", &document(trust)),
        file("attachments.json", &attached(&[("p", "everyone")], &[])),
        file("tests/t.json", &format!(r#"{{"version":1,"tests":[{}]}}"#, tests.join(","))),
    ];
    let set = PolicySet::load(&files, &settings()).unwrap();
    read(&files).run(&set, &settings()).iter().map(|outcome| outcome.passed).collect()
}

fn read(files: &[PolicyFile]) -> PolicyTests {
    let tests = PolicyTests::read(files, &settings());
    assert!(tests.errors.is_empty(), "{:#?}", tests.errors);
    tests
}

fn passes(rest: &str) -> bool {
    let files = folder(&test(rest));
    let set = PolicySet::load(&files, &settings()).unwrap();
    read(&files).run(&set, &settings())[0].passed
}

#[test]
fn a_test_passes_if_the_answer_is_the_expected_one_by_the_expected_statements() {
    let at = r#""context":{"qcs:ip":"10.0.0.1"}"#;
    assert!(passes(&format!(r#"{SECRET},{at},"expect":"allow""#)));
    assert!(!passes(&format!(r#"{SECRET},{at},"expect":"deny""#)));
    assert!(!passes(&format!(r#"{SECRET},"expect":"allow""#)));
    for (by, is_right) in [
        (r#"[{"layer":"identity","document":"p","statement":1}]"#, true),
        (r#"[{"layer":"identity","document":"p","statement":0}]"#, false),
        (r#"[{"layer":"boundary","document":"p","statement":1}]"#, false),
        ("[]", false),
    ] {
        assert_eq!(passes(&format!(r#"{SECRET},"expect":"deny","by":{by}"#)), is_right, "{by}");
    }
}

#[test]
fn the_taking_of_a_role_is_a_test_like_any_other() {
    let role = |of: &str, ip: &str| {
        format!(r#""action":"sts:AssumeRole","resource":"role/local/{of}","context":{{"qcs:ip":"{ip}"}}"#)
    };
    let by = r#"[{"layer":"identity","document":"r","statement":0},{"layer":"trust","document":"r","statement":0}]"#;
    assert!(passes(&format!(r#"{},"expect":"allow","by":{by}"#, role("r", "10.0.0.1"))));
    assert!(passes(&format!(r#"{},"expect":"deny","by":[{{"layer":"trust"}}]"#, role("none", "10.0.0.1"))));
}

const TAKEN: &str = r#"{"effect":"allow","action":"name/sts:AssumeRole","principal":{"qcs":["user/corp/a"]}}"#;

#[test]
fn what_requests_never_lack_is_there_without_being_named() {
    let allow = |action: &str, operator: &str, key: &str, value: &str| {
        let condition = format!(r#"{{"{operator}":{{"{key}":"{value}"}}}}"#);
        format!(r#"{{"effect":"allow","action":"{action}","resource":"*","condition":{condition}}}"#)
    };
    let delete = r#""action":"ssm:DeleteSecret","resource":"secret/creatorUin/7/pay/db","expect":"#;
    let window = allow("ssm:DeleteSecret", "numeric_less_than", "keyward:recovery_window", "7");
    let deletes = [test(&format!("{delete}\"allow\"")), test(&format!("{delete}\"deny\""))];
    assert_eq!(all_pass(&window, TAKEN, &[&deletes[0], &deletes[1]]), [true, false]);
    let create = r#""action":"cam:CreateAccessKey","uin":"7","expect":"#;
    let own = allow("cam:CreateAccessKey", "string_equal", "keyward:target_uin", "${uin}");
    let other = test(&format!(r#"{create}"deny","context":{{"keyward:target_uin":"8"}}"#));
    let creates = [test(&format!("{create}\"allow\"")), test(&format!("{create}\"deny\"")), other];
    assert_eq!(all_pass(&own, TAKEN, &[&creates[0], &creates[1], &creates[2]]), [true, false, true]);
}

#[test]
fn a_web_identity_is_the_subject_of_the_tests_principal() {
    let trust = r#"{"effect":"allow","action":"sts:AssumeRoleWithWebIdentity","principal":{"federated":["oidc-provider/corp"]},
        "condition":{"string_equal":{"oidc:iss":"https://corp.example","oidc:aud":"keyward","oidc:sub":"a"}}}"#;
    let context = r#""context":{"oidc:iss":"https://corp.example","oidc:aud":"keyward"}"#;
    let by = |name: &str, expect: &str| {
        format!(r#"{{"name":"t","principal":"user/corp/{name}",{WEB},{context},"expect":"{expect}"}}"#)
    };
    let policy = statement("allow", "ssm:ListSecrets");
    assert_eq!(
        all_pass(&policy, trust, &[&by("a", "allow"), &by("b", "deny"), &by("b", "allow")]),
        [true, true, false]
    );
}

#[test]
fn everyone_means_a_session_that_somebody_began_and_not_one_of_a_service() {
    let test = |by: &str, expect: &str| {
        let who = format!(r#""principal":"role/local/r","credential":"session","assumed_by":"{by}""#);
        format!(r#"{{"name":"t",{who},"action":"ssm:ListSecrets","expect":"{expect}"}}"#)
    };
    let policy = statement("allow", "ssm:ListSecrets");
    let tests = [test("user/corp/a", "allow"), test("service/ssm", "deny")];
    assert_eq!(all_pass(&policy, TAKEN, &[&tests[0], &tests[1]]), [true, true]);
}

#[test]
fn coverage_counts_what_requests_can_meet_and_names_what_no_test_met() {
    let coverage = |tests: &str| {
        let files = folder(tests);
        let set = PolicySet::load(&files, &settings()).unwrap();
        Coverage::of(&read(&files), &files, &set, &settings())
    };
    let none = coverage("");
    assert_eq!((none.statements, none.missed.len(), none.percent()), (4, 4, 0));
    // The deny matches, the allow beside it, too.
    let some = coverage(&test(&format!(r#"{SECRET},"expect":"deny""#)));
    let missed: Vec<(&str, u32)> = some.missed.iter().map(|one| (one.file.as_str(), one.place())).collect();
    assert_eq!(missed, [("documents/r.json", 0), ("roles/r.json", 0)]);
    assert_eq!(some.percent(), 50);
    let role = r#""action":"sts:AssumeRole","resource":"role/local/r","expect":"allow""#;
    assert_eq!(coverage(&[test(&format!(r#"{SECRET},"expect":"deny""#)), test(role)].join(",")).percent(), 100);
    assert!(none.missed.iter().all(|one| one.line == 1 && one.column > 1), "with their places");
}

#[test]
fn a_test_that_is_not_understood_is_named_and_the_others_are_read() {
    let good = test(&format!(r#"{SECRET},"expect":"allow""#));
    for bad in [
        r#"{"name":"t"}"#,
        "7",
        &test(&format!(r#"{SECRET},"expect":"maybe""#)),
        &test(r#""action":"ssm:Get*","resource":"secret/creatorUin/7/a","expect":"allow""#),
        &test(r#""action":"ssm:CreateSecret","resource":"secret/creatorUin/9/a","expect":"allow""#),
        &test(r#""action":"ssm:ListSecrets","resource":"secret/creatorUin/9/a","expect":"allow""#),
        &test(r#""action":"ssm:GetSecretValue","resource":"secret/creatorUin/9/a//b","expect":"allow""#),
        &test(&format!(r#"{SECRET},"expect":"allow","credential":"password""#)),
        &test(&format!(r#"{SECRET},"expect":"allow","assumed_by":"user/corp/b""#)),
        &test(&format!(r#"{SECRET},"expect":"allow","uin":7"#)),
        &test(&format!(r#"{SECRET},"expect":"allow","groups":["role/corp/x"]"#)),
        &test(&format!(r#"{SECRET},"expect":"allow","context":{{"qcs:uin":"7"}}"#)),
        &test(&format!(r#"{SECRET},"expect":"allow","by":[{{"layer":"identity","document":"p"}}]"#)),
        &test(&format!(r#"{SECRET},"expect":"allow","session_policy":{{"version":"2.0"}}"#)),
        &test(&format!(r#"{SECRET},"expect":"allow","credential":"session","assumed_by":"user/corp/b""#)),
        &test(&format!(r#"{SECRET},"expect":"allow","context":{{"keyward:door":[]}}"#)),
        &by_role(r#""expect":"allow""#),
        &by_role(r#""expect":"allow","credential":"access_key""#),
        &by_role(r#""expect":"allow","credential":"session""#),
        &by_role(r#""expect":"allow","credential":"session","assumed_by":"group/corp/x""#),
        &by_role(r#""expect":"deny""#).replace("role/local/r", "group/corp/x"),
        &by_role(r#""expect":"deny""#).replace("role/local/r", "role/corp/x"),
        &test(&format!(r#"{WEB},"expect":"allow","context":{{"oidc:sub":"a"}}"#)),
        &test(r#""action":"cam:CreateAccessKey","expect":"allow","context":{"keyward:target_uin":[]}"#),
    ] {
        let tests = PolicyTests::read(&folder(&format!("{bad},{good}")), &settings());
        assert_eq!((tests.errors.len(), tests.tests.len()), (1, 1), "{bad}");
    }
    for broken in ["", "[]", r#"{"version":1}"#, r#"{"version":2,"tests":[]}"#, r#"{"version":1,"tests":[],"more":1}"#]
    {
        let tests = PolicyTests::read(&[file("tests/t.json", broken)], &settings());
        assert_eq!(tests.errors.len(), 1, "{broken}");
    }
}
