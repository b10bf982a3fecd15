//! Roles of the policy folder: `roles/<name>.json` holds the trust policy of `role/local/<name>`, which says who may
//! take the role. It is checked when the set is loaded; which services may take the role is settled then, and for everybody else
//! its statements are a layer of the decision.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::action_pattern::ActionSet;
use super::attachments::{Known, Placed, Sheddable};
use super::condition::{self, Clause, Keys};
use super::decision::StatementEffect;
use super::document::{
    FILE_BYTES_MAX, Statement, check_version, find, parse_effect, read_object, statement_object, statements,
};
use super::engine::Row;
use super::finding::{Code, Finding, Findings};
use super::json::{Member, Node};
use super::operator::{Comparison, Qualifier};
use super::{PolicyFile, Settings};
use crate::actions::{ACTIONS, ConditionKey, Operation};
use crate::principal::{Kind, Principal};

/// Longest session of a role whose file says nothing, and the most that a file may say, in seconds.
const SESSION_S_MAX: u64 = 43_200;
/// Shortest session of all, in seconds.
pub(super) const SESSION_S_MIN: u64 = 60;

/// What to write instead of a deny that a token sheds: a role file names principals, not issuers.
pub(super) const INSTEAD_OF_DENY: &str =
    "name users, or deny `sts:AssumeRole` in a document attached to `issuer/<name>`";

/// A trust policy: who may take the role, and for how long.
///
/// A service takes its role once, for a whole revision, and not in the circumstances of a request: a condition allows it
/// nothing, and a deny holds whatever its condition.
#[derive(Debug, Default)]
pub(super) struct Trust {
    name: Arc<str>,
    statements: Vec<TrustStatement>,
    longest_session_s: Option<u64>,
    allowed: BTreeSet<String>,
    denied: BTreeSet<String>,
}

/// One statement, and whom it is about.
#[derive(Debug)]
struct TrustStatement {
    principals: Vec<Placed<Principal>>,
    /// Issuers whose tokens count as web identities.
    providers: Vec<String>,
    statement: Arc<Statement>,
}

impl Trust {
    /// Whether `service` may take the role.
    pub(super) fn has(&self, service: &Principal) -> bool {
        self.allowed.contains(service.as_str()) && !self.denied.contains(service.as_str())
    }

    /// Everybody whom it names.
    pub(super) fn principals(&self) -> impl Iterator<Item = &Principal> {
        self.statements.iter().flat_map(|statement| &statement.principals).map(|principal| &principal.value)
    }

    /// Whether somebody who shows a credential may take the role, perhaps.
    pub(super) fn is_for_credentials(&self) -> bool {
        let is_named = |one: &TrustStatement, operation: Operation| {
            one.statement.actions.rows().any(|(_, action)| action.operation == operation)
        };
        let allows = self.statements.iter().filter(|one| one.statement.effect == StatementEffect::Allow);
        allows.into_iter().any(|one| {
            let named = one.principals.iter().any(|principal| principal.value.kind() != Kind::Service);
            (named && is_named(one, Operation::AssumeRole))
                || (!one.providers.is_empty() && is_named(one, Operation::AssumeRoleWithWebIdentity))
        })
    }

    /// Refuses a deny on a group that a token sheds by leaving its groups out (D12).
    pub(super) fn check_sheddable(&self, sheddable: &Sheddable<'_>) -> Vec<Finding> {
        let mut findings = Findings::of(&format!("roles/{}.json", self.name));
        for one in self.statements.iter().filter(|one| one.statement.effect == StatementEffect::Deny) {
            for principal in &one.principals {
                sheddable.check("deny", INSTEAD_OF_DENY, &principal.value, principal.at, &mut findings);
            }
        }
        findings.into_list()
    }

    /// In seconds.
    pub(super) fn longest_session_s(&self) -> u64 {
        self.longest_session_s.unwrap_or(SESSION_S_MAX)
    }

    /// The statements that name the action at this place of the catalogue and the caller: by the issuer of a web identity, or by
    /// what it is or is a member of. `names` says of a principal whether the caller is that, and whether it counts in full: else
    /// it only denies.
    ///
    /// SECURITY: who shows a web identity is allowed by its issuer alone, whatever the actions of other statements match: it is asked
    /// for no grant of its own, so a principal that needs one would do without.
    pub(super) fn rows(
        &self,
        action: usize,
        provider: Option<&str>,
        names: &dyn Fn(&Principal) -> Option<bool>,
    ) -> Vec<Row> {
        let is_web = ACTIONS.get(action).is_some_and(|action| action.operation == Operation::AssumeRoleWithWebIdentity);
        let named = |one: &TrustStatement| {
            let is_provided = provider.is_some_and(|issuer| one.providers.iter().any(|name| name == issuer));
            let counts = |full: bool| (full && !is_web) || one.statement.effect == StatementEffect::Deny;
            let principals = one.principals.iter().map(|principal| &principal.value);
            one.statement.actions.names(action) && (is_provided || principals.filter_map(names).any(counts))
        };
        let statements = self.statements.iter().zip(0..).filter(|(one, _)| named(one));
        statements
            .map(|(one, place)| Row { document: Some(self.name.clone()), place, statement: one.statement.clone() })
            .collect()
    }

