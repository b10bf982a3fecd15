//! What callers ask of the service as a whole, and of the family of product secrets, which this build does not have.

use super::secrets::{at_most, description, key_id, secret_name, tags};
use crate::actions::Operation;
use crate::error::ApiError;
use crate::parameters::{Fields, invalid_value, missing};
use crate::resource::SecretName;
use crate::secret::Tags;
use chrono::NaiveDateTime;

/// The one way to pay that CreateService knows.
const PAY_MODE: &str = "PostPay";
/// Longest client token of CreateService, in bytes.
const CLIENT_TOKEN_BYTES_MAX: usize = 64;
/// Longest prefix of the accounts that a product secret makes, in bytes.
const PREFIX_BYTES_MAX: usize = 8;
/// Days between two rotations.
const FREQUENCY_DAYS: std::ops::RangeInclusive<u64> = 30..=365;
/// What privileges of a product are on.
const PRIVILEGE_LEVELS: [&str; 11] = [
    "GlobalPrivileges",
    "DatabasePrivileges",
    "TablePrivileges",
    "ColumnPrivileges",
    "SchemaPrivileges",
    "SequencePrivileges",
    "ProcedurePrivileges",
    "TypePrivileges",
    "FunctionPrivileges",
    "ViewPrivileges",
    "MatviewPrivileges",
];
/// The names that a unit of privileges may give besides.
const PRIVILEGE_NAMES: [&str; 10] = [
    "Database",
    "TableName",
    "ColumnName",
    "SchemaName",
    "SequenceName",
    "ProcedureName",
    "TypeName",
    "FunctionName",
    "ViewName",
    "MatviewName",
];

/// A question about the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::access) enum ServiceRequest {
    /// GetRegions
    Regions,
    /// GetServiceStatus
    Status,
    /// CreateService
    Create,
    /// DescribeSupportedProducts
    Products,
}

/// A request of the family of product secrets, as far as policy reads it.
pub(in crate::access) struct ProductRequest {
    /// The secret, but of DescribeAsyncRequestInfo.
    pub(in crate::access) name: Option<SecretName>,
    /// Tags of CreateProductSecret.
    pub(in crate::access) tags: Option<Tags>,
}

impl ServiceRequest {
    /// Reads the parameters of `operation`, if it is about the service.
    pub(super) fn read(operation: Operation, fields: &mut Fields) -> Result<Option<Self>, ApiError> {
        Ok(Some(match operation {
            Operation::GetRegions => Self::Regions,
            Operation::GetServiceStatus => Self::Status,
            Operation::DescribeSupportedProducts => Self::Products,
            Operation::CreateService => {
                if fields.required_text("PayMode")? != PAY_MODE {
                    return Err(invalid_value("PayMode", format!("it is `{PAY_MODE}`")));
                }
                let token = fields.required_text("ClientToken")?;
                if token.len() > CLIENT_TOKEN_BYTES_MAX || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                    return Err(invalid_value("ClientToken", "it is 1 to 64 visible ASCII characters"));
                }
                Self::Create
            }
            _ => return Ok(None),
        }))
    }
}

impl ProductRequest {
    /// Reads the parameters of `operation`, if it is of the family.
    pub(super) fn read(operation: Operation, fields: &mut Fields) -> Result<Option<Self>, ApiError> {
        let named = |name| Self { name: Some(name), tags: None };
        Ok(Some(match operation {
            Operation::CreateProductSecret => Self::read_creation(fields)?,
            Operation::RotateProductSecret | Operation::DescribeRotationDetail | Operation::DescribeRotationHistory => {
                named(secret_name(fields)?)
            }
            Operation::UpdateRotationStatus => {
                let name = secret_name(fields)?;
                fields.flag("EnableRotation")?.ok_or_else(|| missing("EnableRotation"))?;
                if fields.number("Frequency")?.is_some_and(|days| !FREQUENCY_DAYS.contains(&days)) {
                    return Err(invalid_value("Frequency", "it is 30 to 365 days"));
                }
                begin_time(fields)?;
                named(name)
            }
            Operation::DescribeAsyncRequestInfo => {
                fields.number("FlowID")?.ok_or_else(|| missing("FlowID"))?;
                Self { name: None, tags: None }
            }
            _ => return Ok(None),
        }))
    }

    fn read_creation(fields: &mut Fields) -> Result<Self, ApiError> {
        let name = secret_name(fields)?;
        let prefix = fields.required_text("UserNamePrefix")?;
        let is_word = prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if prefix.len() > PREFIX_BYTES_MAX || !is_word || !prefix.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Err(invalid_value("UserNamePrefix", "it is 1 to 8 of `A-Z a-z 0-9 _`, first a letter"));
        }
        for required in ["ProductName", "InstanceID"] {
            fields.required_text(required)?;
        }
        if fields.texts("Domains")?.is_empty() {
            return Err(missing("Domains"));
        }
        let privileges = fields.objects("PrivilegesList")?;
        if privileges.is_empty() {
            return Err(missing("PrivilegesList"));
        }
        privileges.into_iter().try_for_each(check_privileges)?;
        description(fields.text("Description")?.unwrap_or_default())?;
        key_id(fields)?;
        at_most(fields, "EncryptType", 1)?;
        for optional in ["KmsHsmClusterId", "AccountType", "AccountRemark"] {
            fields.text(optional)?;
        }
        fields.number("RotationFrequency")?;
        let begins = begin_time(fields)?;
        if fields.flag("EnableRotation")?.unwrap_or(false) && !begins {
            return Err(missing("RotationBeginTime"));
        }
        Ok(Self { name: Some(name), tags: Some(tags(fields)?) })
    }
}

