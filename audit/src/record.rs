//! The record: what is written down of each event, in bytes that never change (`SPEC.md` 1 and 2).
//!
//! A [`Draft`] is a record without `epoch`, `index` and `time`. [`Draft::frame`] serialises it once, on the thread of
//! whoever made it, into the bytes around those three holes; the sequencer fills them with [`Framed::finish`].
//! [`Record::parse`] reads stored bytes and accepts exactly those that `finish` can make.
//!
//! INVARIANT I4: the typed fields hold every input of a decision and cannot hold a value or a token.
//! INVARIANT I7: one record has one form. Structs declare their fields in sorted order, maps are sorted, integers stay
//! within 2^53-1, so that plain `serde_json` writes canonical JSON (RFC 8785).
//! Pure computation: nothing here is lost when the process dies.

mod canonical;
mod credential;
mod decided;
mod frame;
mod parse;
mod value;
mod words;

#[cfg(test)]
mod tests;

pub use credential::{Credential, TokenId};
pub use decided::{Context, Layer, Policy, Shadow};
pub use frame::{FrameError, Framed};
pub use parse::{Record, RecordError};
pub use value::{INTEGER_MAX, Parameters, Value};
pub use words::{Decision, Effect, Kind, LayerName, Outcome, Unknown, UserAgent};

use std::net::IpAddr;

/// Longest record, in bytes.
pub const RECORD_BYTES_MAX: usize = 8_192;

/// Version of the record's schema.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything of a record but `epoch`, `index` and `time`. `None` and empty collections are left out of the bytes.
///
/// Texts are written as they are: the caller has already brought them into their one form (invariant I6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// What was asked: `ssm:GetSecretValue`; `keyward:<Kind>` for keyward's own records.
    pub action: String,
    /// Outcome records: index of the record that it speaks about.
    pub answers: Option<u64>,
    /// Role sessions: the principal that assumed the role.
    pub assumed_by: Option<String>,
    /// Hex SHA-256 of the DER of a verified client certificate.
    pub certificate: Option<String>,
    /// Every input that a policy could have read.
    pub context: Option<Context>,
    /// What proved the caller; never the token.
    pub credential: Option<Credential>,
    /// The policy's answer.
    pub decision: Option<Decision>,
    /// The wire protocol (`native`, ...); `internal` for keyward itself.
    pub door: String,
    /// The exact configured `iss` of a verified token.
    pub issuer: Option<String>,
    /// Which kind of record.
    pub kind: Kind,
    /// What happened; all but seals have one.
    pub outcome: Option<Outcome>,
    /// Typed, allow-listed, non-secret extras of the action or kind.
    pub parameters: Parameters,
    /// Sealed personal data, base64.
    pub personal: Option<String>,
    /// What the decision rested on.
    pub policy: Option<Policy>,
    /// Who: a qualified principal; none on unauthenticated requests.
    pub principal: Option<String>,
    /// Code of a closed list, on deny, error and failure.
    pub reason: Option<String>,
    /// UUID of the request, 36 lower-case characters.
    pub request: String,
    /// On what, in six segments.
    pub resource: Option<String>,
    /// Id of the version that was served or written.
    pub secret_version: Option<String>,
    /// Name of the role session.
    pub session: Option<String>,
    /// `sha256:` digest of the role session's policy.
    pub session_policy: Option<String>,
    /// The peer's address, whoever it forwards for; an IPv4 address mapped into IPv6 is written as IPv4.
    pub source_ip: Option<IpAddr>,
    /// The caller's program, shortened.
    pub user_agent: Option<UserAgent>,
    /// Immutable id of the value read or written, 32 hex digits.
    pub value: Option<String>,
}

impl Draft {
    /// A draft with what every record has; the rest is set by field.
    #[must_use]
    pub fn new(kind: Kind, action: impl Into<String>, door: impl Into<String>, request: impl Into<String>) -> Self {
        Self {
            action: action.into(),
            answers: None,
            assumed_by: None,
            certificate: None,
            context: None,
            credential: None,
            decision: None,
            door: door.into(),
            issuer: None,
            kind,
            outcome: None,
            parameters: Parameters::new(),
            personal: None,
            policy: None,
            principal: None,
            reason: None,
            request: request.into(),
            resource: None,
            secret_version: None,
            session: None,
            session_policy: None,
            source_ip: None,
            user_agent: None,
            value: None,
        }
    }

    /// The event id: unique in a log.
    #[must_use]
    pub fn event_id(&self) -> EventId {
        let item = match self.parameters.get("item") {
            Some(Value::Integer(position)) => Some(*position),
            _ => None,
        };
        EventId { request: self.request.clone(), kind: self.kind, item }
    }
}

/// What identifies an event in a log, and what an unknown commit is read back by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId {
    /// UUID of the request.
    pub request: String,
    /// Kind of its record.
    pub kind: Kind,
    /// Position in a batch call (`parameters.item`).
    pub item: Option<u64>,
}
