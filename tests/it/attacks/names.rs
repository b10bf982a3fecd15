//! C: one name for policy and store, compared by bytes.

use super::{check_bad, check_denied, check_done, read, shape};
use crate::gateway::{TestGateway, wait_for};
use crate::installation::Policies;
use crate::wire::{Connection, Reply};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::{Duration, Instant};

#[test]
fn attack_c01_c03_names_that_are_not_canonical() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "s3cret");
    let app = gateway.issuer().token("app");
    let names = [
        ".",
        "..",
        "demo//db",
        "/demo/db",
        "demo/db/",
        "demo/./db",
        "demo/../db",
        "../demo/db",
        "demo%2fdb",
        "demo%252Fdb",
        "demo\\db",
        "demo;x/db",
        "demo/db\u{0}",
        "demo/db\n",
        "\u{1b}[31mdemo/db",
        " demo/db",
        "demo/db ",
        "demo/*",
        "demo/d?",
        "demo/\u{ff0f}db",
        "demo/d\u{200b}b",
        "\u{202e}bd/omed",
        "demo/de\u{301}",
        "demo/d\u{e9}",
        "-demo",
        "demo:db",
        "demo/db#x",
        "demo/db?x",
    ];
    let long = "a".repeat(513);
    let mut replies = Vec::new();
    for name in names.iter().copied().chain([long.as_str()]) {
        for action in ["GetSecretValue", "DescribeSecret", "DisableSecret"] {
            replies.push((name.to_owned(), gateway.call(&app, action, &json!({"SecretName": name}))));
        }
        let create = json!({"SecretName": name, "SecretString": "v"});
        replies.push((name.to_owned(), gateway.call(gateway.admin(), "CreateSecret", &create)));
    }
    let bearer = format!("Bearer {app}");
    let mut raw = Vec::new();
    for bytes in [&b"\xc0\xaf"[..], b"\xff", b"\xed\xa0\x80"] {
        let body = [b"{\"SecretName\":\"demo", bytes, b"db\"}"].concat();
        let headers = [("Content-Type", "application/json"), ("Authorization", bearer.as_str())];
        raw.push(gateway.request("POST /v1/GetSecretValue", &headers, &body));
    }
    let whole = read(&gateway, &app, "demo/db");
    let export = gateway.export();
    for (name, reply) in &replies {
        check_bad(&export, name, reply, 400, "InvalidParameterValue");
    }
    for reply in &raw {
        check_bad(&export, "no UTF-8", reply, 400, "InvalidParameter");
    }
    check_done(&export, "the canonical name", &whole);
    let listed = gateway.call(gateway.admin(), "ListSecrets", &json!({})).ok();
    assert_eq!(listed.body["TotalCount"], 1, "no odd name was stored");
    gateway.finish();
}

#[test]
fn attack_c02_case_makes_another_name() {
    let deny = json!({"effect": "deny", "action": "ssm:GetSecretValue",
        "resource": "qcs::ssm:::secret/creatorUin/*/demo/root"});
    let policies = Policies::default().document("no-root", &deny).attach("no-root", &["user/dev/app"]);
    let gateway = TestGateway::builder().policies(policies).start();
    for (name, value) in [("demo/root", "one"), ("demo/Root", "two"), ("Demo/root", "three")] {
        gateway.create(name, value);
    }
    let app = gateway.issuer().token("app");
    let exact = read(&gateway, &app, "demo/root");
    let twin = read(&gateway, &app, "demo/Root");
    let outside = read(&gateway, &app, "Demo/root");
    let path = gateway.call(&app, "getSecretValue", &json!({"SecretName": "demo/Root"}));
    let export = gateway.export();
    check_denied(&export, "the denied name", &exact, "explicit_deny");
    check_done(&export, "its twin", &twin);
    assert_eq!((twin.text("SecretString"), twin.text("SecretName")), ("two", "demo/Root"));
    check_denied(&export, "a twin of the folder", &outside, "default_deny");
    check_bad(&export, "a twin of the action", &path, 400, "InvalidAction");
    gateway.finish();
}

