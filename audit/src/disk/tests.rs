use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;
use crate::environment::{Clock, Random, RandomError};

#[derive(Debug, Default)]
struct Hands {
    now_us: AtomicU64,
}

impl Clock for Hands {
    fn wall_us(&self) -> u64 {
        0
    }
    fn monotonic_us(&self) -> u64 {
        self.now_us.load(Ordering::SeqCst)
    }
}

/// Counts up, so that what it gives is never the same byte over and over.
#[derive(Debug, Default)]
struct Counting {
    fails: AtomicBool,
    /// How often it was asked: once for each block of a ballast.
    asked: AtomicUsize,
}

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        for (byte, number) in bytes.iter_mut().zip((0..=255_u8).cycle()) {
            *byte = number;
        }
        if self.fails.load(Ordering::SeqCst) { Err(RandomError) } else { Ok(()) }
    }
}

/// A disk of 100 MiB on which others use `used` bytes, and on which the ballast takes its room.
struct Disk {
    directory: tempfile::TempDir,
    used: Arc<AtomicU64>,
    broken: Arc<AtomicBool>,
    clock: Arc<Hands>,
    random: Arc<Counting>,
}

const TOTAL: u64 = 100 * MIB;

/// Levels at 10, 5 and 2 MiB, a ballast of 1 MiB, no headroom.
const SMALL: Settings = Settings {
    thresholds: Thresholds {
        soft: Share { percent: 10, bytes: GIB },
        soft_hours: 24,
        hard: Share { percent: 5, bytes: GIB },
        critical: Share { percent: 2, bytes: GIB },
    },
    ballast: Share { percent: 1, bytes: GIB },
    wal_bytes_max: 0,
    compaction_bytes: 0,
};

impl Disk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("db")).unwrap();
        Self { directory, used: Arc::default(), broken: Arc::default(), clock: Arc::default(), random: Arc::default() }
    }

    fn database(&self) -> PathBuf {
        self.directory.path().join("db")
    }

    fn ballast(&self) -> PathBuf {
        self.directory.path().join("ballast")
    }

    fn watch(&self, settings: Settings) -> Watch {
        let (used, broken, ballast) = (Arc::clone(&self.used), Arc::clone(&self.broken), self.ballast());
        let probe = move |_: &Path| {
            if broken.load(Ordering::SeqCst) {
                return Err(io::Error::other("no answer"));
            }
            let taken = used.load(Ordering::SeqCst) + ballast_bytes(&ballast)?;
            Ok(Space { free: TOTAL.saturating_sub(taken), total: TOTAL })
        };
        let environment =
            Environment { clock: Arc::<Hands>::clone(&self.clock), random: Arc::<Counting>::clone(&self.random) };
        Watch::with_probe(&self.database(), &self.ballast(), settings, environment, Box::new(probe))
    }

    /// Leaves `free` bytes besides the ballast of 1 MiB.
    fn leave(&self, free: u64) {
        self.used.store(TOTAL - free - MIB, Ordering::SeqCst);
    }

    fn pass(&self, minutes: u64) {
        self.clock.now_us.fetch_add(minutes * MINUTE_US, Ordering::SeqCst);
    }
}

#[test]
fn the_default_levels_are_those_of_the_documentation() {
    let thresholds = Settings::default().thresholds;
    let at = |free, total| level(&thresholds, Space { free, total }, None);
    // On a large disk the bytes count, on a small one the percentage.
    let large = 1000 * GIB;
    for (free, expected) in [
        (2 * GIB, Level::Ample),
        (2 * GIB - 1, Level::Soft),
        (GIB, Level::Soft),
        (GIB - 1, Level::Hard),
        (256 * MIB, Level::Hard),
        (256 * MIB - 1, Level::Critical),
        (0, Level::Critical),
    ] {
        assert_eq!(at(free, large), expected, "{free}");
    }
    let small = 1000 * MIB;
    for (free, expected) in [
        (100 * MIB, Level::Ample),
        (100 * MIB - 1, Level::Soft),
        (50 * MIB - 1, Level::Hard),
        (20 * MIB - 1, Level::Critical),
    ] {
        assert_eq!(at(free, small), expected, "{free}");
    }
    let ballast = Settings::default().ballast;
    assert_eq!((ballast.of(large), ballast.of(small)), (64 * MIB, 10 * MIB));
}

