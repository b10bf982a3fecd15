//! The example folders of `policies/examples`: each test they state is decided by the engine and by the naive
//! evaluator, and `policies/decisions.snap` shows every answer as a grid, so that a change of meaning is a diff.
//!
//! `KEYWARD_WRITE_SNAPSHOTS=1` writes the grid anew. The form of the tests: `policies/README.md`.

mod readme;

use std::fs;
use std::path::{Path, PathBuf};

use super::lint::{Surroundings, lint};
use super::reference::Reference;
use super::{
    Coverage, Decision, IssuerRule, PolicyFile, PolicySet, PolicyTests, Question, Settings, grid, survey_folder,
};
use crate::resource::Place;

/// Where every example is: issuers `corp` (groups required) and `ci` (groups optional).
fn settings() -> Settings {
    let issuer = |name: &str, groups_required| IssuerRule { name: name.to_owned(), groups_required };
    Settings {
        place: Place { region: "local".to_owned(), account: "100000000001".to_owned() },
        issuers: vec![issuer("ci", false), issuer("corp", true)],
        foreign_services: Vec::new(),
        document_characters_max: 6_144,
        catalogue: crate::actions::CATALOGUE,
    }
}

fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

/// The entries of a folder in the order of their names; none if there is no such folder.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(read) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = read.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn name_of(path: &Path) -> String {
    path.file_name().and_then(|name| name.to_str()).expect("a UTF-8 name").to_owned()
}

/// One example folder.
struct Example {
    name: String,
    files: Vec<PolicyFile>,
    tests: PolicyTests,
}

impl Example {
    fn of(name: String, files: Vec<PolicyFile>) -> Self {
        let tests = PolicyTests::read(&files, &settings());
        assert!(tests.errors.is_empty(), "{name}: {:#?}", tests.errors);
        assert!(!tests.tests.is_empty(), "example {name} has tests");
        Self { name, files, tests }
    }
}

fn examples() -> Vec<Example> {
    let folders = entries(&policies().join("examples"));
    let read = |folder: &PathBuf| {
        let (files, findings) = survey_folder(folder);
        assert!(findings.is_empty(), "{findings:#?}");
        Example::of(name_of(folder), files)
    };
    folders.iter().map(read).collect()
}

/// An example loaded by both evaluators, which must agree.
struct Loaded {
    engine: PolicySet,
    reference: Reference,
}

impl Loaded {
    fn load(example: &Example) -> Self {
        let engine = PolicySet::load(&example.files, &settings());
        let engine = engine.unwrap_or_else(|found| panic!("example {}: {found:#?}", example.name));
        Self { reference: Reference::read(engine.files(), &settings()), engine }
    }

    fn decide(&self, question: &Question<'_>) -> Decision {
        let decision = self.engine.decide(question);
        assert_eq!(decision, self.reference.decide(question), "{question:?}");
        decision
    }

    /// Every test passes, by both.
    fn check(&self, example: &Example) {
        for test in &example.tests.tests {
            let outcome = test.judged(&test.ask(&settings(), |question| self.decide(question)));
            assert!(outcome.passed, "{}: {outcome:#?}", example.name);
        }
    }
}

#[test]
fn every_example_answers_as_its_tests_say() {
    let examples = examples();
    assert!(examples.len() >= 6, "the examples are found");
    examples.iter().for_each(|example| Loaded::load(example).check(example));
}

#[test]
fn every_statement_of_an_example_is_exercised_and_none_is_warned_of() {
    for Example { name, files, tests } in examples() {
        let set = PolicySet::load(&files, &settings()).expect("an example loads");
        let coverage = Coverage::of(&tests, &files, &set, &settings());
        assert_eq!(coverage.percent(), 100, "{name}: {:#?}", coverage.missed);
        let lint = lint(&files, &settings(), &Surroundings::default()).expect("an example loads");
        assert!(lint.warnings.is_empty(), "{name}: {:#?}", lint.warnings);
    }
}

#[test]
fn the_grid_of_decisions_is_as_reviewed() {
    let rows = |example: &Example| {
        let loaded = Loaded::load(example);
        let rows = grid(&example.tests.tests, &settings(), &|question| loaded.decide(question));
        format!("# {}\n{rows}\n", example.name)
    };
    let grid: String = examples().iter().map(rows).collect();
    let path = policies().join("decisions.snap");
    if std::env::var_os("KEYWARD_WRITE_SNAPSHOTS").is_some() {
        fs::write(&path, &grid).expect("the snapshot is written");
    }
    let reviewed = fs::read_to_string(&path).expect("policies/decisions.snap");
    let changed = grid.lines().zip(reviewed.lines()).find(|(now, then)| now != then);
    assert_eq!(
        changed, None,
        "a decision changed: if that is meant, set KEYWARD_WRITE_SNAPSHOTS=1 and review the diff"
    );
    assert_eq!(grid.lines().count(), reviewed.lines().count(), "the grid has other rows than policies/decisions.snap");
}