#[test]
fn attack_c05_a_grant_for_data_is_for_nothing_else_and_each_version_is_its_own() {
    let name = "qcs::ssm:::secret/creatorUin/*/vault/*";
    let policies =
        Policies::default().allow("data", &["ssm:GetSecretValue"], name).attach("data", &["user/dev/reader"]);
    let gateway = TestGateway::builder().policies(policies).start();
    gateway.create("vault/one", "first");
    let put = json!({"SecretName": "vault/one", "VersionId": "v2", "SecretString": "second"});
    gateway.call(gateway.admin(), "PutSecretValue", &put).ok();
    let reader = gateway.issuer().token("reader");
    let denied: Vec<_> = [
        ("DescribeSecret", json!({"SecretName": "vault/one"})),
        ("ListSecretVersionIds", json!({"SecretName": "vault/one"})),
        ("PutSecretValue", put),
        ("SetCurrentVersion", json!({"SecretName": "vault/one", "VersionId": "SSM_Current"})),
        ("DisableSecret", json!({"SecretName": "vault/one"})),
        ("EnableSecret", json!({"SecretName": "vault/one"})),
        ("ListSecrets", json!({})),
        ("SearchRecords", json!({"Resource": "vault/one"})),
        ("ExportRecords", json!({})),
    ]
    .map(|(action, parameters)| (action, gateway.call(&reader, action, &parameters)))
    .into();
    let version = |version: &str| {
        gateway.call(&reader, "GetSecretValue", &json!({"SecretName": "vault/one", "VersionId": version}))
    };
    let (current, old) = (read(&gateway, &reader, "vault/one"), version("SSM_Current"));
    let missing = ["0", "9223372036854775808", "v1", "V2"].map(|id| (id, version(id)));
    let bad = ["-1", "../v2", "v2/", ".v2", "v 2"].map(|id| (id, version(id)));
    let export = gateway.export();
    for (action, reply) in &denied {
        check_denied(&export, action, reply, "default_deny");
    }
    for (reply, value, id) in [(&current, "second", "v2"), (&old, "first", "SSM_Current")] {
        check_done(&export, id, reply);
        assert_eq!((reply.text("SecretString"), reply.text("VersionId")), (value, id));
        assert_eq!(export.record_of(reply)["secret_version"], json!(id));
    }
    assert_ne!(export.record_of(&current)["value"], export.record_of(&old)["value"]);
    for (id, reply) in &missing {
        assert_eq!((reply.status, reply.code()), (404, "ResourceNotFound"), "{id}");
        let record = export.record_of(reply);
        assert_eq!((&record["outcome"], &record["reason"]), (&json!("failed"), &json!("ResourceNotFound")), "{id}");
        assert!(record["value"].is_null() && record["secret_version"].is_null(), "{id}: {record}");
    }
    for (id, reply) in &bad {
        check_bad(&export, id, reply, 400, "InvalidParameterValue");
    }
    gateway.finish();
}

#[test]
fn attack_c07_a_resource_of_another_place_is_none_of_ours() {
    let gateway = TestGateway::start();
    let made = gateway.create("demo/db", "s3cret");
    let ours = gateway.record_of(&made)["resource"].as_str().unwrap().to_owned();
    let search = |resource: &str| gateway.call(gateway.admin(), "SearchRecords", &json!({"Resource": resource}));
    let found = search(&ours).ok();
    assert_eq!(found.body["Records"].as_array().unwrap().len(), 1, "{}", found.body);
    let aliases = [
        ours.replace(":local:", "::"),
        ours.replace(":local:", ":Local:"),
        ours.replace("uin/100000000001", "uin/0"),
        ours.replace("uin/100000000001", "uin/"),
        ours.replace("qcs::", "qcs:0:"),
        ours.replace("creatorUin/", "creatorUin/0"),
        ours.replace("/demo/db", "/demo/../demo/db"),
        format!("{ours}/"),
    ];
    let replies = aliases.map(|alias| (search(&alias), alias));
    let export = gateway.export();
    for (reply, alias) in &replies {
        assert_eq!((reply.status, reply.code()), (400, "InvalidParameterValue"), "{alias}: {}", reply.body);
        assert_eq!(export.record_of(reply)["reason"], json!("InvalidParameterValue"), "{alias}");
    }
    gateway.finish();
}

