//! The suite that every engine passes: one set of tests, run against each, and a property with the naive engine as
//! the oracle.

use std::collections::BTreeMap;
use std::path::PathBuf;

use proptest::prelude::*;

use super::memory::{Disk, MemoryStore};
use super::rocks::{Recovery, RocksStore};
use super::{Commit, Family, Guard, Key, Store, StoreError, Tail, Verdict, Write, read};

/// A place where a store can be opened again after it was dropped.
trait Home {
    type Engine: Store;
    /// A fresh place with an empty store in it.
    fn new() -> Self;
    /// Opens the store that is there.
    fn open(&self) -> Self::Engine;
}

struct InMemory(Disk);

impl Home for InMemory {
    type Engine = MemoryStore;
    fn new() -> Self {
        Self(Disk::default())
    }
    fn open(&self) -> MemoryStore {
        MemoryStore::on(&self.0)
    }
}

struct OnDisk {
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Home for OnDisk {
    type Engine = RocksStore;
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        drop(RocksStore::create(&path).unwrap());
        Self { path, _directory: directory }
    }
    fn open(&self) -> RocksStore {
        RocksStore::open(&self.path, Recovery::Absolute).unwrap()
    }
}

fn put(family: Family, key: &str, value: &str) -> Write {
    Write { key: Key::new(family, key), value: Some(value.as_bytes().to_vec()) }
}

fn delete(family: Family, key: &str) -> Write {
    Write { key: Key::new(family, key), value: None }
}

fn holds(family: Family, key: &str, value: &str) -> Guard {
    Guard { key: Key::new(family, key), expected: Some(value.as_bytes().to_vec()) }
}

fn absent(family: Family, key: &str) -> Guard {
    Guard { key: Key::new(family, key), expected: None }
}

#[track_caller]
fn commit(store: &dyn Store, batch: &[Write]) {
    assert!(matches!(store.commit(batch, &[]), Commit::Committed));
}

fn get(store: &dyn Store, family: Family, key: &str) -> Option<String> {
    let value = read(store, |rows| rows.get(family, key.as_bytes())).unwrap();
    value.map(|value| String::from_utf8(value).unwrap())
}

/// The keys that a scan shows, at most `most` of them.
fn keys(store: &dyn Store, family: Family, from: &str, to: &str, reverse: bool, most: usize) -> Vec<String> {
    read(store, |rows| {
        let mut found = Vec::new();
        rows.scan(family, from.as_bytes(), to.as_bytes(), reverse, &mut |key, _| {
            found.push(String::from_utf8(key.to_vec()).unwrap());
            found.len() < most
        })?;
        Ok(found)
    })
    .unwrap()
}

fn a_row_that_was_never_written_is_absent<H: Home>(home: &H) {
    let store = home.open();
    for family in Family::ALL {
        assert_eq!(get(&store, family, "row"), None);
    }
}

fn a_batch_is_written_across_all_families<H: Home>(home: &H) {
    let store = home.open();
    let batch: Vec<_> = Family::ALL.map(|family| put(family, "row", family.name())).into();
    commit(&store, &batch);
    for family in Family::ALL {
        assert_eq!(get(&store, family, "row").as_deref(), Some(family.name()));
    }
}

fn an_empty_value_is_not_an_absent_row<H: Home>(home: &H) {
    let store = home.open();
    commit(&store, &[put(Family::State, "row", "")]);
    assert_eq!(get(&store, Family::State, "row").as_deref(), Some(""));
    assert!(matches!(store.commit(&[], &[absent(Family::State, "row")]), Commit::Conflict(0)));
    assert!(matches!(store.commit(&[], &[holds(Family::State, "row", "")]), Commit::Committed));
}

fn the_last_write_to_a_row_in_a_batch_counts<H: Home>(home: &H) {
    let store = home.open();
    commit(&store, &[put(Family::State, "a", "1"), put(Family::State, "a", "2"), delete(Family::State, "a")]);
    assert_eq!(get(&store, Family::State, "a"), None);
    commit(&store, &[delete(Family::State, "a"), put(Family::State, "a", "3")]);
    assert_eq!(get(&store, Family::State, "a").as_deref(), Some("3"));
}

