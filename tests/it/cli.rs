//! The command line as its users see it: exit codes, messages, files.

use crate::gateway::TestGateway;
use crate::installation::{Installation, PROGRAM, Policies, Ran};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

/// A client verb against a running gateway.
pub(crate) fn client(gateway: &TestGateway, token: &str, arguments: &[&str], input: &[u8]) -> Ran {
    let mut command = gateway.installation().command(arguments);
    command.env("KEYWARD_ADDR", format!("http://{}", gateway.address())).env("KEYWARD_TOKEN", token);
    with_input(command, input)
}

pub(crate) fn with_input(mut command: Command, input: &[u8]) -> Ran {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that refuses its arguments does not read.
    let _not_read = child.stdin.take().unwrap().write_all(input);
    Ran::from(child.wait_with_output().unwrap())
}

/// One line that begins with `error: ` and holds `words`, perhaps a hint behind it, and nothing on standard output.
#[track_caller]
pub(crate) fn failed(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, code, "{ran:?}");
    let lines: Vec<&str> = ran.err.trim_end().lines().collect();
    assert!(lines.len() == 1 || (lines.len() == 2 && lines[1].starts_with("hint: ")), "{ran:?}");
    assert!(lines[0].starts_with("error: "), "{ran:?}");
    for word in words {
        assert!(lines[0].contains(word), "`{word}` is not in {ran:?}");
    }
    assert_eq!(ran.out, "");
}

#[track_caller]
pub(crate) fn done(ran: Ran) -> Ran {
    assert_eq!(ran.code, 0, "{ran:?}");
    ran
}

#[test]
fn verbs_exit_0_done_1_failed_2_usage_3_denied() {
    let gateway = TestGateway::start();
    let (admin, app) = (gateway.admin().to_owned(), gateway.issuer().token("app"));
    done(client(&gateway, &admin, &["secret", "create", "demo/db"], b"s3cret"));
    assert_eq!(done(client(&gateway, &app, &["secret", "get", "demo/db"], b"")).out, "s3cret");
    let json = done(client(&gateway, &app, &["--output", "json", "secret", "get", "demo/db"], b""));
    assert_eq!(serde_json::from_str::<Value>(&json.out).unwrap()["SecretString"], "s3cret");
    failed(&client(&gateway, &admin, &["secret", "get", "demo/none"], b""), 1, &["ResourceNotFound.SecretNotExist"]);
    failed(&client(&gateway, &admin, &["secret", "create", "demo/db"], b"x"), 1, &["ResourceInUse.SecretExists"]);
    failed(&client(&gateway, &admin, &["secret", "create", "demo/empty"], b""), 2, &["empty"]);
    failed(&client(&gateway, &app, &["secret", "get", "prod/db"], b""), 3, &["UnauthorizedOperation", "(request "]);
    failed(&client(&gateway, "nonsense", &["secret", "get", "demo/db"], b""), 3, &["the token is not accepted"]);
    failed(&client(&gateway, "", &["secret", "get", "demo/db"], b""), 2, &["KEYWARD_TOKEN"]);
    assert_eq!(client(&gateway, &app, &["secret", "get"], b"").code, 2);
    assert_eq!(client(&gateway, &app, &["secret", "got", "demo/db"], b"").code, 2);
    assert_eq!(client(&gateway, &app, &[], b"").code, 2);
    let mut plain = gateway.installation().command(&["secret", "get", "demo/db"]);
    plain.env("KEYWARD_ADDR", "http://192.0.2.1:8743").env("KEYWARD_TOKEN", &app);
    failed(&with_input(plain, b""), 2, &["plain HTTP"]);
    let mut nobody = gateway.installation().command(&["secret", "get", "demo/db"]);
    nobody.env("KEYWARD_ADDR", "http://127.0.0.1:1").env("KEYWARD_TOKEN", &app);
    failed(&with_input(nobody, b""), 1, &["no gateway answers at http://127.0.0.1:1"]);
    gateway.finish();
}

