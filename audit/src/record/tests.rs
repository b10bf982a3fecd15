use super::*;
use crate::samples;

mod arbitrary;
mod canonical;

const REQUEST: &str = "2244a341-e0fd-4058-aa83-9d27fc886ed6";

fn sample(index: u64) -> &'static [u8] {
    samples::all().find(|sample| sample.index == index).unwrap().bytes
}

fn texts<const N: usize>(texts: [&str; N]) -> std::collections::BTreeSet<String> {
    texts.map(str::to_owned).into()
}

/// Sample 4, field by field.
fn allowed_read() -> Draft {
    let conditions = [
        ("keyward:door", texts(["native"])),
        ("keyward:secure_transport", texts(["true"])),
        ("qcs:create_uin", texts(["3067215483350917"])),
        ("qcs:current_time", texts(["2026-01-01T00:01:41Z"])),
        ("qcs:ip", texts(["10.3.155.69"])),
        ("qcs:owner_uin", texts(["100000000001"])),
        ("qcs:resource_tag", texts(["team&pay", "env&prod"])),
        ("qcs:uin", texts(["1204883671942260"])),
    ];
    Draft {
        context: Some(Context {
            conditions: conditions.map(|(key, values)| (key.to_owned(), values)).into(),
            groups: texts(["group/local/payments", "group/dev/billing"]),
            roles: texts(["role/dev/batch"]),
            unknown: [].into(),
        }),
        credential: Some(Credential::Token {
            expires: 1_767_226_500,
            id: TokenId::Jti("1f4ffd917d397acddd9415a6271dfaf4".to_owned()),
            issued: 1_767_225_600,
            kid: Some("dev-2026-01".to_owned()),
        }),
        decision: Some(Decision::Allow),
        issuer: Some("https://keyward.local/dev".to_owned()),
        outcome: Some(Outcome::Ok),
        policy: Some(Policy {
            layers: vec![Layer {
                document: Some("payments-read".to_owned()),
                effect: Effect::Allow,
                layer: LayerName::Identity,
                statement: Some(1),
            }],
            revision: "sha256:f69fb5b4f95a9052c6a5bbae0524f025122d765928d83fb4f2982096e27fde1d".to_owned(),
            semantics: 1,
            shadow: None,
        }),
        principal: Some("user/dev/svc-billing".to_owned()),
        resource: Some(
            "qcs::ssm:local:uin/100000000001:secret/creatorUin/3067215483350917/prod/pay/db-password".to_owned(),
        ),
        secret_version: Some("v2".to_owned()),
        source_ip: Some([10, 3, 155, 69].into()),
        user_agent: Some(UserAgent::shortened("keyward/0.1")),
        value: Some("3708c5d597edaa5598672ba066709c59".to_owned()),
        ..Draft::new(Kind::Access, "ssm:GetSecretValue", "native", REQUEST)
    }
}

#[test]
fn every_sample_is_read_and_written_to_the_same_bytes() {
    for sample in samples::all() {
        let record = Record::parse(sample.bytes).unwrap();
        assert_eq!(record.index(), sample.index);
        let rebuilt = record.draft().clone().frame().unwrap();
        let bytes = rebuilt.finish(record.epoch(), record.index(), record.time_us());
        assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(sample.bytes), "record {}", sample.index);
        assert_eq!(rebuilt.event_id(), &record.event_id());
        assert!(bytes.len() <= rebuilt.bytes_max());
    }
}

#[test]
fn the_samples_have_every_kind() {
    let kinds: std::collections::BTreeSet<Kind> =
        samples::all().map(|sample| Record::parse(sample.bytes).unwrap().kind()).collect();
    assert_eq!(kinds, Kind::ALL.into());
}

#[test]
fn a_draft_built_by_field_gives_the_sample() {
    let bytes = allowed_read().frame().unwrap().finish(1, 4, 1_767_225_701_596_542);
    assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(sample(4)));
}

#[test]
fn i04_a_record_says_who_what_when_and_why() {
    let record = Record::parse(sample(5)).unwrap();
    assert_eq!((record.epoch(), record.index(), record.time_us()), (1, 5, 1_767_225_718_004_407));
    assert_eq!((record.kind(), record.action()), (Kind::Access, "ssm:GetSecretValue"));
    assert_eq!(record.principal(), Some("user/corp/j.doe"));
    assert_eq!(record.issuer(), Some("https://idp.corp.example"));
    assert_eq!((record.decision(), record.outcome()), (Some(Decision::Deny), Some(Outcome::Denied)));
    assert_eq!(record.reason(), Some("explicit_deny"));
    assert_eq!(record.request(), "567029bd-0bb1-4347-8d37-44cf358b6a0a");
    assert!(record.resource().unwrap().ends_with("/prod/pay/db-password"));
    let groups: Vec<&str> = record.groups().collect();
    assert_eq!(groups, ["group/corp/contractors", "group/corp/payments-team", "group/local/payments"]);
}

#[test]
fn the_words_of_the_lists_are_those_of_the_records() {
    let word = |json: serde_json::Result<String>| json.unwrap().trim_matches('"').to_owned();
    for kind in Kind::ALL {
        assert_eq!(word(serde_json::to_string(&kind)), kind.word());
    }
    for decision in [Decision::Allow, Decision::Deny, Decision::Error] {
        assert_eq!(word(serde_json::to_string(&decision)), decision.word());
    }
    for outcome in [Outcome::Ok, Outcome::Denied, Outcome::Failed, Outcome::Pending, Outcome::Unknown] {
        assert_eq!(word(serde_json::to_string(&outcome)), outcome.word());
    }
}

