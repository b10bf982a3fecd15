//! A request's parameters: a JSON object read field by field, so that what is absent, unknown or of a wrong type
//! is named (the decoding rules of every JSON door).

use crate::error::{ApiError, Code};
use crate::json::{self, Json, Object};

/// Deepest nesting of a request body.
const DEPTH_MAX: u8 = 8;

/// The fields not read yet. [`Fields::finish`] refuses what is left.
#[derive(Debug)]
pub struct Fields {
    map: Object,
}

impl Fields {
    /// Reads a body: one JSON object; an empty body is `{}`.
    ///
    /// # Errors
    /// `InvalidParameter` for anything else.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        if body.is_empty() {
            return Ok(Self { map: Object::new() });
        }
        match json::parse(body, DEPTH_MAX) {
            Ok(Json::Object(map)) => Ok(Self { map }),
            Ok(_) => Err(invalid("the body is not a JSON object")),
            Err(error) => Err(invalid(&format!("the body is not acceptable JSON: {}", place(&error)))),
        }
    }

    fn take(&mut self, name: &str) -> Option<Json> {
        self.map.remove(name).filter(|value| *value != Json::Null)
    }

    /// A text, absent or present.
    ///
    /// # Errors
    /// `InvalidParameter` for another type.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(_) => Err(wrong_type(name, "a string")),
        }
    }

    /// A text that must be there and not be empty.
    ///
    /// # Errors
    /// `MissingParameter`, `InvalidParameter`.
    pub fn required_text(&mut self, name: &str) -> Result<String, ApiError> {
        self.text(name)?.filter(|text| !text.is_empty()).ok_or_else(|| missing(name))
    }

    /// A text of which the empty one counts as absent.
    ///
    /// # Errors
    /// `InvalidParameter` for another type.
    pub fn nonempty_text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()))
    }

    /// A whole number of at least 0: a JSON integer or a string of decimal digits.
    ///
    /// # Errors
    /// `InvalidParameter` for another type, a sign, a fraction, an exponent, or more than 64 bits.
    pub fn number(&mut self, name: &str) -> Result<Option<u64>, ApiError> {
        let wrong = || wrong_type(name, "a whole number of at least 0");
        match self.take(name) {
            None => Ok(None),
            Some(Json::Integer(number)) => Ok(Some(number)),
            Some(Json::Text(text)) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse().map(Some).map_err(|_| wrong())
            }
            Some(_) => Err(wrong()),
        }
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// `InvalidParameter` for another type.
    pub fn flag(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(wrong_type(name, "true or false")),
        }
    }

    /// A list of objects; absent is empty.
    ///
    /// # Errors
    /// `InvalidParameter` for another type.
    pub fn objects(&mut self, name: &str) -> Result<Vec<Self>, ApiError> {
        let wrong = || wrong_type(name, "a list of objects");
        let items = match self.take(name) {
            None => return Ok(Vec::new()),
            Some(Json::List(items)) => items,
            Some(_) => return Err(wrong()),
        };
        items
            .into_iter()
            .map(|item| match item {
                Json::Object(map) => Ok(Self { map }),
                _ => Err(wrong()),
            })
            .collect()
    }

    /// A list of texts; absent is empty.
    ///
    /// # Errors
    /// `InvalidParameter` for another type.
    pub fn texts(&mut self, name: &str) -> Result<Vec<String>, ApiError> {
        let wrong = || wrong_type(name, "a list of strings");
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Json::List(items)) => items
                .into_iter()
                .map(|item| match item {
                    Json::Text(text) => Ok(text),
                    _ => Err(wrong()),
                })
                .collect(),
            Some(_) => Err(wrong()),
        }
    }

    /// Refuses fields that the caller's door does not know, though the action does.
    ///
    /// # Errors
    /// `UnknownParameter` naming the first of them.
    pub fn refuse(&self, names: &[&str]) -> Result<(), ApiError> {
        names.iter().find(|name| self.map.contains_key(**name)).map_or(Ok(()), |name| Err(unknown(name)))
    }

    /// Ends the reading: whatever is left is a field that the action does not define.
    ///
    /// # Errors
    /// `UnknownParameter` naming the first such field (shortened).
    pub fn finish(self) -> Result<(), ApiError> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(name) => {
                let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
                Err(unknown(&shown))
            }
        }
    }
}

/// `MissingParameter` for a field.
#[must_use]
pub fn missing(name: &str) -> ApiError {
    ApiError::new(Code::MissingParameter, format!("the parameter `{name}` is missing or empty"))
}

/// `InvalidParameterValue` for a field, with the rule it breaks.
#[must_use]
pub fn invalid_value(name: &str, rule: impl std::fmt::Display) -> ApiError {
    ApiError::new(Code::InvalidParameterValue, format!("the parameter `{name}` is not acceptable: {rule}"))
}

fn unknown(name: &str) -> ApiError {
    ApiError::new(Code::UnknownParameter, format!("the action has no parameter `{name}`"))
}

fn invalid(message: &str) -> ApiError {
    ApiError::new(Code::InvalidParameter, message)
}

fn wrong_type(name: &str, wanted: &str) -> ApiError {
    invalid(&format!("the parameter `{name}` must be {wanted}"))
}

/// Where reading stopped. SECURITY: the reader's own message can quote input, so only its kind and place are shown.
fn place(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Syntax => "a syntax error",
        serde_json::error::Category::Data => "a key stands twice or it is nested too deeply",
        serde_json::error::Category::Io => "it could not be read",
    };
    format!("{what} at line {} column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T: std::fmt::Debug>(result: Result<T, ApiError>) -> Code {
        result.unwrap_err().code
    }

    #[test]
    fn numbers_are_integers_or_digit_strings_and_nothing_else() {
        let mut fields = Fields::parse(
            br#"{"a":7,"b":"8","c":-1,"d":1.0,"e":"1e3","f":"+1","g":"","h":true,"i":"18446744073709551616"}"#,
        )
        .unwrap();
        assert_eq!(fields.number("a").unwrap(), Some(7));
        assert_eq!(fields.number("b").unwrap(), Some(8));
        for name in ["c", "d", "e", "f", "g", "h", "i"] {
            assert_eq!(code(fields.number(name)), Code::InvalidParameter, "{name}");
        }
        assert_eq!(fields.number("z").unwrap(), None);
    }

    #[test]
    fn absent_unknown_and_mistyped_fields_are_told_apart() {
        let mut fields = Fields::parse(br#"{"n":null,"e":"","x":1,"f":"true"}"#).unwrap();
        assert_eq!(code(fields.required_text("n")), Code::MissingParameter);
        assert_eq!(code(fields.required_text("e")), Code::MissingParameter);
        assert_eq!(code(fields.flag("f")), Code::InvalidParameter);
        assert_eq!(code(fields.finish()), Code::UnknownParameter);
        assert_eq!(code(Fields::parse(b"[]")), Code::InvalidParameter);
        assert!(Fields::parse(b"").unwrap().finish().is_ok());
    }

    #[test]
    fn errors_about_broken_json_never_quote_the_body() {
        let error = Fields::parse(br#"{"SecretString":"hunter2-marker"#).unwrap_err();
        assert!(!error.message.contains("hunter2"), "{error}");
        let error = Fields::parse(br#"{"a":"hunter2-marker","a":"hunter2-marker"}"#).unwrap_err();
        assert!(!error.message.contains("hunter2"), "{error}");
    }
}
