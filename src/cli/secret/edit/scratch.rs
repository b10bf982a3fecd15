//! A directory in memory, for one file and what an editor puts beside it (swap and backup files); wiped when dropped,
//! unless the text is to be kept.

use crate::cli::output;
use anyhow::{Context as _, bail};
use keyward_audit::Random;
use rustix::fs::statfs;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// File systems that are memory (linux/magic.h): tmpfs, ramfs.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];
/// Where users of this machine find one.
const SHARED: &str = "/dev/shm";
/// Zeros that are written at once.
const BLOCK: [u8; 4_096] = [0; 4_096];

/// Mode 0700, of an odd name.
pub(super) struct Scratch {
    dir: PathBuf,
    is_kept: bool,
}

impl Scratch {
    /// # Errors
    /// There is no place in memory.
    pub(super) fn new(random: &dyn Random) -> anyhow::Result<Self> {
        let mut unique = [0; 16];
        random.fill(&mut unique)?;
        let of_session = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir: &OsString| !dir.is_empty());
        let places = of_session.map(PathBuf::from).into_iter().chain([PathBuf::from(SHARED)]);
        for place in places.filter(|place| place.is_absolute() && is_in_memory(place)) {
            let dir = place.join(format!("keyward-edit-{}", hex::encode(unique)));
            if DirBuilder::new().mode(0o700).create(&dir).is_err() {
                continue;
            }
            let made = Self { dir, is_kept: false };
            // What was asked about before was the place; this is what was made.
            if is_in_memory(&made.dir) {
                return Ok(made);
            }
        }
        bail!("no place in memory for the text: neither $XDG_RUNTIME_DIR nor {SHARED} is a tmpfs that can be written")
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A new file of mode 0600 that holds `text`.
    pub(super) fn file(&self, text: &[u8]) -> anyhow::Result<PathBuf> {
        let path = self.dir.join("secret");
        output::new_private_file(&path)?.write_all(text)?;
        Ok(path)
    }

    /// Leaves `text` behind, in a file of mode 0600 and nothing beside it, for whoever wrote it.
    pub(super) fn keep(mut self, text: &[u8]) -> anyhow::Result<PathBuf> {
        wipe_within(&self.dir, None);
        let path = self.file(text)?;
        self.is_kept = true;
        Ok(path)
    }

    /// Leaves `file` behind as it is, and nothing beside it, for whoever wrote it.
    pub(super) fn leave(mut self, file: PathBuf) -> PathBuf {
        wipe_within(&self.dir, Some(&file));
        self.is_kept = true;
        file
    }

    /// What the file holds now, of a longer one `bytes_max` bytes and one more; editors may have put another one in its place.
    pub(super) fn read(&self, path: &Path, bytes_max: u64) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        let mut text = Zeroizing::new(Vec::with_capacity(8_192));
        let file = File::open(path).context("the editor left no file; nothing was stored")?;
        file.take(bytes_max + 1).read_to_end(&mut text)?;
        Ok(text)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.is_kept {
            wipe(&self.dir);
        }
    }
}

fn is_in_memory(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| u64::try_from(found.f_type).is_ok_and(|kind| IN_MEMORY.contains(&kind)))
}

/// Wipes all files below `dir`, then removes `dir`.
fn wipe(dir: &Path) {
    wipe_within(dir, None);
    let _gone = fs::remove_dir(dir);
}

/// Overwrites and removes all files below `dir` but `left`. Links are removed, not followed. What cannot be wiped is removed all
/// the same.
fn wipe_within(dir: &Path, left: Option<&Path>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if left == Some(path.as_path()) {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => wipe(&path),
            Ok(kind) if kind.is_file() => {
                let _unwritable = overwrite(&path);
                let _gone = fs::remove_file(&path);
            }
            _ => {
                let _gone = fs::remove_file(&path);
            }
        }
    }
}

fn overwrite(path: &Path) -> std::io::Result<()> {
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let mut file = File::options().write(true).custom_flags(no_follow).open(path)?;
    let mut left = file.metadata()?.len();
    while left > 0 {
        let bytes = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK.len());
        file.write_all(BLOCK.get(..bytes).unwrap_or_default())?;
        left -= bytes as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_audit::Environment;
    use std::os::unix::fs::PermissionsExt as _;

    fn environment() -> Environment {
        crate::clock::system()
    }

    #[test]
    fn only_a_file_system_in_memory_will_do() {
        assert!(is_in_memory(Path::new(SHARED)));
        assert!(!is_in_memory(Path::new(env!("CARGO_MANIFEST_DIR"))));
        assert!(!is_in_memory(Path::new("/proc")));
    }

    #[test]
    fn what_is_kept_lies_alone_in_a_private_file() {
        let scratch = Scratch::new(&*environment().random).unwrap();
        let file = scratch.file(b"before").unwrap();
        fs::write(scratch.dir().join(".secret.swp"), "before").unwrap();
        let kept = scratch.keep(b"after").unwrap();
        assert_eq!((&kept, fs::read(&kept).unwrap().as_slice()), (&file, b"after".as_slice()));
        assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
        let dir = kept.parent().unwrap();
        assert_eq!(fs::read_dir(dir).unwrap().count(), 1);
        wipe(dir);
    }

    #[test]
    fn what_is_left_is_as_it_was_and_alone() {
        let scratch = Scratch::new(&*environment().random).unwrap();
        let file = scratch.file(b"long").unwrap();
        fs::write(scratch.dir().join(".secret.swp"), "lo").unwrap();
        let left = scratch.leave(file);
        let dir = left.parent().unwrap();
        assert_eq!((fs::read(&left).unwrap().as_slice(), fs::read_dir(dir).unwrap().count()), (b"long".as_slice(), 1));
        wipe(dir);
    }

    #[test]
    fn the_text_is_overwritten_and_all_that_lies_beside_it_is_removed() {
        let scratch = Scratch::new(&*environment().random).unwrap();
        let file = scratch.file(b"s3cret").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(scratch.dir()).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(scratch.dir().join(".secret.swp"), "s3cret").unwrap();
        fs::create_dir(scratch.dir().join("more")).unwrap();
        fs::write(scratch.dir().join("more/backup"), "s3cret").unwrap();
        let outside = tempfile::NamedTempFile::new().unwrap();
        fs::write(&outside, "not mine").unwrap();
        std::os::unix::fs::symlink(&outside, scratch.dir().join("link")).unwrap();
        // A second name for the same bytes shows what became of them.
        let same = scratch.dir().with_extension("same");
        fs::hard_link(&file, &same).unwrap();
        let dir = scratch.dir().to_owned();
        drop(scratch);
        assert!(!dir.exists());
        assert_eq!(fs::read(&same).unwrap(), [0; 6]);
        fs::remove_file(same).unwrap();
        assert_eq!(fs::read(&outside).unwrap(), b"not mine", "a link was followed");
    }
}
