//! Lists, searches of the trail, and proofs, each held against a naive second computation over the export.

use crate::gateway::{Export, TestGateway};
use crate::wire::Reply;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keyward_audit_verify::{Checkpoint, Vkey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

#[test]
fn lists_of_secrets_page_and_filter() {
    let gateway = TestGateway::start();
    for number in 0..25 {
        let team = if number % 3 == 0 { "pay" } else { "web" };
        let parameters = json!({"SecretName": format!("list/{number:02}"), "SecretString": "v",
            "Tags": [{"TagKey": "team", "TagValue": team}]});
        gateway.call(gateway.admin(), "CreateSecret", &parameters).ok();
        if number % 5 == 0 {
            let name = json!({"SecretName": format!("list/{number:02}")});
            gateway.call(gateway.admin(), "DisableSecret", &name).ok();
        }
    }
    let ask = |parameters: Value| gateway.call(gateway.admin(), "ListSecrets", &parameters).ok().body;
    let names = |body: &Value| -> Vec<String> {
        let rows = body["SecretMetadatas"].as_array().unwrap();
        rows.iter().map(|row| row["SecretName"].as_str().unwrap().to_owned()).collect()
    };
    let mut paged = Vec::new();
    for page in 0..4 {
        let body = ask(json!({"Offset": page * 7, "Limit": 7}));
        assert_eq!(body["TotalCount"], 25);
        paged.extend(body["SecretMetadatas"].as_array().unwrap().clone());
    }
    let place = |row: &Value| (row["CreateTime"].as_u64().unwrap(), row["SecretName"].as_str().unwrap().to_owned());
    let mut sorted: Vec<_> = paged.iter().map(place).collect();
    let seen = sorted.clone();
    sorted.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    assert_eq!(seen, sorted, "newest first, then by name");
    assert_eq!(seen.iter().map(|row| &row.1).collect::<BTreeSet<_>>().len(), 25);
    assert_eq!(ask(json!({}))["SecretMetadatas"].as_array().unwrap().len(), 20, "20 if no limit is given");
    let expect = |keep: fn(usize) -> bool| -> BTreeSet<String> {
        (0..25).filter(|number| keep(*number)).map(|number| format!("list/{number:02}")).collect()
    };
    let tags = |values: Value| json!([{"TagKey": "team", "TagValue": values}]);
    let cases: [(Value, BTreeSet<String>); 7] = [
        (json!({"State": 2, "Limit": 200}), expect(|n| n % 5 == 0)),
        (json!({"State": 1, "Limit": 200}), expect(|n| n % 5 != 0)),
        (json!({"State": 3}), expect(|_| false)),
        (json!({"SearchSecretName": "/1", "Limit": 200}), expect(|n| (10..20).contains(&n))),
        (json!({"TagFilters": tags(json!(["pay"])), "Limit": 200}), expect(|n| n % 3 == 0)),
        (json!({"TagFilters": tags(json!([])), "Limit": 200}), expect(|_| true)),
        (json!({"TagFilters": tags(json!(["pay"])), "State": 2, "Limit": 200}), expect(|n| n % 15 == 0)),
    ];
    for (parameters, expected) in cases {
        let body = ask(parameters.clone());
        assert_eq!(names(&body).into_iter().collect::<BTreeSet<_>>(), expected, "{parameters}");
        assert_eq!(body["TotalCount"], json!(expected.len()), "{parameters}");
    }
    gateway.finish();
}

/// A generator of SplitMix64's kind: the same numbers in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 33) as usize % bound
    }
}

/// All pages of a list, three secrets each: names and times, in their order.
fn paged(gateway: &TestGateway, parameters: &Value) -> Vec<(u64, String)> {
    let mut listed = Vec::new();
    loop {
        let mut page = parameters.clone();
        page["Offset"] = json!(listed.len());
        page["Limit"] = json!(3);
        let body = gateway.call(gateway.admin(), "ListSecrets", &page).ok().body;
        let rows = body["SecretMetadatas"].as_array().unwrap();
        let read = |row: &Value| (row["CreateTime"].as_u64().unwrap(), row["SecretName"].as_str().unwrap().to_owned());
        listed.extend(rows.iter().map(read));
        if rows.is_empty() {
            assert_eq!(body["TotalCount"], json!(listed.len()));
            return listed;
        }
    }
}