fn check_privileges(mut unit: Fields) -> Result<(), ApiError> {
    let level = unit.required_text("PrivilegeName")?;
    if !PRIVILEGE_LEVELS.contains(&level.as_str()) {
        return Err(invalid_value("PrivilegeName", "it is one of the levels of privileges"));
    }
    if unit.texts("Privileges")?.is_empty() {
        return Err(missing("Privileges"));
    }
    for name in PRIVILEGE_NAMES {
        unit.text(name)?;
    }
    unit.finish()
}

/// Checks RotationBeginTime; whether it is there.
fn begin_time(fields: &mut Fields) -> Result<bool, ApiError> {
    let Some(text) = fields.nonempty_text("RotationBeginTime")? else { return Ok(false) };
    match NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S") {
        Ok(_) => Ok(true),
        Err(_) => Err(invalid_value("RotationBeginTime", "it is of the form `YYYY-MM-DD HH:MM:SS`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use serde_json::{Value, json};

    fn product(operation: Operation, body: &Value) -> Result<(), Code> {
        let mut fields = Fields::parse(body.to_string().as_bytes()).unwrap();
        let read = ProductRequest::read(operation, &mut fields).and_then(|read| {
            assert!(read.is_some(), "{operation:?}");
            fields.finish()
        });
        read.map_err(|error| error.code)
    }

    #[test]
    fn creations_of_product_secrets_are_read_to_their_end() {
        let good = json!({
            "SecretName": "db/app", "UserNamePrefix": "app_1", "ProductName": "Mysql", "InstanceID": "cdb-1",
            "Domains": ["10.0.0.%"],
            "PrivilegesList": [{"PrivilegeName": "TablePrivileges", "Privileges": ["SELECT"], "Database": "a", "TableName": "b"}],
            "Description": "text", "KmsKeyId": "", "Tags": [{"TagKey": "env", "TagValue": "prod"}], "EncryptType": 1,
            "EnableRotation": true, "RotationBeginTime": "2027-01-02 03:04:05", "RotationFrequency": 30,
        });
        assert_eq!(product(Operation::CreateProductSecret, &good), Ok(()));
        let unit = |level: &str| json!([{"PrivilegeName": level, "Privileges": ["ALL"]}]);
        let more = json!([{"PrivilegeName": "GlobalPrivileges", "Privileges": ["ALL"], "Table": "x"}]);
        let cases = [
            ("SecretName", json!(null), Code::MissingParameter),
            ("SecretName", json!("/a"), Code::InvalidParameterValue),
            ("UserNamePrefix", json!(""), Code::MissingParameter),
            ("UserNamePrefix", json!("1a"), Code::InvalidParameterValue),
            ("UserNamePrefix", json!("abcdefghi"), Code::InvalidParameterValue),
            ("ProductName", json!(null), Code::MissingParameter),
            ("InstanceID", json!(7), Code::InvalidParameter),
            ("Domains", json!([]), Code::MissingParameter),
            ("PrivilegesList", json!([]), Code::MissingParameter),
            ("PrivilegesList", unit("RowPrivileges"), Code::InvalidParameterValue),
            ("PrivilegesList", more, Code::UnknownParameter),
            ("EncryptType", json!(2), Code::InvalidParameterValue),
            ("RotationBeginTime", json!(null), Code::MissingParameter),
            ("RotationBeginTime", json!("tomorrow"), Code::InvalidParameterValue),
            ("Stage", json!(true), Code::UnknownParameter),
        ];
        for (name, value, code) in cases {
            let mut body = good.clone();
            body[name] = value;
            assert_eq!(product(Operation::CreateProductSecret, &body), Err(code), "{name}: {}", body[name]);
        }
        assert_eq!(product(Operation::CreateProductSecret, &json!({"SecretName": "a"})), Err(Code::MissingParameter));
    }

    #[test]
    fn rotations_are_of_30_to_365_days() {
        let status = |days: u64| json!({"SecretName": "a", "EnableRotation": false, "Frequency": days});
        for (days, told) in [(30, Ok(())), (365, Ok(())), (29, Err(())), (366, Err(()))] {
            let read = product(Operation::UpdateRotationStatus, &status(days));
            assert_eq!(read, told.map_err(|()| Code::InvalidParameterValue), "{days}");
        }
        let absent = product(Operation::UpdateRotationStatus, &json!({"SecretName": "a"}));
        assert_eq!(absent, Err(Code::MissingParameter));
        assert_eq!(product(Operation::DescribeAsyncRequestInfo, &json!({})), Err(Code::MissingParameter));
        assert_eq!(product(Operation::DescribeAsyncRequestInfo, &json!({"FlowID": 7})), Ok(()));
    }

    #[test]
    fn the_service_is_asked_for_as_the_vendor_writes_it() {
        let create = |mode: &str, token: &str| {
            let body = json!({"PayMode": mode, "ClientToken": token}).to_string();
            let read = ServiceRequest::read(Operation::CreateService, &mut Fields::parse(body.as_bytes()).unwrap());
            read.map_err(|error| error.code)
        };
        assert_eq!(create("PostPay", &"~".repeat(64)), Ok(Some(ServiceRequest::Create)));
        assert_eq!(create("PostPay", &"~".repeat(65)), Err(Code::InvalidParameterValue));
        assert_eq!(create("PostPay", "a b"), Err(Code::InvalidParameterValue));
        assert_eq!(create("PostPay", ""), Err(Code::MissingParameter));
        assert_eq!(create("postpay", "t"), Err(Code::InvalidParameterValue));
        assert_eq!(create("", "t"), Err(Code::MissingParameter));
    }
}
