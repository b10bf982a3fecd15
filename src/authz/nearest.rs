//! What would have to be otherwise for a denied request to be allowed: the least for each layer that refuses.

use std::fmt;

use super::decision::{Fault, Layer, Question, StatementEffect};
use super::explain::{Explanation, Part, WhyNot, parts};
use super::facts::Facts;
use super::set::{PolicySet, place_of};

/// One thing that would have to be otherwise. All of a list together are enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// A deny that matches would have to match no longer.
    Lift {
        /// The layer that it denies in.
        layer: Layer,
        /// Its document.
        document: Option<String>,
        /// Its place.
        statement: u32,
    },
    /// An allow that is attached would have to fit.
    Fit {
        /// The layer that lacks an allow.
        layer: Layer,
        /// Its document.
        document: Option<String>,
        /// Its place.
        statement: u32,
        /// The parts of it that fail, as they are written and with what the request has.
        failing: Vec<String>,
    },
    /// A document that allows would have to be attached to the caller, or the caller be made a member of whom it is attached to.
    Attach {
        /// The document.
        document: String,
        /// The place of the statement that allows.
        statement: u32,
        /// To whom it is attached.
        to: Vec<String>,
        /// The parts of it that fail even so.
        failing: Vec<String>,
    },
    /// An allow would have to be written.
    Write {
        /// The layer that lacks one.
        layer: Layer,
        /// The action.
        action: String,
    },
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |document: &Option<String>, statement: &u32| {
            document.as_ref().map_or_else(
                || format!("statement {statement} of the session policy"),
                |document| format!("statement {statement} of `{document}`"),
            )
        };
        match self {
            Self::Lift { document, statement, .. } => {
                write!(f, "{} must no longer deny this", of(document, statement))
            }
            Self::Fit { document, statement, failing, .. } => {
                write!(f, "{} must fit: {}", of(document, statement), failing.join("; "))
            }
            Self::Attach { document, statement, to, failing } => {
                write!(f, "`{document}`, whose statement {statement} is nearest, must reach the caller")?;
                if !to.is_empty() {
                    write!(f, "; it is attached to {}", to.join(", "))?;
                }
                if failing.is_empty() { Ok(()) } else { write!(f, "; and it must fit: {}", failing.join("; ")) }
            }
            Self::Write { layer, action } => {
                write!(f, "an allow of `{action}` on this resource must be written for the layer `{}`", layer.name())
            }
        }
    }
}

impl PolicySet {
    /// The least that would have to be otherwise for a denied request to be allowed; nothing if it is allowed. `explained` are the
    /// statements of the same question ([`PolicySet::explain`]).
    ///
    /// # Errors
    /// [`Fault`] if the question cannot be decided.
    pub fn remedies(&self, question: &Question<'_>, explained: &[Explanation]) -> Result<Vec<Remedy>, Fault> {
        let decision = self.decide(question);
        let mut remedies = Vec::new();
        for one in explained.iter().filter(|one| one.effect == StatementEffect::Deny && one.why_not.is_none()) {
            let (layer, document, statement) = (one.layer, one.document.clone(), one.statement);
            remedies.push(Remedy::Lift { layer, document, statement });
        }
        let web = question.action.operation == crate::actions::Operation::AssumeRoleWithWebIdentity;
        if decision.outcome == super::Verdict::Allow {
            return Ok(Vec::new());
        }
        for lacking in self.lacking(question, explained, web) {
            remedies.push(self.for_layer(question, explained, &lacking)?);
        }
        Ok(remedies)
    }

    /// The layers, and of boundaries the documents, that have no allow which applies.
    fn lacking(&self, question: &Question<'_>, explained: &[Explanation], web: bool) -> Vec<(Layer, Option<String>)> {
        let allows = |layer: Layer, document: Option<&str>| {
            let of =
                |one: &&Explanation| one.layer == layer && (document.is_none() || one.document.as_deref() == document);
            explained.iter().filter(of).any(|one| one.effect == StatementEffect::Allow && one.why_not.is_none())
        };
        let mut lacking = Vec::new();
        if !web {
            lacking.extend((!allows(Layer::Identity, None)).then_some((Layer::Identity, None)));
            let reached = self.subjects().boundaries(&self.reach(&question.caller));
            let names =
                reached.iter().filter_map(|place| self.document(*place)).map(|document| document.name.to_string());
            let missing = names.filter(|name| !allows(Layer::Boundary, Some(name)));
            lacking.extend(missing.map(|name| (Layer::Boundary, Some(name))));
        }
        if question.session_policy.is_some() && !allows(Layer::Session, None) {
            lacking.push((Layer::Session, None));
        }
        if matches!(question.target, super::Target::Role { .. }) && !allows(Layer::Trust, None) {
            lacking.push((Layer::Trust, None));
        }
        lacking
    }

    fn for_layer(
        &self,
        question: &Question<'_>,
        explained: &[Explanation],
        (layer, document): &(Layer, Option<String>),
    ) -> Result<Remedy, Fault> {
        let near = |one: &&Explanation| {
            one.layer == *layer
                && one.effect == StatementEffect::Allow
                && !matches!(one.why_not, Some(WhyNot::Action | WhyNot::RestrictsOnly))
                && (document.is_none() || one.document == *document)
        };
        let failing = |one: &Explanation| failing(&one.parts);
        let attached = explained.iter().filter(near).min_by_key(|one| failing(one).len());
        // The first part is the resource: what fails only by circumstances needs no other policy.
        let fits = attached.is_some_and(|one| one.parts.first().is_some_and(|part| part.holds));
        if *layer == Layer::Identity
            && !fits
            && let Some(attach) = self.unattached(question)?
        {
            return Ok(attach);
        }
        Ok(match attached {
            Some(one) => Remedy::Fit {
                layer: *layer,
                document: one.document.clone(),
                statement: one.statement,
                failing: failing(one),
            },
            None => Remedy::Write { layer: *layer, action: question.action.full_name() },
        })
    }

    /// The document that is nearest to allowing the request without reaching the caller: one that is attached to somebody, of
    /// those the one that allows least, of those the one of which least fails.
    fn unattached(&self, question: &Question<'_>) -> Result<Option<Remedy>, Fault> {
        let (facts, action) = (Facts::of(question)?, place_of(question)?);
        let reached = self.subjects().attached(&self.reach(&question.caller));
        let in_full = |place: u32| reached.iter().any(|(reached, full)| *reached == place && *full);
        let mut nearest = None;
        for (document, place) in self.documents().iter().zip(0..) {
            if self.subjects().is_boundary(place) || in_full(place) {
                continue;
            }
            for (statement, number) in document.statements.iter().zip(0..) {
                if statement.effect != StatementEffect::Allow || !statement.actions.names(action) {
                    continue;
                }
                let parts = parts(statement, question, &facts)?;
                if !parts.first().is_some_and(|part| part.holds) {
                    continue;
                }
                let (to, failing) = (self.subjects().attached_to(place), failing(&parts));
                let rank = (to.is_empty(), statement.actions.rows().count(), failing.len());
                if nearest.as_ref().is_none_or(|(least, _)| rank < *least) {
                    let document = document.name.to_string();
                    nearest = Some((rank, Remedy::Attach { document, statement: number, to, failing }));
                }
            }
        }
        Ok(nearest.map(|(_, remedy)| remedy))
    }
}

/// The parts that fail, as they are written and with what the request has.
fn failing(parts: &[Part]) -> Vec<String> {
    parts.iter().filter(|part| !part.holds).map(ToString::to_string).collect()
}

#[cfg(test)]
#[path = "nearest_tests.rs"]
mod tests;
