//! A policy set: loaded all or nothing, then asked. One set is one revision.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use super::caller::{Reached, Subjects};
use super::decision::{
    Caller, DecidingStatement, Decision, Fault, Layer, Question, Reason, StatementEffect, Target, Verdict,
};
use super::document::Document;
use super::engine::{Answer, Engine, FrameKey, Row};
use super::facts::Facts;
use super::finding::{Code, Finding, Findings};
use super::load::Read;
use super::role::Trust;
use super::session::SessionPolicy;
use super::{PolicyFile, Settings, revision};
use crate::actions::{ACTIONS, Action, Operation};
use crate::principal::{Kind, LOCAL, Principal};

/// A whole policy set, checked and ready to decide.
pub struct PolicySet {
    revision: String,
    config: Vec<u8>,
    files: Vec<PolicyFile>,
    /// Sorted by name bytes.
    documents: Vec<Document>,
    subjects: Subjects,
    roles: BTreeMap<Principal, Trust>,
    engine: Engine,
}

impl fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicySet").field("revision", &self.revision).finish_non_exhaustive()
    }
}

impl PolicySet {
    /// Parses and checks a set, all or nothing. Without `attachments.json` nothing is attached, so all is denied;
    /// files of `tests/` are left out.
    ///
    /// # Errors
    /// Every finding of every file, sorted by file and place.
    pub fn load(files: &[PolicyFile], settings: &Settings) -> Result<Self, Vec<Finding>> {
        let mut read = Read::files(files, settings);
        match Engine::new() {
            Ok(engine) if read.findings.is_empty() => {
                let config = revision::config_frame(settings);
                let trusted = read.roles.values().flat_map(Trust::principals);
                let subjects = Subjects::of(&read.attachments, &read.documents, trusted);
                let revision = revision::revision(&read.files, &config);
                let Read { files, documents, roles, .. } = read;
                Ok(Self { revision, config, files, documents, subjects, roles, engine })
            }
            Ok(_) => Err(read.findings),
            Err(fault) => {
                let message = format!("the compiled-in model fails its probe: {fault}");
                let mut findings = Findings::of("model.conf");
                findings.add_file(Code::PolicyDocumentError, "", message);
                read.findings.extend(findings.into_list());
                Err(read.findings)
            }
        }
    }

    /// The policy revision: `sha256:` and hex over everything that a decision depends on but the question.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The files of the revision, sorted by path bytes.
    #[must_use]
    pub fn files(&self) -> &[PolicyFile] {
        &self.files
    }

    /// The frame `config` of the revision: what of the configuration it was loaded under
    /// ([`Settings::of_revision`] reads it back).
    #[must_use]
    pub fn config_frame(&self) -> &[u8] {
        &self.config
    }

    /// What the policy folder adds to `context.groups` and `context.roles` of the record: the groups `group/local/...`
    /// that the caller is a member of, at any depth and whichever way, sorted; and the role that a session is of.
    #[must_use]
    pub fn local_groups_and_roles(&self, caller: &Caller<'_>, reached: &Reached) -> (Vec<Principal>, Vec<Principal>) {
        let principal = caller.principal;
        let is_role = principal.kind() == Kind::Role && principal.issuer() == Some(LOCAL);
        (self.subjects.groups(reached), is_role.then(|| principal.clone()).into_iter().collect())
    }

    /// Decides. It never fails: what cannot be decided is denied, with [`Verdict::Error`].
    #[must_use]
    pub fn decide(&self, question: &Question<'_>) -> Decision {
        self.decide_for(question, &self.reach(&question.caller))
    }

    /// As [`PolicySet::decide`], for a caller of whom is known what it reaches ([`PolicySet::reach`]).
    ///
    /// The cost grows with the statements that are attached to the caller and name the action, not with the set.
    #[must_use]
    pub fn decide_for(&self, question: &Question<'_>, reached: &Reached) -> Decision {
        self.layers(question, reached).map_or_else(
            |fault| Decision { outcome: Verdict::Error(fault), layers: Vec::new() },
            |layers| combine(&layers),
        )
    }

