//! Whether the engine may use a key: it does so only as `service/ssm` in the role `role/local/SSM_QCSRole`, by what the policy
//! folder attaches to that role (`QcloudAccessForSSMRole`). Take the grant away, and every use of a value fails and is
//! recorded.
//!
//! INVARIANT I5: no role, no trust, no grant, a deny on the role or on `service/ssm`, or a fault: the key is not used.
//! INVARIANT I13: it is decided with the request, on the revision that the request was decided on and whose generation its read
//! set names: no record releases a value on a revision whose grant is gone.
//! INVARIANT I4: the record names the key and the role's number (`parameters.kms`); with its own `qcs:current_time` that is all
//! that such a decision can rest on, and [`differs`] makes it again.
//!
//! What depends on no condition is decided once for each revision and key. Nothing here is written to disk.

use super::gateway::Gateway;
use super::policies::Live;
use super::question::Asked;
use super::replay::ReplayError;
use super::{recording, shadow};
use crate::actions::{self, Action, ConditionKey, Effect, Operation};
use crate::authz::{
    Caller, Context, CredentialForm, DecidingStatement, Decision, Explanation, PolicySet, Question, Target, Verdict,
};
use crate::error::{ApiError, Code};
use crate::keys::KeyId;
use crate::principal::Principal;
use crate::resource::{CreatorNumber, Place};
use keyward_audit::record::{self, Draft, Parameters, Value};
use moka::sync::Cache;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What of a record's parameters says by which key.
const PARAMETER: &str = "kms";
/// What of that says why it was refused, if it was.
const REASON: &str = "reason";
/// What of that says what the set in the shadow decides, if that is otherwise.
const SHADOW: &str = "shadow";
/// Most keys whose decisions are kept for a revision, for each use.
const KEYS_MAX: u64 = 10_000;

/// What a request has done with a key: whoever writes a value has a data key made and wrapped, whoever reads one has it
/// unwrapped.
pub(super) const fn operation(action: &Action) -> Operation {
    match action.effect {
        Effect::Read => Operation::Decrypt,
        Effect::Write => Operation::GenerateDataKey,
    }
}

/// The engine, as policy is asked about it.
pub(super) struct KeyUser {
    role: Principal,
    service: [Principal; 1],
    uin: CreatorNumber,
}

impl KeyUser {
    /// The engine; `uin` is the creator number of its role.
    pub(super) fn new(uin: CreatorNumber) -> Self {
        Self { role: Principal::engine_role(), service: [Principal::engine()], uin }
    }

    /// A session of the role, which the service took.
    fn caller(&self) -> Caller<'_> {
        Caller {
            principal: &self.role,
            groups: &[],
            roles: &[],
            restricted: &self.service,
            creator: self.uin,
            form: CredentialForm::Session { assumed_issuer: None },
        }
    }

    /// Every condition key that such a use has: the gateway calls itself, so there is no address.
    fn context(&self, place: &Place, now: String) -> Context {
        let one = |text: &str| vec![text.to_owned()];
        let values = BTreeMap::from([
            (ConditionKey::CurrentTime, vec![now]),
            (ConditionKey::Uin, vec![self.uin.to_string()]),
            (ConditionKey::OwnerUin, one(&place.account)),
            (ConditionKey::Door, one("internal")),
            (ConditionKey::SecureTransport, one("true")),
        ]);
        Context { values }
    }

    /// Puts the question whether it may use a key to `ask`.
    fn question<R>(
        &self,
        usage: &'static Action,
        key: &str,
        place: &Place,
        now: String,
        ask: impl FnOnce(&Question<'_>) -> R,
    ) -> R {
        let (context, target) = (self.context(place, now), Target::Key { id: key });
        ask(&Question { caller: self.caller(), action: usage, target, context: &context, session_policy: None })
    }

    /// Decides.
    fn ask(&self, set: &PolicySet, usage: Operation, key: &str, place: &Place, now: String) -> Ruling {
        match set.role_trusts(&self.role, &Principal::engine()) {
            None => return Ruling::NoRole,
            Some(false) => return Ruling::NotTrusted,
            Some(true) => {}
        }
        let Some(action) = actions::row(usage) else { return Ruling::NoRole };
        Ruling::Decided(self.question(action, key, place, now, |question| set.decide(question)))
    }
}

