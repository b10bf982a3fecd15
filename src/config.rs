//! `keyward.toml`: the one configuration file. Unknown keys are errors; paths are relative to the file.
//!
//! INVARIANT I12: where the log is, who issues tokens and which keys sign is set here and nowhere else.

use crate::{actions, principal};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The text that `keyward init` writes, every key with its default and a comment. `{origin}` is filled in.
pub const TEMPLATE: &str = include_str!("config/template.toml");
/// The `[[issuer]]` table that `keyward init --dev` appends.
pub const DEV_ISSUER: &str = include_str!("config/dev-issuer.toml");

/// The `iss` of that table.
pub const DEV_ISS: &str = "https://keyward.local/dev";
/// Characters of a line of the file that an error shows.
const LINE_SHOWN: usize = 80;

/// Why a configuration is not usable.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read `{path}`: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Not TOML, an unknown key, a wrong type; the text names line and column.
    #[error("`{path}`: {text}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The reader's message.
        text: String,
    },
    /// A value outside its rule.
    #[error("`{path}`: `{setting}` {rule}")]
    Value {
        /// The file.
        path: PathBuf,
        /// Which setting.
        setting: String,
        /// The rule it breaks.
        rule: String,
    },
}

/// Everything that keyward.toml says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Listeners and place.
    #[serde(default)]
    pub server: Server,
    /// The store.
    #[serde(default)]
    pub storage: Storage,
    /// The root key.
    #[serde(default)]
    pub keys: Keys,
    /// The log.
    pub audit: Audit,
    /// The policy folder.
    #[serde(default)]
    pub policy: Policy,
    /// Limits.
    #[serde(default)]
    pub limits: Limits,
    /// The door of the vendor's wire.
    #[serde(default)]
    pub tencent: Tencent,
    /// Traces.
    #[serde(default)]
    pub telemetry: Telemetry,
    /// Who issues tokens.
    #[serde(default, rename = "issuer")]
    pub issuers: Vec<Issuer>,
    /// Where the file is; filled in by [`Config::load`].
    #[serde(skip)]
    pub file: PathBuf,
    /// `sha256:` and hex over the file's bytes; filled in by [`Config::load`].
    #[serde(skip)]
    pub digest: String,
}

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}

section! {
    /// `[server]`
    Server {
        /// Address and port that the doors are served on; plain HTTP on loopback only.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8743)),
        /// A Unix socket on which they are served besides; empty: none.
        unix_socket: PathBuf = PathBuf::new(),
        /// Its mode, in octal digits.
        unix_socket_mode: String = "660".to_owned(),
        /// Whether plain HTTP may be served off loopback, where everyone on the way reads tokens and secrets.
        danger_plaintext: bool = false,
        /// Where `/metrics` is served; empty: on `listen`.
        metrics_listen: String = String::new(),
        /// The region segment of resources.
        region: String = "local".to_owned(),
        /// The account segment of resources: digits.
        account: String = "100000000001".to_owned(),
        /// Threads that serve connections; 0: one for each processor.
        workers: usize = 0,
        /// Seconds that a stop waits for requests under way.
        stop_timeout_s: u64 = 10,
        /// `[server.tls]`
        tls: Tls = Tls::default(),
    }
}

section! {
    /// `[server.tls]`
    Tls {
        /// The server's certificate and those between it and its authority, PEM; empty: no TLS.
        certificate_file: PathBuf = PathBuf::new(),
        /// Its key, PEM.
        key_file: PathBuf = PathBuf::new(),
        /// The authorities, PEM, of which every client must have a certificate; empty: no client certificates.
        client_ca_file: PathBuf = PathBuf::new(),
    }
}

mod issuer;
mod keys;
mod telemetry;
mod tencent;

pub use issuer::{Claims, Groups, Issuer};
pub use keys::Keys;
pub use telemetry::Telemetry;
pub use tencent::Tencent;

impl Tls {
    /// Whether the listener is TLS.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.certificate_file.as_os_str().is_empty()
    }
}

impl Server {
    /// The mode of the Unix socket, if its text is one.
    #[must_use]
    pub fn socket_mode(&self) -> Option<u32> {
        u32::from_str_radix(&self.unix_socket_mode, 8).ok().filter(|mode| *mode <= 0o777)
    }
}

