//! The grid: every caller of an example's tests, with every action, on every resource of those tests.

use std::fmt::Write as _;

use super::case::{Case, What, Who};
use super::{Example, Loaded};
use crate::actions::{Action, ConditionKey, Level};
use crate::authz::Decision;

/// The deciding statements, each as layer, document and place; `-` for a layer in which none allows.
pub(super) fn statements(decision: &Decision) -> Vec<String> {
    let layers = decision.layers.iter();
    layers
        .map(|one| match (&one.document, one.statement) {
            (Some(document), Some(statement)) => format!("{} {document} {statement}", one.layer.name()),
            (None, Some(statement)) => format!("{} {statement}", one.layer.name()),
            _ => format!("{} -", one.layer.name()),
        })
        .collect()
}

/// The rows of one example.
pub(super) fn of(example: &Example, loaded: &Loaded) -> String {
    let mut out = format!("# {}\n", example.name);
    for who in distinct(example, |case| &case.who) {
        let _ = writeln!(out, "{}", caller(who));
        for action in distinct(example, |case| &case.action) {
            for what in distinct(example, |case| &case.what) {
                if can_have(action, what) {
                    out.push_str(&row(loaded, &example.cases[0], who, action, what));
                }
            }
        }
    }
    out.push('\n');
    out
}

/// Each value once, in the order of the tests.
fn distinct<T: PartialEq>(example: &Example, part: impl Fn(&Case) -> &T) -> Vec<&T> {
    let mut found: Vec<&T> = Vec::new();
    for case in &example.cases {
        let one = part(case);
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found
}

/// Whether a request of this action can be about this.
fn can_have(action: &Action, what: &What) -> bool {
    let Some(resource) = &what.resource else {
        return matches!(action.level, Level::Operation | Level::SecretOrOperation);
    };
    let own = resource.contains("/${uin}/");
    match action.level {
        Level::Operation | Level::Role => false,
        Level::Key => resource.starts_with("key/"),
        Level::Creation => own && what.tags.is_empty(),
        Level::Secret | Level::SecretOrOperation => resource.starts_with("secret/"),
    }
}

fn row(loaded: &Loaded, any: &Case, who: &Who, action: &'static Action, what: &What) -> String {
    let case = Case { who: who.clone(), action, what: what.clone(), session_policy: None, ..any.clone() };
    let decision = loaded.decide(&case);
    let resource = what.resource.as_deref().unwrap_or("-");
    let resource = resource.strip_prefix("secret/creatorUin/").unwrap_or(resource);
    let tags = if what.tags.is_empty() { String::new() } else { format!(" [{}]", what.tags.join(" ")) };
    let target = format!("{resource}{tags}");
    let by = statements(&decision).join(", ");
    format!("  {:<29}{target:<44}{:<6}{by}\n", action.full_name(), decision.outcome.name())
}

/// A caller and the circumstances, in one line.
fn caller(who: &Who) -> String {
    let mut line = who.principal.to_string();
    if who.credential != "token" {
        let _ = write!(line, " by {}", who.credential);
    }
    for name in who.groups.iter().chain(&who.roles) {
        let _ = write!(line, " {name}");
    }
    for (key, values) in &who.context {
        let usual = match key {
            ConditionKey::CurrentTime => "2026-06-01T00:00:00Z",
            ConditionKey::Door => "native",
            ConditionKey::SecureTransport => "true",
            _ => "",
        };
        if values.join(" ") != usual {
            let _ = write!(line, " {}={}", key.name(), values.join(" "));
        }
    }
    if who.uin != 1 {
        let _ = write!(line, " uin={}", who.uin);
    }
    line
}
