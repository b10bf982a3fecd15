//! What callers ask, typed: each action's parameters, read once and checked before policy sees the request.

use crate::actions::Operation;
use crate::authn::{Authenticator, IssuerLimits, Selector};
use crate::error::{ApiError, Code};
use crate::keys::KeyId;
use crate::parameters::{Fields, invalid_value, missing};
use crate::resource::{CreatorNumber, Place, SecretName};
use crate::secret::{Description, Limits, MetadataError, Plaintext, PlaintextError, Tag, Tags, VersionId};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_audit::record::{Decision, Outcome};
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

/// Rows that ListSecrets answers when no limit is given, and at most.
const LIST_LIMIT: (u64, u64) = (20, 200);
/// The same for SearchRecords.
const SEARCH_LIMIT: (u64, u64) = (50, 200);
/// Longest reason of a revocation, in bytes.
const REASON_BYTES_MAX: usize = 256;

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
}

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
    /// SearchRecords
    SearchRecords(SearchRecords),
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
    /// RevokeToken
    RevokeToken(RevokeToken),
}

/// CreateSecret
pub(super) struct CreateSecret {
    /// The new name.
    pub(super) name: SecretName,
    /// The first version's id.
    pub(super) version: VersionId,
    /// Free text.
    pub(super) description: Description,
    /// The key that wraps its data keys.
    pub(super) key: KeyId,
    /// Tags.
    pub(super) tags: Tags,
    /// The value.
    pub(super) value: Plaintext,
}

/// PutSecretValue
pub(super) struct PutSecretValue {
    /// Of which secret.
    pub(super) name: SecretName,
    /// The new version's id.
    pub(super) version: VersionId,
    /// Whether the current pointer stays.
    pub(super) stage: bool,
    /// The value.
    pub(super) value: Plaintext,
}

/// ListSecrets
#[derive(Debug)]
pub(super) struct ListSecrets {
    /// Rows to pass over.
    pub(super) offset: u64,
    /// Rows to answer at most.
    pub(super) limit: u64,
    /// Oldest first instead of newest first.
    pub(super) oldest_first: bool,
    /// State code: 0 all, 1 Enabled, 2 Disabled, 3 PendingDelete, 4 and 5 none here.
    pub(super) state: u64,
    /// Substring of the name; empty for all.
    pub(super) search: String,
    /// Tag filters, ANDed: key and values (none: has the key).
    pub(super) tags: Vec<(String, Vec<String>)>,
    /// Whether other filters leave anything: product, type and instance filters that no custom secret can have.
    pub(super) possible: bool,
}

/// SearchRecords
#[derive(Debug, Default)]
pub(super) struct SearchRecords {
    /// Exact principal.
    pub(super) principal: Option<String>,
    /// Issuer name.
    pub(super) issuer: Option<String>,
    /// Qualified group.
    pub(super) group: Option<String>,
    /// One secret.
    pub(super) resource: Option<Searched>,
    /// Names that start so.
    pub(super) resource_prefix: Option<String>,
    /// Full action name.
    pub(super) action: Option<String>,
    /// `allow`, `deny`, `error`.
    pub(super) decision: Option<Decision>,
    /// `ok`, `denied`, `failed`, `pending`, `unknown`.
    pub(super) outcome: Option<Outcome>,
    /// Epoch seconds, included.
    pub(super) start_time: Option<u64>,
    /// Epoch seconds, not included.
    pub(super) end_time: Option<u64>,
    /// Included.
    pub(super) start_index: Option<u64>,
    /// Not included.
    pub(super) end_index: Option<u64>,
    /// Records to answer at most.
    pub(super) limit: u64,
    /// Where an earlier page ended.
    pub(super) cursor: Option<String>,
}

/// The one secret that a search is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Searched {
    /// Its name.
    pub(super) name: SecretName,
    /// The six segments, if they were given: exactly these are searched.
    pub(super) exact: Option<(Option<CreatorNumber>, String)>,
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
pub(super) struct RevokeToken {
    /// The issuer's name.
    pub(super) issuer: String,
    /// Which of its tokens.
    pub(super) selector: Selector,
    /// The same as it was written.
    pub(super) selected: String,
    /// With a subject: tokens issued up to and including this second, by default the present one; else 0.
    pub(super) issued_before: u64,
    /// Why; kept in the record.
    pub(super) reason: String,
}

