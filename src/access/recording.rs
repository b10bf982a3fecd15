//! What records say: the drafts of everything that the pipeline commits.
//!
//! INVARIANT I4: never a value, a token, or a hash or length of a value; what enters here is chosen field by field.

use super::attempt::{Ask, Refusal};
use super::call::{Presented, Witness};
use super::grant::{Denial, Failure};
use super::own::Own;
use crate::actions::{self, Action};
use crate::authn::Authenticated;
use crate::authz;
use crate::error::ApiError;
use crate::floods::{By, Row, Summary};
use chrono::{DateTime, SecondsFormat};
use keyward_audit::record::{
    self, Context, Decision, Draft, Kind, LayerName, Outcome, Parameters, Policy, TokenId, Unknown, UserAgent, Value,
};
use keyward_audit::{Lane, Locator};
use std::collections::BTreeSet;

/// Version of the evaluator: raised when the same inputs may decide otherwise.
pub(super) const SEMANTICS: u32 = 1;
/// Reason of a call whose record would pass 8 KiB.
pub(super) const TOO_LARGE: &str = "record_too_large";
/// Parameters of a record that are of its call, and small.
const OF_CALL: [&str; 3] = ["claimed_trace", "duplicate", "item"];
/// Reason of a call that was decided as often as allowed, each time on something that changed.
pub(super) const CONTENTION: &str = "contention";

/// An instant as `qcs:current_time` writes it: RFC 3339, UTC, whole seconds.
pub(super) fn time_text(now_s: u64) -> String {
    let instant =
        i64::try_from(now_s).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0)).unwrap_or_default();
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn of_call(ask: &Ask, kind: Kind) -> Draft {
    let call = &ask.call;
    let mut draft = Draft::new(kind, ask.action_name(), call.door, call.request.clone());
    draft.source_ip = call.peer;
    draft.certificate.clone_from(&call.certificate);
    draft.user_agent = call.user_agent.as_deref().map(UserAgent::shortened);
    if let Some(trace) = &call.trace {
        draft.parameters.insert("claimed_trace".to_owned(), Value::from(trace.as_str()));
    }
    if matches!(&call.presented, Presented::Checked(checked) if checked.is_duplicate) {
        draft.parameters.insert("duplicate".to_owned(), Value::Flag(true));
    }
    if let Some(item) = ask.item {
        draft.parameters.insert("item".to_owned(), Value::from(item as u64));
    }
    draft
}

/// A call of a known caller.
pub(super) fn known(ask: &Ask, caller: &Authenticated) -> Draft {
    let mut draft = of_call(ask, Kind::Access);
    draft.principal = Some(caller.principal.as_str().to_owned());
    draft.issuer = Some(caller.issuer.clone()).filter(|issuer| !issuer.is_empty());
    draft.credential = Some(credential(caller));
    if let Some(session) = &caller.session {
        draft.assumed_by = Some(session.assumed_by.as_str().to_owned());
        draft.session = Some(session.name.clone());
        draft.session_policy.clone_from(&session.policy);
    }
    draft
}

fn credential(caller: &Authenticated) -> record::Credential {
    let credential = &caller.credential;
    if let Some(access_key) = credential.access_key.clone() {
        let (expires, issued) = (credential.expires, credential.issued);
        return match caller.session {
            Some(_) => record::Credential::Session { access_key, expires, issued },
            None => record::Credential::AccessKey { access_key, issued },
        };
    }
    let id = match (&credential.jti, &credential.hash) {
        (Some(jti), _) => TokenId::Jti(jti.clone()),
        (None, hash) => TokenId::Hash(hash.clone().unwrap_or_default()),
    };
    record::Credential::Token {
        expires: credential.expires,
        id,
        issued: credential.issued,
        kid: credential.kid.clone(),
    }
}

/// Everything that a policy could have read.
pub(super) fn context(
    context: authz::Context,
    groups: BTreeSet<String>,
    roles: BTreeSet<String>,
    unknown: bool,
) -> Context {
    let conditions =
        context.values.into_iter().map(|(key, values)| (key.name().to_owned(), values.into_iter().collect()));
    let unknown = if unknown { BTreeSet::from([Unknown::Creator, Unknown::Tags]) } else { BTreeSet::new() };
    Context { conditions: conditions.collect(), groups, roles, unknown }
}

/// What decided.
pub(super) fn policy(decision: &authz::Decision, revision: String, shadow: Option<record::Shadow>) -> Policy {
    let layers = decision.layers.iter().map(|deciding| record::Layer {
        document: deciding.document.clone(),
        effect: match deciding.effect {
            authz::StatementEffect::Allow => record::Effect::Allow,
            authz::StatementEffect::Deny => record::Effect::Deny,
        },
        layer: match deciding.layer {
            authz::Layer::Identity => LayerName::Identity,
            authz::Layer::Boundary => LayerName::Boundary,
            authz::Layer::Session => LayerName::Session,
            authz::Layer::Trust => LayerName::Trust,
        },
        statement: deciding.statement,
    });
    Policy { layers: layers.collect(), revision, semantics: SEMANTICS, shadow }
}

/// Allowed and done.
pub(super) fn ok(mut draft: Draft) -> Draft {
    draft.decision = Some(Decision::Allow);
    draft.outcome = Some(Outcome::Ok);
    draft
}

/// Allowed and not done: the error code is the reason.
pub(super) fn failed(mut draft: Draft, error: ApiError, lane: Lane) -> Failure {
    draft.decision = Some(Decision::Allow);
    draft.outcome = Some(Outcome::Failed);
    draft.reason.get_or_insert_with(|| error.code.as_str().to_owned());
    Failure::new(draft, error, lane)
}

