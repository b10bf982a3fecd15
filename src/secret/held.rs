//! How many secrets there may be, without counting them for each creation: counting goes over a row of each shard, and those of
//! a store that many secrets are created in hold many values of each that were written over.
//!
//! A record creates one secret at most. So there are no more than were counted, and one for each record since. Only where
//! that comes near the limit they are counted, and then the creation is decided on all counts ([`CreationView::reads`]): of
//! two that are decided on the same state the log takes one. So that they do not send each other back for ever, creations
//! near the limit are decided one after the other ([`Held::turn`]).
//!
//! In memory alone: a process that starts knows that there are no more secrets than records.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

use keyward_audit::store::{Snapshot, StoreError};

use super::limits::Limits;
use super::lookup::{self, CreationView, QUOTA_SLACK};
use crate::keys::RowKey;
use crate::resource::{CreatorNumber, SecretName};

/// A bound on how many secrets there are.
#[derive(Debug, Default)]
pub struct Held {
    /// Records, as of the last count, that are known to have left no secret.
    without: AtomicU64,
    turns: Mutex<()>,
}

/// A creation near the limit whose turn did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoTurn;

impl Held {
    /// How many secrets there may be at most, as of a log size.
    fn at_most(&self, as_of: u64) -> u64 {
        as_of.saturating_sub(self.without.load(Ordering::Relaxed))
    }

    /// Whether so many secrets are far from the limit. Twice the slack: what is created, and what is deleted, while others are on
    /// their way.
    const fn is_far(at_most: u64, limits: &Limits) -> bool {
        at_most.saturating_add(QUOTA_SLACK.saturating_mul(2)) < limits.secrets_max
    }

    /// Waits until a creation may be decided; it holds its turn until it is committed. None is needed far from the limit.
    ///
    /// # Errors
    /// [`NoTurn`] if those before it take longer than `within`: a disk that hangs must not make callers wait one behind the
    /// other (INVARIANT I9).
    pub async fn turn(
        &self,
        as_of: u64,
        limits: &Limits,
        within: Duration,
    ) -> Result<Option<MutexGuard<'_, ()>>, NoTurn> {
        if Self::is_far(self.at_most(as_of), limits) {
            return Ok(None);
        }
        tokio::time::timeout(within, self.turns.lock()).await.map(Some).map_err(|_| NoTurn)
    }

    /// Reads what the creation of `name` by the holder of `creator` is decided on; `as_of` is the log size before `snapshot`.
    /// Far from the limit the view's total is what there may be at most.
    ///
    /// # Errors
    /// [`StoreError`] if a row cannot be read or is damaged.
    pub fn creation(
        &self,
        snapshot: &dyn Snapshot,
        row_key: &RowKey,
        (name, creator): (&SecretName, CreatorNumber),
        as_of: u64,
        limits: &Limits,
    ) -> Result<CreationView, StoreError> {
        let at_most = self.at_most(as_of);
        if Self::is_far(at_most, limits) {
            return lookup::creation_among(snapshot, row_key, name, creator, at_most);
        }
        let view = lookup::creation(snapshot, row_key, name, creator)?;
        self.without.store(as_of.saturating_sub(view.total), Ordering::Relaxed);
        Ok(view)
    }
}

#[cfg(test)]
mod race_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::fixture::MemoryRows;
    use crate::secret::address;
    use crate::secret::fixture::{creator, engine, name};
    use proptest::prelude::*;

    fn limits(secrets_max: u64) -> Limits {
        Limits { secrets_max, ..Limits::default() }
    }

    /// A store that counts so many secrets in the shard of `a`.
    fn holding(secrets: u64) -> MemoryRows {
        let mut rows = MemoryRows::default();
        rows.put(&address::count(address::shard(&name("a"))), secrets.to_be_bytes().to_vec());
        rows
    }

    #[test]
    fn secrets_are_counted_only_where_they_may_be_near_the_limit() {
        let (engine, held, limits) = (engine(), Held::default(), limits(100_000));
        let view = |rows: &MemoryRows, as_of| {
            held.creation(rows, engine.row_key(), (&name("a"), creator()), as_of, &limits).map(|view| view.total)
        };
        // A count that cannot be read is met by whoever counts.
        let mut broken = holding(7);
        broken.put(&address::count(address::shard(&name("a")).wrapping_add(1)), b"x".to_vec());
        assert_eq!(view(&broken, 67_231).unwrap(), 67_231);
        assert!(view(&broken, 67_232).is_err());
        assert_eq!(view(&holding(7), 67_232).unwrap(), 7);
        assert_eq!(view(&broken, 134_456).unwrap(), 67_231);
        assert!(view(&broken, 134_457).is_err());
    }

    proptest! {
        #[test]
        fn no_view_says_less_than_there_are_and_near_the_limit_it_says_what_there_are(
            steps in prop::collection::vec((0_u64..40_000, 0_u64..40_000, 0_u64..40_000), 1..40),
        ) {
            let (engine, held, limits) = (engine(), Held::default(), limits(150_000));
            let (mut records, mut secrets) = (0_u64, 0_u64);
            for (created, deleted, others) in steps {
                let created = created.min(limits.secrets_max - secrets);
                records += created + deleted.min(secrets) + others;
                secrets = secrets - deleted.min(secrets) + created;
                secrets = secrets.min(limits.secrets_max);
                let target = (&name("a"), creator());
                let view = held.creation(&holding(secrets), engine.row_key(), target, records, &limits).unwrap();
                prop_assert!(view.total >= secrets);
                let is_near = secrets + 2 * QUOTA_SLACK >= limits.secrets_max;
                prop_assert!(view.total == secrets || !is_near, "{} of {}", view.total, secrets);
                prop_assert_eq!(view.in_shard, secrets);
            }
        }
    }
}
