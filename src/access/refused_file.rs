//! Why what stands in a file is not live: kept for `/readyz`, shown in a gauge, and said once for each new cause.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A file, or a folder of them, and the cause for which it is refused, if it is.
pub(super) struct RefusedFile {
    cause: Mutex<Option<String>>,
    gauge: fn(f64),
}

impl RefusedFile {
    /// Of what is live; `gauge` sets the metric that says otherwise.
    pub(super) const fn new(gauge: fn(f64)) -> Self {
        Self { cause: Mutex::new(None), gauge }
    }

    /// What is read now is live.
    pub(super) fn clear(&self) {
        *self.locked() = None;
        (self.gauge)(0.0);
    }

    /// It is refused for `cause`; whether that is still to be said.
    pub(super) fn is_new(&self, cause: &str) -> bool {
        let before = self.locked().replace(cause.to_owned());
        (self.gauge)(1.0);
        before.as_deref() != Some(cause)
    }

    pub(super) fn cause(&self) -> Option<String> {
        self.locked().clone()
    }

    fn locked(&self) -> MutexGuard<'_, Option<String>> {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once_until_another_one_or_an_end() {
        let refused = RefusedFile::new(|_| ());
        assert!(refused.is_new("a") && !refused.is_new("a") && refused.is_new("b"));
        assert_eq!(refused.cause().as_deref(), Some("b"));
        refused.clear();
        assert!(refused.cause().is_none() && refused.is_new("b"));
    }
}
