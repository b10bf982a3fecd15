//! What one record says, by itself: canonical form, the fields of schema version 1, and the few values that the
//! rules between records need ([`crate::walk`]).
//!
//! Not checked, as the specification's section 8 says: what stands inside `parameters` beyond canonical form, the order of
//! lists, whether fields that depend on the case are there, and the form of texts that are no closed words.

use crate::canonical::{Form, Member, Named, NotCanonical, Pass, Shape, integer, member, unescape};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A record has at most this many bytes.
pub(crate) const RECORD_BYTES_MAX: usize = 8192;

/// A user agent has at most this many bytes.
const USER_AGENT_BYTES_MAX: usize = 128;

const TEXT: Shape = Shape::Text;
const INTEGER: Shape = Shape::Integer;
const TEXTS: Shape = Shape::EveryElement(&TEXT);
/// Lists that are left out when they are empty.
const SOME_TEXTS: Shape = Shape::SomeElements(&TEXT);
const DECISION: Shape = Shape::OneOf(&["allow", "deny", "error"]);
const CONTEXT: Shape = Shape::Members(
    &[
        ("conditions", Shape::EveryMember(&TEXTS)),
        ("groups", SOME_TEXTS),
        ("roles", SOME_TEXTS),
        ("unknown", Shape::SomeElements(&Shape::OneOf(&["creator", "tags"]))),
    ],
    &[Form { always: 0b0001, optional: 0b1110 }],
);
const CREDENTIAL: Shape = Shape::Members(
    &[("access_key", TEXT), ("expires", INTEGER), ("hash", TEXT), ("issued", INTEGER), ("jti", TEXT), ("kid", TEXT)],
    &[
        // A bearer token with `jti`, and one with `hash`; an access key, without and with an end.
        Form { always: 0b01_1010, optional: 0b10_0000 },
        Form { always: 0b00_1110, optional: 0b10_0000 },
        Form { always: 0b00_1001, optional: 0b00_0010 },
    ],
);
const LAYER: Shape = Shape::Members(
    &[
        ("document", TEXT),
        ("effect", Shape::OneOf(&["allow", "deny"])),
        ("layer", Shape::OneOf(&["identity", "boundary", "session", "trust"])),
        ("statement", Shape::SmallInteger),
    ],
    &[Form { always: 0b0110, optional: 0b1001 }],
);
const SHADOW: Shape =
    Shape::Members(&[("decision", DECISION), ("revision", TEXT)], &[Form { always: 0b11, optional: 0 }]);
const POLICY: Shape = Shape::Members(
    &[
        ("layers", Shape::EveryElement(&LAYER)),
        ("revision", TEXT),
        ("semantics", Shape::SmallInteger),
        ("shadow", SHADOW),
    ],
    &[Form { always: 0b0111, optional: 0b1000 }],
);

/// What is done with a field's value beyond its shape.
#[derive(Clone, Copy, Debug)]
enum Use {
    Free,
    Action,
    Address,
    Answers,
    Door,
    Epoch,
    Index,
    Kind,
    Outcome,
    Parameters,
    Request,
    Time,
    UserAgent,
    Version,
}

impl Named for (&'static str, Shape, Use) {
    fn name(&self) -> &'static str {
        self.0
    }
}

/// Every field of a record, in the order of their bytes.
static FIELDS: [(&str, Shape, Use); 28] = [
    ("action", TEXT, Use::Action),
    ("answers", INTEGER, Use::Answers),
    ("assumed_by", TEXT, Use::Free),
    ("certificate", TEXT, Use::Free),
    ("context", CONTEXT, Use::Free),
    ("credential", CREDENTIAL, Use::Free),
    ("decision", DECISION, Use::Free),
    ("door", TEXT, Use::Door),
    ("epoch", INTEGER, Use::Epoch),
    ("index", INTEGER, Use::Index),
    ("issuer", TEXT, Use::Free),
    ("kind", TEXT, Use::Kind),
    ("outcome", TEXT, Use::Outcome),
    ("parameters", Shape::Object, Use::Parameters),
    ("personal", TEXT, Use::Free),
    ("policy", POLICY, Use::Free),
    ("principal", TEXT, Use::Free),
    ("reason", TEXT, Use::Free),
    ("request", TEXT, Use::Request),
    ("resource", TEXT, Use::Free),
    ("secret_version", TEXT, Use::Free),
    ("session", TEXT, Use::Free),
    ("session_policy", TEXT, Use::Free),
    ("source_ip", TEXT, Use::Address),
    ("time", INTEGER, Use::Time),
    ("user_agent", TEXT, Use::UserAgent),
    ("value", TEXT, Use::Free),
    ("version", INTEGER, Use::Version),
];

