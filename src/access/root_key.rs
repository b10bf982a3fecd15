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
use super::keys::KEYS;
use super::question::Asked;
use super::secrets::internal;
use super::setup;
use crate::config::Config;
use crate::error::{ApiError, Code};
use crate::keys::{self, KeysError, RootKey, RootKeyError};
use arc_swap::ArcSwap;
use keyward_audit::Changes;
use keyward_audit::record::{Draft, Value as RecordValue};
use keyward_audit::store::{Snapshot, StoreError};
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The root key that the store is under, and those that it may be under any moment.
pub(super) struct RootKeys {
    live: ArcSwap<RootKey>,
    coming: Mutex<Vec<Coming>>,
    file: PathBuf,
}

/// A root key that a commit on its way puts the store under.
struct Coming {
    root: Arc<RootKey>,
    /// The generation of the keys that the commit was decided on.
    as_of: u64,
}

impl RootKeys {
    /// `file` is keyward.toml.
    pub(super) fn new(live: Arc<RootKey>, file: PathBuf) -> Self {
        Self { live: ArcSwap::new(live), coming: Mutex::new(Vec::new()), file }
    }

    /// The one that is live.
    pub(super) fn live(&self) -> Arc<RootKey> {
        self.live.load_full()
    }

    fn coming(&self) -> MutexGuard<'_, Vec<Coming>> {
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The root key that the store is under by `snapshot`.
    ///
    /// # Errors
    /// [`KeysError`] if none that is known opens it.
    pub(super) fn under(&self, snapshot: &dyn Snapshot) -> Result<Arc<RootKey>, KeysError> {
        let live = self.live();
        let Err(error) = keys::opens(snapshot, &live) else { return Ok(live) };
        let coming = self.coming();
        let found = coming.iter().find(|coming| keys::opens(snapshot, &coming.root).is_ok());
        found.map(|coming| Arc::clone(&coming.root)).ok_or(error)
    }

    /// Makes a root key live that was found under this generation of the keys. What was decided on an older one can no
    /// longer be committed: it is forgotten.
    pub(super) fn settle(&self, root: Arc<RootKey>, generation: u64) {
        self.coming().retain(|coming| coming.as_of >= generation);
        if self.live().id() != root.id() {
            tracing::warn!(root_key = %root.id(), "the keys of the store are under this root key");
            self.live.store(root);
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
    let roots = gateway.keys().roots();
    let (next, provider) = match roots.next(gateway) {
        Ok(next) => next,
        Err(error) => return Ok(Carried::Failed(error)),
    };
    let as_of = asked.keys().as_of();
    let replaced = roots.under(snapshot).and_then(|live| {
        let is_next = live.id() == next.id();
        let writes = if is_next { Vec::new() } else { keys::replaced(snapshot, &live, &next, gateway.random())? };
        Ok((live, writes))
    });
    let (live, writes) = match replaced {
        Ok((live, _)) if live.id() == next.id() => {
            let text = "the keys are under the next root key already: put `[keys.next]` in the place of `[keys]`";
            return Ok(Carried::Failed(ApiError::new(Code::FailedOperation, text)));
        }
        Ok(replaced) => replaced,
        Err(KeysError::Store(error)) => return Err(error),
        Err(KeysError::Seal(_)) => return Ok(Carried::Failed(internal("the keys could not be wrapped"))),
        // Sent back if another replacement came in between; else it stands.
        Err(error) => {
            tracing::error!(%error, "the keys cannot be put under another root key");
            return Ok(Carried::Failed(internal("the keys could not be read")));
        }
    };
    let (old, new) = (live.id().to_string(), next.id().to_string());
    let said = [("new", new.as_str()), ("old", old.as_str()), ("provider", provider.as_str())];
    draft.parameters.extend(said.map(|(name, text)| (name.to_owned(), RecordValue::from(text))));
    roots.coming().push(Coming { root: next, as_of });
    let answer = [("RootKey", new), ("PreviousRootKey", old), ("Provider", provider)];
    let answer: Map<String, Value> = answer.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect();
    Ok(Carried::Done(answer, Changes { writes, bumps: vec![KEYS], ..Changes::default() }))
}
