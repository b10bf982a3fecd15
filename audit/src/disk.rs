//! The disk under the store: how full it is, what that means, and a ballast that makes room for the last words.
//!
//! Holds its part of I9: a full disk is met in steps (audit-log page, section 8) before a write can fail, and service
//! comes back by itself. Free space is counted after what the engine may still need: the rest of its write-ahead log
//! and a compaction. At *critical* the ballast is deleted, so that the last records and a last checkpoint fit; before
//! *critical* is left it is made again, so that the next time finds it.
//!
//! This module only looks and keeps the ballast; the log acts on the level. If the process dies while the ballast is
//! made, the next start finds it too short and makes it again.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::store::rocks::WAL_BYTES_MAX;

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;
const MINUTE_US: u64 = 60 * 1_000_000;
/// The rate of consumption is taken over at most so many samples, one a minute.
const SAMPLES: usize = 60;
/// A rate over less than this says nothing.
const RATE_WINDOW_US: u64 = 10 * MINUTE_US;

/// How full the disk is, and what still works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing to do.
    Ample,
    /// Everything works; a record, a metric, an alert.
    Soft,
    /// Reads and writes of secrets are refused; denials and administration still work and are recorded.
    Hard,
    /// Everything is refused.
    Critical,
}

/// A part of the disk, but at most so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Hundredths of the disk.
    pub percent: u8,
    /// Bytes.
    pub bytes: u64,
}

impl Share {
    /// The bytes that this is on a disk of `total` bytes.
    #[must_use]
    pub fn of(self, total: u64) -> u64 {
        (total / 100).saturating_mul(u64::from(self.percent)).min(self.bytes)
    }
}

/// Below which free space each level begins. Configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// [`Level::Soft`].
    pub soft: Share,
    /// [`Level::Soft`] too, if at the present rate the disk is full within so many hours.
    pub soft_hours: u32,
    /// [`Level::Hard`].
    pub hard: Share,
    /// [`Level::Critical`].
    pub critical: Share,
}

/// All that is configuration here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The levels.
    pub thresholds: Thresholds,
    /// The ballast's size.
    pub ballast: Share,
    /// How large the engine's write-ahead log may grow.
    pub wal_bytes_max: u64,
    /// What a compaction may need for a while.
    pub compaction_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            thresholds: Thresholds {
                soft: Share { percent: 10, bytes: 2 * GIB },
                soft_hours: 24,
                hard: Share { percent: 5, bytes: GIB },
                critical: Share { percent: 2, bytes: 256 * MIB },
            },
            ballast: Share { percent: 1, bytes: 64 * MIB },
            wal_bytes_max: WAL_BYTES_MAX,
            compaction_bytes: 256 * MIB,
        }
    }
}

/// What a file system says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that may still be written by us.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
}

/// The level that `space` is at, when `full_in_hours` (if known) is how long it lasts at the present rate.
#[must_use]
pub fn level(thresholds: &Thresholds, space: Space, full_in_hours: Option<u64>) -> Level {
    let below = |share: Share| space.free < share.of(space.total);
    let soon = full_in_hours.is_some_and(|hours| hours < u64::from(thresholds.soft_hours));
    if below(thresholds.critical) {
        Level::Critical
    } else if below(thresholds.hard) {
        Level::Hard
    } else if below(thresholds.soft) || soon {
        Level::Soft
    } else {
        Level::Ample
    }
}

/// Asks the file system under a directory.
pub type Probe = Box<dyn FnMut(&Path) -> io::Result<Space> + Send>;

/// Watches the disk under the store and keeps the ballast.
pub struct Watch {
    database: PathBuf,
    ballast: PathBuf,
    settings: Settings,
    environment: Environment,
    probe: Probe,
    rate: Rate,
    /// The ballast's size: fixed once known, since some file systems change their own size all the time.
    ballast_wanted: Option<u64>,
    level: Level,
}

impl fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Watch")
            .field("database", &self.database)
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

impl Watch {
    /// Watches the disk under `database`, with the ballast at `ballast`, which must lie on the same disk.
    #[must_use]
    pub fn new(database: &Path, ballast: &Path, settings: Settings, environment: Environment) -> Self {
        Self::with_probe(database, ballast, settings, environment, Box::new(space))
    }

    fn with_probe(database: &Path, ballast: &Path, settings: Settings, environment: Environment, probe: Probe) -> Self {
        Self {
            database: database.to_owned(),
            ballast: ballast.to_owned(),
            settings,
            environment,
            probe,
            rate: Rate::default(),
            ballast_wanted: None,
            level: Level::Ample,
        }
    }

    /// Looks once, about every second. A disk that does not answer is at [`Level::Critical`].
    pub fn poll(&mut self) -> Level {
        self.level = match self.measure() {
            Ok((level, space)) => self.keep_ballast(level, space),
            Err(_) => Level::Critical,
        };
        self.level
    }

