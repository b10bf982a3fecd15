//! Files that only their owner may read: they hold root keys, passphrases, or what a root key is made from.

use std::fs::{File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

use super::root::RootKeyError;

/// Permission bits of group and others.
pub(super) const OTHERS: u32 = 0o077;

/// Reads at most one byte more than `bytes_max`, and refuses a file with one of the `forbidden` permission bits.
pub(super) fn read(path: &Path, bytes_max: usize, forbidden: u32) -> Result<Zeroizing<Vec<u8>>, RootKeyError> {
    let place = || path.display().to_string();
    let io = |source| RootKeyError::Io { path: place(), source };
    let file = File::open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => RootKeyError::Absent(place()),
        _ => io(source),
    })?;
    // Of the opened file, not of the path: nothing can be swapped in between.
    let mode = file.metadata().map_err(io)?.mode() & 0o7777;
    if mode & forbidden != 0 {
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
