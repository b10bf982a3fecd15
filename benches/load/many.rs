//! Very many secrets: what creating them costs, and what reading, listing and starting cost once they are there, beside a
//! gateway that has 1,000.

use crate::arrivals::{Arrivals, Mix, drive};
use crate::client::{Asking, Client};
use crate::figures::{Latencies, folder_bytes, mib, resident_bytes};
use crate::gateway::TestGateway;
use crate::scene::Scene;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const FEW: usize = 1_000;
const VERSIONS: usize = 3;
/// Many callers share one synced write.
const CREATORS: usize = 128;
/// Reads that are made ready for each gateway: of secrets at random.
const READS: usize = 50_000;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
const CONNECTIONS: usize = 16;
const LISTS: usize = 5;

/// Creates `secrets` of them.
pub(crate) fn run(secrets: usize) {
    println!("{secrets} secrets of {VERSIONS} versions");
    let few = created(FEW.min(secrets));
    let many = created(secrets);
    compare(&few, FEW.min(secrets), &many, secrets);
    for (scene, count) in [(few, FEW.min(secrets)), (many, secrets)] {
        look(&scene, count);
        let scene = started_again(scene, count);
        scene.gateway.stop();
    }
}

fn created(secrets: usize) -> Scene {
    let limit = i64::try_from(secrets * 2).expect("a number");
    let scene = Scene::start(TestGateway::builder().set("limits.secrets", limit.max(100_000)));
    let begin = Instant::now();
    scene.create(secrets, VERSIONS, CREATORS).settle("created");
    let took = begin.elapsed().as_secs_f64();
    println!(
        "{secrets} secrets in {took:.0} s: {:.0} secrets and {:.0} versions a second over {CREATORS} connections",
        secrets as f64 / took,
        (secrets * VERSIONS) as f64 / took
    );
    scene
}

/// Reads of each in turns.
fn compare(few: &Scene, few_secrets: usize, many: &Scene, many_secrets: usize) {
    let mix = |scene: &Scene, secrets: usize| {
        let numbers = (0..READS).map(|_| rand::random_range(0..secrets));
        Mix::new(vec![(1, scene.reads(numbers))])
    };
    let mixes = [(few, mix(few, few_secrets)), (many, mix(many, many_secrets))];
    for (title, connections) in [("one connection", 1), ("many connections", CONNECTIONS)] {
        let mut latencies = [Latencies::default(), Latencies::default()];
        for round in 0..=ROUNDS {
            for ((scene, mix), latencies) in mixes.iter().zip(&mut latencies) {
                let driven = drive(scene.address(), mix, Arrivals::AtOnce, connections, ROUND);
                assert!(driven.tally.of("GetSecretValue") > 0);
                // The first round warms up.
                if round > 0 {
                    latencies.append(driven.latencies);
                }
            }
        }
        let [few, many] = latencies;
        println!("reads, {title}, {few_secrets} secrets:  {few}");
        println!("reads, {title}, {many_secrets} secrets: {many}");
        let (median, p99) = (many.median() / few.median(), many.p99() / few.p99());
        println!("reads, {title}: median {median:.2} times, p99 {p99:.2} times");
    }
}

/// What goes over all secrets, and what the gateway holds.
fn look(scene: &Scene, secrets: usize) {
    let data = scene.gateway.installation().path("data");
    let memory = || mib(resident_bytes(scene.gateway.pid()) as f64);
    println!("{secrets} secrets: memory {:.0} MiB, data folder {:.0} MiB", memory(), mib(folder_bytes(&data) as f64));
    let last = json!({"Limit": 100, "Offset": secrets.saturating_sub(100)});
    let search = json!({"Limit": 100, "SearchSecretName": "team-07"});
    let asked: [(&str, &'static str, Value); 6] = [
        ("the first page", "ListSecrets", json!({"Limit": 100})),
        ("the last page", "ListSecrets", last),
        ("what is enabled", "ListSecrets", json!({"Limit": 100, "State": 1})),
        ("a search", "ListSecrets", search),
        ("all keys", "ListKeys", json!({})),
        ("one key", "DescribeKey", json!({"KeyId": "default"})),
    ];
    for (what, action, parameters) in asked {
        let asking = Asking::new(action, scene.gateway.admin(), &parameters);
        let mut client = Client::new(scene.address());
        let mut ask = || {
            let begin = Instant::now();
            assert_eq!(client.exchange(&asking.bytes).expect("an answer"), 200, "{}", client.body());
            begin.elapsed()
        };
        let first = ask();
        let mut latencies = Latencies::default();
        (0..LISTS).for_each(|_| latencies.push(ask()));
        println!(
            "{secrets} secrets: {action} of {what}: {:.1} ms, then median {:.1} ms",
            first.as_secs_f64() * 1_000.0,
            latencies.median()
        );
    }
    println!("{secrets} secrets: memory after these {:.0} MiB", memory());
}

/// Stops, and starts until the gateway is ready; twice, since the first start reads what was not written to tables yet.
fn started_again(mut scene: Scene, secrets: usize) -> Scene {
    for _ in 0..2 {
        let (started, [stop, start]) = scene.restarted();
        println!("{secrets} secrets: stopped in {stop:.2} s, ready again in {start:.2} s");
        scene = started;
    }
    scene
}
