//! The keys that are live, and what callers and keyward itself do to them.
//!
//! INVARIANT I13: whatever changes keys moves a generation of the log's state. Every decision that uses a key names the one
//! that its keyring was read under, so that no record after an acknowledged change is made by the keys before it.
//! INVARIANT I5: keys that cannot be read leave the keyring before them, under which the log takes nothing any more: 503
//! until they can be.
//!
//! A replaced root key ([`super::root_key`]) is a change of keys like any other: it becomes live with the keyring that was
//! read under it.
//!
//! The root key stays in memory as long as the gateway runs, as the keys that it wraps do. If the process dies after a
//! change was committed, the next start reads the keys as they are.

mod actions;
mod ending;
mod rewrap;

pub(super) use actions::carry_out;

use super::gateway::Gateway;
use super::root_key::RootKeys;
use crate::keys::{Keyring, KeysError, RootKey};
use keyward_audit::Generation;
use rewrap::Incomplete;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Moved by every change of keys.
pub(super) const KEYS: Generation = Generation("keys");

/// What it takes to read keys and to make them.
pub(super) struct Keys {
    roots: RootKeys,
    /// One reading at a time.
    reading: Mutex<()>,
    incomplete: Incomplete,
}

impl Keys {
    /// Keys under that root key; `file` is keyward.toml.
    pub(super) fn new(root: Arc<RootKey>, file: PathBuf) -> Self {
        Self { roots: RootKeys::new(root, file), reading: Mutex::new(()), incomplete: Incomplete::default() }
    }

    /// The root key that is live, no older than the keyring that was had before it.
    pub(super) fn root(&self) -> Arc<RootKey> {
        self.roots.live()
    }

    /// Re-wrappings that left something as it was.
    fn incomplete(&self) -> &Incomplete {
        &self.incomplete
    }

    /// The root key, and its replacement.
    pub(super) fn roots(&self) -> &RootKeys {
        &self.roots
    }
}

impl Gateway {
    /// Makes the keys live that the log says are, if others still are.
    pub(super) fn catch_up_keys(&self) {
        if self.engine().keyring().as_of() == self.log().generation(KEYS) {
            return;
        }
        let _one_at_a_time = self.keys().reading.lock().unwrap_or_else(PoisonError::into_inner);
        // Read before the rows: a change in between makes them newer than they claim, and is caught up with later.
        let generation = self.log().generation(KEYS);
        if self.engine().keyring().as_of() == generation {
            return;
        }
        let read = self.log().read(|snapshot| {
            let root = self.keys().roots.under(snapshot);
            Ok(root.and_then(|root| Ok((Keyring::load(snapshot, &root)?, root))))
        });
        match read {
            Ok(Ok((keyring, root))) => {
                // The root key first: whoever has the new keys makes none under the one before.
                self.keys().roots.settle(root, generation);
                self.engine().replace(Arc::new(keyring.as_of_generation(generation)));
            }
            Ok(Err(error)) => self.keys_unreadable(&error),
            Err(error) => self.keys_unreadable(&error.into()),
        }
    }

    fn keys_unreadable(&self, error: &KeysError) {
        tracing::error!(%error, "the keys cannot be read; nothing is decided on those before them");
        metrics::counter!("keyward_store_errors_total").increment(1);
    }
}
