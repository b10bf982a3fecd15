//! [`Plaintext`]: a value outside its seal.
//!
//! SECURITY: the type has no `Debug`, `Display`, `Clone`, `Serialize` or `Deref`, is wiped when dropped, and gives
//! its bytes out in one way, [`Plaintext::expose`]. Whoever copies them further answers for the copy.

use zeroize::Zeroizing;

use super::limits::{Limits, VALUE_BYTES_MAX};

/// How a value was given and is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// SecretString: UTF-8, kept byte for byte.
    Text,
    /// SecretBinary: any bytes.
    Binary,
}

/// Why bytes are no value. Names the rule, never the value or its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaintextError {
    /// No bytes: the parameter counts as absent.
    #[error("a secret value is at least one byte long")]
    Empty,
    /// Longer than the limit.
    #[error("a secret value is at most {max} bytes long")]
    TooLong {
        /// The limit in force.
        max: usize,
    },
}

/// A value, 1 to 65,536 bytes.
///
/// It cannot be printed, cloned or serialised:
/// ```compile_fail,E0277
/// fn shown(value: &keyward::secret::Plaintext) -> String { format!("{value:?}") }
/// ```
/// ```compile_fail,E0277
/// fn shown(value: &keyward::secret::Plaintext) -> String { format!("{value}") }
/// ```
/// ```
/// fn shown(value: &keyward::secret::Plaintext) -> String { format!("{:?}", value.form()) }
/// ```
/// ```compile_fail,E0277
/// fn twice<T: Clone>(value: &T) -> (T, T) { (value.clone(), value.clone()) }
/// fn doubled(value: &keyward::secret::Plaintext) { let _ = twice(value); }
/// ```
/// ```
/// fn twice<T: Clone>(value: &T) -> (T, T) { (value.clone(), value.clone()) }
/// fn doubled(value: &keyward::secret::Plaintext) { let _ = twice(&value.form()); }
/// ```
/// ```compile_fail,E0277
/// fn sent(value: &keyward::secret::Plaintext) -> String { serde_json::to_string(value).unwrap_or_default() }
/// ```
/// ```
/// fn sent(value: &keyward::secret::Plaintext) -> String { serde_json::to_string(value.expose()).unwrap_or_default() }
/// ```
pub struct Plaintext {
    form: Form,
    bytes: Zeroizing<Vec<u8>>,
}

impl Plaintext {
    /// A text, taken over without a copy.
    ///
    /// # Errors
    /// [`PlaintextError`] if it is empty or longer than the limit; it is wiped then too.
    pub fn text(text: String, limits: &Limits) -> Result<Self, PlaintextError> {
        Self::checked(Form::Text, Zeroizing::new(text.into_bytes()), limits)
    }

    /// Bytes, taken over without a copy.
    ///
    /// # Errors
    /// As [`Plaintext::text`].
    pub fn binary(bytes: Vec<u8>, limits: &Limits) -> Result<Self, PlaintextError> {
        Self::checked(Form::Binary, Zeroizing::new(bytes), limits)
    }

    /// What was sealed under earlier limits, just opened.
    pub(super) fn opened(form: Form, bytes: Zeroizing<Vec<u8>>) -> Self {
        Self { form, bytes }
    }

    fn checked(form: Form, bytes: Zeroizing<Vec<u8>>, limits: &Limits) -> Result<Self, PlaintextError> {
        let max = limits.value_bytes_max.min(VALUE_BYTES_MAX);
        match bytes.len() {
            0 => Err(PlaintextError::Empty),
            length if length > max => Err(PlaintextError::TooLong { max }),
            _ => Ok(Self { form, bytes }),
        }
    }

    /// Text or binary.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// The bytes; UTF-8 if the form is text. The one way out.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_1_to_65536_bytes() {
        let limits = Limits::default();
        assert_eq!(Plaintext::text(String::new(), &limits).err(), Some(PlaintextError::Empty));
        assert_eq!(Plaintext::binary(vec![], &limits).err(), Some(PlaintextError::Empty));
        assert!(Plaintext::binary(vec![0], &limits).is_ok());
        assert!(Plaintext::text("x".repeat(65_536), &limits).is_ok());
        let too_long = PlaintextError::TooLong { max: 65_536 };
        assert_eq!(Plaintext::text("x".repeat(65_537), &limits).err(), Some(too_long));
    }

    #[test]
    fn the_limit_counts_bytes_and_can_be_lowered_but_not_raised() {
        let lower = Limits { value_bytes_max: 4, ..Limits::default() };
        assert!(Plaintext::text("éé".to_owned(), &lower).is_ok());
        assert_eq!(Plaintext::text("ééx".to_owned(), &lower).err(), Some(PlaintextError::TooLong { max: 4 }));
        let higher = Limits { value_bytes_max: 1 << 30, ..Limits::default() };
        let too_long = PlaintextError::TooLong { max: 65_536 };
        assert_eq!(Plaintext::binary(vec![7; 65_537], &higher).err(), Some(too_long));
    }

    #[test]
    fn attack_s03_errors_say_the_rule_and_nothing_of_the_value() {
        let lower = Limits { value_bytes_max: 4, ..Limits::default() };
        let message = Plaintext::text("hunter2".to_owned(), &lower).err().unwrap().to_string();
        assert_eq!(message, "a secret value is at most 4 bytes long");
    }
}
