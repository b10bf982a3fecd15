//! Turning the files of a policy folder into others: all or none of them, as far as the file system lets anybody.
//!
//! Everything is written and synced in a directory beside the folder, the files from before included; then each file is renamed into
//! its place, and if one cannot be, those before it are put back. A gateway reads a folder only once it stands still. If the
//! process dies half-way, the directory `.keyward-rollback-…` stays, and the same command finishes the job.

use crate::authz::PolicyFile;
use anyhow::{Context as _, anyhow};
use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// Folders in a policy folder that hold files of the set.
const FOLDERS: [&str; 2] = ["documents", "roles"];
/// Everybody's permission to write, by which a gateway refuses a file.
const WRITABLE: u32 = 0o002;

/// What of a folder becomes otherwise.
pub(super) struct Plan {
    steps: Vec<Step>,
}

/// One file, before and after; none where it is not there.
struct Step {
    path: String,
    before: Option<Vec<u8>>,
    after: Option<Vec<u8>>,
}

impl Plan {
    /// From these files to those.
    pub(super) fn new(present: &[PolicyFile], wanted: &[PolicyFile]) -> Self {
        let by_path = |files: &[PolicyFile]| -> BTreeMap<String, Vec<u8>> {
            files.iter().map(|file| (file.path.clone(), file.bytes.clone())).collect()
        };
        let (mut before, after) = (by_path(present), by_path(wanted));
        let mut steps: Vec<Step> = Vec::new();
        for (path, bytes) in after {
            let old = before.remove(&path);
            if old.as_ref() != Some(&bytes) {
                steps.push(Step { path, before: old, after: Some(bytes) });
            }
        }
        steps.extend(before.into_iter().map(|(path, bytes)| Step { path, before: Some(bytes), after: None }));
        // What attachments name is there before them, and goes after them.
        steps.sort_by_key(|step| (step.after.is_none(), !step.path.contains('/')));
        Self { steps }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The files that are written.
    pub(super) fn written(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter(|step| step.after.is_some()).map(|step| step.path.as_str())
    }

    /// The files that go.
    pub(super) fn removed(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter(|step| step.after.is_none()).map(|step| step.path.as_str())
    }

    /// Does it.
    ///
    /// # Errors
    /// A file could not be written, given its owner, or moved into its place: the folder is as it was, or the error says where the
    /// files from before lie.
    pub(super) fn carry_out(&self, folder: &Path) -> anyhow::Result<()> {
        // What a link leads to; renaming replaces a link in it, never what it leads to.
        let root = fs::canonicalize(folder)?;
        let parent = root.parent().ok_or_else(|| anyhow!("`{}` lies nowhere", root.display()))?;
        let beside = Beside::new(parent)?;
        for name in FOLDERS {
            if !root.join(name).exists() {
                make_like(&root.join(name), &fs::metadata(&root)?)?;
            }
        }
        for step in &self.steps {
            let like = like(&root, &step.path)?;
            beside.stage("before", &step.path, step.before.as_deref(), &like)?;
            beside.stage("after", &step.path, step.after.as_deref(), &like)?;
        }
        for (done, step) in self.steps.iter().enumerate() {
            if let Err(error) = beside.put("after", step.after.is_some(), &root, &step.path) {
                return Err(self.undo(done, &root, beside, error));
            }
        }
        File::open(&root)?.sync_all()?;
        FOLDERS.into_iter().try_for_each(|name| File::open(root.join(name))?.sync_all())?;
        beside.remove()
    }

    /// Puts back the first `done` files, the last one first.
    fn undo(&self, done: usize, root: &Path, beside: Beside, cause: anyhow::Error) -> anyhow::Error {
        for step in self.steps.iter().take(done).rev() {
            if beside.put("before", step.before.is_some(), root, &step.path).is_err() {
                let lie = beside.dir.join("before");
                return cause.context(format!(
                    "`{}` is half-way; the files from before that are not back lie in `{}`",
                    root.display(),
                    lie.display()
                ));
            }
        }
        match beside.remove() {
            Ok(()) => cause.context("nothing was changed"),
            Err(error) => cause.context(error).context("nothing was changed"),
        }
    }
}

/// A directory beside the folder, on the same file system, in which no gateway looks.
struct Beside {
    dir: PathBuf,
}

impl Beside {
    fn new(parent: &Path) -> anyhow::Result<Self> {
        let dir = parent.join(format!(".keyward-rollback-{}", std::process::id()));
        let make = |path: &Path| fs::create_dir(path).with_context(|| format!("cannot make `{}`", path.display()));
        make(&dir)?;
        for time in [dir.join("before"), dir.join("after")] {
            make(&time)?;
            FOLDERS.into_iter().try_for_each(|name| make(&time.join(name)))?;
        }
        Ok(Self { dir })
    }

    /// Writes a file here, synced, with mode and owner of another one.
    fn stage(&self, time: &str, path: &str, bytes: Option<&[u8]>, like: &Metadata) -> anyhow::Result<()> {
        let Some(bytes) = bytes else { return Ok(()) };
        let to = self.dir.join(time).join(path);
        let write = || -> std::io::Result<()> {
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&to)?;
            file.write_all(bytes)?;
            let is = file.metadata()?;
            if (is.uid(), is.gid()) != (like.uid(), like.gid()) {
                fchown(&file, Some(like.uid()), Some(like.gid()))?;
            }
            let bits = if like.is_dir() { like.mode() & 0o666 } else { like.mode() & 0o777 };
            file.set_permissions(Permissions::from_mode(bits & !WRITABLE))?;
            file.sync_all()
        };
        write().with_context(|| format!("cannot write `{path}` as its owner has it; nothing was changed"))
    }

