//! The linter: what of a policy folder that loads is hardly meant as it stands. Errors refuse a folder when it is loaded;
//! everything here warns, and a warning may be waived by somebody who answers for it (`waivers.json`). The rules, each
//! with its code: `policies/README.md`; for each a folder that triggers it and one that does not:
//! `policies/conformance/lint.json`.
//!
//! Nothing here decides a request. It reads the texts again, beside what they mean, so that every warning has a place.

mod absence;
mod attached;
mod cover;
mod escalation;
mod names;
mod redundant;
mod resources;
mod trust;
mod used;
mod values;
mod waivers;
mod warning;
mod written;

use std::collections::{BTreeMap, BTreeSet};

use self::attached::Reach;
pub(in crate::authz) use self::cover::has_pattern;
pub use self::waivers::Waived;
pub use self::warning::{Rule, Warning};
pub(in crate::authz) use self::warning::{Spot, Warnings};
pub use self::written::Statement;
use self::written::{Page, Written};
pub(in crate::authz) use self::written::{StatementKey, attached_statements};
use super::finding::Finding;
use super::load::Read;
use super::policy_test::PolicyTests;
use super::suggest::Wildcard;
use super::{PolicyFile, Settings};
use crate::principal::Principal;

/// What is known beside the folder, as far as it is.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Seconds since 1970.
    pub now: i64,
    /// Whether a listener takes requests over IPv6.
    pub is_reached_over_ipv6: bool,
    /// Whose number each is, of those that are known.
    pub principals: BTreeMap<u64, Principal>,
    /// Names of existing secrets, of those that are known.
    pub secrets: Vec<String>,
    /// Wildcards that were used for a few names, if the trail was looked at.
    pub wildcards: Vec<Wildcard>,
}

/// What the linter found.
#[derive(Clone, Debug, Default)]
pub struct Lint {
    /// Warnings that nobody answers for, sorted by file and place.
    pub warnings: Vec<Warning>,
    /// The others.
    pub waived: Vec<Waived>,
}

/// Looks at a whole policy folder, tests and waivers included.
///
/// # Errors
/// The folder does not load: every finding, as [`super::PolicySet::load`] gives them.
pub fn lint(files: &[PolicyFile], settings: &Settings, surroundings: &Surroundings) -> Result<Lint, Vec<Finding>> {
    let read = Read::files(files, settings);
    if !read.findings.is_empty() {
        return Err(read.findings);
    }
    let pages = Page::all(&read.files);
    let reach = Reach::of(&read);
    let statements: Vec<Written<'_>> = pages.iter().flat_map(|page| page.statements(settings)).collect();
    let mut warnings = Warnings::default();
    for statement in &statements {
        check_statement(statement, &reach, settings, surroundings, &mut warnings);
    }
    pages.iter().for_each(|page| values::check_length(page, settings, &mut warnings));
    attached::check_nobody(&reach, &mut warnings);
    attached::check_roles(&reach, &denying(&read), &mut warnings);
    names::check_secrets(&statements, surroundings, &mut warnings);
    names::check_folder(&pages, &reach, &mut warnings);
    redundant::check(&statements, &reach, &mut warnings);
    escalation::check(&statements, &reach, &mut warnings);
    used::check(&statements, &surroundings.wildcards, &mut warnings);
    let mut found = warnings.into_list();
    found.extend(PolicyTests::read(files, settings).errors);
    let (warnings, waived) = waivers::apply(found, files);
    Ok(Lint { warnings, waived })
}

fn check_statement(
    statement: &Written<'_>,
    reach: &Reach<'_>,
    settings: &Settings,
    surroundings: &Surroundings,
    warnings: &mut Warnings,
) {
    absence::check(statement, warnings);
    resources::check_creators(statement, surroundings, warnings);
    resources::check_actions(statement, settings, warnings);
    resources::check_values(statement, reach, warnings);
    values::check(statement, surroundings, warnings);
    values::check_foreign(statement, settings, warnings);
    attached::check_lists(statement, reach, warnings);
    attached::check_trust(statement, reach, warnings);
    trust::check(statement, warnings);
}

/// The documents with a deny.
fn denying(read: &Read<'_>) -> BTreeSet<String> {
    read.documents.iter().filter(|document| document.denies()).map(|document| document.name.to_string()).collect()
}

#[cfg(test)]
#[path = "lint/lint_tests.rs"]
mod tests;