impl Request {
    /// Reads the parameters of `operation`.
    ///
    /// # Errors
    /// The first thing that is wrong, named. `UnsupportedOperation` for an operation that this build does not offer.
    pub(super) fn parse(operation: Operation, body: &[u8], rules: &Rules<'_>) -> Result<Self, ApiError> {
        let mut fields = Fields::parse(body)?;
        let request = Self::read(operation, &mut fields, rules)?;
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
            Operation::SearchRecords => Self::SearchRecords(SearchRecords::read(fields, rules.place)?),
            Operation::GetCheckpoint => Self::GetCheckpoint,
            Operation::GetInclusionProof => Self::GetInclusionProof {
                index: fields.number("Index")?.ok_or_else(|| missing("Index"))?,
                size: fields.number("Size")?,
            },
            Operation::ExportRecords => read_export(fields)?,
            Operation::RevokeToken => Self::RevokeToken(RevokeToken::read(fields, rules)?),
            _ => {
                return Err(ApiError::new(Code::UnsupportedOperation, "this build does not offer the action"));
            }
        })
    }
}

fn read_get(fields: &mut Fields) -> Result<Request, ApiError> {
    for name in ["EncryptionPublicKey", "EncryptionAlgorithm"] {
        refuse_if_set(fields, name)?;
    }
    let name = secret_name(fields)?;
    let version = fields.nonempty_text("VersionId")?.map(|text| parse_version(&text)).transpose()?;
    Ok(Request::GetSecretValue(name, version))
}

fn read_export(fields: &mut Fields) -> Result<Request, ApiError> {
    match fields.nonempty_text("Format")?.as_deref() {
        None | Some("raw") => Ok(Request::ExportRecords),
        Some(_) => Err(invalid_value("Format", "this build exports `raw` only")),
    }
}

fn refuse_if_set(fields: &mut Fields, name: &str) -> Result<(), ApiError> {
    match fields.nonempty_text(name)? {
        None => Ok(()),
        Some(_) => Err(ApiError::new(Code::UnsupportedOperation, format!("`{name}` is not offered"))),
    }
}

fn refuse_unless(fields: &mut Fields, name: &str, only: u64) -> Result<(), ApiError> {
    match fields.number(name)? {
        None => Ok(()),
        Some(number) if number == only => Ok(()),
        Some(_) => Err(ApiError::new(Code::UnsupportedOperation, format!("`{name}` other than {only} is not offered"))),
    }
}

fn secret_name(fields: &mut Fields) -> Result<SecretName, ApiError> {
    let text = fields.required_text("SecretName")?;
    SecretName::parse(&text).map_err(|error| invalid_value("SecretName", error))
}

fn version_id(fields: &mut Fields) -> Result<VersionId, ApiError> {
    parse_version(&fields.required_text("VersionId")?)
}

fn parse_version(text: &str) -> Result<VersionId, ApiError> {
    VersionId::parse(text).map_err(|error| invalid_value("VersionId", error))
}

/// Exactly one of SecretString and SecretBinary, a non-empty one counting.
fn value(fields: &mut Fields, limits: &Limits) -> Result<Plaintext, ApiError> {
    let text = fields.nonempty_text("SecretString")?.map(Zeroizing::new);
    let binary = fields.nonempty_text("SecretBinary")?.map(Zeroizing::new);
    let refused = |error: PlaintextError| ApiError::new(Code::InvalidParameterValue, error.to_string());
    match (text, binary) {
        (None, None) => Err(missing("SecretString` or `SecretBinary")),
        (Some(_), Some(_)) => Err(invalid_value("SecretString", "give it or `SecretBinary`, not both")),
        (Some(mut text), None) => Plaintext::text(std::mem::take(&mut *text), limits).map_err(refused),
        (None, Some(binary)) => {
            let rule = "it must be padded standard base64 without white space";
            let bytes = STANDARD.decode(binary.as_bytes()).map_err(|_| invalid_value("SecretBinary", rule))?;
            Plaintext::binary(bytes, limits).map_err(refused)
        }
    }
}

