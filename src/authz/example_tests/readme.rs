//! `policies/README.md` is true to the code: its examples load, and it names every code, key, operator and case.

use serde_json::Value;

use super::{policies, settings};
use crate::actions::{ACTIONS, ConditionKey, Level};
use crate::authz::lint::{Rule, Surroundings, lint};
use crate::authz::{Code, PolicyFile, PolicySet, PolicyTests};

const README: &str = include_str!("../../../policies/README.md");
const PLAIN: &str =
    r#"{"version":"2.0","statement":[{"effect":"allow","action":"ssm:GetSecretValue","resource":"*"}]}"#;
const TRUST: &str = r#"{"version":"2.0","statement":[{"effect":"allow","action":"name/sts:AssumeRole","principal":{"qcs":["user/corp/ann"]}}]}"#;

/// The texts between a fence of `json` and the next fence.
fn json_blocks() -> Vec<&'static str> {
    README.split("```json\n").skip(1).map(|rest| rest.split("```").next().expect("a closed block")).collect()
}

fn file(path: String, text: &str) -> PolicyFile {
    PolicyFile { path, bytes: text.as_bytes().to_vec() }
}

fn loads(files: &[PolicyFile], block: &str) {
    if let Err(found) = PolicySet::load(files, &settings()) {
        panic!("{found:#?}\n{block}");
    }
}

/// The policies and the roles that an `attachments.json` names, as plain files.
fn named_by(attachments: &Value) -> Vec<PolicyFile> {
    let mut files = vec![file("roles/payments-release.json".to_owned(), TRUST)];
    for section in ["attachments", "boundaries"] {
        for entry in attachments[section].as_array().expect("a list") {
            let path = format!("documents/{}.json", entry["policy"].as_str().expect("a name"));
            files.push(file(path, PLAIN));
        }
    }
    files
}

#[test]
fn the_examples_of_the_readme_load() {
    let blocks = json_blocks();
    assert!(blocks.len() >= 8);
    for block in blocks {
        let value: Value = serde_json::from_str(block).unwrap_or_else(|error| panic!("{error}\n{block}"));
        let none = || file("attachments.json".to_owned(), r#"{"version":1}"#);
        let document = |text: &str| file("documents/p.json".to_owned(), text);
        if value.get("tests").is_some() {
            let tests = PolicyTests::read(&[file("tests/t.json".to_owned(), block)], &settings());
            assert!(!tests.tests.is_empty() && tests.errors.is_empty(), "{:#?}", tests.errors);
        } else if value.get("waivers").is_some() {
            let files = [none(), file("waivers.json".to_owned(), block)];
            let warnings = lint(&files, &settings(), &Surroundings::default()).expect("it loads").warnings;
            assert!(warnings.iter().all(|warning| warning.rule == Rule::WaiverUnused), "{warnings:#?}");
        } else if value.get("attachments").is_some() {
            let mut files = named_by(&value);
            files.push(file("attachments.json".to_owned(), block));
            loads(&files, block);
        } else if value.get("effect").is_some() {
            loads(&[none(), document(&format!(r#"{{"version":"2.0","statement":[{block}]}}"#))], block);
        } else {
            loads(&[none(), document(block)], block);
        }
    }
}

#[test]
fn the_readme_names_every_load_code_key_operator_case_and_action() {
    let mut wanted: Vec<String> = Code::ALL.iter().map(|code| format!("| `{}` |", code.name())).collect();
    wanted.extend(ConditionKey::ALL.iter().map(|key| format!("| `{}` |", key.name())));
    wanted.extend((1..=45).map(|case| format!("| C{case} |")));
    let named = ACTIONS.iter().filter(|action| action.level != Level::Operation);
    wanted.extend(named.map(|action| action.name.to_owned()));
    for (kind, relations) in [
        ("string", &["equal", "not_equal", "equal_ignore_case", "not_equal_ignore_case", "like", "not_like"][..]),
        ("date", &RELATIONS[..]),
        ("numeric", &RELATIONS[..]),
        ("bool", &["equal"][..]),
        ("ip", &["equal", "not_equal"][..]),
        ("null", &["equal"][..]),
    ] {
        wanted.extend(relations.iter().map(|relation| format!("`{kind}_{relation}`")));
    }
    let missing: Vec<&String> = wanted.iter().filter(|text| !README.contains(text.as_str())).collect();
    assert!(missing.is_empty(), "policies/README.md does not name {missing:?}");
}

const RELATIONS: [&str; 6] =
    ["equal", "not_equal", "less_than", "less_than_equal", "greater_than", "greater_than_equal"];

#[test]
fn the_readme_names_every_example_and_preset() {
    for (folder, name) in [("examples", ""), ("presets", ".json")] {
        for path in super::entries(&policies().join(folder)) {
            let found = super::name_of(&path);
            let found = found.strip_suffix(name).unwrap_or(&found);
            assert!(found == "roles" || README.contains(&format!("`{found}`")), "{found}");
        }
    }
}
