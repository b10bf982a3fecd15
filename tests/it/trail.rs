//! The verified export as the join reads it: nothing is believed before the independent verifier found it valid.

use std::num::NonZero;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyward_audit_verify::{Checkpoint, Options, Vkey};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The fields of a record that the join looks at.
#[derive(Debug, Deserialize)]
pub(crate) struct Record {
    pub(crate) index: u64,
    pub(crate) epoch: u64,
    pub(crate) kind: String,
    pub(crate) action: String,
    pub(crate) request: String,
    pub(crate) decision: Option<String>,
    pub(crate) outcome: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) secret_version: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) answers: Option<u64>,
    #[serde(default)]
    pub(crate) parameters: Value,
    /// base64url, computed here from the record's bytes.
    #[serde(skip)]
    pub(crate) leaf: String,
}

impl Record {
    /// The secret's name, if the record is about one.
    pub(crate) fn secret(&self) -> Option<&str> {
        self.resource.as_deref()?.splitn(5, '/').nth(4)
    }

    pub(crate) fn is_allowed(&self, outcome: &str) -> bool {
        self.decision.as_deref() == Some("allow") && self.outcome.as_deref() == Some(outcome)
    }

    /// The event of a `system` record.
    pub(crate) fn event(&self) -> Option<&str> {
        self.parameters.get("event").and_then(Value::as_str)
    }
}

/// The records of a valid export, in order.
pub(crate) struct Trail {
    pub(crate) records: Vec<Record>,
}

impl Trail {
    /// Has the verifier check the export under `vkeys`, one a line, and against checkpoints remembered from before.
    pub(crate) fn verified(export: &[u8], vkeys: &str, since: &[String]) -> Self {
        let keys = Vkey::parse_file(vkeys).unwrap();
        let since: Vec<Checkpoint> =
            since.iter().map(|note| Checkpoint::open(note.as_bytes(), &keys).unwrap()).collect();
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let options = Options { keys: &keys, since: &since, threads, progress: &|_| {} };
        let report = keyward_audit_verify::verify(&export, &options).unwrap();
        assert!(report.is_valid(), "{:?}", report.findings);
        let lines = export.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty());
        let records: Vec<Record> = lines.map(record).collect();
        assert_eq!(report.head.unwrap().0, records.len() as u64);
        assert!(records.iter().zip(0..).all(|(record, index)| record.index == index));
        Self { records }
    }

    /// How many `system` records of this event there are.
    pub(crate) fn events(&self, event: &str) -> usize {
        self.records.iter().filter(|record| record.kind == "system" && record.event() == Some(event)).count()
    }
}

fn record(line: &[u8]) -> Record {
    let mut record: Record = serde_json::from_slice(line).unwrap();
    record.leaf = URL_SAFE_NO_PAD.encode(Sha256::digest([&[0], line].concat()));
    record
}
