//! Disk, keys, issuers, clock, log and policies: what the start of a gateway would look at, without starting one.

use super::{Findings, remedy};
use crate::access::{history, setup};
use crate::authz::{self, PolicySet};
use crate::cli::space::{self, Room};
use crate::clock;
use crate::config::Config;
use keyward_audit::disk::Level;
use keyward_audit::log::{self, OpenError};
use keyward_audit::mark::{Mark, MarkError, MarkFile};
use keyward_audit::note::VerifyingKey;
use keyward_audit::recovery;
use keyward_audit::store::rocks::RocksStore;
use keyward_audit::store::{self, StoreError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A store in use may drop a file while it is being read: so many tries.
const TRIES: usize = 3;
/// Earlier than this no gateway was made: the clock was never set.
const EARLIEST_US: u64 = 1_750_000_000_000_000;
const SECOND_US: u64 = 1_000_000;

/// Free space, and whether the mark shares the fate of the store.
pub(super) fn disk(config: &Config, found: &mut Findings) {
    const CHECK: &str = "disk";
    let store = config.path(&config.storage.path);
    match space::of_store(config) {
        Ok(Room { level, what, .. }) => match level {
            Level::Ample => found.fine(CHECK, what),
            Level::Soft => found.warn(CHECK, format!("{what}: below the soft level"), "make room, or a larger disk"),
            Level::Hard => found.invalid(CHECK, format!("{what}: secrets are not served"), "make room at once"),
            Level::Critical => found.invalid(CHECK, format!("{what}: nothing is served"), "make room at once"),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            found.unchecked(CHECK, format!("`{}`: {error}", store.display()), "see `log`")
        }
        Err(error) => {
            found.unchecked(CHECK, format!("`{}`: {error}", store.display()), "run this as the gateway's user")
        }
    }
    let device = |path: &Path| std::fs::metadata(path).ok().map(|metadata| metadata.dev());
    let devices = (device(&store), device(&config.path(&config.audit.high_water_mark)));
    if let (Some(one), Some(other)) = devices
        && one == other
    {
        found.fine(CHECK, "mark and store are on one file system: whoever restores it whole restores both (ship the log lines elsewhere)");
    }
}

/// The root key, the log's key and its public half.
pub(super) fn keys(config: &Config, found: &mut Findings) {
    const CHECK: &str = "keys";
    match setup::signing_key(config) {
        Ok(key) => {
            let file = config.path(&config.audit.signing_key).with_extension("vkey");
            let public = std::fs::read_to_string(&file).ok().and_then(|text| VerifyingKey::parse(text.trim()).ok());
            match public {
                Some(public) if public == *key.verifying_key() => {
                    found.fine(CHECK, format!("the log signs as `{}`", public.name()))
                }
                _ => found.warn(
                    CHECK,
                    format!("`{}` is not the public half of the signing key", file.display()),
                    format!("auditors need this line: {}", key.verifying_key()),
                ),
            }
        }
        Err(error) => {
            let (state, advice) = remedy::of_signing_key(&error);
            found.add(CHECK, state, error.to_string(), advice);
        }
    }
    if config.keys.provider != "file" {
        found.fine(
            CHECK,
            format!("the root key comes from the provider `{}`, which is not asked here", config.keys.provider),
        );
        return;
    }
    let roots = match setup::root_keys(config) {
        Ok(roots) => roots,
        Err(error) => {
            let (state, advice) = remedy::of_root_key(&error);
            return found.add(CHECK, state, error.to_string(), advice);
        }
    };
    match with_store(config, |rows| store::read(rows, |snapshot| Ok(roots.open(snapshot)))) {
        Ok(Ok(opened)) if opened.is_next => found.warn(
            CHECK,
            "the keys of the store are under the root key of `[keys.next]`",
            "put `[keys.next]` in the place of `[keys]`",
        ),
        Ok(Ok(_)) => found.fine(CHECK, "the root key opens the keys of the store"),
        Ok(Err(error)) => found.invalid(CHECK, error.to_string(), "is this the root key of this store?"),
        Err(error) => found.unchecked(CHECK, format!("whether the root key opens the store: {error}"), "see `log`"),
    }
}

/// Issuers and their keys, as far as they lie in files.
pub(super) fn issuers(config: &Config, found: &mut Findings) {
    const CHECK: &str = "issuers";
    match crate::access::Issuers::check(config) {
        Ok(()) => found.fine(CHECK, format!("{} issuer(s), their files read", config.issuers.len())),
        Err(error) => found.invalid(CHECK, error.to_string(), "correct the table, or the file that it names"),
    }
    let fetched: Vec<&str> =
        config.issuers.iter().filter(|issuer| issuer.is_fetched()).map(|issuer| issuer.name.as_str()).collect();
    if !fetched.is_empty() {
        found.fine(CHECK, format!("keys of {} are fetched while serving; that is not tried here", fetched.join(", ")));
    }
}

/// The wall clock against the log's last record.
pub(super) fn clock(config: &Config, found: &mut Findings) {
    const CHECK: &str = "clock";
    let now_us = clock::system().clock.wall_us();
    let last_us = MarkFile::peek(&config.path(&config.audit.high_water_mark)).map_or(0, |mark| mark.time_us);
    let advice = "set the clock (NTP): tokens are judged by it, and deletions wait for an hour after it steps";
    let behind_s = last_us.saturating_sub(now_us) / SECOND_US;
    if now_us < EARLIEST_US {
        found.invalid(CHECK, "the clock was never set", advice);
    } else if behind_s > 1 {
        found.invalid(CHECK, format!("the clock is {behind_s} s behind the log's last record"), advice);
    } else {
        found.fine(CHECK, "not behind the log's last record");
    }
}

/// The mark and the store, as a start would judge them.
pub(super) fn log(config: &Config, found: &mut Findings) {
    const CHECK: &str = "log";
    if let Some((what, advice)) = gone(&config.path(&config.storage.path)) {
        return found.invalid(CHECK, what, advice);
    }
    let path = config.path(&config.audit.high_water_mark);
    // Before the store, so that it cannot be ahead of what is read there.
    let mark = MarkFile::peek(&path);
    match with_store(config, |rows| Ok(judged(rows, config, &path, mark.as_ref().ok()))) {
        Ok(Ok(size)) => found.fine(
            CHECK,
            format!("{size} records, none lost below the mark; `keyward audit verify` checks all of them"),
        ),
        Ok(Err(OpenError::Store(error))) => {
            found.unchecked(CHECK, error.to_string(), "`keyward audit verify` says more")
        }
        Ok(Err(error)) => found.invalid(CHECK, error.to_string(), "docs/OPERATIONS.md, \"Starting\""),
        Err(error @ StoreError::Damaged(_)) => {
            found.invalid(CHECK, error.to_string(), "restore the store from a backup")
        }
        Err(error) => {
            found.unchecked(CHECK, error.to_string(), "run this as the gateway's user; again, if the gateway runs")
        }
    }
    if let Err(error) = mark
        && found.is_fine(CHECK)
    {
        let remedy = match error {
            MarkError::Failed { .. } => "make it readable to the gateway's user",
            _ => "restore the mark, or accept the loss",
        };
        found.invalid(CHECK, error.to_string(), remedy);
    }
}

fn judged(rows: &RocksStore, config: &Config, path: &Path, mark: Option<&Mark>) -> Result<u64, OpenError> {
    log::look(rows, &config.audit.origin, path, mark)
}

/// That there is no store, or what is left of one that nothing opens, and what to do.
fn gone(store: &Path) -> Option<(String, String)> {
    let is_absent = |path: &Path| path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound);
    let shown = store.display();
    if !is_absent(&store.join("CURRENT")) {
        return None;
    }
    let what = format!("there is no store at `{shown}`");
    Some(match recovery::interrupted(store) {
        Ok(Some(torn)) => {
            let advice = "start the gateway: it finishes the recovery";
            (format!("{what}, and a recovery was interrupted over `{}`", torn.display()), advice.to_owned())
        }
        Ok(None) | Err(_) if is_absent(store) => {
            let advice = "is `storage.path` right? then put a backup in its place: `keyward restore DIR`";
            (what, advice.to_owned())
        }
        Ok(None) | Err(_) => {
            let advice = format!("move `{shown}` aside and put a backup in its place: `keyward restore DIR`");
            (format!("{what}: its file CURRENT is gone"), advice)
        }
    })
}

