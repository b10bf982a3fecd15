use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::keys::fixture::MemoryRows;
use crate::secret::fixture::{
    alice, at, binding, created, creator, engine, free, name, new_secret, opened, sealed_for, text, version,
};
use crate::secret::lookup;
use crate::secret::{Engine, SecretId};

const PENDING: State = State::PendingDelete { delete_at_s: 9 };

/// What a call answered, in one word of the table of states.
fn answer(outcome: Result<Change, SecretError>) -> &'static str {
    match outcome {
        Ok(change) if change.rows.is_empty() => "no change",
        Ok(change) => match change.row.state {
            State::Enabled => "-> Enabled",
            State::Disabled => "-> Disabled",
            State::PendingDelete { .. } => "-> PendingDelete",
        },
        Err(SecretError::WrongState { first, .. }) => first,
        Err(SecretError::Disabled) => "ResourceDisabled",
        Err(SecretError::PendingDeleted) => "ResourcePendingDeleted",
        Err(_) => "other",
    }
}

fn in_state(engine: &Engine, state: State) -> SecretRow {
    SecretRow { state, ..created(engine, "prod/db").row }
}

#[test]
fn calls_answer_by_state_as_the_table_says() {
    let engine = engine();
    let limits = Limits::default();
    let table = [
        (State::Enabled, ["-> Enabled", "-> Enabled", "no change", "-> Disabled", "-> Enabled", "-> Enabled"]),
        (State::Disabled, ["-> Disabled", "-> Disabled", "-> Enabled", "no change", "-> Disabled", "-> Disabled"]),
        (PENDING, ["RestoreSecret"; 6]),
    ];
    let text = Description::new("other").unwrap();
    for (state, expected) in table {
        let row = in_state(&engine, state);
        let second = sealed_for(&engine, &row, "v2");
        let with_second = SecretRow { state, ..put_second(&engine) };
        let answers = [
            answer(put(row.clone(), &second, at(false, 2), &limits)),
            answer(set_current(with_second, &version("v2"))),
            answer(enable(row.clone())),
            answer(disable(row.clone())),
            answer(update(row.clone(), &sealed_for(&engine, &row, "v1"), None)),
            answer(set_description(row.clone(), text.clone())),
        ];
        assert_eq!(answers, expected, "{state:?}");
    }
}

/// A secret with `v1` current and `v2` staged.
fn put_second(engine: &Engine) -> SecretRow {
    let row = created(engine, "prod/db").row;
    let sealed = sealed_for(engine, &row, "v2");
    put(row, &sealed, at(true, 2), &Limits::default()).unwrap().row
}

#[test]
fn reads_answer_by_state_and_existence_comes_first() {
    let engine = engine();
    let missing = SecretError::VersionNotFound(version("v9"));
    for (state, expected) in [
        (State::Enabled, None),
        (State::Disabled, Some(SecretError::Disabled)),
        (PENDING, Some(SecretError::PendingDeleted)),
    ] {
        let row = in_state(&engine, state);
        assert_eq!(row.serve(None).err(), expected);
        assert_eq!(row.serve(Some(&version("v1"))).err(), expected);
        assert_eq!(row.serve(Some(&version("v9"))).err(), Some(missing.clone()));
        assert_eq!(set_current(row, &version("v9")).err(), Some(missing.clone()));
    }
}

#[test]
fn a_read_without_version_serves_the_current_one_and_staged_versions_are_served_by_name() {
    let row = put_second(&engine());
    assert_eq!(row.serve(None).unwrap().id, version("v1"));
    assert_eq!(row.serve(Some(&version("v2"))).unwrap().id, version("v2"));
    assert!(row.serve(Some(&version("v2"))).unwrap().staged);
}

