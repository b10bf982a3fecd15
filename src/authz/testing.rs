//! What the tests of this module share: the published policy set and small builders.

use super::{IssuerRule, PolicyFile, Settings};
use crate::resource::Place;

/// A file of the policy folder.
pub(super) fn file(path: &str, text: &str) -> PolicyFile {
    PolicyFile {
        path: path.to_owned(),
        bytes: text.as_bytes().to_vec(),
    }
}

/// Account 1, region ap-guangzhou; issuer `corp` requires groups, `dev` does not; `cos` is foreign.
pub(super) fn settings() -> Settings {
    let issuer = |name: &str, groups_required| IssuerRule {
        name: name.to_owned(),
        groups_required,
    };
    Settings {
        place: Place {
            region: "ap-guangzhou".to_owned(),
            account: "1".to_owned(),
        },
        issuers: vec![issuer("dev", false), issuer("corp", true)],
        foreign_services: vec!["cos".to_owned()],
        document_characters_max: 6_144,
    }
}

/// The settings of the published policy revision.
pub(super) fn golden_settings() -> Settings {
    Settings {
        place: Place {
            region: "local".to_owned(),
            account: "100000000001".to_owned(),
        },
        foreign_services: Vec::new(),
        ..settings()
    }
}

/// The files of the published policy revision.
pub(super) fn golden_files() -> Vec<PolicyFile> {
    [
        (
            "attachments.json",
            r#"{"version":1,"groups":{"payments":["user/dev/svc-billing","group/corp/payments-team"]},"attachments":[{"policy":"payments-read","to":["group/local/payments","role/local/reader"]},{"policy":"payments-write","to":["group/corp/payments-ops"]}],"boundaries":[{"policy":"no-prod","to":["group/corp/contractors"]}]}"#,
        ),
        (
            "documents/no-prod.json",
            r#"{"version":"2.0","statement":[{"effect":"allow","action":"*","resource":"*"},{"effect":"deny","action":"ssm:*","resource":"*","condition":{"for_any_value:string_equal":{"qcs:resource_tag":"env&prod"}}}]}"#,
        ),
        (
            "documents/payments-read.json",
            r#"{"version":"2.0","statement":[{"effect":"allow","action":"ssm:DescribeSecret","resource":"qcs::ssm:::secret/creatorUin/*/prod/pay/*"},{"effect":"allow","action":"ssm:GetSecretValue","resource":"qcs::ssm:::secret/creatorUin/*/prod/pay/*","condition":{"ip_equal":{"qcs:ip":"10.0.0.0/8"}}}]}"#,
        ),
        (
            "documents/payments-write.json",
            r#"{"version":"2.0","statement":[{"effect":"allow","action":["ssm:CreateSecret","ssm:PutSecretValue"],"resource":"qcs::ssm:::secret/creatorUin/*/prod/pay/*"}]}"#,
        ),
        (
            "roles/reader.json",
            r#"{"version":"2.0","statement":[{"effect":"allow","action":"name/sts:AssumeRole","principal":{"qcs":["user/dev/svc-deploy"]}}]}"#,
        ),
    ]
    .into_iter()
    .map(|(path, text)| file(path, text))
    .collect()
}
