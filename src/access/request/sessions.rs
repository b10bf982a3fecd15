//! What callers ask of sessions.

use super::{Dialect, Request, Rules};
use crate::actions::Operation;
use crate::error::{ApiError, Code};
use crate::form;
use crate::parameters::{Fields, invalid_value};
use crate::principal::{Kind, LOCAL, Principal};
use zeroize::Zeroizing;

/// A request about sessions.
#[derive(Debug)]
pub(in crate::access) enum SessionRequest {
    /// AssumeRole, AssumeRoleWithWebIdentity: the role, and the provider if one is named.
    Assume(Principal, Option<String>, Begin),
    /// GetFederationToken
    Federate(Begin),
    /// GetCallerIdentity
    Identity,
}

/// How a session is to begin.
#[derive(Debug)]
pub(in crate::access) struct Begin {
    /// Its name.
    pub(in crate::access) name: String,
    /// How long it is to last, in seconds, if the caller says so.
    pub(in crate::access) duration_s: Option<u64>,
    /// The text of the policy that narrows it.
    pub(in crate::access) policy: Option<Vec<u8>>,
}

impl SessionRequest {
    /// Reads the parameters of `operation`, if it is about sessions.
    pub(super) fn read(
        operation: Operation,
        fields: &mut Fields,
        rules: &Rules<'_>,
    ) -> Result<Option<Request>, ApiError> {
        let request = match operation {
            Operation::AssumeRole => {
                Self::Assume(role(fields, rules)?, None, Begin::read(fields, "RoleSessionName", is_session_byte)?)
            }
            Operation::AssumeRoleWithWebIdentity => {
                let provider = fields.nonempty_text("ProviderId")?;
                if rules.dialect == Dialect::Tencent {
                    // It was taken as the credential that it is.
                    let _token = Zeroizing::new(fields.required_text("WebIdentityToken")?);
                    if provider.is_none() {
                        return Err(crate::parameters::missing("ProviderId"));
                    }
                }
                Self::Assume(role(fields, rules)?, provider, Begin::read(fields, "RoleSessionName", is_session_byte)?)
            }
            Operation::GetFederationToken => {
                let begin = Begin::read(fields, "Name", |byte| byte.is_ascii_alphanumeric())?;
                if begin.policy.is_none() {
                    return Err(crate::parameters::missing("Policy"));
                }
                Self::Federate(begin)
            }
            Operation::GetCallerIdentity => Self::Identity,
            _ => return Ok(None),
        };
        Ok(Some(Request::Session(request)))
    }

    /// The role that it is about.
    pub(in crate::access) const fn role(&self) -> Option<&Principal> {
        match self {
            Self::Assume(role, ..) => Some(role),
            Self::Federate(_) | Self::Identity => None,
        }
    }
}

impl Begin {
    fn read(fields: &mut Fields, name: &str, fits: fn(u8) -> bool) -> Result<Self, ApiError> {
        let text = fields.required_text(name)?;
        if !(2..=128).contains(&text.len()) || !text.bytes().all(fits) {
            return Err(ApiError::new(
                Code::ParamError,
                format!("`{name}` is 2 to 128 letters and digits, of a role session also `_+=,.@-`"),
            ));
        }
        let policy = fields.nonempty_text("Policy")?.map(|text| policy(&text)).transpose()?;
        Ok(Self { name: text, duration_s: fields.number("DurationSeconds")?, policy })
    }
}

const fn is_session_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'=' | b',' | b'.' | b'@' | b'-')
}

/// A role of the folder, as the vendor writes it or as keyward does.
fn role(fields: &mut Fields, rules: &Rules<'_>) -> Result<Principal, ApiError> {
    let text = fields.required_text("RoleArn")?;
    let name = match Principal::parse(&text) {
        Ok(principal) if principal.kind() == Kind::Role && principal.issuer() == Some(LOCAL) => return Ok(principal),
        Ok(_) => None,
        Err(_) => text.strip_prefix(&format!("qcs::cam::uin/{}:roleName/", rules.place.account)),
    };
    let role = name.and_then(|name| Principal::qualified(Kind::Role, LOCAL, name).ok());
    role.ok_or_else(|| {
        let rule = format!("it is `qcs::cam::uin/{}:roleName/<name>`, or `role/local/<name>`", rules.place.account);
        invalid_value("RoleArn", rule)
    })
}

/// A policy, which clients send URL-encoded: as it stands if it begins as JSON does.
fn policy(text: &str) -> Result<Vec<u8>, ApiError> {
    if text.trim_start().starts_with('{') {
        return Ok(text.as_bytes().to_vec());
    }
    form::decode(text).ok_or_else(|| {
        let message = "`Policy` is a policy document, URL-encoded: a `%` has no two digits behind it";
        ApiError::new(Code::StrategyFormatError, message)
    })
}
