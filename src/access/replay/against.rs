//! The trail against a policy set that is not live: what was decided, and what the set would have decided.
//!
//! Each distinct input is decided once: requests that are alike in all that the set can look at ([`PolicySet::keys_read`]) are
//! decided alike. What is kept does not grow with the trail: a bounded number of flips is told one by one, and a bounded number of
//! inputs is remembered, since of a set that reads the time all inputs may be distinct.
//!
//! INVARIANT I4: a decision rests on its record and on the set alone. A record that lacks what the set asks for is counted as one that
//! cannot be decided, never guessed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use keyward_audit::record::Record;

use super::flips::{Answer, Flip, Flips};
use super::glance::{Glance, GlanceKeyUse, Text};
use super::input::InputDigest;
use super::reading::{LACKS_A_KEY, Reading};
use super::{ReplayError, TextRow, decide_again, recorded};
use crate::access::key_use::{self, Used};
use crate::actions::{self, Action, ConditionKey};
use crate::authz::{PolicySet, Verdict};
use crate::principal::Principal;
use crate::resource::Place;

/// Most inputs that are remembered: some 40 MiB. When there are so many it begins anew.
const KNOWN_MAX: usize = 1_000_000;
/// Why a record that is none is not decided again.
const UNREADABLE: &str = "the record cannot be read";

/// The comparison, as far as it has come.
pub struct Against {
    set: Arc<PolicySet>,
    place: Place,
    since_us: u64,
    reading: Reading,
    decided: HashMap<InputDigest, Result<Answer, &'static str>>,
    distinct: u64,
    told: Told,
}

/// What it came to.
#[derive(Debug, Default)]
pub struct Told {
    /// Records of the span, of whatever kind.
    pub records: u64,
    /// Decisions that were made again, those on uses of keys included.
    pub decisions: u64,
    /// Of those, the ones that come out otherwise.
    pub flips: Flips,
    /// Why others cannot be decided, with how many there are and the index of the first.
    pub undecidable: BTreeMap<&'static str, (u64, u64)>,
}

impl Against {
    /// Nothing was compared yet; records before `since_us` (microseconds since 1970) are passed over.
    pub fn new(set: Arc<PolicySet>, place: Place, since_us: u64) -> Self {
        let (reading, decided) = (Reading::default(), HashMap::new());
        Self { set, place, since_us, reading, decided, distinct: 0, told: Told::default() }
    }

    /// What it has come to.
    pub fn told(&self) -> &Told {
        &self.told
    }

    /// How many inputs were decided; one that was forgotten meanwhile counts again.
    pub fn distinct(&self) -> u64 {
        self.distinct
    }

    fn remember(&mut self, input: InputDigest, would: Result<Answer, &'static str>) {
        if self.decided.len() >= KNOWN_MAX {
            self.decided.clear();
        }
        self.decided.insert(input, would);
        self.distinct = self.distinct.saturating_add(1);
    }

    /// Compares one record; those without a decision by policy are counted and passed over.
    pub fn add(&mut self, index: u64, bytes: &[u8], get: &mut TextRow<'_>) {
        let Ok(glance) = serde_json::from_slice::<Glance<'_>>(bytes) else {
            return self.undecidable(index, UNREADABLE);
        };
        if glance.time < self.since_us {
            return;
        }
        self.told.records = self.told.records.saturating_add(1);
        let Some(was) = glance.answer() else { return };
        let Some(action) = glance.action() else { return self.undecidable(index, "its action is not known") };
        self.told.decisions = self.told.decisions.saturating_add(1);
        match self.would(&glance, action, bytes, get) {
            Ok(would) if would == was => {}
            Ok(would) => {
                let text = |text: &Option<Text<'_>>| text.as_ref().map(|text| text.as_str().to_owned());
                let (principal, resource) = (text(&glance.principal).unwrap_or_default(), text(&glance.resource));
                let flip = Flip { would, principal, action: glance.action.as_str().to_owned(), resource };
                self.told.flips.add(flip, index, glance.time);
            }
            Err(reason) => self.undecidable(index, reason),
        }
        if let Some(used) = glance.key_use() {
            self.add_key_use(index, &glance, used, action, bytes);
        }
    }

    /// What the set decides, from what is known of inputs like it if there are any.
    fn would(
        &mut self,
        glance: &Glance<'_>,
        action: &'static Action,
        bytes: &[u8],
        get: &mut TextRow<'_>,
    ) -> Result<Answer, &'static str> {
        let reads = self.reading.keys(&self.set, action);
        let revision = glance.policy.as_ref().map(|policy| policy.revision.as_str());
        if self.reading.lacks(revision, action, &reads, get) {
            return Err(LACKS_A_KEY);
        }
        let digest = glance.input(&reads).digest();
        if let Some(known) = self.decided.get(&digest) {
            return *known;
        }
        let Ok(record) = Record::read(bytes) else { return Err(UNREADABLE) };
        let would = match decide_again(&record, &self.set, get).map(|decision| decision.outcome) {
            Ok(Verdict::Allow) => Ok(Answer::Allow),
            Ok(Verdict::Deny(_)) => Ok(Answer::Deny),
            Ok(Verdict::Error(_)) => Err("the set cannot decide it"),
            Err(ReplayError::Incomplete(what)) => Err(what),
            // Not a property of the input: the next one like it may be decided.
            Err(_) => return Err("what it was decided on cannot be read"),
        };
        self.remember(digest, would);
        would
    }

    /// The same for the use of a key that the record holds.
    fn add_key_use(&mut self, index: u64, glance: &Glance<'_>, used: &GlanceKeyUse<'_>, action: &Action, bytes: &[u8]) {
        let unreadable = "what it says of its key cannot be read";
        let Some(usage) = actions::row(key_use::operation(action)) else { return self.undecidable(index, unreadable) };
        self.told.decisions = self.told.decisions.saturating_add(1);
        let reads_time = self.reading.keys(&self.set, usage).contains(&ConditionKey::CurrentTime);
        let digest = glance.key_input(used, usage, reads_time).digest();
        let would = match self.decided.get(&digest) {
            Some(known) => *known,
            None => {
                let record = Record::read(bytes);
                let read = record.as_ref().ok().and_then(|record| Used::of(record.draft()).ok().flatten());
                let would = read.map(|used| answer(used.would_be_allowed(&self.set, &self.place))).ok_or(unreadable);
                self.remember(digest, would);
                would
            }
        };
        match would {
            Ok(would) if would == answer(used.was_allowed()) => {}
            Ok(would) => {
                let (principal, resource) = (Principal::engine_role().to_string(), self.place.key(used.key.as_str()));
                let flip = Flip { would, principal, action: usage.full_name(), resource: Some(resource) };
                self.told.flips.add(flip, index, glance.time);
            }
            Err(reason) => self.undecidable(index, reason),
        }
    }

    fn undecidable(&mut self, index: u64, reason: &'static str) {
        let (count, _) = self.told.undecidable.entry(reason).or_insert((0, index));
        *count = count.saturating_add(1);
    }
}

const fn answer(allowed: bool) -> Answer {
    if allowed { Answer::Allow } else { Answer::Deny }
}

/// What policy answered; none if it was not asked, or could not answer.
pub(super) fn answer_of(record: &Record) -> Option<Answer> {
    recorded(record).map(|decision| answer(decision.outcome == Verdict::Allow))
}

pub(super) fn action_of(record: &Record) -> Option<&'static Action> {
    actions::by_name(record.draft().action.split_once(':')?.1)
}
