//! `keyward secret edit`: what an editor gets to see, where, and what becomes of what it leaves.

use crate::gateway::{TestGateway, wait_for};
use crate::installation::Ran;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A gateway with `demo/db`, version v1, value `one`.
fn scene() -> TestGateway {
    let gateway = TestGateway::start();
    let create = json!({"SecretName": "demo/db", "VersionId": "v1", "SecretString": "one"});
    gateway.call(gateway.admin(), "CreateSecret", &create).ok();
    gateway
}

/// An editor: a script that gets the file as `$1`, and a directory to leave notes in as `$NOTES`.
fn editor(gateway: &TestGateway, script: &str) -> PathBuf {
    let path = gateway.installation().path("editor");
    fs::write(&path, format!("#!/bin/sh\nset -e\nNOTES={}\n{script}\n", gateway.installation().dir().display()))
        .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// `keyward secret edit demo/db` by the admin, with that editor.
fn edit(gateway: &TestGateway, script: &str, more: &[&str]) -> Command {
    let mut command = gateway.installation().command(&[&["secret", "edit", "demo/db"], more].concat());
    command.env("KEYWARD_ADDR", format!("http://{}", gateway.address())).env("KEYWARD_TOKEN", gateway.admin());
    command.env_remove("VISUAL").env("EDITOR", editor(gateway, script));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn ran(mut command: Command) -> Ran {
    Ran::from(command.output().unwrap())
}

fn current(gateway: &TestGateway) -> (String, String) {
    let read = gateway.call(gateway.admin(), "GetSecretValue", &json!({"SecretName": "demo/db"})).ok();
    (read.text("VersionId").to_owned(), read.text("SecretString").to_owned())
}

fn versions(gateway: &TestGateway) -> usize {
    let read = gateway.call(gateway.admin(), "ListSecretVersionIds", &json!({"SecretName": "demo/db"})).ok();
    read.body["Versions"].as_array().unwrap().len()
}

fn note(gateway: &TestGateway, name: &str) -> String {
    fs::read_to_string(gateway.installation().path(name)).unwrap()
}

#[test]
fn attack_s04_an_editor_works_on_a_private_file_in_memory_that_is_gone_afterwards() {
    let gateway = scene();
    let script = "echo \"$1\" >$NOTES/path
stat -f -c %T \"$1\" >$NOTES/kind; stat -c %a \"$1\" >$NOTES/mode; stat -c %a \"$(dirname \"$1\")\" >>$NOTES/mode
ulimit -c >$NOTES/core; env >$NOTES/env
# Replaces the file by another one, as many editors do, and leaves a backup.
sed -i.bak s/one/two/ \"$1\"; echo again >>\"$1\"";
    let mut command = edit(&gateway, script, &["--version", "v2"]);
    // A place on a disk is passed over.
    command.env("XDG_RUNTIME_DIR", gateway.installation().dir());
    let done = ran(command);
    assert_eq!(
        (done.code, done.out.as_str()),
        (0, "stored version `v2` of `demo/db`; it is the current one\n"),
        "{done:?}"
    );
    assert_eq!(current(&gateway), ("v2".to_owned(), "twoagain".to_owned()));
    let path = PathBuf::from(note(&gateway, "path").trim());
    assert!(path.starts_with("/dev/shm"), "{path:?}");
    assert!(!path.parent().unwrap().exists(), "{path:?} is still there");
    assert_eq!((note(&gateway, "kind").as_str(), note(&gateway, "mode").as_str()), ("tmpfs\n", "600\n700\n"));
    assert!(["0\n", "1\n"].contains(&note(&gateway, "core").as_str()), "core dumps are on");
    let environment = note(&gateway, "env");
    assert!(!environment.contains("KEYWARD_"), "{environment}");
    assert!(environment.contains(&format!("TMPDIR={}", path.parent().unwrap().display())), "{environment}");
    let shown = format!("{done:?}");
    assert!(!shown.contains("twoagain"), "{shown}");
    gateway.finish();
}

#[test]
fn text_that_is_left_as_it_was_and_text_that_is_none_store_nothing() {
    let gateway = scene();
    // An editor that ends the last line has changed nothing.
    for script in ["true", "echo >>\"$1\"", "touch \"$1\""] {
        let done = ran(edit(&gateway, script, &[]));
        assert_eq!((done.code, done.out.as_str()), (0, "`demo/db` is as it was; nothing was stored\n"), "{done:?}");
    }
    for (script, word) in
        [("exit 3", "the editor ended with"), (": >\"$1\"", "is empty"), ("rm \"$1\"", "left no file")]
    {
        let failed = ran(edit(&gateway, script, &[]));
        assert!(
            failed.code == 1 && failed.err.contains(word) && failed.err.contains("nothing was stored"),
            "{failed:?}"
        );
    }
    assert_eq!((versions(&gateway), current(&gateway).0.as_str()), (1, "v1"));
    let put = json!({"SecretName": "demo/db", "VersionId": "v2", "SecretBinary": "AP8="});
    gateway.call(gateway.admin(), "PutSecretValue", &put).ok();
    let failed = ran(edit(&gateway, "touch $NOTES/started", &[]));
    assert!(failed.code == 1 && failed.err.contains("is not text"), "{failed:?}");
    assert!(!gateway.installation().path("started").exists());
    let denied = {
        let mut command = edit(&gateway, "touch $NOTES/started", &[]);
        command.env("KEYWARD_TOKEN", gateway.issuer().token("stranger"));
        ran(command)
    };
    assert_eq!(denied.code, 3, "{denied:?}");
    gateway.finish();
}

#[test]
fn what_was_stored_while_the_editor_was_open_is_neither_overwritten_nor_hidden() {
    let gateway = scene();
    let verb = |verb: &str| {
        format!(
            "printf %s theirs | KEYWARD_ADDR=http://{} KEYWARD_TOKEN={} {} secret {verb} >/dev/null; echo mine >\"$1\"",
            gateway.address(),
            gateway.admin(),
            crate::installation::PROGRAM
        )
    };
    let failed = ran(edit(&gateway, &verb("put demo/db v2"), &[]));
    assert!(failed.code == 1 && failed.err.contains("version `v1` is not the current one"), "{failed:?}");
    remove(&kept(&failed));
    assert_eq!(current(&gateway), ("v2".to_owned(), "theirs".to_owned()));
    // In place, the version's id is the same.
    let put = json!({"SecretName": "demo/db", "VersionId": "v3", "SecretString": "one"});
    gateway.call(gateway.admin(), "PutSecretValue", &put).ok();
    let failed = ran(edit(&gateway, &verb("update demo/db v3"), &[]));
    assert!(failed.code == 1 && failed.err.contains("`v3` was replaced meanwhile"), "{failed:?}");
    remove(&kept(&failed));
    assert_eq!((current(&gateway), versions(&gateway)), (("v3".to_owned(), "theirs".to_owned()), 3));
    gateway.finish();
}

/// Where a text lies that could not be stored.
fn kept(failed: &Ran) -> PathBuf {
    let note = failed.err.lines().find(|line| line.starts_with("note: ")).unwrap_or_else(|| panic!("{failed:?}"));
    PathBuf::from(note.split('`').nth(1).unwrap())
}

fn remove(kept: &std::path::Path) {
    fs::remove_dir_all(kept.parent().unwrap()).unwrap();
}

#[test]
fn attack_s04_a_text_that_could_not_be_stored_is_kept_in_memory_alone_and_can_be_stored_then() {
    let gateway = scene();
    // Exactly what was written: the end of line is the editor's. A version of that id is there already.
    let script = "cp \"$1\" \"$1.bak\"; printf 'mine\\n' >\"$1\"";
    let mut command = edit(&gateway, script, &["--version", "v1"]);
    command.env_remove("XDG_RUNTIME_DIR");
    let failed = ran(command);
    assert!(failed.code == 1 && !failed.err.contains("mine"), "{failed:?}");
    let file = kept(&failed);
    let dir = file.parent().unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(dir), fs::read_dir(dir).unwrap().count()), (0o600, 0o700, 1));
    assert!(dir.starts_with("/dev/shm"), "{file:?}");
    let mut put = gateway.installation().command(&["secret", "put", "demo/db", "v2", "--from", file.to_str().unwrap()]);
    put.env("KEYWARD_ADDR", format!("http://{}", gateway.address())).env("KEYWARD_TOKEN", gateway.admin());
    let done = ran(put);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(current(&gateway), ("v2".to_owned(), "mine".to_owned()));
    remove(&file);
    gateway.finish();
}

