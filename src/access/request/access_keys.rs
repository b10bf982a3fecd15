//! What callers ask of access keys.

use super::Request;
use crate::actions::Operation;
use crate::error::ApiError;
use crate::keys::AccessKeyId;
use crate::parameters::{Fields, invalid_value};
use crate::principal::{Kind, LOCAL, Principal};

/// A request about the access keys of one principal.
#[derive(Debug)]
pub(in crate::access) struct AccessKeyRequest {
    /// Whose; the caller's own if none is named.
    pub(in crate::access) holder: Option<Principal>,
    /// The number that the vendor's field gives, if it says anything.
    pub(in crate::access) target_uin: Option<u64>,
    /// What is asked.
    pub(in crate::access) change: KeyChange,
}

/// What is asked of them.
#[derive(Debug)]
pub(in crate::access) enum KeyChange {
    /// CreateAccessKey
    Create,
    /// ListAccessKeys
    List,
    /// UpdateAccessKey: the key, and whether it may be used from now on.
    Update(AccessKeyId, bool),
    /// DeleteAccessKey
    Delete(AccessKeyId),
}

impl AccessKeyRequest {
    /// Reads the parameters of `operation`, if it is about access keys.
    pub(super) fn read(operation: Operation, fields: &mut Fields) -> Result<Option<Request>, ApiError> {
        let change = match operation {
            Operation::CreateAccessKey => KeyChange::Create,
            Operation::ListAccessKeys => KeyChange::List,
            Operation::UpdateAccessKey => KeyChange::Update(id(fields)?, is_active(fields)?),
            Operation::DeleteAccessKey => KeyChange::Delete(id(fields)?),
            _ => return Ok(None),
        };
        let holder = fields.nonempty_text("Principal")?.map(|text| holder(&text)).transpose()?;
        let target_uin = fields.number("TargetUin")?.filter(|uin| *uin != 0);
        if holder.is_some() && target_uin.is_some() {
            return Err(invalid_value("TargetUin", "give it or `Principal`, not both"));
        }
        Ok(Some(Request::AccessKey(Self { holder, target_uin, change })))
    }
}

/// A user of an issuer: nobody else signs requests.
fn holder(text: &str) -> Result<Principal, ApiError> {
    let principal = Principal::parse(text).map_err(|error| invalid_value("Principal", error))?;
    if principal.kind() == Kind::User && principal.issuer() != Some(LOCAL) {
        return Ok(principal);
    }
    Err(invalid_value("Principal", "only `user/<issuer>/<sub>` of a configured issuer has access keys"))
}

fn id(fields: &mut Fields) -> Result<AccessKeyId, ApiError> {
    let text = fields.required_text("AccessKeyId")?;
    AccessKeyId::parse(&text).ok_or_else(|| invalid_value("AccessKeyId", "it is `AKID` and 28 letters and digits"))
}

fn is_active(fields: &mut Fields) -> Result<bool, ApiError> {
    match fields.required_text("Status")?.as_str() {
        "Active" => Ok(true),
        "Inactive" => Ok(false),
        _ => Err(invalid_value("Status", "it is `Active` or `Inactive`")),
    }
}
