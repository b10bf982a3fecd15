//! The rules between records, checked in one walk from the first to the last.
//!
//! `index` equals the place; `epoch` starts at 1 and rises by one at each loss; `time` never decreases but at a clock
//! step; seals, rotations and losses ([`crate::statements`]) are true of the log before them; an outcome answers an
//! earlier record of the same request and action; no event id comes twice. The walk keeps its first finding only: what
//! follows a broken record is often broken by it.
//!
//! Not checked: that an event id is unique beyond the newest request of each of [`SLOTS`] classes (memory is constant),
//! nor, within it, beyond what a [`Slot`] remembers; and that every `pending` has its outcome.

use crate::canonical::member;
use crate::keys::KeyRanges;
use crate::leaves::LeafLines;
use crate::lines::Line;
use crate::record::{Kind, Record};
use crate::seek;
use crate::source::Source;
use crate::statements::{Head, clock_step, key_rotation, loss, seal};
use crate::tree::{Digest, Frontier, chain_next, chain_start};
use std::io;

/// Places of the table of event ids, by the low bits of the request.
const SLOTS: usize = 1 << 16;

/// What the newest record of a class of requests was, and what came before it of the same request.
#[derive(Clone, Copy, Debug)]
struct Slot {
    request: u128,
    kind: Kind,
    item: Option<u64>,
    index: u64,
    /// Where it begins in the file.
    offset: u64,
    /// Its request's records of kind `access`, and of kind `outcome`: a bit for each ([`bit`]).
    accesses: u128,
    outcomes: u128,
}

/// The bit of an item: the lowest for a record without one; none for items of 127 and above.
fn bit(item: Option<u64>) -> u128 {
    let place = item.map_or(Some(0), |item| item.checked_add(1)).and_then(|place| u32::try_from(place).ok());
    place.and_then(|place| 1_u128.checked_shl(place)).unwrap_or(0)
}

/// The first seal's word for the chain, until the log's first origin is known.
#[derive(Clone, Copy, Debug)]
struct FirstSeal {
    index: u64,
    chain: Option<Digest>,
    /// Whether the chain from the checkpoint's origin gives it.
    holds: bool,
}

