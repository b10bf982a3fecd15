//! Conditions: every operator in every form with the keys that it fits, so that editors offer nothing else.

use serde_json::{Map, Value, json};

use super::one_or_many;
use crate::actions::{ConditionKey, ValueType};
use crate::authz::operator::{Comparison, NAMES, Operator, Qualifier};

/// The forms of an operator: qualifiers and the suffix.
const QUALIFIERS: [&str; 3] = ["", "for_any_value:", "for_all_value:"];
const SUFFIXES: [&str; 2] = ["", "_if_exist"];

/// Every form of every operator.
fn forms() -> impl Iterator<Item = (String, Operator)> {
    let names = NAMES.iter().flat_map(|name| QUALIFIERS.iter().map(move |qualifier| format!("{qualifier}{name}")));
    let texts = names.flat_map(|name| SUFFIXES.iter().map(move |suffix| format!("{name}{suffix}")));
    texts.filter_map(|text| Some((text.clone(), Operator::parse(&text).ok()?)))
}

/// The condition of a policy document, or of a trust policy, which has keys of its own.
pub(super) fn own(of_trust: bool) -> Value {
    condition(&|operator| keys(operator, of_trust))
}

/// The condition of a statement for foreign services: any keys.
pub(super) fn foreign() -> Value {
    let value = json!({"type": ["string", "number", "boolean"]});
    condition(&|_| json!({"type": "object", "minProperties": 1, "additionalProperties": one_or_many(&value)}))
}

fn condition(of: &dyn Fn(Operator) -> Value) -> Value {
    let operators: Map<String, Value> = forms().map(|(text, operator)| (text, of(operator))).collect();
    json!({"type": "object", "minProperties": 1, "additionalProperties": false, "properties": operators,
        "description": "{operator: {key: value or [values]}}; values are alternatives, all keys and operators must hold"})
}

fn keys(operator: Operator, of_trust: bool) -> Value {
    let fits = |key: &ConditionKey| {
        let is_null = operator.comparison == Comparison::Null;
        (of_trust || !key.is_of_trust())
            && operator.comparison.value_type().is_none_or(|kind| kind == key.value_type())
            && (!key.is_many() || operator.qualifier != Qualifier::Bare || is_null)
    };
    let values = values(operator.comparison);
    let keys = ConditionKey::ALL.iter().filter(|key| fits(key));
    let keys: Map<String, Value> = keys.map(|key| (key.name().to_owned(), values.clone())).collect();
    json!({"type": "object", "minProperties": 1, "additionalProperties": false, "properties": keys})
}

fn values(comparison: Comparison) -> Value {
    let truth = json!({"enum": [true, false, "true", "false"]});
    match comparison.value_type() {
        None => json!({"anyOf": [truth, {"type": "array", "minItems": 1, "maxItems": 1, "items": truth}]}),
        Some(ValueType::Bool) => one_or_many(&truth),
        Some(ValueType::String | ValueType::Date | ValueType::Ip) => one_or_many(&json!({"type": "string"})),
        Some(ValueType::Number) => {
            let number =
                json!({"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]+)?$"}]});
            one_or_many(&number)
        }
    }
}
