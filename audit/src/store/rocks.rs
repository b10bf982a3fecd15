//! The embedded engine: RocksDB. The only file of this repository that imports it.
//!
//! Holds its part of I1 and I2: a commit is one batch over all families, in the write-ahead log and synced before it
//! is reported. What RocksDB offers and this file forbids: FIFO and TTL compaction, compaction filters, disabled or
//! recycled write-ahead logs, unordered and pipelined writes, memory-mapped writes, repair, prefix extractors. The
//! options in force are read back at every opening (`effective`), and anything else than expected is refused.
//!
//! DURABILITY: after any write error the batch may be on disk or not, and the engine's own ways of resuming are not
//! trusted. The handle is spent: reads and writes answer `Closed` until [`Store::reopen`] has closed it, opened it
//! again and had a judge accept what it holds.
//! If the process dies inside a commit, the next opening finds the batch whole or not at all.

mod effective;

use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use rocksdb::checkpoint::Checkpoint;
use rocksdb::properties::{self, PropName};
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, BottommostLevelCompaction, Cache, ChecksumType, ColumnFamily,
    ColumnFamilyDescriptor, CompactOptions, DB, DBCompactionStyle, DBCompressionType, DBRecoveryMode, ErrorKind,
    FlushOptions, Options, ReadOptions, WriteBatch, WriteOptions,
};

#[cfg(test)]
use rocksdb::{CompactionDecision, Env, SliceTransform, WaitForCompactOptions};

use super::{Commit, Family, Guard, Judge, Memory, Snapshot, Store, StoreError, Tail, Write};
use crate::recovery;

const MIB: usize = 1024 * 1024;
/// Bytes of write-ahead log after which the engine flushes; what a recovery copies at most, about.
pub const WAL_BYTES_MAX: u64 = 256 * MIB as u64;
/// One cache of blocks for all families. What is read again and again is remembered elsewhere, so that a larger one would fill
/// with what was read once.
const BLOCK_CACHE_BYTES: usize = 64 * MIB;
/// Bits of a filter for each row: one file in a hundred is looked into for nothing.
const FILTER_BITS: f64 = 10.0;
/// RocksDB's own text log: so many files of so many bytes.
const TEXT_LOG_FILES: usize = 4;
const TEXT_LOG_BYTES: usize = 4 * MIB;
/// At most what a row takes in a batch besides its key and value: a tag and three numbers.
const ROW_BYTES: usize = 16;
/// Once no snapshot is older than a file's rows RocksDB would write it anew, to leave out their sequence numbers (4 per cent of
/// its bytes): each record twice. Put off by 136 years, in seconds; this crate has no other way to say so.
const WRITTEN_ONCE: &str = "bottommost_file_compaction_delay=4294967295";
/// The family that RocksDB insists on; nothing is kept in it.
const UNUSED_FAMILY: &str = "default";
/// How many flushes of an index wait before they are moved together, and how many may wait before writes are slowed down and
/// stopped.
const INDEX_FLUSHES: [i32; 3] = [8, 40, 60];
/// Bytes of the first level of an index, behind the flushes, and of a file.
const INDEX_LEVEL_BYTES: u64 = 8 * MIB as u64;
const INDEX_FILE_BYTES: u64 = MIB as u64;
/// How often a reader opens a store that another process is changing, before it takes what it gets.
const READ_ONLY_TRIES: usize = 50;

/// What to do about a write-ahead log whose end does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Refuse.
    Absolute,
    /// Keep what lies before the damage. Only on a copy: see [`recovery`].
    PointInTime,
    /// The same, and files that the manifest remembers may be missing. Only on a copy without those behind the gap.
    BeforeGap,
}

/// What a write outlasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasting {
    /// The machine: it is in the write-ahead log and synced.
    Synced,
    /// The process: it is in the write-ahead log.
    Logged,
    /// Neither, until the engine flushes it.
    Flushed,
}

/// A store in a RocksDB directory.
pub struct RocksStore {
    path: PathBuf,
    /// False from a write error until a reopen that worked.
    serving: AtomicBool,
    /// Held by whoever writes or reopens, so that a guard still holds when its batch is written.
    writing: Mutex<()>,
    /// `None` while closed.
    engine: RwLock<Option<DB>>,
}

