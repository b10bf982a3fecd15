//! Every golden log gets the verdict of `expected.json` from both programs. The names `t01` to `t13` are the
//! specification's tamper tests.

use super::testdata;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

fn texts(value: &Value) -> Vec<String> {
    value
        .as_array()
        .expect("a list")
        .iter()
        .map(|text| text.as_str().expect("a text").to_owned())
        .collect()
}

/// Runs a verifier over each case and tells where the verdict is another.
fn disagreements(program: &dyn Fn() -> Command) -> Vec<String> {
    let logs = testdata().join("logs");
    let table = std::fs::read_to_string(logs.join("expected.json")).expect("the table of verdicts");
    let cases: Vec<Value> = table
        .lines()
        .map(|line| serde_json::from_str(line).expect("a case"))
        .collect();
    assert!(cases.len() > 90, "only {} cases", cases.len());
    let path = |name: &str| logs.join(name);
    cases
        .iter()
        .filter_map(|case| disagreement(program(), case, &path))
        .collect()
}

fn disagreement(mut command: Command, case: &Value, path: &dyn Fn(&str) -> std::path::PathBuf) -> Option<String> {
    let text = |name: &str| case[name].as_str().expect("a text");
    command.arg(path(text("file"))).arg("--vkey").arg(path(text("vkey")));
    for since in texts(&case["since"]) {
        command.arg("--since").arg(path(&since));
    }
    let output = command.output().expect("the verifier runs");
    let lines: Vec<String> = String::from_utf8(output.stdout)
        .expect("text")
        .lines()
        .map(str::to_owned)
        .collect();
    let (code, wanted) = (output.status.code(), case["exit"].as_i64());
    let same = code.map(i64::from) == wanted && lines == texts(&case["lines"]);
    (!same).then(|| {
        format!(
            "{}: exit {code:?}, not {wanted:?}; {lines:?}, not {:?}",
            text("file"),
            case["lines"]
        )
    })
}

fn own() -> Command {
    Command::new(env!("CARGO_BIN_EXE_keyward-audit-verify"))
}

fn python() -> Command {
    let mut command = Command::new("python3");
    command.arg(testdata().join("verify.py"));
    command
}

#[test]
fn i07_each_golden_log_gets_its_verdict() {
    assert_eq!(disagreements(&own), Vec::<String>::new());
}

#[test]
fn i07_each_golden_log_gets_its_verdict_from_the_python_verifier() {
    assert_eq!(disagreements(&python), Vec::<String>::new());
}

#[test]
fn json_output_names_index_and_reason() {
    let logs = testdata().join("logs");
    let run = |file: &str| {
        let mut command = own();
        command
            .arg(logs.join(file))
            .arg("--vkey")
            .arg(logs.join("old.vkey"))
            .args(["--output", "json"]);
        let text = String::from_utf8(command.output().expect("the verifier runs").stdout).expect("text");
        serde_json::from_str::<Value>(&text).expect("one JSON object")
    };
    let bad = run("t01-bit-of-record.raw");
    assert_eq!(bad["valid"], false);
    assert_eq!(bad["findings"][0]["index"], 4);
    assert_eq!(bad["findings"][0]["reason"], "the record's leaf is not the signed one");
    let good = run("sample.raw");
    assert_eq!((&good["valid"], &good["records"]), (&true.into(), &13.into()));
    assert_eq!(good["root"], "KsrYostxj92tgAHUOAJYB1nLZccFSnXJ8feHjVQ99jk=");
}

#[test]
fn what_cannot_be_checked_exits_1_and_wrong_usage_2() {
    let logs = testdata().join("logs");
    let code = |arguments: &[&Path]| {
        let output = own().args(arguments).output().expect("the verifier runs");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        output.status.code()
    };
    let (sample, key, vkey) = (logs.join("sample.raw"), logs.join("old.vkey"), Path::new("--vkey"));
    let since = Path::new("--since");
    assert_eq!(code(&[&logs.join("absent.raw"), vkey, &key]), Some(1));
    assert_eq!(code(&[&sample, vkey, &logs.join("absent.vkey")]), Some(1));
    assert_eq!(code(&[&sample, vkey, &sample]), Some(1));
    assert_eq!(code(&[&sample, vkey, &key, since, &sample]), Some(1));
    assert_eq!(
        code(&[
            &sample,
            vkey,
            &logs.join("stranger.vkey"),
            since,
            &logs.join("sample.since2")
        ]),
        Some(1)
    );
    assert_eq!(code(&[&sample]), Some(2));
    assert_eq!(code(&[vkey, &key]), Some(2));
}
