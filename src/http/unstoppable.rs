//! A future that its owner cannot cancel: dropped half-way, it goes on in a task of its own.
//!
//! INVARIANT I3: a connection's future is dropped when its client leaves. A call must then still come to its record,
//! and a task for each call from the start would cost every call two switches for the few that need one.
//! If the process dies, it is gone like any other call under way.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::runtime::Handle;

/// See the module.
pub(super) struct Unstoppable<T: Send + 'static>(Option<Pin<Box<dyn Future<Output = T> + Send>>>);

impl<T: Send + 'static> Unstoppable<T> {
    pub(super) fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Some(Box::pin(future)))
    }
}

impl<T: Send + 'static> Future for Unstoppable<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(future) = self.0.as_mut() else { return Poll::Pending };
        let polled = future.as_mut().poll(context);
        if polled.is_ready() {
            self.0 = None;
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Unstoppable<T> {
    fn drop(&mut self) {
        // Without a runtime the process is ending: nothing is under way that could still be answered.
        if let (Some(future), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(future);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn what_is_dropped_half_way_is_carried_out() {
        let (go, wait) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let mut half = Box::pin(Unstoppable::new(async move {
            wait.await.unwrap();
            tell.send(7).unwrap();
        }));
        assert!(half.as_mut().now_or_never().is_none(), "it waits");
        drop(half);
        go.send(()).unwrap();
        assert_eq!(told.await, Ok(7));
    }

    #[tokio::test]
    async fn what_is_done_is_not_done_again() {
        let (tell, told) = oneshot::channel();
        assert_eq!(Unstoppable::new(async move { tell.send(7).map(|()| 8) }).await, Ok(8));
        assert_eq!(told.await, Ok(7));
    }
}
