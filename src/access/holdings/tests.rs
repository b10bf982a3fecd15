use super::*;
use crate::actions::{ACTIONS, Effect, Operation, Served, Service};
use crate::clock::SystemRandom;
use crate::keys::change::{KeyError, Maker};
use crate::keys::fixture::{MemoryRows, installed, root_key};
use crate::keys::{KeyGeneration, KeyId, RootKey, replaced};
use crate::secret::change::ending;
use crate::secret::fixture::{at, created, engine, name, sealed_for, version};
use crate::secret::row::SecretRow;
use crate::secret::{Engine, Limits, Tag, Tags, change};
use keyward_audit::record::{Context, Decision, Draft, Kind, Outcome, Value};
use keyward_audit::store::{Key, Write};
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
    let second =
        change::put(first.row.clone(), &sealed_for(engine, &first.row, "v2"), at(false, 2), &Limits::default());
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

/// A log and the rows that it makes, one change after the other.
struct Living {
    engine: Engine,
    rows: Vec<MemoryRows>,
    records: Vec<Draft>,
}

impl Living {
    fn row(&self) -> SecretRow {
        let found = lookup::secret(self.rows.last().unwrap(), self.engine.row_key(), &name("s"));
        found.unwrap().unwrap()
    }

    /// Takes a change with its record, to which a condition and a parameter may be added.
    fn take(
        &mut self,
        action: &str,
        change: &change::Change,
        condition: Option<(&str, &str)>,
        parameter: Option<(&str, Value)>,
    ) {
        let mut draft = of_change(action, change);
        let context = draft.context.as_mut().unwrap();
        let tags: BTreeSet<String> = self.row().tags.condition_values().into_iter().collect();
        if !tags.is_empty() {
            context.conditions.insert("qcs:resource_tag".to_owned(), tags);
        }
        if let Some((key, text)) = condition {
            context.conditions.insert(key.to_owned(), BTreeSet::from([text.to_owned()]));
        }
        draft.parameters.extend(parameter.map(|(name, value)| (name.to_owned(), value)));
        let mut rows = self.rows.last().unwrap().clone();
        rows.apply(&change.writes(self.engine.row_key()));
        if let Some(key) = &change.indexed {
            rows.put(key, (self.records.len() as u64).to_be_bytes().to_vec());
        }
        self.rows.push(rows);
        self.records.push(draft);
    }
}

/// Every change that a secret can go through until it waits for its deletion.
fn whole_life() -> Living {
    let engine = engine();
    let (rows, records) = history(&engine);
    let mut life = Living { engine, rows, records };
    let tags = |text: &str| Tags::new(vec![Tag { key: "env".to_owned(), value: text.to_owned() }]).unwrap();
    let row = life.row();
    life.take(
        "UpdateSecret",
        &change::update(row.clone(), &sealed_for(&life.engine, &row, "v1"), None).unwrap(),
        None,
        None,
    );
    for text in ["dev", "prod"] {
        let change = change::tag(life.row(), &tags(text)).unwrap();
        life.take("TagResource", &change, Some(("qcs:request_tag", &format!("env&{text}"))), None);
    }
    life.take("UntagResource", &change::untag(life.row(), &["env"]).unwrap(), Some(("qcs:request_tag", "env&")), None);
    let change = ending::delete_version(life.row(), &version("v2")).unwrap();
    life.take("DeleteSecretVersion", &change, None, Some(("current", Value::from("v1"))));
    life.take("DisableSecret", &change::disable(life.row()).unwrap(), None, None);
    let window = Some(("keyward:recovery_window", "1"));
    let change = ending::delete(life.row(), 1, 100, 1).unwrap();
    life.take("DeleteSecret", &change, window, Some(("delete_time", Value::from(86_500_u64))));
    life.take("RestoreSecret", &ending::restore(life.row()).unwrap(), None, None);
    let change = ending::delete(life.row(), 1, 200, 1).unwrap();
    life.take("DeleteSecret", &change, window, Some(("delete_time", Value::from(86_600_u64))));
    life
}

fn purge(requested: u64) -> Draft {
    let mut draft = record("Purge", "s");
    draft.kind = Kind::Purge;
    draft.parameters.insert("due".to_owned(), Value::from(86_600_u64));
    draft.parameters.insert("requested".to_owned(), Value::from(requested));
    draft
}

