//! The options in force, as RocksDB itself wrote them down at opening (attack H3).
//!
//! RocksDB adjusts options silently, and a store can be opened in ways that lose records without any error: FIFO or
//! TTL compaction drops old files, a recycled or unordered log loses writes. At every opening RocksDB writes an
//! `OPTIONS` file with what is really in force; it is read back here, and what is not as expected is refused. An
//! option that is not in the file is refused too: then this check no longer knows what it looks at.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Recovery, UNUSED_FAMILY};
use crate::store::{Family, StoreError};

/// What holds for the database, besides the recovery mode and what goes with it.
const DATABASE: [(&str, &str); 12] = [
    ("allow_2pc", "false"),
    ("allow_mmap_writes", "false"),
    ("atomic_flush", "true"),
    ("best_efforts_recovery", "false"),
    ("enable_pipelined_write", "false"),
    ("manual_wal_flush", "false"),
    ("max_total_wal_size", "268435456"),
    ("paranoid_checks", "true"),
    ("recycle_log_file_num", "0"),
    ("two_write_queues", "false"),
    ("unordered_write", "false"),
    ("WAL_ttl_seconds", "0"),
];

/// Whether the manifest remembers which files of the log there must be.
const TRACKED: &str = "track_and_verify_wals_in_manifest";

/// What holds for every family.
const FAMILY: [(&str, &str); 11] = [
    ("bottommost_compression", "kDisableCompressionOption"),
    ("compaction_filter", "nullptr"),
    ("compaction_filter_factory", "nullptr"),
    ("compaction_style", "kCompactionStyleLevel"),
    ("comparator", "leveldb.BytewiseComparator"),
    ("disable_auto_compactions", "false"),
    ("inplace_update_support", "false"),
    ("merge_operator", "nullptr"),
    ("periodic_compaction_seconds", "0"),
    ("prefix_extractor", "nullptr"),
    ("ttl", "0"),
];

/// What holds for every family's files.
const FILES: [(&str, &str); 2] = [("block_size", "16384"), ("checksum", "kXXH3")];

/// Reads back the options in force for the store open at `path`.
///
/// # Errors
/// [`StoreError::Refused`] naming the first option that is not as expected; [`StoreError::Engine`] if they cannot be
/// read.
pub(super) fn check(path: &Path, recovery: Recovery) -> Result<(), StoreError> {
    let unreadable = |error| StoreError::Engine(format!("the options in force at `{}`: {error}", path.display()));
    let newest = newest(path).map_err(unreadable)?;
    let Some(newest) = newest else {
        return Err(StoreError::Refused(format!("no file of the options in force in `{}`", path.display())));
    };
    check_text(&fs::read_to_string(newest).map_err(unreadable)?, recovery).map_err(StoreError::Refused)
}

/// The `OPTIONS-<number>` file with the largest number.
fn newest(path: &Path) -> std::io::Result<Option<PathBuf>> {
    let mut newest: Option<(u64, PathBuf)> = None;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let number =
            name.to_str().and_then(|name| name.strip_prefix("OPTIONS-")).and_then(|digits| digits.parse().ok());
        let Some(number) = number else { continue };
        if newest.as_ref().is_none_or(|(known, _)| number > *known) {
            newest = Some((number, entry.path()));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// `section -> option -> value` of an `OPTIONS` file.
type Sections<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>;

fn sections(text: &str) -> Sections<'_> {
    let mut sections = Sections::new();
    let mut current = "";
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            current = name;
        } else if let Some((option, value)) = line.split_once('=') {
            sections.entry(current).or_default().insert(option, value);
        }
    }
    sections
}

