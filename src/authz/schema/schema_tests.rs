//! Schemas against the loader: what ships fits them, what they refuse is refused, and what the loader's table refuses for its
//! form they refuse, too.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::SchemaKind;
use super::validator::errors;
use crate::actions::{ACTIONS, ConditionKey};
use crate::authz::operator::NAMES;
use crate::authz::policy_test::PolicyTests;
use crate::authz::testing::{document, file, settings};
use crate::authz::{PolicyFile, PolicySet};

fn fits(kind: SchemaKind, value: &Value) -> bool {
    errors(&kind.schema(), value).is_empty()
}

fn kind_of(path: &str) -> Option<SchemaKind> {
    let path = Path::new(path);
    let parent = path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
    match (parent, path.file_name()?.to_str()?) {
        (_, "attachments.json") => Some(SchemaKind::Attachments),
        (_, name) if name.ends_with("waivers.json") => Some(SchemaKind::Waivers),
        (_, name) if name.ends_with("tests.json") => Some(SchemaKind::Tests),
        ("documents" | "presets", _) => Some(SchemaKind::Document),
        ("roles", _) => Some(SchemaKind::Role),
        ("tests", _) => Some(SchemaKind::Tests),
        _ => None,
    }
}

fn collect(folder: &Path, found: &mut Vec<(SchemaKind, String, Value)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if let Some(kind) = path.to_str().filter(|path| path.ends_with(".json")).and_then(kind_of) {
            found.push((kind, path.display().to_string(), serde_json::from_slice(&fs::read(&path).unwrap()).unwrap()));
        }
    }
}

fn shipped() -> Vec<(SchemaKind, String, Value)> {
    let mut found = Vec::new();
    for folder in ["examples", "presets", "init"] {
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies").join(folder), &mut found);
    }
    assert!(found.len() > 30, "only {} files", found.len());
    found
}

#[test]
fn everything_that_is_shipped_fits_its_schema() {
    for (kind, path, value) in shipped() {
        assert_eq!(errors(&kind.schema(), &value), Vec::<String>::new(), "{path}");
    }
}

/// Every object of a value with a member more, or one less, each once.
fn mutants(value: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    match value {
        Value::Object(members) => {
            let mut more = members.clone();
            more.insert("unknown element".to_owned(), json!("x"));
            all.push(Value::Object(more));
            for (key, inner) in members {
                let with = |inner: Value| {
                    let mut changed = members.clone();
                    changed.insert(key.clone(), inner);
                    Value::Object(changed)
                };
                let mut less = members.clone();
                less.remove(key);
                all.push(Value::Object(less));
                all.extend([with(json!(null)), with(json!([])), with(json!({})), with(json!("?")), with(json!(-7))]);
                all.extend(mutants(inner).into_iter().map(with));
            }
        }
        Value::Array(list) => {
            for (at, inner) in list.iter().enumerate() {
                let with = |inner: Value| {
                    let mut changed = list.clone();
                    changed[at] = inner;
                    Value::Array(changed)
                };
                all.extend(mutants(inner).into_iter().map(with));
            }
        }
        _ => {}
    }
    all
}

