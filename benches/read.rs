//! GetSecretValue of 1 KiB over loopback HTTP beside an actix handler that does no work, in one process, the same
//! bytes sent and as many answered, in alternating rounds: 64 keep-alive connections, EdDSA tokens of eight callers,
//! twenty statements on each of which three name the action, and a durable record of every read.
//!
//! The load generator is two threads of this process with 32 connections each, each with one request under way; it
//! shares the processors with whichever server is measured. Goal: at least half of the requests per second of the
//! handler that does nothing, never below 0.35. Trust the ratios, not the figures: the one by time where the machine
//! has nothing else to do and its disk syncs fast, the one by processor time everywhere.
//!
//! `cargo bench --bench read -- DIR` puts the installation into DIR, to measure another disk; with `--profile` it only
//! puts keyward under load, without the other server, for a profiler to look at; with `--doors` it measures the same read
//! through the door of Tencent Cloud's wire, signed by an access key (goal: at least 0.85 of the native door).

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench that cannot go on has failed, and its figures are its output"
)]

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{App, HttpResponse, HttpServer, web};
use hmac::{Hmac, KeyInit as _, Mac as _};
use keyward::access::Gateway;
use keyward::authn::{DevIssuer, TokenRequest};
use keyward::clock;
use keyward::config::Config;
use keyward::{http, telemetry};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const CONNECTIONS: usize = 64;
const GENERATORS: usize = 2;
const CALLERS: usize = 8;
const WORKERS: usize = 2;
const VALUE_BYTES: usize = 1024;
const NAME: &str = "prod/pay/db-password";
const WARM_UP: Duration = Duration::from_secs(1);
const ROUND: Duration = Duration::from_millis(1500);
const ROUNDS: usize = 9;
const PROFILED: Duration = Duration::from_secs(15);

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let place = wanted.map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let dir = tempfile::tempdir_in(place).expect("room for an installation");
    let home = dir.path().join("home");
    let config = install(&home);
    let gateway = config.server.listen;
    std::thread::Builder::new().name("gateway".to_owned()).spawn(move || serve(&config)).expect("a thread");
    wait_for(gateway);
    let tokens = tokens(&home);
    let reads: Vec<Vec<u8>> = tokens.iter().map(|token| request(gateway, "GetSecretValue", token, &read())).collect();
    create(gateway, &tokens[0]);
    let answer = exchange(gateway, &reads[0]);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    if std::env::args().any(|argument| argument == "--doors") {
        compare_doors(gateway, &tokens, &reads);
        std::process::exit(0);
    }
    if std::env::args().any(|argument| argument == "--profile") {
        let before = batches(gateway);
        let round = drive(gateway, &reads, PROFILED);
        println!("{:.1} records in a batch", round.answers as f64 / (batches(gateway) - before));
        Summary::of(&[round]).print("keyward");
        std::process::exit(0);
    }
    let nothing = start_nothing(&answer);
    assert_eq!(exchange(nothing, &reads[0]).len(), answer.len(), "both answer as many bytes");

    drive(nothing, &reads, WARM_UP);
    drive(gateway, &reads, WARM_UP);
    let (mut ratios, mut rounds) = (Vec::new(), [Vec::new(), Vec::new()]);
    println!("GetSecretValue of {VALUE_BYTES} bytes, {CONNECTIONS} connections, {WORKERS} workers");
    for _ in 0..ROUNDS {
        let (plain, full) = (drive(nothing, &reads, ROUND), drive(gateway, &reads, ROUND));
        println!(
            "  no work {:>9.0} req/s   keyward {:>9.0} req/s   {:.3}",
            plain.rate,
            full.rate,
            full.rate / plain.rate
        );
        ratios.push(full.rate / plain.rate);
        rounds[0].push(plain);
        rounds[1].push(full);
    }
    let [plain, full] = rounds.map(|rounds| Summary::of(&rounds));
    plain.print("no work");
    full.print("keyward");
    println!("keyward / no work: {:.2} by time (goal 0.5, at least 0.35)", median(&mut ratios));
    println!("keyward / no work: {:.2} by processor time of the whole process", plain.micros() / full.micros());
    // The servers live as long as the process; nothing of this installation is kept.
    drop(dir);
    std::process::exit(0);
}

