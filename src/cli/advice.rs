//! What to do next when a gateway did not do what was asked: a line for people behind the error.

use super::client::Refused;
use crate::actions::{self, Effect, Level};

/// What helps with a refusal, if anything is known to.
pub(super) fn on(refused: &Refused) -> Option<String> {
    if refused.status == 503 {
        return Some(after_unavailability(refused));
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
        "ResourceNotFound" if is_of_keys(&refused.action) => {
            "`keyward key list` shows what keys there are, `keyward key describe KEY` the generations of one"
        }
        "ResourceNotFound" if refused.action.ends_with("AccessKey") => "`keyward accesskey list` shows what there is",
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
        "FailedOperation.AccessKmsError" => return Some(on_key_use(refused)),
        "LimitExceeded" => {
            "delete what is not needed (`keyward secret delete-version`, `keyward secret delete`), or raise [limits] in \
             keyward.toml"
        }
        "RequestLimitExceeded" => "wait a second and try again; [limits] in keyward.toml sets the rates",
        // What is restored must wait for a deletion: nobody is told to begin one.
        "FailedOperation" if refused.action != "RestoreSecret" => return verb_to_call_first(refused),
        _ => return None,
    };
    Some(text.to_owned())
}

/// Whatever could not be recorded in time may have been done, unless it is said that it was not, or changes nothing.
fn after_unavailability(refused: &Refused) -> String {
    let is_undone = refused.message.contains("nothing was done")
        || actions::by_name(&refused.action).is_some_and(|action| action.effect == Effect::Read);
    let then = if is_undone { "try again" } else { "look whether it was done before you try again" };
    format!("{then}; GET /readyz of the gateway says what is wrong")
}

/// Why a value's key was not used: the key's state, or policy. The key is known if the request named it.
fn on_key_use(refused: &Refused) -> String {
    let key = refused.key.as_deref();
    let id = key.unwrap_or("KEY");
    let which = if key.is_none() { "; `keyward secret describe NAME` names the secret's key" } else { "" };
    if refused.message.contains("unknown") {
        return format!(
            "there is no key `{id}`: `keyward key list` shows those that there are, `keyward key create {id}` makes it"
        );
    }
    if refused.message.contains("disabled") {
        return format!("`keyward key enable {id}` makes it usable{which}");
    }
    if refused.message.contains("waiting for deletion") {
        return format!("`keyward key cancel-deletion {id}` keeps it, then `keyward key enable {id}`{which}");
    }
    "policy cuts the gateway off from its keys: is QcloudAccessForSSMRole attached to role/local/SSM_QCSRole?"
        .to_owned()
}

fn is_of_keys(action: &str) -> bool {
    actions::by_name(action).is_some_and(|action| action.level == Level::Key)
        || matches!(action, "RewrapKeys" | "RetireKeyGeneration")
}

fn is_of_secrets(action: &str) -> bool {
    action.contains("Secret") || action.contains("KeyPair") || action.ends_with("Resource")
}

/// The message names the call to make first; people make it by a verb.
fn verb_to_call_first(refused: &Refused) -> Option<String> {
    let verbs = [
        ("DisableSecret", "secret disable NAME"),
        ("EnableSecret", "secret enable NAME"),
        ("RestoreSecret", "secret restore NAME"),
        ("SetCurrentVersion", "secret set-current NAME VERSION"),
        ("DeleteSecret", "secret delete NAME"),
        ("EnableKey", "key enable KEY"),
        ("DisableKey", "key disable KEY"),
        ("CancelKeyDeletion", "key cancel-deletion KEY"),
        ("RotateKey", "key rotate KEY"),
        ("RewrapKeys", "key rewrap KEY --wait"),
    ];
    let (_, verb) = verbs.into_iter().find(|(call, _)| refused.message.contains(&format!("call {call}")))?;
    Some(format!("`keyward {}`", verb.replace("KEY", refused.key.as_deref().unwrap_or("KEY"))))
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
            key: None,
        }
    }

    #[test]
    fn advice_names_codes_that_there_are_and_verbs_that_help() {
        let advised = Code::ALL.iter().filter(|code| on(&refused(400, code.as_str(), "")).is_some()).count();
        assert_eq!(advised, 12, "a code was renamed");
        let first = on(&refused(409, "FailedOperation", "the secret is in state Enabled; call DisableSecret first"));
        assert_eq!(first.as_deref(), Some("`keyward secret disable NAME`"));
        let disabled = "the key is in state Disabled; call EnableKey first";
        let of_key = Refused { key: Some("team".to_owned()), ..refused(409, "FailedOperation", disabled) };
        assert_eq!(on(&of_key).as_deref(), Some("`keyward key enable team`"));
        assert_eq!(on(&refused(400, "InvalidParameterValue", "")), None);
    }

    #[test]
    fn after_unavailability_a_change_is_to_be_looked_for_unless_it_is_said_that_nothing_was_done() {
        let advised = |action: &str, message: &str| {
            on(&Refused { action: action.to_owned(), ..refused(503, "AuditUnavailable", message) }).unwrap()
        };
        let doubtful = "nothing was released, and a change was either not made or may be found made";
        assert!(advised("DeleteSecret", doubtful).starts_with("look whether it was done before you try again; "));
        assert!(advised("DeleteSecret", "the disk is too full; nothing was done").starts_with("try again; "));
        assert!(advised("GetSecretValue", doubtful).starts_with("try again; "));
    }
}
