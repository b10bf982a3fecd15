//! Session policies: the text by which temporary keys are narrowed. It is one document, and a layer of its own.

use sha2::{Digest, Sha256};

use super::document::Document;
use super::finding::Finding;
use super::{PolicyFile, Settings};

/// A parsed session policy.
#[derive(Debug)]
pub struct SessionPolicy {
    file: PolicyFile,
    digest: String,
    pub(super) document: Document,
}

impl SessionPolicy {
    /// Parses a session policy under the same rules as a document of the policy folder.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once; the file is called `session_policy`.
    pub fn parse(bytes: &[u8], settings: &Settings) -> Result<Self, Vec<Finding>> {
        let file = PolicyFile { path: "session_policy".to_owned(), bytes: bytes.to_owned() };
        let document = Document::parse(&file, "session_policy", settings)?;
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(bytes)));
        Ok(Self { file, digest, document })
    }

    /// `sha256:` and the hex digest of the text, as records name it.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The text as it was given.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.file.bytes
    }
}