/// Whether the loader, or the reader of tests, takes a file.
fn is_taken(kind: SchemaKind, value: &Value) -> Option<bool> {
    let text = value.to_string();
    let none = file("attachments.json", r#"{"version":1}"#);
    let documents = |files: &mut Vec<PolicyFile>| {
        for section in ["attachments", "boundaries"] {
            for entry in value[section].as_array().into_iter().flatten() {
                let name = entry["policy"].as_str().unwrap_or("none");
                let plain = document(r#"{"effect":"allow","action":"ssm:GetSecretValue","resource":"*"}"#);
                files.retain(|file| file.path != format!("documents/{name}.json"));
                files.push(file(&format!("documents/{name}.json"), &plain));
            }
        }
    };
    let mut files = match kind {
        SchemaKind::Document => vec![none, file("documents/p.json", &text)],
        SchemaKind::Role => vec![none, file("roles/r.json", &text)],
        SchemaKind::Attachments => vec![file("attachments.json", &text)],
        SchemaKind::Tests => {
            let tests = PolicyTests::read(&[none, file("tests/t.json", &text)], &settings());
            return Some(tests.errors.is_empty());
        }
        SchemaKind::Waivers => return None,
    };
    if kind == SchemaKind::Attachments {
        documents(&mut files);
    }
    Some(PolicySet::load(&files, &settings()).is_ok())
}

#[test]
fn what_a_schema_refuses_is_refused_and_mutants_of_what_ships_are_refused_by_it() {
    let (mut refused, mut seen) = (0_usize, 0_usize);
    for (kind, path, value) in shipped() {
        let schema = kind.schema();
        for mutant in mutants(&value) {
            seen += 1;
            let found = errors(&schema, &mutant);
            refused += usize::from(!found.is_empty());
            if !found.is_empty() {
                assert_ne!(is_taken(kind, &mutant), Some(true), "{path}: {found:?}\n{mutant}");
            }
        }
    }
    assert!(refused > 500 && refused * 100 > seen * 75, "{refused} of {seen} mutants are refused by a schema");
}

#[test]
fn the_table_of_load_errors_loads_only_what_fits_and_bad_forms_do_not_fit() {
    let rows: Vec<Value> = serde_json::from_str(include_str!("../../../policies/conformance/load.json")).unwrap();
    let forms = [
        "StatementError",
        "EffectError",
        "ActionMiss",
        "ConditionTypeError",
        "ConditionError",
        "VersionError",
        "PrincipalError",
    ];
    let mut bad = 0_usize;
    for row in &rows {
        let text = match row["statement"].as_str() {
            Some(statement) => document(statement),
            None => row["document"].as_str().unwrap_or_default().to_owned(),
        };
        // What is no JSON at all is not for a schema to say.
        let Ok(value) = serde_json::from_str::<Value>(&text) else { continue };
        let code = row["code"].as_str();
        if row.get("attachments").is_none() && code.is_none() {
            assert_eq!(errors(&SchemaKind::Document.schema(), &value), Vec::<String>::new(), "{row}");
        }
        if code.is_some_and(|code| forms.contains(&code)) {
            assert!(!fits(SchemaKind::Document, &value), "{row}");
            bad += 1;
        }
    }
    assert!(bad > 20, "only {bad} rows of bad form");
}

#[test]
fn a_schema_names_every_action_operator_and_key_there_is() {
    let text = format!("{}{}", SchemaKind::Document.schema(), SchemaKind::Role.schema());
    let names = ACTIONS.iter().map(|action| action.full_name());
    let names = names.chain(NAMES.iter().map(|name| (*name).to_owned()));
    for name in names.chain(ConditionKey::ALL.iter().map(|key| key.name().to_owned())) {
        assert!(text.contains(&format!("\"{name}\"")), "{name}");
    }
}

#[test]
fn what_a_schema_lets_through_of_waivers_and_tests_is_of_their_form() {
    let waiver = json!({"code": "W6", "file": "documents/p.json", "statement": 0, "who": "a", "why": "b"});
    let waivers = |waiver: &Value| json!({"version": 1, "waivers": [waiver]});
    assert!(fits(SchemaKind::Waivers, &waivers(&waiver)));
    for (field, bad) in
        [("code", json!("W99")), ("code", json!("W19")), ("statement", json!("0")), ("who", json!("")), ("x", json!(1))]
    {
        let mut changed = waiver.clone();
        changed[field] = bad;
        assert!(!fits(SchemaKind::Waivers, &waivers(&changed)), "{changed}");
    }
    let test = json!({"name": "t", "principal": "user/corp/a", "action": "ssm:GetSecretValue", "resource": "secret/creatorUin/*/a", "expect": "allow"});
    let tests = |test: &Value| json!({"version": 1, "tests": [test]});
    assert!(fits(SchemaKind::Tests, &tests(&test)));
    for (field, bad) in [
        ("action", json!("ssm:Get*")),
        ("expect", json!("yes")),
        ("principal", json!("corp/a")),
        ("context", json!({"qcs:uin": "7"})),
    ] {
        let mut changed = test.clone();
        changed[field] = bad;
        assert!(!fits(SchemaKind::Tests, &tests(&changed)), "{changed}");
    }
}
