//! From a caller to the documents that apply to it: through itself, its groups and roles, the groups of the policy
//! folder, its issuer, and everyone.
//!
//! Subjects are numbered when the set is loaded and each has its documents by action, so that a decision touches
//! nothing that does not concern the caller and the action. What is reached through a group or role kept at the issue
//! of an access key or session restricts only: denies and boundaries (C44). So does a service that took a role, and
//! `everyone` does not mean it: it shows no credential.

use std::collections::{BTreeSet, HashMap};

use super::attachments::{Attachments, Subject};
use super::decision::{Caller, CredentialForm};
use super::document::Document;
use crate::actions::ACTIONS;
use crate::principal::{Kind, LOCAL, Principal};

/// A subject's number.
type Number = u32;

/// A document's place in the set, and whether its allows count.
pub(super) type Attached = (u32, bool);

/// All subjects that a policy, a boundary or a group names.
#[derive(Debug, Default)]
pub(super) struct Subjects {
    principals: HashMap<Principal, Number>,
    issuers: HashMap<String, Number>,
    everyone: Option<Number>,
    nodes: Vec<Node>,
}

/// What hangs on one subject.
#[derive(Debug, Default)]
struct Node {
    /// Set if it is a group of the folder.
    group: Option<Principal>,
    /// Groups of the folder that it is directly a member of.
    groups: Vec<Number>,
    /// For each action of the catalogue, the attached documents that name it; empty if nothing is attached.
    by_action: Vec<Box<[u32]>>,
    /// All attached documents.
    documents: Vec<u32>,
    boundaries: Vec<u32>,
}

/// The subjects that a caller is, or is a member of, each with whether what is attached to it counts in full.
pub struct Reached(Vec<(Number, bool)>);

