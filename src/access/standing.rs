//! Whether a file that is on its way may still go to whoever asked for it: a long one outlives a revocation, or a grant.
//!
//! INVARIANT I13: what is sent after an acknowledged revocation or change of policies is decided by them: within a second of it
//! the request is decided again, and nothing more is sent unless it is allowed. That leaves no record of its own: the first one says
//! what was asked for.
//!
//! The credential need not last as long as the file does: it is taken as of the time when it was shown.

use super::attempt::{self, Ask};
use super::gateway::Gateway;
use super::issuers::ISSUERS;
use super::policies::POLICY;
use super::question::Asked;
use super::tokens::REVOCATIONS;
use crate::authz::Verdict;
use keyward_audit::{Generation, ReadSet};
use std::sync::Arc;

/// How often it is looked whether anything has changed, in microseconds.
const EVERY_US: u64 = 1_000_000;

/// What a file was asked for by, and what that was allowed on.
pub(super) struct Standing {
    gateway: Arc<Gateway>,
    ask: Arc<Ask>,
    shown_s: u64,
    rests_on: Vec<(Generation, u64)>,
    looked_us: u64,
}

impl Standing {
    /// Of a request that is allowed on `reads`.
    pub(super) fn new(gateway: &Arc<Gateway>, ask: &Arc<Ask>, reads: &ReadSet) -> Self {
        let of_caller = |(generation, _): &&(Generation, u64)| [REVOCATIONS, ISSUERS, POLICY].contains(generation);
        Self {
            gateway: Arc::clone(gateway),
            ask: Arc::clone(ask),
            shown_s: gateway.now_us() / 1_000_000,
            rests_on: reads.generations.iter().filter(of_caller).copied().collect(),
            looked_us: gateway.monotonic_us(),
        }
    }

    /// Whether it is allowed, as of a second ago at most.
    pub(super) fn holds(&mut self) -> bool {
        let now_us = self.gateway.monotonic_us();
        if now_us.saturating_sub(self.looked_us) < EVERY_US {
            return true;
        }
        self.looked_us = now_us;
        let log = self.gateway.log();
        if self.rests_on.iter().all(|(generation, seen)| log.generation(*generation) == *seen) {
            return true;
        }
        let again = self.decided_again();
        tracing::info!(
            request = self.ask.call.request,
            allowed = again.is_some(),
            "a file on its way was decided again"
        );
        self.rests_on = again.unwrap_or_default();
        !self.rests_on.is_empty()
    }

    /// What it is allowed on now, if it is. A set of policies that is not swapped in yet is looked for the next time.
    fn decided_again(&self) -> Option<Vec<(Generation, u64)>> {
        let gateway = &*self.gateway;
        let caller = attempt::authenticate_as_of(gateway, &self.ask.call, self.shown_s).ok()?;
        let live = gateway.policies().live();
        let mut asked = Asked::new(gateway, &self.ask, &caller, self.ask.asked_for()?, Arc::clone(&live), None);
        asked.session_policy = gateway.session_policy(&caller).ok()?;
        let decision = gateway.log().read(|snapshot| {
            let row = asked.secret_row(snapshot)?;
            Ok(asked.decide(&live.set, row.as_ref()))
        });
        let seen = [(REVOCATIONS, caller.revocations_seen), (ISSUERS, caller.issuers_seen)];
        (decision.ok()?.outcome == Verdict::Allow).then(|| live.seen().into_iter().chain(seen).collect())
    }
}
