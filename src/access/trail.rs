//! Reading the trail, which is itself authorised and recorded (invariant I11).

use super::attempt::Carried;
use super::cursor::Position;
use super::events;
use super::export::Blocks;
use super::gateway::Gateway;
use super::grant::Exported;
use super::question::Asked;
use super::request::{Request, SearchRecords};
use super::secrets::fields_of;
use super::{policies, proposal, shadow, suggestions};
use crate::error::{ApiError, Code};
use crate::parameters::invalid_value;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_audit::Changes;
use keyward_audit::log::{BackupError, Query};
use keyward_audit::record::{Draft, Value as RecordValue};
use keyward_audit::store::StoreError;
use serde_json::{Value, json};

/// Rows that one page looks at before it ends early.
const SCAN_MAX: usize = 200_000;

/// Longest text of a filter that the record of a search repeats, in characters.
pub(super) const FILTER_CHARACTERS_MAX: usize = 256;

/// Carries out an allowed request that reads the trail; what it asked for stands in its record (invariant I11).
pub(super) fn carry_out(gateway: &Gateway, asked: &Asked<'_>, draft: &mut Draft) -> Result<Carried, StoreError> {
    match asked.request {
        Request::SearchRecords(wanted) => {
            draft.parameters.extend(wanted.recorded());
            search(gateway, asked, wanted)
        }
        Request::Events(wanted) => {
            draft.parameters.extend(wanted.recorded());
            events::look_up(gateway, wanted)
        }
        Request::GetInclusionProof { index, size } => {
            draft
                .parameters
                .insert("index".to_owned(), RecordValue::from((*index).min(keyward_audit::record::INTEGER_MAX)));
            inclusion_proof(gateway, *index, *size)
        }
        Request::ExportRecords => export(gateway),
        Request::ReplayPolicies(wanted) => proposal::replay(gateway, wanted, draft),
        Request::ListShadowDecisions(wanted) => shadow::list(gateway, wanted, draft),
        Request::SuggestPolicies(wanted) => suggestions::suggest(gateway, wanted, draft),
        Request::Policy(wanted) => policies::actions::carry_out(gateway, asked, wanted, draft),
        Request::CreateBackup => backup(gateway, draft),
        _ => Ok(checkpoint(gateway)),
    }
}

/// SearchRecords
fn search(gateway: &Gateway, asked: &Asked<'_>, search: &SearchRecords) -> Result<Carried, StoreError> {
    let filters = search.filters();
    let position = match &search.cursor {
        None => None,
        Some(cursor) => match gateway.cursors().read(&filters, cursor) {
            Some(position) => Some(position),
            None => {
                return Ok(Carried::Failed(invalid_value("Cursor", "it is not one that this search was given")));
            }
        },
    };
    let size = position.map_or_else(|| gateway.log().as_of(), |position| position.size);
    let query = search.query(asked, position, size);
    let page = gateway.log().search(&query)?;
    let next = page.next_before.map(|before| gateway.cursors().write(&filters, Position { size, before }));
    let records: Result<Vec<Value>, _> = page.records.iter().map(|(_, bytes)| serde_json::from_slice(bytes)).collect();
    let records = records.map_err(|_| StoreError::Damaged("a record is not JSON".to_owned()))?;
    let answer = json!({
        "Records": records,
        "Size": size,
        "NextCursor": next.unwrap_or_default(),
        "Complete": page.complete,
    });
    Ok(Carried::Done(fields_of(answer), Changes::default()))
}

impl SearchRecords {
    /// The filters as the record of the search repeats them.
    fn recorded(&self) -> impl Iterator<Item = (String, RecordValue)> {
        let exact = self.resource.as_ref().and_then(|searched| Some(searched.exact.as_ref()?.1.clone()));
        let texts = [
            ("principal", self.principal.clone()),
            ("issuer", self.issuer.clone()),
            ("group", self.group.clone()),
            ("resource", exact),
            ("resource_prefix", self.resource_prefix.clone()),
            ("action", self.action.clone()),
            ("decision", self.decision.map(|decision| decision.word().to_owned())),
            ("outcome", self.outcome.map(|outcome| outcome.word().to_owned())),
        ];
        let numbers = [
            ("start_time", self.start_time),
            ("end_time", self.end_time),
            ("start_index", self.start_index),
            ("end_index", self.end_index),
        ];
        let text = |text: String| RecordValue::from(text.chars().take(FILTER_CHARACTERS_MAX).collect::<String>());
        let texts = texts.into_iter().filter_map(move |(name, value)| Some((name.to_owned(), text(value?))));
        let numbers = numbers.into_iter().filter_map(|(name, value)| {
            Some((name.to_owned(), RecordValue::from(value?.min(keyward_audit::record::INTEGER_MAX))))
        });
        texts.chain(numbers)
    }

