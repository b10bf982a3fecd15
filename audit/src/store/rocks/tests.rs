use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::*;
use crate::store::{Key, Verdict, read};

fn fresh() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    (directory, path)
}

fn put(index: u64, value: Vec<u8>) -> Vec<Write> {
    vec![Write { key: Key::new(Family::Records, index.to_be_bytes()), value: Some(value) }]
}

fn rows(store: &RocksStore) -> u64 {
    read(store, |rows| {
        let mut count = 0;
        rows.scan(Family::Records, &[], &[0xff; 9], false, &mut |_, _| {
            count += 1;
            true
        })?;
        Ok(count)
    })
    .unwrap()
}

#[test]
fn a_new_store_is_its_owners_alone_and_never_over_another() {
    let (_directory, path) = fresh();
    drop(RocksStore::create(&path).unwrap());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert!(matches!(RocksStore::create(&path), Err(StoreError::Engine(why)) if why.starts_with("cannot make")));
    assert_eq!(rows(&RocksStore::open(&path, Recovery::Absolute).unwrap()), 0);
}

/// Bytes that no compression makes shorter.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length / 8).flat_map(|_| next()).collect()
}

#[test]
fn what_is_held_of_files_beside_the_cache_does_not_grow_with_them() {
    const ROWS: u64 = 3_000;
    let (_directory, path) = fresh();
    let store = RocksStore::create(&path).unwrap();
    let row = |index: u64| {
        let key = [vec![b'k'; 64], index.to_be_bytes().to_vec()].concat();
        Write { key: Key::new(Family::Secrets, key), value: Some(noise(8_192, index)) }
    };
    let rows: Vec<Write> = (0..ROWS).map(row).collect();
    assert!(matches!(store.commit(&rows, &[]), Commit::Committed));
    let unwritten = store.memory().unwrap().unwritten;
    assert!(unwritten > 8_192 * ROWS, "{unwritten}");
    store.compact(Family::Secrets, &[0], &[0xff]).unwrap();
    read(&store, |rows| rows.scan(Family::Secrets, &[0], &[0xff], false, &mut |_, _| true)).unwrap();
    let memory = store.memory().unwrap();
    assert!(memory.unwritten < unwritten / 2, "{memory:?}");
    // Of each row a block begins with, the key.
    let begins = 64 * ROWS;
    assert!(memory.files < begins / 4 && memory.cache > begins, "{memory:?}");
}

/// How often RocksDB has written what `family` was given, flushes included, once it has nothing more to do.
fn times_written(store: &RocksStore, family: Family) -> f64 {
    let told = store.with_engine(|engine| {
        engine.wait_for_compact(&WaitForCompactOptions::default()).unwrap();
        Ok(engine.property_value_cf(handle(engine, family)?, "rocksdb.cfstats-no-file-histogram").unwrap().unwrap())
    });
    let told = told.unwrap();
    let place = |line: &str| line.split_whitespace().position(|word| word == "W-Amp");
    let column = told.lines().find_map(place).unwrap();
    let sum = told.lines().find(|line| line.trim_start().starts_with("Sum ")).unwrap();
    // Here the size has its unit as a word of its own.
    sum.split_whitespace().nth(column + 1).unwrap().parse().unwrap()
}

#[test]
fn what_is_only_added_is_written_to_a_table_once() {
    let (_directory, path) = fresh();
    let store = RocksStore::create(&path).unwrap();
    for index in 0..10 {
        assert!(matches!(store.commit(&put(index, noise(1 << 20, index)), &[]), Commit::Committed));
        // Whose snapshot is the oldest now: nothing could ask for what the files hold as of before.
        assert_eq!(rows(&store), index + 1);
        store.flush().unwrap();
        assert_eq!(times_written(&store, Family::Records), 1.0, "after {index}");
    }
}

/// Rows that follow from nothing have no watermark.
fn unmarked() -> Guard {
    Guard { key: Key::new(Family::Followers, "none"), expected: None }
}

