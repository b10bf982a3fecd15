//! ReplayPolicies: what a policy set that is not live would have decided, over the trail, before it goes live.
//!
//! It is a review of the trail ([`review`]), which says each flip, what cannot be decided, and last the totals. A file without
//! totals broke off.

use super::attempt::Carried;
use super::gateway::Gateway;
use super::replay::{Against, Flip, Flips, TextRow, Times};
use super::request::ReplayPolicies;
use super::review::{self, Review, Turn, line};
use crate::authz::{PolicyFile, PolicySet};
use crate::error::ApiError;
use crate::parameters::invalid_value;
use keyward_audit::record::{Draft, INTEGER_MAX, Value as RecordValue};
use keyward_audit::store::StoreError;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;

/// Findings that an error tells, of a set that does not load.
const FINDINGS_MAX: usize = 5;

/// Carries out an allowed ReplayPolicies. Its record names the set by its revision.
pub(super) fn replay(gateway: &Gateway, wanted: &ReplayPolicies, draft: &mut Draft) -> Result<Carried, StoreError> {
    let set = match load(gateway, &wanted.files) {
        Ok(set) => Arc::new(set),
        Err(error) => return Ok(Carried::Failed(error)),
    };
    let turn = match Turn::take(gateway) {
        Ok(turn) => turn,
        Err(error) => return Ok(Carried::Failed(error)),
    };
    draft.parameters.insert("proposed".to_owned(), RecordValue::from(set.revision()));
    let since_us = wanted.since_s.saturating_mul(1_000_000);
    if wanted.since_s > 0 {
        draft.parameters.insert("start_time".to_owned(), RecordValue::from(wanted.since_s.min(INTEGER_MAX)));
    }
    let records = gateway.log().records_since(since_us)?;
    let against = Against::new(set, gateway.policies().settings().place.clone(), since_us);
    Ok(review::carried(records, against, turn))
}

/// A set that came with a request, as it would load here.
///
/// # Errors
/// What is wrong with it: the first findings.
pub(super) fn load(gateway: &Gateway, files: &[PolicyFile]) -> Result<PolicySet, ApiError> {
    PolicySet::load(files, &gateway.policies().settings()).map_err(|findings| {
        let told: Vec<String> = findings.iter().take(FINDINGS_MAX).map(ToString::to_string).collect();
        let more = findings.len().saturating_sub(FINDINGS_MAX);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        invalid_value("Files", format!("{}{more}", told.join("; ")))
    })
}

impl Review for Against {
    fn add(&mut self, index: u64, record: &[u8], text: &mut TextRow<'_>) {
        self.add(index, record, text);
    }

    fn told(&self) -> Vec<u8> {
        let told = self.told();
        let mut lines = Vec::new();
        lines.extend(told_flips(&told.flips));
        for (reason, (count, first)) in &told.undecidable {
            lines.extend(line(&json!({"Undecidable": reason, "Count": count, "FirstIndex": first})));
        }
        let undecidable: u64 = told.undecidable.values().map(|(count, _)| count).sum();
        lines.extend(line(&json!({
            "Records": told.records,
            "Decisions": told.decisions,
            "Distinct": self.distinct(),
            "Flipped": told.flips.decisions,
            "FlippedUntold": told.flips.untold,
            "UndecidableTotal": undecidable,
        })));
        lines
    }
}

/// A line for each flip.
pub(super) fn told_flips(flips: &Flips) -> Vec<u8> {
    flips.iter().flat_map(|(flip, times)| line(&Told { flip, times })).collect()
}

#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    flip: &'a Flip,
    #[serde(flatten)]
    times: &'a Times,
}
