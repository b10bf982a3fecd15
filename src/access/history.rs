//! Which policy revision was live from when on, through whose files: what `policy_change` records say, written and read in one
//! place, from a log that is served or from its files.

use super::policies::LIVE;
use super::replay;
use crate::authz::{Owners, PolicyFile};
use keyward_audit::log::{self, Query};
use keyward_audit::record::{Record, Value};
use keyward_audit::store::{self, Family, Store, StoreError};
use std::collections::BTreeMap;

/// The action of these records.
pub(super) const ACTION: &str = "keyward:PolicyChange";
/// Files that a record names; the rest is one count.
const NAMED_MAX: usize = 32;
/// Longest name of a user that a record holds; others are named by their number.
const OWNER_BYTES_MAX: usize = 32;
/// Rows that are looked at for a page.
const SCAN_MAX: usize = 200_000;
/// Shortest beginning of a digest that names a revision, in hex digits.
const DIGITS_MIN: usize = 8;

/// A revision that went live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WentLive {
    /// Index of the record.
    pub index: u64,
    /// When, in seconds since 1970.
    pub time_s: u64,
    /// The revision.
    pub revision: String,
    /// The one before, unless it was the first.
    pub old: Option<String>,
    /// `start`, `file` or `signal`.
    pub trigger: String,
    /// Which files came, went or changed.
    pub changes: Vec<Changed>,
}

/// A file that came, went or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// `created`, `changed`, `deleted`; `more` of those that are counted alone.
    pub change: String,
    /// Its path.
    pub path: String,
    /// Whose the file was; not known of one that is gone, nor in older records.
    pub owner: Option<String>,
}

impl WentLive {
    /// What a record says, if it says that a revision went live.
    #[must_use]
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let record = Record::parse(bytes).ok().filter(|record| record.action() == ACTION)?;
        let said = &record.draft().parameters;
        let text = |name: &str| said.get(name).and_then(Value::as_text).map(str::to_owned);
        let changes = match said.get("changes") {
            Some(Value::List(changes)) => changes.iter().filter_map(Changed::read).collect(),
            _ => Vec::new(),
        };
        Some(Self {
            index: record.index(),
            time_s: record.time_us() / 1_000_000,
            revision: text("new")?,
            old: text("old"),
            trigger: text("trigger").unwrap_or_default(),
            changes,
        })
    }
}

impl Changed {
    fn read(value: &Value) -> Option<Self> {
        let said = value.as_object()?;
        let text = |name: &str| said.get(name).and_then(Value::as_text).map(str::to_owned);
        Some(Self { change: text("change")?, path: text("path")?, owner: text("owner") })
    }

    fn written(&self) -> Value {
        let said = [("change", Some(&self.change)), ("owner", self.owner.as_ref()), ("path", Some(&self.path))];
        let said = said.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::from(text?.as_str()))));
        Value::Object(said.collect())
    }
}

/// Asks for such records, newest first.
pub(super) fn query(limit: usize, before: Option<u64>, size: Option<u64>) -> Query {
    Query { action: Some(ACTION.to_owned()), before, size, limit, scan_max: SCAN_MAX, ..Query::default() }
}

/// The newest revisions of the log of `origin` in a store, newest first, at most `limit`.
///
/// # Errors
/// [`StoreError`] if the store cannot be read.
pub fn newest(store: &dyn Store, origin: &str, limit: usize) -> Result<Vec<WentLive>, StoreError> {
    let page = log::search_in(store, origin, &query(limit, None, None))?;
    Ok(page.records.iter().filter_map(|(_, bytes)| WentLive::read(bytes)).collect())
}

/// Which files came, went or changed, by path; at most as many as fit a record, the rest as one count. `owners` are those of the
/// new files.
pub(super) fn changes(old: &[PolicyFile], new: &[PolicyFile], owners: &Owners) -> Value {
    let by_path = |files: &[PolicyFile]| -> BTreeMap<String, Vec<u8>> {
        files.iter().map(|file| (file.path.clone(), file.bytes.clone())).collect()
    };
    let (old, new) = (by_path(old), by_path(new));
    let mut all = Vec::new();
    for (path, bytes) in &new {
        match old.get(path) {
            None => all.push(("created", path)),
            Some(before) if before != bytes => all.push(("changed", path)),
            Some(_) => {}
        }
    }
    all.extend(old.keys().filter(|path| !new.contains_key(*path)).map(|path| ("deleted", path)));
    all.sort_by(|a, b| a.1.cmp(b.1));
    let named = all.iter().take(NAMED_MAX).map(|(change, path)| Changed {
        change: (*change).to_owned(),
        path: (*path).clone(),
        owner: owners.get(*path).map(|number| user(*number)),
    });
    let mut named: Vec<Value> = named.map(|changed| changed.written()).collect();
    if let Some(more) = all.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        let more = Changed { change: "more".to_owned(), path: format!("{more} further files"), owner: None };
        named.push(more.written());
    }
    Value::List(named)
}