#[test]
fn attack_s04_a_text_that_is_too_long_is_left_whole_and_nothing_is_sent() {
    let gateway = scene();
    // The end of the last line is the editor's; a text that would fit without it may still go on behind it.
    for bytes in [65_537_usize, 200_000] {
        let script = format!("head -c {bytes} /dev/zero | tr '\\0' x >\"$1\"; printf '\\nmore\\n' >>\"$1\"");
        let failed = ran(edit(&gateway, &script, &[]));
        assert!(failed.code == 1 && failed.err.contains("longer than 65536 bytes"), "{failed:?}");
        let file = kept(&failed);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.len() == bytes + 6 && text.ends_with("x\nmore\n"), "{} bytes", text.len());
        remove(&file);
    }
    assert!(gateway.records().iter().all(|record| record["action"] != "ssm:PutSecretValue"), "it was sent");
    let fits = "head -c 65535 /dev/zero | tr '\\0' x >\"$1\"; printf '\\nmore' >>\"$1\"";
    let failed = ran(edit(&gateway, fits, &[]));
    remove(&kept(&failed));
    let done = ran(edit(&gateway, "head -c 65536 /dev/zero | tr '\\0' x >\"$1\"; echo >>\"$1\"", &[]));
    assert_eq!((done.code, current(&gateway).1.len()), (0, 65_536), "{done:?}");
    gateway.finish();
}

