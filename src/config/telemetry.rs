//! `[telemetry]`: where spans of requests are sent, and how many.

use reqwest::Url;
use serde::Deserialize;
use std::net::IpAddr;
use std::path::PathBuf;

section! {
    /// `[telemetry]`
    Telemetry {
        /// The collector's URL for traces (OTLP over HTTP); empty: nowhere.
        traces_url: String = String::new(),
        /// The only authorities of its certificate, PEM; empty: the system's.
        traces_ca_file: PathBuf = PathBuf::new(),
        /// Of a thousand requests, how many are traced.
        traces_per_thousand: u16 = 1_000,
    }
}

impl Telemetry {
    /// Checks the section: the setting, and the rule that it breaks.
    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if self.traces_per_thousand > 1_000 {
            return Err(("telemetry.traces_per_thousand", "must be 0 to 1000"));
        }
        if self.traces_url.is_empty() {
            return Ok(());
        }
        if cfg!(not(feature = "otel")) {
            return Err(("telemetry.traces_url", "is set, and this program was built without the feature `otel`"));
        }
        if is_private(&self.traces_url) {
            Ok(())
        } else {
            Err(("telemetry.traces_url", "must be an https URL, or an http URL with a loopback address"))
        }
    }
}

/// Whether nobody on the way reads what is sent to a URL.
fn is_private(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    !host.is_empty() && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(url: &str, per_thousand: u16) -> Result<(), (&'static str, &'static str)> {
        let telemetry =
            Telemetry { traces_url: url.to_owned(), traces_per_thousand: per_thousand, ..Default::default() };
        telemetry.check()
    }

    #[test]
    fn traces_are_refused_by_a_program_that_has_none_and_sent_in_clear_text_to_nobody() {
        assert_eq!(checked("", 0), Ok(()));
        assert_eq!(checked("", 1_001).unwrap_err().0, "telemetry.traces_per_thousand");
        for url in ["https://collector.example/v1/traces", "http://127.0.0.1:4318/v1/traces", "http://[::1]:4318/"] {
            assert_eq!(checked(url, 1).is_ok(), cfg!(feature = "otel"), "{url}");
        }
        for url in ["http://collector.example/", "http://10.0.0.1/", "http://localhost/", "file:///tmp/a", "collector"]
        {
            assert_eq!(checked(url, 1).unwrap_err().0, "telemetry.traces_url", "{url}");
        }
    }
}
