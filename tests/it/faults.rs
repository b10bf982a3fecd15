//! System calls of a commit that fail with EIO, one at a time and several in a row, injected by strace: the sync of the
//! write-ahead log, whose batch is then in the file all the same, and the write of the mark after it.

use std::process::Command;

use crate::gateway::TestGateway;
use crate::installation::Installation;
use crate::scene::Scene;

fn can_trace() -> bool {
    let mut trial = Command::new("strace");
    trial.args(["-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "true"]);
    if trial.output().is_ok_and(|output| output.status.success()) {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "strace cannot trace: the CI must have it, and the right to trace");
    println!("NOT RUN: strace is not installed or may not trace here");
    false
}

/// Has the calls of each thread that `when` counts fail, and lets clients see it.
fn fail(call: &str, when: &str) {
    let inject = format!("inject={call}:error=EIO:when={when}");
    let wrapper = ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", &inject];
    let scene = Scene::start(TestGateway::of_under(Installation::new(), &wrapper));
    let slowest = scene.answers(503, 1);
    scene.answers(200, 300);
    println!("{call} {when}: first 503 after {slowest:?}");
    let log = scene.gateway.log();
    assert!(log.contains("nothing is served until it is read back") && log.contains("the store serves again"), "{log}");
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
