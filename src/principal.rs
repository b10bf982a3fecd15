//! Who: principals, qualified by their issuer's name, so that one issuer never speaks for another.

use std::fmt;

/// Longest `sub`, group or role name, in bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// The issuer name reserved for what the policy folder itself defines.
pub const LOCAL: &str = "local";

/// What kind of principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `user/<issuer>/<sub>`: whoever a token or key stands for.
    User,
    /// `group/<issuer>/<group>`.
    Group,
    /// `role/<issuer>/<role>`.
    Role,
    /// `service/<name>`: keyward itself at work.
    Service,
}

/// Why a text is no principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrincipalError {
    /// Not one of the four forms.
    #[error(
        "a principal is `user/<issuer>/<sub>`, `group/<issuer>/<group>`, `role/<issuer>/<role>` or `service/<name>`"
    )]
    Form,
    /// The issuer's name is not `[a-z0-9-]{1,32}`.
    #[error("an issuer's name is 1 to 32 of `a-z`, `0-9` and `-`")]
    Issuer,
    /// The last part is empty, longer than 256 bytes, or holds a control character.
    #[error("the name in a principal is 1 to 256 bytes without control characters")]
    Name,
}

/// A principal in its one written form; compared by bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal(String);

impl Principal {
    /// Reads a qualified principal. Only the first two slashes divide; the name may hold more.
    ///
    /// # Errors
    /// [`PrincipalError`] if the text is in none of the four forms.
    pub fn parse(text: &str) -> Result<Self, PrincipalError> {
        let (kind, rest) = text.split_once('/').ok_or(PrincipalError::Form)?;
        match kind {
            "user" | "group" | "role" => {
                let (issuer, name) = rest.split_once('/').ok_or(PrincipalError::Form)?;
                check_issuer_name(issuer)?;
                check_name(name)?;
            }
            "service" => check_name(rest)?,
            _ => return Err(PrincipalError::Form),
        }
        Ok(Self(text.to_owned()))
    }

    /// The principal of `kind` that `issuer` calls `name`.
    ///
    /// # Errors
    /// [`PrincipalError`] if a part is outside its rule. `kind` must not be [`Kind::Service`], which has no issuer.
    pub fn qualified(kind: Kind, issuer: &str, name: &str) -> Result<Self, PrincipalError> {
        let word = match kind {
            Kind::User => "user",
            Kind::Group => "group",
            Kind::Role => "role",
            Kind::Service => return Err(PrincipalError::Form),
        };
        Self::parse(&format!("{word}/{issuer}/{name}"))
    }

    /// What seals and opens values, at work: `service/ssm`.
    #[must_use]
    pub fn engine() -> Self {
        Self("service/ssm".to_owned())
    }

    /// The role in which it uses keys: `role/local/SSM_QCSRole`.
    #[must_use]
    pub fn engine_role() -> Self {
        Self("role/local/SSM_QCSRole".to_owned())
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.0.split_once('/') {
            Some(("user", _)) => Kind::User,
            Some(("group", _)) => Kind::Group,
            Some(("role", _)) => Kind::Role,
            _ => Kind::Service,
        }
    }

    /// The issuer's name; `None` for a service.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        if self.kind() == Kind::Service {
            return None;
        }
        self.0.split('/').nth(1)
    }

    /// The part behind the issuer's name: a user's subject; nothing of a service.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.splitn(3, '/').nth(2).unwrap_or_default()
    }

    /// The written form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Checks an issuer's name: `[a-z0-9-]{1,32}`.
///
/// # Errors
/// [`PrincipalError::Issuer`].
pub fn check_issuer_name(name: &str) -> Result<(), PrincipalError> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=32).contains(&name.len()) && name.bytes().all(fits) { Ok(()) } else { Err(PrincipalError::Issuer) }
}

/// Checks a sub, group or role: 1 to 256 bytes, no control characters (Unicode category Cc).
///
/// # Errors
/// [`PrincipalError::Name`].
pub fn check_name(name: &str) -> Result<(), PrincipalError> {
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(PrincipalError::Name)
    }
}