/// A user's name on this machine; the number if there is none that is short and plain.
fn user(number: u32) -> String {
    let name = uzers::get_user_by_uid(number).and_then(|user| user.name().to_str().map(str::to_owned));
    let is_plain = |name: &String| name.len() <= OWNER_BYTES_MAX && name.bytes().all(|byte| byte.is_ascii_graphic());
    name.filter(is_plain).unwrap_or_else(|| number.to_string())
}

/// Why a text names no revision.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// It is none of the forms.
    #[error(
        "`{0}` is no revision: give `live`, or its digest from `sha256:` on, at least {DIGITS_MIN} hex digits of it"
    )]
    Form(String),
    /// The store has none.
    #[error("the store holds no policy revision `{0}`")]
    Unknown(String),
    /// It has several.
    #[error("the store holds several policy revisions that begin with `{0}`: give more of the digest")]
    Several(String),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The revision that a text names: `live`, a digest, or how a digest begins, with or without `sha256:`.
///
/// # Errors
/// [`NameError`].
pub fn named(rows: &dyn Store, text: &str) -> Result<String, NameError> {
    if text == "live" {
        let row = store::read(rows, |snapshot| snapshot.get(Family::Texts, LIVE))?;
        return row.and_then(|row| String::from_utf8(row).ok()).ok_or_else(|| NameError::Unknown(text.to_owned()));
    }
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if !(DIGITS_MIN..=64).contains(&digits.len()) || !digits.bytes().all(is_hex) {
        return Err(NameError::Form(text.to_owned()));
    }
    let found = store::read(rows, |snapshot| replay::revisions_of(snapshot, digits, 2))?;
    match found.as_slice() {
        [] => Err(NameError::Unknown(text.to_owned())),
        [one] => Ok(one.clone()),
        _ => Err(NameError::Several(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> PolicyFile {
        PolicyFile { path: path.to_owned(), bytes: text.as_bytes().to_vec() }
    }

    fn read(value: Value) -> Vec<Changed> {
        let Value::List(list) = value else { panic!("no list") };
        list.iter().map(|value| Changed::read(value).unwrap()).collect()
    }

    #[test]
    fn each_file_that_differs_is_named_with_its_owner_and_a_deleted_one_without() {
        let old = [file("attachments.json", "1"), file("documents/a.json", "1"), file("documents/gone.json", "1")];
        let new = [file("attachments.json", "1"), file("documents/a.json", "2"), file("documents/new.json", "1")];
        let owners = Owners::from([
            ("attachments.json".to_owned(), 0),
            ("documents/a.json".to_owned(), 0),
            ("documents/new.json".to_owned(), 4_000_000_001),
        ]);
        let found = read(changes(&old, &new, &owners));
        let said: Vec<(&str, &str, Option<&str>)> =
            found.iter().map(|one| (one.change.as_str(), one.path.as_str(), one.owner.as_deref())).collect();
        let expected = [
            ("changed", "documents/a.json", Some("root")),
            ("deleted", "documents/gone.json", None),
            ("created", "documents/new.json", Some("4000000001")),
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn the_largest_change_fits_a_record() {
        let long = |number: usize| format!("documents/{number:0>128}.json");
        let new: Vec<PolicyFile> = (0..10_000).map(|number| file(&long(number), "1")).collect();
        let Value::List(mut list) = changes(&[], &new, &Owners::new()) else { panic!("no list") };
        assert_eq!(list.len(), NAMED_MAX + 1);
        for value in &mut list {
            let mut changed = Changed::read(value).unwrap();
            changed.owner = Some("o".repeat(OWNER_BYTES_MAX));
            *value = changed.written();
        }
        let text = serde_json::to_string(&list).unwrap();
        // Beside them a record has two digests and a few words.
        assert!(text.len() < 8_192 - 1_000, "{} bytes", text.len());
    }
}
