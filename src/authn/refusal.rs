//! Why a token was refused, and what it claimed: for the record alone. The caller sees one message for every cause.

use std::collections::BTreeMap;

use super::revocation::RevocationsUnavailable;
use crate::json::{Json, Object};

/// Longest copy of a claimed value, in bytes.
const CLAIMED_BYTES_MAX: usize = 128;

/// Why a token was refused; `reason` of its record. A closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// Not three parts of unpadded base64url, over 8 KiB, or not strict JSON.
    Malformed,
    /// `alg` is absent, unknown, or not on the issuer's list; or there is no signature at all.
    AlgRefused,
    /// The header holds something other than `alg`, `typ`, `kid` and certificate digests, or a wrong `typ`.
    Header,
    /// The issuer has no key of that `kid`, or there is no `kid` and several keys fit.
    KidUnknown,
    /// The key is of another kind than the algorithm, or unfit for verifying.
    KeyUnfit,
    /// The issuer's keys are fetched, and the last set that was had is too old.
    KeysStale,
    /// The signature is not by the key.
    Signature,
    /// No issuer is set up for that `iss`.
    Issuer,
    /// The token is for someone else.
    Audience,
    /// A claim is missing, of a wrong type, or outside its rule.
    ClaimFormat,
    /// `exp` has passed, leeway included.
    Expired,
    /// `nbf` or `iat` lies ahead by more than the leeway.
    NotYetValid,
    /// `exp - iat` is negative or over the issuer's limit.
    Lifetime,
    /// Revoked by its `jti`, its credential hash or its subject.
    Revoked,
    /// The token does not list all groups, or none where the issuer must.
    GroupsIncomplete,
    /// More groups and roles than a record can hold.
    IdentityTooLarge,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 16] = [
        Self::Malformed,
        Self::AlgRefused,
        Self::Header,
        Self::KidUnknown,
        Self::KeyUnfit,
        Self::KeysStale,
        Self::Signature,
        Self::Issuer,
        Self::Audience,
        Self::ClaimFormat,
        Self::Expired,
        Self::NotYetValid,
        Self::Lifetime,
        Self::Revoked,
        Self::GroupsIncomplete,
        Self::IdentityTooLarge,
    ];

    /// The text in the record.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::AlgRefused => "alg_refused",
            Self::Header => "header",
            Self::KidUnknown => "kid_unknown",
            Self::KeyUnfit => "key_unfit",
            Self::KeysStale => "keys_stale",
            Self::Signature => "signature",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::ClaimFormat => "claim_format",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Lifetime => "lifetime",
            Self::Revoked => "revoked",
            Self::GroupsIncomplete => "groups_incomplete",
            Self::IdentityTooLarge => "identity_too_large",
        }
    }
}

/// A refused token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("token refused: {}", cause.as_str())]
pub struct Refusal {
    /// Why.
    pub cause: Cause,
    /// What the token said of itself, *unverified*, each value cut to 128 bytes: `claimed_issuer`, `claimed_jti`,
    /// `claimed_kid`, `claimed_subject`; those absent that it did not say as text. For `parameters` of the record.
    pub claimed: BTreeMap<String, String>,
}

impl Refusal {
    /// A refusal of a token with this header and these claims.
    pub(super) fn new(cause: Cause, header: &Object, claims: &Object) -> Self {
        let said = [("claimed_issuer", claims, "iss"), ("claimed_jti", claims, "jti")]
            .into_iter()
            .chain([("claimed_kid", header, "kid"), ("claimed_subject", claims, "sub")]);
        let claimed = said
            .filter_map(|(key, object, name)| {
                Some((key.to_owned(), shortened(object.get(name).and_then(Json::as_text)?)))
            })
            .collect();
        Self { cause, claimed }
    }

    /// A refusal of a token that could not be read.
    pub(super) fn unread(cause: Cause) -> Self {
        Self { cause, claimed: BTreeMap::new() }
    }
}

/// Why there is no answer that a request speaks for someone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticateError {
    /// The token is no good: 401.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Whether the token is revoked cannot be known now: 503, never a pass.
    #[error(transparent)]
    Unavailable(#[from] RevocationsUnavailable),
}

/// The longest start of `text` that fits and ends between characters.
fn shortened(text: &str) -> String {
    let mut end = text.len().min(CLAIMED_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claimed_values_are_cut_between_characters() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"a".repeat(500)).len(), 128);
        let cut = shortened(&format!("a{}", "é".repeat(300)));
        assert_eq!(cut.len(), 127);
        assert!(cut.ends_with('é'));
    }

    #[test]
    fn every_cause_has_a_text_of_its_own() {
        let texts: std::collections::BTreeSet<_> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
        assert_eq!(texts.len(), Cause::ALL.len());
    }
}
