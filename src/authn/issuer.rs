//! Who may say who someone is: the issuers of keyward.toml, checked when they are loaded.
//!
//! INVARIANT I12: an issuer is a matter of configuration. What cannot be used as it stands is an error that names the
//! setting, and nothing starts.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use zeroize::Zeroizing;

use super::algorithm::{Algorithm, Family};
use super::jwks;
use super::key::{Keys, Unfit, VerifyingKey};
use super::pem;
use crate::principal::{LOCAL, check_issuer_name};

/// Longest `iss`, in bytes: it goes into every record as it is.
const ISSUER_BYTES_MAX: usize = 512;
/// Longest leeway, in seconds.
const LEEWAY_S_MAX: u64 = 300;
/// Claims with a meaning of their own, which cannot be configured as the subject, groups or roles.
const REGISTERED: [&str; 7] = ["iss", "aud", "exp", "nbf", "iat", "jti", "_claim_names"];

/// One `[[issuer]]` table, with its key file read.
pub struct IssuerSettings {
    /// What qualifies its principals: `[a-z0-9-]{1,32}`, not `local`.
    pub name: String,
    /// The exact `iss`.
    pub issuer: String,
    /// A token must be for at least one of these.
    pub audience: Vec<String>,
    /// What its tokens may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// What they are verified by.
    pub key: KeySource,
    /// How far clocks may differ, in seconds; at most 300.
    pub leeway_s: u64,
    /// Longest `exp - iat`, in seconds.
    pub max_lifetime_s: u64,
    /// Whether its tokens must list groups.
    pub groups: GroupsRule,
    /// Where the names stand.
    pub claims: ClaimNames,
}

/// The bytes of an issuer's key file.
pub enum KeySource {
    /// `public_key_file`: one public key as PEM.
    PublicKeyPem(Vec<u8>),
    /// `public_key_file`: a JSON Web Key Set.
    Jwks(Vec<u8>),
    /// `secret_file`: a shared secret, exactly these bytes; wiped when dropped.
    Secret(Zeroizing<Vec<u8>>),
    /// `jwks_url` or `discovery`: no keys until a set was fetched ([`super::Authenticator::replace_keys`]).
    Fetched,
}

impl KeySource {
    /// A public key file: a key set if it is a JSON object, else PEM.
    #[must_use]
    pub fn public(bytes: Vec<u8>) -> Self {
        if bytes.trim_ascii_start().starts_with(b"{") { Self::Jwks(bytes) } else { Self::PublicKeyPem(bytes) }
    }

    const fn setting(&self) -> &'static str {
        match self {
            Self::PublicKeyPem(_) | Self::Jwks(_) => "public_key_file",
            Self::Secret(_) => "secret_file",
            Self::Fetched => "jwks_url",
        }
    }

    fn read(&self) -> Result<Keys, String> {
        match self {
            Self::PublicKeyPem(pem) => {
                let key = pem::read_public_key(pem).and_then(|key| key.for_verifying(None));
                key.map(Keys::One).map_err(|unfit| unfit.to_string())
            }
            Self::Jwks(set) => jwks::read(set).map(Keys::Set).map_err(|error| error.to_string()),
            Self::Secret(secret) => VerifyingKey::secret(secret).map(Keys::One).map_err(|unfit| unfit.to_string()),
            Self::Fetched => Ok(Keys::Set(Vec::new())),
        }
    }
}

/// Whether an issuer's tokens must list groups. Without that, a deny on one of its groups could be dodged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupsRule {
    /// A token without the claim has no groups.
    Optional,
    /// A token without the claim is refused.
    Required,
}

/// The claims that hold the names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// The subject; text.
    pub subject: String,
    /// The groups; a list of texts.
    pub groups: String,
    /// The roles; a list of texts.
    pub roles: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self { subject: "sub".to_owned(), groups: "groups".to_owned(), roles: "roles".to_owned() }
    }
}

/// An issuer that cannot be used as it is set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("issuer `{issuer}`: `{setting}`: {problem}")]
pub struct IssuerError {
    /// The issuer's name as set.
    pub issuer: String,
    /// The setting, as keyward.toml calls it.
    pub setting: &'static str,
    /// What is wrong with it; never a key.
    pub problem: String,
}

/// How long an issuer's tokens can live: what one needs to know to say when a revocation has done its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssuerLimits {
    /// How far clocks may differ, in seconds.
    pub leeway_s: u64,
    /// Longest `exp - iat`, in seconds.
    pub max_lifetime_s: u64,
    /// Whether they must say their groups.
    pub groups_required: bool,
}

/// A key of a set that no token can be verified by: for the log, at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfitKey {
    /// The issuer's name.
    pub issuer_name: String,
    /// The key's `kid`, if it has one.
    pub kid: Option<String>,
    /// Why.
    pub why: Unfit,
}

