//! Signatures that were seen: TC3 has no nonce, and its stamps are of whole seconds, so honest clients show one signature several
//! times within a moment, and thieves show it again later.
//!
//! The first sight opens a window, within which the same signature is taken again, as a request of its own. Behind it the
//! signature is refused until its timestamp is refused by itself.
//!
//! SECURITY: nothing is forgotten before its timestamp is out of date. When there is no room, new signatures are refused, so a
//! flood cannot make room for a replay; the last quarter of it is for callers who have little of it, so that none takes it from the
//! others, however many keys and sessions it has. Only signatures that were checked come here. Memory only: a start forgets them, and
//! so takes no timestamp from before it (less the window).

use crate::authn::signed::{SignedRequest, WINDOW_S};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

/// How a signature was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// For the first time.
    First,
    /// Within the window of the first time.
    Again,
    /// Behind it.
    Spent,
    /// There is no room to remember it.
    Full,
}

/// The start of SHA-256 over key id and signature.
type Digest = [u8; 16];

/// The signatures of timestamps that are not out of date.
pub(super) struct Seen {
    window_us: u64,
    entries_max: usize,
    /// Before this no timestamp is taken.
    since_s: u64,
    stamps: Mutex<Stamps>,
}

/// One caller may have so many of all entries when the last quarter is begun.
const SHARE: usize = 16;

/// By timestamp, what was seen.
#[derive(Default)]
struct Stamps {
    by_stamp: BTreeMap<u64, Second>,
    entries: usize,
    /// How many each caller has.
    by_asker: HashMap<Digest, usize>,
}

/// What was seen of one timestamp.
#[derive(Default)]
struct Second {
    /// Each signature with when it was first seen, in microseconds.
    signatures: HashMap<Digest, u64>,
    by_asker: HashMap<Digest, usize>,
}

impl Seen {
    /// Nothing was seen at `now_s`.
    pub(super) fn new(window_ms: u64, entries_max: usize, now_s: u64) -> Self {
        let since_s = now_s.saturating_sub(window_ms.div_ceil(1_000));
        Self { window_us: window_ms.saturating_mul(1_000), entries_max, since_s, stamps: Mutex::default() }
    }

    /// Sees a request whose signature is good, at `now_s` seconds since 1970 and `at_us` on the clock that only goes forward;
    /// `asker` holds its key, or began the session that does.
    pub(super) fn see(&self, request: &SignedRequest, asker: &str, now_s: u64, at_us: u64) -> Sight {
        let Some(stamp) = request.timestamp_s().filter(|stamp| *stamp >= self.since_s) else { return Sight::Spent };
        let mut stamps = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
        stamps.forget(now_s);
        let digest = digest(request);
        if let Some(first_us) = stamps.by_stamp.get(&stamp).and_then(|second| second.signatures.get(&digest)) {
            let is_within = at_us.saturating_sub(*first_us) < self.window_us;
            return if is_within { Sight::Again } else { Sight::Spent };
        }
        let asker = start_of(Sha256::digest(asker).into());
        if !self.has_room(&stamps, &asker) {
            return Sight::Full;
        }
        let second = stamps.by_stamp.entry(stamp).or_default();
        second.signatures.insert(digest, at_us);
        count(&mut second.by_asker, asker);
        count(&mut stamps.by_asker, asker);
        stamps.entries = stamps.entries.saturating_add(1);
        Sight::First
    }

    fn has_room(&self, stamps: &Stamps, asker: &Digest) -> bool {
        let is_last_quarter = stamps.entries >= self.entries_max.saturating_sub(self.entries_max / 4);
        let has = stamps.by_asker.get(asker).copied().unwrap_or(0);
        stamps.entries < self.entries_max && (!is_last_quarter || has < self.entries_max / SHARE)
    }
}

impl Stamps {
    /// Forgets what is refused by its timestamp: the whole window behind now, and one second more for clocks that step.
    fn forget(&mut self, now_s: u64) {
        let oldest_s = now_s.saturating_sub(WINDOW_S + 1);
        if self.by_stamp.first_key_value().is_none_or(|(stamp, _)| *stamp >= oldest_s) {
            return;
        }
        let kept = self.by_stamp.split_off(&oldest_s);
        let gone = std::mem::replace(&mut self.by_stamp, kept);
        for second in gone.into_values() {
            self.entries = self.entries.saturating_sub(second.signatures.len());
            for (asker, gone) in second.by_asker {
                let left = self.by_asker.remove(&asker).unwrap_or(0).saturating_sub(gone);
                if left > 0 {
                    self.by_asker.insert(asker, left);
                }
            }
        }
    }
}

fn count(by_asker: &mut HashMap<Digest, usize>, asker: Digest) {
    let has = by_asker.entry(asker).or_default();
    *has = has.saturating_add(1);
}

fn digest(request: &SignedRequest) -> Digest {
    let whole = Sha256::new().chain_update(request.key()).chain_update([0_u8]).chain_update(request.signature());
    start_of(whole.finalize().into())
}

fn start_of(whole: [u8; 32]) -> Digest {
    let [start, _] = split(whole);
    start
}

