//! The engine: the one place where values are sealed and opened.
//!
//! INVARIANT I1: [`Engine::open`] spends a [`Committed`] event, which only the log makes, after the synced write of
//! its record; what it opens is what that event carries, read on its snapshot. Opening is computation alone: it reads
//! no store and can fail only on integrity.
//!
//! That the key may be used is asked before the commit ([`Engine::wrapping_key_usable`]), so that a refusal is in
//! the record; from then on the record holds, even if the key is disabled a moment later.

use std::sync::Arc;

use keyward_audit::{Committed, Locator, Random};

use super::plaintext::Plaintext;
use super::seal::{Binding, Sealed, SealedValue, Wrapping, seal, unseal};
use crate::keys::{KeyGeneration, KeyId, KeyUnusable, Keyring, RowKey, SealError};

/// An event that carries a value, as read on the snapshot on which it was decided.
pub trait Readable {
    /// The value, and what the decision says that it is.
    fn sealed(&self) -> (&SealedValue, &Binding);
}

/// Why nothing was released, with the event and where its record is: an `outcome` record names that index.
#[derive(Debug, thiserror::Error)]
pub enum OpenError<E> {
    /// The row was altered or moved.
    #[error("the stored value of record {} fails its integrity check", .locator.index)]
    Integrity {
        /// The event whose value it was.
        event: E,
        /// Where its record is.
        locator: Locator,
    },
    /// The key is not in the keyring, although it was asked before the commit.
    #[error("the key of the stored value of record {} is gone", .locator.index)]
    KeyGone {
        /// The event whose value it was.
        event: E,
        /// Where its record is.
        locator: Locator,
    },
}

impl<E> OpenError<E> {
    /// The event whose value it was, and where its record is.
    pub fn into_parts(self) -> (E, Locator) {
        match self {
            Self::Integrity { event, locator } | Self::KeyGone { event, locator } => (event, locator),
        }
    }
}

/// Why a value was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealValueError {
    /// `FailedOperation.AccessKmsError`.
    #[error(transparent)]
    Key(#[from] KeyUnusable),
    /// `InternalError`.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Seals and opens values under one keyring.
///
/// Opening takes a committed event:
/// ```no_run
/// use keyward::secret::{Engine, Plaintext, Readable};
/// use keyward_audit::Committed;
/// fn release<E: Readable>(engine: &Engine, grant: Committed<E>) -> Option<Plaintext> {
///     engine.open(grant).ok().map(|(value, _, _)| value)
/// }
/// ```
/// A bare one does not compile:
/// ```compile_fail,E0308
/// use keyward::secret::{Engine, Plaintext, Readable};
/// use keyward_audit::Committed;
/// fn release<E: Readable>(engine: &Engine, grant: E) -> Option<Plaintext> {
///     engine.open(grant).ok().map(|(value, _, _)| value)
/// }
/// ```
/// Nor does one that carries no value:
/// ```compile_fail,E0277
/// use keyward::secret::{Engine, Plaintext, Readable};
/// use keyward_audit::Committed;
/// fn release<E>(engine: &Engine, grant: Committed<E>) -> Option<Plaintext> {
///     engine.open(grant).ok().map(|(value, _, _)| value)
/// }
/// ```
/// Nor does opening twice; once does:
/// ```compile_fail,E0382
/// use keyward::secret::{Engine, Readable};
/// use keyward_audit::Committed;
/// fn release<E: Readable>(engine: &Engine, grant: Committed<E>) -> bool {
///     engine.open(grant).is_ok() && engine.open(grant).is_ok()
/// }
/// ```
/// ```no_run
/// use keyward::secret::{Engine, Readable};
/// use keyward_audit::Committed;
/// fn release<E: Readable>(engine: &Engine, grant: Committed<E>) -> bool {
///     engine.open(grant).is_ok()
/// }
/// ```
pub struct Engine {
    keyring: Arc<Keyring>,
    random: Arc<dyn Random>,
}

impl Engine {
    /// An engine over `keyring`.
    #[must_use]
    pub fn new(keyring: Arc<Keyring>, random: Arc<dyn Random>) -> Self {
        Self { keyring, random }
    }

    /// Its keys.
    #[must_use]
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The key by which the rows of secrets are authenticated.
    #[must_use]
    pub fn row_key(&self) -> &RowKey {
        self.keyring.installation().row_key()
    }

    /// Whether a value wrapped by this generation of `key` may be opened; asked before the commit of a read.
    ///
    /// # Errors
    /// [`KeyUnusable`]: the read is then recorded as failed with `FailedOperation.AccessKmsError`.
    pub fn wrapping_key_usable(&self, key: &KeyId, generation: KeyGeneration) -> Result<(), KeyUnusable> {
        self.keyring.usable(key, generation)
    }

    /// Seals a value under a new data key, wrapped by the newest generation of `key`.
    ///
    /// # Errors
    /// [`SealValueError`] if the key may not be used or the system gives no random bytes.
    pub fn seal(&self, plaintext: &Plaintext, binding: Binding, key: &KeyId) -> Result<Sealed, SealValueError> {
        let generation = self.keyring.newest(key)?;
        let material = self.keyring.material(key, generation)?;
        let installation = self.keyring.installation().id();
        let under = Wrapping { installation, key, generation, material };
        Ok(seal(plaintext, binding, &under, &*self.random)?)
    }

    /// Opens the value of a committed event, and hands the event back with where its record is.
    ///
    /// # Errors
    /// [`OpenError`] if the row does not open as what the event says; nothing may be released.
    pub fn open<E: Readable>(&self, proof: Committed<E>) -> Result<(Plaintext, E, Locator), OpenError<E>> {
        let locator = proof.locator();
        let event = proof.into_event();
        let (sealed, binding) = event.sealed();
        let Ok(material) = self.keyring.material(sealed.key(), sealed.generation()) else {
            return Err(OpenError::KeyGone { event, locator });
        };
        match unseal(sealed, binding, self.keyring.installation().id(), material) {
            Ok(plaintext) => Ok((plaintext, event, locator)),
            Err(_) => Err(OpenError::Integrity { event, locator }),
        }
    }
}

#[cfg(test)]
mod tests;
