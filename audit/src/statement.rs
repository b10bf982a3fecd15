//! Signed statements inside records: that the log key changed, and that missing records were accepted (`SPEC.md` 6).
//!
//! A statement is LF-terminated lines, signed with Ed25519; its parts and signatures stand in the record's
//! `parameters`, so that a reader rebuilds the lines from the record alone. Both name the record's own index.
//!
//! INVARIANT I7, I12: a new key or origin is valid only from a record on that the new key signed, and the old one too
//! if it was still there. Pure computation: nothing here is lost when the process dies.

mod loss;
mod rotation;

#[cfg(test)]
mod tests;

pub use loss::{Head, Loss, SignedLoss};
pub use rotation::{KeyRotation, SignedKeyRotation};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::note::{SigningKey, VerifyingKey};
use crate::record::{Kind, Parameters, Record, Value};

/// Why a statement cannot be made, or a record's does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// The record is of another kind.
    #[error("the record is of kind `{0}`, which carries no such statement")]
    Kind(&'static str),
    /// A parameter is missing or not in form.
    #[error("the statement's `{0}` is missing or not in form")]
    Parameter(&'static str),
    /// A key is not named by the origin that it signs for.
    #[error("the key `{0}` is not named by its origin")]
    Origin(String),
    /// A signature is not that of its key.
    #[error("the statement's `{0}` is not valid")]
    Signature(&'static str),
    /// The library could not sign.
    #[error("the statement could not be signed")]
    Signing,
}

/// Signs `text` with `key`, which must be the one that the statement names.
fn sign(text: &str, key: &SigningKey, named: &VerifyingKey) -> Result<String, StatementError> {
    if key.verifying_key() != named {
        return Err(StatementError::Origin(key.verifying_key().to_string()));
    }
    let signature = key.sign(text.as_bytes()).map_err(|_| StatementError::Signing)?;
    Ok(BASE64.encode(signature))
}

fn check(text: &str, key: &VerifyingKey, signature: &str, name: &'static str) -> Result<(), StatementError> {
    let bytes = BASE64.decode(signature).map_err(|_| StatementError::Parameter(name))?;
    if key.verifies(text.as_bytes(), &bytes) { Ok(()) } else { Err(StatementError::Signature(name)) }
}

fn check_name(key: &VerifyingKey, origin: &str) -> Result<(), StatementError> {
    if key.name() == origin { Ok(()) } else { Err(StatementError::Origin(key.to_string())) }
}

/// A text of a record's parameters.
fn text<'a>(parameters: &'a Parameters, name: &'static str) -> Result<&'a str, StatementError> {
    parameters.get(name).and_then(Value::as_text).ok_or(StatementError::Parameter(name))
}

fn vkey(parameters: &Parameters, name: &'static str) -> Result<VerifyingKey, StatementError> {
    VerifyingKey::parse(text(parameters, name)?).map_err(|_| StatementError::Parameter(name))
}

fn check_kind(record: &Record, kind: Kind) -> Result<(), StatementError> {
    if record.kind() == kind { Ok(()) } else { Err(StatementError::Kind(record.kind().word())) }
}
