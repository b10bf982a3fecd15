//! `keyward policy revisions` and `show`: which revision was live from when on, and what it said. From the store's files, so that it
//! works whatever the live policies say.

use crate::access::history::{self, Changed, NameError, WentLive};
use crate::access::replay;
use crate::authz::PolicyFile;
use crate::cli::instant;
use crate::cli::output::{self, Column};
use crate::cli::{Context, Failure, stdout};
use keyward_audit::store::{self, Family, Store, rocks::RocksStore};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Hex digits of a digest that a table shows: enough to name a revision by.
const DIGITS_SHOWN: usize = 12;

pub(super) fn revisions(context: &Context, limit: usize) -> Result<(), Failure> {
    let config = context.load_config()?;
    let rows = RocksStore::open_read_only(&config.path(&config.storage.path))?;
    let newest = history::newest(&rows, &config.audit.origin, limit)?;
    let lines: Vec<Value> = newest.iter().map(|one| row(one, !context.output.is_json())).collect();
    let columns = [
        Column::whole("index", "/index"),
        Column::whole("live since", "/shown_time"),
        Column::whole("revision", "/shown_revision"),
        Column::whole("trigger", "/trigger"),
        ("changes", "/shown_changes").into(),
    ];
    context.output.rows(&columns, &lines);
    Ok(())
}

/// What programs read, and for a table what it shows.
fn row(one: &WentLive, is_shown: bool) -> Value {
    let changed = |changed: &Changed| json!({"change": changed.change, "path": changed.path, "owner": changed.owner});
    let mut row = json!({
        "index": one.index, "time": one.time_s, "revision": one.revision, "old": one.old, "trigger": one.trigger,
        "changes": one.changes.iter().map(changed).collect::<Vec<Value>>(),
    });
    if let Some(row) = row.as_object_mut().filter(|_| is_shown) {
        row.insert("shown_time".to_owned(), json!(instant::utc(one.time_s)));
        row.insert("shown_revision".to_owned(), json!(short(&one.revision)));
        row.insert("shown_changes".to_owned(), json!(one.changes.iter().map(spoken).collect::<Vec<String>>()));
    }
    row
}

/// How a table names a revision.
pub(super) fn short(revision: &str) -> String {
    let digits = revision.strip_prefix("sha256:").unwrap_or(revision);
    digits.chars().take(DIGITS_SHOWN).collect()
}

fn spoken(changed: &Changed) -> String {
    let Changed { change, path, owner } = changed;
    let by = owner.as_ref().map(|owner| format!(" ({owner})")).unwrap_or_default();
    if change == "more" { path.clone() } else { format!("{change} {path}{by}") }
}

pub(super) fn show(context: &Context, revision: &str, path: Option<&str>) -> Result<(), Failure> {
    let config = context.load_config()?;
    let rows = RocksStore::open_read_only(&config.path(&config.storage.path))?;
    let revision = named(&rows, revision)?;
    let set =
        replay::stored_revision(&revision, &mut |key| store::read(&rows, |snapshot| snapshot.get(Family::Texts, key)));
    let set = set.map_err(anyhow::Error::new)?;
    let wanted = |file: &&PolicyFile| path.is_none_or(|path| file.path == path);
    let files: Vec<&PolicyFile> = set.files().iter().filter(wanted).collect();
    match (path, files.as_slice()) {
        (Some(path), []) => {
            let names: Vec<&str> = set.files().iter().map(|file| file.path.as_str()).collect();
            Err(anyhow::anyhow!("`{revision}` has no file `{path}`; it has `{}`", names.join("`, `")).into())
        }
        (Some(_), [file]) if !context.output.is_json() => {
            stdout::bytes(&file.bytes);
            Ok(())
        }
        _ => {
            files.iter().for_each(|file| print(context, &revision, file));
            Ok(())
        }
    }
}

/// The revision that an argument names.
pub(super) fn named(rows: &dyn Store, text: &str) -> Result<String, Failure> {
    history::named(rows, text).map_err(|error| match error {
        NameError::Form(_) => Failure::Usage(error.to_string()),
        other => Failure::Failed(anyhow::Error::new(other)),
    })
}

fn print(context: &Context, revision: &str, file: &PolicyFile) {
    // A set of which a file is no UTF-8 does not load.
    let text = String::from_utf8_lossy(&file.bytes);
    if context.output.is_json() {
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&file.bytes)));
        let row = json!({
            "revision": revision, "path": file.path, "digest": digest, "size": file.bytes.len(), "text": text,
        });
        output::line(&row.to_string());
    } else {
        context.output.say(&format!("==> {} <==", file.path));
        context.output.say(&text.trim_end().replace('\t', "    "));
    }
}
