//! A real identity provider, made by others: its discovery, its keys and its tokens are taken over TLS, and its rotation
//! of keys is followed. It is `oidc-provider` (`tests/idp`), run as a process of its own.

use crate::attacks::read;
use crate::certificates::Authority;
use crate::gateway::{TestGateway, wait_for};
use crate::installation::{Installation, Policies};
use crate::within::Within;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const ALGORITHMS: [&str; 4] = ["RS256", "PS256", "ES256", "EdDSA"];

/// The provider. It ends when this is dropped.
struct Provider {
    process: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    authority: Authority,
    url: String,
    runtime: Runtime,
    _dir: TempDir,
}

/// Where the provider is installed; this installs it if it is not.
fn installed() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("idp");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/idp.sh");
    let ran = Command::new(script).arg(&dir).stdin(Stdio::null()).status().unwrap();
    assert!(ran.success(), "the provider is not installed: {ran}");
    dir
}

impl Provider {
    /// Starts it with one generation of keys.
    fn start(generation: &str) -> Self {
        let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
        let identity = authority.server("DNS:localhost");
        let (certificate, key) = (dir.path().join("tls.pem"), dir.path().join("tls.key"));
        std::fs::write(&certificate, &identity.certificate).unwrap();
        std::fs::write(&key, &identity.key).unwrap();
        let mut command = Command::new("node");
        command.arg(installed().join("provider.mjs")).args([certificate, key]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node is installed");
        let (orders, answers) = (process.stdin.take(), BufReader::new(process.stdout.take().unwrap()));
        let (url, runtime) = (String::new(), Runtime::new().unwrap());
        let mut provider = Self { process, orders, answers, authority, url, runtime, _dir: dir };
        provider.publish(&[generation]);
        provider
    }

    /// Publishes the keys of these generations, and signs with the first.
    fn publish(&mut self, generations: &[&str]) {
        writeln!(self.orders.as_mut().unwrap(), "{}", json!(generations)).unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        assert!(line.starts_with("https://"), "the provider has ended: {line}");
        self.url = line.trim_end().to_owned();
    }

    /// What the grant `client_credentials` of the client `billing` brings (RFC 6749 4.4), for a resource (RFC 8707).
    fn token(&self, resource: Option<&str>) -> String {
        let mut form = "grant_type=client_credentials".to_owned();
        if let Some(resource) = resource {
            form.push_str(&format!("&resource={resource}"));
        }
        let authorities = reqwest::Certificate::from_pem_bundle(self.authority.certificate().as_bytes()).unwrap();
        let client = reqwest::Client::builder().tls_certs_only(authorities).no_proxy().build().unwrap();
        let request = client
            .post(format!("{}/token", self.url))
            .basic_auth("billing", Some("known-to-the-test"))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form);
        let answer: Value = self.runtime.block_on(async { request.send().await.unwrap().json().await.unwrap() });
        answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
    }

    /// A token for keyward, signed with an algorithm.
    fn signed(&self, algorithm: &str) -> String {
        self.token(Some(&format!("https://keyward.example/{algorithm}")))
    }

    /// A gateway's installation to which it is the issuer `corp`, whose group `payments` may read `demo/db`.
    fn install(&self) -> Installation {
        let policies = Policies::default().attach("demo-read", &["group/corp/payments"]);
        let installation = TestGateway::builder().record_every_refusal().policies(policies).install();
        std::fs::write(installation.path("keys/corp-ca.pem"), self.authority.certificate()).unwrap();
        let table = format!(
            "\n[[issuer]]\nname = \"corp\"\nissuer = \"{}\"\ndiscovery = true\naudience = [\"keyward\"]\n\
             algorithms = {}\ngroups = \"required\"\nca_file = \"keys/corp-ca.pem\"\n\
             key_networks = [\"127.0.0.0/8\", \"::1/128\"]\nkeys_refresh_s = 60\n",
            self.url,
            json!(ALGORITHMS),
        );
        std::fs::write(installation.path("keyward.toml"), installation.read("keyward.toml") + table.as_str()).unwrap();
        installation
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.orders.take());
        // The test has ended, however the provider does.
        let _ended = self.process.wait();
    }
}

#[test]
fn a_real_identity_provider_is_taken_by_discovery_with_each_kind_of_key() {
    let provider = Provider::start("a");
    let gateway = TestGateway::of(provider.install());
    gateway.create("demo/db", "s3cret");
    for algorithm in ALGORITHMS {
        let reply = read(&gateway, &provider.signed(algorithm), "demo/db");
        assert_eq!((reply.status, &reply.body["SecretString"]), (200, &json!("s3cret")), "{algorithm}: {}", reply.body);
        let record = gateway.record_of(&reply);
        assert_eq!(record["principal"], json!("user/corp/billing"));
        assert_eq!(record["context"]["groups"], json!(["group/corp/payments"]));
        assert_eq!(record["credential"]["kid"], json!(format!("a-{algorithm}")));
    }
    // Without a resource its tokens are opaque, and those for another resource are of another audience.
    let [opaque, other] = [provider.token(None), provider.token(Some("https://other.example/ES256"))];
    for (token, reason) in [(&opaque, "malformed"), (&other, "audience")] {
        assert_eq!(read(&gateway, token, "demo/db").status, 401, "{reason}");
        let records = gateway.records();
        let refused = records.iter().rfind(|record| record["kind"] == json!("unauthenticated")).unwrap();
        assert_eq!(refused["reason"], json!(reason));
    }
    gateway.finish();
}

#[test]
fn a_real_identity_providers_rotation_of_keys_is_followed() {
    let mut provider = Provider::start("a");
    let gateway = TestGateway::of(provider.install());
    gateway.create("demo/db", "s3cret");
    let within = Within::open(gateway.stop()).unwrap();
    let old = provider.signed("ES256");
    assert_eq!(within.read(&old), "ok");

    // The new keys are published beside the old ones: both are good from the first token that shows a new one.
    provider.publish(&["b", "a"]);
    within.forward(31);
    let new = provider.signed("ES256");
    assert_eq!((within.read(&new), within.read(&old)), ("ok", "ok"));

    // The old ones are withdrawn: refused from the next refresh on, remembered tokens included.
    provider.publish(&["b"]);
    within.forward(61);
    wait_for("the old keys to be withdrawn", || (within.read(&old) == "AuthFailure.TokenFailure").then_some(()));
    assert_eq!((within.read(&new), within.read(&provider.signed("RS256"))), ("ok", "ok"));

    let records = within.records();
    let changes = records.iter().filter(|record| record["parameters"]["event"] == json!("issuer_keys"));
    let said: Vec<_> =
        changes.map(|record| &record["parameters"]).map(|said| [&said["added"], &said["withdrawn"]]).collect();
    let kids =
        |generation: &str| json!(["ES256", "EdDSA", "PS256", "RS256"].map(|kind| format!("{generation}-{kind}")));
    let (a, b, none) = (kids("a"), kids("b"), json!([]));
    // The first two: the gateway that made the secret, and the one in this process.
    assert_eq!(said, [[&a, &none], [&a, &none], [&b, &none], [&none, &a]]);
}
