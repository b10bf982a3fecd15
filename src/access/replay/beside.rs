//! Two sets over the same trail: what one allows of what was asked, and the other does not. What was recorded is no side of it, so that
//! nothing is laid to an edit that an earlier one did.

use keyward_audit::record::Record;

use super::{TextRow, ask_again};
use crate::access::key_use::Used;
use crate::authz::{PolicySet, Question, Verdict};
use crate::resource::Place;

/// What came out differently, as far as records were looked at.
#[derive(Debug, Default)]
pub struct Beside {
    /// What the first set allows and the second does not.
    pub lost: u64,
    /// What the second allows and the first does not.
    pub won: u64,
}

impl Beside {
    /// Has both sets decide one record, and the use of a key that it holds. One that they cannot decide is passed over.
    pub fn add(&mut self, sets: [&PolicySet; 2], place: &Place, bytes: &[u8], get: &mut TextRow<'_>) {
        let Ok(record) = Record::read(bytes) else { return };
        let [old, new] = sets;
        if record.draft().policy.is_none() {
            return;
        }
        let allows = |set: &PolicySet, question: &Question<'_>| set.decide(question).outcome == Verdict::Allow;
        if let Ok((old, new)) = ask_again(&record, old, get, |asked| (allows(old, asked), allows(new, asked))) {
            self.count(old, new);
        }
        if let Ok(Some(used)) = Used::of(record.draft()) {
            self.count(used.would_be_allowed(old, place), used.would_be_allowed(new, place));
        }
    }

    fn count(&mut self, old: bool, new: bool) {
        self.lost = self.lost.saturating_add(u64::from(old && !new));
        self.won = self.won.saturating_add(u64::from(new && !old));
    }
}
