//! The head of the log: what the next record is appended to. Its rows in `state` change in every batch.
//!
//! INVARIANT I2: head, records and tiles are one batch, so the head always fits the records below it. The `head` row
//! is also the guard of every commit: a batch goes in only on top of the head that its sequencer believes in.
//!
//! | name | holds |
//! |---|---|
//! | `head` | be16 schema (1), be32 epoch, be64 size, be64 time, chain, be64 batch, seal flag and be64 index of the last seal, be64 time of it, then a count a kind since: u8 length, word, be64 |
//! | `frontier` | the frontier at `size` |
//! | `tree` | the tree's partial tiles as of the last multiple of 256; what lies above comes from the records |
//! | `generation/<name>` | be64 generation |
//! | `continues` | under the chain id of a later origin: the first origin of the log, whose chain goes on |

use super::keys::ChainId;
use super::shared::Durable;
use crate::hash::{self, Digest};
use crate::record::Kind;
use crate::store::{Family, Snapshot, StoreError, Write};
use crate::tree::{Frontier, FullTile, TILE_WIDTH, Tree};

/// Layout of the rows in `state`.
const SCHEMA: u16 = 1;
/// Records under a full tile of level 0.
pub(super) const TILE: u64 = TILE_WIDTH as u64;

pub(super) const HEAD: &str = "head";
const FRONTIER: &str = "frontier";
const TREE: &str = "tree";
const CONTINUES: &str = "continues";
pub(super) const GENERATION: &str = "generation/";

/// The last seal, and what was written since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sealed {
    /// Its index; none before the first one.
    pub(super) index: Option<u64>,
    /// When it was written; the log's creation before the first one.
    pub(super) time_us: u64,
    /// Records since, by kind.
    pub(super) counts: Vec<(Kind, u64)>,
}

impl Sealed {
    fn count(&mut self, kind: Kind) {
        match self.counts.iter_mut().find(|(counted, _)| *counted == kind) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.counts.push((kind, 1)),
        }
    }
}

/// What the next record is appended to.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) epoch: u32,
    pub(super) size: u64,
    /// Time of the last record.
    pub(super) time_us: u64,
    pub(super) chain: Digest,
    /// Number of the last batch.
    pub(super) batch: u64,
    pub(super) sealed: Sealed,
    pub(super) tree: Tree,
}

impl Head {
    /// The head of an empty log.
    pub(super) fn empty(chain: Digest, time_us: u64) -> Self {
        Self {
            epoch: 1,
            size: 0,
            time_us: 0,
            chain,
            batch: 0,
            sealed: Sealed { index: None, time_us, counts: Vec::new() },
            tree: Tree::new(),
        }
    }

    /// The head after a record; full tiles go to `full`.
    pub(super) fn append(&mut self, kind: Kind, leaf: &Digest, time_us: u64, full: &mut Vec<FullTile>) {
        self.chain = hash::chain_next(&self.chain, leaf);
        self.tree.push(*leaf, full);
        if kind == Kind::Seal {
            self.sealed = Sealed { index: Some(self.size), time_us, counts: Vec::new() };
        } else {
            self.sealed.count(kind);
        }
        self.time_us = time_us;
        self.size = self.size.saturating_add(1);
    }

    pub(super) fn root(&self) -> Digest {
        self.tree.root()
    }

    /// This head, once it is in the store.
    pub(super) fn durable(&self) -> Durable {
        Durable { epoch: self.epoch, size: self.size, time_us: self.time_us, chain: self.chain, root: self.root() }
    }

