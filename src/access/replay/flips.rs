//! Decisions that come out otherwise, gathered by who, what and on what.

use serde::Serialize;
use std::collections::BTreeMap;

/// The days of a flip that are told one by one: of later ones there is no room.
const DAYS_MAX: usize = 3_660;
/// Most flips that are told one by one, some 100 MiB at the worst; further ones are counted.
const FLIPS_MAX: usize = 100_000;
const DAY_US: u64 = 86_400_000_000;

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

/// All of them.
#[derive(Debug, Default)]
pub struct Flips {
    told: BTreeMap<Flip, Times>,
    /// Decisions that came out otherwise.
    pub decisions: u64,
    /// Of those, the ones for which there was no room.
    pub untold: u64,
}

impl Flips {
    /// One more, of the record at `index`, which is newer than those before.
    pub fn add(&mut self, flip: Flip, index: u64, time_us: u64) {
        self.decisions = self.decisions.saturating_add(1);
        if self.told.len() >= FLIPS_MAX && !self.told.contains_key(&flip) {
            self.untold = self.untold.saturating_add(1);
            return;
        }
        let times = self.told.entry(flip).or_default();
        times.count = times.count.saturating_add(1);
        (times.last_index, times.last_time) = (index, time_us / 1_000_000);
        let day = time_us / DAY_US;
        if times.days.len() < DAYS_MAX || times.days.contains_key(&day) {
            let count = times.days.entry(day).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// Each with how often and when; what is won before what is lost.
    pub fn iter(&self) -> impl Iterator<Item = (&Flip, &Times)> {
        self.told.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_flips_than_there_is_room_for_are_counted() {
        let mut flips = Flips::default();
        let flip = |number: usize| Flip {
            would: Answer::Deny,
            principal: format!("user/corp/{number}"),
            action: "ssm:GetSecretValue".to_owned(),
            resource: None,
        };
        for number in 0..FLIPS_MAX + 3 {
            flips.add(flip(number), number as u64, 0);
        }
        flips.add(flip(7), 1_000_000, DAY_US);
        assert_eq!((flips.iter().count(), flips.decisions, flips.untold), (FLIPS_MAX, FLIPS_MAX as u64 + 4, 3));
        let (_, times) = flips.iter().find(|(known, _)| **known == flip(7)).unwrap();
        assert_eq!((times.count, times.last_index, times.days.len()), (2, 1_000_000, 2));
    }
}
