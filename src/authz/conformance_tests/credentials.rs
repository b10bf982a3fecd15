//! Who, how: a credential, what a grant or a limit hangs on, and whether its allow counts. Denies and boundaries count
//! in every row but those marked `Never`.

use serde_json::json;

use super::{USUAL, allowed, caller, context, document, file, principal};
use crate::actions::by_name;
use crate::authz::{Caller, CredentialForm, PolicyFile, Question, Target};
use crate::resource::{CreatorNumber, SecretName};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Counts {
    Full,
    RestrictsOnly,
    Never,
}

const WHO: &[(&str, &str, Counts)] = &[
    ("token", "user/corp/a", Counts::Full),
    ("token", "group/corp/x", Counts::Full),
    ("token", "role/corp/p", Counts::Full),
    ("token", "issuer/corp", Counts::Full),
    ("token", "everyone", Counts::Full),
    ("token", "group/local/y", Counts::Full),
    ("token", "group/local/through-token-group", Counts::Full),
    ("token", "group/corp/other", Counts::Never),
    ("token", "issuer/dev", Counts::Never),
    ("access key", "group/corp/x", Counts::RestrictsOnly),
    ("access key", "role/corp/p", Counts::RestrictsOnly),
    ("access key", "user/corp/a", Counts::Full),
    ("access key", "group/local/y", Counts::Full),
    ("access key", "issuer/corp", Counts::Full),
    ("access key", "everyone", Counts::Full),
    ("access key", "group/local/through-token-group", Counts::RestrictsOnly),
    ("access key", "group/local/around-token-group", Counts::RestrictsOnly),
    ("session", "role/local/r", Counts::Full),
    ("session", "group/local/z", Counts::Full),
    ("session", "everyone", Counts::Full),
    ("session", "group/corp/x", Counts::RestrictsOnly),
    ("session", "issuer/corp", Counts::RestrictsOnly),
    ("session", "user/corp/a", Counts::Never),
    ("service", "service/ssm", Counts::Full),
    ("service", "everyone", Counts::Never),
];

fn who_folder(target: &str, how: &str) -> Vec<PolicyFile> {
    let groups = json!({
        "y": ["user/corp/a"], "z": ["role/local/r"],
        "through-token-group": ["group/corp/x"], "around-token-group": ["group/local/through-token-group"],
    });
    let hung = json!([{"policy": how, "to": [target]}]);
    let all = json!({"policy": "allow", "to": ["everyone", "service/ssm"]});
    let sections = match how {
        "allow" => json!({"version": 1, "groups": groups, "attachments": hung}),
        "deny" => json!({"version": 1, "groups": groups, "attachments": [hung[0], all]}),
        _ => json!({"version": 1, "groups": groups, "attachments": [all], "boundaries": hung}),
    };
    let one = |effect: &str, action: &str| document(json!([{"effect": effect, "action": action, "resource": "*"}]));
    vec![
        file("attachments.json", sections),
        file("documents/allow.json", one("allow", "*")),
        file("documents/deny.json", one("deny", "ssm:GetSecretValue")),
        file("documents/boundary.json", one("allow", "ssm:ListSecrets")),
        file(
            "roles/r.json",
            json!({"version": "2.0", "statement": [{"effect": "allow", "action": "name/sts:AssumeRole",
                   "principal": {"qcs": ["user/corp/a"]}}]}),
        ),
    ]
}

#[test]
fn grants_and_limits_count_by_credential_as_the_conformance_table_says() {
    let name = SecretName::parse("db").expect("a name");
    let context = context(USUAL);
    let (groups, roles) = (vec![principal("group/corp/x")], vec![principal("role/corp/p")]);
    let kept = [groups.clone(), roles.clone()].concat();
    let session = CredentialForm::Session { assumed_issuer: Some("corp") };
    for (credential, target, counts) in WHO {
        let (who, groups, roles, restricted, form) = match *credential {
            "token" => ("user/corp/a", &groups[..], &roles[..], &[][..], CredentialForm::Token),
            "access key" => ("user/corp/a", &[][..], &[][..], &kept[..], CredentialForm::AccessKey),
            "session" => ("role/local/r", &[][..], &[][..], &kept[..], session),
            _ => ("service/ssm", &[][..], &[][..], &[][..], CredentialForm::Token),
        };
        let who = principal(who);
        let question = Question {
            caller: Caller { groups, roles, restricted, form, ..caller(&who, 7) },
            action: by_name("GetSecretValue").expect("an action"),
            target: Target::Secret { creator: CreatorNumber::new(7), name: &name },
            context: &context,
            session_policy: None,
        };
        let row = format!("{credential}, {target}");
        assert_eq!(allowed(&who_folder(target, "allow"), &question), *counts == Counts::Full, "allow: {row}");
        assert_eq!(allowed(&who_folder(target, "deny"), &question), *counts == Counts::Never, "deny: {row}");
        assert_eq!(allowed(&who_folder(target, "boundary"), &question), *counts == Counts::Never, "boundary: {row}");
    }
}
