//! `keyward serve`

use super::{Context, Failure};
use crate::access::Gateway;
use crate::clock;
use crate::config::Config;
use crate::{authn, http, telemetry};
use anyhow::Context as _;

pub(super) fn run(context: &Context) -> Result<(), Failure> {
    let config = Config::load(&context.config)?;
    telemetry::start_logs();
    let metrics = telemetry::start_metrics()?;
    authn::self_test()?;
    actix_web::rt::System::new().block_on(async {
        let gateway = Gateway::open(&config, clock::system()).await?;
        let listen = config.server.listen;
        http::server::serve(gateway, &config, metrics).await.with_context(|| format!("cannot serve on {listen}"))?;
        Ok(())
    })
}
