use super::super::fixture::{MemoryRows, NoRandom, add_generation, installed, root_key};
use super::*;
use crate::clock::SystemRandom;

fn loaded(rows: &MemoryRows, root: &RootKey) -> Result<Keyring, String> {
    Keyring::load(rows, root).map_err(|error| error.to_string())
}

fn refusal(rows: &MemoryRows, root: &RootKey) -> String {
    loaded(rows, root).err().unwrap()
}

#[test]
fn a_new_keyring_loads_as_it_was_made() {
    let (made, root, rows) = installed();
    let again = loaded(&rows, &root).unwrap();
    assert_eq!(again.installation().id(), made.installation().id());
    assert_eq!(again.installation().created_at_s(), 1_767_225_600);
    let expected = KeyInfo {
        id: &KeyId::default_key(),
        state: State::Enabled,
        created_at_s: 1_767_225_600,
        newest: KeyGeneration::FIRST,
        generations: vec![(KeyGeneration::FIRST, 1_767_225_600)],
    };
    assert_eq!(again.keys().collect::<Vec<_>>(), [expected]);
    let alice = Principal::parse("user/dev/alice").unwrap();
    assert_eq!(again.creator_number(&alice), made.creator_number(&alice));
    let (id, first) = (KeyId::default_key(), KeyGeneration::FIRST);
    assert!(again.material(&id, first).unwrap().expose() == made.material(&id, first).unwrap().expose());
}

#[test]
fn installations_differ() {
    let (one, _, _) = installed();
    let (two, _, _) = installed();
    let alice = Principal::parse("user/dev/alice").unwrap();
    assert_ne!(one.installation().id(), two.installation().id());
    assert_ne!(one.creator_number(&alice), two.creator_number(&alice));
}

#[test]
fn attack_h03_wrong_root_key_is_one_clear_line() {
    let (_, root, rows) = installed();
    let other = root_key();
    assert_eq!(
        refusal(&rows, &other),
        format!(
            "the root key in `{}` (`{}`) does not open this store; it is under the root key `{}`",
            other.place(),
            other.id(),
            root.id()
        )
    );
}

#[test]
fn a_store_without_keys_is_not_one_with_a_wrong_root_key() {
    let expected = "the store holds no installation; `keyward init` makes one";
    assert_eq!(refusal(&MemoryRows::default(), &root_key()), expected);
}

#[test]
fn i08_any_flipped_bit_of_any_key_row_keeps_the_keyring_from_loading() {
    let (_, root, rows) = installed();
    assert_eq!(rows.0.len(), 4);
    for (address, row) in &rows.0 {
        for bit in 0..row.len() * 8 {
            let mut changed = rows.clone();
            changed.0.get_mut(address).unwrap()[bit / 8] ^= 1 << (bit % 8);
            assert!(loaded(&changed, &root).is_err(), "bit {bit} of {address:?}");
        }
    }
}

#[test]
fn i08_a_wrapped_key_moved_to_another_installation_key_or_generation_does_not_open() {
    let (_, root, mut rows) = installed();
    let (id, other) = (KeyId::default_key(), KeyId::parse("other").unwrap());
    add_generation(&mut rows, &root, &id, 2, State::Enabled);
    add_generation(&mut rows, &root, &other, 1, State::Enabled);
    assert!(loaded(&rows, &root).is_ok());
    let at = |id: &KeyId, number| generation_row(id, KeyGeneration::new(number).unwrap());
    let (foreign, writes) = Keyring::initial(&root, 0, &SystemRandom).unwrap();
    let foreign_rows = MemoryRows::of(&writes);
    let own = loaded(&rows, &root).unwrap();
    let moves = [(at(&id, 1), at(&id, 2)), (at(&other, 1), at(&id, 1)), (at(&id, 2), at(&id, 3))];
    let moves = moves.into_iter().map(|(from, to)| (&own, rows.row(&from).unwrap(), from, to));
    let moves = moves.chain([(&foreign, foreign_rows.row(&at(&id, 1)).unwrap(), at(&id, 1), at(&id, 1))]);
    for (keyring, stored, from, to) in moves {
        let mut moved = rows.clone();
        moved.put(&to, stored.clone());
        assert!(refusal(&moved, &root).ends_with("it is not authentic: altered or moved"));
        // Authenticated anew at its place: the wrapping itself is bound too.
        let row = keyring.installation().row_key().verified(from.family, &from.bytes, &stored).unwrap();
        moved.put(&to, own.installation().row_key().authenticate(&to, row.to_vec()));
        assert!(refusal(&moved, &root).ends_with("it does not open under the root key"));
    }
}