fn a_deleted_row_is_gone_and_deleting_it_again_is_no_error<H: Home>(home: &H) {
    let store = home.open();
    commit(&store, &[put(Family::Secrets, "a", "1"), put(Family::Keys, "a", "2")]);
    commit(&store, &[delete(Family::Secrets, "a")]);
    commit(&store, &[delete(Family::Secrets, "a")]);
    assert_eq!(get(&store, Family::Secrets, "a"), None);
    assert_eq!(keys(&store, Family::Secrets, "a", "z", false, 9), Vec::<String>::new());
    assert_eq!(get(&store, Family::Keys, "a").as_deref(), Some("2"));
}

fn a_snapshot_does_not_change_under_its_reader<H: Home>(home: &H) {
    let store = home.open();
    commit(&store, &[put(Family::State, "a", "1"), put(Family::State, "b", "1")]);
    store
        .snapshot(&mut |rows| {
            let later = [put(Family::State, "a", "2"), delete(Family::State, "b"), put(Family::State, "c", "2")];
            std::thread::scope(|scope| scope.spawn(|| commit(&store, &later)).join().unwrap());
            assert_eq!(rows.get(Family::State, b"a")?, Some(b"1".to_vec()));
            assert_eq!(rows.get(Family::State, b"c")?, None);
            let mut seen = Vec::new();
            rows.scan(Family::State, b"a", b"z", false, &mut |key, value| {
                seen.push((key.to_vec(), value.to_vec()));
                true
            })?;
            assert_eq!(seen, [(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"1".to_vec())]);
            Ok(())
        })
        .unwrap();
    assert_eq!(get(&store, Family::State, "a").as_deref(), Some("2"));
    assert_eq!(get(&store, Family::State, "b"), None);
}

fn a_readers_error_is_handed_through<H: Home>(home: &H) {
    let store = home.open();
    let answer = store.snapshot(&mut |_| Err(StoreError::Engine("mine".to_owned())));
    assert!(matches!(answer, Err(StoreError::Engine(text)) if text == "mine"));
}

fn a_scan_takes_its_first_bound_in_and_leaves_its_last_out<H: Home>(home: &H) {
    let store = home.open();
    let rows = ["a", "b", "b0", "c", "d"].map(|key| put(Family::Indexes, key, "v"));
    commit(&store, &rows);
    commit(&store, &[put(Family::Checkpoints, "bb", "another family")]);
    let scan = |from, to, reverse| keys(&store, Family::Indexes, from, to, reverse, 9);
    assert_eq!(scan("b", "d", false), ["b", "b0", "c"]);
    assert_eq!(scan("b", "d", true), ["c", "b0", "b"]);
    assert_eq!(scan("", "zzz", false), ["a", "b", "b0", "c", "d"]);
    assert_eq!(scan("", "zzz", true), ["d", "c", "b0", "b", "a"]);
    assert_eq!(scan("aa", "c0", true), ["c", "b0", "b"]);
    for reverse in [false, true] {
        assert_eq!(scan("b", "b", reverse), Vec::<String>::new());
        assert_eq!(scan("d", "a", reverse), Vec::<String>::new());
        assert_eq!(scan("a", "", reverse), Vec::<String>::new());
        assert_eq!(scan("x", "z", reverse), Vec::<String>::new());
    }
}

fn a_scan_stops_when_it_is_told_to<H: Home>(home: &H) {
    let store = home.open();
    commit(&store, &["a", "b", "c"].map(|key| put(Family::State, key, "v")));
    assert_eq!(keys(&store, Family::State, "", "z", false, 2), ["a", "b"]);
    assert_eq!(keys(&store, Family::State, "", "z", true, 1), ["c"]);
}

fn keys_are_ordered_by_unsigned_bytes<H: Home>(home: &H) {
    let store = home.open();
    let bytes: [&[u8]; 5] = [&[0], &[0, 0], &[0x7f], &[0x80], &[0xff, 0xff]];
    let batch = bytes.map(|key| Write { key: Key::new(Family::Records, key), value: Some(vec![1]) });
    commit(&store, &batch);
    let mut seen = Vec::new();
    let scan = store.snapshot(&mut |rows| {
        rows.scan(Family::Records, &[], &[0xff; 9], false, &mut |key, _| {
            seen.push(key.to_vec());
            true
        })
    });
    scan.unwrap();
    assert_eq!(seen, bytes);
}

