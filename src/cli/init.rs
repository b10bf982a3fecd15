//! `keyward init`: a new installation, complete or not at all. It is built beside its place and moved there last.

use super::{Context, Failure, core_dumps, output};
use crate::access::setup;
use crate::authn::DevIssuer;
use crate::clock;
use crate::config::{Config, DEV_ISSUER, TEMPLATE};
use crate::keys::Keyring;
use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use keyward_audit::note::SigningKey;
use keyward_audit::record::{Draft, Kind, Outcome, Value};
use keyward_audit::{Changes, Environment, Event, Lane, Log, ReadSet};
use serde_json::json;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// Documents that `init` writes: name and text.
const PRESETS: [(&str, &str); 4] = [
    ("QcloudAccessForSSMRole", include_str!("../../policies/presets/QcloudAccessForSSMRole.json")),
    ("QcloudAuditFullAccess", include_str!("../../policies/presets/QcloudAuditFullAccess.json")),
    ("QcloudSSMFullAccess", include_str!("../../policies/presets/QcloudSSMFullAccess.json")),
    ("QcloudSSMReadOnlyAccess", include_str!("../../policies/presets/QcloudSSMReadOnlyAccess.json")),
];
/// Documents of `init --dev`.
const DEV_DOCUMENTS: [(&str, &str); 2] = [
    ("dev-admin", include_str!("../../policies/presets/dev-admin.json")),
    ("demo-read", include_str!("../../policies/presets/demo-read.json")),
];
/// How long the record of the making may take to become durable.
const FIRST_WRITE_MAX: Duration = Duration::from_secs(30);
/// Warnings that stand in what `init` writes, and tests of it; the same of `init --dev`.
const WAIVERS: &str = include_str!("../../policies/init/waivers.json");
const TESTS: &str = include_str!("../../policies/init/tests.json");
const DEV_WAIVERS: &str = include_str!("../../policies/init/dev-waivers.json");
const DEV_TESTS: &str = include_str!("../../policies/init/dev-tests.json");
const SERVICE_ROLE: &str = include_str!("../../policies/presets/roles/SSM_QCSRole.json");

/// Make a new installation
#[derive(Args)]
#[command(after_help = "Examples:
  keyward init --dir /etc/keyward --origin secrets.example.com/keyward
  keyward init --dir try --dev      # with a local token issuer, for trying things out
  keyward init --dir /etc/keyward --passphrase-file /root/keyward.passphrase

It makes the whole directory or nothing, and never overwrites. What each file is, and what losing it means:
docs/OPERATIONS.md. A passphrase is one line of at least 12 bytes; the root key is derived from it with argon2id (64 MiB,
3 passes, 4 lanes).")]
pub(super) struct Init {
    /// The directory to make; must not exist, or be empty
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The log's C2SP origin: a name like a URL without its scheme, unique to this log
    #[arg(long, value_name = "NAME")]
    origin: Option<String>,
    /// Also make a local token issuer and attach policies to user/dev/admin and user/dev/app
    #[arg(long)]
    dev: bool,
    #[command(flatten)]
    passphrase: Passphrase,
}

/// Where the passphrase comes from, if the root key is to be one.
#[derive(Args)]
#[group(multiple = false)]
struct Passphrase {
    /// Derive the root key from the passphrase in this file (one line, mode 0600) instead of keeping it in a file
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// The same, from this variable of the environment
    #[arg(long, value_name = "NAME")]
    passphrase_env: Option<String>,
    /// The same, from this systemd credential
    #[arg(long, value_name = "NAME")]
    passphrase_credential: Option<String>,
}

impl Passphrase {
    fn is_given(&self) -> bool {
        self.passphrase_file.is_some() || self.passphrase_env.is_some() || self.passphrase_credential.is_some()
    }

    /// The configuration with this source, if there is one.
    fn configure(&self, config: &str) -> anyhow::Result<String> {
        let file = self.passphrase_file.as_ref().map(std::path::absolute).transpose()?;
        let file = file.map(|path| path.to_str().map(str::to_owned).context("the passphrase's path is not text"));
        let sources = [
            ("passphrase_file", file.transpose()?),
            ("passphrase_env", self.passphrase_env.clone()),
            ("passphrase_credential", self.passphrase_credential.clone()),
        ];
        let given = sources.into_iter().find_map(|(key, source)| Some((key, source?)));
        let Some((key, source)) = given else { return Ok(config.to_owned()) };
        let config = config.replacen("provider = \"file\"\npath", "provider = \"passphrase\"\npath", 1);
        let source = toml::Value::String(source).to_string();
        Ok(config.replacen(&format!("\n{key} = \"\"\n"), &format!("\n{key} = {source}\n"), 1))
    }
}