/// What policy says of a use.
#[derive(Debug, PartialEq, Eq)]
enum Ruling {
    /// The folder has no such role.
    NoRole,
    /// Its trust policy does not let the service take it.
    NotTrusted,
    Decided(Decision),
}

impl Ruling {
    /// Why not; `None` if it may.
    fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::NoRole => Some("role_missing"),
            Self::NotTrusted => Some("role_not_trusted"),
            Self::Decided(decision) => decision.outcome.reason(),
        }
    }

    fn layers(&self) -> &[DecidingStatement] {
        match self {
            Self::NoRole | Self::NotTrusted => &[],
            Self::Decided(decision) => &decision.layers,
        }
    }

    /// In one word, as records hold it.
    fn answer(&self) -> record::Decision {
        match self {
            Self::NoRole | Self::NotTrusted => record::Decision::Deny,
            Self::Decided(decision) => shadow::word(decision.outcome),
        }
    }

    /// As the record says it: key and number; of a refusal also what decided.
    fn written(&self, key: &str, uin: CreatorNumber) -> Parameters {
        let mut said =
            Parameters::from([("key".to_owned(), Value::from(key)), ("uin".to_owned(), Value::from(uin.to_string()))]);
        if let Some(reason) = self.refusal() {
            said.insert(REASON.to_owned(), Value::from(reason));
            said.insert("layers".to_owned(), Value::List(self.layers().iter().map(layer).collect()));
        }
        said
    }
}

fn shadow_object(shadow: &record::Shadow) -> Value {
    Value::Object(Parameters::from([
        ("decision".to_owned(), Value::from(shadow.decision.word())),
        ("revision".to_owned(), Value::from(shadow.revision.as_str())),
    ]))
}

/// What a record says that the set in the shadow decides on the use of its key, if that is otherwise.
pub(super) fn shadow_said(draft: &Draft) -> Option<record::Shadow> {
    let said = draft.parameters.get(PARAMETER)?.as_object()?.get(SHADOW)?.as_object()?;
    let word = said.get("decision").and_then(Value::as_text)?;
    let all = [record::Decision::Allow, record::Decision::Deny, record::Decision::Error];
    let decision = all.into_iter().find(|decision| decision.word() == word)?;
    Some(record::Shadow { decision, revision: said.get("revision").and_then(Value::as_text)?.to_owned() })
}

fn layer(deciding: &DecidingStatement) -> Value {
    let mut said = Parameters::from([
        ("effect".to_owned(), Value::from(deciding.effect.name())),
        ("layer".to_owned(), Value::from(deciding.layer.name())),
    ]);
    if let (Some(document), Some(statement)) = (&deciding.document, deciding.statement) {
        said.insert("document".to_owned(), Value::from(document.as_str()));
        said.insert("statement".to_owned(), Value::from(statement));
    }
    Value::Object(said)
}

/// What a revision says of the uses that it knows already.
pub(super) struct KeyGrants {
    seal: Settled,
    open: Settled,
}

/// The decisions on one use, by key, unless they depend on more.
struct Settled(Option<Cache<String, Arc<Ruling>>>);

impl Settled {
    fn of(set: &PolicySet, usage: Operation) -> Self {
        // Which number the role has says nothing about whether there are conditions.
        let user = KeyUser::new(CreatorNumber::from_mac([0; 8]));
        let is_free = actions::row(usage).is_some_and(|action| set.is_free_of_conditions(&user.caller(), action));
        Self(is_free.then(|| Cache::new(KEYS_MAX)))
    }
}

