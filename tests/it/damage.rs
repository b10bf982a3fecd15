//! A gateway was killed under load; then its write-ahead log or its mark is damaged. It must refuse to start when and
//! only when a record below the mark is gone. What is gone is told here by an independent reader of the log's file.

use std::fs;
use std::path::PathBuf;

use keyward_audit::mark::MarkFile;
use serde_json::json;

use crate::gateway::{Refused, TestGateway};
use crate::installation::Installation;
use crate::load::{Load, Values, World};
use crate::trail::Trail;
use crate::wal::{self, Wal};

/// An installation whose gateway was killed.
struct Killed {
    installation: Installation,
    /// Its mark as it was halfway: as a power cut might leave it.
    older_mark: Vec<u8>,
}

fn killed_under_load() -> Killed {
    let gateway = TestGateway::start();
    let scratch = tempfile::tempdir().unwrap();
    let world = World::new(gateway.admin().to_owned(), scratch.path().join("clients"), Values::Mixed);
    let load = Load::start(&world, gateway.address(), 12);
    load.wait_for(300);
    let older_mark = fs::read(gateway.installation().path("hwm")).unwrap();
    load.wait_for(300);
    let installation = gateway.kill();
    load.cut_off();
    Killed { installation, older_mark }
}

fn mark_size(installation: &Installation) -> u64 {
    MarkFile::open(&installation.path("hwm")).unwrap().newest().unwrap().size
}

fn wal_file(installation: &Installation) -> PathBuf {
    wal::live_file(&installation.path("data/db"))
}

fn trail(gateway: &TestGateway, vkeys: &str) -> Trail {
    let export = gateway.insist(gateway.admin(), "ExportRecords", &json!({}));
    Trail::verified(&export.bytes, vkeys, &[])
}

fn create(gateway: &TestGateway, name: &str) {
    gateway.insist(gateway.admin(), "CreateSecret", &json!({"SecretName": name, "SecretString": "value"}));
}

/// The start must be refused, in words that name what there is and what to do.
fn refused(installation: Installation, said: &[String]) -> Refused {
    let Err(refused) = TestGateway::try_of(installation) else { panic!("served, but must say {said:?}") };
    assert_eq!(refused.code, 1, "{}", refused.text);
    for part in said {
        assert!(refused.text.contains(part), "`{part}` is missing in: {}", refused.text);
    }
    assert!(refused.text.contains("keyward audit accept-loss"), "{}", refused.text);
    refused
}

fn both_sizes(size: u64, mark: u64) -> Vec<String> {
    vec![format!("holds `{size}` records"), format!("remembers `{mark}`")]
}

/// A change to the bytes of the file.
type Change = Box<dyn Fn(&mut Vec<u8>)>;
/// A way to damage the file, by name.
type Damage = (String, Change);

fn cut(at: usize) -> Change {
    Box::new(move |bytes| bytes.truncate(at))
}

/// Cuts, flips, zeros and garbage, at the file's beginning, in its middle and at its end.
fn damages(wal: &Wal, bytes: &[u8]) -> Vec<Damage> {
    let last = wal.batches.len() - 1;
    let mut all: Vec<Damage> = Vec::new();
    for place in [0, last / 2, last * 3 / 4, last] {
        let batch = wal.batches[place].place.clone();
        let middle = usize::midpoint(batch.start, batch.end);
        all.push((format!("cut at the edge after batch {place}"), cut(batch.end)));
        all.push((format!("cut in the middle of batch {place}"), cut(middle)));
        all.push((format!("a bit flipped in batch {place}"), Box::new(move |bytes| bytes[middle] ^= 0x10)));
    }
    let (first, end) = (wal.batches[0].place.clone(), bytes.len());
    let half: Vec<u8> = bytes[first.start..usize::midpoint(first.start, first.end)].to_vec();
    all.push(("nothing".to_owned(), Box::new(|_| {})));
    all.push(("one byte cut off".to_owned(), cut(wal.end() - 1)));
    all.push(("the last 5,000 bytes zeroed".to_owned(), Box::new(move |bytes| bytes[end - 5000..].fill(0))));
    all.push(("half a record appended".to_owned(), Box::new(move |bytes| bytes.extend(&half))));
    all.push(("three bytes appended".to_owned(), Box::new(|bytes| bytes.extend([7, 7, 7]))));
    all.push(("cut to nothing".to_owned(), cut(0)));
    all
}

