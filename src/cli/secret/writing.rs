//! Changes of secrets, each answered by a sentence.

use super::set;
use super::value::{Password, ValueFrom, put_value};
use crate::cli::client::Client;
use crate::cli::output::Output;
use crate::cli::prompt::Sure;
use crate::cli::{Failure, instant};
use serde_json::{Value, json};

/// A version's id and expiry, as far as they are given.
pub(super) struct Dated {
    pub(super) version: Option<String>,
    pub(super) expires_at: Option<u64>,
}

impl Dated {
    pub(super) fn put_into(self, mut parameters: Value) -> Value {
        set(&mut parameters, "VersionId", self.version.map(Value::from));
        set(&mut parameters, "ExpiresAt", self.expires_at.map(Value::from));
        parameters
    }
}

/// A text field of an answer or of parameters.
fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Creates a secret from a password that is made here, or from a value that is given.
pub(super) fn create(
    out: &Output,
    client: &Client,
    mut parameters: Value,
    value: Result<Password, ValueFrom>,
) -> Result<(), Failure> {
    match value {
        Ok(password) => put_value(&mut parameters, password.generate()?.expose(), false),
        Err(value) => value.put_into(&mut parameters)?,
    }
    let answer = client.call("CreateSecret", &parameters)?;
    let sentence = format!("created `{}`, version `{}`", text(&answer, "SecretName"), text(&answer, "VersionId"));
    out.done(&answer, &sentence);
    Ok(())
}

pub(super) fn put(out: &Output, client: &Client, mut parameters: Value, value: &ValueFrom) -> Result<(), Failure> {
    value.put_into(&mut parameters)?;
    let answer = client.call("PutSecretValue", &parameters)?;
    let staged = parameters.get("Stage").and_then(Value::as_bool) == Some(true);
    let then = if staged { "staged: the current version is as before" } else { "it is the current one" };
    let sentence =
        format!("stored version `{}` of `{}`; {then}", text(&answer, "VersionId"), text(&answer, "SecretName"));
    out.done(&answer, &sentence);
    Ok(())
}

pub(super) fn update(out: &Output, client: &Client, mut parameters: Value, value: &ValueFrom) -> Result<(), Failure> {
    value.put_into(&mut parameters)?;
    let answer = client.call("UpdateSecret", &parameters)?;
    let sentence =
        format!("replaced the value of version `{}` of `{}`", text(&answer, "VersionId"), text(&answer, "SecretName"));
    out.done(&answer, &sentence);
    Ok(())
}

pub(super) fn create_ssh(out: &Output, client: &Client, parameters: &Value) -> Result<(), Failure> {
    let answer = client.call("CreateSSHKeyPairSecret", parameters)?;
    let sentence = format!(
        "created SSH key pair `{}`, id {}\n{}",
        text(&answer, "SecretName"),
        text(&answer, "SSHKeyID"),
        text(&answer, "PublicKey").trim_end()
    );
    out.done(&answer, &sentence);
    Ok(())
}

pub(super) fn delete(
    out: &Output,
    client: &Client,
    name: &str,
    window: Option<u64>,
    sure: &Sure,
) -> Result<(), Failure> {
    sure.confirm(&match window {
        Some(days) => format!("delete `{name}` in {days} days?"),
        None => format!("delete `{name}` at once, for good?"),
    })?;
    let parameters = json!({"SecretName": name, "RecoveryWindowInDays": window.unwrap_or(0)});
    let answer = client.call("DeleteSecret", &parameters)?;
    let at = answer.get("DeleteTime").and_then(Value::as_u64).map(instant::utc).unwrap_or_default();
    let sentence = match window {
        Some(_) => format!("`{name}` is deleted at {at}; until then `keyward secret restore {name}` takes that back"),
        None => format!("deleted `{name}` at {at}"),
    };
    out.done(&answer, &sentence);
    Ok(())
}

pub(super) fn delete_version(
    out: &Output,
    client: &Client,
    (name, version): (&str, &str),
    sure: &Sure,
) -> Result<(), Failure> {
    sure.confirm(&format!("delete version `{version}` of `{name}` for good?"))?;
    let answer = client.call("DeleteSecretVersion", &json!({"SecretName": name, "VersionId": version}))?;
    out.done(&answer, &format!("deleted version `{version}` of `{name}`"));
    Ok(())
}

/// Adds tags that are given as KEY=VALUE.
pub(super) fn with_tags(mut parameters: Value, tags: &[String]) -> Result<Value, Failure> {
    let tags: Result<Vec<Value>, Failure> = tags.iter().map(|tag| tag_value(tag)).collect();
    set(&mut parameters, "Tags", Some(Value::from(tags?)));
    Ok(parameters)
}

fn tag_value(text: &str) -> Result<Value, Failure> {
    let (key, value) = text.split_once('=').ok_or_else(|| Failure::Usage(format!("`{text}` is not KEY=VALUE")))?;
    Ok(json!({"TagKey": key, "TagValue": value}))
}

pub(super) fn tag_filter(text: &str) -> Value {
    match text.split_once('=') {
        Some((key, value)) => json!({"TagKey": key, "TagValue": [value]}),
        None => json!({"TagKey": text}),
    }
}
