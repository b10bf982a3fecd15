//! What helps, by the kind of an error: the same key may be gone, open to others, or another one.

use super::State;
use crate::access::setup::SetupError;
use crate::keys::RootKeyError;
use std::io::{Error, ErrorKind};

/// How bad it is, and what to do.
type Remedy = (State, String);

fn invalid(advice: impl Into<String>) -> Remedy {
    (State::Invalid, advice.into())
}

/// A file that may not be read here: by whoever runs this, or by the gateway as well.
fn unreadable(cause: &Error, otherwise: &str) -> Remedy {
    match cause.kind() {
        ErrorKind::PermissionDenied => {
            let advice = "run this as the gateway's user; if this is that user, chown the file to it, mode 600";
            (State::Unchecked, advice.to_owned())
        }
        _ => invalid(otherwise),
    }
}

/// Without a root key.
pub(super) fn of_root_key(error: &RootKeyError) -> Remedy {
    match error {
        RootKeyError::Absent(_) => invalid("restore the root key: without it no value can be read"),
        RootKeyError::Exposed { path, .. } => invalid(format!("chmod 600 {path}")),
        RootKeyError::Form { .. } => invalid("restore the file as it was made: without it no value can be read"),
        RootKeyError::Io { source, .. } => unreadable(source, "make the file readable to the gateway's user"),
        RootKeyError::Passphrase { .. } => invalid("correct where `[keys]` says that the passphrase comes from"),
        RootKeyError::WrongPassphrase { .. } => invalid("give the passphrase that this root key was made with"),
        RootKeyError::Neither { current, .. } => of_root_key(current),
        RootKeyError::Exists(_) | RootKeyError::Random => invalid("try again"),
    }
}

/// Without the log's signing key.
pub(super) fn of_signing_key(error: &SetupError) -> Remedy {
    let restore = "restore the key of this log's origin from where it is kept";
    match error {
        SetupError::Unreadable { cause, .. } => unreadable(cause, restore),
        SetupError::SigningKey { .. } | SetupError::Remote { .. } | SetupError::Algorithm { .. } => invalid(restore),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_key_is_to_be_restored_only_if_it_is_gone() {
        let path = || "keys/root.key".to_owned();
        let advice = |error: &RootKeyError| of_root_key(error).1;
        assert!(advice(&RootKeyError::Absent(path())).contains("restore"));
        assert_eq!(advice(&RootKeyError::Exposed { path: path(), mode: 0o644 }), "chmod 600 keys/root.key");
        let denied = RootKeyError::Io { path: path(), source: ErrorKind::PermissionDenied.into() };
        assert_eq!(of_root_key(&denied).0, State::Unchecked);
        assert!(advice(&denied).contains("chown"), "{}", advice(&denied));
        let neither = RootKeyError::Neither { current: Box::new(denied), next: Box::new(RootKeyError::Absent(path())) };
        assert!(advice(&neither).contains("chown"));
    }
}
