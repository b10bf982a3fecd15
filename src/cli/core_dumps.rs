//! No core file holds a secret.
//!
//! SECURITY: two things make one: the limit of its size, and that the process may be dumped. A collector (a pipe in
//! `core_pattern`) gets its dump whatever the limit, unless the process is not dumpable; that also keeps other processes of
//! the same user from reading its memory. It ends with `exec`, the limit is inherited.

use rustix::io::Result;
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// For a process that serves: it and whatever it starts.
pub(super) fn forbid() -> Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    forbid_here()
}

/// For this process alone: a program that takes its place has the limits that it would have had.
pub(super) fn forbid_here() -> Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

/// For programs that this process starts. A limit of one byte is one that collectors heed as well (`fs/coredump.c`), and
/// too small for any file; 0 that is the most one may have stays.
pub(super) fn forbid_in_children() -> Result<()> {
    let most = getrlimit(Resource::Core).maximum.map_or(1, |most| most.min(1));
    setrlimit(Resource::Core, Rlimit { current: Some(most), maximum: Some(most) })
}
