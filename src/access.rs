//! How a request flows. This is the only place that joins authentication, policy, secrets and the log:
//!
//! ```text
//! door ─▶ Authenticated ─▶ decide ─▶ Grant | Denial | Failure ─▶ Log::commit ─▶ Committed<_> ─▶ open ─▶ Answer
//!              ▲                └─ on a snapshot ─┘                  │
//!              └──────────── something it was decided on has changed ┘  (again, at most 5 times, then 503)
//! ```
//!
//! - INVARIANT I1, I2: a value is opened only under a `Committed<Grant<Read>>`; a change rides in its record's batch.
//! - INVARIANT I3: whatever happens to a request, a record or a count of it remains, or the answer is 503.
//! - INVARIANT I5, I13: the decision is made on one snapshot with one policy revision, and holds at its index: the log
//!   takes the event only if none of what it was decided on has changed.
//!
//! If the process dies before the commit, nothing happened; after it, the record over-reports, which is safe.
//!
//! A grant that was not committed opens nothing:
//!
//! ```compile_fail,E0308
//! use keyward::access::{Grant, Read};
//! fn leak(engine: &keyward::secret::Engine, grant: Grant<Read>) { let _ = engine.open(grant); }
//! ```
//! ```no_run
//! use keyward::access::{Grant, Read};
//! fn release(engine: &keyward::secret::Engine, grant: keyward_audit::Committed<Grant<Read>>) { let _ = engine.open(grant); }
//! ```
//!
//! Nor does a committed grant of anything else, and a committed read opens once:
//!
//! ```compile_fail,E0277
//! use keyward::access::{Done, Grant};
//! fn leak(engine: &keyward::secret::Engine, grant: keyward_audit::Committed<Grant<Done>>) { let _ = engine.open(grant); }
//! ```
//! ```compile_fail,E0382
//! use keyward::access::{Grant, Read};
//! fn twice(engine: &keyward::secret::Engine, grant: keyward_audit::Committed<Grant<Read>>) {
//!     let _ = engine.open(grant);
//!     let _ = engine.open(grant);
//! }
//! ```

mod access_keys;
pub mod asked;
mod attempt;
mod call;
mod changes;
mod charges;
pub mod compared;
mod cursor;
mod events;
mod export;
mod gateway;
mod grant;
pub mod history;
pub mod holdings;
mod issuers;
mod key_use;
mod keys;
mod listing;
mod own;
mod pair_turns;
mod pairs;
pub mod policies;
mod proposal;
mod purger;
mod question;
mod recording;
mod refused_file;
pub mod replay;
mod request;
mod request_ids;
mod review;
mod root_key;
mod secrets;
mod seen;
mod service;
mod sessions;
pub mod setup;
pub mod shadow;
mod signed;
mod standing;
mod steady;
mod suggestions;
mod tokens;
mod trail;

pub use crate::authn::signed::SignedRequest;
pub use crate::authn::{tc3, v1};
pub use call::{Answer, Body, Call, Dialect, Fault, Presented, Reply, Unrecorded, Witness, leaf_text};
pub use export::{Blocks, ExportStream};
pub use gateway::{BodyLimits, Gateway, OpenError};
pub use grant::{Denial, Done, Exported, Failure, Generated, Grant, Read};
pub use issuers::{Issuers, IssuersError};
pub use signed::{Checked, Rejected, Signed};

use crate::authn::Authenticated;
use crate::error::{ApiError, Code};
use crate::floods::{Admission, Counted, Over};
use crate::secret::NoTurn;
use crate::traces::{self, Stage};
use attempt::{Ask, Attempt};
use charges::Refusals;
use keyward_audit::record::Draft;
use keyward_audit::{Changes, CommitError, Committed, Event, ReadSet};
use pair_turns::{NoPairTurn, PairTurn};
use purger::Deletes;
use shadow::Candidate;
use standing::Standing;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::MutexGuard;

/// How often a request is decided again before it is given up.
const AGAIN_MAX: usize = 5;

/// Answers one call. Whoever drops it half-way loses the answer, and the record if it was not queued yet: doors see to it
/// that nothing does.
pub async fn answer(gateway: Arc<Gateway>, call: Call) -> Answer {
    if let Some(over) = over_rate(&gateway, &call) {
        return too_fast(over);
    }
    let ask = Arc::new(Ask::read(call, &gateway));
    let answer = served(&gateway, &ask).await;
    // SECURITY: the size of the log is nobody's who is not known.
    if !ask.call.wants_checkpoint || !attempt::is_known(&gateway, &ask.call) {
        return answer;
    }
    let newest = gateway.log().newest_checkpoint();
    answer.with_checkpoint(newest.as_deref().map(|checkpoint| checkpoint.note()))
}

