//! The closed lists of words that a record uses, and the one text with a cap.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

/// Which kind of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An authenticated call on any door.
    Access,
    /// A request without a good credential.
    Unauthenticated,
    /// Exact counts of what was not written singly.
    Summary,
    /// Start, stop and other events of keyward itself.
    System,
    /// A policy revision went live.
    PolicyChange,
    /// Chain, root and counts so far.
    Seal,
    /// The wall clock stepped.
    ClockStep,
    /// The log key changed.
    KeyRotation,
    /// An operator accepted missing records.
    Loss,
    /// How a pending effect ended, or that a value was not released after all.
    Outcome,
    /// A due deletion was carried out.
    Purge,
    /// A range was removed.
    Prune,
    /// A legal hold was set or released.
    Hold,
}

impl Kind {
    /// Every kind, in the order of the specification.
    pub const ALL: [Self; 13] = [
        Self::Access,
        Self::Unauthenticated,
        Self::Summary,
        Self::System,
        Self::PolicyChange,
        Self::Seal,
        Self::ClockStep,
        Self::KeyRotation,
        Self::Loss,
        Self::Outcome,
        Self::Purge,
        Self::Prune,
        Self::Hold,
    ];

    /// The word in the record.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Unauthenticated => "unauthenticated",
            Self::Summary => "summary",
            Self::System => "system",
            Self::PolicyChange => "policy_change",
            Self::Seal => "seal",
            Self::ClockStep => "clock_step",
            Self::KeyRotation => "key_rotation",
            Self::Loss => "loss",
            Self::Outcome => "outcome",
            Self::Purge => "purge",
            Self::Prune => "prune",
            Self::Hold => "hold",
        }
    }
}

/// The policy's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Allowed.
    Allow,
    /// Denied.
    Deny,
    /// It could not be decided; the request fails.
    Error,
}

impl Decision {
    /// The word in the record.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Error => "error",
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Value released, change made, list answered.
    Ok,
    /// Refused by policy or for want of a good credential.
    Denied,
    /// Not done, though policy did not refuse.
    Failed,
    /// An effect outside the store is about to happen; an outcome record follows.
    Pending,
    /// Nobody knows whether a pending effect happened.
    Unknown,
}

impl Outcome {
    /// The word in the record.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Pending => "pending",
            Self::Unknown => "unknown",
        }
    }
}

/// What a statement does, and what a layer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It allows.
    Allow,
    /// It denies.
    Deny,
}

/// The layers of a decision, in the order in which records list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerName {
    /// What is attached to the caller.
    Identity,
    /// What limits the caller.
    Boundary,
    /// The policy of a role session.
    Session,
    /// The trust policy of the role that is asked for.
    Trust,
}

/// What of a secret was unknown to the decision, because it does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    /// Its creator number.
    Creator,
    /// Its tags.
    Tags,
}

/// The caller's program as it named itself: at most [`UserAgent::BYTES_MAX`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserAgent(String);

impl UserAgent {
    /// Longest user agent kept, in bytes.
    pub const BYTES_MAX: usize = 128;

    /// As many whole characters of `text` as fit.
    #[must_use]
    pub fn shortened(text: &str) -> Self {
        let mut kept = String::with_capacity(text.len().min(Self::BYTES_MAX));
        for character in text.chars() {
            if kept.len().saturating_add(character.len_utf8()) > Self::BYTES_MAX {
                break;
            }
            kept.push(character);
        }
        Self(kept)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for UserAgent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for UserAgent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() > Self::BYTES_MAX {
            return Err(de::Error::custom("`user_agent` is longer than 128 bytes"));
        }
        Ok(Self(text))
    }
}

/// Writes a request id, which must be a UUID of 36 lower-case characters.
pub(super) fn write_request<S: Serializer>(request: &str, serializer: S) -> Result<S::Ok, S::Error> {
    if is_request_id(request) {
        serializer.serialize_str(request)
    } else {
        Err(ser::Error::custom("`request` is not a UUID of 36 lower-case characters"))
    }
}

fn is_request_id(text: &str) -> bool {
    let fits = |(place, byte): (usize, u8)| match place {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'),
    };
    text.len() == 36 && text.bytes().enumerate().all(fits)
}
