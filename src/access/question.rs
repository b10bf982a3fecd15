//! One request as policy is asked about it, and the part of its record that says so.
//!
//! INVARIANT I4: whatever enters the decision is put into the draft from the same values, in one place.

use super::attempt::Ask;
use super::gateway::Gateway;
use super::keys::KEYS;
use super::policies::Live;
use super::recording;
use super::request::{PairName, Request};
use super::shadow::Candidate;
use super::steady::Steadiness;
use crate::actions::{Action, ConditionKey, Level};
use crate::authn::Authenticated;
use crate::authz::{Caller, Context, CredentialForm, Decision, PolicySet, Question, SessionPolicy, Target};
use crate::error::{ApiError, Code};
use crate::keys::{KeyId, Keyring, RowKey};
use crate::principal::{Kind, Principal};
use crate::resource::{CreatorNumber, Place, SecretName};
use crate::secret::row::SecretRow;
use crate::secret::{Servable, SshKeyId, Tags, address, lookup};
use keyward_audit::ReadSet;
use keyward_audit::record::{self, Draft};
use keyward_audit::store::{Snapshot, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A request of a known caller, being decided.
pub(super) struct Asked<'a> {
    pub(super) ask: &'a Ask,
    pub(super) caller: &'a Authenticated,
    pub(super) action: &'static Action,
    pub(super) request: &'a Request,
    /// The policies that it is decided by.
    pub(super) live: Arc<Live>,
    /// The set that decides in the shadow, if there is one that is another.
    candidate: Option<Arc<Candidate>>,
    /// What it is decided on, collected as it is read.
    pub(super) reads: ReadSet,
    /// The secret that it is about, if any.
    name: Option<SecretName>,
    creator: CreatorNumber,
    /// Whose access keys the request is about, if it is about any.
    target_uin: Option<CreatorNumber>,
    place: &'a Place,
    keyring: Arc<Keyring>,
    row_key: &'a RowKey,
    pub(super) now_s: u64,
    /// What is known of the clock that deletions are due by.
    pub(super) clock: Steadiness,
    target: Option<(Option<CreatorNumber>, SecretName)>,
    /// The policy of the caller's session, if it has one.
    pub(super) session_policy: Option<Arc<SessionPolicy>>,
    context: Context,
    groups: BTreeSet<String>,
    roles: BTreeSet<String>,
    revision: String,
    /// What the set in the shadow decided, if that was otherwise.
    shadow: Option<record::Shadow>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(
        gateway: &'a Gateway,
        ask: &'a Ask,
        caller: &'a Authenticated,
        (action, request): (&'static Action, &'a Request),
        live: Arc<Live>,
        candidate: Option<Arc<Candidate>>,
    ) -> Self {
        Self {
            candidate: candidate.filter(|candidate| candidate.set.revision() != live.set.revision()),
            live,
            ask,
            caller,
            action,
            request,
            reads: ReadSet::default(),
            name: subject(request).cloned(),
            creator: gateway.creator_number(&caller.principal),
            target_uin: match request {
                Request::AccessKey(of) => Some(gateway.creator_number(of.holder.as_ref().unwrap_or(&caller.principal))),
                _ => None,
            },
            place: gateway.place(),
            keyring: gateway.engine().keyring(),
            row_key: gateway.engine().row_key(),
            now_s: gateway.now_us() / 1_000_000,
            clock: gateway.steadiness(),
            target: None,
            session_policy: None,
            context: Context::default(),
            groups: BTreeSet::new(),
            roles: BTreeSet::new(),
            revision: String::new(),
            shadow: None,
        }
    }

    /// The caller's creator number.
    pub(super) fn creator(&self) -> CreatorNumber {
        self.creator
    }

    /// The set that decides in the shadow.
    pub(super) fn candidate(&self) -> Option<&Candidate> {
        self.candidate.as_deref()
    }

    /// Seconds since 1970, read once.
    pub(super) fn now_s(&self) -> u64 {
        self.now_s
    }

    /// The keys that are live, which what is decided from now on rests on.
    pub(super) fn keys(&mut self) -> Arc<Keyring> {
        self.reads.generations.push((KEYS, self.keyring.as_of()));
        Arc::clone(&self.keyring)
    }

    /// The key that the request is about, if its action is on keys.
    fn key(&self) -> Option<&'a KeyId> {
        match self.request {
            Request::Key(request) if self.action.level == Level::Key => request.key(),
            _ => None,
        }
    }

    /// The role that is asked for.
    fn role(&self) -> Option<&'a Principal> {
        match self.request {
            Request::Session(request) => request.role(),
            _ => None,
        }
    }

    /// The six segments of the secret that was decided on, creator `*` if it does not exist; or of the key, or the role.
    pub(super) fn resource(&self) -> Option<String> {
        let key = || self.key().map(|id| self.place.key(id.as_str()));
        let role = || self.role().map(|role| self.place.role(role));
        self.target.as_ref().map(|(creator, name)| self.place.secret(*creator, name)).or_else(key).or_else(role)
    }

    /// The secret whose value is asked for, if it was read before, with the log size as of which it was. One whose key was
    /// retired since then has been wrapped anew: it is read again.
    pub(super) fn remembered(&mut self, gateway: &Gateway) -> Option<Arc<Servable>> {
        let Request::GetSecretValue(name, version) = self.request else { return None };
        let servable = gateway.servables().find(name, version.as_ref())?;
        if !self.keyring.holds(servable.sealed.key(), servable.sealed.generation()) {
            gateway.servables().forget(name);
            return None;
        }
        self.reads.as_of = servable.as_of;
        self.reads.rows.push(address::secret(name));
        Some(servable)
    }

    /// Reads the row of the secret that the request names, and remembers that it did.
    pub(super) fn secret_row(&mut self, snapshot: &dyn Snapshot) -> Result<Option<SecretRow>, StoreError> {
        if let Request::GetSshKeyPair(PairName { name: None, id: Some(id) }) = self.request {
            self.resolve(snapshot, id)?;
        }
        let Some(name) = &self.name else { return Ok(None) };
        self.reads.rows.push(address::secret(name));
        let row = lookup::secret(snapshot, self.row_key, name)?;
        let row = row.filter(|row| !self.clock.is_gone(row, self.now_s, &mut self.reads));
        // A search of another creator's secret of that name is not about this one: what it is about does not exist.
        let other = |row: &SecretRow| match self.request {
            Request::SearchRecords(search) => search.names_another(row.creator),
            _ => false,
        };
        Ok(row.filter(|row| !other(row)))
    }

    /// Finds the secret that an SSH key pair is. If there is none, the request is decided on a missing secret of the id's own
    /// name.
    fn resolve(&mut self, snapshot: &dyn Snapshot, id: &SshKeyId) -> Result<(), StoreError> {
        self.reads.rows.push(address::ssh_key(id));
        let name = lookup::ssh_key(snapshot, id)?;
        self.name = name.or_else(|| SecretName::parse(id.as_str()).ok());
        Ok(())
    }

    /// The six segments of the secret that the request names, while nothing can be said of it: creator `*`.
    pub(super) fn undecided_resource(&self) -> Option<String> {
        self.name.as_ref().map(|name| self.place.secret(None, name)).or_else(|| self.resource())
    }

    /// Asks policy.
    pub(super) fn decide(&mut self, policies: &PolicySet, row: Option<&SecretRow>) -> Decision {
        self.target = self.name.clone().map(|name| match self.action.level {
            Level::Creation => (Some(self.creator), name),
            _ => (row.map(|row| row.creator), name),
        });
        self.context = self.gather(row);
        let question = Question {
            caller: Caller {
                principal: &self.caller.principal,
                groups: &self.caller.groups,
                roles: &self.caller.roles,
                restricted: &[],
                creator: self.creator,
                form: match (&self.caller.credential.access_key, &self.caller.session) {
                    (Some(_), Some(session)) if self.caller.principal.kind() == Kind::Role => {
                        CredentialForm::Session { assumed_issuer: session.assumed_by.issuer() }
                    }
                    (Some(_), _) => CredentialForm::AccessKey,
                    (None, _) => CredentialForm::Token,
                },
            },
            action: self.action,
            target: match (&self.target, self.key(), self.role()) {
                (Some((creator, name)), ..) => Target::Secret { creator: *creator, name },
                (None, Some(id), _) => Target::Key { id: id.as_str() },
                (None, None, Some(role)) => Target::Role { role },
                (None, None, None) => Target::Operation,
            },
            context: &self.context,
            session_policy: self.session_policy.as_deref(),
        };
        let reached = policies.reach(&question.caller);
        let decision = policies.decide_for(&question, &reached);
        let shadow = self.candidate().and_then(|candidate| candidate.differs(&question, &decision));
        let (groups, roles) = policies.local_groups_and_roles(&question.caller, &reached);
        let texts = |proved: &[Principal], local: &[Principal]| -> BTreeSet<String> {
            proved.iter().chain(local).map(|principal| principal.as_str().to_owned()).collect()
        };
        self.groups = texts(&self.caller.groups, &groups);
        self.roles = texts(&self.caller.roles, &roles);
        policies.revision().clone_into(&mut self.revision);
        self.shadow = shadow;
        decision
    }

    /// Every condition key that the request has, with its values.
    fn gather(&self, row: Option<&SecretRow>) -> Context {
        let mut values = BTreeMap::new();
        for key in self.action.keys() {
            let texts = self.values(key, row);
            if !texts.is_empty() {
                values.insert(key, texts);
            }
        }
        Context { values }
    }

    fn values(&self, key: ConditionKey, row: Option<&SecretRow>) -> Vec<String> {
        let call = &self.ask.call;
        match key {
            ConditionKey::CurrentTime => vec![recording::time_text(self.now_s)],
            ConditionKey::Ip => call.peer.map(|peer| peer.to_string()).into_iter().collect(),
            ConditionKey::Uin => vec![self.creator.to_string()],
            ConditionKey::OwnerUin => vec![self.place.account.clone()],
            ConditionKey::Door => vec![call.door.to_owned()],
            ConditionKey::SecureTransport => vec![call.secure_transport.to_string()],
            ConditionKey::CreateUin => row.map(|row| row.creator.to_string()).into_iter().collect(),
            ConditionKey::ResourceTag => row.map(|row| row.tags.condition_values()).unwrap_or_default(),
            ConditionKey::RequestTag => match self.request {
                Request::CreateSecret(create) => create.tags.condition_values(),
                Request::CreateSshKeyPair(create) => create.tags.condition_values(),
                Request::Product(of) => of.tags.as_ref().map(Tags::condition_values).unwrap_or_default(),
                Request::TagResource(_, tags) | Request::UntagResource(_, tags) => tags.condition_values(),
                _ => Vec::new(),
            },
            ConditionKey::OidcIssuer => one_of(&self.caller.issuer),
            ConditionKey::OidcSubject => one_of(self.caller.principal.name()),
            ConditionKey::OidcAudience => self.caller.audience.clone(),
            ConditionKey::TargetUin => self.target_uin.iter().map(CreatorNumber::to_string).collect(),
            ConditionKey::RecoveryWindow => match self.request {
                Request::DeleteSecret(delete) => vec![delete.window_days.to_string()],
                _ => Vec::new(),
            },
        }
    }

    /// The record of this request as decided, without what came of it. It takes along what was gathered for policy.
    pub(super) fn draft(&mut self, decision: &Decision) -> Draft {
        let mut draft = recording::known(self.ask, self.caller);
        draft.resource = self.resource();
        let gathered = std::mem::take(&mut self.context);
        let (groups, roles) = (std::mem::take(&mut self.groups), std::mem::take(&mut self.roles));
        draft.context = Some(recording::context(gathered, groups, roles, self.is_unknown()));
        draft.policy = Some(recording::policy(decision, std::mem::take(&mut self.revision), self.shadow.take()));
        draft
    }

    fn is_unknown(&self) -> bool {
        matches!(self.target, Some((None, _)))
    }

    /// INVARIANT I5, I6: the same text whether or not the secret exists.
    pub(super) fn denial_error(&self) -> ApiError {
        // Of a pair asked for by its id the name of the secret is not told.
        let by_id = match self.request {
            Request::GetSshKeyPair(PairName { name: None, id }) => {
                id.as_ref().and_then(|id| SecretName::parse(id.as_str()).ok())
            }
            _ => None,
        };
        let resource = match (&by_id, &self.target) {
            (Some(name), _) | (None, Some((_, name))) => self.place.secret(None, name),
            (None, None) => self.resource().unwrap_or_else(|| "*".to_owned()),
        };
        let message = format!(
            "[request id:{}]you are not authorized to perform operation ({}) resource ({resource}) has no permission",
            self.ask.call.request,
            self.action.full_name(),
        );
        ApiError::new(Code::UnauthorizedOperation, message)
    }
}

