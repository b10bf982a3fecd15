//! `keyward secret ...`: secrets of a running gateway.

use super::client::Client;
use super::output;
use super::{Context, Failure};
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Largest value that the command line reads; the gateway's own limit may be lower.
const VALUE_BYTES_MAX: u64 = 65_536;

#[derive(Subcommand)]
pub(super) enum Secret {
    /// Create a secret; its value comes from standard input or --from
    #[command(after_help = "Example: printf %s \"$PASSWORD\" | keyward secret create demo/db --tag env=prod")]
    Create {
        /// The name: letters, digits and / _ + = . @ -
        name: String,
        #[command(flatten)]
        value: ValueFrom,
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
    /// Show a secret's metadata, never its value
    Describe {
        /// The secret
        name: String,
    },
    /// List secrets, newest first
    List {
        /// Only names that hold this text
        #[arg(long, value_name = "TEXT", default_value = "")]
        search: String,
        /// Only secrets with this tag (KEY or KEY=VALUE); may stand several times
        #[arg(long = "tag", value_name = "KEY[=VALUE]")]
        tags: Vec<String>,
        /// Pass over so many
        #[arg(long, default_value_t = 0)]
        offset: u64,
        /// Show at most so many (1 to 200)
        #[arg(long, default_value_t = 20)]
        limit: u64,
    },
    /// List a secret's versions
    Versions {
        /// The secret
        name: String,
    },
    /// Make a version the one that reads serve
    SetCurrent {
        /// The secret
        name: String,
        /// The version
        version: String,
    },
    /// Make a disabled secret readable
    Enable {
        /// The secret
        name: String,
    },
    /// Make a secret unreadable until it is enabled again
    Disable {
        /// The secret
        name: String,
    },
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

impl Secret {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let client = Client::new(context)?;
        let out = &context.output;
        match self {
            Self::Create { name, value, version, description, tags } => {
                let tags: Result<Vec<Value>, Failure> = tags.iter().map(|tag| tag_value(tag)).collect();
                let mut parameters = json!({"SecretName": name, "Description": description, "Tags": tags?});
                set(&mut parameters, "VersionId", version.map(Value::from));
                value.put_into(&mut parameters)?;
                out.object(&client.call("CreateSecret", &parameters)?);
            }
            Self::Put { name, version, value, stage } => {
                let mut parameters = json!({"SecretName": name, "VersionId": version, "Stage": stage});
                value.put_into(&mut parameters)?;
                out.object(&client.call("PutSecretValue", &parameters)?);
            }
            Self::Get { name, version, to } => get(context, &client, &name, version, to)?,
            Self::Describe { name } => out.object(&client.call("DescribeSecret", &json!({"SecretName": name}))?),
            Self::List { search, tags, offset, limit } => list(context, &client, &search, &tags, offset, limit)?,
            Self::Versions { name } => versions(context, &client, &name)?,
            Self::SetCurrent { name, version } => {
                let parameters = json!({"SecretName": name, "VersionId": version});
                out.object(&client.call("SetCurrentVersion", &parameters)?);
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
        match std::str::from_utf8(&bytes) {
            Ok(text) if !self.binary => set(parameters, "SecretString", Some(Value::from(text))),
            _ => set(parameters, "SecretBinary", Some(Value::from(STANDARD.encode(&*bytes)))),
        }
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

fn list(
    context: &Context,
    client: &Client,
    search: &str,
    tags: &[String],
    offset: u64,
    limit: u64,
) -> Result<(), Failure> {
    let filters: Vec<Value> = tags
        .iter()
        .map(|tag| match tag.split_once('=') {
            Some((key, value)) => json!({"TagKey": key, "TagValue": [value]}),
            None => json!({"TagKey": tag}),
        })
        .collect();
    let parameters = json!({"SearchSecretName": search, "TagFilters": filters, "Offset": offset, "Limit": limit});
    let answer = client.call("ListSecrets", &parameters)?;
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
fn with_times(context: &Context, mut rows: Vec<Value>) -> Vec<Value> {
    if context.output.is_json() {
        return rows;
    }
    for row in &mut rows {
        let text = row.get("CreateTime").and_then(Value::as_u64).map(output::utc);
        set(row, "Created", text.map(Value::from));
    }
    rows
}
