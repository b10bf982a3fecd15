//! What callers ask, typed: each action's parameters, read once and checked before policy sees the request.

mod access_keys;
mod events;
mod keys;
mod pairs;
mod policies;
mod secrets;
mod service;
mod sessions;
mod trail;

pub(super) use access_keys::{AccessKeyRequest, KeyChange};
pub(super) use events::{AttributeKey, Condition, EventsRequest, NextToken, TagCondition};
pub(super) use keys::KeyRequest;
pub(super) use pairs::{CreateSshKeyPair, PairName};
pub(super) use policies::{ListShadowDecisions, PolicyRequest, ReplayPolicies, Set, Simulated, SuggestPolicies};
pub(super) use secrets::{CreateSecret, DeleteSecret, ListSecrets, PutSecretValue, UpdateSecret};
pub(super) use service::{ProductRequest, ServiceRequest};
pub(super) use sessions::{Begin, SessionRequest};
pub(super) use trail::{RevokeToken, SearchRecords};

use super::call::Dialect;
use crate::actions::{Bundle, Operation};
use crate::authn::Authenticator;
use crate::error::{ApiError, Code};
use crate::parameters::{Fields, invalid_value, missing};
use crate::resource::{Place, SecretName};
use crate::secret::password::PasswordRules;
use crate::secret::{Description, Limits, Tags, VersionId};
use secrets::{description, password_rules, read_get, read_gets, secret_name, tags, tags_of_keys, version_id};

/// What parameters are checked against.
pub(super) struct Rules<'a> {
    /// How much a secret may hold.
    pub(super) limits: Limits,
    /// Region and account.
    pub(super) place: &'a Place,
    /// Who knows the issuers, and how far their clocks may differ.
    pub(super) authenticator: &'a Authenticator,
    /// Now, in seconds since 1970.
    pub(super) now_s: u64,
    /// What the caller's door knows.
    pub(super) dialect: Dialect,
}

/// Parameters that keyward added to actions of the vendor's: callers of the vendor's wire do not know them.
const ADDED_PARAMETERS: [&str; 5] = ["ExpectedCurrent", "ExpiresAt", "ExpiresBefore", "Principal", "Stage"];

/// A request that any caller can make, with its parameters.
pub(super) enum Request {
    /// CreateSecret
    CreateSecret(CreateSecret),
    /// PutSecretValue
    PutSecretValue(PutSecretValue),
    /// GetSecretValue: the name, and the version if one is asked for.
    GetSecretValue(SecretName, Option<VersionId>),
    /// DescribeSecret
    DescribeSecret(SecretName),
    /// ListSecrets
    ListSecrets(ListSecrets),
    /// ListSecretVersionIds
    ListSecretVersionIds(SecretName),
    /// SetCurrentVersion
    SetCurrentVersion(SecretName, VersionId),
    /// EnableSecret
    EnableSecret(SecretName),
    /// DisableSecret
    DisableSecret(SecretName),
    /// UpdateSecret
    UpdateSecret(UpdateSecret),
    /// UpdateDescription
    UpdateDescription(SecretName, Description),
    /// DeleteSecret
    DeleteSecret(DeleteSecret),
    /// RestoreSecret
    RestoreSecret(SecretName),
    /// DeleteSecretVersion
    DeleteSecretVersion(SecretName, VersionId),
    /// TagResource: at least one tag.
    TagResource(SecretName, Tags),
    /// CreateSSHKeyPairSecret
    CreateSshKeyPair(CreateSshKeyPair),
    /// GetSSHKeyPairValue
    GetSshKeyPair(PairName),
    /// GetRandomPassword
    GetRandomPassword(PasswordRules),
    /// Several GetSecretValue, each on its own: BatchGetSecretValue.
    Reads(Vec<(SecretName, Option<VersionId>)>),
    /// UntagResource: at least one key, each as a tag without a value.
    UntagResource(SecretName, Tags),
    /// SearchRecords
    SearchRecords(SearchRecords),
    /// LookUpEvents, DescribeEvents
    Events(EventsRequest),
    /// GetCheckpoint
    GetCheckpoint,
    /// GetInclusionProof
    GetInclusionProof {
        /// Of which record.
        index: u64,
        /// In the tree of which signed checkpoint; the newest if absent.
        size: Option<u64>,
    },
    /// ExportRecords
    ExportRecords,
    /// ReplayPolicies
    ReplayPolicies(ReplayPolicies),
    /// ListShadowDecisions
    ListShadowDecisions(ListShadowDecisions),
    /// SuggestPolicies
    SuggestPolicies(SuggestPolicies),
    /// RotateRootKey
    RotateRootKey,
    /// CreateBackup
    CreateBackup,
    /// RevokeToken
    RevokeToken(RevokeToken),
    /// Of policy sets.
    Policy(PolicyRequest),
    /// Of access keys.
    AccessKey(AccessKeyRequest),
    /// Of sessions.
    Session(SessionRequest),
    /// Of the service as a whole.
    Service(ServiceRequest),
    /// Of product secrets, which this build does not have.
    Product(ProductRequest),
    /// Of keys.
    Key(KeyRequest),
}

impl Request {
    /// Reads the parameters of `operation`.
    ///
    /// # Errors
    /// The first thing that is wrong, named. `UnsupportedOperation` for an operation that this build does not offer.
    pub(super) fn parse(operation: Operation, body: &[u8], rules: &Rules<'_>) -> Result<Self, ApiError> {
        let mut fields = Fields::parse(body)?;
        if rules.dialect == Dialect::Tencent {
            fields.refuse(&ADDED_PARAMETERS)?;
        }
        let request = Self::read(operation, &mut fields, rules)?;
        fields.finish()?;
        Ok(request)
    }

