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

pub(super) fn run(context: &Context) -> Result<(), Failure> {
    core_dumps::forbid().context("cannot switch core dumps off")?;
    let config = context.load_config()?;
    telemetry::start_logs()?;
    allow_open_files();
    let metrics = telemetry::start_metrics()?;
    authn::self_test()?;
    // Outlives the threads that serve: what is left is sent when it is dropped.
    let _traces = traces::start(&config)?;
    actix_web::rt::System::new().block_on(async {
        let gateway =
            Gateway::open(&config, clock::system()).await.map_err(|error| space::named(error.into(), &config))?;
        let listen = config.server.listen;
        let served = http::server::serve(Arc::clone(&gateway), &config, metrics).await;
        if served.is_err() {
            // The log is open: it is closed in order, whatever could not be served on.
            gateway.stop().await;
        }
        Ok(served.with_context(|| format!("cannot serve on {listen}"))?)
    })
}

/// As many open files as this process may have at most: each connection is one, and so is each table of the store.
fn allow_open_files() {
    let most = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }) {
        tracing::warn!(%error, "the limit of open files stays as it was");
    }
}
