//! ListSecrets: filters, orders, and cuts out the page.
//!
//! A secret's name, sort and time of creation are fixed. So the names in their order are remembered from one page to the next, as of
//! the generation [`NAMES`] of the snapshot, which every record moves that makes or ends a secret: whoever pages through a million of
//! them has them gone over once. What filters by anything else goes over all rows each time, and so does everything while a
//! deletion is due that was not carried out yet.
//!
//! In memory alone, the order that was asked for last, dropped once nobody asks for a minute or two.

use super::attempt::Carried;
use super::gateway::Gateway;
use super::question::Asked;
use super::request::ListSecrets;
use super::secrets::{extend, fields_of, kind_code, metadata};
use crate::keys::KeyId;
use crate::resource::SecretName;
use crate::secret::row::SecretRow;
use crate::secret::{address, lookup};
use keyward_audit::record::{Draft, INTEGER_MAX, Value as RecordValue};
use keyward_audit::store::{Family, Snapshot, StoreError};
use keyward_audit::{Changes, Generation};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};

/// Moved by every record that makes or ends a secret.
pub(super) const NAMES: Generation = Generation("secret_names");

/// Whether what rides with a record makes or ends a secret: it is counted then.
pub(super) fn moves_names(changes: &Changes) -> bool {
    changes.writes.iter().any(|write| write.key.family == Family::Secrets && address::is_count(&write.key.bytes))
}

/// Names in their order.
type Names = Arc<Vec<SecretName>>;

/// What the names of a list depend on, for one generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Order {
    oldest_first: bool,
    kind: u64,
}

/// Names that were gone over for a page.
#[derive(Debug)]
struct Remembered {
    generation: u64,
    order: Order,
    names: Names,
    /// Whether a page was made of them since it was last looked.
    is_used: bool,
}

/// The names that are remembered.
#[derive(Debug, Default)]
pub(super) struct Listings(Mutex<Option<Remembered>>);

impl Listings {
    fn get(&self, generation: u64, order: Order) -> Option<Names> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = held.as_mut().filter(|one| one.generation == generation && one.order == order)?;
        found.is_used = true;
        Some(Arc::clone(&found.names))
    }

    fn put(&self, generation: u64, order: Order, names: &Names) {
        let remembered = Remembered { generation, order, names: Arc::clone(names), is_used: true };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(remembered);
    }

    /// Drops what nobody asked for since this was called last.
    pub(super) fn tidy(&self) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *held = held.take().filter(|one| one.is_used).map(|one| Remembered { is_used: false, ..one });
    }
}

/// ListSecrets. The count is that of all filters. A row that is damaged fails the whole call: a list without it would say that there is
/// no such secret, and one with it would repeat what somebody else wrote.
pub(super) fn list(
    gateway: &Gateway,
    asked: &Asked<'_>,
    snapshot: &dyn Snapshot,
    list: &ListSecrets,
    draft: &mut Draft,
) -> Result<Carried, StoreError> {
    draft.parameters.insert("offset".to_owned(), RecordValue::from(list.offset.min(INTEGER_MAX)));
    draft.parameters.insert("limit".to_owned(), RecordValue::from(list.limit));
    let due_by_s = asked.clock.due_by_s(asked.now_s());
    let found = if !list.possible {
        Names::default()
    } else if list.is_of_what_is_fixed() && lookup::due(snapshot, due_by_s, 1)?.is_empty() {
        list.among(remembered(gateway, snapshot, list.order())?)
    } else {
        gone_over(gateway, snapshot, list.order(), &|row| !row.is_due(due_by_s) && list.matches(row))?
    };
    let mut page = Vec::new();
    for name in found.iter().skip(to_usize(list.offset)).take(to_usize(list.limit)) {
        page.extend(lookup::secret(snapshot, gateway.engine().row_key(), name)?.as_ref().map(listed));
    }
    Ok(Carried::Done(fields_of(json!({"TotalCount": found.len(), "SecretMetadatas": page})), Changes::default()))
}

/// All names in an order, of which no deletion is due.
fn remembered(gateway: &Gateway, snapshot: &dyn Snapshot, order: Order) -> Result<Names, StoreError> {
    let generation = gateway.log().generation_in(snapshot, NAMES)?;
    if let Some(names) = gateway.listings().get(generation, order) {
        return Ok(names);
    }
    let names = gone_over(gateway, snapshot, order, &|_| true)?;
    gateway.listings().put(generation, order, &names);
    Ok(names)
}

/// The names of all secrets of a sort that match, in their order; of what matches only names and times are kept.
fn gone_over(
    gateway: &Gateway,
    snapshot: &dyn Snapshot,
    order: Order,
    matches: &dyn Fn(&SecretRow) -> bool,
) -> Result<Names, StoreError> {
    let mut found = Vec::new();
    lookup::each_secret(snapshot, gateway.engine().row_key(), &mut |row| {
        if order.kind == kind_code(&row) && matches(&row) {
            found.push((row.created_at_s, row.name));
        }
        true
    })?;
    found.sort_unstable_by(|(at_a, a), (at_b, b)| {
        let by_time = at_a.cmp(at_b);
        (if order.oldest_first { by_time } else { by_time.reverse() }).then_with(|| a.cmp(b))
    });
    Ok(Arc::new(found.into_iter().map(|(_, name)| name).collect()))
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn listed(row: &SecretRow) -> Value {
    let mut fields = metadata(row);
    let kind = if row.key == KeyId::default_key() { "DEFAULT" } else { "CUSTOMER" };
    extend(
        &mut fields,
        json!({"KmsKeyType": kind, "RotationStatus": 0, "NextRotationTime": 0, "RotationBeginTime": ""}),
    );
    Value::Object(fields)
}

impl ListSecrets {
    const fn order(&self) -> Order {
        Order { oldest_first: self.oldest_first, kind: self.kind }
    }

    /// Whether it filters by nothing that changes while a secret lives.
    fn is_of_what_is_fixed(&self) -> bool {
        self.state == 0 && self.tags.is_empty() && self.expires_before_s.is_none()
    }

    /// Those of names that it searches for.
    fn among(&self, names: Names) -> Names {
        if self.search.is_empty() {
            return names;
        }
        Arc::new(names.iter().filter(|name| name.as_str().contains(&self.search)).cloned().collect())
    }

    fn matches(&self, row: &SecretRow) -> bool {
        let state = match self.state {
            0 => true,
            1 => row.state.name() == "Enabled",
            2 => row.state.name() == "Disabled",
            3 => row.state.name() == "PendingDelete",
            _ => false,
        };
        let tagged = |(key, values): &(String, Vec<String>)| {
            let mut tags = row.tags.as_slice().iter();
            tags.any(|tag| tag.key == *key && (values.is_empty() || values.contains(&tag.value)))
        };
        let expires = |before_s: u64| {
            let expires_at_s = row.version(&row.current).map_or(0, |version| version.expires_at_s);
            expires_at_s != 0 && expires_at_s < before_s
        };
        let expires = self.expires_before_s.is_none_or(expires);
        expires && state && row.name.as_str().contains(&self.search) && self.tags.iter().all(tagged)
    }
}
