//! Both verifiers, written apart from each other, give the same verdict line for line on random and tampered logs.

use super::generator::{Log, Numbers, change_bytes, tamper};
use super::{Verdict, python_verdicts, verdict};
use std::path::PathBuf;

const CASES: u64 = 300;

/// A file, its vkeys and remembered checkpoints.
struct Case {
    file: Vec<u8>,
    vkeys: String,
    since: Vec<Vec<u8>>,
    honest: bool,
}

fn case(seed: u64) -> Case {
    let mut numbers = Numbers(seed);
    let size = numbers.below(40);
    let mut log = Log::random(&mut numbers, size);
    let size = log.records.len();
    let mut since = Vec::new();
    for _ in 0..numbers.below(3) {
        since.push(log.checkpoint_at(numbers.below(size + 1)).into_bytes());
    }
    let mut vkeys = log.vkeys();
    let honest = seed.is_multiple_of(4);
    let mut file = log.export(&log.checkpoint(), &log.leaf_lines());
    if !honest {
        file = tamper(&mut numbers, &mut log);
        match numbers.below(12) {
            0 => change_bytes(&mut numbers, &mut file),
            1 => vkeys = vkeys.lines().take(1).map(|line| format!("{line}\n")).collect(),
            2 => since.push(log.checkpoint().into_bytes()),
            _ => {}
        }
    }
    Case { file, vkeys, since, honest }
}

fn python_verdicts_on(cases: &[Case]) -> Vec<Verdict> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut jobs = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let path = |suffix: &str| folder.path().join(format!("{number}.{suffix}"));
        let write = |path: PathBuf, bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("room");
            path
        };
        let mut job = vec![write(path("raw"), &case.file), "--vkey".into(), write(path("vkey"), case.vkeys.as_bytes())];
        for (n, note) in case.since.iter().enumerate() {
            job.extend(["--since".into(), write(path(&format!("since{n}")), note)]);
        }
        jobs.push(job);
    }
    python_verdicts(&jobs)
}

#[test]
fn i07_both_verifiers_agree_on_random_and_tampered_logs() {
    let cases: Vec<Case> = (0..CASES).map(case).collect();
    let python = python_verdicts_on(&cases);
    assert_eq!(python.len(), cases.len());
    let mut codes = std::collections::BTreeMap::new();
    for (number, (case, python)) in cases.iter().zip(python).enumerate() {
        let own = verdict(&case.file, &case.vkeys, &case.since, 1 + number % 3);
        assert_eq!(own, python, "case {number}");
        if case.honest {
            assert_eq!(own.0, 0, "honest case {number}: {:?}", own.1);
        }
        *codes.entry(own.0).or_insert(0) += 1;
    }
    // The generator has to reach every verdict, or the test proves little.
    assert!(codes[&4] > 150 && codes[&0] >= 75, "{codes:?}");
}

#[test]
fn honest_logs_of_every_size_to_130_pass() {
    let mut numbers = Numbers(7);
    for size in 0..=130 {
        let log = Log::random(&mut numbers, size);
        let file = log.export(&log.checkpoint(), &log.leaf_lines());
        let since = [log.checkpoint_at(log.records.len() / 2).into_bytes()];
        let (code, lines) = verdict(&file, &log.vkeys(), &since, 2);
        assert_eq!(code, 0, "size {size}: {lines:?}");
    }
}

#[test]
fn each_bit_of_each_record_is_found_at_its_index() {
    let log = Log::random(&mut Numbers(3), 3);
    let good = log.export(&log.checkpoint(), &log.leaf_lines());
    let mut place = 0;
    for (index, record) in log.records.iter().enumerate() {
        for bit in 0..record.len() * 8 {
            let mut file = good.clone();
            file[place + bit / 8] ^= 1 << (bit % 8);
            let (code, lines) = verdict(&file, &log.vkeys(), &[], 1);
            assert_eq!(code, 4, "bit {bit} of record {index}");
            assert!(lines[0].starts_with(&format!("index {index}: ")), "bit {bit} of record {index}: {lines:?}");
        }
        place += record.len() + 1;
    }
}

#[test]
fn each_record_dropped_doubled_or_swapped_is_found_at_its_index() {
    let log = Log::random(&mut Numbers(11), 20);
    let (note, lines, size) = (log.checkpoint(), log.leaf_lines(), log.records.len());
    let first_finding = |records: Vec<String>| {
        let mut changed = Log::random(&mut Numbers(11), 20);
        changed.records = records;
        verdict(&changed.export(&note, &lines), &log.vkeys(), &[], 1).1.remove(0)
    };
    for index in 0..size {
        let mut records = log.records.clone();
        let record = records.remove(index);
        assert_eq!(first_finding(records.clone()), format!("index {index}: the record is missing"));
        records.insert(index, record.clone());
        records.insert(index, record);
        assert!(first_finding(records).starts_with(&format!("index {}: a surplus record", index + 1)));
        if index + 1 < size {
            let mut records = log.records.clone();
            records.swap(index, index + 1);
            let wanted = format!("index {index}: the record's leaf is not the signed one");
            assert_eq!(first_finding(records), wanted);
        }
    }
}
