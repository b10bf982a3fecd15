//! Whose turn it is to make a key pair: one is made at a time, since that takes a processor for up to some seconds.
//!
//! INVARIANT I9: turns come in the order in which they were asked for, and nobody asks for a second one before its first is over, by
//! whatever keys and sessions: else one caller would have them all.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How long a turn is waited for.
const WAIT: Duration = Duration::from_secs(5);

/// The turns.
pub(crate) struct PairTurns {
    turn: Semaphore,
    askers: Askers,
}

/// Those who have a turn or wait for one.
type Askers = Mutex<HashSet<String>>;

/// The right to make a pair, until it is dropped.
pub(crate) struct PairTurn<'a> {
    _permit: SemaphorePermit<'a>,
    _place: Place<'a>,
}

/// Why there is no turn.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoPairTurn {
    /// Who asks has one, or waits for one.
    Second,
    /// It did not come in time.
    Late,
}

impl Default for PairTurns {
    fn default() -> Self {
        Self { turn: Semaphore::new(1), askers: Mutex::default() }
    }
}

impl PairTurns {
    /// Waits for a turn of `asker`'s.
    pub(crate) async fn take(&self, asker: &str) -> Result<PairTurn<'_>, NoPairTurn> {
        let place = Place::of(asker, &self.askers).ok_or(NoPairTurn::Second)?;
        match tokio::time::timeout(WAIT, self.turn.acquire()).await {
            Ok(Ok(permit)) => Ok(PairTurn { _permit: permit, _place: place }),
            Ok(Err(_)) | Err(_) => Err(NoPairTurn::Late),
        }
    }
}

/// One asker's place among those who ask.
struct Place<'a> {
    asker: String,
    askers: &'a Askers,
}

impl<'a> Place<'a> {
    fn of(asker: &str, askers: &'a Askers) -> Option<Self> {
        let is_first = locked(askers).insert(asker.to_owned());
        is_first.then(|| Self { asker: asker.to_owned(), askers })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        locked(self.askers).remove(&self.asker);
    }
}

fn locked(askers: &Askers) -> MutexGuard<'_, HashSet<String>> {
    askers.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn attack_f05_each_asker_has_one_turn_at_a_time_and_gives_it_back_however_it_ends() {
        let turns = PairTurns::default();
        let alice = turns.take("user/dev/alice").await.unwrap();
        assert_eq!(turns.take("user/dev/alice").await.err(), Some(NoPairTurn::Second), "she makes one");
        let mut bob = Box::pin(turns.take("user/dev/bob"));
        assert!(bob.as_mut().now_or_never().is_none(), "he waits");
        assert_eq!(turns.take("user/dev/bob").await.err(), Some(NoPairTurn::Second), "and does so once");
        drop(bob);
        drop(alice);
        for asker in ["user/dev/bob", "user/dev/alice"] {
            assert!(turns.take(asker).await.is_ok(), "{asker}");
        }
    }
}
