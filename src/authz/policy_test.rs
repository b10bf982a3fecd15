//! Unit tests of policies, `tests/*.json` of the folder: requests with the answers that are expected. They are decided by
//! the same set that decides requests. Coverage says which statements matched in no test; the grid is every caller of
//! the tests with every action on every resource, for reviews. The form: `policies/README.md`.

mod case;
mod grid;
mod read;

use std::collections::BTreeSet;

pub use self::case::{PolicyTest, TestOutcome};
pub use self::grid::grid;
use super::decision::Layer;
use super::lint::{Statement, StatementKey, attached_statements};
use super::{Explanation, PolicyFile, PolicySet, Settings, Warning};

/// The tests of a folder.
#[derive(Debug, Default)]
pub struct PolicyTests {
    /// In the order of files and places.
    pub tests: Vec<PolicyTest>,
    /// What is wrong with the others.
    pub errors: Vec<Warning>,
}

impl PolicyTests {
    /// Reads the tests of a folder that loads.
    #[must_use]
    pub fn read(files: &[PolicyFile], settings: &Settings) -> Self {
        read::tests(files, settings)
    }

    /// Runs all tests.
    #[must_use]
    pub fn run(&self, set: &PolicySet, settings: &Settings) -> Vec<TestOutcome> {
        self.tests.iter().map(|test| test.run(set, settings)).collect()
    }
}

/// Which statements matched in some test. Those of documents that are attached to nobody do not count, nor do those for
/// foreign services: no request can meet them.
#[derive(Debug)]
pub struct Coverage {
    /// Statements that count.
    pub statements: usize,
    /// Those that matched in no test, in the order of files and places.
    pub missed: Vec<Statement>,
}

impl Coverage {
    /// What the tests of a folder exercise.
    #[must_use]
    pub fn of(tests: &PolicyTests, files: &[PolicyFile], set: &PolicySet, settings: &Settings) -> Self {
        let mut missed = attached_statements(files, settings);
        let statements = missed.len();
        let matched: BTreeSet<_> = tests.tests.iter().flat_map(|test| matching(test, set, settings)).collect();
        missed.retain(|statement| !matched.contains(statement.key()));
        missed.sort();
        Self { statements, missed }
    }

    /// The exercised part in percent, rounded down; 100 where there is nothing to exercise.
    #[must_use]
    pub fn percent(&self) -> usize {
        let exercised = self.statements.saturating_sub(self.missed.len());
        exercised.saturating_mul(100).checked_div(self.statements).unwrap_or(100)
    }
}

/// The statements of the folder that match a test's request.
fn matching(test: &PolicyTest, set: &PolicySet, settings: &Settings) -> Vec<StatementKey> {
    let explained = test.ask(settings, |question| set.explain(question)).unwrap_or_default();
    let matched = explained.into_iter().filter(|one| one.why_not.is_none());
    let key = |one: Explanation| {
        Some(StatementKey { is_trust: one.layer == Layer::Trust, name: one.document?, place: one.statement })
    };
    matched.filter_map(key).collect()
}

#[cfg(test)]
#[path = "policy_test/policy_test_tests.rs"]
mod tests;
