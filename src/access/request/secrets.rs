//! What callers ask of secrets.

use super::Request;
use crate::error::{ApiError, Code};
use crate::keys::KeyId;
use crate::parameters::{Fields, invalid_value, missing};
use crate::resource::SecretName;
use crate::secret::change::ending::WINDOW_DAYS_MAX;
use crate::secret::password::{PASSWORD_CHARACTERS, PasswordRules};
use crate::secret::{Description, Limits, MetadataError, Plaintext, PlaintextError, Tag, Tags, VersionId};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Secrets that one BatchGetSecretValue reads at most.
const READS_MAX: usize = 20;
/// Rows that ListSecrets answers when no limit is given, and at most.
const LIST_LIMIT: (u64, u64) = (20, 200);

/// CreateSecret
pub(in crate::access) struct CreateSecret {
    /// The new name.
    pub(in crate::access) name: SecretName,
    /// The first version's id.
    pub(in crate::access) version: VersionId,
    /// Free text.
    pub(in crate::access) description: Description,
    /// The key that wraps its data keys.
    pub(in crate::access) key: KeyId,
    /// Tags.
    pub(in crate::access) tags: Tags,
    /// The value.
    pub(in crate::access) value: Plaintext,
    /// When the version expires, in epoch seconds; 0: nobody said.
    pub(in crate::access) expires_at_s: u64,
}

/// PutSecretValue
pub(in crate::access) struct PutSecretValue {
    /// Of which secret.
    pub(in crate::access) name: SecretName,
    /// The new version's id.
    pub(in crate::access) version: VersionId,
    /// Whether the current pointer stays.
    pub(in crate::access) stage: bool,
    /// The version that must be current when it is carried out.
    pub(in crate::access) expected_current: Option<VersionId>,
    /// The value.
    pub(in crate::access) value: Plaintext,
    /// When the version expires, in epoch seconds; 0: nobody said.
    pub(in crate::access) expires_at_s: u64,
}

/// UpdateSecret
pub(in crate::access) struct UpdateSecret {
    /// Of which secret.
    pub(in crate::access) name: SecretName,
    /// The version whose value is replaced.
    pub(in crate::access) version: VersionId,
    /// The new value.
    pub(in crate::access) value: Plaintext,
    /// When the version expires from now on, in epoch seconds, 0 for never; else that stays.
    pub(in crate::access) expires_at_s: Option<u64>,
}

/// DeleteSecret
pub(in crate::access) struct DeleteSecret {
    /// Which secret.
    pub(in crate::access) name: SecretName,
    /// Days in which it can be restored; 0: it is deleted at once.
    pub(in crate::access) window_days: u64,
}

/// ListSecrets
#[derive(Debug)]
pub(in crate::access) struct ListSecrets {
    /// Rows to pass over.
    pub(in crate::access) offset: u64,
    /// Rows to answer at most.
    pub(in crate::access) limit: u64,
    /// Oldest first instead of newest first.
    pub(in crate::access) oldest_first: bool,
    /// State code: 0 all, 1 Enabled, 2 Disabled, 3 PendingDelete, 4 and 5 none here.
    pub(in crate::access) state: u64,
    /// Substring of the name; empty for all.
    pub(in crate::access) search: String,
    /// Tag filters, ANDed: key and values (none: has the key).
    pub(in crate::access) tags: Vec<(String, Vec<String>)>,
    /// Type: 0 custom, 2 SSH key pair, others none here.
    pub(in crate::access) kind: u64,
    /// Only secrets whose current version expires before this, in epoch seconds.
    pub(in crate::access) expires_before_s: Option<u64>,
    /// Whether other filters leave anything: product and instance filters that no secret here can have.
    pub(in crate::access) possible: bool,
}

pub(super) fn read_get(fields: &mut Fields) -> Result<Request, ApiError> {
    for name in ["EncryptionPublicKey", "EncryptionAlgorithm"] {
        refuse_if_set(fields, name)?;
    }
    let name = secret_name(fields)?;
    let version = fields.nonempty_text("VersionId")?.map(|text| parse_version(&text)).transpose()?;
    Ok(Request::GetSecretValue(name, version))
}

/// The items of BatchGetSecretValue, 1 to [`READS_MAX`].
pub(super) fn read_gets(fields: &mut Fields) -> Result<Vec<(SecretName, Option<VersionId>)>, ApiError> {
    let items = fields.objects("Secrets")?;
    if items.is_empty() {
        return Err(missing("Secrets"));
    }
    if items.len() > READS_MAX {
        return Err(invalid_value("Secrets", format!("it is at most {READS_MAX} secrets")));
    }
    items
        .into_iter()
        .map(|mut item| {
            let name = secret_name(&mut item)?;
            let version = item.nonempty_text("VersionId")?.map(|text| parse_version(&text)).transpose()?;
            item.finish()?;
            Ok((name, version))
        })
        .collect()
}

/// What GetRandomPassword asks for.
pub(super) fn password_rules(fields: &mut Fields) -> Result<PasswordRules, ApiError> {
    let length = fields.number("PasswordLength")?.map_or(Ok(PASSWORD_CHARACTERS), usize::try_from);
    let mut flag = |name: &str, default: bool| fields.flag(name).map(|flag| flag.unwrap_or(default));
    let rules = PasswordRules {
        length: length.unwrap_or(usize::MAX),
        exclude_lowercase: flag("ExcludeLowercase", false)?,
        exclude_uppercase: flag("ExcludeUppercase", false)?,
        exclude_numbers: flag("ExcludeNumbers", false)?,
        exclude_punctuation: flag("ExcludePunctuation", false)?,
        include_space: flag("IncludeSpace", false)?,
        require_each: flag("RequireEachIncludedType", true)?,
        exclude: fields.text("ExcludeCharacters")?.unwrap_or_default(),
    };
    rules.check().map_err(|error| invalid_value("PasswordLength", error))?;
    Ok(rules)
}

