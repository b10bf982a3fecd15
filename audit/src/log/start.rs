//! What a store must show before anything is served from it (audit-log.md 6.3).
//!
//! INVARIANT I7: refused if and only if a record below the high-water mark is lost: fewer records than the mark
//! remembers, another head at the mark's size, a record that its commitment does not fit, or no readable mark to show
//! the contrary; or if its last record is that of an accepted loss that was not finished. A torn record above the mark is normal after a crash; a whole file of the engine's log that was synced
//! and is gone is not. Nothing is changed here.

use super::head::{self, Head, TILE, damaged};
use super::keys::{ChainId, number};
use super::proofs::{StoredHashes, stored_tile};
use crate::hash::{self, Digest};
use crate::mark::{Mark, MarkError};
use crate::record::{Kind, Record, Value};
use crate::store::{Family, Snapshot, StoreError, Verdict};
use crate::tree::{HashSource, consistency_proof, verify_consistency};

/// How many of the last records are checked against the head.
const CHECKED: u64 = 65_536;

/// Why a log is not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Records below the mark are gone.
    #[error(
        "the store holds `{size}` records, the high-water mark remembers `{mark}`: records are lost. restore them, \
         or with the server stopped run `keyward audit accept-loss --reason TEXT`"
    )]
    Lost {
        /// Records in the store.
        size: u64,
        /// Records that there were.
        mark: u64,
    },
    /// The records below the mark are not those that it remembers.
    #[error(
        "the store holds `{size}` records, but its head at `{mark}`, the size of the high-water mark, is another \
         one: records are lost. restore them, or with the server stopped run `keyward audit accept-loss --reason TEXT`"
    )]
    OtherHead {
        /// Records in the store.
        size: u64,
        /// Size of the mark.
        mark: u64,
    },
    /// Nothing shows that no record is lost.
    #[error(
        "{mark}; the store holds `{size}` records, and nothing shows that none is lost. restore the mark, or with the \
         server stopped run `keyward audit accept-loss --reason TEXT`"
    )]
    NoMark {
        /// Records in the store.
        size: u64,
        /// What is wrong with the mark.
        mark: MarkError,
    },
    /// The mark is there and cannot be read: it may show that no record is lost.
    #[error("{0}. make it readable to the gateway's user")]
    MarkNotRead(MarkError),
    /// A file of the engine's own log is gone that was synced and closed, so records are gone, even if the mark knows of
    /// none of them.
    #[error(
        "the store lacks `{file}`, which was synced: records are lost. without it the store holds `{size}` records, the \
         high-water mark remembers `{mark}`. restore it, or with the server stopped run `keyward audit accept-loss --reason \
         TEXT`"
    )]
    Gap {
        /// The file.
        file: String,
        /// Records before the gap.
        size: u64,
        /// Records that the mark remembers.
        mark: u64,
    },
    /// The store was restored from a backup, and nobody has accepted that.
    #[error(
        "the store was restored from a backup of `{size}` records, and {newer}: what came after it is not in it. restore a newer \
         backup, or with the server stopped run `keyward audit accept-loss --reason TEXT`"
    )]
    Restored {
        /// Records in the backup.
        size: u64,
        /// What is known of later ones.
        newer: String,
    },
    /// A loss was accepted, and what follows its record was not done.
    #[error(
        "a loss was accepted, and the log goes on under the origin `{0}`, but that was not finished. with the server stopped run \
         `keyward audit accept-loss --reason TEXT` again"
    )]
    Unfinished(String),
    /// A record does not fit the log's state.
    #[error("index `{index}`: {reason}. the store holds `{size}` records; restore it")]
    Altered {
        /// Its index.
        index: u64,
        /// What does not fit.
        reason: &'static str,
        /// Records in the store.
        size: u64,
    },
    /// The mark is that of another origin.
    #[error(
        "the high-water mark is not that of the origin `{0}`; after an accepted loss, `origin` and `signing_key` must \
         be those that it printed"
    )]
    OtherOrigin(String),
    /// The store holds no log that signs under this origin.
    #[error("the store holds no log of the origin `{0}`")]
    NoLog(String),
    /// The key does not sign for the origin.
    #[error("the signing key is that of `{key}`, the origin is `{origin}`")]
    OtherKey {
        /// Name of the key.
        key: String,
        /// The origin.
        origin: String,
    },
    /// The mark cannot be made.
    #[error(transparent)]
    Mark(MarkError),
    /// A thread cannot be started.
    #[error("a thread of the log cannot be started: {0}")]
    Thread(std::io::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a store that may be served from holds.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) chain_start: Digest,
    pub(super) head: Head,
    pub(super) generations: Vec<(String, u64)>,
}

