//! Sending spans to the collector: one POST for a batch, over the TLS that everything else here uses.
//!
//! SECURITY: no redirect and no proxy: spans go where the configuration says. What the collector answers is not read.

use super::encode;
use super::on::StartError;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Certificate, Client};
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Handle;

/// Longest time for one batch.
const SEND_MAX: Duration = Duration::from_secs(4);

/// The collector.
#[derive(Debug)]
pub(super) struct Otlp {
    client: Client,
    url: String,
    runtime: Handle,
}

impl Otlp {
    /// Connects to nothing yet.
    pub(super) fn new(url: &str, authorities: Option<&Path>, runtime: Handle) -> Result<Self, StartError> {
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .timeout(SEND_MAX)
            .tls_version_min(reqwest::tls::Version::TLS_1_2)
            .user_agent(concat!("keyward/", env!("CARGO_PKG_VERSION")));
        if let Some(file) = authorities {
            let pem = std::fs::read(file).map_err(|error| StartError::Authorities(error.to_string()))?;
            let certificates =
                Certificate::from_pem_bundle(&pem).map_err(|error| StartError::Authorities(error.to_string()))?;
            builder = builder.tls_certs_only(certificates);
        }
        let client = builder.build().map_err(|error| StartError::System(error.to_string()))?;
        Ok(Self { client, url: url.to_owned(), runtime })
    }
}

impl SpanExporter for Otlp {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let request = self.client.post(&self.url).header(CONTENT_TYPE, "application/x-protobuf");
        let request = request.body(encode::request(&batch));
        // The thread that asks has no runtime, and a client needs one as soon as it is told to send.
        let sent = self.runtime.spawn(async move { request.send().await });
        async move {
            let outcome = match sent.await {
                Ok(Ok(answer)) if answer.status().is_success() => "ok",
                Ok(Ok(_)) => "refused",
                Ok(Err(_)) | Err(_) => "unreachable",
            };
            metrics::counter!("keyward_trace_exports_total", "outcome" => outcome).increment(1);
            if outcome == "ok" { Ok(()) } else { Err(OTelSdkError::InternalFailure(outcome.to_owned())) }
        }
    }
}
