//! Drafts into bytes: [`Draft::frame`] serialises once, [`Framed::finish`] only joins.
//!
//! The three numbers that the sequencer gives a record cut its sorted fields into three runs. Each run is a struct of
//! its own; the braces between them become commas.

use std::net::IpAddr;

use serde::Serialize;

use super::canonical;
use super::value::{write_integer_if_some, write_map};
use super::words::write_request;
use super::{
    Context, Credential, Decision, Draft, EventId, INTEGER_MAX, Kind, Outcome, Parameters, Policy, RECORD_BYTES_MAX,
    SCHEMA_VERSION, UserAgent,
};

/// Decimal digits of the largest epoch.
const EPOCH_DIGITS: usize = 10;
/// Decimal digits of the largest index and of the largest time.
const INTEGER_DIGITS: usize = 16;
/// Between epoch and index.
const BEFORE_INDEX: &[u8] = b",\"index\":";

/// Why a draft makes no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It would pass [`RECORD_BYTES_MAX`] with the largest epoch, index and time.
    #[error("the record would have `{0}` bytes, the limit is 8192")]
    TooLarge(usize),
    /// It holds what canonical form cannot: a key that is not ASCII, an integer past 2^53-1, a request id that is no
    /// UUID. An error of the caller's code, not of its input.
    #[error("the record cannot be written: {0}")]
    Malformed(String),
}

/// A draft, serialised around the places of `epoch`, `index` and `time`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framed {
    /// Up to and including `"epoch":`.
    head: Vec<u8>,
    /// After the index, up to and including `"time":`.
    middle: Vec<u8>,
    /// After the time.
    tail: Vec<u8>,
    id: EventId,
}

impl Draft {
    /// Serialises the draft, all but the three numbers that the sequencer gives it.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] if the record could pass [`RECORD_BYTES_MAX`]; [`FrameError::Malformed`] if it holds
    /// what canonical form cannot.
    pub fn frame(&self) -> Result<Framed, FrameError> {
        let mut head = write(&Head::of(self), 1_024)?;
        head.pop();
        head.extend_from_slice(b",\"epoch\":");
        let mut middle = write(&Middle::of(self), 1_024)?;
        replace_first_byte(&mut middle);
        middle.pop();
        middle.extend_from_slice(b",\"time\":");
        let mut tail = write(&Tail::of(self), 192)?;
        replace_first_byte(&mut tail);
        let framed = Framed { head, middle, tail, id: self.event_id() };
        if framed.bytes_max() > RECORD_BYTES_MAX {
            return Err(FrameError::TooLarge(framed.bytes_max()));
        }
        Ok(framed)
    }
}

impl Framed {
    /// The record's bytes. `index` and `time_us` (microseconds since 1970) are held at [`INTEGER_MAX`], which a clock
    /// passes in 2255 and an index never: a record is canonical whatever the clock says.
    #[must_use]
    pub fn finish(&self, epoch: u32, index: u64, time_us: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes_max());
        bytes.extend_from_slice(&self.head);
        bytes.extend_from_slice(epoch.to_string().as_bytes());
        bytes.extend_from_slice(BEFORE_INDEX);
        bytes.extend_from_slice(index.min(INTEGER_MAX).to_string().as_bytes());
        bytes.extend_from_slice(&self.middle);
        bytes.extend_from_slice(time_us.min(INTEGER_MAX).to_string().as_bytes());
        bytes.extend_from_slice(&self.tail);
        bytes
    }

    /// Length of the record with the largest epoch, index and time, in bytes.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        let numbers = EPOCH_DIGITS + BEFORE_INDEX.len() + INTEGER_DIGITS + INTEGER_DIGITS;
        self.head.len().saturating_add(self.middle.len()).saturating_add(self.tail.len()).saturating_add(numbers)
    }

    /// The event id.
    #[must_use]
    pub const fn event_id(&self) -> &EventId {
        &self.id
    }
}

fn write(run: &impl Serialize, capacity: usize) -> Result<Vec<u8>, FrameError> {
    let mut bytes = Vec::with_capacity(capacity);
    canonical::write(run, &mut bytes).map_err(|error| FrameError::Malformed(error.to_string()))?;
    Ok(bytes)
}

/// The brace that opens a run becomes the comma after the number before it.
fn replace_first_byte(run: &mut [u8]) {
    if let Some(first) = run.first_mut() {
        *first = b',';
    }
}

/// The fields before `epoch`, sorted.
#[derive(Serialize)]
struct Head<'a> {
    action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "write_integer_if_some")]
    answers: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assumed_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a Context>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<&'a Credential>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<Decision>,
    door: &'a str,
}

impl<'a> Head<'a> {
    fn of(draft: &'a Draft) -> Self {
        Self {
            action: &draft.action,
            answers: draft.answers,
            assumed_by: draft.assumed_by.as_deref(),
            certificate: draft.certificate.as_deref(),
            context: draft.context.as_ref(),
            credential: draft.credential.as_ref(),
            decision: draft.decision,
            door: &draft.door,
        }
    }
}

/// The fields between `index` and `time`, sorted.
#[derive(Serialize)]
struct Middle<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Parameters::is_empty", serialize_with = "write_map")]
    parameters: &'a Parameters,
    #[serde(skip_serializing_if = "Option::is_none")]
    personal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a Policy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(serialize_with = "write_request")]
    request: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_ip: Option<IpAddr>,
}

impl<'a> Middle<'a> {
    fn of(draft: &'a Draft) -> Self {
        Self {
            issuer: draft.issuer.as_deref(),
            kind: draft.kind,
            outcome: draft.outcome,
            parameters: &draft.parameters,
            personal: draft.personal.as_deref(),
            policy: draft.policy.as_ref(),
            principal: draft.principal.as_deref(),
            reason: draft.reason.as_deref(),
            request: &draft.request,
            resource: draft.resource.as_deref(),
            secret_version: draft.secret_version.as_deref(),
            session: draft.session.as_deref(),
            session_policy: draft.session_policy.as_deref(),
            source_ip: draft.source_ip.map(|address| address.to_canonical()),
        }
    }
}

/// The fields after `time`, sorted.
#[derive(Serialize)]
struct Tail<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a UserAgent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    version: u32,
}

impl<'a> Tail<'a> {
    fn of(draft: &'a Draft) -> Self {
        Self { user_agent: draft.user_agent.as_ref(), value: draft.value.as_deref(), version: SCHEMA_VERSION }
    }
}
