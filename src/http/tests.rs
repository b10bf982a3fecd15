//! The native door in this process, where a test can do what no request can: have randomness panic, have the policy engine
//! panic, and be a client that is gone at a chosen moment.

mod haste;

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};

use actix_http::BoxedPayloadStream;
use actix_web::body::to_bytes;
use actix_web::test::TestRequest;
use actix_web::{FromRequest as _, HttpResponse, web};
use futures_util::stream::pending;
use keyward_audit::record::Value::Integer;
use keyward_audit::record::{Decision, Draft, Kind, Outcome, Record};
use keyward_audit::{Changes, Clock, Environment, Event, Lane, Random, RandomError, ReadSet};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::native;
use crate::access::policies::POLICY;
use crate::access::{Gateway, setup};
use crate::authn::{DevIssuer, TokenRequest};
use crate::authz::{PolicySet, read_folder};
use crate::cli::installed;
use crate::clock::{self, SystemRandom};
use crate::config::Config;

/// How long keys are.
const KEY_BYTES: usize = 32;

/// The system's random source, which panics at the n-th time from now that it is asked, if it was told so.
#[derive(Debug, Default)]
struct Trap {
    snaps: AtomicUsize,
    /// Keys that were drawn.
    keys: AtomicUsize,
}

impl Random for Trap {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        if self.snaps.load(Ordering::SeqCst) > 0 {
            assert!(self.snaps.fetch_sub(1, Ordering::SeqCst) > 1, "the trap snaps");
        }
        self.keys.fetch_add(usize::from(bytes.len() == KEY_BYTES), Ordering::SeqCst);
        SystemRandom.fill(bytes)
    }
}

thread_local! {
    /// At which time from now that this thread reads the clock it panics, if it does: others that read it meanwhile are not
    /// meant.
    static CLOCK_SNAPS: Cell<usize> = const { Cell::new(0) };
}

/// The system's clock, but for [`CLOCK_SNAPS`].
#[derive(Debug)]
struct TrapClock(Arc<dyn Clock>);

impl Clock for TrapClock {
    fn wall_us(&self) -> u64 {
        if CLOCK_SNAPS.get() > 0 {
            assert!(CLOCK_SNAPS.replace(CLOCK_SNAPS.get() - 1) > 1, "the trap snaps");
        }
        self.0.wall_us()
    }

    fn monotonic_us(&self) -> u64 {
        self.0.monotonic_us()
    }
}

/// A record that moves the generation of the live policies, which stay those that they are.
struct Moved(Draft);

impl Event for Moved {
    fn draft(&self) -> &Draft {
        &self.0
    }

    fn lane(&self) -> Lane {
        Lane::Reserve
    }
}

/// A gateway in this process.
struct Scene {
    gateway: Arc<Gateway>,
    config: Config,
    trap: Arc<Trap>,
    token: String,
    metrics: PrometheusHandle,
    _dir: TempDir,
}

/// What the door answered.
struct Reply {
    status: u16,
    body: Value,
    record: Option<Record>,
}

/// Runs a test against a gateway as `init --dev` leaves it, and stops it in order.
fn scene(test: impl AsyncFnOnce(&Scene)) {
    scene_with(|_| {}, test);
}

/// The same with some settings changed.
fn scene_with(change: impl FnOnce(&mut Config), test: impl AsyncFnOnce(&Scene)) {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("kw");
    installed(&home);
    let mut config = Config::load(&home.join("keyward.toml")).unwrap();
    change(&mut config);
    let token = token_of(&config, "admin");
    let trap = Arc::new(Trap::default());
    let random = Arc::clone(&trap) as Arc<dyn Random>;
    let environment = Environment { random, clock: Arc::new(TrapClock(clock::system().clock)) };
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        actix_web::rt::System::new().block_on(async {
            let gateway = Gateway::open(&config, environment).await.unwrap();
            let scene = Scene { gateway, config, trap, token, metrics, _dir: dir };
            test(&scene).await;
            scene.gateway.stop().await;
        });
    });
}

/// A token of `user/dev/<subject>`.
fn token_of(config: &Config, subject: &str) -> String {
    let key = std::fs::read_to_string(config.path("keys/dev-issuer.key".as_ref())).unwrap();
    let environment = clock::system();
    let request = TokenRequest {
        issuer: &config.issuers[0].issuer,
        audience: &config.issuers[0].audience,
        subject,
        groups: &[],
        roles: &[],
        issued_s: environment.clock.wall_us() / 1_000_000,
        ttl_s: 3600,
    };
    DevIssuer::from_private_pem(&key).unwrap().issue(&request, &*environment.random).unwrap()
}

