//! `keyward import`: secrets of another endpoint, copied with all of their versions into this gateway.
//!
//! What is here already stays as it is and is passed over, version by version, so an import that was cut off goes on when it is asked
//! for again. Values go from answer to request and are shown nowhere.

mod source;

use super::client::{Client, Refused};
use super::output::Column;
use super::{Context, Failure};
use crate::clock;
use anyhow::anyhow;
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use source::{CallError, Listed, Source};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Where the vendor's service is.
const ENDPOINT: &str = "https://ssm.tencentcloudapi.com";

#[derive(clap::Args)]
#[command(after_help = "Examples:
  export TENCENTCLOUD_SECRET_ID=... TENCENTCLOUD_SECRET_KEY=...    # TENCENTCLOUD_TOKEN, too, with a temporary key
  keyward import --from tencent --region ap-guangzhou
  keyward import --from tencent --endpoint https://keyward-1.corp.example:8743 --from-cacert corp-ca.pem --prefix prod/

The secrets are read as the SDK reads them and stored by KEYWARD_ADDR and KEYWARD_TOKEN, oldest version first. Disabled ones, those that wait \
    for their deletion, and SSH keys and database accounts, which their service makes, cannot be copied: they are listed, and the exit code is 1.
Run it again after it was cut off, or to fetch what was added: versions that are here already are passed over.")]
pub(super) struct Import {
    /// What kind of service the secrets are in
    #[arg(long, value_enum, value_name = "TYPE")]
    from: Kind,
    /// Its address
    #[arg(long, value_name = "URL", default_value = ENDPOINT)]
    endpoint: String,
    /// Its region [env: TENCENTCLOUD_REGION]
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
    /// PEM certificates of the only authorities to trust there, instead of the system's
    #[arg(long, value_name = "FILE")]
    from_cacert: Option<PathBuf>,
    /// Only secrets whose names begin so
    #[arg(long, value_name = "PREFIX", default_value = "")]
    prefix: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Tencent Cloud SSM, or what speaks its API 3.0, such as another keyward
    Tencent,
}

/// What came of it so far.
#[derive(Default)]
struct Tally {
    secrets: u64,
    versions: u64,
    present: u64,
    left: Vec<Value>,
}

/// Why a secret was not copied.
enum Stop {
    /// This one cannot be; others may.
    Secret(String),
    /// Nothing more can be.
    All(Failure),
}

impl Import {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let of_variable = || std::env::var("TENCENTCLOUD_REGION").ok().filter(|region| !region.is_empty());
        let region = self.region.or_else(of_variable);
        let Kind::Tencent = self.from;
        let clock = clock::system().clock;
        let source = Source::new(self.endpoint.trim_end_matches('/'), region, self.from_cacert.as_deref(), clock)?;
        let client = Client::new(context)?;
        let mut listed = source.list().map_err(whole)?;
        listed.retain(|secret| secret.secret_name.starts_with(&self.prefix));
        let tally = copy_all(&source, &client, &listed)?;
        tally.tell(context, &self.endpoint)
    }
}

fn copy_all(source: &Source, client: &Client, listed: &[Listed]) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    let style =
        ProgressStyle::with_template("{bar:30} {pos}/{len} secrets").unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(u64::try_from(listed.len()).unwrap_or(u64::MAX)).with_style(style);
    for secret in listed {
        match copy(source, client, secret, &mut tally) {
            Ok(()) => tally.secrets = tally.secrets.saturating_add(1),
            Err(Stop::Secret(why)) => tally.left.push(json!({"SecretName": secret.secret_name, "Reason": why})),
            Err(Stop::All(failure)) => {
                bar.finish_and_clear();
                return Err(failure);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(tally)
}

/// Copies what of a secret is not here yet.
fn copy(source: &Source, client: &Client, secret: &Listed, tally: &mut Tally) -> Result<(), Stop> {
    let name = secret.secret_name.as_str();
    if secret.secret_type != 0 {
        return Err(Stop::Secret("its service makes its values: an SSH key or a database account".to_owned()));
    }
    if secret.status != "Enabled" {
        return Err(Stop::Secret(format!("it is {} there, so that its values cannot be read", secret.status)));
    }
    let mut here = versions_here(client, name)?;
    for version in source.versions(name).map_err(of_source)? {
        if here.as_ref().is_some_and(|here| here.contains(&version)) {
            tally.present = tally.present.saturating_add(1);
            continue;
        }
        let value = source.value(name, &version).map_err(of_source)?;
        let (field, text) =
            if value.binary.is_empty() { ("SecretString", &value.text) } else { ("SecretBinary", &value.binary) };
        let mut parameters = json!({"SecretName": name, "VersionId": version, field: text.as_str()});
        let action = if here.is_some() {
            "PutSecretValue"
        } else {
            let description = source.description(name).map_err(of_source)?;
            if let Some(fields) = parameters.as_object_mut().filter(|_| !description.is_empty()) {
                fields.insert("Description".to_owned(), Value::from(description));
            }
            "CreateSecret"
        };
        client.call(action, &parameters).map_err(of_gateway)?;
        here.get_or_insert_default().insert(version);
        tally.versions = tally.versions.saturating_add(1);
    }
    Ok(())
}

/// The versions of a secret of that name that this gateway has; none if there is no such secret.
fn versions_here(client: &Client, name: &str) -> Result<Option<BTreeSet<String>>, Stop> {
    let listed = match client.call("ListSecretVersionIds", &json!({"SecretName": name})) {
        Ok(listed) => listed,
        Err(Failure::Refused(refused)) if refused.status == 404 => return Ok(None),
        Err(failure) => return Err(of_gateway(failure)),
    };
    let versions = listed.get("Versions").and_then(Value::as_array).into_iter().flatten();
    let ids = versions.filter_map(|version| version.get("VersionId")?.as_str());
    Ok(Some(ids.map(str::to_owned).collect()))
}

/// What this gateway refuses of one secret it may grant of others, unless it does not know who asks.
fn of_gateway(failure: Failure) -> Stop {
    match failure {
        Failure::Refused(refused) if refused.status != 401 => {
            let Refused { code, message, .. } = *refused;
            Stop::Secret(format!("this gateway: {code}: {message}"))
        }
        other => Stop::All(other),
    }
}

fn of_source(error: CallError) -> Stop {
    match error {
        CallError::Said(said) if !said.code.starts_with("AuthFailure") => Stop::Secret(format!("there: {said}")),
        other => Stop::All(whole(other)),
    }
}

fn whole(error: CallError) -> Failure {
    match error {
        CallError::Said(said) => Failure::Failed(anyhow!("the endpoint to import from: {said}")),
        CallError::Failed(error) => Failure::Failed(error),
    }
}

impl Tally {
    fn tell(self, context: &Context, endpoint: &str) -> Result<(), Failure> {
        let Self { secrets, versions, present, left } = self;
        let count = left.len();
        let answer = json!({"Secrets": secrets, "Versions": versions, "Present": present, "Left": left});
        let sentence = format!(
            "copied {versions} versions of {secrets} secrets from {endpoint}; {present} versions were here already"
        );
        context.output.done(&answer, &sentence);
        if count == 0 {
            return Ok(());
        }
        if !context.output.is_json() {
            context.output.rows(&[Column::name("not copied", "/SecretName"), Column::from(("why", "/Reason"))], &left);
        }
        Err(Failure::Failed(anyhow!("{count} secrets were not copied")))
    }
}
