//! The one table from error codes to HTTP statuses, for the native door.

use crate::error::Code;
use actix_web::http::StatusCode;

/// The status of a code in the native door; always 4xx or 5xx.
#[must_use]
pub const fn status(code: Code) -> StatusCode {
    match code {
        Code::InvalidRequest
        | Code::MissingParameter
        | Code::InvalidParameter
        | Code::InvalidParameterValue
        | Code::TagKeysDuplicated
        | Code::TimeMalformed
        | Code::TimeOrder
        | Code::MaxResult
        | Code::AttributeKey
        | Code::UnknownParameter
        | Code::UnsupportedOperation
        | Code::InvalidAction
        | Code::NoSuchVersion
        | Code::UnsupportedRegion => StatusCode::BAD_REQUEST,
        Code::InvalidAuthorization
        | Code::TokenFailure
        | Code::SecretIdNotFound
        | Code::SignatureExpire
        | Code::SignatureFailure => StatusCode::UNAUTHORIZED,
        Code::UnauthorizedOperation => StatusCode::FORBIDDEN,
        Code::ResourceNotFound | Code::SecretNotExist => StatusCode::NOT_FOUND,
        Code::UnsupportedProtocol => StatusCode::METHOD_NOT_ALLOWED,
        Code::FailedOperation
        | Code::AccessKmsError
        | Code::RoleNotExist
        | Code::AccessKeyOverLimit
        | Code::LimitExceeded
        | Code::OverAmount
        | Code::ServiceAlreadyEnabled
        | Code::SecretExists
        | Code::VersionIdExists
        | Code::ResourceDisabled
        | Code::ResourcePendingDeleted => StatusCode::CONFLICT,
        Code::RequestSizeLimitExceeded => StatusCode::PAYLOAD_TOO_LARGE,
        Code::HeaderTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Code::RequestLimitExceeded | Code::UinLimitExceeded => StatusCode::TOO_MANY_REQUESTS,
        Code::InternalError | Code::SearchError => StatusCode::INTERNAL_SERVER_ERROR,
        Code::ServiceUnavailable | Code::AuditUnavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_an_error_status() {
        for code in Code::ALL {
            assert!(status(*code).is_client_error() || status(*code).is_server_error(), "{code}");
        }
    }
}