fn check_text(text: &str, recovery: Recovery) -> Result<(), String> {
    let sections = sections(text);
    let (mode, tracked) = match recovery {
        Recovery::Absolute => ("kAbsoluteConsistency", "true"),
        Recovery::PointInTime => ("kPointInTimeRecovery", "true"),
        Recovery::BeforeGap => ("kPointInTimeRecovery", "false"),
    };
    expect(&sections, "DBOptions", &DATABASE)?;
    expect(&sections, "DBOptions", &[("wal_recovery_mode", mode), (TRACKED, tracked)])?;
    for name in Family::ALL.map(Family::name).into_iter().chain([UNUSED_FAMILY]) {
        let section = format!("CFOptions \"{name}\"");
        expect(&sections, &section, &FAMILY)?;
        expect(&sections, &section, &own(name))?;
        expect(&sections, &format!("TableOptions/BlockBasedTable \"{name}\""), &FILES)?;
    }
    Ok(())
}

/// What holds for one family.
fn own(name: &str) -> [(&'static str, &'static str); 2] {
    let family = Family::ALL.into_iter().find(|family| family.name() == name);
    [
        ("compression", if family == Some(Family::Tiles) { "kNoCompression" } else { "kZSTD" }),
        ("bottommost_file_compaction_delay", if family.is_some_and(super::only_grows) { "4294967295" } else { "0" }),
    ]
}

fn expect(sections: &Sections<'_>, section: &str, expected: &[(&str, &str)]) -> Result<(), String> {
    for (option, wanted) in expected {
        let found = sections.get(section).and_then(|options| options.get(option));
        match found {
            Some(found) if found == wanted => {}
            Some(found) => return Err(format!("`{option}` in `{section}` is `{found}`, must be `{wanted}`")),
            None => return Err(format!("`{option}` in `{section}` is not known to be `{wanted}`")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rocks::RocksStore;

    /// What RocksDB writes down for a store of ours.
    fn in_force() -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let _store = RocksStore::create(&path).unwrap();
        fs::read_to_string(newest(&path).unwrap().unwrap()).unwrap()
    }

    /// `text` with the first `option` after `section` set to something else, or left out.
    fn changed(text: &str, section: &str, option: &str, value: Option<&str>) -> String {
        let mut inside = false;
        let mut done = false;
        let mut lines = Vec::new();
        for line in text.lines() {
            inside = if line.starts_with('[') { line == format!("[{section}]") } else { inside };
            if inside && line.trim().starts_with(&format!("{option}=")) {
                done = true;
                lines.extend(value.map(|value| format!("  {option}={value}")));
            } else {
                lines.push(line.to_owned());
            }
        }
        assert!(done, "`{option}` is not in `{section}`");
        lines.join("\n")
    }

    #[test]
    fn attack_h3_every_expected_option_is_looked_at_in_every_family() {
        let text = in_force();
        check_text(&text, Recovery::Absolute).unwrap();
        assert!(check_text(&text, Recovery::PointInTime).is_err());
        assert!(check_text(&changed(&text, "DBOptions", TRACKED, Some("false")), Recovery::BeforeGap).is_err());
        let mut cases: Vec<_> = DATABASE.map(|(option, _)| ("DBOptions".to_owned(), option)).into();
        cases.extend(["wal_recovery_mode", TRACKED].map(|option| ("DBOptions".to_owned(), option)));
        for name in Family::ALL.map(Family::name).into_iter().chain([UNUSED_FAMILY]) {
            cases.extend(FAMILY.map(|(option, _)| (format!("CFOptions \"{name}\""), option)));
            cases.extend(own(name).map(|(option, _)| (format!("CFOptions \"{name}\""), option)));
            cases.extend(FILES.map(|(option, _)| (format!("TableOptions/BlockBasedTable \"{name}\""), option)));
        }
        for (section, option) in cases {
            for value in [Some("other"), None] {
                let why = check_text(&changed(&text, &section, option, value), Recovery::Absolute).unwrap_err();
                assert!(why.starts_with(&format!("`{option}` in `{section}` is ")), "{why}");
            }
        }
    }

    #[test]
    fn the_newest_options_are_read_and_none_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let refused = check(directory.path(), Recovery::Absolute);
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
        for name in ["OPTIONS-000009", "OPTIONS-000010", "OPTIONS-000011.dbtmp", "OPTIONS-", "LOG"] {
            fs::write(directory.path().join(name), name).unwrap();
        }
        assert_eq!(newest(directory.path()).unwrap(), Some(directory.path().join("OPTIONS-000010")));
    }
}
