//! A file of the write-ahead log that was synced and closed, and is gone, short or damaged.

use super::*;
use crate::store::rocks::HeldFlushes;

/// 600 records, as a killed process leaves them: 200 in a table, 200 in a closed file of the log, 200 in the live one.
struct Rotated {
    directory: tempfile::TempDir,
    closed: PathBuf,
    live: PathBuf,
}

impl Rotated {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (running, killed) = (directory.path().join("running"), directory.path().join("db"));
        let commit = |store: &RocksStore, numbers: std::ops::Range<u64>| {
            for number in numbers {
                assert!(matches!(store.commit(&batch(number), &[]), Commit::Committed));
            }
        };
        commit(&RocksStore::create(&running).unwrap(), 0..20);
        // Opening writes the first ones out.
        let store = RocksStore::open(&running, Recovery::Absolute).unwrap();
        let held = HeldFlushes::hold();
        commit(&store, 20..40);
        store.begin_flush();
        commit(&store, 40..60);
        copy_all(&running, &killed);
        drop(held);
        let logs: Vec<PathBuf> = files(&killed)
            .into_iter()
            .filter(|(name, bytes)| is_log(name) && !bytes.is_empty())
            .map(|(name, _)| killed.join(name))
            .collect();
        let [closed, live] = logs.try_into().unwrap();
        Self { directory, closed, live }
    }

    fn store(&self) -> PathBuf {
        self.directory.path().join("db")
    }

    fn name(&self) -> &str {
        self.closed.file_name().unwrap().to_str().unwrap()
    }

    /// Whatever the judge says, the store is refused for its gap and left as it was; what is left opens only for whoever
    /// accepts that, and goes on.
    fn assert_gap(&self, left: u64) {
        let path = self.store();
        let before = data(&path);
        let gap = RocksStore::open(&path, Recovery::Absolute).map(|_| ());
        assert!(matches!(&gap, Err(StoreError::Gap(file)) if file == self.name()), "{gap:?}");
        let mut asked = Vec::new();
        for mark in [600, left, 0] {
            let refused = open_with_recovery(&path, &mut |rows| {
                asked.push(count_rows(rows));
                judge(mark)(rows)
            });
            match refused {
                Err(StoreError::Refused(why)) => assert_eq!((why, mark > left), (format!("{left} of {mark}"), true)),
                Err(StoreError::Gap(file)) => assert_eq!((file.as_str(), mark > left), (self.name(), false)),
                other => panic!("{other:?}"),
            }
            assert!(data(&path) == before, "a refused store was touched");
        }
        assert_eq!(asked, [left; 3], "the judge saw what is left");
        assert!(matches!(open_what_is_left(&path, &mut judged(left + 1)), Err(StoreError::Refused(_))));
        assert!(data(&path) == before, "a refused store was touched");

        let mut seen = 0;
        look_at_what_is_left(&path, &mut |store| seen = count(store)).unwrap();
        assert_eq!(seen, left);
        assert!(data(&path) == before, "a store that was only looked at was touched");

        let opened = open_what_is_left(&path, &mut judged(left)).unwrap();
        assert_eq!((opened.tail, count(&opened.store)), (Tail::Torn, left));
        assert!(matches!(opened.store.commit(&batch(left / BATCH), &[]), Commit::Committed));
        drop(opened);
        let again = open_with_recovery(&path, &mut judge(left + BATCH)).unwrap();
        assert_eq!((again.tail, count(&again.store)), (Tail::Whole, left + BATCH));
        let place = Place::of(&path).unwrap();
        assert!(!place.recovery.exists() && !place.torn.exists());
    }
}

/// The same judge, for what lies before a gap.
fn judged(mark: u64) -> impl FnMut(&RocksStore, Option<&str>) -> Result<(), StoreError> {
    move |store, gap| {
        assert!(gap.is_some());
        ask(store, &mut judge(mark))
    }
}

#[test]
fn a_killed_store_whose_log_has_two_files_opens_whole() {
    let rotated = Rotated::new();
    let opened = open_with_recovery(&rotated.store(), &mut judge(600)).unwrap();
    assert_eq!((opened.tail, count(&opened.store)), (Tail::Whole, 600));
}

#[test]
fn attack_g12_a_closed_log_that_is_missing_opens_only_for_whoever_accepts_the_loss() {
    let rotated = Rotated::new();
    fs::remove_file(&rotated.closed).unwrap();
    rotated.assert_gap(200);
}

#[test]
fn attack_g12_a_closed_log_cut_between_records_opens_only_for_whoever_accepts_the_loss() {
    let rotated = Rotated::new();
    let ends = batch_ends(&fs::read(&rotated.closed).unwrap());
    assert_eq!(ends.len(), 20);
    File::options().write(true).open(&rotated.closed).unwrap().set_len(ends[6] as u64).unwrap();
    rotated.assert_gap(270);
}

/// No file is missing, so it is a tear: what lies behind it is cut off, the live file too.
#[test]
fn attack_g12_a_flipped_bit_in_a_closed_log_is_recovered_without_a_hole_or_refused_by_the_mark() {
    let rotated = Rotated::new();
    let mut bytes = fs::read(&rotated.closed).unwrap();
    let ends = batch_ends(&bytes);
    bytes[usize::midpoint(ends[6], ends[7])] ^= 0x10;
    fs::write(&rotated.closed, bytes).unwrap();
    let refused = open_with_recovery(&rotated.store(), &mut judge(271));
    assert!(matches!(&refused, Err(StoreError::Refused(why)) if why == "270 of 271"), "{refused:?}");
    let opened = open_with_recovery(&rotated.store(), &mut judge(270)).unwrap();
    assert_eq!((opened.tail, count(&opened.store)), (Tail::Torn, 270));
}

#[test]
fn attack_g12_a_live_log_that_is_missing_behind_a_closed_one_is_told_by_the_mark_alone() {
    let rotated = Rotated::new();
    fs::remove_file(&rotated.live).unwrap();
    let refused = open_with_recovery(&rotated.store(), &mut judge(600));
    assert!(matches!(&refused, Err(StoreError::Refused(why)) if why == "400 of 600"), "{refused:?}");
}
