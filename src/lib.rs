//! keyward: a secrets-access gateway. It proves who asks, decides by policy, records durably, then releases.
//!
//! How a request flows: [`access`]. The map of the code: `docs/ARCHITECTURE.md`.

pub mod actions;
pub mod authn;
pub mod authz;
pub mod clock;
pub mod encoding;
pub mod keys;
pub mod principal;
pub mod resource;
pub mod secret;
