use super::super::testing::{Ask, ask, settings};
use super::*;
use crate::actions::by_name;
use crate::resource::SecretName;
use StatementEffect::{Allow, Deny};
use proptest::prelude::*;

fn parse(text: &str) -> Result<ResourcePattern, Refusal> {
    ResourcePattern::parse(text, &settings())
}

fn matches(pattern: &str, effect: StatementEffect, ask: &Ask) -> bool {
    parse(pattern).unwrap_or_else(|refusal| panic!("{pattern}: {refusal:?}")).matches(&ask.facts(), effect)
}

fn on(creator: u64, name: &str) -> Ask {
    ask("user/dev/a").secret(creator, name)
}

#[test]
fn vectors_patterns_that_mean_every_secret() {
    for pattern in [
        "*",
        "qcs:::::*",
        "qcs:id/0:ssm:::secret/*",
        "qcs::ssm:::secret/creatorUin/*",
        "qcs::*:*:*:*",
        "qcs::ssm:ap-guangzhou:uin/1:*",
    ] {
        assert!(matches(pattern, Allow, &on(7, "prod/db")), "{pattern}");
        assert!(matches(pattern, Allow, &on(9, "x")), "{pattern}");
    }
}

#[test]
fn vectors_c11_attack_c07_the_creators_star_does_not_reach_into_the_name() {
    let pattern = "qcs::ssm:ap-guangzhou:uin/1:secret/creatorUin/*/prod/*";
    assert!(matches(pattern, Allow, &on(7, "prod/db")));
    assert!(matches(pattern, Allow, &on(7, "prod/a/b/c")));
    assert!(!matches(pattern, Allow, &on(7, "prod")));
    assert!(!matches(pattern, Allow, &on(7, "dev/prod/db")));
}

#[test]
fn vectors_c35_a_number_is_one_creator() {
    let pattern = "qcs::ssm:::secret/creatorUin/7/*-db";
    assert!(matches(pattern, Allow, &on(7, "a/b-db")));
    assert!(!matches(pattern, Allow, &on(8, "a-db")));
    assert!(!matches(pattern, Allow, &on(7, "a-DB")));
}

#[test]
fn vectors_c39_uin_is_the_callers_own_number() {
    let pattern = "qcs::ssm:::secret/creatorUin/${uin}/*";
    assert!(matches(pattern, Allow, &on(7, "x")));
    assert!(!matches(pattern, Allow, &on(70, "x")));
    let creation = ask("user/dev/a").action("CreateSecret");
    assert!(matches(pattern, Allow, &creation));
    assert!(matches("qcs::ssm:::secret/creatorUin/7/*", Allow, &creation));
    assert!(!matches("qcs::ssm:::secret/creatorUin/8/*", Allow, &creation));
    assert!(matches("qcs::ssm:::secret/creatorUin/*/p-${uin}-${owner_uin}", Allow, &on(9, "p-7-1")));
    assert!(!matches("qcs::ssm:::secret/creatorUin/*/p-${uin}", Allow, &on(9, "p-9")));
}

#[test]
fn vectors_attack_d13_c41_a_missing_secret_has_an_unknown_creator() {
    let missing = ask("user/dev/a").missing("prod/db");
    for pattern in ["qcs::ssm:::secret/creatorUin/${uin}/*", "qcs::ssm:::secret/creatorUin/7/prod/*"] {
        assert!(!matches(pattern, Allow, &missing), "{pattern}");
        assert!(matches(pattern, Deny, &missing), "{pattern}");
    }
    assert!(!matches("qcs::ssm:::secret/creatorUin/7/dev/*", Deny, &missing), "the name still has to fit");
    assert!(matches("qcs::ssm:::secret/creatorUin/*/prod/*", Allow, &missing));
    assert!(matches("*", Allow, &missing));
}

#[test]
fn vectors_c33_operation_level_matches_a_star_and_denies_also_six_segments() {
    let list = ask("user/dev/a").operation("ListSecrets");
    let pattern = "qcs::ssm:ap-guangzhou::*";
    assert!(!matches(pattern, Allow, &list));
    assert!(matches(pattern, Deny, &list));
    assert!(matches(pattern, Allow, &on(1, "x")));
    assert!(matches("*", Allow, &list));
    assert!(!matches("qcs::ssm:::secret/*", Deny, &list));
    assert!(!matches("qcs::kms:::*", Deny, &list));
    assert!(matches("qcs:::::*", Deny, &list));
}

