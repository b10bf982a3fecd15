//! What an absent key does (W1, W2, W3): it makes every operator without `_if_exist` false, negated ones too, so that a
//! deny does not fire; and it makes every operator with `_if_exist` true, so that an allow is wider than it looks.

use super::warning::{Rule, Warnings};
use super::written::{Written, WrittenClause};
use crate::actions::{Action, ConditionKey, Level};
use crate::authz::operator::Qualifier;

/// Names of actions that a message lists.
const NAMES_MAX: usize = 3;

pub(super) fn check(statement: &Written<'_>, warnings: &mut Warnings) {
    for clause in &statement.clauses {
        let lacking = Lacking::of(statement, clause.key);
        let Some(lacking) = lacking else { continue };
        match (statement.denies(), clause.operator.if_exist) {
            (true, false) => check_deny(statement, clause, &lacking, warnings),
            (false, true) => check_allow(statement, clause, &lacking, warnings),
            (true, true) | (false, false) => {}
        }
    }
}

fn check_deny(statement: &Written<'_>, clause: &WrittenClause<'_>, lacking: &Lacking, warnings: &mut Warnings) {
    let (operator, key) = (clause.operator_text(), clause.key.name());
    let instead = lacking.instead(&format!("write `{operator}_if_exist`"));
    if clause.operator.negated {
        let message = format!("without `{key}` ({lacking}) this deny does not fire: {instead}");
        warnings.add(Rule::NegatedDenyAbsent, clause.spot(statement), message);
    }
    if clause.operator.qualifier == Qualifier::All {
        let message =
            format!("of no `{key}` at all ({lacking}) nothing is held, so this deny does not fire: {instead}");
        warnings.add(Rule::ForAllDenyEmpty, clause.spot(statement), message);
    }
}

fn check_allow(statement: &Written<'_>, clause: &WrittenClause<'_>, lacking: &Lacking, warnings: &mut Warnings) {
    let (operator, key) = (clause.operator_text(), clause.key.name());
    let plain = operator.strip_suffix("_if_exist").unwrap_or(operator);
    let message = format!("without `{key}` ({lacking}) this allows: write `{plain}`, unless that is meant");
    warnings.add(Rule::AllowIfAbsent, clause.spot(statement), message);
}

/// When a request that a statement is about has no value for a key.
struct Lacking {
    key: ConditionKey,
    /// Actions that never have the key.
    never: Vec<String>,
    /// Whether others may lack it.
    sometimes: bool,
}

impl Lacking {
    /// `None` if every request has the key.
    fn of(statement: &Written<'_>, key: ConditionKey) -> Option<Self> {
        let reaching = &statement.reaching;
        let never = reaching.iter().filter(|(_, action)| !action.has_key(key));
        let never: Vec<String> = never.map(|(_, action)| action.full_name()).collect();
        let sometimes = reaching.iter().any(|(_, action)| action.has_key(key) && may_lack(statement, action, key));
        (sometimes || !never.is_empty()).then_some(Self { key, never, sometimes })
    }

    /// What to write, and what that does beside.
    fn instead(&self, write: &str) -> String {
        if self.never.is_empty() {
            return write.to_owned();
        }
        let names = listed(&self.never);
        format!("{write}, or name {names} in another statement, which would be denied by it whatever the request")
    }
}

impl std::fmt::Display for Lacking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let usual = match self.key {
            ConditionKey::Ip => "over a Unix socket",
            ConditionKey::ResourceTag => "a secret without tags",
            ConditionKey::RequestTag => "a request that sets no tags",
            ConditionKey::CreateUin => "a search that names no secret",
            _ => "a request that has none",
        };
        match (self.sometimes, self.never.as_slice()) {
            (true, []) => f.write_str(usual),
            (true, never) => write!(f, "{usual}, {}", listed(never)),
            (false, never) => f.write_str(&listed(never)),
        }
    }
}

/// Whether a request for an action that has the key may come without a value for it.
fn may_lack(statement: &Written<'_>, action: &Action, key: ConditionKey) -> bool {
    match key {
        ConditionKey::Ip | ConditionKey::ResourceTag | ConditionKey::RequestTag => true,
        ConditionKey::CreateUin => {
            action.level == Level::SecretOrOperation && statement.matches_nothing_in_particular(action)
        }
        ConditionKey::CurrentTime
        | ConditionKey::Uin
        | ConditionKey::OwnerUin
        | ConditionKey::Door
        | ConditionKey::SecureTransport
        | ConditionKey::RecoveryWindow
        | ConditionKey::TargetUin
        | ConditionKey::OidcAudience
        | ConditionKey::OidcIssuer
        | ConditionKey::OidcSubject => false,
    }
}

/// The first names of a list, and how many more there are.
pub(super) fn listed(names: &[String]) -> String {
    let first: Vec<String> = names.iter().take(NAMES_MAX).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(NAMES_MAX) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