#[test]
fn i02_a_creation_writes_the_secret_its_value_its_creator_and_its_count_together() {
    let engine = engine();
    let change = created(&engine, "prod/db");
    let rows = MemoryRows::of(&change.writes(engine.row_key()));
    let row = lookup::secret(&rows, engine.row_key(), &name("prod/db")).unwrap().unwrap();
    assert_eq!(row, change.row);
    let served = row.serve(None).unwrap();
    let value = lookup::value(&rows, &row, served).unwrap();
    assert_eq!(opened(&engine, &value, &row.binding(served)).unwrap().expose(), b"v1");
    let view = lookup::creation(&rows, engine.row_key(), &name("prod/db"), creator()).unwrap();
    assert_eq!((view.in_shard, view.total), (1, 1));
    assert_eq!(view.creator_principal, Some(alice()));
    assert_eq!(change.rows.len(), 4);
    assert_eq!(change.version.as_ref().map(|version| version.value), Some(served.value));
}

#[test]
fn i02_a_put_writes_the_secret_and_the_new_value_and_leaves_the_old_value_alone() {
    let engine = engine();
    let row = created(&engine, "prod/db").row;
    let sealed = sealed_for(&engine, &row, "v2");
    let change = put(row.clone(), &sealed, at(false, 5), &Limits::default()).unwrap();
    let keys: Vec<_> = change.writes(engine.row_key()).iter().map(|write| write.key.clone()).collect();
    assert_eq!(keys, [address::secret(&row.name), address::value(row.id, sealed.binding().value)]);
    assert_eq!(change.previous, Some(version("v1")));
    assert_eq!(change.row.current, version("v2"));
    assert_eq!(change.row.versions.last().map(|version| (version.created_at_s, version.staged)), Some((5, false)));
}

#[test]
fn a_name_in_any_state_keeps_its_name() {
    let engine = engine();
    for state in [State::Enabled, State::Disabled, PENDING] {
        let view = CreationView { existing: Some(in_state(&engine, state)), ..free("prod/db") };
        assert_eq!(create_on(&engine, &view, &Limits::default()), Some(SecretError::SecretExists));
    }
}

/// Creates on `view` and answers the refusal.
fn create_on(engine: &Engine, view: &CreationView, limits: &Limits) -> Option<SecretError> {
    let binding = binding(view.name.as_str(), "v1");
    let id = binding.secret;
    let sealed = engine.seal(&engine.keyring(), &text("x"), binding, &KeyId::default_key()).unwrap();
    create(view, new_secret(id), &sealed, limits).err()
}

#[test]
fn the_quota_of_secrets_is_exact() {
    let engine = engine();
    let limits = Limits { secrets_max: 3, ..Limits::default() };
    let held = |total| CreationView { total, ..free("a") };
    assert_eq!(create_on(&engine, &held(2), &limits), None);
    for total in [3, 4, u64::MAX] {
        assert_eq!(create_on(&engine, &held(total), &limits), Some(SecretError::SecretsLimit { max: 3 }));
    }
}

#[test]
fn a_creator_number_that_is_anothers_is_refused() {
    let engine = engine();
    let other = Principal::parse("user/dev/mallory").unwrap();
    let view = CreationView { creator_principal: Some(other), ..free("a") };
    assert_eq!(create_on(&engine, &view, &Limits::default()), Some(SecretError::CreatorCollision));
    let own = CreationView { creator_principal: Some(alice()), ..free("a") };
    assert_eq!(create_on(&engine, &own, &Limits::default()), None);
}

#[test]
fn a_version_id_is_taken_once_and_versions_are_limited() {
    let engine = engine();
    let limits = Limits { versions_max: 2, ..Limits::default() };
    let row = created(&engine, "prod/db").row;
    let again = put(row.clone(), &sealed_for(&engine, &row, "v1"), at(false, 2), &limits);
    assert_eq!(again.err(), Some(SecretError::VersionIdExists(version("v1"))));
    let row = put(row.clone(), &sealed_for(&engine, &row, "V1"), at(false, 2), &limits).unwrap().row;
    let third = put(row.clone(), &sealed_for(&engine, &row, "v3"), at(true, 2), &limits);
    assert_eq!(third.err(), Some(SecretError::VersionsLimit { max: 2 }));
    // A conflict is told before a quota, as it stands in the order of the table.
    let full = put(row.clone(), &sealed_for(&engine, &row, "v1"), at(true, 2), &limits);
    assert_eq!(full.err(), Some(SecretError::VersionIdExists(version("v1"))));
}

