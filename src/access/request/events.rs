//! What callers ask of the trail in CloudAudit's form: LookUpEvents and DescribeEvents.

use super::secrets::at_most;
use crate::error::{ApiError, Code};
use crate::parameters::{Fields, invalid_value};
use serde::Deserialize;

/// Events that one answer holds at most, and if nothing is said.
const RESULTS_MAX: u64 = 50;
/// Conditions that one question has at most.
const ATTRIBUTES_MAX: usize = 10;
/// Longest value of a condition, in bytes: longer than any that an event shows.
const VALUE_BYTES_MAX: usize = 1_024;

/// LookUpEvents or DescribeEvents
#[derive(Debug)]
pub(in crate::access) struct EventsRequest {
    /// Epoch seconds, this one included.
    pub(in crate::access) start_s: u64,
    /// Epoch seconds, this one included.
    pub(in crate::access) end_s: u64,
    /// Conditions, as they were written.
    pub(in crate::access) attributes: Vec<(AttributeKey, String)>,
    /// What they mean.
    pub(in crate::access) conditions: Vec<Condition>,
    /// Events to answer at most.
    pub(in crate::access) max_results: usize,
    /// Where an earlier page ended.
    pub(in crate::access) token: NextToken,
}

/// Where an earlier page ended, in the form that the call has for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::access) enum NextToken {
    /// LookUpEvents: opaque; empty at the beginning and at the end.
    Text(String),
    /// DescribeEvents: only events of lower indexes; 0 at the beginning and at the end.
    Number(u64),
}

/// What a condition is on: the newer list of keys and the older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::access) enum AttributeKey {
    AccessKeyId,
    ActionType,
    ApiErrorCode,
    CamErrorCode,
    EventName,
    PrincipalId,
    ReadOnly,
    RequestId,
    ResourceId,
    ResourceName,
    ResourceType,
    SensitiveAction,
    SourceIpAddress,
    Tags,
    Username,
}

/// A condition on what an event shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::access) enum Condition {
    /// The field that the key names is this text.
    Is(AttributeKey, String),
    /// It is one of these actions.
    Named(Vec<String>),
    /// Whether it only reads.
    Reads(bool),
    /// Whether it is sensitive.
    Sensitive(bool),
    /// What authentication and policy came to.
    CamError(u64),
    /// It has all these tags; `*` is any key or value.
    Tags(Vec<TagCondition>),
}

/// A tag that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::access) struct TagCondition {
    /// Its key, or `*`.
    pub(in crate::access) key: String,
    /// Its value, or `*`.
    pub(in crate::access) value: String,
}

impl AttributeKey {
    pub(super) const ALL: [Self; 15] = [
        Self::AccessKeyId,
        Self::ActionType,
        Self::ApiErrorCode,
        Self::CamErrorCode,
        Self::EventName,
        Self::PrincipalId,
        Self::ReadOnly,
        Self::RequestId,
        Self::ResourceId,
        Self::ResourceName,
        Self::ResourceType,
        Self::SensitiveAction,
        Self::SourceIpAddress,
        Self::Tags,
        Self::Username,
    ];

    /// The key as callers write it.
    pub(in crate::access) const fn name(self) -> &'static str {
        match self {
            Self::AccessKeyId => "AccessKeyId",
            Self::ActionType => "ActionType",
            Self::ApiErrorCode => "ApiErrorCode",
            Self::CamErrorCode => "CamErrorCode",
            Self::EventName => "EventName",
            Self::PrincipalId => "PrincipalId",
            Self::ReadOnly => "ReadOnly",
            Self::RequestId => "RequestId",
            Self::ResourceId => "ResourceId",
            Self::ResourceName => "ResourceName",
            Self::ResourceType => "ResourceType",
            Self::SensitiveAction => "SensitiveAction",
            Self::SourceIpAddress => "SourceIPAddress",
            Self::Tags => "Tags",
            Self::Username => "Username",
        }
    }
}

impl EventsRequest {
    /// LookUpEvents
    pub(super) fn read_look_up(fields: &mut Fields) -> Result<Self, ApiError> {
        let token = NextToken::Text(fields.text("NextToken")?.unwrap_or_default());
        match fields.nonempty_text("Mode")?.as_deref() {
            None | Some("standard" | "quick") => Self::read(fields, token),
            Some(_) => Err(invalid_value("Mode", "it is `standard` or `quick`")),
        }
    }

