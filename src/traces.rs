//! Traces: where the time of a request went, as spans that are sent to an OpenTelemetry collector (OTLP over HTTP).
//!
//! Compiled in by the feature `otel`; without it each function here does the work that it is given and nothing else.
//!
//! INVARIANT I4, SECURITY: a span holds what [`Stage`] and [`Outcome`] hold: names from closed lists, a status, the request's
//! id, its record's index. There is no way to put the name of a secret or a caller, a token or a value into one, and spans
//! and events of other libraries are not sent. Only requests of known callers are traced: a flood without tokens costs
//! nothing here and pushes nobody out of the queue.
//!
//! A collector that is slow or gone costs spans, never a request. If the process dies, what was not sent is lost.

#[cfg(feature = "otel")]
mod encode;
#[cfg(feature = "otel")]
mod export;
#[cfg(feature = "otel")]
mod on;
#[cfg(feature = "otel")]
pub use on::{Arrival, Running, StartError, Trace, along, during, stage, start};

#[cfg(not(feature = "otel"))]
mod off;
#[cfg(not(feature = "otel"))]
pub use off::{Arrival, Running, StartError, Trace, along, during, stage, start};

/// A part of a request, which gets a span of its own.
#[derive(Clone, Copy, Debug)]
pub enum Stage {
    /// Who asks.
    Authenticate,
    /// One attempt: the decision on a snapshot, and what is prepared for the commit.
    Decide,
    /// The record, until it is synced.
    Commit,
    /// A sealed value is opened.
    Open,
}

/// What a request came to.
pub struct Outcome<'a> {
    /// The request's id.
    pub request: &'a str,
    /// The HTTP status.
    pub status: u16,
    /// The error's code, if it failed.
    pub code: Option<&'static str>,
    /// The index of its record, if there is one.
    pub index: Option<u64>,
}