/// Reads the store as it is; a gateway that has it open goes on.
fn with_store<R>(config: &Config, read: impl Fn(&RocksStore) -> Result<R, StoreError>) -> Result<R, StoreError> {
    let path = config.path(&config.storage.path);
    let mut last = StoreError::Closed;
    for _ in 0..TRIES {
        match RocksStore::open_read_only(&path).and_then(|rows| read(&rows)) {
            Ok(read) => return Ok(read),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The folder in the shadow: whatever it holds, nothing is served otherwise.
fn shadow_policies(config: &Config, folder: &Path, found: &mut Findings) {
    const CHECK: &str = "shadow";
    match authz::read_folder(folder).and_then(|files| PolicySet::load(&files, &setup::policy_settings(config))) {
        Ok(set) => found.fine(CHECK, format!("revision {}", set.revision())),
        Err(findings) => {
            let first = findings.first().map(ToString::to_string).unwrap_or_default();
            let what = format!("`{}` is refused, {} error(s): {first}", folder.display(), findings.len());
            found.warn(
                CHECK,
                what,
                "`keyward policy check DIR` names every error; nothing decides in the shadow until then",
            );
        }
    }
}

/// The policy folder as it would go live.
pub(super) fn policies(config: &Config, found: &mut Findings) {
    const CHECK: &str = "policies";
    let folder = config.path(&config.policy.path);
    let shadow = &config.policy.shadow;
    if !shadow.as_os_str().is_empty() {
        shadow_policies(config, &config.path(shadow), found);
    }
    match authz::read_folder(&folder).and_then(|files| PolicySet::load(&files, &setup::policy_settings(config))) {
        Ok(set) => found.fine(CHECK, format!("revision {}", set.revision())),
        Err(findings) => {
            let first = findings.first().map(ToString::to_string).unwrap_or_default();
            let what = format!("`{}` is refused, {} error(s): {first}", folder.display(), findings.len());
            found.invalid(CHECK, what, format!("`keyward policy check` names every error; {}", meanwhile(config)));
        }
    }
}

/// What is live while the folder is refused.
fn meanwhile(config: &Config) -> &'static str {
    match with_store(config, |rows| history::newest(rows, &config.audit.origin, 1)) {
        Ok(revisions) if revisions.is_empty() => "none was good yet, and the gateway does not start without one",
        Ok(_) => "the last good revision serves meanwhile",
        Err(_) => "whether an earlier revision could serve meanwhile is not known: see `log`",
    }
}
