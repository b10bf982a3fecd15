//! A running gateway: the real process on a free loopback port, its replies, and its log as an export proves it.

use crate::installation::{Installation, Policies};
use crate::token::{Introduction, Issuer};
use crate::wire::{Connection, Raw, Reply};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keyward::actions;
use keyward_audit_verify::{Options, Vkey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for anything that must happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Looks at a condition until it holds; fails the test if it never does.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(3));
    }
}

/// What is to be installed before the gateway starts.
#[derive(Default)]
pub(crate) struct Builder {
    settings: Vec<(String, toml::Value)>,
    policies: Policies,
    issuers: Vec<Introduction>,
    at: Option<PathBuf>,
}

impl Builder {
    /// Sets `section.key` of keyward.toml.
    pub(crate) fn set(mut self, setting: &str, value: impl Into<toml::Value>) -> Self {
        self.settings.push((setting.to_owned(), value.into()));
        self
    }

    /// Every refused request gets a record of its own.
    pub(crate) fn record_every_refusal(self) -> Self {
        self.set("limits.unauthenticated_records", 1_000_000)
            .set("limits.unauthenticated_records_per_network", 1_000_000)
    }

    /// Documents and attachments besides those of `init --dev`.
    pub(crate) fn policies(mut self, policies: Policies) -> Self {
        self.policies = policies;
        self
    }

    /// One more issuer; `more` are further lines of its table.
    pub(crate) fn issuer(mut self, issuer: &Issuer, more: &str) -> Self {
        self.issuers.push(issuer.introduction(more));
        self
    }

    /// Makes the installation without starting anything.
    pub(crate) fn install(self) -> Installation {
        let installation = self.at.as_deref().map_or_else(Installation::new, Installation::new_at);
        for (setting, value) in self.settings {
            installation.set(&setting, value);
        }
        for issuer in &self.issuers {
            installation.add_issuer(issuer);
        }
        self.policies.write(&installation.path("policies"));
        installation
    }

    /// Makes the installation and starts its gateway.
    pub(crate) fn start(self) -> TestGateway {
        TestGateway::of(self.install())
    }
}

/// A gateway that is running. Stopped when dropped.
pub(crate) struct TestGateway {
    installation: Option<Installation>,
    process: Child,
    address: SocketAddr,
    log: PathBuf,
    issuer: Issuer,
    auditor: String,
}

/// A start that was refused.
pub(crate) struct Refused {
    pub(crate) installation: Installation,
    pub(crate) code: i32,
    /// What it wrote to standard error.
    pub(crate) text: String,
}

/// What `ExportRecords` answered, after the independent verifier found nothing in it.
pub(crate) struct Export {
    pub(crate) bytes: Vec<u8>,
    pub(crate) records: Vec<Value>,
}

impl TestGateway {
    /// See [`Builder`].
    pub(crate) fn builder() -> Builder {
        Builder::default()
    }

    /// A gateway as `init --dev` leaves it.
    pub(crate) fn start() -> Self {
        Builder::default().start()
    }

    /// Starts the gateway of an installation and waits until it is ready.
    pub(crate) fn of(installation: Installation) -> Self {
        Self::of_with(installation, &[])
    }

    /// The same, with variables in its environment.
    pub(crate) fn of_with(installation: Installation, environment: &[(&str, &str)]) -> Self {
        let mut command = installation.command(&["serve"]);
        command.envs(environment.iter().copied());
        Self::run(installation, command).unwrap_or_else(|refused| panic!("refused to start: {}", refused.text))
    }

    /// The same, if the gateway does not refuse to start.
    ///
    /// # Errors
    /// How it refused.
    pub(crate) fn try_of(installation: Installation) -> Result<Self, Refused> {
        let command = installation.command(&["serve"]);
        Self::run(installation, command)
    }

    /// The same under another program, which must run it as its own process (`strace -D`).
    pub(crate) fn of_under(installation: Installation, wrapper: &[&str]) -> Self {
        let inner = installation.command(&["serve"]);
        let (program, arguments) = wrapper.split_first().unwrap();
        let mut command = Command::new(program);
        command.args(arguments).arg(inner.get_program()).args(inner.get_args()).stdin(Stdio::null());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Self::run(installation, command).unwrap_or_else(|refused| panic!("refused to start: {}", refused.text))
    }

