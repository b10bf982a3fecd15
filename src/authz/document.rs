//! A policy document: parsed whole, every finding at once. Nothing in it is skipped or ignored (C1).

use std::sync::Arc;

use super::action_pattern::ActionSet;
use super::condition::{self, Clause, Keys, Outcome};
use super::decision::{Fault, StatementEffect};
use super::facts::Facts;
use super::finding::{Code, Finding, Findings};
use super::json::{self, Member, Node, Position, Value};
use super::resource_pattern::ResourcePattern;
use super::{PolicyFile, Settings};

/// Largest document file, in bytes.
pub(super) const FILE_BYTES_MAX: usize = 256 * 1024;

/// A parsed document.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) name: Arc<str>,
    pub(super) statements: Vec<Arc<Statement>>,
}

/// A parsed statement. Its actions select it before casbin is asked; resource and condition are held against the
/// request inside casbin's walk.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) effect: StatementEffect,
    pub(super) actions: ActionSet,
    pub(super) resources: Vec<ResourcePattern>,
    pub(super) clauses: Vec<Clause>,
}

/// How a statement that names the action came out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Match<'a> {
    Matches,
    /// No resource pattern fits.
    Resource,
    /// This clause does not hold.
    Clause(&'a Clause, Outcome),
}

impl Statement {
    /// Holds resource and condition against a request.
    ///
    /// # Errors
    /// [`Fault`] if it cannot be decided.
    pub(super) fn holds(&self, facts: &Facts) -> Result<Match<'_>, Fault> {
        if !self.resources.iter().any(|resource| resource.matches(facts, self.effect)) {
            return Ok(Match::Resource);
        }
        for clause in &self.clauses {
            let outcome = clause.outcome(facts, self.effect)?;
            if outcome != Outcome::Holds {
                return Ok(Match::Clause(clause, outcome));
            }
        }
        Ok(Match::Matches)
    }

    /// A statement of a trust policy: it is about the role that it stands in, and its principals select it.
    pub(super) fn of_trust(effect: StatementEffect, actions: ActionSet, clauses: Vec<Clause>) -> Self {
        Self { effect, actions, resources: vec![ResourcePattern::All], clauses }
    }

    /// A statement that matches every request or none: what the start-up probe of the frame asks about.
    pub(super) fn probe(effect: StatementEffect, matches: bool) -> Self {
        let resources = if matches { vec![ResourcePattern::All] } else { Vec::new() };
        Self { effect, actions: ActionSet::default(), resources, clauses: Vec::new() }
    }
}

impl Document {
    /// Parses and checks a document.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn parse(file: &PolicyFile, name: &str, settings: &Settings) -> Result<Self, Vec<Finding>> {
        let mut findings = Findings::of(&file.path);
        let statements = parse_file(file, settings, &mut findings);
        if findings.is_empty() {
            return Ok(Self { name: name.into(), statements: statements.into_iter().map(Arc::new).collect() });
        }
        Err(findings.into_list())
    }

    /// Whether a statement of it names the action at this place of the catalogue.
    pub(super) fn names(&self, action: usize) -> bool {
        self.statements.iter().any(|statement| statement.actions.names(action))
    }

    /// Whether a statement of it denies something that keyward has.
    pub(super) fn denies(&self) -> bool {
        self.statements.iter().any(|s| s.effect == StatementEffect::Deny && !s.actions.is_foreign())
    }
}

fn parse_file(file: &PolicyFile, settings: &Settings, findings: &mut Findings) -> Vec<Statement> {
    if file.bytes.len() > FILE_BYTES_MAX {
        findings.add_file(Code::PolicyDocumentLengthOverLimit, "", "a document is at most 256 KiB");
        return Vec::new();
    }
    let Some(members) = read_object(file, Code::PolicyDocumentError, findings) else {
        return Vec::new();
    };
    check_length(&file.bytes, settings, findings);
    for member in &members {
        match member.key.as_str() {
            "version" | "statement" => {}
            "principal" => refuse_principal(member, findings),
            other => findings.add(
                member.at,
                Code::PolicyDocumentError,
                other,
                "a document has `version` and `statement` and nothing else",
            ),
        }
    }
    check_version(find(&members, "version"), Code::VersionError, findings);
    let statements = statements(find(&members, "statement"), findings);
    statements.iter().filter_map(|node| parse_statement(node, settings, findings)).collect()
}

/// Reads a file that holds one JSON object; anything else is a finding of `code`.
pub(super) fn read_object(file: &PolicyFile, code: Code, findings: &mut Findings) -> Option<Vec<Member>> {
    match json::read(&file.bytes) {
        Ok(Node { value: Value::Object(members), .. }) => return Some(members),
        Ok(node) => findings.add(node.at, code, &node.text(), "the file is a JSON object"),
        Err(errors) => errors.into_iter().for_each(|error| findings.add(error.at, code, &error.text, error.message)),
    }
    None
}

/// The value of a key.
pub(super) fn find<'a>(members: &'a [Member], key: &str) -> Option<&'a Node> {
    members.iter().find(|member| member.key == key).map(|member| &member.node)
}

/// The length of a document: its characters, white space not counted.
pub(super) fn length(bytes: &[u8]) -> usize {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    text.chars().filter(|c| !matches!(c, ' ' | '\t' | '\r' | '\n')).count()
}

