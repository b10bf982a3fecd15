//! Records of keyward's own: of its life, and of what it changes by itself. They are never given up for being late, since their
//! loss, or a second one, would be worse than the wait.

use super::gateway::Gateway;
use keyward_audit::record::{Draft, Kind, Outcome, Parameters, Value};
use keyward_audit::{Changes, Environment, Event, Lane, Log, RandomError, ReadSet};

/// Most characters of a cause that a record holds.
const CAUSE_MAX: usize = 512;

/// A record of keyward's own, with what rides with it.
pub(super) struct Own {
    draft: Draft,
    lane: Lane,
}

impl Own {
    /// One that room is kept for.
    pub(super) fn new(draft: Draft) -> Self {
        Self { draft, lane: Lane::Reserve }
    }

    /// One that others make by asking, so that it must not take the room of anything else.
    pub(super) fn nameless(draft: Draft) -> Self {
        Self { draft, lane: Lane::Nameless }
    }
}

impl Event for Own {
    fn draft(&self) -> &Draft {
        &self.draft
    }

    fn lane(&self) -> Lane {
        self.lane
    }
}

/// What `principal`, a part of keyward, says of its own doing.
pub(super) fn draft(environment: &Environment, principal: &str, event: &str) -> Result<Draft, RandomError> {
    let mut draft = Draft::new(Kind::System, "keyward:System", "internal", environment.request_id()?);
    draft.outcome = Some(Outcome::Ok);
    draft.principal = Some(principal.to_owned());
    draft.parameters.insert("event".to_owned(), Value::from(event));
    Ok(draft)
}

/// The same of what went wrong.
pub(super) fn failed(mut draft: Draft, reason: &str) -> Draft {
    draft.outcome = Some(Outcome::Failed);
    draft.reason = Some(reason.to_owned());
    draft
}

/// A cause as records hold it.
pub(super) fn cause(text: &str) -> Value {
    Value::from(text.chars().take(CAUSE_MAX).collect::<String>())
}

/// Records what changes nothing; whether it is recorded.
pub(super) async fn record(log: &Log, draft: Draft) -> bool {
    log.commit_unhurried(Own::new(draft), Changes::default(), ReadSet::default()).await.is_ok()
}

impl Gateway {
    /// Says what happened, and with a `reason` that it went wrong; whether it is recorded.
    pub(super) async fn say(
        &self,
        principal: &str,
        event: &str,
        reason: Option<&str>,
        said: Vec<(&str, Value)>,
    ) -> bool {
        let Ok(draft) = draft(self.environment(), principal, event) else { return false };
        let mut draft = match reason {
            Some(reason) => failed(draft, reason),
            None => draft,
        };
        draft.parameters.extend(said.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Parameters>());
        let recorded = record(self.log(), draft).await;
        if !recorded {
            tracing::error!(event, "an event of the gateway's own could not be recorded");
        }
        recorded
    }
}
