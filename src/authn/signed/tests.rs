//! The published vectors, what a key stands for, and how long it is remembered.

mod naive;

use std::cell::Cell;
use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};

use super::*;
use crate::authn::Session;
use crate::authn::tc3::{Authorization, Payload, without_port};
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

    fn sign_whole(&self, _: V1Hash, _: &[Zeroizing<Vec<u8>>]) -> Vec<Vec<u8>> {
        Vec::new()
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

    fn request(&self) -> Tc3Request {
        Tc3Request {
            authorization: Authorization::parse(&self.header()).unwrap(),
            timestamp: self.timestamp.to_string(),
            method: if self.query.is_some() { "GET" } else { "POST" }.to_owned(),
            query: self.query.unwrap_or_default().as_bytes().to_vec(),
            values: self.headers.iter().map(|(_, value)| value.as_bytes().to_vec()).collect(),
            payload: self.payload,
        }
    }
}

/// One key of `user/dev/a`.
struct Keys {
    secret: &'static str,
    is_active: bool,
    knows: bool,
    /// What sessions were begun by.
    by: By,
}

#[derive(Clone, Copy)]
enum By {
    /// A token that was issued then, if that is known.
    Token(Option<u64>),
    Key,
}

const KEPT: Keys = Keys { secret: OWN, is_active: true, knows: true, by: By::Token(Some(NOW - 90)) };

impl Keys {
    /// A session of `role/local/r` that `user/dev/a` began.
    fn temporary(&self, id: &str) -> FoundKey {
        let session =
            Session { name: "deploy".to_owned(), assumed_by: Principal::parse("user/dev/a").unwrap(), policy: None };
        let parent = match self.by {
            By::Token(issued_s) => Parent::Token { hash: [9; 32], jti: Some("j".to_owned()), issued_s },
            By::Key => Parent::Key("AKIDEXAMPLE".to_owned()),
        };
        let holder = KeyHolder {
            principal: Principal::parse("role/local/r").unwrap(),
            groups: vec![Principal::parse("group/dev/g").unwrap()],
            roles: Vec::new(),
            key: id.to_owned(),
            issued_s: NOW - 60,
            session: Some(HeldSession { session, expires_s: NOW + 60, parent }),
        };
        FoundKey { holder, is_active: true, signer: Arc::new(Secret(self.secret)) }
    }
}

