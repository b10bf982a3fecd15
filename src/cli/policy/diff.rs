//! `keyward policy diff`: what another policy set lets people do, and what it no longer does.

use crate::access::compared::{self, Side, Surroundings};
use crate::authz::{Diff, Direction, Line, RoleChange, Said};
use crate::cli::output::{self, Column};
use crate::cli::{Context, Failure};
use serde_json::{Value, json};
use std::path::Path;

/// Most names of existing secrets that a person is shown for a line.
const SHOWN_MAX: usize = 3;
/// Fields that say in a table's words what others say in parts.
const TABLE_ONLY: [&str; 3] = ["on", "when", "shown"];

pub(super) fn run(context: &Context, old: &str, new: &str, no_new_access: bool) -> Result<(), Failure> {
    let config = context.load_config()?;
    let around = Surroundings::open(&config, &|| crate::cli::root_keys(&config));
    if let Err(why) = &around.secrets {
        context.output.note(&format!("existing secrets and creator numbers are left out: {why}"));
    }
    let set = |text: &str| side(&config, &around, text);
    let (old_set, new_set) = (set(old)?, set(new)?);
    let diff = compared::diff(&old_set, &new_set, &around).map_err(anyhow::Error::new)?;
    print(context, &diff, &around);
    if no_new_access && diff.has_gains() {
        let gains = diff.lines.iter().filter(|line| line.direction == Direction::Gains).count();
        let roles = diff.roles.iter().filter(|role| role.gains()).count();
        return Err(Failure::Invalid(format!("`{new}` gives access that `{old}` does not: {} line(s)", gains + roles)));
    }
    Ok(())
}

/// All changes, with a request that shows each.
pub(super) fn print(context: &Context, diff: &Diff, around: &Surroundings) {
    let rows: Vec<Value> = diff.lines.iter().map(|line| change_row(line, around)).collect();
    let roles: Vec<Value> = diff.roles.iter().map(role_row).collect();
    if context.output.is_json() || !diff.is_empty() {
        print_changes(context, &[Column::whole("", "/change")], rows);
        print_roles(context, &roles);
        context.output.say("\nFor example:");
        diff.lines.iter().for_each(|line| context.output.say(&example(line, around)));
    } else {
        context.output.say("both decide every request alike");
    }
}

/// A revision by its digest, or a folder.
fn side(config: &crate::config::Config, around: &Surroundings, text: &str) -> Result<crate::authz::PolicySet, Failure> {
    let side = match text.strip_prefix("sha256:") {
        Some(_) => Side::Revision(text),
        None => Side::Folder(Path::new(text)),
    };
    compared::load(config, around, &side).map_err(|error| match error {
        compared::LoadError::Findings(findings) => {
            findings.iter().for_each(|finding| output::line(&finding.to_string()));
            Failure::Invalid(format!("`{text}` has {} error(s)", findings.len()))
        }
        other => Failure::Failed(anyhow::Error::new(other).context(format!("`{text}` cannot be compared"))),
    })
}

/// Changes as a table, or one object a line; `first` columns stand before the others.
pub(super) fn print_changes(context: &Context, first: &[Column], mut rows: Vec<Value>) {
    if context.output.is_json() {
        for object in rows.iter_mut().filter_map(Value::as_object_mut) {
            TABLE_ONLY.iter().for_each(|field| drop(object.remove(*field)));
        }
    }
    let more = [
        Column::name("who", "/who"),
        Column::name("actions", "/actions"),
        Column::name("on", "/on"),
        ("when", "/when").into(),
        Column::spare("secrets", "/shown"),
    ];
    let columns: Vec<Column> = first.iter().copied().chain(more).collect();
    if !rows.is_empty() {
        context.output.rows(&columns, &rows);
    }
}

fn print_roles(context: &Context, roles: &[Value]) {
    for role in roles {
        if context.output.is_json() {
            output::line(&role.to_string());
        } else {
            context.output.say(role.get("text").and_then(Value::as_str).unwrap_or_default());
        }
    }
}

/// The request that shows a line, in a sentence.
fn example(line: &Line, around: &Surroundings) -> String {
    let may = if line.direction == Direction::Gains { "may now" } else { "may no longer" };
    let read = line.witness.context.values.iter().filter(|(key, _)| line.reads(**key));
    let values: Vec<String> = read.map(|(key, values)| format!("{}={}", key.name(), values.join("+"))).collect();
    let with = if values.is_empty() { String::new() } else { format!(" with {}", values.join(", ")) };
    let resource = compared::resource_text(&line.witness.target, &around.place);
    let action = line.witness.action.full_name();
    format!("  {}{} {may} {action} on {resource}{with}", line.witness.caller.principal, claims(line))
}