#[test]
fn a_search_of_one_secret_is_on_that_secret_and_else_operation_level() {
    let one = ask("user/dev/a").action("SearchRecords");
    let all = ask("user/dev/a").operation("SearchRecords");
    assert!(matches("qcs::ssm:::secret/creatorUin/*/prod/*", Allow, &one));
    assert!(!matches("qcs::ssm:::secret/creatorUin/*/prod/*", Deny, &all));
    assert!(matches("qcs::cloudaudit:::*", Deny, &all));
    assert!(!matches("qcs::cloudaudit:::*", Deny, &one));
}

#[test]
fn keys_have_their_own_type_word() {
    let key = ask("service/ssm").key("k1");
    for pattern in ["*", "qcs::kms:::*", "qcs:::::key/*", "qcs::kms:::key/k1", "qcs::kms:::key/k*"] {
        assert!(matches(pattern, Allow, &key), "{pattern}");
    }
    for pattern in ["qcs::kms:::key/k2", "qcs::ssm:::*", "qcs::ssm:::secret/*"] {
        assert!(!matches(pattern, Allow, &key), "{pattern}");
    }
    assert!(!matches("qcs::kms:::key/*", Allow, &on(7, "k1")));
}

#[test]
fn c13_to_c16_c35_c38_attack_c07_other_resources_are_refused_with_their_code() {
    use Code::{
        ResourceContentError as Content, ResourceProjectError as Project, ResourceQcsError as Qcs,
        ResourceRegionError as Region, ResourceServiceNotExist as Service, ResourceUinError as Uin,
    };
    for (text, code) in [
        ("", Qcs),
        ("**", Qcs),
        ("secret/*", Qcs),
        ("qcs::ssm:::", Content),
        ("qcs::ssm::", Qcs),
        ("QCS::ssm:::*", Qcs),
        (" qcs::ssm:::*", Qcs),
        ("arn::ssm:::*", Qcs),
        ("qcs:id/1:ssm:::*", Project),
        ("qcs:*:ssm:::*", Project),
        ("qcs::cvm:::*", Service),
        ("qcs::SSM:::*", Service),
        ("qcs::s*:::*", Service),
        ("qcs::ssm :::*", Service),
        ("qcs::ssm:gz::*", Region),
        ("qcs::ssm:ap-*::*", Region),
        ("qcs::ssm:ap-shanghai::*", Region),
        ("qcs::ssm: ::*", Region),
        ("qcs::ssm::uin/2:*", Uin),
        ("qcs::ssm::uid/1:*", Uin),
        ("qcs::ssm::uin/${uin}:*", Uin),
        ("qcs::ssm::1:*", Uin),
        ("qcs::ssm::uin/*:*", Uin),
        ("qcs::ssm::uin/:*", Uin),
        ("qcs::ssm:::secret/db", Content),
        ("qcs::ssm:::secret", Content),
        ("qcs::ssm:::secret/", Content),
        ("qcs::ssm:::secret/creatorUin/7", Content),
        ("qcs::ssm:::secret/creatorUin/7/", Content),
        ("qcs::ssm:::secret/creatorUin/1*/db", Content),
        ("qcs::ssm:::sec*", Content),
        ("qcs::ssm:::**", Content),
        ("qcs::ssm:::secret/creatorUin/07/db", Content),
        ("qcs::ssm:::secret/creatorUin/+7/db", Content),
        ("qcs::ssm:::secret/creatorUin/4503599627370496/db", Content),
        ("qcs::ssm:::secret/creatorUin/${owner_uin}/db", Content),
        ("qcs::ssm:::secret/creatorUin//db", Content),
        ("qcs::ssm:::secret/creatoruin/7/db", Content),
        ("qcs::ssm:::secret/creatorUin/*/a?b", Content),
        ("qcs::ssm:::secret/creatorUin/*/a//b", Content),
        ("qcs::ssm:::secret/creatorUin/*/a/", Content),
        ("qcs::ssm:::secret/creatorUin/*/../a", Content),
        ("qcs::ssm:::secret/creatorUin/*/a/./b", Content),
        ("qcs::ssm:::secret/creatorUin/*//a", Content),
        ("qcs::ssm:::secret/creatorUin/*/.a", Content),
        ("qcs::ssm:::secret/creatorUin/*/a b", Content),
        ("qcs::ssm:::secret/creatorUin/*/a:b", Content),
        ("qcs::ssm:::secret/creatorUin/*/é", Content),
        ("qcs::ssm:::secret/creatorUin/*/${uin", Content),
        ("qcs::ssm:::secret/creatorUin/*/${name}", Content),
        ("qcs::ssm:::key/*", Content),
        ("qcs::kms:::secret/*", Content),
        ("qcs::kms:::key/", Content),
        ("qcs::kms:::key/?", Content),
        ("qcs::cloudaudit:::secret/*", Content),
        ("qcs::cam:::user/*", Content),
        ("qcs:::::user/*", Content),
    ] {
        assert_eq!(parse(text).unwrap_err().0, code, "{text}");
    }
    let long = format!("qcs::ssm:::secret/creatorUin/*/{}", "a".repeat(513));
    assert_eq!(parse(&long).unwrap_err().0, Content);
}

