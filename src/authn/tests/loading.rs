//! Issuers as they are set: what cannot be used is refused, and the setting is named (invariant I12).

use serde_json::json;

use super::super::{IssuerSettings, Unfit, self_test};
use super::*;

fn refused(settings: IssuerSettings) -> (&'static str, String) {
    let error = Prepared::new(vec![settings]).err().expect("refused");
    (error.setting, error.to_string())
}

#[test]
fn attack_k03_the_signature_backend_is_there() {
    assert_eq!(self_test(), Ok(()));
}

#[test]
fn each_setting_that_cannot_be_used_is_named() {
    let names = |subject: &str, groups: &str, roles: &str| ClaimNames {
        subject: subject.to_owned(),
        groups: groups.to_owned(),
        roles: roles.to_owned(),
    };
    let cases = [
        (IssuerSettings { name: "local".to_owned(), ..settings() }, "name"),
        (IssuerSettings { name: "Dev".to_owned(), ..settings() }, "name"),
        (IssuerSettings { name: String::new(), ..settings() }, "name"),
        (IssuerSettings { issuer: String::new(), ..settings() }, "issuer"),
        (IssuerSettings { issuer: "a\nb".to_owned(), ..settings() }, "issuer"),
        (IssuerSettings { audience: Vec::new(), ..settings() }, "audience"),
        (IssuerSettings { audience: vec![String::new()], ..settings() }, "audience"),
        (IssuerSettings { algorithms: Vec::new(), ..settings() }, "algorithms"),
        (IssuerSettings { leeway_s: 301, ..settings() }, "leeway_s"),
        (IssuerSettings { max_lifetime_s: 0, ..settings() }, "max_lifetime_s"),
        (IssuerSettings { claims: names("", "groups", "roles"), ..settings() }, "claims"),
        (IssuerSettings { claims: names("sub", "roles", "roles"), ..settings() }, "claims"),
        (IssuerSettings { claims: names("iss", "groups", "roles"), ..settings() }, "claims"),
        (IssuerSettings { algorithms: vec![Algorithm::Rs256], ..settings() }, "public_key_file"),
    ];
    for (case, (settings, setting)) in cases.into_iter().enumerate() {
        assert_eq!(refused(settings).0, setting, "case {case}");
    }
}

#[test]
fn attack_a02_secrets_and_public_keys_do_not_mix() {
    let hmac_by_public = IssuerSettings { algorithms: vec![Algorithm::EdDsa, Algorithm::Hs256], ..settings() };
    assert_eq!(refused(hmac_by_public).0, "algorithms");
    let public_by_secret =
        IssuerSettings { algorithms: vec![Algorithm::Hs256, Algorithm::EdDsa], ..secret_settings(&[9; 32]) };
    assert_eq!(refused(public_by_secret).0, "algorithms");
    for secret in [vec![9; 31], ED.pem().into_bytes(), ED.jwk("k").to_string().into_bytes()] {
        assert_eq!(refused(secret_settings(&secret)).0, "secret_file");
    }
    let shared = authenticator(secret_settings(&[9; 32]));
    for alg in ["HS256", "HS384", "HS512"] {
        let header = json!({"alg": alg}).to_string();
        assert_eq!(ask(&shared, &token_of(&SECRET, alg, &header, &good().to_string())), "ok");
        let wrong = Signer::Secret(vec![8; 32]);
        assert_eq!(ask(&shared, &token_of(&wrong, alg, &header, &good().to_string())), "signature");
    }
}

#[test]
fn every_kind_of_public_key_is_read_from_pem() {
    for (signer, algorithm) in
        [(&ED, Algorithm::EdDsa), (&P256, Algorithm::Es256), (&P384, Algorithm::Es384), (&RSA, Algorithm::Ps256)]
    {
        let key = KeySource::public(signer.pem().into_bytes());
        let authenticator = authenticator(IssuerSettings { algorithms: vec![algorithm], key, ..settings() });
        let header = json!({"alg": algorithm.name()}).to_string();
        assert_eq!(ask(&authenticator, &token_of(signer, algorithm.name(), &header, &good().to_string())), "ok");
    }
}

#[test]
fn files_without_one_public_key_are_refused() {
    let pem = ED.pem();
    let cut = pem.replace("MCowBQ", "MCowBA");
    let short_rsa = "-----BEGIN PUBLIC KEY-----\nMIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCyXpIe1NyetTggiTaVuaVX+C5D\nMjj80SP9yH1CZpDQIOLj008e44RK1Fh3XwsIyO7bFAen0NguaKNB3SE23J5g1V1f\nvOruYf2mmhCLGrhXYx9f1Pf95f2inKuacQa5CHe7KH1g5/XAM3WKQafitx07wzfz\nKf1OttI+Anh9uSbRmQIDAQAB\n-----END PUBLIC KEY-----\n".to_owned();
    let cases = [
        (String::new(), "PEM"),
        ("hello".to_owned(), "PEM"),
        (format!("{pem}{pem}"), "PEM"),
        (format!("x{pem}"), "PEM"),
        (pem.replace("PUBLIC", "PRIVATE"), "private key"),
        (pem.replace("PUBLIC KEY", "CERTIFICATE"), "openssl x509"),
        (pem.replace("PUBLIC KEY", "RSA PUBLIC KEY"), "openssl"),
        (cut, "not an Ed25519"),
        (short_rsa, "2,048"),
    ];
    for (text, expected) in cases {
        let (setting, message) =
            refused(IssuerSettings { key: KeySource::PublicKeyPem(text.clone().into_bytes()), ..settings() });
        assert_eq!(setting, "public_key_file");
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("MCow"), "{message}");
    }
    assert_eq!(
        refused(IssuerSettings { key: KeySource::PublicKeyPem(vec![0xff; 99]), ..settings() }).0,
        "public_key_file"
    );
}

