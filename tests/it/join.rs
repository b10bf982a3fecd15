//! Joins what clients wrote down with the verified export. It knows what secrets, versions, the current pointer and
//! the states mean, and nothing of how the gateway keeps them: it walks the records in order and asks of each reply
//! whether its record says the same, and of each record whether it could be so at its index.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::journal::{Call, Exchange, Received};
use crate::trail::{Record, Trail};

/// A secret as the records before some index make it.
#[derive(Debug)]
pub(crate) struct Secret {
    pub(crate) enabled: bool,
    pub(crate) current: String,
    /// Version ids and the ids of their values.
    pub(crate) versions: BTreeMap<String, String>,
    /// Index of the last record that changed it.
    pub(crate) changed: u64,
}

/// What the join found; every count is of something that held.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) released: usize,
    pub(crate) acknowledged: usize,
    pub(crate) failed: usize,
    pub(crate) unavailable: usize,
    /// Requests without a reply, and how many of them have a record.
    pub(crate) unanswered: usize,
    pub(crate) recorded_unanswered: usize,
    /// 503 whose record is there all the same.
    pub(crate) recorded_unavailable: usize,
}

/// What clients tried to write, by secret and version.
struct Attempts<'a>(HashMap<(&'a str, &'a str), &'a Call>);

impl<'a> Attempts<'a> {
    fn of(clients: &'a [Vec<Exchange>]) -> Self {
        let mut attempts = HashMap::new();
        for call in clients.iter().flatten().map(|exchange| &exchange.call).filter(|call| call.value.is_some()) {
            let key = (call.secret.as_str(), call.version.as_deref().unwrap());
            assert!(attempts.insert(key, call).is_none(), "{key:?} was sent twice");
        }
        Self(attempts)
    }

    fn get(&self, secret: &str, version: &str) -> &'a Call {
        self.0.get(&(secret, version)).unwrap_or_else(|| panic!("nobody ever sent `{secret}` `{version}`"))
    }
}

/// Joins; panics with what does not fit. `is_settled`: the gateway was not killed since the first record, so that every
/// read that says `ok` and was answered 503 must have got its `outcome`.
pub(crate) fn join(clients: &[Vec<Exchange>], trail: &Trail, is_settled: bool) -> Joined {
    let attempts = Attempts::of(clients);
    let mut joined = Joined::default();
    let mut current_at = HashMap::new();
    for record in trail.records.iter().filter(|record| is_ours(record)) {
        walk(&mut joined.secrets, record, &attempts, &mut current_at);
    }
    let records = Records::of(trail);
    for exchange in clients.iter().flatten() {
        match &exchange.received {
            Some(received) => joined.reply(&exchange.call, received, &records, &attempts, &current_at, is_settled),
            None => joined.unanswered += 1,
        }
    }
    joined.recorded_unanswered = trail.records.iter().filter(|record| is_ours(record)).count()
        - joined.released
        - joined.acknowledged
        - joined.failed
        - joined.recorded_unavailable;
    assert!(joined.recorded_unanswered <= joined.unanswered, "records of requests that nobody sent: {joined:?}");
    real_time_order(clients);
    joined
}

fn is_ours(record: &Record) -> bool {
    record.kind == "access" && record.secret().is_some_and(|secret| secret.starts_with("crash/"))
}

/// One record on top of those before it.
fn walk(
    secrets: &mut BTreeMap<String, Secret>,
    record: &Record,
    attempts: &Attempts<'_>,
    current_at: &mut HashMap<u64, String>,
) {
    let name = record.secret().unwrap();
    if !record.is_allowed("ok") {
        return walk_failed(secrets.get(name), record);
    }
    let version = record.secret_version.as_deref();
    if record.action == "ssm:CreateSecret" {
        let version = version.unwrap();
        attempts.get(name, version);
        let versions = BTreeMap::from([(version.to_owned(), record.value.clone().unwrap())]);
        let secret = Secret { enabled: true, current: version.to_owned(), versions, changed: record.index };
        assert!(secrets.insert(name.to_owned(), secret).is_none(), "index {}: created twice", record.index);
        return;
    }
    let secret = secrets.get_mut(name).unwrap_or_else(|| panic!("index {}: no such secret", record.index));
    match (record.action.as_str(), version) {
        ("ssm:PutSecretValue", Some(version)) => {
            let call = attempts.get(name, version);
            assert_eq!(record.parameters["stage"], Value::Bool(call.stage), "index {}", record.index);
            let before = secret.versions.insert(version.to_owned(), record.value.clone().unwrap());
            assert!(before.is_none(), "index {}: written twice", record.index);
            if !call.stage {
                version.clone_into(&mut secret.current);
            }
        }
        ("ssm:SetCurrentVersion", Some(version)) => {
            assert!(secret.versions.contains_key(version), "index {}: no such version", record.index);
            version.clone_into(&mut secret.current);
        }
        ("ssm:DisableSecret", None) => secret.enabled = false,
        ("ssm:EnableSecret", None) => secret.enabled = true,
        ("ssm:GetSecretValue", Some(version)) => {
            assert!(secret.enabled, "index {}: read while disabled", record.index);
            assert_eq!(secret.versions.get(version), record.value.as_ref(), "index {}", record.index);
            current_at.insert(record.index, secret.current.clone());
            return;
        }
        other => panic!("index {}: {other:?}", record.index),
    }
    secret.changed = record.index;
}

