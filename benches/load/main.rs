//! The gateway under load, as its clients and operators see it: the real program in a process and an installation of its
//! own, and clients in this one, over the loopback.
//!
//! | run | what it does | fails if |
//! |---|---|---|
//! | `soak [SECONDS [OPERATION...]]` | measures the capacity, then reads at 70 % of it by a schedule, with and without reloads, rotations, re-wrappings and backups (`reload`, `value`, `key`, `backup`) | an answer is not the one that was asked for, memory grows, the log does not verify |
//! | `flood [SECONDS]` | requests without a token at full speed, from many networks | a request is in no record and no summary, or in two |
//! | `idle [CONNECTIONS]` | idle connections, slow readers, slow writers and everything oversized | an answer is not the one that was asked for |
//! | `many [SECRETS]` | creates secrets of three versions, and compares with a gateway that has 1,000 | an answer is not the one that was asked for |
//!
//! `cargo bench --bench load -- RUN [NUMBER]`; `ci` runs each of them for a short time; without a run it says this.
//! Latencies are counted from the moment at which a request was due by the schedule, not from when it could be sent
//! (no coordinated omission). Times are told and never judged: the machine may be busy. The load takes its processor
//! time from the same machine.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a run that cannot go on has failed, and its figures are its output"
)]

mod arrivals;
mod client;
mod figures;
mod flood;
#[path = "../../tests/it/gateway.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod gateway;
mod idle;
#[path = "../../tests/it/installation.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod installation;
mod many;
mod operations;
mod scene;
mod soak;
#[path = "../../tests/it/token.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod token;
#[path = "../../tests/it/wire.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod wire;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::Duration;

const USAGE: &str = "load: `cargo bench --bench load -- RUN [NUMBER]`; runs: ci, soak SECONDS, flood SECONDS, \
                     idle CONNECTIONS, many SECRETS";

fn main() {
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).expect("as many open files as may be");
    let given: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let number = |default: usize| given.get(1).map_or(default, |text| text.parse().expect("a whole number"));
    let seconds = |default: usize| Duration::from_secs(number(default) as u64);
    match given.first().map(String::as_str) {
        None => println!("{USAGE}"),
        Some("soak") => soak::run(seconds(120), given.get(2..).unwrap_or_default()),
        Some("flood") => flood::run(seconds(60)),
        Some("idle") => idle::run(number(10_000)),
        Some("many") => many::run(number(100_000)),
        Some("ci") => {
            soak::run(Duration::from_secs(100), &[]);
            flood::run(Duration::from_secs(10));
            idle::run(300);
            many::run(1_000);
        }
        Some(other) => panic!("`{other}` is no run. {USAGE}"),
    }
}
