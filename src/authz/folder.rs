//! Reading the policy folder: the files that it may hold, and a finding for everything else in it, so that no file of
//! a user is silently without effect (a stray `model.conf` above all: the model is compiled in).

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::finding::{Code, Finding, Findings};
use super::{PolicyFile, attachments, document};

/// What a file of the folder is, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind<'a> {
    /// `attachments.json`
    Attachments,
    /// `documents/<name>.json`
    Document(&'a str),
    /// `roles/<name>.json`
    Role(&'a str),
    /// `tests/<name>.json`: for authors; no part of the set.
    Test,
    /// `tests/decisions.snap`: the answers as they were reviewed; no part of the set.
    Snapshot,
    /// `waivers.json`: warnings that somebody answers for; no part of the set.
    Waivers,
}

/// The path of the waivers in a folder.
pub(super) const WAIVERS: &str = "waivers.json";
/// The path of the reviewed answers in a folder.
pub const SNAPSHOT: &str = "tests/decisions.snap";

/// Entries that the folder may hold; one with more is refused without looking at all of them.
pub const ENTRIES_MAX: usize = 10_000;

/// What may stand in the folder.
const ALLOWED: &str = "the folder holds `attachments.json`, `documents/*.json`, `roles/*.json`, `tests/*.json`, \
     `tests/decisions.snap` and `waivers.json`; names are 1 to 128 of `A-Z a-z 0-9 + = , . @ _ -`";

impl<'a> FileKind<'a> {
    /// What the file of that relative path is.
    ///
    /// # Errors
    /// What may stand in the folder, if it is none of these.
    pub(super) fn of(path: &'a str) -> Result<Self, &'static str> {
        match path {
            "attachments.json" => return Ok(Self::Attachments),
            WAIVERS => return Ok(Self::Waivers),
            SNAPSHOT => return Ok(Self::Snapshot),
            _ => {}
        }
        let (folder, file) = path.split_once('/').ok_or(ALLOWED)?;
        let name = file.strip_suffix(".json").filter(|name| is_name(name)).ok_or(ALLOWED)?;
        match folder {
            "documents" => Ok(Self::Document(name)),
            "roles" => Ok(Self::Role(name)),
            "tests" => Ok(Self::Test),
            _ => Err(ALLOWED),
        }
    }

    /// Largest file of the kind, in bytes.
    const fn bytes_max(self) -> usize {
        match self {
            Self::Attachments | Self::Snapshot => attachments::FILE_BYTES_MAX,
            Self::Document(_) | Self::Role(_) | Self::Test | Self::Waivers => document::FILE_BYTES_MAX,
        }
    }

    /// Whether requests are decided by it.
    pub(super) const fn is_of_the_set(self) -> bool {
        match self {
            Self::Attachments | Self::Document(_) | Self::Role(_) => true,
            Self::Test | Self::Snapshot | Self::Waivers => false,
        }
    }
}

/// Whether requests are decided by the file of that path in a policy folder.
#[must_use]
pub fn is_of_the_set(path: &str) -> bool {
    FileKind::of(path).is_ok_and(FileKind::is_of_the_set)
}

fn is_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b);
    (1..=128).contains(&name.len()) && name.bytes().all(fits)
}

/// Whose the files of a folder are: numbers of users, by path.
pub type Owners = BTreeMap<String, u32>;

/// Reads what of the policy folder requests are decided by, sorted by path bytes.
///
/// # Errors
/// A finding for each file that may not stand in it, cannot be read, is no regular file, leads out of the folder or may be
/// changed by everybody; and if there is no `attachments.json`, as in a folder that was emptied.
pub fn read_folder(dir: &Path) -> Result<Vec<PolicyFile>, Vec<Finding>> {
    read_owned_folder(dir).map(|(files, _)| files)
}

/// The same, with whose each file was when it was read.
///
/// # Errors
/// As [`read_folder`].
pub fn read_owned_folder(dir: &Path) -> Result<(Vec<PolicyFile>, Owners), Vec<Finding>> {
    let Folder { files, owners, findings, .. } = read(dir, |kind| kind.is_of_the_set());
    if findings.is_empty() { Ok((files, owners)) } else { Err(findings) }
}

/// Reads the whole policy folder as its authors see it, tests and waivers included: the files that can be read, sorted by
/// path bytes, and the findings of [`read_folder`] about the others. Of a folder with too many files none comes back.
#[must_use]
pub fn survey_folder(dir: &Path) -> (Vec<PolicyFile>, Vec<Finding>) {
    let Folder { files, findings, .. } = read(dir, |_| true);
    (files, findings)
}

