use proptest::prelude::*;

use super::super::fixture::{MemoryRows, NoRandom, installed};
use super::*;
use crate::clock::SystemRandom;
use crate::keys::KeyUnusable;

/// A store of keys that is changed as calls do it.
struct Living {
    root: RootKey,
    rows: MemoryRows,
}

impl Living {
    fn new() -> Self {
        let (_, root, rows) = installed();
        Self { root, rows }
    }

    fn keyring(&self) -> Keyring {
        Keyring::load(&self.rows, &self.root).unwrap()
    }

    fn maker(&self) -> Maker<'_> {
        Maker { root: &self.root, random: &SystemRandom, at_s: 7 }
    }

    /// Applies what a call makes of the keys; answers why it does not.
    fn call<T>(
        &mut self,
        call: impl FnOnce(&Keyring, Maker<'_>) -> Result<(T, Vec<Write>), KeyError>,
    ) -> Result<T, KeyError> {
        let (told, writes) = call(&self.keyring(), self.maker())?;
        self.rows.apply(&writes);
        Ok(told)
    }

    fn create(&mut self, id: &KeyId) -> Result<(), KeyError> {
        self.call(|keys, maker| Ok(((), keys.create(id, maker)?)))
    }

    fn switch(&mut self, id: &KeyId, enabled: bool) -> Result<(), KeyError> {
        self.call(|keys, _| Ok(((), if enabled { keys.enable(id)? } else { keys.disable(id)? })))
    }

    fn rotate(&mut self, id: &KeyId) -> Result<KeyGeneration, KeyError> {
        self.call(|keys, maker| keys.rotate(id, maker))
    }

    fn schedule(&mut self, id: &KeyId, data_keys: u64) -> Result<(), KeyError> {
        let mut indexed = None;
        self.call(|keys, _| {
            let (writes, key) = keys.schedule_deletion(id, 100, data_keys)?;
            indexed = Some(key);
            Ok(((), writes))
        })?;
        self.rows.put(&indexed.unwrap(), 5_u64.to_be_bytes().to_vec());
        Ok(())
    }
}

fn team() -> KeyId {
    KeyId::parse("team").unwrap()
}

fn generation(number: u32) -> KeyGeneration {
    KeyGeneration::new(number).unwrap()
}

#[test]
fn a_key_is_made_used_switched_and_ended_by_its_rows_alone() {
    let mut keys = Living::new();
    let untouched = keys.rows.clone();
    keys.create(&team()).unwrap();
    assert_eq!(keys.create(&team()), Err(KeyError::Exists));
    assert_eq!(keys.keyring().newest(&team()), Ok(KeyGeneration::FIRST));
    let enabled = keys.rows.clone();
    keys.switch(&team(), true).unwrap();
    assert_eq!(keys.rows, enabled, "an enabled key stays as it is");
    keys.switch(&team(), false).unwrap();
    assert_eq!(keys.keyring().newest(&team()), Err(KeyUnusable::Disabled));
    assert_eq!(keys.rotate(&team()), Err(KeyError::WrongState { state: "Disabled", first: "EnableKey" }));
    keys.schedule(&team(), 0).unwrap();
    assert_eq!(keys.keyring().key(&team()).unwrap().state, State::PendingDelete { delete_at_s: 100 });
    assert_eq!(keys.keyring().newest(&team()), Err(KeyUnusable::PendingDelete));
    let pending = |first| Err(KeyError::WrongState { state: "PendingDelete", first });
    assert_eq!(keys.switch(&team(), true), pending("CancelKeyDeletion"));
    assert_eq!(keys.schedule(&team(), 0), pending("CancelKeyDeletion"));
    assert_eq!(keys.create(&team()), Err(KeyError::Exists));
    keys.call(|keys, _| Ok(((), keys.cancel_deletion(&team())?))).unwrap();
    assert_eq!(keys.keyring().key(&team()).unwrap().state, State::Disabled);
    keys.switch(&team(), true).unwrap();
    assert_eq!(keys.rows, enabled, "as it was, byte for byte");
    keys.switch(&team(), false).unwrap();
    let early = keys.keyring().purge(&team(), 0);
    assert_eq!(early, Err(KeyError::WrongState { state: "Disabled", first: "ScheduleKeyDeletion" }));
    keys.schedule(&team(), 0).unwrap();
    keys.call(|keys, _| Ok(((), keys.purge(&team(), 0)?))).unwrap();
    assert_eq!(keys.rows, untouched, "nothing is left of it");
    assert_eq!(keys.switch(&team(), true), Err(KeyError::NotFound));
}

