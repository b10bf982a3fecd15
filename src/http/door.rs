//! What is served on the gateway's listeners: the doors' routes over HTTP/1.1, by TCP, TLS or a Unix socket, and the metrics, each
//! connection within its limits.
//!
//! actix-web's own `HttpServer` would do but for two things: its connections cannot be made to rest ([`resting`]), nor to end when
//! they ask for nothing ([`while_served`]).

use super::resting::resting;
use super::serving::{Idle, answered, while_served};
use super::tls::{self, Certificates};
use super::{health, native, openapi, tencent, untaken};
use crate::access::Gateway;
use crate::config::Config;
use actix_http::body::BoxBody;
use actix_http::{HttpServiceBuilder, Protocol, Request, Response};
use actix_server::{GracefulShutdownSignal, Server};
use actix_service::{
    IntoServiceFactory as _, Service, ServiceFactory, ServiceFactoryExt as _, apply_fn_factory, fn_service, map_config,
};
use actix_web::dev::AppConfig;
use actix_web::rt::net::UnixStream;
use actix_web::{App, web};
use keyward_audit::Clock;
use metrics_exporter_prometheus::PrometheusHandle;
use std::fmt::Debug;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

/// How long its client may take to close it.
const CLOSING: Duration = Duration::from_secs(1);

/// Connections at a time to the listener of metrics.
const METRICS_CONNECTIONS: usize = 64;

/// Where the door is served.
pub(super) struct Listeners {
    pub(super) tcp: TcpListener,
    /// Plain HTTP for whoever may open its file.
    pub(super) socket: Option<UnixListener>,
    /// What `tcp` shows, if it is TLS.
    pub(super) tls: Option<Arc<Certificates>>,
}

/// The server of all listeners, which serves once it is awaited.
///
/// # Errors
/// If a listener is not to be used, or the certificates are not.
pub(super) fn open(
    gateway: Arc<Gateway>,
    config: &Config,
    metrics: Option<PrometheusHandle>,
    listeners: Listeners,
) -> std::io::Result<Server> {
    let workers = match config.server.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    };
    let server = Server::build()
        .workers(workers)
        .max_concurrent_connections(config.limits.connections / workers.max(1))
        .shutdown_timeout(config.server.stop_timeout_s)
        .disable_signals();
    let limits = Limits::new(&gateway, config, server.graceful_shutdown_signal());
    let (gateway, settings) = (web::Data::from(gateway), config.tencent.clone());
    let app = move || {
        let (metrics, settings) = (metrics.clone(), settings.clone());
        let routes = move |app: &mut web::ServiceConfig| {
            health::routes(app);
            app.service(openapi::route());
            if settings.enabled {
                app.service(tencent::route(settings));
            }
            if let Some(metrics) = metrics {
                app.service(health::metrics_route(metrics));
            }
        };
        let app = App::new().app_data(gateway.clone()).configure(routes).default_service(web::to(native::serve));
        let app = map_config(app.into_factory().map_err(|error| error.error_response()), |()| AppConfig::default());
        apply_fn_factory(app, |request: Request, service| answered(service.call(request)))
    };
    let (http, routes) = (limits.clone(), app.clone());
    let server = match listeners.tls {
        Some(certificates) => {
            let shown = certificates.server_config().map_err(std::io::Error::other)?;
            server.listen("tls", listeners.tcp, move || {
                rested(http.service().finish(routes()).rustls_0_23(shown.clone()), http.idle())
            })?
        }
        None => {
            server.listen("tcp", listeners.tcp, move || rested(http.service().finish(routes()).tcp(), http.idle()))?
        }
    };
    let server = match listeners.socket {
        Some(socket) => server.listen_uds("socket", socket, move || {
            let accepted = fn_service(|connection: UnixStream| async { Ok((connection, Protocol::Http1, None)) });
            rested(accepted.and_then(limits.service().finish(app())), limits.idle())
        })?,
        None => server,
    };
    Ok(server.run())
}

/// The server of `/metrics` alone, on a listener of its own.
///
/// # Errors
/// The listener is not to be used.
pub(super) fn open_metrics(
    gateway: &Gateway,
    config: &Config,
    metrics: PrometheusHandle,
    listener: TcpListener,
) -> std::io::Result<Server> {
    let server = Server::build().workers(1).max_concurrent_connections(METRICS_CONNECTIONS).disable_signals();
    let limits = Limits::new(gateway, config, server.graceful_shutdown_signal());
    let app = move || {
        let app = App::new().service(health::metrics_route(metrics.clone()));
        let app = map_config(app.into_factory().map_err(|error| error.error_response()), |()| AppConfig::default());
        apply_fn_factory(app, |request: Request, service| answered(service.call(request)))
    };
    tracing::info!(listen = %listener.local_addr()?, "serving metrics");
    let server =
        server.listen("metrics", listener, move || rested(limits.service().finish(app()).tcp(), limits.idle()))?;
    Ok(server.run())
}

/// What every connection is bounded by.
#[derive(Clone)]
struct Limits {
    clock: Arc<dyn Clock>,
    keep_alive: Duration,
    request_timeout: Duration,
    answer_timeout: Duration,
    stopping: GracefulShutdownSignal,
}

impl Limits {
    fn new(gateway: &Gateway, config: &Config, stopping: GracefulShutdownSignal) -> Self {
        let limits = &config.limits;
        Self {
            clock: gateway.clock(),
            keep_alive: Duration::from_secs(limits.idle_timeout_s),
            request_timeout: Duration::from_secs(limits.request_timeout_s),
            answer_timeout: Duration::from_secs(limits.answer_timeout_s),
            stopping,
        }
    }

    /// How long a connection may be without a request that is served: the pause between two, and the next one's head.
    fn idle(&self) -> Idle {
        Idle { most: self.keep_alive.saturating_add(self.request_timeout), clock: Arc::clone(&self.clock) }
    }

    /// HTTP/1.1 over connections of type `T`.
    fn service<T: 'static, S>(&self) -> HttpServiceBuilder<T, S>
    where
        S: ServiceFactory<Request, Config = (), Error: Into<Response<BoxBody>> + 'static, InitError: Debug>,
        <S::Service as Service<Request>>::Future: 'static,
    {
        let (stopping, answer_timeout) = (self.stopping.clone(), self.answer_timeout);
        HttpServiceBuilder::default()
            .keep_alive(self.keep_alive)
            .client_request_timeout(self.request_timeout)
            .client_disconnect_timeout(CLOSING)
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .on_connect_ext(move |connection: &T, extensions| {
                untaken::limit(connection, answer_timeout);
                tls::remember_client(connection, extensions);
            })
    }
}

/// `connections`, each of which rests when it comes to nothing, and ends when it asks for nothing.
fn rested<I: 'static, S: ServiceFactory<I, Config = (), Response = ()>>(
    connections: S,
    idle: Idle,
) -> impl ServiceFactory<I, Config = (), Response = (), Error = S::Error, InitError = S::InitError>
where
    S::Service: 'static,
{
    apply_fn_factory(connections, move |connection, service: &S::Service| {
        resting(while_served(service.call(connection), idle.clone()))
    })
}
