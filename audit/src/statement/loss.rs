//! An operator accepts missing records: a statement signed by the new key, and by the old one if it is still there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{StatementError, check, check_kind, check_name, sign, text, vkey};
use crate::hash::Digest;
use crate::note::{SigningKey, VerifyingKey};
use crate::record::{Kind, Parameters, Record, Value};

/// First line of the statement.
const TITLE: &str = "keyward-audit-loss/v1";

/// A head of the log, as the record of a loss shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The chain after its last record.
    pub chain: Digest,
    /// The root of the tree.
    pub root: Digest,
    /// How many records it covers.
    pub size: u64,
}

/// What an accepted loss says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The origin so far, which never signs again.
    pub old_origin: String,
    /// The origin from now on.
    pub new_origin: String,
    /// The key so far.
    pub old: VerifyingKey,
    /// The key from now on.
    pub new: VerifyingKey,
    /// Index of the record that carries it.
    pub index: u64,
    /// The head that was lost; `None` if the mark could not be read.
    pub lost: Option<Head>,
    /// The head that was recovered.
    pub recovered: Head,
    /// The operator's words. They are in the record, not in the signed lines.
    pub reason: String,
}

/// An accepted loss with its signatures, base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedLoss {
    loss: Loss,
    old_signature: Option<String>,
    new_signature: String,
}

impl Loss {
    /// The bytes that are signed.
    #[must_use]
    pub fn text(&self) -> String {
        let (lost_size, lost_root) = match &self.lost {
            Some(lost) => (lost.size.to_string(), BASE64.encode(lost.root)),
            None => ("-".to_owned(), "-".to_owned()),
        };
        format!(
            "{TITLE}\n{}\n{}\n{}\n{}\n{}\n{lost_size}\n{lost_root}\n{}\n{}\n",
            self.old_origin,
            self.new_origin,
            self.old,
            self.new,
            self.index,
            self.recovered.size,
            BASE64.encode(self.recovered.root),
        )
    }

    /// Signs it with the new key, and with the old one if it is still there.
    ///
    /// # Errors
    /// [`StatementError::Origin`] if a key is not the one that is named, or not named by its origin;
    /// [`StatementError::Signing`] if the library cannot sign.
    pub fn sign(self, old: Option<&SigningKey>, new: &SigningKey) -> Result<SignedLoss, StatementError> {
        self.check_names()?;
        let old_signature = old.map(|key| sign(&self.text(), key, &self.old)).transpose()?;
        let new_signature = sign(&self.text(), new, &self.new)?;
        Ok(SignedLoss { loss: self, old_signature, new_signature })
    }

    fn check_names(&self) -> Result<(), StatementError> {
        check_name(&self.old, &self.old_origin)?;
        check_name(&self.new, &self.new_origin)
    }
}

impl SignedLoss {
    /// What it says.
    #[must_use]
    pub const fn loss(&self) -> &Loss {
        &self.loss
    }

    /// Whether the old key signed it too.
    #[must_use]
    pub const fn has_old_signature(&self) -> bool {
        self.old_signature.is_some()
    }

    /// The parameters of its record.
    #[must_use]
    pub fn parameters(&self) -> Parameters {
        let loss = &self.loss;
        let mut parameters = Parameters::from([
            ("new_origin".to_owned(), loss.new_origin.as_str().into()),
            ("new_signature".to_owned(), self.new_signature.as_str().into()),
            ("new_vkey".to_owned(), loss.new.to_string().into()),
            ("old_origin".to_owned(), loss.old_origin.as_str().into()),
            ("old_vkey".to_owned(), loss.old.to_string().into()),
            ("reason".to_owned(), loss.reason.as_str().into()),
            ("recovered".to_owned(), loss.recovered.parameter()),
        ]);
        if let Some(lost) = &loss.lost {
            parameters.insert("lost".to_owned(), lost.parameter());
        }
        if let Some(signature) = &self.old_signature {
            parameters.insert("old_signature".to_owned(), signature.as_str().into());
        }
        parameters
    }

    /// Reads and checks the statement of a record: each key is named by its origin and each signature holds.
    ///
    /// # Errors
    /// [`StatementError`] naming what does not hold.
    pub fn from_record(record: &Record) -> Result<Self, StatementError> {
        check_kind(record, Kind::Loss)?;
        let parameters = &record.draft().parameters;
        let loss = Loss {
            old_origin: text(parameters, "old_origin")?.to_owned(),
            new_origin: text(parameters, "new_origin")?.to_owned(),
            old: vkey(parameters, "old_vkey")?,
            new: vkey(parameters, "new_vkey")?,
            index: record.index(),
            lost: parameters.get("lost").map(|head| Head::read(head, "lost")).transpose()?,
            recovered: parameters
                .get("recovered")
                .ok_or(StatementError::Parameter("recovered"))
                .and_then(|head| Head::read(head, "recovered"))?,
            reason: text(parameters, "reason")?.to_owned(),
        };
        loss.check_names()?;
        let new_signature = text(parameters, "new_signature")?.to_owned();
        check(&loss.text(), &loss.new, &new_signature, "new_signature")?;
        let mut old_signature = None;
        if parameters.contains_key("old_signature") {
            let signature = text(parameters, "old_signature")?;
            check(&loss.text(), &loss.old, signature, "old_signature")?;
            old_signature = Some(signature.to_owned());
        }
        Ok(Self { loss, old_signature, new_signature })
    }
}

impl Head {
    fn parameter(&self) -> Value {
        Value::Object(Parameters::from([
            ("chain".to_owned(), hex::encode(self.chain).into()),
            ("root".to_owned(), hex::encode(self.root).into()),
            ("size".to_owned(), self.size.into()),
        ]))
    }

    fn read(value: &Value, name: &'static str) -> Result<Self, StatementError> {
        let unreadable = StatementError::Parameter(name);
        let object = value.as_object().ok_or(unreadable.clone())?;
        let size = object.get("size").and_then(Value::as_integer).ok_or(unreadable.clone())?;
        let digest = |field| object.get(field).and_then(Value::as_text).and_then(read_digest).ok_or(unreadable.clone());
        Ok(Self { chain: digest("chain")?, root: digest("root")?, size })
    }
}

/// 64 lower-case hex digits.
fn read_digest(text: &str) -> Option<Digest> {
    let digest = hex::decode(text).ok()?.try_into().ok()?;
    (hex::encode::<Digest>(digest) == text).then_some(digest)
}
