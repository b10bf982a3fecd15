//! Bytes at a place: a file, or a slice in tests.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Something that can be read at any place, from several threads.
pub trait Source: Sync {
    /// Bytes in all.
    ///
    /// # Errors
    /// What the system says.
    fn size(&self) -> io::Result<u64>;

    /// Fills as much of `buffer` as there is from `offset` on; how much that was.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl Source for File {
    fn size(&self) -> io::Result<u64> {
        self.metadata().map(|metadata| metadata.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0_usize;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match FileExt::read_at(self, rest, offset.saturating_add(count(filled))) {
                Ok(0) => break,
                Ok(read) => filled = filled.saturating_add(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

impl Source for &[u8] {
    fn size(&self) -> io::Result<u64> {
        Ok(count(self.len()))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.get(from..).unwrap_or_default();
        let taken = rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        Ok(taken)
    }
}

/// A length as a place in a file.
pub(crate) fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// The bytes between two places, cut where the source ends.
///
/// # Errors
/// What the system says.
pub(crate) fn read_range(source: &dyn Source, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    read_range_into(source, from, to, &mut bytes)?;
    Ok(bytes)
}

/// As [`read_range`], into a buffer that is used again and again.
///
/// # Errors
/// What the system says.
pub(crate) fn read_range_into(source: &dyn Source, from: u64, to: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
    let length = usize::try_from(to.saturating_sub(from)).map_err(|_| io::ErrorKind::FileTooLarge)?;
    bytes.resize(length, 0);
    let filled = source.read_at(from, bytes)?;
    bytes.truncate(filled);
    Ok(())
}
