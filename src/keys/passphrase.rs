//! Provider `passphrase`: the root key is derived from a passphrase with Argon2id (RFC 9106), version 0x13.
//!
//! The passphrase comes from a file, an environment variable or a systemd credential; never from an argument. Beside it there
//! is a file that is no secret and without which the passphrase is worth nothing: cost and salt, 0600, four lines:
//! `keyward-root-passphrase/v1`, `argon2id m=<KiB> t=<passes> p=<lanes>`, 32 hex digits of salt, 16 hex digits of check (the first
//! 8 bytes of HMAC-SHA-256(root key, the lines before), so that another passphrase, or a changed cost, is told at once).
//!
//! SECURITY: passphrase, derived key and Argon2's memory are wiped. A variable of the environment cannot be: the system keeps
//! it where it was put; no child of keyward inherits it.
//!
//! A process that dies in [`PassphraseProvider::create`] may leave a file without all its lines, which never loads and is never
//! overwritten.

use std::borrow::Cow;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use keyward_audit::Random;
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use super::material::{KEY_BYTES, KeyMaterial};
use super::private_file;
use super::root::{RootKey, RootKeyError, RootKeyProvider, lower_hex};

const HEADER: &str = "keyward-root-passphrase/v1";
const SALT_BYTES: usize = 16;
const CHECK_BYTES: usize = 8;
/// Longer than any file of that form.
const FILE_BYTES_MAX: usize = 256;
/// Longest passphrase, in bytes.
const PASSPHRASE_BYTES_MAX: usize = 1024;
/// Shortest passphrase that a root key is made from, in bytes.
const PASSPHRASE_BYTES_MIN: usize = 12;

/// What a derivation costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// The second recommended option of RFC 9106, section 4: 64 MiB, 3 passes, 4 lanes.
    const NEW: Self = Self { memory_kib: 65_536, passes: 3, lanes: 4 };

    /// Whether it is neither cheaper than OWASP's least (19 MiB, 2 passes) nor more than a start can bear (1 GiB, 16).
    fn is_bounded(self) -> bool {
        (19_456..=1_048_576).contains(&self.memory_kib)
            && (2..=16).contains(&self.passes)
            && (1..=16).contains(&self.lanes)
    }

    fn text(self) -> String {
        format!("argon2id m={} t={} p={}", self.memory_kib, self.passes, self.lanes)
    }

    /// Reads what [`Cost::text`] writes, and no other spelling of it.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.strip_prefix("argon2id m=")?.splitn(3, ' ');
        let memory_kib = numbers.next()?.parse().ok()?;
        let passes = numbers.next()?.strip_prefix("t=")?.parse().ok()?;
        let lanes = numbers.next()?.strip_prefix("p=")?.parse().ok()?;
        let cost = Self { memory_kib, passes, lanes };
        (cost.text() == text).then_some(cost)
    }

    fn derive(self, passphrase: &[u8], salt: &[u8]) -> Result<KeyMaterial, &'static str> {
        const REFUSED: &str = "argon2 refused its cost";
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(KEY_BYTES)).map_err(|_| REFUSED)?;
        let mut memory = vec![Block::new(); params.block_count()];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        let derived = argon2.hash_password_into_with_memory(passphrase, salt, key.as_mut_slice(), &mut memory);
        memory.iter_mut().for_each(|block| block.zeroize());
        derived.map_err(|_| REFUSED)?;
        Ok(KeyMaterial::from_bytes(key))
    }
}

/// Where the passphrase comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassphraseSource {
    /// A file of its owner alone.
    File(PathBuf),
    /// A variable of the environment.
    Variable(String),
    /// A credential that systemd hands over.
    Credential(String),
}

impl PassphraseSource {
    /// As messages name it.
    fn place(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Variable(name) => format!("${name}"),
            Self::Credential(name) => format!("$CREDENTIALS_DIRECTORY/{name}"),
        }
    }

    fn refused(&self, what: impl Into<Cow<'static, str>>) -> RootKeyError {
        RootKeyError::Passphrase { place: self.place(), what: what.into() }
    }

    /// What keeps a passphrase's file from being read, said of the passphrase: it is not the root key's own file.
    fn told(&self, error: RootKeyError) -> RootKeyError {
        match error {
            RootKeyError::Absent(_) => self.refused("the file does not exist"),
            RootKeyError::Exposed { mode, .. } => {
                self.refused(format!("the file is open to others (mode {mode:04o}); make it 0600"))
            }
            RootKeyError::Io { source, .. } => self.refused(source.to_string()),
            other => other,
        }
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, RootKeyError> {
        let most = PASSPHRASE_BYTES_MAX + 2;
        let refused = |what: &'static str| self.refused(what);
        let read = |path: &Path| private_file::read(path, most).map_err(|error| self.told(error));
        let mut bytes = match self {
            Self::File(path) => read(path)?,
            Self::Variable(name) => {
                let value = std::env::var_os(name).ok_or_else(|| refused("the variable is not set"))?;
                Zeroizing::new(value.into_vec())
            }
            Self::Credential(name) => {
                let folder = private_file::credentials()
                    .ok_or_else(|| refused("no credentials were handed over (systemd's `LoadCredential=`)"))?;
                read(&folder.join(name))?
            }
        };
        for end in [b'\n', b'\r'] {
            if bytes.last() == Some(&end) {
                bytes.pop();
            }
        }
        if bytes.is_empty() || bytes.len() > PASSPHRASE_BYTES_MAX || bytes.contains(&b'\n') {
            return Err(refused("it is one line of 1 to 1024 bytes"));
        }
        Ok(bytes)
    }
}