    fn run(installation: Installation, mut command: Command) -> Result<Self, Refused> {
        // As the unit runs it.
        command.env("MALLOC_MMAP_THRESHOLD_", "131072");
        let log = new_log(&installation);
        command.stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        let mut process = command.spawn().unwrap();
        let started = wait_for("the gateway to listen", || {
            let ended = process.try_wait().unwrap();
            let text = fs::read_to_string(&log).unwrap();
            match (listening(&text, "serving"), ended) {
                (Some(address), _) => Some(Ok(address)),
                (None, Some(status)) => Some(Err((status.code().unwrap_or(-1), text))),
                (None, None) => None,
            }
        });
        let address = match started {
            Ok(address) => address,
            Err((code, text)) => return Err(Refused { installation, code, text }),
        };
        let issuer = installation.dev_issuer();
        let auditor = issuer.sign(&{
            let mut claims = issuer.claims("admin");
            claims["exp"] = json!(claims["iat"].as_u64().unwrap() + 80_000);
            claims
        });
        let gateway = Self { installation: Some(installation), process, address, log, issuer, auditor };
        // Over TLS a test asks by itself, with what it trusts.
        let config = gateway.installation().config();
        let certificate = config["server"]["tls"].get("certificate_file").and_then(toml::Value::as_str);
        if certificate.is_none_or(str::is_empty) {
            wait_for("the gateway to be ready", || (gateway.get("/readyz").status == 200).then_some(()));
        }
        Ok(gateway)
    }

    pub(crate) fn installation(&self) -> &Installation {
        self.installation.as_ref().unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What it wrote to standard error so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Where the metrics are, if they have a listener of their own.
    pub(crate) fn metrics_address(&self) -> SocketAddr {
        listening(&self.log(), "serving metrics").expect("a listener of metrics")
    }

    /// The dev issuer.
    pub(crate) fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// A token of `user/dev/admin`, who may do everything.
    pub(crate) fn admin(&self) -> &str {
        &self.auditor
    }

    /// A token of the dev issuer.
    pub(crate) fn token(&self, sub: &str, groups: &[&str], roles: &[&str], ttl_s: u64) -> String {
        self.issuer.token_of(sub, groups, roles, ttl_s)
    }

    /// `POST /v1/<action>` on a new connection.
    pub(crate) fn call(&self, token: &str, action: &str, parameters: &Value) -> Reply {
        self.call_with(&[("Authorization", &format!("Bearer {token}"))], action, &parameters.to_string())
    }

    /// The same as often as it takes until it is done: a 503 asks to try again, and a machine that is busy with other
    /// tests may need more than the 250 ms that a record gets.
    pub(crate) fn insist(&self, token: &str, action: &str, parameters: &Value) -> Reply {
        let done = wait_for(action, || Some(self.call(token, action, parameters)).filter(|reply| reply.status != 503));
        done.ok()
    }

    /// The same with any headers and body.
    pub(crate) fn call_with(&self, headers: &[(&str, &str)], action: &str, body: &str) -> Reply {
        let headers = [&[("Content-Type", "application/json")], headers].concat();
        self.request(&format!("POST /v1/{action}"), &headers, body.as_bytes())
    }

    /// Any request on a new connection.
    pub(crate) fn request(&self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        Connection::open(self.address).request(line, headers, body).expect("a reply")
    }

    /// `GET` of a path, without a credential.
    pub(crate) fn get(&self, path: &str) -> Reply {
        self.request(&format!("GET {path}"), &[], b"")
    }

    /// Bytes as they are, and every reply until the server closes or is silent for a while.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Raw {
        Connection::raw(self.address, bytes, Duration::from_millis(700))
    }

    /// A secret made by the admin.
    pub(crate) fn create(&self, name: &str, value: &str) -> Reply {
        self.call(self.admin(), "CreateSecret", &json!({"SecretName": name, "SecretString": value})).ok()
    }

    /// `SIGTERM`, `SIGKILL`, ... to the process.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Writes a policy folder and waits until its revision is live.
    pub(crate) fn set_policies(&self, policies: &Policies) {
        let before = self.revision();
        policies.write(&self.installation().path("policies"));
        self.signal("HUP");
        wait_for("the new policies to be live", || (self.revision() != before).then_some(()));
    }

    /// The newest revision that went live, by the structured log and the newest record of the trail.
    pub(crate) fn revision(&self) -> Value {
        let search = json!({"Action": "keyward:PolicyChange", "Limit": 1});
        let found = self.insist(self.admin(), "SearchRecords", &search);
        found.body["Records"][0]["parameters"]["new"].clone()
    }

