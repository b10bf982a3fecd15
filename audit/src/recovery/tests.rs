//! What each kind of damage to the live write-ahead log does on the bundled version of RocksDB, and what is made of it
//! here. `kill -9` is a copy of the directory while the store is open: every batch in it is synced.

mod gap;

use std::collections::BTreeMap;

use super::*;
use crate::store::{Commit, Family, Key, Snapshot, Write, read};

const BATCHES: u64 = 200;
const BATCH: u64 = 10;

/// 2,000 records in 200 synced batches of 10, as a killed process leaves them.
struct Killed {
    directory: tempfile::TempDir,
    /// Where each batch ends in the log.
    ends: Vec<usize>,
}

fn batch(number: u64) -> Vec<Write> {
    let row = |index: u64| Write {
        key: Key::new(Family::Records, index.to_be_bytes()),
        value: Some(format!("{index:0>150}").into_bytes()),
    };
    (number * BATCH..(number + 1) * BATCH).map(row).collect()
}

impl Killed {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let live = directory.path().join("live");
        let store = RocksStore::create(&live).unwrap();
        for number in 0..BATCHES {
            assert!(matches!(store.commit(&batch(number), &[]), Commit::Committed));
        }
        let killed = Self { ends: Vec::new(), directory };
        copy_all(&live, &killed.store());
        let ends = batch_ends(&fs::read(killed.log()).unwrap());
        Self { ends, ..killed }
    }

    fn store(&self) -> PathBuf {
        self.directory.path().join("db")
    }

    /// The live write-ahead log: the only one with something in it.
    fn log(&self) -> PathBuf {
        let logs: Vec<_> =
            files(&self.store()).into_iter().filter(|(name, bytes)| is_log(name) && !bytes.is_empty()).collect();
        let [(name, _)] = logs.as_slice() else { panic!("one log expected: {}", logs.len()) };
        self.store().join(name)
    }

    fn damage(self, damage: Damage) -> Self {
        let log = self.log();
        let mut bytes = fs::read(&log).unwrap();
        let end = bytes.len();
        match damage {
            Damage::CutInsideARecord => bytes.truncate(end - 5_000),
            Damage::CutBetweenRecords => bytes.truncate(self.ends[100]),
            Damage::BitFlipped => bytes[self.inside(100)] ^= 0x10,
            Damage::EndZeroed => bytes[end - 5_000..].fill(0),
            Damage::Deleted => {
                fs::remove_file(&log).unwrap();
                return self;
            }
        }
        fs::write(&log, bytes).unwrap();
        self
    }

    /// A place in the middle of a batch's bytes.
    fn inside(&self, number: usize) -> usize {
        usize::midpoint(self.ends[number - 1], self.ends[number])
    }

    /// How many records lie in batches that end at or before `bytes`.
    fn records_within(&self, bytes: usize) -> u64 {
        BATCH * self.ends.iter().filter(|end| **end <= bytes).count() as u64
    }

    /// How many records the engine by itself opens with.
    fn opened(&self, recovery: Recovery) -> Result<u64, StoreError> {
        let scratch = self.directory.path().join(format!("{recovery:?}"));
        copy_all(&self.store(), &scratch);
        let opened = RocksStore::open(&scratch, recovery).map(|store| count(&store));
        remove(&scratch).unwrap();
        opened
    }
}

#[derive(Clone, Copy, Debug)]
enum Damage {
    CutInsideARecord,
    CutBetweenRecords,
    BitFlipped,
    EndZeroed,
    Deleted,
}

fn is_log(name: &str) -> bool {
    name.ends_with(".log")
}

/// Every file of a directory, by name.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// The files that hold data, as opposed to RocksDB's text log and lock.
fn data(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    files(directory).into_iter().filter(|(name, _)| Part::of(OsStr::new(name)) != Part::NotCopied).collect()
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for (name, bytes) in files(from) {
        fs::write(to.join(name), bytes).unwrap();
    }
}

