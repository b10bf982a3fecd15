//! `keyward policy explain`: why an access was or would be allowed or denied; who may do something; what somebody may do.

use super::diff::{change_row, print_changes};
use crate::access::asked::{self, Written};
use crate::access::compared::{self, Side, Surroundings};
use crate::access::replay;
use crate::authz::{Explanation, Line, PolicySet, SecretAsked, Verdict};
use crate::cli::output::{self, Column};
use crate::cli::{Context, Failure, root_keys};
use crate::config::Config;
use crate::principal::Principal;
use anyhow::anyhow;
use clap::Args;
use keyward_audit::log;
use keyward_audit::store::rocks::RocksStore;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

#[derive(Args)]
pub(in crate::cli) struct Explain {
    /// The record's index
    #[arg(value_name = "INDEX", conflicts_with_all = ["principal", "who_can", "what_can"])]
    record: Option<u64>,
    /// The record's index
    #[arg(long, value_name = "INDEX", conflicts_with_all = ["record", "principal", "who_can", "what_can"])]
    index: Option<u64>,
    /// Who would ask; for a role, a session of it
    #[arg(long, value_name = "PRINCIPAL", requires = "action")]
    principal: Option<String>,
    /// A group of the caller's token
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    /// A role of the caller's token
    #[arg(long, value_name = "ROLE")]
    role: Vec<String>,
    /// What for
    #[arg(long, value_name = "ACTION", requires = "principal")]
    action: Option<String>,
    /// On what: a secret's name, or six segments
    #[arg(long, value_name = "NAME", requires = "principal")]
    resource: Option<String>,
    /// A condition key and a value; without value, the request lacks it. May be given several times
    #[arg(long, value_name = "KEY=VALUE", requires = "principal")]
    context: Vec<String>,
    /// Who may do this; on a secret of this name, if one is given: for actions on secrets
    #[arg(long, num_args = 1..=2, value_names = ["ACTION", "NAME"], conflicts_with_all = ["principal", "what_can"])]
    who_can: Vec<String>,
    /// What this principal may do, or whoever has this group or role of a token
    #[arg(long, value_name = "PRINCIPAL", conflicts_with = "principal")]
    what_can: Option<String>,
    /// Another policy folder than the configured one
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
}

const NOTHING_ASKED: &str = "say what is to be explained: an index, --principal with --action, --who-can or --what-can";

