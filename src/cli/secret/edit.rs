//! `keyward secret edit`: a text value through an editor, by way of a file that is never on a disk.
//!
//! Nothing is overwritten: what comes out of the editor is a new version. It becomes current only if the version that was
//! edited still is (`ExpectedCurrent`, checked by the gateway in the same commit), and still has the value that was edited
//! (read again just before: a value that is replaced in place keeps its version id).
//!
//! A text that could not be stored is kept, in memory as before, and it is said where.
//!
//! If the process is killed while the editor runs (SIGKILL), the file stays in memory until logout or the next start of
//! the machine; every other end wipes and removes it.

mod scratch;

use super::reading::answered_value;
use crate::cli::client::Client;
use crate::cli::secret::set;
use crate::cli::secret::value::{VALUE_BYTES_MAX, put_value};
use crate::cli::{Context, Failure, core_dumps, run};
use crate::clock;
use anyhow::{Context as _, anyhow, bail};
use rustix::process::{Pid, Signal as Kill, kill_process};
use scratch::Scratch;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;
use tokio::process::Child;
use tokio::signal::unix::{Signal, SignalKind, signal};
use zeroize::Zeroizing;

/// What is run if neither VISUAL nor EDITOR names an editor.
const EDITOR: &str = "vi";
/// How long an editor may take to end.
const ENDING_MAX: Duration = Duration::from_secs(2);
/// Signals that end the editing; what the terminal's interrupt key sends is left to the editor.
const ENDING: [SignalKind; 3] = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()];

/// The version that is edited.
struct Base {
    version: String,
    value: Zeroizing<Vec<u8>>,
    /// Stored as bytes, even if they are text.
    is_binary: bool,
}

pub(super) fn edit(context: &Context, client: &Client, name: &str, version: Option<String>) -> Result<(), Failure> {
    let base = read(client, name, None)?;
    if std::str::from_utf8(&base.value).is_err() {
        let text =
            format!("the value of `{name}` is not text: use `secret get --to FILE` and `secret put --from FILE`");
        return Err(Failure::Failed(anyhow!(text)));
    }
    core_dumps::forbid_in_children().context("cannot switch core dumps off")?;
    let (scratch, file, edited) = edited(context, &base.value)?;
    if edited.len() as u64 > VALUE_BYTES_MAX {
        let left = scratch.leave(file);
        context.output.note(&format!(
            "your text is left in `{}`, in memory alone; remove the file when it is of no more use",
            left.display()
        ));
        let text =
            format!("the text is longer than {VALUE_BYTES_MAX} bytes, the most that a value has; nothing was stored");
        return Err(Failure::Failed(anyhow!(text)));
    }
    if edited == base.value {
        context.output.say(&format!("`{name}` is as it was; nothing was stored"));
        return Ok(());
    }
    if edited.is_empty() {
        return Err(Failure::Failed(anyhow!("the text is empty; nothing was stored")));
    }
    let answer = match store(client, name, &base, version, &edited) {
        Ok(answer) => answer,
        Err(failure) => {
            context.output.note(&kept(scratch, name, &edited, base.is_binary));
            return Err(failure);
        }
    };
    drop(scratch);
    let stored = answer.get("VersionId").and_then(Value::as_str).unwrap_or_default();
    context.output.done(&answer, &format!("stored version `{stored}` of `{name}`; it is the current one"));
    Ok(())
}

fn read(client: &Client, name: &str, version: Option<&str>) -> Result<Base, Failure> {
    let mut parameters = json!({"SecretName": name});
    set(&mut parameters, "VersionId", version.map(Value::from));
    let answer = client.call("GetSecretValue", &parameters)?;
    let version = answer.get("VersionId").and_then(Value::as_str).context("the answer names no version")?.to_owned();
    let is_binary = answer.get("SecretString").and_then(Value::as_str).is_none_or(str::is_empty);
    Ok(Base { version, value: answered_value(&answer)?, is_binary })
}

