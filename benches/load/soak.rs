//! Reads at 70 % of the capacity for as long as one likes, half of the time with everything that operators do going on.

use crate::arrivals::{Arrivals, Driven, Mix, drive};
use crate::figures::Samples;
use crate::gateway::TestGateway;
use crate::operations::Operations;
use crate::scene::Scene;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const SECRETS: usize = 1_000;
const CONNECTIONS: usize = 64;
/// Part of the capacity at which the schedule asks.
const SHARE: f64 = 0.7;
/// Longest phase with or without operations.
const PHASE_MAX: Duration = Duration::from_secs(60);
/// How long the capacity is measured.
const CAPACITY_MAX: Duration = Duration::from_secs(15);
/// Counters that stay at nothing.
const NOTHING: [&str; 4] = [
    "keyward_panics_total",
    "keyward_integrity_failures_total",
    "keyward_store_errors_total",
    "keyward_policy_errors_total",
];

/// Runs for about `time`, with the operations that `only` names, or all.
pub(crate) fn run(time: Duration, only: &[String]) {
    println!("soak of {} s: GetSecretValue over {CONNECTIONS} connections, {SECRETS} secrets", time.as_secs());
    let scene = Scene::start(TestGateway::builder());
    scene.create(SECRETS, 1, 32).settle("secrets");
    let mix = mix(&scene);
    let capacity = capacity(&scene, &mix, (time / 10).min(CAPACITY_MAX));
    let operations = Operations::new(&scene, SECRETS, only);
    let stop = AtomicBool::new(false);
    let (phases, samples) = thread::scope(|scope| {
        let samples = scope.spawn(|| Samples::take(&scene.gateway, &stop));
        let phases = phases(&scene, &mix, capacity * SHARE, time, &operations);
        stop.store(true, Ordering::Relaxed);
        (phases, samples.join().expect("samples"))
    });
    let [quiet, busy] = phases;
    quiet.tally.settle("without operations");
    busy.tally.settle("with operations");
    operations.settle();
    println!("latency without operations: {}", quiet.latencies);
    println!("latency with operations:    {}", busy.latencies);
    println!("p99 with / without: {:.2}", busy.latencies.p99() / quiet.latencies.p99());
    let growth = samples.settle();
    nothing_is_wrong(&scene);
    let installation = scene.gateway.stop();
    let verified = installation.run(&["audit", "verify"]);
    assert_eq!(verified.code, 0, "{}{}", verified.out, verified.err);
    println!("{}", verified.out.trim());
    growth.check();
}

/// Reads, and a few that are to be refused.
fn mix(scene: &Scene) -> Mix {
    Mix::new(vec![(98, scene.reads(0..SECRETS)), (1, vec![scene.denied()]), (1, vec![scene.missing()])])
}

/// Answers a second if each connection asks again as soon as it was answered.
fn capacity(scene: &Scene, mix: &Mix, time: Duration) -> f64 {
    drive(scene.address(), mix, Arrivals::AtOnce, CONNECTIONS, time / 3).tally.settle("warm-up");
    let measured = drive(scene.address(), mix, Arrivals::AtOnce, CONNECTIONS, time);
    measured.tally.settle("capacity");
    println!("capacity: {:.0} answers a second; then {:.0} by schedule", measured.rate, measured.rate * SHARE);
    measured.rate
}

/// Phases without and with operations that take turns; what came of each kind.
fn phases(scene: &Scene, mix: &Mix, rate: f64, time: Duration, operations: &Operations<'_>) -> [Driven; 2] {
    let pairs = (time.as_secs_f64() / (2.0 * PHASE_MAX.as_secs_f64())).ceil().max(1.0);
    let length = time.div_f64(2.0 * pairs);
    let mut all = [Driven::default(), Driven::default()];
    for phase in 0..(2.0 * pairs) as usize {
        let stop = AtomicBool::new(false);
        let driven = thread::scope(|scope| {
            if phase % 2 == 1 {
                scope.spawn(|| operations.run(&stop));
            }
            let driven = drive(scene.address(), mix, Arrivals::Scheduled(rate), CONNECTIONS, length);
            stop.store(true, Ordering::Relaxed);
            driven
        });
        println!("  {} operations: {}", ["without", "with   "][phase % 2], driven.latencies);
        all[phase % 2].latencies.append(driven.latencies);
        all[phase % 2].tally.append(driven.tally);
    }
    all
}

/// The gateway is ready, and none of the counters that mean a defect has moved. What it refused for want of time is told.
fn nothing_is_wrong(scene: &Scene) {
    assert_eq!(scene.gateway.get("/readyz").status, 200);
    let metrics = String::from_utf8(scene.gateway.get("/metrics").bytes).expect("text");
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let is_nothing = NOTHING.iter().any(|name| line.starts_with(name));
        assert!(!is_nothing || line.ends_with(" 0"), "{line}");
        if ["keyward_audit_refused_total", "keyward_unrecorded_total"].iter().any(|name| line.starts_with(name)) {
            println!("{line}");
        }
    }
}
