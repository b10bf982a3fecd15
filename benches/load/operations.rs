//! What operators do while everything is served: policies and issuers are reloaded, values rotated, keys rotated and data
//! keys wrapped anew, backups taken. Each in a thread of its own, again and again.

use crate::client::{Asking, Client};
use crate::figures::Tally;
use crate::gateway::TestGateway;
use crate::installation::{Policies, put};
use crate::scene::{Scene, name, policies, value};
use crate::token::Issuer;
use serde_json::{Value, json};
use std::fs;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Pauses between two of a kind.
const RELOAD_PAUSE: Duration = Duration::from_secs(1);
const ROTATION_PAUSE: Duration = Duration::from_millis(40);
const KEY_PAUSE: Duration = Duration::from_secs(3);
const BACKUP_PAUSE: Duration = Duration::from_secs(10);
/// How often a pause is looked at whether it is over.
const STOP_LOOK: Duration = Duration::from_millis(50);
/// How often it is asked whether a re-wrapping is done.
const REWRAP_LOOK: Duration = Duration::from_millis(200);

/// One of an operator's doings.
type Act<'a> = dyn Fn(&mut Client) + Sync + 'a;

/// The operators.
pub(crate) struct Operations<'a> {
    scene: &'a Scene,
    secrets: usize,
    /// Which of them, all if none is named.
    only: &'a [String],
    /// keyward.toml with one issuer less and more.
    configurations: [String; 2],
    /// Numbers what is made anew, over all phases.
    made: AtomicUsize,
    tally: Mutex<Tally>,
}

impl<'a> Operations<'a> {
    pub(crate) fn new(scene: &'a Scene, secrets: usize, only: &'a [String]) -> Self {
        let installation = scene.gateway.installation();
        let before = installation.read("keyward.toml");
        installation.add_issuer(&Issuer::new("spare").introduction(""));
        let after = installation.read("keyward.toml");
        let (made, tally) = (AtomicUsize::new(0), Mutex::default());
        Self { scene, secrets, only, configurations: [before, after], made, tally }
    }

    /// All of it until `stop`; what is under way then is finished.
    pub(crate) fn run(&self, stop: &AtomicBool) {
        let kinds: [(&str, Duration, &Act<'_>); 4] = [
            ("reload", RELOAD_PAUSE, &|_| self.reload()),
            ("value", ROTATION_PAUSE, &|client| self.rotate_value(client)),
            ("key", KEY_PAUSE, &|client| self.rotate_key(client)),
            ("backup", BACKUP_PAUSE, &|_| self.back_up()),
        ];
        thread::scope(|scope| {
            for (kind, pause, act) in kinds.into_iter().filter(|(kind, ..)| self.is_on(kind)) {
                scope.spawn(move || self.again(stop, pause, kind, act));
            }
        });
    }

    fn is_on(&self, kind: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == kind)
    }

    /// Does one of them again and again until `stop`.
    fn again(&self, stop: &AtomicBool, pause: Duration, kind: &'static str, act: &Act<'_>) {
        let mut client = Client::new(self.scene.address());
        while !stop.load(Ordering::Relaxed) {
            act(&mut client);
            self.done(kind);
            let next = Instant::now() + pause;
            while Instant::now() < next && !stop.load(Ordering::Relaxed) {
                thread::sleep(STOP_LOOK.min(pause));
            }
        }
    }

    /// What came of it: each of them must have been done.
    pub(crate) fn settle(&self) {
        let tally = self.tally.lock().unwrap();
        tally.settle("operations");
        for kind in ["reload", "value", "key", "backup"].into_iter().filter(|kind| self.is_on(kind)) {
            assert!(tally.of(kind) > 0, "not one {kind}");
        }
    }

    fn gateway(&self) -> &TestGateway {
        &self.scene.gateway
    }

    fn done(&self, what: &'static str) {
        self.tally.lock().unwrap().expected(what);
    }

    /// One call of the administrator's; what it was answered.
    fn call(&self, client: &mut Client, action: &'static str, parameters: &Value) -> Value {
        let asking = Asking::new(action, self.gateway().admin(), parameters);
        self.ask(client, &asking)
    }

    fn ask(&self, client: &mut Client, asking: &Asking) -> Value {
        let mut tally = Tally::default();
        client.insist(asking, &mut tally);
        self.tally.lock().unwrap().append(tally);
        client.body()
    }

    /// Other policies and other issuers; waits until they are live.
    fn reload(&self) {
        let turn = self.made.fetch_add(1, Ordering::Relaxed);
        put(&self.gateway().installation().path("keyward.toml"), self.configurations[turn % 2].as_bytes());
        self.gateway().set_policies(&other_policies(turn));
    }

    /// A new value in the place of one, or a new version in the place of those before.
    fn rotate_value(&self, client: &mut Client) {
        let turn = self.made.fetch_add(1, Ordering::Relaxed);
        let secret = name(rand::random_range(0..self.secrets));
        let held = self.call(client, "ListSecretVersionIds", &json!({"SecretName": secret}));
        let held: Vec<&Value> =
            held["Versions"].as_array().expect("versions").iter().map(|one| &one["VersionId"]).collect();
        if turn.is_multiple_of(2) {
            let update = json!({"SecretName": secret, "VersionId": held[0], "SecretString": value()});
            self.call(client, "UpdateSecret", &update);
            return;
        }
        let put = json!({"SecretName": secret, "VersionId": format!("turn-{turn}"), "SecretString": value()});
        self.ask(client, &Asking::new("PutSecretValue", self.gateway().admin(), &put).or_done_before(409));
        for old in held {
            let old = json!({"SecretName": secret, "VersionId": old});
            let delete = Asking::new("DeleteSecretVersion", self.gateway().admin(), &old).or_done_before(404);
            self.ask(client, &delete);
        }
    }

    /// A new generation, all data keys wrapped by it, and the end of the one before.
    fn rotate_key(&self, client: &mut Client) {
        self.call(client, "RotateKey", &json!({}));
        let newest = loop {
            let told = self.call(client, "RewrapKeys", &json!({}));
            if told["Running"] == false {
                break told["Generation"].as_u64().expect("a generation");
            }
            thread::sleep(REWRAP_LOOK);
        };
        let retire = json!({"KeyId": "default", "Generation": newest - 1});
        let retire = Asking::new("RetireKeyGeneration", self.gateway().admin(), &retire).or_done_before(404);
        self.ask(client, &retire);
    }

    /// `keyward backup`, thrown away again.
    fn back_up(&self) {
        let scratch = tempfile::tempdir().unwrap();
        let place = scratch.path().join("backup");
        let mut command = self.gateway().installation().command(&["backup", place.to_str().unwrap()]);
        command.env("KEYWARD_ADDR", format!("http://{}", self.scene.address()));
        command.env("KEYWARD_TOKEN", self.gateway().admin());
        let taken = command.stdin(Stdio::null()).output().expect("keyward runs");
        let said = String::from_utf8_lossy(&taken.stderr);
        assert!(taken.status.success() && fs::exists(place.join("manifest")).unwrap(), "backup: {said}");
    }
}

/// The callers' policies and one more document, another one each time.
fn other_policies(turn: usize) -> Policies {
    let resource = format!("qcs::ssm:::secret/creatorUin/*/turn-{turn}/*");
    policies().allow("load-turn", &["ssm:PutSecretValue"], &resource).attach("load-turn", &["group/local/readers"])
}