/// Policy says no, or could not be asked.
pub(super) fn denied(mut draft: Draft, decision: &authz::Decision) -> Draft {
    (draft.decision, draft.outcome) = match decision.outcome {
        authz::Verdict::Error(_) => (Some(Decision::Error), Some(Outcome::Failed)),
        authz::Verdict::Allow | authz::Verdict::Deny(_) => (Some(Decision::Deny), Some(Outcome::Denied)),
    };
    draft.reason = decision.outcome.reason().map(str::to_owned);
    draft
}

/// A known caller's request that never came to a decision.
pub(super) fn not_decided(ask: &Ask, caller: &Authenticated, reason: &str) -> Draft {
    let mut draft = known(ask, caller);
    draft.decision = Some(Decision::Error);
    draft.outcome = Some(Outcome::Failed);
    draft.reason = Some(reason.to_owned());
    draft
}

/// What a request would have recorded that is given up: `contention`, or `record_too_large`. No decision was reached that
/// holds at this record's index (invariant I13), so it names no revision and no context.
pub(super) fn given_up(mut draft: Draft, reason: &'static str, error: ApiError) -> Failure {
    draft.context = None;
    draft.policy = None;
    draft.decision = Some(Decision::Error);
    draft.outcome = Some(Outcome::Failed);
    draft.reason = Some(reason.to_owned());
    draft.secret_version = None;
    draft.value = None;
    if reason == TOO_LARGE {
        // What was asked for may be what is too large.
        draft.parameters.retain(|name, _| OF_CALL.contains(&name.as_str()));
    }
    Failure::new(draft, error, Lane::Reserve)
}

fn not_served(ask: &Ask, reason: &str) -> Draft {
    let mut draft = of_call(ask, Kind::Unauthenticated);
    draft.decision = Some(Decision::Deny);
    draft.outcome = Some(Outcome::Denied);
    draft.reason = Some(reason.to_owned());
    draft
}

/// No or bad credential.
pub(super) fn unauthenticated(ask: &Ask, refusal: Refusal) -> Denial {
    let mut draft = not_served(ask, refusal.reason);
    for (name, claimed) in refusal.claimed {
        draft.parameters.insert(name, Value::Text(claimed));
    }
    Denial::new(draft, refusal.error, Lane::Nameless)
}

/// Malformed, from nobody known.
pub(super) fn malformed(ask: &Ask, refusal: Refusal) -> Failure {
    Failure::new(not_served(ask, refusal.reason), refusal.error, Lane::Nameless)
}

/// Serving panicked before anything could be said of the caller.
pub(super) fn fault(witness: Witness, error: ApiError) -> Failure {
    let action = witness.operation.as_deref().and_then(actions::asked_for);
    let action = action.map_or_else(|| "keyward:Unknown".to_owned(), Action::full_name);
    let mut draft = Draft::new(Kind::Unauthenticated, action, witness.door, witness.request);
    draft.source_ip = witness.peer;
    draft.parameters.extend(witness.item.map(|item| ("item".to_owned(), Value::from(item as u64))));
    draft.decision = Some(Decision::Error);
    draft.outcome = Some(Outcome::Failed);
    draft.reason = Some(error.code.as_str().to_owned());
    Failure::new(draft, error, Lane::Reserve)
}

/// The read at `locator` said `ok`, and nothing was released after all.
pub(super) fn integrity_outcome(read: &Draft, locator: &Locator, error: ApiError) -> Failure {
    let mut draft = Draft::new(Kind::Outcome, read.action.clone(), read.door.clone(), read.request.clone());
    draft.answers = Some(locator.index);
    draft.outcome = Some(Outcome::Failed);
    draft.principal.clone_from(&read.principal);
    draft.resource.clone_from(&read.resource);
    draft.reason = Some(error.code.as_str().to_owned());
    draft.parameters.insert("cause".to_owned(), Value::from("integrity"));
    // Two items of one call answer with the same request: the item keeps their event ids apart.
    if let Some(item) = read.parameters.get("item") {
        draft.parameters.insert("item".to_owned(), item.clone());
    }
    Failure::new(draft, error, Lane::Reserve)
}

/// What was only counted, once a second.
pub(super) fn summary(summary: &Summary, request: String) -> Own {
    let mut draft = Draft::new(Kind::Summary, "keyward:Summary", "internal", request);
    draft.decision = Some(Decision::Deny);
    draft.outcome = Some(Outcome::Denied);
    draft.principal = Some("service/gateway".to_owned());
    let (whom, reason) = match summary.by {
        By::Network => ("network", "unauthenticated"),
        By::Principal => ("principal", "rate_limited"),
    };
    draft.reason = Some(reason.to_owned());
    let row = |row: &Row| {
        Value::Object(Parameters::from([
            ("count".to_owned(), Value::from(row.count)),
            (whom.to_owned(), Value::from(row.whom.as_str())),
            ("reason".to_owned(), Value::from(row.reason)),
        ]))
    };
    let others = summary.others.values().fold(0, |sum: u64, count| sum.saturating_add(*count));
    let reasons = summary.others.iter().map(|(reason, count)| ((*reason).to_owned(), Value::from(*count)));
    draft.parameters = Parameters::from([
        ("count".to_owned(), Value::from(summary.count)),
        ("first".to_owned(), Value::from(summary.first_us)),
        ("last".to_owned(), Value::from(summary.last_us)),
        (
            "others".to_owned(),
            Value::Object(Parameters::from([
                ("count".to_owned(), Value::from(others)),
                ("reasons".to_owned(), Value::Object(reasons.collect())),
            ])),
        ),
        ("rows".to_owned(), Value::List(summary.rows.iter().map(row).collect())),
    ]);
    Own::nameless(draft)
}
