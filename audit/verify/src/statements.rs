//! What the records that speak about the log itself have to say: clock steps, seals, key rotations, losses
//! (specification 1.4, 2.4). Values are compared as they stand in the canonical bytes.

use crate::canonical::{integer, member, text};
use crate::hex::{base64, hex, unbase64, unhex};
use crate::note::Vkey;
use crate::tree::Digest;

/// The log before a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) size: u64,
    pub(crate) root: Digest,
    pub(crate) chain: Digest,
}

/// A change of the key that signs.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) old: Vkey,
    pub(crate) new: Vkey,
}

/// A clock step's `after` is its own time.
pub(crate) fn clock_step(record: &[u8], time_us: u64) -> Result<(), &'static str> {
    let after = parameter(record, "after").and_then(integer);
    if after == Some(time_us) { Ok(()) } else { Err("clock_step: `after` is not its time") }
}

/// A seal tells size, root and counts of the log before it; the chain that it tells is handed back.
pub(crate) fn seal<'a>(
    record: &[u8],
    head: &Head,
    counts: impl Iterator<Item = (&'a str, u64)>,
    previous: Option<u64>,
) -> Result<Option<Digest>, &'static str> {
    let counts: Vec<String> = counts.map(|(kind, count)| format!("\"{kind}\":{count}")).collect();
    let counts = format!("{{{}}}", counts.join(","));
    let says = |name, wanted: &str| parameter(record, name) == Some(wanted.as_bytes());
    if !says("size", &head.size.to_string()) {
        return Err("seal: the size is not its index");
    }
    if parameter(record, "previous").map(integer) != previous.map(Some) {
        return Err("seal: the seal before is another");
    }
    if !says("counts", &counts) {
        return Err("seal: the counts differ");
    }
    if !says("root", &format!("\"{}\"", hex(&head.root))) {
        return Err("seal: the root differs");
    }
    Ok(parameter(record, "chain").and_then(text).and_then(|chain| unhex(&chain)))
}

/// A key rotation is signed by the old key and the new one, both of the same origin.
pub(crate) fn key_rotation(record: &[u8], index: u64) -> Result<Change, &'static str> {
    let says = |name| parameter(record, name).and_then(text).ok_or("key_rotation: malformed");
    let (old_text, new_text) = (says("old_vkey")?, says("new_vkey")?);
    let change = Change::parse(&old_text, &new_text).ok_or("key_rotation: malformed")?;
    if change.old.name() != change.new.name() || old_text == new_text {
        return Err("key_rotation: malformed");
    }
    let origin = change.old.name();
    let statement = format!("keyward-key-rotation/v1\n{origin}\n{old_text}\n{new_text}\n{index}\n");
    if !signed(&change.old, &statement, parameter(record, "old_signature")) {
        return Err("key_rotation: the old key's signature does not verify");
    }
    if !signed(&change.new, &statement, parameter(record, "new_signature")) {
        return Err("key_rotation: the new key's signature does not verify");
    }
    Ok(change)
}

/// The origin that a loss gives up, which is the log's first one if the loss is.
pub(crate) fn old_origin(record: &[u8]) -> Option<String> {
    parameter(record, "old_origin").and_then(text)
}

/// A loss tells the recovered head, which is the log before it, and is signed by the new key of a new origin; by the
/// old key too if it still was there.
pub(crate) fn loss(record: &[u8], head: &Head) -> Result<Change, &'static str> {
    const MALFORMED: &str = "loss: malformed";
    let says = |name| parameter(record, name).and_then(text).ok_or(MALFORMED);
    let (old_text, new_text) = (says("old_vkey")?, says("new_vkey")?);
    let (old_origin, new_origin) = (says("old_origin")?, says("new_origin")?);
    let change = Change::parse(&old_text, &new_text).ok_or(MALFORMED)?;
    if change.old.name() != old_origin || change.new.name() != new_origin || old_origin == new_origin {
        return Err(MALFORMED);
    }
    let lost = match parameter(record, "lost") {
        Some(lost) => {
            let lost = parse_head(lost).ok_or(MALFORMED)?;
            format!("{}\n{}", lost.size, base64(&lost.root))
        }
        None => "-\n-".to_owned(),
    };
    let recovered = parameter(record, "recovered").and_then(parse_head).ok_or(MALFORMED)?;
    if (recovered.size, recovered.root, recovered.chain) != (head.size, head.root, head.chain) {
        return Err("loss: the recovered head is another");
    }
    let (size, root) = (head.size, base64(&head.root));
    let names = format!("{old_origin}\n{new_origin}\n{old_text}\n{new_text}");
    let statement = format!("keyward-audit-loss/v1\n{names}\n{size}\n{lost}\n{size}\n{root}\n");
    if !signed(&change.new, &statement, parameter(record, "new_signature")) {
        return Err("loss: the new key's signature does not verify");
    }
    let old = parameter(record, "old_signature");
    if old.is_some() && !signed(&change.old, &statement, old) {
        return Err("loss: the old key's signature does not verify");
    }
    Ok(change)
}

impl Change {
    fn parse(old: &str, new: &str) -> Option<Self> {
        Some(Self { old: Vkey::parse(old).ok()?, new: Vkey::parse(new).ok()? })
    }
}

fn parse_head(value: &[u8]) -> Option<Head> {
    let digest = |name| member(value, name).and_then(text).and_then(|digits| unhex(&digits));
    Some(Head { size: member(value, "size").and_then(integer)?, root: digest("root")?, chain: digest("chain")? })
}

fn signed(key: &Vkey, statement: &str, signature: Option<&[u8]>) -> bool {
    let signature = signature.and_then(text).and_then(|signature| unbase64(signature.as_bytes()));
    signature.is_some_and(|signature| key.verifies(statement.as_bytes(), &signature))
}

fn parameter<'a>(record: &'a [u8], name: &str) -> Option<&'a [u8]> {
    member(member(record, "parameters")?, name)
}
