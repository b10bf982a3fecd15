//! The catalogue: every action there is, in one table. Routes, policy checks, the coverage test, OpenAPI and the
//! docs come from it; which code carries an action out is matched on [`Operation`] in `access`, so that an action
//! without code does not compile.

/// Version of the catalogue; part of every policy revision. Raised when an action or a condition key is added.
pub const CATALOGUE: u64 = 7;

/// A service that owns actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Secrets.
    Ssm,
    /// Keys.
    Kms,
    /// Policies, tokens, access keys.
    Cam,
    /// The trail.
    Cloudaudit,
    /// Role sessions.
    Sts,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 5] = [Self::Ssm, Self::Kms, Self::Cam, Self::Cloudaudit, Self::Sts];

    /// The short name, as it stands before the colon of an action and in a resource's service segment.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ssm => "ssm",
            Self::Kms => "kms",
            Self::Cam => "cam",
            Self::Cloudaudit => "cloudaudit",
            Self::Sts => "sts",
        }
    }
}

/// What an action's resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// No resource: an allow matches with `*` only.
    Operation,
    /// The secret that the request names.
    Secret,
    /// The secret that it would make, with the caller as creator.
    Creation,
    /// One secret if the request names one exactly, else none (SearchRecords).
    SecretOrOperation,
    /// A key-encryption key: `key/<key id>`.
    Key,
    /// The role that it would take: an allow matches with `*` only, and the role's own trust policy must allow, too.
    Role,
}

impl Level {
    /// Whether an action of this level may be about a secret.
    #[must_use]
    pub const fn may_name_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Creation | Self::SecretOrOperation)
    }
}

/// Whether an action changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Reads only.
    Read,
    /// Changes state.
    Write,
}

/// Condition keys (`reference`: CAM policy language, section 6). Which of them an action has: [`Action::keys`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConditionKey {
    /// `qcs:current_time`
    CurrentTime,
    /// `qcs:ip`
    Ip,
    /// `qcs:resource_tag`
    ResourceTag,
    /// `qcs:request_tag`
    RequestTag,
    /// `qcs:uin`
    Uin,
    /// `qcs:owner_uin`
    OwnerUin,
    /// `qcs:create_uin`
    CreateUin,
    /// `keyward:door`
    Door,
    /// `keyward:secure_transport`
    SecureTransport,
    /// `keyward:recovery_window`
    RecoveryWindow,
    /// `keyward:target_uin`
    TargetUin,
    /// `oidc:aud`, in trust policies only, as the next two
    OidcAudience,
    /// `oidc:iss`
    OidcIssuer,
    /// `oidc:sub`
    OidcSubject,
}

/// The type of a condition key's values; decides which operators fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// Text, by bytes.
    String,
    /// An instant in whole seconds.
    Date,
    /// An exact decimal.
    Number,
    /// `"true"` or `"false"`.
    Bool,
    /// An address.
    Ip,
}

impl ConditionKey {
    /// The version of the catalogue since which requests can have the key: what was recorded before lacks it, whatever was asked.
    #[must_use]
    pub const fn since(self) -> u64 {
        match self {
            Self::RequestTag | Self::RecoveryWindow => 2,
            Self::TargetUin => 4,
            Self::OidcAudience | Self::OidcIssuer | Self::OidcSubject => 5,
            _ => 1,
        }
    }

    /// Every key, in the order of their names' bytes.
    pub const ALL: [Self; 14] = [
        Self::Door,
        Self::RecoveryWindow,
        Self::SecureTransport,
        Self::TargetUin,
        Self::OidcAudience,
        Self::OidcIssuer,
        Self::OidcSubject,
        Self::CreateUin,
        Self::CurrentTime,
        Self::Ip,
        Self::OwnerUin,
        Self::RequestTag,
        Self::ResourceTag,
        Self::Uin,
    ];

