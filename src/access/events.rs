//! The trail in CloudAudit's form: LookUpEvents and DescribeEvents. The records are found by the log's own search, which
//! SearchRecords uses as well; what an event shows of a record, and so what a condition can be on, is in [`form`].
//!
//! Newest first. A page ends at so many events, or where so many rows were looked at; it says where the next one begins. Records
//! that come meanwhile lie above that and change nothing of it.

mod form;

use super::attempt::Carried;
use super::cursor::Position;
use super::gateway::Gateway;
use super::request::{AttributeKey, Condition, EventsRequest, NextToken, TagCondition};
use super::secrets::fields_of;
use crate::actions::{self, Action};
use crate::error::{ApiError, Code};
use crate::parameters::invalid_value;
use form::Event;
use keyward_audit::log::Query;
use keyward_audit::record::{INTEGER_MAX, Parameters, Record, Value as RecordValue};
use keyward_audit::store::StoreError;
use keyward_audit::{Changes, hash};
use serde_json::{Value, json};

/// Rows that one page looks at before it ends early.
const SCAN_MAX: usize = 200_000;
/// Rows that are looked at to count what matches in all.
const COUNT_SCAN_MAX: usize = 2_000;
/// Records that are read at a time, behind the first ones.
const CHUNK: usize = 512;
/// Longest text of a condition that the record of a search repeats, in characters.
const VALUE_CHARACTERS_MAX: usize = 128;

/// A page.
struct Found {
    events: Vec<Value>,
    /// Where the next one begins; none at the end.
    next: Option<u64>,
    /// How many match, as far as they were counted.
    total: u64,
}

/// LookUpEvents and DescribeEvents
pub(super) fn look_up(gateway: &Gateway, wanted: &EventsRequest) -> Result<Carried, StoreError> {
    let Some(position) = position(gateway, wanted) else {
        return Ok(Carried::Failed(invalid_value("NextToken", "it is not one that this search was given")));
    };
    let found = match find(gateway, wanted, position) {
        Ok(found) => found,
        Err(error) => return unreadable(error),
    };
    let next = found.next.map(|before| Position { before, ..position });
    let token = match (&wanted.token, next) {
        (NextToken::Text(_), Some(next)) => Value::from(gateway.cursors().write(&filters(wanted), next)),
        (NextToken::Text(_), None) => Value::from(""),
        (NextToken::Number(_), next) => Value::from(next.map_or(0, |next| next.before)),
    };
    let answer = json!({
        "Events": found.events,
        "NextToken": token,
        "ListOver": found.next.is_none(),
        "TotalCount": found.total,
    });
    Ok(Carried::Done(fields_of(answer), Changes::default()))
}

/// Closed for a moment: as everywhere. Else it is told by the code that searches have for it, and recorded.
fn unreadable(error: StoreError) -> Result<Carried, StoreError> {
    if matches!(error, StoreError::Closed) {
        return Err(error);
    }
    tracing::error!(%error, "the trail could not be searched");
    metrics::counter!("keyward_store_errors_total").increment(1);
    Ok(Carried::Failed(ApiError::new(Code::SearchError, "the trail cannot be read")))
}

/// Where the page begins; none for a token that is not one of this search.
fn position(gateway: &Gateway, wanted: &EventsRequest) -> Option<Position> {
    let size = gateway.log().as_of();
    match &wanted.token {
        NextToken::Number(0) => Some(Position { size, before: size }),
        NextToken::Number(before) => Some(Position { size, before: *before }),
        NextToken::Text(text) if text.is_empty() => Some(Position { size, before: size }),
        NextToken::Text(text) => gateway.cursors().read(&filters(wanted), text),
    }
}

/// What a token of LookUpEvents is bound to.
fn filters(wanted: &EventsRequest) -> Vec<u8> {
    let attributes: Vec<(&str, &str)> =
        wanted.attributes.iter().map(|(key, value)| (key.name(), value.as_str())).collect();
    serde_json::to_vec(&("events", wanted.start_s, wanted.end_s, attributes)).unwrap_or_default()
}

fn find(gateway: &Gateway, wanted: &EventsRequest, position: Position) -> Result<Found, StoreError> {
    let mut events = Vec::new();
    let next = each(gateway, wanted, position, SCAN_MAX, &mut |event| {
        let has_room = events.len() < wanted.max_results;
        if has_room {
            events.push(event.row());
        }
        has_room
    })?;
    let mut total = 0_u64;
    let newest = Position { before: position.size, ..position };
    each(gateway, wanted, newest, COUNT_SCAN_MAX, &mut |_| {
        total = total.saturating_add(1);
        true
    })?;
    let total = total.max(events.len() as u64);
    Ok(Found { events, next, total })
}

