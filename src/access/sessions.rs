//! The actions on sessions: temporary keys of a role, or of a user that narrows itself; and who the caller is.
//!
//! That the role trusts the caller was decided with the request. A session is in no row: its token holds it, sealed
//! ([`Session`]). The text of its policy is stored, by digest, in the batch of the record that begins it (I2), so that what it decides can be
//! decided again as long as any record names it (I4).
//!
//! INVARIANT I5: a session sheds nothing. The groups and roles of whoever begins it stay with it and restrict; a session begins
//! no other and makes no key, so that neither its end nor its policy is left behind. One whose policy cannot be read decides nothing.
//! INVARIANT I13: it ends with its time, with a revocation of whoever began it, and with the credential that it was begun by.

use super::attempt::Carried;
use super::gateway::Gateway;
use super::question::Asked;
use super::replay::text_key;
use super::request::{Begin, SessionRequest};
use super::secrets::{fields_of, internal};
use crate::authn::{Authenticated, Parent};
use crate::authz::{Code as Finding, SessionPolicy};
use crate::error::{ApiError, Code};
use crate::keys::{AccessKeyId, ParentCredential, Session, TemporaryKey};
use crate::principal::{Kind, Principal};
use keyward_audit::Changes;
use keyward_audit::record::{Draft, Value as RecordValue};
use keyward_audit::store::{Family, Key, StoreError, Write};
use serde_json::json;
use std::sync::Arc;

/// How long a session of a role lasts if nobody says, in seconds.
const ROLE_S: u64 = 7_200;
/// The same of a federation token, and the longest that one may last.
const FEDERATION_S: u64 = 1_800;
const FEDERATION_S_MAX: u64 = 129_600;
/// Shortest session, in seconds.
const S_MIN: u64 = 60;

/// A session that was begun, for the one answer that shows its key.
pub(super) struct Begun {
    pub(super) key: TemporaryKey,
    pub(super) expires_s: u64,
}

/// Carries out an action on sessions.
pub(super) fn carry_out(gateway: &Gateway, asked: &Asked<'_>, request: &SessionRequest, draft: &mut Draft) -> Carried {
    let carried = match request {
        SessionRequest::Assume(role, provider, begin) => {
            assume(gateway, asked, role, provider.as_deref(), begin, draft)
        }
        SessionRequest::Federate(begin) => federate(gateway, asked, begin, draft),
        SessionRequest::Identity => Ok(identity(gateway, asked)),
    };
    carried.unwrap_or_else(Carried::Failed)
}

/// AssumeRole, AssumeRoleWithWebIdentity
fn assume(
    gateway: &Gateway,
    asked: &Asked<'_>,
    role: &Principal,
    provider: Option<&str>,
    begin: &Begin,
    draft: &mut Draft,
) -> Result<Carried, ApiError> {
    if provider.is_some_and(|provider| provider != asked.caller.issuer_name) {
        return Err(ApiError::new(Code::WebIdentityTokenError, "the token is not accepted"));
    }
    let longest_s = asked.live.set.longest_session_s(role).unwrap_or_default();
    let duration_s = begin.duration_s.unwrap_or(ROLE_S.min(longest_s));
    check_duration(duration_s, longest_s)?;
    begin_session(gateway, asked, role.clone(), duration_s, begin, draft)
}

/// GetFederationToken
fn federate(gateway: &Gateway, asked: &Asked<'_>, begin: &Begin, draft: &mut Draft) -> Result<Carried, ApiError> {
    if asked.caller.credential.access_key.is_none() {
        let message = "a request for a federation token is signed by an access key";
        return Err(ApiError::new(Code::TempKeyNotAllowed, message));
    }
    let duration_s = begin.duration_s.unwrap_or(FEDERATION_S);
    check_duration(duration_s, FEDERATION_S_MAX)?;
    begin_session(gateway, asked, asked.caller.principal.clone(), duration_s, begin, draft)
}

/// SECURITY: never shortened, since clients reckon with what they asked for.
fn check_duration(duration_s: u64, longest_s: u64) -> Result<(), ApiError> {
    if (S_MIN..=longest_s).contains(&duration_s) {
        return Ok(());
    }
    let message = format!("`DurationSeconds` is {S_MIN} to {longest_s} here");
    Err(ApiError::new(Code::OverTimeError, message))
}

