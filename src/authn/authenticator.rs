//! From the text behind `Bearer ` to an [`Authenticated`], or a [`Refusal`].
//!
//! [`Refusal`]: super::Refusal

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::authenticated::{Authenticated, Validity};
use super::cache::{Cache, Entry, TokenDigest};
use super::claims;
use super::issuer::{Issuer, IssuerError, IssuerLimits, IssuerSettings, Issuers, UnfitKey};
use super::refusal::{AuthenticateError, Cause, Refusal};
use super::revocation::{Revocations, RevocationsUnavailable};
use super::token::{TOKEN_BYTES_MAX, Unverified};

const DAY_S: u64 = 86_400;

/// Verifies tokens by the issuers it was given.
pub struct Authenticator {
    issuers: ArcSwap<Issuers>,
    loads: AtomicU64,
    cache: Cache,
}

impl Authenticator {
    /// An authenticator that trusts these issuers.
    ///
    /// # Errors
    /// [`IssuerError`] that names the issuer and the setting which cannot be used.
    pub fn new(issuers: Vec<IssuerSettings>) -> Result<Self, IssuerError> {
        let issuers = Issuers::new(issuers, 0)?;
        Ok(Self { issuers: ArcSwap::from_pointee(issuers), loads: AtomicU64::new(1), cache: Cache::new() })
    }

    /// Trusts these issuers and no others from now on: whatever was verified under others is verified again.
    ///
    /// # Errors
    /// [`IssuerError`] as [`Authenticator::new`]; then nothing has changed.
    pub fn replace(&self, issuers: Vec<IssuerSettings>) -> Result<(), IssuerError> {
        let generation = self.loads.fetch_add(1, Ordering::Relaxed);
        self.issuers.store(Arc::new(Issuers::new(issuers, generation)?));
        Ok(())
    }

    /// How long tokens of the issuer called `name` can live; `None` if there is no such issuer.
    #[must_use]
    pub fn issuer_limits(&self, name: &str) -> Option<IssuerLimits> {
        self.issuers.load().limits(name)
    }

    /// Keys in the issuers' key sets that no token can be verified by: worth a warning, and no more.
    #[must_use]
    pub fn unfit_keys(&self) -> Vec<UnfitKey> {
        self.issuers.load().unfit_keys()
    }

    /// Whom this token speaks for, at `now_s` seconds since 1970.
    ///
    /// # Errors
    /// [`AuthenticateError::Refused`] for every token that is not good now, and
    /// [`AuthenticateError::Unavailable`] for one that would be, if it were known not to be revoked.
    pub fn authenticate(
        &self,
        token: &str,
        now_s: u64,
        revocations: &dyn Revocations,
    ) -> Result<Arc<Authenticated>, AuthenticateError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Refusal::unread(Cause::Malformed).into());
        }
        let digest = TokenDigest::of(token);
        if let Some(entry) = self.cache.find(&digest) {
            if let Some(authenticated) = self.known(digest, &entry, now_s, revocations)? {
                return Ok(authenticated);
            }
            self.cache.forget(&digest);
        }
        self.verify(token, digest, now_s, revocations)
    }

    /// Whether what was authenticated a moment ago still is: by the same issuers, at this time, with no revocation since.
    /// If not, [`Authenticator::authenticate`] says what it is now.
    #[must_use]
    pub fn still_knows(&self, authenticated: &Authenticated, now_s: u64, revocations: &dyn Revocations) -> bool {
        let validity = authenticated.validity();
        validity.issuers == self.issuers.load().generation
            && validity.window.check(now_s, validity.leeway_s).is_ok()
            && revocations.generation() == authenticated.revocations_seen
    }

    /// A remembered token, if it is still good; if not, a full verification says why.
    fn known(
        &self,
        digest: TokenDigest,
        entry: &Entry,
        now_s: u64,
        revocations: &dyn Revocations,
    ) -> Result<Option<Arc<Authenticated>>, RevocationsUnavailable> {
        let validity = entry.authenticated.validity();
        if validity.issuers != self.issuers.load().generation
            || validity.window.check(now_s, validity.leeway_s).is_err()
        {
            return Ok(None);
        }
        // Before the rows: a revocation that comes between is seen by the next use, and by the read set.
        let generation = revocations.generation();
        if generation == entry.authenticated.revocations_seen {
            return Ok(Some(Arc::clone(&entry.authenticated)));
        }
        if entry.authenticated.traces().are_revoked(revocations)? {
            return Ok(None);
        }
        let authenticated = Arc::new(entry.authenticated.seen_at(generation));
        self.cache.keep(digest, Entry { authenticated: Arc::clone(&authenticated), useful: entry.useful });
        Ok(Some(authenticated))
    }

    /// Verifies a token from its first byte, and remembers it if it is good.
    fn verify(
        &self,
        token: &str,
        digest: TokenDigest,
        now_s: u64,
        revocations: &dyn Revocations,
    ) -> Result<Arc<Authenticated>, AuthenticateError> {
        let issuers = self.issuers.load();
        let token = Unverified::read(token)?;
        let issuer = check_signature(&issuers, &token).map_err(|cause| token.refused(cause))?;
        let claims = claims::check(issuer, &token.claims, now_s).map_err(|cause| token.refused(cause))?;
        let validity = Validity { window: claims.window, leeway_s: issuer.leeway_s, issuers: issuers.generation };
        // Before the rows, as above.
        let authenticated = Arc::new(Authenticated::new(issuer, &token, claims, validity, revocations.generation()));
        if authenticated.traces().are_revoked(revocations)? {
            return Err(token.refused(Cause::Revoked).into());
        }
        let entry = Entry {
            authenticated: Arc::clone(&authenticated),
            useful: useful(validity.window.expires_s.saturating_add(issuer.leeway_s), now_s),
        };
        self.cache.keep(digest, entry);
        Ok(authenticated)
    }
}

/// How long an entry can be of use; at most a day, then it is verified again.
fn useful(until_s: u64, now_s: u64) -> Duration {
    Duration::from_secs(until_s.saturating_sub(now_s).min(DAY_S))
}

/// Finds issuer and key, and checks the signature. The issuer is that of the token from here on.
fn check_signature<'a>(issuers: &'a Issuers, token: &Unverified<'_>) -> Result<&'a Issuer, Cause> {
    let iss = claims::unverified_iss(&token.claims)?;
    let issuer = issuers.by_iss(iss).ok_or(Cause::Issuer)?;
    if !issuer.algorithms.contains(&token.algorithm) {
        return Err(Cause::AlgRefused);
    }
    let key = issuer.keys.select(token.kid.as_deref(), token.algorithm)?;
    key.verify(token.algorithm, token.signing_input, token.signature)?;
    Ok(issuer)
}
