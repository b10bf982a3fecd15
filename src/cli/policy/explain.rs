//! `keyward policy explain`: why a recorded access was allowed or denied.

use crate::access::replay;
use crate::authz::Explanation;
use crate::cli::{Context, Failure};
use crate::principal::Principal;
use keyward_audit::store::rocks::RocksStore;
use serde_json::{Value, json};

/// From the store alone: the record holds all that was decided on, and the store the revision that decided.
pub(super) fn run(context: &Context, index: u64) -> Result<(), Failure> {
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
