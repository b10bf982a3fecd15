//! Wildcards that were used for a few names: what somebody may write instead, or answer for.

use super::narrow::is_wildcard;
use super::usage::{NAMES_MAX, Named, Use};
use super::{Page, Usage, may_go};
use crate::authz::Settings;
use crate::authz::action_pattern::ActionSet;
use crate::authz::document::find;
use crate::authz::finding::Findings;
use crate::authz::json::Node;
use crate::authz::set::PolicySet;
use crate::principal::Principal;

/// Which part of a statement a wildcard stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `action`
    Action,
    /// `resource`
    Resource,
}

impl Part {
    /// As documents write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Resource => "resource",
        }
    }
}

/// A wildcard of a statement that was used, for a few names of those that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wildcard {
    /// `documents/<name>.json`
    pub path: String,
    /// The statement's 0-based place.
    pub statement: u32,
    /// Where in it.
    pub part: Part,
    /// As it is written.
    pub text: String,
    /// What it was used for: actions, names of secrets, `key/<id>`.
    pub used: Vec<String>,
}

impl PolicySet {
    /// The wildcards that were used for a few names at most: of all documents that can be cut, or of those that are attached to one
    /// principal. A statement that was not used at all is told of by [`PolicySet::unused`].
    #[must_use]
    pub fn narrow_wildcards(&self, usage: &Usage, who: Option<&Principal>) -> Vec<Wildcard> {
        let Some(settings) = Settings::of_revision(self.config_frame()) else { return Vec::new() };
        let mut all = Vec::new();
        for page in self.cuttable(who).into_iter().filter_map(|place| Page::of(self, place)) {
            for (at, node, statement) in page.parts().filter(|(_, _, statement)| may_go(statement)) {
                let Some(used) = usage.of(page.place, at) else { continue };
                let mut add = |part, node: &Node, used: Vec<String>| {
                    let text = node.text();
                    all.push(Wildcard { path: page.path.clone(), statement: at, part, text, used });
                };
                for pattern in listed(node, "action") {
                    used_actions(pattern, used, &settings).into_iter().for_each(|few| add(Part::Action, pattern, few));
                }
                for (place, (pattern, resource)) in
                    listed(node, "resource").iter().zip(&statement.resources).enumerate()
                {
                    let few = used_names(place, used).filter(|_| is_wildcard(resource));
                    few.into_iter().for_each(|few| add(Part::Resource, pattern, few));
                }
            }
        }
        all
    }
}

fn listed<'a>(statement: &'a Node, key: &str) -> &'a [Node] {
    statement.as_object().and_then(|members| find(members, key)).map(Node::one_or_many).unwrap_or_default()
}

/// The actions that a pattern was used for, if they are few of those that it stands for.
fn used_actions(pattern: &Node, used: &Use, settings: &Settings) -> Option<Vec<String>> {
    if !pattern.as_str().is_some_and(|text| text.contains('*')) {
        return None;
    }
    let mut findings = Findings::of("");
    let all = ActionSet::parse(Some(pattern), pattern.at, &|service| settings.is_foreign(service), &mut findings);
    let all: Vec<String> = all.rows().map(|(_, action)| action.full_name()).collect();
    let names = used.action_names();
    let few: Vec<String> = all.iter().filter(|name| names.contains(*name)).cloned().collect();
    (few.len() <= NAMES_MAX && few.len() < all.len()).then_some(few)
}

/// The names that a resource was used for, if they are few. What was also used on nothing in particular needs its `*`.
fn used_names(place: usize, used: &Use) -> Option<Vec<String>> {
    let names = used.names(place)?;
    let text = |named: &Named| match named {
        Named::Secret(name) => name.clone(),
        Named::Key(id) => format!("key/{id}"),
    };
    Some(names.few()?.iter().map(text).collect())
}