#[test]
fn key_sets_that_read_two_ways_are_refused_whole() {
    let ed = ED.jwk("a").to_string();
    let same_kid = P256.jwk("a").to_string();
    let cases = [
        (format!("{{\"keys\":[{ed},{same_kid}]}}"), "kid `a` occurs twice"),
        (format!("{{\"keys\":[{ed}],\"keys\":[{same_kid}]}}"), "no name twice"),
        (format!("{{\"keys\":[{}]}}", ed.replace("{\"crv\"", "{\"\\u0063rv\":\"Ed25519\",\"crv\"")), "no name twice"),
        ("{\"keys\":[]}".to_owned(), "empty"),
        ("{}".to_owned(), "not a key set"),
        (ed.clone(), "not a key set"),
        ("{\"keys\":[1]}".to_owned(), "not a key set"),
        ("{\"keys\":{}}".to_owned(), "not a key set"),
        (format!("{{\"keys\":[{}]}}", ed.replace("\"a\"", "1")), "`kid` is text"),
        (format!("{{\"keys\":[{}]}}", SECRET.jwk("s")), "symmetric"),
        (format!("{{\"keys\":[{ed}],\"pad\":\"{}\"}}", "p".repeat(256 * 1024)), "256 KiB"),
    ];
    for (text, expected) in cases {
        let (setting, message) = refused(IssuerSettings { key: KeySource::Jwks(text.into_bytes()), ..settings() });
        assert_eq!(setting, "public_key_file");
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn unfit_keys_of_a_set_are_reported_by_name() {
    let mut enc = P256.jwk("enc");
    enc["use"] = json!("enc");
    let authenticator = authenticator(set_settings(&[ED.jwk("ed"), enc, SECRET.jwk("oct")]));
    let unfit: Vec<_> = authenticator.unfit_keys().into_iter().map(|key| (key.kid.unwrap(), key.why)).collect();
    assert_eq!(unfit, [("enc".to_owned(), Unfit::Purpose), ("oct".to_owned(), Unfit::Symmetric)]);
}

#[test]
fn two_issuers_cannot_share_a_name_or_an_iss() {
    let both = |second: IssuerSettings| Prepared::new(vec![settings(), second]).err().map(|error| error.setting);
    assert_eq!(both(IssuerSettings { name: "other".to_owned(), ..settings() }), Some("issuer"));
    assert_eq!(both(IssuerSettings { issuer: "https://other".to_owned(), ..settings() }), Some("name"));
    assert_eq!(
        both(IssuerSettings { name: "other".to_owned(), issuer: "https://other".to_owned(), ..settings() }),
        None
    );
}

#[test]
fn one_issuer_never_speaks_for_another() {
    let corp = IssuerSettings { name: "corp".to_owned(), issuer: "https://corp".to_owned(), ..settings() };
    let authenticator = Authenticator::new(Prepared::new(vec![settings(), corp]).unwrap(), 1);
    let who = |iss: &str| {
        let token = token(&but("iss", Some(json!(iss))));
        authenticator.authenticate(&token, NOW, &Rows::default()).unwrap().principal.to_string()
    };
    assert_eq!(
        (who(ISS), who("https://corp")),
        ("user/dev/svc-billing".to_owned(), "user/corp/svc-billing".to_owned())
    );
    assert_eq!(
        authenticator.issuer_limits("corp").map(|limits| (limits.leeway_s, limits.max_lifetime_s)),
        Some((30, 86_400))
    );
    assert_eq!(authenticator.issuer_limits("https://corp"), None);
}

#[test]
fn names_stand_where_the_issuer_says() {
    let claims = ClaimNames { subject: "oid".to_owned(), groups: "teams".to_owned(), roles: "duties".to_owned() };
    let authenticator = authenticator(IssuerSettings { claims, ..settings() });
    let mut said = good();
    said["oid"] = json!("o-1");
    said["teams"] = json!(["t"]);
    let who = authenticator.authenticate(&token(&said), NOW, &Rows::default()).unwrap();
    assert_eq!((who.principal.as_str(), who.groups[0].as_str(), who.roles.len()), ("user/dev/o-1", "group/dev/t", 0));
    assert_eq!(ask(&authenticator, &token(&good())), "claim_format");
}