#[test]
fn a_disk_that_is_full_within_a_day_is_soft_and_never_better_than_its_space() {
    let at = |free, hours| level(&SMALL.thresholds, Space { free, total: TOTAL }, hours);
    assert_eq!(at(50 * MIB, Some(23)), Level::Soft);
    assert_eq!(at(50 * MIB, Some(24)), Level::Ample);
    assert_eq!(at(4 * MIB, Some(1_000)), Level::Hard);
    assert_eq!(at(MIB, Some(1)), Level::Critical);
}

proptest! {
    #[test]
    fn less_space_is_never_a_better_level(free in 0..=TOTAL, less in 0..=TOTAL, hours in prop::option::of(0..100_u64)) {
        let at = |free| level(&SMALL.thresholds, Space { free, total: TOTAL }, hours);
        prop_assert!(at(free.min(less)) >= at(free));
    }

    #[test]
    fn a_share_is_the_smaller_of_its_two_sides(percent in 0..=100_u8, bytes in any::<u64>(), total in any::<u64>()) {
        let exact = u128::from(total / 100) * u128::from(percent);
        prop_assert_eq!(u128::from(Share { percent, bytes }.of(total)), exact.min(u128::from(bytes)));
    }
}

#[test]
fn polling_follows_the_free_space_up_and_down() {
    let disk = Disk::new();
    let mut watch = disk.watch(Settings { thresholds: Thresholds { soft_hours: 0, ..SMALL.thresholds }, ..SMALL });
    for (free, expected) in
        [(40, Level::Ample), (9, Level::Soft), (4, Level::Hard), (9, Level::Soft), (40, Level::Ample)]
    {
        disk.leave(free * MIB);
        assert_eq!(watch.poll(), expected, "{free}");
        assert_eq!(ballast_bytes(&disk.ballast()).unwrap(), MIB);
    }
}

#[test]
fn the_ballast_is_really_allocated_and_its_owners_alone() {
    let disk = Disk::new();
    disk.leave(50 * MIB);
    disk.watch(SMALL).poll();
    let metadata = fs::metadata(disk.ballast()).unwrap();
    assert_eq!(metadata.len(), MIB);
    assert!(metadata.blocks() * 512 >= MIB);
    assert_eq!(metadata.mode() & 0o777, 0o600);
    let bytes = fs::read(disk.ballast()).unwrap();
    assert!(bytes.chunks(64 * 1024).all(|block| block.windows(2).all(|pair| pair[0] != pair[1])));
}

#[test]
fn a_ballast_cut_short_by_a_crash_is_made_again() {
    let disk = Disk::new();
    disk.leave(50 * MIB);
    fs::write(disk.ballast(), [1; 1000]).unwrap();
    assert_eq!(disk.watch(SMALL).poll(), Level::Ample);
    assert_eq!(ballast_bytes(&disk.ballast()).unwrap(), MIB);
}

#[test]
fn critical_drops_the_ballast_and_is_left_only_when_it_fits_again() {
    let disk = Disk::new();
    let mut watch = disk.watch(SMALL);
    disk.leave(30 * MIB);
    assert_eq!(watch.poll(), Level::Ample);
    disk.leave(2 * MIB - 1);
    assert_eq!(watch.poll(), Level::Critical);
    assert!(!disk.ballast().exists());
    // Without the ballast there is now more than the threshold, but not with it: it is not written to find that out.
    let asked = disk.random.asked.load(Ordering::SeqCst);
    for _ in 0..3 {
        assert_eq!(watch.poll(), Level::Critical);
        assert!(!disk.ballast().exists());
    }
    assert_eq!(disk.random.asked.load(Ordering::SeqCst), asked);
    disk.leave(2 * MIB);
    assert_eq!(watch.poll(), Level::Hard);
    assert_eq!(ballast_bytes(&disk.ballast()).unwrap(), MIB);
    assert_eq!(watch.poll(), Level::Hard);
}