fn begin_session(
    gateway: &Gateway,
    asked: &Asked<'_>,
    principal: Principal,
    duration_s: u64,
    begin: &Begin,
    draft: &mut Draft,
) -> Result<Carried, ApiError> {
    let caller = asked.caller;
    if caller.session.is_some() {
        return Err(of_session());
    }
    let policy = begin.policy.as_deref().map(|text| read_policy(gateway, text)).transpose()?;
    let session = Session {
        principal,
        name: begin.name.clone(),
        assumed_by: caller.principal.clone(),
        groups: caller.groups.clone(),
        roles: caller.roles.clone(),
        groups_proved: gateway.requires_groups(&caller.principal),
        policy: policy.as_ref().map(|policy| policy.digest().to_owned()),
        issued_s: asked.now_s(),
        expires_s: asked.now_s().saturating_add(duration_s),
        parent: parent(caller)?,
    };
    let begun = session.begin(gateway.engine().installation(), gateway.random());
    let key = begun.map_err(|_| internal("no random bytes"))?;
    note(&session, &key, draft);
    let writes = policy.iter().map(text_row).collect();
    Ok(Carried::Begun(Begun { key, expires_s: session.expires_s }, Changes { writes, ..Changes::default() }))
}

/// What sessions are refused, so that they shed nothing.
pub(super) fn of_session() -> ApiError {
    ApiError::new(Code::TempKeyNotAllowed, "a temporary key begins no session and makes no key")
}

fn parent(caller: &Authenticated) -> Result<ParentCredential, ApiError> {
    match caller.as_parent() {
        Parent::Token { hash, jti, issued_s } => Ok(ParentCredential::Token { hash, jti, issued_s }),
        Parent::Key(id) => AccessKeyId::parse(&id).map(ParentCredential::Key).ok_or_else(|| internal("an access key")),
    }
}

/// What the record says of a session that begins.
fn note(session: &Session, key: &TemporaryKey, draft: &mut Draft) {
    let parameters = &mut draft.parameters;
    parameters.insert("access_key".to_owned(), RecordValue::from(key.id.as_str()));
    parameters.insert("expires".to_owned(), RecordValue::from(session.expires_s));
    parameters.insert("session".to_owned(), RecordValue::from(session.name.as_str()));
    if let Some(policy) = &session.policy {
        parameters.insert("session_policy".to_owned(), RecordValue::from(policy.as_str()));
    }
}

/// Reads a session policy that a caller sent.
fn read_policy(gateway: &Gateway, text: &[u8]) -> Result<SessionPolicy, ApiError> {
    let settings = gateway.policies().settings();
    // Characters that count are at most four bytes each; white space, which does not, has as much room, since the text is kept.
    if text.len() > settings.document_characters_max.saturating_mul(4) {
        return Err(ApiError::new(Code::PolicyTooLong, "`Policy` is too long, white space included"));
    }
    SessionPolicy::parse(text, &settings).map_err(|findings| {
        let (code, said) = findings
            .first()
            .map_or((Finding::PolicyDocumentError, String::new()), |finding| (finding.code, format!(": {finding}")));
        let code = match code {
            Finding::PolicyDocumentLengthOverLimit => Code::PolicyTooLong,
            Finding::PolicyDocumentError => Code::StrategyFormatError,
            _ => Code::StrategyInvalid,
        };
        ApiError::new(code, format!("`Policy` is no valid policy document{said}"))
    })
}

/// The row of a session policy's text.
fn text_row(policy: &SessionPolicy) -> Write {
    Write { key: Key::new(Family::Texts, text_key(policy.digest())), value: Some(policy.bytes().to_vec()) }
}

impl Gateway {
    /// The policy of the caller's session, if it has one.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read, is gone, or does not load any more: the caller can be allowed nothing then.
    pub(super) fn session_policy(&self, caller: &Authenticated) -> Result<Option<Arc<SessionPolicy>>, StoreError> {
        let Some(digest) = caller.session.as_ref().and_then(|session| session.policy.as_deref()) else {
            return Ok(None);
        };
        if let Some(known) = self.session_policies().get(digest) {
            return Ok(Some(known));
        }
        let damaged = || StoreError::Damaged(format!("the session policy `{digest}`"));
        let text = self.log().read(|snapshot| snapshot.get(Family::Texts, &text_key(digest)))?.ok_or_else(damaged)?;
        let read = SessionPolicy::parse(&text, &self.policies().settings());
        let read = read.ok().filter(|policy| policy.digest() == digest).ok_or_else(damaged)?;
        let read = Arc::new(read);
        self.session_policies().insert(digest.to_owned(), Arc::clone(&read));
        Ok(Some(read))
    }
}

/// GetCallerIdentity
fn identity(gateway: &Gateway, asked: &Asked<'_>) -> Carried {
    let (caller, account) = (asked.caller, &gateway.place().account);
    let number = asked.creator().to_string();
    let (arn, kind) = if caller.principal.kind() == Kind::Role {
        (format!("qcs::cam::uin/{account}:roleName/{}", caller.principal.name()), "CAMRole")
    } else {
        (format!("qcs::cam::uin/{account}:uin/{number}"), "CAMUser")
    };
    let user = match &caller.session {
        Some(session) => format!("{number}:{}", session.name),
        None => number.clone(),
    };
    let fields = json!({
        "Arn": arn, "AccountId": account, "UserId": user, "PrincipalId": number, "Type": kind,
        "Principal": caller.principal.as_str(),
    });
    Carried::Done(fields_of(fields), Changes::default())
}
