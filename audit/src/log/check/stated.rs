//! What a seal, a clock step or a loss says of itself and of the records under it (`SPEC.md` 1.3, 6 and 7).

use std::collections::BTreeMap;

use super::Check;
use crate::log::start::seal_chain;
use crate::record::{Kind, Record, Value};
use crate::statement::{Head, SignedLoss};

impl Check<'_> {
    pub(super) fn stated(&mut self, record: &Record) {
        match record.kind() {
            Kind::Seal => self.seal(record),
            Kind::ClockStep => self.clock_step(record),
            Kind::Loss => self.loss(record),
            _ => {}
        }
    }

    /// A seal states chain, root and size of the log before it, the seal before and what came since.
    fn seal(&mut self, record: &Record) {
        let parameters = &record.draft().parameters;
        if parameters.get("size").and_then(Value::as_integer) != Some(self.next) {
            self.find(self.next, "the seal states another size");
        }
        let root = hex::encode(self.head.root());
        if parameters.get("root").and_then(Value::as_text) != Some(&root) {
            self.find(self.next, "the seal states another root than that of the records before it");
        }
        if seal_chain(record) != Some(self.head.chain) {
            self.find(self.next, "the seal states another chain than that of the records before it");
        }
        if parameters.get("previous").map(Value::as_integer) != self.head.sealed.index.map(Some) {
            self.find(self.next, "the seal names another one before it");
        }
        let counts = self.head.sealed.counts.iter();
        let counts: BTreeMap<&str, u64> = counts.map(|(kind, count)| (kind.word(), *count)).collect();
        if !same_counts(parameters.get("counts"), &counts) {
            self.find(self.next, "the counts of the seal are not those of the records since the one before");
        }
    }

    fn clock_step(&mut self, record: &Record) {
        let after = record.draft().parameters.get("after").and_then(Value::as_integer);
        if after != Some(record.time_us()) {
            self.find(self.next, "the clock step states another time than its own");
        }
    }

    /// A loss goes on from all that is under it. What is wrong with its form or signatures is found where its keys are noted.
    fn loss(&mut self, record: &Record) {
        let under = Head { chain: self.head.chain, root: self.head.root(), size: self.head.size };
        if SignedLoss::from_record(record).is_ok_and(|signed| signed.loss().recovered != under) {
            self.find(self.next, "the loss does not go on from the records before it");
        }
    }
}

/// Whether a seal's counts are `counted`.
fn same_counts(stated: Option<&Value>, counted: &BTreeMap<&str, u64>) -> bool {
    let stated = stated.and_then(Value::as_object);
    stated.is_some_and(|stated| {
        stated.len() == counted.len()
            && counted.iter().all(|(kind, count)| stated.get(*kind).and_then(Value::as_integer) == Some(*count))
    })
}
