//! `keyward doctor`: looks at everything that a gateway needs and says for each finding what to do. It changes nothing and prints no
//! secret; it works while the gateway runs, and asks that one how it is.
//!
//! Exit codes: 0 nothing is wrong (warnings do not count), 4 something is, 1 something could not be looked at.

mod files;
mod inside;
mod process;
mod remedy;
mod validity;

use super::{Context, Failure};
use crate::config::{Config, ConfigError};
use anyhow::anyhow;
use serde_json::{Value, json};

/// How something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fine,
    Warning,
    Invalid,
    Unchecked,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Warning => "warning",
            Self::Invalid => "invalid",
            Self::Unchecked => "unchecked",
        }
    }
}

struct Finding {
    check: &'static str,
    state: State,
    what: String,
    advice: String,
}

/// What was found so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, check: &'static str, state: State, what: impl Into<String>, advice: impl Into<String>) {
        self.0.push(Finding { check, state, what: what.into(), advice: advice.into() });
    }

    fn fine(&mut self, check: &'static str, what: impl Into<String>) {
        self.add(check, State::Fine, what, "");
    }

    fn warn(&mut self, check: &'static str, what: impl Into<String>, advice: impl Into<String>) {
        self.add(check, State::Warning, what, advice);
    }

    fn invalid(&mut self, check: &'static str, what: impl Into<String>, advice: impl Into<String>) {
        self.add(check, State::Invalid, what, advice);
    }

    fn unchecked(&mut self, check: &'static str, what: impl Into<String>, advice: impl Into<String>) {
        self.add(check, State::Unchecked, what, advice);
    }

    /// Whether nothing of this check was found wrong.
    fn is_fine(&self, check: &str) -> bool {
        self.0.iter().all(|finding| finding.check != check || matches!(finding.state, State::Fine | State::Warning))
    }

    fn count(&self, state: State) -> usize {
        self.0.iter().filter(|finding| finding.state == state).count()
    }

    fn print(&self, context: &Context) -> Result<(), Failure> {
        let row = |finding: &Finding| {
            json!({
                "check": finding.check,
                "state": finding.state.name(),
                "what": finding.what,
                "advice": finding.advice,
            })
        };
        let rows: Vec<Value> = self.0.iter().map(row).collect();
        context.output.rows(&[("check", "/check"), ("state", "/state"), ("what", "/what"), ("do", "/advice")], &rows);
        match (self.count(State::Invalid), self.count(State::Unchecked)) {
            (0, 0) => Ok(()),
            (0, unchecked) => Err(Failure::Failed(anyhow!("{unchecked} thing(s) could not be looked at"))),
            (invalid, _) => Err(Failure::Invalid(format!("{invalid} thing(s) are wrong"))),
        }
    }
}

/// Looks at everything, or asks the running gateway alone.
pub(super) fn run(context: &Context, ready: bool) -> Result<(), Failure> {
    let mut found = Findings::default();
    match Config::load(&context.config) {
        Ok(config) if ready => process::readiness(context, &process::place(&context.server, &config), &mut found),
        Ok(config) => look(context, &config, &mut found),
        Err(error) if ready => {
            // A gateway that runs has read the file as it was.
            found.warn("configuration", error.to_string(), "correct it before the next start");
            process::readiness(context, &context.server.addr(), &mut found);
        }
        Err(error @ ConfigError::Unreadable { .. }) => found.unchecked(
            "configuration",
            error.to_string(),
            "name the file with --config or KEYWARD_CONFIG, and run this as the gateway's user",
        ),
        Err(error) => found.invalid(
            "configuration",
            error.to_string(),
            "correct keyward.toml; the gateway does not start with it",
        ),
    }
    found.print(context)
}

fn look(context: &Context, config: &Config, found: &mut Findings) {
    configuration(config, found);
    files::look(config, found);
    let running = process::running(config, found);
    process::limits(config, running, found);
    inside::disk(config, found);
    inside::keys(config, found);
    inside::issuers(config, found);
    inside::clock(config, found);
    inside::log(config, found);
    inside::policies(config, found);
    validity::look(config, found);
    if running.is_some() {
        process::readiness(context, &process::place(&context.server, config), found);
    }
}

/// What is allowed and unwise.
fn configuration(config: &Config, found: &mut Findings) {
    const CHECK: &str = "configuration";
    found.fine(CHECK, format!("`{}` reads, digest {}", config.file.display(), config.digest));
    let server = &config.server;
    if server.danger_plaintext && !server.listen.ip().is_loopback() && !server.tls.is_on() {
        found.warn(CHECK, "`danger_plaintext`: tokens and secrets travel in clear text", "set `[server.tls]`");
    }
    if config.issuers.is_empty() {
        found.warn(CHECK, "no `[[issuer]]`: nobody can show a token", "add an `[[issuer]]` table");
    }
    if config.issuers.iter().any(|issuer| issuer.issuer == crate::config::DEV_ISS) {
        found.warn(
            CHECK,
            "the dev issuer is configured",
            "for trying out only: who reads keys/dev-issuer.key can be anyone it names",
        );
    }
    if config.limits.requests_per_second == 0 || config.limits.denials_per_second == 0 {
        found.warn(
            CHECK,
            "rates per principal are switched off",
            "set `limits.requests_per_second` and `denials_per_second`",
        );
    }
    if config.path(&config.audit.high_water_mark).starts_with(config.path(&config.storage.path)) {
        found.invalid(
            CHECK,
            "the high-water mark lies inside the store",
            "move it out: whoever rolls the store back would roll it back, too",
        );
    }
}
