//! The documents say what is so: the map against the tree, test names against the tests, metrics, settings and crates
//! against the code, the quick start against the demo.

use super::{read, root, rust_files};
use std::collections::BTreeSet;
use std::process::Command;

/// Longest document that people are asked to read in one go.
const ARCHITECTURE_LINES_MAX: usize = 200;
/// The groups of attack rows.
const GROUPS: &str = "abcdefghjkls";
const FILE_LINES_MAX: usize = 600;
/// What makes the next function a test.
const TEST_ATTRIBUTES: [&str; 3] = ["#[test]", "#[tokio::test", "#[actix_web::test"];

/// What begins the list of functions that are tests of every store.
const SUITE: &str = "\nevery_engine![";

/// The files of the repository.
fn tracked() -> Vec<String> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().expect("git runs");
    let listed = String::from_utf8(listed.stdout).unwrap();
    listed.split_terminator('\0').map(str::to_owned).collect()
}

/// Every document, whose links and names of tests are held against what there is.
fn documents() -> Vec<String> {
    let documents: Vec<String> = tracked().into_iter().filter(|path| path.ends_with(".md")).collect();
    for one in ["README.md", "audit/SPEC.md", "policies/README.md", "docs/adr/0002-sealing.md"] {
        assert!(documents.iter().any(|path| path == one), "{one} is not looked at");
    }
    documents
}

/// The texts between backticks, outside of fenced blocks.
fn quoted(text: &str) -> Vec<&str> {
    let plain = text.split("```").step_by(2);
    plain.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

/// The names of all tests.
fn tests() -> BTreeSet<String> {
    rust_files().iter().flat_map(|(_, text)| tests_of(text)).map(str::to_owned).collect()
}

/// The functions of a file that a test attribute stands before, those of `proptest!` included, and those that the suite of the
/// stores runs on each of them.
fn tests_of(text: &str) -> Vec<&str> {
    let suite = text.split(SUITE).nth(1).and_then(|list| list.split(']').next()).unwrap_or("");
    let mut names: Vec<&str> = suite.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let mut is_test = false;
    for line in text.lines().map(str::trim_start) {
        is_test |= TEST_ATTRIBUTES.iter().any(|attribute| line.starts_with(attribute));
        let line = line.strip_prefix("async ").unwrap_or(line);
        if let Some(rest) = line.strip_prefix("fn ") {
            if is_test {
                names.push(rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap());
            }
            is_test = false;
        }
    }
    names
}

#[test]
fn only_functions_that_run_as_tests_are_tests() {
    let text = "#[test]\n#[ignore = \"slow\"]\nfn a() {}\nfn helper() {}\nproptest! {\n    #[test]\n    fn b(c in 0..9_u8) {}\n}\n\
                #[tokio::test(flavor = \"multi_thread\")]\nasync fn d() {}\nasync fn another() {}";
    assert_eq!(tests_of(text), ["a", "b", "d"]);
    assert_eq!(tests_of(&format!("{SUITE}\n    e,\n    f,\n];")), ["e", "f"]);
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Whether a word is a test's name by its form: `i01_...`, `attack_a01_...`, or a whole sentence.
fn names_a_test(word: &str) -> bool {
    let is_long = word.matches('_').count() > 4 && !word.starts_with("keyward_");
    let numbered = word.strip_prefix('i').is_some_and(|rest| {
        rest.len() > 4 && rest.as_bytes()[..2].iter().all(u8::is_ascii_digit) && rest.as_bytes()[2] == b'_'
    });
    is_word(word) && (numbered || is_long || word.starts_with("attack_"))
}

#[test]
fn every_test_that_a_document_names_exists() {
    let (tests, mut named, mut missing) = (tests(), 0_usize, Vec::new());
    for document in documents() {
        for word in quoted(&read(&document)).into_iter().filter(|word| names_a_test(word)) {
            if !tests.contains(word) {
                missing.push(format!("{document}: `{word}`"));
            }
            named += 1;
        }
    }
    assert!(missing.is_empty(), "no tests: {missing:#?}");
    assert!(named > 60, "only {named} tests are named");
}

#[test]
fn each_invariant_is_named_with_its_tests() {
    let text = read("docs/ARCHITECTURE.md");
    for number in 1..=13 {
        let row = text.lines().find(|line| line.starts_with(&format!("| I{number} "))).expect("a row");
        let tests = quoted(row).into_iter().filter(|word| is_word(word) && word.len() > 10).count();
        assert!(tests > 0, "I{number} has no test");
    }
}

#[test]
fn every_attack_row_that_is_tested_is_in_the_table() {
    let threats = read("docs/THREATS.md");
    let tests = tests();
    let rows: BTreeSet<(char, u32)> = tests.iter().filter_map(|name| row_of(name.strip_prefix("attack_")?)).collect();
    assert!(rows.len() > 30, "only {} rows", rows.len());
    for (group, number) in rows {
        assert!(
            threats.contains(&format!("\n| {group}{number} ")),
            "{group}{number} is not in THREATS.md: scripts/threats.py"
        );
    }
}

/// The attack row that a test is named after: `a13_...` is A13; a test with a letter alone is of no row.
fn row_of(rest: &str) -> Option<(char, u32)> {
    let (group, number) = rest.split('_').next()?.split_at_checked(1)?;
    let group = group.chars().next().filter(|group| GROUPS.contains(*group))?;
    Some((group.to_ascii_uppercase(), number.parse().ok()?))
}

#[test]
fn the_map_is_the_tree() {
    let text = read("docs/ARCHITECTURE.md");
    assert!(text.lines().count() <= ARCHITECTURE_LINES_MAX);
    let map = text.split("## Map").nth(1).unwrap().split("\n## ").next().unwrap();
    let named: BTreeSet<&str> = map
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| quoted(line.split('|').nth(1).unwrap()))
        .collect();
    for path in &named {
        assert!(root().join(path).exists(), "the map names `{path}`, which is not there");
    }
    for folder in ["src", "audit/src"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let part = name.trim_end_matches(".rs").trim_end_matches("_tests");
            let has = |form: String| named.contains(form.as_str());
            let found = has(format!("{folder}/{part}"))
                || has(format!("{folder}/{part}/"))
                || has(format!("{folder}/{part}.rs"));
            assert!(found || part == "samples", "`{folder}/{name}` is not on the map");
        }
    }
}

