//! `keyward key`: the keys that values are sealed under.

use super::client::Client;
use super::{Context, Failure};
use clap::Subcommand;
use serde_json::json;

/// The keys that values are sealed under
#[derive(Subcommand)]
pub(super) enum Key {
    /// Put all keys under the root key that keyward.toml names next, while serving
    #[command(after_help = "Example:
  1. Add to keyward.toml, and keep the table that is there:
       [keys.next]
       provider = \"file\"            (or passphrase, with passphrase_file, passphrase_env or passphrase_credential)
       path = \"keys/root-2.key\"
  2. keyward key rotate-root        makes that file if it is not there; all keys are wrapped anew in one write
  3. Put [keys.next] in the place of [keys]. Keep the old root key, offline, as long as backups from before are kept.

Until step 3 is done the gateway starts with whichever of the two opens the store.")]
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