#[test]
fn a_whole_life_has_no_findings_at_any_time_and_each_older_row_has_some() {
    let mut life = whole_life();
    for (done, rows) in life.rows.iter().enumerate() {
        assert_eq!(findings(&life.engine, rows, &life.records[..done]), Vec::<String>::new(), "after {done} records");
    }
    for done in 5..life.rows.len() {
        // A secret that was restored is as it was before.
        let before = &life.rows[done - 1];
        assert_ne!(findings(&life.engine, before, &life.records[..done]), Vec::<String>::new(), "{done} put back");
    }
    let purged = ending::purge(life.row(), 1);
    let mut rows = life.rows.last().unwrap().clone();
    rows.apply(&purged.writes(life.engine.row_key()));
    let requested = life.records.len() as u64 - 1;
    life.records.push(purge(requested));
    assert_eq!(findings(&life.engine, &rows, &life.records), Vec::<String>::new());
    assert_ne!(findings(&life.engine, life.rows.last().unwrap(), &life.records), Vec::<String>::new());
}

#[test]
fn a_secret_is_purged_only_as_it_waits_and_unknown_only_when_it_is_due() {
    let life = whole_life();
    let after = |draft: Draft| {
        let records = [life.records.as_slice(), &[draft]].concat();
        heard(&records).1.findings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let requested = life.records.len() as u64 - 1;
    assert_eq!(after(purge(requested)), Vec::<String>::new());
    assert!(after(purge(requested - 1))[0].contains("did not wait for this deletion"));
    let unknown = |time: &str| {
        let mut draft = record("DescribeSecret", "s");
        draft.resource = Some("qcs::ssm:local:uin/1:secret/creatorUin/*/s".to_owned());
        draft.outcome = Some(Outcome::Failed);
        let context = draft.context.as_mut().unwrap();
        context.conditions.insert("qcs:current_time".to_owned(), BTreeSet::from([time.to_owned()]));
        draft
    };
    assert_eq!(after(unknown("1970-01-02T00:03:20Z")), Vec::<String>::new());
    assert!(after(unknown("1970-01-02T00:03:19Z"))[0].contains("another creator"));
}

/// The same for keys: the rows that each call leaves, and its record.
struct LivingKeys {
    root: RootKey,
    rows: Vec<MemoryRows>,
    records: Vec<Draft>,
}

impl LivingKeys {
    fn keyring(&self, rows: &MemoryRows) -> Keyring {
        Keyring::load(rows, &self.root).unwrap()
    }

    fn take(
        &mut self,
        action: &str,
        said: &[(&str, u64)],
        call: impl FnOnce(&Keyring, Maker<'_>) -> Result<Vec<Write>, KeyError>,
    ) {
        let mut rows = self.rows.last().unwrap().clone();
        let maker = Maker { root: &self.root, random: &SystemRandom, at_s: 7 };
        rows.apply(&call(&self.keyring(&rows), maker).unwrap());
        let mut draft = record(action, "s");
        draft.action = format!("kms:{action}");
        draft.resource = Some("qcs::kms:local:uin/1:key/team".to_owned());
        draft.parameters.insert("key".to_owned(), Value::from("team"));
        draft.parameters.extend(said.iter().map(|(name, number)| ((*name).to_owned(), Value::from(*number))));
        if action == "Purge" {
            draft.kind = Kind::Purge;
        }
        self.rows.push(rows);
        self.records.push(draft);
    }

    fn findings(&self, rows: &MemoryRows, done: usize) -> Vec<String> {
        let (said, mut found) = heard(&self.records[..done]);
        said.keys().meet(&self.keyring(rows), &mut found);
        found.findings.iter().map(ToString::to_string).collect()
    }
}

#[test]
fn attack_h10_every_older_row_of_a_key_is_found_and_the_record_that_it_contradicts_is_named() {
    let (_, root, rows) = installed();
    let mut life = LivingKeys { root, rows: vec![rows], records: Vec::new() };
    let team = KeyId::parse("team").unwrap();
    life.take("CreateKey", &[], |keys, maker| keys.create(&team, maker));
    life.take("RotateKey", &[("generation", 2)], |keys, maker| Ok(keys.rotate(&team, maker)?.1));
    let first = KeyGeneration::FIRST;
    life.take("RetireKeyGeneration", &[("generation", 1)], |keys, _| keys.retire(&team, first, 0));
    life.take("DisableKey", &[], |keys, _| keys.disable(&team));
    life.take("ScheduleKeyDeletion", &[("delete_time", 90)], |keys, _| Ok(keys.schedule_deletion(&team, 90, 0)?.0));
    life.take("CancelKeyDeletion", &[], |keys, _| keys.cancel_deletion(&team));
    life.take("EnableKey", &[], |keys, _| keys.enable(&team));
    life.take("DisableKey", &[], |keys, _| keys.disable(&team));
    life.take("ScheduleKeyDeletion", &[("delete_time", 95)], |keys, _| Ok(keys.schedule_deletion(&team, 95, 0)?.0));
    life.take("Purge", &[("due", 95), ("requested", 8)], |keys, _| keys.purge(&team, 0));
    for now in 0..life.rows.len() {
        assert_eq!(life.findings(&life.rows[now], now), Vec::<String>::new(), "after {now} records");
        for old in (0..now).filter(|old| life.rows[*old] != life.rows[now]) {
            let found = life.findings(&life.rows[old], now);
            assert!(!found.is_empty(), "{old} under {now}");
            assert!(found.iter().all(|text| text.contains("key `team`")), "{found:?}");
            assert!(now == 10 || found.iter().all(|text| text.starts_with("index ")), "{found:?}");
        }
    }
    let disabled = life.findings(&life.rows[3], 4);
    let expected = "index 3: key `team`: it is Enabled in the store and Disabled by this record: an older row was put back, or it was altered";
    assert_eq!(disabled, [expected]);
    life.records[9].parameters.insert("requested".to_owned(), Value::from(3_u64));
    let found = life.findings(&life.rows[10], 10);
    assert_eq!(found, ["index 9: key `team`: it was purged and did not wait for this deletion"]);
}

#[test]
fn attack_h10_keys_put_back_under_an_older_root_key_are_found_at_the_record_of_the_newer_one() {
    let (before, old, mut rows) = installed();
    let new = root_key();
    rows.apply(&replaced(&rows, &old, &new, &SystemRandom).unwrap());
    let after = Keyring::load(&rows, &new).unwrap();
    let mut draft = record("RotateRootKey", "s");
    (draft.action, draft.resource) = ("kms:RotateRootKey".to_owned(), None);
    draft.parameters.insert("new".to_owned(), Value::from(new.id().to_string()));
    let findings = |keyring: &Keyring| {
        let (said, mut found) = heard(std::slice::from_ref(&draft));
        said.keys().meet(keyring, &mut found);
        found.findings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(findings(&after), Vec::<String>::new());
    let found = findings(&before);
    assert!(found.len() == 1 && found[0].starts_with("index 0: the keys are under the root key"), "{found:?}");
}

#[test]
fn i13_a_value_that_was_read_under_a_disabled_key_is_found_at_its_index() {
    let mut create = record("CreateSecret", "s");
    create.parameters.insert("key".to_owned(), Value::from("team"));
    let mut read = record("GetSecretValue", "s");
    for draft in [&mut create, &mut read] {
        (draft.secret_version, draft.value) = (Some("v1".to_owned()), Some("aa".to_owned()));
    }
    let of_key = |action: &str| {
        let mut draft = record(action, "s");
        (draft.action, draft.resource) = (format!("kms:{action}"), None);
        draft.parameters.insert("key".to_owned(), Value::from("team"));
        draft
    };
    let whole = [of_key("CreateKey"), create, read.clone(), of_key("DisableKey"), of_key("EnableKey"), read.clone()];
    assert_eq!(heard(&whole).1, Found::default());
    let found = heard(&[&whole[..4], &[read]].concat()).1;
    assert_eq!(
        found.findings[0].to_string(),
        "index 4: secret `s`: a value was read although index 3 disabled its key"
    );
}

#[test]
fn attack_h10_an_access_key_that_was_put_back_is_found_and_so_is_what_was_asked_in_its_name() {
    use crate::keys::{AccessKeyRow, NewAccessKey};
    use crate::principal::Principal;
    use keyward_audit::record::Credential;
    let (keyring, _, mut rows) = installed();
    let installation = keyring.installation();
    let none = AccessKeyRow { principal: Principal::parse("user/dev/a").unwrap(), keys: Vec::new() };
    let mut row = none.clone();
    let new = NewAccessKey { at_s: 7, groups: Vec::new(), roles: Vec::new(), groups_proved: false };
    let (id, _) = row.add(installation, new, &SystemRandom).unwrap();
    let mut off = row.clone();
    off.keys[0].is_active = false;
    let of_key = |action: &str, status: &str| {
        let mut draft = Draft::new(Kind::Access, format!("cam:{action}"), "native", "r");
        (draft.decision, draft.outcome) = (Some(Decision::Allow), Some(Outcome::Ok));
        draft.principal = Some("user/dev/a".to_owned());
        for (name, value) in [("access_key", id.as_str()), ("principal", "user/dev/a"), ("status", status)] {
            draft.parameters.insert(name.to_owned(), Value::from(value));
        }
        draft
    };
    let mut by_key = record("DescribeSecret", "gone");
    by_key.resource = None;
    by_key.principal = Some("user/dev/a".to_owned());
    by_key.credential = Some(Credential::AccessKey { access_key: id.as_str().to_owned(), issued: 7 });
    let made = of_key("CreateAccessKey", "Active");
    let (switched, deleted) = (of_key("UpdateAccessKey", "Inactive"), of_key("DeleteAccessKey", ""));
    let mut check = |row: &AccessKeyRow, before: &AccessKeyRow, records: &[&Draft]| {
        rows.apply(&row.writes(installation.row_key(), before));
        let records: Vec<Draft> = records.iter().map(|draft| (*draft).clone()).collect();
        let (said, mut found) = heard(&records);
        said.access_keys().meet(&rows, installation.row_key(), &mut found).unwrap();
        found.findings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(check(&row, &none, &[&made, &by_key]), Vec::<String>::new());
    assert_eq!(check(&off, &row, &[&made, &by_key, &switched]), Vec::<String>::new());
    assert_eq!(check(&none, &off, &[&made, &by_key, &switched, &deleted]), Vec::<String>::new());
    let found = check(&row, &none, &[&made, &switched, &by_key]);
    assert!(found[0].starts_with("index 2: ") && found[0].ends_with("was not active"), "{found:?}");
    assert!(
        found[1].starts_with("index 1: ")
            && found[1].ends_with("it is Active in the store and Inactive by this record")
    );
    let found = check(&row, &row, &[&made, &deleted, &by_key]);
    assert!(found[0].starts_with("index 2: "), "{found:?}");
    assert!(found[1].ends_with("is in the store and no record left it there"), "{found:?}");
    let found = check(&none, &row, &[&made]);
    assert!(found[0].starts_with("index 0: ") && found[0].contains("is not in the store"), "{found:?}");
}

/// An action that comes to write access keys or revocations must be understood here, too.
#[test]
fn every_write_of_cam_that_a_door_offers_is_understood() {
    let writes = ACTIONS
        .iter()
        .filter(|action| (action.service, action.effect, action.served) == (Service::Cam, Effect::Write, Served::Door));
    let understood =
        [Operation::RevokeToken, Operation::CreateAccessKey, Operation::UpdateAccessKey, Operation::DeleteAccessKey];
    assert_eq!(writes.map(|action| action.operation).collect::<Vec<_>>(), understood);
}

/// An action that comes to write keys must be understood here, too.
#[test]
fn every_write_of_a_key_that_a_door_offers_is_understood() {
    let writes = ACTIONS
        .iter()
        .filter(|action| (action.service, action.effect, action.served) == (Service::Kms, Effect::Write, Served::Door));
    let understood = [
        Operation::CreateKey,
        Operation::RotateKey,
        // It changes nothing that records hold: data keys by other generations open as before.
        Operation::RewrapKeys,
        Operation::RotateRootKey,
        Operation::RetireKeyGeneration,
        Operation::EnableKey,
        Operation::DisableKey,
        Operation::ScheduleKeyDeletion,
        Operation::CancelKeyDeletion,
    ];
    assert_eq!(writes.map(|action| action.operation).collect::<Vec<_>>(), understood);
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
        Operation::UpdateSecret,
        // It changes what no record holds.
        Operation::UpdateDescription,
        Operation::DeleteSecret,
        Operation::RestoreSecret,
        Operation::DeleteSecretVersion,
        Operation::TagResource,
        Operation::UntagResource,
        Operation::CreateSSHKeyPairSecret,
    ];
    assert_eq!(writes.map(|action| action.operation).collect::<Vec<_>>(), understood);
}
