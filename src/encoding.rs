//! The binary form of stored rows and of associated data: fixed-width big-endian integers and length-prefixed
//! bytes, in the order in which they are written.
//!
//! INVARIANT I10: [`Reader`] is total; every byte string is either read to its end or refused. There is exactly one
//! encoding of each row: a reader checks ranges and [`Reader::finish`] refuses trailing bytes, so that
//! `encode(decode(bytes)) == bytes` for all bytes that are accepted. Holds no state; a crash leaves nothing behind.

/// Why bytes are not the row that they stand for: the part that does not fit, never its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("damaged row: {0}")]
pub struct Damaged(pub &'static str);

/// Writes a row, or associated data, field by field.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty row.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One byte.
    #[must_use]
    pub fn u8(mut self, value: u8) -> Self {
        self.bytes.push(value);
        self
    }

    /// Four bytes, big-endian.
    #[must_use]
    pub fn u32(self, value: u32) -> Self {
        self.raw(&value.to_be_bytes())
    }

    /// Eight bytes, big-endian.
    #[must_use]
    pub fn u64(self, value: u64) -> Self {
        self.raw(&value.to_be_bytes())
    }

    /// A length in four bytes, then the bytes. Nothing here comes near 2^32 bytes; a longer one would be written
    /// with the length 2^32 - 1, which no reader accepts.
    #[must_use]
    pub fn bytes(self, value: &[u8]) -> Self {
        self.u32(u32::try_from(value.len()).unwrap_or(u32::MAX)).raw(value)
    }

    /// Bytes whose length the reader knows, or the rest of the row.
    #[must_use]
    pub fn raw(mut self, value: &[u8]) -> Self {
        self.bytes.extend_from_slice(value);
        self
    }

    /// The row.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads a row field by field.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `row` from its start.
    #[must_use]
    pub fn new(row: &'a [u8]) -> Self {
        Self { rest: row }
    }

    /// One byte.
    ///
    /// # Errors
    /// [`Damaged`] at the end of the row; so for every method here.
    pub fn u8(&mut self) -> Result<u8, Damaged> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Four bytes, big-endian.
    ///
    /// # Errors
    /// As [`Reader::u8`].
    pub fn u32(&mut self) -> Result<u32, Damaged> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes, big-endian.
    ///
    /// # Errors
    /// As [`Reader::u8`].
    pub fn u64(&mut self) -> Result<u64, Damaged> {
        self.array().map(u64::from_be_bytes)
    }

    /// Length-prefixed bytes.
    ///
    /// # Errors
    /// As [`Reader::u8`].
    pub fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let length = usize::try_from(self.u32()?).map_err(|_| Damaged("length"))?;
        let (head, tail) = self.rest.split_at_checked(length).ok_or(Damaged("cut short"))?;
        self.rest = tail;
        Ok(head)
    }

    /// Length-prefixed UTF-8.
    ///
    /// # Errors
    /// As [`Reader::u8`], and for bytes that are not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, Damaged> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Damaged("text"))
    }

    /// `N` bytes.
    ///
    /// # Errors
    /// As [`Reader::u8`].
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(Damaged("cut short"))?;
        self.rest = tail;
        Ok(*head)
    }

    /// All that is left.
    #[must_use]
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Ends the row.
    ///
    /// # Errors
    /// [`Damaged`] if bytes are left.
    pub fn finish(self) -> Result<(), Damaged> {
        if self.rest.is_empty() { Ok(()) } else { Err(Damaged("trailing bytes")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let row = Writer::new().u8(7).u32(8).u64(9).bytes(b"ab").bytes("ä".as_bytes()).raw(&[1, 2]).finish();
        let mut reader = Reader::new(&row);
        assert_eq!(reader.u8(), Ok(7));
        assert_eq!(reader.u32(), Ok(8));
        assert_eq!(reader.u64(), Ok(9));
        assert_eq!(reader.bytes(), Ok(b"ab".as_slice()));
        assert_eq!(reader.text(), Ok("ä"));
        assert_eq!(reader.rest(), &[1, 2]);
    }

    #[test]
    fn a_row_that_is_cut_or_goes_on_is_refused() {
        let row = Writer::new().bytes(b"abc").finish();
        for end in 0..row.len() {
            assert!(Reader::new(&row[..end]).bytes().is_err(), "{end}");
        }
        assert_eq!(Reader::new(&row).finish(), Err(Damaged("trailing bytes")));
        assert_eq!(Reader::new(&[0, 0, 0, 1, 0xff]).text(), Err(Damaged("text")));
    }
}
