use super::*;
use crate::record::{Draft, Kind};
use crate::samples;

const SECOND_ORIGIN: &str = "audit.example.com/keyward-2";
const REQUEST: &str = "31a0c468-59e4-43a9-8947-e35af3162df6";

fn sample(index: u64) -> Record {
    Record::parse(samples::all().find(|sample| sample.index == index).unwrap().bytes).unwrap()
}

/// The three keys of the samples: first, after the rotation, after the loss.
fn keys() -> [SigningKey; 3] {
    [(samples::ORIGIN, 0), (samples::ORIGIN, 0x40), (SECOND_ORIGIN, 0x60)]
        .map(|(origin, first)| SigningKey::from_seed(origin, &samples::seed(first)).unwrap())
}

fn rotation() -> KeyRotation {
    let [old, new, _] = keys().map(|key| key.verifying_key().clone());
    KeyRotation { origin: samples::ORIGIN.to_owned(), old, new, index: 13 }
}

fn digest(hex: &str) -> crate::hash::Digest {
    hex::decode(hex).unwrap().try_into().unwrap()
}

fn loss() -> Loss {
    let [_, old, new] = keys().map(|key| key.verifying_key().clone());
    Loss {
        old_origin: samples::ORIGIN.to_owned(),
        new_origin: SECOND_ORIGIN.to_owned(),
        old,
        new,
        index: 14,
        lost: Some(Head {
            chain: digest("a565208c402b625c1d25cb7fe1ff1d40e947c4725af4c6472d7d83ed060d799d"),
            root: digest("5786181aaff0ca354d1647b0dfc16a7c2bc075d80644a7ad60b54757fc9c02d6"),
            size: 18,
        }),
        recovered: Head {
            chain: digest("dc4dde7888e638d241a69ce78122395c71f3aa7113bf846bfb5fd9dba4bb51da"),
            root: digest("0ef4142957fdc9d2b27ffe22a0e53b8c37346e5ed735e146c51f85a5d144ded5"),
            size: 14,
        },
        reason: "disk replaced, last minute of the WAL unreadable".to_owned(),
    }
}

/// A record of `kind` at `index` with these parameters.
fn record(kind: Kind, index: u64, parameters: Parameters) -> Record {
    let draft = Draft { parameters, ..Draft::new(kind, "keyward:Test", "internal", REQUEST) };
    Record::parse(&draft.frame().unwrap().finish(2, index, 1)).unwrap()
}

#[test]
fn the_sample_rotation_is_made_and_read() {
    let [old, new, _] = keys();
    let signed = rotation().sign(&old, &new).unwrap();
    assert_eq!(signed.parameters(), sample(13).draft().parameters);
    assert_eq!(SignedKeyRotation::from_record(&sample(13)).unwrap(), signed);
    assert_eq!(signed.rotation(), &rotation());
}

#[test]
fn the_sample_loss_is_made_and_read() {
    let [_, old, new] = keys();
    let signed = loss().sign(Some(&old), &new).unwrap();
    assert_eq!(signed.parameters(), sample(14).draft().parameters);
    assert_eq!(SignedLoss::from_record(&sample(14)).unwrap(), signed);
    assert_eq!(signed.loss(), &loss());
    assert!(signed.has_old_signature());
}

#[test]
fn a_loss_without_mark_and_old_key_is_made_and_read() {
    let [_, _, new] = keys();
    let without = Loss { lost: None, ..loss() };
    assert_eq!(without.text().lines().skip(6).take(2).collect::<Vec<_>>(), ["-", "-"]);
    let signed = without.sign(None, &new).unwrap();
    assert!(!signed.parameters().contains_key("lost") && !signed.parameters().contains_key("old_signature"));
    let read = SignedLoss::from_record(&record(Kind::Loss, 14, signed.parameters())).unwrap();
    assert_eq!(read, signed);
    assert!(!read.has_old_signature());
}

#[test]
fn a_statement_is_signed_only_by_the_keys_that_it_names() {
    let [first, second, third] = keys();
    let refused = |key: &SigningKey| StatementError::Origin(key.verifying_key().to_string());
    assert_eq!(rotation().sign(&second, &second), Err(refused(&second)));
    assert_eq!(rotation().sign(&first, &first), Err(refused(&first)));
    assert_eq!(loss().sign(Some(&first), &third), Err(refused(&first)));
    let foreign = KeyRotation { new: third.verifying_key().clone(), ..rotation() };
    assert_eq!(foreign.sign(&first, &third), Err(refused(&third)));
    let misnamed = Loss { new_origin: samples::ORIGIN.to_owned(), ..loss() };
    assert!(matches!(misnamed.sign(None, &third), Err(StatementError::Origin(_))));
}