#[test]
fn a_value_sealed_for_another_secret_is_not_taken() {
    let engine = engine();
    let row = created(&engine, "prod/db").row;
    let twin = SecretRow { id: SecretId::from([1; 16]), ..row.clone() };
    let renamed = SecretRow { name: name("prod/other"), ..row.clone() };
    for other in [twin, renamed] {
        let foreign = sealed_for(&engine, &other, "v2");
        let outcome = put(row.clone(), &foreign, at(false, 2), &Limits::default());
        assert_eq!(outcome.err(), Some(SecretError::ForeignValue));
    }
    let first = row.versions[0].value;
    let reused = engine.seal(
        &engine.keyring(),
        &text("x"),
        super::super::Binding { version: version("v2"), ..row.binding(&row.versions[0]) },
        &row.key,
    );
    assert_eq!(reused.as_ref().unwrap().binding().value, first);
    let outcome = put(row, &reused.unwrap(), at(false, 2), &Limits::default());
    assert_eq!(outcome.err(), Some(SecretError::ForeignValue));
}

#[test]
fn set_current_moves_either_way_and_ends_staging() {
    let row = put_second(&engine());
    let forward = set_current(row, &version("v2")).unwrap();
    assert_eq!((forward.previous, forward.row.current.clone()), (Some(version("v1")), version("v2")));
    assert!(!forward.row.version(&version("v2")).unwrap().staged);
    let back = set_current(forward.row, &version("v1")).unwrap();
    assert_eq!((back.previous, back.row.current.clone()), (Some(version("v2")), version("v1")));
    assert!(!back.row.version(&version("v2")).unwrap().staged);
    let same = set_current(back.row, &version("v1")).unwrap();
    assert_eq!((same.previous, same.rows.len()), (Some(version("v1")), 0));
}

/// A version id, or a whole name, that is deleted and used again: new value id, and the old row does not open as it.
#[test]
fn attack_h04_a_reused_version_id_gets_a_new_value_and_the_old_row_cannot_return() {
    let engine = engine();
    let first = created(&engine, "prod/db");
    let old = MemoryRows::of(&first.writes(engine.row_key()));
    let row = put_second(&engine);
    let without = SecretRow { versions: row.versions[..1].to_vec(), ..row.clone() };
    let again = put(without.clone(), &sealed_for(&engine, &without, "v2"), at(true, 3), &Limits::default()).unwrap();
    let (before, after) = (&row.versions[1], again.version.unwrap());
    assert_eq!(before.id, after.id);
    assert_ne!(before.value, after.value);
    // The whole name made anew: another secret id, so the old life's row is not even at its address.
    let second = created(&engine, "prod/db");
    let version = second.row.serve(None).unwrap();
    assert_ne!(first.row.id, second.row.id);
    assert!(lookup::value(&old, &second.row, version).is_err());
    // And laid there by force, it does not open.
    let old_value = lookup::value(&old, &first.row, first.row.serve(None).unwrap()).unwrap();
    assert!(opened(&engine, &old_value, &second.row.binding(version)).is_err());
}

#[test]
fn i02_an_update_writes_the_new_value_and_deletes_the_one_before() {
    let engine = engine();
    let row = put_second(&engine);
    let before = row.version(&version("v1")).unwrap().clone();
    let sealed = sealed_for(&engine, &row, "v1");
    let change = update(row.clone(), &sealed, None).unwrap();
    let writes = change.writes(engine.row_key());
    let after = change.version.unwrap();
    assert_eq!((after.id.clone(), after.created_at_s, after.staged), (before.id, before.created_at_s, before.staged));
    assert_eq!(after.value, sealed.binding().value);
    assert_eq!(change.row.versions.len(), row.versions.len());
    assert_eq!(change.row.current, row.current);
    let deleted: Vec<_> = writes.iter().filter(|write| write.value.is_none()).map(|write| &write.key).collect();
    assert_eq!(deleted, [&address::value(row.id, before.value)]);
    assert_eq!(writes.len(), 3);
    let reused = engine.seal(&engine.keyring(), &text("x"), row.binding(&row.versions[0]), &row.key).unwrap();
    assert_eq!(update(row.clone(), &reused, None).err(), Some(SecretError::ForeignValue));
    let missing = sealed_for(&engine, &row, "v9");
    assert_eq!(update(row, &missing, None).err(), Some(SecretError::VersionNotFound(version("v9"))));
}

