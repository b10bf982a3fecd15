//! How verbs speak: tables for people, JSON lines for programs; errors on standard error. What programs get is the answer as
//! it came: nothing in it is shortened, renamed or made readable.

use super::client::Refused;
pub(super) use super::stdout::line;
use super::{advice, instant};
use anyhow::Context as _;
use clap::ValueEnum;
use comfy_table::{Attribute, Cell, ColumnConstraint, ContentArrangement, Table, presets};
use serde_json::Value;
use std::fs::File;
use std::io::{IsTerminal, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Spaces between two columns.
const GAP: u16 = 2;
/// Spaces before the further lines of a row that takes several.
const INDENT: usize = 4;

/// `--output`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Text that fits the terminal, times in UTC
    Table,
    /// One JSON object a line, as the gateway answered it
    Json,
}

/// Where results go.
pub(super) struct Output {
    format: Format,
    /// Whether headings may stand out.
    bold: bool,
}

/// How a part of a line stands out, where it may.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tint {
    Plain,
    Bad,
    Doubtful,
}

/// How a column takes to a terminal that is too narrow for all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    Wrapped,
    Whole,
    LeftOut,
    Name,
}

/// A column of a table: its heading, and the field by its JSON pointer.
#[derive(Clone, Copy)]
pub(super) struct Column {
    head: &'static str,
    field: &'static str,
    fit: Fit,
}

impl From<(&'static str, &'static str)> for Column {
    fn from((head, field): (&'static str, &'static str)) -> Self {
        Self { head, field, fit: Fit::Wrapped }
    }
}

impl Column {
    /// Of short words, which are never broken.
    pub(super) const fn whole(head: &'static str, field: &'static str) -> Self {
        Self { head, field, fit: Fit::Whole }
    }

    /// Of names: where they would be broken, rows are shown without columns.
    pub(super) const fn name(head: &'static str, field: &'static str) -> Self {
        Self { head, field, fit: Fit::Name }
    }

    /// Left out where the terminal is too narrow.
    pub(super) const fn spare(head: &'static str, field: &'static str) -> Self {
        Self { head, field, fit: Fit::LeftOut }
    }

    /// What stands in it for a row.
    fn text(&self, row: &Value) -> String {
        let name = self.field.rsplit('/').next().unwrap_or_default();
        row.pointer(self.field).map(|value| named(name, value)).unwrap_or_default()
    }
}

impl Output {
    pub(super) fn new(format: Format) -> Self {
        Self { format, bold: may_style(&std::io::stdout()) }
    }

    pub(super) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// A line of text for people; nothing when programs read.
    pub(super) fn say(&self, text: &str) {
        if !self.is_json() {
            line(&printable(text));
        }
    }

    /// A line of text for people, some parts of which stand out on a terminal.
    pub(super) fn say_tinted(&self, parts: &[(Tint, &str)]) {
        if self.is_json() {
            return;
        }
        let tinted = |(tint, text): &(Tint, &str)| match tint {
            Tint::Bad if self.bold => format!("\u{1b}[1;31m{}\u{1b}[0m", printable(text)),
            Tint::Doubtful if self.bold => format!("\u{1b}[1;33m{}\u{1b}[0m", printable(text)),
            Tint::Plain | Tint::Bad | Tint::Doubtful => printable(text),
        };
        line(&parts.iter().map(tinted).collect::<String>());
    }

    /// What was done: the whole answer for programs, a sentence for people.
    pub(super) fn done(&self, answer: &Value, sentence: &str) {
        if self.is_json() {
            line(&answer.to_string());
        } else {
            self.say(sentence);
        }
    }

    /// One object: a line of JSON, or name and value of each field that says something in two columns.
    pub(super) fn object(&self, object: &Value) {
        let fields = object.as_object().into_iter().flatten();
        self.pairs(object, fields.map(|(name, value)| (name.clone(), named(name, value))));
    }

    /// One object: a line of JSON, or the chosen fields in two columns.
    pub(super) fn fields(&self, columns: &[Column], object: &Value) {
        self.pairs(object, columns.iter().map(|column| (column.head.to_owned(), column.text(object))));
    }

    fn pairs(&self, object: &Value, pairs: impl Iterator<Item = (String, String)>) {
        if self.is_json() {
            line(&object.to_string());
            return;
        }
        let mut table = bare();
        for (name, text) in pairs.filter(|(_, text)| !text.is_empty()) {
            table.add_row([self.head(&name), Cell::new(text)]);
        }
        fit(&mut table, &[Fit::Whole, Fit::Wrapped]);
        line(&table.trim_fmt());
    }