#[test]
fn a_token_can_come_from_a_file() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "s3cret");
    let issued = done(gateway.installation().run(&["token", "issue", "--sub", "app", "--ttl", "60s"]));
    let file = gateway.installation().path("token");
    fs::write(&file, &issued.out).unwrap();
    let mut command = gateway.installation().command(&["secret", "get", "demo/db"]);
    command.env("KEYWARD_ADDR", format!("http://{}", gateway.address())).env("KEYWARD_TOKEN_FILE", &file);
    assert_eq!(done(with_input(command, b"")).out, "s3cret");
    failed(&gateway.installation().run(&["token", "issue", "--sub", "app", "--ttl", "2days"]), 2, &["`2days`"]);
    failed(&gateway.installation().run(&["token", "issue", "--sub", ""]), 1, &["1 to 256"]);
    gateway.finish();
}

#[test]
fn attack_s04_values_come_from_input_or_files_and_go_to_files_of_0600() {
    let gateway = TestGateway::start();
    let dir = gateway.installation().dir().to_owned();
    let path = |name: &str| dir.join(name).display().to_string();
    let admin = gateway.admin().to_owned();
    fs::write(dir.join("value"), b"\x00\xffbytes").unwrap();
    done(client(&gateway, &admin, &["secret", "create", "demo/file", "--from", &path("value")], b""));
    done(client(&gateway, &admin, &["secret", "get", "demo/file", "--to", &path("out")], b""));
    assert_eq!(fs::read(dir.join("out")).unwrap(), b"\x00\xffbytes");
    assert_eq!(fs::metadata(dir.join("out")).unwrap().permissions().mode() & 0o777, 0o600);
    let again = client(&gateway, &admin, &["secret", "get", "demo/file", "--to", &path("out")], b"");
    failed(&again, 1, &["cannot create"]);
    // There is no argument that a value could stand in.
    for arguments in [
        &["secret", "create", "demo/x", "s3cret"][..],
        &["secret", "create", "demo/x", "--value", "s3cret"],
        &["secret", "put", "demo/x", "v2", "s3cret", "s3cret"],
    ] {
        assert_eq!(client(&gateway, &admin, arguments, b"").code, 2, "{arguments:?}");
    }
    done(client(&gateway, &admin, &["audit", "export", "--out", &path("log.export")], b""));
    assert_eq!(fs::metadata(dir.join("log.export")).unwrap().permissions().mode() & 0o777, 0o600);
    failed(&client(&gateway, &admin, &["audit", "export", "--out", &path("log.export")], b""), 1, &["cannot create"]);
    let denied = client(&gateway, &gateway.issuer().token("app"), &["audit", "export", "--out", &path("none")], b"");
    failed(&denied, 3, &["UnauthorizedOperation"]);
    assert!(!dir.join("none").exists(), "an export that was denied leaves a file");
    gateway.finish();
}

#[test]
fn run_passes_secrets_and_the_exit_code_on_and_the_token_not() {
    let gateway = TestGateway::start();
    gateway.create("demo/a=b", "with = sign");
    gateway.create("demo/db", "s3cret");
    let app = gateway.issuer().token("app");
    let run = |secrets: &[&str], script: &str| {
        let mut arguments = vec!["run"];
        secrets.iter().for_each(|secret| arguments.extend(["--secret", secret]));
        arguments.extend(["--", "sh", "-c", script]);
        client(&gateway, &app, &arguments, b"")
    };
    let shown = done(run(&["demo/db=DB", "demo/a=b=A"], "printf '%s|%s|%s' \"$DB\" \"$A\" \"${KEYWARD_TOKEN-none}\""));
    assert_eq!(shown.out, "s3cret|with = sign|none");
    assert_eq!(run(&["demo/db=DB"], "exit 42").code, 42);
    failed(&run(&["demo/db"], "echo started"), 2, &["`demo/db` is not NAME=ENV"]);
    failed(&run(&["demo/db=1X"], "echo started"), 2, &["is not NAME=ENV"]);
    failed(&run(&["demo/db=DB", "prod/db=P"], "echo started"), 3, &["UnauthorizedOperation"]);
    let missing = client(&gateway, &app, &["run", "--secret", "demo/db=DB", "--", "/no/such/program"], b"");
    failed(&missing, 1, &["cannot run `/no/such/program`"]);
    gateway.finish();
}