#[test]
fn to_move_the_rows_of_an_index_together_does_not_cost_the_more_the_longer_the_log() {
    const FLUSHES: u64 = 96;
    let (_directory, path) = fresh();
    let store = RocksStore::create(&path).unwrap();
    for index in 0..FLUSHES {
        let row = |tag: u8| Write {
            key: Key::new(Family::Indexes, [&[tag], &index.to_be_bytes()[..]].concat()),
            value: Some(noise(1 << 18, index)),
        };
        assert!(store.write_followed(&[row(b'a'), row(b'p'), row(b'r')], &unmarked()).unwrap());
        store.flush().unwrap();
        times_written(&store, Family::Indexes);
    }
    // Moved as levels are that nobody made small, four flushes into all there is: thirteen times, and twice that of twice as many.
    let times = times_written(&store, Family::Indexes);
    assert!(times < 8.0, "{times}");
}

#[test]
fn a_store_whose_indexes_lie_in_a_large_level_is_taken_over() {
    const FLUSHES: u64 = 12;
    let (_directory, path) = fresh();
    let mut options = database_options(Recovery::Absolute);
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    let cache = Cache::new_lru_cache(MIB);
    let mut families: Vec<_> = Family::ALL
        .map(|family| ColumnFamilyDescriptor::new(family.name(), common_options(Options::default(), &cache)))
        .into();
    families.push(ColumnFamilyDescriptor::new(UNUSED_FAMILY, common_options(Options::default(), &cache)));
    let before = RocksStore {
        path: path.clone(),
        serving: AtomicBool::new(true),
        writing: Mutex::new(()),
        engine: RwLock::new(Some(DB::open_cf_descriptors(&options, &path, families).unwrap())),
    };
    let key = |tag: u8, index: u64| [&[tag], &index.to_be_bytes()[..]].concat();
    let add = |store: &RocksStore, index: u64| {
        let key = |tag| Key::new(Family::Indexes, key(tag, index));
        let rows = [b'a', b'p'].map(|tag| Write { key: key(tag), value: Some(noise(1 << 10, index)) });
        assert!(store.write_followed(&rows, &unmarked()).unwrap());
        store.flush().unwrap();
        times_written(store, Family::Indexes)
    };
    let times = (0..FLUSHES).map(|index| add(&before, index)).last().unwrap();
    assert!(times > 1.0, "some of them lie in a level by now: {times}");
    drop(before);
    let store = RocksStore::open(&path, Recovery::Absolute).unwrap();
    (FLUSHES..2 * FLUSHES).for_each(|index| _ = add(&store, index));
    let mut found = Vec::new();
    let all = &mut |key: &[u8], value: &[u8]| {
        found.push((key.to_vec(), value.to_vec()));
        true
    };
    read(&store, |rows| rows.scan(Family::Indexes, &[], &[0xff], false, all)).unwrap();
    let of = |tag| (0..2 * FLUSHES).map(move |index| (key(tag, index), noise(1 << 10, index)));
    let expected: Vec<_> = of(b'a').chain(of(b'p')).collect();
    assert!(found == expected);
}

#[test]
fn what_was_flushed_needs_no_log() {
    for flushed in [false, true] {
        let (_directory, path) = fresh();
        let store = RocksStore::create(&path).unwrap();
        assert!(matches!(store.commit(&put(7, noise(1 << 20, 7)), &[]), Commit::Committed));
        if flushed {
            store.flush().unwrap();
        }
        drop(store);
        let logs = files(&path).into_iter().filter(|(path, _)| path.extension().is_some_and(|kind| kind == "log"));
        let bytes: usize = logs.map(|(_, bytes)| bytes.len()).sum();
        assert_eq!(bytes < 1 << 16, flushed, "{bytes}");
        assert_eq!(rows(&RocksStore::open(&path, Recovery::Absolute).unwrap()), 1);
    }
}