    /// Several objects: a line of JSON each, or a table of the named fields.
    pub(super) fn rows<C: Copy + Into<Column>>(&self, columns: &[C], rows: &[Value]) {
        if self.is_json() {
            rows.iter().for_each(|row| line(&row.to_string()));
            return;
        }
        let columns: Vec<Column> = columns.iter().map(|column| (*column).into()).collect();
        let mut table = self.grid(&columns, rows);
        if !fits(&table) {
            let kept: Vec<Column> = columns.into_iter().filter(|column| column.fit != Fit::LeftOut).collect();
            table = self.grid(&kept, rows);
            if let Some(width) =
                table.width().filter(|_| !fits(&table) && kept.iter().any(|column| column.fit == Fit::Name))
            {
                rows.iter().for_each(|row| line(&flowing(kept.iter().map(|column| column.text(row)), width.into())));
                return;
            }
        }
        line(&table.trim_fmt());
    }

    fn grid(&self, columns: &[Column], rows: &[Value]) -> Table {
        let mut table = bare();
        table.set_header(columns.iter().map(|column| self.head(&column.head.to_uppercase())));
        for row in rows {
            table.add_row(columns.iter().map(|column| column.text(row)));
        }
        fit(&mut table, &columns.iter().map(|column| column.fit).collect::<Vec<Fit>>());
        table
    }

    fn head(&self, text: &str) -> Cell {
        let cell = Cell::new(text);
        if self.bold { cell.add_attribute(Attribute::Bold) } else { cell }
    }

    /// What somebody must know before the error that follows, on standard error.
    pub(super) fn note(&self, text: &str) {
        let mut to = std::io::stderr().lock();
        let text = printable(text);
        let _closed_pipe = if self.is_json() {
            writeln!(to, "{}", serde_json::json!({"note": text}))
        } else {
            writeln!(to, "note: {text}")
        };
    }

    /// What a gateway refused: `text` for people, and everything about it for programs.
    pub(super) fn refusal(&self, text: &str, refused: &Refused) {
        let hint = advice::on(refused);
        let error = serde_json::json!({
            "error": text, "code": refused.code, "message": refused.message,
            "status": refused.status, "request": refused.request, "hint": hint,
        });
        self.error(&error, hint.as_deref());
    }

    /// An error, in one line on standard error, and what to do about it in another.
    pub(super) fn error(&self, error: &Value, hint: Option<&str>) {
        let mut to = std::io::stderr().lock();
        if self.is_json() {
            let _closed_pipe = writeln!(to, "{error}");
            return;
        }
        let (red, blue, plain) =
            if may_style(&to) { ("\u{1b}[1;31m", "\u{1b}[1;36m", "\u{1b}[0m") } else { ("", "", "") };
        let text = printable(error.get("error").and_then(Value::as_str).unwrap_or_default());
        let _closed_pipe = writeln!(to, "{red}error:{plain} {text}");
        if let Some(hint) = hint {
            let _closed_pipe = writeln!(to, "{blue}hint:{plain} {}", printable(hint));
        }
    }
}

/// Colour is for terminals, and for those who did not ask for none (no-color.org).
fn may_style(stream: &impl IsTerminal) -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn bare() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

