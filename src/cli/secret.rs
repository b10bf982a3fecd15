//! `keyward secret ...`: secrets of a running gateway.

mod edit;
mod reading;
mod value;
mod writing;

pub(super) use reading::answered_value;

use super::client::Client;
use super::instant::time;
use super::prompt::Sure;
use super::{Context, Failure, output};
use clap::{Subcommand, ValueEnum};
use reading::{batch_get, describe, get, get_ssh, list, random_password, versions};
use serde_json::{Value, json};
use std::path::PathBuf;
use value::{Password, ValueFrom};
use writing::{Dated, create, create_ssh, delete, delete_version, put, tag_filter, update, with_tags};

#[derive(Subcommand)]
pub(super) enum Secret {
    /// Create a secret; its value comes from standard input, --from or --generate
    #[command(after_help = "Examples:
  printf %s \"$PASSWORD\" | keyward secret create demo/db --tag env=prod
  keyward secret create demo/cert --from cert.pem --expires-at 2027-01-31 --description 'TLS of demo'
  keyward secret create demo/api --generate --length 40 --exclude '\"\\'      # nobody sees the value until it is read

A value is never taken from an argument, which every user of the machine can see.")]
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
        #[arg(long, value_name = "VERSION")]
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
    #[command(after_help = "Examples:
  keyward secret put demo/db v2 --from new-password.txt
  keyward secret put demo/db v3 --stage <next.txt && keyward secret set-current demo/db v3")]
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
    #[command(after_help = "Examples:
  keyward secret update demo/db v2 --from corrected-password.txt

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
    #[command(after_help = "Examples:
  keyward secret get demo/db
  keyward secret get demo/db --version v1 --to old-password.txt
  keyward --output json secret get demo/db      # with version and request id; SecretBinary is base64")]
    Get {
        /// The secret
        name: String,
        /// The version; the current one if absent
        #[arg(long, value_name = "VERSION")]
        version: Option<String>,
        /// A file to write the value to; must not exist
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Change a text value in an editor; what comes out is a new version
    #[command(after_help = "Examples:
  keyward secret edit demo/db
  VISUAL='vim -n -i NONE' keyward secret edit demo/db --version v2      # vim without swap file and history

The editor is $VISUAL, else $EDITOR, else vi. It gets a file of mode 0600 in a directory of its own in memory
($XDG_RUNTIME_DIR or /dev/shm, used only if it is a tmpfs), which is wiped and removed when the editor ends, also on
signals; its TMPDIR is the same, and core dumps are off. What is in memory can still reach the disk by swap: switch
it off or encrypt it. Text that is left as it was stores nothing. Text is stored only while the version that was
edited is still the current one, with the value that was edited; else exit is 1, and the text is kept in that
directory: it is said where, and how to store it.")]
    Edit {
        /// The secret
        name: String,
        /// The new version's id; else one made from the time, as edit-20270131-120000
        #[arg(long, value_name = "VERSION")]
        version: Option<String>,
    },
    /// Read several secrets in one call, each allowed and recorded by itself
    #[command(after_help = "Examples:
  keyward secret batch-get demo/db demo/api
  keyward --output json secret batch-get demo/db demo/api:v2

Prints what it got, and an error line for each of the others; exits 3 if one was denied, 1 if one failed.")]
    BatchGet {
        /// Secrets, 1 to 20; a version behind a colon, else the current one
        #[arg(value_name = "NAME[:VERSION]", required = true)]
        secrets: Vec<String>,
    },
    /// Create an SSH key pair as a secret: the private key is made in the gateway
    #[command(after_help = "Examples:
  keyward secret create-ssh ops/deploy --key-name deploy
  keyward secret create-ssh ops/legacy --type rsa-4096 --tag team=ops")]
    CreateSsh {
        /// The name: letters, digits and / _ + = . @ -
        name: String,
        /// The kind of keys
        #[arg(long = "type", value_enum, value_name = "TYPE", default_value_t = SshType::Ed25519)]
        kind: SshType,
        /// The pair's own name, and the comment of its keys: 1 to 25 letters, digits and _
        #[arg(long, value_name = "NAME")]
        key_name: Option<String>,
        /// A project number, kept with the pair
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
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
    #[command(after_help = "Examples:
  keyward secret get-ssh ops/deploy --to ~/.ssh/deploy      # also writes ~/.ssh/deploy.pub
  keyward secret get-ssh ops/deploy | ssh-add -
  keyward secret get-ssh --id skey-0a1b2c3d --public")]
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
    #[command(after_help = "Examples:
  keyward secret random-password --length 20 --no-punctuation
  keyward secret create demo/api --generate --length 20      # to keep one without seeing it")]
    RandomPassword {
        #[command(flatten)]
        password: Password,
    },
    /// Show a secret's metadata and tags, never its value
    #[command(after_help = "Examples:
  keyward secret describe demo/db
  keyward --output json secret describe demo/db      # every field")]
    Describe {
        /// The secret
        name: String,
    },
    /// List secrets, newest first
    #[command(after_help = "Examples:
  keyward secret list --search demo/ --tag env=prod
  keyward secret list --state pending-delete
  keyward secret list --expires-before 2027-01-31 --limit 200")]
    List {
        /// Only names that hold this text
        #[arg(long, value_name = "TEXT", default_value = "")]
        search: String,
        /// Only secrets with this tag (KEY or KEY=VALUE); may stand several times
        #[arg(long = "tag", value_name = "KEY[=VALUE]")]
        tags: Vec<String>,
        /// Only secrets in this state
        #[arg(long, value_enum, value_name = "STATE")]
        state: Option<StateFilter>,
        /// Only secrets whose current version expires before this, as 2027-01-31 or 2027-01-31T12:00:00Z
        #[arg(long, value_name = "TIME", value_parser = time)]
        expires_before: Option<u64>,
        /// List SSH key pairs instead of custom secrets
        #[arg(long)]
        ssh: bool,
        /// Pass over so many
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        offset: u64,
        /// Show at most so many (1 to 200)
        #[arg(long, value_name = "NUMBER", default_value_t = 20)]
        limit: u64,
    },
    /// List a secret's versions
    #[command(after_help = "Examples:
  keyward secret versions demo/db")]
    Versions {
        /// The secret
        name: String,
    },
    /// Make a version the one that reads serve
    #[command(after_help = "Examples:
  keyward secret set-current demo/db v1      # back to an older version, or on to a staged one")]
    SetCurrent {
        /// The secret
        name: String,
        /// The version
        version: String,
    },
    /// Replace a secret's description; an empty text clears it
    #[command(after_help = "Examples:
  keyward secret set-description demo/db 'billing database, owner: payments'
  keyward secret set-description demo/db ''")]
    SetDescription {
        /// The secret
        name: String,
        /// Free text, at most 2048 bytes
        text: String,
    },
    /// Add tags; a value takes the place of that of an equal key
    #[command(after_help = "Examples:
  keyward secret tag demo/db env=prod team=pay

Policies can decide by tags (qcs:resource_tag, qcs:request_tag).")]
    Tag {
        /// The secret
        name: String,
        /// Tags
        #[arg(value_name = "KEY=VALUE", required = true)]
        tags: Vec<String>,
    },
    /// Take tags off
    #[command(after_help = "Examples:
  keyward secret untag demo/db team")]
    Untag {
        /// The secret
        name: String,
        /// Keys of tags
        #[arg(value_name = "KEY", required = true)]
        keys: Vec<String>,
    },
    /// Make a disabled secret readable
    #[command(after_help = "Examples:
  keyward secret enable demo/db")]
    Enable {
        /// The secret
        name: String,
    },
    /// Make a secret unreadable until it is enabled again
    #[command(after_help = "Examples:
  keyward secret disable demo/db

From the record of this on no read is allowed any more.")]
    Disable {
        /// The secret
        name: String,
    },
    /// Delete a disabled secret: after a window in which it can be restored, or at once
    #[command(after_help = "Examples:
  keyward secret disable demo/db && keyward secret delete demo/db --window 7
  keyward secret delete demo/db --now --yes

On a terminal it asks first. What is deleted leaves the store and its files; backups made before still hold the sealed values.")]
    Delete {
        /// The secret
        name: String,
        /// Days in which it can be restored (1 to 30)
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=30), required_unless_present = "now")]
        window: Option<u64>,
        /// Delete at once; nothing brings it back
        #[arg(long, conflicts_with = "window")]
        now: bool,
        #[command(flatten)]
        sure: Sure,
    },
    /// Take a deletion back while its window lasts; the secret is disabled then
    #[command(after_help = "Examples:
  keyward secret restore demo/db && keyward secret enable demo/db")]
    Restore {
        /// The secret
        name: String,
    },
    /// Delete one version and its value
    #[command(after_help = "Examples:
  keyward secret delete-version demo/db v1

