//! Connections that do nothing, readers that take nothing, writers that never end, and requests of every size that is
//! refused: what they do to the callers beside them.

use crate::arrivals::{Arrivals, Driven, Mix, drive};
use crate::client::{Asking, Client, request};
use crate::figures::{Tally, mib, processor_seconds, resident_bytes};
use crate::gateway::TestGateway;
use crate::scene::{Scene, name};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const SECRETS: usize = 100;
const CONNECTIONS: usize = 32;
/// What the callers ask for a second.
const RATE: f64 = 500.0;
const PHASE: Duration = Duration::from_secs(8);
const SETTLE: Duration = Duration::from_secs(3);
/// Secrets of the largest values, for readers that take nothing.
const LARGE: usize = 20;
const LARGE_BYTES: usize = 60_000;
const SLOW_READERS: usize = 32;
const SLOW_WRITERS: usize = 64;
/// A slow writer's pause between two bytes.
const DRIP: Duration = Duration::from_millis(200);
/// Threads that send what is too large.
const OVERSIZED: usize = 2;
const OVERSIZED_PAUSE: Duration = Duration::from_millis(20);

/// Holds so many idle connections.
pub(crate) fn run(idle: usize) {
    println!("{idle} idle connections, {SLOW_READERS} slow readers, {SLOW_WRITERS} slow writers, oversized requests");
    let scene = Scene::start(TestGateway::builder());
    scene.create(SECRETS, 1, 16).settle("secrets");
    let admin = scene.gateway.admin();
    scene
        .send(4, LARGE, |number| {
            let large = json!({"SecretName": large(number), "SecretString": "x".repeat(LARGE_BYTES)});
            vec![Asking::new("CreateSecret", admin, &large).or_done_before(409)]
        })
        .settle("large secrets");
    let mix = Mix::new(vec![(1, scene.reads(0..SECRETS))]);
    let callers = || {
        let before = processor_seconds(scene.gateway.pid());
        let driven = drive(scene.address(), &mix, Arrivals::Scheduled(RATE), CONNECTIONS, PHASE);
        let spent = processor_seconds(scene.gateway.pid()) - before;
        println!("the gateway's processor time: {:.2} of one", spent / PHASE.as_secs_f64());
        driven
    };
    drop(callers());
    let memory = || mib(resident_bytes(scene.gateway.pid()) as f64);
    let (alone, memory_before) = (callers().settled("callers alone"), memory());
    let connections: Vec<TcpStream> = (0..idle).map(|_| TcpStream::connect(scene.address()).expect("room")).collect();
    // Accepting so many at once takes its time; here it is that they are there which counts.
    thread::sleep(SETTLE);
    let ratio = |other: &Driven| other.latencies.p99() / alone.latencies.p99();
    let idle = callers().settled("beside idle connections");
    println!("p99 / alone: {:.2}; memory: {memory_before:.0} MiB, with the connections {:.0}", ratio(&idle), memory());
    let kinds: [(&str, usize, &Slow); 3] = [
        ("slow readers", SLOW_READERS, &read_nothing),
        ("slow writers", SLOW_WRITERS, &drip),
        ("oversized requests", OVERSIZED, &send_too_much),
    ];
    for kinds in [&kinds[..1], &kinds[1..2], &kinds[2..], &kinds[..]] {
        let title = kinds.iter().map(|(title, ..)| *title).collect::<Vec<_>>().join(", ");
        let (driven, tally) = beside(&scene, kinds, callers);
        tally.settle(&title);
        let driven = driven.settled(&format!("beside {title}"));
        println!("p99 / alone: {:.2}; memory: {:.0} MiB", ratio(&driven), memory());
    }
    drop(connections);
    assert_eq!(scene.gateway.get("/readyz").status, 200);
    scene.gateway.stop();
}

fn large(number: usize) -> String {
    format!("large/{number}")
}

/// Someone who is slow or sends too much until told to stop, and what was answered.
type Slow = dyn Fn(&Scene, usize, &AtomicBool) -> Tally + Sync;

/// Runs `callers` beside so many of each kind.
fn beside(at: &Scene, kinds: &[(&str, usize, &Slow)], callers: impl Fn() -> Driven) -> (Driven, Tally) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut slow = Vec::new();
        for (_, count, act) in kinds {
            let stop = &stop;
            slow.extend((0..*count).map(|number| scope.spawn(move || act(at, number, stop))));
        }
        // What the slow ask for is served first: here it is their slowness that counts.
        thread::sleep(SETTLE);
        let driven = callers();
        stop.store(true, Ordering::Relaxed);
        let mut tally = Tally::default();
        slow.into_iter().for_each(|slow| tally.append(slow.join().expect("a connection")));
        (driven, tally)
    })
}

/// Asks for more than the sockets hold, again and again, and takes nothing of it.
fn read_nothing(scene: &Scene, _: usize, stop: &AtomicBool) -> Tally {
    let names: Vec<_> = (0..LARGE).map(|number| json!({"SecretName": large(number)})).collect();
    let body = json!({"Secrets": names}).to_string();
    let request = request("BatchGetSecretValue", scene.gateway.admin(), &body);
    let mut stream = TcpStream::connect(scene.address()).expect("room");
    stream.set_write_timeout(Some(DRIP)).unwrap();
    while !stop.load(Ordering::Relaxed) {
        if stream.write_all(&request).is_err() {
            thread::sleep(DRIP);
        }
    }
    Tally::default()
}

/// A head, or behind a good one a body, a byte at a time; anew whenever the gateway has ended it.
fn drip(scene: &Scene, number: usize, stop: &AtomicBool) -> Tally {
    let mut tally = Tally::default();
    let whole = request("GetSecretValue", scene.gateway.admin(), &" ".repeat(60_000));
    let head = whole.len() - 60_000;
    let (begin, byte) = if number.is_multiple_of(2) { (&whole[..40], b"a") } else { (&whole[..head], b" ") };
    while !stop.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(scene.address()).expect("room");
        stream.set_read_timeout(Some(DRIP)).unwrap();
        let mut is_open = stream.write_all(begin).is_ok();
        while is_open && !stop.load(Ordering::Relaxed) {
            let read = stream.read(&mut [0; 4096]);
            is_open = read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
                && stream.write_all(byte).is_ok();
        }
        if !is_open {
            tally.expected("ended by the gateway");
        }
    }
    tally
}

/// Everything that is over a limit, each on a connection of its own.
fn send_too_much(scene: &Scene, _: usize, stop: &AtomicBool) -> Tally {
    let (admin, mut tally) = (scene.gateway.admin(), Tally::default());
    let secret = |value: usize| json!({"SecretName": "load/any", "SecretString": "x".repeat(value)}).to_string();
    let long = "a".repeat(40_000);
    let kinds = [
        Asking::refused("a value too large", 400, request("CreateSecret", admin, &secret(65_537))),
        Asking::refused("a body too large", 413, request("CreateSecret", admin, &secret(1 << 20))),
        Asking::refused("a body too large of nobody", 401, request("CreateSecret", "", &secret(1 << 20))),
        Asking::refused("a token too large", 431, request("GetSecretValue", &long, "{}")),
        Asking::refused(
            "a name too long",
            400,
            request("GetSecretValue", admin, &json!({"SecretName": long}).to_string()),
        ),
        scene.read(&name(0)),
    ];
    while !stop.load(Ordering::Relaxed) {
        for asking in &kinds {
            Client::new(scene.address()).insist(asking, &mut tally);
            thread::sleep(OVERSIZED_PAUSE);
        }
    }
    tally
}
