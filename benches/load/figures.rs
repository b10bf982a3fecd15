//! What a run measured: latencies, kinds of answers, memory and disk over time.

use crate::gateway::TestGateway;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What the memory may grow by in the second half, in bytes: rows that are not in tables yet come and go, by as much within seconds.
const PROCESS_GROWTH_MAX: f64 = 64.0 * 1024.0 * 1024.0;
/// And what is held of files, once and again each minute. With the places of all blocks in memory it was 1 MiB a minute.
const FILES_GROWTH_MAX: f64 = 0.25 * 1024.0 * 1024.0;
/// How often memory and disk are looked at.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// Latencies in microseconds, every one of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies(Vec<u32>);

impl Latencies {
    pub(crate) fn push(&mut self, latency: Duration) {
        self.0.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Several percentiles in milliseconds; 0 of none.
    pub(crate) fn percentiles<const N: usize>(&self, percents: [f64; N]) -> [f64; N] {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        percents.map(|percent| {
            let place = (sorted.len() as f64 * percent / 100.0) as usize;
            sorted.get(place.min(sorted.len().saturating_sub(1))).map_or(0.0, |micros| f64::from(*micros) / 1_000.0)
        })
    }

    pub(crate) fn p99(&self) -> f64 {
        self.percentiles([99.0])[0]
    }

    pub(crate) fn median(&self) -> f64 {
        self.percentiles([50.0])[0]
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p90, p99, p999, most] = self.percentiles([50.0, 90.0, 99.0, 99.9, 100.0]);
        write!(formatter, "p50 {p50:.2} p90 {p90:.2} p99 {p99:.2} p99.9 {p999:.2} max {most:.0} ms of {}", self.0.len())
    }
}

/// How often each kind of answer came.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    expected: BTreeMap<&'static str, u64>,
    retried: BTreeMap<String, u64>,
    wrong: BTreeMap<String, u64>,
}

impl Tally {
    pub(crate) fn expected(&mut self, what: &'static str) {
        *self.expected.entry(what).or_default() += 1;
    }

    pub(crate) fn retried(&mut self, why: &str) {
        *self.retried.entry(why.to_owned()).or_default() += 1;
    }

    pub(crate) fn wrong(&mut self, what: String) {
        *self.wrong.entry(what).or_default() += 1;
    }

    pub(crate) fn append(&mut self, other: Self) {
        for (what, count) in other.expected {
            *self.expected.entry(what).or_default() += count;
        }
        for (why, count) in other.retried {
            *self.retried.entry(why).or_default() += count;
        }
        for (what, count) in other.wrong {
            *self.wrong.entry(what).or_default() += count;
        }
    }

    /// How often `what` was answered as expected.
    pub(crate) fn of(&self, what: &str) -> u64 {
        self.expected.get(what).copied().unwrap_or_default()
    }

    /// Prints all kinds; fails if one came that nobody asked for.
    pub(crate) fn settle(&self, title: &str) {
        println!("{title}: as asked for {:?}", self.expected);
        for (why, count) in &self.retried {
            println!("{title}: tried again {count} times: {why}");
        }
        assert!(self.wrong.is_empty(), "{title}: nobody asked for {:#?}", self.wrong);
    }
}

/// The bytes of all files below a folder.
pub(crate) fn folder_bytes(folder: &Path) -> u64 {
    bytes_of(folder, &|_| true)
}

/// The same of the store's write-ahead log alone, which is given up once what it holds is in tables.
pub(crate) fn wal_bytes(folder: &Path) -> u64 {
    bytes_of(folder, &|file| file.extension().is_some_and(|extension| extension == "log"))
}

fn bytes_of(folder: &Path, counts: &dyn Fn(&Path) -> bool) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_of(&entry.path(), counts),
        // A file that is gone by now counts no more.
        metadata => metadata.ok().filter(|_| counts(&entry.path())).map_or(0, |metadata| metadata.len()),
    });
    bytes.sum()
}

/// What a process holds in memory, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the gateway lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a figure");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// Processor time of a process so far, in seconds (proc(5): fields 14 and 15 of its stat, in ticks of 10 ms).
pub(crate) fn processor_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the gateway lives");
    let (_, fields) = stat.rsplit_once(") ").expect("a name");
    fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("ticks")).sum::<f64>() / 100.0
}

