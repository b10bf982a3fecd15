//! Reading the trail, which is itself authorised and recorded (invariant I11).

use super::attempt::Carried;
use super::cursor::Position;
use super::export::ExportStream;
use super::gateway::Gateway;
use super::grant::Exported;
use super::question::Asked;
use super::request::SearchRecords;
use crate::error::{ApiError, Code};
use crate::parameters::invalid_value;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_audit::Changes;
use keyward_audit::log::Query;
use keyward_audit::store::StoreError;
use serde_json::{Map, Value, json};

/// Rows that one page looks at before it ends early.
const SCAN_MAX: usize = 200_000;

/// SearchRecords
pub(super) fn search(gateway: &Gateway, asked: &Asked<'_>, search: &SearchRecords) -> Result<Carried, StoreError> {
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
    Ok(Carried::Done(object(answer), Changes::default()))
}

impl SearchRecords {
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
        let texts = [principal, issuer, group, resource, resource_prefix, action];
        let numbers = [start_time, end_time, start_index, end_index];
        serde_json::to_vec(&(texts, decision, outcome, numbers)).unwrap_or_default()
    }

    fn query(&self, asked: &Asked<'_>, position: Option<Position>, size: u64) -> Query {
        let micros = |seconds: u64| seconds.saturating_mul(1_000_000);
        Query {
            principal: self.principal.clone(),
            issuer: self.issuer.clone(),
            group: self.group.clone(),
            resource: asked.resource(),
            resource_prefix: self.resource_prefix.clone(),
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
pub(super) fn checkpoint(gateway: &Gateway) -> Carried {
    let Some(newest) = gateway.log().newest_checkpoint() else {
        return Carried::Failed(ApiError::new(Code::ResourceNotFound, "no checkpoint has been signed yet"));
    };
    let answer = json!({
        "Checkpoint": newest.note(),
        "Size": newest.checkpoint().size,
        "Root": STANDARD.encode(newest.checkpoint().root),
    });
    Carried::Done(object(answer), Changes::default())
}

/// GetInclusionProof
pub(super) fn inclusion_proof(gateway: &Gateway, index: u64, size: Option<u64>) -> Result<Carried, StoreError> {
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
    Ok(Carried::Done(object(answer), Changes::default()))
}

/// ExportRecords: a checkpoint over all that is committed now; the export's own record comes after it. Runs off the
/// threads that serve connections, since it waits for the signer.
pub(super) fn export(gateway: &Gateway) -> Result<Carried, StoreError> {
    let export = tokio::runtime::Handle::current().block_on(gateway.log().export());
    Ok(match export {
        Ok(blocks) => Carried::Export(Exported(ExportStream::new(blocks))),
        Err(_) => {
            Carried::Failed(ApiError::new(Code::ServiceUnavailable, "no checkpoint can be signed now; try again"))
        }
    })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
