//! Resources of a statement: literal creators (W4), actions that cannot have them (W5), every secret's value (W6).

use super::absence::listed;
use super::warning::{Rule, Warnings};
use super::written::{Written, parse_actions};
use super::{Reach, Surroundings};
use crate::actions::{Action, ConditionKey, Level, Operation};
use crate::authz::Settings;
use crate::authz::operator::Comparison;
use crate::authz::pattern::{Pattern, Token};
use crate::authz::resource_pattern::{CreatorPattern, Last, ResourcePattern};

pub(super) fn check_creators(statement: &Written<'_>, surroundings: &Surroundings, warnings: &mut Warnings) {
    for (resource, node) in &statement.resources {
        let ResourcePattern::Segments { last: Last::Secret { creator: CreatorPattern::Number(number), .. }, .. } =
            resource
        else {
            continue;
        };
        let owner = surroundings.principals.get(number).map(|who| format!(" (`{who}`)")).unwrap_or_default();
        let then = if statement.denies() { "which opens it" } else { "which ends the grant" };
        let message = format!(
            "creator {number}{owner}: if somebody else makes the name anew this matches no longer, {then}; write `*` as \
             the creator, unless only that one's secrets are meant"
        );
        warnings.add(Rule::LiteralCreator, statement.spot_at(node), message);
    }
}

pub(super) fn check_actions(statement: &Written<'_>, settings: &Settings, warnings: &mut Warnings) {
    for node in statement.action_nodes {
        let named = parse_actions(node, settings);
        let never: Vec<&Action> =
            named.rows().map(|(_, action)| action).filter(|action| !statement.can_match(action)).collect();
        let Some(first) = never.first() else { continue };
        let names: Vec<String> = never.iter().map(|action| action.full_name()).collect();
        let message = format!(
            "{} cannot have the resources of this statement, so that part never matches: {}",
            listed(&names),
            instead(first)
        );
        warnings.add(Rule::ActionNeverMatches, statement.spot_at(node), message);
    }
}

fn instead(action: &Action) -> &'static str {
    match action.level {
        Level::Operation | Level::Role => {
            "an action without a resource stands in a statement of its own with `\"resource\": \"*\"`, or is left out"
        }
        Level::Secret | Level::Creation | Level::SecretOrOperation => {
            "its resource is a secret, `qcs::ssm:::secret/creatorUin/*/<name>`"
        }
        Level::Key => "its resource is a key, `qcs::kms:::key/<id>`",
    }
}

pub(super) fn check_values(statement: &Written<'_>, reach: &Reach<'_>, warnings: &mut Warnings) {
    let only_caps = statement.page.document().is_none_or(|document| reach.only_bounds(document));
    if statement.denies() || only_caps || is_narrowed(statement) {
        return;
    }
    let mut values = statement.actions.rows().map(|(_, action)| action).filter(|action| reads_a_value(action));
    let Some(action) = values.next() else { return };
    for (resource, node) in &statement.resources {
        if is_every_secret(resource) && resource.can_match(action, statement.effect) {
            let message = format!(
                "this lets the value of every secret be read (`{}`): name the secrets that are meant, such as \
                 `qcs::ssm:::secret/creatorUin/*/<name>/*`",
                action.full_name()
            );
            warnings.add(Rule::EverySecretValue, statement.spot_at(node), message);
        }
    }
}

fn reads_a_value(action: &Action) -> bool {
    matches!(action.operation, Operation::GetSecretValue | Operation::GetSSHKeyPairValue)
}

/// Whether a condition chooses among secrets: by their tags or their creator.
fn is_narrowed(statement: &Written<'_>) -> bool {
    statement.clauses.iter().any(|clause| {
        matches!(clause.key, ConditionKey::ResourceTag | ConditionKey::CreateUin)
            && !clause.operator.if_exist
            && clause.operator.comparison != Comparison::Null
    })
}

fn is_every_secret(resource: &ResourcePattern) -> bool {
    match resource {
        ResourcePattern::All => true,
        ResourcePattern::Foreign(_) => false,
        ResourcePattern::Segments { last, .. } => match last {
            Last::Star | Last::EverySecret => true,
            Last::Secret { creator, name } => *creator == CreatorPattern::Any && fits_everything(name),
            Last::Key(_) => false,
        },
    }
}

/// Whether a pattern is stars alone.
pub(super) fn fits_everything(pattern: &Pattern) -> bool {
    pattern.tokens().contains(&Token::Any) && pattern.tokens().iter().all(|token| *token == Token::Any)
}
