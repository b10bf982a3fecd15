//! Texts divided into classes: two texts are of one class if every test that either policy set makes of them comes out
//! alike. Each test is a small automaton, so is what texts there can be at all (a secret's name, a number, ...); walking
//! their product in breadth finds every class that is not empty, with a shortest text of it.
//!
//! A character that no test mentions is like any other such character of its kind: one stands for all.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use super::Exhausted;
use crate::authz::pattern::{Pattern, Token};
use crate::authz::resource_pattern::Read;
use crate::resource::{CREATOR_LIMIT, SecretName};

/// Most states of one product: beyond that the classes are not said to be known.
const STATES_MAX: usize = 60_000;

/// A glob held against a whole text; nothing is open in it any more.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Test {
    tokens: Vec<Token>,
    /// Of ASCII letters.
    ignore_case: bool,
}

impl Test {
    pub(super) fn pattern(pattern: &Pattern, uin: &str) -> Self {
        Self { tokens: pattern.with(uin).into_owned(), ignore_case: false }
    }

    pub(super) fn text(text: &str, ignore_case: bool) -> Self {
        Self { tokens: text.chars().map(Token::Char).collect(), ignore_case }
    }

    /// `text` with anything before or after it.
    pub(super) fn around(before: bool, text: &str, after: bool) -> Self {
        let star = |is: bool| is.then_some(Token::Any);
        let tokens = star(before).into_iter().chain(text.chars().map(Token::Char)).chain(star(after)).collect();
        Self { tokens, ignore_case: false }
    }

    /// So many characters, or at least so many.
    pub(super) fn ones(count: usize, or_more: bool) -> Self {
        let more = or_more.then_some(Token::Any);
        Self { tokens: std::iter::repeat_n(Token::One, count).chain(more).collect(), ignore_case: false }
    }

    fn fits(&self, wanted: char, found: char) -> bool {
        wanted == found || self.ignore_case && wanted.eq_ignore_ascii_case(&found)
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tokens.iter().try_for_each(|token| match token {
            Token::Char(c) => write!(f, "{c}"),
            Token::One => f.write_str("?"),
            Token::Any => f.write_str("*"),
            Token::Uin => f.write_str("${uin}"),
        })
    }
}

/// What texts there can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Domain {
    /// A secret's name.
    SecretName,
    /// A key's id: `[A-Za-z0-9][A-Za-z0-9_-]{0,63}`.
    KeyId,
    /// A creator number: decimal, below 2^52.
    Number,
    /// The key of a tag: no `&`.
    TagKey,
    /// The value of a tag; it may be empty.
    TagValue,
    /// A subject, an issuer, a door: not empty, without control characters.
    Plain,
}

/// How far a text has been read, as far as its domain tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Reading {
    Start,
    Name(Read),
    Zero,
    More,
}

impl Domain {
    const fn start(self) -> Reading {
        match self {
            Self::SecretName => Reading::Name(Read::Nothing),
            _ => Reading::Start,
        }
    }

    fn next(self, reading: Reading, c: char) -> Option<Reading> {
        let more = |fits: bool| fits.then_some(Reading::More);
        match (self, reading) {
            (Self::SecretName, Reading::Name(read)) => {
                let fits = u8::try_from(c).is_ok_and(crate::resource::is_secret_name_byte);
                read.next(c).filter(|_| fits).map(Reading::Name)
            }
            (Self::SecretName, _) => None,
            (Self::KeyId, Reading::Start) => more(c.is_ascii_alphanumeric()),
            (Self::KeyId, _) => more(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')),
            (Self::Number, Reading::Zero) => None,
            (Self::Number, Reading::Start) if c == '0' => Some(Reading::Zero),
            (Self::Number, _) => more(c.is_ascii_digit()),
            (Self::TagKey, _) => more(c != '&' && !c.is_control()),
            (Self::TagValue | Self::Plain, _) => more(!c.is_control()),
        }
    }

    /// Whether a text that was read whole is one.
    fn has(self, reading: Reading, text: &str) -> bool {
        let length = |most: usize| text.chars().count() <= most;
        match self {
            Self::SecretName => SecretName::parse(text).is_ok(),
            Self::KeyId => reading != Reading::Start && length(64),
            Self::Number => text.parse::<u64>().is_ok_and(|number| number < CREATOR_LIMIT),
            Self::TagKey => reading != Reading::Start && length(127),
            Self::TagValue => length(255),
            Self::Plain => reading != Reading::Start && text.len() <= 256,
        }
    }

    /// One character for each kind that the domain tells apart, of those that nothing mentions; the first of each list that
    /// is free is taken.
    const fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::SecretName => &["xyzabcdefghijklmnopqrstuvw0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", "_+=@-", "/", "."],
            Self::KeyId => &["xyzabcdefghijklmnopqrstuvw0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", "_-"],
            Self::Number => &["123456789", "0"],
            Self::TagKey | Self::TagValue | Self::Plain => {
                &["xyzabcdefghijklmnopqrstuvw0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_-.:äöü"]
            }
        }
    }

    fn alphabet(self, tests: &[Test]) -> Vec<char> {
        let mut mentioned = BTreeSet::new();
        for test in tests {
            for token in &test.tokens {
                if let Token::Char(c) = token {
                    mentioned.insert(*c);
                    if test.ignore_case {
                        mentioned.extend([c.to_ascii_lowercase(), c.to_ascii_uppercase()]);
                    }
                }
            }
        }
        let free = |kind: &&str| kind.chars().find(|c| !mentioned.contains(c));
        let others: Vec<char> = self.kinds().iter().filter_map(free).collect();
        // Unmentioned letters first, so that witnesses are readable.
        others.into_iter().chain(mentioned).collect()
    }
}

