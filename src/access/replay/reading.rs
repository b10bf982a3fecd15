//! Which condition keys a set reads, and which records cannot tell one of them: those from before requests had it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::{TextRow, catalogue_of};
use crate::actions::{Action, ConditionKey};
use crate::authz::PolicySet;

/// Why such a record is not decided again.
pub(super) const LACKS_A_KEY: &str = "it was recorded before requests had a condition key that the set reads";

/// What one set reads, as far as it was asked.
#[derive(Default)]
pub(super) struct Reading {
    /// By action.
    keys: HashMap<&'static str, Arc<BTreeSet<ConditionKey>>>,
    /// By revision, the version of the catalogue that its records were made under.
    catalogues: HashMap<String, Option<u64>>,
}

impl Reading {
    /// The keys that the set reads of requests for an action.
    pub(super) fn keys(&mut self, set: &PolicySet, action: &'static Action) -> Arc<BTreeSet<ConditionKey>> {
        Arc::clone(self.keys.entry(action.name).or_insert_with(|| Arc::new(set.keys_read(action))))
    }

    /// Whether the set reads a key of which nothing can be known, since the record, decided by that revision, is of an older catalogue.
    pub(super) fn lacks(
        &mut self,
        revision: Option<&str>,
        action: &Action,
        keys: &BTreeSet<ConditionKey>,
        get: &mut TextRow<'_>,
    ) -> bool {
        if keys.iter().all(|key| key.since() == 1) {
            return false;
        }
        let Some(revision) = revision else { return false };
        let catalogue = match self.catalogues.get(revision) {
            Some(known) => *known,
            None => {
                let catalogue = catalogue_of(revision, get).ok();
                self.catalogues.insert(revision.to_owned(), catalogue);
                catalogue
            }
        };
        keys.iter().any(|key| action.has_key(*key) && catalogue.is_none_or(|catalogue| key.since() > catalogue))
    }
}
