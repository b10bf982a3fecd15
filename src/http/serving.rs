//! Connections end when their client asks for nothing.
//!
//! The HTTP library bounds the head of a connection's first request in time and of no later one, and a byte of a later one ends
//! what bounds the pause before it (actix-http 3.20, `h1/dispatcher.rs`): whoever sends a whole request and then one byte would
//! hold the connection for ever. Here a connection is dropped that has not been served for a while, whatever came over it. A
//! request is being served until its answer's last byte was handed to the connection. One timer for each connection looks at
//! that: a request moves no timer.

use actix_http::Response;
use actix_http::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use keyward_audit::Clock;
use std::cell::Cell;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long a connection may ask for nothing, and by which clock.
#[derive(Clone)]
pub(super) struct Idle {
    pub(super) most: Duration,
    pub(super) clock: Arc<dyn Clock>,
}

/// What a connection is doing.
struct Activity {
    clock: Arc<dyn Clock>,
    /// Requests that are being served.
    under_way: Cell<usize>,
    /// When the last one was answered, or the connection came, in microseconds of the clock that only goes forward.
    since_us: Cell<u64>,
}

impl Activity {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Self { under_way: Cell::new(0), since_us: Cell::new(clock.monotonic_us()), clock }
    }

    /// How long it may go on at least; `None`: not at all.
    fn left(&self, idle_max: Duration) -> Option<Duration> {
        if self.under_way.get() > 0 {
            return Some(idle_max);
        }
        let idle = Duration::from_micros(self.clock.monotonic_us().saturating_sub(self.since_us.get()));
        let left = idle_max.saturating_sub(idle);
        (!left.is_zero()).then_some(left)
    }
}

thread_local! {
    /// What the connection does that this thread is polling.
    static POLLED: Cell<Option<Rc<Activity>>> = const { Cell::new(None) };
}

/// Marks what this thread polls until it is dropped, even by a panic.
struct Polling;

impl Polling {
    fn of(activity: &Rc<Activity>) -> Self {
        POLLED.set(Some(Rc::clone(activity)));
        Self
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        POLLED.set(None);
    }
}

/// `connection`, which ends when none of its requests has been served for too long.
pub(super) async fn while_served<E>(connection: impl Future<Output = Result<(), E>>, idle: Idle) -> Result<(), E> {
    let mut connection = pin!(connection);
    let activity = Rc::new(Activity::new(idle.clock));
    let mut timer = pin!(tokio::time::sleep(idle.most));
    poll_fn(|task| {
        let polling = Polling::of(&activity);
        let polled = connection.as_mut().poll(task);
        drop(polling);
        while polled.is_pending() && timer.as_mut().poll(task).is_ready() {
            let Some(left) = activity.left(idle.most) else { return Poll::Ready(Ok(())) };
            timer.set(tokio::time::sleep(left));
        }
        polled
    })
    .await
}

/// A request that is being served, until this is dropped.
struct Serving(Option<Rc<Activity>>);

impl Serving {
    /// Of the connection that this thread is polling.
    fn begin() -> Self {
        let activity = POLLED.take();
        POLLED.set(activity.clone());
        if let Some(activity) = &activity {
            activity.under_way.set(activity.under_way.get().saturating_add(1));
        }
        Self(activity)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(activity) = &self.0 {
            activity.under_way.set(activity.under_way.get().saturating_sub(1));
            activity.since_us.set(activity.clock.monotonic_us());
        }
    }
}

/// The answer that `serve` comes to, during which the connection counts as served. To be called, and not only awaited, while the
/// connection is polled.
pub(super) fn answered<A: Into<Response<BoxBody>>, E>(
    serve: impl Future<Output = Result<A, E>>,
) -> impl Future<Output = Result<Response<Answering>, E>> {
    let serving = Serving::begin();
    async move { Ok(serve.await?.into().map_body(|_, body| Answering { body, _serving: serving })) }
}

/// The body of an answer.
pub(super) struct Answering {
    body: BoxBody,
    _serving: Serving,
}

impl MessageBody for Answering {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use std::convert::Infallible;
    use std::future::{pending, ready};
    use std::sync::atomic::{AtomicU64, Ordering};

    const IDLE: Duration = Duration::from_secs(80);

    /// Seconds since the connection came.
    #[derive(Debug, Default)]
    struct Seconds(AtomicU64);

    impl Clock for Seconds {
        fn wall_us(&self) -> u64 {
            self.monotonic_us()
        }

        fn monotonic_us(&self) -> u64 {
            self.0.load(Ordering::Relaxed) * 1_000_000
        }
    }

    /// A connection that is polled once, for which `ask` is called then.
    fn polled<T>(activity: &Rc<Activity>, ask: impl FnOnce() -> T) -> T {
        let _polling = Polling::of(activity);
        ask()
    }

    #[test]
    fn attack_f04_a_connection_is_bounded_from_the_end_of_its_last_answer_and_never_while_it_is_served() {
        let clock = Arc::new(Seconds::default());
        let activity = Rc::new(Activity::new(Arc::clone(&clock) as Arc<dyn Clock>));
        let left = |now_s: u64| {
            clock.0.store(now_s, Ordering::Relaxed);
            activity.left(IDLE)
        };
        let second = Some(Duration::from_secs(1));
        assert_eq!((left(0), left(79), left(80)), (Some(IDLE), second, None), "it asks for nothing");
        let serve = ready(Ok::<_, Infallible>(Response::ok().set_body(BoxBody::new("a body"))));
        let answer = polled(&activity, || answered(serve));
        assert_eq!(left(1_000), Some(IDLE), "it is served");
        let answer = answer.now_or_never().unwrap().unwrap();
        assert_eq!((answer.body().size(), left(1_000)), (BodySize::Sized(6), Some(IDLE)), "its answer is on its way");
        let another = polled(&activity, || answered(pending::<Result<Response<BoxBody>, Infallible>>()));
        drop(answer);
        assert_eq!(left(2_000), Some(IDLE), "another one is served");
        drop(another);
        assert_eq!((left(2_079), left(2_080)), (second, None), "the pause begins with the end of the last answer");
    }

    #[test]
    fn what_is_served_on_no_connection_is_nobodys() {
        let activity = Rc::new(Activity::new(Arc::new(Seconds::default())));
        polled(&activity, || drop(Serving::begin()));
        assert!(Serving::begin().0.is_none());
        assert_eq!(activity.under_way.get(), 0);
    }
}
