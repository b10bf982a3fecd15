//! What callers ask of SSH key pairs.

use super::secrets::{description, key_id, refuse_if_set, refuse_unless, secret_name, tags};
use crate::error::ApiError;
use crate::keys::KeyId;
use crate::parameters::{Fields, invalid_value, missing};
use crate::resource::SecretName;
use crate::secret::row::SshKeyPair;
use crate::secret::ssh_key::SshKeyType;
use crate::secret::{Description, SshKeyId, Tags};

/// CreateSSHKeyPairSecret
pub(in crate::access) struct CreateSshKeyPair {
    /// The new secret's name.
    pub(in crate::access) name: SecretName,
    /// The vendor's project.
    pub(in crate::access) project: u64,
    /// Free text.
    pub(in crate::access) description: Description,
    /// The key that wraps its data keys.
    pub(in crate::access) key: KeyId,
    /// Tags.
    pub(in crate::access) tags: Tags,
    /// The pair's own name, if one is given.
    pub(in crate::access) pair_name: Option<String>,
    /// What kind of keys.
    pub(in crate::access) key_type: SshKeyType,
}

/// GetSSHKeyPairValue: by the secret's name, by the pair's id, or by both.
pub(in crate::access) struct PairName {
    /// The secret's name.
    pub(in crate::access) name: Option<SecretName>,
    /// The pair's id.
    pub(in crate::access) id: Option<SshKeyId>,
}

impl CreateSshKeyPair {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        refuse_unless(fields, "EncryptType", 0)?;
        refuse_if_set(fields, "KmsHsmClusterId")?;
        let key_type = match fields.nonempty_text("KeyType")?.as_deref() {
            None | Some("ed25519") => SshKeyType::Ed25519,
            Some("rsa-3072") => SshKeyType::Rsa3072,
            Some("rsa-4096") => SshKeyType::Rsa4096,
            Some(_) => return Err(invalid_value("KeyType", "it is `ed25519`, `rsa-3072` or `rsa-4096`")),
        };
        let pair_name = fields.nonempty_text("SSHKeyName")?;
        if pair_name.as_deref().is_some_and(|name| !SshKeyPair::is_name(name)) {
            return Err(invalid_value("SSHKeyName", "it is 1 to 25 of `A-Z a-z 0-9 _`, first a letter or digit"));
        }
        Ok(Self {
            name: secret_name(fields)?,
            project: fields.number("ProjectId")?.ok_or_else(|| missing("ProjectId"))?,
            description: description(fields.text("Description")?.unwrap_or_default())?,
            key: key_id(fields)?,
            tags: tags(fields)?,
            pair_name,
            key_type,
        })
    }
}

impl PairName {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let id = fields.nonempty_text("SSHKeyId")?.map(|text| SshKeyId::parse(&text)).transpose();
        let id = id.map_err(|error| invalid_value("SSHKeyId", error))?;
        let name = fields.nonempty_text("SecretName")?.map(|text| SecretName::parse(&text)).transpose();
        let name = name.map_err(|error| invalid_value("SecretName", error))?;
        if id.is_none() && name.is_none() {
            return Err(missing("SecretName` or `SSHKeyId"));
        }
        Ok(Self { name, id })
    }
}
