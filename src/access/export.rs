//! An export on its way out: blocks are read by a thread of their own, a few ahead of the client.

use bytes::Bytes;
use futures_core::Stream;
use keyward_audit::log::ExportError;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Blocks read ahead of the client.
const BLOCKS_AHEAD: usize = 4;

/// The blocks of an export file.
pub struct ExportStream(mpsc::Receiver<Result<Bytes, ExportError>>);

impl ExportStream {
    /// Streams `blocks`; reading runs a few blocks ahead of the client and stops when the stream is dropped.
    pub(super) fn new(blocks: impl Iterator<Item = Result<Vec<u8>, ExportError>> + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::channel(BLOCKS_AHEAD);
        tokio::task::spawn_blocking(move || {
            for block in blocks {
                if sender.blocking_send(block.map(Bytes::from)).is_err() {
                    return;
                }
            }
        });
        Self(receiver)
    }
}

impl Stream for ExportStream {
    type Item = Result<Bytes, ExportError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}
