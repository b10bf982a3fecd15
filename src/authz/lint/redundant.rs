//! Statements that change no decision: an allow that a deny takes away entirely (W14), and a statement that another of the
//! same effect makes superfluous (W15). Both are said only where they are proven ([`super::cover`]): taking out a
//! statement that is named here, or all of them, changes no answer.
//!
//! A statement of another document counts only if that document reaches everybody whom this one reaches. A boundary
//! must allow by itself, so an allow in one is made superfluous by the same document alone.

use super::Reach;
use super::attached::Reach as Attached;
use super::cover::covers;
use super::warning::{Rule, Warnings};
use super::written::Written;
use crate::authz::attachments::Subject;
use crate::principal::{Kind, LOCAL, Principal};
use std::collections::{BTreeSet, HashMap};

pub(super) fn check(statements: &[Written<'_>], reach: &Reach<'_>, warnings: &mut Warnings) {
    let statements: Vec<(&Written<'_>, &str)> = statements
        .iter()
        .filter(|statement| !statement.actions.is_foreign())
        .filter_map(|statement| Some((statement, statement.page.document()?)))
        .collect();
    let mut by_document: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, (_, document)) in statements.iter().enumerate() {
        by_document.entry(document).or_default().push(at);
    }
    for (at, (small, document)) in statements.iter().enumerate() {
        let beside = reach.beside(document);
        let others: BTreeSet<usize> =
            beside.iter().filter_map(|name| by_document.get(name)).flatten().copied().collect();
        let others = others.into_iter().filter(|other| *other != at);
        let mut making = others.filter_map(|other| {
            let (large, its_document) = statements.get(other)?;
            let rule = rule_of(large, small)?;
            // First what is quickly seen: most statements cover no other.
            if !covers(large, small) {
                return None;
            }
            let counts = document == its_document || counts(rule, small, document, its_document, reach);
            // Of two that cover each other, the first stays.
            let stays = || {
                rule == Rule::Shadowed
                    || other < at
                    || !covers(small, large)
                    || !is_mutual(small, document, its_document, reach)
            };
            (counts && stays()).then_some((rule, *large))
        });
        if let Some((rule, large)) = making.next() {
            warnings.add(rule, small.spot(), message(rule, large));
        }
    }
}

fn rule_of(large: &Written<'_>, small: &Written<'_>) -> Option<Rule> {
    match (large.denies(), small.denies()) {
        (true, false) => Some(Rule::Shadowed),
        (true, true) | (false, false) => Some(Rule::Implied),
        (false, true) => None,
    }
}

fn message(rule: Rule, large: &Written<'_>) -> String {
    let name = large.name();
    match rule {
        Rule::Shadowed => format!("whatever this allows, {name} denies: take it out, or narrow the deny"),
        _ => format!("{name} {}s all that this does: take one of them out", large.effect.name()),
    }
}

/// Whether what another document says counts for everybody whom this one reaches.
fn counts(rule: Rule, small: &Written<'_>, document: &str, other: &str, reach: &Reach<'_>) -> bool {
    let (attached, bounding) = reach.targets(document);
    let (other_attached, other_bounding) = reach.targets(other);
    let is_allow = rule == Rule::Implied && !small.denies();
    if is_allow && !bounding.is_empty() {
        return false;
    }
    let by: Vec<&Subject> = if is_allow { other_attached.to_vec() } else { [other_attached, other_bounding].concat() };
    let all = [attached, bounding].concat();
    !all.is_empty() && all.iter().all(|target| by.iter().any(|other| includes(other, target, reach)))
}

/// Whether the first could be named superfluous by the second as well.
fn is_mutual(small: &Written<'_>, document: &str, other: &str, reach: &Reach<'_>) -> bool {
    document == other || counts(Rule::Implied, small, other, document, reach)
}

/// Whether everybody whom `small` means is meant by `large`, and by no weaker credential.
pub(super) fn includes<'a>(large: &Subject, small: &'a Subject, reach: &Attached<'a>) -> bool {
    match (large, small) {
        (Subject::Everyone, Subject::Everyone | Subject::Issuer(_)) => true,
        (Subject::Issuer(large), Subject::Issuer(small)) => large == small,
        (Subject::Principal(large), Subject::Principal(small)) => reach.up(small).contains(large),
        (Subject::Everyone, Subject::Principal(small)) => reach.down(small).into_iter().all(shows_a_credential),
        (Subject::Issuer(issuer), Subject::Principal(small)) => {
            reach.down(small).into_iter().all(|who| who.kind() == Kind::User && who.issuer() == Some(issuer))
        }
        (Subject::Issuer(_) | Subject::Principal(_), Subject::Everyone)
        | (Subject::Principal(_), Subject::Issuer(_)) => false,
    }
}

/// Services show none, nor do roles of the folder while a service is in them: `everyone` does not mean them.
fn shows_a_credential(who: &Principal) -> bool {
    who.kind() != Kind::Service && who.issuer() != Some(LOCAL)
}
