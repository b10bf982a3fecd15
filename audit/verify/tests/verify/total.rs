//! INVARIANT I10: no bytes make the verifier panic, and none but an honest file are valid.

use super::generator::{Log, Numbers, change_bytes};
use super::verdict;
use keyward_audit_verify::{Checkpoint, Vkey};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn i10_arbitrary_bytes_are_no_valid_file(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let vkeys = Log::random(&mut Numbers(1), 0).vkeys();
        prop_assert_ne!(verdict(&bytes, &vkeys, &[], 1).0, 0);
    }

    #[test]
    fn i10_bytes_of_the_format_are_no_valid_file(text in "[\n{}\\[\\]\":,0-9a-z\u{2014} +/=]{0,400}") {
        let vkeys = Log::random(&mut Numbers(1), 0).vkeys();
        prop_assert_ne!(verdict(text.as_bytes(), &vkeys, &[], 1).0, 0);
    }

    #[test]
    fn i10_a_changed_file_is_not_valid(seed in any::<u64>(), changes in 1..4_u32) {
        let mut numbers = Numbers(seed);
        let log = Log::random(&mut numbers, 12);
        let good = log.export(&log.checkpoint(), &log.leaf_lines());
        let mut file = good.clone();
        for _ in 0..changes {
            change_bytes(&mut numbers, &mut file);
            file.extend(if file.is_empty() { b" ".as_slice() } else { b"" });
        }
        let valid = verdict(&file, &log.vkeys(), &[], 1).0 == 0;
        // What is left of the note may still be whole: signatures of unknown keys, as a changed name makes them.
        prop_assert!(!valid || file == good || changes_only_signatures(&good, &file));
    }

    #[test]
    fn i10_vkeys_and_notes_of_any_text_are_read(text in ".{0,300}", bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Vkey::parse_file(&text);
        prop_assert!(Checkpoint::open(text.as_bytes(), &[]).is_err());
        prop_assert!(Checkpoint::open(&bytes, &[]).is_err());
    }
}

/// Whether two files differ in signature lines alone.
fn changes_only_signatures(one: &[u8], other: &[u8]) -> bool {
    let others = |file: &[u8]| -> Vec<Vec<u8>> {
        let lines = file.split(|byte| *byte == b'\n');
        lines.filter(|line| !line.starts_with("\u{2014}".as_bytes())).map(<[u8]>::to_vec).collect()
    };
    others(one) == others(other)
}

#[test]
fn a_line_longer_than_any_chunk_is_named_and_does_not_hide_what_follows() {
    let mut log = Log::random(&mut Numbers(5), 9);
    log.records[4] = format!("{{\"action\":\"{}\"}}", "x".repeat(3 << 18));
    let file = log.export(&log.checkpoint(), &log.leaf_lines());
    for threads in 1..4 {
        let (code, lines) = verdict(&file, &log.vkeys(), &[], threads);
        assert_eq!((code, lines), (4, vec!["index 4: larger than 8,192 bytes".to_owned()]));
    }
}

#[test]
fn a_log_of_many_chunks_is_the_same_with_any_number_of_threads() {
    let log = Log::random(&mut Numbers(9), 4000);
    let (note, lines) = (log.checkpoint(), log.leaf_lines());
    let file = log.export(&note, &lines);
    assert!(file.len() > 5 << 18);
    for threads in 1..5 {
        assert_eq!(verdict(&file, &log.vkeys(), &[], threads).0, 0);
        let mut bad = file.clone();
        let place = file.len() / 2;
        bad[place] ^= 1;
        let before = file[..place].iter().filter(|byte| **byte == b'\n').count();
        assert!(verdict(&bad, &log.vkeys(), &[], threads).1[0].starts_with(&format!("index {before}: ")));
    }
}
