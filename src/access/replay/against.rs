//! The trail against a policy set that is not live: what was decided, and what the set would have decided.
//!
//! Each distinct input is decided once: requests that are alike in all that the set can look at ([`PolicySet::keys_read`]) are
//! decided alike. What is kept grows with flips (principal, action, resource), not with the trail: of inputs a bounded number is
//! remembered, of a set that reads the time all inputs may be distinct.
//!
//! INVARIANT I4: a decision rests on its record and on the set alone. A record that lacks what the set asks for is counted as one that
//! cannot be decided, never guessed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use keyward_audit::record::{self, Record};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{ReplayError, TextRow, catalogue_of, decide_again, recorded};
use crate::access::key_use::Used;
use crate::actions::{self, Action, ConditionKey};
use crate::authz::{PolicySet, Verdict};
use crate::principal::Principal;
use crate::resource::Place;

/// The days of a flip that are told one by one: of later ones there is no room.
const DAYS_MAX: usize = 3_660;
/// Most inputs that are remembered: some 40 MiB. When there are so many it begins anew.
const KNOWN_MAX: usize = 1_000_000;
const DAY_US: u64 = 86_400_000_000;

/// The start of SHA-256 over an input.
type InputDigest = [u8; 16];

/// An answer of policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// Yes. After no: what is won is told first.
    Allow,
    /// No.
    Deny,
}

/// What comes out otherwise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Flip {
    /// What the set decides. First, so that what is won stands before what is lost.
    pub would: Answer,
    /// Who asked; the engine's role, where it is the use of a key.
    pub principal: String,
    /// What.
    pub action: String,
    /// On what; none for an action on the account.
    pub resource: Option<String>,
}

/// How often, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Times {
    /// How often.
    pub count: u64,
    /// Index of the newest record.
    pub last_index: u64,
    /// Its time, in seconds since 1970.
    pub last_time: u64,
    /// How often on each day, counted from 1970-01-01.
    pub days: BTreeMap<u64, u64>,
}

/// The comparison, as far as it has come.
pub struct Against {
    set: Arc<PolicySet>,
    place: Place,
    since_us: u64,
    /// By action, the keys that the set reads.
    reads: HashMap<&'static str, Arc<BTreeSet<ConditionKey>>>,
    /// By revision, the version of the catalogue that its records were made under.
    catalogues: HashMap<String, Option<u64>>,
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
    pub flipped: u64,
    /// What comes out otherwise.
    pub flips: BTreeMap<Flip, Times>,
    /// Why others cannot be decided, with how many there are and the index of the first.
    pub undecidable: BTreeMap<&'static str, (u64, u64)>,
}

impl Against {
    /// Nothing was compared yet; records before `since_us` (microseconds since 1970) are passed over.
    pub fn new(set: Arc<PolicySet>, place: Place, since_us: u64) -> Self {
        let (reads, catalogues, decided) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { set, place, since_us, reads, catalogues, decided, distinct: 0, told: Told::default() }
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
        let Ok(record) = Record::read(bytes) else {
            return self.undecidable(index, "the record cannot be read");
        };
        if record.time_us() < self.since_us {
            return;
        }
        self.told.records = self.told.records.saturating_add(1);
        let Some(was) = answer_of(&record) else { return };
        let Some(action) = action_of(&record) else { return self.undecidable(index, "its action is not known") };
        self.told.decisions = self.told.decisions.saturating_add(1);
        match self.would(&record, action, get) {
            Ok(would) if would == was => {}
            Ok(would) => {
                let draft = record.draft();
                let principal = draft.principal.clone().unwrap_or_default();
                let flip = Flip { would, principal, action: draft.action.clone(), resource: draft.resource.clone() };
                self.flip(&record, index, flip);
            }
            Err(reason) => self.undecidable(index, reason),
        }
        self.add_key_use(index, &record);
    }