/// An installation of `keyward init --dev`, on a free port, with the statements of this bench.
fn install(home: &Path) -> Config {
    let made = Command::new(env!("CARGO_BIN_EXE_keyward")).args(["init", "--dev", "--dir"]).arg(home).output();
    assert!(made.expect("keyward runs").status.success());
    write_policies(&home.join("policies"));
    let mut config = Config::load(&home.join("keyward.toml")).expect("a configuration");
    // What is measured is how fast it can be.
    config.limits.requests_per_second = 0;
    config.tencent.enabled = true;
    // The same signed bytes again and again, for as long as their timestamp is good.
    config.tencent.repeat_window_ms = 300_000;
    config.server.listen = free_port();
    config.server.workers = WORKERS;
    config
}

/// Twenty statements that reach every caller, by itself, a group of the folder and everyone; three name the action.
fn write_policies(folder: &Path) {
    let statement = |effect: &str, actions: &str, name: &str| {
        format!(r#"{{"effect":"{effect}","action":[{actions}],"resource":"qcs::ssm:::secret/creatorUin/*/{name}"}}"#)
    };
    let reads = [
        r#"{"effect":"deny","action":"ssm:Get*","resource":"*","condition":{"ip_not_equal":{"qcs:ip":["127.0.0.0/8","10.0.0.0/8"]}}}"#.to_owned(),
        statement("allow", r#""ssm:GetSecretValue","ssm:DescribeSecret""#, "dev/*"),
        r#"{"effect":"allow","action":"ssm:GetSecretValue","resource":"qcs::ssm:::secret/creatorUin/*/prod/pay/*","condition":{"string_equal":{"keyward:door":["native","tencent"]}}}"#.to_owned(),
        statement("allow", r#""ssm:ListSecretVersionIds""#, "prod/*"),
    ];
    let other =
        |n: usize| statement("allow", r#""ssm:PutSecretValue","ssm:SetCurrentVersion""#, &format!("team-{n}/*"));
    let write = |name: &str, statements: &[String]| {
        let text = format!(r#"{{"version":"2.0","statement":[{}]}}"#, statements.join(","));
        fs::write(folder.join(format!("documents/{name}.json")), text).expect("a document");
    };
    write("bench-read", &reads);
    write("bench-write", &(0..8).map(other).collect::<Vec<_>>());
    let create = statement("allow", r#""ssm:CreateSecret""#, "prod/*");
    let keys = r#"{"effect":"allow","action":"cam:CreateAccessKey","resource":"*"}"#.to_owned();
    write("bench-all", &(8..14).map(other).chain([create, keys]).collect::<Vec<_>>());
    let members: Vec<String> = (0..CALLERS).map(|n| format!("user/dev/svc-{n}")).collect();
    let attachments = serde_json::json!({
        "version": 1,
        "groups": {"readers": members},
        "attachments": [
            {"policy": "bench-read", "to": ["group/local/readers"]},
            {"policy": "bench-write", "to": members},
            {"policy": "bench-all", "to": ["everyone"]},
            {"policy": "QcloudAccessForSSMRole", "to": ["role/local/SSM_QCSRole"]},
        ],
        "boundaries": [],
    });
    fs::write(folder.join("attachments.json"), attachments.to_string()).expect("attachments");
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

/// What `keyward serve` runs.
fn serve(config: &Config) {
    telemetry::start_logs().expect("a filter of logs");
    let metrics = telemetry::start_metrics().expect("a recorder");
    let served = actix_web::rt::System::new().block_on(async {
        let gateway = Gateway::open(config, clock::system()).await.expect("a gateway");
        http::server::serve(gateway, config, metrics).await
    });
    panic!("the gateway stopped: {served:?}");
}

/// The same server around a handler that takes the body and answers what the gateway answered once.
fn start_nothing(answer: &str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let made_by_actix = ["content-length", "date"];
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let headers: Vec<(HeaderName, HeaderValue)> = fields
        .filter(|(name, _)| !made_by_actix.contains(name))
        .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
        .collect();
    let data = web::Data::new((headers, web::Bytes::from(body.to_owned())));
    let run = move || {
        let app = move || App::new().app_data(data.clone()).default_service(web::to(nothing));
        let server = HttpServer::new(app).workers(WORKERS).keep_alive(Duration::from_secs(75)).disable_signals();
        actix_web::rt::System::new().block_on(server.listen(listener).expect("a listener").run())
    };
    std::thread::Builder::new().name("nothing".to_owned()).spawn(run).expect("a thread");
    address
}

type Canned = (Vec<(HeaderName, HeaderValue)>, web::Bytes);

async fn nothing(_body: web::Bytes, canned: web::Data<Canned>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    for (name, value) in &canned.0 {
        response.insert_header((name, value.clone()));
    }
    response.body(canned.1.clone())
}

fn tokens(home: &Path) -> Vec<String> {
    let key = fs::read_to_string(home.join("keys/dev-issuer.key")).expect("a key");
    let issuer = DevIssuer::from_private_pem(&key).expect("a key");
    let config = Config::load(&home.join("keyward.toml")).expect("a configuration");
    let environment = clock::system();
    let groups = ["payments", "platform", "on-call"].map(str::to_owned);
    let token = |n: usize| {
        let request = TokenRequest {
            issuer: &config.issuers[0].issuer,
            audience: &config.issuers[0].audience,
            subject: &format!("svc-{n}"),
            groups: &groups,
            roles: &[],
            issued_s: environment.clock.wall_us() / 1_000_000,
            ttl_s: 3600,
        };
        issuer.issue(&request, &*environment.random).expect("a token")
    };
    (0..CALLERS).map(token).collect()
}

fn read() -> String {
    format!(r#"{{"SecretName":"{NAME}"}}"#)
}

fn create(gateway: SocketAddr, token: &str) {
    let value = "v".repeat(VALUE_BYTES);
    let body = format!(r#"{{"SecretName":"{NAME}","VersionId":"v1","SecretString":"{value}"}}"#);
    let answer = exchange(gateway, &request(gateway, "CreateSecret", token, &body));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

fn request(host: SocketAddr, action: &str, token: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /v1/{action} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nUser-Agent: bench/1\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The same read through both doors, in rounds that take turns.
fn compare_doors(gateway: SocketAddr, tokens: &[String], reads: &[Vec<u8>]) {
    let signed: Vec<Vec<u8>> = tokens.iter().flat_map(|token| signed_reads(gateway, token)).collect();
    let answer = exchange(gateway, &signed[0]);
    assert!(answer.contains("SecretString"), "{answer}");
    drive(gateway, reads, WARM_UP);
    drive(gateway, &signed, WARM_UP);
    let (mut ratios, mut rounds) = (Vec::new(), [Vec::new(), Vec::new()]);
    for _ in 0..ROUNDS {
        let (native, tencent) = (drive(gateway, reads, ROUND), drive(gateway, &signed, ROUND));
        let ratio = tencent.rate / native.rate;
        println!("  native {:>9.0} req/s   tencent {:>9.0} req/s   {ratio:.3}", native.rate, tencent.rate);
        ratios.push(ratio);
        rounds[0].push(native);
        rounds[1].push(tencent);
    }
    let [native, tencent] = rounds.map(|rounds| Summary::of(&rounds));
    native.print("native");
    tencent.print("tencent, signed");
    println!("tencent / native: {:.2} by time (goal at least 0.85)", median(&mut ratios));
    println!("tencent / native: {:.2} by processor time of the whole process", native.micros() / tencent.micros());
}

/// Reads signed by a new access key of whoever the token is of, each with another body, which says the same.
fn signed_reads(gateway: SocketAddr, token: &str) -> Vec<Vec<u8>> {
    let made = exchange(gateway, &request(gateway, "CreateAccessKey", token, "{}"));
    let body = made.split_once("\r\n\r\n").expect("an answer").1;
    let key: serde_json::Value = serde_json::from_str(body).expect("a key");
    let text = |field: &str| key["AccessKey"][field].as_str().expect("a text").to_owned();
    let (id, secret) = (text("AccessKeyId"), text("SecretAccessKey"));
    (0..8).map(|spaces| signed(gateway, &id, &secret, &format!("{}{}", read(), " ".repeat(spaces)))).collect()
}

/// TC3-HMAC-SHA256, as the vendor describes it.
fn signed(host: SocketAddr, id: &str, secret: &str, body: &str) -> Vec<u8> {
    let stamp = clock::system().clock.wall_us() / 1_000_000;
    let at = chrono::DateTime::from_timestamp(i64::try_from(stamp).expect("a time"), 0).expect("a time");
    let date = at.format("%Y-%m-%d").to_string();
    let payload = hex::encode(Sha256::digest(body));
    let canonical = format!("POST\n/\n\ncontent-type:application/json\nhost:{host}\n\ncontent-type;host\n{payload}");
    let scope = format!("{date}/ssm/tc3_request");
    let text = format!("TC3-HMAC-SHA256\n{stamp}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
    let day = mac(format!("TC3{secret}").as_bytes(), &date);
    let signature = hex::encode(mac(&mac(&mac(&day, "ssm"), "tc3_request"), &text));
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nX-TC-Action: GetSecretValue\r\n\
         X-TC-Version: 2019-09-23\r\nX-TC-Timestamp: {stamp}\r\nX-TC-RequestClient: bench/1\r\nAuthorization: TC3-HMAC-SHA256 \
         Credential={id}/{scope}, SignedHeaders=content-type;host, Signature={signature}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn wait_for(server: SocketAddr) {
    let until = Instant::now() + Duration::from_secs(30);
    while std::net::TcpStream::connect(server).is_err() {
        assert!(Instant::now() < until, "the gateway does not listen");
        std::thread::yield_now();
    }
}

fn exchange(server: SocketAddr, request: &[u8]) -> String {
    runtime().block_on(async {
        let mut connection = Connection::open(server).await;
        connection.send(request).await;
        let length = connection.receive().await;
        String::from_utf8(connection.buffer[..length].to_vec()).expect("text")
    })
}

/// Batches that the log has written, as the gateway counts them.
fn batches(gateway: SocketAddr) -> f64 {
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {gateway}\r\n\r\n");
    let metrics = runtime().block_on(async {
        let mut connection = Connection::open(gateway).await;
        connection.buffer.resize(1 << 20, 0);
        connection.send(request.as_bytes()).await;
        let length = connection.receive().await;
        String::from_utf8(connection.buffer[..length].to_vec()).expect("text")
    });
    let count = metrics.lines().find_map(|line| line.strip_prefix("keyward_audit_commit_seconds_count "));
    count.expect("the metric").trim().parse().expect("a number")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime")
}

/// A keep-alive connection with at most one request under way.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).await.expect("a connection");
        stream.set_nodelay(true).expect("an option");
        Self { stream, buffer: vec![0; 8 * 1024] }
    }

    async fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.expect("a request is taken");
    }

    /// Reads one answer whole; its length.
    async fn receive(&mut self) -> usize {
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await.expect("an answer");
            assert!(read > 0, "the connection was closed");
            filled += read;
            if let Some(wanted) = answer_length(&self.buffer[..filled])
                && filled >= wanted
            {
                return filled;
            }
        }
    }
}

/// Bytes of head and body, once the head is there.
fn answer_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let field = b"\r\ncontent-length: ";
    let at = bytes[..head].windows(field.len()).position(|window| window.eq_ignore_ascii_case(field))?;
    let digits = bytes[at + field.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(head + 4 + digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0')))
}

/// One round against one server.
struct Round {
    rate: f64,
    answers: u64,
    processor: BTreeMap<String, u64>,
}

/// All connections under load for `time`.
fn drive(server: SocketAddr, requests: &[Vec<u8>], time: Duration) -> Round {
    let before = processor_ticks();
    let start = Instant::now();
    let answers = std::thread::scope(|scope| {
        let generate = || generate(server, requests, time);
        let threads: Vec<_> = (0..GENERATORS)
            .map(|_| std::thread::Builder::new().name("generator".to_owned()).spawn_scoped(scope, generate))
            .collect();
        // While the threads live: a thread that ended is no longer listed.
        std::thread::sleep(time - Duration::from_millis(20));
        let after = processor_ticks();
        let answers: u64 = threads.into_iter().map(|thread| thread.expect("a thread").join().expect("answers")).sum();
        (answers, after)
    });
    let took = start.elapsed().as_secs_f64();
    let (answers, after) = answers;
    let spent = |(name, ticks): (String, u64)| {
        let before = before.get(&name).copied().unwrap_or(0);
        (name, ticks.saturating_sub(before))
    };
    Round { rate: answers as f64 / took, answers, processor: after.into_iter().map(spent).collect() }
}

/// Keeps its share of the connections busy: each sends its next request as soon as it has its answer.
fn generate(server: SocketAddr, requests: &[Vec<u8>], time: Duration) -> u64 {
    let end = Instant::now() + time;
    runtime().block_on(async {
        let shares = requests.iter().cloned().cycle().take(CONNECTIONS / GENERATORS);
        let mut connections: JoinSet<u64> = shares.map(|request| keep_busy(server, request, end)).collect();
        let mut answers = 0;
        while let Some(answered) = connections.join_next().await {
            answers += answered.expect("a connection");
        }
        answers
    })
}

async fn keep_busy(server: SocketAddr, request: Vec<u8>, end: Instant) -> u64 {
    let mut connection = Connection::open(server).await;
    let mut answers = 0;
    while Instant::now() < end {
        connection.send(&request).await;
        connection.receive().await;
        assert!(connection.buffer.starts_with(b"HTTP/1.1 200"));
        answers += 1;
    }
    answers
}

/// Processor time of the threads of this process by name, in ticks of 10 ms.
fn processor_ticks() -> BTreeMap<String, u64> {
    let mut ticks = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task").expect("threads").flatten() {
        let Ok(stat) = fs::read_to_string(task.path().join("stat")) else { continue };
        let Some((name, rest)) = stat.split_once(" (").and_then(|(_, rest)| rest.rsplit_once(") ")) else { continue };
        let fields: Vec<&str> = rest.split(' ').collect();
        let spent: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().expect("ticks")).sum();
        *ticks.entry(name.to_owned()).or_default() += spent;
    }
    ticks
}

/// All rounds against one server.
struct Summary {
    rate: f64,
    /// Microseconds of processor time a request, by name of the threads.
    parts: BTreeMap<String, f64>,
}

impl Summary {
    fn of(rounds: &[Round]) -> Self {
        let answers: u64 = rounds.iter().map(|round| round.answers).sum();
        let mut parts: BTreeMap<String, f64> = BTreeMap::new();
        for (name, ticks) in rounds.iter().flat_map(|round| &round.processor) {
            *parts.entry(name.clone()).or_default() += *ticks as f64 * 10_000.0 / answers as f64;
        }
        let mut rates: Vec<f64> = rounds.iter().map(|round| round.rate).collect();
        Self { rate: median(&mut rates), parts }
    }

    fn micros(&self) -> f64 {
        self.parts.values().sum()
    }

    fn print(&self, what: &str) {
        let parts = self.parts.iter().filter(|(_, micros)| **micros >= 0.1);
        let parts: Vec<String> = parts.map(|(name, micros)| format!("{name} {micros:.1}")).collect();
        println!(
            "{what}: {:.0} req/s; {:.1} us of processor time a request: {}",
            self.rate,
            self.micros(),
            parts.join(", ")
        );
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
