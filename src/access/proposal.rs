//! ReplayPolicies: what a policy set that is not live would have decided, over the trail, before it goes live.
//!
//! The comparison runs in the thread of a file on its way ([`Blocks`]), which gives way to requests, one comparison at a time; it
//! reads the log in blocks and changes nothing. What it says is JSON, one object a line: `Read` and `Of` as it goes on, then each
//! flip, what cannot be decided, and last the totals. A file without totals broke off.

use super::attempt::Carried;
use super::export::Blocks;
use super::gateway::Gateway;
use super::grant::Exported;
use super::replay::{Against, Flip, Flips, Times};
use super::request::ReplayPolicies;
use crate::authz::{PolicyFile, PolicySet};
use crate::error::{ApiError, Code};
use crate::parameters::invalid_value;
use keyward_audit::log::Records;
use keyward_audit::record::{Draft, Value as RecordValue};
use keyward_audit::store::{Family, StoreError};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Blocks of records between two lines that say how far it is.
const BLOCKS_A_LINE: usize = 8;
/// Findings that an error tells, of a set that does not load.
const FINDINGS_MAX: usize = 5;

/// Carries out an allowed ReplayPolicies. Its record names the set by its revision.
pub(super) fn replay(gateway: &Gateway, wanted: &ReplayPolicies, draft: &mut Draft) -> Result<Carried, StoreError> {
    let set = match load(gateway, &wanted.files) {
        Ok(set) => Arc::new(set),
        Err(error) => return Ok(Carried::Failed(error)),
    };
    let Ok(turn) = Arc::clone(gateway.replays()).try_acquire_owned() else { return Ok(busy()) };
    draft.parameters.insert("proposed".to_owned(), RecordValue::from(set.revision()));
    let since_us = wanted.since_s.saturating_mul(1_000_000);
    if wanted.since_s > 0 {
        draft.parameters.insert("start_time".to_owned(), RecordValue::from(wanted.since_s));
    }
    let records = gateway.log().records_since(since_us)?;
    let against = Against::new(set, gateway.policies().settings().place.clone(), since_us);
    Ok(Carried::Export(Exported(Blocks::new(Replaying {
        of: records.left(),
        records,
        against,
        is_told: false,
        _turn: turn,
    }))))
}

/// One comparison is on its way already.
pub(super) fn busy() -> Carried {
    Carried::Failed(ApiError::new(Code::FailedOperation, "another replay is running; try again later"))
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

/// A comparison on its way.
struct Replaying {
    records: Records,
    of: u64,
    against: Against,
    is_told: bool,
    /// The next comparison begins when this one is dropped.
    _turn: OwnedSemaphorePermit,
}

impl Iterator for Replaying {
    type Item = Result<Vec<u8>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_told {
            return None;
        }
        if self.records.left() == 0 {
            self.is_told = true;
            return Some(Ok(self.told()));
        }
        Some(self.read())
    }
}

impl Replaying {
    /// Goes over some blocks, and says how far it is.
    fn read(&mut self) -> Result<Vec<u8>, StoreError> {
        for _ in 0..BLOCKS_A_LINE {
            let mut block = Vec::new();
            self.records.block(&mut |index, bytes| block.push((index, bytes.to_vec())))?;
            for (index, bytes) in block {
                let records = &self.records;
                let mut get = |key: &[u8]| records.read(|rows| rows.get(Family::Texts, key));
                self.against.add(index, &bytes, &mut get);
            }
            if self.records.left() == 0 {
                break;
            }
        }
        Ok(line(&json!({"Read": self.of.saturating_sub(self.records.left()), "Of": self.of})))
    }

    /// All lines but those.
    fn told(&self) -> Vec<u8> {
        let told = self.against.told();
        let mut lines = Vec::new();
        lines.extend(told_flips(&told.flips));
        for (reason, (count, first)) in &told.undecidable {
            lines.extend(line(&json!({"Undecidable": reason, "Count": count, "FirstIndex": first})));
        }
        let undecidable: u64 = told.undecidable.values().map(|(count, _)| count).sum();
        lines.extend(line(&json!({
            "Records": told.records,
            "Decisions": told.decisions,
            "Distinct": self.against.distinct(),
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

/// One object of the answer.
pub(super) fn line(value: &impl Serialize) -> Vec<u8> {
    let value = serde_json::to_value(value).unwrap_or(Value::Null);
    format!("{value}\n").into_bytes()
}
