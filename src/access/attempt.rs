//! One attempt at a request: authenticate, decide on a snapshot, and prepare what is to be committed.

use super::access_keys::Issued;
use super::call::{Call, Fault, Presented, Unrecorded, Witness, credential_error};
use super::gateway::Gateway;
use super::grant::{Denial, Done, Exported, Failure, Generated, Grant, Read};
use super::question::Asked;
use super::request::Request;
use super::sessions::Begun;
use super::shadow::Candidate;
use super::signed::Rejected;
use super::{
    access_keys, changes, issuers, keys, listing, pairs, recording, root_key, secrets, service, sessions, tokens, trail,
};
use crate::actions::{self, Action, Served, Service};
use crate::authn::{AuthenticateError, Authenticated};
use crate::authz::{Decision, Verdict};
use crate::error::{ApiError, Code};
use crate::secret::Plaintext;
use crate::secret::row::SecretRow;
use keyward_audit::disk::Level as DiskLevel;
use keyward_audit::record::Draft;
use keyward_audit::store::{Snapshot, StoreError};
use keyward_audit::{Changes, Lane, ReadSet};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A call with what could be read of it without knowing the caller: its action and typed parameters.
pub(super) struct Ask {
    pub(super) call: Call,
    /// The action asked for, if the catalogue has it and a door may ask for it.
    pub(super) action: Option<&'static Action>,
    /// What is answered before the credential is looked at.
    outer: Option<ApiError>,
    /// Its place in the call, if it is one of several.
    pub(super) item: Option<usize>,
    /// The parameters, or what is wrong: told to known callers only.
    request: Result<Request, ApiError>,
}

/// What one attempt came to, ready to be committed.
pub(super) enum Attempt {
    Value(Grant<Read>, ReadSet),
    Done(Grant<Done>, Changes, ReadSet),
    Issued(Grant<Issued>, Changes, ReadSet),
    Begun(Grant<Begun>, Changes, ReadSet),
    Generated(Grant<Generated>, ReadSet),
    /// The caller is known; what it asks for is several requests.
    Items(Vec<Ask>),
    Export(Grant<Exported>, ReadSet),
    Denied(Denial, ReadSet),
    Failed(Failure, ReadSet),
    Refused(Refusal),
    Unrecorded(Unrecorded),
    Panicked,
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
    Value(Read),
    /// An answer, with the changes that ride in the batch.
    Done(Map<String, Value>, Changes),
    /// The same, in place of a secret that is gone, whose purge goes before it.
    Anew(Box<Draft>, Map<String, Value>, Changes),
    /// An access key, with the changes that ride in the batch.
    Issued(Issued, Changes),
    /// A session, with its policy's text that rides in the batch.
    Begun(Begun, Changes),
    /// A password.
    Generated(Plaintext),
    /// An export.
    Export(Exported),
    /// Not done.
    Failed(ApiError),
}

impl Ask {
    pub(super) fn read(mut call: Call, gateway: &Gateway) -> Self {
        let (outer, inner) = match call.fault.take() {
            Some(Fault::Outer(error)) => (Some(error), None),
            Some(Fault::Inner(error)) => (None, Some(error)),
            None => (None, None),
        };
        let bundle = call.operation.as_deref().and_then(actions::bundle);
        let action = call.operation.as_deref().and_then(actions::asked_for);
        let action = action.filter(|action| action.served != Served::Internal);
        let request = match (inner, &call.body) {
            (Some(error), _) => Err(error),
            // Told to nobody, unless the token became good since the door looked.
            (None, None) => Err(ApiError::new(Code::ServiceUnavailable, "the token was not accepted yet; try again")),
            (None, Some(body)) => match (bundle, action) {
                (Some(bundle), _) => Request::parse_bundle(bundle, body),
                (None, None) => Err(ApiError::new(Code::InvalidAction, "there is no such action")),
                (None, Some(action)) => Request::parse(action.operation, body, &gateway.rules(call.dialect)),
            },
        };
        Self { call, action, outer, item: None, request }
    }

