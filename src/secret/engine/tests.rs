use std::collections::HashSet;

use super::super::fixture::{binding, engine, opened, text, version};
use super::super::{Form, Limits, SecretId, ValueId};
use super::*;
use crate::clock::SystemRandom;
use crate::keys::fixture::{NoRandom, NoRepeat, add_generation, installed};
use crate::keys::{KeyGeneration, NONCE_BYTES, TAG_BYTES};
use crate::resource::SecretName;
use crate::state::State;

const VALUE: &str = "correct horse battery staple";

fn sealed(engine: &Engine) -> (Sealed, Binding) {
    let binding = binding("prod/db", "v1");
    (engine.seal(&engine.keyring(), &text(VALUE), binding.clone(), &KeyId::default_key()).unwrap(), binding)
}

#[test]
fn a_sealed_value_opens_to_what_was_sealed() {
    let engine = engine();
    let (sealed, binding) = sealed(&engine);
    let plaintext = opened(&engine, sealed.value(), &binding).unwrap();
    assert_eq!(plaintext.expose(), VALUE.as_bytes());
    assert_eq!(plaintext.form(), Form::Text);
    let row = SealedValue::decode(&sealed.value().encode()).unwrap();
    assert_eq!(opened(&engine, &row, &binding).unwrap().expose(), VALUE.as_bytes());
}

#[test]
fn values_of_every_length_class_come_back() {
    let engine = engine();
    for length in [1, 15, 16, 17, 255, 4_096, 65_535, 65_536] {
        let bytes: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let plaintext = Plaintext::binary(bytes.clone(), &Limits::default()).unwrap();
        let binding = Binding { form: Form::Binary, ..binding("a", "v1") };
        let sealed = engine.seal(&engine.keyring(), &plaintext, binding.clone(), &KeyId::default_key()).unwrap();
        assert_eq!(sealed.value().encode().len(), 1 + 4 + 7 + 4 + NONCE_BYTES + 48 + NONCE_BYTES + length + TAG_BYTES);
        assert!(opened(&engine, sealed.value(), &binding).unwrap().expose() == bytes, "{length}");
    }
}

#[test]
fn no_byte_of_the_value_stands_in_its_row() {
    let engine = engine();
    let (sealed, _) = sealed(&engine);
    let row = sealed.value().encode();
    assert!(!row.windows(6).any(|window| VALUE.as_bytes().windows(6).any(|part| part == window)));
}

#[test]
fn attack_h02_any_flipped_bit_of_a_sealed_row_opens_nothing() {
    let engine = engine();
    let (sealed, binding) = sealed(&engine);
    let row = sealed.value().encode();
    let keyring = engine.keyring();
    let material = keyring.material(sealed.value().key(), sealed.value().generation()).unwrap();
    for bit in 0..row.len() * 8 {
        let mut changed = row.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        // Even with the right key at hand, whatever key the changed row names.
        let opens = SealedValue::decode(&changed)
            .is_ok_and(|value| unseal(&value, &binding, keyring.installation().id(), material).is_ok());
        assert!(!opens, "bit {bit}");
    }
}

#[test]
fn attack_h02_a_cut_or_lengthened_row_opens_nothing() {
    let engine = engine();
    let (sealed, binding) = sealed(&engine);
    let row = sealed.value().encode();
    let opens = |bytes: &[u8]| SealedValue::decode(bytes).is_ok_and(|row| opened(&engine, &row, &binding).is_ok());
    assert!(opens(&row));
    for length in 0..row.len() {
        assert!(!opens(&row[..length]), "cut to {length}");
    }
    // A tag cut short, as RUSTSEC-2023-0096: the rest is whole and still nothing comes out.
    let short_tag = SealedValue::decode(&row[..row.len() - 4]).unwrap();
    assert!(opened(&engine, &short_tag, &binding).is_err());
    assert!(!opens(&[row.as_slice(), &[0]].concat()));
}

#[test]
fn i08_a_value_opens_only_as_what_it_was_sealed_for() {
    let engine = engine();
    let (sealed, binding) = sealed(&engine);
    let other = super::super::fixture::binding("prod/other", "v2");
    let moved = [
        ("secret id", Binding { secret: other.secret, ..binding.clone() }),
        ("name", Binding { name: other.name, ..binding.clone() }),
        ("version id", Binding { version: other.version, ..binding.clone() }),
        ("value id", Binding { value: other.value, ..binding.clone() }),
        ("form", Binding { form: Form::Binary, ..binding.clone() }),
    ];
    for (what, moved) in moved {
        assert!(opened(&engine, sealed.value(), &moved).is_err(), "{what}");
    }
    assert!(opened(&engine, sealed.value(), &binding).is_ok());
}

