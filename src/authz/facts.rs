//! A question with its values read into their types, once for each decision: the one snapshot that every statement is
//! held against.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::decision::{Fault, Question, Target};
use super::value::{parse_address, parse_date, parse_decimal};
use crate::actions::{ConditionKey, Level, ValueType};

/// One value of a condition key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    Text(String),
    /// Seconds since 1970.
    Instant(i64),
    /// In units of 10^-9.
    Decimal(i128),
    Bool(bool),
    /// Never an IPv4 address mapped into IPv6.
    Address(IpAddr),
}

/// What the request is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Object {
    Nothing,
    /// `creator` is unknown when the secret does not exist.
    Secret {
        creator: Option<u64>,
        name: String,
    },
    Key {
        id: String,
    },
}

/// A question, typed.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) service: &'static str,
    pub(super) object: Object,
    pub(super) uin: u64,
    pub(super) uin_text: String,
    values: Vec<(ConditionKey, Vec<Fact>)>,
}

impl Facts {
    /// Reads a question.
    ///
    /// # Errors
    /// [`Fault::Context`] if a value is not of its key's type, [`Fault::Target`] if the action cannot have the target.
    pub(super) fn of(question: &Question<'_>) -> Result<Self, Fault> {
        let mut values = Vec::with_capacity(question.context.values.len());
        for (key, texts) in &question.context.values {
            let facts = texts.iter().map(|text| fact(*key, text)).collect::<Option<Vec<_>>>();
            values.push((*key, facts.ok_or(Fault::Context)?));
        }
        let uin = question.caller.creator.get();
        Ok(Self {
            service: question.action.service.name(),
            object: object(question)?,
            uin,
            uin_text: uin.to_string(),
            values,
        })
    }

    /// A request about nothing, for the start-up probe of the frame.
    pub(super) const fn probe() -> Self {
        Self { service: "", object: Object::Nothing, uin: 0, uin_text: String::new(), values: Vec::new() }
    }

    /// A request of which nothing is known but the values of one key.
    ///
    /// # Errors
    /// [`Fault::Context`] if a value is not of the key's type.
    pub(super) fn alone(key: ConditionKey, texts: &[String], uin: u64) -> Result<Self, Fault> {
        let facts = texts.iter().map(|text| fact(key, text)).collect::<Option<Vec<_>>>();
        let values = vec![(key, facts.ok_or(Fault::Context)?)];
        Ok(Self { uin, uin_text: uin.to_string(), values, ..Self::probe() })
    }

    /// A request on `object`, with the values that are known of it.
    ///
    /// # Errors
    /// [`Fault::Context`] if a value is not of its key's type.
    pub(super) fn settled(
        service: &'static str,
        object: &Object,
        uin: u64,
        values: &BTreeMap<ConditionKey, Vec<String>>,
    ) -> Result<Self, Fault> {
        let read = |(key, texts): (&ConditionKey, &Vec<String>)| {
            let facts = texts.iter().map(|text| fact(*key, text)).collect::<Option<Vec<_>>>();
            facts.map(|facts| (*key, facts)).ok_or(Fault::Context)
        };
        let values = values.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { service, object: object.clone(), uin, uin_text: uin.to_string(), values })
    }

    /// The values of a key; none if it is absent.
    pub(super) fn values(&self, key: ConditionKey) -> &[Fact] {
        self.values.iter().find(|(known, _)| *known == key).map(|(_, facts)| facts.as_slice()).unwrap_or_default()
    }

    /// Whether the value of a key is unknown, which is not the same as absent: the secret does not exist.
    pub(super) fn is_unknown(&self, key: ConditionKey) -> bool {
        matches!(self.object, Object::Secret { creator: None, .. })
            && matches!(key, ConditionKey::CreateUin | ConditionKey::ResourceTag)
    }
}

fn object(question: &Question<'_>) -> Result<Object, Fault> {
    let own = Some(question.caller.creator.get());
    match (question.action.level, question.target) {
        (Level::Operation | Level::SecretOrOperation, Target::Operation) => Ok(Object::Nothing),
        (Level::Secret | Level::SecretOrOperation, Target::Secret { creator, name }) => {
            Ok(Object::Secret { creator: creator.map(|number| number.get()), name: name.as_str().to_owned() })
        }
        (Level::Creation, Target::Secret { creator, name }) if creator.map(|number| number.get()) == own => {
            Ok(Object::Secret { creator: own, name: name.as_str().to_owned() })
        }
        (Level::Key, Target::Key { id }) => Ok(Object::Key { id: id.to_owned() }),
        (Level::Role, Target::Role { .. }) => Ok(Object::Nothing),
        _ => Err(Fault::Target),
    }
}

fn fact(key: ConditionKey, text: &str) -> Option<Fact> {
    match key.value_type() {
        ValueType::String => Some(Fact::Text(text.to_owned())),
        ValueType::Date => parse_date(text).map(Fact::Instant),
        ValueType::Number => parse_decimal(text).map(Fact::Decimal),
        ValueType::Bool => text.parse().ok().map(Fact::Bool),
        ValueType::Ip => parse_address(text).map(Fact::Address),
    }
}
