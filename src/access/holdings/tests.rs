use super::*;
use crate::actions::{ACTIONS, Effect, Operation, Served, Service};
use crate::keys::fixture::MemoryRows;
use crate::secret::fixture::{created, engine, name, sealed_for, version};
use crate::secret::{Engine, Limits, change};
use keyward_audit::record::{Context, Decision, Draft, Kind, Outcome, Value};
use keyward_audit::store::Key;
use std::collections::BTreeSet;

/// The record of a call that was allowed and done.
fn record(action: &str, of: &str) -> Draft {
    let mut draft = Draft::new(Kind::Access, format!("ssm:{action}"), "native", "r");
    draft.decision = Some(Decision::Allow);
    draft.outcome = Some(Outcome::Ok);
    draft.resource = Some(format!("qcs::ssm:local:uin/1:secret/creatorUin/7/{of}"));
    draft.context = Some(Context::default());
    draft
}

/// The record of a change, as the pipeline writes it.
fn of_change(action: &str, change: &change::Change) -> Draft {
    let mut draft = record(action, change.row.name.as_str());
    draft.secret_version = change.version.as_ref().map(|version| version.id.to_string());
    draft.value = change.version.as_ref().map(|version| version.value.to_string());
    draft
}

/// A secret `s` that was created, got `v2`, was disabled and enabled again: the rows after each step, and the records.
fn history(engine: &Engine) -> (Vec<MemoryRows>, Vec<Draft>) {
    let first = created(engine, "s");
    let second = change::put(first.row.clone(), &sealed_for(engine, &first.row, "v2"), false, 2, &Limits::default());
    let second = second.unwrap();
    let disabled = change::disable(second.row.clone()).unwrap();
    let enabled = change::enable(disabled.row.clone()).unwrap();
    let steps =
        [("CreateSecret", first), ("PutSecretValue", second), ("DisableSecret", disabled), ("EnableSecret", enabled)];
    let mut rows = vec![MemoryRows::default()];
    let mut records = Vec::new();
    for (action, change) in steps {
        let mut next = rows.last().unwrap().clone();
        next.apply(&change.writes(engine.row_key()));
        rows.push(next);
        records.push(of_change(action, &change));
    }
    (rows, records)
}

fn heard(records: &[Draft]) -> (Said, Found) {
    let (mut said, mut found) = (Said::default(), Found::default());
    for (index, draft) in records.iter().enumerate() {
        said.hear(index as u64, draft, &mut found);
    }
    (said, found)
}

