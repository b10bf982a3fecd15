//! Request ids, a random UUID for each request. The random bytes are fetched for many at a time, since a system call
//! for each would cost as much as authenticating the request; they are names and no secrets.
//!
//! If the process dies, unused bytes are gone with it.

use keyward_audit::{Random, RandomError};
use std::sync::{Mutex, PoisonError};

/// Random bytes of one id.
const ID_BYTES: usize = 16;
/// Ids that one fetch from the system is for.
const FETCHED: usize = 64;

/// Where request ids come from.
#[derive(Default)]
pub(super) struct RequestIds(Mutex<Vec<[u8; ID_BYTES]>>);

impl RequestIds {
    /// A fresh id: 36 lower-case characters.
    ///
    /// # Errors
    /// [`RandomError`] if there are no bytes left and the system gives none.
    pub(super) fn next(&self, random: &dyn Random) -> Result<String, RandomError> {
        let mut unused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if unused.is_empty() {
            let mut bytes = [0; ID_BYTES * FETCHED];
            random.fill(&mut bytes)?;
            unused.extend(bytes.as_chunks::<ID_BYTES>().0);
        }
        let bytes = unused.pop().ok_or(RandomError)?;
        drop(unused);
        Ok(uuid::Builder::from_random_bytes(bytes).into_uuid().hyphenated().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemRandom;
    use std::collections::HashSet;

    #[test]
    fn ids_are_uuids_of_version_4_and_none_comes_twice() {
        let ids = RequestIds::default();
        let made: HashSet<String> = (0..1000).map(|_| ids.next(&SystemRandom).unwrap()).collect();
        assert_eq!(made.len(), 1000);
        assert!(made.iter().all(|id| uuid::Uuid::parse_str(id).unwrap().get_version_num() == 4));
    }

    #[test]
    fn without_random_bytes_there_is_no_id() {
        #[derive(Debug)]
        struct Dry;
        impl Random for Dry {
            fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
                Err(RandomError)
            }
        }
        assert!(RequestIds::default().next(&Dry).is_err());
    }
}
