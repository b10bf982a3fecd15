//! G: completeness of the trail under load and floods, and text that others chose.

use super::{check_bad, check_done, check_refused, read};
use crate::gateway::{TestGateway, wait_for};
use crate::token::Issuer;
use crate::wire::Connection;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Calls of each of 16 clients: more than 10,000 in all.
const CALLS_EACH: usize = 640;

#[test]
fn attack_g05_values_served_are_the_allow_records_whatever_goes_on_beside() {
    let gateway = TestGateway::builder().record_every_refusal().start();
    let names: Vec<String> = (0..8).map(|number| format!("demo/{number}")).collect();
    for name in &names {
        gateway.create(name, &format!("value of {name}"));
    }
    let (app, stranger) = (gateway.issuer().token("app"), gateway.issuer().token("stranger"));
    let forged = gateway.issuer().impostor().token("app");
    let served: Vec<(String, String)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|thread| {
                let (names, tokens) = (&names, [&app, &stranger, &forged, &app]);
                let address = gateway.address();
                scope.spawn(move || {
                    let mut connection = Connection::open(address);
                    let mut served = Vec::new();
                    for number in 0..CALLS_EACH {
                        let name = &names[(thread + number) % names.len()];
                        let bearer = format!("Bearer {}", tokens[number % tokens.len()]);
                        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
                        let action = if number % 5 == 4 { "DescribeSecret" } else { "GetSecretValue" };
                        let body = json!({"SecretName": name}).to_string();
                        let reply = connection.request(&format!("POST /v1/{action}"), &headers, body.as_bytes());
                        let reply = reply.expect("a reply");
                        if let Some(value) = reply.body["SecretString"].as_str() {
                            assert_eq!(value, format!("value of {name}"));
                            served.push((reply.request().to_owned(), name.clone()));
                        }
                    }
                    served
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let export = gateway.export();
    let mut recorded: BTreeMap<String, String> = BTreeMap::new();
    for record in &export.records {
        if record["action"] == "ssm:GetSecretValue" && record["outcome"] == "ok" {
            assert_eq!(record["decision"], "allow");
            let name = record["resource"].as_str().unwrap().splitn(5, '/').nth(4).unwrap().to_owned();
            let twice = recorded.insert(record["request"].as_str().unwrap().to_owned(), name);
            assert_eq!(twice, None);
        }
    }
    // A record that became durable too late for its caller says so in an `outcome` behind it: nothing was released on it.
    for record in export.records.iter().filter(|record| record["kind"] == "outcome") {
        assert_eq!(record["outcome"], "failed", "{record}");
        let late = usize::try_from(record["answers"].as_u64().unwrap()).unwrap();
        let late = &export.records[late];
        assert_eq!(late["request"], record["request"], "{record}");
        let was_read = recorded.remove(record["request"].as_str().unwrap()).is_some();
        assert_eq!(was_read, late["action"] == "ssm:GetSecretValue" && late["outcome"] == "ok", "{late}");
    }
    let served: BTreeMap<String, String> = served.into_iter().collect();
    assert!(served.len() > 3_000, "{}", served.len());
    assert_eq!(served, recorded);
    gateway.finish();
}

/// Requests that were only counted, as the summaries have them.
fn summed(records: &[Value]) -> u64 {
    let summaries = records.iter().filter(|record| record["kind"] == "summary");
    let mut sum = 0;
    for record in summaries {
        let parameters = &record["parameters"];
        let rows = parameters["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
        let named: u64 = rows.iter().map(|row| row["count"].as_u64().unwrap()).sum();
        let others = parameters["others"]["count"].as_u64().unwrap();
        assert_eq!(parameters["count"].as_u64().unwrap(), named + others, "{record}");
        assert!(parameters["first"].as_u64() <= parameters["last"].as_u64(), "{record}");
        assert!(rows.iter().all(|row| row["network"] == "127.0.0.0/24" && row["reason"] == "signature"), "{record}");
        sum += named + others;
    }
    sum
}

/// What one client of a flood saw: refused with a record of its own, refused and only counted, and 503 where the
/// machine was too slow to record in time.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    single: u64,
    counted: u64,
    unrecorded: u64,
}

fn flood(gateway: &TestGateway, token: &str, until: Instant) -> Seen {
    let mut connection = Connection::open(gateway.address());
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let mut seen = Seen::default();
    while Instant::now() < until {
        let reply = connection.request("POST /v1/GetSecretValue", &headers, b"{}").expect("a reply");
        match (reply.status, reply.code(), reply.index()) {
            (401, "AuthFailure.TokenFailure", Some(_)) => seen.single += 1,
            (401, "AuthFailure.TokenFailure", None) => seen.counted += 1,
            (503, "AuditUnavailable", None) => seen.unrecorded += 1,
            _ => panic!("{}", reply.body),
        }
    }
    seen
}

#[test]
fn attack_g06_a_flood_is_counted_exactly_and_delays_nobody_who_is_known() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "s3cret");
    let app = gateway.issuer().token("app");
    let forged = gateway.issuer().impostor().token("app");
    let until = Instant::now() + Duration::from_millis(2_500);
    let (seen, slowest, served, unserved) = std::thread::scope(|scope| {
        let floods: Vec<_> = (0..4).map(|_| scope.spawn(|| flood(&gateway, &forged, until))).collect();
        let (mut slowest, mut served, mut unserved) = (Duration::ZERO, 0_u64, 0_u64);
        while Instant::now() < until {
            let asked = Instant::now();
            let reply = read(&gateway, &app, "demo/db");
            slowest = slowest.max(asked.elapsed());
            *(if reply.status == 200 { &mut served } else { &mut unserved }) += 1;
        }
        let seen: Vec<Seen> = floods.into_iter().map(|thread| thread.join().unwrap()).collect();
        (seen, slowest, served, unserved)
    });
    let sum = |of: fn(&Seen) -> u64| seen.iter().map(of).sum::<u64>();
    let (single, counted, unrecorded) = (sum(|s| s.single), sum(|s| s.counted), sum(|s| s.unrecorded));
    let records = wait_for("the last summary", || {
        let records = gateway.records();
        (summed(&records) >= counted).then_some(records)
    });
    assert_eq!(summed(&records), counted, "each request stands in one record or in one count");
    let singles: Vec<&Value> = records.iter().filter(|record| record["kind"] == "unauthenticated").collect();
    let late = singles.len() as u64 - single;
    assert!(late <= unrecorded, "{late} records too many");
    assert!(counted > 200 && singles.len() <= 10 * 5, "{counted} counted, {} singles", singles.len());
    assert!(singles.iter().all(|record| record["reason"] == "signature"));
    // Under a flood a known caller is served as without it: at once, unless the disk itself is slow.
    assert!(served > 20 && unserved * 10 <= served, "{served} served, {unserved} not");
    assert!(slowest < Duration::from_secs(2), "the slowest took {slowest:?}");
    gateway.finish();
}

#[test]
fn attack_g06_what_is_still_only_counted_is_written_down_at_the_stop() {
    let gateway = TestGateway::start();
    for _ in 0..60 {
        assert_eq!(read(&gateway, "nonsense", "demo/db").status, 401);
    }
    let gateway = gateway.restart();
    let records = gateway.records();
    let singles = records.iter().filter(|record| record["kind"] == "unauthenticated").count() as u64;
    let counts = records.iter().filter(|record| record["kind"] == "summary");
    let counted: u64 = counts.map(|record| record["parameters"]["count"].as_u64().unwrap()).sum();
    assert_eq!(singles + counted, 60);
    gateway.finish();
}

#[test]
fn attack_g06_what_keyward_does_itself_is_recorded() {
    let gateway = TestGateway::start();
    gateway.set_policies(&crate::installation::Policies::default().group("g", &[]));
    let gateway = gateway.restart();
    let installation = gateway.stop();
    installation.set("limits.versions_per_secret", 3);
    let gateway = TestGateway::of(installation);
    let records = gateway.records();
    let events: Vec<&str> = records
        .iter()
        .filter(|record| record["kind"] == "system")
        .filter_map(|r| r["parameters"]["event"].as_str())
        .collect();
    assert_eq!(events, ["init", "start", "stop", "start", "stop", "start"], "{events:?}");
    let configs: Vec<&Value> = records
        .iter()
        .filter(|record| record["parameters"]["event"] == "start")
        .map(|record| &record["parameters"]["config"])
        .collect();
    assert_eq!(configs[0], configs[1]);
    assert_ne!(configs[1], configs[2], "a changed configuration shows in the start's record");
    let changes: Vec<&Value> = records.iter().filter(|record| record["kind"] == "policy_change").collect();
    assert_eq!(changes.len(), 2);
    assert_eq!(changes[1]["parameters"]["old"], changes[0]["parameters"]["new"]);
    let owner = &changes[1]["parameters"]["changes"][0]["owner"];
    assert!(owner.is_string(), "whose the file is: {owner}");
    let changed = json!([{"change": "changed", "owner": owner, "path": "attachments.json"}]);
    assert_eq!(changes[1]["parameters"]["changes"], changed);
    gateway.finish();
}

#[test]
fn attack_g09_text_that_others_chose_stays_text() {
    let gateway = TestGateway::builder().record_every_refusal().start();
    gateway.create("demo/db", "s3cret");
    let nasty = "line\r\n{\"kind\":\"access\"}\u{0}\u{1b}[31m\u{202e}txt=<script>&\u{2028}";
    let mut claims = gateway.issuer().claims(nasty);
    (claims["jti"], claims["iss"]) = (json!(nasty), json!(format!("https://evil.example/{}", "x".repeat(5_000))));
    let claimed = read(&gateway, &gateway.issuer().sign(&claims), "demo/db");
    let reason = json!({"Issuer": "dev", "Jti": "gone", "Reason": nasty});
    let revoked = gateway.call(gateway.admin(), "RevokeToken", &reason);
    let long = json!({"Issuer": "dev", "Jti": "gone", "Reason": "r".repeat(257)});
    let long = gateway.call(gateway.admin(), "RevokeToken", &long);
    let bearer = format!("Bearer {}", gateway.issuer().token("app"));
    let agent = format!("agent/{}", "a".repeat(1_000));
    let agent = gateway.call_with(
        &[("Authorization", &bearer), ("User-Agent", &agent)],
        "GetSecretValue",
        r#"{"SecretName":"demo/db"}"#,
    );
    let described = json!({"SecretName": "demo/other", "SecretString": "v", "Description": nasty});
    let described = gateway.call(gateway.admin(), "CreateSecret", &described);
    let export = gateway.export();
    check_refused(&export, "claims", &claimed, "issuer");
    let parameters = &export.record_of(&claimed)["parameters"];
    assert_eq!(parameters["claimed_subject"], json!(nasty), "kept as it was, escaped");
    assert_eq!(parameters["claimed_issuer"].as_str().unwrap().len(), 128);
    check_done(&export, "a reason", &revoked);
    assert_eq!(export.record_of(&revoked)["parameters"]["reason"], json!(nasty));
    check_bad(&export, "a long reason", &long, 400, "InvalidParameterValue");
    assert_eq!(export.record_of(&agent)["user_agent"].as_str().unwrap().len(), 128);
    check_done(&export, "a description", &described);
    let shown = gateway.call(gateway.admin(), "DescribeSecret", &json!({"SecretName": "demo/other"})).ok();
    assert_eq!(shown.body["Description"], json!(nasty), "kept as it was, escaped");
    // Whatever was in it, each record is one line, and no control character stands in the file as such.
    assert!(export.bytes.iter().all(|byte| *byte >= 0x20 || *byte == b'\n'));
    assert!(gateway.log().bytes().all(|byte| byte >= 0x20 || byte == b'\n'));
    gateway.finish();
}

#[test]
fn attack_h05_of_many_writers_of_one_row_exactly_one_wins() {
    let gateway = TestGateway::start();
    gateway.create("demo/shared", "first");
    let corp: Issuer = gateway.installation().dev_issuer();
    let run = |action: &'static str, body: &(dyn Fn(usize) -> Value + Sync)| -> Vec<_> {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..12)
                .map(|number| {
                    let (gateway, token) = (&gateway, corp.token("admin"));
                    scope.spawn(move || gateway.call(&token, action, &body(number)))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    };
    let created = run("CreateSecret", &|n| json!({"SecretName": "demo/new", "SecretString": format!("by {n}")}));
    let put = run(
        "PutSecretValue",
        &|n| json!({"SecretName": "demo/shared", "VersionId": "v2", "SecretString": format!("by {n}")}),
    );
    for (replies, code, name) in
        [(&created, "ResourceInUse.SecretExists", "demo/new"), (&put, "ResourceInUse.VersionIdExists", "demo/shared")]
    {
        let winner: Vec<usize> = (0..12).filter(|place| replies[*place].status == 200).collect();
        assert_eq!(winner.len(), 1, "{name}");
        for reply in replies.iter().filter(|reply| reply.status != 200) {
            let code_seen = (reply.status, reply.code().to_owned());
            assert!(code_seen == (409, code.to_owned()) || code_seen.0 == 503, "{name}: {code_seen:?}");
        }
        let value = read(&gateway, gateway.admin(), name).ok();
        assert_eq!(value.text("SecretString"), format!("by {}", winner[0]), "{name}");
    }
    let export = gateway.export();
    for reply in created.iter().chain(&put) {
        let record = export.record_of(reply);
        let outcome = if reply.status == 200 { "ok" } else { "failed" };
        assert_eq!(record["outcome"], outcome, "{record}");
        assert_eq!(record["value"].is_string(), reply.status == 200, "{record}");
    }
    gateway.finish();
}
