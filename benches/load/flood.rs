//! A flood of requests without a token at full speed, from many networks: what it does to known callers and to the disk,
//! and whether each of its requests stands in exactly one record or summary.

use crate::arrivals::{Arrivals, Mix, drive};
use crate::client::{Client, request};
use crate::figures::{folder_bytes, mib, wal_bytes};
use crate::gateway::TestGateway;
use crate::scene::Scene;
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Connections of the flood, each from a network of its own: more than single records are to be had in a second.
const FLOODERS: u8 = 64;
const SECRETS: usize = 100;
/// Known callers.
const CONNECTIONS: usize = 16;
/// What they ask for a second.
const RATE: f64 = 200.0;

/// What was sent and answered, and what was sent and not.
#[derive(Clone, Copy, Debug, Default)]
struct Flooded {
    answered: u64,
    lost: u64,
    seconds: f64,
}

/// Floods for `time` alone, and for a fifth of it beside known callers.
pub(crate) fn run(time: Duration) {
    println!("flood of {} s from {FLOODERS} networks", time.as_secs());
    let scene = Scene::start(TestGateway::builder());
    scene.create(SECRETS, 1, 16).settle("secrets");
    let mix = Mix::new(vec![(1, scene.reads(0..SECRETS))]);
    let known = || drive(scene.address(), &mix, Arrivals::Scheduled(RATE), CONNECTIONS, time / 5);
    let alone = known().settled("known callers alone");
    let (beside, with_known) = flooded(scene.address(), || known().settled("known callers beside the flood"));
    println!("p99 beside the flood / alone: {:.2}", beside.latencies.p99() / alone.latencies.p99());
    // Beside known callers the data folder grows by their records, too.
    let data = scene.gateway.installation().path("data");
    let before = [folder_bytes(&data), wal_bytes(&data)];
    let ((), by_itself) = flooded(scene.address(), || thread::sleep(time));
    let grown = |after: u64, before: u64| mib(after as f64 - before as f64);
    println!(
        "{} answered in {:.0} s, {:.0} a second; the data folder grew by {:.2} MiB, its write-ahead log among that by {:.2} MiB",
        by_itself.answered,
        by_itself.seconds,
        by_itself.answered as f64 / by_itself.seconds,
        grown(folder_bytes(&data), before[0]),
        grown(wal_bytes(&data), before[1]),
    );
    let (scene, _) = scene.restarted();
    println!("after a restart: {:+.2} MiB", grown(folder_bytes(&data), before[0]));
    account(&scene, with_known, by_itself);
    scene.gateway.stop();
}

/// Runs `beside` while the flood comes.
fn flooded<T>(server: SocketAddr, beside: impl FnOnce() -> T) -> (T, Flooded) {
    let stop = AtomicBool::new(false);
    let begin = Instant::now();
    thread::scope(|scope| {
        let flooders: Vec<_> = (0..FLOODERS)
            .map(|number| {
                let (client, stop) = (Client::new_from(server, Ipv4Addr::new(127, 1, number, 1)), &stop);
                scope.spawn(move || flood(client, stop))
            })
            .collect();
        let came = beside();
        stop.store(true, Ordering::Relaxed);
        let mut all = Flooded::default();
        for flooder in flooders {
            let flooded = flooder.join().expect("a connection");
            (all.answered, all.lost) = (all.answered + flooded.answered, all.lost + flooded.lost);
        }
        all.seconds = begin.elapsed().as_secs_f64();
        (came, all)
    })
}

/// Its thread takes the processor time that others leave: a flood has processors of its own, which here are the gateway's and the
/// known callers'.
fn flood(mut client: Client, stop: &AtomicBool) -> Flooded {
    rustix::process::setpriority_process(None, 19).expect("a lower priority");
    let request = request("GetSecretValue", "", r#"{"SecretName":"load/any"}"#);
    let mut flooded = Flooded::default();
    while !stop.load(Ordering::Relaxed) {
        match client.exchange(&request) {
            Ok(401) => flooded.answered += 1,
            // Not recorded, and so not counted: it would be told in a metric.
            Ok(503) => flooded.lost += 1,
            Ok(status) => panic!("a request without a token was answered {status}: {}", client.body()),
            Err(_) => flooded.lost += 1,
        }
    }
    flooded
}

/// Single records and summaries hold each answered request once, and of the others at most each.
fn account(scene: &Scene, with_known: Flooded, by_itself: Flooded) {
    let (mut singles, mut summarised, mut summaries) = (0, 0, 0);
    for record in scene.gateway.records() {
        let is_nameless = record["reason"] == "unauthenticated";
        match record["kind"].as_str() {
            Some("summary") if is_nameless => {
                (summaries, summarised) = (summaries + 1, summarised + count(&record));
            }
            Some("unauthenticated") => singles += 1,
            _ => {}
        }
    }
    let answered = with_known.answered + by_itself.answered;
    let lost = with_known.lost + by_itself.lost;
    println!("{answered} answered, {lost} not: {singles} single records, {summarised} in {summaries} summaries");
    let held = singles + summarised;
    assert!((answered..=answered + lost).contains(&held), "the log holds {held}");
}

fn count(summary: &Value) -> u64 {
    summary["parameters"]["count"].as_u64().expect("a count")
}