/// The head of a request.
fn request(token: &str, action: &str) -> TestRequest {
    TestRequest::post()
        .uri(&format!("/v1/{action}"))
        .insert_header(("Authorization", format!("Bearer {token}")))
        .insert_header(("Content-Type", "application/json"))
}

impl Scene {
    async fn serve(&self, action: &str, body: &Value) -> HttpResponse {
        self.serve_to(&self.token, action, body.to_string()).await
    }

    async fn serve_to(&self, token: &str, action: &str, body: String) -> HttpResponse {
        let (http, mut payload) = request(token, action).set_payload(body).to_http_parts();
        let payload = web::Payload::from_request(&http, &mut payload).await.unwrap();
        native::serve(http, payload, web::Data::from(Arc::clone(&self.gateway))).await
    }

    /// Serves a request whose body never comes.
    async fn serve_without_end(&self, action: &str) -> HttpResponse {
        let (http, _) = request(&self.token, action).to_http_parts();
        let never: BoxedPayloadStream = Box::pin(pending());
        let payload = web::Payload::from_request(&http, &mut never.into()).await.unwrap();
        native::serve(http, payload, web::Data::from(Arc::clone(&self.gateway))).await
    }

    async fn call(&self, action: &str, body: &Value) -> Reply {
        self.reply(self.serve(action, body).await).await
    }

    async fn reply(&self, response: HttpResponse) -> Reply {
        let index = response.headers().get("keyward-audit-index").map(|index| index.to_str().unwrap().parse().unwrap());
        let record = index.map(|index| self.record(index));
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body()).await.unwrap();
        Reply { status, body: serde_json::from_slice(&bytes).unwrap(), record }
    }

    /// Asks for the versions of `demo/db` until `version` is one of them: each answer is a synced write later.
    async fn version_made(&self, version: &str) {
        for _ in 0..1_000 {
            let listed = self.call("ListSecretVersionIds", &json!({"SecretName": "demo/db"})).await;
            let versions = listed.body["Versions"].as_array().unwrap();
            if versions.iter().any(|listed| listed["VersionId"] == version) {
                return;
            }
        }
        panic!("`{version}` was never made");
    }

    fn record(&self, index: u64) -> Record {
        Record::parse(&self.gateway.log().record(index).unwrap().unwrap()).unwrap()
    }

    fn count(&self, metric: &str) -> u64 {
        let text = self.metrics.render();
        let line = text.lines().find_map(|line| line.strip_prefix(metric)?.trim().parse().ok());
        line.unwrap_or(0)
    }
}

impl Reply {
    fn code(&self) -> &str {
        self.body.pointer("/Error/Code").and_then(Value::as_str).unwrap_or("ok")
    }
}

fn secret(name: &str) -> Value {
    json!({"SecretName": name, "SecretString": "s3cret"})
}

#[test]
fn attack_f07_a_panic_in_a_handler_is_answered_500_and_recorded_and_the_worker_lives() {
    scene(async |scene| {
        // Ids of requests are drawn for many at a time; from now on it is the id of the secret: within the call.
        assert_eq!(scene.call("ListSecrets", &json!({})).await.status, 200);
        for (panics, name) in [(1, "demo/one"), (2, "demo/two")] {
            scene.trap.snaps.store(1, Ordering::SeqCst);
            let reply = scene.call("CreateSecret", &secret(name)).await;
            assert_eq!(scene.trap.snaps.load(Ordering::SeqCst), 0, "it did not panic");
            assert_eq!((reply.status, reply.code()), (500, "InternalError"));
            assert_eq!(reply.body["Error"]["Message"], "the request could not be served");
            let record = reply.record.unwrap();
            let draft = record.draft();
            assert_eq!((draft.decision, draft.outcome), (Some(Decision::Error), Some(Outcome::Failed)));
            assert_eq!((draft.action.as_str(), draft.reason.as_deref()), ("ssm:CreateSecret", Some("InternalError")));
            assert_eq!(reply.body["RequestId"], record.request());
            assert_eq!(scene.count("keyward_panics_total"), panics);
            let missing = scene.call("DescribeSecret", &json!({"SecretName": name})).await;
            assert_eq!((missing.status, missing.code()), (404, "ResourceNotFound"), "nothing was made");
            assert_eq!(scene.call("CreateSecret", &secret(name)).await.status, 200, "the next call is served");
        }
    });
}

