//! Standard output, for every verb alike. A reader that has left is no failure; anything else that keeps output from being
//! written is, and is told at the end: what was to be printed may be shown this once.

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::sync::OnceLock;

/// Why output was lost, the first time.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Writes a line.
pub(super) fn line(text: &str) {
    note(writeln!(io::stdout().lock(), "{text}"));
}

/// Writes bytes as they are.
pub(super) fn bytes(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    note(out.write_all(bytes).and_then(|()| out.flush()));
}

/// Writes bytes as they are; on a terminal, whatever comes next begins a line.
pub(super) fn value(value: &[u8]) {
    bytes(value);
    if io::stdout().is_terminal() && !value.ends_with(b"\n") {
        bytes(b"\n");
    }
}

/// Remembers how writing ended.
pub(super) fn note(written: io::Result<()>) {
    if let Err(error) = written {
        let _lost_before = LOST.set(error);
    }
}

/// Whether nobody gets what is written from here on.
pub(super) fn is_lost() -> bool {
    LOST.get().is_some()
}

/// Why output is missing that somebody waits for, once all is written.
pub(super) fn failure() -> Option<&'static io::Error> {
    note(io::stdout().lock().flush());
    LOST.get().filter(|error| error.kind() != ErrorKind::BrokenPipe)
}
