//! `waivers.json`: warnings that somebody answers for, each with who and why. A waiver that fits nothing is reported, so
//! that none outlives its reason; what is wrong with the file is reported, too, and waives nothing.

use super::warning::{Rule, Spot, Warning, Warnings};
use crate::authz::PolicyFile;
use crate::authz::document::{START, find};
use crate::authz::folder::WAIVERS;
use crate::authz::json::{self, AUTHORS_DEPTH_MAX, Member, Node};

/// A warning that somebody answers for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waived {
    /// The warning.
    pub warning: Warning,
    /// Who answers for it.
    pub who: String,
    /// Why it stands.
    pub why: String,
}

/// One waiver and where it stands.
#[derive(Debug)]
struct Waiver<'a> {
    node: &'a Node,
    rule: Rule,
    file: &'a str,
    /// None: anywhere in the file.
    statement: Option<u32>,
    /// None: whatever the text.
    text: Option<&'a str>,
    who: &'a str,
    why: &'a str,
}

impl Waiver<'_> {
    fn fits(&self, warning: &Warning) -> bool {
        self.rule == warning.rule
            && self.file == warning.file
            && self.statement.is_none_or(|statement| warning.statement == Some(statement))
            && self.text.is_none_or(|text| warning.text == text)
    }
}

/// Divides warnings into those that stand and those that are waived; what is wrong with the waivers stands.
pub(super) fn apply(found: Vec<Warning>, files: &[PolicyFile]) -> (Vec<Warning>, Vec<Waived>) {
    let mut warnings = Warnings::default();
    let file = files.iter().find(|file| file.path == WAIVERS);
    let read = file.and_then(|file| read(file, &mut warnings));
    let waivers = read.as_ref().map(|members| parse(members, &mut warnings)).unwrap_or_default();
    let (mut standing, mut waived) = (Vec::new(), Vec::new());
    let mut used = vec![false; waivers.len()];
    for warning in found {
        let mut fitting = waivers.iter().zip(&mut used).filter(|(waiver, _)| waiver.fits(&warning));
        match fitting.next() {
            Some((waiver, used)) => {
                *used = true;
                waived.push(Waived { warning, who: waiver.who.to_owned(), why: waiver.why.to_owned() });
            }
            None => standing.push(warning),
        }
    }
    for (waiver, _) in waivers.iter().zip(&used).filter(|(_, used)| !**used) {
        let message = "no such warning is left in that place: take the waiver out, or write what it is to waive";
        warnings.add(Rule::WaiverUnused, spot(waiver.node, waiver.rule.code()), message);
    }
    standing.extend(warnings.into_list());
    standing.sort();
    (standing, waived)
}

fn spot<'a>(node: &Node, text: &'a str) -> Spot<'a> {
    Spot { file: WAIVERS, at: node.at, text, statement: None }
}

fn read(file: &PolicyFile, warnings: &mut Warnings) -> Option<Vec<Member>> {
    match json::read_nested(&file.bytes, AUTHORS_DEPTH_MAX) {
        Ok(node) => {
            let at = node.at;
            let members = node.into_members();
            if members.is_none() {
                let spot = Spot { file: WAIVERS, at, text: "", statement: None };
                warnings.add(Rule::WaiverError, spot, "the file is a JSON object");
            }
            members
        }
        Err(errors) => {
            for error in errors {
                let spot = Spot { file: WAIVERS, at: error.at, text: &error.text, statement: None };
                warnings.add(Rule::WaiverError, spot, error.message);
            }
            None
        }
    }
}

fn parse<'a>(members: &'a [Member], warnings: &mut Warnings) -> Vec<Waiver<'a>> {
    const FORM: &str = "the file has `version`, the number 1, and `waivers`, a list, and nothing else";
    for member in members.iter().filter(|member| !matches!(member.key.as_str(), "version" | "waivers")) {
        let spot = Spot { file: WAIVERS, at: member.at, text: &member.key, statement: None };
        warnings.add(Rule::WaiverError, spot, FORM);
    }
    let list = find(members, "waivers").and_then(Node::as_list);
    if find(members, "version").and_then(Node::as_number) != Some("1") || list.is_none() {
        warnings.add(Rule::WaiverError, Spot { file: WAIVERS, at: START, text: "", statement: None }, FORM);
    }
    list.unwrap_or_default().iter().filter_map(|node| waiver(node, warnings)).collect()
}

fn waiver<'a>(node: &'a Node, warnings: &mut Warnings) -> Option<Waiver<'a>> {
    const FIELDS: [&str; 6] = ["code", "file", "statement", "text", "who", "why"];
    let mut refuse = |node: &Node, text: &str, message: String| {
        warnings.add(Rule::WaiverError, spot(node, text), message);
        None
    };
    let members = node.as_object().unwrap_or_default();
    if let Some(unknown) = members.iter().find(|member| !FIELDS.contains(&member.key.as_str())) {
        let message = format!("a waiver has `{}` and nothing else", FIELDS.join("`, `"));
        return refuse(node, &unknown.key, message);
    }
    let text = |field: &str| find(members, field).and_then(Node::as_str).filter(|text| !text.trim().is_empty());
    let (Some(code), Some(file), Some(who), Some(why)) = (text("code"), text("file"), text("who"), text("why")) else {
        return refuse(node, "", "a waiver says `code`, `file`, `who` and `why`, each a text".to_owned());
    };
    let Some(rule) = Rule::parse(code).filter(|rule| rule.can_be_waived()) else {
        return refuse(node, code, "no rule of this code can be waived; the codes are W1 to W18 and W21".to_owned());
    };
    let statement = find(members, "statement").map(|node| node.as_number().and_then(|text| text.parse().ok()));
    if statement == Some(None) {
        return refuse(node, code, "`statement` is the 0-based place of a statement, a number".to_owned());
    }
    Some(Waiver { node, rule, file, statement: statement.flatten(), text: text("text"), who, why })
}
