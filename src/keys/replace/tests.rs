use super::super::SealError;
use super::super::fixture::{MemoryRows, NoRandom, add_generation, installed, root_key};
use super::*;
use crate::clock::SystemRandom;
use crate::principal::Principal;
use crate::state::State;

fn loaded(rows: &MemoryRows, root: &RootKey) -> Result<Keyring, String> {
    Keyring::load(rows, root).map_err(|error| error.to_string())
}

/// A store with two keys, one of them with two generations.
fn store() -> (RootKey, MemoryRows) {
    let (_, root, mut rows) = installed();
    add_generation(&mut rows, &root, &KeyId::default_key(), 2, State::Enabled);
    add_generation(&mut rows, &root, &KeyId::parse("team").unwrap(), 1, State::Disabled);
    (root, rows)
}

#[test]
fn i08_another_root_key_opens_the_same_keys_and_the_one_before_opens_nothing() {
    let (old, before) = store();
    let new = root_key();
    let writes = replaced(&before, &old, &new, &SystemRandom).unwrap();
    let mut after = before.clone();
    after.apply(&writes);
    let (one, two) = (loaded(&before, &old).unwrap(), loaded(&after, &new).unwrap());
    assert_eq!(one.installation().id(), two.installation().id());
    let alice = Principal::parse("user/dev/alice").unwrap();
    assert_eq!(one.creator_number(&alice), two.creator_number(&alice));
    for (key, number) in [("default", 1), ("default", 2), ("team", 1)] {
        let (key, number) = (KeyId::parse(key).unwrap(), KeyGeneration::new(number).unwrap());
        assert!(one.material(&key, number).unwrap().expose() == two.material(&key, number).unwrap().expose());
    }
    let refused = loaded(&after, &old).err().unwrap();
    assert!(refused.contains(&format!("it is under the root key `{}`", new.id())), "{refused}");
    // What the root key does not wrap is as it was.
    let unchanged = |(address, row): &(&(Family, Vec<u8>), &Vec<u8>)| before.0.get(*address) == Some(*row);
    let kept: Vec<_> = after.0.iter().filter(unchanged).map(|((_, key), _)| String::from_utf8_lossy(key)).collect();
    assert_eq!(kept, ["key/default", "key/team"]);
}

#[test]
fn i02_with_any_row_of_the_batch_missing_the_keys_do_not_load() {
    let (old, before) = store();
    let new = root_key();
    let writes = replaced(&before, &old, &new, &SystemRandom).unwrap();
    for left_out in 0..writes.len() {
        let mut part = writes.clone();
        part.remove(left_out);
        let mut torn = before.clone();
        torn.apply(&part);
        assert!(loaded(&torn, &old).is_err() && loaded(&torn, &new).is_err(), "without write {left_out}");
    }
}

#[test]
fn a_wrong_root_key_or_no_randomness_replaces_nothing() {
    let (old, rows) = store();
    let wrong = replaced(&rows, &root_key(), &old, &SystemRandom);
    assert!(matches!(wrong, Err(KeysError::WrongRootKey { .. })));
    let none = replaced(&rows, &old, &root_key(), &NoRandom);
    assert!(matches!(none, Err(KeysError::Seal(SealError::Random))));
}

#[test]
fn a_store_that_does_not_say_its_root_key_is_put_under_another_one_too() {
    let (old, mut rows) = store();
    rows.0.remove(&(Family::Keys, root_row().bytes));
    assert!(loaded(&rows, &old).is_ok());
    let new = root_key();
    let refused = loaded(&rows, &new).err().unwrap();
    assert!(refused.ends_with("does not open this store"), "{refused}");
    rows.apply(&replaced(&rows, &old, &new, &SystemRandom).unwrap());
    assert!(loaded(&rows, &new).is_ok());
}

/// A provider that gives a root key, or says that it has none.
struct Gives(std::sync::Mutex<Option<RootKey>>);

impl RootKeyProvider for Gives {
    fn load(&self) -> Result<RootKey, RootKeyError> {
        self.0.lock().unwrap().take().ok_or_else(|| RootKeyError::Absent("keys/none".to_owned()))
    }

    fn create(&self, _: &dyn Random) -> Result<RootKey, RootKeyError> {
        Err(RootKeyError::Random)
    }
}

fn gives(root: Option<RootKey>) -> Gives {
    Gives(std::sync::Mutex::new(root))
}

#[test]
fn the_store_is_opened_by_whichever_root_key_it_is_under() {
    let open = |current: Option<RootKey>, next: Option<RootKey>, rows: &MemoryRows| {
        let candidates = Candidates::load(&gives(current), Some(&gives(next))).map_err(|error| error.to_string())?;
        candidates.open(rows).map(|opened| opened.is_next).map_err(|error| error.to_string())
    };
    let (root, rows) = store();
    let id = root.id().to_string();
    assert_eq!(open(Some(root), Some(root_key()), &rows), Ok(false));
    let (root, rows) = store();
    assert_eq!(open(Some(root_key()), Some(root), &rows), Ok(true));
    let (root, rows) = store();
    assert_eq!(open(None, Some(root), &rows), Ok(true), "the current one may be gone by then");
    let (root, rows) = store();
    assert_eq!(open(Some(root), None, &rows), Ok(false), "the next one need not be there yet");
    let none = "the root key file `keys/none` does not exist";
    assert_eq!(open(None, None, &rows), Err(format!("{none}; nor is there the one of `[keys.next]`: {none}")));
    for (current, next, section) in [(None, Some(root_key()), "keys"), (Some(root_key()), None, "keys.next")] {
        let refused = open(current, next, &rows).unwrap_err();
        assert!(refused.ends_with(&format!("; that of `[{section}]` cannot be had: {none}")), "{refused}");
    }
    let (one, two) = (root_key(), root_key());
    let ids = (one.id().to_string(), two.id().to_string());
    let refused = open(Some(one), Some(two), &rows).unwrap_err();
    let needed = loaded(&rows, &root_key()).err().unwrap();
    let needed = needed.rsplit('`').nth(1).unwrap();
    for said in [ids.0.as_str(), ids.1.as_str(), needed] {
        assert!(refused.contains(said), "{refused}");
    }
    assert!(!refused.contains(&id) && refused.contains("it is under the root key"), "{refused}");
}
