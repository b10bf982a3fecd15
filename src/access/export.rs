//! A file on its way out, an export or a backup: blocks are read by a thread of their own, a few ahead of the client, which has
//! what processor time requests leave.
//!
//! A client that takes nothing for a minute is given up, so that nobody holds the thread, or a backup's copy, for ever; and one that
//! would not be allowed any more ([`Standing`]). What it has got then breaks off, which both forms show.

use super::standing::Standing;
use bytes::Bytes;
use futures_core::Stream;
use rustix::process::setpriority_process;
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Sender};

/// Blocks read ahead of the client.
const BLOCKS_AHEAD: usize = 4;
/// How often a full channel is looked at again, and how many times.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const LOOKS_MAX: u32 = 12_000;
/// The nice value of whoever gives way to everybody. Linux keeps one for each thread.
const LAST: i32 = 19;

type Block = io::Result<Bytes>;

/// A file that is not on its way yet. Whoever drops it gives back at once what it holds, a backup's copy above all: a call that is
/// decided again makes another one.
pub struct Blocks {
    blocks: Box<dyn Iterator<Item = Block> + Send>,
    may_go_on: Check,
}

/// Asked before each block, and while one waits for its client.
type Check = Box<dyn FnMut() -> bool + Send>;

impl Blocks {
    pub(super) fn new<E>(blocks: impl Iterator<Item = Result<Vec<u8>, E>> + Send + 'static) -> Self
    where
        E: Error + Send + Sync + 'static,
    {
        let blocks = blocks.map(|block| block.map(Bytes::from).map_err(io::Error::other));
        Self { blocks: Box::new(blocks), may_go_on: Box::new(|| true) }
    }

    /// It goes out as long as that stands.
    pub(super) fn watch(&mut self, mut standing: Standing) {
        self.may_go_on = Box::new(move || standing.holds());
    }

    /// Sends it on its way.
    pub(super) fn stream(self) -> ExportStream {
        ExportStream::new(self)
    }
}

/// The blocks of a file.
pub struct ExportStream {
    blocks: mpsc::Receiver<Block>,
    /// Whether it breaks off here, whatever was read ahead.
    is_stopped: Arc<AtomicBool>,
}

impl ExportStream {
    /// Streams `blocks`; reading runs a few blocks ahead of the client and stops when the stream is dropped, or when the client
    /// takes nothing any more.
    fn new(file: Blocks) -> Self {
        let (sender, blocks) = mpsc::channel(BLOCKS_AHEAD);
        let is_stopped = Arc::new(AtomicBool::new(false));
        let taker = Taker { sender, may_go_on: file.may_go_on, is_stopped: Arc::clone(&is_stopped) };
        // A thread that gave way once does so until it ends, so it is nobody else's. Whoever stops the gateway waits for it: it holds
        // the gateway as long as it reads.
        tokio::task::spawn_blocking(move || {
            let reader = thread::Builder::new().name("export".to_owned()).spawn(move || read(file.blocks, taker));
            match reader.map(thread::JoinHandle::join) {
                Ok(Ok(())) => {}
                Ok(Err(_)) => tracing::error!("reading a file that was asked for panicked"),
                Err(error) => tracing::error!(%error, "no thread can be had to read a file that was asked for"),
            }
        });
        Self { blocks, is_stopped }
    }
}

fn read(blocks: Box<dyn Iterator<Item = Block> + Send>, mut taker: Taker) {
    if let Err(error) = setpriority_process(None, LAST) {
        tracing::debug!(%error, "a file that was asked for is read at the priority of requests");
    }
    for block in blocks {
        if !taker.hand_over(block) {
            return;
        }
    }
    // The end is said, so that a file that broke off does not look like one that ended.
    if taker.hand_over(Ok(Bytes::new())) {
        taker.see_off();
    }
}

/// The client, as the thread that reads sees it.
struct Taker {
    sender: Sender<Block>,
    may_go_on: Check,
    is_stopped: Arc<AtomicBool>,
}

impl Taker {
    /// Whether the client took the block, and may have the next one.
    fn hand_over(&mut self, mut block: Block) -> bool {
        for _ in 0..LOOKS_MAX {
            if !self.may_have_more() {
                return false;
            }
            match self.sender.try_send(block) {
                Ok(()) => return true,
                Err(TrySendError::Closed(_)) => return false,
                Err(TrySendError::Full(back)) => block = back,
            }
            thread::park_timeout(LOOK_EVERY);
        }
        self.give_up();
        false
    }

