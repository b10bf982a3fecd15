//! The smallest folder that still shows a difference: parts are dropped one at a time, as long as it stays.

use serde_json::Value;

use super::world::{Attachment, World};

/// Drops parts of `world` while `differs` holds.
pub(super) fn shrunk(mut world: World, differs: impl Fn(&World) -> bool) -> World {
    while let Some(smaller) = smaller_worlds(&world).into_iter().find(|smaller| differs(smaller)) {
        world = smaller;
    }
    world
}

fn smaller_worlds(world: &World) -> Vec<World> {
    let mut out = Vec::new();
    for name in world.documents.keys() {
        let mut smaller = world.clone();
        smaller.documents.remove(name);
        smaller.attachments.retain(|(policy, _)| policy != name);
        smaller.boundaries.retain(|(policy, _)| policy != name);
        out.push(smaller);
    }
    for (attachments, part) in [(&world.attachments, false), (&world.boundaries, true)] {
        for list in shorter_attachments(attachments) {
            let mut smaller = world.clone();
            if part {
                smaller.boundaries = list
            } else {
                smaller.attachments = list
            }
            out.push(smaller);
        }
    }
    for (length, is_other) in [(world.trust.len(), false), (world.other_trust.len(), true)] {
        for at in 0..length {
            let mut smaller = world.clone();
            let list = if is_other { &mut smaller.other_trust } else { &mut smaller.trust };
            list.remove(at);
            out.push(smaller);
        }
    }
    out.extend(smaller_groups(world));
    out.extend(smaller_documents(world));
    out
}

fn without<T: Clone>(list: &[T], at: usize) -> Vec<T> {
    let mut shorter = list.to_vec();
    shorter.remove(at);
    shorter
}

fn shorter_attachments(list: &[Attachment]) -> Vec<Vec<Attachment>> {
    let mut out: Vec<Vec<Attachment>> = (0..list.len()).map(|at| without(list, at)).collect();
    for (at, (_, to)) in list.iter().enumerate() {
        for target in 0..to.len() {
            let mut shorter = list.to_vec();
            shorter[at].1.remove(target);
            out.push(shorter);
        }
    }
    out
}

fn smaller_groups(world: &World) -> Vec<World> {
    let mut out = Vec::new();
    for (name, members) in &world.groups {
        let mut smaller = world.clone();
        smaller.groups.remove(name);
        out.push(smaller);
        for at in 0..members.len() {
            let mut smaller = world.clone();
            smaller.groups.insert(name.clone(), without(members, at));
            out.push(smaller);
        }
    }
    out
}

/// Worlds with a shorter or simpler document or session policy.
fn smaller_documents(world: &World) -> Vec<World> {
    let mut out = Vec::new();
    for (name, statements) in &world.documents {
        for simpler in simpler_lists(statements) {
            let mut smaller = world.clone();
            smaller.documents.insert(name.clone(), simpler);
            out.push(smaller);
        }
    }
    for (at, statements) in world.sessions.iter().enumerate() {
        for simpler in simpler_lists(statements) {
            let mut smaller = world.clone();
            smaller.sessions[at] = simpler;
            out.push(smaller);
        }
    }
    out
}

fn simpler_lists(statements: &[Value]) -> Vec<Vec<Value>> {
    let mut out = Vec::new();
    for (at, statement) in statements.iter().enumerate() {
        if statements.len() > 1 {
            out.push(without(statements, at));
        }
        for simpler in simpler_statements(statement) {
            let mut list = statements.to_vec();
            list[at] = simpler;
            out.push(list);
        }
    }
    out
}

/// Statements with one action, resource, operator, key or value less.
fn simpler_statements(statement: &Value) -> Vec<Value> {
    let mut out = Vec::new();
    for part in ["action", "resource", "condition"] {
        if let Some(value) = statement.get(part) {
            for simpler in simpler_values(value) {
                let mut smaller = statement.clone();
                smaller[part] = simpler;
                out.push(smaller);
            }
        }
    }
    if statement.get("condition").is_some() {
        let mut smaller = statement.clone();
        smaller.as_object_mut().expect("a statement").remove("condition");
        out.push(smaller);
    }
    out
}

/// A list or an object without one of its parts, or with one part simpler; never empty.
fn simpler_values(value: &Value) -> Vec<Value> {
    let mut out = Vec::new();
    match value {
        Value::Array(list) if list.len() > 1 => out.extend((0..list.len()).map(|at| Value::from(without(list, at)))),
        Value::Object(map) => {
            for (key, inner) in map {
                let mut shorter = map.clone();
                shorter.remove(key);
                if !shorter.is_empty() {
                    out.push(Value::Object(shorter));
                }
                for simpler in simpler_values(inner) {
                    let mut other = map.clone();
                    other.insert(key.clone(), simpler);
                    out.push(Value::Object(other));
                }
            }
        }
        _ => {}
    }
    out
}
