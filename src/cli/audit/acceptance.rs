//! `keyward audit accept-loss`: the log of a stopped gateway goes on under a new origin and key.
//!
//! INVARIANT I7: a key that a committed record names is never removed. The key is written first, then the loss is
//! recorded and the key told, then `keyward.toml` names both. If the process dies in between, the same command finishes
//! what was begun.

use super::super::{Context, Failure, output, owner};
use super::verification::vkey;
use crate::access::setup::{self, SetupError};
use crate::clock;
use crate::config::Config;
use anyhow::{Context as _, anyhow, bail};
use keyward_audit::log::{AcceptError, Acceptance, Accepted, accept, begun, finish};
use keyward_audit::mark::{MarkError, MarkFile};
use keyward_audit::note::{SigningKey, VerifyingKey};
use keyward_audit::statement::Loss;
use serde_json::json;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Accepts the loss, or finishes one that was accepted before.
pub(super) fn accept_loss(context: &Context, reason: &str) -> Result<(), Failure> {
    let config = context.load_config()?;
    owner::refuse_others(&config)?;
    check_mark(&config.path(&config.audit.high_water_mark))?;
    let (accepted, key) = match begun(&config.path(&config.storage.path), &config.audit.origin)? {
        Some(loss) => resume(context, &config, &loss)?,
        None => begin(context, &config, reason)?,
    };
    rewrite_configuration(&context.config, &config, &accepted.origin, &key)?;
    context.output.object(&json!({
        "index": accepted.index,
        "recovered": accepted.recovered,
        "lost": accepted.lost,
        "origin": accepted.origin,
        "signing_key": key,
        "vkey": accepted.vkey,
        "old_mark": accepted.old_mark,
    }));
    Ok(())
}

/// A mark that is there and cannot be read may show that nothing is lost.
fn check_mark(path: &Path) -> anyhow::Result<()> {
    match MarkFile::open(path) {
        Err(error @ MarkError::Failed { .. }) => bail!("{error}. make it readable to the gateway's user"),
        _ => Ok(()),
    }
}

/// The record of the loss is in the log; what is left is to be done under the key that it names.
fn resume(context: &Context, config: &Config, loss: &Loss) -> Result<(Accepted, PathBuf), Failure> {
    let key = key_of(config, &loss.new)?;
    context.output.say(&format!(
        "the loss was accepted at index {} and not finished; the log goes on under origin `{}`, signing key `{}`",
        loss.index,
        loss.new_origin,
        key.display()
    ));
    let mark = config.path(&config.audit.high_water_mark);
    let accepted = finish(&config.path(&config.storage.path), &mark, &config.audit.origin)?;
    Ok((accepted, key))
}

/// The file of the signing key whose public half is `wanted`, beside the configured one, as the configuration is to
/// name it.
fn key_of(config: &Config, wanted: &VerifyingKey) -> anyhow::Result<PathBuf> {
    let configured = config.path(&config.audit.signing_key);
    let directory = configured.parent().ok_or_else(|| anyhow!("`{}` lies nowhere", configured.display()))?;
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|extension| extension == "key"))
        else {
            continue;
        };
        let text = std::fs::read_to_string(&path).map(Zeroizing::new);
        let key = text.ok().and_then(|text| SigningKey::parse(&text).ok());
        if key.is_some_and(|key| key.verifying_key() == wanted) {
            return Ok(config.audit.signing_key.with_file_name(name));
        }
    }
    bail!(
        "a loss was accepted before and not finished, and the signing key of `{wanted}` is not in `{}`: put it there",
        directory.display()
    )
}

/// Makes a key, has the loss recorded under it, and tells both.
fn begin(context: &Context, config: &Config, reason: &str) -> Result<(Accepted, PathBuf), Failure> {
    let environment = clock::system();
    let old_key = old_key(config)?;
    let old_vkey = match &old_key {
        Some(key) => key.verifying_key().clone(),
        None => vkey(config).context("the signing key is gone, and so is its public half")?,
    };
    let mut unique = [0; 4];
    environment.random.fill(&mut unique)?;
    let base = config.audit.origin.split("~loss-").next().unwrap_or_default();
    let origin = format!("{base}~loss-{}", hex::encode(unique));
    let mut seed = Zeroizing::new([0; 32]);
    environment.random.fill(&mut *seed)?;
    let new_key = SigningKey::from_seed(&origin, &seed)?;
    let file = write_new_key(config, &new_key, &unique)?;
    let acceptance = Acceptance {
        store: &config.path(&config.storage.path),
        high_water_mark: &config.path(&config.audit.high_water_mark),
        origin: &config.audit.origin,
        old_vkey: &old_vkey,
        old_key: old_key.as_ref(),
        new_key: &new_key,
        reason,
    };
    match accept(&acceptance, &environment) {
        Ok(accepted) => {
            context.output.say(&format!("the log goes on under origin `{origin}`, signing key `{}`", file.display()));
            Ok((accepted, file))
        }
        Err(error) => Err(give_up(config, &file, error)),
    }
}