fn guards_that_hold_let_the_batch_through<H: Home>(home: &H) {
    let store = home.open();
    commit(&store, &[put(Family::Secrets, "a", "1")]);
    let guards = [holds(Family::Secrets, "a", "1"), absent(Family::Secrets, "b"), absent(Family::Keys, "a")];
    assert!(matches!(store.commit(&[put(Family::Secrets, "b", "2")], &guards), Commit::Committed));
    assert_eq!(get(&store, Family::Secrets, "b").as_deref(), Some("2"));
}

fn a_guard_that_does_not_hold_leaves_nothing_written_and_is_named<H: Home>(home: &H) {
    let store = home.open();
    commit(&store, &[put(Family::Secrets, "a", "1")]);
    let batch = [put(Family::Records, "r", "2"), put(Family::Secrets, "a", "2"), delete(Family::Secrets, "a")];
    let broken = [
        absent(Family::Secrets, "a"),
        holds(Family::Secrets, "a", "2"),
        holds(Family::Secrets, "a", "11"),
        holds(Family::Secrets, "a", ""),
        holds(Family::Secrets, "b", "1"),
        holds(Family::Secrets, "b", ""),
        holds(Family::Keys, "a", "1"),
    ];
    for guard in broken {
        let guards = [holds(Family::Secrets, "a", "1"), guard.clone(), guard];
        assert!(matches!(store.commit(&batch, &guards), Commit::Conflict(1)));
        assert_eq!(get(&store, Family::Secrets, "a").as_deref(), Some("1"));
        assert_eq!(get(&store, Family::Records, "r"), None);
    }
}

fn a_guard_sees_the_commits_before_it_but_not_its_own_batch<H: Home>(home: &H) {
    let store = home.open();
    for before in 0..5_u8 {
        let guard = match before {
            0 => absent(Family::State, "n"),
            _ => holds(Family::State, "n", &before.to_string()),
        };
        let batch = [put(Family::State, "n", &(before + 1).to_string())];
        assert!(matches!(store.commit(&batch, std::slice::from_ref(&guard)), Commit::Committed));
        assert!(matches!(store.commit(&batch, &[guard]), Commit::Conflict(0)));
    }
    assert_eq!(get(&store, Family::State, "n").as_deref(), Some("5"));
}

fn a_guard_sees_derived_writes<H: Home>(home: &H) {
    let store = home.open();
    store.write_derived(&[put(Family::Followers, "f", "1")]).unwrap();
    assert!(matches!(store.commit(&[], &[holds(Family::Followers, "f", "1")]), Commit::Committed));
    assert!(matches!(store.commit(&[], &[absent(Family::Followers, "f")]), Commit::Conflict(0)));
}

fn derived_rows_are_written_and_deleted<H: Home>(home: &H) {
    let store = home.open();
    let derived: Vec<_> = Family::ALL.into_iter().filter(|family| !family.is_authoritative()).collect();
    assert_eq!(derived, [Family::Indexes, Family::Checkpoints, Family::Followers]);
    for family in derived {
        store.write_derived(&[put(family, "a", "1"), put(family, "b", "1")]).unwrap();
        store.write_derived(&[delete(family, "a")]).unwrap();
        assert_eq!(get(&store, family, "a"), None);
        assert_eq!(get(&store, family, "b").as_deref(), Some("1"));
    }
}

fn a_followed_batch_is_written_only_on_top_of_the_watermark_that_it_was_made_on<H: Home>(home: &H) {
    let store = home.open();
    let batch = |row, reached| [put(Family::Indexes, row, ""), put(Family::Followers, "w", reached)];
    assert!(store.write_followed(&batch("a", "1"), &absent(Family::Followers, "w")).unwrap());
    for stale in [absent(Family::Followers, "w"), holds(Family::Followers, "w", "2")] {
        assert!(!store.write_followed(&batch("b", "3"), &stale).unwrap());
    }
    assert_eq!(get(&store, Family::Followers, "w").as_deref(), Some("1"));
    assert_eq!(keys(&store, Family::Indexes, "", "z", false, 9), ["a"]);
    assert!(store.write_followed(&batch("b", "2"), &holds(Family::Followers, "w", "1")).unwrap());
    assert_eq!(get(&store, Family::Followers, "w").as_deref(), Some("2"));
    assert_eq!(keys(&store, Family::Indexes, "", "z", false, 9), ["a", "b"]);
}