#[test]
fn a_store_is_open_once() {
    let (_directory, path) = fresh();
    let store = RocksStore::create(&path).unwrap();
    let second = RocksStore::open(&path, Recovery::Absolute);
    assert!(
        matches!(&second, Err(StoreError::InUse { path: named }) if *named == path.display().to_string()),
        "{second:?}"
    );
    drop(store);
    RocksStore::open(&path, Recovery::Absolute).unwrap();
}

/// Every file of `directory` with its bytes.
fn files(directory: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn a_reader_changes_no_file_and_reads_up_to_a_torn_end() {
    let (_directory, path) = fresh();
    let store = RocksStore::create(&path).unwrap();
    for index in 0..3 {
        assert!(matches!(store.commit(&put(index, vec![b'v'; 500]), &[]), Commit::Committed));
    }
    assert_eq!(rows(&RocksStore::open_read_only(&path).unwrap()), 3, "beside the process that writes");
    drop(store);
    let before = files(&path);
    let logs = || before.iter().filter(|(path, _)| path.extension().is_some_and(|kind| kind == "log"));
    let (log, bytes) = logs().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    fs::write(log, &bytes[..bytes.len() - 1]).unwrap();
    let torn = files(&path);
    let reader = RocksStore::open_read_only(&path).unwrap();
    assert_eq!(rows(&reader), 2);
    assert!(!matches!(reader.commit(&put(9, vec![0]), &[]), Commit::Committed));
    drop(reader);
    assert!(files(&path) == torn, "evidence was changed");
    assert!(matches!(RocksStore::open(&path, Recovery::Absolute), Err(StoreError::Damaged(_))));
}

#[test]
fn a_reader_sees_all_that_was_synced_before_whatever_the_writer_moves_meanwhile() {
    let (_directory, path) = fresh();
    let store = RocksStore::create(&path).unwrap();
    let committed = AtomicU64::new(0);
    let (begin, begun) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let (store, committed, path) = (&store, &committed, &path);
        scope.spawn(move || {
            // A few changes while the reader opens, and none once it has found out: it would never be done.
            for () in begun {
                for _ in 0..5 {
                    let index = committed.load(Ordering::Acquire);
                    assert!(matches!(store.commit(&put(index, vec![b'v'; 500]), &[]), Commit::Committed));
                    committed.store(index + 1, Ordering::Release);
                    store.begin_flush();
                }
            }
        });
        for _ in 0..40 {
            begin.send(()).unwrap();
            let before = committed.load(Ordering::Acquire);
            let seen = rows(&RocksStore::open_read_only(path).unwrap());
            assert!(seen >= before, "{seen} of {before}");
        }
        drop(begin);
    });
}

#[test]
fn a_damaged_table_is_reported_when_it_is_read() {
    let (_directory, path) = fresh();
    let store = RocksStore::create(&path).unwrap();
    for index in 0..100 {
        assert!(matches!(store.commit(&put(index, vec![b'v'; 500]), &[]), Commit::Committed));
    }
    // Opening flushes the log into tables.
    store.reopen(&mut |_| Ok(Verdict::Accept)).unwrap();
    drop(store);
    let mut tables = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
    let table = tables.find(|path| path.extension().is_some_and(|kind| kind == "sst")).unwrap();
    let mut bytes = fs::read(&table).unwrap();
    bytes[20] ^= 1;
    fs::write(&table, bytes).unwrap();
    let store = RocksStore::open(&path, Recovery::Absolute).unwrap();
    let answer = read(&store, |rows| rows.get(Family::Records, &0_u64.to_be_bytes()));
    assert!(matches!(answer, Err(StoreError::Damaged(_))), "{answer:?}");
}

