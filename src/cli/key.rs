//! `keyward key ...`: the key-encryption keys of a running gateway.

use super::client::Client;
use super::output::Column;
use super::{Context, Failure, instant, output};
use anyhow::bail;
use clap::Subcommand;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::time::Duration;

/// How often it is asked how far a re-wrapping is.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Subcommand)]
pub(super) enum Key {
    /// Make a key that secrets can name
    #[command(after_help = "Examples:
  keyward key create payments
  printf %s \"$PASSWORD\" | keyward secret create prod/pay/db --key payments")]
    Create {
        /// The key's id: letters, digits, _ and -
        key: String,
    },
    /// List keys
    #[command(after_help = "Examples:
  keyward key list")]
    List {
        /// Keys to pass over
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        offset: u64,
        /// Keys to show at most, up to 200
        #[arg(long, value_name = "NUMBER", default_value_t = 20)]
        limit: u64,
    },
    /// Show a key, its generations, and how many data keys each of them wraps
    #[command(after_help = "Examples:
  keyward key describe default")]
    Describe {
        /// The key
        key: String,
    },
    /// Make a disabled key usable
    #[command(after_help = "Examples:
  keyward key enable payments")]
    Enable {
        /// The key
        key: String,
    },
    /// Make a key unusable: no value under it is read or written until it is enabled
    #[command(after_help = "Examples:
  keyward key disable payments      # cuts off every secret that names it, at once")]
    Disable {
        /// The key
        key: String,
    },
    /// Delete a disabled key after a window; refused while a secret names it
    #[command(after_help = "Examples:
  keyward key disable old && keyward key schedule-deletion old --window 7")]
    ScheduleDeletion {
        /// The key
        key: String,
        /// Days in which it can be taken back, 7 to 30
        #[arg(long, value_name = "DAYS")]
        window: u64,
    },
    /// Take the deletion of a key back; it is disabled then
    #[command(after_help = "Examples:
  keyward key cancel-deletion old")]
    CancelDeletion {
        /// The key
        key: String,
    },
    /// Make a new generation of a key, for values that are stored from now on
    #[command(after_help = "Examples:
  keyward key rotate default && keyward key rewrap default --wait")]
    Rotate {
        /// The key
        #[arg(default_value = "default")]
        key: String,
    },
    /// Wrap the data keys of stored values by the newest generation, in the background, or say how far that is
    #[command(after_help = "Examples:
  keyward key rewrap default --wait      # values stay as they are; their wrapped keys change")]
    Rewrap {
        /// The key
        #[arg(default_value = "default")]
        key: String,
        /// Wait until it is done
        #[arg(long)]
        wait: bool,
    },
    /// Put all keys under the root key that keyward.toml names next, while serving
    #[command(after_help = "Examples:
  keyward key rotate-root

Before: add a table [keys.next] to keyward.toml (provider and path, as in [keys], and another path) and leave [keys] as it
is. The new root key is made there if it is not there yet, and all keys are wrapped anew in one write. After: put
[keys.next] in the place of [keys]; until then the gateway starts with whichever of the two opens the store. Keep the old
root key, offline, as long as there are backups from before.")]
    RotateRoot,
    /// End a generation that wraps nothing any more; refused while it does
    #[command(after_help = "Examples:
  keyward key retire default 1      # old backups keep what it wrapped, and the key with it")]
    Retire {
        /// The key
        key: String,
        /// The generation's number
        #[arg(value_name = "NUMBER")]
        generation: u32,
    },
}

impl Key {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let client = Client::new(context)?;
        let of = |key: &str| json!({"KeyId": key});
        let done = |answer: &Value, sentence: String| {
            context.output.done(answer, &sentence);
            Ok(())
        };
        let change =
            |action: &str, key: &str, became: &str| done(&client.call(action, &of(key))?, format!("`{key}` {became}"));
        match &self {
            Self::List { offset, limit } => list(context, &client, *offset, *limit),
            Self::Describe { key } => describe(context, &client.call("DescribeKey", &of(key))?),
            Self::Create { key } => change("CreateKey", key, "is made and enabled"),
            Self::Enable { key } => change("EnableKey", key, "is enabled"),
            Self::Disable { key } => change("DisableKey", key, "is disabled: no value under it is read or written"),
            Self::ScheduleDeletion { key, window } => {
                let parameters = json!({"KeyId": key, "PendingWindowInDays": window});
                let answer = client.call("ScheduleKeyDeletion", &parameters)?;
                let at = instant::utc(number(&answer, "DeletionDate"));
                done(
                    &answer,
                    format!("`{key}` is deleted at {at}; `keyward key cancel-deletion {key}` takes that back"),
                )
            }
            Self::CancelDeletion { key } => change("CancelKeyDeletion", key, "is kept; it is disabled"),
            Self::Rotate { key } => {
                let answer = client.call("RotateKey", &of(key))?;
                let newest = number(&answer, "Generation");
                done(&answer, format!("`{key}` has generation {newest}, for values that are stored from now on"))
            }
            Self::Rewrap { key, wait } => {
                let answer = rewrap(&client, &of(key), *wait)?;
                let said = rewrapped(key, &answer);
                if said.is_err() && context.output.is_json() {
                    output::line(&answer.to_string());
                }
                done(&answer, said?)
            }
            Self::RotateRoot => rotate_root(context, &client),
            Self::Retire { key, generation } => {
                let answer = client.call("RetireKeyGeneration", &json!({"KeyId": key, "Generation": generation}))?;
                done(&answer, format!("generation {generation} of `{key}` is ended"))
            }
        }
    }
}

