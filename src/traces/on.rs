//! Traces in a program that was built with them.

use super::export::Otlp;
use super::{Outcome, Stage};
use crate::config::Config;
use opentelemetry::context::{Context, FutureExt as _};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{KeyValue, time};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use std::sync::OnceLock;
use std::time::SystemTime;
use tokio::runtime::Runtime;

static TRACER: OnceLock<SdkTracer> = OnceLock::new();
/// The header by which a caller's own trace goes on here (W3C Trace Context 3.2).
const TRACEPARENT: &str = "traceparent";

/// What sends the spans; dropped, it sends what is left, for at most 5 seconds. To be dropped outside of a runtime.
pub struct Running {
    sender: Option<(SdkTracerProvider, Runtime)>,
}

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The file of the collector's authorities.
    #[error("`telemetry.traces_ca_file`: {0}")]
    Authorities(String),
    /// No thread, no TLS.
    #[error("traces cannot be sent: {0}")]
    System(String),
}

/// Starts sending, if the configuration says where.
///
/// # Errors
/// [`StartError`]; whether the collector answers is no matter.
pub fn start(config: &Config) -> Result<Running, StartError> {
    let settings = &config.telemetry;
    if settings.traces_url.is_empty() {
        return Ok(Running { sender: None });
    }
    // Its own: spans are sent while the threads that serve are stopped.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("keyward-traces")
        .enable_all()
        .build()
        .map_err(|error| StartError::System(error.to_string()))?;
    let authorities = config.path(&settings.traces_ca_file);
    let authorities = (!settings.traces_ca_file.as_os_str().is_empty()).then_some(authorities.as_path());
    let exporter = Otlp::new(&settings.traces_url, authorities, runtime.handle().clone())?;
    let sampler = Sampler::TraceIdRatioBased(f64::from(settings.traces_per_thousand) / 1_000.0);
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_sampler(sampler).build();
    // A process that already has one keeps it.
    let _already_started = TRACER.set(provider.tracer("keyward"));
    Ok(Running { sender: Some((provider, runtime)) })
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some((provider, runtime)) = self.sender.take() {
            // What could not be sent is counted by the exporter.
            let _unsent = provider.shutdown();
            runtime.shutdown_background();
        }
    }
}

/// The arrival of a request.
pub struct Arrival(SystemTime);

impl Arrival {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self(time::now())
    }

    /// The trace of a request, once it is clear whether its caller is known; `parent` is the header `traceparent`.
    #[must_use]
    pub fn trace<'a>(self, is_known: bool, door: &'static str, parent: impl FnOnce() -> Option<&'a str>) -> Trace {
        let Some(tracer) = TRACER.get().filter(|_| is_known) else { return Trace(None) };
        let request = SpanBuilder::from_name("request")
            .with_kind(SpanKind::Server)
            .with_start_time(self.0)
            .with_attributes([KeyValue::new("keyward.door", door)]);
        let request = tracer.build_with_context(request, &parent_of(parent()));
        let context = Context::new().with_span(request);
        let authenticate = SpanBuilder::from_name(Stage::Authenticate.name()).with_start_time(self.0);
        drop(tracer.build_with_context(authenticate, &context));
        Trace(Some(context))
    }
}

/// The trace that a caller belongs to itself, if it says so in the form of the standard.
fn parent_of(header: Option<&str>) -> Context {
    struct Header<'a>(&'a str);
    impl Extractor for Header<'_> {
        fn get(&self, name: &str) -> Option<&str> {
            (name == TRACEPARENT).then_some(self.0)
        }

        fn keys(&self) -> Vec<&str> {
            vec![TRACEPARENT]
        }
    }
    let nothing = Context::new();
    header.map_or(nothing.clone(), |text| TraceContextPropagator::new().extract_with_context(&nothing, &Header(text)))
}

/// The trace of one request, if it has one.
pub struct Trace(Option<Context>);

impl Trace {
    /// Does work that belongs to the request.
    pub fn of<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        work.with_context(self.0.clone().unwrap_or_default())
    }

    /// Names the action that is asked for, as the catalogue names it.
    pub fn name(&self, action: impl FnOnce() -> String) {
        if let Some(context) = &self.0 {
            context.span().update_name(action());
        }
    }

    /// Says what the request came to, and ends its span.
    pub fn end<'a>(self, outcome: impl FnOnce() -> Outcome<'a>) {
        let Some(context) = self.0 else { return };
        let (span, outcome) = (context.span(), outcome());
        span.set_attribute(KeyValue::new("keyward.request", outcome.request.to_owned()));
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(outcome.status)));
        if let Some(code) = outcome.code {
            span.set_attribute(KeyValue::new("keyward.code", code));
        }
        if let Some(index) = outcome.index.and_then(|index| i64::try_from(index).ok()) {
            span.set_attribute(KeyValue::new("keyward.index", index));
        }
        if outcome.status >= 500 {
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

impl Stage {
    const fn name(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::Decide => "decide",
            Self::Commit => "commit",
            Self::Open => "open",
        }
    }

    /// Its span, if the request under way has a trace.
    fn begin(self) -> Option<Context> {
        let (tracer, request) = (TRACER.get()?, Context::current());
        let span = |request: &Context| tracer.build_with_context(SpanBuilder::from_name(self.name()), request);
        request.has_active_span().then(|| request.with_span(span(&request)))
    }
}

fn end(span: Option<Context>) {
    if let Some(context) = span {
        context.span().end();
    }
}

/// Does a stage of the request under way.
pub fn stage<T>(stage: Stage, work: impl FnOnce() -> T) -> T {
    let span = stage.begin();
    let done = work();
    end(span);
    done
}

/// Does a stage of the request under way. It begins when this is called.
pub fn during<F: Future>(stage: Stage, work: F) -> impl Future<Output = F::Output> + use<F> {
    let span = stage.begin();
    async move {
        let done = work.await;
        end(span);
        done
    }
}

/// Work of the request under way that goes on in another task.
pub fn along<F: Future>(work: F) -> impl Future<Output = F::Output> + use<F> {
    work.with_context(Context::current())
}
