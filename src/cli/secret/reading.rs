//! Secrets on their way out: values to standard output or into private files, lists as tables.

use super::set;
use crate::cli::client::Client;
use crate::cli::{Context, Failure, output};
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The bytes of a value in an answer.
pub(in crate::cli) fn answered_value(answer: &Value) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let field = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    match (field("SecretString"), field("SecretBinary")) {
        ("", binary) => Ok(Zeroizing::new(STANDARD.decode(binary).context("the answer is not base64")?)),
        (text, _) => Ok(Zeroizing::new(text.as_bytes().to_vec())),
    }
}

pub(super) fn get(
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

/// Shows an SSH key pair, or writes it to files.
pub(super) fn get_ssh(context: &Context, answer: &Value, public: bool, to: Option<PathBuf>) -> Result<(), Failure> {
    let field = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    if let Some(file) = to {
        let mut beside = file.clone().into_os_string();
        beside.push(".pub");
        for (path, text) in
            [(file, field("PrivateKey").to_owned()), (beside.into(), format!("{}\n", field("PublicKey")))]
        {
            let text = Zeroizing::new(text);
            let mut opened = output::new_private_file(&path)?;
            opened.write_all(text.as_bytes())?;
            opened.sync_all()?;
        }
    } else if context.output.is_json() {
        output::line(&answer.to_string());
    } else {
        output::line(field(if public { "PublicKey" } else { "PrivateKey" }).trim_end());
    }
    Ok(())
}

/// Reads several secrets; what was refused is told on standard error, and in the exit code.
pub(super) fn batch_get(context: &Context, client: &Client, secrets: &[String]) -> Result<(), Failure> {
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

pub(super) fn list(context: &Context, client: &Client, parameters: &Value) -> Result<(), Failure> {
    let answer = client.call("ListSecrets", parameters)?;
    let rows = answer.get("SecretMetadatas").and_then(Value::as_array).cloned().unwrap_or_default();
    let columns = [
        ("name", "/SecretName"),
        ("status", "/Status"),
        ("created", "/Created"),
        ("expires", "/Expires"),
        ("description", "/Description"),
    ];
    context.output.rows(&columns, &with_times(context, rows));
    let total = answer.get("TotalCount").and_then(Value::as_u64).unwrap_or_default();
    context.output.say(&format!("{total} in all"));
    Ok(())
}

pub(super) fn versions(context: &Context, client: &Client, name: &str) -> Result<(), Failure> {
    let answer = client.call("ListSecretVersionIds", &json!({"SecretName": name}))?;
    let rows = answer.get("Versions").and_then(Value::as_array).cloned().unwrap_or_default();
    let columns = [
        ("version", "/VersionId"),
        ("created", "/Created"),
        ("expires", "/Expires"),
        ("current", "/Current"),
        ("staged", "/Staged"),
    ];
    context.output.rows(&columns, &with_times(context, rows));
    Ok(())
}

/// Adds readable times of creation and expiry, for tables; programs get the answer's own fields.
fn with_times(context: &Context, rows: Vec<Value>) -> Vec<Value> {
    let created = rows.into_iter().map(|row| with_time(context, row, "CreateTime", "Created"));
    created.map(|row| with_time(context, row, "ExpiresAt", "Expires")).collect()
}

/// Writes tags as they are given, for tables.
pub(super) fn with_tags(context: &Context, mut row: Value) -> Value {
    if let (false, Some(tags)) = (context.output.is_json(), row.get("Tags").and_then(Value::as_array)) {
        let text = |tag: &Value, field: &str| tag.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let tags = tags.iter().map(|tag| format!("{}={}", text(tag, "TagKey"), text(tag, "TagValue")));
        let tags: Vec<String> = tags.collect();
        set(&mut row, "Tags", Some(Value::from(tags)));
    }
    row
}

/// Adds a field in epoch seconds under another name in readable form, for tables.
pub(super) fn with_time(context: &Context, mut row: Value, field: &str, shown: &str) -> Value {
    if !context.output.is_json() {
        let text = row.get(field).and_then(Value::as_u64).filter(|seconds| *seconds != 0).map(output::utc);
        set(&mut row, shown, text.map(Value::from));
    }
    row
}
