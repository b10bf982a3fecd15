//! A policy set: loaded all or nothing, then asked. One set is one revision.

use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;

use super::attachments::{Attachments, Known, Limits, check_sheddable};
use super::caller::{Reached, Subjects};
use super::decision::{Caller, DecidingStatement, Decision, Fault, Layer, Question, Reason, StatementEffect, Verdict};
use super::document::Document;
use super::engine::{Answer, Engine, FrameKey, Row};
use super::facts::Facts;
use super::finding::{Code, Finding, Findings};
use super::folder::FileKind;
use super::session::SessionPolicy;
use super::{PolicyFile, Settings, revision, role};
use crate::actions::ACTIONS;
use crate::principal::{Kind, LOCAL, Principal};

/// A whole policy set, checked and ready to decide.
pub struct PolicySet {
    revision: String,
    config: Vec<u8>,
    files: Vec<PolicyFile>,
    /// Sorted by name bytes.
    documents: Vec<Document>,
    subjects: Subjects,
    engine: Engine,
}

impl fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicySet")
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

impl PolicySet {
    /// Parses and checks a set, all or nothing. Without `attachments.json` nothing is attached, so all is denied;
    /// files of `tests/` are left out.
    ///
    /// # Errors
    /// Every finding of every file, sorted by file and place.
    pub fn load(files: &[PolicyFile], settings: &Settings) -> Result<Self, Vec<Finding>> {
        let mut loader = Loader {
            settings,
            findings: Vec::new(),
            documents: Vec::new(),
            attachments: Attachments::default(),
        };
        let kept = loader.read(files);
        let engine = Engine::new();
        if let Err(fault) = &engine {
            loader.refuse(
                "policies/model.conf",
                Code::PolicyDocumentError,
                &format!("the compiled-in model fails its probe: {fault}"),
            );
        }
        match engine {
            Ok(engine) if loader.findings.is_empty() => {
                let config = revision::config_frame(settings);
                let subjects = Subjects::of(&loader.attachments, &loader.documents);
                let revision = revision::revision(&kept, &config);
                Ok(Self {
                    revision,
                    config,
                    files: kept,
                    documents: loader.documents,
                    subjects,
                    engine,
                })
            }
            _ => {
                loader.findings.sort();
                Err(loader.findings)
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
    pub fn local_groups_and_roles(&self, caller: &Caller<'_>) -> (Vec<Principal>, Vec<Principal>) {
        let principal = caller.principal;
        let is_role = principal.kind() == Kind::Role && principal.issuer() == Some(LOCAL);
        (
            self.subjects.groups(&self.subjects.reach(caller)),
            is_role.then(|| principal.clone()).into_iter().collect(),
        )
    }

    /// Decides. It never fails: what cannot be decided is denied, with [`Verdict::Error`].
    ///
    /// The cost grows with the statements that are attached to the caller and name the action, not with the set.
    #[must_use]
    pub fn decide(&self, question: &Question<'_>) -> Decision {
        self.layers(question).map_or_else(
            |fault| Decision {
                outcome: Verdict::Error(fault),
                layers: Vec::new(),
            },
            |layers| combine(&layers),
        )
    }

    /// Asks casbin for each layer, each boundary by itself.
    fn layers(&self, question: &Question<'_>) -> Result<Vec<LayerAnswer>, Fault> {
        let facts = Rc::new(Facts::of(question)?);
        let action = place_of(question)?;
        let reached = self.subjects.reach(&question.caller);
        let mut layers = Vec::new();
        let mut ask = |layer, documents: Vec<(u32, bool)>, session: Option<&SessionPolicy>| {
            let digest = session.map(|policy| policy.digest().to_owned()).unwrap_or_default();
            let key = FrameKey {
                layer,
                action,
                documents,
                session: digest,
            };
            let rows = || {
                session.map_or_else(
                    || self.rows(&key),
                    |policy| rows_of(&policy.document, action, None, true),
                )
            };
            layers.push(LayerAnswer {
                layer,
                answer: self.engine.answer(&key, rows, &facts)?,
            });
            Ok(())
        };
        ask(Layer::Identity, self.subjects.naming(&reached, action), None)?;
        for place in self.subjects.boundaries(&reached) {
            ask(Layer::Boundary, vec![(place, true)], None)?;
        }
        if let Some(policy) = question.session_policy {
            ask(Layer::Session, Vec::new(), Some(policy))?;
        }
        Ok(layers)
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

    pub(super) fn document(&self, place: u32) -> Option<&Document> {
        self.documents.get(usize::try_from(place).ok()?)
    }

    pub(super) fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    pub(super) fn reach(&self, caller: &Caller<'_>) -> Reached {
        self.subjects.reach(caller)
    }
}

/// The action's place in the catalogue.
pub(super) fn place_of(question: &Question<'_>) -> Result<usize, Fault> {
    let operation = question.action.operation;
    ACTIONS
        .iter()
        .position(|action| action.operation == operation)
        .ok_or(Fault::Target)
}

fn rows_of(document: &Document, action: usize, name: Option<&std::sync::Arc<str>>, full: bool) -> Vec<Row> {
    let counts = |effect| full || effect == StatementEffect::Deny;
    let statements = document.statements.iter().zip(0..);
    statements
        .filter(|(statement, _)| statement.actions.names(action) && counts(statement.effect))
        .map(|(statement, place)| Row {
            document: name.cloned(),
            place,
            statement: statement.clone(),
        })
        .collect()
}

struct LayerAnswer {
    layer: Layer,
    answer: Answer,
}

/// Joins the layers: a deny in any of them denies; else each must allow. Within a layer the answer is casbin's.
fn combine(layers: &[LayerAnswer]) -> Decision {
    let refusing = || layers.iter().filter(|layer| !layer.answer.allowed);
    if refusing().next().is_none() {
        let allows = layers
            .iter()
            .filter_map(|layer| layer.answer.allow.as_ref().map(|row| deciding(layer.layer, row)));
        return Decision {
            outcome: Verdict::Allow,
            layers: allows.collect(),
        };
    }
    let denies = refusing().filter_map(|layer| layer.answer.deny.as_ref().map(|row| deciding(layer.layer, row)));
    let (outcome, mut statements): (_, Vec<DecidingStatement>) = match denies.collect::<Vec<_>>() {
        denies if denies.is_empty() => (
            Verdict::Deny(Reason::Default),
            refusing().map(|layer| lacking(layer.layer)).collect(),
        ),
        denies => (Verdict::Deny(Reason::Explicit), denies),
    };
    // Boundaries are several answers of one layer, in the order of document bytes: the first speaks for it.
    statements.dedup_by_key(|statement| statement.layer);
    Decision {
        outcome,
        layers: statements,
    }
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
    DecidingStatement {
        layer,
        effect: StatementEffect::Deny,
        document: None,
        statement: None,
    }
}

/// Reads the files of a set and gathers the findings of all of them.
struct Loader<'a> {
    settings: &'a Settings,
    findings: Vec<Finding>,
    documents: Vec<Document>,
    attachments: Attachments,
}

impl Loader<'_> {
    fn refuse(&mut self, path: &str, code: Code, message: &str) {
        let mut findings = Findings::of(path);
        findings.add_file(code, path, message);
        self.findings.extend(findings.into_list());
    }

    /// Reads all files; those that are part of the revision come back, sorted by path bytes.
    fn read(&mut self, files: &[PolicyFile]) -> Vec<PolicyFile> {
        let mut kept: Vec<PolicyFile> = Vec::new();
        for file in files {
            match FileKind::of(&file.path) {
                Ok(FileKind::Test) => {}
                Ok(_) => kept.push(file.clone()),
                Err(message) => self.refuse(&file.path, Code::PolicyNameError, message),
            }
        }
        kept.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
        self.refuse_repeated(&kept);
        self.read_principals(&kept);
        let known = self.read_documents(&kept);
        self.check_policies(&known);
        self.documents.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        kept
    }

    fn refuse_repeated(&mut self, kept: &[PolicyFile]) {
        for (file, next) in kept.iter().zip(kept.iter().skip(1)) {
            if file.path == next.path {
                self.refuse(&file.path, Code::PolicyNameError, "the file is given twice");
            }
        }
    }

    /// Reads attachments and roles, which name principals.
    fn read_principals(&mut self, kept: &[PolicyFile]) {
        let roles = kept.iter().filter_map(|file| match FileKind::of(&file.path) {
            Ok(FileKind::Role(name)) => Principal::qualified(Kind::Role, LOCAL, name).ok(),
            _ => None,
        });
        let mut known = Known {
            settings: self.settings,
            local: roles.collect(),
        };
        for file in kept.iter().filter(|file| file.path == "attachments.json") {
            match Attachments::parse(file, &mut known) {
                Ok(attachments) => self.attachments = attachments,
                Err(findings) => self.findings.extend(findings),
            }
        }
        for file in kept
            .iter()
            .filter(|file| matches!(FileKind::of(&file.path), Ok(FileKind::Role(_))))
        {
            self.findings
                .extend(role::check(file, &known, self.settings).err().unwrap_or_default());
        }
    }

    /// Parses the documents; the names of all of them come back, of refused ones too.
    fn read_documents(&mut self, kept: &[PolicyFile]) -> HashSet<String> {
        let mut names = HashSet::new();
        for file in kept {
            let Ok(FileKind::Document(name)) = FileKind::of(&file.path) else {
                continue;
            };
            names.insert(name.to_owned());
            match Document::parse(file, name, self.settings) {
                Ok(document) => self.documents.push(document),
                Err(findings) => self.findings.extend(findings),
            }
        }
        names
    }

    /// Refuses attachments of documents that do not exist, and limits that a token could shed.
    fn check_policies(&mut self, names: &HashSet<String>) {
        let mut findings = Findings::of("attachments.json");
        for attachment in self.attachments.attachments.iter().chain(&self.attachments.boundaries) {
            if !names.contains(&attachment.policy.text) {
                let message = "`documents` has no policy of this name";
                findings.add(
                    attachment.policy.at,
                    Code::PolicyIdNotExist,
                    &attachment.policy.text,
                    message,
                );
            }
        }
        let denying: HashSet<&str> = self.documents.iter().filter(|d| d.denies()).map(|d| &*d.name).collect();
        let denies = self
            .attachments
            .attachments
            .iter()
            .filter(|a| denying.contains(a.policy.text.as_str()));
        let denies = denies.map(|attachment| Limits {
            attachment,
            what: "deny",
        });
        let boundaries = self.attachments.boundaries.iter().map(|attachment| Limits {
            attachment,
            what: "boundary",
        });
        let limits: Vec<Limits<'_>> = denies.chain(boundaries).collect();
        check_sheddable(&self.attachments, &limits, self.settings, &mut findings);
        self.findings.extend(findings.into_list());
    }
}

#[cfg(test)]
#[path = "set_tests.rs"]
mod tests;