impl Subjects {
    /// Numbers the subjects of `attachments`, and those that roles trust; `documents` are sorted by name and hold every attached
    /// policy.
    pub(super) fn of<'a>(
        attachments: &Attachments,
        documents: &[Document],
        trusted: impl Iterator<Item = &'a Principal>,
    ) -> Self {
        let mut subjects = Self::default();
        trusted.for_each(|principal| {
            subjects.principal(principal);
        });
        for group in &attachments.groups {
            let number = subjects.principal(&group.principal);
            if let Some(node) = subjects.node(number) {
                node.group = Some(group.principal.clone());
            }
            for member in &group.members {
                let member = subjects.principal(&member.value);
                subjects.node(member).into_iter().for_each(|node| node.groups.push(number));
            }
        }
        let places: HashMap<&str, u32> =
            documents.iter().zip(0..).map(|(document, place)| (&*document.name, place)).collect();
        for (list, is_boundary) in [(&attachments.attachments, false), (&attachments.boundaries, true)] {
            for attachment in list {
                let Some(place) = places.get(attachment.policy.text.as_str()) else {
                    continue;
                };
                for to in &attachment.to {
                    let number = subjects.number(&to.value);
                    let Some(node) = subjects.node(number) else { continue };
                    let all = if is_boundary { &mut node.boundaries } else { &mut node.documents };
                    all.push(*place);
                }
            }
        }
        subjects.nodes.iter_mut().for_each(|node| node.index(documents));
        subjects
    }

    fn number(&mut self, subject: &Subject) -> Number {
        let next = self.next();
        let number = match subject {
            Subject::Principal(principal) => return self.principal(principal),
            Subject::Issuer(name) => *self.issuers.entry(name.clone()).or_insert(next),
            Subject::Everyone => *self.everyone.get_or_insert(next),
        };
        self.made(number, next)
    }

    fn principal(&mut self, principal: &Principal) -> Number {
        let next = self.next();
        let number = *self.principals.entry(principal.clone()).or_insert(next);
        self.made(number, next)
    }

    fn next(&self) -> Number {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    fn made(&mut self, number: Number, next: Number) -> Number {
        if number == next {
            self.nodes.push(Node::default());
        }
        number
    }

    fn node(&mut self, number: Number) -> Option<&mut Node> {
        self.nodes.get_mut(usize::try_from(number).ok()?)
    }

    fn at(&self, number: Number) -> Option<&Node> {
        self.nodes.get(usize::try_from(number).ok()?)
    }

    /// The subjects that `caller` reaches. What counts in full is followed first, so that a group reached both ways
    /// counts in full.
    pub(super) fn reach(&self, caller: &Caller<'_>) -> Reached {
        let mut reached = Reached(Vec::new());
        let mut seen = BTreeSet::new();
        self.follow(self.full(caller), true, &mut seen, &mut reached);
        self.follow(self.restricting(caller), false, &mut seen, &mut reached);
        reached
    }

    fn follow(&self, mut next: Vec<Number>, full: bool, seen: &mut BTreeSet<Number>, reached: &mut Reached) {
        while let Some(number) = next.pop() {
            if seen.insert(number) {
                reached.0.push((number, full));
                next.extend(self.at(number).into_iter().flat_map(|node| &node.groups));
            }
        }
    }

    /// What counts in full: the caller itself, everyone, the issuer in its name, and what a token proves.
    fn full(&self, caller: &Caller<'_>) -> Vec<Number> {
        let mut numbers: Vec<Number> = self.principals.get(caller.principal).copied().into_iter().collect();
        let at_work = caller.form == CredentialForm::Session { assumed_issuer: None };
        if caller.principal.kind() != Kind::Service && !at_work {
            numbers.extend(self.everyone);
        }
        numbers.extend(caller.principal.issuer().and_then(|name| self.issuers.get(name)));
        if caller.form == CredentialForm::Token {
            numbers.extend(self.of_tokens(caller.groups));
            numbers.extend(self.of_tokens(caller.roles));
        }
        numbers
    }

    /// What restricts only: all that a credential which is no token carries of tokens, and a service that took the role.
    fn restricting(&self, caller: &Caller<'_>) -> Vec<Number> {
        let mut numbers: Vec<Number> = self.of_tokens(caller.restricted).collect();
        let services = caller.restricted.iter().filter(|principal| principal.kind() == Kind::Service);
        numbers.extend(services.filter_map(|service| self.principals.get(service).copied()));
        if caller.form != CredentialForm::Token {
            numbers.extend(self.of_tokens(caller.groups));
            numbers.extend(self.of_tokens(caller.roles));
        }
        if let CredentialForm::Session { assumed_issuer: Some(issuer) } = caller.form {
            numbers.extend(self.issuers.get(issuer));
        }
        numbers
    }

    /// Groups and roles of token issuers; `local` ones are the folder's to give, never a credential's.
    fn of_tokens<'a>(&'a self, principals: &'a [Principal]) -> impl Iterator<Item = Number> + 'a {
        let of_issuer = |p: &&Principal| matches!(p.kind(), Kind::Group | Kind::Role) && p.issuer() != Some(LOCAL);
        principals.iter().filter(of_issuer).filter_map(|principal| self.principals.get(principal).copied())
    }

    /// The documents attached to a caller that name an action, by place, each with whether its allows count.
    pub(super) fn naming(&self, reached: &Reached, action: usize) -> Vec<Attached> {
        self.collect(reached, |node| node.by_action.get(action).map(|places| &**places).unwrap_or_default())
    }

    /// All documents attached to a caller.
    pub(super) fn attached(&self, reached: &Reached) -> Vec<Attached> {
        self.collect(reached, |node| &node.documents)
    }

    /// The boundaries that reach a caller, by place. Each caps it, whatever it names.
    pub(super) fn boundaries(&self, reached: &Reached) -> Vec<u32> {
        self.collect(reached, |node| &node.boundaries).into_iter().map(|(place, _)| place).collect()
    }

    fn collect<'a>(&'a self, reached: &Reached, places: impl Fn(&'a Node) -> &'a [u32]) -> Vec<Attached> {
        let mut all: Vec<Attached> = Vec::new();
        for (number, full) in &reached.0 {
            let places = self.at(*number).map(&places).unwrap_or_default();
            all.extend(places.iter().map(|place| (*place, *full)));
        }
        // A document reached both ways counts in full: that entry comes first and stays.
        all.sort_unstable_by_key(|(place, full)| (*place, !full));
        all.dedup_by_key(|(place, _)| *place);
        all
    }

    /// Whether a caller is, or is a member of, `principal`, and then whether that counts in full.
    pub(super) fn reaches(&self, reached: &Reached, principal: &Principal) -> Option<bool> {
        let number = self.principals.get(principal)?;
        reached.0.iter().find(|(reached, _)| reached == number).map(|(_, full)| *full)
    }

    /// Every principal that something hangs on, or that is a member of a group.
    pub(super) fn named(&self) -> impl Iterator<Item = &Principal> {
        self.principals.keys()
    }

    /// To whom a document is attached, sorted.
    pub(super) fn attached_to(&self, place: u32) -> Vec<String> {
        self.having(|node| node.documents.contains(&place))
    }

    /// Whom a document bounds, sorted.
    pub(super) fn bounded_by(&self, place: u32) -> Vec<String> {
        self.having(|node| node.boundaries.contains(&place))
    }

    fn having(&self, is_so: impl Fn(&Node) -> bool) -> Vec<String> {
        let has = |number: &Number| self.at(*number).is_some_and(&is_so);
        let mut names: Vec<String> =
            self.principals.iter().filter(|(_, number)| has(number)).map(|(name, _)| name.to_string()).collect();
        let issuers = self.issuers.iter().filter(|(_, number)| has(number));
        names.extend(issuers.map(|(name, _)| format!("issuer/{name}")));
        names.extend(self.everyone.filter(has).map(|_| "everyone".to_owned()));
        names.sort();
        names
    }

    /// Whether a document bounds somebody.
    pub(super) fn is_boundary(&self, place: u32) -> bool {
        self.nodes.iter().any(|node| node.boundaries.contains(&place))
    }

    /// The issuers of whose every principal something is said.
    pub(super) fn issuers(&self) -> impl Iterator<Item = &str> {
        self.issuers.keys().map(String::as_str)
    }

    /// The groups of the folder that a caller is a member of, sorted.
    pub(super) fn groups(&self, reached: &Reached) -> Vec<Principal> {
        let nodes = reached.0.iter().filter_map(|(number, _)| self.at(*number));
        let mut groups: Vec<Principal> = nodes.filter_map(|node| node.group.clone()).collect();
        groups.sort();
        groups
    }
}

impl Node {
    fn index(&mut self, documents: &[Document]) {
        self.documents.sort_unstable();
        self.documents.dedup();
        self.boundaries.sort_unstable();
        self.boundaries.dedup();
        if self.documents.is_empty() {
            return;
        }
        let mut by_action: Vec<Vec<u32>> = vec![Vec::new(); ACTIONS.len()];
        for place in &self.documents {
            let document = usize::try_from(*place).ok().and_then(|place| documents.get(place));
            for (action, list) in by_action.iter_mut().enumerate() {
                if document.is_some_and(|document| document.names(action)) {
                    list.push(*place);
                }
            }
        }
        self.by_action = by_action.into_iter().map(Vec::into_boxed_slice).collect();
    }
}

#[cfg(test)]
#[path = "caller_tests.rs"]
mod tests;