#[test]
fn init_makes_all_or_nothing_and_never_overwrites() {
    let installation = Installation::new();
    let dir = installation.dir().display().to_string();
    let run = |arguments: &[&str]| Ran::from(Command::new(PROGRAM).args(arguments).output().unwrap());
    let before = installation.read("keys/root.key");
    failed(&run(&["init", "--dev", "--dir", &dir]), 1, &["never overwrites", &dir]);
    assert_eq!(installation.read("keys/root.key"), before);
    let bad = installation.path("other");
    failed(&run(&["init", "--dir", bad.to_str().unwrap(), "--origin", "not an origin"]), 1, &["`not an origin`"]);
    let left: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("other")), "{left:?}");
    let plain = installation.path("plain");
    let made = done(run(&["--output", "json", "init", "--dir", plain.to_str().unwrap(), "--origin", "log.example/kw"]));
    let made: Value = serde_json::from_str(&made.out).unwrap();
    assert_eq!(made["dev"], json!(false));
    assert!(made["vkey"].as_str().unwrap().starts_with("log.example/kw+"), "{made}");
    assert!(!plain.join("keys/dev-issuer.key").exists());
    for (file, mode) in [("keys/root.key", 0o600), ("keys/log.key", 0o600), ("keyward.toml", 0o600), ("data", 0o700)] {
        assert_eq!(fs::metadata(plain.join(file)).unwrap().permissions().mode() & 0o777, mode, "{file}");
    }
    let config = plain.join("keyward.toml").display().to_string();
    failed(&run(&["--config", &config, "token", "issue", "--sub", "x"]), 1, &["no issuer `dev`"]);
}

#[test]
fn attack_i12_a_configuration_that_is_not_understood_starts_nothing() {
    let installation = Installation::new();
    let good = installation.read("keyward.toml");
    let cases = [
        (good.replace("[limits]", "[limits]\nbody_byte = 1"), "body_byte"),
        (good.replace("[limits]", "[limit]"), "limit"),
        (good.replace("127.0.0.1:0", "0.0.0.0:0"), "server.listen"),
        (good.replace("engine = \"rocksdb\"", "engine = \"sqlite\""), "storage.engine"),
        (good.replace("\"EdDSA\"", "\"none\""), "`none`"),
        (good.replace("\"EdDSA\"", "\"HS256\""), "dev"),
        (good.replace("keys/log.key", "keys/none.key"), "keys/none.key"),
        (good.replace("keys/dev-issuer.pub", "keys/root.key"), "dev"),
        (good.replace("localhost/keyward-", "elsewhere/keyward-"), "origin"),
        ("= broken".to_owned(), "keyward.toml"),
    ];
    for (text, word) in cases {
        fs::write(installation.path("keyward.toml"), &text).unwrap();
        let ran = installation.run(&["serve"]);
        assert_eq!(ran.code, 1, "{word}: {}", ran.err);
        assert!(
            ran.err.lines().any(|line| line.starts_with("error: ")) && ran.err.contains(word),
            "{word}: {}",
            ran.err
        );
    }
    fs::remove_file(installation.path("keyward.toml")).unwrap();
    failed(&installation.run(&["serve"]), 1, &["keyward.toml"]);
}

