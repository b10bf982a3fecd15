//! What runs while the gateway serves: its doors, what is done every so often, and a stop that finishes what is under way.

use super::door::{self, Listeners};
use super::socket::UnixSocket;
use super::tls::Certificates;
use crate::access::{Gateway, policies};
use crate::config::Config;
use metrics_exporter_prometheus::PrometheusHandle;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How often the policy folder is looked at; a change must stand still for one look before it is read.
const FOLDER_LOOK: Duration = Duration::from_millis(400);
/// A folder that never stands still is read after so many looks all the same.
const LOOKS_MAX: u32 = 4;
/// How often what was only counted is summarised.
const SUMMARY_EVERY: Duration = Duration::from_secs(1);
/// How often deletions that are due are carried out.
const PURGE_EVERY: Duration = Duration::from_secs(10);
/// How often the files that hold deleted values are rewritten, and the store's own log is written to tables.
const COMPACT_EVERY: Duration = Duration::from_secs(60);

/// How often it is looked whether keys of issuers are to be fetched.
const KEYS_LOOK: Duration = Duration::from_secs(1);

/// How often it is looked whether data keys are to be wrapped anew.
const REWRAP_LOOK: Duration = Duration::from_secs(1);

/// How often it is looked whether certificates have changed.
const CERTIFICATES_LOOK: Duration = Duration::from_secs(1);

/// Serves until SIGINT or SIGTERM, then finishes what is under way and closes the log.
///
/// # Errors
/// If a listener cannot be opened, or its certificates cannot be used.
pub async fn serve(gateway: Arc<Gateway>, config: &Config, metrics: PrometheusHandle) -> std::io::Result<()> {
    let certificates = Certificates::load(config).map_err(std::io::Error::other)?;
    let listener = TcpListener::bind(config.server.listen)?;
    let own_metrics = match config.metrics_listen() {
        Ok(Some(address)) => {
            let server = door::open_metrics(&gateway, config, metrics.clone(), TcpListener::bind(address)?)?;
            let handle = server.handle();
            actix_web::rt::spawn(server);
            Some(handle)
        }
        _ => None,
    };
    // Whoever listens off loopback says where the metrics are shown; else they are not.
    let shown = (own_metrics.is_none() && config.server.listen.ip().is_loopback()).then_some(metrics);
    let (socket_file, socket) = UnixSocket::open(config)?.unzip();
    tracing::info!(listen = %listener.local_addr()?, tls = certificates.is_some(), "serving");
    let listeners = Listeners { tcp: listener, socket, tls: certificates.clone() };
    let server = door::open(Arc::clone(&gateway), config, shown, listeners)?;
    let handle = server.handle();
    let mut background = vec![
        actix_web::rt::spawn(summarise(Arc::clone(&gateway))),
        actix_web::rt::spawn(watch_policies(Arc::clone(&gateway))),
        actix_web::rt::spawn(watch_shadow(Arc::clone(&gateway))),
        actix_web::rt::spawn(purge(Arc::clone(&gateway))),
        actix_web::rt::spawn(compact(Arc::clone(&gateway))),
        actix_web::rt::spawn(rewrap(Arc::clone(&gateway))),
        actix_web::rt::spawn(watch_keys(Arc::clone(&gateway))),
    ];
    background.extend(certificates.map(|tls| actix_web::rt::spawn(watch_certificates(Arc::clone(&gateway), tls))));
    actix_web::rt::spawn(async move {
        wait_for_stop().await;
        handle.stop(true).await;
    });
    server.await?;
    for task in background {
        task.abort();
    }
    if let Some(server) = own_metrics {
        server.stop(false).await;
    }
    drop(socket_file);
    gateway.stop().await;
    Ok(())
}

/// Fetches the keys of issuers when they are due.
async fn watch_keys(gateway: Arc<Gateway>) {
    let mut every = tokio::time::interval(KEYS_LOOK);
    loop {
        every.tick().await;
        gateway.look_after_keys().await;
    }
}