    /// The name as policies and records write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CurrentTime => "qcs:current_time",
            Self::Ip => "qcs:ip",
            Self::ResourceTag => "qcs:resource_tag",
            Self::RequestTag => "qcs:request_tag",
            Self::Uin => "qcs:uin",
            Self::OwnerUin => "qcs:owner_uin",
            Self::CreateUin => "qcs:create_uin",
            Self::Door => "keyward:door",
            Self::SecureTransport => "keyward:secure_transport",
            Self::RecoveryWindow => "keyward:recovery_window",
            Self::TargetUin => "keyward:target_uin",
            Self::OidcAudience => "oidc:aud",
            Self::OidcIssuer => "oidc:iss",
            Self::OidcSubject => "oidc:sub",
        }
    }

    /// The key of that exact name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }

    /// The type of its values.
    #[must_use]
    pub const fn value_type(self) -> ValueType {
        match self {
            Self::CurrentTime => ValueType::Date,
            Self::Ip => ValueType::Ip,
            Self::RecoveryWindow => ValueType::Number,
            Self::SecureTransport => ValueType::Bool,
            Self::ResourceTag
            | Self::RequestTag
            | Self::Uin
            | Self::OwnerUin
            | Self::CreateUin
            | Self::Door
            | Self::TargetUin
            | Self::OidcAudience
            | Self::OidcIssuer
            | Self::OidcSubject => ValueType::String,
        }
    }

    /// Whether it may hold several values, so that a condition says whether it means some or all of them. `oidc:aud`
    /// may hold several, too, and bare means some.
    #[must_use]
    pub const fn is_many(self) -> bool {
        matches!(self, Self::ResourceTag | Self::RequestTag)
    }

    /// Whether only trust policies may name it.
    #[must_use]
    pub const fn is_of_trust(self) -> bool {
        matches!(self, Self::OidcAudience | Self::OidcIssuer | Self::OidcSubject)
    }
}

macro_rules! catalogue {
    ($(#[doc = $summary:literal] $operation:ident $service:ident $level:ident $effect:ident $served:ident;)*) => {
        /// Every operation, one for each row of the catalogue.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Operation { $(#[doc = $summary] $operation,)* }

        /// The catalogue.
        pub const ACTIONS: &[Action] = &[$(Action {
            operation: Operation::$operation,
            name: stringify!($operation),
            summary: $summary.trim_ascii(),
            service: Service::$service,
            level: Level::$level,
            effect: Effect::$effect,
            served: Served::$served,
        },)*];
    };
}

/// By whom an action can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Served {
    /// Any caller, through a door.
    Door,
    /// Any caller may ask; what is allowed is recorded and then refused, since there is nothing here that it could do.
    Refused,
    /// Known, so that policies may name it, but not offered by this build: `UnsupportedOperation`.
    Not,
    /// Only keyward itself, as `service/...`; no door has it.
    Internal,
}

/// One row of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Action {
    /// Which operation.
    pub operation: Operation,
    /// The operation's name, unique across services, as in `POST /v1/<name>`.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// Who owns it.
    pub service: Service,
    /// What its resource is.
    pub level: Level,
    /// Whether it changes anything.
    pub effect: Effect,
    /// By whom it can be asked for.
    pub served: Served,
}

impl Action {
    /// The policy action: `service:Operation`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}:{}", self.service.name(), self.name)
    }

    /// Whether callers can ask for it in this build.
    #[must_use]
    pub const fn is_offered(&self) -> bool {
        matches!(self.served, Served::Door | Served::Refused)
    }

    /// The condition keys that a request for this action can have, whether or not this request has them.
    #[must_use]
    pub fn keys(&self) -> Vec<ConditionKey> {
        ConditionKey::ALL.into_iter().filter(|key| self.has_key(*key)).collect()
    }

    /// Whether a request for this action can have `key`.
    #[must_use]
    pub const fn has_key(&self, key: ConditionKey) -> bool {
        match key {
            ConditionKey::CurrentTime
            | ConditionKey::Ip
            | ConditionKey::Uin
            | ConditionKey::OwnerUin
            | ConditionKey::Door
            | ConditionKey::SecureTransport => true,
            ConditionKey::CreateUin | ConditionKey::ResourceTag => {
                matches!(self.level, Level::Secret | Level::SecretOrOperation)
            }
            ConditionKey::RequestTag => {
                matches!(self.level, Level::Creation)
                    || matches!(self.operation, Operation::TagResource | Operation::UntagResource)
            }
            ConditionKey::RecoveryWindow => matches!(self.operation, Operation::DeleteSecret),
            ConditionKey::OidcAudience | ConditionKey::OidcIssuer | ConditionKey::OidcSubject => {
                matches!(self.operation, Operation::AssumeRoleWithWebIdentity)
            }
            ConditionKey::TargetUin => matches!(
                self.operation,
                Operation::CreateAccessKey
                    | Operation::ListAccessKeys
                    | Operation::UpdateAccessKey
                    | Operation::DeleteAccessKey
            ),
        }
    }
}

