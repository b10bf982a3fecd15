//! What clients write down, each in a file of its own, outside the process that is killed: a line before a request is
//! sent and a line for what came back. These files and the verified export are all that the join believes.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// A request as it was sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) action: String,
    pub(crate) secret: String,
    pub(crate) version: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) stage: bool,
}

/// A reply as it was received.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Received {
    pub(crate) at_us: u64,
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) request: String,
    pub(crate) locator: Option<(u64, String)>,
    pub(crate) version: Option<String>,
    pub(crate) value: Option<String>,
}

#[derive(Serialize, Deserialize)]
enum Line {
    Sent(u64, Call),
    Received(Received),
}

/// One request and what became of it, as far as its client knows.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) sent_us: u64,
    pub(crate) call: Call,
    pub(crate) received: Option<Received>,
}

/// A client's file.
pub(crate) struct Journal {
    file: File,
    started: Instant,
}

impl Journal {
    /// `started` is where the clock of all journals of a test begins.
    pub(crate) fn create(path: &Path, started: Instant) -> Self {
        Self { file: File::create_new(path).unwrap(), started }
    }

    pub(crate) fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap()
    }

    pub(crate) fn sent(&mut self, call: &Call) {
        self.write(&Line::Sent(self.now_us(), call.clone()));
    }

    pub(crate) fn received(&mut self, received: Received) {
        self.write(&Line::Received(received));
    }

    /// One line, in one write.
    fn write(&mut self, line: &Line) {
        let mut line = serde_json::to_vec(line).unwrap();
        line.push(b'\n');
        self.file.write_all(&line).unwrap();
    }
}

/// All exchanges of all journals in `directory`, each client's in order.
pub(crate) fn read_all(directory: &Path) -> Vec<Vec<Exchange>> {
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    for line in fs::read_to_string(path).unwrap().lines() {
        match serde_json::from_str(line).unwrap() {
            Line::Sent(sent_us, call) => exchanges.push(Exchange { sent_us, call, received: None }),
            Line::Received(received) => {
                let replaced = exchanges.last_mut().unwrap().received.replace(received);
                assert!(replaced.is_none(), "two replies to one request in {}", path.display());
            }
        }
    }
    exchanges
}