/// The state of the walk between two records.
pub(crate) struct Walk<'a> {
    source: &'a dyn Source,
    /// The checkpoint's origin: the log's first one too, unless a loss says otherwise.
    origin: String,
    previous: Option<Record>,
    chain: Digest,
    counts: [u64; Kind::WORDS.len()],
    sealed: Option<u64>,
    first_seal: Option<FirstSeal>,
    loss_seen: bool,
    slots: Vec<Option<Slot>>,
    /// Which key signs which sizes.
    pub(crate) keys: KeyRanges,
    finding: Option<(u64, String)>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(source: &'a dyn Source, origin: &str) -> Self {
        Self {
            source,
            origin: origin.to_owned(),
            previous: None,
            chain: chain_start(origin),
            counts: [0; Kind::WORDS.len()],
            sealed: None,
            first_seal: None,
            loss_seen: false,
            slots: vec![None; SLOTS],
            keys: KeyRanges::default(),
            finding: None,
        }
    }

    /// Takes the next record, whose leaf is not yet in `tree`.
    ///
    /// # Errors
    /// What the system says when an earlier record or leaf line has to be read again.
    pub(crate) fn step(&mut self, line: &Line, tree: &Frontier, leaves: &LeafLines<'_>) -> io::Result<()> {
        let place = tree.size();
        match &line.record {
            Ok(record) => {
                if record.kind == Kind::LOSS && !self.loss_seen {
                    self.settle_origin(line, place, leaves)?;
                }
                if self.finding.is_none() {
                    let fault = self.check(record, line, tree)?;
                    self.finding = fault.map(|reason| (place, reason));
                }
                self.remember(record, line.offset);
            }
            Err(fault) if self.finding.is_none() => self.finding = Some((place, fault.to_string())),
            Err(_) => {}
        }
        self.chain = chain_next(&self.chain, &line.leaf);
        Ok(())
    }

    /// The first finding by index, now that no record follows.
    pub(crate) fn finish(&mut self) -> Option<(u64, String)> {
        if !self.loss_seen {
            self.judge_first_seal();
        }
        self.finding.take()
    }

    fn check(&mut self, record: &Record, line: &Line, tree: &Frontier) -> io::Result<Option<String>> {
        if let Some(reason) = order(self.previous.as_ref(), record, tree.size()) {
            return Ok(Some(reason));
        }
        if let Some(earlier) = self.event_twice(record) {
            return Ok(Some(format!("same event id as {earlier}")));
        }
        if let Some(answers) = record.answers {
            let fault = self.check_answer(record, answers, line)?;
            return Ok(fault.map(|fault| format!("`answers` {fault}")));
        }
        let bytes = line.ruled.as_deref().unwrap_or_default();
        Ok(match record.kind {
            Kind::CLOCK_STEP => clock_step(bytes, record.time_us).err(),
            Kind::SEAL => self.check_seal(bytes, tree).err(),
            Kind::KEY_ROTATION => {
                key_rotation(bytes, record.index).and_then(|change| self.keys.change(change, record.index, false)).err()
            }
            Kind::LOSS => {
                let head = Head { size: tree.size(), root: tree.root(), chain: self.chain };
                loss(bytes, &head).and_then(|change| self.keys.change(change, record.index, true)).err()
            }
            _ => None,
        }
        .map(str::to_owned))
    }

    fn check_seal(&mut self, bytes: &[u8], tree: &Frontier) -> Result<(), &'static str> {
        let head = Head { size: tree.size(), root: tree.root(), chain: self.chain };
        let counts = Kind::WORDS.iter().copied().zip(self.counts).filter(|(_, count)| *count > 0);
        let chain = seal(bytes, &head, counts, self.sealed)?;
        if self.first_seal.is_some() || self.loss_seen {
            return if chain == Some(self.chain) { Ok(()) } else { Err("seal: the chain differs") };
        }
        self.first_seal = Some(FirstSeal { index: tree.size(), chain, holds: chain == Some(self.chain) });
        self.chain = chain.unwrap_or(self.chain);
        Ok(())
    }

    /// The first loss tells the log's first origin, from which the chain starts: checks the first seal by it, or
    /// takes up the chain if there was none.
    fn settle_origin(&mut self, line: &Line, place: u64, leaves: &LeafLines<'_>) -> io::Result<()> {
        let old = line.ruled.as_deref().and_then(crate::statements::old_origin);
        let Some(old) = old else { return Ok(()) };
        self.loss_seen = true;
        if old == self.origin {
            self.judge_first_seal();
        } else if let Some(first) = &mut self.first_seal {
            first.holds = first.chain == Some(leaves.chain(&old, first.index)?);
            self.judge_first_seal();
        } else {
            self.chain = leaves.chain(&old, place)?;
        }
        Ok(())
    }

    fn judge_first_seal(&mut self) {
        let Some(first) = self.first_seal.filter(|first| !first.holds) else {
            return;
        };
        if self.finding.as_ref().is_none_or(|(index, _)| first.index < *index) {
            self.finding = Some((first.index, "seal: the chain differs".to_owned()));
        }
    }

    fn remember(&mut self, record: &Record, offset: u64) {
        if let Some(count) = self.counts.get_mut(record.kind.place()) {
            *count = count.saturating_add(1);
        }
        if record.kind == Kind::SEAL {
            self.counts = [0; Kind::WORDS.len()];
            self.sealed = Some(record.index);
        }
        let Record { request, kind, item, index, .. } = *record;
        let before = self.slot(request).map_or((0, 0), |slot| (slot.accesses, slot.outcomes));
        let (accesses, outcomes) = match kind {
            Kind::ACCESS => (before.0 | bit(item), before.1),
            Kind::OUTCOME => (before.0, before.1 | bit(item)),
            _ => before,
        };
        if let Some(slot) = self.slots.get_mut(class(request)) {
            *slot = Some(Slot { request, kind, item, index, offset, accesses, outcomes });
        }
        self.previous = Some(*record);
    }

    fn slot(&self, request: u128) -> Option<&Slot> {
        self.slots.get(class(request))?.as_ref().filter(|slot| slot.request == request)
    }

    fn event_twice(&self, record: &Record) -> Option<String> {
        let slot = self.slot(record.request)?;
        if slot.kind == record.kind && slot.item == record.item {
            return Some(format!("record {}", slot.index));
        }
        let seen = match record.kind {
            Kind::ACCESS => slot.accesses,
            Kind::OUTCOME => slot.outcomes,
            _ => 0,
        };
        (seen & bit(record.item) != 0).then(|| "an earlier record of its request".to_owned())
    }

    fn check_answer(&self, record: &Record, answers: u64, line: &Line) -> io::Result<Option<&'static str>> {
        if answers >= record.index {
            return Ok(Some("does not point backwards"));
        }
        let known = self.slot(record.request).filter(|slot| slot.index == answers);
        let answered = match known {
            Some(slot) => seek::answered_at(self.source, slot.offset, line.offset)?,
            None => seek::answered(self.source, answers, line.offset)?,
        };
        let action = line.ruled.as_deref().and_then(|bytes| member(bytes, "action"));
        Ok(match answered.filter(|answered| answered.request == record.request) {
            Some(answered) if action == Some(&*answered.action) => None,
            Some(_) => Some("names a record of another action"),
            None => Some("names a record of another request"),
        })
    }
}

fn class(request: u128) -> usize {
    usize::try_from(request % (1 << 16)).unwrap_or_default()
}

/// The rules of index, epoch and time; before the first record the epoch is 1.
fn order(previous: Option<&Record>, record: &Record, place: u64) -> Option<String> {
    if record.index != place {
        return Some(format!("`index` is {}", record.index));
    }
    let (epoch, time_us) = previous.map_or((1, 0), |previous| (previous.epoch, previous.time_us));
    let reason = if record.epoch < epoch {
        "`epoch` falls"
    } else if record.epoch > epoch && record.kind != Kind::LOSS {
        "`epoch` is raised without a loss"
    } else if record.epoch == epoch && record.kind == Kind::LOSS {
        "`epoch` is not raised by a loss"
    } else if record.epoch > epoch.saturating_add(1) {
        "`epoch` is raised by more than one"
    } else if record.time_us < time_us && record.kind != Kind::CLOCK_STEP {
        "`time` falls without a clock step"
    } else {
        return None;
    };
    Some(reason.to_owned())
}