#[test]
fn i08_a_disabled_key_cannot_be_enabled_in_the_store() {
    let (_, root, mut rows) = installed();
    let (team, other) = (KeyId::parse("team").unwrap(), KeyId::parse("other").unwrap());
    add_generation(&mut rows, &root, &team, 1, State::Disabled);
    add_generation(&mut rows, &root, &other, 1, State::Enabled);
    let mut forged = rows.clone();
    forged.0.get_mut(&(Family::Keys, key_row(&team).bytes)).unwrap()[1] = 1;
    let expected = "the key rows of the store are damaged: key `team`: it is not authentic: altered or moved";
    assert_eq!(refusal(&forged, &root), expected);
    // Nor by the row of a key that is enabled.
    let mut swapped = rows.clone();
    swapped.put(&key_row(&team), rows.row(&key_row(&other)).unwrap());
    assert_eq!(refusal(&swapped, &root), expected);
}

#[test]
fn a_key_is_used_by_its_newest_generation_and_read_by_any() {
    let (_, root, mut rows) = installed();
    let id = KeyId::default_key();
    add_generation(&mut rows, &root, &id, 2, State::Enabled);
    let keyring = loaded(&rows, &root).unwrap();
    let second = KeyGeneration::new(2).unwrap();
    assert_eq!(keyring.newest(&id), Ok(second));
    assert_eq!(keyring.usable(&id, KeyGeneration::FIRST), Ok(()));
    assert_eq!(keyring.usable(&id, second), Ok(()));
    assert_eq!(keyring.usable(&id, KeyGeneration::new(3).unwrap()), Err(KeyUnusable::Unknown));
    assert_eq!(keyring.newest(&KeyId::parse("nobody").unwrap()), Err(KeyUnusable::Unknown));
}

#[test]
fn a_disabled_key_is_refused_before_anything_is_committed_and_still_finishes_what_was() {
    let (_, root, mut rows) = installed();
    let id = KeyId::parse("team").unwrap();
    add_generation(&mut rows, &root, &id, 1, State::Disabled);
    let keyring = loaded(&rows, &root).unwrap();
    assert_eq!(keyring.newest(&id), Err(KeyUnusable::Disabled));
    assert_eq!(keyring.usable(&id, KeyGeneration::FIRST), Err(KeyUnusable::Disabled));
    assert!(keyring.material(&id, KeyGeneration::FIRST).is_ok());
}

#[test]
fn a_keyring_with_holes_does_not_load() {
    let (_, root, rows) = installed();
    let id = KeyId::default_key();
    let without = |key| {
        let mut rows = rows.clone();
        rows.apply(&[Write { key, value: None }]);
        refusal(&rows, &root)
    };
    assert!(without(key_row(&id)).ends_with("key `default generation 1`: it has no key row"));
    let missing = without(generation_row(&id, KeyGeneration::FIRST));
    assert!(missing.ends_with("key `default`: its newest generation is missing"));
    let mut stray = rows.clone();
    stray.0.insert((Family::Keys, b"stray".to_vec()), vec![]);
    assert_eq!(refusal(&stray, &root), "the key rows of the store are damaged: damaged row: unknown row");
}

#[test]
fn without_randomness_nothing_is_made() {
    let made = Keyring::initial(&root_key(), 0, &NoRandom).map(|_| ());
    assert!(matches!(made, Err(KeysError::Seal(SealError::Random))));
}
