//! Structured logs and metrics of the process. Fields are chosen where they are written: never a value, a token or a
//! request body; metric labels never hold the name of a secret or a caller.

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// Bounds of the commit-time histogram, in seconds.
const COMMIT_SECONDS: [f64; 11] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25];

/// Starts structured logs on standard error, JSON one line each; `KEYWARD_LOG` filters (default `info`).
pub fn start_logs() {
    let filter = EnvFilter::try_from_env("KEYWARD_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr);
    // A process that already has a subscriber keeps it.
    let _already_started = logs.try_init();
}

/// Starts the metrics of this process.
///
/// # Errors
/// [`BuildError`] if the process has a recorder already.
pub fn start_metrics() -> Result<PrometheusHandle, BuildError> {
    let metrics = metrics_exporter_prometheus::Matcher::Suffix("_seconds".to_owned());
    PrometheusBuilder::new().set_buckets_for_metric(metrics, &COMMIT_SECONDS)?.install_recorder()
}
