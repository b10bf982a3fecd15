//! A full disk, on a small file system of its own: first noticed by the levels of free space, then met by writes that
//! fail. The gateway must answer 503 in time, release nothing, and serve again when there is space, the same process.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use crate::gateway::{TestGateway, wait_for};
use crate::installation::Installation;
use crate::load::Values;
use crate::scene::Scene;

const MIB: u64 = 1024 * 1024;

/// A small file system in memory; unmounted when dropped.
struct SmallDisk {
    scratch: TempDir,
}

impl SmallDisk {
    /// `None` where nothing may be mounted, which only a machine that is not the CI may be.
    fn mount(mib: u64) -> Option<Self> {
        let scratch = tempfile::tempdir().unwrap();
        let options = format!("size={mib}m,mode=700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "keyward-test"]).arg(scratch.path());
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(Self { scratch });
        }
        assert!(std::env::var_os("CI").is_none(), "no file system can be mounted: the CI must run this test as root");
        println!("NOT RUN: no file system can be mounted here; run it as root");
        None
    }

    fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// Writes zeros until nothing more fits; how many bytes that took.
    fn fill(&self) -> Filler {
        self.take(u64::MAX)
    }

    /// Takes so much of the space.
    fn take(&self, bytes: u64) -> Filler {
        let path = self.path().join(format!("filler-{:08x}", rand::random::<u32>()));
        let mut file = File::create_new(&path).unwrap();
        let (block, mut left) = ([0; 4096], bytes);
        while left > 0 && file.write_all(&block).is_ok() {
            left = left.saturating_sub(block.len() as u64);
        }
        Filler(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Detached at once: a gateway of a failed test may still have it open.
        let _unmounted = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

/// A file that takes space until it is dropped.
struct Filler(PathBuf);

impl Drop for Filler {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

/// An installation whose store lies on `disk`; the mark and everything else does not.
fn installation_on(disk: &SmallDisk) -> Installation {
    let installation = Installation::new();
    let store = disk.path().join("db");
    let copied = Command::new("cp").arg("-a").arg(installation.path("data/db")).arg(&store).status().unwrap();
    assert!(copied.success());
    installation.set("storage.path", store.to_str().unwrap());
    installation.set("storage.compaction_bytes", 0);
    installation
}

#[test]
fn i09_attack_g02_writes_that_fail_are_answered_503_and_the_same_process_serves_again() {
    // The engine claims 70 MiB for each write-ahead log when it opens one, and a reopen has two for a while, and needs room for the
    // tables that it makes of the one before: as much as the clients have written until the disk was full, some tens of MiB.
    let Some(disk) = SmallDisk::mount(640) else { return };
    let installation = installation_on(&disk);
    for level in ["soft", "hard", "critical"] {
        installation.set(&format!("storage.disk_{level}_bytes"), 0);
    }
    installation.set("storage.ballast_bytes", 0);
    let scene = Scene::start(TestGateway::of(installation), Values::Long);
    scene.answers(200, 100);
    for times in 1..=2 {
        let filler = disk.fill();
        scene.broken(times);
        let slowest = scene.answers(503, 300);
        println!("longest wait for a 503: {slowest:?}");
        drop(filler);
        scene.mended(times);
        scene.answers(200, 300);
    }
    scene.end();
}

#[test]
fn i09_attack_g02_each_level_of_free_space_refuses_what_it_must_and_ends_by_itself() {
    // The engine's write-ahead log may take 256 MiB, which count as used; of 600 MiB about 270 are left.
    let Some(disk) = SmallDisk::mount(600) else { return };
    let installation = installation_on(&disk);
    for (level, percent) in [("soft", 27), ("hard", 20), ("critical", 10)] {
        installation.set(&format!("storage.disk_{level}_percent"), percent);
    }
    let scene = Scene::start(TestGateway::of(installation), Values::Mixed);
    scene.answers(200, 100);
    let admin = scene.gateway.admin().to_owned();
    let checkpoint = || scene.gateway.call(&admin, "GetCheckpoint", &json!({})).status;
    let ballast = disk.path().join("db.ballast");
    let unready = |reason: &str| {
        let reply = scene.gateway.get("/readyz");
        reply.body["reasons"].as_array().is_some_and(|reasons| reasons.contains(&json!(reason))).then_some(())
    };

    let hard = disk.take(180 * MIB);
    scene.answers(503, 300);
    wait_for("the level hard", || unready("disk_hard"));
    wait_for("administration at the level hard", || (checkpoint() == 200).then_some(()));
    let nobody = scene.gateway.token("nobody", &[], &[], 600);
    let denied = || scene.gateway.call(&nobody, "GetSecretValue", &json!({"SecretName": "other/x"})).status == 403;
    wait_for("denials at the level hard", || denied().then_some(()));
    assert!(unready("disk_hard").is_some(), "it was no longer at the level hard");

    let critical = disk.take(70 * MIB);
    wait_for("the level critical", || unready("disk_critical"));
    assert_eq!(checkpoint(), 503, "nothing is served at the level critical");
    assert!(!ballast.exists(), "the ballast was not given up");
    scene.answers(503, 300);

    drop((hard, critical));
    scene.answers(200, 300);
    wait_for("ready again", || (scene.gateway.get("/readyz").status == 200).then_some(()));
    let (_, trail) = scene.end();
    assert!(trail.events("audit_stopped") == 1, "{}", trail.events("audit_stopped"));
}

#[test]
fn a_start_that_fails_on_a_full_disk_names_the_disk() {
    let Some(disk) = SmallDisk::mount(640) else { return };
    let installation = installation_on(&disk);
    let _filler = disk.fill();
    let Err(refused) = TestGateway::try_of(installation) else { panic!("it started") };
    assert_eq!(refused.code, 1, "{}", refused.text);
    let last = refused.text.lines().last().unwrap();
    assert!(last.starts_with("error: ") && last.contains(&disk.path().display().to_string()), "{}", refused.text);
    assert!(last.contains("MiB free"), "{}", refused.text);
}
