//! From the text behind `Bearer ` to an [`Authenticated`], or a [`Refusal`].
//!
//! [`Refusal`]: super::Refusal

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::authenticated::{Authenticated, Seen, Validity};
use super::cache::{Cache, Entry, TokenDigest};
use super::claims;
use super::issuer::{FetchedSet, Issuer, IssuerError, IssuerLimits, IssuerSettings, Issuers, UnfitKey};
use super::refusal::{AuthenticateError, Cause, Refusal};
use super::revocation::{Revocations, RevocationsUnavailable};
use super::token::{TOKEN_BYTES_MAX, Unverified};

const DAY_S: u64 = 86_400;

/// Verifies tokens by the issuers it was given.
pub struct Authenticator {
    issuers: ArcSwap<Issuers>,
    cache: Cache,
}

/// Issuers that were checked and are not live yet.
pub struct Prepared(Issuers);

impl Prepared {
    /// Checks issuers without making them live.
    ///
    /// # Errors
    /// [`IssuerError`] that names the issuer and the setting which cannot be used.
    pub fn new(issuers: Vec<IssuerSettings>) -> Result<Self, IssuerError> {
        Issuers::new(issuers).map(Self)
    }

    /// Gives the issuer of that name the fetched keys by which `live` verifies its tokens now.
    pub fn keep_keys(&mut self, name: &str, live: &Authenticator) {
        self.0.keep_keys(name, &live.issuers.load());
    }
}

impl Authenticator {
    /// An authenticator that trusts these issuers, as of that generation.
    #[must_use]
    pub fn new(issuers: Prepared, generation: u64) -> Self {
        Self { issuers: ArcSwap::from_pointee(issuers.0.at(generation)), cache: Cache::new() }
    }

    /// Trusts these issuers and no others from now on: whatever was verified under others is verified again. Changes are
    /// the caller's to keep apart; readers need not wait.
    pub fn replace(&self, issuers: Prepared, generation: u64) {
        self.issuers.store(Arc::new(issuers.0.at(generation)));
    }

    /// Which change of issuers or keys is live.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.issuers.load().generation
    }

    /// Checks a fetched key set against the issuer of that name, without making it live.
    ///
    /// # Errors
    /// [`IssuerError`] if it cannot be read, reads two ways, or has no key that fits the issuer's algorithms.
    pub fn read_set(&self, name: &str, set: &[u8]) -> Result<FetchedSet, IssuerError> {
        self.issuers.load().read_set(name, set)
    }

    /// Verifies tokens of the set's issuer by its keys, until `until_s` seconds since 1970 or the next set, and no longer
    /// by any key that it leaves out.
    pub fn replace_keys(&self, set: FetchedSet, until_s: u64, generation: u64) {
        let issuers = self.issuers.load().with_keys(set, until_s).at(generation);
        self.issuers.store(Arc::new(issuers));
    }

    /// The set of that issuer was fetched again and is the same: it is good for longer.
    pub fn extend_keys(&self, name: &str, until_s: u64) {
        if let Some(issuer) = self.issuers.load().by_name(name) {
            issuer.extend(until_s);
        }
    }

    /// The fingerprint of the fetched keys that are live for that issuer, if there are any.
    #[must_use]
    pub fn fingerprint(&self, name: &str) -> Option<[u8; 32]> {
        self.issuers.load().by_name(name)?.fingerprint
    }

    /// The `kid`s that are live for that issuer, sorted; those that cannot verify included.
    #[must_use]
    pub fn kids(&self, name: &str) -> Vec<String> {
        self.issuers.load().by_name(name).map(|issuer| issuer.keys.kids()).unwrap_or_default()
    }

    /// Whether the keys of that issuer are too old at `now_s`, or were never had.
    #[must_use]
    pub fn is_stale(&self, name: &str, now_s: u64) -> bool {
        self.issuers.load().by_name(name).is_some_and(|issuer| issuer.is_stale(now_s))
    }

    /// Whether there are issuers, and not one by whose keys a token could be verified at `now_s`.
    #[must_use]
    pub fn is_blind(&self, now_s: u64) -> bool {
        let issuers = self.issuers.load();
        let mut all = issuers.all().peekable();
        all.peek().is_some() && all.all(|issuer| issuer.is_stale(now_s))
    }

    /// The name of the issuer that a token claims, unverified: to look for keys that are new.
    #[must_use]
    pub fn claimed_issuer(&self, token: &str) -> Option<String> {
        let token = Unverified::read(token).ok()?;
        let issuers = self.issuers.load();
        Some(issuers.by_iss(claims::unverified_iss(&token.claims).ok()?)?.name.clone())
    }

    /// How long tokens of the issuer called `name` can live; `None` if there is no such issuer.
    #[must_use]
    pub fn issuer_limits(&self, name: &str) -> Option<IssuerLimits> {
        self.issuers.load().by_name(name).map(|issuer| issuer.limits())
    }

    /// What tokens of the issuer called `name` say: their `iss`, and the audiences that are the gateway's.
    #[must_use]
    pub fn token_claims(&self, name: &str) -> Option<(String, Vec<String>)> {
        self.issuers.load().by_name(name).map(|issuer| (issuer.issuer.clone(), issuer.audience.clone()))
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
        authenticated.issuers_seen == self.issuers.load().generation
            && authenticated.validity().holds(now_s)
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
        let issuers = self.issuers.load();
        let before = entry.authenticated.seen();
        let issuer_stands = issuers.generation == before.issuers || issuers.hold(&entry.issuer);
        if !issuer_stands || entry.issuer.is_stale(now_s) || !entry.authenticated.validity().holds(now_s) {
            return Ok(None);
        }
        // Before the rows: a revocation that comes between is seen by the next use, and by the read set.
        let seen = Seen { revocations: revocations.generation(), issuers: issuers.generation };
        if seen == before {
            return Ok(Some(Arc::clone(&entry.authenticated)));
        }
        if seen.revocations != before.revocations && entry.authenticated.traces().are_revoked(revocations)? {
            return Ok(None);
        }
        let authenticated = Arc::new(entry.authenticated.seen_at(seen));
        self.cache.keep(digest, Entry { authenticated: Arc::clone(&authenticated), ..entry.clone() });
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
        let issuer = check_signature(&issuers, &token, now_s).map_err(|cause| token.refused(cause))?;
        let claims = claims::check(issuer, &token.claims, now_s).map_err(|cause| token.refused(cause))?;
        let validity = Validity { window: claims.window, leeway_s: issuer.leeway_s };
        // Before the rows, as above.
        let seen = Seen { revocations: revocations.generation(), issuers: issuers.generation };
        let authenticated = Arc::new(Authenticated::new(issuer, &token, claims, validity, seen));
        if authenticated.traces().are_revoked(revocations)? {
            return Err(token.refused(Cause::Revoked).into());
        }
        let entry = Entry {
            authenticated: Arc::clone(&authenticated),
            issuer: Arc::clone(issuer),
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
fn check_signature<'a>(issuers: &'a Issuers, token: &Unverified<'_>, now_s: u64) -> Result<&'a Arc<Issuer>, Cause> {
    let iss = claims::unverified_iss(&token.claims)?;
    let issuer = issuers.by_iss(iss).ok_or(Cause::Issuer)?;
    if !issuer.algorithms.contains(&token.algorithm) {
        return Err(Cause::AlgRefused);
    }
    if issuer.is_stale(now_s) {
        return Err(Cause::KeysStale);
    }
    let key = issuer.keys.select(token.kid.as_deref(), token.algorithm)?;
    key.verify(token.algorithm, token.signing_input, token.signature)?;
    Ok(issuer)
}