/// A record's kind, as its place in [`Kind::WORDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind(u8);

impl Kind {
    /// The closed list of kinds, sorted.
    pub(crate) const WORDS: [&str; 13] = [
        "access",
        "clock_step",
        "hold",
        "key_rotation",
        "loss",
        "outcome",
        "policy_change",
        "prune",
        "purge",
        "seal",
        "summary",
        "system",
        "unauthenticated",
    ];
    pub(crate) const ACCESS: Self = Self(0);
    pub(crate) const CLOCK_STEP: Self = Self(1);
    pub(crate) const KEY_ROTATION: Self = Self(3);
    pub(crate) const LOSS: Self = Self(4);
    pub(crate) const OUTCOME: Self = Self(5);
    pub(crate) const SEAL: Self = Self(9);

    fn parse(quoted: &[u8]) -> Option<Self> {
        let word = inside(quoted)?;
        let place = Self::WORDS.iter().position(|known| known.as_bytes() == word)?;
        u8::try_from(place).ok().map(Self)
    }

    /// Its place in [`Kind::WORDS`].
    pub(crate) fn place(self) -> usize {
        usize::from(self.0)
    }

    /// Whether rules between records read more of it than [`Record`] holds.
    pub(crate) fn is_ruled(self) -> bool {
        matches!(self, Self::CLOCK_STEP | Self::KEY_ROTATION | Self::LOSS | Self::OUTCOME | Self::SEAL)
    }
}

/// What the rules between records need of one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) index: u64,
    pub(crate) epoch: u32,
    pub(crate) time_us: u64,
    pub(crate) kind: Kind,
    pub(crate) request: u128,
    /// `parameters.item`, the third part of the event id.
    pub(crate) item: Option<u64>,
    pub(crate) answers: Option<u64>,
}

/// Why bytes are not a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RecordFault {
    TooLarge,
    NotCanonical,
    /// Of this name, if it is plain enough to be shown.
    Unknown(Option<Box<str>>),
    Wrong(&'static str),
    Missing(&'static str),
    /// A field that this kind does not have.
    Foreign(&'static str),
}

impl fmt::Display for RecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("larger than 8,192 bytes"),
            Self::NotCanonical => f.write_str("not in canonical form"),
            Self::Unknown(Some(name)) => write!(f, "unknown field `{name}`"),
            Self::Unknown(None) => f.write_str("unknown field"),
            Self::Wrong(name) => write!(f, "field `{name}` has a wrong type or value"),
            Self::Missing(name) => write!(f, "field `{name}` is missing"),
            Self::Foreign(name) => write!(f, "field `{name}` does not belong to this kind"),
        }
    }
}

impl From<NotCanonical> for RecordFault {
    fn from(_: NotCanonical) -> Self {
        Self::NotCanonical
    }
}

/// The values gathered on the way.
#[derive(Debug, Default)]
struct Gathered {
    action: bool,
    door: bool,
    version: bool,
    outcome: bool,
    answers: Option<u64>,
    epoch: Option<u32>,
    index: Option<u64>,
    item: Option<u64>,
    kind: Option<Kind>,
    request: Option<u128>,
    time_us: Option<u64>,
}

impl Record {
    /// Checks the bytes of one record.
    ///
    /// # Errors
    /// [`RecordFault`]: size first, then canonical form, then the first field that is unknown or wrong, then the
    /// first that is missing or does not belong.
    pub(crate) fn check(bytes: &[u8]) -> Result<Self, RecordFault> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(RecordFault::TooLarge);
        }
        if std::str::from_utf8(bytes).is_err() {
            return Err(RecordFault::NotCanonical);
        }
        let mut pass = Pass::new(bytes);
        let mut gathered = Gathered::default();
        let mut fault = None;
        let mut known = FIELDS.iter();
        let mut last = None;
        if !pass.eat(b'{') {
            return Err(RecordFault::NotCanonical);
        }
        while let Some(field) = pass.next_member(&mut known, &mut last)? {
            match field {
                Member::Known((name, shape, purpose)) => {
                    let (fits, value) = pass.value(shape, 1)?;
                    let taken = fits && gathered.take(*purpose, value).is_some();
                    fault = fault.or((!taken).then_some(RecordFault::Wrong(name)));
                }
                Member::Other(key) => {
                    pass.value(&Shape::Any, 1)?;
                    fault = fault.or_else(|| Some(RecordFault::Unknown(showable(key))));
                }
            }
        }
        match (pass.at_end(), fault) {
            (false, _) => Err(RecordFault::NotCanonical),
            (true, Some(fault)) => Err(fault),
            (true, None) => gathered.finish(),
        }
    }
}

