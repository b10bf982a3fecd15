//! What verbs say when something is in their way: the output, the gateway, the network, or what was asked for.

use crate::cli::{client, done, failed, with_input};
use crate::gateway::TestGateway;
use crate::installation::{Installation, Ran};
use crate::tls::serve_as;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::thread;

/// A client verb, whose output somebody else reads.
fn verb(gateway: &TestGateway, arguments: &[&str]) -> Command {
    let mut command = gateway.installation().command(arguments);
    command.env("KEYWARD_ADDR", format!("http://{}", gateway.address())).env("KEYWARD_TOKEN", gateway.admin());
    command
}

fn lines(ran: &Ran) -> Vec<Value> {
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const SPEAKING: [&[&str]; 10] = [
    &["accesskey", "create"],
    &["secret", "get", "demo/db"],
    &["--output", "json", "secret", "get", "demo/db"],
    &["secret", "list"],
    &["--output", "json", "audit", "query", "--all"],
    &["audit", "checkpoint"],
    &["policy", "check"],
    &["policy", "show", "live", "attachments.json"],
    &["completions", "bash"],
    &["--help"],
];

#[test]
fn output_that_cannot_be_written_is_an_error_and_a_reader_that_left_is_none() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "s3cret");
    for arguments in SPEAKING {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ran = Ran::from(verb(&gateway, arguments).stdout(full).stderr(Stdio::piped()).output().unwrap());
        assert_eq!((ran.code, ran.err.lines().count()), (1, 1), "{arguments:?}: {ran:?}");
        assert!(ran.err.contains("cannot write the output: No space left"), "{arguments:?}: {ran:?}");
    }
    for arguments in SPEAKING {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ran = Ran::from(verb(&gateway, arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap());
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{arguments:?}");
    }
    gateway.finish();
}

#[test]
fn a_version_is_asked_of_the_program_alone() {
    let installation = Installation::new();
    assert!(done(installation.run(&["--version"])).out.starts_with("keyward "));
    for arguments in [
        &["secret", "update", "demo/db", "v1", "--version", "v2"][..],
        &["secret", "--version"],
        &["serve", "--version"],
    ] {
        let ran = installation.run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    }
}

#[test]
fn a_search_that_can_find_nothing_is_refused_with_what_is_wrong() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "s3cret");
    let refused = [
        (&["--action", "ssm:*"][..], "`ssm:*`"),
        (&["--action", "kms:GetSecretValue"], "`kms:GetSecretValue`"),
        (&["--action", "GetSecretValu"], "`GetSecretValu`"),
        (&["--action", "keyward:Nothing"], "`keyward:Nothing`"),
        (&["--principal", "admin"], "`admin`"),
        (&["--principal", "group/corp/payments"], "--group"),
        (&["--group", "payments"], "`payments`"),
        (&["--group", "user/dev/admin"], "`user/dev/admin`"),
        (&["--issuer", ""], "--issuer"),
        (&["--resource", ""], "--resource"),
        (&["--resource-prefix", ""], "--resource-prefix"),
        (&["--resource-prefix", "de mo"], "`de mo`"),
        (&["--start-time", "1h", "--end-time", "2h"], "--start-time"),
        (&["--start-time", "2027-01-31", "--end-time", "2027-01-31"], "--start-time"),
        (&["--start-index", "7", "--end-index", "7"], "--start-index"),
        (&["--start-time", "1795313400000"], "1795313400000"),
    ];
    for (filters, word) in refused {
        let ran = client(&gateway, gateway.admin(), &[&["audit", "query"], filters].concat(), b"");
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{filters:?}: {ran:?}");
        assert!(ran.err.contains(word), "{filters:?}: {ran:?}");
    }
    for (filters, found) in [
        (&["--action", "keyward:System"][..], "keyward:System"),
        (&["--action", "ssm:CreateSecret", "--end-time", "2999-01-01"], "ssm:CreateSecret"),
        (&["--principal", "user/dev/admin", "--resource-prefix", "demo/"], "ssm:CreateSecret"),
    ] {
        let all = [&["--output", "json", "audit", "query"], filters].concat();
        let ran = done(client(&gateway, gateway.admin(), &all, b""));
        assert!(lines(&ran).iter().any(|record| record["action"] == found), "{filters:?}: {ran:?}");
    }
    let ahead = done(client(&gateway, gateway.admin(), &["audit", "query", "--start-time", "2999-01-01"], b""));
    assert!(ahead.err.contains("lies in the future"), "{ahead:?}");
    let named = done(client(&gateway, gateway.admin(), &["audit", "query", "--issuer", "dev"], b""));
    assert!(named.err.contains("`dev`") && named.err.contains("https://"), "{named:?}");
    gateway.finish();
}

