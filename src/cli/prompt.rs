//! Questions before something that cannot be taken back: asked on a terminal alone, so that no script waits for an answer.

use super::Failure;
use anyhow::anyhow;
use std::io::{BufRead as _, IsTerminal as _, Write as _};

/// Flags of verbs that ask first.
#[derive(clap::Args)]
pub(super) struct Sure {
    /// Do not ask first; without a terminal nothing is asked in any case
    #[arg(long, short = 'y')]
    yes: bool,
}

impl Sure {
    /// Goes on if nobody is there to ask, or who is there says yes.
    ///
    /// # Errors
    /// Anything else was said.
    pub(super) fn confirm(&self, question: &str) -> Result<(), Failure> {
        let (input, mut error) = (std::io::stdin(), std::io::stderr());
        if self.yes || !input.is_terminal() || !error.is_terminal() {
            return Ok(());
        }
        write!(error, "{question} [y/N] ")?;
        error.flush()?;
        let mut answer = String::new();
        input.lock().read_line(&mut answer)?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(anyhow!("not confirmed; nothing was done").into()),
        }
    }
}
