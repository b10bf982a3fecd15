//! What it costs to check the signature of a request by an access key, of a key that signed a moment ago: TC3 and the two older
//! methods, with a body of 1 KiB, against one SHA-256 over that body. Trust the ratios.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints what it measures and stops at what fails"
)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward::authn::signed::{AccessKeys, FoundKey, KeysUnavailable, KnownKeys, Now, SignedRequest, Signer};
use keyward::authn::tc3::{Authorization, Payload, Tc3Request};
use keyward::authn::v1::{V1Hash, V1Request};
use keyward::authn::{KeyHolder, Revocations, RevocationsUnavailable};
use keyward::clock::SystemRandom;
use keyward::keys::AccessKeySecret;
use keyward::principal::Principal;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use zeroize::Zeroizing;

const NOW: u64 = 1_800_000_000;
const ROUNDS: u32 = 200_000;
const ID: &str = "AKIDEXAMPLE";

struct Secret(AccessKeySecret);

impl Signer for Secret {
    fn sign(&self, date: &str, service: &str, texts: &[Vec<u8>]) -> Vec<[u8; 32]> {
        self.0.sign(date, service, texts)
    }

    fn sign_whole(&self, hash: V1Hash, texts: &[Zeroizing<Vec<u8>>]) -> Vec<Vec<u8>> {
        let sign = |text: &Zeroizing<Vec<u8>>| match hash {
            V1Hash::Sha256 => self.0.sign_sha256(text).to_vec(),
            V1Hash::Sha1 => self.0.sign_sha1(text).to_vec(),
        };
        texts.iter().map(sign).collect()
    }
}

/// One key, and no revocations.
struct One(Arc<Secret>);

impl AccessKeys for One {
    fn find(&self, id: &str, _: Option<&str>) -> Result<Option<FoundKey>, KeysUnavailable> {
        let principal = Principal::parse("user/corp/a").unwrap();
        let (groups, roles, key) = (Vec::new(), Vec::new(), id.to_owned());
        let holder = KeyHolder { principal, groups, roles, key, issued_s: 0, session: None };
        Ok(Some(FoundKey { holder, is_active: true, signer: Arc::clone(&self.0) as Arc<dyn Signer> }))
    }

    fn dummy(&self) -> &dyn Signer {
        &*self.0
    }

    fn knows_issuer(&self, _: &str) -> bool {
        true
    }

    fn issuers_generation(&self) -> u64 {
        1
    }
}

impl Revocations for One {
    fn generation(&self) -> u64 {
        1
    }

    fn row(&self, _: &[u8]) -> Result<Option<Vec<u8>>, RevocationsUnavailable> {
        Ok(None)
    }
}

fn main() {
    let key = One(Arc::new(Secret(AccessKeySecret::random(&SystemRandom).unwrap())));
    let body = vec![b'x'; 1_024];
    let digest = time(|| {
        black_box(Sha256::digest(black_box(&body)));
    });
    println!("SHA-256 of the body: {digest:.2} us");
    for (name, request) in [
        ("TC3-HMAC-SHA256", tc3(&key, &body)),
        ("HmacSHA256", v1(&key, "HmacSHA256", &body)),
        ("HmacSHA1", v1(&key, "HmacSHA1", &body)),
    ] {
        let known = KnownKeys::default();
        let check = || known.authenticate(black_box(&request), None, &body, &Now::of(NOW, &key, &key)).unwrap();
        let each = time(|| drop(black_box(check())));
        println!("{name}: {each:.2} us a signature, {:.1} times that", each / digest);
    }
}

/// Microseconds of one call.
fn time(call: impl Fn()) -> f64 {
    (0..ROUNDS / 10).for_each(|_| call());
    let begun = Instant::now();
    (0..ROUNDS).for_each(|_| call());
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS)
}

/// A request as the Python SDK sends it: two headers are signed.
fn tc3(key: &One, body: &[u8]) -> SignedRequest {
    let (date, host) = ("2027-01-15", "127.0.0.1:8743");
    let canonical = format!(
        "POST\n/\n\ncontent-type:application/json\nhost:{host}\n\ncontent-type;host\n{}",
        hex::encode(Sha256::digest(body))
    );
    let text = format!("TC3-HMAC-SHA256\n{NOW}\n{date}/ssm/tc3_request\n{}", hex::encode(Sha256::digest(canonical)));
    let signature = key.0.sign(date, "ssm", &[text.into_bytes()]).remove(0);
    let header = format!(
        "TC3-HMAC-SHA256 Credential={ID}/{date}/ssm/tc3_request, SignedHeaders=content-type;host, Signature={}",
        hex::encode(signature)
    );
    SignedRequest::Tc3(Tc3Request {
        authorization: Authorization::parse(&header).unwrap(),
        timestamp: NOW.to_string(),
        method: "POST".to_owned(),
        query: Vec::new(),
        values: vec![b"application/json".to_vec(), host.as_bytes().to_vec()],
        payload: Payload::Body,
    })
}

/// The same as a form.
fn v1(key: &One, method: &str, body: &[u8]) -> SignedRequest {
    let mut parameters: BTreeMap<String, Zeroizing<String>> = [
        ("Action", "GetSecretValue"),
        ("Nonce", "12345"),
        ("SecretId", ID),
        ("SecretName", std::str::from_utf8(body).unwrap()),
        ("SignatureMethod", method),
        ("Timestamp", &NOW.to_string()),
        ("Version", "2019-09-23"),
    ]
    .map(|(name, value)| (name.to_owned(), Zeroizing::new(value.to_owned())))
    .into();
    let joined: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", value.as_str())).collect();
    let text = Zeroizing::new(format!("POST127.0.0.1:8743/?{}", joined.join("&")).into_bytes());
    let signature = key.0.sign_whole(V1Hash::of(Some(method)).unwrap(), &[text]).remove(0);
    parameters.insert("Signature".to_owned(), Zeroizing::new(STANDARD.encode(signature)));
    SignedRequest::V1(V1Request::read("POST", b"127.0.0.1:8743", &parameters).unwrap())
}
