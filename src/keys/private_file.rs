//! Files that only their owner may read: they hold root keys, passphrases, or what a root key is made from.

use std::fs::{File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::root::RootKeyError;

/// Names the folder of the credentials that systemd hands to a service (systemd.exec(5)).
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";
/// Where systemd keeps the credentials of all system services, a folder for each that only its user may enter.
const CREDENTIALS: &str = "/run/credentials";

/// The folder of this process's own credentials, if it has any.
pub(super) fn credentials() -> Option<PathBuf> {
    std::env::var_os(CREDENTIALS_VARIABLE).map(PathBuf::from)
}

/// The permission bits that a private file must not have: all of group and others. Of a credential only those of others:
/// systemd lets the service's user read it by an access list, which shows as its group's bits.
#[must_use]
pub fn forbidden_bits(path: &Path) -> u32 {
    forbidden_beside(path, credentials().as_deref())
}

fn forbidden_beside(path: &Path, own: Option<&Path>) -> u32 {
    let within = |folder: &Path| folder.is_absolute() && path.parent().is_some_and(|parent| parent.starts_with(folder));
    if within(Path::new(CREDENTIALS)) || own.is_some_and(within) { 0o037 } else { 0o077 }
}

/// Reads at most one byte more than `bytes_max`, and refuses a file that is open to others.
pub(super) fn read(path: &Path, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, RootKeyError> {
    let place = || path.display().to_string();
    let io = |source| RootKeyError::Io { path: place(), source };
    let file = File::open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => RootKeyError::Absent(place()),
        _ => io(source),
    })?;
    // Of the opened file, not of the path: nothing can be swapped in between.
    let mode = file.metadata().map_err(io)?.mode() & 0o7777;
    if mode & forbidden_bits(path) != 0 {
        return Err(RootKeyError::Exposed { path: place(), mode });
    }
    // Large enough never to move, so that no copy stays behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(bytes_max.saturating_mul(2)));
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

/// Writes a file that is not there yet, mode 0600, synced to disk with its folder. It is there whole or not at all: a process
/// that dies meanwhile leaves at most a file of another name, `.keyward-…`, that nothing reads.
pub(super) fn write_new(path: &Path, text: &str) -> Result<(), RootKeyError> {
    write(path, text).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => RootKeyError::Exists(path.display().to_string()),
        _ => RootKeyError::Io { path: path.display().to_string(), source },
    })
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let owner_only = Permissions::from_mode(0o600);
    let mut file = tempfile::Builder::new().prefix(".keyward-").permissions(owner_only).tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_may_be_read_by_its_group_and_any_other_file_by_its_owner_alone() {
        let own = Path::new("/run/user/1000/credentials/keyward.service");
        let credential = |path: &str| forbidden_beside(Path::new(path), Some(own)) == 0o037;
        assert!(credential("/run/user/1000/credentials/keyward.service/root.key"));
        assert!(credential("/run/credentials/keyward.service/keyward.root-key"));
        assert!(!credential("/run/credentials-of-mine/root.key"));
        assert!(!credential("/var/lib/keyward/keys/root.key"));
        assert!(!credential("root.key"));
        // A folder that is not named by its whole path, or not at all, is nobody's.
        for own in [Some(Path::new("")), Some(Path::new("keys")), None] {
            assert_eq!(forbidden_beside(Path::new("keys/root.key"), own), 0o077);
        }
    }
}
