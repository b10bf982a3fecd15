//! Requests that are signed by an access key, by either of the vendor's methods ([`tc3`](super::tc3), [`v1`](super::v1)): from a
//! signature to the holder of the key, or a refusal.
//!
//! INVARIANT I5: what cannot be read, found or checked is refused. An unknown key costs what a known one with a wrong signature
//! does: a signature is computed and compared all the same.
//! INVARIANT I13: what is remembered of a key ([`KnownKeys`]) is good for the generations that it was looked up at and for no
//! others: whatever ends a key, a revocation or an issuer moves one of them. A key that is not good is not remembered.
//!
//! All state is in memory and is derived; if the process dies here, nothing is lost.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache as Table;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::authenticated::{Authenticated, HeldSession, KeyHolder, Parent, Seen};
use super::revocation::{Revocations, RevocationsUnavailable};
use super::tc3::Tc3Request;
use super::v1::{V1Hash, V1Request};

/// Seconds by which a timestamp may differ from now, either way, inclusive.
pub const WINDOW_S: u64 = 300;
/// Longest id of a key, in bytes.
const KEY_ID_BYTES_MAX: usize = 64;
/// Most memory for keys that are remembered, in bytes, about.
const KNOWN_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// How long a key is remembered that nobody uses.
const KNOWN_IDLE: Duration = Duration::from_secs(600);

/// Whether it can be the id of a key.
pub(super) fn is_key_id(text: &str) -> bool {
    (1..=KEY_ID_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// A signed request as it was received, but for its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedRequest {
    /// By TC3-HMAC-SHA256.
    Tc3(Tc3Request),
    /// By HmacSHA256 or HmacSHA1.
    V1(V1Request),
}

impl SignedRequest {
    /// The id of the access key that it names.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Tc3(request) => &request.authorization.key,
            Self::V1(request) => &request.key,
        }
    }

    /// The signature.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        match self {
            Self::Tc3(request) => &request.authorization.signature,
            Self::V1(request) => &request.signature,
        }
    }

    /// The service that the signature is for, if it says so.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        match self {
            Self::Tc3(request) => Some(&request.authorization.service),
            Self::V1(_) => None,
        }
    }

    /// The timestamp in seconds since 1970.
    #[must_use]
    pub fn timestamp_s(&self) -> Option<u64> {
        match self {
            Self::Tc3(request) => request.timestamp.parse().ok(),
            Self::V1(request) => Some(request.timestamp_s),
        }
    }

    /// Whether the timestamp is within the window of `now_s`.
    #[must_use]
    pub fn is_in_time(&self, now_s: u64) -> bool {
        self.timestamp_s().is_some_and(|stamp| stamp.abs_diff(now_s) <= WINDOW_S)
    }

    /// Whether `signer` signed it, with this body.
    fn is_signed_by(&self, signer: &dyn Signer, body: &[u8]) -> bool {
        match self {
            Self::Tc3(request) => request.is_signed_by(signer, body),
            Self::V1(request) => request.is_signed_by(signer),
        }
    }
}

/// The secret half of an access key, wherever it is kept.
pub trait Signer: Send + Sync {
    /// TC3: the signature of each of `texts` in the scope of `date` and `service`.
    fn sign(&self, date: &str, service: &str, texts: &[Vec<u8>]) -> Vec<[u8; 32]>;

    /// v1: the HMAC of each of `texts` under the secret itself.
    fn sign_whole(&self, hash: V1Hash, texts: &[Zeroizing<Vec<u8>>]) -> Vec<Vec<u8>>;
}

/// An access key as it is kept.
pub struct FoundKey {
    /// Whose it is.
    pub holder: KeyHolder,
    /// Whether it may be used.
    pub is_active: bool,
    /// Its secret half.
    pub signer: Arc<dyn Signer>,
}

/// The access keys as they are now.
pub trait AccessKeys {
    /// The key of that id; with a token the temporary key that the token was made with, and no other.
    ///
    /// # Errors
    /// [`KeysUnavailable`] if it cannot be said whether there is one.
    fn find(&self, id: &str, token: Option<&str>) -> Result<Option<FoundKey>, KeysUnavailable>;

    /// Signs in place of a key that is not there, so that both cost the same.
    fn dummy(&self) -> &dyn Signer;

    /// Whether tokens of the issuer of that name are accepted at all: else its principals' keys are not either.
    fn knows_issuer(&self, name: &str) -> bool;

    /// The generation of the issuers that [`AccessKeys::knows_issuer`] speaks of.
    fn issuers_generation(&self) -> u64;
}

/// Access keys cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("access keys cannot be read: {0}")]
pub struct KeysUnavailable(pub String);

impl From<RevocationsUnavailable> for KeysUnavailable {
    fn from(error: RevocationsUnavailable) -> Self {
        Self(error.to_string())
    }
}

/// Why a signed request speaks for nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// Its timestamp is too far from now.
    #[error("the timestamp is over {WINDOW_S} seconds off")]
    Expired,
    /// No such key; or it is inactive, deleted or revoked.
    #[error("the access key is not known")]
    Unknown,
    /// The signature does not match.
    #[error("the signature does not match")]
    Signature,
    /// A token that is not this key's: of another, of none, expired or revoked.
    #[error("the token is not this key's, or not good any more")]
    Token,
    /// Nobody can say now.
    #[error(transparent)]
    Unavailable(#[from] KeysUnavailable),
}

/// Access keys that signed a moment ago, with whom they stood for, so that a row is not opened and the revocations not asked for
/// each request. A signature is checked each time.
pub struct KnownKeys(Table<KeyDigest, Arc<Known>>);

