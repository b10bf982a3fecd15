//! Who asks: proves from a bearer token, or from a signature by an access key ([`signed`]), and from nothing else, which principal a
//! request speaks for.
//!
//! A token passes, in this order: its form ([`token`]), its issuer by exact `iss` ([`issuer`]), its key by issuer
//! and `kid` ([`key`]), its signature ([`signature`]), its claims ([`claims`]), and the revocations
//! ([`revocation`]). Only then an [`Authenticated`] exists; nothing outside this module can make one.
//!
//! - INVARIANT I5: whatever cannot be read, found or understood is refused. Revocations that cannot be read are an
//!   error of its own ([`AuthenticateError::Unavailable`]), never a pass.
//! - INVARIANT I12: issuers, algorithms and keys come from [`IssuerSettings`], that is from configuration; nothing
//!   in a token names a key, a file or an address. Keys that configuration says are fetched come by [`remote`], never
//!   while a token is checked; a set that is too old verifies nothing.
//! - INVARIANT I13: each answer carries the generation of the revocations that it was checked against
//!   ([`Authenticated::revocations_seen`]), read before the rows, and that of the issuers and keys that it was verified
//!   by ([`Authenticated::issuers_seen`]); whoever commits a record puts both in the read set.
//!
//! Tokens that verified are remembered by digest ([`cache`]); time and generations are checked on every use. All
//! state is in memory and is derived: if the process dies here, nothing is lost.
//!
//! Deliberately not here: HTTP, policy, the log, the status that a refusal gets. One message for every cause is
//! the door's business; the cause goes into the record only.

mod algorithm;
mod authenticated;
mod authenticator;
mod cache;
mod claims;
mod issue;
mod issuer;
mod jwks;
mod key;
mod pem;
mod refusal;
pub mod remote;
mod revocation;
mod self_test;
mod signature;
pub mod signed;
pub mod tc3;
#[cfg(test)]
mod tests;
mod token;
pub mod v1;

/// How deep JSON in tokens and key sets may be nested, the outermost object included.
const JSON_DEPTH_MAX: u8 = 16;

pub use algorithm::Algorithm;
pub use authenticated::{Authenticated, Credential, HeldSession, KeyHolder, Parent, Session};
pub use authenticator::{Authenticator, Prepared};
pub use claims::{IDENTITY_BYTES_MAX, IDENTITY_COUNT_MAX};
pub use issue::{DevIssuer, IssueError, TokenRequest};
pub use issuer::{ClaimNames, FetchedSet, GroupsRule, IssuerError, IssuerLimits, IssuerSettings, KeySource, UnfitKey};
pub use key::Unfit;
pub use refusal::{AuthenticateError, Cause, Refusal};
pub use revocation::{Revocation, Revocations, RevocationsUnavailable, Selector, SelectorError};
pub use self_test::{SelfTestError, self_test};
pub use token::TOKEN_BYTES_MAX;
