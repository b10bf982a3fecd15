//! Who may read and write the files that the configuration names.

use super::Findings;
use crate::cli::owner;
use crate::config::Config;
use crate::keys::forbidden_bits;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

const CHECK: &str = "files";

/// Who has business with a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    /// Its owner alone: keys, the store, the mark.
    Owner,
    /// Its owner alone, or the gateway does not start: what the root key is made of.
    Start,
    /// Whoever may read it, but only its owner writes it.
    Readers,
}

/// Looks at every file that is named.
pub(super) fn look(config: &Config, found: &mut Findings) {
    let before = found.0.len();
    let named = named(config);
    let owner = owner::of_gateway(config);
    for (setting, path, kind) in &named {
        match fs::metadata(path) {
            Ok(metadata) => {
                mode(setting, path, &metadata, *kind, found);
                // The store is looked at with what is in it.
                if setting != "storage.path" {
                    owned(setting, path, &metadata, owner.as_ref(), found);
                }
            }
            // What to do without a store, `log` says.
            Err(error) if error.kind() == ErrorKind::NotFound && setting == "storage.path" => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                found.invalid(
                    CHECK,
                    format!("`{setting}`: `{}` does not exist", path.display()),
                    "restore it; docs/OPERATIONS.md says what its loss means",
                );
            }
            Err(error) => found.unchecked(
                CHECK,
                format!("`{setting}`: `{}`: {error}", path.display()),
                "run this as the gateway's user",
            ),
        }
    }
    written(config, owner.as_ref(), found);
    policy_files(&config.path(&config.policy.path), found);
    if found.0.len() == before {
        found.fine(CHECK, format!("{} files and folders, each open to whom it must be", named.len()));
    }
}

fn named(config: &Config) -> Vec<(String, PathBuf, For)> {
    let mut named = vec![
        ("keyward.toml".to_owned(), config.file.clone(), For::Readers),
        ("storage.path".to_owned(), config.path(&config.storage.path), For::Owner),
        ("audit.signing_key".to_owned(), config.path(&config.audit.signing_key), For::Owner),
        ("policy.path".to_owned(), config.path(&config.policy.path), For::Readers),
    ];
    let mut add = |setting: String, path: &Path, kind| {
        if !path.as_os_str().is_empty() {
            named.push((setting, config.path(path), kind));
        }
    };
    add("keys.path".to_owned(), &config.keys.path, For::Start);
    add("keys.passphrase_file".to_owned(), &config.keys.passphrase_file, For::Start);
    if let Some(next) = &config.keys.next {
        for (setting, path) in [("path", &next.path), ("passphrase_file", &next.passphrase_file)] {
            // It is made, or put there, when it is needed.
            if config.path(path).exists() {
                add(format!("keys.next.{setting}"), path, For::Owner);
            }
        }
    }
    add("server.tls.key_file".to_owned(), &config.server.tls.key_file, For::Owner);
    add("server.tls.certificate_file".to_owned(), &config.server.tls.certificate_file, For::Readers);
    add("server.tls.client_ca_file".to_owned(), &config.server.tls.client_ca_file, For::Readers);
    for issuer in &config.issuers {
        for (setting, path, kind) in [
            ("public_key_file", &issuer.public_key_file, For::Readers),
            ("ca_file", &issuer.ca_file, For::Readers),
            ("secret_file", &issuer.secret_file, For::Owner),
        ] {
            if let Some(path) = path {
                add(format!("issuer.{}.{setting}", issuer.name), path, kind);
            }
        }
    }
    named
}

fn mode(setting: &str, path: &Path, metadata: &Metadata, kind: For, found: &mut Findings) {
    let mode = metadata.mode() & 0o777;
    let said = |what: &str| format!("`{setting}`: `{}` has mode {mode:03o}: {what}", path.display());
    let (tight, loose) = if metadata.is_dir() { ("700", "go-w") } else { ("600", "go-w") };
    if mode & 0o002 != 0 {
        found.invalid(CHECK, said("everybody may change it"), format!("chmod {loose} {}", path.display()));
    } else if kind != For::Readers && mode & 0o007 != 0 {
        found.invalid(CHECK, said("everybody may read it"), format!("chmod {tight} {}", path.display()));
    } else if kind == For::Start && mode & forbidden_bits(path) != 0 {
        let what = said("its group may use it, and the gateway does not start with it");
        found.invalid(CHECK, what, format!("chmod {tight} {}", path.display()));
    } else if kind == For::Owner && mode & forbidden_bits(path) != 0 {
        found.warn(CHECK, said("its group may read it"), format!("chmod {tight} {}", path.display()));
    } else if mode & 0o020 != 0 {
        found.warn(
            CHECK,
            said("its group may change it"),
            format!("chmod {loose} {}, unless that is meant", path.display()),
        );
    }
}

/// What the gateway writes is its user's own; root's, after a restore or an `accept-loss` by root, it cannot write.
fn written(config: &Config, owner: Option<&(u32, PathBuf)>, found: &mut Findings) {
    let Some((owner, by)) = owner else { return };
    let store = config.path(&config.storage.path);
    let inside = fs::read_dir(&store).into_iter().flatten().flatten().map(|entry| entry.path());
    let all = [config.path(&config.audit.high_water_mark), store.clone()].into_iter().chain(inside);
    let others = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|metadata| metadata.uid() != *owner);
    let strange: Vec<PathBuf> = all.filter(others).collect();
    if let Some(first) = strange.first() {
        let more = strange.len().saturating_sub(1);
        let what = format!("`{}` and {more} other file(s) of store and mark are not user {owner}'s", first.display());
        found.warn(
            CHECK,
            format!("{what}, whose `{}` is", by.display()),
            format!("chown them to user {owner}, or the gateway cannot write them"),
        );
    }
}

/// Everything is the gateway's own user's, or root's.
fn owned(setting: &str, path: &Path, metadata: &Metadata, owner: Option<&(u32, PathBuf)>, found: &mut Findings) {
    let Some((owner, by)) = owner else { return };
    if metadata.uid() != *owner && metadata.uid() != 0 {
        let what = format!(
            "`{setting}`: `{}` belongs to user {}, `{}` to {owner}",
            path.display(),
            metadata.uid(),
            by.display()
        );
        found.warn(CHECK, what, "chown it to the gateway's user, or to root");
    }
}

/// Policies are who may do what: nobody else writes them.
fn policy_files(folder: &Path, found: &mut Findings) {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            if metadata.is_symlink() {
                continue;
            }
            if metadata.mode() & 0o022 != 0 {
                mode("policy.path", &path, &metadata, For::Readers, found);
            }
            if metadata.is_dir() {
                folders.push(path);
            }
        }
    }
}