#[test]
fn attack_h04_a_generation_or_a_key_that_wraps_anything_is_not_ended() {
    let mut keys = Living::new();
    keys.create(&team()).unwrap();
    assert_eq!(keys.rotate(&team()), Ok(generation(2)));
    let retire = |keys: &Living, number, used| keys.keyring().retire(&team(), generation(number), used);
    assert_eq!(retire(&keys, 1, 3), Err(KeyError::GenerationUsed(3)));
    assert_eq!(retire(&keys, 2, 0), Err(KeyError::Newest));
    assert_eq!(retire(&keys, 3, 0), Err(KeyError::GenerationNotFound(generation(3))));
    assert!(keys.keyring().holds(&team(), generation(1)));
    keys.call(|keys, _| Ok(((), keys.retire(&team(), generation(1), 0)?))).unwrap();
    assert!(!keys.keyring().holds(&team(), generation(1)));
    assert_eq!(keys.keyring().usable(&team(), generation(2)), Ok(()));
    // A number is not used again.
    assert_eq!(keys.rotate(&team()), Ok(generation(3)));
    assert_eq!(keys.schedule(&team(), 0), Err(KeyError::WrongState { state: "Enabled", first: "DisableKey" }));
    keys.switch(&team(), false).unwrap();
    assert_eq!(keys.schedule(&team(), 1), Err(KeyError::Used(1)));
    keys.schedule(&team(), 0).unwrap();
    assert_eq!(keys.keyring().purge(&team(), 1), Err(KeyError::Used(1)));
    let default = KeyId::default_key();
    keys.switch(&default, false).unwrap();
    assert_eq!(keys.schedule(&default, 0), Err(KeyError::Default));
}

#[test]
fn there_are_only_so_many_keys_and_generations_and_none_without_randomness() {
    let mut keys = Living::new();
    for number in 1..GENERATIONS_MAX {
        assert_eq!(keys.rotate(&KeyId::default_key()).unwrap().get() as usize, number + 1);
    }
    assert_eq!(keys.rotate(&KeyId::default_key()), Err(KeyError::GenerationsLimit));
    let mut keys = Living::new();
    let keyring = keys.keyring();
    let mut writes = Vec::new();
    for number in 1..KEYS_MAX {
        writes.extend(keyring.create(&KeyId::parse(&format!("k{number}")).unwrap(), keys.maker()).unwrap());
    }
    keys.rows.apply(&writes);
    assert_eq!(keys.create(&team()), Err(KeyError::KeysLimit));
    let without = Maker { root: &keys.root, random: &NoRandom, at_s: 7 };
    assert!(matches!(keyring.create(&team(), without), Err(KeyError::Seal(_))));
    assert!(matches!(keyring.rotate(&KeyId::default_key(), without), Err(KeyError::Seal(_))));
}

#[derive(Clone, Copy, Debug)]
enum Call {
    Create,
    Enable,
    Disable,
    Rotate,
    Schedule,
    Cancel,
    Purge,
    Retire(u32),
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        Just(Call::Create),
        Just(Call::Enable),
        Just(Call::Disable),
        Just(Call::Rotate),
        Just(Call::Schedule),
        Just(Call::Cancel),
        Just(Call::Purge),
        (1_u32..5).prop_map(Call::Retire),
    ];
    prop::collection::vec(call, 1..24)
}

/// What a key is, as simply as it can be said: state, newest generation, generations.
type Model = Option<(&'static str, u32, Vec<u32>)>;

/// What a call makes of it; none if it is refused.
fn model(key: &Model, call: Call) -> Option<Model> {
    let Some((state, newest, all)) = key.clone() else {
        return matches!(call, Call::Create).then(|| Some(("Enabled", 1, vec![1])));
    };
    let waits = state == "PendingDelete";
    match call {
        Call::Create => None,
        Call::Enable if !waits => Some(Some(("Enabled", newest, all))),
        Call::Disable if !waits => Some(Some(("Disabled", newest, all))),
        Call::Rotate if state == "Enabled" => {
            Some(Some((state, newest + 1, all.into_iter().chain([newest + 1]).collect())))
        }
        Call::Schedule if state == "Disabled" => Some(Some(("PendingDelete", newest, all))),
        Call::Cancel if waits => Some(Some(("Disabled", newest, all))),
        Call::Purge if waits => Some(None),
        Call::Retire(number) if number != newest && all.contains(&number) => {
            Some(Some((state, newest, all.into_iter().filter(|one| *one != number).collect())))
        }
        _ => None,
    }
}

proptest! {
    /// Whatever is called in whatever order: the keyring loads and is what a naive model says.
    #[test]
    fn keys_are_what_the_calls_made_of_them(calls in calls()) {
        let mut keys = Living::new();
        let mut expected: Model = None;
        let id = team();
        for call in calls {
            let done = match call {
                Call::Create => keys.create(&id),
                Call::Enable => keys.switch(&id, true),
                Call::Disable => keys.switch(&id, false),
                Call::Rotate => keys.rotate(&id).map(|_| ()),
                Call::Schedule => keys.schedule(&id, 0),
                Call::Cancel => keys.call(|keys, _| Ok(((), keys.cancel_deletion(&id)?))),
                Call::Purge => keys.call(|keys, _| Ok(((), keys.purge(&id, 0)?))),
                Call::Retire(number) => keys.call(|keys, _| Ok(((), keys.retire(&id, generation(number), 0)?))),
            };
            let after = model(&expected, call);
            prop_assert_eq!(done.is_ok(), after.is_some(), "{:?}: {:?}", call, done);
            expected = after.unwrap_or(expected);
            let keyring = keys.keyring();
            let shown = keyring.key(&id).map(|key| {
                (key.state.name(), key.newest.get(), key.generations.iter().map(|(one, _)| one.get()).collect())
            });
            prop_assert_eq!(&shown, &expected);
        }
    }
}