/// What may fail for a caller who is allowed everything.
fn walk_failed(secret: Option<&Secret>, record: &Record) {
    let holds = match (record.action.as_str(), record.reason.as_deref().unwrap_or_default(), secret) {
        ("ssm:GetSecretValue", "ResourceUnavailable.ResourceDisabled", Some(secret)) => !secret.enabled,
        ("ssm:PutSecretValue", "LimitExceeded", Some(secret)) => secret.versions.len() == crate::load::VERSIONS_MAX,
        (_, "contention", _) => record.decision.as_deref() == Some("error"),
        _ => false,
    };
    assert!(holds, "cannot be so at its index: {record:?}");
}

/// The trail, by what a reply names.
struct Records<'a> {
    by_request: HashMap<&'a str, &'a Record>,
    answered: HashMap<u64, &'a Record>,
}

impl<'a> Records<'a> {
    fn of(trail: &'a Trail) -> Self {
        let mut records = Self { by_request: HashMap::new(), answered: HashMap::new() };
        for record in &trail.records {
            let before = match (record.kind.as_str(), record.answers) {
                ("access", _) => records.by_request.insert(&record.request, record),
                ("outcome", Some(index)) => records.answered.insert(index, record),
                _ => None,
            };
            assert!(before.is_none(), "two records of one request: {before:?} {record:?}");
        }
        records
    }
}

impl Joined {
    #[expect(clippy::too_many_arguments, reason = "all of what one answer is held against")]
    fn reply(
        &mut self,
        call: &Call,
        received: &Received,
        records: &Records<'_>,
        attempts: &Attempts<'_>,
        current_at: &HashMap<u64, String>,
        is_settled: bool,
    ) {
        let record = records.by_request.get(received.request.as_str()).copied();
        if received.status == 503 && received.locator.is_none() {
            return self.not_available(received, record, records, is_settled);
        }
        let record = record.unwrap_or_else(|| panic!("no record of {call:?} {received:?}"));
        let told = (record.index, record.leaf.clone());
        assert_eq!(received.locator.as_ref(), Some(&told), "{call:?}");
        assert_eq!(record.action, format!("ssm:{}", call.action));
        assert_eq!(record.secret(), Some(call.secret.as_str()), "{received:?} {record:?}");
        if received.status != 200 {
            assert_eq!(record.outcome.as_deref(), Some("failed"), "{received:?}");
            let given_up = received.status == 503 && record.reason.as_deref() == Some("contention");
            assert!(given_up || record.reason.as_ref() == Some(&received.code), "{received:?} {record:?}");
            assert!(received.value.is_none());
            self.failed += 1;
            return;
        }
        assert!(record.is_allowed("ok"), "{record:?}");
        assert!(!records.answered.contains_key(&record.index), "index {}: answered, and taken back", record.index);
        if call.action != "GetSecretValue" {
            assert!(record.secret_version.is_none() || record.secret_version == call.version, "{call:?} {record:?}");
            self.acknowledged += 1;
            return;
        }
        let served = record.secret_version.as_deref().unwrap();
        let asked = call.version.as_ref().unwrap_or_else(|| &current_at[&record.index]);
        assert_eq!(served, asked, "index {}", record.index);
        assert_eq!(received.version.as_deref(), Some(served));
        assert_eq!(received.value, attempts.get(&call.secret, served).value, "index {}", record.index);
        self.released += 1;
    }