fn read(dir: &Path, wanted: fn(FileKind<'_>) -> bool) -> Folder {
    let mut folder = Folder {
        root: PathBuf::new(),
        wanted,
        files: Vec::new(),
        owners: Owners::new(),
        findings: Vec::new(),
        entries: 0,
    };
    match fs::canonicalize(dir).and_then(|root| Ok((fs::metadata(&root)?, root))) {
        Ok((metadata, root)) => {
            folder.root = root;
            folder.refuse_open("", &metadata);
        }
        Err(error) => folder.refuse("", &format!("the policy folder cannot be read: {error}")),
    }
    if folder.findings.is_empty() {
        folder.read_level("");
    }
    if folder.findings.is_empty() && !folder.files.iter().any(|file| file.path == "attachments.json") {
        folder.refuse("attachments.json", "is missing: without it everybody is denied everything");
    }
    if folder.entries > ENTRIES_MAX {
        // One thing is wrong with it: what else may be is not worth a line for each file.
        folder.files.clear();
    }
    folder.findings.sort();
    folder.files.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
    folder
}

struct Folder {
    root: PathBuf,
    /// What kinds of files are read; the others are looked at.
    wanted: fn(FileKind<'_>) -> bool,
    files: Vec<PolicyFile>,
    owners: Owners,
    findings: Vec<Finding>,
    /// Seen so far.
    entries: usize,
}

impl Folder {
    fn refuse(&mut self, path: &str, message: &str) {
        let mut findings = Findings::of(path);
        findings.add_file(Code::PolicyNameError, path, message);
        self.findings.extend(findings.into_list());
    }

    /// INVARIANT I5: what everybody may change is nobody's policy.
    fn refuse_open(&mut self, path: &str, metadata: &Metadata) {
        let mode = metadata.mode() & 0o777;
        if mode & 0o002 != 0 {
            self.refuse(path, &format!("everybody may change it (mode {mode:03o}): chmod o-w"));
        }
    }

    /// Reads the root (`prefix` is empty) or one folder in it.
    fn read_level(&mut self, prefix: &str) {
        let entries = match fs::read_dir(self.root.join(prefix)) {
            Ok(entries) => entries,
            Err(error) => return self.refuse(prefix, &format!("cannot be read: {error}")),
        };
        for entry in entries {
            self.entries = self.entries.saturating_add(1);
            if self.entries > ENTRIES_MAX {
                return self.refuse(prefix, &format!("the folder holds more than {ENTRIES_MAX} files"));
            }
            match entry.map(|entry| entry.file_name().into_string()) {
                Ok(Ok(name)) if prefix.is_empty() => self.read_entry(&name),
                Ok(Ok(name)) => self.read_entry(&format!("{prefix}/{name}")),
                Ok(Err(name)) => self.refuse(prefix, &format!("`{}`: {ALLOWED}", name.to_string_lossy())),
                Err(error) => self.refuse(prefix, &format!("cannot be read: {error}")),
            }
        }
    }

    fn read_entry(&mut self, path: &str) {
        // Resolved first: what a link leads to counts, and it must lie in the folder.
        let real = match fs::canonicalize(self.root.join(path)) {
            Ok(real) if real.starts_with(&self.root) => real,
            Ok(_) => return self.refuse(path, "leads out of the policy folder"),
            Err(error) => return self.refuse(path, &format!("cannot be read: {error}")),
        };
        let metadata = match fs::metadata(&real) {
            Ok(metadata) => metadata,
            Err(error) => return self.refuse(path, &format!("cannot be read: {error}")),
        };
        self.refuse_open(path, &metadata);
        if metadata.is_dir() && matches!(path, "documents" | "roles" | "tests") {
            return self.read_level(path);
        }
        match FileKind::of(path) {
            Err(message) => self.refuse(path, message),
            Ok(_) if !metadata.is_file() => self.refuse(path, "no regular file"),
            Ok(kind) if !(self.wanted)(kind) => {}
            Ok(kind) => self.read_file(path, &real, kind.bytes_max()),
        }
    }

    /// Reads at most one byte more than the file may have, which is enough to refuse it by its length later.
    fn read_file(&mut self, path: &str, real: &Path, bytes_max: usize) {
        let most = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        let mut bytes = Vec::new();
        let read = open_file(real).and_then(|(file, owner)| {
            file.take(most).read_to_end(&mut bytes)?;
            Ok(owner)
        });
        match read {
            Ok(owner) => {
                self.owners.insert(path.to_owned(), owner);
                self.files.push(PolicyFile { path: path.to_owned(), bytes });
            }
            Err(error) => self.refuse(path, &format!("cannot be read: {error}")),
        }
    }
}

/// Opens what is still a regular file, and says whose it is; what was put in its place meanwhile is not waited for.
fn open_file(real: &Path) -> io::Result<(fs::File, u32)> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = fs::File::options().read(true).custom_flags(flags).open(real)?;
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok((file, metadata.uid())) } else { Err(io::Error::other("no regular file")) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "{}").unwrap();
        }
        dir
    }

    fn refused(dir: &tempfile::TempDir) -> Vec<String> {
        let findings = read_folder(dir.path()).unwrap_err();
        assert!(findings.iter().all(|finding| finding.code == Code::PolicyNameError));
        findings.into_iter().map(|finding| finding.file).collect()
    }

    #[test]
    fn the_files_of_the_set_are_read_in_order_and_tests_left_out() {
        let dir = folder(&["roles/r.json", "documents/b.json", "attachments.json", "documents/a.json", "tests/t.json"]);
        let paths: Vec<String> = read_folder(dir.path()).unwrap().into_iter().map(|file| file.path).collect();
        assert_eq!(paths, ["attachments.json", "documents/a.json", "documents/b.json", "roles/r.json"]);
    }

    #[test]
    fn what_is_for_authors_is_read_for_them_alone() {
        let own = ["attachments.json", "tests/decisions.snap", "tests/t.json", "waivers.json"];
        let dir = folder(&own);
        assert_eq!(read_folder(dir.path()).unwrap().len(), 1);
        let (files, findings) = survey_folder(dir.path());
        assert_eq!(files.into_iter().map(|file| file.path).collect::<Vec<_>>(), own);
        assert!(findings.is_empty());
        let dir = folder(&["attachments.json", "model.conf", "tests/other.snap", "tests/t.json"]);
        let (files, findings) = survey_folder(dir.path());
        assert_eq!((files.len(), findings.len()), (2, 2), "what is right is read beside what is wrong");
    }

    #[test]
    fn attack_d06_a_stray_model_or_any_other_file_is_refused() {
        let stray = [
            "model.conf",
            "documents/model.conf",
            "documents/a.json.bak",
            "documents/sub/a.json",
            "policy.csv",
            "tests/x.txt",
            "documents/.a.swp",
            "documents/a b.json",
            "documents/.json",
        ];
        for file in stray {
            let dir = folder(&["attachments.json", file]);
            assert_eq!(refused(&dir).len(), 1, "{file}");
        }
        assert_eq!(refused(&folder(&stray)).len(), stray.len(), "all at once");
    }

    #[test]
    fn attack_e01_an_emptied_folder_and_a_missing_one_are_refused() {
        assert_eq!(refused(&folder(&[])), ["attachments.json"]);
        assert_eq!(refused(&folder(&["documents/a.json"])), ["attachments.json"]);
        let dir = folder(&[]);
        assert!(read_folder(&dir.path().join("nowhere")).is_err());
    }

    #[test]
    fn attack_e03_what_everybody_may_change_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        for open in ["", "attachments.json", "documents", "documents/a.json"] {
            let dir = folder(&["attachments.json", "documents/a.json", "roles/r.json"]);
            let path = dir.path().join(open);
            let mode = if path.is_dir() { 0o777 } else { 0o666 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(refused(&dir), [open]);
        }
    }

    #[test]
    fn attack_e03_a_folder_of_too_many_files_is_refused_without_looking_at_all_of_them() {
        let dir = folder(&["attachments.json", "documents/a.json"]);
        for number in 0..ENTRIES_MAX {
            fs::write(dir.path().join(format!("documents/{number}.json")), "{}").unwrap();
        }
        let findings = read_folder(dir.path()).unwrap_err();
        assert_eq!(findings.len(), 1);
        assert!(findings[0].message.contains("more than 10000 files"));
    }

    #[test]
    fn a_link_out_of_the_folder_is_refused_and_one_inside_it_is_not() {
        let outside = folder(&["a.json"]);
        let dir = folder(&["attachments.json", "documents/a.json"]);
        symlink("a.json", dir.path().join("documents/b.json")).unwrap();
        assert_eq!(read_folder(dir.path()).unwrap().len(), 3);
        symlink(outside.path().join("a.json"), dir.path().join("documents/c.json")).unwrap();
        symlink(outside.path(), dir.path().join("roles")).unwrap();
        symlink("nowhere", dir.path().join("documents/d.json")).unwrap();
        assert_eq!(refused(&dir), ["documents/c.json", "documents/d.json", "roles"]);
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_being_opened() {
        let dir = folder(&[]);
        fs::create_dir_all(dir.path().join("documents/a.json")).unwrap();
        fs::create_dir_all(dir.path().join("attachments.json")).unwrap();
        let fifo = std::process::Command::new("mkfifo").arg(dir.path().join("documents/f.json")).status().unwrap();
        assert!(fifo.success());
        assert_eq!(refused(&dir), ["attachments.json", "documents/a.json", "documents/f.json"]);
    }

    #[test]
    fn a_huge_file_is_not_read_whole() {
        let dir = folder(&["attachments.json", "documents/a.json"]);
        fs::File::options().write(true).open(dir.path().join("documents/a.json")).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(read_folder(dir.path()).unwrap()[1].bytes.len(), document::FILE_BYTES_MAX + 1);
    }

    #[test]
    fn a_folder_that_is_gone_is_refused() {
        assert_eq!(read_folder(Path::new("/nonexistent/policies")).unwrap_err().len(), 1);
    }

    #[test]
    fn attack_c07_names_that_climb_or_hide_are_refused() {
        for path in [
            "documents/../x.json",
            "documents/root .json",
            "roles/.json",
            "documents/",
            "documents/a/b.json",
            "Documents/a.json",
            "x.json",
            "documents/é.json",
            "documents/a.JSON",
        ] {
            assert!(FileKind::of(path).is_err(), "{path}");
        }
        assert!(FileKind::of(&format!("documents/{}.json", "a".repeat(128))).is_ok());
        assert!(FileKind::of(&format!("documents/{}.json", "a".repeat(129))).is_err());
    }
}
