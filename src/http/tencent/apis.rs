//! The vendor's services as their SDKs know them: one version of each, and its actions. What keyward has besides is not there.

use crate::actions::Service;
use crate::error::{ApiError, Code};

/// A service.
struct Api {
    service: Service,
    version: &'static str,
    actions: &'static [&'static str],
}

const APIS: [Api; 4] = [
    Api {
        service: Service::Ssm,
        version: "2019-09-23",
        actions: &[
            "CreateProductSecret",
            "CreateSSHKeyPairSecret",
            "CreateSecret",
            "CreateService",
            "DeleteSecret",
            "DeleteSecretVersion",
            "DescribeAsyncRequestInfo",
            "DescribeRotationDetail",
            "DescribeRotationHistory",
            "DescribeSecret",
            "DescribeSupportedProducts",
            "DisableSecret",
            "EnableSecret",
            "GetRegions",
            "GetSSHKeyPairValue",
            "GetSecretValue",
            "GetServiceStatus",
            "ListSecretVersionIds",
            "ListSecrets",
            "PutSecretValue",
            "RestoreSecret",
            "RotateProductSecret",
            "UpdateDescription",
            "UpdateRotationStatus",
            "UpdateSecret",
        ],
    },
    Api {
        service: Service::Sts,
        version: "2018-08-13",
        actions: &["AssumeRole", "AssumeRoleWithWebIdentity", "GetCallerIdentity", "GetFederationToken"],
    },
    Api {
        service: Service::Cam,
        version: "2019-01-16",
        actions: &["CreateAccessKey", "DeleteAccessKey", "ListAccessKeys", "UpdateAccessKey"],
    },
    Api { service: Service::Cloudaudit, version: "2019-03-19", actions: &["DescribeEvents", "LookUpEvents"] },
];

/// Whether any service has the action.
pub(super) fn has(action: &str) -> bool {
    APIS.iter().any(|api| api.actions.contains(&action))
}

/// Whether any service is called that, as the scope of a signature calls it.
pub(super) fn is_service(name: &str) -> bool {
    APIS.iter().any(|api| api.service.name() == name)
}

/// Whether the service of that version, which is `service` if the caller names one, has the action.
///
/// # Errors
/// `NoSuchVersion`, `InvalidAction`.
pub(super) fn check(service: Option<&str>, version: &str, action: &str) -> Result<(), ApiError> {
    let is_asked = |api: &&Api| api.version == version && service.is_none_or(|name| api.service.name() == name);
    let Some(api) = APIS.iter().find(is_asked) else {
        return Err(ApiError::new(Code::NoSuchVersion, "the header X-TC-Version names no version of a service here"));
    };
    if !api.actions.contains(&action) {
        let message = format!("the service `{}` has no such action in version {}", api.service.name(), api.version);
        return Err(ApiError::new(Code::InvalidAction, message));
    }
    Ok(())
}

/// Whether a request for the action holds a secret's value.
pub(super) fn carries_value(action: &str) -> bool {
    ["CreateSecret", "PutSecretValue", "UpdateSecret"].contains(&action)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::by_name;

    #[test]
    fn every_action_of_the_wire_is_in_the_catalogue_under_its_service() {
        assert_eq!(APIS[0].actions.len(), 25, "the actions of ssm");
        for api in APIS {
            assert!(api.actions.is_sorted(), "{}", api.service.name());
            for action in api.actions {
                assert_eq!(by_name(action).map(|row| row.service), Some(api.service), "{action}");
            }
        }
    }

    #[test]
    fn a_version_an_action_and_a_service_that_do_not_go_together_are_told_apart() {
        let code = |version, action| check(None, version, action).map_err(|error| error.code);
        assert_eq!(code("2019-09-23", "GetSecretValue"), Ok(()));
        assert_eq!(code("2019-09-24", "GetSecretValue"), Err(Code::NoSuchVersion));
        assert_eq!(code("2018-08-13", "GetSecretValue"), Err(Code::InvalidAction));
        for other in ["getSecretValue", "SetCurrentVersion", "BatchGetSecretValue", "SearchRecords", ""] {
            assert_eq!(code("2019-09-23", other), Err(Code::InvalidAction), "{other}");
        }
        let scoped = |service, version| check(Some(service), version, "GetSecretValue").map_err(|error| error.code);
        assert_eq!(scoped("ssm", "2019-09-23"), Ok(()));
        assert_eq!(scoped("sts", "2019-09-23"), Err(Code::NoSuchVersion));
        assert!(is_service("ssm") && is_service("cam") && !is_service("cvm") && !is_service("kms"));
    }
}
