//! How verbs speak: tables for people, JSON lines for programs; errors in one line on standard error.

use anyhow::Context as _;
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// `--output`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Aligned text that fits the terminal
    Table,
    /// One JSON object a line
    Json,
}

/// Where results go.
pub(super) struct Output {
    format: Format,
}

impl Output {
    pub(super) fn new(format: Format) -> Self {
        Self { format }
    }

    pub(super) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// A line of text for people; nothing when programs read.
    pub(super) fn say(&self, text: &str) {
        if !self.is_json() {
            line(text);
        }
    }

    /// One object: a line of JSON, or name and value in two columns.
    pub(super) fn object(&self, object: &Value) {
        if self.is_json() {
            line(&object.to_string());
            return;
        }
        let mut table = table(&[]);
        for (name, value) in object.as_object().into_iter().flatten() {
            table.add_row([name.clone(), text(value)]);
        }
        line(&table.to_string());
    }

    /// Several objects: a line of JSON each, or a table of the named fields.
    pub(super) fn rows(&self, columns: &[(&str, &str)], rows: &[Value]) {
        if self.is_json() {
            rows.iter().for_each(|row| line(&row.to_string()));
            return;
        }
        let heads: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
        let mut table = table(&heads);
        for row in rows {
            table.add_row(columns.iter().map(|(_, field)| row.pointer(field).map(text).unwrap_or_default()));
        }
        line(&table.to_string());
    }

    /// An error, in one line on standard error.
    pub(super) fn error(&self, text: &str) {
        let mut error = std::io::stderr().lock();
        let shown = if self.is_json() {
            serde_json::json!({ "error": text }).to_string()
        } else {
            format!("error: {}", printable(text))
        };
        let _closed_pipe = writeln!(error, "{shown}");
    }
}

fn table(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if !heads.is_empty() {
        table.set_header(heads.iter().map(|head| head.to_uppercase()));
    }
    table
}

/// Writes a line; a reader that has left is no failure.
pub(super) fn line(text: &str) {
    let _closed_pipe = writeln!(std::io::stdout().lock(), "{text}");
}

/// A value as a table shows it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        Value::Null => String::new(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => printable(&other.to_string()),
    }
}

/// SECURITY: text that others chose stays text on a terminal: control characters and those that turn the direction
/// of writing are shown as escapes.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if (character.is_control() && character != '\n') || turns {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Epoch seconds as people read them, in UTC.
pub(super) fn utc(seconds: u64) -> String {
    let instant = i64::try_from(seconds).ok().and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
    instant.map(|instant| instant.format("%Y-%m-%d %H:%M:%SZ").to_string()).unwrap_or_default()
}

/// A new file that only its owner may read; refuses to overwrite.
pub(super) fn new_private_file(path: &Path) -> anyhow::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).with_context(|| format!("cannot create `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attack_g09_control_characters_and_direction_marks_are_shown_as_escapes() {
        assert_eq!(printable("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(printable("x\u{202e}y"), "x\\u{202e}y");
        assert_eq!(printable("plain é text"), "plain é text");
    }
}
