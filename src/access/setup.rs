//! What the configuration makes of each part: issuers, policy settings, the log.

use crate::authn::remote::{Remote, RemoteError, RemoteSettings, RemoteSource};
use crate::authn::{Algorithm, ClaimNames, GroupsRule, IssuerSettings, KeySource};
use crate::authz::{self, IssuerRule, PolicyFile};
use crate::config::{self, Config, Groups, Issuer, Keys};
use crate::keys::{Candidates, FileProvider, PassphraseProvider, PassphraseSource, RootKeyError, RootKeyProvider};
use crate::resource::Place;
use keyward_audit::disk::{self, Share, Thresholds};
use keyward_audit::log::{Limits, Room, Settings};
use keyward_audit::note::SigningKey;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// A file or value that the configuration names and that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A file cannot be read.
    #[error("`{setting}`: cannot read `{path}`: {cause}")]
    Unreadable {
        /// The setting that names it.
        setting: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The log's signing key is not one, or not of the configured origin.
    #[error("`audit.signing_key`: `{path}`: {cause}")]
    SigningKey {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: String,
    },
    /// A setting by which an issuer's keys cannot be fetched.
    #[error("`issuer.{issuer}`: {cause}")]
    Remote {
        /// The issuer's name.
        issuer: String,
        /// Which setting, and why.
        cause: RemoteError,
    },
    /// An algorithm that is not offered.
    #[error("`issuer.{issuer}`: `algorithms`: `{algorithm}` is not offered")]
    Algorithm {
        /// The issuer's name.
        issuer: String,
        /// The text.
        algorithm: String,
    },
}

/// What fetches, or makes, the root key of `[keys]` or `[keys.next]`.
#[must_use]
pub fn root_key_provider(config: &Config, keys: &Keys) -> Box<dyn RootKeyProvider> {
    let path = config.path(&keys.path);
    if keys.provider != "passphrase" {
        return Box::new(FileProvider::new(path));
    }
    let source = if !keys.passphrase_env.is_empty() {
        PassphraseSource::Variable(keys.passphrase_env.clone())
    } else if !keys.passphrase_credential.is_empty() {
        PassphraseSource::Credential(keys.passphrase_credential.clone())
    } else {
        PassphraseSource::File(config.path(&keys.passphrase_file))
    };
    Box::new(PassphraseProvider::new(path, source))
}

/// The root keys that the configuration names.
///
/// # Errors
/// [`RootKeyError`] if none can be had.
pub fn root_keys(config: &Config) -> Result<Candidates, RootKeyError> {
    let next = config.keys.next.as_ref().map(|next| root_key_provider(config, next));
    Candidates::load(&*root_key_provider(config, &config.keys), next.as_deref())
}

