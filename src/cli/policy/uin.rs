//! `keyward policy uin`: the creator number of a principal.

use crate::cli::{Context, Failure, output, root_keys};
use crate::keys::Opened;
use crate::principal::Principal;
use keyward_audit::store::{self, rocks::RocksStore};
use serde_json::json;

pub(super) fn run(context: &Context, principal: &str) -> Result<(), Failure> {
    let principal = Principal::parse(principal).map_err(|error| Failure::Usage(format!("`{principal}`: {error}")))?;
    let config = context.load_config()?;
    let roots = root_keys(&config)?;
    let rows = RocksStore::open_read_only(&config.path(&config.storage.path))?;
    let Opened { keyring, .. } = store::read(&rows, |snapshot| Ok(roots.open(snapshot)))??;
    let number = keyring.creator_number(&principal);
    if context.output.is_json() {
        output::line(&json!({"principal": principal.as_str(), "uin": number.get()}).to_string());
    } else {
        output::line(&number.to_string());
    }
    Ok(())
}