/// Whether a known caller, or the account, asks too fast: counted then, and not looked into any further.
fn over_rate(gateway: &Gateway, call: &Call) -> Option<Over> {
    let caller = match (&call.known, &call.fault, &call.presented) {
        (Some(known), ..) => Arc::clone(known),
        // The door has not asked who it is.
        (None, Some(_), Presented::Bearer(token) | Presented::WebIdentity(token)) => {
            gateway.authenticate(token).ok()?
        }
        _ => return None,
    };
    too_fast_of(gateway, &caller)
}

/// INVARIANT I9: a session takes from the allowance of whoever began it: else one of those who may take a role could use up what
/// all of them have.
fn too_fast_of(gateway: &Gateway, caller: &Authenticated) -> Option<Over> {
    gateway.rates().admit(caller.asker().as_str(), gateway.monotonic_us(), gateway.now_us()).err()
}

fn too_fast(over: Over) -> Answer {
    let (code, message, counted) = match over {
        Over::Principal(counted) => {
            let message = "too many requests, or too many that were refused or send those of others back; slow down and try again";
            (Code::RequestLimitExceeded, message, counted)
        }
        Over::Account(counted) => {
            (Code::UinLimitExceeded, "too many requests in this account; slow down and try again", counted)
        }
    };
    Answer::counted(counted, ApiError::new(code, message))
}

/// Serves one request of a caller who is not too fast, unless the account asks too fast for the action.
async fn served(gateway: &Arc<Gateway>, ask: &Arc<Ask>) -> Answer {
    match over_action_rate(gateway, ask) {
        Some(counted) => {
            let message = "too many requests for this action in this account; slow down and try again";
            Answer::counted(counted, ApiError::new(Code::RequestLimitExceeded, message))
        }
        None => decided(gateway, ask).await,
    }
}

/// Whether the account asks too fast for an action. The items of a call count one by one, the call that holds them does not.
fn over_action_rate(gateway: &Gateway, ask: &Ask) -> Option<Counted> {
    let (action, caller) = (ask.metered()?, ask.call.known.as_ref()?);
    let (now_us, wall_us) = (gateway.monotonic_us(), gateway.now_us());
    gateway.rates().admit_action(caller.asker().as_str(), action.name, now_us, wall_us).err()
}

/// A key pair of a caller who is having another one made.
fn second_pair(gateway: &Gateway, caller: &Authenticated) -> Answer {
    let counted = gateway.rates().refuse(caller.asker().as_str(), "second_key_pair", gateway.now_us());
    let message = "another key pair is being made for this caller; wait for it and try again";
    Answer::counted(counted, ApiError::new(Code::RequestLimitExceeded, message))
}

/// Decides on a snapshot and commits, again if what it was decided on has changed meanwhile.
async fn decided(gateway: &Arc<Gateway>, ask: &Arc<Ask>) -> Answer {
    let _turns = match turns(gateway, ask).await {
        Ok(turns) => turns,
        Err(answer) => return answer,
    };
    let (mut sent_back, mut candidate) = (0_usize, gateway.shadow().candidate());
    let mut refusals = Refusals::default();
    loop {
        match attempted(gateway, ask, candidate.clone(), &mut refusals).await {
            Ok(answer) => return answer,
            Err(Stopped::Conflict(draft)) => {
                attempt::forget(gateway, ask);
                if sent_back == AGAIN_MAX {
                    return give_up(gateway, *draft, recording::CONTENTION, &mut refusals).await;
                }
                sent_back = sent_back.saturating_add(1);
            }
            // The record has no room for what the set in the shadow says: it is asked no more.
            Err(Stopped::TooLarge(draft)) if shadow::said(&draft).next().is_some() => candidate = None,
            Err(Stopped::TooLarge(draft)) => {
                return give_up(gateway, *draft, recording::TOO_LARGE, &mut refusals).await;
            }
            Err(Stopped::Unrecorded(cause)) => return unrecorded(cause),
        }
        catch_up(gateway).await;
    }
}

/// What a call waits for before it is decided, and holds until it is answered: its turn among key pairs, and then among creations
/// near the limit of secrets, which nobody keeps from others while it waits for a pair.
async fn turns<'a>(
    gateway: &'a Gateway,
    ask: &Ask,
) -> Result<(Option<PairTurn<'a>>, Option<MutexGuard<'a, ()>>), Answer> {
    let pair = match ask.call.known.as_ref().filter(|_| ask.makes_pair()) {
        Some(caller) => match gateway.pairs().take(caller.asker().as_str()).await {
            Ok(turn) => Some(turn),
            Err(NoPairTurn::Late) => return Err(unrecorded(Unrecorded::Turn)),
            Err(NoPairTurn::Second) => return Err(second_pair(gateway, caller)),
        },
        None => None,
    };
    let log = gateway.log();
    let creation = match ask.is_creation() {
        true => match gateway.held().turn(log.as_of(), &gateway.secret_limits(), log.deadline()).await {
            Ok(turn) => turn,
            Err(NoTurn) => return Err(unrecorded(Unrecorded::Turn)),
        },
        false => None,
    };
    Ok((pair, creation))
}