On a terminal it asks first. Of the current version, the version added last of those not staged takes the place. Backups still hold the sealed value.")]
    DeleteVersion {
        /// The secret
        name: String,
        /// The version
        version: String,
        #[command(flatten)]
        sure: Sure,
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
                let parameters = json!({"SecretName": name, "Description": description});
                let mut parameters = Dated { version, expires_at }.put_into(with_tags(parameters, &tags)?);
                set(&mut parameters, "KmsKeyId", key.map(Value::from));
                create(out, &client, parameters, if generate { Ok(password) } else { Err(value) })
            }
            Self::Put { name, version, value, stage, expires_at } => {
                let parameters = json!({"SecretName": name, "Stage": stage});
                put(out, &client, Dated { version: Some(version), expires_at }.put_into(parameters), &value)
            }
            Self::Update { name, version, value, expires_at } => {
                let parameters = json!({"SecretName": name});
                update(out, &client, Dated { version: Some(version), expires_at }.put_into(parameters), &value)
            }
            Self::Get { name, version, to } => get(context, &client, &name, version, to),
            Self::Edit { name, version } => edit::edit(context, &client, &name, version),
            Self::BatchGet { secrets } => batch_get(context, &client, &secrets),
            Self::CreateSsh { name, kind, key_name, project, description, tags, key } => {
                let kind = kind.to_possible_value().map(|kind| kind.get_name().to_owned());
                let parameters =
                    json!({"SecretName": name, "ProjectId": project, "Description": description, "KeyType": kind});
                let mut parameters = with_tags(parameters, &tags)?;
                set(&mut parameters, "SSHKeyName", key_name.map(Value::from));
                set(&mut parameters, "KmsKeyId", key.map(Value::from));
                create_ssh(out, &client, &parameters)
            }
            Self::GetSsh { name, id, public, to } => {
                let mut parameters = json!({});
                set(&mut parameters, "SecretName", name.map(Value::from));
                set(&mut parameters, "SSHKeyId", id.map(Value::from));
                get_ssh(context, &client.call("GetSSHKeyPairValue", &parameters)?, public, to)
            }
            Self::RandomPassword { password } => random_password(out, &client, &password),
            Self::Describe { name } => describe(out, &client, &name),
            Self::List { search, tags, state, expires_before, ssh, offset, limit } => {
                let filters: Vec<Value> = tags.iter().map(|tag| tag_filter(tag)).collect();
                let state = state.map_or(0, |state| state as u64 + 1);
                let mut parameters = json!({
                    "SearchSecretName": search, "TagFilters": filters, "State": state, "Offset": offset, "Limit": limit,
                    "SecretType": if ssh { 2 } else { 0 },
                });
                set(&mut parameters, "ExpiresBefore", expires_before.map(Value::from));
                list(out, &client, &parameters)
            }
            Self::Versions { name } => versions(out, &client, &name),
            Self::Delete { name, window, now: _, sure } => delete(out, &client, &name, window, &sure),
            Self::DeleteVersion { name, version, sure } => delete_version(out, &client, (&name, &version), &sure),
            other => other.switch(out, &client),
        }
    }

    /// Verbs that change one thing and say so.
    fn switch(self, out: &output::Output, client: &Client) -> Result<(), Failure> {
        let (action, parameters, sentence) = match self {
            Self::SetCurrent { name, version } => {
                let sentence = format!("version `{version}` of `{name}` is the current one");
                ("SetCurrentVersion", json!({"SecretName": name, "VersionId": version}), sentence)
            }
            Self::SetDescription { name, text } => {
                let sentence = format!("set the description of `{name}`");
                ("UpdateDescription", json!({"SecretName": name, "Description": text}), sentence)
            }
            Self::Tag { name, tags } => {
                let sentence = format!("tagged `{name}`");
                ("TagResource", with_tags(json!({"SecretName": name}), &tags)?, sentence)
            }
            Self::Untag { name, keys } => {
                if let Some(pair) = keys.iter().find(|key| key.contains('=')) {
                    return Err(Failure::Usage(format!("`{pair}` is no key: give only the key of the tag")));
                }
                // Whether they were there is not answered.
                let sentence = format!("`{name}` has no tag `{}` any more", keys.join("`, `"));
                ("UntagResource", json!({"SecretName": name, "TagKeys": keys}), sentence)
            }
            Self::Enable { name } => {
                let sentence = format!("enabled `{name}`");
                ("EnableSecret", json!({"SecretName": name}), sentence)
            }
            Self::Disable { name } => {
                let sentence = format!("disabled `{name}`");
                ("DisableSecret", json!({"SecretName": name}), sentence)
            }
            Self::Restore { name } => {
                let sentence =
                    format!("restored `{name}`; it is disabled: `keyward secret enable {name}` makes it readable");
                ("RestoreSecret", json!({"SecretName": name}), sentence)
            }
            _ => return Ok(()),
        };
        out.done(&client.call(action, &parameters)?, &sentence);
        Ok(())
    }
}

fn set(parameters: &mut Value, name: &str, value: Option<Value>) {
    if let (Some(object), Some(value)) = (parameters.as_object_mut(), value) {
        object.insert(name.to_owned(), value);
    }
}