impl Explain {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        if let Some(index) = self.record.or(self.index) {
            return recorded(context, index);
        }
        if self.principal.is_none() && self.who_can.is_empty() && self.what_can.is_none() {
            return Err(Failure::Usage(NOTHING_ASKED.to_owned()));
        }
        let config = context.load_config()?;
        let around = Surroundings::open(&config, &|| root_keys(&config));
        if let Err(why) = &around.secrets {
            context.output.note(&format!("existing secrets and creator numbers are left out: {why}"));
        }
        let set = self.set(&config, &around)?;
        match (&self.principal, &self.what_can) {
            (Some(principal), _) => self.why(context, &set, &around, principal),
            (None, Some(principal)) => self.what(context, &set, &around, principal),
            (None, None) => self.who(context, &set, &around),
        }
    }

    fn set(&self, config: &Config, around: &Surroundings) -> Result<PolicySet, Failure> {
        let dir = self.policies.clone().unwrap_or_else(|| config.path(&config.policy.path));
        compared::load(config, around, &Side::Folder(&dir)).map_err(|error| match error {
            compared::LoadError::Findings(findings) => {
                findings.iter().for_each(|finding| output::line(&finding.to_string()));
                Failure::Invalid(format!("`{}` has {} error(s)", dir.display(), findings.len()))
            }
            other => Failure::Failed(anyhow::Error::new(other)),
        })
    }

    fn claims(&self) -> Vec<String> {
        self.group.iter().chain(&self.role).cloned().collect()
    }

    fn why(&self, context: &Context, set: &PolicySet, around: &Surroundings, principal: &str) -> Result<(), Failure> {
        let pair = |text: &String| {
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            (key.to_owned(), value.to_owned())
        };
        let given: Vec<(String, String)> = self.context.iter().map(pair).collect();
        let claims = self.claims();
        let action = self.action.as_deref().unwrap_or_default();
        let written =
            Written { principal, claims: &claims, action, resource: self.resource.as_deref(), context: &given };
        let request = asked::request(&written, around).map_err(|error| Failure::Usage(error.to_string()))?;
        let told = asked::told(set, &request).map_err(anyhow::Error::new)?;
        let decision = told.decision.outcome;
        let bearing: Vec<&Explanation> = told.statements.iter().filter(|one| !one.parts.is_empty()).collect();
        let remedies: Vec<String> = told.remedies.iter().map(ToString::to_string).collect();
        let resource = compared::resource_text(&request.target, &around.place);
        let values: serde_json::Map<String, Value> =
            request.context.values.iter().map(|(key, values)| (key.name().to_owned(), json!(values))).collect();
        if context.output.is_json() {
            let statements: Vec<Value> = bearing.iter().map(|one| statement_row(principal, one)).collect();
            let answer = json!({
                "principal": principal, "action": request.action.full_name(), "resource": resource,
                "context": values, "decision": decision.name(), "reason": decision.reason(),
                "revision": set.revision(), "statements": statements, "would_allow": remedies,
            });
            output::line(&answer.to_string());
            return Ok(());
        }
        let reason = decision.reason().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let action = request.action.full_name();
        context.output.say(&format!("{principal} asks for {action} on {resource}: {}{reason}", decision.name()));
        for one in &bearing {
            print_statement(context, one);
        }
        let silent = told.statements.len().saturating_sub(bearing.len());
        if silent > 0 {
            context.output.say(&format!("{silent} further attached statement(s) do not name the action"));
        }
        if decision != Verdict::Allow {
            context.output.say("It would be allowed if:");
            remedies.iter().for_each(|remedy| context.output.say(&format!("  {remedy}")));
        }
        Ok(())
    }

    fn who(&self, context: &Context, set: &PolicySet, around: &Surroundings) -> Result<(), Failure> {
        let (action, name) = match self.who_can.as_slice() {
            [action, name, ..] => (action, Some(name)),
            [action] => (action, None),
            [] => return Err(Failure::Usage(NOTHING_ASKED.to_owned())),
        };
        let usage = |error: asked::WrittenError| Failure::Usage(error.to_string());
        let action = asked::action(action).map_err(usage)?;
        let name = name.map(|name| asked::secret_of(action, name)).transpose().map_err(usage)?;
        let creator = name.as_ref().and_then(|name| around.creator_of(name));
        let secret = name.as_ref().map(|name| SecretAsked { name, creator });
        let lines = compared::who_can(set, action, secret, around).map_err(anyhow::Error::new)?;
        print_allowed(context, set, &lines, around, name.as_ref().map(|name| name.as_str()));
        Ok(())
    }

    fn what(&self, context: &Context, set: &PolicySet, around: &Surroundings, principal: &str) -> Result<(), Failure> {
        let usage = |error: asked::WrittenError| Failure::Usage(error.to_string());
        let principal = asked::somebody(principal).map_err(usage)?;
        let claims = self.claims().iter().map(|text| asked::principal(text)).collect::<Result<Vec<_>, _>>();
        let claims = claims.map_err(usage)?;
        let lines = compared::what_can(set, &principal, &claims, around).map_err(anyhow::Error::new)?;
        print_allowed(context, set, &lines, around, None);
        Ok(())
    }
}

fn print_statement(context: &Context, one: &Explanation) {
    let of = one.document.as_deref().unwrap_or("session policy");
    let outcome = one.why_not.map_or_else(|| "applies".to_owned(), |why| format!("does not apply: {why}"));
    context.output.say(&format!(
        "{} {of} statement {} ({}): {outcome}",
        one.effect.name(),
        one.statement,
        one.layer.name()
    ));
    one.parts.iter().for_each(|part| context.output.say(&format!("    {part}")));
}

