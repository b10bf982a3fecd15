//! What callers ask of keys.

use super::Request;
use super::secrets::at_most;
use crate::actions::Operation;
use crate::error::ApiError;
use crate::keys::{KeyGeneration, KeyId};
use crate::parameters::{Fields, invalid_value, missing};

/// Keys that ListKeys answers when no limit is given, and at most.
const LIST_LIMIT: (u64, u64) = (20, 200);
/// Days that a key waits for its deletion, at least and at most.
const WINDOW_DAYS: std::ops::RangeInclusive<u64> = 7..=30;

/// A request about keys, with its parameters.
#[derive(Debug)]
pub(in crate::access) enum KeyRequest {
    /// ListKeys: keys to pass over, and to answer at most.
    List {
        /// To pass over.
        offset: u64,
        /// At most.
        limit: u64,
    },
    /// CreateKey
    Create(KeyId),
    /// DescribeKey
    Describe(KeyId),
    /// EnableKey
    Enable(KeyId),
    /// DisableKey
    Disable(KeyId),
    /// ScheduleKeyDeletion: after so many days.
    ScheduleDeletion(KeyId, u64),
    /// CancelKeyDeletion
    CancelDeletion(KeyId),
    /// RotateKey
    Rotate(KeyId),
    /// RewrapKeys
    Rewrap(KeyId),
    /// RetireKeyGeneration
    Retire(KeyId, KeyGeneration),
}

impl KeyRequest {
    /// The key that it is about.
    pub(in crate::access) fn key(&self) -> Option<&KeyId> {
        match self {
            Self::List { .. } => None,
            Self::Create(id)
            | Self::Describe(id)
            | Self::Enable(id)
            | Self::Disable(id)
            | Self::ScheduleDeletion(id, _)
            | Self::CancelDeletion(id)
            | Self::Rotate(id)
            | Self::Rewrap(id)
            | Self::Retire(id, _) => Some(id),
        }
    }

    /// Reads the parameters of `operation`, if it is about keys.
    pub(super) fn read(operation: Operation, fields: &mut Fields) -> Result<Option<Request>, ApiError> {
        Ok(Some(Request::Key(match operation {
            Operation::ListKeys => {
                let offset = fields.number("Offset")?.unwrap_or(0);
                let limit = at_most(fields, "Limit", LIST_LIMIT.1)?;
                Self::List { offset, limit: if limit == 0 { LIST_LIMIT.0 } else { limit } }
            }
            Operation::CreateKey => Self::Create(key(fields)?),
            Operation::DescribeKey => Self::Describe(key(fields)?),
            Operation::EnableKey => Self::Enable(key(fields)?),
            Operation::DisableKey => Self::Disable(key(fields)?),
            Operation::ScheduleKeyDeletion => {
                let id = key(fields)?;
                let name = "PendingWindowInDays";
                let days = fields.number(name)?.ok_or_else(|| missing(name))?;
                if !WINDOW_DAYS.contains(&days) {
                    let (least, most) = (WINDOW_DAYS.start(), WINDOW_DAYS.end());
                    return Err(invalid_value(name, format!("it is {least} to {most} days")));
                }
                Self::ScheduleDeletion(id, days)
            }
            Operation::CancelKeyDeletion => Self::CancelDeletion(key(fields)?),
            Operation::RotateKey => Self::Rotate(key_or_default(fields)?),
            Operation::RewrapKeys => Self::Rewrap(key_or_default(fields)?),
            Operation::RetireKeyGeneration => Self::Retire(key(fields)?, generation(fields)?),
            _ => return Ok(None),
        })))
    }
}

fn key(fields: &mut Fields) -> Result<KeyId, ApiError> {
    parse(&fields.required_text("KeyId")?)
}

fn generation(fields: &mut Fields) -> Result<KeyGeneration, ApiError> {
    let name = "Generation";
    let number = fields.number(name)?.ok_or_else(|| missing(name))?;
    let generation = u32::try_from(number).ok().and_then(KeyGeneration::new);
    generation.ok_or_else(|| invalid_value(name, "it is a number from 1 on"))
}

/// The key, or the default key if none is named.
fn key_or_default(fields: &mut Fields) -> Result<KeyId, ApiError> {
    fields.nonempty_text("KeyId")?.map_or_else(|| Ok(KeyId::default_key()), |text| parse(&text))
}

fn parse(text: &str) -> Result<KeyId, ApiError> {
    KeyId::parse(text).map_err(|error| invalid_value("KeyId", error))
}
