//! `keyward secret ...`: secrets of a running gateway.

use super::client::Client;
use super::output;
use super::{Context, Failure};
use crate::clock;
use crate::secret::Plaintext;
use crate::secret::password::{PASSWORD_CHARACTERS, PasswordRules};
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Largest value that the command line reads; the gateway's own limit may be lower.
const VALUE_BYTES_MAX: u64 = 65_536;

#[derive(Subcommand)]
pub(super) enum Secret {
    /// Create a secret; its value comes from standard input, --from or --generate
    #[command(after_help = "Examples:
  printf %s \"$PASSWORD\" | keyward secret create demo/db --tag env=prod
  keyward secret create demo/db --generate --exclude '\"\\'      nobody sees the value until it is read")]
    Create {
        /// The name: letters, digits and / _ + = . @ -
        name: String,
        #[command(flatten)]
        value: ValueFrom,
        /// Make a random password the value
        #[arg(long, conflicts_with_all = ["from", "binary"])]
        generate: bool,
        #[command(flatten)]
        password: Password,
        /// The first version's id
        #[arg(long, value_name = "ID")]
        version: Option<String>,
        /// Free text
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
        /// A tag; may stand several times
        #[arg(long = "tag", value_name = "KEY=VALUE")]
        tags: Vec<String>,
    },
    /// Add a version; it becomes current unless --stage
    #[command(after_help = "Example: keyward secret put demo/db v2 --from new-password.txt")]
    Put {
        /// The secret
        name: String,
        /// The new version's id
        version: String,
        #[command(flatten)]
        value: ValueFrom,
        /// Leave the current version as it is
        #[arg(long)]
        stage: bool,
    },
    /// Replace a version's value in place, without history
    #[command(after_help = "Example: keyward secret update demo/db v2 --from corrected-password.txt

The value before is gone: its row is deleted with the record of the update. Backups still hold it.")]
    Update {
        /// The secret
        name: String,
        /// The version, which exists
        version: String,
        #[command(flatten)]
        value: ValueFrom,
    },
    /// Print a value to standard output, or write it to a file of mode 0600
    #[command(after_help = "Example: keyward secret get demo/db --to db-password.txt")]
    Get {
        /// The secret
        name: String,
        /// The version; the current one if absent
        #[arg(long, value_name = "ID")]
        version: Option<String>,
        /// A file to write the value to; must not exist
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Read several secrets in one call, each allowed and recorded by itself
    #[command(after_help = "Example: keyward --output json secret batch-get demo/db demo/api:v2

Prints what it got, and an error line for each of the others; exits 3 if one was denied, 1 if one failed.")]
    BatchGet {
        /// Secrets, 1 to 20; a version behind a colon, else the current one
        #[arg(value_name = "NAME[:VERSION]", required = true)]
        secrets: Vec<String>,
    },
    /// Print a random password; nothing is stored
    #[command(after_help = "Example: keyward secret random-password --length 20 --no-punctuation")]
    RandomPassword {
        #[command(flatten)]
        password: Password,
    },
    /// Show a secret's metadata and tags, never its value
    #[command(after_help = "Example: keyward secret describe demo/db")]
    Describe {
        /// The secret
        name: String,
    },
    /// List secrets, newest first
    #[command(after_help = "Example: keyward secret list --search demo/ --tag env=prod --state pending-delete")]
    List {
        /// Only names that hold this text
        #[arg(long, value_name = "TEXT", default_value = "")]
        search: String,
        /// Only secrets with this tag (KEY or KEY=VALUE); may stand several times
        #[arg(long = "tag", value_name = "KEY[=VALUE]")]
        tags: Vec<String>,
        /// Only secrets in this state
        #[arg(long, value_enum)]
        state: Option<StateFilter>,
        /// Pass over so many
        #[arg(long, default_value_t = 0)]
        offset: u64,
        /// Show at most so many (1 to 200)
        #[arg(long, default_value_t = 20)]
        limit: u64,
    },
    /// List a secret's versions
    #[command(after_help = "Example: keyward secret versions demo/db")]
    Versions {
        /// The secret
        name: String,
    },
    /// Make a version the one that reads serve
    #[command(after_help = "Example: keyward secret set-current demo/db v1")]
    SetCurrent {
        /// The secret
        name: String,
        /// The version
        version: String,
    },
    /// Replace a secret's description; an empty text clears it
    #[command(after_help = "Example: keyward secret set-description demo/db 'billing database, owner: payments'")]
    SetDescription {
        /// The secret
        name: String,
        /// Free text, at most 2048 bytes
        text: String,
    },
    /// Add tags; a value takes the place of that of an equal key
    #[command(after_help = "Example: keyward secret tag demo/db env=prod team=pay")]
    Tag {
        /// The secret
        name: String,
        /// Tags
        #[arg(value_name = "KEY=VALUE", required = true)]
        tags: Vec<String>,
    },
    /// Take tags off
    #[command(after_help = "Example: keyward secret untag demo/db team")]
    Untag {
        /// The secret
        name: String,
        /// Keys of tags
        #[arg(value_name = "KEY", required = true)]
        keys: Vec<String>,
    },
    /// Make a disabled secret readable
    #[command(after_help = "Example: keyward secret enable demo/db")]
    Enable {
        /// The secret
        name: String,
    },
    /// Make a secret unreadable until it is enabled again
    #[command(after_help = "Example: keyward secret disable demo/db")]
    Disable {
        /// The secret
        name: String,
    },
    /// Delete a disabled secret: after a window in which it can be restored, or at once
    #[command(after_help = "Examples:
  keyward secret disable demo/db && keyward secret delete demo/db --window 7
  keyward secret delete demo/db --now

What is deleted leaves the store and its files; backups made before still hold the sealed values.")]
    Delete {
        /// The secret
        name: String,
        /// Days in which it can be restored (1 to 30)
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=30), required_unless_present = "now")]
        window: Option<u64>,
        /// Delete at once; nothing brings it back
        #[arg(long, conflicts_with = "window")]
        now: bool,
    },
    /// Take a deletion back while its window lasts; the secret is disabled then
    #[command(after_help = "Example: keyward secret restore demo/db && keyward secret enable demo/db")]
    Restore {
        /// The secret
        name: String,
    },
    /// Delete one version and its value
    #[command(after_help = "Example: keyward secret delete-version demo/db v1