/// One class: how each test comes out, and a shortest text of it.
#[derive(Clone, Debug)]
pub(super) struct Class {
    pub(super) fits: Vec<bool>,
    pub(super) sample: String,
}

/// Every class of the domain that is not empty.
///
/// # Errors
/// [`Exhausted`] if the product of the tests is too large to be walked.
pub(super) fn classes(domain: Domain, tests: &[Test]) -> Result<Vec<Class>, Exhausted> {
    let mut product = Product::new(tests);
    let from = product.start.clone();
    let found = product.walk(domain, from, 1)?;
    let mut known = BTreeSet::new();
    let mut classes = Vec::new();
    for reached in found {
        if domain.has(reached.reading, &reached.text) {
            let fits = product.fits(&reached.states);
            if known.insert(fits.clone()) {
                classes.push(Class { fits, sample: reached.text });
            }
        }
    }
    Ok(classes)
}

/// A tag's key, and each class of `key&value` that its values make.
#[derive(Clone, Debug)]
pub(super) struct TagKey {
    pub(super) elements: Vec<Class>,
}

/// Keys of tags, `copies` of each class if there are as many, with the classes of their whole texts: a secret has one value
/// for each key, so what several tags of it can be is not settled by the texts alone.
///
/// # Errors
/// [`Exhausted`] as [`classes`].
pub(super) fn tag_keys(tests: &[Test], copies: usize) -> Result<Vec<TagKey>, Exhausted> {
    let mut product = Product::new(tests);
    let from = product.start.clone();
    let keys = product.walk(Domain::TagKey, from, copies)?;
    let mut known: HashMap<Vec<u32>, Vec<Class>> = HashMap::new();
    let mut found = Vec::new();
    for key in keys.into_iter().filter(|key| Domain::TagKey.has(key.reading, &key.text)) {
        let behind = product.step(&key.states, '&');
        let values = match known.get(&behind) {
            Some(values) => values.clone(),
            None => {
                let values = product.values(behind.clone())?;
                known.insert(behind, values.clone());
                values
            }
        };
        let whole = |value: Class| Class { sample: format!("{}&{}", key.text, value.sample), ..value };
        found.push(TagKey { elements: values.into_iter().map(whole).collect() });
    }
    Ok(found)
}

/// Where a walk came to.
struct ReachedText {
    reading: Reading,
    states: Vec<u32>,
    text: String,
}

/// Several tests at once.
struct Product {
    machines: Vec<Machine>,
    tests: Vec<Test>,
    start: Vec<u32>,
}

impl Product {
    fn new(tests: &[Test]) -> Self {
        let machines: Vec<Machine> = tests.iter().cloned().map(Machine::new).collect();
        let start = vec![0; machines.len()];
        Self { machines, tests: tests.to_vec(), start }
    }

    fn step(&mut self, states: &[u32], c: char) -> Vec<u32> {
        self.machines.iter_mut().zip(states).map(|(machine, state)| machine.step(*state, c)).collect()
    }

    fn fits(&self, states: &[u32]) -> Vec<bool> {
        self.machines.iter().zip(states).map(|(machine, state)| machine.fits(*state)).collect()
    }

    fn values(&mut self, from: Vec<u32>) -> Result<Vec<Class>, Exhausted> {
        let mut known = BTreeSet::new();
        let mut classes = Vec::new();
        for reached in self.walk(Domain::TagValue, from, 1)? {
            let fits = self.fits(&reached.states);
            if Domain::TagValue.has(reached.reading, &reached.text) && known.insert(fits.clone()) {
                classes.push(Class { fits, sample: reached.text });
            }
        }
        Ok(classes)
    }

    /// Every state that texts of the domain lead to, each with its `copies` shortest texts.
    fn walk(&mut self, domain: Domain, from: Vec<u32>, copies: usize) -> Result<Vec<ReachedText>, Exhausted> {
        let alphabet = domain.alphabet(&self.tests);
        let mut seen: HashMap<(Reading, Vec<u32>), usize> = HashMap::new();
        let mut reached = vec![ReachedText { reading: domain.start(), states: from, text: String::new() }];
        let mut next = 0;
        while let Some(at) = reached.get(next) {
            let (reading, states, text) = (at.reading, at.states.clone(), at.text.clone());
            next += 1;
            for c in &alphabet {
                let Some(reading) = domain.next(reading, *c) else { continue };
                let states = self.step(&states, *c);
                let times = seen.entry((reading, states.clone())).or_default();
                if *times < copies {
                    *times += 1;
                    reached.push(ReachedText { reading, states, text: format!("{text}{c}") });
                }
            }
            if reached.len() > STATES_MAX {
                return Err(Exhausted("the patterns of names and texts overlap in too many ways"));
            }
        }
        Ok(reached)
    }
}