impl AccessKeys for Keys {
    fn find(&self, id: &str, token: Option<&str>) -> Result<Option<FoundKey>, KeysUnavailable> {
        if let Some(token) = token {
            return Ok((id == "AKIDEXAMPLE" && token == "its token").then(|| self.temporary(id)));
        }
        let holder = KeyHolder {
            principal: Principal::parse("user/dev/a").unwrap(),
            groups: vec![Principal::parse("group/dev/g").unwrap()],
            roles: Vec::new(),
            key: id.to_owned(),
            issued_s: 7,
            session: None,
        };
        let key = FoundKey { holder, is_active: self.is_active, signer: Arc::new(Secret(self.secret)) };
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

/// Asks as if no key had been seen yet.
fn authenticate(
    request: &Tc3Request,
    token: Option<&str>,
    body: &[u8],
    now_s: u64,
    keys: &Keys,
    rows: &Rows,
) -> Result<Arc<Authenticated>, KeyRefusal> {
    let request = SignedRequest::Tc3(request.clone());
    KnownKeys::default().authenticate(&request, token, body, &Now::of(now_s, keys, rows))
}

fn again(
    id: &str,
    token: Option<&str>,
    now_s: u64,
    keys: &Keys,
    rows: &Rows,
) -> Result<Arc<Authenticated>, KeyRefusal> {
    KnownKeys::default().again(id, token, &Now::of(now_s, keys, rows))
}

fn ask(request: &Tc3Request, body: &[u8], now_s: u64, keys: &Keys) -> Result<Arc<Authenticated>, KeyRefusal> {
    authenticate(request, None, body, now_s, keys, &Rows::default())
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
        let with_token = authenticate(request, Some("another's"), body, NOW, &KEPT, &Rows::default());
        assert_eq!(with_token, Err(KeyRefusal::Token));
    }
}

/// A request with its token at a time, and the same asked for again.
fn with_token(keys: &Keys, now_s: u64, rows: &Rows) -> [Result<String, KeyRefusal>; 2] {
    let (vector, token) = (&vectors()[3], Some("its token"));
    let who = authenticate(&vector.request(), token, vector.body.as_bytes(), now_s, keys, rows);
    let again = again("AKIDEXAMPLE", token, now_s, keys, rows);
    [who, again].map(|who| who.map(|who| who.principal.to_string()))
}

#[test]
fn attack_l05_a_session_ends_with_its_time_its_beginner_and_what_it_was_begun_by() {
    use crate::authn::{Revocation, Selector};
    let (good, gone) = (Ok("role/local/r".to_owned()), Err(KeyRefusal::Token));
    let none = Rows::default();
    let by_key = Keys { by: By::Key, ..KEPT };
    for keys in [&KEPT, &by_key] {
        assert_eq!(with_token(keys, NOW, &none), [good.clone(), good.clone()]);
        assert_eq!(with_token(keys, NOW + 59, &none), [good.clone(), good.clone()]);
        assert_eq!(with_token(keys, NOW + 60, &none), [gone.clone(), gone.clone()], "over");
    }
    let orphaned = Keys { knows: false, ..KEPT };
    assert_eq!(with_token(&orphaned, NOW, &none), [gone.clone(), gone.clone()], "its beginner's issuer is gone");
    let switched_off = Keys { by: By::Key, is_active: false, ..KEPT };
    assert_eq!(with_token(&switched_off, NOW, &none), [gone.clone(), gone.clone()], "the key that began it is off");
    for (selector, before, expected) in [
        (Selector::subject("a"), NOW - 60, &gone),
        (Selector::subject("a"), NOW - 90, &gone),
        (Selector::subject("a"), NOW - 91, &good),
        (Selector::subject("b"), NOW, &good),
        (Selector::jti("AKIDEXAMPLE"), 0, &gone),
        (Selector::jti("AKIDOTHER"), 0, &good),
        (Selector::jti("j"), 0, &gone),
        (Selector::credential_hash(&"09".repeat(32)), 0, &gone),
        (Selector::credential_hash(&"08".repeat(32)), 0, &good),
    ] {
        let selector = selector.unwrap();
        let row = Revocation::new(before, NOW, "").unwrap().encode().unwrap();
        let rows = Rows(BTreeMap::from([(selector.key("dev").unwrap(), row)]));
        assert_eq!(with_token(&KEPT, NOW, &rows), [expected.clone(), expected.clone()], "{selector:?} {before}");
    }
}

#[test]
fn attack_l05_a_session_does_not_outlive_what_it_was_begun_by_if_that_is_revoked_by_its_own_time_of_issue() {
    use crate::authn::{Revocation, Selector};
    let (good, gone) = (Ok("role/local/r".to_owned()), Err(KeyRefusal::Token));
    let start_s = NOW - 60;
    for (by, before, at, expected) in [
        (By::Token(Some(NOW - 90)), NOW - 89, NOW, &gone),
        (By::Token(Some(NOW - 90)), NOW - 91, NOW, &good),
        // A clock that ran ahead.
        (By::Token(Some(NOW - 30)), NOW - 31, NOW, &gone),
        (By::Key, 7, NOW, &gone),
        (By::Key, 6, NOW, &good),
        // Not known: what was revoked before the session began did not take the token, and all else is not known to spare it.
        (By::Token(None), 0, start_s - 1, &good),
        (By::Token(None), 0, start_s, &gone),
        (By::Token(None), start_s, start_s - 1, &gone),
    ] {
        let keys = Keys { by, ..KEPT };
        let row = Revocation::new(before, at, "").unwrap().encode().unwrap();
        let rows = Rows(BTreeMap::from([(Selector::subject("a").unwrap().key("dev").unwrap(), row)]));
        assert_eq!(with_token(&keys, NOW, &rows), [expected.clone(), expected.clone()], "{before} {at}");
    }
}

/// Keys and revocations whose generations are set, and that count how often a key is looked up.
struct Moving {
    keys: Keys,
    issuers: Cell<u64>,
    revocations: Cell<u64>,
    looked_up: Cell<usize>,
}

impl AccessKeys for Moving {
    fn find(&self, id: &str, token: Option<&str>) -> Result<Option<FoundKey>, KeysUnavailable> {
        self.looked_up.set(self.looked_up.get() + 1);
        self.keys.find(id, token)
    }

    fn dummy(&self) -> &dyn Signer {
        self.keys.dummy()
    }

    fn knows_issuer(&self, name: &str) -> bool {
        self.keys.knows_issuer(name)
    }