#[test]
fn tags_and_descriptions_that_stay_the_same_write_nothing() {
    let engine = engine();
    let row = created(&engine, "prod/db").row;
    let tags =
        |value: &str| Tags::new(vec![crate::secret::Tag { key: "env".to_owned(), value: value.to_owned() }]).unwrap();
    let tagged = tag(row.clone(), &tags("prod")).unwrap();
    assert_eq!((tagged.writes(engine.row_key()).len(), tagged.row.tags.clone()), (1, tags("prod")));
    assert!(tag(tagged.row.clone(), &tags("prod")).unwrap().writes(engine.row_key()).is_empty());
    assert!(untag(tagged.row.clone(), &["team"]).unwrap().writes(engine.row_key()).is_empty());
    assert_eq!(untag(tagged.row, &["env", "team"]).unwrap().row.tags, Tags::default());
    assert!(set_description(row, Description::default()).unwrap().writes(engine.row_key()).is_empty());
    let waiting = in_state(&engine, PENDING);
    assert_eq!(answer(tag(waiting.clone(), &tags("a"))), "RestoreSecret");
    assert_eq!(answer(untag(waiting, &["env"])), "RestoreSecret");
}

#[derive(Clone, Debug)]
enum Call {
    Put(u8, bool),
    Update(u8),
    Delete(u8),
    SetCurrent(u8),
    Enable,
    Disable,
    Read(Option<u8>),
}

fn calls() -> impl Strategy<Value = Call> {
    prop_oneof![
        3 => (0..6_u8, any::<bool>()).prop_map(|(id, stage)| Call::Put(id, stage)),
        2 => (0..6_u8).prop_map(Call::Update),
        2 => (0..6_u8).prop_map(Call::Delete),
        2 => (0..6_u8).prop_map(Call::SetCurrent),
        1 => Just(Call::Enable),
        1 => Just(Call::Disable),
        4 => proptest::option::of(0..6_u8).prop_map(Call::Read),
    ]
}

/// The naive model: what a person would keep on paper.
struct Model {
    enabled: bool,
    current: u8,
    staged: BTreeMap<u8, bool>,
    /// Ids in the order in which they were added.
    added: Vec<u8>,
}

const MODEL_VERSIONS_MAX: usize = 4;

impl Model {
    /// The version read or written, or the code.
    fn call(&mut self, call: &Call) -> Result<Option<u8>, &'static str> {
        match *call {
            Call::Put(id, _) if self.staged.contains_key(&id) => Err("VersionIdExists"),
            Call::Put(_, _) if self.staged.len() == MODEL_VERSIONS_MAX => Err("LimitExceeded"),
            Call::Put(id, stage) => {
                self.staged.insert(id, stage);
                self.added.push(id);
                self.current = if stage { self.current } else { id };
                Ok(Some(id))
            }
            Call::Update(id) => self.staged.get(&id).map(|_| Some(id)).ok_or("ResourceNotFound"),
            Call::Delete(id) if !self.staged.contains_key(&id) => Err("ResourceNotFound"),
            Call::Delete(_) if self.staged.len() == 1 => Err("LastVersion"),
            Call::Delete(id) => {
                let others = self.added.iter().rev().filter(|other| **other != id);
                let next = others.clone().find(|other| !self.staged[other]);
                if self.current == id {
                    self.current = *next.ok_or("OnlyStaged")?;
                }
                self.staged.remove(&id);
                self.added.retain(|other| *other != id);
                Ok(Some(id))
            }
            Call::SetCurrent(id) => {
                *self.staged.get_mut(&id).ok_or("ResourceNotFound")? = false;
                self.current = id;
                Ok(Some(id))
            }
            Call::Enable | Call::Disable => {
                self.enabled = matches!(call, Call::Enable);
                Ok(None)
            }
            Call::Read(id) => {
                let id = id.unwrap_or(self.current);
                self.staged.get(&id).ok_or("ResourceNotFound")?;
                if self.enabled { Ok(Some(id)) } else { Err("ResourceDisabled") }
            }
        }
    }
}