impl RocksStore {
    /// Makes an empty store at `path`, a directory that must not exist yet (mode 0700).
    ///
    /// # Errors
    /// [`StoreError::Engine`] if `path` exists or cannot be made.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        let failed = |error| StoreError::Engine(format!("cannot make `{}`: {error}", path.display()));
        DirBuilder::new().mode(0o700).create(path).map_err(failed)?;
        let mut options = database_options(Recovery::Absolute);
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_error_if_exists(true);
        let store = Self::open_with(path, &options, Recovery::Absolute)?;
        sync_parent(path).map_err(failed)?;
        Ok(store)
    }

    /// Opens the store at `path` as it is, without a judge: for what is known to be whole, for copies, and for
    /// programs that only read. To serve from a store, use
    /// [`open_with_recovery`](crate::recovery::open_with_recovery).
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another process has it open, [`StoreError::Damaged`] if its log or structure does
    /// not read, [`StoreError::Refused`] if an option in force is not the one asked for, else
    /// [`StoreError::Engine`].
    pub fn open(path: &Path, recovery: Recovery) -> Result<Self, StoreError> {
        is_there(path)?;
        Self::open_with(path, &database_options(recovery), recovery)
    }

    /// Opens the store at `path` for reading alone, also while another process has it open: what that process has
    /// synced by now is seen, what it writes later is not. Every write fails, and no file is changed. A log that ends in
    /// half a record is read up to there; whether that is too little, only the high-water mark can tell.
    ///
    /// The other process may have moved rows from its log into tables, or tables together, while this reads which files there
    /// are: what was opened then lacks what was moved, or a file, and is opened again.
    ///
    /// # Errors
    /// [`StoreError`] if it does not read.
    pub fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        for _ in 1..READ_ONLY_TRIES {
            let before = structure(path);
            let opened = Self::open_as_it_is(path);
            if structure(path) == before {
                return opened;
            }
        }
        Self::open_as_it_is(path)
    }

    fn open_as_it_is(path: &Path) -> Result<Self, StoreError> {
        is_there(path)?;
        let options = database_options(Recovery::PointInTime);
        let families = descriptors().map_err(|error| failure(path, &error))?;
        let engine = DB::open_cf_descriptors_read_only(&options, path, families, false);
        Ok(Self {
            path: path.to_owned(),
            serving: AtomicBool::new(true),
            writing: Mutex::new(()),
            engine: RwLock::new(Some(engine.map_err(|error| failure(path, &error))?)),
        })
    }

    fn open_with(path: &Path, options: &Options, recovery: Recovery) -> Result<Self, StoreError> {
        let engine = descriptors().and_then(|families| DB::open_cf_descriptors(options, path, families));
        let engine = engine.map_err(|error| failure(path, &error))?;
        effective::check(path, recovery)?;
        Ok(Self {
            path: path.to_owned(),
            serving: AtomicBool::new(true),
            writing: Mutex::new(()),
            engine: RwLock::new(Some(engine)),
        })
    }

    /// Where the store is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on the open engine. The flag is asked before the lock, so that nobody waits out a reopen.
    fn with_engine<R>(&self, work: impl FnOnce(&DB) -> Result<R, StoreError>) -> Result<R, StoreError> {
        if !self.serving.load(Ordering::SeqCst) {
            return Err(StoreError::Closed);
        }
        let engine = self.engine.read().unwrap_or_else(PoisonError::into_inner);
        work(engine.as_ref().ok_or(StoreError::Closed)?)
    }

    /// Waits for the readers that are inside, then closes the engine.
    fn close(&self) {
        self.serving.store(false, Ordering::SeqCst);
        let engine = self.engine.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(engine);
    }

    fn serve(&self, engine: Option<DB>) {
        *self.engine.write().unwrap_or_else(PoisonError::into_inner) = engine;
        self.serving.store(true, Ordering::SeqCst);
    }

    fn into_engine(self) -> Option<DB> {
        self.engine.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// One write. An error spends the handle.
    fn write(&self, engine: &DB, batch: WriteBatch, lasting: Lasting) -> Result<(), StoreError> {
        let mut options = WriteOptions::default();
        options.set_sync(lasting == Lasting::Synced);
        options.disable_wal(lasting == Lasting::Flushed);
        engine.write_opt(batch, &options).map_err(|error| {
            self.serving.store(false, Ordering::SeqCst);
            failure(&self.path, &error)
        })
    }

    /// Writes all families out together, and begins a new file of the log.
    fn flush_all(&self, engine: &DB, wait: bool) -> Result<(), StoreError> {
        let families = Family::ALL.iter().map(|family| handle(engine, *family)).collect::<Result<Vec<_>, _>>()?;
        let mut options = FlushOptions::default();
        options.set_wait(wait);
        let families: Vec<_> = families.iter().collect();
        engine.flush_cfs_opt(&families, &options).map_err(|error| failure(&self.path, &error))
    }

    /// False if a guard does not hold: the store was reopened since the batch was made, and holds less.
    fn derive(&self, batch: &[Write], guards: &[Guard], lasting: Lasting) -> Result<bool, StoreError> {
        super::refuse_authoritative(batch)?;
        // Asked before the lock, which a reopen holds: nobody waits one out.
        if !self.serving.load(Ordering::SeqCst) {
            return Err(StoreError::Closed);
        }
        let _writing = self.writing();
        self.with_engine(|engine| {
            let holds = self.broken_guard(engine, guards)?.is_none();
            if holds {
                self.write(engine, assemble(engine, batch)?, lasting)?;
            }
            Ok(holds)
        })
    }

    /// The place of the first guard that does not hold.
    fn broken_guard(&self, engine: &DB, guards: &[Guard]) -> Result<Option<usize>, StoreError> {
        for (place, guard) in guards.iter().enumerate() {
            let found = engine
                .get_pinned_cf(handle(engine, guard.key.family)?, &guard.key.bytes)
                .map_err(|error| failure(&self.path, &error))?;
            if found.as_deref() != guard.expected.as_deref() {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    fn commit_on(&self, engine: &DB, batch: &[Write], guards: &[Guard]) -> Result<Commit, StoreError> {
        if let Some(place) = self.broken_guard(engine, guards)? {
            return Ok(Commit::Conflict(place));
        }
        let batch = assemble(engine, batch)?;
        Ok(match self.write(engine, batch, Lasting::Synced) {
            Ok(()) => Commit::Committed,
            Err(error) => Commit::Unknown(error),
        })
    }
}

impl fmt::Debug for RocksStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RocksStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Store for RocksStore {
    fn snapshot(&self, read: &mut dyn FnMut(&dyn Snapshot) -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.with_engine(|engine| read(&RocksSnapshot { path: &self.path, engine, rows: engine.snapshot() }))
    }

    fn commit(&self, batch: &[Write], guards: &[Guard]) -> Commit {
        let _writing = self.writing();
        self.with_engine(|engine| self.commit_on(engine, batch, guards)).unwrap_or_else(Commit::NotCommitted)
    }

    fn write_derived(&self, batch: &[Write]) -> Result<(), StoreError> {
        self.derive(batch, &[], Lasting::Logged).map(|_| ())
    }

    /// The rows of a follower are more bytes than the records that they follow from: outside the write-ahead log they
    /// are not written twice, and no commit syncs them. All families are flushed together (`atomic_flush`), so a crash
    /// leaves them as of one moment.
    fn write_followed(&self, batch: &[Write], guard: &Guard) -> Result<bool, StoreError> {
        self.derive(batch, std::slice::from_ref(guard), Lasting::Flushed)
    }

    /// What is still in memory is written to files first, for all families at once, after which the write-ahead logs
    /// that held it are deleted. RocksDB reports no failure here; what a full disk keeps it from rewriting now is dropped
    /// by its own compactions later.
    fn compact(&self, family: Family, from: &[u8], to: &[u8]) -> Result<(), StoreError> {
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        options.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        self.with_engine(|engine| {
            engine.compact_range_cf_opt(handle(engine, family)?, Some(from), Some(to), &options);
            Ok(())
        })
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.with_engine(|engine| self.flush_all(engine, true))
    }

    /// RocksDB's own checkpoint: what is in memory is written to files first (also the followers' rows, which are in no
    /// write-ahead log), files that never change are linked, and of the write-ahead log comes what there is by then.
    fn copy_to(&self, directory: &Path) -> Result<(), StoreError> {
        self.with_engine(|engine| {
            let copied = Checkpoint::new(engine).and_then(|checkpoint| checkpoint.create_checkpoint(directory));
            copied.map_err(|error| failure(&self.path, &error))
        })
    }

    fn memory(&self) -> Option<Memory> {
        self.with_engine(|engine| Ok(memory(engine))).ok()
    }

    fn reopen(&self, judge: &mut Judge<'_>) -> Result<Tail, StoreError> {
        let _writing = self.writing();
        self.close();
        let opened = recovery::open_with_recovery(&self.path, judge)?;
        self.serve(opened.store.into_engine());
        Ok(opened.tail)
    }
}

/// RocksDB's snapshot, with the handles that reading through it needs.
struct RocksSnapshot<'a> {
    path: &'a Path,
    engine: &'a DB,
    rows: rocksdb::Snapshot<'a>,
}

impl Snapshot for RocksSnapshot<'_> {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.rows.get_cf(handle(self.engine, family)?, key).map_err(|error| failure(self.path, &error))
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: &[u8],
        reverse: bool,
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        let mut options = ReadOptions::default();
        options.set_iterate_range(from..to);
        let mut rows = self.rows.raw_iterator_cf_opt(handle(self.engine, family)?, options);
        if reverse {
            rows.seek_to_last()
        } else {
            rows.seek_to_first()
        }
        while let Some((key, value)) = rows.item() {
            if !each(key, value) {
                break;
            }
            if reverse { rows.prev() } else { rows.next() }
        }
        rows.status().map_err(|error| failure(self.path, &error))
    }
}

