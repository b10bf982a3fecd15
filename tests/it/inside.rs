//! A gateway inside the test's own process, with a clock that the test turns: what takes days or depends on a step of the
//! clock. It is opened on a real installation, with the real store and log.

use crate::installation::Installation;
use keyward::access::{self, Body, Call, Dialect, Gateway, Presented};
use keyward::clock::SystemRandom;
use keyward::config::Config;
use keyward_audit::{Clock, Environment};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const SECOND: u64 = 1_000_000;

/// Clocks that stand still until they are turned.
#[derive(Debug)]
pub(crate) struct TurnedClock {
    wall_us: AtomicU64,
    monotonic_us: AtomicU64,
}

impl TurnedClock {
    /// Lets time pass.
    pub(crate) fn pass(&self, seconds: u64) {
        self.monotonic_us.fetch_add(seconds * SECOND, Ordering::SeqCst);
        self.step(i64::try_from(seconds).unwrap());
    }

    /// Moves the wall clock alone.
    pub(crate) fn step(&self, seconds: i64) {
        let (by, second) = (seconds.unsigned_abs() * SECOND, &self.wall_us);
        if seconds < 0 {
            second.fetch_sub(by, Ordering::SeqCst)
        } else {
            second.fetch_add(by, Ordering::SeqCst)
        };
    }

    pub(crate) fn now_s(&self) -> u64 {
        self.wall_us() / SECOND
    }
}

impl Clock for TurnedClock {
    fn wall_us(&self) -> u64 {
        self.wall_us.load(Ordering::SeqCst)
    }

    fn monotonic_us(&self) -> u64 {
        self.monotonic_us.load(Ordering::SeqCst)
    }
}

/// A gateway without a door.
pub(crate) struct Inside {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) clock: Arc<TurnedClock>,
    pub(crate) installation: Installation,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Told {
    /// The error's code, or `ok`.
    pub(crate) code: String,
    pub(crate) body: Value,
    pub(crate) index: Option<u64>,
}

impl Told {
    /// The answer, which must be good.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, "ok", "{}", self.body);
        self
    }
}

impl Inside {
    /// Opens an installation.
    pub(crate) async fn open(installation: Installation) -> Self {
        let start_us = crate::token::now_s() * SECOND;
        let clock = Arc::new(TurnedClock { wall_us: start_us.into(), monotonic_us: AtomicU64::new(1) });
        Self::open_at(installation, clock).await
    }

    async fn open_at(installation: Installation, clock: Arc<TurnedClock>) -> Self {
        let config = Config::load(&installation.path("keyward.toml")).unwrap();
        let environment = Environment { clock: clock.clone(), random: Arc::new(SystemRandom) };
        let gateway = Gateway::open(&config, environment).await.unwrap();
        Self { gateway, clock, installation }
    }

    /// Calls an action as `user/dev/<sub>`, with a token of this very second. A machine that is busy with other tests may
    /// need more than the 250 ms that a record gets: then the log says whether it was done; if it was not, or reads, it is
    /// asked again.
    pub(crate) async fn call(&self, sub: &str, action: &str, parameters: Value) -> Told {
        loop {
            let since = self.gateway.log().as_of();
            let (request, told) = self.call_once(sub, action, &parameters).await;
            if told.code != "AuditUnavailable" {
                return told;
            }
            // Whatever was queued is written before what is queued now.
            while self.call_once("admin", "GetCheckpoint", &json!({})).await.1.code == "AuditUnavailable" {}
            let found = (since..self.gateway.log().as_of()).find(|index| self.record(*index)["request"] == request);
            let is_read = ["Get", "Describe", "List"].iter().any(|start| action.starts_with(start));
            if let Some(index) = found.filter(|_| !is_read) {
                let code = self.record(index)["reason"].as_str().unwrap_or("ok").to_owned();
                return Told { code, body: Value::Null, index: Some(index) };
            }
        }
    }

    /// The same, asked once.
    pub(crate) async fn call_once(&self, sub: &str, action: &str, parameters: &Value) -> (String, Told) {
        let issuer = self.installation.dev_issuer();
        let mut claims = issuer.claims(sub);
        let now_s = self.clock.now_s();
        claims["iat"] = json!(now_s);
        claims["exp"] = json!(now_s + 60);
        let presented = Presented::Bearer(issuer.sign(&claims).into());
        let call = Call {
            request: self.gateway.request_id().unwrap(),
            door: "native",
            operation: Some(action.to_owned()),
            known: self.gateway.known(&presented).await,
            presented,
            body: Some(parameters.to_string().into_bytes().into()),
            fault: None,
            certificate: None,
            peer: None,
            user_agent: None,
            secure_transport: false,
            wants_checkpoint: false,
            dialect: Dialect::Native,
            trace: None,
        };
        let request = call.request.clone();
        let answer = access::answer(Arc::clone(&self.gateway), call).await;
        let code = answer.error().map_or("ok", |error| error.code.as_str()).to_owned();
        let index = answer.locator().map(|locator| locator.index);
        let body = match answer.into_reply(&request, Dialect::Native, |error| error).body {
            Body::Json(bytes) => serde_json::from_slice(&bytes).unwrap(),
            Body::Stream(_) => Value::Null,
        };
        (request, Told { code, body, index })
    }

    /// The same as the administrator.
    pub(crate) async fn admin(&self, action: &str, parameters: Value) -> Told {
        self.call("admin", action, parameters).await
    }

    /// The record at an index.
    pub(crate) fn record(&self, index: u64) -> Value {
        serde_json::from_slice(&self.gateway.log().record(index).unwrap().unwrap()).unwrap()
    }

    /// The record of an answer.
    pub(crate) fn record_of(&self, told: &Told) -> Value {
        self.record(told.index.expect("a locator"))
    }

    /// All records, oldest first.
    pub(crate) fn records(&self) -> Vec<Value> {
        (0..self.gateway.log().as_of()).map(|index| self.record(index)).collect()
    }

    /// Closes the log and opens it again, as a restart does; the clocks go on.
    pub(crate) async fn restart(self) -> Self {
        let Self { gateway, clock, installation } = self;
        gateway.stop().await;
        drop(gateway);
        Self::open_at(installation, clock).await
    }

    /// Closes the log.
    pub(crate) async fn close(self) -> Installation {
        self.gateway.stop().await;
        self.installation
    }

    /// Closes the log, verifies it in place and decides every access again.
    pub(crate) async fn finish(self) {
        self.close().await.verify();
    }
}