/// The directory is moved away, so that the engine cannot make its next log.
#[test]
fn i09_after_a_write_error_nothing_is_taken_until_a_reopen_that_works() {
    let (directory, path) = fresh();
    let away = directory.path().join("away");
    let store = RocksStore::create(&path).unwrap();
    assert!(matches!(store.commit(&put(0, vec![0]), &[]), Commit::Committed));
    fs::rename(&path, &away).unwrap();
    let (committed, error) = fill(&store);
    assert!(matches!(error, StoreError::Engine(_)), "{error:?}");

    assert!(matches!(store.commit(&put(9_999, vec![0]), &[]), Commit::NotCommitted(StoreError::Closed)));
    assert!(matches!(store.write_derived(&[]), Err(StoreError::Closed)));
    assert!(matches!(read(&store, |rows| rows.get(Family::Records, b"r")), Err(StoreError::Closed)));
    assert!(store.reopen(&mut |_| Ok(Verdict::Accept)).is_err());
    assert!(matches!(store.commit(&put(9_999, vec![0]), &[]), Commit::NotCommitted(StoreError::Closed)));
    assert!(!path.exists());

    fs::rename(&away, &path).unwrap();
    store.reopen(&mut |_| Ok(Verdict::Accept)).unwrap();
    let found = rows(&store);
    assert!(found == committed || found == committed + 1, "{found} of {committed}");
    assert!(matches!(store.commit(&put(found, vec![0]), &[]), Commit::Committed));
    assert_eq!(rows(&store), found + 1);
}

/// Commits a MiB at a time until the engine answers `Unknown`: how many records were acknowledged, and the error.
fn fill(store: &RocksStore) -> (u64, StoreError) {
    for index in 1..200 {
        match store.commit(&put(index, vec![b'v'; MIB]), &[]) {
            Commit::Committed => {}
            Commit::Unknown(error) => return (index, error),
            other => panic!("{other:?}"),
        }
    }
    panic!("no write failed");
}

#[test]
fn readers_that_are_inside_finish_before_a_reopen_and_those_after_see_it_closed() {
    let (_directory, path) = fresh();
    let store = RocksStore::create(&path).unwrap();
    assert!(matches!(store.commit(&put(0, vec![7]), &[]), Commit::Committed));
    std::thread::scope(|scope| {
        store
            .snapshot(&mut |rows| {
                scope.spawn(|| store.reopen(&mut |_| Ok(Verdict::Accept)).unwrap());
                while store.serving.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
                let late = scope.spawn(|| read(&store, |rows| rows.get(Family::Records, &[0; 8]))).join().unwrap();
                assert!(matches!(late, Err(StoreError::Closed)));
                assert_eq!(rows.get(Family::Records, &[0; 8])?, Some(vec![7]));
                Ok(())
            })
            .unwrap();
    });
    assert_eq!(rows(&store), 1);
}

/// A torn write is a record without its end, as a full disk leaves it.
#[test]
fn a_reopen_after_a_torn_write_cuts_the_tail_off_and_serves_again() {
    let (_directory, path) = fresh();
    let store = RocksStore::create(&path).unwrap();
    for index in 0..10 {
        assert!(matches!(store.commit(&put(index, vec![b'v'; 500]), &[]), Commit::Committed));
    }
    store.close();
    let mut logs = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
    let log = logs.find(|path| path.extension().is_some_and(|kind| kind == "log")).unwrap();
    let mut bytes = fs::read(&log).unwrap();
    bytes.extend([1, 2, 3, 4, 200, 0, 1, 9, 9]);
    fs::write(&log, bytes).unwrap();
    assert!(matches!(RocksStore::open(&path, Recovery::Absolute), Err(StoreError::Damaged(_))));

    let refused = store.reopen(&mut |_| Ok(Verdict::Refuse("a record is lost".to_owned())));
    assert!(matches!(&refused, Err(StoreError::Refused(why)) if why == "a record is lost"), "{refused:?}");
    assert!(matches!(store.commit(&put(10, vec![0]), &[]), Commit::NotCommitted(StoreError::Closed)));
    assert_eq!(store.reopen(&mut |_| Ok(Verdict::Accept)).unwrap(), Tail::Torn);
    assert_eq!(rows(&store), 10);
    assert!(matches!(store.commit(&put(10, vec![0]), &[]), Commit::Committed));
    assert_eq!(store.reopen(&mut |_| Ok(Verdict::Accept)).unwrap(), Tail::Whole);
    assert_eq!(rows(&store), 11);
}