fn i02_authoritative_rows_are_refused_as_derived_writes<H: Home>(home: &H) {
    let store = home.open();
    commit(&store, &[put(Family::Secrets, "row", "1")]);
    for family in Family::ALL.into_iter().filter(|family| family.is_authoritative()) {
        for write in [put(family, "row", "2"), delete(family, "row")] {
            let batch = [put(Family::Indexes, "i", "2"), write];
            let Err(StoreError::Engine(text)) = store.write_derived(&batch) else { panic!("{family:?} was written") };
            assert_eq!(text, format!("rows of `{}` change only with a record", family.name()));
            let followed = store.write_followed(&batch, &absent(Family::Followers, "w"));
            assert!(matches!(followed, Err(StoreError::Engine(again)) if again == text));
        }
    }
    assert_eq!(get(&store, Family::Secrets, "row").as_deref(), Some("1"));
    assert_eq!(get(&store, Family::Records, "row"), None);
    assert_eq!(get(&store, Family::Indexes, "i"), None);
}

fn a_reopened_store_holds_what_was_committed<H: Home>(home: &H) {
    let store = home.open();
    commit(&store, &[put(Family::Records, "a", "1")]);
    let mut judged = 0;
    let tail = store.reopen(&mut |rows| {
        judged += 1;
        assert_eq!(rows.get(Family::Records, b"a")?, Some(b"1".to_vec()));
        Ok(Verdict::Accept)
    });
    assert_eq!(tail.unwrap(), Tail::Whole);
    assert_eq!(judged, 1);
    commit(&store, &[put(Family::Records, "b", "2")]);
    assert_eq!(keys(&store, Family::Records, "", "z", false, 9), ["a", "b"]);
}

fn a_reopen_that_the_judge_refuses_says_why<H: Home>(home: &H) {
    let store = home.open();
    commit(&store, &[put(Family::Records, "a", "1")]);
    let answer = store.reopen(&mut |_| Ok(Verdict::Refuse("too short".to_owned())));
    assert!(matches!(answer, Err(StoreError::Refused(why)) if why == "too short"));
    let answer = store.reopen(&mut |_| Err(StoreError::Engine("the judge failed".to_owned())));
    assert!(matches!(answer, Err(StoreError::Engine(why)) if why == "the judge failed"));
    store.reopen(&mut |_| Ok(Verdict::Accept)).unwrap();
    assert_eq!(get(&store, Family::Records, "a").as_deref(), Some("1"));
}

fn what_was_committed_outlives_the_store<H: Home>(home: &H) {
    let store = home.open();
    commit(&store, &[put(Family::Records, "a", "1"), put(Family::Tiles, "t", "tile")]);
    store.write_derived(&[put(Family::Followers, "f", "1")]).unwrap();
    commit(&store, &[delete(Family::Records, "a"), put(Family::Records, "b", "2")]);
    drop(store);
    let store = home.open();
    assert_eq!(keys(&store, Family::Records, "", "z", false, 9), ["b"]);
    assert_eq!(get(&store, Family::Tiles, "t").as_deref(), Some("tile"));
    assert_eq!(get(&store, Family::Followers, "f").as_deref(), Some("1"));
}

fn commits_from_several_threads_keep_their_guards<H: Home>(home: &H) {
    let store = home.open();
    commit(&store, &[put(Family::State, "n", "0")]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10).for_each(|_| increment(&store)));
        }
    });
    assert_eq!(get(&store, Family::State, "n").as_deref(), Some("40"));
}

/// Adds one to the row `n`, again until nobody else has come between.
fn increment(store: &dyn Store) {
    loop {
        let before = get(store, Family::State, "n").unwrap();
        let after = (before.parse::<u32>().unwrap() + 1).to_string();
        match store.commit(&[put(Family::State, "n", &after)], &[holds(Family::State, "n", &before)]) {
            Commit::Committed => return,
            Commit::Conflict(0) => {}
            other => panic!("{other:?}"),
        }
    }
}

