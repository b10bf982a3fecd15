//! Random drafts against a canonicalizer of others, and reading as the inverse of writing.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;

use super::*;

/// Text of any characters, control characters and those that JSON escapes among them.
fn text() -> BoxedStrategy<String> {
    let awkward = prop::sample::select(vec!['"', '\\', '/', '\0', '\n', '\u{1f}', '\u{7f}', '\u{2028}', '\u{feff}']);
    let character = prop_oneof![4 => any::<char>(), 1 => awkward, 4 => prop::char::range('a', 'z')];
    vec(character, 0..20).prop_map(|characters| characters.into_iter().collect()).boxed()
}

fn key() -> BoxedStrategy<String> {
    vec(prop::char::range('\0', '\u{7f}'), 0..8).prop_map(|characters| characters.into_iter().collect()).boxed()
}

fn integer() -> BoxedStrategy<u64> {
    prop_oneof![0..=INTEGER_MAX, Just(0), Just(INTEGER_MAX)].boxed()
}

fn value() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        integer().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![vec(inner.clone(), 0..4).prop_map(Value::from), btree_map(key(), inner, 0..4).prop_map(Value::from)]
    })
    .boxed()
}

fn decision() -> impl Strategy<Value = Decision> {
    prop::sample::select(vec![Decision::Allow, Decision::Deny, Decision::Error])
}

fn context() -> impl Strategy<Value = Context> {
    let conditions = btree_map(key(), btree_set(text(), 0..4), 0..5);
    let unknown = btree_set(prop::sample::select(vec![Unknown::Creator, Unknown::Tags]), 0..3);
    (conditions, btree_set(text(), 0..4), btree_set(text(), 0..3), unknown)
        .prop_map(|(conditions, groups, roles, unknown)| Context { conditions, groups, roles, unknown })
}

fn credential() -> impl Strategy<Value = Credential> {
    let id = prop_oneof![text().prop_map(TokenId::Jti), text().prop_map(TokenId::Hash)];
    prop_oneof![
        (integer(), id, integer(), of(text())).prop_map(|(expires, id, issued, kid)| Credential::Token {
            expires,
            id,
            issued,
            kid
        }),
        (text(), integer()).prop_map(|(access_key, issued)| Credential::AccessKey { access_key, issued }),
        (text(), integer(), integer()).prop_map(|(access_key, expires, issued)| Credential::Session {
            access_key,
            expires,
            issued
        }),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    let names =
        prop::sample::select(vec![LayerName::Identity, LayerName::Boundary, LayerName::Session, LayerName::Trust]);
    let effects = prop::sample::select(vec![Effect::Allow, Effect::Deny]);
    let layer = (of(text()), effects, names, of(any::<u32>())).prop_map(|(document, effect, layer, statement)| Layer {
        document,
        effect,
        layer,
        statement,
    });
    let shadow = (decision(), text()).prop_map(|(decision, revision)| Shadow { decision, revision });
    (vec(layer, 0..4), text(), any::<u32>(), of(shadow)).prop_map(|(layers, revision, semantics, shadow)| Policy {
        layers,
        revision,
        semantics,
        shadow,
    })
}

prop_compose! {
    fn draft()(
        kind in prop::sample::select(Kind::ALL.to_vec()),
        request in any::<u128>().prop_map(|bits| uuid::Uuid::from_u128(bits).hyphenated().to_string()),
        outcome in of(prop::sample::select(vec![
            Outcome::Ok, Outcome::Denied, Outcome::Failed, Outcome::Pending, Outcome::Unknown,
        ])),
        texts in vec(text(), 2),
        optional in vec(of(text()), 11),
        user_agent in of(text()),
        source_ip in of(any::<IpAddr>().prop_map(|address| address.to_canonical())),
        answers in of(integer()),
        parts in (of(context()), of(credential()), of(decision()), of(policy())),
        parameters in btree_map(key(), value(), 0..4),
    ) -> Draft {
        let [action, door] = texts.try_into().unwrap();
        let [assumed_by, certificate, issuer, personal, principal, reason, resource, secret_version, session,
            session_policy, value] = optional.try_into().unwrap();
        let (context, credential, decision, policy) = parts;
        Draft {
            action, answers, assumed_by, certificate, context, credential, decision, door, issuer, kind, outcome,
            parameters, personal, policy, principal, reason, request, resource, secret_version, session,
            session_policy, source_ip, user_agent: user_agent.map(|text| UserAgent::shortened(&text)), value,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn i07_any_draft_is_written_as_the_canonicalizer_writes_it(
        draft in draft(), epoch in any::<u32>(), index in integer(), time in integer(),
    ) {
        let framed = draft.frame().unwrap();
        let bytes = framed.finish(epoch, index, time);
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let canonical = serde_json_canonicalizer::to_vec(&value).unwrap();
        prop_assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&canonical));
        prop_assert!(bytes.len() <= framed.bytes_max());
    }

    #[test]
    fn i04_any_draft_comes_back_from_its_bytes(
        draft in draft(), epoch in any::<u32>(), index in integer(), time in integer(),
    ) {
        let record = Record::parse(&draft.frame().unwrap().finish(epoch, index, time)).unwrap();
        prop_assert_eq!(record.draft(), &draft);
        prop_assert_eq!((record.epoch(), record.index(), record.time_us()), (epoch, index, time));
    }

    #[test]
    fn i10_parsing_is_total_on_any_bytes(bytes in vec(any::<u8>(), 0..300)) {
        let _ = Record::parse(&bytes);
    }

    #[test]
    fn i07_whatever_is_read_has_one_form(
        which in 0..18_usize, place in any::<prop::sample::Index>(), with in "\\PC{0,3}", cut in 0..4_usize,
    ) {
        let truth = samples::all().nth(which).unwrap().bytes;
        let place = place.index(truth.len());
        let end = (place + cut).min(truth.len());
        let bytes = [&truth[..place], with.as_bytes(), &truth[end..]].concat();
        if let Ok(record) = Record::parse(&bytes) {
            let value: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(serde_json_canonicalizer::to_vec(&value).unwrap(), &bytes[..]);
            let again = record.draft().frame().unwrap().finish(record.epoch(), record.index(), record.time_us());
            prop_assert_eq!(again, bytes);
        }
    }
}
