//! The log key changes: a statement signed by both keys.

use super::{StatementError, check, check_kind, check_name, sign, text, vkey};
use crate::note::{SigningKey, VerifyingKey};
use crate::record::{Kind, Parameters, Record};

/// First line of the statement.
const TITLE: &str = "keyward-key-rotation/v1";

/// What a key rotation says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRotation {
    /// The log's origin, which names both keys.
    pub origin: String,
    /// The key so far.
    pub old: VerifyingKey,
    /// The only key for checkpoints larger than `index`.
    pub new: VerifyingKey,
    /// Index of the record that carries it.
    pub index: u64,
}

/// A key rotation with both signatures, base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedKeyRotation {
    rotation: KeyRotation,
    old_signature: String,
    new_signature: String,
}

impl KeyRotation {
    /// The bytes that are signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{TITLE}\n{}\n{}\n{}\n{}\n", self.origin, self.old, self.new, self.index)
    }

    /// Signs it with both keys.
    ///
    /// # Errors
    /// [`StatementError::Origin`] if a key is not the one that is named, or not named by the origin;
    /// [`StatementError::Signing`] if the library cannot sign.
    pub fn sign(self, old: &SigningKey, new: &SigningKey) -> Result<SignedKeyRotation, StatementError> {
        self.check_names()?;
        let old_signature = sign(&self.text(), old, &self.old)?;
        let new_signature = sign(&self.text(), new, &self.new)?;
        Ok(SignedKeyRotation { rotation: self, old_signature, new_signature })
    }

    fn check_names(&self) -> Result<(), StatementError> {
        check_name(&self.old, &self.origin)?;
        check_name(&self.new, &self.origin)
    }
}

impl SignedKeyRotation {
    /// What it says.
    #[must_use]
    pub const fn rotation(&self) -> &KeyRotation {
        &self.rotation
    }

    /// The parameters of its record.
    #[must_use]
    pub fn parameters(&self) -> Parameters {
        Parameters::from([
            ("new_signature".to_owned(), self.new_signature.as_str().into()),
            ("new_vkey".to_owned(), self.rotation.new.to_string().into()),
            ("old_signature".to_owned(), self.old_signature.as_str().into()),
            ("old_vkey".to_owned(), self.rotation.old.to_string().into()),
        ])
    }

    /// Reads and checks the statement of a record: both keys are named by the same origin and both signatures hold.
    ///
    /// # Errors
    /// [`StatementError`] naming what does not hold.
    pub fn from_record(record: &Record) -> Result<Self, StatementError> {
        check_kind(record, Kind::KeyRotation)?;
        let parameters = &record.draft().parameters;
        let (old, new) = (vkey(parameters, "old_vkey")?, vkey(parameters, "new_vkey")?);
        let rotation = KeyRotation { origin: old.name().to_owned(), old, new, index: record.index() };
        rotation.check_names()?;
        let old_signature = text(parameters, "old_signature")?.to_owned();
        let new_signature = text(parameters, "new_signature")?.to_owned();
        check(&rotation.text(), &rotation.old, &old_signature, "old_signature")?;
        check(&rotation.text(), &rotation.new, &new_signature, "new_signature")?;
        Ok(Self { rotation, old_signature, new_signature })
    }
}
