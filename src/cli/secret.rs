//! `keyward secret ...`: secrets of a running gateway.

mod reading;
mod value;

pub(super) use reading::answered_value;

use super::client::Client;
use super::output;
use super::{Context, Failure};
use clap::{Subcommand, ValueEnum};
use reading::{batch_get, get, get_ssh, list, versions, with_tags, with_time};
use serde_json::{Value, json};
use std::path::PathBuf;
use value::{Password, ValueFrom, put_value, time};

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
        /// The key that its values are sealed under, for good; `default` if absent
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
        /// When the version expires, as 2027-01-31 or 2027-01-31T12:00:00Z; told and counted, not enforced
        #[arg(long, value_name = "TIME", value_parser = time)]
        expires_at: Option<u64>,
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
        /// When the version expires, as 2027-01-31 or 2027-01-31T12:00:00Z
        #[arg(long, value_name = "TIME", value_parser = time)]
        expires_at: Option<u64>,
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
        /// When the version expires from now on; else that stays as it is
        #[arg(long, value_name = "TIME", value_parser = time)]
        expires_at: Option<u64>,
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
    /// Create an SSH key pair as a secret: the private key is made in the gateway
    #[command(after_help = "Example: keyward secret create-ssh ops/deploy --type ed25519 --key-name deploy")]
    CreateSsh {
        /// The name: letters, digits and / _ + = . @ -
        name: String,
        /// The kind of keys
        #[arg(long = "type", value_enum, default_value_t = SshType::Ed25519)]
        kind: SshType,
        /// The pair's own name, and the comment of its keys: 1 to 25 letters, digits and _
        #[arg(long, value_name = "NAME")]
        key_name: Option<String>,
        /// A project number, kept with the pair
        #[arg(long, default_value_t = 0)]
        project: u64,
        /// Free text
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
        /// A tag; may stand several times
        #[arg(long = "tag", value_name = "KEY=VALUE")]
        tags: Vec<String>,
        /// The key that it is sealed under, for good; `default` if absent
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
    },
    /// Print the private key of an SSH key pair, or write both keys to files
    #[command(
        after_help = "Example: keyward secret get-ssh ops/deploy --to ~/.ssh/deploy      also writes ~/.ssh/deploy.pub"
    )]
    GetSsh {
        /// The secret
        #[arg(required_unless_present = "id")]
        name: Option<String>,
        /// The pair's id, skey-...
        #[arg(long, value_name = "ID")]
        id: Option<String>,
        /// Print the public key instead
        #[arg(long, conflicts_with = "to")]
        public: bool,
        /// A file for the private key, mode 0600; the public one beside it, ending in .pub. Neither may exist
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
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
        /// Only secrets whose current version expires before this, as 2027-01-31 or 2027-01-31T12:00:00Z
        #[arg(long, value_name = "TIME", value_parser = time)]
        expires_before: Option<u64>,
        /// List SSH key pairs instead of custom secrets
        #[arg(long)]
        ssh: bool,
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

/// Kinds of SSH keys.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum SshType {
    Ed25519,
    #[value(name = "rsa-3072")]
    Rsa3072,
    #[value(name = "rsa-4096")]
    Rsa4096,
}

/// States that a list can be filtered by, in the order of their codes, which begin at 1.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum StateFilter {
    Enabled,
    Disabled,
    PendingDelete,
}

impl Secret {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let client = Client::new(context)?;
        let out = &context.output;
        match self {
            Self::Create { name, value, generate, password, version, description, tags, key, expires_at } => {
                let tags: Result<Vec<Value>, Failure> = tags.iter().map(|tag| tag_value(tag)).collect();
                let mut parameters = json!({"SecretName": name, "Description": description, "Tags": tags?});
                set(&mut parameters, "VersionId", version.map(Value::from));
                set(&mut parameters, "KmsKeyId", key.map(Value::from));
                set(&mut parameters, "ExpiresAt", expires_at.map(Value::from));
                if generate {
                    let password = password.generate()?;
                    put_value(&mut parameters, password.expose(), false);
                } else {
                    value.put_into(&mut parameters)?;
                }
                out.object(&client.call("CreateSecret", &parameters)?);
            }
            Self::Put { name, version, value, stage, expires_at } => {
                let mut parameters = json!({"SecretName": name, "VersionId": version, "Stage": stage});
                set(&mut parameters, "ExpiresAt", expires_at.map(Value::from));
                value.put_into(&mut parameters)?;
                out.object(&client.call("PutSecretValue", &parameters)?);
            }
            Self::Update { name, version, value, expires_at } => {
                let mut parameters = json!({"SecretName": name, "VersionId": version});
                set(&mut parameters, "ExpiresAt", expires_at.map(Value::from));
                value.put_into(&mut parameters)?;
                out.object(&client.call("UpdateSecret", &parameters)?);
            }
            Self::Get { name, version, to } => get(context, &client, &name, version, to)?,
            Self::BatchGet { secrets } => batch_get(context, &client, &secrets)?,
            Self::CreateSsh { name, kind, key_name, project, description, tags, key } => {
                let tags: Result<Vec<Value>, Failure> = tags.iter().map(|tag| tag_value(tag)).collect();
                let mut parameters = json!({
                    "SecretName": name, "ProjectId": project, "Description": description, "Tags": tags?,
                    "KeyType": kind.to_possible_value().map(|kind| kind.get_name().to_owned()),
                });
                set(&mut parameters, "SSHKeyName", key_name.map(Value::from));
                set(&mut parameters, "KmsKeyId", key.map(Value::from));
                out.object(&client.call("CreateSSHKeyPairSecret", &parameters)?);
            }
            Self::GetSsh { name, id, public, to } => {
                let mut parameters = json!({});
                set(&mut parameters, "SecretName", name.map(Value::from));
                set(&mut parameters, "SSHKeyId", id.map(Value::from));
                get_ssh(context, &client.call("GetSSHKeyPairValue", &parameters)?, public, to)?;
            }
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
                out.object(&with_time(context, with_tags(context, described), "ExpiresAt", "Expires"));
            }
            Self::List { search, tags, state, expires_before, ssh, offset, limit } => {
                let filters: Vec<Value> = tags.iter().map(|tag| tag_filter(tag)).collect();
                let state = state.map_or(0, |state| state as u64 + 1);
                let mut parameters = json!({
                    "SearchSecretName": search, "TagFilters": filters, "State": state, "Offset": offset, "Limit": limit,
                    "SecretType": if ssh { 2 } else { 0 },
                });
                set(&mut parameters, "ExpiresBefore", expires_before.map(Value::from));
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

fn tag_filter(text: &str) -> Value {
    match text.split_once('=') {
        Some((key, value)) => json!({"TagKey": key, "TagValue": [value]}),
        None => json!({"TagKey": text}),
    }
}