/// Answers each connection with these bytes, once it has sent something.
fn peer(listener: TcpListener, answer: String) {
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _asked = stream.read(&mut [0; 4096]);
            let _sent = stream.write_all(answer.as_bytes());
        }
    });
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

/// `secret list` of whoever answers at that address.
fn list_at(installation: &Installation, addr: &str) -> Ran {
    let mut command = installation.command(&["secret", "list"]);
    command.env("KEYWARD_ADDR", addr).env("KEYWARD_TOKEN", "a.b.c");
    with_input(command, b"")
}

fn bound() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn what_is_no_gateway_is_said_to_be_none() {
    let installation = Installation::new();
    for (status, body, words) in [
        ("501 Not Implemented", "<h1>Unsupported method</h1>", "is no keyward gateway (HTTP 501)"),
        ("404 Not Found", "{\"error\": \"none\"}", "is no keyward gateway (HTTP 404)"),
        ("200 OK", "welcome", "is no keyward gateway (HTTP 200)"),
    ] {
        let (listener, address) = bound();
        peer(listener, answer(status, body));
        let ran = list_at(&installation, &format!("http://{address}"));
        failed(&ran, 1, &[&format!("http://{address} {words}")]);
    }
}

#[test]
fn a_change_that_may_have_been_made_is_to_be_looked_for_before_the_next_try() {
    let installation = Installation::new();
    let unavailable = |message: &str| {
        let (listener, address) = bound();
        let error = json!({"Error": {"Code": "AuditUnavailable", "Message": message}, "RequestId": "0"});
        peer(listener, answer("503 Service Unavailable", &error.to_string()));
        let mut command = installation.command(&["secret", "disable", "demo/db"]);
        command.env("KEYWARD_ADDR", format!("http://{address}")).env("KEYWARD_TOKEN", "a.b.c");
        let ran = with_input(command, b"");
        failed(&ran, 1, &["AuditUnavailable"]);
        ran.err
    };
    let said = unavailable("a change was either not made or may be found made");
    assert!(said.contains("look whether it was done before you try again"), "{said}");
    let said = unavailable("the disk is too full to record accesses to secrets; nothing was done");
    assert!(said.contains("hint: try again"), "{said}");
}

#[test]
fn why_tls_failed_is_said() {
    let installation = Installation::new();
    serve_as(&installation, "localhost");
    let gateway = TestGateway::of(installation);
    let port = gateway.address().port();
    let list = |addr: &str, trusting: bool| {
        let mut command = gateway.installation().command(&["secret", "list"]);
        command.env("KEYWARD_ADDR", addr).env("KEYWARD_TOKEN", gateway.admin());
        if trusting {
            command.env("KEYWARD_CACERT", gateway.installation().path("ca.pem"));
        }
        with_input(command, b"")
    };
    failed(&list(&format!("https://localhost:{port}"), false), 1, &["UnknownIssuer"]);
    failed(&list(&format!("https://127.0.0.1:{port}"), true), 1, &["not valid for name"]);
    assert_eq!(list(&format!("https://localhost:{port}"), true).code, 0);
    let (listener, address) = bound();
    peer(listener, answer("200 OK", "{}"));
    let ran = list(&format!("https://{address}"), true);
    failed(&ran, 1, &["InvalidContentType"]);
    assert!(!ran.err.contains("keyward serve"), "{ran:?}");
    drop(gateway.kill());
}

#[test]
fn a_filter_of_logs_that_is_none_keeps_the_gateway_from_starting() {
    let installation = Installation::new();
    // So that it ends whatever it makes of the filter.
    fs::remove_file(installation.path("keys/log.key")).unwrap();
    let serve = |filter: &str| {
        let mut command = installation.command(&["serve"]);
        command.env("KEYWARD_LOG", filter);
        Ran::from(command.output().unwrap())
    };
    for wrong in ["warning", "info,keywad", "keyward=verbose", "=info"] {
        failed(&serve(wrong), 1, &["KEYWARD_LOG", wrong.rsplit(',').next().unwrap()]);
    }
    for right in ["", "warn", "info,keyward=debug"] {
        let ran = serve(right);
        assert!(ran.code == 1 && ran.err.contains("keys/log.key"), "{ran:?}");
    }
}

