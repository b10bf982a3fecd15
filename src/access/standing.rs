//! Whether a file that is on its way may still go to whoever asked for it: a long one outlives a revocation, or a grant.
//!
//! INVARIANT I13: what is sent after an acknowledged revocation or change of policies is decided by them: within a second of it
//! the request is decided again, and nothing more is sent unless it is allowed. That leaves no record of its own: the first one says
//! what was asked for.
//!
//! Neither the credential nor a grant that ends by the clock need last as long as the file does: both are taken as of the time when
//! the file was asked for.

use super::attempt::{self, Ask};
use super::gateway::Gateway;
use super::issuers::ISSUERS;
use super::policies::POLICY;
use super::question::Asked;
use super::tokens::REVOCATIONS;
use crate::authz::Verdict;
use keyward_audit::store::StoreError;
use keyward_audit::{Generation, ReadSet};
use std::sync::Arc;

/// How often it is looked whether anything has changed, in microseconds.
const EVERY_US: u64 = 1_000_000;

/// How often in a row the store may be closed, for it to be opened anew, when it is to be decided again.
const UNKNOWN_MAX: u32 = 5;

/// What a file was asked for by, and what that was allowed on.
pub(super) struct Standing {
    gateway: Arc<Gateway>,
    ask: Arc<Ask>,
    asked_s: u64,
    rests_on: Vec<(Generation, u64)>,
    looked_us: u64,
    /// How often in a row it could not be decided.
    unknown: u32,
}

impl Standing {
    /// Of a request of that time, in microseconds, which is allowed on `reads`.
    pub(super) fn new(gateway: &Arc<Gateway>, ask: &Arc<Ask>, asked_us: u64, reads: &ReadSet) -> Self {
        let of_caller = |(generation, _): &&(Generation, u64)| [REVOCATIONS, ISSUERS, POLICY].contains(generation);
        Self {
            gateway: Arc::clone(gateway),
            ask: Arc::clone(ask),
            asked_s: asked_us / 1_000_000,
            rests_on: reads.generations.iter().filter(of_caller).copied().collect(),
            looked_us: gateway.monotonic_us(),
            unknown: 0,
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
        let again = match self.decided_again() {
            Ok(again) => again,
            Err(error) => {
                self.unknown = self.unknown.saturating_add(1);
                tracing::warn!(%error, "it cannot be decided again now whether a file may go on");
                return self.unknown <= UNKNOWN_MAX;
            }
        };
        self.unknown = 0;
        tracing::info!(
            request = self.ask.call.request,
            allowed = again.is_some(),
            "a file on its way was decided again"
        );
        self.rests_on = again.unwrap_or_default();
        !self.rests_on.is_empty()
    }

    /// What it is allowed on now, if it is. A set of policies that is not swapped in yet is looked for the next time.
    ///
    /// # Errors
    /// The store cannot be read.
    fn decided_again(&self) -> Result<Option<Vec<(Generation, u64)>>, StoreError> {
        let gateway = &*self.gateway;
        let caller = attempt::authenticate_as_of(gateway, &self.ask.call, self.asked_s).ok();
        let Some((caller, asked_for)) = caller.zip(self.ask.asked_for()) else { return Ok(None) };
        let live = gateway.policies().live();
        let mut asked = Asked::new(gateway, &self.ask, &caller, asked_for, Arc::clone(&live), None);
        asked.now_s = self.asked_s;
        asked.session_policy = gateway.session_policy(&caller)?;
        let decision = gateway.log().read(|snapshot| {
            let row = asked.secret_row(snapshot)?;
            Ok(asked.decide(&live.set, row.as_ref()))
        })?;
        let seen = [(REVOCATIONS, caller.revocations_seen), (ISSUERS, caller.issuers_seen)];
        Ok((decision.outcome == Verdict::Allow).then(|| live.seen().into_iter().chain(seen).collect()))
    }
}