/// One test as an automaton that is made as it is walked: a state is the set of places in the pattern where the rest of the
/// text may go on.
struct Machine {
    test: Test,
    states: Vec<BTreeSet<usize>>,
    known: HashMap<BTreeSet<usize>, u32>,
    steps: HashMap<(u32, char), u32>,
}

impl Machine {
    fn new(test: Test) -> Self {
        let mut machine = Self { test, states: Vec::new(), known: HashMap::new(), steps: HashMap::new() };
        let start = machine.closed([0].into());
        machine.number(start);
        machine
    }

    /// With the places behind stars, which may stand for nothing.
    fn closed(&self, mut places: BTreeSet<usize>) -> BTreeSet<usize> {
        for (place, token) in self.test.tokens.iter().enumerate() {
            if *token == Token::Any && places.contains(&place) {
                places.insert(place + 1);
            }
        }
        places
    }

    fn number(&mut self, places: BTreeSet<usize>) -> u32 {
        let next = u32::try_from(self.states.len()).unwrap_or(u32::MAX);
        let number = *self.known.entry(places.clone()).or_insert(next);
        if number == next {
            self.states.push(places);
        }
        number
    }

    fn at(&self, state: u32) -> Option<&BTreeSet<usize>> {
        self.states.get(usize::try_from(state).ok()?)
    }

    fn fits(&self, state: u32) -> bool {
        self.at(state).is_some_and(|places| places.contains(&self.test.tokens.len()))
    }

    fn step(&mut self, state: u32, c: char) -> u32 {
        if let Some(next) = self.steps.get(&(state, c)) {
            return *next;
        }
        let mut after = BTreeSet::new();
        for place in self.at(state).into_iter().flatten() {
            match self.test.tokens.get(*place) {
                Some(Token::Any) => drop(after.insert(*place)),
                Some(Token::One) => drop(after.insert(place + 1)),
                Some(Token::Char(wanted)) if self.test.fits(*wanted, c) => drop(after.insert(place + 1)),
                // A variable is put in before a test is made.
                Some(Token::Char(_) | Token::Uin) | None => {}
            }
        }
        let after = self.closed(after);
        let next = self.number(after);
        self.steps.insert((state, c), next);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Test {
        Test::pattern(&Pattern::parse(text, "1", true).unwrap(), "7")
    }

    fn found(domain: Domain, patterns: &[&str]) -> Vec<(String, String)> {
        let tests: Vec<Test> = patterns.iter().map(|text| pattern(text)).collect();
        let bits = |class: &Class| class.fits.iter().map(|fits| if *fits { '1' } else { '0' }).collect();
        classes(domain, &tests).unwrap().iter().map(|class| (bits(class), class.sample.clone())).collect()
    }

    #[test]
    fn every_class_that_is_not_empty_is_found_with_a_shortest_text() {
        let all = found(Domain::SecretName, &["prod/*", "prod/db", "*db"]);
        let sample = |bits: &str| all.iter().find(|(of, _)| of == bits).map(|(_, sample)| sample.as_str());
        assert_eq!(sample("000"), Some("x"));
        assert_eq!(sample("100"), Some("prod/x"));
        assert_eq!(sample("111"), Some("prod/db"));
        assert_eq!(sample("001"), Some("db"));
        assert_eq!(sample("101").map(str::len), Some(8), "{all:?}");
        assert_eq!(sample("010"), None);
        assert_eq!(all.len(), 5);
    }

    #[test]
    fn names_numbers_and_ids_are_valid_ones() {
        for (_, name) in found(Domain::SecretName, &["*/*/*", "*.*", "a*", "*..*", "*-"]) {
            assert!(SecretName::parse(&name).is_ok(), "{name}");
        }
        let numbers = found(Domain::Number, &["0*", "*7", "9999999999999999", "??*"]);
        assert!(numbers.iter().all(|(_, text)| text.parse::<u64>().unwrap() < CREATOR_LIMIT), "{numbers:?}");
        assert!(!numbers.iter().any(|(_, text)| text.len() > 1 && text.starts_with('0')), "{numbers:?}");
        assert!(found(Domain::KeyId, &["-*", "k*"]).iter().all(|(bits, _)| !bits.starts_with('1')));
    }

    #[test]
    fn a_tag_has_its_key_before_the_first_ampersand() {
        let tests = [pattern("env&prod"), pattern("*&prod"), pattern("env&*")];
        let keys = tag_keys(&tests, 2).unwrap();
        let of = |start: &str| keys.iter().filter(|key| key.elements[0].sample.starts_with(start)).count();
        assert_eq!(of("env&"), 1, "there is one key of that name");
        assert!(keys.len() > 3);
    }
}