impl KeyGrants {
    /// For a revision that goes live.
    pub(super) fn of(set: &PolicySet) -> Self {
        Self { seal: Settled::of(set, Operation::GenerateDataKey), open: Settled::of(set, Operation::Decrypt) }
    }

    fn ruling(&self, usage: Operation, key: &str, decide: impl FnOnce() -> Ruling) -> Arc<Ruling> {
        let Settled(known) = if usage == Operation::Decrypt { &self.open } else { &self.seal };
        let Some(known) = known else { return Arc::new(decide()) };
        if let Some(ruling) = known.get(key) {
            return ruling;
        }
        let ruling = Arc::new(decide());
        // What could not be decided may be decided the next time.
        if !matches!(&*ruling, Ruling::Decided(Decision { outcome: Verdict::Error(_), .. })) {
            known.insert(key.to_owned(), Arc::clone(&ruling));
        }
        ruling
    }
}

/// Asks policy whether the engine may use `key` for this request. The record says which key, and what decided if not.
///
/// # Errors
/// What the caller is told if it may not: `FailedOperation.AccessKmsError`, or of a read `OperationDenied.RoleNotExist` if there
/// is no role to take.
pub(super) fn allow(gateway: &Gateway, asked: &Asked<'_>, key: &KeyId, draft: &mut Draft) -> Result<(), ApiError> {
    let usage = operation(asked.action);
    let (user, place) = (gateway.key_user(), gateway.place());
    let live: &Live = &asked.live;
    let rule = |set: &PolicySet, grants: &KeyGrants| {
        grants.ruling(usage, key.as_str(), || {
            user.ask(set, usage, key.as_str(), place, recording::time_text(asked.now_s()))
        })
    };
    let ruling = rule(&live.set, &live.key_grants);
    let mut written = ruling.written(key.as_str(), user.uin);
    if let Some(candidate) = asked.candidate() {
        let would = catch_unwind(AssertUnwindSafe(|| rule(&candidate.set, &candidate.key_grants).answer()));
        let would = would.unwrap_or(record::Decision::Error);
        if would != ruling.answer() {
            written.insert(SHADOW.to_owned(), shadow_object(&candidate.says(would)));
        }
    }
    draft.parameters.insert(PARAMETER.to_owned(), Value::Object(written));
    let Some(reason) = ruling.refusal() else { return Ok(()) };
    if let Ruling::Decided(Decision { outcome: Verdict::Error(fault), .. }) = &*ruling {
        tracing::error!(request = asked.ask.call.request, %fault, "whether a key may be used could not be decided; denied");
        metrics::counter!("keyward_policy_errors_total").increment(1);
    }
    metrics::counter!("keyward_key_uses_refused_total", "reason" => reason).increment(1);
    Err(if *ruling == Ruling::NoRole && asked.action.operation == Operation::GetSecretValue {
        role_missing()
    } else {
        ApiError::new(Code::AccessKmsError, "the gateway has no grant to use the key of this secret")
    })
}

/// What DescribeSecret says if there is no role to take, though it uses no key.
///
/// # Errors
/// `OperationDenied.RoleNotExist`.
pub(super) fn check_role(gateway: &Gateway, asked: &Asked<'_>) -> Result<(), ApiError> {
    let user = gateway.key_user();
    asked.live.set.role_trusts(&user.role, &Principal::engine()).map(|_| ()).ok_or_else(role_missing)
}

fn role_missing() -> ApiError {
    let message = "the role in which the gateway uses its keys, `SSM_QCSRole`, is not in the policy folder";
    ApiError::new(Code::RoleNotExist, message)
}