#[test]
fn links_lead_somewhere() {
    for document in documents() {
        let path = root().join(&document);
        for link in read(&document).split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap()) {
            if !link.is_empty() && !link.starts_with("http") {
                assert!(path.parent().unwrap().join(link).exists(), "{document} links to `{link}`");
            }
        }
    }
}

#[test]
fn the_quick_start_is_what_the_demo_does() {
    let readme = read("README.md");
    let block = readme.split("## Quick start").nth(1).unwrap().split("```sh\n").nth(1).unwrap();
    let commands: Vec<&str> =
        block.split("```").next().unwrap().lines().filter(|line| !line.starts_with('#')).collect();
    assert!(commands.len() > 5);
    let demo = read("scripts/demo.sh").replace("\\$", "$");
    for command in commands {
        let command = command.split("   #").next().unwrap().trim();
        assert!(demo.contains(command), "`{command}` is not in scripts/demo.sh");
    }
}

/// The commands of a document's blocks of shell.
fn shell_commands(document: &str) -> Vec<String> {
    let text = read(document);
    let blocks = text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let lines = blocks.flat_map(str::lines).filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split("   #").next().unwrap().trim().to_owned()).collect()
}

/// The commands that transcripts run, in their order.
fn transcript_commands() -> Vec<String> {
    let mut commands = Vec::new();
    let mut files: Vec<_> =
        std::fs::read_dir(root().join("tests/cli")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        commands.extend(text.lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned));
    }
    commands
}

#[test]
fn every_command_of_the_documents_is_run_by_a_transcript() {
    let run = transcript_commands();
    for document in ["README.md", "docs/CLI.md"] {
        let commands = shell_commands(document);
        assert!(commands.len() > 3, "{document} has {} commands", commands.len());
        for command in commands {
            assert!(run.contains(&command), "{document}: `{command}` is in no transcript");
        }
    }
    // The quick start in its order, with nothing left out.
    let start = run.iter().position(|command| command.starts_with("keyward serve"));
    assert!(start.is_some(), "no transcript starts a gateway");
    let quick = shell_commands("README.md");
    let session = read("tests/cli/quick-start.transcript");
    let order: Vec<usize> = quick.iter().map(|command| session.find(&format!("$ {command}\n")).unwrap_or(0)).collect();
    assert!(order.is_sorted() && order.iter().filter(|at| **at == 0).count() == 0, "{order:?}");
}