    /// The request at one place of a call of several, as a request of its own.
    fn item(&self, place: usize, request: Request) -> Self {
        let call = self.call.of_item();
        Self { call, action: self.action, outer: None, item: Some(place), request: Ok(request) }
    }

    /// See [`Witness`].
    pub(super) fn witness(&self) -> Witness {
        Witness { item: self.item, ..self.call.witness() }
    }

    /// The action as records name it.
    pub(super) fn action_name(&self) -> String {
        self.action.map_or_else(|| "keyward:Unknown".to_owned(), Action::full_name)
    }

    /// What is decided, if it could be read.
    pub(super) fn asked_for(&self) -> Option<(&'static Action, &Request)> {
        self.action.zip(self.request.as_ref().ok())
    }

    /// Which lane its records take: administration has the reserve, which readers of secrets cannot fill.
    pub(super) fn lane(&self) -> Lane {
        match self.action {
            Some(action) if action.service != Service::Ssm => Lane::Reserve,
            _ => Lane::Caller,
        }
    }

    /// Whether it would make a secret.
    pub(super) fn is_creation(&self) -> bool {
        matches!(self.request, Ok(Request::CreateSecret(_) | Request::CreateSshKeyPair(_)))
    }

    /// Whether it would make a key pair.
    pub(super) fn makes_pair(&self) -> bool {
        matches!(self.request, Ok(Request::CreateSshKeyPair(_)))
    }

    /// The action that it counts as where the account's rates are by action; none of a call of several items.
    pub(super) fn metered(&self) -> Option<&'static Action> {
        self.action.filter(|_| !matches!(self.request, Ok(Request::Reads(_))))
    }

    /// Whether serving it reads more than a few rows, computes for long or waits for others, so that it must not hold up the connections
    /// of its thread.
    fn is_wide(&self) -> bool {
        matches!(
            &self.request,
            Ok(Request::ListSecrets(_)
                | Request::Service(_)
                | Request::CreateSshKeyPair(_)
                | Request::RotateRootKey
                | Request::Key(_)
                | Request::SearchRecords(_)
                | Request::Events(_)
                | Request::GetInclusionProof { .. }
                | Request::ExportRecords
                | Request::ReplayPolicies(_)
                | Request::ListShadowDecisions(_)
                | Request::SuggestPolicies(_)
                | Request::Policy(_)
                | Request::CreateBackup)
        )
    }
}

/// What was remembered of a secret is forgotten: it has changed since, or does not open.
pub(super) fn forget(gateway: &Gateway, ask: &Ask) {
    if let Ok(Request::GetSecretValue(name, _)) = &ask.request {
        gateway.servables().forget(name);
    }
}

/// Runs one attempt, wide ones off the thread that serves connections; a candidate decides in the shadow.
pub(super) async fn run(gateway: &Arc<Gateway>, ask: &Arc<Ask>, candidate: Option<Arc<Candidate>>) -> Attempt {
    if !ask.is_wide() {
        return attempt(gateway, ask, candidate);
    }
    let (gateway, ask) = (Arc::clone(gateway), Arc::clone(ask));
    let wide = tokio::task::spawn_blocking(move || attempt(&gateway, &ask, candidate)).await;
    wide.unwrap_or(Attempt::Panicked)
}

fn attempt(gateway: &Arc<Gateway>, ask: &Ask, candidate: Option<Arc<Candidate>>) -> Attempt {
    let caller = match authenticate(gateway, &ask.call) {
        Ok(caller) => caller,
        Err(refusal) => return Attempt::Refused(ask.outer.as_ref().map_or(refusal, Refusal::of_request)),
    };
    match (&ask.outer, &ask.request, ask.action) {
        (None, Ok(Request::Reads(items)), _) => {
            let items = items.iter().cloned().enumerate();
            let reads = items.map(|(place, (name, version))| ask.item(place, Request::GetSecretValue(name, version)));
            Attempt::Items(reads.collect())
        }
        (None, Ok(request), Some(action)) => decide(gateway, ask, &caller, (action, request), candidate),
        (Some(error), ..) | (None, Err(error), _) => {
            let draft = recording::not_decided(ask, &caller, error.code.as_str());
            Attempt::Failed(Failure::new(draft, error.clone(), ask.lane()), ReadSet::default())
        }
        (None, Ok(_), None) => Attempt::Panicked,
    }
}