#[test]
fn verbs_lead_a_secret_through_its_life() {
    let gateway = TestGateway::start();
    let admin = gateway.admin().to_owned();
    let run = |arguments: &[&str]| client(&gateway, &admin, arguments, b"");
    done(client(&gateway, &admin, &["secret", "create", "demo/db", "--version", "v1", "--tag", "env=dev"], b"one"));
    done(client(&gateway, &admin, &["secret", "put", "demo/db", "v2"], b"two"));
    done(client(&gateway, &admin, &["secret", "update", "demo/db", "v1"], b"uno"));
    assert_eq!(done(run(&["secret", "get", "demo/db", "--version", "v1"])).out, "uno");
    done(run(&["secret", "set-description", "demo/db", "of the tests"]));
    done(run(&["secret", "tag", "demo/db", "env=prod", "team=pay"]));
    done(run(&["secret", "untag", "demo/db", "team"]));
    let described = done(run(&["secret", "describe", "demo/db"])).out;
    assert!(described.contains("of the tests") && described.contains("env=prod"), "{described}");
    done(run(&["secret", "delete-version", "demo/db", "v1"]));
    failed(&run(&["secret", "delete-version", "demo/db", "v2"]), 1, &["FailedOperation", "call DeleteSecret"]);
    failed(
        &run(&["secret", "delete", "demo/db", "--window", "7"]),
        1,
        &["FailedOperation", "call DisableSecret first"],
    );
    done(run(&["secret", "disable", "demo/db"]));
    for wrong in [
        &["demo/db"][..],
        &["demo/db", "--window", "0"],
        &["demo/db", "--window", "31"],
        &["demo/db", "--window", "7", "--now"],
    ] {
        assert_eq!(run(&[&["secret", "delete"], wrong].concat()).code, 2, "{wrong:?}");
    }
    let deleted = done(run(&["secret", "delete", "demo/db", "--window", "7"])).out;
    assert!(deleted.starts_with("`demo/db` is deleted at 20") && deleted.contains("Z; until then"), "{deleted}");
    let waiting = done(run(&["secret", "list", "--state", "pending-delete"])).out;
    assert!(waiting.contains("demo/db") && waiting.contains("1 in all"), "{waiting}");
    done(run(&["secret", "restore", "demo/db"]));
    done(run(&["secret", "delete", "demo/db", "--now"]));
    failed(&run(&["secret", "describe", "demo/db"]), 1, &["ResourceNotFound"]);
    gateway.finish();
}

#[test]
fn verbs_make_passwords_that_nobody_sees_and_read_several_secrets_at_once() {
    let gateway = TestGateway::start();
    let (admin, app) = (gateway.admin().to_owned(), gateway.issuer().token("app"));
    let run = |token: &str, arguments: &[&str]| client(&gateway, token, arguments, b"");
    let created =
        done(run(&admin, &["secret", "create", "demo/db", "--generate", "--length", "40", "--no-punctuation"]));
    let value = done(run(&app, &["secret", "get", "demo/db"])).out;
    assert!(value.len() == 40 && value.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{value}");
    assert!(!created.out.contains(&value) && !created.err.contains(&value), "{created:?}");
    assert_eq!(run(&admin, &["secret", "create", "demo/x", "--generate", "--from", "file"]).code, 2);
    failed(&run(&admin, &["secret", "create", "demo/x", "--generate", "--length", "2"]), 2, &["too short"]);
    let made = done(run(&admin, &["secret", "random-password", "--length", "20", "--exclude", "abc"])).out;
    assert_eq!(made.trim_end_matches('\n').len(), 20, "{made}");
    failed(&run(&app, &["secret", "random-password"]), 3, &["UnauthorizedOperation"]);

    done(client(&gateway, &admin, &["secret", "create", "demo/api", "--version", "v1"], b"\x00\xff"));
    let both = done(run(&app, &["--output", "json", "secret", "batch-get", "demo/db", "demo/api:v1"])).out;
    let rows: Vec<Value> = both.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&rows[0]["SecretString"], &rows[1]["SecretBinary"]), (&json!(value), &json!("AP8=")));
    let partial = run(&app, &["secret", "batch-get", "demo/api", "prod/db", "demo/none"]);
    assert_eq!(partial.code, 3, "{partial:?}");
    assert!(
        partial.out.contains("AP8=") && partial.err.lines().filter(|line| line.starts_with("error: ")).count() == 3,
        "{partial:?}"
    );
    assert!(
        partial.err.contains("prod/db: UnauthorizedOperation") && partial.err.contains("demo/none: "),
        "{partial:?}"
    );
    assert_eq!(run(&app, &["secret", "batch-get", "demo/api", "demo/none"]).code, 1);
    gateway.finish();
}

