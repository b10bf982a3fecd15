//! A naive engine for tests.
