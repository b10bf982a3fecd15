//! Callers' creator numbers, as far as statements tell them apart: by number, by a condition, or by a text that `${uin}` is a
//! part of.

use std::collections::BTreeSet;

use super::Exhausted;
use super::compare::{Comparison, Scene};
use super::sides::On;
use super::strings::{Class, Domain, Test, classes};
use crate::actions::ConditionKey;
use crate::authz::condition::{Clause, Wanted};
use crate::authz::pattern::{Pattern, Token};

/// Longest run of digits of which every part is tried as a number.
const RUN_MAX: usize = 6;

/// Tests that tell numbers apart, and a number of each class.
pub(super) struct Numbers {
    pub(super) tests: Vec<Test>,
    pub(super) classes: Vec<Class>,
}

/// Stands for the number where its surroundings are looked at.
const MARK: char = '\u{1}';

/// The numbers that one comparison tells apart.
///
/// # Errors
/// [`Exhausted`] if `${uin}` stands where its digits cannot be told from those beside it, or there are too many classes.
pub(super) fn of(scene: &Scene<'_>, comparison: &Comparison) -> Result<Numbers, Exhausted> {
    if let Some(uin) = comparison.uin {
        let class = Class { fits: Vec::new(), sample: uin.to_string() };
        return Ok(Numbers { tests: Vec::new(), classes: vec![class] });
    }
    let inside = inside(scene);
    let matters = !inside.is_empty()
        || scene.names_own
        || comparison.variant.on == On::Creation
        || scene.clauses.iter().any(|clause| clause.key == ConditionKey::Uin || has_uin(clause));
    let mut tests = BTreeSet::new();
    if matters {
        tests.extend(scene.creators.iter().map(|number| Test::text(&number.to_string(), false)));
        for clause in scene.clauses.iter().filter(|clause| is_number(clause.key)) {
            tests.extend(plain_tests(clause));
        }
        tests.insert(Test::text(scene.account(), false));
    }
    if !inside.is_empty() {
        inside.iter().try_for_each(|text| check_surroundings(text))?;
        tests.extend(overlaps(scene));
    }
    let tests: Vec<Test> = tests.into_iter().collect();
    let classes = classes(Domain::Number, &tests)?;
    Ok(Numbers { tests, classes })
}

const fn is_number(key: ConditionKey) -> bool {
    matches!(key, ConditionKey::Uin | ConditionKey::CreateUin | ConditionKey::TargetUin)
}

fn has_uin(clause: &Clause) -> bool {
    match &clause.wanted {
        Wanted::Texts(texts) => texts.iter().any(super::super::variable::Text::has_uin),
        Wanted::Patterns(patterns) => patterns.iter().any(Pattern::has_uin),
        _ => false,
    }
}

/// The tests of a clause in which no number is open.
fn plain_tests(clause: &Clause) -> Vec<Test> {
    match &clause.wanted {
        Wanted::Texts(texts) => {
            texts.iter().filter(|text| !text.has_uin()).map(|text| Test::text(&text.with(""), false)).collect()
        }
        Wanted::Patterns(all) => all.iter().filter(|one| !one.has_uin()).map(|one| Test::pattern(one, "")).collect(),
        _ => Vec::new(),
    }
}

/// Texts of which the number is a part, or which are held against texts that are no numbers.
fn inside(scene: &Scene<'_>) -> Vec<String> {
    let mark = MARK.to_string();
    let marked = |pattern: &Pattern| spelled(&pattern.with(&mark));
    let mut found: Vec<String> = scene.patterns.iter().filter(|one| one.has_uin()).map(marked).collect();
    for clause in &scene.clauses {
        match &clause.wanted {
            Wanted::Texts(texts) => {
                let open = texts.iter().filter(|text| text.has_uin()).map(|text| text.with(&mark));
                found.extend(open.filter(|text| *text != mark || !is_number(clause.key)));
            }
            Wanted::Patterns(all) => found.extend(all.iter().filter(|one| one.has_uin()).map(marked)),
            _ => {}
        }
    }
    found
}

fn spelled(tokens: &[Token]) -> String {
    let one = |token: &Token| match token {
        Token::Char(c) => *c,
        Token::One => '?',
        Token::Any => '*',
        Token::Uin => MARK,
    };
    tokens.iter().map(one).collect()
}

fn check_surroundings(text: &str) -> Result<(), Exhausted> {
    let characters: Vec<char> = text.chars().collect();
    let unclear = |c: &char| c.is_ascii_digit() || *c == '?' || *c == MARK;
    let beside = characters.windows(2).any(|pair| match pair {
        [one, next] => *one == MARK && unclear(next) || *next == MARK && unclear(one),
        _ => false,
    });
    if beside { Err(Exhausted("`${uin}` stands beside a digit, a `?` or another `${uin}`")) } else { Ok(()) }
}

/// Where a number's digits may be those that a pattern names: equal to a run of digits or a part of one, beginning or ending
/// with one, holding one; or of a length that `?` counts.
fn overlaps(scene: &Scene<'_>) -> BTreeSet<Test> {
    let mut texts: Vec<String> = scene.patterns.iter().map(ToString::to_string).collect();
    texts.extend(scene.clauses.iter().flat_map(Clause::values));
    texts.push(scene.account().to_owned());
    let mut tests = BTreeSet::new();
    for text in &texts {
        for run in text.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty()) {
            tests.extend([(false, true), (true, false), (true, true)].map(|(a, b)| Test::around(a, run, b)));
            tests.extend(parts(run).into_iter().map(|part| Test::text(part, false)));
        }
        for count in 1..=text.chars().filter(|c| *c == '?').count().min(16) {
            tests.extend([Test::ones(count, false), Test::ones(count, true)]);
        }
    }
    tests
}

fn parts(run: &str) -> Vec<&str> {
    let mut parts = vec![run];
    for from in 0..run.len() {
        for to in from + 1..=run.len() {
            if run.len() <= RUN_MAX || from == 0 || to == run.len() {
                parts.extend(run.get(from..to));
            }
        }
    }
    parts
}
