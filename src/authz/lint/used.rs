//! Wildcards that are wider than what those whom they reach ever did (W21), as far as a trail goes.

use super::warning::{Rule, Warnings};
use super::written::Written;
use crate::authz::json::Node;
use crate::authz::suggest::{Part, Wildcard};

pub(super) fn check(statements: &[Written<'_>], wildcards: &[Wildcard], warnings: &mut Warnings) {
    for wildcard in wildcards {
        let is_meant = |one: &&Written<'_>| one.page.path == wildcard.path && one.place == wildcard.statement;
        let Some(statement) = statements.iter().find(is_meant) else { continue };
        if let Some(node) = node(statement, wildcard) {
            warnings.add(Rule::WiderThanUsed, statement.spot_at(node), message(wildcard));
        }
    }
}

fn node<'a>(statement: &Written<'a>, wildcard: &Wildcard) -> Option<&'a Node> {
    let is_meant = |node: &&'a Node| node.as_str() == Some(&wildcard.text);
    match wildcard.part {
        Part::Action => statement.action_nodes.iter().find(is_meant),
        Part::Resource => statement.resources.iter().map(|(_, node)| *node).find(is_meant),
    }
}

fn message(wildcard: &Wildcard) -> String {
    if wildcard.used.is_empty() {
        return "the statement was used, but nothing by this: take it out, if the trail is long enough".to_owned();
    }
    let names = wildcard.used.join("`, `");
    format!("it was used for `{names}` and nothing else: name what is meant, if the trail is long enough")
}
