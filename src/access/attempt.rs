//! One attempt at a request: authenticate, decide on a snapshot, and prepare what is to be committed.

use super::call::{Call, Presented, Unrecorded, credential_error};
use super::gateway::Gateway;
use super::grant::{Denial, Done, Exported, Failure, Grant, Read};
use super::question::Asked;
use super::request::Request;
use super::{question, recording, secrets, tokens, trail};
use crate::actions::{self, Action, Service};
use crate::authn::{self, Authenticated};
use crate::authz::{Decision, Verdict};
use crate::error::{ApiError, Code};
use crate::secret::row::SecretRow;
use keyward_audit::disk::Level as DiskLevel;
use keyward_audit::record::Draft;
use keyward_audit::store::{Snapshot, StoreError};
use keyward_audit::{Changes, Lane, ReadSet};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// A call with what could be read of it without knowing the caller: its action and typed parameters.
pub(super) struct Ask {
    pub(super) call: Call,
    pub(super) wanted: Result<(&'static Action, Request), (Option<&'static Action>, ApiError)>,
}

/// What one attempt came to, ready to be committed.
pub(super) enum Attempt {
    Value(Grant<Read>, ReadSet),
    Done(Grant<Done>, Changes, ReadSet),
    Export(Grant<Exported>, ReadSet),
    Denied(Denial, ReadSet),
    Failed(Failure, ReadSet),
    Refused(Refusal),
    Unrecorded(Unrecorded),
}

/// A request whose caller is not known.
pub(super) struct Refusal {
    /// Why, for the record only.
    pub(super) reason: &'static str,
    /// What the token claimed, unverified, for the record only.
    pub(super) claimed: BTreeMap<String, String>,
    /// What the caller is told.
    pub(super) error: ApiError,
    /// Whether it is the credential that is wrong (401), and not the request as such.
    pub(super) is_credential: bool,
}

/// What carrying out an allowed request came to, before its record is made.
pub(super) enum Carried {
    /// A value to be opened once the read is recorded.
    Value(Box<Read>),
    /// An answer, with the changes that ride in the batch.
    Done(Map<String, Value>, Changes),
    /// An export.
    Export(Exported),
    /// Not done.
    Failed(ApiError),
}

impl Ask {
    pub(super) fn read(mut call: Call, gateway: &Gateway) -> Self {
        let wanted = match call.fault.take() {
            Some(fault) => Err((None, fault)),
            None => Self::parse(&call, gateway),
        };
        Self { call, wanted }
    }

    fn parse(
        call: &Call,
        gateway: &Gateway,
    ) -> Result<(&'static Action, Request), (Option<&'static Action>, ApiError)> {
        let unknown = || (None, ApiError::new(Code::InvalidAction, "there is no such action"));
        let name = call.operation.as_deref().ok_or_else(unknown)?;
        let action =
            actions::by_name(name).filter(|action| action.served != actions::Served::Internal).ok_or_else(unknown)?;
        let request = Request::parse(action.operation, &call.body, &gateway.secret_limits())
            .and_then(|request| question::check_subject(&request, gateway.place()).map(|()| request))
            .map_err(|error| (Some(action), error))?;
        Ok((action, request))
    }

    pub(super) fn peer(&self) -> Option<IpAddr> {
        self.call.peer
    }

    /// The action as records name it.
    pub(super) fn action_name(&self) -> String {
        match &self.wanted {
            Ok((action, _)) | Err((Some(action), _)) => action.full_name(),
            Err((None, _)) => "keyward:Unknown".to_owned(),
        }
    }

    /// Whether serving it reads more than a few rows, so that it must not hold up the connections of its thread.
    fn is_wide(&self) -> bool {
        matches!(&self.wanted, Ok((_, Request::ListSecrets(_) | Request::SearchRecords(_) | Request::ExportRecords)))
    }
}

/// Runs one attempt, wide reads off the thread that serves connections.
pub(super) async fn run(gateway: &Arc<Gateway>, ask: &Arc<Ask>) -> Attempt {
    if !ask.is_wide() {
        return attempt(gateway, ask);
    }
    let (gateway, ask) = (Arc::clone(gateway), Arc::clone(ask));
    let wide = tokio::task::spawn_blocking(move || attempt(&gateway, &ask)).await;
    wide.unwrap_or(Attempt::Unrecorded(Unrecorded::Store))
}

fn attempt(gateway: &Arc<Gateway>, ask: &Ask) -> Attempt {
    let caller = match authenticate(gateway, &ask.call.presented) {
        Ok(caller) => caller,
        Err(Ok(refusal)) => return Attempt::Refused(refusal.unless_malformed(ask)),
        Err(Err(cause)) => return Attempt::Unrecorded(cause),
    };
    match &ask.wanted {
        Err((_, error)) => {
            let failure = Failure::new(recording::not_decided(ask, &caller, error.code.as_str()), error.clone());
            Attempt::Failed(failure, ReadSet::default())
        }
        Ok((action, request)) => decide(gateway, ask, &caller, action, request),
    }
}

impl Refusal {
    /// A fault of the request's form is answered before its credential is looked at.
    fn unless_malformed(self, ask: &Ask) -> Self {
        match &ask.wanted {
            Err((None, error)) if ask.call.operation.is_none() || error.code != Code::InvalidAction => Self {
                reason: error.code.as_str(),
                claimed: BTreeMap::new(),
                error: error.clone(),
                is_credential: false,
            },
            _ => self,
        }
    }
}

