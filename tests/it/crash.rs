//! SIGKILL at random moments under load, again and again on one installation, and what the clients saw joined with
//! the verified export of what is left.

use std::collections::VecDeque;
use std::hint;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::gateway::{TestGateway, wait_for};
use crate::installation::Installation;
use crate::join::{Joined, join};
use crate::journal::{self, Call};
use crate::load::{CLIENTS, Client, Dice, Load, World};
use crate::trail::Trail;

/// Rounds between two looks at everything.
const LOOK_EVERY: u64 = 25;
/// A gateway is killed after at most so many answers.
const ANSWERS_MAX: u64 = 800;
/// ... and at most so long after the last of them.
const MOMENT_US_MAX: u64 = 5_000;

struct Crashes {
    world: Arc<World>,
    seed: u64,
    dice: Dice,
    /// Checkpoints that were handed out, remembered outside.
    checkpoints: Vec<String>,
    /// Records at the last look.
    seen: u64,
}

#[test]
fn i01_i02_killed_at_random_moments_nothing_is_released_unrecorded_and_nothing_acknowledged_is_lost() {
    let rounds = setting("KEYWARD_CRASH_ROUNDS").unwrap_or(3);
    let seed = setting("KEYWARD_CRASH_SEED").unwrap_or_else(rand::random);
    println!("{rounds} rounds, KEYWARD_CRASH_SEED={seed}");
    let mut installation = Installation::new();
    let journals = tempfile::tempdir().unwrap();
    let token = installation.dev_issuer().token_of("admin", &[], &[], 80_000);
    let world = World::new(token, journals.path().join("clients"));
    let mut crashes = Crashes { world, seed, dice: Dice::new(seed), checkpoints: Vec::new(), seen: 0 };
    for round in 1..=rounds {
        installation = crashes.round(installation);
        if round % LOOK_EVERY == 0 || round == rounds {
            installation = crashes.look(installation, round == rounds);
        }
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

impl Crashes {
    /// Starts, loads, kills.
    fn round(&mut self, installation: Installation) -> Installation {
        let gateway = TestGateway::of(installation);
        let load = Load::start(&self.world, gateway.address(), self.seed);
        load.wait_for(self.dice.below(ANSWERS_MAX));
        self.moment();
        let installation = gateway.kill();
        load.cut_off();
        installation
    }

    /// A few milliseconds at most, and not a whole number of anything.
    fn moment(&mut self) {
        let moment = Duration::from_micros(self.dice.below(MOMENT_US_MAX));
        let from = Instant::now();
        while from.elapsed() < moment {
            hint::spin_loop();
        }
    }

    /// Joins, reads everything back through the running gateway, joins again, and has the log verified in place.
    fn look(&mut self, installation: Installation, is_last: bool) -> Installation {
        let gateway = TestGateway::of(installation);
        let before = self.joined(&gateway);
        let from = if is_last { 0 } else { self.seen };
        self.read_back(&gateway, before, from);
        let after = self.joined(&gateway);
        println!(
            "{} released, {} acknowledged, {} failed, {} unanswered of which {} recorded, {} secrets, {} records",
            after.released,
            after.acknowledged,
            after.failed,
            after.unanswered,
            after.recorded_unanswered,
            after.secrets.len(),
            self.seen
        );
        let installation = gateway.stop();
        installation.verify();
        installation
    }

    fn joined(&mut self, gateway: &TestGateway) -> Joined {
        let vkey = gateway.installation().read("keys/log.vkey");
        let export = gateway.insist(gateway.admin(), "ExportRecords", &json!({}));
        let trail = Trail::verified(&export.bytes, &vkey, &self.checkpoints);
        let checkpoint = gateway.insist(gateway.admin(), "GetCheckpoint", &json!({}));
        self.checkpoints.push(checkpoint.text("Checkpoint").to_owned());
        self.seen = trail.records.len() as u64;
        join(&journal::read_all(&self.world.journals), &trail, false)
    }

    /// Every version of every secret that changed at or after index `from`, and what is current, must be served.
    fn read_back(&self, gateway: &TestGateway, joined: Joined, from: u64) {
        let secrets: VecDeque<_> = joined.secrets.into_iter().filter(|(_, secret)| secret.changed >= from).collect();
        let secrets = std::sync::Mutex::new(secrets);
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                let mut client = self.world.client(gateway.address(), self.seed);
                let secrets = &secrets;
                scope.spawn(move || {
                    let next = || secrets.lock().unwrap().pop_front();
                    while let Some((name, secret)) = next() {
                        if !secret.enabled {
                            served(&mut client, "EnableSecret", &name, None);
                        }
                        for version in secret.versions.keys() {
                            served(&mut client, "GetSecretValue", &name, Some(version));
                        }
                        let current = served(&mut client, "GetSecretValue", &name, None);
                        assert_eq!(current.as_ref(), Some(&secret.current), "{name}");
                    }
                });
            }
        });
    }
}

/// Must be answered 200; what was served is joined later. Answers the version served.
fn served(client: &mut Client, action: &str, secret: &str, version: Option<&String>) -> Option<String> {
    let call = Call {
        action: action.to_owned(),
        secret: secret.to_owned(),
        version: version.cloned(),
        value: None,
        stage: false,
    };
    let answered = || Some(client.exchange(&call).unwrap()).filter(|reply| reply.status != 503);
    let reply = wait_for(action, answered).ok();
    reply.body["VersionId"].as_str().map(str::to_owned)
}
