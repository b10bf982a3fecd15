//! Where a log lies and how it is bounded. All of it comes from the configuration file (invariant I12).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::disk;
use crate::note::SigningKey;

/// Where a log lies, under which name it signs, and its limits.
#[derive(Clone)]
pub struct Settings {
    /// The directory of the store.
    pub store: PathBuf,
    /// The file of the high-water mark, outside the store's directory.
    pub high_water_mark: PathBuf,
    /// The origin that the log signs under; the name of `key`.
    pub origin: String,
    /// The key that signs checkpoints.
    pub key: Arc<SigningKey>,
    /// Bounds and intervals.
    pub limits: Limits,
    /// The levels of free space; `None` watches no disk (an engine in memory).
    pub disk: Option<disk::Settings>,
}

/// How much a lane of the queue, or one batch, may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Records.
    pub records: usize,
    /// Bytes of records and of what rides with them.
    pub bytes: usize,
}

/// Bounds and intervals of a log. The defaults are starting values of the reference (audit-log.md 5.3, 9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What may wait from known callers.
    pub caller: Room,
    /// What may wait of denials, administration and keyward itself.
    pub reserve: Room,
    /// What may wait of requests without a good credential.
    pub nameless: Room,
    /// What one batch takes.
    pub batch: Room,
    /// After this long a commit answers that it cannot be made durable.
    pub deadline: Duration,
    /// Checkpoints are signed at most this often.
    pub checkpoint_every: Duration,
    /// A seal is written after this many records.
    pub seal_records: u64,
    /// A seal is written after this long, idle or not.
    pub seal_every: Duration,
    /// Rows whose last change is remembered for the check of read sets.
    pub recent_rows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const KIB: usize = 1024;
        Self {
            caller: Room { records: 4096, bytes: 4096 * KIB },
            reserve: Room { records: 2048, bytes: 2048 * KIB },
            nameless: Room { records: 1024, bytes: 1024 * KIB },
            batch: Room { records: 1024, bytes: 1024 * KIB },
            deadline: Duration::from_millis(250),
            checkpoint_every: Duration::from_millis(100),
            seal_records: 65_536,
            seal_every: Duration::from_secs(3600),
            recent_rows: 262_144,
        }
    }
}

/// Microseconds of `duration`; a span too long to count is the longest.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