/// No space before the first column, none wasted behind the last.
fn fit(table: &mut Table, fits: &[Fit]) {
    for (column, fit) in table.column_iter_mut().zip(fits) {
        column.set_padding((0, GAP));
        if *fit == Fit::Whole {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
}

/// Whether no cell would have to be broken on this terminal; anything fits where there is none.
fn fits(table: &Table) -> bool {
    let widths = table.column_max_content_widths();
    let needed: u32 = widths.iter().map(|width| u32::from(*width) + u32::from(GAP)).sum();
    table.width().is_none_or(|width| needed <= u32::from(width))
}

/// The fields of a row one behind the other, in as many lines as it takes: a line ends between two fields, and within one
/// only if that is longer than a line.
fn flowing(fields: impl Iterator<Item = String>, width: usize) -> String {
    let (mut shown, mut used) = (String::new(), 0_usize);
    let next_line = format!("\n{}", " ".repeat(INDENT));
    for field in fields.filter(|field| !field.is_empty()) {
        let behind = used.saturating_add(usize::from(GAP));
        if used > 0 && behind.saturating_add(field.chars().count()) <= width {
            shown.push_str(&" ".repeat(GAP.into()));
            used = behind;
        } else if used > 0 {
            shown.push_str(&next_line);
            used = INDENT;
        }
        for character in field.chars() {
            if used >= width.max(INDENT.saturating_add(1)) {
                shown.push_str(&next_line);
                used = INDENT;
            }
            shown.push(character);
            used = used.saturating_add(1);
        }
    }
    shown
}

/// A field's value as a table shows it: times are told from other numbers by the field's name.
fn named(name: &str, value: &Value) -> String {
    match value.as_u64() {
        Some(0) if instant::is_time(name) => String::new(),
        Some(seconds) if instant::is_time(name) => instant::utc(seconds),
        _ => text(value),
    }
}

/// A value as a table shows it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        Value::Null => String::new(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
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

/// A new file that only its owner may read; refuses to overwrite.
pub(super) fn new_private_file(path: &Path) -> anyhow::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).with_context(|| format!("cannot create `{}`", path.display()))
}

/// Writes a new file that only its owner may read, to the disk; refuses to overwrite. Where it fails nothing is left of it.
pub(super) fn write_private_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut file = new_private_file(path)?;
    if let Err(error) = file.write_all(bytes).and_then(|()| file.sync_all()) {
        let failed = anyhow::Error::new(error).context(format!("cannot write `{}`", path.display()));
        return Err(match std::fs::remove_file(path) {
            Ok(()) => failed,
            Err(_) => failed.context("what there is of it could not be removed"),
        });
    }
    Ok(())
}

/// Makes the entry of `path` in its folder durable.
pub(super) fn sync_around(path: &Path) -> anyhow::Result<()> {
    let around = path.parent().filter(|around| !around.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = File::open(around).and_then(|around| around.sync_all());
    synced.with_context(|| format!("cannot sync `{}`", around.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn attack_g09_control_characters_and_direction_marks_are_shown_as_escapes() {
        assert_eq!(printable("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(printable("x\u{202e}y"), "x\\u{202e}y");
        assert_eq!(printable("plain é text"), "plain é text");
    }

    #[test]
    fn times_are_known_by_their_field_and_shown_in_utc_and_other_numbers_are_not() {
        assert_eq!(named("CreateTime", &json!(1_795_313_400)), "2026-11-22 02:10:00Z");
        assert_eq!(named("ExpiresAt", &json!(0)), "");
        assert_eq!(named("CreateUin", &json!(1_795_313_400)), "1795313400");
        assert_eq!(named("NextRotationTime", &json!("soon")), "soon");
    }

    #[test]
    fn a_row_without_columns_breaks_no_name_that_fits_a_line() {
        let fields =
            |secret: &str| ["12", "2026-11-22 02:10:00Z", "user/dev/app", "", secret, "allow"].map(str::to_owned);
        let shown = |secret: &str, width| flowing(fields(secret).into_iter(), width);
        assert_eq!(shown("demo/db", 60), "12  2026-11-22 02:10:00Z  user/dev/app  demo/db  allow");
        assert_eq!(shown("demo/db", 40), "12  2026-11-22 02:10:00Z  user/dev/app\n    demo/db  allow");
        let long = "a/".repeat(30);
        let text = shown(&long, 40);
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert_eq!(text.lines().nth(1).map(str::len), Some(40), "{text}");
        assert_eq!(text.replace("\n    ", "").matches("a/").count(), 30);
    }

    #[test]
    fn a_table_too_wide_for_the_terminal_gives_up_spare_columns_and_breaks_no_whole_one() {
        let output = Output { format: Format::Table, bold: false };
        let row = json!({"name": "a/very/long/name/of/a/secret", "time": "2026-11-22 02:10:00Z", "more": "details"});
        let columns = [Column::whole("time", "/time"), ("name", "/name").into(), Column::spare("more", "/more")];
        let mut table = output.grid(&columns, std::slice::from_ref(&row));
        table.set_width(80);
        assert!(fits(&table));
        table.set_width(40);
        assert!(!fits(&table));
        let mut kept = output.grid(&columns[..2], &[row]);
        kept.set_width(40);
        let shown = kept.trim_fmt();
        assert!(shown.contains("2026-11-22 02:10:00Z  a/very/"), "{shown}");
        assert!(shown.lines().all(|line| line.len() <= 40), "{shown}");
    }
}
