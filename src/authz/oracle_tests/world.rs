//! Random policy folders that load: small alphabets, so that statements and questions hit each other often.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::condition::{random_condition, web_clause};
use super::dice::Dice;
use super::statement::random_statement;
use crate::authz::{IssuerRule, PolicyFile, Settings};
use crate::resource::Place;

/// An attachment or a boundary: policy and targets.
pub(in crate::authz) type Attachment = (String, Vec<String>);

/// A policy folder in parts, so that parts can be dropped.
#[derive(Clone, Debug, Default)]
pub(in crate::authz) struct World {
    pub(in crate::authz) documents: BTreeMap<String, Vec<Value>>,
    pub(in crate::authz) groups: BTreeMap<String, Vec<String>>,
    pub(in crate::authz) attachments: Vec<Attachment>,
    pub(in crate::authz) boundaries: Vec<Attachment>,
    pub(in crate::authz) sessions: Vec<Vec<Value>>,
    /// The statements of `role/local/r`'s trust policy.
    pub(in crate::authz) trust: Vec<Value>,
    /// Those of `role/local/s`'s; no such role if there are none.
    pub(in crate::authz) other_trust: Vec<Value>,
    /// Documents of version 3.0.
    pub(in crate::authz) newer: BTreeSet<String>,
}

/// Issuers `corp` (groups required) and `dev` (groups optional), region `ap-guangzhou`, account 1, foreign service `cos`.
pub(in crate::authz) fn settings() -> Settings {
    let issuer = |name: &str, groups_required| IssuerRule { name: name.to_owned(), groups_required };
    Settings {
        place: Place { region: "ap-guangzhou".to_owned(), account: "1".to_owned() },
        issuers: vec![issuer("corp", true), issuer("dev", false)],
        foreign_services: vec!["cos".to_owned()],
        document_characters_max: 6_144,
        catalogue: crate::actions::CATALOGUE,
    }
}

/// A document of these statements.
pub(in crate::authz) fn document(statements: &[Value]) -> String {
    json!({"version": "2.0", "statement": statements}).to_string()
}

