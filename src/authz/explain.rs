//! Why each statement attached to a caller did or did not apply: the answer for a person, where the decision itself
//! names only the statements it rests on.

use std::fmt;

use super::condition::Outcome;
use super::decision::{Fault, Layer, Question, StatementEffect, Target};
use super::document::{Document, Match, Statement};
use super::engine::Row;
use super::facts::Facts;
use super::set::{PolicySet, place_of};

/// One attached statement and how it came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The layer it is attached in.
    pub layer: Layer,
    /// Its document; none in the session layer.
    pub document: Option<String>,
    /// Its 0-based place in the document.
    pub statement: u32,
    /// What it would do.
    pub effect: StatementEffect,
    /// Why it did not apply; `None` if it did.
    pub why_not: Option<WhyNot>,
    /// Its resources and each clause of its condition; none if it does not name the action.
    pub parts: Vec<Part>,
}

/// One part of a statement, held against the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// As it is written.
    pub text: String,
    /// Whether it fits.
    pub holds: bool,
    /// What the request has there; empty if it lacks the key.
    pub found: Vec<String>,
    /// Whether what the request has there is unknown: the secret does not exist.
    pub is_unknown: bool,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = match (self.is_unknown, self.found.as_slice()) {
            (true, _) => "unknown".to_owned(),
            (false, []) => "absent".to_owned(),
            (false, found) => found.join(", "),
        };
        write!(f, "{} {} ({found})", if self.holds { "holds:" } else { "fails:" }, self.text)
    }
}

/// Why a statement did not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// It does not name the action.
    Action,
    /// It allows, and is reached only through groups or roles that restrict.
    RestrictsOnly,
    /// No resource of it fits.
    Resource,
    /// A condition on this key does not hold.
    Condition(&'static str),
    /// A condition on this key does not hold because the request lacks it.
    KeyAbsent(&'static str),
    /// A condition on this key does not hold because its value is unknown: the secret does not exist.
    KeyUnknown(&'static str),
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Action => f.write_str("it does not name the action"),
            Self::RestrictsOnly => f.write_str("it is reached only through a group or role that restricts"),
            Self::Resource => f.write_str("no resource of it fits"),
            Self::Condition(key) => write!(f, "its condition on `{key}` does not hold"),
            Self::KeyAbsent(key) => write!(f, "its condition is on `{key}`, which the request does not have"),
            Self::KeyUnknown(key) => write!(f, "its condition is on `{key}`, unknown for a secret that does not exist"),
        }
    }
}

impl PolicySet {
    /// Every statement attached to the caller, in the order of layer, document bytes and place.
    ///
    /// # Errors
    /// [`Fault`] if the question cannot be decided.
    pub fn explain(&self, question: &Question<'_>) -> Result<Vec<Explanation>, Fault> {
        let facts = Facts::of(question)?;
        let action = place_of(question)?;
        let reached = self.reach(&question.caller);
        let mut all = Explainer { action, question, facts: &facts, list: Vec::new() };
        for (place, full) in self.subjects().attached(&reached) {
            all.add(Layer::Identity, self.document(place), full)?;
        }
        for place in self.subjects().boundaries(&reached) {
            all.add(Layer::Boundary, self.document(place), true)?;
        }
        all.add(Layer::Session, question.session_policy.map(|policy| &policy.document), true)?;
        for row in self.trusting(question, action, &reached) {
            all.add_row(Layer::Trust, &row)?;
        }
        Ok(all.list)
    }
}

struct Explainer<'a> {
    action: usize,
    question: &'a Question<'a>,
    facts: &'a Facts,
    list: Vec<Explanation>,
}

impl Explainer<'_> {
    fn add(&mut self, layer: Layer, document: Option<&Document>, full: bool) -> Result<(), Fault> {
        let Some(document) = document else { return Ok(()) };
        for (statement, place) in document.statements.iter().zip(0..) {
            let why_not = if !statement.actions.names(self.action) {
                Some(WhyNot::Action)
            } else if !full && statement.effect == StatementEffect::Allow {
                Some(WhyNot::RestrictsOnly)
            } else {
                why_not(&statement.holds(self.facts)?)
            };
            let name = (layer != Layer::Session).then(|| document.name.to_string());
            let parts = if why_not == Some(WhyNot::Action) { Vec::new() } else { self.parts(statement)? };
            let effect = statement.effect;
            self.list.push(Explanation { layer, document: name, statement: place, effect, why_not, parts });
        }
        Ok(())
    }

    /// A statement that is known to concern caller and action.
    fn add_row(&mut self, layer: Layer, row: &Row) -> Result<(), Fault> {
        let why_not = why_not(&row.statement.holds(self.facts)?);
        let document = row.document.as_ref().map(ToString::to_string);
        let effect = row.statement.effect;
        let parts = self.parts(&row.statement)?;
        self.list.push(Explanation { layer, document, statement: row.place, effect, why_not, parts });
        Ok(())
    }

    fn parts(&self, statement: &Statement) -> Result<Vec<Part>, Fault> {
        parts(statement, self.question, self.facts)
    }
}

/// Every part of a statement that names the action, held against a request.
pub(super) fn parts(statement: &Statement, question: &Question<'_>, facts: &Facts) -> Result<Vec<Part>, Fault> {
    let resources: Vec<String> = statement.resources.iter().map(ToString::to_string).collect();
    let mut parts = vec![Part {
        text: format!("resource {}", resources.join(" | ")),
        holds: statement.resources.iter().any(|resource| resource.matches(facts, statement.effect)),
        found: vec![target_text(&question.target)],
        is_unknown: false,
    }];
    for clause in &statement.clauses {
        parts.push(Part {
            text: clause.to_string(),
            holds: clause.outcome(facts, statement.effect)? == Outcome::Holds,
            found: question.context.values.get(&clause.key).cloned().unwrap_or_default(),
            is_unknown: facts.is_unknown(clause.key),
        });
    }
    Ok(parts)
}

/// The last segment of a target.
fn target_text(target: &Target<'_>) -> String {
    match target {
        Target::Operation => "none".to_owned(),
        Target::Secret { creator, name } => {
            let creator = creator.map_or_else(|| "*".to_owned(), |number| number.to_string());
            format!("secret/creatorUin/{creator}/{name}")
        }
        Target::Key { id } => format!("key/{id}"),
        Target::Role { role } => role.to_string(),
    }
}

fn why_not(outcome: &Match<'_>) -> Option<WhyNot> {
    match outcome {
        Match::Matches => None,
        Match::Resource => Some(WhyNot::Resource),
        Match::Clause(clause, outcome) => Some(match outcome {
            Outcome::Holds | Outcome::Fails => WhyNot::Condition(clause.key.name()),
            Outcome::FailsAbsent => WhyNot::KeyAbsent(clause.key.name()),
            Outcome::FailsUnknown => WhyNot::KeyUnknown(clause.key.name()),
        }),
    }
}
