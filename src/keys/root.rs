//! The root key: the one key that is not in the store. A [`RootKeyProvider`] says where it comes from; provider
//! `file` keeps it in a file of its own beside the configuration.
//!
//! The file, 0600, is three lines: `keyward-root-key/v1`, 64 hex digits of key, 16 hex digits of check (the first 8
//! bytes of HMAC-SHA-256(key, `keyward-root-key/v1`), so that a damaged file is told from a wrong one).
//!
//! A process that dies in [`FileProvider::create`] may leave a file without all its lines, which never loads and
//! is never overwritten.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use keyward_audit::Random;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::material::{KEY_BYTES, KeyMaterial};

const HEADER: &str = "keyward-root-key/v1";
const CHECK_BYTES: usize = 8;
/// The file's length is fixed; reading stops just above it.
const FILE_BYTES: usize = HEADER.len() + 1 + 2 * KEY_BYTES + 1 + 2 * CHECK_BYTES + 1;

/// The root key, and where it came from for messages. No `Debug`, `Clone` or serialisation; wiped when dropped.
pub struct RootKey {
    key: KeyMaterial,
    place: String,
}

impl RootKey {
    /// Wraps and unwraps the keys of the store.
    pub(super) fn material(&self) -> &KeyMaterial {
        &self.key
    }

    /// Where it came from: a path, never the key.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }
}

/// Where the root key comes from.
pub trait RootKeyProvider: Send + Sync {
    /// Fetches the root key; called once at start.
    ///
    /// # Errors
    /// [`RootKeyError`], one line that says what to look at; the gateway does not start.
    fn load(&self) -> Result<RootKey, RootKeyError>;
}

/// Why there is no root key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootKeyError {
    /// The file is not there.
    #[error("the root key file `{0}` does not exist")]
    Absent(String),
    /// There is one already.
    #[error("the root key file `{0}` exists already and is never overwritten")]
    Exists(String),
    /// Others may read or write it.
    #[error("the root key file `{path}` is open to others (mode {mode:04o}); make it 0600")]
    Exposed {
        /// The file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// Not the three lines that it should be.
    #[error("the root key file `{path}` is not a root key: {what}")]
    Form {
        /// The file.
        path: String,
        /// What does not fit.
        what: &'static str,
    },
    /// The file system refused.
    #[error("the root key file `{path}` cannot be used: {source}")]
    Io {
        /// The file.
        path: String,
        /// What it answered.
        source: io::Error,
    },
    /// No key could be drawn.
    #[error("no random bytes for a root key could be had from the system")]
    Random,
}

/// Provider `file`.
#[derive(Clone, Debug)]
pub struct FileProvider {
    path: PathBuf,
}

impl FileProvider {
    /// The root key in the file at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Makes a new root key and its file, synced to disk with its folder.
    ///
    /// # Errors
    /// [`RootKeyError::Exists`] if there is a file already, whatever it holds; else what the system refused.
    pub fn create(&self, random: &dyn Random) -> Result<RootKey, RootKeyError> {
        let key = KeyMaterial::random(random).map_err(|_| RootKeyError::Random)?;
        if is_zero(&key) {
            return Err(RootKeyError::Random);
        }
        self.write(&format(&key)).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => RootKeyError::Exists(self.place()),
            _ => self.io(source),
        })?;
        Ok(RootKey { key, place: self.place() })
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }

    fn read(&self) -> Result<Zeroizing<String>, RootKeyError> {
        let file = File::open(&self.path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => RootKeyError::Absent(self.place()),
            _ => self.io(source),
        })?;
        // Of the opened file, not of the path: nothing can be swapped in between.
        let mode = file.metadata().map_err(|source| self.io(source))?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(RootKeyError::Exposed { path: self.place(), mode });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(2 * FILE_BYTES));
        let limit = u64::try_from(FILE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
        file.take(limit).read_to_end(&mut bytes).map_err(|source| self.io(source))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| self.form("not text"))?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn io(&self, source: io::Error) -> RootKeyError {
        RootKeyError::Io { path: self.place(), source }
    }

    fn form(&self, what: &'static str) -> RootKeyError {
        RootKeyError::Form { path: self.place(), what }
    }
}

impl RootKeyProvider for FileProvider {
    fn load(&self) -> Result<RootKey, RootKeyError> {
        let text = self.read()?;
        let key = parse(&text).map_err(|what| self.form(what))?;
        Ok(RootKey { key, place: self.place() })
    }
}

/// The file's text for `key`, made without a copy that is not wiped.
fn format(key: &KeyMaterial) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES));
    let digits = Zeroizing::new(hex::encode(key.expose()));
    [HEADER, "\n", digits.as_str(), "\n", &hex::encode(check(key)), "\n"].iter().for_each(|part| text.push_str(part));
    text
}

/// Reads the file's text: total, and strict down to the last byte.
fn parse(text: &str) -> Result<KeyMaterial, &'static str> {
    let body = text.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('\n'));
    let body = body.ok_or("the first line is not `keyward-root-key/v1`")?;
    let (digits, rest) = body.split_once('\n').ok_or("it ends before the key")?;
    let expected = rest.strip_suffix('\n').ok_or("it ends before the check")?;
    let key = KeyMaterial::from_bytes(digits32(digits)?);
    if is_zero(&key) {
        return Err("the key is all zero");
    }
    let mut found = [0; CHECK_BYTES];
    lower_hex(expected, &mut found).ok_or("the check is not 16 lower-case hex digits")?;
    if bool::from(found.ct_eq(&check(&key))) { Ok(key) } else { Err("the check does not fit the key") }
}

fn digits32(digits: &str) -> Result<Zeroizing<[u8; KEY_BYTES]>, &'static str> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    lower_hex(digits, bytes.as_mut_slice()).ok_or("the key is not 64 lower-case hex digits")?;
    Ok(bytes)
}

fn lower_hex(digits: &str, into: &mut [u8]) -> Option<()> {
    if digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    hex::decode_to_slice(digits, into).ok()
}

/// The first bytes of HMAC-SHA-256(key, header).
fn check(key: &KeyMaterial) -> [u8; CHECK_BYTES] {
    let [a, b, c, d, e, f, g, h, ..] = key.mac(&[HEADER.as_bytes()]);
    [a, b, c, d, e, f, g, h]
}

fn is_zero(key: &KeyMaterial) -> bool {
    key.expose().ct_eq(&[0; KEY_BYTES]).into()
}

#[cfg(test)]
mod tests;
