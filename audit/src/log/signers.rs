//! Which key signed which sizes: the one that the log signs with now, and those before it, as the records say that changed them.
//!
//! INVARIANT I7: a statement is signed by the key that it brings in, so the newest key vouches for the one before it, and so on
//! down to the first. A checkpoint holds only under the key of its size. Pure computation.

use std::slice;

use crate::checkpoint::SignedCheckpoint;
use crate::note::VerifyingKey;
use crate::record::{Kind, Record};
use crate::statement::{SignedKeyRotation, SignedLoss};

/// The keys of a log, gathered from its records in order.
#[derive(Debug)]
pub(super) struct Signers {
    /// The origin that the log began under.
    first_origin: String,
    /// Each former key with the largest size that it signed.
    former: Vec<(u64, VerifyingKey)>,
    /// The key that the last statement brought in.
    named: Option<VerifyingKey>,
}

impl Signers {
    /// Those of a log that began under `first_origin`.
    pub(super) const fn new(first_origin: String) -> Self {
        Self { first_origin, former: Vec::new(), named: None }
    }

    /// Takes in the next record; says what is wrong with the statement that it carries.
    pub(super) fn note(&mut self, record: &Record) -> Result<(), String> {
        let (old, new) = match record.kind() {
            Kind::Loss => {
                let signed = SignedLoss::from_record(record).map_err(|error| error.to_string())?;
                (signed.loss().old.clone(), signed.loss().new.clone())
            }
            Kind::KeyRotation => {
                let signed = SignedKeyRotation::from_record(record).map_err(|error| error.to_string())?;
                (signed.rotation().old.clone(), signed.rotation().new.clone())
            }
            _ => return Ok(()),
        };
        let follows = match &self.named {
            Some(named) => *named == old,
            None => self.first_origin == old.name(),
        };
        self.former.push((record.index(), old));
        self.named = Some(new);
        if follows { Ok(()) } else { Err("the old key that it names is not the log's".to_owned()) }
    }

    /// No record follows: the log must have come to `origin`, by a loss if it began under another one.
    pub(super) fn reaches(&self, origin: &str) -> Result<(), String> {
        let at = self.named.as_ref().map_or(self.first_origin.as_str(), VerifyingKey::name);
        if at == origin {
            return Ok(());
        }
        Err(format!("the records are those of the origin `{at}`, and none says that the log goes on under `{origin}`"))
    }

    /// No record follows: the log must have come to `newest`.
    pub(super) fn end(&self, newest: &VerifyingKey) -> Result<(), String> {
        match &self.named {
            Some(named) if named != newest => {
                Err(format!("the log goes on under the key `{named}`, and the signing key is that of `{newest}`"))
            }
            _ => Ok(()),
        }
    }

    /// Whether `note` is a checkpoint of `size` that the key of that size signed.
    pub(super) fn check(&self, size: u64, note: &[u8], newest: &VerifyingKey) -> Result<(), String> {
        let former = self.former.iter().find(|(last, _)| size <= *last);
        let key = former.map_or(newest, |(_, key)| key);
        let signed =
            SignedCheckpoint::parse_and_verify(note, slice::from_ref(key)).map_err(|error| error.to_string())?;
        if signed.checkpoint().size == size { Ok(()) } else { Err("it states another size".to_owned()) }
    }
}