    /// Whether `service` may take `role`; `None` if the folder has no such role.
    #[must_use]
    pub fn role_trusts(&self, role: &Principal, service: &Principal) -> Option<bool> {
        self.roles.get(role).map(|trust| trust.has(service))
    }

    /// The longest session of a role that its file allows, in seconds; `None` if the folder has no such role.
    #[must_use]
    pub fn longest_session_s(&self, role: &Principal) -> Option<u64> {
        self.roles.get(role).map(Trust::longest_session_s)
    }

    /// Whether what this caller may do by `action` depends on who and on what alone: no statement that is attached to it, or
    /// bounds it, and names the action has a condition.
    #[must_use]
    pub fn is_free_of_conditions(&self, caller: &Caller<'_>, action: &Action) -> bool {
        let Some(action) = ACTIONS.iter().position(|row| row.operation == action.operation) else { return false };
        let reached = self.reach(caller);
        let attached = self.subjects.naming(&reached, action).into_iter().map(|(place, _)| place);
        let documents = attached.chain(self.subjects.boundaries(&reached)).filter_map(|place| self.document(place));
        let mut statements = documents.flat_map(|document| &document.statements);
        statements.all(|statement| statement.clauses.is_empty() || !statement.actions.names(action))
    }

    /// Asks casbin for each layer, each boundary by itself.
    fn layers(&self, question: &Question<'_>, reached: &Reached) -> Result<Vec<LayerAnswer>, Fault> {
        let facts = Rc::new(Facts::of(question)?);
        let action = place_of(question)?;
        let is_web = question.action.operation == Operation::AssumeRoleWithWebIdentity;
        let mut layers = Vec::new();
        let mut ask = |layer, documents: Vec<(u32, bool)>, session: Option<&SessionPolicy>| {
            let digest = session.map(|policy| policy.digest().to_owned()).unwrap_or_default();
            let key = FrameKey { layer, action, documents, session: digest };
            let rows =
                || session.map_or_else(|| self.rows(&key), |policy| rows_of(&policy.document, action, None, true));
            let answer = self.engine.answer(&key, rows, &facts)?;
            // Who shows a web identity needs no grant but the role's: what is attached to it only denies.
            if !is_web || layer == Layer::Session || answer.deny.is_some() {
                layers.push(LayerAnswer { layer, answer });
            }
            Ok(())
        };
        ask(Layer::Identity, self.subjects.naming(reached, action), None)?;
        for place in self.subjects.boundaries(reached) {
            ask(Layer::Boundary, vec![(place, true)], None)?;
        }
        if let Some(policy) = question.session_policy {
            ask(Layer::Session, Vec::new(), Some(policy))?;
        }
        if let Target::Role { role } = question.target {
            let rows = self.trusting(question, action, reached);
            let documents = rows.iter().map(|row| (row.place, true)).collect();
            let key = FrameKey { layer: Layer::Trust, action, documents, session: role.to_string() };
            layers.push(LayerAnswer { layer: Layer::Trust, answer: self.engine.answer(&key, || rows, &facts)? });
        }
        Ok(layers)
    }

    /// The statements of the asked role's trust policy that name caller and action; none if there is no such role. An allow that
    /// names only what restricts is none.
    pub(super) fn trusting(&self, question: &Question<'_>, action: usize, reached: &Reached) -> Vec<Row> {
        let Target::Role { role } = question.target else { return Vec::new() };
        let is_web = question.action.operation == Operation::AssumeRoleWithWebIdentity;
        let provider = question.caller.principal.issuer().filter(|_| is_web);
        let names = |principal: &Principal| self.subjects.reaches(reached, principal);
        self.roles.get(role).map(|trust| trust.rows(action, provider, &names)).unwrap_or_default()
    }

    /// The statements of a frame, in the order of document bytes and place. An allow that is only reached through what
    /// restricts is no row.
    fn rows(&self, key: &FrameKey) -> Vec<Row> {
        let mut rows = Vec::new();
        for (place, full) in &key.documents {
            if let Some(document) = self.document(*place) {
                rows.extend(rows_of(document, key.action, Some(&document.name), *full));
            }
        }
        rows
    }

