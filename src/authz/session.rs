//! Session policies: the text by which temporary keys are narrowed. It is one document, and a layer of its own.

/// A session policy.
#[derive(Debug)]
pub struct SessionPolicy {
    bytes: Vec<u8>,
}

impl SessionPolicy {
    /// The text as it was given.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