fn split(whole: [u8; 32]) -> [Digest; 2] {
    let mut halves = [[0; 16]; 2];
    halves.iter_mut().flatten().zip(whole).for_each(|(to, from)| *to = from);
    halves
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::tc3::{Authorization, Payload, Tc3Request};
    use proptest::prelude::*;

    const NOW: u64 = 1_800_000_000;
    const ALICE: &str = "user/dev/alice";

    fn request(stamp: u64, signature: u8) -> SignedRequest {
        request_of("AKIDEXAMPLE", stamp, signature)
    }

    fn request_of(key: &str, stamp: u64, signature: u8) -> SignedRequest {
        let authorization = Authorization {
            key: key.to_owned(),
            date: "2027-01-15".to_owned(),
            service: "ssm".to_owned(),
            signed: vec!["content-type".to_owned(), "host".to_owned()],
            signature: [signature; 32],
        };
        SignedRequest::Tc3(Tc3Request {
            authorization,
            timestamp: stamp.to_string(),
            method: "POST".to_owned(),
            query: Vec::new(),
            values: vec![b"application/json".to_vec(), b"localhost".to_vec()],
            payload: Payload::Body,
        })
    }

    #[test]
    fn attack_l02_a_signature_is_taken_again_within_the_window_and_spent_behind_it() {
        let seen = Seen::new(2_000, 10, NOW - 1_000);
        let at = |us: u64| seen.see(&request(NOW, 1), ALICE, NOW + us / 1_000_000, us);
        assert_eq!(at(5), Sight::First);
        assert_eq!(at(5), Sight::Again);
        assert_eq!(at(2_000_004), Sight::Again);
        for us in [2_000_005, 3_000_000, 299_000_000, 300_999_999] {
            assert_eq!(at(us), Sight::Spent, "{us}");
        }
        assert_eq!(seen.see(&request(NOW, 2), ALICE, NOW, 9_000_000), Sight::First, "another signature");
    }

    #[test]
    fn attack_l02_with_a_window_of_nothing_each_signature_is_good_once() {
        let seen = Seen::new(0, 10, NOW);
        assert_eq!(seen.see(&request(NOW, 1), ALICE, NOW, 0), Sight::First);
        assert_eq!(seen.see(&request(NOW, 1), ALICE, NOW, 0), Sight::Spent);
    }

    #[test]
    fn attack_l02_a_start_takes_no_timestamp_from_before_it() {
        let seen = Seen::new(2_000, 10, NOW);
        assert_eq!(seen.see(&request(NOW - 3, 1), ALICE, NOW, 0), Sight::Spent);
        assert_eq!(seen.see(&request(NOW - 2, 1), ALICE, NOW, 0), Sight::First);
    }

    #[test]
    fn attack_l02_nobody_takes_the_room_of_the_others_by_however_many_keys() {
        let seen = Seen::new(2_000, 32, NOW - 1_000);
        let firsts = |asker: &str, stamp: u64, now_s: u64| {
            let keys = (0..5).map(|key| format!("{asker}-{key}"));
            let all = keys.flat_map(|key| (0..20).map(move |signature| request_of(&key, stamp, signature)));
            let asked = all.map(|request| seen.see(&request, asker, now_s, 0));
            asked.filter(|sight| *sight == Sight::First).count()
        };
        assert_eq!(firsts("loud", NOW, NOW), 24, "three quarters");
        assert_eq!(firsts("second", NOW, NOW), 2, "a sixteenth each of the last quarter");
        assert_eq!(firsts("third", NOW + 9, NOW), 2);
        assert_eq!(firsts("loud", NOW + 9, NOW), 0);
        // What is out of date is forgotten, of its key too.
        assert_eq!(firsts("loud", NOW + 310, NOW + 305), 22, "but for those of the third");
    }

    proptest! {
        /// Against a list of everything that was ever seen.
        #[test]
        fn attack_l02_a_full_memory_refuses_and_never_forgets_what_is_not_out_of_date(
            asked in prop::collection::vec((0_u64..8, 0_u8..6, 0_u64..120), 1..120),
        ) {
            let seen = Seen::new(2_000, 3, NOW - 1_000);
            let mut ever: Vec<(u64, u8, u64)> = Vec::new();
            let mut now_s = NOW;
            for (ahead, signature, step) in asked {
                now_s += step;
                let (stamp, at_us) = (now_s - ahead, (now_s - NOW) * 1_000_000);
                ever.retain(|(stamp, ..)| stamp + 301 >= now_s);
                let before = ever.iter().find(|(known, other, _)| (*known, *other) == (stamp, signature));
                let expected = match before {
                    Some((.., first_us)) if at_us - first_us < 2_000_000 => Sight::Again,
                    Some(_) => Sight::Spent,
                    None if ever.len() >= 3 => Sight::Full,
                    None => Sight::First,
                };
                if expected == Sight::First { ever.push((stamp, signature, at_us)); }
                prop_assert_eq!(seen.see(&request(stamp, signature), ALICE, now_s, at_us), expected);
            }
        }
    }
}