/// Decides the use of a key that a record holds again, under its own revision; how the answer differs, if it does. A record
/// without one has no difference.
///
/// # Errors
/// [`ReplayError::Incomplete`] if the record does not hold what the decision needs.
pub(super) fn differs(draft: &Draft, set: &PolicySet, place: &Place) -> Result<Option<String>, ReplayError> {
    let Some(used) = Used::of(draft)? else { return Ok(None) };
    let again = used.again(set, place).written(used.key, used.uin);
    let mut recorded = used.recorded.clone();
    recorded.remove(SHADOW);
    let differ = again != recorded;
    Ok(differ.then(|| format!("the use of its key, decided again, is {again:?}, recorded is {recorded:?}")))
}

/// What a set decides on the use of a key that a record holds; none if it holds none.
///
/// # Errors
/// [`ReplayError::Incomplete`] if the record does not hold what the decision needs.
pub(super) fn answer_again(
    draft: &Draft,
    set: &PolicySet,
    place: &Place,
) -> Result<Option<record::Decision>, ReplayError> {
    Ok(Used::of(draft)?.map(|used| used.again(set, place).answer()))
}

/// Every statement that is attached to the engine, as it came out for the use of a key that a record holds, under its own
/// revision. None if the record holds no such use.
///
/// # Errors
/// [`ReplayError`] if the record does not hold what the decision needs, or it cannot be decided.
pub(super) fn explain(draft: &Draft, set: &PolicySet, place: &Place) -> Result<Vec<Explanation>, ReplayError> {
    let Some(used) = Used::of(draft)? else { return Ok(Vec::new()) };
    let usage = actions::row(used.usage).ok_or(ReplayError::Incomplete("a known action"))?;
    let user = KeyUser::new(used.uin);
    Ok(user.question(usage, used.key, place, used.now, |question| set.explain(question))?)
}

/// The use of a key, as a record holds it.
pub(super) struct Used<'a> {
    recorded: &'a Parameters,
    /// `kms:GenerateDataKey` or `kms:Decrypt`.
    pub(super) usage: Operation,
    /// The key's id.
    pub(super) key: &'a str,
    /// The number of the engine's role.
    pub(super) uin: CreatorNumber,
    /// When.
    pub(super) now: String,
}

impl<'a> Used<'a> {
    /// `kms:...`
    pub(super) fn action_name(&self) -> String {
        actions::row(self.usage).map(Action::full_name).unwrap_or_default()
    }

    /// Whether another set allows it.
    pub(super) fn would_be_allowed(&self, set: &PolicySet, place: &Place) -> bool {
        self.again(set, place).refusal().is_none()
    }

    /// What a set says of it.
    fn again(&self, set: &PolicySet, place: &Place) -> Ruling {
        KeyUser::new(self.uin).ask(set, self.usage, self.key, place, self.now.clone())
    }

    /// The use that a record holds, if it holds one.
    ///
    /// # Errors
    /// [`ReplayError::Incomplete`] if it does not say all of it.
    pub(super) fn of(draft: &'a Draft) -> Result<Option<Self>, ReplayError> {
        let Some(recorded) = draft.parameters.get(PARAMETER) else { return Ok(None) };
        let incomplete = ReplayError::Incomplete;
        let said = recorded.as_object().ok_or(incomplete("`kms` as an object"))?;
        let text = |name: &str| said.get(name).and_then(Value::as_text);
        let key = text("key").ok_or(incomplete("the key's id"))?;
        let uin = text("uin").and_then(|text| text.parse().ok()).and_then(CreatorNumber::new);
        let uin = uin.ok_or(incomplete("the role's number"))?;
        let name = draft.action.split_once(':').map_or("", |(_, name)| name);
        let action = actions::by_name(name).ok_or(incomplete("a known action"))?;
        let conditions = draft.context.as_ref().map(|context| &context.conditions).ok_or(incomplete("context"))?;
        let now = conditions.get(ConditionKey::CurrentTime.name()).and_then(|values| values.first());
        let now = now.ok_or(incomplete("qcs:current_time"))?.clone();
        Ok(Some(Self { recorded: said, usage: operation(action), key, uin, now }))
    }
}

#[cfg(test)]
mod tests;
