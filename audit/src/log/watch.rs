//! The watch: once a second it looks at the disk and sets the gauges.
//!
//! INVARIANT I9: a full disk is met in steps, before a write fails: at `hard` the sequencer's queue takes no more from
//! known callers, at `critical` nothing from anyone, and both end by themselves when there is space again. Each change
//! of level is a record; at `critical` an `audit_stopped` is the last one.

use std::sync::Arc;
use std::time::Duration;

use super::sequencer::frame_own;
use super::shared::Shared;
use super::{measure, own};
use crate::disk::{Level, Watch};

/// How often the disk is looked at.
const EVERY: Duration = Duration::from_secs(1);

pub(super) struct Watcher {
    log: Arc<Shared>,
    disk: Option<Watch>,
}

impl Watcher {
    pub(super) fn new(log: Arc<Shared>, disk: Option<Watch>) -> Self {
        Self { log, disk }
    }

    /// Looks once a second until the log is stopped.
    pub(super) fn run(mut self) {
        while !self.log.is_stopping() {
            self.step();
            self.log.doze(EVERY);
        }
    }

    /// One look.
    pub(super) fn step(&mut self) {
        if let Some(disk) = &mut self.disk {
            let level = disk.poll();
            self.set_level(level);
        }
        measure::gauges(&self.log);
    }

    /// Acts on the disk's level, if it is another one.
    pub(super) fn set_level(&self, level: Level) {
        let before = self.log.lanes.level();
        if before == level {
            return;
        }
        tracing::warn!(before = own::level_word(before), level = own::level_word(level), "the disk's level changed");
        let environment = &self.log.environment;
        let mut drafts = vec![own::disk_level(environment, level)];
        if level == Level::Critical {
            drafts.push(own::audit_stopped(environment));
        }
        self.log.lanes.set_level(level);
        for entry in drafts.into_iter().flatten().filter_map(|draft| frame_own(&draft)) {
            self.log.lanes.push_own(entry);
        }
    }
}
