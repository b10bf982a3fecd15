//! A: tokens and credentials, through the door. What each text is refused for is tested beside the code; here, that
//! nothing of it shows outside and everything of it is recorded.

use super::{check_denied, check_done, check_refused, read, shape};
use crate::gateway::TestGateway;
use crate::token::{Issuer, now_s};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

fn gateway() -> TestGateway {
    let gateway =
        TestGateway::builder().record_every_refusal().issuer(&Issuer::new("corp"), "groups = \"required\"").start();
    gateway.create("demo/db", "s3cret");
    gateway
}

/// Claims of `user/dev/app` with one of them set to something else, or taken out.
fn with(gateway: &TestGateway, name: &str, value: Option<Value>) -> Value {
    let mut claims = gateway.issuer().claims("app");
    match value {
        Some(value) => claims[name] = value,
        None => drop(claims.as_object_mut().unwrap().remove(name)),
    }
    claims
}

/// Every token is refused for its reason, all with the same bytes; a good one still opens the door.
fn all_refused(gateway: TestGateway, cases: &[(&str, String)]) {
    let replies: Vec<_> = cases.iter().map(|(_, token)| read(&gateway, token, "demo/db")).collect();
    let good = read(&gateway, &gateway.issuer().token("app"), "demo/db");
    let export = gateway.export();
    for (place, ((reason, token), reply)) in cases.iter().zip(&replies).enumerate() {
        check_refused(&export, &format!("case {place}: {token}"), reply, reason);
        assert_eq!(shape(reply), shape(&replies[0]), "case {place}");
        if token.len() > 16 {
            let text = String::from_utf8_lossy(&export.bytes);
            assert!(!text.contains(token.as_str()), "case {place}: the token stands in the trail");
            assert!(!gateway.log().contains(token.as_str()), "case {place}: the token stands in the server's log");
        }
    }
    check_done(&export, "a good token", &good);
    gateway.finish();
}

fn unsigned(token: &str) -> String {
    format!("{}.", token.rsplit_once('.').unwrap().0)
}

#[test]
fn attack_a01_alg_none() {
    let gateway = gateway();
    let claims = gateway.issuer().claims("admin").to_string();
    let mut cases = Vec::new();
    for header in [r#"{"alg":"none"}"#, r#"{"alg":"None"}"#, r#"{"alg":"nOnE"}"#, "{}", r#"{"alg":"ES256"}"#] {
        let signed = gateway.issuer().sign_text(header, &claims);
        cases.push(("alg_refused", unsigned(&signed)));
        cases.push(("alg_refused", signed));
    }
    cases.push(("alg_refused", unsigned(&gateway.issuer().token("admin"))));
    all_refused(gateway, &cases);
}

#[test]
fn attack_a02_hmac_by_the_public_key() {
    let gateway = gateway();
    let pem = gateway.installation().read("keys/dev-issuer.pub");
    let text = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#),
        URL_SAFE_NO_PAD.encode(gateway.issuer().claims("admin").to_string())
    );
    let cases: Vec<(&str, String)> = [pem.as_bytes(), pem.trim().as_bytes()]
        .into_iter()
        .map(|key| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
            mac.update(text.as_bytes());
            ("alg_refused", format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())))
        })
        .collect();
    all_refused(gateway, &cases);
}

#[test]
fn attack_a04_a05_claims_that_are_not_what_they_should_be() {
    let gateway = gateway();
    let mut cases = Vec::new();
    for name in ["exp", "nbf", "iat"] {
        for value in [json!("1767226000"), json!(1767226000.5), json!(-1), Value::Null, json!([1]), json!(1_u64 << 53)]
        {
            cases.push(("claim_format", gateway.issuer().sign(&with(&gateway, name, Some(value)))));
        }
    }
    for name in ["iss", "aud", "sub"] {
        for value in [json!(1), json!({"a": 1}), Value::Null] {
            cases.push(("claim_format", gateway.issuer().sign(&with(&gateway, name, Some(value)))));
        }
    }
    for name in ["exp", "iat", "sub"] {
        cases.push(("claim_format", gateway.issuer().sign(&with(&gateway, name, None))));
    }
    all_refused(gateway, &cases);
}

#[test]
fn attack_a06_a07_issuers_and_audiences_of_others() {
    let gateway = gateway();
    let mut cases = Vec::new();
    for value in [
        json!(""),
        json!("https://keyward.local/dev/"),
        json!("https://KEYWARD.local/dev"),
        json!(["https://keyward.local/dev"]),
    ] {
        cases.push(("issuer", gateway.issuer().sign(&with(&gateway, "iss", Some(value)))));
    }
    cases.push(("issuer", gateway.issuer().sign(&with(&gateway, "iss", None))));
    for value in [json!("another"), json!(["another"]), json!([]), json!("Keyward")] {
        cases.push(("audience", gateway.issuer().sign(&with(&gateway, "aud", Some(value)))));
    }
    cases.push(("audience", gateway.issuer().sign(&with(&gateway, "aud", None))));
    all_refused(gateway, &cases);
}

