//! Structured logs and metrics of the process. Fields are chosen where they are written: never a value, a token or a
//! request body; metric labels never hold the name of a secret or a caller.

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// Bounds of the commit-time histogram, in seconds.
const COMMIT_SECONDS: [f64; 11] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25];

/// What a filter can let through, the least first.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A part of `KEYWARD_LOG` that filters nothing that anybody meant.
#[derive(Debug, thiserror::Error)]
#[error("KEYWARD_LOG: `{0}` is neither a level (off, error, warn, info, debug, trace) nor target=level")]
pub struct FilterError(String);

/// Starts structured logs on standard error, JSON one line each; `KEYWARD_LOG` filters (default `info`).
///
/// # Errors
/// [`FilterError`] if that is no filter: by a word that is misspelt nothing would be logged, not even what is wrong.
pub fn start_logs() -> Result<(), FilterError> {
    let filter = filter(&std::env::var_os("KEYWARD_LOG").unwrap_or_default().to_string_lossy())?;
    let logs = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr);
    // A process that already has a subscriber keeps it.
    let _already_started = logs.try_init();
    Ok(())
}

fn filter(text: &str) -> Result<EnvFilter, FilterError> {
    let text = if text.trim().is_empty() { "info" } else { text };
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    match parts.iter().find(|part| !is_directive(part)) {
        Some(wrong) => Err(FilterError((*wrong).to_owned())),
        None => EnvFilter::try_new(parts.join(",")).map_err(|_| FilterError(text.to_owned())),
    }
}

fn is_directive(part: &str) -> bool {
    let level = match part.rsplit_once('=') {
        Some(("", _)) => return false,
        Some((_, level)) => level,
        None => part,
    };
    LEVELS.iter().any(|known| level.eq_ignore_ascii_case(known))
}

/// Starts the metrics of this process.
///
/// # Errors
/// [`BuildError`] if the process has a recorder already.
pub fn start_metrics() -> Result<PrometheusHandle, BuildError> {
    let metrics = metrics_exporter_prometheus::Matcher::Suffix("_seconds".to_owned());
    PrometheusBuilder::new().set_buckets_for_metric(metrics, &COMMIT_SECONDS)?.install_recorder()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_levels_of_targets_and_nothing_is_the_default() {
        for (text, shown) in [("", "info"), (" ", "info"), ("warn", "warn"), ("WARN", "warn"), ("off", "off")] {
            assert_eq!(filter(text).unwrap().to_string(), shown, "`{text}`");
        }
        for right in ["info,keyward::http=debug", "info, keyward::http=debug", " warn , keyward=off "] {
            assert!(filter(right).is_ok(), "{right}");
        }
        for wrong in ["warning", "keyward", "keyward=", "=info", "info,", "keyward=loud"] {
            assert!(filter(wrong).is_err(), "{wrong}");
        }
    }
}
