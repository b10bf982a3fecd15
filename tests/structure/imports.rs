//! Who may know whom: `http, cli → access → {authn, authz, secret, audit}`, one file per engine, one clock.

use super::production::production;
use std::collections::BTreeMap;

/// For each part of `src/`, the parts it may name by `crate::`.
const MAY_USE: [(&str, &[&str]); 23] = [
    (
        "access",
        &[
            "actions",
            "authn",
            "authz",
            "clock",
            "config",
            "error",
            "floods",
            "form",
            "json",
            "keys",
            "parameters",
            "principal",
            "resource",
            "secret",
            "state",
            "traces",
            "PROGRAM",
        ],
    ),
    ("actions", &["resource"]),
    ("authn", &["json", "principal"]),
    ("authz", &["actions", "principal", "resource"]),
    (
        "cli",
        &[
            "access",
            "actions",
            "authn",
            "authz",
            "clock",
            "config",
            "error",
            "http",
            "keys",
            "principal",
            "secret",
            "telemetry",
            "traces",
            "PROGRAM",
        ],
    ),
    ("clock", &[]),
    ("config", &["actions", "principal"]),
    ("encoding", &[]),
    ("error", &[]),
    ("floods", &[]),
    ("form", &[]),
    ("http", &["access", "actions", "config", "error", "form", "traces", "PROGRAM"]),
    ("json", &[]),
    ("keys", &["clock", "encoding", "principal", "resource", "state"]),
    ("lib", &[]),
    ("main", &[]),
    ("parameters", &["error", "json"]),
    ("principal", &[]),
    ("resource", &["principal"]),
    ("secret", &["clock", "encoding", "keys", "principal", "resource", "state"]),
    ("state", &["encoding"]),
    ("telemetry", &[]),
    ("traces", &["config"]),
];

/// The first names after `crate::` in a file, braces included.
fn named(code: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let end_of_name = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        if let Some(list) = rest.strip_prefix('{') {
            let list = list.split("};").next().expect("a first part");
            names.extend(list.split(',').map(|item| item.trim()).map(|item| &item[..end_of_name(item)]));
        } else {
            names.push(&rest[..end_of_name(rest)]);
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

#[test]
fn each_part_knows_only_the_parts_below_it() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_USE.into_iter().collect();
    let mut seen = 0_usize;
    for (path, code) in production() {
        let Some(inside) = path.strip_prefix("src/") else { continue };
        let part = inside.split(['/', '.']).next().expect("a part");
        let allowed = allowed.get(part).unwrap_or_else(|| panic!("`{path}` is of a part that is not in the table"));
        for name in named(&code) {
            assert!(name == part || allowed.contains(&name), "`{path}` names `crate::{name}`");
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} imports were found");
}

#[test]
fn the_log_knows_nothing_of_the_gateway_and_the_verifier_nothing_of_the_log() {
    for (path, code) in production() {
        if path.starts_with("audit/") {
            assert!(!code.contains("keyward::"), "`{path}`");
        }
        if path.starts_with("audit/verify/") {
            assert!(!code.contains("keyward_audit::"), "`{path}`");
        }
    }
}

/// The files that name a crate in code.
fn files_with(needles: &[&str]) -> Vec<String> {
    let files = production().into_iter().filter(|(_, code)| needles.iter().any(|needle| code.contains(needle)));
    files.map(|(path, _)| path).collect()
}

#[test]
fn casbin_and_rocksdb_are_each_imported_in_one_file() {
    assert_eq!(files_with(&["use casbin", "casbin::"]), ["src/authz/engine.rs"]);
    assert_eq!(files_with(&["use rocksdb", "rocksdb::"]), ["audit/src/store/rocks.rs"]);
}

#[test]
fn attack_d06_nothing_can_switch_enforcement_off() {
    assert!(files_with(&["enable_enforce(false", "CachedEnforcer"]).is_empty());
}

#[test]
fn time_comes_from_one_clock() {
    assert_eq!(files_with(&["SystemTime::now", "Instant::now", "Utc::now", "Local::now"]), ["src/clock.rs"]);
}

#[test]
fn the_import_reader_sees_lists_and_paths() {
    let code = "use crate::{authn, http::server};\nfn f() { crate::secret::open(); }\nuse crate::keys::KeyId;";
    assert_eq!(named(code), ["authn", "http", "secret", "keys"]);
}
