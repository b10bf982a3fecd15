//! Where copies of a store lie while they are made: beside it, under names that nobody gives to a folder of his own, since what
//! an interrupted run has left there is removed unasked.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// What a directory beside a store is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    /// A backup is put together in it.
    Backup,
    /// The copy of a torn store, cut off at the damage.
    Recovery,
    /// The torn store, once its copy takes its place.
    Torn,
    /// A restored copy that is yet to be judged.
    Restoring,
}

impl Beside {
    const fn word(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Recovery => "recovery",
            Self::Torn => "torn",
            Self::Restoring => "restoring",
        }
    }

    /// The directory for this beside `store`: of `db`, `.db.keyward-backup`.
    pub(crate) fn of(self, store: &Path) -> PathBuf {
        let (name, end) = (store.file_name().unwrap_or_default(), format!(".keyward-{}", self.word()));
        store.with_file_name([OsStr::new("."), name, OsStr::new(&end)].into_iter().collect::<OsString>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_store_and_purpose_has_a_directory_of_its_own() {
        let of = |store: &str, purpose: Beside| purpose.of(Path::new(store)).display().to_string();
        assert_eq!(of("data/db", Beside::Backup), "data/.db.keyward-backup");
        assert_eq!(of("data/db.backup", Beside::Backup), "data/.db.backup.keyward-backup");
        assert_eq!(of("db", Beside::Torn), ".db.keyward-torn");
        assert_eq!(of("/x/db.1/", Beside::Restoring), "/x/.db.1.keyward-restoring");
        assert_eq!(of("/x/db.2", Beside::Recovery), "/x/.db.2.keyward-recovery");
    }
}
