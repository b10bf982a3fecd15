//! The engine: the one place where values are sealed and opened, and their data keys wrapped anew.
//!
//! INVARIANT I1: [`Engine::open`] spends a [`Committed`] event, which only the log makes, after the synced write of
//! its record; what it opens is what that event carries, read on its snapshot. Opening is computation alone: it reads
//! no store and can fail only on integrity.
//!
//! That the key may be used is asked before the commit ([`Keyring::usable`]), so that a refusal is in the record; from then
//! on the record holds, even if the key is disabled or its generation retired a moment later: the event carries the keys
//! that it was decided on.

use std::sync::Arc;

use arc_swap::ArcSwap;
use keyward_audit::{Committed, Locator, Random};

use super::plaintext::Plaintext;
use super::seal::{Binding, RewrapError, Sealed, SealedValue, Wrapping, rewrap, seal, unseal};
use crate::keys::{Installation, KeyId, KeyUnusable, Keyring, RowKey, SealError};

/// An event that carries a value, as read on the snapshot on which it was decided.
pub trait Readable {
    /// The value, and what the decision says that it is.
    fn sealed(&self) -> (&SealedValue, &Binding);

    /// The keys that the decision was made on.
    fn keyring(&self) -> &Keyring;
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

/// Seals and opens values, and holds the keys that are live.
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
    installation: Arc<Installation>,
    keyring: ArcSwap<Keyring>,
    random: Arc<dyn Random>,
}

impl Engine {
    /// An engine over `keyring`.
    #[must_use]
    pub fn new(keyring: Arc<Keyring>, random: Arc<dyn Random>) -> Self {
        Self { installation: Arc::clone(keyring.installation()), keyring: ArcSwap::new(keyring), random }
    }

    /// The keys that are live now. Whoever decides on them keeps them until it is done.
    #[must_use]
    pub fn keyring(&self) -> Arc<Keyring> {
        self.keyring.load_full()
    }

    /// Makes other keys of the same installation live.
    pub fn replace(&self, keyring: Arc<Keyring>) {
        self.keyring.store(keyring);
    }

    /// The installation, which is the same as long as it lives.
    #[must_use]
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// The key by which the rows of secrets are authenticated.
    #[must_use]
    pub fn row_key(&self) -> &RowKey {
        self.installation.row_key()
    }

    /// Seals a value under a new data key, wrapped by the newest generation of `key` in `keyring`.
    ///
    /// # Errors
    /// [`SealValueError`] if the key may not be used or the system gives no random bytes.
    pub fn seal(
        &self,
        keyring: &Keyring,
        plaintext: &Plaintext,
        binding: Binding,
        key: &KeyId,
    ) -> Result<Sealed, SealValueError> {
        let generation = keyring.newest(key)?;
        let material = keyring.material(key, generation)?;
        let under = Wrapping { installation: self.installation.id(), key, generation, material };
        Ok(seal(plaintext, binding, &under, &*self.random)?)
    }

    /// The same value, its data key wrapped by the newest generation of its key. The value itself stays sealed.
    ///
    /// # Errors
    /// [`RewrapError`]; the value then stays as it is.
    pub fn rewrap(
        &self,
        keyring: &Keyring,
        sealed: &SealedValue,
        binding: &Binding,
    ) -> Result<SealedValue, RewrapError> {
        let key = sealed.key();
        let generation = keyring.newest(key)?;
        let (before, material) = (keyring.material(key, sealed.generation())?, keyring.material(key, generation)?);
        let under = Wrapping { installation: self.installation.id(), key, generation, material };
        rewrap(sealed, binding, before, &under, &*self.random)
    }

    /// Opens the value of a committed event, and hands the event back with where its record is.
    ///
    /// # Errors
    /// [`OpenError`] if the row does not open as what the event says; nothing may be released.
    pub fn open<E: Readable>(&self, proof: Committed<E>) -> Result<(Plaintext, E, Locator), OpenError<E>> {
        let locator = proof.locator();
        let event = proof.into_event();
        let (sealed, binding) = event.sealed();
        let Ok(material) = event.keyring().material(sealed.key(), sealed.generation()) else {
            return Err(OpenError::KeyGone { event, locator });
        };
        match unseal(sealed, binding, self.installation.id(), material) {
            Ok(plaintext) => Ok((plaintext, event, locator)),
            Err(_) => Err(OpenError::Integrity { event, locator }),
        }
    }
}

#[cfg(test)]
mod tests;
