//! Going over the trail in the thread of a file on its way ([`Blocks`]), which gives way to requests: one replay, list or
//! suggestion at a time. What it says is JSON, one object a line: `Read` and `Of` as it goes on, then what was found. It changes nothing.

use super::attempt::Carried;
use super::export::Blocks;
use super::gateway::Gateway;
use super::grant::Exported;
use super::replay::TextRow;
use crate::error::{ApiError, Code};
use keyward_audit::log::Records;
use keyward_audit::store::{Family, StoreError};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Blocks of records between two lines that say how far it is.
const BLOCKS_A_LINE: usize = 8;

/// The right to go over the trail; the next one's turn begins when it is dropped.
pub(super) struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Turn {
    /// Takes the turn; an error for the caller if somebody has it.
    pub(super) fn take(gateway: &Gateway) -> Result<Self, ApiError> {
        let busy = |_| ApiError::new(Code::FailedOperation, "another replay is running; try again later");
        Arc::clone(gateway.replays()).try_acquire_owned().map(|permit| Self { _permit: permit }).map_err(busy)
    }
}

/// What is gathered from record to record.
pub(super) trait Review {
    /// Takes a record in; `text` reads texts that it names.
    fn add(&mut self, index: u64, record: &[u8], text: &mut TextRow<'_>);

    /// All lines but those that say how far it is.
    fn told(&self) -> Vec<u8>;
}

/// The answer that is a review of `records`.
pub(super) fn carried(records: Records, review: impl Review + Send + 'static, turn: Turn) -> Carried {
    let reviewing = Reviewing { of: records.left(), records, review, is_told: false, _turn: turn };
    Carried::Export(Exported(Blocks::new(reviewing)))
}

/// A review on its way.
struct Reviewing<R> {
    records: Records,
    of: u64,
    review: R,
    is_told: bool,
    _turn: Turn,
}

impl<R: Review> Iterator for Reviewing<R> {
    type Item = Result<Vec<u8>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_told {
            return None;
        }
        if self.records.left() == 0 {
            self.is_told = true;
            return Some(Ok(self.review.told()));
        }
        let went_on = go_on(&mut self.records, |index, record, text| self.review.add(index, record, text));
        Some(went_on.map(|()| line(&json!({"Read": self.of.saturating_sub(self.records.left()), "Of": self.of}))))
    }
}

/// Hands the next records to `each`, with what reads texts; as many as lie between two lines that say how far it is.
pub(super) fn go_on(
    records: &mut Records,
    mut each: impl FnMut(u64, &[u8], &mut TextRow<'_>),
) -> Result<(), StoreError> {
    for _ in 0..BLOCKS_A_LINE {
        if records.left() == 0 {
            break;
        }
        let mut block = Vec::new();
        records.block(&mut |index, record| block.push((index, record.to_vec())))?;
        let mut text = |key: &[u8]| records.read(|rows| rows.get(Family::Texts, key));
        block.iter().for_each(|(index, record)| each(*index, record, &mut text));
    }
    Ok(())
}

/// One object of the answer.
pub(super) fn line(value: &impl Serialize) -> Vec<u8> {
    let value = serde_json::to_value(value).unwrap_or(Value::Null);
    format!("{value}\n").into_bytes()
}