/// One damage to a copy, under one mark.
fn try_damage(killed: &Killed, older_mark: Option<&[u8]>, (name, damage): &Damage) {
    let copy = killed.installation.copy();
    let file = wal_file(&copy);
    let mut bytes = fs::read(&file).unwrap();
    let base = Wal::parse(&bytes).first();
    damage(&mut bytes);
    fs::write(&file, &bytes).unwrap();
    if let Some(mark) = older_mark {
        fs::write(copy.path("hwm"), mark).unwrap();
    }
    let (left, mark) = (Wal::parse(&bytes), mark_size(&copy));
    let size = left.size(base);
    println!("{name}: {size} records left, mark at {mark}, torn: {}", left.is_torn);
    if size < mark {
        let once = refused(copy, &both_sizes(size, mark));
        if older_mark.is_none() {
            // Refused again and again: a start that is refused changes nothing about it.
            refused(once.installation, &both_sizes(size, mark));
        }
        return;
    }
    let gateway = TestGateway::try_of(copy).unwrap_or_else(|refused| panic!("{name}: {}", refused.text));
    let trail = trail(&gateway, &gateway.installation().read("keys/log.vkey"));
    assert_eq!(trail.events("torn_tail_recovered"), usize::from(left.is_torn), "{name}");
    // Above what was left only the gateway's own records of this start can be, and the export's.
    assert!(trail.records.len() as u64 > size);
    assert!(trail.records[usize::try_from(size).unwrap()..].iter().all(|record| record.secret().is_none()), "{name}");
    gateway.finish();
}

#[test]
fn attack_g12_a_damaged_write_ahead_log_is_refused_exactly_when_a_record_below_the_mark_is_gone() {
    let killed = killed_under_load();
    let bytes = fs::read(wal_file(&killed.installation)).unwrap();
    let wal = Wal::parse(&bytes);
    for damage in damages(&wal, &bytes) {
        try_damage(&killed, None, &damage);
        try_damage(&killed, Some(&killed.older_mark), &damage);
    }
}

#[test]
fn attack_g12_a_deleted_write_ahead_log_or_mark_is_refused_and_so_is_the_mark_of_another_log() {
    let killed = killed_under_load();
    let mark = mark_size(&killed.installation);
    let wal = Wal::parse(&fs::read(wal_file(&killed.installation)).unwrap());
    let size = wal.size(wal.first());

    let copy = killed.installation.copy();
    fs::remove_file(wal_file(&copy)).unwrap();
    refused(copy, &both_sizes(wal.first(), mark));

    let copy = killed.installation.copy();
    fs::remove_file(copy.path("hwm")).unwrap();
    refused(copy, &["is missing".to_owned(), format!("holds `{size}` records")]);

    let copy = killed.installation.copy();
    fs::write(copy.path("hwm"), [0; 8192]).unwrap();
    refused(copy, &["is unreadable".to_owned(), format!("holds `{size}` records")]);

    // Two histories that part here.
    let [longer, other] = ["crash/longer", "crash/other"].map(|name| {
        let gateway = TestGateway::of(killed.installation.copy());
        create(&gateway, name);
        gateway.stop()
    });
    let ahead = killed.installation.copy();
    fs::copy(longer.path("hwm"), ahead.path("hwm")).unwrap();
    refused(ahead, &both_sizes(size, mark_size(&longer)));
    other_head(&longer, &other);
}

/// The store of one history under the mark of the other.
fn other_head(one: &Installation, other: &Installation) {
    assert_eq!(mark_size(one), mark_size(other));
    let copy = other.copy();
    fs::copy(one.path("hwm"), copy.path("hwm")).unwrap();
    refused(copy, &["another one".to_owned(), format!("`{}`", mark_size(one))]);
    TestGateway::of(other.copy()).finish();
}

#[test]
fn a_mark_that_was_torn_in_one_of_its_slots_is_read_from_the_other() {
    let killed = killed_under_load();
    for slot in [0, 4096] {
        let copy = killed.installation.copy();
        let mut mark = fs::read(copy.path("hwm")).unwrap();
        mark[slot + 100] ^= 1;
        fs::write(copy.path("hwm"), mark).unwrap();
        TestGateway::of(copy).finish();
    }
}

