use super::super::testing::{document, file, settings, statement};
use super::*;

fn findings(text: &str) -> Vec<Finding> {
    Document::parse(&file("documents/p.json", text), "p", &settings()).err().unwrap_or_default()
}

fn codes(text: &str) -> Vec<Code> {
    findings(text).iter().map(|finding| finding.code).collect()
}

fn accepted(text: &str) -> Document {
    Document::parse(&file("documents/p.json", text), "p", &settings()).unwrap_or_else(|all| panic!("{text}: {all:?}"))
}

const GOOD: &str = r#"{"effect":"allow","action":"ssm:GetSecretValue","resource":"*"}"#;

#[test]
fn c02_both_versions_mean_the_same_and_no_other_exists() {
    for version in ["\"2.0\"", "\"3.0\""] {
        accepted(&format!(r#"{{"statement":[{GOOD}],"version":{version}}}"#));
    }
    for version in ["2.0", "\"2\"", "\"1.0\"", "\"2.0 \"", "null", "[\"2.0\"]", "\"4.0\""] {
        assert_eq!(
            codes(&format!(r#"{{"version":{version},"statement":[{GOOD}]}}"#)),
            [Code::VersionError],
            "{version}"
        );
    }
    assert_eq!(codes(&format!(r#"{{"statement":[{GOOD}]}}"#)), [Code::VersionError]);
}

#[test]
fn attack_d03_an_effect_is_exactly_allow_or_deny() {
    for effect in ["\"Deny\"", "\"DENY\"", "\" deny\"", "\"deny \"", "\"forbid\"", "\"\"", "true", "[\"deny\"]", "null"]
    {
        let text = format!(
            "{{\"version\":\"2.0\",\n\"statement\":[{{\"effect\":{effect},\"action\":\"*\",\"resource\":\"*\"}}]}}"
        );
        let findings = findings(&text);
        assert_eq!(findings.len(), 1, "{effect}");
        assert_eq!((findings[0].code, findings[0].line, findings[0].column), (Code::EffectError, 2, 24), "{effect}");
        assert_eq!(findings[0].file, "documents/p.json");
    }
    assert_eq!(codes(&document(r#"{"action":"*","resource":"*"}"#)), [Code::EffectError]);
}

#[test]
fn c01_c03_unknown_elements_are_refused_and_not_ignored() {
    assert_eq!(
        codes(r#"{"version":"2.0","comment":"x","statement":[]}"#),
        [Code::PolicyDocumentError, Code::StatementError]
    );
    for element in ["sid", "notAction", "notResource", "Effect", "conditions", "action "] {
        let text = document(&GOOD.replace("{\"effect\"", &format!("{{\"{element}\":\"x\",\"effect\"")));
        assert_eq!(codes(&text), [Code::StatementError], "{element}");
    }
}

#[test]
fn a_document_names_no_principal() {
    let principal = r#""principal":{"qcs":["user/dev/a"]},"#;
    assert_eq!(codes(&document(&GOOD.replacen('{', &format!("{{{principal}"), 1))), [Code::PrincipalError]);
    assert_eq!(codes(&document(GOOD).replacen('{', &format!("{{{principal}"), 1)), [Code::PrincipalError]);
    assert_eq!(codes(&document(&GOOD.replacen('{', r#"{"notPrincipal":"*","#, 1))), [Code::StatementError]);
}

#[test]
fn c05_c06_statements_are_a_list_that_is_not_empty() {
    for statement in ["[]", GOOD, "null", "\"x\"", "7"] {
        assert_eq!(
            codes(&format!(r#"{{"version":"2.0","statement":{statement}}}"#)),
            [Code::StatementError],
            "{statement}"
        );
    }
    assert_eq!(codes(r#"{"version":"2.0"}"#), [Code::StatementError]);
    assert_eq!(codes(&document("[]")), [Code::StatementError]);
    assert_eq!(codes(&document(r#"{"effect":"allow","action":[],"resource":"*"}"#)), [Code::ActionMiss]);
    assert_eq!(codes(&document(r#"{"effect":"allow","resource":"*"}"#)), [Code::ActionMiss]);
    assert_eq!(codes(&document(r#"{"effect":"allow","action":"*","resource":[]}"#)), [Code::ResourceError]);
    assert_eq!(codes(&document(r#"{"effect":"allow","action":"*"}"#)), [Code::ResourceError]);
    assert_eq!(codes(&document(r#"{"effect":"allow","action":"*","resource":7}"#)), [Code::ResourceError]);
    assert_eq!(
        codes(&document(r#"{"effect":"allow","action":"*","resource":"*","condition":{}}"#)),
        [Code::ConditionError]
    );
}

#[test]
fn attack_d04_c04_what_is_not_strict_json_is_refused() {
    let good = document(GOOD);
    for text in
        [
            String::new(),
            "[]".to_owned(),
            "\"x\"".to_owned(),
            format!("\u{feff}{good}"),
            format!("{good}{good}"),
            format!("{good}\0"),
            good.replace("\"version\":\"2.0\",", "\"version\":\"2.0\",\"version\":\"2.0\","),
            good.replace("\"action\"", "\"\\u0065ffect\":\"deny\",\"action\""),
            "[".repeat(10_000),
            document(&GOOD.replace(
                "\"*\"}",
                r#""*","condition":{"string_equal":{"qcs:uin":"7"},"string_equal":{"qcs:uin":"8"}}}"#,
            )),
        ]
    {
        let codes = codes(&text);
        assert!(
            !codes.is_empty() && codes.iter().all(|code| *code == Code::PolicyDocumentError),
            "{text:.80}: {codes:?}"
        );
    }
    let mut bytes = good.into_bytes();
    bytes.extend([b' ', 0xff]);
    let file = PolicyFile { path: "documents/p.json".to_owned(), bytes };
    assert_eq!(Document::parse(&file, "p", &settings()).unwrap_err()[0].code, Code::PolicyDocumentError);
}

#[test]
fn c07_the_size_is_counted_without_white_space_in_characters() {
    let filled = |count: usize| {
        let name = "a".repeat(count);
        let one = |name: &str| {
            format!(
                r#"{{"effect":"allow","action":"ssm:GetSecretValue","resource":"qcs::ssm:::secret/creatorUin/*/{name}"}}"#
            )
        };
        let parts: Vec<String> =
            name.as_bytes().chunks(500).map(|chunk| one(std::str::from_utf8(chunk).unwrap())).collect();
        document(&parts.join(","))
    };
    let length = |text: &str| text.chars().filter(|c| !c.is_whitespace()).count();
    let mut count = 4_000;
    while length(&filled(count)) < 6_144 {
        count += 1;
    }
    let full = filled(count);
    assert_eq!(length(&full), 6_144);
    accepted(&full);
    accepted(
        &full
            .replace(':', ": \t\r\n")
            .replace("qcs: \t\r\n: \t\r\nssm: \t\r\n: \t\r\n: \t\r\n", "qcs::ssm:::")
            .replace("ssm: \t\r\nGet", "ssm:Get"),
    );
    assert_eq!(codes(&filled(count + 1)), [Code::PolicyDocumentLengthOverLimit]);
    let wide =
        document(&GOOD.replace(
            "\"*\"}",
            &format!(r#""*","condition":{{"string_equal":{{"qcs:uin":"{}"}}}}}}"#, "é".repeat(5_900)),
        ));
    accepted(&wide);
    assert!(wide.len() > 6_144 * 3 / 2);
    accepted(&document(
        &GOOD.replace(
            "\"*\"}",
            &format!(r#""*","condition":{{"string_equal":{{"qcs:uin":"{}"}}}}}}"#, " ".repeat(9_000)),
        ),
    ));
    assert_eq!(
        codes(&format!("{}{}", document(GOOD), " ".repeat(FILE_BYTES_MAX))),
        [Code::PolicyDocumentLengthOverLimit]
    );
}

#[test]
fn c33_a_resource_that_no_action_can_have_is_refused() {
    let with = |effect: &str, action: &str, resource: &str| {
        document(&format!(r#"{{"effect":"{effect}","action":{action},"resource":"{resource}"}}"#))
    };
    for (effect, action, resource) in [
        ("allow", r#""ssm:ListSecrets""#, "qcs::ssm:::*"),
        ("allow", r#""ssm:ListSecrets""#, "qcs::ssm:::secret/*"),
        ("deny", r#""ssm:ListSecrets""#, "qcs::ssm:::secret/*"),
        ("deny", r#""kms:*""#, "qcs::ssm:::*"),
        ("deny", r#""ssm:GetSecretValue""#, "qcs::kms:::*"),
        ("deny", r#""cos:GetObject""#, "qcs::cos:::*"),
    ] {
        let refused = codes(&with(effect, action, resource)) == [Code::ResourceContentError];
        assert_eq!(refused, action != r#""cos:GetObject""#, "{effect} {action} {resource}");
    }
    for (effect, action, resource) in [
        ("deny", r#""ssm:ListSecrets""#, "qcs::ssm:::*"),
        ("allow", r#""*""#, "qcs::ssm:::secret/*"),
        ("allow", r#"["ssm:ListSecrets","ssm:GetSecretValue"]"#, "qcs::ssm:::*"),
        ("allow", r#""kms:Decrypt""#, "qcs::kms:::key/*"),
        ("allow", r#""cloudaudit:SearchRecords""#, "qcs::ssm:::secret/creatorUin/*/prod/*"),
    ] {
        accepted(&with(effect, action, resource));
    }
}

#[test]
fn foreign_statements_are_checked_for_syntax_and_have_no_effect() {
    let foreign = |rest: &str| {
        document(&format!(
            r#"{{"effect":"deny","action":"cos:GetObject","resource":"qcs::cos:gz:uid/9:bucket/*"{rest}}}"#
        ))
    };
    assert!(!accepted(&foreign("")).denies());
    accepted(&foreign(r#","condition":{"string_equal":{"cos:prefix":["a",7]},"ip_equal":{"qcs:vpc":"x"}}"#));
    assert_eq!(codes(&foreign(r#","condition":{"string_equals":{"cos:prefix":"a"}}"#)), [Code::ConditionTypeError]);
    assert_eq!(codes(&foreign(r#","condition":{"string_equal":{"cos:prefix":[]}}"#)), [Code::ConditionContentError]);
    assert_eq!(codes(&foreign("").replace("qcs::cos:gz", "cos::gz")), [Code::ResourceQcsError]);
    let mixed = r#"{"effect":"deny","action":["cos:GetObject","ssm:GetSecretValue"],"resource":["qcs::cos:::x","qcs::ssm:::*"],"condition":{"string_equal":{"cos:prefix":"a"}}}"#;
    assert_eq!(codes(&document(mixed)), [Code::ConditionContentError], "a statement with effect has keyward's keys");
    let unnamed = r#"{"effect":"deny","action":"ssm:GetSecretValue","resource":"qcs::cos:::x"}"#;
    assert_eq!(codes(&document(unnamed)), [Code::ResourceContentError]);
    assert_eq!(codes(&document(&statement("allow", "cvm:Run"))), [Code::ActionServiceNotExist]);
}

#[test]
fn a_service_of_the_catalogue_cannot_be_made_foreign() {
    let mut settings = settings();
    settings.foreign_services.push("ssm".to_owned());
    let text = document(r#"{"effect":"deny","action":"ssm:GetSecretValue","resource":"qcs::ssm:::*"}"#);
    assert!(Document::parse(&file("documents/p.json", &text), "p", &settings).unwrap().denies());
}

#[test]
fn every_finding_names_file_place_and_text_and_all_come_at_once() {
    let text = "{\"version\":\"1\",\n \"statement\":[\n  {\"effect\":\"Deny\",\"action\":\"ssm:Gett\",\n   \"resource\":\"qcs::ssm:gz::*\"},\n  {\"effect\":\"allow\"}]}";
    let all = findings(text);
    let places: Vec<(Code, u32, u32, &str)> = all.iter().map(|f| (f.code, f.line, f.column, f.text.as_str())).collect();
    assert_eq!(
        places,
        [
            (Code::VersionError, 1, 12, "1"),
            (Code::EffectError, 3, 13, "Deny"),
            (Code::ActionNotExist, 3, 29, "ssm:Gett"),
            (Code::ResourceRegionError, 4, 15, "qcs::ssm:gz::*"),
            (Code::ActionMiss, 5, 3, "action"),
            (Code::ResourceError, 5, 3, "resource"),
        ]
    );
    assert!(
        all[1].to_string().starts_with("documents/p.json:3:13: InvalidParameter.EffectError: `Deny`: "),
        "{}",
        all[1]
    );
    assert!(all.iter().all(|finding| !finding.to_string().contains('\n')));
}

#[test]
fn a_quoted_text_is_shortened_and_cannot_break_the_line() {
    let finding = &findings(&document(&statement("allow", &format!("ssm:\\n{}", "x".repeat(500)))))[0];
    assert!(finding.text.chars().count() <= 81 && !finding.to_string().contains('\n'));
}

mod total {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn i10_no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = findings(&text);
        }

        #[test]
        fn i10_no_mangled_document_makes_the_parser_panic(cut in 0_usize..200, byte in any::<u8>()) {
            let mut bytes = document(GOOD).into_bytes();
            let cut = cut % bytes.len();
            bytes[cut] = byte;
            let file = PolicyFile { path: "documents/p.json".to_owned(), bytes };
            let _ = Document::parse(&file, "p", &settings());
        }
    }
}
