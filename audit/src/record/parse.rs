//! Stored bytes into a record: exactly the bytes that [`Framed::finish`](super::Framed::finish) can make, no twin.

use std::net::IpAddr;

use serde::Deserialize;

use super::{
    Context, Credential, Decision, Draft, EventId, Kind, Outcome, Parameters, Policy, RECORD_BYTES_MAX, SCHEMA_VERSION,
    UserAgent,
};

/// Why bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Longer than [`RECORD_BYTES_MAX`].
    #[error("the record has `{0}` bytes, the limit is 8192")]
    TooLarge(usize),
    /// Not JSON, an unknown or repeated field, or a field of the wrong type.
    #[error("the record cannot be read: {0}")]
    Malformed(String),
    /// Of a schema that this program does not know.
    #[error("the record has schema version `{0}`, known is 1")]
    Version(u32),
    /// It says the same as its canonical form, but in other bytes.
    #[error("the record is not in canonical form")]
    NotCanonical,
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    draft: Draft,
    epoch: u32,
    index: u64,
    time_us: u64,
}

impl Record {
    /// Reads a record of the log that this process writes, for whoever goes over very many of them: as [`Record::parse`], but whether
    /// the bytes are the canonical ones is not looked at again.
    ///
    /// # Errors
    /// [`RecordError`] for anything but a record of a known schema.
    pub fn read(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(RecordError::TooLarge(bytes.len()));
        }
        let written: Written =
            serde_json::from_slice(bytes).map_err(|error| RecordError::Malformed(error.to_string()))?;
        if written.version != SCHEMA_VERSION {
            return Err(RecordError::Version(written.version));
        }
        Ok(Self::from(written))
    }

    /// Reads a record's stored bytes.
    ///
    /// # Errors
    /// [`RecordError`] for anything but the canonical bytes of a record of a known schema.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let record = Self::read(bytes)?;
        let framed = record.draft.frame().map_err(|error| RecordError::Malformed(error.to_string()))?;
        if framed.finish(record.epoch, record.index, record.time_us) == bytes {
            Ok(record)
        } else {
            Err(RecordError::NotCanonical)
        }
    }

    /// Everything but epoch, index and time.
    #[must_use]
    pub const fn draft(&self) -> &Draft {
        &self.draft
    }

    /// Raised by every accepted loss.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The record's place in the log, which is also its leaf's.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Commit time, microseconds since 1970.
    #[must_use]
    pub const fn time_us(&self) -> u64 {
        self.time_us
    }

    /// Which kind of record.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.draft.kind
    }

    /// What was asked.
    #[must_use]
    pub fn action(&self) -> &str {
        &self.draft.action
    }

    /// Who asked.
    #[must_use]
    pub fn principal(&self) -> Option<&str> {
        self.draft.principal.as_deref()
    }

    /// On what.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        self.draft.resource.as_deref()
    }

    /// The policy's answer.
    #[must_use]
    pub const fn decision(&self) -> Option<Decision> {
        self.draft.decision
    }

    /// What happened.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        self.draft.outcome
    }

    /// The exact configured `iss` of the caller's token.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.draft.issuer.as_deref()
    }

    /// The caller's groups, sorted; none where no policy was evaluated.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.draft.context.iter().flat_map(|context| &context.groups).map(String::as_str)
    }

    /// Why it was denied or failed.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.draft.reason.as_deref()
    }

    /// UUID of the request.
    #[must_use]
    pub fn request(&self) -> &str {
        &self.draft.request
    }

    /// The event id.
    #[must_use]
    pub fn event_id(&self) -> EventId {
        self.draft.event_id()
    }
}

/// The object in the stored bytes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    action: String,
    answers: Option<u64>,
    assumed_by: Option<String>,
    certificate: Option<String>,
    context: Option<Context>,
    credential: Option<Credential>,
    decision: Option<Decision>,
    door: String,
    epoch: u32,
    index: u64,
    issuer: Option<String>,
    kind: Kind,
    outcome: Option<Outcome>,
    #[serde(default)]
    parameters: Parameters,
    personal: Option<String>,
    policy: Option<Policy>,
    principal: Option<String>,
    reason: Option<String>,
    request: String,
    resource: Option<String>,
    secret_version: Option<String>,
    session: Option<String>,
    session_policy: Option<String>,
    source_ip: Option<IpAddr>,
    time: u64,
    user_agent: Option<UserAgent>,
    value: Option<String>,
    version: u32,
}

impl From<Written> for Record {
    fn from(written: Written) -> Self {
        let draft = Draft {
            action: written.action,
            answers: written.answers,
            assumed_by: written.assumed_by,
            certificate: written.certificate,
            context: written.context,
            credential: written.credential,
            decision: written.decision,
            door: written.door,
            issuer: written.issuer,
            kind: written.kind,
            outcome: written.outcome,
            parameters: written.parameters,
            personal: written.personal,
            policy: written.policy,
            principal: written.principal,
            reason: written.reason,
            request: written.request,
            resource: written.resource,
            secret_version: written.secret_version,
            session: written.session,
            session_policy: written.session_policy,
            source_ip: written.source_ip,
            user_agent: written.user_agent,
            value: written.value,
        };
        Self { draft, epoch: written.epoch, index: written.index, time_us: written.time }
    }
}