    /// Every statement that bears on what is asked, by layer; an allow that is only reached through what restricts is none.
    pub(super) fn bearing(&self, question: &Question<'_>) -> Result<Bearing, Fault> {
        let reached = self.reach(&question.caller);
        let action = place_of(question)?;
        let of =
            |place: &u32| self.document(*place).map(|document| rows_of(document, action, Some(&document.name), true));
        let documents = self.subjects.naming(&reached, action);
        Ok(Bearing {
            identity: self.rows(&FrameKey { layer: Layer::Identity, action, documents, session: String::new() }),
            boundaries: self.subjects.boundaries(&reached).iter().filter_map(of).collect(),
            trust: self.trusting(question, action, &reached),
        })
    }

    /// The roles of the folder.
    pub(super) fn roles(&self) -> impl Iterator<Item = &Principal> {
        self.roles.keys()
    }

    /// Sorted by name bytes.
    pub(super) fn documents(&self) -> &[Document] {
        &self.documents
    }

    pub(super) fn document(&self, place: u32) -> Option<&Document> {
        self.documents.get(usize::try_from(place).ok()?)
    }

    pub(super) fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    /// The subjects of this set that a caller is or is a member of.
    #[must_use]
    pub fn reach(&self, caller: &Caller<'_>) -> Reached {
        self.subjects.reach(caller)
    }
}

/// The action's place in the catalogue.
pub(super) fn place_of(question: &Question<'_>) -> Result<usize, Fault> {
    let operation = question.action.operation;
    ACTIONS.iter().position(|action| action.operation == operation).ok_or(Fault::Target)
}

fn rows_of(document: &Document, action: usize, name: Option<&std::sync::Arc<str>>, full: bool) -> Vec<Row> {
    let counts = |effect| full || effect == StatementEffect::Deny;
    let statements = document.statements.iter().zip(0..);
    statements
        .filter(|(statement, _)| statement.actions.names(action) && counts(statement.effect))
        .map(|(statement, place)| Row { document: name.cloned(), place, statement: statement.clone() })
        .collect()
}

/// The statements that bear on a caller and an action, by layer.
pub(super) struct Bearing {
    pub(super) identity: Vec<Row>,
    /// Of each boundary that reaches the caller, also if it names the action nowhere.
    pub(super) boundaries: Vec<Vec<Row>>,
    /// Of the role that is asked for.
    pub(super) trust: Vec<Row>,
}

struct LayerAnswer {
    layer: Layer,
    answer: Answer,
}

/// Joins the layers: a deny in any of them denies; else each must allow. Within a layer the answer is casbin's.
fn combine(layers: &[LayerAnswer]) -> Decision {
    let refusing = || layers.iter().filter(|layer| !layer.answer.allowed);
    if refusing().next().is_none() {
        let allows =
            layers.iter().filter_map(|layer| layer.answer.allow.as_ref().map(|row| deciding(layer.layer, row)));
        return Decision { outcome: Verdict::Allow, layers: allows.collect() };
    }
    let denies = refusing().filter_map(|layer| layer.answer.deny.as_ref().map(|row| deciding(layer.layer, row)));
    let (outcome, mut statements): (_, Vec<DecidingStatement>) = match denies.collect::<Vec<_>>() {
        denies if denies.is_empty() => {
            (Verdict::Deny(Reason::Default), refusing().map(|layer| lacking(layer.layer)).collect())
        }
        denies => (Verdict::Deny(Reason::Explicit), denies),
    };
    // Boundaries are several answers of one layer, in the order of document bytes: the first speaks for it.
    statements.dedup_by_key(|statement| statement.layer);
    Decision { outcome, layers: statements }
}

fn deciding(layer: Layer, row: &Row) -> DecidingStatement {
    DecidingStatement {
        layer,
        effect: row.statement.effect,
        document: row.document.as_ref().map(ToString::to_string),
        statement: Some(row.place),
    }
}

fn lacking(layer: Layer) -> DecidingStatement {
    DecidingStatement { layer, effect: StatementEffect::Deny, document: None, statement: None }
}

#[cfg(test)]
impl PolicySet {
    /// The same set, but casbin panics whenever it is asked.
    pub(crate) fn panicking(mut self) -> Self {
        self.engine = Engine::panicking();
        self
    }
}

#[cfg(test)]
#[path = "set_tests.rs"]
mod tests;
