//! The root key: the one key that is not in the store. A [`RootKeyProvider`] says where it comes from; provider
//! `file` keeps it in a file of its own beside the configuration, provider `passphrase` is [`super::passphrase`].
//!
//! The file, 0600, is three lines: `keyward-root-key/v1`, 64 hex digits of key, 16 hex digits of check (the first 8
//! bytes of HMAC-SHA-256(key, `keyward-root-key/v1`), so that a damaged file is told from a wrong one).
//!
//! A process that dies in [`RootKeyProvider::create`] may leave a file without all its lines, which never loads and
//! is never overwritten.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::PathBuf;

use keyward_audit::Random;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::material::{KEY_BYTES, KeyMaterial};
use super::private_file;

const HEADER: &str = "keyward-root-key/v1";
const CHECK_BYTES: usize = 8;
const ID_LABEL: &[u8] = b"keyward/root-key-id/v1";
/// Length of a root key's id, in bytes.
const ID_BYTES: usize = 8;
/// The file's length is fixed; reading stops just above it.
const FILE_BYTES: usize = HEADER.len() + 1 + 2 * KEY_BYTES + 1 + 2 * CHECK_BYTES + 1;

/// The root key, and where it came from for messages. No `Debug`, `Clone` or serialisation; wiped when dropped.
pub struct RootKey {
    key: KeyMaterial,
    place: String,
}

/// What tells one root key from another and nothing else of it: the first 8 bytes of HMAC-SHA-256(root key, a label). Written
/// as 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootKeyId([u8; ID_BYTES]);

impl RootKeyId {
    /// The bytes.
    pub(super) const fn as_bytes(&self) -> &[u8; ID_BYTES] {
        &self.0
    }
}

impl From<[u8; ID_BYTES]> for RootKeyId {
    fn from(bytes: [u8; ID_BYTES]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for RootKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl RootKey {
    pub(super) fn new(key: KeyMaterial, place: String) -> Self {
        Self { key, place }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> RootKeyId {
        let [a, b, c, d, e, f, g, h, ..] = self.key.mac(&[ID_LABEL]);
        RootKeyId([a, b, c, d, e, f, g, h])
    }

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

    /// Makes a new root key and its file, synced to disk with its folder.
    ///
    /// # Errors
    /// [`RootKeyError::Exists`] if there is a file already, whatever it holds; else what the system refused.
    fn create(&self, random: &dyn Random) -> Result<RootKey, RootKeyError>;
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
    /// There is no passphrase to be had, or none that may be used.
    #[error("the passphrase in `{place}` cannot be used: {what}")]
    Passphrase {
        /// Where it should be.
        place: String,
        /// What is wrong.
        what: Cow<'static, str>,
    },
    /// Another passphrase than the file was made with.
    #[error("the passphrase in `{place}` is not the one of the root key in `{path}`, or that file was changed")]
    WrongPassphrase {
        /// Where the passphrase came from.
        place: String,
        /// The file with cost and salt.
        path: String,
    },
    /// Neither the root key nor the one that is to replace it.
    #[error("{current}; nor is there the one of `[keys.next]`: {next}")]
    Neither {
        /// Why there is no root key.
        current: Box<Self>,
        /// Why there is no next one.
        next: Box<Self>,
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

    fn write(&self, text: &str) -> Result<(), RootKeyError> {
        private_file::write_new(&self.path, text)
    }

    fn read(&self) -> Result<Zeroizing<String>, RootKeyError> {
        let bytes = private_file::read(&self.path, FILE_BYTES)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| self.form("not text"))?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn form(&self, what: &'static str) -> RootKeyError {
        RootKeyError::Form { path: self.place(), what }
    }
}

impl RootKeyProvider for FileProvider {
    fn load(&self) -> Result<RootKey, RootKeyError> {
        let text = self.read()?;
        let key = parse(&text).map_err(|what| self.form(what))?;
        Ok(RootKey::new(key, self.place()))
    }

    fn create(&self, random: &dyn Random) -> Result<RootKey, RootKeyError> {
        let key = KeyMaterial::random(random).map_err(|_| RootKeyError::Random)?;
        if is_zero(&key) {
            return Err(RootKeyError::Random);
        }
        self.write(&format(&key))?;
        Ok(RootKey::new(key, self.place()))
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

/// Reads lower-case hex digits, exactly as many as `into` takes.
pub(super) fn lower_hex(digits: &str, into: &mut [u8]) -> Option<()> {
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