impl Gathered {
    /// Takes in a value of the right shape; nothing if it is not a value that the field may have.
    #[inline]
    fn take(&mut self, purpose: Use, value: &[u8]) -> Option<()> {
        match purpose {
            Use::Free => {}
            Use::Action => self.action = (!inside(value)?.is_empty()).then_some(true)?,
            Use::Address => is_address(inside(value)?).then_some(())?,
            Use::Door => self.door = (!inside(value)?.is_empty()).then_some(true)?,
            Use::UserAgent => is_short(inside(value)?).then_some(())?,
            Use::Outcome => {
                matches!(inside(value)?, b"ok" | b"denied" | b"failed" | b"pending" | b"unknown").then_some(())?;
                self.outcome = true;
            }
            Use::Version => self.version = (value == b"1").then_some(true)?,
            Use::Answers => self.answers = Some(integer(value)?),
            Use::Epoch => self.epoch = Some(u32::try_from(integer(value)?).ok()?),
            Use::Index => self.index = Some(integer(value)?),
            Use::Time => self.time_us = Some(integer(value)?),
            Use::Kind => self.kind = Some(Kind::parse(value)?),
            Use::Request => self.request = Some(parse_uuid(inside(value)?)?),
            Use::Parameters => self.item = member(value, "item").and_then(integer),
        }
        Some(())
    }

    fn finish(self) -> Result<Record, RecordFault> {
        let missing = |name| RecordFault::Missing(name);
        let present = |there: bool, name| if there { Ok(()) } else { Err(missing(name)) };
        present(self.action, "action")?;
        present(self.door, "door")?;
        let epoch = self.epoch.ok_or(missing("epoch"))?;
        let index = self.index.ok_or(missing("index"))?;
        let kind = self.kind.ok_or(missing("kind"))?;
        let request = self.request.ok_or(missing("request"))?;
        let time_us = self.time_us.ok_or(missing("time"))?;
        present(self.version, "version")?;
        belongs(self.answers.is_some(), kind == Kind::OUTCOME, "answers")?;
        belongs(self.outcome, kind != Kind::SEAL, "outcome")?;
        Ok(Record { index, epoch, time_us, kind, request, item: self.item, answers: self.answers })
    }
}

/// A field of some kinds only has to be in exactly these.
fn belongs(there: bool, wanted: bool, name: &'static str) -> Result<(), RecordFault> {
    match (there, wanted) {
        (false, true) => Err(RecordFault::Missing(name)),
        (true, false) => Err(RecordFault::Foreign(name)),
        _ => Ok(()),
    }
}

fn inside(quoted: &[u8]) -> Option<&[u8]> {
    quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// Whether a text is an address as it is written: the one text that there is for it, and never IPv4 within IPv6.
fn is_address(inside: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(inside) else { return false };
    // There is one way to write what parses as IPv4.
    text.parse::<Ipv4Addr>().is_ok()
        || text
            .parse::<Ipv6Addr>()
            .is_ok_and(|address| address.to_ipv4_mapped().is_none() && address.to_string() == text)
}

/// Whether a user agent, whose escapes are longer than what they stand for, keeps its cap.
fn is_short(inside: &[u8]) -> bool {
    inside.len() <= USER_AGENT_BYTES_MAX || unescape(inside).len() <= USER_AGENT_BYTES_MAX
}

/// A field's name, if it is one that does no harm on a terminal.
fn showable(name: &[u8]) -> Option<Box<str>> {
    let plain = (1..=32).contains(&name.len()) && name.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'_'));
    std::str::from_utf8(name).ok().filter(|_| plain).map(Box::from)
}

/// Packs a UUID in its 36 lower-case characters into its value.
fn parse_uuid(text: &[u8]) -> Option<u128> {
    let mut value = 0_u128;
    let mut parts = text.split(|character| *character == b'-');
    for length in [8, 4, 4, 4, 12] {
        let part = parts.next().filter(|part| part.len() == length)?;
        for character in part {
            value = value << 4 | u128::from(crate::hex::digit(*character)?);
        }
    }
    parts.next().is_none().then_some(value)
}
