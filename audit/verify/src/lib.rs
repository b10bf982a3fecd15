//! Verifies the raw export of a keyward audit log, offline, from the written specification alone.
//!
//! INVARIANT I7: this crate shares no code with the writer of the log and links no store; its decoder of records,
//! notes and trees is its own. A changed record is named by its index wherever the evidence allows it.
//!
//! The order of the checks is the specification's: the note ([`note`]), the leaf lines against the signed root and
//! the records against the leaf lines ([`mod@verify`]), then every record by itself and against those before it. Memory
//! does not grow with the log. The program only reads: dying at any moment costs nothing but the answer.

mod canonical;
mod hex;
mod keys;
mod layout;
mod leaves;
mod lines;
pub mod note;
mod record;
pub mod report;
mod seek;
pub mod source;
mod statements;
pub mod tree;
pub mod verify;
mod walk;

pub use note::{Checkpoint, NoteError, Vkey};
pub use report::{Finding, Place, Report};
pub use source::Source;
pub use verify::{CheckError, Options, verify};