/// Where each batch ends. The log is blocks of 32 KiB; in them fragments of crc (4), length (le16), type and payload,
/// none of which crosses a block; a batch is one fragment (type 1), or a first (2), middle ones (3) and a last (4).
/// A recycled log would have types 5 to 8 and four more bytes of header; ours are never recycled.
fn batch_ends(log: &[u8]) -> Vec<usize> {
    const BLOCK: usize = 32 * 1024;
    const HEADER: usize = 7;
    let mut ends = Vec::new();
    let mut at = 0;
    while at + HEADER <= log.len() {
        let left = BLOCK - at % BLOCK;
        if left < HEADER {
            at += left;
            continue;
        }
        let length = usize::from(u16::from_le_bytes([log[at + 4], log[at + 5]]));
        at += HEADER + length;
        match log[at - length - 1] {
            1 | 4 => ends.push(at),
            2 | 3 => {}
            other => panic!("a fragment of type {other}"),
        }
    }
    ends
}

/// How many records there are, from the first on without a gap and each as written.
fn count(store: &RocksStore) -> u64 {
    read(store, |rows| Ok(count_rows(rows))).unwrap()
}

fn count_rows(rows: &dyn Snapshot) -> u64 {
    let mut size = 0_u64;
    rows.scan(Family::Records, &[], &[0xff; 9], false, &mut |key, value| {
        assert_eq!(key, size.to_be_bytes());
        assert_eq!(value, format!("{size:0>150}").as_bytes());
        size += 1;
        true
    })
    .unwrap();
    size
}

/// A judge with a mark at `mark` records.
fn judge(mark: u64) -> impl FnMut(&dyn Snapshot) -> Result<Verdict, StoreError> {
    move |rows| {
        let size = count_rows(rows);
        let lost = || Verdict::Refuse(format!("{size} of {mark}"));
        Ok(if size >= mark { Verdict::Accept } else { lost() })
    }
}

#[track_caller]
fn assert_damaged<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    assert!(matches!(answer, Err(StoreError::Damaged(_))), "{answer:?}");
}

/// Nothing was left beside the store.
#[track_caller]
fn assert_clean(killed: &Killed) {
    let place = Place::of(&killed.store()).unwrap();
    assert!(!place.recovery.exists() && !place.torn.exists());
}

#[test]
fn the_log_is_framed_as_the_damage_below_assumes() {
    let killed = Killed::new();
    assert_eq!(killed.ends.len() as u64, BATCHES);
    assert_eq!(killed.ends.last(), Some(&fs::read(killed.log()).unwrap().len()));
    assert!(killed.log().metadata().unwrap().len() > 5 * 32 * 1024);
}

#[test]
fn a_killed_store_opens_whole() {
    let killed = Killed::new();
    assert_eq!(killed.opened(Recovery::Absolute).unwrap(), 2_000);
    let opened = open_with_recovery(&killed.store(), &mut judge(2_000)).unwrap();
    assert_eq!((opened.tail, count(&opened.store)), (Tail::Whole, 2_000));
    assert_clean(&killed);
}

/// The engine refuses in its strict mode, and opens a shorter log in the other: recovered unless the mark is above.
fn assert_torn(damage: Damage, expected: impl Fn(&Killed) -> u64) {
    let killed = Killed::new();
    let expected = expected(&killed);
    assert!((500..2_000).contains(&expected));
    let killed = killed.damage(damage);
    assert_damaged(killed.opened(Recovery::Absolute));
    assert_eq!(killed.opened(Recovery::PointInTime).unwrap(), expected);

    let before = data(&killed.store());
    let refused = open_with_recovery(&killed.store(), &mut judge(expected + 1));
    let Err(StoreError::Refused(why)) = refused else { panic!("{refused:?}") };
    assert_eq!(why, format!("{expected} of {}", expected + 1));
    assert!(data(&killed.store()) == before, "a refused store was touched");
    assert_clean(&killed);

    let opened = open_with_recovery(&killed.store(), &mut judge(expected)).unwrap();
    assert_eq!((opened.tail, count(&opened.store)), (Tail::Torn, expected));
    assert_clean(&killed);
    assert!(matches!(opened.store.commit(&batch(expected / BATCH), &[]), Commit::Committed));
    drop(opened);
    let again = open_with_recovery(&killed.store(), &mut judge(expected + BATCH)).unwrap();
    assert_eq!((again.tail, count(&again.store)), (Tail::Whole, expected + BATCH));
}

