//! Whoever is not the owner of a store makes no files that its gateway could not open.

use crate::gateway::TestGateway;
use crate::installation::Installation;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};

/// A user that no test runs as.
const OTHER: u32 = 65_534;

/// Every file below, with what it holds and whose it is.
fn everything(below: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        let owner = path.symlink_metadata().unwrap().uid();
        if path.is_dir() {
            all.extend(everything(&path));
            all.insert(path, (Vec::new(), owner));
        } else {
            all.insert(path.clone(), (fs::read(&path).unwrap(), owner));
        }
    }
    all
}

/// The installation given to another user; nothing if whoever runs this cannot give anything away.
fn given_away(installation: &Installation) -> bool {
    let mut all: Vec<PathBuf> = everything(installation.dir()).into_keys().collect();
    all.push(installation.dir().to_owned());
    all.iter().all(|path| chown(path, Some(OTHER), Some(OTHER)).is_ok())
}

fn refused_unchanged(installation: &Installation, arguments: &[&str]) {
    let before = everything(installation.dir());
    let ran = installation.run(arguments);
    assert_eq!(ran.code, 1, "{ran:?}");
    for said in ["run this as ", "sudo -u "] {
        assert!(ran.err.contains(said), "`{said}` is missing: {ran:?}");
    }
    assert!(everything(installation.dir()) == before, "{arguments:?} changed something");
}

#[test]
fn accept_loss_and_restore_are_refused_to_whoever_does_not_own_the_store() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "value");
    let scratch = tempfile::tempdir().unwrap();
    let backup = scratch.path().join("backup").to_str().unwrap().to_owned();
    let taken = crate::backup::client(&gateway, gateway.admin(), &["backup", &backup]);
    assert_eq!(taken.code, 0, "{taken:?}");
    let installation = gateway.stop();
    fs::remove_file(installation.path("hwm")).unwrap();
    if !given_away(&installation) {
        assert!(std::env::var_os("CI").is_none(), "no file can be given away: the CI must run this test as root");
        println!("NOT RUN: no file can be given away here; run it as root");
        return;
    }
    let accept = ["audit", "accept-loss", "--reason", "the mark is gone"];
    refused_unchanged(&installation, &accept);
    fs::remove_dir_all(installation.path("data/db")).unwrap();
    refused_unchanged(&installation, &["restore", &backup]);
    // The folder may be root's, as one that is mounted is: the gateway's user is told by its key.
    chown(installation.path("data"), Some(0), Some(OTHER)).unwrap();
    refused_unchanged(&installation, &["restore", &backup]);
    fs::remove_dir_all(installation.path("data")).unwrap();
    refused_unchanged(&installation, &["restore", &backup]);
    refused_unchanged(&installation, &accept);
}

#[test]
fn a_mark_that_cannot_be_read_is_no_reason_to_make_a_key_or_to_give_up_an_origin() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", "value");
    let installation = gateway.stop();
    fs::remove_file(installation.path("hwm")).unwrap();
    fs::create_dir(installation.path("hwm")).unwrap();
    let before = everything(&installation.path("keys"));
    let ran = installation.run(&["audit", "accept-loss", "--reason", "the mark is gone"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(!ran.err.contains("origin `") && !ran.out.contains("origin `"), "{ran:?}");
    assert!(everything(&installation.path("keys")) == before, "a key was made");
    let Err(refused) = TestGateway::try_of(installation) else { panic!("served without a mark") };
    assert!(!refused.text.contains("accept-loss"), "{}", refused.text);
    assert!(refused.text.contains("make it readable to the gateway's user"), "{}", refused.text);
}