macro_rules! conformance {
    ($engine:ident, $home:ty, [$($name:ident),* $(,)?]) => {
        mod $engine {
            use super::Home as _;
            $(#[test] fn $name() { super::$name(&<$home>::new()); })*
        }
    };
}

macro_rules! every_engine {
    ($($name:ident),* $(,)?) => {
        conformance!(memory, super::InMemory, [$($name),*]);
        conformance!(rocks, super::OnDisk, [$($name),*]);
    };
}

every_engine![
    a_row_that_was_never_written_is_absent,
    a_batch_is_written_across_all_families,
    an_empty_value_is_not_an_absent_row,
    the_last_write_to_a_row_in_a_batch_counts,
    a_deleted_row_is_gone_and_deleting_it_again_is_no_error,
    a_snapshot_does_not_change_under_its_reader,
    a_readers_error_is_handed_through,
    a_scan_takes_its_first_bound_in_and_leaves_its_last_out,
    a_scan_stops_when_it_is_told_to,
    keys_are_ordered_by_unsigned_bytes,
    guards_that_hold_let_the_batch_through,
    a_guard_that_does_not_hold_leaves_nothing_written_and_is_named,
    a_guard_sees_the_commits_before_it_but_not_its_own_batch,
    a_guard_sees_derived_writes,
    derived_rows_are_written_and_deleted,
    a_followed_batch_is_written_only_on_top_of_the_watermark_that_it_was_made_on,
    i02_authoritative_rows_are_refused_as_derived_writes,
    a_reopened_store_holds_what_was_committed,
    a_reopen_that_the_judge_refuses_says_why,
    what_was_committed_outlives_the_store,
    commits_from_several_threads_keep_their_guards,
];

/// One step of a random run; keys and values are few, so that steps meet.
#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Write>, Vec<Guard>),
    Derived(Vec<Write>),
    Followed(Vec<Write>, Guard),
    Reopen,
}

fn any_key() -> impl Strategy<Value = Key> {
    (0..Family::ALL.len(), prop::collection::vec(0_u8..3, 0..3))
        .prop_map(|(at, bytes)| Key::new(Family::ALL[at], bytes))
}

fn any_value() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::weighted(0.7, prop::collection::vec(0_u8..2, 0..2))
}

fn any_writes() -> impl Strategy<Value = Vec<Write>> {
    prop::collection::vec((any_key(), any_value()).prop_map(|(key, value)| Write { key, value }), 0..6)
}

fn any_step() -> impl Strategy<Value = Step> {
    let guards = prop::collection::vec((any_key(), any_value()), 0..3);
    let guards = guards.prop_map(|all| all.into_iter().map(|(key, expected)| Guard { key, expected }).collect());
    let guard = (any_key(), any_value()).prop_map(|(key, expected)| Guard { key, expected });
    prop_oneof![
        12 => (any_writes(), guards).prop_map(|(writes, guards)| Step::Commit(writes, guards)),
        6 => any_writes().prop_map(Step::Derived),
        6 => (any_writes(), guard).prop_map(|(writes, guard)| Step::Followed(writes, guard)),
        1 => Just(Step::Reopen),
    ]
}

/// What a step answers, in words that compare.
fn answer(store: &dyn Store, step: &Step) -> String {
    match step {
        Step::Commit(writes, guards) => format!("{:?}", store.commit(writes, guards)),
        Step::Derived(writes) => format!("{:?}", store.write_derived(writes)),
        Step::Followed(writes, guard) => format!("{:?}", store.write_followed(writes, guard)),
        Step::Reopen => format!("{:?}", store.reopen(&mut |_| Ok(Verdict::Accept))),
    }
}

/// Families by name, with their rows in the order seen.
type Everything = BTreeMap<&'static str, Vec<(Vec<u8>, Vec<u8>)>>;

/// Every row, by scanning each family in the given direction.
fn everything(store: &dyn Store, reverse: bool) -> Everything {
    read(store, |rows| {
        let mut all = BTreeMap::new();
        for family in Family::ALL {
            let found: &mut Vec<_> = all.entry(family.name()).or_default();
            rows.scan(family, &[], &[9], reverse, &mut |key, value| {
                found.push((key.to_vec(), value.to_vec()));
                true
            })?;
        }
        Ok(all)
    })
    .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn rocks_answers_as_the_naive_engine_does(steps in prop::collection::vec(any_step(), 1..30)) {
        let (home, naive) = (OnDisk::new(), MemoryStore::default());
        let rocks = home.open();
        for step in &steps {
            prop_assert_eq!(answer(&rocks, step), answer(&naive, step));
        }
        for reverse in [false, true] {
            prop_assert_eq!(everything(&rocks, reverse), everything(&naive, reverse));
        }
    }
}