/// SHA-256 over a key's id and its token.
type KeyDigest = [u8; 32];

struct Known {
    who: Arc<Authenticated>,
    signer: Arc<dyn Signer>,
}

impl Default for KnownKeys {
    fn default() -> Self {
        let weight = |_: &KeyDigest, known: &Arc<Known>| u32::try_from(known.who.weight()).unwrap_or(u32::MAX);
        Self(Table::builder().max_capacity(KNOWN_BYTES_MAX).weigher(weight).time_to_idle(KNOWN_IDLE).build())
    }
}

impl KnownKeys {
    /// Whom a signed request speaks for; `token` is the temporary token that came along.
    ///
    /// # Errors
    /// [`KeyRefusal`].
    pub fn authenticate(
        &self,
        request: &SignedRequest,
        token: Option<&str>,
        body: &[u8],
        now: &Now<'_>,
    ) -> Result<Arc<Authenticated>, KeyRefusal> {
        if !request.is_in_time(now.s) {
            return Err(KeyRefusal::Expired);
        }
        let known = self.find(request.key(), token, now);
        let signer = known.as_ref().map_or(now.keys.dummy(), |known| &*known.signer);
        let is_signed = request.is_signed_by(signer, body);
        if let Some(known) = known.filter(|_| is_signed) {
            return Ok(Arc::clone(&known.who));
        }
        // SECURITY: what failed is looked up as if nothing were remembered, so that time does not tell which keys are.
        let found = now.keys.find(request.key(), token)?;
        let is_signed = request.is_signed_by(found.as_ref().map_or(now.keys.dummy(), |found| &*found.signer), body);
        let known = now.stands(found, token)?;
        if !is_signed {
            return Err(KeyRefusal::Signature);
        }
        let who = Arc::clone(&known.who);
        self.0.insert(digest(request.key(), token), Arc::new(known));
        Ok(who)
    }

    /// Whom the key stands for now, of a request whose signature was checked a moment ago.
    ///
    /// # Errors
    /// [`KeyRefusal::Unknown`] or [`KeyRefusal::Token`] if it is not there any more, or may not be used.
    pub fn again(&self, id: &str, token: Option<&str>, now: &Now<'_>) -> Result<Arc<Authenticated>, KeyRefusal> {
        if let Some(known) = self.find(id, token, now) {
            return Ok(Arc::clone(&known.who));
        }
        Ok(now.stands(now.keys.find(id, token)?, token)?.who)
    }

    /// What is remembered of a key, if it is as good now as it was then.
    fn find(&self, id: &str, token: Option<&str>, now: &Now<'_>) -> Option<Arc<Known>> {
        let known = self.0.get(&digest(id, token))?;
        (known.who.seen() == now.seen && known.who.validity().holds(now.s)).then_some(known)
    }
}

fn digest(id: &str, token: Option<&str>) -> KeyDigest {
    // No id holds a byte of 0.
    let id = Sha256::new().chain_update(id).chain_update([0, u8::from(token.is_some())]);
    id.chain_update(token.unwrap_or_default()).finalize().into()
}

/// What keys are judged by, at one moment.
pub struct Now<'a> {
    s: u64,
    seen: Seen,
    keys: &'a dyn AccessKeys,
    revocations: &'a dyn Revocations,
}

impl<'a> Now<'a> {
    /// At `s` seconds since 1970. The generations are read now, before any row: a change that comes between is seen by the read
    /// set.
    #[must_use]
    pub fn of(s: u64, keys: &'a dyn AccessKeys, revocations: &'a dyn Revocations) -> Self {
        let seen = Seen { revocations: revocations.generation(), issuers: keys.issuers_generation() };
        Self { s, seen, keys, revocations }
    }

    /// Whom a key that was found stands for.
    fn stands(&self, found: Option<FoundKey>, token: Option<&str>) -> Result<Known, KeyRefusal> {
        let unknown = if token.is_some() { KeyRefusal::Token } else { KeyRefusal::Unknown };
        let Some(found) = found.filter(|found| found.is_active) else { return Err(unknown) };
        let who = self.standing(found.holder)?.ok_or(unknown)?;
        Ok(Known { who, signer: found.signer })
    }

    /// The holder, unless its time is over, its issuer is gone, or it is revoked, or what it was begun by is.
    fn standing(&self, holder: KeyHolder) -> Result<Option<Arc<Authenticated>>, KeysUnavailable> {
        if !holder.assumed_by().issuer().is_some_and(|name| self.keys.knows_issuer(name)) {
            return Ok(None);
        }
        if let Some(traces) = holder.parent_traces()
            && traces.are_revoked(self.revocations)?
        {
            return Ok(None);
        }
        if let Some(HeldSession { parent: Parent::Key(key), .. }) = &holder.session {
            let parent = self.keys.find(key, None)?.filter(|found| found.is_active);
            if parent.map(|parent| self.good(parent.holder)).transpose()?.flatten().is_none() {
                return Ok(None);
            }
        }
        Ok(self.good(holder)?.map(Arc::new))
    }

    /// The holder of a key, unless its time is over or it is revoked: by its subject a key that was made by then.
    fn good(&self, holder: KeyHolder) -> Result<Option<Authenticated>, KeysUnavailable> {
        let who = Authenticated::of_key(holder, self.seen);
        let is_good = who.validity().holds(self.s) && !who.traces().are_revoked(self.revocations)?;
        Ok(is_good.then_some(who))
    }
}

#[cfg(test)]
mod tests;
