//! Looking at policy sets: what the live one, or one that was live, consists of, and which was live when (invariant I11: each look
//! is authorised and recorded).
//!
//! Nothing here runs in a snapshot of the store: a set that is not live is read text by text and loaded, which may take a while.

use super::{Live, explained};
use crate::access::attempt::Carried;
use crate::access::cursor::Position;
use crate::access::gateway::Gateway;
use crate::access::history::{self, Changed, WentLive};
use crate::access::proposal;
use crate::access::question::Asked;
use crate::access::replay::{self, ReplayError};
use crate::access::request::{PolicyRequest, Set};
use crate::access::secrets::fields_of;
use crate::authz::{Attachment, Contents, PolicySet};
use crate::error::{ApiError, Code};
use crate::parameters::invalid_value;
use keyward_audit::Changes;
use keyward_audit::record::{Draft, INTEGER_MAX, Value as RecordValue};
use keyward_audit::store::{Family, StoreError};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::ops::Deref;
use std::sync::Arc;

/// Callers that are named of those to whom a document is attached; the file `attachments.json` names all.
const NAMED_MAX: usize = 100;
/// What a cursor of ListPolicyRevisions is bound to.
const CURSOR_OF: &[u8] = b"ListPolicyRevisions";

/// Carries out what is allowed; what was asked stands in its record.
pub(in crate::access) fn carry_out(
    gateway: &Gateway,
    asked: &Asked<'_>,
    wanted: &PolicyRequest,
    draft: &mut Draft,
) -> Result<Carried, StoreError> {
    let answer = match wanted {
        PolicyRequest::List { revision, offset, limit } => {
            draft.parameters.insert("offset".to_owned(), RecordValue::from((*offset).min(INTEGER_MAX)));
            draft.parameters.insert("limit".to_owned(), RecordValue::from(*limit));
            revised(gateway, asked, revision.as_deref(), draft)?.map(|set| list(&set, *offset, *limit))
        }
        PolicyRequest::Get { path, revision } => {
            draft.parameters.insert("path".to_owned(), RecordValue::from(path.as_str()));
            revised(gateway, asked, revision.as_deref(), draft)?.and_then(|set| get(&set, path))
        }
        PolicyRequest::Revisions { limit, cursor } => {
            draft.parameters.insert("limit".to_owned(), RecordValue::from(*limit));
            revisions(gateway, *limit, cursor.as_deref())?
        }
        PolicyRequest::Simulate(wanted) => explained::simulate(gateway, asked, wanted, draft)?,
        PolicyRequest::Explain { index } => {
            draft.parameters.insert("index".to_owned(), RecordValue::from((*index).min(INTEGER_MAX)));
            explained::recorded(gateway, *index)?
        }
    };
    Ok(match answer {
        Ok(answer) => Carried::Done(fields_of(answer), Changes::default()),
        Err(error) => Carried::Failed(error),
    })
}

/// An answer, or what the caller is told instead.
pub(super) type Answered<T> = Result<Result<T, ApiError>, StoreError>;

/// A policy set that is asked.
pub(super) enum Chosen {
    /// The one that this request is decided by, too.
    Live(Arc<Live>),
    /// Another one.
    Other(Box<PolicySet>),
}

impl Deref for Chosen {
    type Target = PolicySet;

    fn deref(&self) -> &PolicySet {
        match self {
            Self::Live(live) => &live.set,
            Self::Other(set) => set,
        }
    }
}

/// The set that is asked; the record names it, unless it is the live one.
pub(super) fn chosen(gateway: &Gateway, asked: &Asked<'_>, by: &Set, draft: &mut Draft) -> Answered<Chosen> {
    match by {
        Set::Revision(revision) => revised(gateway, asked, revision.as_deref(), draft),
        Set::Sent(files) => Ok(proposal::load(gateway, files).map(|set| {
            draft.parameters.insert("proposed".to_owned(), RecordValue::from(set.revision()));
            Chosen::Other(Box::new(set))
        })),
    }
}

/// The live set, or a stored revision.
fn revised(gateway: &Gateway, asked: &Asked<'_>, revision: Option<&str>, draft: &mut Draft) -> Answered<Chosen> {
    let live = || Ok(Ok(Chosen::Live(Arc::clone(&asked.live))));
    let Some(revision) = revision else { return live() };
    draft.parameters.insert("revision".to_owned(), RecordValue::from(revision));
    if revision == asked.live.set.revision() {
        return live();
    }
    match replay::stored_revision(revision, &mut |key| text(gateway, key)) {
        Ok(set) => Ok(Ok(Chosen::Other(Box::new(set)))),
        Err(error) => refused(error).map(Err),
    }
}

