//! The circumstances of a request, key by key: for each way in which the clauses on a key can come out together, values with
//! which they do.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Exhausted;
use super::strings::{Class, Domain, TagKey, Test, classes, tag_keys};
use crate::actions::{ConditionKey, ValueType};
use crate::authz::condition::{Clause, Outcome, Wanted};
use crate::authz::decision::StatementEffect;
use crate::authz::facts::Facts;
use crate::authz::operator::{Comparison, Qualifier};
use crate::authz::spelling;
use crate::authz::value::parse_date;

/// Most ways in which the clauses on one key may come out.
const CELLS_MAX: usize = 4_096;
/// A deletion's window is 0 (at once) to 30 days.
const WINDOW_DAYS: std::ops::RangeInclusive<u64> = 0..=30;

/// One way in which the clauses on a key come out.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    /// For each clause, whether it holds.
    pub(super) holds: Vec<bool>,
    /// Values of the key with which they come out so; none: the request lacks it.
    pub(super) values: Vec<String>,
}

/// Who asks, as far as values depend on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asker {
    pub(super) uin: u64,
    /// Subjects that are somebody else.
    pub(super) others: Vec<String>,
    /// Whether tags of the request are keys alone: those that it takes off.
    pub(super) takes_tags_off: bool,
}

/// Whether a clause holds for these values of its key.
pub(super) fn clause_holds(clause: &Clause, values: &[String], uin: u64) -> bool {
    let outcome =
        Facts::alone(clause.key, values, uin).and_then(|facts| clause.outcome(&facts, StatementEffect::Allow));
    outcome == Ok(Outcome::Holds)
}

/// Every way in which `clauses`, all of them on `key`, can come out.
///
/// # Errors
/// [`Exhausted`] if there are too many.
pub(super) fn cells(key: ConditionKey, clauses: &[Clause], asker: &Asker) -> Result<Vec<Cell>, Exhausted> {
    let uin = asker.uin;
    let holds =
        |values: &[String]| clauses.iter().map(|clause| clause_holds(clause, values, uin)).collect::<Vec<bool>>();
    let values = match key {
        ConditionKey::ResourceTag | ConditionKey::RequestTag => {
            let only_keys = key == ConditionKey::RequestTag && asker.takes_tags_off;
            return sets(clauses, &tags(clauses, uin, only_keys)?, &holds);
        }
        ConditionKey::OidcAudience => {
            let each = texts(Domain::Plain, clauses, &[], uin)?;
            return sets(clauses, &each.into_iter().map(|class| vec![class.sample]).collect::<Vec<_>>(), &holds);
        }
        ConditionKey::TargetUin => singles(texts(Domain::Number, clauses, &[], uin)?),
        _ => match key.value_type() {
            ValueType::String => singles(texts(Domain::Plain, clauses, &asker.others, uin)?),
            ValueType::Bool => vec![vec!["true".to_owned()], vec!["false".to_owned()]],
            ValueType::Number => WINDOW_DAYS.map(|days| vec![days.to_string()]).collect(),
            ValueType::Date => dates(clauses),
            ValueType::Ip => addresses(clauses),
        },
    };
    let mut known = BTreeMap::new();
    for values in values {
        known.entry(holds(&values)).or_insert(values);
    }
    Ok(known.into_iter().map(|(holds, values)| Cell { holds, values }).collect())
}

fn singles(classes: Vec<Class>) -> Vec<Vec<String>> {
    classes.into_iter().map(|class| vec![class.sample]).collect()
}

/// The tests that clauses make of one text.
pub(super) fn tests(clauses: &[Clause], uin: u64) -> Vec<Test> {
    let uin = uin.to_string();
    let mut tests = BTreeSet::new();
    for clause in clauses {
        let ignore_case = clause.operator.comparison == Comparison::EqualIgnoreCase;
        match &clause.wanted {
            Wanted::Texts(texts) => tests.extend(texts.iter().map(|text| Test::text(&text.with(&uin), ignore_case))),
            Wanted::Patterns(all) => tests.extend(all.iter().map(|pattern| Test::pattern(pattern, &uin))),
            _ => {}
        }
    }
    tests.into_iter().collect()
}

/// The classes of texts of a domain, those left out that are `others`.
fn texts(domain: Domain, clauses: &[Clause], others: &[String], uin: u64) -> Result<Vec<Class>, Exhausted> {
    let mut tests = tests(clauses, uin);
    let own = tests.len();
    tests.extend(others.iter().map(|other| Test::text(other, false)));
    let mut classes = classes(domain, &tests)?;
    classes.retain(|class| !class.fits.iter().skip(own).any(|is_other| *is_other));
    Ok(classes)
}

