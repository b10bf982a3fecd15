//! What callers pay for out of their allowance of denials: records that are written for nothing, and what takes something from all
//! others.
//!
//! INVARIANT I9: denials and malformed requests leave a record each, so that nobody fills the disk with them; a revocation, or a
//! change of keys, sends back whatever is being decided, so that nobody makes them one after the other.
//!
//! A refusal is paid before it is recorded, so that of many that are on their way together no more are recorded than are paid for;
//! and once, however often it is decided.

use super::gateway::Gateway;
use super::keys::KEYS;
use super::recording::CONTENTION;
use super::tokens::REVOCATIONS;
use crate::error::Code;
use keyward_audit::Changes;
use keyward_audit::record::{Decision, Draft};

/// What one request has paid for being refused.
#[derive(Default)]
pub(super) struct Refusals {
    are_paid: bool,
}

impl Refusals {
    /// Has the caller pay for a denial, or a failure. What was not decided for no fault of the caller's costs nothing.
    pub(super) fn pay(&mut self, gateway: &Gateway, draft: &Draft) {
        let costs = match draft.decision {
            Some(Decision::Deny) => true,
            Some(Decision::Error) => !draft.reason.as_deref().is_some_and(is_ours),
            Some(Decision::Allow) | None => false,
        };
        if costs && !std::mem::replace(&mut self.are_paid, true) {
            pay(gateway, draft);
        }
    }
}

/// Whether a change sends back what others have in hand.
pub(super) fn sends_back(changes: &Changes) -> bool {
    changes.bumps.iter().any(|moved| [REVOCATIONS, KEYS].contains(moved))
}

/// Has whoever asked pay, or whoever began the session that did.
pub(super) fn pay(gateway: &Gateway, draft: &Draft) {
    if let Some(asker) = draft.assumed_by.as_ref().or(draft.principal.as_ref()) {
        gateway.rates().denied(asker, gateway.monotonic_us());
    }
}

/// Whether it is the gateway's own fault, or that of others who change what was decided on.
fn is_ours(reason: &str) -> bool {
    [Code::InternalError.as_str(), Code::ServiceUnavailable.as_str(), CONTENTION].contains(&reason)
}
