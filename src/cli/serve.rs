//! `keyward serve`
//!
//! SECURITY: before anything secret is read, the process gives up core dumps: no file, nothing handed to a collector, and no
//! other process of the same user may read its memory.

use super::{Context, Failure, core_dumps, space};
use crate::access::Gateway;
use crate::clock;
use crate::{authn, http, telemetry, traces};
use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How often it is looked whether the gateway is in use no more, and how many times.
const LOOK_EVERY: Duration = Duration::from_millis(1);
const LOOKS_MAX: u32 = 5_000;

pub(super) fn run(context: &Context) -> Result<(), Failure> {
    core_dumps::forbid().context("cannot switch core dumps off")?;
    let config = context.load_config()?;
    telemetry::start_logs()?;
    allow_open_files();
    let metrics = telemetry::start_metrics()?;
    authn::self_test()?;
    // Outlives the threads that serve: what is left is sent when it is dropped.
    let _traces = traces::start(&config)?;
    let (gateway, served) = actix_web::rt::System::new().block_on(async {
        let gateway =
            Gateway::open(&config, clock::system()).await.map_err(|error| space::named(error.into(), &config))?;
        let listen = config.server.listen;
        let served = http::server::serve(Arc::clone(&gateway), &config, metrics).await;
        if served.is_err() {
            // The log is open: it is closed in order, whatever could not be served on.
            gateway.stop().await;
        }
        anyhow::Ok((gateway, served.with_context(|| format!("cannot serve on {listen}"))))
    })?;
    close(gateway);
    Ok(served?)
}

/// Closes the store, which goes with the gateway, before the process exits: RocksDB aborts a process that exits while another
/// thread still closes one. Threads that served, or read a file for a client that has left, let go of theirs in a moment.
fn close(mut gateway: Arc<Gateway>) {
    for _ in 0..LOOKS_MAX {
        gateway = match Arc::try_unwrap(gateway) {
            Ok(last) => return drop(last),
            Err(shared) => shared,
        };
        thread::park_timeout(LOOK_EVERY);
    }
    tracing::warn!("the gateway is still in use by a thread of its own; the process ends all the same");
}

/// As many open files as this process may have at most: each connection is one, and so is each table of the store.
fn allow_open_files() {
    let most = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }) {
        tracing::warn!(%error, "the limit of open files stays as it was");
    }
}
