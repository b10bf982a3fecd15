//! `keyward policy shadow`: where the set in the shadow decided otherwise than the live one.

use super::replay::{self, Replayed};
use crate::cli::client::Client;
use crate::cli::instant::{When, when};
use crate::cli::{Context, Failure};
use crate::clock;
use anyhow::anyhow;
use clap::Args;
use serde_json::{Map, Value};
use std::path::PathBuf;

#[derive(Args)]
pub(in crate::cli) struct Shadow {
    /// From when on: a time, or how long ago; all of the trail if absent
    #[arg(long, value_name = "TIME", value_parser = when)]
    since: Option<When>,
    /// Of the set with this revision; of the one that is in the shadow now if absent
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// What is meant, one JSON object a line as `--output json` writes them: anything else exits 4
    #[arg(long, value_name = "FILE")]
    accept: Option<PathBuf>,
}

impl Shadow {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let accepted = self.accept.as_deref().map(replay::accepted).transpose()?;
        let mut parameters = Map::new();
        if let Some(since) = self.since {
            let now_s = clock::system().clock.wall_us() / 1_000_000;
            parameters.insert("StartTime".to_owned(), Value::from(since.at_s(now_s)));
        }
        if let Some(revision) = &self.revision {
            parameters.insert("Revision".to_owned(), Value::from(revision.as_str()));
        }
        let listed = Replayed::ask(&Client::new(context)?, "ListShadowDecisions", &Value::Object(parameters))?;
        let totals = listed.totals().ok_or_else(|| anyhow!("the gateway's answer broke off; nothing is known"))?;
        listed.show(context);
        context.output.say(&format!(
            "{} decided otherwise {} time(s) in {} records, in {} flip(s)",
            totals["Shadow"].as_str().unwrap_or(""),
            totals["Flipped"],
            totals["Records"],
            listed.flips().len(),
        ));
        accepted.map_or(Ok(()), |accepted| listed.all_accepted(&accepted))
    }
}
