use super::super::testing::{file, settings};
use super::*;

fn parse(text: &str) -> Result<Attachments, Vec<Code>> {
    let settings = settings();
    let local = HashSet::from([Principal::parse("role/local/r").unwrap()]);
    let mut known = Known { settings: &settings, local };
    let (parsed, findings) = Attachments::parse(&file("attachments.json", text), &mut known);
    if findings.is_empty() { Ok(parsed) } else { Err(findings.iter().map(|finding| finding.code).collect()) }
}

fn groups(text: &str) -> Result<Attachments, Vec<Code>> {
    parse(&format!(r#"{{"version":1,"groups":{{{text}}}}}"#))
}

fn to(subject: &str) -> Vec<Code> {
    parse(&format!(r#"{{"version":1,"attachments":[{{"policy":"p","to":[{subject}]}}]}}"#)).err().unwrap_or_default()
}

#[test]
fn every_kind_of_subject_is_read() {
    let text = r#"{"version":1,"groups":{"g":["user/dev/a","group/corp/x/y","role/corp/z","group/local/h","role/local/r"],"h":[]},
        "attachments":[{"policy":"p","to":["user/dev/a/b","group/corp/x","role/dev/r","service/ssm","issuer/corp","everyone","group/local/g","role/local/r"]},{"policy":"q","to":[]}],
        "boundaries":[{"to":["everyone"],"policy":"b"}]}"#;
    let parsed = parse(text).unwrap();
    assert_eq!(parsed.groups.len(), 2);
    assert_eq!(parsed.attachments[0].to.len(), 8);
    assert_eq!(parsed.boundaries[0].to[0].value, Subject::Everyone);
    assert_eq!(parsed.attachments[0].to[4].value, Subject::Issuer("corp".to_owned()));
}

#[test]
fn attack_d12_unknown_local_names_and_issuers_are_refused_and_unknown_token_groups_are_not() {
    for (subject, codes) in [
        ("\"group/local/none\"", &[Code::PrincipalQcsNotExist][..]),
        ("\"role/local/none\"", &[Code::PrincipalQcsNotExist]),
        ("\"user/local/a\"", &[Code::PrincipalQcsNotExist]),
        ("\"user/nope/a\"", &[Code::PrincipalQcsNotExist]),
        ("\"issuer/nope\"", &[Code::PrincipalQcsNotExist]),
        ("\"issuer/local\"", &[Code::PrincipalQcsNotExist]),
        ("\"group/corp/nobody-has-it\"", &[]),
        ("\"role/dev/nobody-has-it\"", &[]),
        ("\"service/nope\"", &[Code::PrincipalServiceNotExist]),
        ("\"qcs::cam::uin/2:uin/3\"", &[Code::PrincipalQcsCrossError]),
        ("\"qcs::cam::uin/1:uin/3\"", &[Code::PrincipalQcsError]),
        ("\"*\"", &[Code::PrincipalQcsError]),
        ("\"Everyone\"", &[Code::PrincipalQcsError]),
        ("\"user/dev\"", &[Code::PrincipalQcsError]),
        ("\"user/DEV/a\"", &[Code::PrincipalQcsError]),
        ("\"user/dev/a\\u0000\"", &[Code::PrincipalQcsError]),
        ("\"team/dev/a\"", &[Code::PrincipalQcsError]),
        ("7", &[Code::AttachmentError]),
    ] {
        assert_eq!(to(subject), codes, "{subject}");
    }
}

#[test]
fn attack_d09_a_cycle_of_groups_is_refused_at_any_length() {
    assert_eq!(groups(r#""a":["group/local/a"]"#).unwrap_err(), [Code::PrincipalQcsNotExist]);
    assert_eq!(groups(r#""a":["group/local/b"],"b":["group/local/a"]"#).unwrap_err().len(), 2);
    assert!(groups(r#""a":["group/local/b","group/local/c"],"b":["group/local/c"],"c":["user/dev/x"]"#).is_ok());
    let ring = |count: usize, last: &str| -> String {
        let one = |n: usize| {
            format!(
                r#""g{n}":["{}"]"#,
                if n + 1 == count { last.to_owned() } else { format!("group/local/g{}", n + 1) }
            )
        };
        (0..count).map(one).collect::<Vec<_>>().join(",")
    };
    assert!(groups(&ring(10_000, "user/dev/a")).is_ok());
    assert_eq!(groups(&ring(10_000, "group/local/g0")).unwrap_err().len(), 10_000);
}

#[test]
fn members_are_principals_and_no_services() {
    for member in ["service/ssm", "issuer/corp", "everyone"] {
        assert_eq!(groups(&format!(r#""g":["{member}"]"#)).unwrap_err(), [Code::PrincipalQcsError], "{member}");
    }
    assert_eq!(groups(r#""":[]"#).unwrap_err(), [Code::PrincipalQcsError]);
    assert_eq!(groups(r#""g":"user/dev/a""#).unwrap_err(), [Code::AttachmentError]);
}

#[test]
fn attack_d04_the_file_is_strict() {
    for text in [
        "",
        "[]",
        "{}",
        r#"{"version":"1"}"#,
        r#"{"version":2}"#,
        r#"{"version":1.0}"#,
        r#"{"version":1,"x":{}}"#,
        r#"{"version":1,"version":1}"#,
        r#"{"version":1,"groups":[]}"#,
        r#"{"version":1,"groups":{"g":[],"\u0067":[]}}"#,
        r#"{"version":1,"attachments":{}}"#,
        r#"{"version":1,"attachments":[7]}"#,
        r#"{"version":1,"attachments":[{"policy":"p"}]}"#,
        r#"{"version":1,"attachments":[{"to":[]}]}"#,
        r#"{"version":1,"attachments":[{"policy":7,"to":[]}]}"#,
        r#"{"version":1,"attachments":[{"policy":"p","to":"everyone"}]}"#,
        r#"{"version":1,"attachments":[{"policy":"p","to":[],"note":"x"}]}"#,
        r#"{"version":1,"boundaries":null}"#,
    ] {
        assert_eq!(parse(text).unwrap_err(), [Code::AttachmentError], "{text}");
    }
    let huge = format!(r#"{{"version":1}}{}"#, " ".repeat(FILE_BYTES_MAX));
    assert_eq!(parse(&huge).unwrap_err(), [Code::AttachmentError]);
}
