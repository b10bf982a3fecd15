//! Values of conditions that hardly mean what they say (W7, W8), and trust policies that admit any subject (W10).

use ipnet::IpNet;

use super::Surroundings;
use super::resources::fits_everything;
use super::warning::{Rule, Warnings};
use super::written::{Kind, Page, Written, WrittenClause, parse_actions};
use crate::actions::ConditionKey;
use crate::authz::Settings;
use crate::authz::condition::Wanted;
use crate::authz::document::length;
use crate::authz::json::Node;
use crate::authz::operator::{Comparison, Order};
use crate::authz::value::parse_date;

/// Part of the limit, in percent, from which on a document is near it.
const NEAR_PERCENT: usize = 90;

pub(super) fn check(statement: &Written<'_>, surroundings: &Surroundings, warnings: &mut Warnings) {
    for clause in &statement.clauses {
        match clause.operator.comparison {
            Comparison::Ip => {
                check_host_bits(statement, clause, warnings);
                check_families(statement, clause, surroundings, warnings);
            }
            Comparison::Date(order) => check_dates(statement, clause, order, surroundings.now, warnings),
            Comparison::Equal | Comparison::EqualIgnoreCase => check_wildcards(statement, clause, warnings),
            Comparison::Like if clause.key == ConditionKey::OidcSubject => check_subject(statement, clause, warnings),
            Comparison::Like | Comparison::Number(_) | Comparison::Bool | Comparison::Null => {}
        }
    }
}

fn check_host_bits(statement: &Written<'_>, clause: &WrittenClause<'_>, warnings: &mut Warnings) {
    for node in clause.values {
        let range = node.as_str().and_then(|text| text.parse::<IpNet>().ok());
        if let Some(range) = range.filter(|range| range.trunc() != *range) {
            let message =
                format!("bits beyond the prefix are ignored: write `{}`, or `{}` alone", range.trunc(), range.addr());
            warnings.add(Rule::ValueNeverMeant, statement.spot_at(node), message);
        }
    }
}

/// An address of the other family lies in no range, so a negated operator holds for all of them.
fn check_families(
    statement: &Written<'_>,
    clause: &WrittenClause<'_>,
    surroundings: &Surroundings,
    warnings: &mut Warnings,
) {
    let Wanted::Ranges(ranges) = &clause.clause.wanted else { return };
    let is_ipv4_alone = ranges.iter().all(|range| matches!(range, IpNet::V4(_)));
    if clause.operator.negated && is_ipv4_alone && surroundings.is_reached_over_ipv6 {
        let message = "a listener is reachable over IPv6, and an IPv6 address lies in none of these ranges, so this holds \
                       for all of them: add the IPv6 ranges that are meant";
        warnings.add(Rule::ValueNeverMeant, clause.spot(statement), message);
    }
}

/// The values are alternatives: a start that has passed opens all of them, an end closes only what ends by it.
fn check_dates(statement: &Written<'_>, clause: &WrittenClause<'_>, order: Order, now: i64, warnings: &mut Warnings) {
    let has_passed = |node: &&Node| node.as_str().and_then(parse_date).is_some_and(|at| at < now);
    let passed: Vec<&Node> = clause.values.iter().filter(has_passed).collect();
    let Some(first) = passed.first() else { return };
    let all_passed = passed.len() == clause.values.len();
    let is_start = matches!(order, Order::Greater | Order::GreaterOrEqual);
    // A window of time that is open has a start in the past.
    let message = match (is_start || clause.operator.negated, ends_later(statement, now)) {
        (true, false) if is_start || all_passed => "this has passed, so the condition always holds: take it out",
        (false, _) if all_passed => {
            "this has passed, so the condition never holds again: take the statement out, or write a later date"
        }
        _ => return,
    };
    warnings.add(Rule::ValueNeverMeant, statement.spot_at(first), message);
}

fn ends_later(statement: &Written<'_>, now: i64) -> bool {
    statement.clauses.iter().any(|clause| match &clause.clause.wanted {
        Wanted::Instants(Order::Less | Order::LessOrEqual, instants) => instants.iter().any(|instant| *instant >= now),
        _ => false,
    })
}

fn check_wildcards(statement: &Written<'_>, clause: &WrittenClause<'_>, warnings: &mut Warnings) {
    let operator = clause.operator_text();
    let like = operator.replace("equal_ignore_case", "like").replace("equal", "like");
    for node in clause.values {
        if node.as_str().is_some_and(|text| text.contains(['*', '?'])) {
            let message = format!(
                "`*` and `?` are plain characters to `{operator}`: write `{like}`, if they are meant as wildcards"
            );
            warnings.add(Rule::WithoutEffect, statement.spot_at(node), message);
        }
    }
}

/// A trust policy's `oidc:sub` that every subject fits, in an allow that is bound by no other.
fn check_subject(statement: &Written<'_>, clause: &WrittenClause<'_>, warnings: &mut Warnings) {
    let is_of_subject = |other: &&WrittenClause<'_>| other.key == ConditionKey::OidcSubject;
    let is_bound = statement.clauses.iter().filter(is_of_subject).any(|other| !admits_any(other));
    if statement.denies() || !matches!(statement.page.kind, Kind::Trust(_)) || is_bound {
        return;
    }
    for node in clause.values.iter().filter(|node| node.as_str().is_some_and(|text| text.chars().all(|c| c == '*'))) {
        let message = "every subject of the issuer may take the role: name the subjects that are meant";
        warnings.add(Rule::AnySubject, statement.spot_at(node), message);
    }
}

fn admits_any(clause: &WrittenClause<'_>) -> bool {
    match &clause.clause.wanted {
        Wanted::Patterns(patterns) => !clause.operator.negated && patterns.iter().any(fits_everything),
        _ => false,
    }
}

/// Patterns of services that keyward does not have.
pub(super) fn check_foreign(statement: &Written<'_>, settings: &Settings, warnings: &mut Warnings) {
    for node in statement.action_nodes {
        let named = parse_actions(node, settings);
        if let Some(service) = named.foreign.first() {
            let message = format!("`{service}` is a service that keyward does not have: this has no effect here");
            warnings.add(Rule::WithoutEffect, statement.spot_at(node), message);
        }
    }
}

/// A document that will soon be too long.
pub(super) fn check_length(page: &Page, settings: &Settings, warnings: &mut Warnings) {
    let (length, most) = (length(&page.bytes), settings.document_characters_max);
    if page.document().is_some() && length.saturating_mul(100) > most.saturating_mul(NEAR_PERCENT) {
        let message = format!(
            "{length} characters without white space, of {most} at most: divide the document before it is refused"
        );
        warnings.add(Rule::WithoutEffect, page.start(), message);
    }
}
