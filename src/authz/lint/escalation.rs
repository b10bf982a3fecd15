//! Escalation (W18): somebody who may change credentials, tokens or keys while others may do more than it. Whoever makes an
//! access key for another acts as that other; whoever revokes tokens or disables keys decides over those who outrank
//! it. The evidence is out of reach of requests (I12); should an action ever change it, it counts here by its service.
//!
//! Others outrank somebody if something allows them what nothing allows it, statement by statement ([`super::cover`]).

use std::collections::{BTreeSet, HashMap};

use super::Reach;
use super::cover::covers;
use super::warning::{Rule, Warnings};
use super::written::Written;
use crate::actions::{Action, ConditionKey, Effect, Operation, Served, Service};
use crate::authz::attachments::Subject;
use crate::authz::operator::Comparison;

pub(super) fn check(statements: &[Written<'_>], reach: &Reach<'_>, warnings: &mut Warnings) {
    let is_of_power =
        |statement: &Written<'_>| !statement.denies() && statement.reaching.iter().any(|(_, action)| is_power(action));
    if !statements.iter().any(is_of_power) {
        return;
    }
    let everybody: BTreeSet<&Subject> =
        reach.attachments.attachments.iter().flat_map(|attachment| &attachment.to).map(|to| &to.value).collect();
    let by_document = by_document(statements);
    let holders: Vec<Holder<'_, '_>> =
        everybody.into_iter().map(|who| Holder::of(who, statements, &by_document, reach)).collect();
    for holder in &holders {
        let Some(power) = holder.powers().next() else { continue };
        if let Some((other, more)) = holders.iter().find_map(|other| Some((other, holder.lacks(other)?))) {
            let message = format!(
                "`{}` may so {} `{}`, who may do what it may not ({}): narrow it, or grant it to those who may do all",
                name(holder.who),
                deed(power.1),
                name(other.who),
                more.name()
            );
            let node = power.0.action_nodes.first();
            let spot = node.map_or_else(|| power.0.spot(), |node| power.0.spot_at(node));
            warnings.add(Rule::Escalation, spot, message);
        }
    }
}

/// Somebody to whom policies are attached, and what they say.
struct Holder<'a, 's> {
    who: &'a Subject,
    statements: Vec<&'s Written<'a>>,
}

impl<'a, 's> Holder<'a, 's> {
    fn of(
        who: &'a Subject,
        statements: &'s [Written<'a>],
        by_document: &HashMap<&'a str, Vec<usize>>,
        reach: &Reach<'a>,
    ) -> Self {
        let mut places: BTreeSet<usize> = BTreeSet::new();
        for target in reached(who, reach) {
            let attached = reach.documents_of(target).filter(|document| reach.targets(document).0.contains(&target));
            places.extend(attached.filter_map(|document| by_document.get(document)).flatten().copied());
        }
        Self { who, statements: places.into_iter().filter_map(|place| statements.get(place)).collect() }
    }

    fn allows(&self) -> impl Iterator<Item = &'s Written<'a>> {
        self.statements.iter().copied().filter(|statement| !statement.denies())
    }

    /// Allows of what changes credentials, tokens or keys, with the first such action of each.
    fn powers(&self) -> impl Iterator<Item = (&'s Written<'a>, &'static Action)> {
        self.allows().filter_map(|statement| {
            let mut reaching = statement.reaching.iter().map(|(_, action)| *action);
            reaching
                .find(|action| is_power(action) && !self.is_bound(statement, action))
                .map(|action| (statement, action))
        })
    }

    /// Whether it may do that only about itself: the allow says of whom, or a deny does.
    fn is_bound(&self, allow: &Written<'_>, action: &Action) -> bool {
        let names =
            |statement: &Written<'_>| statement.reaching.iter().any(|(_, named)| named.operation == action.operation);
        let denied = self.statements.iter().filter(|statement| statement.denies() && names(statement));
        allow
            .clauses
            .iter()
            .any(|clause| names_target(clause.key, clause.operator.comparison) && !clause.operator.if_exist)
            || denied.into_iter().any(|deny| {
                deny.clauses.is_empty()
                    || deny
                        .clauses
                        .iter()
                        .any(|clause| names_target(clause.key, clause.operator.comparison) && clause.operator.negated)
            })
    }

    /// What another is allowed and this one is not.
    fn lacks(&self, other: &Self) -> Option<&'s Written<'a>> {
        other.allows().find(|more| !more.reaching.is_empty() && !self.allows().any(|own| covers(own, more)))
    }
}

/// The places of the statements of each document.
fn by_document<'a>(statements: &[Written<'a>]) -> HashMap<&'a str, Vec<usize>> {
    let mut all: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, statement) in statements.iter().enumerate() {
        if let Some(document) = statement.page.document() {
            all.entry(document).or_default().push(place);
        }
    }
    all
}

fn names_target(key: ConditionKey, comparison: Comparison) -> bool {
    key == ConditionKey::TargetUin && comparison != Comparison::Null
}

/// Somebody, and all in whose name it also acts.
fn reached<'a>(who: &'a Subject, reach: &Reach<'a>) -> Vec<&'a Subject> {
    let mut around = reach.around(who);
    around.retain(|target| super::redundant::includes(target, who, reach));
    around
}

fn is_power(action: &Action) -> bool {
    action.effect == Effect::Write
        && action.served == Served::Door
        && matches!(action.service, Service::Cam | Service::Kms | Service::Cloudaudit)
        && !matches!(action.operation, Operation::CreateKey)
}

fn deed(action: &Action) -> &'static str {
    match (action.service, action.operation) {
        (_, Operation::CreateAccessKey) => "make access keys for, and act as,",
        (_, Operation::UpdateAccessKey | Operation::DeleteAccessKey) => "switch off access keys of",
        (_, Operation::RevokeToken) => "revoke tokens of",
        (Service::Kms, _) => "change keys under values of",
        _ => "change what is kept about",
    }
}

fn name(subject: &Subject) -> String {
    match subject {
        Subject::Principal(principal) => principal.to_string(),
        Subject::Issuer(issuer) => format!("issuer/{issuer}"),
        Subject::Everyone => "everyone".to_owned(),
    }
}
