//! Mutation fuzzing of every parser of bytes from outside, on stable Rust with the one build. Each target starts from
//! golden samples, files of the repository and `fuzz/corpus/<target>/`, mutates them with a seeded generator, and asserts
//! more than the absence of a panic: what is accepted must be canonical, signed, or agreed on by a second reader.
//!
//! `KEYWARD_FUZZ_SECONDS` sets the time of each target (unset: 3,000 inputs), `KEYWARD_FUZZ_SEED` where the choices start.
//! An input that fails is written to a file and named; put it into the corpus together with the fix.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod access;
mod evidence;
mod mutate;

use mutate::Dice;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Inputs of a target if no time is set.
const INPUTS: u64 = 3_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The files under a folder whose names end so, by name.
fn files(folder: &str, end: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut folders = vec![repository(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(end) {
                found.push(path);
            }
        }
    }
    found.sort();
    found.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Runs a target over its seeds, then over mutations of them.
fn fuzz(target: &str, mut seeds: Vec<Vec<u8>>, check: impl Fn(&[u8])) {
    if repository(&format!("fuzz/corpus/{target}")).is_dir() {
        seeds.extend(files(&format!("fuzz/corpus/{target}"), ""));
    }
    assert!(!seeds.is_empty(), "`{target}` has no seeds");
    let start = number("KEYWARD_FUZZ_SEED").unwrap_or(0x6b65_7977_6172_6421);
    let deadline = number("KEYWARD_FUZZ_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut dice = Dice::new(start);
    let mut run = 0_u64;
    loop {
        let input = match usize::try_from(run).ok().and_then(|at| seeds.get(at)) {
            Some(seed) => seed.clone(),
            None => dice.mutation(&seeds),
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&input))) {
            let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{target}-{start}-{run}"));
            std::fs::write(&file, &input).unwrap();
            eprintln!("{target}: seed {start}, input {run}, kept as `{}`", file.display());
            std::panic::resume_unwind(panic);
        }
        run += 1;
        let is_enough = match deadline {
            Some(deadline) => Instant::now() >= deadline && run > seeds.len() as u64,
            None => run >= INPUTS.max(seeds.len() as u64),
        };
        if is_enough {
            println!("{target}: {run} inputs from {} seeds", seeds.len());
            return;
        }
    }
}
