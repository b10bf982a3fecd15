//! Connections rest when they come to nothing.
//!
//! The HTTP library reads up to 128 KiB ahead of the request that it answers, and while it holds so much it asks to be
//! polled again at once, whether or not anything can go on (actix-http 3.20, `read_available`): a client that sends more
//! requests than that and takes no answer would cost all the time that a thread has. Here a connection that has asked for
//! itself [`TURNS_MAX`] times in a row, while neither its socket nor anything that it waits for has called, is polled only
//! every [`REST`] until something does.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;

/// Turns in a row that a connection may have by its own wish. One that reads a body which is there has a turn for each 32 KiB of it.
const TURNS_MAX: u32 = 64;
/// How long it rests then, unless it is called.
const REST: Duration = Duration::from_millis(5);

thread_local! {
    /// The connection that this thread is polling, by its [`Calls`].
    static POLLED: Cell<*const Calls> = const { Cell::new(ptr::null()) };
}

/// Who has asked for a connection to be polled.
#[derive(Default)]
struct Calls {
    task: AtomicWaker,
    /// The connection itself, while it was polled.
    itself: AtomicBool,
    /// Anybody else: its socket, a timer, another thread.
    others: AtomicBool,
}

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if ptr::eq(POLLED.get(), Arc::as_ptr(self)) {
            self.itself.store(true, Ordering::Release);
        } else {
            self.others.store(true, Ordering::Release);
            self.task.wake();
        }
    }
}

/// Marks what this thread polls until it is dropped, even by a panic: another connection may come to lie at the same address.
struct Polling;

impl Polling {
    fn of(calls: &Arc<Calls>) -> Self {
        POLLED.set(Arc::as_ptr(calls));
        Self
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        POLLED.set(ptr::null());
    }
}

/// `connection`, which rests when it comes to nothing.
pub(super) async fn resting<F: Future>(connection: F) -> F::Output {
    with_rests(connection, || tokio::time::sleep(REST)).await
}

/// The same by rests that end as the caller says.
async fn with_rests<F: Future, R: Future>(connection: F, rest: impl Fn() -> R) -> F::Output {
    let mut connection = pin!(connection);
    let calls = Arc::new(Calls::default());
    let waker = Waker::from(Arc::clone(&calls));
    let mut turns = 0_u32;
    loop {
        let ended = poll_fn(|task| {
            calls.task.register(task.waker());
            if calls.others.swap(false, Ordering::AcqRel) {
                turns = 0;
            }
            let polling = Polling::of(&calls);
            let polled = connection.as_mut().poll(&mut Context::from_waker(&waker));
            drop(polling);
            match polled {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending if !calls.itself.swap(false, Ordering::AcqRel) => Poll::Pending,
                Poll::Pending if turns >= TURNS_MAX => Poll::Ready(None),
                Poll::Pending => {
                    turns = turns.saturating_add(1);
                    task.waker().wake_by_ref();
                    Poll::Pending
                }
            }
        });
        if let Some(output) = ended.await {
            return output;
        }
        let called = poll_fn(|task| {
            calls.task.register(task.waker());
            if calls.others.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::select! {
            () = called => {}
            _ = rest() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::pin::Pin;
    use std::task::Poll::{Pending, Ready};

    /// A connection that asks for itself for ever.
    struct Restless {
        turns: Cell<u32>,
        waker: Cell<Option<Waker>>,
    }

    impl Restless {
        fn new() -> Self {
            Self { turns: Cell::new(0), waker: Cell::new(None) }
        }

        async fn run(&self) {
            poll_fn(|task| {
                self.turns.set(self.turns.get() + 1);
                self.waker.set(Some(task.waker().clone()));
                task.waker().wake_by_ref();
                Pending
            })
            .await
        }
    }

    fn poll<T>(future: &mut Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Polls far more often than a connection is polled by its own wish.
    fn poll_on(future: &mut Pin<&mut impl Future<Output = ()>>) {
        for _ in 0..10 * TURNS_MAX {
            assert!(poll(future).is_pending());
        }
    }

    #[test]
    fn who_asks_for_itself_in_vain_rests_until_it_is_called() {
        let restless = Restless::new();
        let mut connection = pin!(with_rests(restless.run(), pending::<()>));
        poll_on(&mut connection);
        assert_eq!(restless.turns.get(), TURNS_MAX + 1);
        poll_on(&mut connection);
        assert_eq!(restless.turns.get(), TURNS_MAX + 1, "it rests");
        restless.waker.take().unwrap().wake();
        poll_on(&mut connection);
        assert_eq!(restless.turns.get(), 2 * (TURNS_MAX + 1), "a call gives all turns again");
    }

    #[test]
    fn a_rest_that_ends_gives_one_turn() {
        let (restless, rests) = (Restless::new(), Cell::new(0));
        let rest = || {
            rests.set(rests.get() + 1);
            let mut is_over = false;
            poll_fn(move |_| if std::mem::replace(&mut is_over, true) { Ready(()) } else { Pending })
        };
        let mut connection = pin!(with_rests(restless.run(), rest));
        poll_on(&mut connection);
        assert!(rests.get() > 100);
        assert_eq!(restless.turns.get(), TURNS_MAX + rests.get());
    }

    #[test]
    fn a_call_of_another_thread_during_a_turn_is_not_its_own() {
        let turns = Cell::new(0);
        let mut connection = pin!(with_rests(
            poll_fn(|task| {
                turns.set(turns.get() + 1);
                let waker = task.waker().clone();
                std::thread::spawn(move || waker.wake()).join().unwrap();
                if turns.get() < 3 * TURNS_MAX { Pending } else { Ready(()) }
            }),
            pending::<()>
        ));
        while poll(&mut connection).is_pending() {}
        assert_eq!(turns.get(), 3 * TURNS_MAX, "it never rested");
    }

    #[test]
    fn what_panicked_in_its_turn_takes_no_call_of_another() {
        let mut broken = Box::pin(with_rests(async { panic!("in its turn") }, pending::<()>));
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _never: Poll<()> = broken.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }));
        assert!(caught.is_err());
        assert!(POLLED.get().is_null());
    }
}
