//! Who may run the verbs that write the gateway's own files: what another user makes, root too, the gateway cannot open.

use anyhow::{Context as _, bail};
use rustix::process::geteuid;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Refuses whoever does not own `path`, or the nearest folder around it that there is.
pub(super) fn refuse_others(path: &Path) -> anyhow::Result<()> {
    let there = path.ancestors().find(|there| fs::metadata(there).is_ok());
    let there = there.unwrap_or(Path::new("."));
    let owner = fs::metadata(there).with_context(|| format!("cannot look at `{}`", there.display()))?.uid();
    if owner == geteuid().as_raw() {
        return Ok(());
    }
    let (name, user) = match name_of(owner, &fs::read_to_string("/etc/passwd").unwrap_or_default()) {
        Some(name) => (name.clone(), name),
        None => (format!("user {owner}"), format!("'#{owner}'")),
    };
    bail!(
        "`{}` belongs to {name}, and the gateway could not open what another user makes beside it: run this as {name} (`sudo -u {user}`)",
        there.display()
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

    #[test]
    fn the_owner_may_go_on_wherever_the_path_ends() {
        let scratch = tempfile::tempdir().unwrap();
        refuse_others(scratch.path()).unwrap();
        refuse_others(&scratch.path().join("not/there/yet")).unwrap();
    }
}
