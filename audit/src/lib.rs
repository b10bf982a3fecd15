//! keyward's audit log: an append-only, hash-chained, Merkle-committed log of records in an embedded store.
//!
//! The bytes: `SPEC.md`. What is committed and what proves it: [`event`]. The engine under it: [`store`].

pub mod backup;
mod beside;
pub mod checkpoint;
pub mod disk;
pub mod environment;
pub mod event;
pub mod hash;
pub mod log;
pub mod mark;
pub mod note;
pub mod record;
pub mod recovery;
pub mod statement;
pub mod store;
pub mod tree;

#[cfg(test)]
pub(crate) mod samples;

pub use environment::{Clock, Environment, Random, RandomError};
pub use event::{Changes, CommitError, Committed, Event, Generation, Lane, Locator, ReadSet, Refused};
pub use log::Log;
