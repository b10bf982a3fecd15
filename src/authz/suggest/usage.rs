//! What was used of a policy set: which statement let which actions be done, and on what. It grows with the set and not with
//! what is counted: of the names below one pattern a few are kept, of more only what they begin with.

use std::collections::{BTreeMap, BTreeSet};

use crate::actions::ACTIONS;
use crate::authz::decision::{Decision, Layer, Question, StatementEffect, Verdict};
use crate::authz::document::Statement;
use crate::authz::facts::{Facts, Object};
use crate::authz::set::{PolicySet, place_of};

/// Most names that are told one by one.
pub(super) const NAMES_MAX: usize = 3;

/// What was used of one set.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// By the document's place in the set and the statement's in it.
    statements: BTreeMap<(u32, u32), Use>,
}

/// The use of one statement.
#[derive(Clone, Debug, Default)]
pub(super) struct Use {
    /// How often it let something be done.
    pub(super) count: u64,
    /// By the action's place in the catalogue.
    pub(super) actions: BTreeMap<usize, On>,
}

/// On what an action was done.
#[derive(Clone, Debug, Default)]
pub(super) struct On {
    /// Also on nothing in particular.
    pub(super) nothing: bool,
    /// By the place of the first resource that fitted.
    pub(super) names: BTreeMap<usize, Names>,
}

/// Something that has a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Named {
    Secret(String),
    Key(String),
}

/// Names that one pattern was used for.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// All of them, unless there are too many.
    few: BTreeSet<Named>,
    is_many: bool,
    /// What the names of secrets begin with.
    common: Option<String>,
}

impl Usage {
    /// Counts a request, if the set allows it, for the statement that lets it be done. Answers what the set decides.
    pub fn add(&mut self, set: &PolicySet, question: &Question<'_>) -> Verdict {
        let decision = set.decide(question);
        if decision.outcome == Verdict::Allow {
            self.count(set, question, &decision);
        }
        decision.outcome
    }

    fn count(&mut self, set: &PolicySet, question: &Question<'_>, decision: &Decision) -> Option<()> {
        let by = decision.layers.iter().find(|by| by.layer == Layer::Identity)?;
        let (name, place) = (by.document.as_deref()?, by.statement?);
        let of_set = set.documents();
        let document = of_set.binary_search_by(|document| document.name.as_bytes().cmp(name.as_bytes())).ok()?;
        let statement = of_set.get(document)?.statements.get(usize::try_from(place).ok()?)?;
        let (facts, action) = (Facts::of(question).ok()?, place_of(question).ok()?);
        let used = self.statements.entry((u32::try_from(document).ok()?, place)).or_default();
        used.count = used.count.saturating_add(1);
        used.actions.entry(action).or_default().add(statement, &facts);
        Some(())
    }

    /// The use of a statement, if there was any.
    pub(super) fn of(&self, document: u32, statement: u32) -> Option<&Use> {
        self.statements.get(&(document, statement))
    }

    /// The documents of which something was used, by place.
    pub(super) fn documents(&self) -> BTreeSet<u32> {
        self.statements.keys().map(|(document, _)| *document).collect()
    }

    /// How often statements of a document let something be done.
    pub(super) fn count_of(&self, document: u32) -> u64 {
        let of = self.statements.iter().filter(|((place, _), _)| *place == document);
        of.map(|(_, used)| used.count).fold(0, u64::saturating_add)
    }
}

impl Use {
    /// The names that a resource of the statement was used for, whatever the action; `None` if it was also used on nothing in
    /// particular.
    pub(super) fn names(&self, resource: usize) -> Option<Names> {
        let mut all = Names::default();
        for on in self.actions.values() {
            if on.nothing {
                return None;
            }
            on.names.get(&resource).into_iter().for_each(|names| all.add_all(names));
        }
        Some(all)
    }

    /// The full names of the actions.
    pub(super) fn action_names(&self) -> BTreeSet<String> {
        self.actions.keys().filter_map(|place| Some(ACTIONS.get(*place)?.full_name())).collect()
    }
}

impl On {
    fn add(&mut self, statement: &Statement, facts: &Facts) {
        let named = match &facts.object {
            Object::Nothing => {
                self.nothing = true;
                return;
            }
            Object::Secret { name, .. } => Named::Secret(name.clone()),
            Object::Key { id } => Named::Key(id.clone()),
        };
        let fitting = statement.resources.iter().position(|one| one.matches(facts, StatementEffect::Allow));
        if let Some(place) = fitting {
            self.names.entry(place).or_default().add(named);
        }
    }
}

impl Names {
    fn add(&mut self, named: Named) {
        if let Named::Secret(name) = &named {
            self.begin(name);
        }
        if !self.is_many {
            self.few.insert(named);
            self.bound();
        }
    }

    fn add_all(&mut self, other: &Self) {
        self.few.extend(other.few.iter().cloned());
        self.is_many |= other.is_many;
        other.common.as_deref().into_iter().for_each(|common| self.begin(common));
        self.bound();
    }

    fn bound(&mut self) {
        self.is_many |= self.few.len() > NAMES_MAX;
        if self.is_many {
            self.few.clear();
        }
    }

    fn begin(&mut self, name: &str) {
        self.common = Some(match &self.common {
            None => name.to_owned(),
            Some(common) => common.chars().zip(name.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect(),
        });
    }

    /// The names; `None` if there are too many to be told one by one.
    pub(super) fn few(&self) -> Option<&BTreeSet<Named>> {
        (!self.is_many).then_some(&self.few)
    }

    /// The folder that all secrets lie below, with its slash; `None` if there is none.
    pub(super) fn folder(&self) -> Option<&str> {
        let common = self.common.as_deref()?;
        common.rfind('/').and_then(|slash| common.get(..=slash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> Names {
        let mut names = Names::default();
        all.iter().for_each(|name| names.add(Named::Secret((*name).to_owned())));
        names
    }

    #[test]
    fn of_names_three_are_kept_and_of_more_the_folder_that_they_lie_below() {
        let three = names(&["pay/b", "pay/a", "pay/c", "pay/a"]);
        assert_eq!(three.few().map(BTreeSet::len), Some(3));
        let four = names(&["pay/app/b", "pay/app/a", "pay/api/c", "pay/app/d"]);
        assert_eq!((four.few(), four.folder()), (None, Some("pay/")));
        assert_eq!(names(&["a1", "a2", "a3", "a4"]).folder(), None);
        assert_eq!(names(&["pay/a", "shop/a", "x/a", "y/a"]).folder(), None);
    }

    #[test]
    fn names_of_several_actions_are_together_what_they_are_apart() {
        let mut all = names(&["pay/a", "pay/b"]);
        all.add_all(&names(&["pay/a", "pay/c"]));
        assert_eq!(all.few().map(BTreeSet::len), Some(3));
        all.add_all(&names(&["pay/d"]));
        assert_eq!((all.few(), all.folder()), (None, Some("pay/")));
        all.add_all(&names(&["shop/d"]));
        assert_eq!((all.few(), all.folder()), (None, None));
    }
}