#[test]
fn the_event_id_tells_the_items_of_a_batch_call_apart() {
    let mut draft = allowed_read();
    let whole = draft.frame().unwrap().event_id().clone();
    draft.parameters.insert("item".to_owned(), 1_u64.into());
    let item = draft.frame().unwrap().event_id().clone();
    assert_eq!(whole, EventId { request: REQUEST.to_owned(), kind: Kind::Access, item: None });
    assert_eq!(item, EventId { item: Some(1), ..whole });
}

#[test]
fn the_largest_record_fits_and_one_byte_more_does_not() {
    let mut draft = allowed_read();
    let room = RECORD_BYTES_MAX - draft.frame().unwrap().bytes_max();
    draft.action.push_str(&"x".repeat(room));
    let framed = draft.frame().unwrap();
    let bytes = framed.finish(u32::MAX, INTEGER_MAX, INTEGER_MAX);
    assert_eq!((framed.bytes_max(), bytes.len()), (RECORD_BYTES_MAX, RECORD_BYTES_MAX));
    assert_eq!(Record::parse(&bytes).unwrap().draft(), &draft);
    draft.action.push('x');
    assert_eq!(draft.frame(), Err(FrameError::TooLarge(RECORD_BYTES_MAX + 1)));
    let longer = [bytes.as_slice(), b" "].concat();
    assert_eq!(Record::parse(&longer), Err(RecordError::TooLarge(RECORD_BYTES_MAX + 1)));
}

#[test]
fn a_record_is_canonical_whatever_the_clock_says() {
    let bytes = allowed_read().frame().unwrap().finish(1, 4, u64::MAX);
    assert_eq!(Record::parse(&bytes).unwrap().time_us(), INTEGER_MAX);
}

#[test]
fn what_canonical_form_cannot_say_is_not_framed() {
    let malformed = |change: &dyn Fn(&mut Draft)| {
        let mut draft = allowed_read();
        change(&mut draft);
        match draft.frame() {
            Err(FrameError::Malformed(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    let large = INTEGER_MAX + 1;
    assert!(malformed(&|draft| draft.answers = Some(large)).contains("9007199254740992"));
    assert!(malformed(&|draft| drop(draft.parameters.insert("n".to_owned(), large.into()))).contains("2^53-1"));
    assert!(malformed(&|draft| drop(draft.parameters.insert("ключ".to_owned(), true.into()))).contains("ключ"));
    assert!(
        malformed(&|draft| {
            let inner = Parameters::from([("é".to_owned(), 1_u32.into())]);
            draft.parameters.insert("outer".to_owned(), vec![Value::Object(inner)].into());
        })
        .contains("`é`")
    );
    assert!(
        malformed(&|draft| {
            draft.context.as_mut().unwrap().conditions.insert("é".to_owned(), texts([]));
        })
        .contains("`é`")
    );
    let late = Credential::AccessKey { access_key: "AKID".to_owned(), issued: large };
    assert!(malformed(&|draft| draft.credential = Some(late.clone())).contains("2^53-1"));
    for request in ["", "r1", &REQUEST.to_uppercase(), &REQUEST.replace('-', "0"), &format!("{REQUEST}0")] {
        assert!(malformed(&|draft| draft.request = request.to_owned()).contains("`request`"), "{request}");
    }
}

#[test]
fn a_user_agent_is_cut_between_characters() {
    assert_eq!(UserAgent::shortened("curl/8.5.0").as_str(), "curl/8.5.0");
    assert_eq!(UserAgent::shortened(&"a".repeat(200)).as_str(), "a".repeat(128));
    assert_eq!(UserAgent::shortened(&"é".repeat(200)).as_str(), "é".repeat(64));
    assert_eq!(UserAgent::shortened(&format!("a{}", "é".repeat(64))).as_str().len(), 127);
}

#[test]
fn each_form_of_credential_comes_back() {
    let key = || "AKIDsample".to_owned();
    let token = |id, kid| Credential::Token { expires: 2, id, issued: 1, kid };
    let forms = [
        (token(TokenId::Jti("j".to_owned()), Some("k".to_owned())), r#"{"expires":2,"issued":1,"jti":"j","kid":"k"}"#),
        (token(TokenId::Jti("j".to_owned()), None), r#"{"expires":2,"issued":1,"jti":"j"}"#),
        (token(TokenId::Hash("h".to_owned()), None), r#"{"expires":2,"hash":"h","issued":1}"#),
        (Credential::AccessKey { access_key: key(), issued: 1 }, r#"{"access_key":"AKIDsample","issued":1}"#),
        (
            Credential::Session { access_key: key(), expires: 2, issued: 1 },
            r#"{"access_key":"AKIDsample","expires":2,"issued":1}"#,
        ),
    ];
    for (credential, json) in forms {
        assert_eq!(serde_json::to_string(&credential).unwrap(), json);
        assert_eq!(serde_json::from_str::<Credential>(json).unwrap(), credential);
    }
    for mixed in [
        r#"{"issued":1}"#,
        r#"{"expires":2,"issued":1}"#,
        r#"{"expires":2,"hash":"h","issued":1,"jti":"j"}"#,
        r#"{"access_key":"a","issued":1,"jti":"j"}"#,
        r#"{"access_key":"a","issued":1,"kid":"k"}"#,
        r#"{"expires":2,"jti":"j"}"#,
        r#"{"access_key":"a","issued":1,"token":"t"}"#,
    ] {
        assert!(serde_json::from_str::<Credential>(mixed).is_err(), "{mixed}");
    }
}