#[test]
fn the_message_says_what_to_write() {
    assert!(parse("qcs::ssm:gz::*").unwrap_err().1.contains("`ap-guangzhou`"));
    assert!(parse("qcs::ssm::uin/${uin}:*").unwrap_err().1.contains("empty"));
}

#[test]
fn a_foreign_service_is_kept_by_name_and_never_matches() {
    assert_eq!(parse("qcs::cos:gz:uid/9:anything").unwrap(), ResourcePattern::Foreign("cos".to_owned()));
    assert!(!matches("qcs::cos:::*", Deny, &on(7, "x")));
}

#[test]
fn what_can_never_match_is_told_from_what_can() {
    let can = |pattern: &str, action: &str, effect| parse(pattern).unwrap().can_match(by_name(action).unwrap(), effect);
    assert!(can("*", "ListSecrets", Allow));
    assert!(!can("qcs::ssm:::*", "ListSecrets", Allow));
    assert!(can("qcs::ssm:::*", "ListSecrets", Deny));
    assert!(!can("qcs::ssm:::secret/*", "ListSecrets", Deny));
    assert!(can("qcs::ssm:::secret/*", "CreateSecret", Allow));
    assert!(can("qcs::ssm:::secret/*", "SearchRecords", Allow));
    assert!(can("qcs::cloudaudit:::*", "SearchRecords", Deny));
    assert!(!can("qcs::cloudaudit:::*", "SearchRecords", Allow));
    assert!(!can("qcs::kms:::key/*", "GetSecretValue", Deny));
    assert!(can("qcs::kms:::key/*", "Decrypt", Allow));
    assert!(!can("qcs::ssm:::*", "Decrypt", Allow));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    /// A pattern is refused as matching no valid name only if none of the valid names tried fits.
    #[test]
    fn a_pattern_that_some_valid_name_fits_is_accepted(name in "[ab]{1,2}(/[ab.]{0,2}[ab]){0,2}", stars in prop::collection::vec(0_usize..7, 0..3)) {
        prop_assert!(SecretName::parse(&name).is_ok());
        let mut pattern: Vec<char> = name.chars().collect();
        for star in stars {
            let at = star.min(pattern.len());
            pattern.insert(at, '*');
            if at + 1 < pattern.len() { pattern.remove(at + 1); }
        }
        let pattern: String = pattern.into_iter().collect();
        let text = format!("qcs::ssm:::secret/creatorUin/*/{pattern}");
        prop_assert!(parse(&text).is_ok(), "{}", pattern);
        prop_assert!(matches(&text, Allow, &on(7, &name)), "{} {}", pattern, name);
    }

    #[test]
    fn a_pattern_without_star_is_accepted_exactly_if_it_is_a_name(name in "[ab/.]{1,6}") {
        let accepted = parse(&format!("qcs::ssm:::secret/creatorUin/*/{name}")).is_ok();
        prop_assert_eq!(accepted, SecretName::parse(&name).is_ok());
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "(qcs:)?[:a-z*/${}?]{0,40}|\\PC{0,40}") {
        let _ = parse(&text);
    }
}
