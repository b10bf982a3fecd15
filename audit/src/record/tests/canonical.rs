//! One record, one form: every twin is refused (tamper test 11).

use super::*;

/// Sample 4 with one text replaced once.
fn twin(from: &str, to: &str) -> Vec<u8> {
    let text = std::str::from_utf8(sample(4)).unwrap();
    assert!(text.contains(from), "`{from}` is not in the sample");
    text.replacen(from, to, 1).into_bytes()
}

#[test]
fn tamper_11_a_twin_with_the_same_meaning_is_refused() {
    let twins = [
        ("keys swapped at the top", twin(r#""epoch":1,"index":4"#, r#""index":4,"epoch":1"#)),
        (
            "keys swapped below",
            twin(r#""effect":"allow","layer":"identity""#, r#""layer":"identity","effect":"allow""#),
        ),
        ("values out of order", twin(r#"["env&prod","team&pay"]"#, r#"["team&pay","env&prod"]"#)),
        ("a value twice", twin(r#"["native"]"#, r#"["native","native"]"#)),
        (
            "groups out of order",
            twin(r#"["group/dev/billing","group/local/payments"]"#, r#"["group/local/payments","group/dev/billing"]"#),
        ),
        ("an escape for a letter", twin("native", r"n\u0061tive")),
        ("an escape for a slash", twin("user/dev", r"user\/dev")),
        ("a space between fields", twin(r#","epoch""#, r#", "epoch""#)),
        ("a space at the end", [sample(4), b" "].concat()),
        ("a line feed at the end", [sample(4), b"\n"].concat()),
        ("a space at the start", [b" ", sample(4)].concat()),
        ("an absent field as null", twin(r#""door""#, r#""certificate":null,"door""#)),
        ("empty parameters", twin(r#""policy""#, r#""parameters":{},"policy""#)),
        ("an empty list of unknowns", twin(r#"},"credential""#, r#","unknown":[]},"credential""#)),
        ("another form of an address", twin("\"10.3.155.69\",\"time\"", "\"::ffff:10.3.155.69\",\"time\"")),
    ];
    for (what, bytes) in twins {
        assert_eq!(Record::parse(&bytes), Err(RecordError::NotCanonical), "{what}");
    }
}

#[test]
fn tamper_11_a_malformed_record_is_refused() {
    let twins = [
        ("a fraction for an integer", twin(r#""index":4"#, r#""index":4.0"#)),
        ("an exponent", twin(r#""index":4"#, r#""index":4e0"#)),
        ("a leading zero", twin(r#""index":4"#, r#""index":04"#)),
        ("a negative number", twin(r#""index":4"#, r#""index":-4"#)),
        ("a field twice", twin(r#""epoch":1"#, r#""epoch":1,"epoch":1"#)),
        ("an unknown field", twin(r#""epoch":1"#, r#""epoch":1,"extra":1"#)),
        ("an unknown field below", twin(r#""effect""#, r#""author":"x","effect""#)),
        ("a required field missing", twin(r#""kind":"access","#, "")),
        ("a null for a required field", twin(r#""door":"native""#, r#""door":null"#)),
        ("an unknown kind", twin(r#""kind":"access""#, r#""kind":"accesses""#)),
        ("an unknown decision", twin(r#""decision":"allow""#, r#""decision":"Allow""#)),
        ("an unknown outcome", twin(r#""outcome":"ok""#, r#""outcome":"fine""#)),
        ("an epoch past 32 bits", twin(r#""epoch":1"#, r#""epoch":4294967296"#)),
        ("a semantics that is a fraction", twin(r#""semantics":1"#, r#""semantics":1.5"#)),
        ("a request that is no UUID", twin(REQUEST, "2244A341-E0FD-4058-AA83-9D27FC886ED6")),
        ("a value after the record", [sample(4), b"1"].concat()),
        ("a byte-order mark", [b"\xef\xbb\xbf", sample(4)].concat()),
        ("a byte that is no UTF-8", [b"{\"action\":\"\xff".as_slice(), &sample(4)[11..]].concat()),
        ("nothing", Vec::new()),
        ("an array", b"[]".to_vec()),
        ("a deep nest", [b"{\"action\":".as_slice(), &[b'['; 4_000]].concat()),
        ("a user agent too long", twin("keyward/0.1", &"k".repeat(129))),
    ];
    for (what, bytes) in twins {
        let answer = Record::parse(&bytes);
        assert!(matches!(answer, Err(RecordError::Malformed(_))), "{what}: {answer:?}");
    }
}

#[test]
fn tamper_11_a_twin_of_the_parameters_is_refused() {
    let text = std::str::from_utf8(sample(8)).unwrap();
    let twins = [
        (r#""count":48211"#, r#""count":48211.0"#),
        (r#""count":48211"#, r#""count":-1"#),
        (r#""count":48211"#, r#""count":null"#),
        (r#""count":48211"#, r#""count":48211,"count":48211"#),
        (r#""count":48211"#, r#""zcount":48211"#),
        (r#""count":48211"#, r#""count":9007199254740992"#),
        (r#""count":48211"#, r#""cöunt":48211"#),
        (r#""audience":300,"malformed":9"#, r#""malformed":9,"audience":300"#),
    ];
    for (from, to) in twins {
        let bytes = text.replacen(from, to, 1).into_bytes();
        assert_ne!(bytes, sample(8));
        assert!(Record::parse(&bytes).is_err(), "{to}");
    }
}

#[test]
fn a_record_of_another_schema_is_named_as_such() {
    assert_eq!(Record::parse(&twin(r#""version":1"#, r#""version":2"#)), Err(RecordError::Version(2)));
}

#[test]
fn integers_end_where_every_reader_is_exact() {
    let at = |index: u64| Record::parse(&twin(r#""index":4"#, &format!(r#""index":{index}"#)));
    assert_eq!(at(INTEGER_MAX).unwrap().index(), INTEGER_MAX);
    assert_eq!(at(INTEGER_MAX + 1), Err(RecordError::NotCanonical));
}

#[test]
fn tamper_01_every_flipped_bit_of_a_record_is_refused_or_is_another_record() {
    for sample in samples::all() {
        let truth = Record::parse(sample.bytes).unwrap();
        for place in 0..sample.bytes.len() * 8 {
            let mut bytes = sample.bytes.to_vec();
            bytes[place / 8] ^= 1 << (place % 8);
            if let Ok(record) = Record::parse(&bytes) {
                assert_ne!(record, truth, "bit {place} of record {}", sample.index);
            }
        }
    }
}

#[test]
fn every_character_is_written_as_the_canonicalizer_writes_it() {
    let characters: Vec<char> = (0..=u32::from(char::MAX)).filter_map(char::from_u32).collect();
    for some in characters.chunks(1_200) {
        let mut draft = Draft::new(Kind::System, "keyward:System", "internal", REQUEST);
        draft.reason = Some(some.iter().collect());
        let bytes = draft.frame().unwrap().finish(1, 0, 0);
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(value["reason"].as_str(), draft.reason.as_deref());
        assert_eq!(bytes, serde_json_canonicalizer::to_vec(&value).unwrap(), "from {:?} on", some[0]);
    }
}