/// A value, unless there is none.
fn one_of(text: &str) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { vec![text.to_owned()] }
}

/// The secret that a request is about.
fn subject(request: &Request) -> Option<&SecretName> {
    match request {
        Request::CreateSecret(create) => Some(&create.name),
        Request::CreateSshKeyPair(create) => Some(&create.name),
        Request::GetSshKeyPair(pair) => pair.name.as_ref(),
        Request::Product(of) => of.name.as_ref(),
        Request::PutSecretValue(put) => Some(&put.name),
        Request::UpdateSecret(update) => Some(&update.name),
        Request::DeleteSecret(delete) => Some(&delete.name),
        Request::GetSecretValue(name, _)
        | Request::DescribeSecret(name)
        | Request::ListSecretVersionIds(name)
        | Request::SetCurrentVersion(name, _)
        | Request::EnableSecret(name)
        | Request::UpdateDescription(name, _)
        | Request::RestoreSecret(name)
        | Request::DeleteSecretVersion(name, _)
        | Request::TagResource(name, _)
        | Request::UntagResource(name, _)
        | Request::DisableSecret(name) => Some(name),
        Request::SearchRecords(search) => search.resource.as_ref().map(|searched| &searched.name),
        Request::ListSecrets(_)
        | Request::GetRandomPassword(_)
        | Request::Reads(_)
        | Request::Service(_)
        | Request::Key(_)
        | Request::Events(_)
        | Request::GetCheckpoint
        | Request::GetInclusionProof { .. }
        | Request::ExportRecords
        | Request::ReplayPolicies(_)
        | Request::ListShadowDecisions(_)
        | Request::SuggestPolicies(_)
        | Request::Policy(_)
        | Request::RotateRootKey
        | Request::CreateBackup
        | Request::AccessKey(_)
        | Request::Session(_)
        | Request::RevokeToken(_) => None,
    }
}
