//! F5: how fast known callers may ask and be denied. What is refused is counted exactly and costs the others nothing.

use crate::gateway::{TestGateway, wait_for};
use crate::installation::Policies;
use crate::wire::{Connection, Reply};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

fn gateway() -> TestGateway {
    gateway_with(2, 10)
}

/// With so many denials a second, and so many at once.
fn gateway_with(denials: u32, at_once: u32) -> TestGateway {
    let gateway = TestGateway::builder()
        .set("limits.requests_per_second", 20)
        .set("limits.requests_burst", 100)
        .set("limits.denials_per_second", denials)
        .set("limits.denials_burst", at_once)
        .start();
    gateway.create("demo/db", "s3cret");
    gateway
}

/// Asks `count` times for a secret as fast as it can, each time from another address by its own account.
fn hammer(gateway: &TestGateway, token: &str, count: usize) -> Vec<Reply> {
    hammer_for("GetSecretValue", gateway, token, count)
}

fn hammer_for(action: &str, gateway: &TestGateway, token: &str, count: usize) -> Vec<Reply> {
    let line = format!("POST /v1/{action}");
    let mut connection = Connection::open(gateway.address());
    let bearer = format!("Bearer {token}");
    let ask = |place: usize| {
        let claimed = format!("2001:db8::{place:x}");
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
            ("X-Forwarded-For", claimed.as_str()),
        ];
        connection.request(&line, &headers, br#"{"SecretName":"demo/db"}"#).expect("a reply")
    };
    (0..count).map(ask).collect()
}

/// What the summaries say of principals: count by principal and reason.
fn summarised(records: &[Value]) -> BTreeMap<(String, String), u64> {
    let mut sums = BTreeMap::new();
    let of_rates = |record: &&Value| record["kind"] == json!("summary") && record["reason"] == json!("rate_limited");
    for record in records.iter().filter(of_rates) {
        assert_eq!(record["parameters"]["others"]["count"], json!(0));
        for row in record["parameters"]["rows"].as_array().unwrap() {
            let key = [&row["principal"], &row["reason"]].map(|text| text.as_str().unwrap().to_owned());
            *sums.entry(key.into()).or_default() += row["count"].as_u64().unwrap();
        }
    }
    sums
}

fn count(replies: &[Reply], status: u16) -> usize {
    replies.iter().filter(|reply| reply.status == status).count()
}

#[test]
fn attack_f05_a_caller_who_hammers_is_slowed_down_and_nobody_else() {
    let gateway = gateway_with(50, 200);
    let replies = hammer(&gateway, &gateway.token("app", &[], &[], 600), 600);
    let (served, limited) = (count(&replies, 200), count(&replies, 429));
    assert_eq!(served + limited, 600);
    assert!(served >= 100 && limited > 100, "{served} served, {limited} limited");
    let refused = replies.iter().find(|reply| reply.status == 429).unwrap();
    assert_eq!(
        (refused.code(), refused.header("retry-after"), refused.index()),
        ("RequestLimitExceeded", Some("1"), None)
    );
    // Malformed requests count as well; another caller is another caller.
    let bearer = format!("Bearer {}", gateway.token("app", &[], &[], 600));
    let malformed = [("Authorization", bearer.as_str()), ("Content-Encoding", "gzip")];
    let bad: Vec<_> = (0..100).map(|_| gateway.call_with(&malformed, "GetSecretValue", "{}")).collect();
    let (malformed, bad) = (count(&bad, 400), count(&bad, 429));
    assert!(malformed + bad == 100 && bad > 0, "{malformed} refused, {bad} limited");
    let limited = limited + bad;
    assert_eq!(super::read(&gateway, gateway.admin(), "demo/db").status, 200);
    let expected = BTreeMap::from([(("user/dev/app".to_owned(), "request_rate".to_owned()), limited as u64)]);
    let records = wait_for("the summary", || Some(gateway.records()).filter(|records| summarised(records) == expected));
    let reads = records.iter().filter(|record| record["principal"] == json!("user/dev/app"));
    assert_eq!(reads.count(), served + malformed, "what is served is a record each, what is limited is none");
    let metrics = String::from_utf8(gateway.get("/metrics").bytes).unwrap();
    assert!(
        metrics.contains(&format!("keyward_rate_limited_total{{reason=\"request_rate\"}} {}", limited)),
        "{metrics}"
    );
    gateway.finish();
}

