//! A gateway under load while its disk or its system calls fail: what its clients are told meanwhile, and at the end
//! what they were told joined with the verified export of the same process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::gateway::{DEADLINE, TestGateway, wait_for};
use crate::join::{Joined, join};
use crate::journal;
use crate::load::{Load, Values, World};
use crate::trail::Trail;

/// What the gateway promises is 250 ms; on a machine that is busy with other tests an answer after this is a hang.
const HANG: Duration = Duration::from_secs(2);

/// A gateway, its clients, and where they write.
pub(crate) struct Scene {
    pub(crate) gateway: TestGateway,
    world: Arc<World>,
    load: Load,
    _journals: TempDir,
}

impl Scene {
    pub(crate) fn start(gateway: TestGateway, values: Values) -> Self {
        let journals = tempfile::tempdir().unwrap();
        let world = World::new(gateway.admin().to_owned(), journals.path().join("clients"), values);
        let load = Load::start(&world, gateway.address(), 9);
        Self { gateway, world, load, _journals: journals }
    }

    /// Waits until the structured log says so many times that a write failed.
    pub(crate) fn broken(&self, times: usize) {
        self.says("nothing is served until it is read back", times);
    }

    /// Waits until it says so many times that the store was reopened and read back.
    pub(crate) fn mended(&self, times: usize) {
        self.says("the store serves again", times);
    }

    fn says(&self, message: &str, times: usize) {
        wait_for(message, || (self.gateway.log().matches(message).count() >= times).then_some(()));
    }

    /// Waits for `count` answers with this status, one after the other or not; the longest that any took.
    pub(crate) fn answers(&self, status: u16, count: usize) -> Duration {
        let until = Instant::now() + DEADLINE;
        let (mut seen, mut slowest) = (0, Duration::ZERO);
        while seen < count {
            assert!(Instant::now() < until, "{seen} of {count} answers {status}: {}", self.gateway.log());
            let answered = self.load.next(DEADLINE).expect("the clients are answered no more");
            if answered.status == status {
                (seen, slowest) = (seen + 1, slowest.max(answered.took));
            }
        }
        slowest
    }

    /// Waits for the end of a gateway that something kills, starts it again, joins what the clients saw with the
    /// export, and has the log verified in place.
    pub(crate) fn killed(self) {
        let installation = self.gateway.ended();
        self.load.cut_off();
        let gateway = TestGateway::of(installation);
        joined(&gateway, &self.world, false);
        gateway.finish();
    }

    /// Ends the clients, joins what they saw with the export of the same process, and has the log verified in place.
    pub(crate) fn end(self) -> (Joined, Trail) {
        let slowest = self.load.stop().unwrap();
        println!("longest wait for any answer: {slowest:?}");
        assert!(slowest < HANG, "an answer took {slowest:?}");
        let (joined, trail) = joined(&self.gateway, &self.world, true);
        println!(
            "{} released, {} acknowledged, {} answered 503 of which {} are recorded",
            joined.released, joined.acknowledged, joined.unavailable, joined.recorded_unavailable
        );
        assert!(joined.unavailable > 0 && joined.released > 0 && joined.acknowledged > 0);
        self.gateway.finish();
        (joined, trail)
    }
}

/// What the clients wrote down, joined with the verified export of a running gateway.
fn joined(gateway: &TestGateway, world: &World, is_settled: bool) -> (Joined, Trail) {
    // A caller that gave up is found when its batch is answered, and told of in a batch behind that: maybe behind the first
    // request after it.
    for _ in 0..if is_settled { 3 } else { 0 } {
        gateway.insist(gateway.admin(), "GetCheckpoint", &json!({}));
    }
    let vkey = gateway.installation().read("keys/log.vkey");
    let export = gateway.insist(gateway.admin(), "ExportRecords", &json!({}));
    let trail = Trail::verified(&export.bytes, &vkey, &[]);
    let joined = join(&journal::read_all(&world.journals), &trail, is_settled);
    (joined, trail)
}
