//! `attachments.json` with suggestions in it: documents that go are attached to nobody; what takes the place of all that is attached to
//! one principal is attached to it alone. Groups stay as they are written; boundaries, too, but those of documents that go: they bound nobody.

use super::Suggestion;
use crate::authz::document::find;
use crate::authz::json::{self, Member, Node, Value};

pub(super) const PATH: &str = "attachments.json";
const LIST: &str = "attachments";
const BOUNDARIES: &str = "boundaries";

/// The file's bytes with suggestions; as they are if none of them changes an attachment.
pub(super) fn with(bytes: &[u8], suggestions: &[Suggestion]) -> Vec<u8> {
    let Some(members) = json::read(bytes).ok().and_then(Node::into_members) else { return bytes.to_vec() };
    let list = |name: &str| find(&members, name).and_then(Node::as_list).unwrap_or_default();
    let (attachments, boundaries) = (changed(list(LIST), suggestions), bounding(list(BOUNDARIES), suggestions));
    if attachments == list(LIST) && boundaries == list(BOUNDARIES) {
        return bytes.to_vec();
    }
    let members = members.iter().map(|member| match member.key.as_str() {
        LIST => Member::new(LIST, Node::new(Value::List(attachments.clone()))),
        BOUNDARIES => Member::new(BOUNDARIES, Node::new(Value::List(boundaries.clone()))),
        _ => member.clone(),
    });
    Node::new(Value::Object(members.collect())).file_text().into_bytes()
}

/// The boundaries without those of documents that go.
fn bounding(list: &[Node], suggestions: &[Suggestion]) -> Vec<Node> {
    let going: Vec<&Suggestion> = suggestions.iter().filter(|one| one.text.is_none() && one.who.is_none()).collect();
    list.iter().filter_map(|boundary| kept(boundary, &going)).collect()
}

fn changed(list: &[Node], suggestions: &[Suggestion]) -> Vec<Node> {
    // What only cuts a document leaves it attached to whom it was.
    let changing = |one: &&Suggestion| one.text.is_none() || one.who.is_some();
    let changing: Vec<&Suggestion> = suggestions.iter().filter(changing).collect();
    let mut left: Vec<Node> = list.iter().filter_map(|attachment| kept(attachment, &changing)).collect();
    left.extend(changing.iter().filter_map(|one| attached(one)));
    left
}

/// What is left of an attachment.
fn kept(attachment: &Node, suggestions: &[&Suggestion]) -> Option<Node> {
    let members = attachment.as_object()?;
    let policy = find(members, "policy").and_then(Node::as_str).unwrap_or_default();
    if suggestions.iter().any(|one| one.who.is_none() && one.name() == policy) {
        return None;
    }
    let is_gone = |to: &Node| {
        let mut principals = suggestions.iter().filter_map(|one| one.who.as_ref());
        principals.any(|who| to.as_str() == Some(who.as_str()))
    };
    let to = find(members, "to").and_then(Node::as_list).unwrap_or_default();
    let left: Vec<Node> = to.iter().filter(|to| !is_gone(to)).cloned().collect();
    if left.len() == to.len() {
        return Some(attachment.clone());
    }
    let members = members.iter().map(|member| match member.key.as_str() {
        "to" => Member::new("to", Node::new(Value::List(left.clone()))),
        _ => member.clone(),
    });
    (!left.is_empty()).then(|| Node::new(Value::Object(members.collect())))
}

/// The attachment of what takes the place of all that is attached to one principal.
fn attached(suggestion: &Suggestion) -> Option<Node> {
    let who = suggestion.who.as_ref().filter(|_| suggestion.text.is_some())?;
    let text = |text: &str| Node::new(Value::String(text.to_owned()));
    let policy = Member::new("policy", text(suggestion.name()));
    let to = Member::new("to", Node::new(Value::List(vec![text(who.as_str())])));
    Some(Node::new(Value::Object(vec![policy, to])))
}
