//! Whose store and mark are: what another user writes there, root too, the gateway cannot open.

use crate::config::Config;
use anyhow::bail;
use rustix::process::geteuid;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The gateway's user, as far as files tell, and the file that tells it: the folder around the store, the store, the mark or the key
/// of the log, the first that is not root's. Root if all of them are; nobody if none can be looked at.
pub(super) fn of_gateway(config: &Config) -> Option<(u32, PathBuf)> {
    let store = config.path(&config.storage.path);
    let around = store.parent().unwrap_or(Path::new(".")).to_owned();
    let telling = [around, store, config.path(&config.audit.high_water_mark), config.path(&config.audit.signing_key)];
    let owner = |path: PathBuf| Some((fs::metadata(&path).ok()?.uid(), path));
    let owners: Vec<_> = telling.into_iter().filter_map(owner).collect();
    owners.iter().find(|(user, _)| *user != 0).or_else(|| owners.first()).cloned()
}

/// Refuses whoever is not that user.
pub(super) fn refuse_others(config: &Config) -> anyhow::Result<()> {
    let Some((owner, path)) = of_gateway(config).filter(|(owner, _)| *owner != geteuid().as_raw()) else {
        return Ok(());
    };
    let (name, user) = match name_of(owner, &fs::read_to_string("/etc/passwd").unwrap_or_default()) {
        Some(name) => (name.clone(), name),
        None => (format!("user {owner}"), format!("'#{owner}'")),
    };
    bail!(
        "`{}` belongs to {name}, and the gateway could not open what another user makes: run this as {name} (`sudo -u {user}`)",
        path.display()
    )
}

/// The name of a user in a file of accounts.
fn name_of(user: u32, accounts: &str) -> Option<String> {
    let of_user = |line: &&str| line.split(':').nth(2).is_some_and(|number| number.parse() == Ok(user));
    accounts.lines().find(of_user).and_then(|line| line.split(':').next()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_as_the_machine_names_it() {
        let accounts = "root:x:0:0::/root:/bin/sh\nbroken\nkeyward:x:998:998::/nonexistent:/usr/sbin/nologin\n";
        assert_eq!(name_of(998, accounts).as_deref(), Some("keyward"));
        assert_eq!(name_of(0, accounts).as_deref(), Some("root"));
        assert_eq!(name_of(99, accounts), None);
    }
}
