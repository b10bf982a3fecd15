//! Which code is the program's own: every file but those that only tests are built of, without what stands behind
//! `#[cfg(test)]` in them.

use super::rust_files;
use std::path::{Path, PathBuf};

const FOR_TESTS: &str = "#[cfg(test)]";

/// The files of the program and its libraries, with their code.
pub(super) fn production() -> Vec<(String, String)> {
    let in_program =
        |path: &str| ["src/", "audit/src/", "audit/verify/src/"].iter().any(|start| path.starts_with(start));
    let files: Vec<_> = rust_files().into_iter().filter(|(path, _)| in_program(path)).collect();
    let of_tests: Vec<PathBuf> =
        files.iter().flat_map(|(path, text)| modules_of_tests(Path::new(path), text)).collect();
    let is_of_tests = |path: &str| of_tests.iter().any(|module| Path::new(path).with_extension("").starts_with(module));
    let files = files.into_iter().filter(|(path, _)| !is_of_tests(path));
    files.map(|(path, text)| (path, code(&text))).collect()
}

/// Where the modules are that a file has for tests only: their files without the ending, which is also their folders.
fn modules_of_tests(path: &Path, text: &str) -> Vec<PathBuf> {
    let folder = path.parent().expect("a folder");
    let is_root = ["mod", "lib", "main"].iter().any(|name| path.file_stem().is_some_and(|stem| stem == *name));
    let below = if is_root { folder.to_owned() } else { path.with_extension("") };
    let mut modules = Vec::new();
    for item in text.split(FOR_TESTS).skip(1) {
        let lines = item.lines().skip(1).map(str::trim);
        let (attributes, rest): (Vec<_>, Vec<_>) = lines.take(4).partition(|line| line.starts_with("#["));
        let module = rest.first().and_then(|line| line.strip_suffix(';')).and_then(|line| line.split("mod ").nth(1));
        let Some(module) = module else { continue };
        let elsewhere = attributes.iter().find_map(|line| line.strip_prefix("#[path = \"")?.strip_suffix(".rs\"]"));
        modules.push(elsewhere.map_or_else(|| below.join(module), |name| folder.join(name)));
    }
    modules
}

/// The code of a file without comments and without the items that only tests have.
fn code(text: &str) -> String {
    let mut kept = Vec::new();
    let mut lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    while let Some(line) = lines.next() {
        if line.trim() == FOR_TESTS {
            let indent = line.len() - line.trim_start().len();
            let _end = lines.find(|line| ends_an_item(line, indent));
        } else {
            kept.push(line);
        }
    }
    kept.join("\n")
}

/// Whether an item ends with a line, in code as rustfmt writes it.
fn ends_an_item(line: &str, indent: usize) -> bool {
    line.len() - line.trim_start().len() == indent && line.ends_with([';', '}', ','])
}

#[test]
fn nothing_of_the_program_is_left_out_and_nothing_of_tests_is_in_it() {
    let production = production();
    let code_of = |path: &str| production.iter().find(|(at, _)| at == path).map(|(_, code)| code.as_str());
    for path in [
        "src/authn/self_test.rs",
        "src/authz/policy_test.rs",
        "src/authz/policy_test/case.rs",
        "src/cli/policy/test.rs",
    ] {
        assert!(code_of(path).is_some(), "`{path}` is left out");
    }
    for (path, behind) in [
        ("audit/src/log.rs", "fn refuse_malformed("),
        ("audit/src/checkpoint.rs", "impl Checkpoint"),
        ("audit/src/record.rs", "impl Draft"),
        ("src/cli.rs", "fn report_refusal("),
        ("src/authz/suggest.rs", "fn may_go("),
    ] {
        assert!(code_of(path).is_some_and(|code| code.contains(behind)), "`{behind}` of `{path}` is left out");
    }
    for path in ["src/authz/testing.rs", "src/authz/reference.rs", "src/secret/golden.rs", "audit/src/store/memory.rs"]
    {
        assert!(super::root().join(path).exists() && code_of(path).is_none(), "`{path}` is for tests only");
    }
    assert!(production.iter().all(|(path, _)| !path.ends_with("tests.rs") && !path.contains("tests/")));
}

#[test]
fn items_for_tests_are_dropped_and_what_stands_behind_them_is_kept() {
    let text = "mod a;\n#[cfg(test)]\n#[path = \"b_tests.rs\"]\nmod tests;\nuse c;\nimpl D {\n    #[cfg(test)]\n    \
                fn e() {\n        f();\n    }\n\n    fn g() {}\n}\n#[cfg(test)]\nuse h::{\n    i,\n};\nfn j() {}";
    assert_eq!(code(text), "mod a;\nuse c;\nimpl D {\n\n    fn g() {}\n}\nfn j() {}");
    assert_eq!(modules_of_tests(Path::new("src/k.rs"), text), [Path::new("src/b_tests")]);
    assert_eq!(modules_of_tests(Path::new("src/k.rs"), "#[cfg(test)]\npub mod l;"), [Path::new("src/k/l")]);
    assert_eq!(modules_of_tests(Path::new("src/lib.rs"), "#[cfg(test)]\nmod l;"), [Path::new("src/l")]);
}
