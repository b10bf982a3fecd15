//! What each of two sets says of a caller and an action: statements by their content, so that what stands in both is known to
//! be the same wherever it stands.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::callers::Example;
use crate::actions::{ACTIONS, Action, Level, Operation};
use crate::authz::condition::Clause;
use crate::authz::decision::{Context, Fault, Question, StatementEffect, Target};
use crate::authz::document::Statement;
use crate::authz::engine::Row;
use crate::authz::resource_pattern::ResourcePattern;
use crate::authz::set::PolicySet;
use crate::principal::{Kind, LOCAL, Principal};
use crate::resource::{CreatorNumber, SecretName};

/// What an action is on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum On {
    Nothing,
    /// A secret, whether or not it exists.
    Secret,
    /// A secret that it would make.
    Creation,
    Key,
    Role(Principal),
}

/// An action on one kind of thing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Variant {
    /// The action's place in the catalogue.
    pub(super) place: usize,
    pub(super) action: &'static Action,
    pub(super) on: On,
}

impl Variant {
    /// Every action on everything that it can be on.
    pub(super) fn all(roles: &BTreeSet<Principal>) -> Vec<Self> {
        let mut all = Vec::new();
        for (place, action) in ACTIONS.iter().enumerate() {
            let on = match action.level {
                Level::Operation => vec![On::Nothing],
                Level::Secret => vec![On::Secret],
                Level::Creation => vec![On::Creation],
                Level::SecretOrOperation => vec![On::Nothing, On::Secret],
                Level::Key => vec![On::Key],
                Level::Role => {
                    roles.iter().filter(|role| role.issuer() == Some(LOCAL)).cloned().map(On::Role).collect()
                }
            };
            all.extend(on.into_iter().map(|on| Self { place, action, on }));
        }
        all
    }

    /// The first of the actions that no statement can tell from this one but by naming it.
    pub(super) fn alike(&self) -> Self {
        let keys = self.action.keys();
        let is_alike = |(_, action): &(usize, &Action)| {
            self.action.service == action.service
                && action.keys() == keys
                && (action.operation == Operation::AssumeRoleWithWebIdentity) == self.is_web()
                && (action.operation == Operation::UntagResource) == self.takes_tags_off()
        };
        let first = ACTIONS.iter().enumerate().find(is_alike);
        first.map_or_else(|| self.clone(), |(place, action)| Self { place, action, on: self.on.clone() })
    }

    /// Whether the request's tags are keys that it takes off.
    pub(super) fn takes_tags_off(&self) -> bool {
        self.action.operation == Operation::UntagResource
    }

    /// Whether a web identity asks, of which nothing but the role's trust and denies decide.
    pub(super) fn is_web(&self) -> bool {
        self.action.operation == Operation::AssumeRoleWithWebIdentity
    }
}

/// A statement, by its place among all contents.
pub(super) type StatementId = usize;

type Content = (StatementEffect, Vec<ResourcePattern>, Vec<Clause>);

/// The contents of statements of both sets, each once.
#[derive(Debug, Default)]
pub(super) struct Statements {
    list: Vec<Arc<Statement>>,
    by_content: HashMap<Content, StatementId>,
    by_place: HashMap<usize, StatementId>,
}

impl Statements {
    pub(super) fn get(&self, id: StatementId) -> Option<&Statement> {
        self.list.get(id).map(|statement| &**statement)
    }

    fn id(&mut self, statement: &Arc<Statement>) -> StatementId {
        let place = Arc::as_ptr(statement).addr();
        if let Some(id) = self.by_place.get(&place) {
            return *id;
        }
        let content = (statement.effect, statement.resources.clone(), statement.clauses.clone());
        let next = self.list.len();
        let id = *self.by_content.entry(content).or_insert(next);
        // Every statement is kept, so that no other one comes to lie at its place.
        self.by_place.insert(place, id);
        if id == next {
            self.list.push(Arc::clone(statement));
        }
        id
    }

    fn ids(&mut self, rows: &[Row], effect: StatementEffect) -> BTreeSet<StatementId> {
        rows.iter().filter(|row| row.statement.effect == effect).map(|row| self.id(&row.statement)).collect()
    }