impl Examined {
    pub(super) fn id(&self) -> ChainId {
        ChainId::of(&self.chain_start)
    }
}

/// Loads the log that signs under `origin`; its rows must fit each other.
pub(super) fn load(rows: &dyn Snapshot, origin: &str) -> Result<Examined, OpenError> {
    let chain_start = hash::chain_start(&head::first_origin(rows, origin)?);
    let id = ChainId::of(&chain_start);
    let head = Head::load(rows, id)?.ok_or_else(|| OpenError::NoLog(origin.to_owned()))?;
    Ok(Examined { chain_start, head, generations: head::load_generations(rows, id)? })
}

/// Loads the log and holds it against its mark and its own last records.
pub(super) fn examine(rows: &dyn Snapshot, origin: &str, mark: &Mark) -> Result<Examined, OpenError> {
    let examined = load(rows, origin)?;
    if mark.origin_hash != hash::sha256(origin.as_bytes()) {
        return Err(OpenError::OtherOrigin(origin.to_owned()));
    }
    if let Some(loss) = last_loss(rows, &examined, origin)? {
        let new = loss.draft().parameters.get("new_origin").and_then(Value::as_text);
        return Err(OpenError::Unfinished(new.unwrap_or_default().to_owned()));
    }
    let (size, marked) = (examined.head.size, mark.size);
    if size < marked {
        return Err(OpenError::Lost { size, mark: marked });
    }
    if !extends(rows, &examined, mark)? {
        return Err(OpenError::OtherHead { size, mark: marked });
    }
    recheck(rows, &examined, Some(mark))?;
    Ok(examined)
}

/// The last record, if it is that of a loss of the log that signed under `origin`. Such a log may look whole to its mark.
pub(super) fn last_loss(rows: &dyn Snapshot, examined: &Examined, origin: &str) -> Result<Option<Record>, StoreError> {
    let Some(last) = examined.head.size.checked_sub(1) else { return Ok(None) };
    let bytes = rows.get(Family::Records, &examined.id().record(last).bytes)?;
    let record = bytes.and_then(|bytes| Record::parse(&bytes).ok()).filter(|record| record.kind() == Kind::Loss);
    let of = |record: &Record| record.draft().parameters.get("old_origin").and_then(Value::as_text) == Some(origin);
    Ok(record.filter(of))
}

/// Lets `examine` speak as a judge of a store; what it found is left in `found`.
pub(super) fn judge(
    found: &mut Option<Result<Examined, OpenError>>,
    examined: Result<Examined, OpenError>,
) -> Result<Verdict, StoreError> {
    match examined {
        Err(OpenError::Store(error)) => Err(error),
        Err(refusal) => {
            let why = refusal.to_string();
            *found = Some(Err(refusal));
            Ok(Verdict::Refuse(why))
        }
        Ok(examined) => {
            *found = Some(Ok(examined));
            Ok(Verdict::Accept)
        }
    }
}

/// Whether the tree of the mark is the beginning of the stored one.
fn extends(rows: &dyn Snapshot, examined: &Examined, mark: &Mark) -> Result<bool, StoreError> {
    if mark.size == 0 && mark.chain != examined.chain_start {
        return Ok(false);
    }
    begins_with(rows, examined, mark.size, &mark.root)
}

/// Whether the tree of `size` records with `root` is the beginning of the stored one.
pub(super) fn begins_with(
    rows: &dyn Snapshot,
    examined: &Examined,
    size: u64,
    root: &Digest,
) -> Result<bool, StoreError> {
    let head = &examined.head;
    if size == 0 {
        return Ok(*root == hash::empty_root());
    }
    let hashes = StoredHashes { snapshot: rows, id: examined.id(), head };
    let proof = match consistency_proof(size, head.size, &hashes) {
        Ok(proof) => proof,
        Err(crate::tree::ProofError::Source(error)) => return Err(error),
        Err(_) => return Ok(false),
    };
    Ok(verify_consistency(size, head.size, &proof, root, &head.root()).is_ok())
}

/// Why a store was not opened: what `examine` found, as [`judge`] left it, says more than the store's own error.
pub(super) fn refusal(error: StoreError, found: Option<Result<Examined, OpenError>>, mark: Option<&Mark>) -> OpenError {
    match (error, found) {
        (_, Some(Err(refusal))) => refusal,
        (StoreError::Gap(file), Some(Ok(examined))) => {
            OpenError::Gap { file, size: examined.head.size, mark: mark.map_or(0, |mark| mark.size) }
        }
        (error, _) => error.into(),
    }
}

