//! A17, B7, C8, F9: who may connect, over what, and who is believed about where a request comes from.

use super::check_refused;
use crate::certificates::{Authority, Identity};
use crate::gateway::{TestGateway, wait_for};
use crate::installation::{Installation, Policies};
use crate::tls::Client;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Lays down the listener's certificate, and the authority of clients if there is one.
fn write_certificates(installation: &Installation, server: &Identity, clients: Option<&Authority>) {
    let write = |name: &str, text: &str| {
        let beside = installation.path(&format!(".{name}.new"));
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, installation.path(&format!("keys/{name}"))).unwrap();
    };
    write("server.pem", &server.certificate);
    write("server.key", &server.key);
    if let Some(clients) = clients {
        write("clients.pem", &clients.certificate());
    }
}

fn tls_settings(clients: bool) -> toml::Value {
    let mut tls = toml::Table::new();
    tls.insert("certificate_file".to_owned(), "keys/server.pem".into());
    tls.insert("key_file".to_owned(), "keys/server.key".into());
    if clients {
        tls.insert("client_ca_file".to_owned(), "keys/clients.pem".into());
    }
    tls.into()
}

/// A gateway over TLS, with a secret `demo/db`.
fn over_tls(server: &Authority, clients: Option<&Authority>) -> TestGateway {
    let installation =
        TestGateway::builder().record_every_refusal().set("server.tls", tls_settings(clients.is_some())).install();
    write_certificates(&installation, &server.server("DNS:localhost"), clients);
    TestGateway::of(installation)
}

#[test]
fn attack_b07_plain_http_off_loopback_is_not_served_unless_asked_for_by_its_name() {
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        let installation = TestGateway::builder().set("server.listen", listen).install();
        let Err(refused) = TestGateway::try_of(installation) else { panic!("serves {listen}") };
        assert_eq!(refused.code, 1);
        assert!(
            refused.text.contains("server.listen") && refused.text.contains("danger_plaintext"),
            "{}",
            refused.text
        );
    }
    // Asked for, it is served, without metrics; but never with an issuer that anyone on this machine can be.
    let plain =
        || TestGateway::builder().set("server.listen", "0.0.0.0:0").set("server.danger_plaintext", true).install();
    let Err(refused) = TestGateway::try_of(plain()) else { panic!("serves the dev issuer off loopback") };
    assert!(refused.text.contains("issuer.dev"), "{}", refused.text);
    let installation = plain();
    let config = installation.read("keyward.toml").replace("https://keyward.local/dev", "https://idp.corp.example");
    std::fs::write(installation.path("keyward.toml"), config).unwrap();
    let gateway = TestGateway::of(installation);
    assert_eq!(gateway.get("/healthz").status, 200);
    assert_ne!(gateway.get("/metrics").status, 200, "metrics are not shown off loopback by default");
}

