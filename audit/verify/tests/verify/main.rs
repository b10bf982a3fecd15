//! The verifier as its users see it: golden logs, random logs beside the Python verifier, arbitrary bytes, and what
//! the program links.

mod differential;
mod generator;
mod golden;
mod links;
mod total;

use keyward_audit_verify::{Checkpoint, Options, Vkey, verify};
use std::path::PathBuf;

/// The folder of golden logs and of the Python verifier.
fn testdata() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata")
}

/// Exit code and lines of the verdict on a file in memory, as the program gives them.
fn verdict(file: &[u8], vkeys: &str, since: &[Vec<u8>], threads: usize) -> (i32, Vec<String>) {
    let Ok(keys) = Vkey::parse_file(vkeys) else {
        return (1, Vec::new());
    };
    let Ok(since) = since
        .iter()
        .map(|note| Checkpoint::open(note, &keys))
        .collect::<Result<Vec<_>, _>>()
    else {
        return (1, Vec::new());
    };
    let options = Options {
        keys: &keys,
        since: &since,
        threads,
        progress: &|_| {},
    };
    match verify(&file, &options) {
        Err(_) => (1, Vec::new()),
        Ok(report) if report.is_valid() => {
            let (size, root) = report.head.expect("a valid file has a head");
            (0, vec![format!("valid, {size} records, root {root}")])
        }
        Ok(report) => (4, report.findings.iter().map(ToString::to_string).collect()),
    }
}