#[test]
fn attack_a03_a08_keys_of_others() {
    let corp = Issuer::new("corp");
    let theirs = corp.sign(&json!({"iss": "https://keyward.local/dev", "aud": "keyward", "sub": "admin",
        "iat": now_s(), "exp": now_s() + 60}));
    let gateway = TestGateway::builder().record_every_refusal().issuer(&corp, "").start();
    gateway.create("demo/db", "s3cret");
    let forged = gateway.issuer().impostor();
    let ours_as_theirs = {
        let mut claims = gateway.issuer().claims("admin");
        claims["iss"] = json!("https://corp.example");
        gateway.issuer().sign(&claims)
    };
    let with_kid =
        forged.sign_text(r#"{"alg":"EdDSA","kid":"../../keys/dev-issuer.pub"}"#, &forged.claims("admin").to_string());
    let cases = [
        ("signature", theirs),
        ("signature", ours_as_theirs),
        ("signature", forged.token("admin")),
        ("signature", with_kid),
    ];
    all_refused(gateway, &cases);
}

#[test]
fn attack_a09_a10_headers_that_bring_keys_or_ask_for_more() {
    let gateway = gateway();
    // Nobody must call here: whatever a header names is never fetched.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let claims = gateway.issuer().claims("admin").to_string();
    let headers = [
        json!({"alg": "EdDSA", "jku": format!("http://{address}/keys")}),
        json!({"alg": "EdDSA", "x5u": format!("http://{address}/cert")}),
        json!({"alg": "EdDSA", "x5c": ["MIIB"]}),
        json!({"alg": "EdDSA", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AA"}}),
        json!({"alg": "EdDSA", "crit": ["exp"]}),
        json!({"alg": "EdDSA", "b64": false}),
        json!({"alg": "EdDSA", "zip": "DEF"}),
        json!({"alg": "EdDSA", "typ": "id_token+jwt"}),
        json!({"alg": "EdDSA", "cty": "JWT"}),
    ];
    let mut cases: Vec<(&str, String)> =
        headers.iter().map(|header| ("header", gateway.issuer().sign_text(&header.to_string(), &claims))).collect();
    cases.push(("header", ["e30", "a", "b", "c", "d"].join(".")));
    all_refused(gateway, &cases);
    assert!(listener.accept().is_err(), "somebody called the address that a token named");
}

/// Serves a key set to whoever calls, and counts them.
fn key_server(key_set: String) -> (std::net::SocketAddr, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&calls);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{key_set}",
                key_set.len()
            );
            let _caller_left = stream.and_then(|mut stream| std::io::Write::write_all(&mut stream, answer.as_bytes()));
        }
    });
    (address, calls)
}

/// The stranger's own key is offered in every way that a header knows, by a server that would hand it out.
#[test]
fn attack_a09_a_token_signed_by_the_key_that_it_brings_along_is_refused_and_nothing_is_fetched() {
    let gateway = gateway();
    let stranger = gateway.issuer().impostor();
    let key =
        json!({"kty": "OKP", "crv": "Ed25519", "x": stranger.public_key(), "kid": "k", "alg": "EdDSA", "use": "sig"});
    let (address, calls) = key_server(json!({"keys": [key]}).to_string());
    assert!(std::net::TcpStream::connect(address).is_ok(), "it answers whoever calls");
    crate::gateway::wait_for("the call to be counted", || {
        (calls.load(std::sync::atomic::Ordering::SeqCst) == 1).then_some(())
    });
    let url = format!("http://{address}/.well-known/jwks.json");
    let claims = stranger.claims("admin").to_string();
    let headers = [
        json!({"alg": "EdDSA", "jwk": key}),
        json!({"alg": "EdDSA", "jku": url, "kid": "k"}),
        json!({"alg": "EdDSA", "x5u": url}),
        json!({"alg": "EdDSA", "x5c": [stranger.public_key()], "x5t": "AA"}),
        json!({"alg": "EdDSA", "jku": url, "x5u": url, "jwk": key, "kid": "k", "typ": "JWT"}),
    ];
    let mut cases: Vec<(&str, String)> =
        headers.iter().map(|header| ("header", stranger.sign_text(&header.to_string(), &claims))).collect();
    // Named by its id alone, it is no key of the issuer; and an `iss` that is the server's own is no issuer.
    cases.push(("signature", stranger.sign_text(&json!({"alg": "EdDSA", "kid": url}).to_string(), &claims)));
    let mut elsewhere = stranger.claims("admin");
    elsewhere["iss"] = json!(format!("http://{address}"));
    cases.push(("issuer", stranger.sign(&elsewhere)));
    all_refused(gateway, &cases);
    assert_eq!(calls.load(std::sync::atomic::Ordering::SeqCst), 1, "somebody called the address that a token named");
}

