//! A gateway with secrets and eight callers who may read them.

use crate::client::{Asking, Client, request};
use crate::figures::Tally;
use crate::gateway::{Builder, TestGateway};
use crate::installation::Policies;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

const CALLERS: usize = 8;
/// How long the longest run may take, in seconds.
const TOKENS_LIVE_S: u64 = 80_000;
/// Bytes of a value.
const VALUE_BYTES: usize = 256;

/// A gateway whose callers may read what lies below `load/`.
pub(crate) struct Scene {
    pub(crate) gateway: TestGateway,
    callers: Vec<String>,
}

/// What the callers may do.
pub(crate) fn policies() -> Policies {
    let members: Vec<String> = (0..CALLERS).map(|number| format!("user/dev/svc-{number}")).collect();
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    Policies::default()
        .allow("load-read", &["ssm:GetSecretValue"], "qcs::ssm:::secret/creatorUin/*/load/*")
        .group("readers", &members)
        .attach("load-read", &["group/local/readers"])
}

/// The name of a secret.
pub(crate) fn name(number: usize) -> String {
    format!("load/team-{:02}/secret-{number:07}", number % 50)
}

/// Some value.
pub(crate) fn value() -> String {
    format!("{:0width$x}", rand::random::<u128>(), width = VALUE_BYTES)
}

impl Scene {
    pub(crate) fn start(builder: Builder) -> Self {
        let gateway = builder.policies(policies()).start();
        let caller = |number| gateway.token(&format!("svc-{number}"), &[], &[], TOKENS_LIVE_S);
        let callers = (0..CALLERS).map(caller).collect();
        Self { gateway, callers }
    }

    /// The same stopped and started again; how many seconds each took.
    pub(crate) fn restarted(self) -> (Self, [f64; 2]) {
        let begin = Instant::now();
        let installation = self.gateway.stop();
        let stopped = begin.elapsed();
        let gateway = TestGateway::of(installation);
        let took = [stopped, begin.elapsed() - stopped];
        (Self { gateway, callers: self.callers }, took.map(|time| time.as_secs_f64()))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    /// GetSecretValue by one of the callers.
    pub(crate) fn read(&self, name: &str) -> Asking {
        let caller = &self.callers[rand::random_range(0..CALLERS)];
        Asking::new("GetSecretValue", caller, &json!({"SecretName": name}))
    }

    /// Reads of so many of the secrets.
    pub(crate) fn reads(&self, secrets: impl Iterator<Item = usize>) -> Vec<Asking> {
        secrets.map(|number| self.read(&name(number))).collect()
    }

    /// A read that policy denies.
    pub(crate) fn denied(&self) -> Asking {
        let body = json!({"SecretName": "other/secret"}).to_string();
        Asking::refused("a read without a grant", 403, request("GetSecretValue", &self.callers[0], &body))
    }

    /// A read of what is not there.
    pub(crate) fn missing(&self) -> Asking {
        let body = json!({"SecretName": "load/missing"}).to_string();
        Asking::refused("a read of no secret", 404, request("GetSecretValue", &self.callers[0], &body))
    }

    /// Creates so many secrets, each with so many versions, over so many connections.
    pub(crate) fn create(&self, secrets: usize, versions: usize, connections: usize) -> Tally {
        let admin = self.gateway.admin();
        self.send(connections, secrets, |number| {
            (1..=versions)
                .map(|version| {
                    let action = if version == 1 { "CreateSecret" } else { "PutSecretValue" };
                    let version = format!("v{version}");
                    let body = json!({"SecretName": name(number), "VersionId": version, "SecretString": value()});
                    Asking::new(action, admin, &body).or_done_before(409)
                })
                .collect()
        })
    }

    /// Sends what `make` makes of each number below `count`, those of one number one behind the other.
    pub(crate) fn send(&self, connections: usize, count: usize, make: impl Fn(usize) -> Vec<Asking> + Sync) -> Tally {
        let next = AtomicUsize::new(0);
        let work = || {
            let (mut client, mut tally) = (Client::new(self.address()), Tally::default());
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return tally;
                }
                for asking in make(number) {
                    client.insist(&asking, &mut tally);
                }
            }
        };
        let mut all = Tally::default();
        thread::scope(|scope| {
            let threads: Vec<_> = (0..connections).map(|_| scope.spawn(work)).collect();
            threads.into_iter().for_each(|thread| all.append(thread.join().expect("a connection")));
        });
        all
    }
}
