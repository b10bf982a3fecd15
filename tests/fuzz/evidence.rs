//! Records, notes, exports and stored rows.

use super::{files, fuzz, repository};
use keyward::secret::{SealedValue, row::SecretRow};
use keyward_audit::checkpoint::{Checkpoint, SignedCheckpoint};
use keyward_audit::note::{Limits, Note, VerifyingKey};
use keyward_audit::record::Record;
use keyward_audit_verify::{Options, Vkey, verify};
use std::collections::BTreeSet;

/// The keys of the golden logs, for the verifier and for the writer.
fn keys() -> (Vec<Vkey>, Vec<VerifyingKey>) {
    let text = std::fs::read_to_string(repository("audit/testdata/logs/old+new.vkey")).unwrap();
    let own = text.lines().filter(|line| !line.is_empty()).map(|line| VerifyingKey::parse(line).unwrap()).collect();
    (Vkey::parse_file(&text).unwrap(), own)
}

#[test]
fn i10_records() {
    fuzz("record", files("audit/testdata/samples", ".json"), |bytes| {
        if let Ok(record) = Record::parse(bytes) {
            // INVARIANT I7: what is accepted is canonical: written again, it is the same bytes.
            let framed = record.draft().frame().expect("what was read can be written");
            assert_eq!(framed.finish(record.epoch(), record.index(), record.time_us()), bytes);
        }
    });
}

#[test]
fn i10_notes_and_checkpoints() {
    let (vkeys, own_keys) = keys();
    let limits = Limits { bytes_max: 65_536, signatures_max: 16 };
    let notes = ["0", "1", "2"].iter().flat_map(|end| files("audit/testdata/logs", &format!(".since{end}"))).collect();
    fuzz("note", notes, |bytes| {
        let parsed = Note::parse(bytes, limits);
        let own = SignedCheckpoint::parse_and_verify(bytes, &own_keys);
        assert!(own.is_err() || parsed.is_ok());
        if let Ok(note) = parsed {
            let _not_a_checkpoint = Checkpoint::parse(note.text());
        }
        // INVARIANT I7: the writer and the verifier agree on what is signed.
        let other = keyward_audit_verify::Checkpoint::open(bytes, &vkeys);
        match (own, other) {
            (Ok(own), Ok(other)) => {
                assert_eq!(own.checkpoint().size, other.size());
                assert_eq!(own.checkpoint().root.as_ref(), other.root().as_ref());
                assert_eq!(own.checkpoint().origin, other.origin());
            }
            (Err(_), Err(_)) => {}
            (own, other) => panic!("the writer says {:?}, the verifier {:?}", own.err(), other.err()),
        }
    });
}

#[test]
fn i07_i10_exports() {
    let (keys, _) = keys();
    let head = |bytes: &[u8]| {
        let options = Options { keys: &keys, since: &[], threads: 1, progress: &|_| {} };
        let report = verify(&bytes, &options).ok().filter(keyward_audit_verify::Report::is_valid)?;
        report.head
    };
    let logs = files("audit/testdata/logs", ".raw");
    let signed: BTreeSet<_> = logs.iter().filter_map(|log| head(log)).collect();
    assert!(signed.len() > 2, "only {} valid logs", signed.len());
    fuzz("export", logs, |bytes| {
        // Nothing verifies but what was signed.
        if let Some(head) = head(bytes) {
            assert!(signed.contains(&head), "a new head of {} records", head.0);
        }
    });
}

#[test]
fn i10_verifying_keys() {
    let lines = files("audit/testdata/logs", ".vkey");
    fuzz("vkey", lines, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let line = text.lines().next().unwrap_or_default();
        assert_eq!(VerifyingKey::parse(line).is_ok(), Vkey::parse(line).is_ok(), "{line:?}");
    });
}

/// The rows of the second implementation, of one kind.
fn rows(family: &str) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(repository("src/secret/golden/rows.txt")).unwrap();
    let rows = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    rows.filter(|row| row[0] == family).map(|row| hex::decode(row[2]).unwrap()).collect()
}

#[test]
fn i10_stored_rows() {
    fuzz("row", rows("secrets"), |bytes| {
        if let Ok(row) = SecretRow::decode(bytes) {
            assert_eq!(row.encode(), bytes);
        }
        if let Ok(value) = SealedValue::decode(bytes) {
            assert_eq!(value.encode(), bytes);
        }
    });
}
