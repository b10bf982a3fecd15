//! JSON from outside, strictly read, so that no two readers can see two things in one text.
//!
//! SECURITY: a name that occurs twice in one object is refused at every level, spelled plainly or with escapes
//! (the common decoders keep the last one, and say nothing). Depth is bounded. Numbers are kept only as integers of
//! 0 to 2^64-1; anything else is known to be a number and nothing more, so a fraction can never be rounded to a time.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// Written as an integer, from 0 to 2^64-1.
    Integer(u64),
    /// Any other number: negative, fractional, with an exponent.
    Number,
    Text(String),
    List(Vec<Self>),
    Object(Object),
}

/// A JSON object.
pub(crate) type Object = BTreeMap<String, Json>;

impl Json {
    /// The text, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The texts, if it is a list of nothing else.
    pub(crate) fn as_texts(&self) -> Option<Vec<&str>> {
        match self {
            Self::List(items) => items.iter().map(Self::as_text).collect(),
            _ => None,
        }
    }
}

/// Reads `bytes` as exactly one value, nested at most `depth` deep, the outermost list or object included.
///
/// # Errors
/// What was wrong and where; the text may quote the input.
pub(crate) fn parse(bytes: &[u8], depth: u8) -> Result<Json, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Levels(depth).deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// Reads `bytes` as exactly one object; `None` if they are anything else.
pub(crate) fn parse_object(bytes: &[u8], depth: u8) -> Option<Object> {
    match parse(bytes, depth) {
        Ok(Json::Object(object)) => Some(object),
        _ => None,
    }
}

/// A reader that may still go this many levels down.
#[derive(Clone, Copy)]
struct Levels(u8);

impl Levels {
    fn below<E: Error>(self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom("nested too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Levels {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Levels {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated names")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Integer(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(u64::try_from(value).map_or(Json::Number, Json::Integer))
    }

    fn visit_f64<E: Error>(self, _value: f64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let below = self.below()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(below)? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let below = self.below()?;
        let mut object = Object::new();
        while let Some(name) = access.next_key::<String>()? {
            match object.entry(name) {
                Entry::Vacant(slot) => slot.insert(access.next_value_seed(below)?),
                Entry::Occupied(_) => return Err(A::Error::custom("a name occurs twice")),
            };
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPTH_MAX: u8 = 16;

    fn parse_object(bytes: &[u8]) -> Option<Object> {
        super::parse_object(bytes, DEPTH_MAX)
    }

    #[test]
    fn one_object_and_nothing_else_is_read() {
        for bad in
            ["", "null", "[]", "1", "{} {}", "{}x", "\u{feff}{}", "{'a':1}", "{\"a\":01}", "{\"a\":NaN}", "{\"a\"}"]
        {
            assert_eq!(parse_object(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(parse_object(b" {} \n"), Some(Object::new()));
    }

    #[test]
    fn repeated_names_are_refused_at_every_level_and_in_every_spelling() {
        for bad in
            [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"{"b":{"a":1,"a":1}}"#, r#"{"b":[{"a":1,"\u0061":1}]}"#]
        {
            assert_eq!(parse_object(bad.as_bytes()), None, "{bad}");
        }
        assert!(parse_object(br#"{"a":1,"A":2,"b":{"a":1}}"#).is_some());
    }

    #[test]
    fn only_plain_integers_are_integers() {
        let read = |text: &str| parse_object(format!("{{\"n\":{text}}}").as_bytes()).and_then(|mut o| o.remove("n"));
        assert_eq!(read("0"), Some(Json::Integer(0)));
        assert_eq!(read("18446744073709551615"), Some(Json::Integer(u64::MAX)));
        for other in ["-1", "-0", "1.0", "1e3", "1E3", "0.5", "18446744073709551616"] {
            assert_eq!(read(other), Some(Json::Number), "{other}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |lists: usize| format!("{{\"a\":{}1{}}}", "[".repeat(lists), "]".repeat(lists));
        let most = usize::from(DEPTH_MAX) - 1;
        assert!(parse_object(nested(most).as_bytes()).is_some());
        assert_eq!(parse_object(nested(most + 1).as_bytes()), None);
        assert_eq!(parse_object(nested(4_000).as_bytes()), None);
    }

    #[test]
    fn text_that_is_not_utf_8_is_refused() {
        assert_eq!(parse_object(b"{\"a\":\"\xff\"}"), None);
        assert_eq!(parse_object(b"{\"a\":\"\xc0\xaf\"}"), None);
        assert_eq!(parse_object(br#"{"a":"\ud800"}"#), None);
    }
}
