//! Two policy sets held against each other, and against the secrets that there are: folders and stored revisions, read without
//! changing anything.
//!
//! The store is opened read-only, so a running gateway is not disturbed. Nothing here is written to disk.

use super::asked::{Installed, TokenClaims};
use super::replay::{self, ReplayError};
use super::setup;
use crate::actions::Action;
use crate::authz::{self, Diff, DiffError, Finding, Line, PolicySet, SecretAsked, WitnessTarget};
use crate::config::{Config, Issuer};
use crate::keys::{Candidates, Keyring, Opened};
use crate::principal::Principal;
use crate::resource::{CreatorNumber, Place, SecretName};
use crate::secret::lookup;
use keyward_audit::store::rocks::RocksStore;
use keyward_audit::store::{self, Family, StoreError};
use std::collections::BTreeMap;
use std::path::Path;

/// One of the two.
#[derive(Clone, Copy, Debug)]
pub enum Side<'a> {
    /// A policy folder.
    Folder(&'a Path),
    /// A revision that was live once: `sha256:...`.
    Revision(&'a str),
}

/// Why a set cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no such folder.
    #[error("there is no folder `{0}`")]
    Absent(String),
    /// The folder is no policy set.
    #[error("it has errors")]
    Findings(Vec<Finding>),
    /// Revisions are in the store, which cannot be read.
    #[error("the store cannot be read: {0}")]
    Store(String),
    /// The store has no such revision.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// What an installation knows: where it is, its store, and, if its keys open, its secrets and everybody's creator numbers.
pub struct Surroundings {
    /// Region and account.
    pub place: Place,
    /// What tokens say, by the issuer's name.
    issuers: BTreeMap<String, TokenClaims>,
    store: Result<RocksStore, String>,
    /// Secrets by name, with their creators; or why they cannot be had.
    pub secrets: Result<Secrets, String>,
}

/// The secrets that there are.
pub struct Secrets {
    keyring: Keyring,
    list: Vec<Existing>,
}

/// A secret that there is, as far as policies read it.
#[derive(Clone, Debug)]
pub struct Existing {
    /// Who made it.
    pub creator: CreatorNumber,
    /// Its name.
    pub name: SecretName,
    /// Its tags, as `key&value`.
    pub tags: Vec<String>,
}

impl Surroundings {
    /// Opens what can be opened of a configuration's installation.
    #[must_use]
    pub fn open(config: &Config, roots: &dyn Fn() -> anyhow::Result<Candidates>) -> Self {
        let place = setup::policy_settings(config).place;
        let path = config.path(&config.storage.path);
        let store = if path.exists() {
            RocksStore::open_read_only(&path).map_err(|error| error.to_string())
        } else {
            Err(format!("there is no store at `{}`", path.display()))
        };
        let secrets = store.as_ref().map_err(Clone::clone).and_then(|rows| {
            let roots = roots().map_err(|error| format!("{error:#}"))?;
            Secrets::read(rows, &roots).map_err(|error| format!("{error:#}"))
        });
        let claims = |issuer: &Issuer| TokenClaims { issuer: issuer.issuer.clone(), audience: issuer.audience.clone() };
        let issuers = config.issuers.iter().map(|issuer| (issuer.name.clone(), claims(issuer))).collect();
        Self { place, issuers, store, secrets }
    }

    /// The store's files, as they are.
    ///
    /// # Errors
    /// [`LoadError::Store`] if there are none that can be read.
    pub fn rows(&self) -> Result<&RocksStore, LoadError> {
        self.store.as_ref().map_err(|why| LoadError::Store(why.clone()))
    }

    /// Who made the secret of that name, if there is one.
    #[must_use]
    pub fn creator_of(&self, name: &SecretName) -> Option<CreatorNumber> {
        let secrets = self.secrets.as_ref().ok()?;
        secrets.find(name).map(|secret| secret.creator)
    }

    /// The names of the secrets that a line speaks of, if they are known here.
    #[must_use]
    pub fn names_in(&self, line: &Line) -> Option<Vec<String>> {
        let secrets = self.secrets.as_ref().ok()?;
        let inside = secrets.list.iter().filter(|one| line.covers_secret(one.creator, &one.name));
        Some(inside.map(|one| one.name.as_str().to_owned()).collect())
    }
}

impl Installed for Surroundings {
    fn place(&self) -> &Place {
        &self.place
    }

    fn creator_number(&self, principal: &Principal) -> Option<u64> {
        self.secrets.as_ref().ok().map(|secrets| secrets.keyring.creator_number(principal).get())
    }

    fn token_claims(&self, issuer: &str) -> Option<TokenClaims> {
        self.issuers.get(issuer).cloned()
    }

    fn secret(&self, name: &SecretName) -> Result<Option<Existing>, StoreError> {
        Ok(self.secrets.as_ref().ok().and_then(|secrets| secrets.find(name)).cloned())
    }
}

impl Secrets {
    fn read(rows: &RocksStore, roots: &Candidates) -> anyhow::Result<Self> {
        let Opened { keyring, .. } = store::read(rows, |snapshot| Ok(roots.open(snapshot)))??;
        let mut list = Vec::new();
        let row_key = keyring.installation().row_key();
        store::read(rows, |snapshot| {
            lookup::each_secret(snapshot, row_key, &mut |row| {
                let tags = row.tags.condition_values();
                list.push(Existing { creator: row.creator, name: row.name, tags });
                true
            })
        })?;
        Ok(Self { keyring, list })
    }

    /// The secret of that name.
    #[must_use]
    pub fn find(&self, name: &SecretName) -> Option<&Existing> {
        self.list.iter().find(|one| one.name == *name)
    }
}

/// Loads one of the two.
///
/// # Errors
/// [`LoadError`] if it cannot be had whole.
pub fn load(config: &Config, around: &Surroundings, side: &Side<'_>) -> Result<PolicySet, LoadError> {
    match side {
        Side::Folder(dir) if dir.is_dir() => {
            let settings = setup::policy_settings(config);
            let files = authz::read_folder(dir).map_err(LoadError::Findings)?;
            PolicySet::load(&files, &settings).map_err(LoadError::Findings)
        }
        Side::Folder(dir) => Err(LoadError::Absent(dir.display().to_string())),
        Side::Revision(revision) => {
            let rows = around.rows()?;
            let get = &mut |key: &[u8]| -> Result<Option<Vec<u8>>, StoreError> {
                store::read(rows, |snapshot| snapshot.get(Family::Texts, key))
            };
            Ok(replay::stored_revision(revision, get)?)
        }
    }
}

/// Compares two sets, with the creator numbers that the installation knows.
///
/// # Errors
/// [`DiffError`].
pub fn diff(old: &PolicySet, new: &PolicySet, around: &Surroundings) -> Result<Diff, DiffError> {
    authz::diff(old, new, &|principal| around.creator_number(principal))
}

/// Who may do an action, on a secret if one is asked about.
///
/// # Errors
/// [`DiffError`].
pub fn who_can(
    set: &PolicySet,
    action: &'static Action,
    secret: Option<SecretAsked<'_>>,
    around: &Surroundings,
) -> Result<Vec<Line>, DiffError> {
    authz::who_can(set, action, secret, &|principal| around.creator_number(principal))
}

/// What a principal may do whose token has these groups and roles.
///
/// # Errors
/// [`DiffError`].
pub fn what_can(
    set: &PolicySet,
    principal: &Principal,
    with: &[Principal],
    around: &Surroundings,
) -> Result<Vec<Line>, DiffError> {
    let with: Vec<&Principal> = with.iter().collect();
    authz::what_can(set, principal, &with, &|principal| around.creator_number(principal))
}

/// A target as records name it; `*` if there is none.
#[must_use]
pub fn resource_text(target: &WitnessTarget, place: &Place) -> String {
    match target {
        WitnessTarget::Operation => "*".to_owned(),
        WitnessTarget::Secret(creator, name) => place.secret(*creator, name),
        WitnessTarget::Key(id) => place.key(id),
        WitnessTarget::Role(role) => place.role(role),
    }
}
