//! keyward: a secrets-access gateway. It proves who asks, decides by policy, records durably, then releases.
//!
//! How a request flows: [`access`]. The map of the code: `docs/ARCHITECTURE.md`.

pub mod access;
pub mod actions;
pub mod authn;
pub mod authz;
pub mod cli;
pub mod clock;
pub mod config;
pub mod encoding;
pub mod error;
pub mod floods;
mod form;
pub mod http;
mod json;
pub mod keys;
pub mod parameters;
pub mod principal;
pub mod resource;
pub mod secret;
pub mod state;
pub mod telemetry;
pub mod traces;

/// A request makes and drops a few hundred small objects; the system's allocator took a fifth of its processor time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The program as records name it.
pub const PROGRAM: &str = concat!("keyward ", env!("CARGO_PKG_VERSION"));