impl CreateSecret {
    fn read(fields: &mut Fields, limits: &Limits) -> Result<Self, ApiError> {
        refuse_unless(fields, "SecretType", 0)?;
        refuse_unless(fields, "EncryptType", 0)?;
        refuse_if_set(fields, "AdditionalConfig")?;
        refuse_if_set(fields, "KmsHsmClusterId")?;
        let name = secret_name(fields)?;
        let version = fields.nonempty_text("VersionId")?.map(|text| parse_version(&text)).transpose()?;
        let key = fields.nonempty_text("KmsKeyId")?.map(|text| KeyId::parse(&text)).transpose();
        let description = Description::new(fields.text("Description")?.unwrap_or_default());
        Ok(Self {
            name,
            version: version.unwrap_or_else(VersionId::unnamed),
            description: description.map_err(|error| metadata_error("Description", &error))?,
            key: key.map_err(|error| invalid_value("KmsKeyId", error))?.unwrap_or_else(KeyId::default_key),
            tags: tags(fields)?,
            value: value(fields, limits)?,
        })
    }
}

fn tags(fields: &mut Fields) -> Result<Tags, ApiError> {
    let mut tags = Vec::new();
    for mut tag in fields.objects("Tags")? {
        let value = tag.text("TagValue")?.ok_or_else(|| missing("TagValue"))?;
        tags.push(Tag { key: tag.required_text("TagKey")?, value });
        tag.finish()?;
    }
    Tags::new(tags).map_err(|error| metadata_error("Tags", &error))
}

fn metadata_error(name: &str, error: &MetadataError) -> ApiError {
    match error {
        MetadataError::TagKeysDuplicated(_) => ApiError::new(Code::TagKeysDuplicated, error.to_string()),
        _ => invalid_value(name, error),
    }
}

impl PutSecretValue {
    fn read(fields: &mut Fields, limits: &Limits) -> Result<Self, ApiError> {
        Ok(Self {
            name: secret_name(fields)?,
            version: version_id(fields)?,
            stage: fields.flag("Stage")?.unwrap_or(false),
            value: value(fields, limits)?,
        })
    }
}

fn at_most(fields: &mut Fields, name: &str, max: u64) -> Result<u64, ApiError> {
    match fields.number(name)?.unwrap_or(0) {
        number if number <= max => Ok(number),
        _ => Err(invalid_value(name, format!("it is at most {max}"))),
    }
}

impl ListSecrets {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let limit = at_most(fields, "Limit", LIST_LIMIT.1)?;
        let kind = at_most(fields, "SecretType", 4)?;
        let encrypt = at_most(fields, "EncryptType", 1)?;
        let product = fields.nonempty_text("ProductName")?;
        let instance = fields.nonempty_text("InstanceID")?;
        let mut tags = Vec::new();
        for mut filter in fields.objects("TagFilters")? {
            tags.push((filter.required_text("TagKey")?, filter.texts("TagValue")?));
            filter.finish()?;
        }
        Ok(Self {
            offset: fields.number("Offset")?.unwrap_or(0),
            limit: if limit == 0 { LIST_LIMIT.0 } else { limit },
            oldest_first: at_most(fields, "OrderType", 1)? == 1,
            state: at_most(fields, "State", 5)?,
            search: fields.text("SearchSecretName")?.unwrap_or_default(),
            tags,
            possible: kind == 0 && encrypt == 0 && product.is_none() && instance.is_none(),
        })
    }
}

/// One word of a closed list, as records write it.
fn word<T: DeserializeOwned>(fields: &mut Fields, name: &str) -> Result<Option<T>, ApiError> {
    let parse = |text: String| serde_json::from_value(Value::String(text));
    let word = fields.nonempty_text(name)?.map(parse).transpose();
    word.map_err(|_| invalid_value(name, "it is not one of the words of records"))
}

impl SearchRecords {
    /// Whether it asks for the secret of another creator than this one.
    pub(super) fn names_another(&self, creator: CreatorNumber) -> bool {
        let exact = self.resource.as_ref().and_then(|searched| searched.exact.as_ref());
        exact.is_some_and(|(asked, _)| *asked != Some(creator))
    }

    fn read(fields: &mut Fields, place: &Place) -> Result<Self, ApiError> {
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
    fn read(fields: &mut Fields, rules: &Rules<'_>) -> Result<Self, ApiError> {
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
