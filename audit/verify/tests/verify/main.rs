//! The verifier as its users see it: golden logs, random logs beside the Python verifier, arbitrary bytes, and what
//! the program links.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod differential;
mod generator;
mod golden;
mod links;
mod total;

use keyward_audit_verify::{Checkpoint, Options, Vkey, verify};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The folder of golden logs and of the Python verifier.
fn testdata() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata")
}

/// Exit code and lines.
type Verdict = (i32, Vec<String>);

/// The verdict on a file in memory, as the program gives them.
fn verdict(file: &[u8], vkeys: &str, since: &[Vec<u8>], threads: usize) -> Verdict {
    let Ok(keys) = Vkey::parse_file(vkeys) else {
        return (1, Vec::new());
    };
    let Ok(since) = since.iter().map(|note| Checkpoint::open(note, &keys)).collect::<Result<Vec<_>, _>>() else {
        return (1, Vec::new());
    };
    let options = Options { keys: &keys, since: &since, threads, progress: &|_| {} };
    match verify(&file, &options) {
        Err(_) => (1, Vec::new()),
        Ok(report) if report.is_valid() => {
            let (size, root) = report.head.expect("a valid file has a head");
            (0, vec![format!("valid, {size} records, root {root}")])
        }
        Ok(report) => (4, report.findings.iter().map(ToString::to_string).collect()),
    }
}

/// Runs the Python verifier over many argument lists in one process.
const DRIVER: &str = "
import contextlib, io, sys
sys.path.insert(0, sys.argv[1])
import verify
for line in sys.stdin:
    arguments, out = line.rstrip('\\n').split('\\t'), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        code = verify.main(arguments)
    print(code, *out.getvalue().splitlines(), sep='\\t')
";

/// Exit code and lines that the Python verifier gives for each list of arguments.
fn python_verdicts(jobs: &[Vec<PathBuf>]) -> Vec<Verdict> {
    let mut child = Command::new("python3")
        .args(["-c", DRIVER])
        .arg(testdata())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let line =
        |job: &Vec<PathBuf>| job.iter().map(|part| part.display().to_string()).collect::<Vec<_>>().join("\t") + "\n";
    let jobs: String = jobs.iter().map(line).collect();
    let mut input = child.stdin.take().expect("piped");
    // From a thread of its own: both pipes may be full at once.
    let writer = std::thread::spawn(move || input.write_all(jobs.as_bytes()));
    let output = child.wait_with_output().expect("python3 ends");
    writer.join().expect("no panic").expect("python3 reads");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("text");
    let parse = |line: &str| {
        let mut parts = line.split('\t').map(str::to_owned);
        (parts.next().expect("a code").parse().expect("a code"), parts.collect())
    };
    text.lines().map(parse).collect()
}
