//! The state of a secret and of a key: one set of names, in rows, replies and records.

use crate::encoding::Damaged;

/// Whether a secret may be read, or a key be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// A secret is readable; a key wraps and unwraps.
    Enabled,
    /// A secret is not readable, and everything else goes on; neither a new value nor a read may use a key.
    Disabled,
    /// As disabled, and gone from `delete_at_s` on; until then that can be taken back.
    PendingDelete {
        /// Epoch seconds, above 0.
        delete_at_s: u64,
    },
}

impl State {
    /// The status text of replies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enabled => "Enabled",
            Self::Disabled => "Disabled",
            Self::PendingDelete { .. } => "PendingDelete",
        }
    }

    /// DeleteTime or DeletionDate of replies: epoch seconds, 0 unless pending.
    #[must_use]
    pub const fn delete_at_s(self) -> u64 {
        match self {
            Self::PendingDelete { delete_at_s } => delete_at_s,
            Self::Enabled | Self::Disabled => 0,
        }
    }

    /// Whether its deletion was due at `now_s`, in epoch seconds.
    #[must_use]
    pub const fn is_due(self, now_s: u64) -> bool {
        matches!(self, Self::PendingDelete { delete_at_s } if delete_at_s <= now_s)
    }

    /// Its form in a row.
    pub(crate) const fn code(self) -> (u8, u64) {
        match self {
            Self::Enabled => (1, 0),
            Self::Disabled => (2, 0),
            Self::PendingDelete { delete_at_s } => (3, delete_at_s),
        }
    }

    /// The state of that form.
    pub(crate) const fn from_code(code: u8, delete_at_s: u64) -> Result<Self, Damaged> {
        match (code, delete_at_s) {
            (1, 0) => Ok(Self::Enabled),
            (2, 0) => Ok(Self::Disabled),
            (3, 1..) => Ok(Self::PendingDelete { delete_at_s }),
            _ => Err(Damaged("state")),
        }
    }
}
