//! `keyward policy check`: the load checks over a folder, which refuse it, and the linter, which warns.

use super::excerpt::{self, Mark};
use super::folder::Folder;
use super::surroundings;
use crate::authz::{Finding, Lint, PolicySet, Waived, Warning, lint};
use crate::cli::instant::{When, when};
use crate::cli::output::{self, Tint};
use crate::cli::{Context, Failure};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Args)]
pub(in crate::cli) struct Check {
    /// The folder; the configured one if absent
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Exit 4 on warnings, too
    #[arg(long)]
    deny_warnings: bool,
    /// Look into the store, too: names of existing secrets, and whose number a creator is
    #[arg(long)]
    store: bool,
    /// Look into the trail, too: wildcards that were used for a few names
    #[arg(long)]
    used: bool,
    /// From when on `--used` looks: a time, or how long ago; at all of the trail if absent
    #[arg(long, value_name = "TIME", value_parser = when, requires = "used")]
    since: Option<When>,
}

impl Check {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let folder = Folder::find(context, self.dir.as_deref())?;
        let mut surroundings = surroundings::of(&folder, self.store)?;
        let loaded = folder.load();
        if let (true, Ok(set)) = (self.used, &loaded) {
            surroundings.wildcards = surroundings::wildcards(context, &folder, set, self.since)?;
        }
        let linted = loaded.and_then(|set| Ok((lint(&folder.files, &folder.settings, &surroundings)?, set)));
        let report = Report { context, folder: &folder };
        match linted {
            Err(findings) => {
                findings.iter().for_each(|finding| report.finding(finding));
                Err(Failure::Invalid(format!("`{}` has {} error(s)", folder.dir.display(), findings.len())))
            }
            Ok((lint, set)) => {
                lint.warnings.iter().for_each(|warning| report.warning(warning));
                report.summary(&lint, &set);
                if self.deny_warnings && !lint.warnings.is_empty() {
                    let count = lint.warnings.len();
                    return Err(Failure::Invalid(format!("`{}` has {count} warning(s)", folder.dir.display())));
                }
                Ok(())
            }
        }
    }
}

/// Where what was found goes.
pub(super) struct Report<'a> {
    pub(super) context: &'a Context,
    pub(super) folder: &'a Folder,
}

/// One thing to say about a place.
struct Remark<'a> {
    file: &'a str,
    line: u32,
    column: u32,
    text: &'a str,
    message: &'a str,
    tint: Tint,
    code: String,
}

impl Report<'_> {
    /// An error.
    pub(super) fn finding(&self, finding: &Finding) {
        let code = format!("InvalidParameter.{}", finding.code.name());
        let Finding { file, line, column, text, message, .. } = finding;
        if self.context.output.is_json() {
            let row = json!({"severity": "error", "code": code, "text": text, "message": message});
            return output::line(&self.placed(row, file, *line, *column).to_string());
        }
        self.say(&Remark { file, line: *line, column: *column, text, message, tint: Tint::Bad, code });
    }

    /// A warning that stands.
    pub(super) fn warning(&self, warning: &Warning) {
        if self.context.output.is_json() {
            return output::line(&self.row(warning, "warning").to_string());
        }
        let code = format!("{} {}", warning.rule.code(), warning.rule.name());
        let Warning { file, line, column, text, message, .. } = warning;
        self.say(&Remark { file, line: *line, column: *column, text, message, tint: Tint::Doubtful, code });
    }

    fn waived(&self, waived: &Waived) {
        let row = self.row(&waived.warning, "waived");
        output::line(&with(row, json!({"who": waived.who, "why": waived.why})).to_string());
    }

    fn row(&self, warning: &Warning, severity: &str) -> Value {
        let row = json!({
            "severity": severity, "code": warning.rule.code(), "rule": warning.rule.name(),
            "statement": warning.statement, "text": warning.text, "message": warning.message,
        });
        self.placed(row, &warning.file, warning.line, warning.column)
    }

    fn placed(&self, row: Value, file: &str, line: u32, column: u32) -> Value {
        let end = self
            .mark(file, line, column)
            .map_or(usize::try_from(column).unwrap_or_default(), |(_, mark)| mark.column.saturating_add(mark.width));
        with(row, json!({"file": file, "line": line, "column": column, "end_column": end}))
    }

    fn mark(&self, file: &str, line: u32, column: u32) -> Option<(&str, Mark)> {
        Mark::at(self.folder.text(file)?, line, column)
    }

    fn say(&self, remark: &Remark<'_>) {
        let output = &self.context.output;
        let place = format!("{}:{}:{}", self.folder.shown(remark.file), remark.line, remark.column);
        let text = if remark.text.is_empty() { String::new() } else { format!("`{}`: ", remark.text) };
        output.say_tinted(&[
            (Tint::Plain, &format!("{place}: ")),
            (remark.tint, &remark.code),
            (Tint::Plain, &format!(": {text}{}", remark.message)),
        ]);
        if let Some((line, mark)) = self.mark(remark.file, remark.line, remark.column) {
            let [margin, shown, marks] = excerpt::lines(remark.line, line, mark);
            output.say(&margin);
            output.say(&shown);
            output.say_tinted(&[(remark.tint, &marks)]);
        }
    }

    fn summary(&self, lint: &Lint, set: &PolicySet) {
        let documents = set.files().iter().filter(|file| file.path.starts_with("documents/")).count();
        let (warnings, waived, revision) = (lint.warnings.len(), lint.waived.len(), set.revision());
        if self.context.output.is_json() {
            lint.waived.iter().for_each(|waived| self.waived(waived));
            let row = json!({
                "valid": true, "revision": revision, "documents": documents, "warnings": warnings, "waived": waived,
            });
            return output::line(&row.to_string());
        }
        let counts = [(warnings, "warning(s)"), (waived, "waived")].into_iter().filter(|(count, _)| *count > 0);
        let counts: String = counts.map(|(count, what)| format!(", {count} {what}")).collect();
        output::line(&format!("valid, {documents} documents{counts}, revision {revision}"));
    }
}

/// An object with more fields.
fn with(mut row: Value, more: Value) -> Value {
    if let (Some(fields), Value::Object(more)) = (row.as_object_mut(), more) {
        fields.extend(more);
    }
    row
}
