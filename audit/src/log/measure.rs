//! Metrics of the log. Their names are fixed (audit-log.md 9.10).

use metrics::{counter, gauge, histogram};

use super::shared::Shared;
use crate::disk::Level;
use crate::environment::Environment;
use crate::event::Refused;

/// Measures one synced write.
pub(super) struct Timer<'a> {
    environment: &'a Environment,
    began_us: u64,
}

impl<'a> Timer<'a> {
    pub(super) fn start(environment: &'a Environment) -> Self {
        Self { environment, began_us: environment.clock.monotonic_us() }
    }

    /// Ends the measurement.
    pub(super) fn commit(self) {
        let took_us = self.environment.clock.monotonic_us().saturating_sub(self.began_us);
        histogram!("keyward_audit_commit_seconds").record(seconds(took_us));
    }
}

/// Counts a submission that was not taken.
pub(super) fn refused(reason: Refused) {
    counter!("keyward_audit_refused_total", "reason" => reason.to_string()).increment(1);
}

/// Sets what is read off the log each second.
pub(super) fn gauges(log: &Shared) {
    let now_us = log.environment.clock.monotonic_us();
    let size = log.as_of();
    let lag = size.saturating_sub(log.indexed_to.load(std::sync::atomic::Ordering::Acquire));
    gauge!("keyward_audit_queue_depth").set(count(log.lanes.depth() as u64));
    gauge!("keyward_audit_uncovered_age_seconds").set(seconds(log.uncovered_age_us()));
    gauge!("keyward_audit_high_water_age_seconds").set(seconds(log.marked.age_us(size, now_us)));
    gauge!("keyward_audit_follower_lag_records", "follower" => "indexes").set(count(lag));
    gauge!("keyward_audit_disk_level").set(match log.lanes.level() {
        Level::Ample => 0.0,
        Level::Soft => 1.0,
        Level::Hard => 2.0,
        Level::Critical => 3.0,
    });
    if let Some(memory) = log.store.memory() {
        for (part, bytes) in [("cache", memory.cache), ("files", memory.files), ("unwritten", memory.unwritten)] {
            gauge!("keyward_store_memory_bytes", "part" => part).set(count(bytes));
        }
    }
}

fn seconds(micros: u64) -> f64 {
    count(micros) / 1e6
}

/// A metric's value; above 2^53 it loses its last digits.
#[expect(clippy::cast_precision_loss, reason = "a metric is a float, and these stay far below 2^53")]
fn count(number: u64) -> f64 {
    number as f64
}
