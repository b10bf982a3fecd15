//! On what: secret names and the six-segment resources that policy decides on and records name.
//!
//! INVARIANT I6: the bytes checked here are the bytes that policy sees and the store is keyed by; nothing is
//! normalised.

use crate::principal::{Kind, LOCAL, Principal};
use std::fmt;

/// Longest secret name, in bytes.
pub const SECRET_NAME_BYTES_MAX: usize = 512;
/// Creator numbers are below this: 52 bits, exact in every JSON reader.
pub const CREATOR_LIMIT: u64 = 1 << 52;

/// Why a text is no secret name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a secret name is 1 to 512 bytes of `A-Z a-z 0-9 / _ + = . @ -`, starts with a letter or digit, and has no \
     empty, `.` or `..` part between slashes and no slash at the end"
)]
pub struct SecretNameError;

/// A secret's name in canonical form; compared by bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretName(String);

impl SecretName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`SecretNameError`] for anything not already canonical.
    pub fn parse(text: &str) -> Result<Self, SecretNameError> {
        let bytes = text.as_bytes();
        let length = (1..=SECRET_NAME_BYTES_MAX).contains(&bytes.len());
        let start = bytes.first().is_some_and(u8::is_ascii_alphanumeric);
        let characters = bytes.iter().all(|b| is_secret_name_byte(*b));
        let parts = text.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if length && start && characters && parts { Ok(Self(text.to_owned())) } else { Err(SecretNameError) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a byte may stand in a secret name.
#[must_use]
pub const fn is_secret_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'+' | b'=' | b'.' | b'@' | b'-')
}

/// A creator number: the top 52 bits of the first 8 bytes, big-endian, of HMAC-SHA-256(installation key, principal).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CreatorNumber(u64);

impl CreatorNumber {
    /// A number below 2^52.
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        if number < CREATOR_LIMIT { Some(Self(number)) } else { None }
    }

    /// The top 52 bits of a MAC's first 8 bytes.
    #[must_use]
    pub const fn from_mac(first: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(first) >> 12)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for CreatorNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Where this gateway is: what stands in the region and account segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `[server] region`.
    pub region: String,
    /// `[server] account`.
    pub account: String,
}

impl Place {
    /// The six segments of a secret; creator `*` when it is unknown (the secret does not exist).
    #[must_use]
    pub fn secret(&self, creator: Option<CreatorNumber>, name: &SecretName) -> String {
        let creator = creator.map_or_else(|| "*".to_owned(), |number| number.to_string());
        format!("qcs::ssm:{}:uin/{}:secret/creatorUin/{creator}/{name}", self.region, self.account)
    }

    /// Creator and name of a secret's six segments, exactly as [`Place::secret`] writes them with a known creator.
    #[must_use]
    pub fn parse_secret(&self, text: &str) -> Option<(CreatorNumber, SecretName)> {
        let prefix = format!("qcs::ssm:{}:uin/{}:secret/creatorUin/", self.region, self.account);
        let (creator, name) = text.strip_prefix(&prefix)?.split_once('/')?;
        let creator = CreatorNumber::new(creator.parse().ok()?)?;
        let name = SecretName::parse(name).ok()?;
        (self.secret(Some(creator), &name) == text).then_some((creator, name))
    }

    /// The six segments of a key.
    #[must_use]
    pub fn key(&self, id: &str) -> String {
        format!("qcs::kms:{}:uin/{}:key/{id}", self.region, self.account)
    }

    /// A role of the policy folder, in the vendor's form: it has no region.
    #[must_use]
    pub fn role(&self, role: &Principal) -> String {
        format!("qcs::cam::uin/{}:roleName/{}", self.account, role.name())
    }

    /// The role that [`Place::role`] writes so.
    #[must_use]
    pub fn parse_role(&self, text: &str) -> Option<Principal> {
        let name = text.strip_prefix(&format!("qcs::cam::uin/{}:roleName/", self.account))?;
        Principal::qualified(Kind::Role, LOCAL, name).ok()
    }

    /// The id in a key's six segments.
    #[must_use]
    pub fn parse_key<'a>(&self, text: &'a str) -> Option<&'a str> {
        text.strip_prefix(self.key("").as_str())
    }
}