#[test]
fn pages_that_are_made_of_remembered_names_are_those_of_the_secrets_that_there_are() {
    let gateway = TestGateway::start();
    let admin = |action: &str, parameters: &Value| gateway.call(gateway.admin(), action, parameters).status;
    let mut numbers = Numbers(7);
    let mut there: BTreeSet<String> = BTreeSet::new();
    for step in 0..60 {
        let name = format!("list/{}", numbers.below(12));
        let named = json!({"SecretName": name});
        let is_there = there.contains(&name);
        match numbers.below(4) {
            0 if is_there => {
                assert_eq!(admin("DisableSecret", &named), 200);
                assert_eq!(admin("DeleteSecret", &named), 200);
                there.remove(&name);
            }
            1 if is_there => {
                let put =
                    json!({"SecretName": name, "VersionId": format!("v{step}"), "SecretString": "x", "Stage": true});
                assert_eq!(admin("PutSecretValue", &put), 200, "after step {step}");
            }
            2 | 3 if !is_there => {
                gateway.create(&name, "v");
                there.insert(name);
            }
            _ => {}
        }
        for oldest_first in [false, true] {
            for search in ["", "1", "list/1"] {
                let parameters = json!({"OrderType": u8::from(oldest_first), "SearchSecretName": search});
                let listed = paged(&gateway, &parameters);
                let mut sorted = listed.clone();
                sorted.sort_by(|a, b| {
                    let by_time = a.0.cmp(&b.0);
                    (if oldest_first { by_time } else { by_time.reverse() }).then_with(|| a.1.cmp(&b.1))
                });
                assert_eq!(listed, sorted, "{parameters} after step {step}");
                let names: Vec<&String> = listed.iter().map(|(_, name)| name).collect();
                let expected: BTreeSet<&String> = there.iter().filter(|name| name.contains(search)).collect();
                assert_eq!(names.len(), expected.len(), "{parameters} after step {step}");
                assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), expected, "{parameters} after step {step}");
            }
        }
    }
    gateway.finish();
}

/// A trail with something for every filter.
fn trail() -> TestGateway {
    let gateway = TestGateway::builder().record_every_refusal().start();
    let app = gateway.token("app", &["ops", "web"], &["batch"], 600);
    let stranger = gateway.issuer().token("stranger");
    for number in 0..12 {
        let name = format!("{}/{number}", if number % 2 == 0 { "demo" } else { "prod" });
        gateway.create(&name, "v");
        for token in [&app, &stranger] {
            gateway.call(token, "GetSecretValue", &json!({"SecretName": name}));
            gateway.call(token, "DescribeSecret", &json!({"SecretName": name}));
        }
        gateway.call(&app, "GetSecretValue", &json!({"SecretName": "demo/none"}));
        gateway.call("nonsense", "GetSecretValue", &json!({"SecretName": name}));
        gateway.call(&app, "GetSecretValue", &json!({"SecretName": "../x"}));
    }
    gateway
}

fn name_of(record: &Value) -> &str {
    record["resource"].as_str().and_then(|text| text.splitn(5, '/').nth(4)).unwrap_or("\0")
}

type Keeps = Box<dyn Fn(&Value) -> bool>;

fn filters(records: &[Value]) -> Vec<(Value, Keeps)> {
    let middle = records[records.len() / 2]["time"].as_u64().unwrap() / 1_000_000;
    let micros = |seconds: u64| seconds * 1_000_000;
    let has = |field: &'static str, value: &'static str| -> Keeps { Box::new(move |r| r[field] == value) };
    vec![
        (json!({}), Box::new(|_| true)),
        (json!({"Principal": "user/dev/app"}), has("principal", "user/dev/app")),
        (json!({"Principal": "user/dev/nobody"}), Box::new(|_| false)),
        (json!({"Issuer": "https://keyward.local/dev"}), has("issuer", "https://keyward.local/dev")),
        (
            json!({"Group": "group/dev/ops"}),
            Box::new(|r| r["context"]["groups"].as_array().is_some_and(|all| all.contains(&json!("group/dev/ops")))),
        ),
        (json!({"Action": "ssm:DescribeSecret"}), has("action", "ssm:DescribeSecret")),
        (json!({"Decision": "deny"}), has("decision", "deny")),
        (json!({"Outcome": "failed"}), has("outcome", "failed")),
        (json!({"ResourcePrefix": "demo/"}), Box::new(|r| name_of(r).starts_with("demo/"))),
        (json!({"ResourcePrefix": "demo/1"}), Box::new(|r| name_of(r).starts_with("demo/1"))),
        (json!({"StartIndex": 20, "EndIndex": 43}), Box::new(|r| (20..43).contains(&r["index"].as_u64().unwrap()))),
        (json!({"StartTime": middle}), Box::new(move |r| r["time"].as_u64().unwrap() >= micros(middle))),
        (json!({"EndTime": middle}), Box::new(move |r| r["time"].as_u64().unwrap() < micros(middle))),
        (
            json!({"Principal": "user/dev/app", "Decision": "allow", "ResourcePrefix": "demo/", "Action": "ssm:GetSecretValue"}),
            Box::new(|r| {
                r["principal"] == "user/dev/app"
                    && r["decision"] == "allow"
                    && name_of(r).starts_with("demo/")
                    && r["action"] == "ssm:GetSecretValue"
            }),
        ),
    ]
}