/// A call of several items, each of which is decided, recorded and answered as an action of its own; policies name that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The name, as in `POST /v1/<name>`; no action has it.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// What each item is.
    pub of: Operation,
}

/// Every bundle.
pub const BUNDLES: &[Bundle] = &[Bundle {
    name: "BatchGetSecretValue",
    summary: "Several secrets' values at once.",
    of: Operation::GetSecretValue,
}];

/// The bundle that a door's operation name stands for.
#[must_use]
pub fn bundle(name: &str) -> Option<&'static Bundle> {
    BUNDLES.iter().find(|bundle| bundle.name == name)
}

/// What records of keyward's own doing have as their action, and those of a call whose action nobody knows. No policy is asked
/// about them.
pub const OWN: [&str; 8] = [
    "keyward:System",
    "keyward:PolicyChange",
    "keyward:Purge",
    "keyward:Summary",
    "keyward:Seal",
    "keyward:ClockStep",
    "keyward:Loss",
    "keyward:Unknown",
];

/// The action that a door's operation name stands for.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Action> {
    ACTIONS.iter().find(|action| action.name == name)
}

/// The action that a call is about: a bundle is about what its items are.
#[must_use]
pub fn asked_for(name: &str) -> Option<&'static Action> {
    match bundle(name) {
        Some(bundle) => row(bundle.of),
        None => by_name(name),
    }
}

/// The row of an operation.
#[must_use]
pub fn row(operation: Operation) -> Option<&'static Action> {
    ACTIONS.iter().find(|action| action.operation == operation)
}