    /// Moves a staged file into the folder, or takes away what is there.
    fn put(&self, time: &str, is_there: bool, root: &Path, path: &str) -> anyhow::Result<()> {
        let to = root.join(path);
        if is_there {
            let from = self.dir.join(time).join(path);
            fs::rename(from, &to).with_context(|| format!("cannot replace `{}`", to.display()))
        } else {
            fs::remove_file(&to).with_context(|| format!("cannot remove `{}`", to.display()))
        }
    }

    fn remove(self) -> anyhow::Result<()> {
        fs::remove_dir_all(&self.dir)
            .with_context(|| format!("cannot remove `{}`; it is of no use", self.dir.display()))
    }
}

/// Whose mode and owner a file has: its own from before, else those of `attachments.json`, else of the folder.
fn like(root: &Path, path: &str) -> anyhow::Result<Metadata> {
    let own = [root.join(path), root.join("attachments.json")];
    let found = own.iter().find_map(|path| fs::metadata(path).ok());
    Ok(found.map_or_else(|| fs::metadata(root), Ok)?)
}

/// Makes a folder with mode and owner of another one.
fn make_like(path: &Path, like: &Metadata) -> anyhow::Result<()> {
    let make = || -> std::io::Result<()> {
        fs::create_dir(path)?;
        let made = File::open(path)?;
        let is = made.metadata()?;
        if (is.uid(), is.gid()) != (like.uid(), like.gid()) {
            fchown(&made, Some(like.uid()), Some(like.gid()))?;
        }
        made.set_permissions(Permissions::from_mode(like.mode() & 0o777))
    };
    make().with_context(|| format!("cannot make `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(texts: &[(&str, &str)]) -> Vec<PolicyFile> {
        let file =
            |(path, text): &(&str, &str)| PolicyFile { path: (*path).to_owned(), bytes: text.as_bytes().to_vec() };
        texts.iter().map(file).collect()
    }

    /// A folder of these files, in a directory of its own.
    fn folder(texts: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in texts {
            let path = dir.path().join("policies").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        }
        dir
    }

    fn read(dir: &tempfile::TempDir) -> BTreeMap<String, (String, u32)> {
        let mut found = BTreeMap::new();
        let mut next = vec![dir.path().to_owned()];
        while let Some(path) = next.pop() {
            for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    next.push(entry.path());
                } else {
                    let name = entry.path().strip_prefix(dir.path()).unwrap().to_str().unwrap().to_owned();
                    let mode = entry.metadata().unwrap().mode() & 0o777;
                    found.insert(name, (fs::read_to_string(entry.path()).unwrap(), mode));
                }
            }
        }
        found
    }

    const BEFORE: [(&str, &str); 3] = [("attachments.json", "1"), ("documents/a.json", "1"), ("documents/b.json", "1")];
    const AFTER: [(&str, &str); 3] = [("attachments.json", "2"), ("documents/a.json", "1"), ("roles/r.json", "2")];

    #[test]
    fn files_are_replaced_made_and_removed_with_their_modes_and_others_are_left_alone() {
        let dir = folder(&BEFORE);
        fs::create_dir(dir.path().join("policies/tests")).unwrap();
        fs::write(dir.path().join("policies/tests/t.json"), "t").unwrap();
        let plan = Plan::new(&files(&BEFORE), &files(&AFTER));
        let (written, removed) = (plan.written().collect::<Vec<_>>(), plan.removed().collect::<Vec<_>>());
        assert_eq!((written, removed), (vec!["roles/r.json", "attachments.json"], vec!["documents/b.json"]));
        plan.carry_out(&dir.path().join("policies")).unwrap();
        let found = read(&dir);
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        let expected = [
            "policies/attachments.json",
            "policies/documents/a.json",
            "policies/roles/r.json",
            "policies/tests/t.json",
        ];
        assert_eq!(names, expected, "nothing is left beside it either");
        for (path, text) in AFTER {
            assert_eq!(found[&format!("policies/{path}")], (text.to_owned(), 0o640), "{path}");
        }
        assert!(Plan::new(&files(&AFTER), &files(&AFTER)).is_empty());
    }

    #[test]
    fn what_cannot_be_done_whole_is_not_done() {
        // The second file cannot come into its place: a folder stands there.
        let dir = folder(&BEFORE);
        fs::create_dir_all(dir.path().join("policies/roles/r.json/x")).unwrap();
        let before = read(&dir);
        let after = [("attachments.json", "2"), ("documents/a.json", "2"), ("roles/r.json", "2")];
        let failed = Plan::new(&files(&BEFORE), &files(&after)).carry_out(&dir.path().join("policies")).unwrap_err();
        assert!(format!("{failed:#}").contains("nothing was changed"), "{failed:#}");
        assert_eq!(read(&dir), before);
    }

    #[test]
    fn a_link_is_replaced_and_what_it_leads_to_is_not() {
        let dir = folder(&BEFORE);
        let link = dir.path().join("policies/documents/b.json");
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("a.json", &link).unwrap();
        let after = [("attachments.json", "1"), ("documents/a.json", "1"), ("documents/b.json", "2")];
        Plan::new(&files(&BEFORE), &files(&after)).carry_out(&dir.path().join("policies")).unwrap();
        let found = read(&dir);
        assert_eq!(
            (found["policies/documents/a.json"].0.as_str(), found["policies/documents/b.json"].0.as_str()),
            ("1", "2")
        );
    }
}