fn id(number: u8) -> VersionId {
    version(&format!("v{number}"))
}

fn code(error: &SecretError) -> &'static str {
    match error {
        SecretError::VersionIdExists(_) => "VersionIdExists",
        SecretError::VersionsLimit { .. } => "LimitExceeded",
        SecretError::VersionNotFound(_) => "ResourceNotFound",
        SecretError::Disabled => "ResourceDisabled",
        SecretError::LastVersion => "LastVersion",
        SecretError::OnlyStaged => "OnlyStaged",
        _ => "unexpected",
    }
}

/// One call on the stored rows; answers the version and, for reads, what came out.
fn real(engine: &Engine, rows: &mut MemoryRows, call: &Call) -> Result<Option<VersionId>, &'static str> {
    let limits = Limits { versions_max: MODEL_VERSIONS_MAX, ..Limits::default() };
    let row = lookup::secret(rows, engine.row_key(), &name("s")).unwrap().unwrap();
    let outcome = match call {
        Call::Put(number, stage) => {
            let sealed = sealed_for(engine, &row, id(*number).as_str());
            put(row, &sealed, at(*stage, 1), &limits)
        }
        Call::Update(number) => update(row.clone(), &sealed_for(engine, &row, id(*number).as_str()), None),
        Call::Delete(number) => ending::delete_version(row, &id(*number)),
        Call::SetCurrent(number) => set_current(row, &id(*number)),
        Call::Enable => enable(row),
        Call::Disable => disable(row),
        Call::Read(number) => {
            let served = row.serve(number.map(id).as_ref()).map_err(|error| code(&error))?;
            let value = lookup::value(rows, &row, served).unwrap();
            let plaintext = opened(engine, &value, &row.binding(served)).unwrap();
            assert_eq!(plaintext.expose(), served.id.as_str().as_bytes(), "each version holds its own id as value");
            return Ok(Some(served.id.clone()));
        }
    };
    let change = outcome.map_err(|error| code(&error))?;
    rows.apply(&change.writes(engine.row_key()));
    Ok(change.version.map(|version| version.id))
}

/// Its root key goes through a synced file: once is enough.
static ENGINE: LazyLock<Engine> = LazyLock::new(engine);

proptest! {
    #[test]
    fn any_run_of_calls_does_what_a_naive_model_does(calls in prop::collection::vec(calls(), 0..40)) {
        let engine = &*ENGINE;
        let change = {
            let mut binding = binding("s", "v0");
            binding.secret = SecretId::from([5; 16]);
            let sealed = engine.seal(&engine.keyring(), &text("v0"), binding, &KeyId::default_key()).unwrap();
            create(&free("s"), new_secret([5; 16].into()), &sealed, &Limits::default()).unwrap()
        };
        let mut rows = MemoryRows::of(&change.writes(engine.row_key()));
        let mut model = Model { enabled: true, current: 0, staged: BTreeMap::from([(0, false)]), added: vec![0] };
        for call in calls {
            let expected = model.call(&call).map(|version| version.map(id));
            prop_assert_eq!(real(engine, &mut rows, &call), expected, "{:?}", call);
            let row = lookup::secret(&rows, engine.row_key(), &name("s")).unwrap().unwrap();
            let staged: BTreeMap<_, _> = row.versions.iter().map(|v| (v.id.clone(), v.staged)).collect();
            let on_paper: BTreeMap<_, _> = model.staged.iter().map(|(number, staged)| (id(*number), *staged)).collect();
            prop_assert_eq!(staged, on_paper);
            prop_assert_eq!(row.current, id(model.current));
            prop_assert_eq!(row.state == State::Enabled, model.enabled);
            let values = rows.0.keys().filter(|(_, key)| address::secret_of_value(key).is_some()).count();
            prop_assert_eq!(values, row.versions.len(), "a value for each version and no other");
        }
    }
}
