//! Roles of the policy folder: `roles/<name>.json` holds the trust policy of `role/local/<name>`, which says who may
//! take the role. It is checked when the set is loaded, and which services may take the role is settled then.

use std::collections::BTreeSet;

use super::action_pattern::ActionSet;
use super::attachments::Known;
use super::condition::{self, Clause, Key, Keys};
use super::decision::StatementEffect;
use super::document::{FILE_BYTES_MAX, check_version, find, parse_effect, read_object, statement_object, statements};
use super::finding::{Code, Finding, Findings};
use super::json::{Member, Node};
use super::operator::{Comparison, Qualifier};
use super::{PolicyFile, Settings};
use crate::actions::Operation;
use crate::principal::Principal;

/// The services that a trust policy names. A service takes its role once, for a whole revision, and not in the
/// circumstances of a request: a condition allows it nothing, and a deny holds whatever its condition.
#[derive(Debug, Default)]
pub(super) struct Trust {
    allowed: BTreeSet<String>,
    denied: BTreeSet<String>,
}

impl Trust {
    /// Whether `service` may take the role.
    pub(super) fn has(&self, service: &Principal) -> bool {
        self.allowed.contains(service.as_str()) && !self.denied.contains(service.as_str())
    }

    fn add(&mut self, effect: StatementEffect, members: &[Member]) {
        let principals = find(members, "principal").and_then(Node::as_object).unwrap_or_default();
        let named = principals.iter().filter(|member| member.key == "qcs").flat_map(|member| member.node.one_or_many());
        let services = named.filter_map(Node::as_str).filter(|name| name.starts_with("service/")).map(str::to_owned);
        match effect {
            StatementEffect::Deny => self.denied.extend(services),
            StatementEffect::Allow if find(members, "condition").is_none() => self.allowed.extend(services),
            StatementEffect::Allow => {}
        }
    }
}

/// Reads a trust policy.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn read(file: &PolicyFile, known: &Known<'_>, settings: &Settings) -> Result<Trust, Vec<Finding>> {
    let mut findings = Findings::of(&file.path);
    let mut trust = Trust::default();
    check_file(file, known, settings, &mut trust, &mut findings);
    if findings.is_empty() { Ok(trust) } else { Err(findings.into_list()) }
}

fn check_file(file: &PolicyFile, known: &Known<'_>, settings: &Settings, trust: &mut Trust, findings: &mut Findings) {
    if file.bytes.len() > FILE_BYTES_MAX {
        findings.add_file(Code::AttachmentError, "", "a role file is at most 256 KiB");
        return;
    }
    let Some(members) = read_object(file, Code::AttachmentError, findings) else {
        return;
    };
    for member in members.iter().filter(|member| !matches!(member.key.as_str(), "version" | "statement")) {
        findings.add(
            member.at,
            Code::AttachmentError,
            &member.key,
            "a role file has `version` and `statement` and nothing else",
        );
    }
    check_version(find(&members, "version"), Code::AttachmentError, findings);
    for node in statements(find(&members, "statement"), findings) {
        check_statement(node, known, settings, trust, findings);
    }
}

fn check_statement(node: &Node, known: &Known<'_>, settings: &Settings, trust: &mut Trust, findings: &mut Findings) {
    let Some(members) = statement_object(node, findings) else {
        return;
    };
    for member in members {
        if !matches!(member.key.as_str(), "effect" | "action" | "principal" | "condition") {
            findings.add(
                member.at,
                Code::AttachmentError,
                &member.key,
                "a statement of a trust policy has `effect`, `action`, `principal` and `condition` and nothing else",
            );
        }
    }
    let effect = parse_effect(find(members, "effect"), node.at, findings);
    let is_for_services = check_actions(members, node, findings);
    let federated = check_principal(find(members, "principal"), node, known, findings);
    let account = &settings.place.account;
    let clauses = find(members, "condition")
        .map(|node| condition::parse(node, Keys::Trust, account, findings))
        .unwrap_or_default();
    if federated && effect == Some(StatementEffect::Allow) {
        check_federated(&clauses, node, findings);
    }
    if let Some(effect) = effect.filter(|_| is_for_services) {
        trust.add(effect, members);
    }
}