    /// Goes on looking while the last blocks wait for the client; a short file is nothing else. What the connection has taken is
    /// sent, and the file then ends or breaks off.
    fn see_off(&mut self) {
        for _ in 0..LOOKS_MAX {
            if self.sender.is_closed() || !self.may_have_more() {
                return;
            }
            thread::park_timeout(LOOK_EVERY);
        }
        self.give_up();
    }

    fn may_have_more(&mut self) -> bool {
        let may = (self.may_go_on)();
        if !may {
            tracing::warn!("a client may not have the file any more that it asked for; it breaks off");
            self.is_stopped.store(true, Ordering::Release);
        }
        may
    }

    fn give_up(&self) {
        tracing::warn!("a client takes nothing of the file that it asked for; it is given up");
        self.is_stopped.store(true, Ordering::Release);
    }
}

impl Stream for ExportStream {
    type Item = Block;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Block>> {
        let broken = || Some(Err(io::Error::from(io::ErrorKind::TimedOut)));
        if self.is_stopped.load(Ordering::Acquire) {
            return Poll::Ready(broken());
        }
        self.blocks.poll_recv(context).map(|block| match block {
            Some(Ok(bytes)) if bytes.is_empty() => None,
            Some(block) => Some(block),
            None => broken(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    /// Counts how often it was asked for a block, and those that live.
    struct Held {
        asked: Arc<AtomicU32>,
        _lives: Arc<()>,
    }

    impl Iterator for Held {
        type Item = io::Result<Vec<u8>>;

        fn next(&mut self) -> Option<Self::Item> {
            (self.asked.fetch_add(1, Ordering::SeqCst) == 0).then(|| Ok(b"block".to_vec()))
        }
    }

    #[tokio::test]
    async fn a_file_that_nobody_asked_for_in_the_end_is_not_read_and_given_back_before_another_one_is_made() {
        let (asked, lives) = (Arc::new(AtomicU32::new(0)), Arc::new(()));
        let blocks = || Blocks::new(Held { asked: Arc::clone(&asked), _lives: Arc::clone(&lives) });
        drop(blocks());
        assert_eq!((asked.load(Ordering::SeqCst), Arc::strong_count(&lives)), (0, 1));
        let mut stream = blocks().stream();
        let first = std::future::poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await;
        assert_eq!(first.unwrap().unwrap(), "block");
        let end = std::future::poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await;
        assert!(end.is_none());
    }

    #[tokio::test]
    async fn attack_e04_a_file_breaks_off_whose_caller_may_not_have_it_any_more_whatever_was_read_ahead() {
        let (asked, may) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(true)));
        let next = Arc::clone(&asked);
        let endless = std::iter::from_fn(move || {
            next.fetch_add(1, Ordering::SeqCst);
            Some(io::Result::Ok(b"block".to_vec()))
        });
        let mut blocks = Blocks::new(endless);
        let still = Arc::clone(&may);
        blocks.may_go_on = Box::new(move || still.load(Ordering::SeqCst));
        let mut stream = blocks.stream();
        let first = std::future::poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await;
        assert_eq!(first.unwrap().unwrap(), "block");
        may.store(false, Ordering::SeqCst);
        while !stream.is_stopped.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        let read = asked.load(Ordering::SeqCst);
        let end = std::future::poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await;
        assert!(end.unwrap().is_err(), "what was read ahead is not sent, and the file does not look whole");
        assert_eq!(asked.load(Ordering::SeqCst), read, "nothing more is read");
    }

    #[tokio::test]
    async fn attack_e04_a_short_file_that_was_read_ahead_as_a_whole_breaks_off_too() {
        let (may, ended) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let (still, at_end) = (Arc::clone(&may), Arc::clone(&ended));
        let mut left = 3;
        let mut blocks = Blocks::new(std::iter::from_fn(move || {
            at_end.store(left == 0, Ordering::SeqCst);
            left -= 1;
            (left >= 0).then(|| io::Result::Ok(b"block".to_vec()))
        }));
        blocks.may_go_on = Box::new(move || still.load(Ordering::SeqCst));
        let mut stream = blocks.stream();
        while !ended.load(Ordering::SeqCst) || stream.blocks.len() < BLOCKS_AHEAD {
            tokio::task::yield_now().await;
        }
        may.store(false, Ordering::SeqCst);
        while !stream.is_stopped.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        let first = std::future::poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await;
        assert!(first.unwrap().is_err(), "nothing is sent any more");
    }
}