    /// The `head` row.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut row = Vec::with_capacity(256);
        row.extend_from_slice(&SCHEMA.to_be_bytes());
        row.extend_from_slice(&self.epoch.to_be_bytes());
        row.extend_from_slice(&self.size.to_be_bytes());
        row.extend_from_slice(&self.time_us.to_be_bytes());
        row.extend_from_slice(&self.chain);
        row.extend_from_slice(&self.batch.to_be_bytes());
        row.push(u8::from(self.sealed.index.is_some()));
        row.extend_from_slice(&self.sealed.index.unwrap_or(0).to_be_bytes());
        row.extend_from_slice(&self.sealed.time_us.to_be_bytes());
        for (kind, count) in &self.sealed.counts {
            let word = kind.word().as_bytes();
            row.push(u8::try_from(word.len()).unwrap_or(u8::MAX));
            row.extend_from_slice(word);
            row.extend_from_slice(&count.to_be_bytes());
        }
        row
    }

    /// The rows that every batch writes; `head_row` is this head, encoded.
    pub(super) fn rows(&self, id: ChainId, head_row: &[u8]) -> [Write; 2] {
        [
            Write { key: id.state(HEAD), value: Some(head_row.to_vec()) },
            Write { key: id.state(FRONTIER), value: Some(self.tree.frontier().encode()) },
        ]
    }

    /// The row to write when the size has reached a multiple of [`TILE`].
    pub(super) fn tree_row(&self, id: ChainId) -> Write {
        Write { key: id.state(TREE), value: Some(self.tree.encode()) }
    }

    /// The size in a `head` row.
    pub(super) fn size_of(row: &[u8]) -> Option<u64> {
        Fields { rest: row }.head().map(|head| head.size)
    }

    /// Reads what the rows state, without holding them against records: the head, its tree left empty, and the root.
    pub(super) fn stated(snapshot: &dyn Snapshot, id: ChainId) -> Result<Option<(Self, Digest)>, StoreError> {
        let Some(row) = get_state(snapshot, id, HEAD)? else {
            return Ok(None);
        };
        let head = Fields { rest: &row }.head().ok_or_else(|| damaged(HEAD))?;
        let frontier = get_state(snapshot, id, FRONTIER)?.and_then(|row| Frontier::decode(&row).ok());
        Ok(Some((head, frontier.ok_or_else(|| damaged(FRONTIER))?.root())))
    }

    /// Reads the head; none if the store holds no log of this chain.
    pub(super) fn load(snapshot: &dyn Snapshot, id: ChainId) -> Result<Option<Self>, StoreError> {
        let Some(row) = get_state(snapshot, id, HEAD)? else {
            return Ok(None);
        };
        let mut fields = Fields { rest: &row };
        let mut head = fields.head().ok_or_else(|| damaged(HEAD))?;
        head.tree = load_tree(snapshot, id, head.size)?;
        let frontier = get_state(snapshot, id, FRONTIER)?;
        if frontier.as_deref() != Some(head.tree.frontier().encode().as_slice()) {
            return Err(damaged(FRONTIER));
        }
        Ok(Some(head))
    }
}

/// The tree at `size`, which must be the log's size: the stored one and the leaves of the records above it.
fn load_tree(snapshot: &dyn Snapshot, id: ChainId, size: u64) -> Result<Tree, StoreError> {
    let mut tree = match get_state(snapshot, id, TREE)? {
        Some(row) => Tree::decode(&row).map_err(|_| damaged(TREE))?,
        None => Tree::new(),
    };
    if tree.size() != size - size % TILE {
        return Err(damaged(TREE));
    }
    let keys = id.records(tree.size()..size);
    let mut full = Vec::new();
    snapshot.scan(Family::Records, &keys.start, &keys.end, false, &mut |_, record| {
        tree.push(hash::leaf(record), &mut full);
        true
    })?;
    if tree.size() == size { Ok(tree) } else { Err(damaged("records below the head")) }
}

/// Every generation that was ever moved.
pub(super) fn load_generations(snapshot: &dyn Snapshot, id: ChainId) -> Result<Vec<(String, u64)>, StoreError> {
    let keys = id.all(GENERATION.as_bytes());
    let mut generations = Vec::new();
    let mut sound = true;
    snapshot.scan(Family::State, &keys.start, &keys.end, false, &mut |key, value| {
        let name = super::keys::behind_chain(key).strip_prefix(GENERATION.as_bytes());
        let name = name.and_then(|name| String::from_utf8(name.to_vec()).ok());
        match (name, value.try_into().map(u64::from_be_bytes)) {
            (Some(name), Ok(value)) => generations.push((name, value)),
            _ => sound = false,
        }
        sound
    })?;
    if sound { Ok(generations) } else { Err(damaged(GENERATION)) }
}