/// Tags, by key: a secret has at most one of each list.
fn tags(clauses: &[Clause], uin: u64, only_keys: bool) -> Result<Vec<Vec<String>>, Exhausted> {
    // No set needs more elements than there are clauses: one for each that it turns.
    let keys = tag_keys(&tests(clauses, uin), clauses.len().max(1))?;
    let fits = |sample: &String| !only_keys || sample.split_once('&').is_some_and(|(_, value)| value.is_empty());
    let texts = |key: TagKey| key.elements.into_iter().map(|element| element.sample).filter(fits).collect();
    Ok(keys.into_iter().map(texts).collect())
}

/// Every way in which sets come out that hold at most one text of each list.
fn sets(
    clauses: &[Clause],
    lists: &[Vec<String>],
    holds: &dyn Fn(&[String]) -> Vec<bool>,
) -> Result<Vec<Cell>, Exhausted> {
    let mut known: BTreeMap<Vec<bool>, Vec<String>> = BTreeMap::new();
    for list in lists {
        let before = known.clone();
        for text in list {
            let alone = holds(std::slice::from_ref(text));
            for (with, set) in &before {
                let joined = [set.as_slice(), std::slice::from_ref(text)].concat();
                keep(&mut known, combined(clauses, with, &alone), joined);
            }
            keep(&mut known, alone, vec![text.clone()]);
        }
        if known.len() > CELLS_MAX {
            return Err(Exhausted("the conditions on one key come out in too many ways"));
        }
    }
    let mut cells: Vec<Cell> = known.into_iter().map(|(holds, values)| Cell { holds, values }).collect();
    let empty = holds(&[]);
    if !cells.iter().any(|cell| cell.holds == empty) {
        cells.push(Cell { holds: empty, values: Vec::new() });
    }
    Ok(cells)
}

fn keep(known: &mut BTreeMap<Vec<bool>, Vec<String>>, holds: Vec<bool>, set: Vec<String>) {
    let kept = known.entry(holds).or_insert_with(|| set.clone());
    if set.len() < kept.len() {
        *kept = set;
    }
}

/// How clauses come out for a set with one element more: by an element of it, or by all.
fn combined(clauses: &[Clause], set: &[bool], element: &[bool]) -> Vec<bool> {
    let each = clauses.iter().zip(set).zip(element);
    let combine = |((clause, set), element): ((&Clause, &bool), &bool)| match clause.operator.qualifier {
        Qualifier::All => *set && *element,
        // `null_equal` says the same of every set that is not empty.
        Qualifier::Any | Qualifier::Bare => *set || *element,
    };
    each.map(combine).collect()
}

/// The bounds that clauses name, and the seconds beside them.
fn dates(clauses: &[Clause]) -> Vec<Vec<String>> {
    let mut seconds: BTreeSet<i64> = BTreeSet::from([1_767_225_600]);
    for clause in clauses {
        if let Wanted::Instants(_, all) = &clause.wanted {
            seconds.extend(all.iter().flat_map(|at| [at.saturating_sub(1), *at, at.saturating_add(1)]));
        }
    }
    let texts = seconds.into_iter().map(|at| (at, spelling::date(at)));
    texts.filter(|(at, text)| parse_date(text) == Some(*at)).map(|(_, text)| vec![text]).collect()
}

/// The ends of the ranges that clauses name, and the addresses beside them; and no address.
fn addresses(clauses: &[Clause]) -> Vec<Vec<String>> {
    let mut all: BTreeSet<IpAddr> = [Ipv4Addr::new(192, 0, 2, 1).into(), Ipv6Addr::LOCALHOST.into()].into();
    // Beside the addresses that are IPv4's.
    all.extend([0xfffe_ffff_ffff_u128, 0x1_0000_0000_0000].map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))));
    for clause in clauses {
        if let Wanted::Ranges(ranges) = &clause.wanted {
            all.extend(ranges.iter().flat_map(|range| around(range.network(), range.broadcast())));
        }
    }
    let mut values: Vec<Vec<String>> =
        all.into_iter().map(|address| vec![address.to_canonical().to_string()]).collect();
    values.push(Vec::new());
    values
}

fn around(first: IpAddr, last: IpAddr) -> Vec<IpAddr> {
    let v4 = |bits: Option<u32>| bits.map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)));
    let v6 = |bits: Option<u128>| bits.map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)));
    let beside = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            [v4(first.to_bits().checked_sub(1)), v4(last.to_bits().checked_add(1))]
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            [v6(first.to_bits().checked_sub(1)), v6(last.to_bits().checked_add(1))]
        }
        _ => [None, None],
    };
    [first, last].into_iter().chain(beside.into_iter().flatten()).collect()
}