fn number(answer: &Value, name: &str) -> u64 {
    answer.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// How far a re-wrapping is.
///
/// # Errors
/// It has ended, and some did not open.
fn rewrapped(key: &str, answer: &Value) -> anyhow::Result<String> {
    let [newest, total, left] = ["Generation", "Total", "Remaining"].map(|name| number(answer, name));
    if answer.get("Running").and_then(Value::as_bool).unwrap_or_default() {
        return Ok(format!(
            "{left} of {total} data keys of `{key}` are still to be wrapped by generation {newest}; ask again"
        ));
    }
    if left > 0 {
        bail!(
            "{left} of {total} data keys of `{key}` do not open and stay as they are; the server's log names their secrets, \
             and generations that may wrap them cannot end until those are stored anew or deleted"
        );
    }
    Ok(format!("all data keys of `{key}` are wrapped by generation {newest}"))
}

/// Starts a re-wrapping or asks how far it is; with `wait` until it is done, with a bar on a terminal.
fn rewrap(client: &Client, of: &Value, wait: bool) -> Result<Value, Failure> {
    let mut answer = client.call("RewrapKeys", of)?;
    let bar = ProgressBar::new(number(&answer, "Total"));
    while wait && answer.get("Running").and_then(Value::as_bool).unwrap_or_default() {
        bar.set_position(number(&answer, "Total").saturating_sub(number(&answer, "Remaining")));
        std::thread::sleep(LOOK);
        answer = client.call("RewrapKeys", of)?;
    }
    bar.finish_and_clear();
    Ok(answer)
}

fn rotate_root(context: &Context, client: &Client) -> Result<(), Failure> {
    let answer = client.call("RotateRootKey", &json!({}))?;
    context.output.object(&answer);
    context.output.say(
        "all keys are under the new root key. Put [keys.next] in the place of [keys] in keyward.toml; keep the old root key, \
         offline, as long as you keep backups from before",
    );
    Ok(())
}

fn list(context: &Context, client: &Client, offset: u64, limit: u64) -> Result<(), Failure> {
    let answer = client.call("ListKeys", &json!({"Offset": offset, "Limit": limit}))?;
    let rows = answer.get("Keys").and_then(Value::as_array).cloned().unwrap_or_default();
    let rows: Vec<Value> = rows.into_iter().map(|row| with_data_keys(context, row)).collect();
    let columns = [
        Column::name("key", "/KeyId"),
        Column::whole("status", "/Status"),
        Column::whole("created", "/CreateTime"),
        Column::spare("generation", "/Generation"),
        Column::spare("data keys", "/DataKeys"),
        Column::whole("deleted", "/DeletionDate"),
    ];
    context.output.rows(&columns, &rows);
    let total = answer.get("TotalCount").and_then(Value::as_u64).unwrap_or_default();
    context.output.say(&format!("{total} in all"));
    Ok(())
}

/// The key, and for people its generations as a table below it.
fn describe(context: &Context, answer: &Value) -> Result<(), Failure> {
    if context.output.is_json() {
        output::line(&answer.to_string());
        return Ok(());
    }
    let generations = answer.get("Generations").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut head = answer.clone();
    if let Some(fields) = head.as_object_mut() {
        fields.remove("Generations");
    }
    context.output.object(&head);
    let columns = [
        Column::whole("generation", "/Generation"),
        Column::whole("created", "/CreateTime"),
        Column::whole("data keys", "/DataKeys"),
    ];
    context.output.rows(&columns, &generations);
    Ok(())
}

/// Adds the data keys of all generations, for tables.
fn with_data_keys(context: &Context, mut row: Value) -> Value {
    let generations = row.get("Generations").and_then(Value::as_array);
    let sum: u64 = generations.into_iter().flatten().filter_map(|one| one.get("DataKeys")?.as_u64()).sum();
    if let (false, Some(fields)) = (context.output.is_json(), row.as_object_mut()) {
        fields.insert("DataKeys".to_owned(), Value::from(sum));
    }
    row
}