/// What a set allows, with the statements by which it does.
fn print_allowed(context: &Context, set: &PolicySet, lines: &[Line], around: &Surroundings, name: Option<&str>) {
    let by = |line: &Line| -> BTreeSet<String> {
        let requests = std::iter::once(&line.witness).chain(&line.further);
        let layers = requests.flat_map(|request| set.decide(&request.question()).layers);
        layers.filter_map(|deciding| Some(format!("{} {}", deciding.document?, deciding.statement?))).collect()
    };
    let row = |line: &Line| {
        let mut row = change_row(line, around);
        if let Some(object) = row.as_object_mut() {
            object.remove("change");
            object.insert("by".to_owned(), json!(by(line)));
            if name.is_some() {
                ["secrets", "shown"].iter().for_each(|field| drop(object.remove(*field)));
            }
            // Of one secret nothing but who made it is open.
            for (field, name) in ["on", "resource"].into_iter().zip(std::iter::repeat(name)) {
                let text = object.get(field).and_then(Value::as_str).unwrap_or_default();
                if let (Some(name), Some((creator, _))) = (name, text.rsplit_once('/').filter(|_| text.ends_with("/*")))
                {
                    object.insert(field.to_owned(), json!(format!("{creator}/{name}")));
                }
            }
        }
        row
    };
    let rows = together(lines.iter().map(row));
    if rows.is_empty() {
        context.output.say("nobody, nothing");
        return;
    }
    print_changes(context, &[("by", "/by").into()], rows);
}

/// Callers who may do the same by the same statements, in one row.
fn together(rows: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::new();
    for row in rows {
        let is_alike = |other: &Value| {
            let (Some(one), Some(other)) = (row.as_object(), other.as_object()) else { return false };
            one.iter()
                .all(|(field, value)| ["who", "witness"].contains(&field.as_str()) || other.get(field) == Some(value))
        };
        match merged.iter_mut().find(|other| is_alike(other)) {
            Some(other) => {
                let more = row.get("who").and_then(Value::as_array).cloned().unwrap_or_default();
                if let Some(who) = other.get_mut("who").and_then(Value::as_array_mut) {
                    who.extend(more);
                }
            }
            None => merged.push(row),
        }
    }
    merged
}

/// From the store alone: the record holds all that was decided on, and the store the revision that decided.
fn recorded(context: &Context, index: u64) -> Result<(), Failure> {
    let config = context.load_config()?;
    let rows = RocksStore::open_read_only(&config.path(&config.storage.path))?;
    if log::record_at(&rows, &config.audit.origin, index)?.is_none() {
        return Err(anyhow!("there is no record {index}").into());
    }
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
        Column::from(("of", "/of")),
        ("layer", "/layer").into(),
        ("document", "/document").into(),
        ("statement", "/statement").into(),
        ("effect", "/effect").into(),
        ("applied", "/applied").into(),
        ("why not", "/why_not").into(),
    ];
    context.output.rows(&columns, &statements);
    let decision = draft.decision.map_or("none", |decision| decision.word());
    context.output.say(&format!(
        "{} asked for {}: {decision}{}",
        caller,
        draft.action,
        draft.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default()
    ));
    if !context.output.is_json() && !explained.remedies.is_empty() {
        context.output.say("It would be allowed if:");
        explained.remedies.iter().for_each(|remedy| context.output.say(&format!("  {remedy}")));
    }
    Ok(())
}

fn statement_row(of: &str, explanation: &Explanation) -> Value {
    let part = |part: &crate::authz::Part| json!({"text": part.text, "holds": part.holds, "found": part.found, "unknown": part.is_unknown});
    json!({
        "of": of,
        "layer": explanation.layer.name(),
        "document": explanation.document,
        "statement": explanation.statement,
        "effect": explanation.effect.name(),
        "applied": explanation.why_not.is_none(),
        "why_not": explanation.why_not.map(|why| why.to_string()),
        "parts": explanation.parts.iter().map(part).collect::<Vec<Value>>(),
    })
}
