//! INVARIANT I13: every decision is true at its index. Reads run against disables, revocations and policy changes from
//! many threads; what is checked is the exported log itself, in the order of its indexes.

use crate::gateway::{Export, TestGateway};
use crate::installation::Policies;
use crate::wire::Connection;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const NAME: &str = "race/one";
const READERS: usize = 6;
const SWITCHES: usize = 30;
const REVOCATIONS: usize = 24;
const RELOADS: usize = 8;

/// The folder with and without the grant of the readers.
fn policies(granted: bool) -> Policies {
    let policies = Policies::default().allow("reads", &["ssm:GetSecretValue"], "*");
    policies.attach("reads", &[if granted { "user/dev/reader" } else { "user/dev/nobody" }])
}

/// Reads until `busy` is 0, each few times with the token of the moment; answers the requests that got the value.
fn read_on(gateway: &TestGateway, token: &Mutex<String>, busy: &AtomicUsize, reads: &AtomicUsize) -> Vec<String> {
    let mut connection = Connection::open(gateway.address());
    let mut served = Vec::new();
    while busy.load(Ordering::Acquire) > 0 {
        let bearer = format!("Bearer {}", token.lock().unwrap_or_else(PoisonError::into_inner));
        // The token stays in use for a while after it may have been revoked.
        for _ in 0..4 {
            let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
            let body = json!({"SecretName": NAME}).to_string();
            let reply = connection.request("POST /v1/GetSecretValue", &headers, body.as_bytes()).expect("a reply");
            reads.fetch_add(1, Ordering::AcqRel);
            if reply.status == 200 {
                assert_eq!(reply.text("SecretString"), "the value");
                served.push(reply.request().to_owned());
            }
        }
    }
    served
}

/// Lets some reads pass between two changes, so that either state is met.
fn let_pass(reads: &AtomicUsize) {
    let until = reads.load(Ordering::Acquire) + READERS;
    let given_up = Instant::now() + Duration::from_secs(10);
    while reads.load(Ordering::Acquire) < until && Instant::now() < given_up {
        std::thread::yield_now();
    }
}

fn switch(gateway: &TestGateway, reads: &AtomicUsize) {
    for number in 0..SWITCHES {
        let_pass(reads);
        let action = if number % 2 == 0 { "DisableSecret" } else { "EnableSecret" };
        // Whoever is decided five times on what keeps changing is told to ask again.
        gateway.insist(gateway.admin(), action, &json!({"SecretName": NAME}));
    }
}

fn revoke(gateway: &TestGateway, token: &Mutex<String>, first: &str) {
    let mut jti = first.to_owned();
    for _ in 0..REVOCATIONS {
        gateway.insist(gateway.admin(), "RevokeToken", &json!({"Issuer": "dev", "Jti": jti}));
        let claims = gateway.issuer().claims("reader");
        claims["jti"].as_str().unwrap().clone_into(&mut jti);
        *token.lock().unwrap_or_else(PoisonError::into_inner) = gateway.issuer().sign(&claims);
    }
}

fn reload(gateway: &TestGateway) {
    for number in 0..RELOADS {
        gateway.set_policies(&policies(number % 2 == 1));
    }
}

#[test]
fn i13_attack_g17_no_record_allows_by_what_an_earlier_record_changed() {
    let gateway = TestGateway::builder().record_every_refusal().policies(policies(true)).start();
    gateway.create(NAME, "the value");
    let claims = gateway.issuer().claims("reader");
    let token = Mutex::new(gateway.issuer().sign(&claims));
    let (busy, reads) = (AtomicUsize::new(3), AtomicUsize::new(0));
    let served: BTreeSet<String> = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(|| read_on(&gateway, &token, &busy, &reads))).collect();
        let first = claims["jti"].as_str().unwrap();
        let changers = [
            scope.spawn(|| busily(&busy, || switch(&gateway, &reads))),
            scope.spawn(|| busily(&busy, || revoke(&gateway, &token, first))),
            scope.spawn(|| busily(&busy, || reload(&gateway))),
        ];
        changers.into_iter().for_each(|changer| changer.join().unwrap());
        readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect()
    });
    check(&gateway.export(), &served);
    gateway.finish();
}

/// Counts a changer out when dropped: whatever becomes of it, the readers must end.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn busily(busy: &AtomicUsize, change: impl FnOnce()) {
    let _done = Done(busy);
    change();
}

/// The truth as the records before an index have it.
#[derive(Default)]
struct Truth {
    live: Value,
    granting: Value,
    disabled: bool,
    revoked: BTreeSet<String>,
    /// Requests that the log says got the value.
    released: BTreeSet<String>,
    allowed: usize,
    denied: usize,
    refused: usize,
    unavailable: usize,
}

fn check(export: &Export, served: &BTreeSet<String>) {
    let mut truth = Truth::default();
    for record in &export.records {
        truth.take(record);
    }
    assert_eq!(&truth.released, served, "values served are the records that say so");
    let counts = (truth.allowed, truth.denied, truth.refused, truth.unavailable);
    assert!(
        counts.0 > 20 && counts.1 > 5 && counts.2 > 5 && counts.3 > 5,
        "too little happened to prove anything: {counts:?}"
    );
    assert_eq!(truth.revoked.len(), REVOCATIONS);
}

impl Truth {
    fn take(&mut self, record: &Value) {
        let index = &record["index"];
        if !record["policy"].is_null() {
            assert_eq!(
                record["policy"]["revision"], self.live,
                "index {index}: decided by a revision that is not live"
            );
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let ok = record["outcome"] == "ok";
        match (text(&record["kind"]).as_str(), text(&record["action"]).as_str()) {
            ("policy_change", _) => {
                self.live = record["parameters"]["new"].clone();
                if self.granting.is_null() {
                    self.granting = self.live.clone();
                }
            }
            ("access", "ssm:DisableSecret") if ok => self.disabled = true,
            ("access", "ssm:EnableSecret") if ok => self.disabled = false,
            ("access", "cam:RevokeToken") if ok => drop(self.revoked.insert(text(&record["parameters"]["jti"]))),
            ("access", "ssm:GetSecretValue") => self.take_read(record, &text(&record["credential"]["jti"])),
            ("unauthenticated", _) => {
                assert_eq!(record["reason"], "revoked", "index {index}");
                assert!(self.revoked.contains(&text(&record["parameters"]["claimed_jti"])), "index {index}");
                self.refused += 1;
            }
            ("outcome", _) => drop(self.released.remove(&text(&record["request"]))),
            _ => {}
        }
    }

    fn take_read(&mut self, record: &Value, jti: &str) {
        let index = &record["index"];
        assert!(!self.revoked.contains(jti), "index {index}: a revoked token");
        match record["decision"].as_str() {
            Some("allow") => {
                assert_eq!(self.live, self.granting, "index {index}: allowed by a policy that was taken back");
                let reason = record["reason"].as_str().unwrap_or("ok");
                assert_eq!(reason != "ok", self.disabled, "index {index}: {reason}");
                if reason == "ok" {
                    let fresh = self.released.insert(record["request"].as_str().unwrap().to_owned());
                    assert!(fresh, "index {index}: a request twice");
                    self.allowed += 1;
                } else {
                    assert_eq!(reason, "ResourceUnavailable.ResourceDisabled", "index {index}");
                    self.unavailable += 1;
                }
            }
            Some("deny") => {
                assert_ne!(self.live, self.granting, "index {index}: denied by a policy that was not live");
                self.denied += 1;
            }
            _ => assert_eq!(record["reason"], "contention", "index {index}"),
        }
    }
}