/// The value of one generation as of this snapshot; 0 if none moved it.
pub(super) fn generation_in(snapshot: &dyn Snapshot, id: ChainId, name: &str) -> Result<u64, StoreError> {
    let row = snapshot.get(Family::State, &id.state(&format!("{GENERATION}{name}")).bytes)?;
    let value = row.map(|bytes| bytes.try_into().map(u64::from_be_bytes));
    value.transpose().map(Option::unwrap_or_default).map_err(|_| damaged(GENERATION))
}

/// The row that moves a generation.
pub(super) fn generation_row(id: ChainId, name: &str, value: u64) -> Write {
    Write { key: id.state(&format!("{GENERATION}{name}")), value: Some(value.to_be_bytes().to_vec()) }
}

/// The row that says, under a later origin, where its log began.
pub(super) fn continues_row(later: ChainId, first_origin: &str) -> Write {
    Write { key: later.state(CONTINUES), value: Some(first_origin.as_bytes().to_vec()) }
}

/// The first origin of the log that signs under `origin` now.
pub(super) fn first_origin(snapshot: &dyn Snapshot, origin: &str) -> Result<String, StoreError> {
    let id = ChainId::of(&hash::chain_start(origin));
    match get_state(snapshot, id, CONTINUES)? {
        Some(first) => String::from_utf8(first).map_err(|_| damaged(CONTINUES)),
        None => Ok(origin.to_owned()),
    }
}

fn get_state(snapshot: &dyn Snapshot, id: ChainId, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    snapshot.get(Family::State, &id.state(name).bytes)
}

pub(super) fn damaged(what: &str) -> StoreError {
    StoreError::Damaged(format!("the `{what}` of the log's state cannot be read"))
}

/// What is left of a row.
struct Fields<'a> {
    rest: &'a [u8],
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*field)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn head(&mut self) -> Option<Head> {
        if u16::from_be_bytes(self.take()?) != SCHEMA {
            return None;
        }
        let epoch = u32::from_be_bytes(self.take()?);
        let (size, time_us, chain, batch) = (self.number()?, self.number()?, self.take()?, self.number()?);
        let sealed = self.sealed()?;
        let head = Head::empty(chain, 0);
        Some(Head { epoch, size, time_us, batch, sealed, ..head })
    }

    fn sealed(&mut self) -> Option<Sealed> {
        let [flag] = self.take()?;
        let index = self.number()?;
        let time_us = self.number()?;
        let mut counts = Vec::new();
        while !self.rest.is_empty() {
            counts.push(self.count()?);
        }
        Some(Sealed { index: (flag == 1).then_some(index), time_us, counts })
    }

    fn count(&mut self) -> Option<(Kind, u64)> {
        let [length] = self.take()?;
        let (word, rest) = self.rest.split_at_checked(usize::from(length))?;
        self.rest = rest;
        let kind = Kind::ALL.into_iter().find(|kind| kind.word().as_bytes() == word)?;
        Some((kind, self.number()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_row_reads_back() {
        let mut head = Head::empty([7; 32], 99);
        let mut full = Vec::new();
        for (kind, time_us) in [(Kind::System, 100), (Kind::Access, 101), (Kind::Seal, 102), (Kind::Access, 103)] {
            head.append(kind, &[3; 32], time_us, &mut full);
        }
        head.epoch = 4;
        head.batch = 9;
        let row = head.encode();
        let read = Fields { rest: &row }.head().expect("a head");
        assert_eq!((read.epoch, read.size, read.time_us, read.chain, read.batch), (4, 4, 103, head.chain, 9));
        assert_eq!(read.sealed, Sealed { index: Some(2), time_us: 102, counts: vec![(Kind::Access, 1)] });
        for cut in 0..row.len() {
            let read = Fields { rest: row.get(..cut).expect("a part") }.head();
            assert!(read.is_none_or(|read| read.sealed.counts.is_empty()), "cut at {cut}");
        }
    }
}
