//! RocksDB's write-ahead log, read independently of RocksDB: which of its batches are whole, where each begins and
//! ends, and how many records the log has after it. Written from the format's description (blocks of 32 KiB; a
//! fragment is a masked CRC-32C, a length, a type and its bytes; a record is one batch).

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

const BLOCK: usize = 32 * 1024;
const HEADER: usize = 7;

/// One batch of the file.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// Its bytes in the file, headers of its fragments included.
    pub(crate) place: Range<usize>,
    /// Indices of the records in it.
    pub(crate) records: Option<Range<u64>>,
}

/// What of a file is whole, from its start to the first damage.
#[derive(Clone, Debug)]
pub(crate) struct Wal {
    pub(crate) batches: Vec<Batch>,
    /// Whether anything follows that is not whole.
    pub(crate) is_torn: bool,
}

/// The live write-ahead log of a store: its one file of that kind that is not empty.
pub(crate) fn live_file(store: &Path) -> PathBuf {
    let files = fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path());
    let mut logs: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|kind| kind == "log") && path.metadata().unwrap().len() > 0)
        .collect();
    assert_eq!(logs.len(), 1, "{logs:?}");
    logs.remove(0)
}

impl Wal {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let mut wal = Self { batches: Vec::new(), is_torn: false };
        let (mut at, mut start, mut batch) = (0, 0, None::<Vec<u8>>);
        while at < bytes.len() {
            if BLOCK - at % BLOCK < HEADER {
                at += BLOCK - at % BLOCK;
                continue;
            }
            let Some((kind, payload)) = fragment(&bytes[at..]) else { break };
            let from = at;
            at += HEADER + payload.len();
            match (kind, &mut batch) {
                (1 | 2, None) => (start, batch) = (from, Some(payload.to_vec())),
                (3 | 4, Some(batch)) => batch.extend(payload),
                _ => panic!("a fragment of kind {kind} at {from}"),
            }
            if let (1 | 4, Some(batch)) = (kind, batch.take_if(|_| matches!(kind, 1 | 4))) {
                wal.batches.push(Batch { place: start..at, records: records(&batch) });
            }
        }
        wal.is_torn = wal.end() < bytes.len();
        wal
    }

    /// Where the last whole batch ends.
    pub(crate) fn end(&self) -> usize {
        self.batches.last().map_or(0, |batch| batch.place.end)
    }

    /// Records that a store holds which has the whole batches of this file on top of `base` records.
    pub(crate) fn size(&self, base: u64) -> u64 {
        self.batches.iter().filter_map(|batch| Some(batch.records.as_ref()?.end)).next_back().unwrap_or(base)
    }

    /// Index of the first record in it.
    pub(crate) fn first(&self) -> u64 {
        self.batches.iter().find_map(|batch| Some(batch.records.as_ref()?.start)).unwrap()
    }
}

/// Kind and payload of the fragment that `bytes` begin with, if it is whole.
fn fragment(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let length = usize::from(u16::from_le_bytes([header[4], header[5]]));
    let payload = rest.get(..length)?;
    let crc = crc32c(&[&header[6..], payload].concat());
    let masked = crc.rotate_right(15).wrapping_add(0xa282_ead8);
    (masked.to_le_bytes() == header[..4]).then_some((header[6], payload))
}

fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// Indices of the log's records among the rows of a batch: a chain id and an index as key, a JSON object as value.
fn records(batch: &[u8]) -> Option<Range<u64>> {
    let mut rest = &batch[12..];
    let mut found: Option<Range<u64>> = None;
    while let Some((tag, after)) = rest.split_first() {
        rest = after;
        match tag {
            0x04 => drop((varint(&mut rest), text(&mut rest))),
            0x05 => {
                varint(&mut rest);
                let (key, value) = (text(&mut rest), text(&mut rest));
                if key.len() == 16 && value.starts_with(b"{\"action\":") {
                    let index = u64::from_be_bytes(key[8..].try_into().unwrap());
                    found = Some(found.map_or(index, |found| found.start)..index + 1);
                }
            }
            other => panic!("a row of kind {other}"),
        }
    }
    found
}

fn varint(rest: &mut &[u8]) -> usize {
    let mut number = 0;
    for shift in (0..).step_by(7) {
        let (byte, after) = rest.split_first().unwrap();
        *rest = after;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}

fn text<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let length = varint(rest);
    let (text, after) = rest.split_at(length);
    *rest = after;
    text
}