fn claims(line: &Line) -> String {
    let caller = &line.witness.caller;
    let all = caller.groups.iter().chain(&caller.roles).chain(&caller.restricted);
    let all: Vec<&str> = all.map(crate::principal::Principal::as_str).collect();
    if all.is_empty() { String::new() } else { format!(" ({})", all.join(", ")) }
}

const fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Gains => "gains",
        Direction::Loses => "loses",
    }
}

fn said(said: &Said) -> Value {
    json!({"clause": said.text, "holds": said.is_so})
}

fn spoken(all: &[Said]) -> String {
    let one = |said: &Said| format!("{}{}", if said.is_so { "" } else { "not " }, said.text);
    all.iter().map(one).collect::<Vec<_>>().join(" and ")
}

/// A line as an object: stable keys for programs, and what a table shows.
pub(super) fn change_row(line: &Line, around: &Surroundings) -> Value {
    let (conditions, numbers, further) = (line.conditions(), line.callers_numbers(), line.target_further());
    let either = |all: &[Vec<Said>]| all.iter().map(|all| spoken(all)).collect::<Vec<_>>().join(" or ");
    let when = [either(&conditions), either(&numbers)];
    let when = when.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ");
    let (except, more): (Vec<&Said>, Vec<&Said>) =
        further.iter().partition(|said| !said.is_so && said.text.starts_with("name "));
    let except: Vec<&str> = except.iter().filter_map(|said| said.text.strip_prefix("name ")).collect();
    let more: Vec<Said> = more.into_iter().cloned().collect();
    let mut on = line.resource();
    if !except.is_empty() {
        on = format!("{on} except {}", except.join(", "));
    }
    if !more.is_empty() {
        on = format!("{on}, {}", spoken(&more));
    }
    let secrets = around.names_in(line);
    let shown = secrets.as_ref().map(|names| {
        let first = names.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join(", ");
        let left = names.len().saturating_sub(SHOWN_MAX);
        if left > 0 { format!("{first} and {left} more") } else { first }
    });
    json!({
        "change": word(line.direction),
        "who": line.who.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "actions": line.actions(),
        "resource": line.resource(),
        "except": except,
        "further": more.iter().map(said).collect::<Vec<_>>(),
        "condition": conditions.iter().map(|all| all.iter().map(said).collect()).collect::<Vec<Vec<Value>>>(),
        "callers": numbers.iter().map(|all| all.iter().map(said).collect()).collect::<Vec<Vec<Value>>>(),
        "secrets": secrets,
        "witness": witness(line, around),
        "on": on,
        "when": when,
        "shown": shown,
    })
}

/// The request in the words that `policy explain` takes.
fn witness(line: &Line, around: &Surroundings) -> Value {
    let witness = &line.witness;
    let texts = |list: &[crate::principal::Principal]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let values: serde_json::Map<String, Value> =
        witness.context.values.iter().map(|(key, values)| (key.name().to_owned(), json!(values))).collect();
    json!({
        "principal": witness.caller.principal.as_str(),
        "groups": texts(&witness.caller.groups),
        "roles": texts(&witness.caller.roles),
        "restricted": texts(&witness.caller.restricted),
        "uin": witness.creator.get(),
        "action": witness.action.full_name(),
        "resource": compared::resource_text(&witness.target, &around.place),
        "context": values,
    })
}

fn role_row(change: &RoleChange) -> Value {
    match change {
        RoleChange::Service { role, service, direction } => {
            let may = if *direction == Direction::Gains { "may take" } else { "may no longer take" };
            json!({"change": word(*direction), "who": [service.as_str()], "actions": ["sts:AssumeRole"],
                   "resource": role.as_str(), "text": format!("{service} {may} {role}")})
        }
        RoleChange::Session { role, old_s, new_s } => {
            let change = if change.gains() { "gains" } else { "loses" };
            json!({"change": change, "who": [role.as_str()], "longest_session_s": {"old": old_s, "new": new_s},
                   "text": format!("sessions of {role} last at most {new_s} s, before {old_s} s")})
        }
    }
}