/// The engine opens in both modes without an error, and records are gone: only the mark can tell.
fn assert_silent(damage: Damage, expected: u64) {
    let killed = Killed::new().damage(damage);
    for recovery in [Recovery::Absolute, Recovery::PointInTime] {
        assert_eq!(killed.opened(recovery).unwrap(), expected);
    }
    let refused = open_with_recovery(&killed.store(), &mut judge(2_000));
    let Err(StoreError::Refused(why)) = refused else { panic!("{refused:?}") };
    assert_eq!(why, format!("{expected} of 2000"));
    let opened = open_with_recovery(&killed.store(), &mut judge(expected)).unwrap();
    assert_eq!((opened.tail, count(&opened.store)), (Tail::Whole, expected));
}

#[test]
fn attack_g12_a_log_cut_inside_a_record_is_recovered_or_refused_by_the_mark() {
    assert_torn(Damage::CutInsideARecord, |killed| {
        let cut = killed.ends[199] - 5_000;
        assert!(!killed.ends.contains(&cut));
        killed.records_within(cut)
    });
}

#[test]
fn attack_g12_a_log_cut_between_records_opens_silently_and_only_the_mark_tells() {
    assert_silent(Damage::CutBetweenRecords, 1_010);
}

#[test]
fn attack_g12_a_flipped_bit_is_recovered_or_refused_by_the_mark() {
    assert_torn(Damage::BitFlipped, |_| 1_000);
}

#[test]
fn attack_g12_a_log_with_its_end_zeroed_is_recovered_or_refused_by_the_mark() {
    assert_torn(Damage::EndZeroed, |killed| killed.records_within(killed.ends[199] - 5_000));
}

#[test]
fn attack_g12_a_deleted_log_opens_silently_and_only_the_mark_tells() {
    assert_silent(Damage::Deleted, 0);
}

#[test]
fn a_missing_manifest_is_an_error_and_leaves_everything_as_it_was() {
    let killed = Killed::new();
    fs::remove_file(killed.store().join("CURRENT")).unwrap();
    let before = data(&killed.store());
    assert!(open_with_recovery(&killed.store(), &mut judge(0)).is_err());
    assert!(data(&killed.store()) == before);
    assert_clean(&killed);
}

#[test]
fn tables_are_linked_and_everything_else_is_copied() {
    let killed = Killed::new();
    // Opening flushes what was in the log into a table.
    drop(RocksStore::open(&killed.store(), Recovery::Absolute).unwrap());
    let place = Place::of(&killed.store()).unwrap();
    place.copy().unwrap();
    let (original, copy) = (data(&place.store), data(&place.recovery));
    assert!(original == copy);
    assert!(original.keys().any(|name| name.ends_with(".sst")));
    assert!(files(&place.recovery).keys().all(|name| name != "LOCK" && !name.starts_with("LOG")));
    for name in original.keys() {
        let same = inode(&place.store.join(name)) == inode(&place.recovery.join(name));
        assert_eq!(same, name.ends_with(".sst"), "{name}");
    }
}

fn inode(path: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::ino(&path.metadata().unwrap())
}

