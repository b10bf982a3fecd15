//! `keyward backup` and `keyward restore`.
//!
//! A backup is an action of a running gateway, which sends it here: it is written where whoever runs this says, with that user's
//! rights, and the gateway writes nowhere that a request names. A restore works on the files of a stopped one.
//!
//! DURABILITY: a backup is put together beside its place under an odd name, synced, checked, and moved there last. For a
//! restore see [`mod@keyward_audit::log::restore`].

use super::audit::{bar, vkey};
use super::client::Client;
use super::{Context, Failure, output, owner};
use crate::clock;
use crate::config::Config;
use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use keyward_audit::backup::{Manifest, Receiver};
use keyward_audit::log::restore::{Restoration, Restoring, restore};
use rustix::process::setpriority_process;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// The nice value of whoever gives way to everybody.
const LAST: i32 = 19;

/// Take a backup of a running gateway
#[derive(Args)]
#[command(after_help = "Examples:
  keyward backup /backup/keyward-2026-11-22

Keys are not in it: keep keyward.toml, keys/ and policies/ beside it, apart from it. Without keys/root.key no value in a backup can be read.")]
pub(super) struct Backup {
    /// The directory to make; must not exist
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Put a backup in place of a store that is gone
#[derive(Args)]
#[command(after_help = "Examples:
  keyward --config /etc/keyward/keyward.toml restore /backup/keyward-2026-11-22 --head newest.head

The configuration says where the store and the mark are; there must be no store. Run it as the gateway's user. A restored copy is an older log: unless the mark that is \
    there shows that nothing is missing, the gateway starts on it only after `keyward audit accept-loss --reason TEXT`, which records it, signed.

Exit codes: 0 restored, 4 the backup is damaged or of another log; nothing is in place then.")]
pub(super) struct Restore {
    /// The backup's directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// A signed checkpoint of this log, as it was remembered elsewhere, a note or the content of a Keyward-Audit-Checkpoint header:
    /// the restored copy is held against it
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,
}

impl Backup {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        if self.dir.symlink_metadata().is_ok() {
            return Err(anyhow!("`{}` exists; a backup never overwrites", self.dir.display()).into());
        }
        give_way();
        let client = Client::new(context)?;
        let scratch = scratch_beside(&self.dir)?;
        let manifest = receive(&client, &scratch).and_then(|manifest| {
            fs::rename(&scratch, &self.dir).with_context(|| format!("cannot make `{}`", self.dir.display()))?;
            output::sync_around(&self.dir)?;
            Ok(manifest)
        });
        if manifest.is_err() {
            // What broke off is worth nothing; what cannot be removed is told by its odd name.
            let _left_behind = fs::remove_dir_all(&scratch);
        }
        self.explain(context, &manifest?);
        Ok(())
    }

    fn explain(&self, context: &Context, manifest: &Manifest) {
        let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
        context.output.object(&json!({
            "backup": self.dir,
            "size": manifest.size,
            "signed_size": manifest.signed_size,
            "bytes": bytes,
            "manifest": format!("sha256:{}", manifest.digest()),
        }));
        context.output.say("no keys are in it: keep keyward.toml, keys/ and policies/ elsewhere; without keys/root.key no value can be read");
    }
}

/// Whoever takes a backup often does so beside the gateway, whose requests go first.
fn give_way() {
    // What has no lower priority is still a backup.
    let _as_before = setpriority_process(None, LAST);
}

fn scratch_beside(dir: &Path) -> anyhow::Result<PathBuf> {
    let name = dir.file_name().with_context(|| format!("`{}` names no directory", dir.display()))?;
    let mut unique = [0; 4];
    clock::system().random.fill(&mut unique)?;
    Ok(dir.with_file_name(format!(".{}.backup-{}", name.to_string_lossy(), hex::encode(unique))))
}

fn receive(client: &Client, scratch: &Path) -> Result<Manifest, Failure> {
    let mut receiver = Receiver::new(scratch)?;
    let progress = bar("receiving");
    let received = client.stream("CreateBackup", &json!({}), |block| {
        progress.inc(block.len() as u64);
        Ok(receiver.push(block)?)
    });
    progress.finish_and_clear();
    received?;
    Ok(receiver.finish()?)
}

impl Restore {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let config = Config::load(&context.config)?;
        let store = config.path(&config.storage.path);
        owner::refuse_others(&config)?;
        let vkey = vkey(&config)?;
        let shown = self.head.as_deref().map(read_note).transpose()?;
        let restored = restore(&Restoration {
            backup: &self.dir,
            store: &store,
            high_water_mark: &config.path(&config.audit.high_water_mark),
            origin: &config.audit.origin,
            vkey: &vkey,
            shown: shown.as_ref().map(String::as_bytes),
        });
        match restored {
            Ok(restored) => {
                explain(context, &store, &restored);
                Ok(())
            }
            Err(error) if error.is_finding() => Err(Failure::Invalid(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }
}

/// A checkpoint note, however its last line was copied, or as answers carry it in a header: base64url.
fn read_note(file: &Path) -> anyhow::Result<String> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read the checkpoint in `{}`", file.display()))?;
    // A note has several lines, so that it is never base64url itself.
    let carried = URL_SAFE_NO_PAD.decode(text.trim()).ok().and_then(|note| String::from_utf8(note).ok());
    Ok(format!("{}\n", carried.unwrap_or(text).trim_end()))
}

fn explain(context: &Context, store: &Path, restored: &Restoring) {
    let missing = restored.known.map(|known| known.saturating_sub(restored.size));
    context.output.object(&json!({
        "store": store,
        "size": restored.size,
        "taken": restored.time_us / 1_000_000,
        "known_size": restored.known,
        "missing": missing,
        "needs_acceptance": restored.needs_acceptance,
    }));
    if restored.needs_acceptance {
        context.output.say(
            "this is an older log than the one it was taken from: secrets that were deleted and tokens that were revoked since are \
             back, and records are missing. the gateway starts on it after `keyward audit accept-loss --reason TEXT`",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_a_note_and_as_a_header_carries_it() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("head");
        let note = "localhost/keyward\n7\nAAAA\n\n\u{2014} localhost/keyward BBBB\n";
        let carried = URL_SAFE_NO_PAD.encode(note);
        for text in [note, note.trim_end(), &format!("{note}\n"), &carried, &format!("{carried}\n")] {
            fs::write(&file, text).unwrap();
            assert_eq!(read_note(&file).unwrap(), note, "{text}");
        }
    }
}
