//! The published vectors, and the same made by a second implementation.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::prelude::*;

use super::*;
use crate::principal::Principal;

/// The vendor's example key, and the one of this project's vectors.
const VENDOR: &str = "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE";
const OWN: &str = "EXAMPLEEXAMPLEEXAMPLEEXAMPLEKEY0";
const NOW: u64 = 1_800_000_000;

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    hmac.update(text);
    hmac.finalize().into_bytes().into()
}

/// The naive signer: from the secret's text, as the vendor describes it.
struct Secret(&'static str);

impl Signer for Secret {
    fn sign(&self, date: &str, service: &str, texts: &[Vec<u8>]) -> Vec<[u8; 32]> {
        let date = hmac(format!("TC3{}", self.0).as_bytes(), date.as_bytes());
        let signing = hmac(&hmac(&date, service.as_bytes()), b"tc3_request");
        texts.iter().map(|text| hmac(&signing, text)).collect()
    }
}

/// A vector: what a client sent.
struct Vector {
    secret: &'static str,
    timestamp: u64,
    date: &'static str,
    service: &'static str,
    query: Option<&'static str>,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    payload: Payload,
    signature: &'static str,
}

const JSON_UTF8: (&str, &str) = ("content-type", "application/json; charset=utf-8");
const JSON: (&str, &str) = ("content-type", "application/json");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const CVM: (&str, &str) = ("host", "cvm.tencentcloudapi.com");
const LOCAL: (&str, &str) = ("host", "127.0.0.1:8743");
const BODY_1: &str = r#"{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}"#;
const BODY_4: &str = r#"{"SecretName": "demo", "VersionId": "v1"}"#;
const BODY_9: &str = r#"{"SecretName":"demo","VersionId":"v1"}"#;

/// All nine; the first three are the vendor's.
fn vectors() -> Vec<Vector> {
    let vendor = |timestamp, date, query, headers, body, signature| Vector {
        secret: VENDOR,
        timestamp,
        date,
        service: "cvm",
        query,
        headers,
        body,
        payload: if query.is_some() { Payload::Empty } else { Payload::Body },
        signature,
    };
    let own = |query, headers, body, payload, signature| Vector {
        secret: OWN,
        timestamp: NOW,
        date: "2027-01-15",
        service: "ssm",
        query,
        headers,
        body,
        payload,
        signature,
    };
    vec![
        vendor(
            1_551_113_065,
            "2019-02-25",
            None,
            &[JSON_UTF8, CVM],
            BODY_1,
            "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168",
        ),
        vendor(
            1_539_084_154,
            "2018-10-09",
            Some("Limit=10&Offset=0"),
            &[FORM, CVM],
            "",
            "5da7a33f6993f0614b047e5df4582db9e9bf4672ba50567dba16c6ccf174c474",
        ),
        vendor(
            1_551_113_065,
            "2019-02-25",
            None,
            &[JSON_UTF8, CVM, ("x-tc-action", "DescribeInstances")],
            BODY_1,
            "644be983de9a8a3f00db8eadaba61467c3b429e2215758ba897b738ca469fd26",
        ),
        own(
            None,
            &[JSON, LOCAL],
            BODY_4,
            Payload::Body,
            "8594f8742622a28edd2ead39c79699df5155d9485dcaa469839bad074354951b",
        ),
        own(
            None,
            &[JSON, ("host", "http://127.0.0.1:8743")],
            BODY_4,
            Payload::Body,
            "242cce2e06c5238f6f605deead3107d3529637ff19f4d3e2583da4c9145e4e3c",
        ),
        own(
            Some("Limit=2&TagFilters.0.TagKey=env&TagFilters.0.TagValue.0=dev"),
            &[FORM, LOCAL],
            "",
            Payload::Empty,
            "beb56562fb7bf39d510464fa751b7cc62712ff722b0e8a6ade4564386c8235bd",
        ),
        own(
            None,
            &[JSON, LOCAL, ("x-tc-action", "GetSecretValue")],
            BODY_4,
            Payload::Body,
            "50a968097203b9a5a0c3510d359b5b0ae9bd6b8d0e846beb265e2f22ad142a08",
        ),
        own(
            None,
            &[JSON, LOCAL],
            BODY_4,
            Payload::Unsigned,
            "00ee8498a7ca3a572cd535b105843a911b1434072328eb6ba496727bd031f409",
        ),
        own(
            None,
            &[JSON, ("host", "ssm.localhost:8743")],
            BODY_9,
            Payload::Body,
            "d09f17bcfe6f798b1d422cfca8e3e47b9e17cb90e9498048e76ccd020288ac29",
        ),
    ]
}

impl Vector {
    fn header(&self) -> String {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        let (date, service, names) = (self.date, self.service, names.join(";"));
        let scope = format!("Credential=AKIDEXAMPLE/{date}/{service}/tc3_request");
        format!("TC3-HMAC-SHA256 {scope}, SignedHeaders={names}, Signature={}", self.signature)
    }

    fn request(&self) -> SignedRequest {
        SignedRequest {
            authorization: Authorization::parse(&self.header()).unwrap(),
            timestamp: self.timestamp.to_string(),
            method: if self.query.is_some() { "GET" } else { "POST" }.to_owned(),
            query: self.query.unwrap_or_default().as_bytes().to_vec(),
            values: self.headers.iter().map(|(_, value)| value.as_bytes().to_vec()).collect(),
            payload: self.payload,
            has_token: false,
        }
    }
}

/// One key of `user/dev/a`.
struct Keys {
    secret: &'static str,
    is_active: bool,
    knows: bool,
}

const KEPT: Keys = Keys { secret: OWN, is_active: true, knows: true };

impl AccessKeys for Keys {
    fn find(&self, id: &str) -> Result<Option<FoundKey>, KeysUnavailable> {
        let holder = KeyHolder {
            principal: Principal::parse("user/dev/a").unwrap(),
            groups: vec![Principal::parse("group/dev/g").unwrap()],
            roles: Vec::new(),
            key: id.to_owned(),
            issued_s: 7,
        };
        let key = FoundKey { holder, is_active: self.is_active, signer: Box::new(Secret(self.secret)) };
        if id == "broken" { Err(KeysUnavailable(String::new())) } else { Ok((id == "AKIDEXAMPLE").then_some(key)) }
    }

    fn dummy(&self) -> &dyn Signer {
        &Secret("another secret")
    }

    fn knows_issuer(&self, name: &str) -> bool {
        self.knows && name == "dev"
    }

    fn issuers_generation(&self) -> u64 {
        4
    }
}

/// Revocations by key.
#[derive(Default)]
struct Rows(BTreeMap<Vec<u8>, Vec<u8>>);

impl Revocations for Rows {
    fn generation(&self) -> u64 {
        3
    }

    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, RevocationsUnavailable> {
        Ok(self.0.get(key).cloned())
    }
}

fn ask(request: &SignedRequest, body: &[u8], now_s: u64, keys: &Keys) -> Result<Arc<Authenticated>, KeyRefusal> {
    authenticate(request, body, now_s, keys, &Rows::default())
}

#[test]
fn attack_l04_every_vector_is_accepted_and_stands_for_its_holder() {
    for (number, vector) in (1..).zip(vectors()) {
        let request = vector.request();
        assert!(request.is_signed_by(&Secret(vector.secret), vector.body.as_bytes()), "vector {number}");
        assert!(!request.is_signed_by(&Secret("another"), vector.body.as_bytes()), "vector {number}");
        let keys = Keys { secret: vector.secret, ..KEPT };
        let who = ask(&request, vector.body.as_bytes(), vector.timestamp, &keys).unwrap();
        assert_eq!((who.principal.as_str(), who.revocations_seen, who.issuers_seen), ("user/dev/a", 3, 4));
        assert_eq!(who.credential.access_key.as_deref(), Some("AKIDEXAMPLE"));
        assert_eq!((who.credential.issued, who.groups.len()), (7, 1));
    }
}

#[test]
fn attack_l03_a_request_is_good_at_the_edge_of_the_window_and_not_beyond_it() {
    let vector = &vectors()[3];
    let at = |now_s| ask(&vector.request(), vector.body.as_bytes(), now_s, &KEPT).map(|_| ());
    for now_s in [NOW - 300, NOW - 1, NOW, NOW + 1, NOW + 300] {
        assert_eq!(at(now_s), Ok(()), "{now_s}");
    }
    for now_s in [NOW - 301, NOW + 301, 0, u64::MAX] {
        assert_eq!(at(now_s), Err(KeyRefusal::Expired), "{now_s}");
    }
}

#[test]
fn attack_l04_an_unknown_inactive_or_orphaned_key_is_one_refusal_whatever_the_signature() {
    let vector = &vectors()[3];
    let good = vector.request();
    let mut forged = good.clone();
    forged.authorization.signature[0] ^= 1;
    let mut other = good.clone();
    other.authorization.key = "AKIDOTHER".to_owned();
    let body = vector.body.as_bytes();
    for request in [&good, &forged] {
        for keys in [Keys { is_active: false, ..KEPT }, Keys { knows: false, ..KEPT }] {
            assert_eq!(ask(request, body, NOW, &keys), Err(KeyRefusal::Unknown));
        }
    }
    assert_eq!(ask(&other, body, NOW, &KEPT), Err(KeyRefusal::Unknown));
    assert_eq!(ask(&forged, body, NOW, &KEPT), Err(KeyRefusal::Signature));
    let mut broken = good.clone();
    broken.authorization.key = "broken".to_owned();
    assert!(matches!(ask(&broken, body, NOW, &KEPT), Err(KeyRefusal::Unavailable(_))));
    for request in [&good, &other] {
        let with_token = SignedRequest { has_token: true, ..request.clone() };
        assert_eq!(ask(&with_token, body, NOW, &KEPT), Err(KeyRefusal::Token));
    }
    let with_token = SignedRequest { has_token: true, ..forged };
    assert_eq!(ask(&with_token, body, NOW, &KEPT), Err(KeyRefusal::Signature));
}

#[test]
fn a_subject_that_is_revoked_takes_the_keys_that_it_had_by_then() {
    use crate::authn::{Revocation, Selector};
    let vector = &vectors()[3];
    for (before, stands) in [(6, true), (7, false), (8, false)] {
        let key = Selector::subject("a").unwrap().key("dev").unwrap();
        let row = Revocation::new(before, NOW, "").unwrap().encode().unwrap();
        let rows = Rows(BTreeMap::from([(key, row)]));
        let who = authenticate(&vector.request(), vector.body.as_bytes(), NOW, &KEPT, &rows);
        assert_eq!(who.is_ok(), stands, "{before}");
        assert_eq!(again("AKIDEXAMPLE", &KEPT, &rows).is_ok(), stands, "{before}");
    }
    assert_eq!(again("AKIDOTHER", &KEPT, &Rows::default()), Err(KeyRefusal::Unknown));
    let inactive = Keys { is_active: false, ..KEPT };
    assert_eq!(again("AKIDEXAMPLE", &inactive, &Rows::default()), Err(KeyRefusal::Unknown));
}

#[test]
fn attack_l04_a_header_of_any_other_form_is_none() {
    let good = vectors()[3].header();
    assert!(Authorization::parse(&good).is_some());
    for (from, to) in [
        ("TC3-HMAC-SHA256 ", "TC3-HMAC-SHA256"),
        ("TC3-HMAC-SHA256", "tc3-hmac-sha256"),
        ("TC3-HMAC-SHA256", "TC3-HMAC-SHA1"),
        ("/tc3_request", "/tc3_requests"),
        ("/tc3_request", ""),
        ("/tc3_request", "/tc3_request/x"),
        ("AKIDEXAMPLE", ""),
        ("AKIDEXAMPLE", "AKID EXAMPLE"),
        ("content-type;host", "host;content-type"),
        ("content-type;host", "content-type;content-type;host"),
        ("content-type;host", "Content-Type;Host"),
        ("content-type;host", "content-type"),
        ("content-type;host", "host"),
        ("content-type;host", ""),
        ("content-type;host", "content-type;host;"),
        ("content-type;host", "a;b;c;content-type;d;e;f;g;h;host;i;j;k;l;m;n;o"),
        ("Signature=8594", "Signature=859"),
        ("Signature=8594f8", "Signature=8594F8"),
        ("Signature=", "Signature"),
        (", Signature", ", X=1, Signature"),
        ("951b", "951b, X=1"),
        ("Credential", "credential"),
    ] {
        let header = good.replacen(from, to, 1);
        assert_ne!(header, good, "{from}");
        assert_eq!(Authorization::parse(&header), None, "{header}");
    }
    assert!(Authorization::parse(&good.replace(", ", ",")).is_some(), "the space behind a comma is the client's");
}

#[test]
fn attack_l08_the_host_is_repaired_by_one_port_and_by_nothing_else() {
    for (host, without) in [
        ("ssm.localhost:8743", "ssm.localhost"),
        ("http://127.0.0.1:8743", "http://127.0.0.1"),
        ("a", "a"),
        ("a:", "a:"),
        ("a:b", "a:b"),
        ("a:1:2", "a:1"),
        (":1", ""),
        ("1", "1"),
        ("[::1]", "[::1]"),
    ] {
        assert_eq!(without_port(host.as_bytes()), without.as_bytes(), "{host}");
    }
    let vector = &vectors()[3];
    for host in ["127.0.0.1:8744", "127.0.0.1:8743/", "http://127.0.0.1:8743", "127.0.0.1", " 127.0.0.1:8743"] {
        let mut request = vector.request();
        request.values[1] = host.as_bytes().to_vec();
        assert!(!request.is_signed_by(&Secret(OWN), vector.body.as_bytes()), "{host}");
    }
}

/// A signed request of this moment by the naive signer.
fn signed(headers: &[(String, String)], query: &str, body: &[u8], timestamp: u64) -> SignedRequest {
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let payload = hex::encode(Sha256::digest(body));
    let canonical = format!("POST\n/\n{query}\n{lines}\n{}\n{payload}", names.join(";"));
    let digest = hex::encode(Sha256::digest(canonical));
    let text = format!("TC3-HMAC-SHA256\n{timestamp}\n2027-01-15/ssm/tc3_request\n{digest}");
    let signature = Secret(OWN).sign("2027-01-15", "ssm", &[text.into_bytes()]).remove(0);
    SignedRequest {
        authorization: Authorization {
            key: "AKIDEXAMPLE".to_owned(),
            date: "2027-01-15".to_owned(),
            service: "ssm".to_owned(),
            signed: names.iter().map(|name| (*name).to_owned()).collect(),
            signature,
        },
        timestamp: timestamp.to_string(),
        method: "POST".to_owned(),
        query: query.as_bytes().to_vec(),
        values: headers.iter().map(|(_, value)| value.as_bytes().to_vec()).collect(),
        payload: Payload::Body,
        has_token: false,
    }
}

/// Changes one bit of a part that is signed; `false` if that part is empty.
fn change(request: &mut SignedRequest, body: &mut [u8], part: usize, at: &prop::sample::Index, bit: u8) -> bool {
    let flip = |bytes: &mut [u8]| {
        if bytes.is_empty() {
            return false;
        }
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        true
    };
    // Of texts another digit or letter, so that they stay texts.
    let turn = |text: &mut String| {
        let mut bytes = std::mem::take(text).into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = if bytes[at] == b'7' { b'8' } else { b'7' };
        *text = String::from_utf8(bytes).unwrap();
        true
    };
    match part {
        0 => flip(body),
        1 => flip(&mut request.query),
        2 => flip(&mut request.values[0]),
        3 => flip(&mut request.values[1]),
        4 => flip(&mut request.authorization.signature),
        5 => turn(&mut request.timestamp),
        6 => turn(&mut request.authorization.date),
        7 => turn(&mut request.authorization.service),
        8 => turn(&mut request.authorization.signed[0]),
        9 => turn(&mut request.method),
        _ => {
            request.values.reverse();
            request.values[0] != request.values[1]
        }
    }
}

proptest! {
    #[test]
    fn attack_l04_whatever_is_changed_in_a_signed_part_is_refused(
        kind in "[a-z/;= -]{1,30}",
        host in "[a-z.]{1,20}(:[0-9]{1,5})?",
        query in "([a-z]{1,5}=[a-z0-9%+]{0,5}&?){0,3}",
        mut body in prop::collection::vec(any::<u8>(), 0..80),
        part in 0_usize..11,
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let headers = [("content-type".to_owned(), kind.clone()), ("host".to_owned(), host.clone())];
        let mut request = signed(&headers, &query, &body, NOW);
        prop_assert!(request.is_signed_by(&Secret(OWN), &body));
        let before = request.clone();
        prop_assume!(change(&mut request, &mut body, part, &at, bit));
        // What a client signed in lower case may come in any: that is no change.
        let lower = |request: &SignedRequest| -> Vec<Vec<u8>> {
            request.values.iter().map(|value| value.to_ascii_lowercase()).collect()
        };
        let is_case = [2, 3].contains(&part) && lower(&request) == lower(&before);
        // The port of the Host may be left out by who signs, and then is not bound.
        prop_assert_eq!(request.is_signed_by(&Secret(OWN), &body), is_case && is_all_lower(&before));
    }

    #[test]
    fn i10_any_header_is_read_or_refused(text in "\\PC{0,80}", tail in "[A-Za-z0-9/;=, -]{0,120}") {
        let _read = Authorization::parse(&text);
        let _read = Authorization::parse(&format!("TC3-HMAC-SHA256 {tail}"));
        let _read = Authorization::parse(&format!("TC3-HMAC-SHA256 Credential={tail}, SignedHeaders={tail}, Signature={tail}"));
    }
}

fn is_all_lower(request: &SignedRequest) -> bool {
    request.values.iter().all(|value| !value.iter().any(u8::is_ascii_uppercase))
}