#[test]
fn i08_a_value_does_not_open_in_another_installation_even_with_the_same_key() {
    let (keyring, other) = (installed().0, installed().0);
    let binding = binding("prod/db", "v1");
    let (key, generation) = (KeyId::default_key(), KeyGeneration::FIRST);
    let material = keyring.material(&key, generation).unwrap();
    let installation = keyring.installation().id();
    let under = Wrapping { installation, key: &key, generation, material };
    let sealed = seal(&text(VALUE), binding.clone(), &under, &SystemRandom).unwrap();
    assert!(unseal(sealed.value(), &binding, installation, material).is_ok());
    assert!(unseal(sealed.value(), &binding, other.installation().id(), material).is_err());
}

/// Seals the same key bytes under two names of the key, and swaps the rows' heads.
#[test]
fn i08_a_wrapped_data_key_moved_to_another_key_or_generation_does_not_open() {
    let keyring = installed().0;
    let (key, generation) = (KeyId::default_key(), KeyGeneration::FIRST);
    let material = keyring.material(&key, generation).unwrap();
    let installation = keyring.installation().id();
    let binding = binding("prod/db", "v1");
    let row = |key: &KeyId, generation| {
        let under = Wrapping { installation, key, generation, material };
        seal(&text(VALUE), binding.clone(), &under, &SystemRandom).unwrap().value().encode()
    };
    let original = row(&key, generation);
    let named = KeyId::parse("another").unwrap();
    let head = 1 + 4 + key.as_str().len() + 4;
    for other in [row(&key, KeyGeneration::new(2).unwrap()), row(&named, generation)] {
        let moved = SealedValue::decode(&[&other[..head], &original[head..]].concat()).unwrap();
        assert!(unseal(&moved, &binding, installation, material).is_err());
    }
}

#[test]
fn attack_h01_no_nonce_and_no_data_key_ever_repeats() {
    const SEALS: usize = 1 << 12;
    let random = Arc::new(NoRepeat::default());
    let engine = Engine::new(Arc::new(installed().0), Arc::clone(&random) as Arc<dyn Random>);
    let binding = binding("prod/db", "v1");
    let (mut nonces, mut wrapped) = (HashSet::new(), HashSet::new());
    for _ in 0..SEALS {
        let sealed = engine.seal(&engine.keyring(), &text("same"), binding.clone(), &KeyId::default_key()).unwrap();
        let row = sealed.value().encode();
        let (head, body) = row.split_at(1 + 4 + 7 + 4);
        assert_eq!(head.len(), 16);
        assert!(nonces.insert(body[..NONCE_BYTES].to_vec()));
        assert!(nonces.insert(body[NONCE_BYTES + 48..][..NONCE_BYTES].to_vec()));
        assert!(wrapped.insert(body[NONCE_BYTES..][..48].to_vec()));
    }
    // Data key, nonce of the value, nonce of the wrap: all three drawn anew for each seal.
    assert_eq!(random.drawn(), 3 * SEALS);
}

#[test]
fn attack_h04_old_generations_still_open_and_new_values_use_the_newest() {
    let (_, root, mut rows) = installed();
    let id = KeyId::default_key();
    let before = Engine::new(Arc::new(Keyring::load(&rows, &root).unwrap()), Arc::new(SystemRandom));
    let (old, old_binding) = sealed(&before);
    add_generation(&mut rows, &root, &id, 2, State::Enabled);
    let after = Engine::new(Arc::new(Keyring::load(&rows, &root).unwrap()), Arc::new(SystemRandom));
    assert!(opened(&after, old.value(), &old_binding).is_ok());
    let (new, _) = sealed(&after);
    assert_eq!((old.value().generation().get(), new.value().generation().get()), (1, 2));
}

