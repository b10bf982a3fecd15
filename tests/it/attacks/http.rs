//! F: HTTP itself, limits, routes.

use super::{check_bad, check_done, read};
use crate::gateway::TestGateway;
use serde_json::{Value, json};

/// A request that would be answered 200, were it ever seen as one of its own.
fn smuggled(gateway: &TestGateway) -> String {
    let body = json!({"SecretName": "demo/db"}).to_string();
    format!(
        "POST /v1/GetSecretValue HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        gateway.admin(),
        body.len()
    )
}

#[test]
fn attack_f01_two_readings_of_where_a_request_ends() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "s3cret");
    let before = gateway.records().len();
    let hidden = smuggled(&gateway);
    let head = "POST /v1/ListSecrets HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n";
    let length = hidden.len();
    let cases = [
        (
            "both lengths",
            format!("{head}Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        (
            "both, other order",
            format!("{head}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        ("two lengths", format!("{head}Content-Length: 0\r\nContent-Length: {length}\r\n\r\n{hidden}")),
        ("a list of lengths", format!("{head}Content-Length: 0, {length}\r\n\r\n{hidden}")),
        ("a signed length", format!("{head}Content-Length: +0\r\n\r\n{hidden}")),
        ("a negative length", format!("{head}Content-Length: -1\r\n\r\n{hidden}")),
        ("a length in hex", format!("{head}Content-Length: 0x0\r\n\r\n{hidden}")),
        ("an unknown coding", format!("{head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}")),
        ("chunked not last", format!("{head}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}")),
        ("a huge chunk", format!("{head}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{hidden}")),
        ("a chunk of no number", format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{hidden}")),
        ("a folded header", format!("{head}X-A: b\r\n Content-Length: 0\r\n\r\n{hidden}")),
        ("a space before the colon", format!("{head}Content-Length : 0\r\n\r\n{hidden}")),
        ("a NUL in a header", format!("{head}X-A: b\0c\r\n\r\n{hidden}")),
        ("no version", format!("POST /v1/ListSecrets\r\n\r\n{hidden}")),
        ("another version", format!("POST /v1/ListSecrets HTTP/9.9\r\nHost: h\r\n\r\n{hidden}")),
        ("a bare CR in a header", format!("{head}X-A: b\rContent-Length: 0\r\n\r\n{hidden}")),
        (
            "a bare LF behind the coding",
            format!("{head}Transfer-Encoding: chunked\n, identity\r\n\r\n0\r\n\r\n{hidden}"),
        ),
    ];
    for (what, text) in &cases {
        let raw = gateway.raw(text.as_bytes());
        let statuses: Vec<u16> = raw.replies.iter().map(|reply| reply.status).collect();
        assert!(raw.replies.iter().all(|reply| reply.status >= 400), "{what}: {statuses:?}");
        assert!(raw.replies.len() <= 1, "{what}: {statuses:?}");
        assert!(raw.closed, "{what}: the connection is left open: {statuses:?}");
    }
    let records = gateway.records();
    let reads = records[before..].iter().filter(|record| record["action"] == "ssm:GetSecretValue");
    assert_eq!(reads.count(), 0, "a hidden request was served");
    gateway.finish();
}

/// Where a chunk ends must be read in one way: what another reader might take for the end of a line, or of an extension, is
/// none. The callers are known ones, since nobody else's body is read at all.
#[test]
fn attack_f01_odd_chunks_are_refused_and_nothing_behind_them_is_served() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "s3cret");
    let before = gateway.records().len();
    let hidden = smuggled(&gateway);
    let head = format!(
        "POST /v1/DescribeSecret HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        gateway.admin()
    );
    let body = r#"{"SecretName":"demo/db"}"#;
    let size = format!("{:x}", body.len());
    let odd = [
        ("a bare LF behind the size", format!("{size}\n{body}\r\n0\r\n\r\n")),
        ("a bare LF in an extension", format!("{size};a=b\n{body}\r\n0\r\n\r\n")),
        ("a bare LF in a quoted extension", format!("{size};a=\"\n\"\r\n{body}\r\n0\r\n\r\n")),
        ("a bare CR behind the size", format!("{size}\r{body}\r\n0\r\n\r\n")),
        ("a NUL in an extension", format!("{size};a\0\r\n{body}\r\n0\r\n\r\n")),
        ("a bare LF behind the data", format!("{size}\r\n{body}\n0\r\n\r\n")),
        ("no end of line behind the data", format!("{size}\r\n{body}0\r\n\r\n")),
        ("data longer than its size", format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len() - 1)),
        ("a size in two parts", format!("{} {}\r\n{body}\r\n0\r\n\r\n", &size[..1], &size[1..])),
        ("a signed size", format!("+{size}\r\n{body}\r\n0\r\n\r\n")),
        ("a size with a prefix", format!("0x{size}\r\n{body}\r\n0\r\n\r\n")),
        ("an empty size", format!("\r\n{body}\r\n0\r\n\r\n")),
        ("a size over 2^64", format!("1{:016x}\r\n{body}\r\n0\r\n\r\n", body.len())),
    ];
    let mut refused = Vec::new();
    for (what, chunks) in &odd {
        let raw = gateway.raw(format!("{head}{chunks}{hidden}").as_bytes());
        let statuses: Vec<u16> = raw.replies.iter().map(|reply| reply.status).collect();
        assert!(statuses.len() <= 1 && statuses.iter().all(|status| *status == 400), "{what}: {statuses:?}");
        assert!(raw.closed, "{what}: the connection is left open");
        refused.extend(raw.replies.into_iter().map(|reply| (*what, reply)));
    }
    // An extension that is one is passed over, and what follows is a request of its own.
    let plain = gateway.raw(format!("{head}{size};a=b;c=\"d\"\r\n{body}\r\n0\r\n\r\n").as_bytes());
    assert_eq!(plain.replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), [200]);
    let export = gateway.export();
    for (what, reply) in refused.iter().filter(|(_, reply)| reply.index().is_some()) {
        check_bad(&export, what, reply, 400, "InvalidRequest");
    }
    let reads = export.records[before..].iter().filter(|record| record["action"] == "ssm:GetSecretValue");
    assert_eq!(reads.count(), 0, "a hidden request was served");
    let done = export.records[before..].iter().filter(|r| r["action"] == "ssm:DescribeSecret" && r["outcome"] == "ok");
    assert_eq!(done.count(), 1, "only the well-formed one was done");
    gateway.finish();
}