impl Refusal {
    fn of_signature(rejected: &Rejected) -> Self {
        let Rejected { reason, error, is_credential, .. } = rejected;
        Self { reason, claimed: rejected.claimed(), error: error.clone(), is_credential: *is_credential }
    }

    fn of_request(error: &ApiError) -> Self {
        let reason = error.code.as_str();
        Self { reason, claimed: BTreeMap::new(), error: error.clone(), is_credential: false }
    }
}

/// Whether the caller is known.
pub(super) fn is_known(gateway: &Gateway, call: &Call) -> bool {
    authenticate(gateway, call).is_ok()
}

fn authenticate(gateway: &Gateway, call: &Call) -> Result<Arc<Authenticated>, Refusal> {
    authenticate_as_of(gateway, call, gateway.now_us() / 1_000_000)
}

/// Whom a call speaks for by what is known now, as if its credential had been shown at `now_s`.
pub(super) fn authenticate_as_of(gateway: &Gateway, call: &Call, now_s: u64) -> Result<Arc<Authenticated>, Refusal> {
    if let Some(known) = call.known.as_ref().filter(|known| gateway.still_knows(known, now_s)) {
        return Ok(Arc::clone(known));
    }
    let refusal = |reason, claimed| {
        let error = credential_error(&call.presented, call.dialect);
        Refusal { reason, claimed, error, is_credential: true }
    };
    let token = match &call.presented {
        Presented::Bearer(token) | Presented::WebIdentity(token) => token,
        Presented::Nothing => return Err(refusal("no_credential", BTreeMap::new())),
        // One that was not looked at, since the call is wrong as such.
        Presented::Malformed | Presented::Signed(_) | Presented::InBody => {
            return Err(refusal("malformed", BTreeMap::new()));
        }
        Presented::Checked(checked) => {
            return gateway.holder_again(checked, now_s).map_err(|rejected| Refusal::of_signature(&rejected));
        }
        Presented::Rejected(rejected) => return Err(Refusal::of_signature(rejected)),
    };
    gateway.authenticate_as_of(token, now_s).map_err(|error| match error {
        AuthenticateError::Refused(refused) => refusal(refused.cause.as_str(), refused.claimed),
        AuthenticateError::Unavailable(cause) => {
            tracing::error!(%cause, "whether a token is revoked cannot be known; refused");
            metrics::counter!("keyward_revocations_unreadable_total").increment(1);
            let error = ApiError::new(Code::ServiceUnavailable, "tokens cannot be checked now; try again");
            Refusal { reason: "revocations_unreadable", claimed: BTreeMap::new(), error, is_credential: false }
        }
    })
}

