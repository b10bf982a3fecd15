//! F4: who is slow on purpose is ended, and holds up nobody else. A small count here; `KEYWARD_IDLE_CONNECTIONS` sets another.

use super::read;
use crate::backup::{copy_of, stalled};
use crate::gateway::{TestGateway, wait_for};
use crate::tls::{Client, serve_as};
use crate::wire::Connection;
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

fn gateway() -> TestGateway {
    let gateway = TestGateway::builder()
        .set("limits.request_timeout_s", 1)
        .set("limits.body_timeout_s", 1)
        .record_every_refusal()
        .start();
    gateway.create("demo/db", "s3cret");
    gateway
}

/// Sends `begin`, then a byte now and then, until the server ends the connection; answers after how long, and what it said.
fn drip(gateway: &TestGateway, begin: &str, byte: &[u8]) -> (Duration, String) {
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let since = Instant::now();
    stream.write_all(begin.as_bytes()).unwrap();
    let mut said = Vec::new();
    let mut block = [0; 4096];
    loop {
        assert!(since.elapsed() < Duration::from_secs(25), "never ended: {}", String::from_utf8_lossy(&said));
        let _ended = stream.write_all(byte);
        match stream.read(&mut block) {
            Ok(0) => break,
            Ok(length) => said.extend(&block[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    (since.elapsed(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn attack_f04_slow_heads_and_slow_bodies_are_ended_in_time() {
    let gateway = gateway();
    let (took, said) = drip(&gateway, "POST /v1/GetSecretValue HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"a");
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
    assert!(took < Duration::from_secs(15), "a slow head took {took:?}");
    let head = format!(
        "POST /v1/GetSecretValue HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n",
        gateway.admin()
    );
    let (took, said) = drip(&gateway, &head, b" ");
    assert!(said.starts_with("HTTP/1.1 400") && said.contains("did not come in time"), "{said}");
    assert!(took < Duration::from_secs(15), "a slow body took {took:?}");
    // Of whom nobody knows, no body is read at all.
    let (took, said) = drip(&gateway, &head.replace(gateway.admin(), "nonsense"), b" ");
    assert!(said.starts_with("HTTP/1.1 401"), "{said}");
    assert!(took < Duration::from_secs(15), "an unknown caller's slow body took {took:?}");
    let records = gateway.records();
    let late = records.iter().filter(|record| record["reason"] == "InvalidRequest").count();
    assert_eq!(late, 1, "a known caller's slow body is a record");
    gateway.finish();
}

/// Has a whole request for `path` answered, sends `stray` with it or behind the answer, and then nothing: until the server ends the connection.
fn stray(stream: impl Read + Write + Send + 'static, path: &str, (with, behind): (&str, &str)) {
    let since = Instant::now();
    let mut connection = Connection::over(stream);
    connection.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n{with}").as_bytes());
    assert_eq!(connection.reply().expect("an answer").status, 200);
    connection.send(behind.as_bytes());
    assert!(connection.reply().is_none(), "`{with}`, `{behind}` was answered");
    let took = since.elapsed();
    assert!(took < Duration::from_secs(15), "`{with}`, `{behind}` held the connection for {took:?}");
}

#[test]
fn attack_f04_a_connection_whose_next_head_never_ends_is_ended_in_time_and_one_that_is_served_is_not() {
    let gateway = TestGateway::builder()
        .set("limits.request_timeout_s", 1)
        .set("limits.idle_timeout_s", 1)
        .set("limits.body_timeout_s", 4)
        .set("server.unix_socket", "gateway.sock")
        .set("server.metrics_listen", "127.0.0.1:0")
        .start();
    let patience = Some(Duration::from_secs(20));
    thread::scope(|scope| {
        for bytes in
            [("P", ""), ("", "P"), ("", "POST /v1/GetSecretValue HTTP/1.1\r\nHost: localhost\r\n"), ("\r\n", "")]
        {
            let tcp = TcpStream::connect(gateway.address()).unwrap();
            tcp.set_read_timeout(patience).unwrap();
            scope.spawn(move || stray(tcp, "/healthz", bytes));
        }
        let unix = UnixStream::connect(gateway.installation().path("gateway.sock")).unwrap();
        unix.set_read_timeout(patience).unwrap();
        scope.spawn(move || stray(unix, "/healthz", ("", "P")));
        let metrics = TcpStream::connect(gateway.metrics_address()).unwrap();
        metrics.set_read_timeout(patience).unwrap();
        scope.spawn(move || stray(metrics, "/metrics", ("", "P")));
    });
    let (took, said) =
        drip(&gateway, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nPOST /v1/GetSecretValue HTTP/1.1\r\nX: ", b"a");
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    assert!(took < Duration::from_secs(15), "a slow second head took {took:?}");
    // Longer than a connection may ask for nothing.
    let slow = format!(
        "POST /v1/ListSecrets HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n",
        gateway.admin()
    );
    let (_, said) = drip(&gateway, &slow, b" ");
    assert!(said.starts_with("HTTP/1.1 400") && said.contains("did not come in time"), "{said}");
    gateway.finish();
}

#[test]
fn attack_f04_over_tls_too_a_connection_whose_next_head_never_ends_is_ended_in_time() {
    let builder = TestGateway::builder().set("limits.request_timeout_s", 1).set("limits.idle_timeout_s", 1);
    let installation = builder.install();
    let authority = serve_as(&installation, "localhost");
    let gateway = TestGateway::of(installation);
    for bytes in [("", "P"), ("\r\n", "")] {
        stray(Client::trusting(&authority).connect(gateway.address()).unwrap(), "/healthz", bytes);
    }
    drop(gateway.kill());
}

#[test]
fn attack_g04_who_tries_a_token_and_resets_the_connection_before_the_body_leaves_a_record() {
    let gateway = gateway();
    let head = format!(
        "POST /v1/GetSecretValue HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n",
        gateway.token("app", &[], &[], 600)
    );
    let mut tried: Option<TcpStream> = None;
    let record = wait_for("the record of a trial", || {
        // The one before had as long as an export takes to be met with silence.
        drop(tried.take());
        let mut stream = TcpStream::connect(gateway.address()).unwrap();
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        tried = Some(stream);
        gateway.records().into_iter().find(|record| record["principal"] == json!("user/dev/app"))
    });
    let said = (&record["action"], &record["decision"], &record["reason"]);
    assert_eq!(said, (&json!("ssm:GetSecretValue"), &json!("error"), &json!("InvalidRequest")));
    assert_eq!(record["source_ip"], json!("127.0.0.1"));
    drop(tried);
    gateway.finish();
}

/// Times of so many reads, sorted.
fn times(gateway: &TestGateway, reads: usize) -> Vec<Duration> {
    let app = gateway.issuer().token("app");
    let mut connection = Connection::open(gateway.address());
    let bearer = format!("Bearer {app}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let mut times: Vec<Duration> = (0..reads)
        .map(|_| {
            let since = Instant::now();
            let reply =
                connection.request("POST /v1/GetSecretValue", &headers, br#"{"SecretName":"demo/db"}"#).unwrap();
            assert!([200, 503].contains(&reply.status), "{}", reply.body);
            since.elapsed()
        })
        .collect();
    times.sort_unstable();
    times
}

/// A request whose answer is 1.2 MB.
fn for_all_of_20(gateway: &TestGateway) -> String {
    let names: Vec<_> = (0..20).map(|number| json!({"SecretName": format!("demo/large-{number}")})).collect();
    let body = json!({"Secrets": names}).to_string();
    format!(
        "POST /v1/BatchGetSecretValue HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        gateway.admin(),
        body.len()
    )
}

#[test]
fn attack_f04_who_takes_nothing_of_an_answer_is_ended_in_time() {
    let gateway = TestGateway::builder().set("limits.answer_timeout_s", 1).start();
    for number in 0..20 {
        gateway.create(&format!("demo/large-{number}"), &"x".repeat(60_000));
    }
    let request = for_all_of_20(&gateway);
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut rest: &[u8] = &[];
    let ended = wait_for("the connection to be ended", || {
        loop {
            rest = if rest.is_empty() { request.as_bytes() } else { rest };
            match stream.write(rest) {
                Ok(length) => rest = &rest[length..],
                Err(full) if full.kind() == ErrorKind::WouldBlock => return None,
                Err(ended) => return Some(ended.kind()),
            }
        }
    });
    assert!([ErrorKind::BrokenPipe, ErrorKind::ConnectionReset].contains(&ended), "{ended}");
    assert_eq!(read(&gateway, gateway.admin(), "demo/large-7").status, 200);
    gateway.finish();
}

#[test]
fn attack_f04_readers_that_read_nothing_and_idle_connections_delay_nobody() {
    let gateway = gateway();
    for number in 0..20 {
        gateway.create(&format!("demo/large-{number}"), &"x".repeat(60_000));
    }
    let idle: usize = std::env::var("KEYWARD_IDLE_CONNECTIONS").map_or(200, |count| count.parse().unwrap());
    let alone = times(&gateway, 400);
    let connections: Vec<TcpStream> = (0..idle).map(|_| TcpStream::connect(gateway.address()).unwrap()).collect();
    // Each asks for more than the sockets hold, again and again, and takes nothing of it.
    let request = for_all_of_20(&gateway);
    let slow: Vec<TcpStream> = (0..16)
        .map(|_| {
            let mut stream = TcpStream::connect(gateway.address()).unwrap();
            stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
            for _ in 0..8 {
                if stream.write_all(request.as_bytes()).is_err() {
                    break;
                }
            }
            stream
        })
        .collect();
    let beside = times(&gateway, 400);
    let p99 = |times: &[Duration]| times[times.len() * 99 / 100];
    println!(
        "p99 of 400 reads: {:?} alone, {:?} beside {idle} idle connections and 16 readers that read nothing",
        p99(&alone),
        p99(&beside)
    );
    assert!(p99(&beside) < Duration::from_secs(2), "{:?}", p99(&beside));
    assert_eq!(read(&gateway, gateway.admin(), "demo/large-7").status, 200);
    drop((connections, slow));
    gateway.finish();
}

#[test]
fn attack_f04_who_stops_reading_a_file_holds_neither_its_copy_nor_the_stop() {
    let gateway = TestGateway::builder().set("limits.answer_timeout_s", 1).start();
    let (stream, copy) = (stalled(&gateway), copy_of(&gateway));
    assert!(copy.exists(), "the file was sent as a whole");
    wait_for("the copy to be given up", || (!copy.exists()).then_some(()));
    drop(stream);
    gateway.finish();
    // Whom nothing else ends by then is ended by the stop.
    let gateway = TestGateway::builder().set("server.stop_timeout_s", 1).start();
    let (stream, copy) = (stalled(&gateway), copy_of(&gateway));
    assert!(copy.exists(), "the file was sent as a whole");
    gateway.finish();
    assert!(!copy.exists(), "the copy was left behind");
    drop(stream);
}
