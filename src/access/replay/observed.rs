//! What a trail shows of the use of a policy set: each access that was allowed is decided again by the set, and counted for the
//! statement that allows it there. Of whatever revision a record is, only statements of the set itself are counted.
//!
//! INVARIANT I4: a record that lacks what the set asks for is counted as one that cannot be decided, never guessed. What is kept
//! grows with the set, not with the trail.

use std::collections::BTreeMap;

use keyward_audit::record::Record;
use keyward_audit::store::{self, Family, Store, StoreError};

use super::Answer;
use super::against::{action_of, answer_of};
use super::reading::{LACKS_A_KEY, Reading};
use super::{ReplayError, TextRow, ask_again};
use crate::authz::{PolicySet, Usage, Verdict};
use crate::principal::Principal;

const DAY_US: u64 = 86_400_000_000;

/// The use of a set, as far as records were looked at.
pub struct Observed {
    since_us: u64,
    /// Whose accesses count; everybody's if nobody is named.
    who: Option<Principal>,
    reading: Reading,
    usage: Usage,
    seen: Seen,
}

/// What was looked at.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Records of the span, of whatever kind.
    pub records: u64,
    /// When the first of them was made, and the last, in microseconds since 1970.
    pub span_us: Option<(u64, u64)>,
    /// Accesses that were allowed, and that the set allows.
    pub accesses: u64,
    /// Accesses that were allowed, and that the set denies.
    pub denied: u64,
    /// Why others cannot be decided, with how many there are and the index of the first.
    pub undecidable: BTreeMap<&'static str, (u64, u64)>,
}

impl Seen {
    /// The days from the first record to the last, both counted.
    #[must_use]
    pub fn days(&self) -> u64 {
        self.span_us.map_or(0, |(first, last)| (last / DAY_US).saturating_sub(first / DAY_US).saturating_add(1))
    }
}

impl Observed {
    /// Nothing was looked at yet; records before `since_us` (microseconds since 1970) are passed over.
    #[must_use]
    pub fn new(who: Option<Principal>, since_us: u64) -> Self {
        Self { since_us, who, reading: Reading::default(), usage: Usage::default(), seen: Seen::default() }
    }

    /// Reads the whole trail of a store.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read, or holds no log of that origin.
    pub fn of_trail(store: &dyn Store, origin: &str, set: &PolicySet, since_us: u64) -> Result<Self, StoreError> {
        let mut observed = Self::new(None, since_us);
        keyward_audit::log::each_record(store, origin, &mut |index, _, bytes| {
            let mut get = |key: &[u8]| store::read(store, |snapshot| snapshot.get(Family::Texts, key));
            observed.add(set, index, bytes, &mut get);
        })?;
        Ok(observed)
    }

    /// The use of the set.
    #[must_use]
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// What was looked at.
    #[must_use]
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Whose accesses count, if not everybody's.
    #[must_use]
    pub fn who(&self) -> Option<&Principal> {
        self.who.as_ref()
    }

    /// Looks at one record. `set` is the same each time.
    pub fn add(&mut self, set: &PolicySet, index: u64, bytes: &[u8], get: &mut TextRow<'_>) {
        let Ok(record) = Record::read(bytes) else {
            return self.undecidable(index, "the record cannot be read");
        };
        let at_us = record.time_us();
        if at_us < self.since_us {
            return;
        }
        self.seen.records = self.seen.records.saturating_add(1);
        let (first, last) = self.seen.span_us.unwrap_or((at_us, at_us));
        self.seen.span_us = Some((first.min(at_us), last.max(at_us)));
        if answer_of(&record) == Some(Answer::Allow) && self.is_meant(&record) {
            match self.decide(set, &record, get) {
                Ok(true) => self.seen.accesses = self.seen.accesses.saturating_add(1),
                Ok(false) => self.seen.denied = self.seen.denied.saturating_add(1),
                Err(reason) => self.undecidable(index, reason),
            }
        }
    }

    fn is_meant(&self, record: &Record) -> bool {
        self.who.as_ref().is_none_or(|who| record.principal() == Some(who.as_str()))
    }

    /// Whether the set allows it; if so, it is counted.
    fn decide(&mut self, set: &PolicySet, record: &Record, get: &mut TextRow<'_>) -> Result<bool, &'static str> {
        let action = action_of(record).ok_or("its action is not known")?;
        let keys = self.reading.keys(set, action);
        let revision = record.draft().policy.as_ref().map(|policy| policy.revision.as_str());
        if self.reading.lacks(revision, action, &keys, get) {
            return Err(LACKS_A_KEY);
        }
        match ask_again(record, set, get, |question| self.usage.add(set, question)) {
            Ok(Verdict::Allow) => Ok(true),
            Ok(Verdict::Deny(_)) => Ok(false),
            Ok(Verdict::Error(_)) => Err("the set cannot decide it"),
            Err(ReplayError::Incomplete(what)) => Err(what),
            Err(_) => Err("what it was decided on cannot be read"),
        }
    }

    fn undecidable(&mut self, index: u64, reason: &'static str) {
        let (count, _) = self.seen.undecidable.entry(reason).or_insert((0, index));
        *count = count.saturating_add(1);
    }
}
