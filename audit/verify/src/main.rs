//! `keyward-audit-verify FILE --vkey FILE [--since CHECKPOINT]...`: verifies a raw export of a keyward audit log.
//!
//! Exit codes: 0 valid; 4 findings, one a line; 1 could not check; 2 usage.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use keyward_audit_verify::{Checkpoint, Options, Report, Vkey, verify};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Verifies a raw export of a keyward audit log.
///
/// Exit codes: 0 valid, 4 findings, 1 could not check, 2 usage.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The export, as `keyward audit export --format raw` writes it
    file: PathBuf,
    /// Public keys that are trusted to sign the log, one vkey a line; after a rotation or a loss all of them
    #[arg(long, value_name = "FILE")]
    vkey: PathBuf,
    /// A checkpoint remembered from outside the file, a note or the content of a Keyward-Audit-Checkpoint header, which must be part
    /// of its history; may be repeated
    #[arg(long, value_name = "CHECKPOINT")]
    since: Vec<PathBuf>,
    /// Text for people, or one JSON object for programs
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Table,
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (text, code) = match check(&arguments) {
        Ok(report) => (render(&report, arguments.output), if report.is_valid() { 0 } else { 4 }),
        Err(reason) => {
            let _ = writeln!(io::stderr(), "could not check: {reason}");
            return ExitCode::from(1);
        }
    };
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::from(1),
    }
}

fn render(report: &Report, output: Output) -> String {
    match (output, &report.head) {
        (Output::Json, _) => format!("{}\n", report.json()),
        (Output::Table, Some((size, root))) if report.is_valid() => format!("valid, {size} records, root {root}\n"),
        (Output::Table, _) => report.findings.iter().map(|finding| format!("{finding}\n")).collect(),
    }
}

/// The verdict, or why there is none, on one line.
fn check(arguments: &Arguments) -> Result<Report, String> {
    let about = |path: &Path, reason: &dyn std::fmt::Display| format!("`{}`: {reason}", path.display());
    let read = |path: &Path| fs::read(path).map_err(|error| about(path, &error));
    let keys = String::from_utf8(read(&arguments.vkey)?).map_err(|error| about(&arguments.vkey, &error))?;
    let keys = Vkey::parse_file(&keys).map_err(|error| about(&arguments.vkey, &error))?;
    let open = |path: &PathBuf| Checkpoint::open(&note(read(path)?), &keys).map_err(|error| about(path, &error));
    let since: Vec<Checkpoint> = arguments.since.iter().map(open).collect::<Result<_, _>>()?;
    let file = File::open(&arguments.file).map_err(|error| about(&arguments.file, &error))?;
    let length = file.metadata().map_err(|error| about(&arguments.file, &error))?.len();
    let bar = progress_bar(length);
    let options = Options {
        keys: &keys,
        since: &since,
        threads: std::thread::available_parallelism().map_or(1, NonZero::get),
        progress: &|done| bar.set_position(done),
    };
    let report = verify(&file, &options).map_err(|error| about(&arguments.file, &error));
    bar.finish_and_clear();
    report
}

/// A note, also from the base64url in which answers carry it: a note has several lines, so that it is never that itself.
fn note(bytes: Vec<u8>) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(bytes.trim_ascii()).unwrap_or(bytes)
}

/// A bar on the terminal's standard error; indicatif hides it where there is no terminal.
fn progress_bar(bytes: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    ProgressBar::new(bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
