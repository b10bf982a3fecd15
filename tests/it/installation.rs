//! An installation on disk, made by the real `keyward init --dev`, and the program run on it.

use crate::token::{Introduction, Issuer};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_keyward");

/// A directory that `keyward init --dev` made, listening on a free loopback port. Removed when dropped.
pub(crate) struct Installation {
    _scratch: TempDir,
    dir: PathBuf,
}

/// What the policy folder is to hold besides the presets of `init --dev`.
#[derive(Clone, Default)]
pub(crate) struct Policies {
    documents: Vec<(String, String)>,
    attachments: Vec<Value>,
    boundaries: Vec<Value>,
    groups: serde_json::Map<String, Value>,
    roles: Vec<(String, String)>,
    cut_off: bool,
}

impl Policies {
    /// A document of one statement that allows `actions` on `resource`.
    pub(crate) fn allow(self, name: &str, actions: &[&str], resource: &str) -> Self {
        self.document(name, &json!({"effect": "allow", "action": actions, "resource": resource}))
    }

    /// A document of one statement.
    pub(crate) fn document(mut self, name: &str, statement: &Value) -> Self {
        let text = json!({"version": "2.0", "statement": [statement]}).to_string();
        self.documents.push((name.to_owned(), text));
        self
    }

    /// Attaches a document.
    pub(crate) fn attach(mut self, policy: &str, to: &[&str]) -> Self {
        self.attachments.push(json!({"policy": policy, "to": to}));
        self
    }

    /// Attaches a document as a boundary.
    pub(crate) fn bound(mut self, policy: &str, to: &[&str]) -> Self {
        self.boundaries.push(json!({"policy": policy, "to": to}));
        self
    }

    /// A role: the statements of its trust policy, and the longest session if not the default.
    pub(crate) fn role(mut self, name: &str, trust: &[Value], max_session_s: Option<u64>) -> Self {
        let mut file = json!({"version": "2.0", "statement": trust});
        if let Some(seconds) = max_session_s {
            file["max_session_s"] = json!(seconds);
        }
        self.roles.push((name.to_owned(), file.to_string()));
        self
    }

    /// A local group.
    pub(crate) fn group(mut self, name: &str, members: &[&str]) -> Self {
        self.groups.insert(name.to_owned(), json!(members));
        self
    }

    /// Takes the service's own grant away.
    pub(crate) fn without_service_grant(mut self) -> Self {
        self.cut_off = true;
        self
    }

    /// Writes documents, then attachments, each in one step, beside the grants that `init --dev` attaches.
    pub(crate) fn write(&self, folder: &Path) {
        for (name, text) in &self.documents {
            put(&folder.join(format!("documents/{name}.json")), text.as_bytes());
        }
        for (name, text) in &self.roles {
            put(&folder.join(format!("roles/{name}.json")), text.as_bytes());
        }
        let mut attachments = vec![
            json!({"policy": "QcloudAccessForSSMRole", "to": ["role/local/SSM_QCSRole"]}),
            json!({"policy": "dev-admin", "to": ["user/dev/admin"]}),
            json!({"policy": "demo-read", "to": ["user/dev/app"]}),
        ];
        if self.cut_off {
            attachments.remove(0);
        }
        attachments.extend(self.attachments.clone());
        let all =
            json!({"version": 1, "groups": self.groups, "attachments": attachments, "boundaries": self.boundaries});
        put(&folder.join("attachments.json"), all.to_string().as_bytes());
    }
}

/// A statement of a trust policy: this principal may take the role.
pub(crate) fn taken_by(principal: &str) -> Value {
    json!({"effect": "allow", "action": "name/sts:AssumeRole", "principal": {"qcs": [principal]}})
}

/// The same: whoever shows a token of this issuer, for the gateway, of this subject.
pub(crate) fn shown_by(issuer: &str, subject: &str) -> Value {
    let iss =
        if issuer == "dev" { "https://keyward.local/dev".to_owned() } else { format!("https://{issuer}.example") };
    json!({"effect": "allow", "action": "name/sts:AssumeRoleWithWebIdentity",
        "principal": {"federated": [format!("oidc-provider/{issuer}")]},
        "condition": {"string_equal": {"oidc:iss": iss, "oidc:aud": "keyward", "oidc:sub": subject}}})
}

