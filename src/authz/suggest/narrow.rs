//! A statement cut to its use. What is left names actions that the statement names, on resources that lie within its own, under
//! its condition word for word: so it allows nothing that the statement does not.
//!
//! A resource is cut to the names it was used for, with the creator as the statement has it. Of more than a few names it is cut
//! to the folder that all of them lie below, if that lies within the resource. It stays as it is where neither can be: with
//! `${uin}` in the name, which means another name to each caller, or where the names have no folder in common.

use std::collections::{BTreeMap, BTreeSet};

use super::usage::{Named, Names, On, Use};
use crate::actions::ACTIONS;
use crate::authz::document::{Statement, find};
use crate::authz::json::{Member, Node, Value};
use crate::authz::lint::has_pattern;
use crate::authz::pattern::{Pattern, Token};
use crate::authz::resource_pattern::{CreatorPattern, Last, ResourcePattern};

/// Whether other names than one fit a resource; the creator, which is `*` nearly everywhere, is not asked about.
pub(super) fn is_wildcard(resource: &ResourcePattern) -> bool {
    match resource {
        ResourcePattern::All => true,
        ResourcePattern::Foreign(_) => false,
        ResourcePattern::Segments { last, .. } => match last {
            Last::Star | Last::EverySecret => true,
            Last::Secret { name: pattern, .. } | Last::Key(pattern) => {
                pattern.tokens().contains(&Token::Any) && !pattern.has_uin()
            }
        },
    }
}

/// What is left of a statement, one for each list of resources that some of its actions were used on. It is the statement itself if
/// all of it was used.
pub(super) fn narrowed(written: &Node, statement: &Statement, used: &Use) -> Vec<Node> {
    let Some(members) = written.as_object() else { return vec![written.clone()] };
    let texts: Vec<&str> =
        find(members, "resource").map(Node::one_or_many).unwrap_or_default().iter().filter_map(Node::as_str).collect();
    let mut parts: BTreeMap<BTreeSet<String>, Vec<String>> = BTreeMap::new();
    for (place, on) in &used.actions {
        if let Some(action) = ACTIONS.get(*place) {
            parts.entry(resources(statement, &texts, on)).or_default().push(action.full_name());
        }
    }
    let whole: BTreeSet<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    let is_all = |(resources, actions): (&BTreeSet<String>, &Vec<String>)| {
        *resources == whole && actions.len() == statement.actions.rows().count()
    };
    if parts.iter().any(is_all) {
        return vec![written.clone()];
    }
    parts.into_iter().map(|(resources, actions)| part(members, &actions, resources.into_iter().collect())).collect()
}

/// The statement with other actions and resources.
fn part(members: &[Member], actions: &[String], resources: Vec<String>) -> Node {
    let cut = members.iter().map(|member| match member.key.as_str() {
        "action" => Member::new("action", Node::of_texts(actions)),
        "resource" => Member::new("resource", Node::of_texts(&resources)),
        _ => member.clone(),
    });
    Node::new(Value::Object(cut.collect()))
}

/// The resources that are left for one action. What is on nothing in particular is allowed by `*` alone.
fn resources(statement: &Statement, texts: &[&str], on: &On) -> BTreeSet<String> {
    let mut left: BTreeSet<String> = on.nothing.then(|| "*".to_owned()).into_iter().collect();
    for (place, names) in &on.names {
        if let (Some(resource), Some(text)) = (statement.resources.get(*place), texts.get(*place)) {
            left.extend(cut(resource, names).unwrap_or_else(|| vec![(*text).to_owned()]));
        }
    }
    left
}

/// What a resource is cut to; `None` if it stays as it is.
fn cut(resource: &ResourcePattern, names: &Names) -> Option<Vec<String>> {
    if !is_wildcard(resource) {
        return None;
    }
    match names.few() {
        Some(few) => few.iter().map(|named| within(resource, named)).collect(),
        None => within(resource, &Named::Secret(format!("{}*", names.folder()?))).map(|folder| vec![folder]),
    }
}

/// The resource of that name, or of the names below it, if it lies within another.
fn within(resource: &ResourcePattern, named: &Named) -> Option<String> {
    let has = |pattern: &Pattern, name: &str| {
        !pattern.has_uin() && Pattern::parse(name, "", false).is_ok_and(|name| has_pattern(pattern, &name))
    };
    let last = match resource {
        ResourcePattern::All => &Last::Star,
        ResourcePattern::Segments { last, .. } => last,
        ResourcePattern::Foreign(_) => return None,
    };
    let creator = match (last, named) {
        (Last::Star | Last::EverySecret, Named::Secret(_)) => CreatorPattern::Any,
        (Last::Secret { creator, name: pattern }, Named::Secret(name)) if has(pattern, name) => *creator,
        (Last::Star, Named::Key(id)) => return Some(format!("qcs::kms:::key/{id}")),
        (Last::Key(pattern), Named::Key(id)) if has(pattern, id) => return Some(format!("qcs::kms:::key/{id}")),
        _ => return None,
    };
    let (Named::Secret(name) | Named::Key(name)) = named;
    Some(format!("qcs::ssm:::secret/creatorUin/{creator}/{name}"))
}
