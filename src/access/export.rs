//! A file on its way out, an export or a backup: blocks are read by a thread of their own, a few ahead of the client.
//!
//! A client that takes nothing for a minute is given up, so that nobody holds the thread, or a backup's copy, for ever. What
//! it has got then breaks off, which both forms show.

use bytes::Bytes;
use futures_core::Stream;
use std::error::Error;
use std::io;
use std::pin::Pin;
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

type Block = io::Result<Bytes>;

/// The blocks of a file.
pub struct ExportStream(mpsc::Receiver<Block>);

impl ExportStream {
    /// Streams `blocks`; reading runs a few blocks ahead of the client and stops when the stream is dropped, or when the client
    /// takes nothing any more.
    pub(super) fn new<E>(blocks: impl Iterator<Item = Result<Vec<u8>, E>> + Send + 'static) -> Self
    where
        E: Error + Send + Sync + 'static,
    {
        let (sender, receiver) = mpsc::channel(BLOCKS_AHEAD);
        tokio::task::spawn_blocking(move || {
            for block in blocks {
                if !hand_over(&sender, block.map(Bytes::from).map_err(io::Error::other)) {
                    return;
                }
            }
            // The end is said, so that a file that broke off does not look like one that ended.
            hand_over(&sender, Ok(Bytes::new()));
        });
        Self(receiver)
    }
}

/// Whether the client took the block.
fn hand_over(sender: &Sender<Block>, mut block: Block) -> bool {
    for _ in 0..LOOKS_MAX {
        match sender.try_send(block) {
            Ok(()) => return true,
            Err(TrySendError::Closed(_)) => return false,
            Err(TrySendError::Full(back)) => block = back,
        }
        thread::park_timeout(LOOK_EVERY);
    }
    tracing::warn!("a client takes nothing of the file that it asked for; it is given up");
    false
}

impl Stream for ExportStream {
    type Item = Block;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Block>> {
        let broken = || Some(Err(io::Error::from(io::ErrorKind::TimedOut)));
        self.0.poll_recv(context).map(|block| match block {
            Some(Ok(bytes)) if bytes.is_empty() => None,
            Some(block) => Some(block),
            None => broken(),
        })
    }
}