    fn issuers_generation(&self) -> u64 {
        self.issuers.get()
    }
}

impl Revocations for Moving {
    fn generation(&self) -> u64 {
        self.revocations.get()
    }

    fn row(&self, _: &[u8]) -> Result<Option<Vec<u8>>, RevocationsUnavailable> {
        Ok(None)
    }
}

#[test]
fn i13_a_key_is_remembered_for_the_generations_that_it_was_looked_up_at_and_for_its_own_token() {
    let vector = &vectors()[3];
    let (good, body) = (SignedRequest::Tc3(vector.request()), vector.body.as_bytes());
    let mut forged = vector.request();
    forged.authorization.signature[0] ^= 1;
    let forged = SignedRequest::Tc3(forged);
    let known = KnownKeys::default();
    let (issuers, revocations, looked_up) = (Cell::new(4), Cell::new(3), Cell::new(0));
    let mut world = Moving { keys: KEPT, issuers, revocations, looked_up };
    let ask = |world: &Moving, request, token, now_s| {
        let before = world.looked_up.get();
        let who = known.authenticate(request, token, body, &Now::of(now_s, world, world));
        (who.map(|who| (who.revocations_seen, who.issuers_seen)), world.looked_up.get() - before)
    };
    let again = |world: &Moving, token, now_s| {
        let before = world.looked_up.get();
        let who = known.again("AKIDEXAMPLE", token, &Now::of(now_s, world, world));
        (who.map(|who| (who.revocations_seen, who.issuers_seen)), world.looked_up.get() - before)
    };
    assert_eq!(ask(&world, &forged, None, NOW), (Err(KeyRefusal::Signature), 1), "nothing is remembered of it");
    assert_eq!(ask(&world, &good, None, NOW), (Ok((3, 4)), 1));
    assert_eq!(ask(&world, &good, None, NOW + 300), (Ok((3, 4)), 0));
    assert_eq!(again(&world, None, NOW), (Ok((3, 4)), 0));
    assert_eq!(ask(&world, &forged, None, NOW), (Err(KeyRefusal::Signature), 1), "a signature is checked each time");
    assert_eq!(
        ask(&world, &good, Some("another's"), NOW),
        (Err(KeyRefusal::Token), 1),
        "with a token it is another key"
    );
    assert_eq!(ask(&world, &good, Some("its token"), NOW).0, Ok((3, 4)));
    assert_eq!(ask(&world, &good, Some("its token"), NOW), (Ok((3, 4)), 0));
    assert_eq!(ask(&world, &good, Some("its token"), NOW + 60), (Err(KeyRefusal::Token), 1), "its time is over");
    assert_eq!(again(&world, Some("its token"), NOW + 60), (Err(KeyRefusal::Token), 1));
    // The key is switched off: with that the generation moves.
    world.keys.is_active = false;
    world.revocations.set(5);
    assert_eq!(again(&world, None, NOW), (Err(KeyRefusal::Unknown), 1));
    assert_eq!(ask(&world, &good, None, NOW), (Err(KeyRefusal::Unknown), 1));
    world.keys.is_active = true;
    world.revocations.set(6);
    assert_eq!(ask(&world, &good, None, NOW), (Ok((6, 4)), 1));
    world.keys.knows = false;
    world.issuers.set(7);
    assert_eq!(ask(&world, &good, None, NOW), (Err(KeyRefusal::Unknown), 1));
}

#[test]
fn a_subject_that_is_revoked_takes_the_keys_that_it_had_by_then() {
    use crate::authn::{Revocation, Selector};
    let vector = &vectors()[3];
    for (before, stands) in [(6, true), (7, false), (8, false)] {
        let key = Selector::subject("a").unwrap().key("dev").unwrap();
        let row = Revocation::new(before, NOW, "").unwrap().encode().unwrap();
        let rows = Rows(BTreeMap::from([(key, row)]));
        let who = authenticate(&vector.request(), None, vector.body.as_bytes(), NOW, &KEPT, &rows);
        assert_eq!(who.is_ok(), stands, "{before}");
        assert_eq!(again("AKIDEXAMPLE", None, NOW, &KEPT, &rows).is_ok(), stands, "{before}");
    }
    assert_eq!(again("AKIDOTHER", None, NOW, &KEPT, &Rows::default()), Err(KeyRefusal::Unknown));
    let inactive = Keys { is_active: false, ..KEPT };
    assert_eq!(again("AKIDEXAMPLE", None, NOW, &inactive, &Rows::default()), Err(KeyRefusal::Unknown));
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
