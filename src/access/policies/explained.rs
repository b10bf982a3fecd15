//! Why a decision is what it is: of a request that nobody made (SimulatePolicy), and of one that a record holds (ExplainDecision).
//!
//! SECURITY: what is told is what the policies say, which whoever is denied something never learns; so each has an action of its
//! own. Of a secret enters what policies read: who made it, and its tags. No value is looked at.

use super::actions::{Answered, chosen, refused, text};
use crate::access::asked::{self, Installed, TokenClaims, Written, WrittenError};
use crate::access::compared::{self, Existing};
use crate::access::gateway::Gateway;
use crate::access::question::Asked;
use crate::access::recording::time_text;
use crate::access::replay::{self, Explained};
use crate::access::request::Simulated;
use crate::access::trail::FILTER_CHARACTERS_MAX;
use crate::actions::ConditionKey;
use crate::authz::{DecidingStatement, Explanation, Part, Remedy, Verdict, Witness};
use crate::error::{ApiError, Code};
use crate::principal::Principal;
use crate::resource::{Place, SecretName};
use crate::secret::lookup;
use keyward_audit::record::{Draft, Value as RecordValue};
use keyward_audit::store::StoreError;
use serde_json::{Map, Value, json};

/// Statements that an answer holds; the others are counted.
const STATEMENTS_MAX: usize = 1_000;

/// A gateway that runs, at the moment of a request.
struct Running<'a> {
    gateway: &'a Gateway,
    asked: &'a Asked<'a>,
}

impl Installed for Running<'_> {
    fn place(&self) -> &Place {
        self.gateway.place()
    }

    fn creator_number(&self, principal: &Principal) -> Option<u64> {
        Some(self.gateway.creator_number(principal).get())
    }

    fn token_claims(&self, issuer: &str) -> Option<TokenClaims> {
        let (issuer, audience) = self.gateway.issuers().authenticator().token_claims(issuer)?;
        Some(TokenClaims { issuer, audience })
    }

    fn secret(&self, name: &SecretName) -> Result<Option<Existing>, StoreError> {
        let row_key = self.gateway.engine().row_key();
        let row = self.gateway.log().read(|snapshot| lookup::secret(snapshot, row_key, name))?;
        let due_by_s = self.asked.clock.due_by_s(self.asked.now_s());
        let row = row.filter(|row| !row.is_due(due_by_s));
        Ok(row.map(|row| Existing { creator: row.creator, tags: row.tags.condition_values(), name: row.name }))
    }
}

/// SimulatePolicy
pub(super) fn simulate(gateway: &Gateway, asked: &Asked<'_>, wanted: &Simulated, draft: &mut Draft) -> Answered<Value> {
    draft.parameters.extend(wanted.recorded());
    let set = match chosen(gateway, asked, &wanted.by, draft)? {
        Ok(set) => set,
        Err(error) => return Ok(Err(error)),
    };
    let wrong = |message| Ok(Err(ApiError::new(Code::InvalidParameterValue, message)));
    let request = match written(gateway, asked, wanted) {
        Ok(request) => request,
        Err(WrittenError::Wrong(message)) => return wrong(message),
        Err(WrittenError::Store(error)) => return Err(error),
    };
    let told = match asked::told(&set, &request) {
        Ok(told) => told,
        Err(fault) => return wrong(format!("the request cannot be decided: {fault}")),
    };
    let decision = told.decision.outcome;
    let values: Map<String, Value> =
        request.context.values.iter().map(|(key, values)| (key.name().to_owned(), json!(values))).collect();
    let principal = request.caller.principal.as_str();
    let mut answer = json!({
        "Revision": set.revision(),
        "Principal": principal,
        "Action": request.action.full_name(),
        "Resource": compared::resource_text(&request.target, gateway.place()),
        "Context": values,
        "Decision": decision.name(),
        "Reason": decision.reason().unwrap_or_default(),
        "Deciding": told.decision.layers.iter().map(deciding).collect::<Vec<Value>>(),
        "Remedies": if decision == Verdict::Allow { Vec::new() } else { texts(&told.remedies) },
    });
    add_statements(&mut answer, told.statements.iter().map(|one| (principal, one)).collect());
    Ok(Ok(answer))
}

