//! Whether the clock can be trusted with a deletion: never until it was steady for an hour after a step.
//!
//! INVARIANT I13: what was decided on a due deletion names the generation of the clock. A step that the log records before
//! the commit sends it back, so that no step, not even one that is not recorded yet, ends a secret.

use super::gateway::Gateway;
use crate::secret::row::SecretRow;
use crate::state::State;
use arc_swap::ArcSwap;
use keyward_audit::log::CLOCK;
use keyward_audit::{Log, ReadSet};
use std::sync::Arc;

/// How long a clock must not have stepped, in microseconds.
const STEADY_US: u64 = 3_600_000_000;

/// What is known of the wall clock's last step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Steadiness {
    /// The generation of the clock that this was read under.
    seen: u64,
    /// From when on the clock counts as steady, in microseconds since 1970.
    from_us: u64,
}

/// The newest [`Steadiness`], kept so that nobody reads the record of the step again.
#[derive(Debug, Default)]
pub(super) struct SteadyClock(ArcSwap<Steadiness>);

impl SteadyClock {
    /// What is known now. A step whose record cannot be read is taken for one that is just made.
    pub(super) fn look(&self, log: &Log) -> Steadiness {
        let seen = log.generation(CLOCK);
        let kept = **self.0.load();
        if kept.seen == seen {
            return kept;
        }
        let Ok(stepped_at_us) = log.stepped_at_us(seen) else {
            return Steadiness { seen, from_us: u64::MAX };
        };
        let from_us = stepped_at_us.map_or(0, |at_us| at_us.saturating_add(STEADY_US));
        let read = Steadiness { seen, from_us };
        self.0.store(Arc::new(read));
        read
    }
}

impl Steadiness {
    /// The moment up to which deletions are due at `now_s`, in epoch seconds: none is due at 0.
    pub(super) fn due_by_s(self, now_s: u64) -> u64 {
        if now_s.saturating_mul(1_000_000) >= self.from_us { now_s } else { 0 }
    }

    /// Whether a deletion at `delete_at_s` is due at `now_s`; `reads` names the clock.
    pub(super) fn is_due(self, delete_at_s: u64, now_s: u64, reads: &mut ReadSet) -> bool {
        reads.generations.push((CLOCK, self.seen));
        delete_at_s <= self.due_by_s(now_s)
    }

    /// Whether `row` is gone at `now_s`: its deletion is due, carried out or not. Where the clock makes the answer, `reads`
    /// names it.
    pub(super) fn is_gone(self, row: &SecretRow, now_s: u64, reads: &mut ReadSet) -> bool {
        if matches!(row.state, State::PendingDelete { .. }) {
            reads.generations.push((CLOCK, self.seen));
        }
        row.is_due(self.due_by_s(now_s))
    }
}

impl Gateway {
    /// See [`SteadyClock::look`].
    pub(super) fn steadiness(&self) -> Steadiness {
        self.steady_clock().look(self.log())
    }
}
