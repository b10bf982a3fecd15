//! Deletions of keys that are due, carried out by `service/purger`, each as a record of its own.
//!
//! INVARIANT I2: a purge is one batch: its record and the deletion of the key with all its generations.
//! INVARIANT I13: it is decided on the keys and on the clock, whose generations its read set names: a key whose deletion was
//! taken back stays, and so does every one if the clock stepped.
//!
//! A key that waits for its deletion wraps nothing: that was asked when it was scheduled, and nothing is sealed under it
//! since. It is asked again all the same: no value is ever lost with its key.

use super::KEYS;
use crate::access::gateway::Gateway;
use crate::access::purger::{self, Purge};
use crate::keys::{KeyId, deletion_row};
use crate::secret::DataKeys;
use crate::state::State;
use keyward_audit::ReadSet;
use keyward_audit::record::{Draft, Kind, Outcome, Value};
use keyward_audit::store::{Family, StoreError};

impl Gateway {
    /// Carries out the deletions of keys that are due; answers how many.
    pub(in crate::access) async fn purge_keys(&self) -> usize {
        let due_by_s = self.steadiness().due_by_s(self.now_us() / 1_000_000);
        let keyring = self.engine().keyring();
        let due: Vec<KeyId> =
            keyring.keys().filter(|key| key.state.is_due(due_by_s)).map(|key| key.id.clone()).collect();
        let mut purged = 0;
        for id in due {
            purged += usize::from(self.purge_key(&id).await);
        }
        purged
    }

    async fn purge_key(&self, id: &KeyId) -> bool {
        self.catch_up_keys();
        let purged = self.carry_out(self.prepare_purge(id)).await;
        if purged {
            self.catch_up_keys();
        }
        purged
    }

    /// What the purge of a key comes to; none if it does not wait for its deletion any more, or the clock is not trusted any
    /// more.
    fn prepare_purge(&self, id: &KeyId) -> Result<Option<Purge>, StoreError> {
        let mut reads = ReadSet { as_of: self.log().as_of(), ..ReadSet::default() };
        let (clock, keyring) = (self.steadiness(), self.engine().keyring());
        reads.generations.push((KEYS, keyring.as_of()));
        let state = keyring.key(id).map(|key| key.state);
        let Some(State::PendingDelete { delete_at_s }) = state else { return Ok(None) };
        if !clock.is_due(delete_at_s, self.now_us() / 1_000_000, &mut reads) {
            return Ok(None);
        }
        let (used, requested) = self.log().read(|snapshot| {
            let counted = DataKeys::count(snapshot, self.engine().row_key(), &keyring, Some(id))?;
            Ok((counted.of_key(id), snapshot.get(Family::Keys, &deletion_row(id).bytes)?))
        })?;
        let damaged = |what: String| StoreError::Damaged(format!("key `{id}`: {what}"));
        let requested = requested.and_then(|row| row.try_into().ok()).map(u64::from_be_bytes);
        let requested = requested.ok_or_else(|| damaged("the row of its deletion".to_owned()))?;
        let writes = keyring.purge(id, used).map_err(|error| damaged(error.to_string()))?;
        let request = self.request_id().map_err(|_| StoreError::Engine("no random bytes".to_owned()))?;
        let mut draft = Draft::new(Kind::Purge, "keyward:Purge", "internal", request);
        draft.outcome = Some(Outcome::Ok);
        draft.principal = Some("service/purger".to_owned());
        draft.resource = Some(self.place().key(id.as_str()));
        draft.parameters.insert("due".to_owned(), Value::from(delete_at_s));
        draft.parameters.insert("requested".to_owned(), Value::from(requested));
        let mut changes = purger::changes(writes, None);
        changes.bumps.push(KEYS);
        Ok(Some(Purge { draft, changes, reads }))
    }
}