/// Names of one kind, over as many connections as there are threads.
const C09_NAMES: usize = 10_000;
const C09_CLIENTS: usize = 16;

/// Calls `ask` for each number below [`C09_NAMES`], each thread on a connection of its own; answers by number.
fn by_many<T: Send>(gateway: &TestGateway, ask: impl Fn(&mut Connection, usize) -> T + Sync) -> Vec<T> {
    let (address, ask) = (gateway.address(), &ask);
    let mut all: Vec<(usize, T)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..C09_CLIENTS)
            .map(|client| {
                scope.spawn(move || {
                    let mut connection = Connection::open(address);
                    let numbers = (client..C09_NAMES).step_by(C09_CLIENTS);
                    numbers.map(|number| (number, ask(&mut connection, number))).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, answer)| answer).collect()
}

/// One call as often as it takes on a busy machine, and how long the last took.
fn timed(connection: &mut Connection, token: &str, action: &str, body: &Value) -> (Reply, Duration) {
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    wait_for(action, || {
        let asked = Instant::now();
        let reply = connection.request(&format!("POST /v1/{action}"), &headers, body.to_string().as_bytes());
        let reply = reply.expect("a reply");
        (reply.status != 503).then(|| (reply, asked.elapsed()))
    })
}

#[test]
fn attack_c09_a_denied_caller_cannot_tell_whether_a_secret_exists() {
    let gateway = TestGateway::start();
    let stranger = gateway.issuer().token("stranger");
    let actions = ["GetSecretValue", "DescribeSecret", "ListSecretVersionIds", "EnableSecret", "DisableSecret"];
    let name = |number: usize| format!("hidden/{number:05}");
    let ask = |connection: &mut Connection, number: usize| {
        let action = actions[number % actions.len()];
        timed(connection, &stranger, action, &json!({"SecretName": name(number)}))
    };
    let absent = by_many(&gateway, ask);
    by_many(&gateway, |connection, number| {
        let create = json!({"SecretName": name(number), "SecretString": "value"});
        timed(connection, gateway.admin(), "CreateSecret", &create).0.ok();
    });
    let present = by_many(&gateway, ask);
    let export = gateway.export();
    let records: HashMap<&str, &Value> =
        export.records.iter().map(|record| (record["request"].as_str().unwrap(), record)).collect();
    for (number, (before, after)) in absent.iter().zip(&present).enumerate() {
        let (before, after) = (&before.0, &after.0);
        assert_eq!(before.status, 403);
        // The message names the action and the resource that were asked for, and nothing else.
        let shown = |reply: &Reply| {
            let (status, headers, body) = shape(reply);
            let plain = body.replace(&name(number), "<name>").replace(actions[number % actions.len()], "<action>");
            (status, headers, plain)
        };
        assert_eq!(shown(before), shown(after), "{number}");
        let (before, after) = (records[before.request()], records[after.request()]);
        for record in [before, after] {
            let said = (&record["decision"], &record["outcome"], &record["reason"]);
            assert_eq!(said, (&json!("deny"), &json!("denied"), &json!("default_deny")), "{record}");
        }
        assert_eq!(before["context"]["unknown"], json!(["creator", "tags"]), "{before}");
        assert!(after["context"]["unknown"].is_null(), "{after}");
        assert!(before["resource"].as_str().unwrap().ends_with(&format!("/creatorUin/*/{}", name(number))), "{before}");
        assert!(after["resource"].as_str().unwrap().ends_with(&format!("/{}", name(number))), "{after}");
        assert_eq!(before["action"], after["action"]);
    }
    // The middle of each, for people to compare: what a machine does beside this is no matter for a test to fail by.
    let middle = |answers: &[(Reply, Duration)]| {
        let mut times: Vec<Duration> = answers.iter().map(|(_, time)| *time).collect();
        times.sort();
        times[times.len() / 2]
    };
    let (absent, present) = (middle(&absent), middle(&present));
    eprintln!("denied after {absent:?} where the secret is absent, after {present:?} where it is there");
    gateway.finish();
}
