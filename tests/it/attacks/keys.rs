//! B: keys that are fetched from their issuer. The issuer is a real server; what the gateway makes of it is read from its
//! answers and from the verified log.

use crate::certificates::Authority;
use crate::gateway::TestGateway;
use crate::idp::{Answer, Idp, RsaKey};
use crate::installation::{Installation, Policies};
use crate::within::{Within, read};
use keyward::authn::remote::{FetchError, Remote, RemoteSettings, RemoteSource};
use serde_json::{Value, json};
use std::sync::Arc;

const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// A further issuer `corp` by these lines of its table, whose users may read `demo/db`.
fn installation(lines: &str) -> Installation {
    let builder = TestGateway::builder().record_every_refusal();
    let policies = Policies::default().attach("demo-read", &["issuer/corp"]);
    let installation = builder.policies(policies).install();
    add_issuer(&installation, lines);
    installation
}

fn add_issuer(installation: &Installation, lines: &str) {
    let table = format!("\n[[issuer]]\nname = \"corp\"\naudience = [\"keyward\"]\nalgorithms = [\"RS256\"]\n{lines}\n");
    let path = installation.path("keyward.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}{table}")).unwrap();
}

/// The lines of an issuer whose set is at `/keys` of a server.
fn by_url(idp: &Idp) -> String {
    let url = idp.url();
    format!("issuer = \"{url}\"\njwks_url = \"{url}/keys\"\nkey_networks = [\"127.0.0.0/8\", \"::1/128\"]")
}

fn by_discovery(idp: &Idp) -> String {
    format!("issuer = \"{}\"\ndiscovery = true\nkey_networks = [\"127.0.0.0/8\", \"::1/128\"]", idp.url())
}

fn claims(idp: &Idp, now_s: u64) -> Value {
    let jti = uuid::Uuid::from_u128(rand::random()).to_string();
    json!({"iss": idp.url(), "aud": "keyward", "sub": "svc-1", "iat": now_s, "exp": now_s + 3_600, "jti": jti})
}

fn events(records: &[Value], event: &str) -> Vec<Value> {
    records.iter().filter(|record| record["parameters"]["event"] == json!(event)).cloned().collect()
}

/// Reasons of all refused tokens, in order.
fn refusals(records: &[Value]) -> Vec<&str> {
    let refused = records.iter().filter(|record| record["kind"] == json!("unauthenticated"));
    refused.map(|record| record["reason"].as_str().unwrap()).collect()
}