#[test]
fn attack_a11_tokens_that_read_two_ways() {
    let gateway = gateway();
    let good = gateway.issuer().token("admin");
    let parts: Vec<&str> = good.split('.').collect();
    let claims = gateway.issuer().claims("app").to_string();
    let twice = claims.replacen('{', r#"{"\u0073ub":"admin","#, 1);
    let texts = [
        gateway.issuer().sign_text(r#"{"alg":"EdDSA"}"#, &twice),
        gateway.issuer().sign_text(r#"{"alg":"EdDSA","alg":"EdDSA"}"#, &claims),
        format!("{good}="),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}.{}", parts[2]),
        gateway.issuer().sign(&with(&gateway, "pad", Some(json!("p".repeat(9_000))))),
        "x".to_owned(),
    ];
    all_refused(gateway, &texts.map(|text| ("malformed", text)));
}

#[test]
fn attack_a12_tokens_out_of_their_time() {
    let gateway = gateway();
    let now = now_s();
    let timed = |iat: u64, exp: u64, nbf: u64| {
        let mut claims = gateway.issuer().claims("app");
        (claims["iat"], claims["exp"], claims["nbf"]) = (json!(iat), json!(exp), json!(nbf));
        gateway.issuer().sign(&claims)
    };
    // The edges of the leeway to the second are tested with an injected clock; here a minute off.
    let cases = [
        ("expired", timed(now - 3_600, now - 60, now - 3_600)),
        ("not_yet_valid", timed(now, now + 3_600, now + 120)),
        ("not_yet_valid", timed(now + 120, now + 3_600, now)),
        ("lifetime", timed(now, now + 86_402, now)),
    ];
    all_refused(gateway, &cases);
}

#[test]
fn attack_a13_a_revoked_token_is_refused_on_the_next_request_and_after_a_restart() {
    let mut gateway = gateway();
    let by_jti = gateway.issuer().token("app");
    let by_hash = gateway.issuer().sign(&with(&gateway, "jti", None));
    let by_subject = gateway.issuer().token("app");
    let of_other = gateway.issuer().token("admin");
    for token in [&by_jti, &by_hash] {
        read(&gateway, token, "demo/db").ok();
    }
    let first = gateway.record_of(&read(&gateway, &by_hash, "demo/db").ok());
    let jti = gateway.record_of(&read(&gateway, &by_jti, "demo/db"))["credential"]["jti"].clone();
    let revoke = |gateway: &TestGateway, selector: Value| {
        let mut parameters = json!({"Issuer": "dev", "Reason": "lost"});
        parameters.as_object_mut().unwrap().extend(selector.as_object().unwrap().clone());
        gateway.call(gateway.admin(), "RevokeToken", &parameters).ok()
    };
    revoke(&gateway, json!({"Jti": jti}));
    let mut refused = vec![read(&gateway, &by_jti, "demo/db")];
    let still = read(&gateway, &by_hash, "demo/db");
    revoke(&gateway, json!({"CredentialHash": first["credential"]["hash"]}));
    refused.push(read(&gateway, &by_hash, "demo/db"));
    let mut later = gateway.issuer().claims("app");
    later["iat"] = json!(now_s() + 20);
    let later = gateway.issuer().sign(&later);
    revoke(&gateway, json!({"Subject": "app"}));
    // Issued in the second of the revocation or before: refused; issued after it: not.
    refused.push(read(&gateway, &by_subject, "demo/db"));
    let issued_later = read(&gateway, &later, "demo/db");
    gateway = gateway.restart();
    refused.extend([&by_jti, &by_hash, &by_subject].map(|token| read(&gateway, token, "demo/db")));
    let other = gateway.call(&of_other, "DescribeSecret", &json!({"SecretName": "demo/db"}));
    let export = gateway.export();
    for (place, reply) in refused.iter().enumerate() {
        check_refused(&export, &format!("refused {place}"), reply, "revoked");
    }
    for (what, reply) in [("not yet revoked", &still), ("issued later", &issued_later), ("another subject", &other)] {
        check_done(&export, what, reply);
    }
    gateway.finish();
}

/// What it is, its headers, and the reason in its record.
type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, &'a str);

#[test]
fn attack_a14_the_token_is_taken_from_one_header_alone() {
    let gateway = gateway();
    let token = gateway.issuer().token("app");
    let (bearer, admin) = (format!("Bearer {token}"), format!("Bearer {}", gateway.admin()));
    let body = json!({"SecretName": "demo/db"}).to_string();
    let cookie = format!("token={token}; Authorization={token}");
    let cases: [Case<'_>; 6] = [
        ("cookie", vec![("Cookie", &cookie)], "no_credential"),
        ("other headers", vec![("X-Vault-Token", &token), ("X-Api-Key", &token)], "no_credential"),
        ("two of them", vec![("Authorization", &bearer), ("Authorization", &admin)], "malformed"),
        ("the same twice", vec![("Authorization", &bearer), ("Authorization", &bearer)], "malformed"),
        ("no scheme", vec![("Authorization", &token)], "malformed"),
        ("another scheme", vec![("Authorization", "Basic YWRtaW46eA==")], "malformed"),
    ];
    let replies: Vec<_> =
        cases.iter().map(|(_, headers, _)| gateway.call_with(headers, "GetSecretValue", &body)).collect();
    let json = [("Content-Type", "application/json")];
    let query = gateway.request(&format!("POST /v1/GetSecretValue?access_token={token}"), &json, body.as_bytes());
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let form = gateway.request("POST /v1/GetSecretValue", &form, format!("access_token={token}").as_bytes());
    // A header that nobody reads does not change what the one that is read says.
    let disagreeing = [("Authorization", bearer.as_str()), ("X-Vault-Token", gateway.admin())];
    let disagreeing = gateway.call_with(&disagreeing, "DescribeSecret", &json!({"SecretName": "other/db"}).to_string());
    let export = gateway.export();
    for ((what, _, reason), reply) in cases.iter().zip(&replies) {
        assert_eq!((reply.status, reply.code()), (401, "AuthFailure.InvalidAuthorization"), "{what}");
        assert_eq!(export.record_of(reply)["reason"], json!(reason), "{what}");
        assert_eq!(shape(reply), shape(&replies[0]), "{what}");
    }
    for (what, reply) in [("query", &query), ("form", &form)] {
        assert_eq!((reply.status, reply.code()), (401, "AuthFailure.InvalidAuthorization"), "{what}");
        let record = export.record_of(reply);
        assert_eq!(
            (&record["kind"], &record["reason"]),
            (&json!("unauthenticated"), &json!("no_credential")),
            "{what}"
        );
    }
    check_denied(&export, "the header that counts is app's", &disagreeing, "default_deny");
    assert_eq!(export.record_of(&disagreeing)["principal"], "user/dev/app");
    let trail = String::from_utf8_lossy(&export.bytes).into_owned();
    assert!(!trail.contains(&token) && !gateway.log().contains(&token), "a token was written down");
    gateway.finish();
}

#[test]
fn attack_a15_names_are_bytes() {
    let gateway = gateway();
    let twins = ["*", "Admin", "admin ", "\u{430}dmin", "user/dev/admin", "a,b", "${qcs:uin}", "\u{202e}nimda", "adm*"];
    let denied: Vec<_> = twins
        .iter()
        .map(|sub| {
            let mut claims = gateway.issuer().claims(sub);
            (claims["groups"], claims["roles"]) = (json!([sub]), json!([sub]));
            read(&gateway, &gateway.issuer().sign(&claims), "demo/db")
        })
        .collect();
    let odd = [String::new(), "x".repeat(257), "admin\u{0}".to_owned(), "a\nb".to_owned(), "\u{85}".to_owned()];
    let refused: Vec<_> = odd.iter().map(|sub| read(&gateway, &gateway.issuer().token(sub), "demo/db")).collect();
    let export = gateway.export();
    for (sub, reply) in twins.iter().zip(&denied) {
        check_denied(&export, sub, reply, "default_deny");
        let record = export.record_of(reply);
        assert_eq!(record["principal"], json!(format!("user/dev/{sub}")));
        assert_eq!(record["context"]["groups"], json!([format!("group/dev/{sub}")]));
    }
    for reply in &refused {
        check_refused(&export, "a name outside its rule", reply, "claim_format");
    }
    gateway.finish();
}

#[test]
fn attack_a19_a20_groups_that_are_cut_missing_or_too_many() {
    let corp = Issuer::new("corp");
    let signed = |more: Value| {
        let mut claims = corp.claims("r.lee");
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        corp.sign(&claims)
    };
    let many: Vec<String> = (0..201).map(|number| format!("g{number}")).collect();
    let long: Vec<String> = (0..12).map(|number| format!("{number:0250}")).collect();
    let cases = [
        ("groups_incomplete", signed(json!({}))),
        ("groups_incomplete", signed(json!({"groups": [], "_claim_names": {"groups": "src1"}}))),
        ("identity_too_large", signed(json!({"groups": many}))),
        ("identity_too_large", signed(json!({"groups": long}))),
    ];
    let gateway = TestGateway::builder().record_every_refusal().issuer(&corp, "groups = \"required\"").start();
    gateway.create("demo/db", "s3cret");
    all_refused(gateway, &cases);
}
