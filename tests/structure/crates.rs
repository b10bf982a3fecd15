//! The dependency tree against `deny.toml`: advisory floors, bans, licences, sources.

use super::{read, root, rust_files};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// Crates of which the tree must hold one generation, apart from what tests alone bring.
const ONE_GENERATION: [&str; 9] =
    ["aes-gcm", "aws-lc-rs", "hkdf", "hmac", "jsonwebtoken", "rocksdb", "rustls", "subtle", "zeroize"];

/// A package of the tree as it is built for the platform that is served, tests included.
struct Package {
    name: String,
    version: String,
    license: String,
    /// A folder or a repository; empty for the registry.
    place: String,
}

/// What `cargo tree` says: unlike the metadata it knows which optional crates are really built.
fn packages() -> Vec<Package> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let asked = Command::new(cargo)
        .args(["tree", "--workspace", "--edges", "normal,build,dev", "--target", "x86_64-unknown-linux-gnu"])
        .arg("--all-features")
        .args(["--prefix", "none", "--no-dedupe", "--format", "{p}|{l}", "--locked", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let tree = String::from_utf8(asked.stdout).expect("text");
    let lines: BTreeSet<&str> = tree.lines().filter(|line| !line.is_empty()).collect();
    let packages: Vec<Package> = lines.into_iter().map(package).collect();
    assert!(packages.len() > 200, "only {} packages", packages.len());
    packages
}

/// Reads `name v1.2.3 (proc-macro) (/place)|licence`.
fn package(line: &str) -> Package {
    let (what, license) = line.split_once('|').expect("a licence");
    let mut words = what.split(' ');
    let name = words.next().expect("a name").to_owned();
    let version = words.next().and_then(|version| version.strip_prefix('v')).expect("a version").to_owned();
    let place = words.filter(|word| *word != "(proc-macro)").collect();
    Package { name, version, license: license.to_owned(), place }
}

fn rules() -> toml::Table {
    read("deny.toml").parse().expect("toml")
}

/// Names and, for a floor, the first version that is not refused.
fn bans() -> Vec<(String, Option<String>)> {
    let rules = rules();
    let entries = rules["bans"]["deny"].as_array().expect("a list").clone();
    let ban = |entry: &toml::Value| {
        let version = entry.get("version").map(|version| version.as_str().expect("a text"));
        let floor = version.map(|version| version.strip_prefix('<').expect("only floors").to_owned());
        (entry["name"].as_str().expect("a text").to_owned(), floor)
    };
    entries.iter().map(ban).collect()
}

/// The three numbers of a version; what is left out is 0.
fn numbers(version: &str) -> [u64; 3] {
    let core = version.split(['-', '+']).next().expect("a first part");
    let mut numbers = [0; 3];
    for (number, part) in numbers.iter_mut().zip(core.split('.')) {
        *number = part.parse().expect("a number");
    }
    numbers
}

fn is_refused(name: &str, version: &str, bans: &[(String, Option<String>)]) -> bool {
    bans.iter()
        .any(|(banned, floor)| banned == name && floor.as_ref().is_none_or(|floor| numbers(version) < numbers(floor)))
}

#[test]
fn attack_k01_no_crate_is_below_its_advisory_floor_or_banned() {
    let bans = bans();
    assert!(bans.len() > 20, "only {} bans", bans.len());
    for package in packages() {
        let Package { name, version, .. } = &package;
        assert!(!is_refused(name, version, &bans), "{name} {version} is refused by deny.toml");
    }
}

#[test]
fn attack_k01_the_floors_would_be_seen() {
    let bans = bans();
    for (name, version) in [("jsonwebtoken", "10.2.9"), ("rustls", "0.23.45"), ("rsa", "99.0.0"), ("h2", "0.4.20")] {
        assert!(is_refused(name, version, &bans), "{name} {version}");
    }
    assert!(!is_refused("jsonwebtoken", "10.3.0", &bans));
}

/// Whether an SPDX expression can be met with allowed licences alone. `/` is the older form of OR.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let expression = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = expression.split_whitespace().collect();
    let mut rest = words.as_slice();
    let met = any_of(&mut rest, allowed);
    assert!(rest.is_empty(), "`{expression}` is no expression");
    met
}