#[test]
fn attack_b01_issuers_that_point_elsewhere_do_not_start() {
    let idp = Idp::start();
    idp.keys(&[RsaKey::new("a").jwk()]);
    let elsewhere = Idp::start();
    elsewhere.discovery(&format!("{}/keys", idp.url()));
    let impostor = Idp::start();
    let other = json!({"issuer": "https://other.example", "jwks_uri": format!("{}/keys", impostor.url())});
    impostor.answer("/.well-known/openid-configuration", Answer::json(&other));
    let table = |lines: &str| format!("issuer = \"https://idp.corp.example\"\n{lines}");
    let url = |text: &str| table(&format!("jwks_url = \"{text}\""));
    let cases = [
        (url("http://idp.corp.example/keys"), "jwks_url", "plain http"),
        (url("http://localhost/keys"), "jwks_url", "plain http"),
        (url("http://10.1.2.3/keys"), "jwks_url", "plain http"),
        (url("http://127.0.0.1:1/keys"), "jwks_url", "`127.0.0.1`, which `key_networks` does not list"),
        (url("https://169.254.169.254/latest"), "jwks_url", "`169.254.169.254`"),
        (url("https://2130706433/keys"), "jwks_url", "`127.0.0.1`"),
        (url("https://0x7f.0.0.1/keys"), "jwks_url", "`127.0.0.1`"),
        (url("https://0177.1/keys"), "jwks_url", "`127.0.0.1`"),
        (url("https://[::ffff:10.0.0.1]/keys"), "jwks_url", "`10.0.0.1`"),
        (url("file:///etc/passwd"), "jwks_url", "host"),
        (url("ftp://idp.corp.example/keys"), "jwks_url", "https"),
        (url("https://user:secret@idp.corp.example/keys"), "jwks_url", "without user"),
        (url("keys.json"), "jwks_url", "no URL"),
        ("issuer = \"http://idp.corp.example\"\ndiscovery = true".to_owned(), "issuer", "plain http"),
        (table("jwks_url = \"https://idp.example/k\"\nkey_host = \"idp.example\""), "key_host", "discovery"),
        (table("jwks_url = \"https://idp.example/k\"\nkey_networks = [\"10.0.0.0/40\"]"), "key_networks", "no network"),
        (table("jwks_url = \"https://idp.example/k\"\ndiscovery = true"), "corp", "exactly one"),
        (table("jwks_url = \"https://idp.example/k\"\nkeys_refresh_s = 5"), "corp", "keys_refresh_s"),
        (table(""), "corp", "exactly one"),
        (by_discovery(&elsewhere), "corp", "not at"),
        (by_discovery(&impostor), "corp", "not exactly this issuer"),
    ];
    for (lines, setting, expected) in cases {
        let Err(refused) = TestGateway::try_of(installation(&lines)) else {
            panic!("started with {lines}");
        };
        assert_eq!(refused.code, 1, "{lines}");
        let said = refused.text.lines().find(|line| line.starts_with("error:")).unwrap_or_default();
        assert!(said.contains(setting) && said.contains(expected), "{lines}: {}", refused.text);
    }
    assert_eq!(idp.calls(), 0, "nobody was led to the other host");
}

fn remote(url: &str, networks: &[&str], authority: Option<&Authority>) -> Remote {
    Remote::new(RemoteSettings {
        issuer: "https://idp.corp.example".to_owned(),
        source: RemoteSource::KeySet(url.to_owned()),
        key_host: None,
        networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
        authorities: authority.map(|authority| authority.certificate().into_bytes()),
    })
    .unwrap()
}

fn fetch(remote: &Remote) -> Result<Vec<u8>, FetchError> {
    tokio::runtime::Runtime::new().unwrap().block_on(remote.fetch())
}

#[test]
fn attack_b02_no_redirect_is_followed_and_no_name_leads_to_an_inner_address() {
    let (idp, victim) = (Idp::start(), Idp::start());
    let keys = remote(&format!("{}/keys", idp.url()), &LOOPBACK, None);
    let places = [
        format!("{}/keys", victim.url()),
        "http://169.254.169.254/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "/keys".to_owned(),
        "//other.example/".to_owned(),
    ];
    for status in
        ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent", "300 Choices", "304 Not"]
    {
        for place in &places {
            idp.answer("/keys", Answer::status(status, &format!("Location: {place}\r\n")));
            assert_eq!(fetch(&keys), Err(FetchError::Redirect), "{status} to {place}");
        }
    }
    assert_eq!((idp.calls(), victim.calls()), (7 * places.len(), 0));

    let authority = Authority::new();
    let secure = Idp::start_tls(&authority.server("DNS:localhost"));
    secure.answer("/keys", Answer::Body(b"{}".to_vec()));
    let url = format!("{}/keys", secure.url());
    assert_eq!(fetch(&remote(&url, &[], Some(&authority))), Err(FetchError::InnerAddress), "by name, nothing listed");
    assert_eq!(fetch(&remote(&url, &["10.0.0.0/8"], Some(&authority))), Err(FetchError::InnerAddress));
    assert_eq!(secure.calls(), 0, "the address is checked before the connection");
    assert_eq!(fetch(&remote(&url, &LOOPBACK, Some(&authority))), Ok(b"{}".to_vec()));
    let stranger = fetch(&remote(&url, &LOOPBACK, Some(&Authority::new())));
    assert!(matches!(stranger, Err(FetchError::Connection(_))), "another authority: {stranger:?}");
    let unnamed = Idp::start_tls(&authority.server("DNS:other.example"));
    let unnamed = fetch(&remote(&format!("{}/keys", unnamed.url()), &LOOPBACK, Some(&authority)));
    assert!(matches!(unnamed, Err(FetchError::Connection(_))), "a certificate of another name: {unnamed:?}");
}

