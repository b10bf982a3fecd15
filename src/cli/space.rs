//! How much room the store's disk has, as a gateway would judge it.

use crate::access::setup;
use crate::config::Config;
use keyward_audit::disk::{self, Level, Space};
use std::io;

/// What the engine claims when it opens a store: with less a start fails, whatever the levels are.
const OPENING_BYTES: u64 = 64 * 1024 * 1024;

pub(super) struct Room {
    pub(super) level: Level,
    free: u64,
    /// In words, and where.
    pub(super) what: String,
}

/// What the disk has.
///
/// # Errors
/// The file system does not say.
pub(super) fn of_store(config: &Config) -> io::Result<Room> {
    let store = config.path(&config.storage.path);
    let settings = setup::disk_settings(config);
    let space = disk::space(&store)?;
    let counted = space.free.saturating_sub(settings.wal_bytes_max.saturating_add(settings.compaction_bytes));
    let level = disk::level(&settings.thresholds, Space { free: counted, ..space }, None);
    let what = format!("{} MiB free under `{}`", space.free / (1024 * 1024), store.display());
    Ok(Room { level, free: space.free, what })
}

/// Why a start failed, with the disk if that has too little room: what could not be written does not say so itself.
pub(super) fn named(error: anyhow::Error, config: &Config) -> anyhow::Error {
    match of_store(config) {
        Ok(room) if room.level == Level::Critical || room.free < OPENING_BYTES => {
            error.context(format!("too little room on the store's disk, {}", room.what))
        }
        Ok(_) | Err(_) => error,
    }
}