#[test]
fn attack_g12_an_accepted_loss_is_signed_and_the_log_goes_on_under_a_new_origin_and_key() {
    let killed = killed_under_load();
    let whole = killed.installation.copy();
    let file = wal_file(&killed.installation);
    let wal = Wal::parse(&fs::read(&file).unwrap());
    let kept = &wal.batches[..wal.batches.len() / 2];
    fs::File::options().write(true).open(&file).unwrap().set_len(kept.last().unwrap().place.end as u64).unwrap();
    let left = Wal::parse(&fs::read(&file).unwrap()).size(wal.first());
    let mark = mark_size(&killed.installation);
    let installation = refused(killed.installation, &both_sizes(left, mark)).installation;

    let (old_origin, old_vkey) = (origin(&installation), installation.read("keys/log.vkey"));
    let accepted = installation.run(&["--output", "json", "audit", "accept-loss", "--reason", "the disk was torn out"]);
    assert_eq!(accepted.code, 0, "{accepted:?}");
    let accepted: serde_json::Value = serde_json::from_str(&accepted.out).unwrap();
    assert_eq!(
        (&accepted["recovered"], &accepted["lost"], &accepted["index"]),
        (&json!(left), &json!(mark), &json!(left))
    );
    assert_ne!(origin(&installation), old_origin);
    assert_eq!(accepted["origin"], json!(origin(&installation)));

    let gateway = TestGateway::of(installation);
    create(&gateway, "crash/after-the-loss");
    let vkeys = format!("{old_vkey}{}\n", accepted["vkey"].as_str().unwrap());
    let trail = trail(&gateway, &vkeys);
    let loss = &trail.records[usize::try_from(left).unwrap()];
    assert_eq!((loss.kind.as_str(), loss.epoch), ("loss", 2));
    assert_eq!(loss.parameters["reason"], json!("the disk was torn out"));
    assert!(trail.records.iter().all(|record| record.epoch == if record.index < left { 1 } else { 2 }));
    let installation = gateway.stop();
    installation.verify();

    for whole in [installation, whole] {
        let again = whole.run(&["audit", "accept-loss", "--reason", "none"]);
        assert_eq!(again.code, 1, "{again:?}");
        assert!(again.err.contains("no record is lost"), "{again:?}");
        TestGateway::of(whole).finish();
    }
}

fn origin(installation: &Installation) -> String {
    installation.config()["audit"]["origin"].as_str().unwrap().to_owned()
}

#[test]
fn i07_an_acceptance_that_was_interrupted_is_finished_by_the_same_command() {
    let installation = killed_under_load().installation;
    let keys = || {
        let names = fs::read_dir(installation.path("keys")).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_str().unwrap().starts_with("log-")).count()
    };
    let before = origin(&installation);
    fs::remove_file(installation.path("hwm")).unwrap();
    // The loss is recorded, and then the configuration cannot be replaced.
    fs::create_dir(installation.path("keyward.toml.new")).unwrap();
    let interrupted = installation.run(&["audit", "accept-loss", "--reason", "the mark is gone"]);
    assert_eq!(interrupted.code, 1, "{interrupted:?}");
    assert_eq!((origin(&installation), keys()), (before.clone(), 2), "the key that the log names is kept");
    fs::remove_dir(installation.path("keyward.toml.new")).unwrap();

    let finished = installation.run(&["--output", "json", "audit", "accept-loss", "--reason", "again"]);
    assert_eq!((finished.code, keys()), (0, 2), "{finished:?}");
    assert_ne!(origin(&installation), before);
    let gateway = TestGateway::of(installation);
    gateway.create("crash/after-the-loss", "value");
    gateway.finish();
}

#[test]
fn i07_a_signing_key_that_is_gone_is_a_loss_that_can_be_accepted_and_one_that_cannot_be_read_is_not() {
    let gateway = TestGateway::start();
    create(&gateway, "key/before");
    let installation = gateway.stop();
    let (key, vkey) = (installation.path("keys/log.key"), installation.path("keys/log.vkey"));
    let accept = || installation.run(&["--output", "json", "audit", "accept-loss", "--reason", "the key is gone"]);
    let refused = |names: &str| {
        let refused = accept();
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.err.contains(names), "{refused:?}");
    };
    let before = origin(&installation);
    fs::write(&key, "no key").unwrap();
    refused("log.key");
    fs::remove_file(&key).unwrap();
    let public = fs::read(&vkey).unwrap();
    fs::remove_file(&vkey).unwrap();
    refused("log.vkey");
    fs::write(&vkey, public).unwrap();

    let accepted = accept();
    assert_eq!(accepted.code, 0, "{accepted:?}");
    let accepted: serde_json::Value = serde_json::from_str(&accepted.out).unwrap();
    assert_eq!(accepted["lost"], accepted["recovered"], "no record is lost");
    assert_ne!(origin(&installation), before);

    let gateway = TestGateway::of(installation);
    create(&gateway, "key/after");
    let trail = trail(&gateway, &format!("{}\n", accepted["vkey"].as_str().unwrap()));
    let loss = trail.records.iter().find(|record| record.kind == "loss").unwrap();
    assert!(loss.parameters.get("old_signature").is_none());
    let installation = gateway.stop();
    installation.verify();
    TestGateway::of(installation).finish();
}