#[test]
fn attack_b03_answers_without_bounds_are_cut_off_and_the_old_set_stands() {
    let (idp, old) = (Idp::start(), RsaKey::new("old"));
    idp.keys(&[old.jwk()]);
    let within = Within::open(installation(&format!("{}\nkeys_refresh_s = 30", by_url(&idp)))).unwrap();
    let token = |within: &Within, key: &RsaKey| key.sign(json!({}), &claims(&idp, within.now_s()));
    assert_eq!(within.read(&token(&within, &old)), "ResourceNotFound.SecretNotExist");
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n";
    let chunked = format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        format!("10000\r\n{}\r\n", " ".repeat(65_536)).repeat(16)
    );
    let gzip = format!("{head}Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{{}}");
    let many: Vec<Value> = (0..100_000).map(|_| json!(0)).collect();
    let wide: serde_json::Map<String, Value> = (0..20_000).map(|n| (format!("k{n}"), json!(0))).collect();
    let keys: Vec<Value> = (0..257).map(|n| json!({"kid": n.to_string()})).collect();
    let bad = [
        Answer::Body(vec![b' '; 10 << 20]),
        Answer::Raw(chunked.into_bytes()),
        Answer::Raw(gzip.into_bytes()),
        Answer::Body(format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)).into_bytes()),
        Answer::json(&json!({"keys": many})),
        Answer::json(&Value::Object(wide)),
        Answer::json(&json!({"keys": keys})),
        Answer::Raw(b"not http at all".to_vec()),
        Answer::status("500 Broken", ""),
        Answer::Drip,
    ];
    let new = RsaKey::new("new");
    for (case, answer) in bad.into_iter().enumerate() {
        within.forward(31);
        let calls = idp.calls();
        idp.answer("/keys", answer);
        // Whichever begins first, the fetch that is due or that of the unknown kid: there is one, and it brings nothing.
        assert_eq!(within.read(&token(&within, &new)), "AuthFailure.TokenFailure", "case {case}");
        assert!(idp.calls() <= calls + 1, "case {case}");
        assert_eq!(within.read(&token(&within, &old)), "ResourceNotFound.SecretNotExist", "case {case}");
    }
    idp.keys(&[new.jwk()]);
    within.forward(31);
    assert_eq!(within.read(&token(&within, &new)), "ResourceNotFound.SecretNotExist", "service comes back by itself");
    let records = within.records();
    assert_eq!(events(&records, "issuer_keys").len(), 2, "nothing between the first and the last set went live");
}

#[test]
fn attack_b04_bad_keys_are_left_out_and_ambiguous_sets_refused() {
    let (idp, good) = (Idp::start(), RsaKey::new("good"));
    let with = |name: &str, value: Value, kid: &str| {
        let mut jwk = RsaKey::new(kid).jwk();
        jwk[name] = value;
        jwk
    };
    let odd = [
        with("d", json!("AQAB"), "private"),
        with("use", json!("enc"), "enc"),
        with("alg", json!("RS1"), "alg"),
        json!({"kty": "oct", "kid": "oct", "k": "c2VjcmV0"}),
        json!({"kty": "EC", "crv": "P-521", "kid": "curve", "x": "AA", "y": "AA"}),
        json!({"kid": "nothing"}),
    ];
    let kids = ["private", "enc", "alg", "oct", "curve", "nothing"];
    idp.keys(&[odd.as_slice(), &[good.jwk()]].concat());
    let within = Within::open(installation(&by_url(&idp))).unwrap();
    let token = |within: &Within, key: &RsaKey| key.sign(json!({}), &claims(&idp, within.now_s()));
    assert_eq!(within.read(&token(&within, &good)), "ResourceNotFound.SecretNotExist");
    for kid in kids {
        assert_eq!(within.read(&token(&within, &RsaKey::new(kid))), "AuthFailure.TokenFailure", "{kid}");
    }
    let (a, b) = (RsaKey::new("twice"), RsaKey::new("twice"));
    let sets = [vec![good.jwk(), a.jwk(), b.jwk()], vec![], odd.to_vec()];
    for (case, set) in sets.into_iter().enumerate() {
        idp.keys(&set);
        within.forward(31);
        assert_eq!(within.read(&token(&within, &a)), "AuthFailure.TokenFailure", "case {case}");
        assert_eq!(within.read(&token(&within, &good)), "ResourceNotFound.SecretNotExist", "case {case}");
    }
    let records = within.records();
    assert_eq!(refusals(&records), [["key_unfit"; 6].as_slice(), &["kid_unknown"; 3]].concat());
    assert_eq!(events(&records, "issuer_keys").len(), 1);
}

