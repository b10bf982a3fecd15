//! An input on its way into a digest: lists of texts, so that no two inputs are written alike.

use sha2::{Digest as _, Sha256};

/// The start of SHA-256 over an input.
pub(super) type InputDigest = [u8; 16];

/// What was put in so far.
#[derive(Default)]
pub(super) struct Input(Vec<u8>);

impl Input {
    pub(super) fn list<'a>(&mut self, texts: impl Iterator<Item = &'a str>) {
        for text in texts {
            self.0.push(1);
            self.0.extend_from_slice(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            self.0.extend_from_slice(text.as_bytes());
        }
        self.0.push(0);
    }

    pub(super) fn digest(&self) -> InputDigest {
        let mut start = [0; 16];
        start.iter_mut().zip(Sha256::digest(&self.0)).for_each(|(to, from)| *to = from);
        start
    }
}
