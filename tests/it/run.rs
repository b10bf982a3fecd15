//! `keyward run`: the program takes keyward's place and gets what was asked for, nothing more and nothing less.

use crate::gateway::{TestGateway, wait_for};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

/// A gateway with one secret, and a token that may read it.
fn scene() -> (TestGateway, String) {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "s3cret-value");
    let app = gateway.issuer().token("app");
    (gateway, app)
}

/// `keyward run --secret demo/db=DB -- <program>`, with signals as they are by default, whoever runs the tests.
fn run(gateway: &TestGateway, token: &str, program: &[&str]) -> Command {
    let arguments = [&["run", "--secret", "demo/db=DB", "--"], program].concat();
    let inner = gateway.installation().command(&arguments);
    let mut command = Command::new("env");
    command.arg("--default-signal").arg(inner.get_program()).args(inner.get_args()).stdin(Stdio::null());
    for (name, _) in inner.get_envs() {
        command.env_remove(name);
    }
    command.env("KEYWARD_ADDR", format!("http://{}", gateway.address())).env("KEYWARD_TOKEN", token);
    command
}

fn output(mut command: Command) -> String {
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn a_program_gets_the_environment_and_what_was_asked_for_and_nothing_of_keywards() {
    let (gateway, app) = scene();
    let mut command = run(&gateway, &app, &["env", "-0"]);
    // Whatever keyward may learn from its environment now or later.
    command.env("KEYWARD_LATER", "a").env("LANG", "C.UTF-8").env("ODD", "a=b\nc");
    let shown = output(command);
    let shown: BTreeMap<&str, &str> = shown.split_terminator('\0').map(|text| text.split_once('=').unwrap()).collect();
    let mut expected: BTreeMap<String, String> =
        std::env::vars().filter(|(name, _)| !name.starts_with("KEYWARD_")).collect();
    for (name, value) in [("LANG", "C.UTF-8"), ("ODD", "a=b\nc"), ("DB", "s3cret-value")] {
        expected.insert(name.to_owned(), value.to_owned());
    }
    let expected: BTreeMap<&str, &str> = expected.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(shown, expected);
    gateway.finish();
}

#[test]
fn a_variable_of_keywards_is_set_if_a_secret_is_asked_for_in_it() {
    let (gateway, app) = scene();
    let arguments = ["run", "--secret", "demo/db=KEYWARD_TOKEN", "--", "printenv", "KEYWARD_TOKEN"];
    let mut command = gateway.installation().command(&arguments);
    command.env("KEYWARD_ADDR", format!("http://{}", gateway.address())).env("KEYWARD_TOKEN", &app);
    assert_eq!(output(command), "s3cret-value\n");
    let twice = ["run", "--secret", "demo/db=A", "--secret", "demo/db=A", "--", "true"];
    let mut command = gateway.installation().command(&twice);
    command.env("KEYWARD_ADDR", format!("http://{}", gateway.address())).env("KEYWARD_TOKEN", &app);
    assert_eq!(command.output().unwrap().status.code(), Some(2));
    gateway.finish();
}

#[test]
fn a_program_is_started_as_it_would_be_without_keyward() {
    let (gateway, app) = scene();
    let asked: [&[&str]; 5] = [
        &["grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"],
        &["ls", "/proc/self/fd"],
        &["cat", "/proc/self/limits"],
        &["cat", "/proc/self/cmdline"],
        &["readlink", "/proc/self/cwd"],
    ];
    for program in asked {
        let shown = output(run(&gateway, &app, program));
        let mut plain = Command::new("env");
        plain.arg("--default-signal").args(program).stdin(Stdio::null());
        assert_eq!(shown, output(plain), "{program:?}");
        for line in shown.lines().filter(|line| line.starts_with("SigBlk") || line.starts_with("SigIgn")) {
            let mask = u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
            // Those above are the C library's own.
            assert_eq!(mask & 0x7fff_ffff, 0, "{line}");
        }
    }
    gateway.finish();
}

#[test]
fn signals_reach_the_program_and_its_end_is_the_end() {
    let (gateway, app) = scene();
    for (name, number) in [("TERM", 15), ("INT", 2), ("HUP", 1), ("USR1", 10), ("KILL", 9)] {
        let mut child = run(&gateway, &app, &["sleep", "1000"]).spawn().unwrap();
        let comm = format!("/proc/{}/comm", child.id());
        wait_for("the program in keyward's place", || {
            (fs::read_to_string(&comm).unwrap_or_default() == "sleep\n").then_some(())
        });
        let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(child.wait().unwrap().signal(), Some(number), "{name}");
    }
    // What a shell makes of it: 128 and the number.
    let mut inner = run(&gateway, &app, &["sh", "-c", "kill -TERM $$"]);
    assert_eq!(inner.status().unwrap().signal(), Some(15));
    let line = format!("{:?} run --secret demo/db=DB -- sh -c 'kill -TERM $$'; exit $?", crate::installation::PROGRAM);
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(line).env("KEYWARD_ADDR", format!("http://{}", gateway.address())).env("KEYWARD_TOKEN", &app);
    assert_eq!(shell.output().unwrap().status.code(), Some(143));
    for code in [0, 1, 2, 3, 4, 127, 255] {
        let ended = run(&gateway, &app, &["sh", "-c", &format!("exit {code}")]).status().unwrap();
        assert_eq!(ended.code(), Some(code));
    }
    gateway.finish();
}