#[test]
fn attack_b05_any_number_of_unknown_kids_makes_one_fetch_in_thirty_seconds() {
    let (idp, key) = (Idp::start(), RsaKey::new("known"));
    idp.keys(&[key.jwk()]);
    let within = Within::open(installation(&by_url(&idp))).unwrap();
    assert_eq!(idp.calls(), 1, "at start");
    let stranger = RsaKey::new("0");
    let flood = |count: usize| {
        // The signature is nobody's business: the kid is unknown.
        let signed = stranger.sign(json!({}), &claims(&idp, within.now_s()));
        let body = signed.split_once('.').unwrap().1;
        let known = within.run(async {
            let asked: Vec<_> = (0..count)
                .map(|n| {
                    let token = format!("{}.{body}", base64_header(&format!("unknown-{n}")));
                    let gateway = Arc::clone(&within.gateway);
                    tokio::spawn(async move {
                        let presented = keyward::access::Presented::Bearer(zeroize::Zeroizing::new(token));
                        gateway.known(&presented).await.is_some()
                    })
                })
                .collect();
            let mut known = 0_usize;
            for one in asked {
                known += usize::from(one.await.unwrap());
            }
            known
        });
        assert_eq!(known, 0);
    };
    flood(10_000);
    assert_eq!(idp.calls(), 1, "the fetch at start was less than 30 s ago");
    within.forward(30);
    flood(10_000);
    assert_eq!(idp.calls(), 2);
    flood(1_000);
    within.forward(29);
    flood(1_000);
    assert_eq!(idp.calls(), 2);
    within.forward(1);
    flood(1_000);
    assert_eq!(idp.calls(), 3);
    let good = key.sign(json!({}), &claims(&idp, within.now_s()));
    assert_eq!(within.read(&good), "ResourceNotFound.SecretNotExist");
    within.records();
}

fn base64_header(kid: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json!({"alg": "RS256", "kid": kid}).to_string())
}

