//! What the records of a log say of keys, held against those that the store has: which there are, whether they may be used,
//! which generations they have.

use super::Found;
use super::said::At;
use crate::actions::Operation;
use crate::keys::{KeyId, KeyInfo, Keyring};
use crate::state::State;
use keyward_audit::record::{Draft, Value};
use std::collections::BTreeMap;

/// A key, as the records made it. The default key was made before the first of them.
struct Life {
    state: At<State>,
    newest: At<u64>,
    /// Each generation that there was: whether it still is, and the record that made or retired it.
    generations: BTreeMap<u64, At<bool>>,
}

impl Life {
    fn made_at(index: u64) -> Self {
        Self {
            state: At { what: State::Enabled, index },
            newest: At { what: 1, index },
            generations: BTreeMap::from([(1, At { what: true, index })]),
        }
    }

    fn newest_index(&self) -> u64 {
        let generations = self.generations.values().map(|at| at.index);
        generations.chain([self.state.index, self.newest.index]).max().unwrap_or_default()
    }
}

/// All that the records said of keys so far.
pub(super) struct KeysSaid {
    keys: BTreeMap<String, Life>,
    /// The root key that all of them were put under last, if they ever were.
    root: Option<At<String>>,
}

impl Default for KeysSaid {
    fn default() -> Self {
        let default = KeyId::default_key().as_str().to_owned();
        Self { keys: BTreeMap::from([(default, Life::made_at(0))]), root: None }
    }
}

impl KeysSaid {
    /// Takes in a call that was carried out.
    pub(super) fn carry_out(&mut self, index: u64, operation: Operation, draft: &Draft, found: &mut Found) {
        if operation == Operation::RotateRootKey {
            let new = draft.parameters.get("new").and_then(Value::as_text).unwrap_or_default();
            self.root = Some(At { what: new.to_owned(), index });
            return;
        }
        let Some(id) = draft.parameters.get("key").and_then(Value::as_text) else { return };
        let number = |name: &str| draft.parameters.get(name).and_then(Value::as_integer).unwrap_or_default();
        if operation == Operation::CreateKey {
            if self.keys.insert(id.to_owned(), Life::made_at(index)).is_some() {
                found.add(index, format!("key `{id}`: it was created although it was there"));
            }
            return;
        }
        let Some(life) = self.keys.get_mut(id) else { return };
        match operation {
            Operation::EnableKey => life.state = At { what: State::Enabled, index },
            Operation::DisableKey | Operation::CancelKeyDeletion => {
                life.state = At { what: State::Disabled, index };
            }
            Operation::ScheduleKeyDeletion => {
                life.state = At { what: State::PendingDelete { delete_at_s: number("delete_time") }, index };
            }
            Operation::RotateKey => {
                life.newest = At { what: number("generation"), index };
                life.generations.insert(number("generation"), At { what: true, index });
            }
            Operation::RetireKeyGeneration => {
                life.generations.insert(number("generation"), At { what: false, index });
            }
            // What changes no key.
            _ => {}
        }
    }

    /// A due deletion that was carried out: of a key that waited for it, by that ScheduleKeyDeletion.
    pub(super) fn purge(&mut self, index: u64, id: &str, asked: (u64, u64), found: &mut Found) {
        let waited = self.keys.remove(id).map(|life| (life.state.what.delete_at_s(), life.state.index));
        if waited != Some(asked) {
            found.add(index, format!("key `{id}`: it was purged and did not wait for this deletion"));
        }
    }

    /// The record by which a key may not be used, if it may not.
    pub(super) fn unusable_since(&self, id: &str) -> Option<u64> {
        self.keys.get(id).map(|life| &life.state).filter(|state| state.what != State::Enabled).map(|state| state.index)
    }

    /// Says how the keys of the store differ from what was said of them.
    pub(super) fn meet(&self, keyring: &Keyring, found: &mut Found) {
        if let Some(root) = self.root.as_ref().filter(|root| root.what != keyring.root().to_string()) {
            let (stored, said) = (keyring.root(), &root.what);
            found.add(
                root.index,
                format!("the keys are under the root key `{stored}` in the store and `{said}` by this record: older rows were put back"),
            );
        }
        for (id, life) in &self.keys {
            match keyring.keys().find(|key| key.id.as_str() == id) {
                Some(key) => life.compare(&key, found),
                None => {
                    found.add(life.newest_index(), format!("key `{id}` is not in the store, where this record left it"))
                }
            }
        }
        for key in keyring.keys().filter(|key| !self.keys.contains_key(key.id.as_str())) {
            found.add(None, format!("key `{}` is in the store and no record made it", key.id));
        }
    }
}

impl Life {
    fn compare(&self, key: &KeyInfo<'_>, found: &mut Found) {
        let mut differ = |index: u64, what: String| {
            found.add(index, format!("key `{}`: {what}: an older row was put back, or it was altered", key.id));
        };
        let state = self.state.what;
        if key.state != state {
            let (stored, said) = (key.state.name(), state.name());
            differ(self.state.index, format!("it is {stored} in the store and {said} by this record"));
        }
        if u64::from(key.newest.get()) != self.newest.what {
            let (stored, said) = (key.newest, self.newest.what);
            differ(
                self.newest.index,
                format!("generation {stored} is the newest in the store and {said} by this record"),
            );
        }
        let stored = |number: u64| key.generations.iter().any(|(generation, _)| u64::from(generation.get()) == number);
        for (number, at) in self.generations.iter().filter(|(number, at)| stored(**number) != at.what) {
            let what = if at.what { "is not in the store, where" } else { "is in the store although" };
            let did = if at.what { "left it" } else { "retired it" };
            differ(at.index, format!("generation {number} {what} this record {did}"));
        }
        for (generation, _) in &key.generations {
            if !self.generations.contains_key(&u64::from(generation.get())) {
                differ(self.newest_index(), format!("the store has a generation {generation} that no record made"));
            }
        }
    }
}
