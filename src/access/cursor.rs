//! Cursors of searches: where a page ended, bound to its filters and authenticated, so that none can be forged,
//! taken to another gateway or used with other filters. They hold until the gateway restarts.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use keyward_audit::{Random, RandomError};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes of a cursor: size, next index, and a 128-bit MAC.
const CURSOR_BYTES: usize = 8 + 8 + 16;

/// The key of this process's cursors.
pub(super) struct CursorKey(Zeroizing<[u8; 32]>);

/// Where a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// The log size as of which the query runs.
    pub(super) size: u64,
    /// The next page holds records below this index.
    pub(super) before: u64,
}

impl CursorKey {
    pub(super) fn random(random: &dyn Random) -> Result<Self, RandomError> {
        let mut key = Zeroizing::new([0_u8; 32]);
        random.fill(&mut *key)?;
        Ok(Self(key))
    }

    fn mac(&self, filters: &[u8], position: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.0).ok()?;
        mac.update(position);
        mac.update(filters);
        Some(mac)
    }

    /// The cursor of `position` under `filters`; empty if none can be made.
    pub(super) fn write(&self, filters: &[u8], position: Position) -> String {
        let mut bytes = [position.size.to_be_bytes(), position.before.to_be_bytes()].concat();
        let Some(mac) = self.mac(filters, &bytes) else {
            return String::new();
        };
        bytes.extend(mac.finalize().into_bytes().iter().take(16));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position of a cursor made here under the same filters.
    pub(super) fn read(&self, filters: &[u8], text: &str) -> Option<Position> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() == CURSOR_BYTES)?;
        let (position, mac) = bytes.split_at_checked(16)?;
        self.mac(filters, position)?.verify_truncated_left(mac).ok()?;
        let (size, before) = position.split_at_checked(8)?;
        let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_be_bytes);
        Some(Position { size: number(size)?, before: number(before)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_holds_for_its_key_and_filters_only_and_no_byte_of_it_can_change() {
        let (key, other) = (CursorKey(Zeroizing::new([1; 32])), CursorKey(Zeroizing::new([2; 32])));
        let position = Position { size: 70_000, before: 12 };
        let text = key.write(b"filters", position);
        assert_eq!(key.read(b"filters", &text), Some(position));
        assert_eq!(key.read(b"others", &text), None);
        assert_eq!(other.read(b"filters", &text), None);
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert_eq!(key.read(b"filters", &URL_SAFE_NO_PAD.encode(changed)), None, "byte {place}");
        }
        assert_eq!(key.read(b"filters", ""), None);
        assert_eq!(key.read(b"filters", &format!("{text}=")), None);
    }
}