    fn add(&mut self, effect: StatementEffect, actions: ActionSet, clauses: Vec<Clause>, members: &[Member]) {
        let all = find(members, "principal").and_then(Node::as_object).unwrap_or_default();
        let of = |key: &'static str| {
            let of_key = all.iter().filter(move |member| member.key == key);
            of_key.flat_map(|member| member.node.one_or_many()).filter_map(|node| Some((node.at, node.as_str()?)))
        };
        if actions.rows().any(|(_, action)| action.operation == Operation::AssumeRole) {
            let services =
                of("qcs").map(|(_, name)| name).filter(|name| name.starts_with("service/")).map(str::to_owned);
            match effect {
                StatementEffect::Deny => self.denied.extend(services),
                StatementEffect::Allow if clauses.is_empty() => self.allowed.extend(services),
                StatementEffect::Allow => {}
            }
        }
        let providers = of("federated").filter_map(|(_, name)| name.strip_prefix("oidc-provider/"));
        let placed = |at, text: &str| Some(Placed { at, text: text.to_owned(), value: Principal::parse(text).ok()? });
        self.statements.push(TrustStatement {
            principals: of("qcs").filter_map(|(at, text)| placed(at, text)).collect(),
            providers: providers.map(str::to_owned).collect(),
            statement: Arc::new(Statement::of_trust(effect, actions, clauses)),
        });
    }
}

/// Reads a trust policy.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn read(file: &PolicyFile, known: &Known<'_>, settings: &Settings) -> Result<Trust, Vec<Finding>> {
    let mut findings = Findings::of(&file.path);
    let name = file.path.strip_prefix("roles/").and_then(|name| name.strip_suffix(".json")).unwrap_or_default();
    let mut trust = Trust { name: name.into(), ..Trust::default() };
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
    for member in &members {
        match member.key.as_str() {
            "version" | "statement" => {}
            "max_session_s" => trust.longest_session_s = read_session(&member.node, findings),
            other => findings.add(
                member.at,
                Code::AttachmentError,
                other,
                "a role file has `version`, `statement` and perhaps `max_session_s`, and nothing else",
            ),
        }
    }
    check_version(find(&members, "version"), Code::AttachmentError, findings);
    for node in statements(find(&members, "statement"), findings) {
        check_statement(node, known, settings, trust, findings);
    }
}

/// Reads `max_session_s`.
fn read_session(node: &Node, findings: &mut Findings) -> Option<u64> {
    let seconds = node.as_number().and_then(|text| text.parse().ok());
    let seconds = seconds.filter(|seconds| (SESSION_S_MIN..=SESSION_S_MAX).contains(seconds));
    if seconds.is_none() {
        let message = "`max_session_s` is a number of seconds from 60 to 43200";
        findings.add(node.at, Code::AttachmentError, &node.text(), message);
    }
    seconds
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
    let actions = check_actions(members, node, findings);
    let federated = check_principal(find(members, "principal"), node, known, findings);
    let account = &settings.place.account;
    let clauses = find(members, "condition")
        .map(|node| condition::parse(node, Keys::Trust, account, findings))
        .unwrap_or_default();
    if federated && effect == Some(StatementEffect::Allow) {
        check_federated(&clauses, node, findings);
    }
    if let (Some(effect), Some(actions)) = (effect, actions) {
        trust.add(effect, actions, clauses, members);
    }
}

/// Reads `action`: the taking of roles and nothing else.
fn check_actions(members: &[Member], statement: &Node, findings: &mut Findings) -> Option<ActionSet> {
    let node = find(members, "action");
    let actions = ActionSet::parse(node, statement.at, &|_| false, findings);
    for (_, action) in actions.rows() {
        if !matches!(action.operation, Operation::AssumeRole | Operation::AssumeRoleWithWebIdentity) {
            let at = node.map_or(statement.at, |node| node.at);
            let message = "a trust policy grants `name/sts:AssumeRole` or `name/sts:AssumeRoleWithWebIdentity`";
            findings.add(at, Code::ActionError, &action.full_name(), message);
            return None;
        }
    }
    Some(actions)
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
    let bound = |key: ConditionKey, exactly: bool| {
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
        ("oidc:iss", bound(ConditionKey::OidcIssuer, true), "`string_equal`"),
        ("oidc:aud", bound(ConditionKey::OidcAudience, true), "`string_equal`"),
        ("oidc:sub", bound(ConditionKey::OidcSubject, false), "a string operator"),
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