catalogue! {
    /// A new secret with its first version.
    CreateSecret Ssm Creation Write Door;
    /// A new version.
    PutSecretValue Ssm Secret Write Door;
    /// A version's value.
    GetSecretValue Ssm Secret Read Door;
    /// A secret's metadata.
    DescribeSecret Ssm Secret Read Door;
    /// All secrets' metadata.
    ListSecrets Ssm Operation Read Door;
    /// A secret's versions.
    ListSecretVersionIds Ssm Secret Read Door;
    /// Which version a read without VersionId serves.
    SetCurrentVersion Ssm Secret Write Door;
    /// Makes a disabled secret readable.
    EnableSecret Ssm Secret Write Door;
    /// Makes a secret unreadable.
    DisableSecret Ssm Secret Write Door;
    /// Replaces a version's value in place.
    UpdateSecret Ssm Secret Write Door;
    /// Replaces the description.
    UpdateDescription Ssm Secret Write Door;
    /// Deletes, at once or after a window.
    DeleteSecret Ssm Secret Write Door;
    /// Takes a deletion back.
    RestoreSecret Ssm Secret Write Door;
    /// Deletes one version.
    DeleteSecretVersion Ssm Secret Write Door;
    /// Adds tags.
    TagResource Ssm Secret Write Door;
    /// Takes tags off.
    UntagResource Ssm Secret Write Door;
    /// A random password, not kept anywhere.
    GetRandomPassword Ssm Operation Read Door;
    /// The service's regions.
    GetRegions Ssm Operation Read Door;
    /// The service's state and quotas.
    GetServiceStatus Ssm Operation Read Door;
    /// Switches the service on.
    CreateService Ssm Operation Write Refused;
    /// Kinds of product secrets.
    DescribeSupportedProducts Ssm Operation Read Door;
    /// A database account as a secret.
    CreateProductSecret Ssm Creation Write Refused;
    /// An SSH key pair as a secret.
    CreateSSHKeyPairSecret Ssm Creation Write Door;
    /// An SSH key pair's value.
    GetSSHKeyPairValue Ssm Secret Read Door;
    /// Rotates a product secret.
    RotateProductSecret Ssm Secret Write Refused;
    /// Sets a product secret's rotation.
    UpdateRotationStatus Ssm Secret Write Refused;
    /// A product secret's rotation.
    DescribeRotationDetail Ssm Secret Read Refused;
    /// A product secret's past rotations.
    DescribeRotationHistory Ssm Secret Read Refused;
    /// A task's state.
    DescribeAsyncRequestInfo Ssm Operation Read Refused;
    /// Searches the trail.
    SearchRecords Cloudaudit SecretOrOperation Read Door;
    /// The newest signed checkpoint.
    GetCheckpoint Cloudaudit Operation Read Door;
    /// Proves a record against a checkpoint.
    GetInclusionProof Cloudaudit Operation Read Door;
    /// The whole log as a file that verifies offline.
    ExportRecords Cloudaudit Operation Read Door;
    /// A copy of store, mark and newest signed head, without any key, to be kept elsewhere.
    CreateBackup Cloudaudit Operation Read Door;
    /// Checks the log in place.
    VerifyLog Cloudaudit Operation Read Not;
    /// The trail in CloudAudit's form.
    LookUpEvents Cloudaudit Operation Read Door;
    /// The trail in CloudAudit's newer form.
    DescribeEvents Cloudaudit Operation Read Door;
    /// Revokes tokens.
    RevokeToken Cam Operation Write Door;
    /// Decides what was recorded again by a policy set that is not live.
    ReplayPolicies Cam Operation Read Door;
    /// What the live policy set, or one that was live, consists of.
    ListPolicies Cam Operation Read Door;
    /// One file of the live policy set, or of one that was live.
    GetPolicy Cam Operation Read Door;
    /// Which policy set was live from when on, and what changed.
    ListPolicyRevisions Cam Operation Read Door;
    /// Decides a request that nobody made.
    SimulatePolicy Cam Operation Read Door;
    /// Why a request was decided as it was, or would be.
    ExplainDecision Cam Operation Read Door;
    /// The least that policies need to grant for what was done.
    SuggestPolicies Cam Operation Read Door;
    /// Where the set in the shadow decided otherwise than the live one.
    ListShadowDecisions Cam Operation Read Door;
    /// A new access key, whose secret is shown this once.
    CreateAccessKey Cam Operation Write Door;
    /// A principal's access keys, without their secrets.
    ListAccessKeys Cam Operation Read Door;
    /// Switches an access key off and on.
    UpdateAccessKey Cam Operation Write Door;
    /// Deletes an access key.
    DeleteAccessKey Cam Operation Write Door;
    /// Key-encryption keys and their generations.
    ListKeys Kms Operation Read Door;
    /// A new key-encryption key.
    CreateKey Kms Key Write Door;
    /// A key, its generations, and how many data keys each wraps.
    DescribeKey Kms Key Read Door;
    /// A new generation of a key.
    RotateKey Kms Operation Write Door;
    /// Re-wraps data keys to the newest generation.
    RewrapKeys Kms Operation Write Door;
    /// Puts all keys under the root key that the configuration names next.
    RotateRootKey Kms Operation Write Door;
    /// Ends a generation of a key that wraps nothing.
    RetireKeyGeneration Kms Key Write Door;
    /// Makes a disabled key usable.
    EnableKey Kms Key Write Door;
    /// Makes a key, and so the values under it, unusable.
    DisableKey Kms Key Write Door;
    /// Deletes a key that wraps nothing, after a window.
    ScheduleKeyDeletion Kms Key Write Door;
    /// Takes the deletion of a key back.
    CancelKeyDeletion Kms Key Write Door;
    /// Makes and wraps a data key for a value.
    GenerateDataKey Kms Key Write Internal;
    /// Unwraps a value's data key.
    Decrypt Kms Key Read Internal;
    /// Takes a role: a temporary key, whose secret is shown this once.
    AssumeRole Sts Role Write Door;
    /// Takes a role with a token of an identity provider, which nothing but the role's trust policy decides.
    AssumeRoleWithWebIdentity Sts Role Write Door;
    /// Who the caller is.
    GetCallerIdentity Sts Operation Read Door;
    /// A temporary key of the caller itself, narrowed by a policy.
    GetFederationToken Sts Operation Write Door;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_action_has_the_name_of_a_bundle_and_each_bundle_is_of_an_action_that_doors_offer() {
        for bundle in BUNDLES {
            assert_eq!(by_name(bundle.name), None);
            assert_eq!(row(bundle.of).map(|action| action.served), Some(Served::Door));
        }
    }
}