    /// Reads the parameters of a bundle.
    ///
    /// # Errors
    /// The first thing that is wrong, named.
    pub(super) fn parse_bundle(bundle: &Bundle, body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::parse(body)?;
        let request = match bundle.of {
            Operation::GetSecretValue => Self::Reads(read_gets(&mut fields)?),
            _ => return Err(ApiError::new(Code::UnsupportedOperation, "this build does not offer the action")),
        };
        fields.finish()?;
        Ok(request)
    }

    fn read(operation: Operation, fields: &mut Fields, rules: &Rules<'_>) -> Result<Self, ApiError> {
        Ok(match operation {
            Operation::CreateSecret => Self::CreateSecret(CreateSecret::read(fields, &rules.limits)?),
            Operation::PutSecretValue => Self::PutSecretValue(PutSecretValue::read(fields, &rules.limits)?),
            Operation::GetSecretValue => read_get(fields)?,
            Operation::DescribeSecret => Self::DescribeSecret(secret_name(fields)?),
            Operation::ListSecrets => Self::ListSecrets(ListSecrets::read(fields)?),
            Operation::ListSecretVersionIds => Self::ListSecretVersionIds(secret_name(fields)?),
            Operation::SetCurrentVersion => Self::SetCurrentVersion(secret_name(fields)?, version_id(fields)?),
            Operation::EnableSecret => Self::EnableSecret(secret_name(fields)?),
            Operation::DisableSecret => Self::DisableSecret(secret_name(fields)?),
            Operation::UpdateSecret => Self::UpdateSecret(UpdateSecret::read(fields, &rules.limits)?),
            Operation::UpdateDescription => {
                let name = secret_name(fields)?;
                let text = fields.text("Description")?.ok_or_else(|| missing("Description"))?;
                Self::UpdateDescription(name, description(text)?)
            }
            Operation::DeleteSecret => Self::DeleteSecret(DeleteSecret::read(fields)?),
            Operation::CreateSSHKeyPairSecret => Self::CreateSshKeyPair(CreateSshKeyPair::read(fields)?),
            Operation::GetSSHKeyPairValue => Self::GetSshKeyPair(PairName::read(fields)?),
            Operation::GetRandomPassword => Self::GetRandomPassword(password_rules(fields)?),
            Operation::RestoreSecret => Self::RestoreSecret(secret_name(fields)?),
            Operation::DeleteSecretVersion => Self::DeleteSecretVersion(secret_name(fields)?, version_id(fields)?),
            Operation::TagResource => Self::TagResource(secret_name(fields)?, some(tags(fields)?, "Tags")?),
            Operation::UntagResource => {
                Self::UntagResource(secret_name(fields)?, some(tags_of_keys(fields)?, "TagKeys")?)
            }
            Operation::SearchRecords => Self::SearchRecords(SearchRecords::read(fields, rules.place)?),
            Operation::LookUpEvents => Self::Events(EventsRequest::read_look_up(fields)?),
            Operation::DescribeEvents => Self::Events(EventsRequest::read_describe(fields)?),
            Operation::GetCheckpoint => Self::GetCheckpoint,
            Operation::GetInclusionProof => Self::GetInclusionProof {
                index: fields.number("Index")?.ok_or_else(|| missing("Index"))?,
                size: fields.number("Size")?,
            },
            Operation::ExportRecords => read_export(fields)?,
            Operation::ReplayPolicies => Self::ReplayPolicies(ReplayPolicies::read(fields)?),
            Operation::ListShadowDecisions => Self::ListShadowDecisions(ListShadowDecisions::read(fields)?),
            Operation::SuggestPolicies => Self::SuggestPolicies(SuggestPolicies::read(fields)?),
            Operation::RotateRootKey => Self::RotateRootKey,
            Operation::CreateBackup => Self::CreateBackup,
            Operation::RevokeToken => Self::RevokeToken(RevokeToken::read(fields, rules)?),
            other => Self::read_other(other, fields, rules)?,
        })
    }

    /// The families that have a type of their own.
    fn read_other(operation: Operation, fields: &mut Fields, rules: &Rules<'_>) -> Result<Self, ApiError> {
        if let Some(request) = ServiceRequest::read(operation, fields)? {
            return Ok(Self::Service(request));
        }
        if let Some(request) = ProductRequest::read(operation, fields)? {
            return Ok(Self::Product(request));
        }
        if let Some(request) = KeyRequest::read(operation, fields)? {
            return Ok(request);
        }
        if let Some(request) = PolicyRequest::read(operation, fields)? {
            return Ok(Self::Policy(request));
        }
        if let Some(request) = AccessKeyRequest::read(operation, fields)? {
            return Ok(request);
        }
        let session = SessionRequest::read(operation, fields, rules)?;
        session.ok_or_else(|| ApiError::new(Code::UnsupportedOperation, "this build does not offer the action"))
    }
}

fn read_export(fields: &mut Fields) -> Result<Request, ApiError> {
    match fields.nonempty_text("Format")?.as_deref() {
        None | Some("raw") => Ok(Request::ExportRecords),
        Some(_) => Err(invalid_value("Format", "this build exports `raw` only")),
    }
}

/// Tags, of which there must be at least one.
fn some(tags: Tags, name: &str) -> Result<Tags, ApiError> {
    if tags.as_slice().is_empty() { Err(missing(name)) } else { Ok(tags) }
}
