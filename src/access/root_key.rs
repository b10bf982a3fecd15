//! RotateRootKey: puts all keys under the root key that keyward.toml names as the next one, while serving.
//!
//! INVARIANT I12: where the next root key comes from stands in `[keys.next]`; the request says no more than: now.
//! INVARIANT I2: all rows that a root key wraps change in one batch with the record that names both root keys by id.
//! INVARIANT I13: a change of keys names the generation of the keys; whoever made one under the root key before is sent back.
//!
//! If the process dies before the commit, the store is under the old root key, after it under the new one; both files are
//! there, neither is ever changed here, and the next start takes the one that opens the store. Values, data keys and keys
//! stay as they are, so nothing that is served meanwhile waits for any of this.

use super::attempt::Carried;
use super::gateway::Gateway;
use super::question::Asked;
use super::secrets::internal;
use super::setup;
use crate::config::Config;
use crate::error::{ApiError, Code};
use crate::keys::{self, KeysError, RootKey, RootKeyError, installation_row};
use arc_swap::ArcSwap;
use keyward_audit::record::{Draft, Value as RecordValue};
use keyward_audit::store::{Snapshot, StoreError};
use keyward_audit::{Changes, Generation};
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Moved by every change of keys.
pub(super) const KEYS: Generation = Generation("keys");

/// The root key that the store is under, and the one that it may be under any moment.
pub(super) struct RootKeys {
    current: ArcSwap<RootKey>,
    /// A root key that a commit on its way puts the store under.
    coming: Mutex<Option<Arc<RootKey>>>,
    file: PathBuf,
}

impl RootKeys {
    /// `file` is keyward.toml.
    pub(super) fn new(current: Arc<RootKey>, file: PathBuf) -> Self {
        Self { current: ArcSwap::new(current), coming: Mutex::new(None), file }
    }

    fn coming(&self) -> Option<Arc<RootKey>> {
        self.coming.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn announce(&self, root: &Arc<RootKey>) {
        *self.coming.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(root));
    }

    /// Takes the root key that the store is under by `snapshot`.
    ///
    /// # Errors
    /// [`KeysError`] if neither opens it.
    fn settle(&self, snapshot: &dyn Snapshot) -> Result<Arc<RootKey>, KeysError> {
        let current = self.current.load_full();
        match (keys::opens(snapshot, &current), self.coming()) {
            (Ok(()), _) => Ok(current),
            (Err(_), Some(coming)) => {
                keys::opens(snapshot, &coming)?;
                self.current.store(Arc::clone(&coming));
                Ok(coming)
            }
            (Err(error), None) => Err(error),
        }
    }

    /// The next root key as keyward.toml says now; made if it is not there.
    fn next(&self, gateway: &Gateway) -> Result<(Arc<RootKey>, String), ApiError> {
        let failed = |text: String| ApiError::new(Code::FailedOperation, text);
        let config = Config::load(&self.file).map_err(|error| failed(error.to_string()))?;
        let Some(next) = &config.keys.next else {
            return Err(failed("keyward.toml names no next root key: it takes a table `[keys.next]`".to_owned()));
        };
        let provider = setup::root_key_provider(&config, next);
        let root = match provider.load() {
            Err(RootKeyError::Absent(path)) if path == config.path(&next.path).display().to_string() => {
                provider.create(gateway.random())
            }
            other => other,
        };
        Ok((Arc::new(root.map_err(|error| failed(error.to_string()))?), next.provider.clone()))
    }
}

/// RotateRootKey
pub(super) fn rotate(
    gateway: &Gateway,
    asked: &mut Asked<'_>,
    snapshot: &dyn Snapshot,
    draft: &mut Draft,
) -> Result<Carried, StoreError> {
    let roots = gateway.root_keys();
    let (next, provider) = match roots.next(gateway) {
        Ok(next) => next,
        Err(error) => return Ok(Carried::Failed(error)),
    };
    let of_keys = |error: KeysError| match error {
        KeysError::Store(error) => error,
        other => StoreError::Damaged(other.to_string()),
    };
    let current = roots.settle(snapshot).map_err(of_keys)?;
    if current.id() == next.id() {
        let text = "the keys are under the next root key already: put `[keys.next]` in the place of `[keys]`";
        return Ok(Carried::Failed(ApiError::new(Code::FailedOperation, text)));
    }
    let writes = match keys::replaced(snapshot, &current, &next, gateway.random()) {
        Ok(writes) => writes,
        Err(KeysError::Seal(_)) => return Ok(Carried::Failed(internal("the keys could not be wrapped"))),
        Err(error) => return Err(of_keys(error)),
    };
    // Whatever came in between has written one of these.
    asked.reads.rows.extend(writes.iter().map(|write| write.key.clone()));
    // A generation behind the size that this is decided on would have changed since: sent back then, as it must be.
    asked.reads.generations.push((KEYS, gateway.log().generation(KEYS).min(asked.reads.as_of)));
    let (old, new) = (current.id().to_string(), next.id().to_string());
    let said = [("new", new.as_str()), ("old", old.as_str()), ("provider", provider.as_str())];
    draft.parameters.extend(said.map(|(name, text)| (name.to_owned(), RecordValue::from(text))));
    roots.announce(&next);
    let answer = [("RootKey", new), ("PreviousRootKey", old), ("Provider", provider)];
    let answer: Map<String, Value> = answer.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect();
    Ok(Carried::Done(answer, Changes { writes, bumps: vec![KEYS], ..Changes::default() }))
}

/// Whether a change puts the store under another root key.
pub(super) fn replaces(changes: &Changes) -> bool {
    let row = installation_row();
    changes.writes.iter().any(|write| write.key == row)
}

impl Gateway {
    /// Takes the root key that the store is under after a commit that may be durable.
    pub(super) fn settle_root_key(&self) {
        match self.log().read(|snapshot| Ok(self.root_keys().settle(snapshot).map(|root| root.id()))) {
            Ok(Ok(id)) => tracing::warn!(root_key = %id, "the keys of the store are under this root key"),
            Ok(Err(error)) => tracing::error!(%error, "the root key of the store is not known"),
            // It is asked again when it is needed.
            Err(error) => tracing::warn!(%error, "which root key the store is under cannot be read now"),
        }
    }
}