#[test]
fn verbs_make_key_pairs_and_dated_versions() {
    let gateway = TestGateway::start();
    let admin = gateway.admin().to_owned();
    let run = |arguments: &[&str]| client(&gateway, &admin, arguments, b"");
    let made =
        done(run(&["--output", "json", "secret", "create-ssh", "ssh/one", "--key-name", "deploy", "--tag", "a=b"]));
    let made: Value = serde_json::from_str(&made.out).unwrap();
    let file = gateway.installation().path("id_deploy");
    let to = file.display().to_string();
    done(run(&["secret", "get-ssh", "ssh/one", "--to", &to]));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let public = fs::read_to_string(format!("{to}.pub")).unwrap();
    assert_eq!(Some(public.trim_end()), made["PublicKey"].as_str());
    let id = made["SSHKeyID"].as_str().unwrap();
    assert_eq!(done(run(&["secret", "get-ssh", "--id", id, "--public"])).out, public);
    let private = done(run(&["secret", "get-ssh", "ssh/one"])).out;
    assert_eq!(private, fs::read_to_string(&file).unwrap());
    failed(&run(&["secret", "get-ssh", "ssh/one", "--to", &to]), 1, &["cannot create"]);
    fs::remove_file(&file).unwrap();
    failed(&run(&["secret", "get-ssh", "ssh/one", "--to", &to]), 1, &["cannot create", ".pub"]);
    assert!(!file.exists(), "a private key alone");
    assert_eq!(run(&["secret", "get-ssh"]).code, 2);
    assert!(done(run(&["secret", "list", "--ssh"])).out.contains("ssh/one"));

    let create = ["secret", "create", "cert/one", "--expires-at", "2020-02-29"];
    done(client(&gateway, &admin, &create, b"s"));
    assert!(done(run(&["secret", "versions", "cert/one"])).out.contains("2020-02-29 00:00:00Z"));
    done(client(
        &gateway,
        &admin,
        &["secret", "update", "cert/one", "SSM_Current", "--expires-at", "2020-03-01T12:00:00Z"],
        b"t",
    ));
    let listed = |before: &str| done(run(&["secret", "list", "--expires-before", before])).out;
    assert!(listed("2020-03-02").contains("cert/one") && !listed("2020-03-01").contains("cert/one"));
    assert_eq!(run(&["secret", "list", "--expires-before", "tomorrow"]).code, 2);
    gateway.finish();
}

#[test]
fn every_verb_of_secrets_teaches_by_an_example() {
    let help = |arguments: &[&str]| {
        let ran = Ran::from(Command::new(PROGRAM).args(arguments).arg("--help").output().unwrap());
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.out
    };
    let all = help(&["secret"]);
    let verbs = all.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let verbs: Vec<&str> = verbs.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    let verbs: Vec<&str> = verbs.into_iter().filter(|verb| !verb.is_empty() && *verb != "help").collect();
    assert!(verbs.len() > 12, "{verbs:?}");
    for verb in verbs {
        let text = help(&["secret", verb]);
        assert!(text.contains("Example") && text.contains(&format!("secret {verb}")), "{verb}: {text}");
    }
}

#[test]
fn policy_verbs_name_file_line_and_column_and_exit_4() {
    let installation = Installation::new();
    let valid = done(installation.run(&["policy", "check"]));
    assert!(valid.out.starts_with("valid, ") && valid.out.contains("revision sha256:"), "{}", valid.out);
    let bad = "{\n  \"version\": \"2.0\",\n  \"statement\": [\n    {\"effect\": \"allow\", \"action\": \"ssm:GetSecretValu\", \
               \"resource\": \"*\"}\n  ]\n}\n";
    fs::write(installation.path("policies/documents/bad.json"), bad).unwrap();
    let ran = installation.run(&["policy", "check"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.out.contains("documents/bad.json:4:"), "{}", ran.out);
    assert!(ran.out.contains("`ssm:GetSecretValu`"), "{}", ran.out);
    let ran = installation.run(&["--output", "json", "policy", "check"]);
    let finding: Value = serde_json::from_str(ran.out.lines().next().unwrap()).unwrap();
    assert_eq!((&finding["file"], &finding["line"]), (&json!("documents/bad.json"), &json!(4)));
    let number = done(installation.run(&["policy", "uin", "user/dev/admin"])).out;
    assert!(number.trim().parse::<u64>().unwrap() < 1 << 52);
    assert_eq!(done(installation.run(&["policy", "uin", "user/dev/admin"])).out, number);
    failed(&installation.run(&["policy", "uin", "admin"]), 2, &["`admin`"]);
}

#[test]
fn audit_verbs_search_prove_export_and_verify() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "s3cret");
    let admin = gateway.admin().to_owned();
    let found =
        done(client(&gateway, &admin, &["--output", "json", "audit", "query", "--resource", "demo/db", "--all"], b""));
    assert_eq!(found.out.lines().count(), 1, "{}", found.out);
    assert_eq!(serde_json::from_str::<Value>(&found.out).unwrap()["action"], "ssm:CreateSecret");
    let checkpoint = done(client(&gateway, &admin, &["audit", "checkpoint"], b"")).out;
    assert!(checkpoint.contains("\u{2014} localhost/keyward-"), "{checkpoint}");
    let proof = done(client(&gateway, &admin, &["audit", "prove", "0"], b"")).out;
    assert!(proof.contains("\u{2014} localhost/keyward-"), "{proof}");
    failed(&client(&gateway, &admin, &["audit", "prove", "999999"], b""), 1, &["ResourceNotFound"]);
    let revoked = client(&gateway, &admin, &["token", "revoke", "--issuer", "dev", "--jti", "x"], b"");
    done(revoked);
    failed(&client(&gateway, &admin, &["token", "revoke", "--issuer", "corp", "--jti", "x"], b""), 1, &["Issuer"]);
    assert_eq!(client(&gateway, &admin, &["token", "revoke", "--issuer", "dev"], b"").code, 2);
    done(gateway.installation().run(&["audit", "verify"]));
    let installation = gateway.stop();
    let ran = done(installation.run(&["--output", "json", "audit", "verify", "--decisions"]));
    let verdict: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&verdict["valid"], &verdict["findings_total"]), (&json!(true), &json!(0)));
    assert!(verdict["decided"].as_u64().unwrap() >= 5, "{verdict}");
}

