//! What to do next when a gateway did not do what was asked: a line for people behind the error.

use super::client::Refused;

/// What helps with a refusal, if anything is known to.
pub(super) fn on(refused: &Refused) -> Option<String> {
    if refused.status == 503 {
        return Some("nothing was done: try again; GET /readyz of the gateway says what is wrong".to_owned());
    }
    let text = match refused.code.as_str() {
        "AuthFailure.TokenFailure" | "AuthFailure.InvalidAuthorization" => {
            "the token may be expired, revoked, or of an issuer that keyward.toml does not name: get a fresh one \
             (`keyward token issue --sub NAME` for the dev issuer)"
        }
        "UnauthorizedOperation" => {
            "no attached policy allows it, or one denies it. Auditors find the record with `keyward audit query \
             --decision deny`, and the reason with `keyward policy explain INDEX`"
        }
        "ResourceNotFound" | "ResourceNotFound.SecretNotExist" if is_of_secrets(&refused.action) => {
            "`keyward secret list --search TEXT` shows what there is, `keyward secret versions NAME` its versions"
        }
        "ResourceInUse.SecretExists" => {
            "`keyward secret put NAME VERSION` adds a version, `keyward secret update NAME VERSION` replaces a value"
        }
        "ResourceInUse.VersionIdExists" => {
            "choose another version id, or replace that version's value with `keyward secret update NAME VERSION`"
        }
        "ResourceUnavailable.ResourceDisabled" => "`keyward secret enable NAME` makes it readable",
        "ResourceUnavailable.ResourcePendingDeleted" => {
            "`keyward secret restore NAME` takes the deletion back, then `keyward secret enable NAME`"
        }
        "FailedOperation.AccessKmsError" => {
            "the secret's key is disabled, or policy cuts the gateway off from its keys: is QcloudAccessForSSMRole attached \
             to role/local/SSM_QCSRole?"
        }
        "LimitExceeded" => {
            "delete what is not needed (`keyward secret delete-version`, `keyward secret delete`), or raise [limits] in \
             keyward.toml"
        }
        "RequestLimitExceeded" => "wait a second and try again; [limits] in keyward.toml sets the rates",
        // What is restored must wait for a deletion: nobody is told to begin one.
        "FailedOperation" if refused.action != "RestoreSecret" => return verb_to_call_first(&refused.message),
        _ => return None,
    };
    Some(text.to_owned())
}

fn is_of_secrets(action: &str) -> bool {
    action.contains("Secret") || action.contains("KeyPair") || action.ends_with("Resource")
}

/// The message names the call to make first; people make it by a verb.
fn verb_to_call_first(message: &str) -> Option<String> {
    let verbs = [
        ("DisableSecret", "disable NAME"),
        ("EnableSecret", "enable NAME"),
        ("RestoreSecret", "restore NAME"),
        ("SetCurrentVersion", "set-current NAME VERSION"),
        ("DeleteSecret", "delete NAME"),
    ];
    let (_, verb) = verbs.into_iter().find(|(call, _)| message.contains(&format!("call {call}")))?;
    Some(format!("`keyward secret {verb}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn refused(status: u16, code: &str, message: &str) -> Refused {
        Refused {
            action: "GetSecretValue".to_owned(),
            status,
            code: code.to_owned(),
            message: message.to_owned(),
            request: "?".to_owned(),
        }
    }

    #[test]
    fn advice_names_codes_that_there_are_and_verbs_that_help() {
        let advised = Code::ALL.iter().filter(|code| on(&refused(400, code.as_str(), "")).is_some()).count();
        assert_eq!(advised, 12, "a code was renamed");
        let first = on(&refused(409, "FailedOperation", "the secret is in state Enabled; call DisableSecret first"));
        assert_eq!(first.as_deref(), Some("`keyward secret disable NAME`"));
        assert!(on(&refused(503, "ServiceUnavailable", "")).unwrap().contains("try again"));
        assert_eq!(on(&refused(400, "InvalidParameterValue", "")), None);
    }
}
