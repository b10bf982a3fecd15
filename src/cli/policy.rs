//! `keyward policy ...`: on the folder and the store's files, without a token.

use super::output::Column;
use super::{Context, Failure, output, root_keys};
use crate::access::{replay, setup};
use crate::authz::{self, Explanation, Finding, PolicySet};
use crate::keys::Opened;
use crate::principal::Principal;
use clap::Subcommand;
use keyward_audit::store::{self, rocks::RocksStore};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Subcommand)]
pub(super) enum Policy {
    /// Check a policy folder as the gateway would load it; exit 4 with every error at once
    #[command(after_help = "Examples:
  keyward policy check
  keyward --output json policy check ~/src/policies      # one finding a line, with file, line and column

Without a folder it checks the configured one. Nothing goes live by it; the language: policies/README.md.")]
    Check {
        /// The folder; the configured one if absent
        #[arg(value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Say of a recorded access which statements were attached to its caller and why each did or did not apply
    #[command(after_help = "Examples:
  keyward audit query --decision deny --limit 10      # finds indexes
  keyward policy explain 4711

It reads the store's files and needs no token. Statements of role/local/SSM_QCSRole are those by which the gateway
itself used the key of the value.")]
    Explain {
        /// The record's index
        index: u64,
    },
    /// Print the creator number of a principal: what `qcs:uin`, `${uin}` and resources name it by
    #[command(after_help = "Examples:
  keyward policy uin user/corp/alice

It reads the root key and the store's files and needs no token.")]
    Uin {
        /// user/<issuer>/<sub>, role/local/<role>, service/<name>, ...
        principal: String,
    },
}

impl Policy {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Check { dir } => check(context, dir),
            Self::Explain { index } => explain(context, index),
            Self::Uin { principal } => uin(context, &principal),
        }
    }
}

fn check(context: &Context, dir: Option<PathBuf>) -> Result<(), Failure> {
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

/// From the store alone: the record holds all that was decided on, and the store the revision that decided.
fn explain(context: &Context, index: u64) -> Result<(), Failure> {
    let config = context.load_config()?;
    let rows = RocksStore::open_read_only(&config.path(&config.storage.path))?;
    let explained = replay::explain(&rows, &config.audit.origin, index).map_err(|error| {
        anyhow::Error::new(error).context(format!("the record at index {index} cannot be explained"))
    })?;
    let draft = explained.record.draft();
    let caller = draft.principal.as_deref().unwrap_or("nobody");
    let engine = Principal::engine_role();
    let asked = explained.statements.iter().map(|statement| statement_row(caller, statement));
    let used = explained.key_use.iter().map(|statement| statement_row(engine.as_str(), statement));
    let statements: Vec<Value> = asked.chain(used).collect();
    let columns = [
        ("of", "/of"),
        ("layer", "/layer"),
        ("document", "/document"),
        ("statement", "/statement"),
        ("effect", "/effect"),
        ("applied", "/applied"),
        ("why not", "/why_not"),
    ];
    context.output.rows(&columns, &statements);
    let decision = draft.decision.map_or("none", |decision| decision.word());
    context.output.say(&format!(
        "{} asked for {}: {decision}{}",
        caller,
        draft.action,
        draft.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default()
    ));
    Ok(())
}

fn statement_row(of: &str, explanation: &Explanation) -> Value {
    json!({
        "of": of,
        "layer": explanation.layer.name(),
        "document": explanation.document,
        "statement": explanation.statement,
        "effect": explanation.effect.name(),
        "applied": explanation.why_not.is_none(),
        "why_not": explanation.why_not.map(|why| why.to_string()),
    })
}

fn uin(context: &Context, principal: &str) -> Result<(), Failure> {
    let principal = Principal::parse(principal).map_err(|error| Failure::Usage(format!("`{principal}`: {error}")))?;
    let config = context.load_config()?;
    let roots = root_keys(&config)?;
    let rows = RocksStore::open_read_only(&config.path(&config.storage.path))?;
    let Opened { keyring, .. } = store::read(&rows, |snapshot| Ok(roots.open(snapshot)))??;
    let number = keyring.creator_number(&principal);
    if context.output.is_json() {
        output::line(&json!({"principal": principal.as_str(), "uin": number.get()}).to_string());
    } else {
        output::line(&number.to_string());
    }
    Ok(())
}
