//! Time and randomness as the log sees them: injected, so that tests rule them.

use std::fmt;
use std::sync::Arc;

/// A source of time. Tests bring their own.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Microseconds since 1970-01-01 UTC, as the wall clock says now; it may step.
    fn wall_us(&self) -> u64;
    /// Microseconds of a clock that never steps; only differences mean anything.
    fn monotonic_us(&self) -> u64;
}

/// A source of random bytes fit for keys.
pub trait Random: Send + Sync + fmt::Debug {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// [`RandomError`] if the operating system gives none; nothing may then be made from `bytes`.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError>;
}

/// The operating system gave no random bytes.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no random bytes could be had from the system")]
pub struct RandomError;

/// Both, shared.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
}

impl Environment {
    /// A random UUID (version 4), as text of 36 lower-case characters: the form of a request id.
    ///
    /// # Errors
    /// [`RandomError`] as [`Random::fill`].
    pub fn request_id(&self) -> Result<String, RandomError> {
        let mut bytes = [0_u8; 16];
        self.random.fill(&mut bytes)?;
        Ok(uuid::Builder::from_random_bytes(bytes).into_uuid().hyphenated().to_string())
    }
}