/// Checks `action`; whether it names AssumeRole, by which services take roles.
fn check_actions(members: &[Member], statement: &Node, findings: &mut Findings) -> bool {
    let node = find(members, "action");
    let actions = ActionSet::parse(node, statement.at, &|_| false, findings);
    for (_, action) in actions.rows() {
        if !matches!(action.operation, Operation::AssumeRole | Operation::AssumeRoleWithWebIdentity) {
            let at = node.map_or(statement.at, |node| node.at);
            let message = "a trust policy grants `name/sts:AssumeRole` or `name/sts:AssumeRoleWithWebIdentity`";
            findings.add(at, Code::ActionError, &action.full_name(), message);
            return false;
        }
    }
    actions.rows().any(|(_, action)| action.operation == Operation::AssumeRole)
}

/// Checks `principal`; whether it names web identities.
fn check_principal(node: Option<&Node>, statement: &Node, known: &Known<'_>, findings: &mut Findings) -> bool {
    const FORM: &str = "`principal` is an object with `qcs` (a list of principals) or `federated` (a list of `oidc-provider/<issuer>`)";
    let at = node.map_or(statement.at, |node| node.at);
    let members = node.and_then(Node::as_object).unwrap_or_default();
    if members.is_empty() {
        findings.add(at, Code::PrincipalError, &node.map(Node::text).unwrap_or_default(), FORM);
    }
    let mut federated = false;
    for member in members {
        let names = member.node.one_or_many();
        if names.is_empty() {
            findings.add(member.at, Code::PrincipalError, &member.key, "at least one principal is expected");
        }
        match member.key.as_str() {
            "qcs" => names.iter().for_each(|name| check_name(name, known, findings)),
            "federated" => {
                federated = true;
                names.iter().for_each(|name| check_provider(name, known, findings));
            }
            other => findings.add(member.at, Code::PrincipalError, other, FORM),
        }
    }
    federated
}

fn check_name(node: &Node, known: &Known<'_>, findings: &mut Findings) {
    let result = match node.as_str() {
        Some(text) => known.principal(text).map(|_| ()),
        None => Err((Code::PrincipalQcsError, "a principal is a string".to_owned())),
    };
    if let Err((code, message)) = result {
        findings.add(node.at, code, &node.text(), message);
    }
}

fn check_provider(node: &Node, known: &Known<'_>, findings: &mut Findings) {
    let text = node.text();
    let issuer = node.as_str().and_then(|text| text.strip_prefix("oidc-provider/"));
    match issuer {
        Some(issuer) if known.has_issuer(issuer) => {}
        Some(_) => findings.add(node.at, Code::PrincipalQcsNotExist, &text, known.issuers_message()),
        None => {
            let (code, message) = known.foreign_form(&text);
            findings.add(node.at, code, &text, message);
        }
    }
}

/// A web identity needs its issuer, its audience and its subject named: without `oidc:sub` every workload of the
/// issuer could take the role.
fn check_federated(clauses: &[Clause], statement: &Node, findings: &mut Findings) {
    let bound = |key: Key, exactly: bool| {
        clauses.iter().any(|clause| {
            let operator = clause.operator;
            let comparison = match operator.comparison {
                Comparison::Equal => true,
                Comparison::EqualIgnoreCase | Comparison::Like => !exactly,
                Comparison::Date(_) | Comparison::Number(_) | Comparison::Bool | Comparison::Ip | Comparison::Null => {
                    false
                }
            };
            clause.key == key
                && comparison
                && !operator.negated
                && !operator.if_exist
                && (!exactly || operator.qualifier != Qualifier::All)
        })
    };
    for (name, found, how) in [
        ("oidc:iss", bound(Key::OidcIssuer, true), "`string_equal`"),
        ("oidc:aud", bound(Key::OidcAudience, true), "`string_equal`"),
        ("oidc:sub", bound(Key::OidcSubject, false), "a string operator"),
    ] {
        if !found {
            let message = format!(
                "with `federated` the condition names this key with {how}, without `_if_exist` and not negated"
            );
            findings.add(statement.at, Code::ConditionContentError, name, message);
        }
    }
}

#[cfg(test)]
#[path = "role_tests.rs"]
mod tests;