fn handle(engine: &DB, family: Family) -> Result<&ColumnFamily, StoreError> {
    let name = family.name();
    engine.cf_handle(name).ok_or_else(|| StoreError::Engine(format!("the family `{name}` is missing")))
}

/// By RocksDB's own accounts; an account that it does not give counts nothing.
fn memory(engine: &DB) -> Memory {
    let told = |family, property: &PropName| {
        let handle = handle(engine, family).ok()?;
        engine.property_int_value_cf(handle, property).ok()?
    };
    let all = |property| Family::ALL.iter().filter_map(|family| told(*family, property)).fold(0, u64::saturating_add);
    Memory {
        // One cache serves all families.
        cache: told(Family::Records, properties::BLOCK_CACHE_USAGE).unwrap_or_default(),
        files: all(properties::ESTIMATE_TABLE_READERS_MEM),
        unwritten: all(properties::SIZE_ALL_MEM_TABLES),
    }
}

fn assemble(engine: &DB, writes: &[Write]) -> Result<WriteBatch, StoreError> {
    let bytes = writes.iter().map(|write| write.key.bytes.len() + write.value.as_ref().map_or(0, Vec::len) + ROW_BYTES);
    let mut batch = WriteBatch::with_capacity_bytes(bytes.sum());
    for write in writes {
        let family = handle(engine, write.key.family)?;
        match &write.value {
            Some(value) => batch.put_cf(family, &write.key.bytes, value),
            None => batch.delete_cf(family, &write.key.bytes),
        }
    }
    Ok(batch)
}