    /// The level, and the space that is left once the engine has what it may need.
    fn measure(&mut self) -> io::Result<(Level, Space)> {
        let space = (self.probe)(&self.database)?;
        let wal = wal_bytes(&self.database)?;
        let headroom = self.settings.wal_bytes_max.saturating_sub(wal).saturating_add(self.settings.compaction_bytes);
        let usable = Space { free: space.free.saturating_sub(headroom), ..space };
        // The ballast counts as free for the rate: making and deleting it is no consumption.
        let ours = usable.free.saturating_add(ballast_bytes(&self.ballast)?);
        let full_in_hours = self.rate.full_in_hours(self.environment.clock.monotonic_us(), ours);
        Ok((level(&self.settings.thresholds, usable, full_in_hours), usable))
    }

    /// Deletes the ballast at *critical*; makes it where it is missing, unless that alone would be *critical*.
    fn keep_ballast(&mut self, level: Level, space: Space) -> Level {
        let wanted = *self.ballast_wanted.get_or_insert(self.settings.ballast.of(space.total));
        if level == Level::Critical {
            // If this fails, the level stays what it is, and the next poll tries again.
            drop(remove(&self.ballast));
            return Level::Critical;
        }
        let there = ballast_bytes(&self.ballast).unwrap_or(0);
        if there == wanted {
            return level;
        }
        // To write it only to find that out, and to delete it again, would go on every second.
        let free = space.free.saturating_add(there).saturating_sub(wanted);
        if self::level(&self.settings.thresholds, Space { free, ..space }, None) == Level::Critical {
            drop(remove(&self.ballast));
            return Level::Critical;
        }
        if self.make_ballast(wanted).is_err() {
            drop(remove(&self.ballast));
            return Level::Critical;
        }
        match self.measure() {
            Ok((Level::Critical, _)) | Err(_) => {
                drop(remove(&self.ballast));
                Level::Critical
            }
            Ok((level, _)) => level,
        }
    }

    /// Writes random bytes, so that they take their room on file systems that compress or copy on write, too.
    fn make_ballast(&self, bytes: u64) -> io::Result<()> {
        remove(&self.ballast)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.ballast)?;
        let mut left = bytes;
        while left > 0 {
            let length = left.min(64 * 1024);
            let mut block = vec![0; usize::try_from(length).map_err(io::Error::other)?];
            self.environment.random.fill(&mut block).map_err(io::Error::other)?;
            file.write_all(&block)?;
            left = left.saturating_sub(length);
        }
        file.sync_all()
    }
}

/// How fast free space goes, over the last hour at most.
#[derive(Debug, Default)]
struct Rate {
    /// Time and free bytes, one a minute, oldest first.
    samples: VecDeque<(u64, u64)>,
}

impl Rate {
    /// In how many hours nothing is free any more; `None` while that is unknown or never.
    fn full_in_hours(&mut self, now_us: u64, free: u64) -> Option<u64> {
        let due = self.samples.back().is_none_or(|(at, _)| now_us.saturating_sub(*at) >= MINUTE_US);
        if due {
            self.samples.push_back((now_us, free));
        }
        if self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
        let (then_us, before) = *self.samples.front()?;
        let took_us = now_us.saturating_sub(then_us);
        let gone = before.checked_sub(free).filter(|gone| *gone > 0)?;
        if took_us < RATE_WINDOW_US {
            return None;
        }
        let left_us = u128::from(free).saturating_mul(u128::from(took_us)) / u128::from(gone);
        u64::try_from(left_us / u128::from(60 * MINUTE_US)).ok()
    }
}

/// What statvfs says of the file system under `directory`.
///
/// # Errors
/// What the system answered.
pub fn space(directory: &Path) -> io::Result<Space> {
    let answer = rustix::fs::statvfs(directory)?;
    Ok(Space {
        free: answer.f_bavail.saturating_mul(answer.f_frsize),
        total: answer.f_blocks.saturating_mul(answer.f_frsize),
    })
}

/// Bytes of the write-ahead log that are already on disk.
fn wal_bytes(database: &Path) -> io::Result<u64> {
    let mut bytes = 0_u64;
    for entry in fs::read_dir(database)? {
        let entry = entry?;
        if Path::new(&entry.file_name()).extension().is_some_and(|kind| kind == "log") {
            // The engine may delete a log while we look.
            bytes = bytes.saturating_add(entry.metadata().map_or(0, |metadata| metadata.len()));
        }
    }
    Ok(bytes)
}

/// The ballast's bytes, 0 if it is not there.
fn ballast_bytes(path: &Path) -> io::Result<u64> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// Removes the ballast, durably, so that its room is free again after a crash too.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