/// The presets load, are attached as `init` attaches them, and grant what their names say.
#[test]
fn presets_load_and_read_only_never_reads_a_value() {
    let preset = |name: &str| PolicyFile {
        path: format!("documents/{name}.json"),
        bytes: fs::read(policies().join("presets").join(format!("{name}.json"))).expect("a preset"),
    };
    let names = [
        "QcloudAccessForSSMRole",
        "QcloudAuditFullAccess",
        "QcloudSSMFullAccess",
        "QcloudSSMReadOnlyAccess",
        "demo-read",
        "dev-admin",
    ];
    let mut files: Vec<PolicyFile> = names.iter().map(|name| preset(name)).collect();
    let role = fs::read(policies().join("presets/roles/SSM_QCSRole.json")).expect("the service's role");
    files.push(PolicyFile { path: "roles/SSM_QCSRole.json".to_owned(), bytes: role });
    files.push(PolicyFile { path: "attachments.json".to_owned(), bytes: PRESETS_ATTACHED.as_bytes().to_vec() });
    files.push(PolicyFile { path: "tests/presets.json".to_owned(), bytes: PRESET_TESTS.as_bytes().to_vec() });
    let example = Example::of("presets".to_owned(), files);
    Loaded::load(&example).check(&example);
}

const PRESETS_ATTACHED: &str = r#"{"version":1,"attachments":[
    {"policy":"QcloudAccessForSSMRole","to":["role/local/SSM_QCSRole"]},
    {"policy":"QcloudSSMFullAccess","to":["user/ci/admin"]},
    {"policy":"QcloudAuditFullAccess","to":["user/ci/admin"]},
    {"policy":"QcloudSSMReadOnlyAccess","to":["user/ci/reader"]},
    {"policy":"dev-admin","to":["user/ci/dev-admin"]},
    {"policy":"demo-read","to":["user/ci/app"]}]}"#;

const PRESET_TESTS: &str = r#"{"version":1,"tests":[
    {"name":"the service's role unwraps data keys","principal":"role/local/SSM_QCSRole","credential":"session","assumed_by":"service/ssm",
     "action":"kms:Decrypt","resource":"key/k1","expect":"allow"},
    {"name":"the service's role reads no secret","principal":"role/local/SSM_QCSRole","credential":"session","assumed_by":"service/ssm",
     "action":"ssm:GetSecretValue","resource":"secret/creatorUin/7/a","expect":"deny"},
    {"name":"full access reads","principal":"user/ci/admin","action":"ssm:GetSecretValue",
     "resource":"secret/creatorUin/7/a","expect":"allow"},
    {"name":"full access makes","principal":"user/ci/admin","action":"ssm:CreateSecret",
     "resource":"secret/creatorUin/${uin}/a","expect":"allow"},
    {"name":"full access to secrets is none to keys","principal":"user/ci/admin","action":"kms:RotateKey","expect":"deny"},
    {"name":"auditing searches","principal":"user/ci/admin","action":"cloudaudit:SearchRecords","expect":"allow"},
    {"name":"read only lists","principal":"user/ci/reader","action":"ssm:ListSecrets","expect":"allow"},
    {"name":"read only describes","principal":"user/ci/reader","action":"ssm:DescribeSecret",
     "resource":"secret/creatorUin/7/a","expect":"allow"},
    {"name":"read only reads no value","principal":"user/ci/reader","action":"ssm:GetSecretValue",
     "resource":"secret/creatorUin/7/a","expect":"deny"},
    {"name":"read only reads no key pair","principal":"user/ci/reader","action":"ssm:GetSSHKeyPairValue",
     "resource":"secret/creatorUin/7/a","expect":"deny"},
    {"name":"the administrator of a trial revokes tokens","principal":"user/ci/dev-admin","action":"cam:RevokeToken",
     "expect":"allow"},
    {"name":"the demo reads its own","principal":"user/ci/app","action":"ssm:GetSecretValue",
     "resource":"secret/creatorUin/7/demo/db","expect":"allow"},
    {"name":"the demo reads nothing else","principal":"user/ci/app","action":"ssm:GetSecretValue",
     "resource":"secret/creatorUin/7/prod/db","expect":"deny"}]}"#;