#[test]
fn i13_what_is_sent_back_each_time_is_decided_again_five_times_and_then_given_up() {
    scene(async |scene| {
        let drawn = || scene.trap.keys.load(Ordering::SeqCst);
        let before = drawn();
        assert_eq!(scene.call("CreateSecret", &secret("demo/one")).await.status, 200);
        assert_eq!(drawn() - before, 1, "a decision on a creation draws one key");
        let mut draft = Draft::new(Kind::System, "keyward:System", "internal", scene.gateway.request_id().unwrap());
        draft.outcome = Some(Outcome::Ok);
        draft.principal = Some("service/policy".to_owned());
        let changes = Changes { bumps: vec![POLICY], ..Changes::default() };
        let moved = scene.gateway.log().commit(Moved(draft), changes, ReadSet::default()).await;
        assert!(moved.is_ok());
        let before = drawn();
        let reply = scene.call("CreateSecret", &secret("demo/two")).await;
        assert_eq!((reply.status, reply.code()), (503, "ServiceUnavailable"));
        assert_eq!(reply.record.unwrap().reason(), Some("contention"));
        assert_eq!(drawn() - before, 1 + 5);
    });
}

#[test]
fn attack_f07_a_panic_while_it_is_found_out_who_asks_is_answered_500_and_recorded() {
    scene(async |scene| {
        assert_eq!(scene.call("ListSecrets", &json!({})).await.status, 200);
        CLOCK_SNAPS.set(1);
        let reply = scene.call("CreateSecret", &secret("demo/db")).await;
        assert_eq!(CLOCK_SNAPS.get(), 0, "it did not panic");
        assert_eq!((reply.status, reply.code()), (500, "InternalError"));
        let record = reply.record.unwrap();
        let draft = record.draft();
        assert_eq!(
            (draft.action.as_str(), draft.principal.as_deref()),
            ("ssm:CreateSecret", None),
            "nobody was known yet"
        );
        assert_eq!(reply.body["RequestId"], record.request());
        assert_eq!(scene.count("keyward_panics_total"), 1);
        assert_eq!(scene.call("CreateSecret", &secret("demo/db")).await.status, 200, "the next call is served");
    });
}

#[test]
fn attack_f07_a_panic_in_one_item_of_a_call_is_answered_and_recorded_as_that_item_s() {
    scene(async |scene| {
        assert_eq!(scene.call("CreateSecret", &secret("demo/db")).await.status, 200);
        let items = json!({"Secrets": [{"SecretName": "demo/db"}, {"SecretName": "demo/db"}]});
        // The clock is read for the call as such first, which is then answered 500 as a whole.
        for reads in 1..100 {
            let before = scene.gateway.log().as_of();
            CLOCK_SNAPS.set(reads);
            let reply = scene.call("BatchGetSecretValue", &items).await;
            if reply.status != 200 {
                assert_eq!(reply.record.unwrap().draft().action, "ssm:GetSecretValue");
                continue;
            }
            assert_eq!(CLOCK_SNAPS.get(), 0, "it did not panic");
            let errors = reply.body["Errors"].as_array().unwrap();
            assert_eq!((errors.len(), &errors[0]["Code"]), (1, &json!("InternalError")));
            assert_eq!(reply.body["SecretValues"].as_array().unwrap().len(), 1, "the other one is served");
            let records: Vec<Record> = (before..scene.gateway.log().as_of()).map(|index| scene.record(index)).collect();
            let of_it = records.iter().filter(|record| {
                let draft = record.draft();
                draft.parameters.get("item") == errors[0]["Item"].as_u64().map(Integer).as_ref()
                    && (draft.outcome, draft.action.as_str()) == (Some(Outcome::Failed), "ssm:GetSecretValue")
            });
            assert_eq!(of_it.count(), 1, "{:?}", records.iter().map(Record::draft).collect::<Vec<_>>());
            return;
        }
        panic!("no item ever panicked");
    });
}