/// The key so far; none only if its file is gone. One that is there and cannot be used is told: it may be the log's still.
fn old_key(config: &Config) -> anyhow::Result<Option<SigningKey>> {
    match setup::signing_key(config) {
        Ok(key) => Ok(Some(key)),
        Err(SetupError::Unreadable { cause, .. }) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(anyhow::Error::new(error).context("if the signing key is lost for good, move its file away")),
    }
}

/// The key goes only if nothing can name it; else it is told that it is needed.
fn give_up(config: &Config, file: &Path, error: AcceptError) -> Failure {
    if error.is_before_the_record() {
        let path = config.path(file);
        let _unused = std::fs::remove_file(&path).and(std::fs::remove_file(path.with_extension("vkey")));
        return error.into();
    }
    let kept = format!("keep `{}`, which the log may name by now, and run this again", file.display());
    Failure::Failed(anyhow::Error::new(error).context(kept))
}

/// Writes the new key beside the old one, durable; answers its path as the configuration is to name it.
fn write_new_key(config: &Config, key: &SigningKey, unique: &[u8]) -> anyhow::Result<PathBuf> {
    let name = format!("log-{}.key", hex::encode(unique));
    let named = config.audit.signing_key.with_file_name(name);
    let path = config.path(&named);
    let mut text = key.to_text()?;
    text.push('\n');
    output::write_private_file(&path, text.as_bytes())?;
    let vkey = path.with_extension("vkey");
    std::fs::write(&vkey, format!("{}\n", key.verifying_key()))?;
    let directory = path.parent().ok_or_else(|| anyhow!("`{}` lies nowhere", path.display()))?;
    for made in [&path, &vkey] {
        own_like(made, directory)?;
    }
    std::fs::File::open(directory)?.sync_all()?;
    Ok(named)
}

/// Gives `path` to the owner of `other`: whoever runs this may be another user than the gateway.
fn own_like(path: &Path, other: &Path) -> anyhow::Result<()> {
    let (has, wanted) = (std::fs::metadata(path)?, std::fs::metadata(other)?);
    if (has.uid(), has.gid()) != (wanted.uid(), wanted.gid()) {
        chown(path, Some(wanted.uid()), Some(wanted.gid()))
            .with_context(|| format!("cannot give `{}` to the owner of `{}`", path.display(), other.display()))?;
    }
    Ok(())
}

/// Sets `origin` and `signing_key` in keyward.toml, in place of the old values, leaving every other byte.
fn rewrite_configuration(file: &Path, config: &Config, origin: &str, key: &Path) -> anyhow::Result<()> {
    let by_hand = || {
        format!(
            "`{}` could not be rewritten: set origin = \"{origin}\" and signing_key = \"{}\" in [audit]",
            file.display(),
            key.display()
        )
    };
    replace(file, &rewritten(&std::fs::read_to_string(file)?, config, origin, key)).with_context(by_hand)?;
    let now = Config::load(file).with_context(by_hand)?;
    if now.audit.origin != origin || now.audit.signing_key != key {
        bail!(by_hand());
    }
    Ok(())
}

fn rewritten(text: &str, config: &Config, origin: &str, key: &Path) -> String {
    let old = toml::Value::String(config.audit.origin.clone()).to_string();
    let mut rewritten = String::with_capacity(text.len() + 64);
    let mut has_key = false;
    for line in text.split_inclusive('\n') {
        let setting = line.split('=').next().unwrap_or_default().trim();
        match setting {
            "origin" if line.contains(&old) => rewritten.push_str(&format!("origin = \"{origin}\"\n")),
            "signing_key" => {
                has_key = true;
                rewritten.push_str(&format!("signing_key = \"{}\"\n", key.display()));
            }
            _ => rewritten.push_str(line),
        }
    }
    if has_key {
        return rewritten;
    }
    let line = format!("origin = \"{origin}\"\n");
    rewritten.replacen(&line, &format!("{line}signing_key = \"{}\"\n", key.display()), 1)
}

/// Puts `text` in the place of `file`, with its owner and mode.
fn replace(file: &Path, text: &str) -> anyhow::Result<()> {
    let beside = file.with_extension("toml.new");
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut new = output::new_private_file(&beside)?;
    new.write_all(text.as_bytes())?;
    own_like(&beside, file)?;
    let mode = std::fs::metadata(file)?.permissions().mode();
    new.set_permissions(std::fs::Permissions::from_mode(mode))?;
    new.sync_all()?;
    std::fs::rename(&beside, file)?;
    output::sync_around(file)
}