/// The record of the installation's making: the keys ride in its batch.
struct Made(Draft);

impl Event for Made {
    fn draft(&self) -> &Draft {
        &self.0
    }

    fn lane(&self) -> Lane {
        Lane::Reserve
    }
}

impl Init {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        refuse_to_overwrite(&self.dir)?;
        core_dumps::forbid_here().context("cannot switch core dumps off")?;
        let environment = clock::system();
        let scratch = scratch_beside(&self.dir, &environment)?;
        let built = self.build(&scratch, &environment);
        let moved = built.and_then(|made| {
            fs::rename(&scratch, &self.dir).with_context(|| format!("cannot make `{}`", self.dir.display()))?;
            Ok(made)
        });
        match moved {
            Ok(vkey) => {
                self.explain(context, &vkey);
                Ok(())
            }
            Err(error) => {
                // Nothing of a failed init is worth keeping; what cannot be removed is named by its odd name.
                let _left_behind = fs::remove_dir_all(&scratch);
                Err(error.into())
            }
        }
    }

    /// Builds everything under `dir`; answers the log's vkey.
    fn build(&self, dir: &Path, environment: &Environment) -> anyhow::Result<String> {
        for part in ["", "keys", "data", "policies", "policies/documents", "policies/roles", "policies/tests"] {
            let path = dir.join(part);
            fs::DirBuilder::new().mode(0o700).recursive(true).create(&path)?;
        }
        let origin = match &self.origin {
            Some(origin) => origin.clone(),
            None => format!("localhost/keyward-{}", hex::encode(random::<4>(environment)?)),
        };
        let vkey = write_log_key(dir, &origin, environment)?;
        let mut config = self.passphrase.configure(&TEMPLATE.replace("{origin}", &origin))?;
        if self.dev {
            config.push_str(DEV_ISSUER);
            write_dev_issuer(dir, environment)?;
        }
        write(&dir.join("keyward.toml"), config.as_bytes(), 0o600)?;
        write_policies(&dir.join("policies"), self.dev)?;
        let config = Config::load(&dir.join("keyward.toml"))?;
        let root = setup::root_key_provider(&config, &config.keys).create(&*environment.random)?;
        let (_, keys) = Keyring::initial(&root, environment.clock.wall_us() / 1_000_000, &*environment.random)?;
        let mut settings = setup::log_settings(&config)?;
        // Nobody waits behind this one: a slow disk is no reason to fail.
        settings.limits.deadline = FIRST_WRITE_MAX;
        Log::create(&settings, environment)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let log = Log::open(&settings, environment)?;
            let recorded = log.commit(Made(made(environment)?), changes(keys), ReadSet::default()).await;
            log.stop().await;
            if recorded.is_err() {
                bail!("the making of the installation could not be recorded");
            }
            Ok(())
        })?;
        Ok(vkey)
    }

    fn explain(&self, context: &Context, vkey: &str) {
        let dir = self.dir.display();
        let root = if self.passphrase.is_given() {
            "with the passphrase, the root key; without either no stored value can ever be read again: keep a copy of both"
        } else {
            "without it no stored value can ever be read again: keep a copy elsewhere"
        };
        if context.output.is_json() {
            output::line(&json!({"dir": self.dir, "vkey": vkey, "dev": self.dev}).to_string());
            return;
        }
        output::line(&format!(
            "made {dir}\n\n\
             {dir}/keys/root.key   {root}\n\
             {dir}/keys/log.vkey   give it to whoever is to verify the log:\n  {vkey}\n\
             {dir}/policies        who may do what; nobody may do anything until a policy is attached\n"
        ));
        if self.dev {
            output::line(&format!(
                "user/dev/admin may do everything, user/dev/app may read demo/*. To try it:\n\
                 \x20 keyward --config {dir}/keyward.toml serve &\n\
                 \x20 export KEYWARD_TOKEN=$(keyward --config {dir}/keyward.toml token issue --sub admin)\n\
                 \x20 printf s3cret | keyward secret create demo/db && keyward secret get demo/db"
            ));
        } else {
            output::line(&format!(
                "Next: add an [[issuer]] table to {dir}/keyward.toml, attach policies in {dir}/policies/attachments.json,\n\
                 then `keyward --config {dir}/keyward.toml serve`."
            ));
        }
    }
}