#[test]
fn alert_rules_are_on_metrics_that_there_are_and_say_what_to_do() {
    let metrics = metrics();
    let rules = read("packaging/prometheus/keyward.rules.yml");
    let alerts: Vec<&str> = rules.split("      - alert: ").skip(1).collect();
    assert!(alerts.len() > 20, "only {} rules", alerts.len());
    let mut watched = BTreeSet::new();
    for alert in &alerts {
        let name = alert.lines().next().unwrap();
        for part in ["\n        expr: '", "\n          severity: ", "\n          summary: '", "\n          action: '"] {
            assert!(alert.contains(part), "{name} has no `{}`", part.trim());
        }
        let expression = alert.lines().find_map(|line| line.trim().strip_prefix("expr: ")).unwrap();
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for word in words.filter(|word| word.starts_with("keyward_")) {
            let base = word.strip_suffix("_bucket").unwrap_or(word);
            assert!(metrics.contains(base), "{name} is on `{word}`, which is no metric");
            watched.insert(base.to_owned());
        }
    }
    // What is only told, and nothing to wake anybody for.
    let told = [
        "keyward_policy_shadow_differs_total",
        "keyward_purged_total",
        "keyward_rewrapped_total",
        "keyward_trace_exports_total",
    ];
    let unwatched: Vec<&String> =
        metrics.iter().filter(|metric| !watched.contains(*metric) && !told.contains(&metric.as_str())).collect();
    assert!(unwatched.is_empty(), "{unwatched:?} are in no rule");
    for name in
        rules.split("As for ").skip(1).map(|rest| rest.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap())
    {
        assert!(rules.contains(&format!("- alert: {name}\n")), "`{name}` is no rule");
    }
}

/// The names of all metrics that the code has.
fn metrics() -> BTreeSet<String> {
    let mut metrics = BTreeSet::new();
    for (path, text) in rust_files() {
        if path.contains("/src/") || path.starts_with("src/") {
            for start in ["counter!(\"", "gauge!(\"", "histogram!(\""] {
                let names = text.split(start).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
                metrics.extend(names);
            }
        }
    }
    assert!(metrics.len() > 8, "only {} metrics", metrics.len());
    metrics
}

#[test]
fn every_metric_is_described() {
    let operations = read("docs/OPERATIONS.md");
    let metrics = metrics();
    for metric in &metrics {
        assert!(operations.contains(&format!("| `{metric}`")), "`{metric}` is not described");
    }
    let described = quoted(&operations).into_iter().filter(|word| is_word(word) && word.starts_with("keyward_"));
    for word in described {
        assert!(metrics.contains(word), "`{word}` is described and not there");
    }
}

#[test]
fn every_crate_is_accounted_for_with_its_version() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let text = read("docs/DEPENDENCIES.md");
    for (name, entry) in manifest["workspace"]["dependencies"].as_table().unwrap() {
        let version = entry.as_str().or_else(|| entry.get("version").and_then(toml::Value::as_str));
        if let Some(version) = version {
            let row = text.lines().find(|line| line.contains(&format!("`{name}` {version}")));
            assert!(row.is_some(), "`{name}` {version} is not in docs/DEPENDENCIES.md");
        }
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    for (path, text) in rust_files() {
        assert!(text.lines().count() <= FILE_LINES_MAX, "{path} has {} lines", text.lines().count());
    }
}

#[test]
fn attack_s05_nothing_that_looks_like_a_real_credential_is_committed() {
    let kept = [".rs", ".md", ".json", ".toml", ".py", ".sh", ".txt", ".pem", ".key"];
    let files = tracked();
    let files: Vec<&String> = files.iter().filter(|path| kept.iter().any(|end| path.ends_with(end))).collect();
    assert!(files.len() > 200, "only {} files", files.len());
    for path in files {
        let Ok(text) = std::fs::read_to_string(root().join(path)) else { continue };
        if let Some(found) = looks_real(&text).first() {
            panic!("{path} holds what looks like a credential: `{}...`", &found[..6]);
        }
    }
    assert_eq!(looks_real(&format!("key = {}{}", "AKID", "z8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE")).len(), 1);
}

/// Words of the forms in which vendors give out access keys and tokens.
fn looks_real(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let forms = [("AKIA", 20), ("AKID", 36), ("ghp_", 40), ("xoxb_", 24), ("AIza", 39)];
    words.filter(|word| forms.iter().any(|(start, length)| word.starts_with(start) && word.len() == *length)).collect()
}
