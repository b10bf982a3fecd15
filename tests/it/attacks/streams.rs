//! E4: a file that is on its way when its caller loses the right to it.

use super::read;
use crate::backup::copy_of;
use crate::gateway::{TestGateway, wait_for};
use crate::installation::Policies;
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Larger than what the sockets hold.
const SECRETS: usize = 300;

fn granted() -> Policies {
    Policies::default().allow("backups", &["cloudaudit:CreateBackup"], "*").attach("backups", &["user/dev/keeper"])
}

/// A backup on its way, of which the client has taken the beginning.
struct Begun(TcpStream);

impl Begun {
    fn new(gateway: &TestGateway, token: &str) -> Self {
        let mut stream = TcpStream::connect(gateway.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let head = "POST /v1/CreateBackup HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close";
        stream.write_all(format!("{head}\r\nAuthorization: Bearer {token}\r\n\r\n{{}}").as_bytes()).unwrap();
        let mut beginning = [0; 1024];
        stream.read_exact(&mut beginning).unwrap();
        assert!(beginning.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&beginning));
        Self(stream)
    }

    /// Whether all of it comes, once the client takes it.
    fn comes_whole(mut self) -> bool {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).is_ok() && rest.ends_with(b"\r\n0\r\n\r\n")
    }
}

#[test]
fn attack_e04_a_stream_ends_when_its_caller_is_revoked_or_loses_its_grant() {
    let gateway = TestGateway::builder().policies(granted()).start();
    for number in 0..SECRETS {
        gateway.create(&format!("demo/large-{number}"), &"x".repeat(60_000));
    }
    let keeper = || gateway.token("keeper", &[], &[], 600);
    let copy = copy_of(&gateway);
    // The copy is there while the file is on its way.
    let begun = || {
        let begun = Begun::new(&gateway, &keeper());
        assert!(copy.exists());
        begun
    };
    let ends = |what: &str| wait_for(what, || (!copy.exists()).then_some(()));

    let taken = begun();
    gateway.call(gateway.admin(), "RevokeToken", &json!({"Issuer": "dev", "Subject": "somebody"})).ok();
    wait_for("it to be decided again", || gateway.log().contains("decided again").then_some(()));
    assert!(taken.comes_whole(), "the revocation of another one ends nothing");
    ends("the whole file to be let go");

    let revoked = begun();
    gateway.call(gateway.admin(), "RevokeToken", &json!({"Issuer": "dev", "Subject": "keeper"})).ok();
    ends("the file of a revoked caller to be given up");
    assert!(!revoked.comes_whole());

    wait_for("a token that is younger than the revocation", || {
        let reply = gateway.call(&keeper(), "DescribeSecret", &json!({"SecretName": "demo/large-1"}));
        (reply.status == 403).then_some(())
    });
    let without = begun();
    gateway.set_policies(&Policies::default());
    ends("the file of a caller without a grant to be given up");
    assert!(!without.comes_whole());
    assert_eq!(read(&gateway, gateway.admin(), "demo/large-7").status, 200);
    gateway.finish();
}