#[test]
fn a_recorded_decision_is_explained_statement_by_statement_under_its_own_revision() {
    let policies = Policies::default()
        .document(
            "two",
            &json!({"effect": "deny", "action": "ssm:GetSecretValue", "resource": "*",
            "condition": {"for_any_value:string_equal": {"qcs:resource_tag": "env&prod"}}}),
        )
        .attach("two", &["user/dev/app"]);
    let gateway = TestGateway::builder().policies(policies).start();
    let tags = json!({"SecretName": "demo/db", "SecretString": "v", "Tags": [{"TagKey": "env", "TagValue": "prod"}]});
    gateway.call(gateway.admin(), "CreateSecret", &tags).ok();
    gateway.create("demo/free", "v");
    let app = gateway.issuer().token("app");
    let asked = ["demo/db", "demo/free", "prod/db"]
        .map(|name| gateway.call(&app, "GetSecretValue", &json!({"SecretName": name})).index().unwrap());
    // The folder of today has no part in it.
    gateway.set_policies(&Policies::default());
    let explained = |index: u64| -> Vec<Value> {
        let ran = done(gateway.installation().run(&["--output", "json", "policy", "explain", &index.to_string()]));
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let why = |index: u64| -> Vec<(String, Option<String>)> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let rows = explained(index).into_iter();
        rows.map(|row| (text(&row["document"]).unwrap(), text(&row["why_not"]))).collect()
    };
    let said = |document: &str, why: Option<&str>| (document.to_owned(), why.map(str::to_owned));
    assert_eq!(why(asked[0]), [said("demo-read", None), said("two", None)]);
    let untagged = "its condition is on `qcs:resource_tag`, which the request does not have";
    // A value was released: by the caller's statements, and by those of the gateway on its key.
    let engine = said("QcloudAccessForSSMRole", None);
    assert_eq!(why(asked[1]), [said("demo-read", None), said("two", Some(untagged)), engine]);
    let of: Vec<Value> = explained(asked[1]).into_iter().map(|row| row["of"].clone()).collect();
    assert_eq!(of, [json!("user/dev/app"), json!("user/dev/app"), json!("role/local/SSM_QCSRole")]);
    // What is unknown holds for a deny.
    assert_eq!(why(asked[2]), [said("demo-read", Some("no resource of it fits")), said("two", None)]);
    let table = done(gateway.installation().run(&["policy", "explain", &asked[0].to_string()]));
    assert!(table.out.contains("demo-read") && table.out.contains("deny (explicit_deny)"), "{table:?}");
    failed(&gateway.installation().run(&["policy", "explain", "0"]), 1, &["index 0", "a decision by policy"]);
    failed(&gateway.installation().run(&["policy", "explain", "4711"]), 1, &["there is no record 4711"]);
    gateway.finish();
}