#[test]
fn attack_f05_a_caller_who_is_denied_too_often_is_refused_sooner_and_each_denial_is_a_record() {
    let gateway = gateway();
    let replies = hammer(&gateway, &gateway.token("stranger", &[], &[], 600), 60);
    let (denied, limited) = (count(&replies, 403), count(&replies, 429));
    assert_eq!(denied + limited, 60);
    assert!((10..50).contains(&denied), "{denied} denied");
    let expected = BTreeMap::from([(("user/dev/stranger".to_owned(), "denial_rate".to_owned()), limited as u64)]);
    let records = wait_for("the summary", || Some(gateway.records()).filter(|records| summarised(records) == expected));
    let denials = records.iter().filter(|record| record["principal"] == json!("user/dev/stranger"));
    assert_eq!(denials.count(), denied);
    // Slow again, it is answered again.
    wait_for("an allowance", || {
        let reply = super::read(&gateway, &gateway.token("stranger", &[], &[], 600), "demo/db");
        (reply.status == 403).then_some(())
    });
    gateway.finish();
}

#[test]
fn attack_f05_what_is_malformed_or_no_action_uses_up_the_allowance_of_denials() {
    let gateway = gateway();
    let replies = hammer_for("NoSuchAction", &gateway, &gateway.token("app", &[], &[], 600), 60);
    let (refused, limited) = (count(&replies, 404) + count(&replies, 400), count(&replies, 429));
    assert_eq!(refused + limited, 60);
    assert!((10..50).contains(&refused), "{refused} refused");
    let expected = BTreeMap::from([(("user/dev/app".to_owned(), "denial_rate".to_owned()), limited as u64)]);
    let records = wait_for("the summary", || Some(gateway.records()).filter(|records| summarised(records) == expected));
    let single = records.iter().filter(|record| record["principal"] == json!("user/dev/app"));
    assert_eq!(single.count(), refused, "each is a record");
    assert_eq!(super::read(&gateway, gateway.admin(), "demo/db").status, 200);
    gateway.finish();
}

/// Switches an access key again and again, until `is_over` says so of a reply.
fn switch(gateway: &TestGateway, token: &str, key: &str, to: [&str; 2], mut is_over: impl FnMut(&Reply) -> bool) {
    let mut connection = Connection::open(gateway.address());
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    for status in to.iter().cycle() {
        let body = json!({"AccessKeyId": key, "Status": status}).to_string();
        let reply = connection.request("POST /v1/UpdateAccessKey", &headers, body.as_bytes()).expect("a reply");
        if is_over(&reply) {
            return;
        }
    }
}

#[test]
fn attack_f05_who_switches_its_own_key_sends_nobody_back() {
    let own = json!({
        "effect": "allow",
        "action": ["cam:CreateAccessKey", "cam:UpdateAccessKey"],
        "resource": "*",
        "condition": {"string_equal": {"keyward:target_uin": "${uin}"}},
    });
    let policies = Policies::default().document("own-keys", &own).attach("own-keys", &["user/dev/switcher"]);
    let gateway = TestGateway::builder()
        .policies(policies)
        .set("limits.denials_per_second", 2)
        .set("limits.denials_burst", 10)
        .start();
    gateway.create("demo/db", "s3cret");
    let switcher = gateway.token("switcher", &[], &[], 600);
    let made = gateway.call(&switcher, "CreateAccessKey", &json!({})).ok();
    let key = made.body["AccessKey"]["AccessKeyId"].as_str().unwrap();
    let app = gateway.token("app", &[], &[], 600);
    let is_over = AtomicBool::new(false);
    let replies = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| switch(&gateway, &switcher, key, ["Active"; 2], |_| is_over.load(Ordering::Acquire)));
        }
        let replies = hammer(&gateway, &app, 400);
        is_over.store(true, Ordering::Release);
        replies
    });
    assert_eq!(count(&replies, 200), 400, "nobody is sent back by what changes nothing");
    // What does send others back is paid for.
    let mut switched = 0;
    switch(&gateway, &switcher, key, ["Inactive", "Active"], |reply| {
        assert!([200, 429].contains(&reply.status), "{}", reply.body);
        switched += 1;
        assert!(switched < 400, "it is never slowed down");
        reply.status == 429
    });
    gateway.call(gateway.admin(), "RevokeToken", &json!({"Issuer": "dev", "Subject": "switcher"})).ok();
    assert_eq!(super::read(&gateway, &app, "demo/db").status, 200);
    gateway.finish();
}