#[test]
fn attack_c08_headers_that_claim_another_peer_are_ignored() {
    let policies = Policies::default()
        .document(
            "from-ten",
            &json!({"effect": "allow", "action": ["ssm:GetSecretValue"], "resource": "*",
            "condition": {"ip_equal": {"qcs:ip": "10.0.0.0/8"}}}),
        )
        .attach("from-ten", &["user/dev/stranger"]);
    let gateway = TestGateway::builder().policies(policies).start();
    gateway.create("demo/db", "s3cret");
    let token = format!("Bearer {}", gateway.token("stranger", &[], &[], 600));
    let claims = [
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Real-IP", "10.0.0.1"),
        ("Forwarded", "for=10.0.0.1;proto=https"),
        ("X-Forwarded-Proto", "https"),
        ("X-Original-URL", "/v1/ListSecrets"),
        ("X-Rewrite-URL", "/healthz"),
        ("X-HTTP-Method-Override", "GET"),
        ("X-Client-Cert", "MIIB"),
        ("X-Forwarded-Client-Cert", "By=spiffe://x"),
        ("True-Client-IP", "10.0.0.1"),
        ("X-Forwarded-Host", "10.0.0.1"),
    ];
    let replies: Vec<_> = claims
        .iter()
        .map(|claim| {
            gateway.call_with(&[("Authorization", &token), *claim], "GetSecretValue", r#"{"SecretName":"demo/db"}"#)
        })
        .collect();
    let export = gateway.export();
    for (claim, reply) in claims.iter().zip(&replies) {
        super::check_denied(&export, claim.0, reply, "default_deny");
        let record = export.record_of(reply);
        assert_eq!(record["source_ip"], json!("127.0.0.1"), "{claim:?}");
        assert_eq!(record["context"]["conditions"]["keyward:secure_transport"], json!(["false"]), "{claim:?}");
        assert_eq!(
            (&record["action"], &record["certificate"]),
            (&json!("ssm:GetSecretValue"), &json!(null)),
            "{claim:?}"
        );
    }
    gateway.finish();
}

#[test]
fn attack_f09_old_tls_early_data_and_broken_handshakes_fail() {
    let authority = Authority::new();
    let gateway = over_tls(&authority, None);
    let client = Client::trusting(&authority);
    let good = |gateway: &TestGateway| client.get(gateway.address(), "/healthz").map(|reply| reply.status);
    assert_eq!(good(&gateway).unwrap(), 200);

    let s_client = |arguments: &[&str]| {
        let target = gateway.address().to_string();
        let mut command = std::process::Command::new("openssl");
        command.args(["s_client", "-connect", &target, "-servername", "localhost"]).args(arguments);
        let output = command.stdin(std::process::Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    for version in ["-tls1", "-tls1_1"] {
        let said = s_client(&[version, "-cipher", "ALL:@SECLEVEL=0"]);
        assert!(
            said.contains("Cipher is (NONE)") || said.contains("alert") || said.contains("no protocols"),
            "{version}: {said}"
        );
    }
    for version in ["-tls1_2", "-tls1_3"] {
        let said = s_client(&[version]);
        assert!(said.contains("BEGIN CERTIFICATE") && !said.contains("Cipher is (NONE)"), "{version}: {said}");
        // HTTP/2 is not agreed on, and no ticket is given that early data or a resumed session could hang on.
        assert!(
            !said.contains("New Session Ticket") && !s_client(&[version, "-alpn", "h2"]).contains("ALPN protocol: h2")
        );
    }
    assert!(client.early_data_is_refused(gateway.address()));

    // Half a handshake, plain HTTP, noise: closed within the handshake's time, and others are served meanwhile.
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    let noise: Vec<u8> = (0..2_000_u32).map(|n| u8::try_from(n * 7 % 251).unwrap()).collect();
    let alert = [0x15, 3, 3, 0, 2, 2, 40];
    let beginnings: [&[u8]; 5] =
        [&hello, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", &noise, &alert, &[0x16, 3, 1, 0xff, 0xff]];
    let streams: Vec<TcpStream> = beginnings
        .iter()
        .map(|bytes| {
            let mut stream = TcpStream::connect(gateway.address()).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let _closed_early = stream.write_all(bytes);
            stream
        })
        .collect();
    assert_eq!(good(&gateway).unwrap(), 200);
    for mut stream in streams {
        let mut said = Vec::new();
        let _reset = stream.read_to_end(&mut said);
        assert!(!said.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&said));
    }
    assert_eq!(good(&gateway).unwrap(), 200);
}

#[test]
fn attack_a17_a_client_certificate_limits_who_may_connect_and_names_nobody() {
    let (server, clients) = (Authority::new(), Authority::new());
    let gateway = over_tls(&server, Some(&clients));
    let client_auth = "extendedKeyUsage=clientAuth";
    let good = clients.sign("/CN=svc-billing", &[client_auth, "subjectAltName=URI:spiffe://corp/billing"]);
    let stranger = Authority::new();
    let constrained = Authority::with(&["nameConstraints=critical,permitted;DNS:corp.example"]);
    let refused = [
        ("none", None),
        ("another authority", Some(stranger.sign("/CN=svc-billing", &[client_auth]))),
        ("one that the server trusts for itself", Some(server.sign("/CN=svc-billing", &[client_auth]))),
        ("no clientAuth", Some(clients.server("DNS:svc-billing"))),
        ("signed by itself", Some(Identity { certificate: stranger.certificate(), key: stranger.key() })),
        (
            "several URIs",
            Some(clients.sign("/CN=a", &[client_auth, "subjectAltName=URI:spiffe://corp/a,URI:spiffe://corp/b"])),
        ),
        ("another's key", Some(Identity { key: stranger.sign("/CN=b", &[client_auth]).key, ..good.clone() })),
        ("expired", Some(clients.sign_expired("/CN=svc-billing", &[client_auth]))),
    ];
    for (what, identity) in refused {
        let client = Client::with(&server, identity.as_ref());
        let Ok(client) = client else { continue };
        let answered = client.get(gateway.address(), "/healthz");
        assert!(answered.is_err(), "{what}: {answered:?}");
    }
    let client = Client::with(&server, Some(&good)).unwrap();
    let call = |token: Option<&str>| {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("Content-Type", "application/json"), ("X-Client-Cert", "MIIB")];
        headers.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
        let body = json!({"SecretName": "demo/db", "SecretString": "s3cret"}).to_string();
        client.request(gateway.address(), "POST /v1/CreateSecret", &headers, body.as_bytes()).unwrap()
    };
    // The certificate says svc-billing; without a token nobody is anybody.
    let (nameless, bad) = (call(None), call(Some("a.b.c")));
    let made = call(Some(gateway.admin()));
    assert_eq!(made.status, 200, "{}", made.body);
    let certificate = hex::encode(Sha256::digest(good.der()));
    let export = client.export(&gateway);
    check_refused(&export, "a good certificate with a bad token", &bad, "malformed");
    assert_eq!((nameless.status, nameless.code()), (401, "AuthFailure.InvalidAuthorization"));
    for reply in [&nameless, &bad, &made] {
        assert_eq!(export.record_of(reply)["certificate"], json!(certificate));
    }
    let record = export.record_of(&made);
    assert_eq!(record["principal"], json!("user/dev/admin"));
    assert_eq!(record["context"]["conditions"]["keyward:secure_transport"], json!(["true"]));

    // Names outside what the authority may vouch for.
    write_certificates(gateway.installation(), &server.server("DNS:localhost"), Some(&constrained));
    let inside = constrained.sign("/CN=a", &[client_auth, "subjectAltName=DNS:billing.corp.example"]);
    let inside = Client::with(&server, Some(&inside)).unwrap();
    wait_for("the other authority", || inside.get(gateway.address(), "/healthz").ok());
    let outside = constrained.sign("/CN=a", &[client_auth, "subjectAltName=DNS:billing.other.example"]);
    assert!(Client::with(&server, Some(&outside)).unwrap().get(gateway.address(), "/healthz").is_err());
    assert!(client.get(gateway.address(), "/healthz").is_err(), "the authority before is trusted no more");
    gateway.finish();
}

#[test]
fn certificates_are_read_again_when_they_change_and_kept_when_they_are_not_understood() {
    let (authority, next) = (Authority::new(), Authority::new());
    let gateway = over_tls(&authority, None);
    let (old, new) = (Client::trusting(&authority), Client::trusting(&next));
    let status = |client: &Client, path: &str| client.get(gateway.address(), path).map(|reply| reply.status);
    assert_eq!((status(&old, "/readyz").unwrap(), status(&new, "/readyz").is_err()), (200, true));
    std::fs::write(gateway.installation().path("keys/server.pem"), "half a certif").unwrap();
    wait_for("the refusal", || status(&old, "/readyz").is_ok_and(|status| status == 503).then_some(()));
    let ready = old.get(gateway.address(), "/readyz").unwrap();
    assert_eq!(ready.body["reasons"], json!(["certificates_refused"]));
    write_certificates(gateway.installation(), &next.server("DNS:localhost"), None);
    wait_for("the new certificate", || status(&new, "/readyz").is_ok_and(|status| status == 200).then_some(()));
    assert!(status(&old, "/readyz").is_err());
    let records = new.export(&gateway).records;
    let events: Vec<_> = records.iter().filter_map(|record| record["parameters"]["event"].as_str()).collect();
    assert!(events.contains(&"certificates_refused") && events.contains(&"certificates_changed"), "{events:?}");
    gateway.finish();
}

#[test]
fn the_command_line_speaks_tls_shows_a_certificate_and_uses_the_unix_socket() {
    let (server, clients) = (Authority::new(), Authority::new());
    let installation = TestGateway::builder()
        .set("server.tls", tls_settings(true))
        .set("server.unix_socket", "gateway.sock")
        .set("server.unix_socket_mode", "600")
        .install();
    write_certificates(&installation, &server.server("DNS:localhost"), Some(&clients));
    std::fs::write(installation.path("ca.pem"), server.certificate()).unwrap();
    let mine = clients.sign("/CN=me", &["extendedKeyUsage=clientAuth"]);
    std::fs::write(installation.path("me.pem"), &mine.certificate).unwrap();
    std::fs::write(installation.path("me.key"), &mine.key).unwrap();
    let gateway = TestGateway::of(installation);
    let path = |name: &str| gateway.installation().path(name).to_str().unwrap().to_owned();
    let over_tls = format!("https://localhost:{}", gateway.address().port());
    let socket = format!("unix:{}", path("gateway.sock"));
    let run = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut command = gateway.installation().command(arguments);
        command.env("KEYWARD_TOKEN", gateway.admin()).envs(environment.iter().copied());
        crate::installation::Ran::from(command.output().unwrap())
    };
    let (ca, certificate, key) = (path("ca.pem"), path("me.pem"), path("me.key"));
    let list = ["secret", "list"];
    let all = [
        ("KEYWARD_ADDR", over_tls.as_str()),
        ("KEYWARD_CACERT", &ca),
        ("KEYWARD_CLIENT_CERT", &certificate),
        ("KEYWARD_CLIENT_KEY", &key),
    ];
    let ran = run(&list, &all);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for left_out in ["KEYWARD_CACERT", "KEYWARD_CLIENT_CERT"] {
        let rest: Vec<_> = all
            .into_iter()
            .filter(|(name, _)| {
                *name != left_out && (left_out != "KEYWARD_CLIENT_CERT" || *name != "KEYWARD_CLIENT_KEY")
            })
            .collect();
        assert_eq!(run(&list, &rest).code, 1, "without {left_out}");
    }
    let wrong = [("KEYWARD_ADDR", over_tls.as_str()), ("KEYWARD_CACERT", key.as_str())];
    assert_eq!(run(&list, &wrong).code, 2, "a key is no authority");
    let ran = run(&list, &[("KEYWARD_ADDR", &socket)]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path("gateway.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let ran = run(&["audit", "query", "--action", "ssm:ListSecrets", "--output", "json"], &[("KEYWARD_ADDR", &socket)]);
    let first: serde_json::Value = serde_json::from_str(ran.out.lines().next().unwrap()).unwrap();
    assert!(first["source_ip"].is_null() && first["context"]["conditions"]["qcs:ip"].is_null(), "{first}");
    assert_eq!(first["context"]["conditions"]["keyward:secure_transport"], json!(["false"]));
    let installation = gateway.stop();
    assert!(!installation.path("gateway.sock").exists(), "the socket goes with the gateway");
    // A socket that a dead process left is replaced; anything else in its place is not.
    drop(std::os::unix::net::UnixListener::bind(installation.path("gateway.sock")).unwrap());
    let gateway = TestGateway::of(installation);
    let clients_view = Client::with(&server, Some(&mine)).unwrap();
    wait_for("the gateway", || clients_view.get(gateway.address(), "/readyz").ok());
    let installation = gateway.stop();
    std::fs::write(installation.path("gateway.sock"), "something of somebody's").unwrap();
    let Err(refused) = TestGateway::try_of(installation) else { panic!("started over a file") };
    assert!(refused.text.contains("server.unix_socket"), "{}", refused.text);
    assert_eq!(refused.installation.read("gateway.sock"), "something of somebody's");
}
