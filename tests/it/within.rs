//! A gateway inside the test's own process, whose clock the test moves: for what takes minutes or hours outside.

use crate::installation::Installation;
use keyward::access::{self, Answer, Call, Dialect, Gateway, OpenError, Presented};
use keyward::clock;
use keyward::config::Config;
use keyward_audit::{Clock, Environment};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

/// The system's clocks, put forward alike.
#[derive(Debug)]
struct Forward {
    real: Environment,
    by_us: AtomicU64,
}

impl Clock for Forward {
    fn wall_us(&self) -> u64 {
        self.real.clock.wall_us() + self.by_us.load(Ordering::SeqCst)
    }

    fn monotonic_us(&self) -> u64 {
        self.real.clock.monotonic_us() + self.by_us.load(Ordering::SeqCst)
    }
}

/// A gateway within this process.
pub(crate) struct Within {
    pub(crate) gateway: Arc<Gateway>,
    clock: Arc<Forward>,
    runtime: Runtime,
    installation: Installation,
}

impl Within {
    /// Opens the gateway of an installation.
    pub(crate) fn open(installation: Installation) -> Result<Self, OpenError> {
        let real = clock::system();
        let random = Arc::clone(&real.random);
        let clock = Arc::new(Forward { real, by_us: AtomicU64::new(0) });
        let environment = Environment { clock: Arc::clone(&clock) as Arc<dyn Clock>, random };
        let runtime = Runtime::new().unwrap();
        let config = Config::load(&installation.path("keyward.toml")).unwrap();
        let gateway = runtime.block_on(Gateway::open(&config, environment))?;
        Ok(Self { gateway, clock, runtime, installation })
    }

    /// Puts both clocks forward and does what is done every second.
    pub(crate) fn forward(&self, seconds: u64) {
        self.clock.by_us.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
        self.tick();
    }

    /// What is done every second.
    pub(crate) fn tick(&self) {
        self.runtime.block_on(self.gateway.look_after_keys());
    }

    /// Now, as the gateway sees it.
    pub(crate) fn now_s(&self) -> u64 {
        self.clock.wall_us() / 1_000_000
    }

    /// Runs something on the gateway's runtime.
    pub(crate) fn run<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// `GetSecretValue` as the door calls it; the answer's code.
    pub(crate) fn read(&self, token: &str) -> &'static str {
        code(&self.run(read(Arc::clone(&self.gateway), token.to_owned())))
    }

    /// A call as the door makes it; what is a file is not on its way before the answer's body is taken.
    pub(crate) fn ask(&self, token: &str, operation: &'static str, parameters: &Value) -> Answer {
        self.run(ask(Arc::clone(&self.gateway), token.to_owned(), operation, parameters.to_string()))
    }

    /// Stops the gateway, verifies its log and reads its records.
    pub(crate) fn records(self) -> Vec<Value> {
        self.runtime.block_on(self.gateway.stop());
        drop(self.gateway);
        drop(self.runtime);
        self.installation.verify();
        let gateway = crate::gateway::TestGateway::of(self.installation);
        let mut records = gateway.records();
        // Without those of the gateway that was started to read them.
        let start = records.iter().rposition(|record| record["parameters"]["event"] == json!("start")).unwrap();
        records.truncate(start);
        records
    }
}

/// The code of an answer, `ok` if it is none of an error.
pub(crate) fn code(answer: &Answer) -> &'static str {
    answer.error().map_or("ok", |error| error.code.as_str())
}

/// `GetSecretValue` as the native door calls it.
pub(crate) async fn read(gateway: Arc<Gateway>, token: String) -> Answer {
    ask(gateway, token, "GetSecretValue", json!({"SecretName": "demo/db"}).to_string()).await
}

async fn ask(gateway: Arc<Gateway>, token: String, operation: &'static str, parameters: String) -> Answer {
    let presented = Presented::Bearer(Zeroizing::new(token));
    let known = gateway.known(&presented).await;
    let call = Call {
        request: gateway.request_id().unwrap(),
        door: "native",
        operation: Some(operation.to_owned()),
        presented,
        known,
        body: Some(Zeroizing::new(parameters.into_bytes())),
        fault: None,
        peer: Some("127.0.0.1".parse().unwrap()),
        user_agent: None,
        certificate: None,
        secure_transport: false,
        wants_checkpoint: false,
        dialect: Dialect::Native,
        trace: None,
    };
    access::answer(gateway, call).await
}