/// One attempt, and its commit if it comes to one.
async fn attempted(
    gateway: &Arc<Gateway>,
    ask: &Arc<Ask>,
    candidate: Option<Arc<Candidate>>,
    refusals: &mut Refusals,
) -> Result<Answer, Stopped> {
    let asked_us = gateway.now_us();
    let attempt = attempt::run(gateway, ask, candidate);
    match traces::during(Stage::Decide, attempt).await {
        Attempt::Value(grant, reads) => release(gateway, ask, grant, reads).await,
        Attempt::Done(grant, changes, reads) => commit_change(gateway, grant, changes, reads).await.map(Answer::done),
        Attempt::Issued(grant, changes, reads) => commit(gateway, grant, changes, reads).await.map(Answer::issued),
        Attempt::Begun(grant, changes, reads) => commit(gateway, grant, changes, reads).await.map(Answer::begun),
        Attempt::Generated(grant, reads) => {
            commit(gateway, grant, Changes::default(), reads).await.map(Answer::generated)
        }
        Attempt::Items(items) => Ok(Answer::items(each(gateway, items).await)),
        Attempt::Export(grant, reads) => {
            let grant = grant.watched(Standing::new(gateway, ask, asked_us, &reads));
            commit(gateway, grant, Changes::default(), reads).await.map(Answer::export)
        }
        Attempt::Denied(denial, reads) => {
            refusals.pay(gateway, denial.draft());
            commit(gateway, denial, Changes::default(), reads).await.map(Answer::denied)
        }
        Attempt::Failed(failure, reads) => {
            refusals.pay(gateway, failure.draft());
            commit(gateway, failure, Changes::default(), reads).await.map(Answer::failed)
        }
        Attempt::Refused(refusal) => Ok(refuse(gateway, ask, refusal).await),
        Attempt::Unrecorded(cause) => Err(Stopped::Unrecorded(cause)),
        Attempt::Panicked => Ok(record_fault(gateway, ask.witness()).await),
    }
}

/// A revision that is in the log is about to be swapped in; anything else is read anew at once.
async fn catch_up(gateway: &Gateway) {
    gateway.policies().catch_up(gateway.log().generation(policies::POLICY)).await;
    gateway.issuers().catch_up(gateway.log().generation(issuers::ISSUERS)).await;
    gateway.catch_up_keys();
}

/// The answers to the items of a call, in their order. Each is decided, recorded and answered by itself; they go together, so
/// that one write of the log serves many.
async fn each(gateway: &Arc<Gateway>, items: Vec<Ask>) -> Vec<Answer> {
    let begun = |item: Ask| (item.witness(), tokio::spawn(traces::along(one(Arc::clone(gateway), item))));
    let tasks: Vec<_> = items.into_iter().map(begun).collect();
    let mut answers = Vec::with_capacity(tasks.len());
    for (witness, task) in tasks {
        answers.push(match task.await {
            Ok(answer) => answer,
            Err(_) => record_fault(gateway, witness).await,
        });
    }
    answers
}

/// One item: it counts as a request of its own. In a box, since it is served as calls are, by what calls this.
fn one(gateway: Arc<Gateway>, item: Ask) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
    Box::pin(async move {
        match item.call.known.as_ref().and_then(|caller| too_fast_of(&gateway, caller)) {
            Some(over) => too_fast(over),
            None => served(&gateway, &Arc::new(item)).await,
        }
    })
}

/// Why a commit did not come to an answer; with the record that it would have left.
enum Stopped {
    Conflict(Box<Draft>),
    TooLarge(Box<Draft>),
    Unrecorded(Unrecorded),
}

async fn commit<E: Event>(
    gateway: &Gateway,
    event: E,
    changes: Changes,
    reads: ReadSet,
) -> Result<Committed<E>, Stopped> {
    let said: Vec<_> = shadow::said(event.draft()).collect();
    let committed = traces::during(Stage::Commit, gateway.log().commit(event, changes, reads)).await;
    if committed.is_ok() {
        shadow::count(&said);
    }
    committed.map_err(|error| match error {
        CommitError::Conflict(event) => Stopped::Conflict(Box::new(event.draft().clone())),
        CommitError::TooLarge(event) => Stopped::TooLarge(Box::new(event.draft().clone())),
        CommitError::Unavailable(_, refused) => Stopped::Unrecorded(Unrecorded::Log(refused)),
    })
}