/// The engine makes the directory that it is told to open, even for reading alone.
fn is_there(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    Err(StoreError::Engine(format!("there is no store at `{}`", path.display())))
}

/// RocksDB's errors are texts; two of them matter by themselves.
fn failure(path: &Path, error: &rocksdb::Error) -> StoreError {
    let text = error.as_ref();
    let held = text.contains("While lock file") || text.contains("lock hold by current process");
    match error.kind() {
        ErrorKind::IOError if held => StoreError::InUse { path: path.display().to_string() },
        ErrorKind::Corruption => gap(text).map_or_else(|| StoreError::Damaged(one_line(text)), StoreError::Gap),
        _ => StoreError::Engine(one_line(text)),
    }
}

/// The file of the log that is missing, or shorter than the manifest remembers it, if that is what RocksDB says.
fn gap(text: &str) -> Option<String> {
    let (_, rest) = text
        .split_once("Missing WAL with log number: ")
        .or_else(|| text.split_once("Size mismatch: WAL (log number: "))?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse::<u64>().ok().map(|number| format!("{number:06}.log"))
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// Makes the entry of `path` in its directory durable.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = fs::canonicalize(path)?.parent().map(Path::to_owned).unwrap_or_default();
    File::open(parent)?.sync_all()
}

/// The settings of the database as a whole; [`effective`] checks them.
fn database_options(recovery: Recovery) -> Options {
    let mut options = Options::default();
    options.set_wal_recovery_mode(match recovery {
        Recovery::Absolute => DBRecoveryMode::AbsoluteConsistency,
        Recovery::PointInTime | Recovery::BeforeGap => DBRecoveryMode::PointInTime,
    });
    options.set_track_and_verify_wals_in_manifest(recovery != Recovery::BeforeGap);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_recycle_log_file_num(0);
    options.set_manual_wal_flush(false);
    options.set_atomic_flush(true);
    options.set_enable_pipelined_write(false);
    options.set_unordered_write(false);
    options.set_allow_mmap_writes(false);
    options.set_paranoid_checks(true);
    options.set_max_background_jobs(4);
    options.set_bytes_per_sync(MIB as u64);
    options.set_wal_bytes_per_sync(MIB as u64);
    options.set_keep_log_file_num(TEXT_LOG_FILES);
    options.set_max_log_file_size(TEXT_LOG_BYTES);
    options
}