    /// What `set` says of a caller and an action.
    pub(super) fn parts(&mut self, set: &PolicySet, caller: &Example, variant: &Variant) -> Result<Parts, Fault> {
        let name = SecretName::parse("x").map_err(|_| Fault::Target)?;
        let creator = CreatorNumber::new(0).ok_or(Fault::Target)?;
        let target = match &variant.on {
            On::Nothing => Target::Operation,
            On::Secret | On::Creation => Target::Secret { creator: Some(creator), name: &name },
            On::Key => Target::Key { id: "x" },
            On::Role(role) => Target::Role { role },
        };
        let context = Context::default();
        let caller = caller.caller(creator);
        let bearing =
            set.bearing(&Question { caller, action: variant.action, target, context: &context, session_policy: None })?;
        let mut parts = Parts {
            identity: self.ids(&bearing.identity, StatementEffect::Allow),
            trust: self.ids(&bearing.trust, StatementEffect::Allow),
            ..Parts::default()
        };
        for rows in bearing.boundaries.iter().chain([&bearing.identity, &bearing.trust]) {
            parts.denies.extend(self.ids(rows, StatementEffect::Deny));
        }
        parts.boundaries = bearing.boundaries.iter().map(|rows| self.ids(rows, StatementEffect::Allow)).collect();
        Ok(parts)
    }
}

/// What a set says of a caller and an action, by layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    identity: BTreeSet<StatementId>,
    denies: BTreeSet<StatementId>,
    /// The allows of each boundary.
    boundaries: BTreeSet<BTreeSet<StatementId>>,
    trust: BTreeSet<StatementId>,
}

impl Parts {
    /// What is said of whoever is both.
    pub(super) fn and(&self, more: &Self) -> Self {
        Self {
            identity: &self.identity | &more.identity,
            denies: &self.denies | &more.denies,
            boundaries: &self.boundaries | &more.boundaries,
            trust: &self.trust | &more.trust,
        }
    }

    /// What is said beyond `less`.
    pub(super) fn beyond(&self, less: &Self) -> Self {
        Self {
            identity: &self.identity - &less.identity,
            denies: &self.denies - &less.denies,
            boundaries: &self.boundaries - &less.boundaries,
            trust: &self.trust - &less.trust,
        }
    }

    /// Whether something in it refuses, perhaps.
    pub(super) fn refuses(&self) -> bool {
        !self.denies.is_empty() || !self.boundaries.is_empty()
    }

    /// What in it refuses, perhaps: denies, and boundaries.
    pub(super) fn refusals(&self) -> (&BTreeSet<StatementId>, &BTreeSet<BTreeSet<StatementId>>) {
        (&self.denies, &self.boundaries)
    }

    /// Whether something in it allows whoever asks.
    pub(super) fn grants(&self) -> bool {
        !self.identity.is_empty()
    }

    /// Whether something in it has a role trust whoever asks.
    pub(super) fn trusts(&self) -> bool {
        !self.trust.is_empty()
    }

    /// How they combine for this action.
    pub(super) fn side(&self, variant: &Variant) -> Side {
        let mut layers = BTreeSet::new();
        if !variant.is_web() {
            layers.extend(self.boundaries.iter().cloned());
            layers.insert(self.identity.clone());
        }
        if matches!(variant.on, On::Role(_)) {
            layers.insert(self.trust.clone());
        }
        Side { denies: self.denies.clone(), layers }
    }
}

/// When a set allows: no deny matches, and of each layer an allow does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Side {
    pub(super) denies: BTreeSet<StatementId>,
    pub(super) layers: BTreeSet<BTreeSet<StatementId>>,
}

impl Side {
    pub(super) fn statements(&self) -> impl Iterator<Item = StatementId> {
        self.denies.iter().chain(self.layers.iter().flatten()).copied()
    }

    /// Whether it allows nothing, whatever is asked.
    pub(super) fn is_never(&self) -> bool {
        self.layers.iter().any(BTreeSet::is_empty)
    }
}

/// Whether a caller of these kinds of subjects can be one person: two names are two.
pub(super) fn is_one(subjects: &[&Principal]) -> bool {
    subjects.iter().filter(|one| one.kind() == Kind::User).count() < 2
}