/// A row of the family `texts`.
pub(super) fn text(gateway: &Gateway, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    gateway.log().read(|snapshot| snapshot.get(Family::Texts, key))
}

/// What a caller is told who asks for what cannot be had again. Texts that are not what they were stored as are damage.
pub(super) fn refused(error: ReplayError) -> Result<ApiError, StoreError> {
    match error {
        ReplayError::Store(error) => Err(error),
        ReplayError::Differs(_) => Err(StoreError::Damaged(error.to_string())),
        ReplayError::Missing(_) => Ok(ApiError::new(Code::ResourceNotFound, error.to_string())),
        ReplayError::Undecidable(_) | ReplayError::Incomplete(_) => {
            Ok(ApiError::new(Code::FailedOperation, error.to_string()))
        }
    }
}

/// ListPolicies
fn list(set: &PolicySet, offset: u64, limit: u64) -> Value {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let page: Vec<Value> = set.contents(number(offset), number(limit)).iter().map(row).collect();
    json!({"Revision": set.revision(), "TotalCount": set.files().len(), "Policies": page})
}

fn row(file: &Contents<'_>) -> Value {
    let mut row = json!({"Path": file.path, "Digest": digest(file.bytes), "Size": file.bytes.len()});
    if let (Some(row), Some(document)) = (row.as_object_mut(), &file.document) {
        let Attachment { statements, attached, bounds } = document;
        row.insert("Statements".to_owned(), json!(statements));
        for (whom, count, names) in [("AttachedTo", "AttachedCount", attached), ("Bounds", "BoundCount", bounds)] {
            row.insert(whom.to_owned(), json!(names.iter().take(NAMED_MAX).collect::<Vec<_>>()));
            row.insert(count.to_owned(), json!(names.len()));
        }
    }
    row
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// GetPolicy
fn get(set: &PolicySet, path: &str) -> Result<Value, ApiError> {
    let missing = || {
        let message = "the policy revision has no file of that path; ListPolicies names those that it has";
        ApiError::new(Code::ResourceNotFound, message)
    };
    let file = set.files().iter().find(|file| file.path == path).ok_or_else(missing)?;
    Ok(json!({
        "Revision": set.revision(),
        "Path": file.path,
        "Digest": digest(&file.bytes),
        "Size": file.bytes.len(),
        // A set of which a file is no UTF-8 does not load.
        "Text": String::from_utf8_lossy(&file.bytes),
    }))
}

/// ListPolicyRevisions
fn revisions(gateway: &Gateway, limit: u64, cursor: Option<&str>) -> Answered<Value> {
    let position = match cursor.map(|cursor| gateway.cursors().read(CURSOR_OF, cursor)) {
        None => None,
        Some(Some(position)) => Some(position),
        Some(None) => return Ok(Err(invalid_value("Cursor", "it is not one that this list was given"))),
    };
    let size = position.map_or_else(|| gateway.log().as_of(), |position| position.size);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let query = history::query(limit, position.map(|position| position.before), Some(size));
    let page = gateway.log().search(&query)?;
    let next = page.next_before.map(|before| gateway.cursors().write(CURSOR_OF, Position { size, before }));
    let went_live = page.records.iter().filter_map(|(_, bytes)| WentLive::read(bytes));
    let revisions: Vec<Value> = went_live.map(|one| told(&one)).collect();
    Ok(Ok(json!({"Revisions": revisions, "NextCursor": next.unwrap_or_default()})))
}

fn told(one: &WentLive) -> Value {
    let changed = |changed: &Changed| {
        let mut said = json!({"Change": changed.change, "Path": changed.path});
        if let (Some(said), Some(owner)) = (said.as_object_mut(), &changed.owner) {
            said.insert("Owner".to_owned(), json!(owner));
        }
        said
    };
    json!({
        "Index": one.index,
        "Time": one.time_s,
        "Revision": one.revision,
        "Old": one.old.as_deref().unwrap_or_default(),
        "Trigger": one.trigger,
        "Changes": one.changes.iter().map(changed).collect::<Vec<Value>>(),
    })
}
