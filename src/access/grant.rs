//! What the pipeline commits: a [`Grant`], a [`Denial`] or a [`Failure`], each with the record that it leaves.

use super::export::Blocks;
use super::standing::Standing;
use crate::error::ApiError;
use crate::keys::Keyring;
use crate::secret::{Binding, Plaintext, Readable, SealedValue, Servable};
use keyward_audit::record::Draft;
use keyward_audit::{Event, Lane};
use serde_json::{Map, Value};
use std::sync::Arc;

/// What policy allowed, with what is needed to carry it out once it is recorded. In a box: it is handed through the
/// futures of a commit, which would carry its thousand bytes along at every step.
pub struct Grant<A>(Box<Granted<A>>);

struct Granted<A> {
    draft: Draft,
    act: A,
    lane: Lane,
    preceding: Option<Box<Draft>>,
}

/// The act of a grant to read a value.
pub struct Read {
    /// The sealed row as of the snapshot that policy was decided on.
    pub servable: Arc<Servable>,
    /// The keys that it was decided on.
    pub keyring: Arc<Keyring>,
}

/// The act of every other grant: the answer's fields; the change itself rides in the record's batch.
pub struct Done(pub Map<String, Value>);

/// The act of a grant of a random password.
pub struct Generated(pub Plaintext);

/// The act of a grant to export the log: its file goes out once it is recorded.
pub struct Exported(pub Blocks);

impl<A> Grant<A> {
    pub(super) fn new(draft: Draft, act: A, lane: Lane) -> Self {
        Self(Box::new(Granted { draft, act, lane, preceding: None }))
    }

    /// The same grant, recorded directly behind `preceding`, in one batch.
    pub(super) fn behind(mut self, preceding: Box<Draft>) -> Self {
        self.0.preceding = Some(preceding);
        self
    }

    pub(super) fn into_act(self) -> A {
        self.0.act
    }
}

impl Grant<Exported> {
    /// The same grant, whose file goes out as long as the request would be allowed.
    pub(super) fn watched(mut self, standing: Standing) -> Self {
        self.0.act.0.watch(standing);
        self
    }
}

impl<A: Send + 'static> Event for Grant<A> {
    fn draft(&self) -> &Draft {
        &self.0.draft
    }

    fn lane(&self) -> Lane {
        self.0.lane
    }

    fn preceding(&self) -> Option<&Draft> {
        self.0.preceding.as_deref()
    }
}

impl Readable for Grant<Read> {
    fn sealed(&self) -> (&SealedValue, &Binding) {
        let servable = &self.0.act.servable;
        (&servable.sealed, &servable.binding)
    }

    fn keyring(&self) -> &Keyring {
        &self.0.act.keyring
    }
}

/// A refusal: no good credential (401) or policy says no (403).
pub struct Denial {
    draft: Box<Draft>,
    error: ApiError,
    lane: Lane,
}

impl Denial {
    pub(super) fn new(draft: Draft, error: ApiError, lane: Lane) -> Self {
        Self { draft: Box::new(draft), error, lane }
    }

    pub(super) fn into_error(self) -> ApiError {
        self.error
    }
}

impl Event for Denial {
    fn draft(&self) -> &Draft {
        &self.draft
    }

    fn lane(&self) -> Lane {
        self.lane
    }
}

/// What policy did not refuse and was not done: missing, wrong state, conflict, malformed, or not decidable.
pub struct Failure {
    draft: Box<Draft>,
    error: ApiError,
    lane: Lane,
}

impl Failure {
    pub(super) fn new(draft: Draft, error: ApiError, lane: Lane) -> Self {
        Self { draft: Box::new(draft), error, lane }
    }

    pub(super) fn into_error(self) -> ApiError {
        self.error
    }
}

impl Event for Failure {
    fn draft(&self) -> &Draft {
        &self.draft
    }

    fn lane(&self) -> Lane {
        self.lane
    }
}
