use super::*;
use crate::keys::fixture::MemoryRows;
use crate::secret::change::{create, put};
use crate::secret::fixture::{at, binding, created, creator, engine, name, new_secret, sealed_for, text, version};
use crate::secret::{Engine, Limits, lookup};

fn disabled(engine: &Engine, of: &str) -> (SecretRow, MemoryRows) {
    let created = created(engine, of);
    let mut rows = MemoryRows::of(&created.writes(engine.row_key()));
    let second =
        put(created.row.clone(), &sealed_for(engine, &created.row, "v2"), at(false, 2), &Limits::default()).unwrap();
    rows.apply(&second.writes(engine.row_key()));
    let change = super::super::disable(second.row).unwrap();
    rows.apply(&change.writes(engine.row_key()));
    (change.row, rows)
}

/// The writes of a change, and the row that holds the index of its record.
fn apply(engine: &Engine, rows: &mut MemoryRows, change: &Change, index: u64) {
    rows.apply(&change.writes(engine.row_key()));
    if let Some(key) = &change.indexed {
        rows.put(key, index.to_be_bytes().to_vec());
    }
}

#[test]
fn i02_a_secret_deleted_at_once_leaves_its_creator_alone() {
    let engine = engine();
    let (row, mut rows) = disabled(&engine, "prod/db");
    let change = delete(row.clone(), 0, 100, 1).unwrap();
    assert_eq!(change.indexed, None);
    apply(&engine, &mut rows, &change, 7);
    assert_eq!(lookup::secret(&rows, engine.row_key(), &row.name).unwrap(), None);
    assert_eq!(lookup::secrets_held(&rows).unwrap(), 0);
    let left: Vec<u8> = rows.0.keys().map(|(_, key)| key[0]).collect();
    assert_eq!(left, [b'c', b'n']);
}

#[test]
fn i02_a_deletion_that_waits_is_found_when_it_is_due_and_leaves_nothing_when_it_is_taken_back() {
    let engine = engine();
    let (row, mut rows) = disabled(&engine, "prod/db");
    let before = rows.clone();
    let change = delete(row, 7, 100, 1).unwrap();
    apply(&engine, &mut rows, &change, 61_207);
    let due_at_s = 100 + 7 * 86_400;
    assert_eq!(change.row.state, State::PendingDelete { delete_at_s: due_at_s });
    assert!(!change.row.is_due(due_at_s - 1) && change.row.is_due(due_at_s) && !change.row.is_due(0));
    assert_eq!(lookup::due(&rows, due_at_s - 1, 9).unwrap(), []);
    let due = lookup::Due { name: name("prod/db"), at_s: due_at_s, requested: 61_207 };
    assert_eq!(lookup::due(&rows, due_at_s, 9).unwrap(), [due]);
    assert_eq!(lookup::requested(&rows, &change.row).unwrap(), 61_207);
    assert_eq!(lookup::in_shard(&rows, &name("prod/db")).unwrap(), 1);

    let restored = restore(change.row.clone()).unwrap();
    let mut taken_back = rows.clone();
    apply(&engine, &mut taken_back, &restored, 0);
    assert_eq!(taken_back, before);

    rows.apply(&purge(change.row.clone(), 1).writes(engine.row_key()));
    let left: Vec<u8> = rows.0.keys().map(|(_, key)| key[0]).collect();
    assert_eq!(left, [b'c', b'n']);
    assert_eq!(lookup::secrets_held(&rows).unwrap(), 0);
    assert!(lookup::requested(&rows, &change.row).is_err());
}

#[test]
fn states_allow_what_the_table_says() {
    let engine = engine();
    let (row, _) = disabled(&engine, "prod/db");
    let in_state = |state| SecretRow { state, ..row.clone() };
    let first = |outcome: Result<Change, SecretError>| match outcome {
        Err(SecretError::WrongState { first, .. }) => first,
        other => panic!("{other:?}"),
    };
    let waiting = in_state(State::PendingDelete { delete_at_s: 9 });
    for days in [0, 1] {
        assert_eq!(first(delete(in_state(State::Enabled), days, 1, 1)), "DisableSecret");
        assert_eq!(first(delete(waiting.clone(), days, 1, 1)), "RestoreSecret");
    }
    for state in [State::Enabled, State::Disabled] {
        assert_eq!(first(restore(in_state(state))), "DeleteSecret");
    }
    assert_eq!(restore(waiting.clone()).unwrap().row.state, State::Disabled);
    for state in [State::Enabled, State::Disabled, waiting.state] {
        assert_eq!(delete_version(in_state(state), &version("v1")).unwrap().row.state, state);
    }
}

#[test]
fn i02_a_creation_on_a_name_that_is_gone_takes_its_place_and_leaves_nothing_of_it() {
    let engine = engine();
    let (row, mut rows) = disabled(&engine, "prod/db");
    let change = delete(row, 1, 100, 1).unwrap();
    apply(&engine, &mut rows, &change, 7);
    let full = Limits { secrets_max: 1, ..Limits::default() };
    let view = lookup::creation(&rows, engine.row_key(), &name("prod/db"), creator()).unwrap();
    let binding = binding("prod/db", "v1");
    let id = binding.secret;
    let sealed = engine.seal(&engine.keyring(), &text("new"), binding, &crate::keys::KeyId::default_key()).unwrap();
    let make = |view: &lookup::CreationView| create(view, new_secret(id), &sealed, &full);
    let early = view.clone().without_gone(|row| row.is_due(100 + 86_399));
    assert_eq!(make(&early).err(), Some(SecretError::SecretExists));
    let made = make(&view.without_gone(|row| row.is_due(100 + 86_400))).unwrap();
    rows.apply(&made.writes(engine.row_key()));
    assert_eq!(lookup::secret(&rows, engine.row_key(), &name("prod/db")).unwrap(), Some(made.row));
    assert_eq!(lookup::secrets_held(&rows).unwrap(), 1);
    let left: Vec<u8> = rows.0.keys().map(|(_, key)| key[0]).collect();
    assert_eq!(left, [b'c', b'n', b's', b'v'], "one value and no deletion");
}