/// Stores the text as a new version, if what it was made from is still what reads serve.
fn store(client: &Client, name: &str, base: &Base, version: Option<String>, text: &[u8]) -> Result<Value, Failure> {
    if read(client, name, Some(&base.version))?.value != base.value {
        let text = format!("the value of version `{}` was replaced meanwhile; nothing was stored", base.version);
        return Err(Failure::Failed(anyhow!(text)));
    }
    let version = version.unwrap_or_else(|| version_of_now(clock::system().clock.wall_us() / 1_000_000));
    let mut parameters = json!({"SecretName": name, "VersionId": version, "ExpectedCurrent": base.version});
    put_value(&mut parameters, text, base.is_binary);
    client.call("PutSecretValue", &parameters)
}

/// Leaves the text where it is, and says how to get on.
fn kept(scratch: Scratch, name: &str, text: &[u8], is_binary: bool) -> String {
    let binary = if is_binary { " --binary" } else { "" };
    match scratch.keep(text) {
        Ok(file) => format!(
            "your text is kept in `{file}`, in memory alone: `keyward secret put {name} VERSION --from {file}{binary}` stores it; \
             then remove the file",
            file = file.display()
        ),
        Err(error) => format!("your text could not be kept: {error:#}"),
    }
}

fn version_of_now(now_s: u64) -> String {
    let now = i64::try_from(now_s).ok().and_then(|now_s| chrono::DateTime::from_timestamp(now_s, 0));
    now.map(|now| now.format("edit-%Y%m%d-%H%M%S").to_string()).unwrap_or_default()
}

/// What the editor made of `text`, and where it lies. Of a text that is too long for a value, more than a value's bytes and not
/// all of them.
fn edited(context: &Context, text: &[u8]) -> anyhow::Result<(Scratch, PathBuf, Zeroizing<Vec<u8>>)> {
    let scratch = Scratch::new(&*clock::system().random)?;
    let file = scratch.file(text)?;
    let status = run_editor(context, &file, scratch.dir())?;
    if !status.success() {
        bail!("the editor ended with {status}; nothing was stored");
    }
    // One more for the end of the last line.
    let mut edited = scratch.read(&file, VALUE_BYTES_MAX + 1)?;
    // Editors end the last line; a value that had no end of line is to have none.
    if !text.ends_with(b"\n") && edited.ends_with(b"\n") {
        edited.pop();
    }
    Ok((scratch, file, edited))
}

/// Runs the editor to its end. A signal that would end this process ends the editor instead, so that the file is wiped.
fn run_editor(context: &Context, file: &Path, tmp: &Path) -> anyhow::Result<ExitStatus> {
    let given = |name: &str| std::env::var(name).ok().filter(|editor| !editor.trim().is_empty());
    let editor = given("VISUAL").or_else(|| given("EDITOR")).unwrap_or_else(|| EDITOR.to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let [terminate, hangup, quit] = ENDING.map(signal);
        let (mut terminate, mut hangup, mut quit) = (terminate?, hangup?, quit?);
        let _left_to_the_editor: Signal = signal(SignalKind::interrupt())?;
        // By a shell, which the editor takes the place of: VISUAL may hold arguments, and variables before them.
        let mut command = std::process::Command::new("/bin/sh");
        command.arg("-c").arg(format!("exec env {editor} \"$1\"")).arg("keyward").arg(file).env("TMPDIR", tmp);
        run::keep_settings_from(context, &mut command);
        let mut child = tokio::process::Command::from(command).spawn().context("cannot run /bin/sh")?;
        let (ended, name) = tokio::select! {
            status = child.wait() => return Ok(status?),
            _ = terminate.recv() => (Kill::TERM, "SIGTERM"),
            _ = hangup.recv() => (Kill::HUP, "SIGHUP"),
            _ = quit.recv() => (Kill::QUIT, "SIGQUIT"),
        };
        end(&mut child, ended).await?;
        bail!("ended by {name}; nothing was stored, and the text was wiped")
    })
}

/// Ends the editor by the signal, so that it can leave the terminal in order; one that does not end is killed.
async fn end(child: &mut Child, by: Kill) -> anyhow::Result<()> {
    if let Some(editor) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        kill_process(editor, by)?;
    }
    if tokio::time::timeout(ENDING_MAX, child.wait()).await.is_err() {
        child.kill().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_named_by_the_time_of_its_making() {
        assert_eq!(version_of_now(1_801_396_800), "edit-20270131-120000");
    }
}
