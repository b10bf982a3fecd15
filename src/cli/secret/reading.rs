//! Secrets on their way out: values to standard output or into private files, lists as tables.

use super::set;
use super::value::Password;
use crate::cli::client::{Client, Refused};
use crate::cli::output::{Column, Output};
use crate::cli::{Context, Failure, output, stdout};
use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
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
        output::write_private_file(&file, &answered_value(&answer)?)?;
    } else if context.output.is_json() {
        output::line(&answer.to_string());
    } else {
        stdout::value(&answered_value(&answer)?);
    }
    Ok(())
}

/// Shows an SSH key pair, or writes it to files.
pub(super) fn get_ssh(context: &Context, answer: &Value, public: bool, to: Option<PathBuf>) -> Result<(), Failure> {
    let field = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    if let Some(file) = to {
        let mut beside = file.clone().into_os_string();
        beside.push(".pub");
        let beside = PathBuf::from(beside);
        // No private key is left alone where its public one has no place.
        if beside.symlink_metadata().is_ok() {
            return Err(anyhow!("cannot create `{}`: it exists", beside.display()).into());
        }
        output::write_private_file(&file, field("PrivateKey").as_bytes())?;
        output::write_private_file(&beside, format!("{}\n", field("PublicKey")).as_bytes())?;
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
    let request = answer.get("RequestId").and_then(Value::as_str).unwrap_or("?");
    let (mut denied, mut failed) = (false, false);
    for error in list("Errors") {
        let item = error.get("Item").and_then(Value::as_u64).and_then(|item| secrets.get(usize::try_from(item).ok()?));
        let refused = Refused::of_item("GetSecretValue", request, &error);
        let name = item.map_or("?", String::as_str);
        context.output.refusal(&format!("{name}: {}: {}", refused.code, refused.message), &refused);
        if refused.is_denial() { denied = true } else { failed = true }
    }
    let some = |what: &str| format!("some of the secrets were {what}");
    match (denied, failed) {
        (true, _) => Err(Failure::Denied(some("denied"))),
        (false, true) => Err(Failure::Failed(anyhow!(some("not read")))),
        (false, false) => Ok(()),
    }
}

/// A password that the gateway makes and keeps nowhere.
pub(super) fn random_password(out: &Output, client: &Client, password: &Password) -> Result<(), Failure> {
    let parameters = json!({
        "PasswordLength": password.length, "ExcludeCharacters": password.exclude,
        "ExcludePunctuation": password.no_punctuation,
    });
    let answer = client.call("GetRandomPassword", &parameters)?;
    let made = answer.get("RandomPassword").and_then(Value::as_str).unwrap_or_default();
    output::line(&if out.is_json() { answer.to_string() } else { made.to_owned() });
    Ok(())
}

pub(super) fn describe(out: &Output, client: &Client, name: &str) -> Result<(), Failure> {
    let mut described = client.call("DescribeSecret", &json!({"SecretName": name}))?;
    if !out.is_json() {
        let tags = described.get("Tags").and_then(Value::as_array).map(|tags| tags.iter().map(tag_text).collect());
        set(&mut described, "Tags", tags.map(|tags: Vec<String>| Value::from(tags)));
    }
    let columns = [
        ("name", "/SecretName"),
        ("status", "/Status"),
        ("deleted at", "/DeleteTime"),
        ("created", "/CreateTime"),
        ("creator", "/CreateUin"),
        ("current version", "/CurrentVersionId"),
        ("expires", "/ExpiresAt"),
        ("description", "/Description"),
        ("tags", "/Tags"),
        ("SSH key pair", "/ResourceName"),
        ("key", "/KmsKeyId"),
    ];
    out.fields(&columns.map(Column::from), &described);
    Ok(())
}

/// A tag as it is given.
fn tag_text(tag: &Value) -> String {
    let text = |field: &str| tag.get(field).and_then(Value::as_str).unwrap_or_default();
    format!("{}={}", text("TagKey"), text("TagValue"))
}

pub(super) fn list(out: &Output, client: &Client, parameters: &Value) -> Result<(), Failure> {
    let answer = client.call("ListSecrets", parameters)?;
    let rows = answer.get("SecretMetadatas").and_then(Value::as_array).cloned().unwrap_or_default();
    let columns = [
        ("name", "/SecretName").into(),
        Column::whole("status", "/Status"),
        Column::whole("created", "/CreateTime"),
        Column::whole("expires", "/ExpiresAt"),
        Column::spare("description", "/Description"),
    ];
    out.rows(&columns, &rows);
    let number = |of: &Value, field: &str| of.get(field).and_then(Value::as_u64).unwrap_or_default();
    let total = number(&answer, "TotalCount");
    let shown = number(parameters, "Offset").saturating_add(rows.len() as u64);
    out.say(&if shown < total {
        format!("{} of {total} secrets; more with --offset {shown} or a larger --limit", rows.len())
    } else {
        format!("{total} in all")
    });
    Ok(())
}

pub(super) fn versions(out: &Output, client: &Client, name: &str) -> Result<(), Failure> {
    let answer = client.call("ListSecretVersionIds", &json!({"SecretName": name}))?;
    let rows = answer.get("Versions").and_then(Value::as_array).cloned().unwrap_or_default();
    let columns = [
        ("version", "/VersionId").into(),
        Column::whole("created", "/CreateTime"),
        Column::whole("expires", "/ExpiresAt"),
        Column::whole("current", "/Current"),
        Column::whole("staged", "/Staged"),
    ];
    out.rows(&columns, &rows);
    Ok(())
}
