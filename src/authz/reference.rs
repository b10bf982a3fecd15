//! The naive evaluator: the policy language a second time, straight from its description, as the oracle of the engine.
//!
//! It shares nothing with the engine but what is asked and answered ([`Question`], [`Decision`]): it reads the files'
//! JSON as it stands, walks every attachment and every statement for each question, and knows no order, no index and
//! no compiled form. It expects files that the load checks have accepted, and panics on others.

mod condition;
mod reach;
mod resource;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use self::condition::{Facts, condition_holds};
use self::reach::{Names, policies};
use self::resource::{Asked, Where, resource_matches};
use self::values::{Variables, fits_stars};
use super::{
    Caller, CredentialForm, DecidingStatement, Decision, Layer, PolicyFile, Question, Reason, Settings,
    StatementEffect, Target, Verdict,
};
use crate::actions::ConditionKey;
use crate::principal::Kind;

/// A policy folder as its JSON stands.
pub(super) struct Reference {
    documents: BTreeMap<String, Value>,
    attachments: Value,
    /// Trust policies by `role/local/<name>`.
    roles: BTreeMap<String, Value>,
    here: Where,
}

/// The documents of one layer that reach the caller, by name; and whether their allows count.
struct Reaching<'a> {
    name: Option<&'a str>,
    document: &'a Value,
    allows_count: bool,
}

/// A statement that matches: document, place, whether it denies.
struct Matching {
    document: Option<String>,
    statement: usize,
    deny: bool,
}

impl Reference {
    /// Reads files that the load checks have accepted.
    pub(super) fn read(files: &[PolicyFile], settings: &Settings) -> Self {
        let json = |file: &PolicyFile| serde_json::from_slice(&file.bytes).expect("an accepted file is JSON");
        let named = |file: &PolicyFile| {
            let name = file.path.strip_prefix("documents/")?.strip_suffix(".json")?;
            Some((name.to_owned(), json(file)))
        };
        let role = |file: &PolicyFile| {
            let name = file.path.strip_prefix("roles/")?.strip_suffix(".json")?;
            Some((format!("role/local/{name}"), json(file)))
        };
        Self {
            roles: files.iter().filter_map(role).collect(),
            documents: files.iter().filter_map(named).collect(),
            attachments: files.iter().find(|file| file.path == "attachments.json").map_or(Value::Null, json),
            here: Where { region: settings.place.region.clone(), account: settings.place.account.clone() },
        }
    }

    /// The answer, and what it rests on.
    pub(super) fn decide(&self, question: &Question<'_>) -> Decision {
        let names = self.names(&question.caller);
        let session = question
            .session_policy
            .map(|policy| serde_json::from_slice::<Value>(policy.bytes()).expect("an accepted session policy is JSON"));
        let matching = |reaching: Vec<Reaching<'_>>| self.matching(&reaching, question);
        let mut identity = matching(self.identity(&names));
        let mut boundaries: Vec<Vec<Matching>> =
            self.boundaries(&names).into_iter().map(|boundary| matching(vec![boundary])).collect();
        let session =
            session.as_ref().map(|document| matching(vec![Reaching { name: None, document, allows_count: true }]));
        let mut layers: Vec<(Layer, Vec<Matching>)> = Vec::new();
        if question.action.name == "AssumeRoleWithWebIdentity" {
            // A web identity needs no grant but the role's.
            for list in boundaries.iter_mut().chain([&mut identity]) {
                list.retain(|one| one.deny);
            }
            boundaries.retain(|boundary| !boundary.is_empty());
        }
        if question.action.name != "AssumeRoleWithWebIdentity" || !identity.is_empty() {
            layers.push((Layer::Identity, identity));
        }
        layers.extend(boundaries.into_iter().map(|boundary| (Layer::Boundary, boundary)));
        layers.extend(session.map(|session| (Layer::Session, session)));
        if let Target::Role { role } = question.target {
            layers.push((Layer::Trust, self.trusting(role.as_str(), &names, question)));
        }
        combined(&layers)
    }