#[test]
fn a_ballast_that_cannot_be_made_keeps_the_level_critical() {
    let disk = Disk::new();
    disk.leave(50 * MIB);
    disk.random.fails.store(true, Ordering::SeqCst);
    let mut watch = disk.watch(SMALL);
    assert_eq!(watch.poll(), Level::Critical);
    assert!(!disk.ballast().exists());
    disk.random.fails.store(false, Ordering::SeqCst);
    assert_eq!(watch.poll(), Level::Ample);
}

#[test]
fn a_disk_that_does_not_answer_is_critical_and_keeps_its_ballast() {
    let disk = Disk::new();
    disk.leave(50 * MIB);
    let mut watch = disk.watch(SMALL);
    assert_eq!(watch.poll(), Level::Ample);
    disk.broken.store(true, Ordering::SeqCst);
    assert_eq!(watch.poll(), Level::Critical);
    assert!(disk.ballast().exists());
    disk.broken.store(false, Ordering::SeqCst);
    assert_eq!(watch.poll(), Level::Ample);
    fs::remove_dir(disk.database()).unwrap();
    assert_eq!(watch.poll(), Level::Critical);
}

#[test]
fn what_the_engine_may_still_need_does_not_count_as_free() {
    let disk = Disk::new();
    let mut watch = disk.watch(Settings { wal_bytes_max: 20 * MIB, compaction_bytes: 10 * MIB, ..SMALL });
    disk.leave(40 * MIB);
    assert_eq!(watch.poll(), Level::Ample);
    disk.leave(40 * MIB - 1);
    assert_eq!(watch.poll(), Level::Soft);
    // A log that is already there is no longer to come.
    File::create(disk.database().join("000004.log")).unwrap().set_len(15 * MIB).unwrap();
    File::create(disk.database().join("000005.sst")).unwrap().set_len(90 * MIB).unwrap();
    assert_eq!(watch.poll(), Level::Ample);
    disk.leave(25 * MIB - 1);
    assert_eq!(watch.poll(), Level::Soft);
    // A log above its limit needs nothing more.
    File::create(disk.database().join("000006.log")).unwrap().set_len(90 * MIB).unwrap();
    disk.leave(20 * MIB);
    assert_eq!(watch.poll(), Level::Ample);
}

#[test]
fn a_day_of_room_at_the_rate_of_the_last_hour_is_soft() {
    let disk = Disk::new();
    let mut watch = disk.watch(SMALL);
    disk.leave(60 * MIB);
    assert_eq!(watch.poll(), Level::Ample);
    // 1 MiB in 9 minutes would fill it within 9 hours, but 9 minutes say nothing yet.
    disk.leave(59 * MIB);
    disk.pass(9);
    assert_eq!(watch.poll(), Level::Ample);
    disk.pass(1);
    assert_eq!(watch.poll(), Level::Soft);
    // Nothing more is written: an hour later the jump is out of the window.
    for _ in 0..60 {
        disk.pass(1);
        watch.poll();
    }
    assert_eq!(watch.poll(), Level::Ample);
}

#[test]
fn the_hours_left_follow_from_what_went() {
    let mut rate = Rate::default();
    assert_eq!(rate.full_in_hours(0, 1_000), None);
    assert_eq!(rate.full_in_hours(30 * MINUTE_US, 1_000), None);
    // 100 in an hour, 900 left.
    assert_eq!(rate.full_in_hours(60 * MINUTE_US, 900), Some(9));
    // More is free than at the start.
    assert_eq!(rate.full_in_hours(61 * MINUTE_US, 2_000), None);
    assert_eq!(rate.full_in_hours(62 * MINUTE_US, 0), Some(0));
}

#[test]
fn a_real_file_system_is_measured() {
    let directory = tempfile::tempdir().unwrap();
    let space = space(directory.path()).unwrap();
    assert!(space.total > 0 && space.free <= space.total);
    assert!(super::space(&directory.path().join("missing")).is_err());
}
