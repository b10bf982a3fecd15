//! The grid: every caller of the tests, with every action, on every resource of those tests. A file of it is reviewed, so
//! that a change of policy is a diff of answers.

use std::fmt::Write as _;

use super::case::{Credential, PolicyTest, Resource, What, Who, ask, deciding};
use crate::actions::{Action, Level};
use crate::authz::{Decision, Question, Settings};

/// The rows of all tests, as `decide` answers them.
#[must_use]
pub fn grid(tests: &[PolicyTest], settings: &Settings, decide: &dyn Fn(&Question<'_>) -> Decision) -> String {
    let mut out = String::new();
    for who in distinct(tests, |test| &test.who) {
        let _infallible = writeln!(out, "{}", caller(who));
        for action in distinct(tests, |test| &test.action) {
            for what in distinct(tests, |test| &test.what) {
                if can_have(action, what) {
                    let decision = ask(who, action, what, None, settings, decide);
                    out.push_str(&row(action, what, &decision));
                }
            }
        }
    }
    out
}

/// Each value once, in the order of the tests.
fn distinct<T: PartialEq>(tests: &[PolicyTest], part: impl Fn(&PolicyTest) -> &T) -> Vec<&T> {
    let mut found: Vec<&T> = Vec::new();
    for test in tests {
        let one = part(test);
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found
}

/// Whether a request of this action can be about this, whoever asks.
fn can_have(action: &Action, what: &What) -> bool {
    match (&what.resource, action.level) {
        (Resource::Nothing, Level::Operation | Level::SecretOrOperation)
        | (Resource::Secret(..), Level::Secret | Level::SecretOrOperation)
        | (Resource::Key(_), Level::Key)
        | (Resource::Role(_), Level::Role) => true,
        (Resource::Secret(super::case::Creator::Own, _), Level::Creation) => what.tags.is_empty(),
        _ => false,
    }
}

fn row(action: &Action, what: &What, decision: &Decision) -> String {
    let tags = if what.tags.is_empty() { String::new() } else { format!(" [{}]", what.tags.join(" ")) };
    let target = format!("{}{tags}", what.resource);
    let by: Vec<String> = deciding(decision).iter().map(ToString::to_string).collect();
    format!("  {:<29}{target:<44}{:<6}{}\n", action.full_name(), decision.outcome.name(), by.join(", "))
}

/// A caller and the circumstances, in one line.
fn caller(who: &Who) -> String {
    let mut line = who.principal.to_string();
    if who.credential != Credential::Token {
        let _infallible = write!(line, " by {}", who.credential.name());
    }
    for name in who.groups.iter().chain(&who.roles) {
        let _infallible = write!(line, " {name}");
    }
    for (key, values) in &who.context {
        if super::read::usual(*key) != Some(values.join(" ").as_str()) {
            let _infallible = write!(line, " {}={}", key.name(), values.join(" "));
        }
    }
    if who.uin != super::read::USUAL_UIN {
        let _infallible = write!(line, " uin={}", who.uin);
    }
    line
}
