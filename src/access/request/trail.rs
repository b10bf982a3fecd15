//! What callers ask of the trail and of tokens.

use super::Rules;
use crate::authn::{IssuerLimits, Selector};
use crate::error::ApiError;
use crate::parameters::{Fields, invalid_value, missing};
use crate::resource::{CreatorNumber, Place, SecretName};
use keyward_audit::record::{Decision, Outcome};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Records that SearchRecords answers when no limit is given, and at most.
const SEARCH_LIMIT: (u64, u64) = (50, 200);
/// Longest reason of a revocation, in bytes.
const REASON_BYTES_MAX: usize = 256;

/// SearchRecords
#[derive(Debug, Default)]
pub(in crate::access) struct SearchRecords {
    /// Exact principal.
    pub(in crate::access) principal: Option<String>,
    /// Issuer name.
    pub(in crate::access) issuer: Option<String>,
    /// Qualified group.
    pub(in crate::access) group: Option<String>,
    /// One secret.
    pub(in crate::access) resource: Option<Searched>,
    /// Names that start so.
    pub(in crate::access) resource_prefix: Option<String>,
    /// Full action name.
    pub(in crate::access) action: Option<String>,
    /// `allow`, `deny`, `error`.
    pub(in crate::access) decision: Option<Decision>,
    /// `ok`, `denied`, `failed`, `pending`, `unknown`.
    pub(in crate::access) outcome: Option<Outcome>,
    /// Epoch seconds, included.
    pub(in crate::access) start_time: Option<u64>,
    /// Epoch seconds, not included.
    pub(in crate::access) end_time: Option<u64>,
    /// Included.
    pub(in crate::access) start_index: Option<u64>,
    /// Not included.
    pub(in crate::access) end_index: Option<u64>,
    /// Records to answer at most.
    pub(in crate::access) limit: u64,
    /// Where an earlier page ended.
    pub(in crate::access) cursor: Option<String>,
}

/// The one secret that a search is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::access) struct Searched {
    /// Its name.
    pub(in crate::access) name: SecretName,
    /// The six segments, if they were given: exactly these are searched.
    pub(in crate::access) exact: Option<(Option<CreatorNumber>, String)>,
}

impl Searched {
    /// A secret's name, or six segments of this gateway with a creator or, as records of missing secrets have it, `*`.
    fn parse(text: String, place: &Place) -> Option<Self> {
        if let Some((creator, name)) = place.parse_secret(&text) {
            return Some(Self { name, exact: Some((Some(creator), text)) });
        }
        if let Some((_, name)) = text.split_once("/*/") {
            let name = SecretName::parse(name).ok().filter(|name| place.secret(None, name) == text)?;
            return Some(Self { name, exact: Some((None, text)) });
        }
        SecretName::parse(&text).ok().map(|name| Self { name, exact: None })
    }
}

/// RevokeToken
#[derive(Debug)]
pub(in crate::access) struct RevokeToken {
    /// The issuer's name.
    pub(in crate::access) issuer: String,
    /// Which of its tokens.
    pub(in crate::access) selector: Selector,
    /// The same as it was written.
    pub(in crate::access) selected: String,
    /// With a subject: tokens issued up to and including this second, by default the present one; else 0.
    pub(in crate::access) issued_before: u64,
    /// Why; kept in the record.
    pub(in crate::access) reason: String,
}

/// One word of a closed list, as records write it.
fn word<T: DeserializeOwned>(fields: &mut Fields, name: &str) -> Result<Option<T>, ApiError> {
    let parse = |text: String| serde_json::from_value(Value::String(text));
    let word = fields.nonempty_text(name)?.map(parse).transpose();
    word.map_err(|_| invalid_value(name, "it is not one of the words of records"))
}

impl SearchRecords {
    /// Whether it asks for the secret of another creator than this one.
    pub(in crate::access) fn names_another(&self, creator: CreatorNumber) -> bool {
        let exact = self.resource.as_ref().and_then(|searched| searched.exact.as_ref());
        exact.is_some_and(|(asked, _)| *asked != Some(creator))
    }

    pub(super) fn read(fields: &mut Fields, place: &Place) -> Result<Self, ApiError> {
        let rule = "it is neither a secret name nor the six segments of a secret of this gateway";
        let resource = fields.nonempty_text("Resource")?;
        let resource = resource.map(|text| Searched::parse(text, place).ok_or_else(|| invalid_value("Resource", rule)));
        let search = Self {
            principal: fields.nonempty_text("Principal")?,
            issuer: fields.nonempty_text("Issuer")?,
            group: fields.nonempty_text("Group")?,
            resource: resource.transpose()?,
            resource_prefix: fields.nonempty_text("ResourcePrefix")?,
            action: fields.nonempty_text("Action")?,
            decision: word(fields, "Decision")?,
            outcome: word(fields, "Outcome")?,
            start_time: fields.number("StartTime")?,
            end_time: fields.number("EndTime")?,
            start_index: fields.number("StartIndex")?,
            end_index: fields.number("EndIndex")?,
            limit: fields.number("Limit")?.unwrap_or(SEARCH_LIMIT.0),
            cursor: fields.nonempty_text("Cursor")?,
        };
        if !(1..=SEARCH_LIMIT.1).contains(&search.limit) {
            return Err(invalid_value("Limit", format!("it is 1 to {}", SEARCH_LIMIT.1)));
        }
        if search.resource.is_some() && search.resource_prefix.is_some() {
            return Err(invalid_value("Resource", "give it or `ResourcePrefix`, not both"));
        }
        Ok(search)
    }
}

impl RevokeToken {
    pub(super) fn read(fields: &mut Fields, rules: &Rules<'_>) -> Result<Self, ApiError> {
        let issuer = fields.required_text("Issuer")?;
        let Some(IssuerLimits { leeway_s, .. }) = rules.authenticator.issuer_limits(&issuer) else {
            return Err(invalid_value("Issuer", "no issuer of that name is configured"));
        };
        let given =
            [fields.nonempty_text("Jti")?, fields.nonempty_text("CredentialHash")?, fields.nonempty_text("Subject")?];
        let before = fields.number("IssuedBefore")?;
        let reason = fields.text("Reason")?.unwrap_or_default();
        if reason.len() > REASON_BYTES_MAX {
            return Err(invalid_value("Reason", format!("it is over {REASON_BYTES_MAX} bytes")));
        }
        let (selector, selected) = match given {
            [Some(jti), None, None] => (Selector::jti(&jti).map_err(|error| invalid_value("Jti", error))?, jti),
            [None, Some(hash), None] => {
                (Selector::credential_hash(&hash).map_err(|error| invalid_value("CredentialHash", error))?, hash)
            }
            [None, None, Some(subject)] => {
                (Selector::subject(&subject).map_err(|error| invalid_value("Subject", error))?, subject)
            }
            [None, None, None] => return Err(missing("Jti`, `CredentialHash` or `Subject")),
            _ => return Err(invalid_value("Jti", "give exactly one of `Jti`, `CredentialHash` and `Subject`")),
        };
        let issued_before = match (&selector, before) {
            (Selector::Subject(_), before) => before.unwrap_or(rules.now_s),
            (_, None) => 0,
            (_, Some(_)) => return Err(invalid_value("IssuedBefore", "it goes with `Subject` only")),
        };
        if issued_before > rules.now_s.saturating_add(leeway_s) {
            return Err(invalid_value("IssuedBefore", format!("it lies ahead by more than {leeway_s} seconds")));
        }
        Ok(Self { issuer, selector, selected, issued_before, reason })
    }
}
