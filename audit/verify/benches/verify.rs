//! Speed of the verifier beside plain SHA-256 over the same bytes, in one run: `cargo bench -p keyward-audit-verify`.
//!
//! The log is about 230 MB of records like those of the specification's sample, with seals, in a temporary file that
//! the system's cache holds. Both sides read it in the same pieces. Goal: at least 0.3 of SHA-256 on one core.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench that cannot go on has failed, and its figures are its output"
)]

use ed25519_dalek::{Signer as _, SigningKey};
use keyward_audit_verify::tree::{Frontier, leaf};
use keyward_audit_verify::{Options, Source as _, Vkey, verify};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::time::{Duration, Instant};

const RECORDS: u64 = 200_000;
const ROUNDS: usize = 7;
const ORIGIN: &str = "bench.example.com/keyward";
const SAMPLE: &str = include_str!("../../testdata/sample.jsonl");

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// A record like number 2 to 6 of the sample, at its own place and time.
fn record(template: &str, index: u64) -> String {
    let value: serde_json::Value = serde_json::from_str(template).expect("a sample record");
    let serde_json::Value::Object(mut fields) = value else { panic!("a sample record") };
    fields.insert("index".into(), index.into());
    fields.insert("time".into(), (1_767_225_600_000_000 + index).into());
    fields.insert("request".into(), format!("00000000-0000-4000-8000-{index:012x}").into());
    serde_json::Value::Object(fields).to_string()
}

/// Writes an export and hands back the key that signed it, and the bytes of its records.
fn make_log(file: &File) -> (Vkey, u64) {
    let key = SigningKey::from_bytes(&[7; 32]);
    let typed = [&[1], key.verifying_key().as_bytes().as_slice()].concat();
    let id: [u8; 32] = Sha256::digest([ORIGIN.as_bytes(), b"\n", &typed].concat()).into();
    let digits: String = id[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let vkey = Vkey::parse(&format!("{ORIGIN}+{digits}+{}", base64(&typed))).expect("a vkey");

    let templates: Vec<&str> = SAMPLE.lines().skip(2).take(5).collect();
    let (mut tree, mut leaves, mut bytes) = (Frontier::default(), String::new(), 0);
    let mut out = BufWriter::new(file);
    for index in 0..RECORDS {
        let text = record(templates[usize::try_from(index).expect("small") % templates.len()], index);
        tree.push(leaf(text.as_bytes()));
        leaves.push_str(&base64(&leaf(text.as_bytes())));
        leaves.push('\n');
        bytes += text.len() as u64 + 1;
        writeln!(out, "{text}").expect("room on the disk");
    }
    let text = format!("{ORIGIN}\n{RECORDS}\n{}\n", base64(&tree.root()));
    let signature = [&id[..4], &key.sign(text.as_bytes()).to_bytes()].concat();
    write!(out, "\n{text}\n\u{2014} {ORIGIN} {}\n\n{leaves}", base64(&signature)).expect("room on the disk");
    out.flush().expect("room on the disk");
    (vkey, bytes)
}

/// SHA-256 over the records, by `threads` threads, each over its own share.
fn plain(file: &File, bytes: u64, threads: u64) {
    let hash_share = |share: u64| {
        let (mut at, end) = (bytes * share / threads, bytes * (share + 1) / threads);
        let mut buffer = vec![0; 1 << 18];
        let mut hasher = Sha256::new();
        while at < end {
            let wanted = buffer.len().min(usize::try_from(end - at).expect("fits"));
            let read = file.read_at(at, &mut buffer[..wanted]).expect("readable");
            hasher.update(&buffer[..read]);
            at += read as u64;
        }
        std::hint::black_box(hasher.finalize());
    };
    std::thread::scope(|scope| {
        (1..threads).for_each(|share| drop(scope.spawn(move || hash_share(share))));
        hash_share(0);
    });
}

fn checked(file: &File, key: &Vkey, threads: usize) {
    let keys = std::slice::from_ref(key);
    let report = verify(file, &Options { keys, since: &[], threads, progress: &|_| {} }).expect("a verdict");
    assert!(report.is_valid(), "{:?}", report.findings);
}

/// Time that this thread has had a processor, which other programs on the machine do not lengthen.
fn on_processor() -> Duration {
    let figures =
        std::fs::read_to_string("/proc/thread-self/schedstat").expect("a Linux kernel with scheduler figures");
    Duration::from_nanos(figures.split(' ').next().and_then(|figure| figure.parse().ok()).expect("nanoseconds"))
}

/// How long a run takes: on the processor if this thread does all, else on the clock.
fn time(threads: u64, run: impl FnOnce()) -> Duration {
    let (start, before) = (Instant::now(), on_processor());
    run();
    if threads == 1 { on_processor().saturating_sub(before) } else { start.elapsed() }
}

fn main() {
    let file = tempfile::tempfile().expect("a temporary file");
    let (key, bytes) = make_log(&file);
    for threads in [1, 2] {
        // In turn, and the shortest of each: what else the machine does falls on both.
        let round = |_| {
            let verified = time(threads, || checked(&file, &key, usize::try_from(threads).expect("small")));
            (time(threads, || plain(&file, bytes, threads)), verified)
        };
        let (hashed, verified): (Vec<_>, Vec<_>) = (0..ROUNDS).map(round).unzip();
        let rate = |times: &[Duration]| bytes as f64 / times.iter().min().expect("a round").as_secs_f64() / 1e6;
        let (hashed, verified) = (rate(&hashed), rate(&verified));
        println!(
            "{threads} thread(s), {RECORDS} records, {} MB: SHA-256 {hashed:.0} MB/s, verify {verified:.0} MB/s, ratio {:.2}",
            bytes / 1_000_000,
            verified / hashed
        );
    }
}