/// A bare LF as the end of a line of the head is read as RFC 9112, 2.2 allows, and in one way only: as if it were CRLF.
#[test]
fn attack_f01_a_bare_line_feed_in_a_head_is_read_in_one_way() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "s3cret");
    let token = gateway.issuer().token("app");
    let body = r#"{"SecretName":"demo/db"}"#;
    let head = |line: &str, length: usize| {
        let lines = [
            "POST /v1/GetSecretValue HTTP/1.1".to_owned(),
            "Host: h".to_owned(),
            format!("Authorization: Bearer {token}"),
            "Content-Type: application/json".to_owned(),
            format!("Content-Length: {length}"),
        ];
        format!("{}{line}{line}", lines.join(line))
    };
    let bare = gateway.raw(format!("{}{body}", head("\n", body.len())).as_bytes());
    let whole = gateway.raw(format!("{}{body}", head("\r\n", body.len())).as_bytes());
    let said = |raw: &crate::wire::Raw| {
        raw.replies.iter().map(|reply| (reply.status, reply.code().to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(said(&whole), [(200, "ok".to_owned())]);
    assert!(said(&bare) == said(&whole) || said(&bare).iter().all(|(status, _)| *status == 400), "{bare:?}");
    // Two lengths remain two lengths, whichever way the lines end.
    let two = head("\n", body.len()).replace("\nHost", "\nContent-Length: 0\nHost");
    let two = gateway.raw(format!("{two}{body}").as_bytes());
    assert!(two.replies.iter().all(|reply| reply.status == 400) && two.closed, "{two:?}");
    gateway.finish();
}

#[test]
fn attack_f02_http2_is_not_offered() {
    let gateway = TestGateway::start();
    let prior = gateway.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    assert!(prior.replies.iter().all(|reply| reply.status >= 400) && prior.closed, "{prior:?}");
    let upgrade =
        [("Upgrade", "h2c"), ("Connection", "Upgrade, HTTP2-Settings"), ("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA")];
    let reply = gateway.request("GET /healthz", &upgrade, b"");
    assert_eq!((reply.status, reply.header("upgrade")), (200, None));
    gateway.finish();
}

#[test]
fn attack_f03_bodies_beyond_their_limits() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "s3cret");
    let bearer = format!("Bearer {}", gateway.admin());
    let authorized = [("Authorization", bearer.as_str())];
    let ask = |action: &str, body: &str| gateway.call_with(&authorized, action, body);
    let keys: Vec<String> = (0..60_000).map(|number| format!("\"k{number}\":1")).collect();
    let deep = format!("{{\"SecretName\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let over = json!({"SecretName": "demo/db", "pad": "x".repeat(1 << 20)}).to_string();
    let value = |bytes: usize| json!({"SecretName": "demo/large", "SecretString": "v".repeat(bytes)}).to_string();
    let cases = [
        ("over 1 MiB", ask("GetSecretValue", &over), 413, "RequestSizeLimitExceeded"),
        ("10^5 deep", ask("GetSecretValue", &deep), 400, "InvalidParameter"),
        ("many keys", ask("GetSecretValue", &format!("{{{}}}", keys.join(","))), 400, "MissingParameter"),
        ("a list", ask("GetSecretValue", "[]"), 400, "InvalidParameter"),
        ("a name of another type", ask("GetSecretValue", r#"{"SecretName":7}"#), 400, "InvalidParameter"),
        ("two names", ask("GetSecretValue", r#"{"SecretName":"a","SecretName":"b"}"#), 400, "InvalidParameter"),
        ("trailing bytes", ask("GetSecretValue", r#"{"SecretName":"a"} {}"#), 400, "InvalidParameter"),
        ("an unknown field", ask("GetSecretValue", r#"{"SecretName":"a","Force":true}"#), 400, "UnknownParameter"),
        ("an empty value", ask("CreateSecret", r#"{"SecretName":"a","SecretString":""}"#), 400, "MissingParameter"),
        ("a value too large", ask("CreateSecret", &value(65_537)), 400, "InvalidParameterValue"),
        (
            "base64 unpadded",
            ask("CreateSecret", r#"{"SecretName":"a","SecretBinary":"AA"}"#),
            400,
            "InvalidParameterValue",
        ),
        ("limit 0", ask("SearchRecords", r#"{"Limit":0}"#), 400, "InvalidParameterValue"),
        ("limit -1", ask("SearchRecords", r#"{"Limit":-1}"#), 400, "InvalidParameter"),
        ("limit 2^64", ask("SearchRecords", r#"{"Limit":18446744073709551616}"#), 400, "InvalidParameter"),
        ("limit 201", ask("ListSecrets", r#"{"Limit":201}"#), 400, "InvalidParameterValue"),
    ];
    let encoded = [("Authorization", bearer.as_str()), ("Content-Encoding", "gzip")];
    let encoded = gateway.call_with(&encoded, "GetSecretValue", "\u{1f}");
    let whole = ask("CreateSecret", &value(65_536));
    let export = gateway.export();
    for (what, reply, status, code) in &cases {
        check_bad(&export, what, reply, *status, code);
        assert!(reply.bytes.len() < 512, "{what}");
    }
    check_bad(&export, "compressed", &encoded, 400, "InvalidRequest");
    check_done(&export, "the largest value", &whole);
    gateway.finish();
}

#[test]
fn attack_f03_heads_beyond_their_limits() {
    let gateway = TestGateway::start();
    let bearer = format!("Bearer {}", gateway.admin());
    let long = "a".repeat(40_000);
    let reply = gateway.call_with(&[("Authorization", &bearer), ("User-Agent", &long)], "ListSecrets", "{}");
    let path = gateway.request(
        &format!("POST /v1/{long}"),
        &[("Authorization", &bearer), ("Content-Type", "application/json")],
        b"{}",
    );
    // A megabyte of header never reaches the gateway as a request.
    let raw = gateway.raw(format!("GET /v1/x HTTP/1.1\r\nX-A: {}\r\n\r\n", "a".repeat(1 << 20)).as_bytes());
    assert!(raw.replies.iter().all(|reply| reply.status >= 400), "{:?}", raw.replies);
    let export = gateway.export();
    check_bad(&export, "a long header", &reply, 431, "RequestSizeLimitExceeded.HeaderTooLarge");
    check_bad(&export, "a long path", &path, 431, "RequestSizeLimitExceeded.HeaderTooLarge");
    assert!(export.bytes.windows(200).all(|window| window != &long.as_bytes()[..200]), "it was written down");
    gateway.finish();
}

#[test]
fn attack_f03_a_cursor_is_good_for_its_own_search_alone() {
    let gateway = TestGateway::start();
    for number in 0..6 {
        gateway.create(&format!("demo/{number}"), "v");
    }
    let search = |more: Value| {
        let mut parameters = json!({"Action": "ssm:CreateSecret", "Limit": 2});
        parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        gateway.call(gateway.admin(), "SearchRecords", &parameters)
    };
    let cursor = search(json!({})).ok().text("NextCursor").to_owned();
    let next = search(json!({"Cursor": cursor}));
    let mut flipped = cursor.clone().into_bytes();
    flipped[3] = if flipped[3] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    let forged = [
        ("flipped", search(json!({"Cursor": flipped}))),
        ("cut", search(json!({"Cursor": &cursor[..cursor.len() - 2]}))),
        ("an index", search(json!({"Cursor": "7"}))),
        ("of other filters", search(json!({"Cursor": cursor, "Action": "ssm:GetSecretValue"}))),
        ("of no filter", gateway.call(gateway.admin(), "SearchRecords", &json!({"Cursor": cursor}))),
    ];
    let gateway = gateway.restart();
    let parameters = json!({"Action": "ssm:CreateSecret", "Limit": 2, "Cursor": cursor});
    let stale = gateway.call(gateway.admin(), "SearchRecords", &parameters);
    let export = gateway.export();
    check_done(&export, "the next page", &next);
    for (what, reply) in forged.iter().chain([&("of before the restart", stale)]) {
        assert_eq!((reply.status, reply.code()), (400, "InvalidParameterValue"), "{what}: {}", reply.body);
        let record = export.record_of(reply);
        assert_eq!(
            (&record["outcome"], &record["reason"]),
            (&json!("failed"), &json!("InvalidParameterValue")),
            "{what}"
        );
    }
    gateway.finish();
}

#[test]
fn attack_f06_g07_no_route_without_a_token_and_none_that_weakens_the_evidence() {
    let gateway = TestGateway::builder().record_every_refusal().start();
    gateway.create("kept/one", "s3cret");
    let names = [
        "Seal",
        "Unseal",
        "Rekey",
        "Reload",
        "Debug",
        "CreateSink",
        "DeleteSink",
        "DisableAudit",
        "SetAuditFilter",
        "CreateIssuer",
        "UpdateIssuer",
        "SetLogKey",
        "DeleteRecords",
        "PruneRecords",
        "AcceptLoss",
        "SetConfig",
        "PutPolicy",
        "AttachPolicy",
        "GenerateDataKey",
        "Decrypt",
    ];
    let json_type = [("Content-Type", "application/json")];
    let mut asked = Vec::new();
    for name in names {
        let nobody = gateway.request(&format!("POST /v1/{name}"), &json_type, b"{}");
        asked.push((name.to_owned(), nobody, 401, "no_credential"));
        let admin = gateway.call(gateway.admin(), name, &json!({}));
        asked.push((name.to_owned(), admin, 400, "InvalidAction"));
    }
    for path in [
        "/v1/sys/seal",
        "/v1/sys/audit",
        "/debug/pprof",
        "/admin",
        "/config",
        "/reload",
        "/.git/config",
        "/v1/../healthz",
    ] {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let reply = gateway.request(&format!("{method} {path}"), &json_type, b"{}");
            asked.push((format!("{method} {path}"), reply, 401, "no_credential"));
        }
    }
    let open = ["/metrics", "/readyz", "/healthz", "/openapi.json"].map(|path| gateway.get(path));
    for reply in &open {
        let text = String::from_utf8_lossy(&reply.bytes);
        for name in ["kept/one", "user/dev", "admin", "s3cret"] {
            assert!(!text.contains(name), "`{name}` in {text}");
        }
    }
    let export = gateway.export();
    for (what, reply, status, reason) in &asked {
        assert_eq!(reply.status, *status, "{what}: {}", reply.body);
        let record = export.record_of(reply);
        assert_eq!((&record["reason"], &record["action"]), (&json!(reason), &json!("keyward:Unknown")), "{what}");
    }
    gateway.finish();
}

#[test]
fn attack_f08_secrets_are_neither_cached_nor_compressed_and_every_read_is_recorded() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", &"a".repeat(4_000));
    let bearer = format!("Bearer {}", gateway.issuer().token("app"));
    let first = gateway.call_with(&[("Authorization", &bearer)], "GetSecretValue", r#"{"SecretName":"demo/db"}"#);
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Accept-Encoding", "gzip, br, zstd, deflate"),
        ("If-None-Match", first.header("etag").unwrap_or("*")),
        ("If-Modified-Since", "Wed, 01 Jan 2100 00:00:00 GMT"),
        ("Range", "bytes=0-1"),
    ];
    let again = gateway.call_with(&headers, "GetSecretValue", r#"{"SecretName":"demo/db"}"#);
    let refused = read(&gateway, &gateway.issuer().token("stranger"), "demo/db");
    let export = gateway.export();
    for (what, reply) in [("first", &first), ("conditional", &again)] {
        check_done(&export, what, reply);
        assert_eq!(reply.text("SecretString").len(), 4_000, "{what}");
        assert_eq!((reply.header("content-encoding"), reply.header("etag")), (None, None), "{what}");
    }
    for reply in [&first, &again, &refused] {
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
    gateway.finish();
}
