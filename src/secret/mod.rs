//! Secrets: their names, versions, states and sealed values.
//!
//! What a call may do to a secret is decided in [`change`] and [`state`], without clock or store; the rows are in
//! [`row`], new ones made in [`password`] and [`ssh_key`], where they lie in [`address`], how they are read in [`lookup`], by which keys their values are wrapped in [`DataKeys`]; values are sealed and opened by [`Engine`]. Nothing here knows who asks
//! or why it is allowed.
//!
//! - INVARIANT I1: [`Engine::open`] takes a [`keyward_audit::Committed`] event; there is no other way to a stored
//!   plaintext.
//! - INVARIANT I2: a [`change::Change`] is a list of writes for the batch of its record; nothing here writes.
//! - INVARIANT I6: rows are keyed by the name's own bytes.
//! - INVARIANT I8: `seal` and `docs/adr/0002-sealing.md`.
//!
//! Nothing here outlives a call; a process that dies leaves rows as the last commit left them.

pub mod address;
pub mod change;
mod data_keys;
mod engine;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod golden;
mod held;
mod id;
mod limits;
pub mod lookup;
mod metadata;
pub mod password;
mod plaintext;
pub mod row;
mod seal;
mod servable;
pub mod ssh_key;
pub mod state;

pub use data_keys::DataKeys;
pub use engine::{Engine, OpenError, Readable, SealValueError};
pub use held::{Held, NoTurn};
pub use id::{SecretId, SshKeyId, SshKeyIdError, ValueId, VersionId, VersionIdError};
pub use limits::{Limits, VALUE_BYTES_MAX};
pub use metadata::{Description, MetadataError, Tag, Tags};
pub use plaintext::{Form, Plaintext, PlaintextError};
pub use seal::{Binding, RewrapError, Sealed, SealedValue};
pub use servable::{Servable, Servables};
pub use state::SecretError;