    /// DescribeEvents
    pub(super) fn read_describe(fields: &mut Fields) -> Result<Self, ApiError> {
        let token = NextToken::Number(fields.number("NextToken")?.unwrap_or(0));
        at_most(fields, "IsReturnLocation", 1)?;
        Self::read(fields, token)
    }

    fn read(fields: &mut Fields, token: NextToken) -> Result<Self, ApiError> {
        let (start_s, end_s) = (time(fields, "StartTime")?, time(fields, "EndTime")?);
        if start_s > end_s {
            return Err(ApiError::new(Code::TimeOrder, "`StartTime` lies after `EndTime`"));
        }
        let max_results = fields.number("MaxResults")?.unwrap_or(RESULTS_MAX);
        let max_results = usize::try_from(max_results).ok().filter(|_| (1..=RESULTS_MAX).contains(&max_results));
        let rule = || ApiError::new(Code::MaxResult, format!("`MaxResults` is 1 to {RESULTS_MAX}"));
        let max_results = max_results.ok_or_else(rule)?;
        let attributes = attributes(fields)?;
        let conditions = conditions(&attributes)?;
        Ok(Self { start_s, end_s, attributes, conditions, max_results, token })
    }
}

fn time(fields: &mut Fields, name: &str) -> Result<u64, ApiError> {
    let rule = || ApiError::new(Code::TimeMalformed, format!("`{name}` must be whole seconds since 1970"));
    fields.number(name).ok().flatten().ok_or_else(rule)
}

fn attributes(fields: &mut Fields) -> Result<Vec<(AttributeKey, String)>, ApiError> {
    let items = fields.objects("LookupAttributes")?;
    if items.len() > ATTRIBUTES_MAX {
        return Err(ApiError::new(Code::OverAmount, format!("`LookupAttributes` are at most {ATTRIBUTES_MAX}")));
    }
    let read = |mut item: Fields| {
        let name = item.required_text("AttributeKey")?;
        let key = AttributeKey::ALL.into_iter().find(|key| key.name() == name);
        let unknown = || ApiError::new(Code::AttributeKey, "an `AttributeKey` is none of those that events have");
        let value = item.text("AttributeValue")?.unwrap_or_default();
        item.finish()?;
        if value.len() > VALUE_BYTES_MAX {
            return Err(invalid_value("AttributeValue", format!("it is at most {VALUE_BYTES_MAX} bytes")));
        }
        Ok((key.ok_or_else(unknown)?, value))
    };
    items.into_iter().map(read).collect()
}