/// All pages of a search, as of `size`.
fn pages(gateway: &TestGateway, filter: &Value, limit: u64, size: u64) -> Vec<Value> {
    let mut parameters = filter.clone();
    parameters["Limit"] = json!(limit);
    if parameters.get("EndIndex").is_none() {
        parameters["EndIndex"] = json!(size);
    }
    let mut all = Vec::new();
    loop {
        let page = gateway.call(gateway.admin(), "SearchRecords", &parameters).ok().body;
        let records = page["Records"].as_array().unwrap().clone();
        assert!(records.len() as u64 <= limit);
        all.extend(records);
        let next = page["NextCursor"].as_str().unwrap().to_owned();
        if next.is_empty() {
            assert_eq!(page["Complete"], true);
            return all;
        }
        parameters["Cursor"] = json!(next);
    }
}

#[test]
fn searches_answer_what_a_naive_filter_over_the_export_keeps() {
    let gateway = trail();
    let records = gateway.records();
    let size = records.len() as u64;
    for (filter, keeps) in filters(&records) {
        let expected: Vec<Value> = records.iter().rev().filter(|record| keeps(record)).cloned().collect();
        for limit in [7, 200] {
            let found = pages(&gateway, &filter, limit, size);
            assert_eq!(found, expected, "{filter} by {limit}");
        }
    }
    let one = records.iter().find(|record| name_of(record) == "demo/4").unwrap()["resource"].clone();
    let expected: Vec<Value> = records.iter().rev().filter(|record| record["resource"] == one).cloned().collect();
    assert!(expected.len() >= 4);
    for resource in [json!("demo/4"), one] {
        assert_eq!(pages(&gateway, &json!({"Resource": resource}), 3, size), expected);
    }
    gateway.finish();
}

fn leaf(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest([&[0], bytes].concat()).to_vec()
}

fn node(left: &[u8], right: &[u8]) -> Vec<u8> {
    Sha256::digest([&[1], left, right].concat()).to_vec()
}

/// MTH of RFC 6962, by its definition.
fn tree(leaves: &[Vec<u8>]) -> Vec<u8> {
    match leaves {
        [] => Sha256::digest([]).to_vec(),
        [one] => one.clone(),
        _ => {
            let half = leaves.len().next_power_of_two() / 2;
            node(&tree(&leaves[..half]), &tree(&leaves[half..]))
        }
    }
}

/// The root that an inclusion path leads to (RFC 9162, 2.1.3.2).
fn climb(index: u64, size: u64, leaf: &[u8], path: &[Vec<u8>]) -> Vec<u8> {
    let (mut place, mut last, mut hash) = (index, size - 1, leaf.to_vec());
    for sibling in path {
        assert!(last > 0, "the path is too long");
        if place % 2 == 1 || place == last {
            hash = node(sibling, &hash);
            while place % 2 == 0 && place != 0 {
                place /= 2;
                last /= 2;
            }
        } else {
            hash = node(&hash, sibling);
        }
        place /= 2;
        last /= 2;
    }
    assert_eq!(last, 0, "the path is too short");
    hash
}

fn opened(gateway: &TestGateway, note: &str) -> Checkpoint {
    let keys = Vkey::parse_file(&gateway.installation().read("keys/log.vkey")).unwrap();
    Checkpoint::open(note.as_bytes(), &keys).expect("a note signed by the log's key")
}