section! {
    /// `[storage]`
    Storage {
        /// `rocksdb`.
        engine: String = "rocksdb".to_owned(),
        /// The store's directory.
        path: PathBuf = PathBuf::from("data/db"),
        /// Below the smaller of these two: warned of and recorded. Percent of the file system.
        disk_soft_percent: u8 = 10,
        /// Bytes.
        disk_soft_bytes: u64 = 2 << 30,
        /// Below the smaller of these two: secrets are neither read nor written. Percent.
        disk_hard_percent: u8 = 5,
        /// Bytes.
        disk_hard_bytes: u64 = 1 << 30,
        /// Below the smaller of these two: nothing is served. Percent.
        disk_critical_percent: u8 = 2,
        /// Bytes.
        disk_critical_bytes: u64 = 256 << 20,
        /// Bytes that a compaction may need for a while; they count as used.
        compaction_bytes: u64 = 256 << 20,
        /// Size of the ballast file that is given up at the critical level (at most 1 % of the file system).
        ballast_bytes: u64 = 64 << 20,
    }
}

/// `[audit]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// C2SP origin of the log and name of its key.
    pub origin: String,
    /// The key that signs checkpoints.
    #[serde(default = "signing_key")]
    pub signing_key: PathBuf,
    /// The high-water mark.
    #[serde(default = "high_water_mark")]
    pub high_water_mark: PathBuf,
}

fn signing_key() -> PathBuf {
    PathBuf::from("keys/log.key")
}

fn high_water_mark() -> PathBuf {
    PathBuf::from("hwm")
}

section! {
    /// `[policy]`
    Policy {
        /// The policy folder.
        path: PathBuf = PathBuf::from("policies"),
        /// A folder that decides beside it and changes no answer; empty: none.
        shadow: PathBuf = PathBuf::new(),
        /// Services outside the catalogue whose statements are checked for form and have no effect.
        foreign_services: Vec<String> = Vec::new(),
        /// Longest document, in characters without white space.
        document_characters_max: usize = 6_144,
    }
}

section! {
    /// `[limits]`
    Limits {
        /// Largest request body, in bytes.
        body_bytes: usize = 1 << 20,
        /// Largest value, in bytes (1 to 65,536).
        value_bytes: usize = 65_536,
        /// Versions that a secret holds at a time.
        versions_per_secret: usize = 10,
        /// Secrets that the account holds, those that wait for their deletion included.
        secrets: u64 = 100_000,
        /// Requests of the whole account a second, and at once after a rest; 0: no limit.
        account_requests_per_second: u32 = 0,
        /// The same by action: `{ GetSecretValue = 300 }`.
        action_requests_per_second: BTreeMap<String, u32> = BTreeMap::new(),
        /// Records that wait for the sequencer.
        queue_records: usize = 4_096,
        /// Their bytes.
        queue_bytes: usize = 4 << 20,
        /// Milliseconds until a request that cannot be recorded is answered 503.
        commit_deadline_ms: u64 = 250,
        /// Single records of unauthenticated requests, per second in all.
        unauthenticated_records: u32 = 50,
        /// The same, per network (IPv4 /24, IPv6 /64) and reason.
        unauthenticated_records_per_network: u32 = 10,
        /// Requests of one principal a second, and at once after a rest; 0 a second: no limit.
        requests_per_second: u32 = 5_000,
        /// At least 1, and at most what fills up in 60 seconds.
        requests_burst: u32 = 10_000,
        /// The same for requests that are denied or malformed, revocations, keys that are switched off, and changes of kms keys: over it, all
        /// of the principal's requests are refused for a while.
        denials_per_second: u32 = 50,
        /// As for requests.
        denials_burst: u32 = 200,
        /// Connections at a time.
        connections: usize = 25_000,
        /// Seconds in which a request's head must have come; at least 1, as the three below.
        request_timeout_s: u64 = 5,
        /// Seconds in which a request's body must have come.
        body_timeout_s: u64 = 10,
        /// Seconds that a connection stays open between two requests.
        idle_timeout_s: u64 = 75,
        /// Seconds after which a connection is ended whose client takes nothing of an answer that waits for it.
        answer_timeout_s: u64 = 60,
    }
}

