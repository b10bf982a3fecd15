//! `keyward policy test`: the tests of a policy folder, their coverage, and the reviewed grid of answers.

use super::check::Report;
use super::folder::Folder;
use crate::authz::{Coverage, PolicySet, PolicyTests, SNAPSHOT, TestOutcome, grid};
use crate::cli::output::{self, Tint};
use crate::cli::{Context, Failure};
use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// Lines of a difference that are shown.
const LINES_MAX: usize = 40;
/// The first line of the grid.
const HEAD: &str = "# Made by `keyward policy test --write-snapshot`: review how its lines change.\n";

#[derive(Args)]
pub(in crate::cli) struct Test {
    /// The folder; the configured one if absent
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Exit 4 if tests exercise less than this part of the statements, in percent
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(0..=100))]
    min_coverage: Option<u8>,
    /// Write the grid of all answers to tests/decisions.snap
    #[arg(long)]
    write_snapshot: bool,
}

impl Test {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let folder = Folder::find(context, self.dir.as_deref())?;
        let report = Report { context, folder: &folder };
        let set = folder.load().map_err(|findings| {
            findings.iter().for_each(|finding| report.finding(finding));
            Failure::Invalid(format!("`{}` has {} error(s)", folder.dir.display(), findings.len()))
        })?;
        let tests = PolicyTests::read(&folder.files, &folder.settings);
        tests.errors.iter().for_each(|error| report.warning(error));
        let outcomes = tests.run(&set, &folder.settings);
        let coverage = Coverage::of(&tests, &folder.files, &set, &folder.settings);
        let snapshot = self.snapshot(&folder, &tests, &set)?;
        report.tests(&outcomes, &coverage, &snapshot);
        self.judge(&folder, &tests, &outcomes, &coverage, &snapshot)
    }

    /// Writes the grid, or holds it against the one that was reviewed.
    fn snapshot(&self, folder: &Folder, tests: &PolicyTests, set: &PolicySet) -> anyhow::Result<Snapshot> {
        if !self.write_snapshot && folder.text(SNAPSHOT).is_none() {
            return Ok(Snapshot::None);
        }
        let now = format!("{HEAD}{}", grid(&tests.tests, &folder.settings, &|question| set.decide(question)));
        if self.write_snapshot {
            let path = folder.dir.join(SNAPSHOT);
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(&path, now).with_context(|| format!("cannot write `{}`", path.display()))?;
            return Ok(Snapshot::Written);
        }
        let reviewed = folder.text(SNAPSHOT).unwrap_or_default();
        Ok(if now == reviewed { Snapshot::Same } else { Snapshot::Different(difference(reviewed, &now)) })
    }

    fn judge(
        &self,
        folder: &Folder,
        tests: &PolicyTests,
        outcomes: &[TestOutcome],
        coverage: &Coverage,
        snapshot: &Snapshot,
    ) -> Result<(), Failure> {
        let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
        let dir = folder.dir.display();
        let least = usize::from(self.min_coverage.unwrap_or_default());
        if !tests.errors.is_empty() {
            return Err(Failure::Invalid(format!("{} test(s) of `{dir}` cannot be run", tests.errors.len())));
        }
        if failed > 0 {
            return Err(Failure::Invalid(format!("{failed} of {} tests of `{dir}` failed", outcomes.len())));
        }
        if let Snapshot::Different(_) = snapshot {
            let message = "answers differ from those that were reviewed: if that is meant, `keyward policy test --write-snapshot`";
            return Err(Failure::Invalid(message.to_owned()));
        }
        if coverage.percent() < least {
            let percent = coverage.percent();
            return Err(Failure::Invalid(format!(
                "tests exercise {percent} % of the statements, {least} % are asked for"
            )));
        }
        Ok(())
    }
}

/// What became of the reviewed grid.
enum Snapshot {
    None,
    Same,
    Different(Vec<String>),
    Written,
}

impl Snapshot {
    const fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Same => "same",
            Self::Different(_) => "different",
            Self::Written => "written",
        }
    }
}