#[test]
fn attack_d07_a_panic_in_the_policy_engine_is_a_denial_with_an_alert_and_a_record_and_the_worker_lives() {
    scene(async |scene| {
        assert_eq!(scene.call("CreateSecret", &secret("demo/db")).await.status, 200);
        let folder = scene.config.path(&scene.config.policy.path);
        let loaded = || {
            let files = read_folder(&folder).unwrap();
            PolicySet::load(&files, &setup::policy_settings(&scene.config)).unwrap()
        };
        scene.gateway.policies().put_live(loaded().panicking());
        for (faults, action) in [(1, "GetSecretValue"), (2, "DisableSecret"), (3, "ListSecrets")] {
            let parameters = if action == "ListSecrets" { json!({}) } else { json!({"SecretName": "demo/db"}) };
            let reply = scene.call(action, &parameters).await;
            assert_eq!((reply.status, reply.code()), (403, "UnauthorizedOperation"), "{action}");
            assert!(!reply.body.to_string().contains("s3cret"));
            let record = reply.record.unwrap();
            let draft = record.draft();
            assert_eq!((draft.kind, draft.principal.as_deref()), (Kind::Access, Some("user/dev/admin")), "{action}");
            assert_eq!((draft.decision, draft.outcome), (Some(Decision::Error), Some(Outcome::Failed)), "{action}");
            assert_eq!(draft.reason.as_deref(), Some("policy_error"), "{action}");
            assert!(draft.value.is_none() && draft.policy.as_ref().unwrap().layers.is_empty(), "{action}");
            // ListSecrets is decided on another thread, which this recorder does not hear.
            assert_eq!(scene.count("keyward_policy_errors_total"), faults.min(2), "{action}");
        }
        scene.gateway.policies().put_live(loaded());
        let served = scene.call("GetSecretValue", &json!({"SecretName": "demo/db"})).await;
        assert_eq!((served.status, &served.body["SecretString"]), (200, &json!("s3cret")));
    });
}

/// Polls `future` so often, with a turn for everybody else in between, and drops it.
async fn leave_after(polls: usize, future: impl Future) {
    let mut future = pin!(future);
    for _ in 0..polls {
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[test]
fn attack_g04_a_client_that_leaves_at_any_await_cancels_nothing_and_its_record_is_whole() {
    scene(async |scene| {
        assert_eq!(scene.call("CreateSecret", &secret("demo/db")).await.status, 200);
        let before = scene.gateway.log().as_of();
        // Before it began; when it was handed on; while it is decided, written and waited for.
        let moments = [0, 1, 2, 3, 5, 8, 13];
        for polls in moments {
            let put = json!({"SecretName": "demo/db", "VersionId": format!("v{polls}"), "SecretString": "more"});
            leave_after(polls, scene.serve("PutSecretValue", &put)).await;
            if polls > 0 {
                scene.version_made(&format!("v{polls}")).await;
            }
        }
        let versions = scene.call("ListSecretVersionIds", &json!({"SecretName": "demo/db"})).await;
        let versions = versions.body["Versions"].as_array().unwrap();
        let made: Vec<&str> =
            versions.iter().rev().map(|version| version["VersionId"].as_str().unwrap()).skip(1).collect();
        let records: Vec<Record> = (before..scene.gateway.log().as_of()).map(|index| scene.record(index)).collect();
        let recorded: Vec<&str> = records
            .iter()
            .filter(|record| record.draft().action == "ssm:PutSecretValue")
            .inspect(|record| assert_eq!(record.draft().outcome, Some(Outcome::Ok)))
            .map(|record| record.draft().secret_version.as_deref().unwrap())
            .collect();
        assert_eq!(made, recorded, "each change has its record");
        // Only the one that was left before it began was never made.
        let expected: Vec<String> = moments[1..].iter().map(|polls| format!("v{polls}")).collect();
        assert_eq!(made, expected);
    });
}

#[test]
fn attack_g04_who_leaves_instead_of_sending_the_body_leaves_a_record_and_has_not_tried_a_token_unseen() {
    scene(async |scene| {
        assert_eq!(scene.call("ListSecrets", &json!({})).await.status, 200);
        let before = scene.gateway.log().as_of();
        leave_after(5, scene.serve_without_end("ListSecrets")).await;
        // Whatever is asked for from now on comes behind it.
        tokio::task::yield_now().await;
        let behind = scene.call("DescribeSecret", &json!({"SecretName": "demo/none"})).await.record.unwrap();
        let left: Vec<Record> = (before..scene.gateway.log().as_of()).map(|index| scene.record(index)).collect();
        let left: Vec<&Record> = left.iter().filter(|record| record.request() != behind.request()).collect();
        assert_eq!(left.len(), 1, "{left:?}");
        let draft = left[0].draft();
        assert_eq!((draft.principal.as_deref(), draft.action.as_str()), (Some("user/dev/admin"), "ssm:ListSecrets"));
        assert_eq!((draft.decision, draft.reason.as_deref()), (Some(Decision::Error), Some("InvalidRequest")));
    });
}
