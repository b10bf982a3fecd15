//! Conditions by the letter of the language's section 5: no parsing ahead, no order chosen, one rule for one sentence.

use super::values::{Token, Variables, compare_decimals, fits, lies_in, replaced, seconds, tokens};
use serde_json::Value;
use std::cmp::Ordering;

/// The request's side of a condition.
pub(super) struct Facts<'a> {
    /// The values of a key; absent and empty are the same.
    pub(super) values: &'a dyn Fn(&str) -> Vec<String>,
    /// Whether a key's value is unknown because the secret does not exist.
    pub(super) unknown: &'a dyn Fn(&str) -> bool,
    /// Whether the statement is a deny: then what is unknown holds, else it does not.
    pub(super) deny: bool,
    /// What the variables stand for.
    pub(super) variables: &'a Variables,
}

/// Whether the whole condition holds: operators ANDed, keys of an operator ANDed.
pub(super) fn condition_holds(condition: &Value, facts: &Facts<'_>) -> bool {
    let operators = condition.as_object().expect("a condition is an object");
    operators.iter().all(|(operator, keys)| {
        let keys = keys.as_object().expect("an operator holds keys");
        keys.iter().all(|(key, values)| holds(operator, key, &listed(values), facts))
    })
}

/// A value, or a list of values, as texts.
fn listed(values: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    values.as_array().map_or_else(|| vec![text(values)], |values| values.iter().map(text).collect())
}

fn holds(operator: &str, key: &str, wanted: &[String], facts: &Facts<'_>) -> bool {
    if (facts.unknown)(key) {
        return facts.deny;
    }
    let found = (facts.values)(key);
    if operator == "null_equal" {
        let nothing = found.is_empty() || found == [""];
        return nothing == (wanted == ["true"]);
    }
    let (qualifier, operator) = operator.split_once(':').unwrap_or(("", operator));
    let (operator, if_exist) = operator.strip_suffix("_if_exist").map_or((operator, false), |base| (base, true));
    if found.is_empty() {
        return if_exist;
    }
    let mut tests = found.iter().map(|value| test(operator, value, wanted, facts.variables));
    if qualifier == "for_all_value" { tests.all(|held| held) } else { tests.any(|held| held) }
}

/// Positive: some wanted value fits; negated: none does.
fn test(operator: &str, found: &str, wanted: &[String], variables: &Variables) -> bool {
    let (positive, negated) = match operator.split_once("_not_") {
        Some((kind, rest)) => (format!("{kind}_{rest}"), true),
        None => (operator.to_owned(), false),
    };
    wanted.iter().any(|wanted| one_fits(&positive, found, wanted, variables)) != negated
}

fn one_fits(operator: &str, found: &str, wanted: &str, variables: &Variables) -> bool {
    match operator {
        "string_equal" | "bool_equal" => found == replaced(wanted, variables),
        "string_equal_ignore_case" => same_without_case(found, &replaced(wanted, variables)),
        "string_like" => like(&tokens(wanted, variables, true), found),
        "ip_equal" => lies_in(found, wanted),
        _ => match operator.split_once('_') {
            Some(("date", relation)) => related(relation, seconds(found).cmp(&seconds(wanted))),
            Some(("numeric", relation)) => related(relation, compare_decimals(found, wanted)),
            _ => panic!("unknown operator `{operator}`"),
        },
    }
}

fn like(pattern: &[Token], found: &str) -> bool {
    let found: Vec<char> = found.chars().collect();
    fits(pattern, &found)
}

/// ASCII letters only; everything else is compared as it is.
fn same_without_case(left: &str, right: &str) -> bool {
    let lower = |text: &str| {
        text.chars().map(|c| if c.is_ascii_uppercase() { c.to_ascii_lowercase() } else { c }).collect::<String>()
    };
    lower(left) == lower(right)
}

fn related(relation: &str, order: Ordering) -> bool {
    match relation {
        "equal" => order == Ordering::Equal,
        "less_than" => order == Ordering::Less,
        "less_than_equal" => order != Ordering::Greater,
        "greater_than" => order == Ordering::Greater,
        "greater_than_equal" => order != Ordering::Less,
        other => panic!("unknown relation `{other}`"),
    }
}
