//! System calls of a commit at which the gateway is killed, or which fail with EIO, one at a time and several in a row,
//! injected by strace: the sync of the write-ahead log, whose batch is then in the file all the same, and the write of
//! the mark after it.

use std::process::Command;

use crate::gateway::TestGateway;
use crate::installation::Installation;
use crate::load::Values;
use crate::scene::Scene;

fn can_trace() -> bool {
    let mut trial = Command::new("strace");
    trial.args(["-D", "-f", "-qq", "-o", "/dev/null", "true"]);
    if trial.output().is_ok_and(|output| output.status.success()) {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "strace cannot trace: the CI must have it, and the right to trace");
    println!("NOT RUN: strace is not installed or may not trace here");
    false
}

/// A gateway with `fault` at the calls of each thread that `when` counts.
fn with_fault(call: &str, fault: &str, when: &str) -> TestGateway {
    let inject = format!("inject={call}:{fault}:when={when}");
    let trace = format!("trace={call}");
    let quiet = ["strace", "-D", "-f", "-qq", "-o", "/dev/null"];
    let wrapper = [&quiet[..], &["-e", &trace, "-e", &inject]].concat();
    TestGateway::of_under(Installation::new(), &wrapper)
}

/// Has calls fail, and lets clients see it.
fn fail(call: &str, when: &str) {
    let scene = Scene::start(with_fault(call, "error=EIO", when), Values::Mixed);
    println!("EIO at {call} {when}");
    scene.broken(1);
    scene.mended(1);
    scene.answers(200, 300);
    scene.end();
}

#[test]
fn attack_g01_g03_a_sync_that_fails_is_read_back_and_leaves_neither_gap_nor_double() {
    if can_trace() {
        ["100", "131", "90..93", "80+40"].into_iter().for_each(|when| fail("fdatasync", when));
    }
}

#[test]
fn attack_g01_g18_a_mark_that_cannot_be_written_releases_nothing_and_is_written_again() {
    if can_trace() {
        ["100", "131", "90..93", "80+40"].into_iter().for_each(|when| fail("pwrite64", when));
    }
}

#[test]
fn attack_g01_killed_at_a_system_call_of_a_commit_nothing_acknowledged_is_lost() {
    if !can_trace() {
        return;
    }
    // The main thread, which opens the store, makes fewer of each.
    for (call, first) in [("write", 200), ("fdatasync", 100), ("pwrite64", 100)] {
        for when in first..first + 5 {
            let scene = Scene::start(with_fault(call, "signal=SIGKILL", &when.to_string()), Values::Mixed);
            println!("killed at {call} {when}");
            scene.killed();
        }
    }
}