Of the current version, the version added last of those not staged takes the place. Backups still hold the sealed value.")]
    DeleteVersion {
        /// The secret
        name: String,
        /// The version
        version: String,
    },
}

/// States that a list can be filtered by, in the order of their codes, which begin at 1.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum StateFilter {
    Enabled,
    Disabled,
    PendingDelete,
}

/// Where a value comes from: never an argument, which every user of the machine can see.
#[derive(Args)]
pub(super) struct ValueFrom {
    /// A file that holds the value; standard input if absent
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Store the bytes as they are, even if they are text
    #[arg(long)]
    binary: bool,
}

/// What a random password is made of: letters, digits and signs, at least one of each kind.
#[derive(Args)]
pub(super) struct Password {
    /// How many characters (1 to 4096)
    #[arg(long, value_name = "CHARACTERS", default_value_t = PASSWORD_CHARACTERS)]
    length: usize,
    /// Characters that it must not hold
    #[arg(long, value_name = "CHARACTERS", default_value = "")]
    exclude: String,
    /// Letters and digits alone
    #[arg(long)]
    no_punctuation: bool,
}

impl Password {
    /// Made here, of this machine's random bytes.
    fn generate(&self) -> Result<Plaintext, Failure> {
        let rules = PasswordRules {
            length: self.length,
            exclude: self.exclude.clone(),
            exclude_punctuation: self.no_punctuation,
            ..PasswordRules::default()
        };
        rules.generate(&*clock::system().random).map_err(|error| Failure::Usage(error.to_string()))
    }
}