pub(crate) fn mib(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}

/// What is looked at each second, with the unit of the table.
const COLUMNS: [&str; 5] = ["memory", "data folder", "store's cache", "store's files", "store's unwritten rows"];

/// One look: the second, and the bytes of each column.
type Sample = [f64; 1 + COLUMNS.len()];

/// Memory of a gateway, bytes of its data folder, and what its store says that it holds in memory, once a second.
pub(crate) struct Samples(Mutex<Vec<Sample>>);

impl Samples {
    /// Looks until `stop`.
    pub(crate) fn take(gateway: &TestGateway, stop: &AtomicBool) -> Self {
        let (since, data) = (Instant::now(), gateway.installation().path("data"));
        let samples = Self(Mutex::default());
        while !stop.load(Ordering::Relaxed) {
            let [cache, files, unwritten] = store_bytes(gateway);
            let process = resident_bytes(gateway.pid()) as f64;
            let sample = [since.elapsed().as_secs_f64(), process, folder_bytes(&data) as f64, cache, files, unwritten];
            samples.0.lock().unwrap().push(sample);
            thread::sleep(SAMPLE_EVERY);
        }
        samples
    }

    /// Prints all over time; by how many bytes each grew in the second half, by the line through it.
    pub(crate) fn settle(&self) -> Growth {
        let samples = self.0.lock().unwrap();
        let (seconds, count) = (samples.last().map_or(0.0, |last| last[0]), samples.len());
        println!("MiB of {}", COLUMNS.join(", "));
        for eighth in 0..=8 {
            let Some([at, bytes @ ..]) = samples.get((count * eighth / 8).min(count.saturating_sub(1))) else { break };
            println!("  at {at:.0} s: {}", bytes.map(|bytes| format!("{:.1}", mib(bytes))).join(", "));
        }
        let half = &samples[count / 2..];
        let slopes: [f64; COLUMNS.len()] = std::array::from_fn(|column| slope(half, column + 1));
        let shown = slopes.map(|slope| format!("{:+.2}", mib(slope * 60.0)));
        println!("  a minute of the second half: {}", shown.join(", "));
        let [process, _, cache, files, _] = slopes;
        let half_s = seconds / 2.0;
        Growth { process: (process - cache) * half_s, files: files * half_s, minutes: half_s / 60.0 }
    }
}

/// By how much the memory grew in the second half, in bytes.
pub(crate) struct Growth {
    /// The process, besides what the store's cache took: that has a bound, and takes long to reach it.
    process: f64,
    /// What the store holds of its files beside its cache.
    files: f64,
    /// Length of the half.
    minutes: f64,
}

impl Growth {
    /// # Panics
    /// If it is more than may be, which depends on how long the half was.
    pub(crate) fn check(&self) {
        let Self { process, files, minutes } = self;
        assert!(*process < PROCESS_GROWTH_MAX, "the memory grew by {:.1} MiB in the second half", mib(*process));
        let most = FILES_GROWTH_MAX + FILES_GROWTH_MAX * minutes;
        assert!(*files < most, "what is held of files grew by {:.2} MiB in {minutes:.1} minutes", mib(*files));
    }
}

/// What the store says that it holds in memory, as the metrics tell it.
fn store_bytes(gateway: &TestGateway) -> [f64; 3] {
    let metrics = String::from_utf8(gateway.get("/metrics").bytes).expect("text");
    ["cache", "files", "unwritten"].map(|part| {
        let name = format!("keyward_store_memory_bytes{{part=\"{part}\"}} ");
        let told = metrics.lines().find_map(|line| line.strip_prefix(name.as_str()));
        told.map_or(0.0, |bytes| bytes.parse().expect("a number"))
    })
}

/// Least squares: by how much column `which` grows a second.
fn slope(samples: &[Sample], which: usize) -> f64 {
    let count = samples.len() as f64;
    let mean = |of: usize| samples.iter().map(|sample| sample[of]).sum::<f64>() / count;
    let (x, y) = (mean(0), mean(which));
    let up: f64 = samples.iter().map(|sample| (sample[0] - x) * (sample[which] - y)).sum();
    let down: f64 = samples.iter().map(|sample| (sample[0] - x).powi(2)).sum();
    if down > 0.0 { up / down } else { 0.0 }
}
