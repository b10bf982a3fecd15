//! `keyward key`: the keys that values are sealed under.

use super::client::Client;
use super::{Context, Failure};
use clap::Subcommand;
use serde_json::json;

/// The keys that values are sealed under
#[derive(Subcommand)]
pub(super) enum Key {
    /// Put all keys under the root key that keyward.toml names next, while serving
    #[command(after_help = "Examples:
  keyward key rotate-root

Before: add a table [keys.next] to keyward.toml (provider and path, as in [keys], and another path) and leave [keys] as it
is. The new root key is made there if it is not there yet, and all keys are wrapped anew in one write. After: put
[keys.next] in the place of [keys]; until then the gateway starts with whichever of the two opens the store. Keep the old
root key, offline, as long as there are backups from before.")]
    RotateRoot,
}

impl Key {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::RotateRoot => rotate_root(context),
        }
    }
}

fn rotate_root(context: &Context) -> Result<(), Failure> {
    let answer = Client::new(context)?.call("RotateRootKey", &json!({}))?;
    context.output.object(&answer);
    context.output.say(
        "all keys are under the new root key. Put [keys.next] in the place of [keys] in keyward.toml; keep the old root key, \
         offline, as long as you keep backups from before",
    );
    Ok(())
}
