//! Parsed parts of a statement, written again: for people, who know them as they stand in the documents.

use std::fmt;
use std::net::IpAddr;

use chrono::DateTime;

use super::condition::{Clause, Wanted};
use super::operator::{Comparison, Operator, Order, Qualifier};
use super::pattern::{Pattern, Token};
use super::resource_pattern::{CreatorPattern, Last, ResourcePattern};
use crate::actions::Service;

/// Units of a decimal in one.
const UNIT: u128 = 1_000_000_000;

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.qualifier {
            Qualifier::Bare => "",
            Qualifier::Any => "for_any_value:",
            Qualifier::All => "for_all_value:",
        })?;
        let not = if self.negated { "not_" } else { "" };
        match self.comparison {
            Comparison::Equal => write!(f, "string_{not}equal"),
            Comparison::EqualIgnoreCase => write!(f, "string_{not}equal_ignore_case"),
            Comparison::Like => write!(f, "string_{not}like"),
            Comparison::Date(order) => write!(f, "date_{not}{}", order_name(order)),
            Comparison::Number(order) => write!(f, "numeric_{not}{}", order_name(order)),
            Comparison::Bool => f.write_str("bool_equal"),
            Comparison::Ip => write!(f, "ip_{not}equal"),
            Comparison::Null => f.write_str("null_equal"),
        }?;
        f.write_str(if self.if_exist { "_if_exist" } else { "" })
    }
}

const fn order_name(order: Order) -> &'static str {
    match order {
        Order::Equal => "equal",
        Order::Less => "less_than",
        Order::LessOrEqual => "less_than_equal",
        Order::Greater => "greater_than",
        Order::GreaterOrEqual => "greater_than_equal",
    }
}

impl Clause {
    /// The policy's values, each in the form that policies write; what stands for the account is put in.
    pub(super) fn values(&self) -> Vec<String> {
        match &self.wanted {
            Wanted::Texts(texts) => texts.iter().map(|text| text.with("${uin}")).collect(),
            Wanted::Patterns(patterns) => patterns.iter().map(ToString::to_string).collect(),
            Wanted::Instants(_, all) => all.iter().map(|seconds| date(*seconds)).collect(),
            Wanted::Decimals(_, all) => all.iter().map(|units| decimal(*units)).collect(),
            Wanted::Bools(all) => all.iter().map(ToString::to_string).collect(),
            Wanted::Ranges(all) => all.iter().map(range).collect(),
            Wanted::Absent(wanted) => vec![wanted.to_string()],
        }
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.key.name(), self.operator, self.values().join(" | "))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tokens().iter().try_for_each(|token| match token {
            Token::Char(c) => write!(f, "{c}"),
            Token::One => f.write_str("?"),
            Token::Any => f.write_str("*"),
            Token::Uin => f.write_str("${uin}"),
        })
    }
}

impl fmt::Display for ResourcePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Foreign(service) => write!(f, "qcs::{service}:::*"),
            Self::Segments { service, last } => {
                write!(f, "qcs::{}:::", service.map_or("", Service::name))?;
                match last {
                    Last::Star => f.write_str("*"),
                    Last::EverySecret => f.write_str("secret/*"),
                    Last::Secret { creator, name } => write!(f, "secret/creatorUin/{creator}/{name}"),
                    Last::Key(pattern) => write!(f, "key/{pattern}"),
                }
            }
        }
    }
}

impl fmt::Display for CreatorPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Own => f.write_str("${uin}"),
        }
    }
}

/// An instant in RFC 3339; seconds since 1970 where there is no such year.
pub(super) fn date(seconds: i64) -> String {
    let text = DateTime::from_timestamp(seconds, 0).map(|at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string());
    text.unwrap_or_else(|| seconds.to_string())
}

/// A decimal without needless zeros.
pub(super) fn decimal(units: i128) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let (whole, fraction) = (units.unsigned_abs() / UNIT, units.unsigned_abs() % UNIT);
    if fraction == 0 {
        return format!("{sign}{whole}");
    }
    format!("{sign}{whole}.{}", format!("{fraction:09}").trim_end_matches('0'))
}

fn range(range: &ipnet::IpNet) -> String {
    let whole = match range.addr() {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    };
    if range.prefix_len() == whole { range.addr().to_string() } else { range.to_string() }
}