#[test]
fn i07_proofs_and_checkpoints_hold_by_arithmetic_of_the_tests_own() {
    let gateway = trail();
    let export: Export = gateway.export();
    let lines: Vec<&[u8]> = export.bytes.split(|byte| *byte == b'\n').take(export.records.len()).collect();
    let leaves: Vec<Vec<u8>> = lines.into_iter().map(leaf).collect();
    assert_eq!(export.leaves(), leaves);
    let newest = gateway.call(gateway.admin(), "GetCheckpoint", &json!({})).ok();
    let checkpoint = opened(&gateway, newest.text("Checkpoint"));
    assert_eq!(json!(checkpoint.size()), newest.body["Size"]);
    let size = leaves.len() as u64;
    let root = tree(&leaves);
    for index in [0, 1, 7, size / 2, size - 2, size - 1] {
        let ask = json!({"Index": index, "Size": size});
        let proof = gateway.call(gateway.admin(), "GetInclusionProof", &ask).ok();
        let path: Vec<Vec<u8>> = proof.body["Hashes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hash| STANDARD.decode(hash.as_str().unwrap()).unwrap())
            .collect();
        let own = &leaves[usize::try_from(index).unwrap()];
        assert_eq!(STANDARD.decode(proof.text("Leaf")).unwrap(), *own);
        assert_eq!(climb(index, size, own, &path), root, "index {index}");
        let signed = opened(&gateway, proof.text("Checkpoint"));
        assert_eq!((signed.size(), signed.root().as_slice()), (size, root.as_slice()));
        assert!(proof.text("Proof").contains(proof.text("Checkpoint")), "the proof carries its checkpoint");
        let wrong = climb(index, size, &leaves[usize::try_from((index + 1) % size).unwrap()], &path);
        assert_ne!(wrong, root, "another leaf leads elsewhere");
    }
    for (index, of) in [(size, size), (0, 0), (0, 1_000_000), (u64::MAX >> 11, size), (1 << 53, 0), (u64::MAX, 0)] {
        let reply = gateway.call(gateway.admin(), "GetInclusionProof", &json!({"Index": index, "Size": of}));
        assert_eq!((reply.status, reply.code()), (404, "ResourceNotFound"), "{index} of {of}");
    }
    gateway.finish();
}

#[test]
fn i07_a_reply_carries_the_newest_checkpoint_if_it_is_asked_for() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "s3cret");
    let bearer = format!("Bearer {}", gateway.issuer().token("app"));
    let ask = |prefer: Option<&str>| -> Reply {
        let mut headers = vec![("Authorization", bearer.as_str())];
        headers.extend(prefer.map(|value| ("Prefer", value)));
        gateway.call_with(&headers, "GetSecretValue", r#"{"SecretName":"demo/db"}"#)
    };
    for (prefer, expected) in [
        (None, false),
        (Some("audit-checkpoint"), true),
        (Some("respond-async, Audit-Checkpoint"), true),
        (Some("checkpoint"), false),
    ] {
        let reply = ask(prefer).ok();
        assert_eq!(reply.header("preference-applied").is_some(), expected, "{prefer:?}");
        if let Some(text) = reply.header("keyward-audit-checkpoint") {
            let note = String::from_utf8(URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
            assert!(opened(&gateway, &note).size() > 0);
        }
        assert_eq!(reply.header("keyward-audit-checkpoint").is_some(), expected, "{prefer:?}");
    }
    // How large the log is, is for those who are known: also where something else is wrong first.
    for (credential, expected) in [(None, false), (Some("Bearer no.to.ken"), false), (Some(bearer.as_str()), true)] {
        let mut headers = vec![("Prefer", "audit-checkpoint")];
        headers.extend(credential.map(|value| ("Authorization", value)));
        let reply = gateway.request("GET /v1/GetSecretValue", &headers, b"");
        assert_eq!(reply.code(), "UnsupportedProtocol", "{credential:?}");
        assert_eq!(reply.header("keyward-audit-checkpoint").is_some(), expected, "{credential:?}");
    }
    gateway.finish();
}

#[test]
fn i03_a_search_that_no_record_has_room_for_is_refused_and_recorded() {
    let gateway = TestGateway::start();
    // Each of these characters takes six bytes of a record.
    let long = "\u{1}".repeat(256);
    let mut asked =
        json!({"Decision": "allow", "Outcome": "ok", "StartTime": 1, "EndTime": 2, "StartIndex": 1, "EndIndex": 2});
    for name in ["Principal", "Issuer", "Group", "ResourcePrefix", "Action"] {
        asked[name] = json!(long);
    }
    let reply = gateway.call(gateway.admin(), "SearchRecords", &asked);
    assert_eq!((reply.status, reply.code()), (413, "RequestSizeLimitExceeded"), "{}", reply.body);
    let record = gateway.export().record_of(&reply).clone();
    assert_eq!(
        (&record["reason"], &record["action"]),
        (&json!("record_too_large"), &json!("cloudaudit:SearchRecords"))
    );
    assert!(record["parameters"].is_null(), "{record}");
    gateway.finish();
}
