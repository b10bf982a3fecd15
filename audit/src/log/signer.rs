//! The signer: one thread behind the sequencer that signs the durable head (audit-log.md 4.3).
//!
//! INVARIANT I7: durable, then signed, then size and root into the mark (synced), then the row, then shown. Never a size
//! below the largest ever signed, never one size with two roots. If the process dies in between, the mark forbids a
//! second head of that size; the next checkpoint is a larger one or this one again.

use std::sync::Arc;
use std::time::Duration;

use super::marked::SignError;
use super::retention;
use super::settings::micros;
use super::shared::{CheckpointRequest, Durable, Mode, Shared};
use super::sync::lock;
use crate::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use crate::event::Refused;
use crate::note::SigningKey;
use crate::store::{StoreError, Write};

const MINUTE_US: u64 = 60_000_000;

/// Why a head was not signed.
#[derive(Debug, thiserror::Error)]
enum Unsigned {
    #[error(transparent)]
    Forbidden(#[from] SignError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(super) struct Signer {
    log: Arc<Shared>,
    key: Arc<SigningKey>,
    /// By the monotonic clock.
    signed_us: Option<u64>,
    told_us: u64,
    /// Whether the last attempt failed: told once, not each time.
    failing: bool,
}

impl Signer {
    pub(super) fn new(log: Arc<Shared>, key: Arc<SigningKey>) -> Self {
        let told_us = log.environment.clock.monotonic_us();
        Self { log, key, signed_us: None, told_us, failing: false }
    }

    /// Turns until the log is stopped; then signs and tells the last head.
    pub(super) fn run(mut self) {
        while !self.log.is_stopping() {
            self.step();
            let requests = lock(&self.log.requests);
            if !self.log.is_stopping() {
                // Nothing is lost by a wake-up that was not for us.
                let pause = self.pause(&requests);
                drop(self.log.requested.wait_timeout(requests, pause));
            }
        }
        self.finish();
    }

    /// One turn: a checkpoint if one is due, the log line if a minute has passed.
    pub(super) fn step(&mut self) {
        let now_us = self.log.environment.clock.monotonic_us();
        if self.is_due(now_us) {
            self.sign(now_us);
        }
        self.answer();
        retention::write_kept(&self.log);
        if now_us.saturating_sub(self.told_us) >= MINUTE_US {
            self.told_us = now_us;
            self.tell();
            retention::thin(&self.log);
        }
    }

    /// Signs what is durable, whenever the last time was, and tells it: the last words of a log that stops.
    pub(super) fn finish(&mut self) {
        if self.is_uncovered() {
            self.sign(self.log.environment.clock.monotonic_us());
        }
        self.answer();
        retention::write_kept(&self.log);
        self.tell();
        for request in lock(&self.log.requests).drain(..) {
            let _left = request.waiter.send(Err(Refused::Stopping));
        }
    }

    /// Until the next checkpoint may be signed; while there is none to be signed and none of `requests` can be answered, until
    /// it is time to look again. A commit wakes nobody: one interval later at most it is seen, and signed at once.
    pub(super) fn pause(&self, requests: &[CheckpointRequest]) -> Duration {
        let every = self.log.limits.checkpoint_every;
        let signed = self.log.published().map(|published| published.checkpoint().size);
        let is_asked = requests.iter().any(|request| signed.is_some_and(|size| request.size <= size));
        if !is_asked && !self.is_uncovered() {
            return every;
        }
        let now_us = self.log.environment.clock.monotonic_us();
        let since_us = self.signed_us.map_or(0, |signed| now_us.saturating_sub(signed));
        every.saturating_sub(Duration::from_micros(since_us)).max(Duration::from_millis(1))
    }

    fn is_due(&self, now_us: u64) -> bool {
        let every_us = micros(self.log.limits.checkpoint_every);
        let rested = self.signed_us.is_none_or(|signed| now_us.saturating_sub(signed) >= every_us);
        rested && self.is_uncovered()
    }

    /// Whether there are durable records that no checkpoint covers, or no checkpoint at all.
    fn is_uncovered(&self) -> bool {
        let covered = self.log.published().map(|published| published.checkpoint().size);
        matches!(self.log.mode(), Mode::Serving | Mode::Stopped)
            && covered.is_none_or(|size| size < self.log.durable().size)
    }

    fn sign(&mut self, now_us: u64) {
        self.signed_us = Some(now_us);
        match self.try_sign(self.log.durable(), now_us) {
            Ok(()) => self.failing = false,
            Err(error) if self.failing => tracing::debug!(%error, "no checkpoint could be signed"),
            Err(error) => {
                tracing::error!(%error, "no checkpoint could be signed");
                self.failing = true;
            }
        }
    }

    fn try_sign(&self, durable: Durable, now_us: u64) -> Result<(), Unsigned> {
        let checkpoint = Checkpoint { origin: self.log.origin.clone(), size: durable.size, root: durable.root };
        let signed = SignedCheckpoint::sign(checkpoint, &[self.key.as_ref()])?;
        self.log.marked.sign(durable.size, durable.root, now_us)?;
        let row = Write { key: self.log.id.checkpoint(durable.size), value: Some(signed.note().as_bytes().to_vec()) };
        self.log.write_derived(&[row])?;
        self.log.publish(Arc::new(signed), now_us);
        Ok(())
    }

    /// Answers those whose size is covered.
    fn answer(&self) {
        let Some(published) = self.log.published() else { return };
        let covers = |request: &mut CheckpointRequest| request.size <= published.checkpoint().size;
        let covered: Vec<_> = lock(&self.log.requests).extract_if(.., covers).collect();
        for request in covered {
            let _left = request.waiter.send(Ok(Arc::clone(&published)));
        }
    }

    /// The newest signed head into the structured log, so that it is remembered wherever those lines go.
    fn tell(&self) {
        let Some(published) = self.log.published() else { return };
        let Checkpoint { origin, size, root } = published.checkpoint();
        tracing::info!(origin, size, root = hex::encode(root), note = published.note(), "newest signed head");
    }
}
