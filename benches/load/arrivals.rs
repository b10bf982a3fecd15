//! When requests are due, and connections that send them then: by a schedule that does not wait for answers (an open loop),
//! or one behind the other, to find out how many there can be.

use crate::client::{Asking, Client};
use crate::figures::{Latencies, Tally};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// When the next request is due.
pub(crate) enum Arrivals {
    /// As soon as a connection is free.
    AtOnce,
    /// So many a second, at moments that depend on nothing (a Poisson process). Who is late stays late: the time until the
    /// request can be sent belongs to its latency.
    Scheduled(f64),
}

/// What to send, in which proportion.
pub(crate) struct Mix {
    /// Weight and requests of each kind; of a kind any request is as likely as another.
    kinds: Vec<(u32, Vec<Asking>)>,
}

/// What came of it.
#[derive(Default)]
pub(crate) struct Driven {
    /// Of the requests that were done.
    pub(crate) latencies: Latencies,
    pub(crate) tally: Tally,
    /// Answers a second.
    pub(crate) rate: f64,
}

impl Driven {
    /// Prints what came of it; fails if something came that nobody asked for.
    pub(crate) fn settled(self, title: &str) -> Self {
        self.tally.settle(title);
        println!("{title}: {:.0} answers a second, {}", self.rate, self.latencies);
        self
    }
}

impl Mix {
    pub(crate) fn new(kinds: Vec<(u32, Vec<Asking>)>) -> Self {
        Self { kinds }
    }

    fn pick(&self) -> &Asking {
        let mut left = rand::random_range(0..self.kinds.iter().map(|(weight, _)| weight).sum());
        for (weight, askings) in &self.kinds {
            if left < *weight {
                return &askings[rand::random_range(0..askings.len())];
            }
            left -= weight;
        }
        panic!("the weights are counted")
    }
}

/// The moments of one run, handed out one after the other.
struct Moments {
    arrivals: Arrivals,
    next: Mutex<Instant>,
    end: Instant,
}

impl Moments {
    fn take(&self) -> Option<Instant> {
        let due = match self.arrivals {
            Arrivals::AtOnce => Instant::now(),
            Arrivals::Scheduled(rate) => {
                let mut next = self.next.lock().unwrap();
                let due = *next;
                *next += Duration::from_secs_f64(-(1.0 - rand::random::<f64>()).ln() / rate);
                due
            }
        };
        (due < self.end).then_some(due)
    }
}

/// Sends `mix` to `server` over so many connections for `time`.
pub(crate) fn drive(server: SocketAddr, mix: &Mix, arrivals: Arrivals, connections: usize, time: Duration) -> Driven {
    let begin = Instant::now();
    let moments = Moments { arrivals, next: Mutex::new(begin), end: begin + time };
    let mut all = Driven::default();
    thread::scope(|scope| {
        let one = || connection(server, mix, &moments);
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(one)).collect();
        for thread in threads {
            let driven = thread.join().expect("a connection");
            all.latencies.append(driven.latencies);
            all.tally.append(driven.tally);
            all.rate += driven.rate;
        }
    });
    all.rate /= begin.elapsed().as_secs_f64();
    all
}

fn connection(server: SocketAddr, mix: &Mix, moments: &Moments) -> Driven {
    let mut client = Client::new(server);
    let mut driven = Driven::default();
    while let Some(due) = moments.take() {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let asking = mix.pick();
        let done = client.insist(asking, &mut driven.tally);
        driven.rate += 1.0;
        if done && asking.expected == 200 {
            driven.latencies.push(due.elapsed());
        }
    }
    driven
}
