//! Clients that read and change secrets as fast as they are answered. Every stored value is unique, and so is every
//! pair of secret and version id that anybody ever tries to write: what a record is about can be told from those.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::journal::{Call, Journal, Received};
use crate::wire::{Connection, Reply};

/// Clients at a time.
pub(crate) const CLIENTS: usize = 16;
/// Secrets that the clients still touch; older ones rest until the end.
const LIVE_SECRETS: usize = 24;
/// As the configuration has it.
pub(crate) const VERSIONS_MAX: usize = 10;

/// SplitMix64: a run is repeated by its seed, as far as the scheduler allows.
#[derive(Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[usize::try_from(self.below(among.len() as u64)).unwrap()]
    }
}

/// How long the values are that clients make up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// Mostly short, at times so long that a row spans blocks of the write-ahead log.
    Mixed,
    /// All about as long as is allowed, to fill a disk sooner.
    Long,
}

struct Known {
    name: String,
    versions: Vec<String>,
}

/// What all clients of a test share.
pub(crate) struct World {
    pub(crate) token: String,
    pub(crate) journals: PathBuf,
    pub(crate) started: Instant,
    values: Values,
    known: Mutex<VecDeque<Known>>,
    clients: AtomicU64,
}

impl World {
    pub(crate) fn new(token: String, journals: PathBuf, values: Values) -> Arc<Self> {
        std::fs::create_dir(&journals).unwrap();
        Arc::new(Self {
            token,
            journals,
            started: Instant::now(),
            values,
            known: Mutex::new(VecDeque::new()),
            clients: AtomicU64::new(0),
        })
    }

    /// A client of its own number, which is in all names and values that it makes up.
    pub(crate) fn client(self: &Arc<Self>, address: SocketAddr, seed: u64) -> Client {
        let number = self.clients.fetch_add(1, Ordering::Relaxed);
        Client {
            world: Arc::clone(self),
            number,
            sent: 0,
            dice: Dice::new(seed ^ (number << 32)),
            connection: Connection::open(address),
            credential: format!("Bearer {}", self.token),
            journal: Journal::create(&self.journals.join(format!("{number:06}")), self.started),
            slowest: Duration::ZERO,
        }
    }

    fn learn(&self, call: &Call) {
        let mut known = self.known.lock().unwrap();
        let versions: Vec<String> = call.version.iter().cloned().collect();
        match call.action.as_str() {
            "CreateSecret" => {
                known.push_back(Known { name: call.secret.clone(), versions });
                if known.len() > LIVE_SECRETS {
                    known.pop_front();
                }
            }
            "PutSecretValue" => {
                if let Some(known) = known.iter_mut().find(|known| known.name == call.secret) {
                    known.versions.extend(versions);
                }
            }
            _ => {}
        }
    }
}

/// One client: a connection, a journal and a number.
pub(crate) struct Client {
    world: Arc<World>,
    number: u64,
    sent: u64,
    dice: Dice,
    connection: Connection,
    credential: String,
    journal: Journal,
    /// Its longest wait for an answer.
    pub(crate) slowest: Duration,
}

impl Client {
    /// Sends `call` and writes down both ways.
    pub(crate) fn exchange(&mut self, call: &Call) -> io::Result<Reply> {
        self.journal.sent(call);
        let before = Instant::now();
        let reply = self.send(call)?;
        self.slowest = self.slowest.max(before.elapsed());
        self.journal.received(Received {
            at_us: self.journal.now_us(),
            status: reply.status,
            code: reply.code().to_owned(),
            request: reply.request().to_owned(),
            locator: reply.index().zip(reply.leaf().map(str::to_owned)),
            version: reply.body["VersionId"].as_str().map(str::to_owned),
            value: reply.body["SecretString"].as_str().map(str::to_owned),
        });
        if reply.status == 200 {
            self.world.learn(call);
        }
        Ok(reply)
    }

    fn send(&mut self, call: &Call) -> io::Result<Reply> {
        let line = format!("POST /v1/{}", call.action);
        let headers = [("Authorization", self.credential.as_str()), ("Content-Type", "application/json")];
        let reply = self.connection.request(&line, &headers, parameters(call).to_string().as_bytes());
        reply.ok_or_else(|| io::ErrorKind::ConnectionAborted.into())
    }

    /// Sends one call of the client's own choice.
    pub(crate) fn act(&mut self) -> io::Result<Reply> {
        let call = self.choose();
        self.exchange(&call)
    }