type Weaken = fn(&mut Options);

/// Opens a store with one option weakened, as a patched program would, and checks what is then in force.
fn weakened(database: Weaken, family: Weaken) -> Result<(), StoreError> {
    let (_directory, path) = fresh();
    let mut options = database_options(Recovery::Absolute);
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    database(&mut options);
    let cache = Cache::new_lru_cache(MIB);
    let families = Family::ALL.map(|known| {
        let mut options = family_options(known, &cache).unwrap();
        if known == Family::Records {
            family(&mut options);
        }
        ColumnFamilyDescriptor::new(known.name(), options)
    });
    let unused = ColumnFamilyDescriptor::new(UNUSED_FAMILY, common_options(Options::default(), &cache));
    let _open = DB::open_cf_descriptors(&options, &path, families.into_iter().chain([unused])).unwrap();
    effective::check(&path, Recovery::Absolute)
}

#[test]
fn attack_h3_a_store_with_a_weakened_option_is_refused_by_name() {
    weakened(|_| {}, |_| {}).unwrap();
    let database: [(&str, Weaken); 7] = [
        ("wal_recovery_mode", |options| options.set_wal_recovery_mode(DBRecoveryMode::SkipAnyCorruptedRecord)),
        ("track_and_verify_wals_in_manifest", |options| options.set_track_and_verify_wals_in_manifest(false)),
        ("unordered_write", |options| {
            options.set_atomic_flush(true);
            options.set_unordered_write(true);
        }),
        ("manual_wal_flush", |options| options.set_manual_wal_flush(true)),
        ("allow_mmap_writes", |options| options.set_allow_mmap_writes(true)),
        ("paranoid_checks", |options| options.set_paranoid_checks(false)),
        ("max_total_wal_size", |options| options.set_max_total_wal_size(0)),
    ];
    for (option, weaken) in database {
        assert_refused(option, weakened(weaken, |_| {}));
    }
    let family: [(&str, Weaken); 6] = [
        ("compaction_style", |options| options.set_compaction_style(DBCompactionStyle::Fifo)),
        ("compaction_style", |options| options.set_compaction_style(DBCompactionStyle::Universal)),
        ("ttl", |options| options.set_ttl(60)),
        ("prefix_extractor", |options| {
            options.set_prefix_extractor(SliceTransform::create_fixed_prefix(4));
        }),
        ("compaction_filter", |options| {
            options.set_compaction_filter(c"drops", |_, _, _| CompactionDecision::Remove);
        }),
        ("compression", |options| options.set_compression_type(DBCompressionType::Lz4)),
    ];
    for (option, weaken) in family {
        assert_refused(option, weakened(|_| {}, weaken));
    }
}

#[track_caller]
fn assert_refused(option: &str, answer: Result<(), StoreError>) {
    let Err(StoreError::Refused(why)) = answer else { panic!("`{option}` weakened: {answer:?}") };
    assert!(why.starts_with(&format!("`{option}` in ")), "{option}: {why}");
}

#[test]
fn attack_h3_a_store_with_a_time_to_live_is_refused() {
    let (_directory, path) = fresh();
    let mut options = database_options(Recovery::Absolute);
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    let _open =
        DB::open_cf_descriptors_with_ttl(&options, &path, descriptors().unwrap(), Duration::from_secs(60)).unwrap();
    assert_refused("compaction_filter_factory", effective::check(&path, Recovery::Absolute));
}

#[test]
fn what_only_reads_does_not_make_a_store_that_is_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    assert!(matches!(RocksStore::open_read_only(&path), Err(StoreError::Engine(said)) if said.contains("no store")));
    assert!(!path.exists());
}
