use std::collections::BTreeSet;

use super::*;
use crate::keys::KeyId;
use crate::keys::fixture::MemoryRows;
use crate::secret::change::create;
use crate::secret::fixture::{alice, binding, creator, engine, name, new_secret, text};
use crate::secret::{Engine, SecretError};

/// Creates `names` one after the other, each on what the rows then hold.
fn holding(engine: &Engine, names: &[&str]) -> MemoryRows {
    let mut rows = MemoryRows::default();
    for of in names {
        add(engine, &mut rows, of, &Limits::default()).unwrap();
    }
    rows
}

fn add(engine: &Engine, rows: &mut MemoryRows, of: &str, limits: &Limits) -> Result<(), SecretError> {
    let view = creation(rows, engine.row_key(), &name(of), creator()).unwrap();
    let binding = binding(of, "v1");
    let id = binding.secret;
    let sealed = engine.seal(&engine.keyring(), &text("x"), binding, &KeyId::default_key()).unwrap();
    rows.apply(&create(&view, new_secret(id), &sealed, limits)?.writes(engine.row_key()));
    Ok(())
}

#[test]
fn i06_a_name_is_found_by_its_own_bytes_only() {
    let engine = engine();
    let rows = holding(&engine, &["prod/db", "prod/db2", "Prod/db"]);
    for (asked, found) in
        [("prod/db", true), ("Prod/db", true), ("PROD/db", false), ("prod/d", false), ("prod", false), ("db", false)]
    {
        let row = secret(&rows, engine.row_key(), &name(asked)).unwrap();
        assert_eq!(row.map(|row| row.name), found.then(|| name(asked)), "{asked}");
    }
}

#[test]
fn i06_a_row_laid_under_another_name_is_damage() {
    let engine = engine();
    let mut rows = holding(&engine, &["demo/low", "prod/high"]);
    let (low, high) = (address::secret(&name("demo/low")), address::secret(&name("prod/high")));
    let moved = rows.row(&high).unwrap();
    rows.put(&low, moved.clone());
    let message = secret(&rows, engine.row_key(), &name("demo/low")).unwrap_err().to_string();
    assert!(message.ends_with("secret `demo/low`: damaged row: it is not authentic: altered or moved"), "{message}");
    assert!(each_secret(&rows, engine.row_key(), &mut |_| true).is_err());
    // Even by whoever could authenticate it there.
    let row = engine.row_key().verified(Family::Secrets, &high.bytes, &moved).unwrap();
    rows.put(&low, engine.row_key().authenticate(&low, row.to_vec()));
    let message = secret(&rows, engine.row_key(), &name("demo/low")).unwrap_err().to_string();
    assert!(message.ends_with("secret `demo/low`: damaged row: it is another secret's"), "{message}");
}

/// Each bit of the rows that are decided on.
#[test]
fn i08_no_bit_of_a_secrets_row_or_of_its_creators_can_change() {
    let engine = engine();
    let rows = holding(&engine, &["prod/db", "prod/other"]);
    let reads = |rows: &MemoryRows| creation(rows, engine.row_key(), &name("prod/db"), creator()).is_ok();
    assert!(reads(&rows));
    for key in [address::secret(&name("prod/db")), address::creator(creator())] {
        let row = rows.row(&key).unwrap();
        for bit in 0..row.len() * 8 {
            let (mut changed, mut row) = (rows.clone(), row.clone());
            row[bit / 8] ^= 1 << (bit % 8);
            changed.put(&key, row);
            assert!(!reads(&changed), "bit {bit} of {key:?}");
        }
    }
}

/// The same with the name inside the row changed too, by whoever can authenticate rows: it reads well, and the value does
/// not open.
#[test]
fn attack_h02_a_secret_renamed_in_the_store_does_not_open() {
    let engine = engine();
    let mut rows = holding(&engine, &["prod/high"]);
    let high = secret(&rows, engine.row_key(), &name("prod/high")).unwrap().unwrap();
    let renamed = SecretRow { name: name("demo/low"), ..high };
    let low = address::secret(&name("demo/low"));
    rows.put(&low, engine.row_key().authenticate(&low, renamed.encode()));
    let row = secret(&rows, engine.row_key(), &name("demo/low")).unwrap().unwrap();
    let version = row.serve(None).unwrap();
    let sealed = value(&rows, &row, version).unwrap();
    assert!(crate::secret::fixture::opened(&engine, &sealed, &row.binding(version)).is_err());
}

#[test]
fn all_secrets_are_listed_by_the_bytes_of_their_names_until_it_is_enough() {
    let engine = engine();
    let rows = holding(&engine, &["b", "a/b", "B", "a.b", "a"]);
    let mut names = Vec::new();
    each_secret(&rows, engine.row_key(), &mut |row| {
        names.push(row.name.as_str().to_owned());
        true
    })
    .unwrap();
    assert_eq!(names, ["B", "a", "a.b", "a/b", "b"]);
    let mut seen = 0;
    each_secret(&rows, engine.row_key(), &mut |_| {
        seen += 1;
        seen < 2
    })
    .unwrap();
    assert_eq!(seen, 2);
}