#[test]
fn attack_b06_keys_rotate_are_withdrawn_and_grow_stale() {
    let (idp, old, new) = (Idp::start(), RsaKey::new("old"), RsaKey::new("new"));
    idp.keys(&[old.jwk()]);
    let lines = format!("{}\nkeys_refresh_s = 60\nkeys_max_age_s = 600", by_url(&idp));
    let within = Within::open(installation(&lines)).unwrap();
    let sign = |within: &Within, key: &RsaKey| key.sign(json!({}), &claims(&idp, within.now_s()));
    let (served, refused) = ("ResourceNotFound.SecretNotExist", "AuthFailure.TokenFailure");
    let remembered = sign(&within, &old);
    assert_eq!((within.read(&remembered), within.read(&remembered)), (served, served));

    // A new key is served from the first request that shows it, after one fetch; the withdrawn one from then on not.
    idp.keys(&[new.jwk()]);
    within.forward(31);
    assert_eq!(within.read(&remembered), served, "nobody has said yet that the key is withdrawn");
    let calls = idp.calls();
    assert_eq!(within.read(&sign(&within, &new)), served);
    assert_eq!(idp.calls(), calls + 1);
    assert_eq!(within.read(&remembered), refused, "a remembered token dies with its key");

    // The endpoint is down: the last good set stands for 600 s, and not longer.
    idp.answer("/keys", Answer::status("503 Down", ""));
    within.forward(500);
    assert_eq!(within.read(&sign(&within, &new)), served);
    within.forward(101);
    let good = sign(&within, &new);
    assert_eq!(within.read(&good), refused);
    assert!(!within.gateway.unready().contains(&"keys_stale".to_owned()), "the dev issuer still serves");
    within.tick();
    within.tick();

    // And back, by itself.
    idp.keys(&[new.jwk()]);
    within.forward(31);
    crate::gateway::wait_for("the keys to be fetched", || {
        // Each second again: no fetch begins while the one before it, which finds the endpoint down, is under way.
        within.tick();
        (within.read(&good) == served).then_some(())
    });
    let records = within.records();
    let keys = events(&records, "issuer_keys");
    let said: Vec<_> =
        keys.iter().map(|record| (&record["parameters"]["added"], &record["parameters"]["withdrawn"])).collect();
    assert_eq!(said[0], (&json!(["old"]), &json!([])));
    assert_eq!(said[1], (&json!(["new"]), &json!(["old"])));
    assert_eq!((said.len(), &keys[1]["principal"]), (3, &json!("service/issuers")));
    let stale = events(&records, "keys_stale");
    assert_eq!(stale.len(), 1, "said once");
    assert_eq!((&stale[0]["reason"], &stale[0]["outcome"]), (&json!("keys_stale"), &json!("failed")));
    assert_eq!(stale[0]["parameters"]["issuer"], json!("corp"));
    let reasons = refusals(&records);
    assert_eq!(reasons[..2], ["kid_unknown", "keys_stale"]);
    assert!(reasons[2..].iter().all(|reason| *reason == "keys_stale"), "{reasons:?}");
}

#[test]
fn attack_b06_an_issuer_that_is_down_at_start_degrades_and_nothing_opens() {
    let idp = Idp::start();
    let within = Within::open(installation(&by_discovery(&idp))).unwrap();
    within.tick();
    let key = RsaKey::new("a");
    let token = key.sign(json!({}), &claims(&idp, within.now_s()));
    assert_eq!(within.read(&token), "AuthFailure.TokenFailure");
    idp.discovery(&format!("{}/keys", idp.url()));
    idp.keys(&[key.jwk()]);
    within.forward(31);
    crate::gateway::wait_for("the keys", || (within.read(&token) == "ResourceNotFound.SecretNotExist").then_some(()));
    let records = within.records();
    assert_eq!(events(&records, "keys_stale").len(), 1);
    assert_eq!(refusals(&records)[0], "keys_stale");
}

