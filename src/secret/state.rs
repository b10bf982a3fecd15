//! What a call may do to a secret in its state: the table of states, and which version a read serves.

use super::id::VersionId;
use super::metadata::MetadataError;
use super::row::{SecretKind, SecretRow, VersionMeta};
use crate::state::State;

/// Why a call that policy allows does nothing. Each has one code; in the record: decision `allow`, outcome `failed`,
/// reason the code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// `ResourceNotFound`, for GetSecretValue `ResourceNotFound.SecretNotExist`.
    #[error("the secret does not exist")]
    SecretNotFound,
    /// `ResourceNotFound`.
    #[error("version `{0}` does not exist")]
    VersionNotFound(VersionId),
    /// `ResourceInUse.SecretExists`.
    #[error("the secret exists already")]
    SecretExists,
    /// `ResourceInUse.VersionIdExists`.
    #[error("version `{0}` exists already")]
    VersionIdExists(VersionId),
    /// `LimitExceeded`.
    #[error("there can be no more than {max} secrets")]
    SecretsLimit {
        /// The limit.
        max: u64,
    },
    /// `LimitExceeded`.
    #[error("a secret can have no more than {max} versions")]
    VersionsLimit {
        /// The limit.
        max: usize,
    },
    /// `ResourceUnavailable.ResourceDisabled`.
    #[error("the secret is disabled")]
    Disabled,
    /// `ResourceUnavailable.ResourcePendingDeleted`.
    #[error("the secret is waiting for deletion")]
    PendingDeleted,
    /// `FailedOperation`.
    #[error("the secret is in state {state}; call {first} first")]
    WrongState {
        /// Its state.
        state: &'static str,
        /// The call to make first.
        first: &'static str,
    },
    /// `FailedOperation`: the change was made up over another version than the one that is current by now.
    #[error("version `{0}` is not the current one")]
    NotCurrent(VersionId),
    /// `FailedOperation`.
    #[error("it is the only version; call DeleteSecret instead")]
    LastVersion,
    /// `FailedOperation`.
    #[error("it is the current version and every other one is staged; call SetCurrentVersion first")]
    OnlyStaged,
    /// `UnsupportedOperation`.
    #[error("the secret is an SSH key pair; read it with GetSSHKeyPairValue, or delete it and make another")]
    NotCustom,
    /// `UnsupportedOperation`.
    #[error("the secret is no SSH key pair; read it with GetSecretValue")]
    NoPair,
    /// `InvalidParameterValue`.
    #[error("an SSH key pair is deleted at once: its recovery window is 0")]
    WindowOfPair,
    /// `LimitExceeded`: together with the tags that the secret has.
    #[error("{0}")]
    TagsLimit(MetadataError),
    /// `InternalError`, reason `creator_collision`, and an alert: the caller's creator number is another principal's.
    #[error("the creator number belongs to another principal")]
    CreatorCollision,
    /// `InternalError`: the value that was handed in was sealed for another secret. A fault of the caller's code.
    #[error("the value was sealed for another secret")]
    ForeignValue,
}

impl SecretRow {
    /// The version that a read serves: `asked`, or the current one.
    ///
    /// # Errors
    /// [`SecretError::VersionNotFound`] before [`SecretError::Disabled`] and [`SecretError::PendingDeleted`]:
    /// existence comes before state; [`SecretError::NotCustom`] before all.
    pub fn serve(&self, asked: Option<&VersionId>) -> Result<&VersionMeta, SecretError> {
        self.custom()?;
        self.in_state(asked.unwrap_or(&self.current))
    }

    fn in_state(&self, id: &VersionId) -> Result<&VersionMeta, SecretError> {
        let version = self.version(id).ok_or_else(|| SecretError::VersionNotFound(id.clone()))?;
        match self.state {
            State::Enabled => Ok(version),
            State::Disabled => Err(SecretError::Disabled),
            State::PendingDelete { .. } => Err(SecretError::PendingDeleted),
        }
    }

    /// Whether it is a custom secret, whose versions callers write and read.
    pub(super) fn custom(&self) -> Result<(), SecretError> {
        if self.kind == SecretKind::Custom { Ok(()) } else { Err(SecretError::NotCustom) }
    }

    /// The version that is the private key of an SSH key pair.
    ///
    /// # Errors
    /// [`SecretError::NoPair`] before those of the state, as of [`SecretRow::serve`].
    pub fn serve_pair(&self) -> Result<&VersionMeta, SecretError> {
        if self.kind == SecretKind::Custom { Err(SecretError::NoPair) } else { self.in_state(&self.current) }
    }

    /// Whether it waits for a deletion that is due at `now_s`: it is gone then in every answer.
    #[must_use]
    pub const fn is_due(&self, now_s: u64) -> bool {
        self.state.is_due(now_s)
    }

    /// Whether versions, metadata and state may be changed at all.
    pub(super) fn changeable(&self) -> Result<(), SecretError> {
        match self.state {
            State::Enabled | State::Disabled => Ok(()),
            State::PendingDelete { .. } => {
                Err(SecretError::WrongState { state: self.state.name(), first: "RestoreSecret" })
            }
        }
    }
}
