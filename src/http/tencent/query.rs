//! The parameters of a GET, which the SDKs write flat (`TagFilters.0.TagKey=env`), as the JSON object that they stand for.
//!
//! Each leaf is a text, which numbers may be; the vendor's few booleans are known by name. What two readers could read as two
//! things is refused: a name twice, an index left out, a name that is a leaf and a branch.

use crate::error::{ApiError, Code};
use crate::form;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// The vendor's boolean parameters.
const BOOLEANS: [&str; 2] = ["CleanSSHKey", "EnableRotation"];
/// Highest index of a list.
const INDEX_MAX: u64 = 99;
/// Deepest nesting.
const DEPTH_MAX: usize = 8;

/// Values by name.
pub(super) type Pairs = BTreeMap<String, Zeroizing<String>>;

/// A parameter, or those below one name.
enum Node {
    Leaf(String),
    Branch(BTreeMap<String, Self>),
}

/// The object that a query stands for.
///
/// # Errors
/// `InvalidParameter` for everything that reads two ways.
pub(super) fn to_json(query: &str) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    of_pairs(&pairs(query)?)
}

/// Names with their values, decoded, of a query or of a form.
///
/// # Errors
/// `InvalidParameter` if a name stands there twice, or anything is not encoded as forms are.
pub(super) fn pairs(text: &str) -> Result<Pairs, ApiError> {
    let mut pairs = Pairs::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| invalid("a parameter of the query has no `=`"))?;
        if pairs.insert(decode(name)?, Zeroizing::new(decode(value)?)).is_some() {
            return Err(twice());
        }
    }
    Ok(pairs)
}

/// The object that pairs stand for.
///
/// # Errors
/// As [`to_json`].
pub(super) fn of_pairs(pairs: &Pairs) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    let mut root = BTreeMap::new();
    for (name, value) in pairs {
        let path: Vec<&str> = name.split('.').collect();
        if path.len() > DEPTH_MAX || path.iter().any(|part| part.is_empty()) {
            return Err(invalid("a parameter's name has an empty part or too many of them"));
        }
        insert(&mut root, &path, value.to_string())?;
    }
    let object = object(root)?;
    serde_json::to_vec(&object).map(Zeroizing::new).map_err(|_| invalid("the query cannot be read"))
}

fn insert(branch: &mut BTreeMap<String, Node>, path: &[&str], value: String) -> Result<(), ApiError> {
    let Some((first, rest)) = path.split_first() else { return Ok(()) };
    if rest.is_empty() {
        return match branch.insert((*first).to_owned(), Node::Leaf(value)) {
            None => Ok(()),
            Some(_) => Err(twice()),
        };
    }
    match branch.entry((*first).to_owned()).or_insert_with(|| Node::Branch(BTreeMap::new())) {
        Node::Branch(below) => insert(below, rest, value),
        Node::Leaf(_) => Err(twice()),
    }
}

fn object(branch: BTreeMap<String, Node>) -> Result<Map<String, Value>, ApiError> {
    let fields = branch.into_iter().map(|(name, node)| {
        let value = node.value(&name)?;
        Ok((name, value))
    });
    fields.collect()
}

impl Node {
    fn value(self, name: &str) -> Result<Value, ApiError> {
        match self {
            Self::Leaf(text) if BOOLEANS.contains(&name) => match text.as_str() {
                "True" | "true" => Ok(Value::Bool(true)),
                "False" | "false" => Ok(Value::Bool(false)),
                _ => Err(invalid(&format!("the parameter `{name}` must be true or false"))),
            },
            Self::Leaf(text) => Ok(Value::String(text)),
            Self::Branch(below) if below.keys().any(|key| key.starts_with(|c: char| c.is_ascii_digit())) => list(below),
            Self::Branch(below) => object(below).map(Value::Object),
        }
    }
}

/// A list, whose indices are all there from 0 on.
fn list(mut below: BTreeMap<String, Node>) -> Result<Value, ApiError> {
    let count = below.len() as u64;
    let mut items = Vec::new();
    for index in 0..count.min(INDEX_MAX + 1) {
        let node =
            below.remove(&index.to_string()).ok_or_else(|| invalid("a list of the query leaves an index out"))?;
        items.push(node.value("")?);
    }
    if below.is_empty() { Ok(Value::Array(items)) } else { Err(invalid("a list of the query has an index over 99")) }
}

fn decode(text: &str) -> Result<String, ApiError> {
    let text = form::decode(text).and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| invalid("the query is not percent-encoded UTF-8"))
}

fn twice() -> ApiError {
    invalid("a parameter stands there twice, or is both a value and a list")
}

fn invalid(message: &str) -> ApiError {
    ApiError::new(Code::InvalidParameter, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(query: &str) -> Option<Value> {
        to_json(query).ok().map(|bytes| serde_json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn a_query_is_the_object_that_an_sdk_flattened() {
        assert_eq!(read(""), Some(json!({})));
        let query = "Limit=2&TagFilters.0.TagKey=env&TagFilters.0.TagValue.0=dev&TagFilters.0.TagValue.1=a+b%20c%2B";
        let object = json!({"Limit": "2", "TagFilters": [{"TagKey": "env", "TagValue": ["dev", "a b c+"]}]});
        assert_eq!(read(query), Some(object));
        assert_eq!(
            read("CleanSSHKey=True&Description=true"),
            Some(json!({"CleanSSHKey": true, "Description": "true"}))
        );
        assert_eq!(read("A=%E2%82%AC&B="), Some(json!({"A": "\u{20ac}", "B": ""})));
    }

    #[test]
    fn what_reads_two_ways_is_refused() {
        let over = (0..=100).map(|index| format!("A.{index}=x")).collect::<Vec<_>>().join("&");
        for query in [
            "A=1&A=1",
            "A.0=1&A.0=2",
            "A=1&A.0=2",
            "A.0=1&A=2",
            "A.1=1",
            "A.0=1&A.2=1",
            "A.00=1",
            "A.0=1&A.x=1",
            "A.=1",
            ".A=1",
            "A",
            "A=%",
            "A=%4",
            "A=%zz",
            "A=%ff",
            "CleanSSHKey=1",
            "A.B.C.D.E.F.G.H.I=1",
            &over,
        ] {
            assert_eq!(read(query), None, "{query}");
        }
    }

    proptest! {
        #[test]
        fn i10_any_query_is_read_or_refused(query in "[A-C.0-2=&%+a-f]{0,40}") {
            if let Ok(bytes) = to_json(&query) {
                prop_assert!(crate::parameters::Fields::parse(&bytes).is_ok());
            }
        }

        #[test]
        fn any_value_comes_through(value in "\\PC{0,20}") {
            let encoded: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(read(&format!("V={encoded}")), Some(json!({"V": value})));
        }
    }
}