/// The tokens that workloads have: a projected service account of Kubernetes, and a job of GitHub Actions.
#[test]
fn tokens_of_kubernetes_and_github_shape_are_taken_by_discovery_over_tls() {
    let authority = Authority::new();
    let idp = Idp::start_tls(&authority.server("DNS:localhost"));
    idp.discovery(&format!("{}/openid/v1/jwks", idp.url()));
    let key = RsaKey::new("Xq2v8mJ0sX1m");
    idp.answer("/openid/v1/jwks", Answer::json(&json!({"keys": [key.jwk()]})));
    let lines = format!("{}\nca_file = \"keys/corp-ca.pem\"", by_discovery(&idp));
    let installation = installation(&lines);
    std::fs::write(installation.path("keys/corp-ca.pem"), authority.certificate()).unwrap();
    let gateway = TestGateway::of(installation);
    gateway.create("demo/db", "s3cret");
    let now = crate::token::now_s();
    let kubernetes = json!({
        "aud": ["keyward"], "exp": now + 3_607, "iat": now, "nbf": now, "iss": idp.url(),
        "jti": "1b9a6b1e-8c1f-4a55-8e8e-0b3f4d1f3a3a",
        "kubernetes.io": {
            "namespace": "payments", "node": {"name": "node-1", "uid": "7d1b0b5e"},
            "pod": {"name": "billing-6c5f9d", "uid": "5e0c3a52"}, "serviceaccount": {"name": "billing", "uid": "0f3f7f5c"},
            "warnafter": now + 3_607,
        },
        "sub": "system:serviceaccount:payments:billing",
    });
    let github = json!({
        "actor": "octocat", "actor_id": "12", "aud": "keyward", "base_ref": "", "enterprise": "octo", "event_name": "push",
        "exp": now + 300, "iat": now, "nbf": now - 300, "iss": idp.url(), "job_workflow_ref": "octo-org/app/.github/workflows/d.yml@refs/heads/main",
        "jti": "6f4762ed-0758-4ccb-808d-ee3af5d723a8", "ref": "refs/heads/main", "ref_protected": "true", "repository": "octo-org/app",
        "repository_owner": "octo-org", "run_attempt": "2", "run_id": "1", "runner_environment": "github-hosted",
        "sha": "0bcd8e4a", "sub": "repo:octo-org/app:environment:prod", "workflow": "deploy",
    });
    let cases = [(json!({}), kubernetes), (json!({"typ": "JWT", "x5t": "ykNaY4qM_ta4k2TgZOCEYLkcYlA"}), github)];
    for (header, claims) in cases {
        let reply = super::read(&gateway, &key.sign(header, &claims), "demo/db");
        assert_eq!(reply.status, 200, "{}", reply.body);
        let record = gateway.record_of(&reply);
        assert_eq!(record["principal"], json!(format!("user/corp/{}", claims["sub"].as_str().unwrap())));
        assert_eq!(record["credential"]["kid"], json!("Xq2v8mJ0sX1m"));
    }
    // A legacy service account token has no expiry; one that lives for a year is over the cap.
    for claims in [json!({"iss": idp.url(), "sub": "system:serviceaccount:a:b", "aud": ["keyward"]}), {
        let mut year = claims(&idp, now);
        year["exp"] = json!(now + 31_536_000);
        year
    }] {
        assert_eq!(super::read(&gateway, &key.sign(json!({}), &claims), "demo/db").status, 401);
    }
    gateway.finish();
}

#[test]
fn fetches_show_in_the_metrics_without_names_of_callers() {
    let idp = Idp::start();
    idp.keys(&[RsaKey::new("a").jwk()]);
    let gateway = TestGateway::of(installation(&by_url(&idp)));
    let shown = crate::gateway::wait_for("the age of the keys", || {
        let text = String::from_utf8(gateway.get("/metrics").bytes).unwrap();
        text.contains("keyward_issuer_keys_age_seconds{issuer=\"corp\"}").then_some(text)
    });
    assert!(shown.contains("keyward_issuer_fetches_total{issuer=\"corp\",outcome=\"ok\"} 1"), "{shown}");
    assert!(shown.contains("keyward_issuer_keys_stale{issuer=\"corp\"} 0"), "{shown}");
    gateway.finish();
}

#[test]
fn a_call_that_waits_for_a_fetch_is_answered_once() {
    let (idp, key) = (Idp::start(), RsaKey::new("a"));
    idp.keys(&[RsaKey::new("before").jwk()]);
    let within = Within::open(installation(&by_url(&idp))).unwrap();
    within.forward(31);
    idp.keys(&[key.jwk()]);
    let token = key.sign(json!({}), &claims(&idp, within.now_s()));
    let calls = idp.calls();
    let answers = within.run(async {
        let all: Vec<_> = (0..50).map(|_| tokio::spawn(read(Arc::clone(&within.gateway), token.clone()))).collect();
        let mut answers = Vec::new();
        for one in all {
            answers.push(one.await.unwrap());
        }
        answers
    });
    assert!(answers.iter().all(|answer| answer.error().unwrap().code.as_str() == "ResourceNotFound.SecretNotExist"));
    assert_eq!(idp.calls(), calls + 1);
    within.records();
}