/// Checks the last records: each is canonical and at its index, fits its tile, and the chain from the first known
/// value (start, mark or seal) leads through mark and seals to the head.
pub(super) fn recheck(rows: &dyn Snapshot, examined: &Examined, mark: Option<&Mark>) -> Result<(), OpenError> {
    let size = examined.head.size;
    let from = size.saturating_sub(CHECKED);
    let from = from - from % TILE;
    let hashes = StoredHashes { snapshot: rows, id: examined.id(), head: &examined.head };
    let chain = (from == 0).then_some(examined.chain_start);
    let mut fold = Fold { hashes: &hashes, mark, size, next: from, chain, leaves: Vec::new() };
    let keys = examined.id().records(from..size);
    let mut failed = None;
    rows.scan(Family::Records, &keys.start, &keys.end, false, &mut |key, bytes| {
        failed = fold.record(number(key), bytes).err();
        failed.is_none()
    })?;
    if let Some(failure) = failed {
        return Err(failure);
    }
    fold.end(&examined.head)
}

/// The check of records in order.
struct Fold<'a> {
    hashes: &'a StoredHashes<'a>,
    mark: Option<&'a Mark>,
    size: u64,
    next: u64,
    /// The chain before `next`, once known.
    chain: Option<Digest>,
    /// Leaves of the tile that `next` lies in.
    leaves: Vec<Digest>,
}

impl Fold<'_> {
    fn record(&mut self, index: Option<u64>, bytes: &[u8]) -> Result<(), OpenError> {
        if index != Some(self.next) {
            return Err(self.altered("the record is missing"));
        }
        let record = Record::parse(bytes).map_err(|_| self.altered("the record is not canonical"))?;
        if record.index() != self.next {
            return Err(self.altered("the record states another index"));
        }
        self.pass_mark()?;
        if record.kind() == Kind::Seal {
            let said = seal_chain(&record).ok_or_else(|| self.altered("the seal states no chain"))?;
            self.meet(said, "the chain does not lead to this seal")?;
        }
        let leaf = hash::leaf(bytes);
        self.chain = self.chain.map(|chain| hash::chain_next(&chain, &leaf));
        self.leaves.push(leaf);
        self.next = self.next.saturating_add(1);
        self.full_tile()
    }

    /// Checks leaves that fill a tile against the stored tile and the hash above it.
    fn full_tile(&mut self) -> Result<(), OpenError> {
        if !self.next.is_multiple_of(TILE) {
            return Ok(());
        }
        let n = (self.next / TILE).saturating_sub(1);
        let first = n.saturating_mul(TILE);
        let stored = stored_tile(self.hashes.snapshot, self.hashes.id, 0, n)?.ok_or_else(|| damaged("tiles"))?;
        let differs = stored.iter().zip(&self.leaves).position(|(stored, leaf)| stored != leaf);
        if let Some(place) = differs {
            self.next = first.saturating_add(place as u64);
            return Err(self.altered("the record does not fit its leaf"));
        }
        let mut tree = crate::tree::Frontier::new();
        self.leaves.drain(..).for_each(|leaf| tree.push(leaf));
        if self.hashes.hashes(1, n, 1)?.first() != Some(&tree.root()) {
            return Err(OpenError::Store(damaged("tiles")));
        }
        Ok(())
    }

    fn pass_mark(&mut self) -> Result<(), OpenError> {
        match self.mark {
            Some(mark) if mark.size == self.next => self
                .meet(mark.chain, "the chain before it is not that of the high-water mark")
                .map_err(|_| OpenError::OtherHead { size: self.size, mark: mark.size }),
            _ => Ok(()),
        }
    }

    /// The chain before `next` must be `said`, if it is known; from now on it is.
    fn meet(&mut self, said: Digest, otherwise: &'static str) -> Result<(), OpenError> {
        if self.chain.is_some_and(|chain| chain != said) {
            return Err(self.altered(otherwise));
        }
        self.chain = Some(said);
        Ok(())
    }

    fn end(mut self, head: &Head) -> Result<(), OpenError> {
        if self.next != self.size {
            return Err(self.altered("the record is missing"));
        }
        self.pass_mark()?;
        self.meet(head.chain, "the chain does not lead to the head")
    }

    fn altered(&self, reason: &'static str) -> OpenError {
        OpenError::Altered { index: self.next, reason, size: self.size }
    }
}

/// The chain before a seal, as it states it.
pub(super) fn seal_chain(seal: &Record) -> Option<Digest> {
    let text = seal.draft().parameters.get("chain").and_then(Value::as_text)?;
    hex::decode(text).ok()?.try_into().ok()
}