/// What is found in `rows` after `records`.
fn findings(engine: &Engine, rows: &MemoryRows, records: &[Draft]) -> Vec<String> {
    let (mut said, mut found) = heard(records);
    secrets(rows, engine.row_key(), &mut said, &mut found).unwrap();
    revocations(rows, &said, &mut found).unwrap();
    assert_eq!(found.total, found.findings.len() as u64);
    found.findings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_store_that_is_as_its_log_left_it_has_no_findings_at_any_time() {
    let engine = engine();
    let (rows, records) = history(&engine);
    for (done, rows) in rows.iter().enumerate() {
        assert_eq!(findings(&engine, rows, &records[..done]), Vec::<String>::new(), "after {done} records");
    }
}

#[test]
fn attack_h10_every_older_row_is_found_and_the_record_that_it_contradicts_is_named() {
    let engine = engine();
    let (rows, records) = history(&engine);
    for now in 1..rows.len() {
        for old in 0..now {
            let put_back = rows[old].row(&address::secret(&name("s")));
            let mut store = rows[now].clone();
            match put_back.filter(|_| old > 0) {
                Some(row) => store.put(&address::secret(&name("s")), row),
                None => drop(store.0.remove(&(Family::Secrets, address::secret(&name("s")).bytes))),
            }
            let found = findings(&engine, &store, &records[..now]);
            // The row after the second record is that after the fourth.
            if (old, now) == (2, 4) {
                assert_eq!(found, Vec::<String>::new());
                continue;
            }
            assert!(!found.is_empty(), "{old} under {now}");
            let last =
                found.iter().filter_map(|text| text.strip_prefix("index ")?.split(':').next()?.parse().ok()).max();
            assert!(last.is_some_and(|last: usize| last >= old && last < now), "{old} under {now}: {found:?}");
        }
    }
}

#[test]
fn attack_h10_a_read_of_what_was_overwritten_or_disabled_is_found_at_its_index() {
    let engine = engine();
    let (_, records) = history(&engine);
    let read = |value: &str| {
        let mut read = record("GetSecretValue", "s");
        (read.secret_version, read.value) = (Some("v2".to_owned()), Some(value.to_owned()));
        read
    };
    let (first, second) = (records[0].value.clone().unwrap(), records[1].value.clone().unwrap());
    let whole = [&records[..2], &[read(&second)], &records[2..], &[read(&second)]].concat();
    assert_eq!(heard(&whole).1, Found::default());
    let old = [&records[..2], &[read(&first)]].concat();
    let found = heard(&old).1;
    assert_eq!(
        found.findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [format!(
            "index 2: secret `s`: value `{first}` was read as version `v2`, whose last write is `{second}` at index 1"
        )]
    );
    let disabled = [&records[..3], &[read(&second)]].concat();
    let found = heard(&disabled).1;
    assert_eq!(found.findings[0].to_string(), "index 3: secret `s`: a value was read although index 2 disabled it");
}

#[test]
fn i13_a_decision_on_other_tags_or_another_creator_than_were_recorded_is_found_at_its_index() {
    let tags = BTreeSet::from(["env&prod".to_owned()]);
    let mut create = record("CreateSecret", "s");
    create.context.as_mut().unwrap().conditions.insert("qcs:request_tag".to_owned(), tags.clone());
    let mut denied = record("GetSecretValue", "s");
    denied.decision = Some(Decision::Deny);
    denied.outcome = Some(Outcome::Denied);
    let mut tagged = denied.clone();
    tagged.context.as_mut().unwrap().conditions.insert("qcs:resource_tag".to_owned(), tags);
    let mut other = tagged.clone();
    other.resource = Some("qcs::ssm:local:uin/1:secret/creatorUin/8/s".to_owned());
    let mut unknown = denied.clone();
    unknown.resource = Some("qcs::ssm:local:uin/1:secret/creatorUin/*/s".to_owned());
    for (records, fits) in [
        (vec![create.clone(), tagged.clone()], true),
        (vec![unknown.clone()], true),
        (vec![create.clone(), denied], false),
        (vec![create.clone(), other], false),
        (vec![create, unknown], false),
        (vec![tagged], false),
    ] {
        let found = heard(&records).1;
        assert_eq!(found.total == 0, fits, "{found:?}");
        let last = records.len() as u64 - 1;
        assert!(found.findings.iter().all(|finding| finding.index == Some(last)), "{found:?}");
    }
}

#[test]
fn what_is_missing_too_many_or_miscounted_is_found() {
    let engine = engine();
    let (rows, records) = history(&engine);
    let now = rows.last().unwrap();
    let gone = |key: Key| {
        let mut rows = now.clone();
        rows.0.remove(&(key.family, key.bytes)).unwrap();
        findings(&engine, &rows, &records)
    };
    let row = lookup::secret(now, engine.row_key(), &name("s")).unwrap().unwrap();
    let value = address::value(row.id, row.version(&version("v1")).unwrap().value);
    assert_eq!(gone(value), ["secret `s`: the value of version `v1` is missing"]);
    let count = address::count(address::shard(&name("s")));
    assert_eq!(gone(count), ["the store counts `0` secrets and holds `1`"]);
    let missing = gone(address::secret(&name("s")));
    assert_eq!(missing[0], "index 3: secret `s` is not in the store, where this record left it");
    assert_eq!(findings(&engine, now, &[])[0], "secret `s` is in the store and no record made it");
    let mut flipped = now.clone();
    flipped.0.get_mut(&(Family::Secrets, address::secret(&name("s")).bytes)).unwrap()[20] ^= 1;
    let expected = "index 3: the store is damaged: secret `s`: damaged row: it is not authentic: altered or moved";
    assert_eq!(findings(&engine, &flipped, &records), [expected]);
    let again = [records.as_slice(), &records[..1]].concat();
    assert!(heard(&again).1.findings[0].to_string().starts_with("index 4: secret `s`: it was created although"));
}

#[test]
fn a_revocation_that_is_gone_or_weakened_is_found_at_its_record() {
    let revoke = |before: u64| {
        let mut draft = Draft::new(Kind::Access, "cam:RevokeToken", "native", "r");
        draft.decision = Some(Decision::Allow);
        draft.outcome = Some(Outcome::Ok);
        for (name, value) in
            [("issuer", Value::from("dev")), ("subject", Value::from("app")), ("issued_before", Value::from(before))]
        {
            draft.parameters.insert(name.to_owned(), value);
        }
        draft
    };
    let records = [revoke(50), revoke(70), revoke(60)];
    let engine = engine();
    let key = crate::authn::Selector::subject("app").unwrap().key("dev").unwrap();
    let with = |before: Option<u64>| {
        let mut rows = MemoryRows::default();
        if let Some(before) = before {
            rows.0
                .insert((Family::Revocations, key.clone()), Revocation::new(before, 80, "").unwrap().encode().unwrap());
        }
        findings(&engine, &rows, &records)
    };
    assert_eq!(with(Some(70)), Vec::<String>::new());
    for weaker in [None, Some(69)] {
        assert_eq!(with(weaker), ["index 1: the revocation is not in the store as this record left it"]);
    }
}

/// An action that comes to write secrets must be understood here, or the store could no longer be held against the log.
#[test]
fn every_write_of_a_secret_that_a_door_offers_is_understood() {
    let writes = ACTIONS
        .iter()
        .filter(|action| (action.service, action.effect, action.served) == (Service::Ssm, Effect::Write, Served::Door));
    let understood = [
        Operation::CreateSecret,
        Operation::PutSecretValue,
        Operation::SetCurrentVersion,
        Operation::EnableSecret,
        Operation::DisableSecret,
    ];
    assert_eq!(writes.map(|action| action.operation).collect::<Vec<_>>(), understood);
}
