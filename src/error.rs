//! Error codes: Tencent's, in every door. Which HTTP status each has in the native door: `http/problem.rs`.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident = $text:literal;)*) => {
        /// A closed list: a new code breaks the match that gives it a status.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $code,)* }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$code,)*];

            /// The code as callers and records see it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$code => $text,)* }
            }
        }
    };
}

codes! {
    /// Not `application/json`, malformed HTTP.
    InvalidRequest = "InvalidRequest";
    /// A required field is absent, a required string empty.
    MissingParameter = "MissingParameter";
    /// Broken JSON or a wrong type.
    InvalidParameter = "InvalidParameter";
    /// Right type, value outside its rule; a name not in canonical form.
    InvalidParameterValue = "InvalidParameterValue";
    /// A TagKey twice.
    TagKeysDuplicated = "InvalidParameterValue.TagKeysDuplicated";
    /// A time that is missing or no integer, of a search for events.
    TimeMalformed = "InvalidParameter.Time";
    /// A search for events that starts after its end.
    TimeOrder = "InvalidParameterValue.Time";
    /// How many events are asked for.
    MaxResult = "InvalidParameterValue.MaxResult";
    /// A condition that searches for events do not have.
    AttributeKey = "InvalidParameterValue.attributeKey";
    /// A field that the action does not define.
    UnknownParameter = "UnknownParameter";
    /// Known, not offered.
    UnsupportedOperation = "UnsupportedOperation";
    /// No such action.
    InvalidAction = "InvalidAction";
    /// A version that the service does not have.
    NoSuchVersion = "NoSuchVersion";
    /// Another region than the gateway's.
    UnsupportedRegion = "UnsupportedRegion";
    /// Authorization absent or malformed.
    InvalidAuthorization = "AuthFailure.InvalidAuthorization";
    /// A bad token, whatever the cause.
    TokenFailure = "AuthFailure.TokenFailure";
    /// An access key that is unknown, inactive or deleted.
    SecretIdNotFound = "AuthFailure.SecretIdNotFound";
    /// A timestamp that is too far from now, or a signature that was used already.
    SignatureExpire = "AuthFailure.SignatureExpire";
    /// A signature that does not match.
    SignatureFailure = "AuthFailure.SignatureFailure";
    /// A web identity that is not accepted, whatever the cause.
    WebIdentityTokenError = "InvalidParameter.WebIdentityTokenError";
    /// A session that would last too long, or too short.
    OverTimeError = "InvalidParameter.OverTimeError";
    /// A parameter of a session that is malformed.
    ParamError = "InvalidParameter.ParamError";
    /// A session policy that is no document at all.
    StrategyFormatError = "InvalidParameter.StrategyFormatError";
    /// A session policy that is no valid document.
    StrategyInvalid = "InvalidParameter.StrategyInvalid";
    /// A session policy that is too long.
    PolicyTooLong = "InvalidParameter.PolicyTooLong";
    /// A temporary key where none may be used.
    TempKeyNotAllowed = "FailedOperation.TempKeyNotAllowed";
    /// Policy says no.
    UnauthorizedOperation = "UnauthorizedOperation";
    /// Secret, version, key or index missing; a path that is no route.
    ResourceNotFound = "ResourceNotFound";
    /// The secret that was to be read is missing.
    SecretNotExist = "ResourceNotFound.SecretNotExist";
    /// A method that the route does not have.
    UnsupportedProtocol = "UnsupportedProtocol";
    /// Wrong state for a change.
    FailedOperation = "FailedOperation";
    /// The key service refuses or fails.
    AccessKmsError = "FailedOperation.AccessKmsError";
    /// The role in which the engine uses keys is not in the policy folder.
    RoleNotExist = "OperationDenied.RoleNotExist";
    /// A principal has as many access keys as it may have.
    AccessKeyOverLimit = "OperationDenied.AccessKeyOverLimit";
    /// A rate.
    RequestLimitExceeded = "RequestLimitExceeded";
    /// The rate of the whole account.
    UinLimitExceeded = "RequestLimitExceeded.UinLimitExceeded";
    /// A quota.
    LimitExceeded = "LimitExceeded";
    /// More conditions than a search for events takes.
    OverAmount = "LimitExceeded.OverAmount";
    /// The service is there already.
    ServiceAlreadyEnabled = "ResourceInUse.ServiceAlreadyEnabled";
    /// The name is taken.
    SecretExists = "ResourceInUse.SecretExists";
    /// The version id is taken.
    VersionIdExists = "ResourceInUse.VersionIdExists";
    /// The secret is disabled.
    ResourceDisabled = "ResourceUnavailable.ResourceDisabled";
    /// The secret is to be deleted.
    ResourcePendingDeleted = "ResourceUnavailable.ResourcePendingDeleted";
    /// The body is over the cap, or the record would be.
    RequestSizeLimitExceeded = "RequestSizeLimitExceeded";
    /// Request line or headers over the cap.
    HeaderTooLarge = "RequestSizeLimitExceeded.HeaderTooLarge";
    /// Anything unexpected.
    InternalError = "InternalError";
    /// The trail cannot be read.
    SearchError = "InternalError.SearchError";
    /// Not serving, or decided again and again against a state that kept changing.
    ServiceUnavailable = "ServiceUnavailable";
    /// The record cannot be made durable: no effect, no value.
    AuditUnavailable = "AuditUnavailable";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error as a caller sees it: a code and one line of text that holds no value, token, key or policy text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// The code.
    pub code: Code,
    /// What was wrong, in one line.
    pub message: String,
}

impl ApiError {
    /// An error of `code` saying `message`.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}