/// Decides on a snapshot. The log's size, the revision and the generations are read before it, so that a change
/// after them is a conflict at the commit and never goes unseen.
fn decide(
    gateway: &Arc<Gateway>,
    ask: &Ask,
    caller: &Authenticated,
    (action, request): (&'static Action, &Request),
    candidate: Option<Arc<Candidate>>,
) -> Attempt {
    let as_of = gateway.log().as_of();
    let live = gateway.policies().live();
    let mut asked = Asked::new(gateway, ask, caller, (action, request), Arc::clone(&live), candidate);
    match gateway.session_policy(caller) {
        Ok(policy) => asked.session_policy = policy,
        Err(error) => return unreadable(&asked, &error),
    }
    asked.reads.as_of = as_of;
    asked.reads.generations.extend(live.seen());
    asked.reads.generations.push((tokens::REVOCATIONS, caller.revocations_seen));
    asked.reads.generations.push((issuers::ISSUERS, caller.issuers_seen));
    if let Some(servable) = asked.remembered(gateway) {
        let decision = asked.decide(&live.set, Some(&servable.row));
        return match admit(gateway, &mut asked, &decision) {
            Ok(mut draft) => {
                let carried = secrets::serve(gateway, &mut asked, servable, &mut draft);
                finish(&mut asked, carried, draft)
            }
            Err(refused) => *refused,
        };
    }
    let attempt = gateway.log().read(|snapshot| {
        asked.reads.rows.clear();
        let row = asked.secret_row(snapshot)?;
        let decision = asked.decide(&live.set, row.as_ref());
        match admit(gateway, &mut asked, &decision) {
            Ok(draft) => prepare(gateway, &mut asked, snapshot, row, draft),
            Err(refused) => Ok(Prepared::Attempt(refused)),
        }
    });
    // The trail is read by the log itself, which must not be called from within a snapshot of it.
    let attempt = attempt.and_then(|prepared| match prepared {
        Prepared::Attempt(attempt) => Ok(*attempt),
        Prepared::Trail(mut draft) => {
            let carried = trail::carry_out(gateway, &asked, &mut draft)?;
            Ok(finish(&mut asked, carried, *draft))
        }
    });
    attempt.unwrap_or_else(|error| unreadable(&asked, &error))
}

/// What a decision came to: all that is to be committed, or an allowed request that reads the trail.
enum Prepared {
    Attempt(Box<Attempt>),
    Trail(Box<Draft>),
}

/// The store could not be read: closed for a moment, or what was read is damaged, which is told and recorded. Nothing was
/// decided on it.
fn unreadable(asked: &Asked<'_>, error: &StoreError) -> Attempt {
    let (ask, caller) = (asked.ask, asked.caller);
    if matches!(error, StoreError::Closed) {
        return Attempt::Unrecorded(Unrecorded::Store);
    }
    tracing::error!(%error, request = ask.call.request, "a request could not be served from the store");
    metrics::counter!("keyward_store_errors_total").increment(1);
    if matches!(error, StoreError::Damaged(_)) {
        metrics::counter!("keyward_integrity_failures_total").increment(1);
    }
    let error = ApiError::new(Code::InternalError, "what the request is about cannot be read");
    let mut draft = recording::not_decided(ask, caller, error.code.as_str());
    draft.resource = asked.undecided_resource();
    Attempt::Failed(Failure::new(draft, error, ask.lane()), ReadSet::default())
}

/// The record of what policy allows and the disk has room for; else what the request comes to.
fn admit(gateway: &Gateway, asked: &mut Asked<'_>, decision: &Decision) -> Result<Draft, Box<Attempt>> {
    let draft = asked.draft(decision);
    if decision.outcome != Verdict::Allow {
        return Err(Box::new(denied(asked, draft, decision)));
    }
    if asked.action.service == Service::Ssm && gateway.log().disk_level() >= DiskLevel::Hard {
        return Err(Box::new(Attempt::Unrecorded(Unrecorded::Disk)));
    }
    Ok(draft)
}

/// Carries out what is allowed, as far as that is done before it is recorded.
fn prepare(
    gateway: &Arc<Gateway>,
    asked: &mut Asked<'_>,
    snapshot: &dyn Snapshot,
    row: Option<SecretRow>,
    mut draft: Draft,
) -> Result<Prepared, StoreError> {
    Ok(match carry_out(gateway, asked, snapshot, row, &mut draft)? {
        Some(carried) => Prepared::Attempt(Box::new(finish(asked, carried, draft))),
        None => Prepared::Trail(Box::new(draft)),
    })
}

/// What was carried out, with its record.
fn finish(asked: &mut Asked<'_>, carried: Carried, draft: Draft) -> Attempt {
    let reads = std::mem::take(&mut asked.reads);
    let lane = asked.ask.lane();
    match carried {
        Carried::Value(read) => Attempt::Value(Grant::new(recording::ok(draft), read, lane), reads),
        Carried::Done(fields, changes) => {
            Attempt::Done(Grant::new(recording::ok(draft), Done(fields), lane), changes, reads)
        }
        Carried::Anew(purge, fields, changes) => {
            let grant = Grant::new(recording::ok(draft), Done(fields), lane).behind(purge);
            Attempt::Done(grant, changes, reads)
        }
        Carried::Issued(issued, changes) => {
            Attempt::Issued(Grant::new(recording::ok(draft), issued, lane), changes, reads)
        }
        Carried::Begun(begun, changes) => Attempt::Begun(Grant::new(recording::ok(draft), begun, lane), changes, reads),
        Carried::Generated(password) => {
            Attempt::Generated(Grant::new(recording::ok(draft), Generated(password), lane), reads)
        }
        Carried::Export(export) => Attempt::Export(Grant::new(recording::ok(draft), export, lane), reads),
        Carried::Failed(error) => Attempt::Failed(recording::failed(draft, error, lane), reads),
    }
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

/// Carries out what needs the snapshot; `None` for requests that read the trail.
fn carry_out(
    gateway: &Gateway,
    asked: &mut Asked<'_>,
    snapshot: &dyn Snapshot,
    row: Option<SecretRow>,
    draft: &mut Draft,
) -> Result<Option<Carried>, StoreError> {
    let carried = match asked.request {
        Request::CreateSecret(create) => secrets::create(gateway, asked, snapshot, create, draft)?,
        Request::CreateSshKeyPair(create) => pairs::create(gateway, asked, snapshot, row, create, draft)?,
        Request::GetSshKeyPair(pair) => pairs::get(gateway, asked, snapshot, row, pair, draft)?,
        Request::PutSecretValue(put) => changes::put(gateway, asked, row, put, draft),
        Request::GetSecretValue(_, version) => secrets::get(gateway, asked, snapshot, row, version.as_ref(), draft)?,
        Request::DescribeSecret(_) => secrets::describe(gateway, asked, row),
        Request::ListSecrets(list) => listing::list(gateway, asked, snapshot, list, draft)?,
        Request::ListSecretVersionIds(_) => secrets::list_versions(row),
        Request::SetCurrentVersion(_, version) => changes::set_current(gateway, row, version, draft),
        Request::EnableSecret(_) => changes::enable(gateway, row, draft),
        Request::DisableSecret(_) => changes::disable(gateway, row, draft),
        Request::UpdateSecret(update) => changes::update(gateway, asked, row, update, draft),
        Request::UpdateDescription(_, text) => changes::set_description(gateway, row, text, draft),
        Request::DeleteSecret(delete) => changes::delete(gateway, asked, snapshot, row, delete, draft)?,
        Request::RestoreSecret(_) => changes::restore(gateway, row, draft),
        Request::DeleteSecretVersion(_, version) => changes::delete_version(gateway, row, version, draft),
        Request::TagResource(_, tags) => changes::tag(gateway, row, tags, draft),
        Request::UntagResource(_, tags) => changes::untag(gateway, row, tags, draft),
        Request::RotateRootKey => root_key::rotate(gateway, asked, snapshot, draft)?,
        Request::Key(request) => keys::carry_out(gateway, asked, snapshot, request, draft)?,
        Request::AccessKey(request) => access_keys::carry_out(gateway, asked, snapshot, request, draft)?,
        Request::Session(request) => sessions::carry_out(gateway, asked, request, draft),
        Request::RevokeToken(revoke) => tokens::revoke(asked, snapshot, revoke, draft)?,
        Request::GetRandomPassword(rules) => secrets::password(gateway, rules),
        Request::Service(of) => service::carry_out(gateway, snapshot, *of)?,
        Request::Product(_) => service::without_products(),
        // Divided before anything is decided.
        Request::Reads(_) => Carried::Failed(secrets::internal("a call of several items was taken for one")),
        Request::SearchRecords(_)
        | Request::Events(_)
        | Request::GetCheckpoint
        | Request::GetInclusionProof { .. }
        | Request::ExportRecords
        | Request::ReplayPolicies(_)
        | Request::ListShadowDecisions(_)
        | Request::SuggestPolicies(_)
        | Request::Policy(_)
        | Request::CreateBackup => return Ok(None),
    };
    Ok(Some(carried))
}
