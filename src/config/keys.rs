//! `[keys]`: where the root key comes from, and `[keys.next]`: where the one comes from that is to replace it.
//!
//! INVARIANT I12: which root key there is, and which will be, is set here; a request can only say when.

use serde::Deserialize;
use std::path::PathBuf;

section! {
    /// `[keys]` and `[keys.next]`
    Keys {
        /// `file` or `passphrase`.
        provider: String = "file".to_owned(),
        /// The root key's file; of provider `passphrase` the file with cost and salt.
        path: PathBuf = PathBuf::from("keys/root.key"),
        /// Provider `passphrase`: the passphrase's file.
        passphrase_file: PathBuf = PathBuf::new(),
        /// Or the variable of the environment that holds it.
        passphrase_env: String = String::new(),
        /// Or the systemd credential.
        passphrase_credential: String = String::new(),
        /// What is to replace it.
        next: Option<Box<Keys>> = None,
    }
}

/// A setting and the rule that it breaks.
type Wrong = (String, &'static str);

impl Keys {
    /// Checks the section.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        self.check_one("keys")?;
        let Some(next) = &self.next else { return Ok(()) };
        next.check_one("keys.next")?;
        if next.next.is_some() {
            return Err(("keys.next.next".to_owned(), "is one too many: there is one next root key at a time"));
        }
        if next.path == self.path {
            return Err(("keys.next.path".to_owned(), "must be another file than `keys.path`"));
        }
        Ok(())
    }

    fn check_one(&self, section: &str) -> Result<(), Wrong> {
        let wrong = |key: &str, rule| Err((format!("{section}.{key}"), rule));
        let sources = [
            !self.passphrase_file.as_os_str().is_empty(),
            !self.passphrase_env.is_empty(),
            !self.passphrase_credential.is_empty(),
        ];
        let sources = sources.iter().filter(|is_set| **is_set).count();
        match (self.provider.as_str(), sources) {
            ("file", 0) | ("passphrase", 1) => {}
            ("file" | "passphrase", _) => {
                let rule = "`passphrase` goes with exactly one of `passphrase_file`, `passphrase_env` and \
                            `passphrase_credential`, `file` with none";
                return wrong("provider", rule);
            }
            _ => return wrong("provider", "must be `file` or `passphrase`"),
        }
        if self.path.as_os_str().is_empty() {
            return wrong("path", "must name a file");
        }
        if self.passphrase_env.contains(['=', '\0']) {
            return wrong("passphrase_env", "must be the name of a variable");
        }
        if self.passphrase_credential.contains('/') || matches!(self.passphrase_credential.as_str(), "." | "..") {
            return wrong("passphrase_credential", "must be the name of a credential, without `/`");
        }
        Ok(())
    }
}