#[cfg(test)]
impl Passphrase {
    fn none() -> Self {
        Self { passphrase_file: None, passphrase_env: None, passphrase_credential: None }
    }
}

/// What `keyward init --dev` makes, in a directory that does not exist.
#[cfg(test)]
pub(crate) fn installed(dir: &Path) {
    let init = Init { dir: dir.to_owned(), origin: None, dev: true, passphrase: Passphrase::none() };
    init.build(dir, &clock::system()).unwrap();
}

fn refuse_to_overwrite(dir: &Path) -> Result<(), Failure> {
    match fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(anyhow!("`{}` exists and is not empty; init never overwrites", dir.display()).into()),
        },
        Err(_) => Ok(()),
    }
}

fn random<const N: usize>(environment: &Environment) -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    environment.random.fill(&mut bytes)?;
    Ok(bytes)
}

fn scratch_beside(dir: &Path, environment: &Environment) -> anyhow::Result<PathBuf> {
    let name = dir.file_name().with_context(|| format!("`{}` names no directory", dir.display()))?;
    let unique = hex::encode(random::<4>(environment)?);
    Ok(dir.with_file_name(format!(".{}.init-{unique}", name.to_string_lossy())))
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let mut options = fs::File::options();
    let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(())
}

fn write_log_key(dir: &Path, origin: &str, environment: &Environment) -> anyhow::Result<String> {
    let seed = Zeroizing::new(random::<32>(environment)?);
    let key = SigningKey::from_seed(origin, &seed).with_context(|| format!("`{origin}` cannot be an origin"))?;
    let vkey = key.verifying_key().to_string();
    let mut text = key.to_text()?;
    text.push('\n');
    write(&dir.join("keys/log.key"), text.as_bytes(), 0o600)?;
    write(&dir.join("keys/log.vkey"), format!("{vkey}\n").as_bytes(), 0o644)?;
    Ok(vkey)
}

fn write_dev_issuer(dir: &Path, environment: &Environment) -> anyhow::Result<()> {
    let issuer = DevIssuer::generate(&*environment.random)?;
    write(&dir.join("keys/dev-issuer.key"), issuer.private_pem().as_bytes(), 0o600)?;
    write(&dir.join("keys/dev-issuer.pub"), issuer.public_pem().as_bytes(), 0o644)
}

fn write_policies(dir: &Path, dev: bool) -> anyhow::Result<()> {
    let dev_documents = if dev { DEV_DOCUMENTS.as_slice() } else { &[] };
    for (name, text) in PRESETS.iter().chain(dev_documents) {
        write(&dir.join(format!("documents/{name}.json")), text.as_bytes(), 0o600)?;
    }
    write(&dir.join("roles/SSM_QCSRole.json"), SERVICE_ROLE.as_bytes(), 0o600)?;
    write(&dir.join("waivers.json"), if dev { DEV_WAIVERS } else { WAIVERS }.as_bytes(), 0o600)?;
    write(&dir.join("tests/keyward.json"), TESTS.as_bytes(), 0o600)?;
    if dev {
        write(&dir.join("tests/dev.json"), DEV_TESTS.as_bytes(), 0o600)?;
    }
    let mut attachments = vec![json!({"policy": "QcloudAccessForSSMRole", "to": ["role/local/SSM_QCSRole"]})];
    if dev {
        attachments.push(json!({"policy": "dev-admin", "to": ["user/dev/admin"]}));
        attachments.push(json!({"policy": "QcloudAuditFullAccess", "to": ["user/dev/admin"]}));
        attachments.push(json!({"policy": "demo-read", "to": ["user/dev/app"]}));
    }
    let all = json!({"version": 1, "groups": {}, "attachments": attachments, "boundaries": []});
    let text = serde_json::to_string_pretty(&all)?;
    write(&dir.join("attachments.json"), format!("{text}\n").as_bytes(), 0o600)
}

fn made(environment: &Environment) -> anyhow::Result<Draft> {
    let mut draft = Draft::new(Kind::System, "keyward:System", "internal", environment.request_id()?);
    draft.outcome = Some(Outcome::Ok);
    draft.principal = Some("service/operator".to_owned());
    draft.parameters.insert("event".to_owned(), Value::from("init"));
    draft.parameters.insert("program".to_owned(), Value::from(crate::PROGRAM));
    Ok(draft)
}

fn changes(writes: Vec<keyward_audit::store::Write>) -> Changes {
    Changes { writes, ..Changes::default() }
}