/// An issuer, ready for use.
pub(super) struct Issuer {
    pub(super) name: String,
    pub(super) issuer: String,
    pub(super) audience: Vec<String>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) keys: Arc<Keys>,
    /// Of a fetched set: what its keys are, and until when they are good, in seconds since 1970.
    pub(super) fingerprint: Option<[u8; 32]>,
    good_until_s: Option<AtomicU64>,
    pub(super) leeway_s: u64,
    pub(super) max_lifetime_s: u64,
    pub(super) groups: GroupsRule,
    pub(super) claims: ClaimNames,
}

impl Issuer {
    fn new(settings: IssuerSettings) -> Result<Self, IssuerError> {
        check(&settings).map_err(|(setting, problem)| settings.error(setting, problem))?;
        let keys = settings.key.read().map_err(|problem| settings.error(settings.key.setting(), problem))?;
        let is_fetched = matches!(settings.key, KeySource::Fetched);
        if !is_fetched {
            check_fit(&keys, &settings.algorithms)
                .map_err(|problem| settings.error(settings.key.setting(), problem))?;
        }
        let IssuerSettings { name, issuer, audience, algorithms, leeway_s, max_lifetime_s, groups, claims, .. } =
            settings;
        Ok(Self {
            name,
            issuer,
            audience,
            algorithms,
            keys: Arc::new(keys),
            fingerprint: None,
            good_until_s: is_fetched.then(|| AtomicU64::new(0)),
            leeway_s,
            max_lifetime_s,
            groups,
            claims,
        })
    }

    /// The same issuer with the keys of a set that was just fetched.
    fn with_keys(&self, set: FetchedSet, until_s: u64) -> Self {
        Self {
            name: self.name.clone(),
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            algorithms: self.algorithms.clone(),
            keys: set.keys,
            fingerprint: set.fingerprint,
            good_until_s: Some(AtomicU64::new(until_s)),
            leeway_s: self.leeway_s,
            max_lifetime_s: self.max_lifetime_s,
            groups: self.groups,
            claims: self.claims.clone(),
        }
    }

    /// INVARIANT I5: whether its keys are too old, or were never had.
    pub(super) fn is_stale(&self, now_s: u64) -> bool {
        self.good_until_s.as_ref().is_some_and(|until_s| now_s >= until_s.load(Ordering::Relaxed))
    }

    /// Its keys are good until then.
    pub(super) fn extend(&self, until_s: u64) {
        if let Some(good_until_s) = &self.good_until_s {
            good_until_s.store(until_s, Ordering::Relaxed);
        }
    }

    pub(super) fn limits(&self) -> IssuerLimits {
        IssuerLimits {
            leeway_s: self.leeway_s,
            max_lifetime_s: self.max_lifetime_s,
            groups_required: self.groups == GroupsRule::Required,
        }
    }
}

/// A key set that was fetched and read, for one issuer; not live yet.
pub struct FetchedSet {
    issuer_name: String,
    keys: Arc<Keys>,
    fingerprint: Option<[u8; 32]>,
}

impl FetchedSet {
    /// What its keys are, in whatever order and layout they came.
    #[must_use]
    pub fn fingerprint(&self) -> Option<[u8; 32]> {
        self.fingerprint
    }

    /// Its `kid`s, sorted; those of keys that cannot verify included.
    #[must_use]
    pub fn kids(&self) -> Vec<String> {
        self.keys.kids()
    }
}

fn check_fit(keys: &Keys, algorithms: &[Algorithm]) -> Result<(), String> {
    if algorithms.iter().any(|algorithm| keys.fit().any(|key| key.fits(*algorithm))) {
        return Ok(());
    }
    let first = keys.unfit().next().map(|(_, why)| format!(" ({why})")).unwrap_or_default();
    Err(format!("no key in it fits any of `algorithms`{first}"))
}

impl IssuerSettings {
    fn error(&self, setting: &'static str, problem: String) -> IssuerError {
        IssuerError { issuer: self.name.clone(), setting, problem }
    }
}

/// Checks everything but the key.
fn check(settings: &IssuerSettings) -> Result<(), (&'static str, String)> {
    check_issuer_name(&settings.name).map_err(|error| ("name", error.to_string()))?;
    let rules = [
        (settings.name != LOCAL, "name", "`local` is reserved for what the policy folder defines"),
        (is_iss(&settings.issuer), "issuer", "an `iss` is 1 to 512 bytes without control characters"),
        (!settings.audience.is_empty(), "audience", "at least one audience is needed"),
        (settings.audience.iter().all(|audience| !audience.is_empty()), "audience", "an audience is not empty"),
        (!settings.algorithms.is_empty(), "algorithms", "at least one algorithm is needed"),
        (settings.leeway_s <= LEEWAY_S_MAX, "leeway_s", "at most 300"),
        (settings.max_lifetime_s > 0, "max_lifetime_s", "at least 1"),
        (are_claims(&settings.claims), "claims", "three names, all different, none empty or with a meaning of its own"),
        (
            families_fit(settings),
            "algorithms",
            "`HS256`, `HS384` and `HS512` go with `secret_file`, all others with a public key",
        ),
    ];
    match rules.iter().find(|(holds, _, _)| !holds) {
        Some((_, setting, problem)) => Err((setting, (*problem).to_owned())),
        None => Ok(()),
    }
}

