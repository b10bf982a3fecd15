//! How much a secret may hold: `[limits]` of the configuration.

/// Largest value, in bytes, that any configuration may allow.
pub const VALUE_BYTES_MAX: usize = 65_536;

/// Limits on secrets. What is stored already stays readable when a limit is lowered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest value in bytes; [`VALUE_BYTES_MAX`] at most.
    pub value_bytes_max: usize,
    /// Versions of one secret at a time.
    pub versions_max: usize,
    /// Secrets held, those waiting for deletion included.
    pub secrets_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { value_bytes_max: VALUE_BYTES_MAX, versions_max: 10, secrets_max: 100_000 }
    }
}