#[test]
fn a_value_that_is_bytes_stays_bytes_even_if_they_are_text() {
    let gateway = scene();
    let put = json!({"SecretName": "demo/db", "VersionId": "v2", "SecretBinary": "b25l"});
    gateway.call(gateway.admin(), "PutSecretValue", &put).ok();
    let failed = ran(edit(&gateway, "printf two >\"$1\"", &["--version", "v2"]));
    assert!(failed.err.contains("--binary` stores it"), "{failed:?}");
    remove(&kept(&failed));
    let done = ran(edit(&gateway, "printf two >\"$1\"", &["--version", "v3"]));
    assert_eq!(done.code, 0, "{done:?}");
    let read = gateway.call(gateway.admin(), "GetSecretValue", &json!({"SecretName": "demo/db"})).ok();
    assert_eq!((read.text("VersionId"), read.text("SecretBinary")), ("v3", "dHdv"));
    gateway.finish();
}

#[test]
fn attack_s04_an_editor_gets_nothing_of_keywards_own() {
    let gateway = scene();
    let installation = gateway.installation();
    installation
        .set("keys.next", toml::toml! { provider = "passphrase" path = "keys/next" passphrase_env = "ROOT_WORDS" });
    let mut command = edit(&gateway, "env >$NOTES/env", &[]);
    command.env("ROOT_WORDS", "correct horse battery staple").env("ROOT_WORDS_2", "another's");
    let done = ran(command);
    assert_eq!(done.code, 0, "{done:?}");
    let environment = note(&gateway, "env");
    assert!(environment.contains("ROOT_WORDS_2=another's"), "{environment}");
    assert!(!environment.contains("ROOT_WORDS=") && !environment.contains("KEYWARD_"), "{environment}");
    gateway.finish();
}

#[test]
fn i13_a_put_that_expects_a_version_is_carried_out_on_no_other() {
    let gateway = scene();
    let put = |version: &str, expected: &str| {
        let put =
            json!({"SecretName": "demo/db", "VersionId": version, "SecretString": "x", "ExpectedCurrent": expected});
        gateway.call(gateway.admin(), "PutSecretValue", &put)
    };
    let refused = put("v2", "v0");
    assert_eq!((refused.status, refused.code()), (409, "FailedOperation"));
    let record = gateway.record_of(&refused);
    assert_eq!((&record["outcome"], &record["parameters"]["expected_current"]), (&json!("failed"), &json!("v0")));
    // Of many at once that expect the same version, one is carried out.
    let carried_out = std::thread::scope(|threads| {
        let puts: Vec<_> =
            (0..8).map(|number| threads.spawn(move || put(&format!("w{number}"), "v1").status)).collect();
        puts.into_iter().map(|put| put.join().unwrap()).filter(|status| *status == 200).count()
    });
    assert_eq!((carried_out, versions(&gateway)), (1, 2));
    assert_eq!(put("v4", "").status, 200, "an empty text expects nothing");
    assert_eq!(put("v5", "not a version!").status, 400);
    gateway.finish();
}

#[test]
fn a_signal_ends_the_editing_and_wipes_the_text() {
    let gateway = scene();
    for signal in ["TERM", "HUP", "QUIT"] {
        let _none = fs::remove_file(gateway.installation().path("path"));
        // An editor that does not heed the signal is killed.
        let trap = if signal == "TERM" { "trap '' TERM; " } else { "" };
        let script = format!(
            "{trap}echo changed >\"$1\"; echo \"$1\" >$NOTES/path.new; mv $NOTES/path.new $NOTES/path; exec sleep 1000"
        );
        let child = edit(&gateway, &script, &[]).spawn().unwrap();
        let path = wait_for("the editor", || fs::read_to_string(gateway.installation().path("path")).ok());
        let path = PathBuf::from(path.trim());
        assert!(path.exists());
        let sent = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let ended = Ran::from(child.wait_with_output().unwrap());
        assert!(ended.code == 1 && ended.err.contains(&format!("ended by SIG{signal}")), "{ended:?}");
        assert!(!path.parent().unwrap().exists(), "{path:?} is still there");
    }
    assert_eq!(versions(&gateway), 1);
    gateway.finish();
}

#[test]
fn the_new_version_is_named_by_the_time_and_json_is_the_answer() {
    let gateway = scene();
    let arguments = ["--output", "json", "secret", "edit", "demo/db"];
    let mut command = gateway.installation().command(&arguments);
    command.env("KEYWARD_ADDR", format!("http://{}", gateway.address())).env("KEYWARD_TOKEN", gateway.admin());
    // VISUAL comes first, and may have arguments.
    command.env("EDITOR", "false").env("VISUAL", "sed -i s/one/two/");
    let done = Ran::from(command.output().unwrap());
    let answer: Value = serde_json::from_str(&done.out).unwrap_or_else(|_| panic!("{done:?}"));
    assert!(answer["VersionId"].as_str().unwrap().starts_with("edit-20"), "{answer}");
    assert_eq!(current(&gateway).1, "two");
    gateway.finish();
}