impl Secret {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let client = Client::new(context)?;
        let out = &context.output;
        match self {
            Self::Create { name, value, generate, password, version, description, tags } => {
                let tags: Result<Vec<Value>, Failure> = tags.iter().map(|tag| tag_value(tag)).collect();
                let mut parameters = json!({"SecretName": name, "Description": description, "Tags": tags?});
                set(&mut parameters, "VersionId", version.map(Value::from));
                if generate {
                    let password = password.generate()?;
                    put_value(&mut parameters, password.expose(), false);
                } else {
                    value.put_into(&mut parameters)?;
                }
                out.object(&client.call("CreateSecret", &parameters)?);
            }
            Self::Put { name, version, value, stage } => {
                let mut parameters = json!({"SecretName": name, "VersionId": version, "Stage": stage});
                value.put_into(&mut parameters)?;
                out.object(&client.call("PutSecretValue", &parameters)?);
            }
            Self::Update { name, version, value } => {
                let mut parameters = json!({"SecretName": name, "VersionId": version});
                value.put_into(&mut parameters)?;
                out.object(&client.call("UpdateSecret", &parameters)?);
            }
            Self::Get { name, version, to } => get(context, &client, &name, version, to)?,
            Self::BatchGet { secrets } => batch_get(context, &client, &secrets)?,
            Self::RandomPassword { password } => {
                let parameters = json!({
                    "PasswordLength": password.length, "ExcludeCharacters": password.exclude,
                    "ExcludePunctuation": password.no_punctuation,
                });
                let answer = client.call("GetRandomPassword", &parameters)?;
                match answer.get("RandomPassword").and_then(Value::as_str) {
                    Some(password) if !context.output.is_json() => output::line(password),
                    _ => out.object(&answer),
                }
            }
            Self::Describe { name } => {
                let described = client.call("DescribeSecret", &json!({"SecretName": name}))?;
                out.object(&with_tags(context, described));
            }
            Self::List { search, tags, state, offset, limit } => {
                let filters: Vec<Value> = tags.iter().map(|tag| tag_filter(tag)).collect();
                let state = state.map_or(0, |state| state as u64 + 1);
                let parameters = json!({
                    "SearchSecretName": search, "TagFilters": filters, "State": state, "Offset": offset, "Limit": limit,
                });
                list(context, &client, &parameters)?;
            }
            Self::Versions { name } => versions(context, &client, &name)?,
            Self::SetCurrent { name, version } => {
                let parameters = json!({"SecretName": name, "VersionId": version});
                out.object(&client.call("SetCurrentVersion", &parameters)?);
            }
            Self::SetDescription { name, text } => {
                let parameters = json!({"SecretName": name, "Description": text});
                out.object(&client.call("UpdateDescription", &parameters)?);
            }
            Self::Tag { name, tags } => {
                let tags: Result<Vec<Value>, Failure> = tags.iter().map(|tag| tag_value(tag)).collect();
                out.object(&client.call("TagResource", &json!({"SecretName": name, "Tags": tags?}))?);
            }
            Self::Untag { name, keys } => {
                out.object(&client.call("UntagResource", &json!({"SecretName": name, "TagKeys": keys}))?);
            }
            Self::Delete { name, window, now: _ } => {
                let parameters = json!({"SecretName": name, "RecoveryWindowInDays": window.unwrap_or(0)});
                out.object(&with_time(context, client.call("DeleteSecret", &parameters)?, "DeleteTime", "Deleted"));
            }
            Self::Restore { name } => out.object(&client.call("RestoreSecret", &json!({"SecretName": name}))?),
            Self::DeleteVersion { name, version } => {
                let parameters = json!({"SecretName": name, "VersionId": version});
                out.object(&client.call("DeleteSecretVersion", &parameters)?);
            }
            Self::Enable { name } => out.object(&client.call("EnableSecret", &json!({"SecretName": name}))?),
            Self::Disable { name } => out.object(&client.call("DisableSecret", &json!({"SecretName": name}))?),
        }
        Ok(())
    }
}

fn set(parameters: &mut Value, name: &str, value: Option<Value>) {
    if let (Some(object), Some(value)) = (parameters.as_object_mut(), value) {
        object.insert(name.to_owned(), value);
    }
}

fn tag_value(text: &str) -> Result<Value, Failure> {
    let (key, value) = text.split_once('=').ok_or_else(|| Failure::Usage(format!("`{text}` is not KEY=VALUE")))?;
    Ok(json!({"TagKey": key, "TagValue": value}))
}

impl ValueFrom {
    fn put_into(&self, parameters: &mut Value) -> Result<(), Failure> {
        let bytes = self.read()?;
        if bytes.is_empty() {
            return Err(Failure::Usage("the value is empty".to_owned()));
        }
        put_value(parameters, &bytes, self.binary);
        Ok(())
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(8_192));
        match &self.from {
            Some(file) => {
                let opened = std::fs::File::open(file).with_context(|| format!("cannot read `{}`", file.display()))?;
                opened.take(VALUE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
            }
            None if std::io::stdin().is_terminal() => {
                let text = "give the value on standard input or with --from FILE; it is never taken from arguments";
                return Err(Failure::Usage(text.to_owned()));
            }
            None => {
                std::io::stdin().lock().take(VALUE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
            }
        }
        Ok(bytes)
    }
}

/// Adds a value: as text if it is some and may be.
fn put_value(parameters: &mut Value, bytes: &[u8], binary: bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) if !binary => set(parameters, "SecretString", Some(Value::from(text))),
        _ => set(parameters, "SecretBinary", Some(Value::from(STANDARD.encode(bytes)))),
    }
}

/// The bytes of a value in an answer.
pub(super) fn answered_value(answer: &Value) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let field = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    match (field("SecretString"), field("SecretBinary")) {
        ("", binary) => Ok(Zeroizing::new(STANDARD.decode(binary).context("the answer is not base64")?)),
        (text, _) => Ok(Zeroizing::new(text.as_bytes().to_vec())),
    }
}

