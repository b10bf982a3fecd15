//! The rows of the indexes: what a record adds to them, and where a question looks (audit-log.md 5.2).
//!
//! Indexes are derived: each row follows from one record alone, so all of them can be dropped and built again, and
//! checked both ways. Principals and actions stand in them as the first 8 bytes of their SHA-256; every hit is held
//! against the record itself, so two names on one hash do no harm.
//!
//! | tag | key behind chain id and tag, before the be64 index | value |
//! |---|---|---|
//! | `a` | id8 of the action | empty |
//! | `d` | nothing: records whose decision is deny or error | empty |
//! | `p` | id8 of the principal | empty |
//! | `r` | type word, 0x00, name, 0x00 of the resource | empty |
//! | `s` | nothing: clock steps | be64 time |

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;

use super::keys::{ChainId, behind_chain, number, successor};
use crate::hash;
use crate::record::{Decision, Draft, Kind, Record};

const ACTION: u8 = b'a';
const REFUSED: u8 = b'd';
const PRINCIPAL: u8 = b'p';
const RESOURCE: u8 = b'r';
const SEGMENT: u8 = b's';

/// A row of an index.
pub(super) type Row = (Vec<u8>, Vec<u8>);

/// What of a record the indexes are made of.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Facts<'a> {
    #[serde(borrow)]
    action: Cow<'a, str>,
    decision: Option<Decision>,
    index: u64,
    kind: Kind,
    #[serde(borrow)]
    principal: Option<Cow<'a, str>>,
    #[serde(borrow)]
    resource: Option<Cow<'a, str>>,
    time: u64,
}

impl<'a> Facts<'a> {
    /// Reads them off stored bytes, whose form is not checked again: a follower reads what the sequencer has just made.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// Those of a record.
    pub(super) fn of(record: &'a Record) -> Self {
        Self {
            action: record.action().into(),
            decision: record.decision(),
            index: record.index(),
            kind: record.kind(),
            principal: record.principal().map(Cow::from),
            resource: record.resource().map(Cow::from),
            time: record.time_us(),
        }
    }
}

/// All rows that a record has in the indexes.
pub(super) fn rows(id: ChainId, record: &Facts<'_>) -> Vec<Row> {
    Traces::of(record).rows(id, record.index, record.time)
}

/// What a record leaves in the indexes, whatever its index and time.
#[derive(Default)]
pub(super) struct Traces(Vec<Entry>);

impl Traces {
    /// Those of a record that is yet to be written.
    pub(super) fn of_draft(draft: &Draft) -> Self {
        Self::of(&Facts {
            action: draft.action.as_str().into(),
            decision: draft.decision,
            index: 0,
            kind: draft.kind,
            principal: draft.principal.as_deref().map(Cow::from),
            resource: draft.resource.as_deref().map(Cow::from),
            time: 0,
        })
    }

    fn of(record: &Facts<'_>) -> Self {
        let mut entries = Vec::with_capacity(4);
        entries.push(Entry::action(&record.action));
        entries.extend(record.principal.as_deref().map(Entry::principal));
        entries.extend(record.resource.as_deref().and_then(Name::of).map(|name| Entry::resource(&name)));
        if matches!(record.decision, Some(Decision::Deny | Decision::Error)) {
            entries.push(Entry::refused());
        }
        if record.kind == Kind::ClockStep {
            entries.push(Entry::segment());
        }
        Self(entries)
    }

    /// The rows, for the record at `index` that was written at `time_us`.
    pub(super) fn rows(&self, id: ChainId, index: u64, time_us: u64) -> Vec<Row> {
        let value = |entry: &Entry| match entry.0 == [SEGMENT] {
            true => time_us.to_be_bytes().to_vec(),
            false => Vec::new(),
        };
        self.0.iter().map(|entry| (id.numbered(&entry.0, index), value(entry))).collect()
    }
}

/// Tag and key of an index entry, before the record's index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry(Vec<u8>);

impl Entry {
    pub(super) fn action(action: &str) -> Self {
        Self::hashed(ACTION, action)
    }

    pub(super) fn principal(principal: &str) -> Self {
        Self::hashed(PRINCIPAL, principal)
    }

    pub(super) fn refused() -> Self {
        Self(vec![REFUSED])
    }

    pub(super) fn segment() -> Self {
        Self(vec![SEGMENT])
    }

