//! What names a key-encryption key: its id, its generation.

use std::fmt;

/// Longest key id, in bytes.
const KEY_ID_BYTES_MAX: usize = 64;

/// Why a text is no key id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key id is 1 to 64 bytes of `A-Z a-z 0-9 _ -`, first a letter or digit")]
pub struct KeyIdError;

/// The id of a key-encryption key; compared by bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    /// Checks an id.
    ///
    /// # Errors
    /// [`KeyIdError`] for anything outside the rule.
    pub fn parse(text: &str) -> Result<Self, KeyIdError> {
        let length = (1..=KEY_ID_BYTES_MAX).contains(&text.len());
        let start = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if length && start && text.bytes().all(fits) { Ok(Self(text.to_owned())) } else { Err(KeyIdError) }
    }

    /// The key that `init` makes and that secrets use which name none.
    #[must_use]
    pub fn default_key() -> Self {
        Self("default".to_owned())
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A generation of a key: 1 at first, one more with each rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyGeneration(u32);

impl KeyGeneration {
    /// The first generation.
    pub const FIRST: Self = Self(1);

    /// A generation from 1 on.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The one after it; none after the last that there can be.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }
}

impl fmt::Display for KeyGeneration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_ids_are_checked_by_bytes() {
        for good in ["default", "a", "9-x_y", "A23456789012345678901234567890123456789012345678901234567890123_"] {
            assert_eq!(KeyId::parse(good).unwrap().as_str(), good);
        }
        let long = "a".repeat(KEY_ID_BYTES_MAX + 1);
        for bad in ["", "-a", "_a", "a/b", "a.b", "é", "a b", "a\0", long.as_str()] {
            assert_eq!(KeyId::parse(bad), Err(KeyIdError), "{bad}");
        }
        assert_eq!(KeyId::parse("default").unwrap(), KeyId::default_key());
        assert_eq!(KeyGeneration::new(0), None);
    }
}