impl World {
    /// The folder's files.
    pub(in crate::authz) fn files(&self) -> Vec<PolicyFile> {
        let file = |path: String, text: String| PolicyFile { path, bytes: text.into_bytes() };
        let mut files = vec![
            file("attachments.json".to_owned(), self.attachments_text()),
            file("roles/r.json".to_owned(), document(&self.trust)),
        ];
        if !self.other_trust.is_empty() {
            files.push(file("roles/s.json".to_owned(), document(&self.other_trust)));
        }
        let text = |name: &String, list: &[Value]| match self.newer.contains(name) {
            true => document(list).replacen(r#""2.0""#, r#""3.0""#, 1),
            false => document(list),
        };
        let documents = self.documents.iter();
        files.extend(documents.map(|(name, list)| file(format!("documents/{name}.json"), text(name, list))));
        files
    }

    fn attachments_text(&self) -> String {
        let list = |list: &[Attachment]| -> Vec<Value> {
            list.iter().map(|(policy, to)| json!({"policy": policy, "to": to})).collect()
        };
        json!({"version": 1, "groups": self.groups, "attachments": list(&self.attachments),
               "boundaries": list(&self.boundaries)})
        .to_string()
    }

    /// Whether a target is, or holds at any depth, a token group of an issuer that does not require groups.
    fn optional_group(&self, target: &str) -> bool {
        let members = target.strip_prefix("group/local/").and_then(|name| self.groups.get(name));
        target.starts_with("group/dev/") || members.is_some_and(|list| list.iter().any(|m| self.optional_group(m)))
    }

    fn denies(&self, policy: &str) -> bool {
        self.documents[policy].iter().any(|statement| statement["effect"] == "deny")
    }

    /// Drops the targets through which a deny or a boundary would hang on an optional token group.
    fn without_optional_groups(mut self) -> Self {
        let whole = self.clone();
        for (policy, to) in &mut self.attachments {
            to.retain(|target| !(whole.denies(policy) && whole.optional_group(target)));
        }
        for (_, to) in &mut self.boundaries {
            to.retain(|target| !whole.optional_group(target));
        }
        let denies =
            self.trust.iter_mut().chain(&mut self.other_trust).filter(|statement| statement["effect"] == "deny");
        for named in denies.filter_map(|statement| statement["principal"].get_mut("qcs")?.as_array_mut()) {
            named.retain(|one| one.as_str().is_none_or(|one| !whole.optional_group(one)));
            if named.is_empty() {
                named.push(json!("user/corp/b"));
            }
        }
        self
    }
}

/// Values of `oidc:iss`.
pub(in crate::authz) const ISSUERS: [&str; 2] = ["https://corp.example", "https://dev.example"];
/// Values of `oidc:aud`.
pub(in crate::authz) const AUDIENCES: [&str; 3] = ["keyward", "other", "third"];
/// Values and patterns of `oidc:sub`.
const SUBJECTS: [&str; 4] = ["a", "*", "b*", "c"];
const NAMES: [&str; 6] = ["a", "a-b", "a.b", "a+b", "B", "b"];
const GROUPS: [&str; 4] = ["g0", "g1", "g2", "x/y"];
const MEMBERS: [&str; 10] = [
    "user/corp/a",
    "user/corp/b",
    "user/dev/c",
    "group/corp/x",
    "group/corp/x/y",
    "group/dev/x",
    "role/corp/p",
    "role/dev/q",
    "role/local/r",
    "role/local/s",
];
const WIDE: [&str; 5] = ["issuer/corp", "issuer/dev", "everyone", "everyone", "service/ssm"];

/// A random folder.
pub(in crate::authz) fn random_world(dice: &mut Dice) -> World {
    let mut world = World::default();
    for name in dice.some(&NAMES, 1, 5) {
        world.documents.insert(name.to_owned(), statements(dice, 4));
        if dice.percent(30) {
            world.newer.insert(name.to_owned());
        }
    }
    for (at, group) in GROUPS.iter().enumerate() {
        if dice.percent(80) {
            let deeper: Vec<&str> = GROUPS[..at].iter().copied().filter(|g| world.groups.contains_key(*g)).collect();
            world.groups.insert((*group).to_owned(), members(dice, &deeper));
        }
    }
    let policies: Vec<String> = world.documents.keys().cloned().collect();
    world.attachments = attachments(dice, &policies, &world.groups, 7);
    if dice.percent(25) {
        world.boundaries = attachments(dice, &policies, &world.groups, 3);
    }
    world.sessions = (0..2).map(|_| statements(dice, 3)).collect();
    world.trust = (0..=dice.below(3)).map(|_| random_trust(dice, &world.groups)).collect();
    world.other_trust = (0..=dice.below(2)).map(|_| random_trust(dice, &world.groups)).collect();
    world.without_optional_groups()
}

fn statements(dice: &mut Dice, most: usize) -> Vec<Value> {
    (0..=dice.below(most)).map(|_| random_statement(dice)).collect()
}

/// A random statement of a trust policy.
fn random_trust(dice: &mut Dice, groups: &BTreeMap<String, Vec<String>>) -> Value {
    let deny = dice.percent(30);
    let actions = [json!("name/sts:AssumeRole"), json!("sts:AssumeRoleWithWebIdentity"), json!(["sts:AssumeRole*"])];
    let mut named: Vec<String> = dice.some(&MEMBERS, 0, 3).into_iter().map(str::to_owned).collect();
    named.extend(groups.keys().filter(|_| dice.percent(20)).map(|name| format!("group/local/{name}")));
    let is_federated = named.is_empty() || dice.percent(40);
    let mut principal = serde_json::Map::new();
    if !named.is_empty() {
        principal.insert("qcs".to_owned(), json!(named));
    }
    if is_federated {
        principal.insert("federated".to_owned(), json!(dice.some(&["oidc-provider/corp", "oidc-provider/dev"], 1, 2)));
    }
    let mut statement = json!({"effect": if deny { "deny" } else { "allow" }, "action": actions[dice.below(3)].clone(), "principal": principal});
    if is_federated && !deny {
        let of = |dice: &mut Dice, texts: &[&str]| json!(dice.some(texts, 1, 2));
        let operator = dice.one(&["string_equal", "for_any_value:string_equal"]);
        statement["condition"] = json!({operator: {"oidc:iss": of(dice, &ISSUERS), "oidc:aud": of(dice, &AUDIENCES)},
            "string_like": {"oidc:sub": of(dice, &SUBJECTS)}});
        if dice.percent(30) {
            let (operator, more) = web_clause(dice, &SUBJECTS, false);
            let operators = statement["condition"].as_object_mut().expect("a condition");
            operators.entry(operator).or_insert_with(|| json!({"oidc:sub": more}));
        }
    } else if dice.percent(30) {
        statement["condition"] = random_condition(dice);
    } else if dice.percent(30) {
        let keys: [(&str, &[&str]); 3] = [("oidc:aud", &AUDIENCES), ("oidc:iss", &ISSUERS), ("oidc:sub", &SUBJECTS)];
        let (key, texts) = dice.one(&keys);
        let (operator, values) = web_clause(dice, texts, key == "oidc:aud");
        statement["condition"] = json!({operator: {key: values}});
    }
    statement
}

fn members(dice: &mut Dice, deeper: &[&str]) -> Vec<String> {
    let mut list: Vec<String> = dice.some(&MEMBERS, 0, 3).into_iter().map(str::to_owned).collect();
    if !deeper.is_empty() && dice.percent(60) {
        list.push(format!("group/local/{}", dice.one(deeper)));
    }
    list
}

fn attachments(
    dice: &mut Dice,
    policies: &[String],
    groups: &BTreeMap<String, Vec<String>>,
    most: usize,
) -> Vec<Attachment> {
    let count = 1 + dice.below(most);
    (0..count).map(|_| (policies[dice.below(policies.len())].clone(), targets(dice, groups))).collect()
}

fn targets(dice: &mut Dice, groups: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut to: Vec<String> = dice.some(&MEMBERS, 0, 3).into_iter().map(str::to_owned).collect();
    if dice.percent(40) {
        to.push(dice.one(&WIDE).to_owned());
    }
    if !groups.is_empty() && dice.percent(60) {
        let names: Vec<&String> = groups.keys().collect();
        to.push(format!("group/local/{}", dice.one(&names)));
    }
    to
}