fn authenticate(gateway: &Gateway, presented: &Presented) -> Result<Arc<Authenticated>, Result<Refusal, Unrecorded>> {
    let refusal =
        |reason, claimed| Refusal { reason, claimed, error: credential_error(presented), is_credential: true };
    let token = match presented {
        Presented::Bearer(token) => token,
        Presented::Nothing => return Err(Ok(refusal("no_credential", BTreeMap::new()))),
        Presented::Malformed => return Err(Ok(refusal("malformed", BTreeMap::new()))),
    };
    gateway.authenticate(token).map_err(|error| match error {
        authn::AuthenticateError::Refused(refused) => Ok(refusal(refused.cause.as_str(), refused.claimed)),
        authn::AuthenticateError::Unavailable(_) => Err(Unrecorded::Store),
    })
}

/// Decides on a snapshot. The log's size, the revision and the generations are read before it, so that a change
/// after them is a conflict at the commit and never goes unseen.
fn decide(
    gateway: &Arc<Gateway>,
    ask: &Ask,
    caller: &Authenticated,
    action: &'static Action,
    request: &Request,
) -> Attempt {
    let as_of = gateway.log().as_of();
    let live = gateway.policies().live();
    let mut asked = Asked::new(gateway, ask, caller, action, request);
    asked.reads.as_of = as_of;
    asked.reads.generations.extend(live.seen());
    asked.reads.generations.push((tokens::REVOCATIONS, caller.revocations_seen));
    let result = gateway.log().read(|snapshot| {
        asked.reads.rows.clear();
        let row = asked.secret_row(snapshot)?;
        let decision = asked.decide(&live.set, row.as_ref());
        prepare(gateway, &mut asked, snapshot, row, &decision)
    });
    result.unwrap_or(Attempt::Unrecorded(Unrecorded::Store))
}

/// Turns a decision into what is to be committed.
fn prepare(
    gateway: &Arc<Gateway>,
    asked: &mut Asked<'_>,
    snapshot: &dyn Snapshot,
    row: Option<SecretRow>,
    decision: &Decision,
) -> Result<Attempt, StoreError> {
    let mut draft = asked.draft(decision);
    if decision.outcome != Verdict::Allow {
        return Ok(denied(asked, draft, decision));
    }
    if asked.action.service == Service::Ssm && gateway.log().disk_level() >= DiskLevel::Hard {
        return Ok(Attempt::Unrecorded(Unrecorded::Disk));
    }
    let carried = carry_out(gateway, asked, snapshot, row, &mut draft)?;
    let reads = std::mem::take(&mut asked.reads);
    Ok(match carried {
        Carried::Value(read) => Attempt::Value(Grant::new(recording::ok(draft), *read), reads),
        Carried::Done(fields, changes) => Attempt::Done(Grant::new(recording::ok(draft), Done(fields)), changes, reads),
        Carried::Export(export) => Attempt::Export(Grant::new(recording::ok(draft), export), reads),
        Carried::Failed(error) => Attempt::Failed(recording::failed(draft, error), reads),
    })
}

fn denied(asked: &mut Asked<'_>, draft: Draft, decision: &Decision) -> Attempt {
    if let Verdict::Error(fault) = decision.outcome {
        tracing::error!(request = asked.ask.call.request, %fault, "a decision could not be reached; denied");
        metrics::counter!("keyward_policy_errors_total").increment(1);
    }
    let error = asked.denial_error();
    let denial = Denial::new(recording::denied(draft, decision), error, Lane::Reserve);
    Attempt::Denied(denial, std::mem::take(&mut asked.reads))
}

fn carry_out(
    gateway: &Arc<Gateway>,
    asked: &mut Asked<'_>,
    snapshot: &dyn Snapshot,
    row: Option<SecretRow>,
    draft: &mut Draft,
) -> Result<Carried, StoreError> {
    match asked.request {
        Request::CreateSecret(create) => secrets::create(gateway, asked, snapshot, create, draft),
        Request::PutSecretValue(put) => Ok(secrets::put(gateway, asked, row, put, draft)),
        Request::GetSecretValue(_, version) => secrets::get(gateway, snapshot, row, version.as_ref(), draft),
        Request::DescribeSecret(_) => Ok(secrets::describe(row)),
        Request::ListSecrets(list) => secrets::list(snapshot, list),
        Request::ListSecretVersionIds(_) => Ok(secrets::list_versions(row)),
        Request::SetCurrentVersion(_, version) => Ok(secrets::set_current(row, version, draft)),
        Request::EnableSecret(_) => Ok(secrets::enable(row, draft)),
        Request::DisableSecret(_) => Ok(secrets::disable(row, draft)),
        Request::SearchRecords(search) => trail::search(gateway, asked, search),
        Request::GetCheckpoint => Ok(trail::checkpoint(gateway)),
        Request::GetInclusionProof { index, size } => trail::inclusion_proof(gateway, *index, *size),
        Request::ExportRecords => trail::export(gateway),
        Request::RevokeToken(revoke) => tokens::revoke(gateway, asked, snapshot, revoke, draft),
    }
}
