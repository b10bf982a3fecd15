//! `[tencent]` of keyward.toml.

use serde::Deserialize;

/// As long as a timestamp is good.
const REPEAT_WINDOW_MS_MAX: u64 = 300_000;

section! {
    /// `[tencent]`
    Tencent {
        /// Whether the door of the vendor's wire is served on `/` of the listeners.
        enabled: bool = false,
        /// Whether values are also taken over GET, where they stand in the logs of proxies.
        values_over_get: bool = false,
        /// Whether a signature must also cover action, version, region and temporary token, which no stock SDK signs.
        require_signed_action: bool = false,
        /// Whether a client may leave the body unsigned.
        unsigned_payload: bool = false,
        /// Whether requests by the older signature HmacSHA256 are taken.
        hmac_sha256: bool = false,
        /// Whether requests by the older signature HmacSHA1 are taken.
        hmac_sha1: bool = false,
        /// Milliseconds in which one signature may be shown again, as a request of its own; 0: never.
        repeat_window_ms: u64 = 2_000,
        /// Signatures that are remembered; when there are so many, new ones are refused.
        signatures: usize = 2_000_000,
    }
}

impl Tencent {
    /// What is outside its rule, if anything.
    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if self.repeat_window_ms > REPEAT_WINDOW_MS_MAX {
            return Err(("tencent.repeat_window_ms", "must be at most 300000"));
        }
        if self.signatures == 0 {
            return Err(("tencent.signatures", "must be at least 1"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TEMPLATE;

    #[test]
    fn values_outside_their_rule_are_named() {
        let with =
            |repeat_window_ms, signatures| Tencent { repeat_window_ms, signatures, ..Tencent::default() }.check();
        assert_eq!(with(0, 1), Ok(()));
        assert_eq!(with(300_001, 1).map_err(|(setting, _)| setting), Err("tencent.repeat_window_ms"));
        assert_eq!(with(0, 0).map_err(|(setting, _)| setting), Err("tencent.signatures"));
    }

    #[test]
    fn the_template_holds_every_key_of_the_door() {
        for line in format!("{:#?}", Tencent::default()).lines() {
            if let Some((key, value)) = line.trim().split_once(": ") {
                let line = format!("\n{key} = {}\n", value.trim_end_matches(','));
                assert!(TEMPLATE.contains(&line), "{key} is missing in the template");
            }
        }
    }
}