/// Calls `take` with every event that is asked for, newest first, until it takes no more or `rows` rows were looked at; where that
/// was, unless it was the end.
fn each(
    gateway: &Gateway,
    wanted: &EventsRequest,
    from: Position,
    rows: usize,
    take: &mut dyn FnMut(&Event<'_>) -> bool,
) -> Result<Option<u64>, StoreError> {
    let mut query = Query {
        size: Some(from.size),
        before: Some(from.before),
        limit: wanted.max_results.saturating_add(1),
        scan_max: rows,
        ..wanted.query()
    };
    loop {
        let page = gateway.log().search(&query)?;
        for (index, bytes) in &page.records {
            // The search has read it before.
            let Ok(record) = Record::parse(bytes) else { continue };
            let event = Event::of(&record, hash::leaf(bytes), gateway.place(), |who| gateway.creator_number(who));
            if wanted.conditions.iter().all(|condition| condition.holds(&event)) && !take(&event) {
                return Ok(Some(index.saturating_add(1)));
            }
        }
        query.scan_max = query.scan_max.saturating_sub(page.scanned);
        query.limit = CHUNK;
        query.before = page.next_before;
        if page.next_before.is_none() || query.scan_max == 0 {
            return Ok(page.next_before);
        }
    }
}

impl EventsRequest {
    /// What the record of the search says was asked for.
    pub(super) fn recorded(&self) -> impl Iterator<Item = (String, RecordValue)> {
        let number = |number: u64| RecordValue::from(number.min(INTEGER_MAX));
        let text = |text: &str| RecordValue::from(text.chars().take(VALUE_CHARACTERS_MAX).collect::<String>());
        let attribute = |(key, value): &(AttributeKey, String)| {
            let said = [("key".to_owned(), RecordValue::from(key.name())), ("value".to_owned(), text(value))];
            RecordValue::Object(Parameters::from(said))
        };
        let attributes: Vec<RecordValue> = self.attributes.iter().map(attribute).collect();
        let said = [
            ("start_time", Some(number(self.start_s))),
            ("end_time", Some(number(self.end_s))),
            ("limit", Some(number(self.max_results as u64))),
            ("attributes", (!attributes.is_empty()).then(|| RecordValue::from(attributes))),
        ];
        said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)))
    }

    /// The log's own search, by those conditions that it has. Each of them holds for the events besides.
    fn query(&self) -> Query {
        let micros = |seconds: u64| seconds.saturating_mul(1_000_000);
        let mut query = Query {
            start_time_us: Some(micros(self.start_s)),
            end_time_us: Some(micros(self.end_s.saturating_add(1))),
            ..Query::default()
        };
        for condition in &self.conditions {
            match condition {
                Condition::Named(names) => {
                    if let [name] = names.as_slice() {
                        query.action = Some(full_name(name));
                    }
                }
                Condition::Is(AttributeKey::Username, text) if !text.is_empty() => {
                    query.principal = Some(text.clone());
                }
                Condition::Is(AttributeKey::ResourceName, text) if !text.is_empty() => {
                    query.resource_name = Some(text.clone());
                }
                Condition::Is(AttributeKey::ResourceId, text) if !text.is_empty() => {
                    query.resource = Some(form::without_project(text));
                }
                _ => {}
            }
        }
        query
    }
}

/// The action that an event of that name is of: names are unique, and what the catalogue does not have is keyward's own.
fn full_name(name: &str) -> String {
    actions::by_name(name).map_or_else(|| format!("keyward:{name}"), Action::full_name)
}

impl Condition {
    fn holds(&self, event: &Event<'_>) -> bool {
        match self {
            Self::Is(key, text) => is(*key, text, event),
            Self::Named(names) => names.iter().any(|name| name == event.name()),
            Self::Reads(reads) => *reads == event.reads(),
            Self::Sensitive(sensitive) => *sensitive == event.is_sensitive(),
            Self::CamError(code) => *code == event.refused(),
            Self::Tags(tags) => tags.iter().all(|tag| tag.is_on(event)),
        }
    }
}

/// Whether the field of an event that a key names is `text`.
fn is(key: AttributeKey, text: &str, event: &Event<'_>) -> bool {
    match key {
        AttributeKey::AccessKeyId => event.access_key() == text,
        AttributeKey::ApiErrorCode => event.code() == text,
        AttributeKey::EventName => event.name() == text,
        AttributeKey::PrincipalId => event.uin() == text,
        AttributeKey::RequestId => event.request() == text,
        AttributeKey::ResourceId => form::without_project(&event.resource()) == form::without_project(text),
        AttributeKey::ResourceName => event.resource_name() == text,
        AttributeKey::ResourceType => event.service() == text,
        AttributeKey::SourceIpAddress => event.source_ip() == text,
        AttributeKey::Username => event.user() == text,
        // Conditions of their own.
        AttributeKey::ActionType
        | AttributeKey::CamErrorCode
        | AttributeKey::ReadOnly
        | AttributeKey::SensitiveAction
        | AttributeKey::Tags => false,
    }
}

impl TagCondition {
    fn is_on(&self, event: &Event<'_>) -> bool {
        let fits = |wanted: &str, found: &str| wanted == "*" || wanted == found;
        event.tags().any(|(key, value)| fits(&self.key, key) && fits(&self.value, value))
    }
}

#[cfg(test)]
mod tests;