    /// What the set decides, from what is known of inputs like it if there are any.
    fn would(
        &mut self,
        record: &Record,
        action: &'static Action,
        get: &mut TextRow<'_>,
    ) -> Result<Answer, &'static str> {
        let reads = self.reads(action);
        if self.lacks(record, action, &reads, get) {
            return Err("it was recorded before requests had a condition key that the set reads");
        }
        let digest = input(record, &reads);
        if let Some(known) = self.decided.get(&digest) {
            return *known;
        }
        let would = match decide_again(record, &self.set, get).map(|decision| decision.outcome) {
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

    /// Whether the set reads a key of which nothing can be known, since the record is of an older catalogue.
    fn lacks(
        &mut self,
        record: &Record,
        action: &Action,
        reads: &BTreeSet<ConditionKey>,
        get: &mut TextRow<'_>,
    ) -> bool {
        if reads.iter().all(|key| key.since() == 1) {
            return false;
        }
        let Some(policy) = &record.draft().policy else { return false };
        let catalogue = match self.catalogues.get(&policy.revision) {
            Some(known) => *known,
            None => {
                let catalogue = catalogue_of(&policy.revision, get).ok();
                self.catalogues.insert(policy.revision.clone(), catalogue);
                catalogue
            }
        };
        reads.iter().any(|key| action.has_key(*key) && catalogue.is_none_or(|catalogue| key.since() > catalogue))
    }

    /// The same for the use of a key that the record holds.
    fn add_key_use(&mut self, index: u64, record: &Record) {
        let unreadable = "what it says of its key cannot be read";
        let used = match Used::of(record.draft()) {
            Ok(None) => return,
            Ok(Some(used)) => used,
            Err(_) => return self.undecidable(index, unreadable),
        };
        let Some(usage) = actions::row(used.usage) else { return self.undecidable(index, unreadable) };
        self.told.decisions = self.told.decisions.saturating_add(1);
        let reads_time = self.reads(usage).contains(&ConditionKey::CurrentTime);
        let now = if reads_time { used.now.as_str() } else { "" };
        let mut input = Input::default();
        input.list([usage.name, used.key, &used.uin.to_string(), now].into_iter());
        let digest = input.digest();
        let would = self.decided.get(&digest).copied().unwrap_or_else(|| {
            let would = Ok(answer(used.would_be_allowed(&self.set, &self.place)));
            self.remember(digest, would);
            would
        });
        let Ok(would) = would else { return };
        if would != answer(used.was_allowed()) {
            let (principal, resource) = (Principal::engine_role().to_string(), Some(self.place.key(used.key)));
            self.flip(record, index, Flip { would, principal, action: usage.full_name(), resource });
        }
    }

    fn reads(&mut self, action: &'static Action) -> Arc<BTreeSet<ConditionKey>> {
        Arc::clone(self.reads.entry(action.name).or_insert_with(|| Arc::new(self.set.keys_read(action))))
    }

    fn flip(&mut self, record: &Record, index: u64, flip: Flip) {
        self.told.flipped = self.told.flipped.saturating_add(1);
        let times = self.told.flips.entry(flip).or_default();
        times.count = times.count.saturating_add(1);
        (times.last_index, times.last_time) = (index, record.time_us() / 1_000_000);
        let day = record.time_us() / DAY_US;
        if times.days.len() < DAYS_MAX || times.days.contains_key(&day) {
            let count = times.days.entry(day).or_default();
            *count = count.saturating_add(1);
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
fn answer_of(record: &Record) -> Option<Answer> {
    recorded(record).map(|decision| answer(decision.outcome == Verdict::Allow))
}

fn action_of(record: &Record) -> Option<&'static Action> {
    actions::by_name(record.draft().action.split_once(':')?.1)
}

/// A digest of all that a decision can rest on: of conditions only what is read, and the caller's number, which variables are.
fn input(record: &Record, reads: &BTreeSet<ConditionKey>) -> InputDigest {
    let draft = record.draft();
    let form = match &draft.credential {
        Some(record::Credential::Session { .. }) => "session",
        Some(record::Credential::AccessKey { .. }) => "key",
        _ => "token",
    };
    let texts = [&draft.principal, &draft.assumed_by, &draft.resource, &draft.session_policy];
    let mut input = Input::default();
    input.list([form, &draft.action].into_iter().chain(texts.map(|text| text.as_deref().unwrap_or(""))));
    if let Some(context) = &draft.context {
        input.list(context.groups.iter().map(String::as_str));
        input.list(context.roles.iter().map(String::as_str));
        // A session policy reads what it likes.
        let all = draft.session_policy.is_some();
        let is_read = |key: ConditionKey| all || key == ConditionKey::Uin || reads.contains(&key);
        for (name, values) in &context.conditions {
            if ConditionKey::parse(name).is_none_or(is_read) {
                input.list([name.as_str()].into_iter().chain(values.iter().map(String::as_str)));
            }
        }
    }
    input.digest()
}

/// An input on its way into a digest: lists of texts, so that no two inputs are written alike.
#[derive(Default)]
struct Input(Sha256);

impl Input {
    fn list<'a>(&mut self, texts: impl Iterator<Item = &'a str>) {
        for text in texts {
            self.0.update([1]);
            self.0.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            self.0.update(text.as_bytes());
        }
        self.0.update([0]);
    }

    fn digest(self) -> InputDigest {
        let mut start = [0; 16];
        start.iter_mut().zip(self.0.finalize()).for_each(|(to, from)| *to = from);
        start
    }
}
