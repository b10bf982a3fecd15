//! Every golden log gets the verdict of `expected.json` from both programs. The names `t01` to `t13` are the
//! specification's tamper tests.

use super::{Verdict, python_verdicts, testdata};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn texts(value: &Value) -> Vec<String> {
    value.as_array().expect("a list").iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

/// A case of the table: arguments of a verifier, exit code and lines.
fn cases() -> Vec<(Vec<PathBuf>, Verdict)> {
    let logs = testdata().join("logs");
    let table = std::fs::read_to_string(logs.join("expected.json")).expect("the table of verdicts");
    let parse = |line: &str| {
        let case: Value = serde_json::from_str(line).expect("a case");
        let path = |name: &Value| logs.join(name.as_str().expect("a text"));
        let mut arguments = vec![path(&case["file"]), "--vkey".into(), path(&case["vkey"])];
        for since in case["since"].as_array().expect("a list") {
            arguments.extend(["--since".into(), path(since)]);
        }
        let code = i32::try_from(case["exit"].as_i64().expect("a code")).expect("small");
        (arguments, (code, texts(&case["lines"])))
    };
    table.lines().map(parse).collect()
}

fn own() -> Command {
    Command::new(env!("CARGO_BIN_EXE_keyward-audit-verify"))
}

#[test]
fn i07_each_golden_log_gets_its_verdict() {
    let cases = cases();
    assert!(cases.len() > 90, "only {} cases", cases.len());
    for (arguments, expected) in cases {
        let output = own().args(&arguments).output().expect("the verifier runs");
        let lines = String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect();
        assert_eq!((output.status.code().expect("a code"), lines), expected, "{arguments:?}");
    }
}

#[test]
fn i07_each_golden_log_gets_its_verdict_from_the_python_verifier() {
    let (arguments, expected): (Vec<_>, Vec<_>) = cases().into_iter().unzip();
    for ((arguments, expected), got) in arguments.iter().zip(expected).zip(python_verdicts(&arguments)) {
        assert_eq!(got, expected, "{arguments:?}");
    }
}

#[test]
fn the_python_verifier_runs_as_a_program() {
    let logs = testdata().join("logs");
    let run = |file: &str| {
        let mut python = Command::new("python3");
        python.arg(testdata().join("verify.py")).arg(logs.join(file)).arg("--vkey").arg(logs.join("old.vkey"));
        python.output().expect("python3 runs").status.code()
    };
    assert_eq!(run("sample.raw"), Some(0));
    assert_eq!(run("t02-swap.raw"), Some(4));
    assert_eq!(run("absent.raw"), Some(1));
}

/// Names with which several cases begin: each of the specification's tamper tests that concern an export.
#[test]
fn each_tamper_test_of_an_export_has_its_golden_logs() {
    let cases = cases();
    for name in ["t01-", "t02-", "t03-", "t04-", "t05-", "t07-", "t10-", "t11-", "t13-", "rule-"] {
        let named = |(arguments, _): &&(Vec<PathBuf>, _)| {
            arguments[0].file_name().is_some_and(|file| file.to_string_lossy().starts_with(name))
        };
        assert!(cases.iter().filter(named).count() >= 2, "{name}");
    }
}

#[test]
fn json_output_names_index_and_reason() {
    let logs = testdata().join("logs");
    let run = |file: &str| {
        let mut command = own();
        command.arg(logs.join(file)).arg("--vkey").arg(logs.join("old.vkey")).args(["--output", "json"]);
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
    assert_eq!(code(&[&sample, vkey, &logs.join("stranger.vkey"), since, &logs.join("sample.since2")]), Some(1));
    assert_eq!(code(&[&sample]), Some(2));
    assert_eq!(code(&[vkey, &key]), Some(2));
}
