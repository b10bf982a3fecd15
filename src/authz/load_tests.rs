use super::super::testing::{attached, document, file, golden_files, golden_settings, grouped, load, statement};
use super::super::{Code, PolicySet, Settings};

const READ: &str = "ssm:GetSecretValue";

fn codes(files: &[(&str, &str)]) -> Vec<Code> {
    load(files).err().unwrap_or_default().iter().map(|finding| finding.code).collect()
}

#[test]
fn attack_d12_c45_limits_on_groups_that_a_token_may_leave_out_do_not_load() {
    let allow = document(&statement("allow", "*"));
    let deny = document(&format!("{},{}", statement("allow", "*"), statement("deny", "kms:*")));
    let foreign = document(r#"{"effect":"deny","action":"cos:*","resource":"*"}"#);
    let try_load = |groups: &str, to: &str, policy: &str, boundary: bool| {
        let one = [(policy, to)];
        let (attachments, boundaries): (&[_], &[_]) = if boundary { (&[], &one) } else { (&one, &[]) };
        codes(&[
            ("documents/allow.json", &allow),
            ("documents/deny.json", &deny),
            ("documents/foreign.json", &foreign),
            ("attachments.json", &grouped(groups, attachments, boundaries)),
        ])
    };
    let refused = [Code::PrincipalGroupOptional];
    assert_eq!(try_load("", "group/dev/x", "deny", false), refused);
    assert_eq!(try_load("", "group/dev/x", "allow", true), refused);
    assert_eq!(try_load(r#""g":["user/dev/a","group/dev/x"]"#, "group/local/g", "deny", false), refused);
    assert_eq!(try_load(r#""g":["group/dev/x"],"h":["group/local/g"]"#, "group/local/h", "allow", true), refused);
    for (groups, to, policy, boundary) in [
        ("", "group/dev/x", "allow", false),
        ("", "group/corp/x", "deny", false),
        ("", "group/corp/x", "allow", true),
        ("", "role/dev/x", "deny", false),
        ("", "issuer/dev", "deny", true),
        ("", "everyone", "deny", true),
        ("", "group/dev/x", "foreign", false),
        (r#""g":["user/dev/a","role/dev/x","group/corp/x"],"h":["group/dev/x"]"#, "group/local/g", "deny", true),
    ] {
        assert_eq!(try_load(groups, to, policy, boundary), [], "{groups} {to} {policy}");
    }
}

#[test]
fn attack_d12_a_deny_in_a_trust_policy_on_groups_that_a_token_may_leave_out_does_not_load() {
    let try_load = |groups: &str, effect: &str, principals: &str| {
        let own = r#"{"effect":"allow","action":"name/sts:AssumeRole","principal":{"qcs":["user/dev/a"]}}"#;
        let other = format!(r#"{{"effect":"{effect}","action":"sts:AssumeRole*","principal":{{"qcs":{principals}}}}}"#);
        let files = [
            ("attachments.json", grouped(groups, &[], &[])),
            ("roles/deploy.json", document(&format!("{own},\n{other}"))),
        ];
        load(&files.each_ref().map(|(path, text)| (*path, text.as_str()))).err().unwrap_or_default()
    };
    let place = |finding: &super::Finding| {
        (finding.file.clone(), finding.line, finding.column, finding.code, finding.text.clone())
    };
    let refused =
        |column, text: &str| ("roles/deploy.json".to_owned(), 2, column, Code::PrincipalGroupOptional, text.to_owned());
    let found =
        |groups: &str, principals: &str| -> Vec<_> { try_load(groups, "deny", principals).iter().map(place).collect() };
    assert_eq!(found("", r#""group/dev/x""#), [refused(64, "group/dev/x")]);
    assert_eq!(found("", r#"["user/dev/a","group/dev/x"]"#), [refused(78, "group/dev/x")]);
    // `issuer/<name>` stands in no role file.
    let message = try_load("", "deny", r#""group/dev/x""#).remove(0).message;
    assert!(message.ends_with("or name users, or deny `sts:AssumeRole` in a document attached to `issuer/<name>`"));
    let nested = r#""g":["group/dev/x"],"h":["group/local/g"]"#;
    assert_eq!(found(nested, r#"["group/local/h"]"#), [refused(65, "group/local/h")]);
    for (groups, effect, principals) in [
        ("", "allow", r#"["group/dev/x"]"#),
        (nested, "allow", r#"["group/local/h"]"#),
        ("", "deny", r#"["group/corp/x","user/dev/b","role/dev/x"]"#),
        (r#""g":["user/dev/a","role/dev/x","group/corp/x"]"#, "deny", r#"["group/local/g"]"#),
    ] {
        assert_eq!(try_load(groups, effect, principals), [], "{groups} {effect} {principals}");
    }
}

#[test]
fn c42_an_attachment_of_a_policy_that_does_not_exist_is_refused() {
    assert_eq!(
        codes(&[("attachments.json", &attached(&[("p", "everyone")], &[("q", "everyone")]))]),
        [Code::PolicyIdNotExist; 2]
    );
    let broken = codes(&[("documents/p.json", "{"), ("attachments.json", &attached(&[("p", "everyone")], &[]))]);
    assert_eq!(broken, [Code::PolicyDocumentError], "one that exists and is refused is found once");
}

#[test]
fn a_set_is_all_or_nothing_and_every_file_reports_at_once() {
    let found = load(&[
        ("documents/a.json", &document(&statement("Allow", "*"))),
        ("documents/good.json", &document(&statement("allow", "*"))),
        ("documents/b.json", "[]"),
        ("roles/r.json", "{}"),
        ("attachments.json", "{\"version\":2}"),
        ("model.conf", "x"),
        ("documents/good.json", "{}"),
    ])
    .unwrap_err();
    let files: Vec<&str> = found.iter().map(|finding| finding.file.as_str()).collect();
    assert!(files.is_sorted());
    for file in [
        "attachments.json",
        "documents/a.json",
        "documents/b.json",
        "model.conf",
        "roles/r.json",
        "documents/good.json",
    ] {
        assert!(files.contains(&file), "{file}");
    }
}

#[test]
fn what_is_right_of_the_attachments_is_checked_beside_what_is_wrong() {
    let attachments = attached(&[("p", "user/nope/a"), ("none", "everyone"), ("p", "group/dev/x")], &[]);
    let text = document(&statement("deny", "*"));
    let found = load(&[("documents/p.json", &text), ("attachments.json", &attachments)]).unwrap_err();
    let found: Vec<(Code, &str)> = found.iter().map(|finding| (finding.code, finding.text.as_str())).collect();
    let expected = [
        (Code::PrincipalQcsNotExist, "user/nope/a"),
        (Code::PolicyIdNotExist, "none"),
        (Code::PrincipalGroupOptional, "group/dev/x"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_codes_of_load_errors_are_each_reached_by_a_fixture() {
    let p = |text: &str| codes(&[("documents/p.json", text)]);
    let with = |from: &str, to: &str| p(&document(&statement("allow", READ)).replacen(from, to, 1));
    let to = |subject: &str| {
        codes(&[
            ("documents/p.json", &document(&statement("deny", "*"))),
            ("attachments.json", &attached(&[("p", subject)], &[])),
        ])
    };
    let condition = |text: &str| with("\"*\"}", &format!("\"*\",\"condition\":{text}}}"));
    let resource = |text: &str| with("\"resource\":\"*\"", &format!("\"resource\":\"{text}\""));
    let reached = [
        p("{"),
        p(&format!("{}{}", document(&statement("allow", "*")), " ".repeat(300_000))),
        with("2.0", "1.0"),
        p(r#"{"version":"2.0","statement":[]}"#),
        with("allow", "Allow"),
        with(READ, "ssm"),
        with(&format!("\"{READ}\""), "[]"),
        with(READ, "cvm:Run"),
        with(READ, "ssm:Nope"),
        with("\"resource\":\"*\"", "\"resource\":[]"),
        resource("x"),
        resource("qcs:x:ssm:::*"),
        resource("qcs::x:::*"),
        resource("qcs::ssm:x::*"),
        resource("qcs::ssm::x:*"),
        resource("qcs::ssm:::x"),
        condition("{}"),
        condition(r#"{"nope":{"qcs:uin":"7"}}"#),
        condition(r#"{"string_equal":{"nope":"7"}}"#),
        with("{\"effect\"", "{\"principal\":\"*\",\"effect\""),
        to("x"),
        to("user/nope/a"),
        to("qcs::cam::uin/2:root"),
        to("service/nope"),
        to("group/dev/x"),
        codes(&[("attachments.json", "x")]),
        codes(&[("documents/x", "")]),
        codes(&[("attachments.json", &attached(&[("p", "everyone")], &[]))]),
    ];
    let reached: Vec<Code> = reached
        .into_iter()
        .map(|codes| {
            assert_eq!(codes.len(), 1, "{codes:?}");
            codes[0]
        })
        .collect();
    assert_eq!(reached, Code::ALL);
}

#[test]
fn files_of_the_revision_come_back_without_tests() {
    let mut files = golden_files();
    files.push(file("tests/t.json", "anything"));
    files.reverse();
    let set = PolicySet::load(&files, &golden_settings()).unwrap();
    assert_eq!(set.files(), golden_files());
    let again = PolicySet::load(set.files(), &Settings::of_revision(set.config_frame()).unwrap()).unwrap();
    assert_eq!(again.revision(), set.revision());
}