    fn not_available(&mut self, received: &Received, record: Option<&Record>, records: &Records<'_>, is_settled: bool) {
        self.unavailable += 1;
        assert!(received.value.is_none(), "released without a record: {received:?}");
        let Some(record) = record else { return };
        self.recorded_unavailable += 1;
        if is_settled && record.action == "ssm:GetSecretValue" && record.is_allowed("ok") {
            let answer = records.answered.get(&record.index);
            assert!(answer.is_some(), "index {} says ok, its caller got 503, and no outcome says so", record.index);
        }
    }
}

/// Whatever was answered before another request was sent comes before it in the log.
fn real_time_order(clients: &[Vec<Exchange>]) {
    let mut sent: Vec<(u64, u64)> = Vec::new();
    let mut answered: Vec<(u64, u64)> = Vec::new();
    for exchange in clients.iter().flatten() {
        if let Some((received, (index, _))) = exchange.received.as_ref().and_then(|r| Some((r, r.locator.as_ref()?))) {
            sent.push((exchange.sent_us, *index));
            answered.push((received.at_us, *index));
        }
    }
    sent.sort_unstable();
    answered.sort_unstable();
    let mut answered = answered.into_iter().peekable();
    let mut largest = None;
    for (at_us, index) in sent {
        while let Some((_, before)) = answered.next_if(|(answered_us, _)| *answered_us < at_us) {
            largest = largest.max(Some(before));
        }
        assert!(largest < Some(index), "index {index} was asked for after {largest:?} had been answered");
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use serde_json::json;

    use super::*;
    use crate::gateway::TestGateway;
    use crate::journal;
    use crate::load::{Load, Values, World};

    /// Whether the join finds nothing wrong.
    fn holds(clients: &[Vec<Exchange>], trail: &Trail) -> bool {
        catch_unwind(AssertUnwindSafe(|| join(clients, trail, true))).is_ok()
    }

    fn exchange(clients: &mut [Vec<Exchange>], which: impl Fn(&Exchange) -> bool) -> &mut Exchange {
        clients.iter_mut().flatten().filter(|exchange| which(exchange)).last().unwrap()
    }

    fn is_done(exchange: &Exchange, action: &str) -> bool {
        exchange.call.action == action && exchange.received.as_ref().is_some_and(|received| received.status == 200)
    }

    #[test]
    fn the_join_finds_lost_and_invented_records_and_values_that_are_not_what_was_written() {
        let gateway = TestGateway::start();
        let scratch = tempfile::tempdir().unwrap();
        let world = World::new(gateway.admin().to_owned(), scratch.path().join("clients"), Values::Mixed);
        let load = Load::start(&world, gateway.address(), 3);
        load.wait_for(400);
        load.stop().unwrap();
        let export = gateway.insist(gateway.admin(), "ExportRecords", &json!({}));
        let read = || Trail::verified(&export.bytes, &gateway.installation().read("keys/log.vkey"), &[]);
        let clients = journal::read_all(&world.journals);
        assert!(holds(&clients, &read()));

        for action in ["CreateSecret", "PutSecretValue", "GetSecretValue", "SetCurrentVersion"] {
            let mut changed = clients.clone();
            let index =
                exchange(&mut changed, |exchange| is_done(exchange, action)).received.as_ref().unwrap().locator.clone();
            let mut trail = read();
            trail.records.remove(usize::try_from(index.unwrap().0).unwrap());
            assert!(!holds(&clients, &trail), "a record of {action} is lost");

            let mut changed = clients.clone();
            let sent_twice = exchange(&mut changed, |exchange| is_done(exchange, action));
            sent_twice.received.as_mut().unwrap().locator.as_mut().unwrap().0 += 1;
            assert!(!holds(&changed, &read()), "the locator of {action} is another one");
        }
        let mut changed = clients.clone();
        let read_value = exchange(&mut changed, |exchange| is_done(exchange, "GetSecretValue"));
        read_value.received.as_mut().unwrap().value = Some("another".to_owned());
        assert!(!holds(&changed, &read()), "a value that nobody wrote");

        let mut changed = clients.clone();
        let write = exchange(&mut changed, |exchange| is_done(exchange, "CreateSecret"));
        write.call.version = Some("never".to_owned());
        assert!(!holds(&changed, &read()), "a version that nobody sent");

        let mut changed = clients;
        let late = exchange(&mut changed, |exchange| is_done(exchange, "GetSecretValue"));
        late.received.as_mut().unwrap().at_us = 0;
        assert!(!holds(&changed, &read()), "answered before what came before it in the log");
        gateway.finish();
    }
}