/// Where and what, without the lines and arrows that TOML's reader draws.
fn in_one_line(text: &str, error: &toml::de::Error) -> String {
    let what = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((before, after)) = error.span().and_then(|span| text.split_at_checked(span.start)) else { return what };
    let number = before.matches('\n').count().saturating_add(1);
    let begun = before.rsplit('\n').next().unwrap_or_default();
    let line = format!("{begun}{}", after.lines().next().unwrap_or_default());
    let shown: String = line.trim().chars().take(LINE_SHOWN).collect();
    format!("line {number}, column {}, `{shown}`: {what}", begun.chars().count().saturating_add(1))
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// [`ConfigError`] naming the file and the setting.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(file).map_err(|cause| ConfigError::Unreadable { path: file.to_owned(), cause })?;
        let mut config: Self = toml::from_str(&text)
            .map_err(|error| ConfigError::Syntax { path: file.to_owned(), text: in_one_line(&text, &error) })?;
        config.file = file.to_owned();
        config.digest = format!("sha256:{}", hex::encode(Sha256::digest(text.as_bytes())));
        config.check()?;
        Ok(config)
    }

    /// A path of the configuration, relative to its file.
    #[must_use]
    pub fn path(&self, path: &Path) -> PathBuf {
        self.file.parent().unwrap_or_else(|| Path::new("")).join(path)
    }

    fn wrong(&self, setting: &str, rule: &str) -> ConfigError {
        ConfigError::Value { path: self.file.clone(), setting: setting.to_owned(), rule: rule.to_owned() }
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.check_server()?;
        if self.storage.engine != "rocksdb" {
            return Err(self.wrong("storage.engine", "must be `rocksdb`"));
        }
        self.telemetry.check().map_err(|(setting, rule)| self.wrong(setting, rule))?;
        self.keys.check().map_err(|(setting, rule)| self.wrong(&setting, rule))?;
        self.tencent.check().map_err(|(setting, rule)| self.wrong(setting, rule))?;
        self.check_limits()?;
        self.check_issuers()
    }

    fn check_limits(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        if !(1..=65_536).contains(&limits.value_bytes) {
            return Err(self.wrong("limits.value_bytes", "must be 1 to 65536"));
        }
        if !(1..=250).contains(&limits.commit_deadline_ms) {
            return Err(self.wrong("limits.commit_deadline_ms", "must be 1 to 250"));
        }
        if limits.versions_per_secret == 0 || limits.queue_records == 0 || limits.secrets == 0 {
            let rule = "must leave room: versions_per_secret, secrets and queue_records are at least 1";
            return Err(self.wrong("limits", rule));
        }
        for (setting, seconds) in [
            ("limits.request_timeout_s", limits.request_timeout_s),
            ("limits.body_timeout_s", limits.body_timeout_s),
            ("limits.idle_timeout_s", limits.idle_timeout_s),
            ("limits.answer_timeout_s", limits.answer_timeout_s),
        ] {
            if seconds == 0 {
                return Err(self.wrong(setting, "must be at least 1"));
            }
        }
        for (name, per_second) in &limits.action_requests_per_second {
            let setting = format!("limits.action_requests_per_second.{name}");
            if actions::by_name(name).is_none_or(|action| !action.is_offered()) {
                return Err(self.wrong(&setting, "is no action that a door offers, such as `GetSecretValue`"));
            }
            if *per_second == 0 {
                return Err(self.wrong(&setting, "must be at least 1; an action without a limit is left out"));
            }
        }
        for (setting, per_second, burst) in [
            ("limits.requests_burst", limits.requests_per_second, limits.requests_burst),
            ("limits.denials_burst", limits.denials_per_second, limits.denials_burst),
        ] {
            let most = per_second.saturating_mul(60);
            if per_second > 0 && !(1..=most).contains(&burst) {
                return Err(self.wrong(setting, "must be at least 1 and at most what fills up in 60 seconds"));
            }
        }
        Ok(())
    }

    fn check_server(&self) -> Result<(), ConfigError> {
        let server = &self.server;
        if !server.listen.ip().is_loopback() && !server.tls.is_on() && !server.danger_plaintext {
            let rule = "is not loopback, and plain HTTP carries tokens and secrets in clear text: set `[server.tls]` (or \
                        `danger_plaintext = true`)";
            return Err(self.wrong("server.listen", rule));
        }
        let empty = |path: &Path| path.as_os_str().is_empty();
        if empty(&server.tls.certificate_file) != empty(&server.tls.key_file)
            || (!empty(&server.tls.client_ca_file) && !server.tls.is_on())
        {
            return Err(self.wrong("server.tls", "needs both `certificate_file` and `key_file`, or nothing"));
        }
        if server.socket_mode().is_none() {
            return Err(self.wrong("server.unix_socket_mode", "must be three octal digits, such as \"660\""));
        }
        if let Some(address) = self.metrics_listen()?
            && !address.ip().is_loopback()
        {
            return Err(self.wrong("server.metrics_listen", "is not loopback"));
        }
        let segment = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !segment(&server.region) {
            return Err(self.wrong("server.region", "must be one or more of `A-Z a-z 0-9 -`"));
        }
        if server.account.is_empty() || !server.account.bytes().all(|b| b.is_ascii_digit()) {
            return Err(self.wrong("server.account", "must be digits"));
        }
        Ok(())
    }

    /// The listener of `/metrics`, if it is one of its own.
    ///
    /// # Errors
    /// [`ConfigError`] if the text is no address.
    pub fn metrics_listen(&self) -> Result<Option<SocketAddr>, ConfigError> {
        let text = &self.server.metrics_listen;
        if text.is_empty() {
            return Ok(None);
        }
        let wrong = |_| self.wrong("server.metrics_listen", "must be an address and port, or empty");
        text.parse().map(Some).map_err(wrong)
    }

    fn check_issuers(&self) -> Result<(), ConfigError> {
        let mut names = BTreeSet::new();
        let mut urls = BTreeSet::new();
        for issuer in &self.issuers {
            let setting = format!("issuer.{}", issuer.name);
            if principal::check_issuer_name(&issuer.name).is_err() || issuer.name == principal::LOCAL {
                return Err(self.wrong("issuer.name", "must be 1 to 32 of `a-z 0-9 -` and not `local`"));
            }
            if !names.insert(&issuer.name) || !urls.insert(&issuer.issuer) {
                return Err(self.wrong(&setting, "shares its name or its `issuer` with another table"));
            }
            issuer.check_keys().map_err(|rule| self.wrong(&setting, rule))?;
            if issuer.is_for_trying_out() && !self.server.listen.ip().is_loopback() {
                let rule = "is for trying things out (the dev issuer, or keys over plain HTTP), and `server.listen` is not loopback";
                return Err(self.wrong(&setting, rule));
            }
            if issuer.issuer.is_empty() || issuer.audience.is_empty() || issuer.algorithms.is_empty() {
                return Err(self.wrong(&setting, "needs `issuer`, `audience` and `algorithms`, none of them empty"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keyward.toml");
        std::fs::write(&file, text).unwrap();
        Config::load(&file)
    }

    fn template() -> String {
        TEMPLATE.replace("{origin}", "localhost/keyward-00000000")
    }

    #[test]
    fn the_template_holds_every_key_with_its_default() {
        let written = load(&format!("{}{DEV_ISSUER}", template())).unwrap();
        let mut defaults = load("[audit]\norigin = \"localhost/keyward-00000000\"\n").unwrap();
        defaults.issuers = written.issuers.clone();
        defaults.file.clone_from(&written.file);
        defaults.digest.clone_from(&written.digest);
        assert_eq!(format!("{written:?}"), format!("{defaults:?}"));
        let fields = format!("{defaults:?}").matches(": ").count();
        assert!(fields > 30);
        for line in
            format!("{:#?}", (&defaults.server, &defaults.storage, &defaults.limits, &defaults.policy, &defaults.keys))
                .lines()
        {
            if let Some((key, value)) = line.trim().split_once(": ")
                && !value.ends_with('{')
                && value != "None,"
            {
                assert!(template().contains(&format!("\n{key} = ")), "{key} is missing in the template");
            }
        }
    }

    #[test]
    fn unknown_keys_and_values_outside_their_rule_are_named() {
        let cases = [
            ("listen = \"0.0.0.0:80\"", "server.listen"),
            ("listen = \"[::]:80\"", "server.listen"),
            ("unix_socket_mode = \"1000\"", "server.unix_socket_mode"),
            ("tls = { certificate_file = \"a\" }", "server.tls"),
            ("tls = { client_ca_file = \"a\" }", "server.tls"),
            ("account = \"abc\"", "server.account"),
            ("region = \"a:b\"", "server.region"),
            ("metrics_listen = \"0.0.0.0:9\"", "server.metrics_listen"),
            ("metrics_listen = \"nowhere\"", "server.metrics_listen"),
            ("lisen = \"x\"", "lisen"),
            ("region = \"r\"\n[keys]\nprovider = \"hsm\"", "keys.provider"),
            ("region = \"r\"\n[keys]\nprovider = \"passphrase\"", "keys.provider"),
            ("region = \"r\"\n[keys]\npassphrase_file = \"a\"", "keys.provider"),
            (
                "region = \"r\"\n[keys]\nprovider = \"passphrase\"\npassphrase_file = \"a\"\npassphrase_env = \"B\"",
                "keys.provider",
            ),
            (
                "region = \"r\"\n[keys]\nprovider = \"passphrase\"\npassphrase_credential = \"../a\"",
                "keys.passphrase_credential",
            ),
            ("region = \"r\"\n[keys.next]\nprovider = \"file\"", "keys.next.path"),
            ("region = \"r\"\n[keys.next]\npath = \"b\"\nprovider = \"hsm\"", "keys.next.provider"),
            ("region = \"r\"\n[keys.next]\npath = \"b\"\n[keys.next.next]\npath = \"c\"", "keys.next.next"),
            ("region = \"r\"\n[limits]\nrequests_burst = 0", "limits.requests_burst"),
            ("region = \"r\"\n[limits]\ndenials_burst = 3001", "limits.denials_burst"),
            ("region = \"r\"\n[limits]\nsecrets = 0", "limits"),
            ("region = \"r\"\n[limits]\nversions_per_secret = 0", "limits"),
            ("region = \"r\"\n[limits]\nvalue_bytes = 65537", "limits.value_bytes"),
            ("region = \"r\"\n[limits]\nrequest_timeout_s = 0", "limits.request_timeout_s"),
            ("region = \"r\"\n[limits]\nbody_timeout_s = 0", "limits.body_timeout_s"),
            ("region = \"r\"\n[limits]\nidle_timeout_s = 0", "limits.idle_timeout_s"),
            ("region = \"r\"\n[limits]\nanswer_timeout_s = 0", "limits.answer_timeout_s"),
            ("region = \"r\"\n[limits]\naccount_requests_per_second = -1", "account_requests_per_second"),
            (
                "region = \"r\"\n[limits]\naction_requests_per_second = { GetSecretvalue = 1 }",
                "limits.action_requests_per_second.GetSecretvalue",
            ),
            (
                "region = \"r\"\n[limits]\naction_requests_per_second = { Decrypt = 1 }",
                "limits.action_requests_per_second.Decrypt",
            ),
            (
                "region = \"r\"\n[limits]\naction_requests_per_second = { GetSecretValue = 0 }",
                "limits.action_requests_per_second.GetSecretValue",
            ),
        ];
        for (line, named) in cases {
            let error = load(&format!("[audit]\norigin = \"o\"\n[server]\n{line}\n")).unwrap_err().to_string();
            assert!(error.contains(named), "{line}: {error}");
        }
    }

    #[test]
    fn issuers_are_distinct_and_have_one_source_of_keys() {
        let issuer = |name: &str, more: &str| {
            format!(
                "[[issuer]]\nname = \"{name}\"\nissuer = \"https://{name}\"\naudience = [\"k\"]\nalgorithms = [\"EdDSA\"]\n{more}\n"
            )
        };
        let key = "public_key_file = \"a.pem\"";
        let load = |tables: &str| load(&format!("[audit]\norigin = \"o\"\n{tables}"));
        assert!(load(&issuer("a", key)).is_ok());
        assert!(load(&format!("{}{}", issuer("a", key), issuer("a", key))).is_err());
        assert!(load(&issuer("local", key)).is_err());
        assert!(load(&issuer("A", key)).is_err());
        assert!(load(&issuer("a", "")).is_err());
        assert!(load(&issuer("a", &format!("{key}\nsecret_file = \"b\""))).is_err());
    }
}