pub(super) fn refuse_if_set(fields: &mut Fields, name: &str) -> Result<(), ApiError> {
    match fields.nonempty_text(name)? {
        None => Ok(()),
        Some(_) => Err(ApiError::new(Code::UnsupportedOperation, format!("`{name}` is not offered"))),
    }
}

pub(super) fn refuse_unless(fields: &mut Fields, name: &str, only: u64) -> Result<(), ApiError> {
    match fields.number(name)? {
        None => Ok(()),
        Some(number) if number == only => Ok(()),
        Some(_) => Err(ApiError::new(Code::UnsupportedOperation, format!("`{name}` other than {only} is not offered"))),
    }
}

pub(super) fn secret_name(fields: &mut Fields) -> Result<SecretName, ApiError> {
    let text = fields.required_text("SecretName")?;
    SecretName::parse(&text).map_err(|error| invalid_value("SecretName", error))
}

pub(super) fn version_id(fields: &mut Fields) -> Result<VersionId, ApiError> {
    parse_version(&fields.required_text("VersionId")?)
}

fn parse_version(text: &str) -> Result<VersionId, ApiError> {
    VersionId::parse(text).map_err(|error| invalid_value("VersionId", error))
}

fn expected(text: &str) -> Result<VersionId, ApiError> {
    VersionId::parse(text).map_err(|error| invalid_value("ExpectedCurrent", error))
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
    pub(super) fn read(fields: &mut Fields, limits: &Limits) -> Result<Self, ApiError> {
        refuse_unless(fields, "SecretType", 0)?;
        refuse_unless(fields, "EncryptType", 0)?;
        refuse_if_set(fields, "AdditionalConfig")?;
        refuse_if_set(fields, "KmsHsmClusterId")?;
        let name = secret_name(fields)?;
        let version = fields.nonempty_text("VersionId")?.map(|text| parse_version(&text)).transpose()?;
        let description = description(fields.text("Description")?.unwrap_or_default())?;
        Ok(Self {
            name,
            version: version.unwrap_or_else(VersionId::unnamed),
            description,
            key: key_id(fields)?,
            tags: tags(fields)?,
            value: value(fields, limits)?,
            expires_at_s: fields.number("ExpiresAt")?.unwrap_or(0),
        })
    }
}

/// The key that values are to be sealed under.
pub(super) fn key_id(fields: &mut Fields) -> Result<KeyId, ApiError> {
    let key = fields.nonempty_text("KmsKeyId")?.map(|text| KeyId::parse(&text)).transpose();
    Ok(key.map_err(|error| invalid_value("KmsKeyId", error))?.unwrap_or_else(KeyId::default_key))
}

/// A description within its limit.
pub(super) fn description(text: String) -> Result<Description, ApiError> {
    Description::new(text).map_err(|error| metadata_error("Description", &error))
}

/// The list TagKeys, each key as a tag without a value.
pub(super) fn tags_of_keys(fields: &mut Fields) -> Result<Tags, ApiError> {
    let keys = fields.texts("TagKeys")?;
    let tags = keys.into_iter().map(|key| Tag { key, value: String::new() }).collect();
    Tags::new(tags).map_err(|error| metadata_error("TagKeys", &error))
}

/// The list Tags.
pub(super) fn tags(fields: &mut Fields) -> Result<Tags, ApiError> {
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
    pub(super) fn read(fields: &mut Fields, limits: &Limits) -> Result<Self, ApiError> {
        Ok(Self {
            name: secret_name(fields)?,
            version: version_id(fields)?,
            stage: fields.flag("Stage")?.unwrap_or(false),
            expected_current: fields.nonempty_text("ExpectedCurrent")?.map(|text| expected(&text)).transpose()?,
            value: value(fields, limits)?,
            expires_at_s: fields.number("ExpiresAt")?.unwrap_or(0),
        })
    }
}

impl UpdateSecret {
    pub(super) fn read(fields: &mut Fields, limits: &Limits) -> Result<Self, ApiError> {
        Ok(Self {
            name: secret_name(fields)?,
            version: version_id(fields)?,
            value: value(fields, limits)?,
            expires_at_s: fields.number("ExpiresAt")?,
        })
    }
}

impl DeleteSecret {
    /// A pair on a server, or an account of a database, that would be deleted too is nothing that a custom secret has.
    pub(super) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let name = secret_name(fields)?;
        let window_days = at_most(fields, "RecoveryWindowInDays", WINDOW_DAYS_MAX)?;
        let mode = at_most(fields, "DeleteMode", 1)?;
        if fields.flag("CleanSSHKey")?.unwrap_or(false) {
            return Err(ApiError::new(Code::UnsupportedOperation, "`CleanSSHKey` is not offered"));
        }
        if mode != 0 {
            return Err(ApiError::new(Code::UnsupportedOperation, "`DeleteMode` other than 0 is not offered"));
        }
        Ok(Self { name, window_days })
    }
}

/// A number, 0 if absent, of at most `max`.
pub(super) fn at_most(fields: &mut Fields, name: &str, max: u64) -> Result<u64, ApiError> {
    match fields.number(name)?.unwrap_or(0) {
        number if number <= max => Ok(number),
        _ => Err(invalid_value(name, format!("it is at most {max}"))),
    }
}

impl ListSecrets {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
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
            kind,
            expires_before_s: fields.number("ExpiresBefore")?,
            possible: encrypt == 0 && product.is_none() && instance.is_none(),
        })
    }
}
