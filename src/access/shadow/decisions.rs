//! ListShadowDecisions: what the trail says of the set in the shadow, as lines of JSON in the form of a replay's.

use super::super::attempt::Carried;
use super::super::gateway::Gateway;
use super::super::key_use;
use super::super::proposal::told_flips;
use super::super::replay::{Answer, Flip, Flips, TextRow};
use super::super::request::ListShadowDecisions;
use super::super::review::{self, Review, Turn, line};
use crate::error::{ApiError, Code};
use crate::principal::Principal;
use crate::resource::Place;
use keyward_audit::record::{Decision, Draft, INTEGER_MAX, Record, Shadow, Value};
use keyward_audit::store::StoreError;
use serde_json::json;

/// Carries out an allowed ListShadowDecisions. Its record names the set by its revision.
pub(in crate::access) fn list(
    gateway: &Gateway,
    wanted: &ListShadowDecisions,
    draft: &mut Draft,
) -> Result<Carried, StoreError> {
    let refused = |message| Ok(Carried::Failed(ApiError::new(Code::FailedOperation, message)));
    let in_shadow = || gateway.shadow().candidate().map(|candidate| candidate.set.revision().to_owned());
    let Some(revision) = wanted.revision.clone().or_else(in_shadow) else {
        return refused("no policy set is in the shadow; name one that was by Revision");
    };
    let turn = match Turn::take(gateway) {
        Ok(turn) => turn,
        Err(error) => return Ok(Carried::Failed(error)),
    };
    draft.parameters.insert("shadow".to_owned(), Value::from(revision.as_str()));
    if wanted.since_s > 0 {
        draft.parameters.insert("start_time".to_owned(), Value::from(wanted.since_s.min(INTEGER_MAX)));
    }
    let since_us = wanted.since_s.saturating_mul(1_000_000);
    let records = gateway.log().records_since(since_us)?;
    Ok(review::carried(records, Said::of(revision, gateway.place().clone(), since_us), turn))
}

/// What the trail says of one set.
struct Said {
    revision: String,
    place: Place,
    since_us: u64,
    records: u64,
    flips: Flips,
    /// How often it could not decide, and the index of the first.
    undecided: Option<(u64, u64)>,
}

impl Said {
    fn of(revision: String, place: Place, since_us: u64) -> Self {
        Self { revision, place, since_us, records: 0, flips: Flips::default(), undecided: None }
    }

    fn flip(&mut self, said: &Shadow, index: u64, time_us: u64, whose: (String, String, Option<String>)) {
        if said.revision != self.revision {
            return;
        }
        let (principal, action, resource) = whose;
        let would = match said.decision {
            Decision::Allow => Answer::Allow,
            Decision::Deny => Answer::Deny,
            Decision::Error => {
                let (count, first) = self.undecided.unwrap_or((0, index));
                self.undecided = Some((count.saturating_add(1), first));
                return;
            }
        };
        self.flips.add(Flip { would, principal, action, resource }, index, time_us);
    }
}

impl Review for Said {
    fn add(&mut self, index: u64, bytes: &[u8], _: &mut TextRow<'_>) {
        let Ok(record) = Record::read(bytes) else { return };
        if record.time_us() < self.since_us {
            return;
        }
        self.records = self.records.saturating_add(1);
        let draft = record.draft();
        let principal = draft.principal.clone().unwrap_or_default();
        if let Some(said) = draft.policy.as_ref().and_then(|policy| policy.shadow.as_ref()) {
            let whose = (principal, draft.action.clone(), draft.resource.clone());
            self.flip(said, index, record.time_us(), whose);
        }
        if let (Some(said), Ok(Some(used))) = (key_use::shadow_said(draft), key_use::Used::of(draft)) {
            let engine = Principal::engine_role().to_string();
            let whose = (engine, used.action_name(), Some(self.place.key(used.key)));
            self.flip(&said, index, record.time_us(), whose);
        }
    }

    fn told(&self) -> Vec<u8> {
        let mut lines = told_flips(&self.flips);
        if let Some((count, first)) = self.undecided {
            let reason = "the set could not decide it";
            lines.extend(line(&json!({"Undecidable": reason, "Count": count, "FirstIndex": first})));
        }
        lines.extend(line(&json!({
            "Records": self.records,
            "Flipped": self.flips.decisions,
            "FlippedUntold": self.flips.untold,
            "Shadow": self.revision,
            "UndecidableTotal": self.undecided.map_or(0, |(count, _)| count),
        })));
        lines
    }
}