fn is_iss(text: &str) -> bool {
    (1..=ISSUER_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn are_claims(names: &ClaimNames) -> bool {
    let ClaimNames { subject, groups, roles } = names;
    let fits = |name: &String| !name.is_empty() && !REGISTERED.contains(&name.as_str());
    [subject, groups, roles].into_iter().all(fits) && subject != groups && subject != roles && groups != roles
}

/// SECURITY: a public key is known to everyone; an HMAC by it proves nothing (RFC 8725 2.1).
fn families_fit(settings: &IssuerSettings) -> bool {
    let shared = matches!(settings.key, KeySource::Secret(_));
    settings.algorithms.iter().all(|algorithm| (algorithm.family() == Family::Hmac) == shared)
}

/// All issuers, by exact `iss`.
#[derive(Clone)]
pub(super) struct Issuers {
    /// Which change of issuers or keys this is: that of the log (invariant I13).
    pub(super) generation: u64,
    by_iss: HashMap<String, Arc<Issuer>>,
}

impl Issuers {
    /// Checks and takes in all of `settings`, or none; of no generation yet.
    pub(super) fn new(settings: Vec<IssuerSettings>) -> Result<Self, IssuerError> {
        let mut by_iss: HashMap<String, Arc<Issuer>> = HashMap::with_capacity(settings.len());
        for table in settings {
            if by_iss.values().any(|other| other.name == table.name) {
                return Err(table.error("name", "another issuer has this name".to_owned()));
            }
            if by_iss.contains_key(&table.issuer) {
                return Err(table.error("issuer", "another issuer has this `iss`".to_owned()));
            }
            let issuer = Issuer::new(table)?;
            by_iss.insert(issuer.issuer.clone(), Arc::new(issuer));
        }
        Ok(Self { generation: 0, by_iss })
    }

    pub(super) fn at(self, generation: u64) -> Self {
        Self { generation, ..self }
    }

    /// The issuer of exactly that `iss`.
    pub(super) fn by_iss(&self, iss: &str) -> Option<&Arc<Issuer>> {
        self.by_iss.get(iss)
    }

    /// The issuer of that name.
    pub(super) fn by_name(&self, name: &str) -> Option<&Arc<Issuer>> {
        self.all().find(|issuer| issuer.name == name)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Issuer>> {
        self.by_iss.values()
    }

    /// Whether this very issuer, keys included, is among them.
    pub(super) fn hold(&self, issuer: &Arc<Issuer>) -> bool {
        self.by_iss.get(&issuer.issuer).is_some_and(|live| Arc::ptr_eq(live, issuer))
    }

    /// Reads a fetched set for the issuer of that name.
    pub(super) fn read_set(&self, name: &str, set: &[u8]) -> Result<FetchedSet, IssuerError> {
        let error = |problem| IssuerError { issuer: name.to_owned(), setting: "jwks_url", problem };
        let issuer = self.by_name(name).ok_or_else(|| error("there is no such issuer any more".to_owned()))?;
        let keys = jwks::read(set).map(Keys::Set).map_err(|problem| error(problem.to_string()))?;
        check_fit(&keys, &issuer.algorithms).map_err(error)?;
        let fingerprint = Some(jwks::fingerprint(set));
        Ok(FetchedSet { issuer_name: name.to_owned(), keys: Arc::new(keys), fingerprint })
    }

    /// Gives the issuer of that name the fetched keys that it has in `live`, as long as they are good.
    pub(super) fn keep_keys(&mut self, name: &str, live: &Self) {
        let (Some(old), Some(new)) = (live.by_name(name), self.by_name(name)) else {
            return;
        };
        if let Some(until_s) = &old.good_until_s {
            let set =
                FetchedSet { issuer_name: name.to_owned(), keys: Arc::clone(&old.keys), fingerprint: old.fingerprint };
            let kept = new.with_keys(set, until_s.load(Ordering::Relaxed));
            self.by_iss.insert(kept.issuer.clone(), Arc::new(kept));
        }
    }

    /// The same issuers, one of them with other keys.
    pub(super) fn with_keys(&self, set: FetchedSet, until_s: u64) -> Self {
        let mut issuers = self.clone();
        if let Some(issuer) = self.by_name(&set.issuer_name) {
            issuers.by_iss.insert(issuer.issuer.clone(), Arc::new(issuer.with_keys(set, until_s)));
        }
        issuers
    }

    /// Every unfit key of every set, by issuer name.
    pub(super) fn unfit_keys(&self) -> Vec<UnfitKey> {
        let of = |issuer: &Arc<Issuer>| -> Vec<UnfitKey> {
            let named = issuer.keys.unfit();
            let key = |(kid, why): (Option<&str>, Unfit)| UnfitKey {
                issuer_name: issuer.name.clone(),
                kid: kid.map(str::to_owned),
                why,
            };
            named.map(key).collect()
        };
        let mut keys: Vec<UnfitKey> = self.all().flat_map(of).collect();
        keys.sort_by(|a, b| (&a.issuer_name, &a.kid).cmp(&(&b.issuer_name, &b.kid)));
        keys
    }
}
