//! Looking at a log where it lies, as its start would, without opening it for writing.

use std::path::Path;

use super::restored;
use super::start::{self, OpenError};
use crate::mark::Mark;
use crate::store::{Store, StoreError};

/// How many records the log that signs under `origin` has, if it would be opened with `mark`, read before the store was. A torn
/// tail is not seen: only a start cuts it off.
///
/// # Errors
/// [`OpenError`]: why it would not be opened.
pub fn look(store: &dyn Store, origin: &str, high_water_mark: &Path, mark: Option<&Mark>) -> Result<u64, OpenError> {
    let note = restored::read(high_water_mark).map_err(OpenError::Mark)?;
    let mut size = Err(StoreError::Closed.into());
    store.snapshot(&mut |rows| {
        let examined = match mark {
            Some(mark) => start::examine(rows, origin, mark),
            None => start::load(rows, origin),
        };
        size = restored::refuse(note.as_ref(), examined).map(|examined| examined.head.size);
        Ok(())
    })?;
    size
}
