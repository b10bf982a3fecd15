//! Statements as they are written: what they mean beside where each part of them stands. The linter reads only folders
//! that load, so nothing here can be refused any more.

use std::collections::BTreeSet;

use super::warning::Spot;
use crate::actions::{Action, ConditionKey};
use crate::authz::action_pattern::ActionSet;
use crate::authz::condition::{self, Clause, Keys};
use crate::authz::decision::StatementEffect;
use crate::authz::document::find;
use crate::authz::finding::Findings;
use crate::authz::folder::FileKind;
use crate::authz::json::{self, Member, Node, Position};
use crate::authz::load::Read;
use crate::authz::operator::Operator;
use crate::authz::resource_pattern::{Last, ResourcePattern};
use crate::authz::{PolicyFile, Settings};

/// What kind of file statements stand in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The policy document of that name.
    Document(String),
    /// The trust policy of the role of that name.
    Trust(String),
}

/// A file with statements.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) path: String,
    pub(super) kind: Kind,
    pub(super) bytes: Vec<u8>,
    members: Vec<Member>,
}

impl Page {
    /// Reads the documents and roles of a folder.
    pub(super) fn all(files: &[PolicyFile]) -> Vec<Self> {
        files.iter().filter_map(Self::read).collect()
    }

    fn read(file: &PolicyFile) -> Option<Self> {
        let kind = match FileKind::of(&file.path) {
            Ok(FileKind::Document(name)) => Kind::Document(name.to_owned()),
            Ok(FileKind::Role(name)) => Kind::Trust(name.to_owned()),
            _ => return None,
        };
        let members = json::read(&file.bytes).ok()?.into_members()?;
        Some(Self { path: file.path.clone(), kind, bytes: file.bytes.clone(), members })
    }

    /// The document's name; none of a trust policy.
    pub(super) fn document(&self) -> Option<&str> {
        match &self.kind {
            Kind::Document(name) => Some(name),
            Kind::Trust(_) => None,
        }
    }

    /// `version`.
    pub(super) fn version(&self) -> &str {
        find(&self.members, "version").and_then(Node::as_str).unwrap_or_default()
    }

    /// Its statements, in their order.
    pub(super) fn statements(&self, settings: &Settings) -> Vec<Written<'_>> {
        let list = find(&self.members, "statement").and_then(Node::as_list).unwrap_or_default();
        list.iter().zip(0..).filter_map(|(node, place)| Written::of(self, node, place, settings)).collect()
    }

    /// The principals that it names, with their places.
    pub(super) fn principals(&self) -> impl Iterator<Item = &Node> {
        let list = find(&self.members, "statement").and_then(Node::as_list).unwrap_or_default();
        list.iter().filter_map(Node::as_object).flat_map(principals)
    }

    /// The start of the file.
    pub(super) fn start(&self) -> Spot<'_> {
        let text = self.path.rsplit('/').next().unwrap_or_default();
        Spot { file: &self.path, at: Position { line: 1, column: 1 }, text, statement: None }
    }
}

/// A statement, understood and placed.
#[derive(Debug)]
pub(super) struct Written<'a> {
    pub(super) page: &'a Page,
    /// Its 0-based place in the file.
    pub(super) place: u32,
    at: Position,
    pub(super) effect: StatementEffect,
    pub(super) actions: ActionSet,
    pub(super) action_nodes: &'a [Node],
    /// None but in a trust policy: those under `qcs`.
    pub(super) principals: Vec<&'a Node>,
    /// None but in a trust policy: `qcs` and `federated`.
    pub(super) principal_kinds: &'a [Member],
    /// Of a trust policy: everything.
    pub(super) resources: Vec<(ResourcePattern, &'a Node)>,
    /// None if all of it is for foreign services.
    pub(super) clauses: Vec<WrittenClause<'a>>,
    /// The actions that it names and that some of its resources can match, with their places in the catalogue.
    pub(super) reaching: Vec<(usize, &'static Action)>,
}

/// One operator on one key.
#[derive(Debug)]
pub(super) struct WrittenClause<'a> {
    pub(super) operator: Operator,
    /// The operator as written, and where.
    operator_node: &'a Member,
    pub(super) key: ConditionKey,
    pub(super) values: &'a [Node],
    pub(super) clause: Clause,
}

impl<'a> Written<'a> {
    fn of(page: &'a Page, node: &'a Node, place: u32, settings: &Settings) -> Option<Self> {
        let members = node.as_object()?;
        let effect = match find(members, "effect")?.as_str()? {
            "deny" => StatementEffect::Deny,
            _ => StatementEffect::Allow,
        };
        let action = find(members, "action")?;
        let actions = parse_actions(action, settings);
        let resources = match page.kind {
            Kind::Document(_) => resources(find(members, "resource")?, settings),
            Kind::Trust(_) => vec![(ResourcePattern::All, node)],
        };
        let keys = match page.kind {
            Kind::Trust(_) => Keys::Trust,
            Kind::Document(_) if actions.is_foreign() => Keys::Foreign,
            Kind::Document(_) => Keys::Document,
        };
        let clauses = find(members, "condition").map(|node| clauses(node, keys, settings)).unwrap_or_default();
        let mut written = Self {
            page,
            place,
            at: node.at,
            effect,
            actions,
            action_nodes: action.one_or_many(),
            principals: principals(members).collect(),
            principal_kinds: principal_kinds(members),
            resources,
            clauses,
            reaching: Vec::new(),
        };
        written.reaching = written.actions.rows().filter(|(_, action)| written.can_match(action)).collect();
        Some(written)
    }

