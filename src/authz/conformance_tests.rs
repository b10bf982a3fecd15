//! The conformance tables of `policies/README.md`, each row decided by the engine and by the naive evaluator, and
//! `policies/conformance/load.json`: what loads, and with which code the rest is refused.

mod conditions;
mod credentials;
mod resources;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::reference::Reference;
use super::{
    Caller, Context, CredentialForm, Decision, IssuerRule, PolicyFile, PolicySet, Question, Settings, Verdict,
};
use crate::actions::ConditionKey;
use crate::principal::Principal;
use crate::resource::{CreatorNumber, Place};

fn settings() -> Settings {
    let issuer = |name: &str, groups_required| IssuerRule { name: name.to_owned(), groups_required };
    Settings {
        place: Place { region: "ap-guangzhou".to_owned(), account: "1".to_owned() },
        issuers: vec![issuer("corp", true), issuer("dev", false)],
        foreign_services: vec!["cos".to_owned()],
        document_characters_max: 6_144,
        catalogue: crate::actions::CATALOGUE,
    }
}

fn file(path: &str, text: impl ToString) -> PolicyFile {
    PolicyFile { path: path.to_owned(), bytes: text.to_string().into_bytes() }
}

fn document(statements: Value) -> Value {
    json!({"version": "2.0", "statement": statements})
}

/// One policy `p` for everyone.
fn folder(statements: Value) -> Vec<PolicyFile> {
    let attachments = json!({"version": 1, "attachments": [{"policy": "p", "to": ["everyone"]}]});
    vec![file("attachments.json", attachments), file("documents/p.json", document(statements))]
}

/// What both evaluators answer; they must agree.
fn decided(files: &[PolicyFile], question: &Question<'_>) -> Decision {
    let engine = PolicySet::load(files, &settings()).unwrap_or_else(|found| panic!("{found:?}\n{files:?}"));
    let decision = engine.decide(question);
    assert_eq!(decision, Reference::read(files, &settings()).decide(question), "{question:?}");
    decision
}

fn allowed(files: &[PolicyFile], question: &Question<'_>) -> bool {
    decided(files, question).outcome == Verdict::Allow
}

fn principal(text: &str) -> Principal {
    Principal::parse(text).expect("a principal")
}

fn caller(principal: &Principal, creator: u64) -> Caller<'_> {
    Caller {
        principal,
        groups: &[],
        roles: &[],
        restricted: &[],
        creator: CreatorNumber::new(creator).expect("a creator"),
        form: CredentialForm::Token,
    }
}

/// Changes of the usual context: an empty text takes a key away, `rt` lists tags.
type Changes = &'static [(&'static str, &'static str)];

const NO_CREATOR: Changes = &[("qcs:create_uin", "")];
const USUAL: Changes = &[];

fn context(changes: Changes) -> Context {
    let usual = [
        ("qcs:current_time", "2026-06-01T00:00:00Z"),
        ("qcs:ip", "10.1.2.3"),
        ("qcs:uin", "7"),
        ("qcs:owner_uin", "1"),
        ("qcs:create_uin", "7"),
        ("keyward:door", "native"),
        ("keyward:secure_transport", "true"),
        ("keyward:recovery_window", "0"),
    ];
    let mut values = BTreeMap::new();
    for (name, value) in usual.iter().chain(changes) {
        let key = ConditionKey::parse(if *name == "rt" { "qcs:resource_tag" } else { name }).expect("a key");
        let list: Vec<String> = value.split(' ').filter(|one| !one.is_empty()).map(str::to_owned).collect();
        if list.is_empty() {
            values.remove(&key);
        } else {
            values.insert(key, list);
        }
    }
    Context { values }
}

const LOAD: &str = include_str!("../../policies/conformance/load.json");
const PLAIN: &str =
    r#"{"version":"2.0","statement":[{"effect":"allow","action":"ssm:GetSecretValue","resource":"*"}]}"#;

fn load_files(row: &Value) -> Vec<PolicyFile> {
    let text = |name: &str| row.get(name).and_then(Value::as_str);
    let document = match text("statement") {
        Some(statement) => format!(r#"{{"version":"2.0","statement":[{statement}]}}"#),
        None => text("document").unwrap_or(PLAIN).to_owned(),
    };
    let attachments = text("attachments").unwrap_or(r#"{"version":1,"attachments":[]}"#);
    vec![file("attachments.json", attachments), file("documents/p.json", document)]
}

#[test]
fn documents_load_or_are_refused_with_the_codes_of_the_conformance_table() {
    let rows: Vec<Value> = serde_json::from_str(LOAD).expect("the table is JSON");
    let mut wrong = Vec::new();
    for row in &rows {
        let found = PolicySet::load(&load_files(row), &settings()).err().unwrap_or_default();
        let codes: Vec<&str> = found.iter().map(|finding| finding.code.name()).collect();
        let as_expected = match row["code"].as_str() {
            None => codes.is_empty(),
            Some(code) => codes.contains(&code),
        };
        if !as_expected {
            wrong.push(format!("{} {}: expected {}, found {found:?}", row["case"], row["what"], row["code"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[test]
fn a_documents_size_is_counted_without_white_space() {
    let with = |resources: usize, spaces: usize| {
        let resource = |at| format!("qcs::ssm:::secret/creatorUin/*/prod/{at:04}");
        let list: Vec<String> = (0..resources).map(resource).collect();
        let text = document(json!([{"effect": "allow", "action": "ssm:GetSecretValue", "resource": list}])).to_string();
        let files = [
            file("attachments.json", r#"{"version":1}"#),
            file("documents/p.json", format!("{text}{}", " ".repeat(spaces))),
        ];
        let found = PolicySet::load(&files, &settings()).err().unwrap_or_default();
        found.iter().map(|finding| finding.code.name()).collect::<Vec<_>>()
    };
    assert!(with(1, 7_000).is_empty());
    assert!(with(130, 0).is_empty());
    assert_eq!(with(160, 0), ["PolicyDocumentLengthOverLimit"]);
}
