//! Keys: the root key, the installation, and the key-encryption keys that wrap the data keys of values.
//!
//! ```text
//! root key (provider file or passphrase)   keys/root.key, outside the store
//!   ├─ creator key (installation)    family `keys`, wrapped
//!   │    ├─ row key                  derived: authenticates rows in the clear ([`RowKey`])
//!   │    ├─ key of access keys       derived: wraps their secrets ([`AccessKeyRow`])
//!   │    └─ key of sessions          derived: seals them in their tokens ([`Session`])
//!   └─ key-encryption key (id, generation)   family `keys`, wrapped
//!        └─ data key, one for each stored value   family `secrets`, wrapped (`crate::secret`)
//! ```
//!
//! INVARIANT I8: each key is wrapped under a key of its own, derived from its parent for that one purpose, with
//! associated data that names format, installation, key id and generation; a wrapped key that was moved does not
//! open. A data key names the (key id, generation) that wraps it, so that a new generation, re-wrapping and a new
//! root key touch no value.
//!
//! Rows here change only in a commit together with their record (I2); a process that dies leaves them as they were.

mod access_key;
mod authentic;
pub mod change;
#[cfg(test)]
pub(crate) mod fixture;
mod id;
mod installation;
mod keyring;
mod material;
mod passphrase;
mod private_file;
mod replace;
pub mod rewrap;
mod root;
mod row;
mod session;

pub use access_key::{
    AccessKey, AccessKeyId, AccessKeyRow, AccessKeySecret, KEYS_MAX as ACCESS_KEYS_MAX, NewAccessKey,
};
pub use authentic::RowKey;
pub use id::{KeyGeneration, KeyId, KeyIdError};
pub use installation::{Installation, InstallationId};
pub use keyring::{KeyInfo, KeyUnusable, Keyring, KeysError};
pub use material::{
    KEY_BYTES, KeyMaterial, NONCE_BYTES, SealError, TAG_BYTES, Tampered, WRAPPED_BYTES, Wrapped, open_in_place,
    seal_in_place,
};
pub use passphrase::{PassphraseProvider, PassphraseSource};
pub use private_file::forbidden_bits;
pub use replace::{Candidates, Opened, opens, replaced};
pub use root::{FileProvider, RootKey, RootKeyError, RootKeyId, RootKeyProvider};
pub use row::{deletion_row, key_row};
pub use session::{ParentCredential, Session, TemporaryKey};
