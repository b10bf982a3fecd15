//! One batch in the making: records placed at the head, the rows that ride with them, and who waits for what.

use super::answers::{Heard, Waiter};
use super::fresh::Indexed;
use super::head::{self, Head, TILE};
use super::keys::ChainId;
use super::queue::{Answer, Entry};
use crate::event::{Changes, Locator, Refused};
use crate::hash;
use crate::store::Write;
use crate::tree::FullTile;

/// A record that has its index.
pub(super) struct Placed {
    pub(super) locator: Locator,
    /// The place of its row among the batch's writes.
    row: usize,
    /// The caller that waits for it.
    waiter: Option<Waiter>,
    pub(super) entry: Entry,
}

/// The records of one synced write.
pub(super) struct Batch {
    id: ChainId,
    pub(super) time_us: u64,
    pub(super) writes: Vec<Write>,
    pub(super) placed: Vec<Placed>,
    pub(super) bumps: Vec<(String, u64)>,
    /// Callers that a change in this batch sends back, once they can see it.
    sent_back: Vec<Waiter>,
    full: Vec<FullTile>,
    tree_row: Option<Write>,
}

/// A record whose write nobody can vouch for.
pub(super) struct InFlight {
    pub(super) bytes: Vec<u8>,
    pub(super) locator: Locator,
    pub(super) entry: Entry,
    /// Whether a caller waited for it.
    pub(super) called: bool,
}

impl Batch {
    pub(super) fn new(id: ChainId, time_us: u64) -> Self {
        Self {
            id,
            time_us,
            writes: Vec::new(),
            placed: Vec::new(),
            bumps: Vec::new(),
            sent_back: Vec::new(),
            full: Vec::new(),
            tree_row: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.placed.is_empty()
    }

    /// Appends a record to `head`; answers its index.
    pub(super) fn place(&mut self, head: &mut Head, entry: Entry, waiter: Option<Waiter>) -> u64 {
        let index = head.size;
        let bytes = entry.framed.finish(head.epoch, index, self.time_us);
        let leaf = hash::leaf(&bytes);
        head.append(entry.kind, &leaf, self.time_us, &mut self.full);
        if head.size.is_multiple_of(TILE) {
            self.tree_row = Some(head.tree_row(self.id));
        }
        let locator = Locator { chain: self.id.0, index, leaf };
        self.placed.push(Placed { locator, row: self.writes.len(), waiter, entry });
        self.writes.push(Write { key: self.id.record(index), value: Some(bytes) });
        index
    }

    /// Takes in what rides with the record at `index`.
    pub(super) fn ride(&mut self, index: u64, changes: Changes) {
        self.writes.extend(changes.writes);
        let place = index.to_be_bytes();
        self.writes.extend(changes.indexed.into_iter().map(|key| Write { key, value: Some(place.to_vec()) }));
        for generation in changes.bumps {
            self.bumps.push((generation.0.to_owned(), index.saturating_add(1)));
        }
    }

    /// Sends a caller back over a change that is not durable yet: with the batch, since until then the caller would see
    /// what it saw before, and be sent back again.
    pub(super) fn send_back(&mut self, waiter: Waiter) {
        self.sent_back.push(waiter);
    }

    /// Whether nobody waits for it, and nothing is in it.
    pub(super) fn is_idle(&self) -> bool {
        self.is_empty() && self.sent_back.is_empty()
    }

    /// Tells those who were sent back over a change in this batch.
    pub(super) fn wake_sent_back(&mut self) {
        for waiter in self.sent_back.drain(..) {
            waiter.answer(Answer::Conflict);
        }
    }

    /// Adds the rows of the head and of the tiles that became full.
    pub(super) fn close(&mut self, head: &Head, head_row: &[u8]) {
        for tile in self.full.drain(..) {
            self.writes.push(Write { key: self.id.tile(tile.level, tile.n), value: Some(tile.bytes) });
        }
        self.writes.extend(self.tree_row.take());
        for (name, value) in &self.bumps {
            self.writes.push(head::generation_row(self.id, name, *value));
        }
        self.writes.extend(head.rows(self.id, head_row));
    }

    /// Takes out what the follower is to know.
    pub(super) fn indexed(&mut self) -> impl Iterator<Item = Indexed> {
        let time_us = self.time_us;
        self.placed.iter_mut().map(move |placed| {
            let traces = std::mem::take(&mut placed.entry.traces);
            Indexed { index: placed.locator.index, time_us, traces }
        })
    }

    /// Takes out who waits to hear of it.
    pub(super) fn heard(&mut self) -> impl DoubleEndedIterator<Item = Heard> {
        self.placed.iter_mut().filter_map(|placed| {
            let (locator, releases) = (placed.locator, placed.entry.releases);
            placed.waiter.take().map(|waiter| Heard { waiter, locator, releases })
        })
    }

    /// The stored bytes of a placed record.
    pub(super) fn bytes(&self, placed: &Placed) -> &[u8] {
        self.writes.get(placed.row).and_then(|write| write.value.as_deref()).unwrap_or_default()
    }

    /// Fails all who wait; what was to be written comes back, to be looked for in the store.
    pub(super) fn into_in_flight(mut self, reason: Refused) -> Vec<InFlight> {
        self.wake_sent_back();
        let mut in_flight = Vec::with_capacity(self.placed.len());
        for placed in std::mem::take(&mut self.placed) {
            let bytes = self.bytes(&placed).to_vec();
            let called = placed.waiter.is_some();
            if let Some(waiter) = placed.waiter {
                waiter.answer(Answer::Refused(reason));
            }
            in_flight.push(InFlight { bytes, locator: placed.locator, entry: placed.entry, called });
        }
        in_flight
    }
}
