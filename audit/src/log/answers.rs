//! Answers on their way from the sequencer to those who wait.
//!
//! To wake a thread from another one costs a system call or two. So of all who wait on one thread only the first is
//! woken from the sequencer's, with the answers of the others, which it passes on when it runs; if it has left by then,
//! they are passed on when it is dropped. Each answer is handed over exactly once or comes back as not heard.
//!
//! INVARIANT I3: a record that says `ok` and whose caller did not hear of it is named to the lanes ([`Lanes::unheard`]),
//! and an `outcome` record says that nothing was released on it.
//!
//! [`Lanes::unheard`]: super::queue::Lanes::unheard

use std::sync::Arc;
use std::thread::ThreadId;

use tokio::sync::oneshot;

use super::queue::Answer;
use super::shared::Shared;
use crate::event::Locator;

/// Where one answer goes.
pub(super) struct Waiter {
    sender: oneshot::Sender<Delivery>,
    thread: ThreadId,
}

/// Where one answer is waited for.
pub(super) struct Waiting(oneshot::Receiver<Delivery>);

struct Delivery {
    answer: Answer,
    /// Passed on as soon as this is received, or dropped.
    _others: Others,
}

/// A committed record whose caller waits to hear of it.
pub(super) struct Heard {
    pub(super) waiter: Waiter,
    pub(super) locator: Locator,
    /// Whether an `outcome` has to say so if the caller has left.
    pub(super) releases: bool,
}

/// Both ends, for a caller on this thread.
pub(super) fn channel() -> (Waiter, Waiting) {
    let (sender, receiver) = oneshot::channel();
    (Waiter { sender, thread: std::thread::current().id() }, Waiting(receiver))
}

impl Waiter {
    /// Answers at once. A caller that has left needs no answer.
    pub(super) fn answer(self, answer: Answer) {
        let _left = self.sender.send(Delivery { answer, _others: Others::none() });
    }
}

impl Waiting {
    /// The answer; `None` if the sequencer ended without one.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        (&mut self.0).await.ok().map(|delivery| delivery.answer)
    }

    /// The answer, if it has come.
    #[cfg(test)]
    pub(super) fn answered(&mut self) -> Option<Answer> {
        self.0.try_recv().ok().map(|delivery| delivery.answer)
    }

    /// Waits no longer: the answer if it has come by now. If not, the sequencer will find that nobody waits.
    pub(super) fn leave(mut self) -> Option<Answer> {
        self.0.close();
        self.0.try_recv().ok().map(|delivery| delivery.answer)
    }
}

/// Tells all who wait that their records are durable. While the log stops each is told from here, so that whoever was
/// not heard is known before the last record is written.
pub(super) fn deliver(log: &Arc<Shared>, heard: impl DoubleEndedIterator<Item = Heard>, stopping: bool) {
    let mut threads: Vec<(ThreadId, Vec<Heard>)> = Vec::new();
    // From the last: each group is woken from its end, so whoever came first is told first.
    for one in heard.rev() {
        let thread = one.waiter.thread;
        match threads.iter_mut().find(|(known, _)| *known == thread && !stopping) {
            Some((_, same)) => same.push(one),
            None => threads.push((thread, vec![one])),
        }
    }
    for (_, heard) in threads {
        Others { log: Some(Arc::clone(log)), heard }.pass_on();
    }
}

/// Answers that the one who holds them passes on.
struct Others {
    log: Option<Arc<Shared>>,
    heard: Vec<Heard>,
}

impl Others {
    const fn none() -> Self {
        Self { log: None, heard: Vec::new() }
    }

    /// Wakes the last of them with the answers of the rest; if it has left, the next one.
    fn pass_on(mut self) {
        let log = self.log.take();
        while let Some(Heard { waiter, locator, releases }) = self.heard.pop() {
            let others = Self { log: log.clone(), heard: std::mem::take(&mut self.heard) };
            match waiter.sender.send(Delivery { answer: Answer::Committed(locator), _others: others }) {
                Ok(()) => return,
                Err(Delivery { _others: mut others, .. }) => {
                    self.heard = std::mem::take(&mut others.heard);
                    not_heard(log.as_deref(), locator, releases);
                }
            }
        }
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        for Heard { waiter, locator, releases } in self.heard.drain(..) {
            let delivery = Delivery { answer: Answer::Committed(locator), _others: Self::none() };
            if waiter.sender.send(delivery).is_err() {
                not_heard(self.log.as_deref(), locator, releases);
            }
        }
    }
}

fn not_heard(log: Option<&Shared>, locator: Locator, releases: bool) {
    if let Some(log) = log.filter(|_| releases) {
        log.lanes.unheard(locator.index);
    }
}
