//! What proved the caller. SECURITY: ids, times and one hash of signed text; never a token or a key.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::value::write_integer_if_some;

/// What proved the caller: one of the three forms that a record knows. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A bearer token.
    Token {
        /// Its `exp`.
        expires: u64,
        /// Its id.
        id: TokenId,
        /// Its `iat`.
        issued: u64,
        /// The id of the key that signed it.
        kid: Option<String>,
    },
    /// A standing access key.
    AccessKey {
        /// Its id.
        access_key: String,
        /// When it was made.
        issued: u64,
    },
    /// A temporary access key of a role or federated session.
    Session {
        /// Its id.
        access_key: String,
        /// When it ends.
        expires: u64,
        /// When it was made.
        issued: u64,
    },
}

/// What tells one token from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenId {
    /// Its `jti`.
    Jti(String),
    /// Hex of `SHA-256("keyward-credential/1" || signing input)`, for a token without `jti`.
    Hash(String),
}

impl Serialize for Credential {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let none = Written { access_key: None, expires: None, hash: None, issued: None, jti: None, kid: None };
        let written = match self {
            Self::Token { expires, id, issued, kid } => {
                let (hash, jti) = match id {
                    TokenId::Jti(jti) => (None, Some(jti.as_str())),
                    TokenId::Hash(hash) => (Some(hash.as_str()), None),
                };
                Written { expires: Some(*expires), hash, issued: Some(*issued), jti, kid: kid.as_deref(), ..none }
            }
            Self::AccessKey { access_key, issued } => {
                Written { access_key: Some(access_key), issued: Some(*issued), ..none }
            }
            Self::Session { access_key, expires, issued } => {
                Written { access_key: Some(access_key), expires: Some(*expires), issued: Some(*issued), ..none }
            }
        };
        written.serialize(serializer)
    }
}

/// The object in the record, fields sorted.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "write_integer_if_some")]
    expires: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "write_integer_if_some")]
    issued: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

/// The same object, as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    access_key: Option<String>,
    expires: Option<u64>,
    hash: Option<String>,
    issued: u64,
    jti: Option<String>,
    kid: Option<String>,
}

impl<'de> Deserialize<'de> for Credential {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Read { access_key, expires, hash, issued, jti, kid } = Read::deserialize(deserializer)?;
        match (access_key, expires, hash, jti, kid) {
            (None, Some(expires), None, Some(jti), kid) => {
                Ok(Self::Token { expires, id: TokenId::Jti(jti), issued, kid })
            }
            (None, Some(expires), Some(hash), None, kid) => {
                Ok(Self::Token { expires, id: TokenId::Hash(hash), issued, kid })
            }
            (Some(access_key), None, None, None, None) => Ok(Self::AccessKey { access_key, issued }),
            (Some(access_key), Some(expires), None, None, None) => Ok(Self::Session { access_key, expires, issued }),
            _ => Err(de::Error::custom("`credential` is in none of its forms")),
        }
    }
}