fn read(setting: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, SetupError> {
    let read = std::fs::read(path).map(Zeroizing::new);
    read.map_err(|cause| SetupError::Unreadable { setting: setting.to_owned(), path: path.to_owned(), cause })
}

/// The issuers, with their key files read.
///
/// # Errors
/// [`SetupError`] naming the issuer and the file.
pub fn issuer_settings(config: &Config) -> Result<Vec<IssuerSettings>, SetupError> {
    config.issuers.iter().map(|issuer| one_issuer(config, issuer)).collect()
}

fn one_issuer(config: &Config, issuer: &Issuer) -> Result<IssuerSettings, SetupError> {
    let algorithm = |text: &String| {
        let unknown = || SetupError::Algorithm { issuer: issuer.name.clone(), algorithm: text.clone() };
        Algorithm::parse(text).ok_or_else(unknown)
    };
    let key = match (&issuer.public_key_file, &issuer.secret_file) {
        (Some(file), _) => {
            let setting = format!("issuer.{}.public_key_file", issuer.name);
            KeySource::public(read(&setting, &config.path(file))?.to_vec())
        }
        (None, Some(file)) => {
            let setting = format!("issuer.{}.secret_file", issuer.name);
            KeySource::Secret(read(&setting, &config.path(file))?)
        }
        (None, None) => KeySource::Fetched,
    };
    Ok(IssuerSettings {
        name: issuer.name.clone(),
        issuer: issuer.issuer.clone(),
        audience: issuer.audience.clone(),
        algorithms: issuer.algorithms.iter().map(algorithm).collect::<Result<_, _>>()?,
        key,
        leeway_s: issuer.leeway_s,
        max_lifetime_s: issuer.max_lifetime_s,
        groups: match issuer.groups {
            Groups::Optional => GroupsRule::Optional,
            Groups::Required => GroupsRule::Required,
        },
        claims: ClaimNames {
            subject: issuer.claims.subject.clone(),
            groups: issuer.claims.groups.clone(),
            roles: issuer.claims.roles.clone(),
        },
    })
}

/// Where the keys of an issuer are fetched from; `None` if they come from a file.
///
/// # Errors
/// [`SetupError`] naming the issuer and the setting.
pub fn remote(config: &Config, issuer: &Issuer) -> Result<Option<Remote>, SetupError> {
    let source = match &issuer.jwks_url {
        Some(url) => RemoteSource::KeySet(url.clone()),
        None if issuer.discovery => RemoteSource::Discovery,
        None => return Ok(None),
    };
    let wrong = |cause| SetupError::Remote { issuer: issuer.name.clone(), cause };
    let network = |text: &String| {
        let problem = || RemoteError { setting: "key_networks", problem: format!("`{text}` is no network") };
        text.parse().map_err(|_| wrong(problem()))
    };
    let authorities = match &issuer.ca_file {
        None => None,
        Some(file) => Some(read(&format!("issuer.{}.ca_file", issuer.name), &config.path(file))?.to_vec()),
    };
    let settings = RemoteSettings {
        issuer: issuer.issuer.clone(),
        source,
        key_host: issuer.key_host.clone(),
        networks: issuer.key_networks.iter().map(network).collect::<Result<_, _>>()?,
        authorities,
    };
    Remote::new(settings).map(Some).map_err(wrong)
}

/// The log's signing key, which must be that of the configured origin.
///
/// # Errors
/// [`SetupError`] naming the file.
pub fn signing_key(config: &Config) -> Result<SigningKey, SetupError> {
    let path = config.path(&config.audit.signing_key);
    let text = read("audit.signing_key", &path)?;
    let wrong = |cause: String| SetupError::SigningKey { path: path.clone(), cause };
    let text = std::str::from_utf8(&text).map_err(|_| wrong("it is not text".to_owned()))?;
    let key = SigningKey::parse(text).map_err(|error| wrong(error.to_string()))?;
    let name = key.verifying_key().name();
    if name != config.audit.origin {
        return Err(wrong(format!("it is the key of `{name}`, not of the origin `{}`", config.audit.origin)));
    }
    Ok(key)
}

/// Where the log lies, under which name it signs, and its limits.
///
/// # Errors
/// [`SetupError`] if the signing key cannot be used.
pub fn log_settings(config: &Config) -> Result<Settings, SetupError> {
    let key = signing_key(config)?;
    let limits = &config.limits;
    Ok(Settings {
        store: config.path(&config.storage.path),
        high_water_mark: config.path(&config.audit.high_water_mark),
        origin: config.audit.origin.clone(),
        key: Arc::new(key),
        limits: Limits {
            caller: Room { records: limits.queue_records, bytes: limits.queue_bytes },
            deadline: Duration::from_millis(limits.commit_deadline_ms),
            ..Limits::default()
        },
        disk: Some(disk_settings(config)),
    })
}

/// When the disk counts as full.
#[must_use]
pub fn disk_settings(config: &Config) -> disk::Settings {
    let storage = &config.storage;
    let share = |percent: u8, bytes: u64| Share { percent, bytes };
    let defaults = disk::Settings::default();
    disk::Settings {
        thresholds: Thresholds {
            soft: share(storage.disk_soft_percent, storage.disk_soft_bytes),
            soft_hours: defaults.thresholds.soft_hours,
            hard: share(storage.disk_hard_percent, storage.disk_hard_bytes),
            critical: share(storage.disk_critical_percent, storage.disk_critical_bytes),
        },
        ballast: share(1, storage.ballast_bytes),
        compaction_bytes: storage.compaction_bytes,
        ..defaults
    }
}

/// The same without a configuration: the defaults, and the issuers that the folder itself names.
#[must_use]
pub fn assumed_policy_settings(files: &[PolicyFile]) -> authz::Settings {
    let (server, policy) = (config::Server::default(), config::Policy::default());
    let place = Place { region: server.region, account: server.account };
    authz::Settings::assumed(place, policy.document_characters_max, files)
}

/// What of the configuration enters the load checks and the policy revision.
#[must_use]
pub fn policy_settings(config: &Config) -> authz::Settings {
    let issuers = config
        .issuers
        .iter()
        .map(|issuer| IssuerRule { name: issuer.name.clone(), groups_required: issuer.groups == Groups::Required });
    authz::Settings {
        place: Place { region: config.server.region.clone(), account: config.server.account.clone() },
        issuers: issuers.collect(),
        foreign_services: config.policy.foreign_services.clone(),
        document_characters_max: config.policy.document_characters_max,
        catalogue: crate::actions::CATALOGUE,
    }
}