#[test]
fn tamper_10_a_forged_rotation_record_is_refused() {
    let truth = sample(13).draft().parameters.clone();
    let [first, second, _] = keys();
    let attacker = SigningKey::from_seed(samples::ORIGIN, &samples::seed(9)).unwrap();
    let named = KeyRotation { new: attacker.verifying_key().clone(), ..rotation() };
    let by_attacker = BASE64.encode(attacker.sign(named.text().as_bytes()).unwrap());
    let forged = [
        ("new_vkey", attacker.verifying_key().to_string(), StatementError::Signature("old_signature")),
        ("old_vkey", attacker.verifying_key().to_string(), StatementError::Signature("old_signature")),
        ("new_signature", by_attacker.clone(), StatementError::Signature("new_signature")),
        ("old_signature", by_attacker, StatementError::Signature("old_signature")),
        ("old_signature", "-".to_owned(), StatementError::Parameter("old_signature")),
        ("new_vkey", "x".to_owned(), StatementError::Parameter("new_vkey")),
        ("new_vkey", keys()[2].verifying_key().to_string(), {
            StatementError::Origin(keys()[2].verifying_key().to_string())
        }),
    ];
    for (name, text, error) in forged {
        let mut parameters = truth.clone();
        parameters.insert(name.to_owned(), text.into());
        assert_eq!(SignedKeyRotation::from_record(&record(Kind::KeyRotation, 13, parameters)), Err(error), "{name}");
    }
    for name in ["new_signature", "new_vkey", "old_signature", "old_vkey"] {
        let mut parameters = truth.clone();
        parameters.remove(name);
        let read = SignedKeyRotation::from_record(&record(Kind::KeyRotation, 13, parameters));
        assert_eq!(read, Err(StatementError::Parameter(name)));
    }
    let elsewhere = record(Kind::KeyRotation, 12, rotation().sign(&first, &second).unwrap().parameters());
    assert_eq!(SignedKeyRotation::from_record(&elsewhere), Err(StatementError::Signature("old_signature")));
    assert_eq!(SignedKeyRotation::from_record(&sample(14)), Err(StatementError::Kind("loss")));
}

#[test]
fn tamper_10_a_forged_loss_record_is_refused() {
    let truth = sample(14).draft().parameters.clone();
    let refused = |name: &str, value: Value| {
        let mut parameters = truth.clone();
        parameters.insert(name.to_owned(), value);
        SignedLoss::from_record(&record(Kind::Loss, 14, parameters)).unwrap_err()
    };
    let head = |field: &str, value: Value| {
        let mut head = truth["recovered"].as_object().unwrap().clone();
        head.insert(field.to_owned(), value);
        Value::Object(head)
    };
    assert_eq!(refused("recovered", head("size", 13_u64.into())), StatementError::Signature("new_signature"));
    assert_eq!(refused("recovered", head("root", "00".repeat(32).into())), StatementError::Signature("new_signature"));
    assert_eq!(refused("recovered", head("root", "AA".repeat(32).into())), StatementError::Parameter("recovered"));
    assert_eq!(refused("recovered", head("chain", "00".into())), StatementError::Parameter("recovered"));
    assert_eq!(refused("lost", true.into()), StatementError::Parameter("lost"));
    assert_eq!(refused("reason", true.into()), StatementError::Parameter("reason"));
    assert_eq!(refused("old_signature", truth["new_signature"].clone()), StatementError::Signature("old_signature"));
    assert_eq!(refused("old_signature", true.into()), StatementError::Parameter("old_signature"));
    assert!(matches!(refused("new_origin", "other".into()), StatementError::Origin(_)));
    let mut unlost = truth.clone();
    unlost.remove("lost");
    let read = SignedLoss::from_record(&record(Kind::Loss, 14, unlost));
    assert_eq!(read, Err(StatementError::Signature("new_signature")));
    assert_eq!(SignedLoss::from_record(&sample(13)), Err(StatementError::Kind("key_rotation")));
}