/// Reads the certificates again whenever their files have changed.
async fn watch_certificates(gateway: Arc<Gateway>, certificates: Arc<Certificates>) {
    let mut every = tokio::time::interval(CERTIFICATES_LOOK);
    loop {
        every.tick().await;
        let files = Arc::clone(&certificates);
        let Ok(reloaded) = tokio::task::spawn_blocking(move || files.reload()).await else { continue };
        match reloaded {
            Ok(shown) => gateway.say_of_certificates(shown, None).await,
            Err(error) => gateway.say_of_certificates(None, Some(error.to_string())).await,
        }
    }
}

async fn summarise(gateway: Arc<Gateway>) {
    let mut every = tokio::time::interval(SUMMARY_EVERY);
    loop {
        every.tick().await;
        gateway.summarise().await;
    }
}

async fn purge(gateway: Arc<Gateway>) {
    let mut every = tokio::time::interval(PURGE_EVERY);
    loop {
        every.tick().await;
        gateway.purge().await;
    }
}

/// Goes on with what is to be wrapped anew, if anything is.
async fn rewrap(gateway: Arc<Gateway>) {
    let mut every = tokio::time::interval(REWRAP_LOOK);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        gateway.rewrap().await;
    }
}

async fn compact(gateway: Arc<Gateway>) {
    let mut every = tokio::time::interval(COMPACT_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        gateway.count_expiring().await;
        gateway.compact().await;
        gateway.tidy().await;
    }
}

/// What was seen of a folder, look by look. It is read when it changed and then stood still for one look.
struct Looks<T> {
    loaded: Option<T>,
    before: Option<T>,
    changed: u32,
}

impl<T: Clone + PartialEq> Looks<T> {
    /// What was read at start is read once more: the folder may have changed since, and an equal revision costs nothing.
    fn new() -> Self {
        Self { loaded: None, before: None, changed: 0 }
    }

    fn is_due(&mut self, now: &T) -> bool {
        let is_still = self.before.replace(now.clone()).as_ref() == Some(now);
        let is_loaded = self.loaded.as_ref() == Some(now);
        self.changed = if is_loaded { 0 } else { self.changed.saturating_add(1) };
        !is_loaded && (is_still || self.changed >= LOOKS_MAX)
    }

    /// What was refused is said by the set itself, and read again when the folder changes again.
    fn read(&mut self, now: T, result: &Result<(), policies::ReloadError>) {
        let is_unrecorded = matches!(result, Err(policies::ReloadError::Unrecorded));
        self.loaded = (!is_unrecorded).then_some(now);
    }
}

/// Reads the issuers of keyward.toml and the policy folder on SIGHUP at once; the folder also whenever it changed.
async fn watch_policies(gateway: Arc<Gateway>) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        return;
    };
    let mut every = tokio::time::interval(FOLDER_LOOK);
    let mut looks = Looks::new();
    loop {
        let asked = tokio::select! {
            _ = hangup.recv() => true,
            _ = every.tick() => false,
        };
        if asked {
            // What was refused is said there; the issuers before stand.
            let _refused = gateway.reload_issuers("signal").await;
        }
        // Off this thread: the folder may be on a share that hangs.
        let folder = gateway.policies().folder().to_owned();
        let Ok(now) = tokio::task::spawn_blocking(move || policies::fingerprint(&folder)).await else { continue };
        gateway.policies().catch_up_with(gateway.log()).await;
        if looks.is_due(&now) || asked {
            let trigger = if asked { "signal" } else { "file" };
            let result = gateway.reload_policies(trigger).await;
            looks.read(now, &result);
        }
    }
}

/// The same for the folder in the shadow, which keyward.toml may name anew. By itself: one that hangs holds nothing else up.
async fn watch_shadow(gateway: Arc<Gateway>) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        return;
    };
    let mut every = tokio::time::interval(FOLDER_LOOK);
    let mut looks = Looks::new();
    loop {
        let asked = tokio::select! {
            _ = hangup.recv() => true,
            _ = every.tick() => false,
        };
        if asked {
            gateway.reload_shadow_setting().await;
        }
        let Some(now) = gateway.look_at_shadow().await else { continue };
        if looks.is_due(&now) || asked {
            let trigger = if asked { "signal" } else { "file" };
            let result = gateway.reload_shadow(trigger).await;
            looks.read(now, &result);
        }
    }
}

async fn wait_for_stop() {
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}
