//! What the linter is told beside the folder: the time, how the gateway is reached, and, if asked for, what the store holds.

use super::folder::Folder;
use crate::access::replay::Observed;
use crate::authz::{Named, PolicySet, Surroundings, Wildcard};
use crate::cli::instant::When;
use crate::cli::{Context, Failure, root_keys};
use crate::clock;
use crate::config::Config;
use crate::keys::Opened;
use crate::secret::lookup;
use keyward_audit::store::{self, rocks::RocksStore};

/// Names of existing secrets that are looked at; the rules about them are for people.
const SECRETS_MAX: usize = 100_000;

/// Of a folder; the store is looked into only if that was asked for, since it takes the root key.
pub(super) fn of(folder: &Folder, with_store: bool) -> Result<Surroundings, Failure> {
    let now = i64::try_from(clock::system().clock.wall_us() / 1_000_000).unwrap_or(i64::MAX);
    let is_reached_over_ipv6 = folder.config.as_ref().is_some_and(|config| config.server.listen.is_ipv6());
    let mut surroundings = Surroundings { now, is_reached_over_ipv6, ..Surroundings::default() };
    match &folder.config {
        Some(config) if with_store => look(config, folder, &mut surroundings)?,
        None if with_store => {
            return Err(Failure::Usage("--store needs a keyward.toml, which says where it is".to_owned()));
        }
        Some(_) | None => {}
    }
    Ok(surroundings)
}

/// Reads the store's files as they are; a gateway that has them open goes on.
fn look(config: &Config, folder: &Folder, surroundings: &mut Surroundings) -> Result<(), Failure> {
    let roots = root_keys(config)?;
    let rows = RocksStore::open_read_only(&config.path(&config.storage.path))?;
    let Opened { keyring, .. } = store::read(&rows, |snapshot| Ok(roots.open(snapshot)))??;
    let named = Named::of(&folder.files).principals.into_iter();
    surroundings.principals = named.map(|who| (keyring.creator_number(&who).get(), who)).collect();
    let secrets = &mut surroundings.secrets;
    store::read(&rows, |snapshot| {
        lookup::each_secret(snapshot, keyring.installation().row_key(), &mut |row| {
            secrets.push(row.name.to_string());
            secrets.len() < SECRETS_MAX
        })
    })?;
    Ok(())
}

/// The wildcards of a folder that were used for a few names, by the trail in the store's files; no key is needed to read it.
pub(super) fn wildcards(
    context: &Context,
    folder: &Folder,
    set: &PolicySet,
    since: Option<When>,
) -> Result<Vec<Wildcard>, Failure> {
    let Some(config) = &folder.config else {
        return Err(Failure::Usage("--used needs a keyward.toml, which says where the trail is".to_owned()));
    };
    let rows = RocksStore::open_read_only(&config.path(&config.storage.path))?;
    let since_s = since.map_or(0, |since| since.at_s(clock::system().clock.wall_us() / 1_000_000));
    let since_us = since_s.saturating_mul(1_000_000);
    let observed = Observed::of_trail(&rows, &config.audit.origin, set, since_us)?;
    let seen = observed.seen();
    context.output.note(&format!("the trail has {} records of {} day(s)", seen.records, seen.days()));
    Ok(set.narrow_wildcards(observed.usage(), None))
}
