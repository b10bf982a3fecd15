//! An answer that comes line by line, with a bar that says how far the gateway is.

use crate::cli::Failure;
use crate::cli::client::Client;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

/// Asks for an action whose answer is JSON, one object a line, and hands `take` each line that is not about how far it is; `doing` is what
/// the bar says is done.
pub(super) fn ask(
    client: &Client,
    action: &str,
    parameters: &Value,
    doing: &str,
    mut take: impl FnMut(Value),
) -> Result<(), Failure> {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{prefix} {wide_bar} {human_pos}/{human_len} {eta}") {
        bar.set_style(style);
    }
    bar.set_prefix(doing.to_owned());
    let mut rest = Vec::new();
    let answered = client.stream(action, parameters, |block| {
        rest.extend_from_slice(block);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let line: Value = serde_json::from_slice(&line)?;
            match how_far(&line) {
                Some((read, of)) => {
                    bar.set_length(of);
                    bar.set_position(read);
                }
                None => take(line),
            }
        }
        Ok(())
    });
    bar.finish_and_clear();
    answered
}

/// What a line says that was read, and of how much.
fn how_far(line: &Value) -> Option<(u64, u64)> {
    Some((line.get("Read")?.as_u64()?, line.get("Of")?.as_u64()?))
}