impl Simulated {
    /// Who, what and on what, as the record repeats them.
    fn recorded(&self) -> impl Iterator<Item = (String, RecordValue)> {
        let said = [
            ("principal", Some(&self.principal)),
            ("action", Some(&self.action)),
            ("resource", self.resource.as_ref()),
        ];
        let short = |text: &String| text.chars().take(FILTER_CHARACTERS_MAX).collect::<String>();
        said.into_iter().filter_map(move |(name, text)| Some((name.to_owned(), RecordValue::from(short(text?)))))
    }
}

/// The request that is written down. Of the time nothing need be said: it is now.
fn written(gateway: &Gateway, asked: &Asked<'_>, wanted: &Simulated) -> Result<Witness, WrittenError> {
    let mut context = wanted.context.clone();
    let time = ConditionKey::CurrentTime.name();
    if context.iter().all(|(key, _)| key != time) {
        context.push((time.to_owned(), time_text(asked.now_s())));
    }
    let written = Written {
        principal: &wanted.principal,
        claims: &wanted.claims,
        action: &wanted.action,
        resource: wanted.resource.as_deref(),
        context: &context,
    };
    asked::request(&written, &Running { gateway, asked })
}

/// ExplainDecision
pub(super) fn recorded(gateway: &Gateway, index: u64) -> Answered<Value> {
    let Some(bytes) = gateway.log().record(index)? else {
        return Ok(Err(ApiError::new(Code::ResourceNotFound, "there is no record of that index")));
    };
    match replay::explain_record(&bytes, &mut |key| text(gateway, key)) {
        Ok(explained) => Ok(Ok(of_record(index, &explained))),
        Err(error) => refused(error).map(Err),
    }
}

fn of_record(index: u64, explained: &Explained) -> Value {
    let draft = explained.record.draft();
    let caller = draft.principal.as_deref().unwrap_or_default();
    let engine = Principal::engine_role();
    let mut answer = json!({
        "Index": index,
        "Revision": draft.policy.as_ref().map(|policy| policy.revision.as_str()).unwrap_or_default(),
        "Principal": caller,
        "Action": draft.action,
        "Resource": draft.resource.as_deref().unwrap_or("*"),
        "Decision": draft.decision.map_or("none", |decision| decision.word()),
        "Reason": draft.reason.as_deref().unwrap_or_default(),
        "Remedies": texts(&explained.remedies),
    });
    let own = explained.statements.iter().map(|one| (caller, one));
    let used = explained.key_use.iter().map(|one| (engine.as_str(), one));
    add_statements(&mut answer, own.chain(used).collect());
    answer
}

fn texts(remedies: &[Remedy]) -> Vec<String> {
    remedies.iter().map(ToString::to_string).collect()
}

fn deciding(one: &DecidingStatement) -> Value {
    let mut said = json!({"Layer": one.layer.name(), "Effect": one.effect.name()});
    if let (Some(said), Some(document)) = (said.as_object_mut(), &one.document) {
        said.insert("Document".to_owned(), json!(document));
    }
    if let (Some(said), Some(statement)) = (said.as_object_mut(), one.statement) {
        said.insert("Statement".to_owned(), json!(statement));
    }
    said
}

/// Adds statements, each with whom it is attached to: first those that name the action, as many as an answer holds.
fn add_statements(answer: &mut Value, mut all: Vec<(&str, &Explanation)>) {
    all.sort_by_key(|(_, one)| one.parts.is_empty());
    let statements: Vec<Value> = all.iter().take(STATEMENTS_MAX).map(|(of, one)| statement(of, one)).collect();
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("Statements".to_owned(), Value::Array(statements));
        answer.insert("Further".to_owned(), json!(all.len().saturating_sub(STATEMENTS_MAX)));
    }
}

fn statement(of: &str, one: &Explanation) -> Value {
    let part =
        |part: &Part| json!({"Text": part.text, "Holds": part.holds, "Found": part.found, "Unknown": part.is_unknown});
    json!({
        "Of": of,
        "Layer": one.layer.name(),
        "Document": one.document.as_deref().unwrap_or_default(),
        "Statement": one.statement,
        "Effect": one.effect.name(),
        "Applied": one.why_not.is_none(),
        "WhyNot": one.why_not.map(|why| why.to_string()).unwrap_or_default(),
        "Parts": one.parts.iter().map(part).collect::<Vec<Value>>(),
    })
}
