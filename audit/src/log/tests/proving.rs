//! Proofs and exports, checked by hashing alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::*;
use crate::checkpoint::SignedCheckpoint;
use crate::hash;
use crate::tree::{Frontier, verify_inclusion};

#[tokio::test]
async fn every_record_is_proven_at_every_signed_size() {
    let mut rig = Rig::new();
    for size in 1..=20_u64 {
        rig.commit(read_of("a")).await.into_event();
        rig.clock.pass(SECOND);
        rig.signer.step();
        for index in 0..size {
            let proof = rig.log.inclusion_proof(index, size).unwrap().expect("a proof");
            let leaf = hash::leaf(&rig.log.record(index).unwrap().unwrap());
            assert_eq!(leaf, proof.leaf);
            verify_inclusion(&leaf, index, size, &proof.hashes, &proof.checkpoint.root).unwrap();
        }
        assert!(rig.log.inclusion_proof(size, size).unwrap().is_none());
    }
    assert!(rig.log.inclusion_proof(0, 21).unwrap().is_none());
}

#[tokio::test]
async fn proofs_reach_across_full_tiles_and_to_older_sizes() {
    let mut rig = Rig::new();
    let mut signed = Vec::new();
    for number in 0..600_u64 {
        let pending = rig.submit(read_of("a"), Changes::default(), ReadSet::default()).await;
        if number % 60 == 59 {
            rig.work();
            rig.clock.pass(SECOND);
            rig.signer.step();
            signed.push(rig.log.as_of());
        }
        drop(pending);
    }
    assert_eq!(signed, [60, 120, 180, 240, 300, 360, 420, 480, 540, 600]);
    for size in signed {
        for index in [0, 1, 59, 200, 255, 256, 257, 511, 512, 599] {
            let proof = rig.log.inclusion_proof(index, size).unwrap();
            assert_eq!(proof.is_some(), index < size, "index {index} size {size}");
        }
    }
}

#[tokio::test]
async fn a_size_that_was_never_signed_has_no_proof() {
    let mut rig = Rig::new();
    rig.commit(read_of("a")).await.into_event();
    rig.commit(read_of("b")).await.into_event();
    rig.signer.step();
    assert!(rig.log.inclusion_proof(0, 1).unwrap().is_none());
    assert!(rig.log.inclusion_proof(0, 2).unwrap().is_some());
}

#[tokio::test]
async fn a_receipt_has_the_form_of_a_tlog_proof() {
    let mut rig = Rig::new();
    for name in ["a", "b", "c"] {
        rig.commit(read_of(name)).await.into_event();
    }
    rig.signer.step();
    let proof = rig.log.inclusion_proof(1, 3).unwrap().unwrap();
    let hashes: Vec<String> = proof.hashes.iter().map(|hash| BASE64.encode(hash)).collect();
    let expected = format!(
        "c2sp.org/tlog-proof@v1\nindex 1\n{}\n{}\n\n{}",
        hashes[0],
        hashes[1],
        rig.log.newest_checkpoint().unwrap().note()
    );
    assert_eq!(proof.text(), expected);
}

async fn exported(rig: &mut Rig) -> String {
    rig.signer.step();
    let export = rig.log.export().await.unwrap();
    let chunks: Vec<Vec<u8>> = export.map(Result::unwrap).collect();
    String::from_utf8(chunks.concat()).unwrap()
}

/// Verifies an export as the specification of the file says; answers how many records it has.
fn verify(rig: &Rig, file: &str) -> u64 {
    let (records, rest) = match file.strip_prefix('\n') {
        Some(rest) => ("", rest),
        None => file.split_once("\n\n").unwrap(),
    };
    let (text, rest) = rest.split_once("\n\n").unwrap();
    let (signatures, leaves) = rest.split_once("\n\n").map_or((rest, ""), |(signatures, leaves)| (signatures, leaves));
    let signatures = signatures.strip_suffix('\n').unwrap_or(signatures);
    let note = format!("{text}\n\n{signatures}\n");
    let keys = [rig.settings.key.verifying_key().clone()];
    let checkpoint = SignedCheckpoint::parse_and_verify(note.as_bytes(), &keys).unwrap();
    let mut tree = Frontier::new();
    let mut lines = leaves.lines();
    for (index, record) in records.lines().enumerate() {
        let leaf = hash::leaf(record.as_bytes());
        assert_eq!(Record::parse(record.as_bytes()).unwrap().index(), index as u64);
        assert_eq!(lines.next(), Some(BASE64.encode(leaf).as_str()));
        tree.push(leaf);
    }
    assert_eq!(lines.next(), None);
    assert_eq!((tree.size(), tree.root()), (checkpoint.checkpoint().size, checkpoint.checkpoint().root));
    tree.size()
}

#[tokio::test]
async fn an_export_verifies_by_hashing_alone() {
    let mut rig = Rig::with(Limits { seal_records: 100, ..limits() });
    let mut total = 0;
    for records in [1, 254, 1, 400] {
        for _ in 0..records {
            drop(rig.submit(read_of("a"), Changes::default(), ReadSet::default()).await);
        }
        rig.work();
        rig.clock.pass(SECOND);
        total = rig.log.as_of();
        let file = exported(&mut rig).await;
        assert_eq!(verify(&rig, &file), total);
    }
    assert!(total > 656, "seals are in it");
}

#[tokio::test]
async fn an_empty_log_is_exported_too() {
    let mut rig = Rig::new();
    let file = exported(&mut rig).await;
    assert!(file.starts_with(&format!("\n{ORIGIN}\n0\n")), "{file}");
    assert_eq!(verify(&rig, &file), 0);
}

#[tokio::test]
async fn what_comes_after_the_checkpoint_is_not_in_the_export() {
    let mut rig = Rig::new();
    rig.commit(read_of("a")).await.into_event();
    rig.signer.step();
    let export = rig.log.export().await.unwrap();
    rig.commit(read_of("b")).await.into_event();
    let file = String::from_utf8(export.map(Result::unwrap).collect::<Vec<_>>().concat()).unwrap();
    assert_eq!(verify(&rig, &file), 1);
}

#[tokio::test]
async fn an_export_with_a_missing_record_ends_in_an_error() {
    let mut rig = Rig::new();
    for name in ["a", "b", "c"] {
        rig.commit(read_of(name)).await.into_event();
    }
    rig.signer.step();
    rig.tamper(rig.log.shared.id.record(1), None);
    let mut export = rig.log.export().await.unwrap();
    let error = export.next().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the store is damaged: the record at index `1` is missing");
    assert!(export.next().is_none());
}
