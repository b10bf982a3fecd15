//! Errors as this door says them: under the codes that it has, in the language that the caller asks for.

use crate::error::{ApiError, Code};

/// The language of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// `en-US`, and whatever is not known.
    English,
    /// `zh-CN`
    Chinese,
}

impl Language {
    /// What `X-TC-Language` asks for.
    pub(super) fn of(header: Option<&str>) -> Self {
        if header == Some("zh-CN") { Self::Chinese } else { Self::English }
    }

    /// The error under this door's code. In Chinese what it is comes first, then the English text, which names the parameter or
    /// resource.
    pub(super) fn say(self, error: ApiError) -> ApiError {
        let ApiError { code, message } = error;
        let code = match code {
            Code::AuditUnavailable => Code::InternalError,
            Code::HeaderTooLarge => Code::RequestSizeLimitExceeded,
            other => other,
        };
        match self {
            Self::English => ApiError { code, message },
            Self::Chinese => ApiError { code, message: format!("{}: {message}", chinese(code)) },
        }
    }
}

const fn chinese(code: Code) -> &'static str {
    match code {
        Code::InvalidRequest => "请求不合法",
        Code::MissingParameter => "缺少参数",
        Code::InvalidParameter => "参数错误",
        Code::InvalidParameterValue => "参数取值错误",
        Code::TagKeysDuplicated => "标签键重复",
        Code::TimeMalformed => "时间参数错误",
        Code::TimeOrder => "开始时间晚于结束时间",
        Code::MaxResult => "返回条数超出范围",
        Code::AttributeKey => "检索条件不存在",
        Code::UnknownParameter => "未知参数",
        Code::UnsupportedOperation => "操作不支持",
        Code::InvalidAction => "接口不存在",
        Code::NoSuchVersion => "接口版本不存在",
        Code::UnsupportedRegion => "接口不支持所传地域",
        Code::InvalidAuthorization => "请求头部的 Authorization 不合法",
        Code::TokenFailure => "token 错误",
        Code::SecretIdNotFound => "密钥不存在",
        Code::SignatureExpire => "签名过期",
        Code::SignatureFailure => "签名错误",
        Code::UnauthorizedOperation => "未授权操作",
        Code::ResourceNotFound => "资源不存在",
        Code::SecretNotExist => "凭据不存在",
        Code::UnsupportedProtocol => "请求方法不支持",
        Code::FailedOperation => "操作失败",
        Code::AccessKmsError => "访问密钥服务失败",
        Code::RoleNotExist => "角色不存在",
        Code::AccessKeyOverLimit => "访问密钥数量超过限制",
        Code::RequestLimitExceeded => "请求的次数超过了频率限制",
        Code::UinLimitExceeded => "主账号的请求次数超过了频率限制",
        Code::LimitExceeded => "超过配额限制",
        Code::OverAmount => "检索条件过多",
        Code::ServiceAlreadyEnabled => "服务已开通",
        Code::SecretExists => "凭据名已存在",
        Code::VersionIdExists => "版本号已存在",
        Code::ResourceDisabled => "凭据已被禁用",
        Code::ResourcePendingDeleted => "凭据处于计划删除状态",
        Code::RequestSizeLimitExceeded | Code::HeaderTooLarge => "请求包超过限制大小",
        Code::SearchError => "检索失败",
        Code::InternalError | Code::AuditUnavailable => "内部错误",
        Code::ServiceUnavailable => "服务暂不可用",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_chooses_the_message_and_never_the_code() {
        for code in Code::ALL {
            let said = |language: Language| language.say(ApiError::new(*code, "the text"));
            let (english, other) = (said(Language::English), said(Language::Chinese));
            assert_eq!(english.code, other.code, "{code}");
            assert_eq!(english.message, "the text", "{code}");
            assert!(other.message.ends_with(": the text") && !other.message.is_ascii(), "{code}");
        }
    }

    #[test]
    fn codes_that_are_keywards_own_have_a_name_that_the_vendor_knows() {
        let said = |code| Language::English.say(ApiError::new(code, "")).code;
        assert_eq!(said(Code::AuditUnavailable), Code::InternalError);
        assert_eq!(said(Code::HeaderTooLarge), Code::RequestSizeLimitExceeded);
        assert_eq!(Language::of(Some("zh-CN")), Language::Chinese);
        assert_eq!(Language::of(Some("fr-FR")), Language::English);
    }
}
