//! `policies/conformance/lint.json`: for each rule folders that trigger it, with the text that is marked, and folders that do not.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Lint, Rule, Surroundings, lint};
use crate::authz::testing::{ask, file, settings};
use crate::authz::{PolicyFile, PolicySet, Usage, Verdict, Wildcard};
use crate::principal::Principal;

const ROWS: &str = include_str!("../../../policies/conformance/lint.json");
const README: &str = include_str!("../../../policies/README.md");

fn rows() -> Vec<Value> {
    serde_json::from_str(ROWS).expect("the table is JSON")
}

/// The folder of a row: one policy `p` for `user/corp/a`, unless it says otherwise.
fn folder(row: &Value) -> Vec<PolicyFile> {
    let version = row["version"].as_str().unwrap_or("2.0");
    let statements = |list: &Value| json!({"version": version, "statement": list}).to_string();
    let mut files = Vec::new();
    if let Some(list) = row.get("statements") {
        files.push(file("documents/p.json", &statements(list)));
    }
    for (part, of) in [("documents", "documents"), ("roles", "roles")] {
        for (name, list) in row[of].as_object().into_iter().flatten() {
            files.push(file(&format!("{part}/{name}.json"), &statements(list)));
        }
    }
    let usual = json!({"version": 1, "attachments": [{"policy": "p", "to": ["user/corp/a"]}]});
    files.push(file("attachments.json", &row.get("attachments").unwrap_or(&usual).to_string()));
    for (name, of) in [("tests/t.json", "tests"), ("waivers.json", "waivers")] {
        files.extend(row.get(of).map(|text| file(name, &text.to_string())));
    }
    files
}

fn surroundings(row: &Value) -> Surroundings {
    let texts = row["secrets"].as_array().into_iter().flatten();
    Surroundings {
        now: 1_780_272_000,
        is_reached_over_ipv6: row["ipv6"] == true,
        principals: BTreeMap::from([(7, Principal::parse("user/corp/a").unwrap())]),
        secrets: texts.map(|name| name.as_str().expect("a name").to_owned()).collect(),
        wildcards: wildcards(row),
    }
}

/// The wildcards that a row's requests, `[action, name of a secret]` of `user/corp/a`, use for a few names; a row without them has no
/// trail.
fn wildcards(row: &Value) -> Vec<Wildcard> {
    let Some(used) = row["used"].as_array() else { return Vec::new() };
    let set = PolicySet::load(&folder(row), &settings()).expect("a set");
    let mut usage = Usage::default();
    for one in used {
        let ask =
            ask("user/corp/a").action(one[0].as_str().expect("an action")).secret(7, one[1].as_str().expect("a name"));
        assert_eq!(ask.question(None, |question| usage.add(&set, question)), Verdict::Allow, "{one}");
    }
    set.narrow_wildcards(&usage, None)
}

fn linted(row: &Value) -> Lint {
    lint(&folder(row), &settings(), &surroundings(row)).unwrap_or_else(|found| panic!("{row}: {found:#?}"))
}

#[test]
fn each_rule_warns_where_it_should_and_nowhere_else() {
    let mut wrong = Vec::new();
    for row in rows() {
        let found = linted(&row).warnings;
        let mut found: Vec<_> = found.iter().filter(|warning| row["code"] == warning.rule.code()).collect();
        found.retain(|warning| row["also"] != true || Some(warning.text.as_str()) == row["text"].as_str());
        let message = row["message"].as_str().unwrap_or_default();
        let is_right = match row["text"].as_str() {
            None => found.is_empty(),
            Some(text) => matches!(found.as_slice(), [one] if one.text == text && one.message.contains(message)),
        };
        if !is_right {
            wrong.push(format!("{} {}: found {found:#?}", row["code"], row["what"]));
        }
    }
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn each_rule_has_a_row_that_triggers_it_one_that_does_not_and_a_line_of_the_page() {
    let codes = |triggering: bool| -> BTreeSet<String> {
        let rows = rows().into_iter().filter(|row| row.get("text").is_some() == triggering);
        rows.map(|row| row["code"].as_str().expect("a code").to_owned()).collect()
    };
    for rule in Rule::ALL {
        let code = rule.code();
        assert_eq!(Rule::parse(code), Some(*rule));
        assert!(codes(true).contains(code), "{code} is triggered");
        assert!(codes(false).contains(code), "{code} is not triggered");
        assert!(README.contains(&format!("| `{code}` `{}` |", rule.name())), "policies/README.md has no row of {code}");
    }
}

#[test]
fn a_warning_stands_where_its_text_stands() {
    for row in rows() {
        let files = folder(&row);
        for warning in linted(&row).warnings {
            let file = files.iter().find(|file| file.path == warning.file).expect("a file of the folder");
            let text = std::str::from_utf8(&file.bytes).unwrap();
            let line = text.lines().nth(warning.line as usize - 1).expect("a line");
            let rest: String = line.chars().skip(warning.column as usize - 1).collect();
            let starts = rest.starts_with(&format!("\"{}\"", warning.text)) || rest.starts_with(['{', '[', '"']);
            assert!(starts, "{warning}: {rest}");
        }
    }
}

#[test]
fn what_is_waived_names_who_and_why_and_a_folder_that_does_not_load_is_not_linted() {
    let row = rows().into_iter().find(|row| row["code"] == "W6" && row["what"] == "waived").unwrap();
    let waived = linted(&row).waived;
    assert_eq!(waived.len(), 1);
    assert_eq!((waived[0].who.as_str(), waived[0].why.as_str()), ("security", "the administrator's"));
    let broken = [file("attachments.json", "{")];
    assert!(lint(&broken, &settings(), &Surroundings::default()).is_err());
}