    /// The statement as a whole.
    pub(super) fn spot(&self) -> Spot<'a> {
        Spot { file: &self.page.path, at: self.at, text: self.effect.name(), statement: Some(self.place) }
    }

    /// A part of the statement.
    pub(super) fn spot_of(&self, at: Position, text: &'a str) -> Spot<'a> {
        Spot { file: &self.page.path, at, text, statement: Some(self.place) }
    }

    /// A text of the statement.
    pub(super) fn spot_at(&self, node: &'a Node) -> Spot<'a> {
        self.spot_of(node.at, node.as_str().unwrap_or_default())
    }

    fn placed(&self) -> Statement {
        let (is_trust, name) = match &self.page.kind {
            Kind::Document(name) => (false, name.clone()),
            Kind::Trust(name) => (true, name.clone()),
        };
        let Position { line, column } = self.at;
        let key = StatementKey { is_trust, name, place: self.place };
        Statement { file: self.page.path.clone(), line, column, key }
    }

    pub(super) fn denies(&self) -> bool {
        self.effect == StatementEffect::Deny
    }

    /// As messages name it.
    pub(super) fn name(&self) -> String {
        format!("statement {} of `{}`", self.place, self.page.path)
    }

    /// Whether some request for an action can have one of its resources.
    pub(super) fn can_match(&self, action: &Action) -> bool {
        self.resources.iter().any(|(resource, _)| resource.can_match(action, self.effect))
    }

    /// Whether it matches a request for that action that is about nothing in particular.
    pub(super) fn matches_nothing_in_particular(&self, action: &Action) -> bool {
        self.resources.iter().any(|(resource, _)| match resource {
            ResourcePattern::All => true,
            ResourcePattern::Segments { service, last: Last::Star } => {
                self.denies() && service.is_none_or(|service| service == action.service)
            }
            ResourcePattern::Segments { .. } | ResourcePattern::Foreign(_) => false,
        })
    }
}

impl<'a> WrittenClause<'a> {
    /// The operator as it is written.
    pub(super) fn operator_text(&self) -> &'a str {
        &self.operator_node.key
    }

    /// The operator.
    pub(super) fn spot(&self, statement: &Written<'a>) -> Spot<'a> {
        statement.spot_of(self.operator_node.at, self.operator_text())
    }
}

/// `qcs` and `federated` of a statement.
fn principal_kinds(statement: &[Member]) -> &[Member] {
    find(statement, "principal").and_then(Node::as_object).unwrap_or_default()
}

/// The principals under `qcs` of a statement.
fn principals(statement: &[Member]) -> impl Iterator<Item = &Node> {
    principal_kinds(statement).iter().filter(|member| member.key == "qcs").flat_map(|member| member.node.one_or_many())
}

/// The actions that one pattern or list of them names.
pub(super) fn parse_actions(node: &Node, settings: &Settings) -> ActionSet {
    let mut findings = Findings::of("");
    ActionSet::parse(Some(node), node.at, &|service| settings.is_foreign(service), &mut findings)
}

fn resources<'a>(node: &'a Node, settings: &Settings) -> Vec<(ResourcePattern, &'a Node)> {
    let parse = |node: &'a Node| Some((ResourcePattern::parse(node.as_str()?, settings).ok()?, node));
    node.one_or_many().iter().filter_map(parse).collect()
}

/// The clauses in the order in which [`condition::parse`] reads them.
fn clauses<'a>(node: &'a Node, keys: Keys, settings: &Settings) -> Vec<WrittenClause<'a>> {
    let parsed = condition::parse(node, keys, &settings.place.account, &mut Findings::of(""));
    let operators = node.as_object().unwrap_or_default();
    let members = operators.iter().flat_map(|operator| {
        let keys = operator.node.as_object().unwrap_or_default();
        keys.iter().map(move |key| (operator, key))
    });
    let written = |(clause, (operator_node, key)): (Clause, (&'a Member, &'a Member))| WrittenClause {
        operator: clause.operator,
        operator_node,
        key: clause.key,
        values: key.node.one_or_many(),
        clause,
    };
    parsed.into_iter().zip(members).map(written).collect()
}

/// Which statement of a folder: in a trust policy or a document, by the role's or the document's name and its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::authz) struct StatementKey {
    pub(in crate::authz) is_trust: bool,
    pub(in crate::authz) name: String,
    pub(in crate::authz) place: u32,
}

/// A statement that requests can meet, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Statement {
    /// The file, relative to the policy folder.
    pub file: String,
    /// 1-based line.
    pub line: u32,
    /// 1-based column.
    pub column: u32,
    key: StatementKey,
}

impl Statement {
    /// Its 0-based place in the file.
    #[must_use]
    pub const fn place(&self) -> u32 {
        self.key.place
    }

    pub(in crate::authz) const fn key(&self) -> &StatementKey {
        &self.key
    }
}

/// The statements of a folder that loads, but those of documents that are attached to nobody and those for foreign services.
pub(in crate::authz) fn attached_statements(files: &[PolicyFile], settings: &Settings) -> Vec<Statement> {
    let read = Read::files(files, settings);
    let all = read.attachments.attachments.iter().chain(&read.attachments.boundaries);
    let attached: BTreeSet<&str> = all.map(|attachment| attachment.policy.text.as_str()).collect();
    let pages = Page::all(&read.files);
    let counts = |page: &&Page| page.document().is_none_or(|document| attached.contains(document));
    let statements = pages.iter().filter(counts).flat_map(|page| page.statements(settings));
    statements.filter(|statement| !statement.actions.is_foreign()).map(|statement| statement.placed()).collect()
}