    pub(super) fn resource(name: &Name<'_>) -> Self {
        Self([&[RESOURCE], name.kind.as_bytes(), &[0], name.name.as_bytes(), &[0]].concat())
    }

    /// The keys of this entry for records of `range`.
    pub(super) fn keys(&self, id: ChainId, range: &Range<u64>) -> Range<Vec<u8>> {
        id.numbered(&self.0, range.start)..id.numbered(&self.0, range.end)
    }

    fn hashed(tag: u8, text: &str) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = hash::sha256(text.as_bytes());
        Self(vec![tag, a, b, c, d, e, f, g, h])
    }
}

/// The keys of all secrets whose name begins with `prefix`, whatever the record's index.
pub(super) fn secrets_by_prefix(id: ChainId, prefix: &str) -> Range<Vec<u8>> {
    let from = id.named(&[&[RESOURCE], SECRET.as_bytes(), &[0], prefix.as_bytes()].concat());
    let to = successor(&from);
    from..to
}

/// All keys of all indexes.
pub(super) fn all(id: ChainId) -> Range<Vec<u8>> {
    id.all(&[])
}

/// The index of the record that a row is of.
pub(super) fn record_of(key: &[u8]) -> Option<u64> {
    if behind_chain(key).len() > 8 { number(key) } else { None }
}

/// The type word of secrets.
pub(super) const SECRET: &str = "secret";
/// The type word of keys.
const KEY: &str = "key";
/// The type word of roles.
const ROLE: &str = "roleName";
/// Every type word that a resource may have, so that what is known by its name alone is found under each.
pub(super) const TYPES: [&str; 3] = [SECRET, KEY, ROLE];

/// What an index knows of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name<'a> {
    /// Its type word: `secret`.
    pub(super) kind: &'a str,
    /// Its name, the creator left out.
    pub(super) name: &'a str,
}

impl<'a> Name<'a> {
    /// Type and name in the sixth segment of a resource: `secret/creatorUin/<creator>/<name>`, or `<type>/<name>`.
    pub(super) fn of(resource: &'a str) -> Option<Self> {
        let (kind, rest) = resource.splitn(6, ':').nth(5)?.split_once('/')?;
        let named = rest.strip_prefix("creatorUin/").and_then(|created| created.split_once('/'));
        Some(Self { kind, name: named.map_or(rest, |(_, name)| name) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_known_by_type_and_name() {
        let secret = "qcs::ssm:local:uin/100000000001:secret/creatorUin/3067215483350917/prod/pay/db-password";
        assert_eq!(Name::of(secret), Some(Name { kind: "secret", name: "prod/pay/db-password" }));
        assert_eq!(Name::of("qcs::kms:local:uin/1:key/k-1"), Some(Name { kind: "key", name: "k-1" }));
        assert_eq!(Name::of("qcs::kms:local"), None);
        assert_eq!(Name::of("*"), None);
    }

    #[test]
    fn facts_read_off_the_bytes_are_those_of_the_record() {
        let mut draft =
            Draft::new(Kind::Access, "ssm:\u{7f}\"Odd\u{1}", "native", "2244a341-e0fd-4058-aa83-9d27fc886ed6");
        draft.decision = Some(Decision::Deny);
        draft.principal = Some("user/dev/gr\u{fc}n\n".to_owned());
        draft.resource = Some("qcs::ssm:local:uin/1:secret/creatorUin/1/a".to_owned());
        let bytes = draft.frame().unwrap().finish(1, 7, 9);
        let record = Record::parse(&bytes).unwrap();
        let facts = Facts::read(&bytes).unwrap();
        assert_eq!(facts, Facts::of(&record));
        assert_eq!(rows(ChainId([1; 8]), &facts).len(), 4);
        assert_eq!(Traces::of_draft(&draft).rows(ChainId([1; 8]), 7, 9), rows(ChainId([1; 8]), &facts));
    }

    #[test]
    fn keys_of_a_prefix_hold_its_names_and_no_others() {
        let id = ChainId([1; 8]);
        let range = secrets_by_prefix(id, "prod/");
        let key = |name| id.numbered(&Entry::resource(&Name { kind: SECRET, name }).0, 9);
        assert!(range.contains(&key("prod/a")) && range.contains(&key("prod/")));
        assert!(!range.contains(&key("prod")) && !range.contains(&key("proe")) && !range.contains(&key("test/prod/a")));
    }
}
