//! Tokens that verified, by the SHA-256 of their whole text, so that a signature is checked once and not per request.
//!
//! An entry saves the signature and the reading of the claims, nothing else: time is checked on every use, a change of
//! its issuer or of that issuer's keys makes it worthless, and a newer generation of the revocations has its rows looked
//! up again.
//! Refusals are never kept. Only who holds a good token can make an entry, so a flood of bad ones cannot push any out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::sync::Cache as Table;
use sha2::{Digest, Sha256};

use super::authenticated::Authenticated;
use super::issuer::Issuer;

/// Most memory for entries, in bytes, about.
const BYTES_MAX: u64 = 32 * 1024 * 1024;

/// A token that verified.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) authenticated: Arc<Authenticated>,
    /// The issuer, with the keys that it verified by.
    pub(super) issuer: Arc<Issuer>,
    /// How long it can be of use, by the clock it was made by. Only frees memory: expiry is checked on each use.
    pub(super) useful: Duration,
}

/// Where a token is remembered.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenDigest([u8; 32]);

impl TokenDigest {
    pub(super) fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

/// The entries.
pub(super) struct Cache(Table<TokenDigest, Arc<Entry>>);

impl Cache {
    pub(super) fn new() -> Self {
        let weight =
            |_: &TokenDigest, entry: &Arc<Entry>| u32::try_from(entry.authenticated.weight()).unwrap_or(u32::MAX);
        Self(Table::builder().max_capacity(BYTES_MAX).weigher(weight).expire_after(WhileUseful).build())
    }

    pub(super) fn find(&self, token: &TokenDigest) -> Option<Arc<Entry>> {
        self.0.get(token)
    }

    pub(super) fn keep(&self, token: TokenDigest, entry: Entry) {
        self.0.insert(token, Arc::new(entry));
    }

    pub(super) fn forget(&self, token: &TokenDigest) {
        self.0.invalidate(token);
    }
}

/// Frees entries that no clock can make valid again.
struct WhileUseful;

impl Expiry<TokenDigest, Arc<Entry>> for WhileUseful {
    fn expire_after_create(&self, _: &TokenDigest, entry: &Arc<Entry>, _: Instant) -> Option<Duration> {
        Some(entry.useful)
    }

    fn expire_after_update(
        &self,
        _: &TokenDigest,
        entry: &Arc<Entry>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.useful)
    }
}