/// Commits a change; the purger hears of the values and keys that it deletes, and changed keys, or another root key, become
/// live.
async fn commit_change(
    gateway: &Gateway,
    grant: Grant<Done>,
    changes: Changes,
    reads: ReadSet,
) -> Result<Committed<Grant<Done>>, Stopped> {
    let (deleted, moves_keys) = (Deletes::of(&changes), changes.bumps.contains(&keys::KEYS));
    let sends_back = charges::sends_back(&changes);
    let _under_way = (!deleted.is_empty()).then(|| gateway.leftovers().under_way());
    let committed = commit(gateway, grant, changes, reads).await;
    let may_be_done = !matches!(committed, Err(Stopped::Conflict(_) | Stopped::TooLarge(_)));
    if may_be_done {
        gateway.leftovers().add(deleted);
    }
    if let Some(committed) = committed.as_ref().ok().filter(|_| sends_back) {
        charges::pay(gateway, committed.event().draft());
    }
    if committed.is_ok() && moves_keys {
        gateway.catch_up_keys();
    }
    committed
}

/// 503: said in a metric, since no record can say it.
fn unrecorded(cause: Unrecorded) -> Answer {
    if !matches!(cause, Unrecorded::Log(_)) {
        metrics::counter!("keyward_unrecorded_total", "reason" => cause.label()).increment(1);
    }
    Answer::unrecorded(cause)
}

/// INVARIANT I1: record, then open. A row that fails its integrity check releases nothing, and an `outcome` record
/// names the read that said `ok`.
async fn release(gateway: &Gateway, ask: &Ask, grant: Grant<Read>, reads: ReadSet) -> Result<Answer, Stopped> {
    let committed = commit(gateway, grant, Changes::default(), reads).await?;
    match traces::stage(Stage::Open, || gateway.engine().open(committed)) {
        Ok((value, grant, locator)) => Ok(Answer::value(value, grant, locator)),
        Err(error) => {
            let (grant, locator) = error.into_parts();
            attempt::forget(gateway, ask);
            tracing::error!(index = locator.index, "a stored value failed its integrity check; nothing was released");
            metrics::counter!("keyward_integrity_failures_total").increment(1);
            let error = ApiError::new(Code::InternalError, "the value failed its integrity check and was not released");
            let outcome = recording::integrity_outcome(grant.draft(), &locator, error);
            commit(gateway, outcome, Changes::default(), ReadSet::default()).await.map(Answer::failed)
        }
    }
}

/// No or bad credential, or malformed beyond knowing the caller: a record within the budget, else a count.
async fn refuse(gateway: &Gateway, ask: &Ask, refusal: attempt::Refusal) -> Answer {
    match gateway.floods().admit(ask.call.peer, refusal.reason, gateway.now_us()) {
        Admission::Counted(counted) => Answer::counted(counted, refusal.error),
        Admission::Single => {
            let committed = if refusal.is_credential {
                let denial = recording::unauthenticated(ask, refusal);
                commit(gateway, denial, Changes::default(), ReadSet::default()).await.map(Answer::denied)
            } else {
                let failure = recording::malformed(ask, refusal);
                commit(gateway, failure, Changes::default(), ReadSet::default()).await.map(Answer::failed)
            };
            settled(committed)
        }
    }
}

/// The record would pass 8 KiB (413), or what it was decided on changed each time (503): recorded without a read set.
async fn give_up(gateway: &Gateway, draft: Draft, reason: &'static str, refusals: &mut Refusals) -> Answer {
    let error = if reason == recording::TOO_LARGE {
        ApiError::new(Code::RequestSizeLimitExceeded, "the record of this call would pass 8192 bytes")
    } else {
        ApiError::new(Code::ServiceUnavailable, "what this was decided on kept changing; try again")
    };
    let failure = recording::given_up(draft, reason, error);
    refusals.pay(gateway, failure.draft());
    settled(commit(gateway, failure, Changes::default(), ReadSet::default()).await.map(Answer::failed))
}

/// A call, or an item of one, whose task panicked: 500, recorded.
pub async fn record_fault(gateway: &Gateway, witness: Witness) -> Answer {
    tracing::error!(request = witness.request, "serving a request panicked");
    metrics::counter!("keyward_panics_total").increment(1);
    let error = ApiError::new(Code::InternalError, "the request could not be served");
    let failure = recording::fault(witness, error);
    settled(commit(gateway, failure, Changes::default(), ReadSet::default()).await.map(Answer::failed))
}

/// An answer to an event without a read set, which cannot conflict.
fn settled(result: Result<Answer, Stopped>) -> Answer {
    result.unwrap_or_else(|stopped| {
        unrecorded(match stopped {
            Stopped::Unrecorded(cause) => cause,
            Stopped::Conflict(_) | Stopped::TooLarge(_) => Unrecorded::Store,
        })
    })
}