/// Every place where the process can die in a recovery, as the directories that it then leaves.
#[test]
fn a_recovery_that_died_anywhere_is_ended_at_the_next_start() {
    type Dies = fn(&Place);
    let copied: Dies = |place| place.copy().unwrap();
    let opened: Dies = |place| {
        place.copy().unwrap();
        drop(RocksStore::open(&place.recovery, Recovery::PointInTime).unwrap());
    };
    let half_copied: Dies = |place| {
        place.copy().unwrap();
        fs::remove_file(place.recovery.join("CURRENT")).unwrap();
    };
    let renamed_once: Dies = |place| {
        place.copy().unwrap();
        drop(RocksStore::open(&place.recovery, Recovery::PointInTime).unwrap());
        place.rename(&place.store, &place.torn).unwrap();
    };
    let renamed_once_beside_an_empty_folder: Dies = |place| {
        place.copy().unwrap();
        drop(RocksStore::open(&place.recovery, Recovery::PointInTime).unwrap());
        place.rename(&place.store, &place.torn).unwrap();
        fs::create_dir(&place.store).unwrap();
    };
    let renamed_twice: Dies = |place| {
        place.copy().unwrap();
        drop(RocksStore::open(&place.recovery, Recovery::PointInTime).unwrap());
        place.rename(&place.store, &place.torn).unwrap();
        place.rename(&place.recovery, &place.store).unwrap();
    };
    let cases = [
        (copied, Tail::Torn),
        (opened, Tail::Torn),
        (half_copied, Tail::Torn),
        (renamed_once, Tail::Whole),
        (renamed_once_beside_an_empty_folder, Tail::Whole),
        (renamed_twice, Tail::Whole),
    ];
    for (dies, tail) in cases {
        let killed = Killed::new().damage(Damage::BitFlipped);
        dies(&Place::of(&killed.store()).unwrap());
        let opened = open_with_recovery(&killed.store(), &mut judge(1_000)).unwrap();
        assert_eq!((opened.tail, count(&opened.store)), (tail, 1_000));
        assert_clean(&killed);
    }
}

#[test]
fn i07_a_torn_store_stays_beside_what_is_no_store() {
    let killed = Killed::new();
    let place = Place::of(&killed.store()).unwrap();
    place.copy().unwrap();
    place.rename(&place.store, &place.torn).unwrap();
    fs::create_dir(&place.store).unwrap();
    fs::write(place.store.join("000004.sst"), b"half of a copy").unwrap();
    open_with_recovery(&killed.store(), &mut judge(1_000)).unwrap_err();
    assert!(place.torn.join("CURRENT").exists() && place.recovery.join("CURRENT").exists());
    fs::remove_dir_all(&place.store).unwrap();
    assert_eq!(count(&open_with_recovery(&killed.store(), &mut judge(1_000)).unwrap().store), BATCHES * BATCH);
}

#[test]
fn a_store_that_is_open_or_being_recovered_is_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let store = RocksStore::create(&path).unwrap();
    let in_use = |answer: Result<Opened, StoreError>| {
        let Err(StoreError::InUse { path: named }) = answer else { panic!("{answer:?}") };
        assert_eq!(named, path.display().to_string());
    };
    in_use(open_with_recovery(&path, &mut judge(0)));
    drop(store);
    let recovering = Place::of(&path).unwrap().lock().unwrap();
    in_use(open_with_recovery(&path, &mut judge(0)));
    drop(recovering);
    open_with_recovery(&path, &mut judge(0)).unwrap();
}

#[test]
fn a_store_that_is_a_link_is_recovered_where_it_lies() {
    let killed = Killed::new().damage(Damage::BitFlipped);
    let link = killed.directory.path().join("link");
    std::os::unix::fs::symlink("db", &link).unwrap();
    let opened = open_with_recovery(&link, &mut judge(1_000)).unwrap();
    assert_eq!((opened.tail, count(&opened.store)), (Tail::Torn, 1_000));
    assert!(link.is_symlink() && killed.store().join("CURRENT").exists());
    assert_clean(&killed);
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let answer = open_with_recovery(&path, &mut judge(0));
    assert!(matches!(&answer, Err(StoreError::Engine(why)) if why.starts_with("there is no store at")), "{answer:?}");
    assert!(!path.exists());
}
