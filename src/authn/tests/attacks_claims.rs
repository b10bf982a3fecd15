//! The rows of the attack checklist that authentication answers, by number: what a token says. Each case states the
//! cause that its record will have; the status and the body are the doors' tests.

use serde_json::{Value, json};

use super::attacks::all_refused;
use super::*;

#[test]
fn attack_a04_times_that_are_no_integers() {
    let authenticator = authenticator(settings());
    let odd = [
        "\"1767226000\"",
        "1767226000.0",
        "1767226000.5",
        "1.767226e9",
        "-1",
        "null",
        "[1767226000]",
        "{}",
        "true",
        "9007199254740992",
        "18446744073709551616",
        "1e400",
    ];
    for name in ["exp", "nbf", "iat"] {
        for text in odd {
            let rest = but(name, None).to_string();
            let claims = format!("{{\"{name}\":{text},{}", rest.strip_prefix('{').unwrap());
            let cause = if text == "1e400" { "malformed" } else { "claim_format" };
            assert_eq!(
                ask(&authenticator, &token_of(&ED, "EdDSA", r#"{"alg":"EdDSA"}"#, &claims)),
                cause,
                "{name} {text}"
            );
        }
    }
    all_refused(&authenticator, "claim_format", ["exp", "iat"].map(|name| token(&but(name, None))));
}

#[test]
fn attack_a05_names_that_are_no_text() {
    let authenticator = authenticator(settings());
    for name in ["iss", "aud", "sub"] {
        for value in [json!(1), json!({}), json!({"a": ISS}), Value::Null, json!(true), json!(1.5)] {
            assert_eq!(ask(&authenticator, &token(&but(name, Some(value.clone())))), "claim_format", "{name} {value}");
        }
    }
    all_refused(
        &authenticator,
        "claim_format",
        [
            token(&but("sub", Some(json!(["svc-billing"])))),
            token(&but("sub", None)),
            token(&but("aud", Some(json!(["keyward", 1])))),
            token(&but("jti", Some(json!(7)))),
            token(&but("jti", Some(json!("")))),
            token(&but("jti", Some(json!("j".repeat(257))))),
            token(&but("groups", Some(json!("billing")))),
            token(&but("groups", Some(Value::Null))),
            token(&but("roles", Some(json!([1])))),
        ],
    );
}

#[test]
fn attack_a06_issuers_that_are_nearly_ours() {
    let values = [
        json!(""),
        json!("https://keyward.local/dev/"),
        json!("https://Keyward.local/dev"),
        json!("HTTPS://keyward.local/dev"),
        json!(" https://keyward.local/dev"),
        json!("https://keyward.local/dev\u{0}"),
        json!([ISS]),
        json!(["https://evil.example", ISS]),
        json!([]),
    ];
    let tokens = values.map(|value| token(&but("iss", Some(value)))).into_iter().chain([token(&but("iss", None))]);
    all_refused(&authenticator(settings()), "issuer", tokens);
}

#[test]
fn attack_a07_audiences_of_others() {
    let authenticator = authenticator(settings());
    let others = [
        json!("other"),
        json!(["other"]),
        json!([]),
        json!(""),
        json!("Keyward"),
        json!(["keyward "]),
        json!("keyward,other"),
    ];
    let tokens = others.map(|value| token(&but("aud", Some(value)))).into_iter().chain([token(&but("aud", None))]);
    all_refused(&authenticator, "audience", tokens);
    for ours in [json!("keyward"), json!(["keyward"]), json!(["other", "keyward"])] {
        assert_eq!(ask(&authenticator, &token(&but("aud", Some(ours)))), "ok");
    }
}

#[test]
fn attack_a12_times_and_both_edges_of_the_leeway() {
    let authenticator = authenticator(settings());
    let at = |claims: &Value, now_s: u64| word(&authenticator.authenticate(&token(claims), now_s, &Rows::default()));
    let claims = json!({"iss": ISS, "aud": "keyward", "sub": "a", "iat": NOW, "nbf": NOW + 100, "exp": NOW + 1_000});
    let late = [
        (NOW + 999, "ok"),
        (NOW + 1_000, "ok"),
        (NOW + 1_029, "ok"),
        (NOW + 1_030, "expired"),
        (NOW + 9_999, "expired"),
    ];
    let early = [(NOW + 70, "ok"), (NOW + 69, "not_yet_valid"), (0, "not_yet_valid")];
    // In this order: each is remembered from the one before, and the clock goes back between them.
    for (now_s, expected) in late.into_iter().chain(early).chain([(NOW + 500, "ok")]) {
        assert_eq!(at(&claims, now_s), expected, "at {now_s}");
    }
    let ahead = |iat: u64| json!({"iss": ISS, "aud": "keyward", "sub": "a", "iat": iat, "exp": iat + 900});
    assert_eq!((at(&ahead(NOW + 30), NOW), at(&ahead(NOW + 31), NOW)), ("ok", "not_yet_valid"));
    let life = |life_s: u64| json!({"iss": ISS, "aud": "keyward", "sub": "a", "iat": NOW, "exp": NOW + life_s});
    assert_eq!((at(&life(86_400), NOW), at(&life(86_401), NOW)), ("ok", "lifetime"));
    let backwards = json!({"iss": ISS, "aud": "keyward", "sub": "a", "iat": NOW, "exp": NOW - 1});
    assert_eq!(at(&backwards, NOW), "lifetime");
    assert_eq!(at(&but("iat", None), NOW), "claim_format");
    assert_eq!(
        at(&json!({"iss": ISS, "aud": "keyward", "sub": "a", "iat": 0, "exp": 9_007_199_254_740_991_u64}), NOW),
        "lifetime"
    );
}

#[test]
fn attack_a15_names_are_bytes() {
    let authenticator = authenticator(settings());
    let odd = [
        "*",
        "+",
        "a/b",
        "/",
        "a,b",
        "${qcs:uin}",
        "\u{430}dmin",
        "admin ",
        "Admin",
        "user/dev/admin",
        "\u{202e}nimda",
        "é",
        "e\u{301}",
    ];
    for name in odd {
        let mut claims = good();
        claims["sub"] = json!(name);
        claims["groups"] = json!([name]);
        claims["roles"] = json!([name]);
        let who = authenticator.authenticate(&token(&claims), NOW, &Rows::default()).unwrap();
        assert_eq!(who.principal.as_str(), format!("user/dev/{name}"));
        assert_eq!(who.groups[0].as_str(), format!("group/dev/{name}"));
        assert_eq!(who.roles[0].as_str(), format!("role/dev/{name}"));
    }
    let bad = [
        String::new(),
        "x".repeat(257),
        "a\u{0}".to_owned(),
        "a\nb".to_owned(),
        "\u{7f}".to_owned(),
        "\u{85}".to_owned(),
        "é".repeat(129),
    ];
    for name in bad {
        all_refused(
            &authenticator,
            "claim_format",
            [
                token(&but("sub", Some(json!(name)))),
                token(&but("groups", Some(json!(["fine", name])))),
                token(&but("roles", Some(json!([name])))),
            ],
        );
    }
    assert_eq!(ask(&authenticator, &token(&but("sub", Some(json!("x".repeat(256)))))), "ok");
}

#[test]
fn attack_a19_groups_that_are_cut_or_missing() {
    let optional = authenticator(settings());
    let required = authenticator(IssuerSettings { groups: GroupsRule::Required, ..settings() });
    let overage = [
        but("_claim_names", Some(json!({"groups": "src1"}))),
        but("_claim_names", Some(json!({"roles": "src1"}))),
        but("hasgroups", Some(json!(true))),
        but("hasgroups", Some(json!("true"))),
    ];
    for claims in &overage {
        all_refused(&optional, "groups_incomplete", [token(claims)]);
        all_refused(&required, "groups_incomplete", [token(claims)]);
    }
    assert_eq!(ask(&optional, &token(&but("_claim_names", Some(json!(["groups"]))))), "claim_format");
    let elsewhere = token(&but("_claim_names", Some(json!({"address": "src1"}))));
    assert_eq!((ask(&optional, &elsewhere), ask(&required, &elsewhere)), ("ok", "ok"));
    let without = token(&but("groups", None));
    assert_eq!((ask(&optional, &without), ask(&required, &without)), ("ok", "groups_incomplete"));
    assert_eq!(ask(&required, &token(&but("groups", Some(json!([]))))), "ok");
}

#[test]
fn attack_a20_more_names_than_a_record_holds() {
    let authenticator = authenticator(settings());
    let of = |groups: Vec<String>, roles: Vec<String>| {
        let mut claims = good();
        claims["groups"] = json!(groups);
        claims["roles"] = json!(roles);
        token(&claims)
    };
    let numbered = |count: usize| (0..count).map(|n| format!("{n:x}")).collect::<Vec<_>>();
    let many = |groups: usize, roles: usize| {
        ask(&authenticator, &of(vec!["a".to_owned(); groups], vec!["b".to_owned(); roles]))
    };
    assert_eq!(many(201, 0), "identity_too_large");
    assert_eq!(many(101, 100), "identity_too_large");
    assert_eq!(ask(&authenticator, &of(numbered(150), Vec::new())), "ok");
    assert_eq!(ask(&authenticator, &of(numbered(200), Vec::new())), "identity_too_large");
    // {"groups":["group/dev/<name>",..]}: 13 bytes around the list, 13 for each name but for the last comma.
    let exact = |last: usize| {
        let mut names: Vec<String> = (0..9).map(|n| format!("{n}{}", "x".repeat(255))).collect();
        names.push("y".repeat(last));
        ask(&authenticator, &of(names, Vec::new()))
    };
    let last = 2_560 - 13 - (10 * 13 - 1) - 9 * 256;
    assert_eq!((exact(last), exact(last + 1)), ("ok", "identity_too_large"));
}