/// Writes a file beside its place and moves it there, so that nobody sees half of it.
pub(crate) fn put(path: &Path, bytes: &[u8]) {
    let beside = path.parent().unwrap().parent().unwrap().join(".new");
    fs::write(&beside, bytes).unwrap();
    fs::rename(&beside, path).unwrap();
}

impl Installation {
    /// A new installation.
    pub(crate) fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("kw");
        Self::made_in(scratch, dir)
    }

    /// A new installation in a directory of the caller's choice, which must not exist.
    pub(crate) fn new_at(dir: &Path) -> Self {
        Self::made_in(tempfile::tempdir().unwrap(), dir.to_owned())
    }

    fn made_in(scratch: TempDir, dir: PathBuf) -> Self {
        let made = Command::new(PROGRAM).args(["init", "--dev", "--dir"]).arg(&dir).output().unwrap();
        assert!(made.status.success(), "init: {}", String::from_utf8_lossy(&made.stderr));
        let installation = Self { _scratch: scratch, dir };
        installation.set("server.listen", "127.0.0.1:0");
        installation.set("server.workers", 2);
        // Tests ask as fast as they can; those of the rates set them.
        installation.set("limits.requests_per_second", 0);
        installation.set("limits.denials_per_second", 0);
        installation
    }

    /// One that lies somewhere already; whoever made it removes it.
    pub(crate) fn of(dir: PathBuf) -> Self {
        Self { _scratch: tempfile::tempdir().unwrap(), dir }
    }

    /// A copy of everything, as it lies there now.
    pub(crate) fn copy(&self) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("kw");
        let copied = Command::new("cp").arg("-a").args([&self.dir, &dir]).status().unwrap();
        assert!(copied.success());
        Self { _scratch: scratch, dir }
    }

    /// One that lies at `dir` already, and stays there when this is dropped.
    pub(crate) fn at(dir: &Path) -> Self {
        Self { _scratch: tempfile::tempdir().unwrap(), dir: dir.to_owned() }
    }

    /// Where it lies.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A path below it.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.dir.join(below)
    }

    /// The bytes of a file below it.
    pub(crate) fn read(&self, below: &str) -> String {
        fs::read_to_string(self.path(below)).unwrap()
    }

    /// The configuration as it is now.
    pub(crate) fn config(&self) -> toml::Table {
        self.read("keyward.toml").parse().unwrap()
    }

    /// Sets `section.key` in keyward.toml.
    pub(crate) fn set(&self, setting: &str, value: impl Into<toml::Value>) {
        let (section, key) = setting.split_once('.').unwrap();
        let mut config = self.config();
        config[section].as_table_mut().unwrap().insert(key.to_owned(), value.into());
        self.write_config(&config);
    }

    /// Adds an issuer.
    pub(crate) fn add_issuer(&self, issuer: &Introduction) {
        fs::write(self.path(&issuer.key_file), &issuer.pem).unwrap();
        let mut config = self.config();
        let table: toml::Table = issuer.table.parse().unwrap();
        config["issuer"].as_array_mut().unwrap().push(toml::Value::Table(table));
        self.write_config(&config);
    }

    fn write_config(&self, config: &toml::Table) {
        fs::write(self.path("keyward.toml"), toml::to_string(config).unwrap()).unwrap();
    }

    /// The dev issuer that `init --dev` made.
    pub(crate) fn dev_issuer(&self) -> Issuer {
        Issuer::of_pem("dev", "https://keyward.local/dev", &self.read("keys/dev-issuer.key"))
    }

    /// The program with this installation's configuration and none of the environment's settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("KEYWARD_") {
                command.env_remove(name);
            }
        }
        command.arg("--config").arg(self.path("keyward.toml")).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }

    /// `keyward audit verify --decisions` on the stopped gateway: valid, and no decision comes out otherwise.
    pub(crate) fn verify(&self) {
        let ran = self.run(&["audit", "verify", "--decisions"]);
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        assert!(ran.out.contains("no difference"), "{}", ran.out);
    }
}

/// How a run of the program ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
