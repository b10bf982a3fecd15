//! Two threads that take turns at the one sequencer: a batch is built while the one before it is written.
//!
//! There are two locks. Who holds the sequencer builds; who holds `writing` writes. A thread gives the first away only
//! when it has the second, so batches reach the store in the order in which they were built, and at most one that is
//! built waits. Where callers are few one thread keeps both: to pass them on costs more than it gives.
//!
//! INVARIANT I9: what was built on top of a batch whose write failed is never written. Its callers are refused, and the
//! store is reopened and read back by a thread that holds both locks, so nothing is written meanwhile.
//! If one thread ends in a panic the other one ends too, and the log takes nothing more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::sequencer::{Next, Open, Sequencer, Turn};
use super::shared::Shared;
use super::sync::lock;
use super::write::{self, Built, Failed};

struct Turns {
    log: Arc<Shared>,
    sequencer: Mutex<Sequencer>,
    writing: Mutex<()>,
    /// A write that failed, until the sequencer is told.
    failed: Mutex<Option<Box<Failed>>>,
    /// One of the threads has ended.
    ended: AtomicBool,
}

/// Says, when it is dropped, that its thread has left: in order, or in a panic.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Takes turns until the log is stopped and the queue is empty. This thread is one of the two; the end of the queue is
/// written by it alone.
pub(super) fn run(sequencer: Sequencer, name: &str) {
    let turns = Turns {
        log: Arc::clone(&sequencer.log),
        sequencer: Mutex::new(sequencer),
        writing: Mutex::new(()),
        failed: Mutex::new(None),
        ended: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        let second = std::thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, || turns.take());
        match second {
            Ok(_) => turns.take(),
            Err(error) => tracing::error!(%error, "no second thread for the log: batches are built after each write"),
        }
    });
    let Turns { sequencer, failed, .. } = turns;
    // A lock that a panic has poisoned: the sequencer is dropped, which refuses everybody.
    let (Ok(mut sequencer), Ok(failed)) = (sequencer.into_inner(), failed.into_inner()) else { return };
    if let Some(failed) = failed {
        sequencer.break_off_at(*failed);
    }
    sequencer.run();
}

impl Turns {
    fn take(&self) {
        let _ended = Ended(&self.ended);
        while self.turn().is_some() {}
    }

    fn is_over(&self) -> bool {
        self.ended.load(Ordering::Acquire) || self.log.lanes.is_stopping()
    }

    /// Holds the sequencer until there is a batch that this thread writes while the other one builds. None if the log is
    /// stopping, or the other thread has ended.
    fn turn(&self) -> Option<()> {
        let mut sequencer = self.sequencer.lock().ok()?;
        sequencer.gather();
        while !self.is_over() {
            if sequencer.is_troubled() || lock(&self.failed).is_some() {
                self.mend(&mut sequencer)?;
                continue;
            }
            match sequencer.next() {
                Next::Write(open) if sequencer.gathering.is_crowd() => return self.write_behind(sequencer, open),
                Next::Write(open) => {
                    self.write_alone(&mut sequencer, open)?;
                    sequencer.gather();
                }
                Next::Turn(turn) => sequencer.pause(turn),
            }
        }
        None
    }

    /// Writes the batch, with all that has come meanwhile, while the other thread goes on with the sequencer.
    fn write_behind(&self, mut sequencer: MutexGuard<'_, Sequencer>, open: Box<Open>) -> Option<()> {
        let writing = self.writing.lock().ok()?;
        let Some(built) = self.close(&mut sequencer, *open) else { return Some(()) };
        drop(sequencer);
        let written = write::write(&self.log, built);
        self.log.lanes.answered();
        match written {
            Ok(batch) => {
                drop(writing);
                write::wake(&self.log, batch);
            }
            Err(failed) => {
                *lock(&self.failed) = Some(failed);
                self.log.stop_serving();
            }
        }
        Some(())
    }

    /// Writes the batch and keeps the sequencer.
    fn write_alone(&self, sequencer: &mut Sequencer, open: Box<Open>) -> Option<()> {
        let _writing = self.writing.lock().ok()?;
        if let Some(built) = self.close(sequencer, *open) {
            sequencer.write(built);
        }
        Some(())
    }

    /// Completes the batch with all that has come meanwhile, while nothing is written. None if the write below it failed:
    /// both are taken apart.
    fn close(&self, sequencer: &mut Sequencer, mut open: Open) -> Option<Built> {
        if let Some(failed) = lock(&self.failed).take() {
            sequencer.break_off_below(*failed, open);
            return None;
        }
        sequencer.extend(&mut open.batch);
        Some(sequencer.close(open))
    }

    /// One turn that puts right what went wrong, while nothing is written.
    fn mend(&self, sequencer: &mut Sequencer) -> Option<()> {
        let _writing = self.writing.lock().ok()?;
        if let Some(failed) = lock(&self.failed).take() {
            sequencer.break_off_at(*failed);
        }
        match sequencer.step() {
            Turn::Worked => {}
            turn => sequencer.pause(turn),
        }
        Some(())
    }
}