/// What the attributes ask for: all of it, but of several names of events one.
fn conditions(attributes: &[(AttributeKey, String)]) -> Result<Vec<Condition>, ApiError> {
    let wrong = |key: AttributeKey, rule: &str| {
        Err(invalid_value("AttributeValue", format!("of `{}`: it is {rule}", key.name())))
    };
    let names: Vec<String> =
        attributes.iter().filter(|(key, _)| *key == AttributeKey::EventName).map(|(_, name)| name.clone()).collect();
    let mut conditions = Vec::new();
    if !names.is_empty() {
        conditions.push(Condition::Named(names));
    }
    for (key, value) in attributes.iter().filter(|(key, _)| *key != AttributeKey::EventName) {
        conditions.push(match (key, value.as_str()) {
            (AttributeKey::ActionType, "Read") | (AttributeKey::ReadOnly, "true") => Condition::Reads(true),
            (AttributeKey::ActionType, "Write") | (AttributeKey::ReadOnly, "false") => Condition::Reads(false),
            (AttributeKey::ActionType, _) => return wrong(*key, "`Read` or `Write`"),
            (AttributeKey::ReadOnly, _) => return wrong(*key, "`true` or `false`"),
            (AttributeKey::SensitiveAction, "0") => Condition::Sensitive(false),
            (AttributeKey::SensitiveAction, "1") => Condition::Sensitive(true),
            (AttributeKey::SensitiveAction, _) => return wrong(*key, "`0` or `1`"),
            (AttributeKey::CamErrorCode, code) => match code.parse() {
                Ok(code) => Condition::CamError(code),
                Err(_) => return wrong(*key, "a number, 0 if all is well"),
            },
            // Both stand for: no error.
            (AttributeKey::ApiErrorCode, "0") => Condition::Is(*key, String::new()),
            (AttributeKey::Tags, text) => match serde_json::from_str(text) {
                Ok(tags) => Condition::Tags(tags),
                Err(_) => return wrong(*key, "of the form `[{\"key\":\"*\",\"value\":\"*\"}]`"),
            },
            (key, value) => Condition::Is(*key, value.to_owned()),
        });
    }
    Ok(conditions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(body: &Value) -> Result<EventsRequest, Code> {
        let mut fields = Fields::parse(body.to_string().as_bytes()).unwrap();
        let read = EventsRequest::read_look_up(&mut fields).and_then(|read| fields.finish().map(|()| read));
        read.map_err(|error| error.code)
    }

    fn asking(key: &str, value: &Value) -> Value {
        json!({"StartTime": 1, "EndTime": 2, "LookupAttributes": [{"AttributeKey": key, "AttributeValue": value}]})
    }

    #[test]
    fn times_results_and_conditions_are_refused_by_the_codes_of_cloudaudit() {
        let with = |name: &str, value: Value| {
            let mut body = json!({"StartTime": 10, "EndTime": 20});
            body[name] = value;
            body
        };
        for name in ["StartTime", "EndTime"] {
            for value in [json!(null), json!("soon"), json!(-1), json!(1.5), json!(true), json!("")] {
                assert_eq!(read(&with(name, value)).unwrap_err(), Code::TimeMalformed, "{name}");
            }
        }
        assert_eq!(read(&with("StartTime", json!(21))).unwrap_err(), Code::TimeOrder);
        assert!(read(&with("StartTime", json!("20"))).is_ok());
        for (results, code) in [(0, false), (1, true), (50, true), (51, false)] {
            let result = read(&with("MaxResults", json!(results))).map(|read| read.max_results);
            assert_eq!(result, if code { Ok(results) } else { Err(Code::MaxResult) });
        }
        assert_eq!(read(&with("MaxResults", json!(null))).unwrap().max_results, 50);
        assert_eq!(read(&with("Mode", json!("slow"))).unwrap_err(), Code::InvalidParameterValue);
        assert_eq!(read(&with("NextToken", json!(7))).unwrap_err(), Code::InvalidParameter);
        assert_eq!(read(&with("IsReturnLocation", json!(1))).unwrap_err(), Code::UnknownParameter);
        let many = |count: usize| with("LookupAttributes", json!(vec![json!({"AttributeKey": "EventName"}); count]));
        assert!(read(&many(10)).is_ok());
        assert_eq!(read(&many(11)).unwrap_err(), Code::OverAmount);
        assert_eq!(read(&with("LookupAttributes", json!([{}]))).unwrap_err(), Code::MissingParameter);
        assert_eq!(read(&asking("eventName", &json!("x"))).unwrap_err(), Code::AttributeKey);
        assert_eq!(read(&asking("EventName", &json!("x".repeat(1_025)))).unwrap_err(), Code::InvalidParameterValue);
    }

    #[test]
    fn every_key_of_both_lists_is_taken_with_values_that_it_can_have() {
        for key in AttributeKey::ALL {
            let good = match key {
                AttributeKey::ActionType => "Write",
                AttributeKey::ReadOnly => "true",
                AttributeKey::SensitiveAction => "1",
                AttributeKey::CamErrorCode => "403",
                AttributeKey::Tags => r#"[{"key":"env","value":"*"}]"#,
                _ => "any text",
            };
            assert!(read(&asking(key.name(), &json!(good))).is_ok(), "{key:?}");
        }
        for (key, bad) in [
            ("ActionType", "read"),
            ("ReadOnly", "1"),
            ("SensitiveAction", "true"),
            ("CamErrorCode", "denied"),
            ("Tags", "env"),
            ("Tags", r#"[{"key":"env"}]"#),
        ] {
            assert_eq!(read(&asking(key, &json!(bad))).unwrap_err(), Code::InvalidParameterValue, "{key}");
        }
        let mut describe =
            Fields::parse(br#"{"StartTime":1,"EndTime":1,"NextToken":"7","IsReturnLocation":1}"#).unwrap();
        let describe = EventsRequest::read_describe(&mut describe).unwrap();
        assert_eq!(describe.token, NextToken::Number(7));
        let attributes = json!([
            {"AttributeKey": "EventName", "AttributeValue": "GetSecretValue"},
            {"AttributeKey": "ApiErrorCode", "AttributeValue": "0"},
            {"AttributeKey": "EventName", "AttributeValue": "PutSecretValue"},
        ]);
        let read = read(&json!({"StartTime": 1, "EndTime": 2, "LookupAttributes": attributes})).unwrap();
        let names = Condition::Named(vec!["GetSecretValue".to_owned(), "PutSecretValue".to_owned()]);
        assert_eq!(read.conditions, [names, Condition::Is(AttributeKey::ApiErrorCode, String::new())]);
    }
}
