//! Properties of tokens at large.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

static TOKEN: LazyLock<String> = LazyLock::new(|| token(&good()));
static DEV: LazyLock<Authenticator> = LazyLock::new(|| authenticator(settings()));

/// Every other character at every place of the signature: no second spelling of it is taken either.
#[test]
fn no_changed_signature_authenticates() {
    let start = TOKEN.rfind('.').unwrap() + 1;
    for place in start..TOKEN.len() {
        for byte in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=.+/ ".iter().step_by(3) {
            let mut bytes = TOKEN.clone().into_bytes();
            if bytes[place] != *byte {
                bytes[place] = *byte;
                assert_ne!(ask(&DEV, &String::from_utf8(bytes).unwrap()), "ok");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_single_byte_mutation_of_a_good_token_authenticates(place: prop::sample::Index, byte in 0_u8..128) {
        let mut bytes = TOKEN.clone().into_bytes();
        let place = place.index(bytes.len());
        prop_assume!(bytes[place] != byte);
        bytes[place] = byte;
        prop_assert_ne!(ask(&DEV, &String::from_utf8(bytes).unwrap()), "ok");
    }

    #[test]
    fn no_token_with_a_byte_more_or_less_authenticates(place: prop::sample::Index, byte in 0_u8..128, more: bool) {
        let mut text = TOKEN.clone();
        let at = place.index(text.len());
        if more { text.insert(at, char::from(byte)) } else { text.remove(at); }
        prop_assert_ne!(ask(&DEV, &text), "ok");
    }

    #[test]
    fn no_text_panics(text: String) {
        prop_assert_ne!(ask(&DEV, &text), "ok");
    }

    /// Signed by the right key, so that only the checks of header and claims stand between it and an answer: a header
    /// or claims of any JSON never panic, and never give more than one issuer's principal.
    #[test]
    fn no_signed_json_panics(header in json_text(), claims in json_text()) {
        let token = token_of(&ED, "EdDSA", &header, &claims);
        prop_assert_ne!(ask(&DEV, &token), "ok");
        let token = token_of(&ED, "EdDSA", r#"{"alg":"EdDSA"}"#, &claims);
        prop_assert_ne!(ask(&DEV, &token), "ok");
    }

    /// The reader of JSON agrees with the common one on everything without repeated names.
    #[test]
    fn strict_json_reads_what_the_common_reader_reads(text in json_text()) {
        let common: Result<Value, _> = serde_json::from_str(&text);
        prop_assert_eq!(crate::json::parse_object(text.as_bytes(), super::super::JSON_DEPTH_MAX).is_some(), common.is_ok_and(|value| value.is_object()));
    }
}

/// JSON of claim-like objects, without `iss`, so that none is a token of the issuer.
fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,3}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    let name = prop_oneof![
        Just("alg".to_owned()),
        Just("kid".to_owned()),
        Just("exp".to_owned()),
        Just("aud".to_owned()),
        "[a-z]{1,3}".prop_map(|name| if name == "iss" { "sub".to_owned() } else { name })
    ];
    prop::collection::btree_map(name, value, 0..5).prop_map(|map| Value::Object(map.into_iter().collect()).to_string())
}