/// Which list of files is in force, and how long it is: it grows with each change of what the files hold, before any file is
/// removed for it.
fn structure(path: &Path) -> Option<(String, u64)> {
    let current = fs::read_to_string(path.join("CURRENT")).ok()?;
    let length = fs::metadata(path.join(current.trim_end())).ok()?.len();
    Some((current, length))
}

fn descriptors() -> Result<Vec<ColumnFamilyDescriptor>, rocksdb::Error> {
    let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES);
    let mut all = vec![ColumnFamilyDescriptor::new(UNUSED_FAMILY, common_options(Options::default(), &cache))];
    for family in Family::ALL {
        all.push(ColumnFamilyDescriptor::new(family.name(), family_options(family, &cache)?));
    }
    Ok(all)
}

/// Whether rows of a family are only ever added.
const fn only_grows(family: Family) -> bool {
    matches!(family, Family::Records | Family::Tiles | Family::Indexes)
}

fn family_options(family: Family, cache: &Cache) -> Result<Options, rocksdb::Error> {
    let mut options = Options::default();
    if only_grows(family) {
        options = options.get_options_from_string(WRITTEN_ONCE)?;
    }
    let mut options = common_options(options, cache);
    match family {
        // Read row by row, anywhere: the filters say in which file a row can be, and the others are not looked into.
        Family::Secrets => {
            let mut tables = tables(cache);
            tables.set_bloom_filter(FILTER_BITS, false);
            tables.set_partition_filters(true);
            options.set_block_based_table_factory(&tables);
        }
        // One writer, ascending keys: with one compression on all levels files move down without being rewritten.
        Family::Records => {
            options.set_write_buffer_size(64 * MIB);
            options.set_target_file_size_base(256 * MIB as u64);
        }
        // Hashes do not compress.
        Family::Tiles => options.set_compression_type(DBCompressionType::None),
        // Each flush has a few rows of every principal, action and name, so that it is moved together with all of the first
        // level there is: small, or what is moved would grow with the square of the log. What one move needs of the disk
        // stays small, too, which runs of like size (universal compaction) would not keep it.
        Family::Indexes => {
            options.set_max_bytes_for_level_base(INDEX_LEVEL_BYTES);
            options.set_target_file_size_base(INDEX_FILE_BYTES);
            let [together, slow, stop] = INDEX_FLUSHES;
            options.set_level_zero_file_num_compaction_trigger(together);
            options.set_level_zero_slowdown_writes_trigger(slow);
            options.set_level_zero_stop_writes_trigger(stop);
        }
        _ => {}
    }
    Ok(options)
}

/// What every family has on top of `options`: levels, zstd, nothing that drops rows.
fn common_options(mut options: Options, cache: &Cache) -> Options {
    options.set_block_based_table_factory(&tables(cache));
    options.set_compaction_style(DBCompactionStyle::Level);
    options.set_compression_type(DBCompressionType::Zstd);
    // Level 1: the default, 3, takes half as long again for a few per cent; the other numbers are the defaults.
    options.set_compression_options(-14, 1, 0, 0);
    options.set_ttl(0);
    options.set_periodic_compaction_seconds(0);
    options
}

/// What every family's files are: blocks of 16 KiB with xxh3 checksums, no filter.
///
/// Where a file's blocks begin is in the cache like the blocks themselves, in parts, the list of parts pinned: held beside it, it
/// would grow with the log for ever, by about two bytes for each record.
fn tables(cache: &Cache) -> BlockBasedOptions {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_size(16 * 1024);
    blocks.set_checksum_type(ChecksumType::XXH3);
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    blocks.set_pin_top_level_index_and_filter(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks
}

/// No store of this process writes tables out while this lives, so that its log has as many files as flushes were begun.
#[cfg(test)]
pub(crate) struct HeldFlushes(Env);

#[cfg(test)]
impl HeldFlushes {
    /// Holds for the stores that are open by now.
    pub(crate) fn hold() -> Self {
        let mut held = Self(Env::new().unwrap());
        held.set_threads(0);
        held
    }

    fn set_threads(&mut self, threads: i32) {
        self.0.set_high_priority_background_threads(threads);
        self.0.set_low_priority_background_threads(threads);
    }
}

#[cfg(test)]
impl Drop for HeldFlushes {
    fn drop(&mut self) {
        self.set_threads(4);
    }
}

#[cfg(test)]
impl RocksStore {
    /// Begins a new file of the log, and to write out what the old one holds.
    pub(crate) fn begin_flush(&self) {
        self.with_engine(|engine| self.flush_all(engine, false)).unwrap();
    }
}

#[cfg(test)]
mod tests;
