//! Conditions of a statement: parsed and checked when the set is loaded, held against a request's facts when it is
//! decided.
//!
//! SECURITY: a key that the request lacks makes every operator without `_if_exist` false, negated ones too (C17): a
//! deny with a negated operator does not fire then. A key whose value is *unknown* (the secret does not exist) is
//! another matter: what depends on it holds in a deny and does not hold in an allow (C41).

use ipnet::IpNet;

use super::decision::{Fault, StatementEffect};
use super::facts::{Fact, Facts};
use super::finding::{Code, Findings};
use super::json::{Member, Node, Value};
use super::operator::{Comparison, Operator, Order, Qualifier};
use super::pattern::Pattern;
use super::value::{parse_date, parse_decimal, parse_range};
use super::variable::Text;
use crate::actions::{ConditionKey, ValueType};

/// The key of that name, where it may stand.
fn parse_key(name: &str, keys: Keys) -> Option<ConditionKey> {
    ConditionKey::parse(name).filter(|key| keys == Keys::Trust || !key.is_of_trust())
}

const fn is_tag(key: ConditionKey) -> bool {
    matches!(key, ConditionKey::ResourceTag | ConditionKey::RequestTag)
}

/// Where a condition stands, which says what keys it may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// In a policy document.
    Document,
    /// In a trust policy.
    Trust,
    /// In a statement for foreign services: any key, and values are not read.
    Foreign,
}

/// One operator on one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Clause {
    pub(super) key: ConditionKey,
    pub(super) operator: Operator,
    pub(super) wanted: Wanted,
}

/// The policy's values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Wanted {
    Texts(Vec<Text>),
    Patterns(Vec<Pattern>),
    Instants(Order, Vec<i64>),
    Decimals(Order, Vec<i128>),
    Bools(Vec<bool>),
    Ranges(Vec<IpNet>),
    Absent(bool),
}

/// How a clause came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Holds,
    Fails,
    /// It fails because the request lacks the key.
    FailsAbsent,
    /// It fails because the key's value is unknown.
    FailsUnknown,
}

impl Clause {
    /// Holds the clause against a request.
    ///
    /// # Errors
    /// [`Fault::Context`] if a fact is not of the operator's type, which the load checks rule out.
    pub(super) fn outcome(&self, facts: &Facts, effect: StatementEffect) -> Result<Outcome, Fault> {
        let key = self.key;
        if facts.is_unknown(key) {
            let holds = effect == StatementEffect::Deny;
            return Ok(if holds { Outcome::Holds } else { Outcome::FailsUnknown });
        }
        let values = facts.values(key);
        if let Wanted::Absent(wanted) = self.wanted {
            let empty = matches!(values, []) || matches!(values, [Fact::Text(text)] if text.is_empty());
            return Ok(if empty == wanted { Outcome::Holds } else { Outcome::Fails });
        }
        if values.is_empty() {
            return Ok(if self.operator.if_exist { Outcome::Holds } else { Outcome::FailsAbsent });
        }
        let holds = self.test_all(values, &facts.uin_text)?;
        Ok(if holds { Outcome::Holds } else { Outcome::Fails })
    }

    fn test_all(&self, values: &[Fact], uin: &str) -> Result<bool, Fault> {
        let every = self.operator.qualifier == Qualifier::All;
        for value in values {
            let fits = self.wanted.has(value, self.operator.comparison, uin)? != self.operator.negated;
            if fits != every {
                return Ok(fits);
            }
        }
        Ok(every)
    }
}

impl Wanted {
    /// Whether one of the policy's values fits.
    fn has(&self, fact: &Fact, comparison: Comparison, uin: &str) -> Result<bool, Fault> {
        let ignore_case = comparison == Comparison::EqualIgnoreCase;
        match (self, fact) {
            (Self::Texts(texts), Fact::Text(value)) => {
                Ok(texts.iter().any(|text| text.equals(value, uin, ignore_case)))
            }
            (Self::Patterns(patterns), Fact::Text(value)) => {
                Ok(patterns.iter().any(|pattern| pattern.matches(value, uin)))
            }
            (Self::Instants(order, all), Fact::Instant(value)) => {
                Ok(all.iter().any(|wanted| order.holds(value, wanted)))
            }
            (Self::Decimals(order, all), Fact::Decimal(value)) => {
                Ok(all.iter().any(|wanted| order.holds(value, wanted)))
            }
            (Self::Bools(all), Fact::Bool(value)) => Ok(all.contains(value)),
            (Self::Ranges(ranges), Fact::Address(address)) => Ok(ranges.iter().any(|range| range.contains(address))),
            _ => Err(Fault::Context),
        }
    }
}

/// Reads the element `condition`.
pub(super) fn parse(node: &Node, keys: Keys, account: &str, findings: &mut Findings) -> Vec<Clause> {
    let mut clauses = Vec::new();
    for operator in members(node, "operators", findings) {
        let parsed = Operator::parse(&operator.key);
        if let Err(message) = parsed {
            findings.add(operator.at, Code::ConditionTypeError, &operator.key, message);
        }
        for key in members(&operator.node, "condition keys", findings) {
            let at = Place { keys, account };
            match parsed.map(|operator| at.clause(operator, key)) {
                Ok(Ok(clause)) => clauses.extend(clause),
                Ok(Err((node, code, message))) => findings.add(node.0, code, &node.1, message),
                Err(_) => {}
            }
        }
    }
    clauses
}

fn members<'a>(node: &'a Node, what: &str, findings: &mut Findings) -> &'a [Member] {
    match node.as_object() {
        Some([]) => findings.add(
            node.at,
            Code::ConditionError,
            &node.text(),
            format!("an empty object of {what} is refused; leave it out"),
        ),
        Some(members) => return members,
        None => {
            findings.add(node.at, Code::ConditionError, &node.text(), format!("an object of {what} is expected here"))
        }
    }
    &[]
}