/// Provider `passphrase`.
#[derive(Clone, Debug)]
pub struct PassphraseProvider {
    path: PathBuf,
    source: PassphraseSource,
}

impl PassphraseProvider {
    /// The root key of the passphrase in `source`, with cost and salt of the file at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, source: PassphraseSource) -> Self {
        Self { path: path.into(), source }
    }

    fn key(&self, key: KeyMaterial) -> RootKey {
        RootKey::new(key, format!("{} with the passphrase of {}", self.path.display(), self.source.place()))
    }

    fn form(&self, what: &'static str) -> RootKeyError {
        RootKeyError::Form { path: self.path.display().to_string(), what }
    }
}

impl RootKeyProvider for PassphraseProvider {
    fn load(&self) -> Result<RootKey, RootKeyError> {
        let bytes = private_file::read(&self.path, FILE_BYTES_MAX)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| self.form("not text"))?;
        let form = Form::parse(text).map_err(|what| self.form(what))?;
        let passphrase = self.source.read()?;
        let key = form.cost.derive(&passphrase, &form.salt).map_err(|what| self.form(what))?;
        if bool::from(check(&key, form.cost, &form.salt).ct_eq(&form.check)) {
            Ok(self.key(key))
        } else {
            let (place, path) = (self.source.place(), self.path.display().to_string());
            Err(RootKeyError::WrongPassphrase { place, path })
        }
    }

    fn create(&self, random: &dyn Random) -> Result<RootKey, RootKeyError> {
        let passphrase = self.source.read()?;
        if passphrase.len() < PASSPHRASE_BYTES_MIN {
            return Err(self.source.refused("a new root key takes a passphrase of at least 12 bytes"));
        }
        let mut salt = [0; SALT_BYTES];
        random.fill(&mut salt).map_err(|_| RootKeyError::Random)?;
        let key = Cost::NEW.derive(&passphrase, &salt).map_err(|what| self.form(what))?;
        let form = Form { cost: Cost::NEW, check: check(&key, Cost::NEW, &salt), salt };
        private_file::write_new(&self.path, &form.text())?;
        Ok(self.key(key))
    }
}

/// What the file says.
#[derive(Debug, PartialEq, Eq)]
struct Form {
    cost: Cost,
    salt: [u8; SALT_BYTES],
    check: [u8; CHECK_BYTES],
}

impl Form {
    fn text(&self) -> String {
        format!("{}{}\n", lines(self.cost, &self.salt), hex::encode(self.check))
    }

    /// Reads the file's text: total, and strict down to the last byte.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let body = text.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('\n'));
        let body = body.ok_or("the first line is not `keyward-root-passphrase/v1`")?;
        let mut lines = body.strip_suffix('\n').ok_or("it ends before the check")?.split('\n');
        let cost = lines.next().and_then(Cost::parse).ok_or("the cost is not `argon2id m=… t=… p=…`")?;
        if !cost.is_bounded() {
            return Err("its cost is out of bounds: m 19456 to 1048576, t 2 to 16, p 1 to 16");
        }
        let (mut salt, mut check) = ([0; SALT_BYTES], [0; CHECK_BYTES]);
        let salted = lines.next().and_then(|digits| lower_hex(digits, &mut salt));
        salted.ok_or("the salt is not 32 lower-case hex digits")?;
        let checked = lines.next().and_then(|digits| lower_hex(digits, &mut check));
        checked.ok_or("the check is not 16 lower-case hex digits")?;
        if lines.next().is_some() { Err("it does not end behind the check") } else { Ok(Self { cost, salt, check }) }
    }
}

/// All lines but the check.
fn lines(cost: Cost, salt: &[u8; SALT_BYTES]) -> String {
    format!("{HEADER}\n{}\n{}\n", cost.text(), hex::encode(salt))
}

fn check(key: &KeyMaterial, cost: Cost, salt: &[u8; SALT_BYTES]) -> [u8; CHECK_BYTES] {
    let [a, b, c, d, e, f, g, h, ..] = key.mac(&[lines(cost, salt).as_bytes()]);
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests;
