//! The command line on a terminal: `script` of util-linux lends one.

use crate::gateway::TestGateway;
use crate::installation::PROGRAM;
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Runs a line of `sh` on a terminal of `columns` columns, as the admin; answers what the terminal showed and the exit code.
fn on_terminal(gateway: &TestGateway, columns: u32, line: &str, typed: &str) -> (String, i32) {
    let inside = format!("stty cols {columns} rows 24 -echo; {}", line.replace("keyward ", &format!("{PROGRAM} ")));
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &inside, "/dev/null"]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KEYWARD_") || name == "NO_COLOR") {
        command.env_remove(name);
    }
    command.env("KEYWARD_ADDR", format!("http://{}", gateway.address())).env("KEYWARD_TOKEN", gateway.admin());
    command.env("TERM", "xterm").env("SHELL", "/bin/sh");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(typed.as_bytes()).unwrap();
    let ended = child.wait_with_output().unwrap();
    let shown = String::from_utf8(ended.stdout).unwrap().replace('\r', "");
    (shown, ended.status.code().unwrap_or(-1))
}

#[test]
fn tables_fit_the_terminal_and_json_is_never_cut() {
    let gateway = TestGateway::start();
    let name = format!("demo/{}", "a-long-name/".repeat(12) + "end");
    let create = json!({"SecretName": name, "SecretString": "v", "Description": "text ".repeat(40).trim()});
    gateway.call(gateway.admin(), "CreateSecret", &create).ok();
    for columns in [60, 80, 120, 200] {
        for verb in ["secret list", "audit query", "secret versions "] {
            let verb = if verb.ends_with(' ') { format!("{verb}{name}") } else { verb.to_owned() };
            let (shown, code) = on_terminal(&gateway, columns, &format!("NO_COLOR=1 keyward {verb}"), "");
            assert_eq!(code, 0, "{shown}");
            let widest = shown.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= columns as usize, "{verb} is {widest} wide on {columns}:\n{shown}");
        }
    }
    // Names of the trail are broken on no terminal that has room for one.
    let middle = format!("demo/{}", "long-name/".repeat(4) + "end");
    gateway.create(&middle, "v");
    for columns in [60, 80] {
        let (shown, _) = on_terminal(&gateway, columns, "NO_COLOR=1 keyward audit query", "");
        assert!(shown.contains(&middle) && shown.contains("user/dev/admin"), "{shown}");
    }
    // Where there is room, nothing is broken; a description is what goes first.
    let (wide, _) = on_terminal(&gateway, 500, "NO_COLOR=1 keyward secret list", "");
    assert!(wide.contains(&name) && wide.contains("DESCRIPTION"), "{wide}");
    let (narrow, _) = on_terminal(&gateway, 60, "NO_COLOR=1 keyward secret list", "");
    assert!(!narrow.contains("DESCRIPTION"), "{narrow}");
    let (keys, _) = on_terminal(&gateway, 60, "NO_COLOR=1 keyward key list", "");
    let created = gateway.call(gateway.admin(), "ListKeys", &json!({})).ok().body["Keys"][0]["CreateTime"].as_i64();
    let created =
        chrono::DateTime::from_timestamp(created.unwrap(), 0).unwrap().format("%Y-%m-%d %H:%M:%SZ").to_string();
    assert!(keys.contains(&created), "a time is broken:\n{keys}");
    let (help, _) = on_terminal(&gateway, 80, "keyward accesskey create --help", "");
    let notes: Vec<&str> = help.lines().skip_while(|line| !line.starts_with("A principal has")).collect();
    assert!(notes.len() > 2 && notes.iter().rev().skip(1).all(|line| line.len() > 60), "ragged:\n{help}");
    let (json, _) = on_terminal(&gateway, 60, "keyward --output json secret list | cat", "");
    let row: Value = serde_json::from_str(json.lines().find(|row| row.contains(&name)).unwrap()).unwrap();
    assert_eq!(row["SecretName"], json!(name));
    assert!(row["CreateTime"].is_u64(), "{row}");
    gateway.finish();
}

#[test]
fn colour_is_for_terminals_and_not_with_no_color() {
    let gateway = TestGateway::start();
    let colour = "\u{1b}[1;31m";
    let line = "keyward secret get demo/none";
    assert!(on_terminal(&gateway, 100, line, "").0.contains(colour));
    for plain in [format!("NO_COLOR=1 {line}"), format!("TERM=dumb {line}"), format!("{line} 2>&1 | cat")] {
        let (shown, _) = on_terminal(&gateway, 100, &plain, "");
        assert!(shown.contains("error: ResourceNotFound") && !shown.contains('\u{1b}'), "{plain}: {shown}");
    }
    assert!(on_terminal(&gateway, 100, "keyward secret list", "").0.contains("\u{1b}[1m"));
    gateway.finish();
}

#[test]
fn what_cannot_be_taken_back_is_asked_about_on_a_terminal_alone() {
    let gateway = TestGateway::start();
    let make = |name: &str| {
        gateway.create(name, "v");
        gateway.call(gateway.admin(), "DisableSecret", &json!({"SecretName": name})).ok();
    };
    let is_there =
        |name: &str| gateway.call(gateway.admin(), "DescribeSecret", &json!({"SecretName": name})).status == 200;
    make("demo/db");
    for answer in ["n\n", "\n", "nonsense\n"] {
        let (shown, code) = on_terminal(&gateway, 100, "keyward secret delete demo/db --now", answer);
        assert!(shown.contains("delete `demo/db` at once, for good? [y/N]"), "{shown}");
        assert!(code == 1 && shown.contains("not confirmed; nothing was done"), "{code}: {shown}");
        assert!(is_there("demo/db"));
    }
    assert_eq!(on_terminal(&gateway, 100, "keyward secret delete demo/db --now", "y\n").1, 0);
    assert!(!is_there("demo/db"));
    make("demo/db");
    let (shown, code) = on_terminal(&gateway, 100, "keyward secret delete demo/db --now --yes", "");
    assert!(code == 0 && !shown.contains("[y/N]") && !is_there("demo/db"), "{shown}");
    // A script is never asked: its input is no terminal.
    make("demo/db");
    let (shown, code) = on_terminal(&gateway, 100, "keyward secret delete demo/db --now </dev/null", "");
    assert!(code == 0 && !shown.contains("[y/N]") && !is_there("demo/db"), "{shown}");
    gateway.finish();
}

#[test]
fn attack_s04_a_value_is_not_asked_for_where_it_would_be_echoed() {
    let gateway = TestGateway::start();
    let (shown, code) = on_terminal(&gateway, 100, "keyward secret create demo/db", "typed\n");
    assert!(code == 2 && shown.contains("it is never taken from an argument"), "{code}: {shown}");
    gateway.finish();
}