/// Where the finding stands and what it quotes, its code and message.
type Refusal = ((super::json::Position, String), Code, String);

struct Place<'a> {
    keys: Keys,
    account: &'a str,
}

impl Place<'_> {
    fn clause(&self, operator: Operator, member: &Member) -> Result<Option<Clause>, Refusal> {
        let here = |code, message: &str| Err(((member.at, member.key.clone()), code, message.to_owned()));
        let nodes = member.node.one_or_many();
        if nodes.is_empty() {
            return here(
                Code::ConditionContentError,
                "an empty list of values is refused: it would make negated operators true",
            );
        }
        if self.keys == Keys::Foreign {
            return check_foreign(nodes).map(|()| None);
        }
        let Some(key) = parse_key(&member.key, self.keys) else {
            return here(Code::ConditionContentError, &unknown_key(&member.key, self.keys));
        };
        if operator.comparison.value_type().is_some_and(|fits| fits != key.value_type()) {
            return here(
                Code::ConditionTypeError,
                &format!("the operator does not fit this key, which is of type {}", type_name(key.value_type())),
            );
        }
        let null = operator.comparison == Comparison::Null;
        if key.is_many() && operator.qualifier == Qualifier::Bare && !null {
            return here(
                Code::ConditionTypeError,
                "this key has several values: write `for_any_value:` or `for_all_value:` before the operator",
            );
        }
        if null && nodes.len() > 1 {
            return here(Code::ConditionContentError, "`null_equal` takes one value, `\"true\"` or `\"false\"`");
        }
        let wanted = self.wanted(operator.comparison, key, nodes)?;
        Ok(Some(Clause { key, operator, wanted }))
    }

    fn wanted(&self, comparison: Comparison, key: ConditionKey, nodes: &[Node]) -> Result<Wanted, Refusal> {
        Ok(match comparison {
            Comparison::Equal | Comparison::EqualIgnoreCase => {
                Wanted::Texts(each(nodes, |node| self.text(comparison, key, node))?)
            }
            Comparison::Like => Wanted::Patterns(each(nodes, |node| {
                Pattern::parse(string(node)?, self.account, true).map_err(|error| error.to_string())
            })?),
            Comparison::Date(order) => Wanted::Instants(
                order,
                each(nodes, |node| {
                    parse_date(string(node)?)
                        .ok_or_else(|| "a date is `2026-06-01T00:00:00Z`, in whole seconds".to_owned())
                })?,
            ),
            Comparison::Number(order) => Wanted::Decimals(order, each(nodes, number)?),
            Comparison::Bool => Wanted::Bools(each(nodes, boolean)?),
            Comparison::Ip => Wanted::Ranges(each(nodes, |node| {
                parse_range(string(node)?)
                    .ok_or_else(|| "an address or range is `10.1.2.3`, `10.1.0.0/16` or `2001:db8::/32`".to_owned())
            })?),
            Comparison::Null => Wanted::Absent(each(nodes, boolean)?.contains(&true)),
        })
    }

    fn text(&self, comparison: Comparison, key: ConditionKey, node: &Node) -> Result<Text, String> {
        let text = string(node)?;
        if is_tag(key) && !text.contains('&') {
            return Err("a tag is written `key&value`".to_owned());
        }
        if comparison == Comparison::EqualIgnoreCase && !text.is_ascii() {
            return Err("`_ignore_case` folds ASCII letters only: a value with others is refused".to_owned());
        }
        Text::parse(text, self.account).map_err(|error| error.to_string())
    }
}

fn each<T>(nodes: &[Node], read: impl Fn(&Node) -> Result<T, String>) -> Result<Vec<T>, Refusal> {
    let read =
        |node: &Node| read(node).map_err(|message| ((node.at, node.text()), Code::ConditionContentError, message));
    nodes.iter().map(read).collect()
}

fn string(node: &Node) -> Result<&str, String> {
    node.as_str().ok_or_else(|| "this operator takes strings".to_owned())
}

fn number(node: &Node) -> Result<i128, String> {
    let text = match &node.value {
        Value::String(text) | Value::Number(text) => Some(text),
        _ => None,
    };
    text.and_then(|text| parse_decimal(text))
        .ok_or_else(|| "a number is up to 18 digits, and up to 9 after the point".to_owned())
}

fn boolean(node: &Node) -> Result<bool, String> {
    match &node.value {
        Value::Bool(value) => Some(*value),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
    .ok_or_else(|| "the value is `\"true\"` or `\"false\"`".to_owned())
}

fn check_foreign(nodes: &[Node]) -> Result<(), Refusal> {
    each(nodes, |node| match node.value {
        Value::String(_) | Value::Number(_) | Value::Bool(_) => Ok(()),
        Value::Null | Value::List(_) | Value::Object(_) => Err("a value is a string or a number".to_owned()),
    })
    .map(|_| ())
}

const fn type_name(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::String => "string",
        ValueType::Date => "date",
        ValueType::Number => "number",
        ValueType::Bool => "bool",
        ValueType::Ip => "ip",
    }
}

fn unknown_key(name: &str, keys: Keys) -> String {
    if name.starts_with("oidc:") && keys == Keys::Document {
        return "this key is present in trust policies only".to_owned();
    }
    let known = ConditionKey::ALL.map(ConditionKey::name).join("`, `");
    format!("a request never has this key; the keys are `{known}`")
}

#[cfg(test)]
#[path = "condition_tests.rs"]
mod tests;