fn check_length(bytes: &[u8], settings: &Settings, findings: &mut Findings) {
    let length = length(bytes);
    let most = settings.document_characters_max;
    if length > most {
        findings.add_file(
            Code::PolicyDocumentLengthOverLimit,
            "",
            format!("{length} characters without white space, at most {most}: divide the document"),
        );
    }
}

/// Checks `"version"`, which is `"2.0"` or `"3.0"`; both mean the same (C2).
pub(super) fn check_version(node: Option<&Node>, code: Code, findings: &mut Findings) {
    let text = node.map(Node::text).unwrap_or_default();
    if !node.and_then(Node::as_str).is_some_and(|version| matches!(version, "2.0" | "3.0")) {
        let at = node.map_or(START, |node| node.at);
        findings.add(at, code, &text, "`version` is the string `2.0` or `3.0`");
    }
}

/// Where something absent from the top level is reported.
pub(super) const START: Position = Position { line: 1, column: 1 };

/// The elements of `statement`, which is a list that is not empty (C5, C6).
pub(super) fn statements<'a>(node: Option<&'a Node>, findings: &mut Findings) -> &'a [Node] {
    let list = node.and_then(Node::as_list).unwrap_or_default();
    if list.is_empty() {
        let at = node.map_or(START, |node| node.at);
        let text = node.map(Node::text).unwrap_or_default();
        findings.add(at, Code::StatementError, &text, "`statement` is a list of at least one statement");
    }
    list
}

fn refuse_principal(member: &Member, findings: &mut Findings) {
    findings.add(
        member.at,
        Code::PrincipalError,
        &member.key,
        "a document names no principal: who it applies to is written in `attachments.json`",
    );
}

/// The members of a statement.
pub(super) fn statement_object<'a>(node: &'a Node, findings: &mut Findings) -> Option<&'a [Member]> {
    let members = node.as_object();
    if members.is_none() {
        findings.add(node.at, Code::StatementError, &node.text(), "a statement is an object");
    }
    members
}

fn parse_statement(node: &Node, settings: &Settings, findings: &mut Findings) -> Option<Statement> {
    let members = statement_object(node, findings)?;
    for member in members {
        match member.key.as_str() {
            "effect" | "action" | "resource" | "condition" => {}
            "principal" => refuse_principal(member, findings),
            other => findings.add(
                member.at,
                Code::StatementError,
                other,
                "a statement has `effect`, `action`, `resource` and `condition` and nothing else",
            ),
        }
    }
    let effect = parse_effect(find(members, "effect"), node.at, findings);
    let actions = ActionSet::parse(find(members, "action"), node.at, &|service| settings.is_foreign(service), findings);
    let resources = parse_resources(find(members, "resource"), node.at, settings, findings);
    let keys = if actions.is_foreign() { Keys::Foreign } else { Keys::Document };
    let account = &settings.place.account;
    let clauses =
        find(members, "condition").map(|node| condition::parse(node, keys, account, findings)).unwrap_or_default();
    let effect = effect?;
    check_reach(&actions, &resources, effect, findings);
    let resources = resources.into_iter().map(|(resource, _)| resource).collect();
    Some(Statement { effect, actions, resources, clauses })
}

/// Reads `effect`. casbin compares it with exactly `allow` and `deny` and takes anything else for neither, so
/// anything else is refused here.
pub(super) fn parse_effect(node: Option<&Node>, at: Position, findings: &mut Findings) -> Option<StatementEffect> {
    match node.and_then(Node::as_str) {
        Some("allow") => return Some(StatementEffect::Allow),
        Some("deny") => return Some(StatementEffect::Deny),
        _ => {}
    }
    let text = node.map(Node::text).unwrap_or_default();
    findings.add(node.map_or(at, |node| node.at), Code::EffectError, &text, "`effect` is exactly `allow` or `deny`");
    None
}

fn parse_resources<'a>(
    node: Option<&'a Node>,
    at: Position,
    settings: &Settings,
    findings: &mut Findings,
) -> Vec<(ResourcePattern, &'a Node)> {
    let nodes = node.map(Node::one_or_many).unwrap_or_default();
    if nodes.is_empty() {
        let at = node.map_or(at, |node| node.at);
        findings.add(at, Code::ResourceError, "resource", "a statement names at least one resource, such as `*`");
    }
    let mut resources = Vec::new();
    for node in nodes {
        match node.as_str().map(|text| ResourcePattern::parse(text, settings)) {
            Some(Ok(resource)) => resources.push((resource, node)),
            Some(Err((code, message))) => findings.add(node.at, code, &node.text(), message),
            None => findings.add(node.at, Code::ResourceError, &node.text(), "a resource is a string"),
        }
    }
    resources
}

/// Refuses a resource that no action of the statement can have: it would never match, and a deny be void (C33).
fn check_reach(
    actions: &ActionSet,
    resources: &[(ResourcePattern, &Node)],
    effect: StatementEffect,
    findings: &mut Findings,
) {
    for (resource, node) in resources {
        let reached = match resource {
            ResourcePattern::Foreign(service) => actions.foreign.contains(service),
            own => actions.is_foreign() || actions.rows().any(|(_, action)| own.can_match(action, effect)),
        };
        // An action that is itself refused has its own finding.
        if !reached && (actions.rows().next().is_some() || actions.is_foreign()) {
            findings.add(
                node.at,
                Code::ResourceContentError,
                &node.text(),
                "no action of this statement can have such a resource, so it never matches; actions without a resource need `*`",
            );
        }
    }
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