    /// The statements of a role's trust policy that match.
    fn trusting(&self, role: &str, names: &Names, question: &Question<'_>) -> Vec<Matching> {
        let Some(trust) = self.roles.get(role) else { return Vec::new() };
        let name = role.strip_prefix("role/local/").expect("a role of the folder");
        let provider = format!("oidc-provider/{}", question.caller.principal.issuer().unwrap_or_default());
        let variables = Variables { uin: question.caller.creator.to_string(), account: self.here.account.clone() };
        let named = |body: &Value, how: &str| -> Vec<String> {
            body["principal"].get(how).map(texts).unwrap_or_default().into_iter().map(str::to_owned).collect()
        };
        let mut found = Vec::new();
        for (statement, body) in trust["statement"].as_array().expect("a list of statements").iter().enumerate() {
            let deny = body["effect"] == "deny";
            let counting = if deny { &names.all } else { &names.full };
            let is_web = question.action.name == "AssumeRoleWithWebIdentity";
            let may_name = deny || question.action.name == "AssumeRole";
            let is_named = may_name && named(body, "qcs").iter().any(|one| counting.contains(one));
            let is_provided = is_web && named(body, "federated").contains(&provider);
            let is_asked = texts(&body["action"])
                .into_iter()
                .any(|action| action_matches(action, question.action.service.name(), question.action.name));
            if (is_named || is_provided)
                && is_asked
                && body.get("condition").is_none_or(|condition| held(condition, deny, question, &variables))
            {
                found.push(Matching { document: Some(name.to_owned()), statement, deny });
            }
        }
        found
    }

    fn names(&self, caller: &Caller<'_>) -> Names {
        let principal = caller.principal;
        let of_issuer = |issuer: &str| format!("issuer/{issuer}");
        let mut full = BTreeSet::from([principal.to_string()]);
        let mut restricting = BTreeSet::new();
        // A service that took a role shows no credential.
        let at_work = caller.form == CredentialForm::Session { assumed_issuer: None };
        if principal.kind() != Kind::Service && !at_work {
            full.insert("everyone".to_owned());
        }
        let claimed = |list: &[crate::principal::Principal]| -> Vec<String> {
            list.iter().filter(|one| one.issuer() != Some("local")).map(ToString::to_string).collect()
        };
        let of_credential = if caller.form == CredentialForm::Token { &mut full } else { &mut restricting };
        of_credential.extend(claimed(caller.groups));
        of_credential.extend(claimed(caller.roles));
        restricting.extend(claimed(caller.restricted));
        match caller.form {
            CredentialForm::Token | CredentialForm::AccessKey => full.extend(principal.issuer().map(of_issuer)),
            CredentialForm::Session { assumed_issuer } => restricting.extend(assumed_issuer.map(of_issuer)),
        }
        reach::names(full, restricting, &self.attachments["groups"])
    }

    fn identity(&self, names: &Names) -> Vec<Reaching<'_>> {
        let in_full = policies(&self.attachments["attachments"], &names.full);
        let reaching = policies(&self.attachments["attachments"], &names.all);
        self.named(&reaching, |name| in_full.contains(name))
    }

    fn boundaries(&self, names: &Names) -> Vec<Reaching<'_>> {
        self.named(&policies(&self.attachments["boundaries"], &names.all), |_| true)
    }

    fn named(&self, reaching: &BTreeSet<String>, allows_count: impl Fn(&str) -> bool) -> Vec<Reaching<'_>> {
        let reached = self.documents.iter().filter(|(name, _)| reaching.contains(*name));
        reached
            .map(|(name, document)| Reaching { name: Some(name), document, allows_count: allows_count(name) })
            .collect()
    }

    /// Every statement of these documents that matches, in order.
    fn matching(&self, reaching: &[Reaching<'_>], question: &Question<'_>) -> Vec<Matching> {
        let mut found = Vec::new();
        for one in reaching {
            let statements = one.document["statement"].as_array().expect("a list of statements");
            for (statement, body) in statements.iter().enumerate() {
                let deny = body["effect"] == "deny";
                if (deny || one.allows_count) && self.statement_matches(body, deny, question) {
                    found.push(Matching { document: one.name.map(str::to_owned), statement, deny });
                }
            }
        }
        found
    }

    /// One action pattern, one resource pattern and the whole condition.
    fn statement_matches(&self, statement: &Value, deny: bool, question: &Question<'_>) -> bool {
        let variables = Variables { uin: question.caller.creator.to_string(), account: self.here.account.clone() };
        let asked = asked(question);
        let (service, operation) = (question.action.service.name(), question.action.name);
        texts(&statement["action"]).iter().any(|pattern| action_matches(pattern, service, operation))
            && texts(&statement["resource"])
                .iter()
                .any(|pattern| resource_matches(pattern, deny, &asked, &self.here, &variables))
            && statement.get("condition").is_none_or(|condition| held(condition, deny, question, &variables))
    }
}