fn get(
    context: &Context,
    client: &Client,
    name: &str,
    version: Option<String>,
    to: Option<PathBuf>,
) -> Result<(), Failure> {
    let mut parameters = json!({"SecretName": name});
    set(&mut parameters, "VersionId", version.map(Value::from));
    let answer = client.call("GetSecretValue", &parameters)?;
    if let Some(file) = to {
        let mut opened = output::new_private_file(&file)?;
        opened.write_all(&answered_value(&answer)?)?;
        opened.sync_all()?;
    } else if context.output.is_json() {
        output::line(&answer.to_string());
    } else {
        let value = answered_value(&answer)?;
        let mut out = std::io::stdout().lock();
        out.write_all(&value)?;
        if out.is_terminal() && !value.ends_with(b"\n") {
            out.write_all(b"\n")?;
        }
        out.flush()?;
    }
    Ok(())
}

/// Reads several secrets; what was refused is told on standard error, and in the exit code.
fn batch_get(context: &Context, client: &Client, secrets: &[String]) -> Result<(), Failure> {
    let items = secrets.iter().map(|text| match text.split_once(':') {
        Some((name, version)) => json!({"SecretName": name, "VersionId": version}),
        None => json!({"SecretName": text}),
    });
    let answer = client.call("BatchGetSecretValue", &json!({"Secrets": items.collect::<Vec<_>>()}))?;
    let list = |field: &str| answer.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    let columns =
        [("name", "/SecretName"), ("version", "/VersionId"), ("text", "/SecretString"), ("base64", "/SecretBinary")];
    context.output.rows(&columns, &list("SecretValues"));
    let mut denied = None;
    let mut failed = None;
    for error in list("Errors") {
        let text = |field: &str| error.get(field).and_then(Value::as_str).unwrap_or("?").to_owned();
        let item = error.get("Item").and_then(Value::as_u64).and_then(|item| secrets.get(usize::try_from(item).ok()?));
        let message = format!("{}: {}: {}", item.map_or("?", String::as_str), text("Code"), text("Message"));
        context.output.error(&message);
        if text("Code") == "UnauthorizedOperation" { denied = Some(message) } else { failed = Some(message) }
    }
    let some = |what: &str| format!("some of the secrets were {what}");
    match (denied, failed) {
        (Some(_), _) => Err(Failure::Denied(some("denied"))),
        (None, Some(_)) => Err(Failure::Failed(anyhow::anyhow!(some("not read")))),
        (None, None) => Ok(()),
    }
}

fn tag_filter(text: &str) -> Value {
    match text.split_once('=') {
        Some((key, value)) => json!({"TagKey": key, "TagValue": [value]}),
        None => json!({"TagKey": text}),
    }
}

fn list(context: &Context, client: &Client, parameters: &Value) -> Result<(), Failure> {
    let answer = client.call("ListSecrets", parameters)?;
    let rows = answer.get("SecretMetadatas").and_then(Value::as_array).cloned().unwrap_or_default();
    let columns =
        [("name", "/SecretName"), ("status", "/Status"), ("created", "/Created"), ("description", "/Description")];
    context.output.rows(&columns, &with_times(context, rows));
    let total = answer.get("TotalCount").and_then(Value::as_u64).unwrap_or_default();
    context.output.say(&format!("{total} in all"));
    Ok(())
}

fn versions(context: &Context, client: &Client, name: &str) -> Result<(), Failure> {
    let answer = client.call("ListSecretVersionIds", &json!({"SecretName": name}))?;
    let rows = answer.get("Versions").and_then(Value::as_array).cloned().unwrap_or_default();
    let columns = [("version", "/VersionId"), ("created", "/Created"), ("current", "/Current"), ("staged", "/Staged")];
    context.output.rows(&columns, &with_times(context, rows));
    Ok(())
}

/// Adds a readable time of creation, for tables; programs get the answer's own fields.
fn with_times(context: &Context, rows: Vec<Value>) -> Vec<Value> {
    rows.into_iter().map(|row| with_time(context, row, "CreateTime", "Created")).collect()
}

/// Writes tags as they are given, for tables.
fn with_tags(context: &Context, mut row: Value) -> Value {
    if let (false, Some(tags)) = (context.output.is_json(), row.get("Tags").and_then(Value::as_array)) {
        let text = |tag: &Value, field: &str| tag.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let tags = tags.iter().map(|tag| format!("{}={}", text(tag, "TagKey"), text(tag, "TagValue")));
        let tags: Vec<String> = tags.collect();
        set(&mut row, "Tags", Some(Value::from(tags)));
    }
    row
}

/// Adds a field in epoch seconds under another name in readable form, for tables.
fn with_time(context: &Context, mut row: Value, field: &str, shown: &str) -> Value {
    if !context.output.is_json() {
        let text = row.get(field).and_then(Value::as_u64).map(output::utc);
        set(&mut row, shown, text.map(Value::from));
    }
    row
}