    /// What a cursor is bound to: every filter, but neither the limit nor the cursor.
    fn filters(&self) -> Vec<u8> {
        let Self {
            principal,
            issuer,
            group,
            resource,
            resource_prefix,
            action,
            decision,
            outcome,
            start_time,
            end_time,
            start_index,
            end_index,
            limit: _,
            cursor: _,
        } = self;
        let texts = [principal, issuer, group, resource_prefix, action];
        let resource =
            resource.as_ref().map(|searched| (searched.name.as_str(), searched.exact.as_ref().map(|exact| &exact.1)));
        let numbers = [start_time, end_time, start_index, end_index];
        serde_json::to_vec(&(texts, resource, decision, outcome, numbers)).unwrap_or_default()
    }

    fn query(&self, asked: &Asked<'_>, position: Option<Position>, size: u64) -> Query {
        let micros = |seconds: u64| seconds.saturating_mul(1_000_000);
        Query {
            principal: self.principal.clone(),
            issuer: self.issuer.clone(),
            group: self.group.clone(),
            resource: self.resource.as_ref().and_then(|searched| match &searched.exact {
                Some((_, text)) => Some(text.clone()),
                None => asked.resource(),
            }),
            resource_prefix: self.resource_prefix.clone(),
            resource_name: None,
            action: self.action.clone(),
            decision: self.decision,
            outcome: self.outcome,
            start_time_us: self.start_time.map(micros),
            end_time_us: self.end_time.map(micros),
            start_index: self.start_index,
            end_index: self.end_index,
            before: position.map(|position| position.before),
            size: Some(size),
            limit: usize::try_from(self.limit).unwrap_or(usize::MAX),
            scan_max: SCAN_MAX,
            full_scan: false,
        }
    }
}

/// GetCheckpoint
fn checkpoint(gateway: &Gateway) -> Carried {
    let Some(newest) = gateway.log().newest_checkpoint() else {
        return Carried::Failed(ApiError::new(Code::ResourceNotFound, "no checkpoint has been signed yet"));
    };
    let answer = json!({
        "Checkpoint": newest.note(),
        "Size": newest.checkpoint().size,
        "Root": STANDARD.encode(newest.checkpoint().root),
    });
    Carried::Done(fields_of(answer), Changes::default())
}

/// GetInclusionProof
fn inclusion_proof(gateway: &Gateway, index: u64, size: Option<u64>) -> Result<Carried, StoreError> {
    let newest = || gateway.log().newest_checkpoint().map_or(0, |newest| newest.checkpoint().size);
    let size = size.unwrap_or_else(newest);
    let Some(proof) = gateway.log().inclusion_proof(index, size)? else {
        let message = "there is no record of that index under a checkpoint of that size";
        return Ok(Carried::Failed(ApiError::new(Code::ResourceNotFound, message)));
    };
    let hashes: Vec<String> = proof.hashes.iter().map(|hash| STANDARD.encode(hash)).collect();
    let answer = json!({
        "Index": index,
        "Leaf": STANDARD.encode(proof.leaf),
        "Size": proof.checkpoint.size,
        "Hashes": hashes,
        "Checkpoint": proof.note,
        "Proof": proof.text(),
    });
    Ok(Carried::Done(fields_of(answer), Changes::default()))
}

/// ExportRecords: a checkpoint over all that is committed now; the export's own record comes after it. Runs off the
/// threads that serve connections, since it waits for the signer.
fn export(gateway: &Gateway) -> Result<Carried, StoreError> {
    let export = tokio::runtime::Handle::current().block_on(gateway.log().export());
    Ok(match export {
        Ok(blocks) => Carried::Export(Exported(Blocks::new(blocks))),
        Err(_) => {
            Carried::Failed(ApiError::new(Code::ServiceUnavailable, "no checkpoint can be signed now; try again"))
        }
    })
}

/// CreateBackup: the copy is made before the record, which is therefore the first one that is not in it. SECURITY: the request says
/// nothing of where the copy goes; it is made beside the store and sent to the caller.
fn backup(gateway: &Gateway, draft: &mut Draft) -> Result<Carried, StoreError> {
    let refused = |code, message| Ok(Carried::Failed(ApiError::new(code, message)));
    let Ok(signed) = tokio::runtime::Handle::current().block_on(gateway.log().checkpoint_now()) else {
        return refused(Code::ServiceUnavailable, "no checkpoint can be signed now; try again");
    };
    match gateway.log().backup(&signed) {
        Ok(backup) => {
            draft.parameters.insert("size".to_owned(), RecordValue::from(backup.size()));
            Ok(Carried::Export(Exported(Blocks::new(backup))))
        }
        Err(BackupError::Busy) => refused(Code::FailedOperation, "another backup is being taken"),
        Err(BackupError::Store(StoreError::Closed)) => Err(StoreError::Closed),
        Err(error) => {
            tracing::error!(%error, "no backup could be taken");
            refused(Code::InternalError, "the backup could not be taken; the gateway's log says why")
        }
    }
}
