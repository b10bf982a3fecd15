//! The records that the log writes of itself: seals, clock steps, outcomes, and `system` events of its store and disk.
//!
//! INVARIANT I3: what happens to the log is in the log. An `outcome` corrects a record that says `ok` when the caller
//! never got its proof, so that `ok` always means released.

use super::clock::ClockStep;
use crate::disk::Level;
use crate::environment::{Environment, RandomError};
use crate::hash::Digest;
use crate::record::{Draft, Kind, Outcome, Parameters, Record, Value};

/// The wire protocol of records that no request caused.
const DOOR: &str = "internal";
/// Who writes them.
const PRINCIPAL: &str = "service/gateway";
/// What a caller was told whose record became durable without its proof.
const AUDIT_UNAVAILABLE: &str = "AuditUnavailable";

/// Why a record that says `ok` was not answered so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It became durable after its deadline.
    Deadline,
    /// The write failed, and the record was found when the store was read back.
    UnknownCommit,
}

impl Cause {
    const fn word(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::UnknownCommit => "unknown_commit",
        }
    }
}

/// What a seal says of the log before it.
pub(super) struct SealFacts {
    pub(super) chain: Digest,
    pub(super) root: Digest,
    pub(super) size: u64,
    pub(super) previous: Option<u64>,
    pub(super) counts: Vec<(Kind, u64)>,
}

pub(super) fn seal(environment: &Environment, facts: &SealFacts) -> Result<Draft, RandomError> {
    let mut draft = own(environment, Kind::Seal, "keyward:Seal")?;
    draft.outcome = None;
    let counts = facts.counts.iter().map(|(kind, count)| (kind.word().to_owned(), Value::Integer(*count)));
    draft.parameters = parameters([
        ("chain", hex::encode(facts.chain).into()),
        ("counts", Value::Object(counts.collect())),
        ("root", hex::encode(facts.root).into()),
        ("size", facts.size.into()),
    ]);
    if let Some(previous) = facts.previous {
        draft.parameters.insert("previous".to_owned(), previous.into());
    }
    Ok(draft)
}

pub(super) fn clock_step(environment: &Environment, step: &ClockStep) -> Result<Draft, RandomError> {
    let mut draft = own(environment, Kind::ClockStep, "keyward:ClockStep")?;
    draft.parameters = parameters([
        ("after", step.after_us.into()),
        ("before", step.before_us.into()),
        ("source", step.source.into()),
    ]);
    Ok(draft)
}

/// A tail torn by a crash was cut off; nothing below the mark was in it.
pub(super) fn torn_tail_recovered(environment: &Environment, size: u64) -> Result<Draft, RandomError> {
    system(environment, [("event", "torn_tail_recovered".into()), ("size", size.into())])
}

/// Free space went to another level.
pub(super) fn disk_level(environment: &Environment, level: Level) -> Result<Draft, RandomError> {
    system(environment, [("event", "disk_level".into()), ("level", level_word(level).into())])
}

/// The log takes no more records until there is space again.
pub(super) fn audit_stopped(environment: &Environment) -> Result<Draft, RandomError> {
    system(environment, [("cause", "disk".into()), ("event", "audit_stopped".into())])
}

/// An operator accepted a loss; the statement is added by its caller.
pub(super) fn loss(environment: &Environment) -> Result<Draft, RandomError> {
    let mut draft = own(environment, Kind::Loss, "keyward:Loss")?;
    draft.principal = Some("service/operator".to_owned());
    Ok(draft)
}

/// Nothing was released on `record`, though it says `ok`.
pub(super) fn not_released(record: &Record, cause: Cause) -> Draft {
    let answered = record.draft();
    let mut draft = Draft::new(Kind::Outcome, record.action(), answered.door.as_str(), record.request());
    draft.answers = Some(record.index());
    draft.outcome = Some(Outcome::Failed);
    draft.principal.clone_from(&answered.principal);
    // Whoever asks for a secret's records gets the correction with the record.
    draft.resource.clone_from(&answered.resource);
    draft.reason = Some(AUDIT_UNAVAILABLE.to_owned());
    draft.parameters = parameters([("cause", cause.word().into())]);
    // Two records of one batch call answer with the same request: the item keeps their event ids apart.
    if let Some(item) = answered.parameters.get("item") {
        draft.parameters.insert("item".to_owned(), item.clone());
    }
    draft
}

pub(super) const fn level_word(level: Level) -> &'static str {
    match level {
        Level::Ample => "ample",
        Level::Soft => "soft",
        Level::Hard => "hard",
        Level::Critical => "critical",
    }
}

fn system<const N: usize>(environment: &Environment, said: [(&str, Value); N]) -> Result<Draft, RandomError> {
    let mut draft = own(environment, Kind::System, "keyward:System")?;
    draft.parameters = parameters(said);
    Ok(draft)
}

fn own(environment: &Environment, kind: Kind, action: &str) -> Result<Draft, RandomError> {
    let mut draft = Draft::new(kind, action, DOOR, environment.request_id()?);
    draft.outcome = Some(Outcome::Ok);
    draft.principal = Some(PRINCIPAL.to_owned());
    Ok(draft)
}

fn parameters<const N: usize>(said: [(&str, Value); N]) -> Parameters {
    said.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