/// The rows that are in one of two grids alone, each under its caller.
fn difference(then: &str, now: &str) -> Vec<String> {
    let (then, now) = (rows(then), rows(now));
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (then.iter().collect(), now.iter().collect());
    let mut callers: Vec<&str> = Vec::new();
    for (caller, _) in then.iter().chain(&now) {
        if !callers.contains(caller) {
            callers.push(caller);
        }
    }
    let mut shown = Vec::new();
    for caller in callers {
        let of = |rows: &[(&str, &str)], other: &BTreeSet<&(&str, &str)>, sign: &str| -> Vec<String> {
            let only = rows.iter().filter(|row| row.0 == caller && !other.contains(row));
            only.map(|(_, row)| format!("{sign}{row}")).collect()
        };
        let changed = [of(&then, &new, "-"), of(&now, &old, "+")].concat();
        if !changed.is_empty() {
            shown.push(format!(" {caller}"));
            shown.extend(changed);
        }
    }
    let more = shown.len().saturating_sub(LINES_MAX);
    if more > 0 {
        shown.truncate(LINES_MAX);
        shown.push(format!(" ... and {more} more lines"));
    }
    shown
}

/// The rows of a grid, each with its caller.
fn rows(grid: &str) -> Vec<(&str, &str)> {
    let mut caller = "";
    let mut rows = Vec::new();
    for line in grid.lines() {
        if line.starts_with("  ") {
            rows.push((caller, line));
        } else {
            caller = line;
        }
    }
    rows
}

impl Report<'_> {
    fn tests(&self, outcomes: &[TestOutcome], coverage: &Coverage, snapshot: &Snapshot) {
        outcomes.iter().for_each(|outcome| self.outcome(outcome));
        self.missed(coverage);
        if let Snapshot::Different(lines) = snapshot {
            self.context.output.say(&format!("{}: the answers have changed:", self.folder.shown(SNAPSHOT)));
            for line in lines {
                let tint = if line.starts_with(['-', '+']) { Tint::Doubtful } else { Tint::Plain };
                self.context.output.say_tinted(&[(tint, line)]);
            }
        }
        let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
        let (statements, percent) = (coverage.statements, coverage.percent());
        let exercised = statements.saturating_sub(coverage.missed.len());
        let row = json!({
            "tests": outcomes.len(), "failed": failed, "statements": statements, "exercised": exercised,
            "coverage": percent, "snapshot": snapshot.name(),
        });
        let grid = match snapshot {
            Snapshot::None => String::new(),
            other => format!(", snapshot {}", other.name()),
        };
        let sentence = format!(
            "{} tests, {failed} failed, {exercised} of {statements} statements exercised ({percent} %){grid}",
            outcomes.len()
        );
        self.context.output.done(&row, &sentence);
    }

    fn outcome(&self, outcome: &TestOutcome) {
        if self.context.output.is_json() {
            let row = json!({
                "test": outcome.name, "file": outcome.file, "line": outcome.line, "column": outcome.column,
                "expected": outcome.expected, "expected_by": outcome.expected_by,
                "decision": outcome.decision, "by": outcome.by, "passed": outcome.passed,
            });
            return output::line(&row.to_string());
        }
        if outcome.passed {
            return;
        }
        let place = format!("{}:{}:{}: ", self.folder.shown(&outcome.file), outcome.line, outcome.column);
        let by = |list: &[String]| format!(" by {}", list.join(", "));
        let wanted = outcome.expected_by.as_deref().map(by).unwrap_or_default();
        let output = &self.context.output;
        output.say_tinted(&[
            (Tint::Plain, &place),
            (Tint::Bad, "failed"),
            (Tint::Plain, &format!(": {}", outcome.name)),
        ]);
        output.say(&format!("    expected {}{wanted}", outcome.expected));
        output.say(&format!("         was {}{}", outcome.decision, by(&outcome.by)));
    }

    fn missed(&self, coverage: &Coverage) {
        for statement in &coverage.missed {
            let (file, line, column) = (&statement.file, statement.line, statement.column);
            let row = json!({
                "unexercised": {"file": file, "line": line, "column": column, "statement": statement.place()},
            });
            let place = format!("{}:{line}:{column}", self.folder.shown(file));
            let sentence = format!("{place}: statement {} matched in no test", statement.place());
            self.context.output.done(&row, &sentence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn a_difference_is_the_rows_that_changed_each_under_its_caller() {
        let then = "# head\na\n  x allow\n  y deny\nb\n  x allow\n";
        let now = "# head\na\n  x allow\n  y allow\nb\n  x allow\nc\n  x deny\n";
        assert_eq!(difference(then, now), [" a", "-  y deny", "+  y allow", " c", "+  x deny"]);
        assert!(difference(then, then).is_empty());
        let long: String = (0..50).map(|row| format!("  {row}\n")).collect();
        assert_eq!(difference(&long, "").last().unwrap(), " ... and 11 more lines");
    }
}