#[test]
fn i08_a_data_key_wrapped_anew_opens_the_same_ciphertext_and_nothing_else_changes() {
    let (_, root, mut rows) = installed();
    let id = KeyId::default_key();
    let before = Engine::new(Arc::new(Keyring::load(&rows, &root).unwrap()), Arc::new(SystemRandom));
    let (old, binding) = sealed(&before);
    add_generation(&mut rows, &root, &id, 2, State::Enabled);
    let after = Engine::new(Arc::new(Keyring::load(&rows, &root).unwrap()), Arc::new(SystemRandom));
    let new = after.rewrap(&after.keyring(), old.value(), &binding).unwrap();
    assert_eq!((new.key(), new.generation().get()), (&id, 2));
    assert_eq!(opened(&after, &new, &binding).unwrap().expose(), VALUE.as_bytes());
    assert!(opened(&before, &new, &binding).is_err());
    let (old_row, new_row) = (old.value().encode(), new.encode());
    let head = 1 + 4 + id.as_str().len() + 4;
    let data_key = head..head + NONCE_BYTES + 48;
    assert_eq!(old_row[data_key.end..], new_row[data_key.end..], "nonce, ciphertext and tag");
    assert_ne!(old_row[data_key.clone()], new_row[data_key.clone()]);
    // What was altered, or is another value's, is not wrapped anew.
    let mut altered = old_row.clone();
    altered[data_key.start + 20] ^= 1;
    let altered = SealedValue::decode(&altered).unwrap();
    let refused = Err(RewrapError::Tampered(crate::keys::Tampered));
    assert_eq!(after.rewrap(&after.keyring(), &altered, &binding), refused);
    let other = Binding { version: version("v2"), ..binding.clone() };
    assert_eq!(after.rewrap(&after.keyring(), old.value(), &other), refused);
    add_generation(&mut rows, &root, &id, 2, State::Disabled);
    let disabled = Arc::new(Keyring::load(&rows, &root).unwrap());
    assert_eq!(after.rewrap(&disabled, old.value(), &binding), Err(RewrapError::Key(KeyUnusable::Disabled)));
}

#[test]
fn attack_h04_a_key_that_is_disabled_or_gone_is_known_before_the_commit() {
    let (_, root, mut rows) = installed();
    let team = KeyId::parse("team").unwrap();
    add_generation(&mut rows, &root, &team, 1, State::Disabled);
    let engine = Engine::new(Arc::new(Keyring::load(&rows, &root).unwrap()), Arc::new(SystemRandom));
    let (keyring, first) = (engine.keyring(), KeyGeneration::FIRST);
    assert_eq!(keyring.usable(&team, first), Err(KeyUnusable::Disabled));
    assert_eq!(keyring.usable(&KeyId::parse("gone").unwrap(), first), Err(KeyUnusable::Unknown));
    let refused = engine.seal(&engine.keyring(), &text("x"), binding("a", "v1"), &team);
    assert_eq!(refused, Err(SealValueError::Key(KeyUnusable::Disabled)));
    assert_eq!(keyring.usable(&KeyId::default_key(), first), Ok(()));
    let second = KeyGeneration::new(2).unwrap();
    assert_eq!(keyring.usable(&KeyId::default_key(), second), Err(KeyUnusable::Unknown));
}

#[test]
fn without_randomness_nothing_is_sealed() {
    let engine = Engine::new(Arc::new(installed().0), Arc::new(NoRandom));
    let refused = engine.seal(&engine.keyring(), &text("x"), binding("a", "v1"), &KeyId::default_key());
    assert_eq!(refused, Err(SealValueError::Seal(SealError::Random)));
    assert!(ValueId::random(&NoRandom).is_err() && SecretId::random(&NoRandom).is_err());
}

/// The bytes that are authenticated, by hand: they are for ever.
#[test]
fn i08_associated_data_is_fixed_to_the_byte() {
    let binding = Binding {
        secret: [2; 16].into(),
        name: SecretName::parse("a/b").unwrap(),
        version: version("v1"),
        value: [3; 16].into(),
        form: Form::Binary,
    };
    let ids = ["01".repeat(16), "02".repeat(16), "03".repeat(16)].concat();
    let value = format!("00000010{}{ids}0200000003{}00000002{}", hex::encode("keyward/value/v1"), "612f62", "7631");
    assert_eq!(hex::encode(binding.of_value([1; 16].into())), value);
    let label = hex::encode("keyward/data-key/v1");
    let data_key =
        format!("00000013{label}{ids}0200000003612f6200000002763100000007{}00000009", hex::encode("default"));
    let key = KeyId::default_key();
    assert_eq!(hex::encode(binding.of_data_key([1; 16].into(), &key, KeyGeneration::new(9).unwrap())), data_key);
}