/// A single text or a list of them.
fn texts(value: &Value) -> Vec<&str> {
    value.as_array().map_or_else(
        || vec![value.as_str().expect("a text")],
        |list| list.iter().map(|one| one.as_str().expect("a text")).collect(),
    )
}

/// Whether an action pattern names `service:operation`.
pub(super) fn action_matches(pattern: &str, service: &str, operation: &str) -> bool {
    let pattern = pattern.strip_prefix("name/").unwrap_or(pattern);
    if pattern == "*" {
        return true;
    }
    let (wanted, pattern) = pattern.split_once(':').expect("a service and an operation");
    (wanted == "*" || wanted == service) && fits_stars(pattern, operation)
}

fn asked(question: &Question<'_>) -> Asked {
    match question.target {
        Target::Operation | Target::Role { .. } => {
            Asked::Operation { service: question.action.service.name().to_owned() }
        }
        Target::Secret { creator, name } => {
            Asked::Secret { creator: creator.map(|creator| creator.to_string()), name: name.to_string() }
        }
        Target::Key { id } => Asked::Key { id: id.to_owned() },
    }
}

fn held(condition: &Value, deny: bool, question: &Question<'_>, variables: &Variables) -> bool {
    let missing = matches!(question.target, Target::Secret { creator: None, .. });
    let values = |key: &str| {
        let known = ConditionKey::parse(key);
        known.and_then(|key| question.context.values.get(&key)).cloned().unwrap_or_default()
    };
    let unknown = |key: &str| missing && ["qcs:create_uin", "qcs:resource_tag"].contains(&key);
    condition_holds(condition, &Facts { values: &values, unknown: &unknown, deny, variables })
}

/// A matching deny in any layer denies; else each present layer, and each boundary, must allow.
fn combined(layers: &[(Layer, Vec<Matching>)]) -> Decision {
    let first_deny = |wanted: Layer| {
        let of_layer = layers.iter().filter(move |(layer, _)| *layer == wanted).flat_map(|(_, list)| list);
        of_layer.into_iter().find(|one| one.deny).map(|one| deciding(wanted, one))
    };
    let denies: Vec<DecidingStatement> =
        [Layer::Identity, Layer::Boundary, Layer::Session, Layer::Trust].into_iter().filter_map(first_deny).collect();
    if !denies.is_empty() {
        return Decision { outcome: Verdict::Deny(Reason::Explicit), layers: denies };
    }
    let mut lacking: Vec<Layer> = layers.iter().filter(|(_, list)| list.is_empty()).map(|(layer, _)| *layer).collect();
    lacking.dedup();
    if lacking.is_empty() {
        let layers = layers.iter().map(|(layer, list)| deciding(*layer, &list[0])).collect();
        return Decision { outcome: Verdict::Allow, layers };
    }
    Decision { outcome: Verdict::Deny(Reason::Default), layers: lacking.into_iter().map(without_statement).collect() }
}

fn deciding(layer: Layer, one: &Matching) -> DecidingStatement {
    DecidingStatement {
        layer,
        effect: if one.deny { StatementEffect::Deny } else { StatementEffect::Allow },
        document: one.document.clone(),
        statement: Some(u32::try_from(one.statement).expect("few statements")),
    }
}

fn without_statement(layer: Layer) -> DecidingStatement {
    DecidingStatement { layer, effect: StatementEffect::Deny, document: None, statement: None }
}