#[test]
fn a_token_file_that_holds_none_is_named() {
    let gateway = TestGateway::start();
    let file = gateway.installation().path("token");
    for text in ["", " \n"] {
        fs::write(&file, text).unwrap();
        let path = file.display().to_string();
        let ran = client(&gateway, gateway.admin(), &["--token-file", &path, "secret", "list"], b"");
        failed(&ran, 2, &[&path, "holds no token"]);
    }
    gateway.finish();
}

#[test]
fn a_configuration_that_cannot_be_read_is_not_said_to_be_absent() {
    let installation = Installation::new();
    let file = installation.path("keyward.toml");
    fs::remove_file(&file).unwrap();
    failed(&installation.run(&["token", "issue", "--sub", "admin"]), 1, &["there is no", "keyward init"]);
    symlink("keyward.toml", &file).unwrap();
    failed(&installation.run(&["token", "issue", "--sub", "admin"]), 1, &["cannot read", "keyward.toml"]);
    fs::remove_file(&file).unwrap();
    fs::write(&file, "[server]\nlisten = \n").unwrap();
    failed(&installation.run(&["token", "issue", "--sub", "admin"]), 1, &["keyward.toml", "line 2"]);
    fs::write(&file, "[audit]\norigin = \"o\"\n[server]\nlisen = 1\n").unwrap();
    failed(&installation.run(&["token", "issue", "--sub", "admin"]), 1, &["line 4", "lisen"]);
}

#[test]
fn tags_are_taken_off_by_their_keys_alone() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "s");
    let untag = |key: &str| client(&gateway, gateway.admin(), &["secret", "untag", "demo/db", key], b"");
    failed(&untag("team=pay"), 2, &["`team=pay`", "only the key"]);
    // There was none: what is said is so all the same.
    assert_eq!(done(untag("team")).out, "`demo/db` has no tag `team` any more\n");
    gateway.finish();
}

#[test]
fn a_key_that_is_in_the_way_is_named_with_the_verb_that_helps() {
    let gateway = TestGateway::start();
    let run = |arguments: &[&str], input: &[u8]| client(&gateway, gateway.admin(), arguments, input);
    let helps = |ran: &Ran, words: &[&str]| {
        failed(ran, 1, &[]);
        let hint = ran.err.lines().nth(1).unwrap_or_default();
        assert!(words.iter().all(|word| hint.contains(word)), "{words:?}: {ran:?}");
    };
    helps(&run(&["secret", "create", "k/1", "--key", "nokey"], b"x"), &["`nokey`", "keyward key create nokey"]);
    helps(&run(&["key", "enable", "nokey"], b""), &["keyward key list"]);
    done(run(&["key", "create", "team"], b""));
    done(run(&["secret", "create", "k/2", "--key", "team"], b"x"));
    helps(&run(&["key", "retire", "team", "1"], b""), &["keyward key rotate team"]);
    done(run(&["key", "disable", "team"], b""));
    helps(&run(&["secret", "create", "k/3", "--key", "team"], b"x"), &["keyward key enable team"]);
    helps(&run(&["secret", "get", "k/2"], b""), &["keyward key enable", "keyward secret describe"]);
    let trail = done(run(&["audit", "query"], b"")).out;
    let told = |words: [&str; 2]| trail.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(told(["DisableKey", "key/team"]), "{trail}");
    assert!(told(["System", "start"]), "{trail}");
    gateway.finish();
}

#[test]
fn an_item_that_was_not_read_is_told_to_programs_as_a_refusal() {
    let gateway = TestGateway::start();
    let app = gateway.issuer().token("app");
    let ran = client(&gateway, &app, &["--output", "json", "secret", "batch-get", "prod/db", "demo/none"], b"");
    let told: Vec<Value> = ran.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.len(), 3, "{ran:?}");
    for (error, status) in [(&told[0], 403), (&told[1], 404)] {
        assert_eq!(error["status"], status, "{error}");
        assert!(error["message"].is_string() && error["hint"].is_string(), "{error}");
        assert!(error["request"].as_str().is_some_and(|id| id.len() == 36), "{error}");
        assert!(!error["error"].as_str().unwrap().contains("request id"), "{error}");
    }
    gateway.finish();
}
