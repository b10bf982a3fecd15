//! Condition operators: `[qualifier:]operator[_if_exist]`, read by name.

use crate::actions::ValueType;

/// How an operator treats the values of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Qualifier {
    /// None: the key has one value.
    Bare,
    /// `for_any_value:`
    Any,
    /// `for_all_value:`
    All,
}

/// What two ordered values must be to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    /// Whether `a` stands in this order to `b`.
    pub(super) fn holds<T: Ord>(self, a: &T, b: &T) -> bool {
        match self {
            Self::Equal => a == b,
            Self::Less => a < b,
            Self::LessOrEqual => a <= b,
            Self::Greater => a > b,
            Self::GreaterOrEqual => a >= b,
        }
    }
}

/// What an operator compares, before negation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Comparison {
    Equal,
    EqualIgnoreCase,
    Like,
    Date(Order),
    Number(Order),
    Bool,
    Ip,
    /// `null_equal`.
    Null,
}

impl Comparison {
    /// The type of key that it fits; `None`: any.
    pub(super) const fn value_type(self) -> Option<ValueType> {
        match self {
            Self::Equal | Self::EqualIgnoreCase | Self::Like => Some(ValueType::String),
            Self::Date(_) => Some(ValueType::Date),
            Self::Number(_) => Some(ValueType::Number),
            Self::Bool => Some(ValueType::Bool),
            Self::Ip => Some(ValueType::Ip),
            Self::Null => None,
        }
    }
}

/// An operator as a statement writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Operator {
    pub(super) qualifier: Qualifier,
    pub(super) comparison: Comparison,
    /// Holds when no policy value fits, rather than when some does.
    pub(super) negated: bool,
    /// Holds when the key is absent.
    pub(super) if_exist: bool,
}

impl Operator {
    /// Reads an operator.
    ///
    /// # Errors
    /// What to write instead.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (qualifier, rest) = match text.split_once(':') {
            Some(("for_any_value", rest)) => (Qualifier::Any, rest),
            Some(("for_all_value", rest)) => (Qualifier::All, rest),
            Some(_) => return Err("the qualifiers are `for_any_value:` and `for_all_value:`"),
            None => (Qualifier::Bare, text),
        };
        let (name, if_exist) = rest.strip_suffix("_if_exist").map_or((rest, false), |name| (name, true));
        let (comparison, negated) = comparison(name)?;
        let operator = Self { qualifier, comparison, negated, if_exist };
        if comparison == Comparison::Null && (if_exist || qualifier != Qualifier::Bare) {
            return Err("`null_equal` has neither qualifier nor `_if_exist`: it is itself the test for absence");
        }
        Ok(operator)
    }
}

/// The names of all operators.
pub(super) const NAMES: [&str; 22] = [
    "string_equal",
    "string_not_equal",
    "string_equal_ignore_case",
    "string_not_equal_ignore_case",
    "string_like",
    "string_not_like",
    "date_equal",
    "date_not_equal",
    "date_less_than",
    "date_less_than_equal",
    "date_greater_than",
    "date_greater_than_equal",
    "numeric_equal",
    "numeric_not_equal",
    "numeric_less_than",
    "numeric_less_than_equal",
    "numeric_greater_than",
    "numeric_greater_than_equal",
    "bool_equal",
    "ip_equal",
    "ip_not_equal",
    "null_equal",
];

fn comparison(name: &str) -> Result<(Comparison, bool), &'static str> {
    use Order::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    Ok(match name {
        "string_equal" => (Comparison::Equal, false),
        "string_not_equal" => (Comparison::Equal, true),
        "string_equal_ignore_case" => (Comparison::EqualIgnoreCase, false),
        "string_not_equal_ignore_case" => (Comparison::EqualIgnoreCase, true),
        "string_like" => (Comparison::Like, false),
        "string_not_like" => (Comparison::Like, true),
        "date_equal" => (Comparison::Date(Equal), false),
        "date_not_equal" => (Comparison::Date(Equal), true),
        "date_less_than" => (Comparison::Date(Less), false),
        "date_less_than_equal" => (Comparison::Date(LessOrEqual), false),
        "date_greater_than" => (Comparison::Date(Greater), false),
        "date_greater_than_equal" => (Comparison::Date(GreaterOrEqual), false),
        "numeric_equal" => (Comparison::Number(Equal), false),
        "numeric_not_equal" => (Comparison::Number(Equal), true),
        "numeric_less_than" => (Comparison::Number(Less), false),
        "numeric_less_than_equal" => (Comparison::Number(LessOrEqual), false),
        "numeric_greater_than" => (Comparison::Number(Greater), false),
        "numeric_greater_than_equal" => (Comparison::Number(GreaterOrEqual), false),
        "bool_equal" => (Comparison::Bool, false),
        "ip_equal" => (Comparison::Ip, false),
        "ip_not_equal" => (Comparison::Ip, true),
        "null_equal" => (Comparison::Null, false),
        "binary_equal" => return Err("`binary_equal` is published with two meanings; use `string_equal`"),
        _ => {
            return Err(
                "the operators are `string_[not_]equal[_ignore_case]`, `string_[not_]like`, `bool_equal`, `ip_[not_]equal`, \
             `null_equal`, and `date_` or `numeric_` with `[not_]equal`, `less_than[_equal]`, `greater_than[_equal]`; \
             the suffix is `_if_exist`",
            );
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_and_suffix_are_told_from_the_operator() {
        let operator = Operator::parse("for_all_value:string_not_equal_ignore_case_if_exist").unwrap();
        assert_eq!(operator.qualifier, Qualifier::All);
        assert_eq!(operator.comparison, Comparison::EqualIgnoreCase);
        assert!(operator.negated && operator.if_exist);
        assert_eq!(Operator::parse("date_less_than_equal").unwrap().comparison, Comparison::Date(Order::LessOrEqual));
    }

    #[test]
    fn c01_c10_c19_c32_other_spellings_are_refused() {
        for text in [
            "",
            " string_equal",
            "string_equal ",
            "String_Equal",
            "StringEquals",
            "string_equal_if_exists",
            "ForAnyValue:string_equal",
            "for_any_value: string_equal",
            "for_any_values:string_equal",
            "for_any_value:for_all_value:string_equal",
            "binary_equal",
            "bool_not_equal",
            "string_equal_if_exist_if_exist",
            "for_any_value:",
            "_if_exist",
            "null_equal_if_exist",
            "for_any_value:null_equal",
            "null_not_equal",
            "numeric_like",
            "date_not_less_than",
        ] {
            assert!(Operator::parse(text).is_err(), "{text}");
        }
    }
}