#[test]
fn secrets_are_counted_over_all_shards() {
    let engine = engine();
    let names: Vec<String> = (0..40).map(|i| format!("s{i}")).collect();
    let rows = holding(&engine, &names.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(secrets_held(&rows).unwrap(), 40);
    let shards: BTreeSet<_> = names.iter().map(|text| address::shard(&name(text))).collect();
    assert!(shards.len() > 25, "{} shards for 40 names", shards.len());
    let view = creation(&rows, engine.row_key(), &name("s7"), creator()).unwrap();
    let same = names.iter().filter(|text| address::shard(&name(text)) == address::shard(&name("s7"))).count();
    assert_eq!((view.in_shard, view.total), (u64::try_from(same).unwrap(), 40));
    assert_eq!(view.creator_principal, Some(alice()));
}

#[test]
fn the_quota_holds_over_real_rows() {
    let engine = engine();
    let limits = Limits { secrets_max: 3, ..Limits::default() };
    let mut rows = MemoryRows::default();
    for of in ["a", "b", "c"] {
        add(&engine, &mut rows, of, &limits).unwrap();
    }
    assert_eq!(add(&engine, &mut rows, "d", &limits), Err(SecretError::SecretsLimit { max: 3 }));
    assert_eq!(add(&engine, &mut rows, "a", &limits), Err(SecretError::SecretExists));
}

#[test]
fn attack_h05_two_creations_of_a_batch_meet_in_a_row_that_both_read() {
    let (engine, limits) = (engine(), Limits::default());
    let view = |of: &str| creation(&MemoryRows::default(), engine.row_key(), &name(of), creator()).unwrap();
    let writes = |of: &str| {
        let view = view(of);
        let binding = binding(of, "v1");
        let id = binding.secret;
        let sealed = engine.seal(&engine.keyring(), &text("x"), binding, &KeyId::default_key()).unwrap();
        let writes = create(&view, new_secret(id), &sealed, &limits).unwrap().writes(engine.row_key());
        writes.into_iter().map(|write| write.key).collect::<BTreeSet<_>>()
    };
    let meets = |reads: Vec<Key>, of: &str| reads.iter().any(|key| writes(of).contains(key));
    // The same name, and the same creator's first creations.
    assert!(meets(view("a").reads(&limits), "a"));
    assert!(meets(view("a").reads(&limits), "b"));
    // Near the limit any two creations meet, whoever makes them; far from it only those of a shard.
    let known = |of: &str, total| CreationView { total, creator: CreatorNumber::new(8).unwrap(), ..view(of) };
    assert_ne!(address::shard(&name("a")), address::shard(&name("b")));
    assert!(!meets(known("a", 0).reads(&limits), "b"));
    assert!(meets(known("a", limits.secrets_max - QUOTA_SLACK).reads(&limits), "b"));
    assert!(!meets(known("a", limits.secrets_max - QUOTA_SLACK - 1).reads(&limits), "b"));
}

#[test]
fn damaged_rows_are_named_and_nothing_of_them_is_shown() {
    let engine = engine();
    let rows = holding(&engine, &["prod/db"]);
    let with = |key: Key, bytes: &[u8]| {
        let mut rows = rows.clone();
        rows.put(&key, bytes.to_vec());
        rows
    };
    let authentic = |key: Key, bytes: &[u8]| {
        let stored = engine.row_key().authenticate(&key, bytes.to_vec());
        with(key, &stored)
    };
    let row = secret(&rows, engine.row_key(), &name("prod/db")).unwrap().unwrap();
    let version = row.serve(None).unwrap();
    let broken = with(address::secret(&name("prod/db")), b"hunter2");
    let message = secret(&broken, engine.row_key(), &name("prod/db")).unwrap_err().to_string();
    assert_eq!(message, "the store is damaged: secret `prod/db`: damaged row: cut short");
    let broken = authentic(address::secret(&name("prod/db")), b"hunter2");
    let message = secret(&broken, engine.row_key(), &name("prod/db")).unwrap_err().to_string();
    assert_eq!(message, "the store is damaged: secret `prod/db`: damaged row: row version");
    let broken = with(address::value(row.id, version.value), b"hunter2");
    let message = value(&broken, &row, version).unwrap_err().to_string();
    assert_eq!(message, "the store is damaged: version `v1` of secret `prod/db`: damaged row: row version");
    let broken = authentic(address::creator(creator()), b"x");
    let message = creation(&broken, engine.row_key(), &name("n"), creator()).unwrap_err().to_string();
    assert_eq!(message, "the store is damaged: creator 7: damaged row: principal");
    let message = secrets_held(&with(address::count(3), b"x")).unwrap_err().to_string();
    assert_eq!(message, "the store is damaged: number of secrets: damaged row: count");
    let mut gone = rows.clone();
    gone.0.remove(&(Family::Secrets, address::value(row.id, version.value).bytes));
    let message = value(&gone, &row, version).unwrap_err().to_string();
    assert_eq!(message, "the store is damaged: version `v1` of secret `prod/db`: damaged row: missing");
}
