//! What names a version, a stored value, and one life of a secret's name.

use std::fmt;

use keyward_audit::{Random, RandomError};

/// Longest version id, in bytes.
const VERSION_ID_BYTES_MAX: usize = 64;

/// Why a text is no version id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a version id is 1 to 64 bytes of `A-Z a-z 0-9 _ . -`, first a letter or digit")]
pub struct VersionIdError;

/// A version's id, chosen by the caller; compared by bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VersionId(String);

impl VersionId {
    /// Checks an id.
    ///
    /// # Errors
    /// [`VersionIdError`] for anything outside the rule; nothing is normalised (I6).
    pub fn parse(text: &str) -> Result<Self, VersionIdError> {
        let length = (1..=VERSION_ID_BYTES_MAX).contains(&text.len());
        let start = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if length && start && text.bytes().all(fits) { Ok(Self(text.to_owned())) } else { Err(VersionIdError) }
    }

    /// The id that CreateSecret uses when the caller names none; otherwise an ordinary one.
    #[must_use]
    pub fn unnamed() -> Self {
        Self("SSM_Current".to_owned())
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of an SSH key pair, `skey-` and 8 letters or digits: how servers and their tools name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SshKeyId(String);

const SSH_KEY_ID: &str = "skey-";
const SSH_KEY_ID_LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Why a text is no id of an SSH key pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of an SSH key pair is `skey-` and 8 letters or digits")]
pub struct SshKeyIdError;

impl SshKeyId {
    /// Checks an id.
    ///
    /// # Errors
    /// [`SshKeyIdError`] for anything outside the rule.
    pub fn parse(text: &str) -> Result<Self, SshKeyIdError> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let rest = text.strip_prefix(SSH_KEY_ID).filter(|rest| rest.len() == 8 && rest.bytes().all(fits));
        rest.map(|_| Self(text.to_owned())).ok_or(SshKeyIdError)
    }

    /// A new one; whether another pair has it is for the caller to see.
    ///
    /// # Errors
    /// [`RandomError`] if the system gives no random bytes.
    pub fn random(random: &dyn Random) -> Result<Self, RandomError> {
        let mut bytes = [0; 8];
        random.fill(&mut bytes)?;
        let letters = bytes.iter().filter_map(|byte| SSH_KEY_ID_LETTERS.get(usize::from(byte % 32)));
        let letters = letters.map(|letter| char::from(*letter));
        Ok(Self(SSH_KEY_ID.chars().chain(letters).collect()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            /// A new one.
            ///
            /// # Errors
            /// [`RandomError`] if the system gives no random bytes.
            pub fn random(random: &dyn Random) -> Result<Self, RandomError> {
                let mut bytes = [0; 16];
                random.fill(&mut bytes)?;
                Ok(Self(bytes))
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl From<[u8; 16]> for $name {
            fn from(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            /// 32 lower-case hex digits.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }
    };
}

random_id! {
    /// Names one stored value for ever: a version whose value is replaced, or an id that is used again, gets a new
    /// one. It stands in the record of each read and write.
    ValueId
}

random_id! {
    /// Names one life of a secret's name: a name that is deleted and created again gets a new one. Internal; no
    /// reply shows it.
    SecretId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i06_version_ids_are_taken_as_they_are_or_refused() {
        let longest = "v".repeat(VERSION_ID_BYTES_MAX);
        for good in ["v1", "1", "A.b_c-d", "SSM_Current", longest.as_str()] {
            assert_eq!(VersionId::parse(good).unwrap().as_str(), good);
        }
        let longer = "v".repeat(VERSION_ID_BYTES_MAX + 1);
        for bad in ["", "-1", "_a", ".a", "a b", "a/b", "a%2e", "vé", "v\0", "v\n", " v", "ｖ1", longer.as_str()] {
            assert_eq!(VersionId::parse(bad), Err(VersionIdError), "{bad:?}");
        }
        assert_ne!(VersionId::parse("V1").unwrap(), VersionId::parse("v1").unwrap());
        assert_eq!(VersionId::parse("SSM_Current").unwrap(), VersionId::unnamed());
    }

    #[test]
    fn ids_of_ssh_key_pairs_have_one_form() {
        let id = SshKeyId::random(&crate::clock::SystemRandom).unwrap();
        assert_eq!(SshKeyId::parse(id.as_str()), Ok(id.clone()));
        assert_ne!(SshKeyId::random(&crate::clock::SystemRandom).unwrap(), id);
        for bad in ["", "skey-", "skey-1234567", "skey-123456789", "skey-1234567A", "skex-12345678", "skey-1234567é"] {
            assert_eq!(SshKeyId::parse(bad), Err(SshKeyIdError), "{bad}");
        }
    }

    #[test]
    fn value_ids_are_written_as_32_hex_digits() {
        assert_eq!(ValueId::from([0xab; 16]).to_string(), "ab".repeat(16));
    }
}
