//! Traces in a program that was built without them.

use super::{Outcome, Stage};
use crate::config::Config;

/// Nothing runs.
pub struct Running;

/// There is nothing that could fail: a configuration that asks for traces is refused when it is read.
#[derive(Debug, thiserror::Error)]
pub enum StartError {}

/// Starts nothing.
///
/// # Errors
/// Never.
pub fn start(_config: &Config) -> Result<Running, StartError> {
    Ok(Running)
}

/// The arrival of a request.
pub struct Arrival;

impl Arrival {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self
    }

    /// The trace of a request: none.
    #[must_use]
    pub fn trace<'a>(self, _is_known: bool, _door: &'static str, _parent: impl FnOnce() -> Option<&'a str>) -> Trace {
        Trace
    }
}

/// No trace.
pub struct Trace;

impl Trace {
    /// Nothing to name.
    pub fn name(&self, _action: impl FnOnce() -> String) {}

    /// Does the work.
    pub fn of<F: Future>(&self, work: F) -> F {
        work
    }

    /// Nothing to end.
    pub fn end<'a>(self, _outcome: impl FnOnce() -> Outcome<'a>) {}
}

/// Does the work.
pub fn stage<T>(_stage: Stage, work: impl FnOnce() -> T) -> T {
    work()
}

/// Does the work.
pub fn during<F: Future>(_stage: Stage, work: F) -> F {
    work
}

/// Does the work.
pub fn along<F: Future>(work: F) -> F {
    work
}
