//! `keyward policy check`: the load checks over a folder.

use crate::access::setup;
use crate::authz::{self, Finding, PolicySet};
use crate::cli::output::{self, Column};
use crate::cli::{Context, Failure};
use serde_json::{Value, json};
use std::path::PathBuf;

pub(super) fn run(context: &Context, dir: Option<PathBuf>) -> Result<(), Failure> {
    let config = context.load_config()?;
    let dir = dir.unwrap_or_else(|| config.path(&config.policy.path));
    if !dir.is_dir() {
        return Err(Failure::Failed(anyhow::anyhow!("there is no folder `{}`", dir.display())));
    }
    let settings = setup::policy_settings(&config);
    match authz::read_folder(&dir).and_then(|files| PolicySet::load(&files, &settings)) {
        Ok(set) => {
            let documents = set.files().iter().filter(|file| file.path.starts_with("documents/")).count();
            if context.output.is_json() {
                output::line(&json!({"valid": true, "revision": set.revision(), "documents": documents}).to_string());
            } else {
                output::line(&format!("valid, {documents} documents, revision {}", set.revision()));
            }
            Ok(())
        }
        Err(findings) => {
            let rows: Vec<Value> = findings.iter().map(finding_row).collect();
            if context.output.is_json() {
                context.output.rows::<Column>(&[], &rows);
            } else {
                findings.iter().for_each(|finding| output::line(&finding.to_string()));
            }
            Err(Failure::Invalid(format!("`{}` has {} error(s)", dir.display(), findings.len())))
        }
    }
}

fn finding_row(finding: &Finding) -> Value {
    json!({
        "code": format!("InvalidParameter.{}", finding.code.name()),
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
        "text": finding.text,
        "message": finding.message,
    })
}