fn any_of(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = all_of(words, allowed);
    while let [first, rest @ ..] = *words
        && *first == "OR"
    {
        *words = rest;
        met |= all_of(words, allowed);
    }
    met
}

fn all_of(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = one(words, allowed);
    while let [first, rest @ ..] = *words
        && *first == "AND"
    {
        *words = rest;
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut &[&str], allowed: &[String]) -> bool {
    let [first, rest @ ..] = *words else { panic!("an expression ends too early") };
    *words = rest;
    if *first == "(" {
        let met = any_of(words, allowed);
        *words = words.strip_prefix(&[")"]).expect("a closing parenthesis");
        return met;
    }
    // An exception only adds rights, so the licence itself decides.
    if let ["WITH", _, rest @ ..] = *words {
        *words = rest;
    }
    allowed.iter().any(|licence| licence == first.trim_end_matches('+'))
}

#[test]
fn attack_k02_every_licence_is_on_the_list() {
    let rules = rules();
    let entries = rules["licenses"]["allow"].as_array().expect("a list");
    let allowed: Vec<String> = entries.iter().map(|entry| entry.as_str().expect("a text").to_owned()).collect();
    for package in packages() {
        let Package { name, version, license, .. } = &package;
        assert!(is_allowed(license, &allowed), "{name} {version}: `{license}`");
    }
    for refused in ["GPL-3.0-or-later", "MIT AND AGPL-3.0", "LGPL-2.1 OR (MIT AND SSPL-1.0)"] {
        assert!(!is_allowed(refused, &allowed), "{refused}");
    }
    assert!(is_allowed("GPL-3.0 OR (MIT AND Apache-2.0 WITH LLVM-exception)", &allowed));
}

#[test]
fn attack_k02_every_crate_comes_from_the_registry_with_a_checksum() {
    for package in packages() {
        let is_own = package.name.starts_with("keyward");
        assert_eq!(package.place.is_empty(), !is_own, "{} comes from {}", package.name, package.place);
    }
    let lock: toml::Table = read("Cargo.lock").parse().expect("toml");
    for entry in lock["package"].as_array().expect("a list") {
        let source = entry.get("source").and_then(toml::Value::as_str);
        assert!(source.is_none_or(|source| source == REGISTRY), "{} comes from {source:?}", entry["name"]);
        assert_eq!(source.is_some(), entry.get("checksum").is_some(), "{}", entry["name"]);
    }
}

#[test]
fn attack_k02_there_is_one_generation_of_each_crypto_crate() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages() {
        versions.entry(package.name).or_default().push(package.version);
    }
    for name in ONE_GENERATION {
        assert_eq!(versions.get(name).map(Vec::len), Some(1), "{name}: {:?}", versions.get(name));
    }
}

#[test]
fn attack_k04_the_program_has_no_features_that_could_switch_a_defence_off() {
    for manifest in ["audit/Cargo.toml", "audit/verify/Cargo.toml"] {
        let manifest: toml::Table = read(manifest).parse().expect("toml");
        assert!(!manifest.contains_key("features"), "a feature is another program than the one that was tested");
    }
    let manifest: toml::Table = read("Cargo.toml").parse().expect("toml");
    let features = manifest["features"].as_table().expect("a table");
    assert!(features.keys().eq(["otel"]), "there are features besides traces, or one of them is on by default");
    let brought = features["otel"].as_array().expect("a list");
    assert!(
        brought.iter().all(|what| what.as_str().is_some_and(|what| what.starts_with("dep:opentelemetry"))),
        "the feature changes what the program has without it"
    );
    for (path, text) in rust_files() {
        let asks = path.starts_with("src/") && text.contains("feature = \"");
        assert!(
            !asks || ["src/traces.rs", "src/config/telemetry.rs"].contains(&path.as_str()),
            "{path} asks for a feature"
        );
    }
}