    fn choose(&mut self) -> Call {
        self.sent += 1;
        let fresh = format!("c{}n{}", self.number, self.sent);
        let picked = {
            let known = self.world.known.lock().unwrap();
            let known: Vec<&Known> = known.iter().collect();
            (!known.is_empty()).then(|| {
                let secret = self.dice.pick(&known);
                (secret.name.clone(), self.dice.pick(&secret.versions).clone(), secret.versions.len())
            })
        };
        let Some((secret, version, versions)) = picked else { return self.create(fresh) };
        let call = |action: &str, version| Call {
            action: action.to_owned(),
            secret: secret.clone(),
            version,
            value: None,
            stage: false,
        };
        match self.dice.below(100) {
            0..12 => self.create(fresh),
            12..40 if versions < VERSIONS_MAX => {
                let (value, stage) = (self.value(&fresh), self.dice.below(4) == 0);
                Call { value: Some(value), stage, ..call("PutSecretValue", Some(fresh)) }
            }
            40..50 => call("SetCurrentVersion", Some(version)),
            50..53 => call("DisableSecret", None),
            53..62 => call("EnableSecret", None),
            62..80 => call("GetSecretValue", None),
            _ => call("GetSecretValue", Some(version)),
        }
    }

    fn create(&mut self, fresh: String) -> Call {
        Call {
            action: "CreateSecret".to_owned(),
            secret: format!("crash/{fresh}"),
            value: Some(self.value(&fresh)),
            version: Some(fresh),
            stage: false,
        }
    }

    fn value(&mut self, fresh: &str) -> String {
        let is_long = self.world.values == Values::Long || self.dice.below(16) == 0;
        let length = self.dice.below(if is_long { 60_000 } else { 300 });
        format!("{fresh}:{:016x}:{}", self.dice.next(), "x".repeat(usize::try_from(length).unwrap()))
    }
}

fn parameters(call: &Call) -> Value {
    let texts = [
        ("SecretName", Some(&call.secret)),
        ("VersionId", call.version.as_ref()),
        ("SecretString", call.value.as_ref()),
    ];
    let mut all: Map<String, Value> =
        texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.as_str().into()))).collect();
    if call.stage {
        all.insert("Stage".to_owned(), true.into());
    }
    Value::Object(all)
}

/// What a client says of each answer while it runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) took: Duration,
}

/// Clients at work.
pub(crate) struct Load {
    clients: Vec<JoinHandle<(Client, io::Result<()>)>>,
    answers: Receiver<Answered>,
    stop: Arc<AtomicBool>,
}

impl Load {
    pub(crate) fn start(world: &Arc<World>, address: SocketAddr, seed: u64) -> Self {
        let (tell, answers) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..CLIENTS).map(|_| {
            let client = world.client(address, seed);
            let (tell, stop) = (tell.clone(), Arc::clone(&stop));
            thread::spawn(move || work(client, &tell, &stop))
        });
        Self { clients: clients.collect(), answers, stop }
    }

    /// The next answer that any client got.
    pub(crate) fn next(&self, patience: Duration) -> Option<Answered> {
        self.answers.recv_timeout(patience).ok()
    }

    /// Waits for so many answers.
    pub(crate) fn wait_for(&self, answers: u64) {
        for _ in 0..answers {
            self.next(Duration::from_secs(20)).expect("the clients are answered no more");
        }
    }

    /// Lets each client finish what it sent; answers the longest wait of any of them.
    ///
    /// # Errors
    /// The first error of a connection.
    pub(crate) fn stop(self) -> io::Result<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let mut slowest = Duration::ZERO;
        for client in self.clients {
            let (client, ended) = client.join().unwrap();
            ended?;
            slowest = slowest.max(client.slowest);
        }
        Ok(slowest)
    }

    /// Waits for the clients of a gateway that was killed: each ends at its first error.
    pub(crate) fn cut_off(self) {
        for client in self.clients {
            let (_, ended) = client.join().unwrap();
            assert!(ended.is_err(), "a client of a killed gateway saw no end");
        }
    }
}

fn work(mut client: Client, tell: &Sender<Answered>, stop: &AtomicBool) -> (Client, io::Result<()>) {
    while !stop.load(Ordering::Relaxed) {
        let before = Instant::now();
        match client.act() {
            // The test may have heard enough.
            Ok(reply) => drop(tell.send(Answered { status: reply.status, took: before.elapsed() })),
            Err(error) => return (client, Err(error)),
        }
    }
    (client, Ok(()))
}
