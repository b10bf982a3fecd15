use super::super::testing::{file, settings};
use super::*;
use std::collections::HashSet;

fn codes(text: &str) -> Vec<Code> {
    let settings = settings();
    let local =
        HashSet::from([Principal::parse("group/local/ops").unwrap(), Principal::parse("role/local/r").unwrap()]);
    let known = Known { settings: &settings, local };
    let found = read(&file("roles/r.json", text), &known, &settings).err().unwrap_or_default();
    found.iter().map(|finding| finding.code).collect()
}

fn role(statement: &str) -> String {
    format!(r#"{{"version":"2.0","statement":[{statement}]}}"#)
}

fn assumed_by(principal: &str) -> String {
    role(&format!(r#"{{"effect":"allow","action":"name/sts:AssumeRole","principal":{principal}}}"#))
}

fn federated(condition: &str) -> String {
    role(&format!(
        r#"{{"effect":"allow","action":"name/sts:AssumeRoleWithWebIdentity","principal":{{"federated":["oidc-provider/corp"]}},"condition":{condition}}}"#
    ))
}

const FULL: &str = r#"{"string_equal":{"oidc:iss":["https://idp.example"],"oidc:aud":["keyward"],"oidc:sub":["system:serviceaccount:payments:billing"]}}"#;

#[test]
fn a_role_is_taken_by_keywards_principals() {
    for principal in [
        r#"{"qcs":["user/dev/a"]}"#,
        r#"{"qcs":"service/ssm"}"#,
        r#"{"qcs":["group/corp/x/y","role/dev/z","group/local/ops","role/local/r"]}"#,
    ] {
        assert_eq!(codes(&assumed_by(principal)), [], "{principal}");
    }
}

#[test]
fn other_principals_are_refused_with_their_code() {
    for (principal, code) in [
        (r#""*""#, Code::PrincipalError),
        (r#"{}"#, Code::PrincipalError),
        (r#"{"qcs":[]}"#, Code::PrincipalError),
        (r#"{"service":["ssm.qcloud.com"]}"#, Code::PrincipalError),
        (r#"{"qcs":["*"]}"#, Code::PrincipalQcsError),
        (r#"{"qcs":["everyone"]}"#, Code::PrincipalQcsError),
        (r#"{"qcs":["issuer/corp"]}"#, Code::PrincipalQcsError),
        (r#"{"qcs":[7]}"#, Code::PrincipalQcsError),
        (r#"{"qcs":["qcs::cam::uin/1:uin/2"]}"#, Code::PrincipalQcsError),
        (r#"{"qcs":["qcs::cam::uin/2:root"]}"#, Code::PrincipalQcsCrossError),
        (r#"{"qcs":["user/nope/a"]}"#, Code::PrincipalQcsNotExist),
        (r#"{"qcs":["role/local/none"]}"#, Code::PrincipalQcsNotExist),
        (r#"{"qcs":["user/local/a"]}"#, Code::PrincipalQcsNotExist),
        (r#"{"qcs":["service/cvm"]}"#, Code::PrincipalServiceNotExist),
        (r#"{"qcs":["user/dev/"]}"#, Code::PrincipalQcsError),
        (r#"{"federated":["oidc-provider/nope"]}"#, Code::PrincipalQcsNotExist),
        (r#"{"federated":["qcs::cam::uin/2:oidc-provider/x"]}"#, Code::PrincipalQcsCrossError),
    ] {
        let text = assumed_by(principal).replace("}]}", r#","condition":CONDITION}]}"#).replace("CONDITION", FULL);
        assert_eq!(codes(&text), [code], "{principal}");
    }
}

#[test]
fn a_web_identity_needs_issuer_audience_and_subject() {
    assert_eq!(codes(&federated(FULL)), []);
    assert_eq!(codes(&federated(&FULL.replace("]}}", r#"]},"ip_equal":{"qcs:ip":"10.0.0.0/8"}}"#))), []);
    let like =
        r#"{"string_equal":{"oidc:iss":"https://idp.example","oidc:aud":"keyward"},"string_like":{"oidc:sub":"*"}}"#;
    assert_eq!(codes(&federated(like)), []);
    let any = r#"{"string_equal":{"oidc:iss":"i"},"for_any_value:string_equal":{"oidc:aud":"keyward"},"string_like":{"oidc:sub":"x*"}}"#;
    assert_eq!(codes(&federated(any)), []);
    for missing in [
        r#"{"string_equal":{"oidc:iss":"i","oidc:aud":"a"}}"#,
        r#"{"string_equal":{"oidc:iss":"i","oidc:sub":"s"}}"#,
        r#"{"string_equal":{"oidc:aud":"a","oidc:sub":"s"}}"#,
        r#"{"string_equal":{"oidc:iss":"i","oidc:aud":"a"},"string_equal_if_exist":{"oidc:sub":"s"}}"#,
        r#"{"string_equal":{"oidc:iss":"i","oidc:aud":"a"},"string_not_equal":{"oidc:sub":"s"}}"#,
        r#"{"string_equal":{"oidc:iss":"i","oidc:aud":"a"},"null_equal":{"oidc:sub":"false"}}"#,
        r#"{"string_like":{"oidc:iss":"*"},"string_equal":{"oidc:aud":"a","oidc:sub":"s"}}"#,
        r#"{"string_like":{"oidc:aud":"*"},"string_equal":{"oidc:iss":"a","oidc:sub":"s"}}"#,
    ] {
        assert_eq!(codes(&federated(missing)), [Code::ConditionContentError], "{missing}");
    }
    assert_eq!(codes(&federated("{}")).len(), 4);
}

#[test]
fn only_the_taking_of_roles_is_granted() {
    for action in ["\"*\"", "\"ssm:GetSecretValue\"", "\"sts:*\"", "\"cos:GetObject\""] {
        let text = assumed_by(r#"{"qcs":["user/dev/a"]}"#).replace("\"name/sts:AssumeRole\"", action);
        let expected = if action.contains("cos") { Code::ActionServiceNotExist } else { Code::ActionError };
        assert_eq!(codes(&text), [expected], "{action}");
    }
}

#[test]
fn the_file_is_strict() {
    let good = assumed_by(r#"{"qcs":["user/dev/a"]}"#);
    for (text, code) in [
        ("{".to_owned(), Code::AttachmentError),
        (good.replace("\"2.0\"", "2"), Code::AttachmentError),
        (good.replace("{\"version\"", "{\"x\":1,\"version\""), Code::AttachmentError),
        (good.replace("\"effect\":\"allow\"", "\"effect\":\"allow\",\"resource\":\"*\""), Code::AttachmentError),
        (good.replace("\"effect\":\"allow\"", "\"effect\":\"allow\",\"effect\":\"allow\""), Code::AttachmentError),
        (good.replace("\"allow\"", "\"Allow\""), Code::EffectError),
        (r#"{"version":"2.0","statement":[]}"#.to_owned(), Code::StatementError),
        (role("7"), Code::StatementError),
        (format!("{good}{}", " ".repeat(FILE_BYTES_MAX)), Code::AttachmentError),
        (good.replace("\"name/sts:AssumeRole\"", "[]"), Code::ActionMiss),
    ] {
        assert_eq!(codes(&text), [code], "{text:.120}");
    }
}