    /// Exports the log, has the independent verifier check it, and reads its records.
    pub(crate) fn export(&self) -> Export {
        let reply = self.call(self.admin(), "ExportRecords", &json!({})).ok();
        Export::verified(reply.bytes, &self.installation().read("keys/log.vkey"))
    }

    /// The records of a verified export.
    pub(crate) fn records(&self) -> Vec<Value> {
        self.export().records
    }

    /// The record that a reply's locator names, in a verified export; its leaf and request are the reply's.
    pub(crate) fn record_of(&self, reply: &Reply) -> Value {
        self.export().record_of(reply)
    }

    /// SIGTERM, and waits for the end, which must be a good one.
    pub(crate) fn stop(mut self) -> Installation {
        self.signal("TERM");
        let status = self.wait();
        assert!(status.success(), "{status}: {}", self.log());
        assert!(!self.log().contains("still in use by a thread"), "{}", self.log());
        self.installation.take().unwrap()
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) -> Installation {
        self.process.kill().unwrap();
        self.wait();
        self.installation.take().unwrap()
    }

    /// Waits until it has ended by itself, however.
    pub(crate) fn ended(self) -> Installation {
        self.ended_with().1
    }

    /// The same, and how it ended.
    pub(crate) fn ended_with(mut self) -> (ExitStatus, Installation) {
        let status = self.wait();
        (status, self.installation.take().unwrap())
    }

    /// Stops and starts again.
    pub(crate) fn restart(self) -> Self {
        Self::of(self.stop())
    }

    /// Stops the gateway, verifies the whole log in place and decides every access again. The end of every test that
    /// makes a trail.
    pub(crate) fn finish(self) {
        self.stop().verify();
    }

    fn wait(&mut self) -> ExitStatus {
        let process = &mut self.process;
        wait_for("the gateway to end", || process.try_wait().unwrap())
    }
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        if self.installation.is_some() && matches!(self.process.try_wait(), Ok(None)) {
            // The test has failed already, or does not care how the gateway ends.
            let _gone = self.process.kill();
            let _gone = self.process.wait();
        }
    }
}

impl Export {
    /// Checks an export with the verifier that shares no code with the gateway.
    pub(crate) fn verified(bytes: Vec<u8>, vkey: &str) -> Self {
        let keys = Vkey::parse_file(vkey).unwrap();
        let options = Options { keys: &keys, since: &[], threads: 1, progress: &|_| {} };
        let report = keyward_audit_verify::verify(&bytes.as_slice(), &options).unwrap();
        assert!(report.is_valid(), "{:?}", report.findings);
        let records: Vec<Value> = bytes
            .split(|byte| *byte == b'\n')
            .take_while(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert_eq!(report.head.unwrap().0, records.len() as u64);
        for record in &records {
            let action = record["action"].as_str().unwrap();
            let is_of_catalogue = action.split_once(':').and_then(|(_, name)| actions::by_name(name));
            assert!(actions::OWN.contains(&action) || is_of_catalogue.is_some(), "nobody can search for `{action}`");
        }
        Self { bytes, records }
    }

    /// The record that a reply's locator names; its leaf and request must be the reply's.
    pub(crate) fn record_of(&self, reply: &Reply) -> Value {
        let index = reply.index().expect("a locator");
        let place = usize::try_from(index).unwrap();
        let line = self.bytes.split(|byte| *byte == b'\n').nth(place).unwrap();
        let leaf = Sha256::digest([&[0], line].concat());
        assert_eq!(reply.leaf(), Some(URL_SAFE_NO_PAD.encode(leaf).as_str()), "the leaf of index {index}");
        let record = &self.records[place];
        assert_eq!(record["index"], json!(index));
        assert_eq!(record["request"], json!(reply.request()));
        record.clone()
    }

    /// The leaf hashes of the export's third block.
    pub(crate) fn leaves(&self) -> Vec<Vec<u8>> {
        let text = String::from_utf8(self.bytes.clone()).unwrap();
        let block = text.rsplit("\n\n").next().unwrap();
        block.lines().map(|line| STANDARD.decode(line).unwrap()).collect()
    }
}

fn new_log(installation: &Installation) -> PathBuf {
    let path = |number: usize| installation.path(&format!("serve-{number}.log"));
    let number = (0..).find(|number| !path(*number).exists()).unwrap();
    path(number)
}

/// The address in the structured log line that says so.
fn listening(log: &str, said: &str) -> Option<SocketAddr> {
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|line| line["fields"]["message"] == said)
        .and_then(|line| line["fields"]["listen"].as_str()?.parse().ok())
}
